//! A shop that was full before Kilter came, with other prices than the ERP's: nothing is doubled,
//! nothing is created early, and many changes wait until a person has seen them.

use crate::support::{Rig, seed};
use serde_json::{Value, json};

const MUGS: usize = 30;

/// The German shop has had `n` of the mugs for years, at a price of its own.
async fn full(rig: &Rig, n: usize) {
    let mugs: Vec<Value> = (0..n)
        .map(|i| {
            json!({ "name": format!("Becher {i} – Öl"), "type": "simple", "status": "publish",
                "sku": format!("MUG-{i:03}"), "regular_price": "5.55", "stock_quantity": 1 })
        })
        .collect();
    rig.post(&format!("{}/_twin/seed", rig.de.url()), &json!({ "products": mugs })).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(MUGS, 10)).await;
}

async fn prices(rig: &Rig) -> (usize, usize, usize) {
    let url = format!("{}/wp-json/wc/v3/products?per_page=100&type=simple", rig.de.url());
    let answer = rig.http.get(url).basic_auth("ck_test", Some("cs_test")).send().await.unwrap();
    let rows: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let rows = rows.as_array().unwrap();
    let old = rows.iter().filter(|r| r["regular_price"] == "5.55").count();
    let mut skus: Vec<&str> = rows.iter().map(|r| r["sku"].as_str().unwrap()).collect();
    skus.sort_unstable();
    skus.dedup();
    (rows.len(), old, skus.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_of_what_stood_there_wait_until_they_are_approved() {
    let rig = Rig::start("guard").await;
    full(&rig, 20).await;
    let (code, told) = rig.run(&["sync", "--json"]).await;
    assert_eq!(code, 0, "{told}");
    let said: Value = serde_json::from_str(&told).unwrap();
    let reason = said["asked"][0].as_str().unwrap_or_else(|| panic!("nothing is held: {told}"));
    assert!(reason.starts_with("20 of "), "{reason}");
    assert_eq!(prices(&rig).await, (MUGS, 20, MUGS), "new ones came, old ones stayed: {told}");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 2, "plan shows what would change: {told}");

    let (code, told) = rig.run(&["sync", "--approve"]).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(prices(&rig).await, (MUGS, 0, MUGS), "{told}");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_changes_or_a_wider_limit_ask_nobody() {
    for (name, there, limits) in [
        ("guard-few", 4, ""),
        ("guard-wide", 20, "\n[limits]\nmass_percent = 100\nmass_objects = 1000\n"),
    ] {
        let rig = Rig::start(name).await;
        let text = std::fs::read_to_string(rig.toml()).unwrap();
        std::fs::write(rig.toml(), format!("{text}{limits}")).unwrap();
        full(&rig, there).await;
        let (code, told) = rig.run(&["sync"]).await;
        assert_eq!(code, 0, "{name}: {told}");
        assert_eq!(prices(&rig).await, (MUGS, 0, MUGS), "{name}: {told}");
    }
}
