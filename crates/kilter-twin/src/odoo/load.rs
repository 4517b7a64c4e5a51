//! `load`: rows with external ids, created or updated, all or nothing, errors as messages.
//!
//! Reads   rows of cells; column paths say where each goes.
//! Writes  records and `ir.model.data`.
//! Never   answers an error status for what a row says: that is a message in a 200.

use serde_json::{Value, json};

use super::error::{Answer, Fault, missing_value};
use super::hooks;
use super::read::{self, Ctx};
use super::schema::{self, Field, Kind};
use super::store::{Db, Row};
use super::value::{self, Map};
use super::write;

const DATA: &str = "ir.model.data";

struct Column {
    path: Vec<String>,
    /// The one2many whose row this cell belongs to.
    rows_of: Option<&'static Field>,
}

/// One record of the file: its own row and the continuation rows.
struct Extent {
    from: usize,
    to: usize,
}

struct Run<'a> {
    ctx: &'a Ctx,
    model: &'static schema::Model,
    messages: Vec<Value>,
}

/// The record that an external id names, with the id of its `ir.model.data` row.
pub fn external(db: &Db, module: &str, name: &str) -> Option<(i64, i64)> {
    let rows = db.find_text(DATA, "name", name);
    let row = rows.into_iter().find(|row| db.text(DATA, *row, "module") == module)?;
    Some((row, db.links(DATA, row, "res_id").first().copied().unwrap_or(0)))
}

fn split_id(id: &str) -> (String, String) {
    let (module, name) = id.split_once('.').unwrap_or(("__import__", id));
    (module.to_owned(), name.to_owned())
}

fn named(db: &Db, id: &str) -> Option<(i64, i64)> {
    let (module, name) = split_id(id);
    external(db, &module, &name)
}

pub fn register(db: &mut Db, id: &str, model: &str, record: i64) {
    let (module, name) = split_id(id);
    let row = Row::from([
        ("module", module.into()),
        ("name", name.into()),
        ("model", model.into()),
        ("res_id", record.into()),
    ]);
    db.insert(DATA, row);
}

pub fn load(db: &mut Db, ctx: &Ctx, name: &str, fields: &Value, data: &Value) -> Answer<Value> {
    let model = read::model(name)?;
    let columns = columns(model, fields)?;
    let rows: Vec<&Vec<Value>> = data
        .as_array()
        .map_or(Vec::new(), |rows| rows.iter().filter_map(Value::as_array).collect());
    let mut run = Run { ctx, model, messages: Vec::new() };
    let savepoint = db.savepoint();
    let mut ids = Vec::new();
    db.depth += 1;
    for (number, extent) in extents(&columns, &rows).iter().enumerate() {
        let before = run.messages.len();
        let id = run.record(db, &columns, &rows[extent.from..=extent.to]);
        let place = |mut message: Map| {
            message.insert("rows".into(), json!({"from": extent.from, "to": extent.to}));
            message.insert("record".into(), number.into());
            message.insert("type".into(), "error".into());
            Value::Object(message)
        };
        for message in &mut run.messages[before..] {
            *message = place(message.as_object().cloned().unwrap_or_default());
        }
        match id {
            Ok(id) => ids.push(id),
            Err(message) => run.messages.push(place(message)),
        }
    }
    db.depth -= 1;
    if run.messages.is_empty() {
        hooks::settle(db)?;
        return Ok(json!({"ids": ids, "messages": [], "nextrow": 0}));
    }
    db.roll_back(savepoint);
    Ok(json!({"ids": false, "messages": run.messages, "nextrow": 0}))
}

fn columns(model: &'static schema::Model, fields: &Value) -> Answer<Vec<Column>> {
    let empty = Vec::new();
    let names = fields.as_array().unwrap_or(&empty);
    let mut columns = Vec::new();
    for name in names.iter().map(value::text) {
        let path: Vec<String> = name.split('/').map(str::to_owned).collect();
        let head = path.first().map_or("", String::as_str);
        let field = schema::field_of(model.name, head);
        if field.is_none() && head != ".id" {
            return Err(Fault::invalid_field(head, model.name));
        }
        let rows_of = field.filter(|field| field.kind == Kind::One2many && path.len() > 1);
        columns.push(Column { path, rows_of });
    }
    Ok(columns)
}

