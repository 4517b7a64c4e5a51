//! The resources beside products and orders, and the shapes of the back office.
//!
//! Reads   the twin over HTTP.
//! Writes  nothing.
//! Never   expects what the facts do not say.

use crate::support::{Shop, shop};
use serde_json::{Value, json};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default()
}

async fn shirt(shop: &Shop) -> (u64, u64) {
    let attributes = json!([{ "name": "Size", "variation": true, "options": ["S", "M"] }]);
    let one = |size: &str| {
        json!({
            "sku": format!("T-{size}"), "regular_price": "5", "stock_quantity": 4,
            "attributes": [{ "name": "Size", "option": size }],
        })
    };
    let product = json!({ "name": "T", "sku": "T", "attributes": attributes, "variations": [one("S"), one("M")] });
    let made = shop.act("seed", json!({ "products": [product] })).await;
    let made = &made["products"][0];
    (made["id"].as_u64().expect("an id"), made["variations"][0]["id"].as_u64().expect("an id"))
}

/// `GET /variations` is flat and carries `parent_id`; a list by SKU finds variations too.
#[tokio::test]
async fn variations_flat_and_by_sku() {
    let shop = shop(&[]).await;
    let (parent, child) = shirt(&shop).await;
    let flat = shop.get("/variations?per_page=100").await.json;
    assert_eq!(flat.as_array().map(Vec::len), Some(2));
    assert_eq!(flat[0]["parent_id"], json!(parent));
    let found = shop.get("/products?sku=t-s,NOPE").await.json;
    assert_eq!((&found[0]["id"], &found[0]["type"]), (&json!(child), &json!("variation")));
    let all = shop.get("/products?per_page=100").await.json;
    assert_eq!(all.as_array().map(Vec::len), Some(1), "a plain list has no variations");
    let future = shop.get("/variations?modified_after=2130-01-01T00:00:00").await.json;
    assert_eq!(future.as_array().map(Vec::len), Some(2), "no date filter of their own");
}

#[tokio::test]
async fn variations_in_a_batch() {
    let shop = shop(&[]).await;
    let (parent, child) = shirt(&shop).await;
    let body = json!({
        "update": [{ "id": child, "stock_quantity": 9 }],
        "create": [{ "sku": "T", "attributes": [] }],
    });
    let path = format!("/products/{parent}/variations/batch");
    let done = shop.post(&path, body).await;
    assert_eq!((done.status, &done.json["update"][0]["stock_quantity"]), (200, &json!(9)));
    assert_eq!(done.json["create"][0]["error"]["data"]["resource_id"], json!(parent));
}

#[tokio::test]
async fn customers_categories_and_webhooks_in_batches() {
    let shop = shop(&[]).await;
    for (path, body) in [
        ("/customers/batch", json!({ "create": [{ "email": "a@example.com" }, { "email": "x" }] })),
        ("/products/categories/batch", json!({ "create": [{ "name": "C" }, { "name": "C" }] })),
        (
            "/webhooks/batch",
            json!({ "create": [
            { "topic": "order.updated", "delivery_url": "http://127.0.0.1:9/" }, { "topic": "x" },
        ] }),
        ),
        ("/coupons/batch", json!({ "create": [{ "code": "a" }, { "code": "A" }] })),
    ] {
        let done = shop.post(path, body).await;
        assert_eq!(done.status, 200, "{path}");
        assert!(done.json["create"][0]["id"].as_u64() > Some(0), "{path}: {}", done.text);
        assert!(done.json["create"][1]["error"]["code"].is_string(), "{path}: {}", done.text);
    }
    let taken = shop.post("/products/categories", json!({ "name": "C" })).await;
    assert_eq!((taken.status, &taken.json["code"]), (400, &json!("term_exists")));
    assert!(taken.json["data"]["resource_id"].is_u64());
}

