//! Plan: desired minus shadow. An empty plan costs no call.
//!
//! Reads   an object, its records, `now`.   Writes  nothing.
//! Never   writes what the connection owns, raises a figure over a sale it may not know of,
//!         or sends what it cannot say.
//!
//! | object | record          | plan                                     |
//! |--------|-----------------|------------------------------------------|
//! | seat   | all it requires | create                                   |
//! | seat   | something lacks | parked, with the name of what it lacks   |
//! | live   | equal           | nothing                                  |
//! | live   | differs         | update of what differs                   |
//! | live   | document        | the next step of its lifecycle, or held  |
//! | live   | another parent  | deleted and made anew, or held (replace) |
//! | left   | –               | archive; deleted where it is in the way  |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::Json;
use crate::manifest::{Call, Facet, Kind, Parent, plain};
use crate::model::{Object, ObjectId, RecordId, RowKey, Seq, State, Text, Wait, WaitKind};
use crate::sync::derive;
use crate::sync::draft::{Draft, draft};
use crate::sync::guards::Guards;
use crate::sync::house::View;
use crate::sync::project::split_remote;
use crate::sync::world::World;
use crate::sync::{carry, lifecycle, places, replace, seat, spread, unseen, whole, words};

#[derive(Debug, Clone)]
pub enum Plan {
    Nothing,
    Write(Operation),
    Step(StepOp),
    /// The object must be read first: a derived figure differs and there is no compare-and-set, or
    /// its orders tell of more than was seen.
    ReadFirst,
    /// What it is a part of must be read first: it closes what is open there.
    ReadAbove(ObjectId),
    /// It is there, as its parent is, under this id: it is read, and planned again.
    Bind(String),
    /// Not now, and why; and the record it waits for.
    Wait(Wait, Option<RecordId>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    pub row: RowKey,
    pub old: Option<Json>,
    pub new: Json,
    /// Who says so, and by which change. Empty and 0 for derived fields.
    pub by: Text,
    pub change: Seq,
}

/// One object's write.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operation {
    pub object: ObjectId,
    pub kind: Kind,
    pub fields: Vec<Changed>,
    pub payload: Json,
    /// The remote's own id; none at create.
    pub id: Option<String>,
    pub each: String,
    /// `$parent`: the parent's id, or what its row says.
    pub parent: Option<Json>,
    /// `$above`: the parent's own remote id, whatever `$parent` is.
    pub above: Option<String>,
    /// Something was left out for now: the object stays due.
    pub partial: Option<Wait>,
    /// Creates of other resources that travel inside this one.
    pub carried: Vec<Carried>,
    /// What it does to lists whose items have ids of their own.
    #[serde(default)]
    pub places: Vec<places::Change>,
}

/// A create inside another's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Carried {
    pub resource: String,
    pub operation: Operation,
}

/// One action of a lifecycle.
#[derive(Debug, Clone)]
pub struct StepOp {
    pub object: ObjectId,
    /// The remote's id of it.
    pub remote: Text,
    pub name: String,
    pub call: Call,
    pub to: String,
    /// So many go by one call.
    pub cap: usize,
    pub extra: BTreeMap<String, Json>,
    /// Written into the shadow before it is sent: it is not planned a second time.
    pub once: Option<(RowKey, Json)>,
    /// Sent again after an answer that got lost, it does the same once.
    pub repeats: bool,
}

pub(super) type Stop = (Wait, Option<RecordId>);

pub(super) fn stop<T>(kind: WaitKind, reason: String, on: Option<RecordId>) -> Result<T, Stop> {
    Err((Wait { kind, reason }, on))
}

/// `fresh_since`: reads asked before this place are too old to write a figure by.
pub fn plan(
    view: &View<'_>,
    world: &mut World,
    object: &Object,
    fresh_since: Seq,
    guards: Guards,
) -> Plan {
    match try_plan(view, world, object, fresh_since, guards) {
        Ok(plan) => plan,
        Err((wait, on)) => Plan::Wait(wait, on),
    }
}

