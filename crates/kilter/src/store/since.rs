//! Since: what was written since a world was as the store is: of it the world reads so much again.
//!
//! Reads   nothing.   Writes  nothing.
//! Never   tells less than was written: past its bound it says that it was anything.

use foldhash::HashSet;
use kilter_core::model::{ObjectId, RecordId};
use kilter_core::sync::world::Key;

/// Rows and answers that are noted; a round of deliveries writes a few for each object.
const NOTED_MAX: usize = 16_384;

#[derive(Debug, Default)]
pub struct Since {
    /// The count of writes when it began.
    begun: u64,
    /// More was written than is noted.
    anything: bool,
    pub records: HashSet<RecordId>,
    pub objects: HashSet<ObjectId>,
    /// Questions whose answer may be another.
    pub answers: HashSet<Key>,
    pub sold: bool,
}

impl Since {
    pub fn begin(written: u64) -> Self {
        Self { begun: written, ..Self::default() }
    }

    /// Does it tell all that was written since then?
    pub fn tells(&self, written: u64) -> bool {
        self.begun == written && !self.anything
    }

    pub fn anything(&mut self) {
        *self = Self { begun: self.begun, anything: true, ..Self::default() };
    }

    pub fn record(&mut self, id: RecordId) {
        if self.has_room() {
            self.records.insert(id);
        }
    }

    pub fn object(&mut self, id: ObjectId) {
        if self.has_room() {
            self.objects.insert(id);
        }
    }

    pub fn answer(&mut self, key: &Key) {
        if self.has_room() {
            self.answers.insert(key.clone());
        }
    }

    fn has_room(&mut self) -> bool {
        if self.records.len() + self.objects.len() + self.answers.len() >= NOTED_MAX {
            self.anything();
        }
        !self.anything
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_its_bound_it_says_that_it_was_anything() {
        let mut since = Since::begin(7);
        for id in 0..RecordId::try_from(NOTED_MAX).unwrap() {
            since.record(id);
        }
        assert!(since.tells(7) && since.records.len() == NOTED_MAX);
        since.object(1);
        assert!(!since.tells(7) && since.records.is_empty());
        since.object(1);
        assert!(since.objects.is_empty(), "it grows no more");
    }

    #[test]
    fn it_tells_nothing_of_what_came_before_it() {
        assert!(!Since::begin(7).tells(6));
    }
}
