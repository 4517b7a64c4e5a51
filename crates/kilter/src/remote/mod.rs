//! The one place where a request leaves and an answer comes.
//!
//! Reads   requests as data, credentials, limits.   Writes  faults and answers; counts calls.
//! Never   follows a redirect, prints a secret, or retries but for a token that was refused:
//!         whoever calls decides what comes next.

#[expect(clippy::float_arithmetic, reason = "points are no money: nobody is paid in them")]
pub mod bucket;
pub mod budget;
pub mod circuit;
#[cfg(test)]
mod fake;
pub mod lines;
pub mod plain;
pub mod response;
mod scribe;
pub mod token;
mod upload;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use kilter_core::Json;
use kilter_core::config::Connection;
use kilter_core::manifest::{Auth, Connector, Request, Vars, plain, render};
use kilter_core::model::{Fault, FaultKind};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use crate::crash;
use crate::exchange::Exchanges;
use budget::Budget;
use circuit::Circuit;
use scribe::Scribe;
use token::{Keep, Tokens};

/// One connection's way out: its HTTP client, its budget, its counts.
pub struct Remote {
    http: reqwest::Client,
    base: String,
    auth: Auth,
    tokens: Option<Tokens>,
    vars: Vars,
    headers: Json,
    scribe: Scribe,
    permits: Semaphore,
    concurrency: usize,
    /// Creates that may be under way at once, where each is allowed but one request.
    turns: Semaphore,
    budget: Budget,
    pace: Option<Duration>,
    next_slot: Mutex<Instant>,
    answer_bytes: usize,
    /// Another version answers: until when nothing is asked of it, and why.
    stopped: std::sync::Mutex<Option<(Instant, String)>>,
    told: AtomicBool,
    /// Is it ill as a whole?
    circuit: Circuit,
    pub calls: AtomicU64,
    pub writes: AtomicU64,
    /// Requests that are sent or wait for their turn; of these, pages of long listings.
    flying: AtomicU64,
    sweeping: AtomicU64,
}

/// Its variables hold secrets: they are not shown.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("base", &self.base).finish_non_exhaustive()
    }
}

/// What came back, parsed.
#[derive(Debug, Clone)]
pub struct Answer {
    pub body: Json,
    pub headers: reqwest::header::HeaderMap,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("make a client for {0}")]
    Client(String, #[source] reqwest::Error),
}

impl Remote {
    pub fn new(
        connection: &Connection,
        connector: &Connector,
        answer_bytes: usize,
        place: Arc<dyn Keep>,
    ) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(Duration::from_secs(connector.limit.timeout_seconds))
            .connect_timeout(Duration::from_secs(10))
            .user_agent(concat!("kilter/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .build()
            .map_err(|e| Error::Client(connection.name.clone(), e))?;
        let mut vars = connection.vars("");
        for (key, secret) in &connection.secrets {
            vars.insert(key.clone(), Json::String(secret.expose().to_owned()));
        }
        let base = address(&connector.base, &vars);
        let auth = Auth::choose(&connector.auth, &vars).cloned().unwrap_or(Auth::None);
        let tokens = match &auth {
            Auth::Token(grant) => {
                let own = grant.base.as_ref().map_or_else(|| base.clone(), |b| address(b, &vars));
                Some(Tokens::new(grant.as_ref().clone(), own, &vars, place))
            }
            _ => None,
        };
        let pace = (connector.limit.per_second > 0)
            .then(|| Duration::from_secs(1) / connector.limit.per_second);
        Ok(Self {
            http,
            base,
            auth,
            tokens,
            scribe: scribe(connection, &vars, Arc::default()),
            headers: connector.headers.clone(),
            vars,
            permits: Semaphore::new(connector.limit.concurrency),
            concurrency: connector.limit.concurrency,
            turns: Semaphore::new(connector.limit.concurrency),
            budget: Budget::new(connector.limit.cost.clone()),
            pace,
            next_slot: Mutex::new(Instant::now()),
            answer_bytes,
            stopped: std::sync::Mutex::default(),
            told: AtomicBool::new(false),
            circuit: Circuit::new(&connection.name),
            calls: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            flying: AtomicU64::new(0),
            sweeping: AtomicU64::new(0),
        })
    }

    /// Tells of every exchange there.
    pub fn logged(mut self, connection: &Connection, log: Arc<Exchanges>) -> Self {
        self.scribe = scribe(connection, &self.vars, log);
        self
    }

    /// Variables for templates that need a secret (a webhook's, when it is subscribed).
    pub fn vars(&self) -> &Vars {
        &self.vars
    }

    /// A page of a long listing is about to be asked for: what is live goes first, for a moment at
    /// most, so that it comes on as well. It counts as such a page until what is given back drops.
    pub async fn give_way(&self) -> Counted<'_> {
        let until = Instant::now() + GIVE_WAY_MAX;
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        while count(&self.flying) > count(&self.sweeping) && Instant::now() < until {
            tokio::time::sleep(GIVE_WAY_LOOK).await;
        }
        Counted::new(&self.sweeping)
    }

