//! The back office under `/_twin/`: what a person or a customer does, and what a test asks.
//!
//! Reads   the whole shop.
//! Writes  orders, products, faults, counts.
//! Never   counts as the client: nothing here is part of the platform's API.

use serde_json::{Value, json};

use super::api::{Answer, Fail, Object, Reply, id_of, loose_text};
use super::crud::Res;
use super::shop::{Shop, object};

impl Shop {
    pub fn office(&mut self, method: &str, path: &str, body: &Object) -> Reply {
        self.next_tick();
        self.audit.by_client = false;
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let answer = match (method, parts.as_slice()) {
            ("GET", ["state"]) => Ok(self.show_state()),
            ("GET", ["brief"]) => Ok(self.show_brief()),
            ("GET", ["orders"]) => {
                let dp = self.settings.decimals;
                Ok(self.orders.values().map(|order| self.show_order(order, dp)).collect())
            }
            ("GET", ["calls"]) => Ok(self.calls.show()),
            ("POST", ["calls", "reset"]) => {
                self.calls = Default::default();
                Ok(json!({}))
            }
            ("GET", ["webhooks"]) => Ok(self.show_deliveries()),
            ("GET", ["oversold"]) => Ok(self.show_oversold()),
            ("GET", ["stock_raises"]) => Ok(self.audit.show()),
            ("GET", ["faults"]) => Ok(self.show_faults()),
            ("POST", ["faults"]) => {
                let mut own = body.clone();
                let done = self.edge.schedule().set(&mut own);
                match done {
                    Ok(true) => Ok(self.show_faults()),
                    Ok(false) => {
                        self.faults.set(&own);
                        Ok(self.show_faults())
                    }
                    Err(error) => Err(Fail::new(422, "no_such_fault", &error.to_string())),
                }
            }
            ("POST", ["orders"]) => self.checkout(body),
            ("POST", ["orders", id, "status"]) => self.office_status(id, body),
            ("POST", ["products", id]) => self.office_product(id, body),
            ("POST", ["seed"]) => self.seed(body),
            _ => Err(Fail::new(404, "no_such_office", "The back office has no such page.")),
        };
        match answer {
            Ok(value) => Reply::json(200, value),
            Err(fail) => fail.reply(),
        }
    }

    fn show_faults(&self) -> Value {
        let mut shown = self.edge.schedule().show();
        shown.extend(object(self.faults.show()));
        Value::Object(shown)
    }

    fn show_state(&self) -> Value {
        let dp = self.settings.decimals;
        let (variations, products): (Vec<_>, Vec<_>) =
            self.products.values().partition(|p| p.is_variation());
        let simple = |res: Res| -> Value {
            self.simple(res).values().map(|one| self.show_simple(res, one)).collect()
        };
        let list = |items: Vec<Value>| Value::Array(items);
        json!({
            "products": list(products.iter().map(|p| self.show_product(p, false)).collect()),
            "variations": list(variations.iter().map(|p| self.show_variation(p, false)).collect()),
            "orders": list(self.orders.values().map(|o| self.show_order(o, dp)).collect()),
            "refunds": list(self.refunds.values().map(|r| self.show_refund(r, dp, true)).collect()),
            "notes": list(self.notes.values().map(|n| self.show_note(n)).collect()),
            "customers": list(self.customers.values().map(|c| self.show_customer(c)).collect()),
            "webhooks": list(self.webhooks.values().map(|w| self.show_webhook(w)).collect()),
            "categories": simple(Res::Category), "tags": simple(Res::Tag),
            "attributes": simple(Res::Attribute), "coupons": simple(Res::Coupon),
            "settings": {
                "currency": self.settings.currency, "locale": self.settings.locale,
                "prices_include_tax": self.settings.prices_include_tax,
                "tax_rate": self.settings.tax_rate.to_string(),
            },
        })
    }

    /// What is on sale, a line each: small enough to be asked for several times a second.
    fn show_brief(&self) -> Value {
        let there = self.products.values().filter(|p| !p.trashed());
        there
            .map(|p| {
                json!({
                    "id": p.id, "parent": p.parent, "type": p.kind, "sku": p.sku,
                    "gtin": p.gtin, "manage": p.manage, "stock": p.stock,
                    "name": p.field("name"), "status": p.field("status"),
                    "price": p.field("regular_price"), "weight": p.field("weight"),
                    "attributes": p.fields.get("attributes"),
                })
            })
            .collect()
    }

    /// A customer places an order. `check_stock` makes the shop refuse what it does not have.
    fn checkout(&mut self, body: &Object) -> Answer<Value> {
        let mut order = Object::new();
        let none = Vec::new();
        let lines = body.get("lines").or_else(|| body.get("line_items"));
        let lines = lines.and_then(Value::as_array).unwrap_or(&none).clone();
        for line in &lines {
            self.on_sale_here(line, body)?;
        }
        order.insert("line_items".to_owned(), Value::Array(lines));
        for name in [
            "billing",
            "shipping",
            "customer_id",
            "payment_method",
            "payment_method_title",
            "customer_note",
            "meta_data",
            "transaction_id",
            "fee_lines",
            "shipping_lines",
            "coupon_lines",
            "_id",
        ] {
            if let Some(value) = body.get(name) {
                order.insert(name.to_owned(), value.clone());
            }
        }
        if let Some(total) = body.get("shipping_total") {
            let line =
                json!([{ "method_id": "flat_rate", "method_title": "Flat rate", "total": total }]);
            order.insert("shipping_lines".to_owned(), line);
        }
        if let Some(fee) = body.get("fee") {
            order.insert("fee_lines".to_owned(), json!([{ "name": "Fee", "total": fee }]));
        }
        if let Some(percent) = body.get("coupon_percent") {
            let code = format!("percent{}", loose_text(percent));
            order.insert("coupon_lines".to_owned(), json!([{ "code": code, "_percent": percent }]));
        }
        let status = body.get("status").cloned().unwrap_or_else(|| json!("processing"));
        order.insert("status".to_owned(), status);
        let id = self.create_order(&order, "checkout")?;
        self.show(Res::Order, id, false, self.settings.decimals)
    }

