//! `kilter exchanges`: which requests left, and what came back.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::store::exchanges::Wanted;

#[derive(Debug, Args)]
pub struct ExchangesArgs {
    /// Only with this connection.
    #[arg(long)]
    connection: Option<String>,
    /// Only those that failed.
    #[arg(long)]
    failed: bool,
    /// How many, the newest.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// One JSON object a line instead of text.
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Path, args: &ExchangesArgs) -> anyhow::Result<ExitCode> {
    let (house, store) = super::reader(config)?;
    if let Some(name) = &args.connection {
        anyhow::ensure!(
            house.config.connections.contains_key(name),
            "find the connection \"{name}\": the config has {}",
            house.config.connections.keys().cloned().collect::<Vec<_>>().join(", ")
        );
    }
    let wanted =
        Wanted { connection: args.connection.clone(), failed: args.failed, most: args.limit };
    let found = store.read(|tx| tx.exchanges(&wanted))?;
    if args.json {
        for exchange in &found {
            println!("{}", serde_json::to_string(exchange)?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut table =
        super::table(&["at", "connection", "resource", "call", "answer", "ms", "out", "in"]);
    for e in &found {
        let answer = if e.status == 0 { "none".to_owned() } else { e.status.to_string() };
        let call = format!("{} {}", e.method, e.path);
        let cells = [&e.at, &e.connection, &e.resource, &call, &answer];
        let sizes = [e.ms, e.bytes_out, e.bytes_in].map(|n| n.to_string());
        table.add_row(cells.into_iter().cloned().chain(sizes));
        if !e.failure.is_empty() {
            let named =
                if e.request.is_empty() { String::new() } else { format!(" ({})", e.request) };
            table.add_row(["", "", "", &format!("{}{named}", e.failure)]);
        }
    }
    println!("{table}");
    if found.is_empty() {
        println!("none is known: they are kept for a while only (limits.exchanges_kept_days)");
    }
    Ok(ExitCode::SUCCESS)
}
