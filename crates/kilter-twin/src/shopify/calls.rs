//! How often the API was called, and what it cost.
//!
//! Reads   nothing.
//! Writes  its own counts.
//! Never   counts the back office.

use std::collections::BTreeMap;

use serde_json::{Value, json};

#[derive(Debug, Default)]
struct Count {
    write: bool,
    calls: u64,
    items: u64,
    points: i64,
    throttled: u64,
    refused: u64,
    classes: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
pub struct Calls {
    total: u64,
    reads: u64,
    writes: u64,
    throttled: u64,
    points: i64,
    classes: BTreeMap<String, u64>,
    routes: BTreeMap<String, Count>,
}

/// One call as it is noted.
#[derive(Debug, Default, Clone)]
pub struct Call {
    /// `MUTATION productSet`, `QUERY products+shop`, `POST /admin/oauth/access_token`.
    pub route: String,
    pub write: bool,
    /// What a list of the input carried or a page answered, 1 otherwise.
    pub items: u64,
    pub points: i64,
    pub throttled: bool,
    /// A mutation answered `userErrors`.
    pub refused: bool,
    pub status: u16,
}

impl Calls {
    pub fn note(&mut self, call: &Call) {
        self.total += 1;
        if call.write {
            self.writes += 1;
        } else {
            self.reads += 1;
        }
        self.throttled += u64::from(call.throttled);
        self.points += call.points;
        let class = format!("{}xx", call.status / 100);
        *self.classes.entry(class.clone()).or_default() += 1;
        let count = self.routes.entry(call.route.clone()).or_default();
        count.write = call.write;
        count.calls += 1;
        count.items += call.items;
        count.points += call.points;
        count.throttled += u64::from(call.throttled);
        count.refused += u64::from(call.refused);
        *count.classes.entry(class).or_default() += 1;
    }

    pub fn show(&self) -> Value {
        let route = |count: &Count| {
            json!({
                "kind": if count.write { "write" } else { "read" }, "calls": count.calls,
                "items": count.items, "points": count.points, "throttled": count.throttled,
                "refused": count.refused, "statuses": count.classes,
            })
        };
        let routes: BTreeMap<&String, Value> =
            self.routes.iter().map(|(name, count)| (name, route(count))).collect();
        json!({
            "total": self.total, "reads": self.reads, "writes": self.writes,
            "throttled": self.throttled, "points": self.points,
            "statuses": self.classes, "routes": routes,
        })
    }
}
