//! Load: many creates as a job of the remote: a file of calls, and a file of their answers.
//!
//! Reads   the operations of a round; jobs that are known; a job's file.
//! Writes  the job with what it is for; each operation's outcome, as a call's would be (`settle`).
//! Never   begins a job for what must not happen twice; settles a create that was settled; needs a
//!         job: where none is to be had, each goes by its call.
//!
//! ```text
//! creates ─▶ so many that a job is worth it ─▶ file ─▶ start ─▶ [ runs, runs … ] ─▶ its file ─▶ settled
//!                                                        └ a restart finds it, and what was sent with it
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kilter_core::Json;
use kilter_core::manifest::{Kind, Load, Vars, Write, plain};
use kilter_core::model::{Fault, FaultKind, Wait, WaitKind};
use kilter_core::sync::batch::{Batch, request};
use kilter_core::sync::house::View;
use kilter_core::sync::plan::Operation;
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, after, now};
use crate::pipeline::deliver::Round;
use crate::pipeline::permits::retry_at;
use crate::pipeline::settle::{self, Marks};
use crate::pipeline::{answers, job, poll};
use crate::store::{Error, Result};

/// Jobs of one resource at a time. What comes after waits, and goes together.
const JOBS_MAX: usize = 3;

/// Most bytes of a file of calls.
const FILE_BYTES_MAX: usize = 16 << 20;

/// Answers that are settled in one transaction.
const LINES_AT_ONCE: usize = 50;

/// A job, as it is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    /// Empty until the start was answered.
    id: String,
    /// What it is called where it has no id yet.
    #[serde(default)]
    mark: String,
    resource: String,
    write: String,
    /// Seconds by our clock: when it is given up.
    started: i64,
    /// In the order of the file's lines.
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    operation: Operation,
    mark: i64,
}

fn key(connection: &str, resource: &str) -> String {
    format!("job.{connection}.{resource}.")
}

/// Most objects that are planned beyond a round, to go with it in one job.
const MORE_MAX: usize = 10_000;

/// What else is due to be created where a job may take it, in portions of a round: one job of all,
/// and not one of what a round happens to hold.
pub(super) async fn more(
    engine: &Arc<Engine>,
    connection: &str,
    round: &Round,
) -> Result<Vec<Vec<i64>>> {
    let mut out = Vec::new();
    if engine.scope().is_some() {
        return Ok(out);
    }
    for resource in round.writes.keys() {
        let Some(view) = engine.house.view(connection, resource) else { continue };
        if !view.connection.bulk || view.resource.writes.iter().all(|w| w.job.is_none()) {
            continue;
        }
        let (name, resource) = (connection.to_owned(), resource.clone());
        let due = move |tx: &crate::store::Tx<'_>| tx.due_seats(&name, &resource, &now(), MORE_MAX);
        let ids = engine.store.write_async(due).await?;
        let new: Vec<i64> = ids.into_iter().filter(|id| !round.marks.contains_key(id)).collect();
        let portion = engine.house.config.limits.deliver_batch.max(1);
        out.extend(new.chunks(portion).map(<[i64]>::to_vec));
    }
    Ok(out)
}

/// Takes out of a round what goes as a job. Returns what is left for calls.
pub(super) async fn begin(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &str,
    operations: Vec<Operation>,
    marks: &Marks,
) -> Result<Vec<Operation>> {
    let house = Arc::clone(&engine.house);
    let Some(view) = house.view(connection, resource) else { return Ok(operations) };
    let creates = |w: &&Write| w.kinds.contains(&Kind::Create);
    let Some(write) = view.resource.writes.iter().find(creates) else { return Ok(operations) };
    let Some(load) = &write.job else { return Ok(operations) };
    let (mine, mut rest): (Vec<_>, Vec<_>) =
        operations.into_iter().partition(|o| o.kind == Kind::Create);
    let jobs = known(engine, key(connection, resource)).await?;
    let running = jobs.len();
    let at_work: BTreeSet<i64> =
        jobs.iter().flat_map(|(_, job)| job.entries.iter().map(|e| e.operation.object)).collect();
    // Whatever woke one that a job creates: it is not created beside it.
    let (again, mine): (Vec<_>, Vec<_>) =
        mine.into_iter().partition(|o| at_work.contains(&o.object));
    let every = Duration::from_secs(load.job.every_seconds.unsigned_abs());
    hold(engine, &again, every, AT_WORK).await?;
    if running == 0 && (mine.len() < load.least || !view.connection.bulk) {
        rest.extend(mine);
        return Ok(rest);
    }
    if running >= JOBS_MAX || mine.len() < load.least {
        hold(engine, &mine, every, "waits for a job of the remote").await?;
        return Ok(rest);
    }
    let (lines, mine, after_it) = lines(&view, write, load, mine);
    hold(engine, &after_it, every, "goes with the next job").await?;
    match put(engine, &view, load, lines).await {
        Ok(vars) => rest.extend(start(engine, &view, write, load, vars, mine, marks).await?),
        Err(fault) => {
            tracing::info!(connection.id = connection, resource, fault = %fault,
                "no job is to be had: calls it is");
            rest.extend(mine);
        }
    }
    Ok(rest)
}

