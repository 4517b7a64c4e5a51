//! Merge: open changes of the log become what is true.
//!
//! Reads   open changes, oldest first.   Writes  records, objects, sold lines, each change's end.
//! Never   waits: what cannot be resolved yet is kept and woken later.
//!
//! Under a backlog a part is merged in memory while the one before it ends in the log and the bodies of
//! later ones are read; what changed is written once a batch, however often it changed, or while more is
//! merged where somebody waits. While that is
//! written and committed, what follows is merged in memory already: it counts if nobody else wrote since.
//! If somebody did, it is taken back, and what they wrote is read again; the rest stays known.
//! What a batch leaves behind is let go of by somebody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kilter_core::model::{Change, End, Seq};
use kilter_core::sync::house::House;
use kilter_core::sync::world::{Dirty, World};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::engine::Engine;
use crate::pipeline::reading::{Reading, Said};
use crate::pipeline::receive::{Understood, merge_known, merge_understood};
use crate::store::{Error, Result, Store, Tx};

/// From so many on, a thread of its own is worth it: to merge, or to let go of what they leave.
const BESIDE_LEAST: usize = 16;

/// After so many it is asked whether somebody waits.
const LOOKS_EVERY: usize = 250;

/// So many are read at a time.
const PIECE: usize = 500;

/// Fewer are read ahead, where their bodies take more bytes than this.
const AHEAD_BYTES_MAX: usize = 48 << 20;

/// Under a backlog, a batch grows up to so many times its size, and ends where somebody waits.
const GROWS_MAX: usize = 64;

/// Who waits gets the turn after as many times its size.
const FAIR: usize = 4;

/// So many are merged one by one until it is tried again whether the next is known.
const ONE_BY_ONE_MAX: usize = 250;

/// How much is done at a time. What is true in the end does not depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// So many are merged while those before them end, if nobody waits.
    pub part: usize,
    /// As many changes are taken out of the log before their turn, with those that are merged ahead.
    pub ahead: usize,
    /// Records, objects and sold lines' answers of one world: past it a batch ends, and the next one begins
    /// with none.
    pub world: usize,
    /// Changed rows that wait to be written: what is more, is written before the batch ends.
    pub unwritten: usize,
    /// The same of sold lines: each question about one walks over all of them.
    pub unwritten_sold: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        let (part, ahead, world) = (4_000, 32_000, 100_000);
        Self { part, ahead, world, unwritten: 32_000, unwritten_sold: 250 }
    }
}

impl Bounds {
    /// Waits so much of a world to be written that it is time?
    fn full(&self, world: &World) -> bool {
        let (rows, sold) = world.unwritten();
        rows > self.unwritten || sold > self.unwritten_sold
    }
}

/// Merges until nothing is open. Returns how many changes ended.
pub async fn run(engine: &Arc<Engine>) -> Result<usize> {
    Ok(run_within(engine, Bounds::default()).await?.merged)
}

/// What merging until nothing was open came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ran {
    /// How many changes ended.
    pub merged: usize,
    /// How often rows were written before their batch ended.
    pub early: usize,
    /// How often what was known went on after others had written.
    pub caught_up: usize,
    /// How often a world was too large for the next batch.
    pub dropped: usize,
    /// Most changes that were in hand between two batches.
    pub ahead: usize,
}

