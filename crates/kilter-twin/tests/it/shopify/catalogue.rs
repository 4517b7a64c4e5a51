//! Products, variants, stock, prices, metafields.

use serde_json::{Value, json};

use crate::shopify::support::{SET, shop};

#[tokio::test]
async fn a_list_is_replaced_as_a_whole_and_a_scalar_left_out_stays() {
    let shop = shop(&[]).await;
    let product = shop.product("Shirt", &[("S-1", "10.00", 5), ("S-2", "12.50", 3)]).await;
    let id = product["id"].clone();
    let first = product["variants"]["nodes"][0]["id"].clone();
    let input = json!({
        "productOptions": [{ "name": "Kind", "values": [{ "name": "S-1" }, { "name": "S-3" }] }],
        "variants": [
            { "optionValues": [{ "optionName": "Kind", "name": "S-1" }], "sku": "S-1" },
            { "optionValues": [{ "optionName": "Kind", "name": "S-3" }], "sku": "S-3" },
        ],
    });
    let done = shop.run(SET, json!({ "input": input, "by": { "id": id } })).await;
    assert_eq!(done["userErrors"], json!([]), "{done}");
    let nodes = done["product"]["variants"]["nodes"].clone();
    assert_eq!(nodes.as_array().map(Vec::len), Some(2));
    assert_eq!(nodes[0]["id"], first, "found again by what it is");
    assert_eq!(nodes[0]["price"], "10.00");
    assert_eq!(nodes[1]["sku"], "S-3");
    assert_eq!(done["product"]["title"], "Shirt");
    let brief = shop.office("brief").await;
    assert_eq!(brief.as_array().map(Vec::len), Some(2));
    assert_eq!(brief[0]["levels"]["main"]["available"], 5);
}

#[tokio::test]
async fn product_set_refuses_with_codes() {
    let shop = shop(&[]).await;
    shop.product("Shirt", &[("S-1", "10.00", 5)]).await;
    let options = json!([{ "name": "Kind", "values": [{ "name": "a" }] }]);
    let four: Vec<Value> =
        (0..4).map(|n| json!({ "name": format!("o{n}"), "values": [{ "name": "a" }] })).collect();
    let variant = |name: &str| json!({ "optionValues": [{ "optionName": "Kind", "name": name }] });
    for (input, by, code) in [
        (json!({}), Value::Null, "MISSING_FIELD_REQUIRED"),
        (json!({ "title": "x", "handle": "shirt" }), Value::Null, "HANDLE_NOT_UNIQUE"),
        (
            json!({ "title": "x" }),
            json!({ "id": "gid://shopify/Product/1" }),
            "PRODUCT_DOES_NOT_EXIST",
        ),
        (json!({ "title": "x", "handle": "b" }), json!({ "handle": "a" }), "INPUT_MISMATCH"),
        (
            json!({ "title": "x", "variants": [variant("a")] }),
            Value::Null,
            "PRODUCT_OPTIONS_INPUT_MISSING",
        ),
        (json!({ "title": "x", "productOptions": options }), Value::Null, "VARIANTS_INPUT_MISSING"),
        (
            json!({ "title": "x", "productOptions": four, "variants": [] }),
            Value::Null,
            "OPTIONS_OVER_LIMIT",
        ),
        (
            json!({ "title": "x", "productOptions": options, "variants": [variant("b")] }),
            Value::Null,
            "OPTION_VALUE_DOES_NOT_EXIST",
        ),
        (
            json!({ "title": "x", "productOptions": options, "variants": vec![variant("a"); 2049] }),
            Value::Null,
            "VARIANTS_OVER_LIMIT",
        ),
    ] {
        let done = shop.run(SET, json!({ "input": input, "by": by })).await;
        assert_eq!(done["userErrors"][0]["code"], code, "{done}");
        assert!(done["product"].is_null());
    }
}

#[tokio::test]
async fn product_set_by_custom_id_creates_once() {
    let shop = shop(&[]).await;
    let define = "mutation { metafieldDefinitionCreate(definition: { name: \"ERP\", namespace: \"erp\",
        key: \"id\", type: \"id\", ownerType: PRODUCT }) { createdDefinition { id } userErrors { code } } }";
    assert_eq!(shop.run(define, json!({})).await["userErrors"], json!([]));
    let by = json!({ "customId": { "namespace": "erp", "key": "id", "value": "P-1" } });
    let one = shop.run(SET, json!({ "input": { "title": "A" }, "by": by })).await;
    let two = shop.run(SET, json!({ "input": { "title": "B" }, "by": by })).await;
    assert_eq!(one["product"]["id"], two["product"]["id"]);
    assert_eq!(two["product"]["title"], "B");
    let query =
        "query($by: ProductIdentifierInput!) { productByIdentifier(identifier: $by) { title } }";
    let data = shop.ask(query, json!({ "by": by })).await;
    assert_eq!(data["productByIdentifier"]["title"], "B");
}

