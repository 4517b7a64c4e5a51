//! Lists: filters, order, window, and the headers that go with them.
//!
//! Reads   the shop.
//! Writes  only the stock check's record of what the client has read.
//! Never   minds a parameter it does not know: the whole list comes back.

use std::cmp::Ordering;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::api::{Answer, Reply, Req};
use super::check::{self, Window};
use super::clock::{self, Second};
use super::crud::Res;
use super::model::{Order, Plain, Product};
use super::shop::Shop;
use super::{order_write, product_write, text};

const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'+');

const POST_ORDER: &[&str] = &[
    "date",
    "modified",
    "id",
    "include",
    "title",
    "slug",
    "price",
    "popularity",
    "rating",
    "menu_order",
];
const ORDER_ORDER: &[&str] = &["date", "modified", "id", "include", "title", "slug"];

/// The row of a list before it is shown: id, creation, modification, title.
type Key = (u64, Second, Second, String);

impl Shop {
    pub fn list(&mut self, res: Res, req: &Req) -> Answer<Reply> {
        match res {
            Res::Product => self.list_products(req, None),
            Res::Variation(parent) => {
                self.show(Res::Product, parent, false, 2)?;
                self.list_products(req, Some(parent))
            }
            Res::Order => self.list_orders(req),
            Res::Customer => self.list_customers(req),
            Res::Webhook => self.list_webhooks(req),
            _ => self.list_simple(res, req),
        }
    }

    /// `after`, `before`, `modified_after`, `modified_before`: exclusive, whole seconds. With
    /// `dates_are_gmt` a date with a zone is moved twice, as observed.
    pub(super) fn in_time(
        &self,
        req: &Req,
        created: Second,
        modified: Second,
        own_dates: bool,
    ) -> bool {
        let offset = self.settings.offset;
        let shift = if req.flag("dates_are_gmt") { 0 } else { offset };
        let given = |name: &str| req.query(name).and_then(|text| clock::as_site_time(text, offset));
        let after = |name: &str, at: Second| given(name).is_none_or(|limit| at + shift > limit);
        let before = |name: &str, at: Second| given(name).is_none_or(|limit| at + shift < limit);
        after("after", created)
            && before("before", created)
            && (!own_dates
                || (after("modified_after", modified) && before("modified_before", modified)))
    }

    /// `parent`: variations of one product; `Some(0)`: all variations of the shop.
    pub fn list_products(&mut self, req: &Req, parent: Option<u64>) -> Answer<Reply> {
        let window = check::list(req, POST_ORDER, false)?;
        let known = [&["any"], product_write::STATUSES].concat();
        let status = check::one(req, "status", &known)?;
        let kinds = [product_write::TYPES, &["variation"]].concat();
        let kind = check::one(req, "type", &kinds)?;
        check::one(req, "stock_status", product_write::STOCK_STATUSES)?;
        let filter = ProductFilter::read(req, status, kind);
        let mut keys: Vec<Key> = Vec::new();
        for product in self.products.values() {
            let mine = match parent {
                Some(0) => product.is_variation(),
                Some(parent) => product.parent == parent,
                None => !product.is_variation() || filter.finds_variations(),
            };
            let dated = parent.is_none() || self.settings.variations_filtered;
            if mine
                && filter.takes(self, product)
                && self.in_time(req, product.created, product.modified, dated)
            {
                keys.push(self.product_key(product, req));
            }
        }
        let ids = sorted(keys, req, &window);
        let total = ids.len();
        let shown = req.list("_fields").is_none_or(|f| f.iter().any(|f| f == "stock_quantity"));
        let raw = req.query("context") == Some("edit");
        let mut items = Vec::new();
        for id in take(&ids, &window) {
            let Some(product) = self.products.get(id) else { continue };
            items.push(if parent.is_some() {
                self.show_variation(product, raw)
            } else {
                self.show_product(product, raw)
            });
            if shown {
                self.note_stock_read(*id);
            }
        }
        Ok(self.page(req, &window, total, items, &[]))
    }

    fn product_key(&self, product: &Product, req: &Req) -> Key {
        let title = match req.query("orderby") {
            Some("slug") => product.field("slug").to_owned(),
            Some("price") => {
                let price = text::decimal(&self.price(product)).unwrap_or_default();
                format!("{:020}", (price * Decimal::ONE_HUNDRED).trunc())
            }
            Some("popularity") => format!("{:020}", product.sales),
            Some("menu_order") => format!("{:>20}", product.fields["menu_order"].to_string()),
            _ => product.field("name").to_lowercase(),
        };
        (product.id, product.created, product.modified, title)
    }

