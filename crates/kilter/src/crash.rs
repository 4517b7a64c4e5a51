//! Crash points: where a test lets the program die, as when the power goes.
//!
//! Reads   `KILTER_CRASH_AT`: at which point, counted from 1, it dies – `12`, or `3 after a call` for
//!         the third of those whose line begins so; `KILTER_PANIC_AT`: at which its thread panics, once;
//!         `KILTER_CRASH_COUNT`: a file.
//! Writes  to that file a line for each point that was passed: its name, and what it stands beside.
//! Never   costs more than one load where neither is set; stands anywhere but beside what lasts: a
//!         commit that changed something, a call that left.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

static OFF: AtomicBool = AtomicBool::new(false);
static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

#[derive(Debug)]
struct Plan {
    at: Option<Moment>,
    panic: Option<Moment>,
    count: Option<Mutex<std::fs::File>>,
}

/// The nth of the points whose line begins so.
#[derive(Debug)]
struct Moment {
    nth: u64,
    name: String,
    passed: AtomicU64,
}

impl Moment {
    fn from_env(key: &str) -> Option<Self> {
        let text = std::env::var(key).ok()?;
        let (nth, name) = text.split_once(' ').unwrap_or((&text, ""));
        let nth = nth.parse().unwrap_or_else(|e| ended(&format!("{key}={text}: {e}")));
        Some(Self { nth, name: name.to_owned(), passed: AtomicU64::new(0) })
    }

    fn is_now(&self, line: &str) -> bool {
        line.starts_with(&self.name) && self.passed.fetch_add(1, Ordering::Relaxed) + 1 == self.nth
    }
}

impl Plan {
    fn from_env() -> Option<Self> {
        let at = Moment::from_env("KILTER_CRASH_AT");
        let panic = Moment::from_env("KILTER_PANIC_AT");
        let count = std::env::var_os("KILTER_CRASH_COUNT").map(|path| {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
            Mutex::new(file.unwrap_or_else(|e| ended(&format!("KILTER_CRASH_COUNT: {e}"))))
        });
        let any = at.is_some() || panic.is_some() || count.is_some();
        any.then_some(Self { at, panic, count })
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
    if plan.at.as_ref().is_some_and(|at| at.is_now(&line)) {
        std::process::abort();
    }
    if plan.panic.as_ref().is_some_and(|at| at.is_now(&line)) {
        std::panic::resume_unwind(Box::new(format!("as the test asked, {line}")));
    }
}
