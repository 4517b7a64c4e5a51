//! `meta`: single values – who an account is, since when orders flow.

use rusqlite::OptionalExtension;

use super::{Result, Tx};

impl Tx<'_> {
    pub fn meta(&self, key: &str) -> Result<Option<String>> {
        let mut s = self.sql.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(s.query_row([key], |r| r.get(0)).optional()?)
    }

    pub fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        let sql = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
        self.sql.prepare_cached(sql)?.execute([key, value])?;
        Ok(())
    }
}
