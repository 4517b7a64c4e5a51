//! Places: which items of a remote's list are ours, so that one is sent once and no other is dropped.
//!
//! Reads   a row with `places`, what is wanted, what the remote shows.   Writes  the object's own notes.
//! Never   sends one again while nobody knows what came of it, nor takes out what it did not put in;
//!         replaces a list that was not read.
//!
//! ```text
//! wanted, and not there        → sent: noted before it leaves          (of: joined, the same twice)
//! the next read shows as many  → theirs are the ids, in their order
//!                 shows none   → it was not done, and is sent again
//!                 shows others → somebody was there too: ours are sent, and nobody knows which
//! ours, and not wanted         → taken out, by its id
//!
//! replaced as a whole (stays): shown   ours 1 · theirs 7 · ours 2      wanted  b, new, a
//!                              written ours 2 · theirs 7 · new · ours 1
//! ```
//!
//! Where a write replaces the list, what is not said is gone: theirs goes back where it stood, and
//! ours stand in the places of ours, in the order wanted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Json;
use crate::manifest::parts::fits;
use crate::manifest::places::Said;
use crate::manifest::{Places, Row, plain, render};
use crate::mapping::{Env, Path};
use crate::model::{Flat, Object, RowKey, Seq, Wait, WaitKind};
use crate::sync::batch::id_json;
use crate::sync::house::PLACES_ROW;

/// One of ours: what it is known by, and its id, where that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Own {
    source: String,
    id: Option<String>,
}

/// What was sent, and is not known to have arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sent {
    since: Seq,
    sources: Vec<String>,
    before: Vec<String>,
    /// Until then it may arrive, though a read does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// A read that was asked since did not show it.
    #[serde(default)]
    missed: bool,
}

