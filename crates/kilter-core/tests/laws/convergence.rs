//! Convergence: after a delivery the next plan is empty, whatever the target's normal form; and a
//! target that does not keep a value is told apart from one that was not written to.

use kilter_core::Json;
use kilter_core::model::WaitKind;
use kilter_core::sync::plan::Plan;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{Hub, Target};

/// Trims what is text, rounds weights to a place and prices to two, as the connector declares.
fn normal_form(item: &mut Json) {
    for field in ["name", "body"] {
        if let Some(text) = item[field].as_str().map(|t| t.trim().to_owned()) {
            item[field] = json!(text);
        }
    }
    if item["body"].is_null() {
        item["body"] = json!("");
    }
}

fn forgets_tax(item: &mut Json) {
    item["tax"] = json!("standard");
}

fn goods(hub: &mut Hub, name: &str, text: &Json, weight: &str, amount: &str) {
    let product = json!({"id": 1, "code": "MUG", "name": name, "text": text, "kind": "variable", "status": "active"});
    hub.read("erp", "products", product);
    let variant = json!({"id": 10, "sku": "MUG-R", "product": 1, "weight": weight, "tax": "full"});
    hub.read("erp", "variants", variant);
    hub.read("erp", "prices", json!({"id": 5, "variant": 10, "amount": amount}));
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "7"}));
}

/// Marks every object of a connection, as a sweep or a person's "look again" would.
fn mark_all(hub: &mut Hub, connection: &str) {
    let ids: Vec<i64> =
        hub.store.objects.values().filter(|o| o.connection == connection).map(|o| o.id).collect();
    for id in ids {
        hub.step(|house, w| {
            kilter_core::sync::mark::mark_if_written(house, w, id, crate::support::NOW)
        });
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ a-zäöü&<>\"']{1,20}",
        Just("x &amp; y".to_owned()),
        Just(" <b>fett</b> ".to_owned())
    ]
    .prop_filter("a name says something", |t| !t.trim().is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn after_delivery_the_next_plan_is_empty(
        name in text(),
        body in prop_oneof![text().prop_map(Json::from), Just(Json::Null), Just(json!(""))],
        weight in (0..20_000i64).prop_map(|n| format!("{}.{:03}", n / 1000, n % 1000)),
        amount in (0..9_999_999i64).prop_map(|n| format!("{}.{:04}", n / 10_000, n % 10_000)),
    ) {
        let mut hub = Hub::new();
        let mut shop = Target::new(normal_form);
        goods(&mut hub, &name, &body, &weight, &amount);
        prop_assert_eq!(hub.align("north", &mut shop), 2);
        mark_all(&mut hub, "north");
        prop_assert_eq!(hub.align("north", &mut shop), 0, "{:?}", shop.items);
        // What a full read of the shop says changes nothing either.
        for ((collection, _), item) in shop.items.clone() {
            hub.read("north", &collection, item);
        }
        prop_assert_eq!(hub.align("north", &mut shop), 0);
        prop_assert_eq!(hub.value("product", "MUG", "code"), Some(&json!("MUG")));
    }

    /// The same records, shadow and time give the same plan, to the byte.
    #[test]
    fn a_plan_is_a_function_of_what_it_reads(name in text(), amount in 0..99_999i64) {
        let mut hub = Hub::new();
        goods(&mut hub, &name, &Json::Null, "1", &format!("{}.{:02}", amount / 100, amount % 100));
        for id in hub.due("north") {
            let (first, again) = (hub.plan(id), hub.plan(id));
            prop_assert_eq!(format!("{first:?}"), format!("{again:?}"));
        }
    }
}

/// A clerk's edit in the shop of what the ERP owns is drift: seen, marked, put right once.
#[test]
fn drift_is_put_right_and_never_taken() {
    let mut hub = Hub::new();
    let mut shop = Target::new(normal_form);
    goods(&mut hub, "Becher", &Json::Null, "0.4", "9.90");
    hub.align("north", &mut shop);
    let key = ("products".to_owned(), "501".to_owned());
    shop.items.get_mut(&key).unwrap()["name"] = json!("Clerk's mug");
    hub.read("north", "products", shop.items[&key].clone());
    assert_eq!(hub.record("product", "MUG").value("title", "de_DE"), Some(&json!("Becher")));
    assert_eq!(hub.align("north", &mut shop), 1);
    assert_eq!(shop.items[&key]["name"], "Becher");
    hub.read("north", "products", shop.items[&key].clone());
    assert_eq!(hub.align("north", &mut shop), 0);
}

/// A target that takes the call and not the value: tried as often as the limit says, then held
/// with both values; never a loop.
#[test]
fn a_value_that_is_not_kept_ends_held_with_both_sides() {
    let mut hub = Hub::new();
    let mut shop = Target::new(forgets_tax);
    goods(&mut hub, "Becher", &Json::Null, "0.4", "9.90");
    let id = hub.object("north", "variants", hub.record("variant", "MUG-R").id).id;
    hub.align("north", &mut shop);
    hub.waits(id, WaitKind::Held, "not kept");
    hub.waits(id, WaitKind::Held, "variant.tax_class");
    hub.waits(id, WaitKind::Held, "\"full\"");
    hub.waits(id, WaitKind::Held, "\"standard\"");
    let times = hub.store.objects[&id].repairs["variant.tax_class"].0;
    assert_eq!(times, hub.house.config.limits.repairs_max);
    // Another value is another try: it may be kept.
    let variant =
        json!({"id": 10, "sku": "MUG-R", "product": 1, "weight": "0.4", "tax": "standard"});
    hub.read("erp", "variants", variant);
    assert!(matches!(hub.plan(id), Plan::Nothing), "the target has it already");
}

#[test]
fn only_what_differs_is_written() {
    let mut hub = Hub::new();
    let mut shop = Target::new(normal_form);
    goods(&mut hub, "Becher", &Json::Null, "0.4", "9.90");
    hub.align("north", &mut shop);
    hub.read("erp", "prices", json!({"id": 5, "variant": 10, "amount": "8.50"}));
    let id = hub.object("north", "variants", hub.record("variant", "MUG-R").id).id;
    let Plan::Write(operation) = hub.plan(id) else { panic!("no write") };
    assert_eq!(operation.payload, json!({"price": "8.50"}));
    let field = &operation.fields[0];
    assert_eq!((operation.fields.len(), field.row.as_str()), (1, "price.amount"));
    assert_eq!((field.old.as_ref(), &field.new), (Some(&json!("9.9 EUR")), &json!("8.5 EUR")));
    assert_eq!((field.by.as_str(), field.change), ("erp", hub.seq));
}
