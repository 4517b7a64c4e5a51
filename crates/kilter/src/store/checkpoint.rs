//! Checkpoints: what stands in the write-ahead log goes into the database beside the writer.
//!
//! Reads   how long the log is, after each commit.   Writes  the database file, by a connection of its own.
//! Never   lets the log grow without bound: past one the writer does what is left. Never outlives the
//!         writer: that closes last, and leaves one file.
//!
//! Where a commit does it itself, whoever waits for the writer waits along.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::Result;

/// As many more pages of the log are carried over beside the writer: each time waits for the disk twice,
/// and whoever else waits for it waits along.
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
        let mut carried = 0;
        writer.wal_hook(Some(move |wal: &mut Wal, pages: i32| {
            // It began anew.
            carried = carried.min(pages);
            if pages >= LONGEST {
                log(wal.checkpoint());
            } else if pages - carried >= LONG {
                carried = pages;
                told_by.change(|state| state.asked = true);
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
            known = open(path).map_err(|error| log(Err(error))).ok();
        }
        if let Some(connection) = &known {
            log(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())));
        }
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;")?;
    Ok(connection)
}

/// Nothing is lost by one that fails: the log holds it, and the next one is due soon. Busy: the other
/// one is at it.
fn log(done: rusqlite::Result<()>) {
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
