//! Sellable stock: derived, never copied; no sale is ever counted away.

use std::collections::BTreeMap;

use kilter_core::Json;
use kilter_core::model::{RecordId, Seq, Via, WaitKind};
use kilter_core::sync::derive;
use kilter_core::sync::plan::Plan;
use kilter_core::sync::world::{Key, Sold, World};
use proptest::prelude::*;
use serde_json::json;

use crate::support::Hub;
use crate::support::house::{CONFIG, house};

/// One variant that both shops sell: 20 in `main`, 5 in `depot`. North shows it as 70, south as 80.
fn goods() -> Hub {
    goods_in(Hub::new())
}

fn goods_in(mut hub: Hub) -> Hub {
    hub.read(
        "erp",
        "products",
        json!({"id": 1, "code": "MUG", "name": "Becher", "kind": "variable", "status": "active"}),
    );
    hub.read("erp", "variants", json!({"id": 10, "sku": "MUG-R", "product": 1}));
    hub.read("erp", "prices", json!({"id": 5, "variant": 10, "amount": "9.90"}));
    for (shop, id) in [("north", 70), ("south", 80)] {
        hub.read(
            shop,
            "products",
            json!({"id": id - 20, "sku": "MUG", "name": "Becher", "state": "publish"}),
        );
        hub.read(shop, "variants", json!({"id": id, "sku": "MUG-R", "parent": id - 20}));
    }
    stock(&mut hub, "main", 20);
    stock(&mut hub, "depot", 5);
    hub
}

fn stock(hub: &mut Hub, location: &str, figure: i64) {
    hub.read_each("erp", "stock", location, json!({"id": 10, "figure": figure.to_string()}));
}

fn variant(hub: &Hub) -> RecordId {
    hub.record("variant", "MUG-R").id
}

fn sellable(hub: &mut Hub, shop: &str) -> i64 {
    let id = variant(hub);
    let value =
        hub.step(|house, w| derive::sellable(&house.view(shop, "variants").unwrap(), w, id));
    value.unwrap().unwrap().as_str().unwrap().parse().unwrap()
}

fn order(id: i64, status: &str, quantity: i64) -> Json {
    json!({"id": id, "number": id.to_string(), "status": status, "total": "9.90", "lines": [
        {"id": 1, "sku": "MUG-R", "name": "Becher", "variant": 70, "quantity": quantity, "total": "8.32", "tax": "1.58"},
    ]})
}

fn reference(hub: &Hub, number: &str) -> String {
    let mut all = hub.store.records.values();
    let found = all.find(|r| r.entity == "order" && r.text("number") == Some(number)).unwrap();
    found.key.clone().unwrap().into()
}

fn erp_order(hub: &Hub, id: i64, state: &str) -> Json {
    json!({"id": 900 + id, "reference": reference(hub, &id.to_string()), "state": state, "total": "9.90"})
}

#[test]
fn it_is_the_sum_of_the_locations_less_what_is_sold_and_the_buffer() {
    let mut hub = goods();
    // North sells from main with a buffer of 1; south from both.
    assert_eq!((sellable(&mut hub, "north"), sellable(&mut hub, "south")), (19, 25));
    hub.read("north", "orders", order(1, "paid", 3));
    assert_eq!((sellable(&mut hub, "north"), sellable(&mut hub, "south")), (16, 22));
    // Never below zero.
    hub.read("north", "orders", order(2, "paid", 30));
    assert_eq!((sellable(&mut hub, "north"), sellable(&mut hub, "south")), (0, 0));
}

