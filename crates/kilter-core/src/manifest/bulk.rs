//! Bulk: a long listing that the remote reads by itself, into a file of lines.
//!
//! Reads   `list.bulk` of a resource file.   Writes  problems.
//! Never   opens a file itself.

use super::template::Call;
use crate::doc::Reader;
use crate::manifest::parts::{Problems, call_at, path_at, path_or_whole};
use crate::mapping::Path;

/// A job at the remote whose result is a file: an item a line, in the shape of the listing's items.
#[derive(Debug, Clone)]
pub struct Bulk {
    pub start: Call,
    /// A list of problems in the start's answer.
    pub problems: Option<Path>,
    /// The job, in the start's answer: `$job` in `poll`.
    pub id: Path,
    pub poll: Call,
    /// How far it is, in the poll's answer.
    pub state: Path,
    pub done: Vec<String>,
    /// It ended, and there is no file to trust.
    pub failed: Vec<String>,
    /// Where the file lies, in the poll's answer. Null where there was nothing to say.
    pub url: Path,
    pub every_seconds: i64,
    pub give_up_seconds: i64,
    /// So many items are read page by page first: a short listing needs no job.
    pub least: usize,
}

pub(super) fn bulk(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Bulk> {
    let node = reader.take("bulk")?;
    let mut inner = Reader::new(reader.file, "list.bulk", node, problems);
    let format = inner.need_text("format", problems);
    if !format.is_empty() && format != "jsonl" {
        let text = format!("there is no file of lines \"{format}\"");
        inner.problem(node.line, text, "known: jsonl", problems);
    }
    let (start, poll) =
        (call_at(&mut inner, "start", problems), call_at(&mut inner, "poll", problems));
    for (key, call) in [("start", &start), ("poll", &poll)] {
        if call.is_none() {
            inner.missing(key, problems);
        }
    }
    let wrong = path_at(&mut inner, "problems", problems);
    let id = path_or_whole(&mut inner, "id", problems);
    let state = path_or_whole(&mut inner, "state", problems);
    let url = path_or_whole(&mut inner, "url", problems);
    let (done, failed) = (inner.texts("done", problems), inner.texts("failed", problems));
    if done.is_empty() {
        inner.missing("done", problems);
    }
    let every_seconds = inner.seconds("every", problems).unwrap_or(EVERY_SECONDS).max(1);
    let give_up_seconds = inner.seconds("give_up", problems).unwrap_or(GIVE_UP_SECONDS);
    let least = inner.integer("least", problems).and_then(|n| usize::try_from(n).ok());
    inner.finish(problems);
    Some(Bulk {
        start: start?,
        problems: wrong,
        id,
        poll: poll?,
        state,
        done,
        failed,
        url,
        every_seconds,
        give_up_seconds,
        least: least.unwrap_or(LEAST),
    })
}

/// Between two questions how far a job is.
const EVERY_SECONDS: i64 = 5;

/// A job that is not done by then is left alone, and the listing is read page by page.
const GIVE_UP_SECONDS: i64 = 6 * 3600;

/// Below, pages are as quick as a job.
const LEAST: usize = 1000;
