//! The command line: what a person or a cron job says to Kilter.
//!
//! Reads   arguments, `kilter.toml`.   Writes  to the terminal; the rest through the engine.
//! Never   prints a secret; every refusal says what to do next.

mod adopt;
mod check;
mod connector;
mod decide;
mod exchanges;
mod links;
mod plan;
mod serve;
mod status;
mod sync;
mod threads;
mod twin;
mod why;

pub use sync::wanted;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use kilter_core::sync::house::House;

use crate::engine::Engine;
use crate::store::Store;

/// Keeps a merchant's shops, ERP, CRM and PIM in agreement, field by field.
#[derive(Debug, Parser)]
#[command(
    name = "kilter",
    version,
    arg_required_else_help = true,
    after_help = "\
Start here:
  kilter demo                    two shops and an ERP, all simulated, aligned before your eyes
  kilter check                   is my kilter.toml right, and who owns what?
  kilter plan                    what would be written where? (nothing is sent)
  kilter sync                    align everything once, then stop
  kilter serve                   keep it aligned, on webhooks and schedules"
)]
struct Cli {
    /// The config file.
    #[arg(long, short, global = true, default_value = "kilter.toml", env = "KILTER_CONFIG")]
    config: PathBuf,
    /// More of what happens, on standard error: -v, -vv.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keep everything aligned for ever: webhooks, polls, sweeps.
    Serve(serve::ServeArgs),
    /// Check config, mappings, ownership and credentials; show who owns what.
    Check(check::CheckArgs),
    /// Show what would be written where. Exit code: 0 nothing, 2 changes, 1 error.
    Plan(plan::PlanArgs),
    /// First contact with full systems: what belongs together, what is doubtful, double, or nobody's.
    /// Writes to no system.
    Adopt(adopt::AdoptArgs),
    /// Align everything, until nothing moves without a person or a later look; then stop.
    ///
    /// Exit code: 0 also where something waits or is held, which the last line counts; 1 where a
    /// system could not be read.
    Sync(sync::SyncArgs),
    /// Read everything from the beginning, then align. Beside a running `serve`, that one does it.
    ///
    /// One that was interrupted goes on where it was, for a day.
    Backfill(sync::SyncArgs),
    /// Show objects, aligned share, oldest due, polls, faults, and what waits for what.
    Status(status::StatusArgs),
    /// Tell why a field is what it is: owner, change, deliveries.
    Why(why::WhyArgs),
    /// Show which requests left, and what came back.
    Exchanges(exchanges::ExchangesArgs),
    /// Answer what waits for a person.
    Decide(decide::DecideArgs),
    /// Run a twin: a simulator of a platform, for trying things out.
    Twin(twin::TwinArgs),
    /// Check a connector, run its cases and the story that every connector must pass, or list all.
    Connector(connector::ConnectorArgs),
    /// See it work: two shops and an ERP (twins), aligned before your eyes.
    Demo(crate::demo::DemoArgs),
}

/// Which part of the work is meant.
#[derive(Debug, Clone, Default, Args)]
pub struct Scope {
    /// Only this connection.
    #[arg(long)]
    pub connection: Option<String>,
    /// Only objects whose root is of this entity (product, variant, order, …).
    #[arg(long)]
    pub entity: Option<String>,
    /// Only objects whose root has this key, as sku=ABC-1.
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    pub wanted: Option<String>,
}

