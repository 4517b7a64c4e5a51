//! What happens to an order after it was sent: a clerk edits it in the ERP, the shop edits or cancels it.
//! A clerk's edit is never repaired; a shop's is told with both totals; two shops never meet.

use crate::support::{Rig, seed};
use serde_json::{Value, json};

async fn order(rig: &Rig, shop: &str, status: &str) -> Value {
    let body = json!({
        "lines": [{ "sku": "MUG-001", "quantity": 1 }], "payment_method": "stripe",
        "status": status,
        "billing": { "first_name": "Ada", "last_name": "L", "email": "ada@example.com",
            "address_1": "Weg 1", "city": "Berlin", "postcode": "10115", "country": "DE" },
    });
    rig.post(&format!("{shop}/_twin/orders"), &body).await
}

async fn change(rig: &Rig, order: &Value, body: &Value) {
    let url = format!("{}/wp-json/wc/v3/orders/{}", rig.de.url(), order["id"]);
    let request = rig.http.put(url).basic_auth("ck_test", Some("cs_test"));
    let request = request.header("content-type", "application/json").body(body.to_string());
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// The ERP's orders: reference, state, total.
async fn sold(rig: &Rig) -> Vec<(String, String, String)> {
    let state = rig.get(&format!("{}/_twin/state?part=orders", rig.erp.url())).await;
    let word = |o: &Value, key: &str| kilter_core::manifest::plain(&o[key]);
    let orders = state["orders"].as_array().unwrap().iter();
    orders
        .map(|o| (word(o, "client_order_ref"), word(o, "state"), word(o, "amount_total")))
        .collect()
}

async fn sync(rig: &Rig) -> Vec<String> {
    let (code, told) = rig.run(&["sync", "--json"]).await;
    assert_eq!(code, 0, "{told}");
    let line = told.lines().find(|line| line.starts_with('{')).unwrap();
    let told: Value = serde_json::from_str(line).unwrap();
    let waits = told["waits"].as_array().unwrap().iter();
    waits.map(|w| w["reason"].as_str().unwrap().to_owned()).collect()
}

async fn aligned(name: &str, config: &[(&str, &str)]) -> Rig {
    let rig = Rig::start(name).await;
    let mut text = std::fs::read_to_string(rig.toml()).unwrap();
    for (from, to) in config {
        assert!(text.contains(from), "{text}");
        text = text.replace(from, to);
    }
    std::fs::write(rig.toml(), text).unwrap();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(4, 50)).await;
    assert_eq!(sync(&rig).await, Vec::<String>::new());
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clerks_edit_is_left_alone_and_a_shops_is_told_with_both_totals() {
    let rig = aligned("edited-both", &[]).await;
    let made = order(&rig, &rig.de.url(), "processing").await;
    assert_eq!(sync(&rig).await, Vec::<String>::new());
    let [(reference, state, total)] = &sold(&rig).await[..] else { panic!("one order") };
    assert_eq!((state.as_str(), total.as_str()), ("sale", "11.9"));

    // A clerk agreed on three pieces by telephone: 3 × 11.90.
    let lines = json!({ "domain": [["order_id.client_order_ref", "=", reference]] });
    let lines = rig.call_erp("sale.order.line/search", &lines).await;
    let body = json!({ "ids": lines, "vals": { "product_uom_qty": 3, "price_unit": 11.9 } });
    rig.call_erp("sale.order.line/write", &body).await;
    let edited = (reference.clone(), "sale".to_owned(), "35.7".to_owned());
    assert_eq!(sold(&rig).await, std::slice::from_ref(&edited), "as the clerk has it");
    assert_eq!(sync(&rig).await, Vec::<String>::new(), "it is nobody's question");
    assert_eq!(sold(&rig).await, std::slice::from_ref(&edited), "and is not repaired");

    // The shop edits its own: two pieces. Both sides are shown, and the ERP's is left alone.
    let line = &made["line_items"][0];
    let lines = json!({ "line_items": [{ "id": line["id"], "quantity": 2,
        "subtotal": "20.00", "total": "20.00" }] });
    change(&rig, &made, &lines).await;
    let waits = sync(&rig).await;
    let [reason] = &waits[..] else { panic!("{waits:?}") };
    assert!(reason.contains("changed in the shop after the order was sent"), "{reason}");
    // 20.00 and 19 % of it.
    assert!(reason.contains("total then 11.9 EUR, now 23.8 EUR"), "{reason}");
    assert_eq!(sold(&rig).await, [edited]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_before_it_was_sent_it_never_comes_and_after_it_is_cancelled_there() {
    let rig = aligned("edited-cancelled", &[]).await;
    let waiting = order(&rig, &rig.de.url(), "pending").await;
    let paid = order(&rig, &rig.de.url(), "processing").await;
    assert_eq!(sync(&rig).await, Vec::<String>::new());
    let states = |sold: &[(String, String, String)]| -> Vec<String> {
        sold.iter().map(|(_, state, _)| state.clone()).collect()
    };
    assert_eq!(states(&sold(&rig).await), ["sale"]);
    change(&rig, &waiting, &json!({ "status": "cancelled" })).await;
    change(&rig, &paid, &json!({ "status": "cancelled" })).await;
    assert_eq!(sync(&rig).await, Vec::<String>::new());
    assert_eq!(states(&sold(&rig).await), ["cancel"]);
    // What it held goes back on sale once the ERP's figure says so.
    assert_eq!(sync(&rig).await, Vec::<String>::new());
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_shops_of_one_prefix_and_one_number_do_not_meet() {
    // Both twins count alike: seeded alike, their orders bear the same numbers.
    let rig = aligned("edited-prefix", &[("prefix = \"US\"", "prefix = \"DE\"")]).await;
    let one = order(&rig, &rig.de.url(), "processing").await;
    let other = order(&rig, &rig.us.url(), "processing").await;
    assert_eq!(one["number"], other["number"], "the same number twice");
    assert_eq!(sync(&rig).await, Vec::<String>::new());
    let sold = sold(&rig).await;
    let start = format!("DE-{}-", one["number"].as_str().unwrap());
    assert_eq!(sold.len(), 2, "{sold:?}");
    assert!(sold.iter().all(|(r, state, _)| r.starts_with(&start) && state == "sale"), "{sold:?}");
    assert_ne!(sold[0].0, sold[1].0);
    let mut totals: Vec<&str> = sold.iter().map(|(_, _, total)| total.as_str()).collect();
    totals.sort_unstable();
    assert_eq!(totals, ["11.9", "12.49"], "each with its own money");
}
