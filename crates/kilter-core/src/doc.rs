//! A TOML text as a tree in which every value knows its line, and the problems found in it.
//!
//! Reads   the text of a config, connector or entity file.   Writes  nothing.
//! Never   stops at the first problem: whoever checks collects them all, each with `file:line`.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};

use crate::Json;

/// One mistake in a file: where, what is wrong, what was expected or may be done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub file: String,
    pub line: usize,
    pub text: String,
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\n    hint: {}", self.hint) }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Val {
    Text(String),
    Number(String),
    Bool(bool),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

/// A value and the line it starts at (from 1).
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub val: Val,
    pub line: usize,
}

/// Parses a file. Syntax errors are problems like any other; what could be read is returned.
pub fn parse(file: &str, text: &str, problems: &mut Vec<Problem>) -> Node {
    let lines = LineIndex::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |s| s.start);
        problems.push(Problem {
            file: file.to_owned(),
            line: lines.line(at),
            text: error.message().to_lowercase(),
            hint: "this is not TOML; see https://toml.io".to_owned(),
        });
    }
    let line = lines.line(table.span().start);
    Node { val: table_val(table.into_inner(), &lines), line }
}

struct LineIndex(Vec<usize>);

impl LineIndex {
    fn new(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i).collect())
    }
    fn line(&self, at: usize) -> usize {
        self.0.partition_point(|end| *end < at) + 1
    }
}

fn table_val(table: DeTable<'_>, lines: &LineIndex) -> Val {
    Val::Table(
        table
            .into_iter()
            .map(|(key, value)| {
                let line = lines.line(key.span().start);
                (key.into_inner().into_owned(), node(value.into_inner(), line, lines))
            })
            .collect(),
    )
}

fn node(value: DeValue<'_>, line: usize, lines: &LineIndex) -> Node {
    let val = match value {
        DeValue::String(text) => Val::Text(text.into_owned()),
        DeValue::Integer(n) => Val::Number(n.to_string()),
        DeValue::Float(n) => Val::Number(n.to_string()),
        DeValue::Boolean(b) => Val::Bool(b),
        DeValue::Datetime(d) => Val::Text(d.to_string()),
        DeValue::Array(items) => Val::List(
            items
                .into_iter()
                .map(|item| {
                    let line = lines.line(item.span().start);
                    node(item.into_inner(), line, lines)
                })
                .collect(),
        ),
        DeValue::Table(table) => table_val(table, lines),
    };
    Node { val, line }
}

impl Node {
    pub fn kind(&self) -> &'static str {
        match self.val {
            Val::Text(_) => "a text",
            Val::Number(_) => "a number",
            Val::Bool(_) => "true or false",
            Val::List(_) => "a list",
            Val::Table(_) => "a table",
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        if let Val::Text(text) = &self.val { Some(text) } else { None }
    }

    pub fn table(&self) -> Option<&BTreeMap<String, Node>> {
        if let Val::Table(table) = &self.val { Some(table) } else { None }
    }

    /// The value as JSON, for templates and constants. Numbers keep their digits.
    /// Without lines.
    pub fn to_json(&self) -> Json {
        match &self.val {
            Val::Text(text) => Json::String(text.clone()),
            Val::Number(n) => number(n),
            Val::Bool(b) => Json::Bool(*b),
            Val::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Val::Table(table) => {
                Json::Object(table.iter().map(|(k, v)| (k.clone(), v.to_json())).collect())
            }
        }
    }
}

fn number(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()))
}

