//! What a document's target is given at birth: its lines and charges with unit prices, net or
//! gross as the target wants them; and what a document was then, to measure later changes by.
//!
//! Reads   an order's record.   Writes  nothing.
//! Never   spreads a total that it cannot explain: what rounding leaves is settled by a declared
//!         rounding line (see `lifecycle`), not hidden in a price.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::json;

use crate::Json;
use crate::model::record::record_of;
use crate::model::{Record, RecordId, Wait, WaitKind};
use crate::sync::house::View;
use crate::sync::units;
use crate::sync::world::World;

/// `12.5 EUR` → 12.5.
pub fn amount(value: Option<&Json>) -> Option<Decimal> {
    value?.as_str()?.split(' ').next()?.parse().ok()
}

pub fn document(view: &View<'_>, world: &mut World, order: RecordId) -> Result<Json, Wait> {
    let (gross, places) = prices(view)?;
    let Some(record) = world.record(order).cloned() else { return Ok(json!([])) };
    let mut out = Vec::new();
    for line in list(&record, "lines") {
        let name = text(&line, "name");
        if line.get("variant").and_then(record_of).is_none() {
            let gift = text(&line, "kind") == "gift_card";
            let what = if gift { " sells a gift card and" } else { "" };
            return Err(Wait {
                kind: WaitKind::Held,
                reason: format!(
                    "line \"{name}\" (SKU {}){what} matches no product that Kilter knows",
                    or_none(&text(&line, "sku"))
                ),
            });
        }
        out.push(priced(&record, &line, "line", gross, places));
    }
    for charge in list(&record, "charges") {
        let kind = text(&charge, "kind");
        if !net_and_tax(&record, &charge).0.is_zero() {
            out.push(priced(&record, &charge, &kind, gross, places));
        }
    }
    units::name(world, &mut out);
    Ok(Json::Array(out))
}

/// Gross or not, and places: as the resource says, or the setting that it names.
pub(super) fn prices(view: &View<'_>) -> Result<(bool, u32), Wait> {
    let Some(document) = &view.resource.document else { return Ok((true, 2)) };
    let vars = view.vars("");
    let said = match document.prices.strip_prefix('$') {
        Some(setting) => vars.get(setting).and_then(Json::as_str).unwrap_or_default(),
        None => document.prices.as_str(),
    };
    match said {
        "gross" => Ok((true, document.places)),
        "net" => Ok((false, document.places)),
        other => Err(Wait {
            kind: WaitKind::Held,
            reason: format!(
                "{}: prices are \"gross\" or \"net\", not \"{other}\"",
                view.connection.name
            ),
        }),
    }
}

pub(super) fn priced(record: &Record, line: &Json, kind: &str, gross: bool, places: u32) -> Json {
    let quantity: Decimal = text(line, "quantity").parse().unwrap_or(Decimal::ONE);
    let (net, tax) = net_and_tax(record, line);
    let total = if gross { net + tax } else { net };
    let unit = if quantity.is_zero() { total } else { total / quantity };
    let unit = unit.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    let mut out = json!({
        "kind": kind,
        "quantity": quantity.normalize().to_string(),
        "unit_price": unit.normalize().to_string(),
        "tax_rate": line.get("tax_rate").cloned().unwrap_or_else(|| json!("0")),
    });
    // Unique among all orders of all shops: what a target may know the line by.
    if let Some(reference) = record.text("reference") {
        out["key"] = json!(format!("{reference}-{}", text(line, "id")));
    }
    for field in ["id", "name", "sku", "code", "variant"] {
        if let Some(value) = line.get(field) {
            out[field] = value.clone();
        }
    }
    out
}

/// A line's own total and tax. A shop that tells what it charged and took off instead
/// (`subtotal`, `discount`, with tax in them where the order says so) is added up.
pub fn net_and_tax(record: &Record, line: &Json) -> (Decimal, Decimal) {
    let of = |field: &str| amount(line.get(field)).unwrap_or_default();
    let tax = of("tax");
    if line.get("total").is_some_and(|t| !t.is_null()) {
        return (of("total"), tax);
    }
    let paid = of("subtotal") - of("discount");
    let included = record.value("tax_included", "") == Some(&json!(true));
    (if included { paid - tax } else { paid }, tax)
}

