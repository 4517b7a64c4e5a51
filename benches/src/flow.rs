//! End to end: stock webhooks in, until the shop shows them. Kilter, and what is written by hand.
//!
//! Reads   what the canned shop shows, and when.   Writes  storms of webhooks.
//! Never   counts what was not acknowledged, nor believes anybody but the shop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::canned::Canned;
use crate::canned::stockroom::article;
use crate::report::{Row, Wanted};
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

/// Which shop shows the stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Knows to the microsecond when a figure was shown.
    Canned,
    /// As slow, and as exact, as the simulator of the platform is.
    Twin,
}

/// A stockroom, a shop that shows all of it, and Kilter's folder.
pub struct Scene {
    pub canned: Canned,
    twin: Option<kilter_twin::Running>,
    http: reqwest::Client,
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
    pub async fn start(name: &str, target: Target, articles: usize) -> Result<Self> {
        let canned = Canned::start(articles).await?;
        let rig = Rig::new(name)?;
        let twin = match target {
            Target::Canned => None,
            Target::Twin => Some(twin().await?),
        };
        let shop = twin.as_ref().map_or_else(|| canned.url(), kilter_twin::Running::url);
        rig.config_with(&canned.url(), &shop, "")?;
        Self::load(Self { canned, twin, http: reqwest::Client::new(), rig, articles, run: 0 }).await
    }

    async fn load(self) -> Result<Self> {
        self.rig.run(&["sync"]).await?;
        let there = self.figures().await?.into_iter().flatten().count();
        ensure!(there == self.articles, "{there} of {} articles stand in the shop", self.articles);
        self.canned.stockroom().mute = true;
        Ok(self)
    }

    /// What every article shows now.
    async fn figures(&self) -> Result<Vec<Option<i64>>> {
        let Some(twin) = &self.twin else { return Ok(self.canned.shop().figures(self.articles)) };
        let brief: Vec<Brief> = office(&self.http, twin, "brief").await?;
        let mut out = vec![None; self.articles];
        for line in brief {
            if let Some(n) = article(&line.sku).filter(|n| *n < self.articles) {
                out[n] = line.stock.as_ref().and_then(serde_json::Number::as_i64);
            }
        }
        Ok(out)
    }

    /// Calls that wrote to the shop, and calls that read.
    async fn calls(&self) -> Result<(u64, u64)> {
        let Some(twin) = &self.twin else {
            let shop = self.canned.shop();
            return Ok((shop.writes, shop.reads));
        };
        let calls: Calls = office(&self.http, twin, "calls").await?;
        Ok((calls.writes, calls.reads))
    }

    async fn serve(&self, who: Who) -> Result<Running> {
        let running = match who {
            Who::Kilter => self.rig.serve().await?.0,
            Who::Floor => {
                let shop = self.twin.as_ref().map_or(self.canned.address, |twin| twin.address);
                floor("stock", &self.rig, &shop.to_string()).await?
            }
        };
        // Polls at the start are none of the storm; nor is what Kilter repairs then, for the floor wrote to
        // the same shop in its turn: ten thousand figures, behind its back.
        tokio::time::sleep(Duration::from_secs(2)).await;
        if who == Who::Kilter {
            self.quiet().await?;
        }
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
        self.canned.shop().want(last.clone());
        let calls = self.calls().await?;
        let (before, started) = (running.cpu()?, Instant::now());
        let course = Arc::new(Course::default());
        let told = rage(self.rig.listen, "/hooks/stockroom", events, None, &course).await;
        let answered = started.elapsed();
        let acknowledged = course.acknowledged.load(Ordering::Relaxed);
        ensure!(acknowledged == count as u64, "{acknowledged} of {count} acknowledged");
        if who == Who::Floor {
            self.all_called(calls.0 + count as u64, started).await?;
        }
        let arrived = self.all_shown(&last, started).await?;
        let first = told.first().map_or(started, |t| t.sent);
        let after = self.calls().await?;
        Ok(Measured {
            per_second: count as f64 / (arrived - first).as_secs_f64(),
            acknowledged_per_second: count as f64 / answered.as_secs_f64(),
            calls: after.0 - calls.0,
            reads: after.1 - calls.1,
            cpu: running.cpu()? - before,
            memory: running.memory()?.1,
        })
    }

    /// Waits until each article shows its last figure, and says when that was.
    async fn all_shown(&self, last: &[i64], started: Instant) -> Result<Instant> {
        loop {
            let look = Instant::now();
            let there = if self.twin.is_some() {
                let shown = self.figures().await?;
                shown.iter().zip(last).filter(|(shown, last)| **shown == Some(**last)).count()
            } else {
                let shop = self.canned.shop();
                if let (true, Some(at)) = (shop.wanted().arrived == last.len(), shop.wanted().last)
                {
                    return Ok(at);
                }
                shop.wanted().arrived
            };
            if there == last.len() {
                return Ok(Instant::now());
            }
            ensure!(started.elapsed() < PATIENCE, "{there} of {} shown", last.len());
            tokio::time::sleep(LOOK_EVERY.max(look.elapsed() * REST)).await;
        }
    }

