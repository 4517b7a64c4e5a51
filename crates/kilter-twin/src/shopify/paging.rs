//! Relay pages: `first`, `after`, and cursors that belong to one sort and one filter.
//!
//! Reads   a listing and a field's arguments.
//! Writes  nothing.
//! Never   says that a page was cut: only `pageInfo` does, to whoever asks for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::coerce::{flag, text, whole};
use super::fail::{Answer, Fail};
use super::store::Object;

/// Most items of a page.
pub const PAGE_MAX: i64 = 250;

/// One item of a listing: what it is sorted by, a number that breaks ties, and itself.
#[derive(Debug, Clone)]
pub struct Item {
    pub key: String,
    pub id: u64,
    pub value: Value,
}

/// Everything a connection is about, sorted, before it is cut into pages.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    pub items: Vec<Item>,
    /// What the order and the filter are: a cursor of another one is not valid here.
    pub signature: String,
}

impl Listing {
    /// A list that is kept in its own order.
    pub fn of(values: &[Value]) -> Self {
        let number = |at: usize| u64::try_from(at + 1).unwrap_or(u64::MAX);
        let item = |(at, value): (usize, &Value)| Item {
            key: String::new(),
            id: number(at),
            value: value.clone(),
        };
        Self { items: values.iter().enumerate().map(item).collect(), signature: String::new() }
    }
}

/// A page with what `pageInfo` tells of it.
#[derive(Debug)]
pub struct Page {
    pub items: Vec<(Item, String)>,
    pub next: bool,
    pub previous: bool,
}

/// Cuts the page that the arguments ask for.
pub fn page(mut listing: Listing, args: &Object) -> Answer<Page> {
    let (first, last) = (whole(args, "first"), whole(args, "last"));
    let size = match (first, last) {
        (None, None) => {
            let message = "you must provide one of first or last";
            return Err(Fail::bad_request(message));
        }
        (Some(_), Some(_)) => {
            let message = "providing both first and last is not supported";
            return Err(Fail::bad_request(message));
        }
        (Some(n), None) | (None, Some(n)) => n,
    };
    let name = if first.is_some() { "first" } else { "last" };
    if !(0..=PAGE_MAX).contains(&size) {
        let message = format!("{name} cannot exceed {PAGE_MAX}");
        return Err(Fail::bad_request(message));
    }
    if flag(args, "reverse") {
        listing.items.reverse();
        listing.signature.push_str(" reverse");
    }
    let mark = mark(&listing.signature);
    let total = listing.items.len();
    let start = match text(args, "after") {
        Some(cursor) => position(&listing, cursor, &mark, flag(args, "reverse"))?.1,
        None => 0,
    };
    let end = match text(args, "before") {
        Some(cursor) => position(&listing, cursor, &mark, flag(args, "reverse"))?.0,
        None => total,
    };
    let end = end.max(start);
    let size = usize::try_from(size).unwrap_or(0);
    let (from, to) = match first {
        Some(_) => (start, end.min(start + size)),
        None => (start.max(end.saturating_sub(size)), end),
    };
    let cut = listing.items.drain(from..to);
    let items = cut.map(|item| (item.clone(), cursor(&item, &mark))).collect();
    Ok(Page { items, next: to < total, previous: from > 0 })
}

/// All of it: for a bulk job.
pub fn everything(listing: Listing) -> Page {
    let items = listing.items.into_iter().map(|item| (item, String::new())).collect();
    Page { items, next: false, previous: false }
}

fn mark(signature: &str) -> String {
    let digest = Sha256::digest(signature.as_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn cursor(item: &Item, mark: &str) -> String {
    let text = json!({ "last_id": item.id, "last_value": item.key, "of": mark });
    STANDARD.encode(text.to_string())
}

/// Where the cursor's item stands, or stood: the index of it, and of what follows it.
fn position(listing: &Listing, cursor: &str, mark: &str, reverse: bool) -> Answer<(usize, usize)> {
    let invalid = || Fail::bad_request("Invalid cursor for current pagination sort.");
    let bytes = STANDARD.decode(cursor).map_err(|_| invalid())?;
    let read: Value = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    if read["of"] != json!(mark) {
        return Err(invalid());
    }
    let key = read["last_value"].as_str().ok_or_else(invalid)?;
    let id = read["last_id"].as_u64().ok_or_else(invalid)?;
    let wanted = (key, id);
    let before = |item: &Item| {
        let own = (item.key.as_str(), item.id);
        if reverse { own > wanted } else { own < wanted }
    };
    let at = listing.items.partition_point(before);
    let there = listing.items.get(at).is_some_and(|i| (i.key.as_str(), i.id) == wanted);
    Ok((at, at + usize::from(there)))
}
