//! Deliveries and returns: planned from confirmed lines, validated whole or in part.
//!
//! Reads   order lines, stock.
//! Writes  `stock.picking`, `stock.move`, quants through `stock`.
//! Never   says that it did something when it answered with a question.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::error::{Answer, Fault};
use super::read::Ctx;
use super::sale::{LINE, ORDER};
use super::stock;
use super::store::{Db, Row};
use super::value::{self, num};

pub const PICKING: &str = "stock.picking";
pub const MOVE: &str = "stock.move";

fn is_open(db: &Db, model: &str, id: i64) -> bool {
    !matches!(db.text(model, id, "state").as_str(), "done" | "cancel")
}

/// The moves that bring a line to the customer (not those that bring it back).
fn outgoing(db: &Db, line: i64) -> Vec<i64> {
    let mut ids = db.find_id(MOVE, "sale_line_id", line);
    ids.retain(|id| db.link(MOVE, *id, "origin_returned_move_id") == 0);
    ids
}

/// Brings the open moves of a confirmed line to the line's quantity.
pub fn plan(db: &mut Db, line: i64) {
    let order = db.link(LINE, line, "order_id");
    let variant = db.link(LINE, line, "product_id");
    let skip = variant == 0 || stock::is_service(db, variant);
    if skip || db.text(ORDER, order, "state") != "sale" {
        return;
    }
    let moves = outgoing(db, line);
    let alive = moves.iter().filter(|id| db.text(MOVE, **id, "state") != "cancel");
    let planned: Decimal = alive.map(|id| db.dec(MOVE, *id, "product_uom_qty")).sum();
    let change = db.dec(LINE, line, "product_uom_qty") - planned;
    let open = moves.into_iter().find(|id| is_open(db, MOVE, *id));
    if change > Decimal::ZERO {
        let id = match open {
            Some(id) => {
                let demand = db.dec(MOVE, id, "product_uom_qty") + change;
                db.put_dec(MOVE, id, "product_uom_qty", demand);
                id
            }
            None => add_move(db, order, line, variant, change),
        };
        stock::reserve(db, id);
        restate(db, db.link(MOVE, id, "picking_id"));
    } else if let (true, Some(id)) = (change < Decimal::ZERO, open) {
        let demand = (db.dec(MOVE, id, "product_uom_qty") + change).max(Decimal::ZERO);
        db.put_dec(MOVE, id, "product_uom_qty", demand);
        let held = db.dec(MOVE, id, "quantity");
        if held > demand {
            stock::release(db, id, held - demand);
            db.put_dec(MOVE, id, "quantity", demand);
        }
        if demand.is_zero() {
            db.put(MOVE, id, "state", "cancel".into());
        } else {
            stock::restate(db, id);
        }
        restate(db, db.link(MOVE, id, "picking_id"));
    }
}

fn add_move(db: &mut Db, order: i64, line: i64, variant: i64, demand: Decimal) -> i64 {
    let mut open = db.find_id(PICKING, "sale_id", order);
    open.retain(|id| is_open(db, PICKING, *id) && db.link(PICKING, *id, "return_id") == 0);
    let picking = match open.first() {
        Some(id) => *id,
        None => insert_delivery(db, order),
    };
    insert_move(db, picking, variant, demand, Some(line))
}

fn insert_delivery(db: &mut Db, order: i64) -> i64 {
    let warehouse = match db.link(ORDER, order, "warehouse_id") {
        0 => db.ids("stock.warehouse").first().copied().unwrap_or(0),
        id => id,
    };
    let kind = db.link("stock.warehouse", warehouse, "out_type_id");
    let row = Row::from([
        ("origin", db.get(ORDER, order, "name").clone()),
        ("partner_id", db.get(ORDER, order, "partner_shipping_id").clone()),
        ("carrier_id", db.get(ORDER, order, "carrier_id").clone()),
        ("sale_id", order.into()),
        ("location_id", db.get("stock.warehouse", warehouse, "lot_stock_id").clone()),
        ("location_dest_id", stock::location(db, "customer").into()),
    ]);
    insert_picking(db, kind, row)
}

