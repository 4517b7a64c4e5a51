//! Permits: creates that must not happen twice. R0–R6 of the rules for orders.
//!
//! Reads   documents to be created, intents.   Writes  intents, attempts, facts.
//! Never   sends a request without a permit, nor two for one permit, nor again in class C.
//!
//! ```text
//! R0 intent ─▶ R2 permit ─▶ R3 one request ─▶ R4 applied      → fact
//!                                            ├─ not applied  → the permit is given back
//!                                            └─ uncertain    → R5 look it up by our reference
//! R5 found → fact · not found: class A sends again, class C parks after quiescence · R6 facts always win
//! ```

use std::sync::Arc;
use std::time::Duration;

use kilter_core::Json;
use kilter_core::manifest::{Class, plain};
use kilter_core::model::{Fault, Object, ObjectId, State, Wait, WaitKind};
use kilter_core::sync::document;
use kilter_core::sync::house::{BIRTH_ROW, House, View};
use kilter_core::sync::mark::{mark_object, object_bound};
use kilter_core::sync::plan::Operation;
use kilter_core::sync::redirect;
use kilter_core::sync::spread;
use kilter_core::sync::take::give_way;
use kilter_core::sync::world::World;
use serde_json::json;
use uuid::Uuid;

use crate::engine::{Engine, after, backoff, now};
use crate::pipeline::settle::{Marks, retry, tried, wait_of};
use crate::store::deliveries::Delivery;
use crate::store::intents::{Intent, Status};
use crate::store::{Result, Tx};

/// The deterministic intents of two runs, of a restored backup, of a second hub are the same.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b69_6c74_6572_4d0f_9c1e_0f2a_51d7_77aa);

/// How long a request may be on its way before it is given up.
const SEND_SECONDS: u64 = 90;

/// When an uncertain create is looked up again.
pub(super) const LOOKUP_SECONDS: [u64; 5] = [5, 30, 120, 600, 3600];

/// A create that was allowed: its intent, its attempt, its operation.
pub(super) struct Allowed {
    intent: Intent,
    attempt: String,
    pub(super) operation: Operation,
}

/// R0–R2 for a call's operations, in one transaction.
pub(super) async fn allow(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &str,
    operations: Vec<Operation>,
) -> Result<Vec<Allowed>> {
    let house = Arc::clone(&engine.house);
    let unguarded = !engine.guards.permits;
    let (connection, resource) = (connection.to_owned(), resource.to_owned());
    engine
        .store
        .write_async(move |tx| {
            let Some(view) = house.view(&connection, &resource) else { return Ok(Vec::new()) };
            let mut out = Vec::new();
            for operation in operations {
                if let Some(allowed) = allow_one(tx, &house, &view, operation, unguarded)? {
                    out.push(allowed);
                }
            }
            Ok(out)
        })
        .await
}

fn allow_one(
    tx: &Tx<'_>,
    house: &House,
    view: &View<'_>,
    mut operation: Operation,
    unguarded: bool,
) -> Result<Option<Allowed>> {
    let at = now();
    let Some(mut object) = tx.object(operation.object)? else { return Ok(None) };
    // Cancelled before any permit: withdrawn.
    if object.state != State::Seat {
        return Ok(None);
    }
    let class = view.resource.permit.as_ref().map_or(Class::C, |p| p.class);
    let fresh = intent(tx, house, view, &object, class, &at)?;
    tx.insert_intent(&fresh)?;
    let Some(intent) = tx.intent_of(object.id)? else {
        object.due = None;
        let reason = format!("another object is already sent as {}", fresh.reference);
        object.wait = Some(Wait { kind: WaitKind::Held, reason });
        tx.write_objects(std::iter::once(&object))?;
        return Ok(None);
    };
    let attempt = Uuid::now_v7().to_string();
    let payload = intent.payload.clone().unwrap_or_else(|| operation.payload.clone());
    let send_by = after(Duration::from_secs(SEND_SECONDS));
    let next = after(Duration::from_secs(LOOKUP_SECONDS[0]));
    if unguarded && class == Class::C && intent.permits > 0 {
        tx.grant(&intent.intent)?;
    }
    let asked_before = intent.permits == 0 || intent.lookups > 0 || unguarded;
    let granted = asked_before && tx.permit(&intent, &attempt, &payload, &at, &send_by, &next)?;
    if granted {
        let document = house.entities.get(&view.resource.root).is_some_and(|e| e.document);
        let rename = unguarded && document && intent.permits > 0;
        operation.payload = if rename { renamed(&payload, &intent) } else { payload };
        // The mark stays until the outcome is known, and is not looked at before.
        retry_at(&mut object, &next);
        tx.write_objects(std::iter::once(&object))?;
        return Ok(Some(Allowed { intent, attempt, operation }));
    }
    waiting(&mut object, &intent);
    tx.write_objects(std::iter::once(&object))?;
    Ok(None)
}

