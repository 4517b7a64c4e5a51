//! What the shop holds: rows by kind and number, and what the search index still thinks of them.
//!
//! Reads   nothing.
//! Writes  itself.
//! Never   knows a rule: a row is a bag of fields, the rules are in the modules named after them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::clock::Moment;
use super::gid;

pub type Object = Map<String, Value>;

#[derive(Debug, Clone)]
struct Earlier {
    until: Moment,
    fields: Object,
    updated: Moment,
}

#[derive(Debug, Clone)]
pub struct Row {
    pub id: u64,
    /// By their names in the schema; a relation is the global id it points to.
    pub fields: Object,
    pub created: Moment,
    pub updated: Moment,
    /// What a search finds until the index has caught up.
    earlier: Option<Box<Earlier>>,
    indexed: Moment,
}

impl Row {
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or("")
    }
    pub fn flag(&self, name: &str) -> bool {
        self.fields.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
    pub fn number(&self, name: &str) -> i64 {
        self.fields.get(name).and_then(Value::as_i64).unwrap_or(0)
    }
    pub fn list(&self, name: &str) -> &[Value] {
        self.fields.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The row as the search index has it: `None` while it has never heard of it.
    pub fn indexed(&self, now: Moment) -> Option<(&Object, Moment)> {
        if now < self.indexed {
            return None;
        }
        match &self.earlier {
            Some(earlier) if now < earlier.until => Some((&earlier.fields, earlier.updated)),
            _ => Some((&self.fields, self.updated)),
        }
    }
}

#[derive(Debug, Default)]
pub struct Store {
    kinds: HashMap<&'static str, BTreeMap<u64, Row>>,
    pub lag_ms: i64,
}

impl Store {
    pub fn insert(&mut self, kind: &'static str, id: u64, fields: Object, now: Moment) {
        let row = Row {
            id,
            fields,
            created: now,
            updated: now,
            earlier: None,
            indexed: now + self.lag_ms,
        };
        self.kinds.entry(kind).or_default().insert(id, row);
    }

    pub fn get(&self, kind: &str, id: u64) -> Option<&Row> {
        self.kinds.get(kind)?.get(&id)
    }

    pub fn find(&self, gid: &str) -> Option<(&'static str, &Row)> {
        let (kind, id) = gid::parse(gid)?;
        let (kind, rows) = self.kinds.get_key_value(kind)?;
        Some((kind, rows.get(&id)?))
    }

    /// The row's fields, to be changed: it counts as updated now.
    pub fn edit(&mut self, kind: &str, id: u64, now: Moment) -> Option<&mut Object> {
        let lag = self.lag_ms;
        let row = self.kinds.get_mut(kind)?.get_mut(&id)?;
        remember(row, now, lag);
        row.updated = now;
        Some(&mut row.fields)
    }

    /// The same where the platform does not count it as an update.
    pub fn edit_unseen(&mut self, kind: &str, id: u64, now: Moment) -> Option<&mut Object> {
        let lag = self.lag_ms;
        let row = self.kinds.get_mut(kind)?.get_mut(&id)?;
        remember(row, now, lag);
        Some(&mut row.fields)
    }

    pub fn remove(&mut self, kind: &str, id: u64) -> Option<Row> {
        self.kinds.get_mut(kind)?.remove(&id)
    }

    pub fn all(&self, kind: &str) -> impl DoubleEndedIterator<Item = &Row> {
        self.kinds.get(kind).into_iter().flat_map(BTreeMap::values)
    }

    pub fn ids(&self, kind: &str) -> Vec<u64> {
        self.kinds.get(kind).map(|rows| rows.keys().copied().collect()).unwrap_or_default()
    }

    pub fn count(&self, kind: &str) -> usize {
        self.kinds.get(kind).map_or(0, BTreeMap::len)
    }
}

fn remember(row: &mut Row, now: Moment, lag: i64) {
    if lag == 0 {
        return;
    }
    let until = now + lag;
    match &mut row.earlier {
        Some(earlier) if now < earlier.until => earlier.until = until,
        _ => {
            let (fields, updated) = (row.fields.clone(), row.updated);
            row.earlier = Some(Box::new(Earlier { until, fields, updated }));
        }
    }
}

/// The map of a `json!({…})`.
pub fn object(value: Value) -> Object {
    match value {
        Value::Object(map) => map,
        _ => Object::new(),
    }
}
