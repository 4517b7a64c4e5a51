//! A new order: from `orderCreate` or from a checkout, to rows, stock and fulfilment orders.
//!
//! Reads   what is ordered; variants, customers, stock.
//! Writes  the order, its lines, transactions, fulfilment orders; what it takes from stock.
//! Never   takes a total from anybody: they come from the lines.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::coerce::{flag, items, map, text, texts, whole};
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number, tail};
use super::money;
use super::shop::Shop;
use super::store::Object;

/// Whether an order takes stock, and whether it may be refused for want of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Inventory {
    #[default]
    Bypass,
    Ignore,
    Obey,
}

#[derive(Debug, Clone, Default)]
pub struct NewLine {
    /// 0: a custom line.
    pub variant: u64,
    pub title: String,
    pub sku: Option<String>,
    pub quantity: i64,
    pub unit: Decimal,
    pub taxable: bool,
    pub ships: bool,
    pub gift_card: bool,
    pub tip: bool,
    /// Title, rate as a fraction; `None`: the shop's own tax.
    pub taxes: Option<Vec<(String, Decimal)>>,
    pub attributes: Value,
}

#[derive(Debug, Clone, Default)]
pub struct NewOrder {
    pub lines: Vec<NewLine>,
    /// Title, code, price.
    pub shipping: Vec<(String, String, Decimal)>,
    /// Code, percent or amount of the whole.
    pub discount: Option<(String, Option<Decimal>, Option<Decimal>)>,
    /// Kind, status, gateway, amount; no amount: what is left to pay.
    pub payments: Vec<(String, String, String, Option<Decimal>)>,
    pub presentment: String,
    pub rate: Decimal,
    pub inventory: Inventory,
    /// 0: wherever there is enough.
    pub location: u64,
    /// Everything else, by its name in the schema.
    pub fields: Object,
}

impl Shop {
    pub fn order_create(&mut self, args: &Object) -> Answer<Value> {
        let Some(input) = map(args, "order").cloned() else { return Ok(Value::Null) };
        let options = map(args, "options").cloned().unwrap_or_default();
        let mut order = NewOrder {
            presentment: self.settings.currency.clone(),
            rate: Decimal::ONE,
            inventory: match text(&options, "inventoryBehaviour") {
                Some("DECREMENT_IGNORING_POLICY") => Inventory::Ignore,
                Some("DECREMENT_OBEYING_POLICY") => Inventory::Obey,
                _ => Inventory::Bypass,
            },
            ..NewOrder::default()
        };
        let mut errors = Vec::new();
        for (at, line) in items(&input, "lineItems").iter().filter_map(Value::as_object).enumerate()
        {
            match self.input_line(line) {
                Ok(line) => order.lines.push(line),
                Err((field, message)) => errors.push(UserError::at(
                    &["order", "lineItems"],
                    at,
                    &[field],
                    "INVALID",
                    message,
                )),
            }
        }
        if order.lines.is_empty() && errors.is_empty() {
            let message = "Line items must have at least one line item";
            errors.push(UserError::new(&["order", "lineItems"], "INVALID", message));
        }
        if !errors.is_empty() {
            return Ok(refused(&errors));
        }
        self.input_rest(&input, &mut order);
        let customer = self.input_customer(&input);
        if let Some(customer) = customer {
            order.fields.insert("customer".to_owned(), json!(gid("Customer", customer)));
        }
        match self.place(&order) {
            Ok(id) => {
                for item in items(&input, "metafields").iter().filter_map(Value::as_object) {
                    self.put_metafield(&gid("Order", id), item);
                }
                self.announce_order(id);
                Ok(json!({ "order": gid("Order", id), "userErrors": [] }))
            }
            Err(message) => {
                let field = ["order", "lineItems"];
                Ok(refused(&[UserError::new(&field, "INVALID", message)]))
            }
        }
    }

