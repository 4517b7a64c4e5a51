//! The rough day after: people write into a shop what the ERP decides, delete what it offers;
//! webhooks get lost, the ERP is ill, Kilter is killed. What stands there in the end is judged.
//!
//! Reads   the twins' own state, the script.
//! Writes  through the back offices, as a person would; the twins' named faults.
//! Never   helps: nobody here takes back what was done wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::catalogue::{Variant, cents};
use super::clerk::{another, drawn};
use super::dice::Dice;
use super::paper::Ledger;
use super::script::{MAIN, RETAIL_EUR, Sale, Step};
use super::shops::{Facts, SHOPS, facts};
use super::verdict::Verdict;
use super::{Did, Error, Stage, erp};
use crate::faults::GONE;

/// The shop whose people write and delete what is not theirs.
const CARELESS: &str = "de";
const PRICES: usize = 30;
const FIGURES: usize = 20;
const DELETED: usize = 2;
/// Orders placed while webhooks get lost, while the ERP is ill, and around the kill.
pub const HOOKED: usize = 30;
pub const STORMED: usize = 24;
/// The last of them while nobody answers there.
const WHILE_AWAY: usize = 6;
pub const KILLED: usize = 24;
/// Counts that a clerk makes meanwhile, in each of the three.
const COUNTED: usize = 30;

/// Of ten webhooks one never comes; of those that do many come twice, late or out of order.
const WEBHOOKS: [&str; 4] =
    ["webhooks_dropped/10", "webhooks_twice/4", "webhooks_late/5", "webhooks_reordered/5"];
/// How late a late webhook is.
const LATE_MS: u64 = 2_000;
/// What the ERP answers when it answers at all.
const ILL: [&str; 3] = ["throttled/6", "errors/6", "lost_replies/6"];
/// How long nobody answers there.
const AWAY: Duration = Duration::from_secs(10);

/// Fault → how often it struck, by a twin's page.
fn struck(page: &Value) -> BTreeMap<String, u64> {
    let all = page["struck"].as_object().into_iter().flatten();
    all.map(|(name, count)| (name.clone(), count.as_u64().unwrap_or(0))).collect()
}

/// Is it one of these, said with their rates?
fn among(said: &[&str], name: &str) -> bool {
    said.iter().any(|one| one.split('/').next() == Some(name))
}

impl Stage {
    /// Prices and figures typed into a shop: no order stands behind them, and they are the ERP's.
    pub async fn write_into_a_shop(&mut self) -> Result<Did, Error> {
        self.begin(Step::Drift).await?;
        let mut dice = Dice::new(self.seed, "drift");
        let shop = self.shop(careless()?).await?;
        let mut said = Vec::new();
        for (at, variant) in drawn(&self.catalogue, &mut dice, PRICES + FIGURES).iter().enumerate()
        {
            let found = shop.find(&variant.sku);
            let offer = found.ok_or_else(|| {
                Error::Unread(format!("{CARELESS} does not have {} any more", variant.sku))
            })?;
            let (body, what) = if at < PRICES {
                let old = offer.prices.get("").copied().unwrap_or_default();
                let new = old + cents(dice.between(100, 900));
                (json!({ "regular_price": new.to_string() }), format!("{old} → {new}"))
            } else {
                let old = offer.stock.get("").copied().unwrap_or_default();
                let old = i64::try_from(old).unwrap_or(0);
                let new = another(&mut dice, old, 150);
                (json!({ "stock_quantity": new }), format!("{old} → {new} pieces"))
            };
            self.office(CARELESS).post(&format!("products/{}", offer.id), &body).await?;
            said.push(format!("{}: {what}", variant.sku));
        }
        self.script.drifted = (PRICES, FIGURES);
        Ok(Did::new(said.len(), said))
    }

    /// Two products go to the bin, and the ERP gives one of them another price.
    pub async fn delete_in_a_shop(&mut self) -> Result<Did, Error> {
        self.begin(Step::Gone).await?;
        let mut dice = Dice::new(self.seed, "gone");
        let shop = self.shop(careless()?).await?;
        let mut places: Vec<usize> = (0..self.catalogue.templates.len()).collect();
        dice.shuffle(&mut places);
        let (mut said, mut priced) = (Vec::new(), Vec::new());
        for place in places {
            let template = &self.catalogue.templates[place];
            // One that is bought as it is, one with variants.
            let wanted = template.is_simple() == self.script.deleted.is_empty();
            let ours = template.variants.iter().any(|v| self.script.contended.contains(&v.sku));
            if !wanted || ours || template.clash.is_some() || said.len() == DELETED {
                continue;
            }
            let Some(variant) = template.variants.first().cloned() else { continue };
            let Some(offer) = shop.find(&variant.sku) else { continue };
            let page = format!("products/{}", offer.product);
            said.push(format!("{} ({})", template.german, variant.sku));
            self.office(CARELESS).post(&page, &json!({ "status": "trash" })).await?;
            self.script.deleted.push((CARELESS, place));
            priced.push((RETAIL_EUR, variant));
        }
        self.reprice(&priced, &mut dice).await?;
        Ok(Did::new(said.len(), said))
    }

