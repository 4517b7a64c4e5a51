//! Customers: upserted, changed, merged; e-mail and phone are unique in a shop.
//!
//! Reads   the inputs of the `customer…` mutations.
//! Writes  customers.
//! Never   keeps an address that a given list leaves out.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::coerce::{items, map, text, texts};
use super::execute::Out;
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number};
use super::money;
use super::shop::Shop;
use super::store::Object;

const SCALARS: &[&str] =
    &["email", "phone", "firstName", "lastName", "note", "locale", "taxExempt"];

/// An address as the shop shows it.
pub fn address(id: u64, given: &Object) -> Value {
    let of = |name: &str| given.get(name).cloned().unwrap_or(Value::Null);
    let plain = |name: &str| text(given, name).unwrap_or("");
    let name = format!("{} {}", plain("firstName"), plain("lastName")).trim().to_owned();
    let country = given.get("countryCode").or_else(|| given.get("country")).cloned();
    json!({
        "id": gid("MailingAddress", id), "firstName": of("firstName"), "lastName": of("lastName"),
        "name": name, "company": of("company"), "address1": of("address1"),
        "address2": of("address2"), "city": of("city"), "zip": of("zip"), "phone": of("phone"),
        "provinceCode": of("provinceCode"),
        "province": given.get("province").cloned().unwrap_or_else(|| of("provinceCode")),
        "country": country, "countryCodeV2": country,
    })
}

impl Shop {
    fn taken(&self, id: Option<u64>, input: &Object) -> Option<(&'static str, &'static str)> {
        for (name, message) in
            [("email", "Email has already been taken"), ("phone", "Phone has already been taken")]
        {
            let holder = text(input, name).and_then(|v| self.by_text("Customer", name, v));
            if holder.is_some() && holder != id {
                return Some((name, message));
            }
        }
        None
    }

    fn bad(input: &Object) -> Option<(&'static str, &'static str, &'static str)> {
        if text(input, "email").is_some_and(|e| !e.contains('@')) {
            return Some(("email", "INVALID", "Email is invalid"));
        }
        let named = ["email", "phone", "firstName", "lastName"];
        let blank = named.iter().all(|n| text(input, n).is_none_or(str::is_empty));
        blank.then_some(("", "BLANK", "A name, phone number, or email address must be present"))
    }

    fn write_customer(&mut self, found: Option<u64>, input: &Object) -> u64 {
        let id = found.unwrap_or_else(|| {
            self.add(
                "Customer",
                json!({
                    "email": null, "phone": null, "firstName": null, "lastName": null,
                    "note": null, "locale": "en", "taxExempt": false, "tags": [],
                    "addresses": [], "state": "DISABLED", "verifiedEmail": true, "_metafields": [],
                }),
            )
        });
        let own = gid("Customer", id);
        for name in SCALARS {
            if let Some(value) = input.get(*name) {
                self.put(&own, name, value.clone());
            }
        }
        if input.get("tags").is_some_and(Value::is_array) {
            self.put(&own, "tags", super::product_write::tags(&texts(input, "tags")));
        }
        if let Some(list) = input.get("addresses").and_then(Value::as_array) {
            let made = list.iter().filter_map(Value::as_object);
            let made: Vec<Value> = made.map(|a| address(self.next_id(), a)).collect();
            self.put(&own, "addresses", json!(made));
        }
        for item in items(input, "metafields").iter().filter_map(Value::as_object) {
            self.put_metafield(&own, item);
        }
        let topic = if found.is_some() { "customers/update" } else { "customers/create" };
        self.fire(topic, "Customer", id);
        id
    }