    fn input_line(&self, line: &Object) -> Result<NewLine, (&'static str, &'static str)> {
        let quantity = whole(line, "quantity").unwrap_or(0);
        if quantity < 1 {
            return Err(("quantity", "Quantity must be greater than 0"));
        }
        let given = line.get("priceSet").map(money::of_bag);
        let variant = number(text(line, "variantId").unwrap_or(""), "ProductVariant");
        let row = self.store.get("ProductVariant", variant);
        if text(line, "variantId").is_some() && row.is_none() {
            return Err(("variantId", "Variant does not exist"));
        }
        let own = row.and_then(|row| money::given(row.fields.get("price")));
        let title = text(line, "title").map(str::to_owned);
        if row.is_none() && title.is_none() {
            return Err(("title", "Title can't be blank"));
        }
        let taxes = line.get("taxLines").and_then(Value::as_array).map(|list| {
            let one = |tax: &Object| {
                let rate = money::given(tax.get("rate")).unwrap_or_default();
                (text(tax, "title").unwrap_or("Tax").to_owned(), rate)
            };
            list.iter().filter_map(Value::as_object).map(one).collect()
        });
        let attributes = items(line, "properties").iter();
        let attributes = attributes.map(|p| json!({ "key": p["name"], "value": p["value"] }));
        Ok(NewLine {
            variant,
            title: title.unwrap_or_default(),
            sku: text(line, "sku").map(str::to_owned),
            quantity,
            unit: given.or(own).unwrap_or_default(),
            taxable: line.get("taxable").and_then(Value::as_bool).unwrap_or(true),
            ships: line.get("requiresShipping").and_then(Value::as_bool).unwrap_or(row.is_some()),
            gift_card: flag(line, "giftCard"),
            tip: false,
            taxes,
            attributes: attributes.collect(),
        })
    }

    fn input_rest(&self, input: &Object, order: &mut NewOrder) {
        for line in items(input, "shippingLines").iter().filter_map(Value::as_object) {
            let title = text(line, "title").unwrap_or("").to_owned();
            let code = text(line, "code").map_or_else(|| title.clone(), str::to_owned);
            let price = line.get("priceSet").map(money::of_bag).unwrap_or_default();
            order.shipping.push((title, code, price));
        }
        if let Some(discount) = map(input, "discountCode") {
            if let Some(percent) = map(discount, "itemPercentageDiscountCode") {
                let code = text(percent, "code").unwrap_or("").to_owned();
                order.discount = Some((code, money::given(percent.get("percentage")), None));
            } else if let Some(fixed) = map(discount, "itemFixedDiscountCode") {
                let code = text(fixed, "code").unwrap_or("").to_owned();
                order.discount = Some((code, None, fixed.get("amountSet").map(money::of_bag)));
            }
        }
        for paid in items(input, "transactions").iter().filter_map(Value::as_object) {
            order.payments.push((
                text(paid, "kind").unwrap_or("SALE").to_owned(),
                text(paid, "status").unwrap_or("SUCCESS").to_owned(),
                text(paid, "gateway").unwrap_or("manual").to_owned(),
                paid.get("amountSet").map(money::of_bag),
            ));
        }
        if order.payments.is_empty() && text(input, "financialStatus") == Some("PAID") {
            order.payments.push(("SALE".into(), "SUCCESS".into(), "manual".into(), None));
        }
        for name in [
            "email",
            "phone",
            "note",
            "sourceIdentifier",
            "sourceName",
            "poNumber",
            "processedAt",
            "closedAt",
            "test",
            "name",
            "taxesIncluded",
        ] {
            if let Some(value) = input.get(name).filter(|v| !v.is_null()) {
                order.fields.insert(name.to_owned(), value.clone());
            }
        }
        order.fields.insert("tags".to_owned(), super::product_write::tags(&texts(input, "tags")));
        let attributes = input.get("customAttributes").cloned().unwrap_or_else(|| json!([]));
        order.fields.insert("customAttributes".to_owned(), attributes);
        for name in ["billingAddress", "shippingAddress"] {
            if let Some(given) = map(input, name) {
                order.fields.insert(name.to_owned(), super::customers::address(0, given));
            }
        }
    }

    fn input_customer(&mut self, input: &Object) -> Option<u64> {
        let given = map(input, "customer")?;
        if let Some(known) = map(given, "toAssociate") {
            let by_id = text(known, "id").map(|id| number(id, "Customer"));
            let by_email = || self.by_text("Customer", "email", text(known, "email")?);
            return by_id.filter(|id| self.store.get("Customer", *id).is_some()).or_else(by_email);
        }
        let wanted = map(given, "toUpsert")?.clone();
        Some(self.upsert_customer(&wanted))
    }

