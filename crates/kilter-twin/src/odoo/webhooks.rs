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

/// The platform waits this long for an answer.
const TIMEOUT: Duration = Duration::from_secs(1);

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
}

#[derive(Debug)]
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
    if posts.is_empty() {
        return;
    }
    let twin = Arc::clone(twin);
    tokio::spawn(async move {
        for post in posts {
            let request = twin
                .client
                .post(&post.url)
                .timeout(TIMEOUT)
                .header("content-type", "application/json")
                .body(post.body);
            let good = request.send().await.is_ok_and(|answer| answer.status().is_success());
            let mut world = twin.lock();
            world.webhook_counts.sent += 1;
            match good {
                true => world.webhook_counts.acknowledged += 1,
                false => world.webhook_counts.failed += 1,
            }
        }
    });
}
