//! Memory: few arenas, where the C library would give each thread its own.
//!
//! Reads   whether it was said already.   Writes  the environment of this program begun again.
//! Never   changes what somebody said himself, nor stops where it cannot begin again.
//!
//! Work goes from thread to thread here, and so does what it holds. With an arena a thread, each keeps
//! the room of the largest batch that it ever saw: a gigabyte in a storm, in which every page is cold.

/// So many are enough for the one writer and those beside it.
const ARENAS: &str = "2";

/// glibc reads it once, before `main`.
const NAME: &str = "MALLOC_ARENA_MAX";

/// A program with rights of its own may not be let see what is said of its memory: once is enough.
const AGAIN: &str = "KILTER_BEGUN_AGAIN";

/// Begins this program again with few arenas; returns where that was done, or need not be.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn few_arenas() {
    use std::os::unix::process::CommandExt;

    let said = |name| std::env::var_os(name).is_some();
    if said(NAME) || said("GLIBC_TUNABLES") || said(AGAIN) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    // Begun by the loader itself: it would begin that.
    if program.file_name().is_none_or(|name| name.to_string_lossy().starts_with("ld-")) {
        return;
    }
    let mut words = std::env::args_os();
    let mut again = std::process::Command::new(program);
    again.arg0(words.next().unwrap_or_default()).args(words).env(NAME, ARENAS).env(AGAIN, "1");
    // It comes back only where it failed: then it goes on with what it has.
    let _failed = again.exec();
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn few_arenas() {}
