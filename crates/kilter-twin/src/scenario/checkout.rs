//! What buyers do: 200 orders in two shops, a few of them for the same last units.
//!
//! Reads   the ERP's goods once, to see of what there is enough.
//! Writes  orders, through the shops' checkouts, which refuse what the shop does not have.
//! Never   places two orders of one buyer with the same lines: then content tells them apart.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::catalogue::PENNY_SKU;
use super::clerk::WANTED;
use super::dice::Dice;
use super::office::{decimal, text};
use super::script::{MAIN, SHOPS, Sale, Step};
use super::words::{AMERICAN_PLACES, AMERICANS, GERMAN_PLACES, GERMANS};
use super::{Did, Error, Stage, erp};

/// A SKU is sold only as long as this many are left.
const RESERVE: i64 = 6;
/// Units in a contended order: two of them are more than there is.
const GREED: i64 = 3;

#[derive(Debug, Clone)]
struct Buyer {
    first: String,
    last: String,
    /// As typed; capitals happen.
    email: String,
    street: String,
    postcode: String,
    city: String,
    country: &'static str,
}

/// An order before it is placed.
#[derive(Debug, Clone)]
struct Basket {
    shop: &'static str,
    buyer: Buyer,
    lines: Vec<(String, i64)>,
    body: Value,
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
        let mut market = self.market().await?;
        if self.pace.bad_hour {
            self.erp_leaves().await?;
        }
        let contended = self.script.contended.clone();
        for sku in &contended {
            let lines = vec![(sku.clone(), GREED)];
            let both = SHOPS.map(|shop| market.basket(shop, lines.clone()));
            let [de, us] = both;
            let at = self.elapsed_ms();
            let (first, second) = tokio::join!(self.check_out(&de), self.check_out(&us));
            self.note(de, first?, at, false)?;
            self.note(us, second?, at, false)?;
        }
        let told = tokio::time::Instant::now() + self.pace.tell_within;
        for number in self.script.sales.len()..WANTED.orders {
            if number == WANTED.orders / 2 {
                self.recount().await?;
            }
            let shop = SHOPS[number % SHOPS.len()];
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
            for shop in SHOPS {
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

    fn told(&self) -> Did {
        let sales = self.script.sales.iter().take(6).map(|sale| {
            let (shop, id, total) = (sale.shop, sale.id, sale.total);
            format!("{shop} {id}: {total} {}, {} lines", sale.currency, sale.lines.len())
        });
        let refused = self.script.refused.iter().take(2);
        let refused = refused.map(|(shop, why, _)| format!("{shop} refused: {why}"));
        Did { count: self.script.sales.len(), examples: sales.chain(refused).collect() }
    }

    async fn check_out(&self, basket: &Basket) -> Result<(u16, Value), Error> {
        self.office(basket.shop).try_post("orders", &basket.body).await
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
            self.script.refused.push((basket.shop, format!("{sku}: {why}"), meant));
            return Ok(());
        }
        let unread = || Error::Unread(format!("{} answered an order without its id", basket.shop));
        let id = order["id"].as_u64().ok_or_else(unread)?;
        let mut lines = basket.lines;
        lines.sort();
        self.script.sales.push(Sale {
            shop: basket.shop,
            id,
            email: basket.buyer.email.to_lowercase(),
            lines,
            total: decimal(&order["total"]).ok_or_else(unread)?,
            currency: text(&order["currency"]).to_owned(),
            at_ms,
        });
        Ok(())
    }

    /// Of what there is enough, and who buys.
    async fn market(&self) -> Result<Market, Error> {
        let variants = erp::variants(&self.erp).await?;
        let mut left = BTreeMap::new();
        for variant in self.catalogue.sellable().flat_map(|template| &template.variants) {
            let found = variants.get(&variant.sku).and_then(|v| v.forecast.get(MAIN)).copied();
            let there = found.unwrap_or(0);
            if there > 2 * RESERVE && !self.script.contended.contains(&variant.sku) {
                left.insert(variant.sku.clone(), there - RESERVE);
            }
        }
        let mut dice = Dice::new(self.seed, "orders");
        let buyers = (0..WANTED.orders).map(|number| buyer(number, &mut dice)).collect();
        let mut skus: Vec<String> = left.keys().cloned().collect();
        dice.shuffle(&mut skus);
        // The ugly ones are bought early on.
        skus.sort_by_key(|sku| !sku.starts_with("KLT-") && !sku.starts_with('0'));
        Ok(Market { dice, left, skus, buyers, seen: BTreeSet::new(), count: 0 })
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

    /// Nobody buys the same twice; a few buy again, and some of those in the other shop.
    fn basket(&mut self, shop: &'static str, lines: Vec<(String, i64)>) -> Basket {
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
        let body = self.body(shop, &buyer, &lines);
        Basket { shop, buyer, lines, body }
    }

    fn body(&mut self, shop: &str, buyer: &Buyer, lines: &[(String, i64)]) -> Value {
        let german = shop == "de";
        let items: Vec<Value> = lines
            .iter()
            .map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity }))
            .collect();
        let address = json!({
            "first_name": buyer.first, "last_name": buyer.last, "address_1": buyer.street,
            "postcode": buyer.postcode, "city": buyer.city, "country": buyer.country,
        });
        let mut billing = address.clone();
        billing["email"] = json!(buyer.email);
        billing["phone"] = json!("+49 30 901820");
        let (title, cost) = if german { ("Versand", "4.12") } else { ("Flat rate", "6.50") };
        let mut body = json!({
            "lines": items, "billing": billing, "shipping": address, "status": "processing",
            "check_stock": true, "payment_method": "stripe",
            "payment_method_title": if german { "Kreditkarte" } else { "Credit card" },
            "shipping_lines": [{ "method_id": "flat_rate", "method_title": title, "total": cost }],
        });
        if self.dice.one_in(6) {
            let (name, cost) =
                if german { ("Geschenkpapier", "2.51") } else { ("Gift wrap & card", "3.00") };
            body["fee_lines"] = json!([{ "name": name, "total": cost }]);
        }
        let penny = lines.iter().any(|(sku, _)| sku == PENNY_SKU);
        if self.dice.one_in(6) && !penny {
            body["coupon_percent"] = json!([5, 10, 15][self.dice.below(3)]);
        }
        if self.dice.one_in(9) {
            body["customer_note"] = json!("Bitte beim Nachbarn abgeben – danke! <3 & \"Grüße\"");
        }
        body
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
