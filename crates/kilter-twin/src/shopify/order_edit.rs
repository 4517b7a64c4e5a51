//! Order editing: begun on a copy, committed at once.
//!
//! Reads   the inputs of the `orderEdit…` mutations.
//! Writes  a calculated order; at the commit, lines, stock and totals.
//! Never   changes the order before the commit.

use serde_json::{Value, json};

use super::coerce::{flag, text, whole};
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number, tail};
use super::money;
use super::order_create::{Inventory, NewLine, NewOrder};
use super::shop::Shop;
use super::store::Object;

fn gone(field: &str, message: &str) -> Answer<Value> {
    Ok(refused(&[UserError::new(&[field], "", message)]))
}

impl Shop {
    pub fn edit_begin(&mut self, args: &Object) -> Answer<Value> {
        let own = text(args, "id").unwrap_or("").to_owned();
        let order = number(&own, "Order");
        let Some(row) = self.store.get("Order", order) else {
            return gone("id", "The order does not exist.");
        };
        if !row.text("cancelledAt").is_empty() {
            return gone("id", "The order cannot be edited.");
        }
        let mut lines = Vec::new();
        for line in self.lines_of(order) {
            let Some(row) = self.store.get("LineItem", line).cloned() else { continue };
            let quantity = row.number("currentQuantity");
            let id = self.add(
                "CalculatedLineItem",
                json!({
                    "title": row.text("title"), "sku": row.fields.get("sku"),
                    "quantity": quantity, "editableQuantity": quantity - row.number("_fulfilled"),
                    "editableQuantityBeforeChanges": quantity - row.number("_fulfilled"),
                    "variant": row.fields.get("variant"),
                    "variantTitle": row.fields.get("variantTitle"),
                    "originalUnitPriceSet": row.fields["originalUnitPriceSet"],
                    "discountedUnitPriceSet": row.fields["discountedUnitPriceSet"],
                    "restockable": true, "restocking": false, "_line": line,
                    "_unit": row.fields["_unit"],
                }),
            );
            lines.push(gid("CalculatedLineItem", id));
        }
        let id = self.add(
            "CalculatedOrder",
            json!({
                "originalOrder": own, "lineItems": lines, "addedLineItems": [],
                "_order": order,
            }),
        );
        self.calculate(id);
        Ok(self.edited(id, None))
    }

    fn edited(&self, id: u64, line: Option<u64>) -> Value {
        json!({
            "calculatedOrder": gid("CalculatedOrder", id), "userErrors": [],
            "calculatedLineItem": line.map(|l| gid("CalculatedLineItem", l)),
            "orderEditSession": { "id": gid("OrderEditSession", id) },
        })
    }

    fn calculate(&mut self, id: u64) {
        let Some(row) = self.store.get("CalculatedOrder", id).cloned() else { return };
        let order = u64::try_from(row.number("_order")).unwrap_or(0);
        let pair = self.pair(order);
        let (mut sum, mut count) = (rust_decimal::Decimal::ZERO, 0);
        for line in row.texts("lineItems") {
            let Some((_, line)) = self.store.find(&line) else { continue };
            let quantity = line.number("quantity");
            count += quantity;
            sum += money::given(line.fields.get("_unit")).unwrap_or_default()
                * rust_decimal::Decimal::from(quantity);
        }
        let shipping = money::of_bag(&self.stored("Order", order, "totalShippingPriceSet"));
        let received = money::of_bag(&self.stored("Order", order, "netPaymentSet"));
        let own = gid("CalculatedOrder", id);
        let total = sum + shipping;
        self.put(&own, "subtotalLineItemsQuantity", json!(count));
        self.put(&own, "subtotalPriceSet", pair.bag(sum));
        self.put(&own, "totalPriceSet", pair.bag(total));
        self.put(&own, "totalOutstandingSet", pair.bag((total - received).max(Default::default())));
    }

    pub fn edit_add(&mut self, args: &Object) -> Answer<Value> {
        let id = number(text(args, "id").unwrap_or(""), "CalculatedOrder");
        let variant = number(text(args, "variantId").unwrap_or(""), "ProductVariant");
        let quantity = whole(args, "quantity").unwrap_or(0);
        let Some(order) = self.store.get("CalculatedOrder", id).cloned() else {
            return gone("id", "The calculated order does not exist.");
        };
        let Some(row) = self.store.get("ProductVariant", variant).cloned() else {
            return gone("variantId", "The variant does not exist.");
        };
        if quantity < 1 {
            return gone("quantity", "Quantity must be greater than 0.");
        }
        let pair = self.pair(u64::try_from(order.number("_order")).unwrap_or(0));
        let unit = money::given(row.fields.get("price")).unwrap_or_default();
        let title = self.store.find(row.text("product")).map(|(_, p)| p.text("title").to_owned());
        let line = self.add(
            "CalculatedLineItem",
            json!({
                "title": title, "sku": row.fields.get("sku"), "quantity": quantity,
                "editableQuantity": quantity, "editableQuantityBeforeChanges": 0,
                "variant": gid("ProductVariant", variant), "variantTitle": row.text("title"),
                "originalUnitPriceSet": pair.bag(unit), "discountedUnitPriceSet": pair.bag(unit),
                "restockable": true, "restocking": false, "_line": 0, "_unit": unit.to_string(),
                "_location": tail(text(args, "locationId").unwrap_or("")),
            }),
        );
        let own = gid("CalculatedOrder", id);
        self.push(&own, "lineItems", &gid("CalculatedLineItem", line));
        self.push(&own, "addedLineItems", &gid("CalculatedLineItem", line));
        self.calculate(id);
        Ok(self.edited(id, Some(line)))
    }

