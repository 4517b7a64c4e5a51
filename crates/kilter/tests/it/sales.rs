//! Sale prices with dates: the ERP says from when to when, in UTC; shops in other zones begin and end
//! at the same moments. What is over goes; what an editor put on sale himself stays.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{Rig, Urls, seed};
use kilter_twin::{Options, Running};
use serde_json::{Value, json};

/// A rule of the list EUR (2) or USD (3) that holds for a time.
async fn sale(rig: &Rig, list: i64, sku: &str, price: f64, from: &str, to: &str) -> Value {
    let body = json!({ "domain": [["default_code", "=", sku]] });
    let variant = rig.call_erp("product.product/search", &body).await[0].clone();
    let date = |text: &str| if text.is_empty() { json!(false) } else { json!(text) };
    let vals = json!({ "pricelist_id": list, "applied_on": "0_product_variant",
        "product_id": variant, "compute_price": "fixed", "fixed_price": price,
        "date_start": date(from), "date_end": date(to) });
    let made = rig.call_erp("product.pricelist.item/create", &json!({ "vals_list": [vals] })).await;
    made[0].clone()
}

async fn shown(rig: &Rig, shop: &Running, sku: &str) -> Value {
    let url = format!("{}/wp-json/wc/v3/products?sku={sku}", shop.url());
    let answer = rig.http.get(url).basic_auth("ck_test", Some("cs_test")).send().await.unwrap();
    let rows: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    rows[0].clone()
}

/// Sale price, from and to, in UTC.
fn offer(row: &Value) -> (&str, Value, Value) {
    let at = |name: &str| row[name].clone();
    (row["sale_price"].as_str().unwrap(), at("date_on_sale_from_gmt"), at("date_on_sale_to_gmt"))
}

async fn sync(rig: &Rig, args: &[&str]) -> Value {
    let mut all = vec!["sync", "--json"];
    all.extend(args);
    let (code, told) = rig.run(&all).await;
    assert_eq!(code, 0, "{told}");
    let line = told.lines().find(|line| line.starts_with('{')).unwrap();
    serde_json::from_str(line).unwrap()
}

async fn started(name: &str) -> (Rig, Running) {
    let rig = Rig::start(name).await;
    // A shop nine hours behind, and the German one at +0: a moment is a moment.
    let settings = [("currency", "USD"), ("locale", "en_US"), ("timezone", "-9")];
    let settings: BTreeMap<String, String> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let options = Options { port: None, seed: 7, settings };
    let far = kilter_twin::start("woocommerce", options).await.unwrap();
    rig.config(&Urls { erp: rig.erp.url(), de: rig.de.url(), us: far.url() });
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    std::fs::write(rig.toml(), format!("{text}\n[own.sale]\n\"*\" = \"erp\"\n")).unwrap();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(6, 10)).await;
    sync(&rig, &[]).await;
    (rig, far)
}

/// Seconds until a sale ends: more than the first run takes on a busy machine.
const ENDS: i64 = 20;