/// One SKU of a shop may keep back another number than its others.
#[test]
fn a_buffer_of_its_own_stands_before_the_shops() {
    let say = |buffer: &str| CONFIG.replace("buffer     = 1", &format!("buffer     = {buffer}"));
    for (buffer, shown) in [
        ("1", 19),
        ("{ \"*\" = 1, \"mug-r\" = 7 }", 13),
        ("{ \"MUG-R\" = 0 }", 20),
        ("{ \"*\" = 3, \"MUG-X\" = 7 }", 17),
        ("{ \"MUG-R\" = 99 }", 0),
    ] {
        let mut hub = goods_in(Hub::of(house(&say(buffer))));
        assert_eq!(sellable(&mut hub, "north"), shown, "{buffer}");
        assert_eq!(sellable(&mut hub, "south"), 25, "the other shop keeps nothing back");
    }
}

/// On hold is not imported (`orders.import` is paid and completed), but it holds stock.
#[test]
fn an_order_counts_that_holds_stock_imported_or_not() {
    let mut hub = goods();
    for (status, north) in [("pending", 19), ("held", 16), ("paid", 16), ("cancelled", 19)] {
        hub.read("north", "orders", order(1, status, 3));
        assert_eq!(sellable(&mut hub, "north"), north, "{status}");
    }
    hub.read("north", "orders", order(2, "held", 3));
    let id = hub.store.records.values().find(|r| r.text("number") == Some("2")).unwrap().id;
    assert!(hub.objects("erp", "orders", id).is_empty());
}

#[test]
fn a_line_leaves_only_by_a_read_asked_after_the_state_was_reached() {
    let mut hub = goods();
    hub.read("north", "orders", order(1, "paid", 3));
    let body = erp_order(&hub, 1, "draft");
    hub.read("erp", "orders", body);
    stock(&mut hub, "main", 20);
    assert_eq!(sellable(&mut hub, "north"), 16, "a draft takes nothing down");
    // Asked before the confirmed order was seen: it may not contain the line.
    let asked = hub.seq;
    let body = erp_order(&hub, 1, "confirmed");
    hub.read("erp", "orders", body);
    let looked = hub.remote("erp", "stock", "10@main").look;
    assert_eq!(looked, Some(hub.seq), "the figure is asked for");
    hub.hear("erp", "stock", "main", Via::Page, asked, json!({"id": 10, "figure": "20"}));
    assert_eq!(sellable(&mut hub, "north"), 16);
    // Another location's figure says nothing of this one.
    stock(&mut hub, "depot", 5);
    assert_eq!(sellable(&mut hub, "north"), 16);
    // Asked after, and not changed: someone put three on the shelf meanwhile. It leaves.
    stock(&mut hub, "main", 20);
    assert_eq!(sellable(&mut hub, "north"), 19);
}

#[test]
fn what_the_erp_contains_already_is_not_given_back_by_a_cancellation() {
    let mut hub = goods();
    hub.read("north", "orders", order(1, "paid", 3));
    let body = erp_order(&hub, 1, "confirmed");
    hub.read("erp", "orders", body);
    stock(&mut hub, "main", 17);
    hub.read("north", "orders", order(1, "cancelled", 3));
    assert_eq!(sellable(&mut hub, "north"), 16, "until the ERP gives it back itself");
    // Paid after all: the figure contains it still, it is not taken off twice.
    hub.read("north", "orders", order(1, "paid", 3));
    assert_eq!(sellable(&mut hub, "north"), 16);
    hub.read("north", "orders", order(1, "cancelled", 3));
    stock(&mut hub, "main", 20);
    assert_eq!(sellable(&mut hub, "north"), 19);
}

/// A line counts as soon as it is known what was sold; until then it waits by its remote id.
///
/// Where a poll found what a seat stood for, nobody who waited for that id was told: the line was
/// never counted, and its order held for a product that everyone knew.
#[test]
fn a_line_whose_variant_is_heard_of_later_counts_from_then_on() {
    let mut hub = Hub::new();
    hub.read("north", "orders", order(1, "paid", 3));
    assert!(hub.store.sold.is_empty());
    let bodies = [
        ("products", json!({"id": 1, "code": "MUG", "kind": "variable", "status": "active"})),
        ("variants", json!({"id": 10, "sku": "MUG-R", "product": 1})),
    ];
    for (collection, body) in bodies {
        hub.read("erp", collection, body);
    }
    stock(&mut hub, "main", 20);
    hub.read("north", "variants", json!({"id": 70, "sku": "MUG-R", "parent": 50}));
    assert_eq!(sellable(&mut hub, "north"), 16);
}