    fn list_orders(&mut self, req: &Req) -> Answer<Reply> {
        let window = check::list(req, ORDER_ORDER, false)?;
        let known = [&["any", "trash"], order_write::STATUSES].concat();
        let states = check::items(req, "status", &known)?.unwrap_or_else(|| vec!["any".to_owned()]);
        let include = req.ids("include");
        let exclude = req.ids("exclude").unwrap_or_default();
        let customer = req.query("customer").and_then(|id| id.parse::<u64>().ok());
        let product = req.query("product").and_then(|id| id.parse::<u64>().ok());
        let keys: Vec<Key> = self
            .orders
            .values()
            .filter(|order| in_state(order, &states))
            .filter(|order| include.as_ref().is_none_or(|ids| ids.contains(&order.id)))
            .filter(|order| !exclude.contains(&order.id))
            .filter(|order| customer.is_none_or(|id| order.customer_id == id))
            .filter(|order| {
                let has =
                    |id| order.lines.iter().any(|l| l.product_id == id || l.variation_id == id);
                product.is_none_or(has)
            })
            .filter(|order| req.query("search").is_none_or(|text| self.order_matches(order, text)))
            .filter(|order| self.in_time(req, order.created, order.modified, true))
            .map(|order| (order.id, order.created, order.modified, order.id.to_string()))
            .collect();
        let ids = sorted(keys, req, &window);
        let dp = self.dp(req);
        let tick = self.tick;
        let told = req.list("_fields").is_none_or(|f| f.iter().any(|f| f == "line_items"));
        let mut items = Vec::new();
        for id in take(&ids, &window) {
            let Some(order) = self.orders.get(id) else { continue };
            items.push(self.show_order(order, dp));
            if told {
                self.note_told(*id, tick);
            }
        }
        let added = [("status[0]", "any"), ("dp", "2"), ("context", "view")];
        Ok(self.page(req, &window, ids.len(), items, &added))
    }

    fn list_customers(&mut self, req: &Req) -> Answer<Reply> {
        let window = check::list(req, &["id", "include", "name", "registered_date"], true)?;
        let include = req.ids("include");
        let email = req.query("email").map(str::to_lowercase);
        let search = req.query("search").map(str::to_lowercase);
        let takes = |c: &&Plain| {
            let found = |text: &String| {
                ["email", "first_name", "last_name", "username"]
                    .iter()
                    .any(|name| c.field(name).to_lowercase().contains(text))
            };
            include.as_ref().is_none_or(|ids| ids.contains(&c.id))
                && email.as_ref().is_none_or(|email| c.field("email").to_lowercase() == *email)
                && search.as_ref().is_none_or(found)
        };
        let rows = self.customers.values().filter(takes);
        let keys = rows.map(|c| (c.id, c.created, c.modified, c.field("username").to_owned()));
        let ids = sorted(keys.collect(), req, &window);
        let shown = take(&ids, &window).iter().filter_map(|id| self.customers.get(id));
        let items = shown.map(|c| self.show_customer(c)).collect();
        Ok(self.page(req, &window, ids.len(), items, &[]))
    }

    fn list_webhooks(&mut self, req: &Req) -> Answer<Reply> {
        let window = check::list(req, &["date", "id", "include", "title"], false)?;
        let known = ["all", "active", "paused", "disabled"];
        let status = check::one(req, "status", &known)?.filter(|status| status != "all");
        let rows = self.webhooks.values();
        let rows = rows.filter(|w| status.as_ref().is_none_or(|status| w.status == *status));
        let keys = rows.map(|w| (w.id, w.created, w.created, w.name.clone())).collect();
        let ids = sorted(keys, req, &window);
        let shown = take(&ids, &window).iter().filter_map(|id| self.webhooks.get(id));
        let items = shown.map(|w| self.show_webhook(w)).collect();
        Ok(self.page(req, &window, ids.len(), items, &[]))
    }

