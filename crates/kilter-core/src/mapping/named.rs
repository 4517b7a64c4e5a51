//! `named(key, value)`: a list of `{key, value}` read as a map, and back.
//!
//! Reads   one list or map.   Writes  the other.   Never  keeps an item without a name.

use serde_json::{Map, json};

use super::{ReadError, WriteError, number};
use crate::Json;

pub(super) fn read(value: &Json, key: &str, field: &str) -> Result<Json, ReadError> {
    let Some(items) = value.as_array() else {
        return Err(ReadError::unexpected("a list of named values", value));
    };
    let mut map = Map::new();
    for item in items {
        let name = at(item, key).and_then(number::text);
        let Some(name) = name.filter(|n| !n.is_empty()) else {
            return Err(ReadError::unexpected(format!("an item with a \"{key}\""), item));
        };
        map.insert(name, at(item, field).cloned().unwrap_or(Json::Null));
    }
    Ok(Json::Object(map))
}

fn at<'v>(item: &'v Json, path: &str) -> Option<&'v Json> {
    path.split('.').try_fold(item, |value, step| value.get(step))
}

pub(super) fn write(value: &Json, key: &str, field: &str) -> Result<Json, WriteError> {
    let Some(map) = value.as_object() else {
        return Err(WriteError::unexpected("a map", value));
    };
    if key.contains('.') || field.contains('.') {
        return Err(WriteError::ReadOnly { what: format!("named({key}, {field})") });
    }
    Ok(map.iter().map(|(name, value)| json!({ key: name, field: value })).collect())
}
