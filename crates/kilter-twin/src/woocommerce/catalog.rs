//! The simple things: categories, tags, attributes, terms, coupons.
//!
//! Reads   the body of a call.
//! Writes  the shop's maps of them.
//! Never   validates more than a name that is taken.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::api::{Answer, Fail, Object, id_of, loose_text, truthy, whole};
use super::crud::Res;
use super::model::{Plain, merge_meta, show_meta};
use super::shop::{ALL, Shop, object};
use super::{money, text};

impl Shop {
    pub fn simple(&self, res: Res) -> &BTreeMap<u64, Plain> {
        match res {
            Res::Tag => &self.tags,
            Res::Attribute => &self.attributes,
            Res::Term(_) => &self.terms,
            Res::Coupon => &self.coupons,
            _ => &self.categories,
        }
    }

    fn simple_mut(&mut self, res: Res) -> &mut BTreeMap<u64, Plain> {
        match res {
            Res::Tag => &mut self.tags,
            Res::Attribute => &mut self.attributes,
            Res::Term(_) => &mut self.terms,
            Res::Coupon => &mut self.coupons,
            _ => &mut self.categories,
        }
    }

    pub fn create_simple(&mut self, res: Res, body: &Object) -> Answer<u64> {
        let now = self.now();
        let mut fields = simple_defaults(res);
        let key = if res == Res::Coupon { "code" } else { "name" };
        let name = body.get(key).map(|v| text::rich(&loose_text(v))).unwrap_or_default();
        if name.is_empty() {
            let message = format!("Missing parameter(s): {key}");
            return Err(Fail::new(400, "rest_missing_callback_param", &message)
                .with("params", json!([key])));
        }
        self.refuse_taken(res, &name, body)?;
        if res == Res::Coupon {
            fields.insert("code".to_owned(), json!(name.to_lowercase()));
        } else {
            let prefix = if res == Res::Attribute { "pa_" } else { "" };
            let slug = format!("{prefix}{}", text::slug(&name));
            fields.insert("slug".to_owned(), json!(slug));
        }
        let owner = if let Res::Term(owner) = res { owner } else { 0 };
        let explicit = id_of(body.get("_id"));
        let counter = match res {
            Res::Coupon => &mut self.ids.post,
            Res::Attribute => &mut self.ids.attribute,
            _ => &mut self.ids.term,
        };
        let id = if explicit > 0 { explicit } else { *counter + 1 };
        *counter = (*counter).max(id);
        let plain = Plain { id, owner, fields, meta: vec![], created: now, modified: now };
        self.simple_mut(res).insert(id, plain);
        self.merge_simple(res, id, body);
        if res == Res::Coupon {
            self.fire("coupon.created", id);
        }
        Ok(id)
    }

    fn refuse_taken(&self, res: Res, name: &str, body: &Object) -> Answer<()> {
        let parent = id_of(body.get("parent"));
        let same = |one: &&Plain| match res {
            Res::Coupon => one.field("code") == name.to_lowercase(),
            Res::Term(owner) => one.owner == owner && one.field("name") == name,
            Res::Category => one.field("name") == name && id_of(one.fields.get("parent")) == parent,
            _ => one.field("name") == name,
        };
        let Some(holder) = self.simple(res).values().find(same) else { return Ok(()) };
        if res == Res::Coupon {
            let message = "The coupon code already exists";
            return Err(Fail::new(400, "woocommerce_rest_coupon_code_already_exists", message));
        }
        if res == Res::Attribute {
            let slug = holder.field("slug").trim_start_matches("pa_");
            let message = format!("Slug \"{slug}\" is already in use. Change it, please.");
            return Err(Fail::new(400, "woocommerce_rest_cannot_create", &message));
        }
        let message = "A term with the name provided already exists with this parent.";
        Err(Fail::new(400, "term_exists", message).with("resource_id", json!(holder.id)))
    }

    pub fn update_simple(&mut self, res: Res, id: u64, body: &Object) -> Answer<()> {
        if !self.simple(res).contains_key(&id) {
            let status = if res == Res::Coupon { 400 } else { 404 };
            return Err(res.missing(status));
        }
        let now = self.now();
        if let Some(one) = self.simple_mut(res).get_mut(&id) {
            one.modified = now;
        }
        self.merge_simple(res, id, body);
        if res == Res::Coupon {
            self.fire("coupon.updated", id);
        }
        Ok(())
    }

