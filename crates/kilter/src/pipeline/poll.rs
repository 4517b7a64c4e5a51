//! Poll: a listing, page by page, since its cursor or from the beginning.
//!
//! Reads   cursors.   Writes  changes, counts, cursors – a page and its cursor in one transaction.
//! Never   takes its own clock for a cursor: the value comes from the source, less an overlap.

use std::sync::Arc;
use std::time::Instant;

use kilter_core::Json;
use kilter_core::manifest::{Call, Cursor as CursorSpec, List, Page, Vars, plain};
use kilter_core::model::{Fault, FaultKind, Via};
use kilter_core::sync::house::View;

use crate::engine::{Engine, now};
use crate::pipeline::receive::{self, Source};
use crate::pipeline::{absent, pages};
use crate::store::cursors::Cursor;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("poll {0}")]
    Remote(String, #[source] FaultError),
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
    let mut differed = 0;
    for each in each {
        let fault = |f| Error::Remote(format!("{resource} of {connection}"), FaultError(f));
        differed += match listing(engine, &view, list, &each, extent).await {
            Ok(n) => n,
            Err(Stop::Fault(f)) => return Err(fault(f)),
            Err(Stop::Store(e)) => return Err(e.into()),
        };
    }
    Ok(differed)
}

enum Stop {
    Fault(Fault),
    Store(crate::store::Error),
}

impl From<crate::store::Error> for Stop {
    fn from(error: crate::store::Error) -> Self {
        Self::Store(error)
    }
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
        let (name, resource, each) = (name.clone(), resource.clone(), each.to_owned());
        engine
            .store
            .write_async(move |tx| Ok((tx.cursor(&name, &resource, &each)?, tx.last_seq()?)))
            .await?
    };
    if let (Some(newest), None) = (&list.newest, &cursor.value) {
        return start_at(engine, view, list, newest, each, asked).await;
    }
    let full = (extent == Extent::Everything && list.newest.is_none())
        || cursor.value.is_none()
        || list.cursor.is_none();
    let call = if full { list.full.as_ref().unwrap_or(&list.call) } else { &list.call };
    let mut vars = vars(view, each);
    if !full && let Some(since) = since(view, list.cursor.as_ref(), &cursor, &vars) {
        vars.insert("since".to_owned(), since);
    }
    let mut newest = cursor.value.clone();
    let mut shown = (full && list.newest.is_none()).then(absent::Shown::default);
    let mut whole = false;
    let mut differed = 0;
    let mut size = list.page.size().unwrap_or(usize::MAX);
    for page in 1..=engine.house.config.limits.pages_max {
        let (items, more) = pages::read(engine, view, list, call, &mut vars, page, &mut size)
            .await
            .map_err(Stop::Fault)?;
        for item in &items {
            newest = newest.max(changed_at(view, list.cursor.as_ref(), item, &vars));
            if let Some(shown) = &mut shown {
                shown.note(view, item, each);
            }
        }
        differed += keep(engine, view, each, asked, full, items).await?;
        if !more {
            whole = true;
            break;
        }
    }
    if !whole {
        let pages = engine.house.config.limits.pages_max;
        let text = format!("there are more than {pages} pages: see limits.pages_max");
        return Err(Stop::Fault(Fault::new(FaultKind::Rejected, "", &text)));
    }
    // While a long listing ran, what was already read may have changed again: one that is not in
    // the order of its dates steps back as well.
    let back = full || matches!(list.page, Page::Token { .. });
    let value = newest.map(|v| if back { earlier(&v, started.elapsed().as_secs()) } else { v });
    let done = Cursor { value, page: None, asked, last: 0, complete: true, at: now() };
    finish(engine, view, each, done, full).await?;
    if let Some(shown) = shown {
        absent::look_for(engine, view, each, asked, shown).await?;
    }
    Ok(differed)
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
    let read = pages::read(engine, view, list, newest, &mut vars, 1, &mut size).await;
    let (items, _) = read.map_err(Stop::Fault)?;
    let at = items.iter().filter_map(|i| changed_at(view, list.cursor.as_ref(), i, &vars)).max();
    let value = Some(at.unwrap_or_else(|| BEGINNING.to_owned()));
    let done = Cursor { value, page: None, asked, last: 0, complete: true, at: now() };
    finish(engine, view, each, done, true).await?;
    Ok(0)
}

const BEGINNING: &str = "1970-01-01T00:00:00Z";

async fn finish(
    engine: &Arc<Engine>,
    view: &View<'_>,
    each: &str,
    mut cursor: Cursor,
    swept: bool,
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

async fn keep(
    engine: &Arc<Engine>,
    view: &View<'_>,
    each: &str,
    asked: i64,
    full: bool,
    items: Vec<Json>,
) -> Result<usize, Stop> {
    let house = Arc::clone(&engine.house);
    let (name, collection) = (view.connection.name.clone(), view.resource.collection.clone());
    let (each, at) = (each.to_owned(), now());
    let via = if full { Via::Sweep } else { Via::Page };
    let n = engine
        .store
        .write_async(move |tx| {
            let source = Source {
                connection: &name,
                collection: &collection,
                each: &each,
                via,
                asked,
                at: &at,
            };
            receive::page(tx, &house, &source, items)
        })
        .await?;
    Ok(n)
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
