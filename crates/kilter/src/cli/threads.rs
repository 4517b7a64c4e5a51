//! Threads of `serve`: who answers senders goes before who works.
//!
//! Reads   the priority that the process was given.   Writes  that of threads of its own.
//! Never   raises one. Where priorities are of whole processes, all stay alike.
//!
//! A shop sends its webhooks one after the other, each once the one before is answered: behind merges
//! and plans on the same cores, a burst of them comes in no faster than those let it.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// For the pipeline: its threads stand so many steps of niceness behind those that answer. Five leave it
/// a quarter of a core beside somebody who is busy, and all of one that is idle.
pub fn of_work(behind: u8) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all();
    #[cfg(target_os = "linux")]
    if behind > 0
        && let Ok(given) = rustix::process::getpriority_process(None)
    {
        // Threads are begun by others of these, so it counts from what the process was given.
        builder.on_thread_start(move || stand_back(given + i32::from(behind)));
    }
    builder.build()
}

/// For answers.
pub fn of_answers() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_name("answers").build()
}

/// The thread that calls this; Linux has a priority for each. What stands further back stays there.
#[cfg(target_os = "linux")]
fn stand_back(nice: i32) {
    use rustix::process::{getpriority_process, setpriority_process};
    // More than the last step is the last step.
    let done = getpriority_process(None).and_then(|own| setpriority_process(None, nice.max(own)));
    if let Err(error) = done {
        static TOLD: std::sync::Once = std::sync::Once::new();
        TOLD.call_once(|| tracing::warn!(error = %error, "work does not stand behind answers"));
    }
}
