//! Outgoing webhooks: a POST per record after the commit, unsigned, one second, no second try.
//!
//! Reads   what a transaction touched.
//! Writes  to the registered addresses; counts what became of it.
//! Never   retries: what is lost is lost, as with the platform.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::http::Twin;
use super::read::{self, Ctx};
use super::store::Db;
use super::value::Map;
use crate::faults::Mishap;

/// The platform waits this long for an answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What is told out of order lets others go first for so long.
const REORDERED: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registration {
    pub url: String,
    pub models: Vec<String>,
    /// Fields that travel with it, besides `_model`, `_id` and `_action`.
    #[serde(default)]
    pub fields: Vec<String>,
}

#[derive(Debug, Default, Clone, Serialize)]
pub struct Counts {
    pub sent: u64,
    pub acknowledged: u64,
    pub failed: u64,
    pub pending: u64,
    pub dropped: u64,
}

#[derive(Debug, Clone)]
pub struct Post {
    url: String,
    body: String,
}

/// The posts that follow from a transaction. Keys are sorted, as the platform sorts them.
pub fn posts(
    db: &Db,
    registrations: &[Registration],
    touched: &[(&'static str, i64, bool)],
) -> Vec<Post> {
    let mut posts = Vec::new();
    for (number, registration) in registrations.iter().enumerate() {
        for (model, id, _) in touched {
            if !registration.models.iter().any(|wanted| wanted == model) {
                continue;
            }
            let fields: Vec<String> = registration
                .fields
                .iter()
                .filter(|name| super::schema::field_of(model, name).is_some())
                .cloned()
                .collect();
            let mut body = Map::new();
            if !fields.is_empty()
                && let Ok(Value::Array(rows)) =
                    read::read(db, &Ctx::default(), model, &[*id], &fields, false)
                && let Some(Value::Object(row)) = rows.into_iter().next()
            {
                body = row;
            }
            body.insert("_model".into(), (*model).into());
            body.insert("_id".into(), (*id).into());
            body.insert("_action".into(), format!("Send Webhook(#{})", number + 1).into());
            posts.push(Post { url: registration.url.clone(), body: json!(body).to_string() });
        }
    }
    posts
}

pub fn send(twin: &Arc<Twin>, posts: Vec<Post>) {
    let mut now = Vec::new();
    for post in posts {
        let mishap = twin.edge.schedule().delivery(false);
        match mishap {
            Mishap::None => now.push(post),
            Mishap::Twice => now.extend([post.clone(), post]),
            Mishap::Reordered => later(twin, vec![post], REORDERED),
            Mishap::Late(wait) => later(twin, vec![post], wait),
            Mishap::Dropped | Mishap::Disabled => {
                let mut world = twin.lock();
                world.webhook_counts.dropped += 1;
                if mishap == Mishap::Disabled {
                    world.registrations.retain(|registration| registration.url != post.url);
                }
            }
        }
    }
    later(twin, now, Duration::ZERO);
}

fn later(twin: &Arc<Twin>, posts: Vec<Post>, wait: Duration) {
    if posts.is_empty() {
        return;
    }
    let twin = Arc::clone(twin);
    twin.lock().webhook_counts.pending += posts.len() as u64;
    tokio::spawn(async move {
        tokio::time::sleep(wait).await;
        for post in posts {
            let request = twin
                .client
                .post(&post.url)
                .timeout(TIMEOUT)
                .header("content-type", "application/json")
                .body(post.body);
            let good = request.send().await.is_ok_and(|answer| answer.status().is_success());
            let mut world = twin.lock();
            world.webhook_counts.pending -= 1;
            world.webhook_counts.sent += 1;
            match good {
                true => world.webhook_counts.acknowledged += 1,
                false => world.webhook_counts.failed += 1,
            }
        }
    });
}
