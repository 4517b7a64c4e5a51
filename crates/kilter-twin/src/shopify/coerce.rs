//! Arguments: from the text of a query to JSON, as the schema says.
//!
//! Reads   the schema, the operation's variables.
//! Writes  nothing.
//! Never   forgets whether a value was null or not there at all: the platform tells them apart.

use apollo_compiler::Schema;
use apollo_compiler::ast::{Type, Value as Ast};
use apollo_compiler::executable::Field;
use apollo_compiler::schema::ExtendedType;
use serde_json::{Value, json};

use super::fail::{Answer, Fail};
use super::store::Object;

/// Most items of an input list, but for those the platform lets grow.
pub const INPUT_ITEMS_MAX: usize = 250;
const LONGER: &[(&str, &str, usize)] = &[
    ("ProductSetInput", "variants", usize::MAX),
    ("ProductVariantSetInput", "inventoryQuantities", usize::MAX),
];

/// The arguments of a field, by name.
pub fn arguments(schema: &Schema, field: &Field, variables: &Object) -> Answer<Object> {
    let mut out = Object::new();
    for def in &field.definition.arguments {
        let given = field.arguments.iter().find(|arg| arg.name == def.name);
        let value = match given {
            Some(arg) => literal(&arg.value, &def.ty, schema, variables),
            None => None,
        };
        let default = def.default_value.as_ref();
        let value = value.or_else(|| default.and_then(|v| literal(v, &def.ty, schema, variables)));
        let Some(value) = value else {
            if def.ty.is_non_null() {
                return Err(Fail::bad_request(format!("Argument '{}' is required", def.name)));
            }
            continue;
        };
        check(schema, def.ty.inner_named_type().as_str(), &value, ("", def.name.as_str()))?;
        out.insert(def.name.to_string(), value);
    }
    Ok(out)
}

/// `None`: a variable that was not given.
fn literal(value: &Ast, ty: &Type, schema: &Schema, variables: &Object) -> Option<Value> {
    let value = match value {
        Ast::Null => Value::Null,
        Ast::Variable(name) => return variables.get(name.as_str()).cloned(),
        Ast::Enum(name) => json!(name.as_str()),
        Ast::String(text) => json!(text),
        Ast::Boolean(flag) => json!(flag),
        Ast::Int(int) => int.as_str().parse().map_or(Value::Null, Value::Number),
        Ast::Float(float) => float.as_str().parse().map_or(Value::Null, Value::Number),
        Ast::List(items) => {
            let inner = ty.item_type();
            return Some(Value::Array(
                items
                    .iter()
                    .map(|i| literal(i, inner, schema, variables).unwrap_or(Value::Null))
                    .collect(),
            ));
        }
        Ast::Object(pairs) => {
            let mut map = Object::new();
            let def = match schema.types.get(ty.inner_named_type()) {
                Some(ExtendedType::InputObject(def)) => Some(def),
                _ => None,
            };
            for (name, value) in pairs {
                let of = def.and_then(|def| def.fields.get(name)).map(|f| f.ty.as_ref());
                if let Some(value) = literal(value, of.unwrap_or(ty), schema, variables) {
                    map.insert(name.to_string(), value);
                }
            }
            Value::Object(map)
        }
    };
    Some(if ty.is_list() && !value.is_null() { json!([value]) } else { value })
}

/// What the type system does not say: `@oneOf`, and how long a list may be.
fn check(schema: &Schema, ty: &str, value: &Value, place: (&str, &str)) -> Answer<()> {
    match value {
        Value::Array(items) => {
            let own = LONGER.iter().find(|(of, name, _)| (*of, *name) == place);
            let most = own.map_or(INPUT_ITEMS_MAX, |(_, _, most)| *most);
            if items.len() > most {
                let message = format!(
                    "The input array size of {} is greater than the maximum allowed of {most}.",
                    items.len()
                );
                return Err(Fail::bad_request(message));
            }
            items.iter().try_for_each(|item| check(schema, ty, item, place))
        }
        Value::Object(map) => {
            let Some(ExtendedType::InputObject(def)) = schema.types.get(ty) else { return Ok(()) };
            if def.directives.get("oneOf").is_some() {
                let given = map.values().filter(|v| !v.is_null()).count();
                if given != 1 || map.len() != 1 {
                    let message = format!(
                        "'{ty}' requires exactly one argument, but {} were provided.",
                        map.len()
                    );
                    return Err(Fail::bad_request(message));
                }
            }
            for (name, value) in map {
                if let Some(field) = def.fields.get(name.as_str()) {
                    check(schema, field.ty.inner_named_type().as_str(), value, (ty, name))?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A text argument that is there and not null.
pub fn text<'a>(args: &'a Object, name: &str) -> Option<&'a str> {
    args.get(name).and_then(Value::as_str)
}

pub fn flag(args: &Object, name: &str) -> bool {
    args.get(name).and_then(Value::as_bool).unwrap_or(false)
}

pub fn whole(args: &Object, name: &str) -> Option<i64> {
    args.get(name).and_then(Value::as_i64)
}

pub fn map<'a>(args: &'a Object, name: &str) -> Option<&'a Object> {
    args.get(name).and_then(Value::as_object)
}

pub fn items<'a>(args: &'a Object, name: &str) -> &'a [Value] {
    args.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub fn texts(args: &Object, name: &str) -> Vec<String> {
    items(args, name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
