//! A law of worlds: one that caught up with what others wrote knows what one that begins now is told.

use kilter_core::entity::Entities;
use kilter_core::sync::world::Sold;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRng, TestRunner};
use proptest::{collection, prop_oneof};

use super::*;
use crate::store::Store;

/// Rows of each kind, and names of each kind: few, so that they meet.
const ROWS: i64 = 6;

fn house() -> House {
    let mut problems = Vec::new();
    let text = "[connection.x]\nconnector = \"none\"\n";
    let config = kilter_core::config::read_config("law", text, &|_| None, &mut problems);
    House::new(Entities::default(), BTreeMap::new(), config)
}

/// What somebody does to a row, which is born where it is not there.
#[derive(Debug, Clone)]
enum Deed {
    Key(i64, u8),
    Origin(i64, u8),
    Remote(i64, u8),
    /// What gave its remote id away takes none any more.
    Gives(i64),
    Root(i64, Option<i64>),
    Shows(i64, Option<i64>),
    Unmatched(i64, u8),
    Settled(i64, i64),
    Sold(i64, i64, Option<i64>),
    /// Beside all worlds.
    LookAt(i64),
}

fn deeds() -> impl Strategy<Value = Deed> {
    let (id, name) = (1..=ROWS, 0..4_u8);
    let or_none = || proptest::option::of(1..=ROWS);
    prop_oneof![
        (id.clone(), name.clone()).prop_map(|(id, n)| Deed::Key(id, n)),
        (id.clone(), name.clone()).prop_map(|(id, n)| Deed::Origin(id, n)),
        (id.clone(), name.clone()).prop_map(|(id, n)| Deed::Remote(id, n)),
        id.clone().prop_map(Deed::Gives),
        (id.clone(), or_none()).prop_map(|(id, to)| Deed::Root(id, to)),
        (id.clone(), or_none()).prop_map(|(id, to)| Deed::Shows(id, to)),
        (id.clone(), name).prop_map(|(id, n)| Deed::Unmatched(id, n)),
        (id.clone(), 1..9_i64).prop_map(|(id, at)| Deed::Settled(id, at)),
        (id.clone(), id.clone(), or_none()).prop_map(|(o, v, n)| Deed::Sold(o, v, n)),
        id.prop_map(Deed::LookAt),
    ]
}

fn by_remote(n: u8) -> Key {
    Key::ObjectByRemote("x".into(), "things".into(), format!("r{n}").into())
}

fn record(w: &mut World, id: i64, change: impl Fn(&mut kilter_core::model::Record)) {
    let born = || kilter_core::model::Record::new(id, "thing", "x", None);
    let mut record = w.record(id).cloned().unwrap_or_else(born);
    change(&mut record);
    w.put_record(record);
}

fn object(w: &mut World, id: i64, change: impl Fn(&mut Object)) {
    let born = || Object::seat(id, "x", "things", "things");
    let mut object = w.object(id).cloned().unwrap_or_else(born);
    change(&mut object);
    w.put_object(object);
}

/// One deed in a world, as a step of it.
fn act(w: &mut World, deed: &Deed) {
    match *deed {
        Deed::Key(id, n) => record(w, id, |r| r.key = Some(format!("K{n}").into())),
        Deed::Origin(id, n) => record(w, id, |r| r.origin = format!("o{n}").into()),
        Deed::Remote(id, n) => {
            // One remote id, one object.
            let free = w.ids(&by_remote(n)).is_empty();
            if free && w.object(id).is_none_or(|o| o.remote.is_none() && o.version.is_none()) {
                object(w, id, |o| o.remote = Some(format!("r{n}").into()));
            }
        }
        Deed::Gives(id) => object(w, id, |o| (o.remote, o.version) = (None, Some("gave".into()))),
        Deed::Root(id, to) => object(w, id, |o| o.root = to),
        Deed::Shows(id, to) => object(w, id, |o| {
            o.bindings = to.into_iter().map(|to| ("main".into(), to)).collect();
        }),
        Deed::Unmatched(id, n) => {
            object(w, id, |o| o.unmatched_key = Some(format!("k{n}").into()));
        }
        Deed::Settled(id, at) => object(w, id, |o| o.settled = at),
        Deed::Sold(order, variant, n) => {
            let row = |n: i64| Sold {
                order,
                line: "1".into(),
                variant,
                quantity: n.into(),
                location: String::new(),
                reached: None,
                contained: rust_decimal::Decimal::ZERO,
            };
            w.put_sold(order, "1", n.map(row));
        }
        Deed::LookAt(_) => {}
    }
}

