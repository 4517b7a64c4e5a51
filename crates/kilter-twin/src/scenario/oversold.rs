//! Units that were sold and never there, and why.
//!
//! Reads   the script: what was counted, what was sold where and when.
//! Writes  the verdict's list.
//! Never   excuses a sale that the other shop had been told of, or that a shop made alone.

use super::catalogue::Catalogue;
use super::office::{items, text, units};
use super::script::{MAIN, Sale, Script, WEST};
use super::verdict::Oversold;
use serde_json::Value;

/// One line of one sale.
struct Sold<'a> {
    sale: &'a Sale,
    units: i64,
}

pub fn judge(catalogue: &Catalogue, script: &Script, tell_within_ms: u64) -> Vec<Oversold> {
    let mut list = Vec::new();
    for (_, variant) in catalogue.variants() {
        let sku = variant.sku.as_str();
        let there = script.counted(MAIN, variant) + script.counted(WEST, variant);
        if script.sold(sku) <= there {
            continue;
        }
        let mut sold: Vec<Sold<'_>> = script
            .sales
            .iter()
            .flat_map(|sale| sale.lines.iter().map(move |(of, units)| (sale, of, *units)))
            .filter(|(_, of, _)| *of == sku)
            .map(|(sale, _, units)| Sold { sale, units })
            .collect();
        sold.sort_by_key(|sold| sold.sale.at_ms);
        let mut left = there;
        for (at, one) in sold.iter().enumerate() {
            let over = one.units - left.clamp(0, one.units);
            left -= one.units;
            if over > 0 {
                list.push(explain(sku, (there, over), one, &sold[..at], tell_within_ms));
            }
        }
    }
    list
}

/// Explained where the units were there for all that the shop could know: its own sales, and
/// those of others that were made longer ago than telling takes.
fn explain(
    sku: &str,
    (there, over): (i64, i64),
    one: &Sold<'_>,
    before: &[Sold<'_>],
    within_ms: u64,
) -> Oversold {
    let (shop, order) = (one.sale.shop, one.sale.number.as_str());
    let since = |other: &Sold<'_>| one.sale.at_ms.saturating_sub(other.sale.at_ms);
    let unheard = |other: &&Sold<'_>| other.sale.shop != shop && since(other) <= within_ms;
    let known: i64 = before.iter().filter(|other| !unheard(other)).map(|other| other.units).sum();
    let explained = there - known >= one.units;
    let last = before.iter().rev().find(|other| other.sale.shop != shop);
    let reason = match (explained, last) {
        (true, Some(other)) => format!(
            "{} order {} and {shop} order {order} took the last units {} ms apart: neither shop \
             could know of the other's",
            other.sale.shop,
            other.sale.number,
            since(other)
        ),
        (_, Some(other)) => format!(
            "unexplained: {shop} order {order} came {} ms after {} order {}, and the shop should \
             have known that nothing was left",
            since(other),
            other.sale.shop,
            other.sale.number
        ),
        _ => format!("unexplained: {shop} order {order} took what no other shop had taken"),
    };
    Oversold { sku: sku.to_owned(), units: over, reason, explained }
}

/// A shop that sold below its own zero: it refuses that, so nothing explains it.
pub fn below_zero(shop: &str, page: &Value) -> Vec<Oversold> {
    let rows = items(&page["products"]);
    rows.map(|row| Oversold {
        sku: text(&row["sku"]).to_owned(),
        units: units(&row["units"]),
        reason: format!("unexplained: {shop} sold below its own zero"),
        explained: false,
    })
    .collect()
}
