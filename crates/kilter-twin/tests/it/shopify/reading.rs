//! Pages, searches, the lagging index.

use serde_json::json;

use crate::shopify::support::shop;

#[tokio::test]
async fn pages_follow_each_other_and_a_cursor_belongs_to_its_list() {
    let shop = shop(&[]).await;
    for n in 0..5 {
        shop.product(&format!("P{n}"), &[(&format!("S-{n}"), "1", 0)]).await;
    }
    let query = "query($a: String, $s: ProductSortKeys, $q: String) {
        products(first: 2, after: $a, sortKey: $s, query: $q) {
            nodes { title } pageInfo { hasNextPage endCursor } } }";
    let mut titles = vec![];
    let mut after = json!(null);
    loop {
        let data = shop.ask(query, json!({ "a": after, "s": "UPDATED_AT" })).await;
        let page = data["products"].clone();
        titles.extend(page["nodes"].as_array().expect("nodes").iter().map(|n| n["title"].clone()));
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
    }
    assert_eq!(titles, ["P0", "P1", "P2", "P3", "P4"].map(|t| json!(t)));
    let reply = shop.raw(query, json!({ "a": after, "s": "TITLE" })).await;
    assert!(reply["errors"][0]["message"].as_str().is_some_and(|m| m.contains("cursor")));
}

#[tokio::test]
async fn a_nested_page_is_cut_in_silence() {
    let shop = shop(&[]).await;
    shop.product("P", &[("S-1", "1", 0), ("S-2", "1", 0), ("S-3", "1", 0)]).await;
    let query = "{ products(first: 1) { nodes { variants(first: 2) {
        nodes { sku } pageInfo { hasNextPage } } } } }";
    let data = shop.ask(query, json!({})).await;
    let variants = &data["products"]["nodes"][0]["variants"];
    assert_eq!(variants["nodes"].as_array().map(Vec::len), Some(2));
    assert_eq!(variants["pageInfo"]["hasNextPage"], true);
}

#[tokio::test]
async fn an_unquoted_date_filters_nothing_and_only_a_warning_tells() {
    let shop = shop(&[]).await;
    shop.product("P", &[("S-1", "1", 0)]).await;
    let query = "query($q: String) { products(first: 5, query: $q) { nodes { id } } }";
    let quoted = shop.raw(query, json!({ "q": "updated_at:>='2099-01-01T00:00:00Z'" })).await;
    assert_eq!(quoted["data"]["products"]["nodes"], json!([]));
    assert!(quoted["extensions"].get("search").is_none());
    let bare = shop.raw(query, json!({ "q": "updated_at:>=2099-01-01T00:00:00Z" })).await;
    assert_eq!(bare["data"]["products"]["nodes"].as_array().map(Vec::len), Some(1));
    assert_eq!(bare["extensions"]["search"][0]["warnings"][0]["field"], "updated_at");
    for (text, found) in [
        ("sku:S-1", 1),
        ("sku:S-2", 0),
        ("sku:S*", 1),
        ("status:active", 1),
        ("-status:active", 0),
        ("sku:S-2 OR title:P", 1),
        ("sku:S-1 AND (vendor:nobody OR tag:x)", 0),
        ("updated_at:>2020-01-01", 1),
    ] {
        let reply = shop.raw(query, json!({ "q": text })).await;
        let nodes = reply["data"]["products"]["nodes"].as_array().map(Vec::len);
        assert_eq!(nodes, Some(found), "{text}: {reply}");
    }
}

#[tokio::test]
async fn the_index_lags_and_nodes_do_not() {
    let shop = shop(&[("search_lag_seconds", "1")]).await;
    let product = shop.product("P", &[("S-1", "1", 0)]).await;
    let query = "query($q: String, $ids: [ID!]!) { products(first: 5, query: $q) { nodes { id } }
        nodes(ids: $ids) { id ... on Product { title } } }";
    let vars = json!({ "q": "title:P", "ids": [product["id"]] });
    let data = shop.ask(query, vars.clone()).await;
    assert_eq!(data["products"]["nodes"], json!([]));
    assert_eq!(data["nodes"][0]["title"], "P");
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let data = shop.ask(query, vars).await;
    assert_eq!(data["products"]["nodes"][0]["id"], product["id"]);
}

#[tokio::test]
async fn levels_of_a_location_are_read_by_when_they_changed() {
    let shop = shop(&[]).await;
    shop.product("P", &[("S-1", "1", 4)]).await;
    let main = shop.location("main").await;
    let query = "query($id: ID!, $q: String) { location(id: $id) { inventoryLevels(first: 5, query: $q) {
        nodes { id updatedAt item { sku variant { id } } quantities(names: [\"available\", \"on_hand\"]) {
            name quantity } } } } }";
    let data =
        shop.ask(query, json!({ "id": main, "q": "updated_at:>='2020-01-01T00:00:00Z'" })).await;
    let level = &data["location"]["inventoryLevels"]["nodes"][0];
    assert_eq!(level["quantities"][1]["quantity"], 4);
    assert_eq!(level["item"]["sku"], "S-1");
    assert!(level["id"].as_str().is_some_and(|id| id.contains("?inventory_item_id=")));
}

#[tokio::test]
async fn a_deletion_is_an_event() {
    let shop = shop(&[]).await;
    let product = shop.product("P", &[("S-1", "1", 0)]).await;
    let delete = "mutation($id: ID!) { productDelete(input: { id: $id }) { deletedProductId userErrors { message } } }";
    let done = shop.run(delete, json!({ "id": product["id"] })).await;
    assert_eq!(done["deletedProductId"], product["id"]);
    let query = "{ events(first: 5, query: \"action:destroy subject_type:PRODUCT\") {
        nodes { action ... on BasicEvent { subjectId subjectType } } } }";
    let data = shop.ask(query, json!({})).await;
    assert_eq!(data["events"]["nodes"][0]["subjectId"], product["id"]);
}
