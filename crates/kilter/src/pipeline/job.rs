//! Job: work that a remote does by itself: begun, and asked how far it is.
//!
//! Reads   answers.   Writes  nothing here: who begins one writes it down.
//! Never   takes a job that nobody knows any more for one that is done.

use std::sync::Arc;

use kilter_core::Json;
use kilter_core::manifest::{Call, Job, Vars, plain};
use kilter_core::model::{Fault, FaultKind};
use kilter_core::sync::house::View;

use crate::engine::Engine;

/// How far a job is.
pub(super) enum State {
    Runs,
    Failed(String),
    /// Where its file lies, if it has one.
    Done(Option<String>),
}

/// Begins a job. Returns what it is called there.
pub(super) async fn begin(
    engine: &Arc<Engine>,
    view: &View<'_>,
    spec: &Job,
    vars: &Vars,
) -> Result<String, Fault> {
    let answer = call(engine, view, &spec.start, vars).await?;
    let env = view.env(vars, None);
    let problems = spec.problems.as_ref().and_then(|path| path.read(&answer, &env));
    if let Some(first) = problems.as_ref().and_then(Json::as_array).and_then(|p| p.first()) {
        return Err(view.connector.errors.classify(0, first, &env));
    }
    let id = spec.id.read(&answer, &env).filter(|id| !id.is_null());
    id.map(|id| plain(&id)).ok_or_else(|| Fault::new(FaultKind::Unknown, "", "no job was named"))
}

pub(super) async fn state(
    engine: &Arc<Engine>,
    view: &View<'_>,
    spec: &Job,
    vars: &Vars,
    id: &str,
) -> Result<State, Fault> {
    let mut vars = vars.clone();
    vars.insert("job".to_owned(), Json::String(id.to_owned()));
    let answer = call(engine, view, &spec.poll, &vars).await?;
    let env = view.env(&vars, None);
    // A job that nobody knows any more names no state.
    let state = spec.state.read(&answer, &env).filter(|s| !s.is_null());
    let state = state.map(|s| plain(&s)).unwrap_or_default();
    if spec.done.contains(&state) {
        let url = spec.url.read(&answer, &env).filter(|u| !u.is_null());
        return Ok(State::Done(url.map(|u| plain(&u))));
    }
    if state.is_empty() || spec.failed.contains(&state) {
        return Ok(State::Failed(format!("the job {id} is \"{state}\"")));
    }
    Ok(State::Runs)
}

pub(super) async fn call(
    engine: &Arc<Engine>,
    view: &View<'_>,
    call: &Call,
    vars: &Vars,
) -> Result<Json, Fault> {
    let lacks = || Fault::new(FaultKind::Rejected, "", "the job's call lacks a value");
    let request = call.render(vars).ok_or_else(lacks)?;
    Ok(engine.send(view, &request).await?.body)
}
