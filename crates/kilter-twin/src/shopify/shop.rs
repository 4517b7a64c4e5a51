//! The shop: everything it holds, behind one lock, and the helpers every resource uses.
//!
//! Reads   its settings and clock.
//! Writes  only itself.
//! Never   waits: no call here is asynchronous.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::audit::Audit;
use super::auth::Tokens;
use super::bulk::Bulk;
use super::calls::Calls;
use super::clock::{self, Clock, Moment};
use super::cost::Bucket;
use super::deliver::Queue;
use super::faults::Faults;
use super::idempotent::Keys;
use super::settings::{BUCKET_SECONDS, Settings};
use super::store::{Object, Store, object};
use super::{gid, money};
use crate::edge::Edge;

/// The number of the shop itself.
pub const SHOP_ID: u64 = 548_380_009;
const STALE_MS: i64 = 5_000;
pub const APP_ID: u64 = 1_354_745;

#[derive(Debug)]
pub struct Shop {
    pub settings: Settings,
    pub clock: Clock,
    pub base: String,
    pub seed: u64,
    /// The last number given.
    pub last_id: u64,
    /// Grows with everything that happens: the order of things, finer than the clock.
    pub tick: u64,
    pub store: Store,
    /// (inventory item, location) → level.
    pub levels: BTreeMap<(u64, u64), u64>,
    pub order_number: i64,
    pub bucket: Bucket,
    pub tokens: Tokens,
    pub keys: Keys,
    pub queue: Queue,
    pub bulk: Bulk,
    pub audit: Audit,
    pub calls: Calls,
    pub faults: Faults,
    /// The faults that come by name.
    pub edge: Arc<Edge>,
    /// Warnings of the searches of the operation at hand.
    pub searches: Vec<Value>,
    /// Uploaded bytes by their key.
    pub uploads: BTreeMap<String, Vec<u8>>,
    /// The event that the operation at hand belongs to.
    pub event: String,
}

impl Shop {
    pub fn new(settings: Settings, base: String, seed: u64, edge: Arc<Edge>) -> Self {
        let clock = Clock::new(settings.clock);
        let now = clock.now();
        let mut shop = Self {
            bucket: Bucket::new(settings.restore, settings.restore * BUCKET_SECONDS, now),
            tokens: Tokens::default(),
            keys: Keys::default(),
            store: Store::default(),
            levels: BTreeMap::new(),
            faults: Faults::default(),
            edge,
            last_id: settings.first_id,
            settings,
            clock,
            base,
            seed,
            tick: 0,
            order_number: 1000,
            queue: Queue::default(),
            bulk: Bulk::default(),
            audit: Audit::default(),
            calls: Calls::default(),
            searches: vec![],
            uploads: BTreeMap::new(),
            event: String::new(),
        };
        for name in shop.settings.locations.clone() {
            shop.add_location(&name, &Object::new());
        }
        for (name, currency) in shop.settings.price_lists.clone() {
            shop.add_price_list(&name, &currency);
        }
        shop.set_lag();
        shop
    }

    /// How far the search index is behind: further, where stale searches are asked for.
    pub fn set_lag(&mut self) {
        let stale = self.edge.schedule().has("stale");
        let own = self.settings.search_lag_ms;
        self.store.lag_ms = if stale { own.max(STALE_MS) } else { own };
    }

    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    pub fn next_tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A new row; answers its number.
    pub fn add(&mut self, kind: &'static str, fields: Value) -> u64 {
        let id = self.next_id();
        let now = self.now();
        self.store.insert(kind, id, object(fields), now);
        id
    }

    pub fn edit(&mut self, kind: &str, id: u64) -> Option<&mut Object> {
        let now = self.clock.now();
        self.store.edit(kind, id, now)
    }

    pub fn edit_unseen(&mut self, kind: &str, id: u64) -> Option<&mut Object> {
        let now = self.clock.now();
        self.store.edit_unseen(kind, id, now)
    }

    /// Text that looks random and is the same for the same seed.
    pub fn token(&self, what: &str, length: usize) -> String {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(format!("{}:{what}", self.seed).as_bytes());
        let hex = digest.iter().flat_map(|byte| format!("{byte:02x}").into_bytes());
        hex.cycle_take(length)
    }

