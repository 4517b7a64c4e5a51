//! The whole database at a glance, for tests and demonstrations; orders that came twice.
//!
//! Reads   everything.
//! Writes  JSON.
//! Never   is part of the platform.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::pricing::{self, Ask};
use super::read::{self, Ctx};
use super::stock;
use super::store::Db;
use super::value::{self, num};

/// `?part=orders,variants` cuts it down.
pub fn all(db: &Db, query: &str) -> Value {
    let parts = query.split('&').find_map(|pair| pair.strip_prefix("part=")).unwrap_or("");
    let wants = |part: &str| parts.is_empty() || parts.split([',', '+']).any(|p| p == part);
    let mut state = value::Map::new();
    let mut add = |part: &str, ids: Vec<i64>, show: &dyn Fn(i64) -> Value| {
        if wants(part) {
            state.insert(part.to_owned(), Value::Array(ids.into_iter().map(show).collect()));
        }
    };
    add("partners", db.ids("res.partner"), &|id| partner(db, id));
    add("templates", db.ids("product.template"), &|id| template(db, id));
    add("variants", db.ids("product.product"), &|id| variant(db, id));
    add("orders", db.ids("sale.order"), &|id| order(db, id));
    add("invoices", db.ids("account.move"), &|id| invoice(db, id));
    Value::Object(state)
}

fn partner(db: &Db, id: i64) -> Value {
    let field = |name: &str| db.get("res.partner", id, name);
    let country = db.link("res.partner", id, "country_id");
    json!({
        "id": id, "name": field("name"), "email": field("email"), "ref": field("ref"),
        "type": field("type"), "parent_id": field("parent_id"), "street": field("street"),
        "street2": field("street2"), "city": field("city"), "zip": field("zip"),
        "phone": field("phone"), "vat": field("vat"),
        "country": db.get("res.country", country, "code"), "active": field("active"),
        "external_id": external_id(db, "res.partner", id), "write_date": field("write_date"),
    })
}

fn template(db: &Db, id: i64) -> Value {
    let field = |name: &str| db.get("product.template", id, name);
    json!({
        "id": id, "name": field("name"), "description_sale": field("description_sale"),
        "description_ecommerce": field("description_ecommerce"),
        "list_price": field("list_price"), "type": field("type"), "active": field("active"),
        "variants": db.find_id("product.product", "product_tmpl_id", id),
        "external_id": external_id(db, "product.template", id), "write_date": field("write_date"),
    })
}

fn variant(db: &Db, id: i64) -> Value {
    let model = "product.product";
    let ctx = Ctx::default();
    let field = |name: &str| db.get(model, id, name);
    let mut attributes = value::Map::new();
    for value in db.links(model, id, "product_template_attribute_value_ids") {
        let own = "product.template.attribute.value";
        let attribute = db.link(own, value, "attribute_id");
        let name = read::text(db, &ctx, "product.attribute", attribute, "name");
        attributes.insert(name, read::text(db, &ctx, own, value, "name").into());
    }
    let mut prices = value::Map::new();
    for list in db.ids("product.pricelist") {
        let ask = Ask { variant: id, quantity: 1.into(), at: &db.now };
        let name = read::text(db, &ctx, "product.pricelist", list, "name");
        prices.insert(name, num(pricing::price(db, list, ask).price()));
    }
    let mut levels = value::Map::new();
    for warehouse in db.ids("stock.warehouse") {
        let view = db.link("stock.warehouse", warehouse, "view_location_id");
        let mut places = stock::below(db, view);
        places.retain(|place| stock::is_internal(db, *place));
        let found = stock::levels(db, id, &places);
        let level = json!({
            "on_hand": num(found.on_hand), "reserved": num(found.reserved),
            "forecast": num(found.on_hand + found.incoming - found.outgoing),
        });
        levels.insert(db.text("stock.warehouse", warehouse, "code"), level);
    }
    json!({
        "id": id, "template_id": field("product_tmpl_id"), "default_code": field("default_code"),
        "barcode": field("barcode"), "weight": field("weight"), "active": field("active"),
        "attributes": attributes, "list_price": num(pricing::sales_price(db, id)),
        "prices": prices, "stock": levels,
        "external_id": external_id(db, model, id), "write_date": field("write_date"),
    })
}

