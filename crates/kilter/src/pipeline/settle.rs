//! Settle: what came of a call – outcome, delivery, answer – in one transaction.
//!
//! Reads   an answer or a fault, and the operations it is for.
//! Writes  objects, deliveries, the answer as a change (merged at once).
//! Never   lets one operation's failure touch another's.

use std::collections::BTreeMap;
use std::sync::Arc;

use kilter_core::Json;
use kilter_core::manifest::{AnswerKind, Carry, Kind, plain};
use kilter_core::model::{Fault, FaultKind, Object, ObjectId, Rows, State, Via, Wait, WaitKind};
use kilter_core::sync::batch::Batch;
use kilter_core::sync::house::{House, View};
use kilter_core::sync::mark::{mark_object, object_bound};
use kilter_core::sync::offer;
use kilter_core::sync::places;
use kilter_core::sync::plan::{ARCHIVED_ROW, Changed, Operation, parent_id};
use kilter_core::sync::project::remote_of;
use kilter_core::sync::reference::same;
use kilter_core::sync::replace;
use kilter_core::sync::take::{give_way, take_from_shadow};
use kilter_core::sync::unseen::note_fall;
use kilter_core::sync::world::World;
use serde_json::json;

use crate::engine::{Engine, after, backoff, now};
use crate::pipeline::receive::{self, Source};
use crate::store::deliveries::Delivery;
use crate::store::{Result, Tx};

pub type Marks = BTreeMap<ObjectId, i64>;

pub async fn settle(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &str,
    batch: Batch,
    result: std::result::Result<Vec<std::result::Result<Json, Fault>>, Fault>,
    marks: &Arc<Marks>,
) -> Result<()> {
    let house = Arc::clone(&engine.house);
    let (connection, resource) = (connection.to_owned(), resource.to_owned());
    let marks = Arc::clone(marks);
    engine
        .store
        .write_async(move |tx| {
            let Some(view) = house.view(&connection, &resource) else { return Ok(()) };
            let at = now();
            let mut world = tx.world()?;
            let mut deliveries = Vec::new();
            let outcomes = match result {
                Ok(items) => items,
                Err(fault) => batch.operations.iter().map(|_| Err(fault.clone())).collect(),
            };
            for (operation, outcome) in batch.operations.iter().zip(outcomes) {
                let write = view.resource.writes.iter().find(|w| w.name == batch.write);
                let mark = marks.get(&operation.object).copied().unwrap_or(0);
                deliveries.push(delivery(&view, operation, &batch.write, &outcome));
                match (outcome, write) {
                    (outcome, _) if operation.kind == Kind::Delete && is_gone(&outcome) => {
                        let seq = tx.last_seq()?;
                        tx.step(&house, &mut world, |w| {
                            replace::deleted(&view, w, operation.object, seq, &at);
                        })?;
                    }
                    (Ok(item), Some(write)) => {
                        let done = Done { what: write.answer.what, operation, mark, at: &at };
                        applied(tx, &house, &view, &mut world, &done, item.clone())?;
                        let mut hold = Hold { tx, house: &house, world: &mut world, at: &at };
                        let inner = carried(&mut hold, &view, &write.carries, operation, &item)?;
                        deliveries.extend(inner);
                    }
                    (Ok(_), None) => {}
                    (Err(fault), _) => {
                        failed(tx, &view, &mut world, operation, fault, &at)?;
                    }
                }
            }
            tx.save(&world)?;
            tx.write_deliveries(&deliveries, &at)
        })
        .await
}

/// It was deleted, now or by an attempt whose answer never came.
fn is_gone(outcome: &std::result::Result<Json, Fault>) -> bool {
    outcome.as_ref().err().is_none_or(|fault| fault.kind == FaultKind::Missing)
}

fn delivery(
    view: &View<'_>,
    operation: &Operation,
    way: &str,
    outcome: &std::result::Result<Json, Fault>,
) -> Delivery {
    let fields: Json = operation.fields.iter().map(shown).collect();
    let kind = match operation.kind {
        Kind::Create => "create",
        Kind::Update => "update",
        Kind::Archive => "archive",
        Kind::Delete => "delete",
    };
    Delivery {
        object: operation.object,
        kind: kind.to_owned(),
        fields,
        outcome: match outcome {
            Ok(_) => "applied".to_owned(),
            Err(fault) if fault.proves_not_applied() => "not_applied".to_owned(),
            Err(_) => "uncertain".to_owned(),
        },
        fault: outcome.as_ref().err().cloned(),
        call: format!("{} {way}", view.connection.name),
    }
}

