//! Stock: quants per location, moves between them, reservations, quantities of a variant.
//!
//! Reads   and writes `stock.quant`, `stock.move`.
//! Writes  a done move for every change of a quantity.
//! Never   moves the `write_date` of a product: stock is not the product's.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::error::{Answer, Fault};
use super::read::Ctx;
use super::store::{Db, Row};
use super::value::{self, num};

const QUANT: &str = "stock.quant";
const MOVE: &str = "stock.move";
const LOCATION: &str = "stock.location";

/// The location of a given usage that the platform ships once.
pub fn location(db: &Db, usage: &str) -> i64 {
    let ids = db.ids(LOCATION);
    ids.into_iter().find(|id| db.text(LOCATION, *id, "usage") == usage).unwrap_or(0)
}

pub fn is_internal(db: &Db, location: i64) -> bool {
    matches!(db.text(LOCATION, location, "usage").as_str(), "internal" | "transit")
}

/// The location and everything below it.
pub fn below(db: &Db, location: i64) -> Vec<i64> {
    let mut found = vec![location];
    let mut position = 0;
    while let Some(current) = found.get(position).copied() {
        found.extend(db.find_id(LOCATION, "location_id", current));
        position += 1;
    }
    found
}

pub fn warehouse_of(db: &Db, location: i64) -> i64 {
    let mut current = location;
    while current != 0 {
        if let Some(id) = db.find_id("stock.warehouse", "view_location_id", current).first() {
            return *id;
        }
        current = db.link(LOCATION, current, "location_id");
    }
    0
}

/// The quants of a variant in these locations.
pub fn quants(db: &Db, variant: i64, locations: &[i64]) -> Vec<i64> {
    let mut ids = db.find_id(QUANT, "product_id", variant);
    ids.retain(|id| locations.contains(&db.link(QUANT, *id, "location_id")));
    ids
}

/// Changes what lies in a location by `change`; a quant comes into being when there is none.
fn shift(db: &mut Db, variant: i64, location: i64, change: Decimal) {
    match quants(db, variant, &[location]).first() {
        Some(quant) => {
            let quantity = db.dec(QUANT, *quant, "quantity") + change;
            db.put_dec(QUANT, *quant, "quantity", quantity);
        }
        None => {
            insert_quant(db, variant, location, change);
        }
    }
}

pub fn insert_quant(db: &mut Db, variant: i64, location: i64, quantity: Decimal) -> i64 {
    let row = Row::from([
        ("product_id", variant.into()),
        ("location_id", location.into()),
        ("quantity", num(quantity)),
        ("reserved_quantity", num(Decimal::ZERO)),
        ("in_date", db.now.clone().into()),
        ("company_id", 1.into()),
    ]);
    db.insert(QUANT, row)
}

pub fn carry(db: &mut Db, variant: i64, from: i64, to: i64, quantity: Decimal) {
    shift(db, variant, from, -quantity);
    shift(db, variant, to, quantity);
}

/// A person counts: the difference moves from or to the inventory location, as a done move.
pub fn count(db: &mut Db, variant: i64, place: i64, counted: Decimal) {
    let quants = quants(db, variant, &[place]);
    let present: Decimal = quants.iter().map(|id| db.dec(QUANT, *id, "quantity")).sum();
    let difference = counted - present;
    if difference.is_zero() {
        return;
    }
    let inventory = location(db, "inventory");
    let (from, to) =
        if difference > Decimal::ZERO { (inventory, place) } else { (place, inventory) };
    let row = Row::from([
        ("product_id", variant.into()),
        ("product_uom_qty", num(difference.abs())),
        ("quantity", num(difference.abs())),
        ("picked", true.into()),
        ("is_inventory", true.into()),
        ("state", "done".into()),
        ("location_id", from.into()),
        ("location_dest_id", to.into()),
        ("reference", "Product Quantity Updated".into()),
        ("date", db.now.clone().into()),
        ("company_id", 1.into()),
    ]);
    db.insert(MOVE, row);
    carry(db, variant, from, to, difference.abs());
}