/// Starts it. What comes back is to go by calls: it did not begin.
async fn start(
    engine: &Arc<Engine>,
    view: &View<'_>,
    write: &Write,
    load: &Load,
    mut vars: Vars,
    mine: Vec<Operation>,
    marks: &Marks,
) -> Result<Vec<Operation>> {
    let (connection, resource) = (&view.connection.name, &view.resource.name);
    let mark = job::mark();
    vars.insert("mark".to_owned(), Json::String(mark.clone()));
    let place = format!("{}{mark}", key(connection, resource));
    let of = |o: &Operation| marks.get(&o.object).copied().unwrap_or(0);
    let entries = mine.into_iter().map(|o| Entry { mark: of(&o), operation: o }).collect();
    let started = jiff::Timestamp::now().as_second();
    let (resource, write) = (resource.clone(), write.name.clone());
    let mut known = Known { id: String::new(), mark, resource, write, started, entries };
    let (lines, findable) = (known.entries.len(), load.job.find.is_some());
    // What cannot be found again is not looked for.
    if findable {
        kept(engine, load, &place, &known).await?;
    }
    let begun = match engine.remotes.get(connection) {
        Some(remote) => {
            remote.writes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            job::begin(engine, view, &load.job, &vars).await
        }
        None => Err(Fault::new(FaultKind::Rejected, "", "the connection has no client")),
    };
    let resource = known.resource.as_str();
    match begun {
        Ok(id) => {
            tracing::info!(
                connection.id = connection,
                resource,
                job = id,
                lines,
                "many are created by a job of the remote"
            );
            known.id = id;
            kept(engine, load, &place, &known).await?;
        }
        Err(fault) if findable && !fault.proves_not_applied() => {
            tracing::info!(connection.id = connection, resource, fault = %fault,
                "a job may have begun: it is looked for");
        }
        // It may run: nothing is sent twice at the same time.
        Err(fault) if !fault.proves_not_applied() => {
            let reason = format!("a job may be at work: {fault}");
            hold(engine, &operations(known), UNCERTAIN, &reason).await?;
        }
        Err(fault) => {
            tracing::info!(connection.id = connection, resource, fault = %fault,
                "no job is to be had: calls it is");
            let mine = operations(known);
            hold(engine, &mine, Duration::ZERO, NO_JOB).await?;
            engine.store.write_async(move |tx| tx.forget_meta(&place)).await?;
            return Ok(mine);
        }
    }
    Ok(Vec::new())
}

fn operations(known: Known) -> Vec<Operation> {
    known.entries.into_iter().map(|entry| entry.operation).collect()
}

const NO_JOB: &str = "is created again: the job of the remote never began";

const AT_WORK: &str = "is being created by a job of the remote";

/// How long what may be at work is left alone.
const UNCERTAIN: Duration = Duration::from_secs(300);

/// The calls as lines, the operations that they are for, and those that the file had no room for.
fn lines(
    view: &View<'_>,
    write: &Write,
    load: &Load,
    operations: Vec<Operation>,
) -> (Vec<u8>, Vec<Operation>, Vec<Operation>) {
    let (mut file, mut mine, mut after_it) = (Vec::new(), Vec::new(), Vec::new());
    let vars = view.connection.vars("");
    for operation in operations {
        let one = Batch { write: write.name.clone(), operations: vec![operation] };
        let key = uuid::Uuid::now_v7().to_string();
        let body = request(view, write, &one, &key).and_then(|r| r.body);
        let line = body.and_then(|body| load.line.read(&body, &view.env(&vars, None)));
        let text = line.map(|line| line.to_string()).unwrap_or_default();
        let room = file.len() + text.len() < FILE_BYTES_MAX && !text.is_empty();
        for operation in one.operations {
            if room { mine.push(operation) } else { after_it.push(operation) }
        }
        if room {
            file.extend_from_slice(text.as_bytes());
            file.push(b'\n');
        }
    }
    (file, mine, after_it)
}

