//! What goes in and what comes out of one call: `Req`, `Reply`, `Fail`.
//!
//! Reads   nothing.
//! Writes  nothing.
//! Never   knows a resource: shapes only.

use serde_json::{Map, Value, json};

pub type Object = Map<String, Value>;

/// One call to the API, its parameters already parsed.
#[derive(Debug, Clone, Default)]
pub struct Req {
    pub method: String,
    /// Below `/wp-json`, without a trailing slash: `/wc/v3/products/11`.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Object,
}

impl Req {
    /// A parameter of the query, the last one wins.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query or of the body, as text.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.query(name) {
            Some(text) => Some(text.to_owned()),
            None => self.body.get(name).map(loose_text),
        }
    }

    /// `a=1,2`, `a[]=1&a[]=2` or `a[0]=1`: a list; absent: `None`.
    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        let prefix = format!("{name}[");
        let mut found = false;
        let mut out = Vec::new();
        for (key, value) in &self.query {
            if key == name {
                found = true;
                out.extend(value.split(',').map(|part| part.trim().to_owned()));
            } else if key.starts_with(&prefix) {
                found = true;
                out.push(value.clone());
            }
        }
        out.retain(|part| !part.is_empty());
        found.then_some(out)
    }

    pub fn ids(&self, name: &str) -> Option<Vec<u64>> {
        self.list(name).map(|list| list.iter().filter_map(|part| part.parse().ok()).collect())
    }

    pub fn flag(&self, name: &str) -> bool {
        matches!(self.text(name).as_deref(), Some("true" | "1"))
    }
}

/// A value as PHP prints it.
pub fn loose_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "1".to_owned(),
        Value::Bool(false) | Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A whole number as PHP reads it: `5`, `5.0`, `"5"`; `None` when it is none.
pub fn whole(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let number: rust_decimal::Decimal = text.parse().ok()?;
    if number.is_integer() { i64::try_from(number).ok() } else { None }
}

pub fn id_of(value: Option<&Value>) -> u64 {
    value.and_then(whole).and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::String(text) => matches!(text.to_lowercase().as_str(), "1" | "true" | "yes"),
        Value::Number(_) => whole(value).is_some_and(|n| n != 0),
        _ => false,
    }
}

#[derive(Debug, Clone)]
pub enum Body {
    Json(Value),
    Html(String),
}

/// One answer. `pings` are the webhooks to ping before it is sent.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
    pub pings: Vec<u64>,
}

impl Reply {
    pub fn json(status: u16, value: Value) -> Self {
        Self { status, headers: Vec::new(), body: Body::Json(value), pings: Vec::new() }
    }
    pub fn with(mut self, name: &str, value: String) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }
}

/// An error in the platform's shape.
#[derive(Debug, Clone)]
pub struct Fail {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub data: Value,
}

impl Fail {
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            data: json!({ "status": status }),
        }
    }

    pub fn with(mut self, key: &str, value: Value) -> Self {
        if let Value::Object(data) = &mut self.data {
            data.insert(key.to_owned(), value);
        }
        self
    }

    pub fn body(&self) -> Value {
        json!({ "code": self.code, "message": self.message, "data": self.data })
    }

    pub fn reply(&self) -> Reply {
        Reply::json(self.status, self.body())
    }

    pub fn no_route() -> Self {
        let message = "No route was found matching the URL and request method.";
        Self::new(404, "rest_no_route", message)
    }

    /// `invalid("per_page", "rest_out_of_bounds", "per_page must be …")` for one or several.
    pub fn invalid(found: &[Invalid]) -> Self {
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        let message = format!("Invalid parameter(s): {}", names.join(", "));
        let mut params = Map::new();
        let mut details = Map::new();
        for one in found {
            params.insert(one.name.clone(), json!(one.message));
            let data = if one.code == "rest_invalid_type" {
                json!({ "param": one.name })
            } else {
                Value::Null
            };
            let detail = json!({ "code": one.code, "message": one.message, "data": data });
            details.insert(one.name.clone(), detail);
        }
        Self::new(400, "rest_invalid_param", &message)
            .with("params", Value::Object(params))
            .with("details", Value::Object(details))
    }
}

/// One parameter that failed validation.
#[derive(Debug, Clone)]
pub struct Invalid {
    pub name: String,
    pub code: &'static str,
    pub message: String,
}

pub type Answer<T> = Result<T, Fail>;
