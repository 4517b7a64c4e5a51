//! Reads one `[connection.<name>]`: scope, lists, lookups, and the connector's own settings.
//!
//! Reads   a node of the config and the environment it is given.   Writes  problems.
//! Never   reads a variable or prints a secret itself.

use std::collections::BTreeMap;

use super::{Connection, Gone, Orders, Replace};
use crate::doc::{Node, Problem, Reader, Val};
use crate::manifest::plain;
use crate::mapping::Table;
use crate::schedule::{ALL, minute_of_day};

/// Keys of a connection that are not the connector's settings, and that no setting may be called.
pub const OWN_KEYS: &[&str] = &[
    "connector",
    "locale",
    "locales",
    "currency",
    "price_list",
    "price_lists",
    "locations",
    "channel",
    "lookup",
    "orders",
    "buffer",
    "paused",
    "observe",
    "bulk",
    "every",
    "sweep",
    "gone",
    "replace",
];

/// Keys that do not change what an object looks like.
const SHAPELESS: &[&str] = &["paused", "observe", "bulk", "every", "sweep", "gone", "replace"];

pub(super) fn read_connection(
    file: &str,
    name: &str,
    node: &Node,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Connection {
    // The connector's own settings are taken out first: only the connector knows their names.
    let (own, settings) = split(node);
    let mut inner = Reader::new(file, &format!("connection.{name}"), &own, problems);
    let mut connection = Connection {
        name: name.to_owned(),
        connector: inner.need_text("connector", problems),
        line: node.line,
        lines: BTreeMap::new(),
        account: String::new(),
        settings: BTreeMap::new(),
        secrets: BTreeMap::new(),
        locale: inner.text("locale", problems),
        locales: names(&mut inner, "locales", problems).into_iter().collect(),
        currency: inner.text("currency", problems),
        price_list: inner.text("price_list", problems),
        price_lists: names(&mut inner, "price_lists", problems).into_iter().collect(),
        list_currencies: BTreeMap::new(),
        locations: names(&mut inner, "locations", problems),
        channel: inner.text("channel", problems),
        lookups: BTreeMap::new(),
        orders: Orders {
            prefix: name.to_uppercase(),
            import: vec!["paid".into(), "completed".into()],
            since: None,
        },
        buffer: 0,
        buffers: BTreeMap::new(),
        paused: inner.flag("paused", problems).unwrap_or(false),
        observe: inner.texts("observe", problems).into_iter().collect(),
        bulk: inner.flag("bulk", problems).unwrap_or(true),
        every: BTreeMap::new(),
        sweep: BTreeMap::new(),
        gone: BTreeMap::new(),
        replace: BTreeMap::new(),
        shape: crate::doc::shape(node, |key| !SHAPELESS.contains(&key)),
    };
    lines(node, "", &mut connection.lines);
    for (key, value) in settings {
        if let Some(text) = interpolate(file, name, &key, value, env, problems) {
            connection.settings.insert(key, text);
        }
    }
    for (table, node) in inner.table("lookup", problems) {
        lookup(file, table, node, &mut connection, problems);
    }
    orders(&mut inner, name, &mut connection.orders, problems);
    connection.buffers = buffers(&mut inner, problems);
    connection.buffer = connection.buffers.remove("*").unwrap_or(0);
    connection.every = every(&mut inner, problems);
    connection.sweep = sweep(&mut inner, problems);
    let known = [("ask", Gone::Ask), ("leave", Gone::Leave), ("recreate", Gone::Recreate)];
    connection.gone = policies(&mut inner, "gone", &known, problems);
    let known = [("ask", Replace::Ask), ("always", Replace::Always)];
    connection.replace = policies(&mut inner, "replace", &known, problems);
    inner.finish(problems);
    connection
}

/// `gone = "ask"`, or a table: entity → policy.
fn policies<P: Copy>(
    inner: &mut Reader<'_>,
    key: &'static str,
    known: &[(&str, P)],
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, P> {
    let file = inner.file.to_owned();
    let mut out = BTreeMap::new();
    let Some(node) = inner.take(key) else { return out };
    let whole = [("*".to_owned(), node.clone())];
    let rows: Vec<(String, Node)> = match &node.val {
        Val::Table(table) => table.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        _ => whole.to_vec(),
    };
    for (entity, node) in rows {
        let said = node.as_text();
        let Some((_, policy)) = known.iter().find(|(name, _)| Some(*name) == said) else {
            let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            problems.push(Problem {
                file: file.clone(),
                line: node.line,
                text: format!("{key}: {} is no policy", node.to_json()),
                hint: format!("{}; or a table: entity → policy", names.join(" or ")),
            });
            continue;
        };
        out.insert(entity, *policy);
    }
    out
}

/// `buffer = 2`, or a table: SKU → pieces, `"*"` for all others.
fn buffers(inner: &mut Reader<'_>, problems: &mut Vec<Problem>) -> BTreeMap<String, u32> {
    let mut out = BTreeMap::new();
    let Some(node) = inner.take("buffer") else { return out };
    let one = BTreeMap::from([("*".to_owned(), node.clone())]);
    let table = if let Val::Table(table) = &node.val { table } else { &one };
    for (sku, node) in table {
        let pieces = if let Val::Number(n) = &node.val { n.parse::<u32>().ok() } else { None };
        match pieces {
            Some(pieces) => {
                out.insert(crate::model::record::fold(sku).into(), pieces);
            }
            None => inner.problem(
                node.line,
                format!("buffer of {sku} is no number of pieces"),
                "buffer = 2, or buffer = { \"*\" = 2, \"SKU-1\" = 10 }",
                problems,
            ),
        }
    }
    out
}

fn lines(node: &Node, place: &str, out: &mut BTreeMap<String, usize>) {
    let below =
        |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match &node.val {
        Val::Table(table) => {
            for (key, value) in table {
                out.insert(below(key), value.line);
                lines(value, &below(key), out);
            }
        }
        Val::List(items) => {
            out.extend(items.iter().map(|item| (below(&plain(&item.to_json())), item.line)));
        }
        _ => {}
    }
}

fn orders(inner: &mut Reader<'_>, name: &str, orders: &mut Orders, problems: &mut Vec<Problem>) {
    let Some(node) = inner.take("orders") else { return };
    let mut reader = Reader::new(inner.file, &format!("connection.{name}.orders"), node, problems);
    if let Some(prefix) = reader.text("prefix", problems) {
        orders.prefix = prefix;
    }
    let import = reader.texts("import", problems);
    if !import.is_empty() {
        orders.import = import;
    }
    orders.since = reader.text("since", problems);
    reader.finish(problems);
}

fn every(inner: &mut Reader<'_>, problems: &mut Vec<Problem>) -> BTreeMap<String, i64> {
    let mut out = BTreeMap::new();
    for (resource, node) in inner.table("every", problems) {
        let seconds = match &node.val {
            Val::Text(text) => crate::doc::duration_seconds(text),
            Val::Number(n) => n.parse().ok(),
            _ => None,
        };
        match seconds {
            Some(seconds) => {
                out.insert(resource.to_owned(), seconds);
            }
            None => inner.problem(
                node.line,
                format!("every.{resource} is no duration"),
                "\"30s\", \"5m\", \"1h\", \"1d\"",
                problems,
            ),
        }
    }
    out
}

/// `"03:00"`, or `{ at = "03:00", stock = "04:30" }`.
fn sweep(inner: &mut Reader<'_>, problems: &mut Vec<Problem>) -> BTreeMap<String, u32> {
    let Some(node) = inner.take("sweep") else { return BTreeMap::new() };
    let one = BTreeMap::from([(ALL.to_owned(), node.clone())]);
    let table = if let Val::Table(table) = &node.val { table } else { &one };
    let mut out = BTreeMap::new();
    for (name, node) in table {
        let place = format!("sweep.{name}");
        out.extend(minute(inner.file, &place, node, problems).map(|m| (name.clone(), m)));
    }
    out
}

pub(super) fn minute(
    file: &str,
    place: &str,
    node: &Node,
    problems: &mut Vec<Problem>,
) -> Option<u32> {
    let minute = node.as_text().and_then(minute_of_day);
    if minute.is_none() {
        problems.push(Problem {
            file: file.to_owned(),
            line: node.line,
            text: format!("{place} is no time of day"),
            hint: "\"03:00\", in UTC".to_owned(),
        });
    }
    minute
}

fn split(node: &Node) -> (Node, Vec<(String, &Node)>) {
    let mut own = BTreeMap::new();
    let mut settings = Vec::new();
    if let Val::Table(table) = &node.val {
        for (key, value) in table {
            // A table can only be ours: connectors' settings are plain texts.
            if OWN_KEYS.contains(&key.as_str()) || matches!(value.val, Val::Table(_)) {
                own.insert(key.clone(), value.clone());
            } else {
                settings.push((key.clone(), value));
            }
        }
        return (Node { val: Val::Table(own), line: node.line }, settings);
    }
    (node.clone(), settings)
}

fn interpolate(
    file: &str,
    connection: &str,
    key: &str,
    node: &Node,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let text = plain(&node.to_json());
    let Some(variable) = text.strip_prefix("${").and_then(|t| t.strip_suffix('}')) else {
        return Some(text);
    };
    let value = env(variable);
    if value.is_none() {
        problems.push(Problem {
            file: file.to_owned(),
            line: node.line,
            text: format!("connection.{connection}.{key}: the variable {variable} is not set"),
            hint: format!("export {variable}=…"),
        });
    }
    // Told once: it is not also lacking.
    value.or_else(|| Some(String::new()))
}

/// `["a", "b"]` or `{ a = "remote id", b = 7 }`.
fn names(
    inner: &mut Reader<'_>,
    key: &'static str,
    problems: &mut Vec<Problem>,
) -> Vec<(String, String)> {
    let Some(node) = inner.take(key) else { return Vec::new() };
    match &node.val {
        Val::Text(text) => vec![(text.clone(), text.clone())],
        Val::List(items) => items
            .iter()
            .map(|i| {
                let text = plain(&i.to_json());
                (text.clone(), text)
            })
            .collect(),
        Val::Table(table) => table.iter().map(|(k, v)| (k.clone(), plain(&v.to_json()))).collect(),
        _ => {
            let text = format!("{key} should be a list of names, or name = \"remote id\"");
            inner.problem(node.line, text, "", problems);
            Vec::new()
        }
    }
}

fn lookup(
    file: &str,
    name: &str,
    node: &Node,
    connection: &mut Connection,
    problems: &mut Vec<Problem>,
) {
    let pairs: Vec<(String, String)> =
        node.table().into_iter().flatten().map(|(k, v)| (k.clone(), plain(&v.to_json()))).collect();
    match Table::new(pairs) {
        Ok(table) => {
            connection.lookups.insert(name.to_owned(), table);
        }
        Err(error) => problems.push(Problem {
            file: file.to_owned(),
            line: node.line,
            text: format!("lookup.{name}: {error}"),
            hint: "each value may stand for one key only".to_owned(),
        }),
    }
}
