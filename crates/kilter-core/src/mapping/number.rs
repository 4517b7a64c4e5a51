//! Numbers as text: decimals, integers, ids, money and minor units.
//!
//! Reads   JSON numbers and strings.   Writes  canonical decimals, JSON numbers, fixed places.
//! Never   rounds without being told to; never passes through floating point.

use rust_decimal::{Decimal, RoundingStrategy};

use super::{Env, Operand, ReadError, WriteError};
use crate::Json;

/// Exponents beyond this are no amount of anything.
const EXPONENT_MAX: usize = 60;

/// How a decimal is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Format {
    /// A JSON number instead of a string.
    pub number: bool,
    /// Rounded half away from zero to so many places; a string then has exactly these.
    pub places: Option<u32>,
}

impl Format {
    pub(super) fn apply(self, amount: Decimal) -> Json {
        let away = RoundingStrategy::MidpointAwayFromZero;
        let rounded = match self.places {
            Some(places) => amount.round_dp_with_strategy(places, away),
            None => amount,
        };
        let plain = plain(rounded);
        match (self.number, self.places) {
            (true, _) => json_number(plain),
            (false, None) => Json::String(plain),
            (false, Some(places)) => Json::String(padded(plain, places as usize)),
        }
    }
}

/// The text of a text, number or boolean.
pub(super) fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.as_str().to_owned()),
        Json::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Equal, or scalars of the same text: `5` and `"5"`.
pub(super) fn same(a: &Json, b: &Json) -> bool {
    a == b || text(a).is_some_and(|a| text(b) == Some(a))
}

/// An exact decimal from a number or a string. No blanks, no grouping, no comma.
pub(super) fn decimal(value: &Json) -> Option<Decimal> {
    match value {
        Json::String(text) => parse(text),
        Json::Number(number) => parse(number.as_str()),
        _ => None,
    }
}

/// The canonical text of a decimal: no exponent, no trailing zeros, no "-0".
pub(super) fn plain(amount: Decimal) -> String {
    if amount.is_zero() { "0".to_owned() } else { amount.normalize().to_string() }
}

pub(super) fn read_decimal(value: &Json) -> Result<Json, ReadError> {
    let amount = decimal(value).ok_or_else(|| ReadError::unexpected("a decimal", value))?;
    Ok(Json::String(plain(amount)))
}

/// The other sign of a decimal, or of an amount of money: `-9.9 EUR` and `9.9 EUR`.
pub(super) fn negated(value: &Json) -> Result<Json, ReadError> {
    let expected = || ReadError::unexpected("a decimal or an amount like \"12.5 EUR\"", value);
    let (amount, currency) = match value.as_str().and_then(|text| text.split_once(' ')) {
        Some((amount, currency)) => (parse(amount), Some(currency)),
        None => (decimal(value), None),
    };
    let amount = plain(-amount.ok_or_else(expected)?);
    Ok(Json::String(match currency {
        Some(currency) => format!("{amount} {currency}"),
        None => amount,
    }))
}

/// An integer of any size, from a number or a string.
pub(super) fn read_integer(value: &Json) -> Result<Json, ReadError> {
    let written = match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.as_str().to_owned()),
        _ => None,
    };
    let whole = written.and_then(|text| {
        let (negative, digits, fraction) = shifted(&text)?;
        (fraction.is_empty()).then(|| signed(negative, &digits))
    });
    whole.map(json_number).ok_or_else(|| ReadError::unexpected("an integer", value))
}

/// An id as text; a JSON number must be a whole one.
pub(super) fn read_id(value: &Json) -> Result<Json, ReadError> {
    match value {
        Json::String(text) => Ok(Json::String(text.clone())),
        Json::Number(number) if is_whole(number.as_str()) => {
            Ok(Json::String(number.as_str().to_owned()))
        }
        _ => Err(ReadError::unexpected("an id", value)),
    }
}

/// An id as platforms want it: a JSON integer when it is one and says the same, else text.
pub(super) fn id(text: String) -> Json {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits && (text == "0" || !text.starts_with('0')) {
        json_number(text)
    } else {
        Json::String(text)
    }
}

pub(super) fn read_money(value: &Json, currency: &Operand, env: &Env) -> Result<Json, ReadError> {
    let amount = decimal(value).ok_or_else(|| ReadError::unexpected("a decimal", value))?;
    Ok(Json::String(format!("{} {}", plain(amount), code(currency, env)?)))
}

