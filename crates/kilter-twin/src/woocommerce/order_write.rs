//! Orders: create, change, trash, delete, notes.
//!
//! Reads   the body of a call.
//! Writes  orders and their notes, stock through `stock`; fires webhooks.
//! Never   takes an order twice for one: an `Idempotency-Key` means nothing here.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::api::{Answer, Fail, Invalid, Object, id_of, loose_text, truthy, whole};
use super::check::{self, Kind};
use super::model::{Charge, CouponLine, Line, Meta, Note, Order, merge_meta};
use super::shop::{Shop, object};
use super::{money, text};

pub const STATUSES: &[&str] = &[
    "auto-draft",
    "pending",
    "processing",
    "on-hold",
    "completed",
    "cancelled",
    "refunded",
    "failed",
    "checkout-draft",
];

const SCHEMA: &[(&str, Kind)] = &[
    ("parent_id", Kind::Whole),
    ("status", Kind::OneOf(STATUSES)),
    ("currency", Kind::Text),
    ("customer_id", Kind::Whole),
    ("customer_note", Kind::Text),
    ("billing", Kind::Map),
    ("shipping", Kind::Map),
    ("payment_method", Kind::Text),
    ("payment_method_title", Kind::Text),
    ("transaction_id", Kind::Text),
    ("meta_data", Kind::List),
    ("line_items", Kind::List),
    ("shipping_lines", Kind::List),
    ("fee_lines", Kind::List),
    ("coupon_lines", Kind::List),
    ("set_paid", Kind::Flag),
];

const ADDRESS: &[&str] = &[
    "first_name",
    "last_name",
    "company",
    "address_1",
    "address_2",
    "city",
    "state",
    "postcode",
    "country",
    "email",
    "phone",
];

pub fn validate(body: &Object) -> Answer<()> {
    check::body(SCHEMA, body)?;
    let email = body.get("billing").and_then(|b| b.get("email")).and_then(Value::as_str);
    if email.is_some_and(|email| !email.is_empty() && !super::customers::is_email(email)) {
        let message = "Invalid email address.".to_owned();
        let one = Invalid { name: "billing".to_owned(), code: "rest_invalid_email", message };
        return Err(Fail::invalid(&[one]));
    }
    Ok(())
}

impl Shop {
    pub fn create_order(&mut self, body: &Object, via: &str) -> Answer<u64> {
        let now = self.now();
        let mut order = Order { created: now, modified: now, ..Order::default() };
        order.status = "pending".to_owned();
        for (address, skip) in [(&mut order.billing, ""), (&mut order.shipping, "email")] {
            for name in ADDRESS.iter().filter(|name| **name != skip) {
                address.insert((*name).to_owned(), json!(""));
            }
        }
        order.fields = object(json!({
            "currency": self.settings.currency, "payment_method": "", "payment_method_title": "",
            "transaction_id": "", "customer_ip_address": "", "customer_user_agent": "",
            "created_via": via, "customer_note": "", "cart_hash": "", "order_key": "",
        }));
        let removed = self.merge_order(&mut order, body)?;
        debug_assert!(removed.is_empty());
        order.id = match id_of(body.get("_id")) {
            0 => self.next_post(),
            explicit => explicit,
        };
        self.ids.post = self.ids.post.max(order.id);
        let id = order.id;
        let key = format!("wc_order_{}", self.token(&format!("order {id}"), 13));
        order.fields.insert("order_key".to_owned(), json!(key));
        self.orders.insert(id, order);
        self.enter_status(id, body);
        self.fire("order.created", id);
        self.fire("order.updated", id);
        Ok(id)
    }

    pub fn update_order(&mut self, id: u64, body: &Object) -> Answer<()> {
        let mut order = self.orders.get(&id).cloned().ok_or_else(|| {
            Fail::new(400, "woocommerce_rest_shop_order_invalid_id", "ID is invalid.")
        })?;
        let removed = self.merge_order(&mut order, body)?;
        order.modified = self.now();
        self.orders.insert(id, order);
        for line in removed {
            self.give_back(id, line.item(), line.reduced);
        }
        self.enter_status(id, body);
        self.fire("order.updated", id);
        Ok(())
    }

