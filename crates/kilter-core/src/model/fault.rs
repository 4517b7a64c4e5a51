//! A fault: a classified failure of a remote. Retry policy reads this, never a status code.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Credentials refused.
    Auth,
    /// Told to wait.
    Throttled,
    /// Not reached, or broken for now. Nothing was done, or it does not matter.
    Unavailable,
    /// The remote understood and said no.
    Rejected,
    /// Someone else holds what we wanted (a SKU, a version).
    Conflict,
    /// What we addressed is not there.
    Missing,
    /// Accepted, and not kept.
    NotKept,
    /// It says other fields than it did.
    Schema,
    /// Nobody knows whether it was done.
    Unknown,
}

impl FaultKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
            Self::Missing => "missing",
            Self::NotKept => "not_kept",
            Self::Schema => "schema",
            Self::Unknown => "unknown",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "auth" => Self::Auth,
            "throttled" => Self::Throttled,
            "unavailable" => Self::Unavailable,
            "rejected" => Self::Rejected,
            "conflict" => Self::Conflict,
            "missing" => Self::Missing,
            "not_kept" => Self::NotKept,
            "schema" => Self::Schema,
            "unknown" => Self::Unknown,
            _ => return None,
        })
    }

    /// Worth trying again without a person.
    pub fn retries(self) -> bool {
        matches!(self, Self::Auth | Self::Throttled | Self::Unavailable | Self::Unknown)
    }

    /// Waits for the remote or for a person, however long it takes: the same will pass once its rate
    /// allows it, or its key is mended.
    pub fn passes(self) -> bool {
        matches!(self, Self::Auth | Self::Throttled)
    }

    /// Proves that the write was not done (R4 of the rules for creates).
    pub fn proves_not_applied(self) -> bool {
        matches!(
            self,
            Self::Auth | Self::Throttled | Self::Rejected | Self::Conflict | Self::Missing
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub kind: FaultKind,
    /// The remote's own code, as `product_invalid_sku`.
    pub code: String,
    /// Bounded text for a person.
    pub text: String,
    /// Seconds the remote asked us to wait.
    pub retry_after: Option<u32>,
    /// The request provably never left us.
    #[serde(default)]
    pub unsent: bool,
    /// The remote id of who holds what we wanted, where the refusal names it.
    #[serde(default)]
    pub holder: Option<String>,
    /// It came with a part of the result: whatever the kind says, it may have been done.
    #[serde(default)]
    pub maybe_applied: bool,
    /// It was too much at once: the same may pass in smaller parts.
    #[serde(default)]
    pub smaller: bool,
    /// The remote was ill as a whole: no failing of what was sent, and no try of it.
    #[serde(default)]
    pub ill: bool,
}

impl Fault {
    pub fn new(kind: FaultKind, code: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        if let Some((cut, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
            text.truncate(cut);
        }
        let code = code.into();
        Self {
            kind,
            code,
            text,
            retry_after: None,
            unsent: false,
            holder: None,
            maybe_applied: false,
            smaller: false,
            ill: false,
        }
    }

    /// Is it tried again, after so many tries of at most `max`? What is no failing of its own always is.
    pub fn tried_again(&self, tries: u32, max: u32) -> bool {
        self.kind.retries() && (tries <= max || self.ill || self.kind.passes())
    }

    pub fn proves_not_applied(&self) -> bool {
        self.unsent || (self.kind.proves_not_applied() && !self.maybe_applied)
    }
}

/// The longest text of a remote that a fault keeps.
pub const TEXT_CHARS_MAX: usize = 400;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.name())?;
        if !self.code.is_empty() {
            write!(f, " ({})", self.code)?;
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}
