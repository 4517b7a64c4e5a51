//! Read first: what is read just before it is written, a part at a time. While one part is written the
//! next ones are read.
//!
//! Reads   objects whose plan asks for it.   Writes  updates, as `deliver` does; postpones what is unread.
//! Never   sends a create or a step early: of those `deliver` looks at all of a round together. Never takes
//!         more calls for it: a part is whole calls, and what is called for by its parent stays together.

use std::sync::Arc;

use kilter_core::manifest::Kind;
use kilter_core::model::{Object, ObjectId, Seq};
use kilter_core::sync::house::House;
use kilter_core::sync::plan::Operation;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::pipeline::deliver::{Round, plan_due, send};
use crate::pipeline::{looks, settle};
use crate::store::{Error, Result};

/// A part is not smaller than this.
const PART_LEAST: usize = 250;

/// Parts that are read at a time: while one waits for the remote, what another heard is merged.
const READS_AT_ONCE: usize = 2;

/// Reads what a round must read first, plans it again, and sends its updates; the rest stands in the round then.
pub async fn go(
    engine: &Arc<Engine>,
    connection: &str,
    fresh: Seq,
    round: &mut Round,
) -> Result<()> {
    let objects = std::mem::take(&mut round.read_first);
    let mut parts = parts(&engine.house, connection, objects).into_iter();
    let mut reading = JoinSet::new();
    let mut early = Round::default();
    loop {
        while reading.len() < READS_AT_ONCE
            && let Some(part) = parts.next()
        {
            reading.spawn(read(Arc::clone(engine), connection.to_owned(), fresh, part));
        }
        let sending = send(engine, connection, early);
        let (sent, again) = tokio::join!(sending, reading.join_next());
        sent?;
        let Some(again) = again else { return Ok(()) };
        let mut again = again.map_err(|e| Error::Refused(format!("read first: {e}")))??;
        early = updates(&mut again);
        round.join(&mut again);
    }
}

async fn read(
    engine: Arc<Engine>,
    connection: String,
    fresh: Seq,
    objects: Vec<Object>,
) -> Result<Round> {
    let mut ids: Vec<ObjectId> = objects.iter().map(|o| o.id).collect();
    let mut still = looks::read_objects(&engine, &connection, objects).await?;
    ids.retain(|id| !still.contains(id));
    let mut again = plan_due(&engine, &connection, fresh, Some(ids)).await?;
    // What shows nothing new, or sold more meanwhile, is read again, and not at once.
    still.extend(std::mem::take(&mut again.read_first).iter().map(|o| o.id));
    settle::postpone(&engine, still, None).await?;
    Ok(again)
}

/// Whole calls of one resource after the other; in the last part what is called for by its parent as well.
fn parts(house: &House, connection: &str, mut objects: Vec<Object>) -> Vec<Vec<Object>> {
    let get = |object: &Object| house.view(connection, &object.resource)?.resource.get.as_ref();
    let alone = |object: &Object| get(object).is_some_and(|get| !get.by_parent);
    let cap = objects.iter().filter_map(get).map(|get| get.cap).max().unwrap_or(1).max(1);
    objects.sort_by(|a, b| (!alone(a), &a.resource).cmp(&(!alone(b), &b.resource)));
    let by_parent = objects.split_off(objects.partition_point(alone));
    let mut parts: Vec<Vec<Object>> =
        objects.chunks(PART_LEAST.next_multiple_of(cap)).map(<[Object]>::to_vec).collect();
    match parts.last_mut() {
        Some(last) => last.extend(by_parent),
        None if by_parent.is_empty() => {}
        None => parts.push(by_parent),
    }
    parts
}

/// Takes the updates out, with the marks that were seen.
fn updates(round: &mut Round) -> Round {
    let (mut early, marks) = (Round::default(), &round.marks);
    for (resource, operations) in &mut round.writes {
        let now = |o: &Operation| o.kind == Kind::Update && o.carried.is_empty();
        let (now, later) = std::mem::take(operations).into_iter().partition(now);
        *operations = later;
        let now: Vec<Operation> = now;
        let seen = now.iter().filter_map(|o| Some((o.object, *marks.get(&o.object)?)));
        early.marks.extend(seen);
        early.writes.insert(resource.clone(), now);
    }
    round.writes.retain(|_, operations| !operations.is_empty());
    early.writes.retain(|_, operations| !operations.is_empty());
    early
}
