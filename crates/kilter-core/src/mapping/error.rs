//! What can go wrong with a row: in its text, in reading, in writing.
//!
//! Reads   the value at fault, to name it.   Writes  nothing.
//! Never   repeats more than `FOUND_CHARS_MAX` characters of a value: payloads can be huge.

use crate::Json;

/// How much of an offending value an error repeats.
pub const FOUND_CHARS_MAX: usize = 80;

/// The text of a row is not in the language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at byte {at}")]
pub struct ParseError {
    /// What would have been right here.
    pub expected: String,
    /// Byte offset into the text that was parsed.
    pub at: usize,
    /// A near spelling, the known codecs, or how to quote; to be printed after the error.
    pub hint: Option<String>,
}

/// A lookup table that cannot be read backwards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Two keys stand for one value, so the value could not be read.
    #[error("keys {first:?} and {second:?} both stand for {value:?}")]
    NotInvertible { first: String, second: String, value: String },
    /// One key stands for two values, so the key could not be written.
    #[error("key {key:?} stands for both {first:?} and {second:?}")]
    Ambiguous { key: String, first: String, second: String },
}

/// A remote value is not what the row says it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("expected {expected}, found {found}")]
    Unexpected { expected: String, found: String },
    #[error("no entry in lookup table {table} for value {value}")]
    NoEntry { table: String, value: String },
    /// A `$name`, an `@path` or a lookup table that the environment does not hold.
    #[error("{what} is not set")]
    Missing { what: String },
}

/// A canonical value cannot be said to the remote by this row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error("expected {expected}, found {found}")]
    Unexpected { expected: String, found: String },
    #[error("expected an amount in {expected}, found {found}")]
    WrongCurrency { expected: String, found: String },
    #[error("no entry in lookup table {table} for value {value}")]
    NoEntry { table: String, value: String },
    /// The sync layer has not yet found the remote id of this reference.
    #[error("unresolved reference {reference}")]
    Unresolved { reference: String },
    /// A `$name`, an `@path` or a lookup table that the environment does not hold.
    #[error("{what} is not set")]
    Missing { what: String },
    #[error("{what} can only be read")]
    ReadOnly { what: String },
    /// `normalise` only: the row could not read what it would write.
    #[error("what would be written cannot be read back")]
    Unreadable(#[source] ReadError),
}

impl ReadError {
    pub(super) fn unexpected(expected: impl Into<String>, found: &Json) -> Self {
        ReadError::Unexpected { expected: expected.into(), found: excerpt(found) }
    }
}

impl WriteError {
    pub(super) fn unexpected(expected: impl Into<String>, found: &Json) -> Self {
        WriteError::Unexpected { expected: expected.into(), found: excerpt(found) }
    }
}

impl From<ReadError> for WriteError {
    /// Codecs that do the same both ways (`lower`, `list`) share their refusals.
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unexpected { expected, found } => WriteError::Unexpected { expected, found },
            ReadError::NoEntry { table, value } => WriteError::NoEntry { table, value },
            ReadError::Missing { what } => WriteError::Missing { what },
        }
    }
}

/// The JSON text of a value, cut to `FOUND_CHARS_MAX` characters.
pub(super) fn excerpt(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(FOUND_CHARS_MAX) {
        None => text,
        Some(_) => text.chars().take(FOUND_CHARS_MAX - 1).chain(['…']).collect(),
    }
}
