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
    ("currency", "EUR"),
    ("locale", "de_DE"),
    ("prices_include_tax", "false"),
    ("tax_rate", "0"),
    ("reduced_tax_rate", "7"),
    ("timezone", "0"),
    ("consumer_key", "ck_test"),
    ("consumer_secret", "cs_test"),
    ("readonly_key", "ck_read"),
    ("readonly_secret", "cs_read"),
    ("tls_only", "false"),
    ("fulfillments", "false"),
    ("clock_rate", "1"),
    ("webhook_delay_ms", "200"),
    ("site_url", ""),
    ("variations_modified_after", "ignored"),
    ("sales_bump_modified", "false"),
    ("refund_gateways", "stripe,paypal"),
    ("faults", ""),
    ("first_id", "11"),
];

#[derive(Debug, Clone)]
pub struct Settings {
    pub currency: String,
    pub locale: String,
    pub prices_include_tax: bool,
    /// Percent, 0 = the shop computes no tax.
    pub tax_rate: Decimal,
    /// Percent for `tax_class` "reduced-rate".
    pub reduced_tax_rate: Decimal,
    /// Site time minus UTC, in seconds.
    pub offset: i64,
    pub consumer_key: String,
    pub consumer_secret: String,
    pub readonly_key: String,
    pub readonly_secret: String,
    /// Behave as the real shop over plain http: only OAuth 1.0a counts.
    pub tls_only: bool,
    pub fulfillments: bool,
    /// Thousandths: 1000 = real time.
    pub clock_rate_milli: i64,
    pub webhook_delay_ms: u64,
    pub site_url: String,
    /// Observed: variations have no date filter of their own ("filtered" switches to the source's).
    pub variations_filtered: bool,
    /// The facts say a sale does not move a product's `date_modified`; the samples show it did.
    pub sales_bump_modified: bool,
    pub refund_gateways: Vec<String>,
    /// Faults by name, with commas between.
    pub faults: String,
    pub first_id: u64,
    /// Decimals of the currency.
    pub decimals: u32,
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
        let currency = text("currency").to_uppercase();
        let hours = number(&text, "timezone")?;
        let milli = number(&text, "clock_rate")? * Decimal::from(1000);
        Ok(Self {
            decimals: if matches!(currency.as_str(), "JPY" | "KRW" | "VND") { 0 } else { 2 },
            currency,
            locale: text("locale"),
            prices_include_tax: flag(&text, "prices_include_tax")?,
            tax_rate: number(&text, "tax_rate")?,
            reduced_tax_rate: number(&text, "reduced_tax_rate")?,
            offset: whole(hours * Decimal::from(3600)),
            consumer_key: text("consumer_key"),
            consumer_secret: text("consumer_secret"),
            readonly_key: text("readonly_key"),
            readonly_secret: text("readonly_secret"),
            tls_only: flag(&text, "tls_only")?,
            fulfillments: flag(&text, "fulfillments")?,
            clock_rate_milli: whole(milli).max(1),
            webhook_delay_ms: u64::try_from(whole(number(&text, "webhook_delay_ms")?)).unwrap_or(0),
            site_url: text("site_url"),
            variations_filtered: text("variations_modified_after") == "filtered",
            sales_bump_modified: flag(&text, "sales_bump_modified")?,
            refund_gateways: text("refund_gateways").split(',').map(str::to_owned).collect(),
            faults: text("faults"),
            first_id: u64::try_from(whole(number(&text, "first_id")?)).unwrap_or(11),
        })
    }
}

fn default(name: &str) -> &'static str {
    KNOWN.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value)
}

fn flag(text: &impl Fn(&str) -> String, name: &str) -> Result<bool, Error> {
    match text(name).as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        other => {
            Err(Error::BadSetting(name.to_owned(), format!("\"{other}\" is not true or false")))
        }
    }
}

fn number(text: &impl Fn(&str) -> String, name: &str) -> Result<Decimal, Error> {
    let value = text(name);
    value
        .trim()
        .parse()
        .map_err(|_| Error::BadSetting(name.to_owned(), format!("\"{value}\" is not a number")))
}

fn whole(value: Decimal) -> i64 {
    i64::try_from(value.trunc()).unwrap_or(0)
}
