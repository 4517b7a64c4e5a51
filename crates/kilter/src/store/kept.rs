//! Kept: records and objects as the last transactions read or wrote them, and who is found by what.
//!
//! Reads   nothing.   Writes  nothing: it is what the store would read again.
//! Never   outlives a transaction that was undone, nor what another process wrote; never grows past a bound.

use foldhash::HashMap;
use kilter_core::model::{Object, ObjectId, Record, RecordId, Shared};
use kilter_core::sync::keys::{found_alike, object_keys, record_keys, shown_alike};
use kilter_core::sync::world::Key;

use super::since::Since;

/// Records and objects that are kept: some 1 KB each. Past it, all are let go of, and read anew: with
/// seven a variant, it is beyond fourteen thousand variants that change at a time.
const ROWS_MAX: usize = 100_000;

/// Answers that are kept.
const ANSWERS_MAX: usize = 4 * ROWS_MAX;

#[derive(Debug, Default)]
pub struct Kept {
    rows: Rows,
    /// What others wrote so far, as SQLite counts it.
    others: i64,
    /// How often anything of it was written.
    written: u64,
    /// What was written since somebody began to watch.
    since: Since,
    /// A transaction is under way: what it did is not certain yet.
    open: bool,
}

#[derive(Debug, Default)]
struct Rows {
    records: HashMap<RecordId, Shared<Record>>,
    objects: HashMap<ObjectId, Shared<Object>>,
    answers: HashMap<Key, Vec<i64>>,
}

impl Kept {
    /// A transaction begins; `others` is SQLite's count of what other connections committed.
    pub fn begin(&mut self, others: i64) {
        let full = self.rows.records.len() + self.rows.objects.len() > ROWS_MAX
            || self.rows.answers.len() > ANSWERS_MAX;
        if self.open || full || self.others != others {
            self.clear();
        }
        (self.open, self.others) = (true, others);
    }

    /// Another figure than before: a world that was loaded then may be wrong now.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The same figure, from which on it is noted what is written.
    pub fn watch(&mut self) -> u64 {
        self.since = Since::begin(self.written);
        self.written
    }

    /// What was written since a figure; None: more than was noted.
    pub fn since(&mut self, written: u64) -> Option<Since> {
        let since = std::mem::replace(&mut self.since, Since::begin(self.written));
        since.tells(written).then_some(since)
    }

    /// Sold lines were written, which are not kept here, and which a world may hold.
    pub fn sold_written(&mut self) {
        self.written += 1;
        self.since.sold = true;
    }

    /// It stands.
    pub fn stands(&mut self) {
        self.open = false;
    }

    /// So many trees take their time to be let go of: nobody waits for it.
    pub fn clear(&mut self) {
        self.written += 1;
        self.since.anything();
        let rows = std::mem::take(&mut self.rows);
        if rows.records.len() + rows.objects.len() < ROWS_MAX / 16 {
            return;
        }
        // Where no thread can be had, it is dropped here.
        std::thread::Builder::new().spawn(move || drop(rows)).ok();
    }

    pub fn record(&self, id: RecordId) -> Option<Shared<Record>> {
        self.rows.records.get(&id).cloned()
    }

    pub fn object(&self, id: ObjectId) -> Option<Shared<Object>> {
        self.rows.objects.get(&id).cloned()
    }

    pub fn answer(&self, key: &Key) -> Option<&Vec<i64>> {
        self.rows.answers.get(key)
    }

    pub fn keep_record(&mut self, record: &Shared<Record>) {
        self.rows.records.insert(record.id, record.clone());
    }

    pub fn keep_object(&mut self, object: &Shared<Object>) {
        self.rows.objects.insert(object.id, object.clone());
    }

    pub fn keep_answer(&mut self, key: Key, ids: Vec<i64>) {
        self.rows.answers.insert(key, ids);
    }

    /// A record was written over what it was: who was found by what moved is asked anew.
    pub fn record_written(&mut self, was: Option<&Record>, record: &Shared<Record>) {
        if !was.is_some_and(|was| found_alike(was, record)) {
            for key in record_keys(was).union(&record_keys(Some(record))) {
                self.rows.answers.remove(key);
                self.since.answer(key);
            }
        }
        self.written += 1;
        self.since.record(record.id);
        self.keep_record(record);
    }

    pub fn object_written(&mut self, was: Option<&Object>, object: &Shared<Object>) {
        if !was.is_some_and(|was| shown_alike(was, object)) {
            for key in object_keys(was).union(&object_keys(Some(object))) {
                self.rows.answers.remove(key);
                self.since.answer(key);
            }
        }
        self.written += 1;
        self.since.object(object.id);
        self.keep_object(object);
    }

    /// Columns of these were set beside it, none by which an object is found.
    pub fn forget_objects(&mut self, which: impl Fn(&Object) -> bool) {
        self.written += 1;
        self.since.anything();
        self.rows.objects.retain(|_, object| !which(object));
    }

    pub fn forget_object(&mut self, id: ObjectId) {
        self.written += 1;
        self.since.object(id);
        self.rows.objects.remove(&id);
    }
}
