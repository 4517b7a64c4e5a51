//! Entries: named values, each sent alone when it differs, by the version that was last read.
//!
//! Reads   a row with `entries`, what is wanted, what the remote shows.   Writes  nothing.
//! Never   says a name that the lookup table does not know, nor takes one away.

use serde_json::{Map, json};

use crate::Json;
use crate::manifest::{Entries, render};
use crate::mapping::Env;
use crate::model::{Object, RowKey};

/// Beside the row: which versions the values have.
pub(super) fn versions_key(row: &str) -> RowKey {
    compact_str::format_compact!("{row}~was")
}

/// The values by our names, null where there is none; and their versions, where they have any.
pub(super) fn read(entries: &Entries, item: &Json, env: &Env<'_>) -> Option<(Json, Option<Json>)> {
    let Some(Json::Array(list)) = entries.at.read(item, env) else { return None };
    let table = env.tables.get(&entries.table);
    let (mut values, mut versions) = (Map::new(), Map::new());
    for one in &list {
        let key = one.get(&entries.key).and_then(Json::as_str);
        let Some(name) = key.and_then(|key| table?.canonical(key)) else { continue };
        let Some(value) = one.get(&entries.value).and_then(text) else { continue };
        values.insert(name.to_owned(), json!(value));
        if let Some(was) = entries.was.as_ref().and_then(|was| one.get(was)) {
            versions.insert(name.to_owned(), was.clone());
        }
    }
    let values = if values.is_empty() { Json::Null } else { Json::Object(values) };
    Some((values, entries.was.as_ref().map(|_| Json::Object(versions))))
}

/// A plain value as text; a list or a map is none.
fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The entries that differ, as items of the payload, and the map as it will be then.
pub(super) fn differing(
    entries: &Entries,
    object: &Object,
    row: &str,
    wanted: &Json,
    env: &Env<'_>,
) -> Option<(Vec<Json>, Json)> {
    let write = entries.write.as_ref()?;
    let table = env.tables.get(&entries.table)?;
    let before = object.shadow.get(row).filter(|v| v.is_object()).cloned();
    let before = before.unwrap_or_else(|| json!({}));
    let versions = object.shadow.get(&versions_key(row)).cloned().unwrap_or_default();
    let mut vars = env.vars.clone();
    vars.extend(object.remote.iter().map(|id| ("id".to_owned(), json!(id))));
    let constants = render(&write.set, &vars).unwrap_or_else(|| json!({}));
    let (mut items, mut after) = (Vec::new(), before.clone());
    for (name, value) in wanted.as_object()? {
        let (Some(key), Some(value)) = (table.remote(name), text(value)) else { continue };
        let same = before.get(name).and_then(Json::as_str) == Some(value.as_str());
        if same || value.is_empty() || items.len() == write.cap {
            continue;
        }
        let mut item = constants.clone();
        item[entries.key.as_str()] = json!(key);
        item[entries.value.as_str()] = json!(value);
        if let Some(was) = &entries.was {
            item[was.as_str()] = versions.get(name).cloned().unwrap_or_default();
        }
        after[name] = json!(value);
        items.push(item);
    }
    (!items.is_empty()).then_some((items, after))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::manifest::entries::EntriesWrite;
    use crate::mapping::{Path, Table};

    fn spec() -> Entries {
        let path = |text: &str| Path::parse(text).unwrap();
        Entries {
            at: path("metafields.nodes"),
            key: "key".into(),
            value: "value".into(),
            table: "fields".into(),
            was: Some("digest".into()),
            write: Some(EntriesWrite { at: path("fields"), set: json!({ "of": "$id" }), cap: 2 }),
        }
    }

    #[test]
    fn what_differs_is_said_alone_by_the_version_that_was_read() {
        let pairs = [("season", "saison"), ("care", "care"), ("fit", "fit"), ("cut", "cut")];
        let pairs = pairs.map(|(name, key)| (name.to_owned(), key.to_owned()));
        let tables = BTreeMap::from([("fields".to_owned(), Table::new(pairs.to_vec()).unwrap())]);
        let vars = BTreeMap::new();
        let env = Env { vars: &vars, tables: &tables, root: None };
        let list = json!([{ "key": "saison", "value": "2026", "digest": "a" },
            { "key": "care", "value": "cold", "digest": "b" },
            { "key": "theirs", "value": "x", "digest": "c" }]);
        let read = read(&spec(), &json!({ "metafields": { "nodes": list } }), &env).unwrap();
        assert_eq!(read.0, json!({ "season": "2026", "care": "cold" }), "only what is named");

        let mut object = Object::seat(1, "x", "r", "r");
        object.remote = Some("7".into());
        object.shadow.insert("p.custom".into(), read.0);
        object.shadow.insert(versions_key("p.custom"), read.1.unwrap());
        let wanted =
            json!({ "season": "2027", "care": "cold", "fit": "slim", "cut": "long", "no": "1" });
        let (items, after) = differing(&spec(), &object, "p.custom", &wanted, &env).unwrap();
        let cut = json!({ "of": "7", "key": "cut", "value": "long", "digest": null });
        let fit = json!({ "of": "7", "key": "fit", "value": "slim", "digest": null });
        assert_eq!(items, [cut, fit], "two at most; the others follow");
        object.shadow.insert("p.custom".into(), after);
        let (items, after) = differing(&spec(), &object, "p.custom", &wanted, &env).unwrap();
        let season = json!({ "of": "7", "key": "saison", "value": "2027", "digest": "a" });
        assert_eq!(items, [season]);
        object.shadow.insert("p.custom".into(), after);
        assert!(differing(&spec(), &object, "p.custom", &wanted, &env).is_none());
    }
}
