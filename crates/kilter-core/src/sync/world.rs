//! A world: the records and objects that one batch needs, loaded beforehand, changed in memory.
//!
//! Reads   what the store loaded.   Writes  nothing but itself; what changed is taken out at the end.
//! Never   asks a store: a question it cannot answer is noted in `missing`, the step is undone,
//!         and whoever runs it loads what was missing and runs it again. So a stage needs a few
//!         batched loads, not one a row, and the core stays free of I/O.

mod others;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::FixedState;
use rust_decimal::Decimal;

use crate::model::record::fold;
use crate::model::{Object, ObjectId, Record, RecordId, Seq, Shared, Text};
use crate::sync::keys::{found_alike, object_keys, record_keys, shown_alike};
use crate::sync::reference::Pending;

/// A question to the store. Each answers with a list of ids (of records, objects or orders).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Record(RecordId),
    /// Records of an entity with this folded match key.
    RecordByKey(Text, Text),
    /// Records of an entity whose reference field names this record.
    Referrers(Text, Text, RecordId),
    /// Records that wait for a reference to be resolved.
    Waiting(Pending),
    Object(ObjectId),
    /// Connection, collection, remote id.
    ObjectByRemote(Text, Text, Text),
    /// Connection, root record: objects of any resource.
    ObjectsOfRoot(Text, RecordId),
    /// Objects in which this record stands somewhere.
    ObjectsShowing(RecordId),
    /// Connection, resource, folded key: objects that match no record yet.
    Unmatched(Text, Text, Text),
    /// Objects whose root waits for a reference to be resolved.
    Unbound(Pending),
    /// Sold lines of a variant.
    SoldOfVariant(RecordId),
    SoldOfOrder(RecordId),
    /// A connection's order polls: asked when last complete, and what is open.
    OrdersPolled(Text),
}

/// A line sold that the ERP's figure may not contain yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Sold {
    pub order: RecordId,
    pub line: String,
    pub variant: RecordId,
    pub quantity: Decimal,
    pub location: String,
    /// Place of the log at which the ERP's figure contained the line. None: not yet.
    pub reached: Option<Seq>,
    /// As much of it as a read asked after that contains: the figure says it, we do not subtract
    /// it any more. What the line grew by since, the ERP was never told.
    pub contained: Decimal,
}

impl Sold {
    /// What must still be subtracted.
    pub fn open(&self) -> Decimal {
        (self.quantity - self.contained).max(Decimal::ZERO)
    }
}

type SoldKey = (RecordId, String);

/// What is to be written of a world. None: the line is none any more.
#[derive(Debug, Default)]
pub struct Dirty {
    pub records: Vec<Shared<Record>>,
    pub objects: Vec<Shared<Object>>,
    pub sold: Vec<(SoldKey, Option<Sold>)>,
}

/// Always the same: the core has no randomness. Nobody walks over these.
type Table<K, T> = HashMap<K, T, FixedState>;
type Index<T> = Table<Key, T>;

/// When the newest complete poll of a shop's orders was asked; 0: there is none.
#[derive(Debug, Default, Clone, Copy)]
pub struct Polled {
    pub asked: Seq,
    /// The same if nothing of it is open, else 0.
    pub merged: Seq,
}

#[derive(Debug, Default)]
pub struct World {
    pub records: Table<RecordId, Shared<Record>>,
    pub objects: Table<ObjectId, Shared<Object>>,
    pub sold: BTreeMap<SoldKey, Sold>,
    /// connection → what is known of its orders' polls.
    pub polled: BTreeMap<String, Polled>,
    /// Sorted, each once.
    index: Index<Vec<i64>>,
    sold_index: Index<BTreeSet<SoldKey>>,
    /// Keys that our own changes answer, whatever the store says.
    added: Index<BTreeSet<i64>>,
    removed: Index<BTreeSet<i64>>,
    /// What time it is, as whoever loads the world says; only what depends on a date asks.
    pub now: String,
    pub missing: BTreeSet<Key>,
    pub dirty_records: BTreeSet<RecordId>,
    pub dirty_objects: BTreeSet<ObjectId>,
    pub dirty_sold: BTreeSet<SoldKey>,
    undo: Vec<Undo>,
    next_record: RecordId,
    next_object: ObjectId,
    /// The next ids when the step began: a step run again gives the same ids.
    first_ids: (RecordId, ObjectId),
}

