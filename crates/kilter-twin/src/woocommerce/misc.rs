//! Everything small: refund and note routes, fulfilments, taxes, settings, system status, indexes.
//!
//! Reads   the shop.
//! Writes  notes and fulfilments.
//! Never   grows: what a connector does not need is not here.

use serde_json::{Value, json};

use super::api::{Answer, Fail, Object, Reply, Req, loose_text, truthy};
use super::check;
use super::crud::Res;
use super::model::Plain;
use super::product_view::symbol;
use super::shop::{Shop, object};

impl Shop {
    /// Refunds of the shop or of one order: `include`, and `after` and `before` by their creation.
    /// `modified_after` means nothing here.
    pub fn list_refunds(&mut self, req: &Req, order: Option<u64>) -> Answer<Reply> {
        let window =
            check::list(req, &["date", "id", "include", "title", "slug", "modified"], false)?;
        if let Some(order) = order {
            self.known_order(order)?;
        }
        let include = req.ids("include");
        let rows = self.refunds.values().filter(|r| {
            order.is_none_or(|id| r.order == id)
                && include.as_ref().is_none_or(|ids| ids.contains(&r.id))
                && self.in_time(req, r.created, r.created, false)
        });
        let mut rows: Vec<_> = rows.collect();
        if !window.ascending {
            rows.reverse();
        }
        let from = window.offset.unwrap_or((window.page - 1) * window.per_page);
        let shown = rows.iter().skip(from).take(window.per_page);
        let items = shown.map(|r| self.show_refund(r, self.dp(req), order.is_none())).collect();
        Ok(self.page(req, &window, rows.len(), items, &[]))
    }

    fn known_order(&self, id: u64) -> Answer<()> {
        let fail = || Fail::new(404, "woocommerce_rest_invalid_order_id", "Invalid order ID.");
        if self.orders.contains_key(&id) { Ok(()) } else { Err(fail()) }
    }

    pub fn one_refund(&mut self, order: u64, id: u64, req: &Req) -> Answer<Reply> {
        let refund = self.refunds.get(&id).filter(|r| r.order == order).ok_or_else(|| {
            Fail::new(404, "woocommerce_rest_invalid_order_refund_id", "Invalid order refund ID.")
        })?;
        let shown = self.show_refund(refund, self.dp(req), false);
        if req.method == "DELETE" {
            if !req.flag("force") {
                let message = "Refunds do not support trashing.";
                return Err(Fail::new(501, "woocommerce_rest_trash_not_supported", message));
            }
            self.refunds.remove(&id);
            if let Some(order) = self.orders.get_mut(&order) {
                order.refunds.retain(|one| *one != id);
            }
        }
        Ok(Reply::json(200, shown))
    }

    pub fn notes(&mut self, order: u64, req: &Req) -> Answer<Reply> {
        self.known_order(order)?;
        if req.method == "GET" {
            let rows = self.notes.values().filter(|note| note.order == order);
            return Ok(Reply::json(200, rows.map(|note| self.show_note(note)).collect()));
        }
        let Some(text) = req.body.get("note").map(loose_text) else {
            let message = "Missing parameter(s): note";
            return Err(Fail::new(400, "rest_missing_callback_param", message)
                .with("params", json!(["note"])));
        };
        let customer = req.body.get("customer_note").is_some_and(truthy);
        let id = self.add_note(order, &text, customer);
        if customer {
            self.add_note(order, "Email \"Customer note\" sent.", false);
        }
        let shown = self.notes.get(&id).map(|note| self.show_note(note));
        let place = self.link(&format!("orders/{order}/notes/{id}"));
        Ok(Reply::json(201, shown.unwrap_or(Value::Null)).with("Location", place))
    }

    pub fn one_note(&mut self, order: u64, id: u64, req: &Req) -> Answer<Reply> {
        self.known_order(order)?;
        let note = self.notes.get(&id).filter(|note| note.order == order);
        let note = note
            .ok_or_else(|| Fail::new(404, "woocommerce_rest_invalid_id", "Invalid resource ID."))?;
        let shown = self.show_note(note);
        if req.method == "DELETE" {
            if !req.flag("force") {
                let message = "Webhooks do not support trashing.";
                return Err(Fail::new(501, "woocommerce_rest_trash_not_supported", message));
            }
            self.notes.remove(&id);
        }
        Ok(Reply::json(200, shown))
    }

