//! Each fault of the third shop, one at a time, each taken back.
//!
//! Reads   the stage's verdicts.
//! Writes  faults.
//! Never   starts Kilter.

use kilter_twin::scenario::Stage;
use kilter_twin::scenario::catalogue::CASE_PAIR;
use serde_json::{Value, json};

use crate::scenario::middleman::{Middleman, list};
use crate::scenario::{only, row_of, wrong};

impl Middleman {
    /// The titles that the editors of one shop gave, shown in the other that speaks their tongue.
    pub async fn carry_titles(&self, stage: &Stage) {
        for edit in &stage.script.titles {
            let sku = &stage.catalogue.templates[edit.template].variants[0].sku;
            let row = row_of(self, "plus", sku).await;
            let page = format!("products/{}", row["product"]);
            self.act("plus", &page, json!({ "title": edit.title })).await;
        }
    }
}

pub async fn goods_faults(stage: &Stage, middleman: &Middleman) {
    let verdict = async || stage.referee().await.expect("a verdict");
    let sku = &stage.catalogue.templates[3].variants[1].sku;
    let row = row_of(middleman, "plus", sku).await;
    let page = format!("products/{}", row["product"]);
    let west = row["levels"]["west"]["available"].as_i64().expect("units");
    let weight = |kilograms: Value| json!({ "measurement": { "weight": { "value": kilograms, "unit": "KILOGRAMS" } } });
    for (entity, name, bad, good) in [
        ("stock", "stock", json!({ "west": west + 1 }), json!({ "west": west })),
        ("prices", "price", json!("0.02"), row["price"].clone()),
        ("variants", "barcode", json!("1"), row["gtin"].clone()),
        ("variants", "inventoryItem", weight(json!(9.5)), weight(row["weight"]["value"].clone())),
    ] {
        let edit = async |value: Value| {
            let variant = json!({ "id": row["id"], name: value });
            middleman.act("plus", &page, json!({ "variants": [variant] })).await;
        };
        edit(bad).await;
        only(&verdict().await, "plus", entity);
        edit(good).await;
        assert!(verdict().await.ok, "{entity} is right again");
    }
    // Business customers see another price.
    let own = row["price_lists"]["b2b"].as_str().expect("a price").to_owned();
    middleman.list_prices(&[(row["id"].clone(), "0.02".to_owned())]).await;
    only(&verdict().await, "plus", "prices");
    middleman.list_prices(&[(row["id"].clone(), own)]).await;
    for (entity, name, bad, good) in [
        ("titles", "title", json!("Something"), row["title"].clone()),
        ("products", "status", json!("DRAFT"), json!("ACTIVE")),
    ] {
        middleman.act("plus", &page, json!({ name: bad })).await;
        only(&verdict().await, "plus", entity);
        middleman.act("plus", &page, json!({ name: good })).await;
        assert!(verdict().await.ok, "{entity} is right again");
    }
    // A stranger, with a SKU that another product has: nothing forbids that here.
    let twice = json!({ "products": [{ "title": "X", "status": "ACTIVE" }] });
    let seeded = middleman.act("plus", "seed", twice).await;
    only(&verdict().await, "plus", "products");
    remove(middleman, &seeded["products"][0]).await;
    assert!(verdict().await.ok);
    // One of the pair is missing, and the other does not stand for it.
    let row = row_of(middleman, "plus", CASE_PAIR[1]).await;
    remove(middleman, &row["product"]).await;
    let found = verdict().await;
    let wrongs = ["products", "variants", "titles"].map(|entity| wrong(&found, "plus", entity));
    assert_eq!(wrongs, [1, 1, 1], "{:#?}", found.problems);
    assert_eq!(["prices", "stock"].map(|entity| wrong(&found, "plus", entity)), [2, 2]);
    middleman.load_one(CASE_PAIR[1]).await;
    let found = verdict().await;
    assert!(found.ok, "{:#?}", found.problems);
}

async fn remove(middleman: &Middleman, product: &Value) {
    let id = product
        .as_str()
        .map_or(product.to_string(), |gid| gid.rsplit('/').next().unwrap_or("").to_owned());
    middleman.act("plus", &format!("products/{id}/delete"), json!({})).await;
}

pub async fn paper_faults(stage: &Stage, middleman: &Middleman) {
    let verdict = async || stage.referee().await.expect("a verdict");
    // A parcel's number is another one.
    let own = |parcel: &&kilter_twin::scenario::script::Parcel| parcel.shop == "plus";
    let parcel = stage.script.parcels.iter().find(own).expect("a parcel");
    let orders = middleman.get("plus", "orders").await;
    let order = list(&orders).iter().find(|order| order["id"] == json!(parcel.order)).expect("it");
    let id = order["fulfillments"][0]["admin_graphql_api_id"].clone();
    let track = async |number: &str| {
        let info = json!({ "company": parcel.carrier, "number": number });
        let change = "mutation($id: ID!, $info: FulfillmentTrackingInput!) {
            fulfillmentTrackingInfoUpdate(fulfillmentId: $id, trackingInfoInput: $info) {
                userErrors { message } } }";
        middleman.ask(change, json!({ "id": id, "info": info })).await;
    };
    track("WRONG-1").await;
    only(&verdict().await, "plus", "shipments");
    track(&parcel.tracking).await;
    assert!(verdict().await.ok);
    // The parcel never left: the order is open again, and shows nothing.
    let cancel = "mutation($id: ID!) { fulfillmentCancel(id: $id) { userErrors { message } } }";
    middleman.ask(cancel, json!({ "id": id })).await;
    let found = verdict().await;
    let wrongs = ["orders", "shipments"].map(|entity| wrong(&found, "plus", entity));
    assert_eq!(wrongs, [1, 1], "{:#?}", found.problems);
    middleman.carry_parcels().await;
    let found = verdict().await;
    assert!(found.ok, "{:#?}", found.problems);
}

/// The same as in the other shops: who writes over a sale he was not told of is found.
pub async fn raise_over_a_sale(stage: &Stage, middleman: &Middleman) {
    let before = stage.referee().await.expect("a verdict").stock_raises;
    let sku = &stage.catalogue.templates[5].variants[0].sku;
    let row = row_of(middleman, "plus", sku).await;
    let lines = json!([{ "sku": sku, "quantity": 1 }]);
    middleman.act("plus", "orders", json!({ "lines": lines, "location": "main" })).await;
    let item = format!("gid://shopify/InventoryItem/{}", row["inventory_item"]);
    let read = "query($id: ID!) { inventoryItem(id: $id) { inventoryLevels(first: 5) { nodes {
        location { id name } quantities(names: [\"available\"]) { quantity } } } } }";
    let levels = middleman.ask(read, json!({ "id": item })).await;
    let nodes = &levels["inventoryItem"]["inventoryLevels"]["nodes"];
    let main = list(nodes).iter().find(|node| node["location"]["name"] == "main").expect("main");
    let there = main["quantities"][0]["quantity"].as_i64().expect("units");
    let input = json!({ "name": "available", "reason": "correction", "quantities": [{
        "inventoryItemId": item, "locationId": main["location"]["id"], "quantity": there + 1,
        "changeFromQuantity": there,
    }] });
    let write = "mutation($input: InventorySetQuantitiesInput!) {
        inventorySetQuantities(input: $input) @idempotent(key: \"one\") { userErrors { message } } }";
    middleman.ask(write, json!({ "input": input })).await;
    let found = stage.referee().await.expect("a verdict");
    assert_eq!((found.stock_raises, found.ok), (before + 1, false), "{:#?}", found.problems);
}
