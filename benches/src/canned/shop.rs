//! The shop: simple products, read by pages and by ids, written one by one or a hundred a call.
//!
//! Reads   requests.   Writes  products; when each figure was shown; how many calls wrote.
//! Never   holds a variable product, an order or a webhook: those lists are empty.

use std::fmt::Write as _;
use std::time::Instant;

use axum::http::Method;
use serde_json::{Value, json};

use super::Asked;
use super::stockroom::{EPOCH, article};

const PAGE: usize = 100;

#[derive(Debug, Clone, Default)]
struct Product {
    sku: String,
    name: String,
    price: String,
    weight: String,
    status: String,
    quantity: i64,
    /// Seconds by the shop's clock, which moves by writes.
    modified: i64,
}

/// What the bench waits for: the last figure of each article.
#[derive(Debug, Default)]
pub struct Wanted {
    figure: Vec<i64>,
    shown: Vec<Option<Instant>>,
    pub arrived: usize,
    pub last: Option<Instant>,
}

#[derive(Debug, Default)]
pub struct Shop {
    products: Vec<Product>,
    wanted: Wanted,
    pub writes: u64,
    pub reads: u64,
    /// When each call that wrote came.
    pub written: Vec<Instant>,
    started: Option<Instant>,
}

impl Shop {
    pub fn len(&self) -> usize {
        self.products.len()
    }

    pub fn is_empty(&self) -> bool {
        self.products.is_empty()
    }

    /// From here on it is noted when each article shows its figure; what shows it is there already.
    pub fn want(&mut self, figures: Vec<i64>) {
        let now = Instant::now();
        let mut shown = vec![None; figures.len()];
        for product in &self.products {
            let Some(n) = article(&product.sku).filter(|n| *n < figures.len()) else { continue };
            if figures[n] == product.quantity {
                shown[n] = Some(now);
            }
        }
        let arrived = shown.iter().flatten().count();
        self.wanted = Wanted { figure: figures, shown, arrived, last: None };
        self.writes = 0;
        self.reads = 0;
        self.written.clear();
    }

    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// When an article first showed what was wanted.
    pub fn shown_at(&self, article: usize) -> Option<Instant> {
        self.wanted.shown.get(article).copied().flatten()
    }

    /// What every article shows now.
    pub fn figures(&self, articles: usize) -> Vec<Option<i64>> {
        let mut out = vec![None; articles];
        for product in &self.products {
            if let Some(n) = article(&product.sku).filter(|n| *n < articles) {
                out[n] = Some(product.quantity);
            }
        }
        out
    }

    /// SKU and id of every product, as a program that writes by id must know them.
    pub fn ids(&self) -> impl Iterator<Item = (&str, usize)> {
        self.products.iter().enumerate().map(|(n, p)| (p.sku.as_str(), n + 1))
    }

    pub(super) fn answer(
        &mut self,
        method: &Method,
        path: &str,
        asked: &Asked,
        body: &[u8],
        url: &str,
    ) -> Option<String> {
        let write = method != Method::GET;
        if write {
            self.writes += 1;
            self.written.push(Instant::now());
        } else {
            self.reads += 1;
        }
        match (write, path) {
            (false, "system_status") => {
                Some(json!({ "environment": { "site_url": url } }).to_string())
            }
            (false, "products") => Some(self.list(asked)),
            (false, _) => Some("[]".to_owned()),
            (true, "products/batch") => self.batch(body),
            (true, one) => self.one(one.strip_prefix("products/")?, body),
        }
    }

    fn list(&self, asked: &Asked) -> String {
        if let Some(include) = asked.get("include") {
            let ids = include.split(',').filter_map(|id| id.parse::<usize>().ok());
            return self.rows(ids.map(|id| id.wrapping_sub(1)));
        }
        if asked.get("type").is_some_and(|t| t != "simple") {
            return "[]".to_owned();
        }
        let of = |name: &str, or| asked.get(name).and_then(|v| v.parse().ok()).unwrap_or(or);
        let (page, size): (usize, usize) = (of("page", 1), of("per_page", PAGE));
        let from = of("offset", page.saturating_sub(1) * size);
        let after = asked.get("modified_after").and_then(|at| {
            let at: jiff::Timestamp = format!("{at}Z").parse().ok()?;
            Some(at.as_second())
        });
        match after {
            None => self.rows(from..self.len().min(from + size).max(from)),
            Some(after) => {
                let later = |n: &usize| self.products[*n].modified > after;
                self.rows((0..self.len()).filter(later).skip(from).take(size))
            }
        }
    }

    fn rows(&self, ids: impl Iterator<Item = usize>) -> String {
        let mut text = String::from("[");
        for (n, id) in ids.filter(|id| *id < self.products.len()).enumerate() {
            if n > 0 {
                text.push(',');
            }
            self.show(id, &mut text);
        }
        text.push(']');
        text
    }