/// The same, so much at a time.
pub async fn run_within(engine: &Arc<Engine>, bounds: Bounds) -> Result<Ran> {
    let mut total = 0;
    let most = engine.house.config.limits.merge_batch.clamp(1, bounds.part.max(1));
    let (mut limit, mut ahead) = (most, Ahead::new(&engine.house));
    loop {
        let house = Arc::clone(&engine.house);
        let spool = engine.store.spool().filter(|spool| spool.waits());
        let from = spool.clone();
        let turn = Turn { most, limit, bounds, store: engine.store.clone() };
        let work = move |tx: &Tx<'_>| {
            let taken = from.map(|spool| tx.take_over(&spool)).transpose()?;
            Ok((taken, batch(tx, &house, &turn, ahead)?))
        };
        let (taken, (ended, mut next)) = engine.store.write_async(work).await?;
        if let (Some(spool), Some((_, place))) = (&spool, &taken) {
            spool.taken(place);
        }
        next.merged().await?;
        next.ran.ahead = next.ran.ahead.max(next.said.len() + next.reading.away());
        total += ended.len();
        let_go_of(ended.len(), ended);
        if next.is_empty() && !spool.is_some_and(|spool| spool.waits()) {
            let ran = Ran { merged: total, ..next.ran };
            let_go_of(total, next);
            return Ok(ran);
        }
        let waited_for = engine.store.waited_for();
        limit = if waited_for { most } else { limit.saturating_mul(2).min(most * GROWS_MAX) };
        ahead = next;
    }
}

/// Many small things take their time to be let go of: nobody waits for it.
fn let_go_of<T: Send + 'static>(how_many: usize, what: T) {
    if how_many >= BESIDE_LEAST {
        spawn_blocking(move || drop(what));
    }
}

/// How long a batch may go on.
struct Turn {
    most: usize,
    limit: usize,
    bounds: Bounds,
    store: Store,
}

impl Turn {
    fn enough(&self, done: usize, world: &World) -> bool {
        let fair = self.limit.min(self.most * FAIR);
        let large = done > 0 && world.size() > self.bounds.world;
        done >= self.limit || large || (done >= fair && self.store.waited_for())
    }

    /// May a part go on after so many of it?
    fn goes_on(&self, merged: usize) -> bool {
        merged < self.bounds.part
            && (merged < self.most
                || !merged.is_multiple_of(LOOKS_EVERY)
                || !self.store.waited_for())
    }
}

/// Merges what was read ahead, and what follows, until it is `enough`.
fn batch(tx: &Tx<'_>, house: &Arc<House>, turn: &Turn, mut ahead: Ahead) -> Result<(Ended, Ahead)> {
    let (world, ended) = ahead.go_on(tx)?;
    let mut merging = Merging::new(tx, house, world, ended);
    while !turn.enough(merging.merged(), &merging.world) && ahead.any(tx, turn.most)? {
        merging.part(&mut ahead, turn)?;
    }
    merging.end()?;
    let alone = merging.alone();
    let Merging { mut world, all, .. } = merging;
    let dirty = world.take_dirty();
    if alone && world.size() <= turn.bounds.world {
        // Who waits will write, and what is merged by then would be merged again.
        ahead.keep(house, world, turn, !turn.store.waited_for());
    } else if alone {
        ahead.ran.dropped += 1;
    }
    // Also so that it is known whether anything is open.
    ahead.fetch(tx, turn, ahead.said.len() + ahead.lent())?;
    tx.put(&dirty)?;
    ahead.written = tx.watch();
    Ok((all, ahead))
}

/// What one batch leaves to the next.
struct Ahead {
    said: Said,
    reading: Reading,
    /// All up to here was taken out of the log.
    last: Seq,
    /// A world as it was written, and how the first of `said` ended in it since, in memory alone.
    known: Option<(World, Vec<End>)>,
    /// The same while it is merged, until it is told that it is enough.
    merging: Option<Beside>,
    /// The store's count of writes when that world was written: by another one it is out of date.
    written: u64,
    ran: Ran,
}

struct Beside {
    merging: JoinHandle<(World, Said, Vec<End>)>,
    /// How many it has in hand.
    lent: usize,
    enough: Arc<AtomicBool>,
}

impl Ahead {
    fn new(house: &Arc<House>) -> Self {
        let (said, reading) = (Said::new(), Reading::new(house));
        Self { said, reading, last: 0, known: None, merging: None, written: 0, ran: Ran::default() }
    }

    fn is_empty(&self) -> bool {
        self.said.is_empty() && self.reading.away() == 0
    }

