//! Existence: an object that is not there any more, and what follows from it.
//!
//! Reads   who decides that it should be there; the connection's `gone` policy.
//! Writes  its state, its children's; a wait for a person, or a seat that is created again.
//! Never   creates a document again by itself; never takes a stale answer for a delete.

use crate::config::{Gone, Owner};
use crate::model::{
    Cell, Change, End, Flat, Object, ObjectId, RecordId, State, Text, Wait, WaitKind,
};
use crate::sync::house::{House, View};
use crate::sync::mark::{self, mark_object};
use crate::sync::take::{Fields, double_gone, succeeded};
use crate::sync::world::{Key, World};
use crate::sync::{redirect, replace};

/// Somebody who deletes it as often as this means it.
const RECREATED_MAX: u32 = 3;

/// Where `repairs` counts how often an object was created again.
const RECREATED: &str = "~recreated";

/// Whose an id was, before it was created again: stands here among the bindings of what is gone.
pub const WAS: &str = "~was";

/// The remote says that an object is not there (any more).
pub fn gone(house: &House, world: &mut World, change: &Change) -> End {
    let found = world.object_by_remote(&change.connection, &change.collection, &change.remote);
    let Some(mut object) = found.and_then(|id| world.object(id)).cloned() else {
        return End::Filtered("gone, and never known".into());
    };
    if change.asked > 0 && change.asked < object.settled {
        object.look = Some(change.seq);
        world.put_object(object);
        return End::Filtered("asked before our last write".into());
    }
    if change.asked > 0 && change.asked < object.asked {
        return End::Filtered("asked before a newer read".into());
    }
    object.asked = object.asked.max(change.asked);
    object.look = None;
    if object.state == State::Gone {
        world.put_object(object);
        return End::Unchanged;
    }
    let left = object.state == State::Left;
    let stood = object.clone();
    object.state = State::Gone;
    object.due = None;
    let key = object.unmatched_key.clone().filter(|_| object.root.is_none());
    let (id, resource, root) = (object.id, object.resource.clone(), object.root);
    world.put_object(object);
    for child in children(house, world, id) {
        set_gone(world, child);
    }
    if !left {
        follow(house, world, id, change);
    }
    let view = house.view(&change.connection, &resource);
    match (view, key, root) {
        (Some(view), Some(key), None) => double_gone(&view, world, &key, &change.at),
        (Some(view), _, Some(root)) => {
            succeeded(&view, world, root, &change.at);
            redirect::wake(house, world, &change.connection, root, &change.at);
            replace::freed(house, world, &stood, &replace::shown(&stood), &change.at);
        }
        _ => {}
    }
    End::Merged
}

/// Kept among a record's fields once it is gone where it comes from: it is shown nowhere any more.
pub const EXISTENCE: &str = "existence";

/// Is this connection the one that says what exists?
fn decides(view: &View<'_>) -> bool {
    let own = view.house.config.ownership.existence(&view.resource.root);
    own.is_some_and(|own| own.owner == Owner::Connection(view.connection.name.clone()))
}

fn ended(view: &View<'_>, world: &mut World, root: RecordId, change: &Change) {
    let Some(mut record) = world.record(root).cloned() else { return };
    let cell = Cell {
        value: serde_json::json!("gone"),
        by: view.connection.name.as_str().into(),
        change: change.seq,
        at: change.at.as_str().into(),
        seed: false,
    };
    record.fields.insert(EXISTENCE.into(), Flat::from_iter([(Text::default(), cell)]));
    world.put_record(record);
    mark::record_changed(view.house, world, (root, &Fields::Any), &change.at);
}

/// It is there, or again. True: it was gone.
pub(super) fn there(view: &View<'_>, world: &mut World, root: RecordId) -> bool {
    let gone = world.record(root).filter(|r| r.fields.contains_key(EXISTENCE) && decides(view));
    let Some(mut record) = gone.cloned() else { return false };
    record.fields.remove(EXISTENCE);
    world.put_record(record);
    true
}

