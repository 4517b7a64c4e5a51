//! What a system stops saying: a field that is missing in a whole listing, or null in all of it, is told,
//! and blanks nothing until a person says that it is meant.

use crate::support::relay::relay;
use crate::support::{Rig, Urls, seed};
use serde_json::{Value, json};

/// Mugs, and four tees of three variations: 24 variants, all with a weight.
const MUGS: usize = 12;
const VARIANTS: usize = 24;

/// What the shop sells under a SKU.
async fn sold(rig: &Rig, sku: &str) -> Value {
    let path = format!("products?sku={sku}");
    rig.call_shop(&rig.de.url(), reqwest::Method::GET, &path, &json!({})).await
}

async fn weights(rig: &Rig) -> Vec<String> {
    let mut out = Vec::new();
    for n in 0..MUGS {
        let told = sold(rig, &format!("MUG-{n:03}")).await;
        out.push(told[0]["weight"].as_str().unwrap().to_owned());
    }
    out
}

/// Variants of the ERP weigh this from now on.
async fn weigh(rig: &Rig, domain: &Value, weight: f64) {
    let ids = rig.call_erp("product.product/search", &json!({ "domain": domain })).await;
    let body = json!({ "ids": ids, "vals": { "weight": weight } });
    rig.call_erp("product.product/write", &body).await;
}

fn all() -> Value {
    json!([["default_code", "!=", false]])
}

fn one() -> Value {
    json!([["default_code", "=", "MUG-000"]])
}

async fn told(rig: &Rig, args: &[&str]) -> Value {
    let (_, told) = rig.run(args).await;
    let line = told.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{told}"));
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {told}"))
}

/// The sentences of what drifted.
async fn drifted(rig: &Rig) -> Vec<String> {
    let told = told(rig, &["status", "--json"]).await;
    let faults = told["faults"].as_array().unwrap().iter().filter(|f| f[2] == "schema");
    faults.map(|f| f[4].as_str().unwrap().to_owned()).collect()
}

async fn aligned(name: &str) -> Rig {
    let rig = Rig::start(name).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(MUGS, 10)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(weights(&rig).await, vec!["0.235"; MUGS]);
    assert_eq!(drifted(&rig).await, Vec::<String>::new(), "nothing drifted yet");
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_null_in_all_of_a_listing_blanks_nothing_until_a_person_approves() {
    let rig = aligned("drifted-null").await;
    weigh(&rig, &all(), 0.0).await;
    for again in 0..2 {
        let told = told(&rig, &["backfill", "--json"]).await;
        let asked = told["asked"].as_array().unwrap();
        let [reason] = &asked[..] else { panic!("{again}: {told}") };
        let wanted = format!(
            "variant.weight of variants in erp is null in all {VARIANTS} that were read at once, \
             and {VARIANTS} of them had a value"
        );
        assert!(reason.as_str().unwrap().starts_with(&wanted), "{reason}");
        assert_eq!(weights(&rig).await, vec!["0.235"; MUGS], "{told}");
        assert_eq!(drifted(&rig).await.len(), 1, "told once");
    }
    // What else is said of them is taken: its name stands where it stood before.
    let body = json!({ "ids": rig.call_erp("product.product/search",
        &json!({ "domain": one() })).await, "vals": { "default_code": "MUG-000-B" } });
    rig.call_erp("product.product/write", &body).await;
    told(&rig, &["sync", "--json"]).await;
    let found = sold(&rig, "MUG-000-B").await;
    assert_eq!(found[0]["weight"], "0.235", "renamed, and as heavy as before: {found}");
    let body = json!({ "ids": body["ids"], "vals": { "default_code": "MUG-000" } });
    rig.call_erp("product.product/write", &body).await;
    told(&rig, &["sync", "--json"]).await;

    // The control: once it is meant, all of them lose it.
    told(&rig, &["sync", "--approve", "--json"]).await;
    let told = told(&rig, &["backfill", "--json"]).await;
    assert_eq!(told["asked"], json!([]), "{told}");
    assert_eq!(weights(&rig).await, vec![""; MUGS], "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_shows_a_value_again_the_nulls_of_the_others_are_meant() {
    let rig = aligned("drifted-again").await;
    weigh(&rig, &all(), 0.0).await;
    told(&rig, &["backfill", "--json"]).await;
    weigh(&rig, &one(), 0.5).await;
    let told_then = told(&rig, &["backfill", "--json"]).await;
    assert_eq!(told_then["asked"], json!([]), "nobody is asked any more");
    told(&rig, &["backfill", "--json"]).await;
    let weights = weights(&rig).await;
    assert_eq!(weights[0], "0.5");
    assert_eq!(weights[1..], vec![""; MUGS - 1]);
}

/// A person empties some of them: that is no drift.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_lose_and_others_keep_is_taken_at_once() {
    let rig = aligned("drifted-some").await;
    weigh(&rig, &json!([["default_code", "like", "MUG"]]), 0.0).await;
    let told = told(&rig, &["backfill", "--json"]).await;
    assert_eq!(told["asked"], json!([]), "{told}");
    assert_eq!(weights(&rig).await, vec![""; MUGS], "{told}");
    assert_eq!(drifted(&rig).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_is_missing_in_all_of_a_listing_is_told_and_blanks_nothing() {
    let rig = Rig::start("drifted-missing-twins").await;
    let (between, url) = relay(rig.erp.url()).await;
    rig.config(&Urls { erp: url, de: rig.de.url(), us: rig.us.url() });
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(MUGS, 10)).await;
    told(&rig, &["sync", "--json"]).await;
    told(&rig, &["backfill", "--json"]).await;
    assert_eq!(drifted(&rig).await, Vec::<String>::new(), "the control: it is there");
    *between.reworded.lock().unwrap() = Some(("\"weight\":".into(), "\"mass\":".into()));
    let told = told(&rig, &["backfill", "--json"]).await;
    assert_eq!(told["asked"], json!([]), "it takes nothing: there is nothing to approve");
    let drifted = drifted(&rig).await;
    let [reason] = &drifted[..] else { panic!("{drifted:?}") };
    let wanted = format!("schema: variant.weight is missing in all {VARIANTS} variants that erp");
    assert!(reason.starts_with(&wanted), "{reason}");
    assert_eq!(weights(&rig).await, vec!["0.235"; MUGS]);
}
