//! What people ask of the store: counts for `status`, the story of a record for `why`.

use kilter_core::model::RecordId;

use super::{Result, Tx};

/// (place in the log, connection, collection, remote id, reason)
pub type DeadLetter = (i64, String, String, String, String);
/// (connection, resource, kind, how many, newest text)
pub type FaultGroup = (String, String, String, i64, String);

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ResourceStatus {
    pub connection: String,
    pub resource: String,
    pub objects: i64,
    pub live: i64,
    /// Nothing due, nothing waiting.
    pub aligned: i64,
    pub due: i64,
    pub oldest_due: Option<String>,
    pub looks: i64,
    pub parked: i64,
    pub held: i64,
    pub dead: i64,
    pub later: i64,
    pub unmatched: i64,
}

impl Tx<'_> {
    pub fn resource_status(&self) -> Result<Vec<ResourceStatus>> {
        let sql = "SELECT connection, resource, count(*), sum(state = 'live'),
            sum((due_mark IS NULL OR due_since > ?1) AND wait_kind IS NULL AND look IS NULL
                AND state IN ('live','left')),
            sum(due_mark IS NOT NULL AND due_since <= ?1), min(iif(due_since <= ?1, due_since, NULL)), sum(look IS NOT NULL),
            coalesce(sum(wait_kind = 'parked'), 0), coalesce(sum(wait_kind = 'held'), 0),
            coalesce(sum(wait_kind = 'dead'), 0), coalesce(sum(wait_kind = 'later'), 0),
            sum(root IS NULL AND remote IS NOT NULL)
            FROM objects WHERE resource <> '' AND (root IS NOT NULL OR (remote IS NOT NULL AND state <> 'gone'))
            GROUP BY connection, resource ORDER BY 1, 2";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([crate::engine::now()], |r| {
            Ok(ResourceStatus {
                connection: r.get(0)?,
                resource: r.get(1)?,
                objects: r.get(2)?,
                live: r.get(3)?,
                aligned: r.get(4)?,
                due: r.get(5)?,
                oldest_due: r.get(6)?,
                looks: r.get(7)?,
                parked: r.get(8)?,
                held: r.get(9)?,
                dead: r.get(10)?,
                later: r.get(11)?,
                unmatched: r.get(12)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// When an object was last written, and how: newest first.
    pub fn deliveries_of(&self, object: i64, limit: i64) -> Result<Vec<[String; 6]>> {
        let sql = "SELECT at, kind, outcome, fields, coalesce(fault, ''), call FROM deliveries
                   WHERE object = ?1 ORDER BY id DESC LIMIT ?2";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([object, limit], |r| {
            Ok([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?])
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// (connection, via, remote, at) of a change.
    pub fn change_story(&self, seq: i64) -> Result<Option<[String; 4]>> {
        use rusqlite::OptionalExtension;
        let sql = "SELECT connection, via, remote, at FROM changes WHERE seq = ?1";
        let mut s = self.sql.prepare_cached(sql)?;
        let row = s.query_row([seq], |r| Ok([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?]));
        Ok(row.optional()?)
    }

    /// Dead letters of the log: (seq, connection, collection, remote, reason).
    pub fn dead_changes(&self, limit: i64) -> Result<Vec<DeadLetter>> {
        let sql = "SELECT seq, connection, collection, remote, coalesce(reason, '') FROM changes
                   WHERE end = 'dead' ORDER BY seq DESC LIMIT ?1";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows =
            s.query_map([limit], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// (connection, resource, kind, how many, newest text) of the faults that are kept.
    pub fn fault_groups(&self) -> Result<Vec<FaultGroup>> {
        let sql = "SELECT connection, resource, kind, count(*), text FROM faults
                   GROUP BY connection, resource, kind HAVING id = max(id) ORDER BY 1, 2, 3";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows =
            s.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// (connection, kind, how many) of the faults that are kept.
    pub fn fault_counts(&self) -> Result<Vec<(String, String, i64)>> {
        let sql = "SELECT connection, kind, count(*) FROM faults GROUP BY 1, 2 ORDER BY 1, 2";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn objects_of_record(&self, record: RecordId) -> Result<Vec<i64>> {
        self.object_ids_showing(record)
    }

    /// The newest poll of each resource: (connection, resource, at).
    pub fn last_polls(&self) -> Result<Vec<(String, String, String)>> {
        let sql = "SELECT connection, resource, max(at) FROM cursors GROUP BY 1, 2";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
