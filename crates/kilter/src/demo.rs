//! Demo placeholder while the scenario is written.
use std::process::ExitCode;
#[derive(Debug, clap::Args)]
pub struct DemoArgs {}
pub async fn run(_args: DemoArgs) -> anyhow::Result<ExitCode> { anyhow::bail!("run the demo: not yet") }
