//! The stock check: does a client overwrite sales it has not been told of?
//!
//! Reads   every API answer that carries a stock figure or an order, every acknowledged webhook.
//! Writes  its own record: raises, violations, races, what was oversold.
//! Never   changes stock and never refuses a write.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::shop::Shop;
use super::stock::HOLDING;

#[derive(Debug, Default)]
pub struct Audit {
    /// Tick of the client's last read of a stock figure, by the row that holds it.
    pub read: BTreeMap<u64, u64>,
    /// False while a person or the shop itself acts.
    pub by_client: bool,
    checked: u64,
    violations: Vec<Value>,
    races: Vec<Value>,
    /// Row → (order, units sold below zero).
    pub oversold: BTreeMap<u64, Vec<(u64, i64)>>,
}

impl Audit {
    pub fn oversold(&mut self, product: u64, order: u64, units: i64) {
        self.oversold.entry(product).or_default().push((order, units));
    }

    pub fn show(&self) -> Value {
        json!({ "checked": self.checked, "violations": self.violations, "races": self.races })
    }
}

impl Shop {
    /// The client was answered the stock figure of this row.
    pub fn note_stock_read(&mut self, product: u64) {
        let Some(holder) = self.products.get(&product).and_then(|p| self.holder(p)) else { return };
        let tick = self.next_tick();
        self.audit.read.insert(holder, tick);
    }

    /// The client was told of this order, lines included, as it stood at `tick`.
    pub fn note_told(&mut self, order: u64, tick: u64) {
        if let Some(order) = self.orders.get_mut(&order) {
            order.told = order.told.max(tick);
        }
    }

    /// A write raises a stock figure. Sales that hold stock and of which the client has not been
    /// told: a violation when it has read the figure since the sale, a race when it has not.
    pub fn note_raise(&mut self, product: u64, from: i64, to: i64) {
        if !self.audit.by_client {
            return;
        }
        self.audit.checked += 1;
        let read = self.audit.read.get(&product).copied().unwrap_or(0);
        let (mut seen_figure, mut later) = (Vec::new(), Vec::new());
        for order in self.orders.values() {
            let holding = HOLDING.contains(&order.status.as_str());
            if !holding || order.told >= order.taken {
                continue;
            }
            let mine = order.lines.iter().any(|line| {
                let row = self.products.get(&line.item());
                line.reduced > 0 && row.and_then(|p| self.holder(p)) == Some(product)
            });
            match (mine, order.taken < read) {
                (false, _) => {}
                (true, true) => seen_figure.push(order.id),
                (true, false) => later.push(order.id),
            }
        }
        let sku = self.products.get(&product).map(|p| p.sku.clone());
        let at = self.gmt(self.now());
        let entry = |orders: Vec<u64>| {
            json!({
                "product": product, "sku": sku, "from": from, "to": to, "at": at,
                "unseen_orders": orders,
            })
        };
        let violation = (!seen_figure.is_empty()).then(|| entry(seen_figure));
        let race = (!later.is_empty()).then(|| entry(later));
        self.audit.violations.extend(violation);
        self.audit.races.extend(race);
    }
}
