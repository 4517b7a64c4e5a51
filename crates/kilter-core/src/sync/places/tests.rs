//! Laws of places: sent once, taken out only where we put it in, a list that is replaced keeps the rest.

use super::*;
use crate::mapping::Lens;

const ROW: &str = "product.images";
const NOW: &str = "2026-11-28T20:00:00Z";
const SOON: &str = "2026-11-28T20:02:00Z";

fn places(of: bool) -> Places {
    Places {
        at: Path::parse("media").unwrap(),
        id: Lens::parse("id | id").unwrap(),
        source: (!of).then(|| "url".to_owned()),
        of: of.then(|| "collections".to_owned()),
        open: Vec::new(),
        failed: Vec::new(),
        wrong: None,
        join: None,
        leave: None,
        stays: None,
        filler: Vec::new(),
        at_once: usize::MAX,
        quiescence_seconds: 0,
    }
}

fn after(_: u64) -> String {
    SOON.to_owned()
}

fn wants(urls: &[&str]) -> Json {
    urls.iter().map(|url| json!({ "url": url })).collect()
}

fn shows(object: &mut Object, ids: &[&str]) {
    let list: Json = ids.iter().map(|id| json!({ "id": id })).collect();
    object.shadow.insert(ROW.into(), list);
}

fn change(places: &Places, object: &Object, wanted: &Json) -> Change {
    match compare(places, object, ROW, wanted, NOW) {
        Found::Differs(change) => change,
        Found::Nothing => panic!("nothing differs"),
        Found::Unsure => panic!("it must be asked first"),
        Found::Waits(wait) => panic!("{}", wait.reason),
    }
}

fn rests(places: &Places, object: &Object, wanted: &Json) -> bool {
    matches!(compare(places, object, ROW, wanted, NOW), Found::Nothing)
}

#[test]
fn one_is_sent_once_and_what_is_not_ours_is_never_taken_out() {
    let (places, mut object) = (places(false), Object::seat(1, "x", "images", "images"));
    shows(&mut object, &["theirs"]);
    let first = change(&places, &object, &wants(&["a", "b"]));
    assert_eq!(sent(&places, &first, &wants(&["a", "b"])), wants(&["a", "b"]));
    shows(&mut object, &["theirs", "1", "2"]);
    arrived(&mut object, &[first], true, 5);
    assert!(rests(&places, &object, &wants(&["a", "b"])));

    // One thing at a time: what is new is put in, then what is not wanted goes.
    let second = change(&places, &object, &wants(&["b", "c"]));
    assert_eq!((second.join.len(), second.leave.len()), (1, 0));
    shows(&mut object, &["theirs", "1", "2", "3"]);
    arrived(&mut object, &[second], true, 6);
    let third = change(&places, &object, &wants(&["b", "c"]));
    assert_eq!((third.join.len(), third.leave.as_slice()), (0, &["1".to_owned()][..]));
    shows(&mut object, &["theirs", "2", "3"]);
    arrived(&mut object, &[third], true, 7);
    assert!(rests(&places, &object, &wants(&["b", "c"])));
    let all = change(&places, &object, &wants(&[]));
    assert_eq!(all.leave, ["2", "3"], "theirs is not among them");
}

#[test]
fn while_nobody_knows_what_came_of_it_nothing_is_sent_again() {
    let (places, wanted) = (places(false), wants(&["a"]));
    let mut object = Object::seat(1, "x", "images", "images");
    shows(&mut object, &["theirs"]);
    let sent = change(&places, &object, &wanted);
    leaves(&mut object, std::slice::from_ref(&sent), 9, after);
    assert!(matches!(compare(&places, &object, ROW, &wanted, NOW), Found::Unsure));
    // A read that was asked before says nothing of it.
    observed(&mut object.shadow, 8);
    assert!(matches!(compare(&places, &object, ROW, &wanted, NOW), Found::Unsure));

    let lost = object.clone();
    observed(&mut object.shadow, 9);
    assert_eq!(change(&places, &object, &wanted), sent, "it was not done: once more");

    let mut object = lost;
    shows(&mut object, &["theirs", "1"]);
    observed(&mut object.shadow, 9);
    assert!(rests(&places, &object, &wanted), "it was done, and its answer lost");
    assert_eq!(change(&places, &object, &wants(&[])).leave, ["1"]);
}

