//! Bulk jobs: a query read to its end, a mutation for each line of an uploaded file.
//!
//! Reads   the query or the file; whatever the resolvers read.
//! Writes  results as JSON lines under an address; whatever the mutation writes.
//! Never   takes from the bucket: only the calls that start and poll a job do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Selection, SelectionSet};
use serde_json::{Value, json};

use super::coerce::text;
use super::execute::Execution;
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number};
use super::shop::Shop;
use super::store::Object;
use super::{Shared, files, schema};

const CONNECTIONS_MAX: usize = 5;
const DEPTH_MAX: usize = 2;
const IDENTIFIER: std::ops::RangeInclusive<usize> = 10..=255;

#[derive(Debug, Default)]
pub struct Bulk {
    /// Path → JSON lines.
    pub results: BTreeMap<String, Vec<u8>>,
}

fn plain(message: &str, code: &'static str, field: &str) -> Answer<Value> {
    Ok(refused(&[UserError::new(&[field], code, message)]))
}

impl Shop {
    fn running(&self, kind: &str) -> usize {
        let all = self.store.all("BulkOperation").filter(|b| b.text("type") == kind);
        all.filter(|b| matches!(b.text("status"), "CREATED" | "RUNNING" | "CANCELING")).count()
    }

    fn new_bulk(&mut self, kind: &str, query: &str, more: Value) -> Value {
        let due = self.now() + self.settings.job_ms;
        let mut fields = json!({
            "type": kind, "query": query, "status": "CREATED", "errorCode": null,
            "completedAt": null, "fileSize": null, "objectCount": "0", "rootObjectCount": "0",
            "url": null, "partialDataUrl": null, "_due": due,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            fields[name.as_str()] = value.clone();
        }
        let id = self.add("BulkOperation", fields);
        json!({ "bulkOperation": gid("BulkOperation", id), "userErrors": [] })
    }

    pub fn bulk_query(&mut self, args: &Object) -> Answer<Value> {
        let query = text(args, "query").unwrap_or("").to_owned();
        let Ok(schema) = schema::schema() else { return Ok(Value::Null) };
        let document = match ExecutableDocument::parse_and_validate(schema, &query, "bulk") {
            Ok(document) => document,
            Err(error) => {
                let message = format!("Invalid bulk query: {}", error.errors);
                return plain(&message, "INVALID", "query");
            }
        };
        let Ok(operation) = document.operations.get(None) else {
            return plain("Bulk queries must have one operation.", "INVALID", "query");
        };
        let mut shape = Shape::default();
        shape.walk(&operation.selection_set, &document, 0);
        let wrong = if !operation.is_query() {
            Some("The bulk query must be a query.")
        } else if shape.connections == 0 {
            Some("Bulk queries must contain at least one connection.")
        } else if shape.connections > CONNECTIONS_MAX {
            Some("Bulk queries cannot contain more than 5 connections.")
        } else if shape.depth > DEPTH_MAX {
            Some("Bulk queries cannot contain connections with a nesting depth greater than 2.")
        } else {
            None
        };
        if let Some(message) = wrong {
            return plain(message, "INVALID", "query");
        }
        if self.running("QUERY") >= self.settings.bulk_at_once {
            let message = "A bulk query operation for this app and shop is already in progress.";
            return plain(message, "OPERATION_IN_PROGRESS", "query");
        }
        let group = args.get("groupObjects") == Some(&json!(true));
        Ok(self.new_bulk("QUERY", &query, json!({ "_group": group })))
    }

    pub fn bulk_mutation(&mut self, args: &Object) -> Answer<Value> {
        let mutation = text(args, "mutation").unwrap_or("").to_owned();
        let path = text(args, "stagedUploadPath").unwrap_or("").to_owned();
        let identifier = text(args, "clientIdentifier");
        let Ok(schema) = schema::schema() else { return Ok(Value::Null) };
        let parsed = ExecutableDocument::parse_and_validate(schema, &mutation, "bulk");
        let sound = parsed.is_ok_and(|document| {
            document.operations.get(None).is_ok_and(|operation| {
                operation.is_mutation() && operation.root_fields(&document).count() == 1
            })
        });
        if !sound {
            let message = "Failed to parse the mutation.";
            return plain(message, "INVALID_MUTATION", "mutation");
        }
        if identifier.is_some_and(|i| !IDENTIFIER.contains(&i.len())) {
            let message = "The client identifier must have 10 to 255 letters.";
            return plain(message, "INVALID_MUTATION", "clientIdentifier");
        }
        let Some(file) = self.uploads.get(&path) else {
            let message = "The JSONL file could not be found. Try uploading the file again.";
            return plain(message, "NO_SUCH_FILE", "stagedUploadPath");
        };
        let readable = |line: &str| serde_json::from_str::<Object>(line).is_ok();
        let lines = String::from_utf8_lossy(file);
        if file.len() > files::UPLOAD_MAX || !lines.lines().filter(|l| !l.is_empty()).all(readable)
        {
            let message = "The staged upload file is invalid.";
            return plain(message, "INVALID_STAGED_UPLOAD_FILE", "stagedUploadPath");
        }
        if self.running("MUTATION") >= self.settings.bulk_at_once {
            let message = "A bulk mutation operation for this app and shop is already in progress.";
            return plain(message, "OPERATION_IN_PROGRESS", "mutation");
        }
        Ok(self.new_bulk("MUTATION", &mutation, json!({ "_path": path })))
    }

    pub fn bulk_cancel(&mut self, args: &Object) -> Answer<Value> {
        let own = text(args, "id").unwrap_or("").to_owned();
        let id = number(&own, "BulkOperation");
        let Some(row) = self.store.get("BulkOperation", id) else {
            return plain("Bulk operation does not exist", "", "id");
        };
        if !matches!(row.text("status"), "CREATED" | "RUNNING") {
            return plain("A bulk operation cannot be canceled when it is completed", "", "id");
        }
        self.put(&own, "status", json!("CANCELING"));
        Ok(json!({ "bulkOperation": own, "userErrors": [] }))
    }

    pub fn current_bulk(&self, kind: &str) -> Value {
        let last = self.store.all("BulkOperation").rev().find(|b| b.text("type") == kind);
        last.map_or(Value::Null, |b| json!(gid("BulkOperation", b.id)))
    }

    /// Everything that goes on without a call.
    pub fn run_jobs(&mut self) {
        self.run_product_operations();
        self.run_files();
        let now = self.now();
        for id in self.store.ids("BulkOperation") {
            let Some(row) = self.store.get("BulkOperation", id) else { continue };
            let own = gid("BulkOperation", id);
            match row.text("status") {
                "CANCELING" => self.finish(id, "CANCELED", None),
                "CREATED" => self.put(&own, "status", json!("RUNNING")),
                "RUNNING" if now >= row.number("_due") => {
                    self.event = self.uuid(&format!("bulk {id}"));
                    self.run_bulk(id);
                    // One a turn: the lock is free for calls in between.
                    return;
                }
                _ => {}
            }
        }
    }

    fn run_bulk(&mut self, id: u64) {
        let Some(row) = self.store.get("BulkOperation", id).cloned() else { return };
        let fails = self.faults.bulk() || self.edge.schedule().chance("bulk");
        let query = row.text("query").to_owned();
        self.next_tick();
        self.audit.by_client = true;
        let (mut lines, mut roots) = match row.text("type") {
            "QUERY" => self.query_lines(&query, row.flag("_group")),
            _ => self.mutation_lines(&query, row.text("_path"), fails),
        };
        self.audit.by_client = false;
        if fails && row.text("type") == "QUERY" {
            lines.truncate(lines.len() / 2);
            roots = roots.min(lines.len());
        }
        let own = gid("BulkOperation", id);
        self.put(&own, "objectCount", json!(lines.len().to_string()));
        self.put(&own, "rootObjectCount", json!(roots.to_string()));
        let mut address = None;
        if !lines.is_empty() {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let path = format!("/_results/bulk-{id}.jsonl");
            self.put(&own, "fileSize", json!(text.len().to_string()));
            self.bulk.results.insert(path.clone(), text.into_bytes());
            address = Some(format!("{}{path}", self.base));
        }
        if fails {
            self.put(&own, "errorCode", json!("INTERNAL_SERVER_ERROR"));
            self.put(&own, "partialDataUrl", json!(address));
        } else {
            self.put(&own, "url", json!(address));
        }
        self.finish(id, if fails { "FAILED" } else { "COMPLETED" }, Some(()));
    }

    fn finish(&mut self, id: u64, status: &str, _ran: Option<()>) {
        let own = gid("BulkOperation", id);
        let now = self.utc(self.now());
        self.put(&own, "status", json!(status));
        self.put(&own, "completedAt", json!(now));
        self.fire("bulk_operations/finish", "BulkOperation", id);
    }

    fn query_lines(&mut self, query: &str, group: bool) -> (Vec<Value>, usize) {
        let Ok(schema) = schema::schema() else { return (vec![], 0) };
        let Ok(document) = ExecutableDocument::parse_and_validate(schema, query, "bulk") else {
            return (vec![], 0);
        };
        let Ok(operation) = document.operations.get(None).cloned() else { return (vec![], 0) };
        let none = Object::new();
        let mut run = Execution::new(self, schema, &document, &none);
        run.whole = true;
        let data = run.run(&operation);
        let mut levels: Vec<Vec<Value>> = Vec::new();
        let mut lines = Vec::new();
        let roots = flatten(&data, None, group, 0, &mut levels, &mut lines);
        if !group {
            lines = levels.into_iter().flatten().collect();
        }
        (lines, roots)
    }

    fn mutation_lines(&mut self, mutation: &str, path: &str, half: bool) -> (Vec<Value>, usize) {
        let file = self.uploads.get(path).cloned().unwrap_or_default();
        let text = String::from_utf8_lossy(&file).into_owned();
        let inputs: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let count = if half { inputs.len() / 2 } else { inputs.len() };
        let mut lines = Vec::new();
        for (at, input) in inputs.into_iter().take(count).enumerate() {
            let variables = serde_json::from_str(input).unwrap_or(Value::Null);
            let mut line = self.bulk_line(mutation, &variables);
            if let Some(map) = line.as_object_mut() {
                map.remove("extensions");
            }
            line["__lineNumber"] = json!(at);
            lines.push(line);
        }
        (lines, count)
    }
}

/// How many connections a query has, and how deep they are.
#[derive(Default)]
struct Shape {
    connections: usize,
    depth: usize,
}

impl Shape {
    fn walk(&mut self, set: &SelectionSet, document: &ExecutableDocument, depth: usize) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    let inner = field.definition.ty.inner_named_type().as_str();
                    let own = usize::from(schema::is_connection(inner));
                    self.connections += own;
                    self.depth = self.depth.max(depth + own);
                    self.walk(&field.selection_set, document, depth + own);
                }
                Selection::InlineFragment(inline) => {
                    self.walk(&inline.selection_set, document, depth);
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(of) = document.fragments.get(&spread.fragment_name) {
                        self.walk(&of.selection_set, document, depth);
                    }
                }
            }
        }
    }
}