#[tokio::test]
async fn product_set_without_waiting_is_polled() {
    let shop = shop(&[("job_seconds", "0.2")]).await;
    let done = shop.run(SET, json!({ "input": { "title": "Later" }, "now": false })).await;
    assert!(done["product"].is_null());
    assert_eq!(done["productSetOperation"]["status"], "CREATED");
    let id = done["productSetOperation"]["id"].clone();
    let query = "query($id: ID!) { productOperation(id: $id) { status product { title }
        ... on ProductSetOperation { userErrors { message } } } }";
    for _ in 0..100 {
        let data = shop.ask(query, json!({ "id": id })).await;
        if data["productOperation"]["status"] == "COMPLETE" {
            assert_eq!(data["productOperation"]["product"]["title"], "Later");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it is never complete");
}

const STOCK: &str = "mutation($input: InventorySetQuantitiesInput!, $key: String!) {
    inventorySetQuantities(input: $input) @idempotent(key: $key) {
        inventoryAdjustmentGroup { id changes { name delta quantityAfterChange } }
        userErrors { field message code } } }";

async fn item(shop: &crate::shopify::support::Shop) -> (String, String) {
    let product = shop.product("Shirt", &[("S-1", "10.00", 5)]).await;
    let item = product["variants"]["nodes"][0]["inventoryItem"]["id"].as_str().expect("an id");
    (item.to_owned(), shop.location("main").await)
}

fn set(item: &str, place: &str, quantity: i64, from: Value) -> Value {
    json!({ "name": "available", "reason": "correction", "quantities": [{
        "inventoryItemId": item, "locationId": place, "quantity": quantity,
        "changeFromQuantity": from,
    }] })
}

#[tokio::test]
async fn stock_is_compared_and_set_and_a_key_counts_once() {
    let shop = shop(&[]).await;
    let (item, main) = item(&shop).await;
    let call = |input: Value, key: &str| {
        let (shop, key) = (&shop, key.to_owned());
        async move { shop.run(STOCK, json!({ "input": input, "key": key })).await }
    };
    let done = call(set(&item, &main, 7, json!(5)), "k1").await;
    assert_eq!(done["inventoryAdjustmentGroup"]["changes"][0]["delta"], 2);
    let stale = call(set(&item, &main, 9, json!(5)), "k2").await;
    assert_eq!(stale["userErrors"][0]["code"], "CHANGE_FROM_QUANTITY_STALE");
    assert_eq!(
        stale["userErrors"][0]["field"],
        json!(["input", "quantities", "0", "changeFromQuantity"])
    );
    let again = call(set(&item, &main, 7, json!(5)), "k1").await;
    assert_eq!(again["userErrors"], json!([]), "a replay is not stale");
    let other = call(set(&item, &main, 8, json!(7)), "k1").await;
    assert_eq!(other["userErrors"][0]["code"], "IDEMPOTENCY_KEY_PARAMETER_MISMATCH");
    let failed = call(set(&item, &main, 9, json!(5)), "k2").await;
    assert_eq!(failed["userErrors"][0]["code"], "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED");
    shop.act("faults", json!({ "idempotency_concurrent_next": 1 })).await;
    let busy = call(set(&item, &main, 9, json!(7)), "k3").await;
    assert_eq!(busy["userErrors"][0]["code"], "IDEMPOTENCY_CONCURRENT_REQUEST");
    assert_eq!(shop.office("brief").await[0]["stock"], 7);
}

#[tokio::test]
async fn stock_without_a_key_or_without_a_comparison_is_an_error() {
    let shop = shop(&[]).await;
    let (item, main) = item(&shop).await;
    let bare = STOCK.replace("@idempotent(key: $key)", "").replace(", $key: String!", "");
    let reply = shop.raw(&bare, json!({ "input": set(&item, &main, 7, json!(5)) })).await;
    assert!(reply["errors"][0]["message"].as_str().is_some_and(|m| m.contains("@idempotent")));
    let mut input = set(&item, &main, 7, json!(5));
    input["quantities"][0].as_object_mut().expect("a map").remove("changeFromQuantity");
    let reply = shop.raw(STOCK, json!({ "input": input, "key": "k" })).await;
    assert_eq!(reply["errors"][0]["path"], json!(["inventorySetQuantities"]));
    assert_eq!(shop.office("brief").await[0]["stock"], 5);
}

