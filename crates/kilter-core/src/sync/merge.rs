//! Merge: what a remote said becomes what is true, field by field, by ownership.
//!
//! Reads   a change, understood (`project`); the world.
//! Writes  records, objects, bindings, due marks, sold lines – in the world only.
//! Never   takes a field that the connection does not own, nor believes a read that was asked
//!         before our own last write.
//!
//! ```text
//! stale read            → filtered, look again       same as the shadow  → unchanged
//! older webhook         → filtered, look again       a field that is not its own and differs → drift: due
//! no record for its key → born here, or kept unmatched until one comes
//! ```

use crate::model::{Change, End, Object, ObjectId, Rows, State, Via};
use crate::sync::document::birth;
use crate::sync::house::{BIRTH_ROW, DECIDED_ROW, House, PLACES_ROW, ROUNDED_ROW, STATE_ROW, View};
use crate::sync::mark::{self, mark_object};
use crate::sync::places;
use crate::sync::plan::ARCHIVED_ROW;
use crate::sync::project::Projected;
use crate::sync::replace::REPLACE_ROW;
use crate::sync::seat;
use crate::sync::sold;
use crate::sync::spread;
use crate::sync::take::{Said, find_root, give_way, take};
use crate::sync::unseen::{self, UNSEEN_ROW};
use crate::sync::world::World;

/// Merges one understood change. Run it between `begin_step` and a check of `missing`.
pub fn merge(house: &House, world: &mut World, change: &Change, item: &Projected) -> End {
    let Some(view) = house.view(&change.connection, &item.resource) else {
        return End::Filtered("no resource takes it".into());
    };
    let (mut object, known) = find(&view, world, change, item);
    if view.resource.facets.is_empty() {
        return hinted(world, object, item);
    }
    let rows = shown(&object, change, item);
    if let Some(end) = refuse_old(&view, &mut object, change, item, &rows) {
        if known {
            world.put_object(object);
        }
        return end;
    }
    if let Some(reason) = unreadable(&view, item) {
        return End::Dead(reason);
    }
    numbered(world, &mut object);
    let same = known
        && object.root.is_some()
        && matches!(object.state, State::Live | State::Left)
        && object.shadow == rows
        && object.resource == item.resource;
    object.asked = object.asked.max(change.asked);
    look_again(&mut object, change, item);
    let id = object.id;
    if same {
        object.version = item.version.clone().or(object.version);
        unseen::read(&mut object);
        world.put_object(object);
        sold::figure_read(&view, world, change, item);
        sold::document_read(&view, world, id, change);
        return End::Unchanged;
    }
    let reached = object.state != State::Live;
    // Also where a refusal or a person said its id, and nothing has been read of it yet.
    let adopted = (object.remote.is_none() || object.state == State::Seat) && object.root.is_some();
    // What it showed was taken when it was read: a word that is the same is not taken either.
    let taken = !adopted && !reached && object.root.is_some() && object.resource == item.resource;
    let moved = object.shadow.get(STATE_ROW) != rows.get(STATE_ROW);
    let opened = spread::moved(&view, &object, &rows);
    object.resource.clone_from(&item.resource);
    object.remote = Some(item.remote.clone());
    object.version = item.version.clone().or(object.version);
    let before = std::mem::replace(&mut object.shadow, rows);
    fell(&view, &mut object, &before, change);
    let was = (known && taken).then_some(before);
    if adopted && view.resource.lifecycle.is_some() {
        born(world, &mut object);
    }
    // A document never leaves once it is there: it was withdrawn while its create was on its way.
    if reached && (object.state != State::Left || (adopted && is_document(&view))) {
        object.state = State::Live;
        object.wait = None;
    }
    let writes = !view.resource.writes.is_empty() && change.via != Via::Answer;
    if writes || view.resource.lifecycle.is_some() {
        mark_object(&mut object, &change.at, view.resource.lane);
    }
    world.put_object(object);
    take(&view, world, id, &Said { change: change.seq, at: &change.at }, was.as_ref());
    if adopted {
        mark::object_bound(house, world, id, &change.at);
    }
    moved_on(&view, world, id, change, (opened, moved));
    sold::figure_read(&view, world, change, item);
    sold::document_read(&view, world, id, change);
    End::Merged
}

