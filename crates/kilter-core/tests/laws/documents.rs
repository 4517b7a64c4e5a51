//! Documents: born once, with the money that the shop took, and led by their states.

use kilter_core::Json;
use kilter_core::model::{Cell, Flat, Object, Record, Rows, State, WaitKind};
use kilter_core::sync::document::{birth, document, reference};
use kilter_core::sync::house::{BIRTH_ROW, STATE_ROW, TOTAL_ROW};
use kilter_core::sync::plan::Plan;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::json;

use crate::support::Hub;
use crate::support::house::{CONFIG, house};

const ORDER: i64 = 100;
const DOCUMENT: i64 = 200;

fn set(record: &mut Record, field: &str, value: Json) {
    let cell =
        Cell { value, by: "north".into(), change: 1, at: crate::support::NOW.into(), seed: false };
    record.fields.entry(field.into()).or_default().insert("".into(), cell);
}

fn edit(hub: &mut Hub, field: &str, value: Json) {
    set(hub.store.records.get_mut(&ORDER).unwrap(), field, value);
}

fn line(id: &str, quantity: &str, total: &str, tax: &str) -> Json {
    json!({"id": id, "sku": "MUG-R", "name": "Becher", "variant": {"$record": 7},
        "quantity": quantity, "total": format!("{total} EUR"), "tax": format!("{tax} EUR"), "tax_rate": "19"})
}

/// An order of the northern shop with two lines and postage, and its document in the ERP.
fn hub(prices: &str) -> Hub {
    let config = CONFIG.replace("prices     = \"gross\"", &format!("prices     = \"{prices}\""));
    hub_of(&config)
}

fn hub_of(config: &str) -> Hub {
    let mut hub = Hub::of(house(config));
    let mut order = Record::new(ORDER, "order", "north", Some("N-1-ABCDEF".into()));
    set(&mut order, "reference", json!("N-1-ABCDEF"));
    set(&mut order, "status", json!("paid"));
    set(&mut order, "total", json!("28.15 EUR"));
    set(
        &mut order,
        "lines",
        json!([line("1", "3", "17.00", "3.23"), line("2", "1", "2.50", "0.48")]),
    );
    let postage = json!({"id": "9", "kind": "shipping", "name": "Post", "total": "4.15 EUR", "tax": "0.79 EUR", "tax_rate": "19"});
    let free =
        json!({"id": "8", "kind": "fee", "name": "None", "total": "0.00 EUR", "tax": "0.00 EUR"});
    set(&mut order, "charges", json!([postage, free]));
    hub.store.records.insert(ORDER, order);
    hub.store.records.insert(7, Record::new(7, "variant", "erp", Some("MUG-R".into())));
    let mut object = Object::seat(DOCUMENT, "erp", "orders", "orders");
    object.remote = Some("900".into());
    object.root = Some(ORDER);
    object.state = State::Live;
    object.bindings.insert("order".into(), ORDER);
    hub.store.objects.insert(DOCUMENT, object);
    hub
}

fn target(hub: &mut Hub, state: &str, total: &str) {
    let birth = birth(&hub.store.records[&ORDER]);
    hub.edit(DOCUMENT, |o| {
        o.shadow = Rows::from(Flat::from_iter([
            (STATE_ROW.into(), json!(state)),
            (TOTAL_ROW.into(), json!(total)),
            (BIRTH_ROW.into(), birth),
        ]));
    });
}

fn held(hub: &mut Hub) -> String {
    match hub.plan(DOCUMENT) {
        Plan::Wait(wait, _) if wait.kind == WaitKind::Held => wait.reason,
        other => panic!("not held: {other:?}"),
    }
}

fn step(hub: &mut Hub) -> Option<(String, String)> {
    match hub.plan(DOCUMENT) {
        Plan::Step(step) => Some((step.name, step.to)),
        Plan::Nothing => None,
        other => panic!("no step: {other:?}"),
    }
}

