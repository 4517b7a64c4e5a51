//! Deliver: due objects become calls.
//!
//! Reads   due objects, their records, now.   Writes  waits, cleared marks; settles what was sent.
//! Never   holds a transaction across a call; never sends what was planned before the last change:
//!         planning is the last thing before sending.
//!
//! ```text
//! due → plan ─┬─ nothing     → the mark is cleared
//!             ├─ wait        → the reason is written down
//!             ├─ read first  → looked at (itself, or what it is part of), planned again
//!             ├─ write       → batch → send → settle         (creates of documents: permits)
//!             └─ step        → send → looked at
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kilter_core::manifest::Kind;
use kilter_core::model::{Due, Object, ObjectId, Seq, Wait, WaitKind};
use kilter_core::sync::batch::{Batch, batch};
use kilter_core::sync::guards::Guards;
use kilter_core::sync::house::House;
use kilter_core::sync::mark::WAITS_ON;
use kilter_core::sync::offer;
use kilter_core::sync::places;
use kilter_core::sync::plan::{Operation, Plan, StepOp, plan};
use kilter_core::sync::world::World;

use crate::engine::{Engine, after, now};
use crate::pipeline::guard::Gates;
use crate::pipeline::{
    answers, creates, load, looks, prepare, read_first, replaced, settle, steps,
};
use crate::store::{Result, Tx};

/// What one round found to do.
#[derive(Debug, Default)]
pub struct Round {
    /// resource → operations
    pub writes: BTreeMap<String, Vec<Operation>>,
    /// resource → documents to be created by permit
    pub creates: BTreeMap<String, Vec<Operation>>,
    pub steps: BTreeMap<String, Vec<StepOp>>,
    pub read_first: Vec<Object>,
    /// What must be read first because something is part of it, and those parts.
    pub above: BTreeMap<ObjectId, Object>,
    pub parts: Vec<ObjectId>,
    /// object → the mark that was seen
    pub marks: BTreeMap<ObjectId, i64>,
    pub planned: usize,
}

impl Round {
    /// Takes what another round is to send.
    pub(super) fn join(&mut self, other: &mut Self) {
        let mut take = |from: &mut BTreeMap<String, Vec<Operation>>, creates: bool| {
            for (resource, mut operations) in std::mem::take(from) {
                let to = if creates { &mut self.creates } else { &mut self.writes };
                to.entry(resource).or_default().append(&mut operations);
            }
        };
        take(&mut other.writes, false);
        take(&mut other.creates, true);
        for (resource, mut steps) in std::mem::take(&mut other.steps) {
            self.steps.entry(resource).or_default().append(&mut steps);
        }
        self.marks.append(&mut other.marks);
        self.read_first.append(&mut other.read_first);
        self.above.append(&mut other.above);
        self.parts.append(&mut other.parts);
        self.planned += other.planned;
    }

    /// A part waits for a read of what it is part of, once for all its parts.
    fn read_above(&mut self, world: &mut World, part: ObjectId, above: ObjectId) {
        self.above.extend(world.object(above).cloned().map(|object| (above, object)));
        self.parts.push(part);
    }
}

/// One round for a connection. Returns how many objects were planned; 0: nothing is due.
pub async fn run(engine: &Arc<Engine>, connection: &str) -> Result<usize> {
    if !prepare::done(engine, connection).await? {
        return Ok(0);
    }
    let waits = load::go_on(engine, connection).await?;
    let fresh = engine.store.write_async(|tx| tx.last_seq()).await?;
    let mut round = plan_due(engine, connection, fresh, None).await?;
    let planned = round.planned;
    if planned >= engine.house.config.limits.deliver_batch {
        for ids in load::more(engine, connection, &round).await? {
            let mut again = plan_due(engine, connection, fresh, Some(ids)).await?;
            round.join(&mut again);
        }
    }
    replaced::few(engine, connection, &mut round.read_first).await?;
    read_first::go(engine, connection, fresh, &mut round).await?;
    if !round.above.is_empty() {
        let above = std::mem::take(&mut round.above).into_values().collect();
        let parts = std::mem::take(&mut round.parts);
        looks::read_objects(engine, connection, above).await?;
        let mut again = plan_due(engine, connection, fresh, Some(parts)).await?;
        again.above.clear();
        // What it is part of could not be read: nothing else waits for that.
        settle::postpone(engine, std::mem::take(&mut again.parts), None).await?;
        round.join(&mut again);
    }
    let others = one_a_whole(&engine.house, connection, &mut round);
    settle::postpone(engine, others, Some(NEXT_PART_SECONDS)).await?;
    send(engine, connection, round).await?;
    if waits && planned == 0 {
        tokio::time::sleep(JOB_LOOK).await;
    }
    // Where a job runs there is more to do, though nothing is due.
    Ok(planned.max(usize::from(waits)))
}

