//! The twin's HTTP face: JSON-2, `/web/version`, and the back office under `/_twin/`.
//!
//! Reads   requests.
//! Writes  answers with the platform's statuses; counts calls; applies the faults asked for.
//! Never   asks for a key under `/_twin/`: that is no part of the platform.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::{Answer, Fault};
use super::methods::{self, Call};
use super::read::Ctx;
use super::store::Db;
use super::value::{self, Map};
use super::webhooks::{self, Counts, Registration};
use super::{Settings, office, world};
use crate::edge::Edge;

/// A seed of ten thousand variants is a few megabytes.
const BODY_MAX: usize = 256 * 1024 * 1024;
/// `load` takes this long at least, so that two of them can overlap.
const LOAD_MS: u64 = 5;

#[derive(Debug, Default, Clone, Serialize)]
pub struct Calls {
    pub total: u64,
    pub reads: u64,
    pub writes: u64,
    pub errors: u64,
    /// Records that were answered or written.
    pub items: u64,
    pub by_method: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Apply {
    /// The fault comes before anything is done.
    #[default]
    Before,
    /// The work is done, and then the fault answers in its place.
    After,
    /// As `before`: nothing is ever done.
    None,
}

/// The next `fail_next` calls end in `status` (0: the connection closes without an answer); the second and
/// later ones as `then` says, each with its own `status` and `apply`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Faults {
    fail_next: u64,
    status: u16,
    then: VecDeque<(u16, Apply)>,
    body: Value,
    apply: Apply,
    /// Only calls whose `model/method` contains this.
    #[serde(rename = "match")]
    matching: String,
    /// Waits this long first, so that a client's own timeout strikes.
    delay_ms: u64,
}

#[derive(Debug, Default)]
pub struct World {
    pub db: Db,
    pub calls: Calls,
    faults: Faults,
    pub registrations: Vec<Registration>,
    pub webhook_counts: Counts,
}

#[derive(Debug)]
pub struct Twin {
    settings: Settings,
    world: Mutex<World>,
    stopped: AtomicBool,
    /// The faults that come by name.
    pub edge: Arc<Edge>,
    pub client: reqwest::Client,
}

/// When the twin is dropped, connections that are still open get no answer any more.
pub struct StopOnDrop(pub Arc<Twin>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::SeqCst);
    }
}