fn born(prices: &str) -> Json {
    let mut hub = hub(prices);
    hub.step(|house, w| document(&house.view("erp", "orders").unwrap(), w, ORDER)).unwrap()
}

/// The unit price is the line's total, with or without its tax, over its quantity, to two places,
/// half away from zero. What costs nothing is no line.
#[test]
fn unit_prices_are_net_or_gross_as_the_target_wants() {
    // 20.23 / 3 = 6.743…, 2.98 / 1, 4.94 / 1; net: 17.00 / 3 = 5.666…, 2.50, 4.15.
    for (prices, expected) in
        [("gross", ["6.74", "2.98", "4.94"]), ("net", ["5.67", "2.5", "4.15"])]
    {
        let lines = born(prices);
        let units: Vec<&str> =
            lines.as_array().unwrap().iter().map(|l| l["unit_price"].as_str().unwrap()).collect();
        assert_eq!(units, expected, "{prices}");
        assert_eq!(lines[0]["key"], "N-1-ABCDEF-1", "a key that no other order's line has");
        assert_eq!((&lines[2]["kind"], &lines[2]["quantity"]), (&json!("shipping"), &json!("1")));
    }
}

#[test]
fn a_line_of_an_unknown_sku_holds_the_order_by_its_name() {
    let mut hub = hub("gross");
    edit(
        &mut hub,
        "lines",
        json!([{"id": "1", "sku": "ODD", "name": "Odd thing", "variant": {"$remote": ["variants", "5"]}, "quantity": "1"}]),
    );
    let born = hub.step(|house, w| document(&house.view("erp", "orders").unwrap(), w, ORDER));
    let wait = born.unwrap_err();
    assert_eq!(wait.kind, WaitKind::Held);
    assert!(wait.reason.contains("Odd thing") && wait.reason.contains("ODD"), "{}", wait.reason);
}

/// Three pieces at a rounded price, one piece, postage: half a cent for each of the three, a cent
/// for each of the others. Three and a half may be rounding, on either side; more is a person's.
#[test]
fn a_cent_a_line_or_half_a_cent_a_piece_is_rounding_and_more_is_not() {
    let differences = [
        ("28.15", None),
        ("28.115", Some("0.035")),
        ("28.185", Some("-0.035")),
        ("28.14", Some("0.01")),
        ("28.114", Some("held")),
        ("28.186", Some("held")),
        ("0", Some("held")),
    ];
    for (theirs, expected) in differences {
        let mut hub = hub("gross");
        target(&mut hub, "draft", theirs);
        match (hub.plan(DOCUMENT), expected) {
            (Plan::Step(step), None) => assert_eq!(step.name, "quote"),
            (Plan::Wait(wait, _), Some("held")) => {
                assert_eq!(wait.kind, WaitKind::Held);
                assert!(
                    wait.reason.contains("28.15") && wait.reason.contains(theirs),
                    "{}",
                    wait.reason
                );
            }
            (Plan::Step(step), Some(difference)) => {
                assert_eq!((step.name.as_str(), step.to.as_str()), ("rounding", "draft"));
                assert_eq!(step.extra["difference"], json!(difference), "{theirs}");
            }
            (plan, _) => panic!("{theirs}: {plan:?}"),
        }
    }
}

/// 200 pieces at half a cent: a euro, and with net prices the tax on it, but never more than the
/// limit, which a merchant may raise.
#[test]
fn many_pieces_may_cost_more_than_a_cent_up_to_the_limit() {
    let cases = [
        ("gross", "", "200", "1", "1.01"),
        ("gross", "", "2000", "1", "1.01"),
        ("net", "", "100", "0.595", "0.596"),
        ("gross", "[limits]\nrounding_cents_max = 500\n", "700", "3.5", "3.501"),
    ];
    for (prices, limits, quantity, within, beyond) in cases {
        let config = CONFIG.replace("prices     = \"gross\"", &format!("prices = \"{prices}\""));
        let mut hub = hub_of(&format!("{config}\n{limits}"));
        edit(&mut hub, "lines", json!([line("1", quantity, "1000.00", "190.00")]));
        edit(&mut hub, "charges", json!([]));
        edit(&mut hub, "total", json!("1190.00 EUR"));
        let total: Decimal = "1190".parse().unwrap();
        let off = |by: &str| (total - by.parse::<Decimal>().unwrap()).to_string();
        target(&mut hub, "draft", &off(within));
        assert_eq!(step(&mut hub).unwrap().0, "rounding", "{prices} {quantity}");
        target(&mut hub, "draft", &off(beyond));
        assert!(held(&mut hub).contains("1190"));
    }
}

