//! The engine: the house, the store and a way out for each connection, put together once.
//!
//! Reads   the compiled config.   Writes  nothing of its own.
//! Never   decides: stages do, by the core.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context;
use kilter_core::config::Gone;
use kilter_core::model::{Fault, FaultKind};
use kilter_core::sync::guards::Guards;
use kilter_core::sync::house::{House, View};

use crate::exchange::{Exchange, Exchanges};
use crate::remote::Remote;
use crate::remote::circuit::RESTS;
use crate::store::Store;
use crate::store::exchanges::AT_ONCE;
use crate::store::tokens::Place;

/// `KILTER_UNSAFE_WITHOUT=permits,stock_rule`: for the demo's negative controls alone.
fn guards_from_env() -> Guards {
    let mut guards = Guards::default();
    let off = std::env::var("KILTER_UNSAFE_WITHOUT").unwrap_or_default();
    for name in off.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        tracing::warn!(guard = name, "a guard is switched off: this is a negative control");
        match name {
            "echo_suppression" => guards.echo_suppression = false,
            "stock_rule" => guards.stock_rule = false,
            "permits" => guards.permits = false,
            "first_listing" => guards.first_listing = false,
            "absence_cap" => guards.absence_cap = false,
            "ask" => guards.ask = false,
            "places" => guards.places = false,
            _ => tracing::warn!(guard = name, "there is no such guard: nothing is off"),
        }
    }
    guards
}

#[derive(Debug)]
pub struct Engine {
    pub house: Arc<House>,
    pub store: Store,
    pub remotes: BTreeMap<String, Arc<Remote>>,
    pub guards: Guards,
    /// `connection.resource` of all whose configuration changed since the last start.
    pub reshaped: Vec<String>,
    /// Paused since nobody knows yet who they are.
    unreached: Vec<String>,
    /// What left and what came back, until it is written down.
    pub exchanges: Arc<Exchanges>,
    /// When each listing last stepped back its whole overlap.
    pub wide: crate::pipeline::overlap::Wide,
    /// What could not be read by its id.
    pub shy: crate::pipeline::shy::Shy,
    /// Held as long as the engine lives: nobody else works on its database.
    pub lock: Option<std::fs::File>,
    /// What a scoped `sync` is limited to.
    pub scope: std::sync::Mutex<Option<crate::cli::Scope>>,
    /// Rung when there may be something to merge or deliver. Carries no data.
    pub bell: tokio::sync::watch::Sender<u64>,
    /// Rung for a connection whose webhooks cannot be trusted: it is polled at once.
    pub behind: BTreeMap<String, tokio::sync::watch::Sender<u64>>,
}

impl Engine {
    /// Puts everything together, and asks each remote who it is. One that was never reached and
    /// is not reached now is paused: nothing may be born under a name that is not known.
    pub async fn start(mut house: House, store: Store) -> anyhow::Result<Self> {
        let guards = guards_from_env();
        for connection in house.config.connections.values_mut().filter(|_| !guards.ask) {
            connection.gone = BTreeMap::from([("*".to_owned(), Gone::Recreate)]);
        }
        let mut remotes = BTreeMap::new();
        let exchanges = Arc::new(Exchanges::default());
        for (name, connection) in &house.config.connections {
            let (_, connector) = house
                .connector(name)
                .with_context(|| format!("find the connector {}", connection.connector))?;
            let place = Arc::new(Place { store: store.clone(), connection: name.clone() });
            let bytes = house.config.limits.answer_bytes;
            let remote = Remote::new(connection, connector, bytes, place)?
                .logged(connection, Arc::clone(&exchanges));
            remotes.insert(name.clone(), Arc::new(remote));
        }
        let mut unreached = Vec::new();
        for (name, remote) in &remotes {
            let account = identify(&house, &store, remote, name).await?;
            if let Some(connection) = house.config.connections.get_mut(name) {
                if account.is_none() && !connection.paused {
                    unreached.push(name.clone());
                }
                connection.paused |= account.is_none();
                connection.account = account.unwrap_or_default();
            }
        }
        store.write(|tx| crate::pipeline::receive::seat_newcomers(tx, &house, &now()))?;
        let reshaped = crate::pipeline::reshape::run(&store, &house, &now())?;
        let names = house.config.connections.keys().cloned();
        let behind = names.map(|name| (name, tokio::sync::watch::Sender::new(0))).collect();
        Ok(Self {
            house: Arc::new(house),
            store,
            remotes,
            guards,
            unreached,
            reshaped,
            exchanges,
            wide: crate::pipeline::overlap::Wide::default(),
            shy: crate::pipeline::shy::Shy::default(),
            lock: None,
            scope: std::sync::Mutex::new(None),
            bell: tokio::sync::watch::Sender::new(0),
            behind,
        })
    }

