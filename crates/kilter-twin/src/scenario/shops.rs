//! The three shops: what each shows of the ERP, and what the stage asks of a kind of shop.
//!
//! Reads   nothing; a platform reads its own twin's pages.
//! Writes  nothing.
//! Never   says how Kilter does it: only what must stand there at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rust_decimal::Decimal;
use serde_json::Value;

use super::catalogue::{Catalogue, Template};
use super::checkout::Basket;
use super::script::{B2B_USD, MAIN, RETAIL_EUR, RETAIL_USD, WEST, Writes};
use super::shop::Shop;
use super::shopify::Shopify;
use super::woocommerce::WooCommerce;

/// Whose words a shop speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locale {
    German,
    American,
}

/// One shop of the demo.
#[derive(Debug)]
pub struct Facts {
    pub name: &'static str,
    pub platform: &'static dyn Platform,
    pub locale: Locale,
    pub currency: &'static str,
    /// The ERP's price list → the shop's price list; "" is the price on the product itself.
    pub lists: &'static [(&'static str, &'static str)],
    /// A figure of the shop → the ERP's warehouses that it sums up; "" is the one figure of a shop
    /// that knows no places.
    pub figures: &'static [(&'static str, &'static [&'static str])],
}

/// The shop whose editors own the English titles.
pub const EDITOR: &str = "us";

pub static SHOPS: [Facts; 3] = [
    Facts {
        name: "de",
        platform: &WooCommerce,
        locale: Locale::German,
        currency: "EUR",
        lists: &[(RETAIL_EUR, "")],
        figures: &[("", &[MAIN])],
    },
    Facts {
        name: "us",
        platform: &WooCommerce,
        locale: Locale::American,
        currency: "USD",
        lists: &[(RETAIL_USD, "")],
        figures: &[("", &[MAIN, WEST])],
    },
    Facts {
        name: "plus",
        platform: &Shopify,
        locale: Locale::American,
        currency: "USD",
        lists: &[(RETAIL_USD, ""), (B2B_USD, "b2b")],
        figures: &[("main", &[MAIN]), ("west", &[WEST])],
    },
];

/// The shop of that name, where it is one.
pub fn facts(name: &str) -> Option<&'static Facts> {
    SHOPS.iter().find(|shop| shop.name == name)
}

impl Facts {
    pub fn german(&self) -> bool {
        self.locale == Locale::German
    }

    /// Why this shop cannot take a product; `None`: it can.
    pub fn refuses(&self, template: &Template) -> Option<&'static str> {
        template.clash.filter(|_| self.platform.ignores_case())
    }

    /// What this shop can take of the catalogue.
    pub fn offered<'a>(&self, catalogue: &'a Catalogue) -> impl Iterator<Item = &'a Template> {
        catalogue.templates.iter().filter(|template| self.refuses(template).is_none())
    }

    /// What one of its figures should say: the ERP's forecast in the warehouses behind it, less
    /// what was sold and the ERP does not know of; never below zero. All orders are shipped from
    /// the main warehouse, so what is sold comes off there.
    pub fn figure(
        &self,
        warehouses: &[&str],
        forecast: &BTreeMap<String, i64>,
        unsettled: i64,
    ) -> i64 {
        let there: i64 = warehouses.iter().filter_map(|place| forecast.get(*place)).sum();
        let sold = if warehouses.contains(&MAIN) { unsettled } else { 0 };
        (there - sold).max(0)
    }

    /// Whether it sells from that warehouse.
    pub fn sells_from(&self, warehouse: &str) -> bool {
        self.figures.iter().any(|(_, warehouses)| warehouses.contains(&warehouse))
    }

    /// The shop's name of an ERP's price list that it shows.
    pub fn list(&self, of_erp: &str) -> Option<&'static str> {
        self.lists.iter().find(|(list, _)| *list == of_erp).map(|(_, own)| *own)
    }
}

/// What a shop accepted.
#[derive(Debug)]
pub struct Placed {
    pub id: u64,
    /// As people call it.
    pub number: String,
    pub total: Decimal,
    pub currency: String,
}

/// An order as a shop shows it.
#[derive(Debug)]
pub struct ShopOrder {
    pub id: u64,
    /// `open`, `shipped`, or the platform's own word for anything else.
    pub state: String,
    /// As it stands now.
    pub total: Decimal,
    /// Carrier and number of each parcel.
    pub parcels: Vec<String>,
}

/// What a step changes in one shop, each thing once.
#[derive(Debug, Default)]
pub struct Work {
    /// Places of products in the catalogue that are to be created.
    pub created: Vec<usize>,
    /// Places of products whose title changes.
    pub titles: BTreeSet<usize>,
    /// SKUs whose price on the product itself changes.
    pub prices: BTreeSet<String>,
    /// (list of the shop, SKU), where a list of its own changes.
    pub listed: BTreeSet<(String, String)>,
    /// (figure of the shop, SKU).
    pub figures: BTreeSet<(String, String)>,
    pub parcels: usize,
}

/// A kind of shop. Every word of a platform stands behind this.
pub trait Platform: Sync + fmt::Debug {
    /// The twin that plays it, and its settings for this shop.
    fn twin(&self) -> &'static str;
    fn settings(&self, shop: &Facts) -> Vec<(&'static str, String)>;

    /// Whether two SKUs that differ by case are one SKU there.
    fn ignores_case(&self) -> bool;

    /// Names of places and lists → the ids that a merchant would look up for his config.
    fn ids(&self, state: &Value) -> BTreeMap<String, String>;
    /// The shop's part of `kilter.toml`.
    fn section(
        &self,
        shop: &Facts,
        url: &str,
        ids: &BTreeMap<String, String>,
        since: &str,
    ) -> String;

    /// Its goods, of the twin's brief listing.
    fn goods(&self, brief: &Value) -> Shop;
    /// What it calls a product that is on sale and right: with variants or without.
    fn kind(&self, simple: bool) -> &'static str;

    /// A checkout's body, and what came of it.
    fn checkout(&self, basket: &Basket) -> Value;
    fn placed(&self, answer: &Value) -> Option<Placed>;
    fn orders(&self, page: &Value) -> Vec<ShopOrder>;

    /// Write calls of the twin's counts, and the least that would have done.
    fn writes(&self, calls: &Value) -> Writes;
    fn least(&self, catalogue: &Catalogue, work: &Work) -> usize;
    /// Whether more than the least, and half as much again, is a fault. Only where the least is
    /// what a client that knows no better way would need.
    fn judges_writes(&self) -> bool;
}
