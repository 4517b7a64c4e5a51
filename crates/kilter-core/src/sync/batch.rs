//! Batch: operations → calls, by what the target can do.
//!
//! Reads   operations of one resource.   Writes  nothing.
//! Never   mixes what must stand apart: parents, `each`, ways in, more than a way's cap.

use std::collections::BTreeMap;

use serde_json::json;

use crate::Json;
use crate::manifest::{Kind, Request, Write, plain, render};
use crate::sync::house::View;
use crate::sync::plan::Operation;

/// One call, and the operations it carries: creates, then updates, then archives.
#[derive(Debug, Clone)]
pub struct Batch {
    pub write: String,
    pub operations: Vec<Operation>,
}

/// Groups operations into calls.
pub fn batch(view: &View<'_>, operations: Vec<Operation>) -> Vec<Batch> {
    let mut groups: BTreeMap<(usize, String, String), Vec<Operation>> = BTreeMap::new();
    for operation in operations {
        let way = view.resource.writes.iter().position(|w| w.kinds.contains(&operation.kind));
        let Some(way) = way else { continue };
        let by_parent = view.resource.writes[way].by_parent;
        let parent = operation.parent.as_ref().filter(|_| by_parent).map(plain).unwrap_or_default();
        // The call's own words may name the location or the list.
        let mixed = view.resource.writes[way].mixed;
        let each = if mixed { String::new() } else { operation.each.clone() };
        groups.entry((way, parent, each)).or_default().push(operation);
    }
    let mut out = Vec::new();
    for ((way, ..), mut operations) in groups {
        let write = &view.resource.writes[way];
        operations.sort_by_key(|o| (o.kind, o.object));
        while !operations.is_empty() {
            let rest = operations.split_off(operations.len().min(write.cap));
            out.push(Batch { write: write.name.clone(), operations });
            operations = rest;
        }
    }
    out
}

/// The request of a call. None: an id that it needs is not there, or
/// does not fit the place where it should stand.
///
/// `key` is `$idempotency_key`: one an attempt.
pub fn request(view: &View<'_>, write: &Write, batch: &Batch, key: &str) -> Option<Request> {
    let first = batch.operations.first()?;
    let mut vars = view.connection.vars(&first.each);
    vars.insert("idempotency_key".into(), json!(key));
    let mut items: BTreeMap<Kind, Vec<Json>> = BTreeMap::new();
    let mut ids = Vec::new();
    for operation in &batch.operations {
        let item = item(view, write, operation)?;
        ids.extend(operation.id.as_deref().map(id_json));
        items.entry(operation.kind).or_default().push(item);
    }
    let all: Vec<Json> = items.values().flatten().cloned().collect();
    vars.insert("item".into(), all.first().cloned().unwrap_or(json!({})));
    vars.insert("items".into(), Json::Array(all));
    // How many children travel along: what the answer must be wide enough for.
    let carried: usize = batch.operations.iter().map(|o| o.carried.len()).sum();
    vars.insert("carried".into(), json!(carried.max(1)));
    if !ids.is_empty() {
        vars.insert("id".into(), ids[0].clone());
        vars.insert("ids".into(), Json::Array(ids));
    }
    if let Some(parent) = &first.parent {
        let id = parent.as_str().map(id_json);
        vars.insert("parent".into(), id.unwrap_or_else(|| parent.clone()));
    }
    if let Some(above) = &first.above {
        vars.insert("above".into(), id_json(above));
    }
    for (kind, name) in
        [(Kind::Create, "create"), (Kind::Update, "update"), (Kind::Archive, "archive")]
    {
        if let Some(list) = items.remove(&kind) {
            vars.insert(name.to_owned(), Json::Array(list));
        }
    }
    write.call.render(&vars)
}

fn item(view: &View<'_>, write: &Write, operation: &Operation) -> Option<Json> {
    let mut item = operation.payload.clone();
    let vars = view.connection.vars(&operation.each);
    for (name, value) in render(&write.set, &vars)?.as_object().into_iter().flatten() {
        item[name.as_str()] = value.clone();
    }
    if let (Some(lens), Some(id)) = (&write.id_in_item, &operation.id) {
        lens.write(&mut item, &Json::String(id.clone()), &view.env(&vars, None)).ok()?;
    }
    Some(item)
}

/// An id as JSON: a number where it is one.
pub fn id_json(id: &str) -> Json {
    let digits = !id.is_empty() && id.len() < 19 && id.bytes().all(|b| b.is_ascii_digit());
    match id.parse::<i64>() {
        Ok(n) if digits && (id == "0" || !id.starts_with('0')) => json!(n),
        _ => json!(id),
    }
}