fn insert_picking(db: &mut Db, kind: i64, mut row: Row) -> i64 {
    let prefix = db.text("stock.picking.type", kind, "sequence_code");
    let warehouse = db.link("stock.picking.type", kind, "warehouse_id");
    let code = db.text("stock.warehouse", warehouse, "code");
    let number = db.next_number(&format!("{code}/{prefix}"));
    row.insert("name", format!("{code}/{prefix}/{number:05}").into());
    row.insert("picking_type_id", kind.into());
    row.insert("state", "draft".into());
    row.insert("priority", "0".into());
    row.insert("scheduled_date", db.now.clone().into());
    row.insert("company_id", 1.into());
    db.insert(PICKING, row)
}

fn insert_move(db: &mut Db, picking: i64, variant: i64, demand: Decimal, line: Option<i64>) -> i64 {
    let row = Row::from([
        ("picking_id", picking.into()),
        ("product_id", variant.into()),
        ("product_uom_qty", num(demand)),
        ("quantity", num(Decimal::ZERO)),
        ("picked", false.into()),
        ("state", "confirmed".into()),
        ("product_uom", super::product::unit(db, variant).into()),
        ("location_id", db.get(PICKING, picking, "location_id").clone()),
        ("location_dest_id", db.get(PICKING, picking, "location_dest_id").clone()),
        ("sale_line_id", line.map_or(Value::Bool(false), Value::from)),
        ("origin", db.get(PICKING, picking, "origin").clone()),
        ("reference", db.get(PICKING, picking, "name").clone()),
        ("date", db.now.clone().into()),
        ("company_id", 1.into()),
    ]);
    db.insert(MOVE, row)
}

/// The state of a transfer follows from its moves.
pub fn restate(db: &mut Db, picking: i64) {
    let moves = db.find_id(MOVE, "picking_id", picking);
    if picking == 0 || moves.is_empty() {
        return;
    }
    let states: Vec<String> = moves.iter().map(|id| db.text(MOVE, *id, "state")).collect();
    let all = |known: &[&str]| states.iter().all(|state| known.contains(&state.as_str()));
    let state = if all(&["cancel"]) {
        "cancel"
    } else if all(&["done", "cancel"]) {
        "done"
    } else if states.iter().any(|state| state == "assigned" || state == "partially_available") {
        "assigned"
    } else {
        "confirmed"
    };
    if db.put(PICKING, picking, "state", state.into()) {
        let order = db.link(PICKING, picking, "sale_id");
        db.pending.orders.insert(order);
    }
}

pub fn assign(db: &mut Db, ids: &[i64]) -> Value {
    for id in ids {
        for line in db.find_id(MOVE, "picking_id", *id) {
            if is_open(db, MOVE, line) && !db.is(MOVE, line, "picked") {
                stock::reserve(db, line);
            }
        }
        restate(db, *id);
    }
    true.into()
}

pub fn cancel(db: &mut Db, id: i64) {
    if !is_open(db, PICKING, id) {
        return;
    }
    for line in db.find_id(MOVE, "picking_id", id) {
        if is_open(db, MOVE, line) {
            stock::release_all(db, line);
            db.put_dec(MOVE, line, "quantity", Decimal::ZERO);
            db.put(MOVE, line, "state", "cancel".into());
        }
    }
    restate(db, id);
}

/// A written `quantity` of an open move reserves or gives back the difference.
pub fn after_write_move(db: &mut Db, id: i64, old: &Value) {
    if !is_open(db, MOVE, id) {
        return;
    }
    let (old, new) = (value::dec(old), db.dec(MOVE, id, "quantity"));
    if new < old {
        stock::release(db, id, old - new);
    } else {
        // What cannot be reserved is taken all the same: a person says what was picked.
        let demand = db.get(MOVE, id, "product_uom_qty").clone();
        db.set(MOVE, id, "quantity", num(old));
        db.set(MOVE, id, "product_uom_qty", num(new));
        stock::reserve(db, id);
        db.set(MOVE, id, "product_uom_qty", demand);
        db.set(MOVE, id, "quantity", num(new));
    }
    stock::restate(db, id);
    restate(db, db.link(MOVE, id, "picking_id"));
}

