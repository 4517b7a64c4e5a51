//! Every moment between which something lasts, once the last: before and after each commit that
//! changed something, before and after each call.
//!
//! A short story is told once and its crash points are counted. Then it is told again for each
//! point, and dies there (`abort`: no destructor runs); Kilter starts again, and must come to rest:
//! nothing lost, nothing doubled, every sum and figure right, the plan empty, the file whole.
//!
//! Reads   `KILTER_CRASH_ALL=1`: all points; else an even sample. `KILTER_SEED`: where it begins.
//!         `KILTER_CRASH_PART=Ship`: points of one part only; `Ship 158`: that one.
//! Writes  folders below the system's temporary one.   Never   kills by time: a point is a count.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::judge::{self, list};
use crate::support::{self, Rig, Serving};
use serde_json::{Value, json};

/// So many points at least are tried, unless all are.
const SAMPLE: usize = 60;

/// Stories told side by side: they mostly wait.
const ABREAST: usize = 4;

/// How often a story moves to another port, and what `serve` says when its port is taken.
const MOVES: usize = 1;
const TAKEN: &str = "Address already in use";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The story, part by part: what people do, then what Kilter makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// A shop is filled.
    First,
    /// An order (class A); a price, a figure, a new product.
    Trade,
    /// The order is sent (a fulfilment: class C), and some of its money given back (class A).
    Ship,
    /// The same process serves, and hears of an order by a webhook.
    Hook,
}

const PARTS: [Part; 4] = [Part::First, Part::Trade, Part::Ship, Part::Hook];

/// A point: in which part, counted from 1, and what it is called.
type Point = (Part, usize, String);

struct Story {
    rig: Rig,
}

impl Story {
    async fn begin(name: &str) -> Self {
        let rig = Rig::start(name).await;
        // One shop is enough, and nothing is polled twice in a short life.
        let text = std::fs::read_to_string(rig.toml()).unwrap();
        let text = text.replace("[connection.de]\n", "[connection.de]\nfulfilments = \"yes\"\n");
        let text = ["1s", "2s", "3s"]
            .iter()
            .fold(text, |text, every| text.replace(&format!("= \"{every}\""), "= \"60s\""));
        let parts = text.split("\n[").filter(|part| !part.starts_with("connection.us"));
        std::fs::write(rig.toml(), parts.collect::<Vec<_>>().join("\n[")).unwrap();
        Self { rig }
    }

