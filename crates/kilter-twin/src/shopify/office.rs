//! The back office under `/_twin/`: what a person does, and what a test asks.
//!
//! Reads   the whole shop.
//! Writes  products, locations, faults, counts, tokens.
//! Never   counts as the client: nothing here is part of the platform's API.

use serde_json::{Value, json};

use super::gid::{gid, tail};
use super::shop::Shop;
use super::store::{Object, object};

/// An HTTP status and a body.
pub type Page = (u16, Value);

pub fn no(status: u16, message: impl Into<String>) -> Page {
    (status, json!({ "message": message.into() }))
}

impl Shop {
    pub fn office(&mut self, method: &str, path: &str, body: &Object) -> Page {
        self.next_tick();
        self.audit.by_client = false;
        self.event = self.uuid(&format!("event {}", self.tick));
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            ("GET", ["state"]) => (200, self.show_state()),
            ("GET", ["brief"]) => (200, self.show_brief()),
            ("GET", ["orders"]) => (200, self.show_orders()),
            ("GET", ["calls"]) => (200, self.show_calls()),
            ("POST", ["calls", "reset"]) => {
                self.calls = Default::default();
                self.bucket.reset();
                (200, json!({}))
            }
            ("GET", ["webhooks"]) => (200, self.show_deliveries()),
            ("GET", ["oversold"]) => (200, self.show_oversold()),
            ("GET", ["stock_raises"]) => (200, self.audit.show()),
            ("GET", ["faults"]) => (200, self.show_faults()),
            ("POST", ["faults"]) => {
                let mut own = body.clone();
                let done = self.edge.schedule().set(&mut own);
                match done {
                    Ok(true) => {}
                    Ok(false) => self.faults.set(&own),
                    Err(error) => return no(422, error.to_string()),
                }
                self.set_lag();
                (200, self.show_faults())
            }
            ("POST", ["orders"]) => self.checkout(body),
            ("POST", ["orders", id, what]) => self.office_order(tail_of(id), what, body),
            ("POST", ["products", id, "delete"]) => {
                if self.store.get("Product", tail_of(id)).is_none() {
                    return no(404, "there is no such product");
                }
                self.drop_product(tail_of(id));
                (200, json!({ "deleted": tail_of(id) }))
            }
            ("POST", ["products", id]) => self.office_product(tail_of(id), body),
            ("POST", ["variants", id, "move"]) => self.move_variant(tail_of(id), body),
            _ => self.office_more(method, &parts, body),
        }
    }

    fn office_more(&mut self, method: &str, parts: &[&str], body: &Object) -> Page {
        match (method, parts) {
            ("POST", ["customers", "merge"]) => {
                let of = |name: &str| body.get(name).map_or(0, number_of);
                let (from, into) = (of("from"), of("into"));
                if [from, into].iter().any(|id| self.store.get("Customer", *id).is_none()) {
                    return no(404, "there is no such customer");
                }
                (200, json!({ "kept": self.merge(from, into) }))
            }
            ("POST", ["locations"]) => {
                let name = body.get("name").and_then(Value::as_str).unwrap_or("place").to_owned();
                let id = self.add_location(&name, body);
                self.fire("locations/create", "Location", id);
                (200, json!({ "id": id, "gid": gid("Location", id) }))
            }
            ("POST", ["locations", id, "delete"]) => self.drop_location(tail_of(id)),
            ("POST", ["seed"]) => self.seed(body),
            ("POST", ["tokens"]) => (200, self.office_token()),
            ("POST", ["tokens", "revoke"]) => (200, self.revoke(body)),
            ("POST", ["bucket", "drain"]) => {
                let points = body.get("points").and_then(Value::as_i64).unwrap_or(i64::MAX / 4000);
                let now = self.now();
                self.bucket.drain(points, now);
                (200, self.bucket.status(now))
            }
            _ => no(404, "the back office has no such page"),
        }
    }

    fn show_faults(&self) -> Value {
        let mut shown = self.edge.schedule().show();
        shown.extend(object(self.faults.show()));
        Value::Object(shown)
    }

    fn show_calls(&mut self) -> Value {
        let now = self.now();
        let mut shown = self.calls.show();
        shown["cost"] = json!({
            "spent": self.bucket.spent, "throttled": self.bucket.throttled,
            "busy_ms": self.bucket.busy_ms, "used_permille": self.bucket.used_permille(),
            "bucket": self.bucket.status(now),
        });
        shown
    }

    fn rows(&self, kind: &str) -> Value {
        let rows = self.store.all(kind);
        rows.map(|row| {
            let mut out = row.fields.clone();
            out.retain(|name, _| !name.starts_with('_'));
            out.insert("id".to_owned(), json!(row.id));
            out.insert("gid".to_owned(), json!(self.gid_of(kind, row)));
            out.insert("createdAt".to_owned(), json!(self.utc(row.created)));
            out.insert("updatedAt".to_owned(), json!(self.utc(row.updated)));
            if let Some(list) = row.fields.get("_metafields").and_then(Value::as_array) {
                let found = list.iter().filter_map(|id| self.store.find(id.as_str()?));
                let shown: Vec<Value> = found
                    .map(|(_, m)| {
                        json!({
                            "namespace": m.text("namespace"), "key": m.text("key"),
                            "value": m.text("value"), "type": m.text("type"),
                        })
                    })
                    .collect();
                out.insert("metafields".to_owned(), json!(shown));
            }
            Value::Object(out)
        })
        .collect()
    }

    fn show_state(&self) -> Value {
        let mut out = json!({ "shop": super::shop::shown(self) });
        for (name, kind) in [
            ("products", "Product"),
            ("variants", "ProductVariant"),
            ("items", "InventoryItem"),
            ("levels", "InventoryLevel"),
            ("locations", "Location"),
            ("price_lists", "PriceList"),
            ("collections", "Collection"),
            ("customers", "Customer"),
            ("orders", "Order"),
            ("line_items", "LineItem"),
            ("fulfillment_orders", "FulfillmentOrder"),
            ("fulfillments", "Fulfillment"),
            ("refunds", "Refund"),
            ("transactions", "OrderTransaction"),
            ("files", "MediaImage"),
            ("webhooks", "WebhookSubscription"),
            ("definitions", "MetafieldDefinition"),
            ("bulk_operations", "BulkOperation"),
        ] {
            out[name] = self.rows(kind);
        }
        out
    }

    /// What is on sale, a line a variant: small enough to be asked for several times a second.
    fn show_brief(&self) -> Value {
        let lists: Vec<(u64, String)> =
            self.store.all("PriceList").map(|l| (l.id, l.text("name").to_owned())).collect();
        let all = self.store.all("ProductVariant");
        all.map(|row| {
            let product = self.store.find(row.text("product")).map(|(_, p)| p);
            let of = |name: &str| product.map_or("", |p| p.text(name));
            let item = tail(row.text("inventoryItem"));
            let stocked = self.store.get("InventoryItem", item);
            let tracked = stocked.is_some_and(|i| i.flag("tracked"));
            let mut levels = Object::new();
            for (location, level) in self.levels_of(item) {
                let name = self.store.get("Location", location).map(|l| l.text("name").to_owned());
                let figure = |name: &str| self.quantity(level, name);
                levels.insert(
                    name.unwrap_or_default(),
                    json!({
                        "available": figure("available"), "on_hand": figure("on_hand"),
                        "committed": figure("committed"),
                    }),
                );
            }
            let mut prices = Object::new();
            for (list, name) in &lists {
                let fixed = self
                    .store
                    .get("PriceList", *list)
                    .map(|l| l.fields["fixed"][row.id.to_string()].clone());
                if let Some(own) = fixed.filter(|f| !f.is_null()) {
                    prices.insert(name.clone(), own["price"]["amount"].clone());
                }
            }
            let attributes: Vec<Value> = row
                .list("selectedOptions")
                .iter()
                .map(|o| json!({ "name": o["name"], "option": o["value"] }))
                .collect();
            json!({
                "id": row.id, "variant": row.id, "product": product.map_or(0, |p| p.id),
                "parent": product.map_or(0, |p| p.id), "inventory_item": item,
                "sku": row.fields.get("sku"), "gtin": row.fields.get("barcode"),
                "title": of("title"), "name": of("title"), "variant_title": row.text("title"),
                "handle": of("handle"), "status": of("status"), "price": row.fields.get("price"),
                "compare_at_price": row.fields.get("compareAtPrice"), "manage": tracked,
                "weight": stocked.and_then(|i| i.fields.get("weight")),
                "stock": self.available(item), "levels": levels, "price_lists": prices,
                "attributes": attributes,
            })
        })
        .collect()
    }

    /// A person edits: product fields, variants by id or SKU, stock by location.
    fn office_product(&mut self, id: u64, body: &Object) -> Page {
        if self.store.get("Product", id).is_none() {
            return no(404, "there is no such product");
        }
        self.write_product(id, body);
        let none = Vec::new();
        let variants = body.get("variants").and_then(Value::as_array).unwrap_or(&none).clone();
        for given in variants.iter().filter_map(Value::as_object) {
            let own = self.variants_of(id);
            let by_id = given.get("id").map(number_of).filter(|v| own.contains(v));
            let sku = given.get("sku").and_then(Value::as_str);
            let by_sku = own.iter().find(|v| {
                self.store.get("ProductVariant", **v).is_some_and(|r| Some(r.text("sku")) == sku)
            });
            let Some(variant) = by_id.or(by_sku.copied()) else {
                return no(404, "there is no such variant");
            };
            self.write_variant(variant, given);
            self.office_stock(variant, given);
        }
        self.product_changed(id, false);
        (200, self.payload("Product", id))
    }

    /// `stock`: {location name: available}.
    fn office_stock(&mut self, variant: u64, given: &Object) {
        let Some(stock) = given.get("stock").and_then(Value::as_object) else { return };
        let item =
            self.store.get("ProductVariant", variant).map_or(0, |v| tail(v.text("inventoryItem")));
        for (name, wanted) in stock {
            let Some(location) = self.by_text("Location", "name", name) else { continue };
            let level = self.level_or_new(item, location);
            let delta = wanted.as_i64().unwrap_or(0) - self.quantity(level, "available");
            self.move_quantity(level, "available", delta);
        }
    }

    /// A person takes a variant to another product: there it is a new one, with the same SKU.
    fn move_variant(&mut self, id: u64, body: &Object) -> Page {
        let to = body.get("product").map_or(0, number_of);
        let Some(row) = self.store.get("ProductVariant", id).cloned() else {
            return no(404, "there is no such variant");
        };
        let from = tail(row.text("product"));
        if self.store.get("Product", to).is_none() || self.variants_of(from).len() < 2 {
            return no(409, "there is no such product, or it would have no variant left");
        }
        let stock: Vec<(u64, i64)> = self
            .levels_of(tail(row.text("inventoryItem")))
            .into_iter()
            .map(|(location, level)| (location, self.quantity(level, "available")))
            .collect();
        let left: Vec<u64> = self.variants_of(from).into_iter().filter(|v| *v != id).collect();
        self.drop_variant(id);
        self.order_variants(from, &left);
        let new = self.new_variant(to);
        let fields = ["sku", "barcode", "price", "compareAtPrice", "taxable", "inventoryPolicy"];
        for name in fields {
            self.put(&gid("ProductVariant", new), name, row.fields[name].clone());
        }
        let mut options = self.options_of(to);
        let values: Vec<String> = options.iter().map(|_| format!("moved {id}")).collect();
        for ((_, known), value) in options.iter_mut().zip(&values) {
            known.push(value.clone());
        }
        self.set_options(to, &options);
        self.put_options(new, &options, &values);
        let item =
            self.store.get("ProductVariant", new).map_or(0, |v| tail(v.text("inventoryItem")));
        self.write_item(item, &object(json!({ "tracked": true })));
        for (location, available) in stock {
            let level = self.level_or_new(item, location);
            self.move_quantity(level, "available", available);
        }
        let mut ids = self.variants_of(to);
        ids.push(new);
        self.order_variants(to, &ids);
        self.product_changed(from, false);
        self.product_changed(to, false);
        (200, json!({ "id": new, "gid": gid("ProductVariant", new) }))
    }

    fn drop_location(&mut self, id: u64) -> Page {
        if self.store.get("Location", id).is_none() {
            return no(404, "there is no such location");
        }
        let own: Vec<(u64, u64)> =
            self.levels.keys().filter(|(_, location)| *location == id).copied().collect();
        for key in own {
            if let Some(level) = self.levels.remove(&key) {
                self.fire_deleted("inventory_levels/disconnect", "InventoryLevel", level);
                self.store.remove("InventoryLevel", level);
            }
        }
        self.store.remove("Location", id);
        self.fire_deleted("locations/delete", "Location", id);
        (200, json!({ "deleted": id }))
    }

    /// Loads things quickly, each as its mutation's input. Webhooks that exist are not told.
    fn seed(&mut self, body: &Object) -> Page {
        let hooks: Vec<(u64, Object)> =
            self.store.all("WebhookSubscription").map(|r| (r.id, r.fields.clone())).collect();
        for (id, _) in &hooks {
            self.store.remove("WebhookSubscription", *id);
        }
        let lag = std::mem::take(&mut self.store.lag_ms);
        let done = self.seed_all(body);
        self.store.lag_ms = lag;
        let now = self.now();
        for (id, fields) in hooks {
            self.store.insert("WebhookSubscription", id, fields, now);
        }
        done
    }

    fn seed_all(&mut self, body: &Object) -> Page {
        let none = Vec::new();
        let list = |name: &str| body.get(name).and_then(Value::as_array).unwrap_or(&none).clone();
        let mut out = json!({});
        if let Some(settings) = body.get("settings").and_then(Value::as_object) {
            if let Some(currency) = settings.get("currency").and_then(Value::as_str) {
                self.settings.currency = currency.to_uppercase();
            }
            if let Some(included) = settings.get("taxes_included").and_then(Value::as_bool) {
                self.settings.taxes_included = included;
            }
        }
        for given in list("locations").iter().filter_map(Value::as_object) {
            let name = given.get("name").and_then(Value::as_str).unwrap_or("place").to_owned();
            let there = self.by_text("Location", "name", &name);
            let id = there.unwrap_or_else(|| self.add_location(&name, given));
            out["locations"][name] = json!(id);
        }
        for given in list("price_lists").iter().filter_map(Value::as_object) {
            let of = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or("");
            let id = self.add_price_list(of("name"), of("currency"));
            out["price_lists"][of("name")] = json!(id);
        }
        for (name, mutation, argument, answer) in [
            ("definitions", "metafieldDefinitionCreate", "definition", "createdDefinition"),
            ("collections", "collectionCreate", "input", "collection"),
            ("customers", "customerSet", "input", "customer"),
            ("products", "productSet", "input", "product"),
            ("orders", "orderCreate", "order", "order"),
        ] {
            let mut ids = Vec::new();
            for given in list(name) {
                let mut args = Object::new();
                args.insert(argument.to_owned(), given);
                match self.mutate(mutation, &args, None) {
                    Ok(done) if done[answer].is_string() => ids.push(done[answer].clone()),
                    Ok(done) => return (400, done),
                    Err(fail) => return no(400, fail.message),
                }
            }
            if !ids.is_empty() {
                out[name] = json!(ids);
            }
        }
        (200, out)
    }
}

/// A number, or the number of a global id.
pub fn number_of(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str().map(tail_of)).unwrap_or(0)
}

pub fn tail_of(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| tail(text))
}