/// Reserves what a move still lacks, as far as there is something free.
pub fn reserve(db: &mut Db, id: i64) {
    let variant = db.link(MOVE, id, "product_id");
    let from = db.link(MOVE, id, "location_id");
    let demand = db.dec(MOVE, id, "product_uom_qty");
    let mut reserved = db.dec(MOVE, id, "quantity");
    if !is_internal(db, from) || !is_storable(db, variant) {
        reserved = demand;
    } else {
        let mut places =
            db.get(MOVE, id, "reserved_places").as_array().cloned().unwrap_or_default();
        for quant in quants(db, variant, &below(db, from)) {
            let free = db.dec(QUANT, quant, "quantity") - db.dec(QUANT, quant, "reserved_quantity");
            let taken = free.min(demand - reserved);
            if taken > Decimal::ZERO {
                let total = db.dec(QUANT, quant, "reserved_quantity") + taken;
                db.put_dec(QUANT, quant, "reserved_quantity", total);
                places.push(json!([db.link(QUANT, quant, "location_id"), num(taken)]));
                reserved += taken;
            }
        }
        db.set(MOVE, id, "reserved_places", Value::Array(places));
    }
    db.put_dec(MOVE, id, "quantity", reserved);
    restate(db, id);
}

/// Gives back `amount` of what a move has reserved.
pub fn release(db: &mut Db, id: i64, amount: Decimal) {
    let variant = db.link(MOVE, id, "product_id");
    let mut places = db.get(MOVE, id, "reserved_places").as_array().cloned().unwrap_or_default();
    let mut left = amount;
    while left > Decimal::ZERO
        && let Some(place) = places.pop()
    {
        let location = place.get(0).and_then(value::id_of).unwrap_or(0);
        let held = place.get(1).map(value::dec).unwrap_or_default();
        let given = held.min(left);
        if let Some(quant) = quants(db, variant, &[location]).first().copied() {
            let total = db.dec(QUANT, quant, "reserved_quantity") - given;
            db.put_dec(QUANT, quant, "reserved_quantity", total.max(Decimal::ZERO));
        }
        if held > given {
            places.push(json!([location, num(held - given)]));
        }
        left -= given;
    }
    db.set(MOVE, id, "reserved_places", Value::Array(places));
}

pub fn release_all(db: &mut Db, id: i64) {
    release(db, id, Decimal::MAX);
}

/// The state of an open move, from demand and reservation.
pub fn restate(db: &mut Db, id: i64) {
    let (demand, held) = (db.dec(MOVE, id, "product_uom_qty"), db.dec(MOVE, id, "quantity"));
    let state = if matches!(db.text(MOVE, id, "state").as_str(), "done" | "cancel") {
        return;
    } else if held >= demand {
        "assigned"
    } else if held > Decimal::ZERO {
        "partially_available"
    } else {
        "confirmed"
    };
    db.put(MOVE, id, "state", state.into());
}

pub fn is_storable(db: &Db, variant: i64) -> bool {
    let template = db.link("product.product", variant, "product_tmpl_id");
    db.is("product.template", template, "is_storable")
}

pub fn is_service(db: &Db, variant: i64) -> bool {
    let template = db.link("product.product", variant, "product_tmpl_id");
    db.text("product.template", template, "type") == "service"
}

/// The quantities of a variant over the locations that a context names.
#[derive(Debug, Default)]
pub struct Levels {
    pub on_hand: Decimal,
    pub reserved: Decimal,
    pub incoming: Decimal,
    pub outgoing: Decimal,
}

pub fn levels(db: &Db, variant: i64, places: &[i64]) -> Levels {
    let mut levels = Levels::default();
    for quant in quants(db, variant, places) {
        levels.on_hand += db.dec(QUANT, quant, "quantity");
        levels.reserved += db.dec(QUANT, quant, "reserved_quantity");
    }
    for id in db.find_id(MOVE, "product_id", variant) {
        if matches!(db.text(MOVE, id, "state").as_str(), "draft" | "done" | "cancel") {
            continue;
        }
        let from = places.contains(&db.link(MOVE, id, "location_id"));
        let to = places.contains(&db.link(MOVE, id, "location_dest_id"));
        let demand = db.dec(MOVE, id, "product_uom_qty");
        match (from, to) {
            (true, false) => levels.outgoing += demand,
            (false, true) => levels.incoming += demand,
            _ => {}
        }
    }
    levels
}

