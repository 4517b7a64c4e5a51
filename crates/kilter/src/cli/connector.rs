//! `kilter connector check|test`: is a connector's folder right, and do its cases hold?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use kilter_core::sync::house::House;

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
    /// Run the cases in a connector's folder. No network is needed.
    Test {
        name: String,
        #[arg(long, default_value = "connectors")]
        folder: PathBuf,
    },
    /// Name every connector there is.
    List {
        #[arg(long, default_value = "connectors")]
        folder: PathBuf,
    },
}

pub fn run(args: &ConnectorArgs) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::List { folder } => {
            for name in crate::catalog::names(folder) {
                println!("{name}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Check { name, folder, against: Some(file) } => check_against(name, folder, file),
        Action::Check { name, folder, against: None } => check(name, folder),
        Action::Test { name, folder } => crate::cases::run(name, folder),
    }
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
