//! Floors: small programs, written by hand for one purpose, that Kilter is held against.

pub mod by_hand;
pub mod hooks;
pub mod merge;
pub mod sweep;
