//! Reading: from a field of the schema to what the shop holds.
//!
//! Reads   rows; what is computed from them.
//! Writes  what the client has now seen, for the stock check.
//! Never   answers from the search index where a row was named by its id.

use serde_json::{Value, json};

use super::coerce::{flag, items, map, text, texts};
use super::execute::Out;
use super::fail::{Answer, Fail};
use super::gid::{self, gid, number, tail};
use super::paging::Listing;
use super::server::{CANDIDATE, VERSIONS};
use super::shop::{APP_ID, SHOP_ID, Shop};
use super::store::Object;

/// The calling app.
pub fn app() -> Value {
    json!({ "__typename": "App", "id": gid("App", APP_ID), "title": "Twin", "handle": "twin" })
}

impl Shop {
    pub fn resolve(&mut self, ty: &str, parent: &Value, name: &str, args: &Object) -> Answer<Out> {
        if ty == "QueryRoot" {
            return self.root(name, args);
        }
        if ty == "InventoryAdjustmentGroup" && name == "changes" {
            return Ok(self.changes(parent, args).into());
        }
        if let Value::String(of) = parent {
            if ty == "Shop" {
                return Ok(super::shop::shown(self)[name].clone().into());
            }
            let id = tail(of);
            if matches!(name, "metafield" | "metafields") {
                return Ok(self.metafields(of, name, args));
            }
            if let Some(out) = self.computed(ty, id, name, args)? {
                return Ok(out);
            }
            return Ok(self.stored(ty, id, name).into());
        }
        if matches!((ty, name), ("MailingAddress", "formatted")) {
            return Ok(formatted(parent, args).into());
        }
        if name == "shop" && parent.get("shop").is_none() {
            return Ok(json!(gid("Shop", SHOP_ID)).into());
        }
        let value = parent.get(name).cloned().unwrap_or(Value::Null);
        Ok(if args.contains_key("first") { Self::first_of(value, args) } else { value }.into())
    }

    /// A field as the row has it.
    pub fn stored(&self, kind: &str, id: u64, name: &str) -> Value {
        let Some(row) = self.store.get(kind, id) else { return Value::Null };
        match name {
            "id" => json!(self.gid_of(kind, row)),
            "legacyResourceId" => json!(id.to_string()),
            "createdAt" if !row.fields.contains_key(name) => json!(self.utc(row.created)),
            "updatedAt" => json!(self.utc(row.updated)),
            _ => row.fields.get(name).cloned().unwrap_or(Value::Null),
        }
    }

    fn computed(&mut self, ty: &str, id: u64, name: &str, args: &Object) -> Answer<Option<Out>> {
        Ok(match ty {
            "Product" => self.of_product(id, name, args),
            "ProductVariant" => self.of_variant(id, name),
            "InventoryItem" => self.of_item(id, name, args),
            "InventoryLevel" => match name {
                "quantities" => Some(self.show_quantities(id, &texts(args, "names"))?.into()),
                _ => None,
            },
            "Location" => self.of_location(id, name, args),
            "PriceList" => self.of_price_list(id, name, args),
            "Customer" => self.of_customer(id, name, args),
            "Order" => self.of_order(id, name, args)?,
            "LineItem" if name == "taxLines" => {
                Some(Self::first_of(self.stored(ty, id, name), args).into())
            }
            "Collection" => self.of_collection(id, name, args),
            "Fulfillment" if name == "trackingInfo" => {
                Some(Self::first_of(self.stored(ty, id, name), args).into())
            }
            "MetafieldDefinition" if name == "metafieldsCount" => {
                let of = json!(gid("MetafieldDefinition", id));
                let all = self.store.all("Metafield");
                let count = all.filter(|m| m.fields.get("definition") == Some(&of)).count();
                Some(json!(count).into())
            }
            "WebhookSubscription" => self.of_subscription(id, name),
            _ => None,
        })
    }

    fn by_id(&self, args: &Object, kinds: &[&str]) -> Value {
        let given = text(args, "id").unwrap_or("");
        let found = self.store.find(given).filter(|(kind, _)| kinds.contains(kind));
        found.map_or(Value::Null, |(kind, row)| json!(self.gid_of(kind, row)))
    }

