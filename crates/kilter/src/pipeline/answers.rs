//! Answers: one call sent, and what its answer says of each operation that it carried.
//!
//! Reads   a batch.   Writes  nothing but the call.
//! Never   takes an answer that is not what was declared for success: then nobody knows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kilter_core::Json;
use kilter_core::manifest::{Answer, AnswerKind, Carry, Kind, Write, plain};
use kilter_core::mapping::Env;
use kilter_core::model::{Fault, FaultKind};
use kilter_core::sync::batch::{Batch, request};
use kilter_core::sync::house::View;
use kilter_core::sync::plan::Operation;

use crate::engine::Engine;

/// What came of each operation, in their order.
pub type Items = Vec<Result<Json, Fault>>;

/// Sends a batch: one request.
pub async fn call(engine: &Arc<Engine>, view: &View<'_>, batch: &Batch) -> Result<Items, Fault> {
    let write = view
        .resource
        .writes
        .iter()
        .find(|w| w.name == batch.write)
        .ok_or_else(|| Fault::new(FaultKind::Rejected, "", "there is no such way in"))?;
    // One key an attempt: a new attempt was planned anew, and says other things.
    let key = uuid::Uuid::now_v7().to_string();
    let request = request(view, write, batch, &key)
        .ok_or_else(|| Fault::new(FaultKind::Rejected, "", "the call lacks an id"))?;
    if let Some(remote) = engine.remotes.get(&view.connection.name) {
        remote.writes.fetch_add(1, Ordering::Relaxed);
    }
    let answer = engine.send(view, &request).await?;
    items(view, write, batch, &answer.body)
}

/// An answer, item by item.
pub fn items(view: &View<'_>, write: &Write, batch: &Batch, body: &Json) -> Result<Items, Fault> {
    let vars = view.connection.vars("");
    let env = view.env(&vars, None);
    if let Some(fault) = refused(view, &write.answer, body) {
        return Err(fault);
    }
    let culprits = culprits(view, write, batch, body, &env)?;
    if write.answer.whole && !culprits.is_empty() {
        let all = 0..batch.operations.len();
        return Ok(all.map(|n| Err(culprits.get(&n).cloned().unwrap_or_else(undone))).collect());
    }
    let mut lists: BTreeMap<Kind, std::vec::IntoIter<Json>> = BTreeMap::new();
    for (kind, path) in &write.answer.items {
        let list = match path.read(body, &env) {
            Some(Json::Array(items)) => items,
            Some(Json::Null) | None => Vec::new(),
            Some(item) => vec![item],
        };
        lists.insert(*kind, list.into_iter());
    }
    let mut out = Vec::with_capacity(batch.operations.len());
    for (n, operation) in batch.operations.iter().enumerate() {
        if let Some(fault) = culprits.get(&n) {
            out.push(Err(fault.clone()));
            continue;
        }
        if write.answer.what == AnswerKind::None {
            out.push(Ok(Json::Null));
            continue;
        }
        let Some(item) = lists.get_mut(&operation.kind).and_then(Iterator::next) else {
            return Err(Fault::new(FaultKind::Unknown, "", "the answer lacks an item"));
        };
        let error = write.answer.item_error.as_ref().and_then(|p| p.read(&item, &env));
        out.push(match error.filter(|e| !e.is_null()) {
            Some(error) => Err(view.connector.errors.classify(0, &error, &env)),
            None if !holds_carried(&write.carries, operation, &item, &env) => {
                Err(Fault::new(FaultKind::Unknown, "", "the answer lacks what was created inside"))
            }
            None => Ok(item),
        });
    }
    Ok(out)
}

/// The whole call failed though the status says otherwise.
pub fn refused(view: &View<'_>, answer: &Answer, body: &Json) -> Option<Fault> {
    let vars = view.connection.vars("");
    let env = view.env(&vars, None);
    let (path, value) = answer.failed.as_ref()?;
    path.read(body, &env).filter(|said| said == value)?;
    let failure = answer.failure.as_ref().and_then(|p| p.read(body, &env));
    Some(view.connector.errors.classify(200, &failure.unwrap_or(Json::Null), &env))
}

/// Operation → what the answer's list of problems says of it. A problem that names nobody is
/// everybody's: the call is sent again in halves, until one stands alone.
fn culprits(
    view: &View<'_>,
    write: &Write,
    batch: &Batch,
    body: &Json,
    env: &Env<'_>,
) -> Result<BTreeMap<usize, Fault>, Fault> {
    let mut out = BTreeMap::new();
    let lists = write.answer.problems.iter().filter_map(|p| p.read(body, env));
    for problem in lists.flat_map(|list| list.as_array().cloned().unwrap_or_default()) {
        let fault = view.connector.errors.classify(0, &problem, env);
        let index = write.answer.index.as_ref().and_then(|p| p.read(&problem, env));
        let index = index.and_then(|n| plain(&n).parse::<usize>().ok());
        match index.filter(|n| *n < batch.operations.len()) {
            Some(n) => {
                out.entry(n).or_insert(fault);
            }
            None if batch.operations.len() == 1 => {
                out.entry(0).or_insert(fault);
            }
            None => return Err(fault),
        }
    }
    Ok(out)
}

/// Does the answer show as many children as were sent?
fn holds_carried(carries: &[Carry], operation: &Operation, item: &Json, env: &Env<'_>) -> bool {
    carries.iter().all(|carry| {
        let Some(path) = &carry.answer else { return true };
        let sent = operation.carried.iter().filter(|c| c.resource == carry.resource).count();
        let shown = path.read(item, env);
        sent == 0 || shown.is_some_and(|v| v.as_array().map_or(1, Vec::len) == sent)
    })
}

const UNDONE: &str = "undone";

/// Nothing was wrong with it: another's problem undid the whole call.
fn undone() -> Fault {
    let text = "another operation of the same call was refused";
    Fault { unsent: true, ..Fault::new(FaultKind::Unavailable, UNDONE, text) }
}

/// Takes out of a batch what only another's problem undid, to be sent again at once.
pub fn part(
    mut batch: Batch,
    result: Result<Items, Fault>,
) -> (Batch, Result<Items, Fault>, Option<Batch>) {
    let Ok(items) = result else { return (batch, result, None) };
    let again =
        |item: &Result<Json, Fault>| item.as_ref().is_err_and(|f| f.code == UNDONE && f.unsent);
    let mut rest = Batch { write: batch.write.clone(), operations: Vec::new() };
    let mut mine = Vec::new();
    let mut kept = Vec::new();
    for (operation, item) in std::mem::take(&mut batch.operations).into_iter().zip(items) {
        if again(&item) {
            rest.operations.push(operation);
        } else {
            mine.push(operation);
            kept.push(item);
        }
    }
    batch.operations = mine;
    let rest = (!rest.operations.is_empty()).then_some(rest);
    (batch, Ok(kept), rest)
}
