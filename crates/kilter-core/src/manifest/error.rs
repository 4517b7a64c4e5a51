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
    /// It was too much at once: the same is asked again in smaller parts.
    pub smaller: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Errors {
    pub code: Option<Path>,
    pub text: Option<Path>,
    /// Where an item's error says the status that it would have had alone.
    pub status: Option<Path>,
    /// A 2xx that holds something here is an error.
    pub failed: Vec<Path>,
    /// Where such an answer holds what was done all the same.
    pub partial: Option<Path>,
    pub rules: Vec<Rule>,
}

impl Errors {
    /// The fault that a 2xx is, if it is one.
    pub fn hidden(&self, status: u16, body: &Json, env: &Env<'_>) -> Option<Fault> {
        let holds = |path: &Path| path.read(body, env).is_some_and(|v| holds_something(&v));
        if !self.failed.iter().any(holds) {
            return None;
        }
        let mut fault = self.classify(status, body, env);
        let found = self.partial.as_ref().and_then(|p| p.read(body, env));
        // `{ create: null }` is the place of an answer, and none.
        fault.maybe_applied = found.is_some_and(|v| match &v {
            Json::Object(members) => members.values().any(|m| !m.is_null()),
            other => holds_something(other),
        });
        Some(fault)
    }

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
                fault.smaller = rule.smaller;
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

fn holds_something(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => false,
        Json::Array(items) => !items.is_empty(),
        Json::Object(members) => !members.is_empty(),
        Json::String(text) => !text.is_empty(),
        _ => true,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn errors() -> Errors {
        let path = |text| Path::parse(text).ok();
        let rule = |code: &str, fault, smaller| Rule {
            status: None,
            code: Some(code.to_owned()),
            text: None,
            fault,
            holder: None,
            smaller,
        };
        Errors {
            code: path("errors[0].extensions.code"),
            text: path("first(errors[0].message, errors)"),
            failed: path("errors").into_iter().collect(),
            partial: path("data"),
            rules: vec![
                rule("THROTTLED", FaultKind::Throttled, false),
                rule("TOO_MUCH", FaultKind::Rejected, true),
                rule("ACCESS_*", FaultKind::Auth, false),
            ],
            ..Errors::default()
        }
    }

    fn hidden(body: Json) -> Option<Fault> {
        let (vars, tables) = (BTreeMap::new(), BTreeMap::new());
        errors().hidden(200, &body, &Env { vars: &vars, tables: &tables, root: None })
    }

    #[test]
    fn an_error_in_a_200_is_a_fault_by_the_same_rules() {
        assert_eq!(hidden(json!({ "data": { "shop": {} } })), None);
        assert_eq!(hidden(json!({ "data": {}, "errors": [] })), None);
        assert_eq!(hidden(json!({ "data": {}, "errors": null })), None);
        assert_eq!(hidden(json!([])), None);
        let coded =
            |code: &str| json!({ "errors": [{ "message": "m", "extensions": { "code": code } }] });
        let fault = hidden(coded("THROTTLED")).unwrap();
        assert_eq!((fault.kind, fault.text.as_str()), (FaultKind::Throttled, "m"));
        assert!(!fault.smaller && fault.proves_not_applied());
        let fault = hidden(coded("TOO_MUCH")).unwrap();
        assert_eq!((fault.kind, fault.smaller), (FaultKind::Rejected, true));
        // No rule knows it: the status says nothing either, so it is a refusal.
        assert_eq!(hidden(coded("undefinedField")).unwrap().kind, FaultKind::Rejected);
        assert_eq!(hidden(json!({ "errors": "[API] no" })).unwrap().text, "[API] no");
    }

    #[test]
    fn what_came_with_a_part_of_its_result_may_have_been_done() {
        let of = |data: Json| {
            let errors = json!([{ "message": "m", "extensions": { "code": "ACCESS_DENIED" } }]);
            hidden(json!({ "data": data, "errors": errors })).unwrap()
        };
        assert!(of(json!(null)).proves_not_applied());
        assert!(of(json!({ "create": null })).proves_not_applied());
        let fault = of(json!({ "create": { "order": null } }));
        assert!(fault.kind == FaultKind::Auth && !fault.proves_not_applied());
    }
}
