//! Refunds: they leave the order's total alone and restock by default.
//!
//! Reads   the order.
//! Writes  refunds, the order's state when nothing is left, stock.
//! Never   moves money: a gateway that is not named in `refund_gateways` fails, as a real one does.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::api::{Answer, Fail, Object, id_of, loose_text, truthy, whole};
use super::model::{Charge, Line, Meta, Refund};
use super::money;
use super::shop::Shop;

/// HTTP 500 whose `data` is a number, as observed.
fn cannot(message: &str) -> Fail {
    let code = "woocommerce_rest_cannot_create_order_refund";
    Fail { status: 500, code: code.to_owned(), message: message.to_owned(), data: json!(500) }
}

fn given_items(body: &Object) -> impl Iterator<Item = &Value> {
    body.get("line_items").and_then(Value::as_array).into_iter().flatten()
}

/// What an item of a refund gives back: without tax, and the tax.
fn given_back(item: &Value) -> (Decimal, Decimal) {
    let total = money::given(item.get("refund_total")).unwrap_or_default();
    let taxes = item.get("refund_tax").and_then(Value::as_array).into_iter().flatten();
    let tax = taxes.filter_map(|tax| money::given(tax.get("refund_total"))).sum();
    (total, tax)
}

impl Shop {
    pub fn create_refund(&mut self, order_id: u64, body: &Object) -> Answer<u64> {
        let Some(order) = self.orders.get(&order_id).cloned() else {
            return Err(Fail::new(404, "woocommerce_rest_invalid_order_id", "Invalid order ID."));
        };
        let lines = self.refund_lines(&order.lines, body);
        let shipping_lines = self.refund_charges(&order.shipping_lines, body);
        let fees = self.refund_charges(&order.fees, body);
        let charges = shipping_lines.iter().chain(&fees).map(|c| c.total + c.total_tax);
        let sums = lines.iter().map(|l| l.total + l.total_tax).chain(charges);
        let of_lines = -sums.sum::<Decimal>();
        let amount = money::given(body.get("amount")).unwrap_or(of_lines);
        if amount < Decimal::ZERO || body.get("amount").is_none() && of_lines.is_zero() {
            let message = "Refund amount must be greater than zero.";
            return Err(Fail::new(400, "woocommerce_rest_invalid_order_refund", message));
        }
        let done: Decimal =
            order.refunds.iter().filter_map(|id| self.refunds.get(id)).map(|r| r.amount).sum();
        let left = money::round(order.totals.total, self.settings.decimals) - done;
        if amount > left {
            return Err(cannot("Invalid refund amount."));
        }
        let by_gateway = body.get("api_refund").is_none_or(truthy);
        let gateway = order.field("payment_method").to_owned();
        if by_gateway && !self.settings.refund_gateways.contains(&gateway) {
            let why = if gateway.is_empty() {
                "The payment gateway for this order does not exist."
            } else {
                "The payment gateway for this order does not support automatic refunds."
            };
            return Err(cannot(why));
        }
        let id = self.next_post();
        self.ids.meta += 1;
        let kind = if amount == left { "full" } else { "partial" };
        let meta = Meta { id: self.ids.meta, key: "_refund_type".to_owned(), value: json!(kind) };
        let reason = body.get("reason").map(loose_text).unwrap_or_default();
        let restock = body.get("api_restock").is_none_or(truthy);
        let refund = Refund {
            id,
            order: order_id,
            amount,
            reason,
            paid: by_gateway,
            lines: lines.clone(),
            shipping_lines,
            fees,
            meta: vec![meta],
            created: self.now(),
        };
        self.refunds.insert(id, refund);
        if restock {
            self.restock(order_id, &lines);
        }
        let now = self.now();
        if let Some(order) = self.orders.get_mut(&order_id) {
            order.refunds.insert(0, id);
            order.modified = now;
            if amount == left {
                order.status = "refunded".to_owned();
            }
        }
        self.fire("order.updated", order_id);
        Ok(id)
    }

    fn refund_lines(&mut self, lines: &[Line], body: &Object) -> Vec<Line> {
        let mut out = Vec::new();
        for given in given_items(body) {
            let id = id_of(given.get("id"));
            let Some(line) = lines.iter().find(|line| line.id == id) else { continue };
            let quantity = given.get("quantity").and_then(whole).unwrap_or(0);
            let (total, tax) = given_back(given);
            let (row, meta) = self.refunded_item(id);
            out.push(Line {
                id: row,
                quantity: -quantity,
                subtotal: -total,
                total: -total,
                subtotal_tax: -tax,
                total_tax: -tax,
                meta: vec![meta],
                reduced: 0,
                restocked: 0,
                ..line.clone()
            });
        }
        out
    }

    /// Shipping lines and fees are named among `line_items` too, by their ids.
    fn refund_charges(&mut self, charges: &[Charge], body: &Object) -> Vec<Charge> {
        let mut out = Vec::new();
        for given in given_items(body) {
            let id = id_of(given.get("id"));
            let Some(charge) = charges.iter().find(|charge| charge.id == id) else { continue };
            let (total, tax) = given_back(given);
            let (row, meta) = self.refunded_item(id);
            out.push(Charge {
                id: row,
                total: -total,
                total_tax: -tax,
                meta: vec![meta],
                ..charge.clone()
            });
        }
        out
    }

    /// A refund's own item, and which of the order's it gives back.
    fn refunded_item(&mut self, of: u64) -> (u64, Meta) {
        self.ids.line += 1;
        self.ids.meta += 1;
        let key = "_refunded_item_id".to_owned();
        (self.ids.line, Meta { id: self.ids.meta, key, value: json!(of.to_string()) })
    }

    /// Puts refunded units of lines that hold stock back.
    fn restock(&mut self, order_id: u64, lines: &[Line]) {
        for refunded in lines {
            let item = refunded.item();
            let Some(order) = self.orders.get_mut(&order_id) else { return };
            let hit = order.lines.iter_mut().find(|line| {
                let id = json!(line.id.to_string());
                refunded.meta.first().is_some_and(|meta| meta.value == id)
            });
            let Some(line) = hit else { continue };
            let units = (-refunded.quantity).min(line.reduced);
            if units <= 0 {
                continue;
            }
            line.reduced -= units;
            line.restocked += units;
            self.move_stock(item, units, order_id);
        }
    }
}
