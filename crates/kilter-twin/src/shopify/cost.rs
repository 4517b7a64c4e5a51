//! Query cost and the leaking bucket.
//!
//! Reads   an operation before it runs; what it answered afterwards.
//! Writes  the bucket.
//! Never   lets an operation in whose requested cost is not there, however little it would use.
//!
//! An object costs 1, a scalar nothing, a mutation 10; a connection 2 and its nodes. How a
//! connection grows with `first` is not documented in numbers. Observed: 250 nodes of 2 points
//! each cost 24, which is 2 + 2·⌊2·ln 250⌋; `cost=linear` counts every node instead.

use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::{ExecutableDocument, Schema};
use serde_json::{Value, json};

use super::clock::Moment;
use super::store::Object;
use super::{coerce, schema};

/// Thousandths of a point.
pub type Milli = i64;

/// Most that a single query may ask for.
pub const QUERY_MAX: i64 = 1000;
pub const OBJECT: Milli = 1000;
pub const CONNECTION: Milli = 2000;
pub const MUTATION: Milli = 10_000;

/// ⌊2·ln n⌋ without a fraction: from each of these on it is one more.
const STEPS: &[i64] = &[2, 3, 5, 8, 13, 21, 34, 55, 91, 149, 245];

/// How many nodes a connection of `n` is charged for.
pub fn nodes(n: i64, linear: bool) -> i64 {
    if linear || n <= 1 {
        return n.max(0);
    }
    i64::try_from(STEPS.iter().take_while(|step| **step <= n).count()).unwrap_or(1).max(1)
}

pub struct Reckoner<'a> {
    pub schema: &'a Schema,
    pub document: &'a ExecutableDocument,
    pub variables: &'a Object,
    pub linear: bool,
}

impl Reckoner<'_> {
    /// The requested cost of an operation.
    pub fn operation(&self, operation: &Operation) -> Milli {
        let root = operation.selection_set.ty.as_str();
        self.set(root, &[&operation.selection_set])
    }

    /// What the most expensive object that may stand here would cost.
    fn set(&self, ty: &str, sets: &[&SelectionSet]) -> Milli {
        if !schema::is_abstract(self.schema, ty) {
            return self.concrete(ty, sets);
        }
        let objects = self.schema.types.iter().filter(|(name, def)| {
            matches!(def, ExtendedType::Object(_)) && schema::applies(self.schema, name, ty)
        });
        objects.map(|(name, _)| self.concrete(name, sets)).max().unwrap_or(0)
    }

    fn concrete(&self, ty: &str, sets: &[&SelectionSet]) -> Milli {
        let mut fields: Vec<(&str, Vec<&Field>)> = Vec::new();
        for set in sets {
            self.collect(ty, set, &mut fields);
        }
        fields.iter().map(|(_, same)| self.field(ty, same)).sum()
    }

    fn collect<'s>(
        &'s self,
        ty: &str,
        set: &'s SelectionSet,
        out: &mut Vec<(&'s str, Vec<&'s Field>)>,
    ) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    let key = field.response_key().as_str();
                    match out.iter_mut().find(|(of, _)| *of == key) {
                        Some((_, same)) => same.push(field),
                        None => out.push((key, vec![field])),
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(of) = self.document.fragments.get(&spread.fragment_name)
                        && schema::applies(self.schema, ty, of.type_condition())
                    {
                        self.collect(ty, &of.selection_set, out);
                    }
                }
                Selection::InlineFragment(inline) => {
                    let fits = inline
                        .type_condition
                        .as_ref()
                        .is_none_or(|of| schema::applies(self.schema, ty, of));
                    if fits {
                        self.collect(ty, &inline.selection_set, out);
                    }
                }
            }
        }
    }

    fn field(&self, parent: &str, same: &[&Field]) -> Milli {
        let Some(field) = same.first() else { return 0 };
        let inner = field.definition.ty.inner_named_type().as_str();
        if field.name.starts_with("__") || schema::is_leaf(self.schema, inner) {
            return if parent == "Mutation" { MUTATION } else { 0 };
        }
        let sets: Vec<&SelectionSet> = same.iter().map(|f| &f.selection_set).collect();
        if schema::is_connection(inner) {
            let args = coerce::arguments(self.schema, field, self.variables).unwrap_or_default();
            let size = coerce::whole(&args, "first").or_else(|| coerce::whole(&args, "last"));
            let size = nodes(size.unwrap_or(0), self.linear);
            return CONNECTION + size * self.set(inner, &sets);
        }
        let children = self.set(inner, &sets);
        match (parent, field.name.as_str(), inner) {
            ("Mutation", _, _) => MUTATION + children + self.extra(field),
            (_, "edges", _) => children,
            (_, "pageInfo" | "userErrors", _) => 0,
            ("QueryRoot", "nodes", _) => {
                let args = coerce::arguments(self.schema, field, self.variables);
                let ids = args.map_or(1, |args| coerce::items(&args, "ids").len());
                i64::try_from(ids).unwrap_or(1) * (OBJECT + children)
            }
            _ => OBJECT + children,
        }
    }

    /// `productSet` is charged for what it carries: 0.2 a variant, 0.4 a metafield, 1.9 a file,
    /// 0.6 a variant's file.
    fn extra(&self, field: &Field) -> Milli {
        if field.name != "productSet" {
            return 0;
        }
        let Ok(args) = coerce::arguments(self.schema, field, self.variables) else { return 0 };
        let Some(input) = coerce::map(&args, "input") else { return 0 };
        let count =
            |map: &Object, name: &str| i64::try_from(coerce::items(map, name).len()).unwrap_or(0);
        let variants = coerce::items(input, "variants").iter().filter_map(Value::as_object);
        let (mut metafields, mut pictures, mut rows) = (count(input, "metafields"), 0, 0);
        for variant in variants {
            rows += 1;
            metafields += count(variant, "metafields");
            pictures += i64::from(variant.get("file").is_some_and(|f| !f.is_null()));
        }
        200 * rows + 400 * metafields + 1900 * count(input, "files") + 600 * pictures
    }
}

