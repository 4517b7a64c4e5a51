//! The behaviours of `woocommerce-observed.md`, one test each, by their numbers there.
//!
//! Reads   the twin over HTTP.
//! Writes  nothing.
//! Never   expects what the twin says, only what was observed.

use crate::support::{KEY, SECRET, Shop, shop};
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

/// 12: `modified_after` is exclusive, in whole seconds, and a zone with the flag is applied twice.
#[tokio::test]
async fn o12_modified_after() {
    let shop = shop(&[("timezone", "-5")]).await;
    let order = shop.post("/orders", json!({})).await.json;
    let gmt = order["date_modified_gmt"].as_str().expect("a date").to_owned();
    let local = order["date_modified"].as_str().expect("a date").to_owned();
    assert_ne!(gmt, local);
    let count = |query: String| {
        let shop = &shop;
        async move { shop.get(&format!("/orders?{query}")).await.headers["x-wp-total"].clone() }
    };
    let flag = "&dates_are_gmt=true";
    let earlier = |text: &str| {
        let moment: jiff::civil::DateTime = text.parse().expect("a date");
        moment.saturating_sub(jiff::Span::new().seconds(1)).to_string()
    };
    assert_eq!(count(format!("modified_after={gmt}{flag}")).await, "0", "exclusive");
    assert_eq!(count(format!("modified_after={}{flag}", earlier(&gmt))).await, "1");
    assert_eq!(count(format!("modified_after={}", earlier(&gmt))).await, "0", "read as site time");
    assert_eq!(count(format!("modified_after={}", earlier(&local))).await, "1");
    assert_eq!(count(format!("modified_after={gmt}Z")).await, "0");
    assert_eq!(count(format!("modified_after={}Z", earlier(&gmt))).await, "1");
    let hours_later = |text: &str, hours: i64| {
        let moment: jiff::civil::DateTime = text.parse().expect("a date");
        moment.saturating_add(jiff::Span::new().hours(hours)).to_string()
    };
    let later = hours_later(&gmt, 4);
    assert_eq!(count(format!("modified_after={later}Z{flag}")).await, "1", "the offset, twice");
    let future = "modified_after=2130-01-01T00:00:00";
    assert_eq!(count(future.to_owned()).await, "0");
    shop.post("/customers", json!({ "email": "a@b.de" })).await;
    assert_eq!(shop.get(&format!("/customers?{future}")).await.headers["x-wp-total"], "1");
}

/// 13, 14, 15: unknown parameters, credentials in `Link`, bounds.
#[tokio::test]
async fn o13_o14_o15_lists() {
    let shop = shop(&[]).await;
    for n in 0..3 {
        managed(&shop, &format!("S{n}"), 1).await;
    }
    let all = shop.get("/products?meta_key=x&meta_value=y&nosuch=1").await;
    assert_eq!(all.headers["x-wp-total"], "3");
    let path =
        format!("/wp-json/wc/v3/products?consumer_key={KEY}&consumer_secret={SECRET}&per_page=1");
    let leaky = shop.send("GET", &path, None, &[]).await;
    assert!(leaky.headers["link"].contains(SECRET));
    assert!(leaky.headers["link"].contains("rel=\"next\""));
    for query in ["per_page=101", "page=0"] {
        let refused = shop.get(&format!("/products?{query}")).await;
        assert_eq!((refused.status, &refused.json["code"]), (400, &json!("rest_invalid_param")));
    }
    let beyond = shop.get("/products?page=50").await;
    assert_eq!((beyond.status, beyond.json), (200, json!([])));
}

/// 16: prices are parsed; a number is refused singly and accepted in a batch.
#[tokio::test]
async fn o16_prices() {
    let shop = shop(&[]).await;
    let price = |body: Value| {
        let shop = &shop;
        async move { product(shop, body).await }
    };
    assert_eq!(price(json!({ "regular_price": "12,50 €" })).await["regular_price"], "1250");
    assert_eq!(price(json!({ "regular_price": "12.999" })).await["price"], "12.999");
    let high = price(json!({ "regular_price": "5", "sale_price": "9" })).await;
    assert_eq!((&high["sale_price"], &high["price"]), (&json!(""), &json!("5")));
    let number = json!({ "name": "n", "regular_price": 12.5 });
    assert_eq!(shop.post("/products", number.clone()).await.status, 400);
    let batch = shop.post("/products/batch", json!({ "create": [number] })).await.json;
    assert_eq!(batch["create"][0]["regular_price"], "12.5");
}

