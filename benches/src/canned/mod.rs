//! Two canned remotes behind one address: the stockroom (an ERP of the benches' own) and a shop that
//! speaks the few endpoints of `wc/v3` that its connector calls, as fast as this machine allows.
//!
//! Reads   requests.   Writes  its own memory; what it saw, and when.
//! Never   fails, waits, or keeps a row that it could compute: what is measured is who calls.

pub mod shop;
pub mod stockroom;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use shop::Shop;
use stockroom::Stockroom;

/// What the query of a request says.
pub type Asked = HashMap<String, String>;

/// Both remotes, and where they are.
#[derive(Debug, Clone)]
pub struct Canned {
    pub address: SocketAddr,
    stockroom: Arc<Mutex<Stockroom>>,
    shop: Arc<Mutex<Shop>>,
}

impl Canned {
    /// Serves for as long as the process lives.
    pub async fn start(articles: usize) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let canned = Self {
            address: listener.local_addr()?,
            stockroom: Arc::new(Mutex::new(Stockroom::new(articles))),
            shop: Arc::default(),
        };
        let router = Router::new()
            .route("/stockroom/{*path}", axum::routing::any(stockroom))
            .route("/wp-json/wc/v3/{*path}", axum::routing::any(shop))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(canned.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(canned)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn stockroom(&self) -> MutexGuard<'_, Stockroom> {
        self.stockroom.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn shop(&self) -> MutexGuard<'_, Shop> {
        self.shop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn json(text: Option<String>) -> Response {
    let status = if text.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let body = text.unwrap_or_else(|| r#"{"code":"canned_none","message":"no such page"}"#.into());
    let mut response = (status, body).into_response();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn stockroom(
    State(canned): State<Canned>,
    Path(path): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    json(canned.stockroom().answer(&path, &asked))
}

async fn shop(
    State(canned): State<Canned>,
    method: Method,
    Path(path): Path<String>,
    Query(asked): Query<Asked>,
    body: Bytes,
) -> Response {
    let url = canned.url();
    json(canned.shop().answer(&method, &path, &asked, &body, &url))
}