/// Whole points, a started one counts.
pub fn points(milli: Milli) -> i64 {
    (milli + 999).div_euclid(1000)
}

/// The bucket of one app in one store.
#[derive(Debug)]
pub struct Bucket {
    available: Milli,
    at: Moment,
    restore: i64,
    pub maximum: i64,
    pub spent: i64,
    pub throttled: u64,
    /// How long the bucket was not full.
    pub busy_ms: i64,
}

impl Bucket {
    pub fn new(restore: i64, maximum: i64, now: Moment) -> Self {
        let available = maximum * 1000;
        Self { available, at: now, restore, maximum, spent: 0, throttled: 0, busy_ms: 0 }
    }

    fn fill(&mut self, now: Moment) {
        let elapsed = (now - self.at).max(0);
        self.at = now;
        let missing = self.maximum * 1000 - self.available;
        let back = elapsed.saturating_mul(self.restore).min(missing);
        self.busy_ms += if self.restore > 0 { back / self.restore } else { 0 };
        self.available += back;
    }

    /// Takes the requested points; `false` leaves the bucket as it is.
    pub fn take(&mut self, requested: i64, now: Moment) -> bool {
        self.fill(now);
        if self.available < requested * 1000 {
            self.throttled += 1;
            return false;
        }
        self.available -= requested * 1000;
        true
    }

    /// Gives back what was asked for and not used.
    pub fn settle(&mut self, requested: i64, actual: i64) {
        self.spent += actual;
        let most = self.maximum * 1000;
        self.available = (self.available + (requested - actual) * 1000).min(most);
    }

    /// Throws points away: another process of the same app was here.
    pub fn drain(&mut self, points: i64, now: Moment) {
        self.fill(now);
        self.available = (self.available - points * 1000).max(0);
    }

    /// Leaves a point less than is asked for.
    pub fn drain_below(&mut self, requested: i64, now: Moment) {
        self.fill(now);
        self.available = self.available.min((requested * 1000 - 1000).max(0));
    }

    pub fn status(&mut self, now: Moment) -> Value {
        self.fill(now);
        json!({
            "maximumAvailable": tenths(self.maximum),
            "currentlyAvailable": self.available.div_euclid(1000),
            "restoreRate": tenths(self.restore),
        })
    }

    pub fn reset(&mut self) {
        (self.spent, self.throttled, self.busy_ms) = (0, 0, 0);
    }

    /// Of what the bucket gave while it was in use, so many thousandths were spent.
    pub fn used_permille(&self) -> i64 {
        let given = self.busy_ms * self.restore / 1000;
        if given == 0 { 0 } else { (self.spent * 1000 / given).min(1000) }
    }
}

/// `4000.0`: the platform writes these two with a point.
fn tenths(value: i64) -> Value {
    format!("{value}.0").parse().map_or_else(|_| json!(value), Value::Number)
}