/// Without permits each attempt goes by a name of its own, as where clients number what they send:
/// for a negative control, which shows what the reference is for.
fn renamed(payload: &Json, intent: &Intent) -> Json {
    let fresh = format!("{}-{}", intent.reference, intent.permits);
    match payload {
        Json::String(text) => Json::String(text.replace(&intent.reference, &fresh)),
        Json::Array(items) => items.iter().map(|item| renamed(item, intent)).collect(),
        Json::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), renamed(value, intent))).collect()
        }
        other => other.clone(),
    }
}

fn intent(
    tx: &Tx<'_>,
    house: &House,
    view: &View<'_>,
    object: &Object,
    class: Class,
    at: &str,
) -> Result<Intent> {
    let root = object.root.unwrap_or_default();
    let record = tx.record(root)?;
    let origin = record.as_ref().map(|r| r.origin.clone()).unwrap_or_default();
    let key =
        record.as_ref().and_then(|r| r.key.clone()).unwrap_or_else(|| root.to_string().into());
    let target = account(house, &view.connection.name);
    let source = account(house, &origin);
    let what = &view.resource.name;
    let name = format!("{target}\u{1f}{source}\u{1f}{what}\u{1f}{key}\u{1f}create");
    Ok(Intent {
        intent: Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string(),
        object: object.id,
        connection: view.connection.name.clone(),
        resource: view.resource.name.clone(),
        reference: key.into(),
        payload: None,
        class: class.name().to_owned(),
        status: Status::Ready,
        permits: 0,
        first_sent: None,
        lookups: 0,
        next_at: at.to_owned(),
    })
}

/// Accounts go by their own identity, learned at first contact, never by names in our config.
fn account(house: &House, connection: &str) -> String {
    house.config.connections.get(connection).map(|c| c.account.clone()).unwrap_or_default()
}

pub(super) fn retry_at(object: &mut Object, at: &str) {
    if let Some(due) = &mut object.due {
        due.next_at = Some(at.into());
        due.not_before = Some(at.into());
    }
}

fn waiting(object: &mut Object, intent: &Intent) {
    match intent.status {
        Status::Parked => {
            object.due = None;
            object.wait = Some(parked(intent));
        }
        Status::Rejected => object.due = None,
        _ => {
            retry_at(object, &intent.next_at);
            let reason = format!("asking whether {} has arrived", intent.reference);
            object.wait = Some(Wait { kind: WaitKind::Later, reason });
        }
    }
}

pub(super) fn parked(intent: &Intent) -> Wait {
    Wait {
        kind: WaitKind::Held,
        reason: format!(
            "{} may exist in {}: no answer came, and a search for {} found nothing. \
             Say \"kilter decide {} link ID\" or \"kilter decide {} create-again\"",
            intent.reference, intent.connection, intent.reference, intent.object, intent.object
        ),
    }
}

pub(super) async fn refund_all(engine: &Arc<Engine>, allowed: &[Allowed]) -> Result<()> {
    let pairs: Vec<(String, String)> =
        allowed.iter().map(|a| (a.intent.intent.clone(), a.attempt.clone())).collect();
    engine
        .store
        .write_async(move |tx| {
            let at = now();
            pairs.iter().try_for_each(|(i, a)| tx.refund(i, a, "refused as a whole", &at))
        })
        .await
}

