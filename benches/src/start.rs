//! A start with everything known: when it answers, and what it holds while nothing happens.
//!
//! Reads   a database of a hundred thousand records.   Writes  nothing.
//! Never   counts a start that was not cold of this process: the program is started anew.

use std::time::Duration;

use anyhow::Result;

use crate::flow::{Scene, Target};
use crate::report::{Row, Wanted};

/// A product, its variant, its price, its figure.
const RECORDS_EACH: usize = 4;

/// Megabytes that may be resident while nothing happens.
const IDLE_MIB: f64 = 64.0;

/// Polls at the start are over after this.
const IDLE_AFTER: Duration = Duration::from_secs(15);

pub async fn rows(records: usize, turns: usize) -> Result<Vec<Row>> {
    let scene = Scene::start("start", Target::Canned, records / RECORDS_EACH).await?;
    let ready = format!("start with {records} records: until it answers (floor: the limit)");
    let mut ready = Row::new(&ready, "s", Wanted::AtMost(1.0));
    let idle = format!("idle memory with {records} records (floor: the limit)");
    let mut idle = Row::new(&idle, "MiB", Wanted::AtMost(1.0));
    for _ in 0..turns {
        let (running, took) = scene.rig.serve().await?;
        ready.floor.push(1.0);
        ready.kilter.push(took.as_secs_f64());
        tokio::time::sleep(IDLE_AFTER).await;
        idle.floor.push(IDLE_MIB);
        idle.kilter.push(running.memory()?.0 as f64 / f64::from(1 << 20));
    }
    Ok(vec![ready, idle])
}
