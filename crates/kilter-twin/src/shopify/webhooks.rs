//! Webhook subscriptions: who wants to hear of which topic.
//!
//! Reads   the inputs of the `webhookSubscription…` mutations.
//! Writes  subscriptions.
//! Never   warns before one is deleted: its owner has to look.

use serde_json::{Value, json};

use super::coerce::{map, text, texts};
use super::execute::Out;
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number};
use super::paging::Listing;
use super::shop::Shop;
use super::store::Object;

/// `PRODUCTS_UPDATE` → `products/update`: the last word of a topic is its action, or two.
pub fn topic_path(topic: &str) -> String {
    let lower = topic.to_lowercase();
    let resources = [
        "bulk_operations",
        "inventory_levels",
        "inventory_items",
        "fulfillment_orders",
        "fulfillment_events",
        "draft_orders",
        "order_transactions",
        "customers_marketing_consent",
        "tender_transactions",
        "selling_plan_groups",
        "collection_listings",
        "product_listings",
    ];
    for resource in resources {
        if let Some(action) = lower.strip_prefix(resource).and_then(|rest| rest.strip_prefix('_')) {
            return format!("{resource}/{action}");
        }
    }
    lower.replacen('_', "/", 1)
}

impl Shop {
    /// Subscriptions of a topic, written as `products/update`.
    pub fn subscribed(&self, topic: &str) -> Vec<u64> {
        let all = self.store.all("WebhookSubscription");
        all.filter(|row| topic_path(row.text("topic")) == topic).map(|row| row.id).collect()
    }

    fn check_hook(&self, input: &Object, new: bool) -> Option<UserError> {
        let uri = text(input, "uri").or_else(|| text(input, "callbackUrl"));
        let fail = |field: &str, message: &str| {
            Some(UserError::new(&["webhookSubscription", field], "", message))
        };
        let Some(uri) = uri else {
            return if new { fail("callbackUrl", "Address can't be blank") } else { None };
        };
        // The platform takes https only; a twin on loopback takes plain http too.
        if !(uri.starts_with("http://") || uri.starts_with("https://")) {
            return fail("callbackUrl", "Address protocol is not supported by the twin");
        }
        if url::Url::parse(uri).is_err() {
            return fail("callbackUrl", "Address is invalid");
        }
        if text(input, "format") == Some("XML") {
            return fail("format", "Format is not supported by the twin");
        }
        if text(input, "filter").is_some_and(|f| !f.is_empty()) {
            return fail("filter", "Filters are not supported by the twin");
        }
        None
    }

    pub fn webhook_create(&mut self, args: &Object) -> Answer<Value> {
        let topic = text(args, "topic").unwrap_or("").to_owned();
        let input = map(args, "webhookSubscription").cloned().unwrap_or_default();
        if let Some(error) = self.check_hook(&input, true) {
            return Ok(refused(&[error]));
        }
        let uri =
            text(&input, "uri").or_else(|| text(&input, "callbackUrl")).unwrap_or("").to_owned();
        let taken = self
            .store
            .all("WebhookSubscription")
            .any(|row| row.text("topic") == topic && row.text("uri") == uri);
        if taken {
            let message = "Address for this topic has already been taken";
            let field = ["webhookSubscription", "callbackUrl"];
            return Ok(refused(&[UserError::new(&field, "", message)]));
        }
        if self.store.count("WebhookSubscription") >= self.settings.max_subscriptions {
            let message = "The shop has as many subscriptions as it may have";
            return Ok(refused(&[UserError::new(&["webhookSubscription"], "", message)]));
        }
        let id = self.add(
            "WebhookSubscription",
            json!({
                "topic": topic, "uri": uri, "format": "JSON", "filter": null,
                "includeFields": texts(&input, "includeFields"),
                "metafieldNamespaces": texts(&input, "metafieldNamespaces"),
                "name": input.get("name"), "_failures": 0,
                "apiVersion": {
                    "handle": "2026-10", "displayName": "2026-10", "supported": true,
                },
            }),
        );
        Ok(json!({ "webhookSubscription": gid("WebhookSubscription", id), "userErrors": [] }))
    }

    pub fn webhook_update(&mut self, args: &Object) -> Answer<Value> {
        let own = text(args, "id").unwrap_or("").to_owned();
        if self.store.get("WebhookSubscription", number(&own, "WebhookSubscription")).is_none() {
            let error = UserError::new(&["id"], "", "Webhook subscription does not exist");
            return Ok(refused(&[error]));
        }
        let input = map(args, "webhookSubscription").cloned().unwrap_or_default();
        if let Some(error) = self.check_hook(&input, false) {
            return Ok(refused(&[error]));
        }
        if let Some(uri) = text(&input, "uri").or_else(|| text(&input, "callbackUrl")) {
            self.put(&own, "uri", json!(uri));
        }
        for name in ["includeFields", "metafieldNamespaces"] {
            if input.contains_key(name) {
                self.put(&own, name, json!(texts(&input, name)));
            }
        }
        if let Some(name) = input.get("name") {
            self.put(&own, "name", name.clone());
        }
        Ok(json!({ "webhookSubscription": own, "userErrors": [] }))
    }

    pub fn webhook_delete(&mut self, args: &Object) -> Answer<Value> {
        let own = text(args, "id").unwrap_or("").to_owned();
        let id = number(&own, "WebhookSubscription");
        if self.store.remove("WebhookSubscription", id).is_none() {
            let error = UserError::new(&["id"], "", "Webhook subscription does not exist");
            return Ok(refused(&[error]));
        }
        Ok(json!({ "deletedWebhookSubscriptionId": own, "userErrors": [] }))
    }

    pub fn of_subscription(&self, id: u64, name: &str) -> Option<Out> {
        let uri = self.stored("WebhookSubscription", id, "uri");
        let value = match name {
            "callbackUrl" => uri,
            "endpoint" => json!({ "__typename": "WebhookHttpEndpoint", "callbackUrl": uri }),
            _ => return None,
        };
        Some(value.into())
    }

    pub fn subscriptions(&mut self, args: &Object) -> Listing {
        let mut listing = self.listing(&["WebhookSubscription"], "webhookSubscriptions", args);
        let topics = texts(args, "topics");
        let uri = text(args, "uri").or_else(|| text(args, "callbackUrl")).map(str::to_owned);
        listing.items.retain(|item| {
            let Some(row) = self.store.get("WebhookSubscription", item.id) else { return false };
            (topics.is_empty() || topics.iter().any(|t| t == row.text("topic")))
                && uri.as_ref().is_none_or(|uri| row.text("uri") == uri)
        });
        listing
    }
}
