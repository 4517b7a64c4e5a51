//! What stands between: a relay before each twin, which loses, delays and refuses calls, and one
//! before Kilter's door, which doubles webhooks, lets them come late and in another order.
//!
//! Reads   what passes.   Writes  what was told to Kilter, and when; how many writes went by.
//! Never   changes a body, but by cutting it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// What may happen to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends before anything was done, or after it.
    ResetBefore,
    ResetAfter,
    /// 500, and the work was done; 503, and it was not.
    BrokenAfter,
    Away,
    /// 429: without a word, with seconds, with a date, with nonsense.
    Throttled(u8),
    /// The connection ends now, and the work is done a moment later.
    Late,
    Slow,
    /// Half of a body; a page of HTML with status 200. The work was done.
    Truncated,
    Html,
}

pub const FAULTS: [Fault; 12] = [
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::BrokenAfter,
    Fault::Away,
    Fault::Throttled(0),
    Fault::Throttled(1),
    Fault::Throttled(2),
    Fault::Throttled(3),
    Fault::Late,
    Fault::Slow,
    Fault::Truncated,
    Fault::Html,
];

/// A sale is noted when its answer is there: it was made a little before.
const ANSWERED: Duration = Duration::from_millis(100);
/// How old a read may be that a write is based on.
const BASED_ON: Duration = Duration::from_millis(500);
/// What is shown of the calls about a sale.
const AROUND: Duration = Duration::from_secs(3);
const LATE: Duration = Duration::from_millis(700);
const SLOW: Duration = Duration::from_millis(900);

/// Stands before one twin.
#[derive(Default)]
pub struct Relay {
    target: String,
    http: reqwest::Client,
    /// What strikes the next calls; true: only writes.
    faults: Mutex<VecDeque<(Fault, bool)>>,
    /// Faults that struck.
    pub struck: AtomicU64,
    pub writes: AtomicU64,
    /// Each listing waits as long.
    pub slow_lists: Mutex<Duration>,
    /// Method, path, status and time of each call.
    pub log: Mutex<Vec<(String, u16, Instant)>>,
    /// What of a product's figure was read or written: id, a write?, from when to when.
    pub touched: Mutex<Vec<(u64, bool, Instant, Instant)>>,
    /// Order id → when Kilter was first told of it.
    pub told: Mutex<BTreeMap<u64, Instant>>,
}

impl Relay {
    pub async fn start(target: String) -> (Arc<Self>, String) {
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let relay = Arc::new(Self { target, http, ..Self::default() });
        let url = listen(axum::Router::new().fallback(pass).with_state(Arc::clone(&relay))).await;
        (relay, url)
    }

    pub fn strike(&self, fault: Fault, times: usize, writes_only: bool) {
        let mut faults = self.faults.lock().unwrap();
        faults.extend(std::iter::repeat_n((fault, writes_only), times));
    }

    pub fn calm(&self) {
        self.faults.lock().unwrap().clear();
    }

