//! Poll: a listing, page by page, since its cursor or from the beginning.
//!
//! Reads   cursors.   Writes  changes, counts, cursors – a page and its place in one transaction.
//! Never   takes its own clock for a cursor: the value comes from the source, less an overlap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kilter_core::Json;
use kilter_core::manifest::{Call, List, Page, Vars, plain};
use kilter_core::model::{Fault, FaultKind, Via};
use kilter_core::sync::house::View;
use kilter_core::sync::project::remote_of;

use crate::engine::{Engine, now};
use crate::pipeline::drift::{self, Seen, Taken};
use crate::pipeline::place::{self, Place};
use crate::pipeline::receive::{self, Source};
use crate::pipeline::swept::{filled, swept_key};
use crate::pipeline::{absent, bulk, overlap, pages};
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

/// Keys and their values.
type Progress = Vec<(String, String)>;

/// A listing that is being read.
pub(super) struct Reading<'r> {
    pub engine: &'r Arc<Engine>,
    pub view: &'r View<'r>,
    pub list: &'r List,
    pub each: &'r str,
    pub vars: Vars,
    pub asked: i64,
    /// What was so then it shows for certain: a search shows what was written before its lag.
    tells: i64,
    full: bool,
    /// The cursor when it began: who moved it meanwhile knows better.
    was: Option<String>,
    newest: Option<String>,
    shown: Option<absent::Shown>,
    taken: Taken,
    /// The page that is being kept while the next one is asked for.
    keeping: Option<tokio::task::JoinHandle<crate::store::Result<Taken>>>,
    place: Place,
    /// When the page was asked for that is being read.
    page_asked: Option<i64>,
    /// A job of the remote may be started for it: none that came to nothing before.
    jobs: bool,
}

async fn listing(
    engine: &Arc<Engine>,
    view: &View<'_>,
    list: &List,
    each: &str,
    extent: Extent,
) -> Result<usize, Stop> {
    let (name, resource) = (view.connection.name.clone(), view.resource.name.clone());
    let (key, slice) = (place::name(view, each), each.to_owned());
    let (of, lag) = (key.clone(), list.lag_seconds);
    let read = move |tx: &crate::store::Tx<'_>| {
        let cursor = tx.cursor(&name, &resource, &slice)?;
        let done = extent == Extent::Everything && filled(tx, &name, &resource, &slice)?;
        let known = Place::known(tx, &of)?;
        let asked = tx.last_seq()?;
        let tells = if lag == 0 { asked } else { tx.seq_at(&overlap::earlier(&now(), lag))? };
        Ok((cursor, (asked, tells), done, known, Place::rows_before(tx, &of)?))
    };
    let (cursor, (asked, tells), done, known, total) = engine.store.write_async(read).await?;
    if done {
        return Ok(0);
    }
    if let (Some(newest), None) = (&list.newest, &cursor.value) {
        return start_at(engine, view, list, newest, each, asked).await;
    }
    let full = (extent == Extent::Everything && list.newest.is_none())
        || cursor.value.is_none()
        || list.cursor.is_none();
    let mut vars = vars(view, each);
    let back = list.cursor.as_ref().filter(|_| !full).map(|spec| {
        let back = engine.wide.back(&key, spec, Instant::now());
        (back, overlap::since(view, spec, &cursor, back, &vars))
    });
    vars.extend(back.as_ref().and_then(|(_, since)| Some(("since".to_owned(), since.clone()?))));
    let (was, newest) = (cursor.value.clone(), cursor.value);
    let (shown, taken, page_asked) = (None, Taken::default(), None);
    let place = Place::begin(view, each, asked, total);
    #[rustfmt::skip]
    let mut reading = Reading {
        engine, view, list, each, vars, asked, tells, full, was, newest, shown, taken, place, page_asked,
        keeping: None, jobs: true,
    };
    let bulk = list.bulk.as_ref().filter(|_| full && view.connection.bulk);
    if let Some(spec) = bulk {
        match bulk::go_on(&mut reading, spec).await? {
            bulk::Found::Read { seconds, key } => return reading.finish(seconds, Some(key)).await,
            bulk::Found::Nothing => {}
            bulk::Found::Failed => reading.jobs = false,
        }
    }
    reading.begin();
    if let Some((place, shown)) = known.filter(|_| full) {
        reading.go_on(place, shown).await?;
    } else {
        reading.by_pages().await?;
    }
    let seconds = place::seconds() - reading.place.started;
    let differed = reading.finish(u64::try_from(seconds).unwrap_or(0), None).await?;
    if let Some((back, _)) = back {
        engine.wide.read(&key, back);
    }
    Ok(differed)
}

