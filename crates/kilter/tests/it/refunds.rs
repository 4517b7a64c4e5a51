//! Refunds made in two shops arrive in the ERP once, with their money, whatever the network does.
//!
//! The ERP does the work and then closes the connection, several times. At the end each refund is one
//! credit note: found by content, not by what Kilter says it did.

use std::time::{Duration, Instant};

use crate::support::{self, Rig, Serving};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// So many times the ERP does the work and its answer is lost.
const FAULTS: u64 = 4;

const WAIT: Duration = Duration::from_secs(90);

/// One of the two shops, and its prefix.
struct Shop<'r> {
    rig: &'r Rig,
    prefix: &'static str,
    url: String,
}

impl Shop<'_> {
    async fn state(&self) -> Value {
        self.rig.get(&format!("{}/_twin/state", self.url)).await
    }

    async fn order(&self, n: usize) -> Value {
        let line = |sku: &str, quantity: usize| json!({ "sku": sku, "quantity": quantity });
        let body = json!({
            "lines": [line("MUG-001", 2 + n % 2), line("TEE-000-M", 1)],
            "shipping_total": "4.90", "fee": "1.50", "payment_method": "stripe",
            "billing": { "first_name": "Ada", "last_name": format!("Nr {n}"),
                "email": format!("ada{n}@example.com"), "address_1": format!("Weg {n}"),
                "city": "Berlin", "postcode": "10115", "country": "DE" },
        });
        self.rig.post(&format!("{}/_twin/orders", self.url), &body).await
    }

    async fn refund(&self, order: &Value, body: &Value) -> Value {
        let mut body = body.clone();
        body["api_refund"] = json!(false);
        let url = format!("{}/wp-json/wc/v3/orders/{}/refunds", self.url, order["id"]);
        let request = self.rig.http.post(url).basic_auth("ck_test", Some("cs_test"));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{body}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }
}

fn dec(value: &Value) -> Decimal {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().unwrap_or_else(|e| panic!("{value}: {e}"))
}

/// An item of a refund: so many pieces and this share of the item's money, in hundredths.
fn back(item: &Value, quantity: i64, hundredths: i64) -> Value {
    let share = |value: &Value| {
        (dec(value) * Decimal::from(hundredths) / Decimal::from(100)).round_dp(2).to_string()
    };
    json!({ "id": item["id"], "quantity": quantity, "refund_total": share(&item["total"]),
        "refund_tax": [{ "id": 1, "refund_total": share(&item["total_tax"]) }] })
}

fn everything(order: &Value) -> Value {
    let mut items = Vec::new();
    for line in order["line_items"].as_array().unwrap() {
        items.push(back(line, line["quantity"].as_i64().unwrap(), 100));
    }
    items.push(back(&order["shipping_lines"][0], 0, 100));
    items.push(back(&order["fee_lines"][0], 0, 100));
    json!({ "amount": order["total"], "reason": "Sent back", "line_items": items })
}

/// Every kind of refund, by turns.
fn refund_of(order: &Value, kind: usize) -> Value {
    let (first, second) = (&order["line_items"][0], &order["line_items"][1]);
    match kind {
        0 => json!({ "amount": "3.00", "reason": "For the scratch & the wait" }),
        1 => json!({ "line_items": [back(&order["shipping_lines"][0], 0, 100)] }),
        2 => json!({ "line_items": [back(second, 1, 100)], "reason": "Too small" }),
        3 => json!({ "line_items": [back(second, 1, 100)], "api_restock": false }),
        4 => json!({ "line_items": [back(first, 0, 33)] }),
        5 => json!({ "line_items": [back(&order["fee_lines"][0], 0, 100)] }),
        _ => {
            let item = back(&order["shipping_lines"][0], 0, 50);
            let tax = &item["refund_tax"][0]["refund_total"];
            let amount = dec(&item["refund_total"]) + dec(tax) + Decimal::from(2);
            json!({ "amount": amount.to_string(), "line_items": [item] })
        }
    }
}

async fn erp(rig: &Rig, part: &str) -> Vec<Value> {
    let state = rig.get(&format!("{}/_twin/state?part={part}", rig.erp.url())).await;
    state[part].as_array().unwrap().clone()
}

fn order_of<'o>(orders: &'o [Value], prefix: &str, order: &Value) -> Vec<&'o Value> {
    let start = format!("{prefix}-{}-", order["number"].as_str().unwrap());
    let named = |o: &&Value| o["client_order_ref"].as_str().is_some_and(|r| r.starts_with(&start));
    orders.iter().filter(named).collect()
}

