//! What a row may look at beside the object: names, lookup tables, the object around it.
//!
//! Reads   pairs of a lookup table.   Writes  nothing.
//! Never   accepts a table that cannot be read in both directions.

use std::collections::BTreeMap;

use super::TableError;
use crate::Json;

/// The surroundings of a row.
#[derive(Debug, Clone, Copy)]
pub struct Env<'a> {
    /// `$name`: the connection's scope and settings.
    pub vars: &'a BTreeMap<String, Json>,
    /// The tables that `lookup(name)` may use.
    pub tables: &'a BTreeMap<String, Table>,
    /// The whole remote object, which `@path` arguments read.
    pub root: Option<&'a Json>,
}

/// A lookup table: canonical text ↔ remote text, one to one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    forward: BTreeMap<String, String>,
    backward: BTreeMap<String, String>,
}

impl Table {
    /// `pairs` are (canonical, remote), as in `enum(canonical=remote)`.
    pub fn new<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Table, TableError>
    where
        K: Into<String>,
        V: Into<String>,
    {
        let mut table = Table::default();
        for (key, value) in pairs {
            table.insert(key.into(), value.into())?;
        }
        Ok(table)
    }

    /// The canonical texts, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.forward.keys().map(String::as_str)
    }

    /// The remote text for a canonical one.
    pub fn remote(&self, canonical: &str) -> Option<&str> {
        self.forward.get(canonical).map(String::as_str)
    }

    /// The canonical text for a remote one.
    pub fn canonical(&self, remote: &str) -> Option<&str> {
        self.backward.get(remote).map(String::as_str)
    }

    fn insert(&mut self, key: String, value: String) -> Result<(), TableError> {
        if let Some(first) = self.forward.get(&key).filter(|first| **first != value) {
            return Err(TableError::Ambiguous { key, first: first.clone(), second: value });
        }
        if let Some(first) = self.backward.get(&value).filter(|first| **first != key) {
            let first = first.clone();
            return Err(TableError::NotInvertible { first, second: key, value });
        }
        self.backward.insert(value.clone(), key.clone());
        self.forward.insert(key, value);
        Ok(())
    }
}
