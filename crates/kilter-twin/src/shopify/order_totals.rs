//! Totals of an order, always from its lines, its shipping, its transactions and refunds.
//!
//! Reads   lines, shipping, transactions, refunds.
//! Writes  every `…Set` of the order and its lines, both statuses.
//! Never   keeps a figure that somebody gave.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::gid::tail;
use super::money::{self, Pair, round};
use super::settings::Settings;
use super::shop::Shop;
use super::store::{Object, Row};

/// The sums of one walk over an order.
#[derive(Debug, Default)]
struct Sums {
    /// After discounts, as ordered and as it is now.
    subtotal: Decimal,
    current_subtotal: Decimal,
    discounts: Decimal,
    current_discounts: Decimal,
    tax: Decimal,
    current_tax: Decimal,
    shipping: Decimal,
    tip: Decimal,
    current_tip: Decimal,
    quantity: i64,
    current_quantity: i64,
}

impl Sums {
    /// A tip is a line, is received, and is no part of the subtotal.
    fn line(&mut self, tip: bool, net: (Decimal, Decimal), quantity: (i64, i64)) {
        if tip {
            self.tip += net.0;
            self.current_tip += net.1;
            return;
        }
        self.subtotal += net.0;
        self.current_subtotal += net.1;
        self.quantity += quantity.0;
        self.current_quantity += quantity.1;
    }
}

impl Shop {
    pub fn pair(&self, order: u64) -> Pair {
        let row = self.store.get("Order", order);
        let rate = row.and_then(|row| money::given(row.fields.get("_rate")));
        let presentment = row.map_or("", |row| row.text("presentmentCurrencyCode")).to_owned();
        Pair {
            shop: self.settings.currency.clone(),
            presentment,
            rate: rate.unwrap_or(Decimal::ONE),
        }
    }

    /// Computes everything anew; the order counts as updated.
    pub fn total_up(&mut self, id: u64) {
        let Some(row) = self.store.get("Order", id).cloned() else { return };
        let pair = self.pair(id);
        let included = row.flag("taxesIncluded");
        let mut sums = Sums::default();
        let mut taxes: Vec<(String, Decimal, Decimal)> = Vec::new();
        let lines: Vec<u64> = row.texts("lineItems").iter().map(|id| tail(id)).collect();
        for line in &lines {
            self.total_line(*line, &pair, included, &mut sums, &mut taxes);
        }
        let shipping = shipping_lines(&row, &pair, &mut sums);
        let mut out = Object::new();
        let tax_lines =
            taxes.iter().map(|(title, rate, amount)| tax_line(title, *rate, *amount, &pair));
        let tax_lines: Value = tax_lines.collect();
        out.insert("taxLines".to_owned(), tax_lines.clone());
        out.insert("currentTaxLines".to_owned(), tax_lines);
        out.insert("shippingLine".to_owned(), shipping.first().cloned().unwrap_or_default());
        out.insert("shippingLines".to_owned(), json!(shipping));
        self.put_sums(&row, &pair, &sums, included, &mut out);
        let fulfilled = self.fulfilment(&lines, &mut out);
        out.insert("displayFulfillmentStatus".to_owned(), json!(fulfilled));
        if let Some(fields) = self.edit("Order", id) {
            fields.extend(out);
        }
    }

