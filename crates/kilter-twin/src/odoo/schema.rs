//! The models: which fields each has, of which type, as a table in text (`models.txt`).
//!
//! Reads   `models.txt`, at compile time.
//! Writes  nothing.
//! Never   knows what a field does; behaviour stands in the file of its model.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::value::Map;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Char,
    Text,
    Html,
    Integer,
    Float,
    Monetary,
    Boolean,
    Date,
    Datetime,
    Selection,
    Many2one,
    One2many,
    Many2many,
    Json,
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    /// The other model of a relation; of a selection its keys, joined by "|".
    pub target: &'static str,
    /// One2many: the many2one of the target that points back.
    pub inverse: &'static str,
    pub required: bool,
    pub indexed: bool,
    pub translated: bool,
    pub computed: bool,
    pub label: &'static str,
}

#[derive(Debug, Default)]
pub struct Model {
    pub name: &'static str,
    pub label: &'static str,
    /// Default order, as `_order` of the platform's model.
    pub order: &'static str,
    pub fields: BTreeMap<&'static str, Field>,
}

pub static MODELS: LazyLock<HashMap<&'static str, Model>> =
    LazyLock::new(|| parse(include_str!("models.txt")));

/// One of its keys holds a space, which the table cannot.
const INVOICE_STATUS: &str = "upselling|invoiced|to invoice|no";

/// Fields that every model has.
const COMMON: &str = "id int c ID\ndisplay_name char c Display Name\n\
    create_date datetime - Created on\nwrite_date datetime - Last Updated on";

fn parse(table: &'static str) -> HashMap<&'static str, Model> {
    let mut models: HashMap<&'static str, Model> = HashMap::new();
    let mut current = "";
    for line in table.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some((name, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let (label, order) = rest.split_once('/').unwrap_or((rest, "id"));
            let (label, order) = (label.trim(), order.trim());
            let mut model = Model { name, label, order, fields: BTreeMap::new() };
            model.fields.extend(COMMON.lines().filter_map(field).map(|f| (f.name, f)));
            current = name;
            models.insert(name, model);
        } else if let (Some(model), Some(field)) = (models.get_mut(current), field(line)) {
            model.fields.insert(field.name, field);
        }
    }
    models
}

/// `name kind[:target[:inverse]] flags Label`; flags: r required, i indexed, t translated,
/// c computed when read, - none.
fn field(line: &'static str) -> Option<Field> {
    let mut words = line.splitn(4, ' ');
    let (name, kind, flags) = (words.next()?, words.next()?, words.next()?);
    let label = words.next().unwrap_or(name);
    let mut parts = kind.split(':');
    let kind = match parts.next()? {
        "char" => Kind::Char,
        "text" => Kind::Text,
        "html" => Kind::Html,
        "int" => Kind::Integer,
        "float" => Kind::Float,
        "money" => Kind::Monetary,
        "bool" => Kind::Boolean,
        "date" => Kind::Date,
        "datetime" => Kind::Datetime,
        "sel" => Kind::Selection,
        "m2o" => Kind::Many2one,
        "o2m" => Kind::One2many,
        "m2m" => Kind::Many2many,
        _ => Kind::Json,
    };
    Some(Field {
        name,
        kind,
        target: match parts.next().unwrap_or("") {
            "INVOICE_STATUS" => INVOICE_STATUS,
            target => target,
        },
        inverse: parts.next().unwrap_or(""),
        required: flags.contains('r'),
        indexed: flags.contains('i') || kind == Kind::Many2one,
        translated: flags.contains('t'),
        computed: flags.contains('c'),
        label,
    })
}

pub fn model(name: &str) -> Option<&'static Model> {
    MODELS.get(name)
}

pub fn label(name: &str) -> &'static str {
    MODELS.get(name).map_or("", |model| model.label)
}

/// A field of the model, or, for a variant, of the template that it inherits from.
pub fn field_of(model: &str, name: &str) -> Option<&'static Field> {
    MODELS.get(model)?.fields.get(name).or_else(|| inherited(model, name))
}

/// A field that a variant only has through its template.
pub fn inherited(model: &str, name: &str) -> Option<&'static Field> {
    if model != "product.product" || MODELS["product.product"].fields.contains_key(name) {
        return None;
    }
    MODELS.get("product.template")?.fields.get(name)
}

impl Field {
    pub fn is_many(&self) -> bool {
        matches!(self.kind, Kind::One2many | Kind::Many2many)
    }

    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Char => "char",
            Kind::Text => "text",
            Kind::Html => "html",
            Kind::Integer => "integer",
            Kind::Float => "float",
            Kind::Monetary => "monetary",
            Kind::Boolean => "boolean",
            Kind::Date => "date",
            Kind::Datetime => "datetime",
            Kind::Selection => "selection",
            Kind::Many2one => "many2one",
            Kind::One2many => "one2many",
            Kind::Many2many => "many2many",
            Kind::Json => "json",
        }
    }

    /// What `fields_get` says of it.
    pub fn describe(&self) -> Map {
        let mut map = Map::new();
        map.insert("name".into(), self.name.into());
        map.insert("type".into(), self.type_name().into());
        map.insert("string".into(), self.label.into());
        map.insert("required".into(), self.required.into());
        map.insert("readonly".into(), self.computed.into());
        map.insert("store".into(), (!self.computed && self.kind != Kind::One2many).into());
        map.insert("translate".into(), self.translated.into());
        if self.kind == Kind::Selection {
            let keys: Vec<Value> = self.target.split('|').map(|key| json!([key, key])).collect();
            map.insert("selection".into(), Value::Array(keys));
        } else if !self.target.is_empty() {
            map.insert("relation".into(), self.target.into());
        }
        if !self.inverse.is_empty() {
            map.insert("relation_field".into(), self.inverse.into());
        }
        map
    }
}
