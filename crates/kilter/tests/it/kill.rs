//! `kill -9` at random moments, `KILTER_KILLS` of them: nothing lost, nothing doubled.
//!
//! Two shops and an ERP are twins in this process; between them and Kilter stands a relay that
//! holds every answer back a little and knows what is on its way. Customers buy and clerks change
//! prices and stock all the while. Each life of Kilter ends by SIGKILL, at least half of them with
//! a request in flight; what a twin was sent before is done, whoever was killed. At the end, quiet:
//! every order once in the ERP with the shop's total, every refund of one as one credit note, every
//! figure right, the plan empty.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::judge::{self, list};
use crate::support::relay::{Relay, relay};
use crate::support::{self, Rig, Urls};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// How many, unless `KILTER_KILLS` says otherwise.
const KILLS: usize = 60;

/// How long a life is, in milliseconds.
const LIFE: std::ops::Range<u64> = 20..900;

/// Customers and clerks, until told to stop.
struct World {
    rig: Rig,
    skus: Vec<String>,
    stop: AtomicBool,
    orders: AtomicU64,
    refunds: AtomicU64,
    changes: AtomicU64,
}

impl World {
    async fn customers(self: Arc<Self>, mut random: SmallRng) {
        while !self.stop.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(random.random_range(100..400))).await;
            let german = random.random_bool(0.5);
            let shop = if german { &self.rig.de } else { &self.rig.us };
            let lines: Vec<Value> = (0..random.random_range(1..=3_usize))
                .map(|_| {
                    let sku = &self.skus[random.random_range(0..self.skus.len())];
                    json!({ "sku": sku, "quantity": random.random_range(1..=3_u32) })
                })
                .collect();
            let n = self.orders.load(Ordering::SeqCst);
            let country = if german { "DE" } else { "US" };
            let body = json!({
                "lines": lines, "check_stock": true, "shipping_total": "4.90",
                "billing": { "first_name": "Ada", "last_name": format!("Nr {}", n % 20),
                    "email": format!("ada{}@example.com", n % 20), "address_1": format!("Weg {n}"),
                    "city": "Berlin", "postcode": "10115", "country": country },
            });
            let url = format!("{}/_twin/orders", shop.url());
            // Not on sale yet, or sold out: the customer leaves.
            let Ok(order) = self.rig.try_post(&url, &body).await else { continue };
            self.orders.fetch_add(1, Ordering::SeqCst);
            if random.random_bool(0.3) {
                self.refund(&shop.url(), &order, &mut random).await;
            }
        }
    }

    /// A part of an order is given back: shipping, or the first piece of it, or a little money.
    async fn refund(&self, shop: &str, order: &Value, random: &mut SmallRng) {
        let back = |item: &Value, quantity: u32| json!([{ "id": item["id"], "quantity": quantity, "refund_total": "1.00" }]);
        let body = match random.random_range(0..3_u8) {
            0 => json!({ "api_refund": false, "line_items": back(&order["shipping_lines"][0], 0) }),
            1 => json!({ "api_refund": false, "line_items": back(&order["line_items"][0], 1) }),
            _ => json!({ "api_refund": false, "amount": "2.50", "reason": "Sorry" }),
        };
        let url = format!("{shop}/wp-json/wc/v3/orders/{}/refunds", order["id"]);
        let request = self.rig.http.post(url).basic_auth("ck_test", Some("cs_test"));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{body}: {}", answer.text().await.unwrap());
        self.refunds.fetch_add(1, Ordering::SeqCst);
    }

    async fn clerks(self: Arc<Self>, mut random: SmallRng) {
        while !self.stop.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(random.random_range(100..500))).await;
            let sku = &self.skus[random.random_range(0..self.skus.len())];
            let price =
                format!("{}.{:02}", random.random_range(5..90), random.random_range(0..100));
            let edit = match random.random_range(0..4_u8) {
                0 => ("prices", json!([{ "sku": sku, "list": "EUR", "price": price }])),
                1 => ("prices", json!([{ "sku": sku, "list": "USD", "price": price }])),
                n => {
                    let place = if n == 2 { "WH" } else { "WST" };
                    let quantity = random.random_range(500..900);
                    ("stock", json!([{ "sku": sku, "warehouse": place, "quantity": quantity }]))
                }
            };
            self.rig.post(&format!("{}/_twin/{}", self.rig.erp.url(), edit.0), &edit.1).await;
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Everything that is not as it should be, by the twins' own state.
    async fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let erp = self.rig.get(&format!("{}/_twin/state", self.rig.erp.url())).await;
        let mut placed = 0;
        for (shop, prefix, lists, places) in [
            (&self.rig.de, "DE", "EUR", &["WH"][..]),
            (&self.rig.us, "US", "USD", &["WH", "WST"][..]),
        ] {
            let state = self.rig.get(&format!("{}/_twin/state", shop.url())).await;
            placed += list(&state, "orders").len();
            judge::orders(prefix, &state, &erp, &mut wrong);
            judge::refunds(prefix, &state, &erp, &mut wrong);
            judge::figures(prefix, &state, &erp, lists, places, &mut wrong);
            let hooks = list(&state, "webhooks").len();
            if hooks != 6 {
                wrong.push(format!("{prefix}: {hooks} webhooks, not 6"));
            }
        }
        let there = list(&erp, "orders").len();
        if there != placed {
            wrong.push(format!("{placed} orders placed, {there} in the ERP"));
        }
        let (made, notes) = (self.refunds.load(Ordering::SeqCst), list(&erp, "invoices").len());
        if u64::try_from(notes).unwrap() != made {
            wrong.push(format!("{made} refunds made, {notes} credit notes in the ERP"));
        }
        judge::customers(&erp, &mut wrong);
        wrong
    }
}

