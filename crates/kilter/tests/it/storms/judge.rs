//! The referee of a storm: what each shop shows, held against the ERP, by the twins' own state.
//!
//! Reads   the twins.   Writes  sentences of what is wrong.   Never  looks into Kilter's store.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::Value;

use crate::storms::people::{Left, Shop};
use crate::storms::stage::Stage;

/// What a shop is to show: prefix of its orders, price list, warehouses, language.
pub struct Face {
    pub shop: Shop,
    pub name: &'static str,
    pub list: &'static str,
    pub places: &'static [&'static str],
    pub language: &'static str,
}

pub const FACES: [Face; 2] = [
    Face { shop: Shop::De, name: "de", list: "EUR", places: &["WH"], language: "de_DE" },
    Face { shop: Shop::Us, name: "us", list: "USD", places: &["WH", "WST"], language: "en_US" },
];

pub fn list<'a>(state: &'a Value, part: &str) -> &'a [Value] {
    state[part].as_array().map_or(&[], Vec::as_slice)
}

pub fn decimal(value: &Value) -> Decimal {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse::<Decimal>().unwrap_or_default().normalize()
}

/// Units that a shop was to show, of what the ERP has by its forecast.
pub fn forecast(variant: &Value, places: &[&str]) -> Decimal {
    let of = |place: &&str| decimal(&variant["stock"][*place]["forecast"]);
    places.iter().map(of).sum()
}

/// Everything that is not as it should be once the storm is over.
pub async fn wrong(stage: &Stage, left: &Left) -> Vec<String> {
    let erp = stage.state(&stage.rig.erp.url()).await;
    let mut wrong = Vec::new();
    for face in &FACES {
        let shop = stage.state(&crate::storms::people::url(stage, face.shop)).await;
        goods(face, &shop, &erp, left, &mut wrong);
        orders(face, &shop, &erp, &mut wrong);
        let prefix = face.name.to_uppercase();
        wrong.extend(left.refunds.wrong(face.shop, &prefix, &shop, &erp));
    }
    wrong
}

/// While Kilter serves, each shop has its six webhooks, and they are on.
pub async fn unheard(stage: &Stage) -> Vec<String> {
    let mut wrong = Vec::new();
    for face in &FACES {
        let shop = stage.state(&crate::storms::people::url(stage, face.shop)).await;
        let hooks = list(&shop, "webhooks").iter().filter(|w| w["status"] == "active").count();
        wrong.extend((hooks != 6).then(|| format!("{}: {hooks} webhooks, not 6", face.name)));
    }
    wrong
}

/// SKU → what stands there under it, variable parents left out.
fn offers(shop: &Value) -> BTreeMap<String, Vec<&Value>> {
    let mut offers: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    let all = list(shop, "products").iter().chain(list(shop, "variations"));
    for one in all.filter(|p| p["type"] != "variable" && p["status"] != "trash") {
        let sku = one["sku"].as_str().unwrap_or_default().to_owned();
        offers.entry(sku).or_default().push(one);
    }
    offers
}