    /// Takes what is read by now, and waits for some. False: nothing is open.
    fn any(&mut self, tx: &Tx<'_>, most: usize) -> Result<bool> {
        if self.is_empty() {
            let open = tx.open_changes(self.last, most)?;
            self.last = open.changes.last().map_or(self.last, |change| change.seq);
            self.said = self.reading.now(open)?;
        } else if self.said.is_empty() {
            self.said = self.reading.next()?;
        }
        self.gather();
        Ok(!self.said.is_empty())
    }

    fn gather(&mut self) {
        while let Some(more) = self.reading.ready() {
            self.said.extend(more);
        }
    }

    /// How many of those that are read are merged meanwhile.
    fn lent(&self) -> usize {
        self.merging.as_ref().map_or(0, |beside| beside.lent)
    }

    /// Has those read that come later; so many are left of those that are read.
    fn fetch(&mut self, tx: &Tx<'_>, turn: &Turn, left: usize) -> Result<()> {
        let mut most = turn.bounds.ahead;
        while left + self.reading.away() < most {
            let open = tx.open_changes(self.last, PIECE)?;
            let Some(last) = open.changes.last() else { break };
            self.last = last.seq;
            let bytes: usize = open.texts.iter().map(String::len).sum();
            most = most.min(AHEAD_BYTES_MAX / (bytes / open.texts.len()).max(1));
            self.reading.hand(open)?;
            if turn.store.waited_for() {
                break;
            }
        }
        Ok(())
    }

    /// A world for what follows; with `on`, what is read by now is merged while somebody else writes what
    /// the world is based on.
    fn keep(&mut self, house: &Arc<House>, mut world: World, turn: &Turn, on: bool) {
        self.gather();
        if !on || self.said.len() < BESIDE_LEAST {
            self.known = Some((world, Vec::new()));
            return;
        }
        let (house, said) = (Arc::clone(house), std::mem::take(&mut self.said));
        let enough = Arc::new(AtomicBool::new(false));
        let (told, bounds, lent) = (Arc::clone(&enough), turn.bounds, said.len());
        let merging = spawn_blocking(move || {
            let goes_on = |_| !told.load(Ordering::Relaxed);
            let ends = known(&house, &mut world, &said, bounds, goes_on);
            (world, said, ends)
        });
        self.merging = Some(Beside { merging, lent, enough });
    }

    /// What the world is based on is committed.
    async fn merged(&mut self) -> Result<()> {
        if let Some(Beside { merging, enough, .. }) = self.merging.take() {
            enough.store(true, Ordering::Relaxed);
            let lost = |e| Error::Refused(format!("merge what follows: {e}"));
            let (world, said, ends) = merging.await.map_err(lost)?;
            (self.said, self.known) = (said, Some((world, ends)));
        }
        Ok(())
    }

    /// The world as it is known, and what ended in it, if nobody else wrote meanwhile; else without what
    /// ended, and as far as it can catch up with them.
    fn go_on(&mut self, tx: &Tx<'_>) -> Result<(World, Ended)> {
        let Some((world, ends)) = self.known.take() else { return Ok((tx.world()?, Ended::new())) };
        if self.written == tx.written() {
            return Ok((tx.go_on(world), ended(&mut self.said, ends)));
        }
        let caught_up = tx.catch_up(world, self.written)?;
        self.ran.caught_up += usize::from(caught_up.is_some());
        Ok((caught_up.map_or_else(|| tx.world(), Ok)?, Ended::new()))
    }
}

type Ended = Vec<(Change, End)>;

/// Merges from the front what asks for nothing that must be read, as long as it goes on after so many and
/// not too much is to be written: how each ended.
fn known(
    house: &House,
    world: &mut World,
    said: &Said,
    bounds: Bounds,
    goes_on: impl Fn(usize) -> bool,
) -> Vec<End> {
    let each = said.iter().enumerate().map_while(|(n, (change, said))| {
        let on = goes_on(n) && !bounds.full(world);
        on.then(|| merge_known(house, world, change, said)).flatten()
    });
    each.collect()
}

