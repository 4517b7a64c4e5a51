//! What buyers do: 200 orders in three shops, a few of them for the same last units.
//!
//! Reads   the ERP's goods once, to see of what there is enough.
//! Writes  orders, through the shops' checkouts, which refuse what the shop does not have.
//! Never   places two orders of one buyer with the same lines: then content tells them apart.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::catalogue::PENNY_SKU;
use super::clerk::WANTED;
use super::dice::Dice;
use super::office::text;
use super::script::{MAIN, Sale, Step};
use super::shops::{Facts, SHOPS};
use super::words::{AMERICAN_PLACES, AMERICANS, GERMAN_PLACES, GERMANS};
use super::{Did, Error, Stage, erp};

/// A SKU is sold only as long as this many are left.
const RESERVE: i64 = 6;
const NOTE: &str = "Bitte beim Nachbarn abgeben – danke! <3 & \"Grüße\"";

/// Units in a contended order: one in each shop is more than there is, one less is not.
const GREED: i64 = 2;

#[derive(Debug, Clone)]
pub struct Buyer {
    pub first: String,
    pub last: String,
    /// As typed; capitals happen.
    pub email: String,
    pub street: String,
    pub postcode: String,
    pub city: String,
    pub country: &'static str,
}

/// An order before it is placed.
#[derive(Debug, Clone)]
pub struct Basket {
    pub shop: &'static Facts,
    pub buyer: Buyer,
    pub lines: Vec<(String, i64)>,
    /// Something beside goods and their shipping: gift wrap, or a tip.
    pub extra: bool,
    /// Percent off.
    pub coupon: Option<u8>,
    pub note: Option<&'static str>,
}

struct Market {
    dice: Dice,
    /// SKU → units that may still be sold.
    left: BTreeMap<String, i64>,
    skus: Vec<String>,
    buyers: Vec<Buyer>,
    seen: BTreeSet<(String, Vec<(String, i64)>)>,
    /// Orders so far.
    count: usize,
}

impl Stage {
    pub async fn place_orders(&mut self) -> Result<Did, Error> {
        self.begin(Step::Orders).await?;
        let mut market = self.market("orders").await?;
        if self.pace.bad_hour {
            self.erp_leaves().await?;
        }
        let contended = self.script.contended.clone();
        for sku in &contended {
            let lines = vec![(sku.clone(), GREED)];
            let all = SHOPS.each_ref().map(|shop| market.basket(shop, lines.clone()));
            let [first, second, third] = &all;
            let at = self.elapsed_ms();
            let answers: [_; SHOPS.len()] =
                tokio::join!(self.check_out(first), self.check_out(second), self.check_out(third))
                    .into();
            for (basket, answer) in all.into_iter().zip(answers) {
                self.note(basket, answer?, at, false)?;
            }
        }
        let told = tokio::time::Instant::now() + self.pace.tell_within;
        for number in self.script.sales.len()..WANTED.orders {
            if number == WANTED.orders / 2 {
                self.recount().await?;
            }
            let shop = &SHOPS[number % SHOPS.len()];
            let lines = market.lines();
            if lines.is_empty() {
                break;
            }
            let basket = market.basket(shop, lines);
            let at = self.elapsed_ms();
            let answer = self.check_out(&basket).await?;
            self.note(basket, answer, at, false)?;
            tokio::time::sleep(self.pace.between_orders).await;
        }
        // By now each shop must know that nothing is left: who comes late is refused.
        tokio::time::sleep_until(told + self.pace.between_orders).await;
        for sku in &contended {
            for shop in &SHOPS {
                let basket = market.basket(shop, vec![(sku.clone(), 1)]);
                let at = self.elapsed_ms();
                let answer = self.check_out(&basket).await?;
                self.note(basket, answer, at, true)?;
            }
        }
        if self.pace.bad_hour {
            self.erp_returns().await?;
        }
        Ok(self.told())
    }

    /// So many orders more, one after the other, in all shops by turns.
    pub(super) async fn sell_more(&mut self, name: &str, count: usize) -> Result<(), Error> {
        let mut market = self.market(name).await?;
        for number in 0..count {
            let lines = market.lines();
            if lines.is_empty() {
                break;
            }
            let basket = market.basket(&SHOPS[number % SHOPS.len()], lines);
            let at = self.elapsed_ms();
            let answer = self.check_out(&basket).await?;
            self.note(basket, answer, at, false)?;
            tokio::time::sleep(self.pace.between_orders).await;
        }
        Ok(())
    }

    fn told(&self) -> Did {
        let sales = self.script.sales.iter().take(6).map(|sale| {
            let (shop, number, total) = (sale.shop, &sale.number, sale.total);
            format!("{shop} {number}: {total} {}, {} lines", sale.currency, sale.lines.len())
        });
        let refused = self.script.refused.iter().take(2);
        let refused = refused.map(|(shop, why, _)| format!("{shop} refused: {why}"));
        Did { count: self.script.sales.len(), examples: sales.chain(refused).collect() }
    }

    async fn check_out(&self, basket: &Basket) -> Result<(u16, Value), Error> {
        let body = basket.shop.platform.checkout(basket);
        self.office(basket.shop.name).try_post("orders", &body).await
    }