impl Reading<'_> {
    /// From its beginning: nothing was shown yet.
    pub fn begin(&mut self) {
        let whole = self.full && self.list.newest.is_none();
        self.shown = whole.then(|| absent::Shown::new(rand::random()));
        self.taken.seen = whole.then(Seen::default);
    }

    /// From where it was interrupted; where the remote does not know the place any more, anew.
    async fn go_on(&mut self, place: Place, shown: absent::Shown) -> Result<(), Stop> {
        let (connection, resource) = (&self.view.connection.name, &self.view.resource.name);
        let rows = place.rows;
        tracing::info!(connection.id = connection, resource, rows, "a listing goes on");
        let (asked, from) = (self.asked, place.page);
        self.asked = place.asked;
        self.newest = self.newest.take().max(place.newest.clone());
        (self.shown, self.place) = (self.shown.is_some().then_some(shown), place);
        self.taken.seen = None;
        match self.by_pages().await {
            Err(Stop::Fault(fault)) if self.place.page == from && !fault.kind.retries() => {
                tracing::warn!(connection.id = connection, resource, fault = %fault,
                    "it is read from its beginning");
                let (place, key) = (self.place.clone(), place::name(self.view, self.each));
                let forget = move |tx: &crate::store::Tx<'_>| place.forget(tx, &key, false);
                self.engine.store.write_async(forget).await?;
                self.place = Place::begin(self.view, self.each, asked, self.place.total);
                (self.asked, self.newest) = (asked, self.was.clone());
                self.vars.remove("after");
                self.begin();
                self.by_pages().await
            }
            read => read,
        }
    }

    /// What was read is kept, also where the next page did not come.
    async fn by_pages(&mut self) -> Result<(), Stop> {
        let read = self.pages().await;
        self.kept().await?;
        read
    }

    async fn pages(&mut self) -> Result<(), Stop> {
        let (list, view) = (self.list, self.view);
        let call = if self.full { list.full.as_ref().unwrap_or(&list.call) } else { &list.call };
        let mut size = list.page.size().unwrap_or(usize::MAX);
        // Until it is known whether a job is worth it: what the job says need not be said here.
        let bulk = self.jobs && self.full && view.connection.bulk && self.place.kept == 0;
        let (mut bulk, mut held) = (list.bulk.as_ref().filter(|_| bulk), Vec::new());
        let mut seams = 0;
        while self.place.page <= self.engine.house.config.limits.pages_max {
            let _long = match self.engine.remotes.get(&view.connection.name) {
                Some(remote) if self.full && self.place.page > 1 => Some(remote.give_way().await),
                _ => None,
            };
            // Pages that are kept together are as old as the first of them.
            if held.is_empty() {
                self.page_asked = Some(self.engine.store.newest());
            }
            let at = self.place.next(list.page, &mut self.vars);
            let pages::Got { mut items, more, count } =
                pages::read(self.engine, view, list, call, &mut self.vars, at, &mut size).await?;
            if self.full && more && self.place.wants(count) {
                self.place.total = pages::counted(self.engine, view, list, &self.vars).await;
            }
            if !self.joined(at, size, &mut items) {
                seams += 1;
                if seams > place::SEAMS_MAX {
                    let text = "its rows move faster than they can be read";
                    return Err(Fault::new(FaultKind::Unavailable, "", text).into());
                }
                continue;
            }
            self.place.moves_on()?;
            self.note(&items);
            held.extend(items);
            if more && let Some(spec) = bulk.take_if(|spec| held.len() >= spec.least) {
                bulk::start(self, spec).await?;
            }
            if bulk.is_none() || !more {
                let name = place::name(view, self.each);
                let (newest, shown) = (self.newest.as_ref(), self.shown.as_mut());
                let long = more && self.full;
                let place =
                    if long { self.place.written(&name, newest, shown)? } else { Vec::new() };
                self.keep_beside(std::mem::take(&mut held), place).await?;
            }
            if !more {
                return Ok(());
            }
        }
        let pages = self.engine.house.config.limits.pages_max;
        let text = format!("there are more than {pages} pages: see limits.pages_max");
        Err(Stop::Fault(Fault::new(FaultKind::Rejected, "", &text)))
    }

    /// Takes out the row that the page before showed as well. False: rows moved, and the place is
    /// further in front now.
    fn joined(&mut self, at: pages::At, size: usize, items: &mut Vec<Json>) -> bool {
        let by_id = self.full && (self.list.full.is_some() || self.list.cursor.is_none());
        let key = |item: &Json| {
            let id = self.remote(item).unwrap_or_else(|| item.to_string());
            let changed =
                overlap::changed_at(self.view, self.list.cursor.as_ref(), item, &self.vars);
            if by_id { id } else { format!("{id} {}", changed.unwrap_or_default()) }
        };
        let first = items.first().map(&key);
        let last = items.last().map(&key);
        if !self.place.joins(at, first.as_deref(), self.shown.as_ref(), by_id) {
            self.place.step_back(size, by_id);
            self.place.page += 1;
            return false;
        }
        let rows = items.len();
        if self.place.seam(at) {
            items.remove(0);
        }
        let shown = self.shown.as_ref().filter(|_| by_id);
        let known = |item| self.remote(item).is_some_and(|id| shown.is_some_and(|s| s.holds(&id)));
        let fresh = items.iter().any(|item| !known(item));
        self.place.passed(at, (rows, items.len()), fresh, last, &self.vars);
        true
    }

    fn remote(&self, item: &Json) -> Option<String> {
        let id = self.view.resource.id.read(item, &self.view.env(&self.vars, Some(item)));
        Some(remote_of(&plain(&id.ok()??), self.each))
    }

    pub fn note(&mut self, items: &[Json]) {
        for item in items {
            let at = overlap::changed_at(self.view, self.list.cursor.as_ref(), item, &self.vars);
            self.newest = self.newest.take().max(at);
            if self.shown.is_some() {
                let remote = self.remote(item);
                if let (Some(shown), Some(remote)) = (&mut self.shown, remote) {
                    shown.note(&remote);
                }
            }
        }
    }

    /// Keeps a page while the next one is on its way; one at a time, in their order.
    async fn keep_beside(&mut self, items: Vec<Json>, progress: Progress) -> Result<(), Stop> {
        let write = self.page(items, progress);
        self.kept().await?;
        self.keeping = Some(tokio::task::spawn_blocking(write));
        Ok(())
    }

    async fn kept(&mut self) -> Result<(), Stop> {
        if let Some(keeping) = self.keeping.take() {
            let stopped = |e| crate::store::Error::Refused(format!("keep a page: {e}"));
            self.taken += keeping.await.map_err(stopped)??;
        }
        Ok(())
    }

    /// Keeps a page, and how far the listing was read with it.
    pub async fn keep(&mut self, items: Vec<Json>, progress: Progress) -> Result<(), Stop> {
        self.keep_beside(items, progress).await?;
        self.kept().await
    }

    fn page(
        &self,
        items: Vec<Json>,
        progress: Progress,
    ) -> impl FnOnce() -> crate::store::Result<Taken> + Send + use<> {
        let (house, store) = (Arc::clone(&self.engine.house), self.engine.store.clone());
        let name = self.view.connection.name.clone();
        let collection = self.view.resource.collection.clone();
        let asked = self.page_asked.unwrap_or(self.asked);
        let each = self.each.to_owned();
        let via = if self.full { Via::Sweep } else { Via::Page };
        move || {
            let (connection, collection) = (name.as_str(), collection.as_str());
            let source = Source { connection, collection, each: &each, via, asked, at: "" };
            let page = receive::read(&house, &source, items);
            store.write(|tx| {
                // In its turn: places of the log are in the order of their times.
                let source = Source { at: &now(), ..source };
                let taken = receive::page(tx, &house, &source, page)?;
                for (key, value) in progress {
                    tx.set_meta(&key, &value)?;
                }
                Ok(taken)
            })
        }
    }

    /// While a long listing ran, what was already read may have changed again: one that is not in
    /// the order of its dates steps back as well.
    async fn finish(self, seconds: u64, job: Option<String>) -> Result<usize, Stop> {
        let back = self.full || matches!(self.list.page, Page::Token { .. });
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let value = self.newest.map(|v| if back { overlap::earlier(&v, seconds) } else { v });
        let asked = self.asked.min(self.tells);
        let done = Cursor { value, page: None, asked, last: 0, complete: true, at: now() };
        let began = self.place.started;
        let ended = Ended { swept: self.full, was: self.was, job, place: Some(self.place) };
        finish(self.engine, self.view, self.each, done, ended).await?;
        if let Some(shown) = self.shown {
            absent::look_for(self.engine, self.view, self.each, self.asked, shown).await?;
        }
        if let Some(seen) = self.taken.seen {
            drift::conclude(self.engine, self.view, self.each, began, seen).await?;
        }
        Ok(self.taken.differed)
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
    let at = pages::At { page: 1, offset: 0 };
    let got = pages::read(engine, view, list, newest, &mut vars, at, &mut size).await?;
    let at = got
        .items
        .iter()
        .filter_map(|i| overlap::changed_at(view, list.cursor.as_ref(), i, &vars))
        .max();
    let value = Some(at.unwrap_or_else(|| BEGINNING.to_owned()));
    let done = Cursor { value, page: None, asked, last: 0, complete: true, at: now() };
    finish(engine, view, each, done, Ended { swept: true, ..Ended::default() }).await?;
    Ok(0)
}