impl Twin {
    pub fn new(settings: Settings, edge: Arc<Edge>) -> Self {
        let mut state = World::default();
        state.db.begin(value::now(), 0);
        world::found(&mut state.db, &settings.currency, &settings.database_uuid);
        state.db.commit();
        if !settings.webhook_url.is_empty() {
            state.registrations.push(Registration {
                url: settings.webhook_url.clone(),
                models: settings.webhook_models.split(',').map(|m| m.trim().to_owned()).collect(),
                fields: Vec::new(),
            });
        }
        Self {
            settings,
            world: Mutex::new(state),
            stopped: AtomicBool::new(false),
            edge,
            client: reqwest::Client::new(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn router(twin: Arc<Twin>) -> Router {
    Router::new()
        .route("/web/version", get(version))
        .route("/json/2/{model}/{method}", any(json2))
        .route("/_twin/{*path}", any(back_office))
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(axum::middleware::from_fn_with_state(twin.edge.clone(), crate::edge::pass))
        .with_state(twin)
}

fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (status, kind, body.to_string()).into_response()
}

async fn not_found() -> Response {
    let fault = Fault::not_found("Did you mean POST /json/2/<model>/<method>?");
    answer(404, &fault.body())
}

async fn version() -> Response {
    answer(200, &json!({"version_info": [19, 0, 0, "final", 0, ""], "version": "19.0"}))
}

/// Ends the connection without an answer: unwinding drops it, and says nothing on stderr.
fn hang_up() -> ! {
    std::panic::resume_unwind(Box::new("the twin closed the connection"))
}

async fn json2(
    State(twin): State<Arc<Twin>>,
    Path((model, method)): Path<(String, String)>,
    verb: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if twin.stopped.load(Ordering::SeqCst) {
        hang_up();
    }
    if verb != Method::POST {
        return answer(405, &Fault::bad_request("Method Not Allowed").body());
    }
    // The transaction begins before the wait: what it writes is dated back that far.
    let (now, started) = (value::now(), twin.lock().db.serial);
    let fault = draw_fault(&twin, &format!("{model}/{method}"));
    let floor = if method == "load" { LOAD_MS } else { 0 };
    let wait = twin.settings.latency_ms.max(floor) + fault.as_ref().map_or(0, |f| f.delay_ms);
    if wait > 0 {
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    if twin.stopped.load(Ordering::SeqCst) {
        hang_up();
    }
    if let Some(fault) = fault.as_ref().filter(|fault| fault.apply != Apply::After) {
        twin.lock().calls.total += 1;
        return strike(fault);
    }
    let result = request(&twin, &model, &method, &headers, &body, (now, started));
    match (fault, result) {
        (Some(fault), _) => strike(&fault),
        (None, Ok(value)) => answer(200, &value),
        (None, Err(fault)) => answer(fault.status, &fault.body()),
    }
}

fn draw_fault(twin: &Twin, called: &str) -> Option<Faults> {
    let mut world = twin.lock();
    let faults = &mut world.faults;
    if faults.fail_next == 0 || !called.contains(&faults.matching) {
        return None;
    }
    faults.fail_next -= 1;
    let fault = faults.clone();
    (faults.status, faults.apply) = faults.then.pop_front().unwrap_or((fault.status, fault.apply));
    Some(fault)
}

fn strike(fault: &Faults) -> Response {
    if fault.status == 0 {
        hang_up();
    }
    let body = match &fault.body {
        Value::Null => {
            json!({"name": "builtins.Exception", "message": "a fault that was asked for",
                              "arguments": [], "context": {}, "debug": ""})
        }
        body => body.clone(),
    };
    answer(fault.status, &body)
}

fn authorized(twin: &Twin, headers: &HeaderMap) -> bool {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let split = sent.and_then(|value| value.split_once(' '));
    split.is_some_and(|(scheme, key)| {
        scheme.eq_ignore_ascii_case("bearer") && key.trim() == twin.settings.api_key
    })
}

fn parse(body: &[u8]) -> Answer<(Vec<i64>, Ctx, Map)> {
    let parsed: Value = match body.is_empty() {
        true => json!({}),
        false => {
            serde_json::from_slice(body).map_err(|_| Fault::bad_request("Invalid JSON data"))?
        }
    };
    let Value::Object(mut args) = parsed else {
        return Err(Fault::bad_request("Invalid JSON data"));
    };
    let ids = args.remove("ids").map_or(Vec::new(), |ids| value::ids_of(&ids));
    let ctx = match args.remove("context") {
        Some(Value::Object(ctx)) => Ctx(ctx),
        _ => Ctx::default(),
    };
    Ok((ids, ctx, args))
}

fn request(
    twin: &Arc<Twin>,
    model: &str,
    method: &str,
    headers: &HeaderMap,
    body: &[u8],
    (now, started): (String, u64),
) -> Answer<Value> {
    let mut guard = twin.lock();
    let state = &mut *guard;
    state.calls.total += 1;
    if !authorized(twin, headers) {
        state.calls.errors += 1;
        return Err(Fault::unauthorized());
    }
    match methods::is_read(method) {
        true => state.calls.reads += 1,
        false => state.calls.writes += 1,
    }
    *state.calls.by_method.entry(format!("{model}/{method}")).or_default() += 1;
    let (ids, ctx, args) = parse(body)?;
    let call = Call { model, method, ids, ctx, args };
    let items = items_sent(&call);
    state.db.begin(now, started);
    let result = methods::run(&mut state.db, &call);
    let touched = state.db.commit();
    match &result {
        Ok(value) => state.calls.items += items.max(items_answered(value)),
        Err(_) => state.calls.errors += 1,
    }
    let posts = webhooks::posts(&state.db, &state.registrations, &touched);
    drop(guard);
    webhooks::send(twin, posts);
    result
}

fn items_sent(call: &Call) -> u64 {
    let list = ["vals_list", "data"].iter().find_map(|key| call.args.get(*key)?.as_array());
    list.map_or(call.ids.len(), Vec::len) as u64
}

fn items_answered(answer: &Value) -> u64 {
    let list = answer.get("records").unwrap_or(answer).as_array();
    list.map_or(0, |list| list.len() as u64)
}

async fn back_office(
    State(twin): State<Arc<Twin>>,
    Path(path): Path<String>,
    verb: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    if twin.stopped.load(Ordering::SeqCst) {
        hang_up();
    }
    let parsed = match body.is_empty() {
        true => Ok(Value::Null),
        false => serde_json::from_slice(&body),
    };
    let outcome = match parsed {
        Ok(body) => serve_office(&twin, &verb, &path, uri.query().unwrap_or(""), body),
        Err(error) => Err(format!("the body is no JSON: {error}")),
    };
    match outcome {
        Ok(Some(value)) => answer(200, &value),
        Ok(None) => answer(404, &json!({"error": format!("no such page: {verb} /_twin/{path}")})),
        Err(error) => answer(422, &json!({"error": error})),
    }
}

fn show_faults(twin: &Twin, state: &World) -> Value {
    let mut shown = twin.edge.schedule().show();
    shown.extend(json!(state.faults).as_object().cloned().unwrap_or_default());
    Value::Object(shown)
}

fn serve_office(
    twin: &Arc<Twin>,
    verb: &Method,
    path: &str,
    query: &str,
    body: Value,
) -> Result<Option<Value>, String> {
    let mut guard = twin.lock();
    let state = &mut *guard;
    let read = *verb == Method::GET;
    let answer = match (read, path) {
        (true, "calls") => json!(state.calls),
        (true, "webhooks") => json!({
            "registrations": state.registrations, "sent": state.webhook_counts.sent,
            "acknowledged": state.webhook_counts.acknowledged, "failed": state.webhook_counts.failed,
            "pending": state.webhook_counts.pending, "dropped": state.webhook_counts.dropped,
        }),
        (true, "faults") => show_faults(twin, state),
        (true, page) => return Ok(office::page(&state.db, page, query)),
        (false, "calls/reset") => {
            state.calls = Calls::default();
            json!(true)
        }
        (false, "faults") => {
            let mut own = body.as_object().cloned().unwrap_or_default();
            if !twin.edge.schedule().set(&mut own).map_err(|error| error.to_string())? {
                own.remove("reset");
                let own = serde_json::from_value(Value::Object(own));
                state.faults = own.map_err(|error| error.to_string())?;
            }
            show_faults(twin, state)
        }
        (false, "webhooks") => {
            let registration: Registration =
                serde_json::from_value(body).map_err(|error| error.to_string())?;
            state.registrations.retain(|other| other.url != registration.url);
            if !registration.models.is_empty() {
                state.registrations.push(registration);
            }
            json!({"registrations": state.registrations})
        }
        (false, page) => {
            let last = state.db.serial;
            state.db.begin(value::now(), last);
            let savepoint = state.db.savepoint();
            let result = office::act(&mut state.db, page, body);
            if result.is_err() {
                state.db.depth = 0;
                state.db.roll_back(savepoint);
            }
            let touched = state.db.commit();
            let answer = result?;
            // A seed is the past: nobody hears of it.
            let quiet = page == "seed";
            let posts = match quiet {
                true => Vec::new(),
                false => webhooks::posts(&state.db, &state.registrations, &touched),
            };
            drop(guard);
            webhooks::send(twin, posts);
            return Ok(answer);
        }
    };
    Ok(Some(answer))
}