fn try_plan(
    view: &View<'_>,
    world: &mut World,
    object: &Object,
    fresh_since: Seq,
    guards: Guards,
) -> Result<Plan, Stop> {
    let Some(root) = object.root else { return Ok(Plan::Nothing) };
    let kind = match object.state {
        State::Gone => return Ok(Plan::Nothing),
        State::Left => {
            let away = replace::out_of_the_way(view, world, object);
            return Ok(away.unwrap_or_else(|| archive(view, world, object, root)));
        }
        State::Seat => Kind::Create,
        State::Live => Kind::Update,
    };
    if kind == Kind::Create {
        rivals(view, world, root)?;
        requires(view, world, root)?;
    }
    if kind == Kind::Create
        && let Some(plan) = spread::before(view, world, root, fresh_since)
    {
        return Ok(plan);
    }
    let Place { parent, above, stays } = match place(view, world, object, (root, kind))? {
        Ok(place) => place,
        Err(plan) => return Ok(plan),
    };
    let fresh = kind == Kind::Create;
    if fresh && (lifecycle::left(view, world, object) || !whole::stands(view, world, root)?) {
        return Ok(Plan::Nothing);
    }
    if let Some(id) = parent.as_ref().filter(|_| kind == Kind::Create && is_side(view)) {
        return Ok(Plan::Bind(plain(id)));
    }
    let each = each(view, world, object, root)?;
    let mut draft = draft(view, world, object, root, (kind, &each), guards)?;
    draft.partial = draft.partial.or(stays);
    if kind == Kind::Update
        && let Some(plan) = unwritten(view, world, object, &mut draft, fresh_since, guards)?
    {
        return Ok(plan);
    }
    let Some(write) = view.resource.writes.iter().find(|w| w.kinds.contains(&kind)) else {
        return Ok(Plan::Nothing);
    };
    let mut operation = Operation {
        object: object.id,
        kind,
        fields: draft.fields,
        payload: draft.payload,
        id: own_id(view, object),
        each,
        parent,
        above,
        partial: draft.partial,
        carried: Vec::new(),
        places: draft.places,
    };
    if kind == Kind::Create {
        if view.resource.parent.as_ref().is_some_and(|p| p.same_id) {
            operation.id = operation.parent.as_ref().map(plain);
        }
        carry::carry(view, world, root, &write.carries, &mut operation, guards)?;
    }
    Ok(Plan::Write(operation))
}

/// Why an update is not written now: it must be read first, or nothing of it differs.
fn unwritten(
    view: &View<'_>,
    world: &mut World,
    object: &Object,
    draft: &mut Draft,
    fresh_since: Seq,
    guards: Guards,
) -> Result<Option<Plan>, Stop> {
    // A figure that differs is written by the rules below: what is to be lowered waits for no read here.
    let unseen = guards.stock_rule && !draft.derived && unseen::must_be_read(view, object);
    if unseen || (draft.unsure && object.asked < fresh_since) {
        return Ok(Some(Plan::ReadFirst));
    }
    if draft.fields.is_empty() {
        if let Some(wait) = draft.partial.take() {
            return Ok(Some(Plan::Wait(wait, None)));
        }
        return Ok(Some(lifecycle::plan(view, world, object)));
    }
    let blind = view.resource.read_first && draft.derived && !draft.compared;
    if guards.stock_rule && blind && object.asked < fresh_since {
        return Ok(Some(Plan::ReadFirst));
    }
    not_kept(view, object, &draft.fields)?;
    Ok(None)
}

/// Where an object stands, and why it stays there though it should not.
struct Place {
    parent: Option<Json>,
    above: Option<String>,
    stays: Option<Wait>,
}

/// Where its record says; a live one that stands elsewhere goes on there, or goes (the inner Err).
fn place(
    view: &View<'_>,
    world: &mut World,
    object: &Object,
    (root, kind): (RecordId, Kind),
) -> Result<Result<Place, Plan>, Stop> {
    let moved = replace::moved(view, world, object).filter(|_| kind == Kind::Update);
    let Some(moved) = moved else {
        let parent = match (&view.resource.spread, kind) {
            (Some(spread), Kind::Create) => Some(spread::spread(view, world, root, spread)?),
            // What it once closed is not open any more, and is not said again.
            (Some(_), _) => None,
            (None, _) => parent(view, world, root)?,
        };
        return Ok(Ok(Place { parent, above: above(view, world, root), stays: None }));
    };
    Ok(match replace::place(view, world, object, &moved) {
        Ok(plan) => Err(plan),
        Err(stays) => {
            let (parent, above) = (Some(json!(moved.shown)), Some(moved.shown));
            Ok(Place { parent, above, stays })
        }
    })
}

