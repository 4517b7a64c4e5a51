//! `kilter plan`: what would be written where. The same planning as `sync`, without the send.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use kilter_core::manifest::Kind;
use kilter_core::model::Object;
use kilter_core::sync::batch::batch;
use kilter_core::sync::guards::Guards;
use kilter_core::sync::plan::{Operation, Plan, plan};
use serde_json::json;

use super::Scope;
use crate::engine::Engine;
use crate::pipeline::guard::Gates;
use crate::pipeline::{merge, poll, schedule};
use crate::store::Tx;
use crate::store::intents::{Intent, Status};

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    scope: Scope,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Plan by what is known; ask no remote what changed.
    #[arg(long)]
    offline: bool,
}

/// Most fields shown as text; `--json` shows all.
const SHOWN_MAX: usize = 200;

pub async fn run(config: &Path, args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let engine = super::engine(config, &args.scope).await?;
    let mut failed = Vec::new();
    if !args.offline {
        let faults = std::sync::Mutex::new(Vec::new());
        let watch = |event: schedule::Event| {
            if let schedule::Event::Failed { connection, resource, fault } = event
                && let Ok(mut faults) = faults.lock()
            {
                faults.push(format!("{connection} {resource}: {fault}"));
            }
        };
        schedule::poll_all(&engine, poll::Extent::SinceCursor, &watch, |_| true).await?;
        merge::run(&engine).await?;
        for connection in engine.active() {
            crate::pipeline::looks::run(&engine, &connection).await?;
        }
        merge::run(&engine).await?;
        failed = faults.into_inner().unwrap_or_default();
    }
    let found = due(&engine, &args.scope).await?;
    let calls = calls(&engine, &found.operations);
    if args.json {
        print_json(&engine, &found, calls, &failed);
    } else {
        print_text(&engine, &found, calls);
    }
    for fault in &failed {
        eprintln!("not refreshed: {fault}");
    }
    let changes = found.operations.len() + found.steps.len();
    Ok(match (failed.is_empty(), changes) {
        (false, _) => ExitCode::FAILURE,
        (true, 0) => ExitCode::SUCCESS,
        (true, _) => ExitCode::from(2),
    })
}

/// What is planned, by connection and resource.
#[derive(Default)]
struct Found {
    operations: Vec<(Object, Operation)>,
    steps: Vec<(Object, String)>,
    waits: Vec<(Object, String)>,
    /// What a person is asked before it goes, in sentences.
    asked: Vec<String>,
}

async fn due(engine: &Arc<Engine>, scope: &Scope) -> anyhow::Result<Found> {
    let house = Arc::clone(&engine.house);
    let scope = scope.clone();
    let connections = engine.active();
    let found = engine
        .store
        .write_async(move |tx| {
            let mut found = Found::default();
            for connection in connections {
                if scope.connection.as_ref().is_some_and(|c| *c != connection) {
                    continue;
                }
                let gates = Gates::of(tx, &house, &connection)?;
                let mut stopped = BTreeMap::new();
                for object in tx.due(&connection, FAR, usize::MAX)? {
                    let Some(view) = house.view(&connection, &object.resource) else { continue };
                    let mut world = tx.world()?;
                    if !super::sync::wanted(tx, &object, &scope)? {
                        continue;
                    }
                    world.learn_object(object.clone());
                    // Planned as if it had just been read: nothing is read first in a dry run.
                    let planned = tx.step(&house, &mut world, |w| {
                        plan(&view, w, &object, 0, Guards::default())
                    })?;
                    match planned {
                        Plan::Write(operation) => match asked_after(tx, &operation)? {
                            Some(reason) => found.waits.push((object, reason)),
                            None => {
                                if gates.stops(&view, &object, &operation).is_some() {
                                    *stopped.entry(object.resource.to_string()).or_default() += 1;
                                }
                                found.operations.push((object, operation));
                            }
                        },
                        Plan::Step(step) => found.steps.push((object, step.name)),
                        Plan::Wait(wait, _) => found.waits.push((object, wait.reason)),
                        Plan::Bind(_) => {
                            let reason =
                                "is read first: it stands there with its parent".to_owned();
                            found.waits.push((object, reason));
                        }
                        Plan::Nothing | Plan::ReadFirst | Plan::ReadAbove(_) => {}
                    }
                }
                found.asked.extend(gates.asks(tx, &house, &connection, &stopped)?);
            }
            Ok(found)
        })
        .await?;
    Ok(found)
}

