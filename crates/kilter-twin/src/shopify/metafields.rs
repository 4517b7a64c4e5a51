//! Metafields and their definitions: values on any row, unique ones that serve as ids.
//!
//! Reads   the input's values and digests.
//! Writes  metafields, the list of them on their owner.
//! Never   writes a part of a call: all or nothing.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::coerce::{items, map, text};
use super::execute::Out;
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, tail};
use super::paging::Listing;
use super::shop::{APP_ID, Shop};
use super::store::{Object, Row};

/// Most metafields of one call.
const SET_MAX: usize = 25;
const VALUE_MAX: usize = 10 * 1024 * 1024;

/// Kinds a metafield can be on, and the names the schema has for them.
const OWNERS: &[(&str, &str)] = &[
    ("Product", "PRODUCT"),
    ("ProductVariant", "PRODUCTVARIANT"),
    ("Collection", "COLLECTION"),
    ("Customer", "CUSTOMER"),
    ("Order", "ORDER"),
    ("Location", "LOCATION"),
];

/// A namespace left out, or begun with `$app`, is the app's own.
pub fn namespace(given: Option<&str>) -> String {
    match given {
        None | Some("" | "$app") => format!("app--{APP_ID}"),
        Some(name) => match name.strip_prefix("$app:") {
            Some(rest) => format!("app--{APP_ID}--{rest}"),
            None => name.to_owned(),
        },
    }
}