    fn root(&mut self, name: &str, args: &Object) -> Answer<Out> {
        let one = |shop: &Self, kinds: &[&str]| Ok(shop.by_id(args, kinds).into());
        match name {
            "shop" => Ok(json!(gid("Shop", SHOP_ID)).into()),
            "product" => one(self, &["Product"]),
            "productVariant" => one(self, &["ProductVariant"]),
            "inventoryItem" => one(self, &["InventoryItem"]),
            "inventoryLevel" => one(self, &["InventoryLevel"]),
            "priceList" => one(self, &["PriceList"]),
            "catalog" => one(self, &["MarketCatalog", "CompanyLocationCatalog"]),
            "customer" => one(self, &["Customer"]),
            "order" => one(self, &["Order"]),
            "fulfillmentOrder" => one(self, &["FulfillmentOrder"]),
            "fulfillment" => one(self, &["Fulfillment"]),
            "refund" => one(self, &["Refund"]),
            "collection" => one(self, &["Collection"]),
            "webhookSubscription" => one(self, &["WebhookSubscription"]),
            "bulkOperation" => one(self, &["BulkOperation"]),
            "productOperation" => one(self, &["ProductSetOperation", "ProductDeleteOperation"]),
            "location" => Ok(match text(args, "id") {
                Some(_) => self.by_id(args, &["Location"]),
                None => self.first_location().map_or(Value::Null, |id| json!(gid("Location", id))),
            }
            .into()),
            "node" => Ok(self.node(text(args, "id").unwrap_or(""))?.into()),
            "nodes" => {
                let ids = texts(args, "ids");
                let nodes: Answer<Vec<Value>> = ids.iter().map(|id| self.node(id)).collect();
                Ok(Value::Array(nodes?).into())
            }
            "job" => Ok(json!({ "id": args.get("id"), "done": true }).into()),
            _ => self.root_list(name, args),
        }
    }

    fn node(&self, id: &str) -> Answer<Value> {
        if gid::parse(id).is_none() {
            return Err(Fail::new(
                "argumentLiteralsIncompatible",
                format!("Invalid global id '{id}'"),
            ));
        }
        if number(id, "Shop") == SHOP_ID {
            return Ok(json!(id));
        }
        Ok(self.store.find(id).map_or(Value::Null, |(kind, row)| json!(self.gid_of(kind, row))))
    }

    fn root_list(&mut self, name: &str, args: &Object) -> Answer<Out> {
        let kinds: &[&'static str] = match name {
            "products" => &["Product"],
            "productVariants" => &["ProductVariant"],
            "inventoryItems" => &["InventoryItem"],
            "customers" => &["Customer"],
            "orders" => &["Order"],
            "collections" => &["Collection"],
            "files" => &["MediaImage", "GenericFile"],
            "events" => &["BasicEvent"],
            "bulkOperations" => &["BulkOperation"],
            "webhookSubscriptions" => return Ok(Out::List(self.subscriptions(args))),
            "locations" => return Ok(Out::List(self.locations(args))),
            "fulfillmentOrders" => {
                let mut listing = self.listing(&["FulfillmentOrder"], name, args);
                if !flag(args, "includeClosed") {
                    listing.items.retain(|item| {
                        let row = self.store.get("FulfillmentOrder", item.id);
                        row.is_some_and(|r| !matches!(r.text("status"), "CLOSED" | "CANCELLED"))
                    });
                }
                return Ok(Out::List(listing));
            }
            "priceLists" => return Ok(self.plain("PriceList")),
            "catalogs" => return Ok(self.plain("MarketCatalog")),
            "metafieldDefinitions" => return Ok(Out::List(self.definitions(args))),
            _ => return self.root_other(name, args),
        };
        Ok(Out::List(self.listing(kinds, name, args)))
    }

    fn plain(&self, kind: &str) -> Out {
        let all: Vec<Value> = self.store.all(kind).map(|row| json!(gid(kind, row.id))).collect();
        Out::List(Listing::of(&all))
    }

