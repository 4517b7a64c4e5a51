//! The script of what was done: the referee's only other source, beside the twins' own state.
//!
//! Reads   nothing.
//! Writes  nothing by itself; the steps note here what they did.
//! Never   learns what Kilter did.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::catalogue::Variant;
use super::verdict::Outage;

/// The steps of the demo, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Load,
    Prices,
    Stock,
    Orders,
    Ship,
    Titles,
    /// People write prices and figures into a shop.
    Drift,
    /// A person deletes products in a shop.
    Gone,
    /// Webhooks come twice, late, out of order; some never.
    Hooks,
    /// The ERP refuses, loses answers, and is away for a while.
    Storm,
    /// Kilter ends in the middle of its work, and begins anew.
    Kill,
}

impl std::str::FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let json = serde_json::Value::from(text);
        serde_json::from_value(json).map_err(|_| format!("there is no step \"{text}\""))
    }
}

/// Price lists by their names in the ERP.
pub const RETAIL_EUR: &str = "Retail EUR";
pub const RETAIL_USD: &str = "Retail USD";
pub const B2B_USD: &str = "B2B USD";
pub const LISTS: [&str; 3] = [RETAIL_EUR, RETAIL_USD, B2B_USD];
/// Warehouses by code.
pub const MAIN: &str = "WH";
pub const WEST: &str = "WEST";

/// One order that a shop accepted.
#[derive(Debug, Clone)]
pub struct Sale {
    pub shop: &'static str,
    /// The shop's id of it.
    pub id: u64,
    /// As people there call it.
    pub number: String,
    pub email: String,
    /// As placed, sorted: the same SKU may stand there twice.
    pub lines: Vec<(String, i64)>,
    /// As the shop computed it.
    pub total: Decimal,
    pub currency: String,
    /// Since the start.
    pub at_ms: u64,
}

#[derive(Debug, Clone)]
pub struct Parcel {
    pub shop: &'static str,
    pub order: u64,
    pub carrier: &'static str,
    pub tracking: String,
}

#[derive(Debug, Clone)]
pub struct Title {
    /// Place in the catalogue.
    pub template: usize,
    pub title: String,
    /// What the ERP calls it now; `None`: as before.
    pub renamed: Option<String>,
}

/// Writes by route (`POST /products/batch`) or by `model/method`.
pub type Writes = BTreeMap<String, u64>;

#[derive(Debug, Default)]
pub struct Script {
    /// (list, SKU) → price.
    pub prices: BTreeMap<(&'static str, String), Decimal>,
    /// (warehouse, SKU) → counted quantity, where it is not the catalogue's.
    pub stock: BTreeMap<(&'static str, String), i64>,
    /// What the price step and what the title step changed among them.
    pub price_step: Vec<(&'static str, String)>,
    pub stock_step: Vec<(&'static str, String)>,
    pub title_prices: Vec<(&'static str, String)>,
    /// SKUs of which the shops were made to sell more than there is.
    pub contended: Vec<String>,
    /// Counted anew while they were being sold.
    pub recounted: Vec<String>,
    pub outage: Option<Outage>,
    /// (shop, SKU) of what people wrote into a shop: prices, then figures.
    pub drifted: (usize, usize),
    /// (shop, place in the catalogue) of what people deleted there.
    pub deleted: Vec<(&'static str, usize)>,
    /// Webhooks that were dropped before those of the step, and by it.
    pub hooks_before: u64,
    pub hooks_lost: Option<u64>,
    /// What happened to webhooks → how often.
    pub hooks_struck: Option<BTreeMap<String, u64>>,
    /// Fault of the ERP → how often it struck.
    pub struck: Option<BTreeMap<String, u64>>,
    pub sales: Vec<Sale>,
    /// Orders that a shop refused: (shop, why, whether the script wanted that).
    pub refused: Vec<(&'static str, String, bool)>,
    pub parcels: Vec<Parcel>,
    pub titles: Vec<Title>,
    /// Step → connection → writes counted when it began.
    pub begun: BTreeMap<Step, BTreeMap<String, Writes>>,
    /// Writes that the script itself made by the ERP's API.
    pub own_writes: Writes,
}

impl Script {
    /// What the clerks left the price at.
    pub fn price(&self, list: &str, variant: &Variant) -> Decimal {
        let edits = LISTS.iter().find(|known| **known == list);
        let edit = edits.and_then(|known| self.prices.get(&(*known, variant.sku.clone())));
        edit.copied().unwrap_or_else(|| variant.price(list))
    }

    /// What was counted last in a warehouse.
    pub fn counted(&self, warehouse: &str, variant: &Variant) -> i64 {
        let (code, own) =
            if warehouse == WEST { (WEST, variant.west) } else { (MAIN, variant.main) };
        self.stock.get(&(code, variant.sku.clone())).copied().unwrap_or(own)
    }

    /// Units sold in all shops.
    pub fn sold(&self, sku: &str) -> i64 {
        let lines = self.sales.iter().flat_map(|sale| &sale.lines);
        lines.filter(|(of, _)| of == sku).map(|(_, units)| units).sum()
    }
}
