//! Webhook payloads: REST-shaped, numbers for ids, snake case, the shop's local time.
//!
//! Reads   rows.
//! Writes  nothing.
//! Never   shows more than 100 variants of a product in full: the rest are ids.

use serde_json::{Value, json};

use super::gid::{gid, tail};
use super::shop::Shop;
use super::store::Row;

/// Variants of a product that are shown in full.
pub const VARIANTS_MAX: usize = 100;

impl Shop {
    /// What a webhook says of a row.
    pub fn payload(&self, kind: &str, id: u64) -> Value {
        match kind {
            "Product" => self.product_payload(id),
            "InventoryLevel" => self.level_payload(id),
            "InventoryItem" => self.item_payload(id),
            "Customer" => self.customer_payload(id),
            "Collection" => self.collection_payload(id),
            "Order" => self.order_payload(id),
            "Refund" => self.refund_payload(id),
            "Fulfillment" => self.fulfillment_payload(id),
            "Location" => self.location_payload(id),
            "BulkOperation" => self.bulk_payload(id),
            _ => json!({ "id": id }),
        }
    }

    fn dates(&self, row: &Row, out: &mut Value) {
        out["created_at"] = json!(self.local(row.created));
        out["updated_at"] = json!(self.local(row.updated));
    }

    fn product_payload(&self, id: u64) -> Value {
        let Some(row) = self.store.get("Product", id) else { return json!({ "id": id }) };
        let variants = self.variants_of(id);
        let shown: Vec<Value> = variants
            .iter()
            .take(VARIANTS_MAX)
            .filter_map(|id| self.store.get("ProductVariant", *id))
            .map(|variant| self.variant_payload(variant))
            .collect();
        let gids: Vec<Value> = variants
            .iter()
            .filter_map(|id| self.store.get("ProductVariant", *id))
            .map(|v| {
                json!({
                    "admin_graphql_api_id": gid("ProductVariant", v.id),
                    "updated_at": self.local(v.updated),
                })
            })
            .collect();
        let options: Vec<Value> = row
            .list("options")
            .iter()
            .map(|o| {
                json!({
                    "name": o["name"], "id": tail(o["id"].as_str().unwrap_or("")), "product_id": id,
                    "position": o["position"], "values": o["values"],
                })
            })
            .collect();
        let media: Vec<Value> = row
            .texts("media")
            .iter()
            .enumerate()
            .filter_map(|(at, of)| Some(self.media_payload(id, at, self.store.find(of)?.1)))
            .collect();
        let images: Vec<Value> = media.iter().map(|m| m["_image"].clone()).collect();
        let media: Vec<Value> = media
            .into_iter()
            .map(|mut m| {
                m.as_object_mut().map(|m| m.remove("_image"));
                m
            })
            .collect();
        let published = row.text("publishedAt");
        let published = super::clock::parse(published).map(|at| self.local(at));
        let mut out = json!({
            "admin_graphql_api_id": gid("Product", id), "id": id, "title": row.text("title"),
            "body_html": row.text("descriptionHtml"), "vendor": row.text("vendor"),
            "product_type": row.text("productType"), "handle": row.text("handle"),
            "published_at": published, "template_suffix": row.fields.get("templateSuffix"),
            "published_scope": "web", "tags": row.texts("tags").join(", "),
            "status": row.text("status").to_lowercase(), "variants": shown, "options": options,
            "images": images, "image": images.first(), "media": media, "variant_gids": gids,
            "has_variants_that_requires_components": false, "category": null,
        });
        self.dates(row, &mut out);
        out
    }

    fn variant_payload(&self, row: &Row) -> Value {
        let item = tail(row.text("inventoryItem"));
        let options = self.option_values(row.id);
        let stock = self.available(item);
        let mut out = json!({
            "admin_graphql_api_id": gid("ProductVariant", row.id), "id": row.id,
            "product_id": tail(row.text("product")), "title": row.text("title"),
            "price": row.fields.get("price"), "compare_at_price": row.fields.get("compareAtPrice"),
            "sku": row.fields.get("sku"), "barcode": row.fields.get("barcode"),
            "position": row.number("position"), "taxable": row.flag("taxable"),
            "inventory_policy": row.text("inventoryPolicy").to_lowercase(),
            "inventory_item_id": item, "inventory_quantity": stock,
            "old_inventory_quantity": stock, "image_id": null, "option1": options.first(),
            "option2": options.get(1), "option3": options.get(2),
        });
        self.dates(row, &mut out);
        out
    }

    fn media_payload(&self, product: u64, at: usize, row: &Row) -> Value {
        let url = row.fields["image"]["url"].as_str().unwrap_or("").to_owned();
        let number = row.id;
        let mut image = json!({
            "id": number, "admin_graphql_api_id": gid("ProductImage", number),
            "alt": row.fields.get("alt"), "position": at + 1, "product_id": product,
            "width": 100, "height": 100, "src": url, "variant_ids": [],
        });
        self.dates(row, &mut image);
        let mut out = json!({
            "id": number, "admin_graphql_api_id": gid("MediaImage", number),
            "alt": row.text("alt"), "position": at + 1, "product_id": product,
            "media_content_type": "IMAGE", "status": row.text("fileStatus"), "variant_ids": [],
            "preview_image": { "width": 100, "height": 100, "src": url, "status": "READY" },
            "_image": image,
        });
        self.dates(row, &mut out);
        out
    }

