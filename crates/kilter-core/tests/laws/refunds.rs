//! Refunds: what was given back arrives with its money, follows its order, and brings nothing back
//! that did not come.

use kilter_core::Json;
use kilter_core::model::{ObjectId, RecordId, State, WaitKind};
use kilter_core::sync::plan::Plan;
use kilter_core::sync::{credit::credit, derive, lifecycle};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::json;

use crate::support::Hub;

/// A variant that both shops show, and an order of the northern one: three of it at 10 + 1.90, and
/// one at 20 + 3.80, at one tax.
fn hub() -> Hub {
    let mut hub = Hub::new();
    let product =
        json!({"id": 1, "code": "MUG", "name": "Becher", "kind": "variable", "status": "active"});
    hub.read("erp", "products", product);
    hub.read("erp", "variants", json!({"id": 10, "sku": "MUG-R", "product": 1}));
    for (shop, id) in [("north", 70), ("south", 80)] {
        let product = json!({"id": id - 20, "sku": "MUG", "name": "Becher", "state": "publish"});
        hub.read(shop, "products", product);
        hub.read(shop, "variants", json!({"id": id, "sku": "MUG-R", "parent": id - 20}));
    }
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "20"}));
    hub.read("north", "orders", order("paid", &[], &[]));
    hub
}

fn order(status: &str, refunds: &[i64], restocked: &[(i64, i64)]) -> Json {
    let line = |id: i64, quantity: i64, total: &str, tax: &str| {
        json!({"id": id, "sku": "MUG-R", "name": "Becher", "variant": 70, "quantity": quantity,
            "total": total, "tax": tax, "rate": "19"})
    };
    let listed: Vec<Json> = refunds.iter().map(|id| json!({ "id": id })).collect();
    let back: Vec<Json> =
        restocked.iter().map(|(l, q)| json!({"line": l, "quantity": q.to_string()})).collect();
    json!({"id": 5, "number": "5", "status": status, "total": "59.50", "refunds": listed,
        "restocked": back, "lines": [line(1, 3, "30.00", "5.70"), line(2, 1, "20.00", "3.80")]})
}

fn refund(id: i64, amount: &str, lines: Json, postage: Json) -> Json {
    json!({"id": id, "order": 5, "at": "2026-03-01T09:00:00Z", "amount": amount, "reason": "",
        "lines": lines, "postage": postage})
}

fn root(hub: &Hub, entity: &str, number: &str) -> RecordId {
    let mut all = hub.store.records.values();
    all.find(|r| r.entity == entity && r.text("number") == Some(number)).unwrap().id
}

fn key(hub: &Hub, entity: &str, number: &str) -> String {
    hub.store.records[&root(hub, entity, number)].key.clone().unwrap().into()
}

/// The order stands in the ERP, in this state.
fn sent(hub: &mut Hub, state: &str) {
    let reference = key(hub, "order", "5");
    hub.read(
        "erp",
        "orders",
        json!({"id": 900, "reference": reference, "state": state, "total": "59.50"}),
    );
}

fn born(hub: &mut Hub, number: &str) -> Result<Vec<Json>, kilter_core::model::Wait> {
    let id = root(hub, "refund", number);
    let lines = hub.step(|house, w| credit(&house.view("erp", "refunds").unwrap(), w, id))?;
    Ok(lines.as_array().unwrap().clone())
}

fn seat(hub: &Hub, number: &str) -> ObjectId {
    hub.object("erp", "refunds", root(hub, "refund", number)).id
}

fn dec(value: &Json) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

fn piece(line: i64, quantity: i64, total: &str, tax: &str) -> Json {
    json!({"id": 40 + line, "line": line, "variant": 70, "quantity": (-quantity).to_string(),
        "total": format!("-{total}"), "tax": format!("-{tax}")})
}

/// The shop's prefix, R and the refund's number: no order is called so. Said again, it is the same.
#[test]
fn a_refund_is_named_apart_from_orders() {
    let mut hub = hub();
    hub.read("north", "refunds", refund(5, "1.00", json!([]), json!([])));
    let name = key(&hub, "refund", "5");
    assert!(name.starts_with("N-R5-") && name.len() == "N-R5-".len() + 6, "{name}");
    assert_ne!(name.split('-').next_back(), key(&hub, "order", "5").split('-').next_back());
    hub.read("north", "refunds", refund(5, "1.00", json!([]), json!([])));
    assert_eq!(key(&hub, "refund", "5"), name);
}

