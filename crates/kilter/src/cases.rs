//! Cases: what a connector says of items, answers and requests, tested without a network.
//!
//! Reads   `connectors/<name>/cases/*.toml`, built in or the merchant's own.   Writes  a report.
//! Never   calls a remote; each case stands on a small config of its own, not on `kilter.toml`.
//!
//! | kind    | given                          | expected                                   |
//! |---------|--------------------------------|--------------------------------------------|
//! | project | an item of a resource          | id, version, rows, what is hinted at       |
//! | error   | status and body of an answer   | fault, its code, text, holder              |
//! | request | a call, values, remote ids     | method, path, query, body; of a document   |
//! |         |                                | its name and variables                     |

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use kilter_core::Json;
use kilter_core::config::{Config, read_config};
use kilter_core::doc::{Node, Problem, Reader, parse};
use kilter_core::manifest::{Connector, Request};
use kilter_core::mapping::{Env, Table};
use kilter_core::sync::batch::{self, Batch};
use kilter_core::sync::house::{House, View};
use kilter_core::sync::plan::Operation;
use kilter_core::sync::{payload, project};
use serde::Serialize;
use serde_json::json;

/// What every case is tried on; a case adds settings and look-ups of its own.
const CONFIG: &str = r#"
locations = ["main", "berlin"]
[price_list.eur]
currency = "EUR"
[price_list.us]
currency = "USD"
[price_list.retail-gbp]
currency = "GBP"
[connection.x]
connector = "CONNECTOR"
locale = "en"
currency = "EUR"
price_list = "eur"
"#;

/// One case, as it stands in its file.
#[derive(Debug, Default)]
struct Case {
    file: String,
    line: usize,
    name: String,
    kind: String,
    resource: String,
    each: String,
    call: String,
    compare: String,
    status: u16,
    item: Json,
    body: Json,
    vars: Json,
    settings: Json,
    lookups: Json,
    remotes: Json,
    record: Json,
    expect: Json,
}

/// What `$idempotency_key` is in a case.
const CASE_KEY: &str = "00000000-0000-4000-8000-000000000000";

/// How one case ended.
#[derive(Debug, Serialize)]
pub struct Tried {
    pub kind: String,
    pub name: String,
    /// `file:line`.
    pub place: String,
    /// None: it holds.
    pub error: Option<String>,
}

/// Tries every case of a connector. Err: the folder cannot be read, or holds none.
pub fn run(name: &str, folder: &Path) -> anyhow::Result<Vec<Tried>> {
    let mut problems = Vec::new();
    let Some(connector) = crate::catalog::connector(name, folder, &mut problems) else {
        anyhow::bail!(
            "find the connector \"{name}\": there are {}",
            crate::catalog::names(folder).join(", ")
        );
    };
    let cases = read(&crate::catalog::cases(name, folder), &mut problems);
    let text: Vec<String> = problems.iter().map(Problem::to_string).collect();
    anyhow::ensure!(problems.is_empty(), "read {name}:\n{}", text.join("\n"));
    anyhow::ensure!(!cases.is_empty(), "find a case of {name}: its folder cases/ has none");
    let tried = cases.iter().map(|case| Tried {
        kind: case.kind.clone(),
        name: case.name.clone(),
        place: format!("{}:{}", case.file, case.line),
        error: check(&connector, case).err().map(|error| format!("{error:#}")),
    });
    Ok(tried.collect())
}

/// The GraphQL requests that the cases send: name of the case, document, variables.
pub fn graphql(name: &str, folder: &Path) -> anyhow::Result<Vec<(String, String, Json)>> {
    let mut problems = Vec::new();
    let connector = crate::catalog::connector(name, folder, &mut problems)
        .with_context(|| format!("find the connector \"{name}\""))?;
    let mut out = Vec::new();
    for case in read(&crate::catalog::cases(name, folder), &mut problems) {
        if case.kind != "request" {
            continue;
        }
        let house = house(&connector, &case)?;
        let request = request(&view(&house, &case)?, &case)?;
        let request = request.with_context(|| format!("render \"{}\"", case.name))?;
        // The request names its document; what is sent is the text of it.
        if request.document.is_some() {
            let mut body = request.body.unwrap_or_default();
            let text = body["query"].as_str().unwrap_or_default().to_owned();
            out.push((case.name.clone(), text, body["variables"].take()));
        }
    }
    Ok(out)
}