    /// `late`: the script wants the shop to refuse.
    fn note(
        &mut self,
        basket: Basket,
        (status, order): (u16, Value),
        at_ms: u64,
        late: bool,
    ) -> Result<(), Error> {
        if status != 200 {
            let why = text(&order["message"]).to_owned();
            let meant = late && status == 409;
            let sku = basket.lines.first().map_or("", |(sku, _)| sku.as_str());
            self.script.refused.push((basket.shop.name, format!("{sku}: {why}"), meant));
            return Ok(());
        }
        let name = basket.shop.name;
        let placed = basket.shop.platform.placed(&order);
        let placed = placed
            .ok_or_else(|| Error::Unread(format!("{name} answered an order without its id")))?;
        let mut lines = basket.lines;
        lines.sort();
        self.script.sales.push(Sale {
            shop: name,
            id: placed.id,
            number: placed.number,
            email: basket.buyer.email.to_lowercase(),
            lines,
            total: placed.total,
            currency: placed.currency,
            at_ms,
        });
        Ok(())
    }

    /// Of what there is enough, and who buys.
    async fn market(&self, name: &str) -> Result<Market, Error> {
        let variants = erp::variants(&self.erp).await?;
        let mut left = BTreeMap::new();
        for variant in self.catalogue.sellable().flat_map(|template| &template.variants) {
            let found = variants.get(&variant.sku).and_then(|v| v.forecast.get(MAIN)).copied();
            let there = found.unwrap_or(0);
            let free =
                !self.script.contended.contains(&variant.sku) && !self.is_deleted(&variant.sku);
            if there > 2 * RESERVE && free {
                left.insert(variant.sku.clone(), there - RESERVE);
            }
        }
        let mut dice = Dice::new(self.seed, name);
        let buyers = (0..WANTED.orders).map(|number| buyer(number, &mut dice)).collect();
        let mut skus: Vec<String> = left.keys().cloned().collect();
        dice.shuffle(&mut skus);
        // The ugly ones are bought early on.
        skus.sort_by_key(|sku| !sku.starts_with("KLT-") && !sku.starts_with('0'));
        let before = self.script.sales.iter();
        let seen = before.map(|sale| (sale.email.clone(), sale.lines.clone())).collect();
        Ok(Market { dice, left, skus, buyers, seen, count: 0 })
    }
}

impl Market {
    /// One to four lines; now and then the same SKU twice.
    fn lines(&mut self) -> Vec<(String, i64)> {
        let mut lines: Vec<(String, i64)> = Vec::new();
        let wanted = 1 + self.dice.below(4);
        for _ in 0..wanted * 8 {
            if lines.len() >= wanted || self.skus.is_empty() {
                break;
            }
            // Every order begins with the next SKU of the list, so that many are sold.
            let at = if lines.is_empty() { self.count } else { self.dice.below(self.skus.len()) };
            let sku = self.skus[at % self.skus.len()].clone();
            let quantity = self.dice.between(1, 3);
            if lines.iter().any(|(other, _)| *other == sku) || !self.take(&sku, quantity) {
                continue;
            }
            lines.push((sku, quantity));
        }
        if self.dice.one_in(8)
            && let Some((sku, _)) = lines.first().cloned()
            && self.take(&sku, 1)
        {
            lines.push((sku, 1));
        }
        lines
    }

    fn take(&mut self, sku: &str, quantity: i64) -> bool {
        let Some(left) = self.left.get_mut(sku).filter(|left| **left >= quantity) else {
            return false;
        };
        *left -= quantity;
        true
    }

    /// Nobody buys the same twice; a few buy again, and some of those in another shop.
    fn basket(&mut self, shop: &'static Facts, lines: Vec<(String, i64)>) -> Basket {
        self.count += 1;
        let mut number = if self.dice.one_in(12) { self.count / 2 } else { self.count };
        let mut key = lines.clone();
        key.sort();
        let buyer = loop {
            let buyer = self.buyers[number % self.buyers.len()].clone();
            if self.seen.insert((buyer.email.to_lowercase(), key.clone())) {
                break buyer;
            }
            number += 1;
        };
        let extra = self.dice.one_in(6);
        let penny = lines.iter().any(|(sku, _)| sku == PENNY_SKU);
        let coupon = self.dice.one_in(6) && !penny;
        let coupon = coupon.then(|| [5, 10, 15][self.dice.below(3)]);
        let note = self.dice.one_in(9).then_some(NOTE);
        Basket { shop, buyer, lines, extra, coupon, note }
    }
}

fn buyer(number: usize, dice: &mut Dice) -> Buyer {
    let german = number.is_multiple_of(2);
    let (people, places) =
        if german { (GERMANS, GERMAN_PLACES) } else { (AMERICANS, AMERICAN_PLACES) };
    let (first, last) = dice.pick(people);
    let (street, postcode, city) = dice.pick(places);
    let host = if german { "example.org" } else { "example.com" };
    let plain: String = first.chars().filter(char::is_ascii_alphabetic).collect();
    let name = if dice.one_in(5) { plain } else { plain.to_lowercase() };
    Buyer {
        first: (*first).to_owned(),
        last: (*last).to_owned(),
        email: format!("{name}.{number}@{host}"),
        street: (*street).to_owned(),
        postcode: (*postcode).to_owned(),
        city: (*city).to_owned(),
        country: if german { "DE" } else { "US" },
    }
}
