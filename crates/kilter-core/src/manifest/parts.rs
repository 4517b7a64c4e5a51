//! The small parts that connector and resource files share: calls, paths, lenses, conditions.
//!
//! Reads   nodes of a connector's files.   Writes  problems.   Never  stops at the first one.

use crate::Json;
use crate::doc::{Node, Problem, Reader, Val};
use crate::manifest::template::{Call, ENCODINGS};
use crate::manifest::types::OnlyIf;
use crate::mapping::{Lens, Path};

pub type Problems = Vec<Problem>;

/// Says where a mistake is, for parsers that only know the text.
pub fn complain(file: &str, line: usize, text: String, hint: &str, problems: &mut Problems) {
    problems.push(Problem { file: file.to_owned(), line, text, hint: hint.to_owned() });
}

pub fn lens(file: &str, node: &Node, problems: &mut Problems) -> Option<Lens> {
    let Some(text) = node.as_text() else {
        complain(file, node.line, format!("a lens is a text, not {}", node.kind()), "", problems);
        return None;
    };
    match Lens::parse(text) {
        Ok(lens) => Some(lens),
        Err(error) => {
            let hint = error.hint.clone().unwrap_or_default();
            complain(file, node.line, format!("in \"{text}\": {error}"), &hint, problems);
            None
        }
    }
}

pub fn path(file: &str, node: &Node, problems: &mut Problems) -> Option<Path> {
    let text = node.as_text().unwrap_or_default();
    match Path::parse(text) {
        Ok(path) => Some(path),
        Err(error) => {
            let hint = error.hint.clone().unwrap_or_default();
            complain(file, node.line, format!("in \"{text}\": {error}"), &hint, problems);
            None
        }
    }
}

/// A path under a key; `.` (the whole) where the key is missing.
pub fn path_or_whole(reader: &mut Reader<'_>, key: &'static str, problems: &mut Problems) -> Path {
    reader.take(key).and_then(|node| path(reader.file, node, problems)).unwrap_or_default()
}

pub fn lens_at(
    reader: &mut Reader<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<Lens> {
    let node = reader.take(key)?;
    lens(reader.file, node, problems)
}

pub fn path_at(
    reader: &mut Reader<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<Path> {
    let node = reader.take(key)?;
    path(reader.file, node, problems)
}

/// One path or a list of them.
pub fn paths_at(reader: &mut Reader<'_>, key: &'static str, problems: &mut Problems) -> Vec<Path> {
    let Some(node) = reader.take(key) else { return Vec::new() };
    match &node.val {
        Val::List(items) => {
            items.iter().filter_map(|item| path(reader.file, item, problems)).collect()
        }
        _ => path(reader.file, node, problems).into_iter().collect(),
    }
}

/// `{ method, path, query, headers, body }`; one by a document was filled in before.
pub fn call(file: &str, place: &str, node: &Node, problems: &mut Problems) -> Call {
    encodings(file, node, problems);
    let mut reader = Reader::new(file, place, node, problems);
    let document = reader.text("graphql", problems).map(Into::into);
    let method = reader.text("method", problems).unwrap_or_else(|| "GET".to_owned());
    let path = reader.need_text("path", problems);
    let table = |node: Option<&Node>| node.map_or_else(|| serde_json::json!({}), Node::to_json);
    let query = table(reader.take("query"));
    let headers = table(reader.take("headers"));
    let body = reader.take("body").map(Node::to_json);
    reader.finish(problems);
    let path = path.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
    Call { method, path, query, headers, body, document }
}

/// A template that names an encoding which is none would be left out without a word.
fn encodings(file: &str, node: &Node, problems: &mut Problems) {
    match &node.val {
        Val::List(items) => items.iter().for_each(|i| encodings(file, i, problems)),
        Val::Table(table) => {
            let named = table.get("as").and_then(Node::as_text);
            let named = named.filter(|_| table.len() == 2 && table.contains_key("value"));
            if let Some(name) = named.filter(|name| !ENCODINGS.contains(name)) {
                let text = format!("there is no encoding \"{name}\"");
                let hint = format!("known: {}", ENCODINGS.join(", "));
                complain(file, node.line, text, &hint, problems);
            }
            table.values().for_each(|n| encodings(file, n, problems));
        }
        _ => {}
    }
}

pub fn call_at(
    reader: &mut Reader<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<Call> {
    let node = reader.take(key)?;
    Some(call(reader.file, key, node, problems))
}

/// `{ type = "variation", parent_id = [1, 2] }`: path → values, any of which fits.
pub fn keep(
    reader: &mut Reader<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Vec<(Path, Vec<Json>)> {
    let mut out = Vec::new();
    for (text, node) in reader.table(key, problems) {
        let path = match Path::parse(text) {
            Ok(path) => path,
            Err(error) => {
                reader.problem(node.line, format!("in \"{text}\": {error}"), "", problems);
                continue;
            }
        };
        out.push((path, one_or_many(node)));
    }
    out
}

pub fn one_or_many(node: &Node) -> Vec<Json> {
    match &node.val {
        Val::List(items) => items.iter().map(Node::to_json).collect(),
        _ => vec![node.to_json()],
    }
}

/// Does an item fit all conditions of a `keep`?
pub fn fits(keep: &[(Path, Vec<Json>)], item: &Json, env: &crate::mapping::Env<'_>) -> bool {
    keep.iter().all(|(path, values)| {
        let found = path.read(item, env).unwrap_or(Json::Null);
        values.contains(&found)
    })
}

/// `only_if = { setting = "value" }`, or a list of values.
pub fn only_if(reader: &mut Reader<'_>, problems: &mut Problems) -> OnlyIf {
    let table = reader.table("only_if", problems);
    table.into_iter().map(|(setting, node)| (setting.to_owned(), one_or_many(node))).collect()
}
