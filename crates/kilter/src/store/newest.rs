//! Newest: the place up to which the log is certain, for whoever is about to ask a remote.
//!
//! Reads   the log's newest place before each commit.   Writes  a number in memory, after it.
//! Never   waits for the one writer, nor says what is not committed: such a place would be too new, and
//!         what is asked now would be believed too much. One that is too old (another process wrote
//!         meanwhile) is only read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use kilter_core::model::Seq;

use super::{Result, Store};

#[derive(Debug, Clone, Default)]
pub struct Newest(Arc<AtomicI64>);

impl Newest {
    /// A commit succeeded, and this was the newest place in it.
    pub fn committed(&self, seq: Seq) {
        self.0.fetch_max(seq, Ordering::AcqRel);
    }
}

impl Store {
    /// The newest place of the log that is committed.
    pub fn newest(&self) -> Seq {
        self.writer.newest.0.load(Ordering::Acquire)
    }

    /// What was committed before this store was opened.
    pub(super) fn find_newest(&self) -> Result<()> {
        self.writer.newest.committed(self.read(|tx| tx.last_seq())?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use kilter_core::model::{Change, Text, Via};

    use super::super::Error;
    use super::*;

    fn one() -> [Change; 1] {
        [Change {
            seq: 0,
            connection: "shop".into(),
            collection: "products".into(),
            remote: "7".into(),
            each: Text::default(),
            via: Via::Page,
            asked: 0,
            body: serde_json::json!({}),
            at: "2026-01-01T00:00:00Z".into(),
        }]
    }

    /// A listing waited for its page before to be kept: two cores, and one of them at work.
    #[test]
    fn it_waits_for_no_turn_and_says_what_is_committed() {
        let folder = std::env::temp_dir().join(format!("kilter-newest-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("k.sqlite");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.newest(), 0);
        store.write(|tx| tx.append(&mut one())).unwrap();
        let (begun, wait) = mpsc::channel();
        let (go_on, held) = mpsc::channel::<()>();
        let writer = store.clone();
        let writing = std::thread::spawn(move || {
            writer.write(|tx| {
                tx.append(&mut one())?;
                begun.send(()).unwrap();
                held.recv().unwrap();
                Ok(())
            })
        });
        wait.recv().unwrap();
        assert_eq!(store.newest(), 1, "the writer is at work: not committed yet");
        go_on.send(()).unwrap();
        writing.join().unwrap().unwrap();
        assert_eq!(store.newest(), 2);
        let undone = store.write(|tx| {
            tx.append(&mut one())?;
            Err::<(), _>(Error::Refused("undone".into()))
        });
        assert!(undone.is_err());
        assert_eq!(store.newest(), 2, "what is undone has no place");
        drop(store);
        assert_eq!(Store::open(&path).unwrap().newest(), 2, "opened again");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