/// Takes the keys of one table, one by one, and complains of what is left over.
pub struct Reader<'a> {
    pub file: &'a str,
    pub line: usize,
    place: String,
    left: BTreeMap<String, &'a Node>,
    known: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// `place` is how the table is called in problems, as `connection.de`.
    pub fn new(file: &'a str, place: &str, node: &'a Node, problems: &mut Vec<Problem>) -> Self {
        let left = match &node.val {
            Val::Table(table) => table.iter().map(|(k, v)| (k.clone(), v)).collect(),
            _ => {
                problems.push(Problem {
                    file: file.to_owned(),
                    line: node.line,
                    text: format!("{place} should be a table, not {}", node.kind()),
                    hint: String::new(),
                });
                BTreeMap::new()
            }
        };
        Self { file, line: node.line, place: place.to_owned(), left, known: Vec::new() }
    }

    pub fn problem(&self, line: usize, text: String, hint: &str, problems: &mut Vec<Problem>) {
        problems.push(Problem { file: self.file.to_owned(), line, text, hint: hint.to_owned() });
    }

    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.left.remove(key)
    }

    pub fn text(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Option<String> {
        let node = self.take(key)?;
        match &node.val {
            Val::Text(text) => Some(text.clone()),
            _ => {
                self.wrong(key, node, "a text", problems);
                None
            }
        }
    }

    pub fn need_text(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> String {
        if !self.left.contains_key(key) {
            self.missing(key, problems);
        }
        self.text(key, problems).unwrap_or_default()
    }

    pub fn missing(&self, key: &str, problems: &mut Vec<Problem>) {
        let text = format!("{} lacks \"{key}\"", self.place);
        self.problem(self.line, text, &format!("add {key} = …"), problems);
    }

    pub fn integer(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Option<i64> {
        let node = self.take(key)?;
        let parsed = if let Val::Number(n) = &node.val { n.parse().ok() } else { None };
        if parsed.is_none() {
            self.wrong(key, node, "a whole number", problems);
        }
        parsed
    }

    pub fn flag(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Option<bool> {
        let node = self.take(key)?;
        match node.val {
            Val::Bool(b) => Some(b),
            _ => {
                self.wrong(key, node, "true or false", problems);
                None
            }
        }
    }

    /// A text, or a list of texts; one text is a list of one.
    pub fn texts(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Vec<String> {
        let Some(node) = self.take(key) else { return Vec::new() };
        match &node.val {
            Val::Text(text) => vec![text.clone()],
            Val::List(items) if items.iter().all(|i| i.as_text().is_some()) => {
                items.iter().filter_map(|i| i.as_text().map(str::to_owned)).collect()
            }
            _ => {
                self.wrong(key, node, "a text or a list of texts", problems);
                Vec::new()
            }
        }
    }

    pub fn table(
        &mut self,
        key: &'static str,
        problems: &mut Vec<Problem>,
    ) -> Vec<(&'a str, &'a Node)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        match &node.val {
            Val::Table(table) => table.iter().map(|(k, v)| (k.as_str(), v)).collect(),
            _ => {
                self.wrong(key, node, "a table", problems);
                Vec::new()
            }
        }
    }

    pub fn list(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> &'a [Node] {
        match self.take(key) {
            None => &[],
            Some(Node { val: Val::List(items), .. }) => items,
            Some(node) => {
                self.wrong(key, node, "a list", problems);
                &[]
            }
        }
    }

    /// A duration as `30s`, `5m`, `1h`, `1d`, or a number of seconds. Returned in seconds.
    pub fn seconds(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Option<i64> {
        let node = self.take(key)?;
        let parsed = match &node.val {
            Val::Number(n) => n.parse().ok(),
            Val::Text(text) => duration_seconds(text),
            _ => None,
        };
        if parsed.is_none() {
            self.wrong(key, node, "a duration as \"30s\", \"5m\", \"1h\" or \"1d\"", problems);
        }
        parsed
    }

    fn wrong(&self, key: &str, node: &Node, expected: &str, problems: &mut Vec<Problem>) {
        let text = format!("{}.{key} should be {expected}, not {}", self.place, node.kind());
        self.problem(node.line, text, "", problems);
    }

    /// Every key that nobody took is a problem, with the nearest known spelling.
    pub fn finish(self, problems: &mut Vec<Problem>) {
        for (key, node) in &self.left {
            let text = format!("{} has no key \"{key}\"", self.place);
            let hint = near(key, self.known.iter().copied()).map_or_else(
                || format!("known: {}", self.known.join(", ")),
                |k| format!("did you mean \"{k}\"?"),
            );
            self.problem(node.line, text, &hint, problems);
        }
    }
}

pub fn duration_seconds(text: &str) -> Option<i64> {
    let cut = text.find(|c: char| !c.is_ascii_digit())?;
    let n: i64 = text[..cut].parse().ok()?;
    let unit = match &text[cut..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    n.checked_mul(unit)
}

/// The known word nearest to a misspelt one, if any is near.
pub fn near<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|k| (distance(word, k), k))
        .filter(|(d, k)| *d <= 2.max(k.len() / 3))
        .min()
        .map(|(_, k)| k)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut last = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let cost = if ca == *cb { last } else { 1 + last.min(row[j]).min(row[j + 1]) };
            last = row[j + 1];
            row[j + 1] = cost;
        }
    }
    row[b.len()]
}

/// A hash of the keys of a table that are wanted: comments and lines have no say in it.
pub fn shape(node: &Node, wanted: impl Fn(&str) -> bool) -> String {
    let mut hash = blake3::Hasher::new();
    for (key, value) in node.table().into_iter().flatten().filter(|(key, _)| wanted(key)) {
        hash.update(key.as_bytes()).update(b"=").update(value.to_json().to_string().as_bytes());
    }
    hash.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_line_and_every_problem_is_told() {
        let mut problems = Vec::new();
        let node = parse("k.toml", "a = 1\nurrl = \"x\"\n[t]\nb = \"5m\"\n", &mut problems);
        let mut reader = Reader::new("k.toml", "root", &node, &mut problems);
        assert_eq!(reader.text("a", &mut problems), None);
        assert_eq!(reader.text("url", &mut problems), None);
        let table = reader.take("t").unwrap();
        let mut inner = Reader::new("k.toml", "t", table, &mut problems);
        assert_eq!(inner.seconds("b", &mut problems), Some(300));
        reader.finish(&mut problems);
        let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            lines,
            [
                "k.toml:1: root.a should be a text, not a number",
                "k.toml:2: root has no key \"urrl\"\n    hint: did you mean \"url\"?"
            ]
        );
    }

    #[test]
    fn a_file_that_is_not_toml_is_a_problem_with_a_line() {
        let mut problems = Vec::new();
        parse("k.toml", "a = 1\nb = = 2\n", &mut problems);
        assert_eq!(problems[0].line, 2);
    }
}
