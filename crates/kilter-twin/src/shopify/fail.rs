//! What goes wrong: errors of a whole field, and the platform's `userErrors`.
//!
//! Reads   nothing.
//! Writes  nothing.
//! Never   mixes the two: a field's error is in `errors`, a refusal is an answer.

use serde_json::{Value, json};

use super::store::Object;

/// An error of one field: it lands in the reply's `errors`, the field is null.
#[derive(Debug, Clone)]
pub struct Fail {
    pub message: String,
    pub extensions: Object,
}

impl Fail {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        let mut extensions = Object::new();
        extensions.insert("code".to_owned(), json!(code));
        Self { message: message.into(), extensions }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new("BAD_REQUEST", message)
    }

    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.extensions.insert(name.to_owned(), value);
        self
    }
}

/// One of `userErrors`; `code` is left out by the types that have none.
#[derive(Debug, Clone)]
pub struct UserError {
    pub field: Vec<String>,
    pub message: String,
    pub code: &'static str,
}

impl UserError {
    pub fn new(field: &[&str], code: &'static str, message: impl Into<String>) -> Self {
        let field = field.iter().map(|part| (*part).to_owned()).collect();
        Self { field, message: message.into(), code }
    }

    /// A field inside a list of the input: `["input", "quantities", "3", "quantity"]`.
    pub fn at(
        list: &[&str],
        index: usize,
        tail: &[&str],
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let mut field: Vec<String> = list.iter().map(|part| (*part).to_owned()).collect();
        field.push(index.to_string());
        field.extend(tail.iter().map(|part| (*part).to_owned()));
        Self { field, message: message.into(), code }
    }

    pub fn show(&self) -> Value {
        let field = if self.field.is_empty() { Value::Null } else { json!(self.field) };
        let code = if self.code.is_empty() { Value::Null } else { json!(self.code) };
        json!({ "field": field, "message": self.message, "code": code })
    }
}

/// A mutation's payload of refusals: every other field is null.
pub fn refused(errors: &[UserError]) -> Value {
    json!({ "userErrors": errors.iter().map(UserError::show).collect::<Vec<_>>() })
}

pub type Answer<T> = Result<T, Fail>;
