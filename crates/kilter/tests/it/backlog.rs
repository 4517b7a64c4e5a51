//! Backlog: however many changes are merged at a time, and whoever writes between, what is true then is
//! the same.
//!
//! Reads   what a first sync left.   Writes  copies of its database.
//! Never   delivers: it ends where merging ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kilter::engine::Engine;
use kilter::pipeline::merge::{Bounds, Ran, run_within};
use kilter::store::Store;
use kilter_core::model::{Change, Text, Via};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Rig, seed};

/// More than are read ahead at once, and than the first batches take.
const CHANGES: usize = 6_000;

/// There are more.
const OBJECTS: i64 = 40;

/// So many are taken out of the log at once: a bound is passed by as many.
const PIECE: usize = 500;

/// Sold lines, ordered over and over.
const ORDERS: usize = 8;

/// What moves in a body. Of figures of the shops it is drift.
const FIGURES: [&str; 5] = ["quantity", "fixed_price", "list_price", "weight", "stock_quantity"];

/// Everything that merging writes, as text; `repairs` is whoever writes between merges.
const TABLES: [&str; 8] = [
    "SELECT id, entity, key, folded, origin, fields FROM records ORDER BY id",
    "SELECT * FROM refs ORDER BY record, field",
    "SELECT * FROM pending ORDER BY what, id, pending",
    "SELECT id, connection, resource, collection, remote, root, unmatched, shadow, version, settled,
        asked, fell, state, wait_kind, wait_reason, due_mark, due_since, due_next, due_not_before,
        due_tries, due_lane, look FROM objects ORDER BY id",
    "SELECT * FROM bindings ORDER BY object, facet",
    "SELECT * FROM sold ORDER BY order_id, line",
    "SELECT seq, end, reason FROM changes ORDER BY seq",
    "SELECT * FROM sums ORDER BY connection, collection, kind",
];

fn table(sql: &Connection, query: &str) -> Vec<String> {
    let mut statement = sql.prepare(query).unwrap();
    let columns = statement.column_count();
    let row = |r: &rusqlite::Row<'_>| {
        let cell = |n| r.get::<_, rusqlite::types::Value>(n).unwrap();
        Ok(format!("{:?}", (0..columns).map(cell).collect::<Vec<_>>()))
    };
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

/// Bodies as they came at the first sync, with where they came from.
fn told(database: &Path) -> Vec<Change> {
    let sql = Connection::open(database).unwrap();
    let query =
        "SELECT connection, collection, remote, each, body FROM changes JOIN bodies USING (seq)
                 WHERE body NOT LIKE '%$hint%' AND via <> 'gone' AND remote <> '' ORDER BY seq";
    let mut statement = sql.prepare(query).unwrap();
    let change = |r: &rusqlite::Row<'_>| {
        let text = |n| r.get::<_, String>(n).map(Text::from);
        let body: String = r.get(4)?;
        Ok(Change {
            seq: 0,
            connection: text(0)?,
            collection: text(1)?,
            remote: text(2)?,
            each: text(3)?,
            via: Via::Page,
            asked: 0,
            body: serde_json::from_str(&body).unwrap(),
            at: "2026-03-01T10:00:00.000Z".into(),
        })
    };
    statement.query_map([], change).unwrap().map(Result::unwrap).collect()
}

/// The same again, its figures moved in six of ten. Some variants nobody knows, some bodies cannot be read,
/// each for a reason of its own; some things are gone, of some it is only said that they moved.
fn backlog(templates: &[Change]) -> Vec<Change> {
    let mut random = SmallRng::seed_from_u64(11);
    let mut out = Vec::with_capacity(CHANGES);
    for n in 0..CHANGES {
        let mut change = templates[random.random_range(0..templates.len())].clone();
        let moved = random.random_bool(0.6);
        let fresh = random.random_bool(0.2) && change.body.get("default_code").is_some();
        if let Some(body) = change.body.as_object_mut() {
            for figure in FIGURES.iter().filter(|_| moved) {
                if let Some(value) = body.get_mut(*figure).filter(|v| v.is_number()) {
                    *value = json!(random.random_range(1..40));
                }
            }
            let lines = body.get_mut("line_items").and_then(Value::as_array_mut);
            for line in lines.into_iter().flatten().filter(|_| moved) {
                line["quantity"] = json!(random.random_range(1..4));
            }
            if fresh {
                body.insert("id".into(), json!(1_000_000 + n));
                body.insert("default_code".into(), json!(format!("FRESH-{n}")));
                change.remote = (1_000_000 + n).to_string().into();
            }
            if random.random_bool(0.03) {
                for figure in FIGURES {
                    body.entry(figure).and_modify(|value| *value = json!("dear"));
                }
            }
        }
        match random.random_range(0..200) {
            0 => (change.via, change.body) = (Via::Gone, serde_json::Value::Null),
            1 => change.body = json!({ "$hint": true }),
            _ => {}
        }
        change.at = format!("2026-03-01T10:{:02}:{:02}.000Z", n / 60 % 60, n % 60).into();
        out.push(change);
    }
    out
}