impl Sent {
    /// Nobody saw it, and it had the time to arrive.
    fn never_came(&self, now: &str) -> bool {
        self.missed && self.until.as_deref().is_none_or(|until| until <= now)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Noted {
    own: Vec<Own>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<Sent>,
}

/// What one write does to the places of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub row: RowKey,
    join: Vec<String>,
    leave: Vec<String>,
    before: Vec<String>,
    /// Their ids are what they are known by: nothing has to be found out.
    known: bool,
    /// Where the list is replaced: all that is said, by id. None: the next one that is new.
    #[serde(default)]
    whole: Vec<Option<String>>,
    /// Not there yet, and sent by a later write.
    #[serde(default)]
    later: Vec<String>,
    /// So many seconds what got no answer may take to arrive.
    #[serde(default)]
    quiet: u64,
}

impl Change {
    /// Are the ids of what it sends to be found out by what is new there?
    pub(super) fn asks(&self) -> bool {
        !self.known && !self.join.is_empty()
    }
}

/// What a plan finds.
pub(super) enum Found {
    Nothing,
    /// It must be read what came of the last write.
    Unsure,
    /// Nothing to send; but this waits.
    Waits(Wait),
    Differs(Change),
}

fn notes(shadow: &Flat<RowKey, Json>, row: &str) -> Noted {
    let noted = shadow.get(PLACES_ROW).and_then(|all| all.get(row)).cloned();
    noted.and_then(|n| serde_json::from_value(n).ok()).unwrap_or_default()
}

fn put(shadow: &mut Flat<RowKey, Json>, row: &str, noted: &Noted) {
    let all = shadow.entry(PLACES_ROW.into()).or_insert_with(|| json!({}));
    if *noted == Noted::default() {
        if let Some(all) = all.as_object_mut() {
            all.remove(row);
        }
    } else {
        all[row] = json!(noted);
    }
    if all.as_object().is_some_and(serde_json::Map::is_empty) {
        shadow.remove(PLACES_ROW);
    }
}

fn shown(shadow: &Flat<RowKey, Json>, row: &str) -> Vec<Json> {
    shadow.get(row).and_then(Json::as_array).cloned().unwrap_or_default()
}

fn ids(shown: &[Json]) -> Vec<String> {
    shown.iter().filter_map(|one| one.get("id").map(plain)).collect()
}

/// What an item of the resource shows: an id each, and what is said about one.
pub(super) fn read(places: &Places, item: &Json, env: &Env<'_>) -> Result<Option<Json>, String> {
    let Some(Json::Array(items)) = places.at.read(item, env) else { return Ok(None) };
    let mut out = Vec::with_capacity(items.len());
    for one in &items {
        let id = places.id.read(one, env).map_err(|e| e.to_string())?;
        let Some(id) = id.filter(|id| !id.is_null()) else { continue };
        let mut place = json!({ "id": id });
        let is = |keep: &Vec<_>| !keep.is_empty() && fits(keep, one, env);
        if is(&places.failed) {
            let wrong = places.wrong.as_ref().and_then(|lens| lens.read(one, env).ok().flatten());
            place["wrong"] = json!(wrong.map_or_else(|| "it failed".to_owned(), |w| plain(&w)));
        } else if is(&places.open) {
            place["open"] = json!(true);
        }
        if !places.filler.is_empty() && fills(&places.filler, one, env) {
            place["filler"] = json!(true);
        }
        out.push(place);
    }
    Ok(Some(Json::Array(out)))
}

/// Did the remote put it there because nothing else was?
fn fills(filler: &[(Path, Vec<Json>)], one: &Json, env: &Env<'_>) -> bool {
    filler.iter().all(|(path, values)| {
        let found = path.read(one, env);
        let mut said = values.iter().filter_map(|value| render(value, env.vars));
        said.any(|value| Some(value) == found)
    })
}

/// What a wanted item is known by.
fn source(places: &Places, item: &Json) -> Option<String> {
    if places.of.is_some() {
        return item.get("$remote")?.get(1).map(plain);
    }
    let text = item.get(places.source.as_deref()?)?.as_str().filter(|t| !t.is_empty())?;
    Some(blake3::hash(text.as_bytes()).to_hex()[..HASH_CHARS].to_owned())
}

/// So much of a hash tells the sources of one list apart.
const HASH_CHARS: usize = 16;

/// The wanted list: one reference alone is a list of one.
fn wanted(places: &Places, value: &Json) -> Vec<(String, Json)> {
    let items = match value {
        Json::Array(items) => items.clone(),
        Json::Null => Vec::new(),
        one => vec![one.clone()],
    };
    let mut seen = BTreeSet::new();
    let known = items.into_iter().filter_map(|item| Some((source(places, &item)?, item)));
    known.filter(|(source, _)| seen.insert(source.clone())).collect()
}

pub(super) fn compare(
    places: &Places,
    object: &Object,
    row: &str,
    value: &Json,
    now: &str,
) -> Found {
    let noted = notes(&object.shadow, row);
    if noted.sent.as_ref().is_some_and(|sent| !sent.never_came(now)) {
        return Found::Unsure;
    }
    let unread = object.remote.is_some() && !object.shadow.contains_key(row);
    if places.stays.is_some() && unread {
        return Found::Unsure;
    }
    let shown = shown(&object.shadow, row);
    let here = ids(&shown);
    let wanted = wanted(places, value);
    let stands = |own: &&Own| own.id.as_ref().is_none_or(|id| here.contains(id));
    let is_there = |source: &String| {
        let own = noted.own.iter().filter(stands).any(|own| own.source == *source);
        own || (places.of.is_some() && here.contains(source))
    };
    let absent = wanted.iter().map(|(source, _)| source).filter(|s| !is_there(s));
    let mut join: Vec<String> = absent.cloned().collect();
    let later = join.split_off(join.len().min(places.at_once));
    let unwanted = |own: &&Own| wanted.iter().all(|(source, _)| *source != own.source);
    let gone = noted.own.iter().filter(stands).filter(unwanted).filter_map(|own| own.id.clone());
    let leave: Vec<String> = gone.collect();
    let whole = match &places.stays {
        Some(_) => whole(places, &noted, &shown, &wanted, &join),
        None => Vec::new(),
    };
    let moved = places.source.is_some()
        && places.stays.is_some()
        && !whole.iter().flatten().eq(here.iter());
    if join.is_empty() && leave.is_empty() && !moved {
        return complaint(places, &noted, &shown, &wanted);
    }
    // One thing at a time: what is refused must not have been half done. A list is replaced at once.
    let both = places.of.is_some() || join.is_empty() || places.stays.is_some();
    let leave = if both { leave } else { Vec::new() };
    let known = places.of.is_some();
    let row = row.into();
    let quiet = places.quiescence_seconds;
    Found::Differs(Change { row, join, leave, before: here, known, whole, later, quiet })
}

/// The list that replaces the one that is shown.
fn whole(
    places: &Places,
    noted: &Noted,
    shown: &[Json],
    wanted: &[(String, Json)],
    join: &[String],
) -> Vec<Option<String>> {
    let here = &ids(shown);
    let own = |id: &String| noted.own.iter().any(|own| own.id.as_ref() == Some(id));
    let mut ours = wanted.iter().filter_map(|(source, _)| {
        if join.contains(source) {
            return Some(places.of.as_ref().map(|_| source.clone()));
        }
        let known = noted.own.iter().find(|own| own.source == *source)?;
        known.id.clone().filter(|id| here.contains(id)).map(Some)
    });
    let mut out = Vec::new();
    for id in here {
        if own(id) {
            out.extend(ours.next());
        } else {
            out.push(Some(id.clone()));
        }
    }
    out.extend(ours);
    // What the remote put there for want of anything else, unless it is wanted.
    let filler = shown.iter().filter(|one| one.get("filler").is_some());
    let filler: Vec<Option<String>> = filler
        .map(|one| one.get("id").map(plain))
        .filter(|id| !id.as_ref().is_some_and(own))
        .filter(|id| {
            !wanted.iter().any(|(source, _)| places.of.is_some() && id.as_ref() == Some(source))
        })
        .collect();
    if out.iter().any(|one| !filler.contains(one)) {
        out.retain(|one| !filler.contains(one));
    }
    out
}

/// What the remote could not do with one of ours, in a sentence; or that it is at it still.
fn complaint(places: &Places, noted: &Noted, shown: &[Json], wanted: &[(String, Json)]) -> Found {
    let mut open = false;
    for own in &noted.own {
        let of = |one: &&Json| own.id.is_some() && one.get("id").map(plain) == own.id;
        let Some(place) = shown.iter().find(of) else { continue };
        open |= place.get("open").is_some();
        let Some(wrong) = place.get("wrong") else { continue };
        let item = wanted.iter().find(|(source, _)| *source == own.source);
        let name = item.and_then(|(_, item)| item.get(places.source.as_deref()?).map(plain));
        let reason = format!("{} could not be taken: {}", name.unwrap_or_default(), plain(wrong));
        return Found::Waits(Wait { kind: WaitKind::Held, reason });
    }
    if open {
        let reason = "the remote is still at work on what was sent".to_owned();
        return Found::Waits(Wait { kind: WaitKind::Later, reason });
    }
    Found::Nothing
}

/// The canonical items that a change sends.
pub(super) fn sent(places: &Places, change: &Change, value: &Json) -> Json {
    let items = wanted(places, value).into_iter().filter(|(s, _)| change.join.contains(s));
    items.map(|(_, item)| item).collect()
}

/// The canonical value without what a later write sends.
pub(super) fn reached(places: &Places, change: &Change, value: &Json) -> Json {
    if change.later.is_empty() {
        return value.clone();
    }
    let items = wanted(places, value).into_iter().filter(|(s, _)| !change.later.contains(s));
    items.map(|(_, item)| item).collect()
}

/// Puts into a payload what is joined by its id, and what leaves.
pub(super) fn write(
    row: &Row,
    change: &Change,
    remote: Option<&str>,
    payload: &mut Json,
    env: &Env<'_>,
) -> Result<(), String> {
    let Some(places) = &row.places else { return Ok(()) };
    if let Some(stays) = &places.stays {
        return replace(stays, change, remote, payload, env);
    }
    for (said, ids) in [(&places.join, &change.join), (&places.leave, &change.leave)] {
        let Some(said) = said.as_ref().filter(|_| !ids.is_empty()) else { continue };
        let items = ids.iter().filter_map(|id| item(said, id, remote, env)).collect();
        say(said, items, payload, env)?;
    }
    Ok(())
}

fn item(said: &Said, id: &str, remote: Option<&str>, env: &Env<'_>) -> Option<Json> {
    let mut vars = env.vars.clone();
    vars.extend(remote.map(|id| ("id".to_owned(), json!(id))));
    vars.insert("place".to_owned(), id_json(id));
    render(&said.item, &vars)
}

fn say(said: &Said, items: Vec<Json>, payload: &mut Json, env: &Env<'_>) -> Result<(), String> {
    said.at.write(payload, Json::Array(items), env).map_err(|e| e.to_string())?;
    for (name, constant) in said.set.as_object().into_iter().flatten() {
        payload[name.as_str()] = constant.clone();
    }
    Ok(())
}

/// The whole list: what stays by its id, and between them what is new, as the row's list says it.
fn replace(
    stays: &Said,
    change: &Change,
    remote: Option<&str>,
    payload: &mut Json,
    env: &Env<'_>,
) -> Result<(), String> {
    let new = stays.at.read(payload, env);
    let mut new = new.as_ref().and_then(Json::as_array).into_iter().flatten().cloned();
    let mut items = Vec::with_capacity(change.whole.len());
    for one in &change.whole {
        let said = match one {
            Some(id) => item(stays, id, remote, env),
            None => new.next(),
        };
        // A list with a hole in it would take out what it does not say.
        items.push(said.ok_or("one of the list cannot be said")?);
    }
    say(stays, items, payload, env)
}

/// Before a write leaves: what it sends is noted, so that it is not sent twice whatever happens.
/// `after`: what time it is so many seconds from now.
pub fn leaves(object: &mut Object, changes: &[Change], since: Seq, after: impl Fn(u64) -> String) {
    for change in changes.iter().filter(|c| c.asks()) {
        let mut noted = notes(&object.shadow, &change.row);
        let (sources, before) = (change.join.clone(), change.before.clone());
        let until = (change.quiet > 0).then(|| after(change.quiet));
        noted.sent = Some(Sent { since, sources, before, until, missed: false });
        put(&mut object.shadow, &change.row, &noted);
    }
}

/// It was proven not to have arrived.
pub fn came_back(object: &mut Object, changes: &[Change]) {
    for change in changes {
        let mut noted = notes(&object.shadow, &change.row);
        noted.sent = None;
        put(&mut object.shadow, &change.row, &noted);
    }
}

/// It arrived. `told`: the shadow is what the answer showed.
pub fn arrived(object: &mut Object, changes: &[Change], told: bool, since: Seq) {
    for change in changes {
        let mut noted = notes(&object.shadow, &change.row);
        let left = |own: &Own| own.id.as_ref().is_some_and(|id| change.leave.contains(id));
        noted.own.retain(|own| !left(own));
        if change.known {
            let joined =
                change.join.iter().map(|id| Own { source: id.clone(), id: Some(id.clone()) });
            noted.own.extend(joined);
            put(&mut object.shadow, &change.row, &noted);
            continue;
        }
        let (sources, before) = (change.join.clone(), change.before.clone());
        // It was answered: what is not shown by then does not come any more.
        let sent = Sent { since, sources, before, until: None, missed: false };
        noted.sent = (!change.join.is_empty()).then_some(sent);
        if told {
            found_out(&mut noted, &ids(&shown(&object.shadow, &change.row)));
        }
        put(&mut object.shadow, &change.row, &noted);
    }
}

/// A read says what came of what was sent before it was asked.
pub(super) fn observed(shadow: &mut Flat<RowKey, Json>, asked: Seq) {
    let rows: Vec<RowKey> = match shadow.get(PLACES_ROW).and_then(Json::as_object) {
        Some(all) => all.keys().map(RowKey::from).collect(),
        None => return,
    };
    for row in rows {
        let mut noted = notes(shadow, &row);
        if noted.sent.as_ref().is_some_and(|sent| asked >= sent.since) {
            found_out(&mut noted, &ids(&shown(shadow, &row)));
            put(shadow, &row, &noted);
        }
    }
}

fn found_out(noted: &mut Noted, shown: &[String]) {
    let Some(sent) = noted.sent.take() else { return };
    let mine = |id: &&String| noted.own.iter().any(|own| own.id.as_ref() == Some(id));
    let new: Vec<String> =
        shown.iter().filter(|id| !sent.before.contains(id) && !mine(id)).cloned().collect();
    if new.is_empty() {
        noted.sent = sent.until.is_some().then_some(Sent { missed: true, ..sent });
        return;
    }
    let which = new.len() == sent.sources.len();
    for (n, source) in sent.sources.into_iter().enumerate() {
        noted.own.retain(|own| own.source != source);
        noted.own.push(Own { source, id: new.get(n).filter(|_| which).cloned() });
    }
}

#[cfg(test)]
mod tests;