fn moment(seconds: i64) -> (String, String) {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let text = at.to_string();
    let text = text.split(['.', 'Z']).next().unwrap();
    (text.replace('T', " "), text.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_begins_and_ends_at_the_same_moment_in_every_zone() {
    let (rig, far) = started("sales").await;
    let (from_sql, from) = moment(86_400);
    let (to_sql, to) = moment(7 * 86_400);
    // A product of its own and a variant, to come; one without an end; one that is over already.
    sale(&rig, 2, "MUG-001", 8.5, &from_sql, &to_sql).await;
    sale(&rig, 3, "MUG-001", 9.5, &from_sql, &to_sql).await;
    sale(&rig, 2, "TEE-000-M", 15.0, &from_sql, "").await;
    sale(&rig, 2, "MUG-002", 7.0, "", &moment(-60).0).await;
    // Not below the price of 13.90: no sale.
    sale(&rig, 2, "MUG-003", 13.9, "", &to_sql).await;
    // An editor's own sale, of a product that the ERP never had a sale of.
    let own = shown(&rig, &rig.de, "MUG-004").await;
    let url = format!("{}/wp-json/wc/v3/products/{}", rig.de.url(), own["id"]);
    let request = rig.http.put(url).basic_auth("ck_test", Some("cs_test"));
    let request = request.header("content-type", "application/json");
    request.body(json!({ "sale_price": "1.00" }).to_string()).send().await.unwrap();
    sync(&rig, &[]).await;

    let mug = shown(&rig, &rig.de, "MUG-001").await;
    assert_eq!(offer(&mug), ("8.50", json!(from), json!(to)));
    assert_eq!(mug["on_sale"], false, "it is to come");
    let abroad = shown(&rig, &far, "MUG-001").await;
    assert_eq!(offer(&abroad), ("9.50", json!(from), json!(to)), "the same moment");
    assert_ne!(abroad["date_on_sale_from"], json!(from), "by another clock: {abroad}");
    let tee = shown(&rig, &rig.de, "TEE-000-M").await;
    assert_eq!(offer(&tee), ("15.00", json!(from), Value::Null));
    for (sku, shows) in [("MUG-002", ""), ("MUG-003", ""), ("MUG-004", "1.00"), ("MUG-005", "")] {
        let row = shown(&rig, &rig.de, sku).await;
        assert_eq!(offer(&row), (shows, Value::Null, Value::Null), "{sku}");
    }
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "the next plan is empty: {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_that_is_over_or_taken_back_goes_and_the_next_one_comes() {
    let (rig, _far) = started("sales-over").await;
    let (end_sql, end) = moment(ENDS);
    let (next_sql, next) = moment(86_400);
    let held = sale(&rig, 2, "MUG-001", 8.5, "", &end_sql).await;
    sale(&rig, 2, "MUG-001", 9.0, &next_sql, "").await;
    sale(&rig, 2, "MUG-002", 8.0, "", &end_sql).await;
    let taken = sale(&rig, 2, "TEE-000-L", 12.0, "", "").await;
    // Without a date it is a price, and no sale.
    let dated = json!({ "ids": [taken], "vals": { "date_end": next_sql } });
    rig.call_erp("product.pricelist.item/write", &dated).await;
    sync(&rig, &[]).await;
    let mug = shown(&rig, &rig.de, "MUG-001").await;
    assert_eq!(offer(&mug), ("8.50", Value::Null, json!(end)));
    assert_eq!(mug["price"], "8.50", "it holds now");
    assert_eq!(offer(&shown(&rig, &rig.de, "MUG-002").await).0, "8.00");
    assert_eq!(offer(&shown(&rig, &rig.de, "TEE-000-L").await).0, "12.00");
    let status = rig.status().await;
    let due: i64 = status["resources"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["connection"] == "de")
        .map(|r| r["due"].as_i64().unwrap())
        .sum();
    assert_eq!(due, 0, "what is due at its end is not due now: {status}");

    // Nobody says anything: the date passes.
    let over = format!("{end}Z").parse::<jiff::Timestamp>().unwrap();
    while jiff::Timestamp::now() < over + jiff::SignedDuration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    sync(&rig, &[]).await;
    let mug = shown(&rig, &rig.de, "MUG-001").await;
    assert_eq!(offer(&mug), ("9.00", json!(next), Value::Null), "the next one");
    let over = shown(&rig, &rig.de, "MUG-002").await;
    assert_eq!(offer(&over), ("", Value::Null, Value::Null), "what is over is gone");

    // A rule that is deleted moves no date: the whole reading finds it.
    rig.call_erp("product.pricelist.item/unlink", &json!({ "ids": [held, taken] })).await;
    let (_, told) = rig.run(&["backfill", "--json"]).await;
    let tee = shown(&rig, &rig.de, "TEE-000-L").await;
    assert_eq!(offer(&tee), ("", Value::Null, Value::Null), "{told}");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "the next plan is empty: {told}");
}
