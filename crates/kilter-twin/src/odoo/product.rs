//! Templates and their variants: which variants exist, what moves whose `write_date`.
//!
//! Reads   attribute lines, vals.
//! Writes  templates, variants, attribute values of templates.
//! Never   shows a template's own code where it has several variants.

use serde_json::Value;

use super::error::{Answer, Fault};
use super::read::Ctx;
use super::stock;
use super::store::{Db, Row};
use super::value::{self, Map, id_list, num};
use super::write::{self, Change};

const TEMPLATE: &str = "product.template";
const VARIANT: &str = "product.product";
const LINE: &str = "product.template.attribute.line";
const VALUE: &str = "product.template.attribute.value";
/// Written on a template, they go to its only variant.
const MIRRORED: [&str; 5] = ["default_code", "barcode", "weight", "volume", "standard_price"];
/// Stored on the template too: a change on the only variant moves the template.
const STORED_ON_TEMPLATE: [&str; 3] = ["default_code", "weight", "volume"];

/// Active variants.
pub fn variants(db: &Db, template: i64) -> Vec<i64> {
    let mut ids = db.find_id(VARIANT, "product_tmpl_id", template);
    ids.retain(|id| db.is(VARIANT, *id, "active"));
    ids
}

/// The unit of measure that a variant is kept and sold by: its template's.
pub fn unit(db: &Db, variant: i64) -> i64 {
    let template = db.link(VARIANT, variant, "product_tmpl_id");
    Some(db.link(TEMPLATE, template, "uom_id")).filter(|id| *id != 0).unwrap_or(1)
}

pub fn defaults(db: &Db, vals: &mut Map) {
    let tax = db.link("res.company", 1, "account_sale_tax_id");
    let taxes = if tax == 0 { Vec::new() } else { vec![tax] };
    let mut default = |key: &str, value: Value| {
        vals.entry(key).or_insert(value);
    };
    default("type", "consu".into());
    default("is_storable", false.into());
    default("sale_ok", true.into());
    default("purchase_ok", true.into());
    default("active", true.into());
    default("uom_id", 1.into());
    default("categ_id", 1.into());
    default("list_price", num(1.into()));
    default("invoice_policy", "order".into());
    default("taxes_id", id_list(&taxes));
}

/// A variant that is created alone gets a template made from the same vals.
pub fn before_create_variant(db: &mut Db, ctx: &Ctx, vals: &mut Map) -> Answer<()> {
    check_barcode(db, vals, 0)?;
    vals.entry("active").or_insert(true.into());
    if vals.get("product_tmpl_id").is_some_and(value::truthy) {
        return Ok(());
    }
    let mut inherited = Map::new();
    for (key, value) in vals.iter() {
        if super::schema::inherited(VARIANT, key).is_some() {
            inherited.insert(key.clone(), value.clone());
        }
    }
    if let Some(price) = vals.get("lst_price") {
        inherited.insert("list_price".into(), price.clone());
    }
    let ctx = with(ctx, "create_product_product", true.into());
    let template = write::create(db, &ctx, TEMPLATE, inherited)?;
    vals.insert("product_tmpl_id".into(), template.into());
    Ok(())
}

fn with(ctx: &Ctx, key: &str, value: Value) -> Ctx {
    let mut ctx = ctx.clone();
    ctx.0.insert(key.into(), value);
    ctx
}

/// Barcodes are unique; codes are not.
fn check_barcode(db: &Db, vals: &Map, own: i64) -> Answer<()> {
    let Some(barcode) = vals.get("barcode").filter(|barcode| value::truthy(barcode)) else {
        return Ok(());
    };
    let others = db.find(VARIANT, "barcode", barcode);
    match others.iter().find(|id| **id != own) {
        Some(other) => {
            let name = super::read::display_name(db, &Ctx::default(), VARIANT, *other);
            let code = value::text(barcode);
            Err(Fault::validation(format!(
                "Barcode(s) already assigned:\n\n- Barcode \"{code}\" already assigned to \
                 product(s): {name}"
            )))
        }
        None => Ok(()),
    }
}

pub fn after_create_template(db: &mut Db, ctx: &Ctx, id: i64, vals: &Map) -> Answer<()> {
    if !ctx.is("create_product_product") {
        make_variants(db, ctx, id)?;
        mirror(db, ctx, id, vals)?;
    }
    Ok(())
}

fn mirror(db: &mut Db, ctx: &Ctx, template: i64, vals: &Map) -> Answer<()> {
    let mut own = Map::new();
    for key in MIRRORED {
        if let Some(value) = vals.get(key) {
            own.insert(key.into(), value.clone());
        }
    }
    match variants(db, template).as_slice() {
        [only] if !own.is_empty() => write::write(db, ctx, VARIANT, &[*only], &own),
        _ => Ok(()),
    }
}

