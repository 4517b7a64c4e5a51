//! `objects` written: inserted, or changed where they changed.
//!
//! Reads   what stands there, where nobody says what it was.   Writes  objects, bindings, pending.
//! Never   touches an index whose columns stayed.

use kilter_core::model::record::fold;
use kilter_core::model::{Flat, Object, Shared, Text};
use kilter_core::sync::reference;
use rusqlite::params;

use super::{Error, Result, Tx, text};

impl Tx<'_> {
    pub fn write_objects<'o>(&self, objects: impl Iterator<Item = &'o Object>) -> Result<()> {
        objects.into_iter().try_for_each(|o| self.put_object(&Shared::from(o.clone())))
    }

    /// What stands as it stood is not written.
    pub(super) fn put_object(&self, o: &Shared<Object>) -> Result<()> {
        let was = self.hold_object(o.id)?;
        if was.as_ref() == Some(o) {
            return Ok(());
        }
        let was = was.as_deref();
        self.write_object(o, was.map(|was| Moved::between(was, o)))?;
        if was.is_none_or(|was| was.bindings != o.bindings) {
            self.write_bindings(o)?;
        }
        if was.is_none_or(|was| was.root.is_none() || o.root.is_none()) {
            let waits = reference::pending_of_object(o);
            self.write_pending(1, o.id, waits.iter().map(|p| p.text()))?;
        }
        self.kept.borrow_mut().object_written(was, o);
        Ok(())
    }

    /// None: it is not there yet.
    fn write_object(&self, o: &Object, moved: Option<Moved>) -> Result<()> {
        let corrupt = |e| Error::Corrupt("an object", e);
        let mut s = match moved {
            None => self.sql.prepare_cached(INSERT)?,
            Some(moved) => self.sql.prepare_cached(&moved.update())?,
        };
        let shadow = match moved {
            Some(Moved { shadow: false, .. }) => String::new(),
            _ => serde_json::to_string(&o.shadow).map_err(corrupt)?,
        };
        let due = o.due.as_ref();
        s.execute(params![
            o.id,
            o.connection.as_str(),
            o.resource.as_str(),
            o.collection.as_str(),
            o.remote.as_deref(),
            o.root,
            o.unmatched_key.as_deref(),
            o.unmatched_key.as_deref().map(fold).as_deref(),
            shadow,
            o.version.as_deref(),
            o.settled,
            o.asked,
            o.fell,
            o.state.name(),
            o.wait.as_ref().map(|w| w.kind.name()),
            o.wait.as_ref().map(|w| &w.reason),
            due.map(|d| d.mark),
            due.and_then(|d| d.since.as_deref()),
            due.and_then(|d| d.next_at.as_deref()),
            due.and_then(|d| d.not_before.as_deref()),
            due.map(|d| d.tries),
            due.map(|d| d.lane),
            o.look,
            serde_json::to_string(&o.repairs).map_err(corrupt)?,
        ])?;
        Ok(())
    }
}

const INSERT: &str = "INSERT INTO objects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
    ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)";

/// Which columns of an object moved that an index holds. SQLite writes an index anew whenever one
/// of its columns is set, be it to what it was: a figure that changes touches none of six.
#[derive(Debug, Clone, Copy)]
struct Moved {
    place: bool,
    shadow: bool,
    wait: bool,
    due: bool,
    look: bool,
}

impl Moved {
    fn between(was: &Object, o: &Object) -> Self {
        let due = |o: &Object| o.due.as_ref().map(|d| (d.since.clone(), d.lane));
        Self {
            place: was.connection != o.connection
                || was.resource != o.resource
                || was.collection != o.collection
                || was.remote != o.remote
                || was.root != o.root
                || was.unmatched_key != o.unmatched_key,
            shadow: was.shadow != o.shadow,
            wait: was.wait != o.wait,
            due: due(was) != due(o),
            look: was.look != o.look,
        }
    }

    fn update(self) -> String {
        let mut sql = String::from(
            "UPDATE objects SET version = ?10, settled = ?11, asked = ?12,
             fell = ?13, state = ?14, due_mark = ?17, due_next = ?19, due_not_before = ?20, due_tries = ?21,
             repairs = ?24",
        );
        let place = ", connection = ?2, resource = ?3, collection = ?4, remote = ?5, root = ?6,
                     unmatched = ?7, unmatched_fold = ?8";
        let groups = [
            (self.place, place),
            (self.shadow, ", shadow = ?9"),
            (self.wait, ", wait_kind = ?15, wait_reason = ?16"),
            (self.due, ", due_since = ?18, due_lane = ?22"),
            (self.look, ", look = ?23"),
        ];
        groups.into_iter().filter(|(moved, _)| *moved).for_each(|(_, set)| sql.push_str(set));
        sql.push_str(" WHERE id = ?1");
        sql
    }
}

impl Tx<'_> {
    /// What stands as it stood is not written.
    fn write_bindings(&self, o: &Object) -> Result<()> {
        let sql = "SELECT facet, record FROM bindings WHERE object = ?1";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([o.id], |r| Ok((text(r, 0)?, r.get(1)?)))?;
        let before: Flat<Text, i64> = rows.collect::<rusqlite::Result<_>>()?;
        if before == o.bindings {
            return Ok(());
        }
        self.sql.prepare_cached("DELETE FROM bindings WHERE object = ?1")?.execute([o.id])?;
        let mut bind = self.sql.prepare_cached("INSERT INTO bindings VALUES (?1, ?2, ?3)")?;
        for (facet, record) in &o.bindings {
            bind.execute(params![o.id, facet.as_str(), record])?;
        }
        Ok(())
    }
}
