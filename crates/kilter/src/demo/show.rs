//! What the demo shows: bars while something is on its way, a short live log, the referee's table.
//!
//! Reads   figures.   Writes  the terminal.   Never  computes what it shows.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use kilter_twin::scenario::Verdict;

use super::OwnSums;

pub struct Screen {
    silent: bool,
    bars: Option<MultiProgress>,
    shown: Vec<(String, ProgressBar)>,
}

impl Screen {
    pub fn new(silent: bool, terminal: bool) -> Self {
        let bars = (terminal && !silent).then(MultiProgress::new);
        Self { silent, bars, shown: Vec::new() }
    }

    pub fn say(&self, text: &str) {
        match &self.bars {
            _ if self.silent => {}
            Some(bars) => {
                // A terminal that went away does not stop the demo.
                let _ = bars.println(text);
            }
            None => println!("{text}"),
        }
    }

    pub fn bars<'a>(&mut self, figures: impl Iterator<Item = (&'a str, usize, usize)>) {
        let Some(bars) = &self.bars else { return };
        for (name, done, total) in figures {
            let known = self.shown.iter().position(|(n, _)| n == name);
            let at = known.unwrap_or_else(|| {
                let bar = bars.add(ProgressBar::new(0));
                let template = "    {msg:<12} {bar:40} {pos} of {len}";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                bar.set_message(name.to_owned());
                self.shown.push((name.to_owned(), bar));
                self.shown.len() - 1
            });
            let bar = &self.shown[at].1;
            bar.set_length(u64::try_from(total).unwrap_or(u64::MAX));
            bar.set_position(u64::try_from(done).unwrap_or(0));
        }
    }

    pub fn clear_bars(&mut self) {
        for (_, bar) in self.shown.drain(..) {
            bar.finish_and_clear();
        }
    }
}

pub fn verdict(verdict: &Verdict, sums: &OwnSums, ok: bool, took: Duration) {
    println!("\nthe referee's table, from the twins' own state");
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["connection", "entity", "objects", "aligned", "held", "wrong"]);
    for row in &verdict.rows {
        table.add_row([
            row.connection.clone(),
            row.entity.clone(),
            row.expected.to_string(),
            row.aligned.to_string(),
            row.held.to_string(),
            row.wrong.to_string(),
        ]);
    }
    println!("{table}\n");
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["step", "connection", "write calls", "least possible"]);
    for w in &verdict.writes {
        let step = format!("{:?}", w.step).to_lowercase();
        table.add_row([step, w.connection.clone(), w.calls.to_string(), w.least.to_string()]);
    }
    println!("{table}\n");
    counts(verdict);
    for sale in &verdict.oversold {
        println!("    {} × {}: {}", sale.units, sale.sku, sale.reason);
    }
    for held in &verdict.held {
        println!("held: {} {}: {}", held.connection, held.sku, held.reason);
    }
    println!(
        "kilter: received {} = unchanged {} + merged {} + filtered {} + dead {} + open {}",
        sums.received, sums.unchanged, sums.merged, sums.filtered, sums.dead, sums.open
    );
    println!(
        "webhooks: acknowledged {} ≤ received {} ≤ sent {}",
        sums.hooks_acknowledged, sums.hooks_received, sums.hooks_sent
    );
    if sums.deleted > 0 {
        println!("deleted by people: {}, asked about: {}", sums.deleted, sums.asked);
    }
    for problem in &verdict.problems {
        println!("not in order: {problem}");
    }
    for row in verdict.rows.iter().filter(|r| r.wrong > 0) {
        for e in &row.examples {
            println!(
                "    {} {} {}: expected {}, found {}",
                row.connection, row.entity, e.what, e.expected, e.found
            );
        }
    }
    for e in verdict.orders.examples.iter().chain(&verdict.stock_raise_examples) {
        println!("    {}: expected {}, found {}", e.what, e.expected, e.found);
    }
    let seconds = took.as_secs_f32();
    if ok {
        println!(
            "\nin kilter, after {seconds:.0} s: everything agrees, or is held for a reason foretold"
        );
    } else {
        println!("\nOUT OF KILTER after {seconds:.0} s");
    }
}

fn counts(verdict: &Verdict) {
    let o = &verdict.orders;
    println!(
        "orders: {} placed, {} in the ERP, {} duplicated, {} missing, {} parked, {} with a wrong total",
        o.placed, o.in_erp, o.duplicated, o.missing, o.parked, o.wrong_totals
    );
    println!(
        "stock: {} units oversold; {} raises checked, {} over a sale",
        verdict.oversold_units, verdict.stock_raises_checked, verdict.stock_raises
    );
    if let Some(outage) = &verdict.outage {
        println!(
            "while the ERP took no orders: {} stock figures checked, {} wrong; then {} answers of {} lost",
            outage.figures, outage.wrong, outage.answers_lost, outage.answers_wanted
        );
    }
}