/// A target that does not count the line: one is given, then a person sees both totals.
///
/// Nobody counted: it was given another one after each read.
#[test]
fn one_rounding_line_and_no_second_one() {
    let mut hub = hub("gross");
    target(&mut hub, "draft", "28.13");
    let Plan::Step(step) = hub.plan(DOCUMENT) else { panic!("no rounding") };
    let (row, value) = step.once.expect("it is noted before it is sent");
    hub.edit(DOCUMENT, |o| {
        o.shadow.insert(row, value);
    });
    // Not kept, or kept by half: both are a person's. A read does not forget the line.
    for theirs in ["28.13", "28.14"] {
        let body = json!({"id": 900, "reference": "N-1-ABCDEF", "state": "draft", "total": theirs});
        hub.read("erp", "orders", body);
        let reason = held(&mut hub);
        for part in ["28.15", theirs, "0.02"] {
            assert!(reason.contains(part), "{reason}");
        }
    }
}

/// Once the line is there the totals agree, and it goes on; after the first step nobody compares.
#[test]
fn a_rounding_line_is_planned_once() {
    let mut hub = hub("gross");
    target(&mut hub, "draft", "28.13");
    assert_eq!(step(&mut hub), Some(("rounding".into(), "draft".into())));
    target(&mut hub, "draft", "28.15");
    assert_eq!(step(&mut hub), Some(("quote".into(), "quoted".into())));
    target(&mut hub, "quoted", "28.13");
    assert_eq!(step(&mut hub), Some(("confirm".into(), "confirmed".into())));
}

/// After a crash the observed state says what is next, from wherever it is, to the end.
#[test]
fn from_any_state_the_shortest_way_to_the_goal_is_taken() {
    let ways: [(&str, &str, &[&str]); 8] = [
        ("paid", "draft", &["quote", "confirm"]),
        ("paid", "quoted", &["confirm"]),
        ("paid", "confirmed", &[]),
        ("completed", "done", &[]),
        ("cancelled", "draft", &["cancel"]),
        ("cancelled", "quoted", &["back", "cancel"]),
        ("cancelled", "cancelled", &[]),
        // A goal that the connector does not name asks for nothing.
        ("held", "draft", &[]),
    ];
    for (goal, from, names) in ways {
        let mut hub = hub("gross");
        edit(&mut hub, "status", json!(goal));
        let mut state = from.to_owned();
        let mut walked = Vec::new();
        loop {
            target(&mut hub, &state, "28.15");
            let Some((name, to)) = step(&mut hub) else { break };
            walked.push(name);
            state = to;
            assert!(walked.len() < 5, "goes round: {walked:?}");
        }
        assert_eq!(walked, names, "{from} → {goal}");
    }
}

/// A draft whose total differs, or that its shop changed, is cancelled when the shop says so.
///
/// It was given a rounding line first, or stood held beside a cancelled order for ever.
#[test]
fn a_cancellation_does_not_ask_for_money() {
    for theirs in ["28.15", "28.14", "99"] {
        let mut hub = hub("gross");
        edit(&mut hub, "status", json!("cancelled"));
        target(&mut hub, "draft", theirs);
        edit(&mut hub, "lines", json!([]));
        assert_eq!(step(&mut hub), Some(("cancel".into(), "cancelled".into())), "{theirs}");
    }
}

