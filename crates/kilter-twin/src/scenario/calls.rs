//! Write calls of each step, beside the least that would have done.
//!
//! Reads   the twins' counts; the script.
//! Writes  counts at the beginning of each step.
//! Never   wants the least where things come one after the other: only the load and the prices, where
//!         everything is there at once, are judged, and may take half as much again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::script::{MAIN, Step, Writes};
use super::shops::{EDITOR, Facts, SHOPS, Work, facts};
use super::verdict;
use super::{Error, Stage};

/// Most items of one load of partners; of one load of orders.
const PARTNERS: usize = 50;
const ORDERS: usize = 20;

const ALL: [Step; 11] = [
    Step::Load,
    Step::Prices,
    Step::Stock,
    Step::Orders,
    Step::Ship,
    Step::Titles,
    Step::Drift,
    Step::Gone,
    Step::Hooks,
    Step::Storm,
    Step::Kill,
];

impl Stage {
    /// From here on, writes count for this step.
    pub(super) async fn begin(&mut self, step: Step) -> Result<(), Error> {
        let counted = self.count().await?;
        self.script.begun.entry(step).or_insert(counted);
        Ok(())
    }

    async fn count(&self) -> Result<BTreeMap<String, Writes>, Error> {
        let mut counted = BTreeMap::new();
        for Facts { name, platform, .. } in &SHOPS {
            let calls = self.office(name).get("calls").await?;
            counted.insert((*name).to_owned(), platform.writes(&calls));
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
        let of_shop = |w: &&verdict::Writes| {
            facts(&w.connection).is_some_and(|shop| shop.platform.judges_writes())
        };
        let too_many =
            writes.iter().filter(judged).filter(of_shop).filter(|w| w.calls * 2 > w.least * 3);
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
        if let Some(shop) = facts(connection) {
            return shop.platform.least(&self.catalogue, &self.work(step, shop));
        }
        if step != Step::Orders {
            return 0;
        }
        let script = &self.script;
        let orders = script.sales.len();
        let buyers: BTreeSet<&str> = script.sales.iter().map(|s| s.email.as_str()).collect();
        let partners = buyers.len().div_ceil(PARTNERS) + 2 * orders.div_ceil(PARTNERS);
        partners + orders.div_ceil(ORDERS) + orders
    }

    /// What a step changes in a shop. Where it sells itself its figure falls by itself.
    fn work(&self, step: Step, shop: &Facts) -> Work {
        let script = &self.script;
        let mut work = Work::default();
        match step {
            Step::Load => {
                let all = self.catalogue.templates.iter().enumerate();
                let here = all.filter(|(_, template)| shop.refuses(template).is_none());
                work.created = here.map(|(at, _)| at).collect();
                for (_, own) in shop.lists.iter().filter(|(_, own)| !own.is_empty()) {
                    let variants = shop.offered(&self.catalogue).flat_map(|t| &t.variants);
                    work.listed.extend(variants.map(|v| ((*own).to_owned(), v.sku.clone())));
                }
            }
            Step::Prices => priced(shop, &script.price_step, &mut work),
            Step::Titles => {
                priced(shop, &script.title_prices, &mut work);
                if shop.name != EDITOR && !shop.german() {
                    work.titles = script.titles.iter().map(|edit| edit.template).collect();
                }
            }
            Step::Stock => {
                let counted = script.stock_step.iter();
                counted.for_each(|(place, sku)| figures(shop, place, sku, &mut work));
            }
            Step::Orders => {
                let elsewhere = script.sales.iter().filter(|sale| sale.shop != shop.name);
                let lines = elsewhere.flat_map(|sale| &sale.lines).map(|(sku, _)| sku);
                let lines = lines.chain(&script.recounted);
                lines.for_each(|sku| figures(shop, MAIN, sku, &mut work));
            }
            Step::Ship => {
                work.parcels = script.parcels.iter().filter(|p| p.shop == shop.name).count();
            }
            // What comes when nothing is told in order has no least that could be wanted.
            Step::Drift | Step::Gone | Step::Hooks | Step::Storm | Step::Kill => {}
        }
        work
    }
}

fn priced(shop: &Facts, edits: &[(&'static str, String)], work: &mut Work) {
    for (list, sku) in edits {
        match shop.list(list) {
            Some("") => drop(work.prices.insert(sku.clone())),
            Some(own) => drop(work.listed.insert((own.to_owned(), sku.clone()))),
            None => {}
        }
    }
}

fn figures(shop: &Facts, warehouse: &str, sku: &str, work: &mut Work) {
    let fed = shop.figures.iter().filter(|(_, from)| from.contains(&warehouse));
    work.figures.extend(fed.map(|(place, _)| ((*place).to_owned(), sku.to_owned())));
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
