//! What tests of the whole program share: twins in this process, a config, Kilter as a child.
//!
//! Reads   nothing of the repository.   Writes  a folder below the system's temporary one.
//! Never   leaves a child running: what is dropped is killed.

pub mod judge;
pub mod relay;
pub mod third;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kilter_twin::{Options, Running};
use serde_json::{Value, json};

/// Two shops and an ERP, each a twin, and a folder with a `kilter.toml` that joins them.
pub struct Rig {
    pub folder: PathBuf,
    pub erp: Running,
    pub de: Running,
    pub us: Running,
    pub port: u16,
    pub http: reqwest::Client,
}

/// Where Kilter finds the three: the twins themselves, or something between.
pub struct Urls {
    pub erp: String,
    pub de: String,
    pub us: String,
}

async fn twin(name: &str, settings: &[(&str, &str)]) -> Running {
    let settings: BTreeMap<String, String> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    kilter_twin::start(name, Options { port: None, seed: 7, settings }).await.unwrap()
}

/// Below what systems give to connections that name no port: those would take it while Kilter is dead.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

pub fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(PORTS)).take(PORTS.len());
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(free).expect("no port is free")
}

impl Rig {
    pub async fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("kilter-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder).unwrap();
        let german = [
            ("currency", "EUR"),
            ("prices_include_tax", "true"),
            ("tax_rate", "19"),
            ("fulfillments", "true"),
        ];
        let american = [("currency", "USD"), ("locale", "en_US")];
        let rig = Self {
            folder,
            erp: twin("odoo", &[]).await,
            de: twin("woocommerce", &german).await,
            us: twin("woocommerce", &american).await,
            port: free_port(),
            // No connection is used twice: one that the other side closed is no failure.
            http: reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap(),
        };
        rig.config(&Urls { erp: rig.erp.url(), de: rig.de.url(), us: rig.us.url() });
        rig
    }

    pub fn config(&self, urls: &Urls) {
        let text = CONFIG
            .replace("{port}", &self.port.to_string())
            .replace("{erp}", &urls.erp)
            .replace("{de}", &urls.de)
            .replace("{us}", &urls.us);
        std::fs::write(self.toml(), text).unwrap();
    }

    pub fn toml(&self) -> PathBuf {
        self.folder.join("kilter.toml")
    }

    /// Orders of de are polled once an hour by themselves.
    pub fn orders_hourly(&self) {
        let text = std::fs::read_to_string(self.toml()).unwrap();
        let (head, tail) = text.split_once("[connection.de.every]\norders = \"2s\"").unwrap();
        let slow = format!("{head}[connection.de.every]\norders = \"1h\"{tail}");
        std::fs::write(self.toml(), slow).unwrap();
    }

    pub fn database(&self) -> PathBuf {
        self.folder.join("kilter.sqlite")
    }

    pub async fn get(&self, url: &str) -> Value {
        let text = self.http.get(url).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub async fn post(&self, url: &str, body: &Value) -> Value {
        self.try_post(url, body).await.unwrap_or_else(|told| panic!("{url}: {told}"))
    }

    /// Err: what was said instead of yes.
    pub async fn try_post(&self, url: &str, body: &Value) -> Result<Value, String> {
        let request = self.http.post(url).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        if !status.is_success() {
            return Err(format!("{status}: {text}"));
        }
        Ok(serde_json::from_str(&text).unwrap())
    }

    /// A call of the ERP's own API, as a client of it makes one.
    pub async fn call_erp(&self, call: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}/json/2/{call}", self.erp.url()));
        let request = request.header("authorization", "bearer test-key");
        let request = request.header("x-odoo-database", "erp"); // tidy: names the header
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{call} {body}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A call of a shop's own API, as a client of it makes one.
    pub async fn call_shop(
        &self,
        shop: &str,
        method: reqwest::Method,
        path: &str,
        body: &Value,
    ) -> Value {
        let request = self.http.request(method, format!("{shop}/wp-json/wc/v3/{path}"));
        let request = request.basic_auth("ck_test", Some("cs_test"));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path} {body}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kilter"));
        command.arg("--config").arg(self.toml()).args(args).current_dir(&self.folder);
        command
    }

