//! From a mutation's name to the code that does it, keys of `@idempotent` included.
//!
//! Reads   a mutation's arguments.
//! Writes  through the resources.
//! Never   runs a mutation twice for one key.

use serde_json::Value;

use super::fail::{Answer, Fail, refused};
use super::idempotent::{Keys, Verdict};
use super::shop::Shop;
use super::store::Object;

impl Shop {
    pub fn mutate(&mut self, name: &str, args: &Object, key: Option<String>) -> Answer<Value> {
        let now = self.now();
        match self.keys.check(name, args, key.as_deref(), now)? {
            Verdict::Replay(payload) => return Ok(payload),
            Verdict::Refuse(error) => return Ok(refused(&[error])),
            Verdict::Run => {}
        }
        if key.is_some() && self.faults.concurrent() {
            return Ok(refused(&[Keys::concurrent()]));
        }
        let payload = self.run_mutation(name, args)?;
        if let Some(key) = key {
            self.keys.keep(name, args, &key, now, &payload);
        }
        Ok(payload)
    }

    fn run_mutation(&mut self, name: &str, args: &Object) -> Answer<Value> {
        match name {
            "productSet" => self.product_set(args),
            "productCreate" => self.product_create(args),
            "productUpdate" => self.product_update(args),
            "productDelete" => self.product_delete(args),
            "productVariantsBulkCreate" => self.variants_create(args),
            "productVariantsBulkUpdate" => self.variants_update(args),
            "productVariantsBulkDelete" => self.variants_delete(args),
            "metafieldsSet" => self.metafields_set(args),
            "metafieldsDelete" => self.metafields_delete(args),
            "metafieldDefinitionCreate" => self.definition_create(args),
            "inventorySetQuantities" => self.inventory_set(args),
            "inventoryAdjustQuantities" => self.inventory_adjust(args),
            "inventoryActivate" => self.inventory_activate(args),
            "inventoryItemUpdate" => self.item_update(args),
            "priceListFixedPricesAdd" => self.prices_add(args),
            "priceListFixedPricesUpdate" => self.prices_update(args),
            "priceListFixedPricesDelete" => self.prices_delete(args),
            "customerSet" => self.customer_set(args),
            "customerCreate" => self.customer_create(args),
            "customerUpdate" => self.customer_update(args),
            "customerDelete" => self.customer_delete(args),
            "customerMerge" => self.customer_merge(args),
            "collectionCreate" => self.collection_create(args),
            "collectionUpdate" => self.collection_update(args),
            "collectionDelete" => self.collection_delete(args),
            "tagsAdd" => self.tags_change(args, true),
            "tagsRemove" => self.tags_change(args, false),
            _ => self.run_other(name, args),
        }
    }

    fn run_other(&mut self, name: &str, args: &Object) -> Answer<Value> {
        match name {
            "orderCreate" => self.order_create(args),
            "orderUpdate" => self.order_update(args),
            "orderCancel" => self.order_cancel(args),
            "orderClose" => self.order_close(args, true),
            "orderOpen" => self.order_close(args, false),
            "orderMarkAsPaid" => self.order_paid(args),
            "orderEditBegin" => self.edit_begin(args),
            "orderEditAddVariant" => self.edit_add(args),
            "orderEditSetQuantity" => self.edit_quantity(args),
            "orderEditCommit" => self.edit_commit(args),
            "fulfillmentCreate" => self.fulfillment_create(args),
            "fulfillmentTrackingInfoUpdate" => self.tracking_update(args),
            "fulfillmentCancel" => self.fulfillment_cancel(args),
            "refundCreate" => self.refund_create(args),
            "fileCreate" => self.files_create(args),
            "fileUpdate" => self.files_update(args),
            "fileDelete" => self.files_delete(args),
            "stagedUploadsCreate" => self.staged_uploads(args),
            "bulkOperationRunQuery" => self.bulk_query(args),
            "bulkOperationRunMutation" => self.bulk_mutation(args),
            "bulkOperationCancel" => self.bulk_cancel(args),
            "webhookSubscriptionCreate" => self.webhook_create(args),
            "webhookSubscriptionUpdate" => self.webhook_update(args),
            "webhookSubscriptionDelete" => self.webhook_delete(args),
            other => Err(Fail::bad_request(format!("the twin has no {other}"))),
        }
    }
}