/// Changed after it was sent, and cancelled then: nobody is asked about lines that nobody wants.
///
/// The cancellation was carried out, and the order stood held for its old lines ever after.
#[test]
fn a_cancellation_ends_the_question_what_changed() {
    let mut hub = hub("gross");
    target(&mut hub, "draft", "28.15");
    edit(&mut hub, "lines", json!([line("1", "4", "22.67", "4.31")]));
    assert!(held(&mut hub).contains("lines"));
    edit(&mut hub, "status", json!("cancelled"));
    assert_eq!(step(&mut hub), Some(("cancel".into(), "cancelled".into())));
    let birth = hub.store.objects[&DOCUMENT].shadow.get(BIRTH_ROW).unwrap().clone();
    target(&mut hub, "cancelled", "28.15");
    hub.edit(DOCUMENT, |o| {
        o.shadow.insert(BIRTH_ROW.into(), birth);
    });
    assert_eq!(step(&mut hub), None);
}

#[test]
fn a_state_that_cannot_be_reached_waits_for_a_person() {
    for (goal, from) in [("cancelled", "confirmed"), ("paid", "cancelled"), ("paid", "unheard-of")]
    {
        let mut hub = hub("gross");
        edit(&mut hub, "status", json!(goal));
        target(&mut hub, from, "28.15");
        let reason = held(&mut hub);
        assert!(reason.contains(goal) && reason.contains(from), "{reason}");
    }
}

/// What changed after birth is shown with both sides and never repaired, wherever it stands.
#[test]
fn an_amendment_after_birth_is_held_with_both_sides() {
    let changes = [
        ("total", json!("30.00 EUR"), "now 30.00 EUR"),
        ("lines", json!([line("1", "4", "22.67", "4.31")]), "lines"),
        ("shipping", json!({"street": "New Street 1"}), "shipping"),
    ];
    for (field, value, says) in changes {
        for state in ["confirmed", "done"] {
            let mut hub = hub("gross");
            target(&mut hub, state, "28.15");
            assert!(matches!(hub.plan(DOCUMENT), Plan::Nothing), "nothing changed yet");
            edit(&mut hub, field, value.clone());
            let reason = held(&mut hub);
            assert!(reason.contains(field) && reason.contains("then 28.15 EUR"), "{reason}");
            assert!(reason.contains(says), "{reason}");
            // An edit that leaves something to pay: its shop asks for nothing, and it is told still.
            edit(&mut hub, "status", json!("pending"));
            assert!(held(&mut hub).contains(says), "with something left to pay");
        }
    }
}

/// Documents never leave once sent, whatever their shop says; before, they are withdrawn.
#[test]
fn a_document_is_withdrawn_before_it_is_sent_and_never_after() {
    let said = |status: &str| json!({"id": 1, "number": "1", "status": status, "total": "1.00", "lines": []});
    let mut hub = Hub::new();
    hub.read("north", "orders", said("paid"));
    let root = hub.store.records.values().find(|r| r.entity == "order").unwrap().id;
    assert_eq!(hub.object("erp", "orders", root).state, State::Seat);
    assert!(hub.objects("south", "orders", root).is_empty(), "orders flow to who makes them");
    hub.read("north", "orders", said("cancelled"));
    let object = hub.object("erp", "orders", root);
    assert_eq!((object.state, object.due.is_none()), (State::Left, true));
    hub.read("north", "orders", said("paid"));
    let id = hub.object("erp", "orders", root).id;
    assert_eq!(hub.store.objects[&id].state, State::Seat);
    let key = hub.store.records[&root].key.clone().unwrap();
    hub.read(
        "erp",
        "orders",
        json!({"id": 900, "reference": key, "state": "draft", "total": "1.00"}),
    );
    assert_eq!(hub.store.objects[&id].state, State::Live, "the one that we asked for");
    hub.read("north", "orders", said("cancelled"));
    assert_eq!(hub.store.objects[&id].state, State::Live);
    assert_eq!(
        hub.step(|_, w| w.ids(&kilter_core::sync::world::Key::ObjectsOfRoot("erp".into(), root))),
        [id]
    );
}

