//! GraphQL documents: the files that calls name, and the POST that such a call becomes.
//!
//! Reads   the `.graphql` files of a connector's folder, the nodes of its `.toml` files.
//! Writes  into those nodes: `{ graphql, variables }` becomes method, path and body; problems.
//! Never   reads a schema, nor sends anything.
//!
//! It is done on the tree, before anything is read from it: so each place that takes a call takes
//! a document too, and the template of a request knows nothing of GraphQL.

use std::collections::{BTreeMap, BTreeSet};

use crate::doc::{Node, Val, near};
use crate::manifest::parts::{Problems, complain};

/// The documents of one folder, by the name of their file.
#[derive(Debug, Default)]
pub struct Documents<'a> {
    /// Where they are posted, from the connector's base.
    pub path: Option<String>,
    texts: BTreeMap<&'a str, &'a str>,
}

impl<'a> Documents<'a> {
    /// Takes the documents among the files of a folder. Each holds one operation.
    pub fn among(files: &'a [(String, String)], problems: &mut Problems) -> Self {
        let mut texts = BTreeMap::new();
        for (file, text) in files.iter().filter(|(file, _)| is_document(file)) {
            let count = operations(text);
            if count != 1 {
                let said = format!("a document holds one operation, not {count}");
                complain(file, 1, said, "make it a file for each operation", problems);
            }
            texts.insert(name_of(file), text.as_str());
        }
        Self { path: None, texts }
    }

    /// Fills in every call below the root of a file.
    pub fn fill_in(&self, file: &str, root: &mut Node, problems: &mut Problems) {
        let Val::Table(table) = &mut root.val else { return };
        for node in table.values_mut() {
            self.walk(file, node, problems);
        }
    }

    fn walk(&self, file: &str, node: &mut Node, problems: &mut Problems) {
        let line = node.line;
        if let Some((name, own)) = handed_on(node) {
            let text = self.text(file, line, &name, problems);
            *node = match own {
                None => text_node(text, line),
                Some(own) => named(file, text, own, problems),
            };
            return;
        }
        match &mut node.val {
            Val::Table(table) if table.contains_key(CALLS) => {
                self.fill(file, line, table, problems);
            }
            // Rows are named after fields: one may well be called like the key.
            Val::Table(table) => table
                .iter_mut()
                .filter(|(key, _)| *key != "rows")
                .for_each(|(_, inner)| self.walk(file, inner, problems)),
            Val::List(items) => items.iter_mut().for_each(|i| self.walk(file, i, problems)),
            _ => {}
        }
    }

    fn fill(
        &self,
        file: &str,
        line: usize,
        call: &mut BTreeMap<String, Node>,
        problems: &mut Problems,
    ) {
        for key in ["method", "path", "body"] {
            if let Some(node) = call.remove(key) {
                let text = format!("a call by a document has no \"{key}\" of its own");
                complain(file, node.line, text, "variables = { … }", problems);
            }
        }
        let path = self.path.clone().unwrap_or_else(|| {
            let hint = "add graphql = \"…\" to connector.toml: the path from the base";
            complain(file, line, "nothing says where documents are posted".into(), hint, problems);
            String::new()
        });
        let name = call.get(CALLS).and_then(Node::as_text).unwrap_or_default().to_owned();
        let document = self.text(file, line, &name, problems);
        let mut body = BTreeMap::from([("query".to_owned(), text_node(document, line))]);
        if let Some(mut variables) = call.remove("variables") {
            self.walk(file, &mut variables, problems);
            undeclared(file, document, &variables, problems);
            body.insert("variables".to_owned(), variables);
        }
        call.insert("method".to_owned(), text_node("POST", line));
        call.insert("path".to_owned(), text_node(&path, line));
        call.insert("body".to_owned(), Node { val: Val::Table(body), line });
    }

    fn text(&self, file: &str, line: usize, name: &str, problems: &mut Problems) -> &'a str {
        self.texts.get(name).copied().unwrap_or_else(|| {
            let hint = match near(name, self.texts.keys().copied()) {
                Some(known) => format!("did you mean \"{known}\"?"),
                None => "it lies beside connector.toml".to_owned(),
            };
            complain(file, line, format!("there is no document \"{name}\""), &hint, problems);
            ""
        })
    }
}

