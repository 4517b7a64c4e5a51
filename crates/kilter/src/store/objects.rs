//! `objects` and `bindings`: one thing in a resource, and which records stand in it.

use std::collections::BTreeMap;

use kilter_core::model::record::fold;
use kilter_core::model::{Due, Object, ObjectId, State, Wait, WaitKind};
use kilter_core::sync::reference;
use rusqlite::{OptionalExtension, Row, params};

use super::{Error, Result, Tx};

const COLUMNS: &str = "id, connection, resource, collection, remote, root, unmatched, shadow,
    version, settled, asked, fell, state, wait_kind, wait_reason, due_mark, due_since, due_next,
    due_not_before, due_tries, due_lane, look, repairs";

/// The columns as they come, before their JSON is read.
struct Raw {
    object: Object,
    shadow: String,
    repairs: String,
}

fn raw(r: &Row<'_>) -> rusqlite::Result<Raw> {
    let wait: Option<String> = r.get(13)?;
    let mark: Option<i64> = r.get(15)?;
    let due = match mark {
        Some(mark) => Some(Due {
            mark,
            since: r.get(16)?,
            next_at: r.get(17)?,
            not_before: r.get(18)?,
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
        connection: r.get(1)?,
        resource: r.get(2)?,
        collection: r.get(3)?,
        remote: r.get(4)?,
        root: r.get(5)?,
        bindings: BTreeMap::new(),
        unmatched_key: r.get(6)?,
        shadow: BTreeMap::new(),
        version: r.get(8)?,
        settled: r.get(9)?,
        asked: r.get(10)?,
        fell: r.get(11)?,
        state: State::parse(&r.get::<_, String>(12)?),
        wait,
        due,
        look: r.get(21)?,
        repairs: BTreeMap::new(),
    };
    Ok(Raw { object, shadow: r.get(7)?, repairs: r.get(22)? })
}

impl Tx<'_> {
    fn finish(&self, raw: Raw) -> Result<Object> {
        let mut object = raw.object;
        let corrupt = |e| Error::Corrupt("an object", e);
        object.shadow = serde_json::from_str(&raw.shadow).map_err(corrupt)?;
        object.repairs = serde_json::from_str(&raw.repairs).map_err(corrupt)?;
        let mut s =
            self.sql.prepare_cached("SELECT facet, record FROM bindings WHERE object = ?1")?;
        let rows = s.query_map([object.id], |r| Ok((r.get(0)?, r.get(1)?)))?;
        object.bindings = rows.collect::<rusqlite::Result<_>>()?;
        Ok(object)
    }

    pub fn object(&self, id: ObjectId) -> Result<Option<Object>> {
        let sql = format!("SELECT {COLUMNS} FROM objects WHERE id = ?1");
        let found = self.sql.prepare_cached(&sql)?.query_row([id], raw).optional()?;
        found.map(|r| self.finish(r)).transpose()
    }

    fn objects_where(&self, rest: &str, params: impl rusqlite::Params) -> Result<Vec<Object>> {
        let sql = format!("SELECT {COLUMNS} FROM objects WHERE {rest}");
        let mut s = self.sql.prepare_cached(&sql)?;
        let raws = s.query_map(params, raw)?.collect::<rusqlite::Result<Vec<_>>>()?;
        raws.into_iter().map(|r| self.finish(r)).collect()
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

    pub fn object_ids_of_root(&self, connection: &str, root: i64) -> Result<Vec<ObjectId>> {
        let sql = "SELECT id FROM objects WHERE root = ?2 AND connection = ?1";
        self.ids(sql, params![connection, root])
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
            "connection = ?1 AND due_mark IS NOT NULL AND due_next <= ?2
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
                   AND due_mark IS NOT NULL AND due_next <= ?3 AND remote IS NULL
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

    pub fn count_live(&self, connection: &str, resource: &str) -> Result<usize> {
        let sql = "SELECT count(*) FROM objects WHERE connection = ?1 AND resource = ?2
                   AND state = 'live'";
        self.count(sql, params![connection, resource])
    }

    pub fn any_due(&self, connection: &str, resource: &str, now: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM objects WHERE connection = ?1 AND resource = ?2
                   AND due_mark IS NOT NULL AND due_next <= ?3)";
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
                   AND due_mark IS NOT NULL";
        Ok(self.sql.prepare_cached(sql)?.execute(params![connection, resource, reason, now])?)
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
        Ok(())
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
        Ok(())
    }

    pub fn write_objects<'o>(&self, objects: impl Iterator<Item = &'o Object>) -> Result<()> {
        let sql = "INSERT INTO objects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
                   ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)";
        let mut insert = self.sql.prepare_cached(sql)?;
        let corrupt = |e| Error::Corrupt("an object", e);
        for o in objects {
            let due = o.due.as_ref();
            let moved = self.moved(o)?;
            let mut update = moved.map(|m| self.sql.prepare_cached(&m.update())).transpose()?;
            update.as_mut().unwrap_or(&mut insert).execute(params![
                o.id,
                o.connection,
                o.resource,
                o.collection,
                o.remote,
                o.root,
                o.unmatched_key,
                o.unmatched_key.as_deref().map(fold),
                serde_json::to_string(&o.shadow).map_err(corrupt)?,
                o.version,
                o.settled,
                o.asked,
                o.fell,
                o.state.name(),
                o.wait.as_ref().map(|w| w.kind.name()),
                o.wait.as_ref().map(|w| &w.reason),
                due.map(|d| d.mark),
                due.and_then(|d| d.since.as_ref()),
                due.and_then(|d| d.next_at.as_ref()),
                due.and_then(|d| d.not_before.as_ref()),
                due.map(|d| d.tries),
                due.map(|d| d.lane),
                o.look,
                serde_json::to_string(&o.repairs).map_err(corrupt)?,
            ])?;
            self.write_bindings(o)?;
            let waits = reference::pending_of_object(o);
            self.write_pending(1, o.id, waits.iter().map(|p| p.text()))?;
        }
        Ok(())
    }
}

