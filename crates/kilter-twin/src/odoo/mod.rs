//! The twin of Odoo 19: its JSON-2 API (`POST /json/2/<model>/<method>`) over records in memory,
//! written from `platforms/odoo-commerce.md`, which holds where `platforms/odoo.md` differs.
//!
//! Reads   requests; under `/_twin/` those of a person in the back office.
//! Writes  its own memory, the answers, webhooks to whoever was registered.
//! Never   reads the connector: both are written from the same facts, apart.

mod compute;
mod domain;
mod error;
mod group;
mod hooks;
mod http;
mod invoice;
mod load;
mod methods;
mod office;
mod partner;
mod picking;
mod pricing;
mod product;
mod read;
mod sale;
mod schema;
mod seed;
mod state;
mod stock;
mod store;
mod tax;
mod value;
mod webhooks;
mod world;
mod write;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::json;

use crate::edge::{Edge, Face, Habit};
use crate::faults::{Known, Schedule};
use crate::{Error, Options, Running};

/// Its rules ring until a person archives them, its keys live until a person ends them.
/// It tells nobody of a delete, on a good day either.
pub const FAULTS: Known =
    Known { own: &[], apart: &["expired", "subscription_disabled"], lacks: &["silent_deletes"] };

const FACE: Face = Face {
    error: error_body,
    in_200: || {
        json!({ "jsonrpc": "2.0", "id": null, "error": {
        "code": 200, "message": "Odoo Server Error", "data": error_body(500) } })
    },
    throttles: false,
    habits: &[
        ("name", Habit::Trim),
        ("default_code", Habit::Trim),
        ("email", Habit::Lower),
        ("description_sale", Habit::StripHtml),
        ("comment", Habit::StripHtml),
        ("list_price", Habit::Round),
        ("fixed_price", Habit::Round),
        ("weight", Habit::Round),
    ],
};

fn error_body(status: u16) -> serde_json::Value {
    let (name, message) = match status {
        401 => ("werkzeug.exceptions.Unauthorized", "Invalid apikey"),
        429 => ("werkzeug.exceptions.TooManyRequests", "429 Too Many Requests"),
        _ => ("builtins.Exception", "a fault that was asked for"),
    };
    json!({ "name": name, "message": message, "arguments": [], "context": {}, "debug": "" })
}

/// The settings, each with what it is when absent.
#[derive(Debug, Clone)]
struct Settings {
    api_key: String,
    currency: String,
    /// Faults by name, with commas between.
    faults: String,
    database_uuid: String,
    latency_ms: u64,
    webhook_url: String,
    webhook_models: String,
}

const KNOWN: &str =
    "api_key, currency, database_uuid, faults, latency_ms, webhook_models, webhook_url";

impl Settings {
    fn of(options: &Options) -> Result<Self, Error> {
        let mut settings = Self {
            api_key: "test-key".into(),
            currency: "EUR".into(),
            faults: String::new(),
            database_uuid: format!("00000000-0000-4000-8000-{:012x}", options.seed),
            latency_ms: 0,
            webhook_url: String::new(),
            webhook_models: "product.template,product.product,product.pricelist.item,stock.quant,\
                             sale.order,stock.picking"
                .into(),
        };
        for (name, value) in &options.settings {
            let value = value.clone();
            match name.as_str() {
                "api_key" => settings.api_key = value,
                "faults" => settings.faults = value,
                "currency" => settings.currency = value,
                "database_uuid" => settings.database_uuid = value,
                "latency_ms" => {
                    let parsed = value.parse();
                    settings.latency_ms = parsed.map_err(|_| {
                        Error::BadSetting(name.clone(), format!("\"{value}\" is no number"))
                    })?;
                }
                "webhook_url" => settings.webhook_url = value,
                "webhook_models" => settings.webhook_models = value,
                _ => return Err(Error::UnknownSetting(name.clone(), KNOWN.into())),
            }
        }
        if !["EUR", "USD", "GBP", "CHF"].contains(&settings.currency.as_str()) {
            let reason = format!("\"{}\" is none of EUR, USD, GBP, CHF", settings.currency);
            return Err(Error::BadSetting("currency".into(), reason));
        }
        Ok(settings)
    }
}

pub async fn start(options: Options) -> Result<Running, Error> {
    let settings = Settings::of(&options)?;
    let schedule = Schedule::new(FAULTS, options.seed, &settings.faults)?;
    let edge = Edge::new(FACE, schedule);
    let port = options.port.unwrap_or(0);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = tokio::net::TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let twin = Arc::new(http::Twin::new(settings, edge));
    let router = http::router(Arc::clone(&twin));
    let stop = http::StopOnDrop(twin);
    let task = tokio::spawn(async move {
        let _stop = stop;
        // Serving ends with the task; an error of the listener ends it too.
        let _ = axum::serve(listener, router).await;
    });
    Ok(Running::new("odoo", address, task))
}
