//! The script of a storm: what happens, step by step, as the dice say.
//!
//! Reads   dice.   Writes  nothing.
//! Never   draws for one step by what another drew: others may be left out.

use std::fmt;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::storms::relay::{FAULTS, Fault, Weather};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shop {
    De,
    Us,
}

/// What a merchant gives back of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Money alone, for no line.
    Money,
    /// One piece of the first line; back into the shop's stock, or not.
    Piece {
        restock: bool,
    },
    All,
}

#[derive(Debug, Clone)]
pub enum Step {
    Price {
        sku: String,
        list: &'static str,
        cents: u32,
    },
    Stock {
        sku: String,
        place: &'static str,
        quantity: u32,
    },
    Rename {
        sku: String,
        language: &'static str,
        name: String,
    },
    Weigh {
        sku: String,
        grams: u32,
    },
    New {
        number: u32,
    },
    Order {
        shop: Shop,
        lines: Vec<(String, u32)>,
        buyer: u32,
    },
    Cancel {
        shop: Shop,
        nth: usize,
    },
    /// The ERP's description: it proposes one to a shop, and owns it in the other.
    Describe {
        sku: String,
        language: &'static str,
        text: String,
    },
    /// A barcode; on sale or not.
    Mark {
        sku: String,
        code: String,
    },
    Sell {
        sku: String,
        on: bool,
    },
    /// An editor writes the description that the shop owns once it has one.
    Tell {
        sku: String,
        text: String,
    },
    /// Somebody edits in a shop what the ERP owns.
    Drift {
        shop: Shop,
        sku: String,
        what: &'static str,
        value: String,
    },
    /// Somebody edits in a shop what is the shop's own.
    Own {
        shop: Shop,
        sku: String,
        order: u32,
        visibility: &'static str,
    },
    Delete {
        shop: Shop,
        sku: String,
    },
    /// Into the shop's bin; and out of it again, the nth that lies there.
    Bin {
        shop: Shop,
        sku: String,
    },
    Restore {
        shop: Shop,
        nth: usize,
    },
    Refund {
        shop: Shop,
        nth: usize,
        what: Part,
    },
    /// Kilter is stopped, or killed, and started again on the same database.
    Restart {
        kill: bool,
        dead_ms: u64,
    },
    Fail {
        system: usize,
        fault: Fault,
        times: usize,
        writes_only: bool,
    },
    Lose {
        shop: Shop,
        on: bool,
    },
    Weather(Weather),
    Wait {
        ms: u64,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The `n`th script of a seed. Each step has dice of its own.
pub fn script(seed: u64, case: usize, steps: usize, skus: &[String]) -> Vec<Step> {
    let steps = (0..steps).map(|at| {
        let place = (case as u64) << 32 | at as u64;
        let mut dice = SmallRng::seed_from_u64(seed ^ place.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        step(&mut dice, at, skus)
    });
    steps.collect()
}

fn step(dice: &mut SmallRng, at: usize, skus: &[String]) -> Step {
    let sku = skus[dice.random_range(0..skus.len())].clone();
    let shop = if dice.random_bool(0.5) { Shop::De } else { Shop::Us };
    let number = dice.random_range(0..10_000_u32);
    match dice.random_range(0..110_u8) {
        0..10 => {
            let list = if dice.random_bool(0.5) { "EUR" } else { "USD" };
            Step::Price { sku, list, cents: dice.random_range(100..9999) }
        }
        10..22 => {
            let place = if dice.random_bool(0.6) { "WH" } else { "WST" };
            Step::Stock { sku, place, quantity: dice.random_range(0..40) }
        }
        22..26 => {
            let language = if dice.random_bool(0.5) { "de_DE" } else { "en_US" };
            Step::Rename { sku, language, name: format!("Größe {number} <b> & \"Co\"") }
        }
        26..29 => Step::Weigh { sku, grams: dice.random_range(1..5000) },
        29..32 => Step::New { number: u32::try_from(at).unwrap() },
        32..48 => {
            let lines = (0..dice.random_range(1..=2_usize)).map(|_| {
                (skus[dice.random_range(0..skus.len())].clone(), dice.random_range(1..=3_u32))
            });
            Step::Order { shop, lines: lines.collect(), buyer: number % 7 }
        }
        48..52 => Step::Cancel { shop, nth: number as usize },
        52..58 => {
            let what = ["regular_price", "stock_quantity", "name", "weight"][number as usize % 4];
            let value = match what {
                "name" => format!("Clerk's own {number}"),
                "stock_quantity" => (number % 60).to_string(),
                _ => format!("{}.{:02}", number % 90 + 1, number % 100),
            };
            Step::Drift { shop, sku, what, value }
        }
        58..63 => {
            let visibility = ["visible", "catalog", "search", "hidden"][number as usize % 4];
            Step::Own { shop, sku, order: number % 50, visibility }
        }
        63..65 => Step::Delete { shop, sku },
        65..68 => Step::Bin { shop, sku },
        68..70 => Step::Restore { shop, nth: number as usize },
        70..75 => {
            let what = [Part::Money, Part::Piece { restock: true }, Part::Piece { restock: false }];
            let what = what.get(number as usize % 5).copied().unwrap_or(Part::All);
            Step::Refund { shop, nth: number as usize / 5, what }
        }
        75..77 => {
            Step::Restart { kill: dice.random_bool(0.7), dead_ms: dice.random_range(0..1500) }
        }
        77..85 => {
            let fault = FAULTS[dice.random_range(0..FAULTS.len())];
            let (times, writes_only) = (dice.random_range(1..=3_usize), dice.random_bool(0.6));
            Step::Fail { system: dice.random_range(0..3_usize), fault, times, writes_only }
        }
        85..89 => Step::Lose { shop, on: dice.random_bool(0.6) },
        89..93 => Step::Weather(match dice.random_range(0..4_u8) {
            0 => Weather::Clear,
            1 => Weather::Twice,
            2 => Weather::Late(dice.random_range(100..900)),
            _ => Weather::Reversed,
        }),
        93..103 => of_the_catalogue(dice, at, sku, number),
        _ => Step::Wait { ms: dice.random_range(100..900) },
    }
}

/// Texts, barcodes, and what is on sale.
fn of_the_catalogue(dice: &mut SmallRng, at: usize, sku: String, number: u32) -> Step {
    match dice.random_range(0..10_u8) {
        0..3 => {
            let language = if dice.random_bool(0.5) { "de_DE" } else { "en_US" };
            Step::Describe { sku, language, text: format!("Made of clay {number}") }
        }
        3..6 => Step::Mark { sku, code: format!("40{at:011}") },
        6..8 => Step::Sell { sku, on: dice.random_bool(0.4) },
        _ => Step::Tell { sku, text: format!("By our own editors {number}") },
    }
}
