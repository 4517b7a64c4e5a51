//! Totals, stock movements and the stock check of the shop twin.
//!
//! Reads   the twin over HTTP.
//! Writes  nothing.
//! Never   expects a figure that was not worked out by hand.

use std::time::{Duration, Instant};

use crate::support::{Shop, listener, shop};
use serde_json::{Value, json};

async fn seeded(shop: &Shop, sku: &str, price: &str, stock: i64) -> u64 {
    let products =
        json!([{ "name": sku, "sku": sku, "regular_price": price, "stock_quantity": stock }]);
    let made = shop.act("seed", json!({ "products": products })).await;
    made["products"][0]["id"].as_u64().expect("an id")
}

fn texts(order: &Value, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| order[*name].as_str().unwrap_or("-").to_owned()).collect()
}

const TOTALS: &[&str] = &[
    "discount_total",
    "discount_tax",
    "shipping_total",
    "shipping_tax",
    "cart_tax",
    "total_tax",
    "total",
];

/// 2 x 10.00 and 3 x 3.33 net, 10 % coupon, 4.90 shipping, 2.50 fee, 19 %:
/// lines 20.00 + 9.99 = 29.99; 10 % = 3.00: 2.00 off the first, 1.00 off the second;
/// 18.00 + 8.99; tax 3.42 + 1.71 (8.99 * 0.19 = 1.7081), fee 0.48 (0.475), shipping 0.93 (0.931).
#[tokio::test]
async fn totals_are_computed_net() {
    let shop = shop(&[("tax_rate", "19")]).await;
    seeded(&shop, "A", "10.00", 9).await;
    seeded(&shop, "B", "3.33", 9).await;
    let order = json!({
        "lines": [{ "sku": "A", "quantity": 2 }, { "sku": "B", "quantity": 3 }],
        "shipping_total": "4.90", "fee": "2.50", "coupon_percent": 10,
    });
    let order = shop.act("orders", order).await;
    let expected = ["3.00", "0.57", "4.90", "0.93", "5.61", "6.54", "40.93"];
    assert_eq!(texts(&order, TOTALS), expected);
    assert_eq!(order["line_items"][0]["subtotal"], "20.00");
    assert_eq!(order["line_items"][0]["total"], "18.00");
    assert_eq!(order["tax_lines"][0]["tax_total"], "5.61");
    assert_eq!(order["tax_lines"][0]["rate_percent"], 19);
    assert_eq!(order["coupon_lines"][0]["discount"], "3.00");
}

/// Prices with tax: 2 x 12.90 = 25.80; net 21.68 (25.80 / 1.19 = 21.680672), tax 4.12.
/// At 7 %: 10.70 = 10.00 + 0.70.
#[tokio::test]
async fn totals_are_computed_gross() {
    let shop = shop(&[("tax_rate", "19"), ("prices_include_tax", "true")]).await;
    seeded(&shop, "A", "12.90", 9).await;
    let book = json!([{ "sku": "BOOK", "regular_price": "10.70", "tax_class": "reduced-rate" }]);
    shop.act("seed", json!({ "products": book })).await;
    let order = shop.act("orders", json!({ "lines": [{ "sku": "A", "quantity": 2 }] })).await;
    assert_eq!(texts(&order, &["cart_tax", "total"]), ["4.12", "25.80"]);
    assert_eq!(
        texts(&order["line_items"][0], &["subtotal", "total", "total_tax"]),
        ["21.68", "21.68", "4.12"]
    );
    let order = shop.act("orders", json!({ "lines": [{ "sku": "BOOK" }] })).await;
    assert_eq!(texts(&order, &["cart_tax", "total"]), ["0.70", "10.70"]);
    assert_eq!(order["prices_include_tax"], true);
}

/// A total in a body is no total: only lines count.
#[tokio::test]
async fn totals_are_never_echoed() {
    let shop = shop(&[]).await;
    let id = seeded(&shop, "A", "1.005", 9).await;
    let body = json!({ "total": "999", "line_items": [{ "product_id": id, "quantity": 1 }] });
    let order = shop.post("/orders", body).await.json;
    assert_eq!(
        (&order["total"], &order["line_items"][0]["total"]),
        (&json!("1.01"), &json!("1.01"))
    );
    assert_eq!(order["line_items"][0]["price"].to_string(), "1.005");
}

