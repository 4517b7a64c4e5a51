//! Units of weight and length.
//!
//! Reads   decimals in one unit.   Writes  decimals in another.
//! Never   uses an approximate factor: all of these are exact by definition.

use rust_decimal::{Decimal, RoundingStrategy};

use super::{ReadError, number};
use crate::Json;

/// Places kept where a quotient does not end, as with grams in pounds.
const QUOTIENT_PLACES: u32 = 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Gram,
    Kilogram,
    Pound,
    Ounce,
    Millimetre,
    Centimetre,
    Metre,
    Inch,
}

impl Unit {
    pub(super) const NAMES: [&str; 8] = ["g", "kg", "lb", "oz", "mm", "cm", "m", "in"];

    pub(super) fn named(name: &str) -> Option<Unit> {
        Some(match name {
            "g" => Unit::Gram,
            "kg" => Unit::Kilogram,
            "lb" => Unit::Pound,
            "oz" => Unit::Ounce,
            "mm" => Unit::Millimetre,
            "cm" => Unit::Centimetre,
            "m" => Unit::Metre,
            "in" => Unit::Inch,
            _ => return None,
        })
    }

    pub(super) fn is_length(self) -> bool {
        matches!(self, Unit::Millimetre | Unit::Centimetre | Unit::Metre | Unit::Inch)
    }

    /// The unit in nanograms or nanometres, where all of them are whole.
    fn size(self) -> u64 {
        match self {
            Unit::Gram | Unit::Metre => 1_000_000_000,
            Unit::Kilogram => 1_000_000_000_000,
            Unit::Pound => 453_592_370_000,
            Unit::Ounce => 28_349_523_125,
            Unit::Millimetre => 1_000_000,
            Unit::Centimetre => 10_000_000,
            Unit::Inch => 25_400_000,
        }
    }
}

/// A decimal in `from` as one in `to`, exact where it ends, else to `QUOTIENT_PLACES` places.
pub(super) fn convert(value: &Json, from: Unit, to: Unit) -> Result<Json, ReadError> {
    let refuse = || ReadError::unexpected("a decimal of a size that can be converted", value);
    let quantity = number::decimal(value).ok_or_else(refuse)?;
    let shared = common_divisor(from.size(), to.size());
    let (times, over) = (from.size() / shared, to.size() / shared);
    let product = exact_product(quantity.normalize(), times).ok_or_else(refuse)?;
    let quotient = product.checked_div(Decimal::from(over)).ok_or_else(refuse)?;
    let exact = exact_product(quotient.normalize(), over) == Some(product);
    let away = RoundingStrategy::MidpointAwayFromZero;
    let rounded = quotient.round_dp_with_strategy(QUOTIENT_PLACES, away);
    Ok(Json::String(number::plain(if exact { quotient } else { rounded })))
}

/// The product, unless it needs more digits than a decimal has.
fn exact_product(a: Decimal, b: u64) -> Option<Decimal> {
    let product = a.checked_mul(Decimal::from(b))?;
    (product.is_zero() || product.scale() == a.scale()).then_some(product)
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}
