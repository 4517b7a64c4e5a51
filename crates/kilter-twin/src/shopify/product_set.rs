//! `productSet`: a product as it should be, lists as a whole.
//!
//! Reads   the input; the product it names, if there is one.
//! Writes  the product, its variants, files, metafields, collections, stock.
//! Never   keeps what a given list leaves out, never touches a list that is not given.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::coerce::{items, map, text, texts};
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number};
use super::shop::Shop;
use super::store::Object;

pub const VARIANTS_MAX: usize = 2048;
pub const OPTIONS_MAX: usize = 3;
const QUANTITIES_MAX: usize = 50_000;

/// Name of an option and the names of its values.
pub type Options = Vec<(String, Vec<String>)>;

impl Shop {
    pub fn product_set(&mut self, args: &Object) -> Answer<Value> {
        let Some(input) = map(args, "input").cloned() else { return Ok(Value::Null) };
        let found = match self.identified(args, &input) {
            Ok(found) => found,
            Err(error) => return Ok(refused(&[error])),
        };
        let errors = self.check_set(found, &input);
        if !errors.is_empty() {
            return Ok(refused(&errors));
        }
        let wait = args.get("synchronous") == Some(&json!(false));
        if wait {
            let due = self.now() + self.settings.job_ms;
            let operation = self.add(
                "ProductSetOperation",
                json!({
                    "status": "CREATED", "product": found.map(|id| gid("Product", id)),
                    "userErrors": [], "_due": due, "_args": args,
                }),
            );
            let operation = gid("ProductSetOperation", operation);
            return Ok(json!({
                "product": null, "productSetOperation": operation, "userErrors": [],
            }));
        }
        let id = self.set_product(found, args, &input);
        Ok(json!({ "product": gid("Product", id), "productSetOperation": null, "userErrors": [] }))
    }

    /// The product that is meant; `None`: it is to be created.
    fn identified(&self, args: &Object, input: &Object) -> Result<Option<u64>, UserError> {
        let Some(identifier) = map(args, "identifier") else { return Ok(None) };
        if let Some(id) = text(identifier, "id") {
            let id = number(id, "Product");
            return match self.store.get("Product", id) {
                Some(_) => Ok(Some(id)),
                None => Err(UserError::new(
                    &["identifier", "id"],
                    "PRODUCT_DOES_NOT_EXIST",
                    "Product does not exist",
                )),
            };
        }
        if let Some(handle) = text(identifier, "handle") {
            if text(input, "handle").is_some_and(|given| given != handle) {
                return Err(UserError::new(
                    &["identifier", "handle"],
                    "INPUT_MISMATCH",
                    "The identifier value does not match the value of the corresponding field in \
                     the input.",
                ));
            }
            return Ok(self.by_text("Product", "handle", handle));
        }
        let Some(custom) = map(identifier, "customId") else { return Ok(None) };
        let ns = super::metafields::namespace(text(custom, "namespace"));
        let wanted = json!({
            "ownerType": "PRODUCT", "namespace": ns, "key": custom.get("key"),
        });
        let definition = self.definition(wanted.as_object());
        if definition.is_null() {
            return Err(UserError::new(
                &["identifier", "customId"],
                "METAFIELD_MISMATCH",
                "No metafield definition of type id with this namespace and key.",
            ));
        }
        Ok(self.by_custom_id("Product", custom))
    }

