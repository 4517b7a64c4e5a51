//! What a shop offers, held against what the ERP says: products, variants, prices, stock, titles.
//!
//! Reads   a shop's goods, the ERP's goods, the script.
//! Writes  rows of the verdict.
//! Never   takes a figure from the catalogue where the ERP has one.

use std::collections::{BTreeMap, BTreeSet};

use super::Done;
use super::catalogue::{Catalogue, Template, Variant};
use super::erp;
use super::script::{LISTS, Script};
use super::shop::{Offer, Product, Shop};
use super::shops::Facts;
use super::verdict::{Held, Row};

/// Objects of a shop: a simple product is one, a variable one and each of its variations.
pub fn there(catalogue: &Catalogue, facts: &Facts, shop: &Shop) -> Done {
    let mut progress = Done { done: 0, total: 0 };
    for template in facts.offered(catalogue) {
        let found = template.variants.iter().filter(|v| shop.find(&v.sku).is_some()).count();
        let own = usize::from(!template.is_simple());
        progress.total += template.variants.len() + own;
        progress.done += found + if found > 0 { own } else { 0 };
    }
    progress
}

/// Why what people deleted is not there.
pub const DELETED: &str = "a person deleted it here: whether it is made again is asked";

pub struct Goods<'a> {
    pub facts: &'static Facts,
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
        let row = |entity| Row::new(self.facts.name, entity);
        let mut rows = Rows {
            products: row("products"),
            variants: row("variants"),
            prices: row("prices"),
            stock: row("stock"),
            titles: row("titles"),
        };
        let mut seen = BTreeSet::new();
        for (place, template) in self.catalogue.templates.iter().enumerate() {
            let deleted = self.script.deleted.contains(&(self.facts.name, place));
            let reason = if deleted { Some(DELETED) } else { self.facts.refuses(template) };
            match reason {
                Some(reason) => self.held(template, reason, &mut rows, &mut seen, held),
                None => self.template(place, template, &mut rows, &mut seen),
            }
        }
        let all = self.shop.products.values();
        for good in all.filter(|good| !seen.contains(&good.id)) {
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
        let holders: Vec<&Offer> =
            template.variants.iter().flat_map(|variant| self.shop.holders(&variant.sku)).collect();
        if let Some(good) = holders.first() {
            seen.extend(holders.iter().map(|good| good.product));
            let found = format!("product {} \"{}\"", good.product, good.sku);
            rows.products.wrong(sku, &format!("held: {reason}"), &found);
            return;
        }
        rows.products.held();
        rows.titles.held();
        for _ in &template.variants {
            rows.variants.held();
            self.facts.lists.iter().for_each(|_| rows.prices.held());
            self.facts.figures.iter().for_each(|_| rows.stock.held());
        }
        let (connection, sku, reason) =
            (self.facts.name.to_owned(), sku.to_owned(), reason.to_owned());
        held.push(Held { connection, sku, reason });
    }

    fn template(
        &self,
        place: usize,
        template: &Template,
        rows: &mut Rows,
        seen: &mut BTreeSet<u64>,
    ) {
        let mut products: BTreeMap<u64, &Product> = BTreeMap::new();
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
        let products: Vec<&Product> = products.into_values().collect();
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

    /// English titles are the editors' of one shop, wherever they are shown.
    fn title(&self, place: usize, sku: &str) -> String {
        let edited = self.script.titles.iter().find(|edit| edit.template == place);
        match (self.facts.german(), edited, self.erp.get(sku)) {
            (false, Some(edit), _) => edit.title.clone(),
            (false, None, Some(variant)) => variant.english.clone(),
            (true, _, Some(variant)) => variant.german.clone(),
            (_, _, None) => "nothing: the ERP has lost it".to_owned(),
        }
    }

    /// Kind, state, number of variations, options: in words, so that a difference can be read.
    fn shape(&self, template: &Template) -> String {
        let kind = self.facts.platform.kind(template.is_simple());
        if template.is_simple() {
            return kind.to_owned();
        }
        let mut options: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for variant in template.variants.iter().filter_map(|v| self.erp.get(&v.sku)) {
            for (name, value) in &variant.attributes {
                options.entry(name).or_default().insert(value);
            }
        }
        format!("{kind}, {} variations, {options:?}", template.variants.len())
    }

    fn shape_of(&self, template: &Template, product: &Product) -> String {
        let kind = &product.kind;
        if template.is_simple() && product.variants == 0 {
            return kind.clone();
        }
        let options: BTreeMap<&str, BTreeSet<&str>> = product
            .options
            .iter()
            .map(|(name, all)| (name.as_str(), all.iter().map(String::as_str).collect()))
            .collect();
        format!("{kind}, {} variations, {options:?}", product.variants)
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
            rows.variants.wrong(sku, "one of exactly this SKU", &found);
            self.facts.lists.iter().for_each(|_| rows.prices.wrong(sku, "a price", &found));
            self.facts.figures.iter().for_each(|_| rows.stock.wrong(sku, "a figure", &found));
            return;
        };
        let weight = good.weight.unwrap_or_default();
        let options: BTreeMap<&str, &str> =
            erp.attributes.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let shown: BTreeMap<&str, &str> =
            good.options.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let expected =
            format!("{} kg, barcode {:?}, {options:?}", erp.weight.normalize(), erp.barcode);
        let found = format!("{} kg, barcode {:?}, {shown:?}", weight.normalize(), good.barcode);
        rows.variants.compare(sku, &expected, &found);
        self.figures(sku, erp, good, rows);
    }

    /// Each list's price and each place's figure that the shop shows.
    fn figures(&self, sku: &str, erp: &erp::Variant, good: &Offer, rows: &mut Rows) {
        for (list, own) in self.facts.lists {
            let expected = erp.prices.get(*list).map(ToString::to_string);
            let found = good.prices.get(*own).map(ToString::to_string);
            let what = named(sku, own);
            rows.prices.compare(&what, &shown_or(expected), &shown_or(found));
        }
        let unsettled = self.unsettled.get(sku).copied().unwrap_or(0);
        for (place, warehouses) in self.facts.figures {
            let expected = self.facts.figure(warehouses, &erp.forecast, unsettled).to_string();
            let found = good.stock.get(*place).map(ToString::to_string);
            rows.stock.compare(&named(sku, place), &expected, &shown_or(found));
        }
    }
}

fn named(sku: &str, of: &str) -> String {
    if of.is_empty() { sku.to_owned() } else { format!("{sku} in {of}") }
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
            for list in LISTS {
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