/// `button_validate`: true when done, a question (and nothing done) when something is short.
pub fn validate(db: &mut Db, ctx: &Ctx, ids: &[i64]) -> Answer<Value> {
    let open: Vec<i64> = ids.iter().copied().filter(|id| is_open(db, PICKING, *id)).collect();
    let mut short = Vec::new();
    for id in &open {
        let moves: Vec<i64> = open_moves(db, *id);
        if !moves.iter().any(|line| db.is(MOVE, *line, "picked")) {
            for line in &moves {
                if db.dec(MOVE, *line, "quantity") > Decimal::ZERO {
                    db.put(MOVE, *line, "picked", true.into());
                }
            }
        }
        let taken = |line: &i64| db.is(MOVE, *line, "picked") && db.is(MOVE, *line, "quantity");
        if !moves.iter().any(taken) {
            return Err(Fault::user(
                "You cannot validate a transfer if no quantities are reserved. To force the \
                 transfer, encode quantities.",
            ));
        }
        if moves.iter().any(|line| missing(db, *line) > Decimal::ZERO) {
            short.push(*id);
        }
    }
    if !short.is_empty() && !ctx.is("skip_backorder") {
        return Ok(question(&short));
    }
    let dropped = ctx.get("picking_ids_not_to_backorder").map_or(Vec::new(), value::ids_of);
    for id in open {
        finish(db, id, dropped.contains(&id));
    }
    Ok(true.into())
}

fn open_moves(db: &Db, picking: i64) -> Vec<i64> {
    let mut moves = db.find_id(MOVE, "picking_id", picking);
    moves.retain(|id| is_open(db, MOVE, *id));
    moves
}

fn missing(db: &Db, id: i64) -> Decimal {
    let taken =
        if db.is(MOVE, id, "picked") { db.dec(MOVE, id, "quantity") } else { Decimal::ZERO };
    db.dec(MOVE, id, "product_uom_qty") - taken
}

fn question(ids: &[i64]) -> Value {
    let links: Vec<Value> = ids.iter().map(|id| json!([4, id])).collect();
    json!({
        "name": "Create Backorder?", "type": "ir.actions.act_window", "view_mode": "form",
        "res_model": "stock.backorder.confirmation", "views": [[861, "form"]], "view_id": 861,
        "target": "new",
        "context": {"button_validate_picking_ids": ids, "default_show_transfers": false,
                    "default_pick_ids": links},
    })
}

fn finish(db: &mut Db, picking: i64, drop_rest: bool) {
    let mut rest: Vec<(i64, Decimal)> = Vec::new();
    for id in open_moves(db, picking) {
        let short = missing(db, id);
        let taken = db.dec(MOVE, id, "product_uom_qty") - short;
        stock_done(db, id, taken);
        if short > Decimal::ZERO && !drop_rest {
            rest.push((id, short));
            db.put_dec(MOVE, id, "product_uom_qty", taken);
        }
        db.put_dec(MOVE, id, "quantity", taken);
        let state = if taken > Decimal::ZERO { "done" } else { "cancel" };
        db.put(MOVE, id, "state", state.into());
        db.touch(MOVE, id);
    }
    db.put(PICKING, picking, "date_done", db.now.clone().into());
    restate(db, picking);
    if !rest.is_empty() {
        back_order(db, picking, &rest);
    }
    let order = db.link(PICKING, picking, "sale_id");
    db.pending.orders.insert(order);
}

/// Takes from where the reservation lies; what was not reserved, from the move's own location.
fn stock_done(db: &mut Db, id: i64, taken: Decimal) {
    let variant = db.link(MOVE, id, "product_id");
    let places = db.get(MOVE, id, "reserved_places").as_array().cloned().unwrap_or_default();
    stock::release_all(db, id);
    if !stock::is_storable(db, variant) {
        return;
    }
    let to = db.link(MOVE, id, "location_dest_id");
    let mut left = taken;
    for place in places {
        let location = place.get(0).and_then(value::id_of).unwrap_or(0);
        let part = place.get(1).map(value::dec).unwrap_or_default().min(left);
        if part > Decimal::ZERO {
            stock::carry(db, variant, location, to, part);
            left -= part;
        }
    }
    if left > Decimal::ZERO {
        stock::carry(db, variant, db.link(MOVE, id, "location_id"), to, left);
    }
}