fn act_all(tx: &Tx<'_>, house: &House, world: &mut World, deeds: &[Deed]) -> Result<()> {
    for deed in deeds {
        tx.step(house, world, |w| act(w, deed))?;
    }
    Ok(())
}

/// All that can be asked; a world answers it in words.
fn asked(tx: &Tx<'_>, house: &House, world: &mut World, most: usize) -> Result<Vec<String>> {
    let names = (0..4_u8).flat_map(|n| {
        let unmatched = Key::Unmatched("x".into(), "things".into(), format!("k{n}").into());
        [Key::RecordByKey("thing".into(), fold(&format!("K{n}"))), by_remote(n), unmatched]
    });
    let rows = (1..=ROWS).flat_map(|id| {
        let of_root = Key::ObjectsOfRoot("x".into(), id);
        let sold = [Key::SoldOfVariant(id), Key::SoldOfOrder(id)];
        [Key::Record(id), Key::Object(id), of_root, Key::ObjectsShowing(id)].into_iter().chain(sold)
    });
    let mut said = Vec::new();
    for key in names.chain(rows).take(most) {
        said.push(tx.step(house, world, |w| match &key {
            Key::Record(id) => format!("{:?}", w.record(*id)),
            Key::Object(id) => format!("{:?}", w.object(*id)),
            Key::SoldOfVariant(_) | Key::SoldOfOrder(_) => format!("{:?}", w.sold_rows(&key)),
            _ => format!("{:?}", w.ids(&key)),
        })?);
    }
    Ok(said)
}

#[derive(Debug, Clone)]
struct Story {
    before: Vec<Deed>,
    /// So much of what can be asked was asked before the others wrote.
    known: usize,
    written: Vec<Deed>,
    unwritten: Vec<Deed>,
    others: Vec<Deed>,
}

fn stories() -> impl Strategy<Value = Story> {
    let some = || collection::vec(deeds(), 0..8);
    (some(), 0..60_usize, some(), some(), some()).prop_map(
        |(before, known, written, unwritten, others)| Story {
            before,
            known,
            written,
            unwritten,
            others,
        },
    )
}

/// What a world says that went on, and what one that begins says; with `deaf` it does not hear of others.
fn told(story: &Story, deaf: bool) -> Result<(Vec<String>, Vec<String>)> {
    let (house, store) = (house(), Store::open(std::path::Path::new(":memory:"))?);
    let (world, written) = store.write(|tx| {
        let mut first = tx.world()?;
        act_all(tx, &house, &mut first, &story.before)?;
        tx.save(&first)?;
        let mut world = tx.world()?;
        asked(tx, &house, &mut world, story.known)?;
        act_all(tx, &house, &mut world, &story.written)?;
        tx.put(&world.take_dirty())?;
        let written = tx.watch();
        // What is merged ahead, while others write.
        act_all(tx, &house, &mut world, &story.unwritten)?;
        Ok((world, written))
    })?;
    for deed in &story.others {
        store.write(|tx| {
            let mut others = tx.world()?;
            act_all(tx, &house, &mut others, std::slice::from_ref(deed))?;
            tx.save(&others)?;
            if let Deed::LookAt(id) = deed { tx.look_at(&[*id], 1) } else { Ok(()) }
        })?;
    }
    store.write(|tx| {
        let written = if deaf { tx.watch() } else { written };
        let mut world = tx.catch_up(world, written)?.expect("few rows were written");
        let mut fresh = tx.world()?;
        assert_eq!(world.next_ids(), fresh.next_ids());
        let most = usize::MAX;
        Ok((asked(tx, &house, &mut world, most)?, asked(tx, &house, &mut fresh, most)?))
    })
}

proptest! {
    #![proptest_config(Config::with_cases(512))]
    #[test]
    fn a_world_that_caught_up_knows_what_one_that_begins_is_told(story in stories()) {
        let (went_on, begins) = told(&story, false).unwrap();
        prop_assert_eq!(went_on, begins);
    }
}

/// The control: who does not hear of others is wrong, in most stories.
#[test]
fn a_world_that_does_not_hear_of_others_is_wrong() {
    let rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let wrong = (0..100).filter(|_| {
        let story = stories().new_tree(&mut runner).unwrap().current();
        told(&story, true).map_or(true, |(went_on, begins)| went_on != begins)
    });
    assert!(wrong.count() > 50);
}
