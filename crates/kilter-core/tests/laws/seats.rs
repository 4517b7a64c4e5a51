//! Seats: what should exist, where, once.

use kilter_core::Json;
use kilter_core::manifest::Kind;
use kilter_core::model::{State, WaitKind};
use kilter_core::sync::plan::Plan;
use kilter_core::sync::take::give_way;
use serde_json::json;

use crate::support::{Hub, Target};

fn product(id: i64, code: &str, status: &str) -> Json {
    json!({"id": id, "code": code, "name": format!("Ding {code}"), "kind": "variable", "status": status})
}

fn variant(id: i64, sku: &str, product: i64) -> Json {
    json!({"id": id, "sku": sku, "product": product, "weight": "0.4"})
}

fn price(id: i64, variant: i64) -> Json {
    json!({"id": id, "variant": variant, "amount": "9.90"})
}

fn as_it_is(_: &mut Json) {}

#[test]
fn a_record_that_passes_is_seated_once_in_each_shop() {
    let mut hub = Hub::new();
    // Twice, and once more with another word: still one object a root.
    hub.read("erp", "products", product(1, "MUG", "active"));
    hub.read("erp", "products", product(1, "MUG", "active"));
    hub.read("erp", "products", product(1, "MUG", "draft"));
    let root = hub.record("product", "MUG").id;
    for shop in ["north", "south"] {
        let object = hub.object(shop, "products", root);
        assert_eq!((object.state, &object.remote), (State::Seat, &None));
        assert!(object.due.is_some());
    }
    // One that does not pass `select` is seated nowhere.
    hub.read("erp", "products", product(2, "OLD", "archived"));
    let root = hub.record("product", "OLD").id;
    assert!(hub.objects("north", "products", root).is_empty());
}

/// Out of `select`: archived once. Back in: restored. Out again: archived again, once.
///
/// What was archived was forgotten with the answer, and the target's new date of change then
/// brought it round in each poll: it was archived for ever.
#[test]
fn what_stops_passing_is_archived_once_and_comes_back() {
    let mut hub = Hub::new();
    let mut shop = Target::new(as_it_is);
    hub.read("erp", "products", product(1, "MUG", "active"));
    assert_eq!(hub.align("north", &mut shop), 1);
    let root = hub.record("product", "MUG").id;
    let id = hub.object("north", "products", root).id;
    for _ in 0..2 {
        hub.read("erp", "products", product(1, "MUG", "archived"));
        assert_eq!(hub.store.objects[&id].state, State::Left);
        let Plan::Write(operation) = hub.plan(id) else { panic!("no archive") };
        assert_eq!((operation.kind, operation.id.as_deref()), (Kind::Archive, Some("501")));
        assert_eq!(hub.align("north", &mut shop), 1);
        let seen = shop.items[&("products".to_owned(), "501".to_owned())].clone();
        hub.read("north", "products", seen);
        assert_eq!(hub.align("north", &mut shop), 0, "archived again");
        hub.read("erp", "products", product(1, "MUG", "active"));
        assert_eq!(hub.store.objects[&id].state, State::Live);
        assert_eq!(hub.align("north", &mut shop), 1);
        assert_eq!(shop.items[&("products".to_owned(), "501".to_owned())]["state"], "publish");
    }
}

#[test]
fn what_never_was_sent_just_leaves() {
    let mut hub = Hub::new();
    hub.read("erp", "products", product(1, "MUG", "active"));
    hub.read("erp", "products", product(1, "MUG", "archived"));
    let object = hub.object("north", "products", hub.record("product", "MUG").id);
    assert_eq!((object.state, object.due.is_none()), (State::Left, true));
}

