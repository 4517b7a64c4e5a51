//! A clerk merges two customers in the ERP: the old id vanishes, and no system tells. The next order of
//! either goes to the one that survived; nobody is doubled, and what was sent stays as it is.

use crate::support::{Rig, seed};
use serde_json::{Value, json};

async fn order(rig: &Rig, email: &str) -> String {
    let body = json!({
        "lines": [{ "sku": "MUG-001", "quantity": 1 }], "payment_method": "stripe",
        "billing": { "first_name": "Ada", "last_name": "L", "email": email, "address_1": "Weg 1",
            "city": "Berlin", "postcode": "10115", "country": "DE" },
    });
    let order = rig.post(&format!("{}/_twin/orders", rig.de.url()), &body).await;
    order["number"].as_str().unwrap().to_owned()
}

/// Contacts of the ERP with an e-mail: id and e-mail.
async fn partners(rig: &Rig) -> Vec<(i64, String)> {
    let domain = json!([["email", "!=", false], ["type", "=", "contact"]]);
    let body = json!({ "domain": domain, "fields": ["email"], "order": "id" });
    let all = rig.call_erp("res.partner/search_read", &body).await;
    let one = |p: &Value| (p["id"].as_i64().unwrap(), p["email"].as_str().unwrap().to_owned());
    all.as_array().unwrap().iter().map(one).collect()
}

async fn id_of(rig: &Rig, email: &str) -> i64 {
    let all = partners(rig).await;
    let mut found = all.iter().filter(|(_, e)| e == email);
    let (id, _) = found.next().unwrap_or_else(|| panic!("{email}: {all:?}"));
    assert!(found.next().is_none(), "{email} stands there once: {all:?}");
    *id
}

async fn merge(rig: &Rig, from: i64, into: i64) {
    let wizard = "base.partner.merge.automatic.wizard";
    let vals = json!({ "partner_ids": [[6, 0, [from, into]]], "dst_partner_id": into });
    let made = rig.call_erp(&format!("{wizard}/create"), &json!({ "vals_list": [vals] })).await;
    rig.call_erp(&format!("{wizard}/action_merge"), &json!({ "ids": [made[0]] })).await;
}

/// Number of the shop's order → whom the ERP's is for.
async fn buyers(rig: &Rig) -> Vec<(String, i64)> {
    let state = rig.get(&format!("{}/_twin/state?part=orders", rig.erp.url())).await;
    let orders = state["orders"].as_array().unwrap().iter();
    orders
        .map(|o| {
            let reference = o["client_order_ref"].as_str().unwrap();
            let number = reference.split('-').nth(1).unwrap().to_owned();
            assert_eq!(o["state"], "sale", "{o}");
            (number, o["partner"]["id"].as_i64().unwrap())
        })
        .collect()
}

async fn sync(rig: &Rig) -> Vec<Value> {
    let (code, told) = rig.run(&["sync", "--json"]).await;
    assert_eq!(code, 0, "{told}");
    let line = told.lines().find(|line| line.starts_with('{')).unwrap();
    let told: Value = serde_json::from_str(line).unwrap();
    told["waits"].as_array().unwrap().clone()
}

async fn aligned(name: &str) -> Rig {
    let rig = Rig::start(name).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(4, 50)).await;
    assert_eq!(sync(&rig).await, Vec::<Value>::new());
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_a_merged_customer_goes_to_the_one_that_survived() {
    let rig = aligned("merged").await;
    let first = order(&rig, "ada@example.com").await;
    let second = order(&rig, "bob@example.com").await;
    assert_eq!(sync(&rig).await, Vec::<Value>::new());
    let (ada, bob) = (id_of(&rig, "ada@example.com").await, id_of(&rig, "bob@example.com").await);
    assert_eq!(buyers(&rig).await, [(first.clone(), ada), (second.clone(), bob)]);

    merge(&rig, ada, bob).await;
    let third = order(&rig, "ada@example.com").await;
    let fourth = order(&rig, "bob@example.com").await;
    // The refusal makes Kilter look; our reference names the survivor.
    let mut waits = sync(&rig).await;
    if !waits.is_empty() {
        waits = sync(&rig).await;
    }
    assert_eq!(waits, Vec::<Value>::new());
    let wanted = [(first, bob), (second, bob), (third, bob), (fourth, bob)];
    assert_eq!(buyers(&rig).await, wanted, "each once, all of them the survivor's");
    assert_eq!(partners(&rig).await, [(bob, "bob@example.com".to_owned())], "nobody is doubled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_with_one_address_the_one_that_is_left_is_taken() {
    let rig = aligned("merged-double").await;
    let vals = |name: &str| json!({ "name": name, "email": "eve@example.com" });
    let made = rig
        .call_erp("res.partner/create", &json!({ "vals_list": [vals("Eve"), vals("Eve Twice")] }))
        .await;
    let (one, two) = (made[0].as_i64().unwrap(), made[1].as_i64().unwrap());
    sync(&rig).await;
    let first = order(&rig, "eve@example.com").await;
    sync(&rig).await;
    let [(_, taken)] = buyers(&rig).await[..] else { panic!("{:?}", buyers(&rig).await) };
    let (gone, left) = if taken == one { (one, two) } else { (two, one) };
    merge(&rig, gone, left).await;
    let second = order(&rig, "eve@example.com").await;
    sync(&rig).await;
    sync(&rig).await;
    assert_eq!(buyers(&rig).await, [(first, left), (second, left)]);
    assert_eq!(partners(&rig).await, [(left, "eve@example.com".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_that_was_deleted_holds_its_orders_until_somebody_stands_in() {
    let rig = aligned("merged-never").await;
    order(&rig, "bob@example.com").await;
    order(&rig, "ada@example.com").await;
    assert_eq!(sync(&rig).await, Vec::<Value>::new());
    let (ada, bob) = (id_of(&rig, "ada@example.com").await, id_of(&rig, "bob@example.com").await);
    // No order keeps her: both her order and she are gone, and nobody took over her references.
    let orders =
        rig.call_erp("sale.order/search", &json!({ "domain": [["partner_id", "=", ada]] })).await;
    rig.call_erp("sale.order/action_cancel", &json!({ "ids": orders })).await;
    rig.call_erp("sale.order/unlink", &json!({ "ids": orders })).await;
    rig.call_erp("res.partner/unlink", &json!({ "ids": [ada] })).await;
    let third = order(&rig, "ada@example.com").await;
    sync(&rig).await;
    let waits = sync(&rig).await;
    let says = |w: &&Value| w["reason"].as_str().unwrap().contains("was deleted in erp");
    let held = waits.iter().find(says).unwrap_or_else(|| panic!("{waits:#?}"));
    let reason = held["reason"].as_str().unwrap();
    assert!(reason.starts_with("customer ada@example.com was deleted in erp"), "{reason}");
    let object = reason.split("kilter decide ").nth(1).unwrap().split(' ').next().unwrap();
    let (code, told) = rig.run(&["decide", object, "link", &bob.to_string()]).await;
    assert_eq!(code, 0, "{told}");
    sync(&rig).await;
    let found = buyers(&rig).await;
    assert!(found.contains(&(third, bob)), "{found:?}");
    assert_eq!(partners(&rig).await, [(bob, "bob@example.com".to_owned())]);
}
