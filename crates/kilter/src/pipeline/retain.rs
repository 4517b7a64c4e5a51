//! Retain: how long the log, the story of deliveries and that of exchanges are kept.
//!
//! Reads   `limits.changes_kept_days`, `limits.deliveries_kept_days`, `limits.exchanges_kept_days`,
//!         `limits.exchanges_max`.
//! Writes  deletions, a batch a transaction, each short: a webhook waits for none of them for long.
//! Never   makes the file smaller: what is free in it is used again.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::store::{Result, Tx};

/// How often `serve` looks.
pub const EVERY: Duration = Duration::from_secs(3600);

/// Between two batches, so that the live lane comes in between.
const PAUSE: Duration = Duration::from_millis(20);

/// Most batches of one run: the rest is an hour later.
const BATCHES_MAX: usize = 10_000;

/// One run.
pub async fn run(engine: &Arc<Engine>) -> Result<()> {
    let limits = &engine.house.config.limits;
    let changes =
        table(engine, limits.changes_kept_days, |tx, before| tx.forget_changes(before)).await?;
    let deliveries =
        table(engine, limits.deliveries_kept_days, |tx, before| tx.forget_deliveries(before))
            .await?;
    let most = limits.exchanges_max;
    let exchanges = table(engine, limits.exchanges_kept_days, move |tx, before| {
        tx.forget_exchanges(before, most)
    });
    let exchanges = exchanges.await?;
    if changes + deliveries + exchanges > 0 {
        tracing::info!(changes, deliveries, exchanges, "what is older than it is kept was let go");
    }
    Ok(())
}

async fn table(
    engine: &Arc<Engine>,
    days: usize,
    forget: impl Fn(&Tx<'_>, &str) -> Result<(usize, bool)> + Copy + Send + 'static,
) -> Result<usize> {
    let before = before(days);
    let mut gone = 0;
    for _ in 0..BATCHES_MAX {
        let before = before.clone();
        let (n, more) = engine.store.write_async(move |tx| forget(tx, &before)).await?;
        gone += n;
        if !more {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(gone)
}

/// So many days ago, as the store writes times.
fn before(days: usize) -> String {
    let hours = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(24);
    let ago = jiff::SignedDuration::from_hours(hours.min(HOURS_MAX));
    let at = jiff::Timestamp::now().checked_sub(ago).unwrap_or(jiff::Timestamp::MIN);
    format!("{at:.3}")
}

/// A thousand years.
const HOURS_MAX: i64 = 24 * 365 * 1000;
