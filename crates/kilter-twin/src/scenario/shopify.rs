//! A Shopify shop on the stage: two locations, a price list beside the price on the product.
//!
//! Reads   the twin's pages.
//! Writes  bodies for its checkout, its part of the config.
//! Never   takes two SKUs for one: case counts there.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::catalogue::Catalogue;
use super::checkout::Basket;
use super::office::{decimal, items, text};
use super::script::Writes;
use super::shop::{Offer, Product, Shop};
use super::shops::{Facts, Placed, Platform, ShopOrder, Work};

/// Most items of a list in most mutations.
const LIST: usize = 250;

const TOKEN: &str = "shpat_demo_plus";
const SECRET: &str = "demo-app-secret";

/// The option of a product that has none.
const NO_OPTION: (&str, &str) = ("Title", "Default Title");

#[derive(Debug)]
pub struct Shopify;

/// The platform rings again after 56 seconds, doubling; who watches a demo does not wait for that.
const RETRY_SECONDS: &str = "4";

impl Platform for Shopify {
    fn twin(&self) -> &'static str {
        "shopify"
    }

    fn settings(&self, shop: &Facts) -> Vec<(&'static str, String)> {
        let places: Vec<&str> = shop.figures.iter().map(|(place, _)| *place).collect();
        let own = shop.lists.iter().filter(|(_, own)| !own.is_empty());
        let lists: Vec<String> = own.map(|(_, own)| format!("{own}:{}", shop.currency)).collect();
        vec![
            ("shop", shop.name.to_owned()),
            ("plan", "plus".to_owned()),
            ("currency", shop.currency.to_owned()),
            ("tax_rate", "8".to_owned()),
            ("locations", places.join(", ")),
            ("price_lists", lists.join(", ")),
            ("token", TOKEN.to_owned()),
            ("client_secret", SECRET.to_owned()),
            ("webhook_first_retry_seconds", RETRY_SECONDS.to_owned()),
        ]
    }

    fn ignores_case(&self) -> bool {
        false
    }

    fn ids(&self, state: &Value) -> BTreeMap<String, String> {
        let named = |list: &str| -> Vec<(String, String)> {
            let rows = items(&state[list]);
            rows.map(|row| (text(&row["name"]).to_owned(), text(&row["gid"]).to_owned())).collect()
        };
        named("locations").into_iter().chain(named("price_lists")).collect()
    }

    fn section(
        &self,
        shop: &Facts,
        url: &str,
        ids: &BTreeMap<String, String>,
        since: &str,
    ) -> String {
        let id = |name: &str| ids.get(name).map_or("", String::as_str);
        format!(
            r#"
# The second American shop: it has locations of its own, and a price list for business customers.
[connection.{name}]
connector     = "shopify"
url           = "{url}"
token         = "{TOKEN}"
client_secret = "{SECRET}"               # its webhooks are signed with it
locale        = "en_US"
currency      = "USD"
price_list    = "retail-usd"
price_lists   = {{ b2b-usd = "{b2b}" }}
orders        = {{ prefix = "{prefix}", import = ["paid", "completed"], since = "{since}" }}

[connection.{name}.locations]
main = "{main}"
west = "{west}"

[connection.{name}.every]
order   = "5s"
product = "2m"
variant = "2m"
price   = "2m"
stock   = "2m"
"#,
            name = shop.name,
            prefix = shop.name.to_uppercase(),
            b2b = id("b2b"),
            main = id("main"),
            west = id("west"),
        )
    }

    fn goods(&self, brief: &Value) -> Shop {
        let mut shop = Shop::new(self.ignores_case());
        for row in items(brief) {
            let id = row["product"].as_u64().unwrap_or(0);
            let offer = offer(row, id);
            let product = shop.products.entry(id).or_insert_with(|| Product {
                id,
                name: text(&row["name"]).to_owned(),
                kind: text(&row["status"]).to_owned(),
                options: BTreeMap::new(),
                variants: 0,
            });
            product.variants += usize::from(!offer.options.is_empty());
            for (name, value) in &offer.options {
                let values = product.options.entry(name.clone()).or_default();
                if !values.contains(value) {
                    values.push(value.clone());
                }
            }
            shop.add(offer);
        }
        shop
    }

    fn kind(&self, _simple: bool) -> &'static str {
        "ACTIVE"
    }

    fn checkout(&self, basket: &Basket) -> Value {
        let lines: Vec<Value> = basket
            .lines
            .iter()
            .map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity }))
            .collect();
        let buyer = &basket.buyer;
        let address = json!({
            "firstName": buyer.first, "lastName": buyer.last, "address1": buyer.street,
            "zip": buyer.postcode, "city": buyer.city, "countryCode": buyer.country,
            "phone": "+49 30 901820",
        });
        let mut body = json!({
            "lines": lines, "check_stock": true, "shipping_price": "5.90",
            "customer": {
                "email": buyer.email, "firstName": buyer.first, "lastName": buyer.last,
            },
            "billing": address, "shipping": address,
        });
        if basket.extra {
            body["tip"] = json!("3.00");
        }
        if let Some(percent) = basket.coupon {
            body["coupon_percent"] = json!(percent);
        }
        if let Some(note) = basket.note {
            body["note"] = json!(note);
        }
        body
    }

    fn placed(&self, answer: &Value) -> Option<Placed> {
        Some(Placed {
            id: answer["id"].as_u64()?,
            number: text(&answer["name"]).trim_start_matches('#').to_owned(),
            total: decimal(&answer["total_price"])?,
            currency: text(&answer["currency"]).to_owned(),
        })
    }

    fn orders(&self, page: &Value) -> Vec<ShopOrder> {
        let order = |order: &Value| ShopOrder {
            id: order["id"].as_u64().unwrap_or(0),
            state: state(order),
            total: decimal(&order["current_total_price"]).unwrap_or_default(),
            parcels: items(&order["fulfillments"])
                .filter(|parcel| parcel["status"] == "success")
                .flat_map(|parcel| {
                    let carrier = text(&parcel["tracking_company"]);
                    items(&parcel["tracking_numbers"])
                        .map(move |number| format!("{carrier} {}", text(number)))
                })
                .collect(),
        };
        items(page).map(order).collect()
    }

    fn writes(&self, calls: &Value) -> Writes {
        let routes = calls["routes"].as_object().into_iter().flatten();
        routes
            .filter(|(_, count)| count["kind"] == "write")
            .map(|(route, count)| (route.clone(), count["calls"].as_u64().unwrap_or(0)))
            .collect()
    }

    /// A product is created with its variants and its stock in one call; titles go product by
    /// product, prices on variants product by product, prices of lists and levels 250 at a time,
    /// parcels one by one. Bulk jobs are left aside: they answer when the shop likes.
    fn least(&self, catalogue: &Catalogue, work: &Work) -> usize {
        let priced = catalogue
            .templates
            .iter()
            .filter(|template| template.variants.iter().any(|v| work.prices.contains(&v.sku)));
        let lists: BTreeSet<&str> = work.listed.iter().map(|(list, _)| list.as_str()).collect();
        let listed = lists
            .into_iter()
            .map(|list| work.listed.iter().filter(|(own, _)| own == list).count().div_ceil(LIST));
        work.created.len()
            + work.titles.len()
            + priced.count()
            + listed.sum::<usize>()
            + work.figures.len().div_ceil(LIST)
            + work.parcels
    }

    fn judges_writes(&self) -> bool {
        false
    }
}

