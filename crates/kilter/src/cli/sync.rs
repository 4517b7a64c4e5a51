//! `kilter sync` and `kilter backfill`: align until nothing moves, then say what is left.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kilter_core::model::{Object, WaitKind};
use serde_json::json;

use super::Scope;
use crate::engine::{Engine, now};
use crate::pipeline::poll::Extent;
use crate::pipeline::schedule::{self, Event};
use crate::pipeline::{guard, place, retain, swept};
use crate::store::{Store, Tx};

#[derive(Debug, Args)]
pub struct SyncArgs {
    #[command(flatten)]
    scope: Scope,
    /// Say yes to what is held because it would change or delete much at once: `kilter status` and
    /// the last lines of `kilter sync` tell what that is.
    #[arg(long)]
    approve: bool,
    /// One JSON object at the end instead of text.
    #[arg(long)]
    json: bool,
}

/// Does an object fall into what was asked for?
pub fn wanted(tx: &Tx<'_>, object: &Object, scope: &Scope) -> crate::store::Result<bool> {
    if scope.connection.as_ref().is_some_and(|c| *c != object.connection) {
        return Ok(false);
    }
    if scope.entity.is_none() && scope.wanted.is_none() {
        return Ok(true);
    }
    let Some(record) = object.root.map(|id| tx.record(id)).transpose()?.flatten() else {
        return Ok(false);
    };
    let entity = scope.entity.as_ref().is_none_or(|e| *e == record.entity);
    let key = scope.wanted.as_deref().is_none_or(|text| match text.split_once('=') {
        Some((field, value)) => {
            record.text(field) == Some(value) || record.key.as_deref() == Some(value)
        }
        None => record.key.as_deref() == Some(text),
    });
    Ok(entity && key)
}

/// Reads everything from the beginning. A running `serve` does it beside its work; one that was
/// interrupted goes on.
pub async fn backfill(config: &Path, args: &SyncArgs) -> anyhow::Result<ExitCode> {
    let house = super::house(config)?;
    let path = super::store_path(config, &house);
    let served = path.exists() && super::alone(&path).is_err();
    if served {
        let store = Store::open(&path).with_context(|| format!("open {}", path.display()))?;
        store.write(|tx| begin(tx, house.config.connections.keys()))?;
        println!("a running kilter reads everything again; `kilter status` shows how far it is");
        return Ok(ExitCode::SUCCESS);
    }
    run(config, args, true).await
}

/// One that was begun, and not ended, goes on if it is no older than this.
const BACKFILL_KEPT: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

fn begin<'c>(tx: &Tx<'_>, names: impl Iterator<Item = &'c String>) -> crate::store::Result<()> {
    let at = jiff::Timestamp::now();
    for name in names {
        let key = swept::backfill_key(name);
        let begun = tx.meta(&key)?.and_then(|at| at.parse::<jiff::Timestamp>().ok());
        if begun.is_none_or(|begun| at.duration_since(begun) > BACKFILL_KEPT) {
            tx.set_meta(&key, &now())?;
        }
    }
    Ok(())
}

pub async fn run(config: &Path, args: &SyncArgs, everything: bool) -> anyhow::Result<ExitCode> {
    let engine = super::engine(config, &args.scope).await?;
    let scoped = args.scope.entity.is_some() || args.scope.wanted.is_some();
    if args.scope.connection.is_some() || scoped {
        *engine.scope.lock().unwrap_or_else(PoisonError::into_inner) = Some(args.scope.clone());
    }
    let names = engine.active();
    if everything {
        let names = names.clone();
        engine.store.write_async(move |tx| begin(tx, names.iter())).await?;
    }
    let (filling, mut everything) = (everything, everything);
    if args.approve {
        let said = engine.store.write_async(|tx| guard::approve(tx, &now())).await?;
        // What is not listed any more is found absent by the next whole listing.
        everything |= !said.is_empty();
        for reason in said.iter().filter(|_| !args.json) {
            println!("approved: {reason}");
        }
    }
    let bar = progress(args.json);
    let seen: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let watch = |event: Event| match event {
        Event::Polling { connection, resource } => {
            bar.set_message(format!("reading {resource} of {connection}"));
        }
        Event::Polled { connection, resource, differed } => {
            bar.println_if(differed > 0, format!("{connection}: {differed} {resource} differ"));
        }
        Event::Merged(n) => bar.set_message(format!("merged {n}")),
        Event::Delivering { connection, planned } => {
            bar.set_message(format!("{connection}: {planned} looked at"));
        }
        Event::Failed { connection, resource, fault } => {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(format!("{connection} {resource}"), fault);
        }
        Event::Quiet => {}
    };
    let extent = if everything { Extent::Everything } else { Extent::SinceCursor };
    tokio::select! {
        done = schedule::until_quiet(&engine, extent, &watch) => done?,
        never = told(&engine, &bar, filling && !args.json) => never?,
    }
    if filling {
        let forget = move |tx: &Tx<'_>| {
            names.iter().try_for_each(|name| tx.forget_meta(&swept::backfill_key(name)).map(|_| ()))
        };
        engine.store.write_async(forget).await?;
    }
    retain::run(&engine).await?;
    bar.finish();
    let faults = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    let scope = args.scope.clone();
    let waiting = engine
        .store
        .write_async(move |tx| {
            let mut out = Vec::new();
            for object in tx.waiting(WAITING_MAX)? {
                if wanted(tx, &object, &scope)? {
                    out.push(object);
                }
            }
            Ok(out)
        })
        .await?;
    let asked = engine.store.write_async(guard::asked).await?;
    report(&engine, &waiting, &faults, &asked, args.json);
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How often it is told how far long listings are: on a terminal, and elsewhere.
const TOLD_EVERY: Duration = Duration::from_millis(500);
const LINES_EVERY: u32 = 20;

