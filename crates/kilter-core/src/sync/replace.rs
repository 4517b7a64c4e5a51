//! Replace: what stands where it should not, or in the way of another, and cannot be changed there,
//! goes; what should be there is made anew.
//!
//! Reads   objects, where they stand, what a person or the connection says of it.
//! Writes  the mark that one stands in the way; a tombstone, the seat that follows, who waited.
//! Never   deletes by itself: a person, or `replace = "always"`, says so first.
//!
//! | what it is                                  | until somebody says so                     |
//! |---------------------------------------------|--------------------------------------------|
//! | shown under another parent than its record's | goes on where it stands; the move is held  |
//! | left, and a newcomer's key is held by it    | held; the newcomer is parked               |

use serde_json::json;

use crate::Json;
use crate::config::{Owner, Replace};
use crate::manifest::Kind;
use crate::model::{Object, ObjectId, RecordId, Seq, State, Text, Wait, WaitKind};
use crate::sync::house::{House, View};
use crate::sync::mark::{WAITS_ON, mark_if_written};
use crate::sync::plan::{Changed, Operation, Plan};
use crate::sync::words;
use crate::sync::world::{Key, World};
use crate::sync::{existence, seat};

/// `[word, for]`: it stands in the way, or what a person said of it, and for which parent.
pub const REPLACE_ROW: &str = "~replace";

const ASKED: &str = "asked";
pub const REPLACE: &str = "replace";
pub const LEAVE: &str = "leave";

/// Where a live object stands, though its record says another place.
pub(super) struct Moved {
    pub shown: String,
    /// The id of the parent that it should have. None: that one is not there yet.
    pub wanted: Option<String>,
    should: RecordId,
}

/// Is it shown under another parent than its record names?
pub(super) fn moved(view: &View<'_>, world: &mut World, object: &Object) -> Option<Moved> {
    let parent = view.resource.parent.as_ref()?;
    let shown = shown_parent(view, object)?;
    let facet = view.resource.facets.iter().find(|f| f.name == parent.facet)?;
    let should = seat::facet_record(view, world, object.root?, facet)?;
    let there = world.object_of_root(&view.connection.name, &parent.resource, should);
    let wanted =
        there.and_then(|id| world.object(id)).and_then(|o| o.remote.as_deref().map(str::to_owned));
    (wanted.as_ref() != Some(&shown)).then_some(Moved { shown, wanted, should })
}

/// What follows for one that moved: it goes now (Ok), or goes on where it stands, and why (Err).
pub(super) fn place(
    view: &View<'_>,
    world: &mut World,
    object: &Object,
    moved: &Moved,
) -> Result<Plan, Option<Wait>> {
    let name = &view.connection.name;
    let should = called(view, world, Some(moved.should));
    let Some(wanted) = &moved.wanted else {
        let reason = format!("waits for its {} in {name}: {should} is not there yet", facet(view));
        return Err(Some(Wait { kind: WaitKind::Parked, reason }));
    };
    let can = deletes(view);
    if can && allowed(view, object, wanted) {
        return Ok(Plan::Write(delete(object, Some(moved.shown.clone()))));
    }
    if says(object, LEAVE, wanted) {
        return Err(None);
    }
    let parent = view.resource.parent.as_ref().map_or("", |p| p.resource.as_str());
    let collection = view.connector.resource(parent).map_or("", |r| r.collection.as_str());
    let at = world.object_by_remote(name, collection, &moved.shown);
    let at = at.and_then(|id| world.object(id)).and_then(|o| o.root);
    let (sku, stands) = (called(view, world, object.root), called(view, world, at));
    let way = if can {
        format!(
            "{name} cannot move it. It can be deleted there and made anew under a new id: \
             \"kilter decide {0} replace\", or \"kilter decide {0} leave\"",
            object.id
        )
    } else {
        format!("{name} cannot move it: move it there by hand")
    };
    let reason =
        format!("{sku} belongs to {should} now, and in {name} it stands under {stands}; {way}");
    Err(Some(Wait { kind: WaitKind::Held, reason }))
}

/// How the people of this connection call a record.
fn called(view: &View<'_>, world: &mut World, id: Option<RecordId>) -> String {
    let record = id.and_then(|id| world.record(id));
    let locale = view.connection.locale.as_deref().unwrap_or_default();
    let title = record.and_then(|r| r.value("title", locale)).and_then(Json::as_str);
    let title =
        title.filter(|_| record.is_some_and(|r| r.key.as_deref().is_none_or(str::is_empty)));
    title.or_else(|| record.and_then(words::named)).unwrap_or("another").to_owned()
}

