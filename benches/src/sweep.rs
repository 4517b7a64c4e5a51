//! A sweep in which nothing changed: everything is read again, and nothing is written.
//!
//! Reads   the stockroom's articles, page by page.   Writes  nothing, and that is checked.
//! Never   loads a shop: what a sweep costs is what it reads.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use kilter::pipeline::poll::{Extent, whole};

use crate::canned::Canned;
use crate::floors;
use crate::report::{Row, Wanted};
use crate::rig::Rig;

/// Bytes that may be resident at the most.
const MEMORY: f64 = 256.0;

pub struct Sweep {
    canned: Canned,
    rig: Rig,
    articles: usize,
}

impl Sweep {
    /// Kilter reads the stockroom, and so does the floor: both know everything.
    pub async fn start(articles: usize) -> Result<Self> {
        let canned = Canned::start(articles).await?;
        let rig = Rig::new("sweep")?;
        rig.config_of(&CONFIG.replace("{url}", &canned.url()))?;
        rig.run(&["sync"]).await?;
        let scene = Self { canned, rig, articles };
        let (items, differed, ..) = scene.turn("floor").await?;
        ensure!(items == articles && differed == articles, "the floor read {items} articles");
        Ok(scene)
    }

    /// One sweep in a process of its own: items, how many differed, seconds, MiB at the most.
    async fn turn(&self, who: &str) -> Result<(usize, usize, f64, f64)> {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.args(["stage", &format!("sweep-{who}")]).arg(&self.rig.folder);
        command.arg(self.canned.address.to_string());
        let out = tokio::task::spawn_blocking(move || command.output()).await??;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let told = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "sweep by {who}: {told}");
        let mut figures = text.split_whitespace();
        let mut next = || figures.next().with_context(|| format!("read {text:?}"));
        Ok((next()?.parse()?, next()?.parse()?, next()?.parse()?, next()?.parse()?))
    }

    pub async fn row(&self, turns: usize) -> Result<Row> {
        let name = format!("sweep of {} variants, nothing changed", self.articles);
        let mut row = Row::new(&name, "s", Wanted::AtMost(2.5));
        let before = content(&self.rig.database())?;
        let mut most = 0.0_f64;
        for _ in 0..turns {
            let (items, differed, seconds, _) = self.turn("floor").await?;
            ensure!(items == self.articles && differed == 0, "the floor: {differed} differed");
            row.floor.push(seconds);
            let (items, differed, seconds, memory) = self.turn("kilter").await?;
            ensure!(items == self.articles && differed == 0, "{differed} of {items} differed");
            row.kilter.push(seconds);
            most = most.max(memory);
        }
        ensure!(content(&self.rig.database())? == before, "a sweep wrote to the database");
        let verdict = if most <= MEMORY { "" } else { ", **more than wanted**" };
        row.notes.push(
            "0 remote writes, 0 rows written but the run's own sums and cursor (checked)"
                .to_owned(),
        );
        row.notes.push(format!("{most:.0} MiB at the most; {MEMORY:.0} wanted{verdict}"));
        Ok(row)
    }
}

/// A hash of every row that a sweep may not touch.
fn content(database: &Path) -> Result<blake3::Hash> {
    let sql = rusqlite::Connection::open(database)?;
    let mut hasher = blake3::Hasher::new();
    for table in ["records", "refs", "objects", "bindings", "changes", "deliveries", "sold"] {
        let mut s = sql.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2"))?;
        let width = s.column_count();
        let mut rows = s.query([])?;
        while let Some(row) = rows.next()? {
            for n in 0..width {
                hasher.update(format!("{:?}|", row.get_ref(n)?).as_bytes());
            }
        }
    }
    Ok(hasher.finalize())
}

/// The process of one turn.
pub async fn stage(who: &str, folder: &Path, from: std::net::SocketAddr) -> Result<()> {
    let (items, differed, seconds) = if who == "floor" {
        let swept = floors::sweep::run(from, &folder.join("floor.sqlite")).await?;
        (swept.items, swept.differed, swept.seconds)
    } else {
        let engine = crate::inside::engine(folder, &folder.join("kilter.sqlite")).await?;
        let received = || -> Result<i64> {
            let of = ["stockroom", "items", "received"].map(str::to_owned);
            Ok(*engine.store.read(|tx| tx.sums())?.get(&of.into()).unwrap_or(&0))
        };
        let before = received()?;
        let started = std::time::Instant::now();
        let differed = whole(&engine, "stockroom", "items", Extent::Everything).await?;
        let seconds = started.elapsed().as_secs_f64();
        let remote = engine.remotes.get("stockroom").context("find the stockroom's client")?;
        let writes = remote.writes.load(std::sync::atomic::Ordering::Relaxed);
        ensure!(writes == 0, "a sweep wrote to the remote {writes} times");
        (usize::try_from(received()? - before)?, differed, seconds)
    };
    let status = std::fs::read_to_string("/proc/self/status").context("read memory")?;
    let most = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("read VmHWM")?;
    let kib: f64 = most.split_whitespace().next().context("read VmHWM")?.parse()?;
    println!("{items} {differed} {seconds} {}", kib / 1024.0);
    Ok(())
}

const CONFIG: &str = r#"
locations = ["main"]

[kilter]
store = "kilter.sqlite"
listen = "{listen}"

[price_list.retail]
currency = "EUR"
tax = "included"

[connection.stockroom]
connector = "stockroom"
url = "{url}"
webhook_secret = "hush"
locale = "en_US"
currency = "EUR"
price_list = "retail"

[own.product]
"*" = "stockroom"
[own.variant]
"*" = "stockroom"
[own.price]
"*" = "stockroom"
[own.stock]
"*" = "stockroom"
"#;
