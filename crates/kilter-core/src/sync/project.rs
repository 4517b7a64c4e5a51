//! Project: a remote's words → rows in canonical values.
//!
//! Reads   one item of a listing, a webhook or an answer.   Writes  nothing.
//! Never   decides what is true: a row that cannot be read is told, not guessed.

use serde_json::{Map, json};

use crate::Json;
use crate::manifest::parts::fits;
use crate::manifest::{ListPart, ListRow, ListStyle, Row, plain};
use crate::mapping::{Env, Lens, Path};
use crate::model::{RowKey, Rows, Text};
use crate::sync::house::{House, STATE_ROW, TOTAL_ROW, View};
use crate::sync::{entries, places};

/// One item, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Projected {
    pub resource: Text,
    /// The remote's own id.
    pub id: Text,
    /// The object's id: the remote's, and for which `each` it was listed.
    pub remote: Text,
    pub each: Text,
    pub version: Option<Text>,
    pub rows: Rows,
    /// Rows that are there and cannot be read.
    pub unreadable: Vec<(RowKey, String)>,
    /// Objects of other collections that must be read again.
    pub hints: Vec<(String, String)>,
    /// The same thing seen from other sides.
    pub sides: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unprojected {
    #[error("no resource of \"{0}\" takes this item")]
    Unwanted(String),
    #[error("the item has no id")]
    NoId,
    #[error("the remote cut the list at {path} short: an item is taken whole, or not at all")]
    Cut { id: String, path: String },
}

/// Rows of an item whose null is not taken, where a whole page of a listing says null of them.
pub const WITHHELD: &str = "$withheld";

/// What an item that only hints looked like, so that it hints once.
const HASH_ROW: &str = "~hash";

/// `12@main`: an object of a listing that runs for each location.
pub fn remote_of(id: &str, each: &str) -> String {
    if each.is_empty() { id.to_owned() } else { format!("{id}@{each}") }
}

/// The two parts of an object's id.
pub fn split_remote(remote: &str, has_each: bool) -> (&str, &str) {
    if has_each { remote.rsplit_once('@').unwrap_or((remote, "")) } else { (remote, "") }
}

/// Which resource an item of a collection belongs to: the first whose `keep` fits.
pub fn resource_of<'h>(
    house: &'h House,
    connection: &str,
    collection: &str,
    item: &Json,
    each: &str,
) -> Option<View<'h>> {
    let (connection, connector) = house.connector(connection)?;
    let vars = house.vars(connection, each);
    let env = Env { vars: &vars, tables: &connection.lookups, root: None };
    connector.resources.iter().map(|resource| View { house, connection, connector, resource }).find(
        |view| {
            let resource = view.resource;
            resource.collection == collection && view.stands() && fits(&resource.keep, item, &env)
        },
    )
}

/// Which one an item is, as its remote names it.
pub fn id_of(view: &View<'_>, item: &Json, each: &str) -> Option<String> {
    let vars = view.vars(each);
    let id = view.resource.id.read(item, &view.env(&vars, Some(item))).ok().flatten();
    id.filter(|id| !id.is_null()).map(|id| plain(&id))
}

pub fn project(view: &View<'_>, item: &Json, each: &str) -> Result<Projected, Unprojected> {
    let vars = view.vars(each);
    let env = view.env(&vars, Some(item));
    let id = id_of(view, item, each).ok_or(Unprojected::NoId)?;
    if let Some(cut) = view.resource.cut.iter().find(|p| p.read(item, &env) == Some(json!(true))) {
        return Err(Unprojected::Cut { id, path: cut.text().to_owned() });
    }
    let version = view.resource.version.as_ref().and_then(|l| l.read(item, &env).ok().flatten());
    let mut projected = Projected {
        resource: view.resource.name.as_str().into(),
        remote: remote_of(&id, each).into(),
        id: id.into(),
        each: each.into(),
        version: version.map(|v| plain(&v).into()),
        rows: Rows::default(),
        unreadable: Vec::new(),
        hints: Vec::new(),
        sides: Vec::new(),
    };
    for facet in &view.resource.facets {
        for row in &facet.rows {
            let key = view.stand(facet, row, &vars).key.clone();
            if let Some(spec) = &row.entries {
                if let Some((values, versions)) = entries::read(spec, item, &env) {
                    let versions_key = entries::versions_key(&key);
                    projected.rows.extend(versions.map(|v| (versions_key, v)));
                    projected.rows.insert(key, values);
                }
                continue;
            }
            let read = match (&row.list, &row.read) {
                _ if row.places.is_some() => match &row.places {
                    Some(places) => places::read(places, item, &env),
                    None => continue,
                },
                (Some(list), _) => read_list(list, item, &env),
                (None, Some(_)) if row.means_otherwise(item) => Ok(Some(Json::Null)),
                (None, Some(_)) if row.key.is_some() || row.or.is_some() => {
                    named(view, row, item, &env)
                }
                (None, Some(lens)) => lens.read(item, &env).map_err(|e| e.to_string()),
                (None, None) => continue,
            };
            projected.put(key, read);
        }
    }
    if let Some(cycle) = &view.resource.lifecycle {
        projected.put(STATE_ROW.into(), cycle.state.read(item, &env).map_err(|e| e.to_string()));
        if let Some(total) = &cycle.total {
            projected.put(TOTAL_ROW.into(), total.read(item, &env).map_err(|e| e.to_string()));
        }
    }
    if view.resource.facets.is_empty() {
        let hash = blake3::hash(item.to_string().as_bytes()).to_hex();
        projected.rows.insert(HASH_ROW.into(), json!(hash.as_str()));
    }
    for row in item.get(WITHHELD).and_then(Json::as_array).into_iter().flatten() {
        if let Some(row) = row.as_str().filter(|row| projected.rows.get(*row) == Some(&Json::Null))
        {
            projected.rows.remove(row);
        }
    }
    projected.hints = hints(view, item, &env, false);
    projected.sides = hints(view, item, &env, true);
    Ok(projected)
}

