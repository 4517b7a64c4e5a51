//! Bulk: a long listing that the remote reads by itself, into a file of lines.
//!
//! Reads   the job that is known, how far it is, its file.
//! Writes  the job; changes, and how far the file was read, in one transaction.
//! Never   starts a second job while one is known, keeps a line twice, nor needs a job: where it is
//!         refused, fails or takes too long, the listing is read page by page.
//!
//! ```text
//! pages ─▶ so many that a job is worth it ─▶ start ─▶ [ later, later … ] ─▶ its file, line by line ─▶ the cursor
//!                                               └ a restart finds the job again, and the line it had come to
//! ```

use std::time::Duration;

use kilter_core::Json;
use kilter_core::manifest::{Bulk, Call, Vars, plain};
use kilter_core::model::{Fault, FaultKind};
use serde::{Deserialize, Serialize};

use crate::pipeline::poll::{Reading, Stop};

/// Lines that are kept in one transaction.
const LINES_AT_ONCE: usize = 500;

/// A job at the remote, as it is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Job {
    id: String,
    /// Place of the log when it was started: what it shows is no newer.
    asked: i64,
    /// Seconds by our clock: how long it took is stepped back by, and when it is given up.
    started: i64,
    /// Lines of its file that were kept.
    lines: usize,
}

/// What came of a job.
pub(super) enum Found {
    /// Its whole file was read, this long after it was started. The key is where the job stands.
    Read { seconds: u64, key: String },
    /// There is none, or none that can be trusted.
    Nothing,
}

fn key(reading: &Reading<'_>) -> String {
    let (connection, resource) = (&reading.view.connection.name, &reading.view.resource.name);
    format!("bulk.{connection}.{resource}.{}", reading.each)
}

/// Has the remote write the listing down. Later, where it does; refused, the pages go on.
pub(super) async fn start(reading: &Reading<'_>, spec: &Bulk) -> Result<(), Stop> {
    let started = jiff::Timestamp::now().as_second();
    let (connection, resource) = (&reading.view.connection.name, &reading.view.resource.name);
    let id = match begun(reading, spec).await {
        Ok(id) => id,
        Err(fault) => {
            tracing::info!(connection.id = connection, resource, fault = %fault,
                "no job is to be had: pages it is");
            return Ok(());
        }
    };
    tracing::info!(connection.id = connection, resource, job = id, "the remote writes it down");
    let job = Job { id, asked: reading.asked, started, lines: 0 };
    let (key, value) = (key(reading), written(&job)?);
    reading.engine.store.write_async(move |tx| tx.set_meta(&key, &value)).await?;
    Err(later(spec))
}

async fn begun(reading: &Reading<'_>, spec: &Bulk) -> Result<String, Fault> {
    let answer = call(reading, &spec.start, &reading.vars).await?;
    let env = reading.view.env(&reading.vars, None);
    let problems = spec.problems.as_ref().and_then(|path| path.read(&answer, &env));
    if let Some(first) = problems.as_ref().and_then(Json::as_array).and_then(|p| p.first()) {
        return Err(reading.view.connector.errors.classify(200, first, &env));
    }
    let id = spec.id.read(&answer, &env).filter(|id| !id.is_null());
    id.map(|id| plain(&id)).ok_or_else(|| Fault::new(FaultKind::Unknown, "", "no job was named"))
}

