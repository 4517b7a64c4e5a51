//! When: how often a listing is polled, and at what hour everything is read again.

use std::collections::BTreeSet;

use kilter_core::schedule::{SWEEP_SPREAD_SECONDS, every_seconds, last_sweep, minute_of_day};
use kilter_core::sync::house::House;
use proptest::prelude::*;

use crate::support::house::{CONFIG, house};

const DAY: i64 = 86_400;
/// 2026-03-01T00:00:00Z.
const MIDNIGHT: i64 = 1_772_323_200;

fn every(house: &House, connection: &str, resource: &str) -> i64 {
    every_seconds(&house.view(connection, resource).unwrap())
}

fn with(lines: &str) -> House {
    house(&CONFIG.replace("buffer     = 1", lines))
}

/// Orders and stock each minute, prices every five, content each hour: the entities say so.
#[test]
fn without_a_word_the_entity_says_how_often() {
    let house = house(CONFIG);
    let said = [("orders", 60), ("stock", 60), ("prices", 300), ("products", 3600)];
    for (resource, seconds) in said {
        assert_eq!(every(&house, "erp", resource), seconds, "{resource}");
    }
}

/// The connection's word on a resource, then on its entity, then the connector's, then the entity's.
#[test]
fn the_most_particular_word_counts() {
    let mut said = with("every = { order = \"2m\", variants = \"3m\", variant = \"4m\" }");
    let stall = said.connectors.get_mut("stall").unwrap();
    stall.resources.iter_mut().for_each(|r| r.every_seconds = Some(7));
    let said = House::new(said.entities, said.connectors, said.config);
    for (resource, seconds) in [("orders", 120), ("variants", 180), ("products", 7)] {
        assert_eq!(every(&said, "north", resource), seconds, "{resource}");
        assert_eq!(every(&said, "south", resource), 7, "another connection is not meant");
    }
}

#[test]
fn a_sweep_belongs_to_an_hour_and_each_connection_has_a_moment_of_its_own() {
    let lines = "sweep = { at = \"22:15\", order = \"05:00\", variants = \"06:00\" }";
    let house = with(lines);
    let due = |connection: &str, resource: &str| {
        last_sweep(&house.view(connection, resource).unwrap(), MIDNIGHT + DAY - 1) - MIDNIGHT
    };
    let begins = |at: &str| i64::from(minute_of_day(at).unwrap()) * 60;
    let said = [
        ("north", "products", "22:15"),
        ("north", "orders", "05:00"),
        ("north", "variants", "06:00"),
        ("south", "products", "03:00"),
        ("erp", "orders", "03:00"),
    ];
    for (connection, resource, at) in said {
        let late = due(connection, resource) - begins(at);
        assert!((0..SWEEP_SPREAD_SECONDS).contains(&late), "{connection} {resource}: {late}");
    }
    let moments: BTreeSet<i64> = ["erp", "north", "south"]
        .map(|c| last_sweep(&house.view(c, "products").unwrap(), MIDNIGHT) % 3600)
        .into();
    assert_eq!(moments.len(), 3, "not all at once");
}

#[test]
fn a_time_of_day_is_two_digits_twice() {
    for (text, minute) in [("00:00", Some(0)), ("03:00", Some(180)), ("23:59", Some(1439))] {
        assert_eq!(minute_of_day(text), minute, "{text}");
    }
    for text in ["24:00", "03:60", "3:00", "0300", "03:0", "-1:00", "+3:00", ""] {
        assert_eq!(minute_of_day(text), None, "{text}");
    }
}

proptest! {
    /// Whenever it is asked: the moment has passed, by less than a day, and one day later it is
    /// another day's. So a sweep that was missed is due at once, and one that was done is not.
    #[test]
    fn the_last_moment_lies_within_the_last_day(now in MIDNIGHT..MIDNIGHT + 400 * DAY) {
        let house = house(CONFIG);
        let view = house.view("north", "products").unwrap();
        let last = last_sweep(&view, now);
        prop_assert!(last <= now && now - last < DAY);
        prop_assert_eq!(last_sweep(&view, last), last);
        prop_assert_eq!(last_sweep(&view, now + DAY), last + DAY);
    }
}
