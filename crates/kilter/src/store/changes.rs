//! `changes`: the log of what remotes said, and its `bodies`. A row is open until its end is written;
//! a body is written once.

use std::borrow::Cow;

use kilter_core::Json;
use kilter_core::model::{Change, End, Seq, Via};
use rusqlite::{Connection, OptionalExtension, params};

use super::sums::{Sums, count};
use super::{Result, Tx, text};

/// So many neighbours end by one statement for each way in which they end.
const ENDED_TOGETHER_MAX: usize = 4_000;

/// Where they end in more ways (each names a reason of its own), each goes by itself.
const KINDS_MAX: usize = 4;

/// Bytes of bodies that are taken out of the log at once; the last one may go beyond.
const OPEN_BYTES_MAX: usize = 16 << 20;

const END_ALL: &str = "UPDATE changes SET end = ?3, reason = ?4
    WHERE seq BETWEEN ?1 AND ?2 AND end IS NULL";

/// Which of them, a byte of ?5 says for each.
const END_SOME: &str = "UPDATE changes SET end = ?3, reason = ?4
    WHERE seq BETWEEN ?1 AND ?2 AND end IS NULL AND substr(?5, seq - ?1 + 1, 1) = x'01'";

/// Open changes, in their order, and the texts of their bodies: who reads them, has the time.
#[derive(Debug, Default)]
pub struct Open {
    pub changes: Vec<Change>,
    pub texts: Vec<String>,
}

pub(super) fn last_seq(sql: &Connection) -> rusqlite::Result<Seq> {
    let newest = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)";
    sql.prepare_cached(newest)?.query_row([], |r| r.get(0))
}

