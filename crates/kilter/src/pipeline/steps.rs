//! Steps: one action of a document's lifecycle, then a look: the observed state says what is next.
//!
//! Reads   a planned step.   Writes  a delivery, a look, or the reason why not.
//! Never   believes an action's answer: remotes work on after they answered.

use std::sync::Arc;

use kilter_core::Json;
use kilter_core::manifest::Vars;
use kilter_core::model::{Fault, FaultKind, Object, ObjectId, RowKey, Wait, WaitKind};
use kilter_core::sync::batch::id_json;
use kilter_core::sync::house::View;
use kilter_core::sync::plan::StepOp;
use serde_json::json;

use crate::engine::{Engine, now};
use crate::pipeline::answers;
use crate::pipeline::poll::vars;
use crate::pipeline::settle::{Marks, retry};
use crate::store::deliveries::Delivery;
use crate::store::{Result, Tx};

pub async fn run(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &str,
    step: StepOp,
    marks: &Arc<Marks>,
) -> Result<()> {
    let house = Arc::clone(&engine.house);
    let Some(view) = house.view(connection, resource) else { return Ok(()) };
    let id = step.object;
    let once = step.once.clone();
    let Some(object) = engine.store.write_async(move |tx| noted(tx, id, once)).await? else {
        return Ok(());
    };
    let mut vars = vars(&view, "");
    vars.extend(step.extra.clone());
    vars.insert("id".to_owned(), id_json(object.remote.as_deref().unwrap_or_default()));
    let outcome = send(engine, &view, &step, &vars).await;
    let mark = marks.get(&id).copied().unwrap_or(0);
    let max = house.config.limits.tries_max;
    let (call, who) = (format!("{connection} {}", step.name), connection.to_owned());
    engine
        .store
        .write_async(move |tx| {
            let Some(mut object) = tx.object(id)? else { return Ok(()) };
            let tries = object.due.as_ref().map_or(0, |d| d.tries) + 1;
            object.look = Some(tx.last_seq()?);
            // What names its line may be sent again, whatever became of it.
            let again = |fault: &Fault| step.repeats || fault.proves_not_applied();
            let undone = outcome.as_ref().err().is_some_and(again);
            if let Some((row, _)) = step.once.as_ref().filter(|_| undone) {
                object.shadow.remove(row);
            }
            match &outcome {
                Ok(()) => {
                    if object.due.as_ref().is_some_and(|d| d.mark == mark) {
                        object.due = None;
                    }
                    object.wait = None;
                }
                // An attempt whose answer was lost may have done it: what is there is read first.
                Err(fault) if tries <= if fault.kind.retries() { max } else { 1 } => {
                    retry(&mut object, tries, fault.retry_after);
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
            let delivery = Delivery {
                object: id,
                kind: step.name.clone(),
                fields: json!([{ "row": "~state", "new": step.to }]),
                outcome: if outcome.is_ok() { "applied" } else { "not_applied" }.to_owned(),
                fault: outcome.err(),
                call,
            };
            tx.write_deliveries(&[delivery], &now())
        })
        .await
}

async fn send(
    engine: &Arc<Engine>,
    view: &View<'_>,
    step: &StepOp,
    vars: &Vars,
) -> std::result::Result<(), Fault> {
    let request = step
        .call
        .render(vars)
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

/// What may be done once is written down before it is sent.
fn noted(tx: &Tx<'_>, id: ObjectId, once: Option<(RowKey, Json)>) -> Result<Option<Object>> {
    let Some(mut object) = tx.object(id)? else { return Ok(None) };
    if let Some((row, value)) = once {
        object.shadow.insert(row, value);
        tx.write_objects(std::iter::once(&object))?;
    }
    Ok(Some(object))
}
