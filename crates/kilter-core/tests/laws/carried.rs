//! Children travel with their parent's create and are objects of their own; a figure for each
//! location has a seat of its own; and a write that says what it was based on.

use kilter_core::manifest::Kind;
use kilter_core::model::WaitKind;
use kilter_core::sync::batch::{batch, request};
use kilter_core::sync::plan::{Operation, Plan};
use serde_json::json;

use crate::support::Hub;
use crate::support::house::{CONFIG, house};

const BAZAAR: &str = r#"
[connection.bazaar]
connector  = "market"
url        = "https://bazaar.example"
locale     = "de_DE"
currency   = "EUR"
price_list = "retail"
locations  = { main = "L1", depot = "L2" }
"#;

fn hub() -> Hub {
    Hub::of(house(&format!("{CONFIG}{BAZAAR}")))
}

fn mug(hub: &mut Hub) {
    let product =
        json!({"id": 1, "code": "MUG", "name": "Mug", "kind": "variable", "status": "active"});
    hub.read("erp", "products", product);
}

/// A variant with its price and its figures at both locations.
fn variant(hub: &mut Hub, id: i64, sku: &str, main: &str, depot: &str) {
    hub.read("erp", "variants", json!({"id": id, "sku": sku, "product": 1}));
    hub.read("erp", "prices", json!({"id": id, "variant": id, "amount": "9.5"}));
    hub.read_each("erp", "stock", "main", json!({"id": id, "figure": main}));
    hub.read_each("erp", "stock", "depot", json!({"id": id, "figure": depot}));
}

fn product_plan(hub: &mut Hub) -> Plan {
    let root = hub.record("product", "MUG").id;
    let object = hub.object("bazaar", "products", root).id;
    hub.plan(object)
}

