//! References: from a remote id or a key to a record, and back to a remote id elsewhere.
//!
//! | form                                                   | stands in                           |
//! |--------------------------------------------------------|-------------------------------------|
//! | `{"$remote": ["resource", "id"]}`                      | rows and shadows                    |
//! | `{"$key": ["entity", "text"]}`                         | rows and shadows                    |
//! | both in one: the id first, the key for the first match  | rows and shadows                    |
//! | `{"$record": 17}`                                      | records                             |
//! | `{"$remote": …, "$from": "connection"}`, `{"$key": …}` | records, where not resolved yet     |
//!
//! Never   parks a merge: what is not resolved is kept, and woken when the other settles.

use std::collections::BTreeSet;

use serde_json::{Map, json};

use crate::Json;
use crate::model::record::{fold, record_of, record_ref};
use crate::model::{Object, ObjectId, Record, RecordId, State, Text};
use crate::sync::existence::WAS;
use crate::sync::house::{House, View};
use crate::sync::redirect;
use crate::sync::world::World;

/// What a reference waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pending {
    /// Connection, remote id of one of its resources.
    Remote(Text, Text),
    /// Entity, folded key.
    Key(Text, Text),
}

impl Pending {
    /// One text, for an index.
    pub fn text(&self) -> String {
        match self {
            Self::Remote(connection, id) => format!("r\u{1f}{connection}\u{1f}{id}"),
            Self::Key(entity, key) => format!("k\u{1f}{entity}\u{1f}{key}"),
        }
    }
}

/// Replaces every reference of a row's value by the record it names, as far as it is known.
pub fn resolve(view: &View<'_>, world: &mut World, value: &Json) -> Json {
    resolve_from(view.house, &view.connection.name, world, value)
}

