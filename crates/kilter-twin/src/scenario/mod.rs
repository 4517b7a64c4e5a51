//! The demo's stage: two shops and an ERP, what people do in them, and a referee.
//!
//! Reads   the twins' own state, over their back offices.
//! Writes  the ERP's catalogue at the start; then what clerks, editors and buyers would.
//! Never   looks at Kilter or its store: what it did must be seen in the three systems.

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
pub mod script;
mod shop;
mod supply;
pub mod verdict;
mod words;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::{Options, Running};
use catalogue::Catalogue;
use office::Office;
use script::{SHOPS, Script};

pub use script::Step;
pub use verdict::Verdict;

const ERP_KEY: &str = "demo-erp-key";
const ERP_HOOK_SECRET: &str = "demo-erp-hook-secret";
const HOOK_SECRET: &str = "demo-shop-hook-secret";

fn shop_key(shop: &str) -> String {
    format!("ck_demo_{shop}")
}

fn shop_secret(shop: &str) -> String {
    format!("cs_demo_{shop}")
}

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
    /// Dropped last: then the twins stop.
    _twins: Vec<Running>,
}

impl Stage {
    /// Starts the three twins on free ports of this machine and fills the ERP.
    pub async fn start(seed: u64, scale: u32) -> Result<Self, Error> {
        let http = reqwest::Client::new();
        let mut twins = Vec::new();
        let settings = [("api_key", ERP_KEY), ("currency", "EUR")];
        twins.push(crate::start("odoo", options(seed, &settings)).await?);
        let erp = Office::new(&http, twins[0].url());
        let mut shops = BTreeMap::new();
        for name in SHOPS {
            let (key, secret) = (shop_key(name), shop_secret(name));
            let scope = match name {
                "de" => [("currency", "EUR"), ("locale", "de_DE"), ("tax_rate", "19")],
                _ => [("currency", "USD"), ("locale", "en_US"), ("tax_rate", "8")],
            };
            let mut settings = scope.to_vec();
            settings.push(("prices_include_tax", if name == "de" { "true" } else { "false" }));
            settings.push(("first_id", if name == "de" { "101" } else { "5001" }));
            settings.extend([("consumer_key", key.as_str()), ("consumer_secret", secret.as_str())]);
            let twin = crate::start("woocommerce", options(seed, &settings)).await?;
            shops.insert(name, Office::new(&http, twin.url()));
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
        for name in SHOPS {
            let shop = self.shop(name).await?;
            progress.insert(name.to_owned(), goods::there(&self.catalogue, &shop));
        }
        Ok(progress)
    }

    fn office(&self, shop: &str) -> &Office {
        self.shops.get(shop).unwrap_or(&self.erp)
    }

    async fn shop(&self, name: &'static str) -> Result<shop::Shop, Error> {
        Ok(shop::Shop::read(&self.office(name).get("brief").await?))
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn options(seed: u64, settings: &[(&str, &str)]) -> Options {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Options { port: None, seed, settings: settings.iter().map(own).collect() }
}
