//! Decides what should be where. Touches nothing: no I/O, no clock, no randomness, no async.
//!
//! ```text
//! model ← entity ← mapping ← manifest ← sync ← schedule
//! ```

pub mod check;
pub mod config;
pub mod doc;
pub mod entity;
pub mod manifest;
pub mod mapping;
pub mod model;
pub mod schedule;
pub mod sync;

/// Remote and canonical values. Numbers keep their digits (`arbitrary_precision`), never f64.
pub type Json = serde_json::Value;
