//! Orders of the back office: a customer checks out, a person changes, cancels, refunds.
//!
//! Reads   a checkout's body.
//! Writes  orders, as the storefront and the shop's staff would.
//! Never   lets a line through that names nothing on sale, unless it is a custom line.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::coerce::{text, whole};
use super::gid::{gid, tail};
use super::money;
use super::office::{Page, no, number_of};
use super::order_create::{Inventory, NewLine, NewOrder};
use super::shop::Shop;
use super::store::{Object, object};

impl Shop {
    /// `{lines:[{sku|variant, quantity, price?}], customer, billing, shipping, shipping_price,
    /// tip, custom, gift_card, coupon_percent, presentment, note, location, check_stock, status}`.
    pub fn checkout(&mut self, body: &Object) -> Page {
        let check = body.get("check_stock") == Some(&json!(true));
        let currency = self.settings.currency.clone();
        let mut order = NewOrder {
            presentment: currency,
            rate: Decimal::ONE,
            inventory: if check { Inventory::Obey } else { Inventory::Ignore },
            ..NewOrder::default()
        };
        if let Some(given) = body.get("presentment").and_then(Value::as_object) {
            order.presentment = text(given, "currency").unwrap_or("").to_uppercase();
            order.rate = money::given(given.get("rate")).unwrap_or(Decimal::ONE);
        }
        if let Some(place) = body.get("location") {
            let named = place.as_str().and_then(|name| self.by_text("Location", "name", name));
            order.location = named.unwrap_or_else(|| number_of(place));
        }
        let none = Vec::new();
        let lines = body.get("lines").and_then(Value::as_array).unwrap_or(&none).clone();
        for line in lines.iter().filter_map(Value::as_object) {
            match self.bought(line) {
                Some(line) => order.lines.push(line),
                None => return no(400, "a line names no variant of the shop"),
            }
        }
        self.extras(body, &mut order);
        if order.lines.is_empty() {
            return no(400, "an order has lines");
        }
        self.buyer(body, &mut order);
        match self.place(&order) {
            Ok(id) => {
                self.announce_order(id);
                (200, self.show_order(id))
            }
            Err(message) => no(409, message),
        }
    }

    fn bought(&self, line: &Object) -> Option<NewLine> {
        let by_id = line.get("variant").map(number_of);
        // Case counts: two SKUs may differ by nothing else.
        let by_sku = || {
            let sku = text(line, "sku")?;
            self.store.all("ProductVariant").find(|row| row.text("sku") == sku).map(|row| row.id)
        };
        let variant = by_id.or_else(by_sku)?;
        let row = self.store.get("ProductVariant", variant)?;
        let price =
            money::given(line.get("price")).or_else(|| money::given(row.fields.get("price")));
        Some(NewLine {
            variant,
            quantity: whole(line, "quantity").unwrap_or(1),
            unit: price.unwrap_or_default(),
            taxable: true,
            ships: true,
            attributes: json!([]),
            ..NewLine::default()
        })
    }

    /// What is on an order beside goods.
    fn extras(&mut self, body: &Object, order: &mut NewOrder) {
        let plain = |title: &str, unit: Decimal| NewLine {
            title: title.to_owned(),
            quantity: 1,
            unit,
            attributes: json!([]),
            ..NewLine::default()
        };
        if let Some(custom) = body.get("custom").and_then(Value::as_object) {
            let mut line = plain(
                text(custom, "title").unwrap_or("Custom"),
                money::given(custom.get("price")).unwrap_or_default(),
            );
            line.quantity = whole(custom, "quantity").unwrap_or(1);
            line.sku = text(custom, "sku").map(str::to_owned);
            line.taxable = true;
            order.lines.push(line);
        }
        if let Some(tip) = money::given(body.get("tip")) {
            order.lines.push(NewLine { tip: true, ..plain("Tip", tip) });
        }
        if let Some(price) = money::given(body.get("shipping_price")) {
            order.shipping.push(("Standard".to_owned(), "Standard".to_owned(), price));
        }
        if let Some(percent) = money::given(body.get("coupon_percent")) {
            order.discount = Some((format!("PERCENT{percent}"), Some(percent), None));
        }
        if let Some(amount) = money::given(body.get("coupon_amount")) {
            order.discount = Some((format!("MINUS{amount}"), None, Some(amount)));
        }
        let sale = |gateway: &str, amount: Option<Decimal>| {
            ("SALE".to_owned(), "SUCCESS".to_owned(), gateway.to_owned(), amount)
        };
        if let Some(card) = money::given(body.get("gift_card")) {
            order.payments.push(sale("gift_card", Some(card)));
        }
        let gateway = body.get("gateway").and_then(Value::as_str).unwrap_or("shopify_payments");
        match body.get("status").and_then(Value::as_str) {
            Some("pending") => {}
            Some("authorized") => order.payments.push((
                "AUTHORIZATION".to_owned(),
                "SUCCESS".to_owned(),
                gateway.to_owned(),
                None,
            )),
            _ => order.payments.push(sale(gateway, None)),
        }
    }