fn state(order: &Value) -> String {
    let paid = text(&order["financial_status"]);
    match order["fulfillment_status"].as_str() {
        _ if !order["cancelled_at"].is_null() => "cancelled",
        _ if paid != "paid" => paid,
        None => "open",
        Some("fulfilled") => "shipped",
        Some(other) => other,
    }
    .to_owned()
}

fn offer(row: &Value, product: u64) -> Offer {
    let own = |name: &str| text(&row[name]).to_owned();
    let fields = |name: &str| row[name].as_object().into_iter().flatten();
    let listed = fields("price_lists")
        .filter_map(|(list, amount)| decimal(amount).map(|amount| (list.clone(), amount)));
    let base = decimal(&row["price"]).map(|amount| (String::new(), amount));
    let tracked = row["manage"].as_bool().unwrap_or(false);
    let levels = fields("levels").filter(|_| tracked);
    let options = items(&row["attributes"])
        .map(|option| (text(&option["name"]).to_owned(), text(&option["option"]).to_owned()))
        .filter(|(name, value)| (name.as_str(), value.as_str()) != NO_OPTION);
    Offer {
        id: row["id"].as_u64().unwrap_or(product),
        product,
        sku: own("sku"),
        barcode: own("gtin"),
        weight: kilograms(&row["weight"]),
        options: options.collect(),
        prices: base.into_iter().chain(listed).collect(),
        stock: levels
            .filter_map(|(place, level)| Some((place.clone(), decimal(&level["available"])?)))
            .collect(),
    }
}

/// `{value, unit}`; no other unit than these is known to the platform.
fn kilograms(weight: &Value) -> Option<Decimal> {
    let value = decimal(&weight["value"])?;
    let grams = match text(&weight["unit"]) {
        "KILOGRAMS" => return Some(value),
        "GRAMS" => Decimal::ONE,
        "POUNDS" => Decimal::new(45_359_237, 5),
        "OUNCES" => Decimal::new(28_349_523_125, 9),
        _ => return None,
    };
    Some((value * grams / Decimal::ONE_THOUSAND).normalize())
}