fn shown(field: &Changed) -> Json {
    json!({ "row": field.row, "old": field.old, "new": field.new, "by": field.by, "change": field.change })
}

struct Done<'a> {
    what: AnswerKind,
    operation: &'a Operation,
    mark: i64,
    at: &'a str,
}

fn applied(
    tx: &Tx<'_>,
    house: &House,
    view: &View<'_>,
    world: &mut World,
    done: &Done<'_>,
    item: Json,
) -> Result<()> {
    let id = done.operation.object;
    let Some(mut object) = tx.step(house, world, |w| w.object(id).cloned())? else {
        return Ok(());
    };
    let created = object.remote.is_none();
    let given = remote_id(view, done.what, &item).or_else(|| done.operation.id.clone());
    if let (Some(given), true) = (&given, created) {
        let remote = remote_of(given, &done.operation.each);
        let (connection, collection) = (&view.connection.name, &view.resource.collection);
        tx.step(house, world, |w| give_way(w, connection, collection, &remote, id))?;
        object.remote = Some(remote.into());
    }
    let Some(remote) = object.remote.clone() else {
        // It was created, and the answer does not say as what: it will be found by its key.
        return Ok(());
    };
    object.wait = None;
    object.bindings.remove(kilter_core::sync::mark::WAITS_ON);
    answered(&mut object, done.mark);
    if object.state == State::Seat {
        object.state = State::Live;
    }
    let mut expected = object.shadow.clone();
    for field in &done.operation.fields {
        expected.insert(field.row.clone(), field.new.clone());
    }
    if done.operation.kind == Kind::Archive {
        object.shadow.insert(ARCHIVED_ROW.into(), json!(true));
    }
    let is_object = done.what == AnswerKind::Object;
    if !is_object {
        object.shadow.clone_from(&expected);
        // What has no id but its parent's says nothing more than what was written.
        let told = view.resource.parent.as_ref().is_some_and(|p| p.same_id && !p.there);
        object.look = if created && !told { Some(0) } else { object.look };
    }
    world.begin_step();
    world.put_object(object);
    let source = Source {
        connection: &view.connection.name,
        collection: &view.resource.collection,
        each: &done.operation.each,
        via: Via::Answer,
        asked: 0,
        at: done.at,
    };
    let mut change =
        [source.change(&remote, if is_object { item } else { json!({ "$hint": true }) })];
    tx.append(&mut change)?;
    let [change] = change;
    if is_object {
        let end = receive::merge_one(tx, house, world, &change)?;
        tx.end_changes(&[(change.clone(), end)])?;
    } else {
        tx.end_changes(&[(change.clone(), kilter_core::model::End::Merged)])?;
    }
    finish(tx, house, view, world, done, change.seq, &expected, created)
}

/// What was marked since the call was planned stays due, and starts anew.
fn answered(object: &mut Object, mark: i64) {
    if object.due.as_ref().is_some_and(|d| d.mark == mark) {
        object.due = None;
    } else if let Some(due) = &mut object.due {
        due.tries = 0;
        due.not_before = None;
    }
}

/// What a settled call is written with.
struct Hold<'a, 't> {
    tx: &'a Tx<'t>,
    house: &'a House,
    world: &'a mut World,
    at: &'a str,
}

/// What travelled inside a create is settled like creates of its own.
fn carried(
    hold: &mut Hold<'_, '_>,
    view: &View<'_>,
    carries: &[Carry],
    parent: &Operation,
    item: &Json,
) -> Result<Vec<Delivery>> {
    let mut deliveries = Vec::new();
    for carry in carries {
        let Some(child) = view.house.view(&view.connection.name, &carry.resource) else { continue };
        let vars = view.connection.vars(&parent.each);
        let shown = carry.answer.as_ref().and_then(|p| p.read(item, &view.env(&vars, None)));
        let shown = match shown {
            Some(Json::Array(items)) => items,
            Some(one) => vec![one],
            None => Vec::new(),
        };
        let mine = parent.carried.iter().filter(|c| c.resource == carry.resource);
        for (n, one) in mine.enumerate() {
            let mut operation = one.operation.clone();
            if let Some(spec) = child.resource.parent.as_ref().filter(|p| p.same_id) {
                let object =
                    hold.tx.step(hold.house, hold.world, |w| w.object(parent.object).cloned())?;
                operation.id =
                    object.and_then(|o| parent_id(&o, spec.row.as_deref())).map(|id| plain(&id));
            }
            let item = shown.get(n).cloned().unwrap_or(Json::Null);
            let what = if item.is_null() { AnswerKind::None } else { AnswerKind::Object };
            let done = Done { what, operation: &operation, mark: 0, at: hold.at };
            applied(hold.tx, hold.house, &child, hold.world, &done, item.clone())?;
            deliveries.push(delivery(&child, &operation, "carried", &Ok(Json::Null)));
            deliveries.extend(carried(hold, &child, &carry.carries, &operation, &item)?);
        }
    }
    Ok(deliveries)
}