    fn buyer(&mut self, body: &Object, order: &mut NewOrder) {
        for (name, field) in [("billing", "billingAddress"), ("shipping", "shippingAddress")] {
            if let Some(given) = body.get(name).and_then(Value::as_object) {
                let id = self.next_id();
                order.fields.insert(field.to_owned(), super::customers::address(id, given));
            }
        }
        for name in ["note", "email", "phone", "sourceIdentifier", "tags", "customAttributes"] {
            if let Some(value) = body.get(name) {
                order.fields.insert(name.to_owned(), value.clone());
            }
        }
        if let Some(customer) = body.get("customer").and_then(Value::as_object) {
            let id = self.upsert_customer(customer);
            order.fields.insert("customer".to_owned(), json!(gid("Customer", id)));
            let email = self.stored("Customer", id, "email");
            order.fields.entry("email").or_insert(email);
        }
    }

    /// An order in a person's words: the webhook's payload with the status words of GraphQL.
    pub fn show_order(&self, id: u64) -> Value {
        let mut shown = self.order_payload(id);
        for (name, field) in [
            ("gid", "id"),
            ("display_financial_status", "displayFinancialStatus"),
            ("display_fulfillment_status", "displayFulfillmentStatus"),
        ] {
            shown[name] = self.stored("Order", id, field);
        }
        shown
    }

    pub fn show_orders(&self) -> Value {
        self.store.ids("Order").into_iter().map(|id| self.show_order(id)).collect()
    }

    pub fn office_order(&mut self, id: u64, what: &str, body: &Object) -> Page {
        if self.store.get("Order", id).is_none() {
            return no(404, "there is no such order");
        }
        let done = match what {
            "status" => self.office_status(id, body),
            "cancel" => {
                let reason = text(body, "reason").unwrap_or("CUSTOMER").to_uppercase();
                let restock = body.get("restock") != Some(&json!(false));
                self.cancel(id, &reason, restock, body.get("refund") == Some(&json!(true)));
                Ok(())
            }
            "edit" => self.office_edit(id, body),
            "refund" => self.office_refund(id, body),
            "fulfill" => self.office_fulfill(id, body),
            "hold" => self.office_hold(id, body),
            "release" => self.office_release(id),
            _ => return no(404, "the back office has no such page"),
        };
        match done {
            Ok(()) => (200, self.show_order(id)),
            Err(message) => no(409, message),
        }
    }

    /// paid, closed, open.
    fn office_status(&mut self, id: u64, body: &Object) -> Result<(), String> {
        let own = gid("Order", id);
        let args = object(json!({ "input": { "id": own } }));
        match text(body, "status") {
            Some("paid") => {
                let left = money::of_bag(&self.stored("Order", id, "totalOutstandingSet"));
                if left.is_zero() {
                    return Err("there is nothing left to pay".to_owned());
                }
                self.add_transaction(id, "SALE", "SUCCESS", "manual", left, None);
                self.total_up(id);
                self.fire("orders/paid", "Order", id);
                self.fire("orders/updated", "Order", id);
                Ok(())
            }
            Some(word @ ("closed" | "open")) => {
                self.order_close(&args, word == "closed").map_err(|fail| fail.message)?;
                Ok(())
            }
            _ => Err("a status is paid, closed or open".to_owned()),
        }
    }