/// A refund that its order does not list yet is newer than what is known of the order: what the shop put
/// back would be missed.
#[test]
fn a_refund_waits_until_its_order_lists_it() {
    let mut hub = hub();
    sent(&mut hub, "confirmed");
    hub.read(
        "north",
        "refunds",
        refund(7, "11.90", json!([piece(1, 1, "10.00", "1.90")]), json!([])),
    );
    let id = seat(&hub, "7");
    match hub.plan(id) {
        Plan::Wait(wait, _) => assert!(wait.reason.contains("does not list it yet")),
        other => panic!("{other:?}"),
    }
    hub.edit(id, |o| o.due = None);
    hub.read("north", "orders", order("paid", &[7], &[(1, 1)]));
    assert!(hub.store.objects[&id].due.is_some(), "nobody else wakes it");
    match hub.plan(id) {
        Plan::Write(operation) => {
            let line =
                json!({"kind": "goods", "variant": 10, "quantity": "1", "unit_price": "11.9"});
            assert_eq!(operation.payload["lines"], json!([line]));
        }
        other => panic!("{other:?}"),
    }
}

/// The table of `whole`, row by row.
#[test]
fn a_refund_goes_where_its_order_stands() {
    let rows = [
        (None, "paid", "waits for its order in erp"),
        (Some("draft"), "paid", "waits until"),
        (Some("quoted"), "paid", "waits until"),
        (Some("confirmed"), "paid", "sent"),
        (Some("done"), "completed", "sent"),
        (Some("cancelled"), "paid", "was cancelled in erp"),
        (Some("cancelled"), "refunded", "nothing"),
        // It can be cancelled still: that comes first.
        (Some("draft"), "refunded", "waits until"),
        // It cannot: the money is given back all the same.
        (Some("confirmed"), "refunded", "sent"),
    ];
    for (there, status, expected) in rows {
        let mut hub = hub();
        hub.read("north", "refunds", refund(7, "11.90", json!([]), json!([])));
        if let Some(state) = there {
            sent(&mut hub, state);
        }
        hub.read("north", "orders", order(status, &[7], &[]));
        let id = seat(&hub, "7");
        let found = match hub.plan(id) {
            Plan::Wait(wait, _) => wait.reason,
            Plan::Write(_) => "sent".to_owned(),
            Plan::Nothing => "nothing".to_owned(),
            other => panic!("{other:?}"),
        };
        assert!(found.contains(expected), "{there:?} {status}: {found}");
    }
}

/// What waits for the order is woken by the order's next state: nobody else tells it.
#[test]
fn a_refund_is_woken_by_its_order() {
    let mut hub = hub();
    hub.read("north", "refunds", refund(7, "11.90", json!([]), json!([])));
    hub.read("north", "orders", order("paid", &[7], &[]));
    let id = seat(&hub, "7");
    for state in ["draft", "confirmed"] {
        hub.edit(id, |o| o.due = None);
        sent(&mut hub, state);
        assert!(hub.store.objects[&id].due.is_some(), "{state}");
    }
}

/// Given back whole before it was sent: neither comes, and nothing waits.
#[test]
fn what_was_given_back_before_it_was_sent_never_comes() {
    let mut hub = hub();
    hub.read("north", "orders", order("refunded", &[7], &[]));
    hub.read("north", "refunds", refund(7, "59.50", json!([]), json!([])));
    let refund = root(&hub, "refund", "7");
    assert!(hub.objects("erp", "refunds", refund).is_empty());
    let order = root(&hub, "order", "5");
    assert_eq!(hub.object("erp", "orders", order).state, State::Left);
    // It was on its way all the same, as a late answer says: then its refund flows as well.
    sent(&mut hub, "confirmed");
    let order = hub.object("erp", "orders", order).id;
    if hub.store.objects[&order].state != State::Live {
        hub.edit(order, |o| {
            o.state = State::Live;
            o.remote = Some("900".into());
        });
    }
    hub.step(|house, w| {
        kilter_core::sync::mark::object_bound(house, w, order, crate::support::NOW)
    });
    assert!(matches!(hub.plan(seat(&hub, "7")), Plan::Write(_)));
}

