//! Reshape: what a changed configuration means for what is known already.
//!
//! Reads   a hash of what shaped each resource's objects, then and now.
//! Writes  fields of a new owner, seats, due marks; a cursor that starts again; a closed gate.
//! Never   calls a remote: the plan shows what would change before anything does.

use kilter_core::model::ObjectId;
use kilter_core::sync::house::{House, View};
use kilter_core::sync::{mark, seat, take};

use crate::pipeline::guard;
use crate::store::cursors::Cursor;
use crate::store::{Result, Store, Tx};

/// Compares all resources with what shaped them last time. Returns those that changed.
pub fn run(store: &Store, house: &House, now: &str) -> Result<Vec<String>> {
    let mut changed = Vec::new();
    for view in house.views() {
        let place = format!("{}.{}", view.connection.name, view.resource.name);
        let (key, shape) = (format!("shape.{place}"), view.shape());
        let then = store.write(|tx| tx.meta(&key))?;
        if then.as_deref() == Some(shape.as_str()) {
            continue;
        }
        let known = then.is_some();
        let objects = look_again(store, house, &view, now)?;
        seats(store, house, &view, now)?;
        store.write(|tx| {
            if known {
                read_again(tx, &view)?;
                guard::close(tx, &view)?;
            }
            tx.set_meta(&key, &shape)
        })?;
        if known {
            tracing::info!(
                connection.id = view.connection.name,
                resource = view.resource.name,
                objects,
                "its configuration changed: all is read and planned again"
            );
            changed.push(place);
        }
    }
    Ok(changed)
}

/// A field whose owner changed is taken from the new owner's shadow; every object is planned again.
fn look_again(store: &Store, house: &House, view: &View<'_>, now: &str) -> Result<usize> {
    let (connection, resource) = (&view.connection.name, &view.resource.name);
    let limit = house.config.limits.merge_batch;
    let (mut last, mut count) = (0, 0);
    loop {
        let ids = store.write(|tx| {
            let ids = tx.object_ids_after(connection, resource, last, limit)?;
            each(tx, house, &ids, |w, id| {
                take::take_from_shadow(house, w, id, now);
                mark::mark_if_written(house, w, id, now);
            })?;
            Ok(ids)
        })?;
        count += ids.len();
        match ids.last() {
            Some(id) => last = *id,
            None => return Ok(count),
        }
    }
}

/// A selection that changed: who should stand there now, and who should not.
fn seats(store: &Store, house: &House, view: &View<'_>, now: &str) -> Result<()> {
    if !view.creates() {
        return Ok(());
    }
    let limit = house.config.limits.merge_batch;
    let mut last = 0;
    loop {
        let ids = store.write(|tx| {
            let ids = tx.record_ids_after(last, limit)?;
            each(tx, house, &ids, |w, id| {
                if w.record(id).is_some_and(|r| r.entity == view.resource.root) {
                    seat::consider(view, w, id, now);
                }
            })?;
            Ok(ids)
        })?;
        match ids.last() {
            Some(id) => last = *id,
            None => return Ok(()),
        }
    }
}

fn each(
    tx: &Tx<'_>,
    house: &House,
    ids: &[ObjectId],
    mut work: impl FnMut(&mut kilter_core::sync::world::World, ObjectId),
) -> Result<()> {
    let mut world = tx.world()?;
    for id in ids {
        tx.step(house, &mut world, |w| work(w, *id))?;
    }
    tx.save(&world)
}

/// The next poll lists all, and reads it with the rows of now.
fn read_again(tx: &Tx<'_>, view: &View<'_>) -> Result<()> {
    let (connection, resource) = (&view.connection.name, &view.resource.name);
    let Some(list) = view.resource.list.as_ref().filter(|l| l.newest.is_none()) else {
        return Ok(());
    };
    let each = list.each.as_ref().map_or_else(|| vec![String::new()], |e| view.connection.each(e));
    for each in each {
        let cursor = tx.cursor(connection, resource, &each)?;
        tx.set_cursor(connection, resource, &each, &Cursor { value: None, ..cursor })?;
    }
    Ok(())
}