    fn total_line(
        &mut self,
        id: u64,
        pair: &Pair,
        included: bool,
        sums: &mut Sums,
        taxes: &mut Vec<(String, Decimal, Decimal)>,
    ) {
        let Some(row) = self.store.get("LineItem", id) else { return };
        let places = Settings::places(&pair.shop);
        let amount = |name: &str| money::given(row.fields.get(name)).unwrap_or_default();
        let (unit, discount) = (amount("_unit"), amount("_discount"));
        let (quantity, current) = (row.number("quantity"), row.number("currentQuantity"));
        let (fulfilled, refunded) = (row.number("_fulfilled"), row.number("_refunded"));
        let original = unit * Decimal::from(quantity);
        let net = original - discount;
        let share = |n: i64| {
            if quantity == 0 { Decimal::ZERO } else { Decimal::from(n) / Decimal::from(quantity) }
        };
        let mut tax_lines = Vec::new();
        let mut tax = Decimal::ZERO;
        for one in row.list("_taxes") {
            let rate = money::given(one.get("rate")).unwrap_or_default();
            let exact = if included { net - net / (Decimal::ONE + rate) } else { net * rate };
            let exact = round(exact, places);
            tax += exact;
            let title = one["title"].as_str().unwrap_or("").to_owned();
            tax_lines.push(tax_line(&title, rate, exact, pair));
            match taxes.iter_mut().find(|(own, r, _)| *own == title && *r == rate) {
                Some((_, _, sum)) => *sum += exact,
                None => taxes.push((title, rate, exact)),
            }
        }
        let tip = row.flag("_tip");
        let now = round(net * share(current), places);
        sums.line(tip, (net, now), (quantity, current));
        sums.discounts += discount;
        sums.current_discounts += round(discount * share(current), places);
        sums.tax += tax;
        sums.current_tax += round(tax * share(current), places);
        let each = |sum: Decimal| {
            if quantity == 0 { Decimal::ZERO } else { sum / Decimal::from(quantity) }
        };
        let order = row.text("order").to_owned();
        let application =
            self.store.find(&order).map(|(_, o)| o.fields["discountApplications"][0].clone());
        let allocations: Vec<Value> = application
            .filter(|a| !a.is_null() && !discount.is_zero())
            .map(|a| json!({ "allocatedAmountSet": pair.bag(discount), "discountApplication": a }))
            .into_iter()
            .collect();
        let shown = json!({
            "unfulfilledQuantity": if tip { 0 } else { (current - fulfilled).max(0) },
            "refundableQuantity": (quantity - refunded).max(0).min(quantity),
            "nonFulfillableQuantity": if tip { quantity } else { (quantity - current).max(0) },
            "originalUnitPriceSet": pair.bag(unit), "originalTotalSet": pair.bag(original),
            "discountedUnitPriceSet": pair.bag(unit), "discountedTotalSet": pair.bag(net),
            "discountedUnitPriceAfterAllDiscountsSet": pair.bag(each(net)),
            "totalDiscountSet": pair.bag(discount), "discountAllocations": allocations,
            "taxLines": tax_lines,
        });
        if let (Some(fields), Value::Object(shown)) = (self.edit_unseen("LineItem", id), shown) {
            fields.extend(shown);
        }
    }

    fn put_sums(&self, row: &Row, pair: &Pair, sums: &Sums, included: bool, out: &mut Object) {
        let extra = |tax: Decimal| if included { Decimal::ZERO } else { tax };
        let total = sums.subtotal + sums.tip + sums.shipping + extra(sums.tax);
        let current = sums.current_subtotal + sums.current_tip;
        let current = current + sums.shipping + extra(sums.current_tax);
        let (received, refunded, authorized, gateways) = self.paid(row);
        let shipping_back = self.refunded_shipping(row);
        let current = current - shipping_back;
        let outstanding = (current - (received - refunded)).max(Decimal::ZERO);
        for (name, amount) in [
            ("subtotalPriceSet", sums.subtotal),
            ("totalPriceSet", total),
            ("originalTotalPriceSet", total),
            ("totalTaxSet", sums.tax),
            ("totalShippingPriceSet", sums.shipping),
            ("totalDiscountsSet", sums.discounts),
            ("totalRefundedSet", refunded),
            ("totalRefundedShippingSet", shipping_back),
            ("totalTipReceivedSet", sums.tip),
            ("totalReceivedSet", received),
            ("totalOutstandingSet", outstanding),
            ("netPaymentSet", received - refunded),
            ("currentSubtotalPriceSet", sums.current_subtotal),
            ("currentTotalPriceSet", current),
            ("currentTotalTaxSet", sums.current_tax),
            ("currentTotalDiscountsSet", sums.current_discounts),
            ("currentShippingPriceSet", sums.shipping - shipping_back),
        ] {
            out.insert(name.to_owned(), pair.bag(amount));
        }
        let cancelled = !row.text("cancelledAt").is_empty();
        let status = match () {
            () if refunded > Decimal::ZERO && refunded >= received => "REFUNDED",
            () if refunded > Decimal::ZERO => "PARTIALLY_REFUNDED",
            () if received.is_zero() && cancelled => "VOIDED",
            () if received.is_zero() && authorized => "AUTHORIZED",
            () if received.is_zero() && current > Decimal::ZERO => "PENDING",
            () if received < current => "PARTIALLY_PAID",
            () => "PAID",
        };
        let codes: Vec<&Value> = row
            .list("discountApplications")
            .iter()
            .map(|a| &a["code"])
            .filter(|code| !code.is_null())
            .collect();
        out.insert("displayFinancialStatus".to_owned(), json!(status));
        out.insert("fullyPaid".to_owned(), json!(outstanding.is_zero()));
        out.insert("unpaid".to_owned(), json!(received.is_zero() && !outstanding.is_zero()));
        out.insert("paymentGatewayNames".to_owned(), json!(gateways));
        out.insert("subtotalLineItemsQuantity".to_owned(), json!(sums.quantity));
        out.insert("currentSubtotalLineItemsQuantity".to_owned(), json!(sums.current_quantity));
        out.insert("refundable".to_owned(), json!(received > refunded));
        out.insert("discountCode".to_owned(), codes.first().map_or(Value::Null, |c| (*c).clone()));
        out.insert("discountCodes".to_owned(), json!(codes));
    }