/// A line leaves stock once and comes back at `cancelled`; `failed` leaves it as it is.
#[tokio::test]
async fn stock_moves_once() {
    let shop = shop(&[]).await;
    let id = seeded(&shop, "A", "1", 10).await;
    let lines = json!([{ "sku": "A", "quantity": 4 }]);
    let order = shop.act("orders", json!({ "lines": lines, "status": "pending" })).await;
    let mut seen = Vec::new();
    for status in
        ["on-hold", "processing", "completed", "failed", "processing", "cancelled", "completed"]
    {
        shop.act(&format!("orders/{}/status", order["id"]), json!({ "status": status })).await;
        let stock = shop.get(&format!("/products/{id}")).await.json["stock_quantity"].clone();
        seen.push(stock.as_i64().expect("a figure"));
    }
    assert_eq!(seen, [6, 6, 6, 6, 6, 10, 6]);
}

/// Variations without stock of their own take it from their parent; sales below zero are named.
#[tokio::test]
async fn parents_hold_stock_and_oversold_is_named() {
    let shop = shop(&[]).await;
    let attributes = json!([{ "name": "Size", "variation": true, "options": ["S"] }]);
    let variations = json!([{ "sku": "T-S", "regular_price": "5", "attributes": [{ "name": "Size", "option": "S" }] }]);
    let shirt = json!({ "sku": "T", "name": "T", "manage_stock": true, "stock_quantity": 3, "attributes": attributes, "variations": variations });
    let made = shop.act("seed", json!({ "products": [shirt] })).await;
    let (parent, child) = (&made["products"][0]["id"], &made["products"][0]["variations"][0]["id"]);
    let order = shop.act("orders", json!({ "lines": [{ "sku": "T-S", "quantity": 5 }] })).await;
    let shown = shop.get(&format!("/products/{parent}/variations/{child}")).await.json;
    assert_eq!((&shown["manage_stock"], &shown["stock_quantity"]), (&json!("parent"), &json!(-2)));
    let oversold = shop.office("oversold").await;
    assert_eq!(oversold["units"], 2);
    assert_eq!(oversold["products"][0]["product"], *parent);
    assert_eq!(oversold["products"][0]["orders"], json!([{ "order": order["id"], "units": 2 }]));
}

async fn raises(shop: &Shop) -> (Value, usize, usize) {
    let state = shop.office("stock_raises").await;
    let count = |name: &str| state[name].as_array().map_or(0, Vec::len);
    (state["checked"].clone(), count("violations"), count("races"))
}

/// The client read the figure after the sale and was not told of the sale: a violation.
#[tokio::test]
async fn a_raise_over_an_unseen_sale_is_a_violation() {
    let shop = shop(&[]).await;
    let id = seeded(&shop, "A", "1", 10).await;
    let path = format!("/products/{id}");
    let order = shop.act("orders", json!({ "lines": [{ "sku": "A", "quantity": 4 }] })).await;
    shop.get("/products?_fields=id,stock_quantity").await;
    shop.put(&path, json!({ "stock_quantity": 10 })).await;
    assert_eq!(raises(&shop).await, (json!(1), 1, 0));
    let found = &shop.office("stock_raises").await["violations"][0];
    assert_eq!(
        (&found["product"], &found["from"], &found["to"]),
        (&json!(id), &json!(6), &json!(10))
    );
    assert_eq!(found["unseen_orders"], json!([order["id"]]));
}

/// The client has read the order, then raises: fine. A list that leaves the lines out tells it
/// nothing.
#[tokio::test]
async fn a_correct_raise_is_none() {
    let shop = shop(&[]).await;
    let id = seeded(&shop, "A", "1", 10).await;
    let path = format!("/products/{id}");
    shop.act("orders", json!({ "lines": [{ "sku": "A", "quantity": 4 }] })).await;
    shop.get("/orders").await;
    shop.get(&path).await;
    shop.put(&path, json!({ "stock_quantity": 16 })).await;
    assert_eq!(raises(&shop).await, (json!(1), 0, 0), "the order was read");
    shop.act("orders", json!({ "lines": [{ "sku": "A", "quantity": 1 }] })).await;
    shop.put(&path, json!({ "stock_quantity": 14 })).await;
    assert_eq!(raises(&shop).await, (json!(1), 0, 0), "a write that lowers is not checked");
    shop.get("/orders?_fields=id,status").await;
    shop.put(&path, json!({ "stock_quantity": 20 })).await;
    assert_eq!(raises(&shop).await, (json!(2), 1, 0), "without its lines an order says nothing");
}

/// The sale came after the client's last read of the figure: a race, not a violation.
#[tokio::test]
async fn a_raise_over_a_later_sale_is_a_race() {
    let shop = shop(&[]).await;
    let id = seeded(&shop, "A", "1", 10).await;
    let path = format!("/products/{id}");
    shop.get(&path).await;
    shop.act("orders", json!({ "lines": [{ "sku": "A", "quantity": 4 }] })).await;
    shop.post("/products/batch", json!({ "update": [{ "id": id, "stock_quantity": 12 }] })).await;
    assert_eq!(raises(&shop).await, (json!(1), 0, 1));
}