/// Of the parts of one whole (the parcels of an order) one goes at a time: the next is spread over
/// what that one left open.
fn one_a_whole(house: &House, connection: &str, round: &mut Round) -> Vec<ObjectId> {
    let mut others = Vec::new();
    for (resource, operations) in &mut round.creates {
        let view = house.view(connection, resource);
        if view.is_none_or(|v| v.resource.spread.is_none()) {
            continue;
        }
        let mut seen = BTreeSet::new();
        let all = std::mem::take(operations);
        let (first, rest): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|operation| seen.insert(operation.above.clone()));
        *operations = first;
        others.extend(rest.into_iter().map(|operation| operation.object));
    }
    for id in &others {
        round.marks.remove(id);
    }
    others
}

/// When the next part of a whole is planned.
const NEXT_PART_SECONDS: u32 = 1;

/// How often a job is asked how far it is.
const JOB_LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Objects that are planned in one transaction: who waits to be acknowledged waits no longer.
const PLAN_AT_ONCE: usize = 100;

pub(super) async fn plan_due(
    engine: &Arc<Engine>,
    connection: &str,
    fresh: Seq,
    only: Option<Vec<ObjectId>>,
) -> Result<Round> {
    let ids = match only {
        Some(ids) => ids,
        None => due(engine, connection).await?,
    };
    let mut round = Round::default();
    for ids in ids.chunks(PLAN_AT_ONCE) {
        round.join(&mut plan_some(engine, connection, fresh, ids.to_vec()).await?);
    }
    let (house, name) = (Arc::clone(&engine.house), connection.to_owned());
    let woken = engine
        .store
        .write_async(move |tx| Gates::of(tx, &house, &name)?.decide(tx, &house, &name, &now()));
    round.planned += woken.await?;
    Ok(round)
}

/// What lies outside the scope stays due, for a run without one.
async fn due(engine: &Arc<Engine>, connection: &str) -> Result<Vec<ObjectId>> {
    let (connection, scope) = (connection.to_owned(), engine.scope());
    let limit = engine.house.config.limits.deliver_batch;
    let due = move |tx: &Tx<'_>| match &scope {
        None => tx.due_ids(&connection, &now(), limit),
        Some(scope) => {
            let due = scoped(tx, tx.due(&connection, &now(), usize::MAX)?, scope)?;
            Ok(due.into_iter().map(|object| object.id).collect())
        }
    };
    engine.store.write_async(due).await
}

async fn plan_some(
    engine: &Arc<Engine>,
    connection: &str,
    fresh: Seq,
    ids: Vec<ObjectId>,
) -> Result<Round> {
    let (house, guards) = (Arc::clone(&engine.house), engine.guards);
    let connection = connection.to_owned();
    let plan = move |tx: &Tx<'_>| {
        let mut world = tx.world()?;
        let mut round = Round::default();
        let gates = Gates::of(tx, &house, &connection)?;
        for id in ids {
            let Some(object) = tx.object(id)?.filter(|o| o.due.is_some()) else { continue };
            plan_one(tx, &house, &mut world, object, (fresh, guards, &gates), &mut round)?;
        }
        tx.save(&world)?;
        Ok(round)
    };
    engine.store.write_async(plan).await
}

fn scoped(tx: &Tx<'_>, objects: Vec<Object>, scope: &crate::cli::Scope) -> Result<Vec<Object>> {
    let mut out = Vec::new();
    for object in objects {
        if crate::cli::wanted(tx, &object, scope)? {
            out.push(object);
        }
    }
    Ok(out)
}

