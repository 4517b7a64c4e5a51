//! A cursor over the text of a row: the few moves that paths and codecs are parsed with.
//!
//! Reads   the text of a row.   Writes  nothing.
//! Never   looks back; every move goes forward, so parsing is linear.

use super::ParseError;

/// Longest text of one row, in bytes.
pub const TEXT_BYTES_MAX: usize = 4096;

pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// Inside an `@path`, which holds no other: a row is one level deep, and so is its cost.
    pub(super) in_argument: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, ParseError> {
        let cursor = Cursor { text, at: 0, in_argument: false };
        if text.len() > TEXT_BYTES_MAX {
            return Err(cursor.fail(format!("at most {TEXT_BYTES_MAX} bytes")));
        }
        Ok(cursor)
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What was read since `from`.
    pub(super) fn since(&self, from: usize) -> &'a str {
        &self.text[from..self.at]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    pub(super) fn starts_with(&self, prefix: &str) -> bool {
        self.text[self.at..].starts_with(prefix)
    }

    pub(super) fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    pub(super) fn expect(&mut self, wanted: char) -> Result<(), ParseError> {
        if self.eat(wanted) { Ok(()) } else { Err(self.fail(format!("`{wanted}`"))) }
    }

    pub(super) fn blanks(&mut self) {
        self.take_while(char::is_whitespace);
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// A text in double quotes (with backslash escapes) or backticks (as it stands), if one
    /// starts here.
    pub(super) fn quoted(&mut self) -> Result<Option<String>, ParseError> {
        if self.eat('`') {
            let text = self.take_while(|c| c != '`').to_owned();
            self.expect('`')?;
            return Ok(Some(text));
        }
        if !self.eat('"') {
            return Ok(None);
        }
        let mut text = String::new();
        loop {
            text.push_str(self.take_while(|c| c != '"' && c != '\\'));
            if self.eat('"') {
                return Ok(Some(text));
            }
            self.expect_quote_or_escape()?;
            text.push(self.escaped()?);
        }
    }

    /// Nothing but blanks may follow.
    pub(super) fn end(&mut self, instead: &str) -> Result<(), ParseError> {
        self.blanks();
        if self.peek().is_none() { Ok(()) } else { Err(self.fail(instead)) }
    }

    pub(super) fn fail(&self, expected: impl Into<String>) -> ParseError {
        ParseError { expected: expected.into(), at: self.at, hint: None }
    }

    fn expect_quote_or_escape(&mut self) -> Result<(), ParseError> {
        if self.eat('\\') { Ok(()) } else { Err(self.fail("a closing `\"`")) }
    }

    fn escaped(&mut self) -> Result<char, ParseError> {
        for (mark, meant) in [('"', '"'), ('\\', '\\'), ('n', '\n'), ('t', '\t')] {
            if self.eat(mark) {
                return Ok(meant);
            }
        }
        Err(self.fail("one of `\"`, `\\`, `n`, `t` after a backslash"))
    }
}

/// The known name nearest to a misspelt one, if any is near.
pub(super) fn nearest<'n>(word: &str, known: &[&'n str]) -> Option<&'n str> {
    let near = |name: &&str| (distance(word, name), name.len());
    let best = known.iter().copied().min_by_key(near)?;
    (distance(word, best) <= 2 && distance(word, best) < best.len()).then_some(best)
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
