//! Storms: random changes, sales and faults between two shops, an ERP and Kilter; full shops. At the
//! end everything agrees, or a control shows that without its guard it does not.
//!
//! Reads   `KILTER_SEED`, `KILTER_CASES`, `KILTER_STEPS`, `KILTER_KEEP`, `KILTER_SALES`, `KILTER_CERTAIN`.
//! Writes  folders below the system's temporary one.
//! Never   asks Kilter whether it was right: twins and relays tell.

mod certain;
mod converge;
mod full_shop;
mod judge;
mod market;
mod oversell;
mod people;
mod refunds;
mod relay;
mod script;
mod stage;
