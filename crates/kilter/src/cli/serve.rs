//! `kilter serve`: for ever, until it is told to stop.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::{Scope, threads};
use crate::engine::Engine;
use crate::pipeline::schedule;

/// When it stops: longest wait for threads that are in the middle of something. Who still waits for an
/// answer sends again.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// How many steps of niceness polls, merges and deliveries stand behind the answers to webhooks, on
    /// Linux: it lets a burst come in. 0: all are alike, and no call to the system asks for more.
    #[arg(long, value_name = "STEPS", default_value_t = 5, env = "KILTER_BEHIND")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=19))]
    pub behind: u8,
}

pub async fn run(config: &Path) -> anyhow::Result<ExitCode> {
    let engine = super::engine(config, &Scope::default()).await?;
    let address = engine.house.config.listen.clone();
    let listener = tokio::net::TcpListener::bind(&address)
        .await
        .with_context(|| format!("listen on {address}"))?;
    let listener = listener.into_std().context("begin to answer")?;
    tracing::info!(address, connections = engine.active().len(), "serving");
    let answers = threads::of_answers().context("begin to answer")?;
    let http = answers.spawn(answer(listener, Arc::clone(&engine)));
    let ended = tokio::select! {
        done = schedule::forever(Arc::clone(&engine)) => done.context("serve"),
        done = http => done.context("serve").and_then(|done| done.context("serve")),
        stop = stopped() => stop.inspect(|()| tracing::info!("stopping; what is due is kept")),
    };
    // It waits for its threads, and may not do so on one that others need.
    let closed = tokio::task::spawn_blocking(move || answers.shutdown_timeout(ENDED_WITHIN)).await;
    let let_go = engine.store.let_go_of_webhooks();
    ended?;
    closed.context("stop answering")?;
    let_go.context("let go of webhooks that were taken over")?;
    Ok(ExitCode::SUCCESS)
}

/// Answers whatever comes in, on the threads of whoever calls it.
async fn answer(listener: std::net::TcpListener, engine: Arc<Engine>) -> std::io::Result<()> {
    crate::api::serve(tokio::net::TcpListener::from_std(listener)?, engine).await
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