    /// `{lines:[{sku, quantity}]}`: the order's lines are brought to these quantities; a SKU that
    /// is not on it is added.
    fn office_edit(&mut self, id: u64, body: &Object) -> Result<(), String> {
        let none = Vec::new();
        let lines = body.get("lines").and_then(Value::as_array).unwrap_or(&none).clone();
        for given in lines.iter().filter_map(Value::as_object) {
            let sku = text(given, "sku").unwrap_or("").to_owned();
            let quantity = whole(given, "quantity").unwrap_or(0);
            let own = self.lines_of(id).into_iter().find(|line| {
                self.store.get("LineItem", *line).is_some_and(|l| l.text("sku") == sku)
            });
            match own {
                Some(line) => self.change_line(id, line, quantity, true),
                None => {
                    let found = self.by_text("ProductVariant", "sku", &sku);
                    let variant = found.ok_or(format!("there is no {sku}"))?;
                    self.add_to_order(id, variant, quantity, 0);
                }
            }
        }
        self.put(&gid("Order", id), "edited", json!(true));
        self.order_changed(id);
        Ok(())
    }

    /// `{lines:[{sku, quantity, restock}], amount?, note?, shipping?}`; no amount: what it comes to.
    fn office_refund(&mut self, id: u64, body: &Object) -> Result<(), String> {
        let none = Vec::new();
        let lines = body.get("lines").and_then(Value::as_array).unwrap_or(&none).clone();
        let mut rows = Vec::new();
        for given in lines.iter().filter_map(Value::as_object) {
            let sku = text(given, "sku").unwrap_or("");
            let line = self.lines_of(id).into_iter().find(|line| {
                self.store.get("LineItem", *line).is_some_and(|l| l.text("sku") == sku)
            });
            let line = line.ok_or(format!("the order has no {sku}"))?;
            let back = given.get("restock") != Some(&json!(false));
            let shipped =
                self.store.get("LineItem", line).is_some_and(|l| l.number("_fulfilled") > 0);
            let kind = match (back, shipped) {
                (false, _) => "NO_RESTOCK",
                (true, true) => "RETURN",
                (true, false) => "CANCEL",
            };
            rows.push(json!({
                "lineItemId": gid("LineItem", line), "restockType": kind,
                "quantity": whole(given, "quantity").unwrap_or(1),
            }));
        }
        let shipping = money::given(body.get("shipping")).unwrap_or_default();
        let asked = object(json!({
            "refundLineItems": rows, "shippingAmount": shipping.to_string(),
        }));
        let suggested = self.suggested_refund(id, &asked);
        let amount = money::given(body.get("amount"));
        let amount = amount.unwrap_or_else(|| money::of_bag(&suggested["amountSet"]));
        let of = &suggested["suggestedTransactions"][0];
        let transaction = json!({
            "orderId": gid("Order", id), "amount": amount.to_string(), "kind": "REFUND",
            "gateway": of["gateway"].as_str().unwrap_or("manual"),
            "parentId": of["parentTransaction"],
        });
        let input = object(json!({
            "orderId": gid("Order", id), "refundLineItems": rows, "note": body.get("note"),
            "shipping": { "amount": shipping.to_string() },
            "transactions": if amount.is_zero() { json!([]) } else { json!([transaction]) },
        }));
        self.refund(id, &input).map(|_| ()).map_err(|(_, message)| message)
    }

    /// A person ships everything that is left: `{company, number, url}`.
    fn office_fulfill(&mut self, id: u64, body: &Object) -> Result<(), String> {
        let orders = self.store.get("Order", id).map(|o| o.texts("fulfillmentOrders"));
        for of in orders.unwrap_or_default() {
            let status = self.stored("FulfillmentOrder", tail(&of), "status");
            if status == json!("CLOSED") {
                continue;
            }
            let args = object(json!({ "fulfillment": {
                "lineItemsByFulfillmentOrder": [{ "fulfillmentOrderId": of }],
                "trackingInfo": body,
            } }));
            let done = self.fulfillment_create(&args).map_err(|fail| fail.message)?;
            if let Some(error) = done["userErrors"][0]["message"].as_str() {
                return Err(error.to_owned());
            }
        }
        Ok(())
    }
}
