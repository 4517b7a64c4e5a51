//! Place: where a listing of several pages stands, so that one that was interrupted goes on there.
//!
//! Reads   what was written down with the newest page.
//! Writes  with each page but the last: where the next one begins, and the ids that it showed.
//! Never   goes on where nobody was for a day: then all is read again. Never takes it for granted
//!         that the rows stood still: a page by offset begins with the row that ended the one before.

use base64::Engine as _;
use kilter_core::Json;
use kilter_core::manifest::{Page, Vars};
use kilter_core::model::{Fault, FaultKind};
use kilter_core::sync::house::View;
use serde::{Deserialize, Serialize};

use super::absent::Shown;
use super::pages::At;
use crate::store::{Error, Result, Tx};

/// After this long, in seconds, a listing begins anew.
const KEPT_SECONDS: i64 = 86_400;

/// Below these keys stand a listing's place, the ids of its pages, and how many rows it had.
const READING: &str = "reading.";
const SHOWN: &str = "shown.";
const ROWS: &str = "rows.";

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    pub connection: String,
    pub resource: String,
    pub each: String,
    /// Place of the log when the listing began.
    pub asked: i64,
    /// Seconds by our clock: when it began, and when its newest page was kept.
    pub started: i64,
    kept_at: i64,
    /// The next page, and the row behind the last one that was read.
    pub page: usize,
    offset: usize,
    after: Option<Json>,
    pub newest: Option<String>,
    /// The row that ended the newest page.
    last: Option<String>,
    /// Pages and rows that were kept.
    pub kept: usize,
    pub rows: usize,
    /// How many rows there are, as the remote says; where it does not, how many there were the last
    /// time.
    pub total: Option<usize>,
    salt: u64,
    /// Pages in a row that showed nothing new.
    still: usize,
}

/// So often a page may not go on where the last one ended, before the listing is left for later.
pub const SEAMS_MAX: usize = 50;

/// Pages that may show nothing new: whoever steps back sees what he saw, and steps back so often.
const STILL_MAX: usize = 2 * SEAMS_MAX;

pub fn seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// What a listing goes by in the store.
pub fn name(view: &View<'_>, each: &str) -> String {
    format!("{}.{}.{each}", view.connection.name, view.resource.name)
}

impl Place {
    pub fn begin(view: &View<'_>, each: &str, asked: i64, total: Option<usize>) -> Self {
        Self {
            connection: view.connection.name.clone(),
            resource: view.resource.name.clone(),
            each: each.to_owned(),
            asked,
            started: seconds(),
            page: 1,
            total,
            ..Self::default()
        }
    }

    /// Where an interrupted listing stands, with what it showed.
    pub fn known(tx: &Tx<'_>, name: &str) -> Result<Option<(Self, Shown)>> {
        let Some(text) = tx.meta(&format!("{READING}{name}"))? else { return Ok(None) };
        let place: Self =
            serde_json::from_str(&text).map_err(|e| Error::Corrupt("a listing", e))?;
        if place.kept_at + KEPT_SECONDS < seconds() {
            return Ok(None);
        }
        let mut shown = Shown::new(place.salt);
        for (_, ids) in tx.metas(&format!("{SHOWN}{name}."))?.into_iter().take(place.kept) {
            shown.learn(&ids);
        }
        Ok(Some((place, shown)))
    }

    /// How many rows a listing had the last time it was read whole.
    pub fn rows_before(tx: &Tx<'_>, name: &str) -> Result<Option<usize>> {
        Ok(tx.meta(&format!("{ROWS}{name}"))?.and_then(|n| n.parse().ok()))
    }

    /// The listing was read to its end, or is to begin anew.
    pub fn forget(&self, tx: &Tx<'_>, name: &str, ended: bool) -> Result<()> {
        if self.kept > 0 {
            tx.forget_meta(&format!("{READING}{name}"))?;
            tx.forget_metas(&format!("{SHOWN}{name}."))?;
        }
        if ended && self.kept > 0 {
            tx.set_meta(&format!("{ROWS}{name}"), &self.rows.to_string())?;
        }
        Ok(())
    }

    /// Where the next page is asked for: one row before its place, to see that nothing moved.
    pub fn next(&self, page: Page, vars: &mut Vars) -> At {
        if let Some(after) = &self.after {
            vars.insert("after".to_owned(), after.clone());
        }
        let seam = usize::from(matches!(page, Page::Offset { .. }));
        At { page: self.page, offset: self.offset.saturating_sub(seam) }
    }

    /// Does a page begin with a row that was read?
    pub fn seam(&self, at: At) -> bool {
        at.offset < self.offset
    }