/// A line that grows after the ERP contains it: the ERP was told of the first three only, so the
/// rest comes off until somebody says how it went on.
///
/// The line counted as contained, whatever it said: two more were sold and shown as there.
#[test]
fn what_a_line_grew_by_after_the_erp_had_it_is_subtracted() {
    let mut hub = goods();
    hub.read("north", "orders", order(1, "paid", 3));
    let body = erp_order(&hub, 1, "confirmed");
    hub.read("erp", "orders", body);
    // Grown before the figure was read, and after.
    hub.read("north", "orders", order(1, "paid", 4));
    assert_eq!(sellable(&mut hub, "north"), 15);
    stock(&mut hub, "main", 17);
    assert_eq!(sellable(&mut hub, "north"), 15, "of four the figure contains three");
    hub.read("north", "orders", order(1, "paid", 5));
    assert_eq!(sellable(&mut hub, "north"), 14);
    stock(&mut hub, "main", 17);
    assert_eq!(sellable(&mut hub, "north"), 14, "however often the figure is read");
    // Fewer than the ERP has: that is the ERP's to give back.
    hub.read("north", "orders", order(1, "paid", 2));
    assert_eq!(sellable(&mut hub, "north"), 16);
    hub.read("north", "orders", order(1, "paid", 5));
    hub.read("north", "orders", order(1, "cancelled", 5));
    assert_eq!(sellable(&mut hub, "north"), 16, "what was never sent is free again");
    stock(&mut hub, "main", 20);
    assert_eq!(sellable(&mut hub, "north"), 19);
}

/// More of it, less of it, not at all: an open line says what the order says now.
#[test]
fn an_open_line_follows_its_order() {
    let mut hub = goods();
    for (quantity, left) in [(3, 16), (5, 14), (1, 18)] {
        hub.read("north", "orders", order(1, "paid", quantity));
        assert_eq!(sellable(&mut hub, "north"), left);
    }
    let mut body = order(1, "paid", 1);
    body["lines"] = json!([]);
    hub.read("north", "orders", body);
    assert_eq!(sellable(&mut hub, "north"), 19);
    assert!(hub.store.sold.is_empty());
}

/// Everyone who shows the variant must look when it is sold, or its figure changes.
#[test]
fn a_sale_and_a_new_figure_mark_both_shops() {
    let mut hub = goods();
    let ids: Vec<i64> = hub.store.objects.keys().copied().collect();
    let clear = |hub: &mut Hub| ids.iter().for_each(|id| hub.edit(*id, |o| o.due = None));
    for figure in [false, true] {
        clear(&mut hub);
        if figure {
            stock(&mut hub, "main", 9);
        } else {
            hub.read(
                "south",
                "orders",
                json!({"id": 3, "number": "3", "status": "held", "total": "1",
                "lines": [{"id": 1, "variant": 80, "quantity": "2"}]}),
            );
        }
        for (shop, id) in [("north", "70"), ("south", "80")] {
            assert!(hub.remote(shop, "variants", id).due.is_some(), "{shop}, figure: {figure}");
        }
    }
}

fn shown(hub: &mut Hub, quantity: i64) {
    let ver = format!("v{:03}", hub.seq);
    let body = json!({"id": 70, "sku": "MUG-R", "parent": 50, "price": "9.90", "qty": quantity, "ver": ver});
    hub.read("north", "variants", body);
}

