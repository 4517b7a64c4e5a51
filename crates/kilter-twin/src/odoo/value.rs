//! JSON values as Odoo writes them: floats with a decimal point, `false` for null, whole seconds.
//!
//! Reads   JSON values and decimals.
//! Writes  JSON values.
//! Never   touches the database.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

pub type Map = serde_json::Map<String, Value>;

pub static FALSE: Value = Value::Bool(false);
pub static TRUE: Value = Value::Bool(true);

/// A number as a decimal; everything that is none counts as zero, as an empty field does.
pub fn dec(value: &Value) -> Decimal {
    match value {
        Value::Number(number) => parse_dec(&number.to_string()).unwrap_or_default(),
        Value::String(text) => parse_dec(text.trim()).unwrap_or_default(),
        _ => Decimal::ZERO,
    }
}

/// Plain or scientific notation.
pub fn parse_dec(text: &str) -> Option<Decimal> {
    text.parse().ok().or_else(|| Decimal::from_scientific(text).ok())
}

/// A float as Python prints one: the shortest text that reads back as the same double.
pub fn num(amount: Decimal) -> Value {
    match amount.to_string().parse::<f64>() {
        Ok(double) => double_value(double),
        Err(_) => Value::from(0),
    }
}

fn double_value(double: f64) -> Value {
    let text = format!("{double:?}");
    let text = if text == "-0.0" { "0.0".to_owned() } else { text };
    text.parse::<serde_json::Number>().map_or(Value::from(0), Value::Number)
}

/// The difference of two amounts with the noise that a double leaves: Odoo answers such values
/// unrounded (`24.95 - 0.01` is `24.939999999999998`), and who reads them has to round.
#[expect(clippy::float_arithmetic, reason = "the platform's own noise is the point")]
pub fn noisy_difference(left: Decimal, right: Decimal) -> Value {
    let parse = |amount: Decimal| amount.to_string().parse::<f64>().unwrap_or_default();
    double_value(parse(left) - parse(right))
}

pub fn round(amount: Decimal, digits: u32) -> Decimal {
    amount.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero)
}

/// The next multiple of `step`, half away from zero.
pub fn round_to_step(amount: Decimal, step: Decimal) -> Decimal {
    if step.is_zero() { amount } else { round(amount / step, 0) * step }
}

pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(true) => "True".to_owned(),
        _ => String::new(),
    }
}

/// The id in a many2one as it is written: a number, or `[id, "Name"]`, or nothing.
pub fn id_of(value: &Value) -> Option<i64> {
    match value {
        Value::Number(_) => value.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Array(pair) => pair.first().and_then(Value::as_i64),
        _ => None,
    }
    .filter(|id| *id > 0)
}

pub fn ids_of(value: &Value) -> Vec<i64> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_i64).collect(),
        Value::Number(_) => value.as_i64().into_iter().collect(),
        _ => Vec::new(),
    }
}

pub fn id_list(ids: &[i64]) -> Value {
    Value::Array(ids.iter().map(|id| Value::from(*id)).collect())
}

pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(_) => !dec(value).is_zero(),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// Equal as the database sees it: 1 is 1.0, and nothing is nothing.
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => dec(left) == dec(right),
        (Value::Number(_), _) | (_, Value::Number(_)) => {
            !truthy(left) && !truthy(right) && !left.is_string() && !right.is_string()
        }
        _ => left == right || (!truthy(left) && !truthy(right)),
    }
}

/// Now, as the ORM serialises a timestamp: UTC, whole seconds.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S").to_string()
}
