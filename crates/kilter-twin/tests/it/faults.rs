//! Faults by name, each by itself, at each of the three twins: what the client sees, and whether
//! the work was done behind it.
//!
//! Reads   the twins over HTTP.
//! Writes  customers; the faults.
//! Never   expects a fault by luck: a fault "in one of one" calls strikes every call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kilter_twin::{Options, Running};
use serde_json::{Value, json};

const NAMES: [&str; 3] = ["woocommerce", "shopify", "odoo"];
/// Generous: other work may share the machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Twin {
    name: &'static str,
    running: Running,
    http: reqwest::Client,
}

struct Seen {
    /// `None`: the connection broke.
    status: Option<u16>,
    after: Option<String>,
    text: String,
}

impl Seen {
    fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.text).ok()
    }
}

async fn twin(name: &'static str, seed: u64, settings: &[(&str, &str)]) -> Twin {
    let mut all: BTreeMap<String, String> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    if name != "odoo" {
        all.entry("webhook_delay_ms".to_owned()).or_insert_with(|| "0".to_owned());
    }
    let running =
        kilter_twin::start(name, Options { port: None, seed, settings: all }).await.unwrap();
    Twin { name, running, http: reqwest::Client::new() }
}

impl Twin {
    async fn send(&self, method: &str, path: &str, body: Value) -> Seen {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", self.running.url());
        let mut request = self.http.request(method, url);
        request = match self.name {
            "woocommerce" => request.basic_auth("ck_test", Some("cs_test")),
            "shopify" => request.header("X-Shopify-Access-Token", "shpat_twin"),
            _ => request.bearer_auth("test-key"),
        };
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let Ok(answer) = request.send().await else {
            return Seen { status: None, after: None, text: String::new() };
        };
        let after = answer.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
        let status = Some(answer.status().as_u16());
        Seen { status, after, text: answer.text().await.unwrap_or_default() }
    }

    async fn graphql(&self, query: &str) -> Seen {
        let path = "/admin/api/2026-10/graphql.json";
        self.send("POST", path, json!({ "query": query })).await
    }

    /// A write: a new customer.
    async fn create(&self, email: &str) -> Seen {
        match self.name {
            "woocommerce" => {
                self.send("POST", "/wp-json/wc/v3/customers", json!({ "email": email })).await
            }
            "shopify" => {
                let query = "mutation C($email: String!) { customerCreate(input: { email: $email }) \
                             { customer { id } userErrors { message } } }";
                let body = json!({ "query": query, "variables": { "email": email } });
                self.send("POST", "/admin/api/2026-10/graphql.json", body).await
            }
            _ => {
                let body = json!({ "vals_list": [{ "name": "X", "email": email }] });
                self.send("POST", "/json/2/res.partner/create", body).await
            }
        }
    }

    /// A search for it, as its clients search.
    async fn search(&self, email: &str) -> Seen {
        match self.name {
            "woocommerce" => {
                let path = format!("/wp-json/wc/v3/customers?role=all&email={email}");
                self.send("GET", &path, Value::Null).await
            }
            "shopify" => {
                let found = "{ nodes { id defaultEmailAddress { emailAddress } } }";
                let asked = format!("customers(first: 9, query: \"email:{email}\")");
                self.graphql(&format!("{{ {asked} {found} }}")).await
            }
            _ => {
                let body = json!({ "domain": [["email", "=", email]], "fields": ["email"] });
                self.send("POST", "/json/2/res.partner/search_read", body).await
            }
        }
    }

    async fn office(&self, method: &str, page: &str, body: Value) -> Value {
        let seen = self.send(method, &format!("/_twin/{page}"), body).await;
        assert_eq!(seen.status, Some(200), "{}: {page}: {}", self.name, seen.text);
        seen.json().unwrap()
    }

    async fn faults(&self, body: Value) -> Value {
        self.office("POST", "faults", body).await
    }

    /// How often it is really there, with every fault off.
    async fn there(&self, email: &str) -> usize {
        let page = match self.name {
            "odoo" => {
                self.faults(json!({ "names": [] })).await;
                self.search(email).await.json().unwrap()
            }
            _ => self.office("GET", "state", Value::Null).await["customers"].clone(),
        };
        page.to_string().matches(&format!("\"{email}\"")).count().min(1)
    }