/// A shop's figure that fell is a sale that we may not know of: no raise before an order poll that
/// was asked after. An empty poll counts; lowering never waits.
#[test]
fn a_raise_waits_for_an_order_poll_and_lowering_does_not() {
    let mut hub = goods();
    shown(&mut hub, 19);
    let id = hub.remote("north", "variants", "70").id;
    shown(&mut hub, 15);
    let fell = hub.seq;
    assert_eq!(hub.store.objects[&id].fell, Some(fell));
    for polled in [0, fell - 1] {
        hub.store.polled.insert("north".into(), polled);
        let Plan::Wait(wait, _) = hub.plan(id) else { panic!("raised after a poll at {polled}") };
        assert_eq!(wait.kind, WaitKind::Later, "{}", wait.reason);
    }
    hub.store.polled.insert("north".into(), fell);
    let Plan::Write(operation) = hub.plan(id) else { panic!("not raised") };
    assert_eq!(operation.payload, json!({"qty": 19}));
    // Lower than the shop shows: at once, poll or not.
    hub.store.polled.insert("north".into(), 0);
    stock(&mut hub, "main", 6);
    let Plan::Write(operation) = hub.plan(id) else { panic!("not lowered") };
    assert_eq!(operation.payload, json!({"qty": 5}));
}

/// What the raise waits for is the figure alone: a new price is written meanwhile.
#[test]
fn a_raise_that_waits_holds_nothing_else_back() {
    let mut hub = goods();
    shown(&mut hub, 19);
    shown(&mut hub, 15);
    hub.read("erp", "prices", json!({"id": 5, "variant": 10, "amount": "8.00"}));
    let id = hub.remote("north", "variants", "70").id;
    let Plan::Write(operation) = hub.plan(id) else { panic!("no write") };
    assert_eq!(operation.payload, json!({"price": "8.00"}));
    assert_eq!(operation.partial.map(|w| w.kind), Some(WaitKind::Later));
}

// ---- against a model --------------------------------------------------------------------------

#[derive(Debug, Clone)]
enum Event {
    Sell(i64),
    Cancel(usize),
    /// The ERP confirms: its own figure falls at once, whoever has seen it.
    Confirm(usize),
    SeeOrder(usize),
    /// A read of stock leaves.
    Ask,
    /// One of those under way comes back, whichever.
    Answer(usize),
    Restock(i64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (1..4i64).prop_map(Event::Sell),
        (0..6usize).prop_map(Event::Cancel),
        (0..6usize).prop_map(Event::Confirm),
        (0..6usize).prop_map(Event::SeeOrder),
        Just(Event::Ask),
        (0..4usize).prop_map(Event::Answer),
        (1..3i64).prop_map(Event::Restock),
    ]
}

/// An order as the model sees it.
#[derive(Debug, Clone, Copy, Default)]
struct Sale {
    quantity: i64,
    cancelled: bool,
    confirmed: bool,
    /// Since when the hub knows that it is confirmed.
    seen: Option<Seq>,
    contained: bool,
}

/// What should be, said in as few words as possible.
struct Model {
    on_hand: i64,
    figure: (Seq, i64),
    sales: Vec<Sale>,
    under_way: Vec<(Seq, i64)>,
}

impl Model {
    fn erp_figure(&self) -> i64 {
        self.on_hand - self.sales.iter().filter(|s| s.confirmed).map(|s| s.quantity).sum::<i64>()
    }

    fn answered(&mut self, asked: Seq, figure: i64) {
        if asked < self.figure.0 {
            return;
        }
        self.figure = (asked, figure);
        for sale in &mut self.sales {
            let open = !sale.cancelled || sale.contained;
            sale.contained |= open && sale.seen.is_some_and(|at| at <= asked);
        }
    }

    fn sellable(&self) -> i64 {
        let open = self.sales.iter().filter(|s| !s.cancelled && !s.contained);
        (self.figure.1 - open.map(|s| s.quantity).sum::<i64>() - 1).max(0)
    }
}

