//! What follows from a create, a write or an unlink, model by model.
//!
//! Reads   the model's name; the work stands in the file of its subject.
//! Writes  through those files.
//! Never   holds a rule of its own beyond small defaults.

use serde_json::Value;

use super::error::{Answer, Fault};
use super::read::Ctx;
use super::store::Db;
use super::value::{self, Map, num};
use super::write::{self, Change};
use super::{invoice, partner, picking, pricing, product, sale, stock};

pub fn before_create(db: &mut Db, ctx: &Ctx, model: &str, vals: &mut Map) -> Answer<()> {
    match model {
        "res.partner" => partner::defaults(vals),
        "product.template" => product::defaults(db, vals),
        "product.product" => product::before_create_variant(db, ctx, vals)?,
        "product.pricelist" => {
            vals.entry("currency_id").or_insert(pricing::company_currency(db).into());
        }
        "product.pricelist.item" => item_defaults(db, vals),
        "sale.order" => sale::defaults(db, vals),
        "sale.order.line" => {
            check_line(db, vals)?;
            sale::line_defaults(db, ctx, vals);
        }
        "stock.quant" => {
            if vals.contains_key("inventory_quantity") {
                vals.insert("inventory_quantity_set".into(), true.into());
            } else if vals.contains_key("quantity") && !ctx.is("inventory_mode") {
                return Err(Fault::user(
                    "Quant's creation is restricted, you can't do this operation.",
                ));
            }
            vals.remove("quantity");
        }
        "account.move" => invoice::defaults(db, vals),
        "ir.model.data" => check_external_id(db, vals)?,
        _ => {}
    }
    Ok(())
}

/// A line must name a product that exists, unless it only shows a text.
fn check_line(db: &Db, vals: &Map) -> Answer<()> {
    if let Some(id) = vals.get("product_id").and_then(value::id_of)
        && !db.exists("product.product", id)
    {
        return Err(Fault::missing("product.product", id));
    }
    let shows = vals.get("display_type").is_some_and(value::truthy);
    if !shows && !vals.get("product_id").is_some_and(value::truthy) {
        return Err(Fault::validation(
            "The operation cannot be completed: Missing required fields on accountable sale \
             order line.",
        ));
    }
    Ok(())
}

fn check_external_id(db: &Db, vals: &Map) -> Answer<()> {
    let (module, name) = (vals.get("module"), vals.get("name"));
    let (module, name) = (module.map(value::text), name.map(value::text));
    if let (Some(module), Some(name)) = (module, name)
        && super::load::external(db, &module, &name).is_some()
    {
        return Err(Fault::validation(format!(
            "The operation cannot be completed: duplicate key value violates unique constraint \
             \"ir_model_data_module_name_uniq_index\"\nDETAIL:  Key (module, name)=({module}, \
             {name}) already exists.\n"
        )));
    }
    Ok(())
}

fn item_defaults(db: &Db, vals: &mut Map) {
    vals.entry("applied_on").or_insert("3_global".into());
    vals.entry("compute_price").or_insert("fixed".into());
    vals.entry("base").or_insert("list_price".into());
    if let Some(variant) = vals.get("product_id").and_then(value::id_of) {
        let template = db.link("product.product", variant, "product_tmpl_id");
        vals.entry("product_tmpl_id").or_insert(template.into());
    }
}

pub fn after_create(db: &mut Db, ctx: &Ctx, model: &str, id: i64, vals: &Map) -> Answer<()> {
    match model {
        "res.partner" => partner::check_name(db, id)?,
        "product.template" => product::after_create_template(db, ctx, id, vals)?,
        "product.template.attribute.line" if db.depth == 1 => {
            let template = db.link(model, id, "product_tmpl_id");
            product::make_variants(db, ctx, template)?;
        }
        "product.product" if vals.contains_key("qty_available") => {
            stock::write_on_hand(db, &[id], &vals["qty_available"])?;
        }
        "sale.order" => {
            db.pending.orders.insert(id);
            if !["amount_untaxed", "amount_tax", "amount_total"]
                .iter()
                .any(|f| vals.contains_key(*f))
            {
                db.pending.totals.insert(id);
            }
        }
        "sale.order.line" => sale::after_create_line(db, id),
        "stock.return.picking" => picking::list_returns(db, id),
        "stock.quant" => set_difference(db, id),
        "account.move" | "account.move.line" => settle_document(db, model, id),
        "stock.warehouse" => super::world::furnish_warehouse(db, id),
        _ => {}
    }
    Ok(())
}

fn set_difference(db: &mut Db, quant: i64) {
    let model = "stock.quant";
    if db.is(model, quant, "inventory_quantity_set") {
        let difference =
            db.dec(model, quant, "inventory_quantity") - db.dec(model, quant, "quantity");
        db.set(model, quant, "inventory_diff_quantity", num(difference));
    }
}

