//! Orders, fulfilment, refunds, edits, customers; the stock they take.

use serde_json::{Value, json};

use crate::shopify::support::{Shop, shop};

pub async fn checkout(shop: &Shop, more: Value) -> Value {
    let address = json!({ "firstName": "Ada", "lastName": "L", "address1": "1 Road", "city": "Bonn",
        "zip": "53111", "countryCode": "DE", "provinceCode": "NW", "province": "NRW",
        "country": "DE", "phone": "+49228", "company": "L & Co", "address2": "2nd floor" });
    let mut body = json!({
        "lines": [{ "sku": "S-1", "quantity": 2 }], "check_stock": true, "shipping_price": "4.90",
        "customer": { "email": "ada@example.com", "firstName": "Ada", "lastName": "L",
            "phone": "+49228", "note": "", "addresses": [address] },
        "billing": address, "shipping": address,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name.as_str()] = value.clone();
    }
    shop.act("orders", body).await
}

const READ: &str = "query($id: ID!) { order(id: $id) {
    name displayFinancialStatus displayFulfillmentStatus cancelledAt edited
    totalPriceSet { shopMoney { amount currencyCode } presentmentMoney { amount currencyCode } }
    currentTotalPriceSet { shopMoney { amount } } totalTaxSet { shopMoney { amount } }
    totalRefundedSet { shopMoney { amount } } totalTipReceivedSet { shopMoney { amount } }
    subtotalPriceSet { shopMoney { amount } }
    paymentGatewayNames discountCodes customer { email numberOfOrders }
    lineItems(first: 10) { nodes { id title sku quantity currentQuantity unfulfilledQuantity
        variant { id } taxLines { rate priceSet { shopMoney { amount } } }
        discountAllocations { allocatedAmountSet { shopMoney { amount } } } } }
    shippingLines(first: 5) { nodes { title originalPriceSet { shopMoney { amount } } } }
    transactions(first: 5) { kind status gateway amountSet { shopMoney { amount } } }
    fulfillments(first: 5) { id status trackingInfo { number company } }
    refunds { id totalRefundedSet { shopMoney { amount } } }
    fulfillmentOrders(first: 5) { nodes { id status assignedLocation { location { name } }
        lineItems(first: 5) { nodes { id remainingQuantity totalQuantity sku lineItem { id } } } } } } }";

async fn read(shop: &Shop, order: &Value) -> Value {
    shop.ask(READ, json!({ "id": order["gid"] })).await["order"].clone()
}

fn amount(bag: &Value) -> &str {
    bag["shopMoney"]["amount"].as_str().unwrap_or("")
}

#[tokio::test]
async fn totals_come_from_the_lines() {
    let shop = shop(&[("tax_rate", "10")]).await;
    shop.product("Shirt", &[("S-1", "10.00", 5)]).await;
    let more = json!({ "tip": "3.00", "custom": { "title": "Wrap", "price": "2.00" },
        "gift_card": "5.00", "coupon_percent": 10, "presentment": { "currency": "EUR", "rate": "0.5" } });
    let order = checkout(&shop, more).await;
    let read = read(&shop, &order).await;
    // 20 + 2, 10 % off: 19.80; tax on 18 and 1.80; a tip of 3, untouched; shipping 4.90.
    assert_eq!(amount(&read["totalTaxSet"]), "1.98");
    assert_eq!(amount(&read["totalPriceSet"]), "29.68");
    assert_eq!(
        read["totalPriceSet"]["presentmentMoney"],
        json!({ "amount": "14.84", "currencyCode": "EUR" })
    );
    assert_eq!(read["displayFinancialStatus"], "PAID");
    assert_eq!(read["transactions"][0]["gateway"], "gift_card");
    assert_eq!(amount(&read["transactions"][1]["amountSet"]), "24.68");
    assert_eq!(read["lineItems"]["nodes"][2]["title"], "Tip");
    assert_eq!(amount(&read["subtotalPriceSet"]), "19.8");
    assert_eq!(amount(&read["totalTipReceivedSet"]), "3.0");
    assert!(read["lineItems"]["nodes"][1]["variant"].is_null());
    assert_eq!(read["customer"]["numberOfOrders"], "1");
    let levels = shop.office("brief").await[0]["levels"]["main"].clone();
    assert_eq!(levels, json!({ "available": 3, "committed": 2, "on_hand": 5 }));
}

