//! Threads of `serve`: who answers senders goes before who works.
//!
//! Reads   the priority that the process was given.   Writes  that of threads of its own.
//! Never   raises one. Where priorities are of whole processes, all stay alike.
//!
//! A shop sends its webhooks one after the other, each once the one before is answered: behind merges
//! and plans on the same cores, a burst of them comes in no faster than those let it.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Steps of niceness that work stands behind answers: beside busy ones it gets a quarter of a core, and all
/// of one that is idle.
#[cfg(target_os = "linux")]
const BEHIND: i32 = 5;

/// For everything but answers.
pub fn of_work() -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all();
    #[cfg(target_os = "linux")]
    if let Ok(given) = rustix::process::getpriority_process(None) {
        // Threads are begun by others of these, so it counts from what the process was given.
        builder.on_thread_start(move || stand_back(given));
    }
    builder.build()
}

/// For answers.
pub fn of_answers() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_name("answers").build()
}

/// The thread that calls this; Linux has a priority for each.
#[cfg(target_os = "linux")]
fn stand_back(given: i32) {
    // More than the last step is the last step.
    if let Err(error) = rustix::process::setpriority_process(None, given + BEHIND) {
        tracing::debug!(error = %error, "a thread keeps its priority");
    }
}
