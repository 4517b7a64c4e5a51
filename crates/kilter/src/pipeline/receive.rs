//! Receive: what a remote said, compared with what we knew, and appended if it differs.
//!
//! Reads   items of a page, a read, an answer; objects.   Writes  changes, or only counts.
//! Never   appends what equals the shadow; never calls a remote.

use std::sync::Arc;

use kilter_core::Json;
use kilter_core::model::{Change, End, Rows, Seq, Text, Via};
use kilter_core::sync::house::House;
use kilter_core::sync::project::{Projected, Unprojected, project, remote_of, resource_of};
use kilter_core::sync::world::World;
use kilter_core::sync::{existence, merge, seat};

use crate::pipeline::drift::{Drift, Said, Taken};
use crate::pipeline::permits;
use crate::sketch;
use crate::store::{Error, Result, Tx};

/// Where a batch of items comes from.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    pub connection: &'a str,
    pub collection: &'a str,
    pub each: &'a str,
    pub via: Via,
    pub asked: Seq,
    pub at: &'a str,
}

impl Source<'_> {
    pub fn change(&self, remote: &str, body: Json) -> Change {
        Change {
            seq: 0,
            connection: self.connection.into(),
            collection: self.collection.into(),
            remote: remote.into(),
            each: self.each.into(),
            via: self.via,
            asked: self.asked,
            body,
            at: self.at.into(),
        }
    }
}

/// The items of a page, and what each says: read before the writer's turn.
pub struct Page {
    items: Vec<(Json, Option<Projected>)>,
    /// What the listing cut short is read alone.
    cut: Vec<String>,
}

pub fn read(house: &House, source: &Source<'_>, items: Vec<Json>) -> Page {
    let mut page = Page { items: Vec::with_capacity(items.len()), cut: Vec::new() };
    for item in items {
        let view = resource_of(house, source.connection, source.collection, &item, source.each);
        let readable = view.as_ref().is_some_and(|v| v.resource.get.is_some());
        match view.map(|v| project(&v, &item, source.each)) {
            Some(Err(Unprojected::Cut { id, .. })) if readable => page.cut.push(id),
            says => page.items.push((item, says.and_then(std::result::Result::ok))),
        }
    }
    page
}

/// A page of a listing: what differs is appended, the rest counted.
pub fn page(tx: &Tx<'_>, house: &House, source: &Source<'_>, page: Page) -> Result<Taken> {
    let awaited = awaited_records(tx)?;
    let mut unchanged = 0;
    let look =
        |id: &String| source.change(&remote_of(id, source.each), serde_json::json!({ HINT: true }));
    let mut changes: Vec<Change> = page.cut.iter().map(look).collect();
    let said = page.items.iter().filter_map(|(_, says)| says.as_ref());
    let mut drift = Drift::of(tx, house, source, said)?;
    let mut differ = Vec::new();
    for (mut item, mut says) in page.items {
        let mut before = None;
        if let Some(says) = &mut says {
            drift.withhold(&mut item, says);
            match known(tx, house, source, says, &awaited)? {
                Known::Same => {
                    unchanged += 1;
                    continue;
                }
                Known::Not(shadow) => before = shadow,
            }
        }
        differ.push(Said { item, says, before });
    }
    drift.find(tx, &mut differ)?;
    for Said { item, says, .. } in differ {
        let remote = says.map_or_else(Text::default, |p| p.remote);
        changes.push(source.change(&remote, item));
    }
    tx.append(&mut changes)?;
    if unchanged > 0 {
        tx.count_unchanged(source.connection, source.collection, unchanged)?;
    }
    Ok(Taken { differed: changes.len(), seen: Some(drift.seen) })
}

/// Figures that a sold line waits for must be merged though they did not change.
fn awaited_records(tx: &Tx<'_>) -> Result<Vec<i64>> {
    let mut out = Vec::new();
    for key in tx.figures_awaited()? {
        out.extend(tx.record_ids_by_key("stock", &key)?);
    }
    Ok(out)
}

