//! Derived fields: what is computed, never stored and never read. Each rule is named in
//! `entities/` and stands here.
//!
//! Reads   records, sold lines, the connection's scope.   Writes  nothing.
//! Never   guesses: what cannot be derived yet is absent.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::json;

use crate::Json;
use crate::model::record::fold;
use crate::model::{RecordId, Wait, WaitKind};
use crate::sync::guards::Guards;
use crate::sync::house::View;
use crate::sync::world::{Key, Sold, World};
use crate::sync::{credit, document, offer, units};

/// The rules that `entities/` may name.
pub const RULES: &[&str] = &[
    "sellable",
    "available",
    "options",
    "tracking",
    "document",
    "credit",
    "completion",
    "handle",
    "offer",
    "offer_from",
    "offer_to",
];

/// The rules whose figure a sale lowers: they are never raised over a sale that is not known.
pub const FIGURES: &[&str] = &["sellable", "available"];

/// Ok(None): nothing to say yet.
pub fn derive(
    rule: &str,
    view: &View<'_>,
    world: &mut World,
    record: RecordId,
    guards: Guards,
) -> Result<Option<Json>, Wait> {
    match rule {
        "sellable" => offered(view, world, record, &locations(view), guards.stock_rule),
        "available" => available(view, world, record, guards.stock_rule),
        "options" => Ok(options(world, record)),
        "handle" => Ok(handle(view, world, record)),
        "tracking" => Ok(tracking(world, record)),
        "completion" => Ok(completion(world, record)),
        "offer" | "offer_from" | "offer_to" => Ok(offer::offer(rule, view, world, record)),
        "document" => document::document(view, world, record).map(Some),
        "credit" => credit::credit(view, world, record).map(Some),
        other => Err(Wait {
            kind: WaitKind::Held,
            reason: format!("there is no rule \"{other}\" to derive a field by"),
        }),
    }
}

/// Σ over the locations that this connection sells from of (the ERP's figure − lines sold that
/// it does not contain yet) − buffer, in whole pieces, never below zero. Absent while no figure is
/// known; held where nobody knows how many pieces a figure is.
pub fn sellable(
    view: &View<'_>,
    world: &mut World,
    variant: RecordId,
) -> Result<Option<Json>, Wait> {
    offered(view, world, variant, &locations(view), true)
}

fn locations(view: &View<'_>) -> Vec<String> {
    view.connection.locations.iter().map(|(name, _)| name.clone()).collect()
}

/// The same at one location, for targets that keep a figure for each. The buffer is kept back at
/// each of them: it is what may be sold before we hear of it, wherever that happens.
fn available(
    view: &View<'_>,
    world: &mut World,
    stock: RecordId,
    sold: bool,
) -> Result<Option<Json>, Wait> {
    let record = world.record(stock);
    let of = record.and_then(|r| Some((r.reference("variant")?, r.text("location")?.to_owned())));
    let Some((variant, location)) = of else { return Ok(None) };
    offered(view, world, variant, &[location], sold)
}

/// The ERP's figures at these locations, less the lines sold there that they do not contain, less
/// the buffer. `sold` is false in a negative control alone.
fn offered(
    view: &View<'_>,
    world: &mut World,
    variant: RecordId,
    locations: &[String],
    sold: bool,
) -> Result<Option<Json>, Wait> {
    let mut sum: Option<Decimal> = None;
    for location in locations {
        let key = format!("{variant}/{location}");
        let Some(stock) = world.record_by_key("stock", &key, false) else { continue };
        let figure = world.record(stock).and_then(|r| decimal(r.value("figure", "")?));
        sum = figure.map(|f| sum.unwrap_or_default() + f).or(sum);
    }
    let sku = world.record(variant).and_then(|r| r.key.as_deref()).map(fold);
    let own = sku.and_then(|sku| view.connection.buffers.get(sku.as_str()).copied());
    let mut less = Decimal::from(own.unwrap_or(view.connection.buffer));
    if sold {
        let rows = world.sold_rows(&Key::SoldOfVariant(variant)).into_iter();
        let here = |row: &Sold| locations.contains(&row.location);
        less += rows.filter(here).map(|row| row.open()).sum::<Decimal>();
    }
    let Some(figure) = sum else { return Ok(None) };
    let left = units::pieces(figure, units::sizes(world, variant)?, less)
        .ok_or_else(|| units::too_large("figure"))?;
    Ok(Some(Json::String(left.normalize().to_string())))
}

pub fn decimal(value: &Json) -> Option<Decimal> {
    value.as_str()?.parse().ok()
}

/// A name for what has no key of its own, the same for ever: from the account and the id it was
/// born with. Targets that must find it again after a lost answer know it by this.
fn handle(view: &View<'_>, world: &mut World, id: RecordId) -> Option<Json> {
    let record = world.record(id).cloned()?;
    // A code that it does not bear any more still finds it here; there it may be a variant's by now.
    let entity = view.house.entities.get(&record.entity);
    let own = entity.and_then(|e| record.cell(e.key.first()?, "")).map(|cell| cell.value.as_str());
    if let Some(key) = own.unwrap_or(record.key.as_deref()).filter(|k| !k.is_empty()) {
        return Some(Json::String(key.to_owned()));
    }
    let objects = world.ids(&Key::ObjectsOfRoot(record.origin.clone(), id));
    let remote = objects.iter().find_map(|o| world.object(*o).and_then(|o| o.remote.clone()))?;
    let account = &view.house.config.connections.get(record.origin.as_str())?.account;
    let name = document::reference("P", &remote, account, &record.entity, &remote);
    Some(Json::String(name))
}

/// `[{name, values}]` over the variants of a product, both in the order of their names.
fn options(world: &mut World, product: RecordId) -> Option<Json> {
    let variants = world.ids(&Key::Referrers("variant".into(), "product".into(), product));
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for id in variants {
        let attributes = world.record(id).and_then(|r| r.value("attributes", "").cloned());
        for (name, value) in attributes.iter().filter_map(Json::as_object).flatten() {
            let values = found.entry(name.clone()).or_default();
            if let Some(text) = value.as_str().filter(|t| !values.iter().any(|v| v == t)) {
                values.push(text.to_owned());
            }
        }
    }
    if found.is_empty() {
        return None;
    }
    let list = found.into_iter().map(|(name, mut values)| {
        values.sort();
        json!({ "name": name, "values": values })
    });
    Some(list.collect())
}

/// Shipped, where the shop waits for that. What was cancelled or given back meanwhile stays so.
fn completion(world: &mut World, order: RecordId) -> Option<Json> {
    let record = world.record(order)?;
    let waits = matches!(record.text("status"), Some("pending" | "held" | "paid"));
    (waits && record.text("fulfilment") == Some("shipped")).then(|| json!("shipped"))
}

/// `[{carrier, number, url}]` of an order's shipments that left, in the order of their numbers.
fn tracking(world: &mut World, order: RecordId) -> Option<Json> {
    let shipments = world.ids(&Key::Referrers("shipment".into(), "order".into(), order));
    let mut out = BTreeMap::new();
    for id in shipments {
        let Some(record) = world.record(id) else { continue };
        let text = |field| record.text(field).unwrap_or_default();
        let number = text("tracking");
        if record.text("status") == Some("shipped") && !number.is_empty() {
            out.insert(
                number.to_owned(),
                json!({ "carrier": text("carrier"), "number": number, "url": text("url") }),
            );
        }
    }
    if out.is_empty() { None } else { Some(out.into_values().collect()) }
}