/// Takes the connections out of an object, each node a line; answers how many were at the top.
fn flatten(
    object: &Value,
    parent: Option<&Value>,
    group: bool,
    depth: usize,
    levels: &mut Vec<Vec<Value>>,
    lines: &mut Vec<Value>,
) -> usize {
    let mut count = 0;
    for value in object.as_object().into_iter().flat_map(|map| map.values()) {
        let Some(nodes) = nodes_of(value) else {
            if value.is_object() && depth == 0 && parent.is_none() {
                count += flatten(value, value.get("id"), group, depth, levels, lines);
            }
            continue;
        };
        count += nodes.len();
        for node in nodes {
            let map = node.as_object().into_iter().flatten();
            let own = map.filter(|(_, value)| nodes_of(value).is_none());
            let mut line: Object = own.map(|(name, v)| (name.clone(), v.clone())).collect();
            if let Some(parent) = parent {
                line.insert("__parentId".to_owned(), parent.clone());
            }
            if levels.len() <= depth {
                levels.resize(depth + 1, vec![]);
            }
            let line = Value::Object(line);
            if group {
                lines.push(line);
            } else {
                levels[depth].push(line);
            }
            flatten(node, node.get("id"), group, depth + 1, levels, lines);
        }
    }
    count
}

fn nodes_of(value: &Value) -> Option<Vec<&Value>> {
    if let Some(edges) = value.get("edges").and_then(Value::as_array) {
        return Some(edges.iter().map(|edge| &edge["node"]).collect());
    }
    value.get("nodes").and_then(Value::as_array).map(|nodes| nodes.iter().collect())
}

/// The worker that lets the shop's own jobs go on.
pub async fn work(shared: Arc<Shared>) {
    loop {
        shared.shop().run_jobs();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
