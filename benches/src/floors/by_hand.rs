//! The floor of the flow: what a developer writes by hand in an afternoon. A webhook is read,
//! answered 202, kept in memory, and becomes one call; 16 calls at a time.
//!
//! Reads   webhooks.   Writes  calls to the shop, or to the ERP.
//! Never   keeps anything on a disk, compares, batches, or asks twice: a `kill -9` loses what waits.
//!
//! Tuned: bodies are read into a borrowed struct, not a tree; the client is the bench's own, one
//! open connection a worker, without a pool or a lock; an article's webhooks go to one worker, so
//! that they stay in their order.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::wire::Wire;

/// Calls at a time.
pub const WORKERS: usize = 16;

/// `ck_test:cs_test`, as the shop wants to be greeted.
const KEY: &str = "authorization: Basic Y2tfdGVzdDpjc190ZXN0\r\n";

/// What a webhook of the stockroom says, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Hook<'a> {
    #[serde(borrow)]
    sku: Cow<'a, str>,
    quantity: i64,
}

type Queue = mpsc::UnboundedSender<(usize, i64)>;

#[derive(Clone)]
struct Floor {
    /// SKU → the shop's id, read once at the start.
    ids: Arc<HashMap<String, usize>>,
    workers: Arc<Vec<Queue>>,
}

/// Serves for ever.
pub async fn stock(listen: SocketAddr, shop: SocketAddr) -> Result<()> {
    let ids = ids(shop).await?;
    let workers = (0..WORKERS).map(|_| {
        let (queue, waiting) = mpsc::unbounded_channel();
        tokio::spawn(deliver(shop, waiting));
        queue
    });
    let floor = Floor { ids: Arc::new(ids), workers: Arc::new(workers.collect()) };
    let router = Router::new().route("/hooks/stockroom", post(receive)).with_state(floor);
    let listener = tokio::net::TcpListener::bind(listen).await.context("listen")?;
    Ok(axum::serve(listener, router).await?)
}

#[derive(Debug, Deserialize)]
struct Product {
    id: usize,
    sku: String,
}

/// Where each SKU stands in the shop.
async fn ids(shop: SocketAddr) -> Result<HashMap<String, usize>> {
    let mut wire = Wire::open(shop).await.context("reach the shop")?;
    let mut ids = HashMap::new();
    for page in 1.. {
        let line = format!("GET /wp-json/wc/v3/products?type=simple&per_page=100&page={page}");
        let (_, body) = wire.send(&line, KEY, b"").await?;
        let products: Vec<Product> = serde_json::from_slice(body).context("read a page")?;
        if products.is_empty() {
            break;
        }
        ids.extend(products.into_iter().map(|p| (p.sku, p.id)));
    }
    Ok(ids)
}

async fn receive(State(floor): State<Floor>, body: Bytes) -> StatusCode {
    let Ok(hook) = serde_json::from_slice::<Hook<'_>>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let Some(id) = floor.ids.get(hook.sku.as_ref()) else { return StatusCode::NOT_FOUND };
    match floor.workers[id % WORKERS].send((*id, hook.quantity)) {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What an order says, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Order {
    id: i64,
    line_items: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    sku: String,
    name: String,
    quantity: i64,
    total: String,
}

#[derive(Clone)]
struct Till {
    /// SKU → the ERP's id, read once at the start.
    ids: Arc<HashMap<String, i64>>,
    workers: Arc<Vec<mpsc::UnboundedSender<String>>>,
}

/// How the ERP wants to be greeted.
pub const ERP_KEY: &str = "authorization: bearer test-key\r\nx-odoo-database: erp\r\n";

/// Orders: one call each creates the document, for one and the same buyer. It is neither confirmed,
/// nor is its total compared, nor its address kept.
pub async fn orders(listen: SocketAddr, erp: SocketAddr) -> Result<()> {
    let workers = (0..WORKERS).map(|_| {
        let (queue, waiting) = mpsc::unbounded_channel();
        tokio::spawn(create(erp, waiting));
        queue
    });
    let till = Till { ids: Arc::new(variants(erp).await?), workers: Arc::new(workers.collect()) };
    let router = Router::new().route("/hooks/shop", post(take)).with_state(till);
    let listener = tokio::net::TcpListener::bind(listen).await.context("listen")?;
    Ok(axum::serve(listener, router).await?)
}

#[derive(Debug, Deserialize)]
struct Variant {
    id: i64,
    default_code: String,
}

async fn variants(erp: SocketAddr) -> Result<HashMap<String, i64>> {
    let mut wire = Wire::open(erp).await.context("reach the ERP")?;
    let body = r#"{"domain":[["default_code","!=",false]],"fields":["default_code"]}"#;
    let line = "POST /json/2/product.product/search_read";
    let (_, body) = wire.send(line, ERP_KEY, body.as_bytes()).await?;
    let variants: Vec<Variant> = serde_json::from_slice(body).context("read the variants")?;
    Ok(variants.into_iter().map(|v| (v.default_code, v.id)).collect())
}

async fn take(State(till): State<Till>, body: Bytes) -> StatusCode {
    // A new webhook is announced by a form.
    let Ok(order) = serde_json::from_slice::<Order>(&body) else { return StatusCode::OK };
    let lines = order.line_items.iter().filter_map(|line| {
        let variant = till.ids.get(&line.sku)?;
        let (name, quantity, total) = (&line.name, line.quantity, &line.total);
        let price = total.parse::<f64>().ok()? / quantity as f64;
        Some(serde_json::json!([0, 0, { "product_id": variant, "name": name,
            "product_uom_qty": quantity, "price_unit": price }]))
    });
    let lines: Vec<serde_json::Value> = lines.collect();
    let vals = serde_json::json!({ "vals_list": [{ "partner_id": BUYER, "order_line": lines,
        "client_order_ref": format!("S-{}", order.id) }] });
    let worker = usize::try_from(order.id).unwrap_or(0) % WORKERS;
    match till.workers[worker].send(vals.to_string()) {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Everybody is the same buyer.
const BUYER: i64 = 1;

async fn create(erp: SocketAddr, mut waiting: mpsc::UnboundedReceiver<String>) {
    let mut wire = None;
    while let Some(body) = waiting.recv().await {
        if wire.is_none() {
            wire = Wire::open(erp).await.ok();
        }
        let sent = match &mut wire {
            Some(wire) => {
                wire.send("POST /json/2/sale.order/create", ERP_KEY, body.as_bytes()).await.is_ok()
            }
            None => false,
        };
        if !sent {
            wire = None;
        }
    }
}

async fn deliver(shop: SocketAddr, mut waiting: mpsc::UnboundedReceiver<(usize, i64)>) {
    let mut wire = None;
    while let Some((id, quantity)) = waiting.recv().await {
        let line = format!("PUT /wp-json/wc/v3/products/{id}");
        let body = format!("{{\"manage_stock\":true,\"stock_quantity\":{quantity}}}");
        if wire.is_none() {
            wire = Wire::open(shop).await.ok();
        }
        let sent = match &mut wire {
            Some(wire) => wire.send(&line, KEY, body.as_bytes()).await.is_ok(),
            None => false,
        };
        if !sent {
            wire = None;
        }
    }
}
