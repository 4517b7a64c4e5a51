//! `kilter adopt`: first contact with systems that are full already.
//!
//! Reads   every listing, and a file of known pairs.   Writes  links, in Kilter's own store.
//! Never   writes to a remote system; never takes a part of a file that has a mistake.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use clap::Args;
use kilter_core::model::record::fold;
use kilter_core::model::{Object, State, Wait, WaitKind};
use kilter_core::sync::guards::Guards;
use kilter_core::sync::house::{House, View};
use kilter_core::sync::plan::{Plan, plan};
use serde::Serialize;
use serde_json::json;

use super::{Scope, links};
use crate::engine::Engine;
use crate::pipeline::poll::Extent;
use crate::pipeline::schedule::{self, Event};
use crate::pipeline::{looks, merge};
use crate::store::Tx;

#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// Only this connection.
    #[arg(long)]
    connection: Option<String>,
    /// Pairs that somebody knows: a CSV file with the columns connection, resource, key, id.
    #[arg(long, value_name = "FILE.csv")]
    links: Option<PathBuf>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// What first contact found in one resource.
#[derive(Debug, Default, Serialize)]
struct Found {
    connection: String,
    resource: String,
    /// Stand on both sides, and belong together.
    linked: usize,
    /// Linked, though the two do not write the key alike: (there, here, remote id).
    doubtful: Vec<(String, String, String)>,
    /// Several there with one key: key → remote ids.
    doubles: BTreeMap<String, Vec<String>>,
    /// There, and nobody says that it should be: (key, remote id).
    orphans: Vec<(String, String)>,
    /// Would be created.
    missing: usize,
    /// Waits for a person: (key, why).
    held: Vec<(String, String)>,
}

/// Most rows of each kind shown as text; `--json` shows all.
const SHOWN_MAX: usize = 10;

