//! Sale orders: what the platform fills in, prices and discounts, totals, the states.
//!
//! Reads   lists, taxes, partners.
//! Writes  orders and lines; deliveries through `picking`.
//! Never   echoes a total: totals come from lines, and stay wrong only where a call wrote them.

use rust_decimal::Decimal;
use serde_json::Value;

use super::compute;
use super::error::{Answer, Fault};
use super::partner;
use super::picking;
use super::pricing::{self, Ask};
use super::read::{self, Ctx};
use super::store::Db;
use super::tax::{self, Priced};
use super::value::{self, Map, id_list, num};
use super::write::Change;

pub const ORDER: &str = "sale.order";
pub const LINE: &str = "sale.order.line";

/// Fields of a line that its amounts follow from.
const PRICE_FIELDS: [&str; 4] = ["product_uom_qty", "price_unit", "discount", "tax_ids"];

/// Everything that a caller leaves out is filled in from the partner and the company.
pub fn defaults(db: &mut Db, vals: &mut Map) {
    let partner = vals.get("partner_id").and_then(value::id_of).unwrap_or(0);
    if partner == 0 || !db.exists("res.partner", partner) {
        return; // The check of required fields and of ids follows.
    }
    let or_false = |id: i64| if id == 0 { Value::Bool(false) } else { id.into() };
    let mut default = |key: &str, value: Value| {
        vals.entry(key).or_insert(value);
    };
    default("partner_invoice_id", partner::address(db, partner, "invoice").into());
    default("partner_shipping_id", partner::address(db, partner, "delivery").into());
    default("pricelist_id", or_false(compute::list_of_partner(db, partner)));
    default("warehouse_id", or_false(db.ids("stock.warehouse").first().copied().unwrap_or(0)));
    default("user_id", 2.into());
    default("team_id", 1.into());
    default("company_id", 1.into());
    default("state", "draft".into());
    default("invoice_status", "no".into());
    default("date_order", db.now.clone().into());
    let shipping = vals.get("partner_shipping_id").and_then(value::id_of).unwrap_or(partner);
    let position = tax::position_of(db, partner, shipping).unwrap_or(0);
    vals.entry("fiscal_position_id").or_insert(or_false(position));
    let list = vals.get("pricelist_id").and_then(value::id_of).unwrap_or(0);
    vals.entry("currency_id").or_insert(pricing::list_currency(db, list).into());
    if !vals.get("name").is_some_and(value::truthy) {
        let number = db.next_number(ORDER);
        vals.insert("name".into(), format!("S{number:05}").into());
    }
}

/// What the list and the fiscal position say for a line.
struct Suggested {
    price: Decimal,
    discount: Decimal,
    item: Option<i64>,
}

fn suggested(db: &Db, order: i64, variant: i64, quantity: Decimal, taxes: &[i64]) -> Suggested {
    let list = db.link(ORDER, order, "pricelist_id");
    let ask = Ask { variant, quantity, at: &db.now };
    let (price, discount, item) = pricing::before_discount(db, list, ask);
    let price = tax::adapted(db, price, &product_taxes(db, variant), taxes);
    Suggested { price, discount, item }
}

fn product_taxes(db: &Db, variant: i64) -> Vec<i64> {
    let template = db.link("product.product", variant, "product_tmpl_id");
    db.links("product.template", template, "taxes_id")
}

pub fn line_defaults(db: &Db, ctx: &Ctx, vals: &mut Map) {
    vals.entry("sequence").or_insert(10.into());
    vals.entry("qty_delivered").or_insert(num(Decimal::ZERO));
    vals.entry("qty_invoiced").or_insert(num(Decimal::ZERO));
    if vals.get("display_type").is_some_and(value::truthy) {
        vals.insert("product_uom_qty".into(), num(Decimal::ZERO));
        return;
    }
    let order = vals.get("order_id").and_then(value::id_of).unwrap_or(0);
    let variant = vals.get("product_id").and_then(value::id_of).unwrap_or(0);
    let quantity = vals.entry("product_uom_qty").or_insert(num(Decimal::ONE));
    let quantity = value::dec(quantity);
    vals.entry("product_uom_id").or_insert(super::product::unit(db, variant).into());
    let position = db.link(ORDER, order, "fiscal_position_id");
    let mapped = tax::mapped(db, position, &product_taxes(db, variant));
    vals.entry("tax_ids").or_insert(id_list(&mapped));
    let name = read::display_name(db, &in_partner_lang(db, ctx, order), "product.product", variant);
    vals.entry("name").or_insert(name.into());
    let found = suggested(db, order, variant, quantity, &mapped);
    vals.entry("discount").or_insert(num(found.discount));
    let price = vals.entry("price_unit").or_insert(num(found.price)).clone();
    vals.entry("technical_price_unit").or_insert(price);
    vals.insert("pricelist_item_id".into(), found.item.map_or(Value::Bool(false), Value::from));
}