/// Puts the file where the remote says. Returns what the start may name.
async fn put(
    engine: &Arc<Engine>,
    view: &View<'_>,
    load: &Load,
    lines: Vec<u8>,
) -> std::result::Result<Vars, Fault> {
    let mut vars = poll::vars(view, "");
    let place = job::call(engine, view, &load.upload, &vars).await?;
    let env = view.env(&vars, None);
    let text = |path: &kilter_core::mapping::Path| {
        path.read(&place, &env).filter(|v| !v.is_null()).map(|v| plain(&v))
    };
    let lacks = || Fault::new(FaultKind::Rejected, "", "nowhere is told to put the file");
    let (address, file) = text(&load.address).zip(text(&load.file)).ok_or_else(lacks)?;
    let parts = load.parts.read(&place, &env).unwrap_or_default();
    let parts = parts.as_array().into_iter().flatten().map(|part| {
        let of = |name: &str| part.get(name).map(plain).unwrap_or_default();
        (of("name"), of("value"))
    });
    let parts: Vec<(String, String)> = parts.collect();
    let remote = engine.remotes.get(&view.connection.name).ok_or_else(lacks)?;
    remote.upload(&address, &parts, &lines).await?;
    vars.insert("file".to_owned(), Json::String(file));
    let key = uuid::Uuid::now_v7().to_string();
    vars.insert("idempotency_key".to_owned(), Json::String(key));
    Ok(vars)
}

/// The job and the objects that wait for it, in one transaction.
async fn kept(engine: &Arc<Engine>, load: &Load, place: &str, known: &Known) -> Result<()> {
    let objects: Vec<i64> = known.entries.iter().map(|e| e.operation.object).collect();
    let (place, text) = (place.to_owned(), written(known)?);
    let until = after(Duration::from_secs(load.job.give_up_seconds.unsigned_abs()));
    let write = move |tx: &crate::store::Tx<'_>| {
        tx.set_meta(&place, &text)?;
        put_off(tx, &objects, &until, AT_WORK)
    };
    engine.store.write_async(write).await
}

fn written(known: &Known) -> Result<String> {
    let lost = |e| Error::Refused(format!("the job cannot be written down: {e}"));
    serde_json::to_string(known).map_err(lost)
}

async fn hold(
    engine: &Arc<Engine>,
    operations: &[Operation],
    wait: Duration,
    reason: &str,
) -> Result<()> {
    let objects: Vec<i64> = operations.iter().map(|o| o.object).collect();
    let (until, reason) = (after(wait), reason.to_owned());
    engine.store.write_async(move |tx| put_off(tx, &objects, &until, &reason)).await
}

/// Its mark stays, and is not looked at before.
fn put_off(tx: &crate::store::Tx<'_>, objects: &[i64], until: &str, reason: &str) -> Result<()> {
    let mut held = Vec::with_capacity(objects.len());
    for id in objects {
        if let Some(mut object) = tx.object(*id)? {
            retry_at(&mut object, until);
            object.wait = Some(Wait { kind: WaitKind::Later, reason: reason.to_owned() });
            held.push(object);
        }
    }
    tx.write_objects(held.iter())
}

async fn known(engine: &Arc<Engine>, prefix: String) -> Result<Vec<(String, Known)>> {
    let texts = engine.store.write_async(move |tx| tx.metas(&prefix)).await?;
    let read = |(key, text): (String, String)| {
        let wrong = |e| Error::Refused(format!("the job {key} cannot be read: {e}"));
        let known = serde_json::from_str(&text).map_err(wrong)?;
        Ok((key, known))
    };
    texts.into_iter().map(read).collect()
}

/// Goes on with the jobs of a connection that are known. True: there is one.
pub(super) async fn go_on(engine: &Arc<Engine>, connection: &str) -> Result<bool> {
    let jobs = known(engine, format!("job.{connection}.")).await?;
    let any = !jobs.is_empty();
    for (key, known) in jobs {
        if ended(engine, connection, &key, known).await? {
            engine.store.write_async(move |tx| tx.forget_meta(&key).map(|_| ())).await?;
        }
    }
    Ok(any)
}

