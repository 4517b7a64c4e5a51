//! Entities: the kinds of the canonical model, read from `entities/*.toml`.
//!
//! Reads   entity files.   Writes  nothing.   Never  knows a platform.

use std::collections::BTreeMap;

use crate::doc::{Problem, Reader, parse};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Text,
    Html,
    Decimal,
    Money,
    Integer,
    Boolean,
    Enum,
    Time,
    Ref,
    List,
    Map,
}

impl Type {
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "text" => Self::Text,
            "html" => Self::Html,
            "decimal" => Self::Decimal,
            "money" => Self::Money,
            "integer" => Self::Integer,
            "boolean" => Self::Boolean,
            "enum" => Self::Enum,
            "time" => Self::Time,
            "ref" => Self::Ref,
            "list" => Self::List,
            "map" => Self::Map,
            _ => return None,
        })
    }
}

/// One field of an entity. `scope` is `locale`, `channel` or `store`, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub kind: Type,
    pub scope: Option<String>,
    pub to: Option<String>,
    /// The record belongs to what this reference names: when it changes, that must look too.
    pub part_of: bool,
    pub derive: Option<String>,
    pub personal: bool,
    pub values: Vec<String>,
    pub role: Option<String>,
    pub item: BTreeMap<String, Type>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    pub name: String,
    pub key: Vec<String>,
    /// Born once; frozen at the first permit.
    pub document: bool,
    /// What stands before the number in a document's reference: `R` tells a refund from an order.
    pub initial: String,
    /// Between polls, where neither a connector nor a connection says otherwise.
    pub every_seconds: Option<i64>,
    pub fields: BTreeMap<String, Field>,
    /// A hash of its fields and key.
    pub shape: String,
}

/// All entities, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entities(pub BTreeMap<String, Entity>);

impl Entities {
    pub fn read<'f>(
        files: impl IntoIterator<Item = (&'f str, &'f str)>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut all = BTreeMap::new();
        for (file, text) in files {
            let entity = read_entity(file, text, problems);
            all.insert(entity.name.clone(), entity);
        }
        Self(all)
    }

    pub fn get(&self, name: &str) -> Option<&Entity> {
        self.0.get(name)
    }

    /// The field by which a document is part of another document: a refund's order.
    pub fn whole_of<'e>(&self, entity: &'e Entity) -> Option<&'e str> {
        let document = |to: &String| self.get(to).is_some_and(|e| e.document);
        let whole = |f: &Field| f.part_of && f.to.as_ref().is_some_and(document);
        let found = entity.fields.iter().find(|(_, field)| entity.document && whole(field));
        found.map(|(name, _)| name.as_str())
    }

    pub fn field(&self, entity: &str, field: &str) -> Option<&Field> {
        self.0.get(entity)?.fields.get(field)
    }
}

fn read_entity(file: &str, text: &str, problems: &mut Vec<Problem>) -> Entity {
    let node = parse(file, text, problems);
    let mut reader = Reader::new(file, "the entity", &node, problems);
    let name = reader.need_text("entity", problems);
    let key = reader.texts("key", problems);
    let document = reader.flag("document", problems).unwrap_or(false);
    let initial = reader.text("initial", problems).unwrap_or_default();
    let every_seconds = reader.seconds("every", problems);
    let mut fields = BTreeMap::new();
    for (field, node) in reader.table("field", problems) {
        let place = format!("{name}.{field}");
        let reader = Reader::new(file, &place, node, problems);
        fields.insert(field.to_owned(), read_field(reader, problems));
    }
    reader.finish(problems);
    let shape = crate::doc::shape(&node, |key| key != "every");
    Entity { name, key, document, initial, every_seconds, fields, shape }
}

fn read_field(mut reader: Reader<'_>, problems: &mut Vec<Problem>) -> Field {
    let kind = reader.need_text("type", problems);
    let kind = Type::parse(&kind).unwrap_or_else(|| {
        reader.problem(reader.line, format!("there is no type \"{kind}\""), "", problems);
        Type::Text
    });
    let mut item = BTreeMap::new();
    for (name, node) in reader.table("item", problems) {
        match node.as_text().and_then(Type::parse) {
            Some(kind) => {
                item.insert(name.to_owned(), kind);
            }
            None => reader.problem(node.line, format!("{name} has no such type"), "", problems),
        }
    }
    let field = Field {
        kind,
        scope: reader.text("scope", problems),
        to: reader.text("to", problems),
        part_of: reader.flag("part_of", problems).unwrap_or(false),
        derive: reader.text("derive", problems),
        personal: reader.flag("personal", problems).unwrap_or(false),
        values: reader.texts("values", problems),
        role: reader.text("role", problems),
        item,
    };
    reader.finish(problems);
    field
}
