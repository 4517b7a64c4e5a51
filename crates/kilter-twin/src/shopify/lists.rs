//! Lists of rows: filtered by a query, sorted by a key, ready to be paged.
//!
//! Reads   rows, as the search index has them where a query is given.
//! Writes  the warnings of the query.
//! Never   shows a row the index has not heard of, when it was asked to search.

use serde_json::{Value, json};

use super::coerce::{flag, text};
use super::gid::{gid, tail};
use super::paging::{Item, Listing};
use super::search::{self, Searched};
use super::shop::Shop;
use super::store::{Object, Row};

/// Fields each kind can be searched by, beside `id`, `created_at` and `updated_at`.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "Product",
        &[
            "title",
            "status",
            "vendor",
            "product_type",
            "tag",
            "handle",
            "sku",
            "barcode",
            "gift_card",
            "published_at",
        ],
    ),
    (
        "ProductVariant",
        &[
            "sku",
            "barcode",
            "title",
            "product_id",
            "product_ids",
            "tag",
            "vendor",
            "product_type",
            "product_status",
            "location_id",
        ],
    ),
    ("InventoryItem", &["sku"]),
    ("InventoryLevel", &["inventory_item_id", "inventory_group_id"]),
    ("Customer", &["email", "phone", "tag", "first_name", "last_name", "state", "country"]),
    (
        "Order",
        &[
            "name",
            "email",
            "tag",
            "status",
            "financial_status",
            "fulfillment_status",
            "source_identifier",
            "source_name",
            "customer_id",
            "processed_at",
            "sku",
            "test",
            "po_number",
            "gateway",
        ],
    ),
    ("Collection", &["title", "handle", "product_id"]),
    ("FulfillmentOrder", &["status", "assigned_location_id"]),
    ("Fulfillment", &["status", "tracking_number"]),
    ("MediaImage", &["filename", "status", "media_type", "original_source"]),
    ("GenericFile", &["filename", "status", "media_type", "original_source"]),
    ("BasicEvent", &["action", "subject_type", "subject_id"]),
    ("Location", &["name", "active"]),
    ("WebhookSubscription", &["topic", "endpoint", "uri"]),
    ("MetafieldDefinition", &["key", "namespace", "owner_type", "type"]),
    ("BulkOperation", &["status", "operation_type"]),
];

pub struct Hit<'a> {
    pub shop: &'a Shop,
    pub kind: &'static str,
    pub row: &'a Row,
    pub fields: &'a Object,
    pub updated: i64,
}

impl Hit<'_> {
    fn own(&self, name: &str) -> Vec<String> {
        match self.fields.get(name) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(Value::Bool(on)) => vec![on.to_string()],
            Some(Value::Number(number)) => vec![number.to_string()],
            _ => vec![],
        }
    }

    fn id_of(&self, name: &str) -> Vec<String> {
        self.own(name).iter().map(|gid| tail(gid).to_string()).collect()
    }

    /// A field of the product a variant belongs to.
    fn of_product(&self, name: &str) -> Vec<String> {
        let product = self.fields.get("product").and_then(Value::as_str).unwrap_or("");
        let row = self.shop.store.find(product).map(|(_, row)| row);
        match row.and_then(|row| row.fields.get(name)) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => vec![],
        }
    }

    /// A field of each row a list of ids names.
    fn of_each(&self, list: &str, name: &str) -> Vec<String> {
        let ids = self.own(list);
        let rows = ids.iter().filter_map(|gid| self.shop.store.find(gid));
        rows.map(|(_, row)| row.text(name).to_owned()).collect()
    }

    fn metafield(&self, path: &str) -> Vec<String> {
        let Some((namespace, key)) = path.split_once('.') else { return vec![] };
        let found = self.shop.metafield_of(self.fields, namespace, key);
        found.map(|row| vec![row.text("value").to_owned()]).unwrap_or_default()
    }
}