/// Parents first, then what it requires: each wait has a name, and the last word wakes it.
#[test]
fn a_seat_waits_by_name_and_is_woken() {
    let mut hub = Hub::new();
    let mut shop = Target::new(as_it_is);
    hub.read("erp", "products", product(1, "MUG", "active"));
    hub.read("erp", "variants", variant(10, "MUG-R", 1));
    let root = hub.record("variant", "MUG-R").id;
    let id = hub.object("north", "variants", root).id;
    assert_eq!(hub.align("north", &mut shop), 1, "the product alone");
    hub.waits(id, WaitKind::Parked, "waits for a price from erp");
    hub.read("erp", "prices", price(5, 10));
    assert_eq!(hub.align("north", &mut shop), 1);
    let item = &shop.items[&("variants".to_owned(), "502".to_owned())];
    assert_eq!(
        (&item["sku"], &item["parent"], &item["price"]),
        (&json!("MUG-R"), &json!(501), &json!("9.90"))
    );
}

#[test]
fn a_child_is_parked_until_its_parent_has_an_id() {
    let mut hub = Hub::new();
    let mut shop = Target::new(as_it_is);
    hub.read("erp", "products", product(1, "MUG", "active"));
    hub.read("erp", "variants", variant(10, "MUG-R", 1));
    hub.read("erp", "prices", price(5, 10));
    let child = hub.object("north", "variants", hub.record("variant", "MUG-R").id).id;
    let Plan::Wait(wait, Some(on)) = hub.plan(child) else { panic!("not parked") };
    assert_eq!((wait.kind, on), (WaitKind::Parked, hub.record("product", "MUG").id));
    assert!(wait.reason.contains("product in north"), "{}", wait.reason);
    // It is tried first and parks; its parent's answer wakes it.
    hub.edit(child, |o| {
        o.due = None;
        o.wait = Some(wait);
        o.bindings.insert("~waits".into(), on);
    });
    assert_eq!(hub.align("north", &mut shop), 2);
    assert_eq!(hub.store.objects[&child].remote.as_deref(), Some("502"));
}

/// The order in which the ERP's goods are heard does not matter: references wait, unresolved.
#[test]
fn a_reference_that_comes_before_what_it_names_is_resolved_later() {
    let mut hub = Hub::new();
    hub.read("erp", "prices", price(5, 10));
    hub.read("erp", "variants", variant(10, "MUG-R", 1));
    hub.read("erp", "products", product(1, "MUG", "active"));
    let product = hub.record("product", "MUG").id;
    let root = hub.record("variant", "MUG-R");
    assert_eq!(root.reference("product"), Some(product));
    assert_eq!(
        hub.value("price", &format!("{}/retail", root.id), "amount"),
        Some(&json!("9.9 EUR"))
    );
    let mut shop = Target::new(as_it_is);
    assert_eq!(hub.align("north", &mut shop), 2);
}

/// A full shop is not doubled: what its listing showed before is matched by key, blanks and case
/// aside where the target folds, and updated.
#[test]
fn what_a_listing_found_is_matched_and_not_made_again() {
    let mut hub = Hub::new();
    let mut shop = Target::new(as_it_is);
    let there = json!({"id": 50, "sku": "mug", "name": "Tasse", "state": "publish"});
    shop.items.insert(("products".into(), "50".into()), there.clone());
    hub.read("north", "products", there);
    hub.read("erp", "products", product(1, "MUG", "active"));
    let root = hub.record("product", "MUG").id;
    assert_eq!(hub.object("north", "products", root).remote.as_deref(), Some("50"));
    assert_eq!(hub.align("north", &mut shop), 1);
    assert_eq!(shop.items.len(), 1);
    assert_eq!(shop.items[&("products".to_owned(), "50".to_owned())]["name"], "Ding MUG");
}

