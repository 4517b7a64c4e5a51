//! The store: what Kilter knows, in SQLite. One file for each table; SQL stands only here.
//!
//! Reads   the database file.   Writes  it, in one transaction a batch.
//! Never   speaks row by row to a stage, nor decides anything.

pub mod changes;
mod checkpoint;
pub mod cursors;
pub mod deliveries;
pub mod exchanges;
mod group;
mod heard;
pub mod intents;
mod kept;
mod line;
pub mod meta;
mod newest;
pub mod objects;
mod objects_put;
pub mod records;
pub mod report;
mod retain;
mod since;
pub mod sold;
mod spool;
pub mod sums;
pub mod tokens;
pub mod world;

use std::cell::RefCell;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::crash;
use group::{Own, Turn};
use kept::Kept;
use kilter_core::model::Text;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use spool::Spool;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("use the database")]
    Sqlite(#[from] rusqlite::Error),
    #[error("read what the database holds of {0}")]
    Corrupt(&'static str, #[source] serde_json::Error),
    #[error("migrate the database: it was written by a newer Kilter (version {0})")]
    TooNew(i64),
    #[error("{0}")]
    Refused(String),
}

pub type Result<T> = std::result::Result<T, Error>;

fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Text> {
    Ok(row.get_ref(column)?.as_str()?.into())
}

fn some_text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Text>> {
    Ok(row.get_ref(column)?.as_str_or_null()?.map(Text::from))
}

/// Migrations are applied in their order, each once, and never changed afterwards.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_tables.sql"),
    include_str!("../../migrations/sqlite/0002_tokens.sql"),
    include_str!("../../migrations/sqlite/0003_contained.sql"),
    include_str!("../../migrations/sqlite/0004_heard.sql"),
    include_str!("../../migrations/sqlite/0005_exchanges.sql"),
    include_str!("../../migrations/sqlite/0006_fell.sql"),
    include_str!("../../migrations/sqlite/0007_bodies.sql"),
    include_str!("../../migrations/sqlite/0008_due.sql"),
];

/// Small checkpoints, until they go beside the writer: the tail of a webhook's latency comes from them.
const PRAGMAS: &str = "PRAGMA page_size=16384; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
    PRAGMA wal_autocheckpoint=128; PRAGMA busy_timeout=10000; PRAGMA foreign_keys=OFF;
    PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY;";

/// How many prepared statements a connection keeps.
const STATEMENTS_KEPT: usize = 128;

/// One writer; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Arc<Writer>,
    line: Arc<line::Line>,
    spool: Option<Arc<Spool>>,
}

/// Dropped in this order: the connection that writes closes last.
#[derive(Debug)]
struct Writer {
    _beside: Option<checkpoint::Beside>,
    newest: newest::Newest,
    all: Mutex<Own>,
}

impl Writer {
    fn new(sql: Connection, beside: Option<checkpoint::Beside>) -> Arc<Self> {
        let newest = newest::Newest::default();
        let all = Mutex::new(Own::new(sql, newest.clone()));
        Arc::new(Self { _beside: beside, newest, all })
    }

    fn lock(&self) -> MutexGuard<'_, Own> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction of the store. Everything a stage does to it is one of these.
pub struct Tx<'c> {
    pub(crate) sql: &'c Connection,
    kept: RefCell<&'c mut Kept>,
}

impl Store {
    pub fn open(path: &Path) -> Result<Self> {
        let mut store = Self::prepare(Connection::open(path)?)?;
        if path != Path::new(":memory:") {
            store.spool = Some(Arc::new(Spool::beside(path)));
        }
        store.recover()?;
        store.find_newest()?;
        Ok(store)
    }

    /// Opens what is there, without a write; for `status`, `plan`, `why` beside a running `serve`.
    pub fn open_read_only(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(Self { writer: Writer::new(connection, None), line: Arc::default(), spool: None })
    }

    fn prepare(mut connection: Connection) -> Result<Self> {
        connection.execute_batch(PRAGMAS)?;
        // Else a statement is prepared again whenever what it asks for is another value.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        migrate(&mut connection)?;
        let beside = checkpoint::Beside::of(&mut connection)?;
        Ok(Self { writer: Writer::new(connection, beside), line: Arc::default(), spool: None })
    }

    /// Runs `work` in one transaction; it is committed if `work` succeeds, else undone.
    pub fn write<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        self.in_line((false, Turn::Write), work)
    }

    /// In its turn, and with whoever waits behind it (`group`).
    fn in_line<T>(
        &self,
        (urgent, turn): (bool, Turn),
        work: impl FnOnce(&Tx<'_>) -> Result<T>,
    ) -> Result<T> {
        let mine = self.line.wait(urgent);
        let mut own = self.writer.lock();
        let out = own.work(turn, work);
        // Whom a remote waits for does not wait for others, and a look ends what it began.
        let fate = own.finish(!urgent && self.line.anybody_waits());
        drop(own);
        drop(mine);
        let out = match out? {
            Ok(out) => out?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        fate.map_or(Ok(()), |fate| fate.wait())?;
        Ok(out)
    }

    /// The same for what is only told: nothing depends on it, and it is no place to die at.
    pub fn note(&self, work: impl FnOnce(&Tx<'_>) -> Result<()>) -> Result<()> {
        self.in_line((false, Turn::Note), work)
    }

    /// Runs `work` on one snapshot; it writes nothing.
    pub fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        self.in_line((false, Turn::Look), work)
    }

    /// `write` from async code, off the runtime's threads.
    pub async fn write_async<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.in_line((false, Turn::Write), work))
            .await
            .map_err(|e| Error::Refused(format!("run a transaction: {e}")))?
    }

    /// Does anybody wait for their turn?
    pub fn waited_for(&self) -> bool {
        self.line.anybody_waits()
    }
}

impl<'c> Tx<'c> {
    fn new(sql: &'c Connection, kept: &'c mut Kept) -> Self {
        Self { sql, kept: RefCell::new(kept) }
    }
}

fn migrate(connection: &mut Connection) -> Result<()> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |r| r.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version > known {
        return Err(Error::TooNew(version));
    }
    for (n, migration) in MIGRATIONS.iter().enumerate().skip(usize::try_from(version).unwrap_or(0))
    {
        let tx = connection.transaction()?;
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "user_version", i64::try_from(n).unwrap_or(0) + 1)?;
        crash::point("before a migration", "");
        tx.commit()?;
        crash::point("after a migration", "");
    }
    Ok(())
}