/// How many kills struck with something on its way.
#[derive(Debug, Default)]
struct Struck {
    kills: usize,
    flying: usize,
    writes: usize,
    creates: usize,
}

/// Two shops and an ERP with a relay before each; customers and clerks at work.
async fn begun(
    name: &str,
    seed: u64,
) -> (Arc<World>, Vec<Arc<Relay>>, [tokio::task::JoinHandle<()>; 2]) {
    let rig = Rig::start(name).await;
    let (mut relays, mut urls) = (Vec::new(), Vec::new());
    for twin in [&rig.erp, &rig.de, &rig.us] {
        let (relay, url) = relay(twin.url()).await;
        relays.push(relay);
        urls.push(url);
    }
    rig.config(&Urls { erp: urls[0].clone(), de: urls[1].clone(), us: urls[2].clone() });
    let catalogue = support::seed(24, 800);
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &catalogue).await;
    let world = Arc::new(World {
        skus: support::skus(&catalogue),
        rig,
        stop: AtomicBool::new(false),
        orders: AtomicU64::new(0),
        refunds: AtomicU64::new(0),
        changes: AtomicU64::new(0),
    });
    let people = [
        tokio::spawn(Arc::clone(&world).customers(SmallRng::seed_from_u64(seed ^ 1))),
        tokio::spawn(Arc::clone(&world).clerks(SmallRng::seed_from_u64(seed ^ 2))),
    ];
    (world, relays, people)
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_and_double_nothing() {
    let seed = std::env::var("KILTER_SEED").ok().and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u64>);
    let told = std::env::var("KILTER_KILLS").ok();
    let kills = told.map_or(KILLS, |n| n.parse().expect("KILTER_KILLS is a number"));
    println!("KILTER_SEED={seed}, {kills} kills");
    let started = Instant::now();
    let mut random = SmallRng::seed_from_u64(seed);
    let (world, relays, people) = begun("kill", seed).await;
    let mut struck = Struck::default();
    while struck.kills < kills {
        one_life(&world.rig, &relays, &mut random, &mut struck, "").await;
    }
    println!("{struck:?} after {:?}", started.elapsed());
    world.stop.store(true, Ordering::SeqCst);
    for one in people {
        one.await.unwrap();
    }
    calm(&world).await;
    let (placed, changes) =
        (world.orders.load(Ordering::SeqCst), world.changes.load(Ordering::SeqCst));
    let refunds = world.refunds.load(Ordering::SeqCst);
    assert!(refunds >= 10, "only {refunds} refunds were made");
    println!(
        "{placed} orders, {refunds} refunds, {changes} changes, {:?} in all",
        started.elapsed()
    );
    assert!(struck.flying * 2 >= kills, "too few kills struck a request: {struck:?}");
    assert!(placed >= 50, "only {placed} orders were placed");
}

