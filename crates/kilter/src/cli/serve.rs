//! `kilter serve`: for ever, until it is told to stop.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Scope, threads};
use crate::engine::Engine;
use crate::pipeline::schedule;

/// When it stops: longest wait for what is being heard to be answered. Who is not sends again.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// Then the longest wait for threads that are in the middle of something. Both together are less than the ten
/// seconds after which a container is killed.
const ENDED_WITHIN: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// How many steps of niceness polls, merges and deliveries stand behind the answers to webhooks, on
    /// Linux: it lets a burst come in. 0: all are alike, and no call to the system asks for more.
    #[arg(long, value_name = "STEPS", default_value_t = 5, env = "KILTER_BEHIND")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=19))]
    pub behind: u8,
}

/// Why it ended.
#[derive(Debug, PartialEq)]
pub enum Ended {
    Stopped,
    /// A connection that was never reached is now: it begins anew, with that one as well.
    Reached,
}

pub async fn run(config: &Path) -> anyhow::Result<Ended> {
    let engine = super::engine(config, &Scope::default()).await?;
    let address = engine.house.config.listen.clone();
    let listener = tokio::net::TcpListener::bind(&address)
        .await
        .with_context(|| format!("listen on {address}"))?;
    let listener = listener.into_std().context("begin to answer")?;
    tracing::info!(address, connections = engine.active().len(), "serving");
    let answers = threads::of_answers().context("begin to answer")?;
    let (last, heard) = oneshot::channel();
    let mut http = answers.spawn(answer(listener, Arc::clone(&engine), heard));
    let ended = tokio::select! {
        done = schedule::forever(Arc::clone(&engine)) => done.context("serve").map(|()| Ended::Stopped),
        done = &mut http => {
            done.context("serve").and_then(|done| done.context("serve")).map(|()| Ended::Stopped)
        }
        stop = stopped() => {
            stop.inspect(|()| tracing::info!("stopping; what is due is kept")).map(|()| Ended::Stopped)
        }
        name = engine.reached() => {
            tracing::info!(connection.id = name, "reached for the first time: beginning anew");
            Ok(Ended::Reached)
        }
    };
    if !http.is_finished() {
        // Nobody hears it where answers ended at this moment by themselves.
        let _ = last.send(());
        answered(http).await;
    }
    // It waits for its threads, and may not do so on one that others need.
    let closed = tokio::task::spawn_blocking(move || answers.shutdown_timeout(ENDED_WITHIN)).await;
    let let_go = engine.store.let_go_of_webhooks();
    let ended = ended?;
    closed.context("stop answering")?;
    let_go.context("let go of webhooks that were taken over")?;
    Ok(ended)
}

/// Answers whatever comes in, on the threads of whoever calls it, until it hears that this was the last.
async fn answer(
    listener: std::net::TcpListener,
    engine: Arc<Engine>,
    last: oneshot::Receiver<()>,
) -> io::Result<()> {
    // Nobody left to tell it is told as well.
    let told = async { last.await.unwrap_or_default() };
    crate::api::serve(tokio::net::TcpListener::from_std(listener)?, engine, told).await
}

/// Once who was heard is answered, or has had its time.
async fn answered(http: JoinHandle<io::Result<()>>) {
    match tokio::time::timeout(ANSWERED_WITHIN, http).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(error = %error, "answers ended badly"),
        Ok(Err(error)) => tracing::warn!(error = %error, "answers ended badly"),
        Err(_) => tracing::warn!("somebody was not answered in time, and has to send again"),
    }
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
