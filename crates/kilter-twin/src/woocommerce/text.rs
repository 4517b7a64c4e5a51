//! What the shop does to text: tags stripped, `&` escaped, prices parsed instead of validated.
//!
//! Reads   nothing.
//! Writes  nothing.
//! Never   refuses a text: the platform rewrites it silently.

use rust_decimal::Decimal;
use serde_json::Value;

const TAGS: &[&str] = &[
    "a",
    "abbr",
    "b",
    "blockquote",
    "br",
    "code",
    "dd",
    "del",
    "div",
    "dl",
    "dt",
    "em",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "u",
    "ul",
];

/// Names and descriptions: backslashes go, unknown tags go (their text stays), a lone `<` or `&`
/// is escaped, outer blanks go.
pub fn rich(given: &str) -> String {
    let given: String = given.chars().filter(|c| *c != '\\').collect();
    let mut out = String::with_capacity(given.len());
    let mut rest = given.as_str();
    while let Some(at) = rest.find(['<', '>', '&']) {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        let taken = match tail.as_bytes()[0] {
            b'<' => tag(tail, &mut out),
            b'&' => ampersand(tail, &mut out),
            _ => {
                out.push_str("&gt;");
                1
            }
        };
        rest = &tail[taken..];
    }
    out.push_str(rest);
    out.trim().to_owned()
}

/// At a `<`: keeps a known tag, drops another one, escapes a `<` that is never closed.
fn tag(tail: &str, out: &mut String) -> usize {
    let Some(end) = tail[1..].find(['<', '>']).map(|n| n + 1) else {
        out.push_str("&lt;");
        return 1;
    };
    if tail.as_bytes()[end] == b'<' {
        out.push_str("&lt;");
        return 1;
    }
    let name: String = tail[1..end]
        .trim_start_matches('/')
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_lowercase();
    if TAGS.contains(&name.as_str()) {
        out.push_str(&tail[..=end]);
    }
    end + 1
}

/// At a `&`: an entity stays, anything else becomes `&amp;`.
fn ampersand(tail: &str, out: &mut String) -> usize {
    let end = tail.find(';').filter(|end| *end > 1 && *end <= 10);
    let entity = end.is_some_and(|end| {
        let inner = tail[1..end].strip_prefix('#').unwrap_or(&tail[1..end]);
        !inner.is_empty() && inner.chars().all(|c| c.is_ascii_alphanumeric())
    });
    out.push_str(if entity { "&" } else { "&amp;" });
    1
}

/// A SKU: tags go, runs of blanks become one, outer blanks go.
pub fn sku(given: &str) -> String {
    let mut out = String::with_capacity(given.len());
    let mut rest = given;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        match rest[at..].find('>') {
            Some(end) => rest = &rest[at + end + 1..],
            None => {
                out.push_str("&lt;");
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A price: everything but digits, the last dot and minus signs is dropped. `"12,50 €"` → `1250`.
pub fn price(given: &str) -> String {
    let last = given.rfind('.');
    let kept: String = given
        .char_indices()
        .filter(|(at, c)| c.is_ascii_digit() || *c == '-' || (*c == '.' && Some(*at) == last))
        .map(|(_, c)| c)
        .collect();
    if kept.chars().any(|c| c.is_ascii_digit()) { kept } else { String::new() }
}

pub fn price_of(value: &Value) -> String {
    price(&super::api::loose_text(value))
}

/// The number in a stored price, `None` when it is empty.
pub fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    if text.is_empty() { None } else { text.parse().ok() }
}

pub fn slug(name: &str) -> String {
    let mut out = String::new();
    for c in name.replace("&amp;", "").to_lowercase().chars() {
        match c {
            'ä' | 'à' | 'á' | 'â' | 'å' => out.push('a'),
            'ö' | 'ó' | 'ò' | 'ô' => out.push('o'),
            'ü' | 'ú' | 'ù' | 'û' => out.push('u'),
            'é' | 'è' | 'ê' | 'ë' => out.push('e'),
            'ß' => out.push('s'),
            c if c.is_ascii_alphanumeric() || c == '_' => out.push(c),
            ' ' | '-' | '–' | '/' => out.push('-'),
            _ => {}
        }
    }
    let parts: Vec<&str> = out.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

/// A value of `meta_data` as it comes back: scalars become text.
pub fn meta_value(given: &Value) -> Value {
    match given {
        Value::Array(_) | Value::Object(_) => given.clone(),
        other => Value::String(super::api::loose_text(other)),
    }
}

/// What reading a description adds to it: paragraphs.
pub fn paragraphs(stored: &str) -> String {
    if stored.is_empty() {
        return String::new();
    }
    let block = ["<p", "<div", "<ul", "<ol", "<h", "<table", "<blockquote", "<pre"];
    if block.iter().any(|open| stored.starts_with(open)) {
        return format!("{stored}\n");
    }
    let parts = stored.split("\n\n").filter(|part| !part.trim().is_empty());
    parts.map(|part| format!("<p>{}</p>\n", part.trim().replace('\n', "<br />\n"))).collect()
}

/// JSON as PHP writes it: `/` as `\/`, everything beyond ASCII as `\uXXXX`.
pub fn php_json(value: &Value) -> String {
    let plain = value.to_string();
    let mut out = String::with_capacity(plain.len() + plain.len() / 8);
    for c in plain.chars() {
        if c == '/' {
            out.push_str("\\/");
        } else if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0u16; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}
