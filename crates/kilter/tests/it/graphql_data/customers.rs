//! Customers of a shop that tells them by an id: one person is one record, whoever showed her first.

use crate::graphql_data::third::{Third, at_rest, erp, found, reconfigure, sync};
use crate::support::{Rig, seed};
use serde_json::{Value, json};

const READ: &str = "customers = \"read\"\n";
const WRITE: &str = "customers = \"write\"\n";

fn ada(email: &str, id: Option<&Value>) -> Value {
    let mut customer = json!({ "email": email, "firstName": "Ada", "lastName": "Byron" });
    if let Some(id) = id {
        customer["id"] = id.clone();
    }
    json!({ "lines": [{ "sku": "MUG-001", "quantity": 1 }], "customer": customer,
        "billing": { "firstName": "Ada", "lastName": "Byron", "address1": "1 Main St",
            "city": "Springfield", "zip": "12345", "countryCode": "US" } })
}

/// Records of people, and the ids by which the shop knows them.
fn people(rig: &Rig) -> (Vec<String>, Vec<String>) {
    let objects = "SELECT remote FROM objects WHERE connection = 'plus' AND resource = 'customers' \
                   AND root IS NOT NULL ORDER BY remote";
    (
        found(rig, "SELECT key FROM records WHERE entity = 'customer' ORDER BY key"),
        found(rig, objects),
    )
}

async fn partners(rig: &Rig, email: &str) -> usize {
    let domain = json!([["email", "=", email]]);
    let body = json!({ "domain": domain, "fields": ["email"] });
    erp(rig, "res.partner/search_read", &body).await.as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_and_a_listed_customer_are_one_and_stay_one_under_another_e_mail() {
    let rig = Rig::start("graphql-buyers").await;
    let plus = Third::join(&rig, &[], READ).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(3, 50)).await;
    sync(&rig).await;
    // Bob has an account, and never bought.
    let set =
        "mutation ($input: CustomerSetInput!) { customerSet(input: $input) { customer { id } } }";
    plus.ask(set, json!({ "input": { "email": "bob@example.com", "lastName": "Bob" } })).await;
    plus.office("orders", &ada("ada@example.com", None)).await;
    sync(&rig).await;
    let customer = plus.rows("customers", |c| c["email"] == "ada@example.com").await.remove(0);
    let (keys, ids) = people(&rig);
    assert_eq!(keys, ["ada@example.com", "bob@example.com"]);
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&customer["gid"].as_str().unwrap().to_owned()), "{ids:?}");
    assert_eq!(partners(&rig, "ada@example.com").await, 1);

    // She moves to another address, and buys again before anybody listed her.
    let update = "mutation ($id: ID!, $input: CustomerSetInput!) { customerSet(identifier: { id: $id }, \
                  input: $input) { userErrors { message } } }";
    let id = &customer["gid"];
    let told = plus.ask(update, json!({ "id": id, "input": { "email": "ada@new.example" } })).await;
    assert_eq!(told["customerSet"]["userErrors"], json!([]), "{told}");
    plus.office("orders", &ada("ada@new.example", Some(id))).await;
    sync(&rig).await;
    let (keys, ids) = people(&rig);
    assert_eq!(keys, ["ada@new.example", "bob@example.com"], "the same record");
    assert_eq!(ids.len(), 2);
    let orders = rig.get(&format!("{}/_twin/state?part=orders", rig.erp.url())).await;
    let orders = orders["orders"].as_array().unwrap();
    let buyers: Vec<&Value> = orders.iter().map(|o| &o["partner_id"]).collect();
    assert_eq!(buyers.len(), 2, "{orders:?}");
    assert_eq!(buyers[0], buyers[1], "both orders are hers");
    at_rest(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_owns_customers_elsewhere_writes_them_and_drops_nothing() {
    let rig = Rig::start("graphql-people").await;
    let plus = Third::join(&rig, &[], WRITE).await;
    reconfigure(&rig, "[own.customer]\n\"*\" = \"origin\"", "[own.customer]\n\"*\" = \"erp\"");
    let mut world = seed(2, 50);
    world["partners"] = json!([{ "name": "Ada King Byron", "email": "Ada@example.com" }]);
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &world).await;
    sync(&rig).await;
    let mine = async || plus.rows("customers", |c| c["email"] == "ada@example.com").await;
    let created = mine().await;
    assert_eq!(created.len(), 1);
    assert_eq!(created[0]["firstName"], "Ada King");
    assert_eq!(created[0]["lastName"], "Byron");

    // Somebody in the shop adds what is theirs: a tag, an address.
    let set = "mutation ($id: ID!, $input: CustomerSetInput!) { customerSet(identifier: { id: $id }, \
               input: $input) { userErrors { message } } }";
    let theirs =
        json!({ "tags": ["vip"], "addresses": [{ "address1": "2 Side St", "countryCode": "US" }] });
    plus.ask(set, json!({ "id": created[0]["gid"], "input": theirs })).await;
    let body = json!({ "domain": [["email", "=", "Ada@example.com"]], "fields": ["name"] });
    let partner = erp(&rig, "res.partner/search_read", &body).await[0]["id"].clone();
    let vals = json!({ "ids": [partner], "vals": { "name": "Ada Lovelace" } });
    erp(&rig, "res.partner/write", &vals).await;
    sync(&rig).await;
    let changed = mine().await;
    assert_eq!(changed.len(), 1);
    assert_eq!(
        (&changed[0]["firstName"], &changed[0]["lastName"]),
        (&json!("Ada"), &json!("Lovelace"))
    );
    assert_eq!(changed[0]["tags"], json!(["vip"]));
    assert_eq!(changed[0]["addresses"][0]["address1"], "2 Side St");
    at_rest(&rig).await;
}
