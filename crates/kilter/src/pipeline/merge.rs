//! Merge: open changes of the log become what is true.
//!
//! Reads   open changes, oldest first.   Writes  records, objects, sold lines, each change's end.
//! Never   waits: what cannot be resolved yet is kept and woken later.
//!
//! Under a backlog the bodies of the next batch are read beside the merging of this one, what is known
//! stays in memory until somebody else writes, and what a batch leaves behind is let go of by somebody else.

use std::sync::Arc;

use kilter_core::model::{Change, End};
use kilter_core::sync::house::House;
use kilter_core::sync::world::World;

use crate::engine::Engine;
use crate::pipeline::receive::{Understood, merge_understood, understand};
use crate::store::changes::Open;
use crate::store::{Error, Result, Tx};

/// From so many on, what they leave is let go of by a thread of its own.
const BESIDE_LEAST: usize = 16;

/// Under a backlog that keeps nobody waiting, a batch grows up to so many times its size: rows that
/// share a page are written once.
const GROWS_MAX: usize = 4;

/// Records and objects that one world may hold when the next batch begins.
const WORLD_MAX: usize = 60_000;

/// Changes in their order, and what each says.
type Said = Vec<(Change, Understood)>;

/// What one batch leaves to the next.
#[derive(Default)]
struct Ahead {
    said: Said,
    /// With the store's count of writes: by another one it is out of date.
    known: Option<(World, u64)>,
}

/// Merges until nothing is open. Returns how many changes ended.
pub async fn run(engine: &Arc<Engine>) -> Result<usize> {
    let mut total = 0;
    let most = engine.house.config.limits.merge_batch;
    let (mut limit, mut ahead) = (most, Ahead::default());
    loop {
        let house = Arc::clone(&engine.house);
        let spool = engine.store.spool().filter(|spool| spool.waits());
        let from = spool.clone();
        let batch = move |tx: &Tx<'_>| {
            let taken = from.map(|spool| tx.take_over(&spool)).transpose()?;
            Ok((taken, batch(tx, &house, limit, ahead)?))
        };
        let (taken, (ended, next)) = engine.store.write_async(batch).await?;
        if let (Some(spool), Some((_, place))) = (&spool, &taken) {
            spool.taken(place);
        }
        total += ended.len();
        if ended.len() >= BESIDE_LEAST {
            tokio::task::spawn_blocking(move || drop(ended));
        }
        let waits = spool.is_some_and(|spool| spool.waits());
        if next.said.is_empty() && !waits {
            return Ok(total);
        }
        let waited_for = engine.store.waited_for();
        limit = if waited_for { most } else { limit.saturating_mul(2).min(most * GROWS_MAX) };
        ahead = next;
    }
}

/// Merges what was read ahead, or the oldest; reads up to `limit` for the next.
fn batch(tx: &Tx<'_>, house: &House, limit: usize, ahead: Ahead) -> Result<(Ended, Ahead)> {
    let written = tx.written();
    let mut world = match ahead.known.filter(|(_, then)| *then == written) {
        Some((world, _)) => tx.go_on(world),
        None => tx.world()?,
    };
    let mut said = ahead.said;
    if said.is_empty() {
        said = read(house, tx.open_changes(0, limit)?);
    }
    let last = said.last().map_or(0, |(change, _)| change.seq);
    let next = if said.is_empty() { Open::default() } else { tx.open_changes(last, limit)? };
    let (ended, said) = std::thread::scope(|scope| {
        let reading = (!next.changes.is_empty()).then(|| scope.spawn(|| read(house, next)));
        let ended = merge(tx, house, &mut world, said);
        let next = reading.map_or(Ok(Said::new()), std::thread::ScopedJoinHandle::join);
        let next = next.map_err(|_| Error::Refused("read bodies".to_owned()))?;
        ended.map(|ended| (ended, next))
    })?;
    let alone = tx.written() == written;
    tx.save(&world)?;
    tx.end_changes(&ended)?;
    world.written();
    let fits = world.records.len() + world.objects.len() <= WORLD_MAX;
    let known = (alone && fits && !said.is_empty()).then(|| (world, tx.written()));
    Ok((ended, Ahead { said, known }))
}

type Ended = Vec<(Change, End)>;

fn merge(tx: &Tx<'_>, house: &House, world: &mut World, said: Said) -> Result<Ended> {
    tx.foresee(house, world, said.iter().map(|(change, _)| change))?;
    let mut ended = Vec::with_capacity(said.len());
    for (change, said) in said {
        let end = merge_understood(tx, house, world, &change, said)?;
        if let End::Dead(reason) = &end {
            tracing::warn!(connection.id = change.connection.as_str(), reason, "dead letter");
        }
        ended.push((change, end));
    }
    Ok(ended)
}

/// What the bodies of changes say.
fn read(house: &House, open: Open) -> Said {
    let each = open.changes.into_iter().zip(open.texts);
    let said = each.map(|(change, text)| match serde_json::from_str(&text) {
        Ok(body) => {
            let understood = understand(house, &change, &body);
            (change, understood)
        }
        Err(error) => {
            let end = End::Dead(format!("failed to read its body: {error}"));
            (change, Understood::Ended(end))
        }
    });
    said.collect()
}