    pub fn fulfillments(&mut self, order: u64, req: &Req) -> Answer<Reply> {
        self.known_order(order)?;
        if req.method == "GET" {
            let rows = self.fulfillments.values().filter(|f| f.owner == order);
            let rows: Value = rows.map(|f| self.show_fulfillment(f)).collect();
            return Ok(Reply::json(200, rows));
        }
        check_items(&req.body)?;
        self.ids.fulfillment += 1;
        let (id, now) = (self.ids.fulfillment, self.now());
        let fields = fulfillment_fields(&req.body);
        let one = Plain { id, owner: order, fields, meta: vec![], created: now, modified: now };
        let mut one = one;
        super::model::merge_meta(&mut one.meta, req.body.get("meta_data"), &mut self.ids.meta);
        let shown = self.show_fulfillment(&one);
        self.fulfillments.insert(id, one);
        Ok(Reply::json(201, shown))
    }

    /// A bad id answers 400 with a number for a code; PUT replaces all of `meta_data`.
    pub fn one_fulfillment(&mut self, order: u64, id: u64, req: &Req) -> Answer<Reply> {
        let now = self.now();
        let Some(one) = self.fulfillments.get(&id).filter(|f| f.owner == order).cloned() else {
            let body = json!({
                "code": 0, "message": "Invalid fulfillment ID.", "data": { "status": 400 },
            });
            return Ok(Reply::json(400, body));
        };
        let mut one = one;
        match req.method.as_str() {
            "GET" => {}
            "DELETE" => {
                self.fulfillments.remove(&id);
            }
            _ => {
                check_items(&req.body)?;
                one.fields = fulfillment_fields(&req.body);
                one.modified = now;
                one.meta.clear();
                let meta = req.body.get("meta_data");
                super::model::merge_meta(&mut one.meta, meta, &mut self.ids.meta);
                self.fulfillments.insert(id, one.clone());
            }
        }
        Ok(Reply::json(200, self.show_fulfillment(&one)))
    }

    fn show_fulfillment(&self, one: &Plain) -> Value {
        let at = super::clock::text(one.modified, 0);
        let mut out = one.fields.clone();
        out.append(&mut object(json!({
            "id": one.id, "entity_type": "WC_Order", "entity_id": one.owner.to_string(),
            "date_updated": format!("{at}Z"), "date_deleted": null,
            "meta_data": super::model::show_meta(&one.meta),
        })));
        Value::Object(out)
    }

    pub fn fixed(&mut self, name: &str, req: &Req) -> Answer<Reply> {
        let value = match name {
            "system_status" => self.show_status(),
            "data" => json!([{ "slug": "currencies", "description": "List of supported currencies." }]),
            "data/currencies" => json!([self.show_currency()]),
            "data/currencies/current" => self.show_currency(),
            "settings" => ["general", "products", "tax"]
                .iter()
                .map(|id| {
                    json!({ "id": id, "label": id, "description": "", "parent_id": "", "sub_groups": [] })
                })
                .collect(),
            "taxes/classes" => [("standard", "Standard rate"), ("reduced-rate", "Reduced rate"), ("zero-rate", "Zero rate")]
                .iter()
                .map(|(slug, name)| json!({ "slug": slug, "name": name }))
                .collect(),
            "taxes" => {
                let window = check::list(req, &["id", "order", "priority"], true)?;
                let rows = self.show_taxes();
                return Ok(self.page(req, &window, rows.len(), rows, &[]));
            }
            group => self.show_settings(group.trim_start_matches("settings/")),
        };
        Ok(Reply::json(200, value))
    }

    fn show_currency(&self) -> Value {
        let code = &self.settings.currency;
        json!({ "code": code, "name": code, "symbol": symbol(code) })
    }

    fn show_taxes(&self) -> Vec<Value> {
        if self.settings.tax_rate.is_zero() {
            return Vec::new();
        }
        let rates = [
            (1, "standard", self.settings.tax_rate),
            (2, "reduced-rate", self.settings.reduced_tax_rate),
        ];
        let country = self.settings.locale.split('_').nth(1).unwrap_or("DE");
        rates
            .iter()
            .map(|(id, class, rate)| {
                json!({
                    "id": id, "country": country, "state": "", "postcode": "", "city": "",
                    "rate": super::money::text(*rate, 4), "name": "VAT", "priority": 1,
                    "compound": false, "shipping": true, "order": id, "class": class,
                    "postcodes": [], "cities": [],
                    "_links": self.links(&format!("taxes/{id}"), "taxes", super::shop::ALL),
                })
            })
            .collect()
    }