impl Searched for Hit<'_> {
    fn values(&self, field: &str) -> Option<Vec<String>> {
        let camel = match (self.kind, field) {
            (_, "id") => return Some(vec![self.row.id.to_string(), gid(self.kind, self.row.id)]),
            (_, "updated_at") => return Some(vec![self.shop.utc(self.updated)]),
            (_, "created_at") => return Some(vec![self.shop.utc(self.row.created)]),
            (_, path) if path.starts_with("metafields.") => {
                return Some(self.metafield(&path["metafields.".len()..]));
            }
            ("Product", "sku" | "barcode") => return Some(self.of_each("variants", field)),
            ("Order", "sku") => return Some(self.of_each("lineItems", field)),
            ("Order", "customer_id") => return Some(self.id_of("customer")),
            ("Order", "status") => return Some(self.order_status()),
            ("Order", "financial_status") => "displayFinancialStatus",
            ("Order", "fulfillment_status") => "displayFulfillmentStatus",
            ("Order", "gateway") => "paymentGatewayNames",
            ("ProductVariant", "product_id" | "product_ids") => return Some(self.id_of("product")),
            ("ProductVariant", "tag") => return Some(self.of_product("tags")),
            ("ProductVariant", "vendor") => return Some(self.of_product("vendor")),
            ("ProductVariant", "product_type") => return Some(self.of_product("productType")),
            ("ProductVariant", "product_status") => return Some(self.of_product("status")),
            ("InventoryItem", "sku") => {
                let variant = self.fields.get("variant").and_then(Value::as_str).unwrap_or("");
                let row = self.shop.store.find(variant);
                return Some(row.map(|(_, row)| row.text("sku").to_owned()).into_iter().collect());
            }
            ("InventoryLevel", "inventory_item_id") => return Some(self.id_of("item")),
            ("Collection", "product_id") => return Some(self.id_of("products")),
            ("FulfillmentOrder", "assigned_location_id") => return Some(self.id_of("location")),
            ("BasicEvent", "subject_id") => return Some(self.id_of("subjectId")),
            ("WebhookSubscription", "endpoint" | "uri") => "uri",
            ("Location", "active") => "isActive",
            ("MediaImage" | "GenericFile", "status") => "fileStatus",
            (_, "tag") => "tags",
            (_, "product_type") => "productType",
            (_, "gift_card") => "isGiftCard",
            (_, "first_name") => "firstName",
            (_, "last_name") => "lastName",
            (_, "source_identifier") => "sourceIdentifier",
            (_, "source_name") => "sourceName",
            (_, "processed_at") => "processedAt",
            (_, "published_at") => "publishedAt",
            (_, "po_number") => "poNumber",
            (_, "subject_type") => "subjectType",
            (_, "owner_type") => "ownerType",
            (_, "original_source") => "originalSource",
            (_, "operation_type") => "type",
            (_, "media_type") => "mediaContentType",
            (_, name) => name,
        };
        Some(self.own(camel))
    }

    fn words(&self) -> Vec<String> {
        let names = ["title", "handle", "sku", "name", "email", "firstName", "lastName", "vendor"];
        let mut words: Vec<String> = names.iter().flat_map(|name| self.own(name)).collect();
        if self.kind == "Product" {
            words.extend(self.of_each("variants", "sku"));
        }
        words
    }
}

impl Hit<'_> {
    fn order_status(&self) -> Vec<String> {
        let there = |name: &str| self.fields.get(name).is_some_and(|v| !v.is_null());
        let status = match (there("cancelledAt"), there("closedAt")) {
            (true, _) => "cancelled",
            (_, true) => "closed",
            _ => "open",
        };
        vec![status.to_owned(), "any".to_owned()]
    }
}

