//! Seat: which records a resource shows. An object stands from the moment it should be there.
//!
//! Reads   records, `select`.   Writes  objects without remote id, their bindings, due marks.
//! Never   creates a second object for a root, nor a document twice.

use crate::Json;
use crate::config::Connection;
use crate::manifest::{Facet, Select, Test};
use crate::model::{Object, ObjectId, Record, RecordId, State, Text};
use crate::sync::existence::EXISTENCE;
use crate::sync::house::{House, View};
use crate::sync::mark::mark_object;
use crate::sync::world::{Key, World};
use crate::sync::{take, whole};

/// A record changed: every resource that may show it, or something it belongs to, is asked.
pub fn reconsider(house: &House, world: &mut World, record: RecordId, now: &str) {
    let wholes = super::mark::with_wholes(house, world, record);
    reconsider_with(house, world, (record, &wholes), now);
}

/// What it is part of is the same for every resource, of which there may be many.
pub fn reconsider_with(
    house: &House,
    world: &mut World,
    (record, wholes): (RecordId, &[RecordId]),
    now: &str,
) {
    for view in house.views().filter(View::creates) {
        for root in roots(&view, world, record, wholes) {
            consider(&view, world, root, now);
        }
    }
}

/// The root records of a resource that a record has a say in.
fn roots(view: &View<'_>, world: &mut World, id: RecordId, wholes: &[RecordId]) -> Vec<RecordId> {
    let Some(record) = world.hold_record(id) else { return Vec::new() };
    let root = &view.resource.root;
    if record.entity == *root {
        return vec![id];
    }
    for whole in wholes {
        if world.record(*whole).is_some_and(|r| r.entity == *root) {
            return vec![*whole];
        }
    }
    let fields = view.house.entities.get(root).map(|e| &e.fields);
    let mut out = Vec::new();
    for (field, spec) in fields.into_iter().flatten() {
        if spec.part_of && spec.to.as_deref() == Some(record.entity.as_str()) {
            out.extend(world.ids(&Key::Referrers(root.as_str().into(), field.as_str().into(), id)));
        }
    }
    out
}

pub fn consider(view: &View<'_>, world: &mut World, root: RecordId, now: &str) {
    let passes = passes(view, world, root);
    let name = &view.connection.name;
    match (passes, world.object_of_root(name, &view.resource.name, root)) {
        (true, None) => seat(view, world, root, now),
        (true, Some(id)) => come_back(view, world, id, now),
        (false, Some(id)) => leave(view, world, id, now),
        (false, None) => {}
    }
}

fn come_back(view: &View<'_>, world: &mut World, id: ObjectId, now: &str) {
    let Some(object) = world.object(id).filter(|o| o.state == State::Left) else { return };
    let mut object = object.clone();
    object.state = if object.remote.is_some() { State::Live } else { State::Seat };
    object.shadow.remove(crate::sync::plan::ARCHIVED_ROW);
    mark_object(&mut object, now, view.resource.lane);
    world.put_object(object);
}

/// Documents never leave by `select`, once they were sent; before, they are withdrawn.
fn leave(view: &View<'_>, world: &mut World, id: ObjectId, now: &str) {
    let Some(object) = world.object(id) else { return };
    let document = view.house.entities.get(&view.resource.root).is_some_and(|e| e.document);
    let sent = object.remote.is_some();
    if matches!(object.state, State::Left | State::Gone) || (document && sent) {
        return;
    }
    let mut object = object.clone();
    object.state = State::Left;
    if sent {
        mark_object(&mut object, now, view.resource.lane);
    } else {
        object.due = None;
        object.wait = None;
    }
    world.put_object(object);
}

fn seat(view: &View<'_>, world: &mut World, root: RecordId, now: &str) {
    let key = world.record(root).and_then(|r| r.key.clone());
    let mut object = None;
    if let Some(key) = &key {
        // What a listing found without a record is looked at first; two doubles are a person's.
        if let [only] = unmatched(view, world, key).as_slice() {
            object = Some(only.clone());
        }
    }
    let found = object.is_some();
    let mut object = object.unwrap_or_else(|| {
        let id = world.fresh_object();
        let resource = view.resource;
        Object::seat(id, &view.connection.name, &resource.name, &resource.collection)
    });
    object.root = Some(root);
    object.unmatched_key = None;
    bind_facets(view, world, &mut object);
    mark_object(&mut object, now, view.resource.lane);
    let id = object.id;
    world.put_object(object);
    if found {
        take::take_from_shadow(view.house, world, id, now);
        super::mark::object_bound(view.house, world, id, now);
    }
}

