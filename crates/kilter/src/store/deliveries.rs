//! `deliveries`, `faults`, `decisions`: what was written where, what went wrong, what people said.

use kilter_core::Json;
use kilter_core::model::{Fault, ObjectId};
use rusqlite::params;

use super::{Result, Tx};

/// How many faults are kept; older ones are counted in `sums` only.
pub const FAULTS_KEPT: i64 = 10_000;

#[derive(Debug, Clone)]
pub struct Delivery {
    pub object: ObjectId,
    pub kind: String,
    pub fields: Json,
    pub outcome: String,
    pub fault: Option<Fault>,
    /// Method and path of the call that carried it.
    pub call: String,
}

impl Tx<'_> {
    pub fn write_deliveries(&self, deliveries: &[Delivery], at: &str) -> Result<()> {
        let sql = "INSERT INTO deliveries (object, at, kind, fields, outcome, fault, call)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let mut s = self.sql.prepare_cached(sql)?;
        for d in deliveries {
            s.execute(params![
                d.object,
                at,
                d.kind,
                d.fields.to_string(),
                d.outcome,
                d.fault.as_ref().map(ToString::to_string),
                d.call
            ])?;
        }
        Ok(())
    }

    pub fn write_fault(
        &self,
        connection: &str,
        resource: &str,
        fault: &Fault,
        at: &str,
    ) -> Result<()> {
        let sql = "INSERT INTO faults (connection, resource, at, kind, text)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        self.sql.prepare_cached(sql)?.execute(params![
            connection,
            resource,
            at,
            fault.kind.name(),
            fault.to_string()
        ])?;
        let old = self.sql.last_insert_rowid() - FAULTS_KEPT;
        self.sql.prepare_cached("DELETE FROM faults WHERE id <= ?1")?.execute([old])?;
        Ok(())
    }

    pub fn write_decision(
        &self,
        object: ObjectId,
        answer: &str,
        reason: &str,
        at: &str,
    ) -> Result<()> {
        let sql = "INSERT INTO decisions (object, answer, reason, at) VALUES (?1, ?2, ?3, ?4)";
        self.sql.prepare_cached(sql)?.execute(params![object, answer, reason, at])?;
        Ok(())
    }
}
