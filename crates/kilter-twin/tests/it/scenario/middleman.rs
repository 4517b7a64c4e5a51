//! A middleman written by hand, slow and simple, that keeps the demo's shops and ERP in agreement.
//!
//! Reads   the twins' state, as a person who sees everything.
//! Writes  goods into the shops, orders into the ERP, parcels back.
//! Never   shares a line with Kilter or with the referee: both can be wrong against it.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::{Value, json};

#[derive(Clone)]
pub struct Middleman {
    pub http: reqwest::Client,
    pub urls: BTreeMap<String, String>,
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn amount(value: &Value) -> Decimal {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().unwrap_or_else(|_| panic!("{value} is no amount"))
}

fn figure(shop: &str, variant: &Value) -> Decimal {
    let there = |code: &str| amount(&variant["stock"][code]["forecast"]);
    let sum = if shop == "us" { there("WH") + there("WEST") } else { there("WH") };
    sum.max(Decimal::ZERO)
}

fn price(shop: &str, variant: &Value) -> String {
    let list = if shop == "us" { "Retail USD" } else { "Retail EUR" };
    amount(&variant["prices"][list]).to_string()
}

impl Middleman {
    pub fn new(urls: BTreeMap<String, String>) -> Self {
        Self { http: reqwest::Client::new(), urls }
    }

    pub async fn get(&self, who: &str, page: &str) -> Value {
        let url = format!("{}/_twin/{page}", self.urls[who]);
        let answer = self.http.get(url).send().await.expect("an answer");
        serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
    }

    pub async fn act(&self, who: &str, page: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}/_twin/{page}", self.urls[who]));
        self.send(page, request, body).await
    }