    /// The floor makes a call for each webhook: it is done when the last one was made.
    async fn all_called(&self, count: u64, started: Instant) -> Result<()> {
        while self.calls().await?.0 < count {
            ensure!(started.elapsed() < PATIENCE, "the floor does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// At a steady rate: how long from the webhook to the shop; milliseconds at 50 %, 99 %, most.
    pub async fn steady(&mut self, who: Who, per_second: u32) -> Result<[f64; 3]> {
        let _running = self.serve(who).await?;
        let (events, last) = self.events(1);
        ensure!(self.twin.is_none(), "only the canned shop knows when a figure was shown");
        self.canned.shop().want(last.clone());
        let started = Instant::now();
        let course = Arc::new(Course::default());
        let rate = Some(per_second);
        let told = rage(self.rig.listen, "/hooks/stockroom", events, rate, &course).await;
        self.all_shown(&last, started).await?;
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
        let (events, _) = self.events(rounds);
        let third = events.len() as u64 / 3;
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
        self.quiet().await?;
        drop(again);
        let mut acknowledged = 0;
        let mut sent: Vec<Vec<&Told>> = vec![Vec::new(); self.articles];
        for one in &told {
            acknowledged += u64::from(one.acknowledged);
            sent[one.article].push(one);
        }
        let shown = self.figures().await?;
        let lost = |(article, sent): (usize, &Vec<&Told>)| {
            let last = sent.iter().rposition(|t| t.acknowledged)?;
            let fits = sent[last..].iter().any(|t| shown[article] == Some(t.figure));
            (!fits).then_some(article)
        };
        let lost = sent.iter().enumerate().filter_map(lost).count();
        Ok((acknowledged, lost))
    }

    /// Nothing was written for some seconds.
    pub async fn quiet(&self) -> Result<()> {
        let mut seen = (0, Instant::now());
        while seen.1.elapsed() < QUIET {
            let (writes, _) = self.calls().await?;
            if writes != seen.0 {
                seen = (writes, Instant::now());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Changes a second, floor and Kilter in turn; what each loses when it is killed.
    pub async fn row(&mut self, rounds: usize, turns: usize) -> Result<Row> {
        let shop = if self.twin.is_some() { "a shop twin" } else { "the canned shop" };
        let work = format!(
            "{} stock webhooks of {} SKUs, until {shop} shows them",
            rounds * self.articles,
            self.articles
        );
        let mut row = Row::new(&work, "changes/s", Wanted::AtLeast(0.40));
        let mut notes = Vec::new();
        for _ in 0..turns {
            for who in [Who::Floor, Who::Kilter] {
                let one = self.storm(who, rounds).await?;
                let to = if who == Who::Floor { &mut row.floor } else { &mut row.kilter };
                to.push(one.per_second);
                notes = if who == Who::Floor { Vec::new() } else { notes };
                notes.push(format!(
                    "{}: {:.0} acknowledged/s, {} calls that write and {} that read, {:.1} s of \
                     processor, {} MiB at the most",
                    who.name(),
                    one.acknowledged_per_second,
                    one.calls,
                    one.reads,
                    one.cpu,
                    one.memory >> 20
                ));
            }
        }
        row.notes = notes;
        for who in [Who::Floor, Who::Kilter] {
            let (acknowledged, lost) = self.killed(who, rounds).await?;
            row.notes.push(format!(
                "{} killed in the middle: of {acknowledged} acknowledged, {lost} of {} SKUs never \
                 showed their last",
                who.name(),
                self.articles
            ));
            ensure!(who == Who::Floor || lost == 0, "{lost} SKUs lost what was acknowledged");
        }
        Ok(row)
    }

    /// Milliseconds from the webhook to the shop, at the 99th of a hundred.
    pub async fn steady_row(&mut self, per_second: u32, turns: usize) -> Result<Row> {
        let work = format!("the same at a steady {per_second}/s, to the canned shop: p99");
        let mut row = Row::new(&work, "ms", Wanted::Told);
        let mut most = 0.0_f64;
        for _ in 0..turns {
            row.floor.push(self.steady(Who::Floor, per_second).await?[1]);
            let [middle, p99, last] = self.steady(Who::Kilter, per_second).await?;
            row.kilter.push(p99);
            row.notes = vec![format!("Kilter's median {middle:.1} ms")];
            most = most.max(last);
        }
        let p99 = crate::report::median(&row.kilter).unwrap_or(f64::INFINITY);
        let verdict = if p99 < STEADY_MS { "reached" } else { "**missed**" };
        row.notes.push(format!("slowest {most:.0} ms; below {STEADY_MS} ms wanted: {verdict}"));
        Ok(row)
    }
}

/// What the 99th of a hundred may take.
const STEADY_MS: f64 = 250.0;

/// How often it is asked what the shop shows.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A look at ten thousand articles is work on the cores that are measured: who looked rests so many times
/// as long.
const REST: u32 = 9;

#[derive(Debug, serde::Deserialize)]
struct Brief {
    #[serde(default)]
    sku: String,
    stock: Option<serde_json::Number>,
}

#[derive(Debug, serde::Deserialize)]
struct Calls {
    writes: u64,
    reads: u64,
}

async fn twin() -> Result<kilter_twin::Running> {
    let settings = [("currency", "EUR"), ("prices_include_tax", "true"), ("tax_rate", "19")];
    let settings = settings.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let options = kilter_twin::Options { port: None, seed: 7, settings };
    Ok(kilter_twin::start("woocommerce", options).await?)
}

/// What a twin's back office says.
pub async fn office<T: serde::de::DeserializeOwned>(
    http: &reqwest::Client,
    twin: &kilter_twin::Running,
    page: &str,
) -> Result<T> {
    let text = http.get(format!("{}/_twin/{page}", twin.url())).send().await?.text().await?;
    Ok(serde_json::from_str(&text)?)
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