#[tokio::test]
async fn a_shop_that_looks_refuses_and_one_that_does_not_oversells() {
    let shop = shop(&[]).await;
    shop.product("Shirt", &[("S-1", "10.00", 1)]).await;
    let body = json!({ "lines": [{ "sku": "S-1", "quantity": 2 }], "check_stock": true });
    let (status, ..) = shop.post("/_twin/orders", &[], body.to_string()).await;
    assert_eq!(status, 409);
    checkout(&shop, json!({ "check_stock": false })).await;
    let oversold = shop.office("oversold").await;
    assert_eq!(oversold["units"], 1);
    assert_eq!(oversold["products"][0]["sku"], "S-1");
}

#[tokio::test]
async fn a_raise_over_an_unseen_sale_is_noted() {
    let shop = shop(&[]).await;
    let product = shop.product("Shirt", &[("S-1", "10.00", 5)]).await;
    let item = product["variants"]["nodes"][0]["inventoryItem"]["id"].clone();
    let main = shop.location("main").await;
    let order = checkout(&shop, json!({})).await;
    let query = "query($id: ID!) { inventoryItem(id: $id) { inventoryLevels(first: 5) {
        nodes { quantities(names: [\"available\"]) { quantity } } } } }";
    shop.ask(query, json!({ "id": item })).await;
    let set = "mutation($input: InventorySetQuantitiesInput!, $key: String!) {
        inventorySetQuantities(input: $input) @idempotent(key: $key) { userErrors { code } } }";
    let rows = |quantity: i64, from: Value| {
        json!({ "name": "available", "reason": "correction",
        "quantities": [{ "inventoryItemId": item, "locationId": main, "quantity": quantity,
            "changeFromQuantity": from }] })
    };
    let stale = shop.run(set, json!({ "input": rows(5, json!(5)), "key": "a" })).await;
    assert_eq!(stale["userErrors"][0]["code"], "CHANGE_FROM_QUANTITY_STALE");
    assert_eq!(shop.office("stock_raises").await["violations"], json!([]));
    shop.run(set, json!({ "input": rows(5, Value::Null), "key": "b" })).await;
    let raises = shop.office("stock_raises").await;
    assert_eq!(raises["violations"][0]["unseen_orders"], json!([order["id"]]));
    read(&shop, &order).await;
    shop.run(set, json!({ "input": rows(6, Value::Null), "key": "c" })).await;
    assert_eq!(shop.office("stock_raises").await["violations"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn shipping_twice_ships_twice_and_its_refusals_have_no_code() {
    let shop = shop(&[]).await;
    shop.product("Shirt", &[("S-1", "10.00", 5)]).await;
    let order = checkout(&shop, json!({})).await;
    let work = read(&shop, &order).await["fulfillmentOrders"]["nodes"][0].clone();
    let create = "mutation($f: FulfillmentInput!) { fulfillmentCreate(fulfillment: $f) {
        fulfillment { id status totalQuantity trackingInfo { number url } } userErrors { field message } } }";
    let one = json!({ "f": { "lineItemsByFulfillmentOrder": [{ "fulfillmentOrderId": work["id"],
        "fulfillmentOrderLineItems": [{ "id": work["lineItems"]["nodes"][0]["id"], "quantity": 1 }] }],
        "trackingInfo": { "company": "DHL", "number": "1Z" } } });
    let first = shop.run(create, one.clone()).await;
    assert_eq!(first["fulfillment"]["trackingInfo"][0]["number"], "1Z");
    assert_eq!(read(&shop, &order).await["displayFulfillmentStatus"], "PARTIALLY_FULFILLED");
    shop.run(create, one.clone()).await;
    let third = shop.run(create, one).await;
    assert!(third["userErrors"][0].get("code").is_none());
    let now = read(&shop, &order).await;
    assert_eq!(now["displayFulfillmentStatus"], "FULFILLED");
    assert_eq!(now["fulfillmentOrders"]["nodes"][0]["status"], "CLOSED");
    let levels = shop.office("brief").await[0]["levels"]["main"].clone();
    assert_eq!(levels, json!({ "available": 3, "committed": 0, "on_hand": 3 }));
    let cancel = "mutation($id: ID!) { fulfillmentCancel(id: $id) { fulfillment { status } userErrors { message } } }";
    let done = shop.run(cancel, json!({ "id": first["fulfillment"]["id"] })).await;
    assert_eq!(done["fulfillment"]["status"], "CANCELLED");
    assert_eq!(read(&shop, &order).await["displayFulfillmentStatus"], "PARTIALLY_FULFILLED");
}

#[tokio::test]
async fn what_is_on_hold_cannot_be_fulfilled_and_does_not_move_its_order() {
    let shop = shop(&[]).await;
    shop.product("Shirt", &[("S-1", "10.00", 5)]).await;
    let order = checkout(&shop, json!({})).await;
    let dated = "query($id: ID!) { order(id: $id) { updatedAt displayFulfillmentStatus
        fulfillmentOrders(first: 5) { nodes { id status supportedActions { action } } } } }";
    let id = json!({ "id": order["gid"] });
    let at = async || shop.ask(dated, id.clone()).await["order"].clone();
    let before = at().await;
    let office = format!("orders/{}", order["id"]);
    shop.act(&format!("{office}/hold"), json!({ "reason": "INCORRECT_ADDRESS" })).await;
    let held = at().await;
    assert_eq!(
        (&held["updatedAt"], &held["displayFulfillmentStatus"]),
        (&before["updatedAt"], &json!("ON_HOLD"))
    );
    let work = held["fulfillmentOrders"]["nodes"][0].clone();
    assert_eq!(work["status"], "ON_HOLD");
    assert_eq!(work["supportedActions"], json!([{ "action": "RELEASE_HOLD" }]));
    let create = "mutation($f: FulfillmentInput!) { fulfillmentCreate(fulfillment: $f) {
        fulfillment { id } userErrors { field message } } }";
    let all =
        json!({ "f": { "lineItemsByFulfillmentOrder": [{ "fulfillmentOrderId": work["id"] }] } });
    let refused = shop.run(create, all.clone()).await;
    assert!(refused["userErrors"][0]["message"].as_str().unwrap().contains("on_hold"), "{refused}");
    shop.act(&format!("{office}/release"), json!({})).await;
    assert_eq!(at().await["displayFulfillmentStatus"], "UNFULFILLED");
    shop.act(&format!("{office}/hold"), json!({ "scheduled": true })).await;
    assert_eq!(at().await["displayFulfillmentStatus"], "SCHEDULED");
    assert!(shop.run(create, all.clone()).await["fulfillment"].is_null());
    shop.act(&format!("{office}/release"), json!({})).await;
    assert!(shop.run(create, all).await["fulfillment"]["id"].is_string());
}