    fn merge_simple(&mut self, res: Res, id: u64, body: &Object) {
        let Some(mut one) = self.simple_mut(res).remove(&id) else { return };
        let names: Vec<String> = one.fields.keys().cloned().collect();
        for name in names {
            let Some(given) = body.get(&name) else { continue };
            let value = match (one.fields.get(&name), name.as_str()) {
                (_, "code") => json!(loose_text(given).to_lowercase()),
                (_, "slug") => json!(loose_text(given)),
                (_, "amount" | "minimum_amount" | "maximum_amount") => {
                    let amount = money::given(Some(given)).unwrap_or(Decimal::ZERO);
                    json!(money::text(amount, 2))
                }
                (Some(Value::String(_)), _) => json!(text::rich(&loose_text(given))),
                (Some(Value::Bool(_)), _) => json!(truthy(given)),
                (Some(Value::Number(_)), _) => json!(whole(given).unwrap_or(0)),
                _ => given.clone(),
            };
            one.fields.insert(name, value);
        }
        merge_meta(&mut one.meta, body.get("meta_data"), &mut self.ids.meta);
        self.simple_mut(res).insert(id, one);
    }

    pub fn delete_simple(&mut self, res: Res, id: u64, force: bool) -> Answer<()> {
        if !self.simple(res).contains_key(&id) {
            return Err(res.missing(404));
        }
        if !force && res != Res::Coupon {
            let message = "Resource does not support trashing.";
            return Err(Fail::new(501, "woocommerce_rest_trash_not_supported", message));
        }
        self.simple_mut(res).remove(&id);
        if res == Res::Coupon && !force {
            self.fire("coupon.deleted", id);
        }
        Ok(())
    }

    pub fn show_simple(&self, res: Res, one: &Plain) -> Value {
        let mut out = one.fields.clone();
        let collection = res.collection();
        let links = self.links(&format!("{collection}/{}", one.id), &collection, ALL);
        out.insert("id".to_owned(), json!(one.id));
        out.insert("_links".to_owned(), links);
        let counted = match res {
            Res::Category => Some("categories"),
            Res::Tag => Some("tags"),
            _ => None,
        };
        if let Some(name) = counted {
            let has = |list: &Value| {
                list.as_array().into_iter().flatten().any(|v| id_of(Some(v)) == one.id)
            };
            let products = self.products.values().filter(|p| !p.trashed());
            let count = products.filter(|p| p.fields.get(name).is_some_and(has)).count();
            out.insert("count".to_owned(), json!(count));
        }
        if matches!(res, Res::Term(_)) {
            out.insert("count".to_owned(), json!(0));
        }
        if res == Res::Coupon {
            self.put_dates(&mut out, "date_created", Some(one.created));
            self.put_dates(&mut out, "date_modified", Some(one.modified));
            self.put_dates(&mut out, "date_expires", None);
            out.insert("meta_data".to_owned(), show_meta(&one.meta));
        }
        Value::Object(out)
    }
}

fn simple_defaults(res: Res) -> Object {
    let value = match res {
        Res::Category => json!({
            "name": "", "slug": "", "parent": 0, "description": "", "display": "default",
            "image": null, "menu_order": 0,
        }),
        Res::Attribute => json!({
            "name": "", "slug": "", "type": "select", "order_by": "menu_order",
            "has_archives": false,
        }),
        Res::Coupon => json!({
            "code": "", "amount": "0.00", "status": "publish", "discount_type": "fixed_cart",
            "description": "", "usage_count": 0, "individual_use": false, "product_ids": [],
            "excluded_product_ids": [], "usage_limit": null, "usage_limit_per_user": null,
            "limit_usage_to_x_items": null, "free_shipping": false, "product_categories": [],
            "excluded_product_categories": [], "exclude_sale_items": false,
            "minimum_amount": "0.00", "maximum_amount": "0.00", "email_restrictions": [],
            "used_by": [],
        }),
        Res::Term(_) => json!({ "name": "", "slug": "", "description": "", "menu_order": 0 }),
        _ => json!({ "name": "", "slug": "", "description": "" }),
    };
    object(value)
}