fn read(files: &[(String, String)], problems: &mut Vec<Problem>) -> Vec<Case> {
    let mut out = Vec::new();
    for (file, text) in files {
        let node = parse(file, text, problems);
        let mut reader = Reader::new(file, "the file of cases", &node, problems);
        for node in reader.list("case", problems) {
            out.push(read_case(file, node, problems));
        }
        reader.finish(problems);
    }
    out
}

fn read_case(file: &str, node: &Node, problems: &mut Vec<Problem>) -> Case {
    let mut reader = Reader::new(file, "case", node, problems);
    let status = reader.integer("status", problems).and_then(|n| u16::try_from(n).ok());
    let case = Case {
        file: file.to_owned(),
        line: reader.line,
        name: reader.need_text("name", problems),
        kind: reader.need_text("kind", problems),
        resource: reader.text("resource", problems).unwrap_or_default(),
        each: reader.text("each", problems).unwrap_or_default(),
        call: reader.text("call", problems).unwrap_or_default(),
        compare: reader.text("compare", problems).unwrap_or_default(),
        status: status.unwrap_or_default(),
        item: json_at(&mut reader, "item", problems),
        body: json_at(&mut reader, "body", problems),
        vars: json_at(&mut reader, "vars", problems),
        settings: json_at(&mut reader, "settings", problems),
        lookups: json_at(&mut reader, "lookups", problems),
        remotes: json_at(&mut reader, "remotes", problems),
        record: json_at(&mut reader, "record", problems),
        expect: json_at(&mut reader, "expect", problems),
    };
    reader.finish(problems);
    case
}

/// A text that holds JSON; what is not there is null.
fn json_at(reader: &mut Reader<'_>, key: &'static str, problems: &mut Vec<Problem>) -> Json {
    let Some(node) = reader.take(key) else { return Json::Null };
    serde_json::from_str(node.as_text().unwrap_or_default()).unwrap_or_else(|error| {
        let text = format!("{key} is not JSON: {error}");
        reader.problem(node.line, text, "say it as '{\"a\": 1}'", problems);
        Json::Null
    })
}

fn check(connector: &Connector, case: &Case) -> anyhow::Result<()> {
    let house = house(connector, case)?;
    match case.kind.as_str() {
        "project" => check_project(&view(&house, case)?, case),
        "error" => check_error(&house, case),
        "request" => check_request(&view(&house, case)?, case),
        other => anyhow::bail!("run a case of kind \"{other}\": known are project, error, request"),
    }
}

fn house(connector: &Connector, case: &Case) -> anyhow::Result<House> {
    let text = CONFIG.replace("CONNECTOR", &connector.name);
    let mut problems = Vec::new();
    let mut config: Config = read_config("cases", &text, &|_| None, &mut problems);
    let entities = crate::catalog::entities(&mut problems);
    let connection = config.connections.get_mut("x").context("read the config of cases")?;
    for setting in &connector.settings {
        let given = case.settings.get(&setting.name).and_then(Json::as_str);
        if let Some(text) = given.map(str::to_owned).or_else(|| setting.default.clone()) {
            connection.settings.insert(setting.name.clone(), text);
        }
    }
    for (name, table) in case.lookups.as_object().into_iter().flatten() {
        let pairs: BTreeMap<String, String> = serde_json::from_value(table.clone())?;
        connection.lookups.insert(name.clone(), Table::new(pairs)?);
    }
    if let Some(currency) = case.vars.get("each_currency").and_then(Json::as_str) {
        connection.list_currencies.insert(case.each.clone(), currency.to_owned());
    }
    anyhow::ensure!(problems.is_empty(), "read the config of cases: {}", problems[0]);
    let connectors = BTreeMap::from([(connector.name.clone(), connector.clone())]);
    Ok(House::new(entities, connectors, config))
}

