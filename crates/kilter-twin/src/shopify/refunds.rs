//! Refunds: lines taken back, money given back, units put back on the shelf.
//!
//! Reads   the input of `refundCreate`.
//! Writes  refunds, transactions, stock; the order's current quantities.
//! Never   answers a code: this payload's errors have none.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::coerce::{flag, items, map, text, whole};
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number, tail};
use super::money;
use super::shop::Shop;
use super::store::Object;

impl Shop {
    pub fn refund_create(&mut self, args: &Object) -> Answer<Value> {
        let Some(input) = map(args, "input").cloned() else { return Ok(Value::Null) };
        let order = number(text(&input, "orderId").unwrap_or(""), "Order");
        match self.refund(order, &input) {
            Ok(id) => Ok(json!({
                "refund": gid("Refund", id), "order": gid("Order", order), "userErrors": [],
            })),
            Err((field, message)) => Ok(refused(&[UserError::new(&[field], "", message)])),
        }
    }

    /// The refund's number, or the field that is wrong and why.
    pub fn refund(&mut self, order: u64, input: &Object) -> Result<u64, (&'static str, String)> {
        if self.store.get("Order", order).is_none() {
            return Err(("orderId", "Order does not exist".to_owned()));
        }
        let own = self.lines_of(order);
        let given: Vec<&Object> =
            items(input, "refundLineItems").iter().filter_map(Value::as_object).collect();
        for line in &given {
            let id = number(text(line, "lineItemId").unwrap_or(""), "LineItem");
            let quantity = whole(line, "quantity").unwrap_or(0);
            let left = self.store.get("LineItem", id).map_or(0, |l| l.number("refundableQuantity"));
            if !own.contains(&id) {
                return Err(("refundLineItems", "Line item does not exist".to_owned()));
            }
            if quantity < 1 || quantity > left {
                let message = "Quantity cannot refund more items than were purchased";
                return Err(("refundLineItems", message.to_owned()));
            }
        }
        let paid: Vec<&Object> =
            items(input, "transactions").iter().filter_map(Value::as_object).collect();
        let back: Decimal = paid.iter().filter_map(|t| money::given(t.get("amount"))).sum();
        let received = money::of_bag(&self.stored("Order", order, "netPaymentSet"));
        if back > received && !flag(input, "allowOverRefunding") {
            let currency = &self.settings.currency;
            let message = format!(
                "Refund amount of {} exceeds the amount received ({}).",
                money::text(back, currency),
                money::text(received, currency)
            );
            return Err(("transactions", message));
        }
        let lines: Vec<Value> = given.iter().map(|line| self.refund_line(order, line)).collect();
        let shipping = self.refund_shipping(order, map(input, "shipping"));
        let mut transactions = Vec::new();
        for one in &paid {
            let amount = money::given(one.get("amount")).unwrap_or_default();
            let gateway = text(one, "gateway").unwrap_or("manual");
            let parent = text(one, "parentId").map(str::to_owned);
            let id = self.add_transaction(order, "REFUND", "SUCCESS", gateway, amount, parent);
            transactions.push(gid("OrderTransaction", id));
        }
        let pair = self.pair(order);
        let now = self.utc(self.now());
        let id = self.add(
            "Refund",
            json!({
                "order": gid("Order", order), "note": input.get("note"), "processedAt": now,
                "totalRefundedSet": pair.bag(back), "refundLineItems": lines,
                "refundShippingLines": [], "orderAdjustments": [], "transactions": transactions,
                "_shipping": shipping.to_string(),
            }),
        );
        self.push(&gid("Order", order), "refunds", &gid("Refund", id));
        self.total_up(order);
        self.fire("refunds/create", "Refund", id);
        self.fire("orders/updated", "Order", order);
        Ok(id)
    }

    fn refund_line(&mut self, order: u64, line: &Object) -> Value {
        let id = number(text(line, "lineItemId").unwrap_or(""), "LineItem");
        let quantity = whole(line, "quantity").unwrap_or(0);
        let kind = text(line, "restockType").unwrap_or("NO_RESTOCK").to_owned();
        let Some(row) = self.store.get("LineItem", id).cloned() else { return Value::Null };
        let location = text(line, "locationId").map(str::to_owned);
        if let Some(place) = &location {
            self.put(&gid("LineItem", id), "_location", json!(tail(place)));
        }
        let current = row.number("currentQuantity");
        let own = gid("LineItem", id);
        self.put(&own, "_refunded", json!(row.number("_refunded") + quantity));
        self.put(&own, "currentQuantity", json!((current - quantity).max(0)));
        let shipped = kind != "CANCEL";
        match kind.as_str() {
            "RETURN" | "CANCEL" => self.give_back(id, quantity, true, shipped),
            _ => {}
        }
        if kind == "CANCEL" {
            self.shorten(order, id, quantity);
        }
        let pair = self.pair(order);
        let share = |bag: &Value| {
            let all = Decimal::from(row.number("quantity").max(1));
            money::of_bag(bag) * Decimal::from(quantity) / all
        };
        let tax: Decimal = row.list("taxLines").iter().map(|t| share(&t["priceSet"])).sum();
        let number = self.next_id();
        json!({
            "id": gid("RefundLineItem", number), "lineItem": own, "quantity": quantity,
            "restockType": kind, "restocked": kind != "NO_RESTOCK", "location": location,
            "priceSet": row.fields["originalUnitPriceSet"],
            "subtotalSet": pair.bag(share(&row.fields["discountedTotalSet"])),
            "totalTaxSet": pair.bag(tax),
        })
    }

