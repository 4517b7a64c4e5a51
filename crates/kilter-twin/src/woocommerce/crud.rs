//! Create, read, change, delete and batch: the same five for every resource.
//!
//! Reads   one parsed call.
//! Writes  through the resource's own module.
//! Never   rolls a batch back: each item stands alone, the answer is always 200.

use serde_json::{Value, json};

use super::api::{Answer, Fail, Object, Reply, Req, id_of};
use super::shop::Shop;
use super::{check, order_write, product_write};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Res {
    Product,
    /// Variations of a product.
    Variation(u64),
    Order,
    Customer,
    Category,
    Tag,
    Attribute,
    /// Terms of an attribute.
    Term(u64),
    Coupon,
    Webhook,
}

impl Res {
    pub fn collection(self) -> String {
        match self {
            Self::Product => "products".to_owned(),
            Self::Variation(parent) => format!("products/{parent}/variations"),
            Self::Order => "orders".to_owned(),
            Self::Customer => "customers".to_owned(),
            Self::Category => "products/categories".to_owned(),
            Self::Tag => "products/tags".to_owned(),
            Self::Attribute => "products/attributes".to_owned(),
            Self::Term(attribute) => format!("products/attributes/{attribute}/terms"),
            Self::Coupon => "coupons".to_owned(),
            Self::Webhook => "webhooks".to_owned(),
        }
    }

    pub fn missing(self, status: u16) -> Fail {
        let (code, message) = match self {
            Self::Product => ("woocommerce_rest_product_invalid_id", "Invalid ID."),
            Self::Variation(_) => ("woocommerce_rest_product_variation_invalid_id", "Invalid ID."),
            Self::Order if status == 400 => {
                ("woocommerce_rest_shop_order_invalid_id", "ID is invalid.")
            }
            Self::Order => ("woocommerce_rest_shop_order_invalid_id", "Invalid ID."),
            Self::Customer if status == 404 => ("wc_user_invalid_id", "Invalid user ID."),
            Self::Customer => ("woocommerce_rest_invalid_id", "Invalid resource ID."),
            Self::Attribute => ("woocommerce_rest_taxonomy_invalid", "Resource does not exist."),
            Self::Category | Self::Tag | Self::Term(_) => {
                ("woocommerce_rest_term_invalid", "Resource does not exist.")
            }
            Self::Coupon => ("woocommerce_rest_shop_coupon_invalid_id", "Invalid ID."),
            Self::Webhook => ("woocommerce_rest_shop_webhook_invalid_id", "Invalid ID."),
        };
        Fail::new(status, code, message)
    }
}

impl Shop {
    /// One thing as the API shows it; `write` for the answer to a write.
    pub fn show(&self, res: Res, id: u64, write: bool, dp: u32) -> Answer<Value> {
        let missing = || res.missing(404);
        match res {
            Res::Product => {
                self.products.get(&id).map(|p| self.show_product(p, write)).ok_or_else(missing)
            }
            Res::Variation(parent) => {
                let product = self.products.get(&id).filter(|p| p.parent == parent && parent > 0);
                product.map(|p| self.show_variation(p, write)).ok_or_else(missing)
            }
            Res::Order => self.orders.get(&id).map(|o| self.show_order(o, dp)).ok_or_else(missing),
            Res::Customer => {
                self.customers.get(&id).map(|c| self.show_customer(c)).ok_or_else(missing)
            }
            Res::Webhook => {
                self.webhooks.get(&id).map(|w| self.show_webhook(w)).ok_or_else(missing)
            }
            Res::Term(owner) => {
                let term = self.terms.get(&id).filter(|t| t.owner == owner);
                term.map(|t| self.show_simple(res, t)).ok_or_else(missing)
            }
            _ => {
                self.simple(res).get(&id).map(|one| self.show_simple(res, one)).ok_or_else(missing)
            }
        }
    }

    pub fn create(&mut self, res: Res, body: &Object, batch: bool) -> Answer<u64> {
        let body = &self.kept(res, body);
        if let Res::Variation(parent) = res
            && self.products.get(&parent).is_none_or(|p| p.is_variation())
        {
            return Err(Res::Product.missing(404));
        }
        match res {
            Res::Product | Res::Variation(_) => {
                if !batch {
                    check::body(product_write::SCHEMA, &without_parent(res, body))?;
                }
                let parent = if let Res::Variation(parent) = res { parent } else { 0 };
                self.create_product(body, parent)
            }
            Res::Order => {
                if !batch {
                    order_write::validate(body)?;
                }
                self.create_order(body, "rest-api")
            }
            Res::Customer => self.create_customer(body, batch),
            Res::Webhook => self.create_webhook(body),
            _ => self.create_simple(res, body),
        }
    }

