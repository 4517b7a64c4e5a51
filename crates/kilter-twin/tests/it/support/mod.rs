//! What the tests of the shop twin share: a client, a webhook listener, the recorded exchanges.
//!
//! Reads   the twin over HTTP, the recorded exchanges where they are present.
//! Writes  nothing.
//! Never   looks into the twin's memory: only its answers count.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use base64::Engine;
use kilter_twin::{Options, Running};
use serde_json::{Value, json};

pub const KEY: &str = "ck_0000000000000000000000000000000000000000";
pub const SECRET: &str = "cs_0000000000000000000000000000000000000000";

pub struct Shop {
    pub twin: Running,
    pub http: reqwest::Client,
    pub key: String,
    pub secret: String,
}

pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub json: Value,
    pub text: String,
}

pub async fn shop(settings: &[(&str, &str)]) -> Shop {
    let mut all: BTreeMap<String, String> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    all.entry("consumer_key".to_owned()).or_insert_with(|| KEY.to_owned());
    all.entry("consumer_secret".to_owned()).or_insert_with(|| SECRET.to_owned());
    let options = Options { port: None, seed: 1, settings: all };
    let twin = kilter_twin::start("woocommerce", options).await.expect("the twin starts");
    let http = reqwest::Client::new();
    Shop { twin, http, key: KEY.to_owned(), secret: SECRET.to_owned() }
}

impl Shop {
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        headers: &[(&str, String)],
    ) -> Answer {
        let url = format!("{}{path}", self.twin.url());
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.http.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.expect("the twin answers");
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())
            })
            .collect();
        let text = answer.text().await.expect("a body");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, json, text }
    }

    pub fn basic(&self) -> String {
        let pair = format!("{}:{}", self.key, self.secret);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }

    /// A call to `/wp-json/wc/v3`.
    pub async fn api(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let path = format!("/wp-json/wc/v3{path}");
        let mut headers = vec![("Authorization", self.basic())];
        if body.is_some() {
            headers.push(("Content-Type", "application/json".to_owned()));
        }
        self.send(method, &path, body.map(|b| b.to_string()), &headers).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.api("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.api("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.api("PUT", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.api("DELETE", path, None).await
    }

    /// The back office.
    pub async fn office(&self, path: &str) -> Value {
        self.send("GET", &format!("/_twin/{path}"), None, &[]).await.json
    }

    pub async fn act(&self, path: &str, body: Value) -> Value {
        let answer =
            self.send("POST", &format!("/_twin/{path}"), Some(body.to_string()), &[]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json
    }

    /// Waits until no webhook is waiting.
    pub async fn settled(&self) -> Value {
        for _ in 0..300 {
            let state = self.office("webhooks").await;
            if state["pending"] == json!(0) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("webhooks stay pending");
    }
}

/// One request a listener received.
#[derive(Debug, Clone)]
pub struct Heard {
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Heard {
    pub fn topic(&self) -> &str {
        self.headers.get("x-wc-webhook-topic").map_or("", String::as_str)
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
    pub fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().expect("a lock"))
    }
}

/// Answers 200, or N on `/status/N`; on `/slow` after a second.
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
    let headers = headers
        .iter()
        .map(|(n, v)| (n.as_str().to_owned(), v.to_str().unwrap_or_default().to_owned()))
        .collect();
    let path = uri.path();
    if path == "/slow" {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    heard.lock().expect("a lock").push(Heard { headers, body });
    let status = path.strip_prefix("/status/").and_then(|code| code.parse().ok()).unwrap_or(200);
    StatusCode::from_u16(status).unwrap_or(StatusCode::OK)
}

/// Where the recorded exchanges are; `None` where they are not.
pub fn samples() -> Option<PathBuf> {
    let shared = std::env::var_os("KILTER_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let folder = shared.join("samples/woocommerce");
    folder.is_dir().then_some(folder)
}

/// Differences of keys and JSON types between what was recorded and what came.
pub fn differences(recorded: &Value, came: &Value, path: &str, out: &mut Vec<String>) {
    match (recorded, came) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().filter(|key| !b.contains_key(*key)) {
                out.push(format!("{path}.{key} is missing"));
            }
            for key in b.keys().filter(|key| !a.contains_key(*key)) {
                out.push(format!("{path}.{key} is not in the recording"));
            }
            for (key, value) in a {
                if let Some(other) = b.get(key) {
                    differences(value, other, &format!("{path}.{key}"), out);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for (at, (one, other)) in a.iter().zip(b).enumerate() {
                differences(one, other, &format!("{path}[{at}]"), out);
            }
        }
        (a, b) if kind(a) != kind(b) => {
            out.push(format!("{path} comes as {}, recorded as {}", kind(b), kind(a)));
        }
        _ => {}
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a flag",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