impl Shop {
    /// All rows of these kinds that the query finds.
    pub fn listing(&mut self, kinds: &[&'static str], path: &str, args: &Object) -> Listing {
        let query = text(args, "query").unwrap_or("").trim().to_owned();
        let sort = text(args, "sortKey").unwrap_or("ID").to_owned();
        let known = |field: &str| {
            let fields = FIELDS.iter().filter(|(kind, _)| kinds.contains(kind));
            let named = fields.flat_map(|(_, fields)| fields.iter()).any(|name| *name == field);
            let common = matches!(field, "id" | "created_at" | "updated_at" | "default");
            named || common || field.starts_with("metafields.")
        };
        let parsed = search::parse(&query, &known);
        if !parsed.warnings.is_empty() {
            self.searches
                .push(json!({ "path": [path], "query": query, "warnings": parsed.warnings }));
        }
        let now = self.now();
        let mut items = Vec::new();
        for kind in kinds {
            let Some((kind, _)) = FIELDS.iter().find(|(k, _)| k == kind) else { continue };
            for row in self.store.all(kind) {
                let seen = if query.is_empty() {
                    Some((&row.fields, row.updated))
                } else {
                    row.indexed(now)
                };
                let Some((fields, updated)) = seen else { continue };
                let hit = Hit { shop: self, kind, row, fields, updated };
                if parsed.expr.as_ref().is_none_or(|expr| expr.matches(&hit)) {
                    let key = self.sort_key(&sort, row);
                    items.push(Item { key, id: row.id, value: json!(self.gid_of(kind, row)) });
                }
            }
        }
        items.sort_by(|a, b| (&a.key, a.id).cmp(&(&b.key, b.id)));
        Listing { items, signature: format!("{path} {sort} {query}") }
    }

    /// Rows that are related to another, searched by the same language.
    pub fn related(
        &mut self,
        kind: &'static str,
        ids: &[u64],
        path: &str,
        args: &Object,
    ) -> Listing {
        let mut listing = self.listing(&[kind], path, args);
        let wanted: std::collections::BTreeSet<&u64> = ids.iter().collect();
        listing.items.retain(|item| wanted.contains(&item.id));
        listing
    }

    /// A level's id carries its item's.
    pub fn gid_of(&self, kind: &str, row: &Row) -> String {
        match kind {
            "InventoryLevel" => {
                format!("{}?inventory_item_id={}", gid(kind, row.id), tail(row.text("item")))
            }
            _ => gid(kind, row.id),
        }
    }

    fn sort_key(&self, sort: &str, row: &Row) -> String {
        match sort {
            "UPDATED_AT" => self.utc(row.updated),
            "CREATED_AT" => self.utc(row.created),
            "PROCESSED_AT" => row.text("processedAt").to_owned(),
            "TITLE" | "FULL_TITLE" => row.text("title").to_lowercase(),
            "NAME" => {
                let name = row.text("name").to_lowercase();
                if name.is_empty() { row.text("lastName").to_lowercase() } else { name }
            }
            "SKU" => row.text("sku").to_owned(),
            "VENDOR" => row.text("vendor").to_lowercase(),
            "PRODUCT_TYPE" => row.text("productType").to_lowercase(),
            "ORDER_NUMBER" => format!("{:012}", row.number("number")),
            "POSITION" => format!("{:012}", row.number("position")),
            "FILENAME" => row.text("filename").to_owned(),
            _ => String::new(),
        }
    }

    /// `first` of a list that is no connection.
    pub fn first_of(list: Value, args: &Object) -> Value {
        let Some(first) = super::coerce::whole(args, "first") else { return list };
        match list {
            Value::Array(items) => {
                items.into_iter().take(usize::try_from(first).unwrap_or(0)).collect()
            }
            other => other,
        }
    }

    pub fn locations(&mut self, args: &Object) -> Listing {
        let mut listing = self.listing(&["Location"], "locations", args);
        if !flag(args, "includeInactive") {
            let active = |item: &Item| {
                self.store.get("Location", item.id).is_some_and(|l| l.flag("isActive"))
            };
            listing.items.retain(active);
        }
        listing
    }
}