fn back_order(db: &mut Db, picking: i64, rest: &[(i64, Decimal)]) {
    let mut row = Row::new();
    for field in
        ["origin", "partner_id", "carrier_id", "sale_id", "location_id", "location_dest_id"]
    {
        row.insert(field, db.get(PICKING, picking, field).clone());
    }
    row.insert("backorder_id", picking.into());
    let kind = db.link(PICKING, picking, "picking_type_id");
    let next = insert_picking(db, kind, row);
    for (id, short) in rest {
        let variant = db.link(MOVE, *id, "product_id");
        let line = value::id_of(db.get(MOVE, *id, "sale_line_id"));
        let part = insert_move(db, next, variant, *short, line);
        stock::reserve(db, part);
    }
    restate(db, next);
}

/// What a line's customer has: delivered less brought back.
pub fn delivered(db: &Db, line: i64) -> Decimal {
    let customer = stock::location(db, "customer");
    let mut sum = Decimal::ZERO;
    for id in db.find_id(MOVE, "sale_line_id", line) {
        if db.text(MOVE, id, "state") == "done" {
            let quantity = db.dec(MOVE, id, "quantity");
            let out = db.link(MOVE, id, "location_dest_id") == customer;
            sum += if out { quantity } else { -quantity };
        }
    }
    sum
}

pub fn delivery_status(db: &Db, order: i64) -> Value {
    let transfers = db.find_id(PICKING, "sale_id", order);
    let states: Vec<String> = transfers.iter().map(|id| db.text(PICKING, *id, "state")).collect();
    let delivered = |line: &i64| db.dec(LINE, *line, "qty_delivered") > Decimal::ZERO;
    if states.iter().all(|state| state == "cancel") {
        Value::Bool(false)
    } else if states.iter().all(|state| state == "done" || state == "cancel") {
        "full".into()
    } else if !states.iter().any(|state| state == "done") {
        "pending".into()
    } else if db.find_id(LINE, "order_id", order).iter().any(delivered) {
        "partial".into()
    } else {
        "started".into()
    }
}

const RETURN_LINE: &str = "stock.return.picking.line";

/// A new return wizard lists what was delivered, with quantity 0.
pub fn list_returns(db: &mut Db, wizard: i64) {
    let picking = db.link("stock.return.picking", wizard, "picking_id");
    for id in db.find_id(MOVE, "picking_id", picking) {
        if db.text(MOVE, id, "state") == "done" {
            let row = Row::from([
                ("wizard_id", wizard.into()),
                ("product_id", db.get(MOVE, id, "product_id").clone()),
                ("move_id", id.into()),
                ("quantity", num(Decimal::ZERO)),
            ]);
            db.insert(RETURN_LINE, row);
        }
    }
}

pub fn create_return(db: &mut Db, wizard: i64) -> Answer<Value> {
    let picking = db.link("stock.return.picking", wizard, "picking_id");
    let kind = db.link(PICKING, picking, "picking_type_id");
    let warehouse = db.link("stock.picking.type", kind, "warehouse_id");
    let mut lines = db.find_id(RETURN_LINE, "wizard_id", wizard);
    lines.retain(|id| db.dec(RETURN_LINE, *id, "quantity") > Decimal::ZERO);
    if lines.is_empty() {
        return Err(Fault::user("Please specify at least one non-zero quantity."));
    }
    let row = Row::from([
        ("origin", format!("Return of {}", db.text(PICKING, picking, "name")).into()),
        ("partner_id", db.get(PICKING, picking, "partner_id").clone()),
        ("sale_id", db.get(PICKING, picking, "sale_id").clone()),
        ("return_id", picking.into()),
        ("location_id", db.get(PICKING, picking, "location_dest_id").clone()),
        ("location_dest_id", db.get(PICKING, picking, "location_id").clone()),
    ]);
    let back = insert_picking(db, db.link("stock.warehouse", warehouse, "in_type_id"), row);
    for line in lines {
        let source = db.link(RETURN_LINE, line, "move_id");
        let variant = db.link(MOVE, source, "product_id");
        let sale_line = value::id_of(db.get(MOVE, source, "sale_line_id"));
        let quantity = db.dec(RETURN_LINE, line, "quantity");
        let id = insert_move(db, back, variant, quantity, sale_line);
        db.set(MOVE, id, "origin_returned_move_id", source.into());
        db.set(MOVE, id, "to_refund", true.into());
        stock::reserve(db, id);
    }
    restate(db, back);
    Ok(json!({"name": "Returned Picking", "view_mode": "form", "res_model": PICKING,
              "res_id": back, "type": "ir.actions.act_window", "context": {}}))
}
