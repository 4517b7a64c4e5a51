//! How often the API was called.
//!
//! Reads   nothing.
//! Writes  its own counts.
//! Never   counts the back office.

use std::collections::BTreeMap;

use serde_json::{Value, json};

#[derive(Debug, Default)]
struct Count {
    calls: u64,
    items: u64,
    classes: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
pub struct Calls {
    total: u64,
    reads: u64,
    writes: u64,
    classes: BTreeMap<String, u64>,
    routes: BTreeMap<String, Count>,
}

impl Calls {
    /// One call: `items` is what a batch carried or a list answered, 1 otherwise.
    pub fn note(&mut self, method: &str, template: &str, items: u64, status: u16) {
        self.total += 1;
        if matches!(method, "GET" | "HEAD" | "OPTIONS") {
            self.reads += 1;
        } else {
            self.writes += 1;
        }
        let class = format!("{}xx", status / 100);
        *self.classes.entry(class.clone()).or_default() += 1;
        let count = self.routes.entry(format!("{method} {template}")).or_default();
        count.calls += 1;
        count.items += items;
        *count.classes.entry(class).or_default() += 1;
    }

    pub fn show(&self) -> Value {
        let routes: BTreeMap<&String, Value> = self
            .routes
            .iter()
            .map(|(name, c)| {
                (name, json!({ "calls": c.calls, "items": c.items, "statuses": c.classes }))
            })
            .collect();
        json!({
            "total": self.total, "reads": self.reads, "writes": self.writes,
            "statuses": self.classes, "routes": routes,
        })
    }
}

/// `/wc/v3/products/11/variations/13` → `/products/{id}/variations/{id}`.
pub fn template(path: &str) -> String {
    let path = path.strip_prefix("/wc/v3").unwrap_or(path);
    let parts = path.split('/').map(|part| {
        let id = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if id { "{id}" } else { part }
    });
    let joined = parts.collect::<Vec<_>>().join("/");
    if joined.is_empty() { "/".to_owned() } else { joined }
}
