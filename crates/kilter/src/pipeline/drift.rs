//! Drift: a field that a remote stops saying, or says null of everywhere.
//!
//! Reads   what the items of a page say, row by row; what whole listings said before.
//! Writes  a sentence for people, faults; marks on items, of what is not taken from them.
//! Never   lets a null of a whole page blank what is true of all of it, until a person approves;
//!         holds what a few lost, or what an absent field would not touch anyway.
//!
//! ```text
//! a page of a whole listing ── null in every item, where many had a value ──► held: not taken
//! held ── a value shows again, or sync --approve ──► taken by the next whole listing
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;
use std::sync::Arc;

use kilter_core::Json;
use kilter_core::model::{Fault, FaultKind, RowKey, Rows, Text, Via};
use kilter_core::sync::house::{House, View, row_key};
use kilter_core::sync::project::{Projected, WITHHELD};
use serde_json::json;

use crate::engine::{Engine, now};
use crate::pipeline::absent::ALWAYS;
use crate::pipeline::place;
use crate::pipeline::receive::Source;
use crate::store::{Error, Result, Tx};

/// Where it stands what is held of a resource: a row, and the sentence.
pub const HELD: &str = "nulls.";
/// Rows of a resource whose nulls are taken, and since when.
const APPROVED: &str = "approved.nulls.";
/// Rows that said something the last time a listing was read whole.
const SAID: &str = "said.";

type Sentences = BTreeMap<RowKey, String>;

/// What the items of one resource said.
#[derive(Debug, Default)]
struct Rowwise {
    items: usize,
    value: BTreeSet<RowKey>,
    null: BTreeSet<RowKey>,
}

/// What the items of a page, or of a listing, said: by resource.
#[derive(Debug, Default)]
pub struct Seen(BTreeMap<Text, Rowwise>);

/// What became of a page, or of all pages so far.
#[derive(Debug, Default)]
pub struct Taken {
    pub differed: usize,
    /// None: not all of the listing was seen by this run.
    pub seen: Option<Seen>,
}

impl AddAssign for Taken {
    fn add_assign(&mut self, more: Self) {
        self.differed += more.differed;
        if let (Some(all), Some(seen)) = (&mut self.seen, more.seen) {
            for (resource, rows) in seen.0 {
                let sum = all.0.entry(resource).or_default();
                sum.items += rows.items;
                sum.value.extend(rows.value);
                sum.null.extend(rows.null);
            }
        }
    }
}

impl Rowwise {
    fn note(&mut self, rows: &Rows) {
        self.items += 1;
        for (key, value) in rows {
            let set = if value.is_null() { &mut self.null } else { &mut self.value };
            if !set.contains(key) {
                set.insert(key.clone());
            }
        }
    }

    /// Null wherever it was said.
    fn empty(&self) -> impl Iterator<Item = &RowKey> {
        self.null.difference(&self.value)
    }
}

/// An item of a page, what it says, and what its object said before where that is something else.
pub struct Said {
    pub item: Json,
    pub says: Option<Projected>,
    pub before: Option<Rows>,
}

/// What is held of the resources of one collection, while a page of it is taken.
pub struct Drift<'s> {
    house: &'s House,
    source: &'s Source<'s>,
    held: BTreeMap<Text, Sentences>,
    pub seen: Seen,
}

/// A listing of its own: what one location or price list is silent of, another may say.
fn place_of(connection: &str, resource: &str, each: &str) -> String {
    format!("{connection}.{resource}.{each}")
}

fn read<T: serde::de::DeserializeOwned + Default>(tx: &Tx<'_>, key: &str) -> Result<T> {
    let text = tx.meta(key)?;
    text.map_or_else(|| Ok(T::default()), |text| told(&text))
}

fn told<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::Corrupt("what is held of a listing", e))
}

/// Nothing to say: nothing is written.
fn write<K: serde::Serialize>(tx: &Tx<'_>, key: &str, all: &K, none: bool) -> Result<()> {
    if none {
        return tx.forget_meta(key).map(|_| ());
    }
    let text = serde_json::to_string(all).map_err(|e| Error::Corrupt("what is held", e))?;
    tx.set_meta(key, &text)
}

