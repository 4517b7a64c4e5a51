//! Exchanges: each request that left, and what came back, as it is told to a person who asks later.
//!
//! Reads   nothing.   Writes  a queue in memory, bounded; `engine` carries it into the store.
//! Never   holds a header, a secret, a body of what went well, nor keeps a call waiting.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One request and its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Exchange {
    /// When it left.
    pub at: String,
    pub connection: String,
    /// Empty where it was for no resource: a token, a file, who is there.
    pub resource: String,
    pub method: String,
    /// Without the address of the remote, and without the values of a query that are words.
    pub path: String,
    /// 0: no answer came.
    pub status: u16,
    pub ms: u64,
    pub bytes_out: u64,
    pub bytes_in: u64,
    /// What the remote calls it, where it says so: its support asks for that.
    pub request: String,
    /// Of a failure: what it was, and how its answer begins.
    pub failure: String,
}

/// Most that wait to be written. What comes beyond is counted, and that is told.
pub const QUEUE_MAX: usize = 4096;

#[derive(Debug, Default)]
pub struct Exchanges {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Exchange>,
    lost: u64,
}

impl Exchanges {
    pub fn push(&self, exchange: Exchange) {
        let mut queue = self.queue();
        if queue.waiting.len() >= QUEUE_MAX {
            queue.lost += 1;
        } else {
            queue.waiting.push_back(exchange);
        }
    }

    /// The oldest, and how many were lost since this was asked last.
    pub fn take(&self, most: usize) -> (Vec<Exchange>, u64) {
        let mut queue = self.queue();
        let n = queue.waiting.len().min(most);
        let taken = queue.waiting.drain(..n).collect();
        (taken, std::mem::take(&mut queue.lost))
    }

    /// They could not be written.
    pub fn lose(&self, n: u64) {
        self.queue().lost += n;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Exchange, Exchanges, QUEUE_MAX};

    #[test]
    fn what_does_not_fit_is_counted_and_the_oldest_go_first() {
        let log = Exchanges::default();
        for n in 0..QUEUE_MAX + 3 {
            log.push(Exchange { path: n.to_string(), ..Exchange::default() });
        }
        let (taken, lost) = log.take(2);
        assert_eq!(taken.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), ["0", "1"]);
        assert_eq!(lost, 3);
        log.push(Exchange::default());
        let (rest, lost) = log.take(usize::MAX);
        assert_eq!((rest.len(), lost), (QUEUE_MAX - 1, 0));
    }
}