    fn show_settings(&self, group: &str) -> Value {
        let yes = |on: bool| json!(if on { "yes" } else { "no" });
        let s = &self.settings;
        let country = s.locale.split('_').nth(1).unwrap_or("DE");
        let rows: Vec<(&str, &str, Value)> = match group {
            "general" => vec![
                ("woocommerce_default_country", "select", json!(country)),
                ("woocommerce_calc_taxes", "checkbox", yes(!s.tax_rate.is_zero())),
                ("woocommerce_currency", "select", json!(s.currency)),
                ("woocommerce_price_decimal_sep", "text", json!(".")),
                ("woocommerce_price_thousand_sep", "text", json!(",")),
                ("woocommerce_price_num_decimals", "number", json!(s.decimals.to_string())),
            ],
            "tax" => vec![
                ("woocommerce_prices_include_tax", "radio", yes(s.prices_include_tax)),
                ("woocommerce_tax_round_at_subtotal", "checkbox", yes(false)),
            ],
            _ => vec![
                ("woocommerce_weight_unit", "select", json!("kg")),
                ("woocommerce_dimension_unit", "select", json!("cm")),
                ("woocommerce_manage_stock", "checkbox", yes(true)),
            ],
        };
        rows.into_iter()
            .map(|(id, kind, value)| {
                let own = format!("settings/{group}/{id}");
                let collection = format!("settings/{group}");
                json!({
                    "id": id, "label": id, "description": "", "type": kind, "default": value,
                    "tip": "", "value": value, "group_id": group,
                    "_links": self.links(&own, &collection, &["GET", "POST", "PUT", "PATCH"]),
                })
            })
            .collect()
    }

    fn show_status(&self) -> Value {
        let s = &self.settings;
        json!({
            "environment": {
                "home_url": self.base, "site_url": self.base, "version": "11.0.1",
                "wp_version": "7.0.4", "language": s.locale, "php_version": "8.2.36",
                "default_timezone": "UTC",
            },
            "settings": {
                "api_enabled": false, "force_ssl": false, "currency": s.currency,
                "currency_symbol": symbol(&s.currency), "currency_position": "left",
                "thousand_separator": ",", "decimal_separator": ".",
                "number_of_decimals": s.decimals, "HPOS_enabled": true,
            },
            "active_plugins": [], "inactive_plugins": [],
        })
    }

    pub fn show_index(&self) -> Value {
        let hours =
            rust_decimal::Decimal::from(self.settings.offset) / rust_decimal::Decimal::from(3600);
        json!({
            "name": "Twin", "description": "a twin of a WooCommerce shop", "url": self.base,
            "home": self.base, "gmt_offset": super::money::number(hours),
            "timezone_string": if self.settings.offset == 0 { "UTC" } else { "" },
            "namespaces": ["wp/v2", "wc/v1", "wc/v2", "wc/v3", "wc/store/v1"],
            "authentication": [], "routes": {},
        })
    }

    pub fn show_namespace(&self) -> Value {
        let mut routes = Object::new();
        let all = [
            Res::Product,
            Res::Order,
            Res::Customer,
            Res::Category,
            Res::Tag,
            Res::Attribute,
            Res::Coupon,
            Res::Webhook,
        ];
        let mut names: Vec<String> = all.iter().map(|res| res.collection()).collect();
        names.extend(["variations", "refunds", "taxes", "system_status"].map(str::to_owned));
        for name in names {
            let route =
                json!({ "namespace": "wc/v3", "methods": ["GET", "POST"], "endpoints": [] });
            routes.insert(format!("/wc/v3/{name}"), route);
        }
        json!({ "namespace": "wc/v3", "routes": routes })
    }
}

fn check_items(body: &Object) -> Answer<()> {
    let meta = body.get("meta_data").and_then(Value::as_array);
    let items = meta.into_iter().flatten().any(|m| {
        m["key"] == "_items" && m["value"].as_array().is_some_and(|items| !items.is_empty())
    });
    if items {
        return Ok(());
    }
    Err(Fail::new(400, "0", "The fulfillment should contain at least one item."))
}

fn fulfillment_fields(body: &Object) -> Object {
    let fulfilled = body.get("is_fulfilled").is_some_and(truthy)
        || body.get("status") == Some(&json!("fulfilled"));
    let status = if fulfilled { "fulfilled" } else { "unfulfilled" };
    object(json!({ "status": status, "is_fulfilled": fulfilled }))
}