/// What is open of it, or its state, is another: what is part of it looks again.
fn moved_on(
    view: &View<'_>,
    world: &mut World,
    id: ObjectId,
    change: &Change,
    (opened, moved): (bool, bool),
) {
    if opened {
        mark::open_moved(view.house, world, id, &change.at);
    }
    if moved {
        mark::state_moved(view.house, world, id, &change.at);
        sold::returned(view, world, id, change);
    }
}

/// What an answer shows is compared where it settles, with what was written.
fn fell(view: &View<'_>, object: &mut Object, before: &Rows, change: &Change) {
    if change.via != Via::Answer {
        let shown = object.shadow.clone();
        unseen::note_fall(view, object, before, &shown, change.seq);
    }
    unseen::read(object);
}

/// A signal that something changed: it is read again.
pub fn hint(world: &mut World, change: &Change) -> End {
    let found = world.object_by_remote(&change.connection, &change.collection, &change.remote);
    let mut object = match found.and_then(|id| world.object(id)) {
        Some(object) => object.clone(),
        None => {
            let id = world.fresh_object();
            let mut object = Object::seat(id, &change.connection, "", &change.collection);
            object.remote = Some(change.remote.clone());
            object
        }
    };
    object.look = Some(change.seq);
    world.put_object(object);
    End::Filtered("a hint: looked at again".into())
}

/// An item that only hints: what it names is looked at, once for each time it changed; itself it
/// is nothing that we keep true.
fn hinted(world: &mut World, mut object: Object, item: &Projected) -> End {
    numbered(world, &mut object);
    let same = object.state == State::Live && object.shadow == item.rows;
    object.resource.clone_from(&item.resource);
    object.remote = Some(item.remote.clone());
    object.state = State::Live;
    object.shadow.clone_from(&item.rows);
    object.look = None;
    world.put_object(object);
    if same { End::Unchanged } else { End::Filtered("it only hints".into()) }
}

fn find(view: &View<'_>, world: &mut World, change: &Change, item: &Projected) -> (Object, bool) {
    let found = world.object_by_remote(&change.connection, &change.collection, &item.remote);
    let found = found.and_then(|id| world.object(id)).cloned();
    let known = found.as_ref().is_some_and(|o| o.root.is_some() || is_double(view, world, o));
    let found = match found {
        Some(object) if known => return (object, true),
        found => found,
    };
    // We deleted it ourselves: what was asked before that, or says nothing of when, is not it again.
    let old = change.asked == 0 || found.as_ref().is_some_and(|o| change.asked < o.settled);
    if let Some(tomb) = found.as_ref().filter(|o| o.state == State::Gone && o.settled > 0 && old) {
        return (tomb.clone(), true);
    }
    // A create in flight, seen by someone else before its answer settled, is adopted.
    if let Some(root) = find_root(view, world, item) {
        let seat = world.object_of_root(&change.connection, &item.resource, root);
        let seat = seat.and_then(|id| world.object(id)).filter(|o| o.remote.is_none()).cloned();
        if let Some(mut seat) = seat {
            let (connection, collection) = (&change.connection, &change.collection);
            let known = give_way(world, connection, collection, &item.remote, seat.id);
            seat.look = known.and_then(|known| known.look).or(seat.look);
            return (seat, true);
        }
    }
    if let Some(object) = found {
        return (object, true);
    }
    let resource = view.resource;
    (Object::seat(NOT_YET, &change.connection, &resource.name, &resource.collection), false)
}

/// The number of an object of which it is not known yet whether anything comes of it.
const NOT_YET: ObjectId = 0;

/// Numbers are given to what there is: which ones does not depend on how many changes are merged at a time.
fn numbered(world: &mut World, object: &mut Object) {
    if object.id == NOT_YET {
        object.id = world.fresh_object();
    }
}

/// A document that a read found before its create was answered is what its order is now.
fn born(world: &mut World, object: &mut Object) {
    let record = object.root.and_then(|id| world.record(id));
    if let Some(record) = record.filter(|_| !object.shadow.contains_key(BIRTH_ROW)) {
        object.shadow.insert(BIRTH_ROW.into(), birth(record));
    }
}

