//! Webhook payloads of orders, refunds and fulfilments.
//!
//! Reads   rows.
//! Writes  nothing.
//! Never   computes: the totals are on the order.

use serde_json::{Value, json};

use super::gid::{gid, tail};
use super::money;
use super::payload::address_payload;
use super::shop::Shop;
use super::store::Row;

/// What an order of the twin never has.
const NOTHING: &[&str] = &[
    "app_id",
    "cart_token",
    "checkout_token",
    "client_details",
    "confirmation_number",
    "current_total_additional_fees_set",
    "current_total_duties_set",
    "device_id",
    "landing_site",
    "landing_site_ref",
    "location_id",
    "merchant_of_record_app_id",
    "original_total_additional_fees_set",
    "original_total_duties_set",
    "payment_terms",
    "reference",
    "referring_site",
    "source_url",
    "user_id",
];

impl Shop {
    /// `{shop_money, presentment_money}` with the currency's decimals.
    fn set(&self, bag: &Value) -> Value {
        let one = |money: &Value| {
            let currency = money["currencyCode"].as_str().unwrap_or(&self.settings.currency);
            json!({
                "amount": money::text(money::amount(money), currency), "currency_code": currency,
            })
        };
        json!({
            "shop_money": one(&bag["shopMoney"]), "presentment_money": one(&bag["presentmentMoney"]),
        })
    }

    fn amount(&self, bag: &Value) -> Value {
        json!(money::text(money::of_bag(bag), &self.settings.currency))
    }

    fn taxes(&self, list: &[Value]) -> Value {
        list.iter()
            .map(|tax| {
                json!({
                    "title": tax["title"], "rate": tax["rate"], "channel_liable": false,
                    "price": self.amount(&tax["priceSet"]), "price_set": self.set(&tax["priceSet"]),
                })
            })
            .collect()
    }

    pub fn line_payload(&self, id: u64) -> Value {
        let Some(row) = self.store.get("LineItem", id) else { return json!({ "id": id }) };
        let (done, left) = (row.number("_fulfilled"), row.number("unfulfilledQuantity"));
        let status = match (done, left) {
            (0, _) => None,
            (_, 0) => Some("fulfilled"),
            _ => Some("partial"),
        };
        let discounts: Vec<Value> = row
            .list("discountAllocations")
            .iter()
            .map(|d| {
                json!({
                    "amount": self.amount(&d["allocatedAmountSet"]),
                    "amount_set": self.set(&d["allocatedAmountSet"]), "discount_application_index": 0,
                })
            })
            .collect();
        let properties: Vec<Value> = row
            .list("customAttributes")
            .iter()
            .map(|a| json!({ "name": a["key"], "value": a["value"] }))
            .collect();
        let variant = Some(tail(row.text("variant"))).filter(|id| *id > 0);
        json!({
            "id": id, "admin_graphql_api_id": gid("LineItem", id), "attributed_staffs": [],
            "current_quantity": row.number("currentQuantity"), "discount_allocations": discounts,
            "duties": [], "fulfillable_quantity": left, "fulfillment_service": "manual",
            "fulfillment_status": status, "gift_card": row.flag("isGiftCard"), "grams": 0,
            "name": row.text("name"), "price": self.amount(&row.fields["originalUnitPriceSet"]),
            "price_set": self.set(&row.fields["originalUnitPriceSet"]),
            "product_exists": variant.is_some(),
            "product_id": Some(tail(row.text("product"))).filter(|id| *id > 0),
            "properties": properties, "quantity": row.number("quantity"),
            "requires_shipping": row.flag("requiresShipping"), "sku": row.text("sku"),
            "tax_lines": self.taxes(row.list("taxLines")), "taxable": row.flag("taxable"),
            "title": row.text("title"),
            "total_discount": self.amount(&row.fields["totalDiscountSet"]),
            "total_discount_set": self.set(&row.fields["totalDiscountSet"]), "variant_id": variant,
            "variant_inventory_management": variant.map(|_| "shopify"),
            "variant_title": row.fields.get("variantTitle"), "vendor": row.fields.get("vendor"),
        })
    }

