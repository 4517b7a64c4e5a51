//! `tokens`: what a grant gave, one a connection. Its values are secrets: they are never printed.

use rusqlite::{OptionalExtension, params};

use super::{Result, Store, Tx};
use crate::remote::token::{Keep, Kept};

impl Tx<'_> {
    pub fn token(&self, connection: &str) -> Result<Option<Kept>> {
        let sql = "SELECT access, renew_at, ends_at, refresh, seed FROM tokens
                   WHERE connection = ?1";
        let mut s = self.sql.prepare_cached(sql)?;
        let row = s.query_row([connection], |r| {
            Ok(Kept {
                access: r.get(0)?,
                renew_at: r.get(1)?,
                ends_at: r.get(2)?,
                refresh: r.get(3)?,
                seed: r.get(4)?,
            })
        });
        Ok(row.optional()?)
    }

    pub fn set_token(&self, connection: &str, t: &Kept) -> Result<()> {
        let sql =
            "INSERT OR REPLACE INTO tokens (connection, access, renew_at, ends_at, refresh, seed)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.sql
            .prepare_cached(sql)?
            .execute(params![connection, t.access, t.renew_at, t.ends_at, t.refresh, t.seed])?;
        Ok(())
    }
}

/// The place of one connection's token.
#[derive(Debug)]
pub struct Place {
    pub store: Store,
    pub connection: String,
}

impl Keep for Place {
    fn load(&self) -> std::result::Result<Option<Kept>, String> {
        self.store.read(|tx| tx.token(&self.connection)).map_err(|e| e.to_string())
    }

    fn keep(&self, token: &Kept) -> std::result::Result<(), String> {
        self.store.write(|tx| tx.set_token(&self.connection, token)).map_err(|e| e.to_string())
    }
}
