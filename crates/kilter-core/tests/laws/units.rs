//! Units of measure: a shop counts pieces, an ERP what it likes. What is known is converted exactly;
//! what is not is held with a sentence.

use kilter_core::Json;
use kilter_core::model::WaitKind;
use kilter_core::sync::plan::Plan;
use kilter_core::sync::units::{Sizes, pieces};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::json;

use crate::support::Hub;
use crate::support::house::{CONFIG, house};

/// North sells from `main` and keeps nothing back; it shows the variant as 70, and so many pieces.
fn hub(variant: Json, figure: &str) -> Hub {
    let mut hub = Hub::of(house(&CONFIG.replace("buffer     = 1", "buffer     = 0")));
    let product =
        json!({"id": 1, "code": "NUT", "name": "Nuss", "kind": "variable", "status": "active"});
    hub.read("erp", "products", product);
    let mut body = json!({"id": 10, "sku": "NUT-1", "product": 1});
    for (key, value) in variant.as_object().unwrap() {
        body[key] = value.clone();
    }
    hub.read("erp", "variants", body);
    let parent = json!({"id": 50, "sku": "NUT", "name": "Nuss", "state": "publish"});
    hub.read("north", "products", parent);
    let shown = json!({"id": 70, "sku": "NUT-1", "parent": 50, "price": "1.00", "qty": 999});
    hub.read("north", "variants", shown);
    hub.read_each("erp", "stock", "main", json!({"id": 10, "figure": figure}));
    hub
}

fn unit(name: &str, size: &str) -> Json {
    json!({"id": 7, "name": name, "size": size})
}

fn price(hub: &mut Hub, amount: &str, per: &str) {
    hub.read("erp", "prices", json!({"id": 5, "variant": 10, "amount": amount, "per": per}));
}

/// What is written to north's variant.
fn written(hub: &mut Hub) -> Json {
    let id = hub.remote("north", "variants", "70").id;
    match hub.plan(id) {
        Plan::Write(operation) => operation.payload,
        other => panic!("not written: {other:?}"),
    }
}

#[test]
fn without_units_a_figure_counts_pieces() {
    let mut hub = hub(json!({}), "12");
    price(&mut hub, "9.90", "");
    assert_eq!(written(&mut hub), json!({"price": "9.90", "qty": 12}));
}

/// Two and a half kilograms, sold by the kilogram: two can be bought.
#[test]
fn what_is_no_whole_piece_is_not_sold() {
    for (figure, pieces) in [("2.5", 2), ("0.999", 0), ("3", 3), ("-1.5", 0)] {
        let mut hub = hub(json!({"sold_by": unit("kg", "1"), "kept_by": unit("kg", "1")}), figure);
        price(&mut hub, "9.90", "");
        assert_eq!(written(&mut hub)["qty"], json!(pieces), "{figure} kg");
    }
}

/// Kept by the piece, sold by six: 45 are seven packs. A price of a piece is six times that a pack.
#[test]
fn a_known_factor_converts_figures_and_prices() {
    for (sold, kept, figure, qty, shown) in [
        (unit("pack", "6"), unit("piece", "1"), "45", 7, "12.90"),
        // Kept by the dozen, sold by six: 2.5 dozens are five packs.
        (unit("pack", "6"), unit("dozen", "12"), "2.5", 5, "1.08"),
        // Kept by the kilogram, sold by 250 grams: a quarter of the price.
        (unit("bag", "0.25"), unit("kg", "1"), "1.9", 7, "0.54"),
    ] {
        let mut hub = hub(json!({"sold_by": sold, "kept_by": kept}), figure);
        price(&mut hub, "2.15", "kept");
        assert_eq!(written(&mut hub), json!({"price": shown, "qty": qty}), "{sold} of {kept}");
        // A list that says its price for what is sold is shown as it is.
        price(&mut hub, "2.15", "unit");
        assert_eq!(written(&mut hub)["price"], json!("2.15"), "{sold} of {kept}");
    }
}

/// A sale in a shop is of packs, whatever the figure counts.
#[test]
fn what_was_sold_is_taken_off_in_pieces_of_the_shop() {
    let mut hub = hub(json!({"sold_by": unit("pack", "6"), "kept_by": unit("piece", "1")}), "45");
    price(&mut hub, "2.15", "unit");
    let order = json!({"id": 1, "number": "1", "status": "paid", "total": "4.30", "lines": [
        {"id": 1, "sku": "NUT-1", "name": "Nuss", "variant": 70, "quantity": 2, "total": "3.61", "tax": "0.69"},
    ]});
    hub.read("north", "orders", order);
    assert_eq!(written(&mut hub)["qty"], json!(5));
    // Its line goes into the ERP in packs, by the ERP's own name of the unit.
    let order = hub.store.records.values().find(|r| r.entity == "order").unwrap().id;
    let object = hub.objects("erp", "orders", order).first().unwrap().id;
    let Plan::Write(operation) = hub.plan(object) else { panic!("not sent") };
    let line = &operation.payload["lines"][0];
    assert_eq!((&line["unit"], &line["quantity"]), (&json!("7"), &json!("2")));
    assert_eq!(line["unit_price"], json!("2.15"));
}

/// Nobody knows how many are in a box: nothing is written that may be wrong, and it says what to do.
#[test]
fn an_unknown_factor_is_held_with_a_sentence() {
    for sold in [json!({"id": 7, "name": "box"}), unit("box", "0")] {
        let mut hub = hub(json!({"sold_by": sold, "kept_by": unit("piece", "1")}), "45");
        price(&mut hub, "2.15", "unit");
        let id = hub.remote("north", "variants", "70").id;
        let Plan::Wait(wait, _) = hub.plan(id) else { panic!("written") };
        assert_eq!(wait.kind, WaitKind::Held);
        for part in ["NUT-1", "\"box\"", "\"piece\"", "say it there"] {
            assert!(wait.reason.contains(part), "{}", wait.reason);
        }
        // Once it is said, it goes on.
        let said = json!({"id": 10, "sku": "NUT-1", "product": 1, "sold_by": unit("box", "10"), "kept_by": unit("piece", "1"), "ver": "2"});
        hub.read("erp", "variants", said);
        assert_eq!(written(&mut hub)["qty"], json!(4));
    }
}

proptest! {
    /// What a shop shows can be delivered, and one more could not.
    #[test]
    fn a_shop_shows_as_many_as_there_are(figure in 0..100_000i64, sold in 1..5_000i64, kept in 1..5_000i64) {
        let (figure, sold, kept) =
            (Decimal::new(figure, 3), Decimal::new(sold, 3), Decimal::new(kept, 3));
        let shown = pieces(figure, Sizes { sold, kept }, Decimal::ZERO).unwrap();
        prop_assert!(shown.fract().is_zero());
        // Compared without a quotient: pieces of `sold` against figures of `kept`.
        let there = figure * kept;
        prop_assert!((shown + Decimal::ONE) * sold > there, "{} of {}", shown, there);
        prop_assert!(shown * sold <= there, "{} of {}", shown, there);
    }
}