/// The remote's own id of an object, without what it was listed for.
fn own_id(view: &View<'_>, object: &Object) -> Option<String> {
    let has_each = view.resource.list.as_ref().is_some_and(|l| l.each.is_some());
    object.remote.as_deref().map(|remote| split_remote(remote, has_each).0.to_owned())
}

/// Is it there as soon as its parent is?
fn is_side(view: &View<'_>) -> bool {
    view.resource.parent.as_ref().is_some_and(|parent| parent.there)
}

/// What the object stands for: as its remote id says, or as its record's key will have it.
fn each(
    view: &View<'_>,
    world: &mut World,
    object: &Object,
    root: RecordId,
) -> Result<String, Stop> {
    let has_each = view.resource.list.as_ref().is_some_and(|l| l.each.is_some());
    match &object.remote {
        Some(remote) => Ok(split_remote(remote, has_each).1.to_owned()),
        None => match seat::each_of(view, world, root) {
            Some(each) => Ok(each),
            None => stop(WaitKind::Parked, "stands for no place of this connection".into(), None),
        },
    }
}

/// Kept in the shadow once an object was archived, so that it is done once.
pub const ARCHIVED_ROW: &str = "~archived";

fn archive(view: &View<'_>, world: &mut World, object: &Object, root: RecordId) -> Plan {
    let can = view.resource.writes.iter().any(|w| w.kinds.contains(&Kind::Archive));
    let (Some(remote), true) = (&object.remote, can) else { return Plan::Nothing };
    // What its parent is not shown with any more needs no word of its own.
    let goes_along = over(view, world, root).is_some_and(|o| o.state == State::Left);
    if object.shadow.contains_key(ARCHIVED_ROW) || goes_along {
        return Plan::Nothing;
    }
    let shown = replace::shown_parent(view, object).map(Json::String);
    let parent = shown.or_else(|| parent(view, world, root).ok().flatten());
    let field = Changed {
        row: ARCHIVED_ROW.into(),
        old: None,
        new: json!(true),
        by: Text::default(),
        change: 0,
    };
    Plan::Write(Operation {
        object: object.id,
        kind: Kind::Archive,
        fields: vec![field],
        payload: json!({}),
        id: Some(remote.to_string()),
        each: String::new(),
        above: above(view, world, root),
        parent,
        partial: None,
        carried: Vec::new(),
        places: Vec::new(),
    })
}

/// Two records that this target takes for one: who is bound keeps it, newcomers are held. And a
/// key that the target has already, though nobody could say on which of its objects.
pub(super) fn rivals(view: &View<'_>, world: &mut World, root: RecordId) -> Result<(), Stop> {
    let Some(record) = world.record(root).cloned() else { return Ok(()) };
    let Some(key) = &record.key else { return Ok(()) };
    let doubles: Vec<Text> =
        seat::unmatched(view, world, key).into_iter().filter_map(|o| o.remote).collect();
    if !doubles.is_empty() {
        let name = &view.connection.name;
        let reason = format!("\"{key}\" stands in {name} already: {}", doubles.join(" and "));
        return stop(WaitKind::Held, reason, None);
    }
    if !view.resource.fold {
        return Ok(());
    }
    let others = world.records_by_key(&record.entity, key);
    for other in others.into_iter().filter(|id| *id != root) {
        let here = world
            .ids(&super::world::Key::ObjectsOfRoot(view.connection.name.as_str().into(), other));
        // What left before it was sent holds no key there.
        let stands = |o: &Object| o.state != State::Left || o.remote.is_some();
        if here.into_iter().any(|id| world.object(id).is_some_and(stands)) {
            let theirs = world.record(other).and_then(|r| r.key.clone()).unwrap_or_default();
            let reason = format!(
                "\"{key}\" and \"{theirs}\" are one SKU for {}: rename one, or leave one out",
                view.connection.name
            );
            return stop(WaitKind::Held, reason, Some(other));
        }
    }
    Ok(())
}

