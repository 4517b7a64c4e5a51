//! The back office: a large seed, edits by a person, shipping, faults, webhooks, duplicates.

use std::time::{Duration, Instant};

use crate::odoo::support::{Odoo, next_second, text};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn ten_thousand_variants_are_sown_in_seconds() {
    let templates: Vec<Value> = (0..10_000)
        .map(|n| {
            json!({"name": format!("Product {n}"), "list_price": 10, "variants": [
                {"default_code": format!("P-{n}"), "prices": {"A": 9, "B": 8}, "stock": {"WH": n}}]})
        })
        .collect();
    let seed = json!({"pricelists": [{"name": "A"}, {"name": "B"}], "templates": templates});
    let begun = Instant::now();
    let odoo = Odoo::with(&[], Some(seed)).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let body = json!({"domain": [], "fields": ["default_code"], "order": "id", "limit": 500, "offset": 9_500});
    let found = odoo.call("product.product/search_read", body).await;
    assert_eq!(found[499]["default_code"], "P-9999");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_person_edits_prices_and_stock() {
    let odoo = Odoo::start().await;
    let one = odoo.sku("SKU-001").await;
    let product = odoo.date("product.product", one).await;
    let quant = odoo
        .id(
            "stock.quant",
            json!([["product_id", "=", one], ["location_id.usage", "=", "internal"]]),
        )
        .await;
    let before = odoo.date("stock.quant", quant).await;
    next_second().await;
    odoo.office("stock", json!([{"sku": "SKU-001", "warehouse": "WH", "quantity": 90}])).await;
    assert_ne!(odoo.date("stock.quant", quant).await, before);
    odoo.office("prices", json!([{"sku": "SKU-001", "list": "US USD", "price": 13}])).await;
    assert_eq!(
        odoo.date("product.product", one).await,
        product,
        "neither moves the product's date"
    );
    let moves =
        json!([["product_id", "=", one], ["is_inventory", "=", true], ["state", "=", "done"]]);
    assert_eq!(odoo.call("stock.move/search_count", json!({"domain": moves})).await, json!(1));
    let state = odoo.office("state?part=variants", Value::Null).await;
    let variant =
        state["variants"].as_array().expect("a list").iter().find(|v| v["id"] == one).expect("it");
    assert_eq!(text(&variant["prices"]["US USD"]), "13.0");
    assert_eq!(text(&variant["stock"]["WH"]["on_hand"]), "90.0");
    assert_eq!(text(&variant["stock"]["WST"]["on_hand"]), "7.0");
    assert!(state.get("orders").is_none());
}

#[tokio::test]
async fn a_person_ships_in_parts() {
    let odoo = Odoo::start().await;
    let one = odoo.sku("SKU-001").await;
    let order = odoo.order(json!([[0, 0, {"product_id": one, "product_uom_qty": 4}]])).await;
    odoo.call("sale.order/action_confirm", json!({"ids": [order]})).await;
    let parcel =
        json!([{"order_id": order, "tracking": "T1", "carrier": "DHL", "partial": {"SKU-001": 1}}]);
    let shipped = odoo.office("ship", parcel).await;
    assert_eq!(shipped[0]["pickings"][0]["state"], "done");
    assert_eq!(shipped[0]["pickings"][0]["tracking_url"], "https://track.example/T1");
    odoo.office("ship", json!([{"order_id": "S00001", "tracking": "T2"}])).await;
    let state = odoo.office("state?part=orders", Value::Null).await;
    let order = &state["orders"][0];
    assert_eq!(order["delivery_status"], "full");
    assert_eq!(text(&order["lines"][0]["qty_delivered"]), "4.0");
    assert_eq!(
        (&order["pickings"][0]["tracking"], &order["pickings"][1]["tracking"]),
        (&json!("T1"), &json!("T2"))
    );
}

#[tokio::test]
async fn a_fault_strikes_before_or_after_the_work() {
    let odoo = Odoo::start().await;
    let create = json!({"vals_list": [{"name": "X"}]});
    let count = async || {
        let body = json!({"domain": [["name", "=", "X"]]});
        odoo.call("res.partner/search_count", body).await
    };
    odoo.office(
        "faults",
        json!({"fail_next": 1, "status": 503, "apply": "before", "match": "create"}),
    )
    .await;
    assert_eq!(count().await, json!(0), "the fault waits for its method");
    assert_eq!(odoo.try_call("res.partner/create", create.clone()).await.0, 503);
    assert_eq!(count().await, json!(0));
    odoo.office("faults", json!({"fail_next": 1, "status": 500, "apply": "after"})).await;
    assert_eq!(odoo.try_call("res.partner/create", create.clone()).await.0, 500);
    assert_eq!(count().await, json!(1), "the work is done all the same");
    odoo.office("faults", json!({"fail_next": 1, "status": 0, "apply": "after"})).await;
    let url = format!("{}/json/2/res.partner/create", odoo.twin.url());
    let request = reqwest::Client::new().post(url).header("authorization", "bearer test-key");
    assert!(request.body(create.to_string()).send().await.is_err(), "the connection closes");
    assert_eq!(count().await, json!(2));
    let calls = odoo.office("calls", Value::Null).await;
    assert_eq!(calls["by_method"]["res.partner/create"], json!(2));
    odoo.office("calls/reset", json!({})).await;
    assert_eq!(odoo.office("calls", Value::Null).await["total"], json!(0));
}

#[tokio::test]
async fn a_webhook_says_which_record_and_is_not_tried_again() {
    let odoo = Odoo::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let partner = odoo.id("res.partner", json!([["name", "=", "Jane"]])).await;
    odoo.office("webhooks", json!({"url": url, "models": ["res.partner"]})).await;
    odoo.call("res.partner/write", json!({"ids": [partner], "vals": {"city": "Ulm"}})).await;
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut received = String::new();
    while !received.contains('}') {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.expect("some bytes");
        received.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await.expect("an answer");
    let body: Value =
        serde_json::from_str(received.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
    assert_eq!((&body["_model"], &body["_id"]), (&json!("res.partner"), &json!(partner)));
    assert!(body["_action"].is_string());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let counts = odoo.office("webhooks", Value::Null).await;
    assert_eq!(
        (&counts["sent"], &counts["acknowledged"], &counts["failed"]),
        (&json!(1), &json!(0), &json!(1))
    );
}

#[tokio::test]
async fn the_same_order_under_two_references_is_found() {
    let odoo = Odoo::start().await;
    let one = odoo.sku("SKU-001").await;
    let line = json!([[0, 0, {"product_id": one, "product_uom_qty": 2, "price_unit": 9.99, "discount": 0}]]);
    odoo.order(line.clone()).await;
    let none = odoo.office("duplicates", Value::Null).await;
    assert_eq!(none, json!({"content": [], "reference": []}));
    let second = odoo.order(line).await;
    let vals = json!({"client_order_ref": "WEB-2"});
    odoo.call("sale.order/write", json!({"ids": [second], "vals": vals})).await;
    let found = odoo.office("duplicates", Value::Null).await;
    assert_eq!(found["content"][0]["orders"].as_array().map(Vec::len), Some(2));
    assert_eq!(found["reference"], json!([]));
}

#[tokio::test]
async fn an_unknown_setting_names_the_known_ones() {
    let settings = [("colour".to_owned(), "red".to_owned())].into();
    let options = kilter_twin::Options { port: None, seed: 0, settings };
    let error = kilter_twin::start("odoo", options).await.expect_err("an error").to_string();
    assert!(error.contains("colour") && error.contains("api_key"), "{error}");
}
