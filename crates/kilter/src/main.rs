//! Acts; decides nothing.
fn main() {}
