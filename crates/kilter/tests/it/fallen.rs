//! A figure that fell in a shop waits for the shop's orders: they are asked for then, not at their next time.

use std::time::{Duration, Instant};

use crate::support::{Rig, seed, until};
use serde_json::{Value, json};

/// What the shop sells one of now.
async fn stock(rig: &Rig) -> (Value, Value) {
    let path = "products?sku=MUG-000";
    let told = rig.call_shop(&rig.de.url(), reqwest::Method::GET, path, &json!({})).await;
    (told[0]["id"].clone(), told[0]["stock_quantity"].clone())
}

/// A read that a write of ours had overtaken looks like a sale: eight of ten thousand figures in a storm of
/// webhooks stood a minute longer than all others, for orders that were polled once a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fell_does_not_wait_for_the_next_time_that_orders_are_polled() {
    let rig = Rig::start("fallen").await;
    rig.orders_hourly();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(2, 10)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let (id, known) = stock(&rig).await;
    let serving = rig.served().await;
    // What is polled as it begins was asked for before anything falls.
    tokio::time::sleep(Duration::from_secs(3)).await;

    // A clerk of the shop counts wrong. Nothing was sold, and only the orders can say so.
    let wrong = json!({ "stock_quantity": known.as_i64().unwrap() - 1 });
    let path = format!("products/{id}");
    rig.call_shop(&rig.de.url(), reqwest::Method::PUT, &path, &wrong).await;
    let began = Instant::now();
    until("it shows the ERP's figure again", Duration::from_secs(60), async || {
        let (_, shown) = stock(&rig).await;
        if shown == known { Ok(()) } else { Err(rig.status().await["waiting"].clone()) }
    })
    .await;
    println!("raised again after {:?}", began.elapsed());
    drop(serving);
}
