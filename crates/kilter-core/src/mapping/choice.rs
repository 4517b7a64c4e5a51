//! `enum(…)`: a few values with another name on the other side.
//!
//! Reads   a remote scalar.   Writes  a remote scalar, or nothing where `*=keep` says so.
//! Never   takes an unlisted remote value for a listed one unless `?=value` says so.

use super::{ReadError, WriteError, number};
use crate::Json;

#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// (canonical, remote); of two with one canonical value the first is written.
    pub(super) pairs: Vec<(Json, Json)>,
    /// `*=keep`: a value that is not listed leaves the field alone.
    pub(super) keep: bool,
    /// `?=value`: what an unlisted remote value reads as.
    pub(super) fallback: Option<Json>,
}

impl Choice {
    pub(super) fn read(&self, remote: &Json) -> Result<Json, ReadError> {
        let exact = self.pairs.iter().find(|(_, listed)| listed == remote);
        let found = exact.or_else(|| self.pairs.iter().find(|(_, r)| number::same(r, remote)));
        match (found, &self.fallback) {
            (Some((canonical, _)), _) => Ok(canonical.clone()),
            (None, _) if remote.is_null() => Ok(Json::Null),
            (None, Some(fallback)) => Ok(fallback.clone()),
            (None, None) => Err(ReadError::unexpected(self.listing(|pair| &pair.1), remote)),
        }
    }

    /// `None` leaves the field alone.
    pub(super) fn write(&self, canonical: &Json) -> Result<Option<Json>, WriteError> {
        let found = self.pairs.iter().find(|(listed, _)| number::same(listed, canonical));
        match found {
            Some((_, remote)) => Ok(Some(remote.clone())),
            None if self.keep => Ok(None),
            None if canonical.is_null() => Ok(Some(Json::Null)),
            None => Err(WriteError::unexpected(self.listing(|pair| &pair.0), canonical)),
        }
    }

    /// Whether every value that is written is read back as itself.
    pub(super) fn is_invertible(&self) -> bool {
        let lost = |at: usize, remote: &Json| {
            self.pairs[..at].iter().any(|(_, before)| number::same(before, remote))
        };
        !self.pairs.iter().enumerate().any(|(at, (_, remote))| lost(at, remote))
    }

    fn listing(&self, side: impl Fn(&(Json, Json)) -> &Json) -> String {
        let names: Vec<String> = self.pairs.iter().map(|pair| side(pair).to_string()).collect();
        format!("one of {}", names.join(", "))
    }
}
