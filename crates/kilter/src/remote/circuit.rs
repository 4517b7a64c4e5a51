//! Circuit: whether a remote is ill as a whole; then it is asked seldom, by one request at a time.
//!
//! Reads   what came of each request.   Writes  only itself.
//! Never   takes a refusal for an illness: who says no is well.
//!
//! ```text
//! well ──three failures in a row──▶ ill: all wait, 1 s at first
//!   ▲                                 │ time is up: one goes ahead
//!   └────────it is answered───────────┴─it fails──▶ ill, and half as long again, up to a minute
//! ```
//!
//! Without it an outage is answered with more calls than a good day, and each object that waits spends
//! its tries on a failing that is not its own (faults.md, rows 7 and 8).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kilter_core::model::{Fault, FaultKind};
use tokio::time::Instant;

/// One failure is the request's, two are chance.
const ILL_IN_A_ROW: u32 = 3;
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The code of a request that did not leave, since its remote is ill.
pub const RESTS: &str = "rests";

#[derive(Debug)]
pub struct Circuit {
    connection: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Failures since the last answer.
    in_a_row: u32,
    /// It is ill: when the next one goes ahead, and how it failed last.
    ill: Option<(Instant, String)>,
    wait: Duration,
    /// One went ahead, and nothing is known of it yet.
    ahead: bool,
}

impl Circuit {
    pub fn new(connection: &str) -> Self {
        Self { connection: connection.to_owned(), state: Mutex::default() }
    }

    /// May a request leave? While the remote is ill, one may, now and then.
    ///
    /// # Errors
    /// It waits: nothing was sent, and it was no try.
    pub fn admit(&self, now: Instant) -> Result<(), Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = state.wait;
        let Some((until, text)) = &mut state.ill else { return Ok(()) };
        if let Some(left) = until.checked_duration_since(now).filter(|left| !left.is_zero()) {
            let text = format!("nothing is asked of it for a while: {text}");
            let retry_after = u32::try_from(left.as_secs() + 1).ok();
            let fault = Fault::new(FaultKind::Unavailable, RESTS, text);
            return Err(Fault { unsent: true, ill: true, retry_after, ..fault });
        }
        *until = now + wait;
        state.ahead = true;
        Ok(())
    }

    /// What came of a request. True: the remote is ill.
    pub fn learn(&self, now: Instant, fault: Option<&Fault>) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(fault) = fault.filter(|fault| is_ill(fault)) else {
            if state.ill.is_some() {
                tracing::info!(connection.id = self.connection, "it answers again");
            }
            *state = State::default();
            return false;
        };
        state.in_a_row = state.in_a_row.saturating_add(1);
        if state.in_a_row < ILL_IN_A_ROW {
            return false;
        }
        if state.ill.is_none() {
            let text = "it is ill: it is asked seldom until it answers";
            tracing::warn!(connection.id = self.connection, fault = %fault, text);
        }
        // Those that were on their way when it fell ill tell nothing new.
        if state.ill.is_none() || state.ahead {
            let longer = (state.wait * 3 / 2).clamp(WAIT_FIRST, WAIT_MAX);
            let asked = Duration::from_secs(fault.retry_after.unwrap_or(0).into()).min(WAIT_MAX);
            state.wait = longer;
            state.ill = Some((now + longer.max(asked), fault.to_string()));
            state.ahead = false;
        }
        true
    }

    /// Until when nothing is asked of it; None: it is well.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ill.as_ref().map(|(until, _)| until.saturating_duration_since(now))
    }
}

/// Does a fault speak of the remote, not of what it was asked?
fn is_ill(fault: &Fault) -> bool {
    let kinds = [FaultKind::Throttled, FaultKind::Unavailable, FaultKind::Unknown];
    kinds.contains(&fault.kind) && !fault.smaller
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody asks every half second, and each request fails at once. How many left.
    fn asked(circuit: &Circuit, from: Instant, seconds: u64, fault: &Fault) -> usize {
        let mut left = 0;
        for half in 0..seconds * 2 {
            let now = from + Duration::from_millis(500 * half);
            match circuit.admit(now) {
                Ok(()) => {
                    left += 1;
                    circuit.learn(now, Some(fault));
                }
                Err(fault) => assert!(fault.unsent && fault.ill && fault.retry_after.is_some()),
            }
        }
        left
    }

    fn down() -> Fault {
        Fault::new(FaultKind::Unavailable, "503", "maintenance")
    }

    #[test]
    fn a_day_of_outage_is_asked_once_a_minute() {
        let (circuit, begins) = (Circuit::new("shop"), Instant::now());
        let left = asked(&circuit, begins, 24 * 3600, &down());
        assert!((24 * 60..24 * 60 + 20).contains(&left), "{left}");
        let ends = begins + Duration::from_secs(24 * 3600 + 60);
        circuit.admit(ends).unwrap();
        assert!(circuit.admit(ends).is_err(), "one goes ahead");
        assert!(!circuit.learn(ends, None), "it is answered");
        circuit.admit(ends).unwrap();
        circuit.admit(ends).unwrap();
    }

    #[test]
    fn haste_is_obeyed_for_a_minute_at_most() {
        let (circuit, begins) = (Circuit::new("shop"), Instant::now());
        let fault = Fault { retry_after: Some(30), ..Fault::new(FaultKind::Throttled, "", "") };
        let left = asked(&circuit, begins, 600, &fault);
        assert!(left <= 3 + 20, "three to know it, then at most every thirty seconds: {left}");
        let fault = Fault { retry_after: Some(3600), ..fault };
        let left = asked(&Circuit::new("shop"), begins, 3600, &fault);
        assert!((59..=63).contains(&left), "{left}");
    }

    #[test]
    fn a_refusal_is_an_answer_and_two_failures_are_chance() {
        let (circuit, now) = (Circuit::new("shop"), Instant::now());
        let refusal = Fault::new(FaultKind::Rejected, "", "no such product");
        for fault in [&down(), &down(), &refusal, &down(), &down()] {
            circuit.admit(now).unwrap();
            assert!(!circuit.learn(now, Some(fault)));
        }
        assert!(circuit.learn(now, Some(&down())), "the third in a row");
        assert!(circuit.admit(now).is_err());
    }

    /// Eight were under way when it fell ill: they fail one after the other, and it is asked again in a
    /// second all the same. Who went ahead and was forgotten (a client that gave up) blocks nobody.
    #[test]
    fn those_under_way_make_nobody_wait_longer() {
        let (circuit, now) = (Circuit::new("shop"), Instant::now());
        let learned: Vec<bool> = (0..8).map(|_| circuit.learn(now, Some(&down()))).collect();
        assert_eq!(learned, [false, false, true, true, true, true, true, true]);
        let soon = now + WAIT_FIRST;
        circuit.admit(soon).unwrap();
        assert!(circuit.admit(soon).is_err());
        circuit.admit(soon + WAIT_FIRST).unwrap();
        assert_eq!(circuit.left(now), Some(soon + WAIT_FIRST + WAIT_FIRST - now));
    }
}