    fn check_set(&self, found: Option<u64>, input: &Object) -> Vec<UserError> {
        let mut errors = Vec::new();
        let mut fail = |field: &[&str], code: &'static str, message: &str| {
            errors.push(UserError::new(field, code, message));
        };
        let titled = text(input, "title").is_some_and(|title| !title.trim().is_empty());
        if !titled && (found.is_none() || input.contains_key("title")) {
            fail(&["input", "title"], "MISSING_FIELD_REQUIRED", "Title can't be blank");
        }
        if let Some(handle) = text(input, "handle")
            && self.by_text("Product", "handle", handle).is_some_and(|id| Some(id) != found)
        {
            let message = "Handle already in use. Please provide a new handle.";
            fail(&["input", "handle"], "HANDLE_NOT_UNIQUE", message);
        }
        let given = |name: &str| input.get(name).is_some_and(|v| !v.is_null());
        match (given("productOptions"), given("variants")) {
            (false, true) => {
                let message = "Product options input is required when updating variants.";
                fail(&["input", "productOptions"], "PRODUCT_OPTIONS_INPUT_MISSING", message);
            }
            (true, false) => {
                let message = "Variants input is required when updating product options.";
                fail(&["input", "variants"], "VARIANTS_INPUT_MISSING", message);
            }
            _ => {}
        }
        if items(input, "productOptions").len() > OPTIONS_MAX {
            let message = "Can only specify a maximum of 3 options";
            fail(&["input", "productOptions"], "OPTIONS_OVER_LIMIT", message);
        }
        let variants = items(input, "variants");
        if variants.len() > VARIANTS_MAX {
            let message = "The input exceeds the maximum of 2048 variants.";
            fail(&["input", "variants"], "VARIANTS_OVER_LIMIT", message);
        }
        let rows = variants.iter().filter_map(Value::as_object);
        let rows: usize = rows.map(|v| items(v, "inventoryQuantities").len()).sum();
        if rows > QUANTITIES_MAX {
            let message = "The input exceeds the maximum of 50000 inventory quantities.";
            fail(&["input", "variants"], "INVENTORY_QUANTITIES_LIMIT_EXCEEDED", message);
        }
        if errors.is_empty() {
            let options = read_options(items(input, "productOptions"));
            check_options(&options, &mut errors);
            self.check_variants(found, &options, variants, &mut errors);
            self.check_lists(input, &mut errors);
        }
        errors
    }

    fn check_variants(
        &self,
        found: Option<u64>,
        options: &Options,
        variants: &[Value],
        errors: &mut Vec<UserError>,
    ) {
        let mut seen = BTreeSet::new();
        let place = ["input", "variants"];
        for (at, variant) in variants.iter().filter_map(Value::as_object).enumerate() {
            if let Some(id) = text(variant, "id") {
                let own = self.store.find(id).filter(|(kind, row)| {
                    *kind == "ProductVariant"
                        && found.is_some_and(|f| row.text("product") == gid("Product", f))
                });
                if own.is_none() {
                    let code = "PRODUCT_VARIANT_DOES_NOT_EXIST";
                    let message = "Product variant does not exist";
                    errors.push(UserError::at(&place, at, &["id"], code, message));
                }
            }
            let values = chosen(options, items(variant, "optionValues"));
            match values {
                Ok(values) => {
                    if !seen.insert(values.clone()) {
                        let message =
                            format!("The variant '{}' already exists.", values.join(" / "));
                        errors.push(UserError::at(&place, at, &[], "INVALID_VARIANT", message));
                    }
                }
                Err((code, message)) => {
                    errors.push(UserError::at(&place, at, &["optionValues"], code, message));
                }
            }
            let price = super::money::given(variant.get("price"));
            if price.is_some_and(|p| p.is_sign_negative()) {
                let message = "Price must be greater than or equal to 0";
                errors.push(UserError::at(&place, at, &["price"], "INVALID_VARIANT", message));
            }
            for row in items(variant, "inventoryQuantities").iter().filter_map(Value::as_object) {
                let location = number(text(row, "locationId").unwrap_or(""), "Location");
                let named = matches!(text(row, "name"), Some("available" | "on_hand"));
                if self.store.get("Location", location).is_none() || !named {
                    let message = "Inventory quantity name or location is invalid.";
                    let field = ["inventoryQuantities"];
                    errors.push(UserError::at(&place, at, &field, "INVALID_INPUT", message));
                }
            }
        }
    }

    fn check_lists(&self, input: &Object, errors: &mut Vec<UserError>) {
        for id in texts(input, "collections") {
            if self.store.get("Collection", number(&id, "Collection")).is_none() {
                let message = "Collection does not exist";
                errors.push(UserError::new(&["input", "collections"], "NOT_FOUND", message));
            }
        }
        for (at, file) in items(input, "files").iter().filter_map(Value::as_object).enumerate() {
            let there = text(file, "id").is_none_or(|id| self.store.find(id).is_some());
            let named = text(file, "id").is_some() || text(file, "originalSource").is_some();
            if !there || !named {
                let message = "File id or original source is invalid.";
                errors.push(UserError::at(&["input", "files"], at, &[], "INVALID_INPUT", message));
            }
        }
    }

    /// Does what was checked; answers the product.
    pub fn set_product(&mut self, found: Option<u64>, args: &Object, input: &Object) -> u64 {
        let mut input = input.clone();
        let identifier = map(args, "identifier").cloned().unwrap_or_default();
        if let Some(handle) = text(&identifier, "handle") {
            input.insert("handle".to_owned(), json!(handle));
        }
        let id = found.unwrap_or_else(|| self.new_product(&input));
        self.write_product(id, &input);
        if input.get("productOptions").is_some_and(|v| !v.is_null()) {
            let options = read_options(items(&input, "productOptions"));
            self.set_options(id, &options);
            self.set_variants(id, &options, items(&input, "variants"));
        } else if found.is_none() {
            self.default_variant(id);
        }
        let own = gid("Product", id);
        if let Some(list) = input.get("metafields").and_then(Value::as_array) {
            self.replace_metafields(&own, list);
        }
        if let Some(custom) = map(&identifier, "customId") {
            self.put_metafield(&own, custom);
        }
        if input.get("files").is_some_and(|v| !v.is_null()) {
            let files = self.set_files(items(&input, "files"));
            self.put(&own, "media", json!(files));
        }
        if input.get("collections").is_some_and(|v| !v.is_null()) {
            self.set_collections(id, &texts(&input, "collections"));
        }
        self.product_changed(id, found.is_none());
        id
    }

    /// The variants as a whole: found by id, or by what they are; the rest is gone.
    fn set_variants(&mut self, product: u64, options: &Options, given: &[Value]) {
        let before = self.variants_of(product);
        let mut kept: Vec<u64> = Vec::new();
        let mut sorted: Vec<(i64, u64)> = Vec::new();
        for (at, variant) in given.iter().filter_map(Value::as_object).enumerate() {
            let Ok(values) = chosen(options, items(variant, "optionValues")) else { continue };
            let named = text(variant, "id").map(|id| number(id, "ProductVariant"));
            let same = |id: &&u64| self.option_values(**id) == values && !kept.contains(id);
            let found = named.or_else(|| before.iter().find(same).copied());
            let id = found.unwrap_or_else(|| self.new_variant(product));
            self.put_options(id, options, &values);
            self.write_variant(id, variant);
            kept.push(id);
            let position = super::coerce::whole(variant, "position");
            sorted.push((position.unwrap_or(i64::try_from(at + 1).unwrap_or(i64::MAX)), id));
        }
        for gone in before.into_iter().filter(|id| !kept.contains(id)) {
            self.drop_variant(gone);
        }
        sorted.sort_by_key(|(position, _)| *position);
        let ids: Vec<u64> = sorted.into_iter().map(|(_, id)| id).collect();
        self.order_variants(product, &ids);
    }

    /// Runs the operations that were asked for without waiting.
    pub fn run_product_operations(&mut self) {
        let now = self.now();
        let wait = self.settings.job_ms;
        for id in self.store.ids("ProductSetOperation") {
            let Some(row) = self.store.get("ProductSetOperation", id).cloned() else { continue };
            let due = row.number("_due");
            let status = row.text("status").to_owned();
            if status == "CREATED" && now >= due - wait / 2 {
                self.put(&gid("ProductSetOperation", id), "status", json!("ACTIVE"));
            }
            if status == "COMPLETE" || now < due {
                continue;
            }
            let args = row.fields.get("_args").and_then(Value::as_object).cloned();
            let args = args.unwrap_or_default();
            let input = map(&args, "input").cloned().unwrap_or_default();
            let own = gid("ProductSetOperation", id);
            let errors = match self.identified(&args, &input) {
                Err(error) => vec![error],
                Ok(found) => {
                    let errors = self.check_set(found, &input);
                    if errors.is_empty() {
                        let product = self.set_product(found, &args, &input);
                        self.put(&own, "product", json!(gid("Product", product)));
                    }
                    errors
                }
            };
            let errors: Vec<Value> = errors.iter().map(UserError::show).collect();
            self.put(&own, "userErrors", json!(errors));
            self.put(&own, "status", json!("COMPLETE"));
        }
    }

    /// One field of a row, by the row's id.
    pub fn put(&mut self, of: &str, name: &str, value: Value) {
        let Some((kind, row)) = self.store.find(of) else { return };
        let id = row.id;
        if let Some(fields) = self.edit(kind, id) {
            fields.insert(name.to_owned(), value);
        }
    }
}

