//! An object: one thing in a resource, from the moment it should be there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Flat, ObjectId, RecordId, RowKey, Rows, Seq, Text};
use crate::Json;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Should be there; has no remote id yet.
    Seat,
    Live,
    /// The remote says it is not there any more.
    Gone,
    /// Does not pass `select` any more; archived where the resource can.
    Left,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Seat => "seat",
            Self::Live => "live",
            Self::Gone => "gone",
            Self::Left => "left",
        }
    }
    pub fn parse(text: &str) -> Self {
        match text {
            "live" => Self::Live,
            "gone" => Self::Gone,
            "left" => Self::Left,
            _ => Self::Seat,
        }
    }
}

/// Why an object is not worked on now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitKind {
    /// For another record or object: woken when that settles.
    Parked,
    /// For a person: a guard holds it back.
    Held,
    /// For a person: the remote refused it.
    Dead,
    /// For a later look: a poll, a time.
    Later,
}

impl WaitKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Held => "held",
            Self::Dead => "dead",
            Self::Later => "later",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "parked" => Self::Parked,
            "held" => Self::Held,
            "dead" => Self::Dead,
            "later" => Self::Later,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    pub kind: WaitKind,
    /// A sentence that a merchant understands.
    pub reason: String,
}

/// Due marks: how often marked, since when, when next, and how often tried.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Due {
    /// Counts marks; 0 = never. Cleared only by a delivery that saw the last mark.
    pub mark: i64,
    pub since: Option<Text>,
    pub next_at: Option<Text>,
    pub not_before: Option<Text>,
    pub tries: u32,
    pub lane: u8,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub id: ObjectId,
    pub connection: Text,
    pub resource: Text,
    /// Resources over one remote collection share its objects.
    pub collection: Text,
    pub remote: Option<Text>,
    pub root: Option<RecordId>,
    /// facet → record. The root's facet too.
    pub bindings: Flat<Text, RecordId>,
    /// The match key of an object that matches no record yet.
    pub unmatched_key: Option<Text>,
    /// Row → canonical value as last read, in the target's own normal form.
    pub shadow: Rows,
    /// The remote's own version, if it has one.
    pub version: Option<Text>,
    /// Place of the last settled write: reads asked before it are stale.
    pub settled: Seq,
    /// Place of the newest read merged.
    pub asked: Seq,
    /// Place of the read that last saw a derived figure fall.
    pub fell: Option<Seq>,
    pub state: State,
    pub wait: Option<Wait>,
    pub due: Option<Due>,
    /// Asks for a read by id, since this place.
    pub look: Option<Seq>,
    /// What this object was repaired for, and how often: row → (times, value wanted).
    pub repairs: BTreeMap<RowKey, (u32, Json)>,
}

impl Object {
    pub fn seat(id: ObjectId, connection: &str, resource: &str, collection: &str) -> Self {
        Self {
            id,
            connection: connection.into(),
            resource: resource.into(),
            collection: collection.into(),
            remote: None,
            root: None,
            bindings: Flat::new(),
            unmatched_key: None,
            shadow: Rows::default(),
            version: None,
            settled: 0,
            asked: 0,
            fell: None,
            state: State::Seat,
            wait: None,
            due: None,
            look: None,
            repairs: BTreeMap::new(),
        }
    }
}
