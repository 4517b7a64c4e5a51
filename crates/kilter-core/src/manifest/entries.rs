//! Entries: named values of a list of `{key, value}`, each written alone and by what was last read.
//!
//! Reads   `entries` of a row.   Writes  problems.   Never  opens a file itself.

use super::parts::{Problems, path_at, path_or_whole};
use crate::Json;
use crate::doc::{Node, Reader};
use crate::mapping::Path;

/// The canonical side is a map. Only keys that the lookup table knows are read and written.
#[derive(Debug, Clone)]
pub struct Entries {
    /// Where an item shows the list.
    pub at: Path,
    pub key: String,
    pub value: String,
    /// Lookup table: our names → the remote's keys.
    pub table: String,
    /// The member that tells which version of a value it is: said back, null where there was none.
    pub was: Option<String>,
    /// Where the entries that differ stand in the payload. None: they are only read.
    pub write: Option<EntriesWrite>,
}

#[derive(Debug, Clone)]
pub struct EntriesWrite {
    pub at: Path,
    /// Constants of each: a template over `$id`.
    pub set: Json,
    /// Most in one call; the others follow.
    pub cap: usize,
}

pub(super) fn entries(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Entries> {
    let node = reader.take("entries")?;
    let mut inner = Reader::new(reader.file, "entries", node, problems);
    let entries = Entries {
        at: path_or_whole(&mut inner, "at", problems),
        key: inner.need_text("key", problems),
        value: inner.need_text("value", problems),
        table: inner.need_text("table", problems),
        was: inner.text("was", problems),
        write: write(&mut inner, problems),
    };
    inner.finish(problems);
    Some(entries)
}

fn write(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<EntriesWrite> {
    let node = reader.take("write")?;
    let mut inner = Reader::new(reader.file, "entries.write", node, problems);
    let at = path_at(&mut inner, "at", problems);
    if at.is_none() {
        inner.missing("at", problems);
    }
    let set = inner.take("set").map_or_else(|| serde_json::json!({}), Node::to_json);
    let cap = inner.integer("cap", problems).and_then(|n| usize::try_from(n).ok());
    inner.finish(problems);
    Some(EntriesWrite { at: at?, set, cap: cap.unwrap_or(CAP).max(1) })
}

/// Entries in one call, where the connector names no cap.
const CAP: usize = 25;
