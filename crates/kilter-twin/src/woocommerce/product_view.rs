//! Products and variations as the API shows them.
//!
//! Reads   the shop.
//! Writes  nothing.
//! Never   shows the same thing for a read and a write: a write answers the raw values.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::api::{Object, id_of};
use super::model::{Product, show_meta};
use super::shop::{ALL, Shop, object};
use super::text;

impl Shop {
    /// The row that holds the stock of a product or variation, if anybody does.
    pub fn holder(&self, product: &Product) -> Option<u64> {
        if product.manage {
            return Some(product.id);
        }
        self.products.get(&product.parent).filter(|p| p.manage).map(|p| p.id)
    }

    pub fn stock_of(&self, product: &Product) -> Option<i64> {
        self.holder(product).and_then(|id| self.products.get(&id)).and_then(|p| p.stock)
    }

    fn backorders(&self, product: &Product) -> String {
        let holder = self.holder(product).and_then(|id| self.products.get(&id));
        holder.unwrap_or(product).field("backorders").to_owned()
    }

    pub fn stock_status(&self, product: &Product) -> String {
        if let Some(stock) = self.stock_of(product) {
            let status = match (stock > 0, self.backorders(product).as_str()) {
                (true, _) => "instock",
                (false, "no") => "outofstock",
                (false, _) => "onbackorder",
            };
            return status.to_owned();
        }
        if product.kind != "variable" {
            return product.field("stock_status").to_owned();
        }
        let children = product.children.iter().filter_map(|id| self.products.get(id));
        let states: Vec<String> = children.map(|child| self.stock_status(child)).collect();
        let any = |state: &str| states.iter().any(|s| s == state);
        let status = if any("instock") {
            "instock"
        } else if any("onbackorder") {
            "onbackorder"
        } else {
            "outofstock"
        };
        status.to_owned()
    }

    pub fn on_sale(&self, product: &Product) -> bool {
        if product.kind == "variable" {
            return self.kids(product).any(|child| self.on_sale(child));
        }
        let moment = |name: &str| product.fields.get(name).and_then(Value::as_i64);
        let now = self.now();
        !product.field("sale_price").is_empty()
            && moment("_sale_from").is_none_or(|from| from <= now)
            && moment("_sale_to").is_none_or(|to| to >= now)
    }

    fn kids<'a>(&'a self, product: &'a Product) -> impl Iterator<Item = &'a Product> {
        product.children.iter().filter_map(|id| self.products.get(id))
    }

    /// The price a customer pays, as stored text.
    pub fn price(&self, product: &Product) -> String {
        if product.kind == "variable" {
            let prices = self.kids(product).map(|child| self.price(child));
            let least = prices.filter_map(|p| text::decimal(&p).map(|d| (d, p))).min();
            return least.map(|(_, price)| price).unwrap_or_default();
        }
        let name = if self.on_sale(product) { "sale_price" } else { "regular_price" };
        product.field(name).to_owned()
    }

    pub fn product_name(&self, product: &Product) -> String {
        let Some(parent) = self.products.get(&product.parent) else {
            return product.field("name").to_owned();
        };
        let options = options(product).join(", ");
        let parent = parent.field("name");
        if options.is_empty() { parent.to_owned() } else { format!("{parent} - {options}") }
    }

    fn permalink(&self, product: &Product) -> String {
        if product.trashed() {
            return format!("{}/?post_type=product&p={}", self.base, product.id);
        }
        let Some(parent) = self.products.get(&product.parent) else {
            return format!("{}/product/{}/", self.base, product.field("slug"));
        };
        let attributes = product.fields.get("attributes").and_then(Value::as_array);
        let parts: Vec<String> = attributes
            .into_iter()
            .flatten()
            .map(|a| {
                let option = a["option"].as_str().unwrap_or("");
                let slug = a["slug"].as_str().unwrap_or("");
                let shown =
                    if id_of(a.get("id")) > 0 { text::slug(option) } else { option.to_owned() };
                format!("attribute_{slug}={shown}")
            })
            .collect();
        format!("{}/product/{}/?{}", self.base, parent.field("slug"), parts.join("&"))
    }

    /// What products and variations show alike.
    fn shared(&self, product: &Product, write: bool) -> Object {
        let mut out = product.fields.clone();
        let dates = [("date_created", product.created), ("date_modified", product.modified)];
        for (name, moment) in dates {
            self.put_dates(&mut out, name, Some(moment));
        }
        for (name, field) in [("date_on_sale_from", "_sale_from"), ("date_on_sale_to", "_sale_to")]
        {
            let moment = out.remove(field).as_ref().and_then(Value::as_i64);
            self.put_dates(&mut out, name, moment);
        }
        let price = self.price(product);
        let status = self.stock_status(product);
        let backorders = self.backorders(product);
        let inherits = product.is_variation() && !product.manage && self.holder(product).is_some();
        let manage = if inherits { json!("parent") } else { json!(product.manage) };
        out.append(&mut object(json!({
            "id": product.id, "parent_id": product.parent, "type": product.kind,
            "permalink": self.permalink(product), "sku": product.sku,
            "global_unique_id": product.gtin, "on_sale": self.on_sale(product),
            "purchasable": !price.is_empty(),
            "price": price, "manage_stock": manage, "stock_quantity": self.stock_of(product),
            "stock_status": status, "backordered": status == "onbackorder",
            "backorders_allowed": backorders != "no", "backorders": backorders,
            "shipping_class_id": 0, "meta_data": show_meta(&product.meta),
        })));
        if !write {
            let shown = text::paragraphs(product.field("description"));
            out.insert("description".to_owned(), json!(shown));
        }
        out
    }

