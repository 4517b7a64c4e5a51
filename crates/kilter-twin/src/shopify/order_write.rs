//! Orders afterwards: changed, cancelled, closed, paid; what is computed of them.
//!
//! Reads   the inputs of the `order…` mutations.
//! Writes  orders; stock that a cancellation gives back.
//! Never   undoes a cancellation.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::coerce::{flag, items, map, text};
use super::execute::Out;
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number, tail};
use super::money;
use super::shop::Shop;
use super::store::Object;

fn nobody() -> Value {
    refused(&[UserError::new(&["id"], "", "Order does not exist")])
}

impl Shop {
    pub fn order_changed(&mut self, id: u64) {
        self.total_up(id);
        self.fire("orders/updated", "Order", id);
    }

    pub fn order_update(&mut self, args: &Object) -> Answer<Value> {
        let input = map(args, "input").cloned().unwrap_or_default();
        let own = text(&input, "id").unwrap_or("").to_owned();
        let id = number(&own, "Order");
        if self.store.get("Order", id).is_none() {
            return Ok(nobody());
        }
        for name in ["email", "phone", "note", "poNumber", "customAttributes"] {
            if let Some(value) = input.get(name) {
                self.put(&own, name, value.clone());
            }
        }
        if input.contains_key("tags") {
            let tags = super::product_write::tags(&super::coerce::texts(&input, "tags"));
            self.put(&own, "tags", tags);
        }
        if let Some(given) = map(&input, "shippingAddress") {
            let number = self.next_id();
            self.put(&own, "shippingAddress", super::customers::address(number, given));
        }
        for item in items(&input, "metafields").iter().filter_map(Value::as_object) {
            self.put_metafield(&own, item);
        }
        self.order_changed(id);
        Ok(json!({ "order": own, "userErrors": [] }))
    }

    pub fn order_cancel(&mut self, args: &Object) -> Answer<Value> {
        let id = number(text(args, "orderId").unwrap_or(""), "Order");
        let refuse = |code: &'static str, message: &str| {
            let error = UserError::new(&["orderId"], code, message).show();
            Ok(json!({ "job": null, "orderCancelUserErrors": [error] }))
        };
        let Some(row) = self.store.get("Order", id) else {
            return refuse("NOT_FOUND", "Order does not exist");
        };
        if !row.text("cancelledAt").is_empty() {
            return refuse("INVALID", "Cannot cancel an order that has already been canceled");
        }
        let fulfilled = self.lines_of(id).into_iter().any(|line| {
            self.store.get("LineItem", line).is_some_and(|l| l.number("_fulfilled") > 0)
        });
        if fulfilled {
            return refuse("INVALID", "Cannot cancel an order with fulfilled line items");
        }
        let refund =
            map(args, "refundMethod").is_some_and(|m| flag(m, "originalPaymentMethodsRefund"));
        let reason = text(args, "reason").unwrap_or("OTHER").to_owned();
        self.cancel(id, &reason, flag(args, "restock"), refund);
        let job = self.next_id();
        let job = json!({ "id": gid("Job", job), "done": false });
        Ok(json!({ "job": job, "orderCancelUserErrors": [] }))
    }

    pub fn cancel(&mut self, id: u64, reason: &str, restock: bool, refund: bool) {
        let own = gid("Order", id);
        let now = self.utc(self.now());
        for line in self.lines_of(id) {
            let Some(row) = self.store.get("LineItem", line) else { continue };
            let left = row.number("currentQuantity") - row.number("_fulfilled");
            self.give_back(line, left, restock, false);
            self.put(&gid("LineItem", line), "currentQuantity", json!(0));
        }
        self.put(&own, "cancelledAt", json!(now));
        self.put(&own, "cancelReason", json!(reason));
        for of in
            self.store.get("Order", id).map(|o| o.texts("fulfillmentOrders")).unwrap_or_default()
        {
            self.put(&of, "status", json!("CLOSED"));
        }
        if refund {
            let received = self.stored("Order", id, "totalReceivedSet");
            let parent = self.store.get("Order", id).and_then(|o| o.texts("transactions").pop());
            let gateway = parent
                .as_ref()
                .and_then(|p| self.store.find(p))
                .map(|(_, t)| t.text("gateway").to_owned());
            let amount = money::of_bag(&received);
            if amount > Decimal::ZERO {
                let gateway = gateway.unwrap_or_default();
                self.add_transaction(id, "REFUND", "SUCCESS", &gateway, amount, parent);
            }
        }
        self.total_up(id);
        self.fire("orders/cancelled", "Order", id);
        self.fire("orders/updated", "Order", id);
    }

    pub fn order_close(&mut self, args: &Object, close: bool) -> Answer<Value> {
        let own = map(args, "input").and_then(|i| text(i, "id")).unwrap_or("").to_owned();
        let id = number(&own, "Order");
        if self.store.get("Order", id).is_none() {
            return Ok(nobody());
        }
        let now = self.utc(self.now());
        self.put(&own, "closedAt", if close { json!(now) } else { Value::Null });
        self.put(&own, "closed", json!(close));
        self.order_changed(id);
        Ok(json!({ "order": own, "userErrors": [] }))
    }

    pub fn order_paid(&mut self, args: &Object) -> Answer<Value> {
        let own = map(args, "input").and_then(|i| text(i, "id")).unwrap_or("").to_owned();
        let id = number(&own, "Order");
        if self.store.get("Order", id).is_none() {
            return Ok(nobody());
        }
        let left = money::of_bag(&self.stored("Order", id, "totalOutstandingSet"));
        if left.is_zero() {
            let error = UserError::new(&["id"], "", "Order cannot be marked as paid.");
            return Ok(refused(&[error]));
        }
        self.add_transaction(id, "SALE", "SUCCESS", "manual", left, None);
        self.total_up(id);
        self.fire("orders/paid", "Order", id);
        self.fire("orders/updated", "Order", id);
        Ok(json!({ "order": own, "userErrors": [] }))
    }

    pub fn of_order(&mut self, id: u64, name: &str, args: &Object) -> Answer<Option<Out>> {
        Ok(match name {
            "lineItems" => {
                let tick = self.tick;
                if self.audit.by_client {
                    self.note_told(id, tick);
                }
                None
            }
            "transactions" | "refunds" | "fulfillments" => {
                Some(Self::first_of(self.stored("Order", id, name), args).into())
            }
            "fulfillmentOrders" => {
                let ids: Vec<u64> = self
                    .store
                    .get("Order", id)
                    .map(|o| o.texts(name))
                    .unwrap_or_default()
                    .iter()
                    .map(|g| tail(g))
                    .collect();
                Some(Out::List(self.related("FulfillmentOrder", &ids, name, args)))
            }
            "events" => Some(Out::List(self.events_of(&gid("Order", id), args))),
            "suggestedRefund" => Some(self.suggested_refund(id, args).into()),
            _ => None,
        })
    }
}
