//! Redirect: what was merged into another over there goes by the other's id from then on.
//!
//! Reads   references, objects that are gone.   Writes  who stands in for one; looks; due marks.
//! Never   makes one record of two: each keeps its own, they only share an id over there.

use serde_json::json;

use crate::Json;
use crate::model::record::record_of;
use crate::model::{Object, ObjectId, RecordId, Seq, State, Text};
use crate::sync::house::{House, View};
use crate::sync::mark::{mark_if_written, object_bound};
use crate::sync::take::give_way;
use crate::sync::world::{Key, World};

/// Whose id stands in for an object that is gone.
pub const MERGED_ROW: &str = "~merged";

/// A merged one may be merged again, and again.
const MERGES_MAX: usize = 8;

/// By which id an object is named over there. None: it has none, or is gone and nobody stands in.
pub(super) fn named(world: &mut World, object: &Object) -> Option<Text> {
    let mut object = object.clone();
    for _ in 0..MERGES_MAX {
        if object.state != State::Gone {
            return object.remote;
        }
        let heir = object.shadow.get(MERGED_ROW)?.as_str()?.to_owned();
        let (connection, collection) = (object.connection.clone(), object.collection.clone());
        let known = world.object_by_remote(&connection, &collection, &heir);
        match known.and_then(|id| world.object(id)).cloned() {
            Some(next) if next.state == State::Gone => object = next,
            _ => return Some(heir.into()),
        }
    }
    None
}

/// Somebody stands in for what is gone: it takes an object that nobody has, or shares one.
pub fn redirect(house: &House, world: &mut World, id: ObjectId, heir: &str, now: &str) {
    let Some(mut object) = world.object(id).cloned() else { return };
    let (connection, collection) = (object.connection.clone(), object.collection.clone());
    let root = object.root;
    if object.state != State::Gone || object.remote.as_deref() == Some(heir) {
        return;
    }
    give_way(world, &connection, &collection, heir, id);
    object.wait = None;
    if world.object_by_remote(&connection, &collection, heir).is_some_and(|other| other != id) {
        object.shadow.insert(MERGED_ROW.into(), json!(heir));
        world.put_object(object);
    } else {
        object.remote = Some(heir.into());
        object.state = State::Live;
        object.look = Some(0);
        world.put_object(object);
        object_bound(house, world, id, now);
    }
    if let Some(root) = root {
        wake(house, world, &connection, root, now);
    }
}

/// Whoever names it and could not be sent tries again.
pub fn wake(house: &House, world: &mut World, connection: &str, root: RecordId, now: &str) {
    let Some(entity) = world.record(root).map(|r| r.entity.clone()) else { return };
    let mut named_by: Vec<RecordId> = Vec::new();
    for (name, other) in &house.entities.0 {
        for (field, spec) in &other.fields {
            if spec.to.as_deref() == Some(entity.as_str()) {
                named_by.extend(world.ids(&Key::Referrers(
                    name.as_str().into(),
                    field.as_str().into(),
                    root,
                )));
            }
        }
    }
    for record in named_by {
        for other in world.ids(&Key::ObjectsShowing(record)) {
            let unsent =
                |o: &Object| o.connection == connection && o.remote.is_none() && o.wait.is_some();
            if world.object(other).is_some_and(unsent) {
                mark_if_written(house, world, other, now);
            }
        }
    }
}

/// A create was refused: what it names may be gone, and nobody told us. Each is looked at.
pub fn suspect(view: &View<'_>, world: &mut World, root: RecordId, seq: Seq) {
    let Some(record) = world.record(root).cloned() else { return };
    let mut names = Vec::new();
    for cell in record.fields.values().flat_map(|scopes| scopes.values()) {
        collect(&cell.value, &mut names);
    }
    names.truncate(SUSPECTS_MAX);
    for name in names {
        for id in world.ids(&Key::ObjectsOfRoot(view.connection.name.as_str().into(), name)) {
            let there = |o: &&Object| o.state == State::Live && o.remote.is_some();
            let Some(mut object) = world.object(id).filter(there).cloned() else { continue };
            object.look = object.look.max(Some(seq));
            world.put_object(object);
        }
    }
}

/// An order of more lines than this has other troubles.
const SUSPECTS_MAX: usize = 50;

fn collect(value: &Json, out: &mut Vec<RecordId>) {
    match value {
        Json::Array(items) => items.iter().for_each(|v| collect(v, out)),
        Json::Object(map) => match record_of(value) {
            Some(id) if !out.contains(&id) => out.push(id),
            Some(_) => {}
            None => map.values().for_each(|v| collect(v, out)),
        },
        _ => {}
    }
}
