//! The twin's schema is a true subset of the vendor's.
//!
//! Reads   both schemas.
//! Writes  nothing.
//! Never   passes in silence where the vendor's is absent: it says that it was skipped.

use std::process::Command;

use apollo_compiler::Schema;
use apollo_compiler::ast::InputValueDefinition;
use apollo_compiler::schema::ExtendedType;

use crate::shopify::support::vendor;

/// `gzip -dc`, which every machine has that has the folder.
fn unpacked(path: &std::path::Path) -> Option<String> {
    let out = Command::new("gzip").arg("-dc").arg(path).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

fn inputs(
    place: &str,
    own: &[&InputValueDefinition],
    theirs: &[&InputValueDefinition],
    wrong: &mut Vec<String>,
) {
    for one in own {
        match theirs.iter().find(|t| t.name == one.name) {
            None => wrong.push(format!("{place}({}) is not the vendor's", one.name)),
            Some(t) if t.ty != one.ty => {
                wrong.push(format!("{place}({}): {} is {} there", one.name, one.ty, t.ty));
            }
            Some(t)
                if t.default_value.as_ref().map(ToString::to_string)
                    != one.default_value.as_ref().map(ToString::to_string) =>
            {
                wrong.push(format!("{place}({}) has another default there", one.name));
            }
            Some(_) => {}
        }
    }
    for t in theirs.iter().filter(|t| t.ty.is_non_null() && t.default_value.is_none()) {
        if !own.iter().any(|one| one.name == t.name) {
            wrong.push(format!("{place}({}) is required there", t.name));
        }
    }
}

fn compare(name: &str, own: &ExtendedType, theirs: &ExtendedType, wrong: &mut Vec<String>) {
    let fields = |ty: &ExtendedType| match ty {
        ExtendedType::Object(def) => def.fields.clone(),
        ExtendedType::Interface(def) => def.fields.clone(),
        _ => Default::default(),
    };
    let (mine, vendor) = (fields(own), fields(theirs));
    for (field, def) in &mine {
        let place = format!("{name}.{field}");
        let Some(other) = vendor.get(field) else {
            wrong.push(format!("{place} is not the vendor's"));
            continue;
        };
        if other.ty != def.ty {
            wrong.push(format!("{place}: {} is {} there", def.ty, other.ty));
        }
        let list = |args: &[apollo_compiler::Node<InputValueDefinition>]| args.to_vec();
        let (a, b) = (list(&def.arguments), list(&other.arguments));
        let a: Vec<&InputValueDefinition> = a.iter().map(AsRef::as_ref).collect();
        let b: Vec<&InputValueDefinition> = b.iter().map(AsRef::as_ref).collect();
        inputs(&place, &a, &b, wrong);
    }
    match (own, theirs) {
        (ExtendedType::Object(a), ExtendedType::Object(b)) => {
            for of in &a.implements_interfaces {
                if !b.implements_interfaces.contains(of) {
                    wrong.push(format!("{name} implements no {of} there"));
                }
            }
        }
        (ExtendedType::Enum(a), ExtendedType::Enum(b)) => {
            for value in a.values.keys().filter(|value| !b.values.contains_key(*value)) {
                wrong.push(format!("{name}.{value} is not the vendor's"));
            }
        }
        (ExtendedType::Union(a), ExtendedType::Union(b)) => {
            for member in a.members.iter().filter(|member| !b.members.contains(*member)) {
                wrong.push(format!("{name} | {member} is not the vendor's"));
            }
        }
        (ExtendedType::InputObject(a), ExtendedType::InputObject(b)) => {
            let a_list: Vec<&InputValueDefinition> = a.fields.values().map(AsRef::as_ref).collect();
            let b_list: Vec<&InputValueDefinition> = b.fields.values().map(AsRef::as_ref).collect();
            inputs(name, &a_list, &b_list, wrong);
            if a.directives.get("oneOf").is_some() != b.directives.get("oneOf").is_some() {
                wrong.push(format!("{name} differs in @oneOf"));
            }
        }
        (ExtendedType::Scalar(_), ExtendedType::Scalar(_))
        | (ExtendedType::Interface(_), ExtendedType::Interface(_)) => {}
        _ => wrong.push(format!("{name} is of another kind there")),
    }
}

#[test]
fn the_schema_is_a_true_subset_of_the_vendors() {
    let Some(folder) = vendor() else { return };
    let Some(text) = unpacked(&folder.join("admin-2026-10.graphql.gz")) else {
        println!("skipped: the vendor's schema cannot be unpacked");
        return;
    };
    let theirs = Schema::builder().adopt_orphan_extensions().parse(text, "vendor").build();
    let theirs = theirs.unwrap_or_else(|broken| broken.partial);
    let own = Schema::parse_and_validate(kilter_twin::shopify::sdl(), "own").expect("it is valid");
    let mut wrong = Vec::new();
    for (name, ty) in own.types.iter().filter(|(_, ty)| !ty.is_built_in()) {
        match theirs.types.get(name) {
            Some(other) => compare(name, ty, other, &mut wrong),
            None => wrong.push(format!("{name} is not the vendor's")),
        }
    }
    let directive = |schema: &Schema| {
        let def = schema.directive_definitions.get("idempotent").expect("it is there");
        (def.arguments[0].ty.to_string(), format!("{:?}", def.locations))
    };
    assert_eq!(directive(&own), directive(&theirs));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(own.types.len() > 250, "only {} types", own.types.len());
}

#[test]
fn the_schema_carries_no_description() {
    assert!(!kilter_twin::shopify::sdl().contains('#'));
    assert!(!kilter_twin::shopify::sdl().contains("\"\"\""));
}
