//! Draft: what one object's write would say: each row that differs, in the remote's words.
//!
//! Reads   an object, its records, the rows of its resource.   Writes  nothing.
//! Never   says what the connection owns, or what a lens leaves alone.

use rust_decimal::Decimal;
use serde_json::json;

use crate::Json;
use crate::manifest::{Entries, Facet, Kind, ListPart, ListStyle, Places, Row, Vars};
use crate::mapping::Env;
use crate::model::record::record_ref;
use crate::model::{Object, Record, RecordId, RowKey, Text, Wait, WaitKind};
use crate::sync::guards::Guards;
use crate::sync::house::{SELF, View};
use crate::sync::plan::{Changed, Stop, stop};
use crate::sync::reference::{Unresolved, same, unresolve};
use crate::sync::world::World;
use crate::sync::{derive, entries, places, seat, units, words};

/// What stands for one object's write while it is gathered.
pub(super) struct Draft {
    pub payload: Json,
    pub fields: Vec<Changed>,
    /// What was left out for now.
    pub partial: Option<Wait>,
    /// A figure that sales lower is among it.
    pub derived: bool,
    /// It must be read first: what came of the last write, or what stands there now.
    pub unsure: bool,
    pub places: Vec<places::Change>,
    /// Every such figure is compared by the remote with what we last read.
    pub compared: bool,
}

/// `each`: the location or list that the object stands for, if its resource has one for each.
pub(super) fn draft(
    view: &View<'_>,
    world: &mut World,
    object: &Object,
    root: RecordId,
    (kind, each): (Kind, &str),
    guards: Guards,
) -> Result<Draft, Stop> {
    let vars = view.vars(each);
    let mut draft = Draft {
        payload: json!({}),
        fields: Vec::new(),
        partial: None,
        derived: false,
        unsure: false,
        places: Vec::new(),
        compared: true,
    };
    if kind == Kind::Create {
        draft.payload = crate::manifest::render(&view.resource.set, &vars).unwrap_or(json!({}));
    }
    for facet in &view.resource.facets {
        let Some(id) = seat::facet_record(view, world, root, facet) else { continue };
        for row in &facet.rows {
            let place = Place { facet, row, record: id, each, vars: &vars };
            draft_row(view, world, object, (kind, guards), &place, &mut draft)?;
        }
    }
    Ok(draft)
}

/// One row of one facet of the object.
struct Place<'a> {
    facet: &'a Facet,
    row: &'a Row,
    record: RecordId,
    each: &'a str,
    vars: &'a Vars,
}

fn draft_row(
    view: &View<'_>,
    world: &mut World,
    object: &Object,
    (kind, guards): (Kind, Guards),
    place: &Place<'_>,
    draft: &mut Draft,
) -> Result<(), Stop> {
    let Place { facet, row, record: id, each, vars } = *place;
    let stand = view.stand(facet, row, vars);
    let record = world.hold_record(id);
    let record = record.as_deref();
    let mode = view.mode(&stand, record);
    let wanted = if kind == Kind::Create { mode.creates } else { mode.writes };
    if !wanted {
        return Ok(());
    }
    let rule = view.field(facet, row).and_then(|f| f.derive.as_deref());
    let cell = record.and_then(|r| r.cell(&row.field, &stand.scope)).cloned();
    let value = match rule {
        Some(rule) => derive::derive(rule, view, world, id, guards).map_err(|w| (w, None))?,
        None if row.field == SELF => Some(record_ref(id)),
        None => cell.as_ref().map(|c| c.value.clone()),
    };
    let Some(value) = value else { return Ok(()) };
    let value = a_piece(view, world, place, record, value)?;
    let key = stand.key.clone();
    let old = object.shadow.get(&key).cloned();
    let new = said(view, world, row, &value, &key)?;
    if let Some(spec) = &row.entries {
        let cell = cell.map(|c| (c.by, c.change)).unwrap_or_default();
        return draft_entries(view, object, spec, (key, &new, cell, each), draft);
    }
    if let Some(places) = &row.places {
        let cell = cell.map(|c| (c.by, c.change)).unwrap_or_default();
        let said = (key, &new, cell, each);
        return draft_places(view, object, (row, places), said, (&world.now, guards, draft));
    }
    if left_alone(row, &new, &view.env(vars, None)) {
        return Ok(());
    }
    let normal = normal(row, &new, &view.env(vars, None), &key)?;
    let equal = old.as_ref().is_some_and(|o| same(o, &normal));
    if kind == Kind::Update && equal && guards.echo_suppression {
        return Ok(());
    }
    let figure = rule.is_some_and(|rule| derive::FIGURES.contains(&rule));
    if guards.stock_rule && figure {
        if let Some(wait) = raise_waits(view, world, object, old.as_ref(), &normal) {
            draft.partial = Some(wait);
            return Ok(());
        }
        draft.derived = true;
        draft.compared &= row.was.is_some();
    }
    draft.derived |= rule == Some("completion");
    draft.compared &= rule != Some("completion");
    let before = draft.payload.clone();
    write_row(view, each, row, &mut draft.payload, &new, &key)?;
    // The lens leaves the field alone: nothing would be said.
    if kind == Kind::Update && draft.payload == before {
        return Ok(());
    }
    if kind == Kind::Update {
        compare(row, &mut draft.payload, old.as_ref(), &view.env(vars, None), &key)?;
    }
    let (by, change) = cell.map(|c| (c.by, c.change)).unwrap_or_default();
    draft.fields.push(Changed { row: key, old, new: normal, by, change });
    Ok(())
}

