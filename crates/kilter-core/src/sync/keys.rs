//! Keys: under which a record or an object is found. The store keeps the same indexes.
//!
//! Reads   records and objects.   Writes  nothing.   Never  asks for more than the thing itself says.

use std::collections::BTreeSet;

use crate::model::record::fold;
use crate::model::{Object, Record, Text};
use crate::sync::reference;
use crate::sync::world::Key;

/// Are both found under the same keys? Asked of every change, so nothing is copied for it.
pub fn found_alike(before: &Record, after: &Record) -> bool {
    fn composed(record: &Record) -> impl Iterator<Item = (&Text, &Text, &crate::Json)> {
        let cells = record.fields.iter().flat_map(|(field, scopes)| {
            scopes.iter().map(move |(scope, cell)| (field, scope, &cell.value))
        });
        cells.filter(|(_, _, value)| value.is_object() || value.is_array())
    }
    before.key == after.key
        && before.entity == after.entity
        && before.origin == after.origin
        && composed(before).eq(composed(after))
}

pub fn shown_alike(before: &Object, after: &Object) -> bool {
    // Without a root, what it waits for stands in its shadow.
    let waits = |o: &Object| o.root.is_none() && o.unmatched_key.is_none();
    before.root == after.root
        && before.remote == after.remote
        && before.unmatched_key == after.unmatched_key
        && before.connection == after.connection
        && before.resource == after.resource
        && before.collection == after.collection
        && before.bindings == after.bindings
        && (!waits(after) || before.shadow == after.shadow)
}

/// The keys under which a record is found.
pub fn record_keys(record: Option<&Record>) -> BTreeSet<Key> {
    let mut keys = BTreeSet::new();
    let Some(record) = record else { return keys };
    if let Some(key) = &record.key {
        keys.insert(Key::RecordByKey(record.entity.clone(), fold(key)));
    }
    for (field, to) in reference::direct(record) {
        keys.insert(Key::Referrers(record.entity.clone(), field, to));
    }
    for pending in reference::pending_of_record(record) {
        keys.insert(Key::Waiting(pending));
    }
    keys
}

pub fn object_keys(object: Option<&Object>) -> BTreeSet<Key> {
    let mut keys = BTreeSet::new();
    let Some(object) = object else { return keys };
    if let Some(remote) = &object.remote {
        keys.insert(Key::ObjectByRemote(
            object.connection.clone(),
            object.collection.clone(),
            remote.clone(),
        ));
    }
    if let Some(root) = object.root {
        keys.insert(Key::ObjectsOfRoot(object.connection.clone(), root));
    }
    for record in object.bindings.values() {
        keys.insert(Key::ObjectsShowing(*record));
    }
    if let Some(key) = &object.unmatched_key {
        keys.insert(Key::Unmatched(object.connection.clone(), object.resource.clone(), fold(key)));
    }
    for pending in reference::pending_of_object(object) {
        keys.insert(Key::Unbound(pending));
    }
    keys
}