/// Fulfilments: off 404; on: `_items` required, PUT replaces all `meta_data`, a bad id is 400
/// with a number for a code.
#[tokio::test]
async fn fulfillments() {
    let off = shop(&[]).await;
    let order = off.post("/orders", json!({})).await.json["id"].clone();
    let refused = off.get(&format!("/orders/{order}/fulfillments")).await;
    assert_eq!((refused.status, &refused.json["code"]), (404, &json!("rest_no_route")));
    let on = shop(&[("fulfillments", "true")]).await;
    let order = on.post("/orders", json!({})).await.json["id"].clone();
    let path = format!("/orders/{order}/fulfillments");
    assert_eq!(on.post(&path, json!({ "status": "fulfilled" })).await.status, 400);
    let items = json!({ "key": "_items", "value": [{ "item_id": 1, "qty": 2 }] });
    let body = json!({
        "status": "fulfilled", "is_fulfilled": true,
        "meta_data": [items, { "key": "_tracking_number", "value": "x" }],
    });
    let made = on.post(&path, body).await;
    assert_eq!((made.status, made.json["meta_data"].as_array().map(Vec::len)), (201, Some(2)));
    let one = format!("{path}/{}", made.json["id"]);
    let less = on.put(&one, json!({ "meta_data": [items] })).await.json;
    assert_eq!(less["meta_data"].as_array().map(Vec::len), Some(1));
    let bad = on.get(&format!("{path}/99")).await;
    assert!(bad.status == 400 && bad.json["code"].is_number());
}

/// An automatic refund goes to the gateway by default, and fails for those that have none.
#[tokio::test]
async fn refunds_ask_the_gateway() {
    let shop = shop(&[]).await;
    shirt(&shop).await;
    for (method, status) in [("bacs", 500), ("stripe", 201)] {
        let body = json!({ "lines": [{ "sku": "T-S" }], "payment_method": method });
        let order = shop.act("orders", body).await["id"].clone();
        let path = format!("/orders/{order}/refunds");
        assert_eq!(shop.post(&path, json!({ "amount": "5.00" })).await.status, status, "{method}");
        let after = shop.get(&format!("/orders/{order}")).await.json["status"].clone();
        assert_eq!(after, if status == 201 { "refunded" } else { "processing" });
    }
    assert_eq!(shop.get("/refunds").await.headers["x-wp-total"], "1");
}

/// Shipping and fees are given back by their ids among `line_items`, and shown in lists of their
/// own, negative, as what is sold is.
#[tokio::test]
async fn a_refund_may_give_back_shipping_alone() {
    let shop = shop(&[("tax_rate", "19")]).await;
    shirt(&shop).await;
    let body = json!({ "lines": [{ "sku": "T-S" }], "shipping_total": "4.00", "fee": "2.00",
        "payment_method": "stripe" });
    let order = shop.act("orders", body).await;
    let tax = |value: &str| json!([{ "id": 1, "refund_total": value }]);
    let items = json!([
        { "id": order["shipping_lines"][0]["id"], "refund_total": "4.00", "refund_tax": tax("0.76") },
        { "id": order["fee_lines"][0]["id"], "refund_total": "1.00", "refund_tax": tax("0.19") },
    ]);
    let path = format!("/orders/{}/refunds", order["id"]);
    let made = shop.post(&path, json!({ "api_refund": false, "line_items": items })).await.json;
    assert_eq!((&made["amount"], &made["line_items"]), (&json!("5.95"), &json!([])), "{made}");
    let (shipping, fee) = (&made["shipping_lines"][0], &made["fee_lines"][0]);
    assert_eq!((&shipping["total"], &shipping["total_tax"]), (&json!("-4.00"), &json!("-0.76")));
    assert_eq!((&fee["total"], &fee["total_tax"]), (&json!("-1.00"), &json!("-0.19")));
    assert_eq!(fee["meta_data"][0]["value"], order["fee_lines"][0]["id"].to_string());

    let id = &made["id"];
    let one = shop.get(&format!("/refunds?include={id}")).await.json;
    assert_eq!((&one[0]["id"], &one[0]["parent_id"]), (id, &order["id"]));
    assert_eq!(shop.get("/refunds?include=1").await.json, json!([]));
    let since = |at: &str| format!("/refunds?dates_are_gmt=true&after={at}");
    assert_eq!(shop.get(&since("2000-01-01T00:00:00")).await.json[0]["id"], *id);
    assert_eq!(shop.get(&since("2200-01-01T00:00:00")).await.json, json!([]));
}