const BEGINNING: &str = "1970-01-01T00:00:00Z";

/// What a listing leaves behind when it was read to its end.
#[derive(Default)]
struct Ended {
    swept: bool,
    /// The cursor when it began.
    was: Option<String>,
    /// Where its job stood.
    job: Option<String>,
    place: Option<Place>,
}

async fn finish(
    engine: &Arc<Engine>,
    view: &View<'_>,
    each: &str,
    mut cursor: Cursor,
    ended: Ended,
) -> Result<(), Stop> {
    let (name, resource) = (view.connection.name.clone(), view.resource.name.clone());
    let (key, each) = (place::name(view, each), each.to_owned());
    let holds = !view.resource.holds_stock.is_empty();
    engine
        .store
        .write_async(move |tx| {
            // A poll that ran beside a sweep was asked later.
            let beside = tx.cursor(&name, &resource, &each)?;
            if ended.swept && beside.value.is_some() && beside.value != ended.was {
                cursor.value = beside.value;
            }
            cursor.asked = cursor.asked.max(beside.asked);
            cursor.last = tx.last_seq()?;
            tx.set_cursor(&name, &resource, &each, &cursor)?;
            if ended.swept {
                tx.set_meta(&swept_key(&name, &resource, &each), &cursor.at)?;
            }
            if let Some(job) = ended.job {
                tx.forget_meta(&job)?;
            }
            if let Some(place) = ended.place {
                place.forget(tx, &key, true)?;
            }
            if holds {
                tx.wake_later(&name, &cursor.at)?;
            }
            Ok(())
        })
        .await?;
    Ok(())
}

/// Everything a template of this connection may name, now.
pub fn vars(view: &View<'_>, each: &str) -> Vars {
    let mut vars = view.connection.vars(each);
    let at = now();
    vars.insert("today".to_owned(), Json::String(at[..10].to_owned()));
    vars.insert("now".to_owned(), Json::String(at));
    vars
}
