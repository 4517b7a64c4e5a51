//! The clock of the shop and its way of writing dates: whole seconds, no zone.
//!
//! Reads   the machine's clock, multiplied by `clock_rate`.
//! Writes  nothing.
//! Never   gives a fraction of a second: the platform has none.

use std::time::Instant;

use jiff::{Timestamp, civil, tz::TimeZone};

/// A moment as the shop knows it: seconds since 1970, UTC.
pub type Second = i64;

#[derive(Debug)]
pub struct Clock {
    started: Instant,
    first: Second,
    rate_milli: i64,
}

impl Clock {
    pub fn new(rate_milli: i64) -> Self {
        Self { started: Instant::now(), first: Timestamp::now().as_second(), rate_milli }
    }

    pub fn now(&self) -> Second {
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.first + elapsed.saturating_mul(self.rate_milli) / 1_000_000
    }
}

/// `2026-11-23T07:51:11`, moved by `offset` seconds.
pub fn text(moment: Second, offset: i64) -> String {
    Timestamp::from_second(moment + offset)
        .map(|t| TimeZone::UTC.to_datetime(t).to_string())
        .unwrap_or_default()
}

/// A date as a client may send it. `None` when it is not one. A date with a zone (`Z`,
/// `+02:00`) is moved into site time; one without is taken as it stands.
pub fn as_site_time(given: &str, offset: i64) -> Option<Second> {
    let given = given.trim();
    if let Ok(moment) = given.parse::<Timestamp>() {
        return Some(moment.as_second() + offset);
    }
    plain(given)
}

/// A date without zone, as seconds of the calendar it is written in.
pub fn plain(given: &str) -> Option<Second> {
    let given = given.trim().replace(' ', "T");
    let date: civil::DateTime = match given.parse() {
        Ok(date) => date,
        Err(_) => given.parse::<civil::Date>().ok()?.to_datetime(civil::Time::midnight()),
    };
    Some(TimeZone::UTC.to_timestamp(date).ok()?.as_second())
}