pub(super) fn write_money(
    value: &Json,
    currency: &Operand,
    format: Format,
    env: &Env,
) -> Result<Json, WriteError> {
    amount_in(value, &code(currency, env)?).map(|amount| format.apply(amount))
}

pub(super) fn read_minor(value: &Json, currency: &Operand, env: &Env) -> Result<Json, ReadError> {
    let code = code(currency, env)?;
    let units = decimal(value).filter(Decimal::is_integer);
    let expected = || format!("minor units of {code} as an integer");
    let major = units.and_then(|units| shrunk(units, exponent(&code)));
    let major = major.ok_or_else(|| ReadError::unexpected(expected(), value))?;
    Ok(Json::String(format!("{} {code}", plain(major))))
}

/// Rounds half away from zero: a remote that counts in cents cannot hold half of one.
pub(super) fn write_minor(value: &Json, currency: &Operand, env: &Env) -> Result<Json, WriteError> {
    let code = code(currency, env)?;
    let amount = amount_in(value, &code)?;
    let away = RoundingStrategy::MidpointAwayFromZero;
    let rounded = amount.round_dp_with_strategy(exponent(&code), away);
    let units = rounded.checked_mul(Decimal::from(10_u32.pow(exponent(&code))));
    let units = units.ok_or_else(|| WriteError::unexpected("a smaller amount", value))?;
    Ok(json_number(plain(units)))
}

/// How many decimals of a currency are minor units (ISO 4217).
pub(super) fn exponent(code: &str) -> u32 {
    match code {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// An amount in this currency and no other.
fn amount_in(value: &Json, code: &str) -> Result<Decimal, WriteError> {
    let expected = || WriteError::unexpected(format!("an amount like \"12.5 {code}\""), value);
    let (amount, found) =
        value.as_str().and_then(|text| text.split_once(' ')).ok_or_else(expected)?;
    let amount = parse(amount).ok_or_else(expected)?;
    if found != code {
        let WriteError::Unexpected { found, .. } = expected() else { return Err(expected()) };
        return Err(WriteError::WrongCurrency { expected: code.to_owned(), found });
    }
    Ok(amount)
}

fn code(currency: &Operand, env: &Env) -> Result<String, ReadError> {
    let missing = || ReadError::Missing { what: currency.label() };
    let value = currency.resolve(env).ok_or_else(missing)?;
    let code = value.as_str().filter(|code| is_currency(code));
    let code =
        code.ok_or_else(|| ReadError::unexpected("a currency code of three letters", &value))?;
    Ok(code.to_ascii_uppercase())
}

pub(super) fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// `units / 10^places` if that is exact; 28 decimals is where `Decimal` ends.
fn shrunk(units: Decimal, places: u32) -> Option<Decimal> {
    let mut major = units.normalize();
    major.set_scale(places).ok()?;
    Some(major)
}

fn parse(text: &str) -> Option<Decimal> {
    let (negative, digits, fraction) = shifted(text)?;
    let mut plain = signed(negative, &digits);
    if !fraction.is_empty() {
        plain = format!("{}{digits}.{fraction}", if negative { "-" } else { "" });
    }
    Decimal::from_str_exact(&plain).ok()
}

/// Sign, integer digits (at least "0") and fraction digits, the exponent worked in and idle
/// zeros gone.
fn shifted(text: &str) -> Option<(bool, String, String)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let negative = mantissa.starts_with('-');
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let shift: i32 = exponent.parse().ok()?;
    let distance = shift.unsigned_abs() as usize;
    if distance > EXPONENT_MAX {
        return None;
    }
    let zeros = "0".repeat(distance);
    let (digits, point) = if shift < 0 {
        (format!("{zeros}{whole}{fraction}"), whole.len())
    } else {
        (format!("{whole}{fraction}{zeros}"), whole.len() + distance)
    };
    let (whole, fraction) = digits.split_at(point);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some((negative, whole.to_owned(), fraction.trim_end_matches('0').to_owned()))
}

fn signed(negative: bool, digits: &str) -> String {
    if negative && digits != "0" { format!("-{digits}") } else { digits.to_owned() }
}

fn padded(plain: String, places: usize) -> String {
    let have = plain.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let point = if have == 0 && places > 0 { "." } else { "" };
    format!("{plain}{point}{}", "0".repeat(places.saturating_sub(have)))
}

fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A JSON number with these digits; `plain` is always in JSON's grammar.
pub(super) fn json_number(plain: String) -> Json {
    Json::Number(serde_json::Number::from_string_unchecked(plain))
}
