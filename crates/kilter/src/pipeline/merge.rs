//! Merge: open changes of the log become what is true.
//!
//! Reads   open changes, oldest first.   Writes  records, objects, sold lines, each change's end.
//! Never   waits: what cannot be resolved yet is kept and woken later.

use std::sync::Arc;

use kilter_core::model::End;

use crate::engine::Engine;
use crate::pipeline::receive::merge_one;
use crate::store::Result;
use crate::store::changes::Open;

/// Merges until nothing is open. Returns how many changes ended.
pub async fn run(engine: &Arc<Engine>) -> Result<usize> {
    let mut total = 0;
    loop {
        let house = Arc::clone(&engine.house);
        let limit = house.config.limits.merge_batch;
        let done = engine
            .store
            .write_async(move |tx| {
                let Open { changes, unreadable } = tx.open_changes(limit)?;
                let mut world = tx.world()?;
                tx.foresee(&house, &mut world, &changes)?;
                let mut ends = Vec::with_capacity(changes.len());
                for change in changes {
                    let end = match unreadable.get(&change.seq) {
                        Some(error) => End::Dead(format!("failed to read its body: {error}")),
                        None => merge_one(tx, &house, &mut world, &change)?,
                    };
                    if let End::Dead(reason) = &end {
                        tracing::warn!(connection.id = change.connection, reason, "dead letter");
                    }
                    ends.push((change, end));
                }
                tx.save_alone(&world)?;
                tx.end_changes(&ends)?;
                Ok(ends.len())
            })
            .await?;
        total += done;
        if done < limit {
            return Ok(total);
        }
    }
}