/// R4: what the answer proves.
pub(super) async fn conclude(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &str,
    allowed: Vec<Allowed>,
    result: std::result::Result<Vec<std::result::Result<Json, Fault>>, Fault>,
    marks: &Arc<Marks>,
) -> Result<()> {
    let house = Arc::clone(&engine.house);
    let unguarded = !engine.guards.permits;
    let (connection, resource) = (connection.to_owned(), resource.to_owned());
    let marks = Arc::clone(marks);
    engine
        .store
        .write_async(move |tx| {
            let Some(view) = house.view(&connection, &resource) else { return Ok(()) };
            let outcomes = match result {
                Ok(items) => items,
                Err(fault) => allowed.iter().map(|_| Err(fault.clone())).collect(),
            };
            let (mut deliveries, mut no) = (Vec::new(), Vec::new());
            let mut world = tx.world()?;
            for (one, outcome) in allowed.iter().zip(outcomes) {
                deliveries.push(delivered(&view, one, &outcome));
                match outcome {
                    Ok(item) => {
                        let id = external_id(&view, &item);
                        learn(tx, &house, &mut world, (&one.intent, &id, "the answer"), &marks)?;
                    }
                    Err(fault) => no.push((one, fault)),
                }
            }
            // What a fact told others is written before anybody reads it again.
            tx.save(&world)?;
            no.iter().try_for_each(|(one, fault)| refused(tx, &view, one, fault, unguarded))?;
            allowed.iter().try_for_each(|one| look_above(tx, &house, &view, one))?;
            tx.write_deliveries(&deliveries, &now())
        })
        .await
}

/// What a part closed is not open any more, or may not be: its whole is read again before the next.
fn look_above(tx: &Tx<'_>, house: &House, view: &View<'_>, one: &Allowed) -> Result<()> {
    if view.resource.spread.is_none() {
        return Ok(());
    }
    let object = tx.object(one.intent.object)?;
    let Some(root) = object.and_then(|o| o.root) else { return Ok(()) };
    let mut world = tx.world()?;
    let whole = tx.step(house, &mut world, |w| spread::closes(view, w, root))?;
    tx.look_at(whole.as_slice(), tx.last_seq()?)
}

fn delivered(
    view: &View<'_>,
    one: &Allowed,
    outcome: &std::result::Result<Json, Fault>,
) -> Delivery {
    let known = outcome.is_ok() || outcome.as_ref().err().is_some_and(Fault::proves_not_applied);
    Delivery {
        object: one.intent.object,
        kind: "create".to_owned(),
        fields: json!([{ "row": "reference", "new": one.intent.reference }]),
        outcome: match (outcome.is_ok(), known) {
            (true, _) => "applied",
            (false, true) => "not_applied",
            (false, false) => "uncertain",
        }
        .to_owned(),
        fault: outcome.as_ref().err().cloned(),
        call: format!("{} {}", view.connection.name, view.resource.name),
    }
}

fn external_id(view: &View<'_>, item: &Json) -> String {
    if item.is_object() {
        let vars = view.connection.vars("");
        let id = view.resource.id.read(item, &view.env(&vars, Some(item))).ok().flatten();
        return id.map(|v| plain(&v)).unwrap_or_default();
    }
    plain(item)
}

fn refused(
    tx: &Tx<'_>,
    view: &View<'_>,
    one: &Allowed,
    fault: &Fault,
    unguarded: bool,
) -> Result<()> {
    let Some(mut object) = tx.object(one.intent.object)? else { return Ok(()) };
    let exists = view.resource.permit.as_ref().is_some_and(|p| {
        p.exists.iter().any(|t| fault.code.contains(t.as_str()) || fault.text.contains(t.as_str()))
    });
    let tries = tried(&object, fault);
    if unguarded && !fault.proves_not_applied() {
        retry(&mut object, tries, wait_of(fault));
        object.wait = Some(Wait { kind: WaitKind::Later, reason: fault.to_string() });
    } else if exists || !fault.proves_not_applied() {
        // It exists, or may: R5 asks by our reference.
        let next = if exists { now() } else { after(Duration::from_secs(LOOKUP_SECONDS[0])) };
        tx.set_intent(&one.intent.intent, Status::Uncertain, &next)?;
        retry_at(&mut object, &next);
        let reason = format!("asking whether {} has arrived: {fault}", one.intent.reference);
        object.wait = Some(Wait { kind: WaitKind::Later, reason });
    } else {
        let next = after(backoff(tries, wait_of(fault)));
        tx.refund(&one.intent.intent, &one.attempt, &fault.to_string(), &next)?;
        if fault.kind.retries() || fault.unsent {
            retry(&mut object, tries, wait_of(fault));
            object.wait = Some(Wait { kind: WaitKind::Later, reason: fault.to_string() });
        } else {
            object.due = None;
            let reason = format!("{} said no: {fault}", view.connection.name);
            object.wait = Some(Wait { kind: WaitKind::Dead, reason });
            if let Some(root) = object.root {
                let (mut world, seq) = (tx.world()?, tx.last_seq()?);
                tx.step(view.house, &mut world, |w| redirect::suspect(view, w, root, seq))?;
                tx.save(&world)?;
            }
        }
    }
    tx.write_objects(std::iter::once(&object))
}

