//! One GraphQL call: from its body to its reply, with the points it costs.
//!
//! Reads   `{query, variables, operationName}`.
//! Writes  through the resolvers; the bucket; the counts.
//! Never   answers anything but an HTTP 200 to a query it could read: throttling included.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::{JsonMap, JsonValue};
use apollo_compiler::validation::DiagnosticList;
use serde_json::{Value, json};

use super::calls::Call;
use super::cost::{self, Reckoner};
use super::execute::Execution;
use super::schema;
use super::shop::Shop;
use super::store::Object;

const LIMITS: &str = "https://shopify.dev/api/usage/rate-limits";

/// A reply with what is noted of it.
#[derive(Debug)]
pub struct Done {
    pub body: Value,
    pub call: Call,
}

impl Shop {
    /// Executes a call; `throttle` pretends that the bucket is empty.
    pub fn graphql(&mut self, body: &Object, throttle: bool) -> Done {
        let mut call =
            Call { route: "QUERY ?".to_owned(), items: 1, status: 200, ..Call::default() };
        let body = self.answer(body, throttle, false, &mut call);
        Done { body, call }
    }

    /// One line of a bulk mutation: no bucket, no count.
    pub fn bulk_line(&mut self, mutation: &str, variables: &Value) -> Value {
        let mut body = Object::new();
        body.insert("query".to_owned(), json!(mutation));
        body.insert("variables".to_owned(), variables.clone());
        self.answer(&body, false, true, &mut Call::default())
    }

    fn answer(&mut self, body: &Object, throttle: bool, bulk: bool, call: &mut Call) -> Value {
        let Ok(schema) = schema::schema() else { return simple("the twin's schema is broken") };
        let Some(text) = body.get("query").and_then(Value::as_str) else {
            return simple("Required parameter missing or invalid: query");
        };
        let document = match ExecutableDocument::parse_and_validate(schema, text, "query") {
            Ok(document) => document,
            Err(broken) => return invalid(&broken.errors),
        };
        let name = body.get("operationName").and_then(Value::as_str);
        let operation = match document.operations.get(name) {
            Ok(operation) => operation.clone(),
            Err(error) => return simple(&error.message().to_string()),
        };
        call.write = operation.is_mutation();
        call.route = route(&operation, &document);
        let given = body.get("variables").filter(|v| !v.is_null()).cloned();
        let given = given.unwrap_or_else(|| json!({}));
        let Some(given) = given.as_object().map(json_map) else {
            return simple("Variables are invalid");
        };
        let coerced = match coerce_variable_values(schema, &operation, &given) {
            Ok(values) => values.into_inner(),
            Err(error) => {
                return json!({ "errors": [{
                    "message": error.message().to_string(),
                    "extensions": { "code": "INVALID_VARIABLE" },
                }] });
            }
        };
        let text = serde_json::to_string(&coerced).unwrap_or_default();
        let variables: Object = serde_json::from_str(&text).unwrap_or_default();
        let linear = self.settings.cost_linear;
        let reckoner = Reckoner { schema, document: &document, variables: &variables, linear };
        let requested = cost::points(reckoner.operation(&operation));
        if let Some(refusal) = self.refuse(requested, throttle, bulk, call) {
            return refusal;
        }
        self.searches.clear();
        self.event = self.uuid(&format!("event {}", self.tick));
        let mut run = Execution::new(self, schema, &document, &variables);
        let data = run.run(&operation);
        let (errors, spent) = (run.errors, run.spent);
        let actual = cost::points(spent).min(requested);
        if !bulk {
            self.bucket.settle(requested, actual);
        }
        call.points = actual;
        call.items = items(&data, &variables, call.write);
        call.refused = refused(&data);
        let mut reply = json!({ "data": data });
        if !errors.is_empty() {
            reply["errors"] = json!(errors);
        }
        let now = self.now();
        reply["extensions"] = json!({ "cost": {
            "requestedQueryCost": requested, "actualQueryCost": actual,
            "throttleStatus": self.bucket.status(now),
        } });
        if !self.searches.is_empty() {
            reply["extensions"]["search"] = json!(std::mem::take(&mut self.searches));
        }
        reply
    }

