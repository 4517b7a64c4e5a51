//! What stands between Kilter and a twin: it holds answers back, and knows what is on its way.
//!
//! Reads   requests.   Writes  what it was asked.   Never  loses what it was sent: it is done, even if
//!         who sent it is dead by now.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

/// What stands between Kilter and one twin.
#[derive(Default)]
pub struct Relay {
    target: String,
    http: reqwest::Client,
    /// Requests that came and were not answered yet: all, writes, creates of orders.
    pub flying: AtomicU64,
    pub writes: AtomicU64,
    pub creates: AtomicU64,
    /// What was asked for, with its query.
    pub seen: Mutex<Vec<String>>,
    /// What holds this text is answered only after so many milliseconds.
    pub slow: Mutex<Option<(String, u64)>>,
    /// In answers, this text stands for that one.
    pub reworded: Mutex<Option<(String, String)>>,
    /// Answers that hold this text, and how many there were.
    pub heard: Mutex<Option<(String, u64)>>,
    /// A read of several by their ids fails where this one is among them.
    pub spoilt: Mutex<Option<String>>,
}

impl Relay {
    fn spoils(&self, path: &str) -> bool {
        let spoilt = self.spoilt.lock().unwrap();
        let (Some(id), Some((_, ids))) = (spoilt.as_ref(), path.split_once("include=")) else {
            return false;
        };
        let ids = ids.split('&').next().unwrap_or_default().replace("%2C", ",");
        ids.split(',').any(|other| other == id)
    }
}

/// Counts one request while it is on its way, also where the client dies.
struct Flight(Arc<Relay>, bool, bool);

impl Flight {
    fn begin(relay: &Arc<Relay>, write: bool, create: bool) -> Self {
        relay.flying.fetch_add(1, Ordering::SeqCst);
        relay.writes.fetch_add(u64::from(write), Ordering::SeqCst);
        relay.creates.fetch_add(u64::from(create), Ordering::SeqCst);
        Self(Arc::clone(relay), write, create)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.flying.fetch_sub(1, Ordering::SeqCst);
        self.0.writes.fetch_sub(u64::from(self.1), Ordering::SeqCst);
        self.0.creates.fetch_sub(u64::from(self.2), Ordering::SeqCst);
    }
}

pub async fn relay(target: String) -> (Arc<Relay>, String) {
    let relay = Arc::new(Relay { target, ..Relay::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(pass).with_state(Arc::clone(&relay));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (relay, url)
}

async fn pass(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let reads = ["search", "read", "_get", "version"];
    let write = head.method != Method::GET && !reads.iter().any(|r| path.contains(r));
    let create = path.contains("sale.order/load") || path.contains("account.move/load");
    let flight = Flight::begin(&relay, write, create);
    relay.seen.lock().unwrap().push(path.clone());
    if relay.spoils(&path) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let slow = relay.slow.lock().unwrap().clone().filter(|(text, _)| path.contains(text.as_str()));
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    // What was sent is done, even if who sent it is dead by now.
    let sent = tokio::spawn(forward(Arc::clone(&relay), head, path, body));
    let answer = sent.await.unwrap();
    let wait = slow.map_or(if write { 25 } else { 3 }, |(_, wait)| wait);
    tokio::time::sleep(Duration::from_millis(wait)).await;
    drop(flight);
    answer
}

async fn forward(
    relay: Arc<Relay>,
    head: axum::http::request::Parts,
    path: String,
    body: Bytes,
) -> Response {
    let url = format!("{}{path}", relay.target);
    let mut request = relay.http.request(head.method, url).body(body);
    for (name, value) in &head.headers {
        if !["host", "content-length", "connection"].contains(&name.as_str()) {
            request = request.header(name, value);
        }
    }
    let Ok(answer) = request.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut told = answer.bytes().await.unwrap_or_default();
    if let Some((from, to)) = relay.reworded.lock().unwrap().as_ref() {
        told = String::from_utf8_lossy(&told).replace(from, to).into();
    }
    if let Some((text, times)) = relay.heard.lock().unwrap().as_mut() {
        *times += u64::from(String::from_utf8_lossy(&told).contains(text.as_str()));
    }
    let mut out = (status, told).into_response();
    let own = ["content-length", "transfer-encoding", "connection", "date"];
    for (name, value) in headers.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        out.headers_mut().insert(name, value.clone());
    }
    out
}
