//! Webhooks: the subscriptions themselves.
//!
//! Reads   the body of a call.
//! Writes  webhooks; asks for a ping at creation and activation.
//! Never   shows a secret.

use serde_json::{Value, json};

use super::api::{Answer, Fail, Object, id_of, loose_text};
use super::model::Webhook;
use super::shop::{ALL, Shop, object};

const EVENTS: &[&str] = &["created", "updated", "deleted", "restored", "published"];
const RESOURCES: &[&str] = &["coupon", "customer", "order", "product"];

fn valid_topic(topic: &str) -> bool {
    match topic.split_once('.') {
        Some(("action", hook)) => !hook.is_empty(),
        Some((resource, event)) => RESOURCES.contains(&resource) && EVENTS.contains(&event),
        None => false,
    }
}

/// The hooks the platform lists for a topic.
fn hooks(topic: &str) -> Vec<String> {
    let known: &[&str] = match topic {
        "coupon.created" => &["woocommerce_process_shop_coupon_meta", "woocommerce_new_coupon"],
        "coupon.updated" => &["woocommerce_process_shop_coupon_meta", "woocommerce_update_coupon"],
        "coupon.deleted" | "order.deleted" | "product.deleted" => &["wp_trash_post"],
        "customer.created" => {
            &["user_register", "woocommerce_created_customer", "woocommerce_new_customer"]
        }
        "customer.updated" => &["profile_update", "woocommerce_update_customer"],
        "customer.deleted" => &["delete_user"],
        "order.created" => &["woocommerce_new_order"],
        "order.updated" => &["woocommerce_update_order", "woocommerce_order_refunded"],
        "product.created" => &[
            "woocommerce_process_product_meta",
            "woocommerce_new_product",
            "woocommerce_new_product_variation",
        ],
        "product.updated" => &[
            "woocommerce_process_product_meta",
            "woocommerce_update_product",
            "woocommerce_update_product_variation",
        ],
        other => match other.strip_prefix("action.") {
            Some(hook) => return vec![hook.to_owned()],
            None => &["untrashed_post"],
        },
    };
    known.iter().map(|hook| (*hook).to_owned()).collect()
}

fn valid_url(url: &str) -> bool {
    (url.starts_with("http://") || url.starts_with("https://")) && url::Url::parse(url).is_ok()
}

impl Shop {
    pub fn create_webhook(&mut self, body: &Object) -> Answer<u64> {
        let topic = body.get("topic").map(loose_text).unwrap_or_default();
        if !valid_topic(&topic) {
            return Err(bad_topic());
        }
        let url = body.get("delivery_url").map(loose_text).unwrap_or_default();
        if !valid_url(&url) {
            return Err(bad_url());
        }
        let id = match id_of(body.get("_id")) {
            0 => self.ids.webhook + 1,
            explicit => explicit,
        };
        self.ids.webhook = self.ids.webhook.max(id);
        let now = self.now();
        let name = body.get("name").map(loose_text).unwrap_or_else(|| "Webhook created".to_owned());
        let secret = body.get("secret").map(loose_text).filter(|secret| !secret.is_empty());
        let secret = secret.unwrap_or_else(|| self.token(&format!("webhook {id}"), 50));
        let status = body.get("status").and_then(Value::as_str).unwrap_or("active").to_owned();
        let failures = 0;
        let hook = Webhook {
            id,
            name,
            status,
            topic,
            url,
            secret,
            failures,
            created: now,
            modified: None,
        };
        self.webhooks.insert(id, hook);
        Ok(id)
    }

    pub fn update_webhook(&mut self, id: u64, body: &Object) -> Answer<()> {
        let now = self.now();
        let Some(mut hook) = self.webhooks.get(&id).cloned() else {
            return Err(Fail::new(400, "woocommerce_rest_shop_webhook_invalid_id", "Invalid ID."));
        };
        let text = |name: &str| body.get(name).map(loose_text);
        if let Some(topic) = text("topic") {
            if !valid_topic(&topic) {
                return Err(bad_topic());
            }
            hook.topic = topic;
        }
        if let Some(url) = text("delivery_url") {
            if !valid_url(&url) {
                return Err(bad_url());
            }
            hook.url = url;
        }
        hook.name = text("name").unwrap_or(hook.name);
        hook.secret = text("secret").unwrap_or(hook.secret);
        if let Some(status) = text("status") {
            if status == "active" {
                hook.failures = 0;
            }
            hook.status = status;
        }
        hook.modified = Some(now);
        self.webhooks.insert(id, hook);
        Ok(())
    }

    pub fn show_webhook(&self, hook: &Webhook) -> Value {
        let (resource, event) = hook.topic.split_once('.').unwrap_or(("", ""));
        let mut out = object(json!({
            "id": hook.id, "name": hook.name, "status": hook.status, "topic": hook.topic,
            "resource": resource, "event": event, "hooks": hooks(&hook.topic),
            "delivery_url": hook.url,
            "_links": self.links(&format!("webhooks/{}", hook.id), "webhooks", ALL),
        }));
        self.put_dates(&mut out, "date_created", Some(hook.created));
        self.put_dates(&mut out, "date_modified", hook.modified);
        Value::Object(out)
    }

    /// After the answer to its creation a webhook has a modification date.
    pub fn webhook_created(&mut self, id: u64) {
        if let Some(hook) = self.webhooks.get_mut(&id) {
            hook.modified = Some(hook.created);
        }
    }
}

fn bad_topic() -> Fail {
    let message = "Webhook topic is required and must be valid.";
    Fail::new(400, "woocommerce_rest_shop_webhook_invalid_topic", message)
}

fn bad_url() -> Fail {
    let message = "Webhook delivery URL must be a valid URL starting with http:// or https://.";
    Fail::new(400, "woocommerce_rest_shop_webhook_invalid_delivery_url", message)
}
