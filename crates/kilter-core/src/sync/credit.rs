//! Credit: what a refund's document is given at birth – what was given back, line by line.
//!
//! Reads   a refund's record, its order's.   Writes  nothing.
//! Never   brings goods back that the shop did not put back, nor guesses a tax.
//!
//! | kind            | says                                                           |
//! |-----------------|----------------------------------------------------------------|
//! | goods           | pieces that the shop put back into its stock                   |
//! | line            | money for a product that stays where it is                     |
//! | shipping, fee   | money for a charge                                             |
//! | amount          | what no line explains: a gesture, or a refund without lines    |
//!
//! `sold` is left alone: the ERP's order holds the whole line, and its figure rises only by what
//! comes back there. A line taken out here as well would be counted twice.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::json;

use crate::Json;
use crate::model::record::record_of;
use crate::model::{Record, RecordId, Wait, WaitKind};
use crate::sync::document::{amount, list, net_and_tax, or_none, priced, prices, text, tolerance};
use crate::sync::house::View;
use crate::sync::world::{Key, World};
use crate::sync::{units, whole};

pub fn credit(view: &View<'_>, world: &mut World, refund: RecordId) -> Result<Json, Wait> {
    let Some(record) = world.record(refund).cloned() else { return Ok(json!([])) };
    let whole = whole::of(view, &record).and_then(|id| world.record(id)).cloned();
    let Some(order) = whole else {
        return Err(parked("waits for its order: Kilter has not seen it yet".to_owned()));
    };
    fits(&record, &order)?;
    let style = prices(view)?;
    let mut out = Vec::new();
    let mut explained = Decimal::ZERO;
    for line in list(&record, "lines") {
        let line = completed(line, &order, "lines");
        explained += sum(&line);
        let back = put_back(world, &record, &order, &line);
        product(&record, &line, back, style, &mut out)?;
    }
    for charge in list(&record, "charges") {
        let charge = completed(charge, &order, "charges");
        explained += sum(&charge);
        if !sum(&charge).is_zero() {
            out.push(priced(&record, &charge, &text(&charge, "kind"), style.0, style.1));
        }
    }
    let given = amount(record.value("amount", "")).unwrap_or(explained);
    let rest = given - explained;
    let rounding = tolerance(view, &record).max(Decimal::new(1, 2));
    if rest.abs() > rounding || (out.is_empty() && !rest.is_zero()) {
        let line = unexplained(&record, &order, rest)?;
        out.push(priced(&record, &line, "amount", style.0, style.1));
    }
    // Some shops write one down when an item that nobody had paid is taken off an order.
    if out.is_empty() {
        return Err(parked("it gives nothing back: there is nothing to write".to_owned()));
    }
    units::name(world, &mut out);
    Ok(Json::Array(out))
}

fn parked(reason: String) -> Wait {
    Wait { kind: WaitKind::Parked, reason }
}

fn held(reason: String) -> Wait {
    Wait { kind: WaitKind::Held, reason }
}

/// Do refund and order speak of the same? A refund that its order does not list yet is newer than
/// what we know of the order: what was put back into stock would be missed.
fn fits(refund: &Record, order: &Record) -> Result<(), Wait> {
    let key = order.key.as_deref().unwrap_or_default();
    let number = refund.text("number").unwrap_or_default();
    if order.value("refunds", "").is_some_and(Json::is_array)
        && !list(order, "refunds").iter().any(|r| text(r, "id") == number)
    {
        return Err(parked(format!("waits until {key} was read again: it does not list it yet")));
    }
    let (ours, theirs) = (currency(refund.value("amount", "")), order.text("currency"));
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours != theirs => {
            Err(held(format!("the order {key} is in {theirs}, and the refund was read in {ours}")))
        }
        _ => Ok(()),
    }
}

fn currency(money: Option<&Json>) -> Option<&str> {
    money?.as_str()?.split_once(' ').map(|(_, currency)| currency)
}

/// A refunded item with what only the order's own item says: its product, its tax, its name.
fn completed(mut item: Json, order: &Record, field: &str) -> Json {
    let of_order = list(order, field);
    let own = of_order.iter().find(|o| text(o, "id") == text(&item, "line"));
    for field in ["variant", "tax_rate", "name", "sku", "kind"] {
        let lacks = match item.get(field) {
            Some(value) if field == "variant" => record_of(value).is_none(),
            value => value.is_none_or(Json::is_null),
        };
        if let (true, Some(value)) = (lacks, own.and_then(|o| o.get(field))) {
            item[field] = value.clone();
        }
    }
    // What it charged, with tax in it where the order says so.
    if let (None, Some(code)) = (amount(item.get("total")), currency(item.get("subtotal"))) {
        let (net, tax) = net_and_tax(order, &item);
        let (total, tax) = (format!("{net} {code}"), format!("{tax} {code}"));
        (item["total"], item["tax"]) = (json!(total), json!(tax));
    }
    item
}

fn sum(item: &Json) -> Decimal {
    let part = |field| amount(item.get(field)).unwrap_or_default();
    part("total") + part("tax")
}

