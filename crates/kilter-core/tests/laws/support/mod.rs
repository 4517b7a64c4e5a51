//! A hub in memory: a store that answers a world's questions, and the stages run by hand.
//!
//! Reads   changes and plans.   Writes  its own maps.
//! Never   decides anything: what is true and what is next, the core says.

pub mod house;
pub mod kiosk;
pub mod market;
pub mod store;

use kilter_core::Json;
use kilter_core::model::{
    Change, End, Object, ObjectId, Record, RecordId, Seq, State, Via, WaitKind,
};
use kilter_core::sync::guards::Guards;
use kilter_core::sync::house::House;
use kilter_core::sync::mark;
use kilter_core::sync::plan::{ARCHIVED_ROW, Operation, Plan, plan};
use kilter_core::sync::project::{project, remote_of, resource_of};
use kilter_core::sync::reference::same;
use kilter_core::sync::unseen::note_fall;
use kilter_core::sync::world::World;
use kilter_core::sync::{existence, merge};
use serde_json::json;

use store::Store;

pub const NOW: &str = "2026-03-01T10:00:00Z";

/// The whole of it: a house, a store and the log's last place.
pub struct Hub {
    pub house: House,
    pub store: Store,
    pub seq: Seq,
}

impl Hub {
    pub fn new() -> Self {
        Self::of(house::house(house::CONFIG))
    }

    pub fn of(house: House) -> Self {
        Self { house, store: Store::new(), seq: 0 }
    }

    /// Runs a step to its end against the store, as the real one does.
    pub fn step<T>(&mut self, mut step: impl FnMut(&House, &mut World) -> T) -> T {
        let mut world = self.store.world();
        for _ in 0..1000 {
            world.begin_step();
            let out = step(&self.house, &mut world);
            if world.missing.is_empty() {
                self.store.save(&world);
                return out;
            }
            world.undo_step();
            let missing = world.missing.clone();
            self.store.load(&mut world, missing);
        }
        panic!("{:?} stays missing", world.missing);
    }

    // ---- hearing -------------------------------------------------------------------------

    /// A read that left and came back with nothing in between.
    pub fn read(&mut self, connection: &str, collection: &str, body: Json) -> End {
        let asked = self.seq;
        self.hear(connection, collection, "", Via::Page, asked, body)
    }

    pub fn read_each(&mut self, connection: &str, collection: &str, each: &str, body: Json) -> End {
        let asked = self.seq;
        self.hear(connection, collection, each, Via::Page, asked, body)
    }

    pub fn hook(&mut self, connection: &str, collection: &str, body: Json) -> End {
        self.hear(connection, collection, "", Via::Hook, 0, body)
    }

    /// One change: appended, understood, merged.
    pub fn hear(
        &mut self,
        connection: &str,
        collection: &str,
        each: &str,
        via: Via,
        asked: Seq,
        body: Json,
    ) -> End {
        self.seq += 1;
        let id = kilter_core::manifest::plain(&body["id"]);
        let change = Change {
            seq: self.seq,
            connection: connection.into(),
            collection: collection.into(),
            remote: remote_of(&id, each).into(),
            each: each.into(),
            via,
            asked,
            body,
            at: NOW.into(),
        };
        if via == Via::Gone {
            return self.step(|house, w| existence::gone(house, w, &change));
        }
        if change.body.get("$hint").is_some() {
            return self.step(|_, w| merge::hint(w, &change));
        }
        let item = resource_of(&self.house, connection, collection, &change.body, each)
            .map(|view| project(&view, &change.body, each).unwrap());
        let Some(item) = item else { return End::Filtered("no resource takes it".into()) };
        self.step(|house, w| merge::merge(house, w, &change, &item))
    }

    // ---- looking -------------------------------------------------------------------------

    pub fn record(&self, entity: &str, key: &str) -> &Record {
        let found = self.store.records.values();
        found.clone().find(|r| r.entity == entity && r.key.as_deref() == Some(key)).unwrap_or_else(
            || panic!("no {entity} {key} among {:?}", found.map(|r| &r.key).collect::<Vec<_>>()),
        )
    }

    pub fn value(&self, entity: &str, key: &str, field: &str) -> Option<&Json> {
        self.record(entity, key).value(field, "")
    }

    pub fn objects(&self, connection: &str, resource: &str, root: RecordId) -> Vec<&Object> {
        let all = self.store.objects.values();
        all.filter(|o| o.connection == connection && o.resource == resource && o.root == Some(root))
            .collect()
    }

    /// The only object of a record in a resource.
    pub fn object(&self, connection: &str, resource: &str, root: RecordId) -> &Object {
        let all = self.objects(connection, resource, root);
        assert_eq!(all.len(), 1, "{connection} {resource} of record {root}");
        all[0]
    }

    pub fn remote(&self, connection: &str, collection: &str, remote: &str) -> &Object {
        let mut all = self.store.objects.values();
        all.find(|o| {
            o.connection == connection
                && o.collection == collection
                && o.remote.as_deref() == Some(remote)
        })
        .unwrap()
    }

    pub fn edit(&mut self, id: ObjectId, change: impl FnOnce(&mut Object)) {
        change(self.store.objects.get_mut(&id).unwrap());
    }

    // ---- delivering ----------------------------------------------------------------------

    pub fn plan(&mut self, id: ObjectId) -> Plan {
        self.plan_fresh(id, 0)
    }

