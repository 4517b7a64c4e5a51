//! `heard`: how many webhooks came in each hour.
//!
//! Reads   and Writes  its own table.
//! Never   keeps more than what `silence` looks at.

use std::collections::BTreeMap;

use kilter_core::model::Change;
use kilter_core::schedule::HISTORY_HOURS;
use rusqlite::params;

use super::{Result, Tx};

impl Tx<'_> {
    /// Counts webhooks by the hour in which they came, by connection.
    pub fn hear<'c>(&self, came: impl Iterator<Item = &'c Change>) -> Result<()> {
        let mut heard: BTreeMap<(&str, i64), i64> = BTreeMap::new();
        for change in came {
            let at = change.at.parse().unwrap_or_else(|_| jiff::Timestamp::now());
            let hour = at.as_second().div_euclid(3600);
            *heard.entry((&change.connection, hour)).or_default() += 1;
        }
        let sql = "INSERT INTO heard VALUES (?1, ?2, ?3)
                   ON CONFLICT (connection, hour) DO UPDATE SET n = n + ?3";
        let mut s = self.sql.prepare_cached(sql)?;
        for ((connection, hour), n) in heard {
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