    /// Merges a body into an order; answers the lines it removed.
    fn merge_order(&mut self, order: &mut Order, body: &Object) -> Answer<Vec<Line>> {
        if let Some(customer) = body.get("customer_id") {
            let id = id_of(Some(customer));
            if id > 1 && !self.customers.contains_key(&id) {
                let message = "Customer ID is invalid.";
                return Err(Fail::new(400, "woocommerce_rest_invalid_customer_id", message));
            }
            order.customer_id = id;
        }
        for name in [
            "payment_method",
            "payment_method_title",
            "transaction_id",
            "customer_note",
            "currency",
        ] {
            if let Some(value) = body.get(name) {
                order.fields.insert(name.to_owned(), json!(loose_text(value)));
            }
        }
        for (name, address) in [("billing", &mut order.billing), ("shipping", &mut order.shipping)]
        {
            for (key, value) in body.get(name).and_then(Value::as_object).into_iter().flatten() {
                if address.contains_key(key) {
                    address.insert(key.clone(), json!(loose_text(value)));
                }
            }
        }
        if order.billing.get("email") == Some(&json!(""))
            && let Some(customer) = self.customers.get(&order.customer_id)
        {
            let email = json!(customer.field("email"));
            order.billing.insert("email".to_owned(), email);
        }
        merge_meta(&mut order.meta, body.get("meta_data"), &mut self.ids.meta);
        let removed = self.merge_lines(order, body)?;
        self.merge_charges(order, body);
        if let Some(Value::Array(list)) = body.get("coupon_lines") {
            self.merge_coupons(order, list)?;
        }
        self.total_up(order);
        Ok(removed)
    }

    fn merge_lines(&mut self, order: &mut Order, body: &Object) -> Answer<Vec<Line>> {
        let mut removed = Vec::new();
        let Some(Value::Array(list)) = body.get("line_items") else { return Ok(removed) };
        for given in list {
            let id = id_of(given.get("id"));
            let quantity = given.get("quantity").and_then(whole);
            if id == 0 {
                let line = self.new_line(given)?;
                order.lines.push(line);
                continue;
            }
            let Some(at) = order.lines.iter().position(|line| line.id == id) else {
                let message = "Order item ID provided is not associated with order.";
                return Err(Fail::new(400, "woocommerce_rest_invalid_item_id", message));
            };
            if quantity == Some(0) || given.get("product_id") == Some(&Value::Null) {
                removed.push(order.lines.remove(at));
                continue;
            }
            let line = &mut order.lines[at];
            line.quantity = quantity.unwrap_or(line.quantity);
            self.set_line(order, at, given);
        }
        Ok(removed)
    }

    fn set_line(&mut self, order: &mut Order, at: usize, given: &Value) {
        let line = &mut order.lines[at];
        if let Some(name) = given.get("name") {
            line.name = loose_text(name);
        }
        line.subtotal = money::given(given.get("subtotal")).unwrap_or(line.subtotal);
        line.total = money::given(given.get("total")).unwrap_or(line.total);
        merge_meta(&mut line.meta, given.get("meta_data"), &mut self.ids.meta);
    }

    /// A line of a body. One that names an unknown product is accepted, and empty.
    fn new_line(&mut self, given: &Value) -> Answer<Line> {
        let (product, variation) =
            (id_of(given.get("product_id")), id_of(given.get("variation_id")));
        let sku = given.get("sku").map(loose_text).unwrap_or_default();
        if product == 0 && variation == 0 && sku.is_empty() {
            let message = "Product ID or SKU is required.";
            return Err(Fail::new(400, "woocommerce_rest_required_product_reference", message));
        }
        let found = match (variation, product) {
            (0, 0) => self.sku_holder(&sku),
            (0, id) | (id, _) => self.products.get(&id),
        };
        let found = found.cloned();
        let quantity = given.get("quantity").and_then(whole).unwrap_or(1);
        self.ids.line += 1;
        let mut line = Line { id: self.ids.line, quantity, taxable: true, ..Line::default() };
        if let Some(product) = &found {
            line.name = self.product_name(product);
            line.tax_class = product.field("tax_class").to_owned();
            line.taxable = product.field("tax_status") == "taxable";
            line.subtotal = self.net(product, quantity);
            line.product_id = if product.is_variation() { product.parent } else { product.id };
            line.variation_id = if product.is_variation() { product.id } else { 0 };
            let attributes = product.fields.get("attributes").and_then(Value::as_array);
            for attribute in attributes.into_iter().flatten().filter(|_| product.is_variation()) {
                self.ids.meta += 1;
                let option = attribute["option"].as_str().unwrap_or("");
                let slug = attribute["slug"].as_str().unwrap_or("").to_owned();
                let value =
                    if slug.starts_with("pa_") { text::slug(option) } else { option.to_owned() };
                line.meta.push(Meta { id: self.ids.meta, key: slug, value: json!(value) });
            }
        } else {
            line.empty = true;
        }
        line.total = line.subtotal;
        if let Some(total) = money::given(given.get("total")) {
            line.total = total;
        }
        if let Some(subtotal) = money::given(given.get("subtotal")) {
            line.subtotal = subtotal;
        }
        if let Some(name) = given.get("name") {
            line.name = loose_text(name);
        }
        merge_meta(&mut line.meta, given.get("meta_data"), &mut self.ids.meta);
        Ok(line)
    }