/// 17: `stock_quantity` null is 0; without `manage_stock` it is ignored.
#[tokio::test]
async fn o17_stock_quantity() {
    let shop = shop(&[]).await;
    let id = managed(&shop, "A", 5).await;
    let put = shop.put(&format!("/products/{id}"), json!({ "stock_quantity": null })).await;
    assert_eq!((put.status, &put.json["stock_quantity"]), (200, &json!(0)));
    let free = product(&shop, json!({ "stock_quantity": 9 })).await;
    assert_eq!((&free["stock_quantity"], &free["manage_stock"]), (&json!(null), &json!(false)));
}

/// 18: text is rewritten.
#[tokio::test]
async fn o18_text() {
    let shop = shop(&[]).await;
    for (sent, kept) in [
        ("A & B", "A &amp; B"),
        ("A &amp; B", "A &amp; B"),
        ("5 < 6 > 4", "5  4"),
        ("it's \"q\" \\ back", "it's \"q\"  back"),
        ("blank ", "blank"),
    ] {
        assert_eq!(product(&shop, json!({ "name": sent })).await["name"], kept, "{sent}");
    }
    let texts = json!({ "description": "a & b", "short_description": "x < y" });
    let made = product(&shop, texts).await;
    assert_eq!(
        (&made["description"], &made["short_description"]),
        (&json!("a &amp; b"), &json!("x &lt; y"))
    );
    let odd = product(&shop, json!({ "sku": "A&B <1> \"x\"" })).await;
    assert_eq!(odd["sku"], "A&B \"x\"");
    let lead = product(&shop, json!({ "sku": "  LEAD-1  " })).await;
    assert_eq!(lead["sku"], "LEAD-1");
    let meta = json!([{ "key": "a", "value": 12.5 }, { "key": "b", "value": true }, { "key": "c", "value": { "d": [1] } }]);
    let made = product(&shop, json!({ "meta_data": meta })).await;
    let values: Vec<&Value> =
        made["meta_data"].as_array().expect("a list").iter().map(|m| &m["value"]).collect();
    assert_eq!(values, [&json!("12.5"), &json!("1"), &json!({ "d": [1] })]);
    let note = json!({ "customer_note": "a & <b>x</b>" });
    assert_eq!(shop.post("/orders", note).await.json["customer_note"], "a & <b>x</b>");
}

/// 19: empty lines, overselling, no idempotency.
#[tokio::test]
async fn o19_orders_are_accepted() {
    let shop = shop(&[]).await;
    let id = managed(&shop, "A", 2).await;
    for line in [json!({ "product_id": 999_999 }), json!({ "sku": "NOPE" })] {
        let made = shop.post("/orders", json!({ "line_items": [line] })).await;
        assert_eq!((made.status, &made.json["line_items"][0]["product_id"]), (201, &json!(0)));
    }
    let body =
        json!({ "status": "processing", "line_items": [{ "product_id": id, "quantity": 5 }] });
    assert_eq!(shop.post("/orders", body.clone()).await.status, 201);
    let left = shop.get(&format!("/products/{id}")).await.json;
    assert_eq!(
        (&left["stock_quantity"], &left["stock_status"]),
        (&json!(-3), &json!("outofstock"))
    );
    let key = [
        ("Idempotency-Key", "k".to_owned()),
        ("Authorization", shop.basic()),
        ("Content-Type", "application/json".to_owned()),
    ];
    let first = shop.send("POST", "/wp-json/wc/v3/orders", Some("{}".to_owned()), &key).await;
    let again = shop.send("POST", "/wp-json/wc/v3/orders", Some("{}".to_owned()), &key).await;
    assert_ne!(first.json["id"], again.json["id"]);
}

/// 20: duplicate SKUs name their holder; a trashed one still blocks.
#[tokio::test]
async fn o20_skus() {
    let shop = shop(&[]).await;
    let id = managed(&shop, "MUG-001", 1).await;
    let refused = shop.post("/products", json!({ "sku": " mug-001 " })).await;
    assert_eq!((refused.status, &refused.json["code"]), (400, &json!("product_invalid_sku")));
    assert_eq!(refused.json["data"]["resource_id"], json!(id));
    shop.delete(&format!("/products/{id}")).await;
    assert_eq!(shop.get("/products?sku=MUG-001").await.json, json!([]));
    let blocked = shop.post("/products", json!({ "sku": "MUG-001" })).await;
    assert_eq!(
        (blocked.status, &blocked.json["code"]),
        (400, &json!("woocommerce_rest_product_not_created"))
    );
}