fn digest(value: &str) -> String {
    Sha256::digest(value.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Shop {
    pub fn metafield_of(&self, owner: &Object, ns: &str, key: &str) -> Option<&Row> {
        let ids = owner.get("_metafields").and_then(Value::as_array)?;
        let rows = ids.iter().filter_map(|id| self.store.find(id.as_str()?));
        rows.map(|(_, row)| row).find(|row| row.text("namespace") == ns && row.text("key") == key)
    }

    /// `metafield(…)` and `metafields(…)` of any owner.
    pub fn metafields(&self, owner: &str, name: &str, args: &Object) -> Out {
        let none = Object::new();
        let fields = self.store.find(owner).map_or(&none, |(_, row)| &row.fields);
        if name == "metafield" {
            let key = text(args, "key").unwrap_or("");
            let (ns, key) = match (text(args, "namespace"), key.split_once('.')) {
                (None, Some((ns, key))) => (namespace(Some(ns)), key),
                (ns, _) => (namespace(ns), key),
            };
            let found = self.metafield_of(fields, &ns, key);
            return found.map_or(Value::Null, |row| json!(gid("Metafield", row.id))).into();
        }
        let all = fields.get("_metafields").and_then(Value::as_array).cloned().unwrap_or_default();
        let wanted = text(args, "namespace").map(|ns| namespace(Some(ns)));
        let keys = super::coerce::texts(args, "keys");
        let kept: Vec<Value> = all
            .into_iter()
            .filter(|id| {
                let Some((_, row)) = id.as_str().and_then(|id| self.store.find(id)) else {
                    return false;
                };
                let full = format!("{}.{}", row.text("namespace"), row.text("key"));
                wanted.as_ref().is_none_or(|ns| row.text("namespace") == ns)
                    && (keys.is_empty() || keys.contains(&full))
            })
            .collect();
        Out::List(Listing::of(&kept))
    }

    fn definition_row(&self, owner_type: &str, ns: &str, key: &str) -> Option<&Row> {
        self.store.all("MetafieldDefinition").find(|row| {
            row.text("ownerType") == owner_type
                && row.text("namespace") == ns
                && row.text("key") == key
        })
    }

    pub fn definition(&self, identifier: Option<&Object>) -> Value {
        let Some(given) = identifier else { return Value::Null };
        let ns = namespace(text(given, "namespace"));
        let key = text(given, "key").unwrap_or("");
        let found = self.definition_row(text(given, "ownerType").unwrap_or(""), &ns, key);
        found.map_or(Value::Null, |row| json!(gid("MetafieldDefinition", row.id)))
    }

    pub fn definitions(&mut self, args: &Object) -> Listing {
        let mut listing = self.listing(&["MetafieldDefinition"], "metafieldDefinitions", args);
        let ns = text(args, "namespace").map(|ns| namespace(Some(ns)));
        let (owner, key) = (text(args, "ownerType"), text(args, "key"));
        listing.items.retain(|item| {
            let Some(row) = self.store.get("MetafieldDefinition", item.id) else { return false };
            owner.is_none_or(|o| row.text("ownerType") == o)
                && ns.as_ref().is_none_or(|n| row.text("namespace") == n)
                && key.is_none_or(|k| row.text("key") == k)
        });
        listing
    }

    /// The row that has this value in a metafield whose definition makes it unique.
    pub fn by_custom_id(&self, kind: &str, custom: &Object) -> Option<u64> {
        let ns = namespace(text(custom, "namespace"));
        let (key, value) = (text(custom, "key")?, text(custom, "value")?);
        let owner_type = OWNERS.iter().find(|(of, _)| *of == kind).map(|(_, name)| *name)?;
        let definition = self.definition_row(owner_type, &ns, key)?;
        if definition.fields["capabilities"]["uniqueValues"]["enabled"] != json!(true) {
            return None;
        }
        let rows = self.store.all(kind);
        rows.into_iter()
            .find(|row| {
                self.metafield_of(&row.fields, &ns, key).is_some_and(|m| m.text("value") == value)
            })
            .map(|row| row.id)
    }

    pub fn definition_create(&mut self, args: &Object) -> Answer<Value> {
        let Some(given) = map(args, "definition") else { return Ok(Value::Null) };
        let ns = namespace(text(given, "namespace"));
        let key = text(given, "key").unwrap_or("").to_owned();
        let owner = text(given, "ownerType").unwrap_or("").to_owned();
        let kind = text(given, "type").unwrap_or("").to_owned();
        let taken = self.definition_row(&owner, &ns, &key).is_some();
        let error = if taken {
            Some(("TAKEN", "key", "Key is in use for this owner type on the namespace."))
        } else if !OWNERS.iter().any(|(_, name)| *name == owner) {
            Some(("INCLUSION", "ownerType", "The twin has no metafields on this owner type."))
        } else if kind.is_empty() {
            Some(("INVALID", "type", "Type is invalid."))
        } else {
            None
        };
        if let Some((code, field, message)) = error {
            return Ok(refused(&[UserError::new(&["definition", field], code, message)]));
        }
        let asked = given.get("capabilities").map(|c| c["uniqueValues"]["enabled"].clone());
        let unique = kind == "id" || asked == Some(json!(true));
        let id = self.add(
            "MetafieldDefinition",
            json!({
                "name": given.get("name"), "namespace": ns, "key": key, "ownerType": owner,
                "description": given.get("description"), "pinnedPosition": null,
                "type": { "name": kind, "category": "TEXT" },
                "capabilities": { "uniqueValues": { "eligible": true, "enabled": unique } },
            }),
        );
        Ok(json!({ "createdDefinition": gid("MetafieldDefinition", id), "userErrors": [] }))
    }

    pub fn metafields_set(&mut self, args: &Object) -> Answer<Value> {
        let list = items(args, "metafields").to_vec();
        let mut errors = Vec::new();
        if list.len() > SET_MAX {
            let message = "Exceeded the maximum metafields input limit of 25.";
            let code = "LESS_THAN_OR_EQUAL_TO";
            return Ok(refused(&[UserError::new(&["metafields"], code, message)]));
        }
        for (at, item) in list.iter().filter_map(Value::as_object).enumerate() {
            errors.extend(self.check_metafield(at, item));
        }
        if !errors.is_empty() {
            let shown = errors.iter().map(|(at, error)| {
                let mut shown = error.show();
                shown["elementIndex"] = json!(at);
                shown
            });
            return Ok(json!({ "metafields": null, "userErrors": shown.collect::<Vec<_>>() }));
        }
        let mut set = Vec::new();
        for item in list.iter().filter_map(Value::as_object) {
            let owner = text(item, "ownerId").unwrap_or("").to_owned();
            set.push(json!(gid("Metafield", self.put_metafield(&owner, item))));
        }
        Ok(json!({ "metafields": set, "userErrors": [] }))
    }

    fn check_metafield(&self, at: usize, item: &Object) -> Option<(usize, UserError)> {
        let owner = text(item, "ownerId").unwrap_or("");
        let fail = |field: &str, code: &'static str, message: &str| {
            Some((at, UserError::at(&["metafields"], at, &[field], code, message)))
        };
        let Some((kind, row)) = self.store.find(owner) else {
            return fail("ownerId", "INVALID", "Owner does not exist.");
        };
        let Some((_, owner_type)) = OWNERS.iter().find(|(of, _)| *of == kind) else {
            return fail("ownerId", "INVALID", "Owner type is invalid.");
        };
        let ns = namespace(text(item, "namespace"));
        let key = text(item, "key").unwrap_or("");
        let definition = self.definition_row(owner_type, &ns, key);
        let there = self.metafield_of(&row.fields, &ns, key);
        let value = text(item, "value").unwrap_or("");
        if text(item, "type").is_none() && definition.is_none() && there.is_none() {
            return fail("type", "BLANK", "Type can't be blank");
        }
        if let (Some(kind), Some(of)) = (text(item, "type"), definition)
            && of.fields["type"]["name"] != json!(kind)
        {
            return fail(
                "type",
                "INVALID_TYPE",
                "Type must be consistent with the definition's type.",
            );
        }
        if value.is_empty() {
            return fail("value", "BLANK", "Value can't be blank.");
        }
        if value.len() > VALUE_MAX {
            return fail("value", "TOO_LONG", "Value is too long.");
        }
        if let Some(expected) = item.get("compareDigest") {
            let stale = match (expected.as_str(), there) {
                (None, row) => row.is_some(),
                (Some(given), row) => row.is_none_or(|row| row.text("compareDigest") != given),
            };
            if stale {
                let message = "The resource has been updated since it was loaded. Try again with \
                               an updated `compareDigest` value.";
                return fail("compareDigest", "STALE_OBJECT", message);
            }
        }
        let custom = json!({ "namespace": ns, "key": key, "value": value });
        let holder = custom.as_object().and_then(|c| self.by_custom_id(kind, c));
        if holder.is_some_and(|id| id != tail(owner)) {
            return fail("value", "TAKEN", "Value has already been assigned to another metafield.");
        }
        None
    }

    /// Creates or replaces one metafield of an owner that is there.
    pub fn put_metafield(&mut self, owner: &str, item: &Object) -> u64 {
        let ns = namespace(text(item, "namespace"));
        let key = text(item, "key").unwrap_or("").to_owned();
        let value = text(item, "value").unwrap_or("").to_owned();
        let Some((kind, row)) = self.store.find(owner) else { return 0 };
        let owner_id = row.id;
        let owner_type = OWNERS.iter().find(|(of, _)| *of == kind).map_or("SHOP", |(_, n)| *n);
        let there = self.metafield_of(&row.fields, &ns, &key).map(|row| row.id);
        let definition = self.definition_row(owner_type, &ns, &key);
        let declared = definition.map(|d| d.fields["type"]["name"].clone());
        let own = there.map(|id| self.stored("Metafield", id, "type"));
        let ty = item.get("type").filter(|t| !t.is_null()).cloned().or(declared).or(own);
        let ty = ty.unwrap_or_else(|| json!("single_line_text_field"));
        let definition = definition.map(|d| gid("MetafieldDefinition", d.id));
        let parsed = match ty.as_str().unwrap_or("") {
            "json" | "number_integer" | "boolean" => serde_json::from_str(&value).ok(),
            kind if kind.starts_with("list.") => serde_json::from_str(&value).ok(),
            _ => None,
        };
        let fields = json!({
            "namespace": ns, "key": key, "value": value, "type": ty,
            "jsonValue": parsed.unwrap_or_else(|| json!(value)), "compareDigest": digest(&value),
            "ownerType": owner_type, "owner": owner, "sizeInBytes": value.len(),
            "definition": definition,
        });
        if let Some(id) = there {
            if let Some(old) = self.edit("Metafield", id) {
                *old = super::store::object(fields);
            }
            self.edit(kind, owner_id);
            return id;
        }
        let id = self.add("Metafield", fields);
        if let Some(owner) = self.edit(kind, owner_id) {
            let list = owner.entry("_metafields").or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(json!(gid("Metafield", id)));
            }
        }
        id
    }

    /// The whole list of an owner's metafields, as `productSet` takes it.
    pub fn replace_metafields(&mut self, owner: &str, list: &[Value]) {
        let named = |item: &Object| {
            (namespace(text(item, "namespace")), text(item, "key").unwrap_or("").to_owned())
        };
        let wanted: Vec<(String, String)> =
            list.iter().filter_map(Value::as_object).map(named).collect();
        let Some((kind, row)) = self.store.find(owner) else { return };
        let id = row.id;
        let (kept, gone): (Vec<Value>, Vec<Value>) =
            row.list("_metafields").iter().cloned().partition(|of| {
                let found = of.as_str().and_then(|of| self.store.find(of));
                found.is_some_and(|(_, m)| {
                    wanted.contains(&(m.text("namespace").to_owned(), m.text("key").to_owned()))
                })
            });
        for of in gone {
            self.store.remove("Metafield", tail(of.as_str().unwrap_or("")));
        }
        if let Some(fields) = self.edit(kind, id) {
            fields.insert("_metafields".to_owned(), Value::Array(kept));
        }
        for item in list.iter().filter_map(Value::as_object) {
            self.put_metafield(owner, item);
        }
    }

    pub fn metafields_delete(&mut self, args: &Object) -> Answer<Value> {
        let mut deleted = Vec::new();
        for item in items(args, "metafields").iter().filter_map(Value::as_object) {
            let owner = text(item, "ownerId").unwrap_or("");
            let ns = namespace(text(item, "namespace"));
            let key = text(item, "key").unwrap_or("");
            let found = self.store.find(owner).and_then(|(kind, row)| {
                let of = self.metafield_of(&row.fields, &ns, key)?;
                Some((kind, row.id, of.id))
            });
            let Some((kind, row, id)) = found else {
                deleted.push(Value::Null);
                continue;
            };
            self.store.remove("Metafield", id);
            let own = json!(gid("Metafield", id));
            if let Some(list) = self
                .edit(kind, row)
                .and_then(|f| f.get_mut("_metafields"))
                .and_then(Value::as_array_mut)
            {
                list.retain(|of| *of != own);
            }
            deleted.push(json!({ "ownerId": owner, "namespace": ns, "key": key }));
        }
        Ok(json!({ "deletedMetafields": deleted, "userErrors": [] }))
    }
}
