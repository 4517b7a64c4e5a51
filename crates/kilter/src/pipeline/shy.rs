//! Shy: which objects could not be read by their ids, and when each is asked for again.
//!
//! Reads   what came of reads.   Writes  memory alone: after a start each is asked for at once.
//! Never   holds more than so many; with one too many all are asked for again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kilter_core::model::{Object, ObjectId};
use tokio::time::Instant;

use crate::engine::backoff;

const SHY_MAX: usize = 10_000;

/// How often each failed, and until when it is left alone.
#[derive(Debug, Default)]
pub struct Shy(Mutex<HashMap<ObjectId, (u32, Instant)>>);

impl Shy {
    /// Those that may be asked for now.
    pub fn leave_out(&self, objects: Vec<Object>, now: Instant) -> Vec<Object> {
        let shy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = |o: &Object| shy.get(&o.id).is_none_or(|(_, until)| *until <= now);
        objects.into_iter().filter(asked).collect()
    }

    /// Of those that were asked for, some could not be read.
    pub fn learn(&self, asked: &[ObjectId], unread: &[ObjectId], now: Instant) {
        let mut shy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shy.len() + unread.len() > SHY_MAX {
            shy.clear();
        }
        for id in asked.iter().filter(|id| !unread.contains(id)) {
            shy.remove(id);
        }
        for id in unread {
            let tries = shy.get(id).map_or(0, |(tries, _)| *tries) + 1;
            shy.insert(*id, (tries, now + backoff(tries, None)));
        }
    }
}
