//! The ERP's bad hour: it takes no orders while buyers buy and clerks count; then it takes them,
//! and loses the answers.
//!
//! Reads   the twins' own state, the script.
//! Writes  the ERP twin's faults; counts of what was sold in between.
//! Never   hides goods: figures can be read throughout, and so they must be right throughout.
//!
//! ```text
//! leaves ──── orders are placed ── a recount ── who comes late is refused ──── returns
//!        every figure: what the ERP says, less all that was sold ───────────▶ checked here
//! ```

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::dice::Dice;
use super::goods::Goods;
use super::paper::Ledger;
use super::script::MAIN;
use super::shops::SHOPS;
use super::verdict::{Outage, Row};
use super::{Error, Stage, erp};

/// Goods that a clerk finds more of, among those that were just sold.
const RECOUNTED: usize = 20;
/// Loads of orders whose work is done and whose answer never comes.
const ANSWERS_LOST: u64 = 3;

impl Stage {
    /// No order is taken or shown from here on. Everything else is.
    pub(super) async fn erp_leaves(&mut self) -> Result<(), Error> {
        let busy = json!({ "match": "sale.order/", "fail_next": u32::MAX, "status": 503 });
        self.erp.post("faults", &busy).await?;
        self.script.outage = Some(Outage { answers_wanted: ANSWERS_LOST, ..Outage::default() });
        Ok(())
    }

    /// A clerk finds more of what the shops are selling: the ERP's figure rises, and what was sold
    /// and has not reached it must still come off.
    pub(super) async fn recount(&mut self) -> Result<(), Error> {
        let mut dice = Dice::new(self.seed, "recount");
        let lines = self.script.sales.iter().flat_map(|sale| &sale.lines);
        let sold: BTreeSet<&str> = lines.map(|(sku, _)| sku.as_str()).collect();
        let contended = |sku: &str| self.script.contended.iter().any(|other| other == sku);
        let found: Vec<(String, i64)> = self
            .catalogue
            .variants()
            .filter(|(_, variant)| sold.contains(variant.sku.as_str()) && !contended(&variant.sku))
            .take(RECOUNTED)
            .map(|(_, variant)| (variant.sku.clone(), self.script.counted(MAIN, variant)))
            .collect();
        let mut edits = Vec::new();
        for (sku, old) in found {
            let new = old + dice.between(5, 40);
            edits.push(json!({ "sku": sku, "warehouse": MAIN, "quantity": new }));
            self.script.recounted.push(sku.clone());
            self.script.stock.insert((MAIN, sku), new);
        }
        self.erp.post("stock", &Value::Array(edits)).await?;
        Ok(())
    }

    /// The figures are judged, as soon as they are right and at the latest when there was time
    /// enough. Then orders are taken again, and the first answers get lost.
    pub(super) async fn erp_returns(&mut self) -> Result<(), Error> {
        let until = Instant::now() + self.pace.follow_within;
        let rows = loop {
            let mut rows = self.goods_rows().await?;
            rows.retain(|row| row.entity == "stock");
            if rows.iter().all(|row| row.wrong == 0) || Instant::now() >= until {
                break rows;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        };
        if let Some(outage) = &mut self.script.outage {
            outage.figures = rows.iter().map(|row| row.expected).sum();
            outage.wrong = rows.iter().map(|row| row.wrong).sum();
            outage.examples = rows.into_iter().flat_map(|row| row.examples).collect();
        }
        let lossy = json!({
            "match": "sale.order/load", "fail_next": ANSWERS_LOST, "status": 0, "apply": "after",
        });
        self.erp.post("faults", &lossy).await?;
        Ok(())
    }

    /// All shops' goods, by the referee's own formula.
    pub(super) async fn goods_rows(&self) -> Result<Vec<Row>, Error> {
        let variants = erp::variants(&self.erp).await?;
        let orders = erp::orders(&self.erp).await?;
        let unsettled = Ledger::new(&self.script, &orders).unsettled();
        let mut rows = Vec::new();
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
            rows.extend(goods.judge(&mut Vec::new()));
        }
        Ok(rows)
    }

    /// What came of the bad hour, if there was one: lost answers are counted by the ERP.
    pub(super) async fn outage(&self) -> Result<Option<Outage>, Error> {
        let Some(mut outage) = self.script.outage.clone() else { return Ok(None) };
        let left = self.erp.get("faults").await?["fail_next"].as_u64().unwrap_or(0);
        outage.answers_lost = outage.answers_wanted.saturating_sub(left);
        Ok(Some(outage))
    }
}
