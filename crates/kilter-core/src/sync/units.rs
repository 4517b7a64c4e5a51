//! Units: what one piece in a shop is, said in what the ERP counts and prices by.
//!
//! Reads   a variant's units and their sizes.   Writes  nothing.
//! Never   guesses a factor, nor rounds a count of pieces up.
//!
//! A shop sells a variant by the unit that its ERP sells it by, a piece of the shop for each. Where the
//! ERP keeps it by another unit, the sizes of both say how many of those are in a piece.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::json;

use crate::Json;
use crate::manifest::Facet;
use crate::model::record::record_of;
use crate::model::{Record, RecordId, Wait, WaitKind};
use crate::sync::derive::decimal;
use crate::sync::world::World;

/// Places kept of a price that was multiplied: more than any list has.
const PRICE_PLACES: u32 = 6;

/// How large the unit is that a variant is sold by, and the one that it is kept by. Two numbers, for
/// their quotient may have no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub sold: Decimal,
    pub kept: Decimal,
}

const SAME: Sizes = Sizes { sold: Decimal::ONE, kept: Decimal::ONE };

pub fn sizes(world: &mut World, variant: RecordId) -> Result<Sizes, Wait> {
    let Some(record) = world.record(variant) else { return Ok(SAME) };
    let (sold, kept) = (record.text("unit"), record.text("stock_unit"));
    let (Some(sold), Some(kept)) = (sold, kept) else { return Ok(SAME) };
    if sold == kept {
        return Ok(SAME);
    }
    let known = |field| record.value(field, "").and_then(decimal).filter(|s| *s > Decimal::ZERO);
    let both = known("unit_size").zip(known("stock_unit_size"));
    both.map(|(sold, kept)| Sizes { sold, kept }).ok_or_else(|| {
        let sku = record.key.as_deref().unwrap_or("it");
        let reason = format!(
            "{sku} is sold by \"{sold}\" and counted by \"{kept}\", and the ERP does not say how \
             many \"{kept}\" are in one \"{sold}\": say it there, or sell it by \"{kept}\""
        );
        Wait { kind: WaitKind::Held, reason }
    })
}

/// How many whole pieces a figure of the ERP is, less what was sold of them. Of two and a half, two
/// can be sold. None: nobody has so many, and they cannot be counted.
pub fn pieces(figure: Decimal, sizes: Sizes, less: Decimal) -> Option<Decimal> {
    let there = figure.checked_mul(sizes.kept)?.checked_div(sizes.sold)?;
    Some(there.checked_sub(less)?.floor().max(Decimal::ZERO))
}

pub fn too_large(what: &str) -> Wait {
    let reason = format!("its {what} in the ERP is too large to be turned into pieces");
    Wait { kind: WaitKind::Held, reason }
}

/// A price as a shop shows it: for a piece, where its list says it for what the ERP keeps it by.
pub fn priced(
    world: &mut World,
    facet: &Facet,
    record: Option<&Record>,
    value: Json,
) -> Result<Json, Wait> {
    let record = record.filter(|r| facet.entity == "price" && r.text("per") == Some("stock_unit"));
    let Some(variant) = record.and_then(|r| r.reference("variant")) else { return Ok(value) };
    let sizes = sizes(world, variant)?;
    let money = value.as_str().and_then(|text| text.split_once(' '));
    let amount = money.and_then(|(amount, code)| Some((amount.parse::<Decimal>().ok()?, code)));
    let Some((amount, code)) = amount.filter(|_| sizes != SAME) else { return Ok(value) };
    let half_up = RoundingStrategy::MidpointAwayFromZero;
    let piece = amount.checked_mul(sizes.sold).and_then(|a| a.checked_div(sizes.kept));
    let Some(piece) = piece else { return Err(too_large("price")) };
    let piece = piece.round_dp_with_strategy(PRICE_PLACES, half_up).normalize();
    Ok(json!(format!("{piece} {code}")))
}

/// Says with each line of a document by which unit its variant is sold, as the ERP calls it.
pub fn name(world: &mut World, lines: &mut [Json]) {
    for line in lines {
        let variant = line.get("variant").and_then(record_of);
        let unit = variant.and_then(|v| Some(world.record(v)?.text("unit_id")?.to_owned()));
        if let Some(unit) = unit {
            line["unit"] = json!(unit);
        }
    }
}
