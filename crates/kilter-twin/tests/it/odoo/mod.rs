//! Each fact about Odoo that matters, asked of the twin over HTTP.
//!
//! Reads   the facts as written down here, and the recorded answers (`KILTER_SHARED`).
//! Writes  nothing.
//! Never   takes an expected value from the twin's own output.

mod calls;
mod load;
mod office;
mod orders;
mod prices;
mod stock;
mod support;
