//! `sums`: what was received and how it ended, kept as it happens.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Result, Tx};

/// (connection, collection, kind) → how many.
pub type Sums = BTreeMap<(String, String, String), i64>;

impl Tx<'_> {
    pub fn add_sums(&self, sums: &Sums) -> Result<()> {
        let sql = "INSERT INTO sums VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (connection, collection, kind) DO UPDATE SET n = n + ?4";
        let mut s = self.sql.prepare_cached(sql)?;
        for ((connection, collection, kind), n) in sums {
            s.execute(params![connection, collection, kind, n])?;
        }
        Ok(())
    }

    pub fn sums(&self) -> Result<Sums> {
        let mut s = self.sql.prepare_cached("SELECT connection, collection, kind, n FROM sums")?;
        let rows = s.query_map([], |r| Ok(((r.get(0)?, r.get(1)?, r.get(2)?), r.get(3)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Counts one.
pub fn count(sums: &mut Sums, connection: &str, collection: &str, kind: &str, n: i64) {
    *sums.entry((connection.to_owned(), collection.to_owned(), kind.to_owned())).or_default() += n;
}
