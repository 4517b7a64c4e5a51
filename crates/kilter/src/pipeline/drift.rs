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
use kilter_core::sync::house::{House, View};
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

/// What a row was said to be, by some of the items.
#[derive(Debug, Clone, Copy, Default)]
struct Spoke {
    value: bool,
    null: bool,
}

/// What the items of one resource said.
#[derive(Debug, Default)]
struct Rowwise {
    items: usize,
    /// Sorted, each once.
    rows: Vec<(RowKey, Spoke)>,
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
                sum.spoke(rows.rows.iter().map(|(row, spoke)| (row, *spoke)));
            }
        }
    }
}

impl Rowwise {
    fn note(&mut self, rows: &Rows) {
        self.items += 1;
        self.spoke(rows.iter().map(|(row, value)| {
            let null = value.is_null();
            (row, Spoke { value: !null, null })
        }));
    }

    /// Rows in their order. Nearly always they are those that stand here already: one comparison each.
    fn spoke<'r>(&mut self, rows: impl Iterator<Item = (&'r RowKey, Spoke)>) {
        let mut at = 0;
        for (row, spoke) in rows {
            while self.rows.get(at).is_some_and(|(known, _)| known < row) {
                at += 1;
            }
            if self.rows.get(at).is_none_or(|(known, _)| known != row) {
                self.rows.insert(at, (row.clone(), Spoke::default()));
            }
            let known = &mut self.rows[at].1;
            known.value |= spoke.value;
            known.null |= spoke.null;
            at += 1;
        }
    }

    fn valued(&self) -> impl Iterator<Item = &RowKey> {
        self.rows.iter().filter(|(_, spoke)| spoke.value).map(|(row, _)| row)
    }

    fn has_value(&self, row: &RowKey) -> bool {
        self.valued().any(|valued| valued == row)
    }

    /// Null wherever it was said.
    fn empty(&self) -> impl Iterator<Item = &RowKey> {
        self.rows.iter().filter(|(_, spoke)| spoke.null && !spoke.value).map(|(row, _)| row)
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
                sentences.keys().filter(|row| rows.has_value(row)).cloned().collect();
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
        let known = rows_of(&view, self.source.each);
        let key = format!("{HELD}{place}");
        let (mut sentences, mut fresh): (Sentences, _) = (read(tx, &key)?, Vec::new());
        for (row, lost) in many {
            if approved.contains_key(&row) || known.get(&row) != Some(&true) {
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
    let null = says.rows.get(row).is_some_and(Json::is_null);
    let Some(item) = item.as_object_mut().filter(|_| null) else { return };
    let mark = item.entry(WITHHELD).or_insert_with(|| json!([]));
    // Where the remote has a field of that name, it says nothing of ours.
    if !mark.is_array() {
        *mark = json!([]);
    }
    mark.as_array_mut().into_iter().for_each(|rows| rows.push(json!(row)));
    says.rows.remove(row);
}

/// The rows of a resource, by whether this connection fills records from them.
fn rows_of(view: &View<'_>, each: &str) -> BTreeMap<RowKey, bool> {
    let vars = view.vars(each);
    let rows = view.resource.facets.iter().flat_map(|f| f.rows.iter().map(move |row| (f, row)));
    let known = rows.map(|(facet, row)| {
        let stand = view.stand(facet, row, &vars);
        let mode = view.mode(&stand, None);
        (stand.key.clone(), mode.takes || mode.seeds)
    });
    known.collect()
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
        settled(tx, &place, began, rows)?;
        let (before, known): (BTreeSet<RowKey>, _) = (read(tx, &key)?, rows_of(&view, &slice));
        let after: BTreeSet<RowKey> = rows.valued().cloned().collect();
        // Told once, and not of a row that nobody asks for any more.
        let silent = before.difference(&after).filter(|row| known.contains_key(*row));
        for row in silent.filter(|row| !held.contains_key(*row)) {
            let (null, items) = (rows.empty().any(|empty| empty == row), rows.items);
            let how = if null { "null in all" } else { "missing in all" };
            let text = format!(
                "{row} is {how} {items} {resource} that {connection} lists, where it had values: did \
                 the field change its name?"
            );
            tell(tx, &view, &text)?;
        }
        if after != before { write(tx, &key, &after, after.is_empty()) } else { Ok(()) }
    };
    engine.store.write_async(write_down).await
}

/// Of rows that were approved before this listing began, and say something again, nothing is approved
/// any more.
fn settled(tx: &Tx<'_>, place: &str, began: i64, rows: &Rowwise) -> Result<()> {
    let key = format!("{APPROVED}{place}");
    let mut approved: BTreeMap<RowKey, String> = read(tx, &key)?;
    let before = |at: &str| at.parse::<jiff::Timestamp>().is_ok_and(|at| at.as_second() <= began);
    let all = approved.len();
    approved.retain(|row, at| !(before(at) && rows.has_value(row)));
    if approved.len() < all {
        write(tx, &key, &approved, approved.is_empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