fn plan_one(
    tx: &Tx<'_>,
    house: &House,
    world: &mut World,
    object: Object,
    (fresh, guards, gates): (Seq, Guards, &Gates),
    round: &mut Round,
) -> Result<()> {
    round.planned += 1;
    world.learn_object(object.clone());
    let Some(view) = house.view(&object.connection, &object.resource) else {
        clear(world, object.id, None);
        return Ok(());
    };
    if view.connection.observe.iter().any(|r| *r == object.resource) {
        observed(world, object.id);
        return Ok(());
    }
    let planned = tx.step(house, world, |w| {
        let object = w.object(object.id).cloned().unwrap_or_else(|| object.clone());
        plan(&view, w, &object, fresh, guards)
    })?;
    let mark = object.due.as_ref().map_or(0, |d| d.mark);
    match planned {
        Plan::Nothing => {
            let turn = tx.step(house, world, |w| offer::turns(&view, w, &object))?;
            clear(world, object.id, turn.map(|turn| offer::due_at(turn, view.resource.lane)));
        }
        Plan::Wait(reason, on) => {
            wait(world, object.id, reason, on);
            if view.resource.spread.is_some() {
                seldom(world, object.id);
            }
        }
        Plan::ReadFirst => round.read_first.push(object),
        Plan::ReadAbove(above) => round.read_above(world, object.id, above),
        Plan::Bind(id) => {
            let mut object = world.object(object.id).cloned().unwrap_or(object);
            object.remote = Some(id.into());
            world.put_object(object.clone());
            round.read_first.push(object);
        }
        Plan::Step(step) => {
            round.marks.insert(object.id, mark);
            round.steps.entry(object.resource.into_string()).or_default().push(step);
        }
        Plan::Write(operation) if too_early(tx, &view, &operation, guards)? => {
            let name = &object.connection;
            let reason = format!("waits until {name} was read once: nothing is created before");
            wait(world, object.id, Wait { kind: WaitKind::Later, reason }, None);
            soon(world, object.id);
        }
        Plan::Write(operation) => {
            if let Some(reason) = gates.stops(&view, &object, &operation) {
                counted(world, object.id, reason);
                return Ok(());
            }
            if !operation.places.is_empty() && guards.places {
                let mut object = world.object(object.id).cloned().unwrap_or_else(|| object.clone());
                places::leaves(&mut object, &operation.places, fresh, in_seconds);
                world.put_object(object);
            }
            round.marks.insert(object.id, mark);
            let by_permit = view.resource.permit.is_some() && operation.kind == Kind::Create;
            let to = if by_permit { &mut round.creates } else { &mut round.writes };
            to.entry(object.resource.into_string()).or_default().push(operation);
        }
    }
    Ok(())
}

fn in_seconds(seconds: u64) -> String {
    after(std::time::Duration::from_secs(seconds))
}

