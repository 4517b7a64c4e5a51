//! `objects` and `bindings`: one thing in a resource, and which records stand in it.

use std::collections::BTreeMap;

use kilter_core::model::{Due, Flat, Object, ObjectId, Rows, Shared, State, Wait, WaitKind};
use rusqlite::{OptionalExtension, Row, params};

use super::{Error, Result, Tx, some_text, text};

const COLUMNS: &str = "id, connection, resource, collection, remote, root, unmatched, shadow,
    version, settled, asked, fell, state, wait_kind, wait_reason, due_mark, due_since, due_next,
    due_not_before, due_tries, due_lane, look, repairs,
    (SELECT json_group_object(facet, record) FROM bindings WHERE object = objects.id)";

/// Enough of an object to say whether a listing tells anything new.
#[derive(Debug)]
pub struct Seen {
    pub resource: String,
    pub root: Option<i64>,
    pub unmatched: bool,
    /// Its shadow, where that is another text than was asked for.
    pub differs: Option<String>,
    pub settled: i64,
    /// It is there, and nobody asked for a read of it.
    pub quiet: bool,
}

/// The columns as they come, before their JSON is read.
struct Raw {
    object: Object,
    shadow: String,
    repairs: String,
    bindings: String,
}

fn raw(r: &Row<'_>) -> rusqlite::Result<Raw> {
    let wait: Option<String> = r.get(13)?;
    let mark: Option<i64> = r.get(15)?;
    let due = match mark {
        Some(mark) => Some(Due {
            mark,
            since: some_text(r, 16)?,
            next_at: some_text(r, 17)?,
            not_before: some_text(r, 18)?,
            tries: r.get(19)?,
            lane: r.get(20)?,
        }),
        None => None,
    };
    let wait = match wait.as_deref().and_then(WaitKind::parse) {
        Some(kind) => Some(Wait { kind, reason: r.get(14)? }),
        None => None,
    };
    let object = Object {
        id: r.get(0)?,
        connection: text(r, 1)?,
        resource: text(r, 2)?,
        collection: text(r, 3)?,
        remote: some_text(r, 4)?,
        root: r.get(5)?,
        bindings: Flat::new(),
        unmatched_key: some_text(r, 6)?,
        shadow: Rows::default(),
        version: some_text(r, 8)?,
        settled: r.get(9)?,
        asked: r.get(10)?,
        fell: r.get(11)?,
        state: State::parse(&r.get::<_, String>(12)?),
        wait,
        due,
        look: r.get(21)?,
        repairs: BTreeMap::new(),
    };
    Ok(Raw { object, shadow: r.get(7)?, repairs: r.get(22)?, bindings: r.get(23)? })
}