    /// Puts the order into the shop; an error where the stock is not there and counts.
    pub fn place(&mut self, order: &NewOrder) -> Result<u64, String> {
        if order.inventory == Inventory::Obey {
            self.enough(order)?;
        }
        self.order_number += 1;
        let number = self.order_number;
        let now = self.utc(self.now());
        let mut fields = json!({
            "name": format!("#{number}"), "number": number, "email": null, "phone": null,
            "note": null, "tags": [], "customAttributes": [], "processedAt": now,
            "cancelledAt": null, "cancelReason": null, "closedAt": null, "closed": false,
            "confirmed": true, "test": false, "edited": false, "sourceIdentifier": null,
            "sourceName": "web", "poNumber": null, "currencyCode": self.settings.currency,
            "presentmentCurrencyCode": order.presentment, "customer": null,
            "customerLocale": "en", "billingAddress": null, "shippingAddress": null,
            "returnStatus": "NO_RETURN", "taxesIncluded": self.settings.taxes_included,
            "taxExempt": false, "lineItems": [], "_shipping": [], "transactions": [],
            "refunds": [], "fulfillments": [], "fulfillmentOrders": [],
            "discountApplications": [], "_rate": order.rate.to_string(), "_metafields": [],
            "retailLocation": null,
        });
        for (name, value) in &order.fields {
            fields[name.as_str()] = value.clone();
        }
        fields["closed"] = json!(!fields["closedAt"].is_null());
        let id = self.add("Order", fields);
        let own = gid("Order", id);
        let lines: Vec<u64> = order.lines.iter().map(|line| self.add_line_to(&own, line)).collect();
        self.put(
            &own,
            "lineItems",
            json!(lines.iter().map(|l| gid("LineItem", *l)).collect::<Vec<_>>()),
        );
        let shipping: Vec<Value> = order
            .shipping
            .iter()
            .map(|(title, code, price)| {
                let id = gid("ShippingLine", self.next_id());
                json!({ "id": id, "title": title, "code": code, "price": price.to_string() })
            })
            .collect();
        self.put(&own, "_shipping", json!(shipping));
        self.put_discount(&own, order);
        self.total_up(id);
        for (kind, status, gateway, amount) in &order.payments {
            let left = self
                .store
                .get("Order", id)
                .map(|o| money::of_bag(&o.fields["totalOutstandingSet"]));
            let amount = amount.unwrap_or_else(|| left.unwrap_or_default());
            self.add_transaction(id, kind, status, gateway, amount, None);
            self.total_up(id);
        }
        self.take_and_route(id, order, &lines);
        self.total_up(id);
        Ok(id)
    }

    pub fn add_line_to(&mut self, order: &str, line: &NewLine) -> u64 {
        let row = self.store.get("ProductVariant", line.variant).cloned();
        let product = row.as_ref().map(|row| row.text("product").to_owned());
        let of = product.as_ref().and_then(|p| self.store.find(p)).map(|(_, p)| p.clone());
        let own_title = of.as_ref().map_or("", |p| p.text("title"));
        let title = if line.title.is_empty() { own_title.to_owned() } else { line.title.clone() };
        let variant_title = row.as_ref().map(|row| row.text("title").to_owned());
        let variant_title = variant_title.filter(|t| t != "Default Title");
        let name = match &variant_title {
            Some(variant) => format!("{title} - {variant}"),
            None => title.clone(),
        };
        let sku = line.sku.clone().or_else(|| row.as_ref().map(|r| r.text("sku").to_owned()));
        let taxable = line.taxable && row.as_ref().is_none_or(|r| r.flag("taxable")) && !line.tip;
        let own_tax = self.settings.tax_rate / Decimal::ONE_HUNDRED;
        let taxes = line.taxes.clone().unwrap_or_else(|| {
            let none = own_tax.is_zero() || !taxable;
            if none { vec![] } else { vec![("Tax".to_owned(), own_tax)] }
        });
        let taxes: Vec<Value> = taxes
            .iter()
            .map(|(title, rate)| json!({ "title": title, "rate": rate.to_string() }))
            .collect();
        self.add(
            "LineItem",
            json!({
                "order": order, "title": title, "name": name, "sku": sku,
                "quantity": line.quantity, "currentQuantity": line.quantity,
                "variant": row.as_ref().map(|r| gid("ProductVariant", r.id)), "product": product,
                "variantTitle": variant_title, "vendor": of.map(|p| p.text("vendor").to_owned()),
                "taxable": taxable, "requiresShipping": line.ships, "isGiftCard": line.gift_card,
                "restockable": row.is_some(), "customAttributes": line.attributes,
                "_unit": line.unit.to_string(), "_taxes": taxes, "_tip": line.tip,
                "_fulfilled": 0, "_refunded": 0, "_discount": "0", "_location": 0,
            }),
        )
    }