fn in_partner_lang(db: &Db, ctx: &Ctx, order: i64) -> Ctx {
    let lang = db.text("res.partner", db.link(ORDER, order, "partner_id"), "lang");
    let mut ctx = ctx.clone();
    if !lang.is_empty() {
        ctx.0.insert("lang".into(), lang.into());
    }
    ctx
}

pub fn after_create_line(db: &mut Db, id: i64) {
    let order = db.link(LINE, id, "order_id");
    set_line_amounts(db, id);
    db.pending.totals.insert(order);
    db.pending.demand.insert(id);
    db.pending.orders.insert(order);
}

/// A changed quantity takes the price from the list again, unless the price was set by hand (it
/// then differs from the technical price) or comes with the same write.
pub fn after_write_line(db: &mut Db, id: i64, vals: &Map, changes: &[Change]) {
    let changed = |name: &str| changes.iter().any(|(field, _)| *field == name);
    let order = db.link(LINE, id, "order_id");
    if changed("product_uom_qty") || changed("product_id") || changed("product_uom_id") {
        reprice(db, id, vals);
        db.pending.demand.insert(id);
        db.pending.orders.insert(order);
    }
    let priced = PRICE_FIELDS.iter().any(|field| changed(field));
    if priced || changed("product_id") {
        set_line_amounts(db, id);
        db.pending.totals.insert(order);
        db.pending.orders.insert(order);
    }
}

fn reprice(db: &mut Db, id: i64, vals: &Map) {
    let (order, variant) = (db.link(LINE, id, "order_id"), db.link(LINE, id, "product_id"));
    if db.is(LINE, id, "is_delivery") || variant == 0 {
        return;
    }
    let taxes = db.links(LINE, id, "tax_ids");
    let found = suggested(db, order, variant, db.dec(LINE, id, "product_uom_qty"), &taxes);
    let by_hand = db.dec(LINE, id, "technical_price_unit") != db.dec(LINE, id, "price_unit");
    if !vals.contains_key("price_unit") && !by_hand {
        db.set(LINE, id, "price_unit", num(found.price));
        db.set(LINE, id, "technical_price_unit", num(found.price));
    }
    if !vals.contains_key("discount") {
        db.set(LINE, id, "discount", num(found.discount));
    }
    db.set(LINE, id, "pricelist_item_id", found.item.map_or(Value::Bool(false), Value::from));
}

pub fn priced(db: &Db, model: &str, quantity: &str, id: i64) -> Priced {
    let mut taxes = db.links(model, id, "tax_ids");
    taxes.sort_unstable();
    Priced {
        price: db.dec(model, id, "price_unit"),
        quantity: db.dec(model, id, quantity),
        discount: db.dec(model, id, "discount"),
        taxes,
    }
}

fn set_line_amounts(db: &mut Db, id: i64) {
    let amounts = tax::line(db, &priced(db, LINE, "product_uom_qty", id));
    db.put_dec(LINE, id, "price_subtotal", amounts.untaxed);
    db.put_dec(LINE, id, "price_total", amounts.total);
    // Total less subtotal, as doubles: a value that is not rounded.
    let tax = value::noisy_difference(amounts.total, amounts.untaxed);
    db.put(LINE, id, "price_tax", tax);
}