#[expect(clippy::too_many_arguments, reason = "one settled write, told whole")]
fn finish(
    tx: &Tx<'_>,
    house: &House,
    view: &View<'_>,
    world: &mut World,
    done: &Done<'_>,
    seq: i64,
    expected: &Rows,
    created: bool,
) -> Result<()> {
    let id = done.operation.object;
    tx.step(house, world, |w| {
        let Some(mut object) = w.object(id).cloned() else { return };
        object.settled = seq;
        let shown = object.shadow.clone();
        note_fall(view, &mut object, expected, &shown, seq);
        let told = done.what == AnswerKind::Object;
        places::arrived(&mut object, &done.operation.places, told, seq);
        count_repairs(&mut object, &done.operation.fields);
        let differs =
            object.shadow.iter().any(|(k, v)| !expected.get(k).is_some_and(|e| same(e, v)));
        if differs || view.resource.lifecycle.is_some() || done.operation.partial.is_some() {
            mark_object(&mut object, done.at, view.resource.lane);
        }
        if object.due.is_none() {
            let turn = offer::turns(view, w, &object);
            object.due = turn.map(|turn| offer::due_at(turn, view.resource.lane));
        }
        object.wait.clone_from(&done.operation.partial);
        w.put_object(object);
        if created {
            object_bound(house, w, id, done.at);
        }
    })
}

/// What the target did not keep, and what is written again and again with one value.
fn count_repairs(object: &mut Object, fields: &[Changed]) {
    for field in fields {
        let kept = object.shadow.get(&field.row).is_some_and(|v| same(v, &field.new));
        let derived = field.change == 0 && field.by.is_empty();
        let again = object.repairs.get(&field.row).is_some_and(|(_, v)| *v == field.new);
        if kept && (derived || field.old.is_none()) {
            object.repairs.remove(&field.row);
        } else {
            let times = object.repairs.get(&field.row).filter(|_| again).map_or(0, |(n, _)| *n);
            object.repairs.insert(field.row.clone(), (times + 1, field.new.clone()));
        }
    }
}

fn remote_id(view: &View<'_>, what: AnswerKind, item: &Json) -> Option<String> {
    match what {
        AnswerKind::Id => Some(plain(item)),
        AnswerKind::Object => {
            let vars = view.connection.vars("");
            let id = view.resource.id.read(item, &view.env(&vars, Some(item))).ok().flatten();
            id.filter(|v| !v.is_null()).map(|v| plain(&v))
        }
        AnswerKind::None => None,
    }
}

fn failed(
    tx: &Tx<'_>,
    view: &View<'_>,
    world: &mut World,
    operation: &Operation,
    fault: Fault,
    at: &str,
) -> Result<()> {
    let id = operation.object;
    let Some(mut object) = tx.step(view.house, world, |w| w.object(id).cloned())? else {
        return Ok(());
    };
    if fault.proves_not_applied() {
        places::came_back(&mut object, &operation.places);
    }
    let max = view.house.config.limits.tries_max;
    let tries = tried(&object, &fault);
    if fault.kind == FaultKind::Conflict
        && object.remote.is_none()
        && let Some(holder) = fault.holder.clone()
    {
        return adopt(tx, view, world, object, &holder, &fault, at);
    }
    let compared = fault.kind == FaultKind::Conflict && object.remote.is_some() && tries <= max;
    if compared {
        // Somebody was faster: what is there now is read, and planned from.
        object.look = Some(tx.last_seq()?);
        retry(&mut object, tries, Some(0));
        object.wait = Some(Wait { kind: WaitKind::Later, reason: fault.to_string() });
    } else if fault.kind == FaultKind::Missing && object.remote.is_some() {
        object.look = Some(tx.last_seq()?);
        object.due = None;
    } else if fault.tried_again(tries, max) {
        if fault.kind == FaultKind::Unknown && object.remote.is_some() {
            object.look = Some(tx.last_seq()?);
        }
        retry(&mut object, tries, wait_of(&fault));
        object.wait = Some(Wait { kind: WaitKind::Later, reason: fault.to_string() });
    } else {
        object.due = None;
        object.wait = Some(Wait {
            kind: WaitKind::Dead,
            reason: format!("{} said no: {fault}", view.connection.name),
        });
    }
    world.begin_step();
    world.put_object(object);
    Ok(())
}

