//! Invoices and refunds, as far as an order's status and a refund's amounts need them.
//!
//! Reads   order lines.
//! Writes  `account.move` and its lines.
//! Never   keeps a ledger: no journal items, no payments.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::error::{Answer, Fault};
use super::read::Ctx;
use super::sale::{self, LINE, ORDER};
use super::store::{Db, Row};
use super::tax;
use super::value::{self, id_list, num};

const MOVE: &str = "account.move";
const MOVE_LINE: &str = "account.move.line";

/// Invoiced less refunded; a draft counts, a cancelled document does not.
fn quantity_invoiced(db: &Db, line: i64) -> Decimal {
    let mut sum = Decimal::ZERO;
    for id in db.find_id(MOVE_LINE, "sale_line_id", line) {
        let document = db.link(MOVE_LINE, id, "move_id");
        let quantity = db.dec(MOVE_LINE, id, "quantity");
        if db.text(MOVE, document, "state") != "cancel" {
            let refund = db.text(MOVE, document, "move_type") == "out_refund";
            sum += if refund { -quantity } else { quantity };
        }
    }
    sum
}

pub fn quantity_to_invoice(db: &Db, line: i64) -> Decimal {
    let order = db.link(LINE, line, "order_id");
    if db.text(ORDER, order, "state") != "sale" {
        return Decimal::ZERO;
    }
    let variant = db.link(LINE, line, "product_id");
    let template = db.link("product.product", variant, "product_tmpl_id");
    let by_delivery = db.text("product.template", template, "invoice_policy") == "delivery";
    let due = if by_delivery { "qty_delivered" } else { "product_uom_qty" };
    db.dec(LINE, line, due) - db.dec(LINE, line, "qty_invoiced")
}

pub fn invoice_status(db: &mut Db, order: i64) -> &'static str {
    let lines = db.find_id(LINE, "order_id", order);
    for line in &lines {
        let invoiced = quantity_invoiced(db, *line);
        db.put_dec(LINE, *line, "qty_invoiced", invoiced);
    }
    if db.text(ORDER, order, "state") != "sale" {
        return "no";
    }
    let due = |line: &i64| quantity_to_invoice(db, *line) > Decimal::ZERO;
    let invoiced = |line: &i64| db.dec(LINE, *line, "qty_invoiced") > Decimal::ZERO;
    if lines.iter().any(due) {
        "to invoice"
    } else if lines.iter().any(invoiced) {
        "invoiced"
    } else {
        "no"
    }
}

pub fn invoices_of(db: &Db, order: i64) -> Value {
    let lines = db.find_id(LINE, "order_id", order).into_iter();
    let items = lines.flat_map(|line| db.find_id(MOVE_LINE, "sale_line_id", line));
    let mut ids: Vec<i64> = items.map(|item| db.link(MOVE_LINE, item, "move_id")).collect();
    ids.sort_unstable_by(|left, right| right.cmp(left));
    ids.dedup();
    id_list(&ids)
}

fn insert_move(db: &mut Db, mut row: Row) -> i64 {
    row.insert("state", "draft".into());
    row.insert("payment_state", "not_paid".into());
    row.insert("company_id", 1.into());
    db.insert(MOVE, row)
}

pub fn create_invoices(db: &mut Db, wizard: i64) -> Answer<Value> {
    let mut last = 0;
    for order in db.links("sale.advance.payment.inv", wizard, "sale_order_ids") {
        let mut lines = db.find_id(LINE, "order_id", order);
        lines.retain(|line| quantity_to_invoice(db, *line) > Decimal::ZERO);
        if lines.is_empty() {
            return Err(Fault::user(
                "Cannot create an invoice. No items are available to invoice.",
            ));
        }
        let row = Row::from([
            ("move_type", "out_invoice".into()),
            ("partner_id", db.get(ORDER, order, "partner_invoice_id").clone()),
            ("currency_id", db.get(ORDER, order, "currency_id").clone()),
            ("invoice_origin", db.get(ORDER, order, "name").clone()),
            ("journal_id", 1.into()),
        ]);
        last = insert_move(db, row);
        for line in lines {
            let quantity = quantity_to_invoice(db, line);
            let mut row = Row::from([
                ("move_id", last.into()),
                ("quantity", num(quantity)),
                ("sale_line_id", line.into()),
            ]);
            for field in ["name", "product_id", "price_unit", "discount", "tax_ids"] {
                row.insert(field, db.get(LINE, line, field).clone());
            }
            db.insert(MOVE_LINE, row);
        }
        set_amounts(db, last);
        db.pending.orders.insert(order);
    }
    Ok(json!({"name": "Invoices", "type": "ir.actions.act_window", "res_model": MOVE,
              "res_id": last, "view_mode": "list,kanban,form,activity", "target": "current"}))
}

