//! `formatted_read_group`: sums per group, a group path may go through a many2one.
//!
//! Reads   records that match a domain.
//! Writes  nothing.
//! Never   shows a group without rows: what has no quant is absent, not zero.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::error::{Answer, Fault};
use super::read::{self, Ctx};
use super::schema::{self, Kind};
use super::store::Db;
use super::value::{self, Map, num};

pub struct Grouping<'a> {
    pub domain: &'a Value,
    pub groupby: Vec<String>,
    pub aggregates: Vec<String>,
    pub limit: Option<usize>,
    pub offset: usize,
}

/// The part of a datetime that a group shares (`date_order:month`).
fn truncated(found: &Value, part: &str) -> Value {
    let text = value::text(found);
    let length = match part {
        "year" => 4,
        "month" => 7,
        _ => 10,
    };
    text.get(..length).map_or(Value::Bool(false), Value::from)
}

/// The value of a path, and how a group shows it.
fn cell(db: &Db, ctx: &Ctx, model: &str, id: i64, path: &str) -> Answer<(Value, Value)> {
    let (plain, part) = path.split_once(':').map_or((path, ""), |(p, part)| (p, part));
    let (head, rest) = plain.split_once('.').map_or((plain, None), |(h, r)| (h, Some(r)));
    let field = schema::field_of(model, head).ok_or_else(|| Fault::invalid_field(head, model))?;
    let found = read::value(db, ctx, model, id, field)?;
    if let Some(rest) = rest {
        return match value::id_of(&found) {
            Some(target) => cell(db, ctx, field.target, target, rest),
            None => Ok((Value::Bool(false), Value::Bool(false))),
        };
    }
    if field.kind == Kind::Many2one {
        let shown = match value::id_of(&found) {
            Some(id) => json!([id, read::display_name(db, ctx, field.target, id)]),
            None => Value::Bool(false),
        };
        return Ok((found, shown));
    }
    if matches!(field.kind, Kind::Datetime | Kind::Date) && !part.is_empty() {
        let shared = truncated(&found, part);
        return Ok((shared.clone(), shared));
    }
    Ok((found.clone(), found))
}

/// What a group adds to the domain: `["product_id", "=", 2]`, nested as "any" through a relation.
fn extra(path: &str, key: &Value) -> Value {
    match path.split_once('.') {
        Some((head, rest)) => json!([head, "any", [extra(rest, key)]]),
        None => json!([path, "=", key]),
    }
}

fn sort_key(key: &Value) -> (u8, Decimal, String) {
    match key {
        Value::Number(_) => (0, value::dec(key), String::new()),
        Value::String(text) => (0, Decimal::ZERO, text.clone()),
        _ => (1, Decimal::ZERO, String::new()),
    }
}

pub fn grouped(db: &Db, ctx: &Ctx, model: &str, query: &Grouping) -> Answer<Value> {
    struct Group {
        keys: Vec<Value>,
        shown: Vec<Value>,
        ids: Vec<i64>,
    }
    let mut groups: BTreeMap<Vec<(u8, Decimal, String)>, Group> = BTreeMap::new();
    for id in read::matching(db, ctx, model, query.domain)? {
        let mut keys = Vec::new();
        let mut shown = Vec::new();
        for path in &query.groupby {
            let (key, show) = cell(db, ctx, model, id, path)?;
            keys.push(key);
            shown.push(show);
        }
        let sort = keys.iter().map(sort_key).collect();
        groups.entry(sort).or_insert_with(|| Group { keys, shown, ids: Vec::new() }).ids.push(id);
    }
    if query.groupby.is_empty() && groups.is_empty() {
        groups.insert(Vec::new(), Group { keys: Vec::new(), shown: Vec::new(), ids: Vec::new() });
    }
    let mut rows = Vec::new();
    let limit = query.limit.unwrap_or(usize::MAX);
    for group in groups.into_values().skip(query.offset).take(limit) {
        let mut row = Map::new();
        let mut terms: Vec<Value> = vec!["&".into(); group.keys.len().saturating_sub(1)];
        for ((path, key), shown) in query.groupby.iter().zip(&group.keys).zip(group.shown) {
            row.insert(path.clone(), shown);
            terms.push(extra(path, key));
        }
        row.insert("__extra_domain".into(), Value::Array(terms));
        for aggregate in &query.aggregates {
            let sum = aggregated(db, ctx, model, &group.ids, aggregate)?;
            row.insert(aggregate.clone(), sum);
        }
        rows.push(Value::Object(row));
    }
    Ok(Value::Array(rows))
}

fn aggregated(db: &Db, ctx: &Ctx, model: &str, ids: &[i64], aggregate: &str) -> Answer<Value> {
    if aggregate == "__count" {
        return Ok(ids.len().into());
    }
    let (name, function) = aggregate
        .split_once(':')
        .ok_or_else(|| Fault::value(format!("Invalid aggregate specification '{aggregate}'")))?;
    let mut values = Vec::new();
    for id in ids {
        values.push(read::by_name(db, ctx, model, *id, name)?);
    }
    let numbers: Vec<Decimal> = values.iter().map(value::dec).collect();
    let text = values.iter().any(Value::is_string);
    Ok(match function {
        "sum" => num(numbers.iter().copied().sum()),
        "count" => ids.len().into(),
        "count_distinct" => {
            let mut keys: Vec<_> = values.iter().map(sort_key).collect();
            keys.sort();
            keys.dedup();
            keys.len().into()
        }
        "array_agg" | "recordset" => Value::Array(values),
        "max" if text => values.iter().map(value::text).max().map_or(false.into(), Value::from),
        "min" if text => values.iter().map(value::text).min().map_or(false.into(), Value::from),
        "max" => num(numbers.into_iter().max().unwrap_or_default()),
        "min" => num(numbers.into_iter().min().unwrap_or_default()),
        "avg" => {
            let count = Decimal::from(numbers.len().max(1));
            num(numbers.iter().copied().sum::<Decimal>() / count)
        }
        _ => return Err(Fault::value(format!("Invalid aggregate method '{function}'"))),
    })
}