/// An acknowledged order webhook tells the client; one that is not acknowledged does not.
#[tokio::test]
async fn an_acknowledged_webhook_tells() {
    for (path, violations) in [("/", 0), ("/status/500", 1)] {
        let (shop, ears) = (shop(&[("webhook_delay_ms", "0")]).await, listener().await);
        let url = format!("{}{path}", ears.url);
        shop.post("/webhooks", json!({ "topic": "order.created", "delivery_url": url })).await;
        let id = seeded(&shop, "A", "1", 10).await;
        shop.act("orders", json!({ "lines": [{ "sku": "A", "quantity": 4 }] })).await;
        shop.settled().await;
        shop.get(&format!("/products/{id}")).await;
        shop.put(&format!("/products/{id}"), json!({ "stock_quantity": 9 })).await;
        assert_eq!(raises(&shop).await, (json!(1), violations, 0), "{path}");
    }
}

/// A person who changes stock in the admin is not checked.
#[tokio::test]
async fn a_person_is_not_the_client() {
    let shop = shop(&[]).await;
    let id = seeded(&shop, "A", "1", 10).await;
    shop.act("orders", json!({ "lines": [{ "sku": "A", "quantity": 4 }] })).await;
    shop.act(&format!("products/{id}"), json!({ "stock_quantity": 50 })).await;
    assert_eq!(raises(&shop).await, (json!(0), 0, 0));
}

/// Faults: a write that is done although the answer is an error; fields that are not kept.
#[tokio::test]
async fn faults() {
    let shop = shop(&[]).await;
    let id = seeded(&shop, "A", "1", 10).await;
    let path = format!("/products/{id}");
    let fault =
        |apply: &str| json!({ "fail_next": 1, "status": 502, "body": "<html>", "apply": apply });
    let stock = async || {
        let state = shop.office("state").await;
        state["products"][0]["stock_quantity"].clone()
    };
    shop.act("faults", fault("none")).await;
    assert_eq!(shop.put(&path, json!({ "stock_quantity": 11 })).await.status, 502);
    assert_eq!(stock().await, 10);
    shop.act("faults", fault("before")).await;
    assert_eq!(shop.put(&path, json!({ "stock_quantity": 12 })).await.text, "<html>");
    assert_eq!(stock().await, 12);
    shop.act("faults", fault("after")).await;
    assert_eq!(shop.put(&path, json!({ "stock_quantity": 13 })).await.status, 502);
    assert_eq!(stock().await, 12);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stock().await, 13);
    shop.act("faults", json!({ "keep_old": ["name"] })).await;
    let kept = shop.put(&path, json!({ "name": "new", "weight": "2" })).await;
    assert_eq!(
        (kept.status, &kept.json["name"], &kept.json["weight"]),
        (200, &json!("A"), &json!("2"))
    );
    let calls = shop.office("calls").await;
    assert_eq!(
        (&calls["total"], &calls["routes"]["PUT /products/{id}"]["calls"]),
        (&json!(4), &json!(4))
    );
}

/// 1,000 products in batches of 100, each well under a second.
#[tokio::test]
async fn a_thousand_products_are_quick() {
    let shop = shop(&[]).await;
    let started = Instant::now();
    for batch in 0..10 {
        let create: Vec<Value> = (0..100)
            .map(|n| json!({ "name": format!("P {batch} {n}"), "sku": format!("P-{batch}-{n}"), "regular_price": "1" }))
            .collect();
        let made = shop.post("/products/batch", json!({ "create": create })).await;
        assert_eq!(made.json["create"].as_array().map(Vec::len), Some(100));
    }
    for page in 1..=10 {
        shop.get(&format!("/products?per_page=100&page={page}&orderby=id&order=asc")).await;
    }
    println!("1,000 products made and read in {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(shop.office("calls").await["routes"]["POST /products/batch"]["items"], 1000);
}

/// A dropped twin is gone, for open connections too.
#[tokio::test]
async fn a_dropped_twin_is_gone() {
    let Shop { twin, http, .. } = shop(&[]).await;
    let url = format!("{}/wp-json/", twin.url());
    assert!(http.get(&url).send().await.is_ok());
    drop(twin);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(http.get(&url).send().await.is_err());
}

#[tokio::test]
async fn unknown_settings_are_refused() {
    let settings = [("curency".to_owned(), "EUR".to_owned())].into();
    let options = kilter_twin::Options { port: None, seed: 0, settings };
    let refused = kilter_twin::start("woocommerce", options).await.expect_err("refused");
    let said = refused.to_string();
    assert!(said.contains("\"curency\"") && said.contains("prices_include_tax"), "{said}");
}