/// One variant for each combination of the values of the attribute lines; without lines, one.
pub fn make_variants(db: &mut Db, ctx: &Ctx, template: i64) -> Answer<()> {
    let mut combinations: Vec<Vec<i64>> = vec![Vec::new()];
    for line in db.find_id(LINE, "product_tmpl_id", template) {
        let attribute = db.link(LINE, line, "attribute_id");
        let mut own = Vec::new();
        for value in db.links(LINE, line, "value_ids") {
            own.push(template_value(db, template, line, attribute, value));
        }
        let varies = db.text("product.attribute", attribute, "create_variant") != "no_variant";
        if varies && !own.is_empty() {
            let extend = |head: &Vec<i64>| {
                let head = head.clone();
                own.iter().map(move |tail| [head.clone(), vec![*tail]].concat()).collect::<Vec<_>>()
            };
            combinations = combinations.iter().flat_map(extend).collect();
        }
    }
    let field = "product_template_attribute_value_ids";
    let mut spare = db.find_id(VARIANT, "product_tmpl_id", template);
    for combination in combinations {
        let wanted = id_list(&combination);
        let present = |id: &i64| db.links(VARIANT, *id, field) == combination;
        if let Some(position) = spare.iter().position(present) {
            spare.remove(position);
            continue;
        }
        let mut vals = Map::new();
        vals.insert("product_tmpl_id".into(), template.into());
        vals.insert(field.into(), wanted);
        write::create(db, ctx, VARIANT, vals)?;
    }
    for id in spare {
        if db.find_id("sale.order.line", "product_id", id).is_empty() {
            write::unlink(db, ctx, VARIANT, &[id])?;
        } else {
            db.put(VARIANT, id, "active", false.into());
        }
    }
    Ok(())
}

pub fn template_value(db: &mut Db, template: i64, line: i64, attribute: i64, value: i64) -> i64 {
    let present = db.find_id(VALUE, "attribute_line_id", line);
    let same = |id: &i64| db.link(VALUE, *id, "product_attribute_value_id") == value;
    if let Some(id) = present.into_iter().find(same) {
        return id;
    }
    let row = Row::from([
        ("attribute_line_id", line.into()),
        ("attribute_id", attribute.into()),
        ("product_attribute_value_id", value.into()),
        ("product_tmpl_id", template.into()),
        ("price_extra", num(0.into())),
    ]);
    db.insert(VALUE, row)
}

/// What a write on a template or a variant carries to the other, before it happens.
pub fn before_write(db: &mut Db, ctx: &Ctx, model: &str, ids: &[i64], vals: &Map) -> Answer<()> {
    for id in ids {
        if model == VARIANT {
            check_barcode(db, vals, *id)?;
            let mut inherited: Map = Map::new();
            for (key, value) in vals {
                if super::schema::inherited(VARIANT, key).is_some() {
                    inherited.insert(key.clone(), value.clone());
                }
            }
            if let Some(price) = vals.get("lst_price") {
                let extra = super::pricing::price_extra(db, *id);
                inherited.insert("list_price".into(), num(value::dec(price) - extra));
            }
            if !inherited.is_empty() {
                let template = db.link(VARIANT, *id, "product_tmpl_id");
                write::write(db, ctx, TEMPLATE, &[template], &inherited)?;
            }
        } else {
            mirror(db, ctx, *id, vals)?;
        }
    }
    if let Some(counted) = vals.get("qty_available") {
        let targets = match model {
            VARIANT => ids.to_vec(),
            _ => ids.iter().flat_map(|id| variants(db, *id)).collect(),
        };
        stock::write_on_hand(db, &targets, counted)?;
    }
    Ok(())
}

/// A written template moves all its variants; a variant moves a template that mirrors it.
pub fn after_write(
    db: &mut Db,
    ctx: &Ctx,
    model: &str,
    id: i64,
    vals: &Map,
    changes: &[Change],
) -> Answer<()> {
    if model == VARIANT {
        let template = db.link(VARIANT, id, "product_tmpl_id");
        let stored = changes.iter().any(|(field, _)| STORED_ON_TEMPLATE.contains(field));
        if stored && variants(db, template).len() == 1 {
            db.touch(TEMPLATE, template);
        }
        return Ok(());
    }
    let all = db.find_id(VARIANT, "product_tmpl_id", id);
    for variant in all {
        if changes.iter().any(|(field, _)| *field == "active") {
            let active = db.get(TEMPLATE, id, "active").clone();
            db.set(VARIANT, variant, "active", active);
        }
        db.touch(VARIANT, variant);
    }
    if vals.contains_key("attribute_line_ids") {
        make_variants(db, ctx, id)?;
    }
    Ok(())
}

/// `get_contextual_price`: list, quantity and date come in the context.
pub fn contextual_price(db: &Db, ctx: &Ctx, variant: i64) -> Value {
    let list = ctx.get("pricelist").and_then(value::id_of).unwrap_or(0);
    if list == 0 || !db.exists("product.pricelist", list) {
        return num(super::pricing::sales_price(db, variant));
    }
    let quantity = ctx.get("quantity").map_or(1.into(), value::dec);
    let at = match ctx.get("date").map(value::text) {
        Some(date) if date.len() == 10 => format!("{date} {}", &db.now[11..]),
        Some(date) => date,
        None => db.now.clone(),
    };
    let ask = super::pricing::Ask { variant, quantity, at: &at };
    let found = super::pricing::price(db, list, ask);
    value::noisy_difference(found.amount, -found.surcharge)
}
