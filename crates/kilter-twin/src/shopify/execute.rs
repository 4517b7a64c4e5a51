//! Execution: a validated operation against the shop, field by field.
//!
//! Reads   the operation, its variables, what the resolvers answer.
//! Writes  the data, the errors with their paths, the points that were really used.
//! Never   answers a null where the schema forbids it: the error climbs, as the standard says.

use apollo_compiler::ast::Type;
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::{ExecutableDocument, Schema};
use serde_json::{Value, json};

use super::cost::{self, Milli};
use super::fail::Fail;
use super::paging::{self, Listing};
use super::shop::Shop;
use super::store::Object;
use super::{coerce, gid, schema};

/// What a resolver answers: a value (an object may be the global id of a row), or everything a
/// connection is about.
#[derive(Debug)]
pub enum Out {
    Value(Value),
    List(Listing),
}

impl From<Value> for Out {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

/// A null that the position does not allow: the parent becomes null.
struct Nulled;

pub struct Execution<'a> {
    pub shop: &'a mut Shop,
    pub schema: &'a Schema,
    pub document: &'a ExecutableDocument,
    pub variables: &'a Object,
    pub errors: Vec<Value>,
    pub spent: Milli,
    /// A bulk job reads every connection to its end.
    pub whole: bool,
    path: Vec<Value>,
}

/// The fields of one response key, which are merged.
type Same<'f> = Vec<&'f Field>;

impl<'a> Execution<'a> {
    pub fn new(
        shop: &'a mut Shop,
        schema: &'a Schema,
        document: &'a ExecutableDocument,
        variables: &'a Object,
    ) -> Self {
        Self {
            shop,
            schema,
            document,
            variables,
            errors: vec![],
            spent: 0,
            whole: false,
            path: vec![],
        }
    }

    /// The operation's `data`; null where an error climbed to the top.
    pub fn run(&mut self, operation: &Operation) -> Value {
        let root = operation.selection_set.ty.to_string();
        let sets = [&operation.selection_set];
        self.object(&root, &Value::Null, &sets).unwrap_or(Value::Null)
    }

