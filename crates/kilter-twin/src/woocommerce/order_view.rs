//! Orders, refunds and notes as the API shows them.
//!
//! Reads   the shop.
//! Writes  nothing.
//! Never   shows a total that was not computed.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::model::{Charge, Line, Meta, Note, Order, Refund, show_meta};
use super::product_view::symbol;
use super::shop::{ALL, Shop, object};
use super::{clock, money, text};

impl Shop {
    pub fn needs_processing(&self, order: &Order) -> bool {
        order
            .lines
            .iter()
            .filter_map(|line| self.products.get(&line.item()))
            .any(|product| !(product.is("virtual") && product.is("downloadable")))
    }

    pub fn show_order(&self, order: &Order, dp: u32) -> Value {
        let own = format!("orders/{}", order.id);
        let mut links = self.links(&own, "orders", ALL);
        let templates = self.link(&format!("{own}/actions/email_templates"));
        links["email_templates"] = json!([{ "embeddable": true, "href": templates }]);
        if order.customer_id > 0 {
            let customer = self.link(&format!("customers/{}", order.customer_id));
            links["customer"] = json!([{ "href": customer }]);
        }
        let key = order.field("order_key");
        let unpaid = matches!(order.status.as_str(), "pending" | "failed");
        let mut out = order.fields.clone();
        for (name, moment) in [
            ("date_created", Some(order.created)),
            ("date_modified", Some(order.modified)),
            ("date_paid", order.paid),
            ("date_completed", order.completed),
        ] {
            self.put_dates(&mut out, name, moment);
        }
        let totals = &order.totals;
        let total_tax = totals.cart_tax + totals.shipping_tax;
        let money = |value: Decimal| money::text(value, dp);
        out.append(&mut object(json!({
            "id": order.id, "parent_id": 0, "status": order.status, "version": "11.0.1",
            "prices_include_tax": self.settings.prices_include_tax,
            "discount_total": money(totals.discount), "discount_tax": money(totals.discount_tax),
            "shipping_total": money(totals.shipping), "shipping_tax": money(totals.shipping_tax),
            "cart_tax": money(totals.cart_tax), "total": money(totals.total),
            "total_tax": money(total_tax), "customer_id": order.customer_id,
            "billing": order.billing, "shipping": order.shipping,
        })));
        out.append(&mut object(json!({
            "number": order.id.to_string(), "meta_data": show_meta(&order.meta),
            "line_items": order.lines.iter().map(|l| self.show_line(l, dp)).collect::<Value>(),
            "tax_lines": self.tax_lines(order, dp),
            "shipping_lines": order.shipping_lines.iter()
                .map(|c| self.show_shipping(c, dp)).collect::<Value>(),
            "fee_lines": order.fees.iter().map(|c| self.show_fee(c, dp)).collect::<Value>(),
            "coupon_lines": order.coupons.iter().map(|c| json!({
                "id": c.id, "code": c.code, "discount": money(c.discount),
                "discount_tax": money(c.discount_tax), "meta_data": [], "discount_type": c.kind,
                "nominal_amount": money::number(c.amount), "free_shipping": false,
            })).collect::<Value>(),
            "refunds": order.refunds.iter().filter_map(|id| self.refunds.get(id)).map(|r| json!({
                "id": r.id, "reason": r.reason, "total": money(-r.amount), "total_tax": money(Decimal::ZERO),
            })).collect::<Value>(),
            "payment_url": format!(
                "{}/checkout/order-pay/{}/?pay_for_order=true&key={key}", self.base, order.id
            ),
            "is_editable": matches!(order.status.as_str(), "pending" | "on-hold" | "auto-draft"),
            "needs_payment": unpaid && totals.total > Decimal::ZERO,
            "needs_processing": self.needs_processing(order),
            "currency_symbol": symbol(order.field("currency")), "_links": links,
        })));
        Value::Object(out)
    }

    pub fn show_line(&self, line: &Line, dp: u32) -> Value {
        let product = self.products.get(&line.item());
        let parent = product.and_then(|p| self.products.get(&p.parent));
        let price = if line.quantity == 0 {
            Decimal::ZERO
        } else {
            (line.total / Decimal::from(line.quantity)).abs()
        };
        let mut meta = line.meta.clone();
        for (key, units) in
            [("_reduced_stock", line.reduced), ("_restock_refunded_items", line.restocked)]
        {
            if units > 0 {
                let id = line.id * 100 + u64::from(key == "_reduced_stock");
                meta.push(Meta { id, key: key.to_owned(), value: json!(units.to_string()) });
            }
        }
        let meta: Value = meta.iter().map(|m| self.show_line_meta(m)).collect();
        let no_image = if line.variation_id == 0 && !line.empty {
            json!({ "id": "", "src": "" })
        } else {
            json!({ "id": 0, "src": "" })
        };
        let image = product.and_then(|p| p.fields.get("images")).and_then(|i| i.get(0));
        let image = image.map(|i| json!({ "id": i["id"].to_string(), "src": i["src"] }));
        let money = |value: Decimal| money::text(value, dp);
        json!({
            "id": line.id, "name": line.name, "product_id": line.product_id,
            "variation_id": line.variation_id, "quantity": line.quantity,
            "tax_class": line.tax_class, "subtotal": money(line.subtotal),
            "subtotal_tax": money(line.subtotal_tax), "total": money(line.total),
            "total_tax": money(line.total_tax), "taxes": self.line_taxes(line), "meta_data": meta,
            "sku": product.map(|p| p.sku.clone()),
            "global_unique_id": product.map(|p| p.gtin.clone()),
            "price": money::number(price), "image": image.unwrap_or(no_image),
            "parent_name": parent.map(|p| p.field("name").to_owned()),
        })
    }

