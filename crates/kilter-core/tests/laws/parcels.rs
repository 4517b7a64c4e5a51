//! Parcels: each closes what it holds of what its order has open in the shop, and no more.

use kilter_core::Json;
use kilter_core::manifest::Kind;
use kilter_core::model::{ObjectId, WaitKind};
use kilter_core::sync::plan::Plan;
use proptest::prelude::*;
use serde_json::json;

use crate::support::house::{CONFIG, house_with};
use crate::support::{Hub, NOW};

const KIOSK: &str = r#"
[connection.kiosk]
connector = "kiosk"
url       = "https://kiosk.example"
orders    = { prefix = "K" }

[own.shipment]
"*" = "erp"
"#;

/// An order of three mugs and two cups, which stands in the ERP as well.
fn hub(work: Json) -> Hub {
    hub_of("", work)
}

/// The same, where what is spread says one thing more.
fn hub_of(more: &str, work: Json) -> Hub {
    let config = format!("{CONFIG}{KIOSK}");
    let house = house_with("[spread]\n", &format!("[spread]\n{more}\n"), &config);
    let mut hub = Hub::of(house);
    let product =
        json!({"id": 1, "code": "P", "name": "P", "kind": "variable", "status": "active"});
    hub.read("erp", "products", product);
    for (id, sku) in [(10, "MUG"), (11, "CUP"), (12, "BOX")] {
        hub.read("erp", "variants", json!({"id": id, "sku": sku, "product": 1}));
        hub.read("kiosk", "variants", json!({"id": format!("V{id}"), "sku": sku}));
    }
    hub.read("kiosk", "orders", order(work));
    let reference = hub
        .store
        .records
        .values()
        .find(|r| r.entity == "order")
        .and_then(|r| r.key.clone())
        .unwrap();
    let sent = json!({"id": 900, "reference": reference, "state": "confirmed", "sent": "open"});
    hub.read("erp", "orders", sent);
    hub
}

fn order(work: Json) -> Json {
    json!({"id": "5", "number": "5", "status": "paid", "work": work, "lines": [
        {"id": 1, "sku": "MUG", "variant": "V10", "quantity": 3},
        {"id": 2, "sku": "CUP", "variant": "V11", "quantity": 2}]})
}

fn work(id: &str, place: &str, state: &str, open: &[(&str, &str, i64)]) -> Json {
    let line = |(id, sku, open): &(&str, &str, i64)| {
        let variant = if *sku == "MUG" { "V10" } else { "V11" };
        json!({"id": id, "sku": sku, "variant": variant, "open": open})
    };
    json!({"id": id, "place": place, "state": state, "lines": open.iter().map(line).collect::<Vec<_>>()})
}

fn all_open() -> Json {
    json!([work("W", "main", "open", &[("a", "MUG", 3), ("b", "CUP", 2)])])
}

/// A parcel that left the ERP; its seat in the shop.
fn parcel(hub: &mut Hub, number: &str, lines: &[(i64, &str)]) -> ObjectId {
    let lines: Vec<Json> =
        lines.iter().map(|(product, q)| json!({"product": product, "quantity": q})).collect();
    let body = json!({"id": number, "number": number, "order": 900, "state": "done",
        "tracking": format!("T-{number}"), "lines": lines});
    hub.read("erp", "shipments", body);
    hub.object("kiosk", "parcels", hub.record("shipment", number).id).id
}

fn whole(hub: &mut Hub) {
    let mut sent = json!({"id": 900, "state": "confirmed", "sent": "shipped"});
    let order = hub.store.records.values().find(|r| r.entity == "order").unwrap();
    sent["reference"] = json!(order.key);
    hub.read("erp", "orders", sent);
}

