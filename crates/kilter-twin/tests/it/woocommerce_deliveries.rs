//! Every recorded webhook delivery of a real shop: provoked, and compared with what comes.
//!
//! Reads   the `webhook_*` recordings of the shared folder (`KILTER_SHARED`, or beside the workspace).
//! Writes  the count of what was replayed.
//! Never   compares with the twin's own earlier output: the recording is the only measure.

use std::collections::BTreeSet;

use crate::support::{self, Shop, differences, listener, samples, shop};
use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

/// The recordings of deliveries, the ping apart.
const FILES: &[&str] = &[
    "webhook_customer_created_deliveries.json",
    "webhook_customer_deleted_deliveries.json",
    "webhook_order_created_deliveries.json",
    "webhook_order_deleted_deliveries.json",
    "webhook_order_updated_delivery.json",
    "webhook_payload_after_deletion.json",
    "webhook_product_created_deliveries.json",
    "webhook_product_deleted_deliveries.json",
    "webhook_product_updated_delivery.json",
    "webhook_product_updated_variation_delivery.json",
    "webhook_refund_deliveries.json",
];

fn read(folder: &std::path::Path, name: &str) -> Value {
    let text = std::fs::read_to_string(folder.join(name)).expect("a recording");
    serde_json::from_str(&text).expect("JSON")
}

/// Every recorded delivery: topic by topic, the headers it had, the keys and types of its body,
/// its signature.
#[tokio::test]
async fn the_recorded_deliveries() {
    let Some(folder) = samples() else {
        println!("deliveries: skipped, the recordings are not here (set KILTER_SHARED)");
        return;
    };
    let ears = listener().await;
    let shop = shop(&[("webhook_delay_ms", "60")]).await;
    let secret = "s3cret&<\"'>";
    for topic in [
        "product.created",
        "product.updated",
        "product.deleted",
        "product.published",
        "order.created",
        "order.updated",
        "order.deleted",
        "customer.created",
        "customer.updated",
        "customer.deleted",
        "coupon.deleted",
    ] {
        let url = format!("{}/hook/{topic}", ears.url);
        let hook = json!({ "name": "x", "topic": topic, "delivery_url": url, "secret": secret });
        assert_eq!(shop.post("/webhooks", hook).await.status, 201);
    }
    let ping = ears.take().remove(0);
    let recorded = read(&folder, "webhook_ping_delivery.json");
    assert_eq!(recorded["body"], json!(ping.body));
    assert_eq!(headers(&recorded), own(&ping), "headers of a ping");
    let mut replayed = 1;
    for file in FILES {
        let recorded = read(&folder, file);
        let list = recorded.as_array().cloned().unwrap_or_else(|| vec![recorded.clone()]);
        provoke(&shop, &ears, file).await;
        let heard = ears.take();
        let topics: Vec<&str> = heard.iter().map(support::Heard::topic).collect();
        let mut left: Vec<&support::Heard> = heard.iter().collect();
        for one in &list {
            let topic = one["path"].as_str().expect("a path").trim_start_matches("/hook/");
            let body: Value =
                serde_json::from_str(one["body"].as_str().expect("a body")).expect("JSON");
            let wanted = body["type"] == "variation";
            let at = left
                .iter()
                .position(|h| h.topic() == topic && (h.json()["type"] == "variation") == wanted);
            let at = at.unwrap_or_else(|| panic!("{file}: no {topic} in {topics:?}"));
            let came = left.remove(at);
            let mut found = Vec::new();
            differences(&body, &came.json(), "", &mut found);
            assert!(found.is_empty(), "{file} {topic}: {}", found.join("; "));
            assert_eq!(headers(one), own(came), "{file}: headers");
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
            mac.update(came.body.as_bytes());
            let good =
                base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
            assert_eq!(came.headers["x-wc-webhook-signature"], good, "{file}: signature");
        }
        assert!(left.is_empty(), "{file}: more than was recorded: {topics:?}");
        replayed += 1;
    }
    println!("replayed {replayed} recorded deliveries");
}

fn headers(recorded: &Value) -> BTreeSet<String> {
    let list = recorded["headers"].as_array().expect("headers");
    let names = list.iter().filter_map(|pair| pair[0].as_str()).map(str::to_lowercase);
    names.filter(|name| name != "accept-encoding").collect()
}

