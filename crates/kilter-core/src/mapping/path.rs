//! Paths: where in a remote object a row has its place.
//!
//! Reads   one place of an object.   Writes  that place, and the parents it needs.
//! Never   touches a sibling; never invents list items to fill a gap.
//!
//! ```text
//! a.b.c              keys; odd ones in backticks or double quotes
//! list[k=v, l=$x]    the first item with these values; created with them on write
//! list[0]            an item by number; one beyond the end appends
//! .                  the whole object
//! $name.a            the connection's settings; read-only
//! first(a.b, c)      the first that says something; read-only
//! ```

use super::args::{self, Operand};
use super::scan::Cursor;
use super::{Env, ParseError, WriteError, number};
use crate::Json;

/// A place in a remote object.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    text: String,
    start: Start,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Start {
    Object,
    Var(String),
    /// `first(…)`: alternatives, none of which is a `first` itself.
    First(Vec<Path>),
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
    Select(Vec<(String, Operand)>),
}

impl Default for Path {
    /// The whole object.
    fn default() -> Self {
        Path { text: ".".to_owned(), start: Start::Object, steps: Vec::new() }
    }
}

impl Path {
    pub fn parse(text: &str) -> Result<Path, ParseError> {
        let mut cursor = Cursor::new(text)?;
        let path = Path::scan(&mut cursor)?;
        cursor.end("`.`, `[` or the end of the path")?;
        Ok(Path { text: text.trim().to_owned(), ..path })
    }

    /// The value at this place. A missing or null parent makes it absent.
    pub fn read(&self, object: &Json, env: &Env) -> Option<Json> {
        let start = match &self.start {
            Start::Object => object,
            Start::Var(name) => env.vars.get(name)?,
            Start::First(paths) => {
                return paths.iter().filter_map(|path| path.read(object, env)).find(says_something);
            }
        };
        let mut place = start;
        for step in &self.steps {
            place = step.find(place, env)?;
        }
        Some(place.clone())
    }

    /// The same, out of the object where that is easy: a page of a listing is not copied.
    pub fn take(&self, object: &mut Json, env: &Env) -> Option<Json> {
        let selects = self.steps.iter().any(|step| matches!(step, Step::Select(_)));
        if self.start != Start::Object || selects {
            return self.read(object, env);
        }
        let mut place = object;
        for step in &self.steps {
            place = match step {
                Step::Key(key) => place.as_object_mut()?.get_mut(key)?,
                Step::Index(index) => place.as_array_mut()?.get_mut(*index)?,
                Step::Select(_) => return None,
            };
        }
        Some(place.take())
    }

    /// Puts a value at this place, creating parents and selected items.
    pub fn write(&self, object: &mut Json, value: Json, env: &Env) -> Result<(), WriteError> {
        if !self.is_invertible() {
            return Err(WriteError::ReadOnly { what: self.text.clone() });
        }
        // Settled before anything is touched, so that a refusal leaves the object as it was.
        let value = self.complete(value, env)?;
        self.check(object, env)?;
        let mut place = object;
        for step in &self.steps {
            place = step.open(place, env)?;
        }
        match (place, value) {
            // Members of the whole: what else stands there stays.
            (Json::Object(whole), Json::Object(members)) if self.steps.is_empty() => {
                whole.extend(members);
            }
            (place, value) => *place = value,
        }
        Ok(())
    }

    /// Whether this place can be written.
    pub fn is_invertible(&self) -> bool {
        self.start == Start::Object
    }

    /// The first key of the object that this path goes through.
    pub fn root_key(&self) -> Option<&str> {
        match (&self.start, self.steps.first()) {
            (Start::Object, Some(Step::Key(key))) => Some(key),
            _ => None,
        }
    }

