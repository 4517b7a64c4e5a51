//! Bulk: a long listing that the remote reads by itself, into a file of lines.
//!
//! Reads   the job that is known, how far it is, its file.
//! Writes  the job; changes, and how far the file was read, in one transaction.
//! Never   starts a job before it is written down that it will, starts a second one while one is
//!         known or may have begun, keeps a line twice, nor needs a job: where it is
//!         refused, fails or takes too long, the listing is read page by page.
//!
//! ```text
//! pages ─▶ so many that a job is worth it ─▶ start ─▶ [ later, later … ] ─▶ its file, line by line ─▶ the cursor
//!                                               └ a restart finds the job again, and the line it had come to
//! ```

use std::time::Duration;

use kilter_core::Json;
use kilter_core::manifest::Bulk;
use kilter_core::model::{Fault, FaultKind};
use serde::{Deserialize, Serialize};

use crate::pipeline::job;
use crate::pipeline::poll::{Reading, Stop};

/// Lines that are kept in one transaction.
const LINES_AT_ONCE: usize = 500;

/// A job at the remote, as it is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Known {
    /// Empty until the start was answered.
    id: String,
    /// What it is called where it has no id yet.
    #[serde(default)]
    mark: String,
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
    /// There is none: one may begin.
    Nothing,
    /// There was one that came to nothing: another would not fare better now.
    Failed,
}

fn key(reading: &Reading<'_>) -> String {
    let (connection, resource) = (&reading.view.connection.name, &reading.view.resource.name);
    format!("bulk.{connection}.{resource}.{}", reading.each)
}

/// Has the remote write the listing down. Later, where it does; refused, the pages go on.
pub(super) async fn start(reading: &Reading<'_>, spec: &Bulk) -> Result<(), Stop> {
    let started = jiff::Timestamp::now().as_second();
    let (connection, resource) = (&reading.view.connection.name, &reading.view.resource.name);
    let mark = job::mark();
    let mut vars = reading.vars.clone();
    vars.insert("mark".to_owned(), Json::String(mark.clone()));
    let mut known = Known { id: String::new(), mark, asked: reading.asked, started, lines: 0 };
    let key = key(reading);
    // What cannot be found again is not looked for.
    if spec.job.find.is_some() {
        write_down(reading, &key, &known).await?;
    }
    match job::begin(reading.engine, reading.view, &spec.job, &vars).await {
        Ok(id) => {
            tracing::info!(
                connection.id = connection,
                resource,
                job = id,
                "the remote writes it down"
            );
            known.id = id;
            write_down(reading, &key, &known).await?;
            Err(later(spec))
        }
        Err(fault) if spec.job.find.is_some() && !fault.proves_not_applied() => {
            tracing::info!(connection.id = connection, resource, fault = %fault,
                "a job may have begun: it is looked for");
            Err(later(spec))
        }
        Err(fault) => {
            tracing::info!(connection.id = connection, resource, fault = %fault,
                "no job is to be had: pages it is");
            reading.engine.store.write_async(move |tx| tx.forget_meta(&key)).await?;
            Ok(())
        }
    }
}

async fn write_down(reading: &Reading<'_>, key: &str, known: &Known) -> Result<(), Stop> {
    let (key, value) = (key.to_owned(), written(known)?);
    Ok(reading.engine.store.write_async(move |tx| tx.set_meta(&key, &value)).await?)
}

/// Goes on with the job that is known: Later while it runs, its file once it is there.
pub(super) async fn go_on(reading: &mut Reading<'_>, spec: &Bulk) -> Result<Found, Stop> {
    let key = key(reading);
    let named = key.clone();
    let text = reading.engine.store.write_async(move |tx| tx.meta(&named)).await?;
    let Some(mut known) = text.and_then(|text| serde_json::from_str::<Known>(&text).ok()) else {
        return Ok(Found::Nothing);
    };
    let seconds = jiff::Timestamp::now().as_second() - known.started;
    if known.id.is_empty() {
        let (engine, view) = (reading.engine, reading.view);
        let lost = (known.mark.as_str(), seconds);
        match job::find(engine, view, &spec.job, &reading.vars, lost).await {
            Ok(job::Lost::Found(id)) => known.id = id,
            Ok(job::Lost::Open) => return Err(later(spec)),
            Ok(job::Lost::Never) => {
                forgotten(reading, key, "it never began").await?;
                return Ok(Found::Nothing);
            }
            Err(fault) if fault.kind.retries() && seconds <= spec.job.give_up_seconds => {
                return Err(fault.into());
            }
            Err(fault) => return forgotten(reading, key, &fault.to_string()).await,
        }
        write_down(reading, &key, &known).await?;
    }
    let address =
        match job::state(reading.engine, reading.view, &spec.job, &reading.vars, (&known.id, None))
            .await?
        {
            job::State::Runs if seconds <= spec.job.give_up_seconds => return Err(later(spec)),
            job::State::Runs => return forgotten(reading, key, "it takes too long").await,
            job::State::Failed(why, _) => return forgotten(reading, key, &why).await,
            job::State::Done(address) => address,
        };
    let fresh = std::mem::replace(&mut reading.asked, known.asked);
    reading.begin();
    if let Some(address) = address {
        match file(reading, &mut known, &address, &key).await {
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

async fn forgotten(reading: &mut Reading<'_>, key: String, why: &str) -> Result<Found, Stop> {
    let (connection, resource) = (&reading.view.connection.name, &reading.view.resource.name);
    tracing::warn!(connection.id = connection, resource, why, "a job came to nothing");
    reading.engine.store.write_async(move |tx| tx.forget_meta(&key)).await?;
    Ok(Found::Failed)
}

/// Reads the file, all of it: what it shows must be known whole. What was kept before is not kept
/// again.
async fn file(
    reading: &mut Reading<'_>,
    known: &mut Known,
    address: &str,
    key: &str,
) -> Result<(), Stop> {
    let gone = || Fault::new(FaultKind::Unavailable, "", "the connection has no client");
    let remote = reading.engine.remotes.get(&reading.view.connection.name).ok_or_else(gone)?;
    let mut lines = remote.lines(address).await?;
    let mut seen = 0;
    while let Some(mut items) = lines.next(LINES_AT_ONCE).await? {
        reading.note(&items);
        let old = known.lines.saturating_sub(seen).min(items.len());
        seen += items.len();
        items.drain(..old);
        if items.is_empty() {
            continue;
        }
        known.lines = seen;
        reading.keep(items, vec![(key.to_owned(), written(known)?)]).await?;
    }
    if seen < known.lines {
        return Err(Fault::new(FaultKind::Rejected, "", "the file is shorter than it was").into());
    }
    Ok(())
}

fn written(known: &Known) -> Result<String, Stop> {
    let lost =
        |e| Fault::new(FaultKind::Unknown, "", format!("the job cannot be written down: {e}"));
    serde_json::to_string(known).map_err(|e| lost(e).into())
}

fn later(spec: &Bulk) -> Stop {
    Stop::Later(Duration::from_secs(spec.job.every_seconds.unsigned_abs()))
}
