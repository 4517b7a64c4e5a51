//! Variants: rows of a product, each with an inventory item of its own.
//!
//! Reads   variant inputs of all mutations.
//! Writes  variants, their items, the product's list of them.
//! Never   takes a SKU for a key: it may be empty and may stand twice.

use serde_json::{Value, json};

use super::coerce::{flag, items, text, texts, whole};
use super::execute::Out;
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number, tail};
use super::money;
use super::paging::Listing;
use super::product_set::{Options, VARIANTS_MAX};
use super::shop::Shop;
use super::store::Object;

impl Shop {
    pub fn variants_of(&self, product: u64) -> Vec<u64> {
        let row = self.store.get("Product", product);
        row.map_or(vec![], |row| row.texts("variants").iter().map(|id| tail(id)).collect())
    }

    /// A variant with its item; the caller puts it into the product's list.
    pub fn new_variant(&mut self, product: u64) -> u64 {
        let id = self.add(
            "ProductVariant",
            json!({
                "product": gid("Product", product), "title": "Default Title", "sku": "",
                "barcode": null, "price": "0.00", "compareAtPrice": null, "position": 1,
                "taxable": true, "inventoryPolicy": "DENY", "selectedOptions": [], "media": [],
                "requiresComponents": false, "_metafields": [],
            }),
        );
        let item = self.new_item(id);
        self.put(&gid("ProductVariant", id), "inventoryItem", json!(gid("InventoryItem", item)));
        if let Some(location) = self.first_location() {
            self.level_or_new(item, location);
        }
        self.fire("inventory_items/create", "InventoryItem", item);
        id
    }

    pub fn drop_variant(&mut self, id: u64) {
        let Some(row) = self.store.remove("ProductVariant", id) else { return };
        let item = tail(row.text("inventoryItem"));
        for (location, level) in self.levels_of(item) {
            self.levels.remove(&(item, location));
            self.fire_deleted("inventory_levels/disconnect", "InventoryLevel", level);
            self.store.remove("InventoryLevel", level);
        }
        self.store.remove("InventoryItem", item);
        self.fire_deleted("inventory_items/delete", "InventoryItem", item);
        for list in self.store.ids("PriceList") {
            self.drop_price(list, id);
        }
    }

    /// The product's variants in this order.
    pub fn order_variants(&mut self, product: u64, ids: &[u64]) {
        for (at, id) in ids.iter().enumerate() {
            let position = i64::try_from(at + 1).unwrap_or(0);
            let same = self
                .store
                .get("ProductVariant", *id)
                .is_some_and(|r| r.number("position") == position);
            if !same {
                self.put(&gid("ProductVariant", *id), "position", json!(position));
            }
        }
        let list: Vec<String> = ids.iter().map(|id| gid("ProductVariant", *id)).collect();
        self.put(&gid("Product", product), "variants", json!(list));
    }

    pub fn option_values(&self, variant: u64) -> Vec<String> {
        let row = self.store.get("ProductVariant", variant);
        let list = row.map_or(&[][..], |row| row.list("selectedOptions"));
        list.iter().filter_map(|o| o["value"].as_str()).map(str::to_owned).collect()
    }

    pub fn put_options(&mut self, variant: u64, options: &Options, values: &[String]) {
        let list: Vec<Value> = options
            .iter()
            .zip(values)
            .map(|((name, _), value)| {
                let id = gid("ProductOptionValue", variant);
                json!({
                    "name": name, "value": value,
                    "optionValue": { "id": id, "name": value, "hasVariants": true },
                })
            })
            .collect();
        let own = gid("ProductVariant", variant);
        self.put(&own, "selectedOptions", json!(list));
        self.put(&own, "title", json!(values.join(" / ")));
    }

