//! The laws of the core, each proved against a small house with an in-memory store.
//!
//! Reads   a config and two invented connectors (`support/house.rs`).   Writes  nothing.
//! Never   copies an expected value from output: each follows from a rule stated beside it.

mod batches;
mod buyers;
mod carried;
mod configs;
mod convergence;
mod documents;
mod drift;
mod orders_of_merge;
mod ownership;
mod parcels;
mod refunds;
mod schedules;
mod seats;
mod sellable;
mod stands;
mod storms;
mod support;
mod taken;
mod units;
