//! A WooCommerce shop on the stage.
//!
//! Reads   the twin's pages.
//! Writes  bodies for its checkout, its part of the config.
//! Never   knows of more than one figure and one price for an offer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::HOOK_SECRET;
use super::catalogue::Catalogue;
use super::checkout::Basket;
use super::office::{decimal, items, text};
use super::script::Writes;
use super::shop::{Offer, Product, Shop};
use super::shops::{Facts, Placed, Platform, ShopOrder, Work};

/// Most items of a batch.
const BATCH: usize = 100;

/// Where it shows its parcels: this key's value lists carrier, number and url.
const TRACKING_KEY: &str = "_kilter_tracking";

#[derive(Debug)]
pub struct WooCommerce;

fn key(shop: &Facts) -> String {
    format!("ck_demo_{}", shop.name)
}

fn secret(shop: &Facts) -> String {
    format!("cs_demo_{}", shop.name)
}

fn rate(shop: &Facts) -> &'static str {
    if shop.german() { "19" } else { "8" }
}

impl Platform for WooCommerce {
    fn twin(&self) -> &'static str {
        "woocommerce"
    }

    fn settings(&self, shop: &Facts) -> Vec<(&'static str, String)> {
        let (locale, included, first) =
            if shop.german() { ("de_DE", "true", "101") } else { ("en_US", "false", "5001") };
        vec![
            ("currency", shop.currency.to_owned()),
            ("locale", locale.to_owned()),
            ("tax_rate", rate(shop).to_owned()),
            ("prices_include_tax", included.to_owned()),
            ("first_id", first.to_owned()),
            ("consumer_key", key(shop)),
            ("consumer_secret", secret(shop)),
        ]
    }

    fn ignores_case(&self) -> bool {
        true
    }

    fn ids(&self, _state: &Value) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn section(
        &self,
        shop: &Facts,
        url: &str,
        _ids: &BTreeMap<String, String>,
        since: &str,
    ) -> String {
        let (intro, scope) = if shop.german() { (DE, DE_SCOPE) } else { (US, US_SCOPE) };
        format!(
            r#"{intro}[connection.{name}]
connector       = "woocommerce"
url             = "{url}"
consumer_key    = "{key}"
consumer_secret = "{secret}"
webhook_secret  = "{HOOK_SECRET}"
{scope}
orders          = {{ prefix = "{prefix}", import = ["paid", "completed"], since = "{since}" }}

[connection.{name}.every]
orders     = "5s"
simple     = "2m"
variable   = "2m"
variations = "2m"

# The rate, and the shop's id of it.
[connection.{name}.lookup.taxes]
"{rate}" = "1"
"#,
            name = shop.name,
            key = key(shop),
            secret = secret(shop),
            prefix = shop.name.to_uppercase(),
            rate = rate(shop),
        )
    }

    fn goods(&self, brief: &Value) -> Shop {
        let mut shop = Shop::new(self.ignores_case());
        let mut children: HashMap<u64, usize> = HashMap::new();
        for row in items(brief) {
            *children.entry(row["parent"].as_u64().unwrap_or(0)).or_default() += 1;
        }
        for row in items(brief) {
            let id = row["id"].as_u64().unwrap_or(0);
            let parent = row["parent"].as_u64().filter(|parent| *parent > 0);
            if parent.is_none() {
                let product = Product {
                    id,
                    name: unescape(text(&row["name"])),
                    kind: format!("{}, {}", text(&row["type"]), text(&row["status"])),
                    options: attributes(row),
                    variants: children.get(&id).copied().unwrap_or(0),
                };
                shop.products.insert(id, product);
            }
            shop.add(offer(row, parent.unwrap_or(id)));
        }
        shop
    }

    fn kind(&self, simple: bool) -> &'static str {
        if simple { "simple, publish" } else { "variable, publish" }
    }

    fn checkout(&self, basket: &Basket) -> Value {
        let german = basket.shop.german();
        let items: Vec<Value> = basket
            .lines
            .iter()
            .map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity }))
            .collect();
        let buyer = &basket.buyer;
        let address = json!({
            "first_name": buyer.first, "last_name": buyer.last, "address_1": buyer.street,
            "postcode": buyer.postcode, "city": buyer.city, "country": buyer.country,
        });
        let mut billing = address.clone();
        billing["email"] = json!(buyer.email);
        billing["phone"] = json!("+49 30 901820");
        let (title, cost) = if german { ("Versand", "4.12") } else { ("Flat rate", "6.50") };
        let mut body = json!({
            "lines": items, "billing": billing, "shipping": address, "status": "processing",
            "check_stock": true, "payment_method": "stripe",
            "payment_method_title": if german { "Kreditkarte" } else { "Credit card" },
            "shipping_lines": [{ "method_id": "flat_rate", "method_title": title, "total": cost }],
        });
        if basket.extra {
            let (name, cost) =
                if german { ("Geschenkpapier", "2.51") } else { ("Gift wrap & card", "3.00") };
            body["fee_lines"] = json!([{ "name": name, "total": cost }]);
        }
        if let Some(percent) = basket.coupon {
            body["coupon_percent"] = json!(percent);
        }
        if let Some(note) = basket.note {
            body["customer_note"] = json!(note);
        }
        body
    }

    fn placed(&self, answer: &Value) -> Option<Placed> {
        let id = answer["id"].as_u64()?;
        let (total, currency) = (decimal(&answer["total"])?, text(&answer["currency"]).to_owned());
        Some(Placed { id, number: id.to_string(), total, currency })
    }

    fn orders(&self, page: &Value) -> Vec<ShopOrder> {
        let order = |order: &Value| ShopOrder {
            id: order["id"].as_u64().unwrap_or(0),
            state: match text(&order["status"]) {
                "processing" => "open",
                "completed" => "shipped",
                other => other,
            }
            .to_owned(),
            total: decimal(&order["total"]).unwrap_or_default(),
            parcels: tracking(order),
        };
        items(page).map(order).collect()
    }

    fn writes(&self, calls: &Value) -> Writes {
        let reads = ["GET ", "HEAD ", "OPTIONS "];
        let routes = calls["routes"].as_object().into_iter().flatten();
        routes
            .filter(|(route, _)| !reads.iter().any(|method| route.starts_with(method)))
            .map(|(route, count)| (route.clone(), count["calls"].as_u64().unwrap_or(0)))
            .collect()
    }

    /// Simple products go together, variations by their parent, orders together.
    fn least(&self, catalogue: &Catalogue, work: &Work) -> usize {
        let mut skus: BTreeSet<&str> = work.prices.iter().map(String::as_str).collect();
        skus.extend(work.figures.iter().map(|(_, sku)| sku.as_str()));
        let created = work.created.iter().map(|at| &catalogue.templates[*at]);
        let variations = created.filter(|template| !template.is_simple());
        skus.extend(variations.flat_map(|t| &t.variants).map(|v| v.sku.as_str()));
        grouped(catalogue, &skus)
            + work.created.len().div_ceil(BATCH)
            + work.titles.len().div_ceil(BATCH)
            + work.parcels.div_ceil(BATCH)
    }

    fn judges_writes(&self) -> bool {
        true
    }
}

