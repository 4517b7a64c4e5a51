//! The referee's table.
//!
//! Reads   nothing.
//! Writes  nothing; serialises to JSON.
//! Never   holds a figure that was taken from Kilter.

use std::collections::BTreeMap;

use serde::Serialize;

use super::script::Step;

/// What stands there beside what should.
#[derive(Debug, Clone, Serialize)]
pub struct Example {
    pub what: String,
    pub expected: String,
    pub found: String,
}

pub const EXAMPLES_MAX: usize = 5;

/// One entity of one connection. `expected` = aligned + held + what of `wrong` was expected.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Row {
    pub connection: String,
    pub entity: String,
    pub expected: usize,
    pub aligned: usize,
    /// Not there, for a reason that the script predicted.
    pub held: usize,
    pub wrong: usize,
    pub examples: Vec<Example>,
}

impl Row {
    pub fn new(connection: &str, entity: &str) -> Self {
        Self { connection: connection.to_owned(), entity: entity.to_owned(), ..Self::default() }
    }

    pub fn aligned(&mut self) {
        self.expected += 1;
        self.aligned += 1;
    }

    pub fn held(&mut self) {
        self.expected += 1;
        self.held += 1;
    }

    pub fn wrong(&mut self, what: &str, expected: &str, found: &str) {
        self.expected += 1;
        self.extra(what, expected, found);
    }

    /// Wrong, and nothing that was expected.
    pub fn extra(&mut self, what: &str, expected: &str, found: &str) {
        self.wrong += 1;
        if self.examples.len() < EXAMPLES_MAX {
            let (what, expected, found) = (what.to_owned(), expected.to_owned(), found.to_owned());
            self.examples.push(Example { what, expected, found });
        }
    }

    /// Aligned where both say the same.
    pub fn compare(&mut self, what: &str, expected: &str, found: &str) {
        if expected == found { self.aligned() } else { self.wrong(what, expected, found) }
    }
}

/// Write calls of one step at one connection, beside the least possible.
#[derive(Debug, Clone, Serialize)]
pub struct Writes {
    pub step: Step,
    pub connection: String,
    pub calls: u64,
    /// From the batches' caps and grouping, had everything come at once. Judged where it does.
    pub least: u64,
    pub routes: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Orders {
    /// The script's intention.
    pub wanted: usize,
    /// Accepted by a shop.
    pub placed: usize,
    /// Refused by a shop, as the script wanted: nothing was left.
    pub refused: usize,
    /// In the ERP and confirmed, each counted once.
    pub in_erp: usize,
    /// In the ERP as a draft only.
    pub parked: usize,
    /// Once more in the ERP, by buyer and lines, whatever the reference says.
    pub duplicated: usize,
    pub missing: usize,
    pub wrong_totals: usize,
    /// In the ERP, and nobody placed it.
    pub stray: usize,
    pub examples: Vec<Example>,
}

/// Units of a SKU that were sold and never there.
#[derive(Debug, Clone, Serialize)]
pub struct Oversold {
    pub sku: String,
    pub units: i64,
    pub reason: String,
    pub explained: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Hooks {
    pub sent: u64,
    pub acknowledged: u64,
    pub failed: u64,
    pub pending: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Held {
    pub connection: String,
    pub sku: String,
    pub reason: String,
}

/// The hour in which the ERP took no orders, and the answers it lost afterwards.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outage {
    /// Stock figures that were checked while no order reached the ERP.
    pub figures: usize,
    pub wrong: usize,
    pub examples: Vec<Example>,
    /// Loads of orders that were done and never answered.
    pub answers_lost: u64,
    pub answers_wanted: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    pub ok: bool,
    /// Every reason why not, in words.
    pub problems: Vec<String>,
    pub rows: Vec<Row>,
    pub held: Vec<Held>,
    pub orders: Orders,
    pub oversold_units: i64,
    pub oversold: Vec<Oversold>,
    /// Figures raised over a sale that had been made before the read the write was based on.
    pub stock_raises: usize,
    pub stock_raise_examples: Vec<Example>,
    /// Raises that the shop's own check looked at.
    pub stock_raises_checked: u64,
    pub outage: Option<Outage>,
    pub webhooks: BTreeMap<String, Hooks>,
    pub writes: Vec<Writes>,
}

impl Verdict {
    pub fn row(&self, connection: &str, entity: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.connection == connection && row.entity == entity)
    }
}
