//! Stand: where a row stands in the objects of one connection, and what may be done with it there.
//!
//! Reads   nothing.   Writes  nothing: a house works it out once, for it does not change.
//! Never   holds where the answer depends on which location, list or language is meant.

use crate::model::{RowKey, Text};

/// What a connection may do with one row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mode {
    /// What is read enters the record.
    pub takes: bool,
    /// What is read enters the record until the owner has spoken.
    pub seeds: bool,
    /// The record's value is written.
    pub writes: bool,
    /// … at create only.
    pub creates: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    /// Empty where it has none.
    pub scope: Text,
    /// The row's name in a shadow.
    pub key: RowKey,
    /// Of a record that is born here, or not yet; and of one that was born elsewhere.
    pub here: Mode,
    pub elsewhere: Mode,
    /// The field is worked out by a rule that gives a figure of stock.
    pub figure: bool,
}