/// What its policy says. Where the connection itself decides what exists, its record is shown nowhere
/// any more; where each bears its own, nothing follows.
fn follow(house: &House, world: &mut World, id: ObjectId, change: &Change) {
    let Some(mut object) = world.object(id).cloned() else { return };
    let Some(view) = house.view(&object.connection, &object.resource) else { return };
    let Some(root) = object.root else { return };
    // A side of what is gone: that is asked about by itself.
    if view.resource.parent.as_ref().is_some_and(|parent| parent.there) {
        return;
    }
    let document = house.entities.get(&view.resource.root).is_some_and(|e| e.document);
    if view.bears(&view.resource.root) {
        if !document && decides(&view) {
            ended(&view, world, root, change);
        }
        return;
    }
    if replace::is_meant(&object) {
        recreate(house, world, id, &change.at);
        return;
    }
    let times = object.repairs.get(RECREATED).map_or(0, |(times, _)| *times);
    let policy = view.connection.gone_policy(&view.resource.root);
    let name = &view.connection.name;
    let reason = match policy {
        Gone::Leave => return,
        Gone::Recreate if !document && times < RECREATED_MAX => {
            object.repairs.insert(RECREATED.into(), (times + 1, crate::Json::Null));
            world.put_object(object);
            recreate(house, world, id, &change.at);
            return;
        }
        Gone::Recreate if !document => {
            format!(
                "deleted in {name} again, after {times} times created: recreate it, or leave it?"
            )
        }
        _ => format!("someone deleted it in {name}: recreate it, or leave it?"),
    };
    object.wait = Some(Wait { kind: WaitKind::Held, reason });
    world.put_object(object);
}

/// With what it stood under. Where it was found gone before that was, it is not asked about by itself.
fn set_gone(world: &mut World, id: ObjectId) {
    let Some(mut object) = world.object(id).cloned() else { return };
    if matches!(object.state, State::Live | State::Gone) {
        object.state = State::Gone;
        (object.due, object.look, object.wait) = (None, None, None);
        world.put_object(object);
    }
}

/// An object that is gone takes its seat again, and with it what stood below it.
pub fn recreate(house: &House, world: &mut World, id: ObjectId, now: &str) {
    let below = children(house, world, id);
    for id in std::iter::once(id).chain(below) {
        let Some(mut object) = world.object(id).filter(|o| o.state == State::Gone).cloned() else {
            continue;
        };
        let Some(view) = house.view(&object.connection, &object.resource) else { continue };
        let was = object.remote.take();
        object.state = State::Seat;
        object.wait = None;
        object.shadow.clear();
        mark_object(&mut object, now, view.resource.lane);
        if let (Some(was), Some(root)) = (was, object.root) {
            remember(world, &object, was, root);
        }
        world.put_object(object);
    }
}

/// What names the id that it had, as a line of an order does, means it still.
fn remember(world: &mut World, object: &Object, was: Text, root: RecordId) {
    let id = world.fresh_object();
    let mut old = Object::seat(id, &object.connection, &object.resource, &object.collection);
    old.state = State::Gone;
    old.remote = Some(was);
    old.asked = object.asked;
    old.bindings.insert(WAS.into(), root);
    world.put_object(old);
}

/// What cannot stand without it: objects whose resource names its resource as their parent's.
pub(super) fn children(house: &House, world: &mut World, id: ObjectId) -> Vec<ObjectId> {
    let Some(object) = world.object(id).cloned() else { return Vec::new() };
    let Some(root) = object.root else { return Vec::new() };
    let mut showing = world.ids(&Key::ObjectsShowing(root));
    showing.retain(|other| {
        let below = |o: &Object| {
            let view = house.view(&o.connection, &o.resource);
            let parent = view.and_then(|v| v.resource.parent.as_ref());
            o.connection == object.connection
                && parent.is_some_and(|p| {
                    p.resource == object.resource && o.bindings.get(p.facet.as_str()) == Some(&root)
                })
        };
        *other != id && world.object(*other).is_some_and(below)
    });
    showing.into_iter().collect()
}
