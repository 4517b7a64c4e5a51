//! Schedule: how often a listing is polled, and when everything is read again.
//!
//! Reads   the house; times in seconds since 1970, given.   Writes  nothing.
//! Never   looks at a clock, nor counts from a start: a sweep belongs to an hour, so that a restart
//!         neither skips one nor brings it forward.
//!
//! | says how often                     | says when it is swept               |
//! |------------------------------------|-------------------------------------|
//! | `every` of the connection: its own name, then the entity that it shows | `sweep` of the connection, likewise |
//! | `every` of the connector's resource | `sweep` of `[kilter]`              |
//! | `every` of the entity               | 03:00 UTC                          |

use crate::sync::house::{House, View};

/// Where nobody says how often.
const EVERY_SECONDS: i64 = 3600;

/// 03:00 UTC.
pub const SWEEP_MINUTE: u32 = 180;

/// Connections begin within this long after their hour, each at a moment of its own.
pub const SWEEP_SPREAD_SECONDS: i64 = 1800;

const DAY: i64 = 86_400;

/// Seconds between two polls of a resource.
pub fn every_seconds(view: &View<'_>) -> i64 {
    let said = |name: &String| view.connection.every.get(name).copied();
    let entity = view.house.entities.get(&view.resource.root);
    said(&view.resource.name)
        .or_else(|| said(&view.resource.root))
        .or(view.resource.every_seconds)
        .or_else(|| entity.and_then(|e| e.every_seconds))
        .unwrap_or(EVERY_SECONDS)
        .max(1)
}

/// Minute of the day, UTC, from which a resource is swept.
fn sweep_minute(view: &View<'_>) -> u32 {
    let sweep = &view.connection.sweep;
    let said = sweep.get(&view.resource.name).or_else(|| sweep.get(&view.resource.root));
    said.or_else(|| sweep.get(ALL)).copied().unwrap_or(view.house.config.sweep_minute)
}

/// The key of a connection's hour for everything that no other key names.
pub const ALL: &str = "at";

/// The newest moment, not after `now`, at which this resource should have been swept.
pub fn last_sweep(view: &View<'_>, now: i64) -> i64 {
    let at = i64::from(sweep_minute(view)) * 60 + spread(view.house, &view.connection.name);
    let today = now - now.rem_euclid(DAY) + at;
    if today <= now { today } else { today - DAY }
}

/// The same for a connection for ever, whatever others there are.
fn spread(house: &House, connection: &str) -> i64 {
    let account = house.config.connections.get(connection).map_or("", |c| c.account.as_str());
    let hash = blake3::hash(format!("{connection}\u{1f}{account}").as_bytes());
    let [a, b, ..] = *hash.as_bytes();
    i64::from(u16::from_be_bytes([a, b])) % SWEEP_SPREAD_SECONDS
}

/// `03:00` as a minute of the day.
pub fn minute_of_day(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    let two = |text: &str| text.parse::<u32>().ok().filter(|_| digits(text));
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}
