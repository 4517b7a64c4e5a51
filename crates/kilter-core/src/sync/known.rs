//! Known: who an object names by an id of another resource is that one from now on.
//!
//! Reads   rows that name by an id and by a key (`key`), records.
//! Writes  objects without a shadow, that ask for a look – in the world only.
//! Never   takes an id from one who has it, nor gives one a second.
//!
//! An order names its buyer before the listing of buyers shows her. She is matched by her e-mail
//! once; the id that stands beside it is kept at once, so that a later e-mail finds the same record.

use crate::manifest::Facet;
use crate::model::{Object, RecordId};
use crate::sync::house::View;
use crate::sync::project::Projected;
use crate::sync::take::{Said, give_way};
use crate::sync::world::World;
use crate::sync::{mark, reference, seat};

/// Keeps the ids that an object names beside a key, as objects of the resource that they are of.
pub(super) fn bind(
    view: &View<'_>,
    world: &mut World,
    item: &Projected,
    root: Option<RecordId>,
    said: &Said<'_>,
) {
    let (Some(root), Some(facet)) = (root, view.root_facet()) else { return };
    let vars = view.vars(&item.each);
    for row in facet.rows.iter().filter(|row| row.key.is_some()) {
        let value = item.rows.get(&view.stand(facet, row, &vars).key);
        let Some((resources, id)) = value.and_then(reference::remote_parts) else { continue };
        let connection = &view.connection.name;
        let mut views = resources.split('|').filter_map(|r| view.house.view(connection, r));
        let Some(target) = views.next() else { continue };
        let record = world.record(root).and_then(|r| r.reference(&row.field));
        keep(&target, world, id, record, said);
    }
}

fn keep(view: &View<'_>, world: &mut World, id: &str, record: Option<RecordId>, said: &Said<'_>) {
    let (connection, resource) = (&view.connection.name, view.resource);
    let there = world.object_by_remote(connection, &resource.collection, id);
    let there = there.and_then(|id| world.object(id)).cloned();
    if there.as_ref().is_some_and(|o| o.root.is_some() || record.is_none()) {
        return;
    }
    let seat = record.and_then(|record| world.object_of_root(connection, &resource.name, record));
    let seat = seat.and_then(|id| world.object(id)).cloned();
    if seat.as_ref().is_some_and(|seat| seat.remote.is_some()) {
        return;
    }
    let mut object = match (seat, there) {
        (Some(seat), _) => {
            give_way(world, connection, &resource.collection, id, seat.id);
            seat
        }
        (None, Some(there)) => there,
        (None, None) => {
            let id = world.fresh_object();
            Object::seat(id, connection, &resource.name, &resource.collection)
        }
    };
    object.remote = Some(id.into());
    object.root = record;
    object.unmatched_key = None;
    // Nothing of it was read yet.
    object.look = Some(said.change);
    seat::bind_facets(view, world, &mut object);
    let id = object.id;
    world.put_object(object);
    mark::object_bound(view.house, world, id, said.at);
}

/// Does its own resource bear what a reference names? It has an id and no key; or its key is borne
/// by somebody who is there under another id.
pub(super) fn borne_elsewhere(world: &mut World, facet: &Facet, root: RecordId) -> bool {
    let named = facet.of.as_deref().and_then(|of| world.record(root)?.value(of, "").cloned());
    let Some(value) = named.filter(|value| reference::remote_parts(value).is_some()) else {
        return false;
    };
    reference::key_parts(&value)
        .is_none_or(|(entity, key)| world.record_by_key(entity, key, true).is_some())
}
