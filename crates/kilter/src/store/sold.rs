//! `sold`: lines that shops sold and the ERP's figures may not contain yet.

use kilter_core::sync::world::Sold;
use rusqlite::{Row, params};
use rust_decimal::Decimal;

use super::{Result, Tx};

fn sold(r: &Row<'_>) -> rusqlite::Result<Sold> {
    // A quantity that cannot be read is no zero: nothing is sold by a guess.
    let quantity = |at: usize| -> rusqlite::Result<Decimal> {
        r.get::<_, String>(at)?.parse().map_err(|e: rust_decimal::Error| {
            rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(e))
        })
    };
    Ok(Sold {
        order: r.get(0)?,
        line: r.get(1)?,
        variant: r.get(2)?,
        quantity: quantity(3)?,
        location: r.get(4)?,
        reached: r.get(5)?,
        contained: quantity(6)?,
    })
}

const COLUMNS: &str = "order_id, line, variant, quantity, location, reached, within";

impl Tx<'_> {
    pub fn sold_of_variant(&self, variant: i64) -> Result<Vec<Sold>> {
        // What a figure contains is never subtracted again: it need not be read.
        self.sold_rows("variant = ?1 AND contained = 0", variant)
    }

    pub fn sold_of_order(&self, order: i64) -> Result<Vec<Sold>> {
        self.sold_rows("order_id = ?1", order)
    }

    fn sold_rows(&self, rest: &str, id: i64) -> Result<Vec<Sold>> {
        let sql = format!("SELECT {COLUMNS} FROM sold WHERE {rest}");
        let mut s = self.sql.prepare_cached(&sql)?;
        let rows = s.query_map([id], sold)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// `variant/location` of every figure that a sold line waits for.
    pub fn figures_awaited(&self) -> Result<Vec<String>> {
        let sql = "SELECT DISTINCT variant || '/' || location FROM sold
                   WHERE contained = 0 AND reached IS NOT NULL";
        let mut s = self.sql.prepare_cached(sql)?;
        let rows = s.query_map([], |r| r.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn write_sold<'s>(
        &self,
        rows: impl Iterator<Item = (&'s (i64, String), Option<&'s Sold>)>,
    ) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO sold
                   (order_id, line, variant, quantity, location, reached, contained, within)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let mut put = self.sql.prepare_cached(sql)?;
        let mut drop =
            self.sql.prepare_cached("DELETE FROM sold WHERE order_id = ?1 AND line = ?2")?;
        for ((order, line), row) in rows {
            self.kept.borrow_mut().sold_written();
            match row {
                Some(s) => put.execute(params![
                    order,
                    line,
                    s.variant,
                    s.quantity.to_string(),
                    s.location,
                    s.reached,
                    s.open().is_zero(),
                    s.contained.to_string()
                ])?,
                None => drop.execute(params![order, line])?,
            };
        }
        Ok(())
    }
}
