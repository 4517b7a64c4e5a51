//! Floors: small programs that do the same work without what Kilter is for.

pub mod by_hand;
