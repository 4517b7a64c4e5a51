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

use crate::{Error, Options, Running};

pub use settings::KNOWN as SETTINGS;

/// What the server and the delivery worker share.
struct Shared {
    shop: Mutex<shop::Shop>,
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
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", options.port.unwrap_or(0))).await?;
    let address = listener.local_addr()?;
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
        .build()
        .map_err(|e| Error::Listen(std::io::Error::other(e)))?;
    let shop = shop::Shop::new(settings, format!("http://{address}"), options.seed);
    let shared = Arc::new(Shared { shop: Mutex::new(shop), http });
    let task = tokio::spawn(async move {
        tokio::select! {
            () = deliver::work(shared.clone()) => {}
            () = server::serve(listener, shared) => {}
        }
    });
    Ok(Running::new("woocommerce", address, task))
}