/// A part was credited, then the rest given back and the order cancelled: a person must look, until
/// he says that he did.
#[test]
fn a_credit_for_an_order_that_is_undone_is_a_persons() {
    let mut hub = hub();
    hub.read("north", "refunds", refund(7, "11.90", json!([]), json!([])));
    hub.read("north", "orders", order("refunded", &[7], &[]));
    sent(&mut hub, "cancelled");
    let name = key(&hub, "refund", "7");
    hub.read(
        "erp",
        "refunds",
        json!({"id": 70, "reference": name, "state": "posted", "total": "11.90"}),
    );
    let id = root(&hub, "refund", "7");
    let object = hub.object("erp", "refunds", id).id;
    match hub.plan(object) {
        Plan::Wait(wait, _) => assert!(wait.kind == WaitKind::Held && wait.reason.contains(&name)),
        other => panic!("{other:?}"),
    }
    let record = hub.store.records[&id].clone();
    let mut left = hub.store.objects[&object].clone();
    let house = crate::support::house::house(crate::support::house::CONFIG);
    lifecycle::leave(&house.view("erp", "refunds").unwrap(), &record, &mut left);
    hub.edit(object, |o| *o = left);
    assert!(matches!(hub.plan(object), Plan::Nothing));
}

/// A draft may stay one; its total is the shop's all the same.
#[test]
fn the_total_of_a_credit_is_compared_where_it_may_stay_a_draft() {
    for (theirs, expected) in [("11.90", "nothing"), ("11.89", "rounding"), ("11.80", "held")] {
        let mut hub = hub();
        sent(&mut hub, "confirmed");
        hub.read(
            "north",
            "refunds",
            refund(7, "11.90", json!([piece(1, 1, "10.00", "1.90")]), json!([])),
        );
        hub.read("north", "orders", order("paid", &[7], &[]));
        let name = key(&hub, "refund", "7");
        hub.read(
            "erp",
            "refunds",
            json!({"id": 70, "reference": name, "state": "draft", "total": theirs}),
        );
        let id = root(&hub, "refund", "7");
        let found = match hub.plan(hub.object("erp", "refunds", id).id) {
            Plan::Nothing => "nothing".to_owned(),
            Plan::Step(step) => {
                assert_eq!(step.extra["difference"], json!("0.01"));
                step.name
            }
            Plan::Wait(wait, _) if wait.kind == WaitKind::Held => "held".to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{theirs}");
    }
}

/// Without lines it is one line at the order's tax; of two taxes nobody could say which.
#[test]
fn an_amount_that_no_line_explains_is_a_line_at_the_one_tax() {
    let mut hub = hub();
    hub.read("north", "refunds", refund(7, "11.90", json!([]), json!([])));
    hub.read("north", "orders", order("paid", &[7], &[]));
    let lines = born(&mut hub, "7").unwrap();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&line["kind"], &line["tax_rate"]), (&json!("amount"), &json!("19")));
    assert_eq!((&line["quantity"], &line["unit_price"]), (&json!("1"), &json!("11.9")));
    let mut two = order("paid", &[7], &[]);
    two["lines"][1]["rate"] = json!("7");
    hub.read("north", "orders", two);
    let wait = born(&mut hub, "7").unwrap_err();
    assert!(
        wait.kind == WaitKind::Held && wait.reason.contains("several taxes"),
        "{}",
        wait.reason
    );
}

/// A line told by what it charged before discounts counts with its money, not with its tax alone: a
/// tax-free one beside another was passed over, and nobody was asked which tax the gesture bears.
#[test]
fn a_line_told_by_its_price_counts_when_an_amount_seeks_its_tax() {
    let mut hub = hub();
    hub.read("north", "refunds", refund(7, "3.33", json!([]), json!([])));
    let mut told = order("paid", &[7], &[]);
    let line = |id: i64, price: &str, tax: &str, rate: &str| {
        json!({"id": id, "sku": "MUG-R", "name": "Becher", "variant": 70, "quantity": 1,
            "subtotal": price, "tax": tax, "rate": rate})
    };
    told["included"] = json!(true);
    told["lines"] = json!([line(1, "35.70", "5.70", "19"), line(2, "23.80", "0.00", "0")]);
    hub.read("north", "orders", told);
    let wait = born(&mut hub, "7").unwrap_err();
    assert!(wait.reason.contains("several taxes"), "{}", wait.reason);
}

/// Neither money nor goods: no empty document is made of it.
#[test]
fn a_refund_of_nothing_is_not_written() {
    let mut hub = hub();
    sent(&mut hub, "confirmed");
    hub.read("north", "refunds", refund(7, "0.00", json!([]), json!([])));
    hub.read("north", "orders", order("paid", &[7], &[]));
    match hub.plan(seat(&hub, "7")) {
        Plan::Wait(wait, _) => assert_eq!(wait.kind, WaitKind::Parked),
        other => panic!("{other:?}"),
    }
}

