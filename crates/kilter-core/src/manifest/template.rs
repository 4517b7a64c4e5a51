//! Typed templates of requests. A placeholder is a whole value, never spliced text.
//!
//! Reads   a template and the values of its placeholders.   Writes  nothing.
//! Never   joins strings: a path is a list of segments, a query a table, a body a value.
//!
//! `"$name"` is the value of `name`; `"$name.part"` a part of it; `"$$x"` is the text `"$x"`.
//! A placeholder without a value is *absent*: its key is left out of a table; a list that holds
//! it directly is absent as a whole, and is left out of the list around it. So a filter whose
//! bound is not known yet disappears:  `[["write_date", ">=", "$since"]]`  becomes  `[]`.
//! `{ as = "json", value = … }` encodes a value; the encodings are named after formats.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Map, json};

use crate::Json;

/// The values of placeholders.
pub type Vars = BTreeMap<String, Json>;

/// None = absent.
pub fn render(template: &Json, vars: &Vars) -> Option<Json> {
    match template {
        Json::String(text) => placeholder(text, vars),
        Json::Array(items) => list(items, vars),
        Json::Object(table) => match (table.get("as").and_then(Json::as_str), table.get("value")) {
            (Some(encoding), Some(value)) if table.len() == 2 => {
                encode(encoding, render(value, vars)?)
            }
            _ => Some(Json::Object(
                table
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), render(value, vars)?)))
                    .collect(),
            )),
        },
        other => Some(other.clone()),
    }
}

fn list(items: &[Json], vars: &Vars) -> Option<Json> {
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        match render(item, vars) {
            Some(value) => out.push(value),
            None if is_one_value(item) => return None,
            None => {}
        }
    }
    Some(Json::Array(out))
}

/// A placeholder, or an encoding of one.
fn is_one_value(item: &Json) -> bool {
    item.is_string() || item.get("as").is_some_and(Json::is_string)
}

fn placeholder(text: &str, vars: &Vars) -> Option<Json> {
    let Some(name) = text.strip_prefix('$') else { return Some(Json::String(text.to_owned())) };
    if name.starts_with('$') {
        return Some(Json::String(name.to_owned()));
    }
    let mut parts = name.split('.');
    let mut value = vars.get(parts.next()?)?;
    for part in parts {
        // `$items.0.id`: a number names an item of a list.
        let item = || part.parse::<usize>().ok().and_then(|n| value.get(n));
        value = value.get(part).or_else(item)?;
    }
    Some(value.clone())
}

/// The encodings that a template may name.
pub const ENCODINGS: &[&str] = &[
    "json",
    "base64url_json",
    "rows",
    "csv",
    "concat",
    "search_text",
    "number",
    "null",
    "tagged_date",
    "tagged_decimal",
];

fn encode(encoding: &str, value: Json) -> Option<Json> {
    match encoding {
        "json" => Some(Json::String(value.to_string())),
        "base64url_json" => Some(Json::String(URL_SAFE.encode(value.to_string()))),
        "csv" => {
            Some(Json::String(value.as_array()?.iter().map(plain).collect::<Vec<_>>().join(",")))
        }
        // Parts of one text. What came from a remote needs quotes, or it could end the text
        // around it: `search_text` gives them.
        "concat" => {
            value.as_array()?.iter().map(part).collect::<Option<String>>().map(Json::String)
        }
        "search_text" => part(&value).map(|text| Json::String(search_text(&text))),
        // A setting is a text; where a remote wants a number, the template says so.
        "number" => match value {
            Json::Number(_) => Some(value),
            other => other.as_str()?.parse().ok().map(Json::Number),
        },
        // TOML has no null: a value that is there stands for it.
        "null" => Some(Json::Null),
        "tagged_decimal" => Some(json!({ "__class__": "Decimal", "decimal": value.as_str()? })),
        "tagged_date" => {
            let text = value.as_str()?;
            let mut parts = text.split('-').map(|p| p.parse::<i64>().ok());
            let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
            Some(json!({ "__class__": "date", "year": year, "month": month, "day": day }))
        }
        "rows" => Some(rows(value.as_array()?)),
        _ => None,
    }
}

