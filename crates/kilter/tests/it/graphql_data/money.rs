//! What an order is worth in the shop, whatever the buyer saw and paid it with.

use crate::graphql_data::third::{Third, found, sync};
use crate::support::{Rig, seed};
use serde_json::{Value, json};

fn buyer() -> (Value, Value) {
    let customer = json!({ "email": "ada@example.com", "firstName": "Ada", "lastName": "Byron" });
    let billing = json!({ "firstName": "Ada", "lastName": "Byron", "address1": "1 Main St",
        "city": "Springfield", "zip": "12345", "countryCode": "US" });
    (customer, billing)
}

async fn in_erp(rig: &Rig) -> Vec<Value> {
    let erp = rig.get(&format!("{}/_twin/state?part=orders", rig.erp.url())).await;
    erp["orders"].as_array().unwrap().clone()
}

fn cents(value: &Value) -> i64 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let number: rust_decimal::Decimal = text.parse().unwrap();
    i64::try_from(number * rust_decimal::Decimal::ONE_HUNDRED).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_buyer_saw_and_paid_with_changes_nothing_of_what_the_order_is_worth() {
    let rig = Rig::start("graphql-money").await;
    let plus = Third::join(&rig, &[], "").await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(3, 50)).await;
    sync(&rig).await;
    let (customer, billing) = buyer();
    let order = json!({
        "lines": [{ "sku": "MUG-001", "quantity": 3 }, { "sku": "MUG-002", "quantity": 1 }],
        "customer": customer, "billing": billing, "shipping_price": "4.95", "tip": "2.00",
        "gift_card": "5.00", "presentment": { "currency": "EUR", "rate": "0.9137" },
    });
    let placed = plus.office("orders", &order).await;
    sync(&rig).await;
    // 3 × 12.49 + 13.49 + 4.95 + 2.00: the gift card pays, and takes nothing off.
    let worth = 3 * 1249 + 1349 + 495 + 200;
    assert_eq!(cents(&placed["total_price"]), worth, "{placed}");
    let orders = in_erp(&rig).await;
    assert_eq!(orders.len(), 1, "{orders:?}");
    assert_eq!(cents(&orders[0]["amount_total"]), worth, "shop money, to the cent");
    let kept = |field: &str| {
        let sql = format!(
            "SELECT json_extract(fields, '$.{field}.\"\".v') FROM records WHERE entity = 'order'"
        );
        found(&rig, &sql).remove(0)
    };
    let seen =
        placed["total_price_set"]["presentment_money"]["amount"].as_str().unwrap().to_owned();
    let seen = seen.parse::<f64>().unwrap();
    assert_eq!(kept("seen_currency"), "EUR");
    assert_eq!(kept("seen_total").trim_end_matches(" EUR").parse::<f64>().unwrap(), seen);
    assert_ne!((seen * 100.0).round(), worth as f64, "and is another figure");
    assert_eq!(kept("currency"), "USD");
    let payments: Value = serde_json::from_str(&kept("payments")).unwrap();
    assert!(payments.as_array().unwrap().contains(&json!("gift_card")), "{payments}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sold_gift_card_and_a_line_of_no_product_are_held_by_their_names() {
    let rig = Rig::start("graphql-odd-lines").await;
    let plus = Third::join(&rig, &[], "").await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(3, 50)).await;
    sync(&rig).await;
    let (customer, billing) = buyer();
    let engraved = json!({ "lines": [{ "sku": "MUG-001", "quantity": 1 }], "customer": customer,
        "billing": billing, "custom": { "title": "Engraving", "price": "9.00" } });
    plus.office("orders", &engraved).await;
    let create = "mutation ($order: OrderCreateOrderInput!) { orderCreate(order: $order) { \
                  order { id } userErrors { message } } }";
    let money = json!({ "shopMoney": { "amount": "50.00", "currencyCode": "USD" } });
    let line = json!({ "title": "Gift Card", "quantity": 1, "giftCard": true, "priceSet": money });
    let card = json!({ "email": "bob@example.com", "financialStatus": "PAID", "lineItems": [line],
        "billingAddress": { "firstName": "Bob", "lastName": "B", "address1": "2 Main St",
            "city": "Springfield", "zip": "12345", "countryCode": "US" } });
    let told = plus.ask(create, json!({ "order": card })).await;
    assert_eq!(told["orderCreate"]["userErrors"], json!([]), "{told}");
    sync(&rig).await;
    assert_eq!(in_erp(&rig).await, [] as [Value; 0], "nothing is sent that is not understood");
    let sql = "SELECT wait_reason FROM objects WHERE connection = 'erp' AND resource = 'orders' \
               AND wait_kind = 'held' ORDER BY wait_reason";
    let held = found(&rig, sql);
    let wanted = [
        "line \"Engraving\" (SKU none) matches no product that Kilter knows",
        "line \"Gift Card\" (SKU none) sells a gift card and matches no product that Kilter knows",
    ];
    assert_eq!(held, wanted);
}