#[test]
fn where_somebody_was_there_at_the_same_time_ours_is_sent_and_never_taken_out() {
    let (places, wanted) = (places(false), wants(&["a"]));
    let mut object = Object::seat(1, "x", "images", "images");
    shows(&mut object, &[]);
    let sent = change(&places, &object, &wanted);
    leaves(&mut object, &[sent], 9, after);
    shows(&mut object, &["1", "2"]);
    observed(&mut object.shadow, 9);
    assert!(rests(&places, &object, &wanted));
    assert!(rests(&places, &object, &wants(&[])), "which of the two is ours, nobody knows");
}

#[test]
fn what_was_refused_may_be_sent_again() {
    let (places, wanted) = (places(false), wants(&["a"]));
    let mut object = Object::seat(1, "x", "images", "images");
    shows(&mut object, &[]);
    let sent = change(&places, &object, &wanted);
    leaves(&mut object, std::slice::from_ref(&sent), 9, after);
    came_back(&mut object, std::slice::from_ref(&sent));
    assert_eq!(change(&places, &object, &wanted), sent);
    assert!(!object.shadow.contains_key(PLACES_ROW));
}

#[test]
fn what_refers_is_joined_by_its_id_and_only_where_we_put_it_is_left() {
    let (places, mut object) = (places(true), Object::seat(1, "x", "m", "m"));
    let of = |id: &str| json!({ "$remote": ["collections", id] });
    shows(&mut object, &["sale", "old"]);
    let first = change(&places, &object, &of("new"));
    assert_eq!((first.join.as_slice(), first.leave.len()), (&["new".to_owned()][..], 0));
    shows(&mut object, &["sale", "old", "new"]);
    arrived(&mut object, &[first], true, 5);
    assert!(rests(&places, &object, &of("new")));
    let second = change(&places, &object, &of("next"));
    assert_eq!(
        (second.join.as_slice(), second.leave.as_slice()),
        (&["next".to_owned()][..], &["new".to_owned()][..])
    );
    // Where somebody else put it, it is; ours goes.
    let third = change(&places, &object, &of("sale"));
    assert_eq!((third.join.len(), third.leave.as_slice()), (0, &["new".to_owned()][..]));
}

/// A list that a write replaces.
fn replaced(of: bool) -> Places {
    let at = Path::parse("list").unwrap();
    let stays = Said { at, item: json!({ "id": "$place" }), set: json!({}) };
    Places { stays: Some(stays), at_once: 1, quiescence_seconds: 120, ..places(of) }
}

/// What a write would say, where new ones are said as they are.
fn says(places: &Places, change: &Change, wanted: &Json) -> Json {
    let (vars, tables) = (crate::manifest::Vars::new(), std::collections::BTreeMap::new());
    let env = Env { vars: &vars, tables: &tables, root: None };
    let mut payload = json!({ "list": sent(places, change, wanted) });
    replace(places.stays.as_ref().unwrap(), change, Some("9"), &mut payload, &env).unwrap();
    payload["list"].take()
}

fn arrive(object: &mut Object, change: Change, ids: &[&str]) {
    shows(object, ids);
    arrived(object, &[change], true, 5);
}

#[test]
fn a_list_that_is_replaced_holds_what_others_put_there_where_it_stood() {
    let (places, mut object) = (replaced(false), Object::seat(1, "x", "images", "images"));
    let (id, url) = (|id: u64| json!({ "id": id }), |url: &str| json!({ "url": url }));
    shows(&mut object, &["7"]);
    let wanted = wants(&["a", "b"]);
    let first = change(&places, &object, &wanted);
    assert_eq!(says(&places, &first, &wanted), json!([id(7), url("a")]), "one at a time");
    assert_eq!(reached(&places, &first, &wanted), wants(&["a"]));
    arrive(&mut object, first, &["7", "1"]);
    let second = change(&places, &object, &wanted);
    assert_eq!(says(&places, &second, &wanted), json!([id(7), id(1), url("b")]));
    arrive(&mut object, second, &["7", "1", "2"]);
    assert!(rests(&places, &object, &wanted));

    // Another first, and one of ours gone: theirs stays where somebody moved it.
    shows(&mut object, &["1", "7", "2", "8"]);
    let wanted = wants(&["c", "b"]);
    let third = change(&places, &object, &wanted);
    assert_eq!(says(&places, &third, &wanted), json!([url("c"), id(7), id(2), id(8)]));
    arrive(&mut object, third, &["3", "7", "2", "8"]);
    assert!(rests(&places, &object, &wanted));
    let turned = wants(&["b", "c"]);
    let moved = change(&places, &object, &turned);
    assert_eq!(says(&places, &moved, &turned), json!([id(2), id(7), id(3), id(8)]));
    arrive(&mut object, moved, &["2", "7", "3", "8"]);
    let none = change(&places, &object, &wants(&[]));
    assert_eq!(says(&places, &none, &wants(&[])), json!([id(7), id(8)]));
}