fn is_document(view: &View<'_>) -> bool {
    view.house.entities.get(&view.resource.root).is_some_and(|entity| entity.document)
}

/// Another object bears the same key: which of them is meant, a person says.
fn is_double(view: &View<'_>, world: &mut World, object: &Object) -> bool {
    let Some(key) = object.unmatched_key.clone() else { return false };
    seat::unmatched(view, world, &key).iter().any(|other| other.id != object.id)
}

fn refuse_old(
    view: &View<'_>,
    object: &mut Object,
    change: &Change,
    item: &Projected,
    rows: &Rows,
) -> Option<End> {
    if change.via == Via::Answer {
        return None;
    }
    if change.asked > 0 && change.asked < object.settled {
        object.look = Some(change.seq);
        // Not asked before the read that the write was based on: a sale that it shows was written over.
        if change.asked >= object.asked && unseen::figures_differ(view, &object.shadow, rows) {
            object.fell = Some(change.seq);
        }
        return Some(End::Filtered("asked before our last write".into()));
    }
    if change.asked > 0 && change.asked < object.asked {
        return Some(End::Filtered("asked before a newer read".into()));
    }
    let differs = || object.shadow != *rows;
    let known = object.state != State::Seat && (object.state == State::Gone || differs());
    if change.via == Via::Hook && known {
        // Reads are judged by when they were asked; only webhooks by the remote's version.
        let newer = match (&item.version, &object.version) {
            (Some(new), Some(old)) => new > old,
            _ => false,
        };
        if !newer {
            object.look = Some(change.seq);
            return Some(End::Filtered("not newer than what we know: looked at again".into()));
        }
    }
    None
}

/// A look is answered only by a read that left after it was asked for. A read that shows an older
/// version than a webhook did is taken, since it was asked last, and asked again.
fn look_again(object: &mut Object, change: &Change, item: &Projected) {
    let read = matches!(change.via, Via::Page | Via::Read | Via::Sweep);
    if read && object.look.is_none_or(|look| change.asked >= look) {
        let back = matches!((&item.version, &object.version), (Some(new), Some(old)) if new < old);
        object.look = back.then_some(change.seq);
    }
}

fn shadow_of(item: &Projected) -> Rows {
    let mut rows = item.rows.clone();
    for (key, error) in &item.unreadable {
        rows.insert(key.clone(), serde_json::json!({ "$unreadable": error }));
    }
    rows
}

/// The shadow as this change shows it; a read says what came of what was sent before it, too.
fn shown(object: &Object, change: &Change, item: &Projected) -> Rows {
    let mut rows = keep_own(&object.shadow, shadow_of(item));
    if matches!(change.via, Via::Page | Via::Read | Via::Sweep) {
        places::observed(&mut rows, change.asked);
    }
    rows
}

/// Rows that only we keep, in the shadow beside what was read.
pub const OWN_ROWS: [&str; 7] =
    [BIRTH_ROW, ROUNDED_ROW, DECIDED_ROW, PLACES_ROW, REPLACE_ROW, UNSEEN_ROW, ARCHIVED_ROW];

/// They outlive a read.
fn keep_own(before: &Rows, mut rows: Rows) -> Rows {
    for own in OWN_ROWS {
        if let Some(value) = before.get(own) {
            rows.insert(own.into(), value.clone());
        }
    }
    rows
}

/// A row that we would have taken and cannot read: nothing of the object is taken.
fn unreadable(view: &View<'_>, item: &Projected) -> Option<String> {
    if item.unreadable.is_empty() {
        return None;
    }
    let vars = view.vars(&item.each);
    for facet in &view.resource.facets {
        for row in &facet.rows {
            let stand = view.stand(facet, row, &vars);
            let key = &stand.key;
            let error = item.unreadable.iter().find(|(k, _)| k == key);
            let mode = view.mode(&stand, None);
            if let (Some((_, error)), true) = (error, mode.takes || mode.seeds) {
                return Some(format!("failed to read {key} of {}: {error}", item.remote));
            }
        }
    }
    None
}
