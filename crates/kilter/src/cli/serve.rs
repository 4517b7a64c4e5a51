//! `kilter serve`: for ever, until it is told to stop.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use super::Scope;
use crate::pipeline::schedule;

pub async fn run(config: &Path) -> anyhow::Result<ExitCode> {
    let engine = super::engine(config, &Scope::default()).await?;
    let address = engine.house.config.listen.clone();
    let listener = tokio::net::TcpListener::bind(&address)
        .await
        .with_context(|| format!("listen on {address}"))?;
    tracing::info!(address, connections = engine.active().len(), "serving");
    let http = tokio::spawn(crate::api::serve(listener, Arc::clone(&engine)));
    tokio::select! {
        done = schedule::forever(engine) => done.context("serve")?,
        done = http => done.context("serve")?.context("serve")?,
        stop = stopped() => { stop?; tracing::info!("stopping; what is due is kept"); }
    }
    Ok(ExitCode::SUCCESS)
}

async fn stopped() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).context("listen for signals")?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done.context("listen for signals")?,
        _ = term.recv() => {}
    }
    Ok(())
}