pub(super) fn list(record: &Record, field: &str) -> Vec<Json> {
    record.value(field, "").and_then(Json::as_array).cloned().unwrap_or_default()
}

pub(super) fn text(line: &Json, field: &str) -> String {
    line.get(field).and_then(Json::as_str).unwrap_or_default().to_owned()
}

pub(super) fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// What a document is called everywhere, for ever: the shop's prefix and number, for clerks, and
/// six characters of a hash of where it was born, so that two shops never meet. Deterministic: a
/// replayed webhook, a restored backup or a second hub say the same.
pub fn reference(prefix: &str, number: &str, account: &str, entity: &str, remote: &str) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let hash = blake3::hash(format!("{account}\u{1f}{entity}\u{1f}{remote}").as_bytes());
    let code: String =
        hash.as_bytes().iter().take(6).map(|b| char::from(ALPHABET[usize::from(b % 32)])).collect();
    format!("{prefix}-{number}-{code}")
}

/// How far the target's total may be off by rounding. A line may cost a cent, for its tax is rounded;
/// many pieces of a rounded unit price may cost more: half of its last place for each, and the tax
/// on that where the target adds it. Never more than `limits.rounding_cents_max`.
pub fn tolerance(view: &View<'_>, record: &Record) -> Decimal {
    let (gross, places) = prices(view).unwrap_or((true, 2));
    let cent = Decimal::new(1, 2);
    let sent = |line: &Json| amount(line.get("total")).is_none_or(|total| !total.is_zero());
    let charges = list(record, "charges").into_iter().filter(sent);
    let of_line = |line: Json| {
        let quantity: Decimal = text(&line, "quantity").parse().unwrap_or(Decimal::ONE);
        let rate: Decimal = text(&line, "tax_rate").parse().unwrap_or_default();
        let taxed = if gross { Decimal::ONE } else { Decimal::ONE + rate / Decimal::ONE_HUNDRED };
        cent.max(Decimal::new(5, places + 1) * quantity.abs() * taxed)
    };
    let all: Decimal = list(record, "lines").into_iter().chain(charges).map(of_line).sum();
    all.min(Decimal::new(i64::from(view.house.config.limits.rounding_cents_max), 2))
}

/// What is compared: an order's total, a refund's amount, and what they are made of.
const BIRTH: [&str; 6] = ["lines", "charges", "total", "amount", "billing", "shipping"];

/// What later differences are measured against: lines, money and addresses at birth.
pub fn birth(record: &Record) -> Json {
    let mut out = serde_json::Map::new();
    for field in BIRTH {
        if let Some(value) = record.value(field, "") {
            out.insert(field.to_owned(), value.clone());
        }
    }
    Json::Object(out)
}

/// A line is what its id and its variant say. Its SKU is the product's, which may be renamed, or
/// deleted: then the shop shows none.
fn without_sku(mut lines: Json) -> Json {
    for line in lines.as_array_mut().into_iter().flatten().filter_map(Json::as_object_mut) {
        line.remove("sku");
    }
    lines
}

/// What differs since birth, named; both sides shown.
pub fn amended(birth: &Json, record: &Record) -> Option<String> {
    let now = self::birth(record);
    let said = |all: &Json, field: &str| all.get(field).cloned().map(without_sku);
    let differs: Vec<&str> =
        BIRTH.into_iter().filter(|f| said(birth, f) != said(&now, f)).collect();
    if differs.is_empty() {
        return None;
    }
    let total = |v: &Json| {
        let sum = v.get("total").or(v.get("amount")).and_then(Json::as_str);
        sum.unwrap_or("?").to_owned()
    };
    Some(format!(
        "{} changed in the shop after the order was sent (total then {}, now {})",
        differs.join(" and "),
        total(birth),
        total(&now)
    ))
}