/// `{ as = "document", value = "products.graphql" }`: its text, for a call that hands it on. With
/// `named`, what its operation is called then.
fn handed_on(node: &Node) -> Option<(String, Option<Node>)> {
    let table = node.table()?;
    let known = |key: &String| ["as", "value", "named"].contains(&key.as_str());
    if table.get("as").and_then(Node::as_text) != Some("document") || !table.keys().all(known) {
        return None;
    }
    let value = table.get("value")?.as_text().unwrap_or_default().to_owned();
    Some((value, table.get("named").cloned()))
}

/// A document whose operation gets its name when it is sent: a text of parts.
fn named(file: &str, document: &str, own: Node, problems: &mut Problems) -> Node {
    let (line, text) = (own.line, document.trim_start());
    let kind = ["query", "mutation"].into_iter().find(|kind| {
        let rest = text.strip_prefix(kind).map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with(['(', '{']))
    });
    let Some(kind) = kind else {
        if !document.is_empty() {
            let said = "a document that gets its name when it is sent has none of its own";
            let hint = "it begins with query or mutation";
            complain(file, line, said.to_owned(), hint, problems);
        }
        return text_node(document, line);
    };
    let rest = &text[kind.len()..];
    let parts = vec![text_node(&format!("{kind} "), line), own, text_node(rest, line)];
    let parts = Node { val: Val::List(parts), line };
    let table = [("as".to_owned(), text_node("concat", line)), ("value".to_owned(), parts)];
    Node { val: Val::Table(BTreeMap::from(table)), line }
}

/// The key of a call that names a document.
const CALLS: &str = "graphql";

pub fn is_document(file: &str) -> bool {
    file.ends_with(".graphql")
}

fn name_of(file: &str) -> &str {
    file.rsplit(['/', '\\']).next().unwrap_or(file)
}

fn text_node(text: &str, line: usize) -> Node {
    Node { val: Val::Text(text.to_owned()), line }
}

/// A remote refuses a variable that its document does not declare; better here than there.
fn undeclared(file: &str, document: &str, variables: &Node, problems: &mut Problems) {
    let names: BTreeSet<&str> = document
        .split('$')
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(""))
        .collect();
    for (name, node) in variables.table().into_iter().flatten() {
        if !document.is_empty() && !names.contains(name.as_str()) {
            let hint = match near(name, names.iter().copied()) {
                Some(known) => format!("did you mean \"{known}\"?"),
                None => "declare it where the operation begins".to_owned(),
            };
            complain(file, node.line, format!("the document has no ${name}"), &hint, problems);
        }
    }
}

/// How many operations a document holds; fragments are none.
fn operations(document: &str) -> usize {
    let (mut count, mut depth, mut head) = (0, 0_usize, false);
    let mut word = String::new();
    for c in bare(document).chars().chain([' ']) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        if depth == 0 && !head && !word.is_empty() {
            head = true;
            count += usize::from(matches!(word.as_str(), "query" | "mutation" | "subscription"));
        }
        word.clear();
        match c {
            '{' | '(' | '[' => {
                // A selection without a word before it is a query.
                count += usize::from(c == '{' && depth == 0 && !head);
                depth += 1;
            }
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                head &= depth > 0 || c != '}';
            }
            _ => {}
        }
    }
    count
}

/// A document without its comments and texts.
fn bare(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    let mut rest = document;
    while let Some(at) = rest.find(['#', '"']) {
        out.push_str(&rest[..at]);
        out.push(' ');
        let from = &rest[at..];
        let end = match from.strip_prefix("\"\"\"") {
            Some(block) => block.find("\"\"\"").map(|n| n + 6),
            None if from.starts_with('#') => from.find('\n'),
            None => text_end(from),
        };
        rest = end.map_or("", |end| &from[end..]);
    }
    out.push_str(rest);
    out
}