    fn root_other(&mut self, name: &str, args: &Object) -> Answer<Out> {
        let count = |n: usize| json!({ "count": n, "precision": "EXACT" });
        let value = match name {
            "productByIdentifier" => self.by_identifier("Product", args),
            "productVariantByIdentifier" => self.by_identifier("ProductVariant", args),
            "customerByIdentifier" => self.by_identifier("Customer", args),
            "orderByIdentifier" => self.by_identifier("Order", args),
            "collectionByIdentifier" => self.by_identifier("Collection", args),
            "locationByIdentifier" => self.by_identifier("Location", args),
            "productsCount" => count(self.listing(&["Product"], name, args).items.len()),
            // Observed: it does not look at its query.
            "productVariantsCount" => count(self.store.count("ProductVariant")),
            "customersCount" => count(self.listing(&["Customer"], name, args).items.len()),
            "ordersCount" => count(self.listing(&["Order"], name, args).items.len()),
            "webhookSubscriptionsCount" => count(self.store.count("WebhookSubscription")),
            "metafieldDefinition" => self.definition(map(args, "identifier")),
            "currentAppInstallation" => {
                let scopes = self.scopes().into_iter();
                let scopes: Vec<Value> =
                    scopes.map(|s| json!({ "handle": s, "description": s })).collect();
                json!({ "id": gid("AppInstallation", APP_ID), "accessScopes": scopes, "app": app() })
            }
            "currentBulkOperation" => self.current_bulk(text(args, "type").unwrap_or("QUERY")),
            "publicApiVersions" => {
                let mut list: Vec<Value> = VERSIONS
                    .iter()
                    .map(|v| json!({ "handle": v, "displayName": v, "supported": true }))
                    .collect();
                list.push(json!({
                    "handle": CANDIDATE, "displayName": format!("{CANDIDATE} (Release candidate)"),
                    "supported": false,
                }));
                list.push(json!({
                    "handle": "unstable", "displayName": "unstable", "supported": false,
                }));
                Value::Array(list)
            }
            other => return Err(Fail::bad_request(format!("the twin has no {other}"))),
        };
        Ok(value.into())
    }

    /// Found by its id, its natural key or a unique metafield.
    fn by_identifier(&self, kind: &'static str, args: &Object) -> Value {
        let Some(given) = map(args, "identifier") else { return Value::Null };
        let found = if let Some(id) = text(given, "id") {
            Some(number(id, kind)).filter(|id| self.store.get(kind, *id).is_some())
        } else if let Some(custom) = map(given, "customId") {
            self.by_custom_id(kind, custom)
        } else {
            let pairs = [("handle", "handle"), ("emailAddress", "email"), ("phoneNumber", "phone")];
            pairs.iter().find_map(|(name, field)| self.by_text(kind, field, text(given, name)?))
        };
        found.map_or(Value::Null, |id| json!(gid(kind, id)))
    }

    /// The row whose field has this text, in any case of letters.
    pub fn by_text(&self, kind: &str, field: &str, wanted: &str) -> Option<u64> {
        let same = |row: &&super::store::Row| row.text(field).eq_ignore_ascii_case(wanted);
        self.store.all(kind).find(same).map(|row| row.id)
    }

    pub fn first_location(&self) -> Option<u64> {
        self.store.all("Location").find(|row| row.flag("isActive")).map(|row| row.id)
    }

    fn changes(&self, group: &Value, args: &Object) -> Value {
        let row = group.as_str().and_then(|of| self.store.find(of)).map(|(_, row)| row);
        let all = row.map_or(&[][..], |row| row.list("changes"));
        let fits = |change: &&Value, name: &str, field: &str| {
            let wanted = items(args, name);
            wanted.is_empty() || wanted.contains(&change[field])
        };
        all.iter()
            .filter(|c| fits(c, "quantityNames", "name"))
            .filter(|c| fits(c, "inventoryItemIds", "item"))
            .filter(|c| fits(c, "locationIds", "location"))
            .cloned()
            .collect()
    }
}

fn formatted(address: &Value, args: &Object) -> Value {
    let part = |name: &str| address[name].as_str().unwrap_or("").to_owned();
    let mut lines = Vec::new();
    if flag(args, "withName") {
        lines.push(part("name"));
    }
    if flag(args, "withCompany") {
        lines.push(part("company"));
    }
    lines.extend([part("address1"), part("address2")]);
    lines.push(format!("{} {}", part("zip"), part("city")).trim().to_owned());
    lines.push(part("country"));
    lines.retain(|line| !line.is_empty());
    json!(lines)
}