/// Two in the shop bear one key: neither is taken, nothing is made, a person sees it.
///
/// A third one was planned: the seat found two candidates, took neither, and stood for a create.
#[test]
fn doubles_in_a_shop_hold_the_seat() {
    let mut hub = Hub::new();
    for (id, sku) in [(50, "mug"), (51, "Mug")] {
        hub.read(
            "north",
            "products",
            json!({"id": id, "sku": sku, "name": "Tasse", "state": "publish"}),
        );
    }
    hub.read("erp", "products", product(1, "MUG", "active"));
    let seat = hub.object("north", "products", hub.record("product", "MUG").id).id;
    let Plan::Wait(wait, _) = hub.plan(seat) else { panic!("a third would be made") };
    assert_eq!(wait.kind, WaitKind::Held);
    assert!(wait.reason.contains("50") && wait.reason.contains("51"), "{}", wait.reason);
}

/// Two records whose keys differ by case: a shop that folds takes them for one.
#[test]
fn a_pair_that_differs_by_case_is_held_where_the_target_folds() {
    let mut hub = Hub::new();
    hub.read("erp", "products", product(1, "MUG", "active"));
    hub.read("erp", "products", product(2, "mug", "active"));
    let ids: Vec<i64> = ["MUG", "mug"]
        .map(|code| hub.object("north", "products", hub.record("product", code).id).id)
        .into();
    // None is bound: both are held, and each names the other.
    for (id, other) in [(ids[0], "\"mug\""), (ids[1], "\"MUG\"")] {
        let Plan::Wait(wait, _) = hub.plan(id) else { panic!("not held") };
        assert_eq!(wait.kind, WaitKind::Held);
        assert!(wait.reason.contains(other), "{}", wait.reason);
    }
}

#[test]
fn who_is_bound_keeps_its_object_and_the_newcomer_is_held() {
    let mut hub = Hub::new();
    let mut shop = Target::new(as_it_is);
    hub.read("erp", "products", product(1, "MUG", "active"));
    hub.align("north", &mut shop);
    hub.read("erp", "products", product(2, "mug", "active"));
    let bound = hub.object("north", "products", hub.record("product", "MUG").id).id;
    let newcomer = hub.object("north", "products", hub.record("product", "mug").id).id;
    assert_eq!(hub.align("north", &mut shop), 0);
    hub.waits(newcomer, WaitKind::Held, "one SKU for north");
    assert_eq!(hub.store.objects[&bound].wait, None);
    // The bound one goes on being written.
    hub.read(
        "erp",
        "products",
        json!({"id": 1, "code": "MUG", "name": "Neu", "kind": "variable", "status": "active"}),
    );
    assert_eq!(hub.align("north", &mut shop), 1);
}

/// "Leave one out" is what the wait tells a person to do, so it must help.
///
/// The seat of what was left out stood on, never sent, and held the other for ever.
#[test]
fn leaving_one_of_a_pair_out_frees_the_other() {
    let mut hub = Hub::new();
    let mut shop = Target::new(as_it_is);
    hub.read("erp", "products", product(1, "MUG", "active"));
    hub.read("erp", "products", product(2, "mug", "active"));
    assert_eq!(hub.align("north", &mut shop), 0);
    hub.read("erp", "products", product(2, "mug", "archived"));
    assert_eq!(hub.align("north", &mut shop), 1);
    let root = hub.record("product", "MUG").id;
    assert_eq!(hub.object("north", "products", root).state, State::Live);
}

/// A create in flight is seen by a poll before its answer settled: it is adopted, not doubled.
#[test]
fn a_poll_that_sees_a_create_first_binds_the_seat() {
    let mut hub = Hub::new();
    hub.read("erp", "products", product(1, "MUG", "active"));
    let root = hub.record("product", "MUG").id;
    hub.read(
        "north",
        "products",
        json!({"id": 77, "sku": "MUG", "name": "Ding MUG", "state": "publish"}),
    );
    let object = hub.object("north", "products", root);
    assert_eq!((object.state, object.remote.as_deref()), (State::Live, Some("77")));
}

