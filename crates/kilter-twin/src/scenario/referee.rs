//! The referee: everything that was done, held against everything that is there.
//!
//! Reads   the twins' own state, the script.
//! Writes  the verdict.
//! Never   asks Kilter, and never calls well what it could not see.

use std::collections::BTreeMap;

use super::clerk::WANTED;
use super::goods::{self, Goods};
use super::office::{items, text};
use super::paper::{self, Ledger};
use super::script::Step;
use super::shops::{Facts, SHOPS};
use super::verdict::{EXAMPLES_MAX, Example, Hooks, Outage, Verdict};
use super::{Error, Stage, erp, oversold, rough};

/// Orders that a step wants placed.
const ORDERS: [(Step, usize); 4] = [
    (Step::Orders, WANTED.orders),
    (Step::Hooks, rough::HOOKED),
    (Step::Storm, rough::STORMED),
    (Step::Kill, rough::KILLED),
];

impl Stage {
    /// What stands where, at this moment. It may be asked at any time, and changes nothing.
    pub async fn referee(&self) -> Result<Verdict, Error> {
        let variants = erp::variants(&self.erp).await?;
        let orders = erp::orders(&self.erp).await?;
        let ledger = Ledger::new(&self.script, &orders);
        let unsettled = ledger.unsettled();
        let mut verdict = Verdict::default();
        for facts in &SHOPS {
            let shop = self.shop(facts).await?;
            let goods = Goods {
                facts,
                catalogue: &self.catalogue,
                script: &self.script,
                shop: &shop,
                erp: &variants,
                unsettled: &unsettled,
            };
            verdict.rows.extend(goods.judge(&mut verdict.held));
            let page = self.office(facts.name).get("orders").await?;
            let orders = facts.platform.orders(&page);
            verdict.rows.extend(paper::in_shop(facts, &self.script, &orders));
        }
        let begun = |step: &Step| self.script.begun.contains_key(step);
        let wanted = ORDERS.iter().filter(|(step, _)| begun(step)).map(|(_, count)| count).sum();
        let (orders, row) = ledger.judge(&self.script, wanted);
        verdict.orders = orders;
        let promised = ledger.promised();
        let own = goods::untouched(&self.catalogue, &self.script, &variants, &promised);
        verdict.rows.extend(own);
        verdict.rows.push(row);
        let within = u64::try_from(self.pace.tell_within.as_millis()).unwrap_or(u64::MAX);
        verdict.oversold = oversold::judge(&self.catalogue, &self.script, within);
        self.audits(&mut verdict).await?;
        verdict.oversold_units = verdict.oversold.iter().map(|one| one.units).sum();
        verdict.outage = self.outage().await?;
        verdict.writes = self.writes().await?;
        verdict.problems = self.problems(&verdict);
        verdict.ok = verdict.problems.is_empty();
        Ok(verdict)
    }

    /// What the twins noted themselves: stock raises, sales below zero, webhooks.
    async fn audits(&self, verdict: &mut Verdict) -> Result<(), Error> {
        for Facts { name, .. } in &SHOPS {
            let office = self.office(name);
            let page = office.get("oversold").await?;
            verdict.oversold.extend(oversold::below_zero(name, &page));
            let page = office.get("stock_raises").await?;
            verdict.stock_raises_checked += page["checked"].as_u64().unwrap_or(0);
            for raise in items(&page["violations"]) {
                verdict.stock_raises += 1;
                if verdict.stock_raise_examples.len() < EXAMPLES_MAX {
                    verdict.stock_raise_examples.push(Example {
                        what: format!("{name} {}", text(&raise["sku"])),
                        expected: format!("not raised over orders {}", raise["unseen_orders"]),
                        found: format!("raised from {} to {}", raise["from"], raise["to"]),
                    });
                }
            }
        }
        verdict.webhooks = self.hooks().await?;
        Ok(())
    }

    /// Webhooks by who sent them.
    pub async fn hooks(&self) -> Result<BTreeMap<String, Hooks>, Error> {
        let mut found = BTreeMap::new();
        for (name, url) in self.urls() {
            let office = if name == "erp" { &self.erp } else { self.office(&name) };
            debug_assert_eq!(office.url, url);
            let page = office.get("webhooks").await?;
            let count = |field: &str| page[field].as_u64().unwrap_or(0);
            let hooks = Hooks {
                sent: count("sent"),
                acknowledged: count("acknowledged"),
                failed: count("failed"),
                pending: count("pending"),
            };
            found.insert(name, hooks);
        }
        Ok(found)
    }

    fn problems(&self, verdict: &Verdict) -> Vec<String> {
        let mut problems = Vec::new();
        for row in verdict.rows.iter().filter(|row| row.wrong > 0) {
            let first = row.examples.first().map_or(String::new(), |e| {
                format!(" (first: {}: expected {}, found {})", e.what, e.expected, e.found)
            });
            problems.push(format!("{} {}: {} wrong{first}", row.connection, row.entity, row.wrong));
        }
        let orders = &verdict.orders;
        for (count, what) in [
            (orders.missing, "orders are not in the ERP as they were placed"),
            (orders.parked, "orders are drafts in the ERP, and nobody predicted that"),
            (orders.duplicated, "orders stand in the ERP once too often"),
            (orders.wrong_totals, "orders have another total in the ERP"),
            (orders.stray, "orders of the ERP were placed by nobody"),
            (verdict.stock_raises, "stock figures were raised over a sale"),
        ] {
            if count > 0 {
                problems.push(format!("{count} {what}"));
            }
        }
        if orders.placed < orders.wanted {
            let refused = self.script.refused.iter().find(|(_, _, meant)| !meant);
            let why = refused.map_or("", |(_, why, _)| why.as_str());
            problems.push(format!(
                "{} of {} orders could be placed {why}",
                orders.placed, orders.wanted
            ));
        }
        for one in verdict.oversold.iter().filter(|one| !one.explained) {
            problems.push(format!("{} × {} oversold: {}", one.units, one.sku, one.reason));
        }
        problems.extend(verdict.outage.iter().flat_map(outage_problems));
        problems.extend(self.rough_problems(verdict));
        problems.extend(Self::idle(&verdict.writes));
        self.unfinished(&mut problems);
        problems
    }

    /// Steps that began and could not do what the script wanted.
    fn unfinished(&self, problems: &mut Vec<String>) {
        let script = &self.script;
        for (step, done, wanted, what) in [
            (Step::Prices, script.price_step.len(), WANTED.prices, "prices changed"),
            (Step::Stock, script.stock_step.len(), WANTED.stock, "stock figures changed"),
            (Step::Ship, script.parcels.len(), WANTED.parcels, "orders shipped"),
            (Step::Titles, script.titles.len(), WANTED.titles, "titles edited"),
        ] {
            if script.begun.contains_key(&step) && done < wanted {
                problems.push(format!("{done} of {wanted} {what}"));
            }
        }
    }
}

fn outage_problems(outage: &Outage) -> Vec<String> {
    let mut problems = Vec::new();
    if outage.wrong > 0 {
        let first = outage.examples.first().map_or(String::new(), |e| {
            format!(" (first: {}: expected {}, found {})", e.what, e.expected, e.found)
        });
        problems.push(format!(
            "{} of {} stock figures did not follow the sales while the ERP took no orders{first}",
            outage.wrong, outage.figures
        ));
    }
    if outage.answers_lost < outage.answers_wanted {
        problems.push(format!(
            "{} of {} answers about orders got lost: the rest was never asked for",
            outage.answers_lost, outage.answers_wanted
        ));
    }
    problems
}