impl Tx<'_> {
    fn finish(raw: Raw) -> Result<Object> {
        let mut object = raw.object;
        let corrupt = |e| Error::Corrupt("an object", e);
        object.shadow = serde_json::from_str(&raw.shadow).map_err(corrupt)?;
        object.repairs = serde_json::from_str(&raw.repairs).map_err(corrupt)?;
        object.bindings = serde_json::from_str(&raw.bindings).map_err(corrupt)?;
        Ok(object)
    }

    pub fn object(&self, id: ObjectId) -> Result<Option<Object>> {
        Ok(self.hold_object(id)?.map(|object| (*object).clone()))
    }

    /// The same, where it is only read.
    pub fn hold_object(&self, id: ObjectId) -> Result<Option<Shared<Object>>> {
        if let Some(object) = self.kept.borrow().object(id) {
            return Ok(Some(object));
        }
        let sql = format!("SELECT {COLUMNS} FROM objects WHERE id = ?1");
        let found = self.sql.prepare_cached(&sql)?.query_row([id], raw).optional()?;
        let Some(raw) = found else { return Ok(None) };
        let object = Shared::from(Self::finish(raw)?);
        self.kept.borrow_mut().keep_object(&object);
        Ok(Some(object))
    }

    pub(crate) fn objects_where(
        &self,
        rest: &str,
        params: impl rusqlite::Params,
    ) -> Result<Vec<Object>> {
        let sql = format!("SELECT {COLUMNS} FROM objects WHERE {rest}");
        let mut s = self.sql.prepare_cached(&sql)?;
        let raws = s.query_map(params, raw)?.collect::<rusqlite::Result<Vec<_>>>()?;
        raws.into_iter().map(Self::finish).collect()
    }

    pub fn object_ids_by_remote(
        &self,
        connection: &str,
        collection: &str,
        remote: &str,
    ) -> Result<Vec<ObjectId>> {
        let sql =
            "SELECT id FROM objects WHERE connection = ?1 AND collection = ?2 AND remote = ?3";
        self.ids(sql, params![connection, collection, remote])
    }

    /// What is known of an object, for those who only compare; `text` is what it shows now.
    pub fn seen(
        &self,
        connection: &str,
        collection: &str,
        remote: &str,
        text: &str,
    ) -> Result<Option<Seen>> {
        let sql = "SELECT resource, root, unmatched IS NOT NULL, shadow, settled,
                   state = 'live' AND look IS NULL
                   FROM objects WHERE connection = ?1 AND collection = ?2 AND remote = ?3";
        let mut s = self.sql.prepare_cached(sql)?;
        let seen = |r: &Row<'_>| {
            let shadow = r.get_ref(3)?.as_str()?;
            Ok(Seen {
                resource: r.get(0)?,
                root: r.get(1)?,
                unmatched: r.get(2)?,
                differs: (shadow != text).then(|| shadow.to_owned()),
                settled: r.get(4)?,
                quiet: r.get(5)?,
            })
        };
        Ok(s.query_row([connection, collection, remote], seen).optional()?)
    }

    pub fn object_ids_of_root(&self, connection: &str, root: i64) -> Result<Vec<ObjectId>> {
        let sql = "SELECT id FROM objects WHERE root = ?2 AND connection = ?1";
        self.ids(sql, params![connection, root])
    }

    /// Objects of all connections with this root.
    pub(crate) fn objects_of_root(&self, root: i64) -> Result<Vec<(ObjectId, String)>> {
        let sql = "SELECT id, connection FROM objects WHERE root = ?1";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([root], |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn object_ids_showing(&self, record: i64) -> Result<Vec<ObjectId>> {
        self.ids("SELECT DISTINCT object FROM bindings WHERE record = ?1", [record])
    }

    pub fn object_ids_unmatched(
        &self,
        connection: &str,
        resource: &str,
        folded: &str,
    ) -> Result<Vec<ObjectId>> {
        let sql = "SELECT id FROM objects
                   WHERE connection = ?1 AND resource = ?2 AND unmatched_fold = ?3";
        self.ids(sql, params![connection, resource, folded])
    }

    /// Due objects of a connection, oldest first within a lane.
    pub fn due(&self, connection: &str, now: &str, limit: usize) -> Result<Vec<Object>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.objects_where(
            "connection = ?1 AND due_lane IS NOT NULL AND due_next <= ?2
             ORDER BY due_lane, due_since, id LIMIT ?3",
            params![connection, now, limit],
        )
    }

    /// What is due of one resource and was never created, in the same order.
    pub fn due_seats(
        &self,
        connection: &str,
        resource: &str,
        now: &str,
        limit: usize,
    ) -> Result<Vec<ObjectId>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT id FROM objects WHERE connection = ?1 AND resource = ?2
                   AND due_lane IS NOT NULL AND due_next <= ?3 AND remote IS NULL
                   ORDER BY due_lane, due_since, id LIMIT ?4";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map(params![connection, resource, now, limit], |r| r.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Objects that ask for a read by id.
    pub fn looks(&self, connection: &str, limit: usize) -> Result<Vec<Object>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.objects_where(
            "connection = ?1 AND look IS NOT NULL AND remote IS NOT NULL
             ORDER BY collection, id LIMIT ?2",
            params![connection, limit],
        )
    }

    pub fn object_ids_after(
        &self,
        connection: &str,
        resource: &str,
        after: ObjectId,
        limit: usize,
    ) -> Result<Vec<ObjectId>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT id FROM objects WHERE connection = ?1 AND resource = ?2 AND id > ?3
                   ORDER BY id LIMIT ?4";
        self.ids(sql, params![connection, resource, after, limit])
    }

    /// Objects of a resource that are there: id, remote id, the place of their last settled write.
    pub fn live_remotes(
        &self,
        connection: &str,
        resource: &str,
    ) -> Result<Vec<(ObjectId, String, i64)>> {
        let sql = "SELECT id, remote, settled FROM objects WHERE connection = ?1 AND resource = ?2
                   AND state = 'live' AND remote IS NOT NULL";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows =
            s.query_map([connection, resource], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Objects that stand there, with those that are to be taken off.
    pub fn count_standing(&self, connection: &str, resource: &str) -> Result<usize> {
        let sql = "SELECT count(*) FROM objects WHERE connection = ?1 AND resource = ?2
                   AND (state = 'live'
                        OR (state = 'left' AND remote IS NOT NULL AND due_lane IS NOT NULL))";
        self.count(sql, params![connection, resource])
    }

    pub fn any_due(&self, connection: &str, resource: &str, now: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM objects WHERE connection = ?1 AND resource = ?2
                   AND due_lane IS NOT NULL AND due_next <= ?3)";
        Ok(self.count(sql, params![connection, resource, now])? > 0)
    }

    /// Objects of a resource that wait for one reason.
    pub fn count_waits(&self, connection: &str, resource: &str, reason: &str) -> Result<usize> {
        let sql = "SELECT count(*) FROM objects WHERE connection = ?1 AND resource = ?2
                   AND wait_reason = ?3";
        self.count(sql, params![connection, resource, reason])
    }

    /// They are due now. Returns how many.
    pub fn wake_waits(
        &self,
        connection: &str,
        resource: &str,
        reason: &str,
        now: &str,
    ) -> Result<usize> {
        let sql = "UPDATE objects SET due_next = ?4, wait_kind = NULL, wait_reason = NULL
                   WHERE connection = ?1 AND resource = ?2 AND wait_reason = ?3
                   AND due_lane IS NOT NULL";
        let woken =
            self.sql.prepare_cached(sql)?.execute(params![connection, resource, reason, now])?;
        self.forget_waits(connection);
        Ok(woken)
    }

    /// They wait for a person now, and stay due.
    pub fn hold_waits(
        &self,
        connection: &str,
        resource: &str,
        reason: &str,
        told: &str,
    ) -> Result<()> {
        let sql = "UPDATE objects SET wait_kind = 'held', wait_reason = ?4
                   WHERE connection = ?1 AND resource = ?2 AND wait_reason = ?3";
        self.sql.prepare_cached(sql)?.execute(params![connection, resource, reason, told])?;
        self.forget_waits(connection);
        Ok(())
    }

    fn forget_waits(&self, connection: &str) {
        let waits = |o: &Object| o.connection == connection && o.wait.is_some();
        self.kept.borrow_mut().forget_objects(waits);
    }

    fn count(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize> {
        let n: i64 = self.sql.prepare_cached(sql)?.query_row(params, |r| r.get(0))?;
        Ok(usize::try_from(n).unwrap_or(0))
    }

    /// These are read by id.
    pub fn look_at(&self, ids: &[ObjectId], since: i64) -> Result<()> {
        let mut s = self.sql.prepare_cached("UPDATE objects SET look = ?2 WHERE id = ?1")?;
        for id in ids {
            s.execute(params![id, since])?;
            self.kept.borrow_mut().forget_object(*id);
        }
        Ok(())
    }

    /// Objects that wait, for a person or a later look.
    pub fn waiting(&self, limit: usize) -> Result<Vec<Object>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.objects_where(
            "wait_kind IS NOT NULL AND (state <> 'left' OR wait_kind = 'held') ORDER BY connection, resource, id LIMIT ?1",
            [limit],
        )
    }

    /// What waited for an order poll of a connection may look again; a back-off is not lowered.
    pub fn wake_later(&self, connection: &str, now: &str) -> Result<()> {
        let sql = "UPDATE objects SET due_next = ?2
                   WHERE connection = ?1 AND wait_kind = 'later' AND due_mark IS NOT NULL
                     AND (due_not_before IS NULL OR due_not_before <= ?2)";
        self.sql.prepare_cached(sql)?.execute(params![connection, now])?;
        self.forget_waits(connection);
        Ok(())
    }

    /// Does a figure wait that fell after a resource was last asked for? What is put off waits for itself.
    pub fn waits_for_orders(&self, connection: &str, resource: &str, now: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM objects
                   WHERE wait_kind = 'later' AND fell IS NOT NULL AND connection = ?1
                     AND fell > (SELECT coalesce(min(asked), 0) FROM cursors
                                 WHERE connection = ?1 AND resource = ?2)
                     AND due_mark IS NOT NULL AND (due_not_before IS NULL OR due_not_before <= ?3))";
        Ok(self.count(sql, params![connection, resource, now])? > 0)
    }

    /// The places of due objects, in the order of `due`.
    pub fn due_ids(&self, connection: &str, now: &str, limit: usize) -> Result<Vec<ObjectId>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT id FROM objects
                   WHERE connection = ?1 AND due_lane IS NOT NULL AND due_next <= ?2
                   ORDER BY due_lane, due_since, id LIMIT ?3";
        self.ids(sql, params![connection, now, limit])
    }

    /// When the next put-off object comes due after a time, or an uncertain create is asked for.
    pub fn next_retry(&self, since: &str) -> Result<Option<String>> {
        let sql = "SELECT min(t) FROM (
                     SELECT min(due_next) AS t FROM objects
                       WHERE due_lane IS NOT NULL AND due_next > ?1
                     UNION ALL SELECT min(next_at) FROM intents
                       WHERE status = 'uncertain' AND next_at > ?1)";
        Ok(self.sql.prepare_cached(sql)?.query_row([since], |r| r.get(0))?)
    }
}