/// Calls to write these SKUs once.
fn grouped(catalogue: &Catalogue, skus: &BTreeSet<&str>) -> usize {
    let (mut simple, mut calls) = (0, 0);
    for template in &catalogue.templates {
        let here = template.variants.iter().filter(|v| skus.contains(v.sku.as_str())).count();
        match template.is_simple() {
            true => simple += here,
            false => calls += here.div_ceil(BATCH),
        }
    }
    calls + simple.div_ceil(BATCH)
}

fn offer(row: &Value, product: u64) -> Offer {
    let own = |name: &str| text(&row[name]).to_owned();
    let one = |value: Option<_>| value.map(|value| (String::new(), value)).into_iter().collect();
    let counts = row["manage"].as_bool().unwrap_or(false);
    let options = attributes(row).into_iter();
    Offer {
        id: row["id"].as_u64().unwrap_or(product),
        product,
        sku: own("sku"),
        barcode: own("gtin"),
        weight: decimal(&row["weight"]),
        options: options.map(|(n, v)| (n, v.into_iter().next().unwrap_or_default())).collect(),
        prices: one(decimal(&row["price"])),
        stock: one(decimal(&row["stock"]).filter(|_| counts)),
    }
}

/// A variation's attribute → its option; a product's attribute → its options.
fn attributes(row: &Value) -> BTreeMap<String, Vec<String>> {
    let mut attributes = BTreeMap::new();
    for attribute in items(&row["attributes"]) {
        let options: Vec<String> = match attribute["option"].as_str() {
            Some(option) => vec![unescape(option)],
            None => items(&attribute["options"]).map(|option| unescape(text(option))).collect(),
        };
        attributes.insert(unescape(text(&attribute["name"])), options);
    }
    attributes
}

/// Carrier and number of each parcel that an order shows.
fn tracking(order: &Value) -> Vec<String> {
    let entries = items(&order["meta_data"]).filter(|meta| meta["key"] == TRACKING_KEY);
    let parcels = entries.flat_map(|meta| items(&meta["value"]));
    parcels.map(|p| format!("{} {}", text(&p["carrier"]), text(&p["number"]))).collect()
}

/// The five escapes that a shop writes into a text.
fn unescape(text: &str) -> String {
    let escapes = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#039;", "'"), ("&amp;", "&")];
    escapes.iter().fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

const DE: &str = "
# The German shop: prices in euros, tax included. It sells from one warehouse.
";
const DE_SCOPE: &str = r#"locale          = "de_DE"
currency        = "EUR"
price_list      = "retail-eur"
locations       = ["main"]"#;

const US: &str = "
# The American shop: prices in dollars, tax on top. It sells from both warehouses.
";
const US_SCOPE: &str = r#"locale          = "en_US"
currency        = "USD"
price_list      = "retail-usd"
locations       = ["main", "west"]"#;
