//! Times as platforms write them ↔ canonical times, RFC 3339 in UTC.
//!
//! Reads   texts, numbers and tagged objects.   Writes  the same.
//! Never   asks what time it is; never guesses a zone: a time without one is UTC by its name.

use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, tz::TimeZone};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::json;

use super::{ReadError, WriteError, number};
use crate::Json;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeForm {
    /// `2026-11-23T07:51:15`, meant as UTC. A fraction is read, not written.
    NaiveUtc,
    /// `2026-11-23 07:51:15`, meant as UTC. A fraction is read, not written.
    SqlUtc,
    /// Any offset is read, `Z` is written.
    Rfc3339,
    /// A day, canonical as `2026-11-23`; of a time its day in UTC is written.
    Date,
    /// Seconds since 1970, whole ones written.
    Epoch,
    /// Milliseconds since 1970, whole ones written.
    EpochMs,
    /// `{"__class__":"datetime","year":…}`, in UTC.
    Tagged,
    /// `{"__class__":"date","year":…}`, canonical as `2026-11-23`.
    TaggedDate,
}

impl TimeForm {
    pub(super) const NAMES: [&str; 8] =
        ["naive_utc", "sql_utc", "rfc3339", "date", "epoch", "epoch_ms", "tagged", "tagged_date"];

    pub(super) fn named(name: &str) -> Option<TimeForm> {
        Some(match name {
            "naive_utc" => TimeForm::NaiveUtc,
            "sql_utc" => TimeForm::SqlUtc,
            "rfc3339" => TimeForm::Rfc3339,
            "date" => TimeForm::Date,
            "epoch" => TimeForm::Epoch,
            "epoch_ms" => TimeForm::EpochMs,
            "tagged" => TimeForm::Tagged,
            "tagged_date" => TimeForm::TaggedDate,
            _ => return None,
        })
    }

    fn expected(self) -> &'static str {
        match self {
            TimeForm::NaiveUtc => "a time like \"2026-11-23T07:51:15\"",
            TimeForm::SqlUtc => "a time like \"2026-11-23 07:51:15\"",
            TimeForm::Rfc3339 => "a time like \"2026-11-23T07:51:15Z\"",
            TimeForm::Date => "a date like \"2026-11-23\"",
            TimeForm::Epoch => "seconds since 1970",
            TimeForm::EpochMs => "milliseconds since 1970",
            TimeForm::Tagged => "an object of class datetime",
            TimeForm::TaggedDate => "an object of class date",
        }
    }

    pub(super) fn read(self, value: &Json) -> Result<Json, ReadError> {
        let text = value.as_str();
        let read = match self {
            TimeForm::NaiveUtc => text.and_then(|text| naive(text, b'T')).and_then(canonical),
            TimeForm::SqlUtc => text.and_then(|text| naive(text, b' ')).and_then(canonical),
            TimeForm::Rfc3339 => text.and_then(instant).and_then(canonical),
            TimeForm::Date => text.and_then(day).map(|day| day.to_string()),
            TimeForm::Epoch => epoch(value, 1_000_000).and_then(canonical),
            TimeForm::EpochMs => epoch(value, 1_000).and_then(canonical),
            TimeForm::Tagged => tagged_time(value).and_then(canonical),
            TimeForm::TaggedDate => tagged_date(value, "date").map(|day| day.to_string()),
        };
        read.map(Json::String).ok_or_else(|| ReadError::unexpected(self.expected(), value))
    }

    pub(super) fn write(self, value: &Json) -> Result<Json, WriteError> {
        let text = value.as_str().unwrap_or_default();
        if matches!(self, TimeForm::Date | TimeForm::TaggedDate) {
            let of_time = || instant(text).map(|time| civil(time).date());
            let day = day(text).or_else(of_time);
            let day = day.ok_or_else(|| WriteError::unexpected("a date or a time", value))?;
            return Ok(match self {
                TimeForm::Date => json!(day.to_string()),
                _ => date_tag(day),
            });
        }
        let expected = || WriteError::unexpected(TimeForm::Rfc3339.expected(), value);
        let time = instant(text).ok_or_else(expected)?;
        let micros = micros(time).ok_or_else(expected)?;
        let at = civil(time);
        let clock = at.time().with().subsec_nanosecond(0).build().unwrap_or(at.time());
        Ok(match self {
            TimeForm::NaiveUtc => json!(format!("{}T{clock}", at.date())),
            TimeForm::SqlUtc => json!(format!("{} {clock}", at.date())),
            TimeForm::Epoch => json!(micros.div_euclid(1_000_000)),
            TimeForm::EpochMs => json!(micros.div_euclid(1_000)),
            TimeForm::Tagged => time_tag(at),
            _ => Json::String(canonical(time).ok_or_else(expected)?),
        })
    }
}