struct Scene {
    rig: Rig,
    backlog: Vec<Change>,
}

impl Scene {
    async fn start() -> Self {
        let rig = Rig::start("backlog").await;
        rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(12, 10)).await;
        for _ in 0..2 {
            let (code, told_us) = rig.run(&["sync"]).await;
            assert_eq!(code, 0, "{told_us}");
            for n in 0..ORDERS / 2 {
                let line = |sku: &str| json!({ "sku": sku, "quantity": 1 + n % 2 });
                let order = json!({ "lines": [line("MUG-001"), line("MUG-002")],
                    "billing": { "first_name": "Ada", "last_name": "L", "email": "ada@example.com",
                        "address_1": "Weg 1", "city": "Berlin", "postcode": "10115", "country": "DE" } });
                rig.post(&format!("{}/_twin/orders", rig.de.url()), &order).await;
            }
        }
        let (code, told_us) = rig.run(&["sync"]).await;
        assert_eq!(code, 0, "{told_us}");
        let backlog = backlog(&told(&rig.database()));
        Self { rig, backlog }
    }

    /// An engine on a copy. Nothing polls, merges or delivers by itself.
    async fn engine(&self, name: &str) -> (Arc<Engine>, PathBuf) {
        let copy = self.rig.folder.join(format!("{name}.sqlite"));
        std::fs::copy(self.rig.database(), &copy).unwrap();
        let mut problems = Vec::new();
        let mut house = kilter::catalog::load(&self.rig.toml(), &mut problems).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        let store = Store::open(&copy).unwrap();
        kilter::engine::since(&mut house, &store).unwrap();
        (Arc::new(Engine::start(house, store).await.unwrap()), copy)
    }

    /// Merges the backlog, so many appended at a time. What stands there then, table by table, and what the
    /// last of it came to.
    async fn merged(
        &self,
        name: &str,
        at_a_time: usize,
        bounds: Bounds,
        beside: impl Fn(&Store),
    ) -> (Vec<Vec<String>>, Ran) {
        let mut ran = Ran::default();
        let (engine, copy) = self.engine(name).await;
        let first = engine.store.read(|tx| tx.last_seq()).unwrap();
        for (n, part) in self.backlog.chunks(at_a_time).enumerate() {
            let mut part = part.to_vec();
            for (m, change) in part.iter_mut().enumerate() {
                // As if each had been asked for after the one before it came.
                change.asked = first + i64::try_from(n * at_a_time + m).unwrap();
            }
            engine.store.write(|tx| tx.append(&mut part)).unwrap();
            let merging = tokio::spawn({
                let engine = Arc::clone(&engine);
                async move { run_within(&engine, bounds).await.unwrap() }
            });
            while !merging.is_finished() {
                tokio::task::block_in_place(|| beside(&engine.store));
            }
            ran = merging.await.unwrap();
            assert_eq!(ran.merged, part.len());
            assert!(ran.ahead <= bounds.ahead + PIECE, "{name}: too much in hand: {ran:?}");
        }
        drop(engine);
        let sql = Connection::open(&copy).unwrap();
        (TABLES.iter().map(|query| table(&sql, query)).collect(), ran)
    }
}

fn assert_same(one: &[Vec<String>], other: &[Vec<String>], what: &str) {
    for ((one, other), query) in one.iter().zip(other).zip(TABLES) {
        let differ = one.iter().zip(other).find(|(one, other)| one != other);
        assert_eq!(differ, None, "{what}: {query}");
        assert_eq!(one.len(), other.len(), "{what}: {query}");
    }
}