/// Takes the first out, whose ends are known.
fn ended(said: &mut Said, ends: Vec<End>) -> Ended {
    said.drain(..ends.len()).zip(ends).map(|((change, _), end)| (change, end)).collect()
}

/// The merges of one transaction.
struct Merging<'m, 'c> {
    tx: &'m Tx<'c>,
    house: &'m House,
    world: World,
    /// The store's count of writes, as far as they are our own.
    written: u64,
    /// Did nobody but us write what the world holds?
    alone: bool,
    /// What was merged, and its end is not written.
    ended: Ended,
    /// The same with their ends.
    all: Ended,
}

impl<'m, 'c> Merging<'m, 'c> {
    fn new(tx: &'m Tx<'c>, house: &'m House, world: World, ended: Ended) -> Self {
        Self { tx, house, world, written: tx.written(), alone: true, ended, all: Ended::new() }
    }

    fn merged(&self) -> usize {
        self.all.len() + self.ended.len()
    }

    /// Merges a part, while that before it ends and those that follow are fetched.
    fn part(&mut self, ahead: &mut Ahead, turn: &Turn) -> Result<()> {
        let (house, mut world) = (self.house, std::mem::take(&mut self.world));
        let said = std::mem::take(&mut ahead.said);
        // Where somebody waits the batch ends soon: what changed is written while more is merged.
        let beside = said.len() >= BESIDE_LEAST && turn.store.waited_for();
        let dirty = if beside { world.take_dirty() } else { Dirty::default() };
        let mut meanwhile = |merging: &mut Self| {
            merging.end()?;
            merging.put(&dirty)?;
            ahead.fetch(merging.tx, turn, said.len())
        };
        let (ends, done) = if said.len() < BESIDE_LEAST {
            let done = meanwhile(self);
            (known(house, &mut world, &said, turn.bounds, |n| turn.goes_on(n)), done)
        } else {
            std::thread::scope(|scope| {
                let (world, said) = (&mut world, &said);
                let goes_on = |n| turn.goes_on(n);
                let merging = scope.spawn(move || known(house, world, said, turn.bounds, goes_on));
                let done = meanwhile(self);
                let ends = merging.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                (ends, done)
            })
        };
        let on = turn.goes_on(ends.len()) && !turn.bounds.full(&world);
        (self.world, ahead.said) = (world, said);
        done?;
        self.ended = ended(&mut ahead.said, ends);
        if on {
            let next = ahead.said.len().min(ONE_BY_ONE_MAX);
            self.one_by_one(ahead.said.drain(..next))?;
        }
        // Ends were written meanwhile.
        self.world.polled.clear();
        if turn.bounds.full(&self.world) {
            ahead.ran.early += 1;
            let dirty = self.world.take_dirty();
            self.put(&dirty)?;
        }
        Ok(())
    }

    /// Writes rows before the batch ends.
    fn put(&mut self, dirty: &Dirty) -> Result<()> {
        self.alone();
        self.tx.put(dirty)?;
        self.written = self.tx.written();
        Ok(())
    }

    /// Merges what asks for something, and reads that.
    fn one_by_one(&mut self, said: impl Iterator<Item = (Change, Understood)>) -> Result<()> {
        let Self { tx, house, world, .. } = self;
        for (change, said) in said {
            tx.foresee(house, world, [&change])?;
            let end = merge_understood(tx, house, world, &change, said)?;
            self.ended.push((change, end));
        }
        Ok(())
    }

    /// Writes how the last part ended.
    fn end(&mut self) -> Result<()> {
        self.tx.end_changes(&self.ended)?;
        for (change, end) in &self.ended {
            if let End::Dead(reason) = end {
                tracing::warn!(connection.id = change.connection.as_str(), reason, "dead letter");
            }
        }
        self.all.append(&mut self.ended);
        Ok(())
    }

    /// Did nobody but us write so far?
    fn alone(&mut self) -> bool {
        self.alone &= self.tx.written() == self.written;
        self.alone
    }
}
