//! `kill -9` between a job's start and what Kilter would have written down of it: the job is found
//! again by the name it was given, and nothing is sent twice. One that never began is begun.
//!
//! ERP and shop are twins in this process; a relay before the shop does what it is sent, and keeps the
//! answer to itself – or keeps the request.

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{self, PLUS, Rig};
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kilter_twin::{Options, Running};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(90);

/// What becomes of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Answer,
    Request,
    /// Nothing, but it waits until it is let go.
    Time,
}

#[derive(Default)]
struct Relay {
    target: String,
    /// Our own address: files lie where the shop is, so what it says of itself is said of us.
    url: String,
    http: reqwest::Client,
    /// What is lost of the next request that says this.
    lose: Mutex<Option<(Lost, &'static str)>>,
    lost: AtomicBool,
    go: tokio::sync::Notify,
    /// Starts that came through, and creates that were calls.
    starts: AtomicUsize,
    calls: AtomicUsize,
    /// Files of results that were read.
    files: AtomicUsize,
}

async fn pass(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let text = String::from_utf8_lossy(&body);
    let start = text.contains("bulkOperationRun");
    let hit = |lose: &mut (Lost, &str)| text.contains(lose.1);
    let lost = relay.lose.lock().unwrap().take_if(hit).map(|(what, _)| what);
    if matches!(lost, Some(Lost::Request | Lost::Time)) {
        relay.lost.store(true, Ordering::SeqCst);
        relay.go.notified().await;
    }
    let file = head.uri.path().starts_with("/_results/");
    relay.files.fetch_add(usize::from(file), Ordering::SeqCst);
    relay.starts.fetch_add(usize::from(start), Ordering::SeqCst);
    let set = text.contains("productSet") && !start;
    relay.calls.fetch_add(usize::from(set), Ordering::SeqCst);
    // What was sent is done, even if who sent it is dead by now.
    let answer = tokio::spawn(forward(Arc::clone(&relay), head, body)).await.unwrap();
    if lost == Some(Lost::Answer) {
        relay.lost.store(true, Ordering::SeqCst);
        return std::future::pending().await;
    }
    answer
}

async fn forward(relay: Arc<Relay>, head: axum::http::request::Parts, body: Bytes) -> Response {
    let path = head.uri.path_and_query().map_or("/", |p| p.as_str());
    let mut request = relay.http.request(head.method, format!("{}{path}", relay.target)).body(body);
    let own = ["host", "content-length", "connection", "transfer-encoding"];
    for (name, value) in head.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        request = request.header(name, value);
    }
    let Ok(answer) = request.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, headers) = (answer.status(), answer.headers().clone());
    let said = answer.text().await.unwrap_or_default().replace(&relay.target, &relay.url);
    let mut out = (status, said).into_response();
    for (name, value) in headers.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        out.headers_mut().insert(name, value.clone());
    }
    out
}

/// An ERP, a shop behind a relay, and nobody else.
struct House {
    rig: Rig,
    shop: Running,
    relay: Arc<Relay>,
}