fn external_id(db: &Db, model: &str, id: i64) -> Value {
    let rows = db.find_id("ir.model.data", "res_id", id);
    let row = rows.into_iter().find(|row| db.text("ir.model.data", *row, "model") == model);
    row.map_or(Value::Null, |row| {
        let part = |name: &str| db.text("ir.model.data", row, name);
        format!("{}.{}", part("module"), part("name")).into()
    })
}

fn order(db: &Db, id: i64) -> Value {
    let model = "sale.order";
    let field = |name: &str| db.get(model, id, name);
    let buyer = db.link(model, id, "partner_id");
    let lines = db.find_id("sale.order.line", "order_id", id).into_iter();
    let transfers = db.find_id("stock.picking", "sale_id", id).into_iter();
    let currency = db.link(model, id, "currency_id");
    json!({
        "id": id, "name": field("name"), "external_id": external_id(db, model, id),
        "client_order_ref": field("client_order_ref"), "state": field("state"),
        "partner": {"id": buyer, "name": db.get("res.partner", buyer, "name"),
                    "email": db.get("res.partner", buyer, "email")},
        "partner_invoice_id": field("partner_invoice_id"),
        "partner_shipping_id": field("partner_shipping_id"),
        "date_order": field("date_order"), "pricelist_id": field("pricelist_id"),
        "currency": db.get("res.currency", currency, "name"),
        "warehouse_id": field("warehouse_id"),
        "lines": lines.map(|line| order_line(db, line)).collect::<Vec<_>>(),
        "amount_untaxed": field("amount_untaxed"), "amount_tax": field("amount_tax"),
        "amount_total": field("amount_total"), "delivery_status": field("delivery_status"),
        "invoice_status": field("invoice_status"),
        "pickings": transfers.map(|picking| transfer(db, picking)).collect::<Vec<_>>(),
        "write_date": field("write_date"),
    })
}

fn sku(db: &Db, model: &str, id: i64) -> Value {
    db.get("product.product", db.link(model, id, "product_id"), "default_code").clone()
}

fn order_line(db: &Db, id: i64) -> Value {
    let model = "sale.order.line";
    let field = |name: &str| db.get(model, id, name);
    json!({
        "id": id, "external_id": external_id(db, model, id), "sku": sku(db, model, id),
        "name": field("name"), "quantity": field("product_uom_qty"),
        "price_unit": field("price_unit"), "discount": field("discount"),
        "tax_ids": db.links(model, id, "tax_ids"), "price_subtotal": field("price_subtotal"),
        "price_total": field("price_total"), "qty_delivered": field("qty_delivered"),
        "is_delivery": value::truthy(field("is_delivery")),
    })
}

/// An invoice or a credit note.
fn invoice(db: &Db, id: i64) -> Value {
    let model = "account.move";
    let field = |name: &str| db.get(model, id, name);
    let line = |id: i64| {
        let model = "account.move.line";
        let field = |name: &str| db.get(model, id, name);
        json!({
            "id": id, "external_id": external_id(db, model, id), "sku": sku(db, model, id),
            "name": field("name"), "quantity": field("quantity"),
            "price_unit": field("price_unit"), "discount": field("discount"),
            "tax_ids": db.links(model, id, "tax_ids"), "price_total": field("price_total"),
        })
    };
    let lines = db.find_id("account.move.line", "move_id", id).into_iter();
    json!({
        "id": id, "name": field("name"), "external_id": external_id(db, model, id),
        "move_type": field("move_type"), "state": field("state"), "ref": field("ref"),
        "invoice_origin": field("invoice_origin"), "partner_id": field("partner_id"),
        "currency": db.get("res.currency", db.link(model, id, "currency_id"), "name"),
        "lines": lines.map(line).collect::<Vec<_>>(), "amount_untaxed": field("amount_untaxed"),
        "amount_tax": field("amount_tax"), "amount_total": field("amount_total"),
        "payment_state": field("payment_state"), "write_date": field("write_date"),
    })
}

