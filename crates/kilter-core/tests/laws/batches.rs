//! Batches: what a target can do, and nothing lost on the way.

use std::collections::BTreeSet;

use kilter_core::manifest::Kind;
use kilter_core::sync::batch::{Batch, batch, request};
use kilter_core::sync::house::View;
use kilter_core::sync::plan::Operation;
use proptest::prelude::*;
use serde_json::json;

use crate::support::house::{CONFIG, house};

fn operation(object: i64, kind: Kind, parent: u8, each: u8) -> Operation {
    Operation {
        object,
        kind,
        fields: Vec::new(),
        payload: json!({ "sku": object.to_string() }),
        id: (kind != Kind::Create).then(|| (object + 1000).to_string()),
        each: ["", "main", "depot"][usize::from(each)].to_owned(),
        parent: Some(json!(format!("{parent}"))),
        above: None,
        partial: None,
        carried: Vec::new(),
        places: Vec::new(),
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Create), Just(Kind::Update)]
}

proptest! {
    /// The cap is 3, a call has one parent and one `each`, and every operation is in one call.
    #[test]
    fn operations_are_grouped_capped_and_conserved(
        specs in proptest::collection::vec((kinds(), 0..3u8, 0..3u8), 0..40),
    ) {
        let house = house(CONFIG);
        let view = house.view("north", "variants").unwrap();
        let operations: Vec<Operation> = specs
            .iter()
            .zip(1..)
            .map(|((kind, parent, each), id)| operation(id, *kind, *parent, *each))
            .collect();
        let batches = batch(&view, operations);
        let mut seen = BTreeSet::new();
        for Batch { write, operations } in &batches {
            prop_assert_eq!(write, "variants");
            prop_assert!((1..=3).contains(&operations.len()));
            let one = |f: fn(&Operation) -> String| {
                operations.iter().map(f).collect::<BTreeSet<String>>().len() == 1
            };
            prop_assert!(one(|o| o.parent.clone().unwrap().to_string()), "two parents in a call");
            prop_assert!(one(|o| o.each.clone()), "two locations in a call");
            prop_assert!(operations.is_sorted_by_key(|o| o.kind), "creates come first");
            for operation in operations {
                prop_assert!(seen.insert(operation.object), "twice");
            }
        }
        prop_assert_eq!(seen.len(), specs.len());
    }
}

/// Within one group all creates leave before any update: an update may need what they free.
#[test]
fn creates_come_before_updates_over_all_calls_of_a_group() {
    let house = house(CONFIG);
    let view = house.view("north", "variants").unwrap();
    let kinds =
        [Kind::Update, Kind::Create, Kind::Update, Kind::Create, Kind::Create, Kind::Create];
    let operations = kinds.iter().zip(1..).map(|(k, id)| operation(id, *k, 1, 0)).collect();
    let order: Vec<(Kind, i64)> = batch(&view, operations)
        .iter()
        .flat_map(|b| &b.operations)
        .map(|o| (o.kind, o.object))
        .collect();
    let expected = [
        (Kind::Create, 2),
        (Kind::Create, 4),
        (Kind::Create, 5),
        (Kind::Create, 6),
        (Kind::Update, 1),
        (Kind::Update, 3),
    ];
    assert_eq!(order, expected);
}

#[test]
fn a_call_says_its_parent_its_creates_and_its_updates() {
    let house = house(CONFIG);
    let view = house.view("north", "variants").unwrap();
    let operations = vec![operation(1, Kind::Update, 7, 0), operation(2, Kind::Create, 7, 0)];
    let batches = batch(&view, operations);
    let call = request(&view, &view.resource.writes[0], &batches[0], "key").unwrap();
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/products/7/variants/batch"));
    let body = json!({"create": [{"sku": "2"}], "update": [{"sku": "1", "id": 1001}]});
    assert_eq!(call.body, Some(body));
}

/// Where each item says its own place, a call carries those of several; else it is for one.
#[test]
fn places_share_a_call_only_where_each_item_says_its_own() {
    let house = house(CONFIG);
    let view = house.view("north", "variants").unwrap();
    let of = || (1..4).zip([1, 2, 1]).map(|(id, at)| operation(id, Kind::Update, 7, at)).collect();
    let sizes = |view: &View<'_>| -> Vec<usize> {
        batch(view, of()).iter().map(|b| b.operations.len()).collect()
    };
    // Two in "main", one in "depot"; a call takes three.
    assert_eq!(sizes(&view), [1, 2]);
    let mut mixed = view.resource.clone();
    mixed.writes[0].mixed = true;
    assert_eq!(sizes(&View { resource: &mixed, ..view }), [3]);
}

/// A resource that can archive and create by different ways never mixes them.
#[test]
fn ways_in_stay_apart() {
    let house = house(CONFIG);
    let view = house.view("north", "products").unwrap();
    let kinds = [Kind::Archive, Kind::Create, Kind::Archive, Kind::Update];
    let operations = kinds.iter().zip(1..).map(|(k, id)| operation(id, *k, 0, 0)).collect();
    let batches = batch(&view, operations);
    let said: Vec<(&str, usize)> =
        batches.iter().map(|b| (b.write.as_str(), b.operations.len())).collect();
    // The archive way takes one a call: it names its id in the path.
    assert_eq!(said, [("products", 2), ("archive", 1), ("archive", 1)]);
}