fn known(
    tx: &Tx<'_>,
    house: &House,
    source: &Source<'_>,
    item: &Projected,
    awaited: &[i64],
) -> Result<Known> {
    if !item.unreadable.is_empty() {
        return Ok(Known::Not(None));
    }
    // Nearly always it is what it was, to the letter.
    let text = serde_json::to_string(&item.rows).map_err(|e| Error::Corrupt("an item", e))?;
    let seen = tx.seen(source.connection, source.collection, &item.remote, &text)?;
    let Some(object) = seen else { return Ok(Known::Not(None)) };
    let settled = object.quiet && source.asked >= object.settled;
    let hints =
        house.view(source.connection, &item.resource).is_some_and(|v| v.resource.facets.is_empty());
    let placed = hints || object.root.is_some() || object.unmatched;
    let before = object.differs.as_deref().map(without_own).transpose()?;
    let same = before.as_ref().is_none_or(|before| *before == item.rows);
    let same = same && object.resource == item.resource;
    let same = settled && placed && same && object.root.is_none_or(|r| !awaited.contains(&r));
    Ok(if same { Known::Same } else { Known::Not(before) })
}

/// Is it what we knew? If not, what that was, where it was other rows.
enum Known {
    Same,
    Not(Option<Rows>),
}

/// What only we keep there no remote says.
fn without_own(shadow: &str) -> Result<Rows> {
    let mut shadow: Rows =
        serde_json::from_str(shadow).map_err(|e| Error::Corrupt("an object", e))?;
    merge::OWN_ROWS.iter().for_each(|own| drop(shadow.remove(*own)));
    Ok(shadow)
}

/// Reads and answers are appended and merged in the same transaction.
pub fn merge_now(
    tx: &Tx<'_>,
    house: &House,
    world: &mut World,
    mut changes: Vec<Change>,
) -> Result<()> {
    tx.append(&mut changes)?;
    tx.foresee(house, world, &changes)?;
    let mut ends = Vec::with_capacity(changes.len());
    for change in changes {
        let end = merge_one(tx, house, world, &change)?;
        ends.push((change, end));
    }
    tx.end_changes(&ends)
}

/// What a change says, before anybody asks what is known.
#[derive(Debug, PartialEq)]
pub enum Understood {
    Gone,
    Hint,
    Item(Arc<Projected>),
    /// Nothing to merge.
    Ended(End),
}

/// A body of the log as far as the resources of its collection may ask for it, and what we put there
/// ourselves (`$hint`).
pub fn asked_for(house: &House, change: &Change, text: &str) -> serde_json::Result<Json> {
    let resources = || {
        let connector = house.connector(&change.connection).map(|(_, connector)| connector);
        connector.into_iter().flat_map(|c| c.resources_of(&change.collection))
    };
    if !text.trim_start().starts_with('{') {
        return serde_json::from_str(text);
    }
    let ours = |key: &str| key.starts_with('$');
    sketch::read(text, &|key| ours(key) || resources().any(|r| r.mentions.asks_for(key)))
}

pub fn understand(house: &House, change: &Change, body: &Json) -> Understood {
    if change.via == Via::Gone {
        return Understood::Gone;
    }
    if body.get(HINT).is_some() {
        return Understood::Hint;
    }
    let found = resource_of(house, &change.connection, &change.collection, body, &change.each);
    let Some(view) = found else {
        return Understood::Ended(End::Filtered("no resource takes it".to_owned()));
    };
    match project(&view, body, &change.each) {
        Ok(item) => Understood::Item(Arc::new(item)),
        Err(error) => Understood::Ended(End::Filtered(error.to_string())),
    }
}

/// Merges one change into the world, and asks for what it hints at.
pub fn merge_one(tx: &Tx<'_>, house: &House, world: &mut World, change: &Change) -> Result<End> {
    merge_understood(tx, house, world, change, understand(house, change, &change.body))
}