/// A price is said for a piece; everything else as it is.
fn a_piece(
    view: &View<'_>,
    world: &mut World,
    place: &Place<'_>,
    record: Option<&Record>,
    value: Json,
) -> Result<Json, Stop> {
    match view.field(place.facet, place.row).and_then(|f| f.role.as_deref()) {
        Some("price") => {
            units::priced(world, place.facet, record, value).map_err(|wait| (wait, None))
        }
        _ => Ok(value),
    }
}

/// Named values: each that differs, alone.
fn draft_entries(
    view: &View<'_>,
    object: &Object,
    spec: &Entries,
    (key, value, (by, change), each): (RowKey, &Json, (Text, i64), &str),
    draft: &mut Draft,
) -> Result<(), Stop> {
    let vars = view.connection.vars(each);
    let env = view.env(&vars, None);
    let Some(write) = &spec.write else { return Ok(()) };
    let Some((items, new)) = entries::differing(spec, object, &key, value, &env) else {
        return Ok(());
    };
    let written = write.at.write(&mut draft.payload, json!(items), &env);
    written.or_else(|e| stop(WaitKind::Held, format!("{key} cannot be written: {e}"), None))?;
    let old = object.shadow.get(key.as_str()).cloned();
    draft.fields.push(Changed { row: key, old, new, by, change });
    Ok(())
}

/// A list whose items have ids of their own: only what is not there is said, and what of ours goes.
fn draft_places(
    view: &View<'_>,
    object: &Object,
    (row, spec): (&Row, &Places),
    (key, value, (by, change), each): (RowKey, &Json, (Text, i64), &str),
    (now, guards, draft): (&str, Guards, &mut Draft),
) -> Result<(), Stop> {
    let differs = match places::compare(spec, object, &key, value, now) {
        places::Found::Nothing => return Ok(()),
        places::Found::Unsure => {
            draft.unsure = true;
            let reason = "asks what came of what was sent".to_owned();
            draft.partial = Some(Wait { kind: WaitKind::Later, reason });
            return Ok(());
        }
        places::Found::Waits(wait) => {
            // What is at work now is looked at again.
            draft.unsure |= wait.kind == WaitKind::Later;
            draft.partial = Some(wait);
            return Ok(());
        }
        places::Found::Differs(differs) => differs,
    };
    // What stands there now tells ours from what somebody else put there since.
    // What somebody put there since would be gone with a list that does not name it.
    draft.unsure |= guards.places && (differs.asks() || spec.stays.is_some());
    if row.list.is_some() {
        let new = places::sent(spec, &differs, value);
        write_row(view, each, row, &mut draft.payload, &new, &key)?;
    }
    let vars = view.connection.vars(each);
    let env = view.env(&vars, None);
    let written = places::write(row, &differs, object.remote.as_deref(), &mut draft.payload, &env);
    written.or_else(|e| stop(WaitKind::Held, format!("{key} cannot be written: {e}"), None))?;
    let old = object.shadow.get(key.as_str()).cloned();
    let new = places::reached(spec, &differs, value);
    draft.fields.push(Changed { row: key, old, new, by, change });
    draft.places.push(differs);
    Ok(())
}

