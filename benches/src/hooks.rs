//! Webhooks in: 5 KB, signed, verified, durable before the 202; 64 connections.
//!
//! Reads   nothing.   Writes  webhooks, each of another article than the ones beside it.
//! Never   counts what was not acknowledged. Nobody merges meanwhile: that is the flow's row.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::canned::Canned;
use crate::flow::{Who, floor};
use crate::report::{Row, Wanted, median};
use crate::rig::{Rig, Running};
use crate::storm::{Course, Event, rage};

/// Bytes of a body.
const BODY: usize = 5_000;

pub struct Hooks {
    canned: Canned,
    rig: Rig,
    count: usize,
}

/// What one storm showed: requests a second, milliseconds at 99 %.
pub struct Measured {
    pub per_second: f64,
    pub p99: f64,
}

impl Hooks {
    pub async fn start(count: usize) -> Result<Self> {
        let canned = Canned::start(count).await?;
        let rig = Rig::new("hooks")?;
        rig.config(&canned.url(), "")?;
        Ok(Self { canned, rig, count })
    }

    async fn serve(&self, who: Who) -> Result<Running> {
        if who == Who::Floor {
            return floor("hooks", &self.rig, &self.canned.address.to_string()).await;
        }
        let log = std::fs::File::create(self.rig.folder.join("stage.log"))?;
        let child = std::process::Command::new(std::env::current_exe()?)
            .args(["stage", "hooks"])
            .arg(&self.rig.folder)
            .arg(self.rig.listen.to_string())
            .stderr(log)
            .spawn()?;
        let mut running = Running(child);
        running.answers(self.rig.listen).await?;
        Ok(running)
    }

    pub async fn storm(&self, who: Who) -> Result<Measured> {
        let _running = self.serve(who).await?;
        let events: Vec<Event> = {
            let stockroom = self.canned.stockroom();
            (0..self.count).map(|n| Event::new(n, 0, stockroom.hook(n, BODY))).collect()
        };
        let course = Arc::new(Course::default());
        let started = Instant::now();
        let told = rage(self.rig.listen, "/hooks/stockroom", events, None, &course).await;
        let seconds = started.elapsed().as_secs_f64();
        let acknowledged = course.acknowledged.load(Ordering::Relaxed);
        ensure!(acknowledged == self.count as u64, "{acknowledged} of {} acknowledged", self.count);
        let mut took: Vec<Duration> = told.iter().map(|t| t.took).collect();
        took.sort();
        let p99 = took.get(took.len() * 99 / 100).context("count webhooks")?;
        Ok(Measured { per_second: self.count as f64 / seconds, p99: p99.as_secs_f64() * 1000.0 })
    }

    pub async fn rows(&self, turns: usize) -> Result<Vec<Row>> {
        let mut rate = Row::new(
            "webhook in: 5 KB signed, durable before the 202; 64 connections",
            "requests/s",
            Wanted::AtLeast(0.30),
        );
        let mut tail = Row::new("the same: how long, at 99 %", "ms", Wanted::AtMost(3.0));
        for _ in 0..turns {
            for who in [Who::Floor, Who::Kilter] {
                let measured = self.storm(who).await?;
                let (rates, tails) = match who {
                    Who::Floor => (&mut rate.floor, &mut tail.floor),
                    Who::Kilter => (&mut rate.kilter, &mut tail.kilter),
                };
                rates.push(measured.per_second);
                tails.push(measured.p99);
            }
        }
        let most = median(&rate.kilter).unwrap_or_default();
        rate.notes.push(format!("{} webhooks a turn; nobody merges meanwhile", self.count));
        tail.notes.push(format!("at {most:.0} requests/s"));
        Ok(vec![rate, tail])
    }
}

/// The stage alone, in a process of its own: what is listened to, and nothing else.
pub async fn stage(folder: &std::path::Path, listen: std::net::SocketAddr) -> Result<()> {
    let database = folder.join("stage.sqlite");
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(folder.join(format!("stage.sqlite{end}"))).ok();
    }
    let engine = crate::inside::engine(folder, &database).await?;
    let listener = tokio::net::TcpListener::bind(listen).await.context("listen")?;
    Ok(kilter::api::serve(listener, engine, pending()).await?)
}