fn told(hub: &mut Hub, id: ObjectId) -> Json {
    match hub.plan(id) {
        Plan::Write(operation) => operation.parent.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn waits(hub: &mut Hub, id: ObjectId, kind: WaitKind, says: &[&str]) {
    match hub.plan(id) {
        Plan::Wait(wait, _) => {
            assert_eq!(wait.kind, kind, "{}", wait.reason);
            for text in says {
                assert!(wait.reason.contains(text), "\"{}\" lacks \"{text}\"", wait.reason);
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_parcels_of_an_order_each_close_what_they_hold() {
    let mut hub = hub(all_open());
    let first = parcel(&mut hub, "P1", &[(10, "2")]);
    let closed = json!([{"of": "W", "lines": [{"id": "a", "pieces": 2}]}]);
    assert_eq!(told(&mut hub, first), closed, "long before the rest of the order is sent");
    let left = json!([work("W", "main", "open", &[("a", "MUG", 1), ("b", "CUP", 2)])]);
    hub.read("kiosk", "orders", order(left));
    let second = parcel(&mut hub, "P2", &[(10, "1"), (11, "2")]);
    let rest = json!([{"of": "W", "lines": [{"id": "a", "pieces": 1}, {"id": "b", "pieces": 2}]}]);
    assert_eq!(told(&mut hub, second), rest);
}

#[test]
fn a_parcel_that_names_nothing_is_told_once_all_was_sent_and_closes_all() {
    let mut hub = hub(all_open());
    let nameless = parcel(&mut hub, "P1", &[]);
    // A kit's pieces were never sold there: they name nothing either, also beside what was.
    let kit = parcel(&mut hub, "P2", &[(12, "4")]);
    let beside = parcel(&mut hub, "P3", &[(10, "1"), (12, "4")]);
    for id in [nameless, kit, beside] {
        assert!(matches!(hub.plan(id), Plan::Nothing), "not before the order was sent whole");
        hub.edit(id, |o| o.due = None);
    }
    whole(&mut hub);
    for id in [nameless, kit, beside] {
        assert!(hub.store.objects[&id].due.is_some(), "nobody wakes it");
        assert_eq!(told(&mut hub, id), json!([{"of": "W"}]));
    }
}

#[test]
fn a_parcel_that_holds_more_than_is_open_waits_and_keeps_no_other() {
    let one = json!([work("W", "main", "open", &[("a", "MUG", 1), ("b", "CUP", 2)])]);
    let mut hub = hub(one);
    let more = parcel(&mut hub, "P1", &[(10, "1"), (10, "1")]);
    let says = ["T-P1", "2 × MUG", "has 1 open"];
    waits(&mut hub, more, WaitKind::Held, &says);
    let other = parcel(&mut hub, "P2", &[(11, "2")]);
    assert_eq!(told(&mut hub, other), json!([{"of": "W", "lines": [{"id": "b", "pieces": 2}]}]));
    // Once there is enough, it looks again by itself, also where it was refused before.
    for kind in [WaitKind::Held, WaitKind::Dead] {
        let reason = "said no".to_owned();
        hub.edit(more, |o| {
            o.due = None;
            o.wait = Some(kilter_core::model::Wait { kind, reason });
        });
        let shown = [json!([]), all_open()];
        for work in shown {
            hub.read("kiosk", "orders", order(work));
        }
        assert!(hub.store.objects[&more].due.is_some(), "nobody wakes it");
        assert_eq!(told(&mut hub, more), json!([{"of": "W", "lines": [{"id": "a", "pieces": 2}]}]));
    }
}

#[test]
fn what_the_shop_holds_back_is_told_once_it_is_released() {
    let held = json!([work("W", "main", "held", &[("a", "MUG", 3), ("b", "CUP", 2)])]);
    let mut hub = hub(held);
    let id = parcel(&mut hub, "P1", &[(10, "2")]);
    let nameless = parcel(&mut hub, "P2", &[]);
    whole(&mut hub);
    for id in [id, nameless] {
        waits(&mut hub, id, WaitKind::Later, &["kiosk holds", "on hold", "release it"]);
    }
    // It looks again after a long while; a release comes first.
    hub.edit(id, |o| {
        o.due.as_mut().unwrap().not_before = Some("2027-01-01T00:00:00Z".into());
    });
    hub.read("kiosk", "orders", order(all_open()));
    let due = hub.store.objects[&id].due.clone().unwrap();
    assert_eq!(due.next_at.as_deref(), Some(NOW));
    assert_eq!(told(&mut hub, id), json!([{"of": "W", "lines": [{"id": "a", "pieces": 2}]}]));
}

#[test]
fn a_parcel_leaves_from_one_place() {
    let split = json!([
        work("X", "west", "open", &[("x", "MUG", 1)]),
        work("W", "main", "open", &[("a", "MUG", 2), ("b", "CUP", 2)])
    ]);
    let mut hub = hub(split);
    // West has one mug, main two: two come from main, though west stands first.
    let two = parcel(&mut hub, "P1", &[(10, "2")]);
    assert_eq!(told(&mut hub, two), json!([{"of": "W", "lines": [{"id": "a", "pieces": 2}]}]));
    let three = parcel(&mut hub, "P2", &[(10, "3")]);
    waits(&mut hub, three, WaitKind::Held, &["several places", "T-P2"]);
}

#[test]
fn what_it_is_part_of_is_read_first_and_again_after_each() {
    let mut hub = hub(all_open());
    let id = parcel(&mut hub, "P1", &[(10, "2")]);
    let above = hub.remote("kiosk", "orders", "5").id;
    let now = hub.seq;
    assert!(hub.store.objects[&above].asked < now);
    assert!(matches!(hub.plan_fresh(id, now), Plan::ReadAbove(o) if o == above));
    hub.read("kiosk", "orders", order(all_open()));
    assert!(matches!(hub.plan_fresh(id, now), Plan::Write(_)));
    // Something was just closed there: what was read before that says nothing of it.
    hub.edit(above, |o| o.look = Some(now));
    assert!(matches!(hub.plan_fresh(id, now), Plan::ReadAbove(_)));
}

#[test]
fn a_number_that_changes_is_told_though_nothing_is_open_any_more() {
    let mut hub = hub(all_open());
    let id = parcel(&mut hub, "P1", &[(10, "3"), (11, "2")]);
    let Plan::Write(operation) = hub.plan(id) else { panic!("not told") };
    hub.settle(&operation, json!({"id": "F1", "number": "T-P1"}));
    hub.read("kiosk", "orders", order(json!([])));
    let body = json!({"id": "P1", "number": "P1", "order": 900, "state": "done",
        "tracking": "T-9", "lines": [{"product": 10, "quantity": "3"}]});
    hub.read("erp", "shipments", body);
    let Plan::Write(operation) = hub.plan(id) else { panic!("not told again") };
    assert_eq!((operation.kind, operation.payload), (Kind::Update, json!({"number": "T-9"})));
}

/// A shop that shows only what there is of an order: what was told of it is taken off, by line or whole.
#[test]
fn where_the_shop_does_not_show_what_is_closed_what_was_told_is_taken_off() {
    for (held, left) in [(vec![(10, "2")], 1), (vec![], 0)] {
        let mut hub = hub_of("closed   = true", all_open());
        let first = parcel(&mut hub, "P1", &held);
        if held.is_empty() {
            whole(&mut hub);
        }
        let Plan::Write(operation) = hub.plan(first) else { panic!("not told") };
        hub.settle(&operation, json!({"id": "F1", "number": "T-P1"}));
        hub.read("kiosk", "orders", order(all_open()));
        let second = parcel(&mut hub, "P2", &[(10, "2")]);
        match left {
            0 => waits(&mut hub, second, WaitKind::Parked, &["nothing of", "is open in kiosk"]),
            _ => waits(&mut hub, second, WaitKind::Held, &["2 × MUG", "has 1 open"]),
        }
    }
}

proptest! {
    /// However what is open is divided and whatever a parcel holds: what it closes is what it holds, by
    /// variant, is nowhere more than is open, lies at one place, and is not held back. And where all of
    /// it is open at one place, it is told.
    #[test]
    fn it_closes_what_it_holds_and_no_more(
        groups in prop::collection::vec((0..2_usize, prop::bool::ANY, 0..4_i64, 0..4_i64), 1..5),
        mugs in 0..4_i64,
        cups in 0..4_i64,
    ) {
        prop_assume!(mugs + cups > 0);
        let places = ["main", "west"];
        let list: Vec<Json> = groups.iter().enumerate().map(|(n, (place, held, mug, cup))| {
            let (a, b) = (format!("m{n}"), format!("c{n}"));
            let state = if *held { "held" } else { "open" };
            work(&format!("W{n}"), places[*place], state, &[(&a, "MUG", *mug), (&b, "CUP", *cup)])
        }).collect();
        let mut hub = hub(json!(list));
        let (m, c) = (mugs.to_string(), cups.to_string());
        let id = parcel(&mut hub, "P1", &[(10, &m), (11, &c)]);
        let enough = |place: usize| {
            let free = groups.iter().filter(|g| g.0 == place && !g.1);
            let (mut mug, mut cup) = (0, 0);
            for group in free {
                mug += group.2;
                cup += group.3;
            }
            mug >= mugs && cup >= cups
        };
        match hub.plan(id) {
            Plan::Write(operation) => {
                let told = operation.parent.unwrap();
                let (mut sums, mut from) = ([0, 0], std::collections::BTreeSet::new());
                for group in told.as_array().unwrap() {
                    let n: usize = group["of"].as_str().unwrap()[1..].parse().unwrap();
                    prop_assert!(!groups[n].1, "held back: {}", told);
                    from.insert(groups[n].0);
                    for line in group["lines"].as_array().unwrap() {
                        let pieces = line["pieces"].as_i64().unwrap();
                        let mug = line["id"] == json!(format!("m{n}"));
                        let cup = format!("c{n}");
                        prop_assert!(mug || line["id"] == json!(cup));
                        let open = if mug { groups[n].2 } else { groups[n].3 };
                        prop_assert!(pieces > 0 && pieces <= open);
                        sums[usize::from(!mug)] += pieces;
                    }
                }
                prop_assert_eq!(sums, [mugs, cups]);
                prop_assert_eq!(from.len(), 1);
            }
            Plan::Wait(wait, _) => {
                prop_assert!(!enough(0) && !enough(1), "{}", wait.reason);
                prop_assert!(wait.reason.contains("T-P1"), "{}", wait.reason);
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
