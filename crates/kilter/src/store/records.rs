//! `records`, `refs`, and whose references are still `pending`.

use std::collections::BTreeMap;

use kilter_core::model::record::fold;
use kilter_core::model::{Record, RecordId};
use kilter_core::sync::reference;
use kilter_core::sync::world::found_alike;
use rusqlite::{OptionalExtension, params};

use super::{Error, Result, Tx};

impl Tx<'_> {
    pub fn record(&self, id: RecordId) -> Result<Option<Record>> {
        let sql = "SELECT entity, key, origin, fields, version FROM records WHERE id = ?1";
        let mut s = self.sql.prepare_cached(sql)?;
        let row = s
            .query_row([id], |r| {
                Ok((
                    r.get::<_, String>(0)?,
                    r.get::<_, Option<String>>(1)?,
                    r.get::<_, String>(2)?,
                    r.get::<_, String>(3)?,
                    r.get::<_, i64>(4)?,
                ))
            })
            .optional()?;
        let Some((entity, key, origin, fields, version)) = row else { return Ok(None) };
        let fields = serde_json::from_str(&fields).map_err(|e| Error::Corrupt("a record", e))?;
        Ok(Some(Record { id, entity, key, origin, fields, version }))
    }

    pub fn record_ids_by_key(&self, entity: &str, folded: &str) -> Result<Vec<RecordId>> {
        let sql = "SELECT id FROM records WHERE entity = ?1 AND folded = ?2";
        self.ids(sql, params![entity, folded])
    }

    /// The next records by id, for those who walk over all.
    pub fn record_ids_after(&self, after: RecordId, limit: usize) -> Result<Vec<RecordId>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.ids("SELECT id FROM records WHERE id > ?1 ORDER BY id LIMIT ?2", params![after, limit])
    }

    pub fn referrers(&self, entity: &str, field: &str, to: RecordId) -> Result<Vec<RecordId>> {
        let sql = "SELECT record FROM refs WHERE target = ?3 AND entity = ?1 AND field = ?2";
        self.ids(sql, params![entity, field, to])
    }

    pub fn pending(&self, what: i64, text: &str) -> Result<Vec<i64>> {
        self.ids("SELECT id FROM pending WHERE pending = ?1 AND what = ?2", params![text, what])
    }

    pub(crate) fn ids(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<i64>> {
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map(params, |r| r.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn write_records<'r>(&self, records: impl Iterator<Item = &'r Record>) -> Result<()> {
        let sql = "INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)";
        let mut insert = self.sql.prepare_cached(sql)?;
        // SQLite writes an index anew whenever one of its columns is set.
        let sql = "UPDATE records SET fields = ?6, version = version + 1
                   WHERE id = ?1 AND key IS ?3 AND folded IS ?4";
        let mut change = self.sql.prepare_cached(sql)?;
        let sql = "UPDATE records SET key = ?3, folded = ?4, fields = ?6, version = version + 1
                   WHERE id = ?1";
        let mut rename = self.sql.prepare_cached(sql)?;
        for record in records {
            let fields =
                serde_json::to_string(&record.fields).map_err(|e| Error::Corrupt("a record", e))?;
            let folded = record.key.as_deref().map(fold);
            let row = params![record.id, record.entity, record.key, folded, record.origin, fields];
            if change.execute(row)? == 0 && rename.execute(row)? == 0 {
                insert.execute(row)?;
            }
            self.write_refs(record)?;
            let waits = reference::pending_of_record(record);
            self.write_pending(0, record.id, waits.iter().map(|p| p.text()))?;
        }
        Ok(())
    }

    /// The same of what is known as it was: nothing is asked again.
    pub fn write_changed_records<'r>(
        &self,
        records: impl Iterator<Item = (Option<&'r Record>, &'r Record)>,
    ) -> Result<()> {
        let sql = "UPDATE records SET fields = ?2, version = version + 1 WHERE id = ?1";
        for (was, record) in records {
            if !was.is_some_and(|was| found_alike(was, record)) {
                self.write_records(std::iter::once(record))?;
                continue;
            }
            let fields =
                serde_json::to_string(&record.fields).map_err(|e| Error::Corrupt("a record", e))?;
            self.sql.prepare_cached(sql)?.execute(params![record.id, fields])?;
        }
        Ok(())
    }

    /// What stands as it stood is not written.
    fn write_refs(&self, record: &Record) -> Result<()> {
        let sql = "SELECT field, target FROM refs WHERE record = ?1";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([record.id], |r| Ok((r.get(0)?, r.get(1)?)))?;
        let before: BTreeMap<String, i64> = rows.collect::<rusqlite::Result<_>>()?;
        let now: BTreeMap<String, i64> = reference::direct(record).into_iter().collect();
        if before == now {
            return Ok(());
        }
        self.sql.prepare_cached("DELETE FROM refs WHERE record = ?1")?.execute([record.id])?;
        let mut refer = self.sql.prepare_cached("INSERT INTO refs VALUES (?1, ?2, ?3, ?4)")?;
        for (field, target) in now {
            refer.execute(params![record.id, record.entity, field, target])?;
        }
        Ok(())
    }

    pub(crate) fn write_pending(
        &self,
        what: i64,
        id: i64,
        texts: impl Iterator<Item = String>,
    ) -> Result<()> {
        let sql = "DELETE FROM pending WHERE what = ?1 AND id = ?2";
        self.sql.prepare_cached(sql)?.execute([what, id])?;
        let mut put = self.sql.prepare_cached("INSERT INTO pending VALUES (?1, ?2, ?3)")?;
        for text in texts {
            put.execute(params![what, id, text])?;
        }
        Ok(())
    }
}