    fn list_simple(&mut self, res: Res, req: &Req) -> Answer<Reply> {
        let order_by = match res {
            Res::Coupon => ORDER_ORDER,
            _ => &[
                "id",
                "include",
                "name",
                "slug",
                "term_group",
                "description",
                "count",
                "menu_order",
            ],
        };
        let window = check::list(req, order_by, res != Res::Coupon)?;
        let owner = if let Res::Term(owner) = res { owner } else { 0 };
        if owner > 0 {
            self.show(Res::Attribute, owner, false, 2)?;
        }
        let include = req.ids("include");
        let parent = req.query("parent").and_then(|id| id.parse::<u64>().ok());
        let search = req.query("search").map(str::to_lowercase);
        let keys: Vec<Key> = self
            .simple(res)
            .values()
            .filter(|one| one.owner == owner)
            .filter(|one| include.as_ref().is_none_or(|ids| ids.contains(&one.id)))
            .filter(|one| req.query("slug").is_none_or(|slug| one.field("slug") == slug))
            .filter(|one| {
                req.query("code").is_none_or(|code| one.field("code") == code.to_lowercase())
            })
            .filter(|one| {
                let own = super::api::id_of(one.fields.get("parent"));
                parent.is_none_or(|parent| own == parent)
            })
            .filter(|one| {
                search.as_ref().is_none_or(|text| one.field("name").to_lowercase().contains(text))
            })
            .filter(|one| self.in_time(req, one.created, one.modified, res == Res::Coupon))
            .map(|one| (one.id, one.created, one.modified, one.field("name").to_owned()))
            .collect();
        let ids = sorted(keys, req, &window);
        let all = res == Res::Attribute;
        let chosen = if all { &ids[..] } else { take(&ids, &window) };
        let shown = chosen.iter().filter_map(|id| self.simple(res).get(id));
        let items = shown.map(|one| self.show_simple(res, one)).collect();
        Ok(self.page(req, &window, ids.len(), items, &[]))
    }

    pub fn dp(&self, req: &Req) -> u32 {
        req.query("dp").and_then(|dp| dp.parse().ok()).unwrap_or(self.settings.decimals)
    }

    /// A page with `X-WP-Total`, `X-WP-TotalPages` and `Link`.
    pub fn page(
        &self,
        req: &Req,
        window: &Window,
        total: usize,
        items: Vec<Value>,
        added: &[(&str, &str)],
    ) -> Reply {
        let pages = total.div_ceil(window.per_page);
        let mut links = Vec::new();
        if window.page > 1 {
            let before = (window.page - 1).min(pages.max(1));
            links.push(format!("<{}>; rel=\"prev\"", self.page_link(req, before, added)));
        }
        if window.page < pages {
            links.push(format!("<{}>; rel=\"next\"", self.page_link(req, window.page + 1, added)));
        }
        let items: Vec<Value> =
            items.into_iter().map(|item| only_fields(req, item, false)).collect();
        let mut reply = Reply::json(200, json!(items))
            .with("X-WP-Total", total.to_string())
            .with("X-WP-TotalPages", pages.to_string());
        if !links.is_empty() {
            reply = reply.with("Link", links.join(", "));
        }
        reply
    }

    /// The address of another page: every parameter of this call, credentials included.
    fn page_link(&self, req: &Req, page: usize, added: &[(&str, &str)]) -> String {
        let mut query: Vec<(String, String)> = req.query.clone();
        for (name, value) in added {
            let plain = name.split('[').next().unwrap_or(name);
            if !query.iter().any(|(key, _)| key.split('[').next() == Some(plain)) {
                query.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        match query.iter_mut().find(|(key, _)| key == "page") {
            Some(place) => place.1 = page.to_string(),
            None => query.push(("page".to_owned(), page.to_string())),
        }
        let encode = |text: &str| utf8_percent_encode(text, QUERY).to_string();
        let parts = query.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value)));
        let parts: Vec<String> = parts.collect();
        format!("{}/wp-json{}?{}", self.base, req.path, parts.join("&"))
    }
}

fn in_state(order: &Order, states: &[String]) -> bool {
    states.iter().any(|state| state == &order.status || (state == "any" && order.status != "trash"))
}

/// `_fields`: what is asked for; a single thing keeps its `_links`, a row of a list does not.
pub fn only_fields(req: &Req, item: Value, single: bool) -> Value {
    let Some(fields) = req.list("_fields") else { return item };
    let Value::Object(mut map) = item else { return item };
    map.retain(|key, _| {
        (single && key == "_links") || fields.iter().any(|f| f.split('.').next() == Some(key))
    });
    Value::Object(map)
}