    fn merge_charges(&mut self, order: &mut Order, body: &Object) {
        for (name, charges) in
            [("shipping_lines", &mut order.shipping_lines), ("fee_lines", &mut order.fees)]
        {
            let Some(Value::Array(list)) = body.get(name) else { continue };
            let fee = name == "fee_lines";
            for given in list {
                let id = id_of(given.get("id"));
                let title = if fee { "name" } else { "method_title" };
                if id > 0 && given.get(if fee { "name" } else { "method_id" }) == Some(&Value::Null)
                {
                    charges.retain(|charge| charge.id != id);
                    continue;
                }
                let at = charges.iter().position(|charge| id > 0 && charge.id == id);
                let at = at.unwrap_or_else(|| {
                    self.ids.line += 1;
                    let taxable = true;
                    charges.push(Charge { id: self.ids.line, taxable, ..Charge::default() });
                    charges.len() - 1
                });
                let charge = &mut charges[at];
                let text =
                    |name: &str, old: &str| given.get(name).map_or(old.to_owned(), loose_text);
                charge.title = text(title, &charge.title);
                charge.method = text("method_id", &charge.method);
                charge.tax_class = text("tax_class", &charge.tax_class);
                if let Some(status) = given.get("tax_status") {
                    charge.taxable = status == "taxable";
                }
                charge.total = money::given(given.get("total")).unwrap_or(charge.total);
                merge_meta(&mut charge.meta, given.get("meta_data"), &mut self.ids.meta);
            }
        }
    }

    fn merge_coupons(&mut self, order: &mut Order, list: &[Value]) -> Answer<()> {
        let mut coupons = Vec::new();
        for given in list {
            let code = given.get("code").map(loose_text).unwrap_or_default().to_lowercase();
            let old = order.coupons.iter().find(|c| c.code == code).map(|c| c.id);
            let known = self.coupons.values().find(|c| c.field("code") == code);
            let (kind, amount) = match (known, money::given(given.get("_percent"))) {
                (_, Some(percent)) => ("percent".to_owned(), percent),
                (Some(c), None) => {
                    let amount = text::decimal(c.field("amount")).unwrap_or(Decimal::ZERO);
                    (c.field("discount_type").to_owned(), amount)
                }
                (None, None) => {
                    let message = format!("Coupon \"{code}\" does not exist!");
                    return Err(Fail::new(400, "woocommerce_rest_invalid_coupon", &message));
                }
            };
            let id = old.unwrap_or_else(|| {
                self.ids.line += 1;
                self.ids.line
            });
            coupons.push(CouponLine { id, code, kind, amount, ..CouponLine::default() });
        }
        order.coupons = coupons;
        self.take_coupons(order);
        Ok(())
    }

    /// The state a body asks for (`status`, `set_paid`), with its dates and its stock.
    fn enter_status(&mut self, id: u64, body: &Object) {
        let now = self.now();
        let processing = self.orders.get(&id).is_some_and(|order| self.needs_processing(order));
        let mut paid_now = false;
        let Some(order) = self.orders.get_mut(&id) else { return };
        let before = order.status.clone();
        if let Some(status) = body.get("status").and_then(Value::as_str) {
            order.status = status.trim_start_matches("wc-").to_owned();
        }
        if body.get("set_paid").is_some_and(truthy)
            && matches!(order.status.as_str(), "pending" | "on-hold" | "failed" | "cancelled")
        {
            let done = order.field("payment_method") == "cod" || !processing;
            order.status = if done { "completed" } else { "processing" }.to_owned();
            paid_now = true;
        }
        if matches!(order.status.as_str(), "processing" | "completed") {
            order.paid.get_or_insert(now);
        }
        if order.status == "completed" {
            order.completed.get_or_insert(now);
        }
        let after = order.status.clone();
        if paid_now {
            self.add_note(id, "Payment complete.", false);
        }
        self.settle_stock(id);
        if before != after && after == "completed" {
            self.add_note(id, "Email \"Completed order\" sent.", false);
        }
        if before == "pending" && matches!(after.as_str(), "processing" | "completed" | "on-hold") {
            self.add_note(id, "Email \"New order\" sent.", false);
        }
        if before != after && !paid_now {
            let said = format!("Order status changed from {before} to {after}.");
            self.add_note(id, &said, false);
        }
    }

    /// A note. It fires nothing and does not move `date_modified`.
    pub fn add_note(&mut self, order: u64, text: &str, customer: bool) -> u64 {
        self.ids.note += 1;
        let (id, created) = (self.ids.note, self.now());
        self.notes.insert(id, Note { id, order, text: text.to_owned(), customer, created });
        id
    }

    pub fn delete_order(&mut self, id: u64, force: bool) -> Answer<()> {
        let now = self.now();
        let Some(order) = self.orders.get_mut(&id) else {
            return Err(Fail::new(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID."));
        };
        let (trashed, customer) = (order.status == "trash", order.customer_id);
        if force {
            self.orders.remove(&id);
            self.refunds.retain(|_, refund| refund.order != id);
            if trashed && customer > 0 {
                self.fire("customer.updated", customer);
            }
            return Ok(());
        }
        if trashed {
            let message = "The order has already been deleted.";
            return Err(Fail::new(410, "woocommerce_rest_already_trashed", message));
        }
        order.status = "trash".to_owned();
        order.modified = now;
        self.fire("order.deleted", id);
        Ok(())
    }
}