fn resolve_from(house: &House, connection: &str, world: &mut World, value: &Json) -> Json {
    match value {
        Json::Array(items) => {
            items.iter().map(|v| resolve_from(house, connection, world, v)).collect()
        }
        Json::Object(map) => {
            let from = map.get("$from").and_then(Json::as_str).unwrap_or(connection);
            let (remote, key) = (remote_parts(value), key_parts(value));
            if remote.is_some() || key.is_some() {
                let by_id = remote.and_then(|(of, id)| find_remote(house, from, world, of, id));
                let found = by_id.or_else(|| find_key(from, world, remote, key?));
                return found.map_or_else(|| unresolved(value, remote, from), record_ref);
            }
            let inner =
                map.iter().map(|(k, v)| (k.clone(), resolve_from(house, connection, world, v)));
            Json::Object(inner.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn unresolved(value: &Json, remote: Option<(&str, &str)>, from: &str) -> Json {
    let mut kept = value.clone();
    if remote.is_some() {
        kept["$from"] = json!(from);
    }
    kept
}

/// By its key, unless that record is there under another id: then another thing bears the key.
fn find_key(
    connection: &str,
    world: &mut World,
    remote: Option<(&str, &str)>,
    (entity, key): (&str, &str),
) -> Option<RecordId> {
    let record = world.record_by_key(entity, key, true)?;
    let Some((resources, id)) = remote else { return Some(record) };
    let other = resources.split('|').any(|name| {
        let object = world.object_of_root(connection, name, record);
        let there = object.and_then(|o| world.object(o)).and_then(|o| o.remote.as_deref());
        there.is_some_and(|there| there != id)
    });
    (!other).then_some(record)
}

/// Resolves again what a record could not resolve before.
pub fn resolve_again(house: &House, world: &mut World, value: &Json) -> Json {
    resolve_from(house, "", world, value)
}

fn find_remote(
    house: &House,
    connection: &str,
    world: &mut World,
    resources: &str,
    id: &str,
) -> Option<RecordId> {
    let (_, connector) = house.connector(connection)?;
    for name in resources.split('|') {
        let Some(resource) = connector.resource(name) else { continue };
        let found = world.object_by_remote(connection, &resource.collection, id);
        let found = found.and_then(|o| world.object(o));
        if let Some(root) = found.and_then(|o| o.root.or(o.bindings.get(WAS).copied())) {
            return Some(root);
        }
    }
    None
}

/// A value of a record as rows say it: each `$record` becomes the remote id it has in `view`'s
/// connection, in the resource that the lens names. Err: the record that has none there yet.
pub fn unresolve(
    view: &View<'_>,
    world: &mut World,
    value: &Json,
    resources: &[&str],
) -> Result<Json, Unresolved> {
    match value {
        Json::Array(items) => items.iter().map(|v| unresolve(view, world, v, resources)).collect(),
        Json::Object(map) => {
            if let Some(record) = record_of(value) {
                return remote_ref(view, world, record, resources);
            }
            if map.contains_key("$remote") || map.contains_key("$key") {
                return Err(Unresolved::Unknown(value.clone()));
            }
            let mut out = Map::new();
            for (k, v) in map {
                out.insert(k.clone(), unresolve(view, world, v, resources)?);
            }
            Ok(Json::Object(out))
        }
        other => Ok(other.clone()),
    }
}

/// Why a reference cannot be written yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Unresolved {
    /// The record is known, but has no remote id there.
    NotThere(RecordId),
    /// It was deleted there, and nobody stands in for it.
    Gone(RecordId, ObjectId),
    /// Nobody knows what it names.
    Unknown(Json),
}

fn remote_ref(
    view: &View<'_>,
    world: &mut World,
    record: RecordId,
    resources: &[&str],
) -> Result<Json, Unresolved> {
    let mut none = Unresolved::NotThere(record);
    for name in resources.iter().flat_map(|r| r.split('|')) {
        let object = world.object_of_root(&view.connection.name, name, record);
        let Some(object) = object.and_then(|o| world.object(o)).cloned() else { continue };
        match redirect::named(world, &object) {
            Some(remote) => return Ok(json!({ "$remote": [name, remote] })),
            None if object.state == State::Gone => none = Unresolved::Gone(record, object.id),
            None => {}
        }
    }
    Err(none)
}

pub(super) fn remote_parts(value: &Json) -> Option<(&str, &str)> {
    let pair = value.get("$remote")?.as_array()?;
    Some((pair.first()?.as_str()?, pair.get(1)?.as_str()?))
}

pub(super) fn key_parts(value: &Json) -> Option<(&str, &str)> {
    let pair = value.get("$key")?.as_array()?;
    Some((pair.first()?.as_str()?, pair.get(1)?.as_str()?))
}

/// Do two row values name the same thing? References compare by id, whatever resource they say.
pub fn same(left: &Json, right: &Json) -> bool {
    match (remote_parts(left), remote_parts(right)) {
        (Some((_, a)), Some((_, b))) => a == b,
        _ => left == right,
    }
}

fn collect(value: &Json, connection: &str, out: &mut BTreeSet<Pending>) {
    match value {
        Json::Array(items) => items.iter().for_each(|v| collect(v, connection, out)),
        Json::Object(map) => {
            let from = map.get("$from").and_then(Json::as_str).unwrap_or(connection);
            let (remote, key) = (remote_parts(value), key_parts(value));
            out.extend(remote.map(|(_, id)| Pending::Remote(from.into(), id.into())));
            out.extend(key.map(|(entity, key)| Pending::Key(entity.into(), fold(key))));
            if remote.is_none() && key.is_none() {
                map.values().for_each(|v| collect(v, connection, out));
            }
        }
        _ => {}
    }
}

/// What a record's values wait for.
pub fn pending_of_record(record: &Record) -> BTreeSet<Pending> {
    let mut out = BTreeSet::new();
    for cell in record.fields.values().flat_map(|scopes| scopes.values()) {
        collect(&cell.value, &record.origin, &mut out);
    }
    out
}

/// What an object without root waits for: every reference of its shadow may be its key's.
pub fn pending_of_object(object: &Object) -> BTreeSet<Pending> {
    let mut out = BTreeSet::new();
    if object.root.is_none() && object.unmatched_key.is_none() {
        object.shadow.values().for_each(|v| collect(v, &object.connection, &mut out));
    }
    out
}

/// The resolved references of a record that stand in a field of their own.
pub fn direct(record: &Record) -> Vec<(Text, RecordId)> {
    record
        .fields
        .iter()
        .filter_map(|(field, scopes)| Some((field.clone(), record_of(&scopes.get("")?.value)?)))
        .collect()
}