    fn lines_payload(&self, row: &Row) -> Vec<Value> {
        row.texts("lineItems").iter().map(|id| self.line_payload(tail(id))).collect()
    }

    pub fn order_payload(&self, id: u64) -> Value {
        let Some(row) = self.store.get("Order", id) else { return json!({ "id": id }) };
        let mut out = self.order_plain(row);
        for (name, field) in [
            ("current_shipping_price_set", "currentShippingPriceSet"),
            ("current_subtotal_price_set", "currentSubtotalPriceSet"),
            ("current_total_discounts_set", "currentTotalDiscountsSet"),
            ("current_total_price_set", "currentTotalPriceSet"),
            ("current_total_tax_set", "currentTotalTaxSet"),
            ("subtotal_price_set", "subtotalPriceSet"),
            ("total_discounts_set", "totalDiscountsSet"),
            ("total_price_set", "totalPriceSet"),
            ("total_shipping_price_set", "totalShippingPriceSet"),
            ("total_tax_set", "totalTaxSet"),
        ] {
            let bag = &row.fields[field];
            out[name] = self.set(bag);
            let plain = name.trim_end_matches("_set");
            if !plain.contains("shipping") {
                out[plain] = self.amount(bag);
            }
        }
        let pair = self.pair(id);
        let lines = row.texts("lineItems");
        let lines = lines.iter().filter_map(|id| self.store.find(id));
        let sum = lines.map(|(_, l)| money::of_bag(&l.fields["originalTotalSet"])).sum();
        out["total_line_items_price"] = json!(money::text(sum, &pair.shop));
        out["total_line_items_price_set"] = self.set(&pair.bag(sum));
        out["total_outstanding"] = self.amount(&row.fields["totalOutstandingSet"]);
        out["total_tip_received"] = self.amount(&row.fields["totalTipReceivedSet"]);
        let nothing = self.set(&pair.bag(Default::default()));
        out["total_cash_rounding_payment_adjustment_set"] = nothing.clone();
        out["total_cash_rounding_refund_adjustment_set"] = nothing;
        out["line_items"] = json!(self.lines_payload(row));
        out["tax_lines"] = self.taxes(row.list("taxLines"));
        out["shipping_lines"] = self.shipping_payload(row);
        let codes = row.texts("discountCodes");
        let discount = self.amount(&row.fields["totalDiscountsSet"]);
        out["discount_codes"] = codes
            .iter()
            .map(|code| json!({ "code": code, "amount": discount, "type": "percentage" }))
            .collect();
        out["discount_applications"] = row
            .list("discountApplications")
            .iter()
            .map(|a| {
                let percent = a["value"].get("percentage").map(ToString::to_string);
                let kind = if percent.is_some() { "percentage" } else { "fixed_amount" };
                json!({
                    "type": "discount_code", "code": a["code"], "allocation_method": "across",
                    "target_selection": "all", "target_type": "line_item", "value_type": kind,
                    "value": percent.map_or(discount.clone(), |p| json!(p)),
                })
            })
            .collect();
        let ids = |name: &str| row.texts(name);
        out["fulfillments"] =
            ids("fulfillments").iter().map(|id| self.fulfillment_payload(tail(id))).collect();
        out["refunds"] = ids("refunds").iter().map(|id| self.refund_payload(tail(id))).collect();
        out
    }

