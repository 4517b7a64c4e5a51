//! A shop's goods as its twin holds them.
//!
//! Reads   the twin's brief listing.
//! Writes  nothing.
//! Never   judges.

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;
use serde_json::Value;

use super::office::{decimal, items, text};

#[derive(Debug)]
pub struct Row {
    pub id: u64,
    /// 0: no variation.
    pub parent: u64,
    pub kind: String,
    pub sku: String,
    pub barcode: String,
    pub manage: bool,
    pub stock: Option<Decimal>,
    /// Without the shop's escapes.
    pub name: String,
    pub status: String,
    pub price: Option<Decimal>,
    pub weight: Option<Decimal>,
    /// A variation's attribute → its option; a product's attribute → its options.
    pub attributes: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default)]
pub struct Shop {
    pub rows: BTreeMap<u64, Row>,
    by_sku: HashMap<String, Vec<u64>>,
    children: HashMap<u64, Vec<u64>>,
}

impl Shop {
    pub fn read(brief: &Value) -> Self {
        let mut shop = Self::default();
        for row in items(brief).map(Row::read) {
            if row.parent > 0 {
                shop.children.entry(row.parent).or_default().push(row.id);
            }
            if !row.sku.is_empty() {
                shop.by_sku.entry(row.sku.to_lowercase()).or_default().push(row.id);
            }
            shop.rows.insert(row.id, row);
        }
        shop
    }

    /// Whoever has that SKU, as the shop compares SKUs.
    pub fn holders(&self, sku: &str) -> Vec<&Row> {
        let ids = self.by_sku.get(&sku.to_lowercase());
        ids.into_iter().flatten().filter_map(|id| self.rows.get(id)).collect()
    }

    /// The one row of exactly that SKU.
    pub fn find(&self, sku: &str) -> Option<&Row> {
        let holders = self.holders(sku);
        holders.first().copied().filter(|row| holders.len() == 1 && row.sku == sku)
    }

    pub fn children(&self, parent: u64) -> usize {
        self.children.get(&parent).map_or(0, Vec::len)
    }

    /// The product that a customer sees when he looks for that SKU.
    pub fn product_of(&self, row: &Row) -> Option<&Row> {
        self.rows.get(if row.parent > 0 { &row.parent } else { &row.id })
    }
}

impl Row {
    fn read(value: &Value) -> Self {
        let own = |name: &str| text(&value[name]).to_owned();
        let mut attributes = BTreeMap::new();
        for attribute in items(&value["attributes"]) {
            let one = attribute["option"].as_str();
            let options: Vec<String> = match one {
                Some(option) => vec![unescape(option)],
                None => items(&attribute["options"]).map(|option| unescape(text(option))).collect(),
            };
            attributes.insert(unescape(text(&attribute["name"])), options);
        }
        Self {
            id: value["id"].as_u64().unwrap_or(0),
            parent: value["parent"].as_u64().unwrap_or(0),
            kind: own("type"),
            sku: own("sku"),
            barcode: own("gtin"),
            manage: value["manage"].as_bool().unwrap_or(false),
            stock: decimal(&value["stock"]),
            name: unescape(text(&value["name"])),
            status: own("status"),
            price: decimal(&value["price"]),
            weight: decimal(&value["weight"]),
            attributes,
        }
    }
}

/// The five escapes that a shop writes into a text.
pub fn unescape(text: &str) -> String {
    let escapes = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#039;", "'"), ("&amp;", "&")];
    escapes.iter().fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}
