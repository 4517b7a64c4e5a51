//! Products and variations: create, change, trash, delete.
//!
//! Reads   the body of a call.
//! Writes  the shop's products, its SKU index, its audit of stock writes; fires webhooks.
//! Never   moves stock for a sale: that is `stock`.

use serde_json::{Value, json};

use super::api::{Answer, Fail, Object, id_of, loose_text, truthy, whole};
use super::check::Kind;
use super::model::{Product, merge_meta};
use super::shop::{Shop, object};
use super::{clock, text};

pub const TYPES: &[&str] = &["simple", "grouped", "external", "variable"];
pub const STATUSES: &[&str] =
    &["draft", "pending", "private", "publish", "future", "auto-draft", "trash"];
pub const STOCK_STATUSES: &[&str] = &["instock", "outofstock", "onbackorder"];

pub const SCHEMA: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("slug", Kind::Text),
    ("type", Kind::OneOf(TYPES)),
    ("status", Kind::OneOf(STATUSES)),
    ("featured", Kind::Flag),
    ("catalog_visibility", Kind::OneOf(&["visible", "catalog", "search", "hidden"])),
    ("description", Kind::Text),
    ("short_description", Kind::Text),
    ("sku", Kind::Text),
    ("global_unique_id", Kind::Text),
    ("regular_price", Kind::Text),
    ("sale_price", Kind::Text),
    ("virtual", Kind::Flag),
    ("downloadable", Kind::Flag),
    ("downloads", Kind::List),
    ("download_limit", Kind::Whole),
    ("download_expiry", Kind::Whole),
    ("external_url", Kind::Text),
    ("button_text", Kind::Text),
    ("tax_status", Kind::OneOf(&["taxable", "shipping", "none"])),
    ("tax_class", Kind::Text),
    ("manage_stock", Kind::Flag),
    ("stock_quantity", Kind::WholeOrNull),
    ("stock_status", Kind::OneOf(STOCK_STATUSES)),
    ("backorders", Kind::OneOf(&["no", "notify", "yes"])),
    ("low_stock_amount", Kind::WholeOrNull),
    ("sold_individually", Kind::Flag),
    ("weight", Kind::Text),
    ("dimensions", Kind::Map),
    ("shipping_class", Kind::Text),
    ("reviews_allowed", Kind::Flag),
    ("upsell_ids", Kind::List),
    ("cross_sell_ids", Kind::List),
    ("purchase_note", Kind::Text),
    ("categories", Kind::List),
    ("brands", Kind::List),
    ("tags", Kind::List),
    ("images", Kind::List),
    ("attributes", Kind::List),
    ("default_attributes", Kind::List),
    ("grouped_products", Kind::List),
    ("menu_order", Kind::Whole),
    ("post_password", Kind::Text),
    ("meta_data", Kind::List),
];

/// What a new product or variation has.
pub fn defaults(variation: bool) -> Object {
    let mut out = object(json!({
        "name": "", "slug": "", "status": "publish", "featured": false,
        "catalog_visibility": "visible", "description": "", "short_description": "",
        "regular_price": "", "sale_price": "", "virtual": false, "downloadable": false,
        "downloads": [], "download_limit": -1, "download_expiry": -1, "external_url": "",
        "button_text": "", "tax_status": "taxable", "tax_class": "", "backorders": "no",
    }));
    out.append(&mut object(json!({
        "low_stock_amount": null, "sold_individually": false, "weight": "",
        "dimensions": { "length": "", "width": "", "height": "" }, "shipping_class": "",
        "reviews_allowed": !variation, "upsell_ids": [], "cross_sell_ids": [],
        "purchase_note": "", "categories": [], "brands": [], "tags": [], "images": [],
        "attributes": [], "default_attributes": [], "grouped_products": [], "menu_order": 0,
        "post_password": "", "stock_status": "instock", "_sale_from": null, "_sale_to": null,
    })));
    out
}

impl Shop {
    pub fn create_product(&mut self, body: &Object, parent: u64) -> Answer<u64> {
        let now = self.now();
        let variation = parent > 0;
        let kind = if variation { "variation" } else { text_or(body, "type", "simple") };
        let product = Product {
            id: 0,
            parent,
            kind: kind.to_owned(),
            sku: String::new(),
            gtin: String::new(),
            manage: false,
            stock: None,
            fields: defaults(variation),
            meta: Vec::new(),
            sales: 0,
            children: Vec::new(),
            created: now,
            modified: now,
        };
        let mut product = self.changed(product, body, true)?;
        if product.field("name").is_empty() && !variation {
            product.fields.insert("name".to_owned(), json!("Product"));
        }
        let explicit = id_of(body.get("_id"));
        product.id = if explicit > 0 { explicit } else { self.next_post() };
        self.ids.post = self.ids.post.max(product.id);
        let id = product.id;
        if product.field("slug").is_empty() {
            let slug = self.free_slug(&text::slug(product.field("name")));
            product.fields.insert("slug".to_owned(), json!(slug));
        }
        if !product.sku.is_empty() {
            self.skus.insert(product.sku.to_lowercase(), id);
        }
        if variation && let Some(holder) = self.products.get_mut(&parent) {
            holder.children.push(id);
            holder.modified = now;
        }
        self.products.insert(id, product);
        if !variation {
            self.fire("product.published", id);
        }
        self.fire("product.created", id);
        Ok(id)
    }

