//! End to end: stock webhooks in, until the shop shows them. Kilter, and what is written by hand.
//!
//! Reads   what the canned shop shows, and when.   Writes  storms of webhooks.
//! Never   counts what was not acknowledged, nor believes anybody but the shop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::canned::Canned;
use crate::rig::{Rig, Running};
use crate::storm::{Course, Event, Told, rage};

/// Bytes of a webhook's body.
const BODY: usize = 1_500;

/// Longest wait until the last figure is shown.
const PATIENCE: Duration = Duration::from_secs(300);

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Floor,
    Kilter,
}

impl Who {
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "by hand",
            Self::Kilter => "kilter",
        }
    }
}

/// A stockroom, a shop that shows all of it, and Kilter's folder.
pub struct Scene {
    pub canned: Canned,
    pub rig: Rig,
    articles: usize,
    /// Figures of one run are those of no other.
    run: i64,
}

/// What one storm cost.
#[derive(Debug, Clone)]
pub struct Measured {
    pub per_second: f64,
    pub acknowledged_per_second: f64,
    pub calls: u64,
    pub reads: u64,
    pub cpu: f64,
    pub memory: u64,
}

impl Scene {
    /// Loads the shop by Kilter, once for all runs.
    pub async fn start(name: &str, articles: usize, more: &str) -> Result<Self> {
        let canned = Canned::start(articles).await?;
        let rig = Rig::new(name)?;
        rig.config(&canned.url(), more)?;
        rig.run(&["sync"]).await?;
        let there = canned.shop().len();
        ensure!(there == articles, "{there} of {articles} articles stand in the shop");
        canned.stockroom().mute = true;
        Ok(Self { canned, rig, articles, run: 0 })
    }

    async fn serve(&self, who: Who) -> Result<Running> {
        let running = match who {
            Who::Kilter => self.rig.serve().await?.0,
            Who::Floor => floor("stock", &self.rig, &self.canned.address.to_string()).await?,
        };
        // Polls at the start are none of the storm.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(running)
    }

    /// The next webhooks: every article in turn, `rounds` times; what each shows at the end.
    fn events(&mut self, rounds: usize) -> (Vec<Event>, Vec<i64>) {
        self.run += 1;
        let mut stockroom = self.canned.stockroom();
        let mut events = Vec::with_capacity(rounds * self.articles);
        for round in 0..rounds {
            for n in 0..self.articles {
                // A walk over all of them, in no order of theirs.
                let article = (n * 7_919 + round * 31) % self.articles;
                let figure = 1 + self.run * 1_000 + i64::try_from(round).unwrap_or(0);
                stockroom.set(article, figure);
                events.push(Event::new(article, figure, stockroom.hook(article, BODY)));
            }
        }
        let last = (0..self.articles).map(|n| stockroom.quantity(n)).collect();
        (events, last)
    }

    /// As fast as it is answered: from the first webhook to the last figure shown.
    pub async fn storm(&mut self, who: Who, rounds: usize) -> Result<Measured> {
        let running = self.serve(who).await?;
        let (events, last) = self.events(rounds);
        let count = events.len();
        self.canned.shop().want(last);
        let (before, started) = (running.cpu()?, Instant::now());
        let course = Arc::new(Course::default());
        let told = rage(self.rig.listen, "/hooks/stockroom", events, None, &course).await;
        let answered = started.elapsed();
        let acknowledged = course.acknowledged.load(Ordering::Relaxed);
        ensure!(acknowledged == count as u64, "{acknowledged} of {count} acknowledged");
        if who == Who::Floor {
            self.all_called(count as u64, started).await?;
        }
        let arrived = self.all_shown(started).await?;
        let first = told.first().map_or(started, |t| t.sent);
        let shop = self.canned.shop();
        Ok(Measured {
            per_second: count as f64 / (arrived - first).as_secs_f64(),
            acknowledged_per_second: count as f64 / answered.as_secs_f64(),
            calls: shop.writes,
            reads: shop.reads,
            cpu: running.cpu()? - before,
            memory: running.memory()?.1,
        })
    }

