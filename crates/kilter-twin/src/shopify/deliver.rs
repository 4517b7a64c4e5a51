//! Webhook deliveries: a queue, a worker, eight retries over four hours of the shop's clock.
//!
//! Reads   the queue; the answers of those it calls.
//! Writes  a log of the last 10,000 deliveries; subscriptions that failed too often are deleted.
//! Never   changes a body after the event, never follows a redirect.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Shared;
use super::clock::Moment;
use super::gid::tail;
use super::shop::Shop;
use crate::faults::Mishap;

const LOG: usize = 10_000;
/// Most deliveries that wait; what comes then is lost and counted.
const QUEUE_MAX: usize = 200_000;
/// Tries after the first one; each waits twice as long as the one before.
pub const RETRIES: u32 = 8;
/// Failures in a row that end a subscription.
const FAILURES_MAX: i64 = 8;
/// What is told out of order lets others go first for so long.
const REORDERED_MS: i64 = 500;
const AT_ONCE: usize = 8;

#[derive(Debug, Clone)]
pub struct Delivery {
    subscription: u64,
    url: String,
    topic: String,
    object: u64,
    body: String,
    /// Names the delivery; retries keep it.
    webhook_id: String,
    event_id: String,
    triggered_at: String,
    name: String,
    api_version: String,
    tries: u32,
    due: Moment,
    /// What the shop knew when the body was built.
    tick: u64,
}

#[derive(Debug, Default)]
pub struct Queue {
    pending: VecDeque<Delivery>,
    log: VecDeque<Value>,
    /// Topic → sent, acknowledged, failed.
    counts: BTreeMap<String, [u64; 3]>,
    dropped: u64,
    doubled: u64,
    retries: u64,
    deleted_subscriptions: u64,
    running: usize,
}

