//! Whole: a document that is part of another (a refund, of its order) follows it into the target.
//!
//! Reads   the other's record, and its object in the same target.   Writes  nothing.
//! Never   gives back there what was never sold there, nor before it is known to be.
//!
//! | the order, in the target                       | its refund                             |
//! |------------------------------------------------|----------------------------------------|
//! | not there, and its shop still wants it there   | waits for it                           |
//! | not there, and given back or cancelled before  | is not sent either (see `seat`)        |
//! | on its way to where its shop wants it          | waits until it is there                |
//! | cancelled, and its shop says so too            | is not sent: nothing was sold there    |
//! | cancelled by someone else                      | waits for a person                     |
//! | anywhere else                                  | is sent                                |

use crate::Json;
use crate::model::{Object, Record, RecordId, WaitKind};
use crate::sync::house::{STATE_ROW, View};
use crate::sync::lifecycle::{first_step, goals};
use crate::sync::plan::{Stop, stop};
use crate::sync::world::World;

/// The value of a lifecycle's goals that undoes the document.
const UNDONE: &str = "cancelled";

/// Is a record of this kind part of another document?
pub fn is_part(view: &View<'_>, record: &Record) -> bool {
    part(view, record).is_some()
}

/// The document that this one is part of, once that is known.
pub fn of(view: &View<'_>, record: &Record) -> Option<RecordId> {
    record.reference(part(view, record)?)
}

fn part<'v>(view: &View<'v>, record: &Record) -> Option<&'v str> {
    let entities = &view.house.entities;
    entities.whole_of(entities.get(&record.entity)?)
}

/// What stands for the whole in this connection: the resource is named by `parent`.
pub fn object(view: &View<'_>, world: &mut World, whole: RecordId) -> Option<Object> {
    let resource = &view.resource.parent.as_ref()?.resource;
    let id = world.object_of_root(&view.connection.name, resource, whole)?;
    world.object(id).cloned()
}

/// May it be created here? False: it never will be, and nobody need care.
pub(super) fn stands(view: &View<'_>, world: &mut World, root: RecordId) -> Result<bool, Stop> {
    let Some(record) = world.record(root).cloned() else { return Ok(true) };
    let Some(id) = of(view, &record) else { return Ok(true) };
    let (Some(order), Some(there)) = (world.record(id).cloned(), object(view, world, id)) else {
        return Ok(true);
    };
    let Some(resource) = view.connector.resource(&there.resource) else { return Ok(true) };
    let Some(cycle) = &resource.lifecycle else { return Ok(true) };
    let whole = View { resource, ..*view };
    let target = &view.connection.name;
    let key = order.key.clone().unwrap_or_default();
    let Some(state) = there.shadow.get(STATE_ROW).and_then(Json::as_str) else {
        return stop(WaitKind::Parked, format!("waits until {key} was read in {target}"), Some(id));
    };
    let wanted = order.text(&cycle.goal_field).unwrap_or_default();
    let goal = goals(&whole, cycle, wanted);
    let at_goal = goal.as_ref().is_some_and(|g| g.iter().any(|s| s == state));
    if goals(&whole, cycle, UNDONE).is_some_and(|g| g.iter().any(|s| s == state)) {
        if at_goal {
            return Ok(false);
        }
        let reason = format!(
            "{key} was cancelled in {target}, and its shop gave money back for it: look what is \
             owed, write it there by hand and say \"kilter decide N link ID\", or \"leave\""
        );
        return stop(WaitKind::Held, reason, Some(id));
    }
    let begins = cycle.steps.first().is_some_and(|s| s.from == state);
    let moves = goal.map_or(begins, |g| first_step(cycle, state, &g).is_some());
    if moves && !at_goal {
        let reason = format!("waits until {key} is through in {target}: it is {state} there");
        return stop(WaitKind::Parked, reason, Some(id));
    }
    Ok(true)
}

/// The whole was undone after this was sent: why a person must look.
pub(super) fn undone(view: &View<'_>, world: &mut World, record: &Record) -> Option<String> {
    of(view, record)?;
    match stands(view, world, record.id) {
        Ok(false) => Some(format!(
            "its order was given back whole and is cancelled in {}: {} was for a part of it and \
             is one too many there",
            view.connection.name,
            record.key.as_deref().unwrap_or_default()
        )),
        _ => None,
    }
}
