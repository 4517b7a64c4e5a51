//! Fulfilment: where an order's lines are shipped from, and what was shipped.
//!
//! Reads   an order's lines, stock, the inputs of the `fulfillment…` mutations.
//! Writes  fulfilment orders, fulfilments, stock that is committed and released.
//! Never   remembers a call: `fulfillmentCreate` sent twice ships twice, if there is that much.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::coerce::{items, map, text, texts, whole};
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number, tail};
use super::order_create::{Inventory, NewOrder};
use super::shop::Shop;
use super::store::Object;

/// Most lines of one fulfilment order in one call.
const LINES_MAX: usize = 512;

impl Shop {
    fn item_of(&self, variant: u64) -> u64 {
        self.store.get("ProductVariant", variant).map_or(0, |row| tail(row.text("inventoryItem")))
    }

    fn tracked(&self, item: u64) -> bool {
        self.store.get("InventoryItem", item).is_some_and(|row| row.flag("tracked"))
    }

    /// Where a line would be taken from.
    fn source(&self, order: &NewOrder, item: u64, quantity: i64) -> u64 {
        if order.location > 0 {
            return order.location;
        }
        let levels = self.levels_of(item);
        let enough =
            levels.iter().find(|(_, level)| self.quantity(*level, "available") >= quantity);
        let found = enough.or(levels.first()).map(|(location, _)| *location);
        found.or_else(|| self.first_location()).unwrap_or(0)
    }

    /// An error where a variant that may not be oversold is not there.
    pub fn enough(&self, order: &NewOrder) -> Result<(), String> {
        let mut wanted: BTreeMap<u64, i64> = BTreeMap::new();
        for line in order.lines.iter().filter(|line| line.variant > 0) {
            *wanted.entry(line.variant).or_default() += line.quantity;
        }
        for (variant, quantity) in wanted {
            let Some(row) = self.store.get("ProductVariant", variant) else { continue };
            let item = self.item_of(variant);
            if row.text("inventoryPolicy") == "CONTINUE" || !self.tracked(item) {
                continue;
            }
            let there = match order.location {
                0 => self.available(item),
                at => self.level(item, at).map_or(0, |level| self.quantity(level, "available")),
            };
            if there < quantity {
                return Err(format!("Unable to reserve inventory: {}", row.text("sku")));
            }
        }
        Ok(())
    }

    /// Takes the lines from stock and makes one fulfilment order a location.
    pub fn take_and_route(&mut self, id: u64, order: &NewOrder, lines: &[u64]) {
        let mut routed: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (line, row) in lines.iter().zip(&order.lines) {
            let item = self.item_of(row.variant);
            let location = self.source(order, item, row.quantity);
            self.put(&gid("LineItem", *line), "_location", json!(location));
            if row.variant > 0 && order.inventory != Inventory::Bypass && self.tracked(item) {
                self.take(id, item, location, row.quantity);
                self.put(&gid("LineItem", *line), "_taken", json!(row.quantity));
            }
            if row.ships && !row.tip && !row.gift_card {
                routed.entry(location).or_default().push(*line);
            }
        }
        let made = routed.into_iter().map(|(location, lines)| self.route(id, location, &lines));
        let made: Vec<String> = made.map(|of| gid("FulfillmentOrder", of)).collect();
        self.put(&gid("Order", id), "fulfillmentOrders", json!(made));
    }

    pub fn take(&mut self, order: u64, item: u64, location: u64, quantity: i64) {
        let level = self.level_or_new(item, location);
        let from = self.quantity(level, "available");
        let over = (quantity - from.max(0)).clamp(0, quantity);
        self.note_taken(order, level, over);
        self.move_quantity(level, "committed", quantity);
        self.move_quantity(level, "available", -quantity);
    }

    /// Gives a line's units back: out of what is committed, or, when they were shipped, back
    /// onto the shelf.
    pub fn give_back(&mut self, line: u64, units: i64, restock: bool, shipped: bool) {
        let Some(row) = self.store.get("LineItem", line) else { return };
        let taken = row.number("_taken");
        let units = units.min(if taken > 0 { taken } else { units });
        let location = u64::try_from(row.number("_location")).unwrap_or(0);
        let item = self.item_of(tail(row.text("variant")));
        let Some(level) = self.level(item, location) else { return };
        if units <= 0 || !self.tracked(item) {
            return;
        }
        if taken > 0 && !shipped {
            self.move_quantity(level, "committed", -units);
            self.put(&gid("LineItem", line), "_taken", json!(taken - units));
        }
        if restock {
            self.move_quantity(level, "available", units);
        }
    }

