//! Everything is read from its beginning: interrupted, it goes on; rows that move are not lost; what
//! is live goes first; what is history stays history.
//!
//! Reads   nothing of the repository.   Writes  folders below the system's temporary one.
//! Never   waits a fixed time for what can be asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::judge::list;
use crate::support::relay::{Relay, relay};
use crate::support::{self, Rig, Urls};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(60);

/// Five pages of a hundred.
const PRODUCTS: usize = 450;

/// A shop that was full before Kilter came, beside an ERP that has nothing; a relay before the shop.
async fn full_shop(name: &str) -> (Rig, Arc<Relay>) {
    let rig = Rig::start(name).await;
    let (relay, url) = relay(rig.de.url()).await;
    rig.config(&Urls { erp: rig.erp.url(), de: url, us: rig.us.url() });
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let parts = text.split("\n[").filter(|part| !part.starts_with("connection.us"));
    std::fs::write(rig.toml(), parts.collect::<Vec<_>>().join("\n[")).unwrap();
    let product = |n: usize| {
        json!({ "name": format!("Found {n}"), "type": "simple", "sku": format!("FOUND-{n:03}"),
            "regular_price": "9.90", "manage_stock": true, "stock_quantity": 5 })
    };
    let products: Vec<Value> = (0..PRODUCTS).map(product).collect();
    rig.post(&format!("{}/_twin/seed", rig.de.url()), &json!({ "products": products })).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &support::seed(2, 50)).await;
    (rig, relay)
}

