//! Categories of an ERP become categories of a shop that replaces a product's whole list of them: the
//! product joins its own, and leaves no other.

use crate::support::{Rig, seed};
use serde_json::{Value, json};

const MUG: &str = "Mug 0 &amp; more";
const OTHER: &str = "Mug 1 &amp; more";
const SHIRT: &str = "Tee 0";

async fn sync(rig: &Rig) {
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "the plan is not empty:\n{told}");
}

fn replace(rig: &Rig, from: &str, to: &str) {
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    assert!(text.contains(from), "{from} stands in the config");
    std::fs::write(rig.toml(), text.replace(from, to)).unwrap();
}

/// An ERP whose products are in a category, and two shops, of which the second takes categories.
async fn rigged(name: &str) -> Rig {
    let rig = Rig::start(name).await;
    replace(&rig, "database = \"erp\"", "database = \"erp\"\ncategories = \"yes\"");
    let secret = "webhook_secret = \"hush-us\"";
    replace(&rig, secret, &format!("{secret}\ncategories = \"write\""));
    replace(&rig, "[own.customer]", "[own.category]\n\"*\" = \"erp\"\n[own.customer]");
    let mut world = seed(3, 50);
    for template in [0, 1, 3] {
        world["templates"][template]["category"] = json!("Kitchen");
    }
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &world).await;
    rig
}

async fn all(rig: &Rig, path: &str) -> Vec<Value> {
    let listed = rig
        .call_shop(&rig.us.url(), reqwest::Method::GET, &format!("{path}?per_page=100"), &json!({}))
        .await;
    listed.as_array().unwrap().clone()
}

/// The names of the categories that a product of this title is in.
async fn inside(rig: &Rig, title: &str) -> Vec<String> {
    let found = all(rig, "products").await;
    let product = found.iter().find(|p| p["name"] == title).unwrap();
    let categories = product["categories"].as_array().unwrap();
    let mut names: Vec<String> =
        categories.iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// The categories of this name.
async fn named(rig: &Rig, name: &str) -> Vec<Value> {
    let listed = all(rig, "products/categories").await;
    listed.into_iter().filter(|c| c["name"] == name).collect()
}

/// In the ERP: another name for a category, and the first mug in a new one.
async fn moved(rig: &Rig) {
    let body = json!({ "domain": [["name", "=", "Kitchen"]], "fields": ["name"] });
    let kitchen = rig.call_erp("product.category/search_read", &body).await[0]["id"].clone();
    let body = json!({ "ids": [kitchen], "vals": { "name": "Cooking" } });
    rig.call_erp("product.category/write", &body).await;
    let body = json!({ "vals_list": [{ "name": "Office" }] });
    let office = rig.call_erp("product.category/create", &body).await[0].clone();
    let body = json!({ "domain": [["name", "=", "Mug 0 & more"]], "fields": ["name"] });
    let template = rig.call_erp("product.template/search_read", &body).await[0]["id"].clone();
    let body = json!({ "ids": [template], "vals": { "categ_id": office } });
    rig.call_erp("product.template/write", &body).await;
}

/// A person in the shop puts each of these into a category of theirs, beside those it is in.
async fn on_sale(rig: &Rig, titles: &[&str]) {
    let post = reqwest::Method::POST;
    let sale =
        rig.call_shop(&rig.us.url(), post, "products/categories", &json!({ "name": "Sale" })).await;
    for product in all(rig, "products").await {
        if !titles.iter().any(|title| product["name"] == *title) {
            continue;
        }
        let mut list = product["categories"].as_array().unwrap().clone();
        list.push(json!({ "id": sale["id"] }));
        let path = format!("products/{}", product["id"]);
        rig.call_shop(&rig.us.url(), reqwest::Method::PUT, &path, &json!({ "categories": list }))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_is_in_its_category_and_stays_in_others() {
    let rig = rigged("shelves").await;
    // The first create is done and its answer lost: the second is refused with the id of the first.
    let lost = json!({ "fail_next": 1, "status": 502, "writes_only": true, "apply": "before" });
    rig.post(&format!("{}/_twin/faults", rig.us.url()), &lost).await;
    sync(&rig).await;
    assert_eq!(named(&rig, "Kitchen").await.len(), 1);
    for title in [MUG, OTHER, SHIRT] {
        assert_eq!(inside(&rig, title).await, ["Kitchen"], "{title}");
    }

    on_sale(&rig, &[MUG, OTHER, SHIRT]).await;
    moved(&rig).await;
    sync(&rig).await;
    assert_eq!(inside(&rig, MUG).await, ["Office", "Sale"], "joined ours, left ours");
    for title in [OTHER, SHIRT] {
        assert_eq!(inside(&rig, title).await, ["Cooking", "Sale"], "{title}");
    }
    assert_eq!(named(&rig, "Kitchen").await.len(), 0, "it was renamed, not made anew");
}

/// Without the look just before, what a person put it in since is gone with the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_look_before_another_persons_category_is_left() {
    let rig = rigged("shelves-control").await;
    sync(&rig).await;
    on_sale(&rig, &[MUG]).await;
    moved(&rig).await;
    let mut command = rig.command(&["sync"]);
    command.env("KILTER_UNSAFE_WITHOUT", "places");
    let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(inside(&rig, MUG).await, ["Office"]);
}