/// Where the text that starts with a quote ends.
fn text_end(from: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in from.char_indices().skip(1) {
        match c {
            '"' if !escaped => return Some(at + 1),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::read_connector;

    #[test]
    fn one_operation_is_told_from_more() {
        for (document, count) in [
            ("{ shop { id } }", 1),
            ("query { a(x: {b: \"}\"}) }", 1),
            ("# query\nquery A($x: In = {a: 1}) @live { a }\nfragment F on T { b }", 1),
            ("mutation query { a { b } }", 1),
            ("query A { a } query B { b }", 2),
            ("{ a } { b }", 2),
            ("fragment F on T { b }", 0),
            ("\"\"\" mutation { \"\"\" query { a(t: \"\\\" { \") }", 1),
            ("", 0),
        ] {
            assert_eq!(operations(document), count, "{document}");
        }
    }

    fn read(connector: &str, call: &str) -> (Vec<String>, Option<crate::manifest::Call>) {
        let document = "query ($first: Int!) {\n  products(first: $first) { nodes { id } }\n}\n";
        let files = [
            (
                "x/connector.toml",
                format!("connector = \"x\"\ntitle = \"X\"\nbase = \"$url\"\n{connector}"),
            ),
            ("x/products.graphql", document.to_owned()),
            (
                "x/a.toml",
                format!("resource = \"a\"\nroot = \"product\"\nid = \"id\"\n[list]\ncall = {call}"),
            ),
        ];
        let files = files.map(|(f, t)| (f.to_owned(), t));
        let mut problems = Vec::new();
        let connector = read_connector(&files, &mut problems).unwrap();
        let call = connector.resources[0].list.as_ref().map(|l| l.call.clone());
        (problems.iter().map(ToString::to_string).collect(), call)
    }

    #[test]
    fn a_call_by_a_document_is_a_post_of_it() {
        let call = "{ graphql = \"products.graphql\", variables = { first = \"$size\" } }";
        let (problems, call) = read("graphql = \"graphql.json\"", call);
        assert_eq!(problems, Vec::<String>::new());
        let vars = crate::manifest::Vars::from([("size".to_owned(), serde_json::json!(50))]);
        let request = call.unwrap().render(&vars).unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/graphql.json"));
        assert_eq!(request.document.as_deref(), Some("products.graphql"));
        let body = request.body.unwrap();
        assert!(body["query"].as_str().unwrap().starts_with("query ($first"));
        assert_eq!(body["variables"], serde_json::json!({ "first": 50 }));
    }

    #[test]
    fn a_document_that_is_not_there_is_told_with_its_line() {
        let (problems, _) = read("graphql = \"g\"", "{ graphql = \"product.graphql\" }");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("x/a.toml:5: there is no document \"product.graphql\""));
        assert!(problems[0].contains("did you mean \"products.graphql\"?"), "{problems:?}");
    }

    #[test]
    fn a_document_is_handed_on_whole() {
        let call = |name: &str| {
            format!(
                "{{ graphql = \"products.graphql\", variables = \
                 {{ first = {{ as = \"document\", value = \"{name}\" }} }} }}"
            )
        };
        let (problems, whole) = read("graphql = \"g\"", &call("products.graphql"));
        assert_eq!(problems, Vec::<String>::new());
        let body = whole.unwrap().render(&crate::manifest::Vars::new()).unwrap().body.unwrap();
        assert_eq!(body["variables"]["first"], body["query"]);
        let (problems, _) = read("graphql = \"g\"", &call("product.graphql"));
        assert!(problems[0].starts_with("x/a.toml:5: there is no document"), "{problems:?}");
    }

    #[test]
    fn a_document_that_is_handed_on_gets_its_name_when_it_is_sent() {
        let call = "{ graphql = \"products.graphql\", variables = { first = \
                    { as = \"document\", value = \"products.graphql\", named = \"$mark\" } } }";
        let (problems, call) = read("graphql = \"g\"", call);
        assert_eq!(problems, Vec::<String>::new());
        let vars = crate::manifest::Vars::from([("mark".to_owned(), serde_json::json!("k_7"))]);
        let body = call.unwrap().render(&vars).unwrap().body.unwrap();
        let given = body["query"].as_str().unwrap().replacen("query (", "query k_7 (", 1);
        assert_eq!(body["variables"]["first"], given);
        let mut problems = Vec::new();
        let own = || text_node("$mark", 3);
        named("x/a.toml", "query Mine { a }", own(), &mut problems);
        named("x/a.toml", "{ a }", own(), &mut problems);
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.iter().all(|t| t.contains("has none of its own")), "{told:?}");
    }

    #[test]
    fn misuse_is_refused() {
        let (problems, _) = read("", "{ graphql = \"products.graphql\" }");
        assert!(problems[0].contains("nothing says where documents are posted"), "{problems:?}");
        let call = "{ graphql = \"products.graphql\", path = \"x\", variables = { fist = 1 } }";
        let (problems, _) = read("graphql = \"g\"", call);
        assert!(problems[0].contains("has no \"path\" of its own"), "{problems:?}");
        assert!(problems[1].contains("the document has no $fist"), "{problems:?}");
        assert!(problems[1].contains("did you mean \"first\"?"), "{problems:?}");
    }
}
