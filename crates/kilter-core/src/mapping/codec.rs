//! Codecs: typed functions between remote and canonical values, each with its inverse.
//!
//! Reads   one value and the environment.   Writes  one value.
//! Never   turns null into a value or a value into null, but for `default`, `null_as` and `enum`.

use serde_json::json;

use super::choice::Choice;
use super::number::{self, Format};
use super::time::TimeForm;
use super::unit::{self, Unit};
use super::{
    Env, Operand, ParseError, ReadError, WriteError, known, markup, named, refer, scan, wrapped,
};
use crate::Json;

/// One step of a chain.
#[derive(Debug, Clone, PartialEq)]
pub enum Codec {
    Text,
    /// `text`: always written as text.
    Id {
        text: bool,
    },
    Integer,
    Decimal(Format),
    Money {
        currency: Operand,
        format: Format,
    },
    MinorUnits {
        currency: Operand,
    },
    Bool,
    Flag {
        yes: Json,
        no: Json,
    },
    Enum(Choice),
    Time(TimeForm),
    TaggedDecimal,
    /// The other sign: what one side gives, the other takes.
    Negate,
    Unit {
        canonical: Unit,
        remote: Unit,
    },
    Split(String),
    Join(String),
    Trim,
    Lower,
    Upper,
    HtmlText,
    StripTags,
    Prefix(String),
    /// The other way round: what is read lacks the prefix.
    Unprefix(String),
    Lookup(String),
    Default(Operand),
    NullAs(Json),
    Pair,
    List,
    FirstItem,
    Json,
    Ref(Vec<String>),
    Key(String),
    /// A list of `{key, value}` as a map.
    Named {
        key: String,
        field: String,
    },
    /// Two members of a map as one text: what stands after its last blank is the second.
    FullName {
        first: String,
        last: String,
    },
    /// Members of a map, joined by blanks.
    Words(Vec<String>),
    /// A list of texts as a list of maps with this one member.
    Wrapped(String),
    /// Null, an empty list or map says nothing: what stands there stays.
    Some,
    /// The sum of a member over a list of maps.
    Sum(String),
    /// A decimal as `{value, unit}`, in this unit.
    Measured(String),
    /// Money as `{amount, currencyCode}`, or with other names for the two.
    MoneyObject {
        amount: String,
        currency: String,
    },
}

impl Codec {
    /// One codec with its arguments, `name` or `name(…)`.
    pub fn parse(text: &str) -> Result<Codec, ParseError> {
        let mut cursor = scan::Cursor::new(text)?;
        let codec = known::scan(&mut cursor)?;
        cursor.end("the end of the codec")?;
        Ok(codec)
    }

    /// The canonical side of a remote value.
    pub fn read(&self, value: Json, env: &Env) -> Result<Json, ReadError> {
        match self {
            Codec::Default(default) if value.is_null() => {
                default.resolve(env).ok_or_else(|| ReadError::Missing { what: default.label() })
            }
            Codec::NullAs(stand_in) if value == *stand_in => Ok(Json::Null),
            Codec::Enum(choice) => choice.read(&value),
            _ if value.is_null() => Ok(Json::Null),
            _ => self.read_value(value, env),
        }
    }

    /// The remote side of a canonical value; `None` leaves the field alone.
    pub fn write(&self, value: Json, env: &Env) -> Result<Option<Json>, WriteError> {
        match self {
            Codec::FirstItem => Err(WriteError::ReadOnly { what: "first_item".to_owned() }),
            Codec::Words(_) => Err(WriteError::ReadOnly { what: "words".to_owned() }),
            Codec::Sum(_) => Err(WriteError::ReadOnly { what: "sum".to_owned() }),
            Codec::Some if wrapped::is_empty(&value) => Ok(None),
            Codec::NullAs(stand_in) if value.is_null() => Ok(Some(stand_in.clone())),
            Codec::Enum(choice) => choice.write(&value),
            _ if value.is_null() => Ok(Some(Json::Null)),
            _ => self.write_value(value, env).map(Some),
        }
    }

    /// Whether every value that can be read can be written so that it reads the same again.
    pub fn is_invertible(&self) -> bool {
        match self {
            Codec::FirstItem | Codec::Words(_) | Codec::Sum(_) | Codec::Some => false,
            Codec::Named { key, field } => !key.contains('.') && !field.contains('.'),
            Codec::Enum(choice) => choice.is_invertible(),
            _ => true,
        }
    }

    /// What the remote makes of a value that was written through this codec.
    pub(super) fn settle(&self, value: Json) -> Json {
        match (self, value) {
            (Codec::StripTags, Json::String(text)) => Json::String(markup::without_tags(&text)),
            (_, value) => value,
        }
    }

