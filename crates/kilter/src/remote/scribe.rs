//! What is written down of an exchange, and what never is.
//!
//! Reads   a request, an answer's size and status, a fault.   Writes  the queue of exchanges.
//! Never   writes a header, a secret (not where an answer repeats it), a body that went well, or a
//!         query's words: who is looked for by name or by mail is nobody's affair.

use std::sync::Arc;

use base64::Engine as _;
use kilter_core::manifest::{Request, Vars, plain};
use kilter_core::model::Fault;
use tokio::time::Instant;

use crate::exchange::{Exchange, Exchanges};

use super::response::Received;

/// Most characters of a failure, and most of an answer that are looked at for secrets.
const FAILURE_CHARS: usize = 400;
const LOOKED_AT_CHARS: usize = 16 * 1024;

/// Longest path and longest name of a request that are kept.
const PATH_CHARS: usize = 300;
const NAME_CHARS: usize = 100;

/// Shorter ones are words that stand everywhere.
const SECRET_CHARS_MIN: usize = 4;

/// One connection's.
#[derive(Clone)]
pub struct Scribe {
    log: Arc<Exchanges>,
    connection: String,
    secrets: Arc<Vec<String>>,
}

/// Its secrets are not shown.
impl std::fmt::Debug for Scribe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scribe").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl Scribe {
    /// `names`: the variables that are secrets.
    pub fn new(log: Arc<Exchanges>, connection: &str, names: &[&String], vars: &Vars) -> Self {
        let mut secrets: Vec<String> =
            names.iter().filter_map(|n| vars.get(*n)).map(plain).collect();
        secrets.retain(|s| s.chars().count() >= SECRET_CHARS_MIN);
        // As a pair in a header says them; and where a longer one holds a shorter, it goes first.
        let coded = |a: &String, b: &String| {
            base64::engine::general_purpose::STANDARD.encode(format!("{a}:{b}"))
        };
        let pairs: Vec<String> =
            secrets.iter().flat_map(|a| secrets.iter().map(|b| coded(a, b))).collect();
        secrets.extend(pairs);
        secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        Self { log, connection: connection.to_owned(), secrets: Arc::new(secrets) }
    }

    /// A request that is about to leave. It is written down when what is given back drops, whatever
    /// became of it.
    pub fn open(&self, resource: &str, request: &Request) -> Open {
        let mut path = match &request.document {
            Some(document) => format!("{} {document}", request.path),
            None => request.path.clone(),
        };
        for (n, (name, value)) in request.query.iter().enumerate() {
            let mark = if n == 0 { '?' } else { '&' };
            let value = if is_plain(value) { value.as_str() } else { "…" };
            path.push_str(&format!("{mark}{name}={value}"));
        }
        self.open_as(resource, &request.method, &path)
    }

    /// The same for what is no call of a connector: a file.
    pub fn open_as(&self, resource: &str, method: &str, path: &str) -> Open {
        let exchange = Exchange {
            at: format!("{:.3}", jiff::Timestamp::now()),
            connection: self.connection.clone(),
            resource: resource.to_owned(),
            method: method.to_owned(),
            path: clean(path, &self.secrets, "", PATH_CHARS),
            failure: "nobody waited for its answer any more".to_owned(),
            ..Exchange::default()
        };
        Open { scribe: self.clone(), exchange, started: Instant::now(), access: String::new() }
    }
}

/// An exchange under way.
#[derive(Debug)]
pub struct Open {
    scribe: Scribe,
    exchange: Exchange,
    started: Instant,
    access: String,
}

impl Open {
    /// It leaves now: so many bytes, by this token.
    pub fn leaves(&mut self, bytes: usize, access: Option<&str>) {
        self.started = Instant::now();
        self.exchange.bytes_out = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.access = access.unwrap_or_default().to_owned();
    }

    pub fn status(&mut self, status: u16) {
        self.exchange.status = status;
    }

    pub fn received(&mut self, received: &Received) {
        self.exchange.status = received.status();
        self.exchange.bytes_in = received.bytes();
        let request = received.request().unwrap_or_default();
        self.exchange.request = clean(request, &self.scribe.secrets, &self.access, NAME_CHARS);
    }

    pub fn went_well(&mut self) {
        self.exchange.failure.clear();
    }

