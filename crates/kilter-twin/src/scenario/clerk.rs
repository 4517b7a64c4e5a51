//! What clerks and editors do: prices, counts, parcels, titles; and how much of it has arrived.
//!
//! Reads   the twins' own state.
//! Writes  through the back offices, as a person would; notes it in the script.
//! Never   waits for Kilter: who calls the steps asks `arrived` in between.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::catalogue::{Catalogue, PENNY_SKU, Variant, cents};
use super::dice::Dice;
use super::paper::Ledger;
use super::script::{LISTS, MAIN, Parcel, RETAIL_USD, Script, Step, Title, WEST};
use super::shop::Shop;
use super::shops::{EDITOR, Facts, SHOPS, ShopOrder, facts};
use super::{Did, ERP_KEY, Error, Stage, erp, goods};

/// How much of everything the script wants.
pub struct Wanted {
    pub prices: usize,
    pub stock: usize,
    pub orders: usize,
    pub parcels: usize,
    pub titles: usize,
    /// SKUs that all shops are made to sell out at once.
    pub contended: usize,
    /// Of the edited titles, those that the ERP renames as well.
    pub renamed: usize,
}

pub const WANTED: Wanted = Wanted {
    prices: 100,
    stock: 300,
    orders: 200,
    parcels: 50,
    titles: 20,
    contended: 3,
    renamed: 5,
};

/// What is left of a contended SKU, in one warehouse.
const LAST_UNITS: i64 = 5;

impl Did {
    pub(super) fn new(count: usize, mut examples: Vec<String>) -> Self {
        examples.truncate(8);
        Self { count, examples }
    }
}

impl Stage {
    /// As many changes in each price list: each reaches the shops that show it, and no other.
    pub async fn change_prices(&mut self) -> Result<Did, Error> {
        self.begin(Step::Prices).await?;
        let mut dice = Dice::new(self.seed, "prices");
        let mut wanted = Vec::new();
        for (at, list) in LISTS.into_iter().enumerate() {
            let share = (WANTED.prices + at) / LISTS.len();
            let variants = drawn(&self.catalogue, &mut dice, share);
            wanted.extend(variants.into_iter().map(|variant| (list, variant)));
        }
        let said = self.reprice(&wanted, &mut dice).await?;
        self.script.price_step = wanted.into_iter().map(|(list, v)| (list, v.sku)).collect();
        Ok(Did::new(said.len(), said))
    }

