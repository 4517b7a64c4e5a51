//! Webhooks: the raw bytes verified, appended with whatever came beside them, then answered 202.
//!
//! Reads   a request's raw body, headers, the connection's secret.
//! Writes  one change for each, many in one commit.
//! Never   parses before the signature holds, nor acknowledges before the change is durable.
//!
//! | comes                          | is answered                            |
//! |--------------------------------|----------------------------------------|
//! | unknown connection             | 404                                    |
//! | wrong or no signature          | 401, the same body always              |
//! | a ping (by its content type)   | 200, nothing appended                  |
//! | too large                      | 413                                    |
//! | signed, and not JSON           | 400                                    |
//! | signed, of no use to us        | 202, counted as filtered               |
//! | a delivery that was taken      | 202, counted as filtered               |
//! | the database can't be written  | 503: send it again                     |

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use kilter_core::Json;
use kilter_core::manifest::parts::fits;
use kilter_core::manifest::{Body, Connector, Each, Route, Signature, Webhook, plain};
use kilter_core::mapping::Env;
use kilter_core::model::{Change, Fault, FaultKind, Text, Via};
use kilter_core::sync::house::House;
use kilter_core::sync::project::remote_of;
use subtle::ConstantTimeEq;
use tokio::sync::{mpsc, oneshot};

use crate::api::sketch::sketch;
use crate::engine::{Engine, now};

/// Where webhooks wait for the next commit. Whatever arrived while the last one ran goes together.
#[derive(Debug, Clone)]
pub struct Inbox {
    engine: Arc<Engine>,
    queue: mpsc::Sender<Waiting>,
    taken: Arc<Mutex<Taken>>,
}

/// A change, the text of its body, and who waits for it to be kept.
type Waiting = ((Change, String), oneshot::Sender<bool>);

/// Most webhooks that wait; beyond, senders wait with them.
const QUEUE_MAX: usize = 4096;
/// Most webhooks in one commit.
const COMMIT_MAX: usize = 512;

impl Inbox {
    pub fn open(engine: Arc<Engine>) -> Self {
        let (queue, inbox) = mpsc::channel(QUEUE_MAX);
        let keeper = Arc::downgrade(&engine);
        let work = move || commit(&keeper, inbox);
        // A thread of its own: who waits for the disk holds up no other work, and is woken once.
        let spawned = std::thread::Builder::new().name("webhooks".to_owned()).spawn(work);
        if let Err(error) = spawned {
            // Nobody takes from the queue: each webhook is answered with 503.
            tracing::error!(error = %error, "webhooks cannot be kept");
        }
        Self { engine, queue, taken: Arc::default() }
    }
}

/// Until the engine is gone; it is not what keeps it.
fn commit(engine: &Weak<Engine>, mut inbox: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(COMMIT_MAX);
    let mut refused = Refused::default();
    while inbox.blocking_recv_many(&mut batch, COMMIT_MAX) > 0 {
        let Some(engine) = engine.upgrade() else { return };
        let (changes, answers): (Vec<(Change, String)>, Vec<_>) = batch.drain(..).unzip();
        let connections: Vec<Text> = changes.iter().map(|(c, _)| c.connection.clone()).collect();
        let done = engine.store.keep_said(changes);
        for answer in answers {
            // Who asked may be gone: what was kept stays kept.
            let _ = answer.send(done.is_ok());
        }
        if let Err(error) = &done {
            let error = crate::pipeline::schedule::chain(error);
            tracing::error!(error, "webhooks not kept");
            refused.more(connections, error);
        } else if !refused.0.is_empty() {
            refused.tell(&engine);
        }
        engine.ring();
    }
}

/// Webhooks that could not be kept: by connection, how many, and why. What could not be written says so
/// once there is room.
#[derive(Default)]
struct Refused(BTreeMap<Text, (usize, String)>);

impl Refused {
    fn more(&mut self, connections: Vec<Text>, error: String) {
        for connection in connections {
            let (times, why) = self.0.entry(connection).or_default();
            (*times, *why) = (*times + 1, error.clone());
        }
    }

    fn tell(&mut self, engine: &Engine) {
        let told = engine.store.note(|tx| {
            for (connection, (times, why)) in &self.0 {
                let text = format!("{times} webhooks were refused, to be sent again: {why}");
                let fault = Fault::new(FaultKind::Unavailable, "", text);
                tx.write_fault(connection, "webhooks", &fault, &now())?;
            }
            Ok(())
        });
        match told {
            Ok(()) => self.0.clear(),
            Err(error) => tracing::warn!(error = %error, "a fault not kept"),
        }
    }
}

