//! What a call answers when it fails: the status and the body of JSON-2.
//!
//! Reads   nothing.
//! Writes  error bodies.
//! Never   decides whether something is an error.

use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub struct Fault {
    pub status: u16,
    pub name: &'static str,
    pub message: String,
}

pub type Answer<T> = Result<T, Fault>;

impl Fault {
    fn new(status: u16, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into() }
    }
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(422, "odoo.exceptions.UserError", message)
    }
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(422, "odoo.exceptions.ValidationError", message)
    }
    pub fn access(message: impl Into<String>) -> Self {
        Self::new(403, "odoo.exceptions.AccessError", message)
    }
    pub fn missing(model: &str, id: i64) -> Self {
        let message = format!(
            "Record does not exist or has been deleted.\n(Record: {model}({id},), User: 2)"
        );
        Self::new(404, "odoo.exceptions.MissingError", message)
    }
    /// A Python error that nobody caught: always 500, even where the request is to blame.
    pub fn value(message: impl Into<String>) -> Self {
        Self::new(500, "builtins.ValueError", message)
    }
    pub fn singleton(model: &str, ids: &[i64]) -> Self {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        Self::value(format!("Expected singleton: {model}({})", ids.join(", ")))
    }
    pub fn invalid_field(field: &str, model: &str) -> Self {
        Self::value(format!("Invalid field '{field}' in '{model}'"))
    }
    pub fn required(model: &str, model_label: &str, field: &str, field_label: &str) -> Self {
        Self::validation(format!(
            "The operation cannot be completed: {}",
            missing_value(model, model_label, field, field_label)
        ))
    }
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "werkzeug.exceptions.NotFound", message)
    }
    pub fn unauthorized() -> Self {
        Self::new(401, "werkzeug.exceptions.Unauthorized", "Invalid apikey")
    }
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, "werkzeug.exceptions.UnprocessableEntity", message)
    }
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "werkzeug.exceptions.BadRequest", message)
    }

    pub fn body(&self) -> Value {
        json!({
            "name": self.name,
            "message": self.message,
            "arguments": [self.message],
            "context": {},
            "debug": format!("Traceback (most recent call last):\n{}: {}", self.name, self.message),
        })
    }
}

/// The sentence of the ORM for a mandatory field; `load` shows it without its introduction.
pub fn missing_value(model: &str, model_label: &str, field: &str, field_label: &str) -> String {
    format!(
        "Missing required value for the field '{field_label}' ({field}).\n\
         Model: '{model_label}' ({model})\n\
         - create/update: a mandatory field is not set\n\
         - delete: another model requires the record being deleted, you can archive it instead\n"
    )
}
