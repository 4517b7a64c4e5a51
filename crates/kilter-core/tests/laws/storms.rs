//! What storms found: each law with the day on which it was missing.

use kilter_core::model::{ObjectId, Via, WaitKind};
use kilter_core::sync::existence;
use kilter_core::sync::plan::Plan;
use kilter_core::sync::unseen;
use serde_json::json;

use crate::support::{Hub, NOW};

/// A mug that north shows as 70, at the ERP's price; one of the ERP's nine is kept back there.
fn mug() -> Hub {
    let mut hub = Hub::new();
    let product =
        json!({"id": 1, "code": "MUG", "name": "Becher", "kind": "variable", "status": "active"});
    hub.read("erp", "products", product);
    hub.read("erp", "variants", json!({"id": 10, "sku": "MUG-R", "product": 1}));
    hub.read("erp", "prices", json!({"id": 5, "variant": 10, "amount": "9.90"}));
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "9"}));
    hub.read(
        "north",
        "products",
        json!({"id": 50, "sku": "MUG", "name": "Becher", "state": "publish"}),
    );
    hub.read(
        "north",
        "variants",
        json!({"id": 70, "sku": "MUG-R", "parent": 50, "price": "9.90", "qty": 8}),
    );
    hub
}

fn order(sku: &kilter_core::Json) -> kilter_core::Json {
    json!({"id": 1, "number": "1", "status": "paid", "total": "9.90", "lines": [
        {"id": 1, "sku": sku, "name": "Becher", "variant": 70, "quantity": 3, "total": "8.32", "tax": "1.58"},
    ]})
}

/// A new price was written, and the answer showed the whole product: two fewer than before. The
/// answer was ours, so its fall was not noted; a clerk found more, and the figure was raised over
/// a sale that no webhook had brought.
#[test]
fn a_figure_that_fell_in_an_answer_is_taken_for_a_sale_as_well() {
    let mut hub = mug();
    let id = hub.remote("north", "variants", "70").id;
    hub.read("erp", "prices", json!({"id": 5, "variant": 10, "amount": "8.00"}));
    let Plan::Write(operation) = hub.plan(id) else { panic!("the price is not written") };
    assert_eq!(operation.payload, json!({"price": "8.00"}));
    hub.settle(
        &operation,
        json!({"id": 70, "sku": "MUG-R", "parent": 50, "price": "8.00", "qty": 6}),
    );
    let fell = hub.seq;
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "20"}));
    hub.store.polled.insert("north".into(), fell - 1);
    let Plan::Wait(wait, _) = hub.plan(id) else { panic!("raised over a sale") };
    assert_eq!(wait.kind, WaitKind::Later, "{}", wait.reason);
    hub.store.polled.insert("north".into(), fell);
    let Plan::Write(operation) = hub.plan(id) else { panic!("not raised") };
    assert_eq!(operation.payload, json!({"qty": 19}));
    // What we lowered ourselves is no sale.
    hub.settle(
        &operation,
        json!({"id": 70, "sku": "MUG-R", "parent": 50, "price": "8.00", "qty": 19}),
    );
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "4"}));
    let Plan::Write(operation) = hub.plan(id) else { panic!("not lowered") };
    hub.settle(
        &operation,
        json!({"id": 70, "sku": "MUG-R", "parent": 50, "price": "8.00", "qty": 3}),
    );
    assert_eq!(hub.store.objects[&id].fell, Some(fell));
}

/// The figure was read, then three were sold, and a page that was under way showed it; our write,
/// planned by the read, arrived first. The page was dropped, for it was asked before the write: so
/// nobody knew of a fall, and the next raise went over the sale.
#[test]
fn a_page_dropped_for_our_write_tells_of_a_sale_that_was_written_over() {
    let mut hub = mug();
    let id = hub.remote("north", "variants", "70").id;
    let shown = |qty: i64| json!({"id": 70, "sku": "MUG-R", "parent": 50, "price": "9.90", "qty": qty, "ver": "v1"});
    hub.read("north", "variants", shown(8));
    let based_on = hub.store.objects[&id].asked;
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "12"}));
    let Plan::Write(operation) = hub.plan(id) else { panic!("not written") };
    // The page leaves after the read that the write is based on; one left before it.
    hub.seq += 2;
    let (older, newer) = (based_on - 1, hub.seq - 1);
    let written = operation.payload["qty"].as_i64().unwrap();
    hub.settle(&operation, shown(written));
    assert_eq!(hub.store.objects[&id].fell, None, "what we lowered or raised ourselves is no sale");
    // What was asked before the read cannot show what the read did not.
    hub.hear("north", "variants", "", Via::Page, older, shown(5));
    assert_eq!(hub.store.objects[&id].fell, None);
    // The page shows what was written already: nothing was written over.
    hub.hear("north", "variants", "", Via::Page, newer, shown(written));
    assert_eq!(hub.store.objects[&id].fell, None);
    hub.hear("north", "variants", "", Via::Page, newer, shown(5));
    let fell = hub.seq;
    assert_eq!(hub.store.objects[&id].fell, Some(fell));
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "20"}));
    hub.store.polled.insert("north".into(), fell - 1);
    let Plan::Wait(wait, _) = hub.plan(id) else { panic!("raised over a sale") };
    assert_eq!(wait.kind, WaitKind::Later, "{}", wait.reason);
    hub.store.polled.insert("north".into(), fell);
    assert!(matches!(hub.plan(id), Plan::Write(_)), "an order poll asked later lets it go");
}

