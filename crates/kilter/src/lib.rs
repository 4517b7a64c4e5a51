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
pub mod pipeline;
pub mod remote;
pub mod schema;
pub mod store;

/// Batches are trees of small values, made on one thread and let go of on another: what the C
/// library's allocator waits for there is a quarter of a merge.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