/// A row continues the record above when only its one2many cells are filled.
fn extents(columns: &[Column], rows: &[&Vec<Value>]) -> Vec<Extent> {
    let filled = |row: &[Value], many: bool| {
        let cells = columns.iter().zip(row);
        cells.clone().any(|(column, cell)| column.rows_of.is_some() == many && is_filled(cell))
    };
    let mut extents: Vec<Extent> = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let continues = !filled(row, false) && filled(row, true);
        match extents.last_mut() {
            Some(last) if continues => last.to = number,
            _ => extents.push(Extent { from: number, to: number }),
        }
    }
    extents
}

fn is_filled(cell: &Value) -> bool {
    !matches!(cell, Value::Null | Value::Bool(false)) && cell.as_str() != Some("")
}

fn message(text: impl Into<String>) -> Map {
    Map::from_iter([("message".to_owned(), Value::String(text.into()))])
}

/// A record or a line before it is saved.
#[derive(Default)]
struct Draft {
    external: Option<String>,
    id: Option<i64>,
    vals: Map,
}

impl Run<'_> {
    fn record(
        &mut self,
        db: &mut Db,
        columns: &[Column],
        rows: &[&Vec<Value>],
    ) -> Result<i64, Map> {
        let own = columns.iter().zip(rows[0]).filter(|(column, _)| column.rows_of.is_none());
        let cells: Vec<(&[String], &Value)> =
            own.map(|(column, cell)| (column.path.as_slice(), cell)).collect();
        let draft = self.draft(db, self.model.name, &cells, None);
        let mut lines: Vec<(&'static Field, Draft)> = Vec::new();
        let before = self.messages.len();
        for row in rows {
            let mut many: Vec<&'static Field> = columns.iter().filter_map(|c| c.rows_of).collect();
            many.dedup_by_key(|field| field.name);
            for field in many {
                let cells: Vec<(&[String], &Value)> = columns
                    .iter()
                    .zip(row.iter())
                    .filter(|(column, _)| column.rows_of.is_some_and(|f| f.name == field.name))
                    .map(|(column, cell)| (&column.path[1..], cell))
                    .collect();
                if cells.iter().any(|(_, cell)| is_filled(cell)) {
                    lines.push((field, self.draft(db, field.target, &cells, Some(field))));
                }
            }
        }
        if self.messages.len() > before {
            lines.clear(); // One cell that cannot be converted takes its whole one2many along.
        }
        self.collision(db, &draft)?;
        let id = self.save(db, self.model.name, draft)?;
        for (field, mut line) in lines {
            line.vals.insert(field.inverse.into(), id.into());
            self.save(db, field.target, line)?;
        }
        Ok(id)
    }

    /// Another transaction that ran at the same time has written this record: the database lets
    /// only one of them through, and `load` swallows the other's error into a message.
    fn collision(&self, db: &mut Db, draft: &Draft) -> Result<(), Map> {
        let found = draft.external.as_deref().and_then(|id| named(db, id));
        let Some((row, id)) = found else { return Ok(()) };
        let last = db.serial_of(DATA, row).max(db.serial_of(self.model.name, id));
        if last <= db.started || last == db.serial {
            return Ok(());
        }
        // What it had drawn before it failed is lost.
        if self.model.name == "sale.order" {
            db.next_number("sale.order");
        }
        let lost = db.table(self.model.name).map_or(0, |table| table.last_id) + 3;
        db.start_ids_at(self.model.name, lost);
        Err(message("could not serialize access due to concurrent update\n"))
    }

    fn save(&mut self, db: &mut Db, model: &str, draft: Draft) -> Result<i64, Map> {
        let known = draft.id.or_else(|| {
            let id = draft.external.as_deref()?;
            named(db, id).map(|(_, id)| id).filter(|id| db.exists(model, *id))
        });
        let saved = match known {
            Some(id) => write::write(db, self.ctx, model, &[id], &draft.vals).map(|()| id),
            None => write::create(db, self.ctx, model, draft.vals.clone()),
        };
        let id = saved.map_err(|fault| self.explain(model, &draft.vals, &fault))?;
        if let (None, Some(name)) = (known, draft.external) {
            register(db, &name, model, id);
        }
        Ok(id)
    }

    fn explain(&self, model: &str, vals: &Map, fault: &Fault) -> Map {
        let described = schema::model(model).unwrap_or(self.model);
        let absent = described.fields.values().find(|field| {
            field.required
                && !vals.get(field.name).is_some_and(value::truthy)
                && fault.message.contains(&format!("({})", field.name))
        });
        match absent {
            Some(field) => {
                let text = missing_value(model, described.label, field.name, field.label);
                let mut map = message(text);
                map.insert("field".into(), field.name.into());
                map
            }
            None => message(fault.message.clone()),
        }
    }

    /// Converts the cells of one record; what cannot be converted becomes a message.
    fn draft(
        &mut self,
        db: &Db,
        model: &'static str,
        cells: &[(&[String], &Value)],
        parent: Option<&'static Field>,
    ) -> Draft {
        let mut draft = Draft::default();
        for (path, cell) in cells {
            let head = path.first().map_or("", String::as_str);
            match head {
                "id" if path.len() == 1 => {
                    draft.external = Some(value::text(cell)).filter(|id| !id.is_empty());
                    continue;
                }
                ".id" => {
                    draft.id = value::id_of(cell);
                    if let Some(id) = draft.id.filter(|id| !db.exists(model, *id)) {
                        self.messages
                            .push(message(format!("Unknown database identifier '{id}'")).into());
                    }
                    continue;
                }
                _ => {}
            }
            let Some(field) = schema::field_of(model, head) else {
                self.messages.push(message(format!("Invalid field '{head}' in '{model}'")).into());
                continue;
            };
            match convert(db, self.ctx, field, path.get(1).map(String::as_str), cell) {
                Ok(converted) => {
                    draft.vals.insert(field.name.into(), converted);
                }
                Err((kind, shown)) => {
                    let shown = complaint(field, parent, kind, &shown);
                    self.messages.push(Value::Object(shown));
                }
            }
        }
        draft
    }
}