fn sale(id: i64, status: &str) -> kilter_core::Json {
    let line = json!({"id": id, "sku": "MUG-R", "name": "Becher", "variant": 70, "quantity": 1, "total": "8.32", "tax": "1.58"});
    json!({"id": id, "number": id.to_string(), "status": status, "total": "9.90", "lines": [line]})
}

fn shows(qty: i64, ver: &str) -> kilter_core::Json {
    json!({"id": 70, "sku": "MUG-R", "parent": 50, "price": "9.90", "qty": qty, "ver": ver})
}

/// The plan of a round that begins now.
fn next(hub: &mut Hub, id: ObjectId) -> Plan {
    hub.plan_fresh(id, hub.seq)
}

/// A shop sold one, and the webhook of its figure was lost. Its order was polled and came off; the ERP
/// counted one more. So what was wanted was what had last been read, to the unit: there was nothing to
/// write, nobody looked, and the shop showed one too few.
#[test]
fn what_an_order_tells_of_and_no_read_showed_is_read_again() {
    let mut hub = mug();
    let id = hub.remote("north", "variants", "70").id;
    hub.read("north", "variants", shows(8, "v1"));
    hub.read("north", "orders", sale(1, "paid"));
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "10"}));
    assert!(
        matches!(next(&mut hub, id), Plan::ReadFirst),
        "what was last read is older than the sale"
    );
    hub.read("north", "variants", shows(7, "v2"));
    hub.store.polled.insert("north".into(), hub.seq);
    let Plan::Write(operation) = hub.plan(id) else { panic!("it shows one too few") };
    assert_eq!(operation.payload, json!({"qty": 8}));
    hub.settle(&operation, shows(8, "v3"));
    assert!(matches!(next(&mut hub, id), Plan::Nothing));
}

/// On most days the webhook comes: nothing is read for an order whose sale was seen, in whichever
/// order the two arrive. A second sale is a second fall.
#[test]
fn a_sale_that_was_seen_is_not_read_again() {
    let mut hub = mug();
    let id = hub.remote("north", "variants", "70").id;
    hub.read("north", "variants", shows(8, "v1"));
    let asked = hub.store.objects[&id].asked;
    hub.hear("north", "variants", "", Via::Hook, 0, shows(7, "v2"));
    hub.hear("north", "orders", "", Via::Hook, 0, sale(1, "paid"));
    assert!(matches!(next(&mut hub, id), Plan::Nothing), "figure, then order");
    hub.hear("north", "orders", "", Via::Hook, 0, sale(2, "paid"));
    assert!(
        matches!(next(&mut hub, id), Plan::Write(_)),
        "what is to be lowered waits for nothing"
    );
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "10"}));
    assert!(matches!(next(&mut hub, id), Plan::ReadFirst), "the fall was the first order's");
    hub.hear("north", "variants", "", Via::Hook, 0, shows(6, "v3"));
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "9"}));
    assert!(matches!(next(&mut hub, id), Plan::Nothing), "order, then figure");
    // A clerk took one out. The orders were polled since: that was no sale, and stands for none.
    hub.hear("north", "variants", "", Via::Hook, 0, shows(5, "v4"));
    hub.store.polled.insert("north".into(), hub.seq);
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "8"}));
    assert!(matches!(next(&mut hub, id), Plan::Nothing), "the ERP knows of it");
    hub.hear("north", "orders", "", Via::Hook, 0, sale(3, "paid"));
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "9"}));
    assert!(matches!(next(&mut hub, id), Plan::ReadFirst), "and the third sale's webhook is lost");
    assert_eq!(hub.store.objects[&id].asked, asked, "no webhook is a read");
}

/// What an order gives back its shop puts back, or not: the same to the unit, and too much is offered.
#[test]
fn what_an_order_gives_back_is_read_again() {
    let mut hub = mug();
    let id = hub.remote("north", "variants", "70").id;
    hub.read("north", "orders", sale(1, "paid"));
    hub.read("north", "variants", shows(7, "v1"));
    assert!(matches!(next(&mut hub, id), Plan::Nothing));
    hub.read("north", "orders", sale(1, "cancelled"));
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "8"}));
    assert!(matches!(next(&mut hub, id), Plan::ReadFirst), "it may show 8 by now");
    hub.read("north", "variants", shows(8, "v2"));
    let Plan::Write(operation) = hub.plan(id) else { panic!("it offers one too many") };
    assert_eq!(operation.payload, json!({"qty": 7}));
}