/// Goes on with the job that is known: Later while it runs, its file once it is there.
pub(super) async fn go_on(reading: &mut Reading<'_>, spec: &Bulk) -> Result<Found, Stop> {
    let key = key(reading);
    let named = key.clone();
    let known = reading.engine.store.write_async(move |tx| tx.meta(&named)).await?;
    let Some(mut job) = known.and_then(|text| serde_json::from_str::<Job>(&text).ok()) else {
        return Ok(Found::Nothing);
    };
    let seconds = jiff::Timestamp::now().as_second() - job.started;
    let address = match state(reading, spec, &job).await? {
        State::Runs if seconds <= spec.give_up_seconds => return Err(later(spec)),
        State::Runs => return forgotten(reading, key, "it takes too long").await,
        State::Failed(why) => return forgotten(reading, key, &why).await,
        State::Done(address) => address,
    };
    let fresh = std::mem::replace(&mut reading.asked, job.asked);
    reading.begin();
    if let Some(address) = address {
        match file(reading, &mut job, &address, &key).await {
            Ok(()) => {}
            // It is there, and is none: the next job may have a better one.
            Err(Stop::Fault(fault)) if !fault.kind.retries() => {
                reading.asked = fresh;
                return forgotten(reading, key, &fault.to_string()).await;
            }
            Err(stop) => return Err(stop),
        }
    }
    Ok(Found::Read { seconds: u64::try_from(seconds).unwrap_or(0), key })
}

enum State {
    Runs,
    Failed(String),
    Done(Option<String>),
}

async fn state(reading: &Reading<'_>, spec: &Bulk, job: &Job) -> Result<State, Stop> {
    let mut vars = reading.vars.clone();
    vars.insert("job".to_owned(), Json::String(job.id.clone()));
    let answer = call(reading, &spec.poll, &vars).await?;
    let env = reading.view.env(&vars, None);
    // A job that nobody knows any more names no state.
    let state = spec.state.read(&answer, &env).filter(|s| !s.is_null());
    let state = state.map(|s| plain(&s)).unwrap_or_default();
    if spec.done.contains(&state) {
        let url = spec.url.read(&answer, &env).filter(|u| !u.is_null());
        return Ok(State::Done(url.map(|u| plain(&u))));
    }
    if state.is_empty() || spec.failed.contains(&state) {
        return Ok(State::Failed(format!("the job {} is \"{state}\"", job.id)));
    }
    Ok(State::Runs)
}

async fn call(reading: &Reading<'_>, call: &Call, vars: &Vars) -> Result<Json, Fault> {
    let lacks = || Fault::new(FaultKind::Rejected, "", "the job's call lacks a value");
    let request = call.render(vars).ok_or_else(lacks)?;
    Ok(reading.engine.send(reading.view, &request).await?.body)
}

async fn forgotten(reading: &mut Reading<'_>, key: String, why: &str) -> Result<Found, Stop> {
    let (connection, resource) = (&reading.view.connection.name, &reading.view.resource.name);
    tracing::warn!(connection.id = connection, resource, why, "a job came to nothing: pages it is");
    reading.engine.store.write_async(move |tx| tx.forget_meta(&key)).await?;
    Ok(Found::Nothing)
}

/// Reads the file, all of it: what it shows must be known whole. What was kept before is not kept
/// again.
async fn file(
    reading: &mut Reading<'_>,
    job: &mut Job,
    address: &str,
    key: &str,
) -> Result<(), Stop> {
    let gone = || Fault::new(FaultKind::Unavailable, "", "the connection has no client");
    let remote = reading.engine.remotes.get(&reading.view.connection.name).ok_or_else(gone)?;
    let mut lines = remote.lines(address).await?;
    let mut seen = 0;
    while let Some(mut items) = lines.next(LINES_AT_ONCE).await? {
        reading.note(&items);
        let old = job.lines.saturating_sub(seen).min(items.len());
        seen += items.len();
        items.drain(..old);
        if items.is_empty() {
            continue;
        }
        job.lines = seen;
        reading.keep(items, Some((key.to_owned(), written(job)?))).await?;
    }
    if seen < job.lines {
        return Err(Fault::new(FaultKind::Rejected, "", "the file is shorter than it was").into());
    }
    Ok(())
}

fn written(job: &Job) -> Result<String, Stop> {
    let lost =
        |e| Fault::new(FaultKind::Unknown, "", format!("the job cannot be written down: {e}"));
    serde_json::to_string(job).map_err(|e| lost(e).into())
}

fn later(spec: &Bulk) -> Stop {
    Stop::Later(Duration::from_secs(spec.every_seconds.unsigned_abs()))
}
