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
//! | left   | –               | archive                                  |

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Map, json};

use crate::Json;
use crate::manifest::{Call, Facet, Kind, ListPart, ListStyle, Row};
use crate::mapping::Env;
use crate::model::record::record_ref;
use crate::model::{Object, ObjectId, RecordId, RowKey, Seq, State, Wait, WaitKind};
use crate::sync::derive;
use crate::sync::house::{SELF, View, row_key};
use crate::sync::project::split_remote;
use crate::sync::reference::{Unresolved, same, unresolve};
use crate::sync::world::World;
use crate::sync::{lifecycle, seat, whole};

#[derive(Debug, Clone)]
pub enum Plan {
    Nothing,
    Write(Operation),
    Step(StepOp),
    /// The object must be read first: a derived figure differs and there is no compare-and-set.
    ReadFirst,
    /// Not now, and why; and the record it waits for.
    Wait(Wait, Option<RecordId>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    pub row: RowKey,
    pub old: Option<Json>,
    pub new: Json,
    /// Who says so, and by which change. Empty and 0 for derived fields.
    pub by: String,
    pub change: Seq,
}

/// One object's write.
#[derive(Debug, Clone)]
pub struct Operation {
    pub object: ObjectId,
    pub kind: Kind,
    pub fields: Vec<Changed>,
    pub payload: Json,
    /// The remote's own id; none at create.
    pub id: Option<String>,
    pub each: String,
    pub parent: Option<String>,
    /// Something was left out for now: the object stays due.
    pub partial: Option<Wait>,
}

/// One action of a lifecycle.
#[derive(Debug, Clone)]
pub struct StepOp {
    pub object: ObjectId,
    pub name: String,
    pub call: Call,
    pub to: String,
    pub extra: BTreeMap<String, Json>,
}

/// What stands for one object's write while it is gathered.
struct Draft {
    payload: Json,
    fields: Vec<Changed>,
    partial: Option<Wait>,
    derived: bool,
}

/// Why not, and the record that it waits for.
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
    echo_suppression: bool,
) -> Plan {
    match try_plan(view, world, object, fresh_since, echo_suppression) {
        Ok(plan) => plan,
        Err((wait, on)) => Plan::Wait(wait, on),
    }
}

fn try_plan(
    view: &View<'_>,
    world: &mut World,
    object: &Object,
    fresh_since: Seq,
    echo_suppression: bool,
) -> Result<Plan, Stop> {
    let Some(root) = object.root else { return Ok(Plan::Nothing) };
    let kind = match object.state {
        State::Gone => return Ok(Plan::Nothing),
        State::Left => return Ok(archive(view, object)),
        State::Seat => Kind::Create,
        State::Live => Kind::Update,
    };
    if kind == Kind::Create {
        rivals(view, world, root)?;
        requires(view, world, root)?;
    }
    let parent = parent(view, world, root)?;
    if kind == Kind::Create
        && (lifecycle::left(view, world, object) || !whole::stands(view, world, root)?)
    {
        return Ok(Plan::Nothing);
    }
    let draft = draft(view, world, object, root, kind, echo_suppression)?;
    if kind == Kind::Update {
        if draft.fields.is_empty() {
            if let Some(wait) = draft.partial {
                return Ok(Plan::Wait(wait, None));
            }
            return Ok(lifecycle::plan(view, world, object));
        }
        if view.resource.read_first && draft.derived && object.asked < fresh_since {
            return Ok(Plan::ReadFirst);
        }
        not_kept(view, object, &draft.fields)?;
    }
    if !view.resource.writes.iter().any(|w| w.kinds.contains(&kind)) {
        return Ok(Plan::Nothing);
    }
    let has_each = view.resource.list.as_ref().is_some_and(|l| l.each.is_some());
    let remote = object.remote.clone().unwrap_or_default();
    let (id, each) = split_remote(&remote, has_each);
    Ok(Plan::Write(Operation {
        object: object.id,
        kind,
        fields: draft.fields,
        payload: draft.payload,
        id: object.remote.as_ref().map(|_| id.to_owned()),
        each: each.to_owned(),
        parent,
        partial: draft.partial,
    }))
}

/// Kept in the shadow once an object was archived, so that it is done once.
pub const ARCHIVED_ROW: &str = "~archived";

fn archive(view: &View<'_>, object: &Object) -> Plan {
    let can = view.resource.writes.iter().any(|w| w.kinds.contains(&Kind::Archive));
    let (Some(remote), true) = (&object.remote, can) else { return Plan::Nothing };
    if object.shadow.contains_key(ARCHIVED_ROW) {
        return Plan::Nothing;
    }
    let field = Changed {
        row: ARCHIVED_ROW.to_owned(),
        old: None,
        new: json!(true),
        by: String::new(),
        change: 0,
    };
    Plan::Write(Operation {
        object: object.id,
        kind: Kind::Archive,
        fields: vec![field],
        payload: json!({}),
        id: Some(remote.clone()),
        each: String::new(),
        parent: None,
        partial: None,
    })
}