impl House {
    async fn start(name: &str, lose: Option<(Lost, &'static str)>) -> Self {
        let rig = Rig::start(name).await;
        let settings = [("plan", "plus"), ("currency", "EUR"), ("locations", "main")];
        let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let options = Options { port: None, seed: 7, settings };
        let shop = kilter_twin::start("shopify", options).await.unwrap();
        let state = rig.get(&format!("{}/_twin/state", shop.url())).await;
        let main = state["locations"][0]["gid"].as_str().unwrap();
        let target = shop.url();
        let lose = Mutex::new(lose);
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let relay = Relay { target, url: url.clone(), lose, http, ..Relay::default() };
        let relay = Arc::new(relay);
        let app = axum::Router::new().fallback(pass).with_state(Arc::clone(&relay));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let table = PLUS.replace("{url}", &url).replace("{main}", main);
        let text = std::fs::read_to_string(rig.toml()).unwrap();
        let (before, after) = (text.find("[connection.de]").unwrap(), text.find("[own.").unwrap());
        std::fs::write(rig.toml(), format!("{}{}{table}", &text[..before], &text[after..]))
            .unwrap();
        Self { rig, shop, relay }
    }

    /// Kilter aligns, and has come to a start that does not come through.
    async fn came_to_a_start(&self) -> Child {
        let mut child = self.rig.command(&["sync"]).spawn().unwrap();
        let started = Instant::now();
        while !self.relay.lost.load(Ordering::SeqCst) {
            let lives = child.try_wait().unwrap().is_none();
            assert!(started.elapsed() < WAIT && lives, "no job was begun");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child
    }

    /// Kilter dies when a start was lost, and aligns in its next life.
    async fn killed_and_aligned(&self) -> String {
        let mut child = self.came_to_a_start().await;
        child.kill().unwrap();
        child.wait().unwrap();
        self.aligned().await
    }

    async fn aligned(&self) -> String {
        let (code, told) = self.rig.run(&["sync"]).await;
        assert_eq!(code, 0, "{told}");
        let status = self.rig.status().await;
        assert_eq!(status["conserved"], true, "{status}");
        let (code, plan) = self.rig.run(&["plan"]).await;
        assert_eq!(code, 0, "the plan is not empty:\n{plan}");
        assert_eq!(self.counted("SELECT count(*) FROM meta WHERE key LIKE 'job.%'"), 0);
        assert_eq!(self.counted("SELECT count(*) FROM meta WHERE key LIKE 'bulk.%'"), 0);
        told
    }

    fn counted(&self, sql: &str) -> usize {
        let database = rusqlite::Connection::open(self.rig.database()).unwrap();
        database.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap().try_into().unwrap()
    }

    /// The shop's jobs of a kind, by how many objects each is said to hold.
    async fn jobs(&self, kind: &str) -> Vec<usize> {
        let state = self.rig.get(&format!("{}/_twin/state", self.shop.url())).await;
        let jobs = state["bulk_operations"].as_array().unwrap().iter();
        let jobs = jobs.filter(|job| job["type"] == kind);
        jobs.map(|job| job["objectCount"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// Of each SKU how many variants the shop has.
    async fn skus(&self) -> BTreeMap<String, usize> {
        let state = self.rig.get(&format!("{}/_twin/state", self.shop.url())).await;
        let mut skus = BTreeMap::new();
        for item in state["variants"].as_array().unwrap() {
            *skus.entry(item["sku"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        skus
    }

    /// Products in the shop that are worth a job, beside an ERP that has none.
    async fn full_shop(&self) {
        let product = |n: usize| {
            json!({ "title": format!("Found {n}"),
                "productOptions": [{ "name": "Title", "values": [{ "name": "Default Title" }] }],
                "variants": [{ "optionValues": [{ "optionName": "Title", "name": "Default Title" }],
                    "sku": format!("FOUND-{n}"), "price": "9.90",
                    "inventoryItem": { "tracked": true } }] })
        };
        let products: Vec<Value> = (0..PRODUCTS).map(product).collect();
        let shop = self.shop.url();
        self.rig.post(&format!("{shop}/_twin/seed"), &json!({ "products": products })).await;
        self.rig.post(&format!("{}/_twin/seed", self.rig.erp.url()), &support::seed(0, 0)).await;
    }

    /// A catalogue in the ERP that is worth a job, and how many products it has.
    async fn catalogue(&self) -> (BTreeMap<String, usize>, usize) {
        let seed = support::seed(330, 7);
        self.rig.post(&format!("{}/_twin/seed", self.rig.erp.url()), &seed).await;
        let skus = support::skus(&seed).into_iter().map(|sku| (sku, 1)).collect();
        (skus, seed["templates"].as_array().unwrap().len())
    }
}

/// More than a job is worth.
const PRODUCTS: usize = 1100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_was_begun_and_not_written_down_is_found_and_read_once() {
    let house = House::start("lost-query", Some((Lost::Answer, "bulkOperationRunQuery"))).await;
    house.full_shop().await;
    let told = house.killed_and_aligned().await;
    // One of products and one of variants, each of all that is there.
    assert_eq!(house.jobs("QUERY").await, [PRODUCTS, PRODUCTS], "{told}");
    assert_eq!(house.relay.starts.load(Ordering::SeqCst), 2);
    assert_eq!(house.relay.files.load(Ordering::SeqCst), 2);
    // What changed lately is listed by its date too, afterwards: that is no line of the file.
    let said = |what: &str| {
        let sql = "SELECT count(*) FROM changes WHERE connection = 'plus' AND via = 'sweep' \
                   AND collection = ";
        house.counted(&format!("{sql}'{what}'"))
    };
    assert_eq!(
        (said("products"), said("variants")),
        (PRODUCTS, PRODUCTS),
        "each line is kept once"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_was_begun_and_not_written_down_is_found_and_nothing_is_sent_twice() {
    let house = House::start("lost-load", Some((Lost::Answer, "bulkOperationRunMutation"))).await;
    let (skus, products) = house.catalogue().await;
    let told = house.killed_and_aligned().await;
    assert_eq!(house.jobs("MUTATION").await, [products], "one job of all: {told}");
    assert_eq!(house.relay.starts.load(Ordering::SeqCst), 1);
    assert_eq!(house.relay.files.load(Ordering::SeqCst), 1, "its result is read once");
    assert_eq!(house.relay.calls.load(Ordering::SeqCst), 0, "and none goes by a call");
    assert_eq!(house.skus().await, skus, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_never_began_is_begun() {
    let house = House::start("lost-start", Some((Lost::Request, "bulkOperationRunMutation"))).await;
    let (skus, products) = house.catalogue().await;
    let told = house.killed_and_aligned().await;
    assert_eq!(house.jobs("MUTATION").await, [products], "{told}");
    assert_eq!(house.relay.calls.load(Ordering::SeqCst), 0, "{told}");
    assert_eq!(house.skus().await, skus, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_job_did_before_it_failed_is_not_sent_again() {
    let house = House::start("lost-half", None).await;
    let (skus, products) = house.catalogue().await;
    let fault = json!({ "bulk_fail_next": 1 });
    house.rig.post(&format!("{}/_twin/faults", house.shop.url()), &fault).await;
    let told = house.aligned().await;
    // The shop does half of the lines, and tells of these in a partial file; too few are left for a job.
    let half = products / 2;
    assert_eq!(house.jobs("MUTATION").await, [half], "{told}");
    assert_eq!(house.relay.calls.load(Ordering::SeqCst), products - half, "{told}");
    assert_eq!(house.skus().await, skus, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_whose_job_fails_is_read_by_pages_and_its_half_is_not_believed() {
    let house = House::start("lost-trust", None).await;
    house.full_shop().await;
    let fault = json!({ "bulk_fail_next": 1 });
    house.rig.post(&format!("{}/_twin/faults", house.shop.url()), &fault).await;
    let told = house.aligned().await;
    // Half of the products stand in a partial file, which is not read; their variants' job is sound.
    assert_eq!(house.jobs("QUERY").await, [PRODUCTS / 2, PRODUCTS], "{told}");
    assert_eq!(house.relay.files.load(Ordering::SeqCst), 1);
    let known = "SELECT count(*) FROM objects WHERE connection = 'plus' AND remote LIKE '%/Product";
    for what in ["/%'", "Variant/%'"] {
        assert_eq!(house.counted(&format!("{known}{what}")), PRODUCTS, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_finds_nothing_has_no_file_and_is_done() {
    let late = (Lost::Time, "bulkOperationRunQuery");
    let house = House::start("lost-empty", Some(late)).await;
    house.full_shop().await;
    let mut child = house.came_to_a_start().await;
    // Somebody empties the shop before the job begins.
    let shop = house.shop.url();
    let state = house.rig.get(&format!("{shop}/_twin/state")).await;
    for product in state["products"].as_array().unwrap() {
        let url = format!("{shop}/_twin/products/{}/delete", product["id"]);
        house.rig.post(&url, &json!({})).await;
    }
    house.relay.go.notify_one();
    let code = tokio::task::spawn_blocking(move || child.wait().unwrap().code()).await.unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(
        house.jobs("QUERY").await,
        [0],
        "the job is believed: its listing is not read again"
    );
    // Figures may have been listed before all was gone: they are another listing's.
    let known = "SELECT count(*) FROM objects WHERE connection = 'plus' AND resource <> 'levels'";
    assert_eq!(house.counted(known), 0);
    house.aligned().await;
}
