//! A configuration that changes while records exist: what it means is planned before it is sent, and
//! many changes wait until a person has seen them.

use crate::support::{Rig, seed};
use serde_json::{Value, json};

/// So many mugs, and a third as many tees of three sizes.
const MUGS: usize = 12;
const STOCK: u32 = 10;

async fn rows(rig: &Rig, url: &str) -> Vec<Value> {
    let url = format!("{url}/wp-json/wc/v3/products?per_page=100&type=simple");
    let answer = rig.http.get(url).basic_auth("ck_test", Some("cs_test")).send().await.unwrap();
    let rows: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    rows.as_array().unwrap().clone()
}

async fn showing(rig: &Rig, stock: i64) -> usize {
    let rows = rows(rig, &rig.de.url()).await;
    rows.iter().filter(|row| row["stock_quantity"] == stock).count()
}

fn say(rig: &Rig, from: &str, to: &str) {
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    assert!(text.contains(from), "{from} stands in {text}");
    std::fs::write(rig.toml(), text.replacen(from, to, 1)).unwrap();
}

async fn sync(rig: &Rig, args: &[&str]) -> Value {
    let mut all = vec!["sync", "--json"];
    all.extend(args);
    let (code, told) = rig.run(&all).await;
    assert_eq!(code, 0, "{told}");
    let line = told.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{told}"));
    serde_json::from_str(line).unwrap()
}

