//! What the benches share: each work is a file, each floor one in `floors/`.
#![expect(clippy::float_arithmetic, reason = "seconds and ratios are no money")]

pub mod canned;
pub mod floors;
pub mod flow;
pub mod growth;
pub mod hooks;
pub mod inside;
pub mod limited;
pub mod load;
pub mod machine;
pub mod merge;
pub mod orders;
pub mod report;
pub mod rig;
pub mod start;
pub mod storm;
pub mod sweep;
pub mod wire;
