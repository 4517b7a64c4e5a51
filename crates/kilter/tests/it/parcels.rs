//! An order that leaves in two parcels: its shop hears of each when it leaves, with the pieces that it
//! holds, once, though an answer is lost. What the shop holds back is told once it is released.

use std::time::{Duration, Instant};

use crate::support::third::joined;
use crate::support::{Rig, until};
use kilter_twin::Running;
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(90);

/// Three mugs and another one, bought by `who`; the order in the shop, and its id in the ERP.
async fn bought(rig: &Rig, plus: &Running, who: &str) -> (Value, Value) {
    let body = json!({
        "lines": [{ "sku": "MUG-001", "quantity": 3 }, { "sku": "MUG-002", "quantity": 1 }],
        "customer": { "email": format!("{who}@example.com"), "firstName": who, "lastName": "B" },
        "billing": { "firstName": who, "lastName": "B", "address1": "Weg 1", "city": "Berlin",
            "zip": "10115", "countryCode": "DE" },
    });
    let order = rig.post(&format!("{}/_twin/orders", plus.url()), &body).await;
    let number = order["name"].as_str().unwrap().trim_start_matches('#').to_owned();
    let sold = until("the order in the ERP", WAIT, async || {
        let erp = rig.get(&format!("{}/_twin/state?part=orders", rig.erp.url())).await;
        let ours = |o: &&Value| {
            let reference = o["client_order_ref"].as_str().unwrap_or_default();
            reference.starts_with("PLUS-") && reference.contains(&number) && o["state"] == "sale"
        };
        erp["orders"].as_array().unwrap().iter().find(ours).map(|o| o["id"].clone()).ok_or(erp)
    })
    .await;
    (order, sold)
}

async fn ship(rig: &Rig, order: &Value, number: &str, pieces: Option<Value>) {
    let parcel = json!([{ "order_id": order, "tracking": number, "carrier": "DHL",
        "partial": pieces }]);
    rig.post(&format!("{}/_twin/ship", rig.erp.url()), &parcel).await;
}

/// The order's fulfilments: number, and (SKU, pieces) of each.
async fn told(rig: &Rig, plus: &Running, order: &Value) -> Vec<(String, Vec<(String, i64)>)> {
    let orders = rig.get(&format!("{}/_twin/orders", plus.url())).await;
    let order = orders.as_array().unwrap().iter().find(|o| o["id"] == order["id"]).cloned();
    let parcels = order.unwrap()["fulfillments"].as_array().cloned().unwrap_or_default();
    let lines = |parcel: &Value| {
        let lines = parcel["line_items"].as_array().unwrap().iter();
        let mut lines: Vec<(String, i64)> = lines
            .map(|l| (l["sku"].as_str().unwrap().to_owned(), l["quantity"].as_i64().unwrap()))
            .collect();
        lines.sort();
        lines
    };
    let number = |p: &Value| p["tracking_number"].as_str().unwrap_or_default().to_owned();
    let mut told: Vec<_> = parcels.iter().map(|p| (number(p), lines(p))).collect();
    told.sort();
    told
}

fn parcel(number: &str, lines: &[(&str, i64)]) -> (String, Vec<(String, i64)>) {
    (number.to_owned(), lines.iter().map(|(sku, n)| ((*sku).to_owned(), *n)).collect())
}

async fn shows(rig: &Rig, plus: &Running, order: &Value, wanted: &[(String, Vec<(String, i64)>)]) {
    until("parcels in the shop", WAIT, async || {
        let told = told(rig, plus, order).await;
        if told == wanted {
            return Ok(());
        }
        Err(json!({ "told": told, "status": rig.status().await["waits"] }))
    })
    .await;
}