/// base64(HMAC-SHA256(secret, raw body)).
pub fn signature(secret: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

impl Shop {
    /// Something happened to a row: every subscription of that topic gets it as it is now.
    pub fn fire(&mut self, topic: &str, kind: &str, object: u64) {
        if self.subscribed(topic).is_empty() {
            return;
        }
        let payload = self.payload(kind, object);
        self.enqueue(topic, object, &payload);
    }

    /// A row is gone: little is left to say of it.
    pub fn fire_deleted(&mut self, topic: &str, kind: &str, object: u64) {
        if self.subscribed(topic).is_empty() {
            return;
        }
        let payload = match kind {
            "InventoryLevel" => {
                let row = self.store.get(kind, object);
                let of = |name: &str| row.map_or(0, |row| tail(row.text(name)));
                json!({ "inventory_item_id": of("item"), "location_id": of("location") })
            }
            _ => json!({ "id": object }),
        };
        self.enqueue(topic, object, &payload);
    }

    /// Any payload, to all who want to hear of the topic.
    pub fn enqueue(&mut self, topic: &str, object: u64, payload: &Value) {
        let tick = self.next_tick();
        let now = self.now();
        for id in self.subscribed(topic) {
            let Some(row) = self.store.get("WebhookSubscription", id) else { continue };
            let fields = row.texts("includeFields");
            let body = match (fields.is_empty(), payload.as_object()) {
                (false, Some(map)) => {
                    let kept = map.iter().filter(|(name, _)| fields.contains(name));
                    Value::Object(kept.map(|(n, v)| (n.clone(), v.clone())).collect())
                }
                _ => payload.clone(),
            };
            let (url, name) = (row.text("uri").to_owned(), row.text("name").to_owned());
            let delay = self.settings.webhook_delay_ms * self.settings.clock;
            let delivery = Delivery {
                subscription: id,
                url,
                topic: topic.to_owned(),
                object,
                body: body.to_string(),
                webhook_id: self.uuid(&format!("delivery {tick} {id}")),
                event_id: self.event.clone(),
                triggered_at: self.utc(now),
                name,
                api_version: "2026-10".to_owned(),
                tries: 0,
                due: now + delay + self.faults.webhook_delay_ms(),
                tick,
            };
            self.wait(delivery);
        }
    }

    fn wait(&mut self, mut delivery: Delivery) {
        if self.queue.pending.len() >= QUEUE_MAX {
            self.queue.dropped += 1;
            return;
        }
        if delivery.tries == 0 {
            let mishap = match self.faults.webhook() {
                Mishap::None => self.edge.schedule().delivery(delivery.topic.ends_with("/delete")),
                mishap => mishap,
            };
            match mishap {
                Mishap::None => {}
                Mishap::Dropped | Mishap::Disabled => {
                    if mishap == Mishap::Disabled {
                        self.store.remove("WebhookSubscription", delivery.subscription);
                        self.queue.deleted_subscriptions += 1;
                    }
                    self.queue.dropped += 1;
                    self.log(&delivery, json!("dropped"));
                    return;
                }
                Mishap::Twice => {
                    self.queue.doubled += 1;
                    self.queue.pending.push_back(delivery.clone());
                }
                Mishap::Late(wait) => {
                    let ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 1000);
                    delivery.due += ms * self.settings.clock;
                }
                Mishap::Reordered => delivery.due += REORDERED_MS * self.settings.clock,
            }
        }
        self.queue.pending.push_back(delivery);
    }

    /// What is due, at most so many; each subscription's own deliveries in no certain order.
    fn due(&mut self, most: usize) -> Vec<Delivery> {
        let now = self.now();
        let mut out = Vec::new();
        let mut left = VecDeque::with_capacity(self.queue.pending.len());
        while let Some(delivery) = self.queue.pending.pop_front() {
            let gone = self.store.get("WebhookSubscription", delivery.subscription).is_none();
            if gone {
                continue;
            }
            if out.len() < most && delivery.due <= now {
                out.push(delivery);
            } else {
                left.push_back(delivery);
            }
            if out.len() == most {
                left.append(&mut self.queue.pending);
            }
        }
        self.queue.pending = left;
        self.queue.running = out.len();
        out
    }

    fn delivered(&mut self, mut delivery: Delivery, status: Option<u16>) {
        let good = status.is_some_and(|s| (200..300).contains(&s));
        let counts = self.queue.counts.entry(delivery.topic.clone()).or_default();
        counts[0] += 1;
        counts[if good { 1 } else { 2 }] += 1;
        self.log(&delivery, status.map_or(Value::Null, |s| json!(s)));
        if good && delivery.topic.starts_with("orders/") {
            self.note_told(delivery.object, delivery.tick);
        }
        let id = delivery.subscription;
        let Some(row) = self.store.get("WebhookSubscription", id) else { return };
        let failures = if good { 0 } else { row.number("_failures") + 1 };
        if failures >= FAILURES_MAX && delivery.tries >= RETRIES {
            self.store.remove("WebhookSubscription", id);
            self.queue.deleted_subscriptions += 1;
            return;
        }
        if let Some(fields) = self.edit_unseen("WebhookSubscription", id) {
            fields.insert("_failures".to_owned(), json!(failures));
        }
        if !good && delivery.tries < RETRIES {
            // Doubling from 56 s, the eighth retry comes just under four hours after the first.
            let step = self.settings.first_retry_ms << delivery.tries;
            delivery.tries += 1;
            delivery.due = self.now() + step;
            self.queue.retries += 1;
            self.wait(delivery);
        }
    }

    fn log(&mut self, delivery: &Delivery, status: Value) {
        if self.queue.log.len() >= LOG {
            self.queue.log.pop_front();
        }
        let at = self.utc(self.now());
        self.queue.log.push_back(json!({
            "at": at, "subscription": delivery.subscription, "topic": delivery.topic,
            "object": delivery.object, "status": status, "try": delivery.tries + 1,
            "webhook_id": delivery.webhook_id,
        }));
    }

    pub fn show_deliveries(&self) -> Value {
        let count = |c: &[u64; 3]| json!({ "sent": c[0], "acknowledged": c[1], "failed": c[2] });
        let mut all = [0u64; 3];
        for counts in self.queue.counts.values() {
            for (sum, one) in all.iter_mut().zip(counts) {
                *sum += one;
            }
        }
        let topics: BTreeMap<&String, Value> =
            self.queue.counts.iter().map(|(topic, c)| (topic, count(c))).collect();
        let retrying = self.queue.pending.iter().filter(|d| d.tries > 0).count();
        json!({
            "sent": all[0], "acknowledged": all[1], "failed": all[2],
            "pending": self.queue.pending.len() + self.queue.running, "retrying": retrying,
            "retries": self.queue.retries, "dropped": self.queue.dropped,
            "doubled": self.queue.doubled,
            "deleted_subscriptions": self.queue.deleted_subscriptions,
            "subscriptions": self.store.count("WebhookSubscription"), "topics": topics,
            "log": self.queue.log,
        })
    }
}

/// The worker: sends what is due, a few at a time.
pub async fn work(shared: Arc<Shared>) {
    loop {
        let due = shared.shop().due(AT_ONCE);
        if due.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        let sending: Vec<_> = due
            .into_iter()
            .map(|delivery| {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let status = send(&shared, &delivery).await;
                    shared.shop().delivered(delivery, status);
                })
            })
            .collect();
        for one in sending {
            let _ = one.await;
        }
        shared.shop().queue.running = 0;
    }
}

async fn send(shared: &Shared, delivery: &Delivery) -> Option<u16> {
    let (secret, domain) = {
        let shop = shared.shop();
        (shop.settings.client_secret.clone(), shop.settings.domain())
    };
    let signed = signature(&secret, delivery.body.as_bytes());
    let mut request = shared
        .http
        .post(&delivery.url)
        .header("Content-Type", "application/json")
        .header("X-Shopify-Topic", &delivery.topic)
        .header("X-Shopify-Hmac-Sha256", signed)
        .header("X-Shopify-Shop-Domain", domain)
        .header("X-Shopify-API-Version", &delivery.api_version)
        .header("X-Shopify-Webhook-Id", &delivery.webhook_id)
        .header("X-Shopify-Event-Id", &delivery.event_id)
        .header("X-Shopify-Triggered-At", &delivery.triggered_at);
    if !delivery.name.is_empty() {
        request = request.header("X-Shopify-Name", &delivery.name);
    }
    let sent = request.body(delivery.body.clone()).send().await;
    sent.ok().map(|answer| answer.status().as_u16())
}