/// What is wrong with how this refund stands in the ERP.
fn wrong_with(
    prefix: &str,
    refund: &Value,
    order: &Value,
    orders: &[Value],
    notes: &[Value],
) -> Option<String> {
    let start = format!("{prefix}-R{}-", refund["id"]);
    let mine = |n: &&Value| n["ref"].as_str().is_some_and(|r| r.starts_with(&start));
    let found: Vec<&Value> = notes.iter().filter(mine).collect();
    let [note] = found.as_slice() else { return Some(format!("{start}: {} times", found.len())) };
    let sold = order_of(orders, prefix, order);
    let [sold] = sold.as_slice() else { return Some(format!("{start}: its order is not there")) };
    let origin = format!("Kilter {}", sold["client_order_ref"].as_str().unwrap());
    let skus = |list: &Value| {
        let items = list.as_array().unwrap().iter();
        let mut skus: Vec<String> =
            items.filter_map(|i| i["sku"].as_str().map(str::to_owned)).collect();
        skus.retain(|sku| sku.starts_with("MUG") || sku.starts_with("TEE"));
        skus.sort();
        skus
    };
    // The seed's services are its first products: what is charged stands on them.
    let goods: Vec<String> = skus(&refund["line_items"]);
    let charged = refund["shipping_lines"].as_array().unwrap().len()
        + refund["fee_lines"].as_array().unwrap().len();
    let right = note["move_type"] == "out_refund"
        && note["state"] == "draft"
        && note["invoice_origin"] == *origin
        && note["currency"] == sold["currency"]
        && note["partner_id"] == sold["partner_invoice_id"];
    if !right {
        return Some(format!("{start}: {note} for {sold}"));
    }
    if dec(&note["amount_total"]) != dec(&refund["amount"]) {
        return Some(format!("{start}: {} for {}", note["amount_total"], refund["amount"]));
    }
    let there = skus(&note["lines"]);
    let known = goods.iter().all(|sku| there.contains(sku));
    if !known || there.len() > goods.len() + charged + 1 {
        return Some(format!("{start}: {there:?} for {goods:?}"));
    }
    None
}

