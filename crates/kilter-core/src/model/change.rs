//! A change: what a remote said, verbatim, with its place in the log; and how it ended.

use super::{Seq, Text};
use crate::Json;

/// How the change came to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Hook,
    Page,
    Read,
    Sweep,
    Answer,
    Gone,
}

impl Via {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Page => "page",
            Self::Read => "read",
            Self::Sweep => "sweep",
            Self::Answer => "answer",
            Self::Gone => "gone",
        }
    }
    pub fn parse(text: &str) -> Self {
        match text {
            "hook" => Self::Hook,
            "read" => Self::Read,
            "sweep" => Self::Sweep,
            "answer" => Self::Answer,
            "gone" => Self::Gone,
            _ => Self::Page,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// 0 until appended.
    pub seq: Seq,
    pub connection: Text,
    /// A collection of the connection; which resource it is, `keep` decides.
    pub collection: Text,
    pub remote: Text,
    /// The scope value of a `for_each` listing, or "".
    pub each: Text,
    pub via: Via,
    /// Place of the log when the request left. 0 for webhooks.
    pub asked: Seq,
    pub body: Json,
    pub at: Text,
}

/// Each change ends in exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Unchanged,
    Merged,
    Filtered(String),
    Dead(String),
}

impl End {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Merged => "merged",
            Self::Filtered(_) => "filtered",
            Self::Dead(_) => "dead",
        }
    }
    pub fn reason(&self) -> &str {
        match self {
            Self::Filtered(reason) | Self::Dead(reason) => reason,
            _ => "",
        }
    }
}