    /// The ERP's API.
    pub async fn call(&self, method: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}/json/2/{method}", self.urls["erp"]));
        self.send(method, request.header("authorization", "bearer demo-erp-key"), body).await
    }

    /// A shop's API.
    pub async fn put(&self, shop: &str, path: &str, body: Value) -> Value {
        let request = self.http.put(format!("{}/wp-json/wc/v3/{path}", self.urls[shop]));
        let (key, secret) = (format!("ck_demo_{shop}"), format!("cs_demo_{shop}"));
        self.send(path, request.basic_auth(key, Some(secret)), body).await
    }

    pub async fn send(&self, what: &str, request: reqwest::RequestBuilder, body: Value) -> Value {
        let request = request.header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.expect("an answer");
        let good = answer.status().is_success();
        let text = answer.text().await.expect("a body");
        assert!(good, "{what} {body}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The ERP's goods; where case is ignored, without those of which a shop would see two as one.
    pub async fn goods(&self, ignores_case: bool) -> Vec<Value> {
        let state = self.get("erp", "state?part=variants").await;
        let sku = |variant: &Value| variant["default_code"].as_str().unwrap_or("").to_owned();
        let mut folded: BTreeMap<String, usize> = BTreeMap::new();
        for variant in list(&state["variants"]) {
            *folded.entry(sku(variant).to_lowercase()).or_default() += 1;
        }
        let service = |sku: &str| sku.is_empty() || sku.starts_with("SHIP") || sku == "FEE";
        let goods = list(&state["variants"]).iter().filter(|variant| {
            let sku = sku(variant);
            let alone = !ignores_case || folded[&sku.to_lowercase()] == 1;
            !service(&sku) && sku != "ROUNDING" && alone
        });
        goods.cloned().collect()
    }

    pub async fn load(&self) {
        let state = self.get("erp", "state?part=templates").await;
        let goods = self.goods(true).await;
        for shop in ["de", "us"] {
            let mut products = Vec::new();
            for template in list(&state["templates"]) {
                let id = &template["id"];
                let own: Vec<&Value> = goods
                    .iter()
                    .filter(|v| &v["template_id"] == id || &v["template_id"][0] == id)
                    .collect();
                if !own.is_empty() {
                    products.push(product(shop, template, &own));
                }
            }
            self.act(shop, "seed", json!({ "products": products })).await;
        }
        self.load_plus().await;
    }

    /// Brings prices and stock of all shops to what the ERP says.
    pub async fn align(&self) {
        self.align_less(&BTreeMap::new()).await;
    }

    /// The same, while the ERP knows of no order: what was sold comes off its figures.
    pub async fn align_less_sold(&self) {
        let mut sold: BTreeMap<String, i64> = BTreeMap::new();
        for shop in ["de", "us", "plus"] {
            for order in list(&self.get(shop, "orders").await) {
                for line in list(&order["line_items"]) {
                    let sku = line["sku"].as_str().unwrap_or("").to_owned();
                    *sold.entry(sku).or_default() += line["quantity"].as_i64().expect("units");
                }
            }
        }
        self.align_less(&sold).await;
    }

    async fn align_less(&self, sold: &BTreeMap<String, i64>) {
        self.align_plus(sold).await;
        let goods = self.goods(true).await;
        for shop in ["de", "us"] {
            let brief = self.get(shop, "brief").await;
            let rows: BTreeMap<&str, &Value> =
                list(&brief).iter().map(|row| (row["sku"].as_str().unwrap_or(""), row)).collect();
            for variant in &goods {
                // What a person deleted stays deleted.
                let row = rows.get(variant["default_code"].as_str().expect("a SKU"));
                let Some(row) = row else { continue };
                let (price, stock) = (price(shop, variant), figure(shop, variant));
                let gone = sold.get(variant["default_code"].as_str().expect("a SKU"));
                let stock = (stock - Decimal::from(gone.copied().unwrap_or(0))).max(Decimal::ZERO);
                let same_price = amount(&row["price"]) == price.parse().expect("a price");
                if same_price && amount(&row["stock"]) == stock {
                    continue;
                }
                let stock = json!(stock.normalize().to_string().parse::<i64>().expect("units"));
                let body = json!({ "regular_price": price, "stock_quantity": stock });
                self.act(shop, &format!("products/{}", row["id"]), body).await;
            }
        }
    }

    /// Orders that the ERP does not have yet, told apart by their reference.
    pub async fn carry_orders(&self) {
        let state = self.get("erp", "state?part=orders").await;
        let known: BTreeSet<&str> = list(&state["orders"])
            .iter()
            .filter_map(|order| order["client_order_ref"].as_str())
            .collect();
        for shop in ["de", "us", "plus"] {
            for order in list(&self.get(shop, "orders").await) {
                let number = order.get("order_number").unwrap_or(&order["id"]);
                let reference = format!("{}-{number}", shop.to_uppercase());
                if !known.contains(reference.as_str()) {
                    self.carry(shop, order, &reference).await;
                }
            }
        }
    }

    /// One order, confirmed, under a reference; answers its id in the ERP.
    pub async fn carry(&self, shop: &str, order: &Value, reference: &str) -> Value {
        let (name, email, mut left, wanted) =
            if shop == "plus" { Self::plus_order(order) } else { woo_order(order) };
        let vals = json!({ "name": name, "email": email });
        let partner = self.call("res.partner/create", json!({ "vals_list": [vals] })).await;
        let mut lines = Vec::new();
        for (sku, quantity, unit) in wanted {
            left -= unit * quantity;
            lines.push(item(self.product(&sku).await, quantity, unit));
        }
        if !left.is_zero() {
            lines.push(item(self.product("ROUNDING").await, Decimal::ONE, left));
        }
        let name = if shop == "de" { "Retail EUR" } else { "Retail USD" };
        let body = json!({ "domain": [["name", "=", name]] });
        let price_list = self.call("product.pricelist/search", body).await;
        let vals = json!({
            "partner_id": partner[0], "client_order_ref": reference, "order_line": lines,
            "pricelist_id": price_list[0],
        });
        let created = self.call("sale.order/create", json!({ "vals_list": [vals] })).await;
        self.call("sale.order/action_confirm", json!({ "ids": [created[0]] })).await;
        created[0].clone()
    }

    async fn product(&self, sku: &str) -> Value {
        let body = json!({ "domain": [["default_code", "=", sku]] });
        self.call("product.product/search", body).await[0].clone()
    }

    /// Numbers of parcels back to the shops, by the reference.
    pub async fn carry_parcels(&self) {
        let state = self.get("erp", "state?part=orders").await;
        for order in list(&state["orders"]) {
            let reference = order["client_order_ref"].as_str().unwrap_or("").to_lowercase();
            let Some((shop, id)) = reference.split_once('-') else { continue };
            for parcel in list(&order["pickings"]).iter().filter(|p| p["state"] == "done") {
                if shop == "plus" {
                    self.parcel_plus(id, parcel).await;
                    continue;
                }
                let entry = json!({ "carrier": parcel["carrier"], "number": parcel["tracking"] });
                let meta = json!([{ "key": "_kilter_tracking", "value": [entry] }]);
                let body = json!({ "status": "completed", "meta_data": meta });
                self.put(shop, &format!("orders/{id}"), body).await;
            }
        }
    }
}

/// Name, e-mail, total, (SKU, pieces, gross unit).
fn woo_order(order: &Value) -> (Value, String, Decimal, Vec<(String, Decimal, Decimal)>) {
    let mut lines = Vec::new();
    for (list_name, service) in
        [("line_items", ""), ("shipping_lines", "SHIPPING"), ("fee_lines", "FEE")]
    {
        for line in list(&order[list_name]) {
            let sku = if service.is_empty() { line["sku"].as_str() } else { Some(service) };
            let quantity = line.get("quantity").map_or(Decimal::ONE, amount);
            let gross = amount(&line["total"]) + amount(&line["total_tax"]);
            let unit = (gross / quantity).round_dp(2);
            lines.push((sku.expect("a SKU").to_owned(), quantity, unit));
        }
    }
    let email = order["billing"]["email"].as_str().expect("an address").to_lowercase();
    (order["billing"]["last_name"].clone(), email, amount(&order["total"]), lines)
}

fn item(product: Value, quantity: Decimal, unit: Decimal) -> Value {
    json!([0, 0, {
        "product_id": product, "product_uom_qty": number(quantity), "price_unit": number(unit),
        "discount": 0, "tax_ids": [[6, 0, []]],
    }])
}

fn number(amount: Decimal) -> Value {
    serde_json::from_str(&amount.to_string()).expect("a number")
}

fn product(shop: &str, template: &Value, own: &[&Value]) -> Value {
    let locale = if shop == "us" { "en_US" } else { "de_DE" };
    let offer = |variant: &Value| {
        let attributes = variant["attributes"].as_object().expect("attributes");
        let options: Vec<Value> = attributes
            .iter()
            .map(|(name, option)| json!({ "name": name, "option": option }))
            .collect();
        let mut offer = json!({
            "sku": variant["default_code"], "regular_price": price(shop, variant),
            "stock_quantity": figure(shop, variant).normalize().to_string().parse::<i64>().expect("units"),
            "weight": amount(&variant["weight"]).to_string(), "manage_stock": true,
        });
        if !options.is_empty() {
            offer["attributes"] = json!(options);
        }
        if let Some(barcode) = variant["barcode"].as_str() {
            offer["global_unique_id"] = json!(barcode);
        }
        offer
    };
    let mut attributes: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (name, option) in own.iter().flat_map(|v| v["attributes"].as_object().expect("a map")) {
        let options = attributes.entry(name).or_default();
        if !options.contains(&option) {
            options.push(option);
        }
    }
    if attributes.is_empty() {
        let mut simple = offer(own[0]);
        simple["name"] = template["name"][locale].clone();
        return simple;
    }
    let attributes: Vec<Value> = attributes
        .iter()
        .map(|(name, options)| json!({ "name": name, "options": options, "variation": true }))
        .collect();
    let variations: Vec<Value> = own.iter().map(|variant| offer(variant)).collect();
    json!({
        "name": template["name"][locale], "type": "variable", "attributes": attributes,
        "variations": variations,
    })
}
