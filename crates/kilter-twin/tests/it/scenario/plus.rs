//! The middleman's hands in the third shop: its products, lists, levels, orders and parcels.
//!
//! Reads   the twin's state.
//! Writes  by its back office, and by its API where a call has to be counted.
//! Never   shares a line with Kilter or with the referee.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::scenario::middleman::{Middleman, amount, list};

const FIXED: &str = "mutation($list: ID!, $prices: [PriceListPriceInput!]!) {
    priceListFixedPricesAdd(priceListId: $list, prices: $prices) { userErrors { message } } }";
const FULFIL: &str = "mutation($fulfillment: FulfillmentInput!) {
    fulfillmentCreate(fulfillment: $fulfillment) { fulfillment { id } userErrors { message } } }";

fn there(variant: &Value, code: &str, gone: i64) -> i64 {
    let forecast = amount(&variant["stock"][code]["forecast"]) - Decimal::from(gone);
    forecast.max(Decimal::ZERO).normalize().to_string().parse().expect("units")
}

fn price(variant: &Value, list: &str) -> String {
    amount(&variant["prices"][list]).to_string()
}

impl Middleman {
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let url = format!("{}/admin/api/2026-10/graphql.json", self.urls["plus"]);
        let request = self.http.post(url).header("X-Shopify-Access-Token", "shpat_demo_plus");
        let body = json!({ "query": query, "variables": variables });
        let reply = self.send("graphql", request, body).await;
        assert!(reply.get("errors").is_none(), "{reply}");
        let payloads = reply["data"].as_object().expect("data").values();
        for errors in payloads.filter_map(|payload| payload.get("userErrors")) {
            assert_eq!(*errors, json!([]));
        }
        reply["data"].clone()
    }

    /// Every product of the ERP, whatever the case of its SKU.
    pub async fn load_plus(&self) {
        self.load_of(self.goods(false).await).await;
    }

    pub async fn load_one(&self, sku: &str) {
        let mut goods = self.goods(false).await;
        goods.retain(|variant| variant["default_code"] == sku);
        self.load_of(goods).await;
    }

    async fn load_of(&self, goods: Vec<Value>) {
        let templates = self.get("erp", "state?part=templates").await;
        let places = self.gids("locations").await;
        let mut products = Vec::new();
        for template in list(&templates["templates"]) {
            let id = &template["id"];
            let own: Vec<&Value> = goods
                .iter()
                .filter(|v| &v["template_id"] == id || &v["template_id"][0] == id)
                .collect();
            if !own.is_empty() {
                products.push(product(template, &own, &places));
            }
        }
        self.act("plus", "seed", json!({ "products": products })).await;
        self.align_plus(&BTreeMap::new()).await;
    }

    async fn gids(&self, what: &str) -> BTreeMap<String, String> {
        let state = self.get("plus", "state").await;
        let own = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
        list(&state[what]).iter().map(|row| (own(row, "name"), own(row, "gid"))).collect()
    }

    /// Prices, the list's prices and both levels, to what the ERP says; without its orders, less
    /// what was sold, in the warehouse that ships.
    pub async fn align_plus(&self, sold: &BTreeMap<String, i64>) {
        let brief = self.get("plus", "brief").await;
        let rows: BTreeMap<&str, &Value> =
            list(&brief).iter().map(|row| (row["sku"].as_str().unwrap_or(""), row)).collect();
        let mut listed = Vec::new();
        for variant in &self.goods(false).await {
            let sku = variant["default_code"].as_str().expect("a SKU");
            let Some(row) = rows.get(sku) else { continue };
            let gone = sold.get(sku).copied().unwrap_or(0);
            let stock =
                json!({ "main": there(variant, "WH", gone), "west": there(variant, "WEST", 0) });
            let level = |place: &str| row["levels"][place]["available"].clone();
            let shown = json!({ "main": level("main"), "west": level("west") });
            let base = price(variant, "Retail USD");
            if shown != stock || amount(&row["price"]).to_string() != base {
                let own = json!({ "id": row["id"], "price": base, "stock": stock });
                let page = format!("products/{}", row["product"]);
                self.act("plus", &page, json!({ "variants": [own] })).await;
            }
            let business = price(variant, "B2B USD");
            let known = &row["price_lists"]["b2b"];
            if known.is_null() || amount(known).to_string() != business {
                listed.push((row["id"].clone(), business));
            }
        }
        for chunk in listed.chunks(250) {
            self.list_prices(chunk).await;
        }
    }

    pub async fn list_prices(&self, prices: &[(Value, String)]) {
        let money = |amount: &str| json!({ "amount": amount, "currencyCode": "USD" });
        let prices: Vec<Value> = prices
            .iter()
            .map(|(id, amount)| {
                let id = format!("gid://shopify/ProductVariant/{id}");
                json!({ "variantId": id, "price": money(amount) })
            })
            .collect();
        let id = self.gids("price_lists").await["b2b"].clone();
        self.ask(FIXED, json!({ "list": id, "prices": prices })).await;
    }

    /// Tells what is to be carried of an order: name, e-mail, total, (SKU, pieces, gross unit).
    pub fn plus_order(order: &Value) -> (Value, String, Decimal, Vec<(String, Decimal, Decimal)>) {
        let mut lines = Vec::new();
        for line in list(&order["line_items"]) {
            let quantity = amount(&line["quantity"]);
            let taxes: Decimal =
                list(&line["tax_lines"]).iter().map(|tax| amount(&tax["price"])).sum();
            let net = amount(&line["price"]) * quantity - amount(&line["total_discount"]);
            let sku = if line["variant_id"].is_null() { "FEE" } else { text(&line["sku"]) };
            lines.push((sku.to_owned(), quantity, ((net + taxes) / quantity).round_dp(2)));
        }
        for line in list(&order["shipping_lines"]) {
            lines.push(("SHIPPING".to_owned(), Decimal::ONE, amount(&line["price"])));
        }
        let name = order["billing_address"]["last_name"].clone();
        (name, text(&order["email"]).to_lowercase(), amount(&order["total_price"]), lines)
    }

    /// Ships what is left of an order, in one parcel; once.
    pub async fn parcel_plus(&self, number: &str, parcel: &Value) {
        let orders = self.get("plus", "orders").await;
        let named = |order: &&Value| {
            order["order_number"].as_u64().is_some_and(|own| number.parse() == Ok(own))
        };
        let order = list(&orders).iter().find(named).expect("an order");
        let shipped = list(&order["fulfillments"])
            .iter()
            .any(|own| own["status"] == "success" && own["tracking_number"] == parcel["tracking"]);
        if shipped {
            return;
        }
        let state = self.get("plus", "state").await;
        let own = |row: &&Value| row["order"] == order["gid"] && row["status"] == "OPEN";
        let open: Vec<Value> = list(&state["fulfillment_orders"])
            .iter()
            .filter(own)
            .map(|row| json!({ "fulfillmentOrderId": row["gid"] }))
            .collect();
        let tracking = json!({ "company": parcel["carrier"], "number": parcel["tracking"] });
        let fulfillment = json!({ "lineItemsByFulfillmentOrder": open, "trackingInfo": tracking });
        self.ask(FULFIL, json!({ "fulfillment": fulfillment })).await;
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn product(template: &Value, own: &[&Value], places: &BTreeMap<String, String>) -> Value {
    let mut options: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let variants: Vec<Value> = own
        .iter()
        .map(|variant| {
            let mut attributes: Vec<(String, Value)> = variant["attributes"]
                .as_object()
                .expect("attributes")
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            if attributes.is_empty() {
                attributes.push(("Title".to_owned(), json!("Default Title")));
            }
            for (name, value) in &attributes {
                let values = options.entry(name.clone()).or_default();
                let value = json!({ "name": value });
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            let values: Vec<Value> = attributes
                .iter()
                .map(|(name, value)| json!({ "optionName": name, "name": value }))
                .collect();
            let level = |place: &str, code: &str| {
                json!({ "locationId": places[place], "name": "available",
                        "quantity": there(variant, code, 0) })
            };
            let weight = amount(&variant["weight"]).to_string().parse::<serde_json::Number>();
            json!({
                "sku": variant["default_code"], "optionValues": values,
                "barcode": variant["barcode"].as_str(), "price": price(variant, "Retail USD"),
                "inventoryItem": { "tracked": true, "measurement": {
                    "weight": { "value": weight.expect("a number"), "unit": "KILOGRAMS" } } },
                "inventoryQuantities": [level("main", "WH"), level("west", "WEST")],
            })
        })
        .collect();
    let options: Vec<Value> = options
        .into_iter()
        .map(|(name, values)| json!({ "name": name, "values": values }))
        .collect();
    json!({
        "title": template["name"]["en_US"], "status": "ACTIVE", "variants": variants,
        "productOptions": options,
    })
}
