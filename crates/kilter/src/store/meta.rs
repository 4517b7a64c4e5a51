//! `meta`: single values – who an account is, since when orders flow.

use rusqlite::OptionalExtension;

use super::{Result, Tx};

impl Tx<'_> {
    pub fn meta(&self, key: &str) -> Result<Option<String>> {
        let mut s = self.sql.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(s.query_row([key], |r| r.get(0)).optional()?)
    }

    /// Whether it was there.
    pub fn forget_meta(&self, key: &str) -> Result<bool> {
        Ok(self.sql.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([key])? > 0)
    }

    /// Forgets all keys that begin so.
    pub fn forget_metas(&self, prefix: &str) -> Result<()> {
        let sql = "DELETE FROM meta WHERE substr(key, 1, length(?1)) = ?1";
        self.sql.prepare_cached(sql)?.execute([prefix])?;
        Ok(())
    }

    /// Keys that begin so, with their values.
    pub fn metas(&self, prefix: &str) -> Result<Vec<(String, String)>> {
        let sql = "SELECT key, value FROM meta WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([prefix], |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        let sql = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
        self.sql.prepare_cached(sql)?.execute([key, value])?;
        Ok(())
    }
}
