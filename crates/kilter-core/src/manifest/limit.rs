//! What a remote may be asked at a time: calls at once, calls a second, points of a bucket.
//!
//! Reads   `[limit]` of `connector.toml`.   Writes  problems.   Never  waits: it only says.

use crate::Json;
use crate::doc::Reader;
use crate::manifest::parts::{Problems, path_at};
use crate::mapping::{Env, Path};

#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    pub concurrency: usize,
    /// Calls a second; 0 = not known.
    pub per_second: u32,
    pub timeout_seconds: u64,
    pub cost: Option<Cost>,
}

/// A bucket of points, which each answer tells about. Where each figure stands in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// What the call was admitted for.
    pub asked: Path,
    /// What it took in the end.
    pub spent: Path,
    pub left: Path,
    /// Points a second.
    pub refill: Path,
    /// What the bucket holds when it is full.
    pub most: Path,
}

/// What one answer tells. Absent is what it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    pub asked: Option<f64>,
    pub spent: Option<f64>,
    pub left: Option<f64>,
    pub refill: Option<f64>,
    pub most: Option<f64>,
}

impl Cost {
    pub fn figures(&self, body: &Json, env: &Env<'_>) -> Figures {
        let read = |path: &Path| {
            let value = path.read(body, env)?;
            let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
            number.filter(|n| n.is_finite() && *n >= 0.0)
        };
        Figures {
            asked: read(&self.asked),
            spent: read(&self.spent),
            left: read(&self.left),
            refill: read(&self.refill),
            most: read(&self.most),
        }
    }
}

pub(super) fn limit(reader: &mut Reader<'_>, problems: &mut Problems) -> Limit {
    let mut limit = Limit { concurrency: 2, per_second: 0, timeout_seconds: 60, cost: None };
    let Some(node) = reader.take("limit") else { return limit };
    let mut inner = Reader::new(reader.file, "limit", node, problems);
    let mut positive = |inner: &mut Reader<'_>, key| {
        inner.integer(key, problems).and_then(|n| u32::try_from(n).ok())
    };
    if let Some(n) = positive(&mut inner, "concurrency") {
        limit.concurrency = n.max(1) as usize;
    }
    limit.per_second = positive(&mut inner, "per_second").unwrap_or(0);
    limit.timeout_seconds = positive(&mut inner, "timeout_seconds").map_or(60, u64::from);
    limit.cost = cost(&mut inner, problems);
    inner.finish(problems);
    limit
}

fn cost(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Cost> {
    let node = reader.take("cost")?;
    let mut inner = Reader::new(reader.file, "limit.cost", node, problems);
    let mut need = |key| {
        let path = path_at(&mut inner, key, problems);
        if path.is_none() {
            inner.missing(key, problems);
        }
        path
    };
    let paths = (need("asked"), need("spent"), need("left"), need("refill"), need("most"));
    inner.finish(problems);
    let (Some(asked), Some(spent), Some(left), Some(refill), Some(most)) = paths else {
        return None;
    };
    Some(Cost { asked, spent, left, refill, most })
}
