//! Faults a test can switch on: maintenance, failing calls, lost webhooks, fields not kept.
//!
//! Reads   the body of `POST /_twin/faults`.
//! Writes  only itself.
//! Never   is on unless asked for.

use serde_json::{Value, json};

use super::api::{Body, Object, Reply, id_of};

/// What happens to the write of a call that is answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// It is done, then the error is answered.
    Before,
    /// The error is answered at once and the write is done a moment later.
    After,
    None,
}

#[derive(Debug, Default)]
pub struct Faults {
    /// Seconds of `Retry-After`.
    pub maintenance: Option<u64>,
    fail: Option<Failing>,
    pub drop_webhooks: bool,
    pub keep_old: Vec<String>,
}

#[derive(Debug, Clone)]
struct Failing {
    left: u64,
    status: u16,
    body: Value,
    apply: Apply,
    writes_only: bool,
}

impl Faults {
    /// `{}` or `{"reset":true}` switches everything off.
    pub fn set(&mut self, body: &Object) {
        if body.is_empty() || body.get("reset") == Some(&json!(true)) {
            *self = Self::default();
        }
        if let Some(value) = body.get("maintenance") {
            let seconds = super::api::whole(value).and_then(|s| u64::try_from(s).ok());
            let on = value == &json!(true);
            let given = body.get("retry_after").map(|v| id_of(Some(v)));
            self.maintenance = seconds.or(on.then_some(given.unwrap_or(600)));
        }
        if let Some(left) = body.get("fail_next").map(|n| id_of(Some(n))) {
            let apply = match body.get("apply").and_then(Value::as_str) {
                Some("before") => Apply::Before,
                Some("after") => Apply::After,
                _ => Apply::None,
            };
            let status = body.get("status").map_or(500, |s| id_of(Some(s)));
            self.fail = (left > 0).then(|| Failing {
                left,
                status: u16::try_from(status).unwrap_or(500),
                body: body.get("body").cloned().unwrap_or(Value::Null),
                apply,
                writes_only: body.get("writes_only") == Some(&json!(true)),
            });
        }
        if let Some(on) = body.get("drop_webhooks") {
            self.drop_webhooks = on == &json!(true);
        }
        if let Some(Value::Array(names)) = body.get("keep_old") {
            self.keep_old = names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
    }

    pub fn show(&self) -> Value {
        json!({
            "maintenance": self.maintenance,
            "fail_next": self.fail.as_ref().map_or(0, |f| f.left),
            "drop_webhooks": self.drop_webhooks, "keep_old": self.keep_old,
        })
    }

    /// The next call's failure, if it has one.
    pub fn next(&mut self, method: &str) -> Option<(Reply, Apply)> {
        let failing = self.fail.as_mut()?;
        if failing.writes_only && method == "GET" {
            return None;
        }
        failing.left -= 1;
        let Failing { left, status, body, apply, .. } = failing.clone();
        if left == 0 {
            self.fail = None;
        }
        let reply = match body {
            Value::String(html) => {
                Reply { body: Body::Html(html), ..Reply::json(status, json!(0)) }
            }
            Value::Null => Reply::json(
                status,
                json!({
                    "code": "internal_server_error",
                    "message": "There has been a critical error on this website.",
                    "data": { "status": status },
                }),
            ),
            body => Reply::json(status, body),
        };
        Some((reply, apply))
    }

    pub fn maintenance(&self) -> Option<Reply> {
        let seconds = self.maintenance?;
        let html = "<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body \
                    id=\"error-page\"><div class=\"wp-die-message\">Briefly unavailable for \
                    scheduled maintenance. Check back in a minute.</div></body></html>\n";
        let reply = Reply { body: Body::Html(html.to_owned()), ..Reply::json(503, json!(0)) };
        Some(reply.with("Retry-After", seconds.to_string()))
    }
}
