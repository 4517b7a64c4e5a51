//! A shop that already holds products: some under another case, some twice, some in the bin, some
//! that nobody knows. Adopt tells them apart and writes nothing; sync doubles nothing.

use crate::support::{Rig, seed};
use serde_json::{Value, json};

const MUGS: usize = 30;

fn product(sku: &str, price: &str) -> Value {
    json!({ "name": sku, "type": "simple", "status": "publish", "sku": sku, "regular_price": price,
        "stock_quantity": 1 })
}

async fn rest(rig: &Rig, method: reqwest::Method, path: &str) -> Value {
    let url = format!("{}/wp-json/wc/v3/{path}", rig.de.url());
    let request = rig.http.request(method, url).basic_auth("ck_test", Some("cs_test"));
    serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
}

async fn writes(rig: &Rig) -> usize {
    let calls = rig.get(&format!("{}/_twin/calls", rig.de.url())).await;
    let rows = calls["routes"].as_object().unwrap_or_else(|| panic!("{calls}")).clone();
    rows.keys().filter(|route| !route.starts_with("GET")).count()
}

async fn adopted(rig: &Rig, args: &[&str]) -> (i32, Value, String) {
    let mut all = vec!["adopt", "--connection", "de", "--json"];
    all.extend(args);
    let (code, told) = rig.run(&all).await;
    let line = told.lines().find(|line| line.starts_with('{')).unwrap_or("{}");
    let found: Value = serde_json::from_str(line).unwrap();
    let rows = found["resources"].as_array().cloned().unwrap_or_default();
    let simple = rows.into_iter().find(|row| row["resource"] == "simple");
    (code, simple.unwrap_or_default(), told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_shop_is_told_apart_and_nothing_is_doubled() {
    let rig = Rig::start("adopt").await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(MUGS, 10)).await;
    let mut there: Vec<Value> = (0..10).map(|n| product(&format!("MUG-{n:03}"), "5.55")).collect();
    there.push(product("mug-010", "5.55"));
    there.push(product("NOBODYS-1", "1.00"));
    there.push(product("MUG-011", "5.55"));
    let seeded = json!({ "products": there });
    rig.post(&format!("{}/_twin/seed", rig.de.url()), &seeded).await;
    let binned = rest(&rig, reqwest::Method::GET, "products?sku=MUG-011").await[0]["id"].clone();
    rest(&rig, reqwest::Method::DELETE, &format!("products/{binned}")).await;
    let before = writes(&rig).await;

    let (code, simple, told) = adopted(&rig, &[]).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(simple["linked"], 11, "ten alike and one of another case: {told}");
    assert_eq!(simple["doubtful"][0][0], "mug-010", "{told}");
    assert_eq!(simple["doubtful"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(simple["orphans"][0][0], "nobodys-1", "{told}");
    assert_eq!(simple["missing"], 19, "what is in the bin is not there: {told}");
    assert_eq!(writes(&rig).await, before, "adopt writes nothing: {told}");

    let (code, told) = rig.run(&["sync", "--approve"]).await;
    assert_eq!(code, 0, "{told}");
    rig.run(&["sync", "--approve"]).await;
    let rows = rest(&rig, reqwest::Method::GET, "products?per_page=100&type=simple").await;
    let mut skus: Vec<String> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["sku"].as_str().unwrap().to_lowercase())
        .collect();
    let all = skus.len();
    skus.sort();
    skus.dedup();
    assert_eq!(all, skus.len(), "nothing stands there twice");
    assert!(skus.contains(&"nobodys-1".to_owned()), "what is nobody's is left alone");
    let (_, told) = rig.run(&["status"]).await;
    assert!(
        told.contains("MUG-011") || skus.contains(&"mug-011".to_owned()),
        "what the bin blocks is told: {told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_pairs_links_what_no_key_could_or_takes_nothing() {
    let rig = Rig::start("adopt-links").await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(6, 10)).await;
    let there = json!({ "products": [product("OLD-1", "5.55"), product("OLD-2", "5.55")] });
    rig.post(&format!("{}/_twin/seed", rig.de.url()), &there).await;
    let id = async |sku: &str| {
        let found = rest(&rig, reqwest::Method::GET, &format!("products?sku={sku}")).await;
        found[0]["id"].to_string()
    };
    let (one, two) = (id("OLD-1").await, id("OLD-2").await);
    let file = rig.folder.join("links.csv");
    let said =
        format!("connection,resource,key,id\nde,simple,MUG-000,{one}\nde,simple,NO-SUCH,{two}\n");
    std::fs::write(&file, said).unwrap();
    let (code, _, told) = adopted(&rig, &["--links", "links.csv"]).await;
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("links.csv:3: no variant has the key \"NO-SUCH\""), "{told}");
    let (_, simple, told) = adopted(&rig, &[]).await;
    assert_eq!((&simple["linked"], &simple["missing"]), (&json!(0), &json!(6)), "{told}");

    std::fs::write(&file, format!("connection,resource,key,id\nde,simple,MUG-000,{one}\n"))
        .unwrap();
    let (code, simple, told) = adopted(&rig, &["--links", "links.csv"]).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!((&simple["linked"], &simple["missing"]), (&json!(1), &json!(5)), "{told}");
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let row = rest(&rig, reqwest::Method::GET, &format!("products/{one}")).await;
    assert_eq!(row["sku"], "MUG-000", "the owner of the SKU says it: {told}");
}
