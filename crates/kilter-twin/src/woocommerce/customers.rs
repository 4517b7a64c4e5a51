//! Customers.
//!
//! Reads   the body of a call.
//! Writes  customers; fires webhooks.
//! Never   checks a country, a state or a postcode: the platform does not either.

use serde_json::{Value, json};

use super::api::{Answer, Fail, Object, id_of, loose_text};
use super::model::{Meta, Plain, merge_meta, show_meta};
use super::shop::{ALL, Shop, object};

pub fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c);
    !name.is_empty()
        && name.chars().all(allowed)
        && host.contains('.')
        && host.split('.').all(|part| !part.is_empty())
        && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

impl Shop {
    pub fn create_customer(&mut self, body: &Object, batch: bool) -> Answer<u64> {
        let email = body.get("email").map(loose_text);
        if email.is_none() && !batch {
            let message = "Missing parameter(s): email";
            return Err(Fail::new(400, "rest_missing_callback_param", message)
                .with("params", json!(["email"])));
        }
        let email = email.unwrap_or_default();
        self.free_email(&email, 0)?;
        let now = self.now();
        let local = email.split('@').next().unwrap_or("").to_lowercase();
        let username: String = local
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
            .collect();
        let mut fields = object(json!({
            "email": email, "first_name": "", "last_name": "", "role": "customer",
            "username": username, "billing": {}, "shipping": {},
        }));
        for name in ["billing", "shipping"] {
            let mut address = Object::new();
            for key in [
                "first_name",
                "last_name",
                "company",
                "address_1",
                "address_2",
                "city",
                "postcode",
                "country",
                "state",
                "email",
                "phone",
            ] {
                if key != "email" || name == "billing" {
                    address.insert(key.to_owned(), json!(""));
                }
            }
            fields.insert(name.to_owned(), Value::Object(address));
        }
        let id = match id_of(body.get("_id")) {
            0 => self.ids.user + 1,
            explicit => explicit,
        };
        self.ids.user = self.ids.user.max(id);
        self.ids.meta += 1;
        let nag =
            Meta { id: self.ids.meta, key: "default_password_nag".to_owned(), value: json!("1") };
        let customer = Plain { id, owner: 0, fields, meta: vec![nag], created: now, modified: now };
        self.customers.insert(id, customer);
        self.merge_customer(id, body);
        self.fire("customer.created", id);
        self.fire("customer.updated", id);
        Ok(id)
    }

    fn free_email(&self, email: &str, own: u64) -> Answer<()> {
        if !is_email(email) {
            return Err(Fail::new(400, "customer_invalid_email", "Invalid email address"));
        }
        let same = |c: &&Plain| c.id != own && c.field("email").eq_ignore_ascii_case(email);
        if self.customers.values().find(same).is_none() {
            return Ok(());
        }
        let message = format!(
            "An account is already registered with {}. Please log in or use a different email \
             address.",
            email.replace('\'', "&#039;")
        );
        Err(Fail::new(400, "registration-error-email-exists", &message))
    }

    fn merge_customer(&mut self, id: u64, body: &Object) {
        let Some(mut customer) = self.customers.remove(&id) else { return };
        for name in ["email", "first_name", "last_name"] {
            if let Some(value) = body.get(name) {
                customer.fields.insert(name.to_owned(), json!(loose_text(value)));
            }
        }
        for name in ["billing", "shipping"] {
            let Some(given) = body.get(name).and_then(Value::as_object) else { continue };
            let Some(Value::Object(address)) = customer.fields.get_mut(name) else { continue };
            for (key, value) in given {
                if address.contains_key(key) {
                    address.insert(key.clone(), json!(loose_text(value)));
                }
            }
        }
        merge_meta(&mut customer.meta, body.get("meta_data"), &mut self.ids.meta);
        self.customers.insert(id, customer);
    }

    pub fn update_customer(&mut self, id: u64, body: &Object) -> Answer<()> {
        let now = self.now();
        let Some(customer) = self.customers.get_mut(&id) else {
            return Err(Fail::new(400, "woocommerce_rest_invalid_id", "Invalid resource ID."));
        };
        customer.modified = now;
        if let Some(email) = body.get("email").map(loose_text) {
            self.free_email(&email, id)?;
        }
        self.merge_customer(id, body);
        self.fire("customer.updated", id);
        Ok(())
    }

    pub fn delete_customer(&mut self, id: u64, force: bool) -> Answer<()> {
        if !force {
            let message = "Customers do not support trashing.";
            return Err(Fail::new(501, "woocommerce_rest_trash_not_supported", message));
        }
        if self.customers.remove(&id).is_none() {
            return Err(Fail::new(400, "woocommerce_rest_invalid_id", "Invalid resource ID."));
        }
        self.fire("customer.deleted", id);
        Ok(())
    }

    pub fn show_customer(&self, customer: &Plain) -> Value {
        let mut out = customer.fields.clone();
        self.put_dates(&mut out, "date_created", Some(customer.created));
        self.put_dates(&mut out, "date_modified", Some(customer.modified));
        let paying = self.orders.values().any(|o| o.customer_id == customer.id && o.paid.is_some());
        out.append(&mut object(json!({
            "id": customer.id, "is_paying_customer": paying,
            "avatar_url": "https://secure.gravatar.com/avatar/0?s=96&d=mm&r=g",
            "meta_data": show_meta(&customer.meta),
            "_links": self.links(&format!("customers/{}", customer.id), "customers", ALL),
        })));
        Value::Object(out)
    }
}
