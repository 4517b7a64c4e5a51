//! `intents` and `attempts`: creates that must not happen twice (R0–R6).
//!
//! A permit is one row in `attempts`, taken in one transaction before the one request it allows.
//! A fact – the create happened, here is its id – is written from any state, and never fenced.

use kilter_core::Json;
use kilter_core::model::ObjectId;
use rusqlite::{OptionalExtension, Row, params};

use super::{Error, Result, Tx};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Ready,
    Uncertain,
    Done,
    Parked,
    Rejected,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Uncertain => "uncertain",
            Self::Done => "done",
            Self::Parked => "parked",
            Self::Rejected => "rejected",
        }
    }
    fn parse(text: &str) -> Self {
        match text {
            "uncertain" => Self::Uncertain,
            "done" => Self::Done,
            "parked" => Self::Parked,
            "rejected" => Self::Rejected,
            _ => Self::Ready,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Intent {
    pub intent: String,
    pub object: ObjectId,
    pub connection: String,
    pub resource: String,
    pub reference: String,
    /// Frozen at the first permit.
    pub payload: Option<Json>,
    pub class: String,
    pub status: Status,
    pub permits: i64,
    pub first_sent: Option<String>,
    pub lookups: i64,
    pub next_at: String,
}

const COLUMNS: &str = "intent, object, connection, resource, ref, payload, class, status, permits,
    first_sent, lookups, next_at";

fn intent(r: &Row<'_>) -> rusqlite::Result<(Intent, Option<String>)> {
    let payload: Option<String> = r.get(5)?;
    Ok((
        Intent {
            intent: r.get(0)?,
            object: r.get(1)?,
            connection: r.get(2)?,
            resource: r.get(3)?,
            reference: r.get(4)?,
            payload: None,
            class: r.get(6)?,
            status: Status::parse(&r.get::<_, String>(7)?),
            permits: r.get(8)?,
            first_sent: r.get(9)?,
            lookups: r.get(10)?,
            next_at: r.get(11)?,
        },
        payload,
    ))
}

fn read((mut intent, payload): (Intent, Option<String>)) -> Result<Intent> {
    if let Some(text) = payload {
        let payload = serde_json::from_str(&text).map_err(|e| Error::Corrupt("an intent", e))?;
        intent.payload = Some(payload);
    }
    Ok(intent)
}

impl Tx<'_> {
    /// R0: written once, whoever comes first.
    pub fn insert_intent(&self, i: &Intent) -> Result<()> {
        let sql = "INSERT INTO intents VALUES (?1, ?2, ?3, ?4, ?5, NULL, NULL, ?6, 'ready', 0,
                   NULL, 0, ?7, NULL) ON CONFLICT DO NOTHING";
        self.sql.prepare_cached(sql)?.execute(params![
            i.intent,
            i.object,
            i.connection,
            i.resource,
            i.reference,
            i.class,
            i.next_at
        ])?;
        Ok(())
    }

    pub fn intent_of(&self, object: ObjectId) -> Result<Option<Intent>> {
        let sql = format!("SELECT {COLUMNS} FROM intents WHERE object = ?1");
        let found = self.sql.prepare_cached(&sql)?.query_row([object], intent).optional()?;
        found.map(read).transpose()
    }

    /// R2: one permit, and the attempt that may use it. False: not allowed (any more).
    /// Class C is allowed one that is not proven unapplied; class A as many as it takes.
    pub fn permit(
        &self,
        i: &Intent,
        attempt: &str,
        payload: &Json,
        now: &str,
        send_by: &str,
        next_at: &str,
    ) -> Result<bool> {
        let sql = "UPDATE intents SET permits = permits + 1, status = 'uncertain',
                   payload = coalesce(payload, ?2), first_sent = coalesce(first_sent, ?3),
                   next_at = ?4
                   WHERE intent = ?1 AND status IN ('ready', 'uncertain')
                   AND (permits = 0 OR class = 'A')";
        let n = self.sql.prepare_cached(sql)?.execute(params![
            i.intent,
            payload.to_string(),
            now,
            next_at
        ])?;
        if n == 0 {
            return Ok(false);
        }
        let sql =
            "INSERT INTO attempts SELECT ?2, ?1, 1 + coalesce(max(n), 0), ?3, ?4, 'unknown', ''
                   FROM attempts WHERE intent = ?1";
        self.sql.prepare_cached(sql)?.execute(params![i.intent, attempt, now, send_by])?;
        Ok(true)
    }

    /// R4, proof that nothing was done: the permit is given back, once.
    pub fn refund(&self, intent: &str, attempt: &str, evidence: &str, next_at: &str) -> Result<()> {
        let sql = "UPDATE attempts SET outcome = 'not_applied', evidence = ?2
                   WHERE attempt = ?1 AND outcome = 'unknown'";
        let n = self.sql.prepare_cached(sql)?.execute([attempt, evidence])?;
        if n == 1 {
            // Nothing of it was taken: what is sent next may say what is so by then.
            let sql = "UPDATE intents SET permits = permits - 1, next_at = ?2,
                       payload = CASE WHEN permits = 1 THEN NULL ELSE payload END,
                       status = CASE WHEN status = 'uncertain' AND permits = 1 THEN 'ready' ELSE status END
                       WHERE intent = ?1";
            self.sql.prepare_cached(sql)?.execute([intent, next_at])?;
        }
        Ok(())
    }

    /// R6: a fact is written from any status.
    pub fn record_fact(&self, intent: &str, external: &str, evidence: &str) -> Result<()> {
        let sql = "UPDATE intents SET status = 'done', external = ?2 WHERE intent = ?1";
        self.sql.prepare_cached(sql)?.execute([intent, external])?;
        let sql = "UPDATE attempts SET outcome = 'applied', evidence = ?2
                   WHERE intent = ?1 AND outcome = 'unknown'";
        self.sql.prepare_cached(sql)?.execute([intent, evidence])?;
        Ok(())
    }

    pub fn set_intent(&self, intent: &str, status: Status, next_at: &str) -> Result<()> {
        let sql = "UPDATE intents SET status = ?2, next_at = ?3 WHERE intent = ?1";
        self.sql.prepare_cached(sql)?.execute([intent, status.name(), next_at])?;
        Ok(())
    }

    pub fn count_lookup(&self, intent: &str, next_at: &str) -> Result<()> {
        let sql = "UPDATE intents SET lookups = lookups + 1, next_at = ?2 WHERE intent = ?1";
        self.sql.prepare_cached(sql)?.execute([intent, next_at])?;
        Ok(())
    }

    /// A person grants one more permit.
    pub fn grant(&self, intent: &str) -> Result<()> {
        let sql = "UPDATE intents SET permits = 0, status = 'ready', lookups = 0 WHERE intent = ?1";
        self.sql.prepare_cached(sql)?.execute([intent])?;
        Ok(())
    }

    /// R5: what must be looked up now.
    pub fn uncertain(&self, connection: &str, now: &str, limit: usize) -> Result<Vec<Intent>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM intents WHERE connection = ?1 AND status = 'uncertain'
             AND next_at <= ?2 ORDER BY next_at LIMIT ?3"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut s = self.sql.prepare_cached(&sql)?;
        let rows = s.query_map(params![connection, now, limit], intent)?;
        let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        rows.into_iter().map(read).collect()
    }

    /// (status → how many) for a connection.
    pub fn intent_counts(&self, connection: &str) -> Result<Vec<(String, i64)>> {
        let sql = "SELECT status, count(*) FROM intents WHERE connection = ?1 GROUP BY status";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([connection], |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
