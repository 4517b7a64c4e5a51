//! A cent of rounding, and answers that get lost: the line that settles it is added once, and what
//! waits for a person goes on waiting.

use std::time::{Duration, Instant};

use crate::support::{Rig, seed};
use serde_json::{Value, json};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three pieces for 20.00 and 19 %: 23.80, and no price a piece makes it.
async fn order(rig: &Rig) -> Value {
    let shop = rig.de.url();
    let body = json!({
        "lines": [{ "sku": "MUG-001", "quantity": 3 }], "payment_method": "stripe",
        "status": "pending",
        "billing": { "first_name": "Ada", "last_name": "L", "email": "ada@example.com",
            "address_1": "Weg 1", "city": "Berlin", "postcode": "10115", "country": "DE" },
    });
    let order = rig.post(&format!("{shop}/_twin/orders"), &body).await;
    let line = json!({ "id": order["line_items"][0]["id"], "quantity": 3,
        "subtotal": "20.00", "total": "20.00" });
    let body = json!({ "line_items": [line], "status": "processing" });
    let url = format!("{shop}/wp-json/wc/v3/orders/{}", order["id"]);
    let request = rig.http.put(url).basic_auth("ck_test", Some("cs_test"));
    let request = request.header("content-type", "application/json").body(body.to_string());
    let answer: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap())
        .expect("the order is changed");
    assert_eq!(answer["total"], "23.80", "{answer}");
    answer
}

async fn aligned(name: &str) -> Rig {
    let rig = Rig::start(name).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(2, 50)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    rig
}

/// The next answers to loads of orders get lost, before or after the work was done.
async fn lose(rig: &Rig, n: usize, apply: &str) {
    let fault = json!({ "fail_next": n, "status": 0, "apply": apply, "match": "sale.order/load" });
    rig.post(&format!("{}/_twin/faults", rig.erp.url()), &fault).await;
}

async fn sold(rig: &Rig) -> Vec<(String, String)> {
    let state = rig.get(&format!("{}/_twin/state?part=orders", rig.erp.url())).await;
    let word = |o: &Value, key: &str| kilter_core::manifest::plain(&o[key]);
    let orders = state["orders"].as_array().unwrap().iter();
    orders.map(|o| (word(o, "state"), word(o, "amount_total"))).collect()
}

/// Syncs until `done`.
async fn until(rig: &Rig, done: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !done().await {
        assert!(started.elapsed() < PATIENCE, "{:#}", rig.status().await["waits"]);
        let (code, told) = rig.run(&["sync"]).await;
        assert_eq!(code, 0, "{told}");
    }
}

/// The create's answer gets lost, and the rounding line's.
///
/// The line was not sent again: the order stayed a draft, and once its create was looked up, nobody
/// was told why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_whose_answer_got_lost_is_added_once() {
    for apply in ["before", "after"] {
        let rig = aligned(&format!("rounding-{apply}")).await;
        lose(&rig, 2, apply).await;
        order(&rig).await;
        let right = ("sale".to_owned(), "23.8".to_owned());
        until(&rig, async || sold(&rig).await.first() == Some(&right)).await;
        let faults = rig.get(&format!("{}/_twin/faults", rig.erp.url())).await;
        assert_eq!(faults["fail_next"], 0, "no answer got lost: {faults}");
        assert_eq!(sold(&rig).await, [right], "{apply}");
        let lines = rig.call_erp("sale.order.line/search", &json!({ "domain": [] })).await;
        assert_eq!(lines.as_array().unwrap().len(), 2, "the pieces and a cent: {lines}");
        let (code, told) = rig.run(&["sync"]).await;
        assert_eq!(code, 0, "{told}");
        let (code, told) = rig.run(&["plan"]).await;
        assert_eq!(code, 0, "{told}");
    }
}

/// Read before its create was looked up, it is held for its total: the look-up's answer lets it be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_stays_held_when_its_create_is_found() {
    let rig = aligned("rounding-held").await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    std::fs::write(rig.toml(), format!("{text}\n[limits]\nrounding_cents_max = 0\n")).unwrap();
    lose(&rig, 1, "after").await;
    order(&rig).await;
    let looked_up = async || {
        let file = rusqlite::Connection::open(rig.database()).unwrap();
        let found =
            file.query_row("SELECT status FROM intents WHERE resource = 'orders'", [], |row| {
                row.get::<_, String>(0)
            });
        found.is_ok_and(|status| status == "done")
    };
    until(&rig, looked_up).await;
    assert_eq!(sold(&rig).await, [("draft".to_owned(), "23.79".to_owned())]);
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let status = rig.status().await;
    let waits = status["waits"].as_array().unwrap().iter().map(|w| w["reason"].to_string());
    let held: Vec<String> = waits.filter(|w| w.contains("the total differs")).collect();
    assert_eq!(held.len(), 1, "{status:#}");
}
