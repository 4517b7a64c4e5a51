//! Subscribe: the watchdog over webhooks. Remotes switch them off and say nothing.
//!
//! Reads   the remote's list of subscriptions; how many webhooks came in which hours.
//! Writes  what is missing or off, at the remote; a fault where it is too quiet.
//! Never   trusts that a webhook comes: polls run beside it.

use std::sync::Arc;

use kilter_core::Json;
use kilter_core::manifest::{Subscriptions, Vars, plain};
use kilter_core::model::{Fault, FaultKind};
use kilter_core::schedule::silence;
use kilter_core::sync::house::{View, stands};

use crate::engine::{Engine, now};
use crate::pipeline::poll::vars;

/// Makes sure that every topic is subscribed and on. True: something had to be mended, so what
/// came meanwhile must be polled.
pub async fn run(engine: &Arc<Engine>, connection: &str) -> Result<bool, Fault> {
    let house = Arc::clone(&engine.house);
    let Some((found, connector)) = house.connector(connection) else { return Ok(false) };
    let Some(subscriptions) = connector.webhook.as_ref().and_then(|w| w.subscriptions.as_ref())
    else {
        return Ok(false);
    };
    let (Some(public), Some(resource)) = (&house.config.public_url, connector.resources.first())
    else {
        return Ok(false);
    };
    let secret = connector.webhook.as_ref().map_or("", |w| w.signature.secret());
    if !found.secrets.contains_key(secret) {
        tracing::warn!(connection.id = connection, "no {secret}: webhooks stay off");
        return Ok(false);
    }
    let view = View { house: &house, connection: found, connector, resource };
    let address = format!("{}/hooks/{connection}", public.trim_end_matches('/'));
    mend(engine, &view, subscriptions, &address).await
}

async fn mend(
    engine: &Arc<Engine>,
    view: &View<'_>,
    subscriptions: &Subscriptions,
    address: &str,
) -> Result<bool, Fault> {
    let mut vars = vars(view, "");
    if let Some(remote) = engine.remotes.get(&view.connection.name)
        && let Some(secret) = remote.vars().get("webhook_secret")
    {
        vars.insert("webhook_secret".to_owned(), secret.clone());
    }
    vars.insert("delivery_url".to_owned(), Json::String(address.to_owned()));
    let lacks = || Fault::new(FaultKind::Rejected, "", "a subscription's call lacks a value");
    let request = subscriptions.list.render(&vars).ok_or_else(lacks)?;
    let answer = engine.send(view, &request).await?;
    let env = view.env(&vars, None);
    let items = match subscriptions.items.read(&answer.body, &env) {
        Some(Json::Array(items)) => items,
        _ => return Err(Fault::new(FaultKind::Unknown, "", "the subscriptions are no list")),
    };
    let text = |path: &kilter_core::mapping::Path, item: &Json| {
        path.read(item, &env).map(|v| plain(&v)).unwrap_or_default()
    };
    let (mut mended, mut refused) = (false, None);
    let also = subscriptions.also.iter().filter(|(_, only_if)| stands(view.connection, only_if));
    for topic in subscriptions.topics.iter().chain(also.flat_map(|(topics, _)| topics)) {
        let ours = items.iter().filter(|i| {
            text(&subscriptions.topic, i) == *topic && text(&subscriptions.url, i) == address
        });
        let status = subscriptions.status.as_ref();
        let is_off = |item: &Json| status.is_some_and(|(path, on)| text(path, item) != *on);
        let (off, on): (Vec<&Json>, Vec<&Json>) = ours.partition(|item| is_off(item));
        let ours: Vec<&Json> = on.into_iter().chain(off).collect();
        let found = ours.first().copied();
        let off = found.is_some_and(is_off);
        let doubles = ours.get(1..).unwrap_or_default();
        let dropped = drop_doubles(engine, view, subscriptions, &vars, doubles).await;
        refused = refused.or(dropped.err());
        let call = match (found, &subscriptions.enable) {
            (None, _) => &subscriptions.create,
            (Some(_), Some(enable)) if off => enable,
            _ => continue,
        };
        let mut vars = vars.clone();
        vars.insert("topic".to_owned(), Json::String(topic.clone()));
        if let Some(item) = found
            && let Some(id) = subscriptions.id.read(item, &env)
        {
            vars.insert("id".to_owned(), id);
        }
        let answer = engine.send(view, &call.render(&vars).ok_or_else(lacks)?).await?;
        let told = subscriptions.problems.as_ref().and_then(|p| p.read(&answer.body, &env));
        if let Some(problem) = told.as_ref().and_then(|list| list.get(0)) {
            // One that is not allowed keeps no other from being made.
            refused = refused.or(Some(view.connector.errors.classify(0, problem, &env)));
            continue;
        }
        tracing::info!(connection.id = view.connection.name, topic, off, "webhook subscribed");
        mended = true;
    }
    refused.map_or(Ok(mended), Err)
}

/// A create whose answer was lost may land once another was made: each webhook would come twice.
async fn drop_doubles(
    engine: &Arc<Engine>,
    view: &View<'_>,
    subscriptions: &Subscriptions,
    vars: &Vars,
    doubles: &[&Json],
) -> Result<(), Fault> {
    let env = view.env(vars, None);
    for item in doubles {
        let (Some(call), Some(id)) = (&subscriptions.drop, subscriptions.id.read(item, &env))
        else {
            continue;
        };
        let mut vars = vars.clone();
        vars.insert("id".to_owned(), id);
        let lacks = || Fault::new(FaultKind::Rejected, "", "a subscription's call lacks a value");
        engine.send(view, &call.render(&vars).ok_or_else(lacks)?).await?;
        tracing::info!(connection.id = view.connection.name, "a doubled webhook was dropped");
    }
    Ok(())
}

/// Is it too quiet, for this hour of the day? `told`: it was already, and was said.
pub async fn silent(
    engine: &Arc<Engine>,
    connection: &str,
    told: bool,
) -> crate::store::Result<bool> {
    let hour = jiff::Timestamp::now().as_second().div_euclid(3600);
    let name = connection.to_owned();
    let heard = engine.store.write_async(move |tx| tx.heard(&name, hour)).await?;
    let Some(silence) = silence(&heard, hour) else { return Ok(false) };
    if !told {
        let text = format!(
            "no webhook came for {} h, where {} are usual: it is polled instead; see whether it can reach public_url",
            silence.hours, silence.usual
        );
        tracing::warn!(connection.id = connection, "{text}");
        let (name, fault) = (connection.to_owned(), Fault::new(FaultKind::Unavailable, "", &text));
        let write =
            move |tx: &crate::store::Tx<'_>| tx.write_fault(&name, "webhooks", &fault, &now());
        engine.store.write_async(write).await?;
    }
    Ok(true)
}