/// A part of a text; what is no single value is none, and takes the text with it.
fn part(value: &Json) -> Option<String> {
    (value.is_string() || value.is_number()).then(|| plain(value))
}

/// For use between single quotes.
fn search_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

/// Objects as one table: `{fields: […], data: [[…]]}`. A list inside an object becomes columns
/// `list/key` and, beyond its first item, continuation rows in which all other cells are empty. Null is an empty cell.
fn rows(items: &[Json]) -> Json {
    let mut fields: Vec<String> = Vec::new();
    let mut data: Vec<BTreeMap<String, Json>> = Vec::new();
    for item in items.iter().filter_map(Json::as_object) {
        let mut lines = vec![BTreeMap::new()];
        for (key, value) in item {
            match value.as_array() {
                Some(children) => children_rows(key, children, &mut lines),
                None => {
                    lines[0].insert(key.clone(), value.clone());
                }
            }
        }
        for line in &lines {
            for field in line.keys().filter(|f| !fields.contains(f)).cloned().collect::<Vec<_>>() {
                fields.push(field);
            }
        }
        data.append(&mut lines);
    }
    let data: Vec<Json> = data
        .into_iter()
        .map(|line| {
            let cell = |field| line.get(field).filter(|v: &&Json| !v.is_null()).cloned();
            fields.iter().map(|f| cell(f).unwrap_or_else(|| json!(""))).collect()
        })
        .collect();
    json!({ "fields": fields, "data": data })
}

fn children_rows(key: &str, children: &[Json], lines: &mut Vec<BTreeMap<String, Json>>) {
    for (n, child) in children.iter().filter_map(Json::as_object).enumerate() {
        if lines.len() <= n {
            lines.push(BTreeMap::new());
        }
        for (field, value) in child {
            lines[n].insert(format!("{key}/{field}"), value.clone());
        }
    }
}

/// A value as the text of a query parameter or path segment.
pub fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A request as data: what a template becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub method: String,
    /// Path with each segment percent-encoded, from the connection's base.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Option<Json>,
    /// The document that it posts: what such calls have in common.
    pub document: Option<Arc<str>>,
}

/// The template of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub method: String,
    pub path: Vec<String>,
    pub query: Json,
    pub headers: Json,
    pub body: Option<Json>,
    pub document: Option<Arc<str>>,
}

impl Call {
    /// None when a path segment has no value: the caller lacks an id it needs.
    pub fn render(&self, vars: &Vars) -> Option<Request> {
        let mut path = String::new();
        for segment in &self.path {
            path.push('/');
            let value = placeholder(segment, vars)?;
            let text = plain(&value);
            let encoded = percent_encoding::utf8_percent_encode(&text, SEGMENT);
            path.extend(encoded);
        }
        Some(Request {
            method: self.method.clone(),
            path,
            query: pairs(&self.query, vars),
            headers: pairs(&self.headers, vars),
            body: self.body.as_ref().and_then(|b| render(b, vars)),
            document: self.document.clone(),
        })
    }
}