    pub fn customer_set(&mut self, args: &Object) -> Answer<Value> {
        let mut input = map(args, "input").cloned().unwrap_or_default();
        let refuse = |field: &[&str], code: &'static str, message: &str| {
            Ok(refused(&[UserError::new(field, code, message)]))
        };
        let mut found = None;
        if let Some(identifier) = map(args, "identifier") {
            if let Some(id) = text(identifier, "id") {
                let id = number(id, "Customer");
                if self.store.get("Customer", id).is_none() {
                    return refuse(&["identifier", "id"], "NOT_FOUND", "Customer does not exist");
                }
                found = Some(id);
            } else if let Some(custom) = map(identifier, "customId") {
                found = self.by_custom_id("Customer", custom);
                if found.is_none() {
                    let message = "No customer has this custom id";
                    return refuse(&["identifier", "customId"], "NOT_FOUND", message);
                }
            }
            for name in ["email", "phone"] {
                let Some(wanted) = text(identifier, name) else { continue };
                if text(&input, name).is_none_or(|given| !given.eq_ignore_ascii_case(wanted)) {
                    let message = "The identifier value does not match the value of the \
                                   corresponding field in the input.";
                    return refuse(&["input", name], "INPUT_MISMATCH", message);
                }
                found = self.by_text("Customer", name, wanted);
            }
        }
        if let Some((field, message)) = self.taken(found, &input) {
            return refuse(&["input", field], "TAKEN", message);
        }
        if found.is_none()
            && let Some((field, code, message)) = Self::bad(&input)
        {
            let place: &[&str] = if field.is_empty() { &["input"] } else { &["input", field] };
            return refuse(place, code, message);
        }
        input.remove("metafields");
        let id = self.write_customer(found, &input);
        Ok(json!({ "customer": gid("Customer", id), "userErrors": [] }))
    }

    pub fn customer_create(&mut self, args: &Object) -> Answer<Value> {
        let input = map(args, "input").cloned().unwrap_or_default();
        if let Some((field, _, message)) = Self::bad(&input) {
            return Ok(refused(&[UserError::new(&[field], "", message)]));
        }
        if let Some((field, message)) = self.taken(None, &input) {
            return Ok(refused(&[UserError::new(&[field], "", message)]));
        }
        let id = self.write_customer(None, &input);
        Ok(json!({ "customer": gid("Customer", id), "userErrors": [] }))
    }

    pub fn customer_update(&mut self, args: &Object) -> Answer<Value> {
        let input = map(args, "input").cloned().unwrap_or_default();
        let id = number(text(&input, "id").unwrap_or(""), "Customer");
        if self.store.get("Customer", id).is_none() {
            return Ok(refused(&[UserError::new(&["id"], "", "Customer does not exist")]));
        }
        if let Some((field, message)) = self.taken(Some(id), &input) {
            return Ok(refused(&[UserError::new(&[field], "", message)]));
        }
        self.write_customer(Some(id), &input);
        Ok(json!({ "customer": gid("Customer", id), "userErrors": [] }))
    }

    pub fn customer_delete(&mut self, args: &Object) -> Answer<Value> {
        let own = map(args, "input").and_then(|i| text(i, "id")).unwrap_or("").to_owned();
        let id = number(&own, "Customer");
        if self.store.get("Customer", id).is_none() {
            return Ok(refused(&[UserError::new(&["id"], "", "Customer can't be found")]));
        }
        if self.orders_of(id).next().is_some() {
            let message = "Customer can't be deleted because they have associated orders";
            return Ok(refused(&[UserError::new(&["id"], "", message)]));
        }
        self.store.remove("Customer", id);
        self.fire_deleted("customers/delete", "Customer", id);
        Ok(json!({ "deletedCustomerId": own, "userErrors": [] }))
    }

    pub fn customer_merge(&mut self, args: &Object) -> Answer<Value> {
        let one = number(text(args, "customerOneId").unwrap_or(""), "Customer");
        let two = number(text(args, "customerTwoId").unwrap_or(""), "Customer");
        let missing = [one, two].iter().any(|id| self.store.get("Customer", *id).is_none());
        if missing || one == two {
            let (code, message) = ("INVALID_CUSTOMER", "Customer does not exist or is the same");
            return Ok(refused(&[UserError::new(&["customerOneId"], code, message)]));
        }
        let kept = self.merge(one, two);
        let job = self.next_id();
        Ok(json!({
            "resultingCustomerId": gid("Customer", kept),
            "job": { "id": gid("Job", job), "done": false }, "userErrors": [],
        }))
    }

    /// The second one is kept and takes what the first had; the first is gone.
    pub fn merge(&mut self, gone: u64, kept: u64) -> u64 {
        let Some(row) = self.store.get("Customer", gone).cloned() else { return kept };
        let own = gid("Customer", kept);
        for name in SCALARS {
            let there = self.stored("Customer", kept, name);
            if there.is_null() {
                self.put(&own, name, row.fields.get(*name).cloned().unwrap_or_default());
            }
        }
        let mut tags =
            self.store.get("Customer", kept).map(|c| c.texts("tags")).unwrap_or_default();
        tags.extend(row.texts("tags"));
        self.put(&own, "tags", super::product_write::tags(&tags));
        let orders: Vec<u64> = self.orders_of(gone).collect();
        for order in orders {
            self.put(&gid("Order", order), "customer", json!(own));
        }
        self.store.remove("Customer", gone);
        self.fire("customers/update", "Customer", kept);
        let payload = json!({
            "admin_graphql_api_customer_kept_id": own,
            "admin_graphql_api_customer_deleted_id": gid("Customer", gone),
            "admin_graphql_api_job_id": null, "status": "completed", "errors": [],
        });
        self.enqueue("customers/merge", kept, &payload);
        self.fire_deleted("customers/delete", "Customer", gone);
        kept
    }

    /// For an order: found by id, e-mail or phone, or new.
    pub fn upsert_customer(&mut self, input: &Object) -> u64 {
        let by_id = text(input, "id").map(|id| number(id, "Customer"));
        let found = by_id
            .filter(|id| self.store.get("Customer", *id).is_some())
            .or_else(|| self.by_text("Customer", "email", text(input, "email")?))
            .or_else(|| self.by_text("Customer", "phone", text(input, "phone")?));
        self.write_customer(found, input)
    }

    fn orders_of(&self, customer: u64) -> impl Iterator<Item = u64> + '_ {
        let own = gid("Customer", customer);
        self.store.all("Order").filter(move |o| o.text("customer") == own).map(|o| o.id)
    }

    pub fn of_customer(&mut self, id: u64, name: &str, args: &Object) -> Option<Out> {
        let row = self.store.get("Customer", id)?.clone();
        let orders: Vec<u64> = self.orders_of(id).collect();
        let value = match name {
            "displayName" => {
                let name = format!("{} {}", row.text("firstName"), row.text("lastName"));
                let name = name.trim().to_owned();
                json!(if name.is_empty() { row.text("email").to_owned() } else { name })
            }
            "defaultEmailAddress" => match row.text("email") {
                "" => Value::Null,
                email => json!({
                    "emailAddress": email, "marketingState": "NOT_SUBSCRIBED", "validFormat": true,
                }),
            },
            "defaultPhoneNumber" => match row.text("phone") {
                "" => Value::Null,
                phone => json!({ "phoneNumber": phone, "marketingState": "NOT_SUBSCRIBED" }),
            },
            "defaultAddress" => row.list("addresses").first().cloned().unwrap_or_default(),
            "addresses" => Self::first_of(json!(row.list("addresses")), args),
            "addressesV2" => json!(row.list("addresses")),
            "numberOfOrders" => json!(orders.len().to_string()),
            "amountSpent" => {
                let sum: Decimal = orders
                    .iter()
                    .map(|o| money::of_bag(&self.stored("Order", *o, "netPaymentSet")))
                    .sum();
                self.money(sum)
            }
            "lastOrder" => orders.last().map_or(Value::Null, |o| json!(gid("Order", *o))),
            "orders" => return Some(Out::List(self.related("Order", &orders, name, args))),
            _ => return None,
        };
        Some(value.into())
    }
}