/// A create that was sent already, and nobody knows what became of it: it is not sent again by itself.
fn asked_after(tx: &Tx<'_>, operation: &Operation) -> crate::store::Result<Option<String>> {
    if operation.kind != Kind::Create {
        return Ok(None);
    }
    let open = |i: &Intent| matches!(i.status, Status::Uncertain | Status::Parked);
    let intent = tx.intent_of(operation.object)?.filter(open);
    Ok(intent.map(|i| format!("asking whether {} has arrived", i.reference)))
}

const FAR: &str = "9999-12-31T00:00:00.000Z";

fn calls(engine: &Engine, operations: &[(Object, Operation)]) -> usize {
    let mut groups: std::collections::BTreeMap<(&str, &str), Vec<Operation>> = Default::default();
    for (object, operation) in operations {
        groups.entry((&object.connection, &object.resource)).or_default().push(operation.clone());
    }
    groups
        .into_iter()
        .filter_map(|((connection, resource), operations)| {
            Some(batch(&engine.house.view(connection, resource)?, operations).len())
        })
        .sum()
}

fn kind(operation: &Operation) -> &'static str {
    match operation.kind {
        Kind::Create => "create",
        Kind::Update => "update",
        Kind::Archive => "archive",
        Kind::Delete => "delete",
    }
}

fn name(object: &Object) -> String {
    let id = object.remote.clone().unwrap_or_else(|| "new".into());
    format!("{} {} {id}", object.connection, object.resource)
}

fn print_json(engine: &Engine, found: &Found, calls: usize, failed: &[String]) {
    let operations: Vec<_> = found
        .operations
        .iter()
        .map(|(object, o)| {
            let fields: Vec<_> = o
                .fields
                .iter()
                .map(|f| json!({ "field": f.row, "old": f.old, "new": f.new, "owner": f.by }))
                .collect();
            json!({ "connection": object.connection, "resource": object.resource, "object": object.id,
                "id": object.remote, "do": kind(o), "fields": fields })
        })
        .collect();
    let steps: Vec<_> = found
        .steps
        .iter()
        .map(|(o, step)| json!({ "connection": o.connection, "resource": o.resource, "object": o.id, "id": o.remote, "do": step }))
        .collect();
    let waits: Vec<_> = found
        .waits
        .iter()
        .map(|(o, reason)| json!({ "connection": o.connection, "resource": o.resource, "object": o.id, "reason": reason }))
        .collect();
    println!(
        "{}",
        json!({ "changes": operations, "steps": steps, "waits": waits, "asked": found.asked,
            "read_again": engine.reshaped, "calls": calls, "not_refreshed": failed })
    );
}

fn print_text(engine: &Engine, found: &Found, calls: usize) {
    let mut table = super::table(&["where", "do", "field", "old", "new", "owner"]);
    let mut shown = 0;
    for (object, operation) in &found.operations {
        for field in &operation.fields {
            shown += 1;
            if shown > SHOWN_MAX {
                continue;
            }
            let old = field.old.as_ref().map(super::cell).unwrap_or_default();
            let owner = if field.by.is_empty() { "derived" } else { &field.by };
            table.add_row([
                name(object),
                kind(operation).to_owned(),
                field.row.to_string(),
                old,
                super::cell(&field.new),
                owner.to_owned(),
            ]);
        }
    }
    for (object, step) in &found.steps {
        table.add_row([name(object), step.clone()]);
    }
    let objects = found.operations.len() + found.steps.len();
    if objects > 0 {
        println!("{table}\n");
    }
    if shown > SHOWN_MAX {
        println!("… and {} fields more (--json shows all)", shown - SHOWN_MAX);
    }
    for (object, reason) in &found.waits {
        println!("waits: {}: {reason}", name(object));
    }
    for place in &engine.reshaped {
        println!("read again, since its configuration changed: {place}");
    }
    for reason in &found.asked {
        println!("asked first: {reason}");
    }
    match objects {
        0 => println!("nothing to do: everything agrees"),
        n => println!("{n} objects would change, in {} calls", calls + found.steps.len()),
    }
}
