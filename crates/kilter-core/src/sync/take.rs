//! Take: what an object showed enters the records that it stands for, by ownership.
//!
//! Reads   an object's shadow, its records.   Writes  records, bindings – in the world only.
//! Never   takes a field that the connection does not own.

use compact_str::format_compact;

use crate::Json;
use crate::manifest::Facet;
use crate::model::record::record_ref;
use crate::model::{Cell, Object, ObjectId, Record, RecordId, Rows, State, Text};
use crate::sync::house::{House, View};
use crate::sync::keys::found_alike;
use crate::sync::mark;
use crate::sync::project::{Projected, split_remote};
use crate::sync::world::World;
use crate::sync::{existence, known, reference, seat, sold};

/// What all of one change's fields share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub change: i64,
    pub at: &'a str,
}

/// Which fields of a record changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fields {
    /// These alone; nothing by which the record is found, nor what it names.
    Some(Vec<Text>),
    Any,
}

/// An object that could not find its root before tries again, from what it last said.
pub fn bind_again(house: &House, world: &mut World, id: ObjectId, now: &str) {
    let Some(object) = world.object(id) else { return };
    if object.root.is_some() {
        return;
    }
    let (connection, resource) = (object.connection.clone(), object.resource.clone());
    if let Some(view) = house.view(&connection, &resource) {
        let said = Said { change: 0, at: now };
        take(&view, world, id, &said, None);
        // Its seat was sent, and the answer is lost (a kill): this is what the create made.
        let alone = world.object(id).filter(|o| o.root.is_none());
        if let Some(key) = alone.and_then(|o| o.unmatched_key.clone()) {
            double_gone(&view, world, &key, now);
        }
    }
}

/// A shadow that got its record late is taken as if it had been read now.
pub fn take_from_shadow(house: &House, world: &mut World, id: ObjectId, now: &str) {
    let Some(object) = world.object(id) else { return };
    let (connection, resource) = (object.connection.clone(), object.resource.clone());
    if let Some(view) = house.view(&connection, &resource) {
        take(&view, world, id, &Said { change: 0, at: now }, None);
    }
}

/// An object that is known by its remote id alone, as one that a hint named before the answer that
/// names it came, gives its place to the seat that was sent there. None: somebody else's.
pub fn give_way(
    world: &mut World,
    connection: &str,
    collection: &str,
    remote: &str,
    seat: ObjectId,
) -> Option<Object> {
    let id = world.object_by_remote(connection, collection, remote).filter(|id| *id != seat)?;
    let known = world.object(id).filter(|o| o.root.is_none())?.clone();
    let mut left = Object::seat(id, connection, &known.resource, collection);
    left.state = State::Left;
    world.put_object(left);
    Some(known)
}

/// The only object with a key that another's seat bears, as where a double is gone, or what shows its
/// key came late: the seat that has no object takes it.
pub(super) fn double_gone(view: &View<'_>, world: &mut World, key: &str, now: &str) {
    let doubles = seat::unmatched(view, world, key);
    let [only] = doubles.as_slice() else { return };
    let root = world.record_by_key(&view.resource.root, key, view.resource.fold);
    let (connection, resource) = (&view.connection.name, &view.resource.name);
    let seat = root.and_then(|root| world.object_of_root(connection, resource, root));
    let Some(seat) = seat.and_then(|id| world.object(id)).filter(|o| o.remote.is_none()) else {
        return;
    };
    let (id, root, bindings) = (seat.id, seat.root, seat.bindings.clone());
    let remote = only.remote.clone().unwrap_or_default();
    let collection = &view.resource.collection;
    let Some(known) = give_way(world, connection, collection, &remote, id) else { return };
    world.put_object(Object { id, root, bindings, unmatched_key: None, wait: None, ..known });
    mark::mark(world, id, now, view.resource.lane);
    take_from_shadow(view.house, world, id, now);
    mark::object_bound(view.house, world, id, now);
}

// ---- roots and facets -----------------------------------------------------------------------

