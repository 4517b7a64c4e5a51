//! `kilter twin NAME`: a simulator of a platform, on loopback, for trying things out.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use kilter_twin::Options;

#[derive(Debug, Args)]
pub struct TwinArgs {
    /// Which platform (`kilter twin list` names them).
    name: String,
    /// 0: any free port.
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// A setting of the twin, as currency=USD; several are allowed.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// The shop's plan, as standard, advanced, plus or enterprise: short for --set plan=PLAN.
    #[arg(long)]
    plan: Option<String>,
    /// Faults by name, as storm (all of them) or throttled,slow/5 (slow at one call in 5; else one
    /// in 20): drawn by --seed. `kilter twin list` names them. On and off while it runs:
    /// POST /_twin/faults {"names": ["storm"]}, and {} for none.
    #[arg(long, value_name = "NAME[/N],…")]
    faults: Vec<String>,
}

pub async fn run(args: TwinArgs) -> anyhow::Result<ExitCode> {
    if args.name == "list" {
        for name in kilter_twin::NAMES {
            println!("{name}\n    faults: {}", kilter_twin::faults_of(name).join(", "));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut settings = BTreeMap::new();
    for pair in &args.settings {
        match pair.split_once('=') {
            Some((name, value)) => settings.insert(name.to_owned(), value.to_owned()),
            None => anyhow::bail!("read the setting \"{pair}\": say it as NAME=VALUE"),
        };
    }
    if let Some(plan) = args.plan {
        settings.insert("plan".to_owned(), plan);
    }
    if !args.faults.is_empty() {
        settings.insert("faults".to_owned(), args.faults.join(","));
    }
    let options = Options { port: Some(args.port), seed: args.seed, settings };
    let running = kilter_twin::start(&args.name, options).await?;
    println!("this is a twin of {}, a simulator: {}", running.name, running.url());
    println!("its back office: {}/_twin/state", running.url());
    tokio::signal::ctrl_c().await?;
    Ok(ExitCode::SUCCESS)
}
