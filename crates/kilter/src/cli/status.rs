//! `kilter status`: per connection and entity – how much is there, how much agrees, since when
//! something is due, when it was last asked for, what went wrong, what waits and for what.
//!
//! Reads   the store and the house.   Writes  the terminal.   Never  asks a remote.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use kilter_core::Json;
use kilter_core::model::Object;
use kilter_core::sync::house::House;
use serde_json::json;

use crate::store::report::{FaultGroup, ResourceStatus};

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Most waits and dead letters shown.
const SHOWN_MAX: usize = 50;

/// Most reasons shown for an entity of a connection; `--json` has them all.
const REASONS_MAX: usize = 5;

/// Most waiting objects read.
const WAITING_MAX: usize = 10_000;

type Sums = crate::store::sums::Sums;

/// What is known of one entity at one connection, over all resources that show it.
#[derive(Debug, Default, serde::Serialize)]
struct EntityStatus {
    connection: String,
    entity: String,
    resources: Vec<String>,
    objects: i64,
    aligned: i64,
    /// Rounded down: 100 is all of them.
    aligned_percent: i64,
    due: i64,
    oldest_due: Option<String>,
    last_poll: Option<String>,
    /// Those that are kept; the newest of each kind stand below the table.
    faults: i64,
    unmatched: i64,
    waits: Vec<WaitStatus>,
}

/// How many wait for the same.
#[derive(Debug, serde::Serialize)]
struct WaitStatus {
    wait: &'static str,
    reason: String,
    objects: i64,
}

/// Everything that is shown.
struct Found {
    entities: Vec<EntityStatus>,
    resources: Vec<ResourceStatus>,
    waiting: Vec<Object>,
    sums: Sums,
    faults: Vec<FaultGroup>,
    polls: Vec<(String, String, String)>,
    dead: Vec<(i64, String, String, String, String)>,
    open: i64,
    /// Webhooks that are kept beside the log, until it takes them over.
    hooks: u64,
    /// That nothing more can be written, where that is so.
    disk: Option<String>,
    /// Long listings that are being read.
    reading: Vec<crate::pipeline::place::Progress>,
    /// What `sync --approve` would let through.
    asked: Vec<String>,
    /// Connection, status, how many creates by permit.
    intents: Vec<(String, String, i64)>,
}

pub fn run(config: &Path, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let (house, store) = super::reader(config)?;
    let path = super::store_path(config, &house);
    let found = store.read(|tx| {
        let mut intents = Vec::new();
        for name in house.config.connections.keys() {
            for (status, n) in tx.intent_counts(name)? {
                intents.push((name.clone(), status, n));
            }
        }
        Ok(Found {
            entities: Vec::new(),
            resources: tx.resource_status()?,
            waiting: tx.waiting(WAITING_MAX)?,
            sums: tx.sums()?,
            faults: tx.fault_groups()?,
            polls: tx.last_polls()?,
            dead: tx.dead_changes(100)?,
            open: tx.open_count()?,
            hooks: tx.webhooks_waiting()?,
            disk: full(&path),
            reading: crate::pipeline::place::under_way(tx)?,
            asked: crate::pipeline::guard::asked(tx)?,
            intents,
        })
    })?;
    let found = Found { entities: found.entities(&house), ..found };
    if args.json {
        println!("{}", found.json());
    } else {
        found.print();
    }
    Ok(ExitCode::SUCCESS)
}

impl Found {
    fn total(&self, kind: &str) -> i64 {
        self.sums.iter().filter(|((_, _, k), _)| k == kind).map(|(_, n)| n).sum()
    }

    fn conserved(&self) -> bool {
        let ended = ["unchanged", "merged", "filtered", "dead"].map(|kind| self.total(kind));
        self.total("received") == ended.iter().sum::<i64>() + self.open
    }

    fn json(&self) -> Json {
        let waits: Vec<_> = self
            .waiting
            .iter()
            .filter_map(|o| Some((o, o.wait.as_ref()?)))
            .map(|(o, w)| {
                json!({ "object": o.id, "connection": o.connection, "resource": o.resource,
                    "id": o.remote, "wait": w.kind.name(), "reason": w.reason })
            })
            .collect();
        let sums: Vec<_> = self
            .sums
            .iter()
            .map(|((c, r, k), n)| json!({ "connection": c, "collection": r, "kind": k, "n": n }))
            .collect();
        json!({ "entities": self.entities, "resources": self.resources, "waits": waits, "sums": sums,
            "faults": self.faults, "polls": self.polls, "dead": self.dead, "open": self.open,
            "hooks": self.hooks, "disk": self.disk,
            "intents": self.intents, "asked": self.asked, "reading": self.reading, "conserved": self.conserved() })
    }

