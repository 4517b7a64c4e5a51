//! A shop that is ill for longer than a few tries: it is asked seldom, nobody gives up, others go on, and
//! once it is well everything agrees without a person.

use std::time::Duration;

use crate::support::{Rig, seed, until};
use serde_json::{Value, json};

/// So many tries, and a failing is given to a person: an outage must take none of them.
const TRIES: u32 = 2;
const OUTAGE: Duration = Duration::from_secs(8);

async fn shown(rig: &Rig, url: &str, sku: &str) -> Value {
    let path = format!("products?sku={sku}");
    let told = rig.call_shop(url, reqwest::Method::GET, &path, &json!({})).await;
    told[0]["regular_price"].clone()
}

async fn follows(rig: &Rig, url: &str, sku: &str, price: &str, patience: u64) {
    until(&format!("{sku} costs {price}"), Duration::from_secs(patience), async || {
        let shown = shown(rig, url, sku).await;
        if shown == price { Ok(()) } else { Err(json!([shown, rig.status().await["waits"]])) }
    })
    .await;
}

/// Three products get a new price while the German shop meets every call with a fault. How often it
/// was called.
async fn outlasts(name: &str, fault: &str) -> u64 {
    let rig = Rig::start(name).await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    std::fs::write(rig.toml(), format!("{text}\n[limits]\ntries_max = {TRIES}\n")).unwrap();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(4, 10)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let _serving = rig.served().await;
    let faults = format!("{}/_twin/faults", rig.de.url());
    rig.post(&faults, &json!({ "names": [format!("{fault}/1")] })).await;
    let skus = ["MUG-000", "MUG-001", "MUG-002"];
    let price = |sku: &str, list: &str| json!({ "sku": sku, "list": list, "price": "44.44" });
    let prices: Vec<Value> =
        skus.iter().flat_map(|sku| [price(sku, "EUR"), price(sku, "USD")]).collect();
    rig.post(&format!("{}/_twin/prices", rig.erp.url()), &json!(prices)).await;
    for sku in skus {
        follows(&rig, &rig.us.url(), sku, "44.44", 20).await;
    }
    tokio::time::sleep(OUTAGE).await;
    let struck = rig.get(&faults).await["struck"][fault].as_u64().unwrap();
    rig.post(&faults, &json!({})).await;
    for sku in skus {
        follows(&rig, &rig.de.url(), sku, "44.44", 120).await;
    }
    let status = rig.status().await;
    assert_eq!(status["waiting"].get("dead"), None, "{status}");
    println!("{fault}: {struck} calls in {OUTAGE:?} and a little");
    struck
}

/// Every update of a shop that was in maintenance for longer than its tries was "refused" for good, one
/// by one, and the shop was asked twice a second all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_takes_no_tries_and_is_asked_seldom() {
    let calls = outlasts("ill-outage", "errors").await;
    assert!((3..=20).contains(&calls), "{calls}");
}

/// A key that was revoked on Friday is mended on Monday.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_mended_needs_no_other_deed() {
    outlasts("ill-key", "expired").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haste_that_is_refused_for_long_is_waited_out() {
    let calls = outlasts("ill-haste", "throttled").await;
    assert!((3..=20).contains(&calls), "{calls}");
}

/// A shop was in maintenance when it was served for the first time: nobody knew who it was, and it was left
/// out until somebody began anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_at_first_is_taken_in_once_it_is_there() {
    let rig = Rig::start("ill-away").await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(2, 10)).await;
    let faults = format!("{}/_twin/faults", rig.de.url());
    rig.post(&faults, &json!({ "names": ["errors/1"] })).await;
    let _serving = rig.served().await;
    follows(&rig, &rig.us.url(), "MUG-000", "11.49", 30).await;
    rig.post(&faults, &json!({})).await;
    follows(&rig, &rig.de.url(), "MUG-000", "10.90", 60).await;
}
