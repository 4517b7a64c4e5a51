//! Categories of an ERP become collections of a shop, with their products in them and nobody else's
//! taken out.

use crate::graphql_data::third::{Third, at_rest, erp, reconfigure, sync};
use crate::support::{Rig, seed};
use serde_json::{Value, json};

/// The titles of the collections that a product is in.
async fn inside(plus: &Third<'_>, title: &str) -> Vec<String> {
    let product = plus.rows("products", |p| p["title"] == title).await.remove(0);
    let holds = |c: &Value| c["products"].as_array().unwrap().contains(&product["gid"]);
    let found = plus.rows("collections", holds).await;
    let mut titles: Vec<String> =
        found.iter().map(|c| c["title"].as_str().unwrap().to_owned()).collect();
    titles.sort();
    titles
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_is_in_the_collection_of_its_category_and_stays_in_others() {
    let rig = Rig::start("graphql-collections").await;
    let plus = Third::join(&rig, &[], "collections = \"write\"\n").await;
    reconfigure(&rig, "database = \"erp\"", "database = \"erp\"\ncategories = \"yes\"");
    reconfigure(&rig, "[own.customer]", "[own.category]\n\"*\" = \"erp\"\n[own.customer]");
    let mut world = seed(3, 50);
    world["templates"][0]["category"] = json!("Kitchen");
    world["templates"][1]["category"] = json!("Kitchen");
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &world).await;
    sync(&rig).await;
    let (first, second) = ("Mug 0 & more", "Mug 1 & more");
    assert_eq!(inside(&plus, first).await, ["Kitchen"]);
    assert_eq!(inside(&plus, second).await, ["Kitchen"]);
    let kitchen = plus.rows("collections", |c| c["title"] == "Kitchen").await;
    assert_eq!(kitchen.len(), 1);
    assert!(kitchen[0]["metafields"].to_string().contains("category-"), "{kitchen:?}");
    at_rest(&rig).await;

    // A person in the shop has a collection of their own, with both in it.
    let products = plus.rows("products", |p| p["title"] == first || p["title"] == second).await;
    let ids: Vec<&Value> = products.iter().map(|p| &p["gid"]).collect();
    let theirs = "mutation ($input: CollectionInput!) { collectionCreate(input: $input) { \
                  userErrors { message } } }";
    plus.ask(theirs, json!({ "input": { "title": "Sale", "products": ids } })).await;

    // The ERP calls the category something else, and moves the first product to another.
    let body = json!({ "domain": [["name", "=", "Kitchen"]], "fields": ["name"] });
    let category = erp(&rig, "product.category/search_read", &body).await[0]["id"].clone();
    erp(
        &rig,
        "product.category/write",
        &json!({ "ids": [category], "vals": { "name": "Cooking" } }),
    )
    .await;
    let body = json!({ "vals_list": [{ "name": "Office" }] });
    let office = erp(&rig, "product.category/create", &body).await[0].clone();
    let body = json!({ "domain": [["name", "=", first]], "fields": ["name"] });
    let template = erp(&rig, "product.template/search_read", &body).await[0]["id"].clone();
    let body = json!({ "ids": [template], "vals": { "categ_id": office } });
    erp(&rig, "product.template/write", &body).await;
    sync(&rig).await;
    assert_eq!(inside(&plus, first).await, ["Office", "Sale"], "joined ours, left ours");
    assert_eq!(inside(&plus, second).await, ["Cooking", "Sale"]);
    assert_eq!(plus.rows("collections", |c| c["title"] == "Cooking").await.len(), 1);
    at_rest(&rig).await;
}