fn facet<'v>(view: &View<'v>) -> &'v str {
    view.resource.parent.as_ref().map_or("parent", |p| p.facet.as_str())
}

/// What left and stands in the way of a newcomer. None: nobody asked for its place.
pub(super) fn out_of_the_way(view: &View<'_>, world: &mut World, object: &Object) -> Option<Plan> {
    if !object.shadow.contains_key(REPLACE_ROW) || !deletes(view) {
        return None;
    }
    if allowed(view, object, "") {
        let parent = shown_parent(view, object);
        return Some(Plan::Write(delete(object, parent)));
    }
    if says(object, LEAVE, "") {
        return Some(Plan::Nothing);
    }
    if !needed(world, object) {
        return None;
    }
    let called = called(view, world, object.root);
    let (name, id) = (&view.connection.name, object.id);
    let remote = object.remote.clone().unwrap_or_default();
    let reason = format!(
        "{called} is no longer sold as it was, and in {name} its old page, {remote}, still holds the \
         SKU that the new one needs: \"kilter decide {id} replace\" deletes the old page there, with \
         its reviews, and makes the new one; \"kilter decide {id} leave\" keeps it"
    );
    Some(Plan::Wait(Wait { kind: WaitKind::Held, reason }, None))
}

/// The parent that an object was last shown under, where its resource tells.
pub fn shown_parent(view: &View<'_>, object: &Object) -> Option<String> {
    let row = view.resource.parent.as_ref()?.shown.as_ref()?;
    Some(object.shadow.get(row.as_str())?.get("$remote")?.get(1)?.as_str()?.to_owned())
}

/// The object of ours that left and holds what a refusal says that somebody holds. Marks it.
pub fn in_the_way(
    view: &View<'_>,
    world: &mut World,
    seat: &Object,
    holder: &str,
    (seq, now): (Seq, &str),
) -> Option<ObjectId> {
    for record in shown(seat) {
        for id in world.ids(&Key::ObjectsShowing(record)) {
            let Some(other) = world.object(id).cloned() else { continue };
            let here = other.connection == seat.connection && id != seat.id;
            let left = other.state == State::Left && other.remote.as_deref() == Some(holder);
            let theirs = view.house.view(&other.connection, &other.resource);
            if !here || !left || !theirs.is_some_and(|v| deletes(&v)) {
                continue;
            }
            let mut other = other;
            other.shadow.entry(REPLACE_ROW.into()).or_insert_with(|| json!([ASKED, ""]));
            world.put_object(other);
            mark_if_written(view.house, world, id, now);
            ask_owner(view, world, seat, seq);
            return Some(id);
        }
    }
    None
}

/// Who needs another's place may be gone where it comes from, and nobody told us: it is looked at.
fn ask_owner(view: &View<'_>, world: &mut World, seat: &Object, seq: Seq) {
    let own = view.house.config.ownership.existence(&view.resource.root);
    let (Some(Owner::Connection(owner)), Some(root)) = (own.map(|o| &o.owner), seat.root) else {
        return;
    };
    for id in world.ids(&Key::ObjectsOfRoot(owner.as_str().into(), root)) {
        let Some(mut object) = world.object(id).filter(|o| o.state == State::Live).cloned() else {
            continue;
        };
        object.look = object.look.max(Some(seq));
        world.put_object(object);
    }
}

/// Does a newcomer still wait for the place of what left?
fn needed(world: &mut World, object: &Object) -> bool {
    shown(object).into_iter().any(|record| {
        world.ids(&Key::ObjectsShowing(record)).into_iter().any(|id| {
            let waits = |o: &Object| {
                o.connection == object.connection
                    && o.state == State::Seat
                    && o.remote.is_none()
                    && o.bindings.contains_key(WAITS_ON)
            };
            world.object(id).is_some_and(waits)
        })
    })
}