/// A hint names what was made before the answer does: the seat takes its place, and nothing else
/// has that id. Who looked first, the read or the answer, does not matter.
///
/// The object that the hint made kept the id, and the seat could never be given it: the database
/// refused, and with it everything else that was settled in the same step, for ever.
#[test]
fn what_a_hint_named_first_gives_way_to_the_seat() {
    for answered in [false, true] {
        let mut hub = Hub::new();
        hub.read("erp", "products", product(1, "MUG", "active"));
        let root = hub.record("product", "MUG").id;
        let seat = hub.object("north", "products", root).id;
        hub.hook("north", "products", json!({"id": 77, "$hint": true}));
        assert_eq!(hub.remote("north", "products", "77").root, None);
        if answered {
            let known = hub.step(|_, w| give_way(w, "north", "products", "77", seat));
            assert!(known.is_some_and(|o| o.look.is_some()));
            hub.edit(seat, |o| o.remote = Some("77".into()));
        }
        let body = json!({"id": 77, "sku": "MUG", "name": "Ding MUG", "state": "publish"});
        hub.read("north", "products", body);
        let all = hub.store.objects.values();
        let holders: Vec<i64> =
            all.filter(|o| o.remote.as_deref() == Some("77")).map(|o| o.id).collect();
        assert_eq!(holders, [seat], "answered first: {answered}");
        assert_eq!(hub.object("north", "products", root).state, State::Live);
    }
}

/// A refusal or a person may say the id of a seat before anything is read of it: what waits for
/// that id is told, at the first read at the latest.
///
/// An order's line named the id of a product whose create was never answered. The next create was
/// refused and named the same id, and the line waited on: the order stood held for ever.
#[test]
fn a_seat_that_was_told_its_id_wakes_who_waits_for_it() {
    let mut hub = Hub::new();
    hub.read("erp", "products", product(1, "MUG", "active"));
    hub.read("erp", "variants", variant(10, "MUG-R", 1));
    hub.read(
        "north",
        "orders",
        json!({"id": 1, "number": "1", "status": "paid", "total": "9.90", "lines": [
            {"id": 1, "sku": "MUG-R", "name": "Ding", "variant": 70, "quantity": 1, "total": "9.90", "tax": "0"},
        ]}),
    );
    assert!(hub.store.sold.is_empty(), "nobody knows what was sold");
    let root = hub.record("variant", "MUG-R").id;
    let seat = hub.object("north", "variants", root).id;
    hub.edit(seat, |o| o.remote = Some("70".into()));
    hub.read("north", "variants", json!({"id": 70, "sku": "MUG-R", "parent": 50}));
    assert_eq!(hub.store.sold.values().map(|s| s.variant).collect::<Vec<_>>(), [root]);
}

/// Somebody else's object is not taken.
#[test]
fn what_stands_for_a_record_gives_way_to_nobody() {
    let mut hub = Hub::new();
    let mut shop = Target::new(as_it_is);
    hub.read("erp", "products", product(1, "MUG", "active"));
    hub.align("north", &mut shop);
    let id = hub.object("north", "products", hub.record("product", "MUG").id).id;
    assert!(hub.step(|_, w| give_way(w, "north", "products", "501", id + 1000)).is_none());
    assert_eq!(hub.store.objects[&id].remote.as_deref(), Some("501"));
}

/// Two bore one key and a person deleted one: the other is what is meant.
///
/// The seat stood held beside it for ever, and said that the key stood there already.
#[test]
fn of_two_doubles_the_one_that_is_left_is_taken() {
    for (deleted, left) in [(50, "51"), (51, "50")] {
        let mut hub = Hub::new();
        let mut shop = Target::new(as_it_is);
        for (id, sku) in [(50, "mug"), (51, "Mug")] {
            let there = json!({"id": id, "sku": sku, "name": "Tasse", "state": "publish"});
            shop.items.insert(("products".into(), id.to_string()), there.clone());
            hub.read("north", "products", there);
        }
        hub.read("erp", "products", product(1, "MUG", "active"));
        let root = hub.record("product", "MUG").id;
        let seat = hub.object("north", "products", root).id;
        assert_eq!(hub.align("north", &mut shop), 0);
        // A read of either changes nothing: which is meant, a person says.
        let again = json!({"id": 50, "sku": "mug", "name": "Becher", "state": "publish"});
        hub.read("north", "products", again);
        assert_eq!(hub.object("north", "products", root).remote, None);
        let asked = hub.seq;
        let body = json!({"id": deleted});
        hub.hear("north", "products", "", kilter_core::model::Via::Gone, asked, body);
        let object = hub.object("north", "products", root);
        assert_eq!((object.id, object.remote.as_deref()), (seat, Some(left)));
        assert_eq!(hub.align("north", &mut shop), 1, "updated, not made");
        let item = &shop.items[&("products".to_owned(), left.to_owned())];
        assert_eq!((&item["name"], shop.items.len()), (&json!("Ding MUG"), 2));
    }
}

