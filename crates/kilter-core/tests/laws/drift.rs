//! A platform changes what it answers, and tells nobody: a field more, a field less, another type.
//! What is new is ignored; what is missing is kept; what cannot be read is told with its name, and
//! nothing of that item is taken. Never is null written over a field that its owner filled.

use kilter_core::Json;
use kilter_core::model::End;
use proptest::prelude::*;
use serde_json::json;

use crate::support::Hub;

/// Items as the ERP and a shop gave them, and which rows each field of theirs feeds.
fn items() -> Vec<(&'static str, &'static str, Json)> {
    vec![
        (
            "erp",
            "products",
            json!({"id": 1, "code": "MUG", "name": "Becher", "text": "Aus Ton",
                "kind": "simple", "status": "active"}),
        ),
        (
            "erp",
            "variants",
            json!({"id": 10, "sku": "MUG-R", "product": 1, "weight": "0.4", "tax": "full"}),
        ),
        ("erp", "prices", json!({"id": 20, "variant": 10, "amount": "12.5"})),
    ]
}

fn hub() -> Hub {
    let mut hub = Hub::new();
    for (connection, collection, body) in items() {
        hub.read(connection, collection, body);
    }
    hub
}

/// Every field of every record, with its scope.
fn truth(hub: &Hub) -> Vec<(String, Json)> {
    let mut out = Vec::new();
    for record in hub.store.records.values() {
        for (field, scopes) in &record.fields {
            for (scope, cell) in scopes {
                out.push((format!("{} {field}@{scope}", record.entity), cell.value.clone()));
            }
        }
    }
    out
}

#[derive(Debug, Clone)]
enum Drift {
    Added,
    Removed,
    /// In place of a text, number or flag.
    Retyped(Json),
}

fn drift() -> impl Strategy<Value = Drift> {
    prop_oneof![
        Just(Drift::Added),
        Just(Drift::Removed),
        Just(Drift::Retyped(json!({"value": "x"}))),
        Just(Drift::Retyped(json!(["x"]))),
        Just(Drift::Retyped(json!(true))),
    ]
}

proptest! {
    /// For every mapped field of every item, and every kind of drift.
    #[test]
    fn no_drift_of_a_platform_empties_a_field(
        which in 0usize..3, field in 0usize..8, drift in drift(),
    ) {
        let (connection, collection, mut body) = items().swap_remove(which);
        let names: Vec<String> =
            body.as_object().unwrap().keys().filter(|k| *k != "id").cloned().collect();
        let name = &names[field % names.len()];
        let mut hub = hub();
        let before = truth(&hub);
        match &drift {
            Drift::Added => body["brand_new"] = json!({"deep": [1, 2]}),
            Drift::Removed => {
                body.as_object_mut().unwrap().remove(name);
            }
            Drift::Retyped(value) => body[name.as_str()] = value.clone(),
        }
        let end = hub.read(connection, collection, body);
        let after = truth(&hub);
        for (key, value) in &before {
            let now = after.iter().find(|(k, _)| k == key).map(|(_, v)| v);
            prop_assert!(now.is_some_and(|v| !v.is_null()), "{key} is {now:?}, it was {value}");
        }
        match drift {
            Drift::Added => prop_assert_eq!(end, End::Unchanged),
            Drift::Removed => prop_assert_eq!(after, before, "what is not said is kept"),
            Drift::Retyped(_) => {
                let End::Dead(reason) = &end else {
                    return Err(TestCaseError::fail(format!("{name}: {end:?}")));
                };
                prop_assert!(reason.starts_with("failed to read "), "{reason}");
                prop_assert_eq!(after, before, "nothing of the item is taken");
            }
        }
    }
}