    pub fn update_product(&mut self, id: u64, body: &Object) -> Answer<()> {
        let old = self.product(id)?.clone();
        let (trashed, stock) = (old.trashed(), old.stock);
        let mut new = self.changed(old, body, false)?;
        let now = self.now();
        new.modified = now;
        let (parent, manage, kind) = (new.parent, new.manage, new.kind.clone());
        let children = new.children.clone();
        let published = trashed && !new.trashed();
        if published {
            new.meta.retain(|m| !m.key.starts_with("_wp_"));
        }
        if let (Some(from), Some(to)) = (stock, new.stock)
            && to > from
        {
            self.note_raise(id, from, to);
        }
        if let Some(old) = self.products.insert(id, new)
            && let Some(new) = self.products.get(&id)
            && old.sku != new.sku
        {
            self.skus.remove(&old.sku.to_lowercase());
            if !new.sku.is_empty() {
                self.skus.insert(new.sku.to_lowercase(), id);
            }
        }
        if let Some(holder) = self.products.get_mut(&parent) {
            holder.modified = now;
        }
        if manage && body.contains_key("stock_quantity") {
            for child in &children {
                if let Some(child) = self.products.get_mut(child).filter(|c| !c.manage) {
                    child.modified = now;
                }
            }
        }
        if kind != "variable" {
            for child in children {
                self.remove_product(child);
            }
        }
        if published {
            self.fire("product.published", id);
        }
        self.fire("product.updated", id);
        Ok(())
    }

    /// The product with the body merged in; nothing of the shop changes when it fails.
    fn changed(&mut self, mut product: Product, body: &Object, new: bool) -> Answer<Product> {
        if let Some(kind) = body.get("type").and_then(Value::as_str)
            && !product.is_variation()
        {
            product.kind = kind.to_owned();
        }
        let sku = body.get("sku").map(|v| text::sku(&loose_text(v)));
        if let Some(sku) = sku {
            self.claim_sku(&product, &sku, new)?;
            product.sku = sku;
        }
        if let Some(gtin) = body.get("global_unique_id").map(loose_text) {
            self.claim_gtin(&product, &gtin)?;
            product.gtin = gtin;
        }
        self.set_images(&mut product, body)?;
        set_plain(&mut product, body);
        set_dates(&mut product, body, self.settings.offset);
        self.set_relations(&mut product, body);
        set_prices(&mut product, body);
        set_stock(&mut product, body);
        merge_meta(&mut product.meta, body.get("meta_data"), &mut self.ids.meta);
        Ok(product)
    }

    fn claim_sku(&self, product: &Product, sku: &str, new: bool) -> Answer<()> {
        let Some(holder) = self.skus.get(&sku.to_lowercase()).copied() else { return Ok(()) };
        if sku.is_empty() || (holder == product.id && !new) {
            return Ok(());
        }
        if new && self.products.get(&holder).is_some_and(Product::trashed) {
            let message = format!(
                "The product with SKU ({sku}) you are trying to insert is already present in the \
                 lookup table"
            );
            return Err(Fail::new(400, "woocommerce_rest_product_not_created", &message));
        }
        let free = (1u32..).map(|n| format!("{sku}-{n}"));
        let free = free.into_iter().find(|one| !self.skus.contains_key(&one.to_lowercase()));
        Err(Fail::new(400, "product_invalid_sku", "Invalid or duplicated SKU.")
            .with("resource_id", json!(holder))
            .with("unique_sku", json!(free)))
    }

    fn claim_gtin(&self, product: &Product, gtin: &str) -> Answer<()> {
        if gtin.is_empty() {
            return Ok(());
        }
        let holder = self.products.values().find(|p| p.gtin == gtin && p.id != product.id);
        let Some(holder) = holder else { return Ok(()) };
        let message = "Invalid or duplicated GTIN, UPC, EAN or ISBN.";
        Err(Fail::new(400, "product_invalid_global_unique_id", message)
            .with("resource_id", json!(holder.id)))
    }

    fn free_slug(&mut self, wanted: &str) -> String {
        if wanted.is_empty() {
            return String::new();
        }
        let uses = self.slugs.entry(wanted.to_owned()).or_default();
        *uses += 1;
        if *uses == 1 { wanted.to_owned() } else { format!("{wanted}-{uses}") }
    }

