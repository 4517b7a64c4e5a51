//! Loads what a world lacks and writes what changed in it: the batch interface of the store.
//!
//! What a merge of a change will ask for is mostly known beforehand: the object it names, the records
//! that stand in it, who shows those. It is loaded along, so that most steps run once.

use std::collections::{BTreeMap, BTreeSet};

use kilter_core::model::record::fold;
use kilter_core::model::{Change, Object, ObjectId, RecordId};
use kilter_core::sync::house::House;
use kilter_core::sync::mark;
use kilter_core::sync::world::{Dirty, Key, Polled, World};

use super::{Result, Tx};

/// A step that still lacks something after so many loads is a mistake of ours.
const LOADS_MAX: usize = 1000;
/// Records around one object that are loaded along; what is beyond is loaded when it is asked for.
const AROUND_MAX: usize = 16;

impl Tx<'_> {
    /// An empty world whose new records and objects get numbers of their own.
    pub fn world(&self) -> Result<World> {
        let next = |table: &str| -> Result<i64> {
            let sql = format!("SELECT coalesce(max(id), 0) + 1 FROM {table}");
            Ok(self.sql.prepare_cached(&sql)?.query_row([], |r| r.get(0))?)
        };
        let mut world = World::new(next("records")?, next("objects")?);
        world.now = crate::engine::now();
        Ok(world)
    }

    /// A world whose changes were written goes on.
    pub fn go_on(&self, mut world: World) -> World {
        world.now = crate::engine::now();
        world
    }

    /// The same after others wrote: what they wrote is read again, and what was not written of it is taken
    /// back. None: they wrote too much.
    pub fn catch_up(&self, mut world: World, written: u64) -> Result<Option<World>> {
        let Some(since) = self.kept.borrow_mut().since(written) else { return Ok(None) };
        let (records, objects) = world.take_back(&since.records, &since.objects);
        since.answers.iter().for_each(|key| world.forget(key));
        if since.sold {
            world.forget_sold();
        }
        for id in records {
            self.hold_record(id)?.into_iter().for_each(|record| world.learn_record(record));
        }
        for id in objects {
            self.hold_object(id)?.into_iter().for_each(|object| world.learn_object(object));
        }
        let (record, object) = self.world()?.next_ids();
        world.number_from(record, object);
        Ok(Some(self.go_on(world)))
    }

    /// Another figure than before: somebody wrote what a world holds.
    pub fn written(&self) -> u64 {
        self.kept.borrow().written()
    }

    /// The same figure; what is written from now on a world can catch up with.
    pub fn watch(&self) -> u64 {
        self.kept.borrow_mut().watch()
    }

    /// Runs one step until nothing it asked for is missing. What it did before is undone.
    pub fn step<T>(
        &self,
        house: &House,
        world: &mut World,
        mut step: impl FnMut(&mut World) -> T,
    ) -> Result<T> {
        for _ in 0..LOADS_MAX {
            world.begin_step();
            let out = step(world);
            if world.missing.is_empty() {
                return Ok(out);
            }
            world.undo_step();
            let missing = world.missing.clone();
            self.load(house, world, missing)?;
        }
        Err(super::Error::Refused(format!(
            "load what a step needs: {:?} stays missing",
            world.missing
        )))
    }

    /// Loads what merging these changes will ask for. What it misses, a step asks for itself.
    pub fn foresee<'c>(
        &self,
        house: &House,
        world: &mut World,
        changes: impl IntoIterator<Item = &'c Change>,
    ) -> Result<()> {
        for change in changes {
            let Change { connection, collection, remote, .. } = change;
            let key = Key::ObjectByRemote(connection.clone(), collection.clone(), remote.clone());
            if remote.is_empty() || world.knows(&key) {
                continue;
            }
            let found = self.found_by(&key)?;
            for id in &found {
                let Some(object) = self.hold_object(*id)? else { continue };
                self.around(house, world, &object)?;
                world.learn_object(object);
            }
            world.answer(key, found);
        }
        Ok(())
    }

    /// The records that stand in an object, what they are part of, and who shows them.
    fn around(&self, house: &House, world: &mut World, object: &Object) -> Result<()> {
        let mut records: Vec<RecordId> = object.root.into_iter().collect();
        records.extend(object.bindings.values().filter(|id| object.root != Some(**id)));
        let mut wholes = BTreeSet::new();
        let mut at = 0;
        while let Some(id) = records.get(at).copied().filter(|_| at < AROUND_MAX) {
            at += 1;
            self.learn(world, &Key::Record(id), &[id])?;
            let Some(record) = world.records.get(&id) else { continue };
            for to in mark::wholes_of(house, record) {
                wholes.insert(to);
                if !records.contains(&to) {
                    records.push(to);
                }
            }
            // A root is known by its object, a whole by its part; only the rest is found by key.
            let found = object.root == Some(id) || wholes.contains(&id);
            let by_key = record.key.as_deref().filter(|_| !found);
            let by_key = by_key.map(|key| Key::RecordByKey(record.entity.clone(), fold(key)));
            if let Some(key) = by_key.filter(|key| !world.knows(key)) {
                self.load(house, world, BTreeSet::from([key]))?;
            }
        }
        for id in records.into_iter().take(AROUND_MAX) {
            self.roots(house, world, id)?;
            // A whole may have thousands of parts: those are nobody's concern here.
            let key = Key::ObjectsShowing(id);
            if (object.root == Some(id) || !wholes.contains(&id)) && !world.knows(&key) {
                let ids = self.found_by(&key)?;
                self.meet(world, &ids)?;
                world.answer(key, ids);
            }
        }
        Ok(())
    }

    /// The objects whose root is this record, in every connection.
    fn roots(&self, house: &House, world: &mut World, root: RecordId) -> Result<()> {
        let mut connections = house.config.connections.keys();
        let key = |connection: &String| Key::ObjectsOfRoot(connection.as_str().into(), root);
        if connections.all(|connection| world.knows(&key(connection))) {
            return Ok(());
        }
        // All connections at once, unless each was asked before.
        let kept = |connection| self.kept.borrow().answer(&key(connection)).is_some();
        if !house.config.connections.keys().all(kept) {
            let mut all: BTreeMap<String, Vec<ObjectId>> = BTreeMap::new();
            for (id, connection) in self.objects_of_root(root)? {
                all.entry(connection).or_default().push(id);
            }
            for connection in house.config.connections.keys() {
                let ids = all.remove(connection).unwrap_or_default();
                self.kept.borrow_mut().keep_answer(key(connection), ids);
            }
        }
        for connection in house.config.connections.keys() {
            let ids = self.found_by(&key(connection))?;
            self.meet(world, &ids)?;
            world.answer(key(connection), ids);
        }
        Ok(())
    }

    /// Objects by their ids; each is known by its remote id as well then.
    fn meet(&self, world: &mut World, ids: &[ObjectId]) -> Result<()> {
        for id in ids {
            if world.objects.contains_key(id) {
                continue;
            }
            let Some(object) = self.hold_object(*id)? else { continue };
            if let Some(remote) = &object.remote {
                let (connection, collection) = (&object.connection, &object.collection);
                let key =
                    Key::ObjectByRemote(connection.clone(), collection.clone(), remote.clone());
                if !world.knows(&key) {
                    world.answer(key, [*id]);
                }
            }
            world.learn_object(object);
        }
        Ok(())
    }

    pub fn load(&self, house: &House, world: &mut World, keys: BTreeSet<Key>) -> Result<()> {
        for key in keys {
            match &key {
                Key::SoldOfVariant(id) => {
                    world.answer_sold(key.clone(), self.sold_of_variant(*id)?);
                }
                Key::SoldOfOrder(id) => {
                    world.answer_sold(key.clone(), self.sold_of_order(*id)?);
                }
                Key::OrdersPolled(connection) => {
                    let polled = self.orders_polled(house, connection)?;
                    world.polled.insert(connection.to_string(), polled);
                }
                _ => {
                    let ids = self.found_by(&key)?;
                    self.learn(world, &key, &ids)?;
                    world.answer(key, ids);
                }
            }
        }
        Ok(())
    }

    /// Records or objects that a key names, by what is kept or by an index.
    fn found_by(&self, key: &Key) -> Result<Vec<i64>> {
        if let Some(ids) = self.kept.borrow().answer(key) {
            return Ok(ids.clone());
        }
        let ids = match key {
            Key::Record(id) | Key::Object(id) => return Ok(vec![*id]),
            Key::RecordByKey(entity, folded) => self.record_ids_by_key(entity, folded)?,
            Key::Referrers(entity, field, to) => self.referrers(entity, field, *to)?,
            Key::Waiting(pending) => self.pending(0, &pending.text())?,
            Key::Unbound(pending) => self.pending(1, &pending.text())?,
            Key::ObjectByRemote(c, collection, remote) => {
                self.object_ids_by_remote(c, collection, remote)?
            }
            Key::ObjectsOfRoot(c, root) => self.object_ids_of_root(c, *root)?,
            Key::ObjectsShowing(record) => self.object_ids_showing(*record)?,
            Key::Unmatched(c, resource, key) => self.object_ids_unmatched(c, resource, key)?,
            Key::SoldOfVariant(_) | Key::SoldOfOrder(_) | Key::OrdersPolled(_) => Vec::new(),
        };
        self.kept.borrow_mut().keep_answer(key.clone(), ids.clone());
        Ok(ids)
    }

    /// What an index names is about to be read: it is loaded along.
    fn learn(&self, world: &mut World, key: &Key, ids: &[i64]) -> Result<()> {
        let records = matches!(
            key,
            Key::Record(_) | Key::RecordByKey(..) | Key::Referrers(..) | Key::Waiting(_)
        );
        for id in ids {
            if records {
                if !world.records.contains_key(id)
                    && let Some(record) = self.hold_record(*id)?
                {
                    world.learn_record(record);
                }
            } else if !world.objects.contains_key(id)
                && let Some(object) = self.hold_object(*id)?
            {
                world.learn_object(object);
            }
        }
        Ok(())
    }

    /// Of the newest complete listing of a shop's stock-holding documents.
    fn orders_polled(&self, house: &House, connection: &str) -> Result<Polled> {
        let Some((_, connector)) = house.connector(connection) else {
            return Ok(Polled::default());
        };
        let mut oldest: Option<Polled> = None;
        for resource in connector.resources.iter().filter(|r| !r.holds_stock.is_empty()) {
            let cursor = self.cursor(connection, &resource.name, "")?;
            let open = self.open_until(connection, &resource.collection, cursor.last)?;
            let asked = if cursor.complete { cursor.asked } else { 0 };
            let merged = if open { 0 } else { asked };
            let before = oldest.unwrap_or(Polled { asked, merged });
            oldest =
                Some(Polled { asked: asked.min(before.asked), merged: merged.min(before.merged) });
        }
        Ok(oldest.unwrap_or_default())
    }

    /// Writes everything that changed.
    pub fn save(&self, world: &World) -> Result<()> {
        self.put(&world.dirty())
    }

    pub fn put(&self, dirty: &Dirty) -> Result<()> {
        self.write_records(dirty.records.iter())?;
        // What gave its remote id away comes before who has it now.
        for gave in [true, false] {
            let objects = dirty.objects.iter().filter(|o| o.remote.is_none() == gave);
            objects.into_iter().try_for_each(|o| self.put_object(o))?;
        }
        self.write_sold(dirty.sold.iter().map(|(key, row)| (key, row.as_ref())))
    }
}

#[cfg(test)]
mod tests;