/// The match key of an item's root, from its rows.
fn root_key(view: &View<'_>, world: &mut World, item: &Projected) -> Option<Text> {
    let facet = view.root_facet()?;
    let entity = view.house.entities.get(&facet.entity)?;
    let vars = view.vars(&item.each);
    let mut parts = Vec::new();
    for field in &entity.key {
        let source = facet.key.get(field).map_or(field.as_str(), String::as_str);
        if let Some(var) = source.strip_prefix('$') {
            parts.push(vars.get(var)?.as_str()?.to_owned());
            continue;
        }
        let value = item.rows.get(&*format_compact!("{}.{source}", facet.name))?;
        let value = reference::resolve(view, world, value);
        match crate::model::record::record_of(&value) {
            Some(record) => parts.push(record.to_string()),
            None => parts.push(value.as_str().filter(|t| !t.is_empty())?.to_owned()),
        }
    }
    Some(parts.join("/").into())
}

pub(super) fn find_root(view: &View<'_>, world: &mut World, item: &Projected) -> Option<RecordId> {
    if let Some(facet) = view.root_facet().filter(|f| f.by.is_some()) {
        let row = format!("{}.{}", facet.name, facet.by.as_deref().unwrap_or_default());
        let value = reference::resolve(view, world, item.rows.get(row.as_str())?);
        return crate::model::record::record_of(&value);
    }
    let key = root_key(view, world, item)?;
    world.record_by_key(&view.resource.root, &key, view.resource.fold)
}

/// Finds or bears the object's root; without one it is kept by its key until a record comes.
fn bind_root(
    view: &View<'_>,
    world: &mut World,
    object: &mut Object,
    item: &Projected,
    said: &Said<'_>,
) -> bool {
    if object.root.is_some() {
        return true;
    }
    let key = root_key(view, world, item);
    let hangs = view.root_facet().is_some_and(|f| f.by.is_some() || !f.key.is_empty());
    let found = find_root(view, world, item);
    let facet_waits = hangs && (key.is_none() || view.root_facet().is_some_and(|f| f.by.is_some()));
    if let Some(record) = found {
        let other = world.object_of_root(&object.connection, &object.resource, record);
        // Texts for each locale, addresses of one order: several objects show one root by design.
        let many = view.root_facet().is_some_and(|f| f.by.is_some());
        let other = other.filter(|o| !many && *o != object.id);
        if other.is_some_and(|other| !succeed(view, world, other, said)) {
            // A double: its key stays indexed, a person sees both.
            object.unmatched_key = key;
            return false;
        }
        object.root = Some(record);
        object.unmatched_key = None;
        return true;
    }
    if facet_waits {
        return false;
    }
    if !view.bears(&view.resource.root) {
        object.unmatched_key = key;
        return false;
    }
    let id = world.fresh_record();
    let mut record = Record::new(id, &view.resource.root, &view.connection.name, key);
    name_document(view, &mut record, item, said);
    if let Some(facet) = view.root_facet() {
        set_key_cells(view, world, &mut record, facet, None, item, said);
    }
    world.put_record(record);
    object.root = Some(id);
    object.unmatched_key = None;
    true
}

/// Something with the same key stands there under another id: it takes the place of what is known to
/// be gone; what is not is looked at, for nobody may have told us. Only where such things are born: what
/// somebody made by hand in place of what he deleted elsewhere is a person's. Never of a document.
fn succeed(view: &View<'_>, world: &mut World, id: ObjectId, said: &Said<'_>) -> bool {
    let document = view.house.entities.get(&view.resource.root).is_some_and(|e| e.document);
    let born = view.bears(&view.resource.root) && !document;
    let Some(known) = world.object(id).filter(|o| o.remote.is_some() && born).cloned() else {
        return false;
    };
    let gone = known.state == State::Gone;
    let mut known = known;
    if gone {
        (known.root, known.due, known.wait) = (None, None, None);
        known.bindings.clear();
    } else if said.change > 0 {
        known.look = known.look.max(Some(said.change));
    }
    world.put_object(known);
    gone
}

/// The only one with the key of what is gone takes its place.
pub(super) fn succeeded(view: &View<'_>, world: &mut World, root: RecordId, now: &str) {
    let Some(key) = world.record(root).and_then(|r| r.key.clone()) else { return };
    if let [only] = seat::unmatched(view, world, &key).as_slice() {
        bind_again(view.house, world, only.id, now);
    }
}

/// A document that its shop does not name by our key gets its reference at birth.
fn name_document(view: &View<'_>, record: &mut Record, item: &Projected, said: &Said<'_>) {
    let Some(entity) = view.house.entities.get(&record.entity) else { return };
    if !entity.document || record.key.is_some() {
        return;
    }
    let number = item.rows.iter().find(|(k, _)| k.ends_with(".number")).map(|(_, v)| v);
    let number = number.and_then(Json::as_str).unwrap_or(&item.id);
    let connection = view.connection;
    let reference = crate::sync::document::reference(
        &connection.orders.prefix,
        &format!("{}{number}", entity.initial),
        &connection.account,
        &record.entity,
        &item.remote,
    );
    set_cell(
        record,
        "reference",
        "",
        Json::String(reference.clone()),
        &connection.name,
        said,
        false,
    );
    record.key = Some(reference.into());
}

