//! Reading: values in a language, names, `read`, nested specifications, search with order.
//!
//! Reads   records, stored and computed.
//! Writes  answers.
//! Never   changes a record.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::{Value, json};

use super::compute;
use super::domain::{self, Node};
use super::error::{Answer, Fault};
use super::schema::{self, Field, Kind};
use super::store::Db;
use super::value::{self, Map};

/// The context of a call.
#[derive(Debug, Clone, Default)]
pub struct Ctx(pub Map);

impl Ctx {
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }
    pub fn is(&self, key: &str) -> bool {
        self.get(key).is_some_and(value::truthy)
    }
    pub fn lang(&self) -> &str {
        self.get("lang").and_then(Value::as_str).unwrap_or("en_US")
    }
    pub fn active_test(&self) -> bool {
        self.get("active_test").is_none_or(value::truthy)
    }
}

pub fn model(name: &str) -> Answer<&'static schema::Model> {
    schema::model(name)
        .ok_or_else(|| Fault::not_found(format!("the model '{name}' does not exist")))
}

/// The raw value of a field: many2one as id, translated text in the context's language.
pub fn value(db: &Db, ctx: &Ctx, model: &str, id: i64, field: &Field) -> Answer<Value> {
    if schema::inherited(model, field.name).is_some() {
        let template = db.link(model, id, "product_tmpl_id");
        return value(db, ctx, "product.template", template, field);
    }
    if field.name == "display_name" {
        return Ok(display_name(db, ctx, model, id).into());
    }
    if field.name == "id" {
        return Ok(id.into());
    }
    if field.computed {
        return compute::computed(db, ctx, model, id, field);
    }
    if field.kind == Kind::One2many {
        return Ok(value::id_list(&children(db, ctx, field, id)));
    }
    let stored = db.get(model, id, field.name);
    if field.translated
        && let Value::Object(texts) = stored
    {
        let chosen = texts.get(ctx.lang()).or_else(|| texts.get("en_US"));
        return Ok(chosen.cloned().unwrap_or(Value::Bool(false)));
    }
    if matches!(stored, Value::Bool(false)) {
        return Ok(Db::empty(field.kind));
    }
    if field.kind == Kind::Many2many && schema::model(field.target).is_some() {
        let alive = value::ids_of(stored).into_iter().filter(|id| db.exists(field.target, *id));
        return Ok(value::id_list(&alive.collect::<Vec<_>>()));
    }
    Ok(stored.clone())
}

pub fn by_name(db: &Db, ctx: &Ctx, model: &str, id: i64, name: &str) -> Answer<Value> {
    let field = schema::field_of(model, name).ok_or_else(|| Fault::invalid_field(name, model))?;
    value(db, ctx, model, id, field)
}

/// A text field in the context's language.
pub fn text(db: &Db, ctx: &Ctx, model: &str, id: i64, name: &str) -> String {
    by_name(db, ctx, model, id, name).map_or(String::new(), |found| value::text(&found))
}

/// The rows of a one2many in the order of their model, archived ones left out.
fn children(db: &Db, ctx: &Ctx, field: &Field, id: i64) -> Vec<i64> {
    let mut ids = db.find_id(field.target, field.inverse, id);
    let Some(target) = schema::model(field.target) else { return Vec::new() };
    if target.fields.contains_key("active") && ctx.active_test() {
        ids.retain(|id| db.is(field.target, *id, "active"));
    }
    // A field of another record would lead back here; the plain ones suffice for the lines.
    let plain: Vec<(&Field, bool)> = parse_order(target, target.order)
        .unwrap_or_default()
        .into_iter()
        .filter(|(field, _)| !field.computed || field.name == "id")
        .collect();
    sort(db, ctx, field.target, &mut ids, &plain);
    ids
}

pub fn display_name(db: &Db, ctx: &Ctx, model: &str, id: i64) -> String {
    compute::display_name(db, ctx, model, id)
}

/// As `read` shows it: many2one as `[id, "Name"]`.
fn shown(db: &Db, ctx: &Ctx, model: &str, id: i64, field: &Field, classic: bool) -> Answer<Value> {
    let found = value(db, ctx, model, id, field)?;
    if field.kind != Kind::Many2one {
        return Ok(found);
    }
    match value::id_of(&found).filter(|id| db.exists(field.target, *id)) {
        Some(id) if classic => Ok(json!([id, display_name(db, ctx, field.target, id)])),
        Some(id) => Ok(id.into()),
        None => Ok(Value::Bool(false)),
    }
}

fn fields_named<'a>(model: &'static schema::Model, names: &'a [String]) -> Answer<Vec<&'a Field>> {
    let find = |name: &'a String| {
        schema::field_of(model.name, name).ok_or_else(|| Fault::invalid_field(name, model.name))
    };
    names.iter().map(find).collect()
}

/// Every field, when a call names none.
pub fn all_fields(model: &'static schema::Model) -> Vec<String> {
    let mut names: Vec<String> = model.fields.keys().map(ToString::to_string).collect();
    if model.name == "product.product"
        && let Some(template) = schema::model("product.template")
    {
        names.extend(template.fields.keys().map(ToString::to_string));
        names.sort();
        names.dedup();
    }
    names
}

