//! The line before the one writer: who is urgent goes next, and never twice while another waits.
//!
//! Reads   nothing.   Writes  nothing.
//! Never   lets somebody wait for ever: among equals, who came first goes first.
//!
//! A webhook is acknowledged once it is kept. Behind merges and plans that each take their tens of
//! milliseconds it would wait as long as all of them together; so it waits for one. A turn that ends wakes
//! who is next and nobody else: of fifty who wait, forty-nine would only look and lie down again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

#[derive(Debug, Default)]
struct State {
    busy: bool,
    /// Who has the writer, or had it last, was urgent.
    urgent: bool,
    next: u64,
    waiting: [VecDeque<(u64, Thread)>; 2],
}

#[derive(Debug, Default)]
pub struct Line {
    state: Mutex<State>,
}

/// Whose turn it is. Dropped, the next one's.
#[derive(Debug)]
pub struct Turn<'l>(&'l Line);

impl Line {
    pub fn wait(&self, urgent: bool) -> Turn<'_> {
        let mut state = self.lock();
        let ticket = state.next;
        state.next += 1;
        state.waiting[usize::from(urgent)].push_back((ticket, thread::current()));
        while state.busy || state.first().is_none_or(|(first, _)| *first != ticket) {
            drop(state);
            thread::park();
            state = self.lock();
        }
        state.waiting[usize::from(urgent)].pop_front();
        (state.busy, state.urgent) = (true, urgent);
        Turn(self)
    }

    /// Does anybody wait?
    pub fn anybody_waits(&self) -> bool {
        self.lock().waiting.iter().any(|queue| !queue.is_empty())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn first(&self) -> Option<&(u64, Thread)> {
        let [calm, urgent] = self.waiting.each_ref().map(VecDeque::front);
        if self.urgent { calm.or(urgent) } else { urgent.or(calm) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.busy = false;
        let next = state.first().map(|(_, thread)| thread.clone());
        drop(state);
        next.iter().for_each(Thread::unpark);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_urgent_go_next_and_never_twice_while_another_waits() {
        let line = Arc::new(Line::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        let held = line.wait(false);
        let mut threads = Vec::new();
        for (name, urgent) in [("a", false), ("b", false), ("U", true), ("V", true), ("c", false)] {
            let (own, told) = (Arc::clone(&line), Arc::clone(&order));
            threads.push(std::thread::spawn(move || {
                let _turn = own.wait(urgent);
                told.lock().unwrap().push(name);
            }));
            let waiting = threads.len();
            while line.lock().waiting.iter().map(VecDeque::len).sum::<usize>() < waiting {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        drop(held);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*order.lock().unwrap(), ["U", "a", "V", "b", "c"]);
    }
}
