//! Merge: changes of the log, of distinct SKUs, through mapping, ownership, shadow and due marks.
//!
//! Reads   a house that Kilter loaded itself.   Writes  copies of its database.
//! Never   measures the appending: what is timed is the stage, from the log to the last commit.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use kilter::engine::Engine;
use kilter_core::model::{Change, Via};

use crate::canned::stockroom::{EPOCH, sku};
use crate::floors;
use crate::flow::{Scene, Target};
use crate::report::{Row, Wanted};

/// Bytes of a body, at least.
const BODY: usize = 1_500;

/// An article as a listing tells it, with what else such items hold: most of it is of no use to us.
fn body(article: usize, price: usize, moved: usize) -> String {
    let mut text = format!(
        "{{\"id\":{},\"sku\":\"{}\",\"name\":\"Article {article} of the stockroom\",\
         \"kind\":\"simple\",\"status\":\"active\",\"price\":\"{price}.90\",\"weight\":0.25,\
         \"updated\":{},\"dimensions\":{{\"length\":12.5,\"width\":7,\"height\":3}},\
         \"tags\":[\"new\",\"summer\",\"sale\"],\"suppliers\":[",
        article + 1,
        sku(article),
        EPOCH + moved as i64,
    );
    for n in 0.. {
        if text.len() + 100 > BODY {
            break;
        }
        let comma = if n == 0 { "" } else { "," };
        text.push_str(&format!(
            "{comma}{{\"id\":{n},\"code\":\"SUP-{n}-{article}\",\"lead_days\":{},\"price\":\"{}.10\",\"active\":true}}",
            n + 2,
            article % 90 + n
        ));
    }
    text.push_str("],\"note\":null}");
    text
}

/// Every article in turn, its price moved; with `half`, every second one says what is known.
fn bodies(articles: usize, rounds: usize, half: bool) -> Vec<String> {
    let mut out = Vec::with_capacity(articles * rounds);
    for round in 0..rounds {
        for n in 0..articles {
            let article = (n * 7_919 + round * 31) % articles;
            let same = half && article.is_multiple_of(2);
            let moved = if same { 0 } else { 1 + round };
            out.push(body(article, 5 + article % 200 + moved, moved));
        }
    }
    out
}

pub struct Merge {
    scene: Scene,
    articles: usize,
    rounds: usize,
    runs: usize,
}

impl Merge {
    pub async fn start(articles: usize, rounds: usize) -> Result<Self> {
        let scene = Scene::start("merge", Target::Canned, articles).await?;
        Ok(Self { scene, articles, rounds, runs: 0 })
    }

    /// Changes a second: the floor's, then Kilter's.
    pub async fn measure(&mut self, half: bool) -> Result<(f64, f64)> {
        self.runs += 1;
        let bodies = bodies(self.articles, self.rounds, half);
        let floor = self.scene.rig.folder.join(format!("floor.{}.sqlite", self.runs));
        let known: Vec<String> = (0..self.articles).map(|n| body(n, 5 + n % 200, 0)).collect();
        floors::merge::load(&floor, &known)?;
        let started = Instant::now();
        let differed = floors::merge::run(&floor, &bodies)?;
        let by_hand = bodies.len() as f64 / started.elapsed().as_secs_f64();
        let changed = if half { self.articles / 2 } else { self.articles } * self.rounds;
        ensure!(differed == changed, "the floor took {differed} changes, not {changed}");
        let folder = self.scene.rig.folder.clone();
        let (seconds, marked) = kilter(&folder, &self.scene.rig.database(), &bodies).await?;
        let owed = if half { self.articles / 2 } else { self.articles };
        ensure!(marked == owed, "{marked} objects are due, not {owed}");
        Ok((by_hand, bodies.len() as f64 / seconds))
    }

    pub async fn row(&mut self, half: bool, turns: usize) -> Result<Row> {
        let (what, least) = if half { (", half of them unchanged", 0.60) } else { ("", 0.40) };
        let name = format!("merge: 1.5 KB changes, {} SKUs{what}", self.articles);
        let mut row = Row::new(&name, "changes/s", Wanted::AtLeast(least));
        for _ in 0..turns {
            let (floor, kilter) = self.measure(half).await?;
            row.floor.push(floor);
            row.kilter.push(kilter);
        }
        Ok(row)
    }
}

/// Seconds to merge all of them, and how many of the shop's objects are due then.
async fn kilter(folder: &Path, database: &Path, bodies: &[String]) -> Result<(f64, usize)> {
    let copy = folder.join("copy.sqlite");
    for end in ["", "-wal", "-shm"] {
        let path = folder.join(format!("copy.sqlite{end}"));
        if path.exists() {
            std::fs::remove_file(&path)?;
        }
    }
    std::fs::copy(database, &copy).context("copy the database")?;
    let engine = crate::inside::engine(folder, &copy).await?;
    append(&engine, bodies)?;
    let started = Instant::now();
    let done = kilter::pipeline::merge::run(&engine).await?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(done == bodies.len(), "{done} of {} changes ended", bodies.len());
    let far = kilter::engine::after(std::time::Duration::from_secs(3600));
    let due = engine.store.read(|tx| tx.due("shop", &far, usize::MAX))?.len();
    Ok((seconds, due))
}

fn append(engine: &Engine, bodies: &[String]) -> Result<()> {
    for part in bodies.chunks(1_000) {
        engine.store.write(|tx| {
            let at = kilter::engine::now();
            let mut changes = Vec::with_capacity(part.len());
            for body in part {
                let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
                changes.push(Change {
                    seq: 0,
                    connection: "stockroom".into(),
                    collection: "items".into(),
                    remote: body["id"].to_string().into(),
                    each: kilter_core::model::Text::default(),
                    via: Via::Hook,
                    asked: 0,
                    body,
                    at: at.as_str().into(),
                });
            }
            tx.append(&mut changes)
        })?;
    }
    Ok(())
}
