//! `kilter status`: per connection and resource – how much is there, how much agrees, what waits.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use kilter_core::Json;
use kilter_core::model::Object;
use serde_json::json;

use crate::store::report::ResourceStatus;

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Most waits and dead letters shown.
const SHOWN_MAX: usize = 50;

type Sums = crate::store::sums::Sums;

/// Everything that is shown.
struct Found {
    resources: Vec<ResourceStatus>,
    waiting: Vec<Object>,
    sums: Sums,
    faults: Vec<(String, String, String, i64, String)>,
    polls: Vec<(String, String, String)>,
    dead: Vec<(i64, String, String, String, String)>,
    open: i64,
    /// Connection, status, how many creates by permit.
    intents: Vec<(String, String, i64)>,
}

pub fn run(config: &Path, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let (house, store) = super::reader(config)?;
    let found = store.read(|tx| {
        let mut intents = Vec::new();
        for name in house.config.connections.keys() {
            for (status, n) in tx.intent_counts(name)? {
                intents.push((name.clone(), status, n));
            }
        }
        Ok(Found {
            resources: tx.resource_status()?,
            waiting: tx.waiting(10_000)?,
            sums: tx.sums()?,
            faults: tx.fault_groups()?,
            polls: tx.last_polls()?,
            dead: tx.dead_changes(100)?,
            open: tx.open_count()?,
            intents,
        })
    })?;
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
        json!({ "resources": self.resources, "waits": waits, "sums": sums,
            "faults": self.faults, "polls": self.polls, "dead": self.dead, "open": self.open,
            "intents": self.intents, "conserved": self.conserved() })
    }

    fn print(&self) {
        println!("{}\n", self.table());
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
        for (connection, status, n) in &self.intents {
            println!("{connection}: {n} creates by permit {status}");
        }
        for object in self.waiting.iter().take(SHOWN_MAX) {
            if let Some(wait) = &object.wait {
                let id = object.remote.clone().unwrap_or_else(|| "new".to_owned());
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

    fn table(&self) -> comfy_table::Table {
        let header =
            ["connection", "resource", "objects", "aligned", "due since", "waits", "last poll"];
        let mut table = super::table(&header);
        for row in &self.resources {
            let share = if row.objects == 0 { 100 } else { row.aligned * 100 / row.objects };
            let mut polls = self.polls.iter();
            let poll = polls.find(|(c, r, _)| *c == row.connection && *r == row.resource);
            table.add_row([
                row.connection.clone(),
                row.resource.clone(),
                row.objects.to_string(),
                format!("{share} %"),
                row.oldest_due.clone().unwrap_or_default(),
                waits(row),
                poll.map(|(_, _, at)| at.clone()).unwrap_or_default(),
            ]);
        }
        table
    }
}

fn waits(row: &ResourceStatus) -> String {
    let counts = [
        (row.held, "held"),
        (row.parked, "parked"),
        (row.dead, "dead"),
        (row.later, "later"),
        (row.unmatched, "unmatched"),
    ];
    let there = counts.iter().filter(|(n, _)| *n > 0);
    there.map(|(n, name)| format!("{n} {name}")).collect::<Vec<_>>().join(", ")
}