    /// Does a page go on where the last one ended?
    pub fn joins(&self, at: At, first: Option<&str>, shown: Option<&Shown>, by_id: bool) -> bool {
        if !self.seam(at) {
            return true;
        }
        let Some(first) = first else { return false };
        // In the order of ids nothing unseen can stand before what was seen.
        let seen = by_id && shown.is_some_and(|shown| shown.holds(first));
        seen || self.last.as_deref() == Some(first)
    }

    /// Rows before the place are gone: what stood behind it stands before it now.
    pub fn step_back(&mut self, size: usize, by_id: bool) {
        self.offset = if by_id { self.offset.saturating_sub(size) } else { 0 };
        self.last = None;
    }

    /// A page was read: its rows without the one that ended the page before.
    /// `new`: some of them were not shown before.
    pub fn passed(
        &mut self,
        at: At,
        (rows, fresh): (usize, usize),
        new: bool,
        last: Option<String>,
        vars: &Vars,
    ) {
        self.page += 1;
        self.offset = at.offset + rows;
        self.rows += fresh;
        self.still = if new { 0 } else { self.still + 1 };
        self.after = vars.get("after").cloned();
        self.last = last.or(self.last.take());
    }

    /// Takes what a page says of how many rows there are. True: nobody knows, and it was not asked.
    pub fn wants(&mut self, told: Option<usize>) -> bool {
        self.total = told.or(self.total);
        self.page == 1 && self.total.is_none()
    }

    /// A remote that does not know what an offset is shows the same page for ever.
    pub fn moves_on(&self) -> std::result::Result<(), Fault> {
        if self.still <= STILL_MAX {
            return Ok(());
        }
        let text =
            "its pages show the same rows again and again: the remote does not go on by offset";
        Err(Fault::new(FaultKind::Rejected, "", text))
    }

    /// What is written down with a page that is not the last.
    pub fn written(
        &mut self,
        name: &str,
        newest: Option<&String>,
        shown: Option<&mut Shown>,
    ) -> Result<Vec<(String, String)>> {
        let mut out = Vec::new();
        self.newest = newest.cloned();
        self.kept_at = seconds();
        if let Some(shown) = shown {
            self.salt = shown.salt();
            out.push((format!("{SHOWN}{name}.{:08}", self.kept), shown.fresh()));
        }
        self.kept += 1;
        let text = serde_json::to_string(self).map_err(|e| Error::Corrupt("a listing", e))?;
        out.push((format!("{READING}{name}"), text));
        Ok(out)
    }
}

/// Ids' hashes as text, and back.
pub fn coded(hashes: &[u64]) -> String {
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub fn decoded(text: &str) -> Vec<u64> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect()
}

/// A listing that is being read, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    pub connection: String,
    pub resource: String,
    pub each: String,
    pub rows: usize,
    /// How many there are, as the remote says, or else were the last time; none: nobody knows.
    pub total: Option<usize>,
    /// At the pace so far.
    pub seconds_left: Option<i64>,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} {} read", self.connection, self.rows, self.resource)?;
        if let Some(total) = self.total {
            write!(f, " of about {total}")?;
        }
        if let Some(left) = self.seconds_left {
            write!(f, ", about {left} s left")?;
        }
        Ok(())
    }
}

/// Every listing of several pages that is under way.
pub fn under_way(tx: &Tx<'_>) -> Result<Vec<Progress>> {
    let mut out = Vec::new();
    for (_, text) in tx.metas(READING)? {
        let place: Place =
            serde_json::from_str(&text).map_err(|e| Error::Corrupt("a listing", e))?;
        let spent = (place.kept_at - place.started).max(1);
        let rows = i64::try_from(place.rows).unwrap_or(i64::MAX).max(1);
        let left = |total: usize| {
            let left = i64::try_from(total.saturating_sub(place.rows)).unwrap_or(i64::MAX);
            left.saturating_mul(spent) / rows
        };
        out.push(Progress {
            seconds_left: place.total.map(left),
            connection: place.connection,
            resource: place.resource,
            each: place.each,
            rows: place.rows,
            total: place.total,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(place: &mut Place, new: bool) {
        let at = place.next(Page::Offset { size: 100 }, &mut Vars::default());
        place.passed(at, (100, 99), new, Some("100".to_owned()), &Vars::default());
    }

    /// A shop that did not know `offset` was read for a day: its first page, again and again.
    #[test]
    fn a_listing_that_shows_the_same_for_ever_ends() {
        let mut place = Place::default();
        read(&mut place, true);
        for _ in 0..STILL_MAX {
            read(&mut place, false);
            assert!(place.moves_on().is_ok());
        }
        read(&mut place, false);
        assert!(place.moves_on().unwrap_err().to_string().contains("the same rows"));
        // Who stepped back saw some of it again, and goes on.
        read(&mut place, true);
        assert!(place.moves_on().is_ok());
    }
}
