//! Fields that are computed when they are read, and the names of records.
//!
//! Reads   records.
//! Writes  nothing.
//! Never   stores what it computes, so none of it moves a `write_date`.

use rust_decimal::Decimal;
use serde_json::Value;

use super::error::Answer;
use super::pricing;
use super::product;
use super::read::{self, Ctx};
use super::schema::Field;
use super::stock;
use super::store::Db;
use super::tax;
use super::value::{self, num};

pub fn computed(db: &Db, ctx: &Ctx, model: &str, id: i64, field: &Field) -> Answer<Value> {
    Ok(match model {
        "product.product" => variant(db, ctx, id, field.name),
        "product.template" => template(db, ctx, id, field.name),
        "product.pricelist.item" => item(db, id, field.name),
        "product.template.attribute.value" => {
            let value = db.link(model, id, "product_attribute_value_id");
            read::text(db, ctx, "product.attribute.value", value, "name").into()
        }
        "stock.quant" => quant(db, id, field.name),
        "stock.location" => match field.name {
            "warehouse_id" => or_false(stock::warehouse_of(db, id)),
            _ => stock::complete_name(db, id).into(),
        },
        "stock.picking" => picking(db, id, field.name),
        "stock.move" => display_name(db, ctx, model, id).into(),
        "res.partner" => match field.name {
            "property_product_pricelist" => or_false(list_of_partner(db, id)),
            _ => display_name(db, ctx, model, id).into(),
        },
        "account.tax" => tax::is_included(db, id).into(),
        "product.category" => display_name(db, ctx, model, id).into(),
        "sale.order" => super::invoice::invoices_of(db, id),
        "sale.order.line" => order_line(db, id, field.name),
        "ir.model.data" => display_name(db, ctx, model, id).into(),
        _ => Db::empty(field.kind),
    })
}

fn or_false(id: i64) -> Value {
    if id == 0 { Value::Bool(false) } else { id.into() }
}

fn variant(db: &Db, ctx: &Ctx, id: i64, name: &str) -> Value {
    let levels = || stock::levels(db, id, &stock::places(db, ctx));
    match name {
        "lst_price" => num(pricing::sales_price(db, id)),
        "price_extra" => num(pricing::price_extra(db, id)),
        "product_template_variant_value_ids" => {
            db.get("product.product", id, "product_template_attribute_value_ids").clone()
        }
        "qty_available" => num(levels().on_hand),
        "free_qty" => {
            let levels = levels();
            num(levels.on_hand - levels.reserved)
        }
        "virtual_available" => {
            let levels = levels();
            num(levels.on_hand + levels.incoming - levels.outgoing)
        }
        "incoming_qty" => num(levels().incoming),
        _ => num(levels().outgoing),
    }
}

fn template(db: &Db, ctx: &Ctx, id: i64, name: &str) -> Value {
    let variants = product::variants(db, id);
    let only = match variants.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    match name {
        "product_variant_id" => or_false(variants.first().copied().unwrap_or(0)),
        "product_variant_count" => Value::from(variants.len()),
        "currency_id" => or_false(pricing::company_currency(db)),
        "qty_available" | "virtual_available" => {
            let amounts = variants.iter().map(|id| value::dec(&variant(db, ctx, *id, name)));
            num(amounts.sum())
        }
        "weight" | "volume" | "standard_price" => {
            num(only.map_or(Decimal::ZERO, |id| db.dec("product.product", id, name)))
        }
        _ => only.map_or(Value::Bool(false), |id| db.get("product.product", id, name).clone()),
    }
}

fn item(db: &Db, id: i64, name: &str) -> Value {
    let model = "product.pricelist.item";
    let list = db.link(model, id, "pricelist_id");
    match name {
        "currency_id" => or_false(pricing::list_currency(db, list)),
        "active" => db.is("product.pricelist", list, "active").into(),
        _ => match db.text(model, id, "applied_on").as_str() {
            "3_global" => "All Products".into(),
            "2_product_category" => "Category".into(),
            "1_product" => "Product".into(),
            _ => "Variant".into(),
        },
    }
}

fn quant(db: &Db, id: i64, name: &str) -> Value {
    let model = "stock.quant";
    let location = db.link(model, id, "location_id");
    match name {
        "available_quantity" => {
            num(db.dec(model, id, "quantity") - db.dec(model, id, "reserved_quantity"))
        }
        "warehouse_id" => or_false(stock::warehouse_of(db, location)),
        _ => {
            let variant = db.link(model, id, "product_id");
            or_false(db.link("product.product", variant, "product_tmpl_id"))
        }
    }
}

