//! Laws of drift: what is held of one listing, no other lifts; a value lifts it, and approves nothing.

use kilter_core::config::read_config;
use kilter_core::model::Text;

use super::*;
use crate::store::Store;

fn says(row: &str, value: Json) -> Projected {
    Projected {
        resource: "levels".into(),
        id: "1".into(),
        remote: "1".into(),
        each: Text::default(),
        version: None,
        rows: Rows::from(kilter_core::model::Flat::from_iter([(row.into(), value)])),
        unreadable: Vec::new(),
        hints: Vec::new(),
        sides: Vec::new(),
    }
}

fn store() -> Store {
    Store::open(std::path::Path::new(":memory:")).unwrap()
}

fn house() -> House {
    let config = read_config("law", "", &|_| None, &mut Vec::new());
    House::new(kilter_core::entity::Entities::default(), BTreeMap::new(), config)
}

/// What is held after a page of this slice said this of the row.
fn held_after(store: &Store, each: &str, value: &Json) -> Vec<(String, String)> {
    let (house, at) = (house(), now());
    let (connection, collection) = ("erp", "levels");
    let source =
        Source { connection, collection, each, via: Via::Sweep, asked: 0, at: at.as_str() };
    let page = [says("stock.figure", value.clone())];
    let held = store.write(|tx| {
        Drift::of(tx, &house, &source, page.iter())?;
        tx.metas(HELD)
    });
    held.unwrap()
}

/// Where one location stopped saying its figures, the values of another lifted that: the next sweep
/// took the nulls of the first.
#[test]
fn what_is_held_of_one_location_another_does_not_lift() {
    let store = store();
    let held = format!("{HELD}{}", place_of("erp", "levels", "main"));
    let sentences = Sentences::from([("stock.figure".into(), "it is null".to_owned())]);
    store.write(|tx| write(tx, &held, &sentences, false)).unwrap();
    assert_eq!(held_after(&store, "berlin", &json!("7")).len(), 1);
    assert_eq!(held_after(&store, "main", &Json::Null).len(), 1);
    assert_eq!(held_after(&store, "main", &json!("7")), vec![]);
    // Nobody approved anything: silent again, it is held again.
    assert_eq!(store.read(|tx| tx.metas(APPROVED)).unwrap(), vec![]);
    store.write(|tx| write(tx, &held, &sentences, false)).unwrap();
    store.write(|tx| approve(tx).map(|said| assert_eq!(said, ["it is null"]))).unwrap();
    let approved = store.read(|tx| tx.metas(APPROVED)).unwrap();
    assert_eq!(approved[0].0, format!("{APPROVED}erp.levels.main"));
}

#[test]
fn rows_are_counted_whatever_their_order_and_number() {
    let mut all = Rowwise::default();
    let rows = |list: &[(&str, Json)]| {
        Rows::from(kilter_core::model::Flat::from_iter(
            list.iter().map(|(row, value)| (RowKey::from(*row), value.clone())),
        ))
    };
    all.note(&rows(&[("b", Json::Null), ("d", json!(1))]));
    all.note(&rows(&[("a", json!(1)), ("b", Json::Null), ("c", Json::Null)]));
    all.note(&rows(&[("c", json!(2)), ("e", Json::Null)]));
    assert_eq!(all.items, 3);
    assert_eq!(all.valued().collect::<Vec<_>>(), ["a", "c", "d"]);
    assert_eq!(all.empty().collect::<Vec<_>>(), ["b", "e"]);
}

/// A remote may have a field of the mark's name: a null that is held is not taken all the same.
#[test]
fn what_is_taken_out_is_marked_whatever_stands_there() {
    let mut item = json!({ "id": 1, "$withheld": "theirs" });
    let mut said = says("stock.figure", Json::Null);
    take_out(&mut item, &mut said, &"stock.figure".into());
    assert_eq!(item[WITHHELD], json!(["stock.figure"]));
    assert!(said.rows.is_empty());
    let (mut text, mut said) = (json!("no table"), says("stock.figure", Json::Null));
    take_out(&mut text, &mut said, &"stock.figure".into());
    assert!(!said.rows.is_empty(), "what cannot be marked is not taken out");
}
