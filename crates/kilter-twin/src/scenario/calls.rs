//! Write calls of each step, beside the least that would have done.
//!
//! Reads   the twins' counts; the script.
//! Writes  counts at the beginning of each step.
//! Never   wants the least where things come one after the other: only the load and the prices, where
//!         everything is there at once, are judged, and may take half as much again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::script::{SHOPS, Step, Writes, list_of, warehouses_of};
use super::verdict;
use super::{Error, Stage};

/// Most items of a shop's batch; of one load of partners; of one load of orders.
const BATCH: usize = 100;
const PARTNERS: usize = 50;
const ORDERS: usize = 20;

const ALL: [Step; 6] =
    [Step::Load, Step::Prices, Step::Stock, Step::Orders, Step::Ship, Step::Titles];

impl Stage {
    /// From here on, writes count for this step.
    pub(super) async fn begin(&mut self, step: Step) -> Result<(), Error> {
        let counted = self.count().await?;
        self.script.begun.entry(step).or_insert(counted);
        Ok(())
    }

    async fn count(&self) -> Result<BTreeMap<String, Writes>, Error> {
        let mut counted = BTreeMap::new();
        for shop in SHOPS {
            counted.insert(shop.to_owned(), shop_writes(&self.office(shop).get("calls").await?));
        }
        let mut erp = erp_writes(&self.erp.get("calls").await?);
        for (route, own) in &self.script.own_writes {
            let calls = erp.entry(route.clone()).or_default();
            *calls = calls.saturating_sub(*own);
        }
        counted.insert("erp".to_owned(), erp);
        Ok(counted)
    }

    pub(super) async fn writes(&self) -> Result<Vec<verdict::Writes>, Error> {
        let now = self.count().await?;
        let mut list = Vec::new();
        for (at, step) in ALL.iter().enumerate() {
            let Some(begun) = self.script.begun.get(step) else { continue };
            let next = ALL[at + 1..].iter().find_map(|step| self.script.begun.get(step));
            let ended = next.unwrap_or(&now);
            for (connection, routes) in ended {
                let before = begun.get(connection);
                let count = |route: &String, calls: &u64| {
                    calls - before.and_then(|b| b.get(route)).copied().unwrap_or(0).min(*calls)
                };
                let routes: Writes = routes
                    .iter()
                    .map(|(route, calls)| (route.clone(), count(route, calls)))
                    .filter(|(_, calls)| *calls > 0)
                    .collect();
                let calls = routes.values().sum();
                let least = u64::try_from(self.least(*step, connection)).unwrap_or(0);
                let connection = connection.clone();
                list.push(verdict::Writes { step: *step, connection, calls, least, routes });
            }
        }
        Ok(list)
    }

    /// Who writes what stands there already is found by its calls.
    pub(super) fn idle(writes: &[verdict::Writes]) -> Vec<String> {
        let judged = |w: &&verdict::Writes| matches!(w.step, Step::Load | Step::Prices);
        let shops = writes.iter().filter(judged).filter(|w| SHOPS.contains(&w.connection.as_str()));
        let too_many = shops.filter(|w| w.calls * 2 > w.least * 3);
        let say = |w: &verdict::Writes| {
            let step = format!("{:?}", w.step).to_lowercase();
            format!(
                "{step}: {} took {} write calls where {} do: what stands there was written again",
                w.connection, w.calls, w.least
            )
        };
        too_many.map(say).collect()
    }

    fn least(&self, step: Step, connection: &str) -> usize {
        let script = &self.script;
        let shop = connection != "erp";
        let list = list_of(connection);
        let priced = |edits: &[(&'static str, String)]| -> BTreeSet<String> {
            let here = edits.iter().filter(|(of, _)| *of == list);
            here.map(|(_, sku)| sku.clone()).collect()
        };
        match step {
            Step::Load if shop => {
                let all = self.catalogue.sellable().flat_map(|t| &t.variants);
                let products = self.catalogue.sellable().count();
                let simple = self.catalogue.sellable().filter(|t| t.is_simple()).count();
                let skus: BTreeSet<String> = all.map(|v| v.sku.clone()).collect();
                self.grouped(&skus) - simple.div_ceil(BATCH) + products.div_ceil(BATCH)
            }
            Step::Prices if shop => self.grouped(&priced(&script.price_step)),
            Step::Titles if shop => self.grouped(&priced(&script.title_prices)),
            Step::Stock if shop => {
                let places = warehouses_of(connection);
                let here = script.stock_step.iter().filter(|(place, _)| places.contains(place));
                self.grouped(&here.map(|(_, sku)| sku.clone()).collect())
            }
            Step::Orders if shop => {
                let elsewhere = script.sales.iter().filter(|sale| sale.shop != connection);
                let lines = elsewhere.flat_map(|sale| &sale.lines).map(|(sku, _)| sku);
                self.grouped(&lines.chain(&script.recounted).cloned().collect())
            }
            Step::Ship if shop => {
                script.parcels.iter().filter(|p| p.shop == connection).count().div_ceil(BATCH)
            }
            Step::Orders => {
                let orders = script.sales.len();
                let buyers: BTreeSet<&str> =
                    script.sales.iter().map(|s| s.email.as_str()).collect();
                let partners = buyers.len().div_ceil(PARTNERS) + 2 * orders.div_ceil(PARTNERS);
                partners + orders.div_ceil(ORDERS) + orders
            }
            _ => 0,
        }
    }

    /// Calls to write these SKUs once: simple products together, variations by their parent.
    fn grouped(&self, skus: &BTreeSet<String>) -> usize {
        let mut simple = 0;
        let mut calls = 0;
        for template in self.catalogue.sellable() {
            let here = template.variants.iter().filter(|v| skus.contains(&v.sku)).count();
            match template.is_simple() {
                true => simple += here,
                false => calls += here.div_ceil(BATCH),
            }
        }
        calls + simple.div_ceil(BATCH)
    }
}

fn shop_writes(page: &Value) -> Writes {
    let routes = page["routes"].as_object().into_iter().flatten();
    routes
        .filter(|(route, _)| !["GET ", "HEAD ", "OPTIONS "].iter().any(|m| route.starts_with(m)))
        .map(|(route, count)| (route.clone(), count["calls"].as_u64().unwrap_or(0)))
        .collect()
}

fn erp_writes(page: &Value) -> Writes {
    let reads = [
        "search",
        "read",
        "web_search",
        "web_read",
        "fields_get",
        "name_search",
        "exists",
        "formatted",
    ];
    let routes = page["by_method"].as_object().into_iter().flatten();
    routes
        .filter(|(route, _)| {
            let method = route.split_once('/').map_or("", |(_, method)| method);
            !reads.iter().any(|read| method.starts_with(read))
        })
        .map(|(route, calls)| (route.clone(), calls.as_u64().unwrap_or(0)))
        .collect()
}