impl Tx<'_> {
    /// Appends and gives each its place.
    pub fn append(&self, changes: &mut [Change]) -> Result<()> {
        self.append_each(changes.iter_mut().map(|change| {
            let text = Cow::Owned(change.body.to_string());
            (change, text)
        }))
    }

    /// The same, of bodies that are kept as they came.
    pub fn append_said(&self, changes: &mut [(Change, String)]) -> Result<()> {
        self.append_each(changes.iter_mut().map(|(change, text)| (change, Cow::Borrowed(&**text))))
    }

    fn append_each<'c>(
        &self,
        changes: impl Iterator<Item = (&'c mut Change, Cow<'c, str>)>,
    ) -> Result<()> {
        let sql = "INSERT INTO changes (connection, collection, remote, each, via, asked, at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let mut s = self.sql.prepare_cached(sql)?;
        let mut say = self.sql.prepare_cached("INSERT INTO bodies VALUES (?1, ?2)")?;
        let mut sums = Sums::new();
        for (change, text) in changes {
            s.execute(params![
                change.connection.as_str(),
                change.collection.as_str(),
                change.remote.as_str(),
                change.each.as_str(),
                change.via.name(),
                change.asked,
                change.at.as_str()
            ])?;
            change.seq = self.sql.last_insert_rowid();
            say.execute(params![change.seq, text])?;
            count(&mut sums, &change.connection, &change.collection, "received", 1);
        }
        self.add_sums(&sums)
    }

    /// The newest place of the log.
    pub fn last_seq(&self) -> Result<Seq> {
        Ok(last_seq(self.sql)?)
    }

    /// The last change that was there at a time.
    pub fn seq_at(&self, time: &str) -> Result<Seq> {
        let sql = "SELECT seq FROM changes WHERE at <= ?1 ORDER BY seq DESC LIMIT 1";
        let found = self.sql.prepare_cached(sql)?.query_row([time], |r| r.get(0)).optional()?;
        Ok(found.unwrap_or(0))
    }

    /// The oldest open changes after a place of the log: at most so many, one at least if any is open.
    pub fn open_changes(&self, after: Seq, limit: usize) -> Result<Open> {
        let sql = "SELECT seq, connection, collection, remote, each, via, asked, body, at
                   FROM changes JOIN bodies USING (seq)
                   WHERE end IS NULL AND seq > ?1 ORDER BY seq LIMIT ?2";
        let mut s = self.sql.prepare_cached(sql)?;
        let mut rows = s.query([after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let (mut open, mut bytes) = (Open::default(), 0);
        while bytes < OPEN_BYTES_MAX
            && let Some(r) = rows.next()?
        {
            let body: String = r.get(7)?;
            bytes += body.len();
            open.texts.push(body);
            open.changes.push(Change {
                seq: r.get(0)?,
                connection: text(r, 1)?,
                collection: text(r, 2)?,
                remote: text(r, 3)?,
                each: text(r, 4)?,
                via: Via::parse(&r.get::<_, String>(5)?),
                asked: r.get(6)?,
                body: Json::Null,
                at: text(r, 8)?,
            });
        }
        Ok(open)
    }

    /// Each change ends in exactly one way.
    pub fn end_changes(&self, ends: &[(Change, End)]) -> Result<()> {
        let mut sums = Sums::new();
        // Neighbours of one listing that end alike are one statement, be others between them.
        let neighbours = |(a, _): &(Change, End), (b, _): &(Change, End)| {
            b.seq == a.seq + 1 && (&a.connection, &a.collection) == (&b.connection, &b.collection)
        };
        for run in ends.chunk_by(neighbours).flat_map(|run| run.chunks(ENDED_TOGETHER_MAX)) {
            let mut kinds: Vec<&End> = Vec::new();
            for (_, end) in run {
                if kinds.len() <= KINDS_MAX && !kinds.contains(&end) {
                    kinds.push(end);
                }
            }
            if kinds.len() > KINDS_MAX {
                for run in run.chunk_by(|(_, a), (_, b)| a == b) {
                    self.end_run(run, &run[0].1, true, &mut sums)?;
                }
                continue;
            }
            for end in &kinds {
                self.end_run(run, end, kinds.len() == 1, &mut sums)?;
            }
        }
        self.add_sums(&sums)
    }

    /// Those of neighbours that end so: all of them, or some.
    fn end_run(&self, run: &[(Change, End)], end: &End, all: bool, sums: &mut Sums) -> Result<()> {
        let [(first, _), ..] = run else { return Ok(()) };
        let last = run.last().map_or(first.seq, |(change, _)| change.seq);
        let (name, reason) = (end.name(), end.reason());
        let n = if all {
            let mut s = self.sql.prepare_cached(END_ALL)?;
            s.execute(params![first.seq, last, name, reason])?
        } else {
            let such: Vec<u8> = run.iter().map(|(_, e)| u8::from(e == end)).collect();
            let mut s = self.sql.prepare_cached(END_SOME)?;
            s.execute(params![first.seq, last, name, reason, such])?
        };
        let n = i64::try_from(n).unwrap_or(0);
        count(sums, &first.connection, &first.collection, name, n);
        Ok(())
    }

    /// Rows of a listing that equal what is known are counted, not appended.
    pub fn count_unchanged(&self, connection: &str, collection: &str, n: i64) -> Result<()> {
        let mut sums = Sums::new();
        count(&mut sums, connection, collection, "received", n);
        count(&mut sums, connection, collection, "unchanged", n);
        self.add_sums(&sums)
    }

    pub fn open_count(&self) -> Result<i64> {
        let sql = "SELECT count(*) FROM changes WHERE end IS NULL";
        Ok(self.sql.prepare_cached(sql)?.query_row([], |r| r.get(0))?)
    }
}

impl Tx<'_> {
    /// How many changes came one way.
    pub fn count_via(&self, via: &str) -> Result<i64> {
        let sql = "SELECT count(*) FROM changes WHERE via = ?1";
        Ok(self.sql.prepare_cached(sql)?.query_row([via], |r| r.get(0))?)
    }
}