/// Withdrawn while its create was on its way, and read before that was answered: it is there all the
/// same, and a draft that its shop has cancelled must be looked at. It stayed a draft for ever.
#[test]
fn a_document_that_was_withdrawn_too_late_is_there_and_looks_again() {
    let said = |status: &str| json!({"id": 1, "number": "1", "status": status, "total": "1.00", "lines": []});
    let mut hub = Hub::new();
    hub.read("north", "orders", said("paid"));
    let root = hub.store.records.values().find(|r| r.entity == "order").unwrap().id;
    let id = hub.object("erp", "orders", root).id;
    let key = hub.store.records[&root].key.clone().unwrap();
    hub.read("north", "orders", said("cancelled"));
    assert_eq!(hub.store.objects[&id].state, State::Left);
    hub.read(
        "erp",
        "orders",
        json!({"id": 900, "reference": key, "state": "draft", "total": "1.00"}),
    );
    let object = &hub.store.objects[&id];
    assert_eq!((object.state, object.remote.as_deref()), (State::Live, Some("900")));
    assert!(object.due.is_some(), "its plan says what becomes of it");
}

/// An order that is read again after it was sent is not marked again: what it was at birth, kept
/// beside the rows, made every read look like a change.
#[test]
fn a_read_that_says_the_same_of_a_document_is_unchanged() {
    let mut hub = hub("gross");
    let body =
        json!({"id": 900, "reference": "N-1-ABCDEF", "state": "confirmed", "total": "28.15"});
    hub.read("erp", "orders", body.clone());
    let birth = birth(&hub.store.records[&ORDER]);
    hub.edit(DOCUMENT, |o| {
        o.shadow.insert(BIRTH_ROW.into(), birth);
        o.due = None;
    });
    assert_eq!(hub.read("erp", "orders", body), kilter_core::model::End::Unchanged);
    assert_eq!(hub.store.objects[&DOCUMENT].due, None);
    assert!(hub.store.objects[&DOCUMENT].shadow.contains_key(BIRTH_ROW));
}

proptest! {
    /// Said again, it is the same; from elsewhere, it is another.
    #[test]
    fn a_reference_is_made_of_where_the_order_was_born(
        number in "[0-9]{1,9}", account in "[a-z]{3,12}", remote in "[0-9]{1,12}",
    ) {
        let one = reference("N", &number, &account, "order", &remote);
        prop_assert_eq!(&one, &reference("N", &number, &account, "order", &remote));
        prop_assert_ne!(&one, &reference("N", &number, &format!("{account}x"), "order", &remote));
        prop_assert_ne!(&one, &reference("N", &number, &account, "order", &format!("{remote}0")));
        let (head, code) = one.rsplit_once('-').unwrap();
        prop_assert_eq!(head, format!("N-{number}"));
        prop_assert!(code.len() == 6 && code.bytes().all(|b| b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(&b)));
    }

    /// What rounding the unit price costs a line is at most half a cent for each piece of it.
    #[test]
    fn a_unit_price_is_off_by_half_a_cent_a_piece_at_most(
        quantity in 1..500i64, net in 0..1_000_000i64, tax in 0..200_000i64,
    ) {
        let money = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
        let mut hub = hub("gross");
        edit(&mut hub, "lines", json!([line("1", &quantity.to_string(), &money(net), &money(tax))]));
        let born = hub.step(|house, w| document(&house.view("erp", "orders").unwrap(), w, ORDER)).unwrap();
        let unit: Decimal = born[0]["unit_price"].as_str().unwrap().parse().unwrap();
        let off = (unit * Decimal::from(quantity) - Decimal::new(net + tax, 2)).abs();
        prop_assert!(off <= Decimal::new(quantity * 5, 3), "{off}");
    }
}
