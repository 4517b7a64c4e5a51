//! Values that a remote wraps into maps: `wrapped(name)`, `sum(a.b)`, `measured(KILOGRAMS)`,
//! `money_object(amount, currencyCode)`.
//!
//! Reads   one list or map.   Writes  the other side, where there is a way back.
//! Never   takes an item without the member for an empty one, nor converts a unit.

use rust_decimal::Decimal;
use serde_json::json;

use super::number::{self, Format};
use super::{ReadError, WriteError};
use crate::Json;

/// `[{name: "S"}, {name: "M"}]` → `["S", "M"]`.
pub(super) fn unwrap(value: &Json, member: &str) -> Result<Json, ReadError> {
    let items = value.as_array().ok_or_else(|| ReadError::unexpected("a list of maps", value))?;
    let inner = |item: &Json| {
        let missing = || ReadError::unexpected(format!("a map with a \"{member}\""), item);
        item.get(member).cloned().ok_or_else(missing)
    };
    items.iter().map(inner).collect::<Result<Vec<_>, _>>().map(Json::Array)
}

pub(super) fn wrap(value: &Json, member: &str) -> Result<Json, WriteError> {
    let items = value.as_array().ok_or_else(|| WriteError::unexpected("a list", value))?;
    Ok(items.iter().map(|item| json!({ member: item })).collect())
}

/// `[{price: {amount: "1.50"}}, …]` → the sum of `price.amount`, 0 where the list is empty.
pub(super) fn sum(value: &Json, path: &str) -> Result<Json, ReadError> {
    let items = value.as_array().ok_or_else(|| ReadError::unexpected("a list of maps", value))?;
    let mut sum = Decimal::ZERO;
    for item in items {
        let found = path.split('.').try_fold(item, |value, step| value.get(step));
        let missing = || ReadError::unexpected(format!("a map with a \"{path}\""), item);
        let amount = found.and_then(number::decimal).ok_or_else(missing)?;
        let over = || ReadError::unexpected("a sum that fits", value);
        sum = sum.checked_add(amount).ok_or_else(over)?;
    }
    Ok(Json::String(number::plain(sum)))
}

/// `{value: 0.5, unit: "KILOGRAMS"}` → `0.5`. Another unit is told, not guessed at.
pub(super) fn read_measure(value: &Json, unit: &str) -> Result<Json, ReadError> {
    let same = value.get("unit").and_then(Json::as_str) == Some(unit);
    match value.get("value").and_then(number::decimal).filter(|_| same) {
        Some(amount) => Ok(Json::String(number::plain(amount))),
        None => Err(ReadError::unexpected(format!("a value in {unit}"), value)),
    }
}

pub(super) fn write_measure(value: &Json, unit: &str) -> Result<Json, WriteError> {
    let missing = || WriteError::unexpected("a decimal", value);
    let amount = number::decimal(value).ok_or_else(missing)?;
    let format = Format { number: true, ..Format::default() };
    Ok(json!({ "value": format.apply(amount), "unit": unit }))
}

/// `{amount: "12.50", currencyCode: "USD"}` → `12.50 USD`.
pub(super) fn money(value: &Json, amount: &str, currency: &str) -> Result<Json, ReadError> {
    let code = value.get(currency).and_then(Json::as_str).filter(|c| number::is_currency(c));
    match (value.get(amount).and_then(number::decimal), code) {
        (Some(amount), Some(code)) => Ok(Json::String(format!("{} {code}", number::plain(amount)))),
        _ => Err(ReadError::unexpected("an amount with its currency", value)),
    }
}

pub(super) fn write_money(value: &Json, amount: &str, currency: &str) -> Result<Json, WriteError> {
    let said = value.as_str().and_then(|text| text.split_once(' '));
    let said = said.filter(|(_, code)| number::is_currency(code));
    match said.and_then(|(text, code)| Some((text.parse::<Decimal>().ok()?, code))) {
        Some((money, code)) => Ok(json!({ amount: number::plain(money), currency: code })),
        None => Err(WriteError::unexpected("money, as 12.50 EUR", value)),
    }
}

pub(super) fn is_empty(value: &Json) -> bool {
    value.is_null()
        || value.as_object().is_some_and(serde_json::Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}