/// A create that carries others creates them as well: each resource was listed whole before.
fn too_early(
    tx: &Tx<'_>,
    view: &kilter_core::sync::house::View<'_>,
    operation: &Operation,
    guards: Guards,
) -> Result<bool> {
    if operation.kind != Kind::Create || !guards.first_listing {
        return Ok(false);
    }
    if !listed(tx, view)? {
        return Ok(true);
    }
    for carried in &operation.carried {
        let child = view.house.view(&view.connection.name, &carried.resource);
        if let Some(child) = child
            && too_early(tx, &child, &carried.operation, guards)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// No create before the resource's first complete listing, or a full shop would be doubled.
pub(super) fn listed(tx: &Tx<'_>, view: &kilter_core::sync::house::View<'_>) -> Result<bool> {
    let Some(list) = &view.resource.list else { return Ok(true) };
    let each = match &list.each {
        Some(what) => view.connection.each(what),
        None => vec![String::new()],
    };
    let (connection, resource) = (&view.connection.name, &view.resource);
    let known = format!("listed.{connection}.{}", resource.name);
    if tx.meta(&known)?.is_some() {
        return Ok(true);
    }
    for each in each {
        let cursor = tx.cursor(connection, &resource.name, &each)?;
        if !cursor.complete || tx.open_until(connection, &resource.collection, cursor.last)? {
            return Ok(false);
        }
    }
    tx.set_meta(&known, &now())?;
    Ok(true)
}

/// Its plan is shown and not sent: it stays due, so that `plan` shows it, and goes on by itself
/// when the config does not say so any more.
fn observed(world: &mut World, id: ObjectId) {
    let Some(mut object) = world.object(id).cloned() else { return };
    if let Some(due) = &mut object.due {
        due.next_at = Some(after(LATER).into());
    }
    let reason = "only observed: `kilter plan` shows what would be written".to_owned();
    object.wait = Some(Wait { kind: WaitKind::Held, reason });
    world.put_object(object);
}

/// `due`: at a time to come it must look again.
fn clear(world: &mut World, id: ObjectId, due: Option<Due>) {
    let Some(mut object) = world.object(id).cloned() else { return };
    object.due = due;
    object.bindings.remove(WAITS_ON);
    if object.state != kilter_core::model::State::Gone {
        object.wait = None;
    }
    world.put_object(object);
}

fn wait(world: &mut World, id: ObjectId, reason: Wait, on: Option<i64>) {
    let Some(mut object) = world.object(id).cloned() else { return };
    if reason.kind == WaitKind::Later {
        // It looks again by itself, or when the poll it waits for is done.
        if let Some(due) = &mut object.due {
            due.next_at = Some(after(LATER).into());
        }
    } else {
        object.due = None;
    }
    object.bindings.remove(WAITS_ON);
    if let Some(record) = on {
        object.bindings.insert(WAITS_ON.into(), record);
    }
    object.wait = Some(reason);
    world.put_object(object);
}

/// It stays due, whoever decides.
fn counted(world: &mut World, id: ObjectId, reason: Wait) {
    let Some(mut object) = world.object(id).cloned() else { return };
    if let Some(due) = &mut object.due {
        due.next_at = Some(after(LATER).into());
    }
    object.wait = Some(reason);
    world.put_object(object);
}

/// What a person must release somewhere is looked at as often again as it has waited, within bounds.
fn seldom(world: &mut World, id: ObjectId) {
    let Some(mut object) = world.object(id).cloned() else { return };
    if let Some(due) = &mut object.due {
        let since = due.since.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
        let waited = since.map_or(0, |t| jiff::Timestamp::now().as_second() - t.as_second());
        let waited = std::time::Duration::from_secs(u64::try_from(waited).unwrap_or(0));
        let at = after(waited.clamp(LATER, SELDOM));
        due.not_before = Some(at.as_str().into());
        due.next_at = Some(at.into());
    }
    world.put_object(object);
}

/// What is held back elsewhere is looked at at least so often.
const SELDOM: std::time::Duration = std::time::Duration::from_secs(3600);

/// A listing that runs is over soon.
fn soon(world: &mut World, id: ObjectId) {
    let Some(mut object) = world.object(id).cloned() else { return };
    if let Some(due) = &mut object.due {
        due.next_at = Some(after(std::time::Duration::from_secs(1)).into());
    }
    world.put_object(object);
}

/// What waits for a poll looks again after this, if nothing woke it.
const LATER: std::time::Duration = std::time::Duration::from_secs(60);

pub(super) async fn send(engine: &Arc<Engine>, connection: &str, round: Round) -> Result<()> {
    let house = Arc::clone(&engine.house);
    let marks = Arc::new(round.marks);
    let mut tasks = tokio::task::JoinSet::new();
    for (resource, operations) in round.writes {
        let Some(view) = house.view(connection, &resource) else { continue };
        let operations = load::begin(engine, connection, &resource, operations, &marks).await?;
        for batch in batch(&view, operations) {
            let (engine, connection) = (Arc::clone(engine), connection.to_owned());
            let (resource, marks) = (resource.clone(), Arc::clone(&marks));
            tasks.spawn(
                async move { send_batch(&engine, &connection, &resource, batch, &marks).await },
            );
        }
    }
    for (resource, operations) in round.creates {
        let (engine, connection) = (Arc::clone(engine), connection.to_owned());
        let marks = Arc::clone(&marks);
        tasks.spawn(async move {
            creates::create(&engine, &connection, &resource, operations, &marks).await
        });
    }
    for (resource, list) in round.steps {
        for steps in steps::together(list) {
            let (engine, connection) = (Arc::clone(engine), connection.to_owned());
            let (resource, marks) = (resource.clone(), Arc::clone(&marks));
            tasks.spawn(
                async move { steps::run(&engine, &connection, &resource, steps, &marks).await },
            );
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|e| crate::store::Error::Refused(format!("deliver: {e}")))??;
    }
    Ok(())
}

/// Sends a batch; one that is refused as a whole is halved until the culprit stands alone.
async fn send_batch(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &str,
    first: Batch,
    marks: &Arc<BTreeMap<ObjectId, i64>>,
) -> Result<()> {
    let house = Arc::clone(&engine.house);
    let Some(view) = house.view(connection, resource) else { return Ok(()) };
    let mut queue = vec![first];
    while let Some(mut batch) = queue.pop() {
        let result = answers::call(engine, &view, &batch).await;
        if let Err(fault) = &result {
            let whole = fault.kind.proves_not_applied() && !fault.kind.retries();
            if whole && batch.operations.len() > 1 {
                let rest = batch.operations.split_off(batch.operations.len() / 2);
                queue.push(Batch { write: batch.write.clone(), operations: rest });
                queue.push(batch);
                continue;
            }
        }
        let (batch, result, rest) = answers::part(batch, result);
        queue.extend(rest);
        settle::settle(engine, connection, resource, batch, result, marks).await?;
    }
    Ok(())
}