pub fn read_options(list: &[Value]) -> Options {
    let one = |option: &Object| {
        let values = items(option, "values").iter().filter_map(Value::as_object);
        let values = values.filter_map(|v| text(v, "name")).map(str::to_owned).collect();
        (text(option, "name").unwrap_or("").to_owned(), values)
    };
    list.iter().filter_map(Value::as_object).map(one).collect()
}

fn check_options(options: &Options, errors: &mut Vec<UserError>) {
    let place = ["input", "productOptions"];
    for (at, (name, values)) in options.iter().enumerate() {
        if options[..at].iter().any(|(other, _)| other == name) {
            let message = "Duplicated option name.";
            errors.push(UserError::at(&place, at, &["name"], "DUPLICATED_OPTION_NAME", message));
        }
        if values.is_empty() {
            let message = "Option values are missing.";
            errors.push(UserError::at(&place, at, &["values"], "OPTION_VALUES_MISSING", message));
        }
        let distinct: BTreeSet<&String> = values.iter().collect();
        if distinct.len() != values.len() {
            let message = "Duplicated option value.";
            let field = ["values"];
            errors.push(UserError::at(&place, at, &field, "DUPLICATED_OPTION_VALUE", message));
        }
    }
}

/// A variant's value for each option, in the options' order.
pub fn chosen(
    options: &Options,
    given: &[Value],
) -> Result<Vec<String>, (&'static str, &'static str)> {
    let given: Vec<&Object> = given.iter().filter_map(Value::as_object).collect();
    let known = |v: &&Object| {
        options.iter().any(|(name, _)| text(v, "optionName").is_some_and(|given| given == name))
    };
    if !given.iter().all(known) {
        return Err(("OPTION_DOES_NOT_EXIST", "Option does not exist"));
    }
    let mut values = Vec::new();
    for (name, allowed) in options {
        let own = given.iter().find(|v| text(v, "optionName") == Some(name));
        let Some(value) = own.and_then(|v| text(v, "name")) else {
            return Err(("INVALID_VARIANT", "You need to add option values for every option"));
        };
        if !allowed.iter().any(|known| known == value) {
            return Err(("OPTION_VALUE_DOES_NOT_EXIST", "Option value does not exist"));
        }
        values.push(value.to_owned());
    }
    Ok(values)
}