fn sorted(mut keys: Vec<Key>, req: &Req, window: &Window) -> Vec<u64> {
    let by = req.query("orderby").unwrap_or("date");
    let include = req.ids("include").unwrap_or_default();
    if by == "include" {
        keys.sort_by_key(|key| include.iter().position(|id| *id == key.0));
        return keys.into_iter().map(|key| key.0).collect();
    }
    keys.sort_by(|a, b| {
        let order = match by {
            "date" | "registered_date" => a.1.cmp(&b.1).then(a.0.cmp(&b.0)),
            "modified" => a.2.cmp(&b.2).then(a.0.cmp(&b.0)),
            "id" => a.0.cmp(&b.0),
            _ => a.3.cmp(&b.3).then(Ordering::Equal).then(a.0.cmp(&b.0)),
        };
        if window.ascending { order } else { order.reverse() }
    });
    keys.into_iter().map(|key| key.0).collect()
}

fn take<'a>(ids: &'a [u64], window: &Window) -> &'a [u64] {
    let from = window.offset.unwrap_or((window.page - 1) * window.per_page).min(ids.len());
    let to = (from + window.per_page).min(ids.len());
    &ids[from..to]
}

/// What a product list can be narrowed by.
struct ProductFilter {
    status: Option<String>,
    kind: Option<String>,
    skus: Option<Vec<String>>,
    search_sku: Option<String>,
    gtins: Option<Vec<String>>,
    search: Option<String>,
    slug: Option<String>,
    include: Option<Vec<u64>>,
    exclude: Vec<u64>,
    parent: Option<Vec<u64>>,
    category: Option<String>,
    stock_status: Option<String>,
    on_sale: Option<bool>,
}

impl ProductFilter {
    fn read(req: &Req, status: Option<String>, kind: Option<String>) -> Self {
        let text = |name: &str| req.query(name).map(str::to_owned).filter(|t| !t.is_empty());
        Self {
            status: status.filter(|status| status != "any"),
            kind,
            skus: req.list("sku").map(|l| l.iter().map(|s| s.to_lowercase()).collect()),
            search_sku: text("search_sku").map(|t| t.to_lowercase()),
            gtins: req.list("global_unique_id"),
            search: text("search").map(|t| t.to_lowercase()),
            slug: text("slug"),
            include: req.ids("include"),
            exclude: req.ids("exclude").unwrap_or_default(),
            parent: req.ids("parent"),
            category: text("category"),
            stock_status: text("stock_status"),
            on_sale: text("on_sale").map(|t| t == "true" || t == "1"),
        }
    }

    /// A list by SKU or GTIN finds variations too.
    fn finds_variations(&self) -> bool {
        self.skus.is_some()
            || self.search_sku.is_some()
            || self.gtins.is_some()
            || self.kind.as_deref() == Some("variation")
    }

    fn takes(&self, shop: &Shop, product: &Product) -> bool {
        let id = product.id;
        let status = product.field("status");
        let in_category = |wanted: &String| {
            let ids = product.fields.get("categories").and_then(Value::as_array);
            ids.into_iter().flatten().any(|id| super::api::loose_text(id) == *wanted)
        };
        let found = |text: &String| {
            product.field("name").to_lowercase().contains(text)
                || product.field("description").to_lowercase().contains(text)
        };
        let sku = product.sku.to_lowercase();
        self.status.as_ref().map_or(status != "trash", |wanted| status == wanted)
            && self.kind.as_ref().is_none_or(|kind| product.kind == *kind)
            && self.skus.as_ref().is_none_or(|skus| !sku.is_empty() && skus.contains(&sku))
            && self.search_sku.as_ref().is_none_or(|part| sku.contains(part))
            && self.gtins.as_ref().is_none_or(|gtins| gtins.contains(&product.gtin))
            && self.search.as_ref().is_none_or(found)
            && self.slug.as_ref().is_none_or(|slug| product.field("slug") == slug)
            && self.include.as_ref().is_none_or(|ids| ids.contains(&id))
            && !self.exclude.contains(&id)
            && self.parent.as_ref().is_none_or(|ids| ids.contains(&product.parent))
            && self.category.as_ref().is_none_or(in_category)
            && self.stock_status.as_ref().is_none_or(|s| shop.stock_status(product) == *s)
            && self.on_sale.is_none_or(|wanted| shop.on_sale(product) == wanted)
    }
}