    pub(super) fn is_deleted(&self, sku: &str) -> bool {
        let all = &self.catalogue.templates;
        let gone = self.script.deleted.iter().filter_map(|(_, place)| all.get(*place));
        gone.flat_map(|template| &template.variants).any(|variant| variant.sku == sku)
    }

    /// Orders and counts while webhooks come as they like, or not at all.
    pub async fn lose_webhooks(&mut self) -> Result<Did, Error> {
        self.begin(Step::Hooks).await?;
        let (before, _) = self.dropped().await?;
        self.faults_everywhere(&json!({ "names": WEBHOOKS, "late_ms": LATE_MS })).await?;
        self.sell_more("hooks", HOOKED).await?;
        let said = self.count_more("hooks").await?;
        self.script.hooks_before = before;
        Ok(Did::new(HOOKED + said.len(), said))
    }

    /// Webhooks come as they should again; how many got lost in between, how many came, and how often
    /// each fault struck.
    pub async fn keep_webhooks(&mut self) -> Result<(u64, u64, BTreeMap<String, u64>), Error> {
        let struck = self.faults_everywhere(&json!({ "names": [] })).await?;
        let struck: BTreeMap<String, u64> =
            struck.into_iter().filter(|(name, _)| among(&WEBHOOKS, name)).collect();
        self.script.hooks_struck = Some(struck.clone());
        let (dropped, sent) = self.dropped().await?;
        let lost = dropped.saturating_sub(self.script.hooks_before);
        self.script.hooks_lost = Some(lost);
        Ok((lost, sent, struck))
    }

    /// Fault → how often it struck so far, at all four.
    async fn faults_everywhere(&self, body: &Value) -> Result<BTreeMap<String, u64>, Error> {
        let mut all = BTreeMap::new();
        let shops = SHOPS.iter().map(|Facts { name, .. }| self.office(name));
        for office in shops.chain([&self.erp]) {
            for (name, count) in struck(&office.post("faults", body).await?) {
                *all.entry(name).or_default() += count;
            }
        }
        Ok(all)
    }

    /// Webhooks dropped on purpose and webhooks sent, at all four.
    async fn dropped(&self) -> Result<(u64, u64), Error> {
        let (mut dropped, mut sent) = (0, 0);
        for name in self.urls().into_keys() {
            let office = if name == "erp" { &self.erp } else { self.office(&name) };
            let page = office.get("webhooks").await?;
            dropped += page["dropped"].as_u64().unwrap_or(0);
            sent += page["sent"].as_u64().unwrap_or(0);
        }
        Ok((dropped, sent))
    }

    /// The ERP refuses, fails, loses answers; then nobody is there for a while.
    pub async fn erp_is_ill(&mut self) -> Result<Did, Error> {
        self.begin(Step::Storm).await?;
        self.erp.post("faults", &json!({ "names": ILL })).await?;
        self.sell_more("storm", STORMED - WHILE_AWAY).await?;
        let said = self.count_more("storm").await?;
        tokio::time::sleep(self.pace.between_orders * 40).await;
        let away = u64::try_from(AWAY.as_millis()).unwrap_or(0);
        self.erp.post("faults", &json!({ "gone_ms": away })).await?;
        let back = tokio::time::Instant::now() + AWAY;
        self.sell_more("while it is away", WHILE_AWAY).await?;
        tokio::time::sleep_until(back).await;
        Ok(Did::new(STORMED + said.len(), said))
    }

    /// Fault → how often it struck the ERP's clients; from here on it is well.
    pub async fn erp_is_well(&mut self) -> Result<BTreeMap<String, u64>, Error> {
        let page = self.erp.post("faults", &json!({ "names": [] })).await?;
        let ill = |name: &str| among(&ILL, name) || name == GONE;
        let calls: BTreeMap<String, u64> =
            struck(&page).into_iter().filter(|(name, _)| ill(name)).collect();
        self.script.struck = Some(calls.clone());
        Ok(calls)
    }