fn view<'h>(house: &'h House, case: &Case) -> anyhow::Result<View<'h>> {
    house
        .view("x", &case.resource)
        .with_context(|| format!("find the resource \"{}\" under these settings", case.resource))
}

fn check_project(view: &View<'_>, case: &Case) -> anyhow::Result<()> {
    let found = project::project(view, &case.item, &case.each)?;
    anyhow::ensure!(
        found.unreadable.is_empty() || case.expect.get("unreadable").is_some(),
        "read every row: {:?}",
        found.unreadable
    );
    let unreadable: Vec<&str> = found.unreadable.iter().map(|(row, _)| row.as_str()).collect();
    let rows = serde_json::to_value(&found.rows)?;
    let expected = case.expect.get("rows").unwrap_or(&Json::Null);
    for (row, value) in expected.as_object().into_iter().flatten() {
        let got = rows.get(row).unwrap_or(&Json::Null);
        anyhow::ensure!(got == value, "read {row}: expected {value}, got {got}");
    }
    equal("rows", expected, &rows)?;
    let given = json!({
        "id": found.remote, "version": found.version, "hints": found.hints,
        "unreadable": unreadable,
    });
    equal_keys(&case.expect, &given, &["rows"])
}

fn check_error(house: &House, case: &Case) -> anyhow::Result<()> {
    let (connection, connector) = house.connector("x").context("find the connector")?;
    let vars = connection.vars("");
    let env = Env { vars: &vars, tables: &connection.lookups, root: None };
    let fault = connector.errors.classify(case.status, &case.body, &env);
    let given = json!({
        "fault": fault.kind.name(), "code": fault.code, "text": fault.text,
        "holder": fault.holder,
    });
    equal_keys(&case.expect, &given, &[])
}

fn check_request(view: &View<'_>, case: &Case) -> anyhow::Result<()> {
    let request = request(view, case)?.context("render the request: it lacks a value")?;
    if let Some(document) = &request.document {
        equal("graphql", &case.expect["graphql"], &json!(document.as_ref()))?;
        let variables = request.body.unwrap_or_default()["variables"].take();
        return equal("variables", &case.expect["variables"], &variables);
    }
    equal("method", &case.expect["method"], &json!(request.method))?;
    equal("path", &case.expect["path"], &json!(request.path))?;
    let query: BTreeMap<String, String> = request.query.into_iter().collect();
    let expected = case.expect.get("query").cloned().unwrap_or_else(|| json!({}));
    equal("query", &expected, &json!(query))?;
    let body = request.body.unwrap_or_default();
    let body = if case.compare == "rows" { named_rows(&body) } else { body };
    equal("body", case.expect.get("body").unwrap_or(&Json::Null), &body)
}

fn request(view: &View<'_>, case: &Case) -> anyhow::Result<Option<Request>> {
    let resource = view.resource;
    let (what, name) = case.call.split_once(' ').unwrap_or((&case.call, ""));
    if what == "write" {
        return written(view, case, name);
    }
    let cycle = resource.lifecycle.as_ref();
    let call = match what {
        "list" => resource.list.as_ref().map(|l| &l.call),
        "full" => resource.list.as_ref().map(|l| l.full.as_ref().unwrap_or(&l.call)),
        "get" => resource.get.as_ref().map(|g| &g.call),
        "lookup" => resource.permit.as_ref().map(|p| &p.lookup),
        "rounding" => cycle.and_then(|c| c.rounding.as_ref()).map(|r| &r.call),
        "step" => cycle.and_then(|c| c.steps.iter().find(|s| s.name == name)).map(|s| &s.call),
        other => anyhow::bail!(
            "find the call \"{other}\": known are list, full, get, lookup, rounding, write NAME, \
             step NAME"
        ),
    };
    let call = call.with_context(|| format!("find {} of {}", case.call, resource.name))?;
    let mut vars = view.connection.vars(&case.each);
    for (name, value) in case.vars.as_object().into_iter().flatten() {
        vars.insert(name.clone(), value.clone());
    }
    Ok(call.render(&vars))
}