    /// Received, given back, whether something is authorized, and the gateways.
    fn paid(&self, row: &Row) -> (Decimal, Decimal, bool, Vec<String>) {
        let (mut received, mut refunded, mut authorized) = (Decimal::ZERO, Decimal::ZERO, false);
        let mut gateways: Vec<String> = Vec::new();
        for id in row.texts("transactions") {
            let Some((_, one)) = self.store.find(&id) else { continue };
            let gateway = one.text("gateway").to_owned();
            if !gateways.contains(&gateway) {
                gateways.push(gateway);
            }
            if one.text("status") != "SUCCESS" {
                continue;
            }
            let amount = money::of_bag(&one.fields["amountSet"]);
            match one.text("kind") {
                "SALE" | "CAPTURE" => received += amount,
                "REFUND" => refunded += amount,
                "AUTHORIZATION" => authorized = true,
                _ => {}
            }
        }
        (received, refunded, authorized, gateways)
    }

    fn refunded_shipping(&self, row: &Row) -> Decimal {
        let refunds = row.texts("refunds");
        let rows = refunds.iter().filter_map(|id| self.store.find(id));
        rows.map(|(_, r)| money::given(r.fields.get("_shipping")).unwrap_or_default()).sum()
    }

    /// How far the order is shipped.
    fn fulfilment(&self, lines: &[u64], out: &mut Object) -> &'static str {
        let (mut wanted, mut done, mut ordered) = (0, 0, 0);
        let mut ships = false;
        for line in lines.iter().filter_map(|id| self.store.get("LineItem", *id)) {
            // Nobody can ship a tip.
            if line.flag("_tip") {
                continue;
            }
            ordered += line.number("quantity");
            wanted += line.number("currentQuantity").max(line.number("_fulfilled"));
            done += line.number("_fulfilled");
            ships |= line.flag("requiresShipping");
        }
        out.insert("fulfillable".to_owned(), json!(done < wanted));
        out.insert("restockable".to_owned(), json!(wanted > 0));
        out.insert("requiresShipping".to_owned(), json!(ships));
        match (done, wanted) {
            (0, 0) if ordered > 0 => "UNFULFILLED",
            (0, _) => "UNFULFILLED",
            (done, wanted) if done >= wanted => "FULFILLED",
            _ => "PARTIALLY_FULFILLED",
        }
    }

    pub fn lines_of(&self, order: u64) -> Vec<u64> {
        let row = self.store.get("Order", order);
        row.map_or(vec![], |row| row.texts("lineItems").iter().map(|id| tail(id)).collect())
    }
}

fn shipping_lines(row: &Row, pair: &Pair, sums: &mut Sums) -> Vec<Value> {
    let mut shown = Vec::new();
    for line in row.list("_shipping") {
        let price = money::given(line.get("price")).unwrap_or_default();
        sums.shipping += price;
        shown.push(json!({
            "id": line["id"], "title": line["title"], "code": line["code"], "source": "shopify",
            "custom": true, "isRemoved": false, "originalPriceSet": pair.bag(price),
            "discountedPriceSet": pair.bag(price), "currentDiscountedPriceSet": pair.bag(price),
            "discountAllocations": [], "taxLines": [], "phone": null, "carrierIdentifier": null,
        }));
    }
    shown
}

pub fn tax_line(title: &str, rate: Decimal, amount: Decimal, pair: &Pair) -> Value {
    let number = |d: Decimal| {
        d.normalize().to_string().parse::<serde_json::Number>().map_or(Value::Null, Value::Number)
    };
    json!({
        "title": title, "rate": number(rate),
        "ratePercentage": number(rate * Decimal::ONE_HUNDRED), "priceSet": pair.bag(amount),
        "channelLiable": false, "source": "shopify",
    })
}