/// It was deleted: its row stays as a tombstone, so that no read asked before brings it back; whoever
/// should stand there takes a seat; who waited for its place looks again.
pub fn deleted(view: &View<'_>, world: &mut World, id: ObjectId, settled: Seq, now: &str) {
    let Some(object) = world.object(id).cloned() else { return };
    let shown = shown(&object);
    // What stood below it went with it, and may belong there again by now.
    let mut below = Vec::new();
    for child in existence::children(view.house, world, id) {
        let known = world.object(child).filter(|o| o.remote.is_some());
        below.extend(known.and_then(|o| Some((o.resource.clone(), o.root?))));
        bury(world, child, settled);
    }
    bury(world, id, settled);
    if let Some(root) = object.root {
        seat::consider(view, world, root, now);
    }
    for (resource, root) in below {
        if let Some(view) = view.house.view(&object.connection, &resource).filter(View::creates) {
            seat::consider(&view, world, root, now);
        }
    }
    freed(view.house, world, &object, &shown, now);
}

fn bury(world: &mut World, id: ObjectId, settled: Seq) {
    let Some(object) = world.object(id).filter(|o| o.remote.is_some()).cloned() else { return };
    let mut tomb = Object::seat(id, &object.connection, &object.resource, &object.collection);
    (tomb.remote, tomb.state) = (object.remote, State::Gone);
    (tomb.settled, tomb.asked) = (settled, object.asked);
    world.put_object(tomb);
}

/// Its place is free, whoever deleted it: who waited for that looks again.
pub fn freed(house: &House, world: &mut World, object: &Object, shown: &[RecordId], now: &str) {
    for record in shown {
        for other in world.ids(&Key::ObjectsShowing(*record)) {
            let parked = |o: &Object| {
                o.connection == object.connection
                    && o.wait.as_ref().is_some_and(|w| w.kind == WaitKind::Parked)
            };
            if world.object(other).is_some_and(parked) {
                mark_if_written(house, world, other, now);
            }
        }
    }
}

/// The records that stand at an object.
pub fn shown(object: &Object) -> Vec<RecordId> {
    object.bindings.values().copied().chain(object.root).collect()
}

/// A person said that it goes, and it is gone, by whoever's hand.
pub(super) fn is_meant(object: &Object) -> bool {
    let said = object.shadow.get(REPLACE_ROW).and_then(|said| said.get(0));
    said.and_then(Json::as_str) == Some(REPLACE)
}

/// What a person says: it goes, or it stays. False: nobody asked.
pub fn decide(view: &View<'_>, world: &mut World, object: &mut Object, word: &str) -> bool {
    let wanted = match object.state {
        State::Left if object.shadow.contains_key(REPLACE_ROW) => String::new(),
        State::Live => match moved(view, world, object).and_then(|m| m.wanted) {
            Some(wanted) => wanted,
            None => return false,
        },
        _ => return false,
    };
    object.shadow.insert(REPLACE_ROW.into(), json!([word, wanted]));
    true
}

/// A seat that waits until another object is out of its way.
pub fn waits(seat: &mut Object, connection: &str, holder: &str, root: Option<RecordId>) {
    let reason = format!("waits until {holder} is out of its way in {connection}");
    seat.due = None;
    seat.wait = Some(Wait { kind: WaitKind::Parked, reason });
    if let Some(root) = root {
        seat.bindings.insert(WAITS_ON.into(), root);
    }
}

fn says(object: &Object, word: &str, wanted: &str) -> bool {
    object.shadow.get(REPLACE_ROW) == Some(&json!([word, wanted]))
}

fn allowed(view: &View<'_>, object: &Object, wanted: &str) -> bool {
    let policy = view.connection.replace_policy(&view.resource.root);
    says(object, REPLACE, wanted) || (policy == Replace::Always && !says(object, LEAVE, wanted))
}

fn deletes(view: &View<'_>) -> bool {
    view.resource.writes.iter().any(|w| w.kinds.contains(&Kind::Delete))
}

fn delete(object: &Object, parent: Option<String>) -> Operation {
    let remote = object.remote.as_deref().map(str::to_owned);
    let field = Changed {
        row: REPLACE_ROW.into(),
        old: remote.as_deref().map(Json::from),
        new: Json::Null,
        by: Text::default(),
        change: 0,
    };
    Operation {
        object: object.id,
        kind: Kind::Delete,
        fields: vec![field],
        payload: json!({}),
        id: remote,
        each: String::new(),
        above: parent.clone(),
        parent: parent.map(Json::String),
        partial: None,
        carried: Vec::new(),
        places: Vec::new(),
    }
}