    /// Comes back when a request would leave at once, or soon: what is allowed one request only is
    /// not allowed it while that would stand in a line, where a kill leaves everybody guessing.
    pub async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let turn = self.turns.acquire().await.ok();
        let until = Instant::now() + GIVE_WAY_MAX;
        let flying = || usize::try_from(self.flying.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        while flying() >= self.concurrency && Instant::now() < until {
            tokio::time::sleep(GIVE_WAY_LOOK).await;
        }
        turn
    }

    /// Sends one request that is for no resource.
    pub async fn send(
        &self,
        connector: &Connector,
        request: &Request,
        tables: &BTreeMap<String, kilter_core::mapping::Table>,
    ) -> Result<Answer, Fault> {
        self.send_for("", connector, request, tables).await
    }

    /// Sends one request inside the budget: exactly one, but for a token that was refused. A
    /// refusal proves that nothing was done, so it is sent once more with another.
    pub async fn send_for(
        &self,
        resource: &str,
        connector: &Connector,
        request: &Request,
        tables: &BTreeMap<String, kilter_core::mapping::Table>,
    ) -> Result<Answer, Fault> {
        let env = kilter_core::mapping::Env { vars: &self.vars, tables, root: None };
        let _flying = Counted::new(&self.flying);
        let _permit = self.permits.acquire().await.map_err(|_| unsent("the client is closed"))?;
        if let Some(fault) = self.stands_still() {
            return Err(fault);
        }
        self.circuit.admit(Instant::now())?;
        let outcome = self.send_now(resource, connector, request, &env).await;
        let ill = self.circuit.learn(Instant::now(), outcome.as_ref().err());
        outcome.map_err(|fault| Fault { ill, ..fault })
    }

    /// How long nothing is asked of it, since it is ill; None: it is well.
    pub fn ill_for(&self) -> Option<Duration> {
        self.circuit.left(Instant::now())
    }

    async fn send_now(
        &self,
        resource: &str,
        connector: &Connector,
        request: &Request,
        env: &kilter_core::mapping::Env<'_>,
    ) -> Result<Answer, Fault> {
        let Some(tokens) = &self.tokens else {
            return self
                .attempt(resource, connector, request, env, None)
                .await
                .map_err(|r| r.fault);
        };
        let access = tokens.access(&self.http, &self.vars, &self.scribe).await?;
        match self.attempt(resource, connector, request, env, Some(&access)).await {
            Err(refusal) if refusal.status == 401 && tokens.refused(&access).await => {
                let access = tokens.access(&self.http, &self.vars, &self.scribe).await?;
                self.attempt(resource, connector, request, env, Some(&access))
                    .await
                    .map_err(|r| r.fault)
            }
            outcome => outcome.map_err(|r| r.fault),
        }
    }

    async fn attempt(
        &self,
        resource: &str,
        connector: &Connector,
        request: &Request,
        env: &kilter_core::mapping::Env<'_>,
        access: Option<&str>,
    ) -> Result<Answer, Refusal> {
        let body = request.body.as_ref().map(Json::to_string);
        let admission = self.budget.admit(request, body.as_deref()).await;
        self.paced().await;
        let bytes = body.as_ref().map_or(0, String::len);
        let mut told = self.scribe.open(resource, request);
        let sent = match self.build(request, body, access) {
            Ok(built) => {
                self.calls.fetch_add(1, Ordering::Relaxed);
                told.leaves(bytes, access);
                crash::point("before a call", &request.path);
                // Its text would name the address, and with it what was asked for.
                self.http.execute(built).await.map_err(|e| transport(&e.without_url()))
            }
            Err(fault) => Err(fault),
        };
        let sent = match sent {
            Err(fault) => {
                told.failed(&fault, String::new());
                if fault.unsent {
                    admission.unused();
                }
                return Err(fault.into());
            }
            Ok(sent) => sent,
        };
        told.status(sent.status().as_u16());
        let received = response::receive(sent, self.answer_bytes).await;
        let received = received.inspect_err(|fault| told.failed(fault, String::new()))?;
        crash::point("after a call", &request.path);
        told.received(&received);
        let status = received.status();
        let figures = admission.learn(received.body(), env);
        if let Some(text) = received.other_version(connector) {
            let fault = self.stop(connector, text);
            told.failed(&fault, String::new());
            return Err(fault.into());
        }
        match response::judge(received, connector, env) {
            Ok(answer) => {
                told.went_well();
                Ok(answer)
            }
            Err((mut fault, began)) => {
                told.failed(&fault, began);
                if fault.kind == FaultKind::Throttled && fault.retry_after.is_none() {
                    fault.retry_after = bucket::wait_seconds(figures);
                }
                Err(Refusal { fault, status })
            }
        }
    }

