//! The floor of a sweep: the same pages, parsed, a hash of each variant, compared with what SQLite
//! holds.
//!
//! Reads   the stockroom's listing; one table.   Writes  hashes, the first time.
//! Never   knows what a field means.
//!
//! Tuned: rows are looked up by a kept statement, in one snapshot; the client is the bench's own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use crate::wire::Wire;

const PAGE: usize = 500;

#[derive(Debug, Clone, Copy)]
pub struct Swept {
    pub items: usize,
    pub differed: usize,
    pub seconds: f64,
}

/// Reads everything once; what differs is written, in one transaction a page.
pub async fn run(from: SocketAddr, database: &Path) -> Result<Swept> {
    let mut sql = Connection::open(database)?;
    sql.execute_batch(
        "PRAGMA page_size=16384; PRAGMA journal_mode=WAL;
         CREATE TABLE IF NOT EXISTS hashes (id TEXT PRIMARY KEY, hash BLOB) WITHOUT ROWID;",
    )?;
    let mut wire = Wire::open(from).await.context("reach the stockroom")?;
    let started = Instant::now();
    let (mut items, mut differed) = (0, 0);
    loop {
        let line = format!("GET /stockroom/articles?offset={items}&limit={PAGE}");
        let (_, body) = wire.send(&line, "", b"").await?;
        let page: Vec<Value> = serde_json::from_slice(body).context("read a page")?;
        if page.is_empty() {
            break;
        }
        items += page.len();
        let tx = sql.transaction()?;
        for item in &page {
            differed += usize::from(one(&tx, item)?);
        }
        tx.commit()?;
    }
    Ok(Swept { items, differed, seconds: started.elapsed().as_secs_f64() })
}

fn one(tx: &rusqlite::Transaction<'_>, item: &Value) -> Result<bool> {
    let (id, hash) = (item["id"].to_string(), blake3::hash(item.to_string().as_bytes()));
    let mut s = tx.prepare_cached("SELECT hash FROM hashes WHERE id = ?1")?;
    let known: Option<Vec<u8>> = s.query_row([&id], |r| r.get(0)).optional()?;
    if known.as_deref() == Some(hash.as_bytes()) {
        return Ok(false);
    }
    let mut s = tx.prepare_cached("INSERT OR REPLACE INTO hashes VALUES (?1, ?2)")?;
    s.execute(params![id, hash.as_bytes()])?;
    Ok(true)
}
