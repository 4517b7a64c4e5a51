//! Merge: open changes of the log become what is true.
//!
//! Reads   open changes, oldest first.   Writes  records, objects, sold lines, each change's end.
//! Never   waits: what cannot be resolved yet is kept and woken later.
//!
//! Under a backlog, while one part of a batch is written the next is merged beside it, and the bodies of
//! the next batch are read; what is known stays in memory until somebody else writes, and what a batch
//! leaves behind is let go of by somebody else.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kilter_core::model::{Change, End};
use kilter_core::sync::house::House;
use kilter_core::sync::world::{Dirty, World};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::engine::Engine;
use crate::pipeline::heard::Heard;
use crate::pipeline::receive::{Understood, asked_for, merge_known, merge_understood, understand};
use crate::store::changes::Open;
use crate::store::{Error, Result, Tx};

/// From so many on, a thread of its own is worth it: to merge, or to let go of what they leave.
const BESIDE_LEAST: usize = 16;

/// So many are merged while as many before them are written.
const PART: usize = 250;

/// Under a backlog, a batch grows up to so many times its size, and ends where somebody waits: rows
/// that share a page are written once.
const GROWS_MAX: usize = 16;

/// Who waits gets the turn after as many times its size.
const FAIR: usize = 4;

/// Records, objects and sold lines' answers that one world may hold when the next batch begins.
const WORLD_MAX: usize = 100_000;

/// Changes in their order, and what each says.
type Said = VecDeque<(Change, Understood)>;

/// What was read beside a batch, and what that knew by then.
type Read = (Vec<(Change, Understood)>, Heard);

/// What one batch leaves to the next.
#[derive(Default)]
struct Ahead {
    said: Said,
    /// What follows, while it is read.
    reading: Option<JoinHandle<Read>>,
    /// What was read before, unless somebody reads.
    heard: Heard,
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
        let (from, store) = (spool.clone(), engine.store.clone());
        let batch = move |tx: &Tx<'_>| {
            let taken = from.map(|spool| tx.take_over(&spool)).transpose()?;
            let fair = limit.min(most * FAIR);
            let enough = |done: usize| done >= limit || (done >= fair && store.waited_for());
            Ok((taken, batch(tx, &house, limit, ahead, enough)?))
        };
        let (taken, (ended, mut next)) = engine.store.write_async(batch).await?;
        if let (Some(spool), Some((_, place))) = (&spool, &taken) {
            spool.taken(place);
        }
        total += ended.len();
        if ended.len() >= BESIDE_LEAST {
            spawn_blocking(move || drop(ended));
        }
        if let Some(reading) = next.reading.take() {
            let lost = |e| Error::Refused(format!("read bodies: {e}"));
            let (said, heard) = reading.await.map_err(lost)?;
            next.said.extend(said);
            next.heard = heard;
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

/// Merges what was read ahead, or the oldest, until it is `enough`; has up to `limit` read for the next.
fn batch(
    tx: &Tx<'_>,
    house: &Arc<House>,
    limit: usize,
    ahead: Ahead,
    enough: impl Fn(usize) -> bool,
) -> Result<(Ended, Ahead)> {
    let world = match ahead.known.filter(|(_, then)| *then == tx.written()) {
        Some((world, _)) => tx.go_on(world),
        None => tx.world()?,
    };
    let (mut said, mut heard, precedence) = (ahead.said, ahead.heard, Precedence::default());
    if said.is_empty() {
        said = read(house, tx.open_changes(0, limit)?, &precedence, &mut heard).into();
    }
    let last = said.back().map_or(0, |(change, _)| change.seq);
    let room = limit.saturating_mul(2).saturating_sub(said.len());
    let next = if said.is_empty() { Open::default() } else { tx.open_changes(last, room)? };
    let reading = (!next.changes.is_empty()).then(|| {
        let (house, precedence) = (Arc::clone(house), precedence.clone());
        let mut heard = std::mem::take(&mut heard);
        spawn_blocking(move || (read(&house, next, &precedence, &mut heard), heard))
    });
    let written = tx.written();
    let mut merging = Merging { tx, house, world, precedence, written, alone: true, open: None };
    let ended = merging.all(&mut said, enough)?;
    let (world, alone) = (merging.world, merging.alone);
    let goes_on = reading.is_some() || !said.is_empty();
    let known = alone && goes_on && world.size() <= WORLD_MAX;
    let known = known.then(|| (world, tx.written()));
    Ok((ended, Ahead { said, reading, heard, known }))
}

/// True while a part is merged beside the writer, who waits for it: reading gives way to it where both
/// have one core.
#[derive(Debug, Clone)]
struct Precedence(Option<Arc<AtomicBool>>);

impl Default for Precedence {
    fn default() -> Self {
        let few = std::thread::available_parallelism().is_ok_and(|cores| cores.get() <= 2);
        Self(few.then(Arc::default))
    }
}

/// How long reading gives way at a time.
const GIVES_WAY: Duration = Duration::from_micros(200);

impl Precedence {
    /// Until what is returned is dropped.
    fn take(&self) -> Taken<'_> {
        self.0.iter().for_each(|at_it| at_it.store(true, Ordering::Relaxed));
        Taken(self)
    }

    fn give_way(&self) {
        while self.0.as_ref().is_some_and(|at_it| at_it.load(Ordering::Relaxed)) {
            std::thread::sleep(GIVES_WAY);
        }
    }
}

