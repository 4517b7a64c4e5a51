//! A client, a webhook listener, and the vendor's folder.
//!
//! Reads   the twin's answers.
//! Writes  nothing.
//! Never   retries: a test says what it expects the first time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use kilter_twin::{Options, Running};
use serde_json::{Value, json};

pub const TOKEN: &str = "shpat_twin";
pub const VERSION: &str = "2026-10";

pub struct Shop {
    pub twin: Running,
    pub http: reqwest::Client,
}

/// A shop whose index does not lag and whose jobs are quick, unless a test says otherwise.
pub async fn shop(settings: &[(&str, &str)]) -> Shop {
    let mut all: BTreeMap<String, String> = [
        ("search_lag_seconds", "0"),
        ("job_seconds", "0"),
        ("webhook_delay_ms", "0"),
        ("locations", "main, outlet"),
    ]
    .iter()
    .chain(settings)
    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
    .collect();
    all.retain(|_, v| v != "-");
    let options = Options { port: None, seed: 7, settings: all };
    let twin = kilter_twin::start("shopify", options).await.expect("the twin starts");
    Shop { twin, http: reqwest::Client::new() }
}

impl Shop {
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> (u16, BTreeMap<String, String>, Value) {
        let mut request = self.http.post(format!("{}{path}", self.twin.url())).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("the twin answers");
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(n, v)| (n.to_string(), v.to_str().unwrap_or("").to_owned()))
            .collect();
        let text = answer.text().await.expect("a body");
        (status, headers, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// The whole reply of a query.
    pub async fn raw(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let headers = [("X-Shopify-Access-Token", TOKEN), ("Content-Type", "application/json")];
        let path = format!("/admin/api/{VERSION}/graphql.json");
        let (status, _, reply) = self.post(&path, &headers, body).await;
        assert_eq!(status, 200);
        reply
    }

    /// The data of a query that goes well.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let reply = self.raw(query, variables).await;
        assert!(reply.get("errors").is_none(), "{reply}");
        reply["data"].clone()
    }

    /// A mutation's payload.
    pub async fn run(&self, mutation: &str, variables: Value) -> Value {
        let data = self.ask(mutation, variables).await;
        data.as_object().and_then(|map| map.values().next().cloned()).expect("a payload")
    }

    pub async fn office(&self, path: &str) -> Value {
        let url = format!("{}/_twin/{path}", self.twin.url());
        let text = self.http.get(url).send().await.expect("an answer").text().await.expect("text");
        serde_json::from_str(&text).expect("JSON")
    }

    pub async fn act(&self, path: &str, body: Value) -> Value {
        let (status, _, value) = self.post(&format!("/_twin/{path}"), &[], body.to_string()).await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// A product with these (sku, price, available at main).
    pub async fn product(&self, title: &str, variants: &[(&str, &str, i64)]) -> Value {
        let main = self.location("main").await;
        let values: Vec<Value> = variants.iter().map(|(sku, ..)| json!({ "name": sku })).collect();
        let rows: Vec<Value> = variants
            .iter()
            .map(|(sku, price, stock)| {
                json!({
                    "sku": sku, "price": price, "inventoryItem": { "tracked": true },
                    "optionValues": [{ "optionName": "Kind", "name": sku }],
                    "inventoryQuantities":
                        [{ "locationId": main, "name": "available", "quantity": stock }],
                })
            })
            .collect();
        let input = json!({
            "title": title, "variants": rows, "productOptions": [{ "name": "Kind", "values": values }],
        });
        let done = self.run(SET, json!({ "input": input })).await;
        assert_eq!(done["userErrors"], json!([]), "{done}");
        done["product"].clone()
    }

    pub async fn location(&self, name: &str) -> String {
        let data = self.ask("{ locations(first: 10) { nodes { id name } } }", json!({})).await;
        let nodes = data["locations"]["nodes"].as_array().cloned().unwrap_or_default();
        let own = nodes.iter().find(|n| n["name"] == name).expect("the location");
        own["id"].as_str().expect("an id").to_owned()
    }

    pub async fn settled(&self) -> Value {
        for _ in 0..400 {
            let state = self.office("webhooks").await;
            if state["pending"] == json!(0) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        panic!("webhooks stay pending: {}", self.office("webhooks").await);
    }

    pub async fn subscribe(&self, topic: &str, url: &str) -> Value {
        let mutation = "mutation($t: WebhookSubscriptionTopic!, $u: String!) {
            webhookSubscriptionCreate(topic: $t, webhookSubscription: { uri: $u, format: JSON }) {
                webhookSubscription { id topic uri } userErrors { field message } } }";
        self.run(mutation, json!({ "t": topic, "u": url })).await
    }
}

pub const SET: &str =
    "mutation($input: ProductSetInput!, $by: ProductSetIdentifiers, $now: Boolean) {
    productSet(input: $input, identifier: $by, synchronous: $now) {
        product { id handle title status tags
            options { name values }
            variants(first: 250) { nodes { id sku price title position
                inventoryQuantity inventoryItem { id tracked } } } }
        productSetOperation { id status }
        userErrors { field message code } } }";

#[derive(Debug, Clone)]
pub struct Heard {
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Heard {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

pub struct Listener {
    pub url: String,
    pub heard: Arc<Mutex<Vec<Heard>>>,
}

impl Listener {
    pub fn of(&self, topic: &str) -> Vec<Heard> {
        let all = self.heard.lock().expect("a lock");
        all.iter().filter(|h| h.header("x-shopify-topic") == topic).cloned().collect()
    }
}

/// Answers 200, or N on `/status/N`.
pub async fn listener() -> Listener {
    let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
    let app = axum::Router::new().fallback(hear).with_state(heard.clone());
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    tokio::spawn(async move {
        let _ = axum::serve(socket, app).await;
    });
    Listener { url, heard }
}

async fn hear(
    State(heard): State<Arc<Mutex<Vec<Heard>>>>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let headers =
        headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap_or("").to_owned())).collect();
    heard.lock().expect("a lock").push(Heard { headers, body });
    let status = uri.path().strip_prefix("/status/").and_then(|code| code.parse().ok());
    StatusCode::from_u16(status.unwrap_or(200)).unwrap_or(StatusCode::OK)
}

/// The vendor's folder; `None`, and a word about it, where it is not there.
pub fn vendor() -> Option<PathBuf> {
    let shared = std::env::var_os("KILTER_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let folder = shared.join("schemas/shopify");
    if !folder.is_dir() {
        println!("skipped: the vendor's schemas are not at {}", folder.display());
        return None;
    }
    Some(folder)
}