    /// Work that is under way when Kilter is killed: the first half. The second comes after.
    pub async fn work_on(&mut self, second: bool) -> Result<Did, Error> {
        self.begin(Step::Kill).await?;
        let name = if second { "after the kill" } else { "before the kill" };
        self.sell_more(name, KILLED / 2).await?;
        let said = self.count_more(name).await?;
        Ok(Did::new(KILLED / 2 + said.len(), said))
    }

    /// Clerks count what nobody fights for.
    async fn count_more(&mut self, name: &str) -> Result<Vec<String>, Error> {
        let mut dice = Dice::new(self.seed, name);
        let variants: Vec<Variant> = drawn(&self.catalogue, &mut dice, 2 * COUNTED);
        // What was shipped has left the shelf: who counts that finds less than the script knows.
        let script = &self.script;
        let shipped = |sku: &str, sale: &Sale| {
            let left = script.parcels.iter().any(|p| p.shop == sale.shop && p.order == sale.id);
            left && sale.lines.iter().any(|(of, _)| of == sku)
        };
        let free = |variant: &Variant| {
            let sku = variant.sku.as_str();
            let left = script.sales.iter().any(|sale| shipped(sku, sale));
            !left && !script.contended.contains(&variant.sku) && !self.is_deleted(sku)
        };
        let variants: Vec<Variant> = variants.into_iter().filter(free).take(COUNTED).collect();
        let (mut edits, mut said) = (Vec::new(), Vec::new());
        for variant in variants {
            let old = self.script.counted(MAIN, &variant);
            let new = old + dice.between(1, 40);
            edits.push(json!({ "sku": variant.sku, "warehouse": MAIN, "quantity": new }));
            said.push(format!("{}: {MAIN} {old} → {new}", variant.sku));
            self.script.stock.insert((MAIN, variant.sku), new);
        }
        self.erp.post("stock", &Value::Array(edits)).await?;
        Ok(said)
    }

    /// How far it has come: everything that was wrong after the step is right, every order there.
    pub(super) async fn rough_arrived(&self, step: Step) -> Result<(usize, usize), Error> {
        let rows = self.goods_rows().await?;
        let wrong = |of: &dyn Fn(&super::verdict::Row) -> bool| -> usize {
            rows.iter().filter(|row| of(row)).map(|row| row.wrong).sum()
        };
        match step {
            Step::Drift => {
                let total = self.script.drifted.0 + self.script.drifted.1;
                let left = wrong(&|row| {
                    row.connection == CARELESS && matches!(row.entity.as_str(), "prices" | "stock")
                });
                Ok((total - left.min(total), total))
            }
            Step::Gone => {
                let total = self.script.deleted.len();
                let back = wrong(&|row| row.connection == CARELESS && row.entity == "products");
                Ok((total - back.min(total), total))
            }
            _ => {
                let orders = erp::orders(&self.erp).await?;
                let ledger = Ledger::new(&self.script, &orders);
                let total = self.script.sales.len();
                let left = wrong(&|row| row.entity == "stock");
                Ok((ledger.confirmed_count().saturating_sub(left), total))
            }
        }
    }

    /// Steps that did not do what they were for.
    pub(super) fn rough_problems(&self, verdict: &Verdict) -> Vec<String> {
        let script = &self.script;
        let mut problems = Vec::new();
        let begun = |step: Step| script.begun.contains_key(&step);
        if begun(Step::Drift) && script.drifted != (PRICES, FIGURES) {
            problems
                .push(format!("not all {} figures were written into {CARELESS}", PRICES + FIGURES));
        }
        let held = verdict.held.iter().filter(|held| held.reason == super::goods::DELETED).count();
        if begun(Step::Gone) && held < DELETED {
            problems.push(format!("{held} of {DELETED} deleted products stayed away"));
        }
        if script.hooks_lost == Some(0) {
            problems.push("no webhook got lost: the rest was never asked for".to_owned());
        }
        if let Some(struck) = &script.hooks_struck
            && struck.len() < WEBHOOKS.len()
        {
            problems.push(format!("not everything happened to webhooks that was to: {struck:?}"));
        }
        if let Some(struck) = &script.struck
            && struck.len() <= ILL.len()
        {
            problems.push(format!("the ERP was not as ill as it should have been: {struck:?}"));
        }
        problems
    }
}

fn careless() -> Result<&'static Facts, Error> {
    facts(CARELESS).ok_or_else(|| Error::Unread(format!("there is no shop {CARELESS}")))
}