pub fn set_totals(db: &mut Db, order: i64) {
    if !db.exists(ORDER, order) {
        return;
    }
    let lines = db.find_id(LINE, "order_id", order);
    let priced: Vec<Priced> =
        lines.iter().map(|id| priced(db, LINE, "product_uom_qty", *id)).collect();
    let amounts = tax::totals(db, &priced);
    db.put_dec(ORDER, order, "amount_untaxed", amounts.untaxed);
    db.put_dec(ORDER, order, "amount_tax", amounts.tax);
    db.put_dec(ORDER, order, "amount_total", amounts.total);
}

/// The statuses that follow from deliveries and invoices.
pub fn set_statuses(db: &mut Db, order: i64) {
    if !db.exists(ORDER, order) {
        return;
    }
    for line in db.find_id(LINE, "order_id", order) {
        let delivered = picking::delivered(db, line);
        db.put_dec(LINE, line, "qty_delivered", delivered);
    }
    let delivery = picking::delivery_status(db, order);
    db.put(ORDER, order, "delivery_status", delivery);
    let invoice = super::invoice::invoice_status(db, order);
    db.put(ORDER, order, "invoice_status", invoice.into());
}

pub fn check_write(db: &Db, ids: &[i64], vals: &Map) -> Answer<()> {
    let list = vals.get("pricelist_id");
    for id in ids {
        let confirmed = db.text(ORDER, *id, "state") == "sale";
        if confirmed && list.is_some() {
            return Err(Fault::user("You cannot change the pricelist of a confirmed order !"));
        }
    }
    Ok(())
}

pub fn check_unlink(db: &Db, ids: &[i64]) -> Answer<()> {
    if ids.iter().all(|id| matches!(db.text(ORDER, *id, "state").as_str(), "draft" | "cancel")) {
        return Ok(());
    }
    Err(Fault::user(
        "You can not delete a sent quotation or a confirmed sales order. You must first cancel it.",
    ))
}

pub fn check_unlink_lines(db: &Db, ids: &[i64]) -> Answer<()> {
    let confirmed = |id: &i64| db.text(ORDER, db.link(LINE, *id, "order_id"), "state") == "sale";
    if ids.iter().any(confirmed) {
        return Err(Fault::user(
            "Once a sales order is confirmed, you can't remove one of its lines (we need to track \
             if something gets invoiced or delivered).\nSet the quantity to 0 instead.",
        ));
    }
    Ok(())
}

pub fn confirm(db: &mut Db, ids: &[i64]) -> Answer<Value> {
    if !ids.iter().all(|id| matches!(db.text(ORDER, *id, "state").as_str(), "draft" | "sent")) {
        return Err(Fault::user("Some orders are not in a state requiring confirmation."));
    }
    for id in ids {
        db.put(ORDER, *id, "state", "sale".into());
        db.put(ORDER, *id, "date_order", db.now.clone().into());
        db.touch(ORDER, *id);
        for line in db.find_id(LINE, "order_id", *id) {
            db.pending.demand.insert(line);
        }
        db.pending.orders.insert(*id);
    }
    Ok(true.into())
}

/// True even when everything has been delivered; what is done stays done.
pub fn cancel(db: &mut Db, ids: &[i64]) -> Answer<Value> {
    if ids.iter().any(|id| db.is(ORDER, *id, "locked")) {
        return Err(Fault::user("You cannot cancel a locked order. Please unlock it first."));
    }
    for id in ids {
        for transfer in db.find_id("stock.picking", "sale_id", *id) {
            picking::cancel(db, transfer);
        }
        db.put(ORDER, *id, "state", "cancel".into());
        db.touch(ORDER, *id);
        db.pending.orders.insert(*id);
    }
    Ok(true.into())
}

pub fn to_draft(db: &mut Db, ids: &[i64]) -> Value {
    for id in ids {
        if matches!(db.text(ORDER, *id, "state").as_str(), "cancel" | "sent") {
            db.put(ORDER, *id, "state", "draft".into());
            db.pending.orders.insert(*id);
        }
    }
    true.into()
}

pub fn quotation_sent(db: &mut Db, ids: &[i64]) -> Answer<Value> {
    if ids.iter().any(|id| db.text(ORDER, *id, "state") != "draft") {
        return Err(Fault::user("Only draft orders can be marked as sent directly."));
    }
    for id in ids {
        db.put(ORDER, *id, "state", "sent".into());
    }
    Ok(Value::Null)
}
