//! The floor of webhooks: the same server, that answers 202 to whatever it was sent.
//!
//! Reads   bodies, to their end.   Writes  nothing.   Never  verifies, parses, or keeps.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;

async fn receive(_body: Bytes) -> StatusCode {
    StatusCode::ACCEPTED
}

pub async fn serve(listen: SocketAddr) -> Result<()> {
    let router = Router::new().route("/hooks/stockroom", post(receive));
    let listener = tokio::net::TcpListener::bind(listen).await.context("listen")?;
    Ok(axum::serve(listener, router).await?)
}