    fn order_plain(&self, row: &Row) -> Value {
        let date = |name: &str| super::clock::parse(row.text(name)).map(|at| self.local(at));
        let reason = row.text("cancelReason").to_lowercase();
        let status = match row.text("displayFulfillmentStatus") {
            "FULFILLED" => Some("fulfilled"),
            "PARTIALLY_FULFILLED" => Some("partial"),
            _ => None,
        };
        let attributes: Vec<Value> = row
            .list("customAttributes")
            .iter()
            .map(|a| json!({ "name": a["key"], "value": a["value"] }))
            .collect();
        let customer = tail(row.text("customer"));
        let customer = (customer > 0).then(|| self.customer_payload(customer));
        let mut out = json!({
            "id": row.id, "admin_graphql_api_id": gid("Order", row.id), "name": row.text("name"),
            "number": row.number("number") - 1000, "order_number": row.number("number"),
            "created_at": self.local(row.created), "updated_at": self.local(row.updated),
            "processed_at": date("processedAt"), "cancelled_at": date("cancelledAt"),
            "closed_at": date("closedAt"), "confirmed": true, "test": row.flag("test"),
            "cancel_reason": (!reason.is_empty()).then_some(reason),
            "currency": self.settings.currency,
            "presentment_currency": row.text("presentmentCurrencyCode"),
            "email": row.text("email"), "contact_email": row.text("email"),
            "phone": row.fields.get("phone"), "note": row.fields.get("note"),
            "note_attributes": attributes, "tags": row.texts("tags").join(", "),
            "financial_status": row.text("displayFinancialStatus").to_lowercase(),
            "fulfillment_status": status, "customer": customer,
            "billing_address": address_payload(&row.fields["billingAddress"], None),
            "shipping_address": address_payload(&row.fields["shippingAddress"], None),
            "payment_gateway_names": row.texts("paymentGatewayNames"),
        });
        let rest = json!({
            "source_name": row.text("sourceName"),
            "source_identifier": row.fields.get("sourceIdentifier"),
            "po_number": row.fields.get("poNumber"), "tax_exempt": false,
            "taxes_included": row.flag("taxesIncluded"), "customer_locale": "en",
            "token": self.token(&format!("order {}", row.id), 32),
            "order_status_url": format!("https://{}/orders/{}", self.settings.domain(), row.id),
            "buyer_accepts_marketing": false, "duties_included": false, "estimated_taxes": false,
            "merchant_business_entity_id": "twin", "line_item_groups": [], "returns": [],
            "total_weight": 0, "browser_ip": null,
        });
        if let (Some(out), Value::Object(rest)) = (out.as_object_mut(), rest) {
            out.extend(rest);
        }
        for name in NOTHING {
            out[*name] = Value::Null;
        }
        out
    }

    fn shipping_payload(&self, row: &Row) -> Value {
        let lines = row.list("shippingLines").iter();
        lines
            .map(|line| {
                json!({
                    "id": tail(line["id"].as_str().unwrap_or("")), "title": line["title"],
                    "code": line["code"], "source": "shopify", "phone": null, "is_removed": false,
                    "carrier_identifier": null, "requested_fulfillment_service_id": null,
                    "price": self.amount(&line["originalPriceSet"]),
                    "price_set": self.set(&line["originalPriceSet"]),
                    "discounted_price": self.amount(&line["discountedPriceSet"]),
                    "discounted_price_set": self.set(&line["discountedPriceSet"]),
                    "current_discounted_price_set": self.set(&line["currentDiscountedPriceSet"]),
                    "discount_allocations": [], "tax_lines": [],
                })
            })
            .collect()
    }