/// Compare-and-set: says what the write is based on, null where nothing was read.
fn compare(
    row: &Row,
    payload: &mut Json,
    old: Option<&Json>,
    env: &Env<'_>,
    key: &str,
) -> Result<(), Stop> {
    let Some(was) = &row.was else { return Ok(()) };
    was.write(payload, old.unwrap_or(&Json::Null), env)
        .or_else(|e| stop(WaitKind::Held, format!("{key} cannot be compared: {e}"), None))
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
    resources.extend(row.places.iter().filter_map(|p| p.of.as_deref()));
    for part in row.list.iter().flat_map(|l| &l.parts) {
        for (_, _, write) in &part.rows {
            resources.extend(write.iter().flat_map(|l| l.refs()));
        }
    }
    unresolve(view, world, value, &resources).or_else(|unresolved| match unresolved {
        Unresolved::NotThere(record) => {
            let what = world.record(record).map(|r| {
                format!("{} {}", r.entity, r.key.clone().unwrap_or_else(|| r.id.to_string().into()))
            });
            let what = what.unwrap_or_else(|| "a record".to_owned());
            let reason = format!("waits for {what} in {}", view.connection.name);
            stop(WaitKind::Parked, reason, Some(record))
        }
        Unresolved::Gone(record, object) => {
            let record = world.record(record);
            let entity = record.map(|r| r.entity.clone()).unwrap_or_default();
            let called = record.and_then(words::named).unwrap_or("that it names");
            let reason = format!(
                "{entity} {called} was deleted in {}: \"kilter decide {object} link ID\" says who \
                 stands in for it, \"kilter decide {object} recreate\" makes it anew",
                view.connection.name
            );
            stop(WaitKind::Held, reason, None)
        }
        Unresolved::Unknown(reference) => {
            let reason =
                format!("waits for {reference}, which its {key} names: nobody showed it yet");
            stop(WaitKind::Parked, reason, None)
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
    each: &str,
    row: &Row,
    payload: &mut Json,
    value: &Json,
    key: &str,
) -> Result<(), Stop> {
    let vars = view.vars(each);
    let env = view.env(&vars, None);
    let written = match (&row.list, &row.write) {
        (Some(list), _) => list.parts.iter().try_for_each(|p| write_part(p, payload, value, &env)),
        (None, Some(lens)) => lens.write(payload, value, &env).map_err(|e| e.to_string()),
        (None, None) => Ok(()),
    };
    for (name, constant) in row.with.as_object().into_iter().flatten() {
        payload[name.as_str()] = constant.clone();
    }
    written.or_else(|e| stop(WaitKind::Held, format!("{key} cannot be written: {e}"), None))
}

fn write_part(
    part: &ListPart,
    payload: &mut Json,
    value: &Json,
    env: &Env<'_>,
) -> Result<(), String> {
    if part.style == ListStyle::Map {
        // What is only read here, or says nothing, makes no empty map.
        if !value.is_object() || part.rows.iter().all(|(_, _, write)| write.is_none()) {
            return Ok(());
        }
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
        Some(Json::Array(list)) if part.style != ListStyle::Replace => list,
        _ => Vec::new(),
    };
    match part.style {
        ListStyle::Plain | ListStyle::Replace | ListStyle::Map => list.append(&mut items),
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
    let name = &view.connection.name;
    if new > old && world.orders_polled(name).merged < fell {
        return Some(Wait {
            kind: WaitKind::Later,
            reason: format!("waits for the orders of {name}: its stock fell, was it sold?"),
        });
    }
    None
}
