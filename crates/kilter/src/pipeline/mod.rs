//! The stages. Each reads a batch, lets the core decide, writes a batch, in one transaction.
//! They meet in the store; only `sync` and `serve` know their order.

pub mod absent;
pub mod answers;
mod bulk;
pub mod creates;
pub mod deliver;
pub mod drift;
pub mod guard;
mod heard;
mod job;
mod keep;
mod load;
pub mod looks;
pub mod merge;
pub mod overlap;
pub mod pages;
pub mod permits;
pub mod place;
pub mod poll;
pub mod prepare;
mod read_first;
mod reading;
pub mod receive;
mod replaced;
pub mod reshape;
pub mod resolve;
pub mod retain;
pub mod schedule;
pub mod settle;
pub mod shy;
pub mod steps;
pub mod subscribe;
pub mod swept;