/// Two records that this target takes for one: who is bound keeps it, newcomers are held. And a
/// key that the target has already, though nobody could say on which of its objects.
fn rivals(view: &View<'_>, world: &mut World, root: RecordId) -> Result<(), Stop> {
    let Some(record) = world.record(root).cloned() else { return Ok(()) };
    let Some(key) = &record.key else { return Ok(()) };
    let doubles: Vec<String> =
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
        let here =
            world.ids(&super::world::Key::ObjectsOfRoot(view.connection.name.clone(), other));
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

fn requires(view: &View<'_>, world: &mut World, root: RecordId) -> Result<(), Stop> {
    let vars = view.connection.vars("");
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
            (Some(id), Some(rule)) => derive::derive(rule, view, world, id).ok().flatten(),
            (Some(id), None) => world.record(id).and_then(|r| r.value(field, &scope).cloned()),
            (None, _) => None,
        };
        if value.is_none_or(|v| v.is_null()) {
            return stop(WaitKind::Parked, format!("waits for {required}"), None);
        }
    }
    Ok(())
}

pub fn parent(view: &View<'_>, world: &mut World, root: RecordId) -> Result<Option<String>, Stop> {
    let Some((facet_name, resource)) = &view.resource.parent else { return Ok(None) };
    let facet = view.resource.facets.iter().find(|f| &f.name == facet_name);
    let record = facet.and_then(|f| seat::facet_record(view, world, root, f));
    let Some(record) = record else {
        return stop(WaitKind::Parked, format!("waits for its {facet_name}"), None);
    };
    let object = world.object_of_root(&view.connection.name, resource, record);
    match object.and_then(|id| world.object(id)).and_then(|o| o.remote.clone()) {
        Some(remote) => Ok(Some(remote)),
        None => {
            let key = world.record(record).and_then(|r| r.key.clone()).unwrap_or_default();
            let name = &view.connection.name;
            let reason = format!("waits for its {facet_name} in {name}: {key} is not there yet");
            stop(WaitKind::Parked, reason, Some(record))
        }
    }
}

fn draft(
    view: &View<'_>,
    world: &mut World,
    object: &Object,
    root: RecordId,
    kind: Kind,
    echo_suppression: bool,
) -> Result<Draft, Stop> {
    let vars = view.connection.vars("");
    let mut draft = Draft { payload: json!({}), fields: Vec::new(), partial: None, derived: false };
    if kind == Kind::Create {
        draft.payload = crate::manifest::render(&view.resource.set, &vars).unwrap_or(json!({}));
    }
    for facet in &view.resource.facets {
        let Some(id) = seat::facet_record(view, world, root, facet) else { continue };
        for row in &facet.rows {
            let scope = view.scope(facet, row, &vars);
            let record = world.record(id).cloned();
            let mode = view.mode(facet, row, &scope, record.as_ref());
            let wanted = if kind == Kind::Create { mode.creates } else { mode.writes };
            if !wanted {
                continue;
            }
            let rule = view.field(facet, row).and_then(|f| f.derive.clone());
            let cell = record.as_ref().and_then(|r| r.cell(&row.field, &scope)).cloned();
            let value = match &rule {
                Some(rule) => derive::derive(rule, view, world, id).map_err(|w| (w, None))?,
                None if row.field == SELF => Some(record_ref(id)),
                None => cell.as_ref().map(|c| c.value.clone()),
            };
            let Some(value) = value else { continue };
            let key = row_key(facet, row, &scope);
            let old = object.shadow.get(&key).cloned();
            let new = said(view, world, row, &value, &key)?;
            if left_alone(row, &new, &view.env(&vars, None)) {
                continue;
            }
            let normal = normal(row, &new, &view.env(&vars, None), &key)?;
            let equal = old.as_ref().is_some_and(|o| same(o, &normal));
            if kind == Kind::Update && equal && echo_suppression {
                continue;
            }
            if rule.as_deref() == Some("sellable") {
                if let Some(wait) = raise_waits(view, world, object, old.as_ref(), &normal) {
                    draft.partial = Some(wait);
                    continue;
                }
                draft.derived = true;
            }
            draft.derived |= rule.as_deref() == Some("completion");
            let before = draft.payload.clone();
            write_row(view, row, &mut draft.payload, &new, &key)?;
            // The lens leaves the field alone: nothing would be said.
            if kind == Kind::Update && draft.payload == before {
                continue;
            }
            let (by, change) = cell.map(|c| (c.by, c.change)).unwrap_or_default();
            draft.fields.push(Changed { row: key, old, new: normal, by, change });
        }
    }
    Ok(draft)
}