    pub async fn send(
        &self,
        view: &View<'_>,
        request: &kilter_core::manifest::Request,
    ) -> Result<crate::remote::Answer, Fault> {
        let remote = self.remotes.get(&view.connection.name).ok_or_else(|| {
            Fault::new(FaultKind::Unavailable, "", "the connection has no client")
        })?;
        let tables = &view.connection.lookups;
        let answer = remote.send_for(&view.resource.name, view.connector, request, tables).await;
        if let Err(fault) = &answer {
            tracing::debug!(
                connection.id = view.connection.name,
                resource = view.resource.name,
                fault = %fault,
                "a call failed"
            );
            // What fell ill is told by those that found it out.
            if fault.code == RESTS {
                return answer;
            }
            let (store, fault) = (self.store.clone(), fault.clone());
            let (name, resource) = (view.connection.name.clone(), view.resource.name.clone());
            let at = now();
            let kept = store.write_async(move |tx| tx.write_fault(&name, &resource, &fault, &at));
            if let Err(error) = kept.await {
                tracing::error!(error = %crate::pipeline::schedule::chain(&error), "a fault not kept");
            }
        }
        answer
    }

    /// Comes back once one that was never reached says who it is: who serves begins anew with it.
    pub async fn reached(&self) -> String {
        loop {
            tokio::time::sleep(REACH_EVERY).await;
            for name in &self.unreached {
                let remote = self.remotes.get(name);
                if let Some(remote) = remote
                    && who(&self.house, remote, name).await.is_some()
                {
                    return name.clone();
                }
            }
        }
    }

    /// Which remotes are ill, and for how many seconds nothing is asked of them.
    pub fn ill(&self) -> impl Iterator<Item = (String, u32)> + '_ {
        let seconds = |wait: Duration| u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
        let ill = move |remote: &Remote| remote.ill_for().map(seconds);
        self.remotes.iter().filter_map(move |(name, remote)| Some((name.clone(), ill(remote)?)))
    }

    /// Is nothing asked of a connection now, since its remote is ill?
    pub fn rests(&self, connection: &str) -> bool {
        let remote = self.remotes.get(connection);
        remote.and_then(|r| r.ill_for()).is_some_and(|left| !left.is_zero())
    }

    /// Writes down what left and what came back: beside the work, many in one transaction.
    pub fn tell(&self) {
        loop {
            let (mut told, lost) = self.exchanges.take(AT_ONCE);
            let n = u64::try_from(told.len()).unwrap_or(u64::MAX);
            if lost > 0 {
                let failure = format!("{lost} exchanges are not told: too many came at once");
                told.push(Exchange { at: now(), failure, ..Exchange::default() });
            }
            if told.is_empty() {
                return;
            }
            if let Err(error) = self.store.note(|tx| tx.write_exchanges(&told)) {
                tracing::error!(error = %crate::pipeline::schedule::chain(&error), "exchanges not told");
                self.exchanges.lose(lost.saturating_add(n));
                return;
            }
        }
    }

    /// Everybody looks again.
    pub fn ring(&self) {
        self.bell.send_modify(|rung| *rung = rung.wrapping_add(1));
    }

    /// A connection may have said what nobody heard.
    pub fn catch_up(&self, connection: &str) {
        if let Some(behind) = self.behind.get(connection) {
            behind.send_modify(|rung| *rung = rung.wrapping_add(1));
        }
    }

    pub fn scope(&self) -> Option<crate::cli::Scope> {
        self.scope.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Connections that are not paused.
    pub fn active(&self) -> Vec<String> {
        let connections = self.house.config.connections.values();
        connections.filter(|c| !c.paused).map(|c| c.name.clone()).collect()
    }
}

/// What was not written down yet is, at the end.
impl Drop for Engine {
    fn drop(&mut self) {
        self.tell();
    }
}

/// How often one that was never reached is asked who it is.
const REACH_EVERY: Duration = Duration::from_secs(10);

