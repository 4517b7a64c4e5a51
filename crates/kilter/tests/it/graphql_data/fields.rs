//! A merchant's own fields: set one by one in a shop that keeps others beside them.

use crate::graphql_data::third::{Third, at_rest, reconfigure, sync};
use crate::support::{Rig, seed};
use serde_json::{Value, json};

const LOOKUP: &str = "[connection.plus.lookup.metafields]\nseason = \"saison\"\ncare = \"care\"\n";

/// What a product of the first shop keeps beside everything else.
async fn keeps(rig: &Rig, sku: &str, values: &Value) {
    let url = format!("{}/wp-json/wc/v3/products", rig.de.url());
    let get = rig.http.get(format!("{url}?sku={sku}")).basic_auth("ck_test", Some("cs_test"));
    let found: Value =
        serde_json::from_str(&get.send().await.unwrap().text().await.unwrap()).unwrap();
    let meta: Vec<Value> = values
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect();
    let put = rig.http.put(format!("{url}/{}", found[0]["id"]));
    let put = put.basic_auth("ck_test", Some("cs_test")).header("content-type", "application/json");
    let answer = put.body(json!({ "meta_data": meta }).to_string()).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// Our fields of the product, by their keys; the code is none of them.
async fn fields(plus: &Third<'_>, title: &str) -> Value {
    let product = plus.rows("products", |p| p["title"] == title).await.remove(0);
    let list = product["metafields"].as_array().unwrap().clone();
    let custom = list.iter().filter(|m| m["namespace"] == "custom");
    custom.map(|m| (m["key"].as_str().unwrap().to_owned(), m["value"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_field_is_set_alone_and_what_somebody_changed_meanwhile_is_read_again() {
    let rig = Rig::start("graphql-fields").await;
    let own = "[own.product]\n\"*\" = \"erp\"";
    reconfigure(&rig, own, &format!("{own}\ncustom = \"de\""));
    let de = "[connection.de.orders]";
    reconfigure(
        &rig,
        de,
        &format!("[connection.de.lookup.meta]\nseason = \"_season\"\ncare = \"_care\"\n{de}"),
    );
    let plus = Third::join(&rig, &[], LOOKUP).await;
    let define = "mutation ($d: MetafieldDefinitionInput!) { metafieldDefinitionCreate(definition: $d) { \
                  userErrors { message } } }";
    for key in ["saison", "care", "theirs"] {
        let definition = json!({ "name": key, "namespace": "custom", "key": key,
            "type": "single_line_text_field", "ownerType": "PRODUCT" });
        plus.ask(define, json!({ "d": definition })).await;
    }
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(3, 50)).await;
    sync(&rig).await;
    let title = "Mug 1 & more";
    let product = plus.rows("products", |p| p["title"] == title).await.remove(0);
    let set = "mutation ($m: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $m) { \
               userErrors { message } } }";
    let field = |key: &str, value: &str| json!({ "m": [{ "ownerId": product["gid"], "namespace": "custom", "key": key, "value": value }] });
    plus.ask(set, field("theirs", "left alone")).await;

    keeps(&rig, "MUG-001", &json!({ "_season": "2026", "_care": "cold", "_other": "no" })).await;
    sync(&rig).await;
    let wanted = json!({ "saison": "2026", "care": "cold", "theirs": "left alone" });
    assert_eq!(fields(&plus, title).await, wanted);
    at_rest(&rig).await;

    // Somebody changes one in the shop, unseen; then the owner changes it, too.
    plus.ask(set, field("saison", "1999")).await;
    keeps(&rig, "MUG-001", &json!({ "_season": "2027" })).await;
    for _ in 0..20 {
        sync(&rig).await;
        if fields(&plus, title).await["saison"] == "2027" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let wanted = json!({ "saison": "2027", "care": "cold", "theirs": "left alone" });
    assert_eq!(fields(&plus, title).await, wanted, "the stale one was read again, then set");
    at_rest(&rig).await;
}