fn apply(hub: &mut Hub, model: &mut Model, event: &Event) {
    let id = |at: usize| i64::try_from(at).unwrap() + 1;
    match event {
        Event::Sell(quantity) if model.sales.len() < 6 => {
            model.sales.push(Sale { quantity: *quantity, ..Sale::default() });
            hub.read("north", "orders", order(id(model.sales.len() - 1), "paid", *quantity));
        }
        Event::Cancel(at) => {
            let Some(sale) = model.sales.get_mut(*at).filter(|s| !s.confirmed) else { return };
            sale.cancelled = true;
            let quantity = sale.quantity;
            hub.read("north", "orders", order(id(*at), "cancelled", quantity));
        }
        Event::Confirm(at) => {
            if let Some(sale) = model.sales.get_mut(*at).filter(|s| !s.cancelled) {
                sale.confirmed = true;
            }
        }
        Event::SeeOrder(at) => {
            let Some(sale) = model.sales.get_mut(*at) else { return };
            let state = if sale.confirmed { "confirmed" } else { "draft" };
            let body = erp_order(hub, id(*at), state);
            hub.read("erp", "orders", body);
            if sale.confirmed {
                sale.seen.get_or_insert(hub.seq);
            }
        }
        Event::Ask => model.under_way.push((hub.seq, model.erp_figure())),
        Event::Answer(at) if *at < model.under_way.len() => {
            let (asked, figure) = model.under_way.remove(*at);
            let body = json!({"id": 10, "figure": figure.to_string()});
            hub.hear("erp", "stock", "main", Via::Page, asked, body);
            model.answered(asked, figure);
        }
        Event::Restock(more) => model.on_hand += more,
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: the figure is the model's, no sale is counted away, and
    /// once everything is seen and read again, everything is conserved.
    #[test]
    fn no_sale_is_ever_counted_away(events in proptest::collection::vec(event(), 1..40)) {
        let mut hub = goods();
        let asked = hub.remote("erp", "stock", "10@main").asked;
        let mut model = Model { on_hand: 20, figure: (asked, 20), sales: Vec::new(), under_way: Vec::new() };
        for event in &events {
            apply(&mut hub, &mut model, event);
            prop_assert_eq!(sellable(&mut hub, "north"), model.sellable(), "after {:?}", event);
            let sold: i64 = model.sales.iter().filter(|s| !s.cancelled).map(|s| s.quantity).sum();
            prop_assert!(sellable(&mut hub, "north") <= (model.on_hand - sold - 1).max(0));
        }
        for at in 0..model.sales.len() {
            apply(&mut hub, &mut model, &Event::SeeOrder(at));
        }
        apply(&mut hub, &mut model, &Event::Ask);
        let last = model.under_way.len() - 1;
        apply(&mut hub, &mut model, &Event::Answer(last));
        let sold: i64 = model.sales.iter().filter(|s| !s.cancelled).map(|s| s.quantity).sum();
        prop_assert_eq!(sellable(&mut hub, "north"), (model.on_hand - sold - 1).max(0));
        let open: BTreeMap<_, _> = hub.store.sold.iter().filter(|(_, s)| !s.open().is_zero()).collect();
        let held = model.sales.iter().filter(|s| !s.cancelled && !s.confirmed).count();
        prop_assert_eq!(open.len(), held, "a line is subtracted for ever, or lost");
    }
}

/// An order was cancelled, and before that was written a figure was read that asked for what is sold of
/// its variant: the line came back from the database, and was subtracted for good.
#[test]
fn a_line_that_was_taken_out_does_not_come_back_with_what_is_loaded() {
    let row = Sold {
        order: 1,
        line: "1".into(),
        variant: 2,
        quantity: 3.into(),
        location: "main".into(),
        reached: None,
        contained: 0.into(),
    };
    let mut world = World::new(10, 10);
    world.answer_sold(Key::SoldOfOrder(1), vec![row.clone()]);
    world.put_sold(1, "1", None);
    world.answer_sold(Key::SoldOfVariant(2), vec![row]);
    assert_eq!(world.sold_rows(&Key::SoldOfVariant(2)), []);
    assert_eq!(world.dirty().sold, [((1, "1".into()), None)]);
}