    /// A code's discount, spread over the lines by their weight.
    fn put_discount(&mut self, own: &str, order: &NewOrder) {
        let Some((code, percent, fixed)) = &order.discount else { return };
        let Some((_, row)) = self.store.find(own) else { return };
        let ids: Vec<u64> = row.texts("lineItems").iter().map(|id| tail(id)).collect();
        // A code takes nothing off a tip.
        let counts = |line: &NewLine| if line.tip { 0 } else { line.quantity };
        let totals: Vec<Decimal> =
            order.lines.iter().map(|l| l.unit * Decimal::from(counts(l))).collect();
        let last = totals.iter().rposition(|total| !total.is_zero()).unwrap_or(0);
        let sum: Decimal = totals.iter().sum();
        let currency = self.settings.currency.clone();
        let places = super::settings::Settings::places(&currency);
        let whole = match (percent, fixed) {
            (Some(percent), _) => money::round(sum * percent / Decimal::ONE_HUNDRED, places),
            (_, Some(amount)) => (*amount).min(sum),
            _ => Decimal::ZERO,
        };
        let mut left = whole;
        for (at, id) in ids.iter().enumerate() {
            let share = if at == last || sum.is_zero() {
                left
            } else {
                money::round(whole * totals[at] / sum, places)
            };
            left -= share;
            self.put(&gid("LineItem", *id), "_discount", json!(share.to_string()));
        }
        let value = match percent {
            Some(percent) => {
                let number = percent.normalize().to_string().parse::<serde_json::Number>();
                json!({
                    "__typename": "PricingPercentageValue",
                    "percentage": number.map_or(Value::Null, Value::Number),
                })
            }
            None => {
                let mut shown = money::v2(whole, &currency);
                shown["__typename"] = json!("MoneyV2");
                shown
            }
        };
        let application = json!({
            "__typename": "DiscountCodeApplication", "allocationMethod": "ACROSS", "code": code,
            "index": 0, "targetSelection": "ALL", "targetType": "LINE_ITEM", "value": value,
        });
        self.put(own, "discountApplications", json!([application]));
    }

    pub fn add_transaction(
        &mut self,
        order: u64,
        kind: &str,
        status: &str,
        gateway: &str,
        amount: Decimal,
        parent: Option<String>,
    ) -> u64 {
        let bag = self.pair(order).bag(amount);
        let now = self.utc(self.now());
        let own = gid("Order", order);
        let id = self.add(
            "OrderTransaction",
            json!({
                "kind": kind, "status": status, "gateway": gateway, "formattedGateway": gateway,
                "amountSet": bag, "processedAt": now, "parentTransaction": parent, "test": false,
                "paymentId": format!("twin.{}", self.last_id),
                "manualPaymentGateway": gateway == "manual", "order": own,
            }),
        );
        let mut list = self.stored("Order", order, "transactions");
        if let Some(list) = list.as_array_mut() {
            list.push(json!(gid("OrderTransaction", id)));
        }
        self.put(&own, "transactions", list);
        id
    }

    pub fn announce_order(&mut self, id: u64) {
        self.fire("orders/create", "Order", id);
        if self.stored("Order", id, "displayFinancialStatus") == json!("PAID") {
            self.fire("orders/paid", "Order", id);
        }
        self.happened("create", "ORDER", &gid("Order", id));
    }
}