    fn draw(&self, write: bool) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let at = faults.iter().position(|(_, writes_only)| write || !writes_only)?;
        let (fault, _) = faults.remove(at)?;
        self.struck.fetch_add(1, Ordering::SeqCst);
        Some(fault)
    }

    /// Notes whose figures were read or written by a call that began then.
    fn note_figures(&self, write: bool, begun: Instant, sent: &[u8], answered: &[u8]) {
        let body = serde_json::from_slice::<Value>(if write { sent } else { answered });
        let Ok(body) = body else { return };
        let rows = if write { &body["update"] } else { &body };
        let rows = rows.as_array().into_iter().flatten();
        let mut touched = self.touched.lock().unwrap();
        for row in rows.filter(|row| row.get("stock_quantity").is_some()) {
            touched.extend(row["id"].as_u64().map(|id| (id, write, begun, Instant::now())));
        }
    }

    /// Was a figure written over a sale that was made after what the write was based on had been asked,
    /// and before the write was done? The platform has no compare-and-set: nobody could have seen
    /// it. A write is based on the last read that was answered before it left, and shortly before;
    /// what was answered while it was on its way came too late for it.
    pub fn hidden(&self, product: u64, at: Instant) -> bool {
        let touched = self.touched.lock().unwrap();
        let mine = || touched.iter().filter(|(id, ..)| *id == product);
        let based_on = |left: Instant| {
            let fresh = |ended: Instant| ended <= left && left <= ended + BASED_ON;
            let reads = mine().filter(|(_, write, _, ended)| !write && fresh(*ended));
            reads.map(|(_, _, begun, _)| *begun).max()
        };
        mine().filter(|(_, write, ..)| *write).any(|(_, _, left, ended)| {
            at <= *ended + ANSWERED && based_on(*left).is_some_and(|asked| asked <= at)
        })
    }

    /// What was read and written of a figure around a moment, to be shown.
    pub fn around(&self, product: u64, at: Instant) -> Vec<String> {
        let from = |t: Instant| {
            let before = at.checked_duration_since(t).map(|d| format!("-{}", d.as_millis()));
            before.unwrap_or_else(|| format!("+{}", (t - at).as_millis()))
        };
        let touched = self.touched.lock().unwrap();
        let near = touched.iter().filter(|(id, _, begun, ended)| {
            *id == product && *begun <= at + AROUND && *ended + AROUND >= at
        });
        near.map(|(_, write, begun, ended)| {
            format!("{} {}..{}", if *write { "write" } else { "read" }, from(*begun), from(*ended))
        })
        .collect()
    }

    /// Notes the orders that an answer or a webhook told of.
    pub fn note_orders(&self, body: &[u8]) {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
        let rows = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        let now = Instant::now();
        let mut told = self.told.lock().unwrap();
        for id in rows.iter().filter_map(|row| row["id"].as_u64()) {
            told.entry(id).or_insert(now);
        }
    }
}

async fn listen(app: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// Ends the connection without an answer, and says nothing on standard error.
fn hang_up() -> ! {
    std::panic::resume_unwind(Box::new("the relay closed the connection"))
}

/// Is this call one that changes something?
fn writes(head: &Parts, body: &[u8]) -> bool {
    let reads = ["search", "read", "_get", "version"];
    let path = head.uri.path();
    if path.ends_with("graphql.json") {
        return String::from_utf8_lossy(body).contains("mutation");
    }
    head.method != Method::GET && !reads.iter().any(|part| path.contains(part))
}

async fn pass(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let write = writes(&head, &body);
    relay.writes.fetch_add(u64::from(write), Ordering::SeqCst);
    let fault = relay.draw(write);
    let refusal = match fault {
        Some(Fault::ResetBefore) => hang_up(),
        Some(Fault::Away) => Some(StatusCode::SERVICE_UNAVAILABLE.into_response()),
        Some(Fault::Throttled(how)) => Some(throttled(how)),
        _ => None,
    };
    if let Some(refusal) = refusal {
        return refusal;
    }
    let path = head.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let list = !write && (path.contains("page=") || path.contains("graphql"));
    let wait = if list { *relay.slow_lists.lock().unwrap() } else { Duration::ZERO };
    tokio::time::sleep(wait).await;
    let (method, begun, asked) = (head.method.clone(), Instant::now(), body.clone());
    // What was sent is done, even if who sent it is gone by now.
    let sent = tokio::spawn({
        let (relay, path) = (Arc::clone(&relay), path.clone());
        async move {
            if fault == Some(Fault::Late) {
                tokio::time::sleep(LATE).await;
            }
            forward(&relay.http, &format!("{}{path}", relay.target), head, body).await
        }
    });
    if fault == Some(Fault::Late) {
        hang_up();
    }
    let (status, kind, body) = sent.await.unwrap();
    relay.note_figures(write, begun, &asked, &body);
    relay.log.lock().unwrap().push((format!("{method} {path}"), status.as_u16(), Instant::now()));
    match fault {
        Some(Fault::ResetAfter) => hang_up(),
        Some(Fault::BrokenAfter) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::Slow) => tokio::time::sleep(SLOW).await,
        Some(Fault::Truncated) => return answer(status, kind, body.slice(..body.len() / 2)),
        Some(Fault::Html) => {
            let page = Bytes::from_static(b"<html><body>Please log in</body></html>");
            return answer(StatusCode::OK, Some("text/html".to_owned()), page);
        }
        _ => {}
    }
    if method == Method::GET && path.contains("/orders?") {
        relay.note_orders(&body);
    }
    answer(status, kind, body)
}

fn answer(status: StatusCode, kind: Option<String>, body: Bytes) -> Response {
    let kind = kind.unwrap_or_else(|| "application/json".to_owned());
    (status, [("content-type", kind)], body).into_response()
}

