//! What comes in over HTTP. Loopback only, until the config says otherwise.
//!
//! Reads   requests.   Writes  through `hooks`: changes.   Never  calls a remote.

pub mod hooks;
mod sketch;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::engine::Engine;

/// Serves until it is told; who was heard by then is answered.
pub async fn serve(
    listener: tokio::net::TcpListener,
    engine: Arc<Engine>,
    told: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let taken = engine.store.take_webhooks();
    taken.map_err(|e| std::io::Error::other(crate::pipeline::schedule::chain(&e)))?;
    axum::serve(listener, router(engine)).with_graceful_shutdown(told).await
}

/// Everything that is served, as one router.
fn router(engine: Arc<Engine>) -> Router {
    let limit = engine.house.config.limits.hook_body_bytes;
    let inbox = hooks::Inbox::open(Arc::clone(&engine));
    Router::new()
        .route("/hooks/{connection}", post(hooks::receive))
        .route("/health", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(limit))
        .with_state(inbox)
}
