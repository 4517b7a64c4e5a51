//! The one place where a request leaves and an answer comes.
//!
//! Reads   requests as data, credentials, limits.   Writes  faults and answers; counts calls.
//! Never   follows a redirect, retries, or prints a secret: whoever calls decides what comes next.

#[expect(clippy::float_arithmetic, reason = "points are no money: nobody is paid in them")]
pub mod bucket;
pub mod budget;
pub mod response;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use kilter_core::Json;
use kilter_core::config::Connection;
use kilter_core::manifest::{Auth, Connector, Request, Vars, plain, render};
use kilter_core::model::{Fault, FaultKind};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use budget::Budget;

/// One connection's way out: its HTTP client, its budget, its counts.
#[derive(Debug)]
pub struct Remote {
    http: reqwest::Client,
    base: String,
    auth: Auth,
    vars: Vars,
    headers: Json,
    permits: Semaphore,
    budget: Budget,
    pace: Option<Duration>,
    next_slot: Mutex<Instant>,
    answer_bytes: usize,
    pub calls: AtomicU64,
    pub writes: AtomicU64,
}

/// What came back, parsed.
#[derive(Debug, Clone)]
pub struct Answer {
    pub body: Json,
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
        let base: Vec<String> = connector
            .base
            .iter()
            .map(|segment| match segment.strip_prefix('$') {
                Some(name) => vars.get(name).map(plain).unwrap_or_default(),
                None => segment.clone(),
            })
            .map(|s| s.trim_end_matches('/').to_owned())
            .collect();
        let pace = (connector.limit.per_second > 0)
            .then(|| Duration::from_secs(1) / connector.limit.per_second);
        Ok(Self {
            http,
            base: base.join("/"),
            auth: connector.auth.clone(),
            headers: connector.headers.clone(),
            vars,
            permits: Semaphore::new(connector.limit.concurrency),
            budget: Budget::new(connector.limit.cost.clone()),
            pace,
            next_slot: Mutex::new(Instant::now()),
            answer_bytes,
            calls: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        })
    }

    /// Variables for templates that need a secret (a webhook's, when it is subscribed).
    pub fn vars(&self) -> &Vars {
        &self.vars
    }

    /// Sends one request: exactly one, inside the budget.
    pub async fn send(
        &self,
        connector: &Connector,
        request: &Request,
        tables: &BTreeMap<String, kilter_core::mapping::Table>,
    ) -> Result<Answer, Fault> {
        let _permit = self.permits.acquire().await.map_err(|_| unsent("the client is closed"))?;
        let body = request.body.as_ref().map(Json::to_string);
        let admission = self.budget.admit(request, body.as_deref()).await;
        self.paced().await;
        let sent = match self.build(request, body) {
            Ok(built) => {
                self.calls.fetch_add(1, Ordering::Relaxed);
                self.http.execute(built).await.map_err(|e| transport(&e))
            }
            Err(fault) => Err(fault),
        };
        let sent = match sent {
            Err(fault) if fault.unsent => {
                admission.unused();
                return Err(fault);
            }
            sent => sent?,
        };
        let env = kilter_core::mapping::Env { vars: &self.vars, tables, root: None };
        let received = response::receive(sent, self.answer_bytes).await?;
        let figures = admission.learn(received.body(), &env);
        response::judge(received, connector, &env).map_err(|mut fault| {
            if fault.kind == FaultKind::Throttled && fault.retry_after.is_none() {
                fault.retry_after = bucket::wait_seconds(figures);
            }
            fault
        })
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

    fn build(&self, request: &Request, body: Option<String>) -> Result<reqwest::Request, Fault> {
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
        };
        if let Some(body) = body {
            out = out.header("content-type", "application/json").body(body);
        }
        out.build().map_err(|e| unsent(&e.to_string()))
    }
}

fn unsent(text: &str) -> Fault {
    Fault { unsent: true, ..Fault::new(FaultKind::Unavailable, "", text) }
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
