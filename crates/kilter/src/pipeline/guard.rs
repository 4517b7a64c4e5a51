//! Guard: what stood in a system before Kilter came is not changed in masses unasked.
//!
//! Reads   a resource's gate, planned updates, how many objects it has.
//! Writes  gates; waits of what was counted; a sentence for people.
//! Never   holds a create, a document, what Kilter wrote before, or a figure that goes down.
//!
//! ```text
//! closed ── all that is due was looked at, few would change ──► open
//!    └───── many would change ──► held ── sync --approve ─────► open
//! ```

use std::collections::BTreeMap;

use kilter_core::manifest::Kind;
use kilter_core::model::{Object, Wait, WaitKind};
use kilter_core::sync::derive::FIGURES;
use kilter_core::sync::house::{House, View};
use kilter_core::sync::plan::{Changed, Operation};
use rust_decimal::Decimal;

use crate::pipeline::absent::{self, cap};
use crate::pipeline::deliver::listed;
use crate::pipeline::drift;
use crate::store::{Result, Tx};

/// Why what was counted waits.
const COUNTED: &str =
    "counted first: nothing that stood there before is changed until all is counted";

/// Where a resource whose gate is held says so.
pub const HELD: &str = "guard.";
const GATE: &str = "gate.";
const OPEN: &str = "open";

/// The gates of a connection that are not open: resource → the place of the log up to which a
/// write of ours does not count, and the sentence where a person is asked.
pub struct Gates(BTreeMap<String, (i64, Option<String>)>);

impl Gates {
    pub fn of(tx: &Tx<'_>, house: &House, connection: &str) -> Result<Self> {
        let mut closed = BTreeMap::new();
        for view in house.views().filter(|v| v.connection.name == connection && guarded(v)) {
            let place = place(&view);
            let gate = tx.meta(&format!("{GATE}{place}"))?;
            if gate.as_deref() != Some(OPEN) {
                let since = gate.and_then(|at| at.parse().ok()).unwrap_or(0);
                let held = tx.meta(&format!("{HELD}{place}"))?;
                closed.insert(view.resource.name.clone(), (since, held));
            }
        }
        Ok(Self(closed))
    }

    /// Why this write waits.
    pub fn stops(&self, view: &View<'_>, object: &Object, operation: &Operation) -> Option<Wait> {
        let (since, held) = self.0.get(&view.resource.name)?;
        let ours = object.settled > *since;
        // What a person said is to be deleted was looked at already.
        let passes = match operation.kind {
            Kind::Create | Kind::Delete => true,
            Kind::Update => lowers(view, operation),
            Kind::Archive => false,
        };
        if passes || ours {
            return None;
        }
        Some(match held {
            Some(reason) => Wait { kind: WaitKind::Held, reason: reason.clone() },
            None => Wait { kind: WaitKind::Later, reason: COUNTED.to_owned() },
        })
    }

    /// What a person will be asked, or is, if this were sent: planned updates that it stops, by resource.
    pub fn asks(
        &self,
        tx: &Tx<'_>,
        house: &House,
        connection: &str,
        stopped: &BTreeMap<String, usize>,
    ) -> Result<Vec<String>> {
        let mut said = Vec::new();
        for (resource, (_, held)) in &self.0 {
            let count = stopped.get(resource).copied().unwrap_or(0);
            let total = tx.count_standing(connection, resource)?;
            match held {
                Some(reason) => said.push(reason.clone()),
                None if count > cap(&house.config.limits, total) => {
                    said.push(would_change(count, total, resource, connection));
                }
                None => {}
            }
        }
        Ok(said)
    }