fn throttled(how: u8) -> Response {
    let busy = StatusCode::TOO_MANY_REQUESTS;
    match how {
        0 => busy.into_response(),
        1 => (busy, [("retry-after", "1")]).into_response(),
        2 => {
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1);
            let at = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            (busy, [("retry-after", at)]).into_response()
        }
        _ => (busy, [("retry-after", "soon")]).into_response(),
    }
}

/// Status, type and body of the answer; 502 where nobody answers.
async fn forward(
    http: &reqwest::Client,
    url: &str,
    head: Parts,
    body: Bytes,
) -> (StatusCode, Option<String>, Bytes) {
    let mut request = http.request(head.method, url).body(body);
    for (name, value) in &head.headers {
        if !["host", "content-length", "connection"].contains(&name.as_str()) {
            request = request.header(name, value);
        }
    }
    let Ok(answer) = request.send().await else {
        return (StatusCode::BAD_GATEWAY, None, Bytes::new());
    };
    let kind = answer.headers().get("content-type").and_then(|v| v.to_str().ok());
    let (status, kind) = (answer.status(), kind.map(str::to_owned));
    (status, kind, answer.bytes().await.unwrap_or_default())
}

/// What becomes of the webhooks that come to Kilter's door. Losing them is the twins' affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weather {
    #[default]
    Clear,
    /// Each comes twice, the second time later.
    Twice,
    /// Each comes after this many milliseconds; the shop waits with the next one.
    Late(u64),
    /// Some are kept back, and come last first.
    Reversed,
}

/// Stands before Kilter's door.
pub struct Door {
    target: String,
    http: reqwest::Client,
    pub weather: Mutex<Weather>,
    kept: Mutex<Vec<(String, Parts, Bytes)>>,
    /// Connection → the relay before it.
    shops: BTreeMap<&'static str, Arc<Relay>>,
    pub passed: AtomicU64,
}

/// As many are kept back, and as long at most.
const KEPT: usize = 4;
const KEPT_FOR: Duration = Duration::from_millis(900);
const AGAIN: Duration = Duration::from_millis(300);

impl Door {
    pub async fn start(
        port: u16,
        shops: BTreeMap<&'static str, Arc<Relay>>,
    ) -> (Arc<Self>, String) {
        let door = Arc::new(Self {
            target: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap(),
            weather: Mutex::default(),
            kept: Mutex::default(),
            shops,
            passed: AtomicU64::new(0),
        });
        let url = listen(axum::Router::new().fallback(knock).with_state(Arc::clone(&door))).await;
        (door, url)
    }

    async fn let_in(&self, path: &str, head: Parts, body: Bytes) -> Response {
        self.passed.fetch_add(1, Ordering::SeqCst);
        let order = head.headers.get("x-wc-webhook-resource").is_some_and(|r| r == "order");
        let url = format!("{}{path}", self.target);
        let (status, kind, answered) = forward(&self.http, &url, head, body.clone()).await;
        let shop = self.shops.get(path.rsplit('/').next().unwrap_or_default());
        if let (true, true, Some(shop)) = (order, status.is_success(), shop) {
            shop.note_orders(&body);
        }
        answer(status, kind, answered)
    }

    async fn release(&self) {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap());
        for (path, head, body) in kept.into_iter().rev() {
            self.let_in(&path, head, body).await;
        }
    }
}

async fn knock(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let weather = *door.weather.lock().unwrap();
    match weather {
        Weather::Clear => {}
        Weather::Late(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Weather::Twice => {
            let (door, path) = (Arc::clone(&door), path.clone());
            let (head, body) = (head.clone(), body.clone());
            tokio::spawn(async move {
                tokio::time::sleep(AGAIN).await;
                door.let_in(&path, head, body).await;
            });
        }
        Weather::Reversed => {
            let full = {
                let mut kept = door.kept.lock().unwrap();
                kept.push((path, head, body));
                kept.len() >= KEPT
            };
            let door = Arc::clone(&door);
            tokio::spawn(async move {
                tokio::time::sleep(if full { Duration::ZERO } else { KEPT_FOR }).await;
                door.release().await;
            });
            return StatusCode::ACCEPTED.into_response();
        }
    }
    door.let_in(&path, head, body).await
}