    /// `/products/{id}`; `write` for the answer to a create, change or delete.
    pub fn show_product(&self, product: &Product, write: bool) -> Value {
        let mut out = self.shared(product, write);
        let own = format!("products/{}", product.id);
        let mut links = self.links(&own, "products", ALL);
        if product.is_variation() {
            links["up"] = json!([{ "href": self.link(&format!("products/{}", product.parent)) }]);
        }
        let name = self.product_name(product);
        let slug = match product.field("slug") {
            "" => text::slug(&name),
            slug => slug.to_owned(),
        };
        let sales = product.sales;
        let sales = if product.is_variation() { json!(sales.to_string()) } else { json!(sales) };
        out.append(&mut object(json!({
            "name": name, "slug": slug, "total_sales": sales,
            "average_rating": if write { "0" } else { "0.00" }, "rating_count": 0,
            "categories": self.named(&self.categories, product.fields.get("categories")),
            "tags": self.named(&self.tags, product.fields.get("tags")),
            "variations": product.children, "related_ids": [],
            "price_html": self.price_html(product),
            "has_options": product.kind == "variable",
            "shipping_required": !product.is("virtual"),
            "shipping_taxable": !product.is("virtual"), "_links": links,
        })));
        if write && !product.is_variation() {
            let template = format!("{}/product/%pagename%/", self.base);
            out.insert("permalink_template".to_owned(), json!(template));
            let slug = product.field("slug").trim_end_matches("__trashed");
            out.insert("generated_slug".to_owned(), json!(slug));
        }
        if !write {
            let shown = text::paragraphs(product.field("short_description"));
            out.insert("short_description".to_owned(), json!(shown));
        }
        Value::Object(out)
    }

    /// `/products/{pid}/variations/{id}`.
    pub fn show_variation(&self, product: &Product, write: bool) -> Value {
        const HIDDEN: &[&str] = &[
            "slug",
            "featured",
            "catalog_visibility",
            "short_description",
            "external_url",
            "button_text",
            "sold_individually",
            "reviews_allowed",
            "upsell_ids",
            "cross_sell_ids",
            "purchase_note",
            "categories",
            "brands",
            "tags",
            "images",
            "default_attributes",
            "grouped_products",
            "post_password",
        ];
        let mut out = self.shared(product, write);
        let image = out.get("images").and_then(|images| images.get(0)).cloned();
        for name in HIDDEN {
            out.remove(*name);
        }
        let collection = format!("products/{}/variations", product.parent);
        let mut links = self.links(&format!("{collection}/{}", product.id), &collection, ALL);
        links["up"] = json!([{ "href": self.link(&format!("products/{}", product.parent)) }]);
        out.insert("name".to_owned(), json!(options(product).join(", ")));
        out.insert("image".to_owned(), image.unwrap_or(Value::Null));
        out.insert("gallery_image_ids".to_owned(), json!([]));
        out.insert("_links".to_owned(), links);
        if write && product.field("tax_class").is_empty() {
            out.insert("tax_class".to_owned(), json!("parent"));
        }
        Value::Object(out)
    }

    fn named(
        &self,
        known: &std::collections::BTreeMap<u64, super::model::Plain>,
        ids: Option<&Value>,
    ) -> Value {
        let ids = ids.and_then(Value::as_array).into_iter().flatten();
        ids.filter_map(|id| known.get(&id_of(Some(id))))
            .map(
                |one| json!({ "id": one.id, "name": one.field("name"), "slug": one.field("slug") }),
            )
            .collect()
    }

    fn price_html(&self, product: &Product) -> String {
        let Some(price) = text::decimal(&self.price(product)) else { return String::new() };
        let shown = price.max(Decimal::ZERO).round_dp(self.settings.decimals);
        format!(
            "<span class=\"woocommerce-Price-amount amount\"><bdi><span \
             class=\"woocommerce-Price-currencySymbol\" translate=\"no\">{}</span>{shown}</bdi>\
             </span>",
            symbol(&self.settings.currency)
        )
    }
}

fn options(product: &Product) -> Vec<String> {
    let attributes = product.fields.get("attributes").and_then(Value::as_array);
    let options = attributes.into_iter().flatten().filter_map(|a| a["option"].as_str());
    options.filter(|option| !option.is_empty()).map(str::to_owned).collect()
}

/// The sign of a currency, its code where the twin knows none.
pub fn symbol(currency: &str) -> String {
    match currency {
        "EUR" => "€".to_owned(),
        "USD" | "CAD" | "AUD" => "$".to_owned(),
        "GBP" => "£".to_owned(),
        "JPY" => "¥".to_owned(),
        other => other.to_owned(),
    }
}