fn written(plan: Plan) -> Operation {
    match plan {
        Plan::Write(operation) => operation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_product_takes_its_variants_and_their_figures_along() {
    let mut hub = hub();
    mug(&mut hub);
    variant(&mut hub, 10, "MUG-R", "7", "3");
    variant(&mut hub, 11, "MUG-B", "0", "2");
    let operation = written(product_plan(&mut hub));
    let variants = json!([
        {"sku": "MUG-R", "price": "9.50", "stock": [{"where": "main", "quantity": 7}, {"where": "depot", "quantity": 3}]},
        {"sku": "MUG-B", "price": "9.50", "stock": [{"where": "main", "quantity": 0}, {"where": "depot", "quantity": 2}]},
    ]);
    assert_eq!(operation.payload["variants"], variants);
    let carried: Vec<(&str, usize)> = operation
        .carried
        .iter()
        .map(|c| (c.resource.as_str(), c.operation.carried.len()))
        .collect();
    assert_eq!(carried, [("variants", 2), ("variants", 2)]);

    let view = hub.house.view("bazaar", "products").unwrap();
    let batches = batch(&view, vec![operation]);
    let call = request(&view, &view.resource.writes[0], &batches[0], "key").unwrap();
    assert_eq!(call.body.unwrap()["count"], json!(2));
}

#[test]
fn what_cannot_go_follows_and_a_product_waits_for_its_first() {
    let mut hub = hub();
    mug(&mut hub);
    match product_plan(&mut hub) {
        Plan::Wait(wait, _) => assert_eq!(wait.reason, "waits for its first variant"),
        other => panic!("{other:?}"),
    }
    // A variant without a price waits alone; the third is one more than a call carries.
    variant(&mut hub, 10, "MUG-R", "7", "3");
    hub.read("erp", "variants", json!({"id": 11, "sku": "MUG-B", "product": 1}));
    variant(&mut hub, 12, "MUG-G", "1", "1");
    variant(&mut hub, 13, "MUG-Y", "1", "1");
    let operation = written(product_plan(&mut hub));
    let skus: Vec<_> =
        operation.carried.iter().map(|c| c.operation.payload["sku"].as_str().unwrap()).collect();
    assert_eq!(skus, ["MUG-R", "MUG-G"]);
    let late = hub.record("variant", "MUG-Y").id;
    let late = hub.object("bazaar", "variants", late).id;
    match hub.plan(late) {
        Plan::Wait(wait, _) => assert_eq!(wait.kind, WaitKind::Parked),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_figure_stands_for_its_location_and_says_what_it_was_based_on() {
    let mut hub = hub();
    mug(&mut hub);
    variant(&mut hub, 10, "MUG-R", "7", "3");
    hub.read(
        "bazaar",
        "products",
        json!({"id": "P", "code": "MUG", "title": "Mug", "status": "on"}),
    );
    let there = json!({"id": "V", "sku": "MUG-R", "product": "P", "item": "I", "price": "9.50"});
    hub.read("bazaar", "variants", there);
    hub.read_each("bazaar", "levels", "main", json!({"id": "I", "variant": "V", "quantity": 9}));

    // At main there is a figure: it is compared. At depot there is none: it is started.
    let main = hub.remote("bazaar", "levels", "I@main").id;
    let operation = written(hub.plan(main));
    assert_eq!((operation.kind, operation.each.as_str()), (Kind::Update, "main"));
    assert_eq!(operation.payload, json!({"quantity": 7, "before": 9}));
    let seats: Vec<_> = hub
        .store
        .objects
        .values()
        .filter(|o| o.connection == "bazaar" && o.resource == "levels" && o.remote.is_none())
        .map(|o| o.id)
        .collect();
    assert_eq!(seats.len(), 1, "one seat for depot, none for a location that the shop has not");
    let operation = written(hub.plan(seats[0]));
    assert_eq!((operation.kind, operation.each.as_str()), (Kind::Create, "depot"));
    assert_eq!((operation.id.as_deref(), &operation.payload), (Some("I"), &json!({"quantity": 3})));

    // A sale lowers the figure: the line is subtracted, and only at its own location.
    let view = hub.house.view("bazaar", "levels").unwrap();
    let batches = batch(&view, vec![operation]);
    let call = request(&view, &view.resource.writes[0], &batches[0], "key").unwrap();
    assert_eq!(call.path, "/levels/I");
}

/// Pieces that a shop put back into its own stock: its figures are read again, at each location, for
/// nothing else tells of them; and nobody else's.
#[test]
fn what_was_put_back_is_looked_for_at_each_location() {
    let mut hub = hub();
    mug(&mut hub);
    variant(&mut hub, 10, "MUG-R", "7", "3");
    let product = json!({"id": "P", "code": "MUG", "title": "Mug", "status": "on"});
    hub.read("bazaar", "products", product);
    let there = json!({"id": "V", "sku": "MUG-R", "product": "P", "item": "I", "price": "9.50"});
    hub.read("bazaar", "variants", there);
    for place in ["main", "depot"] {
        let figure = json!({"id": "I", "variant": "V", "quantity": 9});
        hub.read_each("bazaar", "levels", place, figure);
    }
    let shown = json!({"id": 50, "sku": "MUG", "name": "Mug", "state": "publish"});
    hub.read("north", "products", shown);
    hub.read("north", "variants", json!({"id": 70, "sku": "MUG-R", "parent": 50}));
    let line = json!({"id": 1, "sku": "MUG-R", "variant": 70, "quantity": 2, "total": "8.32"});
    let order = json!({"id": 5, "number": "5", "status": "paid", "total": "9.90",
        "restocked": [{"line": 1, "quantity": "1"}], "lines": [line]});
    hub.read("north", "orders", order);
    // What the order did where it was placed is forgotten: it is the other shop's now.
    hub.store.objects.values_mut().for_each(|o| o.look = None);
    let mut orders = hub.store.records.values_mut().filter(|r| r.entity == "order");
    let order = orders.next().unwrap();
    order.origin = "bazaar".into();
    let (order, seq) = (order.id, hub.seq);
    let looks = |hub: &Hub| {
        let all = hub.store.objects.values().filter(|o| o.look.is_some());
        let mut looks: Vec<_> = all.map(|o| format!("{} {:?}", o.connection, o.remote)).collect();
        looks.sort();
        looks
    };
    hub.step(|house, w| kilter_core::sync::sold::put_back(house, w, order, seq));
    let looked = looks(&hub);
    for place in ["main", "depot"] {
        assert!(looked.contains(&format!("bazaar Some(\"I@{place}\")")), "{looked:?}");
    }
    assert!(looked.iter().all(|one| one.starts_with("bazaar ")), "{looked:?}");
}

/// Kilter was killed between a create and its answer: the figures that it made are read before the
/// variant that they hang on. Each was held as a double of the seat that was sent for it.
#[test]
fn a_figure_that_is_read_before_its_variant_takes_the_seat_that_was_sent() {
    let mut hub = hub();
    mug(&mut hub);
    variant(&mut hub, 10, "MUG-R", "7", "3");
    let levels = |hub: &Hub| -> Vec<_> {
        let all = hub.store.objects.values();
        let levels = all.filter(|o| o.connection == "bazaar" && o.resource == "levels");
        levels.filter(|o| o.root.is_some()).map(|o| (o.id, o.remote.clone())).collect()
    };
    let seats = levels(&hub);
    assert_eq!(seats.len(), 2);
    for place in ["main", "depot"] {
        let figure = json!({"id": "I", "variant": "V", "quantity": 9});
        hub.read_each("bazaar", "levels", place, figure);
    }
    let product = json!({"id": "P", "code": "MUG", "title": "Mug", "status": "on"});
    hub.read("bazaar", "products", product);
    let there = json!({"id": "V", "sku": "MUG-R", "product": "P", "item": "I", "price": "9.50"});
    hub.read("bazaar", "variants", there);

    let mut bound = levels(&hub);
    bound.sort_by_key(|(_, remote)| remote.clone());
    let remotes: Vec<_> = bound.iter().map(|(_, remote)| remote.as_deref()).collect();
    assert_eq!(remotes, [Some("I@depot"), Some("I@main")], "one object for each, and no double");
    for (id, _) in bound {
        assert_eq!(written(hub.plan(id)).kind, Kind::Update, "it is there: it is set, not started");
    }
}

/// A product of two thousand variants took minutes: each of them had all the others look again.
#[test]
fn a_variant_has_its_product_look_and_not_its_siblings() {
    let mut hub = hub();
    mug(&mut hub);
    variant(&mut hub, 10, "MUG-R", "7", "3");
    variant(&mut hub, 11, "MUG-B", "0", "2");
    let quiet = |hub: &mut Hub| {
        for id in hub.due("bazaar") {
            hub.edit(id, |o| o.due = None);
        }
    };
    quiet(&mut hub);
    let root = hub.record("product", "MUG").id;
    let product = hub.object("bazaar", "products", root).id;
    let variants = ["MUG-R", "MUG-B"].map(|sku| {
        let root = hub.record("variant", sku).id;
        hub.object("bazaar", "variants", root).id
    });
    hub.read("erp", "prices", json!({"id": 10, "variant": 10, "amount": "10.5"}));
    let due = hub.due("bazaar");
    assert!(due.contains(&variants[0]) && due.contains(&product), "{due:?}");
    assert!(!due.contains(&variants[1]), "{due:?}");
    quiet(&mut hub);
    let renamed =
        json!({"id": 1, "code": "MUG", "name": "Cup", "kind": "variable", "status": "active"});
    hub.read("erp", "products", renamed);
    let due = hub.due("bazaar");
    assert!(due.contains(&product) && variants.iter().all(|id| due.contains(id)), "{due:?}");
}