    /// Runs a command to its end: exit code, standard output and standard error.
    pub async fn run(&self, args: &[&str]) -> (i32, String) {
        let mut command = tokio::process::Command::from(self.command(args));
        let out = command.kill_on_drop(true).output().await.unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        (out.status.code().unwrap_or(-1), text)
    }

    pub fn serve(&self) -> Serving {
        self.serve_without("")
    }

    /// With guards switched off, as a negative control does.
    pub fn serve_without(&self, guards: &str) -> Serving {
        let mut log = std::fs::OpenOptions::new();
        let log = log.create(true).append(true).open(self.folder.join("serve.log")).unwrap();
        let mut command = self.command(&["serve"]);
        command.env("KILTER_UNSAFE_WITHOUT", guards).stdout(Stdio::null()).stderr(log);
        Serving(command.spawn().unwrap())
    }

    /// Serves, and comes back when it answers.
    pub async fn served(&self) -> Serving {
        let mut serving = self.serve();
        self.healthy(&mut serving).await;
        serving
    }

    pub async fn healthy(&self, serving: &mut Serving) {
        let url = format!("http://127.0.0.1:{}/health", self.port);
        let started = Instant::now();
        while self.http.get(&url).send().await.is_err() {
            let log = || std::fs::read_to_string(self.folder.join("serve.log")).unwrap_or_default();
            assert!(serving.0.try_wait().unwrap().is_none(), "serve ended:\n{}", log());
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "serve does not answer:\n{}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `kilter status --json`.
    pub async fn status(&self) -> Value {
        let (code, text) = self.run(&["status", "--json"]).await;
        assert_eq!(code, 0, "{text}");
        serde_json::from_str(text.lines().next().unwrap()).unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // A test that failed keeps its folder, to be looked at.
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.folder).ok();
        }
    }
}

/// A running `kilter serve`; dropped, it is killed.
pub struct Serving(pub Child);

