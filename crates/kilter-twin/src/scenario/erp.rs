//! The ERP's goods and orders as its twin holds them.
//!
//! Reads   the twin's state.
//! Writes  nothing.
//! Never   judges.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::Value;

use super::Error;
use super::office::{Office, decimal, items, text, units};

#[derive(Debug)]
pub struct Variant {
    pub barcode: String,
    pub weight: Decimal,
    pub attributes: BTreeMap<String, String>,
    /// List's name → price.
    pub prices: BTreeMap<String, Decimal>,
    /// Warehouse's code → what is there and not promised.
    pub forecast: BTreeMap<String, i64>,
    pub english: String,
    pub german: String,
}

#[derive(Debug)]
pub struct Order {
    pub id: i64,
    pub name: String,
    pub reference: String,
    pub state: String,
    pub email: String,
    pub currency: String,
    pub total: Decimal,
    /// Goods only, sorted.
    pub lines: Vec<(String, i64)>,
    pub delivery: String,
}

impl Order {
    /// From here on its lines are taken off the forecast.
    pub fn is_confirmed(&self) -> bool {
        matches!(self.state.as_str(), "sale" | "done")
    }
}

/// Service products that stand for what is no goods.
const SERVICES: [&str; 3] = ["SHIPPING", "FEE", "ROUNDING"];

pub async fn orders(erp: &Office) -> Result<Vec<Order>, Error> {
    let state = erp.get("state?part=orders").await?;
    let orders = items(&state["orders"]).filter(|order| text(&order["state"]) != "cancel");
    Ok(orders.map(order).collect())
}

fn order(value: &Value) -> Order {
    let own = |name: &str| text(&value[name]).to_owned();
    let mut lines: Vec<(String, i64)> = items(&value["lines"])
        .map(|line| (text(&line["sku"]).to_owned(), units(&line["quantity"])))
        .filter(|(sku, _)| !sku.is_empty() && !SERVICES.contains(&sku.as_str()))
        .collect();
    lines.sort();
    Order {
        id: value["id"].as_i64().unwrap_or(0),
        name: own("name"),
        reference: own("client_order_ref"),
        state: own("state"),
        email: text(&value["partner"]["email"]).trim().to_lowercase(),
        currency: own("currency"),
        total: decimal(&value["amount_total"]).unwrap_or_default(),
        lines,
        delivery: own("delivery_status"),
    }
}

/// SKU → variant; services and what has no SKU left out.
pub async fn variants(erp: &Office) -> Result<BTreeMap<String, Variant>, Error> {
    let state = erp.get("state?part=templates,variants").await?;
    let titles: BTreeMap<i64, (&str, &str)> = items(&state["templates"])
        .filter_map(|template| {
            let name = &template["name"];
            let german = name["de_DE"].as_str().unwrap_or_else(|| text(&name["en_US"]));
            Some((template["id"].as_i64()?, (text(&name["en_US"]), german)))
        })
        .collect();
    let mut variants = BTreeMap::new();
    for value in items(&state["variants"]) {
        let sku = text(&value["default_code"]);
        if sku.is_empty() || SERVICES.contains(&sku) || sku.starts_with("SHIP-") {
            continue;
        }
        let template = value["template_id"].as_i64().or_else(|| value["template_id"][0].as_i64());
        let (english, german) = titles.get(&template.unwrap_or(0)).copied().unwrap_or_default();
        variants.insert(sku.to_owned(), variant(value, english, german));
    }
    Ok(variants)
}

fn variant(value: &Value, english: &str, german: &str) -> Variant {
    let fields = |name: &str| value[name].as_object().into_iter().flatten();
    Variant {
        barcode: text(&value["barcode"]).to_owned(),
        weight: decimal(&value["weight"]).unwrap_or_default(),
        attributes: fields("attributes").map(|(n, v)| (n.clone(), text(v).to_owned())).collect(),
        prices: fields("prices").filter_map(|(n, v)| Some((n.clone(), decimal(v)?))).collect(),
        forecast: fields("stock").map(|(n, v)| (n.clone(), units(&v["forecast"]))).collect(),
        english: english.to_owned(),
        german: german.to_owned(),
    }
}
