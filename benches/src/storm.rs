//! A storm of webhooks: many connections, each with its own articles, one after the other.
//!
//! Reads   events.   Writes  requests; which were acknowledged, how long each took.
//! Never   sends two webhooks of one article at the same time: each article has one connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};

use crate::rig::SECRET;
use crate::wire::Wire;

pub const CONNECTIONS: usize = 64;

/// One webhook: the article it is of, and the request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Event {
    pub article: usize,
    pub figure: i64,
    headers: String,
    body: String,
}

impl Event {
    pub fn new(article: usize, figure: i64, body: String) -> Self {
        Self { article, figure, headers: signed(&body), body }
    }
}

/// The line that signs a body.
pub fn signed(body: &str) -> String {
    let mut mac =
        Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key of any length fits");
    mac.update(body.as_bytes());
    let coded = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    format!("x-stockroom-signature: {coded}\r\n")
}

/// What became of an event: `sent` and `answered` since the storm began.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    pub article: usize,
    pub figure: i64,
    pub sent: Instant,
    pub took: Duration,
    pub acknowledged: bool,
}

/// Shared by the connections: how many were acknowledged, and whether to go on.
#[derive(Debug, Default)]
pub struct Course {
    pub acknowledged: AtomicU64,
    pub stop: AtomicBool,
}

/// Sends everything as fast as it is answered, or `per_second` of it. A connection that is refused
/// tries its next event: what was not acknowledged is not sent again.
pub async fn rage(
    address: SocketAddr,
    path: &str,
    events: Vec<Event>,
    per_second: Option<u32>,
    course: &Arc<Course>,
) -> Vec<Told> {
    let mut queues: Vec<Vec<(usize, Event)>> = vec![Vec::new(); CONNECTIONS];
    for (n, event) in events.into_iter().enumerate() {
        queues[event.article % CONNECTIONS].push((n, event));
    }
    let started = Instant::now();
    let pace = per_second.map(|n| Duration::from_secs(1) / n.max(1));
    let mut tasks = tokio::task::JoinSet::new();
    for queue in queues {
        let line = format!("POST {path}");
        let course = Arc::clone(course);
        tasks.spawn(async move { one(address, line, queue, (started, pace), &course).await });
    }
    let mut told = Vec::new();
    while let Some(done) = tasks.join_next().await {
        told.extend(done.unwrap_or_default());
    }
    told.sort_by_key(|t| t.sent);
    told
}

/// How long a connection waits before it tries one that was refused.
const REFUSED: Duration = Duration::from_millis(20);

async fn one(
    address: SocketAddr,
    line: String,
    queue: Vec<(usize, Event)>,
    (started, pace): (Instant, Option<Duration>),
    course: &Course,
) -> Vec<Told> {
    let mut wire = None;
    let mut told = Vec::with_capacity(queue.len());
    for (n, event) in queue {
        if course.stop.load(Ordering::Relaxed) {
            break;
        }
        if let Some(pace) = pace {
            let at = started + pace * u32::try_from(n).unwrap_or(u32::MAX);
            tokio::time::sleep_until(at.into()).await;
        }
        let sent = Instant::now();
        if wire.is_none() {
            wire = Wire::open(address).await.ok();
        }
        let answer = match &mut wire {
            Some(wire) => wire.send(&line, &event.headers, event.body.as_bytes()).await.ok(),
            None => None,
        };
        let acknowledged = answer.is_some_and(|(status, _)| status == 202);
        if acknowledged {
            course.acknowledged.fetch_add(1, Ordering::Relaxed);
        } else {
            wire = None;
            tokio::time::sleep(REFUSED).await;
        }
        let (article, figure, took) = (event.article, event.figure, sent.elapsed());
        told.push(Told { article, figure, sent, took, acknowledged });
    }
    told
}
