//! Merge under every order: whatever comes first, the owner's last word stands.

use kilter_core::Json;
use kilter_core::model::{End, Seq, State, Via};
use proptest::prelude::*;
use serde_json::json;

use crate::support::Hub;

/// Every order of `n` things.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let mut out = Vec::new();
    for shorter in permutations(n - 1) {
        for at in 0..n {
            let mut longer = shorter.clone();
            longer.insert(at, n - 1);
            out.push(longer);
        }
    }
    out
}

#[derive(Debug, Clone)]
struct Word {
    connection: &'static str,
    via: Via,
    asked: Seq,
    body: Json,
}

fn erp(via: Via, asked: Seq, weight: u32) -> Word {
    let ver = format!("v{weight:02}");
    let body = json!({"id": 10, "sku": "MUG-R", "weight": weight.to_string(), "ver": ver});
    Word { connection: "erp", via, asked, body }
}

fn shop(asked: Seq) -> Word {
    let body = json!({"id": 70, "sku": "MUG-R", "weight": "666", "ver": "v1"});
    Word { connection: "north", via: Via::Page, asked, body }
}

/// A hub in which the variant is known, at a place after every asked that the tests use.
fn known() -> Hub {
    let mut hub = Hub::new();
    hub.hear("erp", "variants", "", Via::Page, 0, erp(Via::Page, 0, 0).body);
    hub.hear("north", "variants", "", Via::Page, 0, shop(0).body);
    hub.seq = 100;
    hub
}

fn say(hub: &mut Hub, word: &Word) -> End {
    hub.hear(word.connection, "variants", "", word.via, word.asked, word.body.clone())
}

fn weight(hub: &Hub) -> u32 {
    let value = hub.value("variant", "MUG-R", "weight").and_then(Json::as_str);
    value.unwrap().parse().unwrap()
}

/// Reads alone: the one that was asked last wins, in each of the 720 orders.
#[test]
fn the_read_asked_last_wins_in_every_order() {
    let words = [
        erp(Via::Page, 10, 1),
        erp(Via::Read, 20, 2),
        shop(15),
        erp(Via::Sweep, 30, 3),
        shop(35),
        erp(Via::Page, 40, 4),
    ];
    for order in permutations(words.len()) {
        let mut hub = known();
        for at in &order {
            say(&mut hub, &words[*at]);
            assert_ne!(weight(&hub), 666, "a shop's word entered, {order:?}");
        }
        assert_eq!(weight(&hub), 4, "{order:?}");
        assert_eq!(hub.record("variant", "MUG-R").cell("weight", "").unwrap().by, "erp");
        assert_eq!(hub.remote("erp", "variants", "10").look, None, "{order:?}");
    }
}

/// A read that was asked before our own last write knows nothing of it: it is refused, and asks
/// for a fresh one. Whatever else comes in between, the fresh one is asked for or has come.
#[test]
fn a_stale_read_never_enters_and_is_asked_again() {
    let settled = 25;
    let words = [
        erp(Via::Page, 10, 1),
        erp(Via::Read, 20, 2),
        erp(Via::Page, 30, 3),
        shop(12),
        erp(Via::Sweep, 40, 4),
    ];
    for order in permutations(words.len()) {
        let mut hub = known();
        let id = hub.remote("erp", "variants", "10").id;
        hub.edit(id, |o| o.settled = settled);
        for at in &order {
            let word = &words[*at];
            let end = say(&mut hub, word);
            let stale = word.connection == "erp" && word.asked < settled;
            if stale {
                assert_eq!(end, End::Filtered("asked before our last write".into()));
                assert!(hub.store.objects[&id].look.is_some(), "{order:?}");
            }
            assert!(matches!(weight(&hub), 0 | 3 | 4), "a stale word entered, {order:?}");
        }
        assert_eq!(weight(&hub), 4, "{order:?}");
    }
}

/// An answer that is looked for is given only by a read that left after the question came.
///
/// A page was under way when a webhook said "look": the page had been asked before, was merged
/// after, and took the question away. What the webhook spoke of was then not seen until the next
/// sweep.
#[test]
fn a_look_is_answered_only_by_a_read_asked_after_it() {
    let mut hub = known();
    let asked_before = hub.seq;
    hub.hear("erp", "variants", "", Via::Hook, 0, json!({"id": 10, "$hint": true}));
    let look = hub.remote("erp", "variants", "10").look;
    assert_eq!(look, Some(hub.seq));
    hub.hear("erp", "variants", "", Via::Page, asked_before, erp(Via::Page, 0, 1).body);
    assert_eq!(hub.remote("erp", "variants", "10").look, look, "the page left before the hint");
    hub.read("erp", "variants", erp(Via::Read, 0, 1).body);
    assert_eq!(hub.remote("erp", "variants", "10").look, None);
}

