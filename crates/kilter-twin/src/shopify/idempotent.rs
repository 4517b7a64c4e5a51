//! `@idempotent(key:)`: which mutations need it, and what a key that comes again means.
//!
//! Reads   a mutation's name, arguments and key.
//! Writes  the keys it has seen, for 24 hours.
//! Never   keeps an answer: a replay is resolved again, from what the shop holds by then.

use std::collections::BTreeMap;

use serde_json::Value;

use super::clock::Moment;
use super::fail::{Answer, Fail, UserError};
use super::store::Object;

/// The mutations of the subset that are not run without a key.
pub const REQUIRED: &[&str] =
    &["inventorySetQuantities", "inventoryAdjustQuantities", "inventoryActivate", "refundCreate"];
const KEPT_MS: i64 = 24 * 3600 * 1000;
/// Most keys that are remembered; beyond that the first by name is forgotten.
const KEYS_MAX: usize = 100_000;

#[derive(Debug)]
struct Used {
    name: String,
    args: Value,
    at: Moment,
    /// The payload, in global ids; `None` after a refusal.
    payload: Option<Value>,
}

#[derive(Debug, Default)]
pub struct Keys {
    used: BTreeMap<String, Used>,
}

/// What to do with a call.
#[derive(Debug)]
pub enum Verdict {
    Run,
    Replay(Value),
    Refuse(UserError),
}

impl Keys {
    pub fn check(
        &mut self,
        name: &str,
        args: &Object,
        key: Option<&str>,
        now: Moment,
    ) -> Answer<Verdict> {
        let required = REQUIRED.contains(&name);
        let Some(key) = key else {
            let message =
                "The @idempotent directive is required for this mutation but was not provided.";
            return if required { Err(Fail::bad_request(message)) } else { Ok(Verdict::Run) };
        };
        if !required {
            let message = format!("The @idempotent directive is not supported by {name}.");
            return Err(Fail::bad_request(message));
        }
        if key.trim().is_empty() {
            return Err(Fail::bad_request("The idempotency key cannot be empty."));
        }
        let Some(used) = self.used.get(key).filter(|used| now - used.at < KEPT_MS) else {
            return Ok(Verdict::Run);
        };
        if used.name != name || used.args != Value::Object(args.clone()) {
            return Ok(Verdict::Refuse(UserError::new(
                &[],
                "IDEMPOTENCY_KEY_PARAMETER_MISMATCH",
                "The same idempotency key cannot be used with different operation parameters.",
            )));
        }
        Ok(match &used.payload {
            Some(payload) => Verdict::Replay(payload.clone()),
            None => Verdict::Refuse(UserError::new(
                &[],
                "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED",
                "The previous attempt with this idempotency key failed.",
            )),
        })
    }

    pub fn concurrent() -> UserError {
        UserError::new(
            &[],
            "IDEMPOTENCY_CONCURRENT_REQUEST",
            "This request is currently in progress, please try again.",
        )
    }

    pub fn keep(&mut self, name: &str, args: &Object, key: &str, now: Moment, payload: &Value) {
        let failed = payload["userErrors"].as_array().is_some_and(|errors| !errors.is_empty());
        if self.used.len() >= KEYS_MAX {
            self.used.pop_first();
        }
        let payload = (!failed).then(|| payload.clone());
        let args = Value::Object(args.clone());
        self.used.insert(key.to_owned(), Used { name: name.to_owned(), args, at: now, payload });
    }
}
