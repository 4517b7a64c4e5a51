//! Together: a step that many orders take by one call, and what becomes of them where it is refused.
//!
//! Reads   the ERP's orders, and what was called.   Writes  orders into a shop.
//! Never   asks what an order waits for while it may still go on.

use std::time::{Duration, Instant};

use crate::support::{Rig, seed};
use serde_json::json;

const ORDERS: i64 = 5;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Orders of one shop, in the ERP's hands; the next calls to confirm end with these. How many calls to
/// confirm them it took.
async fn confirmed(name: &str, ends: &[u16]) -> i64 {
    let rig = Rig::start(name).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(2, 50)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    // An answer that gets lost is lost once the work was done.
    let apply = |status: u16| if status == 0 { "after" } else { "before" };
    if let Some((&status, then)) = ends.split_first() {
        let then: Vec<_> = then.iter().map(|&status| (status, apply(status))).collect();
        let fault = json!({ "fail_next": ends.len(), "status": status, "apply": apply(status),
            "then": then, "match": "sale.order/action_confirm" });
        rig.post(&format!("{}/_twin/faults", rig.erp.url()), &fault).await;
    }
    for n in 0..ORDERS {
        let body = json!({ "lines": [{ "sku": "MUG-001", "quantity": 1 }], "status": "processing",
            "payment_method": "stripe",
            "billing": { "first_name": "Ada", "last_name": "L", "email": format!("ada{n}@example.com"),
                "address_1": "Weg 1", "city": "Berlin", "postcode": "10115", "country": "DE" } });
        rig.post(&format!("{}/_twin/orders", rig.de.url()), &body).await;
    }
    let started = Instant::now();
    loop {
        let (code, told) = rig.run(&["sync"]).await;
        assert_eq!(code, 0, "{told}");
        let sold = json!({ "domain": [["state", "=", "sale"]] });
        if rig.call_erp("sale.order/search_count", &sold).await == json!(ORDERS) {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{:#}", rig.status().await["waits"]);
    }
    let all = rig.call_erp("sale.order/search_count", &json!({ "domain": [] })).await;
    assert_eq!(all, json!(ORDERS), "each once");
    if !ends.is_empty() {
        let faults = rig.get(&format!("{}/_twin/faults", rig.erp.url())).await;
        assert_eq!(faults["fail_next"], 0, "the fault was not met: {faults}");
    }
    // What was asked of it is known by now, and nothing of it waits.
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(rig.status().await["waits"], json!([]));
    let file = rusqlite::Connection::open(rig.database()).unwrap();
    let calls = "SELECT count(*) FROM exchanges WHERE path LIKE '%sale.order/action_confirm'";
    file.query_row(calls, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_confirmed_by_one_call() {
    assert_eq!(confirmed("together", &[]).await, 1);
}

/// Of a call that is refused nobody knows which order it was about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_together_goes_alone() {
    assert_eq!(confirmed("together-refused", &[422]).await, 1 + ORDERS);
}

/// One of them is refused alone as well: the others are not held up by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_alone_holds_up_nobody() {
    assert_eq!(confirmed("together-alone", &[422, 422]).await, 1 + ORDERS + 1);
}

/// The ERP confirmed all of them, and its answer got lost: they are looked at, and not confirmed again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_lost_for_all_confirms_none_twice() {
    assert_eq!(confirmed("together-lost", &[0]).await, 1);
}

/// Refused together, each goes alone; the first of them finds that the ERP is ill, and the others wait
/// with it: nobody asks one that is ill once for each order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erp_that_is_ill_is_not_asked_once_for_each_order() {
    let calls = confirmed("together-ill", &[422, 503]).await;
    // All together, the first alone, and later those that waited, with the first or after it.
    assert!((3..=4).contains(&calls), "{calls} calls");
}
