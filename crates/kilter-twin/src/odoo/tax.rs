//! Taxes and totals, computed from lines: included or not, rounded globally or per line.
//!
//! Reads   `account.tax`, fiscal positions, lines.
//! Writes  nothing; the caller stores what it gets.
//! Never   takes a total from whoever sent one.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::Value;

use super::store::Db;
use super::value::{self, round};

/// What a line costs.
#[derive(Debug, Clone)]
pub struct Priced {
    pub price: Decimal,
    pub quantity: Decimal,
    pub discount: Decimal,
    pub taxes: Vec<i64>,
}

/// A line before rounding.
#[derive(Debug, Clone)]
struct Raw {
    base: Decimal,
    taxes: Vec<(i64, Decimal)>,
    included: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    pub untaxed: Decimal,
    pub tax: Decimal,
    pub total: Decimal,
}

pub fn is_included(db: &Db, tax: i64) -> bool {
    match db.text("account.tax", tax, "price_include_override").as_str() {
        "tax_included" => true,
        "tax_excluded" => false,
        _ => db.text("res.company", 1, "account_price_include") == "tax_included",
    }
}

fn raw(db: &Db, line: &Priced) -> Raw {
    let hundred = Decimal::ONE_HUNDRED;
    let amount = line.price * line.quantity * (hundred - line.discount) / hundred;
    let (mut rate, mut fixed) = (Decimal::ZERO, Decimal::ZERO);
    for tax in line.taxes.iter().filter(|tax| is_included(db, **tax)) {
        match is_fixed(db, *tax) {
            true => fixed += db.dec("account.tax", *tax, "amount") * line.quantity,
            false => rate += db.dec("account.tax", *tax, "amount"),
        }
    }
    let base = (amount - fixed) * hundred / (hundred + rate);
    let of = |tax: &i64| {
        let share = db.dec("account.tax", *tax, "amount");
        (*tax, if is_fixed(db, *tax) { share * line.quantity } else { base * share / hundred })
    };
    let taxes = line.taxes.iter().map(of).collect();
    Raw { base, taxes, included: line.taxes.iter().any(|tax| is_included(db, *tax)) }
}

fn is_fixed(db: &Db, tax: i64) -> bool {
    db.text("account.tax", tax, "amount_type") == "fixed"
}

fn rounds_per_line(db: &Db) -> bool {
    db.text("res.company", 1, "tax_calculation_rounding_method") == "round_per_line"
}

/// The three amounts that stand on a line.
pub fn line(db: &Db, priced: &Priced) -> Amounts {
    let raw = raw(db, priced);
    let tax: Decimal = raw.taxes.iter().map(|(_, amount)| round(*amount, 2)).sum();
    if rounds_per_line(db) && raw.included {
        let gross: Decimal =
            raw.base + raw.taxes.iter().map(|(_, amount)| *amount).sum::<Decimal>();
        let total = round(gross, 2);
        return Amounts { untaxed: total - tax, tax, total };
    }
    let untaxed = round(raw.base, 2);
    Amounts { untaxed, tax, total: untaxed + tax }
}

/// The totals of a document. Rounded globally, lines with the same taxes are summed first; where
/// the taxes are included it is the gross that is exact, and the base is what remains.
pub fn totals(db: &Db, lines: &[Priced]) -> Amounts {
    let mut sums = Amounts::default();
    if rounds_per_line(db) {
        for priced in lines {
            let amounts = line(db, priced);
            sums.untaxed += amounts.untaxed;
            sums.tax += amounts.tax;
        }
    } else {
        let mut groups: BTreeMap<&[i64], Vec<Raw>> = BTreeMap::new();
        for priced in lines {
            groups.entry(&priced.taxes).or_default().push(raw(db, priced));
        }
        for raws in groups.values() {
            let base: Decimal = raws.iter().map(|raw| raw.base).sum();
            let mut by_tax: BTreeMap<i64, Decimal> = BTreeMap::new();
            for (tax, amount) in raws.iter().flat_map(|raw| &raw.taxes) {
                *by_tax.entry(*tax).or_default() += *amount;
            }
            let tax: Decimal = by_tax.values().map(|amount| round(*amount, 2)).sum();
            let gross = base + by_tax.values().copied().sum::<Decimal>();
            let included = raws.iter().any(|raw| raw.included);
            sums.untaxed += if included { round(gross, 2) - tax } else { round(base, 2) };
            sums.tax += tax;
        }
    }
    sums.total = sums.untaxed + sums.tax;
    sums
}

/// The taxes that a fiscal position puts in the place of the product's.
pub fn mapped(db: &Db, position: i64, taxes: &[i64]) -> Vec<i64> {
    let map = db.get("account.fiscal.position", position, "tax_map");
    let replace = |tax: &i64| match map.get(tax.to_string()) {
        Some(replacement) => value::ids_of(replacement),
        None => vec![*tax],
    };
    let mut mapped: Vec<i64> = taxes.iter().flat_map(replace).collect();
    mapped.sort_unstable();
    mapped.dedup();
    mapped
}

/// A price from a list, stated with `from` taxes, restated for `to`.
pub fn adapted(db: &Db, price: Decimal, from: &[i64], to: &[i64]) -> Decimal {
    if from == to {
        return price;
    }
    let rate = |taxes: &[i64]| -> Decimal {
        let included = taxes.iter().filter(|tax| is_included(db, **tax) && !is_fixed(db, **tax));
        included.map(|tax| db.dec("account.tax", *tax, "amount")).sum()
    };
    let hundred = Decimal::ONE_HUNDRED;
    price * hundred / (hundred + rate(from)) * (hundred + rate(to)) / hundred
}

/// The fiscal position that a partner's country leads to, unless one is set on the partner.
pub fn position_of(db: &Db, partner: i64, shipping: i64) -> Option<i64> {
    let own = db.link("res.partner", partner, "property_account_position_id");
    if own != 0 {
        return Some(own);
    }
    let country = match db.link("res.partner", shipping, "country_id") {
        0 => db.link("res.partner", partner, "country_id"),
        id => id,
    };
    let code = Value::from(db.text("res.country", country, "code"));
    let model = "account.fiscal.position";
    db.ids(model).into_iter().find(|id| {
        let codes = db.get(model, *id, "country_codes");
        country != 0
            && db.is(model, *id, "auto_apply")
            && codes.as_array().is_some_and(|codes| codes.contains(&code))
    })
}
