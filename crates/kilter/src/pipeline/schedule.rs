//! Schedule: when stages run. `until_quiet` for `sync`, `forever` for `serve`.
//!
//! Reads   periods, the bell.   Writes  nothing of its own.
//! Never   passes data from stage to stage: they meet in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kilter_core::manifest::Resource;
use kilter_core::schedule::{every_seconds, last_sweep};
use kilter_core::sync::house::View;
use tokio::time::Instant;

use crate::engine::{Engine, now};
use crate::pipeline::poll::{Extent, FaultError};
use crate::pipeline::{deliver, keep, looks, merge, poll, resolve, retain, subscribe, swept};
use crate::store::Result;

/// What happens, for a progress bar or a log.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Polling { connection: String, resource: String },
    Polled { connection: String, resource: String, differed: usize },
    Failed { connection: String, resource: String, fault: String },
    Merged(usize),
    Delivering { connection: String, planned: usize },
    Quiet,
}

pub type Watch<'a> = &'a (dyn Fn(Event) + Send + Sync);

/// How long `sync` waits for a retry that is near.
const PATIENCE: Duration = Duration::from_secs(15);

/// Most rounds of a `sync`: a loop that does not end is a mistake of ours, and is said.
const ROUNDS_MAX: usize = 5_000;

/// Polls everything once, then works until nothing moves without a person or a later look.
pub async fn until_quiet(engine: &Arc<Engine>, extent: Extent, watch: Watch<'_>) -> Result<()> {
    poll_all(engine, extent, watch, |_| true).await?;
    let started = Instant::now();
    let mut polled_again = false;
    for _ in 0..ROUNDS_MAX {
        if work(engine, watch).await? {
            continue;
        }
        // What fell waits for a poll of the orders; what was sold waits for the ERP's figure.
        if !polled_again {
            polled_again = true;
            poll_all(engine, Extent::SinceCursor, watch, |r| !r.holds_stock.is_empty()).await?;
            continue;
        }
        // What has been due for longer and was not worked on is a paused connection's, or out of scope.
        let since = crate::engine::before(STALE);
        let next = engine.store.write_async(move |tx| tx.next_retry(&since)).await?;
        let wait = next.and_then(|at| until(&at)).filter(|w| *w <= PATIENCE);
        match wait {
            Some(wait) if started.elapsed() < RETRIES_IN_SYNC => {
                tokio::time::sleep(wait.max(Duration::from_millis(50))).await;
            }
            _ => {
                watch(Event::Quiet);
                return Ok(());
            }
        }
    }
    Err(crate::store::Error::Refused(format!("sync: not quiet after {ROUNDS_MAX} rounds")))
}

/// What comes due while a round ends is the next round's.
const STALE: Duration = Duration::from_secs(1);

/// After this, retries are left to the next run.
const RETRIES_IN_SYNC: Duration = Duration::from_secs(600);

fn until(at: &str) -> Option<Duration> {
    let at: jiff::Timestamp = at.parse().ok()?;
    let left = at.duration_since(jiff::Timestamp::now());
    Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
}