    fn print(&self) {
        println!("{}\n", self.table());
        for listing in &self.reading {
            println!("{listing}");
        }
        if let Some(full) = &self.disk {
            println!("{full}");
        }
        for reason in &self.asked {
            println!("held: {reason}");
        }
        println!(
            "received {} = unchanged {} + merged {} + filtered {} + dead {} + open {}: {}",
            self.total("received"),
            self.total("unchanged"),
            self.total("merged"),
            self.total("filtered"),
            self.total("dead"),
            self.open,
            if self.conserved() { "nothing lost" } else { "DOES NOT HOLD" }
        );
        if self.hooks > 0 {
            println!("webhooks that wait to be taken into the log: {}", self.hooks);
        }
        for (connection, status, n) in &self.intents {
            println!("{connection}: {n} creates by permit {status}");
        }
        for row in &self.entities {
            for wait in row.waits.iter().filter(|w| w.objects > 1).take(REASONS_MAX) {
                let (connection, entity, n) = (&row.connection, &row.entity, wait.objects);
                println!("{connection} {entity}: {n} {}: {}", wait.wait, wait.reason);
            }
        }
        for object in self.waiting.iter().take(SHOWN_MAX) {
            if let Some(wait) = &object.wait {
                let id = object.remote.clone().unwrap_or_else(|| "new".into());
                let place = format!("{} {} {id}", object.connection, object.resource);
                println!("{:>6}  {:<6} {place}: {}", object.id, wait.kind.name(), wait.reason);
            }
        }
        for (seq, connection, collection, remote, reason) in self.dead.iter().take(SHOWN_MAX) {
            println!("dead letter {seq}: {connection} {collection} {remote}: {reason}");
        }
        for (connection, resource, kind, n, text) in &self.faults {
            println!("faults: {connection} {resource}: {n} × {kind}, the newest: {text}");
        }
    }

    /// Resources summed up by what they show.
    fn entities(&self, house: &House) -> Vec<EntityStatus> {
        let mut all: BTreeMap<(String, String), EntityStatus> = BTreeMap::new();
        for row in self.resources.iter().filter(|row| shows(house, row)) {
            let entity = entity(house, &row.connection, &row.resource);
            let sum = all.entry((row.connection.clone(), entity.clone())).or_default();
            (sum.connection, sum.entity) = (row.connection.clone(), entity);
            sum.resources.push(row.resource.clone());
            sum.objects += row.objects;
            sum.aligned += row.aligned;
            sum.due += row.due;
            sum.unmatched += row.unmatched;
            let due = sum.oldest_due.take().into_iter().chain(row.oldest_due.clone());
            sum.oldest_due = due.min();
            let here = |c: &String, r: &String| *c == row.connection && *r == row.resource;
            let polls = self.polls.iter().filter(|(c, r, _)| here(c, r)).map(|(_, _, at)| at);
            sum.last_poll = sum.last_poll.take().into_iter().chain(polls.cloned()).max();
            let faults = self.faults.iter().filter(|(c, r, ..)| here(c, r));
            sum.faults += faults.map(|(_, _, _, n, _)| n).sum::<i64>();
        }
        for object in &self.waiting {
            let entity = entity(house, &object.connection, &object.resource);
            let sum = all.get_mut(&(object.connection.to_string(), entity));
            if let (Some(sum), Some(wait)) = (sum, &object.wait) {
                match sum.waits.iter_mut().find(|w| w.reason == wait.reason) {
                    Some(known) => known.objects += 1,
                    None => sum.waits.push(WaitStatus {
                        wait: wait.kind.name(),
                        reason: wait.reason.clone(),
                        objects: 1,
                    }),
                }
            }
        }
        for sum in all.values_mut() {
            sum.aligned_percent =
                if sum.objects == 0 { 100 } else { sum.aligned * 100 / sum.objects };
            sum.waits.sort_by_key(|wait| -wait.objects);
        }
        all.into_values().collect()
    }

    fn table(&self) -> comfy_table::Table {
        let header = [
            "connection",
            "entity",
            "objects",
            "aligned",
            "due",
            "oldest due",
            "last poll",
            "faults",
            "waits",
        ];
        let mut table = super::table(&header);
        for row in &self.entities {
            table.add_row([
                row.connection.clone(),
                row.entity.clone(),
                row.objects.to_string(),
                format!("{} %", row.aligned_percent),
                row.due.to_string(),
                row.oldest_due.clone().unwrap_or_default(),
                row.last_poll.clone().unwrap_or_default(),
                row.faults.to_string(),
                waits(row),
            ]);
        }
        table
    }
}

/// With less room than this, webhooks and transactions are refused, or soon will be.
const ROOM_LEAST: u64 = 1 << 20;

/// Whether the disk below the database is full, as far as the system says.
#[cfg(unix)]
fn full(database: &Path) -> Option<String> {
    let found = rustix::fs::statvfs(database).ok()?;
    let room = found.f_bavail.saturating_mul(found.f_frsize);
    (room < ROOM_LEAST).then(|| {
        format!(
            "the disk of {} is full ({} KB are left): what finds no room is not written, webhooks \
             that find none are refused, to be sent again; it goes on by itself once there is room",
            database.display(),
            room >> 10
        )
    })
}

#[cfg(not(unix))]
fn full(_database: &Path) -> Option<String> {
    None
}

/// A resource without facets only hints at others: nothing of it is kept in agreement.
fn shows(house: &House, row: &ResourceStatus) -> bool {
    let view = house.view(&row.connection, &row.resource);
    view.is_none_or(|view| !view.resource.facets.is_empty())
}

/// What a resource shows. One that the config does not name any more goes by its own name.
fn entity(house: &House, connection: &str, resource: &str) -> String {
    house.view(connection, resource).map_or(resource, |view| &view.resource.root).to_owned()
}

fn waits(row: &EntityStatus) -> String {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for wait in &row.waits {
        *counts.entry(wait.wait).or_default() += wait.objects;
    }
    counts.insert("unmatched", row.unmatched);
    let there = counts.iter().filter(|(_, n)| **n > 0);
    there.map(|(name, n)| format!("{n} {name}")).collect::<Vec<_>>().join(", ")
}
