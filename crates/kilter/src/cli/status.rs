//! `kilter status`: per connection and resource – how much is there, how much agrees, what waits.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Most waits and dead letters shown.
const SHOWN_MAX: usize = 50;

pub fn run(config: &Path, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let (house, store) = super::reader(config)?;
    let (rows, waiting, sums, faults, polls, dead, open, intents) = store.read(|tx| {
        let mut intents = Vec::new();
        for name in house.config.connections.keys() {
            for (status, n) in tx.intent_counts(name)? {
                intents.push((name.clone(), status, n));
            }
        }
        Ok((
            tx.resource_status()?,
            tx.waiting(10_000)?,
            tx.sums()?,
            tx.fault_groups()?,
            tx.last_polls()?,
            tx.dead_changes(100)?,
            tx.open_count()?,
            intents,
        ))
    })?;
    let total = |kind: &str| -> i64 {
        sums.iter().filter(|((_, _, k), _)| k == kind).map(|(_, n)| n).sum()
    };
    let conserved = total("received")
        == total("unchanged") + total("merged") + total("filtered") + total("dead") + open;
    if args.json {
        let waits: Vec<_> = waiting
            .iter()
            .filter_map(|o| Some((o, o.wait.as_ref()?)))
            .map(|(o, w)| {
                json!({ "object": o.id, "connection": o.connection, "resource": o.resource,
                    "id": o.remote, "wait": w.kind.name(), "reason": w.reason })
            })
            .collect();
        let sums: Vec<_> = sums
            .iter()
            .map(|((c, r, k), n)| json!({ "connection": c, "collection": r, "kind": k, "n": n }))
            .collect();
        println!(
            "{}",
            json!({ "resources": rows, "waits": waits, "sums": sums, "faults": faults, "polls": polls,
                "dead": dead, "open": open, "intents": intents, "conserved": conserved })
        );
        return Ok(ExitCode::SUCCESS);
    }
    let header =
        ["connection", "resource", "objects", "aligned", "due since", "waits", "last poll"];
    let mut table = super::table(&header);
    for row in &rows {
        let share = if row.objects == 0 { 100 } else { row.aligned * 100 / row.objects };
        let poll = polls.iter().find(|(c, r, _)| *c == row.connection && *r == row.resource);
        let mut waits = Vec::new();
        for (n, name) in [
            (row.held, "held"),
            (row.parked, "parked"),
            (row.dead, "dead"),
            (row.later, "later"),
            (row.unmatched, "unmatched"),
        ] {
            if n > 0 {
                waits.push(format!("{n} {name}"));
            }
        }
        table.add_row([
            row.connection.clone(),
            row.resource.clone(),
            row.objects.to_string(),
            format!("{share} %"),
            row.oldest_due.clone().unwrap_or_default(),
            waits.join(", "),
            poll.map(|(_, _, at)| at.clone()).unwrap_or_default(),
        ]);
    }
    println!("{table}\n");
    println!(
        "received {} = unchanged {} + merged {} + filtered {} + dead {} + open {open}: {}",
        total("received"),
        total("unchanged"),
        total("merged"),
        total("filtered"),
        total("dead"),
        if conserved { "nothing lost" } else { "DOES NOT HOLD" }
    );
    for (connection, status, n) in &intents {
        println!("{connection}: {n} creates by permit {status}");
    }
    for object in waiting.iter().take(SHOWN_MAX) {
        if let Some(wait) = &object.wait {
            let id = object.remote.clone().unwrap_or_else(|| "new".to_owned());
            let place = format!("{} {} {id}", object.connection, object.resource);
            println!("{:>6}  {:<6} {place}: {}", object.id, wait.kind.name(), wait.reason);
        }
    }
    for (seq, connection, collection, remote, reason) in dead.iter().take(SHOWN_MAX) {
        println!("dead letter {seq}: {connection} {collection} {remote}: {reason}");
    }
    for (connection, resource, kind, n, text) in &faults {
        println!("faults: {connection} {resource}: {n} × {kind}, the newest: {text}");
    }
    Ok(ExitCode::SUCCESS)
}
