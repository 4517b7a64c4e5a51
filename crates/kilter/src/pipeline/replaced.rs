//! Replaced: lists that a write replaces as a whole go a few at a time.
//!
//! Reads   what must be read before it is written.   Writes  when the rest of it is due.
//! Never   lets so many be read at once that the last write rests on a read of long ago: what an editor
//!         put there meanwhile would be gone with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kilter_core::manifest::{Kind, Resource};
use kilter_core::model::{Object, ObjectId};

use crate::engine::Engine;
use crate::pipeline::settle;
use crate::store::Result;

/// Calls of one resource that rest on reads of one round.
const CALLS_AT_ONCE: usize = 4;

/// How many objects of a resource may be read and written in one round. None: as many as are due.
fn most(resource: &Resource) -> Option<usize> {
    let mut rows = resource.facets.iter().flat_map(|facet| &facet.rows);
    let replaces = rows.any(|row| row.places.as_ref().is_some_and(|p| p.stays.is_some()));
    let write = resource.writes.iter().find(|w| w.kinds.contains(&Kind::Update))?;
    replaces.then_some(write.cap.max(1).saturating_mul(CALLS_AT_ONCE))
}

/// Leaves the first of each such resource; the others are due a second later, and another.
pub async fn few(
    engine: &Arc<Engine>,
    connection: &str,
    read_first: &mut Vec<Object>,
) -> Result<()> {
    if !engine.guards.places {
        return Ok(());
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut late: BTreeMap<usize, Vec<ObjectId>> = BTreeMap::new();
    read_first.retain(|object| {
        let view = engine.house.view(connection, &object.resource);
        let Some(most) = view.and_then(|view| most(view.resource)) else { return true };
        let nth = seen.entry(object.resource.to_string()).or_default();
        let round = *nth / most;
        *nth += 1;
        if round > 0 {
            late.entry(round).or_default().push(object.id);
        }
        round == 0
    });
    for (round, ids) in late {
        settle::postpone(engine, ids, u32::try_from(round).ok()).await?;
    }
    Ok(())
}