    pub fn route(&mut self, order: u64, location: u64, lines: &[u64]) -> u64 {
        let mut list = Vec::new();
        for line in lines {
            let Some(row) = self.store.get("LineItem", *line).cloned() else { continue };
            let variant = tail(row.text("variant"));
            let item = self.item_of(variant);
            let id = self.add(
                "FulfillmentOrderLineItem",
                json!({
                    "lineItem": gid("LineItem", *line), "totalQuantity": row.number("quantity"),
                    "remainingQuantity": row.number("quantity"), "sku": row.fields.get("sku"),
                    "productTitle": row.text("title"), "vendor": row.fields.get("vendor"),
                    "variantTitle": row.fields.get("variantTitle"),
                    "variant": row.fields.get("variant"), "requiresShipping": true,
                    "inventoryItemId": (item > 0).then(|| gid("InventoryItem", item)),
                }),
            );
            list.push(gid("FulfillmentOrderLineItem", id));
        }
        let own = self.store.get("Order", order).cloned();
        let of = |name: &str| own.as_ref().map_or(Value::Null, |o| o.fields[name].clone());
        let place = self.store.get("Location", location).cloned();
        let address = place.as_ref().map_or(Value::Null, |p| p.fields["address"].clone());
        let to = of("shippingAddress");
        let number = self.next_id();
        let destination = (!to.is_null()).then(|| {
            json!({
                "id": gid("FulfillmentOrderDestination", number), "firstName": to["firstName"],
                "lastName": to["lastName"], "company": to["company"], "address1": to["address1"],
                "address2": to["address2"], "city": to["city"], "province": to["province"],
                "zip": to["zip"], "countryCode": to["countryCodeV2"], "email": of("email"),
                "phone": to["phone"],
            })
        });
        self.add(
            "FulfillmentOrder",
            json!({
                "status": "OPEN", "requestStatus": "UNSUBMITTED", "order": gid("Order", order),
                "orderId": gid("Order", order), "orderName": of("name"),
                "orderProcessedAt": of("processedAt"), "lineItems": list, "fulfillAt": null,
                "location": gid("Location", location), "fulfillments": [],
                "assignedLocation": {
                    "location": gid("Location", location),
                    "name": place.map_or(String::new(), |p| p.text("name").to_owned()),
                    "countryCode": address["countryCode"], "address1": address["address1"],
                    "city": address["city"], "zip": address["zip"],
                },
                "supportedActions": [{ "action": "CREATE_FULFILLMENT", "externalUrl": null }],
                "destination": destination,
            }),
        )
    }