fn written(view: &View<'_>, case: &Case, name: &str) -> anyhow::Result<Option<Request>> {
    let write = view.resource.writes.iter().find(|w| w.name == name);
    let write = write.with_context(|| format!("find the write \"{name}\""))?;
    let remotes = match &case.remotes {
        Json::Null => BTreeMap::new(),
        remotes => serde_json::from_value(remotes.clone())?,
    };
    let payload = payload::create(view, &case.each, &case.record, &remotes)
        .map_err(|wait| anyhow::anyhow!("say it: {}", wait.reason))?;
    let text = |name: &str| case.vars.get(name).map(kilter_core::manifest::plain);
    let operation = Operation {
        object: 1,
        kind: *write.kinds.first().context("find a kind of write")?,
        fields: Vec::new(),
        payload,
        id: text("id"),
        each: case.each.clone(),
        parent: case.vars.get("parent").cloned(),
        above: None,
        partial: None,
        carried: Vec::new(),
        places: Vec::new(),
    };
    let batch = Batch { write: name.to_owned(), operations: vec![operation] };
    Ok(batch::request(view, write, &batch, CASE_KEY))
}

/// A table as its rows, each by the columns' names; empty cells are left out.
fn named_rows(body: &Json) -> Json {
    let list = |key: &str| body.get(key).and_then(Json::as_array).into_iter().flatten();
    let row = |cells: &Json| -> Json {
        let cells = cells.as_array().into_iter().flatten();
        let named = list("fields").filter_map(Json::as_str).map(str::to_owned).zip(cells.cloned());
        Json::Object(named.filter(|(_, cell)| cell != "").collect())
    };
    list("data").map(row).collect()
}

/// What is expected is there; what is not mentioned may be anything.
fn equal_keys(expect: &Json, given: &Json, but: &[&str]) -> anyhow::Result<()> {
    for (key, value) in expect.as_object().into_iter().flatten() {
        if !but.contains(&key.as_str()) {
            equal(key, value, given.get(key).unwrap_or(&Json::Null))?;
        }
    }
    Ok(())
}

fn equal(what: &str, expected: &Json, got: &Json) -> anyhow::Result<()> {
    anyhow::ensure!(
        expected == got,
        "{what}:\n        expected {expected}\n        got      {got}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> &'static Path {
        Path::new("no-such-folder")
    }

    #[test]
    fn the_cases_of_every_connector_hold() {
        let mut failed = Vec::new();
        for name in crate::catalog::names(nowhere()) {
            let mut problems = Vec::new();
            let connector = crate::catalog::connector(&name, nowhere(), &mut problems).unwrap();
            let cases = read(&crate::catalog::cases(&name, nowhere()), &mut problems);
            assert!(problems.is_empty(), "{problems:?}");
            assert!(!cases.is_empty(), "{name} has no cases");
            for case in cases {
                if let Err(error) = check(&connector, &case) {
                    failed.push(format!("{}:{}: {}: {error:#}", case.file, case.line, case.name));
                }
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }

    #[test]
    fn a_case_that_expects_something_else_fails() {
        let name = &crate::catalog::names(nowhere())[0];
        let mut problems = Vec::new();
        let connector = crate::catalog::connector(name, nowhere(), &mut problems).unwrap();
        for case in read(&crate::catalog::cases(name, nowhere()), &mut problems) {
            for key in case.expect.as_object().into_iter().flatten().map(|(key, _)| key) {
                let mut bent = Case { expect: case.expect.clone(), ..read_again(&case) };
                bent.expect[key.as_str()] = json!("something else");
                assert!(check(&connector, &bent).is_err(), "{}: {key} is not compared", case.name);
            }
        }
    }

    fn read_again(case: &Case) -> Case {
        let files = crate::catalog::cases(&crate::catalog::names(nowhere())[0], nowhere());
        let cases = read(&files, &mut Vec::new());
        cases.into_iter().find(|c| c.name == case.name).unwrap()
    }
}