#[derive(Debug)]
enum Undo {
    Record(RecordId, Option<Shared<Record>>, bool),
    Object(ObjectId, Option<Shared<Object>>, bool),
    Sold(SoldKey, Option<Sold>, bool),
    /// What stood in `added` and in `removed` for a key and an id.
    Index(Key, i64, bool, bool),
}

impl World {
    /// New records and objects are numbered from here on.
    pub fn new(next_record: RecordId, next_object: ObjectId) -> Self {
        Self { next_record, next_object, ..Self::default() }
    }

    pub fn next_ids(&self) -> (RecordId, ObjectId) {
        (self.next_record, self.next_object)
    }

    pub fn fresh_record(&mut self) -> RecordId {
        self.next_record += 1;
        self.next_record - 1
    }

    pub fn fresh_object(&mut self) -> ObjectId {
        self.next_object += 1;
        self.next_object - 1
    }

    // ---- loading -------------------------------------------------------------------------

    /// The store's answer to a key. Records and objects it names are loaded with `learn_*`.
    pub fn answer(&mut self, key: Key, ids: impl IntoIterator<Item = i64>) {
        let mut ids: Vec<i64> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        self.index.insert(key, ids);
    }

    /// Was this key answered?
    pub fn knows(&self, key: &Key) -> bool {
        self.index.contains_key(key)
    }

    pub fn answer_sold(&mut self, key: Key, rows: Vec<Sold>) {
        let mut keys = BTreeSet::new();
        for row in rows {
            let key = (row.order, row.line.clone());
            keys.insert(key.clone());
            // What we took out and did not write yet is not there again.
            if !self.dirty_sold.contains(&key) {
                self.sold.entry(key).or_insert(row);
            }
        }
        self.sold_index.insert(key, keys);
    }

    pub fn learn_record(&mut self, record: impl Into<Shared<Record>>) {
        let record = record.into();
        self.records.entry(record.id).or_insert(record);
    }

    pub fn learn_object(&mut self, object: impl Into<Shared<Object>>) {
        let object = object.into();
        self.objects.entry(object.id).or_insert(object);
    }

    // ---- asking --------------------------------------------------------------------------

    pub fn ids(&mut self, key: &Key) -> Vec<i64> {
        let mut out = match self.index.get(key) {
            Some(ids) => ids.clone(),
            None => {
                self.missing.insert(key.clone());
                Vec::new()
            }
        };
        if let Some(gone) = self.removed.get(key) {
            out.retain(|id| !gone.contains(id));
        }
        if let Some(ids) = self.added.get(key).filter(|ids| !ids.is_empty()) {
            out.extend(ids);
            out.sort_unstable();
            out.dedup();
        }
        out
    }

    pub fn record(&mut self, id: RecordId) -> Option<&Record> {
        if !self.records.contains_key(&id) && !self.index.contains_key(&Key::Record(id)) {
            self.missing.insert(Key::Record(id));
        }
        self.records.get(&id).map(|record| &**record)
    }

    /// The same, for those who go on asking while they hold it.
    pub fn hold_record(&mut self, id: RecordId) -> Option<Shared<Record>> {
        self.record(id)?;
        self.records.get(&id).cloned()
    }

    pub fn object(&mut self, id: ObjectId) -> Option<&Object> {
        if !self.objects.contains_key(&id) && !self.index.contains_key(&Key::Object(id)) {
            self.missing.insert(Key::Object(id));
        }
        self.objects.get(&id).map(|object| &**object)
    }

    /// The same, for those who go on asking while they hold it.
    pub fn hold_object(&mut self, id: ObjectId) -> Option<Shared<Object>> {
        self.object(id)?;
        self.objects.get(&id).cloned()
    }

    pub fn records_by_key(&mut self, entity: &str, key: &str) -> Vec<RecordId> {
        self.ids(&Key::RecordByKey(entity.into(), fold(key)))
    }

