//! What is true, what should be where, what to do about it. Pure: a world in, effects out.
//!
//! ```text
//! project   a remote's words → rows in canonical values
//! merge     rows → records, by ownership; seats, bindings, due marks
//! plan      record − shadow → operations, or nothing, or a wait with its reason
//! batch     operations → calls, by what the target can do
//! ```

pub mod batch;
pub mod carry;
pub mod credit;
pub mod derive;
pub mod document;
pub mod draft;
mod entries;
pub mod existence;
pub mod guards;
pub mod house;
pub mod keys;
mod known;
pub mod lifecycle;
pub mod mark;
pub mod merge;
pub mod offer;
pub mod payload;
pub mod places;
pub mod plan;
pub mod project;
pub mod redirect;
pub mod reference;
pub mod replace;
pub mod seat;
pub mod sold;
pub mod spread;
pub mod take;
pub mod units;
pub mod unseen;
pub mod whole;
pub mod words;
pub mod world;
