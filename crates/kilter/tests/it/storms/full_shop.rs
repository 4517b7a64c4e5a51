//! Shops that were full before Kilter came: three hundred products, some of another case, some double,
//! some in the bin. Nothing is doubled, nothing is created early, and what is doubtful is shown.
//!
//! Reads   nothing.   Writes  folders below the system's temporary one.
//! Never   lets Kilter read the shop quickly: each page of a listing takes its time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kilter_twin::{Options, Running};
use serde_json::{Value, json};

use crate::storms::relay::Relay;
use crate::support::{self, Rig, Serving};

/// The ERP has as many products, and each shop holds the first three hundred of them.
const MUGS: usize = 310;
const FULL: usize = 300;
const DOUBLE: std::ops::Range<usize> = 0..10;
const CASE: std::ops::Range<usize> = 20..25;
const BIN: std::ops::Range<usize> = 30..33;
/// A page of a listing takes as long: what is created early would be created meanwhile.
const PAGE: Duration = Duration::from_millis(400);
const CALM: Duration = Duration::from_secs(120);

const TABLE: &str = r#"
[limits]
mass_percent = 100
mass_objects = 10000
[connection.plus]
connector = "shopify"
url = "{url}"
token = "shpat_twin"
locale = "de_DE"
currency = "EUR"
price_list = "retail-eur"
locations = { main = "{main}" }
bulk = false
"#;

fn sku(n: usize) -> String {
    if CASE.contains(&n) { format!("mug-{n:03}") } else { format!("MUG-{n:03}") }
}

fn catalogue() -> Value {
    let mut seed = support::seed(MUGS, 7);
    let mugs = seed["templates"].as_array().unwrap()[..MUGS].to_vec();
    seed["templates"] = Value::Array(mugs);
    seed
}

/// A connection's table stands at the end of the config, alone beside the ERP's.
fn alone(rig: &Rig, table: &str) {
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let (before, after) = (text.find("[connection.de]").unwrap(), text.find("[own.").unwrap());
    std::fs::write(rig.toml(), format!("{}{}{table}", &text[..before], &text[after..])).unwrap();
}

/// A shop where SKUs may stand twice (and where capitals make another SKU); all products are there already, ten of them doubled.
async fn doubled(name: &str) -> (Rig, Running, Arc<Relay>) {
    let rig = Rig::start(name).await;
    let settings = [("plan", "plus"), ("currency", "EUR"), ("locations", "main")];
    let settings = settings.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let shop =
        kilter_twin::start("shopify", Options { port: None, seed: 7, settings }).await.unwrap();
    let (relay, url) = Relay::start(shop.url()).await;
    *relay.slow_lists.lock().unwrap() = PAGE;
    let state = rig.get(&format!("{}/_twin/state", shop.url())).await;
    let main = state["locations"][0]["gid"].as_str().unwrap();
    alone(&rig, &TABLE.replace("{url}", &url).replace("{main}", main));
    let product = |n: usize| {
        json!({ "title": format!("Becher {n}"),
            "productOptions": [{ "name": "Title", "values": [{ "name": "Default Title" }] }],
            "variants": [{ "optionValues": [{ "optionName": "Title", "name": "Default Title" }],
                "sku": format!("MUG-{n:03}"), "price": "5.55", "inventoryItem": { "tracked": true } }] })
    };
    let products: Vec<Value> = (0..FULL).chain(DOUBLE).map(product).collect();
    rig.post(&format!("{}/_twin/seed", shop.url()), &json!({ "products": products })).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &catalogue()).await;
    (rig, shop, relay)
}

/// SKU, in small letters → how often it stands there.
async fn standing(rig: &Rig, url: &str, part: &str) -> BTreeMap<String, usize> {
    let state = rig.get(&format!("{url}/_twin/state")).await;
    let mut out: BTreeMap<String, usize> = BTreeMap::new();
    for row in state[part].as_array().unwrap().iter().filter(|row| row["status"] != "trash") {
        *out.entry(row["sku"].as_str().unwrap_or_default().to_lowercase()).or_default() += 1;
    }
    out
}

/// Creates that were done before the last page of a listing had been answered.
fn early(relay: &Relay, last_page: &[&str], create: &str) -> usize {
    let log = relay.log.lock().unwrap();
    let read = log.iter().find(|(call, _, _)| last_page.iter().all(|part| call.contains(part)));
    let whole = read.map(|(_, _, at)| *at);
    let made = log.iter().filter(|(call, _, _)| call.contains(create));
    made.filter(|(_, _, at)| whole.is_none_or(|whole| *at < whole)).count()
}

fn serving(rig: &Rig, without: &str) -> Serving {
    let log = std::fs::File::create(rig.folder.join("serve.log")).unwrap();
    let mut command = rig.command(&["serve"]);
    command.env("KILTER_UNSAFE_WITHOUT", without);
    Serving(command.stdout(std::process::Stdio::null()).stderr(log).spawn().unwrap())
}

/// What first contact tells of a resource.
async fn adopted(rig: &Rig, connection: &str, resource: &str) -> Value {
    let (code, told) = rig.run(&["adopt", "--connection", connection, "--json"]).await;
    assert_eq!(code, 0, "{told}");
    let line = told.lines().find(|line| line.starts_with('{')).unwrap();
    let found: Value = serde_json::from_str(line).unwrap();
    let rows = found["resources"].as_array().unwrap().iter();
    rows.clone().find(|row| row["resource"] == resource).unwrap().clone()
}

fn len(value: &Value) -> usize {
    value.as_array().map_or_else(|| value.as_object().map_or(0, serde_json::Map::len), Vec::len)
}

