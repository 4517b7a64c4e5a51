//! The behaviours of `woocommerce-observed.md` that concern webhooks (1 to 11), by their numbers.
//!
//! Reads   the twin over HTTP, with a listener of its own.
//! Writes  nothing.
//! Never   expects what the twin says, only what was observed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::{Listener, Shop, listener, shop};
use serde_json::{Value, json};

async fn product(shop: &Shop, body: Value) -> Value {
    let answer = shop.post("/products", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json
}

async fn managed(shop: &Shop, sku: &str, stock: i64) -> u64 {
    let body = json!({
        "name": sku, "sku": sku, "regular_price": "10", "manage_stock": true,
        "stock_quantity": stock,
    });
    product(shop, body).await["id"].as_u64().expect("an id")
}

async fn hook(shop: &Shop, ears: &Listener, topic: &str, path: &str) -> u64 {
    let url = format!("{}{path}", ears.url);
    let body = json!({ "topic": topic, "delivery_url": url, "secret": "s" });
    let answer = shop.post("/webhooks", body).await;
    assert_eq!(answer.status, 201);
    ears.take();
    answer.json["id"].as_u64().expect("an id")
}

fn topics(ears: &Listener) -> Vec<String> {
    let mut out: Vec<String> = ears.take().iter().map(|h| h.topic().to_owned()).collect();
    out.sort();
    out
}

/// 1: the delivery id is shared by the deliveries of one second.
#[tokio::test]
async fn o01_delivery_ids_repeat() {
    let (shop, ears) = (shop(&[("webhook_delay_ms", "0")]).await, listener().await);
    hook(&shop, &ears, "product.created", "/").await;
    let create: Vec<Value> = (0..40).map(|n| json!({ "name": format!("p{n}") })).collect();
    shop.post("/products/batch", json!({ "create": create })).await;
    shop.settled().await;
    let heard = ears.take();
    let ids: BTreeSet<&String> =
        heard.iter().map(|h| &h.headers["x-wc-webhook-delivery-id"]).collect();
    assert_eq!(heard.len(), 40);
    assert!(ids.len() < 40, "{} ids", ids.len());
}

/// 2: no retries; the 7th consecutive failure disables; PUT active re-enables; 302 is a success.
#[tokio::test]
async fn o02_failures_disable() {
    let (shop, ears) = (shop(&[("webhook_delay_ms", "0")]).await, listener().await);
    let id = hook(&shop, &ears, "coupon.created", "/status/500").await;
    let mut heard = Vec::new();
    for n in 1..=8 {
        shop.post("/coupons", json!({ "code": format!("c{n}"), "amount": "1" })).await;
        shop.settled().await;
        let status = shop.get(&format!("/webhooks/{id}")).await.json["status"].clone();
        heard.push((ears.take().len(), status));
    }
    let active = (2, json!("active"));
    let mut expected = vec![active; 6];
    expected.extend([(1, json!("disabled")), (0, json!("disabled"))]);
    assert_eq!(heard, expected, "observed: 6 x (2, active), (1, disabled), (0, disabled)");
    let url = format!("{}/status/302", ears.url);
    let body = json!({ "status": "active", "delivery_url": url });
    assert_eq!(shop.put(&format!("/webhooks/{id}"), body).await.json["status"], "active");
    shop.post("/coupons", json!({ "code": "c9", "amount": "1" })).await;
    let state = shop.settled().await;
    assert_eq!(ears.take().len(), 2, "a ping at activation and the delivery, both answered 302");
    assert_eq!(state["acknowledged"], json!(1));
    assert_eq!(shop.get(&format!("/webhooks/{id}")).await.json["status"], "active");
}

/// 3: the body is built when it is sent; sends of one object are coalesced.
#[tokio::test]
async fn o03_bodies_are_late() {
    let (shop, ears) = (shop(&[("webhook_delay_ms", "300")]).await, listener().await);
    hook(&shop, &ears, "order.created", "/").await;
    hook(&shop, &ears, "order.updated", "/").await;
    let id = shop.post("/orders", json!({})).await.json["id"].clone();
    for status in ["on-hold", "processing", "completed"] {
        shop.put(&format!("/orders/{id}"), json!({ "status": status })).await;
    }
    shop.settled().await;
    let heard = ears.take();
    let said: BTreeSet<(String, String)> = heard
        .iter()
        .map(|h| (h.topic().to_owned(), h.json()["status"].as_str().unwrap_or("").to_owned()))
        .collect();
    let expected =
        ["order.created", "order.updated"].map(|t| (t.to_owned(), "completed".to_owned()));
    assert_eq!(heard.len(), 2);
    assert_eq!(said, BTreeSet::from(expected));
}

/// 5: what deletion sends, and what it does not.
#[tokio::test]
async fn o05_deletions() {
    let (shop, ears) = (shop(&[("webhook_delay_ms", "0")]).await, listener().await);
    for topic in [
        "coupon.deleted",
        "product.deleted",
        "product.restored",
        "product.published",
        "product.updated",
        "order.deleted",
    ] {
        hook(&shop, &ears, topic, "/").await;
    }
    let one = managed(&shop, "A", 1).await;
    shop.settled().await;
    ears.take();
    shop.delete(&format!("/products/{one}")).await;
    shop.settled().await;
    let heard = ears.take();
    assert!(heard.iter().all(|h| h.json() == json!({ "id": one })), "the product's id, both times");
    assert_eq!(heard.len(), 2);
    shop.put(&format!("/products/{one}"), json!({ "status": "publish" })).await;
    shop.settled().await;
    assert_eq!(topics(&ears), ["product.published", "product.updated"]);
    shop.delete(&format!("/products/{one}?force=true")).await;
    let order = shop.post("/orders", json!({})).await.json["id"].clone();
    shop.delete(&format!("/orders/{order}?force=true")).await;
    shop.settled().await;
    assert_eq!(topics(&ears), Vec::<String>::new());
}

/// 6: order notes fire nothing and do not move `date_modified`.
#[tokio::test]
async fn o06_notes_are_silent() {
    let (shop, ears) =
        (shop(&[("webhook_delay_ms", "0"), ("clock_rate", "1000")]).await, listener().await);
    hook(&shop, &ears, "order.updated", "/").await;
    let order = shop.post("/orders", json!({})).await.json;
    shop.settled().await;
    ears.take();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let path = format!("/orders/{}", order["id"]);
    assert_eq!(shop.post(&format!("{path}/notes"), json!({ "note": "x" })).await.status, 201);
    shop.settled().await;
    assert!(ears.take().is_empty());
    assert_eq!(shop.get(&path).await.json["date_modified"], order["date_modified"]);
}

/// 7: variations: `product.updated` with their id, readable and not writable under `/products`.
#[tokio::test]
async fn o07_variations() {
    let (shop, ears) = (shop(&[("webhook_delay_ms", "0")]).await, listener().await);
    hook(&shop, &ears, "product.updated", "/").await;
    let attributes = json!([{ "name": "Colour", "variation": true, "options": ["Red"] }]);
    let body = json!({ "name": "T", "type": "variable", "attributes": attributes });
    let parent = product(&shop, body).await["id"].clone();
    let body =
        json!({ "regular_price": "1", "attributes": [{ "name": "Colour", "option": "Red" }] });
    let path = format!("/products/{parent}/variations");
    let id = shop.post(&path, body).await.json["id"].clone();
    shop.settled().await;
    ears.take();
    shop.put(&format!("{path}/{id}"), json!({ "regular_price": "2" })).await;
    shop.settled().await;
    let heard = ears.take();
    assert_eq!(heard.len(), 1);
    assert_eq!((&heard[0].json()["id"], &heard[0].json()["type"]), (&id, &json!("variation")));
    assert_eq!(shop.get(&format!("/products/{id}")).await.json["parent_id"], parent);
    let refused = shop.put(&format!("/products/{id}"), json!({ "name": "x" })).await;
    assert_eq!(
        (refused.status, &refused.json["code"]),
        (404, &json!("woocommerce_rest_invalid_product_id"))
    );
    let batch = shop.post("/products/batch", json!({ "update": [{ "id": id }] })).await.json;
    assert_eq!(batch["update"][0]["error"]["code"], "woocommerce_rest_invalid_product_id");
    let body = json!({ "attributes": [{ "name": "Nothing", "option": "x" }] });
    assert_eq!(shop.put(&format!("{path}/{id}"), body).await.json["attributes"], json!([]));
}

/// 8: the ping is inside the creating request, unsigned; creation succeeds when it fails.
#[tokio::test]
async fn o08_pings() {
    let (shop, ears) = (shop(&[]).await, listener().await);
    let started = Instant::now();
    let id = {
        let url = format!("{}/slow", ears.url);
        shop.post("/webhooks", json!({ "topic": "order.updated", "delivery_url": url })).await.json
            ["id"]
            .clone()
    };
    assert!(started.elapsed() >= Duration::from_millis(950));
    let heard = ears.take();
    assert_eq!(heard[0].body, format!("webhook_id={id}"));
    assert!(!heard[0].headers.contains_key("x-wc-webhook-signature"));
    let body = json!({ "topic": "order.updated", "delivery_url": "http://127.0.0.1:9/x" });
    let made = shop.post("/webhooks", body).await;
    assert_eq!((made.status, &made.json["status"]), (201, &json!("active")));
}

/// 9: bodies escape `/` and everything beyond ASCII.
#[tokio::test]
async fn o09_escapes() {
    let (shop, ears) = (shop(&[("webhook_delay_ms", "0")]).await, listener().await);
    hook(&shop, &ears, "product.created", "/").await;
    product(&shop, json!({ "name": "Größe 1/2 😀" })).await;
    shop.settled().await;
    let body = &ears.take()[0].body;
    assert!(body.is_ascii());
    assert!(body.contains(r"Gr\u00f6\u00dfe 1\/2 \ud83d\ude00"), "{body}");
}

/// 10 and 11: a PUT that changes nothing counts; rapid PUTs give fewer deliveries.
#[tokio::test]
async fn o10_o11_every_put_counts() {
    let (shop, ears) = (shop(&[("clock_rate", "1000")]).await, listener().await);
    hook(&shop, &ears, "product.updated", "/").await;
    let id = managed(&shop, "A", 30).await;
    let before = shop.get(&format!("/products/{id}")).await.json["date_modified"].clone();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let after = shop.put(&format!("/products/{id}"), json!({ "stock_quantity": 30 })).await.json;
    assert_ne!(after["date_modified"], before);
    for stock in 31..=34 {
        shop.put(&format!("/products/{id}"), json!({ "stock_quantity": stock })).await;
    }
    shop.settled().await;
    let heard = ears.take();
    assert!((1..5).contains(&heard.len()), "{} deliveries of 5 changes", heard.len());
    assert_eq!(heard.last().expect("one").json()["stock_quantity"], 34);
}

/// Trap 3 of the facts: a sale does not move a product's `date_modified`, and fires its webhook.
#[tokio::test]
async fn t03_sales_leave_dates_alone() {
    let (shop, ears) =
        (shop(&[("webhook_delay_ms", "0"), ("clock_rate", "1000")]).await, listener().await);
    hook(&shop, &ears, "product.updated", "/").await;
    let id = managed(&shop, "A", 10).await;
    let before = shop.get(&format!("/products/{id}")).await.json["date_modified"].clone();
    tokio::time::sleep(Duration::from_millis(20)).await;
    shop.act("orders", json!({ "lines": [{ "sku": "A", "quantity": 3 }] })).await;
    let after = shop.get(&format!("/products/{id}")).await.json;
    assert_eq!((&after["stock_quantity"], &after["date_modified"]), (&json!(7), &before));
    shop.settled().await;
    assert_eq!(ears.take().len(), 1);
}
