//! Laws of permits: what an answer leaves of an object, whatever it was when it came.

use std::collections::BTreeMap;

use kilter_core::config::read_config;

use super::*;
use crate::store::Store;

fn house() -> House {
    let mut problems = Vec::new();
    let text = "[connection.x]\nconnector = \"none\"\n";
    let config = read_config("law", text, &|_| None, &mut problems);
    House::new(crate::catalog::entities(&mut problems), BTreeMap::new(), config)
}

/// What the answer to a create finds, and what it leaves.
fn answered(state: State, due_at: Option<u64>, sent_at: u64) -> Object {
    let (house, store) = (house(), Store::open(std::path::Path::new(":memory:")).unwrap());
    let answered = store.write(|tx| {
        let mut world = tx.world()?;
        let id = tx.step(&house, &mut world, |w| {
            let id = w.fresh_object();
            let mut object = Object::seat(id, "x", "orders", "orders");
            object.state = state;
            if let Some(mark) = due_at {
                mark_object(&mut object, "2026-11-28T10:00:00Z", 0);
                object.due.as_mut().unwrap().mark = mark.try_into().unwrap();
            }
            w.put_object(object);
            id
        })?;
        tx.save(&world)?;
        tx.insert_intent(&Intent {
            intent: "intent".to_owned(),
            object: id,
            connection: "x".to_owned(),
            resource: "orders".to_owned(),
            reference: "X-1".to_owned(),
            payload: None,
            class: Class::A.name().to_owned(),
            status: Status::Ready,
            permits: 0,
            first_sent: None,
            lookups: 0,
            next_at: now(),
        })?;
        let intent = tx.intent_of(id)?.unwrap();
        let marks = Marks::from_iter([(id, sent_at.try_into().unwrap())]);
        fact(tx, &house, &intent, "900", "the answer", &marks)?;
        Ok(tx.object(id)?.unwrap())
    });
    answered.unwrap()
}

/// Cancelled while its create was on its way: nothing was due, and the answer made nothing due. What
/// stands there was left to a look that may show nothing new.
#[test]
fn what_was_withdrawn_on_its_way_is_live_and_due_once_it_is_there() {
    let object = answered(State::Left, None, 7);
    assert_eq!((object.state, object.remote.as_deref()), (State::Live, Some("900")));
    assert!(object.due.is_some(), "its plan says what becomes of it");
}

#[test]
fn what_was_not_touched_meanwhile_is_done_and_what_was_is_due() {
    assert_eq!(answered(State::Seat, Some(7), 7).due, None);
    assert_eq!(answered(State::Seat, Some(8), 7).due.unwrap().mark, 8);
}
