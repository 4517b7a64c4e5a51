//! Memory: what the program takes it from.
//!
//! Reads   nothing.   Writes  nothing: naming it here is all.
//! Never   keeps what it does not need for long: a thread of its own gives it back.
//!
//! Work goes from thread to thread here, and what it holds is let go of by another one than asked for it.
//! The C library has all of them wait for one lock then, or, with an arena a thread, keeps the room of the
//! largest batch that each ever saw: BENCHMARKS.md has the figures. How soon it gives back is said where it
//! is built (`.cargo/config.toml`).

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static FROM: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
