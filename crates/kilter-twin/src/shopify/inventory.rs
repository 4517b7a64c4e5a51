//! Stock: levels by item and location, absolute and relative writes with compare-and-set.
//!
//! Reads   the input's rows, the levels as they are.
//! Writes  levels; an adjustment group for each accepted write.
//! Never   applies a part: one wrong row and nothing is changed.
//!
//! As of 2026-10 a quantity can be set at any location: the level comes into being by it.

use serde_json::{Value, json};

use super::coerce::{items, map, text, whole};
use super::fail::{Answer, Fail, UserError, refused};
use super::gid::{gid, number, tail};
use super::shop::Shop;
use super::store::{Object, object};

/// The quantities that are stored; `on_hand` is their sum without `incoming`.
pub const STORED: &[&str] = &[
    "available",
    "committed",
    "reserved",
    "damaged",
    "safety_stock",
    "quality_control",
    "incoming",
];
const LIMIT: i64 = 1_000_000_000;

/// The reasons the platform names.
const REASONS: &[&str] = &[
    "correction",
    "cycle_count_available",
    "damaged",
    "movement_canceled",
    "movement_created",
    "movement_received",
    "movement_updated",
    "other",
    "promotion",
    "quality_control",
    "received",
    "reservation_created",
    "reservation_deleted",
    "reservation_updated",
    "restock",
    "safety_stock",
    "shrinkage",
];

/// One row of a write, understood.
struct Step {
    level: Option<u64>,
    item: u64,
    location: u64,
    /// How much `available` changes.
    delta: i64,
    after: i64,
}

impl Shop {
    pub fn level(&self, item: u64, location: u64) -> Option<u64> {
        self.levels.get(&(item, location)).copied()
    }

    /// The level, which comes into being where there is none.
    pub fn level_or_new(&mut self, item: u64, location: u64) -> u64 {
        if let Some(id) = self.level(item, location) {
            return id;
        }
        let quantities: Object = STORED.iter().map(|n| ((*n).to_owned(), json!(0))).collect();
        let id = self.add(
            "InventoryLevel",
            json!({
                "item": gid("InventoryItem", item), "location": gid("Location", location),
                "isActive": true, "canDeactivate": true, "q": quantities,
            }),
        );
        self.levels.insert((item, location), id);
        self.fire("inventory_levels/connect", "InventoryLevel", id);
        id
    }

    pub fn quantity(&self, level: u64, name: &str) -> i64 {
        let Some(row) = self.store.get("InventoryLevel", level) else { return 0 };
        let of = |name: &str| row.fields["q"][name].as_i64().unwrap_or(0);
        match name {
            "on_hand" => STORED.iter().filter(|n| **n != "incoming").map(|n| of(n)).sum(),
            name => of(name),
        }
    }

    /// Moves one quantity; `inventory_levels/update` goes out when it is `available`.
    pub fn move_quantity(&mut self, level: u64, name: &str, delta: i64) {
        if delta == 0 {
            return;
        }
        let at = self.utc(self.now());
        if let Some(fields) = self.edit("InventoryLevel", level) {
            let from = fields["q"][name].as_i64().unwrap_or(0);
            fields["q"][name] = json!(from + delta);
            fields.entry("at").or_insert_with(|| json!({}))[name] = json!(at);
        }
        if name == "available" {
            self.fire("inventory_levels/update", "InventoryLevel", level);
        }
    }

    /// All levels of an item, by location.
    pub fn levels_of(&self, item: u64) -> Vec<(u64, u64)> {
        let range = self.levels.range((item, 0)..=(item, u64::MAX));
        range.map(|((_, location), level)| (*location, *level)).collect()
    }

    pub fn available(&self, item: u64) -> i64 {
        self.levels_of(item).iter().map(|(_, level)| self.quantity(*level, "available")).sum()
    }

