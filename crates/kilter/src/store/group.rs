//! Group: transactions of several who wait are committed at once; each is told when all of it lasts.
//!
//! Reads   who waits in line.   Writes  the database: begins, commits, takes back.
//! Never   answers before the commit that holds the answer's work, nor lets one that fails take another
//!         along: each but the first works behind a savepoint.
//!
//! A commit waits for the disk. Where ten wait for their turn, one wait serves them all.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::changes::last_seq;
use super::kept::Kept;
use super::newest::Newest;
use super::{Error, Result, Tx};
use crate::crash;

/// As many are committed at once.
const GROUP_MAX: usize = 64;

/// Who was first waits no longer for the others.
const GROUP_TIME: Duration = Duration::from_millis(8);

/// What whoever has the turn works with.
#[derive(Debug)]
pub struct Own {
    sql: Connection,
    kept: Kept,
    newest: Newest,
    group: Option<Group>,
}

#[derive(Debug)]
struct Group {
    began: Instant,
    size: usize,
    /// SQLite's count of changed rows when it began.
    before: u64,
    fate: Arc<Fate>,
}

/// What somebody wants of their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Look,
    Write,
    /// Writes what is only told: no place to die at.
    Note,
}

/// What became of a group.
#[derive(Debug, Default)]
pub struct Fate {
    ended: Mutex<Option<std::result::Result<(), String>>>,
    told: Condvar,
}

impl Fate {
    fn lock(&self) -> MutexGuard<'_, Option<std::result::Result<(), String>>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, ended: std::result::Result<(), String>) {
        *self.lock() = Some(ended);
        self.told.notify_all();
    }

    pub fn wait(&self) -> Result<()> {
        let mut ended = self.lock();
        loop {
            match &*ended {
                Some(Ok(())) => return Ok(()),
                Some(Err(text)) => return Err(Error::Refused(text.clone())),
                None => ended = self.told.wait(ended).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// What the work of one came to: or it panicked, and whoever called it is to know.
pub type Worked<T> = std::result::Result<Result<T>, Box<dyn Any + Send>>;

impl Own {
    pub fn new(sql: Connection, newest: Newest) -> Self {
        Self { sql, kept: Kept::default(), newest, group: None }
    }

    /// Works in the open transaction, or begins one: for writing, or for a look that ends with it.
    pub fn work<T>(
        &mut self,
        turn: Turn,
        work: impl FnOnce(&Tx<'_>) -> Result<T>,
    ) -> Result<Worked<T>> {
        let first = self.group.is_none();
        if first {
            self.begin(turn != Turn::Look)?;
        } else {
            self.sql.execute_batch("SAVEPOINT one")?;
        }
        let before = self.sql.total_changes();
        let out = {
            let tx = Tx::new(&self.sql, &mut self.kept);
            catch_unwind(AssertUnwindSafe(|| work(&tx)))
        };
        let good = matches!(out, Ok(Ok(_)));
        let ended = match (first, good) {
            (true, true) => Ok(()),
            (true, false) => self.take_back("ROLLBACK"),
            (false, true) => self.sql.execute_batch("RELEASE one").map_err(Error::from),
            (false, false) => self.take_back("ROLLBACK TO one; RELEASE one"),
        };
        if first && !good {
            self.group = None;
        }
        if let Some(group) = self.group.as_mut().filter(|_| turn == Turn::Note) {
            group.before += self.sql.total_changes() - before;
        }
        // What cannot be taken back alone, is taken back with all the others.
        if let Err(error) = ended {
            self.end(Err(error.to_string()));
            return Err(error);
        }
        Ok(out)
    }

    fn begin(&mut self, writes: bool) -> Result<()> {
        self.sql.execute_batch(if writes { "BEGIN IMMEDIATE" } else { "BEGIN" })?;
        let others = self.sql.prepare_cached("PRAGMA data_version")?.query_row([], |r| r.get(0))?;
        self.kept.begin(others);
        let before = self.sql.total_changes();
        let fate = Arc::default();
        self.group = Some(Group { began: Instant::now(), size: 0, before, fate });
        Ok(())
    }

    fn take_back(&mut self, how: &str) -> Result<()> {
        self.kept.clear();
        Ok(self.sql.execute_batch(how)?)
    }

    /// Commits, unless somebody waits who may join. What became of it, the fate will tell.
    pub fn finish(&mut self, others_wait: bool) -> Option<Arc<Fate>> {
        let group = self.group.as_mut()?;
        group.size += 1;
        let fate = Arc::clone(&group.fate);
        let lasts = self.sql.total_changes() > group.before;
        let full = group.size >= GROUP_MAX || group.began.elapsed() >= GROUP_TIME;
        if lasts && others_wait && !full {
            return Some(fate);
        }
        if lasts {
            crash::point("before a commit", "");
        }
        let ended = self.commit(lasts).map_err(|e| format!("commit: {e}"));
        if lasts && ended.is_ok() {
            crash::point("after a commit", "");
        }
        self.end(ended);
        Some(fate)
    }

    fn commit(&mut self, lasts: bool) -> rusqlite::Result<()> {
        let newest = if lasts { Some(last_seq(&self.sql)?) } else { None };
        self.sql.execute_batch("COMMIT")?;
        newest.into_iter().for_each(|seq| self.newest.committed(seq));
        Ok(())
    }

    fn end(&mut self, ended: std::result::Result<(), String>) {
        if ended.is_ok() {
            self.kept.stands();
        } else {
            self.kept.clear();
            if !self.sql.is_autocommit()
                && let Err(error) = self.sql.execute_batch("ROLLBACK")
            {
                tracing::error!(error = %error, "failed to take back a transaction");
            }
        }
        if let Some(group) = self.group.take() {
            group.fate.tell(ended);
        }
    }
}