pub fn read(
    db: &Db,
    ctx: &Ctx,
    name: &str,
    ids: &[i64],
    fields: &[String],
    classic: bool,
) -> Answer<Value> {
    let model = model(name)?;
    let every;
    let fields = if fields.is_empty() {
        every = all_fields(model);
        fields_named(model, &every)?
    } else {
        fields_named(model, fields)?
    };
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids.iter().copied().filter(|id| db.exists(name, *id)) {
        let mut row = Map::new();
        row.insert("id".into(), id.into());
        for field in &fields {
            row.insert(field.name.into(), shown(db, ctx, name, id, field, classic)?);
        }
        rows.push(Value::Object(row));
    }
    Ok(Value::Array(rows))
}

/// Nested reading by a specification, as `web_read`, `web_save` and `web_search_read` do it.
pub fn nested(db: &Db, ctx: &Ctx, name: &str, ids: &[i64], spec: &Map) -> Answer<Value> {
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids.iter().copied().filter(|id| db.exists(name, *id)) {
        let mut row = Map::new();
        row.insert("id".into(), id.into());
        for (key, wanted) in spec {
            let field =
                schema::field_of(name, key).ok_or_else(|| Fault::invalid_field(key, name))?;
            let found = value(db, ctx, name, id, field)?;
            let inner = wanted.get("fields").and_then(Value::as_object);
            let cell = match (field.kind, inner) {
                (Kind::Many2one, Some(inner)) => {
                    let target = nested(db, ctx, field.target, &value::ids_of(&found), inner)?;
                    target.get(0).cloned().unwrap_or(Value::Bool(false))
                }
                (Kind::One2many | Kind::Many2many, Some(inner)) => {
                    nested(db, ctx, field.target, &value::ids_of(&found), inner)?
                }
                _ => found,
            };
            row.insert(key.clone(), cell);
        }
        rows.push(Value::Object(row));
    }
    Ok(Value::Array(rows))
}

#[derive(Debug, Default)]
pub struct Query {
    pub domain: Value,
    pub order: String,
    pub limit: Option<usize>,
    pub offset: usize,
}

/// Ids that match, ordered and cut.
pub fn search(db: &Db, ctx: &Ctx, name: &str, query: &Query) -> Answer<Vec<i64>> {
    let model = model(name)?;
    let mut ids = matching(db, ctx, name, &query.domain)?;
    let order = if query.order.trim().is_empty() { model.order } else { &query.order };
    let order = parse_order(model, order)?;
    sort(db, ctx, name, &mut ids, &order);
    let end = query.limit.map_or(ids.len(), |limit| (query.offset + limit).min(ids.len()));
    Ok(ids.get(query.offset..end).map_or(Vec::new(), <[i64]>::to_vec))
}

pub fn matching(db: &Db, ctx: &Ctx, name: &str, domain: &Value) -> Answer<Vec<i64>> {
    let model = model(name)?;
    let mut node = domain::parse(domain)?;
    let hides = model.fields.get("active").is_some_and(|field| !field.computed);
    if hides && ctx.active_test() && !domain::mentions(&node, "active") {
        let active = Node::Leaf { path: "active".into(), operator: "=".into(), value: true.into() };
        node = Node::All(vec![node, active]);
    }
    let ids = match domain::candidates(db, name, &node) {
        Some(ids) => ids.into_iter().collect(),
        None => db.ids(name),
    };
    if ids.is_empty() {
        // An unknown field is an error even where there is nothing to compare it with.
        domain::matches(db, ctx, name, 0, &node)?;
    }
    let mut found = Vec::new();
    for id in ids {
        if domain::matches(db, ctx, name, id, &node)? {
            found.push(id);
        }
    }
    Ok(found)
}

fn parse_order<'a>(
    model: &'static schema::Model,
    order: &'a str,
) -> Answer<Vec<(&'a Field, bool)>> {
    let mut terms: Vec<(&Field, bool)> = Vec::new();
    for term in order.split(',').map(str::trim).filter(|term| !term.is_empty()) {
        let mut words = term.split_whitespace();
        let name = words.next().unwrap_or("id");
        let descending = words.next().is_some_and(|word| word.eq_ignore_ascii_case("desc"));
        let field = schema::field_of(model.name, name)
            .ok_or_else(|| Fault::invalid_field(name, model.name))?;
        terms.push((field, descending));
    }
    Ok(terms)
}

fn sort(db: &Db, ctx: &Ctx, name: &str, ids: &mut [i64], order: &[(&Field, bool)]) {
    if let [(field, false)] = order
        && field.name == "id"
    {
        ids.sort_unstable();
        return;
    }
    let keys = |id: &i64| -> Vec<Value> {
        let cell = |field: &Field| value(db, ctx, name, *id, field).unwrap_or(Value::Null);
        order.iter().map(|(field, _)| cell(field)).collect()
    };
    let mut keyed: Vec<(Vec<Value>, i64)> = ids.iter().map(|id| (keys(id), *id)).collect();
    keyed.sort_by(|left, right| {
        for (position, (_, descending)) in order.iter().enumerate() {
            let ordering = order_of(&left.0[position], &right.0[position]);
            let ordering = if *descending { ordering.reverse() } else { ordering };
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        left.1.cmp(&right.1)
    });
    for (slot, (_, id)) in ids.iter_mut().zip(keyed) {
        *slot = id;
    }
}

/// Empty values last, as the database sorts nulls.
fn order_of(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => value::dec(left).cmp(&value::dec(right)),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::String(_) | Value::Number(_), _) => Ordering::Less,
        (_, Value::String(_) | Value::Number(_)) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

/// Ids in the given order, each once.
pub fn distinct(ids: &[i64]) -> Vec<i64> {
    let mut seen = HashSet::new();
    ids.iter().copied().filter(|id| seen.insert(*id)).collect()
}
