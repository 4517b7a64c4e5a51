//! The stockroom: `n` articles with a price and a figure each. Names and prices are computed.
//!
//! Reads   queries.   Writes  figures, when the bench says so.   Never  holds a text.

use std::fmt::Write as _;

use super::Asked;

/// The clock of everything canned starts here: 2026-01-01, in seconds.
pub const EPOCH: i64 = 1_767_225_600;

/// Rows of a page, unless asked for otherwise.
const PAGE: usize = 500;

#[derive(Debug, Default)]
pub struct Stockroom {
    quantity: Vec<i64>,
    /// Milliseconds since 1970: which webhook is the newer one.
    version: Vec<i64>,
    /// What changed is not listed: nothing but webhooks brings it.
    pub mute: bool,
}

pub fn sku(article: usize) -> String {
    format!("SKU-{article:07}")
}

/// The article that a SKU names.
pub fn article(sku: &str) -> Option<usize> {
    sku.strip_prefix("SKU-")?.parse().ok()
}

impl Stockroom {
    pub fn new(articles: usize) -> Self {
        Self {
            quantity: (0..articles).map(|n| n as i64 % 90).collect(),
            version: vec![EPOCH * 1000; articles],
            mute: false,
        }
    }

    pub fn len(&self) -> usize {
        self.quantity.len()
    }

    pub fn is_empty(&self) -> bool {
        self.quantity.is_empty()
    }

    /// The figure changes, one millisecond after it changed before.
    pub fn set(&mut self, article: usize, quantity: i64) {
        self.quantity[article] = quantity;
        self.version[article] += 1;
    }

    /// All at once, some seconds later: for a poll that reads what changed.
    pub fn set_all(&mut self, seconds: i64, quantity: impl Fn(usize) -> i64) {
        for article in 0..self.len() {
            self.quantity[article] = quantity(article);
            self.version[article] += seconds * 1000;
        }
    }

    pub fn quantity(&self, article: usize) -> i64 {
        self.quantity[article]
    }

    /// What a webhook says of an article: its row, and some of what such bodies say beside it.
    pub fn hook(&self, article: usize, bytes: usize) -> String {
        let mut text = self.stock(article);
        text.pop();
        text.push_str(",\"event\":\"stock.changed\",\"note\":\"");
        let more = bytes.saturating_sub(text.len() + 2);
        text.extend(std::iter::repeat_n('x', more));
        text.push_str("\"}");
        text
    }

    fn stock(&self, article: usize) -> String {
        let (quantity, version) = (self.quantity[article], self.version[article]);
        format!(
            "{{\"id\":{},\"sku\":\"{}\",\"location\":\"main\",\"quantity\":{quantity},\
             \"version\":\"{version:020}\",\"updated\":{}}}",
            article + 1,
            sku(article),
            version / 1000
        )
    }

    fn article(&self, article: usize) -> String {
        format!(
            "{{\"id\":{},\"sku\":\"{}\",\"name\":\"Article {article} of the stockroom\",\
             \"kind\":\"simple\",\"status\":\"active\",\"price\":\"{}.90\",\"weight\":0.25,\
             \"updated\":{EPOCH}}}",
            article + 1,
            sku(article),
            5 + article % 200
        )
    }

    pub(super) fn answer(&self, path: &str, asked: &Asked) -> Option<String> {
        let number = |name: &str| asked.get(name).and_then(|v| v.parse::<i64>().ok());
        let of = |name: &str| number(name).and_then(|n| usize::try_from(n).ok());
        let (offset, limit) = (of("offset").unwrap_or(0), of("limit").unwrap_or(PAGE));
        let rows = self.rows(path, number("since"), offset, limit)?;
        let mut text = String::with_capacity(limit * 160);
        text.push('[');
        for (n, article) in rows.into_iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let row = if path == "stock" { self.stock(article) } else { self.article(article) };
            let _ = write!(text, "{comma}{row}");
        }
        text.push(']');
        Some(text)
    }

    fn rows(
        &self,
        path: &str,
        since: Option<i64>,
        offset: usize,
        limit: usize,
    ) -> Option<Vec<usize>> {
        let at = |article: usize| match path {
            "stock" => self.version[article] / 1000,
            _ => EPOCH,
        };
        if path != "stock" && path != "articles" {
            return None;
        }
        if self.mute && since.is_some() {
            return Some(Vec::new());
        }
        let since = since.unwrap_or(i64::MIN);
        // Dates move only for all at once: the order of ids is theirs.
        Some((0..self.len()).filter(|n| at(*n) >= since).skip(offset).take(limit).collect())
    }
}
