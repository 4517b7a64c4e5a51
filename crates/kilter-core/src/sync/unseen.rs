//! Unseen: whether what a shop's orders tell was seen in its figures.
//!
//! Reads   figures before and after a read, order lines.
//! Writes  when a figure fell, and what is open between falls and orders (`~unseen`).
//! Never   takes a figure for read again because its order came: a webhook of it may be lost.
//!
//! ```text
//! figure fell by 2, no order yet   →  2   its order will come, or a poll says that there is none
//! order of 2 told, nothing fell    → -2   what was last read is older than the sale: read again
//! both, in whichever order         →  0   in step: nobody needs to look
//! ```
//!
//! Without it a plan compares with what was last read. A sale whose webhook is lost, and a count of
//! the ERP that makes up for it to the unit, leave nothing to write, and the shop shows too little.

use rust_decimal::Decimal;
use serde_json::json;

use crate::Json;
use crate::model::{Object, Record, Rows, Seq};
use crate::sync::derive::decimal;
use crate::sync::house::{House, View};
use crate::sync::world::{Key, Sold, World};

/// Units that fell and no order told of; below zero, units that orders told of and no read showed.
/// Kept in the shadow beside the rows; no row: in step.
pub const UNSEEN_ROW: &str = "~unseen";

/// An order holds `more` of a line's variant than before. Where it is less, the shop may have put it
/// back or not: that is read in any case.
pub fn told(house: &House, world: &mut World, order: &Record, row: &Sold, more: Decimal) {
    if more.is_zero() {
        return;
    }
    let heard = |field| order.cell(field, "").map_or(0, |cell| cell.change);
    let heard = heard("lines").max(heard("status"));
    for id in world.ids(&Key::ObjectsShowing(row.variant)) {
        let Some(mut object) = world.object(id).cloned() else { continue };
        let own = object.connection == order.origin && object.remote.is_some();
        let view = house.view(&object.connection, &object.resource);
        let Some(view) = view.filter(|_| own) else { continue };
        if !keeps_figure(&view, world, &object, &row.location) {
            continue;
        }
        let (mut open, before) = standing(&object);
        if open > Decimal::ZERO && (more < Decimal::ZERO || asked_since(world, &object)) {
            open = Decimal::ZERO;
        }
        stand(&mut object, open - more.abs(), heard.max(before));
        // A line that meant nothing we knew may have been heard before the last read.
        read(&mut object);
        world.put_object(object);
    }
}

/// A poll of the orders left after the figure fell: what is open of it was no sale. It may be the one
/// that brings this order; then it is read once for nothing, and no fall of old stands for a new sale.
fn asked_since(world: &mut World, object: &Object) -> bool {
    object.fell.is_none_or(|fell| fell <= world.orders_polled(&object.connection).asked)
}

/// Does an object show what is there to be sold at a location?
fn keeps_figure(view: &View<'_>, world: &mut World, object: &Object, location: &str) -> bool {
    let vars = view.vars("");
    let mut facets = view.resource.facets.iter().filter(|facet| {
        let mut rows = facet.rows.iter().map(|row| view.stand(facet, row, &vars));
        rows.any(|stand| stand.figure && object.shadow.contains_key(&stand.key))
    });
    facets.any(|facet| {
        let bound = object.bindings.get(facet.name.as_str()).and_then(|id| world.record(*id));
        // A figure of all places, or of this one.
        bound.is_some_and(|record| record.text("location").is_none_or(|at| at == location))
    })
}

/// A shop's figure that fell is first taken for a sale. After a write, `before` is what was expected:
/// what the answer shows less of was sold meanwhile.
pub fn note_fall(view: &View<'_>, object: &mut Object, before: &Rows, after: &Rows, seq: Seq) {
    let fell = |(before, after): (Decimal, Decimal)| (before - after).max(Decimal::ZERO);
    let by: Decimal = figures(view, before, after).into_iter().map(fell).sum();
    if by > Decimal::ZERO {
        object.fell = Some(seq);
        let (open, heard) = standing(object);
        stand(object, open + by, heard);
    }
}

/// A read that left after the orders were heard shows what they sold, whatever it shows.
pub fn read(object: &mut Object) {
    let (open, heard) = standing(object);
    if open < Decimal::ZERO && object.asked >= heard {
        stand(object, Decimal::ZERO, heard);
    }
}

/// Was something sold that no read of it shows? Where it cannot be read by its id, its listing shows it.
pub fn must_be_read(view: &View<'_>, object: &Object) -> bool {
    let readable = || view.connector.resources_of(&object.collection).any(|r| r.get.is_some());
    standing(object).0 < Decimal::ZERO && readable()
}

pub(super) fn figures_differ(view: &View<'_>, before: &Rows, after: &Rows) -> bool {
    figures(view, before, after).into_iter().any(|(before, after)| after != before)
}

/// A shop's figures as two states show them, where both do.
fn figures(view: &View<'_>, before: &Rows, after: &Rows) -> Vec<(Decimal, Decimal)> {
    let mut out = Vec::new();
    let vars = view.vars("");
    for facet in &view.resource.facets {
        for row in &facet.rows {
            let stand = view.stand(facet, row, &vars);
            if !stand.figure {
                continue;
            }
            let figure = |rows: &Rows| rows.get(&stand.key).and_then(decimal);
            out.extend(figure(before).zip(figure(after)));
        }
    }
    out
}

/// What is open, and the place of the newest order that it counts.
fn standing(object: &Object) -> (Decimal, Seq) {
    let Some(row) = object.shadow.get(UNSEEN_ROW) else { return (Decimal::ZERO, 0) };
    let open = row.get("units").and_then(decimal).unwrap_or_default();
    (open, row.get("heard").and_then(Json::as_i64).unwrap_or_default())
}

fn stand(object: &mut Object, open: Decimal, heard: Seq) {
    if open.is_zero() {
        object.shadow.remove(UNSEEN_ROW);
    } else {
        let units = open.normalize().to_string();
        object.shadow.insert(UNSEEN_ROW.into(), json!({ "units": units, "heard": heard }));
    }
}