/// Serves until `there` of the SKUs stand in the shop and some time has gone by.
async fn served(
    rig: &Rig,
    url: &str,
    part: &str,
    there: usize,
    without: &str,
) -> BTreeMap<String, usize> {
    let mut child = serving(rig, without);
    let started = Instant::now();
    let mut found = standing(rig, url, part).await;
    while found.len() < there && started.elapsed() < CALM {
        tokio::time::sleep(Duration::from_millis(250)).await;
        found = standing(rig, url, part).await;
    }
    // What would be doubled would be doubled now.
    tokio::time::sleep(Duration::from_secs(4)).await;
    child.kill();
    standing(rig, url, part).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_shop_with_doubles_gets_what_it_lacks_and_nothing_twice() {
    let (rig, shop, relay) = doubled("full-doubled").await;
    let found = served(&rig, &shop.url(), "variants", MUGS, "").await;
    let twice: BTreeMap<&String, &usize> = found.iter().filter(|(_, n)| **n > 1).collect();
    assert_eq!(twice.len(), DOUBLE.len(), "as many are doubled as before: {twice:?}");
    assert!(twice.values().all(|n| **n == 2), "and none of them a third time: {twice:?}");
    assert_eq!(found.len(), MUGS, "what was lacking is there");
    let calls = rig.get(&format!("{}/_twin/calls", shop.url())).await;
    println!(
        "doubled: {} write calls, {} in the relay's log",
        calls["writes"],
        relay.log.lock().unwrap().len()
    );
    let told = adopted(&rig, "plus", "variants").await;
    assert_eq!(len(&told["doubles"]), DOUBLE.len(), "each double is shown: {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_first_listing_a_full_shop_is_doubled() {
    let (rig, shop, _relay) = doubled("full-control").await;
    let found = served(&rig, &shop.url(), "variants", MUGS, "first_listing").await;
    let twice = found.values().filter(|n| **n > 1).count();
    assert!(twice > DOUBLE.len(), "{twice} are doubled: the guard was not needed");
}

/// A shop that takes a SKU once, also for what lies in the bin, and whatever its case.
async fn binned(name: &str) -> (Rig, Arc<Relay>) {
    let rig = Rig::start(name).await;
    let (relay, url) = Relay::start(rig.de.url()).await;
    *relay.slow_lists.lock().unwrap() = PAGE;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let us = (text.find("[connection.us]").unwrap(), text.find("[own.").unwrap());
    let text = format!("{}{}", &text[..us.0], &text[us.1..]).replace(&rig.de.url(), &url);
    let wide = "\n[limits]\nmass_percent = 100\nmass_objects = 10000\n";
    std::fs::write(rig.toml(), format!("{text}{wide}")).unwrap();
    let product = |n: usize| {
        json!({ "name": format!("Becher {n}"), "type": "simple", "status": "publish", "sku": sku(n),
            "regular_price": "5.55", "stock_quantity": 1 })
    };
    let there: Vec<Value> = (0..FULL).map(product).collect();
    let made =
        rig.post(&format!("{}/_twin/seed", rig.de.url()), &json!({ "products": there })).await;
    for n in BIN {
        let id = &made["products"][n]["id"];
        let to = format!("{}/_twin/products/{id}", rig.de.url());
        rig.post(&to, &json!({ "status": "trash" })).await;
    }
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &catalogue()).await;
    (rig, relay)
}

/// Three pages, each from the last row of the one before on; creates go by the batch.
const LAST_PAGE: [&str; 3] = ["GET /wp-json/wc/v3/products?", "type=simple", "offset=198"];
const CREATES: &str = "POST /wp-json/wc/v3/products/batch";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_first_listing_creates_come_early() {
    let (rig, relay) = binned("full-early").await;
    let mut child = serving(&rig, "first_listing");
    let started = Instant::now();
    let mut found = 0;
    while found == 0 && started.elapsed() < CALM {
        tokio::time::sleep(Duration::from_millis(50)).await;
        found = early(&relay, &LAST_PAGE, CREATES);
    }
    child.kill();
    assert!(found > 0, "the guard was not needed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_shop_with_a_bin_gets_what_it_lacks_and_nothing_early() {
    let (rig, relay) = binned("full-bin").await;
    let before = relay.writes.load(std::sync::atomic::Ordering::SeqCst);
    let told = adopted(&rig, "de", "simple").await;
    assert_eq!(relay.writes.load(std::sync::atomic::Ordering::SeqCst), before, "it writes nothing");
    assert_eq!(told["linked"], FULL - BIN.len(), "{told}");
    let doubtful = told["doubtful"].as_array().unwrap();
    assert_eq!(doubtful.len(), CASE.len(), "what differs in case is shown: {doubtful:?}");
    assert_eq!(told["missing"], MUGS - FULL + BIN.len(), "{told}");

    std::fs::remove_file(rig.database()).unwrap();
    for rest in ["kilter.sqlite-wal", "kilter.sqlite-shm"] {
        std::fs::remove_file(rig.folder.join(rest)).ok();
    }
    relay.log.lock().unwrap().clear();
    let wanted = MUGS - BIN.len();
    let found = served(&rig, &rig.de.url(), "products", wanted, "").await;
    assert!(found.values().all(|n| *n == 1), "nothing stands there twice");
    assert_eq!(found.len(), wanted, "what was lacking is there");
    assert_eq!(early(&relay, &LAST_PAGE, CREATES), 0);
    let status = rig.status().await.to_string();
    for n in BIN {
        assert!(status.contains(&format!("MUG-{n:03}")), "what the bin blocks is told: MUG-{n:03}");
    }
}
