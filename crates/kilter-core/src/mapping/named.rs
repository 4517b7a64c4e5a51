//! `named(key, value)`: a list of `{key, value}` read as a map, and back.
//! `full_name(first, last)`: two members of a map read as one text, and back.
//! `words(first, last)`: members of a map read as one text; there is no way back.
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

/// `{first: "Ada", last: "Byron"}` → `Ada Byron`; null where neither says anything.
pub(super) fn full(value: &Json, first: &str, last: &str) -> Json {
    words(value, &[first.to_owned(), last.to_owned()])
}

/// What stands after the last blank is the last name; one word alone is the last name.
pub(super) fn divided(text: &str, first: &str, last: &str) -> Json {
    let text = text.trim();
    let (given, family) = text.rsplit_once(char::is_whitespace).unwrap_or(("", text));
    json!({ first: given.trim(), last: family })
}

/// The members that say something, joined by blanks; null where none does. `false` is a word:
/// two flags can be told apart by it.
pub(super) fn words(value: &Json, members: &[String]) -> Json {
    let said = |member: &String| at(value, member).and_then(number::text);
    let words: Vec<String> = members
        .iter()
        .filter_map(said)
        .map(|word| word.trim().to_owned())
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() { Json::Null } else { Json::String(words.join(" ")) }
}
