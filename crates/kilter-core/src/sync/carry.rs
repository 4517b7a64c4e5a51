//! Carry: children that are created by their parent's create, in one call.
//!
//! Reads   a record about to be created, the seats of what belongs to it.   Writes  nothing.
//! Never   carries a child that is there, or one that could not be created alone but for its parent.
//!
//! Some remotes take a thing with all that hangs on it: a product, its variants, their figures.
//! To us each is an object of its own, before and after; only the call is one. What cannot go
//! now, or does not fit, follows by its own create as soon as the parent is there.

use serde_json::json;

use crate::Json;
use crate::manifest::{Carry, Kind, Vars, render};
use crate::mapping::Path;
use crate::model::{RecordId, State, WaitKind};
use crate::sync::draft::draft;
use crate::sync::guards::Guards;
use crate::sync::house::View;
use crate::sync::plan::{Carried, Operation, Stop, requires, rivals, stop};
use crate::sync::seat;
use crate::sync::world::{Key, World};

/// Puts into a create what travels with it.
pub(super) fn carry(
    view: &View<'_>,
    world: &mut World,
    root: RecordId,
    carries: &[Carry],
    into: &mut Operation,
    guards: Guards,
) -> Result<(), Stop> {
    for carry in carries {
        let Some(child) = view.house.view(&view.connection.name, &carry.resource) else { continue };
        if child.connection.observe.contains(&child.resource.name) {
            continue;
        }
        let mut items = Vec::new();
        let mut carried = Vec::new();
        for id in children(&child, world, root) {
            if carried.len() == carry.cap {
                break;
            }
            // What keeps a child from being created is told by its own plan, not by its parent's.
            let Ok(Some(operation)) = create(&child, world, id, carry, guards) else { continue };
            let vars = child_vars(&child, &operation);
            let item = match &carry.item {
                Some(template) => render(template, &vars).unwrap_or_else(|| json!({})),
                None => operation.payload.clone(),
            };
            items.push(item);
            carried.push(Carried { resource: carry.resource.clone(), operation });
        }
        if carried.len() < carry.least {
            let reason = format!("waits for its first {}", child.resource.root);
            return stop(WaitKind::Parked, reason, None);
        }
        if items.is_empty() {
            continue;
        }
        if carry.at == Path::default() {
            // The parent itself, seen from another side: its members stand among the parent's.
            for item in items.iter().filter_map(Json::as_object) {
                let members = into.payload.as_object_mut();
                members.into_iter().for_each(|all| all.extend(item.clone()));
            }
            into.carried.append(&mut carried);
            continue;
        }
        let vars = view.vars(&into.each);
        let written = carry.at.write(&mut into.payload, Json::Array(items), &view.env(&vars, None));
        if let Err(error) = written {
            return stop(
                WaitKind::Held,
                format!("{} cannot be carried: {error}", carry.resource),
                None,
            );
        }
        into.carried.append(&mut carried);
    }
    Ok(())
}

fn child_vars(child: &View<'_>, operation: &Operation) -> Vars {
    let mut vars = child.connection.vars(&operation.each);
    vars.insert("item".to_owned(), operation.payload.clone());
    vars
}

/// The records that belong to a root by the reference that the child's resource calls its parent,
/// in the order in which they came to be.
fn children(child: &View<'_>, world: &mut World, root: RecordId) -> Vec<RecordId> {
    let Some(parent) = &child.resource.parent else { return Vec::new() };
    let facet = child.resource.facets.iter().find(|f| f.name == parent.facet);
    let Some(facet) = facet else { return Vec::new() };
    if facet.entity == child.resource.root && facet.of.is_none() {
        return vec![root];
    }
    let Some(field) = facet.of.clone() else { return Vec::new() };
    let mut ids = world.ids(&Key::Referrers(
        child.resource.root.as_str().into(),
        field.as_str().into(),
        root,
    ));
    ids.sort_unstable();
    ids
}

/// A child's create. Ok(None): it has no seat here, or is there.
fn create(
    child: &View<'_>,
    world: &mut World,
    root: RecordId,
    carry: &Carry,
    guards: Guards,
) -> Result<Option<Operation>, Stop> {
    let name = &child.connection.name;
    let seat = world.object_of_root(name, &child.resource.name, root);
    let Some(object) = seat.and_then(|id| world.object(id)).cloned() else { return Ok(None) };
    if object.state != State::Seat || object.remote.is_some() {
        return Ok(None);
    }
    rivals(child, world, root)?;
    requires(child, world, root)?;
    let Some(each) = seat::each_of(child, world, root) else { return Ok(None) };
    let draft = draft(child, world, &object, root, (Kind::Create, &each), guards)?;
    let mut operation = Operation {
        object: object.id,
        kind: Kind::Create,
        fields: draft.fields,
        payload: draft.payload,
        id: None,
        each,
        parent: None,
        above: None,
        partial: draft.partial,
        carried: Vec::new(),
        places: draft.places,
    };
    self::carry(child, world, root, &carry.carries, &mut operation, guards)?;
    Ok(Some(operation))
}
