//! Faults a test can switch on, each for the next calls. Those by name are `crate::faults`.
//!
//! Reads   the body of `POST /_twin/faults`.
//! Writes  only itself.
//! Never   is on unless asked for.

use serde_json::{Value, json};

use super::fail::{Answer, Fail};
use super::store::Object;
use crate::faults::Mishap;

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
    Slow,
}

#[derive(Debug, Default)]
pub struct Faults {
    fail: Option<Failing>,
    throttle: u64,
    internal: u64,
    reset_before: u64,
    reset_after: u64,
    slow: u64,
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
    /// `{}` or `{"reset":true}` switches everything off.
    pub fn set(&mut self, body: &Object) {
        if body.is_empty() || body.get("reset") == Some(&json!(true)) {
            *self = Self::default();
        }
        let number = |name: &str| body.get(name).and_then(Value::as_u64);
        for (name, field) in [
            ("throttle_next", &mut self.throttle),
            ("internal_next", &mut self.internal),
            ("reset_before_next", &mut self.reset_before),
            ("reset_after_next", &mut self.reset_after),
            ("slow_next", &mut self.slow),
            ("bulk_fail_next", &mut self.bulk_fail),
            ("idempotency_concurrent_next", &mut self.concurrent),
        ] {
            *field = number(name).unwrap_or(*field);
        }
        let texts = |name: &str| -> Option<Vec<String>> {
            let list = body.get(name)?.as_array()?;
            Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
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
            "fail_next": self.fail.as_ref().map_or(0, |f| f.left),
            "throttle_next": self.throttle, "internal_next": self.internal,
            "reset_before_next": self.reset_before, "reset_after_next": self.reset_after,
            "slow_next": self.slow,
            "drop_webhooks": self.drop_webhooks, "duplicate_webhooks": self.duplicate_webhooks,
            "delay_webhooks_ms": self.delay_webhooks_ms, "deny": self.deny,
            "bulk_fail_next": self.bulk_fail, "idempotency_concurrent_next": self.concurrent,
        })
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
        if count(&mut self.throttle) {
            return Strike::Throttled;
        }
        if count(&mut self.internal) {
            return Strike::Internal;
        }
        if count(&mut self.reset_before) {
            return Strike::Reset { done: false };
        }
        if count(&mut self.reset_after) {
            return Strike::Reset { done: true };
        }
        if count(&mut self.slow) {
            return Strike::Slow;
        }
        Strike::None
    }

    pub fn webhook(&mut self) -> Mishap {
        if self.drop_webhooks {
            return Mishap::Dropped;
        }
        if self.duplicate_webhooks {
            return Mishap::Twice;
        }
        Mishap::None
    }

    pub fn webhook_delay_ms(&self) -> i64 {
        self.delay_webhooks_ms
    }

    pub fn bulk(&mut self) -> bool {
        count(&mut self.bulk_fail)
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