/// Amounts of a document from its lines.
pub fn set_amounts(db: &mut Db, id: i64) {
    let lines = db.find_id(MOVE_LINE, "move_id", id);
    let mut priced = Vec::new();
    for line in lines {
        let own = sale::priced(db, MOVE_LINE, "quantity", line);
        let amounts = tax::line(db, &own);
        db.put_dec(MOVE_LINE, line, "price_subtotal", amounts.untaxed);
        db.put_dec(MOVE_LINE, line, "price_total", amounts.total);
        priced.push(own);
        let sold = db.link(MOVE_LINE, line, "sale_line_id");
        let order = db.link(LINE, sold, "order_id");
        db.pending.orders.insert(order);
    }
    let totals = tax::totals(db, &priced);
    db.put_dec(MOVE, id, "amount_untaxed", totals.untaxed);
    db.put_dec(MOVE, id, "amount_tax", totals.tax);
    db.put_dec(MOVE, id, "amount_total", totals.total);
    if db.text(MOVE, id, "state") != "posted" {
        db.put_dec(MOVE, id, "amount_residual", totals.total);
    }
}

pub fn defaults(db: &Db, vals: &mut value::Map) {
    vals.entry("state").or_insert("draft".into());
    vals.entry("payment_state").or_insert("not_paid".into());
    vals.entry("currency_id").or_insert(super::pricing::company_currency(db).into());
    vals.entry("journal_id").or_insert(1.into());
    vals.entry("company_id").or_insert(1.into());
}

/// Answers `false`, whatever it did.
pub fn post(db: &mut Db, ids: &[i64]) -> Answer<Value> {
    for id in ids {
        if db.text(MOVE, *id, "state") != "draft" {
            return Err(Fault::user("The entry must be in draft."));
        }
        let prefix = match db.text(MOVE, *id, "move_type").as_str() {
            "out_refund" => "RINV",
            "out_invoice" => "INV",
            _ => "MISC",
        };
        let year = db.now[..4].to_owned();
        let number = db.next_number(&format!("{prefix}/{year}"));
        db.put(MOVE, *id, "name", format!("{prefix}/{year}/{number:05}").into());
        db.put(MOVE, *id, "invoice_date", db.now[..10].into());
        db.put(MOVE, *id, "state", "posted".into());
        if db.is(MOVE, *id, "linked_refund") {
            reconcile(db, *id);
        }
    }
    Ok(false.into())
}

fn reconcile(db: &mut Db, refund: i64) {
    let invoice = db.link(MOVE, refund, "reversed_entry_id");
    let (owed, given) =
        (db.dec(MOVE, invoice, "amount_residual"), db.dec(MOVE, refund, "amount_total"));
    let settled = owed.min(given);
    db.put_dec(MOVE, invoice, "amount_residual", owed - settled);
    db.put_dec(MOVE, refund, "amount_residual", given - settled);
    let state = if owed == settled { "reversed" } else { "partial" };
    db.put(MOVE, invoice, "payment_state", state.into());
    let state = if given == settled { "paid" } else { "partial" };
    db.put(MOVE, refund, "payment_state", state.into());
}

/// `account.move.reversal/refund_moves`: a draft refund with all lines of the invoice.
pub fn refund(db: &mut Db, wizard: i64) -> Value {
    let mut last = 0;
    for invoice in db.links("account.move.reversal", wizard, "move_ids") {
        let mut row = Row::from([
            ("move_type", "out_refund".into()),
            ("reversed_entry_id", invoice.into()),
            ("linked_refund", true.into()),
            ("ref", db.get("account.move.reversal", wizard, "reason").clone()),
        ]);
        for field in ["partner_id", "currency_id", "journal_id"] {
            row.insert(field, db.get(MOVE, invoice, field).clone());
        }
        last = insert_move(db, row);
        for line in db.find_id(MOVE_LINE, "move_id", invoice) {
            let mut row = Row::from([("move_id", last.into())]);
            for field in [
                "name",
                "product_id",
                "quantity",
                "price_unit",
                "discount",
                "tax_ids",
                "sale_line_id",
            ] {
                row.insert(field, db.get(MOVE_LINE, line, field).clone());
            }
            db.insert(MOVE_LINE, row);
        }
        set_amounts(db, last);
    }
    json!({"name": "Reverse Moves", "type": "ir.actions.act_window", "res_model": MOVE,
           "view_mode": "form", "res_id": last, "context": {"default_move_type": "out_refund"}})
}

/// `choose.delivery.carrier/button_confirm`: a delivery line at the wizard's price; answers null.
pub fn add_delivery_line(db: &mut Db, ctx: &Ctx, wizard: i64) -> Answer<Value> {
    let model = "choose.delivery.carrier";
    let (order, carrier) =
        (db.link(model, wizard, "order_id"), db.link(model, wizard, "carrier_id"));
    let variant = db.link("delivery.carrier", carrier, "product_id");
    if variant == 0 {
        return Err(Fault::user("The delivery method has no product."));
    }
    let vals = json!({
        "order_id": order, "product_id": variant, "product_uom_qty": 1, "discount": 0,
        "name": super::read::text(db, ctx, "delivery.carrier", carrier, "name"),
        "price_unit": db.get(model, wizard, "delivery_price"), "is_delivery": true,
    });
    super::write::create(db, ctx, LINE, vals.as_object().cloned().unwrap_or_default())?;
    let vals = value::Map::from_iter([("carrier_id".to_owned(), Value::from(carrier))]);
    super::write::write(db, ctx, ORDER, &[order], &vals)?;
    Ok(Value::Null)
}
