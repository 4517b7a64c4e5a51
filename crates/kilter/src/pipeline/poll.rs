//! Poll: a listing, page by page, since its cursor or from the beginning.
//!
//! Reads   cursors.   Writes  changes, counts, cursors – a page and its cursor in one transaction.
//! Never   takes its own clock for a cursor: the value comes from the source, less an overlap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kilter_core::Json;
use kilter_core::manifest::{Bulk, Call, Cursor as CursorSpec, List, Page, Vars, plain};
use kilter_core::model::{Fault, FaultKind, Via};
use kilter_core::sync::house::View;

use crate::engine::{Engine, now};
use crate::pipeline::receive::{self, Source};
use crate::pipeline::{absent, bulk, pages};
use crate::store::cursors::Cursor;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("poll {0}")]
    Remote(String, #[source] FaultError),
    #[error("the remote is still writing it down")]
    Later(Duration),
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

/// A fault as an error.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct FaultError(pub Fault);

/// How a listing is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    SinceCursor,
    Everything,
}

/// Reads one resource as `run` does, and waits where the remote needs its time.
pub async fn whole(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &str,
    extent: Extent,
) -> Result<usize, Error> {
    loop {
        match run(engine, connection, resource, extent).await {
            Err(Error::Later(wait)) => tokio::time::sleep(wait).await,
            read => return read,
        }
    }
}

/// Reads one resource, for each of what it is listed for. Returns how many items differed.
pub async fn run(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &str,
    extent: Extent,
) -> Result<usize, Error> {
    let house = Arc::clone(&engine.house);
    let Some(view) = house.view(connection, resource) else { return Ok(0) };
    let Some(list) = &view.resource.list else { return Ok(0) };
    let each = match &list.each {
        Some(what) => view.connection.each(what),
        None => vec![String::new()],
    };
    let (mut differed, mut failed, mut later) = (0, None, None);
    for each in each {
        match listing(engine, &view, list, &each, extent).await {
            Ok(n) => differed += n,
            // One that is not there any more (a place that was closed) keeps no other waiting.
            Err(Stop::Fault(fault)) => failed = failed.or(Some(fault)),
            Err(Stop::Later(wait)) => later = later.or(Some(wait)),
            Err(Stop::Store(e)) => return Err(e.into()),
        }
    }
    match (later, failed) {
        (Some(wait), _) => Err(Error::Later(wait)),
        (_, Some(f)) => Err(Error::Remote(format!("{resource} of {connection}"), FaultError(f))),
        _ => Ok(differed),
    }
}

pub(super) enum Stop {
    Fault(Fault),
    /// The remote is still writing it down: ask again after this.
    Later(Duration),
    Store(crate::store::Error),
}

impl From<crate::store::Error> for Stop {
    fn from(error: crate::store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A listing that is being read.
pub(super) struct Reading<'r> {
    pub engine: &'r Arc<Engine>,
    pub view: &'r View<'r>,
    pub list: &'r List,
    pub each: &'r str,
    pub vars: Vars,
    pub asked: i64,
    full: bool,
    newest: Option<String>,
    shown: Option<absent::Shown>,
    differed: usize,
}

async fn listing(
    engine: &Arc<Engine>,
    view: &View<'_>,
    list: &List,
    each: &str,
    extent: Extent,
) -> Result<usize, Stop> {
    let started = Instant::now();
    let (name, resource) = (view.connection.name.clone(), view.resource.name.clone());
    let (cursor, asked) = {
        let each = each.to_owned();
        let read = move |tx: &crate::store::Tx<'_>| {
            Ok((tx.cursor(&name, &resource, &each)?, tx.last_seq()?))
        };
        engine.store.write_async(read).await?
    };
    if let (Some(newest), None) = (&list.newest, &cursor.value) {
        return start_at(engine, view, list, newest, each, asked).await;
    }
    let full = (extent == Extent::Everything && list.newest.is_none())
        || cursor.value.is_none()
        || list.cursor.is_none();
    let mut vars = vars(view, each);
    if !full && let Some(since) = since(view, list.cursor.as_ref(), &cursor, &vars) {
        vars.insert("since".to_owned(), since);
    }
    let newest = cursor.value;
    let (shown, differed) = (None, 0);
    let mut reading =
        Reading { engine, view, list, each, vars, asked, full, newest, shown, differed };
    let mut bulk = list.bulk.as_ref().filter(|_| full && view.connection.bulk);
    if let Some(spec) = bulk {
        match bulk::go_on(&mut reading, spec).await? {
            bulk::Found::Read { seconds, key } => return reading.finish(seconds, Some(key)).await,
            bulk::Found::Nothing => {}
            bulk::Found::Failed => bulk = None,
        }
    }
    reading.begin();
    reading.by_pages(bulk).await?;
    reading.finish(started.elapsed().as_secs(), None).await
}

