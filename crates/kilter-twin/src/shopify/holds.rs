//! Holds: the shop's staff holds an order's fulfilment back, or schedules it, and lets it go again.
//!
//! Reads   an order's fulfilment orders.
//! Writes  their status; what the order displays.
//! Never   moves the order's own date: the platform does not, for what happens to these.

use serde_json::{Value, json};

use super::coerce::text;
use super::gid::{gid, tail};
use super::shop::Shop;
use super::store::Object;

impl Shop {
    fn work_of(&self, order: u64, wanted: &[&str]) -> Vec<u64> {
        let all = self.store.get("Order", order).map(|o| o.texts("fulfillmentOrders"));
        let mut ids: Vec<u64> = all.unwrap_or_default().iter().map(|of| tail(of)).collect();
        ids.retain(|id| {
            let row = self.store.get("FulfillmentOrder", *id);
            row.is_some_and(|row| wanted.contains(&row.text("status")))
        });
        ids
    }

    /// `{reason, scheduled?}`: what is not being worked on is held, or put off to a later day.
    pub fn office_hold(&mut self, order: u64, body: &Object) -> Result<(), String> {
        let open = self.work_of(order, &["OPEN"]);
        if open.is_empty() {
            return Err("nothing of the order can be held".to_owned());
        }
        let scheduled = body.get("scheduled") == Some(&json!(true));
        let reason = text(body, "reason").unwrap_or("other").to_lowercase();
        for id in open {
            let own = gid("FulfillmentOrder", id);
            if scheduled {
                self.put_work(id, "SCHEDULED", "MARK_AS_OPEN");
                continue;
            }
            self.put_work(id, "ON_HOLD", "RELEASE_HOLD");
            let number = self.next_id();
            let hold = json!({
                "id": gid("FulfillmentHold", number), "reason": reason, "reason_notes": null,
                "held_by_requesting_app": false, "handle": null, "held_by_app": null,
            });
            let payload = json!({
                "fulfillment_order": { "id": own, "status": "on_hold", "fulfillment_holds": [hold] },
                "created_fulfillment_hold": hold,
            });
            self.enqueue("fulfillment_orders/placed_on_hold", id, &payload);
        }
        self.display_work(order);
        Ok(())
    }

    pub fn office_release(&mut self, order: u64) -> Result<(), String> {
        let held = self.work_of(order, &["ON_HOLD", "SCHEDULED"]);
        if held.is_empty() {
            return Err("nothing of the order is held".to_owned());
        }
        for id in held {
            let was = self.stored("FulfillmentOrder", id, "status");
            self.put_work(id, "OPEN", "CREATE_FULFILLMENT");
            let topic = match was == json!("ON_HOLD") {
                true => "fulfillment_orders/hold_released",
                false => "fulfillment_orders/scheduled_fulfillment_order_ready",
            };
            let own = gid("FulfillmentOrder", id);
            let payload = json!({ "fulfillment_order": { "id": own, "status": "open" } });
            self.enqueue(topic, id, &payload);
        }
        self.display_work(order);
        Ok(())
    }

    fn put_work(&mut self, id: u64, status: &str, action: &str) {
        let own = gid("FulfillmentOrder", id);
        self.put(&own, "status", json!(status));
        self.put(&own, "supportedActions", json!([{ "action": action, "externalUrl": null }]));
    }

    /// On hold, or scheduled, where all that is not fulfilled is so.
    fn display_work(&mut self, order: u64) {
        let shown = self.stored("Order", order, "displayFulfillmentStatus");
        if !["UNFULFILLED", "ON_HOLD", "SCHEDULED"].iter().any(|s| shown == json!(s)) {
            return;
        }
        let of = |shop: &Self, status: &str| {
            let all = shop.work_of(order, &["OPEN", "IN_PROGRESS", "ON_HOLD", "SCHEDULED"]);
            !all.is_empty() && shop.work_of(order, &[status]).len() == all.len()
        };
        let status = match (of(self, "ON_HOLD"), of(self, "SCHEDULED")) {
            (true, _) => "ON_HOLD",
            (_, true) => "SCHEDULED",
            _ => "UNFULFILLED",
        };
        if let Some(fields) = self.edit_unseen("Order", order) {
            fields.insert("displayFulfillmentStatus".to_owned(), Value::from(status));
        }
    }
}