#[tokio::test]
async fn the_shop_says_what_it_is() {
    let shop = shop(&[("currency", "CHF"), ("tax_rate", "8.1"), ("timezone", "2")]).await;
    let index = shop.send("GET", "/wp-json/", None, &[]).await.json;
    assert_eq!(index["gmt_offset"], 2);
    assert!(index["namespaces"].as_array().expect("a list").contains(&json!("wc/v3")));
    assert_eq!(shop.get("/data/currencies/current").await.json["code"], "CHF");
    assert_eq!(shop.get("/taxes").await.json[0]["rate"], "8.1000");
    let status = shop.get("/system_status").await.json;
    assert_eq!(status["environment"]["version"], "11.0.1");
    let general = shop.get("/settings/general").await.json;
    let currency =
        general.as_array().expect("a list").iter().find(|s| s["id"] == "woocommerce_currency");
    assert_eq!(currency.expect("a currency")["value"], "CHF");
    let by_route = shop.send("GET", "/?rest_route=/wc/v3", None, &[]).await.json;
    assert_eq!(by_route["namespace"], "wc/v3");
}

/// A person edits in the admin, a customer buys what is there and not more, and says so.
#[tokio::test]
async fn the_back_office() {
    let shop = shop(&[]).await;
    let (parent, child) = shirt(&shop).await;
    let edited = shop.act(&format!("products/{parent}"), json!({ "name": "Shirt & Co" })).await;
    assert_eq!(edited["name"], "Shirt &amp; Co");
    let body = json!({ "lines": [{ "variation_id": child, "quantity": 5 }], "check_stock": true });
    let refused = shop.send("POST", "/_twin/orders", Some(body.to_string()), &[]).await;
    assert_eq!(refused.status, 409);
    let order = shop.act("orders", json!({ "lines": [{ "sku": "T-S", "quantity": 4 }] })).await;
    assert_eq!((&order["created_via"], &order["total"]), (&json!("checkout"), &json!("20.00")));
    shop.get("/products").await;
    shop.get("/nothing").await;
    let calls = shop.office("calls").await;
    assert_eq!(keys(&calls), ["reads", "routes", "statuses", "total", "writes"]);
    assert_eq!(calls["statuses"], json!({ "2xx": 1, "4xx": 1 }));
    assert_eq!(
        calls["routes"]["GET /products"],
        json!({ "calls": 1, "items": 1, "statuses": { "2xx": 1 } })
    );
    shop.act("calls/reset", json!({})).await;
    assert_eq!(shop.office("calls").await["total"], 0);
    let state = shop.office("state").await;
    assert_eq!(state["variations"].as_array().map(Vec::len), Some(2));
    assert_eq!(state["orders"][0]["id"], order["id"]);
}

/// Un-answered webhooks are lost when the fault is on.
#[tokio::test]
async fn dropped_webhooks_are_counted() {
    let shop = shop(&[("webhook_delay_ms", "0")]).await;
    let body = json!({ "topic": "product.created", "delivery_url": "http://127.0.0.1:9/" });
    shop.post("/webhooks", body).await;
    shop.act("faults", json!({ "drop_webhooks": true })).await;
    shop.post("/products", json!({ "name": "x" })).await;
    let state = shop.settled().await;
    assert_eq!((&state["dropped"], &state["sent"]), (&json!(1), &json!(0)));
    assert_eq!(state["log"][0]["status"], "dropped");
}