async fn aligned(name: &str) -> Rig {
    let rig = Rig::start(name).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(MUGS, STOCK)).await;
    sync(&rig, &[]).await;
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buffer_lowers_at_once_and_its_end_is_asked_for() {
    let rig = aligned("reshape-buffer").await;
    let shown = rows(&rig, &rig.de.url()).await[0]["stock_quantity"].as_i64().unwrap();
    assert_eq!(showing(&rig, shown).await, MUGS);

    say(&rig, "[connection.de]\n", "[connection.de]\nbuffer = 2\n");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 2, "the plan shows it first: {told}");
    assert_eq!(showing(&rig, shown).await, MUGS, "and sends nothing");
    let told = sync(&rig, &[]).await;
    assert_eq!(told["asked"], json!([]), "what can be sold less often waits for nobody");
    assert_eq!(showing(&rig, shown - 2).await, MUGS, "{told}");

    say(&rig, "buffer = 2\n", "");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("asked first: 12 of 12 simple that stood in de"), "{told}");
    assert!(told.contains("since its configuration changed: de.simple"), "{told}");
    assert!(!told.contains("changed: us.simple"), "the other shop's is as it was: {told}");
    let told = sync(&rig, &[]).await;
    let asked: Vec<&str> =
        told["asked"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    assert!(asked.iter().any(|r| r.starts_with("12 of 12 simple")), "{told}");
    assert_eq!(showing(&rig, shown - 2).await, MUGS, "{told}");
    sync(&rig, &["--approve"]).await;
    assert_eq!(showing(&rig, shown).await, MUGS, "{told}");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_owner_of_a_field_is_believed_without_being_asked_again() {
    let rig = aligned("reshape-owner").await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let own = text.lines().find(|line| line.starts_with("weight")).map(str::to_owned);
    assert_eq!(own, None, "nobody but the ERP says a weight: {text}");

    // A shop that said another weight was repaired; now the shop is the one who knows.
    let row = rows(&rig, &rig.de.url()).await[0].clone();
    let url = format!("{}/wp-json/wc/v3/products/{}", rig.de.url(), row["id"]);
    let request = rig.http.put(url).basic_auth("ck_test", Some("cs_test"));
    let request = request.header("content-type", "application/json");
    let answer = request.body(json!({ "weight": "0.777" }).to_string()).send().await.unwrap();
    assert!(answer.status().is_success());
    let weights = |rows: &[Value]| rows.iter().filter(|r| r["weight"] == "0.777").count();

    say(&rig, "[own.variant]\n", "[own.variant]\nweight = \"de\"\n");
    let told = sync(&rig, &[]).await;
    assert_eq!(weights(&rows(&rig, &rig.de.url()).await), 1, "it stays: {told}");
    assert_eq!(weights(&rows(&rig, &rig.us.url()).await), 1, "and reaches the other shop: {told}");
}

/// The German shop's names, in the order of its rows.
async fn names(rig: &Rig) -> Vec<String> {
    let rows = rows(rig, &rig.de.url()).await;
    rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// The plan, and what a person is asked by it and by the sync after it: the same.
async fn asked(rig: &Rig) -> (Value, Vec<String>) {
    let (code, told) = rig.run(&["plan", "--json"]).await;
    assert_eq!(code, 2, "{told}");
    let plan: Value =
        serde_json::from_str(told.lines().find(|l| l.starts_with('{')).unwrap()).unwrap();
    let sentences = |of: &Value| -> Vec<String> {
        of["asked"].as_array().unwrap().iter().map(|r| r.as_str().unwrap().to_owned()).collect()
    };
    let (before, after) = (sentences(&plan), sentences(&sync(rig, &[]).await));
    assert_eq!(before, after, "what the plan says, the sync asks");
    (plan, after)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_language_is_planned_and_asked_for_and_no_other_shops_matter() {
    let rig = aligned("reshape-locale").await;
    let german = names(&rig).await;
    say(&rig, "locale = \"de_DE\"\ncurrency", "locale = \"en_US\"\ncurrency");
    let (plan, asked) = asked(&rig).await;
    let again: Vec<&str> =
        plan["read_again"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    assert!(
        again.contains(&"de.simple") && again.iter().all(|p| p.starts_with("de.")),
        "{again:?}"
    );
    assert!(asked.iter().any(|r| r.starts_with("12 of 12 simple that stood in de")), "{asked:?}");
    assert_eq!(names(&rig).await, german, "nothing is sent unasked");
    sync(&rig, &["--approve"]).await;
    assert!(names(&rig).await.iter().all(|name| name.starts_with("Mug ")));
}

/// The merchant's own copy of the shops' connector, with another word in it.
fn own_connector(rig: &Rig, from: &str, to: &str) {
    let name = "woocommerce"; // tidy: names
    let own = rig.folder.join("connectors").join(name);
    std::fs::create_dir_all(&own).unwrap();
    let built_in = format!("{}/../../connectors/{name}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(built_in).unwrap().map(Result::unwrap);
    let mut changed = 0;
    for file in files.filter(|file| file.path().extension().is_some_and(|e| e == "toml")) {
        let text = std::fs::read_to_string(file.path()).unwrap();
        changed += text.matches(from).count();
        std::fs::write(own.join(file.file_name()), text.replace(from, to)).unwrap();
    }
    assert!(changed > 0, "no connector says {from}");
}

/// A row that is kept elsewhere from now on: what stands there is read first, and nothing is sent unasked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_kept_elsewhere_is_read_again_and_asked_for() {
    let rig = aligned("reshape-row").await;
    let noted = async || {
        let rows = rows(&rig, &rig.de.url()).await;
        rows.iter().filter(|r| r["purchase_note"] == "0.235" && r["weight"] == "0.235").count()
    };
    own_connector(&rig, "weight  = \"weight |", "weight  = \"purchase_note |");
    let (plan, asked) = asked(&rig).await;
    let again = plan["read_again"].to_string();
    assert!(again.contains("de.simple") && again.contains("us.simple"), "{again}");
    assert!(asked.iter().any(|r| r.starts_with("12 of 12 simple that stood in de")), "{asked:?}");
    assert_eq!(noted().await, 0, "nothing is sent unasked");
    let told = sync(&rig, &["--approve"]).await;
    assert_eq!(noted().await, MUGS, "where it stood before it is left as it was: {told}");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "{told}");
}

/// A word too few in a selection, and the whole shop would be taken off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selection_that_takes_all_away_is_asked_for() {
    let rig = aligned("reshape-select").await;
    own_connector(&rig, "\"product.kind\" = \"simple\"", "\"product.kind\" = \"kit\"");
    let there = async || {
        let rows = rows(&rig, &rig.de.url()).await;
        rows.iter().filter(|row| row["status"] == "publish").count()
    };
    assert_eq!(there().await, MUGS);
    let (plan, asked) = asked(&rig).await;
    let archived = plan["changes"].as_array().unwrap().iter().filter(|c| c["do"] == "archive");
    assert_eq!(archived.filter(|c| c["connection"] == "de").count(), MUGS, "{plan}");
    assert!(asked.iter().any(|r| r.starts_with("12 of 12 simple that stood in de")), "{asked:?}");
    assert_eq!(there().await, MUGS, "nothing is taken off unasked");
    // It was a mistake.
    std::fs::remove_dir_all(rig.folder.join("connectors")).unwrap();
    let told = sync(&rig, &[]).await;
    assert_eq!(told["asked"], json!([]), "{told}");
    assert_eq!(there().await, MUGS);
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_place_less_is_sold_from_at_once() {
    let rig = aligned("reshape-places").await;
    let us = rig.us.url();
    let figures = async || {
        let rows = rows(&rig, &us).await;
        rows.iter().map(|row| row["stock_quantity"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    let both = figures().await;
    assert_eq!(both, vec![2 * i64::from(STOCK); MUGS]);
    say(
        &rig,
        "locations = [\"main\", \"west\"]\n[connection.us",
        "locations = [\"main\"]\n[connection.us",
    );
    let (_, asked) = asked(&rig).await;
    assert_eq!(asked, Vec::<String>::new(), "what can be sold less often waits for nobody");
    assert_eq!(figures().await, vec![i64::from(STOCK); MUGS]);
}
