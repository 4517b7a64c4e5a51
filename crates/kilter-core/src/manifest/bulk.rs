//! Bulk: work that the remote does by itself, and says in a file of lines: a long listing, a load.
//!
//! Reads   `list.bulk` and `write.job` of a resource file.   Writes  problems.
//! Never   opens a file itself.

use super::template::Call;
use crate::doc::Reader;
use crate::manifest::parts::{Problems, call_at, path_at, path_or_whole};
use crate::mapping::Path;

/// A job at the remote whose result is a file of lines.
#[derive(Debug, Clone)]
pub struct Job {
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
    pub find: Option<Find>,
}

/// How a job is found whose start was not answered. It bears a name of ours: `$mark` in `start`.
#[derive(Debug, Clone)]
pub struct Find {
    pub call: Call,
    /// The jobs, in its answer, and in each of them: a text that holds our name, and what `id` is.
    pub items: Path,
    pub mark: Path,
    pub id: Path,
    /// How long the remote may still be working on a start we gave up on.
    pub quiescence_seconds: i64,
}

/// A listing as a job: an item a line, in the shape of the listing's items.
#[derive(Debug, Clone)]
pub struct Bulk {
    pub job: Job,
    /// So many items are read page by page first: a short listing needs no job.
    pub least: usize,
}

/// Many calls of one write as a job: a call a line, each of one operation. Its result answers each
/// line as the call would have been answered.
#[derive(Debug, Clone)]
pub struct Load {
    pub job: Job,
    /// Tells where the file is to be put.
    pub upload: Call,
    /// In its answer: the address of a form, the form's other parts (`name`, `value`), and what the
    /// start calls the file: `$file`.
    pub address: Path,
    pub parts: Path,
    pub file: Path,
    /// What of the call's body is its line.
    pub line: Path,
    /// In a line of the result: which line it answers, from 0.
    pub number: Path,
    /// Where the file of a job that failed lies, in the poll's answer: what it answers was done.
    pub partial: Option<Path>,
    /// Fewer go by calls.
    pub least: usize,
}

pub(super) fn bulk(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Bulk> {
    let node = reader.take("bulk")?;
    let mut inner = Reader::new(reader.file, "list.bulk", node, problems);
    let job = job(&mut inner, problems);
    let least = least(&mut inner, problems).unwrap_or(LISTED_LEAST);
    inner.finish(problems);
    Some(Bulk { job: job?, least })
}

pub(super) fn load(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Load> {
    let node = reader.take("job")?;
    let mut inner = Reader::new(reader.file, "write.job", node, problems);
    let job = job(&mut inner, problems);
    let upload = call_at(&mut inner, "upload", problems);
    if upload.is_none() {
        inner.missing("upload", problems);
    }
    let mut part = |key| path_or_whole(&mut inner, key, problems);
    let (address, parts, file) = (part("address"), part("parts"), part("file"));
    let (line, number) = (part("line"), part("number"));
    let partial = path_at(&mut inner, "partial", problems);
    let least = least(&mut inner, problems).unwrap_or(LOADED_LEAST);
    inner.finish(problems);
    let (job, upload) = (job?, upload?);
    Some(Load { job, upload, address, parts, file, line, number, partial, least })
}

fn least(inner: &mut Reader<'_>, problems: &mut Problems) -> Option<usize> {
    inner.integer("least", problems).and_then(|n| usize::try_from(n).ok())
}

fn job(inner: &mut Reader<'_>, problems: &mut Problems) -> Option<Job> {
    let format = inner.need_text("format", problems);
    if !format.is_empty() && format != "jsonl" {
        let text = format!("there is no file of lines \"{format}\"");
        inner.problem(inner.line, text, "known: jsonl", problems);
    }
    let (start, poll) = (call_at(inner, "start", problems), call_at(inner, "poll", problems));
    for (key, call) in [("start", &start), ("poll", &poll)] {
        if call.is_none() {
            inner.missing(key, problems);
        }
    }
    let wrong = path_at(inner, "problems", problems);
    let id = path_or_whole(inner, "id", problems);
    let state = path_or_whole(inner, "state", problems);
    let url = path_or_whole(inner, "url", problems);
    let (done, failed) = (inner.texts("done", problems), inner.texts("failed", problems));
    if done.is_empty() {
        inner.missing("done", problems);
    }
    let every_seconds = inner.seconds("every", problems).unwrap_or(EVERY_SECONDS).max(1);
    let give_up_seconds = inner.seconds("give_up", problems).unwrap_or(GIVE_UP_SECONDS);
    let find = find(inner, problems);
    Some(Job {
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
        find,
    })
}

fn find(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Find> {
    let node = reader.take("find")?;
    let mut inner = Reader::new(reader.file, "find", node, problems);
    let call = call_at(&mut inner, "call", problems);
    if call.is_none() {
        inner.missing("call", problems);
    }
    let mut part = |key| {
        let path = path_at(&mut inner, key, problems);
        if path.is_none() {
            inner.missing(key, problems);
        }
        path
    };
    let (items, mark, id) = (part("items"), part("mark"), part("id"));
    let quiescence_seconds = inner.seconds("quiescence", problems).unwrap_or(QUIESCENCE_SECONDS);
    inner.finish(problems);
    Some(Find { call: call?, items: items?, mark: mark?, id: id?, quiescence_seconds })
}

/// Between two questions how far a job is.
const EVERY_SECONDS: i64 = 5;

/// After this a start that nobody answered is at work, or will never be.
const QUIESCENCE_SECONDS: i64 = 60;

/// A job that is not done by then is left alone.
const GIVE_UP_SECONDS: i64 = 6 * 3600;

/// Below, pages are as quick as a job.
const LISTED_LEAST: usize = 1000;

/// Below, calls are as quick as a job.
const LOADED_LEAST: usize = 300;
