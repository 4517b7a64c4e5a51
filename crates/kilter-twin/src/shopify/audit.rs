//! The stock check: does a client overwrite sales it has not been told of?
//!
//! Reads   every answer that carries a stock figure or an order, every acknowledged webhook.
//! Writes  its own record: raises, violations, races, what was oversold.
//! Never   changes stock and never refuses a write.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::gid;
use super::shop::Shop;

/// Most violations and races that are kept word for word.
const KEPT_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub struct Audit {
    /// Tick of the client's last read of a level's figure.
    pub read: BTreeMap<u64, u64>,
    /// False while a person or the shop itself acts.
    pub by_client: bool,
    checked: u64,
    violations: Vec<Value>,
    races: Vec<Value>,
    /// Level → (order, units sold below zero).
    pub oversold: BTreeMap<u64, Vec<(u64, i64)>>,
    /// Order → (tick it last took stock, tick the client was last told of it).
    pub orders: BTreeMap<u64, (u64, u64)>,
    /// Level → orders that took from it.
    pub takers: BTreeMap<u64, Vec<u64>>,
}

impl Audit {
    pub fn show(&self) -> Value {
        json!({ "checked": self.checked, "violations": self.violations, "races": self.races })
    }
}

impl Shop {
    pub fn note_stock_read(&mut self, level: u64) {
        if !self.audit.by_client {
            return;
        }
        let tick = self.next_tick();
        self.audit.read.insert(level, tick);
    }

    /// The client was told of this order, lines included, as it stood at `tick`.
    pub fn note_told(&mut self, order: u64, tick: u64) {
        if let Some((_, told)) = self.audit.orders.get_mut(&order) {
            *told = (*told).max(tick);
        }
    }

    /// An order took stock.
    pub fn note_taken(&mut self, order: u64, level: u64, oversold: i64) {
        let tick = self.next_tick();
        self.audit.orders.entry(order).or_default().0 = tick;
        let takers = self.audit.takers.entry(level).or_default();
        if !takers.contains(&order) {
            takers.push(order);
        }
        if oversold > 0 {
            self.audit.oversold.entry(level).or_default().push((order, oversold));
        }
    }

    /// A write raises a figure. Sales of which the client has not been told: a violation when it
    /// has read the figure since the sale, a race when it has not.
    pub fn note_raise(&mut self, level: u64, from: i64, to: i64) {
        if !self.audit.by_client || to <= from {
            return;
        }
        self.audit.checked += 1;
        let read = self.audit.read.get(&level).copied().unwrap_or(0);
        let (mut seen, mut later) = (Vec::new(), Vec::new());
        for order in self.audit.takers.get(&level).into_iter().flatten() {
            let cancelled = self.store.get("Order", *order);
            if cancelled.is_none_or(|o| !o.text("cancelledAt").is_empty()) {
                continue;
            }
            let (taken, told) = self.audit.orders.get(order).copied().unwrap_or_default();
            match (told >= taken, taken < read) {
                (true, _) => {}
                (false, true) => seen.push(*order),
                (false, false) => later.push(*order),
            }
        }
        let (sku, place) = self.level_names(level);
        let at = self.utc(self.now());
        let entry = |orders: Vec<u64>| {
            json!({
                "level": level, "sku": sku, "location": place, "from": from, "to": to, "at": at,
                "unseen_orders": orders,
            })
        };
        let violation = (!seen.is_empty()).then(|| entry(seen));
        let race = (!later.is_empty()).then(|| entry(later));
        if self.audit.violations.len() + self.audit.races.len() < KEPT_MAX {
            self.audit.violations.extend(violation);
            self.audit.races.extend(race);
        }
    }

    pub fn level_names(&self, level: u64) -> (String, String) {
        let Some(row) = self.store.get("InventoryLevel", level) else { return Default::default() };
        let item = self.store.find(row.text("item")).map(|(_, item)| item);
        let variant = item.and_then(|item| self.store.find(item.text("variant")));
        let sku = variant.map_or(String::new(), |(_, v)| v.text("sku").to_owned());
        let place = self.store.find(row.text("location"));
        (sku, place.map_or(String::new(), |(_, l)| l.text("name").to_owned()))
    }

    /// Everything ever sold below zero, and where it stands.
    pub fn show_oversold(&self) -> Value {
        let mut units = 0;
        let mut rows = Vec::new();
        for (level, sales) in &self.audit.oversold {
            let (sku, location) = self.level_names(*level);
            let stock = self.quantity(*level, "available");
            let sum: i64 = sales.iter().map(|(_, units)| units).sum();
            units += sum;
            let orders: Vec<Value> = sales
                .iter()
                .map(|(order, units)| json!({ "order": order, "units": units }))
                .collect();
            let item = self.store.get("InventoryLevel", *level);
            let item = item.map_or(0, |row| gid::tail(row.text("item")));
            rows.push(json!({
                "level": level, "inventory_item": item, "sku": sku, "location": location,
                "stock_quantity": stock, "below_zero": (-stock).max(0), "units": sum,
                "orders": orders,
            }));
        }
        json!({ "units": units, "products": rows })
    }
}
