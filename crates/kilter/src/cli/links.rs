//! Links: pairs that somebody knows, from a CSV file: which record an object of a system is.
//!
//! Reads   connection, resource, key, id – a row each.   Writes  links, all or none.
//! Never   moves an object that is linked already: that is said, with its line.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use kilter_core::model::{Object, State};
use kilter_core::sync::house::House;
use kilter_core::sync::world::World;
use kilter_core::sync::{mark, take};
use serde::Deserialize;

use crate::engine::{Engine, now};
use crate::store::Error;

#[derive(Debug, Deserialize)]
struct Link {
    connection: String,
    resource: String,
    key: String,
    id: String,
}

/// Most rows of a file.
const ROWS_MAX: usize = 1_000_000;

pub async fn read(engine: &Arc<Engine>, file: &Path) -> anyhow::Result<usize> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(file)
        .with_context(|| format!("read {}", file.display()))?;
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for (at, row) in reader.deserialize::<Link>().take(ROWS_MAX).enumerate() {
        match row {
            Ok(row) => rows.push((at + 2, row)),
            Err(error) => problems.push(format!("{}:{}: {error}", file.display(), at + 2)),
        }
    }
    let (house, name) = (Arc::clone(&engine.house), file.display().to_string());
    let count = rows.len();
    if problems.is_empty() {
        let linked = engine.store.write_async(move |tx| {
            let mut world = tx.world()?;
            let mut told = Vec::new();
            for (line, row) in rows {
                let done = tx.step(&house, &mut world, |w| link(&house, w, &row))?;
                told.extend(done.err().map(|problem| format!("{name}:{line}: {problem}")));
            }
            if told.is_empty() {
                return tx.save(&world);
            }
            Err(Error::Refused(told.join("\n")))
        });
        match linked.await {
            Err(Error::Refused(told)) => problems.extend(told.lines().map(str::to_owned)),
            other => other.context("link what the file says")?,
        }
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    anyhow::ensure!(
        problems.is_empty(),
        "use {}: {} problems; nothing of it was taken",
        file.display(),
        problems.len()
    );
    Ok(count)
}

fn link(house: &House, world: &mut World, row: &Link) -> Result<(), String> {
    let Link { connection, resource, key, id } = row;
    let view = house
        .view(connection, resource)
        .ok_or_else(|| format!("there is no resource {resource} of a connection {connection}"))?;
    let root = &view.resource.root;
    let record = world
        .record_by_key(root, key, view.resource.fold)
        .ok_or_else(|| format!("no {root} has the key \"{key}\""))?;
    let seat = world
        .object_of_root(connection, resource, record)
        .and_then(|id| world.object(id))
        .cloned()
        .ok_or_else(|| format!("\"{key}\" should not be in {resource} of {connection}"))?;
    match &seat.remote {
        Some(there) if there == id => return Ok(()),
        Some(there) => return Err(format!("\"{key}\" is linked to {there} already")),
        None => {}
    }
    let collection = &view.resource.collection;
    let known = world
        .object_by_remote(connection, collection, id)
        .ok_or_else(|| format!("{connection} shows no {id} in {collection}"))?;
    if world.object(known).is_some_and(|o| o.root.is_some()) {
        return Err(format!("{id} of {connection} is linked to something else already"));
    }
    let at = now();
    let Some(known) = take::give_way(world, connection, collection, id, seat.id) else {
        return Err(format!("{id} of {connection} cannot be linked"));
    };
    world.put_object(Object {
        id: seat.id,
        root: seat.root,
        bindings: seat.bindings,
        state: State::Live,
        unmatched_key: None,
        wait: None,
        ..known
    });
    mark::mark(world, seat.id, &at, view.resource.lane);
    take::take_from_shadow(house, world, seat.id, &at);
    mark::object_bound(house, world, seat.id, &at);
    Ok(())
}