    /// What a create meets under one fault, and whether it was done.
    async fn under(&self, fault: &str, email: &str) -> (Seen, usize) {
        self.faults(json!({ "names": [format!("{fault}/1")], "slow_ms": 300 })).await;
        let seen = self.create(email).await;
        self.faults(json!({ "names": [] })).await;
        (seen, self.there(email).await)
    }
}

#[tokio::test]
async fn each_fault_of_a_call_is_what_its_name_says() {
    for name in NAMES {
        let twin = twin(name, 1, &[]).await;
        for (fault, status, done) in [
            ("errors", Some(500), 0),
            ("errors_after", Some(500), 1),
            ("resets", None, 0),
            ("lost_replies", None, 1),
            ("slow", Some(200), 1),
            ("truncated", Some(200), 1),
            ("html", Some(200), 1),
            ("error_in_200", Some(200), 0),
            ("expired", Some(401), 0),
        ] {
            let begun = Instant::now();
            let email = format!("{}@example.com", fault.replace('_', "-"));
            let (seen, there) = twin.under(fault, &email).await;
            let good = match (name, fault) {
                ("woocommerce", "slow") => Some(201),
                _ => status,
            };
            assert_eq!((seen.status, there), (good, done), "{name}: {fault}: {}", seen.text);
            match fault {
                "slow" => assert!(begun.elapsed() >= Duration::from_millis(300)),
                "truncated" => assert!(seen.json().is_none() && !seen.text.is_empty()),
                "html" => assert!(seen.text.starts_with("<!DOCTYPE html>")),
                "error_in_200" => assert!(seen.text.contains("rror"), "{}", seen.text),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn a_late_landing_is_answered_before_it_is_done() {
    for name in NAMES {
        let twin = twin(name, 1, &[]).await;
        twin.faults(json!({ "names": ["late/1"], "late_ms": 1500 })).await;
        let seen = twin.create("late@example.com").await;
        assert_eq!((seen.status, twin.there("late@example.com").await), (Some(504), 0), "{name}");
        let begun = Instant::now();
        while twin.there("late@example.com").await == 0 {
            assert!(begun.elapsed() < PATIENCE, "{name}: it never landed");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn haste_is_refused_in_every_form_of_retry_after() {
    for name in NAMES {
        let twin = twin(name, 1, &[]).await;
        twin.faults(json!({ "names": ["throttled/1"] })).await;
        let mut forms = Vec::new();
        for number in 0..10 {
            let seen = twin.create(&format!("t{number}@example.com")).await;
            if name == "shopify" && number % 3 == 0 {
                let code = &seen.json().unwrap()["errors"][0]["extensions"]["code"];
                assert_eq!((seen.status, code), (Some(200), &json!("THROTTLED")));
                continue;
            }
            assert_eq!(seen.status, Some(429), "{name}");
            forms.push(seen.after.unwrap_or_default());
        }
        twin.faults(json!({ "names": ["throttled_absurdly/1"] })).await;
        let absurd = twin.create("absurd@example.com").await;
        assert_eq!((absurd.status, absurd.after.as_deref()), (Some(429), Some("999999999")));
        for form in ["", "1", "0.5"] {
            assert!(forms.iter().any(|own| own == form), "{name}: no \"{form}\" in {forms:?}");
        }
        let date = |form: &&String| form.ends_with(" GMT") && form.contains(", ");
        assert!(forms.iter().any(|form| date(&form)), "{name}: no date in {forms:?}");
    }
}

#[tokio::test]
async fn nobody_answers_for_as_long_as_it_is_gone() {
    for name in NAMES {
        let twin = twin(name, 1, &[]).await;
        twin.faults(json!({ "gone_ms": 700 })).await;
        assert_eq!(twin.create("gone@example.com").await.status, None, "{name}");
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert!(twin.create("gone@example.com").await.status.is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_system_that_normalises_keeps_something_else_than_it_was_told() {
    for name in NAMES {
        let twin = twin(name, 1, &[]).await;
        twin.faults(json!({ "names": ["normalising"] })).await;
        twin.create("Jane@Example.COM").await;
        assert_eq!(twin.there("jane@example.com").await, 1, "{name}");
    }
}

#[tokio::test]
async fn a_stale_search_does_not_know_what_was_just_made() {
    for name in NAMES {
        let twin =
            twin(name, 1, &[("search_lag_seconds", "0")][..usize::from(name == "shopify")]).await;
        let email = "new@example.com";
        let count = async |twin: &Twin| usize::from(twin.search(email).await.text.contains(email));
        twin.faults(json!({ "names": ["stale/1"] })).await;
        assert_eq!(count(&twin).await, 0, "{name}");
        twin.create(email).await;
        assert_eq!(count(&twin).await, 0, "{name}: stale");
        twin.faults(json!({ "names": [] })).await;
        // An index that was behind when it was written catches up by itself.
        let begun = Instant::now();
        while count(&twin).await == 0 {
            assert!(begun.elapsed() < PATIENCE, "{name}: it is never found");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Bodies as they came.
type Told = Arc<Mutex<Vec<Value>>>;

async fn listener() -> (String, Told) {
    let told = Told::default();
    let kept = told.clone();
    let app = axum::Router::new().fallback(move |body: axum::body::Bytes| async move {
        if let Ok(body) = serde_json::from_slice::<Value>(&body) {
            kept.lock().unwrap().push(body);
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, told)
}

impl Twin {
    /// Somebody listens to new customers, and to products that go.
    async fn subscribed(&self) -> Told {
        let (url, told) = listener().await;
        match self.name {
            "woocommerce" => {
                for topic in ["customer.created", "product.deleted"] {
                    let body = json!({ "name": "t", "topic": topic, "delivery_url": url,
                                       "status": "active", "secret": "s" });
                    let seen = self.send("POST", "/wp-json/wc/v3/webhooks", body).await;
                    assert_eq!(seen.status, Some(201), "{}", seen.text);
                }
            }
            "shopify" => {
                for topic in ["CUSTOMERS_CREATE", "PRODUCTS_DELETE"] {
                    let seen = self
                        .graphql(&format!(
                            "mutation {{ webhookSubscriptionCreate(topic: {topic}, \
                             webhookSubscription: {{ uri: \"{url}\" }}) \
                             {{ webhookSubscription {{ id }} userErrors {{ message }} }} }}"
                        ))
                        .await;
                    assert!(seen.text.contains("WebhookSubscription/"), "{}", seen.text);
                }
            }
            _ => {
                let body = json!({ "url": url, "models": ["res.partner"] });
                self.office("POST", "webhooks", body).await;
            }
        }
        told
    }

    /// Makes so many, and answers what was told once nothing comes any more.
    async fn told(&self, told: &Told, fault: &str, count: usize) -> Vec<Value> {
        self.faults(json!({ "names": [fault], "late_ms": 1200 })).await;
        for number in 0..count {
            let seen = self.create(&format!("{}{number}@example.com", &fault[9..12])).await;
            assert!(seen.status.is_some_and(|s| s < 300), "{}", seen.text);
        }
        self.quiet().await;
        std::mem::take(&mut *told.lock().unwrap())
    }

    async fn quiet(&self) {
        let begun = Instant::now();
        let mut still = 0;
        while still < 3 && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let page = self.office("GET", "webhooks", Value::Null).await;
            still = if page["pending"] == 0 { still + 1 } else { 0 };
        }
        assert!(still >= 3, "{}: webhooks wait for ever", self.name);
    }
}

fn id(told: &Value) -> u64 {
    told["id"].as_u64().or(told["_id"].as_u64()).unwrap()
}

#[tokio::test]
async fn each_fault_of_a_webhook_is_what_its_name_says() {
    for name in NAMES {
        let delay = [("webhook_delay_ms", "400")];
        let twin = twin(name, 1, &delay[..usize::from(name == "woocommerce")]).await;
        let told = twin.subscribed().await;
        assert_eq!(twin.told(&told, "webhooks_dropped/1", 2).await.len(), 0, "{name}");
        let dropped = twin.office("GET", "webhooks", Value::Null).await["dropped"].clone();
        assert_eq!(dropped, 2, "{name}");
        assert_eq!(twin.told(&told, "webhooks_twice/1", 2).await.len(), 4, "{name}");
        let begun = Instant::now();
        assert_eq!(twin.told(&told, "webhooks_late/1", 1).await.len(), 1, "{name}");
        assert!(begun.elapsed() >= Duration::from_millis(1200), "{name}");
        let ids: Vec<u64> =
            twin.told(&told, "webhooks_reordered/2", 8).await.iter().map(id).collect();
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        assert_eq!(ids.len(), 8, "{name}: each once");
        assert_ne!(ids, sorted, "{name}: out of order");
        let page = twin.faults(json!({ "names": ["subscription_disabled/1"] })).await;
        assert_eq!(page["names"], json!(["subscription_disabled/1"]));
        twin.create("last@example.com").await;
        twin.quiet().await;
        twin.faults(json!({ "names": [] })).await;
        twin.create("after@example.com").await;
        twin.quiet().await;
        assert_eq!(told.lock().unwrap().len(), 0, "{name}: nobody is told any more");
    }
}

#[tokio::test]
async fn a_delete_without_a_word_is_told_by_nothing() {
    for name in ["woocommerce", "shopify"] {
        let twin = twin(name, 1, &[]).await;
        let told = twin.subscribed().await;
        for (names, words) in [(json!(["silent_deletes"]), 0), (json!([]), 1)] {
            let made = match name {
                "woocommerce" => {
                    let body = json!({ "name": "P", "regular_price": "1" });
                    twin.send("POST", "/wp-json/wc/v3/products", body).await.json().unwrap()["id"]
                        .to_string()
                }
                _ => {
                    let query = "mutation { productCreate(product: { title: \"P\" }) \
                                 { product { legacyResourceId } } }";
                    let answer = twin.graphql(query).await.json().unwrap();
                    let id = &answer["data"]["productCreate"]["product"]["legacyResourceId"];
                    id.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
                }
            };
            twin.faults(json!({ "names": names })).await;
            match name {
                "woocommerce" => {
                    let page = format!("products/{made}");
                    twin.send("POST", &format!("/_twin/{page}"), json!({ "status": "trash" }))
                        .await;
                }
                _ => drop(twin.office("POST", &format!("products/{made}/delete"), json!({})).await),
            }
            twin.quiet().await;
            assert_eq!(std::mem::take(&mut *told.lock().unwrap()).len(), words, "{name} {names}");
        }
    }
}

/// What happened to a row of calls: the status, or that the connection broke.
async fn storm(name: &'static str, seed: u64) -> (Vec<Option<u16>>, Value) {
    let twin = twin(name, seed, &[("faults", "storm/12")]).await;
    twin.faults(json!({ "slow_ms": 1, "late_ms": 1 })).await;
    let mut seen = Vec::new();
    for number in 0..60 {
        seen.push(twin.create(&format!("s{number}@example.com")).await.status);
    }
    let struck = twin.office("GET", "faults", Value::Null).await["struck"].clone();
    (seen, struck)
}

#[tokio::test]
async fn the_same_seed_tells_the_same_storm() {
    for name in NAMES {
        let (first, again, other) = tokio::join!(storm(name, 7), storm(name, 7), storm(name, 8));
        assert_eq!(first, again, "{name}");
        assert_ne!(first, other, "{name}: another seed, another storm");
        let kinds = first.1.as_object().unwrap().len();
        assert!(kinds >= 8, "{name}: only {kinds} kinds in 60 calls: {}", first.1);
    }
}

#[tokio::test]
async fn an_unknown_name_is_refused_and_the_known_ones_are_told() {
    for name in NAMES {
        let settings = BTreeMap::from([("faults".to_owned(), "strom".to_owned())]);
        let refused = kilter_twin::start(name, Options { port: None, seed: 1, settings }).await;
        let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains("\"strom\" is none of storm, webhooks, throttled"), "{name}: {said}");
        let twin = twin(name, 1, &[("faults", "throttled,slow/5")]).await;
        let body = json!({ "names": ["strom"] });
        assert_eq!(twin.send("POST", "/_twin/faults", body).await.status, Some(422), "{name}");
        let shown = twin.office("GET", "faults", Value::Null).await;
        assert_eq!(shown["names"], json!(["throttled", "slow/5"]), "{name}: as before");
        assert!(shown["known"].as_array().unwrap().contains(&json!("storm")));
    }
}

/// It tells of no delete on a good day: there is nothing to fall silent.
#[tokio::test]
async fn what_a_platform_has_not_is_refused_and_in_no_storm() {
    let twin = twin("odoo", 1, &[]).await;
    let body = json!({ "names": ["silent_deletes"] });
    assert_eq!(twin.send("POST", "/_twin/faults", body).await.status, Some(422));
    let (_, struck) = storm("odoo", 1).await;
    let shown = twin.office("GET", "faults", Value::Null).await;
    assert!(!shown["known"].as_array().unwrap().contains(&json!("silent_deletes")));
    assert!(struck.get("silent_deletes").is_none(), "{struck}");
}