fn picking(db: &Db, id: i64, name: &str) -> Value {
    let model = "stock.picking";
    if name == "picking_type_code" {
        let kind = db.link(model, id, "picking_type_id");
        return db.get("stock.picking.type", kind, "code").clone();
    }
    let carrier = db.link(model, id, "carrier_id");
    let pattern = db.text("delivery.carrier", carrier, "tracking_url");
    let number = db.text(model, id, "carrier_tracking_ref");
    if pattern.is_empty() || number.is_empty() {
        return Value::Bool(false);
    }
    pattern.replace("<shipmenttrackingnumber>", &number).into()
}

fn order_line(db: &Db, id: i64, name: &str) -> Value {
    let model = "sale.order.line";
    let order = db.link(model, id, "order_id");
    match name {
        "state" => db.get("sale.order", order, "state").clone(),
        "currency_id" => db.get("sale.order", order, "currency_id").clone(),
        "product_template_id" => {
            let variant = db.link(model, id, "product_id");
            or_false(db.link("product.product", variant, "product_tmpl_id"))
        }
        _ => num(super::invoice::quantity_to_invoice(db, id)),
    }
}

/// The partner's own list, else the first one.
pub fn list_of_partner(db: &Db, partner: i64) -> i64 {
    match db.link("res.partner", partner, "specific_property_product_pricelist") {
        0 => db.ids("product.pricelist").into_iter().next().unwrap_or(0),
        list => list,
    }
}

pub fn display_name(db: &Db, ctx: &Ctx, model: &str, id: i64) -> String {
    let name = |field: &str| read::text(db, ctx, model, id, field);
    match model {
        "product.product" => product_name(db, ctx, id),
        "product.template" => match value::text(&template(db, ctx, id, "default_code")) {
            code if code.is_empty() => name("name"),
            code => format!("[{code}] {}", name("name")),
        },
        "res.partner" => partner_name(db, id),
        "product.pricelist" => {
            let currency = pricing::list_currency(db, id);
            format!("{} ({})", name("name"), db.text("res.currency", currency, "name"))
        }
        "product.category" => match db.link(model, id, "parent_id") {
            0 => name("name"),
            parent => format!("{} / {}", display_name(db, ctx, model, parent), name("name")),
        },
        "product.pricelist.item" => value::text(&item(db, id, "name")),
        "stock.location" => stock::complete_name(db, id),
        "stock.move" => move_name(db, id),
        "account.move" => {
            match (db.text(model, id, "name"), db.text(model, id, "invoice_origin")) {
                (name, _) if name.is_empty() => "Draft Invoice".to_owned(),
                (name, origin) if origin.is_empty() => name,
                (name, origin) => format!("{name} ({origin})"),
            }
        }
        "product.attribute.value" | "product.template.attribute.value" => {
            let attribute = db.link(model, id, "attribute_id");
            let attribute = read::text(db, ctx, "product.attribute", attribute, "name");
            format!("{attribute}: {}", name("name"))
        }
        "sale.order.line" => {
            let order = db.link(model, id, "order_id");
            format!("{} - {}", db.text("sale.order", order, "name"), name("name"))
        }
        "ir.model.data" => format!("{}.{}", name("module"), name("name")),
        _ if super::schema::field_of(model, "name").is_some() => name("name"),
        _ => format!("{model},{id}"),
    }
}

fn product_name(db: &Db, ctx: &Ctx, id: i64) -> String {
    let model = "product.product";
    let mut name = read::text(db, ctx, model, id, "name");
    let values = db.links(model, id, "product_template_attribute_value_ids");
    if !values.is_empty() {
        let text = |id: &i64| {
            let value =
                db.link("product.template.attribute.value", *id, "product_attribute_value_id");
            read::text(db, ctx, "product.attribute.value", value, "name")
        };
        let values: Vec<String> = values.iter().map(text).collect();
        name = format!("{name} ({})", values.join(", "));
    }
    match db.text(model, id, "default_code") {
        code if code.is_empty() => name,
        code => format!("[{code}] {name}"),
    }
}

fn partner_name(db: &Db, id: i64) -> String {
    let model = "res.partner";
    let own = db.text(model, id, "name");
    let parent = db.link(model, id, "parent_id");
    if parent == 0 {
        return own;
    }
    let own = match (own.is_empty(), db.text(model, id, "type").as_str()) {
        (true, "invoice") => "Invoice".to_owned(),
        (true, "delivery") => "Delivery".to_owned(),
        (true, _) => "Other".to_owned(),
        _ => own,
    };
    format!("{}, {own}", partner_name(db, parent))
}

fn move_name(db: &Db, id: i64) -> String {
    let model = "stock.move";
    let place = |field: &str| db.text("stock.location", db.link(model, id, field), "name");
    let origin = match db.text(model, id, "origin") {
        origin if origin.is_empty() => String::new(),
        origin => format!("{origin}/"),
    };
    let code = db.text("product.product", db.link(model, id, "product_id"), "default_code");
    format!("{origin}{code}: {}>{}", place("location_id"), place("location_dest_id"))
}
