//! Validation of parameters as WordPress does it: type and enumeration, in schema order.
//!
//! Reads   one body or query.
//! Writes  nothing.
//! Never   runs inside a batch: there the platform validates nothing.

use serde_json::Value;

use super::api::{Answer, Fail, Invalid, Object, Req, whole};

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Text,
    Whole,
    WholeOrNull,
    Flag,
    List,
    Map,
    OneOf(&'static [&'static str]),
}

/// Checks the properties of a body that the schema names; unknown ones are ignored.
pub fn body(schema: &[(&str, Kind)], body: &Object) -> Answer<()> {
    let mut found = Vec::new();
    for (name, kind) in schema {
        if let Some(value) = body.get(*name)
            && let Some(problem) = problem(name, *kind, value)
        {
            found.push(problem);
        }
    }
    if found.is_empty() { Ok(()) } else { Err(Fail::invalid(&found)) }
}

fn problem(name: &str, kind: Kind, value: &Value) -> Option<Invalid> {
    let expected = match kind {
        Kind::Text if !value.is_string() => "string",
        Kind::Whole if whole(value).is_none() => "integer",
        Kind::WholeOrNull if !value.is_null() && whole(value).is_none() => "integer",
        Kind::Flag if !is_flag(value) => "boolean",
        Kind::List if !value.is_array() && !value.is_string() => "array",
        Kind::Map if !value.is_object() => "object",
        Kind::OneOf(known) => return not_one_of(name, known, value),
        _ => return None,
    };
    let message = format!("{name} is not of type {expected}.");
    Some(Invalid { name: name.to_owned(), code: "rest_invalid_type", message })
}

fn is_flag(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::String(text) => matches!(text.as_str(), "true" | "false" | "1" | "0" | ""),
        Value::Number(_) => matches!(whole(value), Some(0 | 1)),
        _ => false,
    }
}

fn not_one_of(name: &str, known: &[&str], value: &Value) -> Option<Invalid> {
    let Some(text) = value.as_str() else {
        let message = format!("{name} is not of type string.");
        return Some(Invalid { name: name.to_owned(), code: "rest_invalid_type", message });
    };
    if known.contains(&text) {
        return None;
    }
    let message = format!("{name} is not one of {}.", spoken(known));
    Some(Invalid { name: name.to_owned(), code: "rest_not_in_enum", message })
}

/// `a, b, and c`.
pub fn spoken(known: &[&str]) -> String {
    match known {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [one, two] => format!("{one} and {two}"),
        [rest @ .., last] => format!("{}, and {last}", rest.join(", ")),
    }
}

/// The window of a list.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub page: usize,
    pub per_page: usize,
    pub offset: Option<usize>,
    pub ascending: bool,
}

/// `page`, `per_page`, `offset`, `order`, `orderby` and the dates of a list.
pub fn list(req: &Req, order_by: &[&str], ascending: bool) -> Answer<Window> {
    let mut found = Vec::new();
    let page = number(req, "page", 1, 1, None, &mut found);
    let per_page = number(req, "per_page", 10, 1, Some(100), &mut found);
    let offset = req.query("offset").map(|_| number(req, "offset", 0, 0, None, &mut found));
    for name in ["after", "before", "modified_after", "modified_before"] {
        if let Some(text) = req.query(name)
            && super::clock::as_site_time(text, 0).is_none()
        {
            let message = "Invalid date.".to_owned();
            found.push(Invalid { name: name.to_owned(), code: "rest_invalid_date", message });
        }
    }
    for (name, known) in [("order", &["asc", "desc"][..]), ("orderby", order_by)] {
        if let Some(text) = req.query(name) {
            found.extend(not_one_of(name, known, &Value::String(text.to_owned())));
        }
    }
    if !found.is_empty() {
        return Err(Fail::invalid(&found));
    }
    let ascending = req.query("order").map_or(ascending, |order| order == "asc");
    Ok(Window { page, per_page, offset, ascending })
}

/// A whole number of the query between bounds; a problem is added to `found`.
fn number(
    req: &Req,
    name: &str,
    default: usize,
    least: usize,
    most: Option<usize>,
    found: &mut Vec<Invalid>,
) -> usize {
    let Some(text) = req.query(name) else { return default };
    let value = text.trim().parse::<i64>().ok();
    let fits = value
        .and_then(|v| usize::try_from(v).ok())
        .filter(|v| *v >= least && most.is_none_or(|most| *v <= most));
    if let Some(fits) = fits {
        return fits;
    }
    let (code, message) = match (value, most) {
        (None, _) => ("rest_invalid_type", format!("{name} is not of type integer.")),
        (_, Some(most)) => (
            "rest_out_of_bounds",
            format!("{name} must be between {least} (inclusive) and {most} (inclusive)"),
        ),
        _ => ("rest_out_of_bounds", format!("{name} must be greater than or equal to {least}")),
    };
    found.push(Invalid { name: name.to_owned(), code, message });
    default
}

/// A list parameter whose items are from an enumeration: `status[0] is not one of …`.
pub fn items(req: &Req, name: &str, known: &[&str]) -> Answer<Option<Vec<String>>> {
    let Some(list) = req.list(name) else { return Ok(None) };
    for (at, item) in list.iter().enumerate() {
        if !known.contains(&item.as_str()) {
            let message = format!("{name}[{at}] is not one of {}.", spoken(known));
            let one = Invalid { name: name.to_owned(), code: "rest_not_in_enum", message };
            return Err(Fail::invalid(&[one]));
        }
    }
    Ok(Some(list))
}

/// One value from an enumeration.
pub fn one(req: &Req, name: &str, known: &[&str]) -> Answer<Option<String>> {
    let Some(text) = req.query(name) else { return Ok(None) };
    match not_one_of(name, known, &Value::String(text.to_owned())) {
        Some(problem) => Err(Fail::invalid(&[problem])),
        None => Ok(Some(text.to_owned())),
    }
}
