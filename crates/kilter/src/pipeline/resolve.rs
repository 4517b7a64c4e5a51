//! Resolve: what became of a create whose answer never came (R5).
//!
//! Reads   uncertain intents whose time has come; the remote, by our reference.
//! Writes  facts, the next time to ask, what parks.
//! Never   sends a create: class A is marked due and takes a permit of its own; class C waits for a
//!         person once the remote is quiet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kilter_core::Json;
use kilter_core::manifest::{Class, Permit, plain};
use kilter_core::model::{Fault, FaultKind, ObjectId, State, Wait, WaitKind};
use kilter_core::sync::house::View;
use serde_json::json;

use crate::engine::{Engine, after, backoff, now};
use crate::pipeline::permits::{LOOKUP_SECONDS, fact, parked, retry_at};
use crate::pipeline::poll::vars;
use crate::pipeline::settle::Marks;
use crate::store::intents::{Intent, Status};
use crate::store::{Result, Tx};

/// Most references asked for in one look-up.
const LOOKUP_CAP: usize = 50;

/// R5: asks for every uncertain create whose time has come. Returns how many were asked for.
pub async fn run(engine: &Arc<Engine>, connection: &str) -> Result<usize> {
    if !engine.guards.permits {
        return Ok(0);
    }
    let name = connection.to_owned();
    let uncertain =
        engine.store.write_async(move |tx| tx.uncertain(&name, &now(), LOOKUPS_A_ROUND)).await?;
    let mut by_resource: BTreeMap<String, Vec<Intent>> = BTreeMap::new();
    for intent in uncertain {
        by_resource.entry(intent.resource.clone()).or_default().push(intent);
    }
    let mut asked = 0;
    for (resource, intents) in by_resource {
        let alone = engine.house.view(connection, &resource).is_some_and(|v| {
            v.resource.permit.as_ref().is_some_and(|permit| permit.ours.is_some())
        });
        for chunk in intents.chunks(if alone { 1 } else { LOOKUP_CAP }) {
            asked += chunk.len();
            look_up(engine, connection, &resource, chunk).await?;
        }
    }
    Ok(asked)
}

/// Most intents looked up in one round.
const LOOKUPS_A_ROUND: usize = 500;

async fn look_up(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &str,
    intents: &[Intent],
) -> Result<()> {
    let house = Arc::clone(&engine.house);
    let Some(view) = house.view(connection, resource) else { return Ok(()) };
    let Some(permit) = &view.resource.permit else { return Ok(()) };
    let found = match ask(engine, &view, permit, intents).await {
        Ok(found) => found,
        Err(fault) => {
            tracing::info!(connection.id = connection, fault = %fault, "a look-up failed");
            let ids: Vec<String> = intents.iter().map(|i| i.intent.clone()).collect();
            let next = after(backoff(3, fault.retry_after));
            let status = Status::Uncertain;
            let write =
                move |tx: &Tx<'_>| ids.iter().try_for_each(|i| tx.set_intent(i, status, &next));
            return engine.store.write_async(write).await;
        }
    };
    let intents = intents.to_vec();
    let class = permit.class;
    let quiet = permit.quiescence_seconds;
    engine
        .store
        .write_async(move |tx| {
            for intent in &intents {
                match found.get(&intent.reference).map(Vec::as_slice) {
                    Some([only]) => {
                        fact(tx, &house, intent, only, "found by reference", &Marks::new())?;
                    }
                    Some(many) if many.len() > 1 => {
                        tracing::error!(reference = intent.reference, "found more than once");
                        park(tx, intent)?;
                    }
                    _ => not_found(tx, intent, class, quiet)?,
                }
            }
            Ok(())
        })
        .await
}

type Found = BTreeMap<String, Vec<String>>;