/// The objects of a resource that bear this key, as the target compares keys, and have no record.
pub fn unmatched(view: &View<'_>, world: &mut World, key: &str) -> Vec<Object> {
    let folded = crate::model::record::fold(key);
    let resource = view.resource;
    let index =
        Key::Unmatched(view.connection.name.as_str().into(), resource.name.as_str().into(), folded);
    let ids = world.ids(&index);
    let all: Vec<Object> = ids.into_iter().filter_map(|id| world.object(id).cloned()).collect();
    let same = |o: &Object| resource.fold || o.unmatched_key.as_deref() == Some(key);
    all.into_iter().filter(|o| o.root.is_none() && o.state != State::Gone && same(o)).collect()
}

/// Writes down which record stands at each facet, as far as there is one.
pub fn bind_facets(view: &View<'_>, world: &mut World, object: &mut Object) {
    let Some(root) = object.root else { return };
    for facet in &view.resource.facets {
        if let Some(record) = facet_record(view, world, root, facet) {
            object.bindings.insert(facet.name.as_str().into(), record);
        }
    }
}

/// The record that stands at a facet of an object with this root.
pub fn facet_record(
    view: &View<'_>,
    world: &mut World,
    root: RecordId,
    facet: &Facet,
) -> Option<RecordId> {
    facet_record_from(view, world, root, facet, None)
}

/// The same, where it is known which one stood there.
pub(super) fn facet_record_from(
    view: &View<'_>,
    world: &mut World,
    root: RecordId,
    facet: &Facet,
    known: Option<RecordId>,
) -> Option<RecordId> {
    if let Some(field) = &facet.of {
        return world.record(root)?.reference(field);
    }
    if facet.key.is_empty() || facet.entity == view.resource.root {
        return Some(root);
    }
    let key = facet_key(view, facet, root)?;
    // What stood there has the key still: nothing is looked for.
    let stands = |r: &Record| r.entity == *facet.entity && r.key.as_ref() == Some(&key);
    match known.filter(|id| world.record(*id).is_some_and(stands)) {
        Some(known) => Some(known),
        None => world.record_by_key(&facet.entity, &key, false),
    }
}

/// `17/retail`: the key of a record that hangs on a root.
pub fn facet_key(view: &View<'_>, facet: &Facet, root: RecordId) -> Option<Text> {
    let entity = view.house.entities.get(&facet.entity)?;
    let vars = view.vars("");
    let mut parts = Vec::new();
    for field in &entity.key {
        let source = facet.key.get(field)?;
        parts.push(match source.strip_prefix('$') {
            Some(var) => vars.get(var)?.as_str()?.to_owned(),
            None if source == "root" => root.to_string(),
            None => return None,
        });
    }
    Some(parts.join("/").into())
}

/// Does a root record pass the resource's `select`, and the rules of its kind?
pub fn passes(view: &View<'_>, world: &mut World, root: RecordId) -> bool {
    let Some(record) = world.hold_record(root) else { return false };
    if record.fields.contains_key(EXISTENCE) {
        return false;
    }
    let entity = view.house.entities.get(&record.entity);
    if entity.is_some_and(|e| e.document)
        && (record.origin == view.connection.name || !flows(view, world, &record))
    {
        return false;
    }
    if each_of(view, world, root).is_none() || !whole_stands(view, world, root) {
        return false;
    }
    meets(view, world, root, &view.resource.select)
}

/// Does a root record meet all of these?
pub(super) fn meets(
    view: &View<'_>,
    world: &mut World,
    root: RecordId,
    selects: &[Select],
) -> bool {
    let vars = view.vars("");
    selects.iter().all(|select| {
        let value = select_value(view, world, root, &select.field);
        test(select, value.as_ref(), &vars)
    })
}