pub(super) fn requires(view: &View<'_>, world: &mut World, root: RecordId) -> Result<(), Stop> {
    let vars = view.vars("");
    for required in &view.resource.requires {
        let (facet_name, field) = required.split_once('.').unwrap_or(("", required));
        let facet = view.resource.facets.iter().find(|f| f.name == facet_name);
        let facet = facet.or(view.root_facet());
        let Some(facet) = facet else { continue };
        let record = seat::facet_record(view, world, root, facet);
        let spec = view.house.entities.field(&facet.entity, field);
        let scope = match spec.and_then(|s| s.scope.as_deref()) {
            Some(kind) => vars.get(kind).and_then(Json::as_str).unwrap_or_default().to_owned(),
            None => String::new(),
        };
        let value = match (record, spec.and_then(|s| s.derive.as_deref())) {
            (Some(id), Some(rule)) => {
                derive::derive(rule, view, world, id, Guards::default()).map_err(|w| (w, None))?
            }
            (Some(id), None) => world.record(id).and_then(|r| r.value(field, &scope).cloned()),
            (None, _) => None,
        };
        if value.is_none_or(|v| v.is_null()) {
            let reason = words::lacks(view, facet, field, &scope, world.record(root));
            return stop(WaitKind::Parked, reason, None);
        }
    }
    Ok(())
}

pub fn parent(view: &View<'_>, world: &mut World, root: RecordId) -> Result<Option<Json>, Stop> {
    let Some(Parent { facet: facet_name, resource, row, .. }) = &view.resource.parent else {
        return Ok(None);
    };
    let facet = view.resource.facets.iter().find(|f| &f.name == facet_name);
    let record = facet.and_then(|f| seat::facet_record(view, world, root, f));
    let Some(record) = record else {
        return stop(WaitKind::Parked, format!("waits for its {facet_name}"), None);
    };
    let object = world.object_of_root(&view.connection.name, resource, record);
    let found = object.and_then(|id| world.object(id)).cloned();
    match found.and_then(|o| parent_id(&o, row.as_deref())) {
        Some(id) => Ok(Some(id)),
        None => {
            let called = world.record(record).and_then(words::named).unwrap_or("it");
            let name = &view.connection.name;
            let reason = format!("waits for its {facet_name} in {name}: {called} is not there yet");
            stop(WaitKind::Parked, reason, Some(record))
        }
    }
}

/// What a parent's object says `$parent` is.
pub fn parent_id(parent: &Object, row: Option<&str>) -> Option<Json> {
    match row {
        None => parent.remote.as_deref().map(Json::from),
        Some(row) => {
            let told = |v: &&Json| !v.is_null() && v.as_array().is_none_or(|list| !list.is_empty());
            parent.shadow.get(row).filter(told).cloned()
        }
    }
}

/// The remote id of the object that stands above a root, whatever `$parent` is.
pub fn above(view: &View<'_>, world: &mut World, root: RecordId) -> Option<String> {
    over(view, world, root)?.remote.map(String::from)
}

/// The object that stands above a root.
pub fn over(view: &View<'_>, world: &mut World, root: RecordId) -> Option<Object> {
    let parent = view.resource.parent.as_ref()?;
    let facet = view.resource.facets.iter().find(|f| f.name == parent.facet)?;
    let record = seat::facet_record(view, world, root, facet)?;
    let id = world.object_of_root(&view.connection.name, &parent.resource, record)?;
    world.object(id).cloned()
}

/// What is repaired too often is not repaired again: the target does not keep it, or two fight.
fn not_kept(view: &View<'_>, object: &Object, fields: &[Changed]) -> Result<(), Stop> {
    let max = view.house.config.limits.repairs_max;
    for field in fields {
        let Some((times, value)) = object.repairs.get(&field.row) else { continue };
        if *times >= max && *value == field.new {
            let old = field.old.clone().unwrap_or(Json::Null);
            let reason = format!(
                "not kept: {} was written {times} times as {}, and is {old} again",
                field.row, field.new
            );
            return stop(WaitKind::Held, reason, None);
        }
    }
    Ok(())
}

/// The facet of a row key, for those who show a plan.
pub fn facet_of<'f>(facets: &'f [Facet], row: &str) -> Option<&'f Facet> {
    let name = row.split('.').next()?;
    facets.iter().find(|f| f.name == name)
}

/// A payload without what it does not need to say.
pub fn is_empty(payload: &Json) -> bool {
    payload.as_object().is_none_or(Map::is_empty)
}
