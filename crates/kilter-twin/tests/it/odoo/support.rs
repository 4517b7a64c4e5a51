//! A running twin with a small shop in it, and short ways to call it.
//!
//! Reads   nothing of the twin's own code beyond how to start it.
//! Writes  calls over HTTP.
//! Never   holds an expected value; those stand in the tests, from the facts.

use std::path::PathBuf;

use kilter_twin::{Options, Running};
use serde_json::{Value, json};

pub struct Odoo {
    pub twin: Running,
    client: reqwest::Client,
}

/// The shop of the recorded answers: two widgets at 10.99 and 20.99 with 19 % included, 100 and
/// 200 in the first warehouse, 7 of each in the second, a percentage list, a list in dollars.
pub fn shop() -> Value {
    json!({
        "languages": ["de_DE"],
        "taxes": [{"name": "19% incl", "amount": 19, "included": true, "default": true},
                  {"name": "19% excl", "amount": 19}],
        "fiscal_positions": [{"name": "Export", "countries": ["US"], "taxes": {"19% incl": []}}],
        "warehouses": [{"code": "WST", "name": "West"}],
        "pricelists": [
            {"name": "Retail EUR", "items": [
                {"applied_on": "3_global", "compute_price": "percentage", "percent_price": 10}]},
            {"name": "US USD", "currency": "USD", "items": [
                {"applied_on": "3_global", "compute_price": "formula", "price_discount": 5,
                 "price_round": 0.05, "price_surcharge": -0.01}]}],
        "currencies": {"USD": 1.25},
        "carriers": [{"name": "DHL", "tracking_url": "https://track.example/<shipmenttrackingnumber>"}],
        "partners": [{"name": "Jane", "email": "jane@example.com", "country": "DE"},
                     {"name": "Bob US", "email": "bob@example.com", "country": "US"}],
        "templates": [
            {"name": {"en_US": "Widget 1", "de_DE": "Ding 1"}, "list_price": 10.99,
             "variants": [{"default_code": "SKU-001", "barcode": "B1", "weight": 0.5,
                           "prices": {"US USD": 12.34}, "stock": {"WH": 100, "WST": 7}}]},
            {"name": "Widget 2", "list_price": 20.99,
             "variants": [{"default_code": "SKU-002", "stock": {"WH": 200, "WST": 7}}]},
            {"name": "Shirt", "list_price": 15, "variants": [
                {"default_code": "SH-R-S", "attributes": {"Colour": "Red", "Size": "S"}},
                {"default_code": "SH-R-M", "attributes": {"Colour": "Red", "Size": "M"}}]}]
    })
}

impl Odoo {
    pub async fn start() -> Self {
        Self::with(&[], Some(shop())).await
    }

    pub async fn with(settings: &[(&str, &str)], seed: Option<Value>) -> Self {
        let settings = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let options = Options { port: None, seed: 1, settings };
        let twin = kilter_twin::start("odoo", options).await.expect("start the twin");
        let odoo = Self { twin, client: reqwest::Client::new() };
        if let Some(seed) = seed {
            odoo.office("seed", seed).await;
        }
        odoo
    }

    pub async fn raw(&self, key: &str, path: &str, body: Value) -> (u16, Value) {
        let request = self
            .client
            .post(format!("{}/json/2/{path}", self.twin.url()))
            .header("authorization", format!("bearer {key}"))
            .header("content-type", "application/json; charset=utf-8")
            .body(body.to_string());
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).expect("JSON"))
    }

    pub async fn try_call(&self, path: &str, body: Value) -> (u16, Value) {
        self.raw("test-key", path, body).await
    }

    pub async fn call(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.try_call(path, body.clone()).await;
        assert_eq!(status, 200, "{path} {body}: {answer}");
        answer
    }

    pub async fn office(&self, page: &str, body: Value) -> Value {
        let url = format!("{}/_twin/{page}", self.twin.url());
        let request = match body {
            Value::Null => self.client.get(url),
            body => self.client.post(url).body(body.to_string()),
        };
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{page}: {}", answer.text().await.expect("a body"));
        serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
    }

    /// The id of the first record that matches.
    pub async fn id(&self, model: &str, domain: Value) -> i64 {
        let found = self.call(&format!("{model}/search"), json!({"domain": domain})).await;
        found[0].as_i64().unwrap_or_else(|| panic!("no {model} {domain}"))
    }

    pub async fn sku(&self, code: &str) -> i64 {
        self.id("product.product", json!([["default_code", "=", code]])).await
    }

    pub async fn read(&self, model: &str, id: i64, fields: &[&str]) -> Value {
        let body = json!({"ids": [id], "fields": fields});
        self.call(&format!("{model}/read"), body).await[0].clone()
    }

    pub async fn date(&self, model: &str, id: i64) -> String {
        self.read(model, id, &["write_date"]).await["write_date"].as_str().expect("a date").into()
    }

    /// A draft order of Jane's with these lines.
    pub async fn order(&self, lines: Value) -> i64 {
        let partner = self.id("res.partner", json!([["email", "=", "jane@example.com"]])).await;
        let vals = json!({"partner_id": partner, "order_line": lines});
        let created = self.call("sale.order/create", json!({"vals_list": [vals]})).await;
        created[0].as_i64().expect("an id")
    }
}

/// Numbers as text, since the expected ones are written as the platform wrote them.
pub fn text(value: &Value) -> String {
    value.to_string()
}

/// The next whole second, so that a `write_date` that moves can be seen to move.
pub async fn next_second() {
    tokio::time::sleep(std::time::Duration::from_millis(1050)).await;
}

/// The recorded answers of a real Odoo 19: those after the heading `=====`, by label.
pub fn answer_of(section: &str, label: &str) -> Option<String> {
    let root = match std::env::var_os("KILTER_SHARED") {
        Some(root) => PathBuf::from(root),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let Ok(recorded) = std::fs::read_to_string(root.join("samples/odoo/answers.txt")) else {
        eprintln!("SKIPPED: no recorded answers at {} (set KILTER_SHARED)", root.display());
        return None;
    };
    let heading = format!("===== {section}");
    let start = recorded.find(&heading).expect("the section");
    let label = format!("\n## {label} [");
    let line = recorded[start..].find(&label).expect("the label") + start + 1;
    let line = recorded[line..].lines().next().expect("a line");
    match line.split_once(" ms] ") {
        Some((_, answer)) => Some(answer.to_owned()),
        None => Some(line.to_owned()),
    }
}