async fn died(rig: &Rig, args: &[&str], at: &str) {
    let mut command = rig.command(args);
    command.env("KILTER_CRASH_AT", at);
    let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(out.status.code().is_none(), "it was to die at {at}: {out:?}");
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < WAIT, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Rows before which pages of simple products were asked for, since the last time.
fn offsets(relay: &Relay) -> Vec<usize> {
    let seen = std::mem::take(&mut *relay.seen.lock().unwrap());
    let listed = seen.iter().filter(|q| q.contains("type=simple") && q.contains("orderby=id"));
    let offset = |q: &String| {
        let (_, rest) = q.split_once("&offset=").unwrap();
        rest.split('&').next().unwrap().parse().unwrap()
    };
    listed.map(offset).collect()
}

/// SKU → state of every product of the shop that Kilter knows.
fn known(rig: &Rig) -> Vec<(String, String)> {
    let database = rusqlite::Connection::open(rig.database()).unwrap();
    let sql = "SELECT json_extract(shadow, '$.\"variant.sku\"'), state FROM objects \
               WHERE connection = 'de' AND resource = 'simple' AND remote IS NOT NULL ORDER BY 1";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

async fn delete(rig: &Rig, sku: &str) {
    let api = format!("{}/wp-json/wc/v3/products", rig.de.url());
    let key = ("ck_test", Some("cs_test"));
    let request = rig.http.get(format!("{api}?sku={sku}")).basic_auth(key.0, key.1);
    let text = request.send().await.unwrap().text().await.unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    let url = format!("{api}/{}?force=true", found[0]["id"]);
    let answer = rig.http.delete(url).basic_auth(key.0, key.1).send().await.unwrap();
    assert!(answer.status().is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_listing_goes_on_and_loses_no_row_that_moved() {
    let (rig, relay) = full_shop("backfill").await;
    // The third page was kept, the fourth came.
    let at = "4 after a call /products";
    died(&rig, &["backfill"], at).await;
    let first = offsets(&relay);
    assert_eq!(first, [0, 99, 198, 297], "a page begins with the row that ended the one before");

    // Where it stood, for people.
    let status = rig.status().await;
    let reading = &status["reading"][0];
    assert_eq!(
        (&reading["resource"], &reading["rows"]),
        (&json!("simple"), &json!(298)),
        "{status}"
    );
    // Never read before: the shop says how many there are.
    let (total, left) = (&reading["total"], &reading["seconds_left"]);
    assert_eq!((total, left.is_u64()), (&json!(PRODUCTS), true), "{status}");

    // Rows before its place go: what stood behind it stands before it now.
    for sku in ["FOUND-003", "FOUND-150", "FOUND-151"] {
        delete(&rig, sku).await;
    }
    let (code, told) = rig.run(&["backfill"]).await;
    assert_eq!(code, 0, "{told}");
    let second = offsets(&relay);
    assert_eq!(second[..2], [297, 197], "it goes on, and looks back where rows moved");
    let lost = |rig: &Rig| -> Vec<String> {
        let known = known(rig);
        let live = |sku: &str| known.iter().any(|(s, state)| s == sku && state == "live");
        (0..PRODUCTS).map(|n| format!("FOUND-{n:03}")).filter(|sku| !live(sku)).collect()
    };
    assert_eq!(lost(&rig), [""; 0], "no row is lost; what went was shown before: {told}");
    assert!(!told.contains("not listed any more"), "{told}");

    // Read to its end: the next one begins at the beginning.
    let (code, told) = rig.run(&["backfill"]).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(offsets(&relay).first(), Some(&0));
    assert_eq!(lost(&rig), ["FOUND-003", "FOUND-150", "FOUND-151"], "now they are missed: {told}");
    assert_eq!(rig.status().await["reading"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_live_passes_while_everything_is_read_and_history_stays_history() {
    let (rig, relay) = full_shop("backfill-live").await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    // Orders flow from now on.
    let now = format!("{:.0}", jiff::Timestamp::now());
    std::fs::write(rig.toml(), text.replace("2020-01-01T00:00:00Z", &now)).unwrap();
    let placed = async |sku: &str, at: &str| {
        let mut body = json!({ "lines": [{ "sku": sku, "quantity": 2 }], "billing": {
            "first_name": "Ada", "last_name": "B", "email": "ada@example.com", "address_1": "Weg 1",
            "city": "Berlin", "postcode": "10115", "country": "DE" } });
        if !at.is_empty() {
            body["date_created"] = json!(at);
        }
        rig.post(&format!("{}/_twin/orders", rig.de.url()), &body).await
    };
    let old = placed("FOUND-001", "2024-05-01T10:00:00").await["id"].clone();
    let as_it_is = async || {
        let all = rig.get(&format!("{}/_twin/state", rig.de.url())).await;
        list(&all, "orders").iter().find(|o| o["id"] == old).cloned().unwrap()
    };
    let was = as_it_is().await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");

    let _serving = rig.served().await;
    let state = async |url: String| rig.get(&format!("{url}/_twin/state")).await;
    let hooked = async || list(&state(rig.de.url()).await, "webhooks").len() == 6;
    until("webhooks", hooked).await;
    // A page of products takes two seconds: five of them, beside a person who asked.
    *relay.slow.lock().unwrap() = Some(("type=simple".to_owned(), 2000));
    relay.seen.lock().unwrap().clear();
    let (code, told) = rig.run(&["backfill"]).await;
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("a running kilter"), "{told}");
    let reading = async || rig.status().await["reading"] != json!([]);
    until("it is read again", reading).await;
    let asked = Instant::now();
    placed("MUG-001", "").await;
    let price = json!([{ "sku": "MUG-000", "list": "EUR", "price": "77.70" }]);
    rig.post(&format!("{}/_twin/prices", rig.erp.url()), &price).await;
    until("an order and a price", async || {
        let (erp, shop) = (state(rig.erp.url()).await, state(rig.de.url()).await);
        list(&erp, "orders").iter().any(|o| o["state"] == "sale")
            && list(&shop, "products").iter().any(|p| p["regular_price"] == "77.70")
    })
    .await;
    println!("an order and a price passed after {:?}", asked.elapsed());
    assert!(reading().await, "the listing was over before: nothing was shown");
    until("its end", async || !reading().await).await;

    // The order of 2024 is history: not in the ERP, and no figure moved for it.
    let erp = state(rig.erp.url()).await;
    assert_eq!(list(&erp, "orders").len(), 1, "only the new order is sent");
    // Nobody is written to about it: in its shop it is as it was.
    assert_eq!(as_it_is().await, was);
    let database = rusqlite::Connection::open(rig.database()).unwrap();
    let sql = "SELECT count(*) FROM sold JOIN records ON records.id = sold.variant \
               WHERE records.key = 'FOUND-001'";
    let sold: i64 = database.query_row(sql, [], |r| r.get(0)).unwrap();
    assert_eq!(sold, 0, "what was sold before is in the figures already");
}

/// What people deleted in a shop so far, and what they made.
type Moved = (BTreeSet<String>, BTreeSet<String>);

/// People rest at last, or a command that waits for quiet would wait for ever.
const DEEDS_MAX: usize = 60;

/// People at work while it is read: products go, come, and change their place by date.
async fn people(rig: &Rig, stop: &AtomicBool, seed: u64, (mut gone, mut made): Moved) -> Moved {
    let mut dice = SmallRng::seed_from_u64(seed);
    for _ in 0..DEEDS_MAX {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let sku = format!("FOUND-{:03}", dice.random_range(0..PRODUCTS));
        match dice.random_range(0..3_u8) {
            _ if gone.contains(&sku) => {}
            0 => {
                delete(rig, &sku).await;
                gone.insert(sku);
            }
            1 => {
                let sku = format!("MADE-{:03}", made.len());
                let product = json!({ "name": &sku, "type": "simple", "sku": &sku,
                    "regular_price": "5.00", "manage_stock": true, "stock_quantity": 1 });
                let seed = json!({ "products": [product] });
                rig.post(&format!("{}/_twin/seed", rig.de.url()), &seed).await;
                made.insert(sku);
            }
            _ => {
                let brief = rig.get(&format!("{}/_twin/brief", rig.de.url())).await;
                let all = brief.as_array().unwrap();
                let id = &all.iter().find(|p| p["sku"] == sku).unwrap()["id"];
                let price = json!({ "regular_price": "8.80" });
                rig.post(&format!("{}/_twin/products/{id}", rig.de.url()), &price).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    (gone, made)
}

/// Pages that move under the reader, at random: whoever stood there all the while is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_move_at_random_while_they_are_read_are_not_lost() {
    let seed = std::env::var("KILTER_SEED").ok().and_then(|s| s.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("KILTER_SEED={seed}");
    let (rig, relay) = full_shop("backfill-moves").await;
    *relay.slow.lock().unwrap() = Some(("type=simple".to_owned(), 120));
    let rig = Arc::new(rig);
    let mut moved = Moved::default();
    for (turn, command) in ["backfill", "sync", "backfill"].into_iter().enumerate() {
        let (stop, before) = (Arc::new(AtomicBool::new(false)), moved.clone());
        let at_work = tokio::spawn({
            let (rig, stop) = (Arc::clone(&rig), Arc::clone(&stop));
            async move { people(&rig, &stop, seed ^ turn as u64, moved).await }
        });
        let (code, told) = rig.run(&[command]).await;
        stop.store(true, Ordering::SeqCst);
        moved = at_work.await.unwrap();
        assert_eq!(code, 0, "{told}");
        let (gone, made) = (moved.0.len() - before.0.len(), moved.1.len() - before.1.len());
        println!("{command}: {gone} deleted, {made} made while it read");
        assert!(gone >= 3, "nothing moved");
        let known = known(&rig);
        let live = |sku: &str| known.iter().any(|(s, state)| s == sku && state == "live");
        let stood = (0..PRODUCTS).map(|n| format!("FOUND-{n:03}"));
        // What came before this reading began stood there all the while, too.
        let stood = stood.filter(|sku| !moved.0.contains(sku)).chain(before.1);
        let lost: Vec<String> = stood.filter(|sku| !live(sku)).collect();
        assert_eq!(lost, [""; 0], "{command}: {told}");
    }
}
