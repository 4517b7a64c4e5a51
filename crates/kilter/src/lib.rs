//! Kilter: holds what is true, field by field, and keeps every system in agreement with it.
//!
//! Acts; decides nothing: that is `kilter-core`'s. A library only so that the benches can run one
//! stage by itself; its face is the command line, and nothing else here is promised.

pub mod api;
pub mod cases;
pub mod catalog;
pub mod cli;
pub mod conformance;
pub mod crash;
pub mod demo;
pub mod engine;
pub mod exchange;
mod memory;
pub mod pipeline;
pub mod remote;
pub mod schema;
mod sketch;
pub mod store;