/// RFC 3339 in UTC, with a fraction of at most microseconds, and only when there is one.
fn canonical(time: Timestamp) -> Option<String> {
    Some(Timestamp::from_microsecond(micros(time)?).ok()?.to_string())
}

/// Whole microseconds since 1970, towards the past.
fn micros(time: Timestamp) -> Option<i64> {
    i64::try_from(time.as_nanosecond().div_euclid(1_000)).ok()
}

fn civil(time: Timestamp) -> DateTime {
    TimeZone::UTC.to_datetime(time)
}

fn instant(text: &str) -> Option<Timestamp> {
    has_clock(text).then(|| text.parse().ok()).flatten()
}

fn naive(text: &str, between: u8) -> Option<Timestamp> {
    if !has_clock(text) || text.as_bytes().get(10) != Some(&between) {
        return None;
    }
    let plain = |byte: u8| byte.is_ascii_digit() || b"-:.".contains(&byte) || byte == between;
    let at: DateTime = text.bytes().all(plain).then(|| text.parse().ok()).flatten()?;
    TimeZone::UTC.to_timestamp(at).ok()
}

fn day(text: &str) -> Option<Date> {
    (text.len() == 10 && is_day(text)).then(|| text.parse().ok()).flatten()
}

/// `YYYY-MM-DD` at the beginning.
fn is_day(text: &str) -> bool {
    let digit_or_dash = |(at, byte): (usize, &u8)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    text.len() >= 10 && text.as_bytes().iter().take(10).enumerate().all(digit_or_dash)
}

/// A day, then hours, minutes and seconds.
fn has_clock(text: &str) -> bool {
    let bytes = text.as_bytes();
    is_day(text) && bytes.len() >= 19 && bytes[13] == b':' && bytes[16] == b':'
}

fn epoch(value: &Json, micros_per_unit: i64) -> Option<Timestamp> {
    let units = number::decimal(value)?;
    let micros = units.checked_mul(Decimal::from(micros_per_unit))?.floor().to_i64()?;
    Timestamp::from_microsecond(micros).ok()
}

fn tagged_time(value: &Json) -> Option<Timestamp> {
    let day = tagged_date(value, "datetime")?;
    let part = |key: &str| match value.get(key) {
        None => Some(0),
        Some(part) => part.as_i64(),
    };
    let small = |key: &str| part(key).and_then(|part| i8::try_from(part).ok());
    let nanos = i32::try_from(part("microsecond")?.checked_mul(1_000)?).ok()?;
    let (hour, minute, second) = (small("hour")?, small("minute")?, small("second")?);
    let at = DateTime::new(day.year(), day.month(), day.day(), hour, minute, second, nanos).ok()?;
    TimeZone::UTC.to_timestamp(at).ok()
}

fn tagged_date(value: &Json, class: &str) -> Option<Date> {
    let part = |key: &str| value.get(key).and_then(Json::as_i64);
    if value.get("__class__").and_then(Json::as_str) != Some(class) {
        return None;
    }
    let year = i16::try_from(part("year")?).ok()?;
    let month = i8::try_from(part("month")?).ok()?;
    Date::new(year, month, i8::try_from(part("day")?).ok()?).ok()
}

fn date_tag(day: Date) -> Json {
    json!({ "__class__": "date", "year": day.year(), "month": day.month(), "day": day.day() })
}

fn time_tag(at: DateTime) -> Json {
    json!({
        "__class__": "datetime",
        "year": at.year(), "month": at.month(), "day": at.day(),
        "hour": at.hour(), "minute": at.minute(), "second": at.second(),
        "microsecond": at.subsec_nanosecond() / 1_000,
    })
}
