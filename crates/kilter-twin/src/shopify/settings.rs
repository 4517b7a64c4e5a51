//! The settings of the shop: what a test may choose, each with a default.
//!
//! Reads   `Options.settings`.
//! Writes  nothing.
//! Never   accepts an unknown name or a value it cannot read: both are an error at the start.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::Error;

/// Every setting by name with its default, in the order of the help text.
pub const KNOWN: &[(&str, &str)] = &[
    ("shop", "twin"),
    ("currency", "USD"),
    ("plan", "standard"),
    ("locations", "main"),
    ("price_lists", ""),
    ("tax_rate", "0"),
    ("taxes_included", "false"),
    ("timezone", "0"),
    ("client_id", "twin_client"),
    ("client_secret", "hush"),
    ("token", "shpat_twin"),
    ("token_seconds", "86399"),
    ("refresh_seconds", "7776000"),
    ("scopes", "all"),
    ("clock", "1"),
    ("search_lag_seconds", "1"),
    ("job_seconds", "1"),
    ("webhook_delay_ms", "200"),
    ("webhook_first_retry_seconds", "56"),
    ("max_subscriptions", "1000"),
    ("bulk_at_once", "5"),
    ("cost", "observed"),
    ("faults", ""),
    ("first_id", "632910392"),
];

/// How fast the bucket of a plan fills, in points a second.
pub const PLANS: &[(&str, i64)] =
    &[("standard", 100), ("advanced", 200), ("plus", 1000), ("enterprise", 2000)];

/// A bucket holds so many seconds of its restore rate.
pub const BUCKET_SECONDS: i64 = 20;

#[derive(Debug, Clone)]
pub struct Settings {
    pub shop: String,
    pub currency: String,
    pub plan: String,
    /// Points a second.
    pub restore: i64,
    pub locations: Vec<String>,
    /// Name, currency.
    pub price_lists: Vec<(String, String)>,
    /// Percent.
    pub tax_rate: Decimal,
    pub taxes_included: bool,
    pub offset_minutes: i64,
    pub client_id: String,
    pub client_secret: String,
    pub token: String,
    pub token_seconds: i64,
    pub refresh_seconds: i64,
    pub scopes: Vec<String>,
    pub clock: i64,
    pub search_lag_ms: i64,
    pub job_ms: i64,
    pub webhook_delay_ms: i64,
    pub first_retry_ms: i64,
    pub max_subscriptions: usize,
    pub bulk_at_once: usize,
    /// A connection's cost grows with `first` itself, and not as it was observed to.
    pub cost_linear: bool,
    /// Faults by name, with commas between.
    pub faults: String,
    pub first_id: u64,
}

impl Settings {
    pub fn read(given: &BTreeMap<String, String>) -> Result<Self, Error> {
        for name in given.keys() {
            if !KNOWN.iter().any(|(known, _)| known == name) {
                let names: Vec<&str> = KNOWN.iter().map(|(n, _)| *n).collect();
                return Err(Error::UnknownSetting(name.clone(), names.join(", ")));
            }
        }
        let text = |name: &str| -> String {
            given.get(name).cloned().unwrap_or_else(|| default(name).to_owned())
        };
        let plan = text("plan").to_lowercase();
        let Some((_, restore)) = PLANS.iter().find(|(name, _)| *name == plan) else {
            let names: Vec<&str> = PLANS.iter().map(|(n, _)| *n).collect();
            return Err(bad("plan", format!("\"{plan}\" is none of {}", names.join(", "))));
        };
        Ok(Self {
            shop: text("shop"),
            currency: text("currency").to_uppercase(),
            plan,
            restore: *restore,
            locations: list(&text("locations")),
            price_lists: price_lists(&text("price_lists"))?,
            tax_rate: decimal(&text, "tax_rate")?,
            taxes_included: flag(&text, "taxes_included")?,
            offset_minutes: minutes(decimal(&text, "timezone")?),
            client_id: text("client_id"),
            client_secret: text("client_secret"),
            token: text("token"),
            token_seconds: whole(&text, "token_seconds")?,
            refresh_seconds: whole(&text, "refresh_seconds")?,
            scopes: list(&text("scopes")),
            clock: whole(&text, "clock")?.max(1),
            search_lag_ms: millis(decimal(&text, "search_lag_seconds")?),
            job_ms: millis(decimal(&text, "job_seconds")?),
            webhook_delay_ms: whole(&text, "webhook_delay_ms")?,
            first_retry_ms: millis(decimal(&text, "webhook_first_retry_seconds")?),
            max_subscriptions: usize::try_from(whole(&text, "max_subscriptions")?).unwrap_or(0),
            bulk_at_once: usize::try_from(whole(&text, "bulk_at_once")?).unwrap_or(0),
            cost_linear: text("cost") == "linear",
            faults: text("faults"),
            first_id: u64::try_from(whole(&text, "first_id")?).unwrap_or(1),
        })
    }

    /// Decimals of a currency.
    pub fn places(currency: &str) -> u32 {
        match currency {
            "JPY" | "KRW" | "VND" | "CLP" | "ISK" => 0,
            _ => 2,
        }
    }

    pub fn domain(&self) -> String {
        format!("{}.myshopify.com", self.shop)
    }
}

fn default(name: &str) -> &'static str {
    KNOWN.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value)
}

fn bad(name: &str, why: String) -> Error {
    Error::BadSetting(name.to_owned(), why)
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

fn price_lists(text: &str) -> Result<Vec<(String, String)>, Error> {
    let mut lists = Vec::new();
    for one in list(text) {
        let Some((name, currency)) = one.split_once(':') else {
            return Err(bad("price_lists", format!("\"{one}\" is not NAME:CURRENCY")));
        };
        lists.push((name.trim().to_owned(), currency.trim().to_uppercase()));
    }
    Ok(lists)
}

fn flag(text: &impl Fn(&str) -> String, name: &str) -> Result<bool, Error> {
    match text(name).as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        other => Err(bad(name, format!("\"{other}\" is not true or false"))),
    }
}

fn decimal(text: &impl Fn(&str) -> String, name: &str) -> Result<Decimal, Error> {
    let value = text(name);
    value.trim().parse().map_err(|_| bad(name, format!("\"{value}\" is not a number")))
}

fn whole(text: &impl Fn(&str) -> String, name: &str) -> Result<i64, Error> {
    let value = text(name);
    value.trim().parse().map_err(|_| bad(name, format!("\"{value}\" is not a whole number")))
}

fn millis(seconds: Decimal) -> i64 {
    i64::try_from((seconds * Decimal::from(1000)).trunc()).unwrap_or(0)
}

fn minutes(hours: Decimal) -> i64 {
    i64::try_from((hours * Decimal::from(60)).trunc()).unwrap_or(0)
}
