//! What a shop offers, held against what the ERP says: products, variants, prices, stock, titles.
//!
//! Reads   a shop's goods, the ERP's goods, the script.
//! Writes  rows of the verdict.
//! Never   takes a figure from the catalogue where the ERP has one.

use std::collections::{BTreeMap, BTreeSet};

use super::Done;
use super::catalogue::{Catalogue, Template, Variant};
use super::erp;
use super::script::{Script, list_of, warehouses_of};
use super::shop::{Row as Good, Shop};
use super::verdict::{Held, Row};

/// Objects of a shop: a simple product is one, a variable one and each of its variations.
pub fn there(catalogue: &Catalogue, shop: &Shop) -> Done {
    let mut progress = Done { done: 0, total: 0 };
    for template in catalogue.sellable() {
        let found = template.variants.iter().filter(|v| shop.find(&v.sku).is_some()).count();
        let own = usize::from(!template.is_simple());
        progress.total += template.variants.len() + own;
        progress.done += found + if found > 0 { own } else { 0 };
    }
    progress
}

/// What a shop should say that there is: the ERP's forecast at the places it sells from, less
/// what was sold and the ERP does not know of; never below zero.
pub fn figure(shop: &str, forecast: &BTreeMap<String, i64>, unsettled: i64) -> i64 {
    let places = warehouses_of(shop).iter();
    let there: i64 = places.map(|place| forecast.get(*place).copied().unwrap_or(0)).sum();
    (there - unsettled).max(0)
}

pub struct Goods<'a> {
    pub name: &'static str,
    pub catalogue: &'a Catalogue,
    pub script: &'a Script,
    pub shop: &'a Shop,
    pub erp: &'a BTreeMap<String, erp::Variant>,
    /// SKU → units sold and not in the ERP's forecast.
    pub unsettled: &'a BTreeMap<String, i64>,
}

/// The rows of one shop while they are filled.
struct Rows {
    products: Row,
    variants: Row,
    prices: Row,
    stock: Row,
    titles: Row,
}

impl Goods<'_> {
    pub fn judge(&self, held: &mut Vec<Held>) -> Vec<Row> {
        let row = |entity| Row::new(self.name, entity);
        let mut rows = Rows {
            products: row("products"),
            variants: row("variants"),
            prices: row("prices"),
            stock: row("stock"),
            titles: row("titles"),
        };
        let mut seen = BTreeSet::new();
        for (place, template) in self.catalogue.templates.iter().enumerate() {
            match template.held {
                Some(reason) => self.held(template, reason, &mut rows, &mut seen, held),
                None => self.template(place, template, &mut rows, &mut seen),
            }
        }
        let strangers =
            self.shop.rows.values().filter(|good| good.parent == 0 && !seen.contains(&good.id));
        for good in strangers {
            let what = format!("product {} \"{}\"", good.id, good.name);
            rows.products.extra(&what, "nothing", "a product that the ERP does not have");
        }
        vec![rows.products, rows.variants, rows.prices, rows.stock, rows.titles]
    }

    /// A product that no shop can take must not stand there, nor anything in its place.
    fn held(
        &self,
        template: &Template,
        reason: &str,
        rows: &mut Rows,
        seen: &mut BTreeSet<u64>,
        held: &mut Vec<Held>,
    ) {
        let sku = template.variants.first().map_or("", |variant| variant.sku.as_str());
        let holders = self.shop.holders(sku);
        if let Some(good) = holders.first() {
            seen.extend(holders.iter().map(|good| good.id));
            let found = format!("product {} \"{}\"", good.id, good.sku);
            rows.products.wrong(sku, &format!("held: {reason}"), &found);
            return;
        }
        let all = [
            &mut rows.products,
            &mut rows.variants,
            &mut rows.prices,
            &mut rows.stock,
            &mut rows.titles,
        ];
        all.into_iter().for_each(Row::held);
        let (connection, sku, reason) = (self.name.to_owned(), sku.to_owned(), reason.to_owned());
        held.push(Held { connection, sku, reason });
    }

    fn template(
        &self,
        place: usize,
        template: &Template,
        rows: &mut Rows,
        seen: &mut BTreeSet<u64>,
    ) {
        let mut products: BTreeMap<u64, &Good> = BTreeMap::new();
        for variant in &template.variants {
            for holder in self.shop.holders(&variant.sku) {
                if let Some(product) = self.shop.product_of(holder) {
                    products.insert(product.id, product);
                }
            }
            self.variant(variant, rows);
        }
        seen.extend(products.keys());
        let what = &template.english;
        let products: Vec<&Good> = products.into_values().collect();
        let [product] = products.as_slice() else {
            let found = if products.is_empty() {
                "missing".to_owned()
            } else {
                format!("{} of it", products.len())
            };
            rows.products.wrong(what, "one product", &found);
            rows.titles.wrong(what, "a title", &found);
            return;
        };
        rows.products.compare(what, &self.shape(template), &self.shape_of(template, product));
        let sku = template.variants.first().map_or("", |variant| variant.sku.as_str());
        rows.titles.compare(sku, &self.title(place, sku), &product.name);
    }

    fn title(&self, place: usize, sku: &str) -> String {
        let edited = self.script.titles.iter().find(|edit| edit.template == place);
        match (self.name, edited, self.erp.get(sku)) {
            ("us", Some(edit), _) => edit.title.clone(),
            ("us", None, Some(variant)) => variant.english.clone(),
            (_, _, Some(variant)) => variant.german.clone(),
            (_, _, None) => "nothing: the ERP has lost it".to_owned(),
        }
    }

    /// Kind, state, number of variations, options: in words, so that a difference can be read.
    fn shape(&self, template: &Template) -> String {
        if template.is_simple() {
            return "simple, publish".to_owned();
        }
        let mut options: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for variant in template.variants.iter().filter_map(|v| self.erp.get(&v.sku)) {
            for (name, value) in &variant.attributes {
                options.entry(name).or_default().insert(value);
            }
        }
        format!("variable, publish, {} variations, {options:?}", template.variants.len())
    }

    fn shape_of(&self, template: &Template, product: &Good) -> String {
        let kind = format!("{}, {}", product.kind, product.status);
        if template.is_simple() && self.shop.children(product.id) == 0 {
            return kind;
        }
        let options: BTreeMap<&str, BTreeSet<&str>> = product
            .attributes
            .iter()
            .map(|(name, all)| (name.as_str(), all.iter().map(String::as_str).collect()))
            .collect();
        format!("{kind}, {} variations, {options:?}", self.shop.children(product.id))
    }

    fn variant(&self, variant: &Variant, rows: &mut Rows) {
        let sku = variant.sku.as_str();
        let Some(erp) = self.erp.get(sku) else {
            rows.variants.wrong(sku, "a variant in the ERP", "the ERP has lost it");
            return;
        };
        let Some(good) = self.shop.find(sku) else {
            let holders = self.shop.holders(sku);
            let found = match holders.first() {
                None => "missing".to_owned(),
                Some(other) => format!("{} of it, first \"{}\"", holders.len(), other.sku),
            };
            for row in [&mut rows.variants, &mut rows.prices, &mut rows.stock] {
                row.wrong(sku, "one of exactly this SKU", &found);
            }
            return;
        };
        let weight = good.weight.unwrap_or_default();
        let options: BTreeMap<&str, &str> =
            erp.attributes.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let shown: BTreeMap<&str, &str> = good
            .attributes
            .iter()
            .map(|(name, all)| (name.as_str(), all.first().map_or("", String::as_str)))
            .collect();
        let expected =
            format!("{} kg, barcode {:?}, {options:?}", erp.weight.normalize(), erp.barcode);
        let found = format!("{} kg, barcode {:?}, {shown:?}", weight.normalize(), good.barcode);
        rows.variants.compare(sku, &expected, &found);
        let expected = erp.prices.get(list_of(self.name)).map(ToString::to_string);
        let found = good.price.map(|price| price.to_string());
        rows.prices.compare(sku, &shown_or(expected), &shown_or(found));
        let unsettled = self.unsettled.get(sku).copied().unwrap_or(0);
        let expected = figure(self.name, &erp.forecast, unsettled).to_string();
        let found = good.stock.filter(|_| good.manage).map(|stock| stock.to_string());
        rows.stock.compare(sku, &expected, &shown_or(found));
    }
}