/// A currency that is not the order's is never sent as if it were.
#[test]
fn a_refund_in_another_currency_is_held() {
    let mut hub = hub();
    hub.read("north", "refunds", refund(7, "11.90", json!([]), json!([])));
    hub.read("north", "orders", order("paid", &[7], &[]));
    let order = root(&hub, "order", "5");
    let cell = hub.store.records[&order].cell("number", "").unwrap().clone();
    let cell = kilter_core::model::Cell { value: json!("USD"), ..cell };
    let record = hub.store.records.get_mut(&order).unwrap();
    record.fields.entry("currency".into()).or_default().insert("".into(), cell);
    let wait = born(&mut hub, "7").unwrap_err();
    assert!(wait.reason.contains("USD") && wait.reason.contains("EUR"), "{}", wait.reason);
}

/// The ERP's order holds the whole line: sellable does not move by a refund, put back or not. What
/// was put back is seen in the shop that did it, and nowhere else.
#[test]
fn a_refund_moves_no_figure_and_is_looked_at_in_its_shop() {
    let mut hub = hub();
    let variant = hub.record("variant", "MUG-R").id;
    let sellable = |hub: &mut Hub| {
        hub.step(|house, w| derive::sellable(&house.view("north", "variants").unwrap(), w, variant))
    };
    let before = sellable(&mut hub);
    // 20 less three, less one, and a buffer of one.
    assert_eq!(before, Ok(Some(json!("15"))));
    hub.read(
        "north",
        "refunds",
        refund(7, "11.90", json!([piece(1, 1, "10.00", "1.90")]), json!([])),
    );
    hub.read("north", "orders", order("paid", &[7], &[]));
    assert_eq!(sellable(&mut hub), before);
    assert_eq!(hub.remote("north", "variants", "70").look, None);
    hub.read("north", "orders", order("paid", &[7], &[(1, 1)]));
    assert_eq!(sellable(&mut hub), before);
    assert!(hub.remote("north", "variants", "70").look.is_some());
    assert_eq!(hub.remote("south", "variants", "80").look, None);
}

/// What came back stands in the ERP's figure once its document is through: the figure is read then.
#[test]
fn a_figure_that_goods_came_back_to_is_read_again() {
    let mut hub = hub();
    sent(&mut hub, "confirmed");
    let lines = json!([piece(1, 1, "10.00", "1.90")]);
    hub.read("north", "refunds", refund(7, "11.90", lines, json!([])));
    let name = key(&hub, "refund", "7");
    let figure = hub.remote("erp", "stock", "10@main").id;
    hub.edit(figure, |o| o.look = None);
    for (state, read) in [("draft", false), ("posted", true)] {
        let body = json!({"id": 70, "reference": name, "state": state, "total": "11.90"});
        hub.read("erp", "refunds", body);
        assert_eq!(hub.remote("erp", "stock", "10@main").look.is_some(), read, "{state}");
    }
}

