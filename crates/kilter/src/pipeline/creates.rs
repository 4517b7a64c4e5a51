//! Creates: documents that must not happen twice, by permits, a few calls on their way at once.
//!
//! Reads   documents to be created.   Writes  by `permits`: intents, attempts, facts.
//! Never   batches what the remote knows no key of ours for, nor sends two such at a time; never asks a
//!         remote that is not there once for each of them.

use std::collections::VecDeque;
use std::sync::Arc;

use kilter_core::manifest::{Class, Kind};
use kilter_core::model::FaultKind;
use kilter_core::sync::batch::Batch;
use kilter_core::sync::plan::Operation;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::pipeline::settle::{self, Marks};
use crate::pipeline::{answers, permits};
use crate::store::{Error, Result};

/// Calls of one resource that are on their way at once: their remote works on one while we write down
/// what became of another. Each has permits of its own.
const CALLS_AT_ONCE: usize = 4;

/// How long the rest waits for a remote that just said that it is not there.
const DOWN_SECONDS: u32 = 5;

pub async fn create(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &str,
    operations: Vec<Operation>,
    marks: &Arc<Marks>,
) -> Result<()> {
    let house = Arc::clone(&engine.house);
    let Some(view) = house.view(connection, resource) else { return Ok(()) };
    let Some(permit) = &view.resource.permit else { return Ok(()) };
    let Some(write) = view.resource.writes.iter().find(|w| w.kinds.contains(&Kind::Create)) else {
        return Ok(());
    };
    // Class C is never batched: one permit, one request, one document.
    let class_a = permit.class == Class::A;
    let (cap, at_once) = if class_a { (write.cap, CALLS_AT_ONCE) } else { (1, 1) };
    let mut rest = VecDeque::from(operations);
    while !rest.is_empty() {
        let mut calls = JoinSet::new();
        while calls.len() < at_once && !rest.is_empty() {
            let operations = rest.drain(..rest.len().min(cap)).collect();
            let (engine, marks) = (Arc::clone(engine), Arc::clone(marks));
            let (connection, resource) = (connection.to_owned(), resource.to_owned());
            calls.spawn(
                async move { call(&engine, &connection, &resource, operations, &marks).await },
            );
        }
        let mut down = false;
        while let Some(done) = calls.join_next().await {
            down |= done.map_err(|e| Error::Refused(format!("create: {e}")))??;
        }
        if down {
            return wait(engine, rest).await;
        }
    }
    Ok(())
}

/// Nobody is there: the others need not find it out one by one, each with a permit.
async fn wait(engine: &Arc<Engine>, others: impl IntoIterator<Item = Operation>) -> Result<()> {
    let ids = others.into_iter().map(|operation| operation.object).collect();
    settle::postpone(engine, ids, Some(DOWN_SECONDS)).await
}

/// One call, and what its answer proves. True: nobody was there.
async fn call(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &str,
    operations: Vec<Operation>,
    marks: &Arc<Marks>,
) -> Result<bool> {
    let house = Arc::clone(&engine.house);
    let Some(view) = house.view(connection, resource) else { return Ok(false) };
    let Some(permit) = &view.resource.permit else { return Ok(false) };
    let create = |w: &&kilter_core::manifest::Write| w.kinds.contains(&Kind::Create);
    let Some(write) = view.resource.writes.iter().find(create) else { return Ok(false) };
    let _turn = match engine.remotes.get(connection) {
        Some(remote) if permit.class == Class::C => remote.turn().await,
        _ => None,
    };
    let allowed = permits::allow(engine, connection, resource, operations).await?;
    if allowed.is_empty() {
        return Ok(false);
    }
    let batch = Batch {
        write: write.name.clone(),
        operations: allowed.iter().map(|a| a.operation.clone()).collect(),
    };
    let result = answers::call(engine, &view, &batch).await;
    let halve = result
        .as_ref()
        .err()
        .is_some_and(|f| f.proves_not_applied() && !f.kind.retries() && allowed.len() > 1);
    if halve {
        // One of them is refused: each is asked alone.
        permits::refund_all(engine, &allowed).await?;
        let mut alone = allowed.into_iter().map(|one| one.operation);
        while let Some(one) = alone.next() {
            if Box::pin(call(engine, connection, resource, vec![one], marks)).await? {
                wait(engine, alone).await?;
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let down = result.as_ref().err().is_some_and(|f| f.kind == FaultKind::Unavailable);
    permits::conclude(engine, connection, resource, allowed, result, marks).await?;
    Ok(down)
}
