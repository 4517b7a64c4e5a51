//! Offer: the sale price that a shop shows beside a price, and for how long.
//!
//! Reads   the sales of a price's variant in its list; what time it is.   Writes  nothing.
//! Never   shows a sale that is over, or one that is not below the price.
//!
//! ```text
//! one holds now          → that one; of several the later-numbered
//! none now, some to come → the one that begins first: the shop knows dates, and begins by itself
//! all are over           → null: whatever stands there goes
//! none ever              → nothing to say: a shop's own sales stay
//! ```

use crate::Json;
use crate::model::{Object, Record, RecordId, Text};
use crate::sync::document::amount;
use crate::sync::existence::EXISTENCE;
use crate::sync::house::View;
use crate::sync::seat;
use crate::sync::world::{Key, World};

/// The rules of a price that its sales say.
pub const RULES: [&str; 3] = ["offer", "offer_from", "offer_to"];

const SALE: &str = "sale";

pub(super) fn offer(
    rule: &str,
    view: &View<'_>,
    world: &mut World,
    price: RecordId,
) -> Option<Json> {
    let sales = sales(view, world, price)?;
    let shown = shown(&sales, &world.now.clone(), world.record(price));
    let field = match rule {
        "offer_from" => "from",
        "offer_to" => "to",
        _ => "amount",
    };
    Some(shown.and_then(|sale| sale.value(field, "").cloned()).unwrap_or(Json::Null))
}

/// When what an object shows of sales changes by itself next: one begins, or ends.
pub fn turns(view: &View<'_>, world: &mut World, object: &Object) -> Option<String> {
    let root = object.root?;
    let mut next: Option<String> = None;
    for facet in &view.resource.facets {
        let told = facet.rows.iter().any(|row| {
            let rule = view.field(facet, row).and_then(|f| f.derive.as_deref());
            rule.is_some_and(|rule| RULES.contains(&rule))
        });
        let price = if told { seat::facet_record(view, world, root, facet) } else { None };
        let Some(sales) = price.and_then(|price| sales(view, world, price)) else { continue };
        let times = sales.iter().flat_map(|s| [s.text("from"), s.text("to")]).flatten();
        let first = times.filter(|time| *time > world.now.as_str()).min().map(str::to_owned);
        next = next.into_iter().chain(first).min();
    }
    next
}

/// The sales of a price that stand where they come from. None: it never had any.
fn sales(view: &View<'_>, world: &mut World, price: RecordId) -> Option<Vec<Record>> {
    view.house.config.ownership.existence(SALE)?;
    let record = world.record(price)?;
    let (variant, list) = (record.reference("variant")?, record.text("list")?.to_owned());
    let ids = world.ids(&Key::Referrers(SALE.into(), "variant".into(), variant));
    let all: Vec<Record> = ids
        .into_iter()
        .filter_map(|id| world.record(id).cloned())
        .filter(|sale| sale.text("list") == Some(list.as_str()))
        .collect();
    if all.is_empty() {
        return None;
    }
    Some(all.into_iter().filter(|sale| !sale.fields.contains_key(EXISTENCE)).collect())
}

fn shown<'s>(sales: &'s [Record], now: &str, price: Option<&Record>) -> Option<&'s Record> {
    let price = price.and_then(|p| amount(p.value("amount", "")));
    let below = |sale: &&Record| amount(sale.value("amount", "")).is_some_and(|a| Some(a) < price);
    let open: Vec<&Record> =
        sales.iter().filter(below).filter(|s| s.text("to").is_none_or(|to| to >= now)).collect();
    let begun = |sale: &&&Record| sale.text("from").is_none_or(|from| from <= now);
    let holds = open.iter().filter(begun).max_by_key(|sale| number(sale));
    let comes = || {
        let to_come = open.iter().filter(|sale| !begun(sale));
        to_come.min_by_key(|sale| (sale.text("from").map(str::to_owned), number(sale)))
    };
    holds.or_else(comes).copied()
}

/// Ten is later than two.
fn number(sale: &Record) -> (usize, String) {
    let number = sale.text("number").unwrap_or_default().to_owned();
    (number.len(), number)
}

/// A due mark for a time to come.
pub fn due_at(turn: String, lane: u8) -> crate::model::Due {
    let turn = Text::from(turn);
    let (since, next_at) = (Some(turn.clone()), Some(turn));
    crate::model::Due { mark: 1, since, next_at, not_before: None, tries: 0, lane }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sale(number: &str, amount: &str, from: Option<&str>, to: Option<&str>) -> Record {
        let mut record = Record::new(1, SALE, "erp", None);
        let mut set = |field: &str, value: Json| {
            let cell = crate::model::Cell {
                value,
                by: "erp".into(),
                change: 1,
                at: Text::default(),
                seed: false,
            };
            record.fields.entry(field.into()).or_default().insert(Text::default(), cell);
        };
        set("number", json!(number));
        set("amount", json!(amount));
        set("from", json!(from));
        set("to", json!(to));
        record
    }

    const NOW: &str = "2026-11-28T12:00:00.000Z";

    fn chosen(sales: &[Record]) -> Option<&str> {
        let price = sale("0", "20 EUR", None, None);
        shown(sales, NOW, Some(&price)).and_then(|s| s.text("number"))
    }

    #[test]
    fn what_holds_now_is_shown_before_what_comes_and_what_is_over_is_not() {
        let over = sale("9", "10 EUR", None, Some("2026-11-28T11:59:59Z"));
        let holds = sale("2", "12 EUR", Some("2026-11-01T00:00:00Z"), Some("2026-12-01T00:00:00Z"));
        let later = sale("10", "11 EUR", Some("2026-11-28T11:00:00Z"), None);
        let comes = sale("3", "9 EUR", Some("2026-12-24T00:00:00Z"), None);
        let first = sale("4", "8 EUR", Some("2026-12-01T00:00:00Z"), None);
        assert_eq!(chosen(std::slice::from_ref(&over)), None);
        assert_eq!(chosen(&[over.clone(), holds.clone(), comes.clone()]), Some("2"));
        assert_eq!(chosen(&[holds, later]), Some("10"), "ten is later than two");
        assert_eq!(chosen(&[over, comes, first]), Some("4"), "the one that begins first");
    }

    #[test]
    fn a_sale_that_is_not_below_the_price_is_none() {
        assert_eq!(chosen(&[sale("1", "20 EUR", None, None)]), None);
        assert_eq!(chosen(&[sale("1", "19.99 EUR", None, None)]), Some("1"));
    }
}
