//! `kilter connector check|test|list`: is a connector's folder right, do its cases hold, does it do
//! what every connector must?
//!
//! Reads   connectors, built in or the merchant's own.   Writes  to the terminal.
//! Never   touches `kilter.toml` or its database: a story has a database of its own, in memory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use kilter_core::sync::house::House;
use serde_json::json;

use crate::conformance::{Against, End};

#[derive(Debug, Args)]
pub struct ConnectorArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read a connector's folder; show every problem with file and line.
    Check {
        name: String,
        /// Where connectors of your own stand.
        #[arg(long, default_value = "connectors")]
        folder: PathBuf,
        /// A GraphQL schema (SDL, or SDL.gz): says which documents and requests it refuses.
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// Run a connector's cases, then the conformance story: against its twin, or --against a system
    /// for trying things out, where products and orders of the story stay.
    Test {
        name: String,
        #[arg(long, default_value = "connectors")]
        folder: PathBuf,
        /// A config with a connection of this connector: the story is told there, not to a twin.
        #[arg(long, value_name = "KILTER.TOML", requires = "connection")]
        against: Option<PathBuf>,
        /// Which connection of that config.
        #[arg(long, value_name = "NAME", requires = "against")]
        connection: Option<String>,
        /// The address of a twin that runs already.
        #[arg(long, conflicts_with = "against")]
        url: Option<String>,
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Name every connector there is.
    List {
        #[arg(long, default_value = "connectors")]
        folder: PathBuf,
        /// As the tables of README.md: how far each is verified, and what it can.
        #[arg(long)]
        markdown: bool,
    },
}

pub async fn run(args: &ConnectorArgs) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::List { folder, markdown: true } => {
            print!("{}", crate::conformance::matrix::markdown(folder)?);
            Ok(ExitCode::SUCCESS)
        }
        Action::List { folder, markdown: false } => {
            for name in crate::catalog::names(folder) {
                println!("{name}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Check { name, folder, against: Some(file) } => check_against(name, folder, file),
        Action::Check { name, folder, against: None } => check(name, folder),
        Action::Test { name, folder, against, connection, url, json } => {
            let config = against.clone().zip(connection.clone());
            test(name, folder, &Against { url: url.clone(), config }, *json).await
        }
    }
}

async fn test(
    name: &str,
    folder: &Path,
    against: &Against,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let cases = crate::cases::run(name, folder)?;
    let broken = cases.iter().filter(|c| c.error.is_some()).count();
    if !as_json {
        for case in &cases {
            let Some(error) = &case.error else {
                println!("ok      {}: {}", case.kind, case.name);
                continue;
            };
            println!("FAILED  {}: {}\n        {}: {error}", case.kind, case.name, case.place);
        }
        println!("{name}: {} cases, {broken} failed", cases.len());
    }
    let mut problems = Vec::new();
    let connector = crate::catalog::connector(name, folder, &mut problems);
    let connector = connector.with_context(|| format!("find the connector \"{name}\""))?;
    let report = crate::conformance::tell(name, folder, connector, against).await?;
    let count = |end| report.count(end);
    let (skipped, failed) = (count(End::Skipped), count(End::Failed));
    if as_json {
        println!("{}", json!({ "connector": name, "cases": cases, "steps": report.steps }));
    } else {
        for step in &report.steps {
            let end = match step.end {
                End::Ok => "ok",
                End::Skipped => "skipped",
                End::Failed => "FAILED",
            };
            println!("{end:<8}{}: {}", step.name, step.why);
        }
        println!("{name}: {} steps, {skipped} skipped, {failed} failed", report.steps.len());
    }
    Ok(if broken + failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_against(name: &str, folder: &Path, file: &Path) -> anyhow::Result<ExitCode> {
    let verdict = crate::schema::check(name, folder, file)?;
    for problem in &verdict.problems {
        println!("{problem}");
    }
    let (documents, requests) = (verdict.documents, verdict.requests);
    println!(
        "{name}: {documents} documents and {requests} requests against {}, {} problems",
        file.display(),
        verdict.problems.len()
    );
    Ok(if verdict.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(name: &str, folder: &Path) -> anyhow::Result<ExitCode> {
    let mut problems = Vec::new();
    let Some(connector) = crate::catalog::connector(name, folder, &mut problems) else {
        anyhow::bail!(
            "find the connector \"{name}\": there are {}",
            crate::catalog::names(folder).join(", ")
        );
    };
    let (title, resources) = (connector.title.clone(), connector.resources.len());
    crate::conformance::data::read(name, folder, &mut problems);
    let entities = crate::catalog::entities(&mut problems);
    let config = kilter_core::config::read_config("", "", &|_| None, &mut Vec::new());
    let connectors = std::iter::once((name.to_owned(), connector)).collect();
    let house = House::new(entities, connectors, config);
    kilter_core::check::check(&house, &mut problems);
    problems.retain(|p| !p.file.is_empty());
    for problem in &problems {
        println!("{problem}");
    }
    if problems.is_empty() {
        println!("{title}: {resources} resources, no problems");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} problems", problems.len());
    Ok(ExitCode::FAILURE)
}
