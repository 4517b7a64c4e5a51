//! Growth: what a variant costs in a small shop, and in a large one.
//!
//! Reads   the canned remotes of each size.   Writes  a database of each size, removed afterwards.
//! Never   mixes works: first load, sweep and change are each a process of their own.

use anyhow::{Context, Result, ensure};

use crate::canned::Canned;
use crate::report::{Row, Wanted, median};
use crate::rig::Rig;

/// Of the smallest size's time, each variant.
const WORSE: f64 = 1.5;

/// Most bytes that may be resident.
const MEMORY: u64 = 1 << 30;

/// A size that is over in a second is measured so many times, and counts by its medians: what it costs is
/// what all others are held against.
const SMALL: usize = 10_000;
const TURNS: usize = 5;

struct Cost {
    load: f64,
    sweep: f64,
    change: f64,
    disk: u64,
    memory: u64,
}

/// A row a work and a size; the floor is what the smallest size costs.
pub async fn rows(sizes: &[usize]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut least: Option<Cost> = None;
    for size in sizes {
        eprintln!("growth to {size} variants …");
        let turns = if *size < SMALL { TURNS } else { 1 };
        let cost = middle(*size, turns).await?;
        let floor = least.as_ref().unwrap_or(&cost);
        let works = [
            ("first load", floor.load, cost.load),
            ("sweep, nothing changed", floor.sweep, cost.sweep),
            ("every figure changed, read, merged and delivered", floor.change, cost.change),
        ];
        for (work, floor, each) in works {
            let name = format!("growth, {size} variants: {work}");
            let mut row = Row::new(&name, "ms a variant", Wanted::AtMost(WORSE));
            (row.floor, row.kilter) = (vec![floor], vec![each]);
            rows.push(row);
        }
        if let Some(row) = rows.last_mut() {
            let verdict = if cost.memory <= MEMORY { "" } else { ": **more than 1 GiB**" };
            row.notes.push(format!(
                "{} bytes on the disk a variant, {} MiB resident at the most{verdict}",
                cost.disk,
                cost.memory >> 20
            ));
            if turns > 1 {
                row.notes.push(format!("medians of {turns} runs; the most memory of any"));
            }
        }
        least = least.or(Some(cost));
    }
    Ok(rows)
}

/// What a size costs in the middle of its turns, each figure for itself; of memory the most.
async fn middle(size: usize, turns: usize) -> Result<Cost> {
    let mut costs = Vec::with_capacity(turns);
    for _ in 0..turns {
        costs.push(cost(size).await?);
    }
    let of = |figure: fn(&Cost) -> f64| {
        median(&costs.iter().map(figure).collect::<Vec<_>>()).context("find the middle of no turns")
    };
    let memory = costs.iter().map(|cost| cost.memory).max().unwrap_or_default();
    let disk = costs.iter().map(|cost| cost.disk).max().unwrap_or_default();
    Ok(Cost {
        load: of(|cost| cost.load)?,
        sweep: of(|cost| cost.sweep)?,
        change: of(|cost| cost.change)?,
        disk,
        memory,
    })
}

async fn cost(size: usize) -> Result<Cost> {
    let canned = Canned::start(size).await?;
    let rig = Rig::new(&format!("growth-{size}"))?;
    rig.config(&canned.url(), "")?;
    let each = |time: std::time::Duration| time.as_secs_f64() * 1000.0 / size as f64;
    let (load, a) = rig.measured(&["sync"]).await?;
    let there = canned.shop().len();
    ensure!(there == size, "{there} of {size} variants were loaded");
    let disk = std::fs::metadata(rig.database())?.len() / size as u64;
    canned.shop().want(vec![i64::MIN; size]);
    let (sweep, b) = rig.measured(&["backfill"]).await?;
    let writes = canned.shop().writes;
    ensure!(writes == 0, "a sweep in which nothing changed wrote {writes} times");
    canned.stockroom().set_all(60, |n| 1_000 + i64::try_from(n % 7).unwrap_or(0));
    let last = (0..size).map(|n| canned.stockroom().quantity(n)).collect();
    canned.shop().want(last);
    let (change, c) = rig.measured(&["sync"]).await?;
    let arrived = canned.shop().wanted().arrived;
    ensure!(arrived == size, "{arrived} of {size} figures are shown");
    let memory = a.max(b).max(c);
    Ok(Cost { load: each(load), sweep: each(sweep), change: each(change), disk, memory })
}