    pub fn fulfillment_create(&mut self, args: &Object) -> Answer<Value> {
        let Some(input) = map(args, "fulfillment").cloned() else { return Ok(Value::Null) };
        let refuse = |message: &str| Ok(refused(&[UserError::new(&["fulfillment"], "", message)]));
        let mut shipped: Vec<(u64, u64, i64)> = Vec::new();
        let (mut orders, mut places) = (Vec::new(), Vec::new());
        for given in
            items(&input, "lineItemsByFulfillmentOrder").iter().filter_map(Value::as_object)
        {
            let id = number(text(given, "fulfillmentOrderId").unwrap_or(""), "FulfillmentOrder");
            let Some(row) = self.store.get("FulfillmentOrder", id) else {
                return refuse("Fulfillment order does not exist.");
            };
            if !matches!(row.text("status"), "OPEN" | "IN_PROGRESS") {
                let status = row.text("status").to_lowercase();
                return refuse(&format!(
                    "Fulfillment order {id} has an unfulfillable status= {status}."
                ));
            }
            orders.push(row.text("order").to_owned());
            places.push(row.text("location").to_owned());
            let own = row.texts("lineItems");
            let wanted = items(given, "fulfillmentOrderLineItems");
            if wanted.len() > LINES_MAX {
                return refuse("Fulfillment order line items cannot exceed 512.");
            }
            let all = wanted.is_empty();
            for line in own.iter().map(|g| tail(g)) {
                let Some(of) = self.store.get("FulfillmentOrderLineItem", line) else { continue };
                let left = of.number("remainingQuantity");
                if all && left > 0 {
                    shipped.push((id, line, left));
                }
            }
            for line in wanted.iter().filter_map(Value::as_object) {
                let of = number(text(line, "id").unwrap_or(""), "FulfillmentOrderLineItem");
                let quantity = whole(line, "quantity").unwrap_or(0);
                let row = self.store.get("FulfillmentOrderLineItem", of);
                let left = row.map_or(0, |r| r.number("remainingQuantity"));
                let mine = own.iter().any(|g| tail(g) == of);
                if !mine || quantity < 1 || quantity > left {
                    return refuse("Invalid fulfillment order line item quantity requested.");
                }
                shipped.push((id, of, quantity));
            }
        }
        orders.dedup();
        places.dedup();
        if orders.len() != 1 || places.len() != 1 || shipped.is_empty() {
            return refuse("All fulfillment orders must be from the same order and location.");
        }
        let id = self.ship(tail(&orders[0]), &places[0], &shipped, map(&input, "trackingInfo"));
        Ok(json!({ "fulfillment": gid("Fulfillment", id), "userErrors": [] }))
    }

    fn ship(
        &mut self,
        order: u64,
        place: &str,
        shipped: &[(u64, u64, i64)],
        tracking: Option<&Object>,
    ) -> u64 {
        let mut lines = Vec::new();
        let mut of_orders: Vec<u64> = shipped.iter().map(|(id, _, _)| *id).collect();
        of_orders.dedup();
        for (_, line, quantity) in shipped {
            let own = gid("FulfillmentOrderLineItem", *line);
            let Some((_, row)) = self.store.find(&own) else { continue };
            let left = row.number("remainingQuantity") - quantity;
            let item = row.text("lineItem").to_owned();
            self.put(&own, "remainingQuantity", json!(left));
            let done = self.store.find(&item).map_or(0, |(_, l)| l.number("_fulfilled"));
            self.put(&item, "_fulfilled", json!(done + quantity));
            self.give_back(tail(&item), *quantity, false, false);
            let id = self.next_id();
            lines.push(json!({ "id": gid("FulfillmentLineItem", id), "lineItem": item, "quantity": quantity }));
        }
        self.total_up(order);
        for line in &mut lines {
            let row = self.store.find(line["lineItem"].as_str().unwrap_or(""));
            let unit = row.map(|(_, l)| l.fields["originalUnitPriceSet"].clone());
            let quantity = line["quantity"].as_i64().unwrap_or(0);
            let unit = unit.as_ref().map(super::money::of_bag).unwrap_or_default();
            let bag = self.pair(order).bag(unit * rust_decimal::Decimal::from(quantity));
            line["originalTotalSet"] = bag.clone();
            line["discountedTotalSet"] = bag;
        }
        let count = self.store.get("Order", order).map_or(0, |o| o.list("fulfillments").len());
        let name = self.stored("Order", order, "name");
        let total: i64 = shipped.iter().map(|(_, _, quantity)| quantity).sum();
        let id = self.add(
            "Fulfillment",
            json!({
                "name": format!("{}-F{}", name.as_str().unwrap_or(""), count + 1),
                "status": "SUCCESS", "displayStatus": "FULFILLED", "totalQuantity": total,
                "requiresShipping": true, "trackingInfo": tracking.map_or(json!([]), tracks),
                "fulfillmentLineItems": lines, "order": gid("Order", order), "location": place,
                "fulfillmentOrders":
                    of_orders.iter().map(|o| gid("FulfillmentOrder", *o)).collect::<Vec<_>>(),
                "service": null, "_shipped": shipped.iter().map(|s| json!([s.1, s.2])).collect::<Vec<_>>(),
            }),
        );
        self.push(&gid("Order", order), "fulfillments", &gid("Fulfillment", id));
        for of in of_orders {
            self.push(&gid("FulfillmentOrder", of), "fulfillments", &gid("Fulfillment", id));
            self.settle(of);
        }
        self.total_up(order);
        self.fire("fulfillments/create", "Fulfillment", id);
        self.fire("orders/updated", "Order", order);
        let status = self.stored("Order", order, "displayFulfillmentStatus");
        let topic = if status == json!("FULFILLED") {
            "orders/fulfilled"
        } else {
            "orders/partially_fulfilled"
        };
        self.fire(topic, "Order", order);
        id
    }