/// "Gone" is a read like any other: the one that was asked last is right.
///
/// A read by id was answered "missing", the thing was put back, a page saw it; the page was merged
/// first, and the older "missing" then held the object for a person.
#[test]
fn a_gone_that_was_asked_before_a_newer_read_is_refused() {
    for gone_first in [false, true] {
        let mut hub = known();
        let page = erp(Via::Page, 40, 4);
        let gone = Word { via: Via::Gone, asked: 30, ..erp(Via::Gone, 30, 0) };
        let words = if gone_first { [&gone, &page] } else { [&page, &gone] };
        words.iter().for_each(|w| drop(say(&mut hub, w)));
        let object = hub.remote("erp", "variants", "10");
        assert_eq!((object.state, weight(&hub)), (State::Live, 4), "gone first: {gone_first}");
    }
    // And the other way round: an older page does not bring back what a newer look missed.
    for gone_first in [false, true] {
        let mut hub = known();
        let page = erp(Via::Page, 30, 3);
        let gone = Word { via: Via::Gone, asked: 40, ..erp(Via::Gone, 40, 0) };
        let words = if gone_first { [&gone, &page] } else { [&page, &gone] };
        words.iter().for_each(|w| drop(say(&mut hub, w)));
        let object = hub.remote("erp", "variants", "10");
        assert_eq!(object.state, State::Gone, "gone first: {gone_first}");
    }
}

/// A webhook that a remote sends again, hours later, does not bring back what is gone.
#[test]
fn an_old_webhook_does_not_bring_back_what_is_gone() {
    let mut hub = known();
    hub.read("erp", "variants", erp(Via::Page, 0, 5).body);
    let asked = hub.seq;
    hub.hear("erp", "variants", "", Via::Gone, asked, json!({"id": 10}));
    let end = hub.hook("erp", "variants", erp(Via::Hook, 0, 4).body);
    assert!(matches!(end, End::Filtered(_)), "{end:?}");
    let object = hub.remote("erp", "variants", "10");
    assert_eq!(object.state, State::Gone);
    assert!(object.look.is_some(), "what it says is looked at");
    assert_eq!(weight(&hub), 5);
    // One that is newer than what we knew does: it was put back.
    assert_eq!(hub.hook("erp", "variants", erp(Via::Hook, 0, 6).body), End::Merged);
    assert_eq!((hub.remote("erp", "variants", "10").state, weight(&hub)), (State::Live, 6));
}

/// The state that the remote had at each place: its weight is the place of its last edit, its
/// version moves with it. Edits happen at places 10, 20, …, 60.
fn remote_at(place: Seq) -> u32 {
    u32::try_from((place / 10 * 10).min(60)).unwrap()
}

/// A hook sent at an edit, or a read that left at a place; either arrives whenever it likes.
fn truthful() -> impl Strategy<Value = Word> {
    (0..7i64, any::<bool>(), 0..10i64).prop_map(|(edit, hook, later)| {
        let asked = edit * 10 + later;
        let at = if hook { edit * 10 } else { asked };
        erp(if hook { Via::Hook } else { Via::Page }, if hook { 0 } else { asked }, remote_at(at))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Webhooks and reads that all told the truth of their moment, in any order: each ends once,
    /// a shop's word never enters, and what is not the newest that was heard is asked for.
    #[test]
    fn what_is_not_the_newest_is_looked_for(
        words in proptest::collection::vec(truthful(), 1..=6).prop_shuffle(),
    ) {
        let mut hub = known();
        let mut heard = 0;
        for word in &words {
            let end = say(&mut hub, word);
            prop_assert!(matches!(end, End::Merged | End::Unchanged | End::Filtered(_)));
            let said: u32 = word.body["weight"].as_str().unwrap().parse().unwrap();
            heard = heard.max(said);
            say(&mut hub, &shop(word.asked));
        }
        let looks = hub.remote("erp", "variants", "10").look.is_some();
        prop_assert!(weight(&hub) == heard || looks, "{} of {heard}", weight(&hub));
        // The look is served: the truth of now.
        hub.read("erp", "variants", erp(Via::Read, 0, 60).body);
        prop_assert_eq!(weight(&hub), 60);
        prop_assert_eq!(hub.remote("erp", "variants", "10").look, None);
    }

    /// Said twice is said once: nothing is marked, nothing changes.
    #[test]
    fn the_same_word_again_changes_nothing(words in proptest::collection::vec(truthful(), 1..=6)) {
        let mut hub = known();
        for word in &words {
            say(&mut hub, word);
        }
        hub.read("erp", "variants", erp(Via::Read, 0, 60).body);
        let before = hub.store.clone();
        prop_assert_eq!(hub.read("erp", "variants", erp(Via::Read, 0, 60).body), End::Unchanged);
        prop_assert_eq!(&before.records, &hub.store.records);
        for (id, object) in &before.objects {
            prop_assert_eq!(&object.due, &hub.store.objects[id].due);
        }
    }
}
