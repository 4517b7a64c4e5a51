//! The shop's clock, which may run faster than ours, and its ways of writing dates.
//!
//! Reads   the machine's clock, multiplied by the setting `clock`.
//! Writes  nothing.
//! Never   shows a fraction of a second: the platform's precision is one second.

use std::time::Instant;

use jiff::{Timestamp, tz::TimeZone};

/// Thousandths of a second since 1970, UTC.
pub type Moment = i64;

#[derive(Debug)]
pub struct Clock {
    started: Instant,
    first: Moment,
    factor: i64,
}

impl Clock {
    pub fn new(factor: i64) -> Self {
        let first = Timestamp::now().as_millisecond();
        Self { started: Instant::now(), first, factor: factor.max(1) }
    }

    pub fn now(&self) -> Moment {
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.first.saturating_add(elapsed.saturating_mul(self.factor))
    }
}

/// `2026-11-23T07:51:11Z`, as GraphQL shows it.
pub fn utc(moment: Moment) -> String {
    local(moment, 0).replace("+00:00", "Z")
}

/// `2026-11-23T02:51:11-05:00`, as a webhook's payload shows it.
pub fn local(moment: Moment, offset_minutes: i64) -> String {
    let second = moment.div_euclid(1000) + offset_minutes * 60;
    let Ok(at) = Timestamp::from_second(second) else { return String::new() };
    let sign = if offset_minutes < 0 { '-' } else { '+' };
    let minutes = offset_minutes.abs();
    format!("{}{sign}{:02}:{:02}", TimeZone::UTC.to_datetime(at), minutes / 60, minutes % 60)
}

/// A date as a client may write it: with a zone, without one, or a day alone.
pub fn parse(text: &str) -> Option<Moment> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let date = match text.parse::<jiff::civil::DateTime>() {
        Ok(date) => date,
        Err(_) => {
            text.parse::<jiff::civil::Date>().ok()?.to_datetime(jiff::civil::Time::midnight())
        }
    };
    Some(TimeZone::UTC.to_timestamp(date).ok()?.as_millisecond())
}
