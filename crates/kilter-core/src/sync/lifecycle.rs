//! Lifecycles: the connector declares state → action → next state; the plan is the next action
//! towards the desired state. After a crash the observed state says what is next.
//!
//! Reads   an object's last state and total, its record.   Writes  nothing.
//! Never   forces: a desired state that cannot be reached waits for a person.

use std::collections::{BTreeMap, VecDeque};

use serde_json::json;

use crate::Json;
use crate::manifest::{Lifecycle, Step};
use crate::model::{Object, Record, Wait, WaitKind};
use crate::sync::document::{amended, amount, tolerance};
use crate::sync::house::{BIRTH_ROW, DECIDED_ROW, ROUNDED_ROW, STATE_ROW, TOTAL_ROW, View};
use crate::sync::plan::{Plan, StepOp};
use crate::sync::whole;
use crate::sync::world::World;

/// What is next for a document that exists in the target.
pub fn plan(view: &View<'_>, world: &mut World, object: &Object) -> Plan {
    let Some(cycle) = &view.resource.lifecycle else { return Plan::Nothing };
    let Some(record) = object.root.and_then(|id| world.record(id)).cloned() else {
        return Plan::Nothing;
    };
    let state = object.shadow.get(STATE_ROW).and_then(Json::as_str).unwrap_or_default();
    let goal = record.text(&cycle.goal_field).unwrap_or_default();
    let left = left(view, world, object);
    if let Some(reason) = whole::undone(view, world, &record).filter(|_| !left) {
        return held(reason);
    }
    let Some(goals) = &goals(view, cycle, goal) else {
        // Its shop asks for nothing here: it was edited and is not paid whole, say. What the figure
        // contains is what was sent all the same, so a change of it is told.
        let counted = view.resource.contains.iter().any(|s| s == state);
        let changed = changed_after_birth(object, &record).filter(|_| counted);
        return changed.unwrap_or(Plan::Nothing);
    };
    // What is cancelled is cancelled, whatever it would have cost and whatever changed before.
    let contains = &view.resource.contains;
    let counts = contains.is_empty() || goals.iter().any(|g| contains.contains(g));
    let look = || {
        settle_total(view, cycle, object, &record, state)
            .or_else(|| changed_after_birth(object, &record))
            .filter(|_| counts)
    };
    if goals.iter().any(|g| g == state) {
        // What may stay a draft has the shop's total as well.
        return look().unwrap_or(Plan::Nothing);
    }
    let Some(step) = first_step(cycle, state, goals) else {
        if left {
            return changed_after_birth(object, &record).unwrap_or(Plan::Nothing);
        }
        let (shop, here) = (&record.origin, &view.connection.name);
        return held(format!(
            "{shop} says {goal}, and in {here} it is {state}: there is no way from one to the \
             other; see what is to be done, then say \"kilter decide {} leave\"",
            object.id
        ));
    };
    if let Some(plan) = look() {
        return plan;
    }
    Plan::Step(StepOp {
        object: object.id,
        remote: object.remote.clone().unwrap_or_default(),
        name: step.name.clone(),
        call: step.call.clone(),
        to: step.to.clone(),
        // What failed goes alone: it holds up nobody who goes for the first time.
        cap: if object.due.as_ref().is_some_and(|due| due.tries > 0) { 1 } else { step.cap },
        extra: BTreeMap::new(),
        once: None,
        repeats: true,
    })
}

fn held(reason: String) -> Plan {
    Plan::Wait(Wait { kind: WaitKind::Held, reason }, None)
}

/// The states that a value asks for. `$name` is what the connection's setting says.
pub(super) fn goals(view: &View<'_>, cycle: &Lifecycle, goal: &str) -> Option<Vec<String>> {
    let vars = view.vars("");
    let said = |name: &String| match name.strip_prefix('$') {
        Some(setting) => vars.get(setting).and_then(Json::as_str).unwrap_or(name).to_owned(),
        None => name.clone(),
    };
    Some(cycle.goals.get(goal)?.iter().map(said).collect())
}

/// A person said to leave it as it is: until the shop wants something else, nobody is asked.
pub fn leave(view: &View<'_>, record: &Record, object: &mut Object) {
    let goal = view.resource.lifecycle.as_ref().and_then(|c| record.text(&c.goal_field));
    if let Some(goal) = goal {
        object.shadow.insert(DECIDED_ROW.into(), json!(goal));
    }
}

/// Was that said, and does the shop want the same still?
pub(super) fn left(view: &View<'_>, world: &mut World, object: &Object) -> bool {
    let (Some(said), Some(cycle)) = (object.shadow.get(DECIDED_ROW), &view.resource.lifecycle)
    else {
        return false;
    };
    let record = object.root.and_then(|id| world.record(id));
    record.and_then(|r| r.text(&cycle.goal_field)) == said.as_str()
}

fn changed_after_birth(object: &Object, record: &Record) -> Option<Plan> {
    let birth = object.shadow.get(BIRTH_ROW)?;
    amended(birth, record).map(held)
}

/// The first step of a shortest way to any goal.
pub(super) fn first_step<'c>(
    cycle: &'c Lifecycle,
    from: &str,
    goals: &[String],
) -> Option<&'c Step> {
    let mut queue = VecDeque::from([(from, None)]);
    let mut seen = vec![from.to_owned()];
    while let Some((state, first)) = queue.pop_front() {
        if goals.iter().any(|g| g == state) {
            return first;
        }
        for step in cycle.steps.iter().filter(|s| s.from == state) {
            if !seen.contains(&step.to) {
                seen.push(step.to.clone());
                queue.push_back((&step.to, first.or(Some(step))));
            }
        }
    }
    None
}

/// Before the first step the target's total is compared. What may be rounding is settled by a
/// declared rounding line, once; beyond, the draft stays and a person looks.
fn settle_total(
    view: &View<'_>,
    cycle: &Lifecycle,
    object: &Object,
    record: &Record,
    state: &str,
) -> Option<Plan> {
    let initial = cycle.steps.first().is_some_and(|s| s.from == state);
    let theirs = amount(object.shadow.get(TOTAL_ROW)).filter(|_| initial)?;
    let ours = amount(record.value("total", "").or(record.value("amount", "")))?;
    let difference = ours - theirs;
    if difference.is_zero() {
        return None;
    }
    let (shop, here) = (&record.origin, &view.connection.name);
    let said = format!("the total differs: {shop} says {ours}, {here} computes {theirs}");
    if let Some(added) = object.shadow.get(ROUNDED_ROW).and_then(Json::as_str) {
        return Some(held(format!("{said}, though a rounding line of {added} was added")));
    }
    let tolerance = tolerance(view, record);
    match &cycle.rounding {
        Some(rounding) if difference.abs() <= tolerance => {
            let difference = json!(difference.normalize().to_string());
            let reference = json!(record.key.as_deref().unwrap_or_default());
            Some(Plan::Step(StepOp {
                object: object.id,
                remote: object.remote.clone().unwrap_or_default(),
                name: "rounding".to_owned(),
                call: rounding.call.clone(),
                to: state.to_owned(),
                cap: 1,
                extra: BTreeMap::from([
                    ("difference".to_owned(), difference.clone()),
                    ("reference".to_owned(), reference),
                ]),
                once: Some((ROUNDED_ROW.into(), difference)),
                repeats: rounding.repeats,
            }))
        }
        _ => Some(held(format!("{said}, and {} may be rounding", tolerance.normalize()))),
    }
}
