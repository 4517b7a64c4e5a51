//! Steps: one action of a document's lifecycle, then a look: the observed state says what is next.
//!
//! Reads   planned steps.   Writes  deliveries, looks, or the reason why not.
//! Never   believes an action's answer: remotes work on after they answered. Never lets one document
//!         that is refused hold up those that went with it.

use std::collections::VecDeque;
use std::sync::Arc;

use kilter_core::Json;
use kilter_core::model::{Fault, FaultKind, Wait, WaitKind};
use kilter_core::sync::batch::id_json;
use kilter_core::sync::house::View;
use kilter_core::sync::plan::StepOp;
use serde_json::json;

use crate::engine::{Engine, now};
use crate::pipeline::answers;
use crate::pipeline::poll::vars;
use crate::pipeline::settle::{self, Marks, retry};
use crate::store::deliveries::Delivery;
use crate::store::{Result, Tx};

/// What goes by one call: the same step of so many documents as it takes.
pub fn together(steps: Vec<StepOp>) -> Vec<Vec<StepOp>> {
    let mut calls: Vec<Vec<StepOp>> = Vec::new();
    for step in steps {
        let alone = step.once.is_some() || !step.extra.is_empty();
        let fits = |call: &&mut Vec<StepOp>| {
            let first = &call[0];
            call.len() < first.cap.min(step.cap)
                && first.name == step.name
                && first.call == step.call
        };
        match calls.iter_mut().rev().find(fits).filter(|_| !alone) {
            Some(call) => call.push(step),
            None => calls.push(vec![step]),
        }
    }
    calls
}

pub async fn run(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &str,
    steps: Vec<StepOp>,
    marks: &Arc<Marks>,
) -> Result<()> {
    let house = Arc::clone(&engine.house);
    let Some(view) = house.view(connection, resource) else { return Ok(()) };
    let mut waiting = VecDeque::from([steps]);
    while let Some(steps) = waiting.pop_front() {
        if !noted(engine, &steps[0]).await? {
            continue;
        }
        let outcome = send(engine, &view, &steps).await;
        // Which of them it was about, it does not say.
        if steps.len() > 1 && outcome.as_ref().is_err_and(|fault| !fault.kind.retries()) {
            waiting.extend(steps.into_iter().map(|step| vec![step]));
            continue;
        }
        let ill = outcome.as_ref().is_err_and(|fault| fault.kind.retries());
        let (marks, who) = (Arc::clone(marks), connection.to_owned());
        let max = house.config.limits.tries_max;
        let settled = move |tx: &Tx<'_>| {
            let each = steps.iter().map(|step| {
                let mark = marks.get(&step.object).copied().unwrap_or(0);
                came_of(tx, &who, step, &outcome, (mark, max))
            });
            let deliveries = each.collect::<Result<Vec<Option<Delivery>>>>()?;
            let deliveries: Vec<Delivery> = deliveries.into_iter().flatten().collect();
            tx.write_deliveries(&deliveries, &now())
        };
        engine.store.write_async(settled).await?;
        if ill {
            // The others need not find it out one by one.
            let others = waiting.into_iter().flatten().map(|step| step.object).collect();
            return settle::postpone(engine, others, Some(ILL_SECONDS)).await;
        }
    }
    Ok(())
}

/// How long those that were refused together wait where one of them met a remote that is ill.
const ILL_SECONDS: u32 = 5;

/// What became of one document's step.
fn came_of(
    tx: &Tx<'_>,
    who: &str,
    step: &StepOp,
    outcome: &std::result::Result<(), Fault>,
    (mark, max): (i64, u32),
) -> Result<Option<Delivery>> {
    let Some(mut object) = tx.object(step.object)? else { return Ok(None) };
    let tries = outcome.as_ref().err().map_or(1, |fault| settle::tried(&object, fault));
    object.look = Some(tx.last_seq()?);
    // What names its line may be sent again, whatever became of it.
    let again = |fault: &Fault| step.repeats || fault.proves_not_applied();
    let undone = outcome.as_ref().err().is_some_and(again);
    if let Some((row, _)) = step.once.as_ref().filter(|_| undone) {
        object.shadow.remove(row);
    }
    match outcome {
        Ok(()) => {
            if object.due.as_ref().is_some_and(|d| d.mark == mark) {
                object.due = None;
            }
            object.wait = None;
        }
        // An attempt whose answer was lost may have done it: what is there is read first.
        Err(fault) if tries <= 1 || fault.tried_again(tries, max) => {
            retry(&mut object, tries, settle::wait_of(fault));
            let reason = fault.to_string();
            object.wait = Some(Wait { kind: WaitKind::Later, reason });
        }
        Err(fault) => {
            object.due = None;
            let reason = format!("{who} refused to {}: {fault}", step.name);
            object.wait = Some(Wait { kind: WaitKind::Dead, reason });
        }
    }
    tx.write_objects(std::iter::once(&object))?;
    Ok(Some(Delivery {
        object: step.object,
        kind: step.name.clone(),
        fields: json!([{ "row": "~state", "new": step.to }]),
        outcome: if outcome.is_ok() { "applied" } else { "not_applied" }.to_owned(),
        fault: outcome.as_ref().err().cloned(),
        call: format!("{who} {}", step.name),
    }))
}

async fn send(
    engine: &Arc<Engine>,
    view: &View<'_>,
    steps: &[StepOp],
) -> std::result::Result<(), Fault> {
    let step = &steps[0];
    let mut vars = vars(view, "");
    vars.extend(step.extra.clone());
    // A call that names one of several has no value here: each goes alone.
    if steps.len() == 1 {
        vars.insert("id".to_owned(), id_json(&step.remote));
    }
    vars.insert("ids".to_owned(), steps.iter().map(|step| id_json(&step.remote)).collect());
    let request = step
        .call
        .render(&vars)
        .ok_or_else(|| Fault::new(FaultKind::Rejected, "", "the step's call lacks a value"))?;
    if let Some(remote) = engine.remotes.get(&view.connection.name) {
        remote.writes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    let answer = engine.send(view, &request).await?;
    said_no(view, step, &answer.body)
}

/// An answer that says no though its status says otherwise.
fn said_no(view: &View<'_>, step: &StepOp, body: &Json) -> std::result::Result<(), Fault> {
    let rounding = view.resource.lifecycle.as_ref().and_then(|c| c.rounding.as_ref());
    match rounding.filter(|_| step.once.is_some()) {
        Some(rounding) => answers::refused(view, &rounding.answer, body).map_or(Ok(()), Err),
        None => Ok(()),
    }
}

/// What may be done once is written down before it is sent. False: nothing is known of it any more.
async fn noted(engine: &Arc<Engine>, step: &StepOp) -> Result<bool> {
    let (id, Some((row, value))) = (step.object, step.once.clone()) else { return Ok(true) };
    let note = move |tx: &Tx<'_>| {
        let Some(mut object) = tx.object(id)? else { return Ok(false) };
        object.shadow.insert(row, value);
        tx.write_objects(std::iter::once(&object))?;
        Ok(true)
    };
    engine.store.write_async(note).await
}