fn shown_or(amount: Option<String>) -> String {
    amount.unwrap_or_else(|| "none".to_owned())
}

/// The ERP itself: its prices and titles as its clerks left them, its stock as counted, less
/// what its confirmed orders promise. Who wrote anything else was not asked to.
pub fn untouched(
    catalogue: &Catalogue,
    script: &Script,
    erp: &BTreeMap<String, erp::Variant>,
    promised: &BTreeMap<String, i64>,
) -> Vec<Row> {
    let mut variants = Row::new("erp", "variants");
    let mut prices = Row::new("erp", "prices");
    let mut stock = Row::new("erp", "stock");
    let mut titles = Row::new("erp", "titles");
    let mut known = BTreeSet::new();
    for (place, template) in catalogue.templates.iter().enumerate() {
        let edit = script.titles.iter().find(|edit| edit.template == place);
        let english = edit.and_then(|edit| edit.renamed.as_ref()).unwrap_or(&template.english);
        for (number, variant) in template.variants.iter().enumerate() {
            let sku = variant.sku.as_str();
            known.insert(sku);
            let Some(found) = erp.get(sku) else {
                variants.wrong(sku, "a variant", "missing");
                continue;
            };
            variants.aligned();
            let shown = |list: &str| found.prices.get(list).map(ToString::to_string);
            for list in ["Retail EUR", "Retail USD"] {
                let expected = script.price(list, variant).normalize().to_string();
                prices.compare(sku, &expected, &shown_or(shown(list)));
            }
            let gone = promised.get(sku).copied().unwrap_or(0);
            let expected = format!(
                "{} + {}",
                script.counted("WH", variant) - gone,
                script.counted("WEST", variant)
            );
            let there = |code: &str| found.forecast.get(code).copied().unwrap_or(0);
            stock.compare(sku, &expected, &format!("{} + {}", there("WH"), there("WEST")));
            if number == 0 {
                let expected = format!("{english} | {}", template.german);
                titles.compare(sku, &expected, &format!("{} | {}", found.english, found.german));
            }
        }
    }
    for sku in erp.keys().filter(|sku| !known.contains(sku.as_str())) {
        variants.extra(sku, "nothing", "a variant that no clerk made");
    }
    vec![variants, prices, stock, titles]
}
