//! Swept: when each listing was last read from its beginning, and since when it is to be.
//!
//! Reads   what is written down of it.   Writes  nothing.   Never  reads a listing.

use kilter_core::sync::house::View;

use crate::store::{Result, Tx};

/// Where it is written down since when a connection is to be read from its beginning.
pub fn backfill_key(connection: &str) -> String {
    format!("backfill.{connection}")
}

/// Was a slice of a listing read from its beginning since everything was asked for?
pub(super) fn filled(tx: &Tx<'_>, connection: &str, resource: &str, each: &str) -> Result<bool> {
    let Some(asked) = tx.meta(&backfill_key(connection))? else { return Ok(false) };
    let swept = tx.meta(&swept_key(connection, resource, each))?;
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    Ok(swept.is_some_and(|swept| time(&swept) >= time(&asked)))
}

/// Where it is written down when a listing was last read from its beginning.
pub(super) fn swept_key(connection: &str, resource: &str, each: &str) -> String {
    format!("swept.{connection}.{resource}.{each}")
}

/// Was any slice of a listing read, and not from its beginning since then?
pub fn swept_before(tx: &Tx<'_>, view: &View<'_>, then: jiff::Timestamp) -> Result<bool> {
    let Some(list) = &view.resource.list else { return Ok(false) };
    let (name, resource) = (&view.connection.name, &view.resource.name);
    let each = list.each.as_ref().map_or_else(|| vec![String::new()], |e| view.connection.each(e));
    for each in each {
        let read = tx.cursor(name, resource, &each)?.complete;
        let swept = tx.meta(&swept_key(name, resource, &each))?;
        let swept = swept.and_then(|at| at.parse::<jiff::Timestamp>().ok());
        if read && swept.is_none_or(|at| at < then) {
            return Ok(true);
        }
    }
    Ok(false)
}