pub fn merge_understood(
    tx: &Tx<'_>,
    house: &House,
    world: &mut World,
    change: &Change,
    said: Understood,
) -> Result<End> {
    let item = match said {
        Understood::Gone => return gone(tx, house, world, change),
        Understood::Hint => return hint(tx, house, world, change),
        Understood::Ended(end) => return Ok(end),
        Understood::Item(item) => item,
    };
    let end = tx.step(house, world, |w| merge::merge(house, w, change, &item))?;
    for (collection, remote) in item.sides.iter().filter(|_| change.via == Via::Read) {
        let (connection, remote) = (&change.connection, remote.clone());
        let known = |w: &mut World| w.object_by_remote(connection, collection, &remote);
        if tx.step(house, world, known)?.is_some() {
            let side = Change {
                collection: collection.as_str().into(),
                remote: remote.into(),
                ..change.clone()
            };
            hint(tx, house, world, &side)?;
        }
    }
    if end == End::Unchanged {
        return Ok(end);
    }
    for (collection, id) in &item.hints {
        for remote in hinted(house, &change.connection, collection, id) {
            let hint = Change {
                collection: collection.as_str().into(),
                remote: remote.into(),
                ..change.clone()
            };
            self::hint(tx, house, world, &hint)?;
        }
    }
    Ok(end)
}

/// Merges what asks for nothing that the world does not know. None: it does, and nothing happened.
pub fn merge_known(
    house: &House,
    world: &mut World,
    change: &Change,
    said: &Understood,
) -> Option<End> {
    let item = match said {
        Understood::Ended(end) => return Some(end.clone()),
        Understood::Item(item) if item.hints.is_empty() && item.sides.is_empty() => item,
        Understood::Item(_) | Understood::Gone | Understood::Hint => return None,
    };
    world.begin_step();
    let end = merge::merge(house, world, change, item);
    if world.missing.is_empty() {
        return Some(end);
    }
    world.undo_step();
    None
}

fn gone(tx: &Tx<'_>, house: &House, world: &mut World, change: &Change) -> Result<End> {
    let end = tx.step(house, world, |w| existence::gone(house, w, change))?;
    let (connection, collection) = (&change.connection, &change.collection);
    // As it is known here: what was merged before it in this batch may not be written yet.
    let gone = tx.step(house, world, |w| {
        let id = w.object_by_remote(connection, collection, &change.remote)?;
        let root = w.object(id)?.root;
        Some((id, root.and_then(|root| w.record(root)).map(|root| root.entity.clone())))
    })?;
    if let Some((object, entity)) = gone.filter(|_| end == End::Merged) {
        permits::gone(tx, house, object, entity.as_deref())?;
    }
    Ok(end)
}

/// What no resource here would read is not looked at.
fn hint(tx: &Tx<'_>, house: &House, world: &mut World, change: &Change) -> Result<End> {
    let connector = house.connector(&change.connection).map(|(_, connector)| connector);
    if connector.is_none_or(|c| c.resources_of(&change.collection).next().is_none()) {
        return Ok(End::Filtered("no resource takes it".to_owned()));
    }
    tx.step(house, world, |w| merge::hint(w, change))
}

/// A body that says nothing but "look".
pub const HINT: &str = "$hint";

/// A hint names an id; where the listing runs for each location, every one of them is meant.
fn hinted(house: &House, connection: &str, collection: &str, id: &str) -> Vec<String> {
    let Some((connection, connector)) = house.connector(connection) else { return Vec::new() };
    let each = connector
        .resources_of(collection)
        .find_map(|r| r.list.as_ref().and_then(|l| l.each.as_deref()));
    match each {
        Some(what) => connection.each(what).iter().map(|e| remote_of(id, e)).collect(),
        None => vec![id.to_owned()],
    }
}

/// A connection that is new to a config gets its seats for the records that were there before it.
pub fn seat_newcomers(tx: &Tx<'_>, house: &House, at: &str) -> Result<()> {
    let mut fresh = Vec::new();
    for name in house.config.connections.keys() {
        if tx.meta(&format!("seated.{name}"))?.is_none() {
            fresh.push(name);
        }
    }
    if fresh.is_empty() {
        return Ok(());
    }
    let mut last = 0;
    loop {
        let ids = tx.record_ids_after(last, house.config.limits.merge_batch)?;
        let mut world = tx.world()?;
        for id in &ids {
            tx.step(house, &mut world, |w| seat::reconsider(house, w, *id, at))?;
        }
        tx.save(&world)?;
        match ids.last() {
            Some(id) => last = *id,
            None => break,
        }
    }
    fresh.into_iter().try_for_each(|name| tx.set_meta(&format!("seated.{name}"), at))
}
