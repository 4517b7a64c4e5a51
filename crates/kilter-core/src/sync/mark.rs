//! Mark: what must look again when something changed. An activation takes no input: the mark
//! says only "look", the plan reads the truth.
//!
//! Reads   the world.   Writes  due marks, resolved references.   Never  calls a remote.

use crate::model::{Due, Object, ObjectId, Record, RecordId, State, WaitKind};
use crate::sync::house::House;
use crate::sync::reference::{self, Pending};
use crate::sync::take::Fields;
use crate::sync::world::{Key, World};
use crate::sync::{seat, take};

/// What an object waits for stands here among its bindings, so that the index finds it.
pub const WAITS_ON: &str = "~waits";

/// k marks make between 1 and k deliveries, at least one of which starts after the last mark.
pub fn mark(world: &mut World, id: ObjectId, now: &str, lane: u8) {
    let Some(object) = world.object(id) else { return };
    let mut object = object.clone();
    mark_object(&mut object, now, lane);
    world.put_object(object);
}

pub fn mark_object(object: &mut Object, now: &str, lane: u8) {
    let due = object.due.get_or_insert_with(|| Due { lane, ..Due::default() });
    due.mark += 1;
    due.lane = due.lane.min(lane);
    // It may have been due at a time to come (a sale that ends).
    due.since = due.since.take().filter(|since| since.as_str() < now);
    due.since.get_or_insert_with(|| now.into());
    // A mark never lowers a back-off.
    let earliest = due.not_before.as_deref().filter(|t| *t > now).unwrap_or(now).into();
    due.next_at = Some(match due.next_at.take() {
        Some(at) if at < earliest => at,
        _ => earliest,
    });
    // What is held by a person's rule is planned anew as well: the plan holds it again if it must.
    if object.wait.as_ref().is_some_and(|w| w.kind != WaitKind::Held) {
        object.wait = None;
    }
}

/// A record changed, or was born: everyone who shows it, or what it is part of, must look. Where it
/// should be is asked only if what changed may have a say in that.
pub(super) fn record_changed(
    house: &House,
    world: &mut World,
    (record, fields): (RecordId, &Fields),
    now: &str,
) {
    let wholes = with_wholes(house, world, record);
    let mut objects: Vec<ObjectId> =
        wholes.iter().flat_map(|id| showing(house, world, record, *id)).collect();
    objects.sort_unstable();
    objects.dedup();
    objects.into_iter().for_each(|object| mark_if_written(house, world, object, now));
    let entity = world.record(record).map(|r| r.entity.clone()).unwrap_or_default();
    let says = match fields {
        Fields::Some(fields) => fields.iter().any(|field| house.has_say(&entity, field)),
        Fields::Any => true,
    };
    if says {
        seat::reconsider_with(house, world, (record, &wholes), now);
    }
}

/// The objects that show a record, or a whole of it. Of a thing with many parts only those that stand
/// for the whole: another part of it says nothing of this one, and a product of two thousand variants
/// would look two thousand times at each. The parts of a document (its shipments, its refunds) do.
fn showing(house: &House, world: &mut World, record: RecordId, whole: RecordId) -> Vec<ObjectId> {
    let entity = world.record(whole).and_then(|r| house.entities.get(&r.entity));
    let Some(entity) = entity.filter(|entity| whole != record && !entity.document) else {
        return world.ids(&Key::ObjectsShowing(whole));
    };
    let mut connections = house.told_of(&entity.name).iter();
    let first = connections.next().map(|name| Key::ObjectsOfRoot(name.clone(), whole));
    let mut out = first.map(|key| world.ids(&key)).unwrap_or_default();
    connections.for_each(|name| out.extend(world.ids(&Key::ObjectsOfRoot(name.clone(), whole))));
    out
}

/// The record, and the records that it is part of: a price, its variant, its product.
pub fn with_wholes(house: &House, world: &mut World, record: RecordId) -> Vec<RecordId> {
    let mut out = vec![record];
    let mut at = 0;
    while at < out.len() && out.len() < WHOLES_MAX {
        if let Some(record) = world.hold_record(out[at]) {
            for to in wholes_of(house, &record) {
                if !out.contains(&to) {
                    out.push(to);
                }
            }
        }
        at += 1;
    }
    out
}