pub fn transfer(db: &Db, id: i64) -> Value {
    let model = "stock.picking";
    let ctx = Ctx::default();
    let field = |name: &str| db.get(model, id, name);
    let carrier = db.link(model, id, "carrier_id");
    let show = |id: i64| {
        let field = |name: &str| db.get("stock.move", id, name);
        json!({"id": id, "sku": sku(db, "stock.move", id), "demand": field("product_uom_qty"),
               "quantity": field("quantity"), "state": field("state")})
    };
    let moves = db.find_id("stock.move", "picking_id", id).into_iter();
    json!({
        "id": id, "name": field("name"), "state": field("state"),
        "carrier": read::text(db, &ctx, "delivery.carrier", carrier, "name"),
        "tracking": field("carrier_tracking_ref"),
        "tracking_url": read::by_name(db, &ctx, model, id, "carrier_tracking_url").ok(),
        "backorder_id": field("backorder_id"), "return_id": field("return_id"),
        "date_done": field("date_done"), "moves": moves.map(show).collect::<Vec<_>>(),
    })
}

/// Orders that say the same, whatever their reference: same buyer, lines and total. And orders
/// that carry the same reference. Cancelled ones count for neither.
pub fn duplicates(db: &Db) -> Value {
    let mut by_content: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut by_reference: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for id in db.ids("sale.order") {
        if db.text("sale.order", id, "state") == "cancel" {
            continue;
        }
        by_content.entry(content(db, id).to_string()).or_default().push(id);
        let reference = db.text("sale.order", id, "client_order_ref");
        if !reference.is_empty() {
            by_reference.entry(reference).or_default().push(id);
        }
    }
    let brief = |ids: &[i64]| -> Vec<Value> {
        let field = |id: i64, name: &str| db.get("sale.order", id, name).clone();
        ids.iter()
            .map(|id| {
                json!({"id": id, "name": field(*id, "name"), "state": field(*id, "state"),
                       "client_order_ref": field(*id, "client_order_ref"),
                       "external_id": external_id(db, "sale.order", *id)})
            })
            .collect()
    };
    let same_content: Vec<Value> = by_content
        .values()
        .filter(|ids| ids.len() > 1)
        .map(|ids| json!({"content": content(db, ids[0]), "orders": brief(ids)}))
        .collect();
    let same_reference: Vec<Value> = by_reference
        .iter()
        .filter(|(_, ids)| ids.len() > 1)
        .map(|(reference, ids)| json!({"client_order_ref": reference, "orders": brief(ids)}))
        .collect();
    json!({"content": same_content, "reference": same_reference})
}

fn content(db: &Db, id: i64) -> Value {
    let buyer = db.link("sale.order", id, "partner_id");
    let email = match db.text("res.partner", buyer, "email_normalized") {
        email if email.is_empty() => db.text("res.partner", buyer, "name"),
        email => email,
    };
    let mut lines: Vec<(String, String, String)> = db
        .find_id("sale.order.line", "order_id", id)
        .into_iter()
        .map(|line| {
            let amount = |name: &str| db.dec("sale.order.line", line, name).normalize().to_string();
            let sku = value::text(&sku(db, "sale.order.line", line));
            (sku, amount("product_uom_qty"), amount("price_unit"))
        })
        .collect();
    lines.sort();
    json!({"partner": email, "lines": lines, "amount_total": db.get("sale.order", id, "amount_total")})
}