/// Which columns of an object moved that an index holds. SQLite writes an index anew whenever one
/// of its columns is set, be it to what it was: a figure that changes touches none of six.
#[derive(Debug, Clone, Copy)]
struct Moved {
    place: bool,
    wait: bool,
    due: bool,
    look: bool,
}

impl Moved {
    fn update(self) -> String {
        let mut sql = String::from(
            "UPDATE objects SET shadow = ?9, version = ?10, settled = ?11, asked = ?12,
             fell = ?13, state = ?14, due_next = ?19, due_not_before = ?20, due_tries = ?21,
             repairs = ?24",
        );
        let place = ", connection = ?2, resource = ?3, collection = ?4, remote = ?5, root = ?6,
                     unmatched = ?7, unmatched_fold = ?8";
        let groups = [
            (self.place, place),
            (self.wait, ", wait_kind = ?15, wait_reason = ?16"),
            (self.due, ", due_mark = ?17, due_since = ?18, due_lane = ?22"),
            (self.look, ", look = ?23"),
        ];
        groups.into_iter().filter(|(moved, _)| *moved).for_each(|(_, set)| sql.push_str(set));
        sql.push_str(" WHERE id = ?1");
        sql
    }
}

impl Tx<'_> {
    /// None: it is not there yet.
    fn moved(&self, o: &Object) -> Result<Option<Moved>> {
        let sql = "SELECT connection, resource, collection, remote, root, unmatched, wait_kind,
                   wait_reason, due_mark, due_since, due_lane, look FROM objects WHERE id = ?1";
        let compare = |r: &Row<'_>| {
            let text = |n: usize, now: Option<&str>| -> rusqlite::Result<bool> {
                Ok(r.get_ref(n)?.as_str_or_null().ok().flatten() != now)
            };
            let due = o.due.as_ref();
            Ok(Moved {
                place: text(0, Some(&o.connection))?
                    || text(1, Some(&o.resource))?
                    || text(2, Some(&o.collection))?
                    || text(3, o.remote.as_deref())?
                    || r.get::<_, Option<i64>>(4)? != o.root
                    || text(5, o.unmatched_key.as_deref())?,
                wait: text(6, o.wait.as_ref().map(|w| w.kind.name()))?
                    || text(7, o.wait.as_ref().map(|w| w.reason.as_str()))?,
                due: r.get::<_, Option<i64>>(8)? != due.map(|d| d.mark)
                    || text(9, due.and_then(|d| d.since.as_deref()))?
                    || r.get::<_, Option<u8>>(10)? != due.map(|d| d.lane),
                look: r.get::<_, Option<i64>>(11)? != o.look,
            })
        };
        Ok(self.sql.prepare_cached(sql)?.query_row([o.id], compare).optional()?)
    }

    /// What stands as it stood is not written.
    fn write_bindings(&self, o: &Object) -> Result<()> {
        let sql = "SELECT facet, record FROM bindings WHERE object = ?1";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([o.id], |r| Ok((r.get(0)?, r.get(1)?)))?;
        let before: BTreeMap<String, i64> = rows.collect::<rusqlite::Result<_>>()?;
        if before == o.bindings {
            return Ok(());
        }
        self.sql.prepare_cached("DELETE FROM bindings WHERE object = ?1")?.execute([o.id])?;
        let mut bind = self.sql.prepare_cached("INSERT INTO bindings VALUES (?1, ?2, ?3)")?;
        for (facet, record) in &o.bindings {
            bind.execute(params![o.id, facet, record])?;
        }
        Ok(())
    }

    /// The places of due objects, in the order of `due`.
    pub fn due_ids(&self, connection: &str, now: &str, limit: usize) -> Result<Vec<ObjectId>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT id FROM objects
                   WHERE connection = ?1 AND due_mark IS NOT NULL AND due_next <= ?2
                   ORDER BY due_lane, due_since, id LIMIT ?3";
        self.ids(sql, params![connection, now, limit])
    }

    /// When the next put-off object comes due, or an uncertain create is asked for.
    pub fn next_retry(&self) -> Result<Option<String>> {
        let sql = "SELECT min(t) FROM (
                     SELECT min(due_next) AS t FROM objects WHERE due_mark IS NOT NULL
                     UNION ALL SELECT min(next_at) FROM intents WHERE status = 'uncertain')";
        Ok(self.sql.prepare_cached(sql)?.query_row([], |r| r.get(0))?)
    }
}