/// What a merchant's backlog of a million reaches, within reach of six thousand.
const NARROW: [(&str, Bounds); 3] = [
    ("rows", Bounds { part: 90, ahead: 400, world: 100_000, unwritten: 40, unwritten_sold: 250 }),
    (
        "sold",
        Bounds { part: 250, ahead: 900, world: 100_000, unwritten: 32_000, unwritten_sold: 3 },
    ),
    ("world", Bounds { part: 70, ahead: 300, world: 50, unwritten: 500, unwritten_sold: 20 }),
];

const NAP: Duration = Duration::from_micros(100);

/// While it is merged ahead, in memory, whoever writes between two batches has the last word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_comes_to_the_same_however_it_is_cut_and_whoever_writes_between() {
    let scene = Scene::start().await;
    let nap = |_: &Store| std::thread::sleep(NAP);
    let (one_by_one, _) = scene.merged("one", 1, Bounds::default(), nap).await;
    let ends = one_by_one[6].join("\n");
    for (end, least) in [("merged", 600), ("unchanged", 600), ("dead", 20), ("filtered", 20)] {
        let there = ends.matches(&format!("Text(\"{end}\")")).count();
        assert!(there > least, "hardly any is {end}: {there}");
    }
    assert!(one_by_one[0].join("\n").matches("FRESH-").count() > 10, "hardly any is born");
    let before = Connection::open(scene.rig.database()).unwrap();
    let sold = table(&before, TABLES[5]);
    let moved = sold.iter().zip(&one_by_one[5]).filter(|(before, after)| before != after).count();
    assert!(moved >= ORDERS / 2, "of {} sold lines {moved} moved", sold.len());
    let (whole, _) = scene.merged("whole", CHANGES, Bounds::default(), nap).await;
    assert_same(&one_by_one, &whole, "all at once");
    for (name, bounds) in NARROW {
        let (narrow, ran) = scene.merged(name, CHANGES, bounds, nap).await;
        assert_same(&one_by_one, &narrow, name);
        let bites = if name == "world" { ran.dropped } else { ran.early };
        assert!(bites > 5, "{name}: the bound is hardly reached: {ran:?}");
    }
    for seed in 0..5 {
        disturbed(&scene, &one_by_one, seed).await;
    }
}

/// Somebody counts in rows of what is merged, as deliveries do, now and then.
async fn disturbed(scene: &Scene, alone: &[Vec<String>], seed: u64) {
    let times = AtomicU64::new(0);
    let count = |store: &Store| {
        let n = times.fetch_add(1, Ordering::Relaxed);
        let mut random = SmallRng::seed_from_u64(seed * 1_000 + n);
        std::thread::sleep(NAP * random.random_range(1..60));
        let counted = |tx: &kilter::store::Tx<'_>| {
            let mut object = tx.object(random.random_range(1..OBJECTS))?.unwrap();
            object.repairs.insert(format!("~{n}").into(), (1, serde_json::Value::Null));
            tx.write_objects(std::iter::once(&object))
        };
        store.write(counted).unwrap();
    };
    let name = format!("disturbed{seed}");
    let (_, bounds) = NARROW[usize::try_from(seed).unwrap() % NARROW.len()];
    let bounds = if seed < 2 { Bounds::default() } else { bounds };
    let (both, ran) = scene.merged(&name, CHANGES, bounds, count).await;
    assert_same(alone, &both, "beside somebody who writes");
    // Where worlds are small, most are let go of.
    assert!(ran.caught_up > 0 || ran.dropped > 0, "nobody wrote between: {ran:?}");
    assert!(ran.caught_up > 0 || bounds.world < 100_000, "nothing was caught up with: {ran:?}");
    let sql = Connection::open(scene.rig.folder.join(format!("{name}.sqlite"))).unwrap();
    let repairs = table(&sql, "SELECT repairs FROM objects").join("\n");
    let there = u64::try_from(repairs.matches('~').count()).unwrap();
    assert_eq!(there, times.into_inner(), "what was written between is lost");
    assert!(there > 0, "nobody wrote");
}
