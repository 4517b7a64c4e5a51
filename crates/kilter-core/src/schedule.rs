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

/// How far back one looks for what is usual: a week, and the day before it that a window reaches into.
pub const HISTORY_HOURS: i64 = 8 * 24;

/// Hours of silence that are held against what is usual, the shortest first.
const WINDOWS: [i64; 5] = [1, 2, 4, 12, 24];

/// So many webhooks must be usual. If they come by chance, none at all happens once in e²⁰ times.
const USUAL_LEAST: i64 = 20;

/// A connection of which nothing is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    pub hours: i64,
    /// How many webhooks came in the same hours of the day, on average of the days before.
    pub usual: i64,
}

/// Is it too quiet? `heard`: hour since 1970 → how many webhooks came. `hour`: the one that runs.
/// What is usual is learned from a whole day at least, and from the week before at most; the hours of the
/// day are compared with themselves, since shops sleep at night.
pub fn silence(heard: &std::collections::BTreeMap<i64, i64>, hour: i64) -> Option<Silence> {
    let first = *heard.keys().next()?;
    let came = |from: i64, to: i64| heard.range(from..to).map(|(_, n)| n).sum::<i64>();
    WINDOWS.iter().find_map(|hours| {
        let from = hour - hours;
        // The running hour counts as well: one that was heard just now is not silent.
        if came(from, hour + 1) > 0 {
            return None;
        }
        let days = (1..=7).take_while(|day| from - day * 24 >= first).count();
        let days = i64::try_from(days).unwrap_or(0);
        let total: i64 = (1..=days).map(|day| came(from - day * 24, hour - day * 24)).sum();
        let usual = if days == 0 { 0 } else { total / days };
        (usual >= USUAL_LEAST).then_some(Silence { hours: *hours, usual })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A shop that is busy from eight to twenty, `n` webhooks an hour, until an hour.
    fn busy(n: i64, until: i64) -> BTreeMap<i64, i64> {
        let awake = |hour: &i64| (8..20).contains(&hour.rem_euclid(24));
        (0..until).filter(awake).map(|hour| (hour, n)).collect()
    }

    const NOON: i64 = 10 * 24 + 12;

    #[test]
    fn two_hours_without_one_where_forty_are_usual_are_silence() {
        let heard = busy(20, NOON - 2);
        assert_eq!(silence(&heard, NOON), Some(Silence { hours: 1, usual: 20 }));
        let heard = busy(10, NOON - 2);
        assert_eq!(silence(&heard, NOON), Some(Silence { hours: 2, usual: 20 }));
    }

    #[test]
    fn the_night_is_quiet_and_a_shop_that_sells_little_too() {
        let heard = busy(40, NOON);
        assert_eq!(silence(&heard, 10 * 24 + 7), None, "at seven nobody ever came for hours");
        // 24 in a day: only a whole day without any says something.
        let heard = busy(2, NOON - 5);
        assert_eq!(silence(&heard, NOON), None);
        // Sixteen the day before, which ended early, and 24 on each of the six days before that.
        assert_eq!(
            silence(&heard, NOON + 24),
            Some(Silence { hours: 24, usual: (16 + 6 * 24) / 7 })
        );
    }

    #[test]
    fn one_that_came_ends_it_and_a_first_day_says_nothing() {
        let mut heard = busy(40, NOON - 3);
        heard.insert(NOON, 1);
        assert_eq!(silence(&heard, NOON), None);
        let young: BTreeMap<i64, i64> = (NOON - 20..NOON - 3).map(|hour| (hour, 40)).collect();
        assert_eq!(silence(&young, NOON), None);
        assert_eq!(silence(&BTreeMap::new(), NOON), None);
    }
}