/// How often an object was tried, this time included; a remote that is ill as a whole is no try.
pub fn tried(object: &Object, fault: &Fault) -> u32 {
    object.due.as_ref().map_or(0, |d| d.tries) + u32::from(!fault.ill)
}

/// How long a fault asks us to wait. A server that is down and says "in a second" is not believed: what
/// it refuses waits longer each time, but for a remote that is ill as a whole, where one goes ahead.
pub fn wait_of(fault: &Fault) -> Option<u32> {
    fault.retry_after.filter(|_| fault.ill || fault.kind == FaultKind::Throttled)
}

pub fn retry(object: &mut Object, tries: u32, retry_after: Option<u32>) {
    let at = after(backoff(tries, retry_after));
    if let Some(due) = &mut object.due {
        due.tries = tries;
        due.not_before = Some(at.as_str().into());
        due.next_at = Some(at.into());
    }
}

/// The refusal names who holds our key: if nobody else has it, it is ours, from an attempt whose
/// answer never came, or from before.
fn adopt(
    tx: &Tx<'_>,
    view: &View<'_>,
    world: &mut World,
    mut object: Object,
    holder: &str,
    fault: &Fault,
    at: &str,
) -> Result<()> {
    let (connection, collection) = (&view.connection.name, &view.resource.collection);
    let seq = tx.last_seq()?;
    let blocker = tx.step(view.house, world, |w| {
        let id = replace::in_the_way(view, w, &object, holder, (seq, at))?;
        w.object(id).map(|o| o.root)
    })?;
    if let Some(root) = blocker {
        replace::waits(&mut object, connection, holder, root);
        world.begin_step();
        world.put_object(object);
        return Ok(());
    }
    let found = tx.step(view.house, world, |w| {
        let id = w.object_by_remote(connection, collection, holder)?;
        w.object(id).cloned()
    })?;
    world.begin_step();
    match found {
        Some(other) if other.root.is_some() && other.root != object.root => {
            object.due = None;
            object.wait = Some(Wait {
                kind: WaitKind::Dead,
                reason: format!("{connection} said no: {fault}; object {holder} has it"),
            });
            world.put_object(object);
        }
        Some(mut other) => {
            // A listing found it first: the seat's records move there, and the seat is free.
            let id = other.id;
            other.root = object.root;
            other.bindings.extend(std::mem::take(&mut object.bindings));
            other.unmatched_key = None;
            other.look = Some(tx.last_seq()?);
            mark_object(&mut other, at, view.resource.lane);
            world.put_object(other);
            object.root = None;
            object.due = None;
            object.state = State::Left;
            world.put_object(object);
            // What it showed belongs to a record now; whoever waited for that id is told.
            tx.step(view.house, world, |w| {
                take_from_shadow(view.house, w, id, at);
                object_bound(view.house, w, id, at);
            })?;
        }
        None => {
            let id = object.id;
            object.remote = Some(holder.into());
            object.look = Some(tx.last_seq()?);
            world.put_object(object);
            tx.step(view.house, world, |w| object_bound(view.house, w, id, at))?;
        }
    }
    Ok(())
}

fn put_off(object: &mut Object, retry_after: Option<u32>) {
    let tried = u32::from(retry_after.is_none());
    let tries = object.due.as_ref().map_or(0, |d| d.tries) + tried;
    retry(object, tries, retry_after);
}

/// Puts objects off: after a call that never reached its goal, or, where it is said for how long, until
/// it is their turn. Who only waits for that has not tried.
pub async fn postpone(
    engine: &Arc<Engine>,
    ids: Vec<ObjectId>,
    retry_after: Option<u32>,
) -> Result<()> {
    let ill: BTreeMap<String, u32> = engine.ill().collect();
    engine
        .store
        .write_async(move |tx| {
            let mut objects = Vec::new();
            for id in ids {
                if let Some(mut object) = tx.object(id)? {
                    let ill = ill.get(object.connection.as_str()).copied();
                    put_off(&mut object, retry_after.or(ill));
                    objects.push(object);
                }
            }
            tx.write_objects(objects.iter())
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a thousand pictures four go at a time: the last had no retry left when its turn came.
    #[test]
    fn who_waits_for_a_turn_has_not_tried() {
        let mut object = Object::seat(1, "x", "images", "images");
        mark_object(&mut object, "2026-11-28T10:00:00Z", 0);
        (0..100).for_each(|_| put_off(&mut object, Some(1)));
        assert_eq!(object.due.as_ref().unwrap().tries, 0);
        put_off(&mut object, None);
        assert_eq!(object.due.unwrap().tries, 1);
    }
}