    /// `quantities(names:)` of a level; the client has read them.
    pub fn show_quantities(&mut self, level: u64, names: &[String]) -> Answer<Value> {
        let known = |n: &String| n == "on_hand" || STORED.contains(&n.as_str());
        if let Some(other) = names.iter().find(|name| !known(name)) {
            return Err(Fail::bad_request(format!("Invalid inventory quantity name: {other}")));
        }
        self.note_stock_read(level);
        let row = self.store.get("InventoryLevel", level);
        let list = names.iter().map(|name| {
            // A figure that was never set has no date.
            let at = row.and_then(|row| row.fields.get("at")?.get(name.as_str()).cloned());
            json!({
                "id": format!("gid://shopify/InventoryQuantity/{level}?name={name}"),
                "name": name, "quantity": self.quantity(level, name), "updatedAt": at,
            })
        });
        Ok(list.collect())
    }

    pub fn inventory_set(&mut self, args: &Object) -> Answer<Value> {
        let Some(input) = map(args, "input") else { return Ok(Value::Null) };
        let name = text(input, "name").unwrap_or("").to_owned();
        let mut errors = common(input);
        if !matches!(name.as_str(), "available" | "on_hand") {
            let message = "The quantity name must be either 'available' or 'on_hand'.";
            errors.push(UserError::new(&["input", "name"], "INVALID_NAME", message));
        }
        let mut steps = Vec::new();
        for (at, row) in items(input, "quantities").iter().filter_map(Value::as_object).enumerate()
        {
            if !row.contains_key("changeFromQuantity") {
                let message = "changeFromQuantity is required for each quantity; null skips the \
                               comparison";
                return Err(Fail::bad_request(message));
            }
            let wanted = whole(row, "quantity").unwrap_or(0);
            let place = ["input", "quantities"];
            match self.step(row, &name, at, &place, "quantity") {
                Ok((mut step, current)) => {
                    step.delta = wanted - current;
                    errors.extend(range(wanted, at, &place, "quantity"));
                    step.after = wanted;
                    steps.push(step);
                }
                Err(error) => errors.push(error),
            }
        }
        errors.extend(doubled(&steps, &["input", "quantities"]));
        if !errors.is_empty() {
            return Ok(refused(&errors));
        }
        Ok(self.apply(steps, input))
    }

