//! Kilter: holds what is true, field by field, and keeps every system in agreement with it.
//!
//! Acts; decides nothing: that is `kilter-core`'s.

mod api;
mod cases;
mod catalog;
mod cli;
mod conformance;
mod demo;
mod engine;
mod pipeline;
mod remote;
mod schema;
mod store;

fn main() -> std::process::ExitCode {
    cli::main()
}
