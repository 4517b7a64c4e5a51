//! Records, objects and sold lines in maps, and the answer to every question of a world.
//!
//! Reads   keys.   Writes  its maps.   Never  keeps an index: it looks through everything, so that
//! it cannot be wrong in the same way as the world.

use std::collections::{BTreeMap, BTreeSet};

use kilter_core::model::record::fold;
use kilter_core::model::{Object, ObjectId, Record, RecordId, Seq};
use kilter_core::sync::reference::{direct, pending_of_object, pending_of_record};
use kilter_core::sync::world::{Key, Polled, Sold, World};

#[derive(Default, Clone)]
pub struct Store {
    pub records: BTreeMap<RecordId, Record>,
    pub objects: BTreeMap<ObjectId, Object>,
    pub sold: BTreeMap<(RecordId, String), Sold>,
    pub polled: BTreeMap<String, Seq>,
}

impl Store {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn world(&self) -> World {
        let next = |last: Option<&i64>| last.copied().unwrap_or(0) + 1;
        World::new(next(self.records.keys().last()), next(self.objects.keys().last()))
    }

    pub fn load(&self, world: &mut World, keys: BTreeSet<Key>) {
        for key in keys {
            match &key {
                Key::SoldOfVariant(id) => {
                    let rows = self.sold.values().filter(|s| s.variant == *id);
                    world.answer_sold(key.clone(), rows.cloned().collect());
                }
                Key::SoldOfOrder(id) => {
                    let rows = self.sold.values().filter(|s| s.order == *id);
                    world.answer_sold(key.clone(), rows.cloned().collect());
                }
                Key::OrdersPolled(connection) => {
                    let asked = self.polled.get(connection.as_str()).copied().unwrap_or(0);
                    let polled = Polled { asked, merged: asked };
                    world.polled.insert(connection.to_string(), polled);
                }
                _ => self.answer(world, key),
            }
        }
    }

    fn answer(&self, world: &mut World, key: Key) {
        let records: Vec<i64> =
            self.records.values().filter(|r| record_fits(&key, r)).map(|r| r.id).collect();
        let objects: Vec<i64> =
            self.objects.values().filter(|o| object_fits(&key, o)).map(|o| o.id).collect();
        records.iter().for_each(|id| world.learn_record(self.records[id].clone()));
        objects.iter().for_each(|id| world.learn_object(self.objects[id].clone()));
        world.answer(key, records.into_iter().chain(objects));
    }

    pub fn save(&mut self, world: &World) {
        for id in &world.dirty_records {
            self.records.insert(*id, (*world.records[id]).clone());
        }
        for id in &world.dirty_objects {
            self.objects.insert(*id, (*world.objects[id]).clone());
        }
        for key in &world.dirty_sold {
            match world.sold.get(key) {
                Some(row) => self.sold.insert(key.clone(), row.clone()),
                None => self.sold.remove(key),
            };
        }
    }
}

fn record_fits(key: &Key, record: &Record) -> bool {
    match key {
        Key::Record(id) => record.id == *id,
        Key::RecordByKey(entity, folded) => {
            record.entity == entity && record.key.as_deref().map(fold).as_ref() == Some(folded)
        }
        Key::Referrers(entity, field, to) => {
            record.entity == entity && direct(record).contains(&(field.clone(), *to))
        }
        Key::Waiting(pending) => pending_of_record(record).contains(pending),
        _ => false,
    }
}

fn object_fits(key: &Key, object: &Object) -> bool {
    match key {
        Key::Object(id) => object.id == *id,
        Key::ObjectByRemote(connection, collection, remote) => {
            object.connection == connection
                && object.collection == collection
                && object.remote.as_ref() == Some(remote)
        }
        Key::ObjectsOfRoot(connection, root) => {
            object.connection == connection && object.root == Some(*root)
        }
        Key::ObjectsShowing(record) => object.bindings.values().any(|r| r == record),
        Key::Unmatched(connection, resource, folded) => {
            object.connection == connection
                && object.resource == resource
                && object.unmatched_key.as_deref().map(fold).as_ref() == Some(folded)
        }
        Key::Unbound(pending) => pending_of_object(object).contains(pending),
        _ => false,
    }
}