    async fn run(&self, args: &[&str], env: &[(&str, String)]) -> Output {
        let mut command = self.rig.command(args);
        command.envs(env.iter().map(|(k, v)| (*k, v.as_str())));
        // A story that fails ends the others: nobody waits for a sync whose twins are gone.
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true).output().await.unwrap()
    }

    async fn state(&self, of: &str) -> Value {
        self.rig.get(&format!("{of}/_twin/state")).await
    }

    async fn office(&self, page: &str, body: Value) -> Value {
        self.rig.post(&format!("{}/_twin/{page}", self.rig.erp.url()), &body).await
    }

    async fn order(&self, sku: &str, shipping: &str) {
        let body = json!({
            "lines": [{ "sku": sku, "quantity": 2 }, { "sku": "TEE-000-M", "quantity": 1 }],
            "check_stock": true, "shipping_total": shipping, "payment_method": "stripe",
            "billing": { "first_name": "Ada", "last_name": sku, "email": format!("{sku}@example.com"),
                "address_1": "Weg 1", "city": "Berlin", "postcode": "10115", "country": "DE" },
        });
        self.rig.post(&format!("{}/_twin/orders", self.rig.de.url()), &body).await;
    }

    /// What people do in a part.
    async fn act(&self, part: Part) {
        match part {
            Part::First => {
                self.office("seed", support::seed(2, 50)).await;
            }
            Part::Trade => {
                // The rig ships by a product that is goods: it would lie in the parcel, too.
                self.order("MUG-000", "0").await;
                let price = json!([{ "sku": "MUG-001", "list": "EUR", "price": "12.34" }]);
                self.office("prices", price).await;
                let figure = json!([{ "sku": "MUG-001", "warehouse": "WH", "quantity": 31 }]);
                self.office("stock", figure).await;
                let mut more = support::seed(0, 0);
                more = json!({ "templates": [{
                    "name": { "en_US": "Pot", "de_DE": "Kanne" }, "list_price": 9.9, "type": "consu",
                    "taxes": [more["taxes"][0]["name"]],
                    "variants": [{ "default_code": "POT-1", "weight": 1, "stock": { "WH": 7, "WST": 1 },
                        "prices": { "EUR": "29.90", "USD": "31.00" } }],
                }] });
                self.office("seed", more).await;
            }
            Part::Ship => {
                let erp = self.state(&self.rig.erp.url()).await;
                let parcel =
                    json!([{ "order_id": list(&erp, "orders")[0]["id"], "tracking": "DHL-7" }]);
                self.office("ship", parcel).await;
                let shop = self.state(&self.rig.de.url()).await;
                let order = &list(&shop, "orders")[0]["id"];
                let url = format!("{}/wp-json/wc/v3/orders/{order}/refunds", self.rig.de.url());
                let body = json!({ "api_refund": false, "amount": "2.50", "reason": "Sorry" });
                let request = self.rig.http.post(url).basic_auth("ck_test", Some("cs_test"));
                let request = request.header("content-type", "application/json");
                let answer = request.body(body.to_string()).send().await.unwrap();
                assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
            }
            // Shipping would move a figure of the ERP that only a poll tells.
            Part::Hook => self.order("MUG-001", "0").await,
        }
    }

    /// What Kilter makes of a part. True: it died of what `env` says.
    async fn part(&self, part: Part, env: &[(&str, String)]) -> bool {
        if part == Part::Hook {
            return self.heard(env).await;
        }
        self.act(part).await;
        let out = self.run(&["sync"], env).await;
        let died = out.status.signal().is_some();
        assert!(died || out.status.success(), "{part:?}: {out:?}");
        died
    }

    fn serving(&self, env: &[(&str, String)]) -> Serving {
        let log = std::fs::File::create(self.rig.folder.join("serve.log")).unwrap();
        let mut command = self.rig.command(&["serve"]);
        command.envs(env.iter().map(|(k, v)| (*k, v.as_str())));
        Serving(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// To another port.
    fn move_on(&self) {
        let text = std::fs::read_to_string(self.rig.toml()).unwrap();
        let old = format!("127.0.0.1:{}", self.rig.port);
        let moved = text.replace(&old, &format!("127.0.0.1:{}", support::free_port()));
        assert_ne!(text, moved, "the config names no port");
        std::fs::write(self.rig.toml(), moved).unwrap();
    }

    /// Serves until an order that a webhook told of is in the ERP, or until it dies.
    async fn heard(&self, env: &[(&str, String)]) -> bool {
        let mut serving = self.serving(env);
        let started = Instant::now();
        let (mut placed, mut moved) = (false, 0);
        loop {
            if let Some(status) = serving.0.try_wait().unwrap() {
                let said = std::fs::read_to_string(self.rig.folder.join("serve.log")).unwrap();
                // Nothing else is excused: between choosing a port and serving, another took it.
                if !placed && moved < MOVES && said.contains(TAKEN) {
                    moved += 1;
                    println!("another took the port of {}", self.rig.folder.display());
                    self.move_on();
                    serving = self.serving(env);
                    continue;
                }
                assert!(status.signal().is_some(), "serve ended with {status}: {said}");
                if !placed {
                    self.act(Part::Hook).await;
                }
                return true;
            }
            let shop = self.state(&self.rig.de.url()).await;
            if !placed && list(&shop, "webhooks").len() == 6 {
                self.act(Part::Hook).await;
                placed = true;
            }
            let wrong = self.wrong(Part::Hook).await;
            if placed && wrong.is_empty() {
                return false;
            }
            assert!(started.elapsed() < PATIENCE, "serve does not come to rest: {wrong:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everything that is not as it should be after a part.
    async fn wrong(&self, part: Part) -> Vec<String> {
        let mut wrong = Vec::new();
        let (erp, shop) =
            (self.state(&self.rig.erp.url()).await, self.state(&self.rig.de.url()).await);
        judge::orders("DE", &shop, &erp, &mut wrong);
        judge::refunds("DE", &shop, &erp, &mut wrong);
        judge::figures("DE", &shop, &erp, "EUR", &["WH"], &mut wrong);
        judge::customers(&erp, &mut wrong);
        let count = |state: &Value, what| list(state, what).len();
        let goods = count(&shop, "products") + count(&shop, "variations");
        let wanted = [6, 7, 7, 7][part as usize];
        for (what, there, wanted) in [
            ("products and variations", goods, wanted),
            ("orders in the shop", count(&shop, "orders"), [0, 1, 1, 2][part as usize]),
            ("orders in the ERP", count(&erp, "orders"), [0, 1, 1, 2][part as usize]),
            ("credit notes", count(&erp, "invoices"), usize::from(part >= Part::Ship)),
        ] {
            if there != wanted {
                wrong.push(format!("{there} {what}, not {wanted}"));
            }
        }
        wrong
    }

    /// The fulfilments of the first order.
    async fn fulfilments(&self) -> usize {
        let shop = self.state(&self.rig.de.url()).await;
        let order = &list(&shop, "orders")[0]["id"];
        let url = format!("{}/wp-json/wc/v3/orders/{order}/fulfillments", self.rig.de.url());
        let request = self.rig.http.get(url).basic_auth("ck_test", Some("cs_test"));
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap().as_array().unwrap().len()
    }

    /// Starts again, as often as it takes; true: a class C create waits for its answer.
    async fn rest(&self, part: Part, at: &str) -> bool {
        let started = Instant::now();
        let mut wrong;
        loop {
            let out = self.run(&["sync"], &[]).await;
            assert!(out.status.success(), "{at}: {out:?}");
            wrong = self.wrong(part).await;
            if wrong.is_empty() || started.elapsed() > PATIENCE {
                break;
            }
        }
        let status = self.rig.status().await;
        assert!(wrong.is_empty(), "{at}: {wrong:#?}\n{:#}", status["waits"]);
        assert_eq!(status["conserved"], true, "{at}: {status:#}");
        assert_eq!(status["dead"], json!([]), "{at}: dead letters");
        assert_eq!(status["open"], 0, "{at}: open changes");
        let file = rusqlite::Connection::open(self.rig.database()).unwrap();
        let whole: String = file.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
        assert_eq!(whole, "ok", "{at}");
        let asked = part >= Part::Ship && self.asked(&status, at).await;
        let out = self.run(&["plan"], &[]).await;
        let told = String::from_utf8_lossy(&out.stdout);
        assert_eq!(
            out.status.code(),
            Some(0),
            "{at}: the plan is not empty: {told}\n{:#}\nintents: {:#?}",
            status["waits"],
            intents(&file)
        );
        asked
    }

    /// A fulfilment whose answer never came is looked for, and then asked about: never made twice.
    async fn asked(&self, status: &Value, at: &str) -> bool {
        let there = self.fulfilments().await;
        assert!(there <= 1, "{at}: {there} fulfilments");
        let waits = list(status, "waits").iter().filter(|w| w["resource"] == "fulfilments");
        let waits: Vec<&Value> = waits.collect();
        if there == 0 {
            assert_eq!(waits.len(), 1, "{at}: no fulfilment, and nobody is told: {status:#}");
            let reason = waits[0]["reason"].as_str().unwrap();
            assert!(reason.contains("has arrived") || reason.contains("may exist"), "{reason}");
        }
        there == 0
    }
}

/// What was permitted, and what came of it.
fn intents(file: &rusqlite::Connection) -> Vec<String> {
    let text = "SELECT printf('%s %s %s: %s, %d lookups, next %s; %s is %s, waits %s %s, due %s', \
        i.connection, i.resource, i.ref, i.status, i.lookups, i.next_at, o.id, o.state, \
        o.wait_kind, o.wait_reason, o.due_next) FROM intents i JOIN objects o ON o.id = i.object";
    let mut rows = file.prepare(text).unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Tells the whole story, and counts.
async fn count() -> Vec<Point> {
    let story = Story::begin("crash-count").await;
    let (started, mut points) = (Instant::now(), Vec::new());
    for part in PARTS {
        let file = story.rig.folder.join(format!("points-{part:?}"));
        let env = [("KILTER_CRASH_COUNT", file.to_str().unwrap().to_owned())];
        assert!(!story.part(part, &env).await);
        println!("{part:?} after {:?}", started.elapsed());
        let text = std::fs::read_to_string(&file).unwrap();
        points.extend(text.lines().zip(1..).map(|(name, n)| (part, n, name.to_owned())));
    }
    assert!(!story.rest(Part::Hook, "without a crash").await, "the fulfilment is not there");
    println!("at rest after {:?}", started.elapsed());
    points
}

/// Tells the story up to a point. What came of it: died there, and asks about a fulfilment.
async fn told(n: usize, (part, at, name): &Point) -> (bool, bool) {
    let story = Story::begin(&format!("crash-{n}")).await;
    for before in PARTS.iter().filter(|p| *p < part) {
        assert!(!story.part(*before, &[]).await);
    }
    let died = story.part(*part, &[("KILTER_CRASH_AT", at.to_string())]).await;
    let place = format!("{part:?} {at} ({name})");
    (died, story.rest(*part, &place).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_may_die_at_every_point_and_nothing_is_lost_or_doubled() {
    let started = Instant::now();
    let points = count().await;
    let seed = std::env::var("KILTER_SEED").ok().and_then(|s| s.parse().ok());
    let seed: usize = seed.unwrap_or(7_u32) as usize;
    let all = std::env::var("KILTER_CRASH_ALL").is_ok_and(|v| v == "1");
    let part = std::env::var("KILTER_CRASH_PART").ok();
    let part = |(part_of, n, _): &Point| {
        let names = [format!("{part_of:?}"), format!("{part_of:?} {n}")];
        part.as_ref().is_none_or(|part| names.contains(part))
    };
    let points: Vec<Point> = points.into_iter().filter(part).collect();
    let step = if all { 1 } else { (points.len() / SAMPLE).max(1) };
    let chosen: Vec<Point> = points.iter().skip(seed % step).step_by(step).cloned().collect();
    println!("KILTER_SEED={seed}: {} of {} points", chosen.len(), points.len());
    assert!(chosen.len() >= SAMPLE.min(points.len() / 2), "too few points: {}", chosen.len());
    let mut names: BTreeMap<(Part, &str), usize> = BTreeMap::new();
    for (part, _, name) in &points {
        let kind = name.match_indices(' ').nth(2).map_or(name.as_str(), |(end, _)| &name[..end]);
        *names.entry((*part, kind)).or_default() += 1;
    }
    println!("{names:?}");
    let chosen = Arc::new(chosen);
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut tellers = tokio::task::JoinSet::new();
    for _ in 0..ABREAST {
        let (chosen, next) = (Arc::clone(&chosen), Arc::clone(&next));
        tellers.spawn(async move {
            let (mut died, mut asked) = (0, 0);
            loop {
                let n = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let Some(point) = chosen.get(n) else { return (died, asked) };
                let (dead, waits) = told(n, point).await;
                died += usize::from(dead);
                asked += usize::from(waits);
            }
        });
    }
    let (mut died, mut asked) = (0, 0);
    while let Some(one) = tellers.join_next().await {
        let (dead, waits) = one.unwrap();
        died += dead;
        asked += waits;
    }
    println!(
        "died at {died} of {} points, {asked} fulfilments are asked about; {:?}",
        chosen.len(),
        started.elapsed()
    );
    // In a part that serves, two stories need not have the same points.
    assert!(died * 10 >= chosen.len() * 9, "only {died} of {} died", chosen.len());
}

/// A control: without permits, a fulfilment whose answer was lost with the process is made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_permits_a_fulfilment_is_doubled() {
    let points = count().await;
    let sent = |p: &&Point| p.0 == Part::Ship && p.2.ends_with("/fulfillments");
    let mut sent = points.iter().filter(sent);
    let point = sent.find(|p| p.2.starts_with("after a call")).expect("a fulfilment is sent");
    let story = Story::begin("crash-control").await;
    let off = ("KILTER_UNSAFE_WITHOUT", "permits".to_owned());
    for part in [Part::First, Part::Trade] {
        assert!(!story.part(part, &[]).await);
    }
    // By its name: how many commits lie before it depends on who waited together.
    let at = ("KILTER_CRASH_AT", format!("1 {}", point.2));
    assert!(story.part(Part::Ship, &[at, off.clone()]).await, "{point:?}");
    // It does not come to rest either: what the second one was answered, it does not believe.
    let mut command = story.rig.command(&["sync"]);
    let mut sync = command.env(off.0, &off.1).spawn().unwrap();
    let started = Instant::now();
    while story.fulfilments().await < 2 && started.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    sync.kill().unwrap();
    sync.wait().unwrap();
    assert!(story.fulfilments().await >= 2, "{point:?}");
}
