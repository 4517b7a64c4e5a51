//! The shop: everything it holds, behind one lock, and the helpers every resource uses.
//!
//! Reads   its settings and clock.
//! Writes  only itself.
//! Never   waits: no call here is asynchronous.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::api::{Answer, Fail, Object};
use super::audit::Audit;
use super::calls::Calls;
use super::clock::{self, Clock, Second};
use super::deliver::Queue;
use super::faults::Faults;
use super::model::{Note, Order, Plain, Product, Refund, Webhook};
use super::settings::Settings;
use crate::edge::Edge;

/// The counters: products, orders, refunds and coupons share one, as posts do.
#[derive(Debug, Default)]
pub struct Ids {
    pub post: u64,
    pub term: u64,
    pub attribute: u64,
    pub user: u64,
    pub webhook: u64,
    pub line: u64,
    pub meta: u64,
    pub note: u64,
    pub fulfillment: u64,
}

#[derive(Debug)]
pub struct Shop {
    pub settings: Settings,
    pub clock: Clock,
    pub base: String,
    pub seed: u64,
    pub ids: Ids,
    /// Grows with everything that happens: the order of things, finer than seconds.
    pub tick: u64,
    pub products: BTreeMap<u64, Product>,
    /// Lower-case SKU → holder, trashed ones included.
    pub skus: BTreeMap<String, u64>,
    /// How often a slug was asked for.
    pub slugs: BTreeMap<String, u64>,
    pub orders: BTreeMap<u64, Order>,
    pub refunds: BTreeMap<u64, Refund>,
    pub notes: BTreeMap<u64, Note>,
    pub webhooks: BTreeMap<u64, Webhook>,
    pub categories: BTreeMap<u64, Plain>,
    pub tags: BTreeMap<u64, Plain>,
    pub attributes: BTreeMap<u64, Plain>,
    pub terms: BTreeMap<u64, Plain>,
    pub customers: BTreeMap<u64, Plain>,
    pub coupons: BTreeMap<u64, Plain>,
    pub fulfillments: BTreeMap<u64, Plain>,
    pub nonces: BTreeMap<String, Second>,
    pub queue: Queue,
    pub audit: Audit,
    pub calls: Calls,
    pub faults: Faults,
    /// The faults that come by name.
    pub edge: Arc<Edge>,
}

impl Shop {
    pub fn new(settings: Settings, base: String, seed: u64, edge: Arc<Edge>) -> Self {
        let clock = Clock::new(settings.clock_rate_milli);
        let base = if settings.site_url.is_empty() {
            base
        } else {
            settings.site_url.trim_end_matches('/').to_owned()
        };
        let first = settings.first_id.max(1) - 1;
        let mut shop = Self {
            ids: Ids { post: first, term: 15, user: 1, meta: 28, note: 1, ..Ids::default() },
            settings,
            clock,
            base,
            seed,
            tick: 0,
            products: BTreeMap::new(),
            skus: BTreeMap::new(),
            slugs: BTreeMap::new(),
            orders: BTreeMap::new(),
            refunds: BTreeMap::new(),
            notes: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            categories: BTreeMap::new(),
            tags: BTreeMap::new(),
            attributes: BTreeMap::new(),
            terms: BTreeMap::new(),
            customers: BTreeMap::new(),
            coupons: BTreeMap::new(),
            fulfillments: BTreeMap::new(),
            nonces: BTreeMap::new(),
            queue: Queue::default(),
            audit: Audit::default(),
            calls: Calls::default(),
            faults: Faults::default(),
            edge,
        };
        let now = shop.now();
        let fields = object(json!({
            "name": "Uncategorized", "slug": "uncategorized", "parent": 0, "description": "",
            "display": "default", "image": null, "menu_order": 0,
        }));
        let first = Plain { id: 15, owner: 0, fields, meta: vec![], created: now, modified: now };
        shop.categories.insert(15, first);
        shop
    }

    pub fn now(&self) -> Second {
        self.clock.now()
    }

    pub fn next_tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    pub fn next_post(&mut self) -> u64 {
        self.ids.post += 1;
        self.ids.post
    }

    /// Site time as text.
    pub fn local(&self, moment: Second) -> Value {
        json!(clock::text(moment, self.settings.offset))
    }

    pub fn gmt(&self, moment: Second) -> Value {
        json!(clock::text(moment, 0))
    }

    /// Puts `date_x` and `date_x_gmt`.
    pub fn put_dates(&self, out: &mut Object, name: &str, moment: Option<Second>) {
        out.insert(name.to_owned(), moment.map_or(Value::Null, |m| self.local(m)));
        out.insert(format!("{name}_gmt"), moment.map_or(Value::Null, |m| self.gmt(m)));
    }

    pub fn link(&self, path: &str) -> String {
        format!("{}/wp-json/wc/v3/{path}", self.base)
    }

    pub fn links(&self, own: &str, collection: &str, allow: &[&str]) -> Value {
        json!({
            "self": [{ "href": self.link(own), "targetHints": { "allow": allow } }],
            "collection": [{ "href": self.link(collection) }],
        })
    }

    pub fn product(&self, id: u64) -> Answer<&Product> {
        self.products
            .get(&id)
            .ok_or_else(|| Fail::new(404, "woocommerce_rest_product_invalid_id", "Invalid ID."))
    }

    /// Text that looks random and is the same for the same seed.
    pub fn token(&self, what: &str, length: usize) -> String {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(format!("{}:{what}", self.seed).as_bytes());
        let letters = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
        let pick = |byte: &u8| char::from(letters[usize::from(*byte) % letters.len()]);
        digest.iter().cycle().take(length).map(pick).collect()
    }
}

pub const ALL: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The map of a `json!({…})`.
pub fn object(value: Value) -> Object {
    match value {
        Value::Object(map) => map,
        _ => Object::new(),
    }
}