/// Kilter lives for a while and is killed; every second time, when a write is on its way, of these
/// every second one the create of an order.
async fn one_life(
    rig: &Rig,
    relays: &[Arc<Relay>],
    random: &mut SmallRng,
    struck: &mut Struck,
    without: &str,
) {
    let mut serving = rig.serve_without(without);
    rig.healthy(&mut serving).await;
    tokio::time::sleep(Duration::from_millis(random.random_range(LIFE))).await;
    let sum = |of: fn(&Relay) -> &AtomicU64| -> u64 {
        relays.iter().map(|r| of(r).load(Ordering::SeqCst)).sum()
    };
    let aimed = Instant::now();
    let awaited = || match struck.kills % 4 {
        0 => sum(|r| &r.writes) == 0,
        2 => sum(|r| &r.creates) == 0,
        _ => false,
    };
    while awaited() && aimed.elapsed() < Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    let (flying, writes, creates) = (sum(|r| &r.flying), sum(|r| &r.writes), sum(|r| &r.creates));
    serving.kill();
    struck.kills += 1;
    struck.flying += usize::from(flying > 0);
    struck.writes += usize::from(writes > 0);
    struck.creates += usize::from(creates > 0);
}

/// Nobody buys and nobody is killed any more: soon everything is right, and stays so.
async fn calm(world: &World) {
    let mut serving = world.rig.served().await;
    let started = Instant::now();
    let mut wrong = world.wrong().await;
    let mut told = wrong.len() + 1;
    while !wrong.is_empty() && started.elapsed() < Duration::from_secs(100) {
        if wrong.len() < told {
            told = wrong.len();
            println!("{:?}: {told} wrong, as {}", started.elapsed(), wrong[0]);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        wrong = world.wrong().await;
    }
    println!("right after {:?}", started.elapsed());
    serving.kill();
    let status = world.rig.status().await;
    let waits = serde_json::to_string_pretty(&status["waits"]).unwrap();
    assert!(wrong.is_empty(), "{} wrong:\n{}\n{waits}", wrong.len(), wrong.join("\n"));
    let (code, text) = world.rig.run(&["sync"]).await;
    assert_eq!(code, 0, "sync: {text}");
    let (code, text) = world.rig.run(&["plan"]).await;
    assert_eq!(code, 0, "the plan is not empty:\n{text}");
    let status = world.rig.status().await;
    assert_eq!(status["conserved"], true, "{status}");
    assert_eq!(status["dead"], json!([]), "dead letters");
    let wrong = world.wrong().await;
    assert!(wrong.is_empty(), "wrong after a last sync:\n{}", wrong.join("\n"));
}

/// As many lives at most, until an order is doubled.
const CONTROL_KILLS: usize = 60;

/// A control: without permits, an order whose create was answered to a dead process is made again.
#[tokio::test(flavor = "multi_thread")]
async fn without_permits_kills_double_orders() {
    let seed = rand::random::<u64>();
    let mut random = SmallRng::seed_from_u64(seed);
    let (world, relays, people) = begun("kill-control", seed).await;
    // Who asks first what is there needs no permit; an ERP of some size takes its time to tell.
    *relays[0].slow.lock().unwrap() = Some(("sale.order/search_read".to_owned(), 2_500));
    let mut struck = Struck { kills: 2, ..Struck::default() };
    let mut doubled = Vec::new();
    for _ in 0..CONTROL_KILLS {
        one_life(&world.rig, &relays, &mut random, &mut struck, "permits").await;
        // The next one, too, when a create is on its way.
        struck.kills += 3;
        let erp = world.rig.get(&format!("{}/_twin/state", world.rig.erp.url())).await;
        let mut seen = std::collections::BTreeSet::new();
        // Ours begins with the shop and its number, whatever follows.
        let number = |o: &Value| {
            let mut parts = o["client_order_ref"].as_str()?.split('-');
            Some(format!("{}-{}", parts.next()?, parts.next()?))
        };
        let all = list(&erp, "orders").iter().filter_map(number);
        doubled = all.filter(|number| !seen.insert(number.clone())).collect::<Vec<_>>();
        if !doubled.is_empty() {
            break;
        }
    }
    println!("{struck:?}: {doubled:?}");
    world.stop.store(true, Ordering::SeqCst);
    for one in people {
        one.await.unwrap();
    }
    assert!(!doubled.is_empty(), "nothing was doubled: {struck:?}");
}