fn settle_document(db: &mut Db, model: &str, id: i64) {
    let document = if model == "account.move" { id } else { db.link(model, id, "move_id") };
    invoice::set_amounts(db, document);
}

pub fn before_write(db: &mut Db, ctx: &Ctx, model: &str, ids: &[i64], vals: &Map) -> Answer<()> {
    match model {
        "product.template" | "product.product" => product::before_write(db, ctx, model, ids, vals),
        "sale.order" => sale::check_write(db, ids, vals),
        _ => Ok(()),
    }
}

pub fn after_write(
    db: &mut Db,
    ctx: &Ctx,
    model: &str,
    id: i64,
    vals: &Map,
    changes: &[Change],
) -> Answer<()> {
    match model {
        "product.template" | "product.product" => {
            product::after_write(db, ctx, model, id, vals, changes)?;
        }
        "res.partner" if vals.contains_key("email") => {
            let email = partner::normalized(&db.text(model, id, "email"));
            db.set(model, id, "email_normalized", email);
        }
        "sale.order.line" => sale::after_write_line(db, id, vals, changes),
        "sale.order" if changes.iter().any(|(field, _)| *field == "state") => {
            db.pending.orders.insert(id);
        }
        "stock.move" => {
            if let Some((_, old)) = changes.iter().find(|(field, _)| *field == "quantity") {
                picking::after_write_move(db, id, old);
            }
        }
        "stock.quant" if vals.contains_key("inventory_quantity") => {
            db.set(model, id, "inventory_quantity_set", true.into());
            set_difference(db, id);
        }
        "account.move" | "account.move.line" if !changes.is_empty() => {
            settle_document(db, model, id);
        }
        _ => {}
    }
    Ok(())
}

/// Rows that go with their parent.
const CASCADES: [(&str, &str, &str); 7] = [
    ("sale.order", "sale.order.line", "order_id"),
    ("product.pricelist", "product.pricelist.item", "pricelist_id"),
    ("product.template", "product.product", "product_tmpl_id"),
    ("product.template", "product.template.attribute.line", "product_tmpl_id"),
    ("product.product", "product.pricelist.item", "product_id"),
    ("account.move", "account.move.line", "move_id"),
    ("product.attribute", "product.attribute.value", "attribute_id"),
];

pub fn before_unlink(db: &mut Db, ctx: &Ctx, model: &str, ids: &[i64]) -> Answer<()> {
    match model {
        "sale.order" => sale::check_unlink(db, ids)?,
        "sale.order.line" => sale::check_unlink_lines(db, ids)?,
        "res.partner" => restrict(db, model, ids, ("sale.order", "partner_id"))?,
        "product.product" => restrict(db, model, ids, ("sale.order.line", "product_id"))?,
        _ => {}
    }
    if model == "sale.order.line" {
        for id in ids {
            let order = db.link(model, *id, "order_id");
            db.pending.totals.insert(order);
        }
    }
    for (parent, child, link) in CASCADES {
        if parent == model {
            for id in ids {
                let rows = db.find_id(child, link, *id);
                write::unlink(db, ctx, child, &rows)?;
            }
        }
    }
    Ok(())
}

fn restrict(db: &Db, model: &str, ids: &[i64], (other, field): (&str, &str)) -> Answer<()> {
    if ids.iter().all(|id| db.find_id(other, field, *id).is_empty()) {
        return Ok(());
    }
    Err(Fault::validation(format!(
        "The operation cannot be completed: another model requires the record being deleted. If \
         possible, archive it instead.\n\nModel: '{}' ({other})\nConstraint: {field} ({model})",
        super::schema::label(other)
    )))
}

/// Brings up to date what the transaction left open: totals, deliveries, statuses.
pub fn settle(db: &mut Db) -> Answer<()> {
    let pending = std::mem::take(&mut db.pending);
    for order in pending.totals {
        sale::set_totals(db, order);
    }
    for line in pending.demand {
        picking::plan(db, line);
    }
    let mut orders = pending.orders;
    orders.append(&mut db.pending.orders);
    for order in orders {
        sale::set_statuses(db, order);
    }
    db.pending = super::store::Pending::default();
    Ok(())
}

/// Fields of the context that defaults come from (`default_<field>`).
pub fn context_defaults(ctx: &Ctx, model: &str, vals: &mut Map) {
    for (key, value) in &ctx.0 {
        if let Some(field) = key.strip_prefix("default_")
            && super::schema::field_of(model, field).is_some()
            && value != &Value::Null
        {
            vals.entry(field).or_insert(value.clone());
        }
    }
}