    pub fn plan_fresh(&mut self, id: ObjectId, fresh_since: Seq) -> Plan {
        let object = self.store.objects[&id].clone();
        self.step(|house, w| match house.view(&object.connection, &object.resource) {
            Some(view) => plan(&view, w, &object, fresh_since, Guards::default()),
            None => Plan::Nothing,
        })
    }

    /// What the target answered to an operation becomes what we know of it.
    pub fn settle(&mut self, operation: &Operation, answer: Json) {
        let before = self.store.objects[&operation.object].clone();
        let mut expected = before.shadow.clone();
        for field in &operation.fields {
            expected.insert(field.row.clone(), field.new.clone());
        }
        let archive = operation.kind == kilter_core::manifest::Kind::Archive;
        let remote = kilter_core::manifest::plain(&answer["id"]);
        self.edit(operation.object, |o| {
            o.remote = Some(remote.into());
            o.wait = None;
            o.due = None;
            o.bindings.remove(mark::WAITS_ON);
            if o.state == State::Seat {
                o.state = State::Live;
            }
            if archive {
                o.shadow.insert(ARCHIVED_ROW.into(), json!(true));
            }
        });
        let (connection, collection) = (before.connection.clone(), before.collection.clone());
        self.hear(&connection, &collection, &operation.each, Via::Answer, 0, answer);
        let (seq, house) = (self.seq, &self.house);
        let view = house.view(&connection, &before.resource).unwrap();
        let mut object = self.store.objects[&operation.object].clone();
        let shown = object.shadow.clone();
        note_fall(&view, &mut object, &expected, &shown, seq);
        let (fell, shadow) = (object.fell, object.shadow);
        self.edit(operation.object, |o| {
            o.settled = seq;
            o.fell = fell;
            o.shadow = shadow;
            for field in &operation.fields {
                let kept = o.shadow.get(&field.row).is_some_and(|v| same(v, &field.new));
                let times = o.repairs.get(&field.row).map_or(0, |(n, _)| *n);
                if kept {
                    o.repairs.remove(&field.row);
                } else {
                    o.repairs.insert(field.row.clone(), (times + 1, field.new.clone()));
                }
            }
            o.wait.clone_from(&operation.partial);
        });
        let id = operation.object;
        let differs = self.store.objects[&id]
            .shadow
            .iter()
            .any(|(k, v)| !expected.get(k).is_some_and(|e| same(e, v)));
        let created = before.remote.is_none();
        self.step(|house, w| {
            if differs {
                mark::mark_if_written(house, w, id, NOW);
            }
            if created {
                mark::object_bound(house, w, id, NOW);
            }
        });
    }

    pub fn due(&self, connection: &str) -> Vec<ObjectId> {
        let all = self.store.objects.values();
        all.filter(|o| o.due.is_some() && o.connection == connection).map(|o| o.id).collect()
    }

    /// Delivers what is due to a target until nothing is. Returns how many calls it took.
    pub fn align(&mut self, connection: &str, target: &mut Target) -> usize {
        let mut calls = 0;
        for _ in 0..50 {
            let due = self.due(connection);
            if due.is_empty() {
                return calls;
            }
            for id in due {
                match self.plan(id) {
                    Plan::Write(operation) => {
                        calls += 1;
                        let collection = self.store.objects[&id].collection.clone();
                        let answer = target.apply(&collection, &operation);
                        self.settle(&operation, answer);
                    }
                    Plan::Wait(wait, on) => self.edit(id, |o| {
                        o.due = None;
                        o.wait = Some(wait);
                        if let Some(on) = on {
                            o.bindings.insert(mark::WAITS_ON.into(), on);
                        }
                    }),
                    Plan::Nothing => self.edit(id, |o| {
                        o.due = None;
                        o.wait = None;
                    }),
                    other => panic!("{other:?}"),
                }
            }
        }
        panic!("never aligned: {:?} stay due", self.due(connection));
    }

    pub fn waits(&self, id: ObjectId, kind: WaitKind, text: &str) {
        let wait = self.store.objects[&id].wait.as_ref();
        let wait = wait.unwrap_or_else(|| panic!("object {id} waits for nothing"));
        assert_eq!(wait.kind, kind, "{}", wait.reason);
        assert!(wait.reason.contains(text), "\"{}\" does not say \"{text}\"", wait.reason);
    }
}

/// A remote that takes what it is given, in its own normal form.
pub struct Target {
    pub items: std::collections::BTreeMap<(String, String), Json>,
    /// What it does to an item before it keeps it.
    pub normal: fn(&mut Json),
    next: i64,
}

impl Target {
    pub fn new(normal: fn(&mut Json)) -> Self {
        Self { items: std::collections::BTreeMap::new(), normal, next: 500 }
    }

    pub fn apply(&mut self, collection: &str, operation: &Operation) -> Json {
        let id = operation.id.clone().unwrap_or_else(|| {
            self.next += 1;
            self.next.to_string()
        });
        let key = (collection.to_owned(), id.clone());
        let item = self.items.entry(key).or_insert_with(|| json!({}));
        if operation.kind == kilter_core::manifest::Kind::Archive {
            item["state"] = json!("private");
        }
        for (name, value) in operation.payload.as_object().unwrap() {
            item[name.as_str()] = value.clone();
        }
        item["id"] = kilter_core::sync::batch::id_json(&id);
        if let Some(parent) = &operation.parent {
            item["parent"] =
                kilter_core::sync::batch::id_json(&kilter_core::manifest::plain(parent));
        }
        (self.normal)(item);
        item.clone()
    }
}
