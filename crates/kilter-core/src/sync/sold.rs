//! Sold lines: what a shop sold and the ERP's figure may not contain yet.
//!
//! Reads   orders, reads of stock, states of documents.   Writes  sold rows, looks, due marks.
//! Never   drops a line on its own guess: only a read *asked after* the ERP's document reached a
//!         state in which its figure contains the line takes it out, changed or not.

use rust_decimal::Decimal;

use crate::Json;
use crate::model::record::record_of;
use crate::model::{Change, ObjectId, Record, RecordId, Seq};
use crate::sync::house::{BIRTH_ROW, House, STATE_ROW, View};
use crate::sync::mark::mark_if_written;
use crate::sync::project::Projected;
use crate::sync::unseen;
use crate::sync::whole;
use crate::sync::world::{Key, Sold, World};

/// An order changed: its lines are written down while it holds stock, and taken out when not.
pub fn order_changed(house: &House, world: &mut World, id: RecordId, now: &str) {
    let Some(record) = world.record(id).cloned() else { return };
    let lines = match record.value("lines", "").and_then(Json::as_array) {
        Some(lines) if house.entities.get(&record.entity).is_some_and(|e| e.document) => {
            lines.clone()
        }
        _ => return,
    };
    let holds = holds_stock(house, &record);
    let location = house
        .config
        .connections
        .get(record.origin.as_str())
        .and_then(|c| c.locations.first())
        .map(|(name, _)| name.clone());
    let Some(location) = location else { return };
    let before = world.sold_rows(&Key::SoldOfOrder(id));
    let mut touched: Vec<RecordId> = Vec::new();
    let mut now_sold: Vec<Sold> =
        lines.iter().filter(|_| holds).filter_map(|l| sold_row(id, l, &location)).collect();
    for old in before {
        let found = now_sold.iter().position(|new| new.line == old.line);
        let new = match found.map(|at| now_sold.remove(at)) {
            // A line that became another thing begins anew.
            Some(new) if new.variant != old.variant => Some(new),
            Some(new) => Some(Sold { quantity: new.quantity, ..old.clone() }),
            // What the ERP contains it gives back itself; the rest was never sold.
            None if old.contained.is_zero() => None,
            None => Some(Sold { quantity: old.contained, ..old.clone() }),
        };
        // Also where the ERP contains all of it: the shop may have put it back.
        let given_back = found.is_none();
        if given_back || new.as_ref() != Some(&old) {
            tell(house, world, &record, Some(&old), new.as_ref().filter(|_| !given_back));
            touched.push(old.variant);
            touched.extend(new.as_ref().map(|row| row.variant));
            world.put_sold(id, &old.line, new);
        }
    }
    for row in now_sold {
        tell(house, world, &record, None, Some(&row));
        touched.push(row.variant);
        let line = row.line.clone();
        world.put_sold(id, &line, Some(row));
    }
    for variant in touched {
        mark_showing(house, world, variant, now);
    }
}

/// A line holds another number of pieces, or pieces of another thing: its shop's figures moved by that.
fn tell(house: &House, world: &mut World, order: &Record, old: Option<&Sold>, new: Option<&Sold>) {
    match (old, new) {
        (Some(old), Some(new)) if old.variant == new.variant => {
            unseen::told(house, world, order, new, new.quantity - old.quantity);
        }
        (old, new) => {
            old.into_iter().for_each(|row| unseen::told(house, world, order, row, -row.quantity));
            new.into_iter().for_each(|row| unseen::told(house, world, order, row, row.quantity));
        }
    }
}

/// The shop put pieces of an order back into its own stock: its figure is not what was written any
/// more, and nothing else tells. Sold lines stay as they are: see `credit`.
pub fn put_back(house: &House, world: &mut World, id: RecordId, seq: Seq) {
    let Some(record) = world.record(id).cloned() else { return };
    let list = |field| record.value(field, "").and_then(Json::as_array).cloned();
    let back = list("restocked").unwrap_or_default();
    let back: Vec<&Json> = back.iter().filter(|r| r.get("quantity").is_some()).collect();
    if back.is_empty() || house.entities.get(&record.entity).is_none_or(|e| !e.document) {
        return;
    }
    for line in list("lines").unwrap_or_default() {
        let Some(variant) = line.get("variant").and_then(record_of) else { continue };
        if !back.iter().any(|r| r.get("line") == line.get("id")) {
            continue;
        }
        for object in world.ids(&Key::ObjectsShowing(variant)) {
            let Some(mut object) = world.object(object).cloned() else { continue };
            if object.connection == record.origin && object.remote.is_some() {
                object.look = Some(seq);
                world.put_object(object);
            }
        }
    }
}

fn sold_row(order: RecordId, line: &Json, location: &str) -> Option<Sold> {
    let quantity: Decimal = line.get("quantity")?.as_str()?.parse().ok()?;
    Some(Sold {
        order,
        line: line.get("id")?.as_str()?.to_owned(),
        variant: record_of(line.get("variant")?)?,
        quantity,
        location: location.to_owned(),
        reached: None,
        contained: Decimal::ZERO,
    })
}

