//! Money: rounding and printing, in decimals.
//!
//! Reads   nothing.
//! Writes  nothing.
//! Never   uses binary fractions.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Number, Value, json};

/// Half away from zero, as PHP rounds.
pub fn round(value: Decimal, places: u32) -> Decimal {
    value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
}

/// Half towards zero: taxes of a shop whose prices include tax.
pub fn round_down(value: Decimal, places: u32) -> Decimal {
    value.round_dp_with_strategy(places, RoundingStrategy::MidpointTowardZero)
}

/// `"12.90"`.
pub fn text(value: Decimal, places: u32) -> String {
    let mut value = round(value, places);
    if value.is_zero() {
        value = Decimal::ZERO;
    }
    value.rescale(places);
    value.to_string()
}

/// A JSON number without trailing zeros: `9.9`, `19`, `0`.
pub fn number(value: Decimal) -> Value {
    let text = round(value, 14).normalize().to_string();
    text.parse::<Number>().map_or_else(|_| json!(0), Value::Number)
}

/// A money value of a body: a number or a text that is parsed like a price.
pub fn given(value: Option<&Value>) -> Option<Decimal> {
    let value = value.filter(|v| !v.is_null())?;
    super::text::decimal(&super::text::price_of(value))
}
