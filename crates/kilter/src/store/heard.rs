//! `heard`: how many webhooks came in each hour.
//!
//! Reads   and Writes  its own table.
//! Never   keeps more than what `silence` looks at.

use std::collections::BTreeMap;

use kilter_core::schedule::HISTORY_HOURS;
use rusqlite::params;

use super::{Result, Tx};

impl Tx<'_> {
    /// Counts webhooks that came in this hour, by connection.
    pub fn note_heard(&self, heard: &BTreeMap<String, i64>, hour: i64) -> Result<()> {
        let sql = "INSERT INTO heard VALUES (?1, ?2, ?3)
                   ON CONFLICT (connection, hour) DO UPDATE SET n = n + ?3";
        let mut s = self.sql.prepare_cached(sql)?;
        for (connection, n) in heard {
            s.execute(params![connection, hour, n])?;
        }
        Ok(())
    }

    /// Hour → how many, as far back as anybody looks; what is older is let go.
    pub fn heard(&self, connection: &str, hour: i64) -> Result<BTreeMap<i64, i64>> {
        let old = "DELETE FROM heard WHERE connection = ?1 AND hour < ?2";
        self.sql.prepare_cached(old)?.execute(params![connection, hour - HISTORY_HOURS])?;
        let sql = "SELECT hour, n FROM heard WHERE connection = ?1";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([connection], |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
