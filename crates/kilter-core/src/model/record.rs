//! A golden record: each field knows its value, its owner's change and its time.

use serde::{Deserialize, Serialize};

use super::{Flat, RecordId, Seq, Shared, Text};
use crate::Json;

/// One field in one scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    #[serde(rename = "v")]
    pub value: Json,
    /// The connection that set it.
    pub by: Text,
    #[serde(rename = "c")]
    pub change: Seq,
    /// When, RFC 3339 in UTC.
    pub at: Text,
    /// Set by a seed; the owner has not spoken yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seed: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub id: RecordId,
    pub entity: Text,
    /// The match key: a SKU, an e-mail, `variant/list`. None where the remote gave none.
    pub key: Option<Text>,
    /// The connection where it was born.
    pub origin: Text,
    /// field → scope ("" where it has none) → cell
    pub fields: Shared<Flat<Text, Flat<Text, Cell>>>,
}

impl Record {
    pub fn new(id: RecordId, entity: &str, origin: &str, key: Option<Text>) -> Self {
        Self { id, entity: entity.into(), key, origin: origin.into(), fields: Shared::default() }
    }

    pub fn cell(&self, field: &str, scope: &str) -> Option<&Cell> {
        self.fields.get(field)?.get(scope)
    }

    pub fn value(&self, field: &str, scope: &str) -> Option<&Json> {
        self.cell(field, scope).map(|c| &c.value)
    }

    pub fn cells_mut(&mut self) -> impl Iterator<Item = &mut Cell> {
        let fields = self.fields.iter_mut().map(|(_, scopes)| scopes);
        fields.flat_map(|scopes| scopes.iter_mut().map(|(_, cell)| cell))
    }

    /// A text field without scope.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.value(field, "")?.as_str()
    }

    /// The record that a reference field without scope names, once resolved.
    pub fn reference(&self, field: &str) -> Option<RecordId> {
        record_of(self.value(field, "")?)
    }
}

/// Match keys are compared folded where a target folds: outer blanks and case do not count.
pub fn fold(key: &str) -> Text {
    let key = key.trim();
    if key.is_ascii() { Text::from(key).to_ascii_lowercase() } else { key.to_lowercase().into() }
}

/// `{"$record": 17}`: a reference in a record.
pub fn record_ref(id: RecordId) -> Json {
    serde_json::json!({ "$record": id })
}

pub fn record_of(value: &Json) -> Option<RecordId> {
    value.get("$record")?.as_i64()
}