    fn object(
        &mut self,
        ty: &str,
        parent: &Value,
        sets: &[&SelectionSet],
    ) -> Result<Value, Nulled> {
        let document = self.document;
        let mut fields: Vec<(&str, Same<'_>)> = Vec::new();
        for set in sets {
            self.collect(document, ty, set, &mut fields);
        }
        let mut out = Object::new();
        for (key, same) in fields {
            self.path.push(json!(key));
            let value = self.field(ty, parent, &same);
            self.path.pop();
            out.insert(key.to_owned(), value?);
        }
        Ok(Value::Object(out))
    }

    fn collect<'f>(
        &self,
        document: &'f ExecutableDocument,
        ty: &str,
        set: &'f SelectionSet,
        out: &mut Vec<(&'f str, Same<'f>)>,
    ) {
        for selection in &set.selections {
            if self.left_out(selection) {
                continue;
            }
            match selection {
                Selection::Field(field) => {
                    let key = field.response_key().as_str();
                    match out.iter_mut().find(|(of, _)| *of == key) {
                        Some((_, same)) => same.push(field),
                        None => out.push((key, vec![field])),
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(of) = document.fragments.get(&spread.fragment_name)
                        && schema::applies(self.schema, ty, of.type_condition())
                    {
                        self.collect(document, ty, &of.selection_set, out);
                    }
                }
                Selection::InlineFragment(inline) => {
                    let of = inline.type_condition.as_ref();
                    if of.is_none_or(|of| schema::applies(self.schema, ty, of)) {
                        self.collect(document, ty, &inline.selection_set, out);
                    }
                }
            }
        }
    }

    /// `@skip` and `@include`.
    fn left_out(&self, selection: &Selection) -> bool {
        let condition = |name: &str| {
            let directive = selection.directives().get(name)?;
            let value = directive.specified_argument_by_name("if")?;
            match value.as_variable() {
                Some(name) => self.variables.get(name.as_str()).and_then(Value::as_bool),
                None => value.to_bool(),
            }
        };
        condition("skip") == Some(true) || condition("include") == Some(false)
    }

    fn field(&mut self, ty: &str, parent: &Value, same: &Same<'_>) -> Result<Value, Nulled> {
        let Some(field) = same.first() else { return Ok(Value::Null) };
        let name = field.name.as_str();
        if name == "__typename" {
            return Ok(json!(ty));
        }
        let expected = &field.definition.ty;
        let answered = coerce::arguments(self.schema, field, self.variables).and_then(|args| {
            self.shop.faults.denied(ty, name)?;
            self.shop.in_scope(ty, name)?;
            match ty {
                "Mutation" => {
                    self.spent += cost::MUTATION;
                    let key = self.idempotency_key(field);
                    self.shop.mutate(name, &args, key).map(Out::Value)
                }
                _ => self.shop.resolve(ty, parent, name, &args),
            }
            .map(|out| (out, args))
        });
        let completed = match answered {
            Ok((out, args)) => self.complete(expected, out, same, &args, ty == "Mutation"),
            Err(fail) => {
                self.error(&fail, Some(field));
                Err(Nulled)
            }
        };
        nullify(expected, completed)
    }

    /// The key of `@idempotent`; `None` where the directive is not there.
    fn idempotency_key(&self, field: &Field) -> Option<String> {
        let directive = field.directives.get("idempotent")?;
        let value = directive.specified_argument_by_name("key")?;
        let key = match value.as_variable() {
            Some(name) => self.variables.get(name.as_str())?.as_str()?.to_owned(),
            None => value.as_str()?.to_owned(),
        };
        Some(key)
    }

    fn complete(
        &mut self,
        ty: &Type,
        out: Out,
        same: &Same<'_>,
        args: &Object,
        payload: bool,
    ) -> Result<Value, Nulled> {
        let inner = ty.inner_named_type().as_str();
        if schema::is_connection(inner) {
            let listing = match out {
                Out::List(listing) => listing,
                Out::Value(Value::Array(items)) => Listing::of(&items),
                Out::Value(_) => return Ok(Value::Null),
            };
            return self.connection(inner, listing, same, args);
        }
        let value = match out {
            Out::Value(value) => value,
            Out::List(listing) => listing.items.into_iter().map(|item| item.value).collect(),
        };
        self.value(ty, value, same, payload)
    }

    fn value(
        &mut self,
        ty: &Type,
        value: Value,
        same: &Same<'_>,
        payload: bool,
    ) -> Result<Value, Nulled> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        if ty.is_list() {
            let Value::Array(items) = value else { return Ok(Value::Null) };
            let inner = ty.item_type();
            let mut out = Vec::with_capacity(items.len());
            for (at, item) in items.into_iter().enumerate() {
                self.path.push(json!(at));
                let done = self.value(inner, item, same, payload);
                let done = nullify_item(self, inner, done, same);
                self.path.pop();
                out.push(done?);
            }
            return Ok(Value::Array(out));
        }
        let name = ty.inner_named_type().as_str();
        if schema::is_leaf(self.schema, name) {
            return Ok(value);
        }
        let Some(concrete) = self.concrete(name, &value) else { return Ok(Value::Null) };
        let free = payload || name.ends_with("UserError") || name == "PageInfo";
        self.spent += if free { 0 } else { cost::OBJECT };
        let sets: Vec<&SelectionSet> = same.iter().map(|f| &f.selection_set).collect();
        self.object(&concrete, &value, &sets)
    }

