//! Tokens: asked for by a grant, renewed before they end, kept before they are used.
//!
//! Reads   what was kept, the wall clock.   Writes  what a grant gave, before anybody uses it.
//! Never   asks twice at a time, prints a token, or sends credentials of its own with the call.
//!
//! A refresh token that rotates is worth nothing once its successor was used: whoever crashed
//! between using and keeping it would be locked out. So it is kept first.

use std::fmt;
use std::sync::Arc;

use kilter_core::Json;
use kilter_core::manifest::{Grant, GrantKind, Vars, plain};
use kilter_core::mapping::Env;
use kilter_core::model::{Fault, FaultKind};
use tokio::sync::Mutex;

use super::scribe::Scribe;
use super::{response, unsent};

/// A token is renewed when this much of its life is over.
const RENEW_AT_PERCENT: i64 = 80;
/// A new token that is refused at once is not the reason: it is not asked for again before this.
const RENEW_PAUSE_SECONDS: i64 = 60;

/// What is kept of a connection's token.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Kept {
    pub access: String,
    /// Seconds since 1970; None: it does not end.
    pub renew_at: Option<i64>,
    pub ends_at: Option<i64>,
    pub refresh: Option<String>,
    /// A mark of the settings that it was first asked with: others begin anew.
    pub seed: String,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept {{ access: ***, ends_at: {:?} }}", self.ends_at)
    }
}

/// Where tokens outlive the process.
pub trait Keep: fmt::Debug + Send + Sync {
    fn load(&self) -> Result<Option<Kept>, String>;
    fn keep(&self, token: &Kept) -> Result<(), String>;
}

/// The token of one connection.
#[derive(Debug)]
pub struct Tokens {
    pub grant: Grant,
    base: String,
    seed: String,
    place: Arc<dyn Keep>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    loaded: bool,
    token: Option<Kept>,
    /// Given, and not kept yet: nobody uses it before it is.
    unkept: Option<Kept>,
    renewed_at: i64,
}

impl Tokens {
    pub fn new(grant: Grant, base: String, vars: &Vars, place: Arc<dyn Keep>) -> Self {
        let needs = kilter_core::manifest::Auth::Token(Box::new(grant.clone())).needs();
        let mut given: Vec<String> = needs.iter().filter_map(|n| vars.get(n)).map(plain).collect();
        given.push(base.clone());
        let seed = blake3::hash(given.join("\n").as_bytes()).to_hex().to_string();
        Self { grant, base, seed, place, state: Mutex::default() }
    }

    /// A token that may be used now. Whoever comes while one is asked for waits for it.
    pub async fn access(
        &self,
        http: &reqwest::Client,
        vars: &Vars,
        scribe: &Scribe,
    ) -> Result<String, Fault> {
        let mut state = self.state.lock().await;
        self.load(&mut state).await?;
        let at = seconds_now();
        if let Some(token) = &state.token
            && token.renew_at.is_none_or(|renew| at < renew)
        {
            return Ok(token.access.clone());
        }
        match self.renew(&mut state, http, vars, scribe).await {
            Ok(token) => Ok(token),
            // The old one lives a little longer: an outage of the token's giver is bridged.
            Err(fault) => match &state.token {
                Some(token) if token.ends_at.is_some_and(|end| at < end) => {
                    tracing::warn!(fault = %fault, "a token could not be renewed before its end");
                    Ok(token.access.clone())
                }
                _ => Err(fault),
            },
        }
    }

    /// A token was refused. True: another one may pass.
    pub async fn refused(&self, access: &str) -> bool {
        let mut state = self.state.lock().await;
        let at = seconds_now();
        let same = state.token.as_ref().is_some_and(|t| t.access == access);
        if !same {
            return true;
        }
        if at - state.renewed_at < RENEW_PAUSE_SECONDS {
            return false;
        }
        if let Some(token) = &mut state.token {
            token.renew_at = Some(0);
            token.ends_at = Some(0);
        }
        true
    }

    async fn load(&self, state: &mut State) -> Result<(), Fault> {
        if !state.loaded {
            let place = Arc::clone(&self.place);
            let found = off(move || place.load()).await?;
            state.token = found.filter(|t| t.seed == self.seed);
            state.loaded = true;
        }
        if let Some(token) = state.unkept.take() {
            self.keep(state, token).await?;
        }
        Ok(())
    }

