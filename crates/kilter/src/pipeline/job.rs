//! Job: work that a remote does by itself: begun, and asked how far it is.
//!
//! Reads   answers.   Writes  nothing here: who begins one writes it down.
//! Never   takes a job that nobody knows any more for one that is done.

use std::sync::Arc;

use kilter_core::Json;
use kilter_core::manifest::{Call, Job, Vars, plain};
use kilter_core::mapping::Path;
use kilter_core::model::{Fault, FaultKind};
use kilter_core::sync::house::View;

use crate::engine::Engine;

/// How far a job is.
pub(super) enum State {
    Runs,
    /// Why, and where a file of what it did lies, if it has one.
    Failed(String, Option<String>),
    /// Where its file lies, if it has one.
    Done(Option<String>),
}

/// A name for a job that is about to begin, as nothing else is called.
pub(super) fn mark() -> String {
    format!("kilter_{}", uuid::Uuid::now_v7().simple())
}

/// What is known of a job whose start was not answered.
pub(super) enum Lost {
    Found(String),
    /// It may still begin.
    Open,
    Never,
}

/// Looks for a job by the name it was begun with, so many seconds ago. Err: nobody can say.
pub(super) async fn find(
    engine: &Arc<Engine>,
    view: &View<'_>,
    spec: &Job,
    vars: &Vars,
    (mark, seconds): (&str, i64),
) -> Result<Lost, Fault> {
    let unknown = |text| Fault::new(FaultKind::Unknown, "", text);
    let Some(find) = &spec.find else { return Err(unknown("nothing says how a job is found")) };
    let answer = call(engine, view, &find.call, vars).await?;
    let env = view.env(vars, None);
    let items = find.items.read(&answer, &env);
    let items = items.as_ref().and_then(Json::as_array);
    // No list is no answer: a job that is not in it was not looked for.
    let items = items.ok_or_else(|| unknown("the jobs are not told"))?;
    let ours = |item: &&Json| {
        let text = find.mark.read(item, &env).map(|text| plain(&text));
        text.is_some_and(|text| text.contains(mark))
    };
    if let Some(item) = items.iter().find(ours) {
        let id = find.id.read(item, &env).filter(|id| !id.is_null());
        let id = id.ok_or_else(|| unknown("a job has no id"))?;
        return Ok(Lost::Found(plain(&id)));
    }
    Ok(if seconds <= find.quiescence_seconds { Lost::Open } else { Lost::Never })
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
    (id, partial): (&str, Option<&Path>),
) -> Result<State, Fault> {
    let mut vars = vars.clone();
    vars.insert("job".to_owned(), Json::String(id.to_owned()));
    let answer = call(engine, view, &spec.poll, &vars).await?;
    let env = view.env(&vars, None);
    // A job that nobody knows any more names no state.
    let state = spec.state.read(&answer, &env).filter(|s| !s.is_null());
    let state = state.map(|s| plain(&s)).unwrap_or_default();
    let address =
        |path: &Path| path.read(&answer, &env).filter(|url| !url.is_null()).map(|url| plain(&url));
    if spec.done.contains(&state) {
        return Ok(State::Done(address(&spec.url)));
    }
    if state.is_empty() || spec.failed.contains(&state) {
        let why = format!("the job {id} is \"{state}\"");
        return Ok(State::Failed(why, partial.and_then(address)));
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