/// What is a part of a document (a shipment) stands only where the document does.
fn whole_stands(view: &View<'_>, world: &mut World, root: RecordId) -> bool {
    let Some(parent) = &view.resource.parent else { return true };
    let entity = |name: &str| view.house.entities.get(name);
    let Some(facet) = view.resource.facets.iter().find(|f| f.name == parent.facet) else {
        return true;
    };
    let part = entity(&view.resource.root).is_some_and(|e| !e.document);
    if !part || !entity(&facet.entity).is_some_and(|e| e.document) {
        return true;
    }
    let Some(whole) = facet_record(view, world, root, facet) else { return false };
    world.object_of_root(&view.connection.name, &parent.resource, whole).is_some()
}

/// For which location or list a root stands here: the part of its key that the resource calls
/// `$each`; empty where it calls none so. None: it is none of the connection's.
pub fn each_of(view: &View<'_>, world: &mut World, root: RecordId) -> Option<String> {
    let each = view.resource.list.as_ref().and_then(|l| l.each.as_deref());
    let (Some(what), Some(facet)) = (each, view.root_facet()) else { return Some(String::new()) };
    let field = facet.key.iter().find(|(_, source)| *source == "$each").map(|(field, _)| field);
    let Some(field) = field.filter(|_| facet.entity == view.resource.root) else {
        return Some(String::new());
    };
    let name = world.record(root)?.text(field)?.to_owned();
    view.connection.each(what).contains(&name).then_some(name)
}

/// A document that is part of another flows where the other does, or was sent already.
fn flows(view: &View<'_>, world: &mut World, record: &Record) -> bool {
    let wanted = |record: &Record| {
        let origin = view.house.config.connections.get(record.origin.as_str());
        origin.is_some_and(|o| imports(o, record))
    };
    if !whole::is_part(view, record) {
        return wanted(record);
    }
    let Some(id) = whole::of(view, record) else { return false };
    let Some(order) = world.record(id).cloned() else { return false };
    wanted(&order) || whole::object(view, world, id).is_some_and(|o| o.remote.is_some())
}

/// Which documents of a connection flow: their states, and since when.
fn imports(origin: &Connection, record: &Record) -> bool {
    let orders = &origin.orders;
    let status = record.text("status").unwrap_or_default();
    let placed = record.text("placed_at").unwrap_or_default();
    let state = record.fields.contains_key("status");
    let since = orders.since.as_deref().is_none_or(|since| placed.is_empty() || placed >= since);
    (!state || orders.import.iter().any(|s| s == status)) && since
}

/// `status` of the root, `product.kind` of the facet `product`.
fn select_value(view: &View<'_>, world: &mut World, root: RecordId, field: &str) -> Option<Json> {
    let vars = view.vars("");
    let Some((facet_name, field)) = field.split_once('.') else {
        return world.record(root)?.value(field, "").cloned();
    };
    let facet = view.resource.facets.iter().find(|f| f.name == facet_name)?;
    let record = facet_record(view, world, root, facet)?;
    let scope = match view.house.entities.field(&facet.entity, field)?.scope.as_deref() {
        Some(kind) => vars.get(kind).and_then(Json::as_str).unwrap_or_default().to_owned(),
        None => String::new(),
    };
    world.record(record)?.value(field, &scope).cloned()
}

fn test(
    select: &Select,
    value: Option<&Json>,
    vars: &std::collections::BTreeMap<String, Json>,
) -> bool {
    let resolve = |wanted: &Json| match wanted.as_str().and_then(|t| t.strip_prefix('$')) {
        Some(var) => vars.get(var).cloned().unwrap_or(Json::Null),
        None => wanted.clone(),
    };
    match &select.test {
        Test::OneOf(values) => value.is_some_and(|v| values.iter().any(|w| resolve(w) == *v)),
        Test::Not(values) => value.is_none_or(|v| values.iter().all(|w| resolve(w) != *v)),
        Test::Exists => value.is_some_and(|v| !v.is_null()),
        Test::Contains(wanted) => {
            value.and_then(Json::as_array).is_some_and(|items| items.contains(&resolve(wanted)))
        }
    }
}