/// Between two times that exchanges are written down.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// As long as the engine lives.
pub async fn tell_forever(engine: Weak<Engine>) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let Some(engine) = engine.upgrade() else { return };
        let told = tokio::task::spawn_blocking(move || engine.tell()).await;
        if let Err(error) = told {
            tracing::error!(error = %error, "exchanges are not told any more");
            return;
        }
    }
}

/// Orders flow since a connection was first used, if its config does not say since when.
pub fn since(house: &mut House, store: &Store) -> anyhow::Result<()> {
    for (name, connection) in &mut house.config.connections {
        if connection.orders.since.is_some() {
            continue;
        }
        let key = format!("since.{name}");
        let known = store.read(|tx| tx.meta(&key))?;
        let since = match known {
            Some(since) => since,
            None => {
                let since = now();
                store.write(|tx| tx.set_meta(&key, &since))?;
                since
            }
        };
        connection.orders.since = Some(since);
    }
    Ok(())
}

/// What was learned at first contact, for those who only look.
pub fn accounts(house: &mut House, store: &Store) -> anyhow::Result<()> {
    for (name, connection) in &mut house.config.connections {
        let account = store.read(|tx| tx.meta(&format!("account.{name}")))?;
        connection.account = account.unwrap_or_default();
    }
    Ok(())
}

/// Who is at the other end; None: it is not reached, or does not say.
async fn who(house: &House, remote: &Remote, name: &str) -> Option<String> {
    let (connection, connector) = house.connector(name)?;
    let Some(identity) = &connector.identity else {
        return connection.settings.get("url").cloned();
    };
    let request = identity.call.render(remote.vars())?;
    let answer = remote.send(connector, &request, &connection.lookups).await;
    let answer = answer
        .inspect_err(|fault| tracing::warn!(connection.id = name, fault = %fault, "not reached"))
        .ok()?;
    let vars = connection.vars("");
    let env = kilter_core::mapping::Env { vars: &vars, tables: &connection.lookups, root: None };
    let value = identity.path.read(&answer.body, &env);
    value.filter(|v| !v.is_null()).map(|v| kilter_core::manifest::plain(&v))
}

/// Who is at the other end: written down at first contact; a changed account is refused. Where a
/// connector names no identity, the address is it.
async fn identify(
    house: &House,
    store: &Store,
    remote: &Remote,
    name: &str,
) -> anyhow::Result<Option<String>> {
    let key = format!("account.{name}");
    let known = store.read(|tx| tx.meta(&key))?;
    let paused = house.config.connections.get(name).is_none_or(|c| c.paused);
    let found = if paused { None } else { who(house, remote, name).await };
    match (known, found) {
        (Some(known), Some(found)) if known != found => anyhow::bail!(
            "use the connection {name}: it was the account {known} and is now {found}; \
             if that is meant, start with a new database"
        ),
        (None, Some(found)) => {
            store.write(|tx| tx.set_meta(&key, &found))?;
            Ok(Some(found))
        }
        (known, _) => Ok(known),
    }
}

/// The wall clock, RFC 3339 in UTC with milliseconds: for display and schedules.
pub fn now() -> String {
    after(Duration::ZERO)
}

/// A time that has been.
pub fn before(ago: Duration) -> String {
    let ago = jiff::SignedDuration::try_from(ago).unwrap_or(jiff::SignedDuration::MAX);
    let at = jiff::Timestamp::now().checked_sub(ago).unwrap_or(jiff::Timestamp::MIN);
    format!("{at:.3}")
}

/// A time from now.
pub fn after(wait: Duration) -> String {
    let now = jiff::Timestamp::now();
    let wait = jiff::SignedDuration::try_from(wait).unwrap_or(jiff::SignedDuration::MAX);
    let at = now.checked_add(wait).unwrap_or(jiff::Timestamp::MAX);
    format!("{at:.3}")
}

/// Decorrelated jitter: between a second and ten minutes.
pub fn backoff(tries: u32, retry_after: Option<u32>) -> Duration {
    if let Some(seconds) = retry_after {
        return Duration::from_secs(u64::from(seconds.max(1)));
    }
    let ceiling = BACKOFF_FIRST_MS.saturating_mul(1 << tries.min(20)).min(BACKOFF_MAX_MS);
    let wait = rand::random_range(BACKOFF_FIRST_MS / 2..=ceiling.max(BACKOFF_FIRST_MS));
    Duration::from_millis(wait)
}

const BACKOFF_FIRST_MS: u64 = 500;
const BACKOFF_MAX_MS: u64 = 600_000;