/// A parent that a poll found wakes its children as one that we made does.
#[test]
fn a_parent_found_by_a_poll_wakes_its_children() {
    let mut hub = Hub::new();
    let mut shop = Target::new(as_it_is);
    // The parent waits for its title: nothing of it is made.
    hub.read(
        "erp",
        "products",
        json!({"id": 1, "code": "MUG", "kind": "variable", "status": "active"}),
    );
    hub.read("erp", "variants", variant(10, "MUG-R", 1));
    hub.read("erp", "prices", price(5, 10));
    assert_eq!(hub.align("north", &mut shop), 0);
    let parent = hub.object("north", "products", hub.record("product", "MUG").id).id;
    hub.waits(parent, WaitKind::Parked, "waits for its title in de_DE from erp");
    let child = hub.object("north", "variants", hub.record("variant", "MUG-R").id).id;
    hub.waits(child, WaitKind::Parked, "waits for its product in north");
    hub.read(
        "north",
        "products",
        json!({"id": 77, "sku": "MUG", "name": "Tasse", "state": "publish"}),
    );
    assert_eq!(hub.align("north", &mut shop), 1);
    assert_eq!(hub.store.objects[&child].state, State::Live);
}

/// Someone deleted what we keep there: whether it should be there is not the shop's to say.
#[test]
fn what_was_deleted_in_a_shop_asks_a_person() {
    let mut hub = Hub::new();
    let mut shop = Target::new(as_it_is);
    hub.read("erp", "products", product(1, "MUG", "active"));
    hub.align("north", &mut shop);
    let id = hub.object("north", "products", hub.record("product", "MUG").id).id;
    let asked = hub.seq;
    hub.hear("north", "products", "", kilter_core::model::Via::Gone, asked, json!({"id": 501}));
    assert_eq!(hub.store.objects[&id].state, State::Gone);
    hub.waits(id, WaitKind::Held, "deleted it in north");
    assert!(matches!(hub.plan(id), Plan::Nothing), "not made again unasked");
    assert_eq!(hub.store.objects[&id].remote.as_deref(), Some("501"));
}

/// A target that tells case apart has two things where a folding one has one.
///
/// The index of what has no record is folded, for those that fold; a target that does not was
/// given the other one's object.
#[test]
fn a_target_that_tells_case_apart_is_matched_by_the_exact_key() {
    let mut house = crate::support::house::house(crate::support::house::CONFIG);
    let stall = house.connectors.get_mut("stall").unwrap();
    stall.resources.iter_mut().for_each(|r| r.fold = false);
    let house =
        kilter_core::sync::house::House::new(house.entities, house.connectors, house.config);
    let mut hub = Hub::of(house);
    hub.read(
        "north",
        "products",
        json!({"id": 50, "sku": "mug", "name": "Tasse", "state": "publish"}),
    );
    hub.read("erp", "products", product(1, "MUG", "active"));
    let root = hub.record("product", "MUG").id;
    assert_eq!(hub.object("north", "products", root).remote, None);
    hub.read("erp", "products", product(2, "mug", "active"));
    let root = hub.record("product", "mug").id;
    assert_eq!(hub.object("north", "products", root).remote.as_deref(), Some("50"));
}