impl Serving {
    /// As the power goes: no handler runs.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// As a service manager does it: it is asked to end, and has the time it wants.
    pub fn stop(&mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(asked.unwrap().success(), "it was there to be asked");
        let ended = self.0.wait().unwrap();
        assert!(ended.success(), "told to stop, it ended with {ended}");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A catalogue: `n` products with one variant, and a third as many with three.
pub fn seed(n: usize, stock: u32) -> Value {
    let mut templates = Vec::new();
    for i in 0..n {
        let (eur, usd) = (format!("{}.90", 10 + i), format!("{}.49", 11 + i));
        templates.push(json!({
            "name": { "en_US": format!("Mug {i} & more"), "de_DE": format!("Becher {i} – Öl") },
            "list_price": 9.9, "type": "consu", "taxes": ["19% incl"],
            "variants": [{ "default_code": format!("MUG-{i:03}"), "weight": 0.235,
                "prices": { "EUR": eur, "USD": usd }, "stock": { "WH": stock, "WST": stock } }],
        }));
    }
    for i in 0..n.div_ceil(3) {
        let variant = |size: &str| {
            json!({ "default_code": format!("TEE-{i:03}-{size}"), "weight": 0.2,
                "attributes": { "Size": size },
                "prices": { "EUR": "19.90", "USD": "21.50" }, "stock": { "WH": stock, "WST": 3 } })
        };
        templates.push(json!({
            "name": { "en_US": format!("Tee {i}"), "de_DE": format!("Hemd {i}") },
            "list_price": 19.9, "type": "consu", "taxes": ["19% incl"],
            "variants": [variant("S"), variant("M"), variant("L")],
        }));
    }
    json!({
        "languages": ["de_DE"], "currencies": { "USD": 1.25 },
        "taxes": [{ "name": "19% incl", "amount": 19, "included": true, "default": true },
            { "name": "7% incl", "amount": 7, "included": true },
            { "name": "0%", "amount": 0, "included": true }],
        "warehouses": [{ "code": "WST", "name": "West" }],
        "pricelists": [{ "name": "EUR", "currency": "EUR" }, { "name": "USD", "currency": "USD" }],
        "templates": templates,
    })
}

pub fn skus(seed: &Value) -> Vec<String> {
    let templates = seed["templates"].as_array().unwrap().iter();
    let variants = templates.flat_map(|t| t["variants"].as_array().unwrap());
    variants.map(|v| v["default_code"].as_str().unwrap().to_owned()).collect()
}

const CONFIG: &str = r#"
locations = ["main", "west"]

[kilter]
store = "kilter.sqlite"
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"

[price_list.retail-eur]
currency = "EUR"
tax = "included"
[price_list.retail-usd]
currency = "USD"

[connection.erp]
connector = "odoo"
url = "{erp}"
database = "erp"
api_key = "test-key"
rounding_product = "1"
locales = { en_US = "en_US", de_DE = "de_DE" }
price_lists = { retail-eur = "2", retail-usd = "3" }
locations = { main = "1", west = "2" }
[connection.erp.lookup.taxes]
"19" = "1"
"7" = "2"
"0" = "3"
[connection.erp.lookup.order_price_lists]
EUR = "2"
USD = "3"
[connection.erp.lookup.services]
shipping = "1"
fee = "2"
[connection.erp.lookup.countries]
DE = "base.de"
US = "base.us"
[connection.erp.every]
orders = "2s"
moves = "1s"
quants = "2s"
prices = "2s"
templates = "3s"
variants = "3s"
shipments = "3s"
refunds = "3s"

[connection.de]
connector = "woocommerce"
url = "{de}"
consumer_key = "ck_test"
consumer_secret = "cs_test"
webhook_secret = "hush-de"
locale = "de_DE"
currency = "EUR"
price_list = "retail-eur"
locations = ["main"]
[connection.de.orders]
prefix = "DE"
since = "2020-01-01T00:00:00Z"
[connection.de.lookup.taxes]
"19" = "1"
[connection.de.every]
orders = "2s"
refunds = "2s"

[connection.us]
connector = "woocommerce"
url = "{us}"
consumer_key = "ck_test"
consumer_secret = "cs_test"
webhook_secret = "hush-us"
locale = "en_US"
currency = "USD"
price_list = "retail-usd"
locations = ["main", "west"]
[connection.us.orders]
prefix = "US"
since = "2020-01-01T00:00:00Z"
[connection.us.lookup.taxes]
"0" = "1"
[connection.us.every]
orders = "2s"
refunds = "2s"

[own.product]
"*" = "erp"
[own.variant]
"*" = "erp"
[own.price]
"*" = "erp"
[own.stock]
"*" = "erp"
[own.customer]
"*" = "origin"
[own.order]
"*" = "origin"
fulfilment = "erp"
[own.refund]
"*" = "origin"
[own.shipment]
"*" = "erp"
"#;

/// One more shop, of another platform; tests append what else they say of it.
pub const PLUS: &str = r#"
[connection.plus]
connector = "shopify"
url = "{url}"
token = "shpat_twin"
locale = "de_DE"
currency = "EUR"
price_list = "retail-eur"
locations = { main = "{main}" }
"#;

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until something is found; what was seen last is told where it never is.
pub async fn until<T>(
    what: &str,
    patience: Duration,
    mut found: impl AsyncFnMut() -> Result<T, Value>,
) -> T {
    let started = Instant::now();
    loop {
        match found().await {
            Ok(found) => return found,
            Err(seen) => assert!(started.elapsed() < patience, "{what}: {seen}"),
        }
        tokio::time::sleep(LOOK).await;
    }
}
