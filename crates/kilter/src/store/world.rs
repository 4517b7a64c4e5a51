//! Loads what a world lacks and writes what changed in it: the batch interface of the store.

use std::collections::BTreeSet;

use kilter_core::model::Seq;
use kilter_core::sync::house::House;
use kilter_core::sync::world::{Key, World};

use super::{Result, Tx};

/// A step that still lacks something after so many loads is a mistake of ours.
const LOADS_MAX: usize = 1000;

impl Tx<'_> {
    /// An empty world whose new records and objects get numbers of their own.
    pub fn world(&self) -> Result<World> {
        let next = |table: &str| -> Result<i64> {
            let sql = format!("SELECT coalesce(max(id), 0) + 1 FROM {table}");
            Ok(self.sql.prepare_cached(&sql)?.query_row([], |r| r.get(0))?)
        };
        Ok(World::new(next("records")?, next("objects")?))
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

    pub fn load(&self, house: &House, world: &mut World, keys: BTreeSet<Key>) -> Result<()> {
        for key in keys {
            let ids = match &key {
                Key::Record(id) | Key::Object(id) => vec![*id],
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
                Key::SoldOfVariant(id) => {
                    world.answer_sold(key.clone(), self.sold_of_variant(*id)?);
                    continue;
                }
                Key::SoldOfOrder(id) => {
                    world.answer_sold(key.clone(), self.sold_of_order(*id)?);
                    continue;
                }
                Key::OrdersPolled(connection) => {
                    let asked = self.orders_polled(house, connection)?;
                    world.polled.insert(connection.clone(), asked);
                    continue;
                }
            };
            self.learn(world, &key, &ids)?;
            world.answer(key, ids);
        }
        Ok(())
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
                    && let Some(record) = self.record(*id)?
                {
                    world.learn_record(record);
                }
            } else if !world.objects.contains_key(id)
                && let Some(object) = self.object(*id)?
            {
                world.learn_object(object);
            }
        }
        Ok(())
    }

    /// Asked of the newest complete listing of a shop's stock-holding documents, with nothing of
    /// it open; 0 while there is none.
    fn orders_polled(&self, house: &House, connection: &str) -> Result<Seq> {
        let Some((_, connector)) = house.connector(connection) else { return Ok(0) };
        let mut oldest = Seq::MAX;
        for resource in connector.resources.iter().filter(|r| !r.holds_stock.is_empty()) {
            let cursor = self.cursor(connection, &resource.name, "")?;
            let open = self.open_until(connection, &resource.collection, cursor.last)?;
            oldest = oldest.min(if cursor.complete && !open { cursor.asked } else { 0 });
        }
        Ok(if oldest == Seq::MAX { 0 } else { oldest })
    }

    /// Writes everything that changed.
    pub fn save(&self, world: &World) -> Result<()> {
        self.write_records(world.dirty_records.iter().filter_map(|id| world.records.get(id)))?;
        let dirty = world.dirty_objects.iter().filter_map(|id| world.objects.get(id));
        // What gave its remote id away comes before who has it now.
        self.write_objects(dirty.clone().filter(|o| o.remote.is_none()))?;
        self.write_objects(dirty.filter(|o| o.remote.is_some()))?;
        self.write_sold(world.dirty_sold.iter().map(|key| (key, world.sold.get(key))))
    }
}