    pub(super) async fn reprice(
        &mut self,
        wanted: &[(&'static str, Variant)],
        dice: &mut Dice,
    ) -> Result<Vec<String>, Error> {
        let (mut edits, mut said) = (Vec::new(), Vec::new());
        for (list, variant) in wanted {
            let old = self.script.price(list, variant);
            let change = cents(dice.between(1, 400));
            let cheaper = old > change + Decimal::ONE && dice.one_in(2);
            let new = if cheaper { old - change } else { old + change };
            edits.push(json!({ "sku": variant.sku, "list": list, "price": new.to_string() }));
            said.push(format!("{}: {list} {old} → {new}", variant.sku));
            self.script.prices.insert((*list, variant.sku.clone()), new);
        }
        self.erp.post("prices", &Value::Array(edits)).await?;
        Ok(said)
    }

    /// Counts in both warehouses; of a few SKUs hardly anything is left.
    pub async fn change_stock(&mut self) -> Result<Did, Error> {
        self.begin(Step::Stock).await?;
        let mut dice = Dice::new(self.seed, "stock");
        let mut counts: Vec<(&'static str, Variant, i64)> = Vec::new();
        let in_west = WANTED.stock / 3;
        let in_main = WANTED.stock - in_west;
        let drawn_main = drawn(&self.catalogue, &mut dice, in_main);
        let scarce: Vec<Variant> = drawn_main.iter().take(WANTED.contended).cloned().collect();
        for (at, variant) in drawn_main.into_iter().enumerate() {
            let old = self.script.counted(MAIN, &variant);
            let new = if at < scarce.len() { LAST_UNITS } else { another(&mut dice, old, 150) };
            counts.push((MAIN, variant, new));
        }
        let is_scarce = |variant: &Variant| scarce.iter().any(|other| other.sku == variant.sku);
        counts.extend(scarce.iter().map(|variant| (WEST, variant.clone(), 0)));
        let elsewhere = drawn(&self.catalogue, &mut dice, in_west + scarce.len());
        let elsewhere = elsewhere.into_iter().filter(|variant| !is_scarce(variant));
        for variant in elsewhere.take(in_west - scarce.len()) {
            let new = another(&mut dice, self.script.counted(WEST, &variant), 60);
            counts.push((WEST, variant, new));
        }
        let (mut edits, mut said) = (Vec::new(), Vec::new());
        for (place, variant, new) in counts {
            let old = self.script.counted(place, &variant);
            edits.push(json!({ "sku": variant.sku, "warehouse": place, "quantity": new }));
            said.push(format!("{}: {place} {old} → {new}", variant.sku));
            self.script.stock_step.push((place, variant.sku.clone()));
            self.script.stock.insert((place, variant.sku), new);
        }
        self.script.contended = scarce.into_iter().map(|variant| variant.sku).collect();
        self.erp.post("stock", &Value::Array(edits)).await?;
        Ok(Did::new(said.len(), said))
    }

    /// The ERP's warehouse packs what arrived, each order in one parcel.
    pub async fn ship_orders(&mut self) -> Result<Did, Error> {
        self.begin(Step::Ship).await?;
        let orders = erp::orders(&self.erp).await?;
        let ledger = Ledger::new(&self.script, &orders);
        let scarce = |sku: &String| self.script.contended.contains(sku);
        let mut ready: Vec<usize> = (0..self.script.sales.len())
            .filter(|at| !self.script.sales[*at].lines.iter().any(|(sku, _)| scarce(sku)))
            .filter(|at| ledger.confirmed(*at).is_some_and(|order| order.delivery != "full"))
            .collect();
        Dice::new(self.seed, "parcels").shuffle(&mut ready);
        let (mut edits, mut said, mut parcels) = (Vec::new(), Vec::new(), Vec::new());
        for at in ready.into_iter().take(WANTED.parcels) {
            let (sale, Some(order)) = (&self.script.sales[at], ledger.confirmed(at)) else {
                continue;
            };
            let german = facts(sale.shop).is_some_and(Facts::german);
            let carrier = if german { "DHL" } else { "UPS" };
            let tracking = format!("{carrier}{:06}-{}", self.seed % 1_000_000, parcels.len() + 1);
            edits.push(json!({ "order_id": order.id, "tracking": tracking, "carrier": carrier }));
            said.push(format!("{} ({} {}): {tracking}", order.name, sale.shop, sale.number));
            parcels.push(Parcel { shop: sale.shop, order: sale.id, carrier, tracking });
        }
        self.erp.post("ship", &Value::Array(edits)).await?;
        self.script.parcels = parcels;
        Ok(Did::new(said.len(), said))
    }

    /// Editors of the shop that owns them give titles; the ERP renames a few of the same products, and
    /// changes a price of each: whoever writes that price must leave the title alone.
    pub async fn edit_titles(&mut self) -> Result<Did, Error> {
        self.begin(Step::Titles).await?;
        let mut dice = Dice::new(self.seed, "titles");
        let Some(editor) = facts(EDITOR) else {
            return Err(Error::Unread(format!("there is no shop {EDITOR}")));
        };
        let shop = self.shop(editor).await?;
        let mut places: Vec<usize> = (0..self.catalogue.templates.len())
            .filter(|at| self.catalogue.templates[*at].clash.is_none())
            .collect();
        dice.shuffle(&mut places);
        let (mut said, mut priced) = (Vec::new(), Vec::new());
        for place in places {
            if self.script.titles.len() == WANTED.titles {
                break;
            }
            let template = &self.catalogue.templates[place];
            let Some(variant) = template.variants.first().cloned() else { continue };
            let good = shop.find(&variant.sku).and_then(|good| shop.product_of(good));
            let Some(good) = good else { continue };
            let old = template.english.clone();
            let title = match self.script.titles.len() % 3 {
                0 => format!("{old} – Editor's Pick"),
                1 => format!("{old} & Friends"),
                _ => format!("The \"{old}\""),
            };
            let page = format!("products/{}", good.id);
            self.office(EDITOR).post(&page, &json!({ "name": title })).await?;
            said.push(format!("{old} → {title}"));
            self.script.titles.push(Title { template: place, title, renamed: None });
            if self.script.titles.len() <= WANTED.renamed {
                self.rename(&variant.sku, &old).await?;
            }
            priced.push((RETAIL_USD, variant));
        }
        self.reprice(&priced, &mut dice).await?;
        self.script.title_prices = priced.into_iter().map(|(list, v)| (list, v.sku)).collect();
        Ok(Did::new(said.len(), said))
    }

    /// A clerk of the ERP gives the newest edited product another English name there.
    async fn rename(&mut self, sku: &str, old: &str) -> Result<(), Error> {
        let name = format!("{old} (new)");
        let model = "product.product";
        let domain = json!([["default_code", "=", sku]]);
        let body = json!({ "domain": domain, "fields": ["product_tmpl_id"], "limit": 1 });
        let found = self.erp.call(ERP_KEY, &format!("{model}/search_read"), &body).await?;
        let template = &found[0]["product_tmpl_id"][0];
        let route = "product.template/write";
        let context = json!({ "lang": "en_US" });
        let body = json!({ "ids": [template], "vals": { "name": name }, "context": context });
        self.erp.call(ERP_KEY, route, &body).await?;
        *self.script.own_writes.entry(route.to_owned()).or_default() += 1;
        if let Some(edit) = self.script.titles.last_mut() {
            edit.renamed = Some(name);
        }
        Ok(())
    }

    /// How far a step's effect has come: (arrived, expected), from the twins' own state.
    pub async fn arrived(&self, step: Step) -> Result<(usize, usize), Error> {
        if step == Step::Orders {
            let orders = erp::orders(&self.erp).await?;
            let ledger = Ledger::new(&self.script, &orders);
            return Ok((ledger.confirmed_count(), self.script.sales.len()));
        }
        if step > Step::Titles {
            return self.rough_arrived(step).await;
        }
        let mut sum = (0, 0);
        for facts in &SHOPS {
            let (arrived, expected) = match step {
                Step::Ship => {
                    let page = self.office(facts.name).get("orders").await?;
                    shipped(facts, &self.script, &facts.platform.orders(&page))
                }
                _ => self.goods_arrived(step, facts, &self.shop(facts).await?),
            };
            sum = (sum.0 + arrived, sum.1 + expected);
        }
        Ok(sum)
    }

    fn goods_arrived(&self, step: Step, facts: &Facts, shop: &Shop) -> (usize, usize) {
        let script = &self.script;
        let priced = |(list, sku): &(&'static str, String)| {
            let price = script.prices.get(&(*list, sku.clone())).map(|price| price.normalize());
            let own = facts.list(list).and_then(|own| shop.find(sku)?.prices.get(own).copied());
            price.is_some() && own == price
        };
        match step {
            Step::Prices => {
                let edits = script.price_step.iter();
                let here = edits.filter(|(list, _)| facts.list(list).is_some());
                (here.clone().filter(|edit| priced(edit)).count(), here.count())
            }
            Step::Titles if !facts.german() => {
                let edits = script.titles.iter().zip(&script.title_prices);
                let stays = |(edit, price): &(&Title, &(&'static str, String))| {
                    let good = shop.find(&price.1).and_then(|good| shop.product_of(good));
                    priced(price) && good.is_some_and(|good| good.name == edit.title)
                };
                (edits.clone().filter(stays).count(), edits.count())
            }
            Step::Stock => self.stock_arrived(facts, shop),
            Step::Load => {
                let there = goods::there(&self.catalogue, facts, shop);
                (there.done, there.total)
            }
            _ => (0, 0),
        }
    }

    /// SKUs that were counted anew and of which every figure of the shop says so.
    fn stock_arrived(&self, facts: &Facts, shop: &Shop) -> (usize, usize) {
        let script = &self.script;
        let here = script.stock_step.iter().filter(|(place, _)| facts.sells_from(place));
        let skus: BTreeSet<&str> = here.map(|(_, sku)| sku.as_str()).collect();
        let all = self.catalogue.variants().filter(|(_, v)| skus.contains(v.sku.as_str()));
        let counted = all.filter(|(_, variant)| {
            let there = [MAIN, WEST].map(|p| (p.to_owned(), script.counted(p, variant))).into();
            let sold = script.sold(&variant.sku);
            facts.figures.iter().all(|(place, warehouses)| {
                let figure = Decimal::from(facts.figure(warehouses, &there, sold));
                shop.find(&variant.sku).and_then(|good| good.stock.get(*place)) == Some(&figure)
            })
        });
        (counted.count(), skus.len())
    }
}

fn shipped(facts: &Facts, script: &Script, shop: &[ShopOrder]) -> (usize, usize) {
    let here: Vec<&Parcel> = script.parcels.iter().filter(|p| p.shop == facts.name).collect();
    let mut arrived = 0;
    for order in shop.iter().filter(|order| order.state == "shipped") {
        let Some(parcel) = here.iter().find(|p| p.order == order.id) else { continue };
        let expected = format!("{} {}", parcel.carrier, parcel.tracking);
        arrived += usize::from(order.parcels == [expected]);
    }
    (arrived, here.len())
}

/// Different variants that the shops can take; the price of a cent is left alone.
pub(super) fn drawn(catalogue: &Catalogue, dice: &mut Dice, count: usize) -> Vec<Variant> {
    let variants = catalogue.sellable().flat_map(|template| &template.variants);
    let mut all: Vec<&Variant> = variants.filter(|variant| variant.sku != PENNY_SKU).collect();
    dice.shuffle(&mut all);
    all.into_iter().take(count).cloned().collect()
}

/// Another quantity than before; sometimes none.
pub(super) fn another(dice: &mut Dice, old: i64, most: i64) -> i64 {
    let new = if dice.one_in(10) { 0 } else { dice.between(4, most) };
    if new == old { new + 1 } else { new }
}
