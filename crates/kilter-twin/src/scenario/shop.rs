//! A shop's goods, in words that all kinds of shop share.
//!
//! Reads   nothing: a platform fills it.
//! Writes  nothing.
//! Never   judges.

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;

/// What a customer sees as one thing.
#[derive(Debug)]
pub struct Product {
    pub id: u64,
    /// Without the shop's escapes.
    pub name: String,
    /// The platform's words for what kind of product it is, and whether it is on sale.
    pub kind: String,
    /// Option → its values, over all variants.
    pub options: BTreeMap<String, Vec<String>>,
    /// 0: it has no variants, and is bought as it is.
    pub variants: usize,
}

/// What can be bought: a variant, or a product without any.
#[derive(Debug)]
pub struct Offer {
    /// Its own id: the product's, where it has no variants.
    pub id: u64,
    pub product: u64,
    pub sku: String,
    pub barcode: String,
    /// Kilograms.
    pub weight: Option<Decimal>,
    pub options: BTreeMap<String, String>,
    /// The shop's price list → price; "" is the price on the product itself.
    pub prices: BTreeMap<String, Decimal>,
    /// The shop's place → what is there; "" where it knows no places. Only what the shop counts.
    pub stock: BTreeMap<String, Decimal>,
}

#[derive(Debug)]
pub struct Shop {
    pub products: BTreeMap<u64, Product>,
    offers: Vec<Offer>,
    by_sku: HashMap<String, Vec<usize>>,
    ignores_case: bool,
}

impl Shop {
    pub fn new(ignores_case: bool) -> Self {
        let (products, offers, by_sku) = (BTreeMap::new(), Vec::new(), HashMap::new());
        Self { products, offers, by_sku, ignores_case }
    }

    fn key(&self, sku: &str) -> String {
        if self.ignores_case { sku.to_lowercase() } else { sku.to_owned() }
    }

    pub fn add(&mut self, offer: Offer) {
        if !offer.sku.is_empty() {
            self.by_sku.entry(self.key(&offer.sku)).or_default().push(self.offers.len());
        }
        self.offers.push(offer);
    }

    /// Whoever has that SKU, as the shop compares SKUs.
    pub fn holders(&self, sku: &str) -> Vec<&Offer> {
        let places = self.by_sku.get(&self.key(sku));
        places.into_iter().flatten().filter_map(|at| self.offers.get(*at)).collect()
    }

    /// The one offer of exactly that SKU.
    pub fn find(&self, sku: &str) -> Option<&Offer> {
        let holders = self.holders(sku);
        holders.first().copied().filter(|offer| holders.len() == 1 && offer.sku == sku)
    }

    /// The product that a customer sees when he looks for that offer.
    pub fn product_of(&self, offer: &Offer) -> Option<&Product> {
        self.products.get(&offer.product)
    }
}
