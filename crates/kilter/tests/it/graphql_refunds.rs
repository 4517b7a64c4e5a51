//! Refunds that only their order names: each becomes one credit note, with its money and no other.

use std::time::{Duration, Instant};

use crate::support::Rig;
use crate::support::third::joined;
use kilter_twin::Running;
use rust_decimal::Decimal;
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(60);

async fn order(rig: &Rig, plus: &Running, n: usize) -> Value {
    let body = json!({
        "lines": [{ "sku": "MUG-001", "quantity": 3 }, { "sku": "TEE-000-M", "quantity": 2 }],
        "customer": { "email": format!("ada{n}@example.com"), "firstName": "Ada", "lastName": "B" },
        "billing": { "firstName": "Ada", "lastName": "B", "address1": format!("Weg {n}"),
            "city": "Berlin", "zip": "10115", "countryCode": "DE" },
    });
    rig.post(&format!("{}/_twin/orders", plus.url()), &body).await
}

/// Gives back, and says which refund it became and what it is worth.
async fn given(rig: &Rig, plus: &Running, order: &Value, body: &Value) -> (String, Decimal) {
    let url = format!("{}/_twin/orders/{}/refund", plus.url(), order["id"]);
    let after = rig.post(&url, body).await;
    let refunds = after["refunds"].as_array().unwrap().iter();
    let refund = refunds.max_by_key(|r| r["id"].as_i64()).unwrap();
    let paid = refund["transactions"].as_array().unwrap().iter();
    (refund["id"].to_string(), paid.map(|t| dec(&t["amount"])).sum())
}

fn dec(value: &Value) -> Decimal {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().unwrap_or_else(|e| panic!("{value}: {e}"))
}

async fn notes(rig: &Rig) -> Vec<Value> {
    let state = rig.get(&format!("{}/_twin/state?part=invoices", rig.erp.url())).await;
    state["invoices"].as_array().unwrap().clone()
}

/// What is wrong with how these refunds stand in the ERP.
fn wrong(notes: &[Value], made: &[(String, Decimal)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (id, amount) in made {
        let start = format!("PLUS-R{id}-");
        let mine = |n: &&Value| n["ref"].as_str().is_some_and(|r| r.starts_with(&start));
        let found: Vec<&Value> = notes.iter().filter(mine).collect();
        match found.as_slice() {
            [note] if dec(&note["amount_total"]) == *amount => {}
            [note] => wrong.push(format!("{start}: {} for {amount}", note["amount_total"])),
            _ => wrong.push(format!("{start}: {} times", found.len())),
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refund_is_one_credit_note_with_its_money() {
    let (rig, plus) = joined("graphql-refunds").await;
    let mut serving = rig.served().await;
    let (first, second) = (order(&rig, &plus, 1).await, order(&rig, &plus, 2).await);
    let bodies = [
        json!({ "amount": "3.00", "note": "For the scratch" }),
        json!({ "lines": [{ "sku": "MUG-001", "quantity": 1, "restock": true }] }),
        json!({ "lines": [{ "sku": "TEE-000-M", "quantity": 2, "restock": false }] }),
        json!({ "lines": [{ "sku": "MUG-001", "quantity": 3 }, { "sku": "TEE-000-M", "quantity": 1 }] }),
    ];
    let mut made = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        let order = if n < 3 { &first } else { &second };
        made.push(given(&rig, &plus, order, body).await);
    }
    assert_eq!(made[0].1, Decimal::from(3));
    // One that gives nothing back, as an edited order leaves behind: it is nobody's.
    let url = format!("{}/_twin/orders/{}/refund", plus.url(), first["id"]);
    rig.post(&url, &json!({})).await;

    let started = Instant::now();
    loop {
        let found = wrong(&notes(&rig).await, &made);
        if found.is_empty() {
            break;
        }
        let log = || std::fs::read_to_string(rig.folder.join("serve.log")).unwrap_or_default();
        assert!(started.elapsed() < WAIT, "{found:?}\n{}", log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    serving.kill();
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "the plan is not empty:\n{told}");
    let notes = notes(&rig).await;
    assert_eq!((wrong(&notes, &made), notes.len()), (vec![], made.len()), "and no other");
    let status = rig.status().await;
    assert_eq!((&status["conserved"], &status["dead"]), (&json!(true), &json!([])), "{status}");
}