    async fn keep(&self, state: &mut State, token: Kept) -> Result<(), Fault> {
        let (place, copy) = (Arc::clone(&self.place), token.clone());
        match off(move || place.keep(&copy)).await {
            Ok(()) => {
                state.token = Some(token);
                Ok(())
            }
            Err(fault) => {
                state.unkept = Some(token);
                Err(fault)
            }
        }
    }

    async fn renew(
        &self,
        state: &mut State,
        http: &reqwest::Client,
        vars: &Vars,
        scribe: &Scribe,
    ) -> Result<String, Fault> {
        let mut vars = vars.clone();
        let last = state.token.as_ref().and_then(|t| t.refresh.clone());
        if let (GrantKind::RefreshToken, Some(last)) = (self.grant.kind, &last) {
            vars.insert("refresh_token".to_owned(), Json::String(last.clone()));
        }
        let body = self.ask(http, &vars, scribe).await?;
        let tables = std::collections::BTreeMap::new();
        let env = Env { vars: &vars, tables: &tables, root: None };
        let text = |path: &kilter_core::mapping::Path| {
            path.read(&body, &env).filter(|v| !v.is_null()).map(|v| plain(&v))
        };
        let Some(access) = text(&self.grant.access).filter(|t| !t.is_empty()) else {
            return Err(refused("the answer to the grant holds no token"));
        };
        let at = seconds_now();
        let life = self.grant.expires.as_ref().and_then(text);
        let life = life.and_then(|t| t.split('.').next()?.parse::<i64>().ok()).filter(|n| *n > 0);
        let token = Kept {
            access: access.clone(),
            renew_at: life.map(|n| at.saturating_add(n.saturating_mul(RENEW_AT_PERCENT) / 100)),
            ends_at: life.map(|n| at.saturating_add(n)),
            refresh: self.grant.refresh.as_ref().and_then(text).or(last),
            seed: self.seed.clone(),
        };
        state.renewed_at = at;
        self.keep(state, token).await?;
        tracing::info!(life_seconds = life, "a token was renewed");
        Ok(access)
    }

    /// The grant's call. Whatever goes wrong here, the call that wants the token never left.
    async fn ask(
        &self,
        http: &reqwest::Client,
        vars: &Vars,
        scribe: &Scribe,
    ) -> Result<Json, Fault> {
        let request = self.grant.call.render(vars);
        let request = request.ok_or_else(|| refused("the grant's call lacks a value"))?;
        let mut url = url::Url::parse(&format!("{}{}", self.base, request.path))
            .map_err(|e| unsent(&format!("the address {} is none: {e}", self.base)))?;
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|e| unsent(&e.to_string()))?;
        let mut out = http.request(method, url).header("accept", "application/json");
        for (name, value) in &request.headers {
            out = out.header(name, value);
        }
        if let Some(body) = &request.body {
            out = if self.grant.form {
                let pairs = body.as_object().into_iter().flatten();
                let form = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs.map(|(k, v)| (k, plain(v))))
                    .finish();
                out.header("content-type", "application/x-www-form-urlencoded").body(form)
            } else {
                out.header("content-type", "application/json").body(body.to_string())
            };
        }
        // The answer is a token, or says what of it was wrong: none of it is told.
        let mut told = scribe.open("", &request);
        crate::crash::point("before a grant", "");
        let sent = out.send().await.map_err(|e| unsent(&super::chain(&e)));
        let sent = sent.inspect_err(|fault| told.failed(fault, String::new()))?;
        told.status(sent.status().as_u16());
        let received = response::receive(sent, ANSWER_BYTES_MAX).await;
        let received = received.map_err(|f| Fault { unsent: true, ..f });
        let received = received.inspect_err(|fault| told.failed(fault, String::new()))?;
        crate::crash::point("after a grant", "");
        told.received(&received);
        match received.status() {
            200..=299 => {
                told.went_well();
                Ok(received.into_body())
            }
            status => Err(denied(status, received)).inspect_err(|fault: &Fault| {
                told.failed(
                    &Fault::new(fault.kind, &fault.code, "no token was given"),
                    String::new(),
                );
            }),
        }
    }
}

