//! Cases: what a connector says, tested without a network. (The runner follows with the cases.)
use std::path::Path;
use std::process::ExitCode;
pub fn run(name: &str, _folder: &Path) -> anyhow::Result<ExitCode> {
    anyhow::bail!("run the cases of {name}: not yet")
}