/// Settles a job that ended. False: it runs, or nobody could be asked.
async fn ended(
    engine: &Arc<Engine>,
    connection: &str,
    key: &str,
    mut known: Known,
) -> Result<bool> {
    let house = Arc::clone(&engine.house);
    let view = house.view(connection, &known.resource);
    let write =
        view.as_ref().and_then(|v| v.resource.writes.iter().find(|w| w.name == known.write));
    let (Some(view), Some(write)) = (&view, write) else { return Ok(true) };
    let Some(load) = &write.job else { return Ok(true) };
    let seconds = jiff::Timestamp::now().as_second() - known.started;
    let late = seconds > load.job.give_up_seconds;
    let vars: Vars = poll::vars(view, "");
    if known.id.is_empty() {
        let lost = (known.mark.as_str(), seconds);
        match job::find(engine, view, &load.job, &vars, lost).await {
            Ok(job::Lost::Found(id)) => known.id = id,
            Ok(job::Lost::Open) => return Ok(false),
            Err(_) if !late => return Ok(false),
            Ok(job::Lost::Never) | Err(_) => {
                hold(engine, &operations(known), Duration::ZERO, NO_JOB).await?;
                return Ok(true);
            }
        }
        tracing::info!(connection.id = connection, job = known.id, "a job is found again");
        let (key, text) = (key.to_owned(), written(&known)?);
        engine.store.write_async(move |tx| tx.set_meta(&key, &text)).await?;
    }
    let asked = (known.id.as_str(), load.partial.as_ref());
    let (address, why) = match job::state(engine, view, &load.job, &vars, asked).await {
        Ok(job::State::Done(address)) => (address, "its file says nothing of it".to_owned()),
        // What it did before it failed is not sent again.
        Ok(job::State::Failed(why, address)) => (address, why),
        Ok(job::State::Runs) if late => (None, format!("the job {} takes too long", known.id)),
        Err(_) | Ok(job::State::Runs) => return Ok(false),
    };
    let mut open: BTreeMap<usize, Entry> = known.entries.into_iter().enumerate().collect();
    if let Some(address) = address {
        match file(engine, view, write, &address, &mut open).await? {
            Ok(()) => {}
            Err(fault) if fault.kind.retries() && !late => return Ok(false),
            Err(fault) => {
                tracing::warn!(connection.id = connection, fault = %fault, "a job's file is none");
            }
        }
    }
    // Nobody knows what came of these: they are created again, and found if they were.
    let unsaid = open.into_values().map(|e| (e, Err(Fault::new(FaultKind::Unknown, "", &why))));
    settled(engine, view, write, unsaid.collect()).await?;
    Ok(true)
}

type Outcome = std::result::Result<Json, Fault>;

/// Takes what the file answers out of what is open.
async fn file(
    engine: &Arc<Engine>,
    view: &View<'_>,
    write: &Write,
    address: &str,
    open: &mut BTreeMap<usize, Entry>,
) -> Result<std::result::Result<(), Fault>> {
    let Some(remote) = engine.remotes.get(&view.connection.name) else { return Ok(Ok(())) };
    let mut lines = match remote.lines(address).await {
        Ok(lines) => lines,
        Err(fault) => return Ok(Err(fault)),
    };
    loop {
        let items = match lines.next(LINES_AT_ONCE).await {
            Ok(Some(items)) => items,
            Ok(None) => return Ok(Ok(())),
            Err(fault) => return Ok(Err(fault)),
        };
        let mut outcomes = Vec::with_capacity(items.len());
        for line in items {
            let vars = view.connection.vars("");
            let env = view.env(&vars, None);
            let number = write.job.as_ref().and_then(|load| load.number.read(&line, &env));
            let number = number.and_then(|n| plain(&n).parse::<usize>().ok());
            let Some(entry) = number.and_then(|n| open.remove(&n)) else { continue };
            let batch = Batch { write: write.name.clone(), operations: vec![entry.operation] };
            let outcome = match view.connector.errors.hidden(200, &line, &env) {
                Some(fault) => Err(fault),
                None => answers::items(view, write, &batch, &line)
                    .and_then(|items| items.into_iter().next().unwrap_or(Ok(Json::Null))),
            };
            let Some(operation) = batch.operations.into_iter().next() else { continue };
            outcomes.push((Entry { operation, mark: entry.mark }, outcome));
        }
        settled(engine, view, write, outcomes).await?;
    }
}

/// Settles what was not settled: a kill in between comes here twice.
async fn settled(
    engine: &Arc<Engine>,
    view: &View<'_>,
    write: &Write,
    outcomes: Vec<(Entry, Outcome)>,
) -> Result<()> {
    let ids: Vec<i64> = outcomes.iter().map(|(entry, _)| entry.operation.object).collect();
    let bound = engine.store.write_async(move |tx| {
        let mut bound = Vec::with_capacity(ids.len());
        for id in ids {
            bound.push(tx.object(id)?.is_none_or(|object| object.remote.is_some()));
        }
        Ok(bound)
    });
    let (mut marks, mut operations, mut items) = (Marks::new(), Vec::new(), Vec::new());
    for ((entry, outcome), bound) in outcomes.into_iter().zip(bound.await?) {
        if !bound {
            marks.insert(entry.operation.object, entry.mark);
            operations.push(entry.operation);
            items.push(outcome);
        }
    }
    let batch = Batch { write: write.name.clone(), operations };
    let (connection, resource) = (&view.connection.name, &view.resource.name);
    settle::settle(engine, connection, resource, batch, Ok(items), &Arc::new(marks)).await
}
