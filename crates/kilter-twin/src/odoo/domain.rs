//! Search domains: prefix notation with "&", "|", "!" and leaves `[path, operator, value]`.
//!
//! Reads   records, through `read::value`.
//! Writes  nothing.
//! Never   sorts or limits; that is `read::search`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::error::{Answer, Fault};
use super::read::{self, Ctx};
use super::schema::{self, Field, Kind};
use super::store::Db;
use super::value;

#[derive(Debug)]
pub enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Leaf { path: String, operator: String, value: Value },
    Constant(bool),
}

pub fn parse(domain: &Value) -> Answer<Node> {
    let empty = Vec::new();
    let items = match domain {
        Value::Array(items) => items,
        Value::Null | Value::Bool(false) => &empty,
        _ => return Err(Fault::value(format!("Domain() invalid item in domain: {domain}"))),
    };
    let mut position = 0;
    let mut nodes = Vec::new();
    while position < items.len() {
        nodes.push(term(items, &mut position)?);
    }
    Ok(Node::All(nodes))
}

fn term(items: &[Value], position: &mut usize) -> Answer<Node> {
    let item = items.get(*position).ok_or_else(|| Fault::value("Malformed domain"))?;
    *position += 1;
    match item {
        Value::String(sign) if sign == "!" => Ok(Node::Not(Box::new(term(items, position)?))),
        Value::String(sign) if sign == "&" || sign == "|" => {
            let pair = vec![term(items, position)?, term(items, position)?];
            Ok(if sign == "&" { Node::All(pair) } else { Node::Any(pair) })
        }
        Value::Array(leaf) => match leaf.as_slice() {
            [Value::Number(left), Value::String(op), right] if op == "=" => {
                Ok(Node::Constant(Value::Number(left.clone()) == *right))
            }
            [Value::String(path), Value::String(operator), value] => Ok(Node::Leaf {
                path: path.clone(),
                operator: operator.to_lowercase(),
                value: value.clone(),
            }),
            _ => Err(Fault::value(format!("Domain() invalid item in domain: {item}"))),
        },
        _ => Err(Fault::value(format!("Domain() invalid item in domain: {item}"))),
    }
}

/// Whether the domain speaks of this field itself (`active` then is not added).
pub fn mentions(node: &Node, field: &str) -> bool {
    match node {
        Node::All(nodes) | Node::Any(nodes) => nodes.iter().any(|node| mentions(node, field)),
        Node::Not(node) => mentions(node, field),
        Node::Leaf { path, .. } => path == field,
        Node::Constant(_) => false,
    }
}

/// Ids that an indexed leaf leaves over, so that a search by key does not walk the table.
pub fn candidates(db: &Db, model: &str, node: &Node) -> Option<BTreeSet<i64>> {
    match node {
        Node::All(nodes) => nodes.iter().filter_map(|n| candidates(db, model, n)).min_by_key(
            // The smaller set of two is the cheaper one to walk.
            BTreeSet::len,
        ),
        Node::Leaf { path, operator, value } => {
            let values = match (operator.as_str(), value) {
                ("=", value) if value::truthy(value) => vec![value.clone()],
                ("in", Value::Array(values)) => values.clone(),
                _ => return None,
            };
            if path == "id" {
                let ids = values.iter().filter_map(Value::as_i64);
                return Some(ids.filter(|id| db.exists(model, *id)).collect());
            }
            let field = schema::model(model)?.fields.get(path.as_str())?;
            if !field.indexed || field.computed || !values.iter().all(value::truthy) {
                return None;
            }
            if field.kind == Kind::Many2one && !values.iter().all(Value::is_number) {
                return None;
            }
            Some(values.iter().flat_map(|value| db.find(model, path, value)).collect())
        }
        _ => None,
    }
}

