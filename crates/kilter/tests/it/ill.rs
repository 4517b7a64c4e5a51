//! A shop that is ill for longer than a few tries: it is asked seldom, nobody gives up, others go on, and
//! once it is well everything agrees without a person.

use std::time::Duration;

use crate::hooks::signed;
use crate::support::relay::relay;
use crate::support::{Rig, Urls, seed, until};
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
    let waits = status["waits"].as_array().unwrap();
    assert!(waits.iter().all(|wait| wait["wait"] != "dead"), "{waits:?}");
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

/// A plugin fails on one product: a read of a hundred that holds it fails whole. None of them could be
/// read, so what was told of the others was never found out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_read_keeps_no_other_waiting() {
    let rig = Rig::start("ill-one").await;
    let (between, url) = relay(rig.de.url()).await;
    rig.config(&Urls { erp: rig.erp.url(), de: url, us: rig.us.url() });
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(8, 10)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let mut ids = Vec::new();
    for n in 0..8 {
        let path = format!("products?sku=MUG-{n:03}");
        let told = rig.call_shop(&rig.de.url(), reqwest::Method::GET, &path, &json!({})).await;
        ids.push(told[0]["id"].clone());
    }
    let (bad, deleted) = (ids[0].clone(), ids[7].clone());
    let _serving = rig.served().await;
    // What is listed as it begins needs no look.
    tokio::time::sleep(Duration::from_secs(3)).await;
    *between.spoilt.lock().unwrap() = Some(bad.to_string());
    let path = format!("products/{deleted}?force=true");
    rig.call_shop(&rig.de.url(), reqwest::Method::DELETE, &path, &json!({})).await;
    let asked = async || {
        let status = rig.status().await;
        let waits = status["waits"].as_array().unwrap().clone();
        let deleted = |w: &&Value| {
            w["reason"].as_str().is_some_and(|reason| reason.starts_with("someone deleted it"))
        };
        waits.iter().filter(deleted).map(|w| w["id"].clone()).collect::<Vec<Value>>()
    };
    // All are told to be gone: each is looked for, and one of them is.
    for id in &ids {
        assert_eq!(signed(&rig, "product.deleted", &json!({ "id": id }).to_string()).await, 202);
    }
    until("it is found out which is gone", Duration::from_secs(30), async || {
        let found = asked().await;
        if found == [deleted.to_string()] { Ok(()) } else { Err(json!(found)) }
    })
    .await;
    let reads = || {
        let seen = between.seen.lock().unwrap();
        seen.iter().filter(|path| path.contains(&format!("include={bad}&"))).count()
    };
    let before = reads();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(reads() - before < 10, "it is asked for seldom: {} times", reads() - before);
    *between.spoilt.lock().unwrap() = None;
    let before = reads();
    until("it is read", Duration::from_secs(120), async || {
        if reads() > before { Ok(()) } else { Err(json!(reads())) }
    })
    .await;
    assert_eq!(asked().await, [deleted.to_string()], "and it is there");
}
