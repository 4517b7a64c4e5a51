//! References to other objects, projected: `{"$remote":[resource, id]}`, `{"$key":[entity, text]}`.
//!
//! Reads   remote ids and natural keys.   Writes  the same.
//! Never   resolves a reference; the sync layer does, before a row is written.

use serde_json::json;

use super::{ReadError, WriteError, number};
use crate::Json;

const REMOTE: &str = "$remote";
const KEY: &str = "$key";

/// `resources` is one resource, or several joined by `|`.
pub(super) fn read_remote(value: &Json, resources: &str) -> Result<Json, ReadError> {
    Ok(json!({ REMOTE: [resources, number::read_id(value)?] }))
}

pub(super) fn read_key(value: &Json, entity: &str) -> Result<Json, ReadError> {
    Ok(json!({ KEY: [entity, number::read_id(value)?] }))
}

/// The id of a resolved reference, a JSON integer when it is one; the text of a key.
pub(super) fn write(value: &Json) -> Result<Json, WriteError> {
    let unresolved = || WriteError::Unresolved { reference: super::error::excerpt(value) };
    let part = |name| value.get(name).and_then(|parts| parts.get(1)).and_then(Json::as_str);
    if let Some(id) = part(REMOTE) {
        return Ok(number::id(id.to_owned()));
    }
    part(KEY).map(|text| Json::String(text.to_owned())).ok_or_else(unresolved)
}
