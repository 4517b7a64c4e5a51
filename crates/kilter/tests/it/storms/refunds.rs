//! Refunds in a storm: what a merchant gives back, and what has to stand in the ERP for it.
//!
//! Reads   the twins.   Writes  refunds, by the shop's own API; sentences of what is wrong.
//! Never   gives back a part and then all: a person is asked about that (see ARCHITECTURE.md).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::storms::judge::{decimal, list};
use crate::storms::people::url;
use crate::storms::script::{Part, Shop};
use crate::storms::stage::Stage;

#[derive(Debug, Default)]
pub struct Refunds {
    pub cancelled: BTreeSet<(Shop, u64)>,
    /// (shop, order) → what was given back of it.
    made: BTreeMap<(Shop, u64), Vec<Part>>,
}

/// More would be more than the lines hold.
const PARTS_MAX: usize = 2;
/// Money for no line, less than the shipping alone costs.
const MONEY: &str = "1.50";

impl Refunds {
    pub fn of(&self, shop: Shop, order: u64) -> Option<&[Part]> {
        self.made.get(&(shop, order)).map(Vec::as_slice)
    }

    pub async fn make(
        &mut self,
        stage: &Stage,
        shop: Shop,
        order: u64,
        what: Part,
    ) -> Option<&'static str> {
        let so_far = self.of(shop, order).unwrap_or_default();
        let whole = so_far.contains(&Part::All) || (what == Part::All && !so_far.is_empty());
        let twice = what != Part::Money && so_far.iter().any(|part| *part != Part::Money);
        let cancelled = self.cancelled.contains(&(shop, order));
        if cancelled || whole || twice || so_far.len() >= PARTS_MAX {
            return None;
        }
        let state = stage.state(&url(stage, shop)).await;
        let sold = list(&state, "orders").iter().find(|o| o["id"] == order)?;
        let body = match what {
            Part::Money => json!({ "amount": MONEY, "reason": "For the wait" }),
            Part::Piece { restock } => {
                json!({ "line_items": [piece(&sold["line_items"][0])], "api_restock": restock })
            }
            Part::All => everything(sold),
        };
        give_back(stage, shop, order, body).await;
        self.made.entry((shop, order)).or_default().push(what);
        Some(if what == Part::All { "refund all" } else { "refund" })
    }

    /// What was given back whole, before anything was sent out, is no credit.
    pub fn wrong(&self, shop: Shop, prefix: &str, there: &Value, erp: &Value) -> Vec<String> {
        let (mut wrong, mut known) = (Vec::new(), 0);
        for refund in list(there, "refunds") {
            let order = refund["parent_id"].as_u64().unwrap();
            let whole = self.of(shop, order).is_some_and(|parts| parts.contains(&Part::All));
            let start = format!("{prefix}-R{}-", refund["id"]);
            let mine = |n: &&Value| n["ref"].as_str().is_some_and(|r| r.starts_with(&start));
            let found: Vec<&Value> = list(erp, "invoices").iter().filter(mine).collect();
            known += found.len();
            match found.as_slice() {
                [] if whole => {}
                [one] if !whole => {
                    let (here, credit) =
                        (decimal(&refund["amount"]), decimal(&one["amount_total"]));
                    if here != credit {
                        wrong.push(format!("{start}: {credit} in the ERP, {here} in the shop"));
                    }
                }
                many => wrong.push(format!(
                    "{start} of order {order} (whole: {whole}): {} times in the ERP",
                    many.len()
                )),
            }
        }
        let start = format!("{prefix}-R");
        let mine = |n: &&Value| n["ref"].as_str().is_some_and(|r| r.starts_with(&start));
        let credits = list(erp, "invoices").iter().filter(mine).count();
        if credits != known {
            wrong.push(format!("{prefix}: {credits} credits, {known} of them the shop's"));
        }
        wrong
    }
}

async fn give_back(stage: &Stage, shop: Shop, order: u64, mut body: Value) {
    body["api_refund"] = json!(false);
    let to = format!("{}/wp-json/wc/v3/orders/{order}/refunds", url(stage, shop));
    let request = stage.rig.http.post(to).basic_auth("ck_test", Some("cs_test"));
    let request = request.header("content-type", "application/json").body(body.to_string());
    let answer = request.send().await.unwrap();
    let status = answer.status();
    assert!(status.is_success(), "{body}: {status} {}", answer.text().await.unwrap());
}

/// One piece of a line, with its share of the money.
fn piece(line: &Value) -> Value {
    let share = |value: &Value| {
        let each = decimal(value) / decimal(&line["quantity"]);
        each.round_dp(2).to_string()
    };
    json!({ "id": line["id"], "quantity": 1, "refund_total": share(&line["total"]),
        "refund_tax": [{ "id": 1, "refund_total": share(&line["total_tax"]) }] })
}

fn everything(order: &Value) -> Value {
    let part = |item: &Value| {
        json!({ "id": item["id"], "quantity": item["quantity"].as_i64().unwrap_or(0),
            "refund_total": item["total"],
            "refund_tax": [{ "id": 1, "refund_total": item["total_tax"] }] })
    };
    let items = ["line_items", "shipping_lines", "fee_lines"];
    let items: Vec<Value> = items.iter().flat_map(|name| list(order, name)).map(part).collect();
    json!({ "amount": order["total"], "reason": "Sent back", "line_items": items })
}
