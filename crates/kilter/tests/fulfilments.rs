//! A shop whose feature of fulfilments is on gets one for each order that was sent whole, once, though
//! the answer to its create is lost.

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Rig, seed};

const WAIT: Duration = Duration::from_secs(60);

async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Result<T, Value>) -> T {
    let started = Instant::now();
    loop {
        match found().await {
            Ok(found) => return found,
            Err(seen) => assert!(started.elapsed() < WAIT, "{what}: {seen}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_sent_whole_is_one_fulfilment_with_its_number() {
    let rig = Rig::start("fulfilments").await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let text = text.replace("[connection.de]\n", "[connection.de]\nfulfilments = \"yes\"\n");
    std::fs::write(rig.toml(), text).unwrap();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(4, 50)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let _serving = rig.served().await;
    let order = json!({ "lines": [{ "sku": "MUG-001", "quantity": 3 }, { "sku": "MUG-002", "quantity": 1 }],
        "payment_method": "stripe", "billing": { "first_name": "Ada", "last_name": "B",
            "email": "ada@example.com", "address_1": "Weg 1", "city": "Berlin",
            "postcode": "10115", "country": "DE" } });
    let order = rig.post(&format!("{}/_twin/orders", rig.de.url()), &order).await;
    let sold = until("the order in the ERP", async || {
        let erp = rig.get(&format!("{}/_twin/state?part=orders", rig.erp.url())).await;
        let orders = erp["orders"].as_array().unwrap().iter();
        let mut confirmed = orders.filter(|o| o["state"] == "sale");
        confirmed.next().cloned().ok_or(erp.clone())
    })
    .await;
    // The shop does the work, and its answer is lost.
    let fault = json!({ "fail_next": 1, "status": 0, "apply": "after", "match": "fulfillments" });
    rig.post(&format!("{}/_twin/faults", rig.de.url()), &fault).await;
    let parcel = json!([{ "order_id": sold["id"], "tracking": "DHL-7", "carrier": "DHL" }]);
    rig.post(&format!("{}/_twin/ship", rig.erp.url()), &parcel).await;

    let url = format!("{}/wp-json/wc/v3/orders/{}/fulfillments", rig.de.url(), order["id"]);
    let listed = async || {
        let answer =
            rig.http.get(&url).basic_auth("ck_test", Some("cs_test")).send().await.unwrap();
        serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()
    };
    let told = until("the fulfilment", async || {
        let all = listed().await;
        if all.as_array().is_some_and(|all| !all.is_empty()) { Ok(all) } else { Err(all) }
    })
    .await;
    let meta = |key: &str| {
        let all = told[0]["meta_data"].as_array().unwrap().iter();
        all.clone().find(|m| m["key"] == key).map(|m| m["value"].clone()).unwrap_or_default()
    };
    assert_eq!(meta("_tracking_number"), "DHL-7", "{told}");
    let pieces: i64 =
        meta("_items").as_array().unwrap().iter().map(|i| i["qty"].as_i64().unwrap()).sum();
    assert_eq!(pieces, 4, "{told}");

    // Found again by its number, and never made a second time.
    until("nothing waits", async || {
        let status = rig.status().await;
        let waits: Vec<Value> = status["waits"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|w| w["resource"] == "fulfilments")
            .cloned()
            .collect();
        if waits.is_empty() { Ok(()) } else { Err(json!(waits)) }
    })
    .await;
    assert_eq!(listed().await.as_array().unwrap().len(), 1);
}
