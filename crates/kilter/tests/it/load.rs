//! A first load by calls, into a shop that counts points: no call more than there must be, none that is
//! throttled, and hardly a point left lying while work waits.
//!
//! Reads   `KILTER_LOAD_PRODUCTS`: how many products are loaded; 150 unless told.
//! Writes  a folder below the system's temporary one.
//! Never   speeds the shop's clock up: Kilter waits by its own, as it would at work.

use std::time::{Duration, Instant};

use crate::support::{self, PLUS, Rig};
use kilter_twin::{Options, Running};
use serde_json::{Value, json};

/// What the issue of a load asks for: 10,000 variants in 1,500 products are 20 in every three.
const SIZES: [usize; 3] = [4, 6, 10];

/// Hardly anything is left lying: 95 points of 100.
const USED: f64 = 0.95;

fn products() -> usize {
    let told = std::env::var("KILTER_LOAD_PRODUCTS").ok();
    told.map_or(150, |n| n.parse().expect("KILTER_LOAD_PRODUCTS is a number"))
}

fn catalogue(products: usize) -> Value {
    let mut seed = support::seed(0, 0);
    let template = |i: usize| {
        let variant = |n: usize| {
            json!({ "default_code": format!("LOAD-{i:04}-{n}"), "weight": 0.2,
                "attributes": { "Size": format!("{n}") },
                "prices": { "EUR": "19.90", "USD": "21.50" }, "stock": { "WH": 7, "WST": 3 } })
        };
        let variants: Vec<Value> = (0..SIZES[i % SIZES.len()]).map(variant).collect();
        json!({ "name": { "en_US": format!("Shirt {i}"), "de_DE": format!("Hemd {i}") },
            "list_price": 19.9, "type": "consu", "taxes": ["19% incl"], "variants": variants })
    };
    seed["templates"] = (0..products).map(template).collect();
    seed
}

async fn joined(name: &str, bulk: bool) -> (Rig, Running) {
    let rig = Rig::start(name).await;
    let settings = [("plan", "standard"), ("currency", "EUR"), ("locations", "main")];
    let settings = settings.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let options = Options { port: None, seed: 7, settings };
    let shop = kilter_twin::start("shopify", options).await.unwrap();
    let state = rig.get(&format!("{}/_twin/state", shop.url())).await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let main = state["locations"][0]["gid"].as_str().unwrap();
    let table = format!("{PLUS}bulk = {bulk}\n");
    let table = table.replace("{url}", &shop.url()).replace("{main}", main);
    let (before, after) = (text.find("[connection.de]").unwrap(), text.find("[own.").unwrap());
    std::fs::write(rig.toml(), format!("{}{}{table}", &text[..before], &text[after..])).unwrap();
    (rig, shop)
}

/// What the shop had counted at a moment.
struct Moment {
    at: Instant,
    writes: u64,
    spent: f64,
    left: f64,
}

async fn moment(rig: &Rig, shop: &Running) -> Moment {
    let calls = rig.get(&format!("{}/_twin/calls", shop.url())).await;
    let (cost, writes) = (&calls["cost"], calls["writes"].as_u64().unwrap());
    let left = cost["bucket"]["currentlyAvailable"].as_f64().unwrap();
    Moment { at: Instant::now(), writes, spent: cost["spent"].as_f64().unwrap(), left }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_load_by_calls_wastes_neither_calls_nor_points() {
    let products = products();
    let (rig, shop) = joined("load-by-calls", false).await;
    let seed = catalogue(products);
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed).await;
    let mut child = rig.command(&["sync"]).spawn().unwrap();
    let mut seen = vec![moment(&rig, &shop).await];
    let code = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        seen.push(moment(&rig, &shop).await);
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
    };
    let state = rig.get(&format!("{}/_twin/state", shop.url())).await;
    let mut skus: Vec<&str> =
        state["variants"].as_array().unwrap().iter().map(|v| v["sku"].as_str().unwrap()).collect();
    skus.sort_unstable();
    let mut wanted = support::skus(&seed);
    wanted.sort_unstable();
    assert_eq!((code, skus), (Some(0), wanted.iter().map(String::as_str).collect()));

    let calls = rig.get(&format!("{}/_twin/calls", shop.url())).await;
    // A product is created by a call of its own, and no call creates two.
    let writes = calls["writes"].as_u64().unwrap();
    let least = products as u64;
    assert_eq!(calls["throttled"], 0, "{calls}");
    assert!(writes as f64 <= least as f64 * 1.05, "{writes} write calls for {least}: {calls}");
    // While work waited: from the last moment without a product to the first with all.
    let made = seen.iter().map(|m| m.writes).max().unwrap();
    let first = seen.iter().rev().find(|m| m.writes + least <= made).unwrap_or(&seen[0]);
    let last = seen.iter().find(|m| m.writes == made).unwrap();
    let seconds = (last.at - first.at).as_secs_f64();
    let (spent, given) = (last.spent - first.spent, first.left + 100.0 * seconds);
    println!(
        "{products} products, {} variants: {writes} write calls, {spent} points of {given:.0} in {seconds:.0} s, {:.1} % used, {} points in all",
        wanted.len(),
        100.0 * spent / given,
        calls["points"]
    );
    assert!(spent >= USED * given, "{spent} points of {given:.0} were used in {seconds:.1} s");
}

/// Fewer go by calls.
const JOB_LEAST: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_load_by_jobs_sends_nothing_twice() {
    let products = products().max(JOB_LEAST);
    let (rig, shop) = joined("load-by-jobs", true).await;
    let seed = catalogue(products);
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed).await;
    let started = Instant::now();
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let state = rig.get(&format!("{}/_twin/state", shop.url())).await;
    let jobs = state["bulk_operations"].as_array().unwrap().iter();
    let jobs: Vec<&Value> = jobs.filter(|job| job["type"] == "MUTATION").collect();
    let calls = rig.get(&format!("{}/_twin/calls", shop.url())).await;
    println!(
        "{products} products: {} jobs, {} write calls, {} points, {:.0} s",
        jobs.len(),
        calls["writes"],
        calls["points"],
        started.elapsed().as_secs_f64()
    );
    assert_eq!(state["variants"].as_array().unwrap().len(), support::skus(&seed).len());
    assert_eq!(jobs.len(), 1, "{jobs:?}");
}
