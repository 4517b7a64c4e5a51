//! Who is named by an id and by a key is one record: whoever is heard of first, whatever the key
//! is later, and never somebody who has another id.

use serde_json::{Value, json};

use crate::support::Hub;
use crate::support::house::house_and;

const KIOSK: &[(&str, &str)] = &[
    (
        "kiosk/connector.toml",
        "connector = \"kiosk\"\ntitle = \"Kiosk\"\nbase = \"$url\"\n[settings]\nurl = { help = \"address\" }\n",
    ),
    (
        "kiosk/customers.toml",
        r#"
resource = "customers"
root     = "customer"
id       = "id | id"
fold     = true
[list]
call = { path = "customers" }
[facet.customer.rows]
email = "email | text"
name  = { read = ". | full_name(first, last)" }
"#,
    ),
    (
        "kiosk/orders.toml",
        r#"
resource = "orders"
root     = "order"
id       = "id | id"
[list]
call = { path = "orders" }
[facet.order.rows]
number   = { read = "id | id(text)" }
customer = { read = "who.id | id | ref(customers)", key = "who.email | text | key(customer)", or = "guest | text | key(customer)" }
[facet.customer]
of   = "customer"
born = "email"
[facet.customer.rows]
email = { read = "first(who.email, guest) | text" }
"#,
    ),
];

const CONNECTION: &str = r#"
[connection.kiosk]
connector = "kiosk"
url       = "https://kiosk.example"
currency  = "EUR"
orders    = { prefix = "K" }
[own.customer]
"*" = "origin"
"#;

fn hub() -> Hub {
    Hub::of(house_and(KIOSK, CONNECTION))
}

fn order(id: i64, who: Value) -> Value {
    json!({ "id": id, "who": who, "guest": "guest@kiosk.example" })
}

fn buyer(hub: &Hub, order: &str) -> i64 {
    let root = hub.remote("kiosk", "orders", order).root.unwrap();
    hub.store.records[&root].reference("customer").unwrap()
}

fn people(hub: &Hub) -> usize {
    hub.store.records.values().filter(|r| r.entity == "customer").count()
}

#[test]
fn a_buyer_is_the_listed_customer_whoever_comes_first_and_under_a_later_e_mail() {
    let ada = |email: &str| json!({ "id": 7, "email": email, "first": "Ada", "last": "Byron" });
    for order_first in [true, false] {
        let mut hub = hub();
        let bought = order(1, json!({ "id": 7, "email": "ada@a.example" }));
        if order_first {
            hub.read("kiosk", "orders", bought.clone());
            let object = hub.remote("kiosk", "customers", "7");
            assert_eq!(object.root, Some(buyer(&hub, "1")), "her id is kept at once");
            assert!(object.look.is_some(), "and she is read");
        }
        hub.read("kiosk", "customers", ada("ada@b.example"));
        hub.read("kiosk", "orders", bought);
        hub.read("kiosk", "orders", order(2, json!({ "id": 7, "email": "ada@b.example" })));
        assert_eq!(people(&hub), 1, "order first: {order_first}");
        assert_eq!(buyer(&hub, "1"), buyer(&hub, "2"));
        assert_eq!(hub.record("customer", "ada@b.example").id, buyer(&hub, "1"));
    }
}

#[test]
fn a_key_that_somebody_with_another_id_bears_says_nothing() {
    let mut hub = hub();
    hub.read("kiosk", "customers", json!({ "id": 7, "email": "desk@a.example" }));
    hub.read("kiosk", "orders", order(1, json!({ "id": 8, "email": "desk@a.example" })));
    let root = hub.remote("kiosk", "orders", "1").root.unwrap();
    assert_eq!(hub.store.records[&root].reference("customer"), None, "she is asked for by her id");
    assert!(hub.remote("kiosk", "customers", "8").look.is_some());
    hub.read("kiosk", "customers", json!({ "id": 7, "email": "old@a.example" }));
    hub.read("kiosk", "customers", json!({ "id": 8, "email": "desk@a.example" }));
    assert_eq!(buyer(&hub, "1"), hub.record("customer", "desk@a.example").id);
    assert_eq!(people(&hub), 2);
}

#[test]
fn who_has_neither_id_nor_key_is_the_guest_and_no_id_is_ever_the_guests() {
    let mut hub = hub();
    hub.read("kiosk", "orders", order(1, Value::Null));
    let guest = hub.record("customer", "guest@kiosk.example").id;
    assert_eq!(buyer(&hub, "1"), guest);
    hub.read("kiosk", "orders", order(2, json!({ "id": 9, "email": null })));
    assert!(hub.remote("kiosk", "customers", "9").look.is_some());
    hub.read(
        "kiosk",
        "customers",
        json!({ "id": 9, "email": null, "first": "No", "last": "Mail" }),
    );
    assert_ne!(buyer(&hub, "2"), guest);
    assert_eq!(people(&hub), 2);
}