const SEGMENT: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn pairs(table: &Json, vars: &Vars) -> Vec<(String, String)> {
    let rendered = render(table, vars).unwrap_or_else(|| Json::Object(Map::new()));
    let mut out = Vec::new();
    for (key, value) in rendered.as_object().into_iter().flatten() {
        match value.as_array() {
            Some(items) => out.extend(items.iter().map(|v| (key.clone(), plain(v)))),
            None => out.push((key.clone(), plain(value))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: Json, vars: &[(&str, Json)], expected: Json) {
        let vars: Vars = vars.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        assert_eq!(render(&template, &vars).unwrap_or(Json::Null), expected);
    }

    #[test]
    fn a_placeholder_is_a_whole_value() {
        check(json!({"ids": "$ids"}), &[("ids", json!([1, 2]))], json!({"ids": [1, 2]}));
        check(json!("$o.a"), &[("o", json!({"a": 7}))], json!(7));
        check(json!("$$x"), &[], json!("$x"));
        check(json!("a $x b"), &[("x", json!(1))], json!("a $x b"));
    }

    #[test]
    fn a_filter_without_its_bound_disappears() {
        let domain = json!({"domain": [["active", "=", true], ["write_date", ">=", "$since"]]});
        check(domain.clone(), &[], json!({"domain": [["active", "=", true]]}));
        check(
            domain,
            &[("since", json!("2026"))],
            json!({"domain": [["active", "=", true], ["write_date", ">=", "2026"]]}),
        );
    }

    #[test]
    fn a_text_becomes_the_number_that_a_remote_wants() {
        let number = json!({"as": "number", "value": "$company"});
        check(number.clone(), &[("company", json!("7"))], json!(7));
        check(number.clone(), &[("company", json!("0.02"))], json!(0.02));
        check(number.clone(), &[("company", json!("seven"))], Json::Null);
        check(json!([["id", "=", number]]), &[], json!([]));
        let null = json!({"cost": {"as": "null", "value": "$no_cost"}});
        check(null.clone(), &[("no_cost", json!("yes"))], json!({"cost": null}));
        check(null, &[], json!({}));
        check(
            json!({"as": "tagged_decimal", "value": "$difference"}),
            &[("difference", json!("-0.02"))],
            json!({"__class__": "Decimal", "decimal": "-0.02"}),
        );
    }

    #[test]
    fn a_text_of_parts_needs_each_of_them() {
        let since = json!({"as": "concat", "value": ["updated_at:>='", "$since", "'"]});
        check(since.clone(), &[("since", json!("2026-11-23"))], json!("updated_at:>='2026-11-23'"));
        check(json!({"first": 5, "query": since.clone()}), &[], json!({"first": 5}));
        check(since.clone(), &[("since", json!(null))], json!(null));
        check(since, &[("since", json!(["a"]))], json!(null));
        let both = json!({"as": "concat", "value": ["id:", "$id", {"as": "concat", "value": [" after:", "$after"]}]});
        check(both.clone(), &[("id", json!(7)), ("after", json!("x"))], json!("id:7 after:x"));
        check(both, &[("id", json!(7))], json!(null));
    }

    #[test]
    fn a_remote_value_cannot_end_the_text_around_it() {
        let sku = json!({"as": "concat", "value": ["sku:'", {"as": "search_text", "value": "$sku"}, "'"]});
        check(sku.clone(), &[("sku", json!("O'Neill \\"))], json!("sku:'O\\'Neill \\\\'"));
        check(sku.clone(), &[("sku", json!("' OR id:*"))], json!("sku:'\\' OR id:*'"));
        check(sku, &[], json!(null));
    }

    #[test]
    fn rows_put_a_list_into_continuation_rows() {
        let items =
            json!([{"id": "a", "line": [{"n": 1}, {"n": 2}]}, {"id": "b", "line": [{"n": null}]}]);
        check(
            json!({"as": "rows", "value": "$items"}),
            &[("items", items)],
            json!({"fields": ["id", "line/n"], "data": [["a", 1], ["", 2], ["b", ""]]}),
        );
    }

    #[test]
    fn a_path_segment_is_encoded_as_one() {
        let call = Call {
            method: "GET".into(),
            path: vec!["products".into(), "$id".into()],
            query: json!({}),
            headers: json!({}),
            body: None,
            document: None,
        };
        let vars = Vars::from([("id".to_owned(), json!("../x y"))]);
        assert_eq!(call.render(&vars).unwrap().path, "/products/..%2Fx%20y");
        assert!(call.render(&Vars::new()).is_none());
    }
}
