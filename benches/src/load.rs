//! A first load from an ERP twin into a shop twin: how many calls write, and how many must.
//!
//! Reads   what the twins counted.   Writes  a catalogue into the ERP.
//! Never   counts by Kilter's own numbers.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::flow::office;
use crate::report::{Row, Wanted};
use crate::rig::Rig;

/// What one call carries.
const CAP: usize = 100;

/// Variants of a product that has several.
const SIZES: usize = 10;

/// Of ten variants, six stand in a product with others.
const WIDE: usize = 6;

const MOST: f64 = 1.05;

/// The twins of an ERP and a shop, and Kilter's folder.
pub struct House {
    pub erp: kilter_twin::Running,
    pub shop: kilter_twin::Running,
    pub rig: Rig,
    pub http: reqwest::Client,
}

impl House {
    /// `more` stands in the shop's table of the config.
    pub async fn start(name: &str, catalogue: &Value, more: &str) -> Result<Self> {
        let settings = [("currency", "EUR"), ("prices_include_tax", "true"), ("tax_rate", "19")];
        let settings = settings.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let options = kilter_twin::Options { port: None, seed: 7, settings };
        let house = Self {
            erp: kilter_twin::start("odoo", kilter_twin::Options::default()).await?,
            shop: kilter_twin::start("woocommerce", options).await?,
            rig: Rig::new(name)?,
            http: reqwest::Client::new(),
        };
        let text = CONFIG.replace("{erp}", &house.erp.url()).replace("{shop}", &house.shop.url());
        house.rig.config_of(&text.replace("{more}", more))?;
        let request = house.http.post(format!("{}/_twin/seed", house.erp.url()));
        let request = request.header("content-type", "application/json");
        let answer = request.body(catalogue.to_string()).send().await?;
        ensure!(answer.status().is_success(), "seed the ERP: {}", answer.text().await?);
        Ok(house)
    }
}

/// `variants` in products of one, and in products of ten.
pub fn catalogue(variants: usize, stock: usize) -> Value {
    let wide = variants * WIDE / 10 / SIZES;
    let simple = variants - wide * SIZES;
    let one = |sku: String, attributes: Value| {
        json!({ "default_code": sku, "weight": 0.2, "attributes": attributes,
            "prices": { "EUR": "19.90" }, "stock": { "WH": stock } })
    };
    let product = |name: String, variants: Vec<Value>| {
        json!({ "name": { "en_US": name }, "list_price": 19.9, "type": "consu",
            "taxes": ["19% incl"], "variants": variants })
    };
    let simple = (0..simple)
        .map(|n| product(format!("Mug {n}"), vec![one(format!("MUG-{n:06}"), json!({}))]));
    let wide = (0..wide).map(|n| {
        let sizes = (0..SIZES)
            .map(|size| one(format!("TEE-{n:05}-{size}"), json!({ "Size": size.to_string() })));
        product(format!("Tee {n}"), sizes.collect())
    });
    json!({
        "taxes": [{ "name": "19% incl", "amount": 19, "included": true, "default": true }],
        "pricelists": [{ "name": "EUR", "currency": "EUR" }],
        "templates": simple.chain(wide).collect::<Vec<Value>>(),
    })
}

pub async fn row(variants: usize) -> Result<Row> {
    let catalogue = catalogue(variants, 7);
    let house = House::start("load", &catalogue, "").await?;
    let (took, memory) = house.rig.measured(&["sync"]).await?;
    let brief: Vec<Value> = office(&house.http, &house.shop, "brief").await?;
    // A parent's handle is its SKU there; it is no variant.
    let sold = brief.iter().filter(|p| p["type"] != "variable");
    let skus: Vec<&str> = sold.filter_map(|p| p["sku"].as_str()).collect();
    let distinct: BTreeSet<&&str> = skus.iter().collect();
    ensure!(
        skus.len() == variants && distinct.len() == variants,
        "{} variants stand in the shop, {} of them distinct",
        skus.len(),
        distinct.len()
    );
    let calls: Value = office(&house.http, &house.shop, "calls").await?;
    let templates = catalogue["templates"].as_array().map_or(&[][..], Vec::as_slice);
    let wide = templates.iter().filter_map(|t| t["variants"].as_array()).filter(|v| v.len() > 1);
    let least = templates.len().div_ceil(CAP) + wide.map(|v| v.len().div_ceil(CAP)).sum::<usize>();
    let work = format!(
        "first load of {variants} variants in {} products: calls that write (floor: the least)",
        templates.len()
    );
    let mut row = Row::new(&work, "calls", Wanted::AtMost(MOST));
    (row.floor, row.kilter) = (vec![least as f64], vec![calls["writes"].as_f64().unwrap_or(0.0)]);
    row.notes.push(format!("{:.1} s, {} MiB at the most", took.as_secs_f64(), memory >> 20));
    Ok(row)
}

const CONFIG: &str = r#"
locations = ["main"]

[kilter]
store = "kilter.sqlite"
listen = "{listen}"
public_url = "http://{listen}"

[price_list.retail]
currency = "EUR"
tax = "included"

[connection.erp]
connector = "odoo"
url = "{erp}"
database = "erp"
api_key = "test-key"
rounding_product = "1"
locales = { en_US = "en_US" }
price_lists = { retail = "2" }
locations = { main = "1" }
[connection.erp.lookup.taxes]
"19" = "1"
[connection.erp.lookup.order_price_lists]
EUR = "2"
[connection.erp.lookup.services]
shipping = "1"
fee = "2"
[connection.erp.lookup.countries]
DE = "base.de"

[connection.shop]
connector = "woocommerce"
url = "{shop}"
consumer_key = "ck_test"
consumer_secret = "cs_test"
locale = "en_US"
currency = "EUR"
price_list = "retail"
locations = ["main"]
{more}
[connection.shop.orders]
prefix = "S"
since = "2020-01-01T00:00:00Z"
[connection.shop.lookup.taxes]
"19" = "1"

[own.product]
"*" = "erp"
[own.variant]
"*" = "erp"
[own.price]
"*" = "erp"
[own.stock]
"*" = "erp"
[own.customer]
"*" = "origin"
[own.order]
"*" = "origin"
fulfilment = "erp"
[own.refund]
"*" = "origin"
[own.shipment]
"*" = "erp"
"#;
