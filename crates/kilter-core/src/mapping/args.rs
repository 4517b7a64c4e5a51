//! Arguments of codecs and of selections: bare words, numbers, quoted texts, `$name`, `@path`.
//!
//! Reads   the text between the brackets; at run time the environment.   Writes  nothing.
//! Never   guesses: a quoted text stays a text, a bare number is a number.

use super::scan::Cursor;
use super::{Env, ParseError, Path};
use crate::Json;

/// An argument: known now, or looked up when the row runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Literal(Json),
    /// `$name`: the connection's scope and settings.
    Var(String),
    /// `@path`: read from the whole remote object.
    At(Path),
}

/// One `value` or `name=value` between the brackets of a codec.
#[derive(Debug, Clone)]
pub(super) struct Arg {
    pub at: usize,
    pub name: Option<Name>,
    pub value: Operand,
}

/// The left side of `name=value`; only a bare `*` or `?` has a meaning of its own.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub value: Json,
    pub bare: bool,
}

impl Operand {
    /// The value now; `None` when the environment has none.
    pub(super) fn resolve(&self, env: &Env) -> Option<Json> {
        match self {
            Operand::Literal(value) => Some(value.clone()),
            Operand::Var(name) => env.vars.get(name).cloned(),
            Operand::At(path) => path.read(env.root?, env),
        }
    }

    /// How the argument was written, for errors.
    pub(super) fn label(&self) -> String {
        match self {
            Operand::Literal(value) => value.to_string(),
            Operand::Var(name) => format!("${name}"),
            Operand::At(path) => format!("@{}", path.text()),
        }
    }

    pub(super) fn parse(cursor: &mut Cursor) -> Result<Operand, ParseError> {
        if cursor.eat('$') {
            return name(cursor).map(Operand::Var);
        }
        if cursor.peek() == Some('@') {
            if cursor.in_argument {
                return Err(cursor.fail("a value that is not another `@path`"));
            }
            cursor.eat('@');
            cursor.in_argument = true;
            let path = Path::scan(cursor)?;
            cursor.in_argument = false;
            return Ok(Operand::At(path));
        }
        Ok(Operand::Literal(literal(cursor)?.value))
    }
}

/// `(a, b=c, …)`, or nothing at all.
pub(super) fn scan(cursor: &mut Cursor) -> Result<Vec<Arg>, ParseError> {
    let mut args = Vec::new();
    if !cursor.eat('(') {
        return Ok(args);
    }
    cursor.blanks();
    if cursor.eat(')') {
        return Ok(args);
    }
    loop {
        cursor.blanks();
        args.push(arg(cursor)?);
        cursor.blanks();
        if cursor.eat(')') {
            return Ok(args);
        }
        if !cursor.eat(',') {
            return Err(cursor.fail("`,` or `)`"));
        }
    }
}

fn arg(cursor: &mut Cursor) -> Result<Arg, ParseError> {
    let at = cursor.at();
    if matches!(cursor.peek(), Some('$' | '@')) {
        return Ok(Arg { at, name: None, value: Operand::parse(cursor)? });
    }
    let first = literal(cursor)?;
    cursor.blanks();
    if !cursor.eat('=') {
        return Ok(Arg { at, name: None, value: Operand::Literal(first.value) });
    }
    cursor.blanks();
    Ok(Arg { at, name: Some(first), value: Operand::parse(cursor)? })
}

/// A quoted text, or a bare word read as JSON would: number, true, false, null, else a text.
fn literal(cursor: &mut Cursor) -> Result<Name, ParseError> {
    if let Some(text) = cursor.quoted()? {
        return Ok(Name { value: Json::String(text), bare: false });
    }
    let word = cursor.take_while(|c| !c.is_whitespace() && !"()[],=|\"`".contains(c));
    if word.is_empty() {
        return Err(cursor.fail("a value"));
    }
    let value = match word {
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        "null" => Json::Null,
        _ => word.parse().map_or_else(|_| Json::String(word.to_owned()), Json::Number),
    };
    Ok(Name { value, bare: true })
}

/// A name after `$`.
pub(super) fn name(cursor: &mut Cursor) -> Result<String, ParseError> {
    let word = cursor.take_while(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if word.is_empty() { Err(cursor.fail("a name after `$`")) } else { Ok(word.to_owned()) }
}
