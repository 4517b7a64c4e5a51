//! The twin's own subset of the Admin API's schema: names and types, no word of the vendor's.
//!
//! Reads   the `.graphql` files beside this one.
//! Writes  nothing.
//! Never   is extended by hand-waving: a test holds it against the vendor's schema.

use std::sync::LazyLock;

use apollo_compiler::Schema;
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;

/// The files, in any order.
pub const FILES: &[(&str, &str)] = &[
    ("root.graphql", include_str!("schema/root.graphql")),
    ("shop.graphql", include_str!("schema/shop.graphql")),
    ("catalog.graphql", include_str!("schema/catalog.graphql")),
    ("orders.graphql", include_str!("schema/orders.graphql")),
    ("inputs.graphql", include_str!("schema/inputs.graphql")),
    ("inputs_orders.graphql", include_str!("schema/inputs_orders.graphql")),
    ("payloads.graphql", include_str!("schema/payloads.graphql")),
    ("connections.graphql", include_str!("schema/connections.graphql")),
    ("enums.graphql", include_str!("schema/enums.graphql")),
    ("codes.graphql", include_str!("schema/codes.graphql")),
    ("scalars.graphql", include_str!("schema/scalars.graphql")),
];

/// All of it as one text.
pub fn sdl() -> String {
    FILES.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n")
}

static SCHEMA: LazyLock<Result<Valid<Schema>, String>> =
    LazyLock::new(|| Schema::parse_and_validate(sdl(), "admin").map_err(|e| e.to_string()));

/// The parsed schema; an error only when the files beside this one are broken.
pub fn schema() -> Result<&'static Valid<Schema>, String> {
    SCHEMA.as_ref().map_err(Clone::clone)
}

pub fn is_leaf(schema: &Schema, name: &str) -> bool {
    matches!(schema.types.get(name), Some(ExtendedType::Scalar(_) | ExtendedType::Enum(_)) | None)
}

pub fn is_abstract(schema: &Schema, name: &str) -> bool {
    matches!(schema.types.get(name), Some(ExtendedType::Interface(_) | ExtendedType::Union(_)))
}

pub fn is_connection(name: &str) -> bool {
    name.ends_with("Connection")
}

/// Whether an object of type `concrete` is a `condition`.
pub fn applies(schema: &Schema, concrete: &str, condition: &str) -> bool {
    if concrete == condition {
        return true;
    }
    match schema.types.get(condition) {
        Some(ExtendedType::Union(def)) => def.members.iter().any(|m| m.name.as_str() == concrete),
        Some(ExtendedType::Interface(_)) => match schema.types.get(concrete) {
            Some(ExtendedType::Object(def)) => {
                def.implements_interfaces.iter().any(|i| i.name.as_str() == condition)
            }
            _ => false,
        },
        _ => false,
    }
}
