//! What the benches share.
#![expect(clippy::float_arithmetic, reason = "seconds and ratios are no money")]

pub mod canned;
pub mod floors;
pub mod flow;
pub mod rig;
pub mod storm;
pub mod wire;
