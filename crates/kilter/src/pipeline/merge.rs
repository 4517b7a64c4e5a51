//! Merge: open changes of the log become what is true.
//!
//! Reads   open changes, oldest first.   Writes  records, objects, sold lines, each change's end.
//! Never   waits: what cannot be resolved yet is kept and woken later.
//!
//! What bodies say is read beside the loading of what is known; what a batch leaves behind in memory is
//! let go of by somebody else, once the next one may begin.

use std::sync::Arc;

use kilter_core::model::{Change, End};
use kilter_core::sync::house::House;
use kilter_core::sync::world::World;

use crate::engine::Engine;
use crate::pipeline::receive::{Understood, merge_understood, understand};
use crate::store::changes::Open;
use crate::store::{Error, Result, Tx};

/// From so many on, bodies are read by a thread of their own.
const BESIDE_LEAST: usize = 16;

/// Under a backlog that keeps nobody waiting, a batch grows up to so many times its size: rows that
/// share a page are written once.
const GROWS_MAX: usize = 4;

/// Merges until nothing is open. Returns how many changes ended.
pub async fn run(engine: &Arc<Engine>) -> Result<usize> {
    let mut total = 0;
    let most = engine.house.config.limits.merge_batch;
    let mut limit = most;
    loop {
        let house = Arc::clone(&engine.house);
        let batch = move |tx: &Tx<'_>| batch(tx, &house, limit);
        let (ends, world) = engine.store.write_async(batch).await?;
        let done = ends.len();
        total += done;
        if done >= BESIDE_LEAST {
            tokio::task::spawn_blocking(move || drop((ends, world)));
        }
        if done < limit {
            return Ok(total);
        }
        let waited_for = engine.store.waited_for();
        limit = if waited_for { most } else { limit.saturating_mul(2).min(most * GROWS_MAX) };
    }
}

fn batch(tx: &Tx<'_>, house: &House, limit: usize) -> Result<(Vec<(Change, End)>, World)> {
    let Open { changes, texts } = tx.open_changes(limit)?;
    let mut world = tx.world()?;
    let said = if changes.len() < BESIDE_LEAST {
        tx.foresee(house, &mut world, &changes)?;
        read(house, &changes, &texts)
    } else {
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| read(house, &changes, &texts));
            let foreseen = tx.foresee(house, &mut world, &changes);
            let said = reading.join().map_err(|_| Error::Refused("read bodies".to_owned()))?;
            foreseen.map(|()| said)
        })?
    };
    let mut ends = Vec::with_capacity(changes.len());
    for (change, said) in changes.into_iter().zip(said) {
        let end = merge_understood(tx, house, &mut world, &change, said)?;
        if let End::Dead(reason) = &end {
            tracing::warn!(connection.id = change.connection, reason, "dead letter");
        }
        ends.push((change, end));
    }
    tx.save_alone(&world)?;
    tx.end_changes(&ends)?;
    Ok((ends, world))
}

/// What the bodies of changes say.
fn read(house: &House, changes: &[Change], texts: &[String]) -> Vec<Understood> {
    let each = changes.iter().zip(texts);
    let said = each.map(|(change, text)| match serde_json::from_str(text) {
        Ok(body) => understand(house, change, &body),
        Err(error) => Understood::Ended(End::Dead(format!("failed to read its body: {error}"))),
    });
    said.collect()
}