/// A token's answer is short.
const ANSWER_BYTES_MAX: usize = 65_536;

/// Only the names that RFC 6749 gives to errors are told: the rest may repeat what was sent.
fn denied(status: u16, received: response::Received) -> Fault {
    let kind = match status {
        429 => FaultKind::Throttled,
        400..=499 => FaultKind::Auth,
        _ => FaultKind::Unavailable,
    };
    let code = received.body().get("error").and_then(Json::as_str).unwrap_or_default();
    let known = code.len() <= 64 && code.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let code = if known { code } else { "" };
    let text = format!("no token was given: status {status}");
    let retry_after = received.retry_after();
    Fault { unsent: true, retry_after, ..Fault::new(kind, code, text) }
}

fn refused(text: &str) -> Fault {
    Fault { unsent: true, ..Fault::new(FaultKind::Auth, "", text) }
}

/// Runs what may block off the runtime's threads.
async fn off<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    match done {
        Ok(Ok(out)) => Ok(out),
        Ok(Err(error)) => Err(unsent(&format!("a token is not kept: {error}"))),
        Err(error) => Err(unsent(&format!("a token is not kept: {error}"))),
    }
}

fn seconds_now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex as Lock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kilter_core::manifest::{Call, Request};
    use serde_json::json;

    use super::*;
    use crate::remote::{Remote, fake};

    /// What was kept, in its order; and how often keeping fails first.
    #[derive(Debug, Default)]
    struct Notes {
        kept: Lock<Vec<Kept>>,
        fails: AtomicUsize,
    }

    impl Keep for Notes {
        fn load(&self) -> Result<Option<Kept>, String> {
            Ok(self.kept.lock().unwrap().last().cloned())
        }

        fn keep(&self, token: &Kept) -> Result<(), String> {
            if self
                .fails
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok()
            {
                return Err("the disk is full".to_owned());
            }
            self.kept.lock().unwrap().push(token.clone());
            Ok(())
        }
    }

    const GRANT: &str = r#"