    /// Opens or holds what was counted whole. Returns how many objects may go now.
    pub fn decide(&self, tx: &Tx<'_>, house: &House, connection: &str, now: &str) -> Result<usize> {
        let mut woken = 0;
        for (resource, _) in self.0.iter().filter(|(_, (_, held))| held.is_none()) {
            let Some(view) = house.view(connection, resource) else { continue };
            let last = tx.last_seq()?;
            let busy = !listed(tx, &view)?
                || tx.open_until(connection, &view.resource.collection, last)?
                || tx.any_due(connection, resource, now)?;
            if busy {
                continue;
            }
            let (count, place) = (tx.count_waits(connection, resource, COUNTED)?, place(&view));
            let total = tx.count_standing(connection, resource)?;
            if count <= cap(&house.config.limits, total) {
                tx.set_meta(&format!("{GATE}{place}"), OPEN)?;
                woken += tx.wake_waits(connection, resource, COUNTED, now)?;
                continue;
            }
            let reason = would_change(count, total, resource, connection);
            tx.set_meta(&format!("{HELD}{place}"), &reason)?;
            tx.hold_waits(connection, resource, COUNTED, &reason)?;
        }
        Ok(woken)
    }
}

fn would_change(count: usize, total: usize, resource: &str, connection: &str) -> String {
    format!(
        "{count} of {total} {resource} that stood in {connection} would change: see \
         `kilter plan`; `kilter sync --approve` sends them"
    )
}

/// Documents are guarded by permits and decisions; what has no update changes nothing.
fn guarded(view: &View<'_>) -> bool {
    let document = view.house.entities.get(&view.resource.root).is_some_and(|e| e.document);
    let part = view.house.entities.get(&view.resource.root).is_some_and(|e| {
        let mut whole = e.fields.values().filter(|f| f.part_of).filter_map(|f| f.to.as_deref());
        whole.any(|to| view.house.entities.get(to).is_some_and(|e| e.document))
    });
    let updates = view.resource.writes.iter().any(|w| w.kinds.contains(&Kind::Update));
    updates && !document && !part
}

fn place(view: &View<'_>) -> String {
    format!("{}.{}", view.connection.name, view.resource.name)
}

/// Only figures, and only down: what cannot be sold any more waits for nobody.
fn lowers(view: &View<'_>, operation: &Operation) -> bool {
    let down = |field: &Changed| {
        let number = |v: &kilter_core::Json| v.as_str().and_then(|t| t.parse::<Decimal>().ok());
        let (old, new) = (field.old.as_ref().and_then(number), number(&field.new));
        let (facet, row) = field.row.split_once('.')?;
        let name = row.split('@').next()?;
        let facet = view.resource.facets.iter().find(|f| f.name == facet)?;
        let rule = view.house.entities.field(&facet.entity, name)?.derive.as_deref()?;
        Some(FIGURES.contains(&rule) && new? < old?)
    };
    operation.fields.iter().all(|field| down(field) == Some(true))
}

/// The configuration changed: what was written before it counts as if it had stood there.
pub fn close(tx: &Tx<'_>, view: &View<'_>) -> Result<()> {
    let place = place(view);
    tx.forget_meta(&format!("{HELD}{place}"))?;
    tx.set_meta(&format!("{GATE}{place}"), &tx.last_seq()?.to_string())
}

/// A person looked at what is held, here and by sweeps, and says yes. Returns what was held.
pub fn approve(tx: &Tx<'_>, now: &str) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for (key, reason) in tx.metas(HELD)? {
        let place = key.strip_prefix(HELD).unwrap_or_default();
        tx.set_meta(&format!("{GATE}{place}"), OPEN)?;
        tx.forget_meta(&key)?;
        if let Some((connection, resource)) = place.split_once('.') {
            tx.wake_waits(connection, resource, &reason, now)?;
        }
        said.push(reason);
    }
    for (key, reason) in tx.metas(absent::HELD)? {
        let place = key.strip_prefix(absent::HELD).unwrap_or_default();
        tx.set_meta(&format!("{}{place}", absent::APPROVED), now)?;
        said.push(reason);
    }
    said.extend(drift::approve(tx)?);
    Ok(said)
}

/// What waits for `sync --approve`, in sentences.
pub fn asked(tx: &Tx<'_>) -> Result<Vec<String>> {
    let all = tx.metas(HELD)?.into_iter().chain(tx.metas(absent::HELD)?);
    Ok(all.map(|(_, reason)| reason).chain(drift::asked(tx)?).collect())
}