async fn ask(
    engine: &Arc<Engine>,
    view: &View<'_>,
    permit: &Permit,
    intents: &[Intent],
) -> std::result::Result<Found, Fault> {
    let mut vars = vars(view, "");
    vars.insert("refs".to_owned(), intents.iter().map(|i| json!(i.reference)).collect());
    if let Some(first) = intents.first() {
        vars.insert("ref".to_owned(), json!(first.reference));
        if let Some(above) = above(engine, view, first.object).await? {
            vars.insert("above".to_owned(), kilter_core::sync::batch::id_json(&above));
        }
    }
    let request = permit
        .lookup
        .render(&vars)
        .ok_or_else(|| Fault::new(FaultKind::Rejected, "", "the look-up lacks a value"))?;
    let answer = engine.send(view, &request).await?;
    let items = match permit.items.read(&answer.body, &view.env(&vars, None)) {
        Some(Json::Array(items)) => items,
        Some(one @ Json::Object(_)) => vec![one],
        Some(Json::Null) => Vec::new(),
        _ => {
            let text = "the look-up's answer holds no list";
            return Err(Fault::new(FaultKind::Unknown, "", text));
        }
    };
    let mut found = Found::new();
    for item in &items {
        let env = view.env(&vars, Some(item));
        let id = permit.id.read(item, &env).ok().flatten();
        let reference = permit.reference.read(item, &env).ok().flatten();
        if let (Some(id), Some(reference)) = (id, reference) {
            found.entry(plain(&reference)).or_default().push(plain(&id));
        }
    }
    let Some(path) = &permit.ours else { return Ok(found) };
    let ours = |i: &Intent| {
        let said =
            path.read(i.payload.as_ref()?, &view.env(&vars, None)).filter(|v| !v.is_null())?;
        Some((i.reference.clone(), found.get(&plain(&said))?.clone()))
    };
    Ok(intents.iter().filter_map(ours).collect())
}

/// The remote id of what the object is a part of.
async fn above(
    engine: &Arc<Engine>,
    view: &View<'_>,
    object: ObjectId,
) -> std::result::Result<Option<String>, Fault> {
    let house = Arc::clone(&engine.house);
    let (connection, resource) = (view.connection.name.clone(), view.resource.name.clone());
    let found = engine.store.write_async(move |tx| {
        let Some(view) = house.view(&connection, &resource) else { return Ok(None) };
        let Some(root) = tx.object(object)?.and_then(|o| o.root) else { return Ok(None) };
        let mut world = tx.world()?;
        tx.step(&house, &mut world, |w| kilter_core::sync::plan::above(&view, w, root))
    });
    found.await.map_err(|e| Fault::new(FaultKind::Unavailable, "", e.to_string()))
}

fn not_found(tx: &Tx<'_>, intent: &Intent, class: Class, quiet: i64) -> Result<()> {
    let step = usize::try_from(intent.lookups).unwrap_or(usize::MAX);
    let wait = LOOKUP_SECONDS.get(step + 1).or(LOOKUP_SECONDS.last()).copied().unwrap_or(3600);
    let next = after(Duration::from_secs(wait));
    tx.count_lookup(&intent.intent, &next)?;
    let Some(mut object) = tx.object(intent.object)? else { return Ok(()) };
    if object.state == State::Gone {
        // It was there, and is not merged into another either.
        return tx.set_intent(&intent.intent, Status::Done, &next);
    }
    if class == Class::A {
        // Its reference is unique there: sending again cannot make a second one.
        let at = now();
        kilter_core::sync::mark::mark_object(&mut object, &at, 1);
        if let Some(due) = &mut object.due {
            due.next_at = Some(at.into());
            due.not_before = None;
        }
        object.wait = None;
        return tx.write_objects(std::iter::once(&object));
    }
    let first = intent.first_sent.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
    let age = first.map_or(0, |t| jiff::Timestamp::now().as_second() - t.as_second());
    if age >= quiet {
        return park(tx, intent);
    }
    retry_at(&mut object, &next);
    // Whoever died before an answer came left no reason behind.
    let reason = format!("asking whether {} has arrived", intent.reference);
    object.wait = Some(Wait { kind: WaitKind::Later, reason });
    tx.write_objects(std::iter::once(&object))
}

fn park(tx: &Tx<'_>, intent: &Intent) -> Result<()> {
    let next = after(Duration::from_secs(3600));
    tx.set_intent(&intent.intent, Status::Parked, &next)?;
    if let Some(mut object) = tx.object(intent.object)? {
        object.due = None;
        object.wait = Some(parked(intent));
        tx.write_objects(std::iter::once(&object))?;
    }
    Ok(())
}