    /// The record with exactly this key, else the only one whose folded key fits.
    pub fn record_by_key(&mut self, entity: &str, key: &str, folded: bool) -> Option<RecordId> {
        let ids = self.records_by_key(entity, key);
        let mut exact = None;
        for id in &ids {
            if self.record(*id)?.key.as_deref() == Some(key) {
                exact = Some(*id);
            }
        }
        match (exact, folded, ids.as_slice()) {
            (Some(id), _, _) => Some(id),
            (None, true, [id]) => Some(*id),
            _ => None,
        }
    }

    pub fn object_by_remote(
        &mut self,
        connection: &str,
        collection: &str,
        remote: &str,
    ) -> Option<ObjectId> {
        let key = Key::ObjectByRemote(connection.into(), collection.into(), remote.into());
        self.ids(&key).first().copied()
    }

    /// The object of a resource whose root is this record.
    pub fn object_of_root(
        &mut self,
        connection: &str,
        resource: &str,
        root: RecordId,
    ) -> Option<ObjectId> {
        let ids = self.ids(&Key::ObjectsOfRoot(connection.into(), root));
        ids.into_iter().find(|id| self.object(*id).is_some_and(|o| o.resource == resource))
    }

    pub fn sold_rows(&mut self, key: &Key) -> Vec<Sold> {
        let Some(keys) = self.sold_index.get(key) else {
            self.missing.insert(key.clone());
            return Vec::new();
        };
        let fits = |row: &Sold| match key {
            Key::SoldOfVariant(id) => row.variant == *id,
            Key::SoldOfOrder(id) => row.order == *id,
            _ => false,
        };
        let own = self.dirty_sold.iter();
        let all: BTreeSet<&SoldKey> = keys.iter().chain(own).collect();
        all.into_iter().filter_map(|k| self.sold.get(k)).filter(|r| fits(r)).cloned().collect()
    }

    pub fn orders_polled(&mut self, connection: &str) -> Polled {
        match self.polled.get(connection) {
            Some(polled) => *polled,
            None => {
                self.missing.insert(Key::OrdersPolled(connection.into()));
                Polled::default()
            }
        }
    }

    // ---- changing ------------------------------------------------------------------------

    pub fn put_record(&mut self, record: Record) {
        let id = record.id;
        let before = self.records.get(&id).cloned();
        if before.as_deref() == Some(&record) {
            return;
        }
        if before.as_deref().is_none_or(|before| !found_alike(before, &record)) {
            self.reindex(record_keys(before.as_deref()), record_keys(Some(&record)), id);
        }
        let fresh = self.dirty_records.insert(id);
        self.undo.push(Undo::Record(id, before, fresh));
        self.records.insert(id, record.into());
    }

    pub fn put_object(&mut self, object: Object) {
        let id = object.id;
        let before = self.objects.get(&id).cloned();
        if before.as_deref() == Some(&object) {
            return;
        }
        if before.as_deref().is_none_or(|before| !shown_alike(before, &object)) {
            self.reindex(object_keys(before.as_deref()), object_keys(Some(&object)), id);
        }
        let fresh = self.dirty_objects.insert(id);
        self.undo.push(Undo::Object(id, before, fresh));
        self.objects.insert(id, object.into());
    }

    /// None removes the row.
    pub fn put_sold(&mut self, order: RecordId, line: &str, row: Option<Sold>) {
        let key = (order, line.to_owned());
        let before = match row {
            Some(row) => self.sold.insert(key.clone(), row),
            None => self.sold.remove(&key),
        };
        let fresh = self.dirty_sold.insert(key.clone());
        self.undo.push(Undo::Sold(key, before, fresh));
    }

    fn reindex(&mut self, before: BTreeSet<Key>, after: BTreeSet<Key>, id: i64) {
        for key in before.symmetric_difference(&after) {
            let holds = after.contains(key);
            let added = self.added.entry(key.clone()).or_default();
            let was_added = if holds { !added.insert(id) } else { added.remove(&id) };
            let removed = self.removed.entry(key.clone()).or_default();
            let was_removed = if holds { removed.remove(&id) } else { !removed.insert(id) };
            self.undo.push(Undo::Index(key.clone(), id, was_added, was_removed));
        }
    }