    /// Puts what an input gives: scalars, the item's part, metafields, a file, stock.
    pub fn write_variant(&mut self, id: u64, input: &Object) {
        let currency = self.settings.currency.clone();
        let given = input.clone();
        let Some(fields) = self.edit("ProductVariant", id) else { return };
        for name in ["sku", "barcode", "taxable", "inventoryPolicy"] {
            if let Some(value) = given.get(name) {
                fields.insert(name.to_owned(), value.clone());
            }
        }
        for name in ["price", "compareAtPrice"] {
            if let Some(value) = given.get(name) {
                let amount = money::given(Some(value)).map(|a| money::text(a, &currency));
                fields.insert(name.to_owned(), json!(amount));
            }
        }
        if fields["price"].is_null() {
            fields.insert("price".to_owned(), json!(money::text(Default::default(), &currency)));
        }
        let item = tail(fields.get("inventoryItem").and_then(Value::as_str).unwrap_or(""));
        if let Some(of_item) = super::coerce::map(&given, "inventoryItem") {
            self.write_item(item, of_item);
            self.fire("inventory_items/update", "InventoryItem", item);
        }
        let own = gid("ProductVariant", id);
        if let Some(list) = given.get("metafields").and_then(Value::as_array) {
            self.replace_metafields(&own, list);
        }
        if let Some(file) = super::coerce::map(&given, "file") {
            let files = self.set_files(&[Value::Object(file.clone())]);
            self.put(&own, "media", json!(files));
        }
        for row in items(&given, "inventoryQuantities").iter().filter_map(Value::as_object) {
            self.write_quantity(item, row);
        }
    }

    /// `{locationId, name, quantity}` or `{locationId, availableQuantity}`.
    fn write_quantity(&mut self, item: u64, row: &Object) {
        let location = number(text(row, "locationId").unwrap_or(""), "Location");
        if self.store.get("Location", location).is_none() {
            return;
        }
        let wanted = whole(row, "quantity").or_else(|| whole(row, "availableQuantity"));
        let name = text(row, "name").unwrap_or("available");
        let level = self.level_or_new(item, location);
        let delta = wanted.unwrap_or(0) - self.quantity(level, name);
        let from = self.quantity(level, "available");
        self.note_raise(level, from, from + delta);
        self.move_quantity(level, "available", delta);
    }