/// A shop is told that all was shipped where it waits for that. It was told over a refund.
#[test]
fn an_order_that_was_given_back_is_not_completed() {
    for (status, told) in [
        ("paid", true),
        ("held", true),
        ("completed", false),
        ("refunded", false),
        ("cancelled", false),
        ("failed", false),
    ] {
        let mut hub = hub();
        hub.read("north", "orders", order(status, &[], &[]));
        let root = root(&hub, "order", "5");
        let reference = key(&hub, "order", "5");
        hub.read(
            "erp",
            "orders",
            json!({"id": 900, "reference": reference, "state": "done",
            "total": "59.50", "sent": "shipped"}),
        );
        let object = hub.object("north", "orders", root).id;
        match hub.plan(object) {
            Plan::Write(operation) => {
                assert_eq!(operation.payload, json!({"state": "done"}));
                assert!(told, "{status}");
            }
            Plan::Nothing => assert!(!told, "{status}"),
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    /// What its lines say is what was given back, but for half a cent a piece and a cent a line, which
    /// the rounding line takes.
    #[test]
    fn the_lines_of_a_credit_are_its_amount(
        pieces in prop::collection::vec((0..4_i64, 0..5000_i64), 0..3),
        postage in 0..900_i64, gesture in -500..2000_i64,
    ) {
        let money = |cents: i64| Decimal::new(cents, 2).to_string();
        let mut sum = gesture + postage + postage * 19 / 100;
        let mut lines = Vec::new();
        for (n, (quantity, net)) in pieces.iter().enumerate() {
            let tax = net * 19 / 100;
            sum += net + tax;
            lines.push(piece(1 + n as i64 % 2, *quantity, &money(*net), &money(tax)));
        }
        prop_assume!(sum > 0);
        let charge = json!([{"id": 90, "total": money(-postage), "tax": money(-(postage * 19 / 100))}]);
        let mut hub = hub();
        hub.read("north", "refunds", refund(7, &money(sum), Json::Array(lines.clone()), charge));
        hub.read("north", "orders", order("paid", &[7], &[]));
        let born = born(&mut hub, "7").unwrap();
        let total: Decimal = born.iter().map(|l| dec(&l["quantity"]) * dec(&l["unit_price"])).sum();
        let count: i64 = pieces.iter().map(|(q, _)| q.max(&1)).sum::<i64>();
        let allowed = Decimal::new(count * 5, 3) + Decimal::new(lines.len() as i64 + 1, 2);
        prop_assert!((total - Decimal::new(sum, 2)).abs() <= allowed, "{total} for {sum}: {born:?}");
        let keys: std::collections::BTreeSet<&str> =
            born.iter().map(|l| l["key"].as_str().unwrap()).collect();
        prop_assert_eq!(keys.len(), born.len(), "each line has a key of its own");
    }

    /// Each refund is sent when it is seen; together they never bring back more than the shop did.
    #[test]
    fn no_more_comes_back_than_the_shop_put_back(
        steps in prop::collection::vec((1..3_i64, any::<bool>()), 1..5), at_once in any::<bool>(),
    ) {
        let mut hub = hub();
        let (mut put_back, mut goods, mut listed) = (0, Decimal::ZERO, Vec::new());
        let back = |hub: &mut Hub, id: i64| -> Decimal {
            let lines = born(hub, &id.to_string()).unwrap();
            let goods = lines.iter().filter(|l| l["kind"] == "goods");
            goods.map(|l| dec(&l["quantity"])).sum()
        };
        for (n, (quantity, restock)) in steps.iter().enumerate() {
            let id = 10 + n as i64;
            put_back += if *restock { *quantity } else { 0 };
            listed.push(id);
            let mut body = refund(id, "5.00", json!([piece(1, *quantity, "5.00", "0.00")]), json!([]));
            body["at"] = json!(format!("2026-03-01T09:00:{n:02}Z"));
            hub.read("north", "refunds", body);
            hub.read("north", "orders", order("paid", &listed, &[(1, put_back)]));
            if !at_once {
                goods += back(&mut hub, id);
            }
        }
        if at_once {
            for id in &listed {
                goods += back(&mut hub, *id);
            }
        }
        prop_assert!(goods <= Decimal::from(put_back), "{goods} of {put_back}");
        let all_or_none = steps.iter().all(|(_, r)| *r) || steps.iter().all(|(_, r)| !r);
        if all_or_none {
            prop_assert_eq!(goods, Decimal::from(put_back), "nothing of it is missed");
        }
    }

    /// A shop that tells a line's price as one, with or without tax, and beside it how much of it came
    /// back, is credited the same as one that tells the price net and what came back with the order.
    #[test]
    fn however_a_shop_tells_a_line_its_credit_is_the_same(
        quantity in 1..4_i64, back in any::<bool>(), net in 0..5000_i64, included in any::<bool>(),
    ) {
        let restocked = if back { quantity } else { 0 };
        let money = |cents: i64| Decimal::new(cents, 2).to_string();
        let tax = net * 19 / 100;
        let credit = |line: Json, told: &[(i64, i64)], included: bool| {
            let mut hub = hub();
            hub.read("north", "refunds", refund(7, &money(net + tax), json!([line]), json!([])));
            let mut order = order("paid", &[7], told);
            order["included"] = json!(included);
            hub.read("north", "orders", order);
            born(&mut hub, "7").unwrap()
        };
        let plain = piece(1, quantity, &money(net), &money(tax));
        let expected = credit(plain.clone(), &[(1, restocked)], false);
        let mut one = plain;
        one.as_object_mut().unwrap().remove("total");
        one["subtotal"] = json!(money(if included { net + tax } else { net }));
        one["back"] = json!(back);
        prop_assert_eq!(credit(one, &[], included), expected);
    }
}