    fn read_value(&self, value: Json, env: &Env) -> Result<Json, ReadError> {
        match self {
            Codec::Text => text_of(&value).map(Json::String),
            Codec::Id { .. } => number::read_id(&value),
            Codec::Integer => number::read_integer(&value),
            Codec::Decimal(_) => number::read_decimal(&value),
            Codec::Money { currency, .. } => number::read_money(&value, currency, env),
            Codec::MinorUnits { currency } => number::read_minor(&value, currency, env),
            Codec::Bool => read_bool(&value),
            Codec::Flag { yes, no } => read_flag(&value, yes, no),
            Codec::Time(form) => form.read(&value),
            Codec::TaggedDecimal => read_tagged_decimal(&value),
            Codec::Negate => number::negated(&value),
            Codec::Unit { canonical, remote } => unit::convert(&value, *remote, *canonical),
            Codec::Split(separator) => Ok(split(&text(&value)?, separator)),
            Codec::Join(separator) => join(&value, separator).map(Json::String),
            Codec::Trim => Ok(json!(text(&value)?.trim())),
            Codec::Lower => Ok(json!(text(&value)?.to_lowercase())),
            Codec::Upper => Ok(json!(text(&value)?.to_uppercase())),
            Codec::HtmlText => Ok(json!(markup::decoded(&text(&value)?))),
            Codec::Prefix(prefix) => match text(&value)?.strip_prefix(prefix) {
                Some(rest) => Ok(json!(rest)),
                None => {
                    Err(ReadError::unexpected(format!("a text that begins {prefix:?}"), &value))
                }
            },
            Codec::Unprefix(prefix) => match text_of(&value) {
                Ok(text) => Ok(json!(format!("{prefix}{text}"))),
                Err(_) => Err(ReadError::unexpected("a text or a number", &value)),
            },
            Codec::Lookup(table) => read_lookup(&value, table, env),
            Codec::Pair => read_pair(&value),
            Codec::List => list(value),
            Codec::FirstItem => first_item(&value),
            Codec::Ref(resources) => refer::read_remote(&value, &resources.join("|")),
            Codec::Key(entity) => refer::read_key(&value, entity),
            Codec::Named { key, field } => named::read(&value, key, field),
            Codec::FullName { first, last } => Ok(named::full(&value, first, last)),
            Codec::Words(members) => Ok(named::words(&value, members)),
            Codec::Wrapped(member) => wrapped::unwrap(&value, member),
            Codec::Sum(member) => wrapped::sum(&value, member),
            Codec::Measured(unit) => wrapped::read_measure(&value, unit),
            Codec::MoneyObject { amount, currency } => wrapped::money(&value, amount, currency),
            Codec::StripTags => text(&value).map(Json::String),
            Codec::Some => Ok(value),
            Codec::Enum(_) | Codec::Default(_) | Codec::NullAs(_) | Codec::Json => Ok(value),
        }
    }

    fn write_value(&self, value: Json, env: &Env) -> Result<Json, WriteError> {
        Ok(match self {
            Codec::Text => Json::String(text_of(&value)?),
            Codec::Id { text: true } => number::read_id(&value)?,
            Codec::Id { text: false } => number::id(text_of(&number::read_id(&value)?)?),
            Codec::Integer => number::read_integer(&value)?,
            Codec::Decimal(format) => format.apply(decimal(&value)?),
            Codec::Money { currency, format } => {
                number::write_money(&value, currency, *format, env)?
            }
            Codec::MinorUnits { currency } => number::write_minor(&value, currency, env)?,
            Codec::Bool => read_bool(&value)?,
            Codec::Flag { yes, no } => match read_bool(&value)? {
                Json::Bool(true) => yes.clone(),
                _ => no.clone(),
            },
            Codec::Time(form) => form.write(&value)?,
            Codec::TaggedDecimal => {
                json!({ "__class__": "Decimal", "decimal": number::plain(decimal(&value)?) })
            }
            Codec::Negate => number::negated(&value)?,
            Codec::Unit { canonical, remote } => unit::convert(&value, *canonical, *remote)?,
            Codec::Split(separator) => Json::String(unsplit(&value, separator)?),
            Codec::Join(separator) => split(&text(&value)?, separator),
            Codec::Trim => json!(text(&value)?.trim()),
            Codec::Lower => json!(text(&value)?.to_lowercase()),
            Codec::Upper => json!(text(&value)?.to_uppercase()),
            Codec::HtmlText | Codec::StripTags => Json::String(text(&value)?),
            Codec::Prefix(prefix) => Json::String(format!("{prefix}{}", text_of(&value)?)),
            Codec::Unprefix(prefix) => match text(&value)?.strip_prefix(prefix) {
                Some(rest) => json!(rest),
                None => {
                    let wanted = format!("a text that begins {prefix:?}");
                    return Err(WriteError::unexpected(wanted, &value));
                }
            },
            Codec::Lookup(table) => write_lookup(&value, table, env)?,
            Codec::Pair => read_pair(&value)?,
            Codec::List => list(value)?,
            Codec::Ref(_) | Codec::Key(_) => refer::write(&value)?,
            Codec::Named { key, field } => named::write(&value, key, field)?,
            Codec::FullName { first, last } => named::divided(&text(&value)?, first, last),
            Codec::Wrapped(member) => wrapped::wrap(&value, member)?,
            Codec::Measured(unit) => wrapped::write_measure(&value, unit)?,
            Codec::MoneyObject { amount, currency } => {
                wrapped::write_money(&value, amount, currency)?
            }
            Codec::FirstItem | Codec::Words(_) | Codec::Sum(_) | Codec::Enum(_) => value,
            Codec::Default(_) | Codec::NullAs(_) | Codec::Json | Codec::Some => value,
        })
    }
}