    pub fn edit_quantity(&mut self, args: &Object) -> Answer<Value> {
        let id = number(text(args, "id").unwrap_or(""), "CalculatedOrder");
        let given = tail(text(args, "lineItemId").unwrap_or(""));
        let quantity = whole(args, "quantity").unwrap_or(0);
        let Some(order) = self.store.get("CalculatedOrder", id) else {
            return gone("id", "The calculated order does not exist.");
        };
        let own = order.texts("lineItems").into_iter().find(|line| {
            let row = self.store.find(line).map(|(_, row)| row.number("_line"));
            tail(line) == given || row == i64::try_from(given).ok()
        });
        let Some(own) = own else { return gone("lineItemId", "The line item does not exist.") };
        let done = self
            .store
            .find(&own)
            .map_or(0, |(_, row)| row.number("quantity") - row.number("editableQuantity"));
        if quantity < done.max(0) {
            return gone("quantity", "Cannot remove fulfilled items.");
        }
        self.put(&own, "quantity", json!(quantity));
        self.put(&own, "editableQuantity", json!(quantity - done));
        self.put(&own, "restocking", json!(flag(args, "restock")));
        self.calculate(id);
        Ok(self.edited(id, Some(tail(&own))))
    }

    pub fn edit_commit(&mut self, args: &Object) -> Answer<Value> {
        let given = text(args, "id").unwrap_or("");
        let id = number(given, "CalculatedOrder").max(number(given, "OrderEditSession"));
        let Some(calculated) = self.store.get("CalculatedOrder", id).cloned() else {
            return gone("id", "The calculated order does not exist.");
        };
        let order = u64::try_from(calculated.number("_order")).unwrap_or(0);
        for line in calculated.texts("lineItems") {
            let Some((_, row)) = self.store.find(&line).map(|(k, r)| (k, r.clone())) else {
                continue;
            };
            let quantity = row.number("quantity");
            let of = u64::try_from(row.number("_line")).unwrap_or(0);
            if of == 0 {
                let location = u64::try_from(row.number("_location")).unwrap_or(0);
                self.add_to_order(order, tail(row.text("variant")), quantity, location);
            } else {
                self.change_line(order, of, quantity, row.flag("restocking"));
            }
        }
        self.store.remove("CalculatedOrder", id);
        let own = gid("Order", order);
        self.put(&own, "edited", json!(true));
        self.order_changed(order);
        self.edited_payload(order);
        Ok(json!({ "order": own, "successMessages": ["Order updated"], "userErrors": [] }))
    }

    /// A line's quantity is brought to what it should be.
    pub fn change_line(&mut self, order: u64, line: u64, quantity: i64, restock: bool) {
        let Some(row) = self.store.get("LineItem", line).cloned() else { return };
        let current = row.number("currentQuantity");
        let own = gid("LineItem", line);
        if quantity < current {
            self.give_back(line, current - quantity, restock, false);
            self.put(&own, "currentQuantity", json!(quantity));
            self.shorten(order, line, current - quantity);
        } else if quantity > current {
            let location = u64::try_from(row.number("_location")).unwrap_or(0);
            self.add_to_order(order, tail(row.text("variant")), quantity - current, location);
        }
    }

    /// More of a variant: a line of its own, as the platform adds it.
    pub fn add_to_order(&mut self, order: u64, variant: u64, quantity: i64, location: u64) {
        let Some(row) = self.store.get("ProductVariant", variant) else { return };
        let line = NewLine {
            variant,
            quantity,
            unit: money::given(row.fields.get("price")).unwrap_or_default(),
            taxable: true,
            ships: true,
            attributes: json!([]),
            ..NewLine::default()
        };
        let before = self.store.get("Order", order).map(|o| o.list("fulfillmentOrders").to_vec());
        let own = gid("Order", order);
        let id = self.add_line_to(&own, &line);
        self.push(&own, "lineItems", &gid("LineItem", id));
        let new = NewOrder {
            lines: vec![line],
            inventory: Inventory::Ignore,
            location,
            ..NewOrder::default()
        };
        self.take_and_route(order, &new, &[id]);
        let mut all = before.unwrap_or_default();
        let added = self.stored("Order", order, "fulfillmentOrders");
        all.extend(added.as_array().cloned().unwrap_or_default());
        self.put(&own, "fulfillmentOrders", json!(all));
    }

    /// `orders/edited`: what was added and what was taken away is not itemised by the twin.
    fn edited_payload(&mut self, order: u64) {
        let now = self.local(self.now());
        let payload = json!({ "order_edit": {
            "id": order, "order_id": order, "created_at": now, "committed_at": now,
            "notify_customer": false, "app_id": null, "user_id": null, "staff_note": null,
            "line_items": { "additions": [], "removals": [] },
            "discounts": { "line_item": { "additions": [], "removals": [] } },
            "shipping_lines": { "additions": [], "removals": [] },
        } });
        self.enqueue("orders/edited", order, &payload);
    }
}