fn own(heard: &support::Heard) -> BTreeSet<String> {
    heard.headers.keys().filter(|name| *name != "accept-encoding").cloned().collect()
}

/// Does what was done before the recording, and waits for what the shop sends.
async fn provoke(shop: &Shop, ears: &support::Listener, file: &str) {
    let product = shop.post("/products", json!({
        "name": "Mug", "manage_stock": true, "stock_quantity": 50, "regular_price": "9.90",
        "global_unique_id": file, "meta_data": [
            { "key": "_hub_ref", "value": "x" }, { "key": "hub_obj", "value": { "a": 1, "b": [true, null] } }
        ],
    })).await.json["id"].clone();
    let shirt = shop.post("/products", json!({
        "name": "T-Shirt", "type": "variable",
        "attributes": [{ "name": "Size", "variation": true, "options": ["S"] }, { "name": "Colour", "variation": true, "options": ["Red"] }],
    })).await.json["id"].clone();
    let variation = shop.post(&format!("/products/{shirt}/variations"), json!({
        "regular_price": "18", "manage_stock": true, "stock_quantity": 9,
        "attributes": [{ "name": "Size", "option": "S" }, { "name": "Colour", "option": "Red" }],
    })).await.json["id"].clone();
    let email = format!("{}@example.com", file.replace(".json", ""));
    let customer = shop.post("/customers", json!({ "email": email })).await.json["id"].clone();
    let order = json!({
        "status": "processing", "payment_method": "bacs", "customer_id": customer, "set_paid": true,
        "line_items": [{ "product_id": product, "quantity": 1 }, { "product_id": shirt, "variation_id": variation, "quantity": 2 }],
    });
    let needs_order =
        file.contains("order_updated") || file.contains("order_deleted") || file.contains("refund");
    let made = if needs_order {
        shop.post("/orders", order.clone()).await.json["id"].clone()
    } else {
        json!(0)
    };
    if file.contains("refund") {
        shop.put(&format!("/orders/{made}"), json!({ "status": "completed" })).await;
    }
    shop.settled().await;
    ears.take();
    act(shop, file, [&product, &shirt, &variation, &customer, &made], order).await;
    shop.settled().await;
}

/// The one thing that was recorded.
async fn act(shop: &Shop, file: &str, ids: [&Value; 5], order: Value) {
    let [product, shirt, variation, customer, made] = ids;
    match file {
        "webhook_customer_created_deliveries.json" => {
            shop.post("/customers", json!({ "email": "hook@example.com" })).await;
        }
        "webhook_customer_deleted_deliveries.json" => {
            shop.delete(&format!("/customers/{customer}?force=true")).await;
        }
        "webhook_order_created_deliveries.json" => {
            shop.post("/orders", order).await;
        }
        "webhook_order_deleted_deliveries.json" => {
            shop.delete(&format!("/orders/{made}")).await;
        }
        "webhook_order_updated_delivery.json" => {
            shop.put(&format!("/orders/{made}"), json!({ "status": "completed" })).await;
        }
        "webhook_refund_deliveries.json" => {
            shop.post(
                &format!("/orders/{made}/refunds"),
                json!({ "amount": "1.00", "api_refund": false }),
            )
            .await;
        }
        "webhook_payload_after_deletion.json" => {
            let id = shop.post("/products", json!({ "name": "gone" })).await.json["id"].clone();
            shop.put(&format!("/products/{id}"), json!({ "name": "gone 2" })).await;
            shop.delete(&format!("/products/{id}?force=true")).await;
        }
        "webhook_product_created_deliveries.json" => {
            shop.post("/products", json!({ "name": "hooked" })).await;
        }
        "webhook_product_deleted_deliveries.json" => {
            shop.delete(&format!("/products/{product}")).await;
        }
        "webhook_product_updated_delivery.json" => {
            shop.put(&format!("/products/{product}"), json!({ "stock_quantity": 21 })).await;
        }
        _ => {
            let path = format!("/products/{shirt}/variations/{variation}");
            shop.put(&path, json!({ "stock_quantity": 12 })).await;
        }
    }
}