/// Key fields of records that hang on others are fields as well: `variant`, `list`, `location`.
fn set_key_cells(
    view: &View<'_>,
    world: &mut World,
    record: &mut Record,
    facet: &Facet,
    root: Option<RecordId>,
    item: &Projected,
    said: &Said<'_>,
) {
    let vars = view.vars(&item.each);
    for (field, source) in &facet.key {
        let value = match (source.strip_prefix('$'), root) {
            (Some(var), _) => vars.get(var).cloned(),
            (None, Some(root)) if source == "root" => Some(record_ref(root)),
            _ => item.rows.get(&*format_compact!("{}.{source}", facet.name)).cloned(),
        };
        if let Some(value) = value {
            let value = reference::resolve(view, world, &value);
            set_cell(record, field, "", value, &view.connection.name, said, false);
        }
    }
}

fn set_cell(
    record: &mut Record,
    field: &str,
    scope: &str,
    value: Json,
    by: &str,
    said: &Said<'_>,
    seed: bool,
) -> bool {
    // What stays is not touched: many hold it.
    let same = |cell: &Cell| cell.value == value && (!cell.seed || seed);
    if record.cell(field, scope).is_some_and(same) {
        return false;
    }
    let scopes = record.fields.entry(field.into()).or_default();
    if let Some(cell) = scopes.get_mut(scope)
        && cell.value == value
    {
        // The owner has spoken, though it said the same.
        let spoke = cell.seed && !seed;
        cell.seed &= seed;
        if spoke {
            cell.by = by.into();
        }
        return false;
    }
    let cell = Cell { value, by: by.into(), change: said.change, at: said.at.into(), seed };
    scopes.insert(scope.into(), cell);
    true
}

// ---- taking ---------------------------------------------------------------------------------

/// Takes what the connection owns out of an object's shadow into the records. Of what was taken before,
/// as its rows were then (`was`), only what moved is taken again.
pub(super) fn take(
    view: &View<'_>,
    world: &mut World,
    id: ObjectId,
    said: &Said<'_>,
    was: Option<&Rows>,
) {
    let Some(mut object) = world.hold_object(id) else { return };
    let item = &shown(view, &object);
    let fresh = object.root.is_none();
    if fresh {
        let bound = bind_root(view, world, &mut object, item, said);
        world.put_object((*object).clone());
        if !bound {
            return;
        }
    }
    let Some(root) = object.root else { return };
    let gone_before = existence::there(view, world, root);
    let (mut changed, bound_otherwise) = take_facets(view, world, (&object, root), item, said, was);
    if gone_before {
        changed.insert(0, (root, Fields::Any));
    }
    // Which record stands at a facet, a figure or a text does not say.
    if (fresh || bound_otherwise)
        && let Some(mut object) = world.object(id).cloned()
    {
        seat::bind_facets(view, world, &mut object);
        world.put_object(object);
    }
    if fresh {
        mark::record_born(view.house, world, root, said.at);
        mark::object_bound(view.house, world, id, said.at);
    }
    known::bind(view, world, item, Some(root), said);
    for (record, fields) in changed {
        // Its root may have been born just now.
        let fields = if fresh { &Fields::Any } else { &fields };
        mark::record_changed(view.house, world, (record, fields), said.at);
        sold::order_changed(view.house, world, record, said.at);
        sold::put_back(view.house, world, record, said.change);
    }
}

/// What an object shows, as if it had been read now.
fn shown(view: &View<'_>, object: &Object) -> Projected {
    let has_each = view.resource.list.as_ref().is_some_and(|l| l.each.is_some());
    let remote = object.remote.clone().unwrap_or_default();
    let (id, each) = split_remote(&remote, has_each);
    Projected {
        resource: object.resource.clone(),
        id: id.into(),
        each: each.into(),
        version: None,
        rows: object.shadow.clone(),
        unreadable: Vec::new(),
        hints: Vec::new(),
        sides: Vec::new(),
        remote,
    }
}

