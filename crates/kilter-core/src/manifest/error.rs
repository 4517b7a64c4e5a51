//! From an answer to a fault: an ordered list over status, code and body; the first that fits.
//!
//! Reads   a status and a body.   Writes  nothing.   Never  decides what to do about it.

use crate::Json;
use crate::manifest::template::plain;
use crate::mapping::{Env, Path};
use crate::model::{Fault, FaultKind};

/// One rule. What is not named fits anything.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `401`, `4xx`, `5xx`.
    pub status: Option<String>,
    /// The remote's code; `*` at either end stands for anything.
    pub code: Option<String>,
    /// A part of the message, for platforms that tell nothing else apart.
    pub text: Option<String>,
    pub fault: FaultKind,
    /// Where the refusal names the holder of what we wanted.
    pub holder: Option<Path>,
}

#[derive(Debug, Clone, Default)]
pub struct Errors {
    pub code: Option<Path>,
    pub text: Option<Path>,
    /// Where an item's error says the status that it would have had alone.
    pub status: Option<Path>,
    pub rules: Vec<Rule>,
}

impl Errors {
    /// `status` 0 = the body of an item in a list that was answered as a whole.
    pub fn classify(&self, status: u16, body: &Json, env: &Env<'_>) -> Fault {
        let read = |path: &Option<Path>| {
            path.as_ref().and_then(|p| p.read(body, env)).map(|v| plain(&v)).unwrap_or_default()
        };
        let code = read(&self.code);
        let text = read(&self.text);
        let own: Option<u16> = read(&self.status).parse().ok();
        let status = if status == 0 { own.unwrap_or(0) } else { status };
        for rule in &self.rules {
            if rule.fits(status, &code, &text) {
                let mut fault = Fault::new(rule.fault, code, text);
                let holder = rule.holder.as_ref().and_then(|p| p.read(body, env));
                fault.holder = holder.map(|v| plain(&v));
                return fault;
            }
        }
        let text = if text.is_empty() { format!("status {status}") } else { text };
        Fault::new(by_status(status), code, text)
    }
}

impl Rule {
    fn fits(&self, status: u16, code: &str, text: &str) -> bool {
        self.status.as_deref().is_none_or(|s| status_fits(s, status))
            && self.code.as_deref().is_none_or(|c| glob(c, code))
            && self.text.as_deref().is_none_or(|t| text.contains(t))
    }
}

/// What HTTP itself says, where a connector says nothing.
fn by_status(status: u16) -> FaultKind {
    match status {
        401 | 403 => FaultKind::Auth,
        404 | 410 => FaultKind::Missing,
        409 | 412 => FaultKind::Conflict,
        429 => FaultKind::Throttled,
        408 | 425 | 500..=599 => FaultKind::Unavailable,
        _ => FaultKind::Rejected,
    }
}

fn status_fits(rule: &str, status: u16) -> bool {
    match rule.strip_suffix("xx") {
        Some(class) => class.parse::<u16>().is_ok_and(|c| status / 100 == c),
        None => rule.parse::<u16>().is_ok_and(|s| s == status),
    }
}

fn glob(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => text.contains(pattern.trim_matches('*')),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => pattern == text,
    }
}