/// A text, and nothing that merely looks like one.
fn text(value: &Json) -> Result<String, ReadError> {
    value.as_str().map(str::to_owned).ok_or_else(|| ReadError::unexpected("a text", value))
}

/// A text, or the text of a number.
fn text_of(value: &Json) -> Result<String, ReadError> {
    let scalar = number::text(value).filter(|_| !value.is_boolean());
    scalar.ok_or_else(|| ReadError::unexpected("a text or a number", value))
}

fn decimal(value: &Json) -> Result<rust_decimal::Decimal, ReadError> {
    number::decimal(value).ok_or_else(|| ReadError::unexpected("a decimal", value))
}

fn read_bool(value: &Json) -> Result<Json, ReadError> {
    match number::text(value).as_deref() {
        Some("true" | "1") => Ok(Json::Bool(true)),
        Some("false" | "0") => Ok(Json::Bool(false)),
        _ => Err(ReadError::unexpected("true or false", value)),
    }
}

fn read_flag(value: &Json, yes: &Json, no: &Json) -> Result<Json, ReadError> {
    if number::same(value, yes) {
        Ok(Json::Bool(true))
    } else if number::same(value, no) {
        Ok(Json::Bool(false))
    } else {
        Err(ReadError::unexpected(format!("{yes} or {no}"), value))
    }
}

fn read_tagged_decimal(value: &Json) -> Result<Json, ReadError> {
    let tagged = value.get("__class__").and_then(Json::as_str) == Some("Decimal");
    match value.get("decimal").and_then(number::decimal).filter(|_| tagged) {
        Some(amount) => Ok(Json::String(number::plain(amount))),
        None => Err(ReadError::unexpected("an object of class Decimal", value)),
    }
}

/// The empty text is the empty list.
fn split(text: &str, separator: &str) -> Json {
    if text.is_empty() { json!([]) } else { text.split(separator).collect() }
}

/// An item may hold the separator: reading loses nothing that writing would not leave alone.
fn join(value: &Json, separator: &str) -> Result<String, ReadError> {
    let texts = value.as_array().and_then(|items| items.iter().map(number::text).collect());
    let texts: Vec<String> =
        texts.ok_or_else(|| ReadError::unexpected("a list of texts", value))?;
    Ok(texts.join(separator))
}

/// Refuses an item that would come apart when the text is split again.
fn unsplit(value: &Json, separator: &str) -> Result<String, WriteError> {
    let holds = |item: &Json| item.as_str().is_some_and(|text| text.contains(separator));
    if value.as_array().is_some_and(|items| items.iter().any(holds)) {
        let expected = format!("a list of texts without {separator:?}");
        return Err(WriteError::unexpected(expected, value));
    }
    Ok(join(value, separator)?)
}

fn read_lookup(value: &Json, table: &str, env: &Env) -> Result<Json, ReadError> {
    let known = env.tables.get(table);
    let missing = || ReadError::Missing { what: format!("lookup table {table}") };
    match known.ok_or_else(missing)?.canonical(&text_of(value)?) {
        Some(canonical) => Ok(json!(canonical)),
        None => {
            Err(ReadError::NoEntry { table: table.to_owned(), value: super::error::excerpt(value) })
        }
    }
}

fn write_lookup(value: &Json, table: &str, env: &Env) -> Result<Json, WriteError> {
    let known = env.tables.get(table);
    let missing = || WriteError::Missing { what: format!("lookup table {table}") };
    match known.ok_or_else(missing)?.remote(&text_of(value)?) {
        Some(remote) => Ok(json!(remote)),
        None => Err(WriteError::NoEntry {
            table: table.to_owned(),
            value: super::error::excerpt(value),
        }),
    }
}

/// The id of `[id, "name"]`, or the bare id.
fn read_pair(value: &Json) -> Result<Json, ReadError> {
    let id = match value {
        Json::Array(pair) => pair.first(),
        bare => Some(bare),
    };
    let id = id.filter(|id| id.is_number() || id.is_string());
    id.cloned().ok_or_else(|| ReadError::unexpected("an id or a pair of id and name", value))
}

fn list(value: Json) -> Result<Json, ReadError> {
    if value.is_array() { Ok(value) } else { Err(ReadError::unexpected("a list", &value)) }
}

/// The first item, null where there is none.
fn first_item(value: &Json) -> Result<Json, ReadError> {
    let items = value.as_array().ok_or_else(|| ReadError::unexpected("a list", value))?;
    Ok(items.first().cloned().unwrap_or(Json::Null))
}
