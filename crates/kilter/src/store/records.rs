//! `records`, `refs`, and whose references are still `pending`.

use std::collections::BTreeMap;

use kilter_core::model::record::fold;
use kilter_core::model::{Record, RecordId, Shared, Text};
use kilter_core::sync::keys::found_alike;
use kilter_core::sync::reference;
use rusqlite::{OptionalExtension, params};

use super::{Error, Result, Tx, some_text, text};

impl Tx<'_> {
    pub fn record(&self, id: RecordId) -> Result<Option<Record>> {
        Ok(self.hold_record(id)?.map(|record| (*record).clone()))
    }

    /// The same, where it is only read.
    pub fn hold_record(&self, id: RecordId) -> Result<Option<Shared<Record>>> {
        if let Some(record) = self.kept.borrow().record(id) {
            return Ok(Some(record));
        }
        let sql = "SELECT entity, key, origin, fields FROM records WHERE id = ?1";
        let mut s = self.sql.prepare_cached(sql)?;
        let row = s
            .query_row([id], |r| {
                let fields = serde_json::from_str(r.get_ref(3)?.as_str()?);
                let (entity, key, origin) = (text(r, 0)?, some_text(r, 1)?, text(r, 2)?);
                Ok(fields.map(|fields| Record { id, entity, key, origin, fields }))
            })
            .optional()?;
        let Some(record) = row else { return Ok(None) };
        let record = Shared::from(record.map_err(|e| Error::Corrupt("a record", e))?);
        self.kept.borrow_mut().keep_record(&record);
        Ok(Some(record))
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

    pub fn write_records<'r>(
        &self,
        records: impl Iterator<Item = &'r Shared<Record>>,
    ) -> Result<()> {
        for record in records {
            let was = self.hold_record(record.id)?;
            if was.as_ref() != Some(record) {
                self.write_record(was.as_deref(), record)?;
                self.kept.borrow_mut().record_written(was.as_deref(), record);
            }
        }
        Ok(())
    }

    /// SQLite writes an index anew whenever one of its columns is set: only what moved is.
    fn write_record(&self, was: Option<&Record>, record: &Record) -> Result<()> {
        let fields =
            serde_json::to_string(&record.fields).map_err(|e| Error::Corrupt("a record", e))?;
        if was.is_some_and(|was| found_alike(was, record)) {
            let sql = "UPDATE records SET fields = ?2 WHERE id = ?1";
            self.sql.prepare_cached(sql)?.execute(params![record.id, fields])?;
            return Ok(());
        }
        let folded = record.key.as_deref().map(fold);
        let sql = match was {
            None => "INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)",
            Some(was) if was.key == record.key => "UPDATE records SET fields = ?6 WHERE id = ?1",
            Some(_) => "UPDATE records SET key = ?3, folded = ?4, fields = ?6 WHERE id = ?1",
        };
        let all = params![
            record.id,
            record.entity.as_str(),
            record.key.as_deref(),
            folded.as_deref(),
            record.origin.as_str(),
            fields
        ];
        self.sql.prepare_cached(sql)?.execute(all)?;
        self.write_refs(record)?;
        let waits = reference::pending_of_record(record);
        self.write_pending(0, record.id, waits.iter().map(|p| p.text()))
    }

    /// What stands as it stood is not written.
    fn write_refs(&self, record: &Record) -> Result<()> {
        let sql = "SELECT field, target FROM refs WHERE record = ?1";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([record.id], |r| Ok((text(r, 0)?, r.get(1)?)))?;
        let before: BTreeMap<Text, i64> = rows.collect::<rusqlite::Result<_>>()?;
        let now: BTreeMap<Text, i64> = reference::direct(record).into_iter().collect();
        if before == now {
            return Ok(());
        }
        self.sql.prepare_cached("DELETE FROM refs WHERE record = ?1")?.execute([record.id])?;
        let mut refer = self.sql.prepare_cached("INSERT INTO refs VALUES (?1, ?2, ?3, ?4)")?;
        for (field, target) in now {
            refer.execute(params![record.id, record.entity.as_str(), field.as_str(), target])?;
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
