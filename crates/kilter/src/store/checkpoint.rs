//! Checkpoints: what stands in the write-ahead log goes into the database beside the writer.
//!
//! Reads   how long the log is, after each commit.   Writes  the database file, by a connection of its own.
//! Never   lets the log grow without bound: past one the writer does what is left. Never outlives the
//!         writer: that closes last, and leaves one file.
//!
//! Where a commit does it itself, whoever waits for the writer waits along.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::Result;

/// Pages of the log that came since it was last asked for: as many are carried over beside the writer. Each
/// time waits for the disk twice, and whoever else waits for it waits along.
const LONG: i32 = 128;

/// From here on the writer carries over what is left.
const LONGEST: i32 = 1024;

#[derive(Debug)]
pub struct Beside {
    told: Arc<Told>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Told {
    state: Mutex<State>,
    moved: Condvar,
    /// Pages of the log that were carried over, as far as is known.
    carried: AtomicI32,
}

/// The log as its writer knows it.
#[derive(Debug, Default)]
struct Log {
    /// How long it was after the last commit, and when it was last asked for.
    last: i32,
    asked: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Nothing,
    Beside,
    /// The writer, so that the log has a bound.
    Itself,
}

impl Log {
    /// After a commit: it is so long, and up to there it was carried over.
    fn next(&mut self, pages: i32, carried: i32) -> Next {
        // It began anew, or may have: what was all carried over is written over from its beginning.
        if pages < self.last || carried >= self.last {
            self.asked = 0;
        }
        self.last = pages;
        if pages >= LONGEST {
            self.asked = 0;
            return Next::Itself;
        }
        let due = pages - self.asked >= LONG;
        if due {
            self.asked = pages;
        }
        if due { Next::Beside } else { Next::Nothing }
    }
}

#[derive(Debug, Default)]
struct State {
    asked: bool,
    ended: bool,
}

impl Beside {
    /// From now on the commits of `writer` only say how long the log is.
    pub fn of(writer: &mut Connection) -> Result<Option<Self>> {
        let path = writer.path().filter(|path| !path.is_empty()).map(PathBuf::from);
        let Some(path) = path else { return Ok(None) };
        let told = Arc::new(Told::default());
        let told_by = Arc::clone(&told);
        let mut log = Log::default();
        writer.wal_hook(Some(move |wal: &mut Wal, pages: i32| {
            match log.next(pages, told_by.carried.load(Ordering::Relaxed)) {
                Next::Nothing => {}
                Next::Beside => told_by.change(|state| state.asked = true),
                Next::Itself => {
                    say(wal.checkpoint());
                    told_by.carried.store(pages, Ordering::Relaxed);
                }
            }
            Ok(())
        }))?;
        let asked = Arc::clone(&told);
        let work = move || carry_over(&path, &asked);
        let thread = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(work);
        let refused = |e| super::Error::Refused(format!("start a thread for checkpoints: {e}"));
        Ok(Some(Self { told, thread: Some(thread.map_err(refused)?) }))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.told.change(|state| state.ended = true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the checkpoints ended early");
        }
    }
}

impl Told {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.moved.notify_one();
    }

    /// Waits until it is asked for. False: it is over.
    fn next(&self) -> bool {
        let mut state = self.lock();
        while !state.asked && !state.ended {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.asked = false;
        !state.ended
    }
}

fn carry_over(path: &Path, asked: &Told) {
    let mut known = None;
    while asked.next() {
        if known.is_none() {
            known = open(path).map_err(|error| say(Err(error))).ok();
        }
        if let Some(connection) = &known {
            // Whether somebody else was at it, how long the log was, and how much of it is carried over.
            let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |r| r.get(2));
            say(done.map(|pages| asked.carried.store(pages, Ordering::Relaxed)));
        }
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;")?;
    Ok(connection)
}

/// Nothing is lost by one that fails: the log holds it, and the next one is due so many pages later.
/// Busy: the other one is at it.
fn say(done: rusqlite::Result<()>) {
    if let Err(error) = done
        && error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy)
    {
        tracing::warn!(error = %error, "a checkpoint failed");
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn it_is_asked_for_by_what_came_since_and_not_by_each_commit() {
        // How long the log is after each commit, how much is carried over by then, and what is due.
        let nothing = [(127, 0, Next::Nothing)];
        let slow = [
            (128, 0, Next::Beside),
            (140, 0, Next::Nothing),
            (255, 128, Next::Nothing),
            (256, 128, Next::Beside),
            (1_023, 128, Next::Beside),
            (1_024, 128, Next::Itself),
        ];
        // Large commits, each carried over before the next, which begins the log anew: as long as it was.
        let large = [(700, 0, Next::Beside), (700, 700, Next::Beside), (720, 700, Next::Beside)];
        let anew = [(900, 0, Next::Beside), (5, 900, Next::Nothing), (133, 0, Next::Beside)];
        // Somebody reads: it cannot begin anew, though all was carried over.
        let read = [(200, 0, Next::Beside), (210, 200, Next::Beside), (215, 200, Next::Nothing)];
        for story in [&nothing[..], &slow, &large, &anew, &read] {
            let mut log = Log::default();
            let next = |&(pages, carried, _): &(i32, i32, _)| log.next(pages, carried);
            let found: Vec<Next> = story.iter().map(next).collect();
            let wanted: Vec<Next> = story.iter().map(|&(.., next)| next).collect();
            assert_eq!(found, wanted, "{story:?}");
        }
    }

    #[test]
    fn the_log_stays_short_and_a_closed_store_is_one_file() {
        let folder = std::env::temp_dir().join(format!("kilter-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (path, wal) = (folder.join("k.sqlite"), folder.join("k.sqlite-wal"));
        let store = Store::open(&path).unwrap();
        let value = "x".repeat(40_000);
        let rows = 2 * usize::try_from(LONGEST).unwrap();
        for n in 0..rows {
            store.write(|tx| tx.set_meta(&format!("{n:06}"), &value)).unwrap();
        }
        // Each row takes three pages and the inner ones; a page of the log has a head of 24 bytes.
        let most = u64::try_from(LONGEST).unwrap() * 2 * (16_384 + 24);
        assert!(std::fs::metadata(&wal).unwrap().len() < most);
        drop(store);
        assert!(!wal.exists());
        let alone = Connection::open(&path).unwrap();
        let all = |r: &rusqlite::Row<'_>| r.get::<_, i64>(0);
        let there =
            alone.query_row("SELECT count(*) FROM meta WHERE length(value) = 40000", [], all);
        assert_eq!(usize::try_from(there.unwrap()), Ok(rows));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