fn complaint(field: &Field, parent: Option<&'static Field>, kind: &str, shown: &str) -> Map {
    let top = parent.unwrap_or(field);
    let label = match parent {
        Some(parent) => format!("{}/{}", parent.label, field.label),
        None => field.label.to_owned(),
    };
    let mut map = message(match kind {
        "number" => format!("'{shown}' does not seem to be a number for field '{label}'"),
        "selection" => format!("Value '{shown}' not found in selection field '{label}'"),
        kind => format!("No matching record found for {kind} '{shown}' in field '{label}'"),
    });
    map.insert("field".into(), top.name.into());
    map.insert("field_name".into(), top.label.into());
    if !field.target.is_empty() {
        let domain = json!([["model", "=", field.target]]);
        let moreinfo = json!({
            "name": "Possible Values", "type": "ir.actions.act_window", "target": "new",
            "view_mode": "list,form", "views": [[false, "list"], [false, "form"]],
            "context": {"create": false}, "help": "See all possible values",
            "res_model": DATA, "domain": domain,
        });
        map.insert("moreinfo".into(), moreinfo);
    }
    map
}

type Unmatched = (&'static str, String);

fn convert(
    db: &Db,
    ctx: &Ctx,
    field: &Field,
    by: Option<&str>,
    cell: &Value,
) -> Result<Value, Unmatched> {
    if !is_filled(cell) {
        return Ok(Value::Bool(false));
    }
    let one = |text: &str| find(db, ctx, field, by, text.trim());
    match field.kind {
        Kind::Many2one => one(&value::text(cell)).map(Value::from),
        Kind::Many2many | Kind::One2many => {
            let text = value::text(cell);
            let ids: Result<Vec<i64>, Unmatched> = text.split(',').map(one).collect();
            ids.map(|ids| json!([[6, 0, ids]]))
        }
        Kind::Float | Kind::Monetary | Kind::Integer => {
            let text = value::text(cell);
            match value::parse_dec(text.trim()) {
                Some(_) => Ok(cell.clone()),
                None => Err(("number", text)),
            }
        }
        Kind::Boolean => {
            let text = value::text(cell).to_lowercase();
            Ok(matches!(text.as_str(), "1" | "true" | "yes").into())
        }
        Kind::Selection => {
            let text = value::text(cell);
            match field.target.split('|').find(|key| key.eq_ignore_ascii_case(&text)) {
                Some(key) => Ok(key.into()),
                None => Err(("selection", text)),
            }
        }
        _ => Ok(cell.clone()),
    }
}

fn find(db: &Db, ctx: &Ctx, field: &Field, by: Option<&str>, text: &str) -> Result<i64, Unmatched> {
    let unmatched = |kind: &'static str| (kind, text.to_owned());
    match by {
        Some(".id") => {
            let id = text.parse().ok().filter(|id| db.exists(field.target, *id));
            id.ok_or_else(|| unmatched("database id"))
        }
        Some(_) => {
            let id = named(db, text).map(|(_, id)| id).filter(|id| db.exists(field.target, *id));
            id.ok_or_else(|| unmatched("external id"))
        }
        None => {
            let ids = db.ids(field.target).into_iter();
            let mut named = ids.filter(|id| read::display_name(db, ctx, field.target, *id) == text);
            named.next().ok_or_else(|| unmatched("name"))
        }
    }
}
