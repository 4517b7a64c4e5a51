//! Stock and sales: a line leaves stock once and comes back once.
//!
//! Reads   an order's state.
//! Writes  stock figures, the lines' own counters, the record of what was oversold.
//! Never   refuses a sale: the platform sells below zero.

use serde_json::json;

use super::model::Product;
use super::shop::Shop;

pub const HOLDING: &[&str] = &["on-hold", "processing", "completed"];
const RETURNING: &[&str] = &["cancelled", "pending"];

impl Shop {
    /// Brings stock in line with an order's state and lines.
    pub fn settle_stock(&mut self, id: u64) {
        let Some(order) = self.orders.get(&id) else { return };
        let holding = HOLDING.contains(&order.status.as_str());
        let returning = RETURNING.contains(&order.status.as_str()) && order.stock_reduced;
        if !holding && !returning {
            return;
        }
        let first = holding && !order.stock_reduced;
        let mut moves = Vec::new();
        for (at, line) in order.lines.iter().enumerate() {
            let wanted = if holding { line.quantity - line.restocked } else { 0 };
            if wanted != line.reduced && !line.empty {
                moves.push((at, line.item(), line.product_id, line.reduced - wanted));
            }
        }
        let mut said = Vec::new();
        let mut took = false;
        for (at, item, product, delta) in moves {
            if first && let Some(sold) = self.products.get_mut(&product) {
                sold.sales -= delta;
            }
            let Some(step) = self.move_stock(item, delta, id) else { continue };
            took |= delta < 0;
            said.push(step);
            if let Some(order) = self.orders.get_mut(&id) {
                order.lines[at].reduced -= delta;
            }
        }
        let tick = self.next_tick();
        if let Some(order) = self.orders.get_mut(&id) {
            order.stock_reduced = holding;
            if took {
                order.taken = tick;
            }
        }
        if !said.is_empty() {
            let what = if holding { "reduced" } else { "increased" };
            self.add_note(id, &format!("Stock levels {what}: {}", said.join(", ")), false);
        }
    }

    /// Gives back what a removed line had taken.
    pub fn give_back(&mut self, order: u64, item: u64, units: i64) {
        if units != 0 {
            self.move_stock(item, units, order);
        }
    }

    /// Moves the stock that counts for `item`; `None` where nobody manages it.
    pub fn move_stock(&mut self, item: u64, delta: i64, order: u64) -> Option<String> {
        let product = self.products.get(&item)?;
        let name = self.product_name(product);
        let holder = self.holder(product)?;
        let now = self.now();
        let bump = self.settings.sales_bump_modified;
        let row = self.products.get_mut(&holder)?;
        let from = row.stock?;
        let to = from + delta;
        row.stock = Some(to);
        if bump {
            row.modified = now;
        }
        if delta < 0 && to < 0 {
            let units = if from < 0 { -delta } else { -to };
            self.audit.oversold(holder, order, units);
        }
        self.fire("product.updated", holder);
        Some(format!("{name} ({from}&rarr;{to})"))
    }

    /// Everything ever sold below zero, and where it stands.
    pub fn show_oversold(&self) -> serde_json::Value {
        let rows = self.audit.oversold.iter();
        let out: Vec<serde_json::Value> = rows
            .map(|(id, sales)| {
                let product = self.products.get(id);
                let stock = product.and_then(|p| p.stock);
                let orders: Vec<serde_json::Value> = sales
                    .iter()
                    .map(|(order, units)| json!({ "order": order, "units": units }))
                    .collect();
                json!({
                    "product": id, "sku": product.map(|p| p.sku.clone()),
                    "parent": product.map_or(0, |p| p.parent), "stock_quantity": stock,
                    "below_zero": stock.map_or(0, |s| (-s).max(0)),
                    "units": sales.iter().map(|(_, units)| units).sum::<i64>(),
                    "orders": orders,
                })
            })
            .collect();
        let units: i64 = self.audit.oversold.values().flatten().map(|(_, units)| units).sum();
        json!({ "units": units, "products": out })
    }

    pub fn sku_holder(&self, sku: &str) -> Option<&Product> {
        let id = self.skus.get(&super::text::sku(sku).to_lowercase())?;
        self.products.get(id).filter(|p| !p.trashed())
    }
}