fn goods(face: &Face, shop: &Value, erp: &Value, left: &Left, wrong: &mut Vec<String>) {
    let (name, offers) = (face.name, offers(shop));
    let titles: BTreeMap<i64, &Value> =
        list(erp, "templates").iter().map(|t| (t["id"].as_i64().unwrap(), &t["name"])).collect();
    let mut known = 0;
    for variant in list(erp, "variants") {
        let Some(sku) = variant["default_code"].as_str() else { continue };
        let found = offers.get(sku).map_or(&[][..], Vec::as_slice);
        known += found.len();
        let deleted = left.deleted.contains(&(face.shop, sku.to_owned()));
        // One shop asks what becomes of it, and nobody answers; the other has it made again, but
        // what lies in its bin holds the SKU.
        let binned = left.binned.contains_key(&(face.shop, sku.to_owned()));
        if binned || (deleted && face.shop == Shop::De) {
            if !found.is_empty() {
                wrong.push(format!("{name}: {sku} was deleted, and made again unasked"));
            }
            continue;
        }
        let [offer] = found else {
            wrong.push(format!("{name}: {sku} stands there {} times", found.len()));
            continue;
        };
        let template = variant["template_id"].as_i64();
        let template = template.or_else(|| variant["template_id"][0].as_i64()).unwrap();
        let title = titles[&template];
        let title = if title.is_string() { title } else { &title[face.language] };
        let mut compare = |what: &str, there: Value, here: Value| {
            if there != here {
                wrong.push(format!("{name}: {sku} shows {what} {there}, the ERP says {here}"));
            }
        };
        let number = |v: Decimal| Value::String(v.normalize().to_string());
        compare("the title", title_of(shop, offer), title.clone());
        let price = number(decimal(&variant["prices"][face.list]));
        compare("the price", number(decimal(&offer["regular_price"])), price);
        let weight = number(decimal(&variant["weight"]));
        compare("the weight", number(decimal(&offer["weight"])), weight);
        let stock = number(forecast(variant, face.places).max(Decimal::ZERO));
        compare("the stock", number(decimal(&offer["stock_quantity"])), stock);
        if let Some((order, visibility)) = left.own.get(&(face.shop, sku.to_owned())) {
            compare("its own place", offer["menu_order"].clone(), Value::from(*order));
            compare("its own way", offer["catalog_visibility"].clone(), Value::from(*visibility));
        }
    }
    let there: usize = offers.values().map(Vec::len).sum();
    if there != known {
        wrong.push(format!("{name}: {there} offers, {known} of them the ERP's"));
    }
}

/// The title stands at the product; what is shown is text as HTML.
fn title_of(shop: &Value, offer: &Value) -> Value {
    let parent = offer["parent_id"].as_u64().filter(|id| *id > 0);
    let at = list(shop, "products").iter().find(|p| p["id"].as_u64() == parent);
    let shown = parent.map_or(offer, |_| at.unwrap_or(&Value::Null));
    let text = shown["name"].as_str().unwrap_or_default();
    let plain = [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#039;", "'")];
    Value::String(plain.iter().rev().fold(text.to_owned(), |t, (from, to)| t.replace(from, to)))
}

fn orders(face: &Face, shop: &Value, erp: &Value, wrong: &mut Vec<String>) {
    let prefix = face.name.to_uppercase();
    let mut known = 0;
    for order in list(shop, "orders") {
        let start = format!("{prefix}-{}-", order["number"].as_str().unwrap());
        let mine =
            |o: &&Value| o["client_order_ref"].as_str().is_some_and(|r| r.starts_with(&start));
        let found: Vec<&Value> = list(erp, "orders").iter().filter(mine).collect();
        known += found.len();
        let cancelled = ["cancelled", "refunded"].map(Value::from).contains(&order["status"]);
        match found.as_slice() {
            [] if cancelled => {}
            [one] if cancelled && one["state"] == "cancel" => {}
            [one] if !cancelled && one["state"] == "sale" => {
                let (there, here) = (decimal(&one["amount_total"]), decimal(&order["total"]));
                if there != here {
                    wrong.push(format!("{start}: {there} in the ERP, {here} in the shop"));
                }
            }
            [one] => wrong.push(format!(
                "{start}: {} in the ERP, {} in the shop",
                one["state"], order["status"]
            )),
            many => wrong.push(format!("{start}: {} times in the ERP", many.len())),
        }
    }
    let start = format!("{prefix}-");
    let mine = |o: &&Value| o["client_order_ref"].as_str().is_some_and(|r| r.starts_with(&start));
    let there = list(erp, "orders").iter().filter(mine).count();
    if there != known {
        wrong.push(format!("{prefix}: {there} orders in the ERP, {known} of them the shop's"));
    }
}
