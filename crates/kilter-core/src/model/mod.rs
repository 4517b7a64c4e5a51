//! The nouns: record, object, change, operation, fault. Values only; no rule stands here.

pub mod change;
pub mod fault;
pub mod object;
pub mod record;
pub mod shared;

pub use change::{Change, End, Via};
pub use fault::{Fault, FaultKind};
pub use object::{Due, Object, State, Wait, WaitKind};
pub use record::{Cell, Record};
pub use shared::Shared;

/// A golden record's own number, given by the store.
pub type RecordId = i64;
/// An object's own number, given by the store.
pub type ObjectId = i64;
/// A place in the change log.
pub type Seq = i64;

/// A short text, as names, ids and times are: up to 24 bytes take no memory of their own.
pub type Text = compact_str::CompactString;
/// A sorted map of few entries, side by side: a tree takes a page of memory for one of them.
pub type Flat<K, V> = litemap::LiteMap<K, V>;

/// A row of a mapping: `facet.field`.
pub type RowKey = Text;
/// Row → canonical value.
pub type Rows = Shared<Flat<RowKey, crate::Json>>;