/// Says how far long listings are, for ever.
async fn told(engine: &Engine, bar: &Bar, lines: bool) -> crate::store::Result<()> {
    let mut n: u32 = 0;
    loop {
        tokio::time::sleep(TOLD_EVERY).await;
        let all = engine.store.write_async(place::under_way).await?;
        n += 1;
        match &bar.0 {
            Some(_) => {
                if let Some(one) = all.first() {
                    bar.set_message(one.to_string());
                }
            }
            None if lines && n.is_multiple_of(LINES_EVERY) => {
                all.iter().for_each(|one| println!("{one}"));
            }
            None => {}
        }
    }
}

const WAITING_MAX: usize = 10_000;

fn report(
    engine: &Engine,
    waiting: &[Object],
    faults: &BTreeMap<String, String>,
    asked: &[String],
    as_json: bool,
) {
    use std::sync::atomic::Ordering;
    let calls: BTreeMap<&String, [u64; 2]> = engine
        .remotes
        .iter()
        .map(|(n, r)| (n, [r.calls.load(Ordering::Relaxed), r.writes.load(Ordering::Relaxed)]))
        .collect();
    let rows: Vec<_> = waiting
        .iter()
        .filter_map(|o| Some((o, o.wait.as_ref()?)))
        .map(|(o, w)| {
            json!({ "object": o.id, "connection": o.connection, "resource": o.resource,
                "id": o.remote, "wait": w.kind.name(), "reason": w.reason })
        })
        .collect();
    if as_json {
        println!("{}", json!({ "waits": rows, "faults": faults, "asked": asked, "calls": calls }));
        return;
    }
    for row in &rows {
        println!(
            "{:>6}  {}  {} {} {}: {}",
            row["object"],
            super::cell(&row["wait"]),
            super::cell(&row["connection"]),
            super::cell(&row["resource"]),
            super::cell(&row["id"]),
            row["reason"].as_str().unwrap_or_default()
        );
    }
    for reason in asked {
        println!("held: {reason}");
    }
    for (what, fault) in faults {
        println!("not read: {what}: {fault}");
    }
    for (name, [calls, writes]) in calls {
        println!("{name}: {calls} calls, {writes} of them writes");
    }
    println!("{}", summary(waiting));
}

/// The last line: how much waits, and for whom. It is no failure: sync did all that it could.
fn summary(waiting: &[Object]) -> String {
    let count = |kind| waiting.iter().flat_map(|o| &o.wait).filter(|w| w.kind == kind).count();
    let all = [
        (count(WaitKind::Held), "held for a person"),
        (count(WaitKind::Dead), "refused"),
        (count(WaitKind::Parked), "waiting for something else"),
        (count(WaitKind::Later), "tried again later"),
    ];
    let some: Vec<String> =
        all.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if some.is_empty() {
        return "everything agrees".to_owned();
    }
    format!("{} (see `kilter status`, `kilter decide --help`)", some.join(", "))
}

/// A spinner on a terminal, silence elsewhere.
struct Bar(Option<ProgressBar>);

fn progress(quiet: bool) -> Bar {
    if quiet || !std::io::stderr().is_terminal() {
        return Bar(None);
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    Bar(Some(bar))
}

impl Bar {
    fn set_message(&self, text: String) {
        if let Some(bar) = &self.0 {
            bar.set_message(text);
        }
    }
    fn println_if(&self, wanted: bool, text: String) {
        match &self.0 {
            Some(bar) if wanted => bar.println(text),
            _ => {}
        }
    }
    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
