//! Places: which items of a remote's list are ours, so that one is sent once and no other is dropped.
//!
//! Reads   a row with `places`, what is wanted, what the remote shows.   Writes  the object's own notes.
//! Never   sends one again while nobody knows what came of it, nor takes out what it did not put in.
//!
//! ```text
//! wanted, and not there        → sent: noted before it leaves          (of: joined, the same twice)
//! the next read shows as many  → theirs are the ids, in their order
//!                 shows none   → it was not done, and is sent again
//!                 shows others → somebody was there too: ours are sent, and nobody knows which
//! ours, and not wanted         → taken out, by its id
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Json;
use crate::manifest::parts::fits;
use crate::manifest::{Places, Row, plain, render};
use crate::mapping::Env;
use crate::model::{Flat, Object, RowKey, Seq, Wait, WaitKind};
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
        out.push(place);
    }
    Ok(Some(Json::Array(out)))
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

pub(super) fn compare(places: &Places, object: &Object, row: &str, value: &Json) -> Found {
    let noted = notes(&object.shadow, row);
    if noted.sent.is_some() {
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
    let join: Vec<String> = absent.cloned().collect();
    let unwanted = |own: &&Own| wanted.iter().all(|(source, _)| *source != own.source);
    let gone = noted.own.iter().filter(stands).filter(unwanted).filter_map(|own| own.id.clone());
    let leave: Vec<String> = gone.collect();
    if join.is_empty() && leave.is_empty() {
        return complaint(places, &noted, &shown, &wanted);
    }
    // One thing at a time: what is refused must not have been half done.
    let both = places.of.is_some() || join.is_empty();
    let leave = if both { leave } else { Vec::new() };
    let known = places.of.is_some();
    Found::Differs(Change { row: row.into(), join, leave, before: here, known })
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

/// Puts into a payload what is joined by its id, and what leaves.
pub(super) fn write(
    row: &Row,
    change: &Change,
    remote: Option<&str>,
    payload: &mut Json,
    env: &Env<'_>,
) -> Result<(), String> {
    let Some(places) = &row.places else { return Ok(()) };
    for (said, ids) in [(&places.join, &change.join), (&places.leave, &change.leave)] {
        let Some(said) = said.as_ref().filter(|_| !ids.is_empty()) else { continue };
        let mut vars = env.vars.clone();
        vars.extend(remote.map(|id| ("id".to_owned(), json!(id))));
        let mut items = Vec::with_capacity(ids.len());
        for id in ids {
            vars.insert("place".to_owned(), json!(id));
            items.extend(render(&said.item, &vars));
        }
        said.at.write(payload, Json::Array(items), env).map_err(|e| e.to_string())?;
        for (name, constant) in said.set.as_object().into_iter().flatten() {
            payload[name.as_str()] = constant.clone();
        }
    }
    Ok(())
}

/// Before a write leaves: what it sends is noted, so that it is not sent twice whatever happens.
pub fn leaves(object: &mut Object, changes: &[Change], since: Seq) {
    for change in changes.iter().filter(|c| c.asks()) {
        let mut noted = notes(&object.shadow, &change.row);
        let (sources, before) = (change.join.clone(), change.before.clone());
        noted.sent = Some(Sent { since, sources, before });
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
        noted.sent = (!change.join.is_empty()).then_some(Sent { since, sources, before });
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
        return;
    }
    let which = new.len() == sent.sources.len();
    for (n, source) in sent.sources.into_iter().enumerate() {
        noted.own.retain(|own| own.source != source);
        noted.own.push(Own { source, id: new.get(n).filter(|_| which).cloned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{Lens, Path};

    const ROW: &str = "product.images";

    fn places(of: bool) -> Places {
        Places {
            at: Path::parse("media").unwrap(),
            id: Lens::parse("id | id").unwrap(),
            source: (!of).then(|| "url".to_owned()),
            of: of.then(|| "collections".to_owned()),
            open: Vec::new(),
            failed: Vec::new(),
            wrong: None,
            join: None,
            leave: None,
        }
    }

    fn wants(urls: &[&str]) -> Json {
        urls.iter().map(|url| json!({ "url": url })).collect()
    }

    fn shows(object: &mut Object, ids: &[&str]) {
        let list: Json = ids.iter().map(|id| json!({ "id": id })).collect();
        object.shadow.insert(ROW.into(), list);
    }

    fn change(places: &Places, object: &Object, wanted: &Json) -> Change {
        match compare(places, object, ROW, wanted) {
            Found::Differs(change) => change,
            Found::Nothing => panic!("nothing differs"),
            Found::Unsure => panic!("it must be asked first"),
            Found::Waits(wait) => panic!("{}", wait.reason),
        }
    }

    fn rests(places: &Places, object: &Object, wanted: &Json) -> bool {
        matches!(compare(places, object, ROW, wanted), Found::Nothing)
    }

    #[test]
    fn one_is_sent_once_and_what_is_not_ours_is_never_taken_out() {
        let (places, mut object) = (places(false), Object::seat(1, "x", "images", "images"));
        shows(&mut object, &["theirs"]);
        let first = change(&places, &object, &wants(&["a", "b"]));
        assert_eq!(sent(&places, &first, &wants(&["a", "b"])), wants(&["a", "b"]));
        shows(&mut object, &["theirs", "1", "2"]);
        arrived(&mut object, &[first], true, 5);
        assert!(rests(&places, &object, &wants(&["a", "b"])));

        // One thing at a time: what is new is put in, then what is not wanted goes.
        let second = change(&places, &object, &wants(&["b", "c"]));
        assert_eq!((second.join.len(), second.leave.len()), (1, 0));
        shows(&mut object, &["theirs", "1", "2", "3"]);
        arrived(&mut object, &[second], true, 6);
        let third = change(&places, &object, &wants(&["b", "c"]));
        assert_eq!((third.join.len(), third.leave.as_slice()), (0, &["1".to_owned()][..]));
        shows(&mut object, &["theirs", "2", "3"]);
        arrived(&mut object, &[third], true, 7);
        assert!(rests(&places, &object, &wants(&["b", "c"])));
        let all = change(&places, &object, &wants(&[]));
        assert_eq!(all.leave, ["2", "3"], "theirs is not among them");
    }

    #[test]
    fn while_nobody_knows_what_came_of_it_nothing_is_sent_again() {
        let (places, wanted) = (places(false), wants(&["a"]));
        let mut object = Object::seat(1, "x", "images", "images");
        shows(&mut object, &["theirs"]);
        let sent = change(&places, &object, &wanted);
        leaves(&mut object, std::slice::from_ref(&sent), 9);
        assert!(matches!(compare(&places, &object, ROW, &wanted), Found::Unsure));
        // A read that was asked before says nothing of it.
        observed(&mut object.shadow, 8);
        assert!(matches!(compare(&places, &object, ROW, &wanted), Found::Unsure));

        let lost = object.clone();
        observed(&mut object.shadow, 9);
        assert_eq!(change(&places, &object, &wanted), sent, "it was not done: once more");

        let mut object = lost;
        shows(&mut object, &["theirs", "1"]);
        observed(&mut object.shadow, 9);
        assert!(rests(&places, &object, &wanted), "it was done, and its answer lost");
        assert_eq!(change(&places, &object, &wants(&[])).leave, ["1"]);
    }

    #[test]
    fn where_somebody_was_there_at_the_same_time_ours_is_sent_and_never_taken_out() {
        let (places, wanted) = (places(false), wants(&["a"]));
        let mut object = Object::seat(1, "x", "images", "images");
        shows(&mut object, &[]);
        let sent = change(&places, &object, &wanted);
        leaves(&mut object, &[sent], 9);
        shows(&mut object, &["1", "2"]);
        observed(&mut object.shadow, 9);
        assert!(rests(&places, &object, &wanted));
        assert!(rests(&places, &object, &wants(&[])), "which of the two is ours, nobody knows");
    }

    #[test]
    fn what_was_refused_may_be_sent_again() {
        let (places, wanted) = (places(false), wants(&["a"]));
        let mut object = Object::seat(1, "x", "images", "images");
        shows(&mut object, &[]);
        let sent = change(&places, &object, &wanted);
        leaves(&mut object, std::slice::from_ref(&sent), 9);
        came_back(&mut object, std::slice::from_ref(&sent));
        assert_eq!(change(&places, &object, &wanted), sent);
        assert!(!object.shadow.contains_key(PLACES_ROW));
    }

    #[test]
    fn what_refers_is_joined_by_its_id_and_only_where_we_put_it_is_left() {
        let (places, mut object) = (places(true), Object::seat(1, "x", "m", "m"));
        let of = |id: &str| json!({ "$remote": ["collections", id] });
        shows(&mut object, &["sale", "old"]);
        let first = change(&places, &object, &of("new"));
        assert_eq!((first.join.as_slice(), first.leave.len()), (&["new".to_owned()][..], 0));
        shows(&mut object, &["sale", "old", "new"]);
        arrived(&mut object, &[first], true, 5);
        assert!(rests(&places, &object, &of("new")));
        let second = change(&places, &object, &of("next"));
        assert_eq!(
            (second.join.as_slice(), second.leave.as_slice()),
            (&["next".to_owned()][..], &["new".to_owned()][..])
        );
        // Where somebody else put it, it is; ours goes.
        let third = change(&places, &object, &of("sale"));
        assert_eq!((third.join.len(), third.leave.as_slice()), (0, &["new".to_owned()][..]));
    }
}
