//! The floor of merging: what one writes by hand for one ERP and one shop, and no more. A body is
//! parsed to a struct; three selects, three writes; one transaction for five hundred.
//!
//! Reads   bodies out of memory.   Writes  three tables of SQLite, tuned as Kilter's own file is.
//! Never   asks who owns a field, keeps what a remote said, or says how a change ended.
//!
//! Tuned: statements are kept; what did not change is not written; `page_size` 16 KiB and small
//! checkpoints. Tried and left: multi-row upserts and selects by lists of keys (slower here).

use std::borrow::Cow;
use std::path::Path;

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

const BATCH: usize = 500;

const TABLES: &str = "PRAGMA page_size=16384; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
    PRAGMA wal_autocheckpoint=128; PRAGMA cache_size=-65536;
    CREATE TABLE remote (id TEXT PRIMARY KEY, variant INTEGER, seen TEXT) WITHOUT ROWID;
    CREATE TABLE variant (id INTEGER PRIMARY KEY, sku TEXT UNIQUE, weight TEXT, status TEXT, price TEXT);
    CREATE TABLE shown (variant INTEGER PRIMARY KEY, id INTEGER, due INTEGER, since TEXT);";

/// What a body says, as far as it is needed.
#[derive(Debug, Deserialize, Serialize)]
struct Item<'a> {
    id: i64,
    #[serde(borrow)]
    sku: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    price: Cow<'a, str>,
    weight: serde_json::Number,
}

/// A file that knows `bodies` and a shop that shows all of them.
pub fn load(path: &Path, bodies: &[String]) -> Result<()> {
    let mut sql = Connection::open(path)?;
    sql.execute_batch(TABLES)?;
    let tx = sql.transaction()?;
    for body in bodies {
        let item: Item<'_> = serde_json::from_str(body)?;
        let (id, seen) = (item.id, serde_json::to_string(&item)?);
        tx.execute("INSERT INTO remote VALUES (?1, ?2, ?3)", params![id.to_string(), id, seen])?;
        let weight = item.weight.to_string();
        let row = params![id, item.sku, weight, item.status, item.price];
        tx.execute("INSERT INTO variant VALUES (?1, ?2, ?3, ?4, ?5)", row)?;
        tx.execute("INSERT INTO shown VALUES (?1, ?2, 0, NULL)", params![id, id + 1000])?;
    }
    Ok(tx.commit()?)
}

/// Merges all of them; how many differed.
pub fn run(path: &Path, bodies: &[String]) -> Result<usize> {
    let mut sql = Connection::open(path)?;
    sql.execute_batch(
        "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=128; PRAGMA cache_size=-65536;",
    )?;
    sql.set_prepared_statement_cache_capacity(16);
    let mut differed = 0;
    for batch in bodies.chunks(BATCH) {
        let tx = sql.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for body in batch {
            differed += usize::from(one(&tx, body)?);
        }
        tx.commit()?;
    }
    Ok(differed)
}

fn one(tx: &rusqlite::Transaction<'_>, body: &str) -> Result<bool> {
    let item: Item<'_> = serde_json::from_str(body)?;
    let id = item.id.to_string();
    let seen = serde_json::to_string(&item)?;
    let mut s = tx.prepare_cached("SELECT variant, seen FROM remote WHERE id = ?1")?;
    let known: Option<(i64, String)> =
        s.query_row([&id], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
    let Some((variant, before)) = known else { return Ok(false) };
    if before == seen {
        return Ok(false);
    }
    let mut s =
        tx.prepare_cached("SELECT sku, weight, status, price FROM variant WHERE id = ?1")?;
    let was: [String; 4] =
        s.query_row([variant], |r| Ok([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?]))?;
    let weight = item.weight.to_string();
    let now = [&*item.sku, &*weight, &*item.status, &*item.price];
    let mut s = tx.prepare_cached("UPDATE remote SET seen = ?2 WHERE id = ?1")?;
    s.execute(params![id, seen])?;
    if was.iter().map(String::as_str).eq(now) {
        return Ok(true);
    }
    let mut s = tx.prepare_cached(
        "UPDATE variant SET sku = ?2, weight = ?3, status = ?4, price = ?5 WHERE id = ?1",
    )?;
    s.execute(params![variant, now[0], now[1], now[2], now[3]])?;
    let mut s = tx.prepare_cached("SELECT due FROM shown WHERE variant = ?1")?;
    let due: i64 = s.query_row([variant], |r| r.get(0))?;
    let mut s = tx.prepare_cached(
        "UPDATE shown SET due = ?2, since = coalesce(since, datetime('now')) WHERE variant = ?1",
    )?;
    s.execute(params![variant, due + 1])?;
    Ok(true)
}