/// The ERP contained the line by then and still does, so nothing that is wanted moved: nobody looked, and
/// the shop that had put it back offered one too many.
#[test]
fn what_the_erp_contains_and_an_order_gives_back_is_read_again() {
    let mut hub = mug();
    let id = hub.remote("north", "variants", "70").id;
    hub.read("north", "orders", sale(1, "paid"));
    for row in hub.store.sold.values_mut() {
        (row.reached, row.contained) = (Some(hub.seq), row.quantity);
    }
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "8"}));
    hub.read("north", "variants", shows(7, "v1"));
    assert!(matches!(next(&mut hub, id), Plan::Nothing));
    hub.read("north", "orders", sale(1, "cancelled"));
    assert!(matches!(next(&mut hub, id), Plan::ReadFirst), "it may show 8 by now");
    hub.read("north", "variants", shows(7, "v2"));
    assert!(matches!(next(&mut hub, id), Plan::Nothing), "it does not");
}

/// An order came by a poll that left after its figure fell, and after a fall that nobody explained: the
/// old fall does not stand for a sale that no webhook brought.
#[test]
fn an_old_fall_stands_for_no_new_sale() {
    let mut hub = mug();
    let id = hub.remote("north", "variants", "70").id;
    hub.read("north", "variants", shows(8, "v1"));
    hub.hear("north", "variants", "", Via::Hook, 0, shows(7, "v2"));
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "8"}));
    let asked = hub.seq;
    hub.store.polled.insert("north".into(), asked);
    hub.hear("north", "orders", "", Via::Page, asked, sale(1, "paid"));
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": "9"}));
    assert!(matches!(next(&mut hub, id), Plan::ReadFirst), "9 - 1 - 1 is the 7 of old");
}

/// An order was heard before another, and told of after it (a line's SKU meant nothing until then). A read
/// that left between the two shows nothing of the one that was heard last.
#[test]
fn what_was_heard_last_counts_and_not_what_was_told_last() {
    let mut hub = mug();
    let id = hub.remote("north", "variants", "70").id;
    hub.read("north", "variants", shows(8, "v1"));
    hub.hear("north", "orders", "", Via::Hook, 0, sale(1, "paid"));
    let between = hub.seq;
    hub.hear("north", "orders", "", Via::Hook, 0, sale(2, "paid"));
    let row = hub.store.sold.values().next().unwrap().clone();
    let first = hub.store.records[&row.order].clone();
    assert!(first.cell("lines", "").unwrap().change <= between, "it is the one heard first");
    hub.step(|house, w| unseen::told(house, w, &first, &row, row.quantity));
    let open = |hub: &Hub| hub.store.objects[&id].shadow.get(unseen::UNSEEN_ROW).cloned();
    assert_eq!(open(&hub).map(|row| row["units"].clone()), Some(json!("-3")));
    hub.hear("north", "variants", "", Via::Page, between, shows(7, "v2"));
    assert_eq!(hub.store.objects[&id].asked, between, "it was read");
    assert!(open(&hub).is_some(), "and shows nothing of the second");
    let newer = hub.seq;
    hub.hear("north", "variants", "", Via::Page, newer, shows(6, "v3"));
    assert_eq!(open(&hub), None);
}

/// Somebody deleted a product that its shop had just sold. It was made again under another id before
/// the order came; the order names the old one, and was held: "matches no product".
#[test]
fn an_order_that_names_what_was_made_again_means_it_still() {
    let mut hub = mug();
    let id = hub.remote("north", "variants", "70").id;
    hub.hear("north", "variants", "", Via::Gone, hub.seq, json!({"id": 70}));
    hub.step(|house, w| existence::recreate(house, w, id, NOW));
    hub.edit(id, |o| o.remote = Some("71".into()));
    hub.read("north", "orders", order(&json!(null)));
    let variant = hub.record("variant", "MUG-R").id;
    let mut orders = hub.store.records.values().filter(|r| r.entity == "order");
    let lines = orders.next().unwrap().value("lines", "").unwrap().clone();
    assert_eq!(lines[0]["variant"], json!({ "$record": variant }));
    let sold: Vec<_> = hub.store.sold.values().map(|row| row.variant).collect();
    assert_eq!(sold, [variant], "and it comes off what is there");
    assert_eq!(hub.objects("north", "variants", variant).len(), 1, "it is one object still");
}

/// An order was in the ERP when its product was deleted in the shop. From then on the shop showed the
/// line without a SKU, and the order was held: "lines changed", with the same total on both sides.
#[test]
fn a_line_whose_product_is_deleted_is_no_changed_line() {
    let mut hub = mug();
    hub.read("north", "orders", order(&json!("MUG-R")));
    let record = |hub: &Hub| {
        let mut all = hub.store.records.values();
        all.find(|r| r.entity == "order").unwrap().clone()
    };
    let birth = kilter_core::sync::document::birth(&record(&hub));
    hub.read("north", "orders", order(&json!(null)));
    let now = record(&hub);
    assert_eq!(kilter_core::sync::document::amended(&birth, &now), None);
    let mut fewer = order(&json!(null));
    fewer["lines"][0]["quantity"] = json!(2);
    hub.read("north", "orders", fewer);
    let said = kilter_core::sync::document::amended(&birth, &record(&hub));
    assert!(said.is_some_and(|said| said.starts_with("lines changed")), "fewer are fewer");
}
