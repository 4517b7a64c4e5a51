//! What a person does in the back office: seeding, prices, counting stock, shipping.
//!
//! Reads   small JSON lists.
//! Writes  through the same functions that the API uses, so that the same dates move.
//! Never   is part of the platform.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Fault;
use super::read::Ctx;
use super::seed::{self, Seed};
use super::store::Db;
use super::value::{self, Map, num};
use super::{hooks, picking, state, stock, write};

fn told(fault: &Fault) -> String {
    fault.message.clone()
}

fn vals(fields: &[(&str, Value)]) -> Map {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

pub fn page(db: &Db, page: &str, query: &str) -> Option<Value> {
    match page {
        "state" => Some(state::all(db, query)),
        "duplicates" => Some(state::duplicates(db)),
        _ => None,
    }
}

pub fn act(db: &mut Db, page: &str, body: Value) -> Result<Option<Value>, String> {
    let unread = |error: serde_json::Error| format!("{page}: {error}");
    let answer = match page {
        "seed" => {
            let seed: Seed = serde_json::from_value(body).map_err(unread)?;
            seed::sow(db, &seed)?
        }
        "prices" => {
            let edits: Vec<PriceEdit> = serde_json::from_value(body).map_err(unread)?;
            for edit in &edits {
                edit_price(db, edit)?;
            }
            json!({"edited": edits.len()})
        }
        "stock" => {
            let edits: Vec<StockEdit> = serde_json::from_value(body).map_err(unread)?;
            for edit in &edits {
                let variant = variant(db, &edit.sku)?;
                let place = place(db, &edit.warehouse)?;
                stock::count(db, variant, place, value::dec(&edit.quantity));
            }
            json!({"edited": edits.len()})
        }
        "quant_tasks" => json!({"deleted": stock::quant_tasks(db)}),
        "ship" => {
            let parcels: Vec<Parcel> = serde_json::from_value(body).map_err(unread)?;
            let mut shipped = Vec::new();
            for parcel in &parcels {
                shipped.push(ship(db, parcel)?);
            }
            Value::Array(shipped)
        }
        _ => return Ok(None),
    };
    hooks::settle(db).map_err(|fault| told(&fault))?;
    Ok(Some(answer))
}

#[derive(Debug, Deserialize)]
struct PriceEdit {
    sku: String,
    /// A list's name; without one the sales price of the template.
    #[serde(default)]
    list: Option<String>,
    price: Value,
}

#[derive(Debug, Deserialize)]
struct StockEdit {
    sku: String,
    warehouse: String,
    quantity: Value,
}

fn variant(db: &Db, sku: &str) -> Result<i64, String> {
    let found = db.find_text("product.product", "default_code", sku).first().copied();
    found.ok_or_else(|| format!("there is no variant \"{sku}\""))
}

fn place(db: &Db, code: &str) -> Result<i64, String> {
    let found = db.find_text("stock.warehouse", "code", code).first().copied();
    let warehouse = found.ok_or_else(|| format!("there is no warehouse \"{code}\""))?;
    Ok(db.link("stock.warehouse", warehouse, "lot_stock_id"))
}

fn edit_price(db: &mut Db, edit: &PriceEdit) -> Result<(), String> {
    let ctx = Ctx::default();
    let variant = variant(db, &edit.sku)?;
    let price = num(value::dec(&edit.price));
    let Some(name) = &edit.list else {
        let template = db.link("product.product", variant, "product_tmpl_id");
        let vals = vals(&[("list_price", price)]);
        return write::write(db, &ctx, "product.template", &[template], &vals)
            .map_err(|fault| told(&fault));
    };
    let lists = db.ids("product.pricelist").into_iter();
    let mut named =
        lists.filter(|id| super::read::text(db, &ctx, "product.pricelist", *id, "name") == *name);
    let list = named.next().ok_or_else(|| format!("there is no price list \"{name}\""))?;
    let model = "product.pricelist.item";
    let own = db.find_id(model, "product_id", variant).into_iter().find(|item| {
        db.link(model, *item, "pricelist_id") == list
            && db.text(model, *item, "compute_price") == "fixed"
            && db.dec(model, *item, "min_quantity").is_zero()
    });
    let done = match own {
        Some(item) => write::write(db, &ctx, model, &[item], &vals(&[("fixed_price", price)])),
        None => {
            let vals = vals(&[
                ("pricelist_id", list.into()),
                ("applied_on", "0_product_variant".into()),
                ("product_id", variant.into()),
                ("compute_price", "fixed".into()),
                ("fixed_price", price),
            ]);
            write::create(db, &ctx, model, vals).map(|_| ())
        }
    };
    done.map_err(|fault| told(&fault))
}

#[derive(Debug, Deserialize)]
struct Parcel {
    /// Id or name of the order.
    order_id: Value,
    #[serde(default)]
    tracking: Option<String>,
    #[serde(default)]
    carrier: Option<String>,
    /// SKU to quantity; `true` for about half of the first line; absent: everything.
    #[serde(default)]
    partial: Value,
}

fn ship(db: &mut Db, parcel: &Parcel) -> Result<Value, String> {
    let order = match &parcel.order_id {
        Value::String(name) => db.find_text("sale.order", "name", name).first().copied(),
        id => value::id_of(id).filter(|id| db.exists("sale.order", *id)),
    };
    let order = order.ok_or_else(|| format!("there is no order {}", parcel.order_id))?;
    let carrier = parcel.carrier.as_ref().map(|name| carrier(db, name));
    let mut open = db.find_id(picking::PICKING, "sale_id", order);
    open.retain(|id| {
        !matches!(db.text(picking::PICKING, *id, "state").as_str(), "done" | "cancel")
    });
    if open.is_empty() {
        return Err(format!("order {}: nothing to ship", db.text("sale.order", order, "name")));
    }
    let mut shipped = Vec::new();
    for id in open {
        pick(db, id, &parcel.partial)?;
        let ctx = Ctx(vals(&[("skip_backorder", true.into())]));
        picking::validate(db, &ctx, &[id]).map_err(|fault| told(&fault))?;
        let mut fields = Map::new();
        if let Some(number) = &parcel.tracking {
            fields.insert("carrier_tracking_ref".into(), number.clone().into());
        }
        if let Some(carrier) = carrier {
            fields.insert("carrier_id".into(), carrier.into());
        }
        if !fields.is_empty() {
            write::write(db, &ctx, picking::PICKING, &[id], &fields).map_err(|f| told(&f))?;
        }
        shipped.push(state::transfer(db, id));
    }
    Ok(json!({"order_id": order, "pickings": shipped}))
}

fn carrier(db: &mut Db, name: &str) -> i64 {
    let ctx = Ctx::default();
    let mut known = db.ids("delivery.carrier").into_iter();
    let same = |id: &i64| super::read::text(db, &ctx, "delivery.carrier", *id, "name") == name;
    match known.find(same) {
        Some(id) => id,
        None => {
            let carrier = seed::Carrier {
                name: name.to_owned(),
                tracking_url: Some("https://track.example/<shipmenttrackingnumber>".into()),
                price: Value::from(0),
            };
            seed::sow_carrier(db, &carrier)
        }
    }
}

/// Says what was picked: everything, the named quantities, or about half of the first line.
fn pick(db: &mut Db, transfer: i64, partial: &Value) -> Result<(), String> {
    let mut wanted: BTreeMap<i64, Decimal> = BTreeMap::new();
    let mut moves = db.find_id(picking::MOVE, "picking_id", transfer);
    moves.retain(|id| !matches!(db.text(picking::MOVE, *id, "state").as_str(), "done" | "cancel"));
    for id in &moves {
        let demand = db.dec(picking::MOVE, *id, "product_uom_qty");
        let sku =
            db.text("product.product", db.link(picking::MOVE, *id, "product_id"), "default_code");
        let quantity = match partial {
            Value::Object(by_sku) => by_sku.get(&sku).map_or(Decimal::ZERO, value::dec).min(demand),
            Value::Bool(true) if wanted.is_empty() => {
                let half = (demand / Decimal::TWO).floor();
                if half.is_zero() && moves.len() > 1 { demand } else { half.max(Decimal::ONE) }
            }
            Value::Bool(true) => Decimal::ZERO,
            _ => demand,
        };
        wanted.insert(*id, quantity);
    }
    for (id, quantity) in wanted {
        let fields = vals(&[("quantity", num(quantity))]);
        write::write(db, &Ctx::default(), picking::MOVE, &[id], &fields).map_err(|f| told(&f))?;
    }
    Ok(())
}