/// One turn of every stage. False: nothing was done.
pub async fn work(engine: &Arc<Engine>, watch: Watch<'_>) -> Result<bool> {
    let mut moved = false;
    let merged = merge::run(engine).await?;
    if merged > 0 {
        watch(Event::Merged(merged));
        moved = true;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for connection in engine.active() {
        let engine = Arc::clone(engine);
        tasks.spawn(async move {
            let done = turn(&engine, &connection).await;
            (connection, done)
        });
    }
    while let Some(done) = tasks.join_next().await {
        let (connection, turn) =
            done.map_err(|e| crate::store::Error::Refused(format!("deliver: {e}")))?;
        let (read, planned) = turn?;
        if planned > 0 {
            watch(Event::Delivering { connection, planned });
        }
        moved |= read + planned > 0;
    }
    Ok(moved)
}

/// One connection's turn: how many objects were read or asked for, and how many were planned.
async fn turn(engine: &Arc<Engine>, connection: &str) -> Result<(usize, usize)> {
    let read = looks::run(engine, connection).await? + resolve::run(engine, connection).await?;
    Ok((read, deliver::run(engine, connection).await?))
}

/// Polls every listed resource of every active connection that `wanted` names.
pub async fn poll_all(
    engine: &Arc<Engine>,
    extent: Extent,
    watch: Watch<'_>,
    wanted: impl Fn(&Resource) -> bool,
) -> Result<()> {
    let house = Arc::clone(&engine.house);
    let mut tasks = tokio::task::JoinSet::new();
    for connection in engine.active() {
        let Some((_, connector)) = house.connector(&connection) else { continue };
        let resources: Vec<String> = connector
            .resources
            .iter()
            .filter(|r| r.list.is_some() && wanted(r))
            .map(|r| r.name.clone())
            .collect();
        for resource in &resources {
            watch(Event::Polling { connection: connection.clone(), resource: resource.clone() });
        }
        let engine = Arc::clone(engine);
        tasks.spawn(async move {
            let mut done = Vec::new();
            for resource in resources {
                let polled = poll::whole(&engine, &connection, &resource, extent).await;
                done.push((connection.clone(), resource, polled));
            }
            done
        });
    }
    while let Some(done) = tasks.join_next().await {
        let done = done.map_err(|e| crate::store::Error::Refused(format!("poll: {e}")))?;
        for (connection, resource, polled) in done {
            match polled {
                Ok(differed) => watch(Event::Polled { connection, resource, differed }),
                Err(poll::Error::Store(error)) => return Err(error),
                // Waited for.
                Err(poll::Error::Later(_)) => {}
                Err(poll::Error::Remote(_, FaultError(fault))) => {
                    watch(Event::Failed { connection, resource, fault: fault.to_string() });
                }
            }
        }
    }
    Ok(())
}

/// How often subscriptions are looked over, and whether it is too quiet.
const WATCHDOG_EVERY: Duration = Duration::from_secs(600);

/// The same after something was mended, or could not be looked at.
const WATCHDOG_AGAIN: Duration = Duration::from_secs(60);

/// How often a stage looks though nobody rang: what waits for a time comes due by itself.
const TICK: Duration = Duration::from_millis(500);

/// A bell that rang rings again soon: what comes within this long is looked at together.
const LULL: Duration = Duration::from_millis(20);

/// Works for ever: schedules, webhooks' bell, watchdog. What ends by a mistake begins again.
pub async fn forever(engine: Arc<Engine>) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for name in engine.active() {
        tasks.spawn(keep::up(Arc::clone(&engine), name.clone(), "reading", read_forever));
        tasks.spawn(keep::up(Arc::clone(&engine), name.clone(), "watchdog", watch_forever));
        let work = |engine, name| work_forever(engine, Some(name));
        tasks.spawn(keep::up(Arc::clone(&engine), name, "delivery", work));
    }
    let merge = |engine, _| work_forever(engine, None);
    tasks.spawn(keep::up(Arc::clone(&engine), String::new(), "merge", merge));
    let retain = |engine, _| retain_forever(engine);
    tasks.spawn(keep::up(Arc::clone(&engine), String::new(), "retention", retain));
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Merges what came in, or serves one connection: one that is slow keeps nobody waiting.
async fn work_forever(engine: Arc<Engine>, connection: Option<String>) -> Result<()> {
    let mut bell = engine.bell.subscribe();
    loop {
        bell.mark_unchanged();
        let moved = match &connection {
            Some(name) => turn(&engine, name).await.map(|(read, planned)| read + planned > 0),
            None => merge::run(&engine).await.map(|merged| merged > 0),
        };
        match moved {
            Ok(true) => {
                engine.ring();
                if connection.is_none() {
                    // All that was open is merged: what comes meanwhile is merged together.
                    tokio::time::sleep(LULL).await;
                }
            }
            Ok(false) => {
                tokio::select! {
                    _ = bell.changed() => tokio::time::sleep(LULL).await,
                    () = tokio::time::sleep(TICK) => {}
                }
            }
            Err(error) => {
                let name = connection.as_deref().unwrap_or_default();
                keep::tell(&engine, name, "a stage", &chain(&error)).await;
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
    }
}

/// Disk that is full stops everything: what is old goes, hour by hour.
async fn retain_forever(engine: Arc<Engine>) -> Result<()> {
    loop {
        if let Err(error) = retain::run(&engine).await {
            tracing::error!(error = %chain(&error), "old changes and deliveries are not let go");
        }
        if let Err(error) = engine.store.let_go_of_webhooks() {
            tracing::error!(error = %chain(&error), "webhooks that were taken over are not let go");
        }
        tokio::time::sleep(retain::EVERY).await;
    }
}

/// What came while nobody told us is polled at once, from where the last polls ended.
async fn watch_forever(engine: Arc<Engine>, connection: String) -> Result<()> {
    let mut silent = false;
    loop {
        let mut wait = WATCHDOG_EVERY;
        match subscribe::run(&engine, &connection).await {
            Ok(false) => {}
            Ok(true) => {
                engine.catch_up(&connection);
                // What was made before, and whose answer was lost, may land late.
                wait = WATCHDOG_AGAIN;
            }
            Err(fault) => {
                tracing::warn!(connection.id = connection, fault = %fault, "webhooks not looked over");
                wait = WATCHDOG_AGAIN;
            }
        }
        match subscribe::silent(&engine, &connection, silent).await {
            Ok(now) => {
                if now {
                    engine.catch_up(&connection);
                }
                silent = now;
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "how quiet it is cannot be told");
            }
        }
        tokio::time::sleep(wait).await;
    }
}

/// A poll that failed is tried again this soon.
const FAILED_AGAIN: Duration = Duration::from_secs(30);

/// What has no cursor is read whole each time, by one at a time; a poll goes beside a sweep.
type Reading = tokio::sync::Mutex<()>;

/// Polls of one connection, each by itself, and its sweeps: orders come in while everything is read.
async fn read_forever(engine: Arc<Engine>, connection: String) -> Result<()> {
    let house = Arc::clone(&engine.house);
    let views =
        || house.views().filter(|v| v.connection.name == connection && v.resource.list.is_some());
    let reading: BTreeMap<String, Arc<Reading>> =
        views().map(|v| (v.resource.name.clone(), Arc::default())).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for (resource, alone) in &reading {
        let (engine, connection) = (Arc::clone(&engine), connection.clone());
        tasks.spawn(poll_forever(engine, connection, resource.clone(), Arc::clone(alone)));
    }
    let views: Vec<View<'_>> = views().collect();
    if views.is_empty() {
        std::future::pending::<()>().await;
    }
    tokio::select! {
        Some(ended) = tasks.join_next() => match ended {
            Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
            ended => ended.map_err(|e| crate::store::Error::Refused(format!("poll: {e}"))),
        },
        outcome = sweep_forever(&engine, &views, &reading) => outcome,
    }
}

async fn poll_forever(
    engine: Arc<Engine>,
    connection: String,
    resource: String,
    alone: Arc<Reading>,
) {
    let house = Arc::clone(&engine.house);
    let Some(view) = house.view(&connection, &resource) else { return };
    let mut behind = engine.behind.get(&connection).map(tokio::sync::watch::Sender::subscribe);
    let mut soon = SOLD_AGAIN;
    loop {
        let mut wait = Duration::from_secs(every_seconds(&view).unsigned_abs());
        if let Some(behind) = &mut behind {
            behind.mark_unchanged();
        }
        let again = match alone.try_lock() {
            Ok(_alone) => poll_one(&engine, &view, Extent::SinceCursor).await,
            Err(_) if beside(&view) => poll_one(&engine, &view, Extent::SinceCursor).await,
            Err(_) => Some(FAILED_AGAIN),
        };
        wait = again.map_or(wait, |again| wait.min(again));
        let told = async {
            if let Some(behind) = &mut behind
                && behind.changed().await.is_ok()
            {
                return;
            }
            std::future::pending().await
        };
        soon = tokio::select! {
            () = tokio::time::sleep(wait) => SOLD_AGAIN,
            () = told => SOLD_AGAIN,
            // What failed, or is not ready, is left alone until its time comes.
            () = awaited(&engine, &view, soon), if again.is_none() => soon.saturating_mul(2),
        };
    }
}

/// So long after a poll of orders the next one is asked for by whoever waits for it; where they go on
/// waiting, twice as long each time, until a poll comes at its own time.
const SOLD_AGAIN: Duration = Duration::from_secs(5);
/// How often it is asked whether anybody does.
const AWAITED_LOOK: Duration = Duration::from_secs(1);

/// Until a figure that fell waits for these orders: it is not raised before, and the next poll may be
/// minutes away. Of other resources for ever.
async fn awaited(engine: &Arc<Engine>, view: &View<'_>, soon: Duration) {
    if view.resource.holds_stock.is_empty() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(soon).await;
    loop {
        let (name, resource) = (view.connection.name.clone(), view.resource.name.clone());
        let look = move |tx: &crate::store::Tx<'_>| tx.waits_for_orders(&name, &resource, &now());
        let waits = engine.store.write_async(look);
        match waits.await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(error = %chain(&error), "who waits for orders cannot be told");
                // The poll's own time comes.
                std::future::pending::<()>().await;
            }
        }
        tokio::time::sleep(AWAITED_LOOK).await;
    }
}

