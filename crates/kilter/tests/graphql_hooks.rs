//! Webhooks that name their delivery, are signed by one of two secrets, and only say what to read.

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use kilter_twin::{Options, Running};
use serde_json::{Value, json};
use support::{Rig, Serving, seed};

const WAIT: Duration = Duration::from_secs(30);

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

/// The rig with a third shop that speaks GraphQL, all aligned and served.
async fn served(name: &str) -> (Rig, Running, Serving) {
    let rig = Rig::start(name).await;
    let settings = [("plan", "plus"), ("currency", "USD"), ("locations", "main, west")];
    let settings: BTreeMap<String, String> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let options = Options { port: None, seed: 7, settings };
    let plus = kilter_twin::start("shopify", options).await.unwrap();
    let shop = rig.get(&format!("{}/_twin/state", plus.url())).await;
    let locations = shop["locations"].as_array().unwrap().iter();
    let ids: Vec<&str> = locations.map(|l| l["gid"].as_str().unwrap()).collect();
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let table = format!(
        "\n[connection.plus]\nconnector = \"shopify\"\nurl = \"{}\"\ntoken = \"shpat_twin\"\n\
         client_secret = \"hush\"\nformer_secret = \"once\"\nlocale = \"en_US\"\ncurrency = \"USD\"\n\
         price_list = \"retail-usd\"\nlocations = {{ main = \"{}\", west = \"{}\" }}\n",
        plus.url(),
        ids[0],
        ids[1],
    );
    std::fs::write(rig.toml(), text + &table).unwrap();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(4, 50)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "{told}");
    let serving = rig.served().await;
    (rig, plus, serving)
}

async fn hook(rig: &Rig, topic: &str, id: &str, body: &str, signed: &str) -> u16 {
    let url = format!("http://127.0.0.1:{}/hooks/plus", rig.port);
    let request = rig.http.post(url).header("content-type", "application/json");
    let request = request.header("x-shopify-topic", topic).header("x-shopify-webhook-id", id);
    let request = request.header("x-shopify-hmac-sha256", signed).body(body.to_owned());
    request.send().await.map_or(0, |answer| answer.status().as_u16())
}

fn kept(rig: &Rig, text: &str) -> usize {
    let database = rusqlite::Connection::open(rig.database()).unwrap();
    let sql = "SELECT count(*) FROM changes WHERE via = 'hook' AND body LIKE '%' || ?1 || '%'";
    database.query_row(sql, [text], |r| r.get::<_, i64>(0)).unwrap().try_into().unwrap()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> Result<(), Value>) {
    let started = Instant::now();
    while let Err(seen) = holds().await {
        assert!(started.elapsed() < WAIT, "{what}: {seen}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_secret_signs_a_delivery_counts_once_and_personal_requests_are_not_kept() {
    let (rig, _plus, _serving) = served("graphql-hooks").await;
    let body = r#"{"id":820982911946154508,"email":"jon@example.com"}"#;
    // The vendor's documentation gives this signature for the secret and body.
    let given = "D0UMXmhjwBRi4y66TmhJrDlhQABD7zI2fm3p6/QLMo8=";
    assert_eq!(hook(&rig, "orders/paid", "d-1", body, given).await, 202);
    let old = signature("once", body);
    assert_eq!(hook(&rig, "orders/paid", "d-2", body, &old).await, 202, "the former secret");
    let wrong = signature("never", body);
    assert_eq!(hook(&rig, "orders/paid", "d-3", body, &wrong).await, 401);
    assert_eq!(hook(&rig, "orders/paid", "d-3", body, "").await, 401);
    assert_eq!(kept(&rig, "orders/paid"), 2, "what does not hold is not kept");

    assert_eq!(hook(&rig, "orders/paid", "d-1", body, given).await, 202, "the same delivery again");
    assert_eq!(kept(&rig, "again"), 1, "is counted, and told apart");

    let person = r#"{"shop_id":954889,"customer":{"id":191167,"email":"john@example.com"}}"#;
    for topic in ["customers/data_request", "customers/redact", "shop/redact"] {
        let signed = signature("hush", person);
        assert_eq!(hook(&rig, topic, topic, person, &signed).await, 202);
        assert_eq!(kept(&rig, topic), 1, "{topic} is counted");
    }
    assert_eq!(kept(&rig, "john@example.com"), 0, "and nothing personal of it kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_in_the_shop_arrives_by_webhook_long_before_a_poll() {
    let (rig, plus, _serving) = served("graphql-served").await;
    let subscribed = async || {
        let hooks = rig.get(&format!("{}/_twin/webhooks", plus.url())).await;
        if hooks["subscriptions"] == 12 { Ok(()) } else { Err(hooks) }
    };
    until("subscriptions", subscribed).await;

    let order = json!({ "lines": [{ "sku": "MUG-001", "quantity": 3 }], "check_stock": true,
        "customer": { "email": "ada@example.com", "firstName": "Ada", "lastName": "Byron" },
        "billing": { "firstName": "Ada", "lastName": "Byron", "address1": "1 Main St",
            "city": "Springfield", "zip": "12345", "countryCode": "US" } });
    let at = Instant::now();
    rig.post(&format!("{}/_twin/orders", plus.url()), &order).await;
    let arrived = async || {
        let erp = rig.get(&format!("{}/_twin/state", rig.erp.url())).await;
        let orders = &erp["sale.order"];
        let text = erp.to_string();
        if text.contains("PLUS-") { Ok(()) } else { Err(orders.clone()) }
    };
    until("the order in the ERP", arrived).await;
    assert!(at.elapsed() < Duration::from_secs(30), "orders are polled every minute");
}
