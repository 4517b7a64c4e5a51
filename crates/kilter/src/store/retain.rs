//! What grows with every day is let go again: the log's changes, what was written where, exchanges.
//!
//! Reads   `changes`, `bodies`, `deliveries`, `exchanges`, from their oldest.   Writes  nothing but their deletion.
//! Never   deletes a change that is open or dead, an intent, an attempt, a decision or a sum: what must
//!         not happen twice is known for ever, and what was received is counted for ever.

use rusqlite::params;

use super::{Result, Tx};

/// Rows of a table that are looked at in one go.
pub const AT_ONCE: i64 = 1_000;

impl Tx<'_> {
    /// Deletes changes that ended and came before a time. True: there may be more.
    pub fn forget_changes(&self, before: &str) -> Result<(usize, bool)> {
        let oldest = "SELECT seq, at FROM changes WHERE end IS NOT NULL AND end <> 'dead'
                      ORDER BY seq LIMIT ?1";
        let gone = "DELETE FROM changes WHERE seq <= ?1 AND end IS NOT NULL AND end <> 'dead'";
        let bodies = "DELETE FROM bodies WHERE seq <= ?1
                      AND seq NOT IN (SELECT seq FROM changes WHERE seq <= ?1)";
        self.forget(oldest, &[gone, bodies], before)
    }

    /// Deletes what is told of deliveries before a time. True: there may be more.
    pub fn forget_deliveries(&self, before: &str) -> Result<(usize, bool)> {
        let oldest = "SELECT id, at FROM deliveries ORDER BY id LIMIT ?1";
        self.forget(oldest, &["DELETE FROM deliveries WHERE id <= ?1"], before)
    }

    /// Deletes exchanges before a time, or beyond so many. True: there may be more.
    pub fn forget_exchanges(&self, before: &str, most: usize) -> Result<(usize, bool)> {
        let oldest = "SELECT id, at FROM exchanges ORDER BY id LIMIT ?1";
        let gone = "DELETE FROM exchanges WHERE id <= ?1";
        let old = self.forget(oldest, &[gone], before)?;
        if old.1 {
            return Ok(old);
        }
        // Only the oldest are ever deleted, so their places have no holes.
        let ends = "SELECT ifnull(min(id), 0), ifnull(max(id), 0) FROM exchanges";
        let (first, last): (i64, i64) =
            self.sql.prepare_cached(ends)?.query_row([], |r| Ok((r.get(0)?, r.get(1)?)))?;
        let beyond = last.saturating_sub(i64::try_from(most).unwrap_or(i64::MAX));
        let deleted = self.sql.prepare_cached(gone)?.execute([beyond.min(first + AT_ONCE - 1)])?;
        Ok((old.0 + deleted, beyond > first + AT_ONCE - 1))
    }

    /// Places rise with time, so the oldest rows are found without looking at all of them.
    fn forget(&self, oldest: &str, gone: &[&str], before: &str) -> Result<(usize, bool)> {
        let mut s = self.sql.prepare_cached(oldest)?;
        let mut rows = s.query(params![AT_ONCE])?;
        let (mut last, mut n) = (None, 0);
        while let Some(row) = rows.next()? {
            if row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)? >= before {
                break;
            }
            (last, n) = (Some(row.get::<_, i64>(0)?), n + 1);
        }
        let Some(last) = last else { return Ok((0, false)) };
        let mut deleted = Vec::with_capacity(gone.len());
        for gone in gone {
            deleted.push(self.sql.prepare_cached(gone)?.execute([last])?);
        }
        Ok((deleted.first().copied().unwrap_or(0), n == AT_ONCE))
    }
}

#[cfg(test)]
mod tests {
    use kilter_core::model::{Change, End, Text, Via};

    use super::super::Store;

    fn heard(remote: &str) -> Change {
        Change {
            seq: 0,
            connection: "shop".into(),
            collection: "products".into(),
            remote: remote.into(),
            each: Text::default(),
            via: Via::Page,
            asked: 0,
            body: serde_json::json!({}),
            at: "2020-01-01T00:00:00.000Z".into(),
        }
    }

    /// What was heard years ago and nobody took yet is still to be taken; what is around it goes.
    #[test]
    fn an_old_change_that_nobody_took_stays_and_its_body_with_it() {
        let store = Store::open(std::path::Path::new(":memory:")).unwrap();
        let mut all = ["before", "open", "after"].map(heard);
        let ended = store.write(|tx| {
            tx.append(&mut all)?;
            let end = |change: &Change| (change.clone(), End::Merged);
            tx.end_changes(&[end(&all[0]), end(&all[2])])?;
            tx.forget_changes("2026-01-01T00:00:00.000Z")
        });
        assert_eq!(ended.unwrap(), (2, false));
        let left = "SELECT (SELECT count(*) FROM changes), (SELECT count(*) FROM bodies), \
                    (SELECT remote FROM changes)";
        let left: (i64, i64, String) = store
            .read(|tx| Ok(tx.sql.query_row(left, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?))
            .unwrap();
        assert_eq!(left, (1, 1, "open".to_owned()));
    }
}
