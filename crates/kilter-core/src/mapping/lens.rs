//! A lens: a path and a chain of codecs, read and written as one.
//!
//! Reads   its place in a remote object.   Writes  its place, when that would change its meaning.
//! Never   rewrites an equal value in another spelling ("12.50" stays where 12.5 is meant).

use super::scan::Cursor;
use super::{Codec, Env, ParseError, Path, ReadError, WriteError, known};
use crate::Json;

/// One row's text, ready to read and to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Lens {
    text: String,
    path: Path,
    codecs: Vec<Codec>,
}

impl Default for Lens {
    /// The whole object, as it is.
    fn default() -> Self {
        Lens { text: ".".to_owned(), path: Path::default(), codecs: Vec::new() }
    }
}

impl Lens {
    /// `path | codec | codec(…)`; without codecs the value is taken as it is.
    pub fn parse(text: &str) -> Result<Lens, ParseError> {
        let mut cursor = Cursor::new(text)?;
        let path = Path::scan(&mut cursor)?;
        let mut codecs = Vec::new();
        loop {
            cursor.blanks();
            if !cursor.eat('|') {
                break;
            }
            cursor.blanks();
            codecs.push(known::scan(&mut cursor)?);
        }
        cursor.end("`|` and a codec, or the end")?;
        Ok(Lens { text: text.trim().to_owned(), path, codecs })
    }

    /// The canonical value; `None` when the remote object does not have it.
    pub fn read(&self, object: &Json, env: &Env) -> Result<Option<Json>, ReadError> {
        match self.path.read(object, env) {
            Some(value) => self.decode(value, env).map(Some),
            None => self
                .default_from()
                .map_or(Ok(None), |at| decode(&self.codecs[at..], Json::Null, env).map(Some)),
        }
    }

    /// Puts a canonical value in its place. A place that already means it is left as it is.
    pub fn write(&self, object: &mut Json, value: &Json, env: &Env) -> Result<(), WriteError> {
        if !self.path.is_invertible() {
            return Err(WriteError::ReadOnly { what: self.path.text().to_owned() });
        }
        let present = self.path.read(object, env).filter(|present| !present.is_null());
        let meant = present.and_then(|present| self.decode(present, env).ok());
        // Asked before encoding: what was read may always be written back.
        if meant.as_ref() == Some(value) {
            return Ok(());
        }
        let Some(remote) = self.encode(value, env)? else { return Ok(()) };
        if meant.is_some() && self.normalise(value, env).ok() == meant {
            return Ok(());
        }
        self.path.write(object, remote, env)
    }

    /// The remote side of a canonical value alone; `None` when the field is to be left alone.
    pub fn encode(&self, value: &Json, env: &Env) -> Result<Option<Json>, WriteError> {
        let mut remote = value.clone();
        for codec in self.codecs.iter().rev() {
            match codec.write(remote, env)? {
                Some(written) => remote = written,
                None => return Ok(None),
            }
        }
        Ok(Some(remote))
    }

    /// The canonical side of a remote value alone.
    pub fn decode(&self, value: Json, env: &Env) -> Result<Json, ReadError> {
        decode(&self.codecs, value, env)
    }

    /// What would be read back after writing `value`. A value that leaves the field alone is
    /// its own normal form.
    pub fn normalise(&self, value: &Json, env: &Env) -> Result<Json, WriteError> {
        let mut remote = value.clone();
        for codec in self.codecs.iter().rev() {
            match codec.write(remote, env)? {
                Some(written) => remote = codec.settle(written),
                None => return Ok(value.clone()),
            }
        }
        self.decode(remote, env).map_err(WriteError::Unreadable)
    }

    /// The resources named in `ref(…)`.
    pub fn refs(&self) -> Vec<&str> {
        let resources = self.codecs.iter().filter_map(|codec| match codec {
            Codec::Ref(resources) => Some(resources),
            _ => None,
        });
        resources.flatten().map(String::as_str).collect()
    }

    /// Whether the row may stand for both directions.
    pub fn is_invertible(&self) -> bool {
        self.path.is_invertible() && self.codecs.iter().all(Codec::is_invertible)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn codecs(&self) -> &[Codec] {
        &self.codecs
    }

    /// The row as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where an absent value begins to be one.
    fn default_from(&self) -> Option<usize> {
        self.codecs.iter().position(|codec| matches!(codec, Codec::Default(_)))
    }
}

fn decode(codecs: &[Codec], value: Json, env: &Env) -> Result<Json, ReadError> {
    codecs.iter().try_fold(value, |value, codec| codec.read(value, env))
}
