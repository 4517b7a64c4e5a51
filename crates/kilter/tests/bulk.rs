//! A long listing that the remote writes down by itself: read once, though Kilter is killed meanwhile.

mod support;

use std::time::{Duration, Instant};

use kilter_twin::{Options, Running};
use serde_json::{Value, json};
use support::Rig;

const WAIT: Duration = Duration::from_secs(90);

/// More than a job is worth.
const PRODUCTS: usize = 1300;

const TABLE: &str = r#"
[connection.plus]
connector = "shopify"
url = "{url}"
token = "shpat_twin"
locale = "de_DE"
currency = "EUR"
price_list = "retail-eur"
locations = { main = "{main}" }
"#;

/// A shop with many products, beside an ERP that has none; the two others are not asked.
async fn full_shop(name: &str, job_seconds: &str) -> (Rig, Running) {
    let rig = Rig::start(name).await;
    let settings = [("plan", "plus"), ("currency", "EUR"), ("locations", "main")];
    let settings = settings.into_iter().chain([("job_seconds", job_seconds)]);
    let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let options = Options { port: None, seed: 7, settings };
    let shop = kilter_twin::start("shopify", options).await.unwrap();
    let products: Vec<Value> = (0..PRODUCTS)
        .map(|n| {
            json!({ "title": format!("Found {n}"),
                "productOptions": [{ "name": "Title", "values": [{ "name": "Default Title" }] }],
                "variants": [{ "optionValues": [{ "optionName": "Title", "name": "Default Title" }],
                    "sku": format!("FOUND-{n}"), "price": "9.90",
                    "inventoryItem": { "tracked": true } }] })
        })
        .collect();
    rig.post(&format!("{}/_twin/seed", shop.url()), &json!({ "products": products })).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &support::seed(0, 0)).await;
    let state = rig.get(&format!("{}/_twin/state", shop.url())).await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let main = state["locations"][0]["gid"].as_str().unwrap();
    let table = TABLE.replace("{url}", &shop.url()).replace("{main}", main);
    std::fs::write(rig.toml(), text + &table).unwrap();
    (rig, shop)
}

/// The queries that the shop ran as jobs.
async fn jobs(rig: &Rig, shop: &Running) -> Vec<Value> {
    let state = rig.get(&format!("{}/_twin/state", shop.url())).await;
    state["bulk_operations"].as_array().unwrap().clone()
}

fn counted(rig: &Rig, sql: &str) -> usize {
    let Ok(database) = rusqlite::Connection::open(rig.database()) else { return 0 };
    database.query_row(sql, [], |r| r.get::<_, i64>(0)).map_or(0, |n| n.try_into().unwrap())
}

const KNOWN: &str =
    "SELECT count(*) FROM objects WHERE connection = 'plus' AND remote LIKE '%/Product/%'";
const SAID: &str =
    "SELECT count(*) FROM changes WHERE connection = 'plus' AND collection = 'products'";
const WAITING: &str = "SELECT count(*) FROM meta WHERE key LIKE 'bulk.plus.%'";

const BEGUN: &str =
    "SELECT count(*) FROM meta WHERE key LIKE 'bulk.plus.%' AND value NOT LIKE '%\"lines\":0%'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_listing_is_a_job_and_each_item_is_said_once() {
    let (rig, shop) = full_shop("bulk", "1").await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(jobs(&rig, &shop).await.len(), 2, "products, and variants: {told}");
    assert_eq!(counted(&rig, KNOWN), PRODUCTS);
    assert_eq!(counted(&rig, SAID), PRODUCTS, "what the first pages showed is not said again");
    assert_eq!(counted(&rig, WAITING), 0, "and the jobs are done with");
    let status = rig.status().await;
    assert_eq!(status["conserved"], true, "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_found_again_after_a_kill() {
    let (rig, shop) = full_shop("bulk-kill", "6").await;
    let mut serving = rig.served().await;
    let started = Instant::now();
    while counted(&rig, WAITING) == 0 {
        let log = || std::fs::read_to_string(rig.folder.join("serve.log")).unwrap_or_default();
        assert!(started.elapsed() < WAIT, "no job was begun:\n{}", log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    serving.kill();
    let mut serving = rig.served().await;
    // Again while the file is read, if it can be caught.
    while counted(&rig, WAITING) > 0 && counted(&rig, BEGUN) == 0 {
        assert!(started.elapsed() < WAIT, "the job is not gone on with");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    serving.kill();
    let before = jobs(&rig, &shop).await;
    assert!(!before.is_empty());
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let after = jobs(&rig, &shop).await;
    assert_eq!(after.len(), 2, "each listing had one job: {told}");
    assert_eq!(counted(&rig, KNOWN), PRODUCTS);
    assert_eq!(counted(&rig, SAID), PRODUCTS, "no line was kept twice");
    assert_eq!(counted(&rig, WAITING), 0);
    let status = rig.status().await;
    assert_eq!(status["conserved"], true, "{status}");
}
