//! Crash points: where a test lets the program die, as when the power goes.
//!
//! Reads   `KILTER_CRASH_AT`: at which point, counted from 1, it dies – `12`, or `3 after a call` for
//!         the third of those whose line begins so; `KILTER_CRASH_COUNT`: a file.
//! Writes  to that file a line for each point that was passed: its name, and what it stands beside.
//! Never   costs more than one load where neither is set; stands anywhere but beside what lasts: a
//!         commit that changed something, a call that left.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

static OFF: AtomicBool = AtomicBool::new(false);
static PASSED: AtomicU64 = AtomicU64::new(0);
static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

#[derive(Debug)]
struct Plan {
    at: Option<(u64, String)>,
    count: Option<Mutex<std::fs::File>>,
}

impl Plan {
    fn from_env() -> Option<Self> {
        let at = std::env::var("KILTER_CRASH_AT").ok().map(|text| {
            let (n, name) = text.split_once(' ').unwrap_or((&text, ""));
            let n = n.parse().unwrap_or_else(|e| ended(&format!("KILTER_CRASH_AT={text}: {e}")));
            (n, name.to_owned())
        });
        let count = std::env::var_os("KILTER_CRASH_COUNT").map(|path| {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
            Mutex::new(file.unwrap_or_else(|e| ended(&format!("KILTER_CRASH_COUNT: {e}"))))
        });
        (at.is_some() || count.is_some()).then_some(Self { at, count })
    }
}

/// A test that cannot say where is none.
fn ended(why: &str) -> ! {
    tracing::error!("{why}");
    std::process::abort()
}

/// One of the moments between which something lasts.
pub fn point(name: &str, beside: &str) {
    if !OFF.load(Ordering::Relaxed) {
        pass(name, beside);
    }
}

fn pass(name: &str, beside: &str) {
    let Some(plan) = PLAN.get_or_init(Plan::from_env) else {
        OFF.store(true, Ordering::Relaxed);
        return;
    };
    let line = format!("{name} {beside}");
    if let Some(file) = &plan.count {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(e) = writeln!(file, "{line}") {
            ended(&format!("KILTER_CRASH_COUNT: {e}"));
        }
    }
    if let Some((at, name)) = &plan.at
        && line.starts_with(name.as_str())
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *at
    {
        std::process::abort();
    }
}