pub fn main() -> ExitCode {
    // A wrong argument ends with 1: `plan` keeps 2 for changes, as cron jobs expect.
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let shown = error.print();
            let fine = !error.use_stderr() && shown.is_ok();
            return if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    logging(cli.verbose, matches!(cli.command, Command::Serve(_)));
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: failed to {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Anew, with threads and a store of its own, as often as somebody was reached for the first time.
fn serve_on(config: &Path, args: &serve::ServeArgs) -> anyhow::Result<ExitCode> {
    loop {
        let runtime = threads::of_work(args.behind).context("start")?;
        if runtime.block_on(serve::run(config))? == serve::Ended::Stopped {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn wait(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new().context("start")?.block_on(work)
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = cli.config.as_path();
    match cli.command {
        Command::Serve(args) => serve_on(config, &args),
        Command::Check(args) => check::run(config, &args),
        Command::Plan(args) => wait(plan::run(config, &args)),
        Command::Exchanges(args) => exchanges::run(config, &args),
        Command::Adopt(args) => wait(adopt::run(config, &args)),
        Command::Sync(args) => wait(sync::run(config, &args, false)),
        Command::Backfill(args) => wait(sync::backfill(config, &args)),
        Command::Status(args) => status::run(config, &args),
        Command::Why(args) => why::run(config, &args),
        Command::Decide(args) => decide::run(config, &args),
        Command::Twin(args) => wait(twin::run(args)),
        Command::Connector(args) => wait(connector::run(&args)),
        Command::Demo(args) => wait(crate::demo::run(args)),
    }
}

fn logging(verbose: u8, serving: bool) {
    use tracing_subscriber::EnvFilter;
    let level = match (verbose, serving) {
        (0, false) => "warn",
        (0, true) | (1, _) => "info",
        _ => "debug,hyper=info,reqwest=info",
    };
    let filter = EnvFilter::try_from_env("KILTER_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// The house, or every problem of the config, printed.
fn house(path: &Path) -> anyhow::Result<House> {
    let mut problems = Vec::new();
    let house = crate::catalog::load(path, &mut problems)
        .with_context(|| format!("read {}", path.display()))?;
    if problems.is_empty() {
        return Ok(house);
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    let n = problems.len();
    anyhow::bail!("use {}: {n} problem{}", path.display(), if n == 1 { "" } else { "s" })
}

/// The database that a config names, beside it if it is not absolute.
fn store_path(config: &Path, house: &House) -> PathBuf {
    let folder = config.parent().unwrap_or(Path::new("."));
    folder.join(&house.config.store)
}

async fn engine(config: &Path, scope: &Scope) -> anyhow::Result<Arc<Engine>> {
    let mut house = house(config)?;
    if let Some(only) = &scope.connection {
        anyhow::ensure!(
            house.config.connections.contains_key(only),
            "find the connection \"{only}\": the config has {}",
            house.config.connections.keys().cloned().collect::<Vec<_>>().join(", ")
        );
    }
    let path = store_path(config, &house);
    let lock = alone(&path)?;
    let store = Store::open(&path).with_context(|| format!("open {}", path.display()))?;
    crate::engine::since(&mut house, &store)?;
    let mut engine = Engine::start(house, store).await?;
    engine.lock = Some(lock);
    let engine = Arc::new(engine);
    tokio::spawn(crate::engine::tell_forever(Arc::downgrade(&engine)));
    Ok(engine)
}

/// One process works on a database at a time; the lock goes with the process.
fn alone(store: &Path) -> anyhow::Result<std::fs::File> {
    let path = store.with_extension("lock");
    let file = std::fs::File::create(&path).with_context(|| format!("write {}", path.display()))?;
    file.try_lock().map_err(|_| {
        anyhow::anyhow!(
            "use {}: another kilter works on it (`kilter status` and `kilter why` only look)",
            store.display()
        )
    })?;
    Ok(file)
}

/// The store as it is, without changing it.
fn reader(config: &Path) -> anyhow::Result<(House, Store)> {
    let mut house = house(config)?;
    let path = store_path(config, &house);
    let store = Store::open_read_only(&path).with_context(|| {
        format!("open {}: run `kilter sync` or `kilter serve` first", path.display())
    })?;
    crate::engine::accounts(&mut house, &store)?;
    Ok((house, store))
}

/// Text for a cell: short, on one line.
fn cell(value: &kilter_core::Json) -> String {
    let text = match value {
        kilter_core::Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let one: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match one.char_indices().nth(CELL_CHARS) {
        Some((at, _)) => format!("{}…", &one[..at]),
        None => one,
    }
}

const CELL_CHARS: usize = 48;

fn table(header: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.to_vec());
    table
}