/// Takes facet by facet: the records that changed, and whether another record may stand at a facet.
fn take_facets(
    view: &View<'_>,
    world: &mut World,
    (object, root): (&Object, RecordId),
    item: &Projected,
    said: &Said<'_>,
    was: Option<&Rows>,
) -> (Vec<(RecordId, Fields)>, bool) {
    let (mut changed, mut bound_otherwise) = (Vec::new(), false);
    for facet in &view.resource.facets {
        let known = object.bindings.get(&*facet.name).copied();
        let found = seat::facet_record_from(view, world, root, facet, known);
        let bound = found.is_some() && known == found;
        bound_otherwise |= !bound;
        if bound && was.is_some_and(|was| rows_of(facet, was).eq(rows_of(facet, &item.rows))) {
            continue;
        }
        let next = world.next_ids().0;
        if let Some((record, fields)) = take_facet(view, world, facet, (root, found), item, said) {
            bound_otherwise |= fields == Fields::Any;
            changed.push((record, fields));
            if record >= next {
                mark::record_born(view.house, world, record, said.at);
            }
        }
    }
    (changed, bound_otherwise)
}

/// The rows of a shadow that a facet reads.
fn rows_of<'r>(facet: &Facet, rows: &'r Rows) -> impl Iterator<Item = (&'r Text, &'r Json)> {
    let own = |key: &str| key.strip_prefix(facet.name.as_str()).is_some_and(|k| k.starts_with('.'));
    rows.iter().filter(move |(key, _)| own(key))
}

/// The record of the facet and which fields of it changed, if any did.
fn take_facet(
    view: &View<'_>,
    world: &mut World,
    facet: &Facet,
    (root, found): (RecordId, Option<RecordId>),
    item: &Projected,
    said: &Said<'_>,
) -> Option<(RecordId, Fields)> {
    let vars = view.vars(&item.each);
    let known = found.and_then(|id| world.record(id)).cloned();
    if facet.born.is_some() && known.is_some() {
        return None;
    }
    let mut cells = Vec::new();
    for row in &facet.rows {
        let stand = view.stand(facet, row, &vars);
        let mode = view.mode(&stand, known.as_ref());
        if !mode.takes && !mode.seeds {
            continue;
        }
        let Some(value) = item.rows.get(&stand.key) else { continue };
        let value = reference::resolve(view, world, value);
        cells.push((&row.field, stand, value, mode.seeds));
    }
    let (mut changed, mut born) = (Vec::new(), false);
    let mut record = match known {
        Some(record) => record,
        None if cells.is_empty() || !view.bears(&facet.entity) => return None,
        None => {
            let key = birth_key(view, facet, root, item)?;
            if facet.born.is_some() && known::borne_elsewhere(world, facet, root) {
                return None;
            }
            let id = world.fresh_record();
            let mut record = Record::new(id, &facet.entity, &view.connection.name, Some(key));
            set_key_cells(view, world, &mut record, facet, Some(root), item, said);
            born = true;
            record
        }
    };
    let before = record.clone();
    for (field, stand, value, seed) in cells {
        let scope = &stand.scope;
        let owned = record.cell(field, scope).is_some_and(|c| !c.seed);
        if seed && owned {
            continue;
        }
        let by = &view.connection.name;
        if set_cell(&mut record, field, scope, value, by, said, seed) {
            changed.push(Text::from(field.as_str()));
        }
    }
    rekey(view, &mut record);
    let id = record.id;
    // Found by what it was found by: no reference and no key of it moved.
    let some = !born && found_alike(&before, &record);
    let moved = born || !changed.is_empty();
    if moved || record != before {
        world.put_record(record);
    }
    moved.then(|| (id, if some { Fields::Some(changed) } else { Fields::Any }))
}

fn birth_key(view: &View<'_>, facet: &Facet, root: RecordId, item: &Projected) -> Option<Text> {
    if let Some(row) = &facet.born {
        let value = item.rows.get(&*format_compact!("{}.{row}", facet.name))?;
        return value.as_str().filter(|t| !t.is_empty()).map(Text::from);
    }
    if facet.of.is_some() { None } else { seat::facet_key(view, facet, root) }
}

/// A renamed SKU renames the match key; nothing else hangs on it.
fn rekey(view: &View<'_>, record: &mut Record) {
    let Some(entity) = view.house.entities.get(&record.entity) else { return };
    if let [only] = entity.key.as_slice()
        && let Some(text) = record.text(only).filter(|t| !t.is_empty())
    {
        record.key = Some(text.into());
    }
}
