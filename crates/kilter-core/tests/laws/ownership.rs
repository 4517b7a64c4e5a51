//! Who says what: one owner a field, and nobody else's word enters.

use kilter_core::Json;
use kilter_core::model::End;
use serde_json::json;

use crate::support::Hub;

fn goods(hub: &mut Hub) {
    let product =
        json!({"id": 1, "code": "MUG", "name": "Becher", "kind": "variable", "status": "active"});
    hub.read("erp", "products", product);
    hub.read("erp", "variants", json!({"id": 10, "sku": "MUG-R", "product": 1, "weight": "0.4"}));
}

/// The same variant as the shop shows it. `ver` moves, so that nothing is refused by age.
fn shop_variant(more: &Json) -> Json {
    let mut body = json!({"id": 70, "sku": "MUG-R", "parent": 50});
    for (key, value) in more.as_object().unwrap() {
        body[key.as_str()] = value.clone();
    }
    body
}

/// (field, what the ERP says, what the shop says, what the record holds, who set it)
#[test]
fn the_owner_is_heard_and_nobody_else() {
    let cases: [(&str, Json, Json, Option<Json>, &str); 8] = [
        // An owner: the connection that the config names.
        ("sku", json!({}), json!({"sku": "mug-r"}), Some(json!("MUG-R")), "erp"),
        // The origin: the record was born in the ERP, so the shop's weight is not taken.
        ("weight", json!({"weight": "0.4"}), json!({"weight": "9"}), Some(json!("0.4")), "erp"),
        // Nobody: neither is taken.
        ("barcode", json!({"barcode": "1"}), json!({"barcode": "2"}), None, ""),
        // A seed speaks until the owner does.
        ("tax_class", json!({}), json!({"tax": "reduced"}), Some(json!("reduced")), "north"),
        (
            "tax_class",
            json!({"tax": "full"}),
            json!({"tax": "reduced"}),
            Some(json!("full")),
            "erp",
        ),
        // null and "" are words; to say nothing is none.
        ("tax_class", json!({"tax": null}), json!({"tax": "reduced"}), Some(Json::Null), "erp"),
        ("tax_class", json!({"tax": ""}), json!({"tax": "reduced"}), Some(json!("")), "erp"),
        // Derived: nobody's word is ever taken, not even the owner's of `*`.
        ("sellable", json!({"sellable": "7"}), json!({"qty": 9}), None, ""),
    ];
    for (field, erp, shop, value, by) in cases {
        for shop_first in [false, true] {
            let mut hub = Hub::new();
            goods(&mut hub);
            let mut body = json!({"id": 10, "sku": "MUG-R", "product": 1, "weight": "0.4"});
            for (key, value) in erp.as_object().unwrap() {
                body[key.as_str()] = value.clone();
            }
            if shop_first {
                hub.read("north", "variants", shop_variant(&shop));
                hub.read("erp", "variants", body);
            } else {
                hub.read("erp", "variants", body);
                hub.read("north", "variants", shop_variant(&shop));
            }
            let cell = hub.record("variant", "MUG-R").cell(field, "");
            assert_eq!(cell.map(|c| &c.value), value.as_ref(), "{field}, shop first: {shop_first}");
            assert_eq!(cell.map_or("", |c| c.by.as_str()), by, "{field}, shop first: {shop_first}");
        }
    }
}

#[test]
fn a_seed_is_not_heard_again_once_the_owner_spoke_though_it_said_the_same() {
    let mut hub = Hub::new();
    goods(&mut hub);
    hub.read("north", "variants", shop_variant(&json!({"tax": "reduced"})));
    assert!(hub.record("variant", "MUG-R").cell("tax_class", "").unwrap().seed);
    hub.read("erp", "variants", json!({"id": 10, "sku": "MUG-R", "product": 1, "tax": "reduced"}));
    let cell = hub.record("variant", "MUG-R").cell("tax_class", "").unwrap();
    assert!(!cell.seed && cell.by == "erp");
    hub.read("north", "variants", shop_variant(&json!({"tax": "none"})));
    assert_eq!(hub.value("variant", "MUG-R", "tax_class"), Some(&json!("reduced")));
}

#[test]
fn another_seed_than_the_named_is_refused() {
    let mut hub = Hub::new();
    goods(&mut hub);
    hub.read("south", "variants", shop_variant(&json!({"tax": "reduced"})));
    assert_eq!(hub.value("variant", "MUG-R", "tax_class"), None);
}

#[test]
fn a_title_has_an_owner_in_each_locale() {
    let mut hub = Hub::new();
    goods(&mut hub);
    let said = |name: &str| json!({"id": 50, "sku": "MUG", "name": name, "state": "publish"});
    // `title@en_US` is the southern shop's; the northern shop speaks German, which is the ERP's.
    hub.read("south", "products", said("Mug"));
    hub.read("north", "products", said("Tasse"));
    let record = hub.record("product", "MUG");
    assert_eq!(record.value("title", "de_DE"), Some(&json!("Becher")));
    assert_eq!(record.value("title", "en_US"), Some(&json!("Mug")));
    assert_eq!(record.cell("title", "en_US").unwrap().by, "south");
    assert_eq!(record.cell("title", "de_DE").unwrap().by, "erp");
}

#[test]
fn absent_keeps_what_was_said_and_null_clears_it() {
    let mut hub = Hub::new();
    goods(&mut hub);
    let mut say = |more: Json| {
        let mut body = json!({"id": 10, "sku": "MUG-R", "product": 1});
        for (key, value) in more.as_object().unwrap() {
            body[key.as_str()] = value.clone();
        }
        hub.read("erp", "variants", body);
        hub.value("variant", "MUG-R", "tax_class").cloned()
    };
    assert_eq!(say(json!({"tax": "full"})), Some(json!("full")));
    assert_eq!(say(json!({})), Some(json!("full")));
    assert_eq!(say(json!({"tax": ""})), Some(json!("")));
    assert_eq!(say(json!({})), Some(json!("")));
    assert_eq!(say(json!({"tax": null})), Some(Json::Null));
}

#[test]
fn a_record_is_born_only_where_its_existence_is_owned() {
    let mut hub = Hub::new();
    let end = hub.read(
        "north",
        "products",
        json!({"id": 50, "sku": "ODD", "name": "Odd", "state": "publish"}),
    );
    assert_eq!(end, End::Merged);
    assert!(hub.store.records.is_empty());
    // It is kept by its key, for the day when the ERP knows it.
    assert_eq!(hub.remote("north", "products", "50").unmatched_key.as_deref(), Some("ODD"));
}

#[test]
fn a_word_that_cannot_be_read_is_dead_and_takes_nothing_along() {
    let mut hub = Hub::new();
    goods(&mut hub);
    hub.read("erp", "prices", json!({"id": 5, "variant": 10, "amount": "12.55"}));
    let end = hub.read("erp", "prices", json!({"id": 5, "variant": 10, "amount": "12,50 €"}));
    assert!(matches!(&end, End::Dead(reason) if reason.contains("price.amount")), "{end:?}");
    let variant = hub.record("variant", "MUG-R").id;
    let price = hub.record("price", &format!("{variant}/retail"));
    assert_eq!(price.value("amount", ""), Some(&json!("12.55 EUR")));
}