/// 21: batches.
#[tokio::test]
async fn o21_batches() {
    let shop = shop(&[]).await;
    let id = managed(&shop, "A", 1).await;
    let many: Vec<Value> = (0..101).map(|_| json!({ "id": id })).collect();
    assert_eq!(shop.post("/products/batch", json!({ "update": many })).await.status, 413);
    let empty = shop.post("/products/batch", json!({})).await;
    assert_eq!((empty.status, empty.json), (200, json!([])));
    let body = json!({ "update": [{ "id": 999_999 }, { "id": id, "name": "n" }], "delete": [id] });
    let mixed = shop.post("/products/batch", body).await;
    assert_eq!(
        (mixed.status, &mixed.json["update"][0]["error"]["data"]["status"]),
        (200, &json!(400))
    );
    assert_eq!(mixed.json["update"][1]["name"], "n");
    assert_eq!(
        shop.get(&format!("/products/{id}")).await.status,
        404,
        "a batch delete is for good"
    );
}

/// 22: unknown ids; a bad key; a refund that is too large; a body without a type.
#[tokio::test]
async fn o22_errors() {
    let shop = shop(&[]).await;
    let status = |method: &'static str, body: Option<Value>| {
        let shop = &shop;
        async move { shop.api(method, "/products/999999", body).await.status }
    };
    assert_eq!(status("GET", None).await, 404);
    assert_eq!(status("PUT", Some(json!({}))).await, 400);
    assert_eq!(status("DELETE", None).await, 404);
    let order = shop.post("/orders", json!({})).await.json["id"].clone();
    let body = json!({ "amount": "9999", "api_refund": false });
    let refused = shop.post(&format!("/orders/{order}/refunds"), body).await;
    assert_eq!((refused.status, &refused.json["data"]), (500, &json!(500)));
}

/// 23: types vary, refunds leave the total alone and restock.
#[tokio::test]
async fn o23_refunds() {
    let shop = shop(&[]).await;
    let id = managed(&shop, "A", 7).await;
    let body =
        json!({ "status": "processing", "line_items": [{ "product_id": id, "quantity": 2 }] });
    let order = shop.post("/orders", body).await.json;
    assert!(order["line_items"][0]["price"].is_number() && order["total"].is_string());
    let line = &order["line_items"][0]["id"];
    let body = json!({
        "amount": "10.00", "api_refund": false,
        "line_items": [{ "id": line, "quantity": 1, "refund_total": 10 }],
    });
    let path = format!("/orders/{}", order["id"]);
    assert_eq!(shop.post(&format!("{path}/refunds"), body).await.status, 201);
    let after = shop.get(&path).await.json;
    assert_eq!(
        (&after["total"], &after["refunds"][0]["total"]),
        (&json!("20.00"), &json!("-10.00"))
    );
    assert_eq!(shop.get(&format!("/products/{id}")).await.json["stock_quantity"], 6);
}

/// 24: a line without id is added, quantity 0 removes one; stock follows.
#[tokio::test]
async fn o24_lines() {
    let shop = shop(&[]).await;
    let id = managed(&shop, "A", 10).await;
    let line = json!([{ "product_id": id, "quantity": 1 }]);
    let body = json!({ "status": "processing", "line_items": line });
    let order = shop.post("/orders", body).await.json["id"].clone();
    let path = format!("/orders/{order}");
    let more = shop.put(&path, json!({ "line_items": line })).await.json;
    assert_eq!(
        (more["line_items"].as_array().map(Vec::len), &more["total"]),
        (Some(2), &json!("20.00"))
    );
    let gone = json!({ "line_items": [{ "id": more["line_items"][1]["id"], "quantity": 0 }] });
    let less = shop.put(&path, gone).await.json;
    assert_eq!(
        (less["line_items"].as_array().map(Vec::len), &less["total"]),
        (Some(1), &json!("10.00"))
    );
    assert_eq!(shop.get(&format!("/products/{id}")).await.json["stock_quantity"], 9);
}

/// OAuth 1.0a: the vector of the facts, SHA1 and SHA256, is refused for its time, not its form.
#[tokio::test]
async fn oauth_vector_of_the_facts() {
    let settings = [
        ("site_url", "http://woo.test"),
        ("consumer_key", "ck_test"),
        ("consumer_secret", "cs_test"),
    ];
    let shop = shop(&settings).await;
    for (method, signature) in [
        ("HMAC-SHA1", "97MXz5XQWPld%2FXhGZFVffRJGBxs%3D"),
        ("HMAC-SHA256", "ooejxc5JNjUtUIjeURLjEE10wweK4zANTe0uyhTuR7s%3D"),
    ] {
        let path = format!(
            "/wp-json/wc/v3/products?per_page=2&oauth_consumer_key=ck_test&oauth_nonce=n1\
             &oauth_timestamp=1700000000&oauth_signature_method={method}&oauth_signature={signature}"
        );
        let answer = shop.send("GET", &path, None, &[]).await;
        assert_eq!(answer.json["message"], "Invalid timestamp.", "{method}: the signature matched");
    }
}