/// Fulfilments whose answer never came.
fn uncertain(rig: &Rig) -> i64 {
    let database = rusqlite::Connection::open(rig.database()).unwrap();
    let sql = "SELECT count(*) FROM deliveries WHERE outcome = 'uncertain' AND call LIKE ?1";
    database.query_row(sql, ["plus fulfilments"], |r| r.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_parcel_is_told_when_it_leaves_with_what_it_holds_and_once() {
    let (rig, plus) = joined("parcels").await;
    let _serving = rig.served().await;
    one_after_the_other(&rig, &plus).await;
    all_at_once(&rig, &plus).await;
    held_back(&rig, &plus).await;
}

async fn one_after_the_other(rig: &Rig, plus: &Running) {
    let (order, sold) = bought(rig, plus, "ada").await;
    ship(rig, &sold, "DHL-1", Some(json!({ "MUG-001": 2 }))).await;
    let first = parcel("DHL-1", &[("MUG-001", 2)]);
    shows(rig, plus, &order, std::slice::from_ref(&first)).await;

    // The second is fulfilled, and its answer is lost.
    let lost = json!({ "fail_next": 1, "status": 502, "writes_only": true, "apply": "before" });
    rig.post(&format!("{}/_twin/faults", plus.url()), &lost).await;
    ship(rig, &sold, "DHL-2", None).await;
    let both = [first, parcel("DHL-2", &[("MUG-001", 1), ("MUG-002", 1)])];
    shows(rig, plus, &order, &both).await;
    assert_eq!(uncertain(rig), 1, "the answer that was lost was another's");
    nothing_waits(rig).await;
    assert_eq!(told(rig, plus, &order).await, both);
}

/// Three parcels that are due together: each closes what the ones before it left open.
async fn all_at_once(rig: &Rig, plus: &Running) {
    let (order, sold) = bought(rig, plus, "dan").await;
    for number in ["UPS-1", "UPS-2"] {
        ship(rig, &sold, number, Some(json!({ "MUG-001": 1 }))).await;
    }
    ship(rig, &sold, "UPS-3", None).await;
    let one = |number| parcel(number, &[("MUG-001", 1)]);
    let rest = parcel("UPS-3", &[("MUG-001", 1), ("MUG-002", 1)]);
    shows(rig, plus, &order, &[one("UPS-1"), one("UPS-2"), rest]).await;
    nothing_waits(rig).await;
}

/// One that the shop holds back waits, and no other with it.
async fn held_back(rig: &Rig, plus: &Running) {
    let (held, sold_held) = bought(rig, plus, "bob").await;
    let office = format!("{}/_twin/orders/{}", plus.url(), held["id"]);
    rig.post(&format!("{office}/hold"), &json!({ "reason": "INCORRECT_ADDRESS" })).await;
    ship(rig, &sold_held, "DHL-3", Some(json!({ "MUG-001": 3 }))).await;
    until("a sentence", WAIT, async || {
        let waits = rig.status().await["waits"].clone();
        let said = waits.to_string();
        let right = said.contains("holds") && said.contains("on hold") && said.contains("DHL-3");
        if right { Ok(()) } else { Err(waits) }
    })
    .await;
    let (free, sold_free) = bought(rig, plus, "eve").await;
    ship(rig, &sold_free, "DHL-4", None).await;
    let all = [("MUG-001", 3), ("MUG-002", 1)];
    shows(rig, plus, &free, &[parcel("DHL-4", &all)]).await;
    assert_eq!(told(rig, plus, &held).await, []);
    // With KILTER_QUIET=1 no webhook says so: it is looked at again after a minute.
    let quiet = std::env::var_os("KILTER_QUIET").is_some();
    let faults = json!({ "drop_webhooks": quiet });
    rig.post(&format!("{}/_twin/faults", plus.url()), &faults).await;
    rig.post(&format!("{office}/release"), &json!({})).await;
    let released = Instant::now();
    shows(rig, plus, &held, &[parcel("DHL-3", &[("MUG-001", 3)])]).await;
    assert!(quiet || released.elapsed() < Duration::from_secs(30), "the shop said so by a webhook");
}

async fn nothing_waits(rig: &Rig) {
    until("nothing waits", WAIT, async || {
        let waits = rig.status().await["waits"].clone();
        if waits == json!([]) { Ok(()) } else { Err(waits) }
    })
    .await;
}