fn quantity(item: &Json) -> Decimal {
    text(item, "quantity").parse().unwrap_or_default()
}

/// How many pieces of this line came back into stock by this refund. A shop says it with the line
/// (`back`), or for the order's line, over all its refunds: the older ones took first. So a line that
/// was refunded twice, once without putting back, may say too little here, and never too much.
fn put_back(world: &mut World, refund: &Record, order: &Record, line: &Json) -> Decimal {
    if let Some(back) = line.get("back").and_then(Json::as_bool) {
        return if back { quantity(line).max(Decimal::ZERO) } else { Decimal::ZERO };
    }
    let id = text(line, "line");
    let restocked = list(order, "restocked");
    let told = restocked.iter().find(|r| text(r, "line") == id && !id.is_empty());
    let mut left = told.map(quantity).unwrap_or_default();
    for other in world.ids(&Key::Referrers(refund.entity.clone(), "order".into(), order.id)) {
        let Some(other) = world.record(other).filter(|r| older(r, refund)) else { continue };
        let same = list(other, "lines").into_iter().filter(|l| text(l, "line") == id);
        left -= same.map(|l| quantity(&l)).sum::<Decimal>();
    }
    left.clamp(Decimal::ZERO, quantity(line).max(Decimal::ZERO))
}

fn older(other: &Record, than: &Record) -> bool {
    let age = |r: &Record| {
        let number = r.text("number").unwrap_or_default().to_owned();
        (r.text("given_at").unwrap_or_default().to_owned(), number.len(), number)
    };
    other.id != than.id && age(other) < age(than)
}

/// A product's money, and its goods where they came back.
fn product(
    record: &Record,
    line: &Json,
    back: Decimal,
    (gross, places): (bool, u32),
    out: &mut Vec<Json>,
) -> Result<(), Wait> {
    let mut line = line.clone();
    if quantity(&line).is_zero() {
        // A part of a line's price: no piece of it.
        line["quantity"] = json!("1");
        if sum(&line).is_zero() {
            return Ok(());
        }
    }
    let known = line.get("variant").is_some_and(|v| record_of(v).is_some());
    if !known {
        if !back.is_zero() {
            let (name, sku) = (text(&line, "name"), text(&line, "sku"));
            return Err(held(format!(
                "line \"{name}\" (SKU {}) came back and matches no product that Kilter knows",
                or_none(&sku)
            )));
        }
        line.as_object_mut().map(|l| l.remove("variant"));
    }
    let pieces = quantity(&line);
    let whole = priced(record, &line, "line", gross, places);
    for (kind, quantity, mark) in [("goods", back, ""), ("line", pieces - back, "-kept")] {
        if quantity.is_zero() {
            continue;
        }
        let mut part = whole.clone();
        part["kind"] = json!(kind);
        part["quantity"] = json!(quantity.normalize().to_string());
        if let (Some(key), false) = (whole.get("key").and_then(Json::as_str), back.is_zero()) {
            part["key"] = json!(format!("{key}{mark}"));
        }
        out.push(part);
    }
    Ok(())
}

/// One line for what no line explains, at the one tax that the order has. Of several nobody could
/// say which was meant.
fn unexplained(refund: &Record, order: &Record, rest: Decimal) -> Result<Json, Wait> {
    let key = order.key.as_deref().unwrap_or_default();
    // Some shops tell what a line charged before discounts, with tax in it: what it came to is counted.
    let mut items = Vec::new();
    for field in ["lines", "charges"] {
        items.extend(list(order, field).into_iter().map(|item| completed(item, order, field)));
    }
    items.retain(|item| !sum(item).is_zero());
    let rate = |item: &Json| item.get("tax_rate").cloned().unwrap_or_else(|| json!("0"));
    let rates: Vec<Json> = items.iter().map(rate).collect();
    if rates.iter().any(|r| Some(r) != rates.first()) {
        return Err(held(format!(
            "{rest} of the refund is for no line, and {key} has several taxes: write it in the \
             ERP by hand and say \"kilter decide N link ID\", or \"leave\""
        )));
    }
    let total: Decimal = items.iter().map(sum).sum();
    let taxes: Decimal = items.iter().filter_map(|i| amount(i.get("tax"))).sum();
    let share = if total.is_zero() { Decimal::ZERO } else { taxes / total };
    let half_up = RoundingStrategy::MidpointAwayFromZero;
    let tax = (rest * share).round_dp_with_strategy(2, half_up);
    let code = currency(refund.value("amount", "")).unwrap_or_default();
    let reason = refund.text("reason").filter(|r| !r.trim().is_empty());
    Ok(json!({
        "id": "amount",
        "name": reason.map_or_else(|| format!("Refund {key}"), str::to_owned),
        "quantity": "1",
        "total": format!("{} {code}", rest - tax),
        "tax": format!("{tax} {code}"),
        "tax_rate": rates.first().cloned().unwrap_or_else(|| json!("0")),
    }))
}