type Reply = (StatusCode, &'static str);

pub async fn receive(
    State(inbox): State<Inbox>,
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let house = Arc::clone(&inbox.engine.house);
    let Some((connection, connector)) = house.connector(&name) else {
        return (StatusCode::NOT_FOUND, "there is no such connection\n");
    };
    let Some(webhook) = &connector.webhook else {
        return (StatusCode::NOT_FOUND, "this connection takes no webhooks\n");
    };
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let ping = webhook.ping_content_type.as_deref();
    if ping.is_some_and(|p| header("content-type").starts_with(p)) {
        return (StatusCode::OK, "");
    }
    if !signed(webhook, connection, &query, &headers, &body) {
        return (StatusCode::UNAUTHORIZED, "the signature does not hold\n");
    }
    let text = std::str::from_utf8(&body).ok();
    let Some((text, item)) = text.and_then(|text| Some((text, sketch(webhook, text)?))) else {
        return (StatusCode::BAD_REQUEST, "the body is not JSON\n");
    };
    let topic = webhook.topic_header.as_deref().map(header).unwrap_or_default();
    // Two connections may hear of one delivery.
    let id = webhook.id_header.as_deref().map(header).filter(|id| !id.is_empty());
    let id = id.map(|id| format!("{name} {id}"));
    let mut change = change(&house, connection, connector, webhook, topic, &item);
    if id.as_ref().is_some_and(|id| lock(&inbox.taken).known.contains(id)) {
        // Counted, like any other: it ends as filtered.
        (change.collection, change.remote) = (connector.name.as_str().into(), Text::default());
        change.body = serde_json::json!({ "$hint": topic, "again": true });
    }
    let text = match &change.body {
        // As it came: read once, when it is merged.
        Json::Null => text.to_owned(),
        ours => ours.to_string(),
    };
    let (answer, done) = oneshot::channel();
    if inbox.queue.send(((change, text), answer)).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping: send it again\n");
    }
    match done.await {
        Ok(true) => {
            if let Some(id) = id {
                lock(&inbox.taken).add(id);
            }
            (StatusCode::ACCEPTED, "")
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not kept: send it again\n"),
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signed(
    webhook: &Webhook,
    connection: &kilter_core::config::Connection,
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
    body: &[u8],
) -> bool {
    let secret = |name: &str| {
        let secret = connection.secrets.get(name.trim_start_matches('$'))?;
        Some(secret.expose()).filter(|s| !s.is_empty())
    };
    match &webhook.signature {
        Signature::HmacSha256Base64 { header, secrets } => {
            let Some(given) = headers.get(header) else { return false };
            let Ok(given) = base64::engine::general_purpose::STANDARD.decode(given.as_bytes())
            else {
                return false;
            };
            secrets.iter().filter_map(|name| secret(name)).any(|secret| {
                Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes())
                    .is_ok_and(|mac| mac.chain_update(body).verify_slice(&given).is_ok())
            })
        }
        Signature::UrlSecret { secret: name } => {
            let (Some(secret), Some(given)) = (secret(name), query.get("secret")) else {
                return false;
            };
            bool::from(secret.as_bytes().ct_eq(given.as_bytes()))
        }
    }
}

/// What a signed body says; null where it is kept as it came. What no route takes is kept as well: it
/// ends as filtered, counted.
fn change(
    house: &House,
    connection: &kilter_core::config::Connection,
    connector: &Connector,
    webhook: &Webhook,
    topic: &str,
    item: &Json,
) -> Change {
    let vars = house.vars(connection, "");
    let env = Env { vars: &vars, tables: &connection.lookups, root: Some(item) };
    let route = webhook.routes.iter().find(|r| takes(r, topic, item, &env));
    let id = route.and_then(|r| r.id.as_ref()?.read(item, &env).ok().flatten());
    let id = id.filter(|v| !v.is_null());
    let each = route.and_then(|r| each_of(r, connection, item, &env));
    let (collection, remote, hint) = match (route, &id, each) {
        (Some(route), Some(id), Some(each)) => {
            let hint = route.body == Body::Hint || route.body == Body::Gone;
            (route.collection.clone(), remote_of(&plain(id), &each), hint)
        }
        // Nobody's, or answered alone: what is personal in it is not kept.
        (route, ..) => {
            let nothing = route.is_some_and(|r| r.body == Body::Nothing);
            (connector.name.clone(), String::new(), nothing)
        }
    };
    let body = if hint { serde_json::json!({ "$hint": topic }) } else { Json::Null };
    Change {
        seq: 0,
        connection: connection.name.as_str().into(),
        collection: collection.into(),
        remote: remote.into(),
        each: Text::default(),
        via: Via::Hook,
        asked: 0,
        body,
        at: now().into(),
    }
}

/// None: a location that is none of ours.
fn each_of(
    route: &Route,
    connection: &kilter_core::config::Connection,
    item: &Json,
    env: &Env<'_>,
) -> Option<String> {
    match &route.each {
        None => Some(String::new()),
        Some(Each::Named(name)) => Some(name.clone()),
        Some(Each::Location(lens)) => {
            let id = plain(&lens.read(item, env).ok().flatten()?);
            connection
                .locations
                .iter()
                .find(|(_, there)| *there == id)
                .map(|(name, _)| name.clone())
        }
    }
}

/// Deliveries that were taken, by their ids: bounded, and forgotten with the process. One that comes
/// again after that is compared with what is known, and changes nothing.
#[derive(Debug, Default)]
struct Taken {
    known: HashSet<String>,
    order: VecDeque<String>,
}

/// Most ids that are kept.
const TAKEN_MAX: usize = 50_000;

impl Taken {
    fn add(&mut self, id: String) {
        if self.known.insert(id.clone()) {
            self.order.push_back(id);
        }
        while self.order.len() > TAKEN_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

fn takes(route: &Route, topic: &str, item: &Json, env: &Env<'_>) -> bool {
    let fitting = route.topic.as_deref().is_none_or(|pattern| match pattern.strip_suffix('*') {
        Some(start) => topic.starts_with(start),
        None => pattern == topic,
    });
    fitting && fits(&route.keep, item, env)
}
