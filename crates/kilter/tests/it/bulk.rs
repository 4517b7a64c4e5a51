//! What the remote does by itself: a long listing, written down and read once; a first load, created
//! once. Though Kilter is killed meanwhile.

use std::time::{Duration, Instant};

use crate::support::{self, PLUS, Rig};
use kilter_twin::{Options, Running};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(90);

/// More than a job is worth.
const PRODUCTS: usize = 1300;

/// An ERP and a shop, and nobody else.
async fn joined(name: &str, more: (&str, &str)) -> (Rig, Running) {
    let rig = Rig::start(name).await;
    let settings = [("plan", "plus"), ("currency", "EUR"), ("locations", "main")];
    let settings = settings.into_iter().chain([more]);
    let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let options = Options { port: None, seed: 7, settings };
    let shop = kilter_twin::start("shopify", options).await.unwrap();
    let state = rig.get(&format!("{}/_twin/state", shop.url())).await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let main = state["locations"][0]["gid"].as_str().unwrap();
    let table = PLUS.replace("{url}", &shop.url()).replace("{main}", main);
    let (before, after) = (text.find("[connection.de]").unwrap(), text.find("[own.").unwrap());
    let alone = format!("{}{}{table}", &text[..before], &text[after..]);
    std::fs::write(rig.toml(), alone).unwrap();
    (rig, shop)
}

/// A shop with many products, beside an ERP that has none.
async fn full_shop(name: &str, job_seconds: &str) -> (Rig, Running) {
    let (rig, shop) = joined(name, ("job_seconds", job_seconds)).await;
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

/// Jobs that have an id: their start was answered. What is before that: `bulk_lost.rs`.
const ANSWERED: &str =
    "SELECT count(*) FROM meta WHERE key LIKE 'bulk.plus.%' AND value NOT LIKE '{\"id\":\"\"%'";
const BEGUN_LOAD: &str =
    "SELECT count(*) FROM meta WHERE key LIKE 'job.plus.%' AND value NOT LIKE '{\"id\":\"\"%'";

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
    let serving = rig.served().await;
    let started = Instant::now();
    while counted(&rig, ANSWERED) == 0 {
        let log = || std::fs::read_to_string(rig.folder.join("serve.log")).unwrap_or_default();
        assert!(started.elapsed() < WAIT, "no job was begun:\n{}", log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Dropped, it is killed.
    drop(serving);
    let serving = rig.served().await;
    // Again while the file is read, if it can be caught.
    while counted(&rig, WAITING) > 0 && counted(&rig, BEGUN) == 0 {
        assert!(started.elapsed() < WAIT, "the job is not gone on with");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    drop(serving);
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

/// Of each SKU how many variants the shop has; and its mutations that were jobs.
async fn shown(rig: &Rig, shop: &Running) -> (std::collections::BTreeMap<String, usize>, usize) {
    let state = rig.get(&format!("{}/_twin/state", shop.url())).await;
    let mut skus = std::collections::BTreeMap::new();
    for item in state["variants"].as_array().unwrap() {
        *skus.entry(item["sku"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let jobs = state["bulk_operations"].as_array().unwrap().iter();
    (skus, jobs.filter(|job| job["type"] == "MUTATION").count())
}

const AT_WORK: &str = "SELECT count(*) FROM meta WHERE key LIKE 'job.plus.%'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_load_of_hundreds_is_a_job_that_is_found_again_after_a_kill() {
    let (rig, shop) = joined("load", ("job_seconds", "4")).await;
    let seed = support::seed(330, 7);
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed).await;
    let mut child = rig.command(&["sync"]).spawn().unwrap();
    let started = Instant::now();
    while counted(&rig, BEGUN_LOAD) == 0 {
        assert!(
            started.elapsed() < WAIT && child.try_wait().unwrap().is_none(),
            "no job was begun"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(shown(&rig, &shop).await.1, 1);
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let (skus, jobs) = shown(&rig, &shop).await;
    assert_eq!(jobs, 1, "the job was found again: {told}");
    let expected = support::skus(&seed).into_iter().map(|sku| (sku, 1)).collect();
    assert_eq!(skus, expected, "each once");
    assert_eq!(counted(&rig, AT_WORK), 0, "and the job is done with");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "the plan is not empty:\n{told}");
    let status = rig.status().await;
    assert_eq!((&status["conserved"], &status["dead"]), (&json!(true), &json!([])), "{status}");
}

/// Jobs fail at the remote now and then, and one line of hundreds is refused: it is told by its own
/// words, and all others are there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_job_does_not_do_is_done_and_what_is_refused_stands_alone() {
    let (rig, shop) = joined("load-faults", ("faults", "bulk")).await;
    let mut seed = support::seed(330, 7);
    // A price below zero no shop takes.
    seed["templates"][5]["variants"][0]["prices"]["EUR"] = json!("-1.00");
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed).await;
    let (_, told) = rig.run(&["sync"]).await;
    let (skus, jobs) = shown(&rig, &shop).await;
    assert!(jobs > 0, "{told}");
    let expected = support::skus(&seed).into_iter().filter(|sku| sku != "MUG-005");
    assert_eq!(skus, expected.map(|sku| (sku, 1)).collect(), "{told}");
    assert_eq!(counted(&rig, AT_WORK), 0);
    let status = rig.status().await;
    assert_eq!(status["conserved"], true, "{status}");
    let said = status["entities"].to_string();
    assert!(said.contains("greater than or equal to 0"), "{status}");
}