/// Every order that holds stock in its shop counts, imported or not; history does not.
fn holds_stock(house: &House, record: &Record) -> bool {
    let Some((connection, connector)) = house.connector(&record.origin) else { return false };
    let status = record.text("status").unwrap_or_default();
    let placed = record.text("placed_at").unwrap_or_default();
    let recent =
        connection.orders.since.as_deref().is_none_or(|s| placed.is_empty() || placed >= s);
    let holds = connector
        .resources
        .iter()
        .filter(|r| r.root == record.entity)
        .any(|r| r.holds_stock.iter().any(|s| s == status));
    holds && recent
}

fn mark_showing(house: &House, world: &mut World, variant: RecordId, now: &str) {
    for object in world.ids(&Key::ObjectsShowing(variant)) {
        mark_if_written(house, world, object, now);
    }
}

/// An ERP's figure was read: the lines that it contains by now are not subtracted any more.
pub fn figure_read(view: &View<'_>, world: &mut World, change: &Change, item: &Projected) {
    let Some(facet) = view.root_facet() else { return };
    // A shop that keeps a figure for each location shows the same records, and not the ERP's figure.
    let tells = facet.rows.iter().any(|row| row.field == "figure" && row.read.is_some());
    if change.asked == 0 || !tells {
        return;
    }
    let collection = &view.resource.collection;
    let found = world.object_by_remote(&change.connection, collection, &item.remote);
    let root = found.and_then(|id| world.object(id)).and_then(|o| o.root);
    let Some(record) = root.and_then(|id| world.record(id)).cloned() else { return };
    let Some(variant) = record.reference("variant") else { return };
    let location = record.text("location").unwrap_or_default().to_owned();
    let mut left = false;
    for row in world.sold_rows(&Key::SoldOfVariant(variant)) {
        let told = row.reached.is_some_and(|at| at <= change.asked);
        if told && !row.open().is_zero() && row.location == location {
            let contained = sent(world, &change.connection, &row);
            if contained != row.contained {
                let (order, line) = (row.order, row.line.clone());
                world.put_sold(order, &line, Some(Sold { contained, ..row }));
                left = true;
            }
        }
    }
    if left {
        mark_showing(view.house, world, variant, &change.at);
    }
}

/// How much of a line the ERP was sent: as much as it was when its document was born. A line that
/// the document does not know, as one that was linked by a person, is taken as it is.
fn sent(world: &mut World, connection: &str, row: &Sold) -> Decimal {
    let documents = world.ids(&Key::ObjectsOfRoot(connection.into(), row.order));
    let mut lines = documents.into_iter().filter_map(|id| {
        let birth = world.object(id)?.shadow.get(BIRTH_ROW)?;
        birth.get("lines")?.as_array().cloned()
    });
    let Some(lines) = lines.next() else { return row.quantity };
    let line = lines.iter().find(|l| l.get("id").and_then(Json::as_str) == Some(&row.line));
    let quantity = line.and_then(|l| l.get("quantity")?.as_str()?.parse().ok());
    quantity.unwrap_or(Decimal::ZERO)
}

/// A document was read in the ERP: from here on its figure contains the lines.
pub fn document_read(view: &View<'_>, world: &mut World, id: ObjectId, change: &Change) {
    let resource = view.resource;
    let Some(object) = world.object(id) else { return };
    let state = object.shadow.get(STATE_ROW).and_then(Json::as_str).unwrap_or_default();
    let Some(root) = object.root.filter(|_| resource.contains.iter().any(|s| s == state)) else {
        return;
    };
    for row in world.sold_rows(&Key::SoldOfOrder(root)) {
        if row.reached.is_none() {
            let (order, line, variant) = (row.order, row.line.clone(), row.variant);
            let location = row.location.clone();
            let row = Sold { reached: Some(change.seq), ..row };
            world.put_sold(order, &line, Some(row));
            look_at_figure(view, world, variant, &location, change);
        }
    }
}

/// What came back by a document that is part of another stands in the ERP's figure from here on.
pub fn returned(view: &View<'_>, world: &mut World, id: ObjectId, change: &Change) {
    let Some(object) = world.object(id) else { return };
    let state = object.shadow.get(STATE_ROW).and_then(Json::as_str).unwrap_or_default();
    let contains = view.resource.contains.iter().any(|s| s == state);
    let Some(record) = object.root.and_then(|root| world.record(root)).cloned() else { return };
    if !contains || !whole::is_part(view, &record) {
        return;
    }
    let lines = record.value("lines", "").and_then(Json::as_array).cloned().unwrap_or_default();
    for variant in lines.iter().filter_map(|line| record_of(line.get("variant")?)) {
        for (location, _) in &view.connection.locations {
            look_at_figure(view, world, variant, location, change);
        }
    }
}

/// The figure must be read again, or the line would be subtracted for ever.
fn look_at_figure(
    view: &View<'_>,
    world: &mut World,
    variant: RecordId,
    location: &str,
    change: &Change,
) {
    let key = format!("{variant}/{location}");
    let Some(stock) = world.record_by_key("stock", &key, false) else { return };
    for id in world.ids(&Key::ObjectsShowing(stock)) {
        let Some(object) = world.object(id) else { continue };
        if object.connection == view.connection.name && object.root == Some(stock) {
            let mut object = object.clone();
            object.look = Some(change.seq);
            world.put_object(object);
        }
    }
}