    /// The path as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A path that ends where something else begins.
    pub(super) fn scan(cursor: &mut Cursor) -> Result<Path, ParseError> {
        cursor.blanks();
        let from = cursor.at();
        let (start, steps) = if cursor.starts_with("first(") {
            (Start::First(alternatives(cursor)?), Vec::new())
        } else if cursor.eat('$') {
            (Start::Var(args::name(cursor)?), following(cursor)?)
        } else if cursor.eat('.') {
            (Start::Object, Vec::new())
        } else if cursor.peek() == Some('[') {
            (Start::Object, following(cursor)?)
        } else {
            let first = Step::Key(key(cursor)?);
            let mut steps = vec![first];
            steps.extend(following(cursor)?);
            (Start::Object, steps)
        };
        Ok(Path { text: cursor.since(from).trim().to_owned(), start, steps })
    }

    /// A value that replaces a selected item must still be the item that was selected.
    fn complete(&self, mut value: Json, env: &Env) -> Result<Json, WriteError> {
        let Some(Step::Select(wanted)) = self.steps.last() else { return Ok(value) };
        let Json::Object(item) = &mut value else {
            return Err(WriteError::unexpected("an object for a list item", &value));
        };
        item.extend(keys(wanted, env)?);
        Ok(value)
    }

    /// Walks as far as the object reaches, and refuses what `open` would refuse.
    fn check(&self, object: &Json, env: &Env) -> Result<(), WriteError> {
        let mut place = Some(object);
        for step in &self.steps {
            if let Step::Select(wanted) = step {
                keys(wanted, env)?;
            }
            step.fits(place.unwrap_or(&Json::Null))?;
            place = place.and_then(|place| step.find(place, env));
        }
        Ok(())
    }
}

impl Step {
    fn find<'j>(&self, place: &'j Json, env: &Env) -> Option<&'j Json> {
        match self {
            Step::Key(key) => place.as_object()?.get(key),
            Step::Index(index) => place.as_array()?.get(*index),
            Step::Select(wanted) => {
                let keys = keys(wanted, env).ok()?;
                place.as_array()?.iter().find(|item| is_selected(item, &keys))
            }
        }
    }

    /// Whether this step can be taken from here, creating what is missing.
    fn fits(&self, place: &Json) -> Result<(), WriteError> {
        match (self, place) {
            (Step::Key(_), Json::Object(_) | Json::Null) => Ok(()),
            (Step::Select(_), Json::Array(_) | Json::Null) => Ok(()),
            (Step::Index(0), Json::Null) => Ok(()),
            (Step::Index(index), Json::Array(items)) if *index <= items.len() => Ok(()),
            (Step::Key(key), _) => {
                Err(WriteError::unexpected(format!("an object around `{key}`"), place))
            }
            (Step::Select(_), _) => Err(WriteError::unexpected("a list to select from", place)),
            (Step::Index(index), _) => {
                Err(WriteError::unexpected(format!("a list of at least {index} items"), place))
            }
        }
    }

    /// The place behind this step, created when it is missing.
    fn open<'j>(&self, place: &'j mut Json, env: &Env) -> Result<&'j mut Json, WriteError> {
        self.fits(place)?;
        match self {
            Step::Key(key) => {
                if place.is_null() {
                    *place = Json::Object(serde_json::Map::new());
                }
                let Json::Object(object) = place else { return Err(unreachable_step(self)) };
                Ok(object.entry(key.clone()).or_insert(Json::Null))
            }
            Step::Index(index) => {
                let items = items(place).ok_or_else(|| unreachable_step(self))?;
                if *index == items.len() {
                    items.push(Json::Null);
                }
                items.get_mut(*index).ok_or_else(|| unreachable_step(self))
            }
            Step::Select(wanted) => {
                let keys = keys(wanted, env)?;
                let items = items(place).ok_or_else(|| unreachable_step(self))?;
                let found = items.iter().position(|item| is_selected(item, &keys));
                let index = found.unwrap_or_else(|| {
                    items.push(Json::Object(keys.into_iter().collect()));
                    items.len() - 1
                });
                items.get_mut(index).ok_or_else(|| unreachable_step(self))
            }
        }
    }
}