    pub fn inventory_adjust(&mut self, args: &Object) -> Answer<Value> {
        let Some(input) = map(args, "input") else { return Ok(Value::Null) };
        let name = text(input, "name").unwrap_or("").to_owned();
        let mut errors = common(input);
        if name != "available" {
            let message = "The twin adjusts 'available' only.";
            errors.push(UserError::new(&["input", "name"], "INVALID_QUANTITY_NAME", message));
        }
        let mut steps = Vec::new();
        for (at, row) in items(input, "changes").iter().filter_map(Value::as_object).enumerate() {
            if !row.contains_key("changeFromQuantity") {
                let message = "changeFromQuantity is required for each change; null skips the \
                               comparison";
                return Err(Fail::bad_request(message));
            }
            let place = ["input", "changes"];
            match self.step(row, &name, at, &place, "delta") {
                Ok((mut step, current)) => {
                    step.delta = whole(row, "delta").unwrap_or(0);
                    step.after = current + step.delta;
                    errors.extend(range(step.after, at, &place, "delta"));
                    steps.push(step);
                }
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Ok(refused(&errors));
        }
        Ok(self.apply(steps, input))
    }

    fn step(
        &self,
        row: &Object,
        name: &str,
        at: usize,
        place: &[&str],
        _field: &str,
    ) -> Result<(Step, i64), UserError> {
        let item = number(text(row, "inventoryItemId").unwrap_or(""), "InventoryItem");
        let location = number(text(row, "locationId").unwrap_or(""), "Location");
        if self.store.get("InventoryItem", item).is_none() {
            let message = "The specified inventory item could not be found.";
            let field = ["inventoryItemId"];
            return Err(UserError::at(place, at, &field, "INVALID_INVENTORY_ITEM", message));
        }
        if self.store.get("Location", location).is_none_or(|l| !l.flag("isActive")) {
            let message = "The specified location could not be found.";
            return Err(UserError::at(place, at, &["locationId"], "INVALID_LOCATION", message));
        }
        let level = self.level(item, location);
        let current = level.map_or(0, |level| self.quantity(level, name));
        if let Some(expected) = whole(row, "changeFromQuantity")
            && expected != current
        {
            let message =
                "The changeFromQuantity argument no longer matches the persisted quantity.";
            let field = ["changeFromQuantity"];
            return Err(UserError::at(place, at, &field, "CHANGE_FROM_QUANTITY_STALE", message));
        }
        Ok((Step { level, item, location, delta: 0, after: 0 }, current))
    }

    fn apply(&mut self, steps: Vec<Step>, input: &Object) -> Value {
        let name = text(input, "name").unwrap_or("available").to_owned();
        let mut changes = Vec::new();
        for step in steps {
            let Step { item, location, delta, after, .. } = step;
            let level = step.level.unwrap_or_else(|| self.level_or_new(item, location));
            let from = self.quantity(level, "available");
            self.note_raise(level, from, from + delta);
            self.move_quantity(level, "available", delta);
            if delta == 0 {
                continue;
            }
            let on_hand = self.quantity(level, "on_hand");
            let available = self.quantity(level, "available");
            for (of, figure) in [("available", available), ("on_hand", on_hand)] {
                let figure = if of == name { after } else { figure };
                changes.push(json!({
                    "name": of, "delta": delta, "quantityAfterChange": figure,
                    "ledgerDocumentUri": null, "item": gid("InventoryItem", item),
                    "location": gid("Location", location),
                }));
            }
        }
        if changes.is_empty() {
            return json!({ "inventoryAdjustmentGroup": null, "userErrors": [] });
        }
        let group = self.add(
            "InventoryAdjustmentGroup",
            json!({
                "reason": input.get("reason"), "changes": changes,
                "referenceDocumentUri": input.get("referenceDocumentUri"),
                "app": super::resolve::app(),
            }),
        );
        json!({
            "inventoryAdjustmentGroup": gid("InventoryAdjustmentGroup", group), "userErrors": [],
        })
    }

    /// No codes here: the payload's errors are plain ones.
    pub fn inventory_activate(&mut self, args: &Object) -> Answer<Value> {
        let item = number(text(args, "inventoryItemId").unwrap_or(""), "InventoryItem");
        let location = number(text(args, "locationId").unwrap_or(""), "Location");
        let given = (whole(args, "available"), whole(args, "onHand"));
        let refuse =
            |field: &str, message: &str| Ok(refused(&[UserError::new(&[field], "", message)]));
        if self.store.get("InventoryItem", item).is_none() {
            return refuse(
                "inventoryItemId",
                "The product couldn't be stocked because it doesn't exist.",
            );
        }
        if self.store.get("Location", location).is_none_or(|l| !l.flag("isActive")) {
            return refuse("locationId", "The location couldn't be found.");
        }
        let there = self.level(item, location).is_some();
        if there && given != (None, None) {
            let message = "Not allowed to set available quantity when the item is already active at the location.";
            return refuse("available", message);
        }
        let level = self.level_or_new(item, location);
        let wanted = given.0.or(given.1).unwrap_or(0);
        if !there {
            self.move_quantity(level, "available", wanted);
        }
        Ok(json!({ "inventoryLevel": gid("InventoryLevel", level), "userErrors": [] }))
    }

    pub fn item_update(&mut self, args: &Object) -> Answer<Value> {
        let id = number(text(args, "id").unwrap_or(""), "InventoryItem");
        if self.store.get("InventoryItem", id).is_none() {
            let error = UserError::new(
                &["id"],
                "",
                "The product couldn't be updated because it does not exist.",
            );
            return Ok(refused(&[error]));
        }
        let input = map(args, "input").cloned().unwrap_or_default();
        self.write_item(id, &input);
        self.fire("inventory_items/update", "InventoryItem", id);
        Ok(json!({ "inventoryItem": gid("InventoryItem", id), "userErrors": [] }))
    }

    /// Puts what an `InventoryItemInput` gives; the SKU is the variant's.
    pub fn write_item(&mut self, id: u64, input: &Object) {
        let currency = self.settings.currency.clone();
        let given = input.clone();
        let Some(fields) = self.edit("InventoryItem", id) else { return };
        for name in [
            "tracked",
            "requiresShipping",
            "countryCodeOfOrigin",
            "provinceCodeOfOrigin",
            "harmonizedSystemCode",
        ] {
            if let Some(value) = given.get(name) {
                fields.insert(name.to_owned(), value.clone());
            }
        }
        if let Some(cost) = given.get("cost") {
            let cost = super::money::given(Some(cost));
            let shown = cost.map_or(Value::Null, |c| super::money::v2(c, &currency));
            fields.insert("unitCost".to_owned(), shown);
        }
        if let Some(weight) = given.get("measurement").and_then(|m| m.get("weight")) {
            fields.insert("weight".to_owned(), weight.clone());
        }
        let variant = tail(fields.get("variant").and_then(Value::as_str).unwrap_or(""));
        if let Some(sku) = given.get("sku")
            && let Some(fields) = self.edit("ProductVariant", variant)
        {
            fields.insert("sku".to_owned(), sku.clone());
        }
    }

    /// A new item for a variant, stocked where the shop first keeps things.
    pub fn new_item(&mut self, variant: u64) -> u64 {
        self.add(
            "InventoryItem",
            object_value(json!({
                "variant": gid("ProductVariant", variant), "tracked": false,
                "requiresShipping": true, "unitCost": null, "countryCodeOfOrigin": null,
                "provinceCodeOfOrigin": null, "harmonizedSystemCode": null, "weight": null,
            })),
        )
    }
}

fn object_value(value: Value) -> Value {
    Value::Object(object(value))
}

/// What both writes check: the reason, and the document that is referred to.
fn common(input: &Object) -> Vec<UserError> {
    let mut errors = Vec::new();
    let reason = text(input, "reason").unwrap_or("");
    if !REASONS.contains(&reason) {
        let message = "The specified reason is invalid.";
        errors.push(UserError::new(&["input", "reason"], "INVALID_REASON", message));
    }
    if let Some(uri) = text(input, "referenceDocumentUri")
        && !uri.contains("://")
    {
        let message = "The specified reference document is invalid.";
        let field = ["input", "referenceDocumentUri"];
        errors.push(UserError::new(&field, "INVALID_REFERENCE_DOCUMENT", message));
    }
    errors
}

fn range(figure: i64, at: usize, place: &[&str], field: &str) -> Option<UserError> {
    let (code, message) = match figure {
        f if f > LIMIT => {
            ("INVALID_QUANTITY_TOO_HIGH", "The total quantity can't be higher than 1,000,000,000.")
        }
        f if f < -LIMIT => {
            ("INVALID_QUANTITY_TOO_LOW", "The total quantity can't be lower than -1,000,000,000.")
        }
        _ => return None,
    };
    Some(UserError::at(place, at, &[field], code, message))
}

fn doubled(steps: &[Step], place: &[&str]) -> Vec<UserError> {
    let mut errors = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let same = |other: &Step| (other.item, other.location) == (step.item, step.location);
        if steps[..at].iter().any(same) {
            let code = "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR";
            let message = "The combination of inventoryItemId and locationId must be unique.";
            errors.push(UserError::at(place, at, &[], code, message));
        }
    }
    errors
}