/// Waits until nothing is wrong, or says what is.
async fn until(rig: &Rig, what: &str, mut wrong: impl AsyncFnMut() -> Vec<String>) {
    let started = Instant::now();
    loop {
        let found = wrong().await;
        if found.is_empty() {
            println!("{what}: right after {:?}", started.elapsed());
            return;
        }
        if started.elapsed() > WAIT {
            let log = std::fs::read_to_string(rig.folder.join("serve.log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            panic!("{what}: {}\n{}", found.join("\n"), tail.join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn sent(rig: &Rig, shops: &[Shop<'_>], states: &[&str]) -> Vec<String> {
    let orders = erp(rig, "orders").await;
    let mut wrong = Vec::new();
    for shop in shops {
        for order in shop.state().await["orders"].as_array().unwrap() {
            let found = order_of(&orders, shop.prefix, order);
            if !matches!(found.as_slice(), [one] if states.contains(&one["state"].as_str().unwrap()))
            {
                wrong.push(format!("{}-{}: {}", shop.prefix, order["number"], found.len()));
            }
        }
    }
    wrong
}

async fn started(name: &str) -> Rig {
    let rig = Rig::start(name).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &support::seed(6, 300)).await;
    let (code, text) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{text}");
    rig
}

/// No address that a shop could call: what is known is what was asked for.
fn without_webhooks(rig: &Rig) {
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let kept: Vec<&str> = text.lines().filter(|l| !l.starts_with("public_url")).collect();
    assert_eq!(kept.len() + 1, text.lines().count());
    std::fs::write(rig.toml(), kept.join("\n")).unwrap();
}

fn shops(rig: &Rig) -> [Shop<'_>; 2] {
    [Shop { rig, prefix: "DE", url: rig.de.url() }, Shop { rig, prefix: "US", url: rig.us.url() }]
}

async fn ended(rig: &Rig, mut serving: Serving) {
    serving.kill();
    let (code, text) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "the plan is not empty:\n{text}");
    let status = rig.status().await;
    assert_eq!(status["conserved"], true, "{status}");
    assert_eq!(status["dead"], json!([]), "{status}");
}

/// What a shop may sell is what the ERP forecasts: pieces put back in the shop alone are not sold.
async fn stock(rig: &Rig, shops: &[Shop<'_>]) -> Vec<String> {
    let variants = erp(rig, "variants").await;
    let mut wrong = Vec::new();
    for shop in shops {
        let state = shop.state().await;
        let items = state["products"].as_array().unwrap().iter();
        for item in items.chain(state["variations"].as_array().unwrap()) {
            let Some(variant) = variants.iter().find(|v| v["default_code"] == item["sku"]) else {
                continue;
            };
            let places: &[&str] = if shop.prefix == "DE" { &["WH"] } else { &["WH", "WST"] };
            let forecast: Decimal =
                places.iter().map(|p| dec(&variant["stock"][*p]["forecast"])).sum();
            if dec(&item["stock_quantity"]) != forecast {
                let (sku, shown) = (&item["sku"], &item["stock_quantity"]);
                wrong.push(format!("{}: {sku} shows {shown}, not {forecast}", shop.prefix));
            }
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_refunds_are_twenty_credit_notes() {
    let rig = started("refunds").await;
    let shops = shops(&rig);
    let mut orders = Vec::new();
    for n in 0..12 {
        orders.push((n % 2, shops[n % 2].order(n).await));
    }
    let serving = rig.served().await;
    until(&rig, "orders", async || sent(&rig, &shops, &["sale"]).await).await;
    // Three were shipped: all of their money can only be given back by a credit note.
    let there = erp(&rig, "orders").await;
    for (shop, order) in &orders[..3] {
        let id = &order_of(&there, shops[*shop].prefix, order)[0]["id"];
        rig.post(&format!("{}/_twin/ship", rig.erp.url()), &json!([{ "order_id": id }])).await;
    }
    let shipped = async || {
        let mut wrong = Vec::new();
        for (shop, order) in &orders[..3] {
            let state = shops[*shop].state().await;
            let all = state["orders"].as_array().unwrap();
            let now = all.iter().find(|o| o["id"] == order["id"]).unwrap();
            if now["status"] != "completed" {
                wrong.push(format!("{} is {}", order["number"], now["status"]));
            }
        }
        wrong
    };
    until(&rig, "shipped", shipped).await;
    let fault =
        json!({ "fail_next": FAULTS, "status": 0, "apply": "after", "match": "account.move/load" });
    rig.post(&format!("{}/_twin/faults", rig.erp.url()), &fault).await;
    let mut made = Vec::new();
    for (shop, order) in &orders[..3] {
        made.push((*shop, order, shops[*shop].refund(order, &everything(order)).await));
    }
    // Seventeen on nine orders: two on most of them.
    for n in 0..17 {
        // Not all in one call: several are to be lost.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (shop, order) = &orders[3 + n % 9];
        made.push((*shop, order, shops[*shop].refund(order, &refund_of(order, n % 7)).await));
    }
    assert_eq!(made.len(), 20);
    let arrived = async || {
        let (orders, notes) = (erp(&rig, "orders").await, erp(&rig, "invoices").await);
        let mut wrong: Vec<String> = made
            .iter()
            .filter_map(|(shop, order, refund)| {
                wrong_with(shops[*shop].prefix, refund, order, &orders, &notes)
            })
            .collect();
        if notes.len() > made.len() {
            wrong.push(format!("{} credit notes", notes.len()));
        }
        wrong
    };
    until(&rig, "refunds", arrived).await;
    until(&rig, "stock", async || stock(&rig, &shops).await).await;
    let faults = rig.get(&format!("{}/_twin/faults", rig.erp.url())).await;
    assert_eq!(faults["fail_next"], 0, "no connection was closed: {faults}");
    ended(&rig, serving).await;
    assert_eq!(arrived().await, [""; 0]);
    // A shipped order cannot be undone by us: a person is asked, once.
    let status = rig.status().await;
    let held: Vec<&Value> = status["waits"].as_array().unwrap().iter().collect();
    let asked = held.iter().filter(|w| w["reason"].to_string().contains("says refunded"));
    assert_eq!((asked.count(), held.len()), (3, 3), "{held:?}");
}

/// An order that was given back whole before it was sent never comes; one that can be cancelled is,
/// and there is nothing to give back; and a refund of a part follows an order that comes late.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_back_whole_in_time_needs_no_credit_note() {
    let rig = started("refunds-whole").await;
    without_webhooks(&rig);
    let shops = shops(&rig);
    let early = shops[0].order(1).await;
    shops[0].refund(&early, &everything(&early)).await;
    let (late, part) = (shops[0].order(2).await, shops[1].order(3).await);
    let partly = shops[1].refund(&part, &refund_of(&part, 2)).await;
    let serving = rig.served().await;
    let both = async || {
        let (orders, notes) = (erp(&rig, "orders").await, erp(&rig, "invoices").await);
        let mut wrong = Vec::new();
        if order_of(&orders, "DE", &late).first().is_none_or(|o| o["state"] != "sale") {
            wrong.push("the order is not there".to_owned());
        }
        wrong.extend(wrong_with("US", &partly, &part, &orders, &notes));
        wrong
    };
    until(&rig, "order and refund", both).await;
    until(&rig, "stock", async || stock(&rig, &shops).await).await;
    // The shop puts another piece back, at rest: only its order tells.
    let item = back(&part["line_items"][0], 1, 25);
    shops[1].refund(&part, &json!({ "line_items": [item] })).await;
    let shown = stock(&rig, &shops).await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    until(&rig, "stock", async || stock(&rig, &shops).await).await;
    shops[0].refund(&late, &everything(&late)).await;
    let cancelled = async || {
        let orders = erp(&rig, "orders").await;
        let state = order_of(&orders, "DE", &late)[0]["state"].clone();
        if state == "cancel" { Vec::new() } else { vec![format!("is {state}")] }
    };
    until(&rig, "cancelled", cancelled).await;
    until(&rig, "stock", async || stock(&rig, &shops).await).await;
    ended(&rig, serving).await;
    let (orders, notes) = (erp(&rig, "orders").await, erp(&rig, "invoices").await);
    assert_eq!(order_of(&orders, "DE", &early).len(), 0, "it was given back before it was sent");
    assert_eq!(notes.len(), 2, "{notes:?}");
    let status = rig.status().await;
    assert_eq!(status["waits"], json!([]), "nobody need care");
}
