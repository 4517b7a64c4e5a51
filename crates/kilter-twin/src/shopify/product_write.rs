//! Products: creating, changing and deleting them, and what is computed of them.
//!
//! Reads   the inputs of `productCreate`, `productUpdate`, `productDelete`.
//! Writes  products; an event of deletion.
//! Never   touches a scalar that is not given.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::coerce::{flag, items, map, text, texts};
use super::execute::Out;
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number, tail};
use super::money;
use super::paging::Listing;
use super::product_set::{Options, read_options};
use super::shop::Shop;
use super::store::Object;

const SCALARS: &[&str] = &[
    "title",
    "descriptionHtml",
    "vendor",
    "productType",
    "status",
    "templateSuffix",
    "requiresSellingPlan",
];

/// `Blue Shirt` → `blue-shirt`.
pub fn handle_of(title: &str) -> String {
    let mut out = String::new();
    for c in title.to_lowercase().chars() {
        if c.is_alphanumeric() {
            out.push(c);
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}

impl Shop {
    pub fn new_product(&mut self, input: &Object) -> u64 {
        let wanted = text(input, "handle").map(str::to_owned);
        let wanted = wanted.unwrap_or_else(|| handle_of(text(input, "title").unwrap_or("")));
        let handle = self.free_handle("Product", &wanted);
        self.add(
            "Product",
            json!({
                "title": "", "handle": handle, "status": "ACTIVE", "vendor": self.settings.shop,
                "productType": "", "tags": [], "descriptionHtml": "", "options": [],
                "variants": [], "media": [], "seo": { "title": null, "description": null },
                "isGiftCard": flag(input, "giftCard"), "templateSuffix": null,
                "publishedAt": null, "requiresSellingPlan": false, "category": null,
                "_metafields": [],
            }),
        )
    }

    /// The handle, or the next free one of its name.
    pub fn free_handle(&self, kind: &str, wanted: &str) -> String {
        let mut handle = wanted.to_owned();
        let mut count = 0;
        while self.by_text(kind, "handle", &handle).is_some() {
            count += 1;
            handle = format!("{wanted}-{count}");
        }
        handle
    }

    /// Puts the scalars and tags an input gives.
    pub fn write_product(&mut self, id: u64, input: &Object) {
        let now = self.utc(self.now());
        let given = input.clone();
        let Some(fields) = self.edit("Product", id) else { return };
        for name in SCALARS {
            if let Some(value) = given.get(*name).filter(|v| !v.is_null()) {
                fields.insert((*name).to_owned(), value.clone());
            }
        }
        if let Some(handle) = text(&given, "handle") {
            fields.insert("handle".to_owned(), json!(handle));
        }
        if given.get("tags").is_some_and(Value::is_array) {
            fields.insert("tags".to_owned(), tags(&texts(&given, "tags")));
        }
        if let Some(seo) = map(&given, "seo") {
            for name in ["title", "description"] {
                if let Some(value) = seo.get(name) {
                    fields["seo"][name] = value.clone();
                }
            }
        }
        if fields.get("status") == Some(&json!("ACTIVE")) && fields["publishedAt"].is_null() {
            fields.insert("publishedAt".to_owned(), json!(now));
        }
    }

    pub fn set_options(&mut self, id: u64, options: &Options) {
        let mut list = Vec::new();
        for (at, (name, values)) in options.iter().enumerate() {
            let values: Vec<Value> = values
                .iter()
                .map(|value| {
                    let id = gid("ProductOptionValue", self.next_id());
                    json!({ "id": id, "name": value, "hasVariants": true })
                })
                .collect();
            let names: Vec<&Value> = values.iter().map(|v| &v["name"]).collect();
            let own = gid("ProductOption", self.next_id());
            list.push(json!({
                "id": own, "name": name, "position": at + 1, "values": names,
                "optionValues": values,
            }));
        }
        self.put(&gid("Product", id), "options", json!(list));
    }

    /// A product without options has one variant all the same.
    pub fn default_variant(&mut self, id: u64) -> u64 {
        let options = vec![("Title".to_owned(), vec!["Default Title".to_owned()])];
        self.set_options(id, &options);
        let variant = self.new_variant(id);
        self.put_options(variant, &options, &options[0].1);
        self.order_variants(id, &[variant]);
        variant
    }

    pub fn product_changed(&mut self, id: u64, new: bool) {
        self.edit("Product", id);
        let topic = if new { "products/create" } else { "products/update" };
        self.fire(topic, "Product", id);
        if new {
            self.happened("create", "PRODUCT", &gid("Product", id));
        }
    }

    pub fn product_create(&mut self, args: &Object) -> Answer<Value> {
        let input = map(args, "product").cloned().unwrap_or_default();
        if text(&input, "title").is_none_or(|t| t.trim().is_empty()) {
            return Ok(refused(&[UserError::new(&["title"], "", "Title can't be blank")]));
        }
        if text(&input, "handle").is_some_and(|h| self.by_text("Product", "handle", h).is_some()) {
            let message = "Handle already in use. Please provide a new handle.";
            return Ok(refused(&[UserError::new(&["handle"], "", message)]));
        }
        let id = self.new_product(&input);
        self.write_product(id, &input);
        let options = read_options(items(&input, "productOptions"));
        if options.is_empty() {
            self.default_variant(id);
        } else {
            self.set_options(id, &options);
            let first: Vec<String> =
                options.iter().filter_map(|(_, values)| values.first().cloned()).collect();
            let variant = self.new_variant(id);
            self.put_options(variant, &options, &first);
            self.order_variants(id, &[variant]);
        }
        self.write_more(id, &input);
        self.product_changed(id, true);
        Ok(json!({ "product": gid("Product", id), "userErrors": [] }))
    }

    pub fn product_update(&mut self, args: &Object) -> Answer<Value> {
        let input = map(args, "product").cloned().unwrap_or_default();
        let by_id = text(&input, "id").map(|id| number(id, "Product"));
        let found = by_id.or_else(|| {
            let identifier = map(args, "identifier")?;
            if let Some(id) = text(identifier, "id") {
                return Some(number(id, "Product"));
            }
            if let Some(handle) = text(identifier, "handle") {
                return self.by_text("Product", "handle", handle);
            }
            self.by_custom_id("Product", map(identifier, "customId")?)
        });
        let Some(id) = found.filter(|id| self.store.get("Product", *id).is_some()) else {
            return Ok(refused(&[UserError::new(&["id"], "", "Product does not exist")]));
        };
        if text(&input, "title").is_some_and(|t| t.trim().is_empty()) {
            return Ok(refused(&[UserError::new(&["title"], "", "Title can't be blank")]));
        }
        let taken = text(&input, "handle").and_then(|h| self.by_text("Product", "handle", h));
        if taken.is_some_and(|other| other != id) {
            let message = "Handle already in use. Please provide a new handle.";
            return Ok(refused(&[UserError::new(&["handle"], "", message)]));
        }
        self.write_product(id, &input);
        self.write_more(id, &input);
        let new = self.set_files(items(args, "media"));
        if !new.is_empty() {
            let mut media = self.store.get("Product", id).map(|p| p.texts("media"));
            media.get_or_insert_default().extend(new);
            self.put(&gid("Product", id), "media", json!(media));
        }
        self.product_changed(id, false);
        Ok(json!({ "product": gid("Product", id), "userErrors": [] }))
    }

    /// Metafields one by one, collections joined and left: here nothing is a whole.
    fn write_more(&mut self, id: u64, input: &Object) {
        let own = gid("Product", id);
        for item in items(input, "metafields").to_vec().iter().filter_map(Value::as_object) {
            self.put_metafield(&own, item);
        }
        for (name, join) in [("collectionsToJoin", true), ("collectionsToLeave", false)] {
            for collection in texts(input, name) {
                self.member(number(&collection, "Collection"), id, join);
            }
        }
    }

    pub fn product_delete(&mut self, args: &Object) -> Answer<Value> {
        let given = map(args, "input").and_then(|input| text(input, "id")).unwrap_or("").to_owned();
        let id = number(&given, "Product");
        if self.store.get("Product", id).is_none() {
            return Ok(refused(&[UserError::new(&["id"], "", "Product does not exist")]));
        }
        self.drop_product(id);
        Ok(json!({ "deletedProductId": given, "productDeleteOperation": null, "userErrors": [] }))
    }

    pub fn drop_product(&mut self, id: u64) {
        for variant in self.variants_of(id) {
            self.drop_variant(variant);
        }
        for collection in self.store.ids("Collection") {
            self.member(collection, id, false);
        }
        self.store.remove("Product", id);
        self.fire_deleted("products/delete", "Product", id);
        self.happened("destroy", "PRODUCT", &gid("Product", id));
    }

    /// Notes an event; the oldest are kept too: a shop has no end of them.
    pub fn happened(&mut self, action: &str, subject: &str, id: &str) {
        self.add(
            "BasicEvent",
            json!({
                "action": action, "subjectType": subject, "subjectId": id, "appTitle": "Twin",
                "message": format!("{action} {}", subject.to_lowercase()),
            }),
        );
    }

    pub fn of_product(&mut self, id: u64, name: &str, args: &Object) -> Option<Out> {
        let row = self.store.get("Product", id)?;
        let count = |n: usize| Some(json!({ "count": n, "precision": "EXACT" }).into());
        let value = match name {
            "variantsCount" => return count(row.list("variants").len()),
            "mediaCount" => return count(row.list("media").len()),
            "options" => Self::first_of(row.fields["options"].clone(), args),
            "featuredMedia" => row.list("media").first().cloned().unwrap_or(Value::Null),
            "description" => json!(plain_text(row.text("descriptionHtml"))),
            "hasOnlyDefaultVariant" => {
                json!(row.fields["options"][0]["values"] == json!(["Default Title"]))
            }
            "totalInventory" => {
                let items = self.items_of(id);
                let tracked = items.iter().filter(|item| {
                    self.store.get("InventoryItem", **item).is_some_and(|r| r.flag("tracked"))
                });
                json!(tracked.map(|item| self.available(*item)).sum::<i64>())
            }
            "tracksInventory" => {
                let tracked = |item: &u64| {
                    self.store.get("InventoryItem", *item).is_some_and(|r| r.flag("tracked"))
                };
                json!(self.items_of(id).iter().any(tracked))
            }
            "priceRangeV2" => self.price_range(id),
            "inCollection" => {
                let of = number(text(args, "id").unwrap_or(""), "Collection");
                let own = json!(gid("Product", id));
                json!(
                    self.store
                        .get("Collection", of)
                        .is_some_and(|c| c.list("products").contains(&own))
                )
            }
            "collections" => {
                let own = json!(gid("Product", id));
                let all = self.store.all("Collection");
                let ids: Vec<u64> =
                    all.filter(|c| c.list("products").contains(&own)).map(|c| c.id).collect();
                return Some(Out::List(self.related("Collection", &ids, name, args)));
            }
            "events" => return Some(Out::List(self.events_of(&gid("Product", id), args))),
            "variants" => {
                let mut ids = row.list("variants").to_vec();
                if text(args, "sortKey") == Some("ID") {
                    ids.sort_by_key(|id| tail(id.as_str().unwrap_or("")));
                }
                return Some(Out::List(Listing::of(&ids)));
            }
            _ => return None,
        };
        Some(value.into())
    }

    pub fn events_of(&mut self, of: &str, args: &Object) -> Listing {
        let all = self.store.all("BasicEvent");
        let ids: Vec<u64> = all.filter(|e| e.text("subjectId") == of).map(|e| e.id).collect();
        self.related("BasicEvent", &ids, "events", args)
    }

    pub fn items_of(&self, product: u64) -> Vec<u64> {
        let variants = self.variants_of(product).into_iter();
        let rows = variants.filter_map(|id| self.store.get("ProductVariant", id));
        rows.map(|row| tail(row.text("inventoryItem"))).collect()
    }

    fn price_range(&self, id: u64) -> Value {
        let variants = self.variants_of(id).into_iter();
        let rows = variants.filter_map(|id| self.store.get("ProductVariant", id));
        let prices: Vec<Decimal> =
            rows.filter_map(|row| money::given(row.fields.get("price"))).collect();
        let least = prices.iter().min().copied().unwrap_or_default();
        let most = prices.iter().max().copied().unwrap_or_default();
        json!({ "minVariantPrice": self.money(least), "maxVariantPrice": self.money(most) })
    }

    pub fn tags_change(&mut self, args: &Object, add: bool) -> Answer<Value> {
        let id = text(args, "id").unwrap_or("").to_owned();
        let found = self.store.find(&id).filter(|(_, row)| row.fields.contains_key("tags"));
        let Some((kind, row)) = found else {
            return Ok(refused(&[UserError::new(&["id"], "", "id does not exist")]));
        };
        let mut own = row.texts("tags");
        let number = row.id;
        let given = texts(args, "tags");
        if add {
            own.extend(given);
        } else {
            own.retain(|tag| !given.iter().any(|g| g.eq_ignore_ascii_case(tag)));
        }
        self.put(&id, "tags", tags(&own));
        let topic = match kind {
            "Product" => "products/update",
            "Order" => "orders/updated",
            _ => "customers/update",
        };
        self.fire(topic, kind, number);
        Ok(json!({ "node": id, "userErrors": [] }))
    }
}

/// Sorted, each once.
pub fn tags(list: &[String]) -> Value {
    let mut list: Vec<String> =
        list.iter().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect();
    list.sort();
    list.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    json!(list)
}

/// HTML without its tags.
pub fn plain_text(html: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out.trim().to_owned()
}
