//! Pictures: each is sent once, whatever becomes of the answer; what others put there stays.

use std::path::Path;

use crate::graphql_data::third::{Third, at_rest, found, reconfigure, sync};
use crate::support::{Rig, seed};
use serde_json::{Value, json};

/// As a person in the first shop would put them, under the names that the copied connector reads.
async fn pictures(rig: &Rig, sku: &str, names: &[&str]) {
    let images: Vec<Value> = names
        .iter()
        .map(|name| json!({ "src": "https://cdn.example.com/one.png", "name": name, "alt": "A" }))
        .collect();
    let url = format!("{}/wp-json/wc/v3/products", rig.de.url());
    let get = rig.http.get(format!("{url}?sku={sku}")).basic_auth("ck_test", Some("cs_test"));
    let found: Value =
        serde_json::from_str(&get.send().await.unwrap().text().await.unwrap()).unwrap();
    let put = rig.http.put(format!("{url}/{}", found[0]["id"]));
    let put = put.basic_auth("ck_test", Some("cs_test")).header("content-type", "application/json");
    let answer = put.body(json!({ "images": images }).to_string()).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// A merchant's own copy of the first shop's connector, whose pictures are known by their names: so
/// the test says where they come from.
fn own_connector(rig: &Rig) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../connectors/woocommerce"); // tidy: names
    let to = rig.folder.join("connectors/woocommerce"); // tidy: names
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap().flatten().filter(|f| f.path().is_file()) {
        let text = std::fs::read_to_string(file.path()).unwrap();
        std::fs::write(to.join(file.file_name()), text.replace("src | text", "name | text"))
            .unwrap();
    }
}

async fn rigged(name: &str) -> Rig {
    let rig = Rig::start(name).await;
    own_connector(&rig);
    reconfigure(
        &rig,
        "[own.product]\n\"*\" = \"erp\"",
        "[own.product]\n\"*\" = \"erp\"\nimages = \"de\"",
    );
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(3, 50)).await;
    sync(&rig).await;
    rig
}

/// The sources of a product's pictures, in their order.
async fn shown(plus: &Third<'_>, title: &str) -> Vec<String> {
    let state = plus.state().await;
    let list = |kind: &str| state[kind].as_array().unwrap().clone();
    let product = list("products").into_iter().find(|p| p["title"] == title).unwrap();
    let media = product["media"].as_array().unwrap().clone();
    let file = |gid: &Value| list("files").into_iter().find(|f| f["gid"] == *gid).unwrap();
    media.iter().map(|gid| file(gid)["originalSource"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_sent_once_and_another_persons_is_left_alone() {
    let rig = rigged("graphql-images").await;
    let [one, two, three] = [1, 2, 3].map(|n| format!("https://pictures.example.com/{n}.png"));
    pictures(&rig, "MUG-001", &[&one, &two]).await;
    let plus = Third::join(&rig, &[("job_seconds", "0")], "").await;
    sync(&rig).await;
    let title = "Mug 1 & more";
    assert_eq!(shown(&plus, title).await, [one.clone(), two.clone()], "with the product");
    at_rest(&rig).await;

    // Somebody adds one of theirs. The second of ours is replaced, and the answer is lost.
    let product = plus.rows("products", |p| p["title"] == title).await.remove(0);
    let add = "mutation ($id: ID!, $media: [CreateMediaInput!]) { productUpdate(product: { id: $id }, \
               media: $media) { userErrors { message } } }";
    let theirs = "https://elsewhere.example.com/theirs.png";
    let media = json!([{ "originalSource": theirs, "mediaContentType": "IMAGE" }]);
    plus.ask(add, json!({ "id": product["gid"], "media": media })).await;
    sync(&rig).await;
    pictures(&rig, "MUG-001", &[&one, &three]).await;
    let lost = json!({ "fail_next": 1, "status": 502, "writes_only": true, "apply": "before" });
    plus.office("faults", &lost).await;
    for _ in 0..20 {
        sync(&rig).await;
        if shown(&plus, title).await.len() == 3 && rig.run(&["plan"]).await.0 == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert_eq!(shown(&plus, title).await, [one.clone(), theirs.to_owned(), three.clone()]);
    at_rest(&rig).await;
    let sent = plus.rows("files", |_| true).await;
    let times = |source: &str| sent.iter().filter(|f| f["originalSource"] == source).count();
    assert_eq!([&one, &two, &three].map(|s| times(s)), [1, 1, 1], "each once");

    // None is wanted any more: theirs stays.
    pictures(&rig, "MUG-001", &[]).await;
    sync(&rig).await;
    assert_eq!(shown(&plus, title).await, [theirs]);
    at_rest(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_the_shop_cannot_take_is_told_and_keeps_nothing_else_waiting() {
    let rig = rigged("graphql-broken").await;
    let plus = Third::join(&rig, &[("job_seconds", "0")], "").await;
    sync(&rig).await;
    // The product is there before its pictures are known.
    let good = "https://pictures.example.com/good.png";
    pictures(&rig, "MUG-001", &[good, "ftp://pictures.example.com/bad.png"]).await;
    for _ in 0..2 {
        sync(&rig).await;
    }
    assert_eq!(shown(&plus, "Mug 1 & more").await.len(), 2);
    let waits = "SELECT wait_reason FROM objects WHERE connection = 'plus' AND resource = 'images' \
                 AND wait_reason IS NOT NULL";
    let told = found(&rig, waits);
    let wanted =
        "ftp://pictures.example.com/bad.png could not be taken: The image source URL is invalid.";
    assert_eq!(told, [wanted]);
    let sent = plus.rows("files", |_| true).await;
    assert_eq!(sent.len(), 2, "and is not sent again");
}
