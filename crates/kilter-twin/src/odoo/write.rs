//! Creating, writing and deleting: defaults, x2many commands, checks, one transaction.
//!
//! Reads   the vals of a call.
//! Writes  records, through the store; what follows from it stands in `hooks`.
//! Never   recomputes amounts or stock itself.

use serde_json::{Value, json};

use super::error::{Answer, Fault};
use super::hooks;
use super::read::{self, Ctx};
use super::schema::{self, Field, Kind};
use super::store::{Db, Row};
use super::value::{self, Map};

/// A field that changed, with the value it had.
pub type Change = (&'static str, Value);

pub fn create(db: &mut Db, ctx: &Ctx, model: &str, vals: Map) -> Answer<i64> {
    together(db, |db| create_one(db, ctx, model, vals))
}

/// Runs, and brings derived values up to date when the outermost call is done.
pub fn together<T>(db: &mut Db, work: impl FnOnce(&mut Db) -> Answer<T>) -> Answer<T> {
    db.depth += 1;
    let result = work(db);
    db.depth -= 1;
    if db.depth == 0 && result.is_ok() {
        hooks::settle(db)?;
    }
    result
}

fn create_one(db: &mut Db, ctx: &Ctx, name: &str, mut vals: Map) -> Answer<i64> {
    let model = read::model(name)?;
    for key in vals.keys() {
        schema::field_of(name, key).ok_or_else(|| Fault::invalid_field(key, name))?;
    }
    hooks::before_create(db, ctx, name, &mut vals)?;
    let mut row = Row::new();
    let mut later: Vec<(&'static Field, Value)> = Vec::new();
    for (key, given) in &vals {
        let Some(field) = model.fields.get(key.as_str()) else { continue };
        if field.computed || matches!(key.as_str(), "create_date" | "write_date") {
            continue;
        }
        if field.is_many() {
            later.push((field, given.clone()));
        } else {
            row.insert(field.name, stored(db, ctx, name, field, given, None)?);
        }
    }
    for field in model.fields.values().filter(|field| field.required) {
        if !row.get(field.name).is_some_and(value::truthy) {
            return Err(Fault::required(name, model.label, field.name, field.label));
        }
    }
    let id = db.insert(name, row);
    for (field, commands) in later {
        apply_commands(db, ctx, name, id, field, &commands)?;
    }
    hooks::after_create(db, ctx, name, id, &vals)?;
    Ok(id)
}

/// The stored form of a value that was sent.
fn stored(
    db: &Db,
    ctx: &Ctx,
    model: &str,
    field: &Field,
    given: &Value,
    old: Option<&Value>,
) -> Answer<Value> {
    if field.translated {
        return translated(db, ctx, field, given, old);
    }
    Ok(match field.kind {
        Kind::Many2one => match value::id_of(given) {
            Some(id) if schema::model(field.target).is_some() && !db.exists(field.target, id) => {
                return Err(Fault::missing(field.target, id));
            }
            Some(id) => id.into(),
            None => Value::Bool(false),
        },
        Kind::Float | Kind::Monetary => value::num(value::dec(given)),
        Kind::Boolean => value::truthy(given).into(),
        Kind::Html => html(given),
        Kind::Selection => {
            let key = value::text(given);
            if !key.is_empty() && !field.target.split('|').any(|known| known == key) {
                let label = format!("{model}.{}", field.name);
                return Err(Fault::value(format!("Wrong value for {label}: '{key}'")));
            }
            if key.is_empty() { Value::Bool(false) } else { key.into() }
        }
        Kind::Char | Kind::Text | Kind::Date | Kind::Datetime => match given {
            Value::Null | Value::Bool(false) => Value::Bool(false),
            Value::String(text) if text.is_empty() && field.kind != Kind::Text => false.into(),
            Value::Object(_) => given.clone(),
            other => value::text(other).into(),
        },
        _ => given.clone(),
    })
}

/// Rich text is cleaned on writing: bare text comes back as a paragraph.
fn html(given: &Value) -> Value {
    match given {
        Value::String(text) if text.trim().is_empty() => Value::Bool(false),
        Value::String(text) if !text.trim_start().starts_with('<') => {
            format!("<p>{text}</p>").into()
        }
        Value::String(text) => text.clone().into(),
        _ => Value::Bool(false),
    }
}

/// One text per language; without `lang` in the context it is the source text, en_US.
fn translated(
    db: &Db,
    ctx: &Ctx,
    field: &Field,
    given: &Value,
    old: Option<&Value>,
) -> Answer<Value> {
    if let Value::Object(_) = given {
        return Ok(given.clone()); // From the back office: every language at once.
    }
    let lang = ctx.lang();
    check_lang(db, lang)?;
    let given = if field.kind == Kind::Html { html(given) } else { given.clone() };
    if !value::truthy(&given) {
        return Ok(Value::Bool(false)); // Emptying a text empties it in every language.
    }
    let mut texts = old.and_then(Value::as_object).cloned().unwrap_or_default();
    texts.insert(lang.to_owned(), given.clone());
    texts.entry("en_US").or_insert(given);
    Ok(Value::Object(texts))
}

pub fn check_lang(db: &Db, lang: &str) -> Answer<()> {
    let known = db.find_text("res.lang", "code", lang);
    if lang == "en_US" || known.iter().any(|id| db.is("res.lang", *id, "active")) {
        return Ok(());
    }
    Err(Fault::user(format!("Invalid language code: {lang}")))
}

pub fn write(db: &mut Db, ctx: &Ctx, model: &str, ids: &[i64], vals: &Map) -> Answer<()> {
    together(db, |db| write_all(db, ctx, model, ids, vals))
}

fn write_all(db: &mut Db, ctx: &Ctx, name: &str, ids: &[i64], vals: &Map) -> Answer<()> {
    let model = read::model(name)?;
    for key in vals.keys() {
        schema::field_of(name, key).ok_or_else(|| Fault::invalid_field(key, name))?;
    }
    if let Some(id) = ids.iter().find(|id| !db.exists(name, **id)) {
        return Err(Fault::missing(name, *id));
    }
    hooks::before_write(db, ctx, name, ids, vals)?;
    for id in ids {
        let mut changes: Vec<Change> = Vec::new();
        let mut later: Vec<(&'static Field, &Value)> = Vec::new();
        for (key, given) in vals {
            let Some(field) = model.fields.get(key.as_str()) else { continue };
            if field.is_many() {
                later.push((field, given));
            } else if !field.computed && !matches!(field.name, "create_date" | "write_date") {
                let old = db.get(name, *id, field.name).clone();
                let new = stored(db, ctx, name, field, given, Some(&old))?;
                if field.required && !value::truthy(&new) {
                    return Err(Fault::required(name, model.label, field.name, field.label));
                }
                if !value::same(&old, &new) {
                    db.set(name, *id, field.name, new);
                    changes.push((field.name, old));
                }
            }
        }
        db.touch(name, *id);
        for (field, commands) in later {
            let old = db.get(name, *id, field.name).clone();
            apply_commands(db, ctx, name, *id, field, commands)?;
            if field.kind == Kind::Many2many && &old != db.get(name, *id, field.name) {
                changes.push((field.name, old));
            }
        }
        hooks::after_write(db, ctx, name, *id, vals, &changes)?;
    }
    Ok(())
}

pub fn unlink(db: &mut Db, ctx: &Ctx, model: &str, ids: &[i64]) -> Answer<()> {
    together(db, |db| {
        read::model(model)?;
        if let Some(id) = ids.iter().find(|id| !db.exists(model, **id)) {
            return Err(Fault::missing(model, *id));
        }
        hooks::before_unlink(db, ctx, model, ids)?;
        for id in ids {
            db.remove(model, *id);
        }
        Ok(())
    })
}

/// `[0,0,{}]` create, `[1,id,{}]` write, `[2,id]` delete, `[3,id]` unlink, `[4,id]` link,
/// `[5]` clear, `[6,0,[ids]]` replace. A bare list of ids replaces too.
fn apply_commands(
    db: &mut Db,
    ctx: &Ctx,
    model: &str,
    id: i64,
    field: &'static Field,
    commands: &Value,
) -> Answer<()> {
    let Value::Array(commands) = commands else {
        if value::truthy(commands) {
            let message = format!("Wrong value for {model}.{}: {commands}", field.name);
            return Err(Fault::value(message));
        }
        return Ok(());
    };
    if commands.iter().all(Value::is_number) && !commands.is_empty() {
        return apply_command(db, ctx, model, id, field, &json!([6, 0, commands]));
    }
    for command in commands {
        apply_command(db, ctx, model, id, field, command)?;
    }
    Ok(())
}

fn apply_command(
    db: &mut Db,
    ctx: &Ctx,
    model: &str,
    id: i64,
    field: &'static Field,
    command: &Value,
) -> Answer<()> {
    let code = command.get(0).and_then(Value::as_i64).unwrap_or(-1);
    let target = command.get(1).and_then(Value::as_i64).unwrap_or(0);
    let vals = command.get(2).and_then(Value::as_object).cloned().unwrap_or_default();
    let many2many = field.kind == Kind::Many2many;
    if matches!(code, 1..=4) && target != 0 && !db.exists(field.target, target) {
        return Err(Fault::missing(field.target, target));
    }
    match code {
        0 => {
            let mut vals = vals;
            if !many2many {
                vals.insert(field.inverse.into(), id.into());
            }
            let created = create(db, ctx, field.target, vals)?;
            if many2many {
                relink(db, model, id, field, |ids| ids.push(created));
            }
        }
        1 => write(db, ctx, field.target, &[target], &vals)?,
        2 => unlink(db, ctx, field.target, &[target])?,
        3 if many2many => relink(db, model, id, field, |ids| ids.retain(|other| *other != target)),
        3 => unlink(db, ctx, field.target, &[target])?,
        4 if many2many => relink(db, model, id, field, |ids| ids.push(target)),
        4 => {
            if db.link(field.target, target, field.inverse) != id {
                let vals = Map::from_iter([(field.inverse.to_owned(), id.into())]);
                write(db, ctx, field.target, &[target], &vals)?;
            }
        }
        5 | 6 => {
            let wanted = command.get(2).map_or(Vec::new(), value::ids_of);
            if let Some(absent) = wanted.iter().find(|id| !db.exists(field.target, **id)) {
                return Err(Fault::missing(field.target, *absent));
            }
            if many2many {
                relink(db, model, id, field, |ids| *ids = wanted);
            } else {
                let current = db.find_id(field.target, field.inverse, id);
                let gone: Vec<i64> =
                    current.into_iter().filter(|id| !wanted.contains(id)).collect();
                unlink(db, ctx, field.target, &gone)?;
            }
        }
        _ => return Err(Fault::value(format!("Wrong value for {model}.{}", field.name))),
    }
    Ok(())
}

fn relink(db: &mut Db, model: &str, id: i64, field: &Field, change: impl FnOnce(&mut Vec<i64>)) {
    let mut ids = db.links(model, id, field.name);
    let before = ids.clone();
    change(&mut ids);
    let ids = read::distinct(&ids);
    if ids != before {
        db.set(model, id, field.name, value::id_list(&ids));
    }
}