    /// The type of an object that stands here; `None` where there is no such row.
    fn concrete(&self, declared: &str, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => match self.shop.store.find(text) {
                Some((kind, _)) if schema::applies(self.schema, kind, declared) => {
                    Some(kind.to_owned())
                }
                Some(_) => None,
                None => {
                    let kind = gid::parse(text).map(|(kind, _)| kind)?;
                    self.shop.is_virtual(kind).then(|| kind.to_owned())
                }
            },
            Value::Object(map) => match map.get("__typename").and_then(Value::as_str) {
                Some(name) => Some(name.to_owned()),
                None => Some(declared.to_owned()),
            },
            _ => None,
        }
    }

    fn connection(
        &mut self,
        ty: &str,
        listing: Listing,
        same: &Same<'_>,
        args: &Object,
    ) -> Result<Value, Nulled> {
        let page =
            if self.whole { Ok(paging::everything(listing)) } else { paging::page(listing, args) };
        let page = match page {
            Ok(page) => page,
            Err(fail) => {
                self.error(&fail, same.first().copied());
                return Err(Nulled);
            }
        };
        let document = self.document;
        let mut fields: Vec<(&str, Same<'_>)> = Vec::new();
        for field in same {
            self.collect(document, ty, &field.selection_set, &mut fields);
        }
        let before = std::mem::take(&mut self.spent);
        let mut out = Object::new();
        for (key, of) in fields {
            let Some(field) = of.first() else { continue };
            self.path.push(json!(key));
            let sets: Vec<&SelectionSet> = of.iter().map(|f| &f.selection_set).collect();
            let value = match field.name.as_str() {
                "nodes" => self.value(
                    &field.definition.ty,
                    page.items.iter().map(|(item, _)| item.value.clone()).collect(),
                    &of,
                    false,
                ),
                "edges" => self.edges(&field.definition.ty, &page, &sets),
                "pageInfo" => {
                    let end = |item: Option<&(paging::Item, String)>| item.map(|i| i.1.clone());
                    let info = json!({
                        "hasNextPage": page.next, "hasPreviousPage": page.previous,
                        "startCursor": end(page.items.first()), "endCursor": end(page.items.last()),
                    });
                    self.object("PageInfo", &info, &sets)
                }
                _ => Ok(json!(ty)),
            };
            self.path.pop();
            out.insert(key.to_owned(), value?);
        }
        let count = i64::try_from(page.items.len()).unwrap_or(0);
        let used = std::mem::replace(&mut self.spent, before);
        let charged = cost::nodes(count, self.shop.settings.cost_linear);
        self.spent += cost::CONNECTION;
        self.spent += if count == 0 { 0 } else { used * charged / count };
        Ok(Value::Object(out))
    }

    fn edges(
        &mut self,
        ty: &Type,
        page: &paging::Page,
        sets: &[&SelectionSet],
    ) -> Result<Value, Nulled> {
        let name = ty.inner_named_type().to_string();
        let mut out = Vec::with_capacity(page.items.len());
        for (at, (item, cursor)) in page.items.iter().enumerate() {
            let edge = json!({ "cursor": cursor, "node": item.value });
            self.path.push(json!(at));
            let done = self.object(&name, &edge, sets);
            self.path.pop();
            out.push(done?);
        }
        Ok(Value::Array(out))
    }

    fn error(&mut self, fail: &Fail, field: Option<&Field>) {
        let place = field.and_then(|f| f.name.line_column_range(&self.document.sources));
        let mut error = json!({ "message": fail.message });
        if let Some(place) = place {
            let start = place.start;
            error["locations"] = json!([{ "line": start.line, "column": start.column }]);
        }
        error["extensions"] = Value::Object(fail.extensions.clone());
        error["path"] = json!(self.path);
        self.errors.push(error);
    }
}

/// A null that is not allowed climbs; an error that is allowed to stops here as a null.
fn nullify(ty: &Type, done: Result<Value, Nulled>) -> Result<Value, Nulled> {
    match done {
        Ok(Value::Null) if ty.is_non_null() => Err(Nulled),
        Err(Nulled) if !ty.is_non_null() => Ok(Value::Null),
        done => done,
    }
}

fn nullify_item(
    execution: &mut Execution<'_>,
    ty: &Type,
    done: Result<Value, Nulled>,
    same: &Same<'_>,
) -> Result<Value, Nulled> {
    if ty.is_non_null() && matches!(done, Ok(Value::Null)) {
        let fail = Fail::new("INTERNAL_SERVER_ERROR", "an item of a list is not there");
        execution.error(&fail, same.first().copied());
    }
    nullify(ty, done)
}
