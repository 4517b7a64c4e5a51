//! What did not move is not taken again, and what has no say is not asked: neither may ever matter.

use std::collections::BTreeSet;

use kilter_core::Json;
use kilter_core::model::{End, Text};
use kilter_core::sync::house::View;
use kilter_core::sync::{seat, take};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{Hub, NOW};

/// What one side says; small numbers, so that the same things are said again.
#[derive(Debug, Clone)]
enum Word {
    Product { id: i64, status: u8, title: u8 },
    Variant { id: i64, sku: u8, product: i64, weight: u8 },
    Price { variant: i64, amount: u8 },
    Figure { variant: i64, depot: bool, figure: u8 },
    ShopProduct { id: i64, code: u8, title: u8 },
    ShopVariant { id: i64, sku: u8, parent: i64, price: u8, quantity: u8 },
}

fn word() -> impl Strategy<Value = Word> {
    let n = || 0..3u8;
    prop_oneof![
        (1..3i64, n(), n()).prop_map(|(id, status, title)| Word::Product { id, status, title }),
        (10..13i64, n(), 1..3i64, n()).prop_map(|(id, sku, product, weight)| Word::Variant {
            id,
            sku,
            product,
            weight
        }),
        (10..13i64, n()).prop_map(|(variant, amount)| Word::Price { variant, amount }),
        (10..13i64, any::<bool>(), n()).prop_map(|(variant, depot, figure)| Word::Figure {
            variant,
            depot,
            figure
        }),
        (50..52i64, n(), n()).prop_map(|(id, code, title)| Word::ShopProduct { id, code, title }),
        (70..73i64, n(), 50..52i64, n(), n()).prop_map(|(id, sku, parent, price, quantity)| {
            Word::ShopVariant { id, sku, parent, price, quantity }
        }),
    ]
}

fn say(hub: &mut Hub, word: &Word) -> End {
    let text = |name: &str, n: u8| Json::String(format!("{name}-{n}"));
    match *word {
        Word::Product { id, status, title } => {
            let status = ["active", "draft", "archived"][usize::from(status)];
            let body = json!({"id": id, "code": format!("CODE-{id}"), "name": text("Mug", title),
                              "kind": "variable", "status": status});
            hub.read("erp", "products", body)
        }
        Word::Variant { id, sku, product, weight } => {
            let body = json!({"id": id, "sku": text("SKU", sku), "product": product,
                              "weight": weight.to_string()});
            hub.read("erp", "variants", body)
        }
        Word::Price { variant, amount } => {
            let amount = format!("{amount}.50");
            let body = json!({"id": variant * 10, "variant": variant, "amount": amount});
            hub.read("erp", "prices", body)
        }
        Word::Figure { variant, depot, figure } => {
            let each = if depot { "depot" } else { "main" };
            let body = json!({"id": variant, "figure": figure.to_string()});
            hub.read_each("erp", "stock", each, body)
        }
        Word::ShopProduct { id, code, title } => {
            let body = json!({"id": id, "sku": text("CODE", code), "name": text("Mug", title),
                              "state": "publish"});
            hub.read("north", "products", body)
        }
        Word::ShopVariant { id, sku, parent, price, quantity } => {
            let body = json!({"id": id, "sku": text("SKU", sku), "parent": parent,
                              "price": format!("{price}.50"), "qty": quantity});
            hub.read("north", "variants", body)
        }
    }
}

/// Takes all of the object that spoke last again, where it has its record.
fn take_again(hub: &mut Hub) {
    let asked = hub.seq - 1;
    let spoke = hub.store.objects.values().filter(|o| o.root.is_some() && o.asked == asked);
    let objects: Vec<i64> = spoke.map(|o| o.id).collect();
    for id in objects {
        hub.step(|house, w| take::take_from_shadow(house, w, id, NOW));
    }
}

/// Which records pass where.
fn passing(hub: &mut Hub) -> BTreeSet<(String, String, i64)> {
    let records: Vec<(i64, Text)> =
        hub.store.records.values().map(|r| (r.id, r.entity.clone())).collect();
    hub.step(|house, w| {
        let mut out = BTreeSet::new();
        for view in house.views().filter(View::creates) {
            for (id, _) in records.iter().filter(|(_, entity)| *entity == view.resource.root) {
                if seat::passes(&view, w, *id) {
                    out.insert((view.connection.name.clone(), view.resource.name.clone(), *id));
                }
            }
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_was_left_out_had_nothing_to_say(
        words in proptest::collection::vec(word(), 1..=24),
    ) {
        let mut hub = Hub::new();
        for word in &words {
            let before = passing(&mut hub);
            if say(&mut hub, word) != End::Merged {
                continue;
            }
            let said = hub.store.clone();
            take_again(&mut hub);
            // Whoever passes now and did not, or the other way round, was asked.
            let now = passing(&mut hub);
            for (_, _, id) in before.symmetric_difference(&now) {
                hub.step(|house, w| seat::reconsider(house, w, *id, NOW));
            }
            prop_assert_eq!(&said.records, &hub.store.records, "after {:?}", word);
            prop_assert_eq!(&said.objects, &hub.store.objects, "after {:?}", word);
        }
    }
}
