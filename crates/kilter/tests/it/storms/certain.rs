//! Certain: a shop that writes a figure only where it still is what was read. There no raise over a sale
//! is excused: neither one that was read, nor one between the read and the write.
//!
//! Reads   `KILTER_CERTAIN` (150 sales).   Writes  sales, counts; the twins' faults.
//! Never   takes Kilter's word: the shop says which of its figures were raised, and over what.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kilter_twin::Running;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::storms::judge::{decimal, forecast, list};
use crate::storms::stage::{seed, told};
use crate::support::relay::relay;
use crate::support::third::joined;
use crate::support::{Rig, skus};

const PACE: Duration = Duration::from_millis(40);
/// Each call takes as long: sales fall between a read and the write that is based on it.
const SLOW_MS: u64 = 150;
/// How the shop says it.
const STALE: &str = "CHANGE_FROM_QUANTITY_STALE"; // tidy: names
const CALM: Duration = Duration::from_secs(90);

struct Outcome {
    raises: Value,
    /// Writes that the shop refused, for somebody had bought since the figure was read.
    stale: u64,
    /// What does not follow the formula at the end.
    wrong: Vec<String>,
}

async fn buy(rig: &Rig, plus: &Running, here: bool, sku: &str, units: i64, n: usize) -> bool {
    let (given, family, zip, country) = match here {
        true => ("firstName", "lastName", "zip", "countryCode"),
        false => ("first_name", "last_name", "postcode", "country"),
    };
    let street = if here { "address1" } else { "address_1" };
    let email = format!("ada{}@example.com", n % 40);
    let body = json!({ "lines": [{ "sku": sku, "quantity": units }], "check_stock": true,
        "customer": { "email": &email, "firstName": "Ada", "lastName": "B" },
        "billing": { given: "Ada", family: "B", "email": &email, street: format!("Weg {n}"),
            "city": "Berlin", zip: "10115", country: "DE" } });
    let url = if here { plus.url() } else { rig.de.url() };
    rig.try_post(&format!("{url}/_twin/orders"), &body).await.is_ok()
}

async fn faults(rig: &Rig, url: &str, body: &Value) {
    rig.post(&format!("{url}/_twin/faults"), body).await;
}

/// Half of the sales in the shop that compares, half in another; the ERP counts beside it and, after a
/// third, takes no orders; some webhooks are lost, some late.
async fn trade(rig: &Rig, plus: &Running, seed: u64, sales: usize) -> usize {
    let mut dice = SmallRng::seed_from_u64(seed);
    let skus = skus(&crate::support::seed(3, 50));
    let mut sold: BTreeMap<&str, i64> = BTreeMap::new();
    let (mut made, mut tries) = (0, 0);
    while made < sales {
        tries += 1;
        assert!(tries < sales * 20, "the shops sell nothing any more");
        if made * 3 == sales {
            let busy = json!({ "match": "sale.order/load", "fail_next": u32::MAX, "status": 503 });
            faults(rig, &rig.erp.url(), &busy).await;
        }
        let sku = &skus[dice.random_range(0..skus.len())];
        if dice.random_bool(0.25) {
            let units = sold.get(sku.as_str()).copied().unwrap_or(0) + dice.random_range(0..14_i64);
            let count = json!([{ "sku": sku, "warehouse": "WH", "quantity": units }]);
            rig.post(&format!("{}/_twin/stock", rig.erp.url()), &count).await;
        }
        let (here, units) = (dice.random_bool(0.6), dice.random_range(1..=3_i64));
        if buy(rig, plus, here, sku, units, tries).await {
            *sold.entry(sku).or_default() += units;
            made += 1;
        }
        tokio::time::sleep(PACE).await;
    }
    made
}

/// What does not follow the formula: all sales are in the ERP, so its forecast is the figure.
async fn unlike(rig: &Rig, plus: &Running, sales: usize) -> Vec<String> {
    let erp = rig.get(&format!("{}/_twin/state", rig.erp.url())).await;
    let shop = rig.get(&format!("{}/_twin/brief", plus.url())).await;
    let orders = list(&erp, "orders").iter().filter(|o| o["state"] == "sale").count();
    let mut wrong = Vec::new();
    if orders != sales {
        wrong.push(format!("{sales} sales, {orders} orders in the ERP"));
    }
    for variant in list(&erp, "variants") {
        let Some(sku) = variant["default_code"].as_str() else { continue };
        let wanted = forecast(variant, &["WH"]).max(0.into());
        let shown = shop.as_array().unwrap().iter().find(|v| v["sku"] == sku);
        let shown = shown.map(|v| decimal(&v["stock"]));
        if shown != Some(wanted) {
            wrong.push(format!("{sku} shows {shown:?}, not {wanted}"));
        }
    }
    wrong
}

async fn sold(name: &str, sales: usize, without: &str, calm: Duration) -> Outcome {
    let seed = seed();
    let (rig, plus) = joined(name).await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let often = "[connection.plus.orders]\nsince = \"2020-01-01T00:00:00Z\"\nprefix = \"P\"\n\
                 [connection.plus.every]\norders = \"1s\"\n";
    let (relay, between) = relay(plus.url()).await;
    *relay.heard.lock().unwrap() = Some((STALE.to_owned(), 0));
    std::fs::write(rig.toml(), text.replace(&plus.url(), &between) + often).unwrap();
    let mut serving = rig.serve_without(without);
    rig.healthy(&mut serving).await;
    let weather = json!({ "names": ["webhooks_dropped/4", "webhooks_late/3", "slow/1"],
        "slow_ms": SLOW_MS, "late_ms": 400 });
    faults(&rig, &plus.url(), &weather).await;
    let made = trade(&rig, &plus, seed, sales).await;
    let none = json!({ "names": [] });
    faults(&rig, &plus.url(), &none).await;
    faults(&rig, &rig.erp.url(), &json!({ "fail_next": 0 })).await;
    let started = Instant::now();
    let wrong = loop {
        let wrong = unlike(&rig, &plus, made).await;
        if wrong.is_empty() || started.elapsed() > calm {
            break wrong;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    let raises = rig.get(&format!("{}/_twin/stock_raises", plus.url())).await;
    let stale = relay.heard.lock().unwrap().take().map_or(0, |(_, times)| times);
    println!(
        "{name}: {made} sales, quiet after {:.1?}; {stale} stale; {raises}",
        started.elapsed()
    );
    Outcome { raises, stale, wrong }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_shop_compares_no_raise_over_a_sale_needs_an_excuse() {
    let outcome = sold("certain", told("KILTER_CERTAIN", 150), "", CALM).await;
    assert!(outcome.wrong.is_empty(), "{}", outcome.wrong.join("\n"));
    let raises = &outcome.raises;
    assert!(raises["checked"].as_u64().unwrap() > 0, "nothing was raised: {raises}");
    assert_eq!((&raises["violations"], &raises["races"]), (&json!([]), &json!([])));
    assert!(outcome.stale > 0, "nobody bought between a read and its write: nothing was at stake");
}

/// Without the stock rule what was sold is offered again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_stock_rule_it_raises_over_sales() {
    let outcome = sold("certain-control", 150, "stock_rule", Duration::from_secs(10)).await;
    let over = |kind: &str| list(&outcome.raises, kind).len();
    assert!(over("violations") + over("races") > 0, "{}", outcome.raises);
}