/// May a poll run while everything is read?
fn beside(view: &View<'_>) -> bool {
    view.resource.list.as_ref().is_some_and(|list| list.cursor.is_some())
}

/// How often it is asked whether a sweep is due. One that is late, for the machine was off, runs
/// at the first time of asking, and one that was interrupted goes on.
const SWEEP_LOOK: Duration = Duration::from_secs(10);

/// The first time, after polls had a moment to begin.
const SWEEP_FIRST: Duration = Duration::from_secs(10);

async fn sweep_forever(
    engine: &Arc<Engine>,
    views: &[View<'_>],
    reading: &BTreeMap<String, Arc<Reading>>,
) -> Result<()> {
    tokio::time::sleep(SWEEP_FIRST).await;
    loop {
        let mut asked = false;
        for view in views {
            let due = last_sweep(view, jiff::Timestamp::now().as_second());
            let due = jiff::Timestamp::from_second(due).unwrap_or(jiff::Timestamp::MIN);
            let (house, name) = (Arc::clone(&engine.house), view.connection.name.clone());
            let resource = view.resource.name.clone();
            let late = engine.store.write_async(move |tx| {
                let asked = tx.meta(&swept::backfill_key(&name))?;
                let asked = asked.and_then(|at| at.parse::<jiff::Timestamp>().ok());
                let Some(view) = house.view(&name, &resource) else { return Ok((false, false)) };
                let due = asked.map_or(due, |at| due.max(at));
                Ok((swept::swept_before(tx, &view, due)?, asked.is_some()))
            });
            let (late, backfill) = late.await?;
            asked |= backfill;
            if late {
                let (connection, resource) = (&view.connection.name, &view.resource.name);
                tracing::info!(connection.id = connection, resource, "a sweep: all is read again");
                let _alone = match reading.get(resource) {
                    Some(alone) => Some(alone.lock().await),
                    None => None,
                };
                poll_one(engine, view, Extent::Everything).await;
            }
        }
        if let Some(view) = views.first().filter(|_| asked) {
            filled(engine, &view.connection.name).await?;
        }
        tokio::time::sleep(SWEEP_LOOK).await;
    }
}

/// Was all that a person asked for read again? Then it is forgotten.
async fn filled(engine: &Arc<Engine>, connection: &str) -> Result<()> {
    let (house, name) = (Arc::clone(&engine.house), connection.to_owned());
    let forget = move |tx: &crate::store::Tx<'_>| {
        let key = swept::backfill_key(&name);
        let Some(at) = tx.meta(&key)? else { return Ok(()) };
        let at = at.parse().unwrap_or(jiff::Timestamp::MIN);
        for view in house.views().filter(|v| v.connection.name == name) {
            if swept::swept_before(tx, &view, at)? {
                return Ok(());
            }
        }
        tx.forget_meta(&key).map(|_| ())
    };
    engine.store.write_async(forget).await
}

/// When it is to be tried again before its time: it failed, and said so, or the remote needs longer.
async fn poll_one(engine: &Arc<Engine>, view: &View<'_>, extent: Extent) -> Option<Duration> {
    let (connection, resource) = (&view.connection.name, &view.resource.name);
    match poll::run(engine, connection, resource, extent).await {
        Ok(differed) => {
            if differed > 0 || !view.resource.holds_stock.is_empty() {
                engine.ring();
            }
            None
        }
        Err(poll::Error::Later(wait)) => Some(wait),
        Err(error) => {
            tracing::warn!(connection.id = connection, resource,
                error = %chain(&error), "a poll failed");
            Some(FAILED_AGAIN)
        }
    }
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
