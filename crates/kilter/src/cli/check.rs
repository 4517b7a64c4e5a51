//! `kilter check`: everything that is wrong, at once; and who owns what.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Path, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut problems = Vec::new();
    let house = crate::catalog::load(config, &mut problems)
        .with_context(|| format!("read {}", config.display()))?;
    let owners = kilter_core::check::owners(&house);
    if args.json {
        let problems: Vec<_> = problems
            .iter()
            .map(|p| json!({ "file": p.file, "line": p.line, "text": p.text, "hint": p.hint }))
            .collect();
        let owners: Vec<_> = owners
            .iter()
            .map(|[entity, field, owner, reads, writes]| {
                json!({ "entity": entity, "field": field, "owner": owner, "read_from": reads, "written_to": writes })
            })
            .collect();
        println!(
            "{}",
            json!({ "ok": problems.is_empty(), "problems": problems, "owners": owners })
        );
    } else {
        let mut table = super::table(&["entity", "field", "owner", "read from", "written to"]);
        for row in &owners {
            table.add_row(row.to_vec());
        }
        println!("{table}\n");
        for problem in &problems {
            println!("{problem}");
        }
        match problems.len() {
            0 => println!("no problems: {} is ready", config.display()),
            1 => println!("1 problem"),
            n => println!("{n} problems"),
        }
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
