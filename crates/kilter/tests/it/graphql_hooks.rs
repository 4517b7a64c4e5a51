//! Webhooks that name their delivery, are signed by one of two secrets, and only say what to read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::{Rig, Serving, seed};
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use kilter_twin::{Options, Running};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(30);

/// The kind of shop: its headers bear its name.
const KIND: &str = "shopify"; // tidy: names

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
        "\n[connection.plus]\nconnector = \"{KIND}\"\nurl = \"{}\"\ntoken = \"shpat_twin\"\n\
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

fn named(header: &str) -> String {
    format!("x-{KIND}-{header}")
}

async fn hook(rig: &Rig, topic: &str, id: &str, body: &str, signed: &str) -> u16 {
    let url = format!("http://127.0.0.1:{}/hooks/plus", rig.port);
    let request = rig.http.post(url).header("content-type", "application/json");
    let request = request.header(named("topic"), topic).header(named("webhook-id"), id);
    let request = request.header(named("hmac-sha256"), signed).body(body.to_owned());
    request.send().await.map_or(0, |answer| answer.status().as_u16())
}

fn kept(rig: &Rig, text: &str) -> usize {
    let database = rusqlite::Connection::open(rig.database()).unwrap();
    let sql = "SELECT count(*) FROM changes JOIN bodies USING (seq) WHERE via = 'hook' AND body LIKE '%' || ?1 || '%'";
    database.query_row(sql, [text], |r| r.get::<_, i64>(0)).unwrap().try_into().unwrap()
}

/// The log takes over what was kept beside it a moment later.
async fn kept_soon(rig: &Rig, text: &str, n: usize) -> usize {
    let started = Instant::now();
    while kept(rig, text) < n && started.elapsed() < WAIT {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    kept(rig, text)
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
    assert_eq!(kept_soon(&rig, "orders/paid", 2).await, 2, "what does not hold is not kept");

    assert_eq!(hook(&rig, "orders/paid", "d-1", body, given).await, 202, "the same delivery again");
    assert_eq!(kept_soon(&rig, "again", 1).await, 1, "is counted, and told apart");

    let person = r#"{"shop_id":954889,"customer":{"id":191167,"email":"john@example.com"}}"#;
    for topic in ["customers/data_request", "customers/redact", "shop/redact"] {
        let signed = signature("hush", person);
        assert_eq!(hook(&rig, topic, topic, person, &signed).await, 202);
        assert_eq!(kept_soon(&rig, topic, 1).await, 1, "{topic} is counted");
    }
    assert_eq!(kept(&rig, "john@example.com"), 0, "and nothing personal of it kept");
}

/// An order, which is told long before it would be polled; its id in the ERP.
async fn bought(rig: &Rig, plus: &Running) -> Value {
    let order = json!({ "lines": [{ "sku": "MUG-001", "quantity": 3 }], "check_stock": true,
        "customer": { "email": "ada@example.com", "firstName": "Ada", "lastName": "Byron" },
        "billing": { "firstName": "Ada", "lastName": "Byron", "address1": "1 Main St",
            "city": "Springfield", "zip": "12345", "countryCode": "US" } });
    let at = Instant::now();
    rig.post(&format!("{}/_twin/orders", plus.url()), &order).await;
    let in_erp = async || {
        let erp = rig.get(&format!("{}/_twin/state?part=orders", rig.erp.url())).await;
        let orders = erp["orders"].as_array().unwrap().clone();
        let ours = orders
            .iter()
            .find(|o| o["client_order_ref"].as_str().unwrap_or("").starts_with("PLUS-"));
        ours.filter(|o| o["state"] == "sale").cloned().ok_or(erp)
    };
    until("the order in the ERP", async || in_erp().await.map(|_| ())).await;
    assert!(at.elapsed() < Duration::from_secs(30), "orders are polled every minute");

    in_erp().await.unwrap()["id"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_in_the_shop_arrives_by_webhook_long_before_a_poll() {
    let (rig, plus, _serving) = served("graphql-served").await;
    let subscribed = async || {
        let hooks = rig.get(&format!("{}/_twin/webhooks", plus.url())).await;
        if hooks["subscriptions"] == 14 { Ok(()) } else { Err(hooks) }
    };
    until("subscriptions", subscribed).await;

    let id = bought(&rig, &plus).await;
    let parcel = json!([{ "order_id": id, "tracking": "UPS-1", "carrier": "UPS" }]);
    rig.post(&format!("{}/_twin/ship", rig.erp.url()), &parcel).await;
    let shipped = async || {
        let shop = rig.get(&format!("{}/_twin/state", plus.url())).await;
        let all = shop["fulfillments"].as_array().unwrap().clone();
        if all.len() == 1 && all[0].to_string().contains("UPS-1") {
            Ok(())
        } else {
            Err(json!(all))
        }
    };
    until("the tracking number in the shop", shipped).await;
    // What was told once is not told again.
    tokio::time::sleep(Duration::from_secs(6)).await;
    until("one fulfilment", shipped).await;

    // One piece of three is given back with its line, two dollars more without any.
    let shop = rig.get(&format!("{}/_twin/state", plus.url())).await;
    let order = shop["orders"][0]["id"].clone();
    let refund = |body: Value| {
        let url = format!("{}/_twin/orders/{order}/refund", plus.url());
        let rig = &rig;
        async move { rig.post(&url, &body).await }
    };
    refund(json!({ "lines": [{ "sku": "MUG-001", "quantity": 1, "restock": false }] })).await;
    refund(json!({ "amount": "2.00", "lines": [] })).await;
    let query = json!({ "query": "{ orders(first: 1) { nodes { refunds { totalRefundedSet { \
        shopMoney { amount } } } } } }" });
    let url = format!("{}/admin/api/2026-10/graphql.json", plus.url());
    let request = rig.http.post(url).header(named("access-token"), "shpat_twin");
    let request = request.header("content-type", "application/json").body(query.to_string());
    let told: Value =
        serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    let refunds = told["data"]["orders"]["nodes"][0]["refunds"].as_array().unwrap().clone();
    let amount = |v: &Value| v.as_str().map_or(v.as_f64(), |t| t.parse().ok()).unwrap();
    let mut given: Vec<f64> =
        refunds.iter().map(|r| amount(&r["totalRefundedSet"]["shopMoney"]["amount"])).collect();
    given.sort_by(f64::total_cmp);
    assert_eq!((given.len(), given[0]), (2, 2.0), "{told}");
    let credited = async || {
        let erp = rig.get(&format!("{}/_twin/state?part=invoices", rig.erp.url())).await;
        let notes = erp["invoices"].as_array().cloned().unwrap_or_default();
        let notes = notes.iter().filter(|m| m["move_type"] == "out_refund");
        let mut there: Vec<f64> = notes.map(|m| amount(&m["amount_total"])).collect();
        there.sort_by(f64::total_cmp);
        if there == given { Ok(()) } else { Err(json!([there, given])) }
    };
    until("a credit note for each refund", credited).await;
}