    /// A 36-letter id that looks random.
    pub fn uuid(&self, what: &str) -> String {
        let hex = self.token(what, 32);
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]];
        parts.join("-")
    }

    pub fn utc(&self, moment: Moment) -> String {
        clock::utc(moment)
    }

    pub fn local(&self, moment: Moment) -> String {
        clock::local(moment, self.settings.offset_minutes)
    }

    pub fn money(&self, amount: Decimal) -> Value {
        money::v2(amount, &self.settings.currency)
    }

    /// Kinds whose one object is not a row.
    pub fn is_virtual(&self, kind: &str) -> bool {
        matches!(kind, "Shop" | "App" | "AppInstallation")
    }

    pub fn add_location(&mut self, name: &str, given: &Object) -> u64 {
        let text = |field: &str| given.get(field).and_then(Value::as_str).map(str::to_owned);
        let country = text("countryCode").unwrap_or_else(|| "US".to_owned());
        self.add(
            "Location",
            json!({
                "name": name, "isActive": true, "fulfillsOnlineOrders": true,
                "shipsInventory": true, "isFulfillmentService": false,
                "address": {
                    "address1": text("address1"), "address2": null, "city": text("city"),
                    "zip": text("zip"), "country": country, "countryCode": country,
                    "province": null, "provinceCode": null, "phone": null, "formatted": [],
                },
            }),
        )
    }

    pub fn add_price_list(&mut self, name: &str, currency: &str) -> u64 {
        let list =
            self.add("PriceList", json!({ "name": name, "currency": currency, "fixed": {} }));
        let catalog = self.add(
            "MarketCatalog",
            json!({ "title": name, "status": "ACTIVE", "priceList": gid::gid("PriceList", list) }),
        );
        if let Some(fields) = self.edit("PriceList", list) {
            fields.insert("catalog".to_owned(), json!(gid::gid("MarketCatalog", catalog)));
        }
        list
    }
}

/// The first letters of an endless repetition.
trait CycleTake {
    fn cycle_take(self, length: usize) -> String;
}

impl<I: Iterator<Item = u8> + Clone> CycleTake for I {
    fn cycle_take(self, length: usize) -> String {
        self.cycle().take(length).map(char::from).collect()
    }
}

/// `currency`, `plan` and the rest of `shop { … }`.
pub fn shown(shop: &Shop) -> Value {
    let settings = &shop.settings;
    let domain = settings.domain();
    let minutes = settings.offset_minutes;
    let sign = if minutes < 0 { '-' } else { '+' };
    let offset = format!("{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60);
    let plan = match settings.plan.as_str() {
        "standard" => "Basic",
        "advanced" => "Advanced",
        "plus" => "Shopify Plus",
        _ => "Enterprise",
    };
    json!({
        "__typename": "Shop", "id": gid::gid("Shop", SHOP_ID), "name": settings.shop,
        "email": format!("owner@{domain}"), "contactEmail": format!("owner@{domain}"),
        "myshopifyDomain": domain, "url": format!("https://{domain}"),
        "currencyCode": settings.currency,
        "enabledPresentmentCurrencies": [settings.currency],
        "ianaTimezone": "Etc/UTC", "timezoneOffset": offset, "timezoneOffsetMinutes": minutes,
        "taxesIncluded": settings.taxes_included, "taxShipping": false,
        "plan": {
            "publicDisplayName": plan, "partnerDevelopment": false,
            "shopifyPlus": matches!(settings.plan.as_str(), "plus" | "enterprise"),
        },
        "primaryDomain": {
            "id": gid::gid("Domain", SHOP_ID), "host": domain, "url": format!("https://{domain}"),
        },
        "weightUnit": "KILOGRAMS", "unitSystem": "METRIC_SYSTEM",
        "createdAt": "2020-01-01T00:00:00Z", "updatedAt": "2020-01-01T00:00:00Z",
        "setupRequired": false, "orderNumberFormatPrefix": "#", "orderNumberFormatSuffix": "",
        "shopOwnerName": "Twin",
    })
}