/// A value as this connection's rows say it: references by the ids they have here.
fn said(
    view: &View<'_>,
    world: &mut World,
    row: &Row,
    value: &Json,
    key: &str,
) -> Result<Json, Stop> {
    let mut resources: Vec<&str> = Vec::new();
    if let Some(lens) = &row.write {
        resources.extend(lens.refs());
    }
    for part in row.list.iter().flat_map(|l| &l.parts) {
        for (_, _, write) in &part.rows {
            resources.extend(write.iter().flat_map(|l| l.refs()));
        }
    }
    unresolve(view, world, value, &resources).or_else(|unresolved| match unresolved {
        Unresolved::NotThere(record) => {
            let what = world.record(record).map(|r| {
                format!("{} {}", r.entity, r.key.clone().unwrap_or_else(|| r.id.to_string()))
            });
            let what = what.unwrap_or_else(|| "a record".to_owned());
            let reason = format!("waits for {what} in {}", view.connection.name);
            stop(WaitKind::Parked, reason, Some(record))
        }
        Unresolved::Unknown(reference) => {
            stop(WaitKind::Parked, format!("{key} names {reference}, which is not known"), None)
        }
    })
}

/// A value that the row says nothing for (`*=keep`): what stands there stays.
fn left_alone(row: &Row, value: &Json, env: &Env<'_>) -> bool {
    let lens = row.write.as_ref().filter(|_| row.list.is_none());
    lens.is_some_and(|l| matches!(l.encode(value, env), Ok(None)))
}

fn normal(row: &Row, value: &Json, env: &Env<'_>, key: &str) -> Result<Json, Stop> {
    let Some(lens) = row.write.as_ref().filter(|_| row.list.is_none()) else {
        return Ok(value.clone());
    };
    let lens = if row.read.is_some() { lens } else { return Ok(value.clone()) };
    lens.normalise(value, env)
        .or_else(|e| stop(WaitKind::Held, format!("{key} cannot be written: {e}"), None))
}

pub(super) fn write_row(
    view: &View<'_>,
    row: &Row,
    payload: &mut Json,
    value: &Json,
    key: &str,
) -> Result<(), Stop> {
    let vars = view.connection.vars("");
    let env = view.env(&vars, None);
    let written = match (&row.list, &row.write) {
        (Some(list), _) => list.parts.iter().try_for_each(|p| write_part(p, payload, value, &env)),
        (None, Some(lens)) => lens.write(payload, value, &env).map_err(|e| e.to_string()),
        (None, None) => Ok(()),
    };
    written.or_else(|e| stop(WaitKind::Held, format!("{key} cannot be written: {e}"), None))
}

fn write_part(
    part: &ListPart,
    payload: &mut Json,
    value: &Json,
    env: &Env<'_>,
) -> Result<(), String> {
    if part.style == ListStyle::Map {
        let mut map = part.at.read(payload, env).unwrap_or_else(|| json!({}));
        write_item(part, &mut map, value, env)?;
        return part.at.write(payload, map, env).map_err(|e| e.to_string());
    }
    let mut items = Vec::new();
    for item in value.as_array().into_iter().flatten() {
        let fits = part
            .only
            .iter()
            .all(|(field, values)| values.contains(item.get(field).unwrap_or(&Json::Null)));
        if !fits {
            continue;
        }
        let mut out = json!({});
        write_item(part, &mut out, item, env)?;
        items.push(out);
    }
    if items.is_empty() {
        return Ok(());
    }
    let mut list = match part.at.read(payload, env) {
        Some(Json::Array(list)) => list,
        _ => Vec::new(),
    };
    match part.style {
        ListStyle::Plain | ListStyle::Map => list.append(&mut items),
        ListStyle::Commands => list.push(json!(["create", items])),
        ListStyle::Tuples => list.extend(items.into_iter().map(|i| json!([0, 0, i]))),
    }
    part.at.write(payload, Json::Array(list), env).map_err(|e| e.to_string())
}

/// One item's rows, over its constants. A lens's `@path` reads the canonical item.
fn write_item(part: &ListPart, out: &mut Json, item: &Json, env: &Env<'_>) -> Result<(), String> {
    let constants = crate::manifest::render(&part.item_set, env.vars).unwrap_or_else(|| json!({}));
    for (key, value) in constants.as_object().into_iter().flatten() {
        out[key.as_str()] = value.clone();
    }
    let env = Env { vars: env.vars, tables: env.tables, root: Some(item) };
    for (field, _, write) in &part.rows {
        let (Some(lens), Some(value)) = (write, item.get(field)) else { continue };
        lens.write(out, value, &env).map_err(|e| format!("{field}: {e}"))?;
    }
    Ok(())
}

/// A figure is raised only when a poll of the shop's orders was asked after it fell; lowering
/// never waits.
fn raise_waits(
    view: &View<'_>,
    world: &mut World,
    object: &Object,
    old: Option<&Json>,
    new: &Json,
) -> Option<Wait> {
    let (old, new): (Decimal, Decimal) = (derive::decimal(old?)?, derive::decimal(new)?);
    let fell = object.fell?;
    if new > old && world.orders_polled(&view.connection.name) < fell {
        return Some(Wait {
            kind: WaitKind::Later,
            reason: "its stock fell: an order poll comes before it is raised".to_owned(),
        });
    }
    None
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