    /// One more id in a list of ids.
    pub fn push(&mut self, of: &str, name: &str, id: &str) {
        let Some((_, row)) = self.store.find(of) else { return };
        let mut list = row.list(name).to_vec();
        list.push(json!(id));
        self.put(of, name, json!(list));
    }

    /// A fulfilment order's status, from what is left of it.
    pub fn settle(&mut self, id: u64) {
        let Some(row) = self.store.get("FulfillmentOrder", id) else { return };
        let (mut left, mut total) = (0, 0);
        for line in row.texts("lineItems") {
            let Some((_, line)) = self.store.find(&line) else { continue };
            left += line.number("remainingQuantity");
            total += line.number("totalQuantity");
        }
        let status = match left {
            0 => "CLOSED",
            left if left < total => "IN_PROGRESS",
            _ => "OPEN",
        };
        self.put(&gid("FulfillmentOrder", id), "status", json!(status));
    }

    pub fn tracking_update(&mut self, args: &Object) -> Answer<Value> {
        let own = text(args, "fulfillmentId").unwrap_or("").to_owned();
        let id = number(&own, "Fulfillment");
        if self.store.get("Fulfillment", id).is_none() {
            let error = UserError::new(&["fulfillmentId"], "", "Fulfillment does not exist.");
            return Ok(refused(&[error]));
        }
        let info = map(args, "trackingInfoInput").map_or(json!([]), tracks);
        self.put(&own, "trackingInfo", info);
        self.fire("fulfillments/update", "Fulfillment", id);
        Ok(json!({ "fulfillment": own, "userErrors": [] }))
    }

    pub fn fulfillment_cancel(&mut self, args: &Object) -> Answer<Value> {
        let own = text(args, "id").unwrap_or("").to_owned();
        let id = number(&own, "Fulfillment");
        let refuse = |message: &str| Ok(refused(&[UserError::new(&["id"], "", message)]));
        let Some(row) = self.store.get("Fulfillment", id).cloned() else {
            return refuse("Fulfillment does not exist.");
        };
        if row.text("status") == "CANCELLED" {
            return refuse("Fulfillment has already been cancelled.");
        }
        for pair in row.list("_shipped") {
            let line = gid("FulfillmentOrderLineItem", pair[0].as_u64().unwrap_or(0));
            let quantity = pair[1].as_i64().unwrap_or(0);
            let Some((_, of)) = self.store.find(&line) else { continue };
            let (left, item) = (of.number("remainingQuantity"), of.text("lineItem").to_owned());
            self.put(&line, "remainingQuantity", json!(left + quantity));
            let done = self.store.find(&item).map_or(0, |(_, l)| l.number("_fulfilled"));
            self.put(&item, "_fulfilled", json!(done - quantity));
        }
        self.put(&own, "status", json!("CANCELLED"));
        self.put(&own, "displayStatus", json!("CANCELED"));
        for of in row.texts("fulfillmentOrders") {
            self.settle(tail(&of));
        }
        self.fire("fulfillments/update", "Fulfillment", id);
        self.order_changed(tail(row.text("order")));
        Ok(json!({ "fulfillment": own, "userErrors": [] }))
    }
}

/// Several numbers become several entries; a number goes with the address in its place.
fn tracks(info: &Object) -> Value {
    let mut numbers = texts(info, "numbers");
    numbers.extend(text(info, "number").map(str::to_owned));
    let mut urls = texts(info, "urls");
    urls.extend(text(info, "url").map(str::to_owned));
    let count = numbers.len().max(urls.len());
    (0..count)
        .map(|at| {
            json!({
                "company": info.get("company"), "number": numbers.get(at), "url": urls.get(at),
            })
        })
        .collect()
}