/// R6: written from any status, and never fenced.
pub fn fact(
    tx: &Tx<'_>,
    house: &House,
    intent: &Intent,
    external: &str,
    evidence: &str,
    marks: &Marks,
) -> Result<()> {
    let mut world = tx.world()?;
    learn(tx, house, &mut world, (intent, external, evidence), marks)?;
    tx.save(&world)
}

/// The same in a world that knows of others.
fn learn(
    tx: &Tx<'_>,
    house: &House,
    world: &mut World,
    (intent, external, evidence): (&Intent, &str, &str),
    marks: &Marks,
) -> Result<()> {
    tx.record_fact(&intent.intent, external, evidence)?;
    let seq = tx.last_seq()?;
    let at = now();
    tx.step(house, world, |w| {
        let Some(mut object) = w.object(intent.object).cloned() else { return };
        if object.state == State::Gone {
            redirect::redirect(house, w, object.id, external, &at);
            return;
        }
        let record = object.root.and_then(|id| w.record(id)).cloned();
        let (connection, collection) = (&object.connection, &object.collection);
        give_way(w, connection, collection, external, object.id);
        let holder = w.object_by_remote(connection, collection, external);
        if holder.is_some_and(|id| id != object.id) {
            let reason = format!("{external} of {connection} stands for another order already");
            object.wait = Some(Wait { kind: WaitKind::Held, reason });
            object.due = None;
            w.put_object(object);
            return;
        }
        // A read or a webhook was faster: what was learned since, a reason to wait, say, stays.
        if object.state == State::Live && object.remote.as_deref() == Some(external) {
            let lane = house.view(connection, &object.resource).map_or(0, |v| v.resource.lane);
            object.look = Some(seq);
            mark_object(&mut object, &at, lane);
            w.put_object(object);
            return;
        }
        // Cancelled while it was on its way: there all the same, and its plan says what becomes of it.
        let withdrawn = object.state == State::Left;
        object.remote = Some(external.into());
        object.state = State::Live;
        object.wait = None;
        object.look = Some(seq);
        let seen = marks.get(&object.id).copied();
        if withdrawn {
            let lane = house.view(connection, &object.resource).map_or(0, |v| v.resource.lane);
            mark_object(&mut object, &at, lane);
        } else if object.due.as_ref().map(|d| d.mark) == seen {
            object.due = None;
        } else if let Some(due) = &mut object.due {
            due.not_before = None;
            due.next_at = Some(at.as_str().into());
        }
        if let Some(record) = record {
            object.shadow.insert(BIRTH_ROW.into(), document::birth(&record));
        }
        let id = object.id;
        w.put_object(object);
        object_bound(house, w, id, &at);
    })
}

/// What we made there is gone. Where it was merged into another, our reference names that one: it is
/// asked for. Of a document a person is asked instead.
pub fn gone(tx: &Tx<'_>, house: &House, object: ObjectId, entity: Option<&str>) -> Result<()> {
    let document = entity.and_then(|e| house.entities.get(e)).is_none_or(|e| e.document);
    if let Some(intent) = tx.intent_of(object)?.filter(|i| i.status == Status::Done && !document) {
        tx.set_intent(&intent.intent, Status::Uncertain, &now())?;
    }
    Ok(())
}

/// A person's answer: which id it has, or that it may be created once more.
pub fn decide(tx: &Tx<'_>, house: &House, object: ObjectId, link: Option<&str>) -> Result<bool> {
    let Some(intent) = tx.intent_of(object)? else { return Ok(false) };
    match link {
        Some(id) => fact(tx, house, &intent, id, "a person said so", &Marks::new())?,
        None => {
            tx.grant(&intent.intent)?;
            if let Some(mut object) = tx.object(object)? {
                object.wait = None;
                mark_object(&mut object, &now(), 1);
                tx.write_objects(std::iter::once(&object))?;
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
