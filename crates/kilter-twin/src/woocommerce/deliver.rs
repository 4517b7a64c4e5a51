//! Webhook deliveries: one queue, one worker, no retries.
//!
//! Reads   the queue; builds each body at the moment it is sent.
//! Writes  the failure counts of webhooks, a log of the last 10,000 deliveries.
//! Never   tries a delivery twice, never follows a redirect.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Shared;
use super::crud::Res;
use super::shop::Shop;
use super::text;
use crate::faults::Mishap;

const LOG: usize = 10_000;
const AGENT: &str = "WooCommerce/11.0.1 Hookshot (WordPress/7.0.4)";

#[derive(Debug, Clone)]
struct Pending {
    webhook: u64,
    topic: String,
    object: u64,
    due: Instant,
    /// It met its fault already, if it had one.
    struck: bool,
}

#[derive(Debug, Default)]
pub struct Queue {
    pending: VecDeque<Pending>,
    /// What is pending, by webhook and object.
    waiting: BTreeSet<(u64, u64)>,
    log: VecDeque<Value>,
    /// Topic → sent, acknowledged, failed.
    counts: BTreeMap<String, [u64; 3]>,
    pings: u64,
    dropped: u64,
    running: bool,
}

/// A delivery that is ready to go.
pub struct Outgoing {
    webhook: u64,
    url: String,
    topic: String,
    object: u64,
    body: String,
    headers: Vec<(&'static str, String)>,
    /// What the shop knew when the body was built.
    tick: u64,
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
    /// Something happened: every active webhook of that topic gets a delivery, unless one for
    /// the same object is still waiting.
    pub fn fire(&mut self, topic: &str, object: u64) {
        self.tick += 1;
        let due = Instant::now() + Duration::from_millis(self.settings.webhook_delay_ms);
        let hooks = self.webhooks.values().filter(|w| w.topic == topic && w.status == "active");
        for hook in hooks {
            if self.queue.waiting.insert((hook.id, object)) {
                let (webhook, topic) = (hook.id, topic.to_owned());
                self.queue.pending.push_back(Pending {
                    webhook,
                    topic,
                    object,
                    due,
                    struck: false,
                });
            }
        }
    }

    /// The next delivery that is due, or how long to wait for it.
    fn next_delivery(&mut self) -> Result<Outgoing, Duration> {
        loop {
            let idle = Duration::from_millis(20);
            let now = Instant::now();
            let due = self.queue.pending.iter().position(|pending| pending.due <= now);
            let Some(at) = due else {
                let first = self.queue.pending.iter().map(|pending| pending.due).min();
                let wait = first.map_or(idle, |due| due.saturating_duration_since(now));
                return Err(wait.min(idle));
            };
            let Some(mut next) = self.queue.pending.remove(at) else { return Err(idle) };
            self.queue.waiting.remove(&(next.webhook, next.object));
            if self.postponed(&mut next) {
                continue;
            }
            if self.faults.drop_webhooks {
                self.queue.dropped += 1;
                self.log(&next.topic, next.webhook, next.object, json!("dropped"));
            } else if let Some(out) = self.build(&next) {
                return Ok(out);
            }
        }
    }

    /// Draws the delivery's fault; true: it does not go now.
    fn postponed(&mut self, next: &mut Pending) -> bool {
        if std::mem::replace(&mut next.struck, true) {
            return false;
        }
        let mishap = self.edge.schedule().delivery(next.topic.ends_with(".deleted"));
        match mishap {
            Mishap::None => return false,
            Mishap::Twice => {
                self.queue.pending.push_front(next.clone());
                return false;
            }
            Mishap::Late(wait) => {
                let due = Instant::now() + wait;
                self.queue.pending.push_back(Pending { due, ..next.clone() });
                return true;
            }
            Mishap::Reordered => {
                self.queue.pending.push_back(next.clone());
                return true;
            }
            Mishap::Dropped => {}
            Mishap::Disabled => {
                if let Some(hook) = self.webhooks.get_mut(&next.webhook) {
                    hook.status = "disabled".to_owned();
                }
            }
        }
        self.queue.dropped += 1;
        self.log(&next.topic, next.webhook, next.object, json!("dropped"));
        true
    }

    fn build(&mut self, next: &Pending) -> Option<Outgoing> {
        let hook = self.webhooks.get(&next.webhook).filter(|w| w.status == "active")?.clone();
        let (resource, event) = next.topic.split_once('.')?;
        let res = match resource {
            "order" => Res::Order,
            "customer" => Res::Customer,
            "coupon" => Res::Coupon,
            _ => Res::Product,
        };
        let body = if event == "deleted" {
            json!({ "id": next.object })
        } else {
            let shown = self.show(res, next.object, false, self.settings.decimals);
            shown.unwrap_or_else(|fail| fail.body())
        };
        let body = text::php_json(&body);
        let second = self.now();
        let id = Sha256::digest(format!("{}-{second}-{}", hook.id, self.seed).as_bytes());
        let id: String = id.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let headers = vec![
            ("X-WC-Webhook-Source", format!("{}/", self.base)),
            ("X-WC-Webhook-Topic", next.topic.clone()),
            ("X-WC-Webhook-Resource", resource.to_owned()),
            ("X-WC-Webhook-Event", event.to_owned()),
            ("X-WC-Webhook-Signature", signature(&hook.secret, body.as_bytes())),
            ("X-WC-Webhook-ID", hook.id.to_string()),
            ("X-WC-Webhook-Delivery-ID", id),
        ];
        Some(Outgoing {
            webhook: hook.id,
            url: hook.url,
            topic: next.topic.clone(),
            object: next.object,
            body,
            headers,
            tick: self.tick,
        })
    }

    /// Notes the outcome; answers the address to ping, for a failure pings again.
    fn delivered(&mut self, out: &Outgoing, status: Option<u16>) -> Option<(u64, String)> {
        let good = status.is_some_and(|s| (200..=302).contains(&s));
        let counts = self.queue.counts.entry(out.topic.clone()).or_default();
        counts[0] += 1;
        counts[if good { 1 } else { 2 }] += 1;
        self.log(&out.topic, out.webhook, out.object, status.map_or(json!(null), |s| json!(s)));
        if good && out.topic.starts_with("order.") {
            self.note_told(out.object, out.tick);
        }
        let now = self.now();
        let hook = self.webhooks.get_mut(&out.webhook)?;
        if good {
            hook.failures = 0;
            return None;
        }
        hook.failures += 1;
        hook.modified = Some(now);
        if hook.failures >= 7 {
            hook.status = "disabled".to_owned();
            return None;
        }
        Some((hook.id, hook.url.clone()))
    }

    fn log(&mut self, topic: &str, webhook: u64, object: u64, status: Value) {
        if self.queue.log.len() >= LOG {
            self.queue.log.pop_front();
        }
        let at = self.gmt(self.now());
        let entry = json!({
            "at": at, "webhook": webhook, "topic": topic, "object": object, "status": status,
        });
        self.queue.log.push_back(entry);
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
        json!({
            "sent": all[0], "acknowledged": all[1], "failed": all[2],
            "pending": self.queue.pending.len() + usize::from(self.queue.running),
            "dropped": self.queue.dropped, "pings": self.queue.pings, "topics": topics,
            "log": self.queue.log,
        })
    }
}

/// The unsigned form ping: `webhook_id=N`. Its answer is ignored.
pub async fn ping(shared: &Shared, id: u64, url: &str) {
    shared.shop().queue.pings += 1;
    let request = shared.http.post(url).header("User-Agent", AGENT);
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    let _ = request.header("Connection", "close").body(format!("webhook_id={id}")).send().await;
}

/// The worker: sends what is due, one after the other.
pub async fn work(shared: Arc<Shared>) {
    loop {
        let next = {
            let mut shop = shared.shop();
            let next = shop.next_delivery();
            shop.queue.running = next.is_ok();
            next
        };
        let out = match next {
            Ok(out) => out,
            Err(wait) => {
                tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
                continue;
            }
        };
        let mut request = shared.http.post(&out.url).header("User-Agent", AGENT);
        request = request.header("Content-Type", "application/json").header("Connection", "close");
        for (name, value) in &out.headers {
            request = request.header(*name, value);
        }
        let sent = request.body(out.body.clone()).send().await;
        let status = sent.ok().map(|answer| answer.status().as_u16());
        let again = shared.shop().delivered(&out, status);
        if let Some((id, url)) = again {
            ping(&shared, id, &url).await;
        }
        shared.shop().queue.running = false;
    }
}
