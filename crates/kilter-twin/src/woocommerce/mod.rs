//! A twin of a WooCommerce 11.0.1 shop: its REST API wc/v3, its webhooks, its habits.
//!
//! Reads   the calls it gets, on loopback only.
//! Writes  its own memory; posts webhooks to the addresses it is given.
//! Never   is kinder than the recorded shop: it imports nothing of the connector it tests.

mod api;
mod audit;
mod auth;
mod calls;
mod catalog;
mod check;
mod clock;
mod crud;
mod customers;
mod deliver;
mod faults;
mod lists;
mod misc;
mod model;
mod money;
mod office;
mod order_view;
mod order_write;
mod product_relations;
mod product_view;
mod product_write;
mod refunds;
mod route;
mod server;
mod settings;
mod shop;
mod stock;
mod text;
mod totals;
mod webhooks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;

use crate::edge::{Edge, Face, Habit};
use crate::faults::{Known, Schedule};
use crate::{Error, Options, Running};

pub use settings::KNOWN as SETTINGS;

/// Keys do not expire here, and nobody but a person ends a key.
pub const FAULTS: Known = Known { own: &[], apart: &["expired"], lacks: &[] };

const FACE: Face = Face {
    error: |status| {
        let (code, message) = match status {
            401 => ("woocommerce_rest_cannot_view", "Sorry, you cannot list resources."),
            429 => ("rate_limit_exceeded", "Too many requests"),
            _ => ("internal_server_error", "There has been a critical error on this website."),
        };
        json!({ "code": code, "message": message, "data": { "status": status } })
    },
    in_200: || {
        let message = "There has been a critical error on this website.";
        json!({ "code": "internal_server_error", "message": message, "data": { "status": 500 } })
    },
    throttles: false,
    habits: &[
        ("name", Habit::Trim),
        ("sku", Habit::Trim),
        ("email", Habit::Lower),
        ("description", Habit::StripHtml),
        ("short_description", Habit::StripHtml),
        ("regular_price", Habit::Round),
        ("weight", Habit::Round),
    ],
};

/// What the server and the delivery worker share.
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
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", options.port.unwrap_or(0))).await?;
    let address = listener.local_addr()?;
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
        .build()
        .map_err(|e| Error::Listen(std::io::Error::other(e)))?;
    let shop = shop::Shop::new(settings, format!("http://{address}"), options.seed, edge.clone());
    let shared = Arc::new(Shared { shop: Mutex::new(shop), edge, http });
    let task = tokio::spawn(async move {
        tokio::select! {
            () = deliver::work(shared.clone()) => {}
            () = server::serve(listener, shared) => {}
        }
    });
    Ok(Running::new("woocommerce", address, task))
}