    /// A product as such a shop says it: what the connector reads, and some of what it does not.
    fn show(&self, id: usize, text: &mut String) {
        let p = &self.products[id];
        let at = jiff::Timestamp::from_second(p.modified).unwrap_or(jiff::Timestamp::MIN);
        let at = at.strftime("%Y-%m-%dT%H:%M:%S");
        let stock = if p.quantity > 0 { "instock" } else { "outofstock" };
        let _ = write!(
            text,
            "{{\"id\":{},\"name\":\"{name}\",\"slug\":\"product-{id}\",\
             \"permalink\":\"https://shop.example/product/product-{id}/\",\
             \"date_created_gmt\":\"2026-01-01T00:00:00\",\"date_modified_gmt\":\"{at}\",\
             \"type\":\"simple\",\"status\":\"{}\",\"featured\":false,\
             \"catalog_visibility\":\"visible\",\"description\":\"\",\"short_description\":\"\",\
             \"sku\":\"{}\",\"price\":\"{price}\",\"regular_price\":\"{price}\",\
             \"sale_price\":\"\",\"on_sale\":false,\"purchasable\":true,\"total_sales\":0,\
             \"virtual\":false,\"downloadable\":false,\"downloads\":[],\"tax_status\":\"taxable\",\
             \"tax_class\":\"\",\"manage_stock\":true,\"stock_quantity\":{},\"backorders\":\"no\",\
             \"stock_status\":\"{stock}\",\"weight\":\"{}\",\"global_unique_id\":\"\",\
             \"dimensions\":{{\"length\":\"\",\"width\":\"\",\"height\":\"\"}},\
             \"reviews_allowed\":true,\"average_rating\":\"0\",\"categories\":[{{\"id\":16,\
             \"name\":\"Uncategorized\",\"slug\":\"uncategorized\"}}],\"tags\":[],\"images\":[],\
             \"attributes\":[],\"variations\":[],\"menu_order\":0,\"meta_data\":[]}}",
            id + 1,
            p.status,
            p.sku,
            p.quantity,
            p.weight,
            name = p.name,
            price = p.price,
        );
    }

    fn batch(&mut self, body: &[u8]) -> Option<String> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let mut text = String::from("{");
        for (n, kind) in ["create", "update"].into_iter().enumerate() {
            let Some(items) = body.get(kind).and_then(Value::as_array) else { continue };
            if n > 0 && text.len() > 1 {
                text.push(',');
            }
            let _ = write!(text, "\"{kind}\":[");
            for (n, item) in items.iter().enumerate() {
                let id = if kind == "create" {
                    self.products.push(Product { status: "publish".into(), ..Product::default() });
                    self.products.len() - 1
                } else {
                    usize::try_from(item.get("id")?.as_u64()?).ok()?.checked_sub(1)?
                };
                self.take(id, item)?;
                if n > 0 {
                    text.push(',');
                }
                self.show(id, &mut text);
            }
            text.push(']');
        }
        text.push('}');
        Some(text)
    }

    fn one(&mut self, id: &str, body: &[u8]) -> Option<String> {
        let id = id.parse::<usize>().ok()?.checked_sub(1)?;
        let item: Value = serde_json::from_slice(body).ok()?;
        self.take(id, &item)?;
        let mut text = String::new();
        self.show(id, &mut text);
        Some(text)
    }

    fn take(&mut self, id: usize, item: &Value) -> Option<()> {
        let now = Instant::now();
        let started = *self.started.get_or_insert(now);
        let seconds = i64::try_from((now - started).as_secs()).unwrap_or(0);
        let product = self.products.get_mut(id)?;
        let text = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
        product.sku = text("sku").unwrap_or_else(|| std::mem::take(&mut product.sku));
        product.name = text("name").unwrap_or_else(|| std::mem::take(&mut product.name));
        product.price = text("regular_price").unwrap_or_else(|| std::mem::take(&mut product.price));
        product.weight = text("weight").unwrap_or_else(|| std::mem::take(&mut product.weight));
        product.status = text("status").unwrap_or_else(|| std::mem::take(&mut product.status));
        product.modified = EPOCH + seconds;
        if let Some(figure) = item.get("stock_quantity").and_then(Value::as_i64) {
            product.quantity = figure;
            let wanted = &mut self.wanted;
            if let Some(n) = article(&product.sku)
                && wanted.figure.get(n) == Some(&figure)
                && wanted.shown[n].is_none()
            {
                wanted.shown[n] = Some(now);
                wanted.arrived += 1;
                wanted.last = Some(now);
            }
        }
        Some(())
    }
}
