//! Scout: reads beside the writer what its next batch will ask for.
//!
//! Reads   the database as it was last committed, by a connection of its own.   Writes  nothing.
//! Never   is believed about what was written since (`Kept::scouted`).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kilter_core::model::Change;
use kilter_core::sync::house::House;
use kilter_core::sync::world::Key;
use rusqlite::Connection;

use super::kept::{Kept, Rows};
use super::{Result, Store, Tx};

/// Fewer changes are not worth a second reader.
const SCOUT_LEAST: usize = 64;

const CACHE: &str = "PRAGMA cache_size=-32768;";

/// The connection is made when it is first needed.
#[derive(Debug)]
pub struct Scout {
    path: PathBuf,
    sql: Mutex<Option<Connection>>,
}

/// What a scout is sent for.
#[derive(Debug)]
pub struct Errand(Vec<Change>);

impl Scout {
    pub fn beside(path: &Path) -> Self {
        Self { path: path.to_owned(), sql: Mutex::default() }
    }

    fn connect(&self) -> Result<Connection> {
        let sql = Store::connect_read_only(&self.path)?;
        sql.execute_batch(CACHE)?;
        Ok(sql)
    }

    pub fn run(&self, house: &House, errand: &Errand) -> Result<Rows> {
        let mut sql = self.sql.lock().unwrap_or_else(PoisonError::into_inner);
        let sql = match &mut *sql {
            Some(sql) => sql,
            none => none.insert(self.connect()?),
        };
        let mut kept = Kept::default();
        let snapshot = sql.transaction()?;
        let tx = Tx::new(&snapshot, &mut kept);
        let mut world = tx.world()?;
        tx.foresee(house, &mut world, &errand.0)?;
        drop(world);
        drop(tx);
        snapshot.finish()?;
        Ok(kept.into_rows())
    }
}

impl Tx<'_> {
    /// What of these is not known yet. None: too little, or more was written than is committed.
    pub fn errand<'c>(&self, changes: impl IntoIterator<Item = &'c Change>) -> Option<Errand> {
        let mut kept = self.kept.borrow_mut();
        let unknown = |change: &&Change| {
            let Change { connection, collection, remote, .. } = change;
            let key = Key::ObjectByRemote(connection.clone(), collection.clone(), remote.clone());
            !remote.is_empty() && kept.answer(&key).is_none()
        };
        let errand: Vec<Change> = changes.into_iter().filter(unknown).cloned().collect();
        (errand.len() >= SCOUT_LEAST && kept.scouting()).then_some(Errand(errand))
    }

    pub fn scouted(&self, found: Rows) {
        self.kept.borrow_mut().scouted(found);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kilter_core::config::read_config;
    use kilter_core::entity::Entities;
    use kilter_core::model::{Object, Text, Via};

    use super::*;

    fn object(id: i64) -> Object {
        let mut object = Object::seat(id, "shop", "items", "items");
        object.remote = Some(id.to_string().into());
        object
    }

    fn change(n: i64) -> Change {
        let (connection, collection) = (Text::from("shop"), Text::from("items"));
        let (each, at) = (Text::default(), Text::from("2026-11-28T10:00:00Z"));
        let (seq, asked, body, remote) = (0, 0, kilter_core::Json::Null, n.to_string().into());
        Change { seq, connection, collection, remote, each, via: Via::Page, asked, body, at }
    }

    /// Who has a remote id, and what is known of it, by what a new transaction finds.
    fn found(tx: &Tx<'_>, house: &House, n: i64) -> Vec<Object> {
        let mut world = tx.world().unwrap();
        let change = change(n);
        tx.foresee(house, &mut world, [&change]).unwrap();
        let Change { connection, collection, remote, .. } = change;
        let ids = world.ids(&Key::ObjectByRemote(connection, collection, remote));
        ids.iter().map(|id| world.object(*id).unwrap().clone()).collect()
    }

    fn copy(tx: &Tx<'_>, object: Object) {
        tx.put_object(&object.into()).unwrap();
    }

    #[test]
    fn what_was_written_since_is_not_what_the_scout_saw() {
        let folder = std::env::temp_dir().join(format!("kilter-scout-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let store = Store::open(&folder.join("k.sqlite")).unwrap();
        let config = read_config("kilter.toml", "", &|_| None, &mut Vec::new());
        let house = House::new(Entities::default(), BTreeMap::new(), config);
        store.write(|tx| Ok((1..=100).for_each(|id| copy(tx, object(id))))).unwrap();
        store.write(|tx| Ok(tx.kept.borrow_mut().clear())).unwrap();
        let changes: Vec<Change> = (1..=100).map(change).collect();
        let scout = store.scout().unwrap();
        let write = |tx: &Tx<'_>| {
            let errand = tx.errand(&changes).expect("nothing is known yet");
            let seen = scout.run(&house, &errand)?;
            copy(tx, Object { remote: Some("moved".into()), ..object(1) });
            copy(tx, Object { version: Some("2".into()), ..object(2) });
            copy(tx, Object { remote: Some("new".into()), ..object(101) });
            tx.scouted(seen);
            // Something of this is not committed yet: nobody is sent for more.
            let more: Vec<Change> = (200..=300).map(change).collect();
            assert!(tx.errand(&more).is_none());
            Ok(())
        };
        store.write(write).unwrap();
        let look = |tx: &Tx<'_>| {
            assert!(tx.kept.borrow().object(50).is_some(), "it was for nothing");
            assert!(found(tx, &house, 1).is_empty());
            assert_eq!(found(tx, &house, 2)[0].version.as_deref(), Some("2"));
            assert_eq!(found(tx, &house, 3), vec![object(3)]);
            Ok(())
        };
        store.read(look).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }
}
