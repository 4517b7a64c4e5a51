//! Absent: what a whole listing did not show is asked for by its id.
//!
//! Reads   the ids that a listing showed; the live objects of its resource.
//! Writes  looks. More than the cap: a sentence for people, and nothing else, until it is approved.
//! Never   takes absence for a delete: only a read by id that says *not there* is one. What has no
//!         such read is never found absent.

use std::collections::HashSet;
use std::sync::Arc;

use kilter_core::config::Limits;
use kilter_core::sync::house::View;
use kilter_core::sync::project::split_remote;

use crate::engine::Engine;
use crate::pipeline::place::{coded, decoded};
use crate::store::Result;

/// The ids of one listing, eight bytes each. Two ids that hash alike hide a delete from one sweep;
/// the next one hashes otherwise.
pub struct Shown {
    salt: u64,
    ids: HashSet<u64>,
    /// Those that are not written down yet.
    fresh: Vec<u64>,
}

impl Shown {
    pub fn new(salt: u64) -> Self {
        Self { salt, ids: HashSet::new(), fresh: Vec::new() }
    }

    pub fn salt(&self) -> u64 {
        self.salt
    }

    pub fn note(&mut self, remote: &str) {
        let hash = self.hash(remote);
        if self.ids.insert(hash) {
            self.fresh.push(hash);
        }
    }

    pub fn holds(&self, remote: &str) -> bool {
        self.ids.contains(&self.hash(remote))
    }

    /// What was noted since the last time, as text.
    pub fn fresh(&mut self) -> String {
        coded(&std::mem::take(&mut self.fresh))
    }

    pub fn learn(&mut self, text: &str) {
        self.ids.extend(decoded(text));
    }

    fn hash(&self, remote: &str) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.salt.to_le_bytes()).update(remote.as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// As many may always be absent: five per cent of a small shop is nothing.
pub const ALWAYS: usize = 5;

/// How many of `total` may change at once without a person.
pub fn cap(limits: &Limits, total: usize) -> usize {
    (total * limits.mass_percent / 100).min(limits.mass_objects).max(ALWAYS)
}

/// Where a sweep that stopped says so; `sync --approve` answers below `approved.`
pub const HELD: &str = "absent.";
pub const APPROVED: &str = "approved.absent.";

/// After a whole listing that was asked at `asked`.
pub async fn look_for(
    engine: &Arc<Engine>,
    view: &View<'_>,
    each: &str,
    asked: i64,
    shown: Shown,
) -> Result<()> {
    if view.resource.get.is_none() || view.resource.facets.is_empty() {
        return Ok(());
    }
    let limits = engine.house.config.limits.clone();
    let (connection, resource) = (view.connection.name.clone(), view.resource.name.clone());
    let (each, has_each) = (each.to_owned(), !each.is_empty());
    let capped = engine.guards.absence_cap;
    let write = move |tx: &crate::store::Tx<'_>| {
        let mut live = tx.live_remotes(&connection, &resource)?;
        live.retain(|(_, remote, _)| split_remote(remote, has_each).1 == each);
        let total = live.len();
        // What was settled after the listing was asked for may not be in it.
        live.retain(|(_, remote, settled)| *settled <= asked && !shown.holds(remote));
        let place = format!("{connection}.{resource}");
        let (held, approved) = (format!("{HELD}{place}"), format!("{APPROVED}{place}"));
        if capped && live.len() > cap(&limits, total) && !tx.forget_meta(&approved)? {
            let text = format!(
                "{} of {total} {resource} are not listed any more in {connection}: is it the right \
                 account? `kilter sync --approve` goes on",
                live.len()
            );
            tracing::warn!(connection.id = connection, resource, "{text}");
            return tx.set_meta(&held, &text);
        }
        tx.forget_meta(&held)?;
        let ids: Vec<i64> = live.into_iter().map(|(id, _, _)| id).collect();
        tx.look_at(&ids, asked)
    };
    engine.store.write_async(write).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "More than 5 % or 50": whichever is fewer, and a handful never.
    #[test]
    fn five_in_a_hundred_or_fifty_may_and_one_more_may_not() {
        let limits = Limits::default();
        for (total, may) in [(0, 5), (40, 5), (100, 5), (140, 7), (1_000, 50), (2_000, 50)] {
            assert_eq!(cap(&limits, total), may, "of {total}");
        }
    }
}
