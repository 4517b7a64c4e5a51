//! The records: tables in memory with indexes, an undo log and one clock per transaction.
//!
//! Reads   and writes the tables; everything that changes one goes through here.
//! Never   knows what a model means.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rust_decimal::Decimal;
use serde_json::Value;

use super::schema::{self, Kind};
use super::value::{self, FALSE, TRUE};

pub type Row = BTreeMap<&'static str, Value>;

#[derive(Debug, Default, Clone)]
pub struct Record {
    pub row: Row,
    /// The transaction that wrote it last.
    pub serial: u64,
    /// The transaction that created it.
    born: u64,
}

#[derive(Debug, Default)]
pub struct Table {
    pub records: BTreeMap<i64, Record>,
    pub last_id: i64,
    index: HashMap<&'static str, HashMap<String, BTreeSet<i64>>>,
}

#[derive(Debug)]
enum Undo {
    Set(&'static str, i64, &'static str, Option<Value>),
    Insert(&'static str, i64),
    Remove(&'static str, i64, Record),
}

/// What is to be brought up to date before the transaction ends.
#[derive(Debug, Default)]
pub struct Pending {
    pub totals: BTreeSet<i64>,
    pub demand: BTreeSet<i64>,
    pub orders: BTreeSet<i64>,
}

#[derive(Debug, Default)]
pub struct Db {
    tables: HashMap<&'static str, Table>,
    undo: Vec<Undo>,
    pub pending: Pending,
    pub depth: u32,
    /// Start of the transaction: what `write_date` becomes.
    pub now: String,
    /// Counts transactions; the running one has this number.
    pub serial: u64,
    /// Number of the last transaction that had ended when the running one began.
    pub started: u64,
    /// Number sequences; as in the database they do not roll back.
    pub sequences: HashMap<String, u64>,
}

fn key(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn unindex(table: &mut Table, field: &'static str, id: i64, old: Option<&Value>) {
    if let (Some(index), Some(key)) = (table.index.get_mut(field), old.and_then(key))
        && let Some(ids) = index.get_mut(&key)
    {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(&key);
        }
    }
}

fn index(table: &mut Table, field: &'static str, id: i64, new: Option<&Value>) {
    if let Some(key) = new.and_then(key) {
        table.index.entry(field).or_default().entry(key).or_default().insert(id);
    }
}

impl Db {
    pub fn table(&self, model: &str) -> Option<&Table> {
        self.tables.get(model)
    }

    pub fn exists(&self, model: &str, id: i64) -> bool {
        self.tables.get(model).is_some_and(|table| table.records.contains_key(&id))
    }

    pub fn ids(&self, model: &str) -> Vec<i64> {
        self.tables.get(model).map_or(Vec::new(), |t| t.records.keys().copied().collect())
    }

    /// The stored value; nothing stored is `false`, and `active` is true until it is written.
    pub fn get(&self, model: &str, id: i64, field: &str) -> &Value {
        let stored = self.tables.get(model).and_then(|t| t.records.get(&id)?.row.get(field));
        stored.unwrap_or(if field == "active" { &TRUE } else { &FALSE })
    }

    pub fn link(&self, model: &str, id: i64, field: &str) -> i64 {
        value::id_of(self.get(model, id, field)).unwrap_or(0)
    }

    pub fn links(&self, model: &str, id: i64, field: &str) -> Vec<i64> {
        value::ids_of(self.get(model, id, field))
    }

    pub fn dec(&self, model: &str, id: i64, field: &str) -> Decimal {
        value::dec(self.get(model, id, field))
    }

    pub fn text(&self, model: &str, id: i64, field: &str) -> String {
        value::text(self.get(model, id, field))
    }

    pub fn is(&self, model: &str, id: i64, field: &str) -> bool {
        value::truthy(self.get(model, id, field))
    }

    /// Ids whose indexed field has this value.
    pub fn find(&self, model: &str, field: &str, value: &Value) -> Vec<i64> {
        let Some(key) = key(value) else { return Vec::new() };
        let index = self.tables.get(model).and_then(|table| table.index.get(field));
        index.and_then(|i| i.get(&key)).map_or(Vec::new(), |ids| ids.iter().copied().collect())
    }

    pub fn find_id(&self, model: &str, field: &str, id: i64) -> Vec<i64> {
        self.find(model, field, &Value::from(id))
    }

    pub fn find_text(&self, model: &str, field: &str, text: &str) -> Vec<i64> {
        self.find(model, field, &Value::from(text))
    }

    pub fn insert(&mut self, model: &str, mut row: Row) -> i64 {
        let Some(described) = schema::model(model) else { return 0 };
        row.insert("create_date", self.now.clone().into());
        row.insert("write_date", self.now.clone().into());
        let serial = self.serial;
        let table = self.tables.entry(described.name).or_default();
        table.last_id += 1;
        let id = table.last_id;
        for (name, value) in &row {
            if described.fields.get(name).is_some_and(|field| field.indexed) {
                index(table, name, id, Some(value));
            }
        }
        table.records.insert(id, Record { row, serial, born: serial });
        self.undo.push(Undo::Insert(described.name, id));
        id
    }

    /// The next insert gets this id, if it is still to come: for records the platform ships.
    pub fn start_ids_at(&mut self, model: &'static str, id: i64) {
        let table = self.tables.entry(model).or_default();
        table.last_id = table.last_id.max(id - 1);
    }

    /// Sets without moving `write_date`.
    pub fn set(&mut self, model: &str, id: i64, field: &str, value: Value) {
        let Some(described) = schema::model(model) else { return };
        let Some(field) = described.fields.get(field) else { return };
        let serial = self.serial;
        let Some(table) = self.tables.get_mut(model) else { return };
        let Some(record) = table.records.get_mut(&id) else { return };
        record.serial = serial;
        let old = record.row.insert(field.name, value);
        if field.indexed {
            let new = record.row.get(field.name).cloned();
            unindex(table, field.name, id, old.as_ref());
            index(table, field.name, id, new.as_ref());
        }
        self.undo.push(Undo::Set(described.name, id, field.name, old));
    }

    /// Sets and moves `write_date`, but only where the value differs.
    pub fn put(&mut self, model: &str, id: i64, field: &str, value: Value) -> bool {
        if value::same(self.get(model, id, field), &value) {
            return false;
        }
        self.set(model, id, field, value);
        self.touch(model, id);
        true
    }

    pub fn put_dec(&mut self, model: &str, id: i64, field: &str, amount: Decimal) -> bool {
        self.put(model, id, field, value::num(amount))
    }

    pub fn touch(&mut self, model: &str, id: i64) {
        if self.text(model, id, "write_date") != self.now {
            self.set(model, id, "write_date", self.now.clone().into());
        } else if let Some(record) =
            self.tables.get_mut(model).and_then(|table| table.records.get_mut(&id))
        {
            record.serial = self.serial;
        }
    }

    /// Removes a record, its external ids and its place in many2many fields that name it.
    pub fn remove(&mut self, model: &str, id: i64) {
        let Some(described) = schema::model(model) else { return };
        let Some(table) = self.tables.get_mut(model) else { return };
        let Some(record) = table.records.remove(&id) else { return };
        for (name, value) in &record.row {
            unindex(table, name, id, Some(value));
        }
        self.undo.push(Undo::Remove(described.name, id, record));
        if model != "ir.model.data" {
            for data in self.find_id("ir.model.data", "res_id", id) {
                if self.text("ir.model.data", data, "model") == model {
                    self.remove("ir.model.data", data);
                }
            }
        }
    }

    pub fn serial_of(&self, model: &str, id: i64) -> u64 {
        self.tables.get(model).and_then(|t| t.records.get(&id)).map_or(0, |r| r.serial)
    }

    /// Whether the running transaction sees the record: not one created since it began.
    pub fn sees(&self, model: &str, id: i64) -> bool {
        let record = self.tables.get(model).and_then(|table| table.records.get(&id));
        record.is_some_and(|record| record.born <= self.started || record.born == self.serial)
    }

    pub fn next_number(&mut self, sequence: &str) -> u64 {
        let next = self.sequences.entry(sequence.to_owned()).or_insert(0);
        *next += 1;
        *next
    }

    pub fn begin(&mut self, now: String, started: u64) {
        self.now = now;
        self.started = started;
        self.serial += 1;
        self.undo.clear();
        self.pending = Pending::default();
        self.depth = 0;
    }

    /// Ends the transaction; says which records it created (true) or wrote (false).
    pub fn commit(&mut self) -> Vec<(&'static str, i64, bool)> {
        let mut touched: BTreeMap<(&'static str, i64), bool> = BTreeMap::new();
        for undo in self.undo.drain(..) {
            match undo {
                Undo::Insert(model, id) => touched.insert((model, id), true),
                Undo::Set(model, id, _, _) => Some(*touched.entry((model, id)).or_insert(false)),
                Undo::Remove(model, id, _) => touched.remove(&(model, id)),
            };
        }
        touched.into_iter().map(|((model, id), new)| (model, id, new)).collect()
    }

    pub fn savepoint(&self) -> usize {
        self.undo.len()
    }

    /// Takes everything back since the savepoint, except ids and sequence numbers.
    pub fn roll_back(&mut self, savepoint: usize) {
        while self.undo.len() > savepoint {
            match self.undo.pop() {
                Some(Undo::Set(model, id, field, old)) => self.restore(model, id, field, old),
                Some(Undo::Insert(model, id)) => self.forget(model, id),
                Some(Undo::Remove(model, id, record)) => {
                    let Some(table) = self.tables.get_mut(model) else { continue };
                    for (name, value) in &record.row {
                        if schema::field_of(model, name).is_some_and(|f| f.indexed) {
                            index(table, name, id, Some(value));
                        }
                    }
                    table.records.insert(id, record);
                }
                None => return,
            }
        }
        self.pending = Pending::default();
    }

    fn restore(&mut self, model: &str, id: i64, field: &'static str, old: Option<Value>) {
        let Some(table) = self.tables.get_mut(model) else { return };
        let Some(record) = table.records.get_mut(&id) else { return };
        let current = match &old {
            Some(value) => record.row.insert(field, value.clone()),
            None => record.row.remove(field),
        };
        if schema::field_of(model, field).is_some_and(|f| f.indexed) {
            unindex(table, field, id, current.as_ref());
            index(table, field, id, old.as_ref());
        }
    }

    fn forget(&mut self, model: &str, id: i64) {
        let Some(table) = self.tables.get_mut(model) else { return };
        let Some(record) = table.records.remove(&id) else { return };
        for (name, value) in &record.row {
            unindex(table, name, id, Some(value));
        }
    }

    /// The stored form of an empty field, as `read` shows it.
    pub fn empty(kind: Kind) -> Value {
        match kind {
            Kind::Float | Kind::Monetary => value::num(Decimal::ZERO),
            Kind::Integer => Value::from(0),
            Kind::One2many | Kind::Many2many => Value::Array(Vec::new()),
            _ => Value::Bool(false),
        }
    }
}