#[test]
fn a_list_that_was_not_read_is_not_replaced() {
    let (places, mut object) = (replaced(false), Object::seat(1, "x", "images", "images"));
    object.remote = Some("9".into());
    assert!(matches!(compare(&places, &object, ROW, &wants(&["a"]), NOW), Found::Unsure));
}

#[test]
fn what_was_answered_by_nobody_is_waited_for_before_it_is_sent_again() {
    let (places, wanted) = (replaced(false), wants(&["a"]));
    let mut object = Object::seat(1, "x", "images", "images");
    shows(&mut object, &[]);
    let sent = change(&places, &object, &wanted);
    leaves(&mut object, std::slice::from_ref(&sent), 9, after);
    let is = |object: &Object, now| compare(&places, object, ROW, &wanted, now);
    assert!(matches!(is(&object, SOON), Found::Unsure), "nobody looked yet");
    observed(&mut object.shadow, 9);
    assert!(matches!(is(&object, NOW), Found::Unsure), "it may still arrive");
    assert!(matches!(is(&object, SOON), Found::Differs(_)), "it never came");
    shows(&mut object, &["1"]);
    observed(&mut object.shadow, 10);
    assert!(rests(&places, &object, &wanted), "it came late");
}

#[test]
fn of_a_list_of_references_that_is_replaced_only_ours_changes() {
    let (places, mut object) = (replaced(true), Object::seat(1, "x", "m", "m"));
    let of = |id: &str| json!({ "$remote": ["categories", id] });
    let list = |ids: &[u64]| -> Json { ids.iter().map(|id| json!({ "id": id })).collect() };
    shows(&mut object, &["4", "5"]);
    let joins = change(&places, &object, &of("6"));
    assert_eq!(says(&places, &joins, &json!(null)), list(&[4, 5, 6]));
    arrive(&mut object, joins, &["4", "5", "6"]);
    assert!(rests(&places, &object, &of("6")));
    let other = change(&places, &object, &of("7"));
    assert_eq!(says(&places, &other, &json!(null)), list(&[4, 5, 7]));
    arrive(&mut object, other, &["4", "5", "7"]);
    let none = change(&places, &object, &Json::Null);
    assert_eq!(says(&places, &none, &json!(null)), list(&[4, 5]));

    // What the remote put there itself goes where something else comes.
    let mut object = Object::seat(1, "x", "m", "m");
    object.shadow.insert(ROW.into(), json!([{ "id": "15", "filler": true }]));
    let first = change(&places, &object, &of("6"));
    assert_eq!(says(&places, &first, &json!(null)), list(&[6]));
    arrive(&mut object, first, &["6"]);
    let none = change(&places, &object, &Json::Null);
    assert_eq!(says(&places, &none, &json!(null)), list(&[]));

    // Where that is what is wanted, it stays beside others.
    let mut object = Object::seat(1, "x", "m", "m");
    shows(&mut object, &["7"]);
    let joins = change(&places, &object, &of("9"));
    arrive(&mut object, joins, &["7", "9"]);
    let shown = json!([{ "id": "15", "filler": true }, { "id": "7" }, { "id": "9" }]);
    object.shadow.insert(ROW.into(), shown);
    let wanted = change(&places, &object, &of("15"));
    assert_eq!(says(&places, &wanted, &json!(null)), list(&[15, 7]));
}