    pub fn update(&mut self, res: Res, id: u64, body: &Object, batch: bool) -> Answer<()> {
        let body = &self.kept(res, body);
        match res {
            Res::Product | Res::Variation(_) => {
                if !batch {
                    check::body(product_write::SCHEMA, &without_parent(res, body))?;
                }
                self.check_kind(res, id)?;
                self.update_product(id, body)
            }
            Res::Order => {
                if !batch {
                    order_write::validate(body)?;
                }
                self.update_order(id, body)
            }
            Res::Customer => self.update_customer(id, body),
            Res::Webhook => self.update_webhook(id, body),
            _ => self.update_simple(res, id, body),
        }
    }

    /// A variation is not changed through `/products`, nor under another parent.
    fn check_kind(&self, res: Res, id: u64) -> Answer<()> {
        let product = self.products.get(&id).ok_or_else(|| res.missing(400))?;
        match res {
            Res::Product if product.is_variation() => {
                let message = "To manipulate product variations you should use the \
                               /products/&lt;product_id&gt;/variations/&lt;id&gt; endpoint.";
                Err(Fail::new(404, "woocommerce_rest_invalid_product_id", message))
            }
            Res::Variation(parent) if product.parent != parent => Err(res.missing(400)),
            _ => Ok(()),
        }
    }

    /// Deletes and answers what was there.
    pub fn delete(&mut self, res: Res, id: u64, force: bool, dp: u32) -> Answer<Value> {
        if res == Res::Customer && !force {
            self.delete_customer(id, false)?;
        }
        let shown = match self.show(res, id, true, dp) {
            Err(_) if res == Res::Customer => return Err(res.missing(400)),
            other => other?,
        };
        match res {
            Res::Product => {
                self.check_kind(res, id).and_then(|()| self.delete_product(id, force))?
            }
            Res::Variation(_) => self.delete_product(id, force)?,
            Res::Order => self.delete_order(id, force)?,
            Res::Customer => self.delete_customer(id, force)?,
            Res::Webhook => {
                if !force {
                    let message = "Webhooks do not support trashing.";
                    return Err(Fail::new(501, "woocommerce_rest_trash_not_supported", message));
                }
                self.webhooks.remove(&id);
            }
            _ => self.delete_simple(res, id, force)?,
        }
        Ok(shown)
    }

    /// The body without the fields the fault `keep_old` makes the shop drop.
    fn kept(&self, res: Res, body: &Object) -> Object {
        let mut body = body.clone();
        if !matches!(res, Res::Webhook) && self.audit.by_client {
            body.retain(|name, _| !self.faults.keep_old.contains(name));
        }
        body
    }

    pub fn batch(&mut self, res: Res, req: &Req) -> Answer<Reply> {
        let list = |name: &str| -> Vec<Value> {
            req.body.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let (create, update, delete) = (list("create"), list("update"), list("delete"));
        if create.len() + update.len() + delete.len() > 100 {
            let message = "Unable to accept more than 100 items for this request.";
            return Err(Fail::new(413, "woocommerce_rest_request_entity_too_large", message));
        }
        let dp = self.settings.decimals;
        let mut out = Object::new();
        let mut pings = Vec::new();
        let mut put = |name: &str, items: Vec<Value>| {
            if !items.is_empty() {
                out.insert(name.to_owned(), Value::Array(items));
            }
        };
        let mut done = Vec::new();
        for item in &create {
            let body = item.as_object().cloned().unwrap_or_default();
            let made = self.create(res, &body, true).and_then(|id| {
                self.after_write(res, id);
                pings.push(id);
                self.show(res, id, true, dp)
            });
            done.push(made.unwrap_or_else(|fail| json!({ "id": 0, "error": fail.body() })));
        }
        put("create", done);
        let mut done = Vec::new();
        for item in &update {
            let body = item.as_object().cloned().unwrap_or_default();
            let given = body.get("id").cloned().unwrap_or(Value::Null);
            let id = id_of(Some(&given));
            let made = self.update(res, id, &body, true).and_then(|()| {
                self.after_write(res, id);
                self.show(res, id, true, dp)
            });
            done.push(made.unwrap_or_else(|fail| json!({ "id": given, "error": fail.body() })));
        }
        put("update", done);
        let mut done = Vec::new();
        for item in &delete {
            let made = self.delete(res, id_of(Some(item)), true, dp);
            done.push(made.unwrap_or_else(|fail| json!({ "id": item, "error": fail.body() })));
        }
        put("delete", done);
        let answer = if out.is_empty() { json!([]) } else { Value::Object(out) };
        let mut reply = Reply::json(200, answer);
        if res == Res::Webhook {
            reply.pings = pings;
        }
        Ok(reply)
    }

    /// The answer to a write tells the client what it shows: a stock figure, an order.
    pub fn after_write(&mut self, res: Res, id: u64) {
        match res {
            Res::Product | Res::Variation(_) => self.note_stock_read(id),
            Res::Order => {
                let tick = self.tick;
                self.note_told(id, tick);
            }
            _ => {}
        }
    }
}

/// A variation takes `manage_stock: "parent"`, a product does not.
fn without_parent(res: Res, body: &Object) -> Object {
    let mut body = body.clone();
    if matches!(res, Res::Variation(_)) && body.get("manage_stock") == Some(&json!("parent")) {
        body.remove("manage_stock");
    }
    body
}