pub async fn run(config: &Path, args: &AdoptArgs) -> anyhow::Result<ExitCode> {
    let scope = Scope { connection: args.connection.clone(), ..Scope::default() };
    let engine = super::engine(config, &scope).await?;
    let faults = Mutex::new(Vec::new());
    let watch = |event: Event| {
        if let Event::Failed { connection, resource, fault } = event {
            let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.push(format!("{connection} {resource}: {fault}"));
        }
    };
    schedule::poll_all(&engine, Extent::Everything, &watch, |_| true).await?;
    for connection in engine.active() {
        looks::run(&engine, &connection).await?;
    }
    while merge::run(&engine).await? > 0 {}
    if let Some(file) = &args.links {
        let linked = links::read(&engine, file).await?;
        if !args.json {
            println!("{linked} linked by {}\n", file.display());
        }
    }
    let found = look(&engine, args.connection.clone()).await?;
    let faults = faults.into_inner().unwrap_or_else(PoisonError::into_inner);
    if args.json {
        println!("{}", json!({ "resources": found, "not_read": faults }));
    } else {
        print(&found, &faults);
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn look(engine: &Arc<Engine>, only: Option<String>) -> anyhow::Result<Vec<Found>> {
    let house = Arc::clone(&engine.house);
    let found = engine.store.write_async(move |tx| {
        let mut out = Vec::new();
        for view in house.views().filter(View::creates) {
            let entity = house.entities.get(&view.resource.root);
            let wanted = only.as_ref().is_none_or(|name| *name == view.connection.name);
            // Documents are born once, and never matched by a key of theirs.
            if wanted && view.stands() && entity.is_some_and(|e| !e.document) {
                out.push(resource(tx, &house, &view)?);
            }
        }
        Ok(out)
    });
    found.await.context("look at what was found")
}

fn resource(tx: &Tx<'_>, house: &House, view: &View<'_>) -> crate::store::Result<Found> {
    let (connection, name) = (&view.connection.name, &view.resource.name);
    let mut found =
        Found { connection: connection.clone(), resource: name.clone(), ..Found::default() };
    let mut last = 0;
    loop {
        let ids = tx.object_ids_after(connection, name, last, house.config.limits.merge_batch)?;
        for id in &ids {
            if let Some(object) = tx.object(*id)? {
                sort(tx, house, view, object, &mut found)?;
            }
        }
        match ids.last() {
            Some(id) => last = *id,
            None => break,
        }
    }
    // Who stands alone under a key is no double.
    let alone: Vec<String> =
        found.doubles.iter().filter(|(_, ids)| ids.len() < 2).map(|(k, _)| k.clone()).collect();
    for key in alone {
        let ids = found.doubles.remove(&key).unwrap_or_default();
        found.orphans.extend(ids.into_iter().map(|id| (key.clone(), id)));
    }
    Ok(found)
}

fn sort(
    tx: &Tx<'_>,
    house: &House,
    view: &View<'_>,
    object: Object,
    found: &mut Found,
) -> crate::store::Result<()> {
    let record = object.root.map(|id| tx.record(id)).transpose()?.flatten();
    let key = record.as_ref().and_then(|r| r.key.clone());
    match (&object.remote, &record, object.state) {
        (Some(id), Some(_), State::Live) => {
            found.linked += 1;
            let (there, here) = (shown_key(view, &object), key.unwrap_or_default());
            if let Some(there) = there.filter(|there| *there != here && fold(there) == fold(&here))
            {
                found.doubtful.push((there, here.into(), id.to_string()));
            }
        }
        (Some(id), None, State::Live) => {
            let key = object.unmatched_key.clone().unwrap_or_default();
            let linked = linked(tx, house, view, &key)?;
            let key = if view.resource.fold { fold(&key) } else { key };
            let all = found.doubles.entry(key.into()).or_default();
            all.push(id.to_string());
            all.extend(linked.filter(|id| !all.contains(id)));
        }
        (None, Some(_), State::Seat) => {
            let mut world = tx.world()?;
            world.learn_object(object.clone());
            let planned =
                tx.step(house, &mut world, |w| plan(view, w, &object, 0, Guards::default()))?;
            match planned {
                Plan::Wait(Wait { kind: WaitKind::Held | WaitKind::Dead, reason }, _) => {
                    found.held.push((key.unwrap_or_default().into(), reason));
                }
                _ => found.missing += 1,
            }
        }
        _ => {}
    }
    Ok(())
}

/// Who has this key there, and belongs to a record.
fn linked(
    tx: &Tx<'_>,
    house: &House,
    view: &View<'_>,
    key: &str,
) -> crate::store::Result<Option<String>> {
    let (connection, resource) = (&view.connection.name, view.resource);
    let mut world = tx.world()?;
    tx.step(house, &mut world, |w| {
        let root = w.record_by_key(&resource.root, key, resource.fold)?;
        let object = w.object_of_root(connection, &resource.name, root)?;
        w.object(object)?.remote.as_deref().map(str::to_owned)
    })
}

/// The key as the remote writes it, where it is one field of the root.
fn shown_key(view: &View<'_>, object: &Object) -> Option<String> {
    let facet = view.root_facet()?;
    let [field] = view.house.entities.get(&facet.entity)?.key.as_slice() else { return None };
    let shown = object.shadow.get(format!("{}.{field}", facet.name).as_str())?;
    shown.as_str().map(str::to_owned)
}

fn print(found: &[Found], faults: &[String]) {
    let header =
        ["where", "linked", "doubtful", "doubles", "orphans", "would be created", "for a person"];
    let mut table = super::table(&header);
    for f in found {
        let numbers =
            [f.linked, f.doubtful.len(), f.doubles.len(), f.orphans.len(), f.missing, f.held.len()];
        let mut row = vec![format!("{} {}", f.connection, f.resource)];
        row.extend(numbers.map(|n| n.to_string()));
        table.add_row(row);
    }
    println!("{table}\n");
    for f in found {
        let place = format!("{} {}", f.connection, f.resource);
        list(&f.doubtful, |(there, here, id)| {
            format!("doubtful: {place} {id} says \"{there}\", its owner says \"{here}\": linked")
        });
        let doubles: Vec<_> = f.doubles.iter().collect();
        list(&doubles, |(key, ids)| {
            format!("double: {place} {} all say \"{key}\"", ids.join(", "))
        });
        list(&f.orphans, |(key, id)| {
            format!("orphan: {place} {id} \"{key}\": nobody says that it should be there")
        });
        list(&f.held, |(key, why)| format!("for a person: {place} \"{key}\": {why}"));
    }
    for fault in faults {
        println!("not read: {fault}");
    }
    println!("nothing was written to any system; `kilter plan` shows what `kilter sync` would do");
}

fn list<T>(rows: &[T], tell: impl Fn(&T) -> String) {
    for row in rows.iter().take(SHOWN_MAX) {
        println!("{}", tell(row));
    }
    if rows.len() > SHOWN_MAX {
        println!("… and {} more (--json shows all)", rows.len() - SHOWN_MAX);
    }
}
