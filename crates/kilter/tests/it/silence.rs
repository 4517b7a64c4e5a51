//! Webhooks that stop without a word: told once, and polled instead.

use std::time::{Duration, Instant, SystemTime};

use crate::support::{self, Rig, until};
use serde_json::{Value, json};

async fn order_polls(rig: &Rig) -> u64 {
    let calls = rig.get(&format!("{}/_twin/calls", rig.de.url())).await;
    let routes = calls["routes"].as_object().unwrap().iter();
    let orders = routes.filter(|(route, _)| route.starts_with("GET") && route.ends_with("/orders"));
    orders.map(|(_, count)| count["calls"].as_u64().unwrap()).sum()
}

/// A week in which 40 webhooks came each hour, until so many hours before the end of the next: the test may
/// run over the full hour.
fn week(rig: &Rig, silent_hours: i64) {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let hour = i64::try_from(seconds).unwrap() / 3600;
    let mut database = rusqlite::Connection::open(rig.database()).unwrap();
    let tx = database.transaction().unwrap();
    tx.execute("DELETE FROM heard", []).unwrap();
    for then in hour - 8 * 24..hour + 2 - silent_hours {
        tx.execute("INSERT INTO heard VALUES ('de', ?1, 40)", [then]).unwrap();
    }
    tx.commit().unwrap();
}

fn told(status: &Value) -> bool {
    status.to_string().contains("no webhook came for")
}

/// Serves for so many seconds, or until orders were polled so often.
async fn polled(rig: &Rig, wanted: u64, seconds: u64) -> u64 {
    let before = order_polls(rig).await;
    let serving = rig.served().await;
    let started = Instant::now();
    let mut polls = 0;
    while polls < wanted && started.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        polls = order_polls(rig).await - before;
    }
    drop(serving);
    polls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_fell_silent_is_told_and_polled_at_once() {
    let rig = Rig::start("silence").await;
    rig.orders_hourly();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &support::seed(2, 5)).await;
    let (code, said) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{said}");
    // The first time the subscriptions are made, and what came before them is polled.
    assert_eq!(polled(&rig, 2, 60).await, 2);

    week(&rig, 0);
    assert_eq!(polled(&rig, 2, 10).await, 1, "nothing is amiss: once, as it starts");
    assert!(!told(&rig.status().await));
    week(&rig, 5);
    assert_eq!(polled(&rig, 2, 60).await, 2, "it fell silent: once more");
    let status = rig.status().await;
    assert!(told(&status), "{status}");
}

/// The shop's subscriptions, without those of others.
async fn subscribed(rig: &Rig) -> Vec<Value> {
    let path = "webhooks?per_page=100";
    let told = rig.call_shop(&rig.de.url(), reqwest::Method::GET, path, &json!({})).await;
    told.as_array().unwrap().clone()
}

/// A shop switches off what was not answered five times, people delete what they do not know, and a create
/// whose answer was lost landed late: one topic has two, of which one is off. Orders are polled once an
/// hour: only a webhook brings one at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_that_are_off_or_gone_are_mended_and_caught_up() {
    let rig = Rig::start("silence-off").await;
    rig.orders_hourly();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &support::seed(2, 50)).await;
    let (code, said) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(polled(&rig, 2, 60).await, 2, "as they are made");
    let all = subscribed(&rig).await;
    let of = |topic: &str| all.iter().find(|w| w["topic"] == topic).unwrap()["id"].clone();
    let off = json!({ "status": "disabled" });
    for topic in ["order.created", "order.updated"] {
        let path = format!("webhooks/{}", of(topic));
        rig.call_shop(&rig.de.url(), reqwest::Method::PUT, &path, &off).await;
    }
    let path = format!("webhooks/{}?force=true", of("product.updated"));
    rig.call_shop(&rig.de.url(), reqwest::Method::DELETE, &path, &json!({})).await;
    let ours = all.iter().find(|w| w["topic"] == "product.deleted").unwrap();
    for (address, status) in [
        (ours["delivery_url"].clone(), "active"),
        (ours["delivery_url"].clone(), "disabled"),
        (json!("http://127.0.0.1:9/of-others"), "disabled"),
    ] {
        let body = json!({ "name": "double", "topic": "product.deleted", "delivery_url": address,
            "secret": "s", "status": status });
        rig.call_shop(&rig.de.url(), reqwest::Method::POST, "webhooks", &body).await;
    }
    assert_eq!(subscribed(&rig).await.len(), all.len() + 2);

    let before = order_polls(&rig).await;
    let _serving = rig.served().await;
    until("they are on again", Duration::from_secs(30), async || {
        let now = subscribed(&rig).await;
        let on = now.iter().filter(|w| w["status"] == "active").count();
        let others = now.iter().filter(|w| w["delivery_url"] != ours["delivery_url"]).count();
        let right = (on, others, now.len()) == (all.len(), 1, all.len() + 1);
        if right { Ok(()) } else { Err(json!(now)) }
    })
    .await;
    until("what came meanwhile is polled", Duration::from_secs(30), async || {
        let polls = order_polls(&rig).await - before;
        if polls > 1 { Ok(()) } else { Err(json!(polls)) }
    })
    .await;
    let order = json!({ "lines": [{ "sku": "MUG-000", "quantity": 1 }], "billing": buyer() });
    rig.post(&format!("{}/_twin/orders", rig.de.url()), &order).await;
    until("the order is there at once", Duration::from_secs(30), async || {
        let erp = rig.get(&format!("{}/_twin/state?part=orders", rig.erp.url())).await;
        if erp["orders"].as_array().unwrap().len() == 1 { Ok(()) } else { Err(erp) }
    })
    .await;
}

fn buyer() -> Value {
    json!({ "first_name": "Ada", "last_name": "L", "email": "ada@example.com",
        "address_1": "Weg 1", "city": "Berlin", "postcode": "10115", "country": "DE" })
}
