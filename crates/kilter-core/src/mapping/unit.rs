//! Units of weight and length.
//!
//! Reads   decimals in one unit.   Writes  decimals in another.
//! Never   uses an approximate factor: all of these are exact by definition.

use rust_decimal::{Decimal, RoundingStrategy};

use super::{ReadError, number};
use crate::Json;

/// Places kept where a quotient does not end, as with grams in pounds.
const QUOTIENT_PLACES: u32 = 12;

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

    /// The unit in grams or metres: mantissa and number of decimals.
    fn size(self) -> Decimal {
        match self {
            Unit::Gram | Unit::Metre => Decimal::ONE,
            Unit::Kilogram => Decimal::from(1000),
            Unit::Pound => Decimal::new(45_359_237, 5),
            Unit::Ounce => Decimal::new(28_349_523_125, 9),
            Unit::Millimetre => Decimal::new(1, 3),
            Unit::Centimetre => Decimal::new(1, 2),
            Unit::Inch => Decimal::new(254, 4),
        }
    }
}

/// A decimal in `from` as one in `to`, exact where it ends, else to `QUOTIENT_PLACES` places.
pub(super) fn convert(value: &Json, from: Unit, to: Unit) -> Result<Json, ReadError> {
    let refuse = || ReadError::unexpected("a decimal of a size that can be converted", value);
    let quantity = number::decimal(value).ok_or_else(refuse)?;
    let product = exact_product(quantity.normalize(), from.size()).ok_or_else(refuse)?;
    let quotient = product.checked_div(to.size()).ok_or_else(refuse)?;
    let exact = exact_product(quotient.normalize(), to.size()) == Some(product);
    let away = RoundingStrategy::MidpointAwayFromZero;
    let rounded = quotient.round_dp_with_strategy(QUOTIENT_PLACES, away);
    Ok(Json::String(number::plain(if exact { quotient } else { rounded })))
}

/// The product, unless it needs more digits than a decimal has.
fn exact_product(a: Decimal, b: Decimal) -> Option<Decimal> {
    let product = a.checked_mul(b)?;
    (product.is_zero() || product.scale() == a.scale() + b.scale()).then_some(product)
}