    /// Waits until each article shows its last figure, and says when that was.
    async fn all_shown(&self, started: Instant) -> Result<Instant> {
        loop {
            {
                let shop = self.canned.shop();
                let wanted = shop.wanted();
                if wanted.arrived == self.articles {
                    return Ok(wanted.last.unwrap_or(started));
                }
                let there = wanted.arrived;
                ensure!(started.elapsed() < PATIENCE, "{there} of {} shown", self.articles);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The floor makes a call for each webhook: it is done when the last one was made.
    async fn all_called(&self, count: u64, started: Instant) -> Result<()> {
        while self.canned.shop().writes < count {
            ensure!(started.elapsed() < PATIENCE, "the floor does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// At a steady rate: how long from the webhook to the shop; milliseconds at 50 %, 99 %, most.
    pub async fn steady(&mut self, who: Who, per_second: u32) -> Result<[f64; 3]> {
        let _running = self.serve(who).await?;
        let (events, last) = self.events(1);
        self.canned.shop().want(last);
        let started = Instant::now();
        let course = Arc::new(Course::default());
        let rate = Some(per_second);
        let told = rage(self.rig.listen, "/hooks/stockroom", events, rate, &course).await;
        self.all_shown(started).await?;
        let shop = self.canned.shop();
        let took =
            |t: &Told| shop.shown_at(t.article).map(|at| at.saturating_duration_since(t.sent));
        let mut took: Vec<Duration> = told.iter().filter_map(took).collect();
        took.sort();
        let at = |part: usize| took[(took.len() * part / 1000).min(took.len() - 1)];
        Ok([at(500), at(990), at(1000)].map(|t| t.as_secs_f64() * 1000.0))
    }

    /// `kill -9` in the middle of a storm, and a start. How many were acknowledged, and how many
    /// articles show a figure older than the last that was.
    pub async fn killed(&mut self, who: Who, rounds: usize) -> Result<(u64, usize)> {
        let mut running = self.serve(who).await?;
        let (events, last) = self.events(rounds);
        let third = events.len() as u64 / 3;
        self.canned.shop().want(last);
        let course = Arc::new(Course::default());
        let (address, shared) = (self.rig.listen, Arc::clone(&course));
        let storm =
            tokio::spawn(
                async move { rage(address, "/hooks/stockroom", events, None, &shared).await },
            );
        while course.acknowledged.load(Ordering::Relaxed) < third {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        running.kill()?;
        // What was sent until now is all there is: nothing later may hide what was lost.
        course.stop.store(true, Ordering::Relaxed);
        let told = storm.await?;
        let again = self.serve(who).await?;
        self.quiet().await;
        drop(again);
        let mut acknowledged = 0;
        let mut sent: Vec<Vec<&Told>> = vec![Vec::new(); self.articles];
        for one in &told {
            acknowledged += u64::from(one.acknowledged);
            sent[one.article].push(one);
        }
        let shown = self.canned.shop().figures(self.articles);
        let lost = |(article, sent): (usize, &Vec<&Told>)| {
            let last = sent.iter().rposition(|t| t.acknowledged)?;
            let fits = sent[last..].iter().any(|t| shown[article] == Some(t.figure));
            (!fits).then_some(article)
        };
        let lost = sent.iter().enumerate().filter_map(lost).count();
        Ok((acknowledged, lost))
    }

    /// Nothing was written for some seconds.
    async fn quiet(&self) {
        let mut seen = (0, Instant::now());
        while seen.1.elapsed() < QUIET {
            let writes = self.canned.shop().writes;
            if writes != seen.0 {
                seen = (writes, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// So long without a write is quiet.
const QUIET: Duration = Duration::from_secs(4);

/// This program again, as a floor that listens where Kilter would.
pub async fn floor(name: &str, rig: &Rig, target: &str) -> Result<Running> {
    let listen = rig.listen.to_string();
    let log = std::fs::File::create(rig.folder.join("floor.log"))?;
    let child = std::process::Command::new(std::env::current_exe()?)
        .args(["floor", name, &listen, target])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(log)
        .spawn()?;
    let mut running = Running(child);
    running.answers(rig.listen).await?;
    Ok(running)
}