    /// DELETE of a product or variation: trash, or with `force` for good. Trashing fires
    /// `coupon.deleted` too, with the product's id; a forced delete fires nothing.
    pub fn delete_product(&mut self, id: u64, force: bool) -> Answer<()> {
        let trashed = self.product(id)?.trashed();
        if force {
            self.remove_product(id);
            return Ok(());
        }
        if trashed {
            let message = "The product has already been deleted.";
            return Err(Fail::new(410, "woocommerce_rest_already_trashed", message));
        }
        let now = self.now();
        let mut all = vec![id];
        all.extend(self.product(id)?.children.iter().copied());
        for one in all {
            let Some(product) = self.products.get_mut(&one) else { continue };
            let was = json!(product.field("status"));
            let slug = product.field("slug").to_owned();
            product.modified = now;
            for (key, value) in [
                ("_wp_trash_meta_status", was),
                ("_wp_trash_meta_time", json!(now.to_string())),
                ("_wp_desired_post_slug", json!(slug)),
            ] {
                self.ids.meta += 1;
                let meta = super::model::Meta { id: self.ids.meta, key: key.to_owned(), value };
                product.meta.push(meta);
            }
            product.fields.insert("status".to_owned(), json!("trash"));
            product.fields.insert("slug".to_owned(), json!(format!("{slug}__trashed")));
        }
        self.fire("coupon.deleted", id);
        self.fire("product.deleted", id);
        Ok(())
    }

    pub fn remove_product(&mut self, id: u64) {
        let Some(product) = self.products.remove(&id) else { return };
        if self.skus.get(&product.sku.to_lowercase()) == Some(&id) {
            self.skus.remove(&product.sku.to_lowercase());
        }
        if let Some(parent) = self.products.get_mut(&product.parent) {
            parent.children.retain(|child| *child != id);
        }
        for child in product.children {
            self.remove_product(child);
        }
    }
}

fn text_or<'a>(body: &'a Object, name: &str, default: &'a str) -> &'a str {
    body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or(default)
}

/// Properties that are copied, each in the type of its schema.
fn set_plain(product: &mut Product, body: &Object) {
    for (name, kind) in SCHEMA {
        let special = ["type", "sku", "global_unique_id", "regular_price", "sale_price"];
        let Some(given) = body.get(*name).filter(|_| !special.contains(name)) else { continue };
        let value = match (*name, kind) {
            ("name" | "description" | "short_description", _) => {
                json!(text::rich(&loose_text(given)))
            }
            ("dimensions", _) => merged(product.fields.get("dimensions"), given),
            (_, Kind::Text | Kind::OneOf(_)) => json!(loose_text(given).trim()),
            (_, Kind::Whole) => json!(whole(given).unwrap_or(0)),
            (_, Kind::WholeOrNull) => json!(whole(given)),
            (_, Kind::Flag) => json!(truthy(given)),
            _ => continue,
        };
        if !matches!(*name, "manage_stock" | "stock_quantity" | "stock_status") {
            product.fields.insert((*name).to_owned(), value);
        }
    }
    for name in ["upsell_ids", "cross_sell_ids", "grouped_products", "downloads"] {
        if let Some(Value::Array(list)) = body.get(name) {
            product.fields.insert(name.to_owned(), json!(list));
        }
    }
    if let Some(class) = product.fields.get("tax_class")
        && class == "parent"
    {
        product.fields.insert("tax_class".to_owned(), json!(""));
    }
}

fn merged(old: Option<&Value>, given: &Value) -> Value {
    let mut out = old.and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, value) in given.as_object().into_iter().flatten() {
        if out.contains_key(key) {
            out.insert(key.clone(), json!(loose_text(value)));
        }
    }
    Value::Object(out)
}

fn set_dates(product: &mut Product, body: &Object, offset: i64) {
    for (name, field) in [("date_on_sale_from", "_sale_from"), ("date_on_sale_to", "_sale_to")] {
        let gmt = format!("{name}_gmt");
        for (key, offset) in [(name, offset), (gmt.as_str(), 0)] {
            let Some(given) = body.get(key) else { continue };
            let moment = given.as_str().and_then(clock::plain).map(|m| m - offset);
            product.fields.insert(field.to_owned(), json!(moment));
        }
    }
}

/// Prices are parsed, not validated; a sale price that is not below the regular one is dropped.
fn set_prices(product: &mut Product, body: &Object) {
    for name in ["regular_price", "sale_price"] {
        if let Some(given) = body.get(name) {
            let price =
                if product.kind == "variable" { String::new() } else { text::price_of(given) };
            product.fields.insert(name.to_owned(), json!(price));
        }
    }
    let sale = text::decimal(product.field("sale_price"));
    let regular = text::decimal(product.field("regular_price"));
    if sale.is_some() && (regular.is_none() || sale >= regular) {
        product.fields.insert("sale_price".to_owned(), json!(""));
    }
}

/// `stock_quantity` counts only where stock is managed; `null` is 0 there.
fn set_stock(product: &mut Product, body: &Object) {
    if let Some(manage) = body.get("manage_stock") {
        product.manage = truthy(manage);
    }
    if product.manage {
        if let Some(quantity) = body.get("stock_quantity") {
            product.stock = Some(whole(quantity).unwrap_or(0));
        }
        product.stock.get_or_insert(0);
        return;
    }
    product.stock = None;
    if let Some(status) = body.get("stock_status").and_then(Value::as_str) {
        product.fields.insert("stock_status".to_owned(), json!(status));
    }
}