struct Taken<'m>(&'m Precedence);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.0.iter().for_each(|at_it| at_it.store(false, Ordering::Relaxed));
    }
}

type Ended = Vec<(Change, End)>;

/// The merges of one transaction: while a part is written, the next is merged beside it, as far as it
/// asks for nothing that must be read.
struct Merging<'m, 'c> {
    tx: &'m Tx<'c>,
    house: &'m House,
    world: World,
    precedence: Precedence,
    /// The store's count of writes, as far as they are our own.
    written: u64,
    /// Did nobody but us write what the world holds?
    alone: bool,
    /// What was merged and is not written yet.
    open: Option<(Dirty, Ended)>,
}

impl Merging<'_, '_> {
    /// Merges from the front of `said`, part by part.
    fn all(&mut self, said: &mut Said, enough: impl Fn(usize) -> bool) -> Result<Ended> {
        let (mut all, mut merged) = (Vec::with_capacity(said.len()), 0);
        while !said.is_empty() && !enough(merged) {
            let part: Said = said.drain(..said.len().min(PART)).collect();
            merged += part.len();
            if let Some((ended, rest)) = self.beside(part, &mut all)? {
                self.one_by_one(ended, rest)?;
            }
        }
        self.write(&mut all)?;
        Ok(all)
    }

    /// Writes what is open, and meanwhile merges from the front of a part what the world knows. What
    /// ended and what is left, if anything is.
    fn beside(&mut self, part: Said, all: &mut Ended) -> Result<Option<(Ended, Said)>> {
        if self.open.is_none() || part.len() < BESIDE_LEAST {
            self.write(all)?;
            return Ok(Some(known(self.house, &mut self.world, part)));
        }
        let (house, mut world) = (self.house, std::mem::take(&mut self.world));
        let precedence = self.precedence.clone();
        let (merged, written) = std::thread::scope(|scope| {
            let merging = scope.spawn(move || {
                let _taken = precedence.take();
                let (ended, rest) = known(house, &mut world, part);
                let dirty = rest.is_empty().then(|| world.take_dirty());
                (world, ended, rest, dirty)
            });
            let written = self.write(all);
            (merging.join(), written)
        });
        let (world, ended, rest, dirty) =
            merged.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written?;
        self.world = world;
        let Some(dirty) = dirty else { return Ok(Some((ended, rest))) };
        self.open = Some((dirty, ended));
        Ok(None)
    }

    /// Merges what is left of a part, and reads what it asks for.
    fn one_by_one(&mut self, mut ended: Ended, rest: Said) -> Result<()> {
        let Self { tx, house, world, .. } = self;
        for (change, said) in rest {
            tx.foresee(house, world, [&change])?;
            let end = merge_understood(tx, house, world, &change, said)?;
            ended.push((change, end));
        }
        self.alone &= tx.written() == self.written;
        self.open = Some((self.world.take_dirty(), ended));
        Ok(())
    }

    /// Writes what is open.
    fn write(&mut self, all: &mut Ended) -> Result<()> {
        let Some((dirty, ended)) = self.open.take() else { return Ok(()) };
        self.tx.put(&dirty)?;
        self.tx.end_changes(&ended)?;
        self.written = self.tx.written();
        for (change, end) in &ended {
            if let End::Dead(reason) = end {
                tracing::warn!(connection.id = change.connection.as_str(), reason, "dead letter");
            }
        }
        all.extend(ended);
        Ok(())
    }
}

/// Merges from the front what the world knows; what is left is to be read for.
fn known(house: &House, world: &mut World, mut part: Said) -> (Ended, Said) {
    let mut ended = Vec::with_capacity(part.len());
    while let Some((change, said)) = part.pop_front() {
        let Some(end) = merge_known(house, world, &change, &said) else {
            part.push_front((change, said));
            break;
        };
        ended.push((change, end));
    }
    (ended, part)
}

/// What the bodies of changes say.
fn read(
    house: &House,
    open: Open,
    precedence: &Precedence,
    heard: &mut Heard,
) -> Vec<(Change, Understood)> {
    let each = open.changes.into_iter().zip(open.texts).inspect(|_| precedence.give_way());
    let said = each.map(|(change, text)| {
        let understood = heard.or(&change, &text, || meant(house, &change, &text));
        debug_assert!(says_all(house, &change, &text, &understood), "a key is left out: {text}");
        (change, understood)
    });
    said.collect()
}

fn meant(house: &House, change: &Change, text: &str) -> Understood {
    match asked_for(house, change, text) {
        Ok(body) => understand(house, change, &body),
        Err(error) => Understood::Ended(End::Dead(format!("failed to read its body: {error}"))),
    }
}

/// Every test that merges is one of what is asked for: the whole body says no more.
fn says_all(house: &House, change: &Change, text: &str, said: &Understood) -> bool {
    let whole = serde_json::from_str(text).map(|body| understand(house, change, &body));
    whole.map_or(matches!(said, Understood::Ended(End::Dead(_))), |whole| whole == *said)
}
