//! Decides what should be where. Touches nothing: no I/O, no clock, no randomness, no async.
