//! `exchanges`: each request that left, and what came back.
//!
//! Reads   them, the newest first.   Writes  many at a time.
//! Never   stands in the way of what they tell of: they are written beside it, a moment later.

use rusqlite::params;

use super::{Result, Tx};
use crate::exchange::Exchange;

/// Most that are written in one transaction.
pub const AT_ONCE: usize = 500;

/// Which are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub connection: Option<String>,
    pub failed: bool,
    pub most: usize,
}

impl Tx<'_> {
    pub fn write_exchanges(&self, exchanges: &[Exchange]) -> Result<()> {
        let sql = "INSERT INTO exchanges (at, connection, resource, method, path, status, ms,
            bytes_out, bytes_in, request, failure)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let mut s = self.sql.prepare_cached(sql)?;
        for e in exchanges {
            s.execute(params![
                e.at,
                e.connection,
                e.resource,
                e.method,
                e.path,
                e.status,
                whole(e.ms),
                whole(e.bytes_out),
                whole(e.bytes_in),
                e.request,
                e.failure
            ])?;
        }
        Ok(())
    }

    /// The newest that are wanted, the oldest of them first.
    pub fn exchanges(&self, wanted: &Wanted) -> Result<Vec<Exchange>> {
        let sql = "SELECT at, connection, resource, method, path, status, ms, bytes_out, bytes_in,
            request, failure FROM exchanges
            WHERE (?1 IS NULL OR connection = ?1) AND (NOT ?2 OR failure <> '')
            ORDER BY id DESC LIMIT ?3";
        let mut s = self.sql.prepare_cached(sql)?;
        let most = i64::try_from(wanted.most).unwrap_or(i64::MAX);
        let size = |n: i64| u64::try_from(n).unwrap_or(0);
        let rows = s.query_map(params![wanted.connection, wanted.failed, most], |r| {
            Ok(Exchange {
                at: r.get(0)?,
                connection: r.get(1)?,
                resource: r.get(2)?,
                method: r.get(3)?,
                path: r.get(4)?,
                status: r.get(5)?,
                ms: size(r.get(6)?),
                bytes_out: size(r.get(7)?),
                bytes_in: size(r.get(8)?),
                request: r.get(9)?,
                failure: r.get(10)?,
            })
        })?;
        let mut out: Vec<Exchange> = rows.collect::<std::result::Result<_, _>>()?;
        out.reverse();
        Ok(out)
    }
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
