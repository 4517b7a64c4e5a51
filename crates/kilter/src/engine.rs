//! The engine: the house, the store and a way out for each connection, put together once.
//!
//! Reads   the compiled config.   Writes  nothing of its own.
//! Never   decides: stages do, by the core.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kilter_core::model::{Fault, FaultKind};
use kilter_core::sync::house::{House, View};

use crate::remote::Remote;
use crate::store::Store;

/// Guards that only a negative control switches off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards {
    pub echo_suppression: bool,
    pub stock_rule: bool,
    pub permits: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Self { echo_suppression: true, stock_rule: true, permits: true }
    }
}

impl Guards {
    /// `KILTER_UNSAFE_WITHOUT=permits,stock_rule`: for the demo's negative control alone.
    pub fn from_env() -> Self {
        let mut guards = Self::default();
        let off = std::env::var("KILTER_UNSAFE_WITHOUT").unwrap_or_default();
        for name in off.split(',').map(str::trim).filter(|n| !n.is_empty()) {
            tracing::warn!(guard = name, "a guard is switched off: this is a negative control");
            match name {
                "echo_suppression" => guards.echo_suppression = false,
                "stock_rule" => guards.stock_rule = false,
                "permits" => guards.permits = false,
                _ => {}
            }
        }
        guards
    }
}

#[derive(Debug)]
pub struct Engine {
    pub house: Arc<House>,
    pub store: Store,
    pub remotes: BTreeMap<String, Arc<Remote>>,
    pub guards: Guards,
    /// Rung when there may be something to merge or deliver. Carries no data.
    pub bell: tokio::sync::Notify,
}

impl Engine {
    pub fn new(house: House, store: Store) -> anyhow::Result<Self> {
        let mut remotes = BTreeMap::new();
        for (name, connection) in &house.config.connections {
            let connector = house
                .connectors
                .get(&connection.connector)
                .with_context(|| format!("find the connector {}", connection.connector))?;
            let remote = Remote::new(connection, connector, house.config.limits.answer_bytes)?;
            remotes.insert(name.clone(), Arc::new(remote));
        }
        Ok(Self {
            house: Arc::new(house),
            store,
            remotes,
            guards: Guards::from_env(),
            bell: tokio::sync::Notify::new(),
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
        let answer = remote.send(view.connector, request, &view.connection.lookups).await;
        if let Err(fault) = &answer {
            tracing::debug!(
                connection.id = view.connection.name,
                resource = view.resource.name,
                fault = %fault,
                "a call failed"
            );
            let (store, fault) = (self.store.clone(), fault.clone());
            let (name, resource) = (view.connection.name.clone(), view.resource.name.clone());
            let at = now();
            store.write_async(move |tx| tx.write_fault(&name, &resource, &fault, &at)).await.ok();
        }
        answer
    }

    /// Connections that are not paused.
    pub fn active(&self) -> Vec<String> {
        let connections = self.house.config.connections.values();
        connections.filter(|c| !c.paused).map(|c| c.name.clone()).collect()
    }
}

/// The wall clock, RFC 3339 in UTC with milliseconds: for display and schedules.
pub fn now() -> String {
    after(Duration::ZERO)
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
