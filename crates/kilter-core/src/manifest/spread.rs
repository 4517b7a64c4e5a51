//! Spread: a part of a document (a parcel) closes as much of what is open of the whole as it holds.
//!
//! Reads   `spread` of a resource.   Writes  problems.   Never  opens a file itself.
//!
//! What is open is the row that `parent` names: a list whose items say `id`, `open`, `variant`,
//! `sku`, and, where the remote divides it, `group`, `place` and `held`.

use super::parts::Problems;
use super::resource::select;
use super::types::Select;
use crate::Json;
use crate::doc::{Node, Reader};

#[derive(Debug, Clone)]
pub struct Spread {
    /// The list of the root, and of the whole, whose items say `variant`, `sku` and `quantity`.
    pub lines: String,
    /// A part that names no lines closes all that is open, once this holds.
    pub whole_if: Vec<Select>,
    /// The remote does not show what is closed: what our other parts of the whole hold is not open.
    pub closed: bool,
    /// A template over `$id` and `$quantity`: what is closed of one item.
    pub item: Json,
    /// A template over `$group` and `$items`, where the remote divides what is open.
    pub group: Option<Json>,
}

pub(super) fn spread(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Spread> {
    let node = reader.take("spread")?;
    let mut inner = Reader::new(reader.file, "spread", node, problems);
    let item = inner.take("item").map(Node::to_json);
    if item.is_none() {
        inner.missing("item", problems);
    }
    let spread = Spread {
        lines: inner.need_text("lines", problems),
        whole_if: select(&mut inner, "whole_if", problems),
        closed: inner.flag("closed", problems).unwrap_or(false),
        item: item.unwrap_or_default(),
        group: inner.take("group").map(Node::to_json),
    };
    inner.finish(problems);
    Some(spread)
}
