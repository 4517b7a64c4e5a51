//! A golden record: each field knows its value, its owner's change and its time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{RecordId, Seq, Shared};
use crate::Json;

/// One field in one scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    #[serde(rename = "v")]
    pub value: Json,
    /// The connection that set it.
    pub by: String,
    #[serde(rename = "c")]
    pub change: Seq,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Set by a seed; the owner has not spoken yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seed: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub id: RecordId,
    pub entity: String,
    /// The match key: a SKU, an e-mail, `variant/list`. None where the remote gave none.
    pub key: Option<String>,
    /// The connection where it was born.
    pub origin: String,
    /// field → scope ("" where it has none) → cell
    pub fields: Shared<BTreeMap<String, BTreeMap<String, Cell>>>,
}

impl Record {
    pub fn new(id: RecordId, entity: &str, origin: &str, key: Option<String>) -> Self {
        Self {
            id,
            entity: entity.to_owned(),
            key,
            origin: origin.to_owned(),
            fields: Shared::default(),
        }
    }

    pub fn cell(&self, field: &str, scope: &str) -> Option<&Cell> {
        self.fields.get(field)?.get(scope)
    }

    pub fn value(&self, field: &str, scope: &str) -> Option<&Json> {
        self.cell(field, scope).map(|c| &c.value)
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
pub fn fold(key: &str) -> String {
    key.trim().to_lowercase()
}

/// `{"$record": 17}`: a reference in a record.
pub fn record_ref(id: RecordId) -> Json {
    serde_json::json!({ "$record": id })
}

pub fn record_of(value: &Json) -> Option<RecordId> {
    value.get("$record")?.as_i64()
}
