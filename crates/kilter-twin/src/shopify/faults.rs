//! Faults a test can switch on, each for the next calls or, by name, seeded and now and then.
//!
//! Reads   the body of `POST /_twin/faults`, the setting `faults`.
//! Writes  only itself.
//! Never   is on unless asked for.

use serde_json::{Value, json};

use super::fail::{Answer, Fail};
use super::store::Object;

/// The faults that come by name.
pub const NAMES: &[&str] =
    &["throttled", "errors", "internal", "resets", "lost_replies", "slow", "webhooks", "bulk"];
const ONE_IN: u64 = 20;
const SLOW_MS: u64 = 2_000;

/// What happens to one call.
#[derive(Debug, Clone, PartialEq)]
pub enum Strike {
    None,
    /// As if the bucket were empty.
    Throttled,
    /// An HTTP status and, if given, its body; the work is done first where `apply` says so.
    Status {
        status: u16,
        body: Value,
        done: bool,
    },
    /// `INTERNAL_SERVER_ERROR` in an HTTP 200; nothing is done.
    Internal,
    /// The connection breaks, before or after the work was done.
    Reset {
        done: bool,
    },
    Slow(u64),
}

/// What happens to one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    None,
    Dropped,
    Doubled,
    Late,
}

#[derive(Debug, Default)]
pub struct Faults {
    state: u64,
    one_in: u64,
    names: Vec<String>,
    fail: Option<Failing>,
    throttle: u64,
    internal: u64,
    reset_before: u64,
    reset_after: u64,
    slow: u64,
    slow_ms: u64,
    drop_webhooks: bool,
    duplicate_webhooks: bool,
    delay_webhooks_ms: i64,
    deny: Vec<String>,
    bulk_fail: u64,
    concurrent: u64,
}

#[derive(Debug, Clone)]
struct Failing {
    left: u64,
    status: u16,
    body: Value,
    done: bool,
    writes_only: bool,
}

impl Faults {
    pub fn new(seed: u64, names: &[String]) -> Self {
        let state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self { state, one_in: ONE_IN, names: names.to_vec(), slow_ms: SLOW_MS, ..Self::default() }
    }

    /// `{}` or `{"reset":true}` switches everything off.
    pub fn set(&mut self, body: &Object) {
        if body.is_empty() || body.get("reset") == Some(&json!(true)) {
            *self = Self { state: self.state, ..Self::new(1, &[]) };
        }
        let number = |name: &str| body.get(name).and_then(Value::as_u64);
        for (name, field) in [
            ("one_in", &mut self.one_in),
            ("throttle_next", &mut self.throttle),
            ("internal_next", &mut self.internal),
            ("reset_before_next", &mut self.reset_before),
            ("reset_after_next", &mut self.reset_after),
            ("slow_next", &mut self.slow),
            ("slow_ms", &mut self.slow_ms),
            ("bulk_fail_next", &mut self.bulk_fail),
            ("idempotency_concurrent_next", &mut self.concurrent),
        ] {
            *field = number(name).unwrap_or(*field);
        }
        let texts = |name: &str| -> Option<Vec<String>> {
            let list = body.get(name)?.as_array()?;
            Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
        self.names = texts("names").unwrap_or_else(|| std::mem::take(&mut self.names));
        self.deny = texts("deny").unwrap_or_else(|| std::mem::take(&mut self.deny));
        if let Some(on) = body.get("drop_webhooks").and_then(Value::as_bool) {
            self.drop_webhooks = on;
        }
        if let Some(on) = body.get("duplicate_webhooks").and_then(Value::as_bool) {
            self.duplicate_webhooks = on;
        }
        if let Some(ms) = body.get("delay_webhooks_ms").and_then(Value::as_i64) {
            self.delay_webhooks_ms = ms;
        }
        if let Some(left) = number("fail_next") {
            self.fail = (left > 0).then(|| Failing {
                left,
                status: number("status").and_then(|s| u16::try_from(s).ok()).unwrap_or(500),
                body: body.get("body").cloned().unwrap_or(Value::Null),
                done: matches!(body.get("apply").and_then(Value::as_str), Some("before" | "after")),
                writes_only: body.get("writes_only") == Some(&json!(true)),
            });
        }
    }

    pub fn show(&self) -> Value {
        json!({
            "names": self.names, "one_in": self.one_in, "known": NAMES,
            "fail_next": self.fail.as_ref().map_or(0, |f| f.left),
            "throttle_next": self.throttle, "internal_next": self.internal,
            "reset_before_next": self.reset_before, "reset_after_next": self.reset_after,
            "slow_next": self.slow, "slow_ms": self.slow_ms,
            "drop_webhooks": self.drop_webhooks, "duplicate_webhooks": self.duplicate_webhooks,
            "delay_webhooks_ms": self.delay_webhooks_ms, "deny": self.deny,
            "bulk_fail_next": self.bulk_fail, "idempotency_concurrent_next": self.concurrent,
        })
    }

    /// Now and then, the same for the same seed.
    fn chance(&mut self) -> bool {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.one_in > 0 && self.state.is_multiple_of(self.one_in)
    }

    fn named(&mut self, name: &str) -> bool {
        self.names.iter().any(|own| own == name) && self.chance()
    }

    /// The next call's mishap.
    pub fn next(&mut self, write: bool) -> Strike {
        if let Some(failing) = &mut self.fail
            && (write || !failing.writes_only)
        {
            failing.left -= 1;
            let Failing { left, status, body, done, .. } = failing.clone();
            if left == 0 {
                self.fail = None;
            }
            return Strike::Status { status, body, done };
        }
        if count(&mut self.throttle) || self.named("throttled") {
            return Strike::Throttled;
        }
        if count(&mut self.internal) || self.named("internal") {
            return Strike::Internal;
        }
        if count(&mut self.reset_before) || self.named("resets") {
            return Strike::Reset { done: false };
        }
        if count(&mut self.reset_after) || self.named("lost_replies") {
            return Strike::Reset { done: true };
        }
        if count(&mut self.slow) || self.named("slow") {
            return Strike::Slow(self.slow_ms);
        }
        if self.named("errors") {
            return Strike::Status { status: 502, body: Value::Null, done: false };
        }
        Strike::None
    }

    pub fn webhook(&mut self) -> Mishap {
        if self.drop_webhooks {
            return Mishap::Dropped;
        }
        if self.duplicate_webhooks {
            return Mishap::Doubled;
        }
        if !self.named("webhooks") {
            return Mishap::None;
        }
        match self.state % 3 {
            0 => Mishap::Dropped,
            1 => Mishap::Doubled,
            _ => Mishap::Late,
        }
    }

    pub fn webhook_delay_ms(&self) -> i64 {
        self.delay_webhooks_ms
    }

    pub fn bulk(&mut self) -> bool {
        count(&mut self.bulk_fail) || self.named("bulk")
    }

    pub fn concurrent(&mut self) -> bool {
        count(&mut self.concurrent)
    }

    /// Access denied on one field, named as `Customer.email`.
    pub fn denied(&self, ty: &str, field: &str) -> Answer<()> {
        let own = |name: &String| name.split_once('.') == Some((ty, field));
        if !self.deny.iter().any(own) {
            return Ok(());
        }
        let message = format!("Access denied for {field} field.");
        let needed = "the app needs approval for this field".to_owned();
        Err(Fail::new("ACCESS_DENIED", message).with("requiredAccess", json!(needed)))
    }
}

fn count(left: &mut u64) -> bool {
    if *left == 0 {
        return false;
    }
    *left -= 1;
    true
}
