//! A twin of a Shopify shop: its Admin GraphQL API, its webhooks, its bulk jobs, its habits.
//!
//! Reads   the calls it gets, on loopback only.
//! Writes  its own memory; posts webhooks to the addresses it is given.
//! Never   is kinder than the documented platform: it imports nothing of the connector it tests.

mod audit;
mod auth;
mod bulk;
mod calls;
mod clock;
mod coerce;
mod collections;
mod cost;
mod customers;
mod deliver;
mod execute;
mod fail;
mod faults;
mod files;
mod fulfil;
mod gid;
mod graphql;
mod holds;
mod idempotent;
mod inventory;
mod lists;
mod metafields;
mod money;
mod mutate;
mod office;
mod office_orders;
mod order_create;
mod order_edit;
mod order_totals;
mod order_write;
mod paging;
mod payload;
mod payload_order;
mod prices;
mod product_set;
mod product_write;
mod refunds;
mod resolve;
mod schema;
mod search;
mod server;
mod settings;
mod shop;
mod store;
mod variants;
mod webhooks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;

use crate::edge::{Edge, Face, Habit};
use crate::faults::{Known, Schedule};
use crate::{Error, Options, Running};

pub use schema::sdl;
pub use settings::KNOWN as SETTINGS;

/// `internal` and `bulk` are its own: an error of its own words, and jobs that fail.
pub const FAULTS: Known = Known { own: &["internal", "bulk"], apart: &[], lacks: &[] };

const FACE: Face = Face {
    error: |status| {
        let text = match status {
            401 => auth::REFUSED,
            429 => {
                "Exceeded 2 calls per second for api client. Reduce request rates to resume \
                    uninterrupted service."
            }
            _ => "Internal Server Error",
        };
        json!({ "errors": text })
    },
    in_200: || {
        let message = "Internal error. Looks like something went wrong on our end.";
        let extensions = json!({ "code": "INTERNAL_SERVER_ERROR" });
        json!({ "errors": [{ "message": message, "extensions": extensions }] })
    },
    throttles: true,
    habits: &[
        ("title", Habit::Trim),
        ("descriptionHtml", Habit::StripHtml),
        ("email", Habit::Lower),
        ("barcode", Habit::Trim),
        ("price", Habit::Round),
    ],
};

/// What the server, the delivery worker and the bulk jobs share.
struct Shared {
    shop: Mutex<shop::Shop>,
    edge: Arc<Edge>,
    http: reqwest::Client,
}

impl Shared {
    fn shop(&self) -> MutexGuard<'_, shop::Shop> {
        self.shop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a shop on loopback.
pub async fn start(options: Options) -> Result<Running, Error> {
    let settings = settings::Settings::read(&options.settings)?;
    let schedule = Schedule::new(FAULTS, options.seed, &settings.faults)?;
    let edge = Edge::new(FACE, schedule);
    schema::schema().map_err(|e| Error::Listen(std::io::Error::other(e)))?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", options.port.unwrap_or(0))).await?;
    let address = listener.local_addr()?;
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(1))
        .timeout(Duration::from_secs(5))
        .build()
        .map_err(|e| Error::Listen(std::io::Error::other(e)))?;
    let shop = shop::Shop::new(settings, format!("http://{address}"), options.seed, edge.clone());
    let shared = Arc::new(Shared { shop: Mutex::new(shop), edge, http });
    let task = tokio::spawn(async move {
        tokio::select! {
            () = deliver::work(shared.clone()) => {}
            () = bulk::work(shared.clone()) => {}
            () = server::serve(listener, shared) => {}
        }
    });
    Ok(Running::new("shopify", address, task))
}