impl<'s> Drift<'s> {
    /// What is held, and what this page says: of rows that show a value again nothing is held more.
    pub fn of<'p>(
        tx: &Tx<'_>,
        house: &'s House,
        source: &'s Source<'s>,
        says: impl Iterator<Item = &'p Projected>,
    ) -> Result<Self> {
        let mut seen = Seen::default();
        for item in says {
            // A copy of the name only for the first of many.
            if !seen.0.contains_key(&item.resource) {
                seen.0.insert(item.resource.clone(), Rowwise::default());
            }
            if let Some(rows) = seen.0.get_mut(&item.resource) {
                rows.note(&item.rows);
            }
        }
        let mut held = BTreeMap::new();
        for (resource, rows) in &seen.0 {
            let place = place_of(source.connection, resource, source.each);
            let key = format!("{HELD}{place}");
            let mut sentences: Sentences = read(tx, &key)?;
            let before = sentences.len();
            let again: Vec<RowKey> =
                sentences.keys().filter(|row| rows.value.contains(*row)).cloned().collect();
            for row in again {
                tracing::info!(
                    connection.id = source.connection,
                    resource = resource.as_str(),
                    row = row.as_str(),
                    "it shows values again"
                );
                // Its nulls of before are not approved by that: a page that falls silent again is held again.
                sentences.remove(&row);
            }
            if sentences.len() < before {
                write(tx, &key, &sentences, sentences.is_empty())?;
            }
            if !sentences.is_empty() {
                held.insert(resource.clone(), sentences);
            }
        }
        Ok(Self { house, source, held, seen })
    }

    /// A null that is held says nothing.
    pub fn withhold(&self, item: &mut Json, says: &mut Projected) {
        for row in self.held.get(&says.resource).into_iter().flat_map(BTreeMap::keys) {
            take_out(item, says, row);
        }
    }

    /// Rows that fell silent in all of this page at once: held from here on.
    pub fn find(&mut self, tx: &Tx<'_>, page: &mut [Said]) -> Result<()> {
        if self.source.via != Via::Sweep {
            return Ok(());
        }
        for (resource, rows) in &self.seen.0 {
            let of = |said: &Said| said.says.as_ref().is_some_and(|s| s.resource == *resource);
            let lost = |row: &RowKey| {
                let had = |said: &&Said| {
                    let before = said.before.as_ref().and_then(|before| before.get(row));
                    of(said) && before.is_some_and(|value| !value.is_null())
                };
                page.iter().filter(had).count()
            };
            let many = rows.empty().map(|row| (row, lost(row))).filter(|(_, n)| *n > ALWAYS);
            let many: Vec<(RowKey, usize)> = many.map(|(row, n)| (row.clone(), n)).collect();
            if many.is_empty() {
                continue;
            }
            let fresh = self.hold(tx, resource, rows.items, many)?;
            for said in page.iter_mut().filter(|said| of(said)) {
                let Said { item, says: Some(says), .. } = said else { continue };
                fresh.iter().for_each(|row| take_out(item, says, row));
            }
        }
        Ok(())
    }

    /// Of what we would take, and nobody approved.
    fn hold(
        &self,
        tx: &Tx<'_>,
        resource: &str,
        items: usize,
        many: Vec<(RowKey, usize)>,
    ) -> Result<Vec<RowKey>> {
        let connection = self.source.connection;
        let Some(view) = self.house.view(connection, resource) else { return Ok(Vec::new()) };
        let place = place_of(connection, resource, self.source.each);
        let approved: BTreeMap<RowKey, String> = read(tx, &format!("{APPROVED}{place}"))?;
        let taken = taken(&view, self.source.each);
        let key = format!("{HELD}{place}");
        let (mut sentences, mut fresh): (Sentences, _) = (read(tx, &key)?, Vec::new());
        for (row, lost) in many {
            if approved.contains_key(&row) || !taken.contains(&row) {
                continue;
            }
            let text = format!(
                "{row} of {resource} in {connection} is null in all {items} that were read at once, \
                 and {lost} of them had a value: what was known stays until it shows values again; \
                 `kilter sync --approve` takes the nulls"
            );
            tell(tx, &view, &text)?;
            sentences.insert(row.clone(), text);
            fresh.push(row);
        }
        if !fresh.is_empty() {
            write(tx, &key, &sentences, false)?;
        }
        Ok(fresh)
    }
}

/// The log keeps what was said; the mark says what of it is not taken.
fn take_out(item: &mut Json, says: &mut Projected, row: &RowKey) {
    if !says.rows.get(row).is_some_and(Json::is_null) {
        return;
    }
    says.rows.remove(row);
    if let Some(item) = item.as_object_mut()
        && let Some(rows) = item.entry(WITHHELD).or_insert_with(|| json!([])).as_array_mut()
    {
        rows.push(json!(row));
    }
}

