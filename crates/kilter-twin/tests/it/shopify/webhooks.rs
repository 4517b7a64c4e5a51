//! Deliveries: headers, signature, retries, the end of a subscription; payloads against schemas.

use serde_json::{Value, json};

use crate::shopify::orders::checkout;
use crate::shopify::support::{listener, shop, vendor};

/// The vector of the facts.
#[test]
fn the_signature_is_the_facts_own() {
    use base64::Engine;
    use hmac::{Hmac, KeyInit, Mac};
    let body = br#"{"id":820982911946154508,"email":"jon@example.com"}"#;
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"hush").expect("a key");
    mac.update(body);
    let signed = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(signed, "D0UMXmhjwBRi4y66TmhJrDlhQABD7zI2fm3p6/QLMo8=");
}

fn signed(secret: &str, body: &str) -> String {
    use base64::Engine;
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(body.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn a_delivery_has_every_header_and_the_right_signature() {
    let shop = shop(&[("client_secret", "hush2")]).await;
    let listener = listener().await;
    shop.subscribe("PRODUCTS_CREATE", &listener.url).await;
    shop.product("Shirt", &[("S-1", "10.00", 5)]).await;
    shop.settled().await;
    let heard = listener.of("products/create");
    assert_eq!(heard.len(), 1);
    for name in
        ["shop-domain", "api-version", "webhook-id", "event-id", "triggered-at", "hmac-sha256"]
    {
        assert!(!heard[0].header(&format!("x-shopify-{name}")).is_empty(), "{name}");
    }
    assert_eq!(heard[0].header("x-shopify-hmac-sha256"), signed("hush2", &heard[0].body));
    assert_eq!(heard[0].json()["variants"][0]["sku"], "S-1");
}

#[tokio::test]
async fn a_purchase_moves_levels_and_not_products() {
    let shop = shop(&[]).await;
    let listener = listener().await;
    shop.product("Shirt", &[("S-1", "10.00", 5)]).await;
    for topic in ["PRODUCTS_UPDATE", "INVENTORY_LEVELS_UPDATE", "ORDERS_CREATE", "ORDERS_PAID"] {
        shop.subscribe(topic, &listener.url).await;
    }
    checkout(&shop, json!({})).await;
    shop.settled().await;
    assert_eq!(listener.of("products/update").len(), 0);
    assert_eq!(listener.of("inventory_levels/update")[0].json()["available"], 3);
    let (made, paid) = (listener.of("orders/create"), listener.of("orders/paid"));
    assert_eq!(made[0].header("x-shopify-event-id"), paid[0].header("x-shopify-event-id"));
    assert_ne!(made[0].header("x-shopify-webhook-id"), paid[0].header("x-shopify-webhook-id"));
}

#[tokio::test]
async fn eight_retries_in_four_hours_and_the_subscription_is_gone() {
    let shop = shop(&[("clock", "14400")]).await;
    let listener = listener().await;
    shop.subscribe("PRODUCTS_CREATE", &format!("{}/status/500", listener.url)).await;
    shop.act("seed", json!({ "products": [{ "title": "unheard" }] })).await;
    shop.product("Shirt", &[("S-1", "10.00", 5)]).await;
    let state = shop.settled().await;
    let heard = listener.of("products/create");
    assert_eq!(heard.len(), 9, "once and eight times again");
    assert!(
        heard
            .iter()
            .all(|h| h.header("x-shopify-webhook-id") == heard[0].header("x-shopify-webhook-id"))
    );
    assert_eq!((&state["deleted_subscriptions"], &state["subscriptions"]), (&json!(1), &json!(0)));
    let data = shop.ask("{ webhookSubscriptions(first: 5) { nodes { id } } }", json!({})).await;
    assert_eq!(data["webhookSubscriptions"]["nodes"], json!([]));
}

#[tokio::test]
async fn deliveries_are_dropped_and_doubled_on_request() {
    let shop = shop(&[]).await;
    let listener = listener().await;
    shop.subscribe("PRODUCTS_CREATE", &listener.url).await;
    shop.act("faults", json!({ "drop_webhooks": true })).await;
    shop.product("A", &[("S-1", "1", 0)]).await;
    shop.act("faults", json!({ "drop_webhooks": false, "duplicate_webhooks": true })).await;
    shop.product("B", &[("S-2", "1", 0)]).await;
    shop.settled().await;
    assert_eq!(listener.of("products/create").len(), 2);
}

#[tokio::test]
async fn a_product_shows_a_hundred_variants_in_full() {
    let shop = shop(&[]).await;
    let listener = listener().await;
    shop.subscribe("PRODUCTS_CREATE", &listener.url).await;
    let names: Vec<String> = (0..101).map(|n| format!("S-{n}")).collect();
    let rows: Vec<(&str, &str, i64)> = names.iter().map(|n| (n.as_str(), "1.00", 0)).collect();
    shop.product("Many", &rows).await;
    shop.settled().await;
    let body = listener.of("products/create")[0].json();
    assert_eq!(body["variants"].as_array().map(Vec::len), Some(100));
    assert_eq!(body["variant_gids"].as_array().map(Vec::len), Some(101));
}

/// Types and required names; the vendor's schemas use no more.
fn check(schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else { return };
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let fits = |ty: &&str| match *ty {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => value.is_number(),
    };
    if !types.is_empty() && !types.iter().any(fits) {
        wrong.push(format!("{path}: {value} is none of {types:?}"));
        return;
    }
    if let Some(map) = value.as_object() {
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let name = name.as_str().unwrap_or("");
            if !map.contains_key(name) {
                wrong.push(format!("{path}.{name} is missing"));
            }
        }
        let known = schema.get("properties").and_then(Value::as_object);
        for (name, inner) in known.into_iter().flatten() {
            if let Some(own) = map.get(name) {
                check(inner, own, &format!("{path}.{name}"), wrong);
            }
        }
    }
    if let (Some(list), Some(inner)) = (value.as_array(), schema.get("items")) {
        for (at, item) in list.iter().enumerate() {
            check(inner, item, &format!("{path}[{at}]"), wrong);
        }
    }
}

#[tokio::test]
async fn payloads_are_of_the_vendors_form() {
    let Some(folder) = vendor() else { return };
    let folder = folder.join("webhooks-2026-07/schemas");
    let shop = shop(&[("tax_rate", "10")]).await;
    let listener = listener().await;
    let topics = [
        "PRODUCTS_UPDATE",
        "PRODUCTS_DELETE",
        "INVENTORY_LEVELS_UPDATE",
        "INVENTORY_ITEMS_UPDATE",
        "CUSTOMERS_CREATE",
        "ORDERS_CREATE",
        "ORDERS_UPDATED",
        "ORDERS_CANCELLED",
        "REFUNDS_CREATE",
        "FULFILLMENTS_CREATE",
        "BULK_OPERATIONS_FINISH",
        "LOCATIONS_CREATE",
        "COLLECTIONS_CREATE",
        "INVENTORY_LEVELS_CONNECT",
        "ORDERS_PAID",
    ];
    for topic in topics {
        shop.subscribe(topic, &listener.url).await;
    }
    let location = json!({ "name": "third", "address1": "a", "city": "b", "zip": "c" });
    shop.act("locations", location).await;
    let product = shop.product("Shirt", &[("S-1", "10.00", 5), ("S-2", "9.00", 5)]).await;
    let file = json!({ "input": { "files": [{ "originalSource": "https://example.com/a.png", "alt": "a" }] },
        "by": { "id": product["id"] } });
    shop.run(crate::shopify::support::SET, file).await;
    let create = "mutation { collectionCreate(input: { title: \"All\" }) { collection { id } } }";
    shop.run(create, json!({})).await;
    let order = checkout(&shop, json!({ "note": "n", "coupon_percent": 10 })).await;
    let id = order["id"].clone();
    shop.act(
        &format!("orders/{id}/fulfill"),
        json!({ "company": "DHL", "number": "1", "url": "https://e.com/1" }),
    )
    .await;
    shop.act(
        &format!("orders/{id}/refund"),
        json!({ "lines": [{ "sku": "S-1", "quantity": 1 }], "note": "x" }),
    )
    .await;
    let other = checkout(&shop, json!({})).await["id"].clone();
    shop.act(&format!("orders/{other}/cancel"), json!({ "refund": true })).await;
    let run = "mutation { bulkOperationRunQuery(groupObjects: false, query: \"{ products { edges { node { id } } } }\") {
        bulkOperation { id } userErrors { message } } }";
    shop.run(run, json!({})).await;
    shop.act(
        &format!(
            "products/{}/delete",
            product["id"].as_str().unwrap_or("").rsplit('/').next().unwrap_or("")
        ),
        json!({}),
    )
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    shop.settled().await;
    let wrong = violations(&listener, &topics, &folder);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn violations(
    listener: &crate::shopify::support::Listener,
    topics: &[&str],
    folder: &std::path::Path,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for topic in topics {
        let path = match topic.to_lowercase().rsplit_once('_') {
            Some((resource, action)) => format!("{resource}/{action}"),
            None => continue,
        };
        let heard = listener.of(&path);
        if heard.is_empty() {
            wrong.push(format!("{path} was never sent"));
            continue;
        }
        let text = std::fs::read_to_string(folder.join(format!("{path}.json"))).expect("a schema");
        let schema: Value = serde_json::from_str(&text).expect("JSON");
        for one in heard {
            check(&schema, &one.json(), &path, &mut wrong);
        }
    }
    // The schema was made of one sample, whose fulfilled line happens to be taxed at a whole rate.
    wrong.retain(|line| !(line.contains("fulfillments[0]") && line.contains(".rate:")));
    wrong.sort();
    wrong.dedup();
    wrong
}
