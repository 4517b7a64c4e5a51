//! `cursors`: how far each listing was read, and when it was asked.

use kilter_core::model::Seq;
use rusqlite::{OptionalExtension, params};

use super::{Result, Tx};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cursor {
    /// The source's own time, never ours.
    pub value: Option<String>,
    /// Where an interrupted listing goes on.
    pub page: Option<String>,
    /// Place of the log when the newest complete listing was asked.
    pub asked: Seq,
    /// Its last place: what it appended lies before.
    pub last: Seq,
    /// A complete listing has been read.
    pub complete: bool,
    pub at: String,
}

impl Tx<'_> {
    pub fn cursor(&self, connection: &str, resource: &str, each: &str) -> Result<Cursor> {
        let sql = "SELECT value, page, asked, last, complete, at FROM cursors
                   WHERE connection = ?1 AND resource = ?2 AND each = ?3";
        let found = self
            .sql
            .prepare_cached(sql)?
            .query_row([connection, resource, each], |r| {
                Ok(Cursor {
                    value: r.get(0)?,
                    page: r.get(1)?,
                    asked: r.get(2)?,
                    last: r.get(3)?,
                    complete: r.get(4)?,
                    at: r.get(5)?,
                })
            })
            .optional()?;
        Ok(found.unwrap_or_default())
    }

    pub fn set_cursor(
        &self,
        connection: &str,
        resource: &str,
        each: &str,
        cursor: &Cursor,
    ) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO cursors VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        self.sql.prepare_cached(sql)?.execute(params![
            connection,
            resource,
            each,
            cursor.value,
            cursor.page,
            cursor.asked,
            cursor.last,
            cursor.complete,
            cursor.at
        ])?;
        Ok(())
    }

    /// Is any change of a collection, up to a place, still open?
    pub fn open_until(&self, connection: &str, collection: &str, last: Seq) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM changes WHERE end IS NULL AND seq <= ?3
                   AND connection = ?1 AND collection = ?2)";
        Ok(self
            .sql
            .prepare_cached(sql)?
            .query_row(params![connection, collection, last], |r| r.get(0))?)
    }
}