    /// What changed and is not written yet.
    pub fn dirty(&self) -> Dirty {
        let row = |key: &SoldKey| (key.clone(), self.sold.get(key).cloned());
        Dirty {
            records: self
                .dirty_records
                .iter()
                .filter_map(|id| self.records.get(id))
                .cloned()
                .collect(),
            objects: self
                .dirty_objects
                .iter()
                .filter_map(|id| self.objects.get(id))
                .cloned()
                .collect(),
            sold: self.dirty_sold.iter().map(row).collect(),
        }
    }

    /// The same, as it is on its way to be written.
    pub fn take_dirty(&mut self) -> Dirty {
        let dirty = self.dirty();
        self.written();
        dirty
    }

    /// How many rows wait to be written; how many sold lines.
    pub fn unwritten(&self) -> (usize, usize) {
        (self.dirty_records.len() + self.dirty_objects.len(), self.dirty_sold.len())
    }

    /// What it holds, in rows and questions whose answer it knows.
    pub fn size(&self) -> usize {
        self.records.len() + self.objects.len() + self.sold_index.len()
    }

    /// Everything that changed was written: it is what is known now, until somebody else writes.
    pub fn written(&mut self) {
        for (key, ids) in self.added.drain().filter(|(_, ids)| !ids.is_empty()) {
            if let Some(known) = self.index.get_mut(&key) {
                known.extend(ids);
                known.sort_unstable();
                known.dedup();
            }
        }
        for (key, ids) in self.removed.drain().filter(|(_, ids)| !ids.is_empty()) {
            if let Some(known) = self.index.get_mut(&key) {
                known.retain(|id| !ids.contains(id));
            }
        }
        self.dirty_records.clear();
        self.dirty_objects.clear();
        for key in std::mem::take(&mut self.dirty_sold) {
            let Some(row) = self.sold.get(&key) else { continue };
            for of in [Key::SoldOfVariant(row.variant), Key::SoldOfOrder(row.order)] {
                if let Some(keys) = self.sold_index.get_mut(&of) {
                    keys.insert(key.clone());
                }
            }
        }
        self.undo.clear();
        // Whoever polls writes no row that is counted here.
        self.polled.clear();
    }

    // ---- steps ---------------------------------------------------------------------------

    /// Starts a step that `undo_step` can take back.
    pub fn begin_step(&mut self) {
        self.undo.clear();
        self.missing.clear();
        self.first_ids = (self.next_record, self.next_object);
    }

    /// Takes back everything since `begin_step`, but what was found missing.
    pub fn undo_step(&mut self) {
        (self.next_record, self.next_object) = self.first_ids;
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Record(id, before, fresh) => {
                    restore_in(&mut self.records, id, before);
                    forget(&mut self.dirty_records, &id, fresh);
                }
                Undo::Object(id, before, fresh) => {
                    restore_in(&mut self.objects, id, before);
                    forget(&mut self.dirty_objects, &id, fresh);
                }
                Undo::Sold(key, before, fresh) => {
                    restore(&mut self.sold, key.clone(), before);
                    forget(&mut self.dirty_sold, &key, fresh);
                }
                Undo::Index(key, id, added, removed) => {
                    put(self.added.entry(key.clone()).or_default(), id, added);
                    put(self.removed.entry(key).or_default(), id, removed);
                }
            }
        }
    }
}

fn put(set: &mut BTreeSet<i64>, id: i64, holds: bool) {
    if holds {
        set.insert(id);
    } else {
        set.remove(&id);
    }
}

fn restore_in<V>(table: &mut Table<i64, V>, id: i64, before: Option<V>) {
    match before {
        Some(value) => table.insert(id, value),
        None => table.remove(&id),
    };
}

fn restore<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

fn forget<K: Ord>(set: &mut BTreeSet<K>, key: &K, fresh: bool) {
    if fresh {
        set.remove(key);
    }
}
