//! Prepare: what must be ready at a remote before the first write, made once an account.
//!
//! Reads   the connector's `prepare`, what was made ready before.
//! Writes  at the remote; that it was done.
//! Never   lets a write go before it: a create that lacks its definition could not be found again.

use std::sync::Arc;

use kilter_core::Json;
use kilter_core::manifest::Prepare;
use kilter_core::model::{Fault, FaultKind};
use kilter_core::sync::house::{View, stands};

use crate::engine::{Engine, now};
use crate::pipeline::poll::vars;
use crate::store::Result;

/// True: all is ready. False: not reached, or refused; it is tried again at the next round.
pub async fn done(engine: &Arc<Engine>, connection: &str) -> Result<bool> {
    let house = Arc::clone(&engine.house);
    let Some((found, connector)) = house.connector(connection) else { return Ok(true) };
    let Some(resource) = connector.resources.first().filter(|_| !connector.prepare.is_empty())
    else {
        return Ok(true);
    };
    let needed: Vec<&Prepare> =
        connector.prepare.iter().filter(|one| stands(found, &one.only_if)).collect();
    // What is needed now and was not before is made, too.
    let known = format!("prepared.{connection}.{}.{}", found.account, needed.len());
    let key = known.clone();
    if engine.store.write_async(move |tx| tx.meta(&key)).await?.is_some() {
        return Ok(true);
    }
    let view = View { house: &house, connection: found, connector, resource };
    for one in needed {
        if let Err(fault) = make(engine, &view, one).await {
            tracing::warn!(connection.id = connection, fault = %fault, "not ready for writes");
            return Ok(false);
        }
    }
    engine.store.write_async(move |tx| tx.set_meta(&known, &now())).await?;
    Ok(true)
}

async fn make(
    engine: &Arc<Engine>,
    view: &View<'_>,
    one: &Prepare,
) -> std::result::Result<(), Fault> {
    let vars = vars(view, "");
    let lacks = || Fault::new(FaultKind::Rejected, "", "the call that prepares lacks a value");
    let answer = engine.send(view, &one.call.render(&vars).ok_or_else(lacks)?).await?;
    let env = view.env(&vars, None);
    let list = one.problems.as_ref().and_then(|p| p.read(&answer.body, &env));
    for problem in list.as_ref().and_then(Json::as_array).into_iter().flatten() {
        let fault = view.connector.errors.classify(0, problem, &env);
        if !one.there.contains(&fault.code) {
            return Err(fault);
        }
    }
    Ok(())
}
