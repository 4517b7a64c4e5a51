//! Money: decimals with their currency, in the shop's and in the buyer's.
//!
//! Reads   nothing.
//! Writes  nothing.
//! Never   uses binary fractions.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use super::settings::Settings;

pub fn round(value: Decimal, places: u32) -> Decimal {
    value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
}

/// `"12.90"`: as many decimals as the currency has, two at least where it has any.
pub fn text(value: Decimal, currency: &str) -> String {
    let places = Settings::places(currency);
    let mut value = round(value, places);
    value.rescale(places);
    if value.is_zero() { value.abs().to_string() } else { value.to_string() }
}

/// A `MoneyV2`: GraphQL shows `"12.9"`, at least one decimal.
pub fn v2(value: Decimal, currency: &str) -> Value {
    let mut amount = round(value, Settings::places(currency)).normalize();
    if amount.scale() == 0 {
        amount.rescale(1);
    }
    let amount = if amount.is_zero() { "0.0".to_owned() } else { amount.to_string() };
    json!({ "amount": amount, "currencyCode": currency })
}

/// Two currencies and how many of the second one unit of the first is.
#[derive(Debug, Clone)]
pub struct Pair {
    pub shop: String,
    pub presentment: String,
    pub rate: Decimal,
}

impl Pair {
    pub fn bag(&self, shop: Decimal) -> Value {
        self.both(shop, shop * self.rate)
    }

    pub fn both(&self, shop: Decimal, presentment: Decimal) -> Value {
        json!({
            "shopMoney": v2(shop, &self.shop),
            "presentmentMoney": v2(presentment, &self.presentment),
        })
    }
}

/// A number of a body, as text or as a number.
pub fn given(value: Option<&Value>) -> Option<Decimal> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => {
            let text = number.to_string();
            text.parse().ok().or_else(|| Decimal::from_scientific(&text).ok())
        }
        _ => None,
    }
}

/// The amount of a `MoneyV2`.
pub fn amount(money: &Value) -> Decimal {
    given(money.get("amount")).unwrap_or_default()
}

/// The shop's side of a `MoneyBag`.
pub fn of_bag(bag: &Value) -> Decimal {
    amount(&bag["shopMoney"])
}