/// The records that one is part of itself.
pub fn wholes_of<'a>(
    house: &'a House,
    record: &'a Record,
) -> impl Iterator<Item = RecordId> + use<'a> {
    let fields = house.entities.get(&record.entity).into_iter().flat_map(|e| &e.fields);
    let part_of = fields.filter(|(_, field)| field.part_of);
    part_of.filter_map(|(name, _)| record.reference(name))
}

/// A thing is part of a thing is part of a thing: deeper than this is a mistake in `entities/`.
const WHOLES_MAX: usize = 8;

pub fn mark_if_written(house: &House, world: &mut World, id: ObjectId, now: &str) {
    let Some(object) = world.object(id) else { return };
    if object.state == State::Left && object.remote.is_none() {
        return;
    }
    let view = house.view(&object.connection, &object.resource);
    let Some(view) = view else { return };
    if view.hears() {
        let lane = view.resource.lane;
        mark(world, id, now, lane);
    }
}

/// A record was born with a match key: who waited for the key is told.
pub fn record_born(house: &House, world: &mut World, record: RecordId, now: &str) {
    let Some(born) = world.hold_record(record) else { return };
    if let Some(key) = &born.key {
        let key = Pending::Key(born.entity.clone(), crate::model::record::fold(key));
        wake(house, world, &key, now);
    }
}

/// An object got its root and its remote id: references to it can be resolved now.
pub fn object_bound(house: &House, world: &mut World, id: ObjectId, now: &str) {
    let Some(object) = world.hold_object(id) else { return };
    let (Some(remote), Some(root)) = (&object.remote, object.root) else { return };
    wake(house, world, &Pending::Remote(object.connection.clone(), remote.clone()), now);
    let entity = world.record(root).map(|r| r.entity.clone());
    if entity.and_then(|e| house.entities.get(&e)).is_some_and(|e| e.document) {
        // What is part of a document flows once the document was sent, whatever its shop says now.
        seat::reconsider(house, world, root, now);
    }
    for other in world.ids(&Key::ObjectsShowing(root)) {
        let parked = world.object(other).is_some_and(|o| {
            o.connection == object.connection
                && o.wait.as_ref().is_some_and(|w| w.kind == WaitKind::Parked)
        });
        if parked {
            mark_if_written(house, world, other, now);
        }
    }
}

/// A document reached another state in the target: what is part of it (its refunds) may go, or not.
pub fn state_moved(house: &House, world: &mut World, id: ObjectId, now: &str) {
    let Some(object) = world.hold_object(id) else { return };
    let Some(root) = object.root else { return };
    for other in world.ids(&Key::ObjectsShowing(root)) {
        let part = |o: &Object| o.connection == object.connection && o.root != Some(root);
        if world.object(other).is_some_and(part) {
            mark_if_written(house, world, other, now);
        }
    }
}

/// What is open of a whole differs: its parts that were not closed yet (a parcel that waits, or was
/// refused) look again.
pub fn open_moved(house: &House, world: &mut World, id: ObjectId, now: &str) {
    let Some(object) = world.hold_object(id) else { return };
    let Some(root) = object.root else { return };
    for other in world.ids(&Key::ObjectsShowing(root)) {
        let spread = |o: &Object| {
            let view = house.view(&o.connection, &o.resource);
            o.connection == object.connection
                && o.state == State::Seat
                && view.is_some_and(|v| v.resource.spread.is_some())
        };
        let Some(mut part) = world.object(other).filter(|o| spread(o)).cloned() else { continue };
        // It is what a part that was held back waits for.
        if let Some(due) = &mut part.due {
            due.not_before = None;
        }
        world.put_object(part);
        mark_if_written(house, world, other, now);
    }
}

fn wake(house: &House, world: &mut World, pending: &Pending, now: &str) {
    for id in world.ids(&Key::Waiting(pending.clone())) {
        let Some(mut record) = world.record(id).cloned() else { continue };
        let mut changed = false;
        for cell in record.cells_mut() {
            let value = reference::resolve_again(house, world, &cell.value);
            changed |= value != cell.value;
            cell.value = value;
        }
        if changed {
            world.put_record(record);
            record_changed(house, world, (id, &Fields::Any), now);
            crate::sync::sold::order_changed(house, world, id, now);
        }
    }
    for id in world.ids(&Key::Unbound(pending.clone())) {
        take::bind_again(house, world, id, now);
    }
}
