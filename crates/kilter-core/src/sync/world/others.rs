//! Others: a world goes on after somebody else wrote what it holds.
//!
//! Reads   which rows were written, and which questions may have another answer.   Writes  nothing.
//! Never   keeps what was merged on top of what moved: all that was not written is taken back.

use std::collections::BTreeSet;

use super::{Key, World};
use crate::model::{ObjectId, RecordId};

impl World {
    /// New records and objects are numbered from here on.
    pub fn number_from(&mut self, next_record: RecordId, next_object: ObjectId) {
        (self.next_record, self.next_object) = (next_record, next_object);
    }

    /// Lets go of all that was not written, and of the rows that somebody else wrote. Returns which rows
    /// it held and holds no more.
    pub fn take_back<'i>(
        &mut self,
        records: impl IntoIterator<Item = &'i RecordId>,
        objects: impl IntoIterator<Item = &'i ObjectId>,
    ) -> (BTreeSet<RecordId>, BTreeSet<ObjectId>) {
        let mut no_records = std::mem::take(&mut self.dirty_records);
        no_records.extend(records);
        no_records.retain(|id| {
            self.index.remove(&Key::Record(*id));
            self.records.remove(id).is_some()
        });
        let mut no_objects = std::mem::take(&mut self.dirty_objects);
        no_objects.extend(objects);
        no_objects.retain(|id| {
            self.index.remove(&Key::Object(*id));
            self.objects.remove(id).is_some()
        });
        if !self.dirty_sold.is_empty() {
            self.forget_sold();
        }
        self.added.clear();
        self.removed.clear();
        self.undo.clear();
        self.polled.clear();
        (no_records, no_objects)
    }

    /// Somebody else wrote what answers this: it is asked anew.
    pub fn forget(&mut self, key: &Key) {
        self.index.remove(key);
    }

    pub fn forget_sold(&mut self) {
        self.sold.clear();
        self.sold_index.clear();
        self.dirty_sold.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Record, Text};

    fn record(id: RecordId, key: &str) -> Record {
        Record::new(id, "product", "erp", Some(key.into()))
    }

    fn by_key(key: &str) -> Key {
        Key::RecordByKey(Text::from("product"), Text::from(key))
    }

    /// A world that knows one record, has written nothing, and merged a second one.
    fn world() -> World {
        let mut world = World::new(2, 1);
        world.learn_record(record(1, "a"));
        world.answer(by_key("a"), [1]);
        world.answer(by_key("b"), []);
        let id = world.fresh_record();
        world.put_record(record(id, "b"));
        world.put_record(Record { origin: "shop".into(), ..record(1, "a") });
        world
    }

    #[test]
    fn what_was_not_written_is_taken_back() {
        let mut world = world();
        assert_eq!(world.ids(&by_key("b")), [2]);
        let (records, objects) = world.take_back([], []);
        assert_eq!((records, objects), (BTreeSet::from([1, 2]), BTreeSet::new()));
        assert!(world.ids(&by_key("b")).is_empty() && world.dirty().records.is_empty());
        assert!(world.record(1).is_none() && world.missing.contains(&Key::Record(1)));
    }

    #[test]
    fn what_somebody_else_wrote_is_asked_anew() {
        let mut world = World::new(2, 1);
        world.learn_record(record(1, "a"));
        world.answer(by_key("a"), [1]);
        world.answer(Key::Record(7), []);
        assert_eq!(world.take_back(&[1, 7], []).0, BTreeSet::from([1]), "of those it held");
        assert!(world.record(1).is_none() && world.record(7).is_none());
        assert_eq!(world.missing, BTreeSet::from([Key::Record(1), Key::Record(7)]));
        assert_eq!(world.ids(&by_key("a")), [1], "nobody said that its key moved");
        world.forget(&by_key("a"));
        assert!(world.ids(&by_key("a")).is_empty() && world.missing.contains(&by_key("a")));
    }
}