    /// Too costly for ever, or too costly for now.
    fn refuse(
        &mut self,
        requested: i64,
        throttle: bool,
        bulk: bool,
        call: &mut Call,
    ) -> Option<Value> {
        if bulk {
            return None;
        }
        if requested > cost::QUERY_MAX {
            let message = format!(
                "Query cost is {requested}, which exceeds the single query max cost limit ({}).",
                cost::QUERY_MAX
            );
            return Some(json!({ "errors": [{
                "message": message,
                "extensions": {
                    "code": "MAX_COST_EXCEEDED", "cost": requested, "maxCost": cost::QUERY_MAX,
                    "documentation": LIMITS,
                },
            }] }));
        }
        let now = self.now();
        if throttle {
            self.bucket.drain_below(requested, now);
        }
        if self.bucket.take(requested, now) {
            return None;
        }
        call.throttled = true;
        Some(json!({
            "errors": [{
                "message": "Throttled",
                "extensions": { "code": "THROTTLED", "documentation": LIMITS },
            }],
            "extensions": { "cost": {
                "requestedQueryCost": requested, "actualQueryCost": null,
                "throttleStatus": self.bucket.status(now),
            } },
        }))
    }
}

fn simple(message: &str) -> Value {
    json!({ "errors": [{ "message": message, "extensions": { "code": "BAD_REQUEST" } }] })
}

/// `MUTATION productSet`, `QUERY products+shop`.
fn route(
    operation: &apollo_compiler::executable::Operation,
    document: &ExecutableDocument,
) -> String {
    let mut names: Vec<String> =
        operation.root_fields(document).map(|field| field.name.to_string()).collect();
    names.sort();
    names.dedup();
    let verb = if operation.is_mutation() { "MUTATION" } else { "QUERY" };
    format!("{verb} {}", names.join("+"))
}

/// What the standard's words are in the platform's: a code and the names it is about.
fn invalid(errors: &DiagnosticList) -> Value {
    let unknown = |name: Option<&str>| name == Some("UndefinedField");
    // A field that is not there leaves its parent bare: that is no second error.
    let bared = errors.iter().any(|e| unknown(e.error.unstable_error_name()));
    let list: Vec<Value> = errors
        .iter()
        .filter(|e| !bared || e.error.unstable_error_name() != Some("MissingSubselection"))
        .map(|error| {
            let json = error.unstable_to_json_compat();
            let code = match error.error.unstable_error_name() {
                Some("UndefinedField") => "undefinedField",
                Some("UndefinedArgument") => "argumentNotAccepted",
                Some("RequiredArgument") => "missingRequiredArguments",
                Some("UnsupportedValueType") => "argumentLiteralsIncompatible",
                Some("UndefinedVariable") => "variableNotDefined",
                Some("UnusedVariable") => "variableNotUsed",
                Some("MissingSubselection") => "selectionMismatch",
                _ => "invalid",
            };
            let mut extensions = json!({ "code": code });
            let quoted: Vec<&str> = json.message.split('"').skip(1).step_by(2).collect();
            if let ("undefinedField", [field, ty, ..]) = (code, quoted.as_slice()) {
                extensions["typeName"] = json!(ty);
                extensions["fieldName"] = json!(field);
            }
            let at = json.locations.iter().map(|l| json!({ "line": l.line, "column": l.column }));
            json!({
                "message": json.message, "locations": at.collect::<Vec<_>>(),
                "extensions": extensions,
            })
        })
        .collect();
    json!({ "errors": list })
}

fn items(data: &Value, variables: &Object, write: bool) -> u64 {
    let longest = |value: &Value| -> usize {
        let own = value.as_array().map_or(0, Vec::len);
        let inner = value.as_object().into_iter().flat_map(|m| m.values());
        inner.filter_map(Value::as_array).map(Vec::len).max().unwrap_or(0).max(own)
    };
    let values =
        |value: &Value| value.as_object().map_or(0, |m| m.values().map(longest).max().unwrap_or(0));
    let count =
        if write { variables.values().map(longest).max().unwrap_or(0) } else { values(data) };
    u64::try_from(count.max(1)).unwrap_or(1)
}

fn refused(data: &Value) -> bool {
    let fields = data.as_object().into_iter().flat_map(|map| map.values());
    fields.into_iter().any(|field| {
        ["userErrors", "orderCancelUserErrors"]
            .iter()
            .any(|name| field[name].as_array().is_some_and(|errors| !errors.is_empty()))
    })
}

/// Member by member: numbers kept as they were written do not survive a detour over serde.
fn plain_json(value: &Value) -> JsonValue {
    match value {
        Value::Null => JsonValue::Null,
        Value::Bool(flag) => JsonValue::Bool(*flag),
        Value::Number(number) => JsonValue::Number(number.clone()),
        Value::String(text) => JsonValue::String(text.as_str().into()),
        Value::Array(items) => JsonValue::Array(items.iter().map(plain_json).collect()),
        Value::Object(map) => JsonValue::Object(json_map(map)),
    }
}

fn json_map(map: &serde_json::Map<String, Value>) -> JsonMap {
    map.iter().map(|(key, value)| (key.as_str().into(), plain_json(value))).collect()
}