#[tokio::test]
async fn stock_can_be_set_where_there_was_none_and_bad_rows_change_nothing() {
    let shop = shop(&[]).await;
    let (item, main) = item(&shop).await;
    let outlet = shop.location("outlet").await;
    let input = set(&item, &outlet, 4, Value::Null);
    let done = shop.run(STOCK, json!({ "input": input, "key": "k1" })).await;
    assert_eq!(done["userErrors"], json!([]), "as of 2026-10 a level comes into being");
    let mut both = set(&item, &main, 9, Value::Null);
    let rows = both["quantities"].as_array_mut().expect("rows");
    rows.push(json!({ "inventoryItemId": "gid://shopify/InventoryItem/1", "locationId": main,
        "quantity": 1, "changeFromQuantity": null }));
    let done = shop.run(STOCK, json!({ "input": both, "key": "k2" })).await;
    assert_eq!(done["userErrors"][0]["code"], "INVALID_INVENTORY_ITEM");
    let brief = shop.office("brief").await;
    assert_eq!(brief[0]["levels"]["main"]["available"], 5);
    assert_eq!(brief[0]["levels"]["outlet"]["available"], 4);
}

#[tokio::test]
async fn a_metafield_is_set_against_its_digest() {
    let shop = shop(&[]).await;
    let id = shop.product("Shirt", &[("S-1", "1", 0)]).await["id"].clone();
    let set = "mutation($m: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $m) {
        metafields { value compareDigest type } userErrors { code elementIndex } } }";
    let field = |value: &str| {
        json!({ "ownerId": id, "namespace": "erp", "key": "note", "value": value,
            "type": "single_line_text_field" })
    };
    let done = shop.run(set, json!({ "m": [field("a")] })).await;
    let digest = done["metafields"][0]["compareDigest"].clone();
    let mut next = field("b");
    next["compareDigest"] = digest;
    let done = shop.run(set, json!({ "m": [next] })).await;
    assert_eq!(done["metafields"][0]["value"], "b");
    let stale = shop.run(set, json!({ "m": [next] })).await;
    assert_eq!(stale["userErrors"][0]["code"], "STALE_OBJECT");
    let many = vec![field("c"); 26];
    let done = shop.run(set, json!({ "m": many })).await;
    assert_eq!(done["userErrors"][0]["code"], "LESS_THAN_OR_EQUAL_TO");
}

#[tokio::test]
async fn fixed_prices_are_in_the_lists_currency() {
    let shop = shop(&[("price_lists", "b2b:EUR")]).await;
    let product = shop.product("Shirt", &[("S-1", "10.00", 5)]).await;
    let variant = product["variants"]["nodes"][0]["id"].clone();
    let data = shop.ask("{ priceLists(first: 5) { nodes { id currency } } }", json!({})).await;
    let list = data["priceLists"]["nodes"][0]["id"].clone();
    let add = "mutation($l: ID!, $p: [PriceListPriceInput!]!) {
        priceListFixedPricesAdd(priceListId: $l, prices: $p) {
            prices { price { amount } originType } userErrors { code } } }";
    let price = |currency: &str| json!([{ "variantId": variant, "price": { "amount": "8.90", "currencyCode": currency } }]);
    let done = shop.run(add, json!({ "l": list, "p": price("USD") })).await;
    assert_eq!(done["userErrors"][0]["code"], "PRICE_LIST_CURRENCY_MISMATCH");
    let done = shop.run(add, json!({ "l": list, "p": price("EUR") })).await;
    assert_eq!(done["prices"][0]["price"]["amount"], "8.9");
    let query = "query($l: ID!) { priceList(id: $l) { fixedPricesCount
        prices(first: 5, originType: FIXED) { nodes { variant { sku } price { amount } } } } }";
    let data = shop.ask(query, json!({ "l": list })).await;
    assert_eq!(data["priceList"]["prices"]["nodes"][0]["variant"]["sku"], "S-1");
    assert_eq!(shop.office("brief").await[0]["price_lists"]["b2b"], "8.9");
}

#[tokio::test]
async fn variants_are_updated_in_bulk_or_not_at_all() {
    let shop = shop(&[]).await;
    let product = shop.product("Shirt", &[("S-1", "10.00", 5), ("S-2", "11.00", 1)]).await;
    let update = "mutation($p: ID!, $v: [ProductVariantsBulkInput!]!, $part: Boolean) {
        productVariantsBulkUpdate(productId: $p, variants: $v, allowPartialUpdates: $part) {
            productVariants { sku price } userErrors { code field } } }";
    let one = product["variants"]["nodes"][0]["id"].clone();
    let rows = json!([{ "id": one, "price": "9.99" },
        { "id": "gid://shopify/ProductVariant/1", "price": "1" }]);
    let vars = json!({ "p": product["id"], "v": rows, "part": false });
    let done = shop.run(update, vars).await;
    assert_eq!(done["userErrors"][0]["code"], "PRODUCT_VARIANT_DOES_NOT_EXIST");
    assert_eq!(shop.office("brief").await[0]["price"], "10.00");
    let done = shop.run(update, json!({ "p": product["id"], "v": rows, "part": true })).await;
    assert_eq!(done["productVariants"][0]["price"], "9.99");
}