    /// What came of it, and how its answer begins.
    pub fn failed(&mut self, fault: &Fault, began: String) {
        let told = if began.is_empty() { fault.to_string() } else { format!("{fault} | {began}") };
        self.exchange.failure = clean(&told, &self.scribe.secrets, &self.access, FAILURE_CHARS);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let took = self.started.elapsed().as_millis();
        self.exchange.ms = u64::try_from(took).unwrap_or(u64::MAX);
        self.scribe.log.push(std::mem::take(&mut self.exchange));
    }
}

/// A number, a time, an id made of digits, a word of a listing: no secret, and nobody's name.
fn is_plain(value: &str) -> bool {
    let time = |c: char| c.is_ascii_digit() || matches!(c, 'T' | 'Z' | ':' | '-' | '.' | ',');
    let word =
        matches!(value, "true" | "false" | "asc" | "desc" | "id" | "date" | "modified" | "any");
    value.is_empty() || word || value.chars().all(time)
}

/// On one line, without secrets, no longer than `most`.
fn clean(text: &str, secrets: &[String], access: &str, most: usize) -> String {
    let mut text: String = text.chars().take(LOOKED_AT_CHARS).collect();
    let access = Some(access).filter(|a| a.chars().count() >= SECRET_CHARS_MIN);
    for secret in access.into_iter().chain(secrets.iter().map(String::as_str)) {
        if text.contains(secret) {
            text = text.replace(secret, "…");
        }
    }
    let text = text.split(|c: char| c.is_whitespace() || c.is_control());
    let text = text.filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use kilter_core::model::FaultKind;
    use serde_json::json;

    use super::*;

    fn scribe() -> (Arc<Exchanges>, Scribe) {
        let log = Arc::new(Exchanges::default());
        let vars = [("key", "ck_12345"), ("secret", "cs_67890"), ("short", "abc")];
        let vars: Vars = vars.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        let names: Vec<&String> = vars.keys().collect();
        (Arc::clone(&log), Scribe::new(Arc::clone(&log), "de", &names, &vars))
    }

    fn request(query: &[(&str, &str)]) -> Request {
        Request {
            method: "GET".to_owned(),
            path: "/customers".to_owned(),
            query: query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            headers: vec![("authorization".to_owned(), "Bearer cs_67890".to_owned())],
            body: None,
            document: None,
        }
    }

    #[test]
    fn no_secret_and_nobodys_name_is_written_down() {
        let (log, scribe) = scribe();
        let query = [
            ("page", "3"),
            ("modified_after", "2026-11-28T17:00:00Z"),
            ("email", "ada@example.com"),
            ("consumer_key", "ck_12345"),
        ];
        let mut open = scribe.open("customers", &request(&query));
        open.leaves(12, Some("token-98765"));
        open.status(401);
        let pair = base64::engine::general_purpose::STANDARD.encode("ck_12345:cs_67890");
        let told = format!("no:\n cs_67890, token-98765 and Basic {pair} are refused");
        let fault = Fault::new(FaultKind::Auth, "", told);
        open.failed(&fault, "{\"key\":\"ck_12345\"}".to_owned());
        drop(open);
        let (taken, _) = log.take(10);
        let [exchange] = taken.as_slice() else { panic!("{taken:?}") };
        let path = "/customers?page=3&modified_after=2026-11-28T17:00:00Z&email=…&consumer_key=…";
        assert_eq!(exchange.path, path);
        let failure = "no: …, … and Basic … are refused | {\"key\":\"…\"}";
        assert!(exchange.failure.ends_with(failure), "{}", exchange.failure);
        assert_eq!((exchange.status, exchange.bytes_out), (401, 12));
        assert!(!format!("{exchange:?}").contains("ada"));
    }

    #[test]
    fn a_long_answer_is_cut_and_a_forgotten_one_is_told() {
        let (log, scribe) = scribe();
        let mut open = scribe.open("orders", &request(&[]));
        open.failed(&Fault::new(FaultKind::Rejected, "", "bad"), "ä".repeat(100_000));
        drop(open);
        drop(scribe.open("orders", &request(&[])));
        let (taken, _) = log.take(10);
        assert_eq!(taken[0].failure.chars().count(), FAILURE_CHARS + 1);
        assert!(taken[1].failure.contains("nobody waited"), "{}", taken[1].failure);
    }
}
