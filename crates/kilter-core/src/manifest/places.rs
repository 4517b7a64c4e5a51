//! Places: a list whose items the remote keeps under ids of its own, beside some that are not ours.
//!
//! Reads   `places` of a row.   Writes  problems.   Never  opens a file itself.

use super::parts::{Problems, keep, lens_at, path_at, path_or_whole};
use crate::Json;
use crate::doc::{Node, Reader};
use crate::mapping::{Lens, Path};

/// What of such a list is ours is told by what was sent and the ids that it got.
#[derive(Debug, Clone)]
pub struct Places {
    /// Where an item of the resource shows all of them.
    pub at: Path,
    /// Their ids.
    pub id: Lens,
    /// The member of a canonical item that it is known by: where it comes from.
    pub source: Option<String>,
    /// Instead: the canonical value refers to objects of this resource, whose ids are the items.
    pub of: Option<String>,
    /// The remote is not done with one that shows these values.
    pub open: Vec<(Path, Vec<Json>)>,
    /// The remote gave up one that shows these values.
    pub failed: Vec<(Path, Vec<Json>)>,
    /// What it says about that.
    pub wrong: Option<Lens>,
    /// How one is put in, where `of` says what: the list parts of the row say it elsewhere.
    pub join: Option<Said>,
    /// How one of ours is taken out.
    pub leave: Option<Said>,
    /// A write replaces the list: how what stays there is said. What leaves is not said.
    pub stays: Option<Said>,
    /// What the remote itself puts where nothing else is shows these values, or `$settings` that
    /// hold them: it is not said back beside others.
    pub filler: Vec<(Path, Vec<Json>)>,
    /// So many new ones in one write.
    pub at_once: usize,
    /// What was sent and answered by nobody may arrive this much later.
    pub quiescence_seconds: u64,
}

/// A list in the payload, and each item of it: a template over `$place` and `$id`.
#[derive(Debug, Clone)]
pub struct Said {
    pub at: Path,
    pub item: Json,
    /// Constants of the payload beside the list.
    pub set: Json,
}

pub(super) fn places(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Places> {
    let node = reader.take("places")?;
    let mut inner = Reader::new(reader.file, "places", node, problems);
    let at_once = inner.integer("at_once", problems).and_then(|n| usize::try_from(n).ok());
    let quiescence =
        inner.seconds("quiescence", problems).and_then(|seconds| u64::try_from(seconds).ok());
    let places = Places {
        at: path_or_whole(&mut inner, "at", problems),
        id: lens_at(&mut inner, "id", problems).unwrap_or_default(),
        source: inner.text("source", problems),
        of: inner.text("of", problems),
        open: keep(&mut inner, "open", problems),
        failed: keep(&mut inner, "failed", problems),
        wrong: lens_at(&mut inner, "wrong", problems),
        join: said(&mut inner, "join", problems),
        leave: said(&mut inner, "leave", problems),
        stays: said(&mut inner, "stays", problems),
        filler: keep(&mut inner, "filler", problems),
        at_once: at_once.map_or(usize::MAX, |n| n.max(1)),
        quiescence_seconds: quiescence.unwrap_or(0),
    };
    if places.stays.is_some() && (places.leave.is_some() || places.join.is_some()) {
        let hint = "stays: the whole list is written; join, leave: what comes and goes";
        let what = "`stays` stands beside `join` or `leave`".into();
        inner.problem(node.line, what, hint, problems);
    }
    if places.source.is_some() == places.of.is_some() {
        let hint =
            "source: the member an item is known by; of: the resource that the value refers to";
        inner.problem(node.line, "places need `source` or `of`".into(), hint, problems);
    }
    inner.finish(problems);
    Some(places)
}

fn said(reader: &mut Reader<'_>, key: &'static str, problems: &mut Problems) -> Option<Said> {
    let node = reader.take(key)?;
    let mut inner = Reader::new(reader.file, key, node, problems);
    let at = path_at(&mut inner, "at", problems);
    if at.is_none() {
        inner.missing("at", problems);
    }
    let item = inner.take("item").map_or_else(|| Json::String("$place".into()), Node::to_json);
    let set = inner.take("set").map_or_else(|| serde_json::json!({}), Node::to_json);
    inner.finish(problems);
    Some(Said { at: at?, item, set })
}
