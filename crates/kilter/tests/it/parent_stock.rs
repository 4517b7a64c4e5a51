//! A merchant makes a variable product hold one figure for all its variations, or switches a product's
//! stock off. The ERP knows a figure per variant: each gets its own again, and the next plan is empty.
//!
//! The story: `manage_stock` was said at create alone. A shop that was there before Kilter kept its
//! "parent", took each figure with a 200, and threw it away.

use crate::support::{Rig, seed};
use serde_json::{Value, json};

const STOCK: u32 = 10;

async fn put(rig: &Rig, path: &str, body: &Value) -> Value {
    let url = format!("{}/wp-json/wc/v3/{path}", rig.de.url());
    let request = rig.http.put(url).basic_auth("ck_test", Some("cs_test"));
    let request = request.header("content-type", "application/json").body(body.to_string());
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

async fn read(rig: &Rig, path: &str) -> Value {
    let url = format!("{}/wp-json/wc/v3/{path}", rig.de.url());
    let answer = rig.http.get(url).basic_auth("ck_test", Some("cs_test")).send().await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

async fn of_sku(rig: &Rig, sku: &str) -> Value {
    let found = read(rig, &format!("products?sku={sku}")).await;
    found[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variation_whose_parent_holds_the_stock_gets_its_own_figure() {
    let rig = Rig::start("parent-stock").await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(2, STOCK)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");

    let one = of_sku(&rig, "TEE-000-M").await;
    let (id, parent) = (one["id"].as_u64().unwrap(), one["parent_id"].as_u64().unwrap());
    let at = format!("products/{parent}/variations/{id}");
    assert_eq!(read(&rig, &at).await["stock_quantity"], STOCK, "as the ERP says");
    put(
        &rig,
        &format!("products/{parent}"),
        &json!({ "manage_stock": true, "stock_quantity": 99 }),
    )
    .await;
    put(&rig, &at, &json!({ "manage_stock": "parent" })).await;
    let shown = read(&rig, &at).await;
    assert_eq!((&shown["manage_stock"], &shown["stock_quantity"]), (&json!("parent"), &json!(99)));

    let simple = of_sku(&rig, "MUG-001").await;
    let simple = format!("products/{}", simple["id"]);
    put(&rig, &simple, &json!({ "manage_stock": false })).await;

    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    for path in [&at, &simple] {
        let shown = read(&rig, path).await;
        let stock = (&shown["manage_stock"], &shown["stock_quantity"]);
        assert_eq!(stock, (&json!(true), &json!(STOCK)), "{path}: {told}");
    }
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "the next plan is empty: {told}");
}