    fn level_payload(&self, id: u64) -> Value {
        let Some(row) = self.store.get("InventoryLevel", id) else { return json!({}) };
        json!({
            "inventory_item_id": tail(row.text("item")), "location_id": tail(row.text("location")),
            "available": self.quantity(id, "available"), "updated_at": self.local(row.updated),
            "admin_graphql_api_id": self.gid_of("InventoryLevel", row),
        })
    }

    fn item_payload(&self, id: u64) -> Value {
        let Some(row) = self.store.get("InventoryItem", id) else { return json!({ "id": id }) };
        let sku = self.store.find(row.text("variant")).map(|(_, v)| v.text("sku").to_owned());
        let mut out = json!({
            "id": id, "sku": sku.unwrap_or_default(), "tracked": row.flag("tracked"),
            "requires_shipping": row.flag("requiresShipping"),
            "cost": row.fields["unitCost"]["amount"],
            "country_code_of_origin": row.fields.get("countryCodeOfOrigin"),
            "province_code_of_origin": row.fields.get("provinceCodeOfOrigin"),
            "harmonized_system_code": row.fields.get("harmonizedSystemCode"),
            "country_harmonized_system_codes": [], "weight_value": 0, "weight_unit": "KILOGRAMS",
            "admin_graphql_api_id": gid("InventoryItem", id),
        });
        self.dates(row, &mut out);
        out
    }

    pub fn customer_payload(&self, id: u64) -> Value {
        let Some(row) = self.store.get("Customer", id) else { return json!({ "id": id }) };
        let list = |address: &Value| address_payload(address, Some(id));
        let addresses: Vec<Value> = row.list("addresses").iter().map(list).collect();
        let mut out = json!({
            "id": id, "admin_graphql_api_id": gid("Customer", id),
            "first_name": row.fields.get("firstName"), "last_name": row.fields.get("lastName"),
            "email": row.fields.get("email"), "phone": row.fields.get("phone"),
            "note": row.fields.get("note"), "state": "disabled", "verified_email": true,
            "multipass_identifier": null, "tax_exempt": row.flag("taxExempt"),
            "tax_exemptions": [], "currency": self.settings.currency, "addresses": addresses,
            "default_address": addresses.first(), "tags": row.texts("tags").join(", "),
        });
        self.dates(row, &mut out);
        out
    }

    fn collection_payload(&self, id: u64) -> Value {
        let Some(row) = self.store.get("Collection", id) else { return json!({ "id": id }) };
        json!({
            "id": id, "admin_graphql_api_id": gid("Collection", id), "handle": row.text("handle"),
            "title": row.text("title"), "body_html": row.text("descriptionHtml"),
            "updated_at": self.local(row.updated), "published_at": self.local(row.created),
            "sort_order": row.text("sortOrder").to_lowercase().replace('_', "-"),
            "template_suffix": row.fields.get("templateSuffix"), "published_scope": "web",
        })
    }

    fn location_payload(&self, id: u64) -> Value {
        let Some(row) = self.store.get("Location", id) else { return json!({ "id": id }) };
        let address = &row.fields["address"];
        let text = |name: &str| json!(address[name].as_str().unwrap_or(""));
        let mut out = json!({
            "id": id, "admin_graphql_api_id": gid("Location", id), "name": row.text("name"),
            "active": row.flag("isActive"), "legacy": false, "address1": text("address1"),
            "address2": text("address2"), "city": text("city"), "zip": text("zip"),
            "province": text("province"), "province_code": text("provinceCode"),
            "country": text("country"), "country_code": text("countryCode"),
            "country_name": text("country"), "phone": text("phone"),
        });
        self.dates(row, &mut out);
        out
    }

    fn bulk_payload(&self, id: u64) -> Value {
        let Some(row) = self.store.get("BulkOperation", id) else { return json!({ "id": id }) };
        let completed = super::clock::parse(row.text("completedAt"));
        let code = row.text("errorCode").to_lowercase();
        json!({
            "admin_graphql_api_id": gid("BulkOperation", id),
            "completed_at": completed.map(|at| self.local(at)),
            "created_at": self.local(row.created),
            "error_code": (!code.is_empty()).then_some(code),
            "status": row.text("status").to_lowercase(), "type": row.text("type").to_lowercase(),
        })
    }
}

/// A customer's address carries his id, an order's does not.
pub fn address_payload(address: &Value, customer: Option<u64>) -> Value {
    if address.is_null() {
        return Value::Null;
    }
    let mut out = json!({
        "first_name": address["firstName"], "last_name": address["lastName"],
        "name": address["name"], "company": address["company"], "address1": address["address1"],
        "address2": address["address2"], "city": address["city"], "zip": address["zip"],
        "province": address["province"], "province_code": address["provinceCode"],
        "country": address["country"], "country_code": address["countryCodeV2"],
        "phone": address["phone"],
    });
    match customer {
        Some(id) => {
            out["id"] = json!(tail(address["id"].as_str().unwrap_or("")));
            out["customer_id"] = json!(id);
            out["country_name"] = address["country"].clone();
            out["default"] = json!(true);
        }
        None => {
            out["latitude"] = Value::Null;
            out["longitude"] = Value::Null;
        }
    }
    out
}