impl Projected {
    fn put(&mut self, key: RowKey, read: Result<Option<Json>, String>) {
        match read {
            Ok(Some(value)) => {
                self.rows.insert(key, value);
            }
            Ok(None) => {}
            Err(error) => self.unreadable.push((key, error)),
        }
    }
}

fn read_list(list: &ListRow, item: &Json, env: &Env<'_>) -> Result<Option<Json>, String> {
    let mut out = Vec::new();
    let mut seen = false;
    if list.parts.iter().any(|part| part.style == ListStyle::Map) {
        return read_map(list, item, env);
    }
    for part in &list.parts {
        let items = match part.at.read(item, env) {
            Some(Json::Array(items)) => items,
            // A charge that there is once stands alone.
            Some(one @ Json::Object(_)) => vec![one],
            _ => continue,
        };
        seen = true;
        let told = |child: &&Json| !part.skip.is_empty() && fits(&part.skip, child, env);
        for child in items.iter().filter(|child| !told(child)) {
            match &part.inner {
                Some(inner) => read_inner(part, inner, child, env, &mut out)?,
                None => out.push(read_part(part, child, env)?),
            }
        }
    }
    Ok(seen.then_some(Json::Array(out)))
}

/// By the id that `read` says, where its resource stands here, with its key beside it; else by the
/// key alone; where neither says anything, what `or` reads.
fn named(view: &View<'_>, row: &Row, item: &Json, env: &Env<'_>) -> Result<Option<Json>, String> {
    let read = |lens: &Option<Lens>| match lens.as_ref().map(|lens| lens.read(item, env)) {
        Some(Ok(value)) => Ok(value.filter(|v| !v.is_null())),
        Some(Err(error)) => Err(error.to_string()),
        None => Ok(None),
    };
    let here = |name: &str| view.house.view(&view.connection.name, name).is_some();
    let refs = row.read.iter().flat_map(Lens::refs).flat_map(|names| names.split('|'));
    let stands = refs.map(here).reduce(|one, other| one || other).unwrap_or(true);
    let by_id = if stands { read(&row.read)? } else { None };
    match (by_id, read(&row.key)?) {
        (Some(Json::Object(mut id)), Some(Json::Object(key))) => {
            id.extend(key);
            Ok(Some(Json::Object(id)))
        }
        (Some(value), _) | (None, Some(value)) => Ok(Some(value)),
        (None, None) => Ok(Some(read(&row.or)?.unwrap_or_default())),
    }
}

/// The first map that says anything: an order that ships to nobody ships to who pays.
fn read_map(list: &ListRow, item: &Json, env: &Env<'_>) -> Result<Option<Json>, String> {
    let mut seen = None;
    for part in &list.parts {
        let readable = part.rows.iter().any(|(_, read, _)| read.is_some());
        let Some(map) = part.at.read(item, env).filter(|m| readable && m.is_object()) else {
            continue;
        };
        let read = read_part(part, &map, env)?;
        if read.as_object().is_some_and(|m| m.values().any(|v| !v.is_null())) {
            return Ok(Some(read));
        }
        seen = Some(Json::Null);
    }
    Ok(seen)
}

/// A list inside an item: one of ours for each of it, with what its item says of all of them.
fn read_inner(
    part: &ListPart,
    inner: &Path,
    item: &Json,
    env: &Env<'_>,
    out: &mut Vec<Json>,
) -> Result<(), String> {
    let Some(Json::Array(children)) = inner.read(item, env) else { return Ok(()) };
    let mut around = Map::new();
    read_rows(&part.outer, item, env, &mut around)?;
    for child in &children {
        let Json::Object(mut own) = read_part(part, child, env)? else { continue };
        own.extend(around.clone());
        out.push(json!(own));
    }
    Ok(())
}

fn read_part(part: &ListPart, child: &Json, env: &Env<'_>) -> Result<Json, String> {
    let mut map = Map::new();
    for (key, value) in part.set.as_object().into_iter().flatten() {
        map.insert(key.clone(), value.clone());
    }
    read_rows(&part.rows, child, env, &mut map)?;
    Ok(json!(map))
}

fn read_rows(
    rows: &[(String, Option<Lens>, Option<Lens>)],
    child: &Json,
    env: &Env<'_>,
    map: &mut Map<String, Json>,
) -> Result<(), String> {
    for (field, read, _) in rows {
        let Some(lens) = read else { continue };
        match lens.read(child, env) {
            Ok(Some(value)) => {
                map.insert(field.clone(), value);
            }
            Ok(None) => {}
            Err(error) => return Err(format!("{field}: {error}")),
        }
    }
    Ok(())
}

fn hints(view: &View<'_>, item: &Json, env: &Env<'_>, known: bool) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for hint in view.resource.hints.iter().filter(|hint| hint.known == known) {
        let list = match &hint.at {
            Some(path) => match path.read(item, env) {
                Some(Json::Array(items)) => items,
                _ => continue,
            },
            None => vec![item.clone()],
        };
        for child in &list {
            if let Ok(Some(id)) = hint.id.read(child, env)
                && !id.is_null()
            {
                out.push((hint.collection.clone(), plain(&id)));
            }
        }
    }
    out
}