    pub fn refund_payload(&self, id: u64) -> Value {
        let Some(row) = self.store.get("Refund", id) else { return json!({ "id": id }) };
        let order = tail(row.text("order"));
        let number = |bag: &Value| {
            let text = money::of_bag(bag).normalize().to_string();
            text.parse().map_or_else(|_| json!(0), Value::Number)
        };
        let lines: Vec<Value> = row
            .list("refundLineItems")
            .iter()
            .map(|line| {
                let item = tail(line["lineItem"].as_str().unwrap_or(""));
                let location = tail(line["location"].as_str().unwrap_or(""));
                json!({
                    "id": tail(line["id"].as_str().unwrap_or("")), "quantity": line["quantity"],
                    "line_item_id": item, "line_item": self.line_payload(item),
                    "location_id": (location > 0).then_some(location),
                    "restock_type": line["restockType"].as_str().unwrap_or("").to_lowercase(),
                    "subtotal": number(&line["subtotalSet"]),
                    "subtotal_set": self.set(&line["subtotalSet"]),
                    "total_tax": number(&line["totalTaxSet"]),
                    "total_tax_set": self.set(&line["totalTaxSet"]),
                })
            })
            .collect();
        let pair = self.pair(order);
        let none = self.set(&pair.bag(Default::default()));
        let nil = |currency: &str| json!({ "amount": money::text(Default::default(), currency), "currency": currency });
        let unsettled =
            json!({ "shop_money": nil(&pair.shop), "presentment_money": nil(&pair.presentment) });
        let transactions: Vec<Value> = row
            .texts("transactions")
            .iter()
            .filter_map(|id| self.store.find(id))
            .map(|(_, t)| {
                let parent = tail(t.text("parentTransaction"));
                json!({
                    "id": t.id, "admin_graphql_api_id": gid("OrderTransaction", t.id),
                    "amount": self.amount(&t.fields["amountSet"]), "currency": pair.shop,
                    "kind": t.text("kind").to_lowercase(),
                    "status": t.text("status").to_lowercase(), "gateway": t.text("gateway"),
                    "order_id": order, "parent_id": (parent > 0).then_some(parent),
                    "created_at": self.local(t.created), "processed_at": self.local(t.created),
                    "payment_id": t.text("paymentId"), "test": false, "receipt": {},
                    "source_name": "web", "manual_payment_gateway": false,
                    "total_unsettled_set": unsettled, "amount_rounding": null, "authorization": null,
                    "device_id": null, "error_code": null, "location_id": null, "message": null,
                    "user_id": null,
                })
            })
            .collect();
        let restocked = row.list("refundLineItems").iter().any(|l| l["restocked"] == json!(true));
        json!({
            "id": id, "admin_graphql_api_id": gid("Refund", id), "order_id": order,
            "created_at": self.local(row.created), "processed_at": self.local(row.created),
            "note": row.text("note"), "restock": restocked, "duties": [], "order_adjustments": [],
            "refund_line_items": lines, "refund_shipping_lines": [], "return": null,
            "total_duties_set": none, "transactions": transactions, "user_id": 0,
        })
    }

    pub fn fulfillment_payload(&self, id: u64) -> Value {
        let Some(row) = self.store.get("Fulfillment", id) else { return json!({ "id": id }) };
        let order = self.store.find(row.text("order")).map(|(_, o)| o.clone());
        let lines: Vec<Value> = row
            .list("fulfillmentLineItems")
            .iter()
            .map(|line| {
                let mut shown = self.line_payload(tail(line["lineItem"].as_str().unwrap_or("")));
                shown["quantity"] = line["quantity"].clone();
                shown
            })
            .collect();
        let info = row.list("trackingInfo");
        let all = |name: &str| -> Vec<Value> {
            info.iter().map(|i| i[name].clone()).filter(|v| !v.is_null()).collect()
        };
        let first = |name: &str| all(name).first().cloned().unwrap_or_default();
        let to = order.as_ref().map(|o| address_payload(&o.fields["shippingAddress"], None));
        json!({
            "id": id, "admin_graphql_api_id": gid("Fulfillment", id),
            "order_id": tail(row.text("order")), "name": row.text("name"),
            "status": row.text("status").to_lowercase(), "service": "manual",
            "shipment_status": null, "location_id": tail(row.text("location")),
            "email": order.map_or(String::new(), |o| o.text("email").to_owned()),
            "destination": to, "origin_address": {}, "receipt": {},
            "tracking_company": first("company"), "tracking_number": first("number"),
            "tracking_numbers": all("number"), "tracking_url": first("url"),
            "tracking_urls": all("url"), "line_items": lines,
            "created_at": self.local(row.created), "updated_at": self.local(row.updated),
        })
    }
}
