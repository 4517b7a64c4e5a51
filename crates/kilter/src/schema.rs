//! Schema: a connector's GraphQL documents, and what its cases send, against a vendor's schema.
//!
//! Reads   `.graphql` documents, request cases, a schema in SDL (plain or gzip).
//! Writes  problems, each with its file.
//! Never   calls a remote, and never mends a document.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::{JsonMap, JsonValue};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use kilter_core::Json;
use kilter_core::manifest::graphql::is_document;

/// Most bytes of a schema that is read: the largest vendor's has 4 MB.
const SCHEMA_BYTES_MAX: u64 = 64 << 20;

/// What was checked, and what is wrong.
#[derive(Debug, Default)]
pub struct Verdict {
    pub documents: usize,
    pub requests: usize,
    pub problems: Vec<String>,
}

/// Checks every document of a connector, and the variables of every request that its cases send.
pub fn check(name: &str, folder: &Path, against: &Path) -> anyhow::Result<Verdict> {
    let schema = schema(against)?;
    let mut verdict = Verdict::default();
    for (file, text) in crate::catalog::files(name, folder) {
        if !is_document(&file) {
            continue;
        }
        verdict.documents += 1;
        if let Err(error) = ExecutableDocument::parse_and_validate(&schema, text, &file) {
            verdict.problems.push(error.errors.to_string());
        }
    }
    for (case, document, variables) in crate::cases::graphql(name, folder)? {
        verdict.requests += 1;
        if let Err(error) = coerce(&schema, &document, &variables) {
            verdict.problems.push(format!("case \"{case}\": {error:#}"));
        }
    }
    anyhow::ensure!(verdict.documents > 0, "find a GraphQL document of {name}: it has none");
    Ok(verdict)
}

fn schema(path: &Path) -> anyhow::Result<Valid<Schema>> {
    let place = || format!("read the schema {}", path.display());
    let file = std::fs::File::open(path).with_context(place)?;
    let mut text = String::new();
    if path.extension().is_some_and(|e| e == "gz") {
        let mut reader = flate2::read::GzDecoder::new(file).take(SCHEMA_BYTES_MAX);
        reader.read_to_string(&mut text).with_context(place)?;
    } else {
        file.take(SCHEMA_BYTES_MAX).read_to_string(&mut text).with_context(place)?;
    }
    // Built in since the specification of September 2025, and so left out by vendors.
    if !text.contains("directive @oneOf") {
        text.push_str("\ndirective @oneOf on INPUT_OBJECT\n");
    }
    Schema::parse_and_validate(text, path)
        .map_err(|error| anyhow::anyhow!("{}", error.errors))
        .with_context(place)
}

fn coerce(schema: &Valid<Schema>, document: &str, variables: &Json) -> anyhow::Result<()> {
    let document = ExecutableDocument::parse_and_validate(schema, document, "document")
        .map_err(|error| anyhow::anyhow!("{}", error.errors))?;
    let operation = document.operations.get(None).map_err(|e| anyhow::anyhow!("{e:?}"))?;
    let variables = json_map(variables.as_object().context("read the variables: they are no map")?);
    coerce_variable_values(schema, operation, &variables)
        .map_err(|error| anyhow::anyhow!("{}", error.message()))?;
    Ok(())
}

/// Member by member: numbers kept as they were written do not survive a detour over serde.
fn plain_json(value: &Json) -> JsonValue {
    match value {
        Json::Null => JsonValue::Null,
        Json::Bool(flag) => JsonValue::Bool(*flag),
        Json::Number(number) => JsonValue::Number(number.clone()),
        Json::String(text) => JsonValue::String(text.as_str().into()),
        Json::Array(items) => JsonValue::Array(items.iter().map(plain_json).collect()),
        Json::Object(map) => JsonValue::Object(json_map(map)),
    }
}

fn json_map(map: &serde_json::Map<String, Json>) -> JsonMap {
    map.iter().map(|(key, value)| (key.as_str().into(), plain_json(value))).collect()
}