    /// What is cancelled is not shipped any more.
    pub fn shorten(&mut self, order: u64, line: u64, quantity: i64) {
        let orders = self.store.get("Order", order).map(|o| o.texts("fulfillmentOrders"));
        for of in orders.unwrap_or_default() {
            let lines = self.store.find(&of).map(|(_, f)| f.texts("lineItems")).unwrap_or_default();
            for own in lines {
                let Some((_, row)) = self.store.find(&own) else { continue };
                if tail(row.text("lineItem")) != line {
                    continue;
                }
                let left = (row.number("remainingQuantity") - quantity).max(0);
                self.put(&own, "remainingQuantity", json!(left));
            }
            self.settle(tail(&of));
        }
    }

    fn refund_shipping(&self, order: u64, given: Option<&Object>) -> Decimal {
        let Some(given) = given else { return Decimal::ZERO };
        let whole = money::of_bag(&self.stored("Order", order, "currentShippingPriceSet"));
        if flag(given, "fullRefund") {
            return whole;
        }
        money::given(given.get("amount")).unwrap_or_default().min(whole)
    }

    /// The lines a suggestion is about: line, quantity, how it is put back.
    fn asked(&self, order: u64, args: &Object) -> Vec<(u64, i64, Value)> {
        if flag(args, "suggestFullRefund") {
            let own = self.lines_of(order).into_iter();
            own.filter_map(|id| {
                let row = self.store.get("LineItem", id)?;
                Some((id, row.number("refundableQuantity"), json!("NO_RESTOCK")))
            })
            .collect()
        } else {
            let given = items(args, "refundLineItems").iter().filter_map(Value::as_object);
            given
                .map(|l| {
                    let id = number(text(l, "lineItemId").unwrap_or(""), "LineItem");
                    let kind = l.get("restockType").cloned().unwrap_or_else(|| json!("NO_RESTOCK"));
                    (id, whole(l, "quantity").unwrap_or(0), kind)
                })
                .collect()
        }
    }

    /// What a refund of these lines would come to.
    pub fn suggested_refund(&self, order: u64, args: &Object) -> Value {
        let pair = self.pair(order);
        let (mut subtotal, mut tax) = (Decimal::ZERO, Decimal::ZERO);
        let mut lines = Vec::new();
        for (id, quantity, kind) in self.asked(order, args) {
            let Some(row) = self.store.get("LineItem", id) else { continue };
            let all = Decimal::from(row.number("quantity").max(1));
            let part = |bag: &Value| money::of_bag(bag) * Decimal::from(quantity) / all;
            let own = part(&row.fields["discountedTotalSet"]);
            let own_tax: Decimal = row.list("taxLines").iter().map(|t| part(&t["priceSet"])).sum();
            subtotal += own;
            tax += own_tax;
            lines.push(json!({
                "lineItem": gid("LineItem", id), "quantity": quantity, "restockType": kind,
                "restocked": false, "priceSet": row.fields["originalUnitPriceSet"],
                "subtotalSet": pair.bag(own), "totalTaxSet": pair.bag(own_tax),
            }));
        }
        let shipping = money::given(args.get("shippingAmount")).unwrap_or_default();
        let most = money::of_bag(&self.stored("Order", order, "currentShippingPriceSet"));
        let shipping = if flag(args, "refundShipping") { most } else { shipping.min(most) };
        let included = self.stored("Order", order, "taxesIncluded") == json!(true);
        let total = subtotal + shipping + if included { Decimal::ZERO } else { tax };
        let received = money::of_bag(&self.stored("Order", order, "netPaymentSet"));
        let amount = total.min(received);
        let parent = self.store.get("Order", order).and_then(|o| {
            o.texts("transactions").into_iter().find(|t| {
                self.store
                    .find(t)
                    .is_some_and(|(_, t)| matches!(t.text("kind"), "SALE" | "CAPTURE"))
            })
        });
        let gateway = parent
            .as_ref()
            .and_then(|p| self.store.find(p))
            .map(|(_, t)| t.text("gateway").to_owned());
        let transactions: Vec<Value> = parent
            .into_iter()
            .map(|parent| {
                json!({
                    "amountSet": pair.bag(amount), "gateway": gateway, "kind": "SUGGESTED_REFUND",
                    "parentTransaction": parent,
                })
            })
            .collect();
        json!({
            "amountSet": pair.bag(amount), "subtotalSet": pair.bag(subtotal),
            "totalTaxSet": pair.bag(tax), "maximumRefundableSet": pair.bag(received),
            "refundLineItems": lines, "suggestedTransactions": transactions,
            "shipping": {
                "amountSet": pair.bag(shipping), "maximumRefundableSet": pair.bag(most),
                "taxSet": pair.bag(Decimal::ZERO),
            },
        })
    }
}
