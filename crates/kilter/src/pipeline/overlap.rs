//! Overlap: how far a poll steps back behind its cursor, because a source writes some rows down later
//! than it dates them.
//!
//! Most polls step back `near`: a clock's grain, a short transaction. Once in a quarter of `overlap` one
//! steps back all of it, and that quarter: a row that comes as late as that is found then. Else a poll
//! every few seconds would read minutes of changes each time.
//!
//! Reads   a listing's cursor; when it last stepped back the whole way, in this process.
//! Writes  that time, once such a poll was read to its end.   Never   moves a cursor.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kilter_core::Json;
use kilter_core::manifest::{Cursor as Spec, Vars, plain};
use kilter_core::sync::house::View;

use crate::store::cursors::Cursor;

/// A part of `overlap`: so long the polls may step back `near` only.
const PART: u32 = 4;

/// When each listing last stepped back the whole way. A process begins with none.
#[derive(Debug, Default)]
pub struct Wide(Mutex<BTreeMap<String, Instant>>);

/// A step back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Back {
    pub seconds: i64,
    /// The whole way, begun then.
    pub wide: Option<Instant>,
}

impl Wide {
    pub fn back(&self, listing: &str, spec: &Spec, now: Instant) -> Back {
        let Some(near) = spec.near_seconds.filter(|near| *near < spec.overlap_seconds) else {
            return Back { seconds: spec.overlap_seconds, wide: None };
        };
        let part =
            u64::try_from(spec.overlap_seconds).map_or(Duration::ZERO, Duration::from_secs) / PART;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(listing) {
            Some(last) if now.duration_since(*last) < part => Back { seconds: near, wide: None },
            _ => Back {
                seconds: spec.overlap_seconds + i64::try_from(part.as_secs()).unwrap_or(0),
                wide: Some(now),
            },
        }
    }

    /// It was read to its end.
    pub fn read(&self, listing: &str, back: Back) {
        if let Some(begun) = back.wide {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(listing.to_owned(), begun);
        }
    }
}

/// When an item says that it changed.
pub fn changed_at(
    view: &View<'_>,
    cursor: Option<&Spec>,
    item: &Json,
    vars: &Vars,
) -> Option<String> {
    let lens = &cursor?.lens;
    let value = lens.read(item, &view.env(vars, Some(item))).ok().flatten()?;
    (!value.is_null()).then(|| plain(&value))
}

/// `$since`: the cursor, less a step back.
pub fn since(
    view: &View<'_>,
    spec: &Spec,
    cursor: &Cursor,
    back: Back,
    vars: &Vars,
) -> Option<Json> {
    let since = Json::String(earlier(cursor.value.as_deref()?, back.seconds));
    spec.lens.encode(&since, &view.env(vars, None)).ok().flatten()
}

/// A source's time less some seconds; what is no time stays as it is.
pub fn earlier(value: &str, seconds: i64) -> String {
    let back = jiff::SignedDuration::from_secs(seconds);
    match value.parse::<jiff::Timestamp>().ok().and_then(|t| t.checked_sub(back).ok()) {
        Some(at) if value.contains('.') => format!("{at:.3}"),
        Some(at) => at.to_string(),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use kilter_core::mapping::Lens;

    use super::*;

    fn spec(near: Option<i64>) -> Spec {
        let lens = Lens::parse("date | time(rfc3339)").unwrap();
        Spec { lens, overlap_seconds: 300, near_seconds: near }
    }

    #[test]
    fn a_time_steps_back_and_what_is_no_time_stays() {
        assert_eq!(earlier("2026-03-01T00:01:00Z", 90), "2026-02-28T23:59:30Z");
        assert_eq!(earlier("4711", 90), "4711");
    }

    /// Whatever comes up to `overlap` late is read: no two wide polls lie further apart than what the
    /// later one steps back beyond it.
    #[test]
    fn one_poll_in_a_quarter_goes_the_whole_way() {
        let (wide, spec, start) = (Wide::default(), spec(Some(20)), Instant::now());
        let mut wides = Vec::new();
        for second in (0..600).step_by(5) {
            let back = wide.back("erp.prices", &spec, start + Duration::from_secs(second));
            if back.wide.is_some() {
                assert_eq!(back.seconds, 375);
                wides.push(second);
            } else {
                assert_eq!(back.seconds, 20);
            }
            // The first wide poll fails: the next one is wide as well.
            if second > 0 {
                wide.read("erp.prices", back);
            }
        }
        assert_eq!(wides, [0, 5, 80, 155, 230, 305, 380, 455, 530]);
    }

    #[test]
    fn without_near_each_poll_goes_the_whole_way() {
        let wide = Wide::default();
        for near in [None, Some(300), Some(400)] {
            let back = wide.back("erp.prices", &spec(near), Instant::now());
            assert_eq!(back, Back { seconds: 300, wide: None });
        }
    }
}