    fn on_sale_here(&self, line: &Value, body: &Object) -> Answer<()> {
        let sku = line.get("sku").map(loose_text).unwrap_or_default();
        let id = match (id_of(line.get("variation_id")), id_of(line.get("product_id"))) {
            (0, 0) => self.sku_holder(&sku).map_or(0, |p| p.id),
            (0, id) | (id, _) => id,
        };
        let Some(product) = self.products.get(&id) else {
            return Err(Fail::new(400, "no_such_product", "A line names no product of the shop."));
        };
        let wanted = line.get("quantity").and_then(super::api::whole).unwrap_or(1);
        let short = self.stock_of(product).is_some_and(|stock| stock < wanted);
        if short && body.get("check_stock") == Some(&json!(true)) {
            return Err(Fail::new(409, "out_of_stock", "Not enough in stock."));
        }
        Ok(())
    }

    fn office_status(&mut self, id: &str, body: &Object) -> Answer<Value> {
        let id = id.parse().unwrap_or(0);
        let status = body.get("status").cloned().unwrap_or(Value::Null);
        let known = status.as_str().is_some_and(|s| super::order_write::STATUSES.contains(&s));
        if !known {
            return Err(Fail::new(400, "no_such_status", "That is no order status."));
        }
        self.update_order(id, &object(json!({ "status": status })))?;
        self.show(Res::Order, id, false, self.settings.decimals)
    }

    fn office_product(&mut self, id: &str, body: &Object) -> Answer<Value> {
        let id = id.parse().unwrap_or(0);
        if body.get("status") == Some(&json!("trash")) {
            self.delete_product(id, false)?;
        } else {
            self.update_product(id, body)?;
        }
        let parent = self.product(id)?.parent;
        let res = if parent > 0 { Res::Variation(parent) } else { Res::Product };
        self.show(res, id, false, 2)
    }

    /// Loads things quickly, each as its API body, with an explicit `id` if wanted. Webhooks that
    /// exist are not told.
    fn seed(&mut self, body: &Object) -> Answer<Value> {
        let hooks = std::mem::take(&mut self.webhooks);
        let done = self.seed_all(body);
        let seeded = std::mem::replace(&mut self.webhooks, hooks);
        self.webhooks.extend(seeded);
        done
    }

    fn seed_all(&mut self, body: &Object) -> Answer<Value> {
        let mut out = Object::new();
        let kinds = [
            ("categories", Res::Category),
            ("tags", Res::Tag),
            ("attributes", Res::Attribute),
            ("customers", Res::Customer),
            ("coupons", Res::Coupon),
            ("products", Res::Product),
            ("orders", Res::Order),
            ("webhooks", Res::Webhook),
        ];
        for (name, res) in kinds {
            let Some(Value::Array(list)) = body.get(name) else { continue };
            let mut ids = Vec::new();
            for item in list {
                ids.push(self.seed_one(res, item)?);
            }
            out.insert(name.to_owned(), Value::Array(ids));
        }
        if let Some(next) = body.get("next_id").map(|n| id_of(Some(n))) {
            self.ids.post = self.ids.post.max(next.saturating_sub(1));
        }
        Ok(Value::Object(out))
    }

    fn seed_one(&mut self, res: Res, item: &Value) -> Answer<Value> {
        let mut body = item.as_object().cloned().unwrap_or_default();
        let variations = body.remove("variations");
        if let Some(id) = body.remove("id") {
            body.insert("_id".to_owned(), id);
        }
        if body.contains_key("stock_quantity") && !body.contains_key("manage_stock") {
            body.insert("manage_stock".to_owned(), json!(true));
        }
        if res == Res::Product && variations.is_some() {
            body.entry("type").or_insert_with(|| json!("variable"));
        }
        let id = self.create(res, &body, true)?;
        if res != Res::Product {
            return Ok(json!(id));
        }
        let mut children = Vec::new();
        for variation in variations.as_ref().and_then(Value::as_array).into_iter().flatten() {
            children.push(self.seed_one_variation(id, variation)?);
        }
        Ok(json!({ "id": id, "sku": self.product(id)?.sku, "variations": children }))
    }

    fn seed_one_variation(&mut self, parent: u64, item: &Value) -> Answer<Value> {
        let mut body = item.as_object().cloned().unwrap_or_default();
        if let Some(id) = body.remove("id") {
            body.insert("_id".to_owned(), id);
        }
        if body.contains_key("stock_quantity") && !body.contains_key("manage_stock") {
            body.insert("manage_stock".to_owned(), json!(true));
        }
        let id = self.create(Res::Variation(parent), &body, true)?;
        Ok(json!({ "id": id, "sku": self.product(id)?.sku }))
    }
}
