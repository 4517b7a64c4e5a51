//! The demo's stage: three shops and an ERP, what people do in them, and a referee.
//!
//! Reads   the twins' own state, over their back offices.
//! Writes  the ERP's catalogue at the start; then what clerks, editors and buyers would.
//! Never   looks at Kilter or its store: what it did must be seen in the four systems.

mod calls;
pub mod catalogue;
mod checkout;
mod clerk;
mod config;
mod dice;
mod erp;
mod goods;
mod office;
mod outage;
mod oversold;
mod paper;
mod referee;
mod rough;
pub mod script;
mod shop;
mod shopify;
mod shops;
mod supply;
pub mod verdict;
mod woocommerce;
mod words;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::{Options, Running};
use catalogue::Catalogue;
use office::Office;
use script::Script;
use shops::{Facts, SHOPS};

pub use script::Step;
pub use verdict::Verdict;

const ERP_KEY: &str = "demo-erp-key";
const ERP_HOOK_SECRET: &str = "demo-erp-hook-secret";
const HOOK_SECRET: &str = "demo-shop-hook-secret";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the demo's stage")]
    Start(#[from] crate::Error),
    #[error("the demo's stage: {0} does not answer")]
    Lost(String, #[source] reqwest::Error),
    #[error("the demo's stage: {url} answered {status}: {body}")]
    Refused { url: String, status: u16, body: String },
    #[error("the demo's stage: {0}")]
    Unread(String),
}

/// How fast people are.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From one order to the next.
    pub between_orders: Duration,
    /// A shop that was not told of a sale elsewhere within this long was told too late: what it
    /// sells then, and nobody has, is nobody's bad luck.
    pub tell_within: Duration,
    /// Every figure follows what happened within this long, whatever the ERP is doing.
    pub follow_within: Duration,
    /// Whether the ERP takes no orders while they are placed, and then loses answers.
    pub bad_hour: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            between_orders: Duration::from_millis(40),
            tell_within: Duration::from_secs(10),
            follow_within: Duration::from_secs(30),
            bad_hour: true,
        }
    }
}

/// Objects of a shop that are there, of those that should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Done {
    pub done: usize,
    pub total: usize,
}

pub type Progress = BTreeMap<String, Done>;

/// What a step did, for the log of what happens.
#[derive(Debug, Clone)]
pub struct Did {
    pub count: usize,
    /// A few of them, in words.
    pub examples: Vec<String>,
}

#[derive(Debug)]
pub struct Stage {
    pub pace: Pace,
    pub catalogue: Catalogue,
    pub script: Script,
    seed: u64,
    since: String,
    begun: Instant,
    erp: Office,
    shops: BTreeMap<&'static str, Office>,
    ids: supply::Ids,
    /// Shop → what it calls its places and lists → its ids of them.
    shop_ids: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// Dropped last: then the twins stop.
    _twins: Vec<Running>,
}

impl Stage {
    /// Starts the four twins on free ports of this machine and fills the ERP.
    pub async fn start(seed: u64, scale: u32) -> Result<Self, Error> {
        let http = reqwest::Client::new();
        let mut twins = Vec::new();
        let settings = [("api_key", ERP_KEY.to_owned()), ("currency", "EUR".to_owned())];
        twins.push(crate::start("odoo", options(seed, &settings)).await?);
        let erp = Office::new(&http, twins[0].url());
        let (mut shops, mut shop_ids) = (BTreeMap::new(), BTreeMap::new());
        for facts in &SHOPS {
            let settings = options(seed, &facts.platform.settings(facts));
            let twin = crate::start(facts.platform.twin(), settings).await?;
            let office = Office::new(&http, twin.url());
            shop_ids.insert(facts.name, facts.platform.ids(&office.get("state").await?));
            shops.insert(facts.name, office);
            twins.push(twin);
        }
        let catalogue = Catalogue::new(seed, scale);
        erp.post("seed", &supply::seed(&catalogue)).await?;
        let ids = supply::ids(&erp).await?;
        erp.post("calls/reset", &json!({})).await?;
        let mut stage = Self {
            pace: Pace::default(),
            catalogue,
            script: Script::default(),
            seed,
            since: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            begun: Instant::now(),
            erp,
            shops,
            ids,
            shop_ids,
            _twins: twins,
        };
        stage.begin(Step::Load).await?;
        Ok(stage)
    }

    /// Connection → address.
    pub fn urls(&self) -> BTreeMap<String, String> {
        let shops = self.shops.iter().map(|(name, shop)| ((*name).to_owned(), shop.url.clone()));
        shops.chain([("erp".to_owned(), self.erp.url.clone())]).collect()
    }

    /// Sets the ERP's automation rules, as its administrator would: they ring at Kilter's door.
    pub async fn ring(&self, hooks_listen: &str) -> Result<(), Error> {
        let url = format!("http://{hooks_listen}/hooks/erp?secret={ERP_HOOK_SECRET}");
        let models = [
            "sale.order",
            "stock.picking",
            "stock.move",
            "stock.quant",
            "product.product",
            "product.template",
        ];
        self.erp.post("webhooks", &json!({ "url": url, "models": models })).await?;
        Ok(())
    }

    /// How much of the catalogue stands in the shops, right or wrong.
    pub async fn progress(&self) -> Result<Progress, Error> {
        let mut progress = Progress::new();
        for facts in &SHOPS {
            let shop = self.shop(facts).await?;
            progress.insert(facts.name.to_owned(), goods::there(&self.catalogue, facts, &shop));
        }
        Ok(progress)
    }

    fn office(&self, shop: &str) -> &Office {
        self.shops.get(shop).unwrap_or(&self.erp)
    }

    async fn shop(&self, facts: &Facts) -> Result<shop::Shop, Error> {
        Ok(facts.platform.goods(&self.office(facts.name).get("brief").await?))
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn options(seed: u64, settings: &[(&str, String)]) -> Options {
    let own = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
    Options { port: None, seed, settings: settings.iter().map(own).collect() }
}