    fn show_line_meta(&self, meta: &Meta) -> Value {
        let attribute = self.attributes.values().find(|a| a.field("slug") == meta.key);
        let shown = meta.value.as_str().unwrap_or("").to_owned();
        let (key, value) = match attribute {
            Some(a) => (a.field("name").to_owned(), self.term_name(a.id, &shown)),
            None if meta.key.starts_with('_') => (meta.key.clone(), shown),
            None => (capital(&meta.key), shown),
        };
        let value = if meta.value.is_string() { json!(value) } else { meta.value.clone() };
        json!({
            "id": meta.id, "key": meta.key, "value": meta.value, "display_key": key,
            "display_value": value,
        })
    }

    fn term_name(&self, attribute: u64, slug: &str) -> String {
        let term = self.terms.values().find(|t| t.owner == attribute && t.field("slug") == slug);
        term.map_or(slug, |t| t.field("name")).to_owned()
    }

    fn show_shipping(&self, charge: &Charge, dp: u32) -> Value {
        json!({
            "id": charge.id, "method_title": charge.title, "method_id": charge.method,
            "instance_id": "", "total": money::text(charge.total, dp),
            "total_tax": money::text(charge.total_tax, dp),
            "taxes": self.charge_taxes(charge.total, "", charge.taxable),
            "tax_status": if charge.taxable { "taxable" } else { "none" },
            "meta_data": show_meta(&charge.meta),
        })
    }

    fn show_fee(&self, charge: &Charge, dp: u32) -> Value {
        let total = money::text(charge.total, dp);
        json!({
            "id": charge.id, "name": charge.title, "tax_class": charge.tax_class,
            "tax_status": if charge.taxable { "taxable" } else { "none" }, "amount": total,
            "total": total, "total_tax": money::text(charge.total_tax, dp),
            "taxes": self.charge_taxes(charge.total, &charge.tax_class, charge.taxable),
            "meta_data": show_meta(&charge.meta),
        })
    }

    pub fn show_refund(&self, refund: &Refund, dp: u32, flat: bool) -> Value {
        let collection = format!("orders/{}/refunds", refund.order);
        let own = format!("{collection}/{}", refund.id);
        let mut links = self.links(&own, &collection, &["GET", "DELETE"]);
        links["up"] = json!([{ "href": self.link(&format!("orders/{}", refund.order)) }]);
        let lines: Value = refund.lines.iter().map(|l| self.show_line(l, dp)).collect();
        let mut out = json!({
            "id": refund.id, "date_created": self.local(refund.created),
            "date_created_gmt": self.gmt(refund.created), "amount": money::text(refund.amount, dp),
            "reason": refund.reason, "refunded_by": 1, "refunded_payment": refund.paid,
            "meta_data": show_meta(&refund.meta), "line_items": lines,
            "shipping_lines": refund.shipping_lines.iter()
                .map(|c| self.show_shipping(c, dp)).collect::<Value>(),
            "tax_lines": [],
            "fee_lines": refund.fees.iter().map(|c| self.show_fee(c, dp)).collect::<Value>(),
            "_links": links,
        });
        if flat {
            out["parent_id"] = json!(refund.order);
        }
        out
    }

    pub fn show_note(&self, note: &Note) -> Value {
        let collection = format!("orders/{}/notes", note.order);
        let own = format!("{collection}/{}", note.id);
        let mut links = self.links(&own, &collection, &["GET", "DELETE"]);
        links["up"] = json!([{ "href": self.link(&format!("orders/{}", note.order)) }]);
        json!({
            "id": note.id, "author": "WooCommerce",
            "date_created": clock::text(note.created, self.settings.offset),
            "date_created_gmt": clock::text(note.created, 0), "note": note.text,
            "customer_note": note.customer, "_links": links,
        })
    }

    /// Does an order answer to a `search`?
    pub fn order_matches(&self, order: &Order, wanted: &str) -> bool {
        let wanted = wanted.to_lowercase();
        let addresses = order.billing.values().chain(order.shipping.values());
        let mut texts = addresses.filter_map(Value::as_str).map(str::to_lowercase);
        order.id.to_string() == wanted
            || texts.any(|text| text.contains(&wanted))
            || order.lines.iter().any(|l| text::slug(&l.name).contains(&text::slug(&wanted)))
    }
}

fn capital(key: &str) -> String {
    let mut letters = key.chars();
    letters
        .next()
        .map_or_else(String::new, |c| c.to_uppercase().collect::<String>() + letters.as_str())
}