#[tokio::test]
async fn a_refund_gives_money_and_units_back_once() {
    let shop = shop(&[]).await;
    shop.product("Shirt", &[("S-1", "10.00", 5)]).await;
    let order = checkout(&shop, json!({})).await;
    let before = read(&shop, &order).await;
    let line = before["lineItems"]["nodes"][0]["id"].clone();
    let main = shop.location("main").await;
    let create =
        "mutation($i: RefundInput!, $k: String!) { refundCreate(input: $i) @idempotent(key: $k) {
        refund { id totalRefundedSet { shopMoney { amount } } } userErrors { field message } } }";
    let input = |money: &str| {
        json!({ "orderId": order["gid"],
        "refundLineItems": [{ "lineItemId": line, "quantity": 1, "restockType": "CANCEL", "locationId": main }],
        "transactions": [{ "orderId": order["gid"], "amount": money, "gateway": "shopify_payments",
            "kind": "REFUND" }] })
    };
    let over = shop.run(create, json!({ "i": input("99.00"), "k": "r0" })).await;
    assert!(over["userErrors"][0]["message"].is_string());
    let done = shop.run(create, json!({ "i": input("10.00"), "k": "r1" })).await;
    assert_eq!(amount(&done["refund"]["totalRefundedSet"]), "10.0");
    let again = shop.run(create, json!({ "i": input("10.00"), "k": "r1" })).await;
    assert_eq!(again["refund"]["id"], done["refund"]["id"]);
    let now = read(&shop, &order).await;
    assert_eq!(now["displayFinancialStatus"], "PARTIALLY_REFUNDED");
    assert_eq!(now["lineItems"]["nodes"][0]["currentQuantity"], 1);
    assert_eq!(
        now["fulfillmentOrders"]["nodes"][0]["lineItems"]["nodes"][0]["remainingQuantity"],
        1
    );
    assert_eq!(shop.office("brief").await[0]["levels"]["main"]["available"], 4);
}