pub fn matches(db: &Db, ctx: &Ctx, model: &str, id: i64, node: &Node) -> Answer<bool> {
    match node {
        Node::Constant(holds) => Ok(*holds),
        Node::Not(node) => Ok(!matches(db, ctx, model, id, node)?),
        Node::All(nodes) => {
            for node in nodes {
                if !matches(db, ctx, model, id, node)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Node::Any(nodes) => {
            for node in nodes {
                if matches(db, ctx, model, id, node)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Node::Leaf { path, operator, value } => leaf(db, ctx, model, id, (path, operator, value)),
    }
}

type Leaf<'a> = (&'a str, &'a str, &'a Value);

fn leaf(db: &Db, ctx: &Ctx, model: &str, id: i64, (path, operator, wanted): Leaf) -> Answer<bool> {
    let (head, rest) = path.split_once('.').map_or((path, None), |(h, r)| (h, Some(r)));
    let field = schema::field_of(model, head).ok_or_else(|| {
        let leaf = format!("('{path}', '{operator}', {wanted})");
        Fault::value(format!("Invalid field {model}.{head} in condition {leaf}"))
    })?;
    let found = read::value(db, ctx, model, id, field)?;
    if let Some(rest) = rest {
        let negative = matches!(operator, "!=" | "not in" | "not like" | "not ilike");
        let positive = operator.trim_start_matches("not ").replace("!=", "=");
        let mut any = false;
        for target in value::ids_of(&found) {
            any |= leaf(db, ctx, field.target, target, (rest, &positive, wanted))?;
        }
        if !any && matches!(positive.as_str(), "=") && !value::truthy(wanted) {
            any = value::ids_of(&found).is_empty();
        }
        return Ok(any != negative);
    }
    if operator == "any" || operator == "not any" {
        let inner = parse(wanted)?;
        let mut any = false;
        for target in value::ids_of(&found) {
            any |= matches(db, ctx, field.target, target, &inner)?;
        }
        return Ok(any == (operator == "any"));
    }
    compare(db, ctx, field, model, (id, &found), operator, wanted)
}

fn compare(
    db: &Db,
    ctx: &Ctx,
    field: &Field,
    model: &str,
    (id, found): (i64, &Value),
    operator: &str,
    wanted: &Value,
) -> Answer<bool> {
    let relation = field.kind == Kind::Many2one || field.is_many();
    if let Some(positive) = operator.strip_prefix("not ") {
        return Ok(!compare(db, ctx, field, model, (id, found), positive, wanted)?);
    }
    if operator == "!=" {
        return Ok(!compare(db, ctx, field, model, (id, found), "=", wanted)?);
    }
    if operator == "child_of" {
        let target = if field.name == "id" { model } else { field.target };
        let start = if field.name == "id" { vec![id] } else { value::ids_of(found) };
        let roots = value::ids_of(wanted);
        return Ok(start.into_iter().any(|id| under(db, target, id, &roots)));
    }
    let by_name = relation && (wanted.is_string() || operator.contains("like"));
    if by_name {
        let names = value::ids_of(found).into_iter();
        return Ok(names
            .map(|id| Value::from(read::display_name(db, ctx, field.target, id)))
            .any(|name| scalar(&name, operator, wanted)));
    }
    if field.is_many() {
        let found = value::ids_of(found);
        return Ok(match operator {
            "=" | "in" if !value::truthy(wanted) => found.is_empty(),
            _ => value::ids_of(wanted).iter().any(|id| found.contains(id)),
        });
    }
    Ok(scalar(found, operator, wanted))
}

/// Whether the record is one of `roots` or below one, by the model's own parent field.
fn under(db: &Db, model: &str, id: i64, roots: &[i64]) -> bool {
    let parent = if model == "stock.location" { "location_id" } else { "parent_id" };
    let mut current = id;
    while current != 0 {
        if roots.contains(&current) {
            return true;
        }
        current = db.link(model, current, parent);
    }
    false
}

fn scalar(found: &Value, operator: &str, wanted: &Value) -> bool {
    let text = |v: &Value| value::text(v);
    match operator {
        "=" | "==" => match wanted {
            Value::Array(_) => scalar(found, "in", wanted),
            _ => value::same(found, wanted),
        },
        "in" => match wanted {
            Value::Array(list) => list.iter().any(|item| value::same(found, item)),
            other => value::same(found, other),
        },
        "like" => text(found).contains(&text(wanted)),
        "ilike" => text(found).to_lowercase().contains(&text(wanted).to_lowercase()),
        "=like" => pattern(&text(found), &text(wanted)),
        "=ilike" => pattern(&text(found).to_lowercase(), &text(wanted).to_lowercase()),
        ">" | ">=" | "<" | "<=" => ordered(found, operator, wanted),
        _ => false,
    }
}

fn ordered(found: &Value, operator: &str, wanted: &Value) -> bool {
    let order = if found.is_number() || wanted.is_number() {
        value::dec(found).cmp(&value::dec(wanted))
    } else if found.is_string() {
        value::text(found).cmp(&value::text(wanted))
    } else {
        return false; // An empty field is neither before nor after anything.
    };
    match operator {
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        "<" => order.is_lt(),
        _ => order.is_le(),
    }
}

/// SQL's LIKE: "%" is any text, "_" one character.
fn pattern(text: &str, pattern: &str) -> bool {
    let mut reachable: Vec<bool> = vec![true];
    let characters: Vec<char> = text.chars().collect();
    reachable.resize(characters.len() + 1, false);
    for sign in pattern.chars() {
        let mut next = vec![false; characters.len() + 1];
        for start in 0..=characters.len() {
            let before = start > 0 && reachable[start - 1];
            next[start] = match sign {
                '%' => reachable[start] || (start > 0 && next[start - 1]),
                '_' => before,
                sign => before && characters[start - 1] == sign,
            };
        }
        reachable = next;
    }
    reachable[characters.len()]
}
