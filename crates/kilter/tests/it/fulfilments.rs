//! A shop whose feature of fulfilments is on gets one for each parcel, with the pieces that it holds, once,
//! though the answer to its create is lost.

use std::time::Duration;

use crate::support::{Rig, seed, until};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(60);

/// Three mugs and another one.
fn order() -> Value {
    json!({ "lines": [{ "sku": "MUG-001", "quantity": 3 }, { "sku": "MUG-002", "quantity": 1 }],
        "payment_method": "stripe", "billing": { "first_name": "Ada", "last_name": "B",
            "email": "ada@example.com", "address_1": "Weg 1", "city": "Berlin",
            "postcode": "10115", "country": "DE" } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_parcel_is_one_fulfilment_with_its_number_and_its_pieces() {
    let rig = Rig::start("fulfilments").await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let text = text.replace("[connection.de]\n", "[connection.de]\nfulfilments = \"yes\"\n");
    std::fs::write(rig.toml(), text).unwrap();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(4, 50)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let _serving = rig.served().await;
    let order = rig.post(&format!("{}/_twin/orders", rig.de.url()), &order()).await;
    let sold = until("the order in the ERP", WAIT, async || {
        let erp = rig.get(&format!("{}/_twin/state?part=orders", rig.erp.url())).await;
        let orders = erp["orders"].as_array().unwrap().iter();
        let mut confirmed = orders.filter(|o| o["state"] == "sale");
        confirmed.next().cloned().ok_or(erp.clone())
    })
    .await;
    // The shop does the work, and its answer is lost.
    let fault = json!({ "fail_next": 1, "status": 0, "apply": "after", "match": "fulfillments" });
    rig.post(&format!("{}/_twin/faults", rig.de.url()), &fault).await;
    let ship = async |number: &str, pieces: Value| {
        let parcel = json!([{ "order_id": sold["id"], "tracking": number, "carrier": "DHL",
            "partial": pieces }]);
        rig.post(&format!("{}/_twin/ship", rig.erp.url()), &parcel).await;
    };
    ship("DHL-7", json!({ "MUG-001": 2 })).await;

    let url = format!("{}/wp-json/wc/v3/orders/{}/fulfillments", rig.de.url(), order["id"]);
    let listed = async || {
        let answer =
            rig.http.get(&url).basic_auth("ck_test", Some("cs_test")).send().await.unwrap();
        serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()
    };
    let parcels = async |wanted: &[(&str, &[i64])]| {
        until("the fulfilments", WAIT, async || {
            let all = listed().await;
            let meta = |one: &Value, key: &str| {
                let all = one["meta_data"].as_array().unwrap().iter();
                all.clone()
                    .find(|m| m["key"] == key)
                    .map(|m| m["value"].clone())
                    .unwrap_or_default()
            };
            let told = all.as_array().into_iter().flatten().map(|one| {
                let items = meta(one, "_items").as_array().cloned().unwrap_or_default();
                let pieces: Vec<i64> = items.iter().filter_map(|i| i["qty"].as_i64()).collect();
                (meta(one, "_tracking_number"), pieces)
            });
            let told: Vec<(Value, Vec<i64>)> = told.collect();
            let wanted = wanted.iter().map(|(number, pieces)| (json!(number), pieces.to_vec()));
            if told == wanted.collect::<Vec<_>>() { Ok(()) } else { Err(all) }
        })
        .await;
    };
    parcels(&[("DHL-7", &[2])]).await;
    ship("DHL-8", Value::Null).await;
    parcels(&[("DHL-7", &[2]), ("DHL-8", &[1, 1])]).await;

    // Found again by its number, and never made a second time.
    until("nothing waits", WAIT, async || {
        let waits = rig.status().await["waits"].clone();
        let ours = waits.as_array().unwrap().iter().any(|w| w["resource"] == "fulfilments");
        if ours { Err(waits) } else { Ok(()) }
    })
    .await;
    assert_eq!(listed().await.as_array().unwrap().len(), 2);
}