impl Reading<'_> {
    /// From its beginning: nothing was shown yet.
    pub fn begin(&mut self) {
        let whole = self.full && self.list.newest.is_none();
        self.shown = whole.then(absent::Shown::default);
    }

    async fn by_pages(&mut self, mut bulk: Option<&Bulk>) -> Result<(), Stop> {
        let (list, view) = (self.list, self.view);
        let call = if self.full { list.full.as_ref().unwrap_or(&list.call) } else { &list.call };
        let mut size = list.page.size().unwrap_or(usize::MAX);
        // Until it is known whether a job is worth it: what the job says need not be said here.
        let mut held = Vec::new();
        for page in 1..=self.engine.house.config.limits.pages_max {
            let (items, more) =
                pages::read(self.engine, view, list, call, &mut self.vars, page, &mut size).await?;
            self.note(&items);
            held.extend(items);
            if more && let Some(spec) = bulk.take_if(|spec| held.len() >= spec.least) {
                bulk::start(self, spec).await?;
            }
            if bulk.is_none() || !more {
                self.keep(std::mem::take(&mut held), None).await?;
            }
            if !more {
                return Ok(());
            }
        }
        let pages = self.engine.house.config.limits.pages_max;
        let text = format!("there are more than {pages} pages: see limits.pages_max");
        Err(Stop::Fault(Fault::new(FaultKind::Rejected, "", &text)))
    }

    pub fn note(&mut self, items: &[Json]) {
        for item in items {
            let at = changed_at(self.view, self.list.cursor.as_ref(), item, &self.vars);
            self.newest = self.newest.take().max(at);
            if let Some(shown) = &mut self.shown {
                shown.note(self.view, item, self.each);
            }
        }
    }

    /// Keeps a page, and how far the listing was read with it (a key and its value).
    pub async fn keep(
        &mut self,
        items: Vec<Json>,
        progress: Option<(String, String)>,
    ) -> Result<(), Stop> {
        let house = Arc::clone(&self.engine.house);
        let name = self.view.connection.name.clone();
        let collection = self.view.resource.collection.clone();
        let (each, at, asked) = (self.each.to_owned(), now(), self.asked);
        let via = if self.full { Via::Sweep } else { Via::Page };
        let write = move |tx: &crate::store::Tx<'_>| {
            let (connection, collection) = (name.as_str(), collection.as_str());
            let source = Source { connection, collection, each: &each, via, asked, at: &at };
            let differed = receive::page(tx, &house, &source, items)?;
            if let Some((key, value)) = progress {
                tx.set_meta(&key, &value)?;
            }
            Ok(differed)
        };
        self.differed += self.engine.store.write_async(write).await?;
        Ok(())
    }

    /// While a long listing ran, what was already read may have changed again: one that is not in
    /// the order of its dates steps back as well.
    async fn finish(self, seconds: u64, forget: Option<String>) -> Result<usize, Stop> {
        let back = self.full || matches!(self.list.page, Page::Token { .. });
        let value = self.newest.map(|v| if back { earlier(&v, seconds) } else { v });
        let asked = self.asked;
        let done = Cursor { value, page: None, asked, last: 0, complete: true, at: now() };
        finish(self.engine, self.view, self.each, done, self.full, forget).await?;
        if let Some(shown) = self.shown {
            absent::look_for(self.engine, self.view, self.each, asked, shown).await?;
        }
        Ok(self.differed)
    }
}