    /// Another version answered. What it did, it may have done; nothing else is asked of it for a
    /// while. Where it was for one answer only, work goes on after that.
    fn stop(&self, connector: &Connector, text: String) -> Fault {
        if !self.told.swap(true, Ordering::Relaxed) {
            let connector = connector.name.as_str();
            tracing::error!(connector, text, "reads and writes stop");
        }
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        *stopped = Some((Instant::now() + VERSION_PAUSE, text.clone()));
        Fault { maybe_applied: true, ..Fault::new(FaultKind::Rejected, "", text) }
    }

    /// Nothing was sent, and nothing is refused for good: it waits.
    fn stands_still(&self) -> Option<Fault> {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, text) = stopped.as_ref()?;
        let left = until.checked_duration_since(Instant::now())?;
        let retry_after = u32::try_from(left.as_secs() + 1).ok();
        Some(Fault { retry_after, ..unsent(text) })
    }

    async fn paced(&self) {
        let Some(pace) = self.pace else { return };
        let at = {
            let mut slot = self.next_slot.lock().await;
            let at = (*slot).max(Instant::now());
            *slot = at + pace;
            at
        };
        tokio::time::sleep_until(at).await;
    }

    fn build(
        &self,
        request: &Request,
        body: Option<String>,
        access: Option<&str>,
    ) -> Result<reqwest::Request, Fault> {
        let mut url = url::Url::parse(&format!("{}{}", self.base, request.path))
            .map_err(|e| unsent(&format!("the address {} is none: {e}", self.base)))?;
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|e| unsent(&e.to_string()))?;
        let mut out = self.http.request(method, url);
        let shared = render(&self.headers, &self.vars).unwrap_or_default();
        // A call's header stands in place of the connector's.
        let own = |name: &str| request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        for (name, value) in shared.as_object().into_iter().flatten().filter(|(n, _)| !own(n)) {
            out = out.header(name, plain(value));
        }
        for (name, value) in &request.headers {
            out = out.header(name, value);
        }
        let secret = |name: &str| -> String {
            render(&Json::String(name.to_owned()), &self.vars)
                .map(|v| plain(&v))
                .unwrap_or_default()
        };
        out = match &self.auth {
            Auth::None => out,
            Auth::Basic { username, password } => {
                let pair = format!("{}:{}", secret(username), secret(password));
                let coded = base64::engine::general_purpose::STANDARD.encode(pair);
                out.header("authorization", format!("Basic {coded}"))
            }
            Auth::Bearer { scheme, token } => {
                out.header("authorization", format!("{scheme} {}", secret(token)))
            }
            Auth::Header { name, value } => out.header(name, secret(value)),
            Auth::Token(grant) => {
                let token = format!("{} {}", grant.scheme, access.unwrap_or_default());
                out.header(&grant.header, sensitive(token.trim_start())?)
            }
        };
        if let Some(body) = body {
            out = out.header("content-type", "application/json").body(body);
        }
        out.build().map_err(|e| unsent(&e.to_string()))
    }
}

/// What is told of a connection's exchanges, and which of its variables never are.
fn scribe(connection: &Connection, vars: &Vars, log: Arc<Exchanges>) -> Scribe {
    let names: Vec<&String> = connection.secrets.keys().collect();
    Scribe::new(log, &connection.name, &names, vars)
}

/// The parts of an address, with its settings filled in.
fn address(parts: &[String], vars: &Vars) -> String {
    let part = |part: &String| match part.strip_prefix('$') {
        Some(name) => vars.get(name).map(plain).unwrap_or_default(),
        None => part.clone(),
    };
    let parts: Vec<String> =
        parts.iter().map(part).map(|s| s.trim_end_matches('/').to_owned()).collect();
    parts.join("/")
}

/// How long a page of a long listing waits for what is live, and how often it looks.
const GIVE_WAY_MAX: Duration = Duration::from_secs(2);
const GIVE_WAY_LOOK: Duration = Duration::from_millis(10);

/// One more, until it is dropped.
#[derive(Debug)]
pub struct Counted<'c>(&'c AtomicU64);

impl<'c> Counted<'c> {
    fn new(count: &'c AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long nothing is asked of a remote that answers by another version.
const VERSION_PAUSE: Duration = Duration::from_secs(600);

/// A fault, and the status that it came with; 0: no answer came.
#[derive(Debug)]
struct Refusal {
    fault: Fault,
    status: u16,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { fault, status: 0 }
    }
}

fn unsent(text: &str) -> Fault {
    Fault { unsent: true, ..Fault::new(FaultKind::Unavailable, "", text) }
}

/// A header that is never printed, not even by a client that logs.
fn sensitive(text: &str) -> Result<reqwest::header::HeaderValue, Fault> {
    let mut value = reqwest::header::HeaderValue::from_str(text)
        .map_err(|_| unsent("the token cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Only what failed before the first byte left is proof that nothing was done.
fn transport(error: &reqwest::Error) -> Fault {
    let text = chain(error);
    if error.is_connect() || error.is_builder() {
        return unsent(&text);
    }
    Fault::new(FaultKind::Unknown, "", text)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