[auth]
kind    = "token"
grant   = "GRANT"
call    = { method = "POST", path = "token", body_as = "form", body = { id = "$client_id", secret = "$client_secret", refresh_token = "$refresh_token" } }
access  = "access_token"
expires = "expires_in"
refresh = "refresh_token"
send    = { header = "x-token", scheme = "" }
"#;

    /// A remote whose n-th token is `a<n>`; it lets in the tokens that `good` names.
    struct Rig {
        remote: Remote,
        connector: kilter_core::manifest::Connector,
        notes: Arc<Notes>,
        good: Arc<Lock<Vec<String>>>,
        asked: Arc<Lock<Vec<String>>>,
    }

    async fn rig(grant: &str, life: u64, good: &[&str], notes: Notes) -> Rig {
        let good = Arc::new(Lock::new(good.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()));
        let asked = Arc::new(Lock::new(Vec::<String>::new()));
        let (in_good, in_asked) = (Arc::clone(&good), Arc::clone(&asked));
        let base = fake::serve(move |request| {
            let body = request.split_once("\r\n\r\n").unwrap().1.to_owned();
            if request.starts_with("POST /token") {
                let mut asked = in_asked.lock().unwrap();
                asked.push(body);
                let n = asked.len();
                let given = json!({ "access_token": format!("a{n}"), "expires_in": life, "refresh_token": format!("r{n}") });
                return (200, String::new(), given.to_string());
            }
            let good = in_good.lock().unwrap();
            let fits = good.iter().any(|g| request.contains(&format!("x-token: {g}\r\n")));
            (if fits { 200 } else { 401 }, String::new(), "{}".to_owned())
        })
        .await;
        let settings = [
            ("url", base.as_str()),
            ("client_id", "me"),
            ("client_secret", "hu sh&"),
            ("refresh_token", "r0"),
        ];
        let (config, connector) = fake::house(&GRANT.replace("GRANT", grant), &settings);
        let notes = Arc::new(notes);
        let place: Arc<dyn Keep> = Arc::clone(&notes) as Arc<dyn Keep>;
        let remote = Remote::new(&config.connections["x"], &connector, 10_000, place).unwrap();
        Rig { remote, connector, notes, good, asked }
    }

    fn request() -> Request {
        let call = Call {
            method: "GET".into(),
            path: vec!["things".into()],
            query: json!({}),
            headers: json!({}),
            body: None,
            document: None,
        };
        call.render(&BTreeMap::new()).unwrap()
    }

    impl Rig {
        async fn send(&self) -> Result<(), Fault> {
            let sent = self.remote.send(&self.connector, &request(), &BTreeMap::new()).await;
            sent.map(|_| ())
        }

        fn asked(&self) -> usize {
            self.asked.lock().unwrap().len()
        }
    }

    #[tokio::test]
    async fn many_that_come_at_once_ask_once() {
        let rig = rig("client_credentials", 86_399, &["a1"], Notes::default()).await;
        let all = tokio::join!(rig.send(), rig.send(), rig.send(), rig.send());
        assert!(all.0.is_ok() && all.1.is_ok() && all.2.is_ok() && all.3.is_ok());
        assert_eq!(rig.asked(), 1);
        let form = rig.asked.lock().unwrap()[0].clone();
        assert_eq!(form, "id=me&refresh_token=r0&secret=hu+sh%26");
        let kept = rig.notes.kept.lock().unwrap().last().cloned().unwrap();
        let life = kept.ends_at.unwrap() - seconds_now();
        assert!((86_390..=86_399).contains(&life));
        assert!((17_270..=17_281).contains(&(kept.ends_at.unwrap() - kept.renew_at.unwrap())));
        assert!(!format!("{kept:?} {:?}", rig.remote).contains("a1"), "a token is printed");
    }

    #[tokio::test]
    async fn a_token_that_is_refused_is_renewed_once() {
        let rig = rig("client_credentials", 86_399, &["a1"], Notes::default()).await;
        rig.send().await.unwrap();
        *rig.good.lock().unwrap() = vec!["a2".to_owned()];
        if let Some(tokens) = &rig.remote.tokens {
            tokens.state.lock().await.renewed_at = 0;
        }
        rig.send().await.unwrap();
        assert_eq!(rig.asked(), 2);
        // A new one that is refused as well is a fault, and no more are asked for.
        rig.good.lock().unwrap().clear();
        assert_eq!(rig.send().await.unwrap_err().kind, FaultKind::Auth);
        assert_eq!(rig.send().await.unwrap_err().kind, FaultKind::Auth);
        assert_eq!(rig.asked(), 2);
    }

    #[tokio::test]
    async fn a_refresh_token_that_rotates_is_kept_before_it_is_used() {
        let notes = Notes { fails: AtomicUsize::new(1), ..Notes::default() };
        // A life of a second is over at once: each call renews.
        let rig = rig("refresh_token", 1, &["a1", "a2"], notes).await;
        let fault = rig.send().await.unwrap_err();
        assert!(fault.unsent && fault.text.contains("not kept"), "{fault}");
        assert_eq!(rig.notes.kept.lock().unwrap().len(), 0);
        rig.send().await.unwrap();
        let kept = rig.notes.kept.lock().unwrap().clone();
        assert_eq!(kept[0].refresh.as_deref(), Some("r1"));
        let asked = rig.asked.lock().unwrap().clone();
        assert!(asked[0].contains("refresh_token=r0"), "{asked:?}");
        assert!(asked.len() == 1 || asked[1].contains("refresh_token=r1"), "{asked:?}");
    }

    #[tokio::test]
    async fn a_kept_token_is_used_again_until_the_settings_change() {
        let first = rig("client_credentials", 86_399, &["a1"], Notes::default()).await;
        first.send().await.unwrap();
        let kept = first.notes.kept.lock().unwrap()[0].clone();
        // Another address is another setting: what was kept says nothing of it.
        let notes = Notes { kept: Lock::new(vec![kept]), ..Notes::default() };
        let second = rig("refresh_token", 86_399, &["a1"], notes).await;
        second.send().await.unwrap();
        assert_eq!((second.asked(), second.notes.kept.lock().unwrap().len()), (1, 2));
        second.send().await.unwrap();
        assert_eq!(second.asked(), 1);
    }
}