/// The rows that this connection fills records from.
fn taken(view: &View<'_>, each: &str) -> BTreeSet<RowKey> {
    let vars = view.vars(each);
    let mut out = BTreeSet::new();
    for facet in &view.resource.facets {
        for row in &facet.rows {
            let scope = view.scope(facet, row, &vars);
            let mode = view.mode(facet, row, &scope, None);
            if mode.takes || mode.seeds {
                out.insert(row_key(facet, row, &scope));
            }
        }
    }
    out
}

fn tell(tx: &Tx<'_>, view: &View<'_>, text: &str) -> Result<()> {
    let (connection, resource) = (&view.connection.name, &view.resource.name);
    tracing::warn!(connection.id = connection, resource, "{text}");
    tx.write_fault(connection, resource, &Fault::new(FaultKind::Schema, "", text), &now())
}

fn approve_row(tx: &Tx<'_>, place: &str, row: &RowKey) -> Result<()> {
    let key = format!("{APPROVED}{place}");
    let mut approved: BTreeMap<RowKey, String> = read(tx, &key)?;
    approved.insert(row.clone(), now());
    write(tx, &key, &approved, false)
}

/// A person says that the nulls are meant. Returns what was held.
pub fn approve(tx: &Tx<'_>) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for (key, text) in tx.metas(HELD)? {
        let sentences: Sentences = told(&text)?;
        for (row, sentence) in sentences {
            approve_row(tx, key.strip_prefix(HELD).unwrap_or_default(), &row)?;
            said.push(sentence);
        }
        tx.forget_meta(&key)?;
    }
    Ok(said)
}

/// What waits for `sync --approve`.
pub fn asked(tx: &Tx<'_>) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for (_, text) in tx.metas(HELD)? {
        said.extend(told::<Sentences>(&text)?.into_values());
    }
    Ok(said)
}

/// A listing was read whole: what said something the last time, and nothing now, is told.
pub async fn conclude(
    engine: &Arc<Engine>,
    view: &View<'_>,
    each: &str,
    began: i64,
    seen: Seen,
) -> Result<()> {
    let (house, key) = (Arc::clone(&engine.house), format!("{SAID}{}", place::name(view, each)));
    let (connection, resource) = (view.connection.name.clone(), view.resource.name.clone());
    let slice = each.to_owned();
    let write_down = move |tx: &Tx<'_>| {
        let (Some(view), Some(rows)) =
            (house.view(&connection, &resource), seen.0.get(resource.as_str()))
        else {
            return Ok(());
        };
        // Of a handful, a field that none of them has says nothing.
        if view.resource.facets.is_empty() || rows.items <= ALWAYS {
            return Ok(());
        }
        let place = place_of(&connection, &resource, &slice);
        let held: Sentences = read(tx, &format!("{HELD}{place}"))?;
        let approved = settled(tx, &place, began, rows)?;
        let before: BTreeSet<RowKey> = read(tx, &key)?;
        let mut after = rows.value.clone();
        for row in before.difference(&rows.value).filter(|row| !approved.contains(*row)) {
            after.insert(row.clone());
            let (now, items) = (rows.null.contains(row), rows.items);
            let how = if now { "null in all" } else { "missing in all" };
            if !held.contains_key(row) {
                let text = format!(
                    "{row} is {how} {items} {resource} that {connection} lists, where it had values: \
                     did the field change its name?"
                );
                tell(tx, &view, &text)?;
            }
        }
        if after != before { write(tx, &key, &after, after.is_empty()) } else { Ok(()) }
    };
    engine.store.write_async(write_down).await
}

/// Rows whose nulls were approved before this listing began; of those that say something again
/// nothing is approved any more.
fn settled(tx: &Tx<'_>, place: &str, began: i64, rows: &Rowwise) -> Result<BTreeSet<RowKey>> {
    let key = format!("{APPROVED}{place}");
    let mut approved: BTreeMap<RowKey, String> = read(tx, &key)?;
    let before = |at: &str| at.parse::<jiff::Timestamp>().is_ok_and(|at| at.as_second() <= began);
    let done: BTreeSet<RowKey> =
        approved.iter().filter(|(_, at)| before(at)).map(|(row, _)| row.clone()).collect();
    let all = approved.len();
    approved.retain(|row, _| !(done.contains(row) && rows.value.contains(row)));
    if approved.len() < all {
        write(tx, &key, &approved, approved.is_empty())?;
    }
    Ok(done)
}