/// A listing that starts at the source's newest item. An empty one starts at the beginning.
async fn start_at(
    engine: &Arc<Engine>,
    view: &View<'_>,
    list: &List,
    newest: &Call,
    each: &str,
    asked: i64,
) -> Result<usize, Stop> {
    let mut vars = vars(view, each);
    let mut size = list.page.size().unwrap_or(usize::MAX);
    let (items, _) = pages::read(engine, view, list, newest, &mut vars, 1, &mut size).await?;
    let at = items.iter().filter_map(|i| changed_at(view, list.cursor.as_ref(), i, &vars)).max();
    let value = Some(at.unwrap_or_else(|| BEGINNING.to_owned()));
    let done = Cursor { value, page: None, asked, last: 0, complete: true, at: now() };
    finish(engine, view, each, done, true, None).await?;
    Ok(0)
}

const BEGINNING: &str = "1970-01-01T00:00:00Z";

/// `forget`: what stood for the listing while it was read.
async fn finish(
    engine: &Arc<Engine>,
    view: &View<'_>,
    each: &str,
    mut cursor: Cursor,
    swept: bool,
    forget: Option<String>,
) -> Result<(), Stop> {
    let (name, resource) = (view.connection.name.clone(), view.resource.name.clone());
    let (each, holds) = (each.to_owned(), !view.resource.holds_stock.is_empty());
    engine
        .store
        .write_async(move |tx| {
            cursor.last = tx.last_seq()?;
            tx.set_cursor(&name, &resource, &each, &cursor)?;
            if swept {
                tx.set_meta(&swept_key(&name, &resource, &each), &cursor.at)?;
            }
            if let Some(key) = forget {
                tx.forget_meta(&key)?;
            }
            if holds {
                tx.wake_later(&name, &cursor.at)?;
            }
            Ok(())
        })
        .await?;
    Ok(())
}

/// Where it is written down when a listing was last read from its beginning.
fn swept_key(connection: &str, resource: &str, each: &str) -> String {
    format!("swept.{connection}.{resource}.{each}")
}

/// Was any slice of a listing read, and not from its beginning since then?
pub fn swept_before(
    tx: &crate::store::Tx<'_>,
    view: &View<'_>,
    then: jiff::Timestamp,
) -> crate::store::Result<bool> {
    let Some(list) = &view.resource.list else { return Ok(false) };
    let (name, resource) = (&view.connection.name, &view.resource.name);
    let each = list.each.as_ref().map_or_else(|| vec![String::new()], |e| view.connection.each(e));
    for each in each {
        let read = tx.cursor(name, resource, &each)?.complete;
        let swept = tx.meta(&swept_key(name, resource, &each))?;
        let swept = swept.and_then(|at| at.parse::<jiff::Timestamp>().ok());
        if read && swept.is_none_or(|at| at < then) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Everything a template of this connection may name, now.
pub fn vars(view: &View<'_>, each: &str) -> Vars {
    let mut vars = view.connection.vars(each);
    let at = now();
    vars.insert("today".to_owned(), Json::String(at[..10].to_owned()));
    vars.insert("now".to_owned(), Json::String(at));
    vars
}

fn changed_at(
    view: &View<'_>,
    cursor: Option<&CursorSpec>,
    item: &Json,
    vars: &Vars,
) -> Option<String> {
    let lens = &cursor?.lens;
    let value = lens.read(item, &view.env(vars, Some(item))).ok().flatten()?;
    (!value.is_null()).then(|| plain(&value))
}

fn since(view: &View<'_>, spec: Option<&CursorSpec>, cursor: &Cursor, vars: &Vars) -> Option<Json> {
    let spec = spec?;
    let seconds = u64::try_from(spec.overlap_seconds).unwrap_or(0);
    let since = Json::String(earlier(cursor.value.as_deref()?, seconds));
    spec.lens.encode(&since, &view.env(vars, None)).ok().flatten()
}

/// A source's time less some seconds; what is no time stays as it is.
fn earlier(value: &str, seconds: u64) -> String {
    let back = jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    match value.parse::<jiff::Timestamp>().ok().and_then(|t| t.checked_sub(back).ok()) {
        Some(at) => at.to_string(),
        None => value.to_owned(),
    }
}