/// `fits` has ruled this out; an error is still better than a panic in the middle of a sync.
fn unreachable_step(step: &Step) -> WriteError {
    WriteError::ReadOnly { what: format!("{step:?}") }
}

fn items(place: &mut Json) -> Option<&mut Vec<Json>> {
    if place.is_null() {
        *place = Json::Array(Vec::new());
    }
    place.as_array_mut()
}

/// The keys and values of a selection, as they are now.
fn keys(wanted: &[(String, Operand)], env: &Env) -> Result<Vec<(String, Json)>, WriteError> {
    let known = |(key, operand): &(String, Operand)| match operand.resolve(env) {
        Some(value) => Ok((key.clone(), value)),
        None => Err(WriteError::Missing { what: operand.label() }),
    };
    wanted.iter().map(known).collect()
}

/// Keys are compared by their text: platforms send `5` and `"5"` for the same id.
fn is_selected(item: &Json, keys: &[(String, Json)]) -> bool {
    keys.iter().all(|(key, wanted)| item.get(key).is_some_and(|found| number::same(found, wanted)))
}

/// Not null, `0`, `""`, `"0"` or `false`: what platforms send for "none".
fn says_something(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => false,
        Json::String(text) => !text.is_empty() && text != "0",
        Json::Number(_) => number::decimal(value).is_none_or(|number| !number.is_zero()),
        _ => true,
    }
}

fn alternatives(cursor: &mut Cursor) -> Result<Vec<Path>, ParseError> {
    cursor.take_while(|c| c != '(');
    cursor.expect('(')?;
    let mut paths = Vec::new();
    loop {
        cursor.blanks();
        if cursor.starts_with("first(") {
            return Err(cursor.fail("a path that is not itself a `first(…)`"));
        }
        paths.push(Path::scan(cursor)?);
        cursor.blanks();
        if cursor.eat(')') {
            return Ok(paths);
        }
        if !cursor.eat(',') {
            return Err(cursor.fail("`,` or `)`"));
        }
    }
}

fn following(cursor: &mut Cursor) -> Result<Vec<Step>, ParseError> {
    let mut steps = Vec::new();
    loop {
        if cursor.eat('.') {
            steps.push(Step::Key(key(cursor)?));
        } else if cursor.eat('[') {
            steps.push(bracket(cursor)?);
        } else {
            return Ok(steps);
        }
    }
}

fn bracket(cursor: &mut Cursor) -> Result<Step, ParseError> {
    cursor.blanks();
    let at = cursor.at();
    let mut wanted = Vec::new();
    loop {
        cursor.blanks();
        let name = key(cursor)?;
        cursor.blanks();
        if wanted.is_empty() && cursor.eat(']') {
            let index = name.parse().ok().filter(|_| name.bytes().all(|b| b.is_ascii_digit()));
            return index.map(Step::Index).ok_or_else(|| ParseError {
                expected: "a number or `key=value` in `[…]`".to_owned(),
                at,
                hint: Some(format!("to select an item by its {name}, write [{name}=value]")),
            });
        }
        cursor.expect('=')?;
        cursor.blanks();
        wanted.push((name, Operand::parse(cursor)?));
        cursor.blanks();
        if cursor.eat(']') {
            return Ok(Step::Select(wanted));
        }
        if !cursor.eat(',') {
            return Err(cursor.fail("`,` or `]`"));
        }
    }
}

fn key(cursor: &mut Cursor) -> Result<String, ParseError> {
    if let Some(key) = cursor.quoted()? {
        return Ok(key);
    }
    let word = cursor.take_while(|c| c.is_alphanumeric() || "_-:".contains(c));
    if !word.is_empty() {
        return Ok(word.to_owned());
    }
    let mut error = cursor.fail("a key");
    error.hint = Some("a key with odd characters stands in backticks: `odd key`".to_owned());
    Err(error)
}