    fn variant_error(
        &self,
        product: u64,
        at: usize,
        input: &Object,
        update: bool,
    ) -> Option<UserError> {
        let fail = |field: &str, code: &'static str, message: &str| {
            Some(UserError::at(&["variants"], at, &[field], code, message))
        };
        if update {
            let id = number(text(input, "id").unwrap_or(""), "ProductVariant");
            if id == 0 {
                let message = "Product variant is missing ID attribute";
                return fail("id", "PRODUCT_VARIANT_ID_MISSING", message);
            }
            let own = self.store.get("ProductVariant", id);
            if own.is_none_or(|row| row.text("product") != gid("Product", product)) {
                let message = "Product variant does not exist";
                return fail("id", "PRODUCT_VARIANT_DOES_NOT_EXIST", message);
            }
            if !items(input, "inventoryQuantities").is_empty() {
                let message = "Inventory quantities can only be provided during create. To \
                               update inventory for existing variants, use \
                               inventoryAdjustQuantities.";
                return fail(
                    "inventoryQuantities",
                    "NO_INVENTORY_QUANTITIES_ON_VARIANTS_UPDATE",
                    message,
                );
            }
        }
        if money::given(input.get("price")).is_some_and(|p| p.is_sign_negative()) {
            let message = "Price must be greater than or equal to 0";
            return fail("price", "GREATER_THAN_OR_EQUAL_TO", message);
        }
        None
    }

    pub fn variants_update(&mut self, args: &Object) -> Answer<Value> {
        let product = number(text(args, "productId").unwrap_or(""), "Product");
        if self.store.get("Product", product).is_none() {
            let message = "Product does not exist";
            let error = UserError::new(&["productId"], "PRODUCT_DOES_NOT_EXIST", message);
            return Ok(refused(&[error]));
        }
        let list = items(args, "variants").to_vec();
        let mut errors = Vec::new();
        let mut good = Vec::new();
        for (at, input) in list.iter().filter_map(Value::as_object).enumerate() {
            match self.variant_error(product, at, input, true) {
                Some(error) => errors.push(error),
                None => good.push(input.clone()),
            }
        }
        if !errors.is_empty() && !flag(args, "allowPartialUpdates") {
            return Ok(refused(&errors));
        }
        let mut done = Vec::new();
        for input in good {
            let id = number(text(&input, "id").unwrap_or(""), "ProductVariant");
            self.reoption(product, id, &input);
            self.write_variant(id, &input);
            done.push(gid("ProductVariant", id));
        }
        if !done.is_empty() {
            self.product_changed(product, false);
        }
        Ok(json!({
            "product": gid("Product", product), "productVariants": done,
            "userErrors": errors.iter().map(UserError::show).collect::<Vec<_>>(),
        }))
    }

    /// The product's options, with any value that is new among a variant's.
    fn reoption(&mut self, product: u64, variant: u64, input: &Object) {
        let given = items(input, "optionValues");
        if given.is_empty() {
            return;
        }
        let mut options = self.options_of(product);
        let mut values = self.option_values(variant);
        values.resize(options.len(), String::new());
        for (at, (name, allowed)) in options.iter_mut().enumerate() {
            let own = given.iter().filter_map(Value::as_object).find(|v| {
                text(v, "optionName") == Some(name.as_str())
                    || (text(v, "optionName").is_none() && given.len() == 1)
            });
            let Some(value) = own.and_then(|v| text(v, "name")) else { continue };
            if !allowed.iter().any(|known| known == value) {
                allowed.push(value.to_owned());
            }
            values[at] = value.to_owned();
        }
        self.set_options(product, &options);
        self.put_options(variant, &options, &values);
    }

    pub fn options_of(&self, product: u64) -> Options {
        let row = self.store.get("Product", product);
        let list = row.map_or(&[][..], |row| row.list("options"));
        let name = |o: &Value| o["name"].as_str().unwrap_or("").to_owned();
        let values = |o: &Value| {
            let list = o["values"].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        list.iter().map(|o| (name(o), values(o))).collect()
    }

    pub fn variants_create(&mut self, args: &Object) -> Answer<Value> {
        let product = number(text(args, "productId").unwrap_or(""), "Product");
        if self.store.get("Product", product).is_none() {
            let message = "Product does not exist";
            let error = UserError::new(&["productId"], "PRODUCT_DOES_NOT_EXIST", message);
            return Ok(refused(&[error]));
        }
        let list = items(args, "variants").to_vec();
        let mut ids = self.variants_of(product);
        let mut errors = Vec::new();
        if ids.len() + list.len() > VARIANTS_MAX {
            let message = "You can only have a maximum of 2048 variants per product";
            errors.push(UserError::new(&["variants"], "INVALID_INPUT", message));
        }
        for (at, input) in list.iter().filter_map(Value::as_object).enumerate() {
            errors.extend(self.variant_error(product, at, input, false));
        }
        if !errors.is_empty() {
            return Ok(refused(&errors));
        }
        let remove = text(args, "strategy") == Some("REMOVE_STANDALONE_VARIANT");
        let lone = ids.len() == 1 && self.option_values(ids[0]) == ["Default Title"];
        if remove || lone {
            for id in ids.drain(..) {
                self.drop_variant(id);
            }
        }
        let mut done = Vec::new();
        for input in list.iter().filter_map(Value::as_object) {
            let id = self.new_variant(product);
            self.reoption(product, id, input);
            self.write_variant(id, input);
            ids.push(id);
            done.push(gid("ProductVariant", id));
        }
        self.order_variants(product, &ids);
        self.product_changed(product, false);
        let product = gid("Product", product);
        Ok(json!({ "product": product, "productVariants": done, "userErrors": [] }))
    }

    pub fn variants_delete(&mut self, args: &Object) -> Answer<Value> {
        let product = number(text(args, "productId").unwrap_or(""), "Product");
        let given = texts(args, "variantsIds");
        let own = self.variants_of(product);
        let gone: Vec<u64> = given.iter().map(|id| number(id, "ProductVariant")).collect();
        if let Some(at) = gone.iter().position(|id| !own.contains(id)) {
            let code = "AT_LEAST_ONE_VARIANT_DOES_NOT_BELONG_TO_THE_PRODUCT";
            let message = "At least one variant does not belong to the product";
            return Ok(refused(&[UserError::at(&["variantsIds"], at, &[], code, message)]));
        }
        let left: Vec<u64> = own.into_iter().filter(|id| !gone.contains(id)).collect();
        if left.is_empty() {
            let code = "CANNOT_DELETE_LAST_VARIANT";
            let message = "Cannot delete the last variant of a product";
            return Ok(refused(&[UserError::new(&["variantsIds"], code, message)]));
        }
        for id in gone {
            self.drop_variant(id);
        }
        self.order_variants(product, &left);
        self.product_changed(product, false);
        Ok(json!({ "product": gid("Product", product), "userErrors": [] }))
    }

    pub fn of_variant(&mut self, id: u64, name: &str) -> Option<Out> {
        let row = self.store.get("ProductVariant", id)?;
        let item = tail(row.text("inventoryItem"));
        let value = match name {
            "inventoryQuantity" | "sellableOnlineQuantity" => {
                let sum = self.available(item);
                for (_, level) in self.levels_of(item) {
                    self.note_stock_read(level);
                }
                json!(sum)
            }
            "availableForSale" => {
                let tracked =
                    self.store.get("InventoryItem", item).is_some_and(|i| i.flag("tracked"));
                let free = row.text("inventoryPolicy") == "CONTINUE";
                json!(!tracked || free || self.available(item) > 0)
            }
            "displayName" => {
                let product = self.store.find(row.text("product")).map(|(_, p)| p.text("title"));
                json!(format!("{} - {}", product.unwrap_or(""), row.text("title")))
            }
            _ => return None,
        };
        Some(value.into())
    }

    pub fn of_item(&mut self, id: u64, name: &str, args: &Object) -> Option<Out> {
        let row = self.store.get("InventoryItem", id)?;
        let variant = row.text("variant").to_owned();
        let sku = self.store.find(&variant).map(|(_, v)| v.fields["sku"].clone());
        let value = match name {
            "sku" => sku.unwrap_or(Value::Null),
            "measurement" => json!({
                "id": gid("InventoryItemMeasurement", id), "weight": row.fields.get("weight"),
            }),
            "variants" => return Some(Out::List(Listing::of(&[json!(variant)]))),
            "inventoryLevel" => {
                let location = number(text(args, "locationId").unwrap_or(""), "Location");
                let level = self.level(id, location);
                level.map_or(Value::Null, |level| json!(gid("InventoryLevel", level)))
            }
            "inventoryLevels" => {
                let ids: Vec<u64> = self.levels_of(id).iter().map(|(_, level)| *level).collect();
                return Some(Out::List(self.related("InventoryLevel", &ids, name, args)));
            }
            "locationsCount" => json!({ "count": self.levels_of(id).len(), "precision": "EXACT" }),
            "duplicateSkuCount" => {
                let own = sku.unwrap_or_default();
                let all = self.store.all("ProductVariant");
                let same = all.filter(|v| v.fields.get("sku") == Some(&own)).count();
                json!(if own == json!("") { 0 } else { same.saturating_sub(1) })
            }
            _ => return None,
        };
        Some(value.into())
    }

    pub fn of_location(&mut self, id: u64, name: &str, args: &Object) -> Option<Out> {
        let value = match name {
            "inventoryLevel" => {
                let item = number(text(args, "inventoryItemId").unwrap_or(""), "InventoryItem");
                self.level(item, id).map_or(Value::Null, |l| json!(gid("InventoryLevel", l)))
            }
            "inventoryLevels" => {
                let own = |((_, location), level): (&(u64, u64), &u64)| {
                    (*location == id).then_some(*level)
                };
                let ids: Vec<u64> = self.levels.iter().filter_map(own).collect();
                return Some(Out::List(self.related("InventoryLevel", &ids, name, args)));
            }
            "hasActiveInventory" => json!(self.levels.keys().any(|(_, location)| *location == id)),
            "activatable" | "deletable" => json!(false),
            "deactivatable" => json!(true),
            _ => return None,
        };
        Some(value.into())
    }
}