#[tokio::test]
async fn an_edit_changes_current_quantities_and_a_cancellation_gives_stock_back() {
    let shop = shop(&[]).await;
    shop.product("Shirt", &[("S-1", "10.00", 5), ("S-2", "7.00", 5)]).await;
    let order = checkout(&shop, json!({})).await;
    let begin = "mutation($id: ID!) { orderEditBegin(id: $id) { calculatedOrder { id
        lineItems(first: 5) { nodes { id quantity } } } userErrors { message } } }";
    let begun = shop.run(begin, json!({ "id": order["gid"] })).await["calculatedOrder"].clone();
    let set = "mutation($id: ID!, $l: ID!) { orderEditSetQuantity(id: $id, lineItemId: $l, quantity: 1,
        restock: true) { calculatedOrder { totalPriceSet { shopMoney { amount } } } userErrors { message } } }";
    let line = begun["lineItems"]["nodes"][0]["id"].clone();
    shop.run(set, json!({ "id": begun["id"], "l": line })).await;
    let commit = "mutation($id: ID!) { orderEditCommit(id: $id) { order { edited } userErrors { message } } }";
    assert_eq!(shop.run(commit, json!({ "id": begun["id"] })).await["order"]["edited"], true);
    let edited = shop
        .act(
            &format!("orders/{}/edit", order["id"]),
            json!({ "lines": [{ "sku": "S-2", "quantity": 1 }] }),
        )
        .await;
    assert_eq!(edited["line_items"].as_array().map(Vec::len), Some(2));
    let now = read(&shop, &order).await;
    assert_eq!(now["lineItems"]["nodes"][0]["quantity"], 2);
    assert_eq!(now["lineItems"]["nodes"][0]["currentQuantity"], 1);
    assert_eq!(amount(&now["currentTotalPriceSet"]), "21.9");
    shop.act(
        &format!("orders/{}/cancel", order["id"]),
        json!({ "reason": "customer", "refund": true }),
    )
    .await;
    let now = read(&shop, &order).await;
    assert!(now["cancelledAt"].is_string());
    assert_eq!(now["displayFinancialStatus"], "REFUNDED");
    let brief = shop.office("brief").await;
    assert_eq!(brief[0]["levels"]["main"], json!({ "available": 5, "committed": 0, "on_hand": 5 }));
}

#[tokio::test]
async fn order_create_is_found_by_its_source_and_customers_by_their_email() {
    let shop = shop(&[]).await;
    let product = shop.product("Shirt", &[("S-1", "10.00", 5)]).await;
    let variant = product["variants"]["nodes"][0]["id"].clone();
    let create = "mutation($o: OrderCreateOrderInput!, $p: OrderCreateOptionsInput) {
        orderCreate(order: $o, options: $p) { order { id sourceIdentifier } userErrors { field message code } } }";
    let input = json!({ "lineItems": [{ "variantId": variant, "quantity": 1 }], "sourceIdentifier": "M-1",
        "customer": { "toUpsert": { "email": "bo@example.com", "firstName": "Bo" } },
        "financialStatus": "PAID" });
    let vars = json!({ "o": input, "p": { "inventoryBehaviour": "DECREMENT_OBEYING_POLICY" } });
    let done = shop.run(create, vars.clone()).await;
    assert_eq!(done["userErrors"], json!([]), "{done}");
    shop.run(create, vars).await;
    let query = "{ orders(first: 5, query: \"source_identifier:M-1\") { nodes { id } } }";
    let found = shop.ask(query, json!({})).await;
    assert_eq!(found["orders"]["nodes"].as_array().map(Vec::len), Some(2), "it is not idempotent");
    let set = "mutation($i: CustomerSetInput!, $by: CustomerSetIdentifiers) {
        customerSet(input: $i, identifier: $by) { customer { id firstName addressesV2(first: 5) {
            nodes { city } } } userErrors { code } } }";
    let vars = json!({ "by": { "email": "bo@example.com" },
        "i": { "email": "bo@example.com", "lastName": "B", "addresses": [{ "city": "Bonn" }] } });
    let done = shop.run(set, vars).await;
    assert_eq!(done["customer"]["firstName"], "Bo");
    assert_eq!(done["customer"]["addressesV2"]["nodes"][0]["city"], "Bonn");
    let taken = shop.run(set, json!({ "i": { "email": "bo@example.com" } })).await;
    assert_eq!(taken["userErrors"][0]["code"], "TAKEN");
}