/// The locations that a context chooses: `location`, `warehouse_id`, or every warehouse.
pub fn places(db: &Db, ctx: &Ctx) -> Vec<i64> {
    if let Some(chosen) = ctx.get("location") {
        let roots = named(db, LOCATION, "complete_name", chosen);
        return roots.into_iter().flat_map(|root| below(db, root)).collect();
    }
    let warehouses = match ctx.get("warehouse_id").or_else(|| ctx.get("warehouse")) {
        Some(chosen) if value::truthy(chosen) => named(db, "stock.warehouse", "name", chosen),
        _ => db.ids("stock.warehouse"),
    };
    let views = warehouses.into_iter().map(|id| db.link("stock.warehouse", id, "view_location_id"));
    views.flat_map(|view| below(db, view)).filter(|id| is_internal(db, *id)).collect()
}

/// Ids given as an id, as a name, or as a list of either.
fn named(db: &Db, model: &str, field: &str, chosen: &Value) -> Vec<i64> {
    match chosen {
        Value::Array(items) => {
            items.iter().flat_map(|item| named(db, model, field, item)).collect()
        }
        Value::String(name) => {
            let named = |id: &i64| {
                let shown = match field {
                    "complete_name" => complete_name(db, *id),
                    _ => db.text(model, *id, field),
                };
                shown.to_lowercase().contains(&name.to_lowercase())
            };
            db.ids(model).into_iter().filter(named).collect()
        }
        other => value::id_of(other).into_iter().collect(),
    }
}

pub fn complete_name(db: &Db, location: i64) -> String {
    let name = db.text(LOCATION, location, "name");
    let parent = db.link(LOCATION, location, "location_id");
    if parent == 0 || db.text(LOCATION, location, "usage") == "view" {
        return name;
    }
    format!("{}/{name}", complete_name(db, parent))
}

/// Writing `qty_available` counts the stock of the company's first warehouse.
pub fn write_on_hand(db: &mut Db, variants: &[i64], counted: &Value) -> Answer<()> {
    let warehouse = db.ids("stock.warehouse").first().copied();
    let Some(warehouse) = warehouse else {
        return Err(Fault::user("There is no warehouse."));
    };
    let place = db.link("stock.warehouse", warehouse, "lot_stock_id");
    for variant in variants {
        count(db, *variant, place, value::dec(counted));
    }
    Ok(())
}

/// A count of a place that has a quant goes to that quant, whether it was created or written.
pub fn counted_quant(db: &Db, model: &str, vals: &value::Map) -> Option<i64> {
    if model != QUANT || !vals.contains_key("inventory_quantity") {
        return None;
    }
    let variant = vals.get("product_id").and_then(value::id_of)?;
    let place = vals.get("location_id").and_then(value::id_of)?;
    quants(db, variant, &[place]).first().copied()
}

/// `stock.quant/action_apply_inventory`: null when done; a question, and nothing done, when a
/// quantity has changed since it was counted.
pub fn apply_inventory(db: &mut Db, ids: &[i64]) -> Value {
    let counted: Vec<i64> =
        ids.iter().copied().filter(|id| db.is(QUANT, *id, "inventory_quantity_set")).collect();
    let outdated = |id: &i64| {
        let present = db.dec(QUANT, *id, "quantity");
        let then = db.dec(QUANT, *id, "inventory_quantity");
        present != then - db.dec(QUANT, *id, "inventory_diff_quantity")
    };
    if counted.iter().any(outdated) {
        return json!({
            "name": "Conflict in Inventory Adjustment", "type": "ir.actions.act_window",
            "view_mode": "form", "res_model": "stock.inventory.conflict", "target": "new",
            "context": {"default_quant_ids": ids},
        });
    }
    for id in counted {
        let quantity = db.dec(QUANT, id, "inventory_quantity");
        let variant = db.link(QUANT, id, "product_id");
        let place = db.link(QUANT, id, "location_id");
        count(db, variant, place, quantity);
        db.set(QUANT, id, "inventory_quantity", num(Decimal::ZERO));
        db.set(QUANT, id, "inventory_diff_quantity", num(Decimal::ZERO));
        db.set(QUANT, id, "inventory_quantity_set", false.into());
        db.touch(QUANT, id);
    }
    Value::Null
}

/// What the platform does now and then: quants of nothing are deleted, without a trace.
pub fn quant_tasks(db: &mut Db) -> usize {
    let empty = |id: &i64| {
        db.dec(QUANT, *id, "quantity").is_zero()
            && db.dec(QUANT, *id, "reserved_quantity").is_zero()
            && !db.is(QUANT, *id, "inventory_quantity_set")
    };
    let gone: Vec<i64> = db.ids(QUANT).into_iter().filter(empty).collect();
    for id in &gone {
        db.remove(QUANT, *id);
    }
    gone.len()
}
