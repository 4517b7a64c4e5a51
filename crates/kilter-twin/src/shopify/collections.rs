//! Collections: lists of products that people keep.
//!
//! Reads   the inputs of the `collection…` mutations.
//! Writes  collections and who is in them.
//! Never   computes a membership: the twin has no rules.

use serde_json::{Value, json};

use super::coerce::{items, map, text, texts};
use super::execute::Out;
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number, tail};
use super::product_write::{handle_of, plain_text};
use super::shop::Shop;
use super::store::Object;

fn input(args: &Object) -> Object {
    map(args, "collection").or_else(|| map(args, "input")).cloned().unwrap_or_default()
}

impl Shop {
    pub fn collection_create(&mut self, args: &Object) -> Answer<Value> {
        let given = input(args);
        let Some(title) = text(&given, "title").filter(|t| !t.trim().is_empty()) else {
            return Ok(refused(&[UserError::new(&["title"], "", "Title can't be blank")]));
        };
        let wanted = text(&given, "handle").map_or_else(|| handle_of(title), str::to_owned);
        let handle = self.free_handle("Collection", &wanted);
        let id = self.add(
            "Collection",
            json!({
                "title": title, "handle": handle, "descriptionHtml": "", "products": [],
                "sortOrder": "BEST_SELLING", "seo": { "title": null, "description": null },
                "templateSuffix": null, "_metafields": [],
            }),
        );
        self.write_collection(id, &given);
        self.fire("collections/create", "Collection", id);
        Ok(json!({ "collection": gid("Collection", id), "userErrors": [] }))
    }

    fn write_collection(&mut self, id: u64, given: &Object) {
        let own = gid("Collection", id);
        for name in ["title", "descriptionHtml", "sortOrder", "templateSuffix"] {
            if let Some(value) = given.get(name).filter(|v| !v.is_null()) {
                self.put(&own, name, value.clone());
            }
        }
        if let Some(seo) = map(given, "seo") {
            let of = |name: &str| seo.get(name).cloned().unwrap_or_default();
            self.put(
                &own,
                "seo",
                json!({ "title": of("title"), "description": of("description") }),
            );
        }
        if given.get("products").is_some_and(Value::is_array) {
            self.put(&own, "products", json!(texts(given, "products")));
        }
        for item in items(given, "metafields").iter().filter_map(Value::as_object) {
            self.put_metafield(&own, item);
        }
    }

    pub fn collection_update(&mut self, args: &Object) -> Answer<Value> {
        let given = input(args);
        let own = text(&given, "id").unwrap_or("").to_owned();
        let id = number(&own, "Collection");
        if self.store.get("Collection", id).is_none() {
            return Ok(refused(&[UserError::new(&["id"], "", "Collection does not exist")]));
        }
        if let Some(handle) = text(&given, "handle") {
            if self.by_text("Collection", "handle", handle).is_some_and(|other| other != id) {
                let error = UserError::new(&["handle"], "", "Handle has already been taken");
                return Ok(refused(&[error]));
            }
            self.put(&own, "handle", json!(handle));
        }
        self.write_collection(id, &given);
        self.fire("collections/update", "Collection", id);
        Ok(json!({ "collection": own, "job": null, "userErrors": [] }))
    }

    pub fn collection_delete(&mut self, args: &Object) -> Answer<Value> {
        let own = map(args, "input").and_then(|i| text(i, "id")).unwrap_or("").to_owned();
        let id = number(&own, "Collection");
        if self.store.remove("Collection", id).is_none() {
            return Ok(refused(&[UserError::new(&["id"], "", "Collection does not exist")]));
        }
        self.fire_deleted("collections/delete", "Collection", id);
        self.happened("destroy", "COLLECTION", &own);
        Ok(json!({ "deletedCollectionId": own, "userErrors": [] }))
    }

    /// Puts a product in or takes it out.
    pub fn member(&mut self, collection: u64, product: u64, join: bool) {
        let Some(row) = self.store.get("Collection", collection) else { return };
        let own = json!(gid("Product", product));
        let mut list = row.list("products").to_vec();
        if list.contains(&own) == join {
            return;
        }
        if join {
            list.push(own);
        } else {
            list.retain(|id| *id != own);
        }
        self.put(&gid("Collection", collection), "products", json!(list));
        self.fire("collections/update", "Collection", collection);
    }

    /// The collections of a product as a whole.
    pub fn set_collections(&mut self, product: u64, given: &[String]) {
        for id in self.store.ids("Collection") {
            let wanted = given.iter().any(|of| number(of, "Collection") == id);
            self.member(id, product, wanted);
        }
    }

    pub fn of_collection(&mut self, id: u64, name: &str, args: &Object) -> Option<Out> {
        let row = self.store.get("Collection", id)?;
        let value = match name {
            "description" => json!(plain_text(row.text("descriptionHtml"))),
            "productsCount" => json!({ "count": row.list("products").len(), "precision": "EXACT" }),
            "hasProduct" => {
                let wanted = tail(text(args, "id").unwrap_or(""));
                json!(row.list("products").contains(&json!(gid("Product", wanted))))
            }
            _ => return None,
        };
        Some(value.into())
    }
}
