//! Who acts in a storm: clerks, buyers, people in the shops, and the weather.
//!
//! Reads   a script.   Writes  through the twins' back offices; notes what people left in the shops.
//! Never   draws from the dice while it acts: each step stands alone, so that others may be left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::storms::refunds::Refunds;
use crate::storms::script::{Shop, Step};
use crate::storms::stage::Stage;
use crate::support::Serving;

/// What people left behind.
#[derive(Debug, Default)]
pub struct Left {
    /// (shop, SKU) → what is the shop's own.
    pub own: BTreeMap<(Shop, String), (u32, &'static str)>,
    /// SKU → what editors wrote; template → every text that the ERP proposed.
    pub told: BTreeMap<String, String>,
    pub proposed: BTreeMap<i64, BTreeSet<String>>,
    /// Not on sale.
    pub off: BTreeSet<String>,
    pub deleted: BTreeSet<(Shop, String)>,
    /// In the bin now.
    pub binned: BTreeMap<(Shop, String), u64>,
    pub orders: BTreeMap<Shop, Vec<u64>>,
    pub refunds: Refunds,
    /// Steps that people could do: (kind, how often).
    pub done: BTreeMap<&'static str, usize>,
}

/// More would be taken for another account: see `absent`.
const DELETES_MAX: usize = 4;

/// From one step to the next.
const BETWEEN: Duration = Duration::from_millis(40);

pub async fn act(stage: &Stage, script: &[Step], serving: &mut Serving, without: &str) -> Left {
    let mut left = Left::default();
    for step in script {
        tokio::time::sleep(BETWEEN).await;
        let kind = if let Step::Restart { kill, dead_ms } = step {
            if *kill {
                serving.kill()
            } else {
                serving.stop()
            }
            tokio::time::sleep(Duration::from_millis(*dead_ms)).await;
            *serving = stage.served(without).await;
            Some(if *kill { "kill" } else { "stop" })
        } else {
            // Their own calls are not what is tried.
            let calls = matches!(
                step,
                Step::Rename { .. }
                    | Step::Weigh { .. }
                    | Step::Describe { .. }
                    | Step::Mark { .. }
                    | Step::Sell { .. }
                    | Step::Delete { .. }
                    | Step::Refund { .. }
            );
            if calls {
                stage.own(false).await;
            }
            let done = one(stage, step, &mut left).await;
            if calls {
                stage.own(true).await;
            }
            done
        };
        if let Some(kind) = kind {
            *left.done.entry(kind).or_default() += 1;
        }
    }
    left
}

/// None: the moment had passed, as where a product is not on sale.
async fn one(stage: &Stage, step: &Step, left: &mut Left) -> Option<&'static str> {
    let erp = stage.rig.erp.url();
    let office = |page: &str| format!("{erp}/_twin/{page}");
    match step {
        Step::Price { sku, list, cents } => {
            let price = format!("{}.{:02}", cents / 100, cents % 100);
            let edit = json!([{ "sku": sku, "list": list, "price": price }]);
            stage.rig.post(&office("prices"), &edit).await;
            Some("price")
        }
        Step::Stock { sku, place, quantity } => {
            let edit = json!([{ "sku": sku, "warehouse": place, "quantity": quantity }]);
            stage.rig.post(&office("stock"), &edit).await;
            Some("stock")
        }
        Step::Rename { .. }
        | Step::Weigh { .. }
        | Step::Describe { .. }
        | Step::Mark { .. }
        | Step::Sell { .. } => in_the_erp(stage, step, left).await,
        Step::New { number } => {
            let body = json!({ "templates": [{
                "name": { "en_US": format!("New {number}"), "de_DE": format!("Neu {number}") },
                "list_price": 5, "type": "consu",
                "variants": [{ "default_code": format!("NEW-{number:03}"), "weight": 0.5,
                    "prices": { "EUR": "7.00", "USD": "8.00" }, "stock": { "WH": 5, "WST": 1 } }],
            }]});
            stage.rig.post(&office("seed"), &body).await;
            Some("new")
        }
        Step::Fail { system, fault, times, writes_only } => {
            stage.relays()[*system].strike(*fault, *times, *writes_only);
            Some("fail")
        }
        Step::Lose { shop, on } => {
            let url = format!("{}/_twin/faults", url(stage, *shop));
            stage.rig.post(&url, &json!({ "drop_webhooks": on })).await;
            Some("lose")
        }
        Step::Weather(weather) => {
            *stage.door.weather.lock().unwrap() = *weather;
            Some("weather")
        }
        Step::Wait { ms } => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            Some("wait")
        }
        _ => in_a_shop(stage, step, left).await,
    }
}

/// The same, for what clerks say of a product.
async fn in_the_erp(stage: &Stage, step: &Step, left: &mut Left) -> Option<&'static str> {
    match step {
        Step::Rename { sku, language, name } => {
            let (_, template) = variant(stage, sku).await?;
            let context = json!({ "lang": language });
            let body = json!({ "ids": [template], "vals": { "name": name }, "context": context });
            clerk(stage, "product.template/write", &body).await;
            Some("rename")
        }
        Step::Weigh { sku, grams } => {
            let (id, _) = variant(stage, sku).await?;
            let weight = format!("{}.{:03}", grams / 1000, grams % 1000);
            let weight: serde_json::Number = weight.parse().unwrap();
            let body = json!({ "ids": [id], "vals": { "weight": weight } });
            clerk(stage, "product.product/write", &body).await;
            Some("weigh")
        }
        Step::Describe { sku, language, text } => {
            let (_, template) = variant(stage, sku).await?;
            let context = json!({ "lang": language });
            let vals = json!({ "description_sale": text });
            let body = json!({ "ids": [template], "vals": vals, "context": context });
            left.proposed.entry(template).or_default().insert(text.clone());
            clerk(stage, "product.template/write", &body).await;
            Some("describe")
        }
        Step::Mark { sku, code } => {
            let (id, _) = variant(stage, sku).await?;
            let body = json!({ "ids": [id], "vals": { "barcode": code } });
            clerk(stage, "product.product/write", &body).await;
            Some("mark")
        }
        Step::Sell { sku, on } => sell(stage, sku, *on, left).await,
        _ => unreachable!("no product's: {step:?}"),
    }
}

/// The same, for what customers and editors do.
async fn in_a_shop(stage: &Stage, step: &Step, left: &mut Left) -> Option<&'static str> {
    match step {
        Step::Order { shop, lines, buyer } => order(stage, *shop, lines, *buyer, left).await,
        Step::Cancel { shop, nth } => {
            let orders = left.orders.get(shop)?;
            let id = *orders.get(nth % orders.len().max(1))?;
            if left.refunds.of(*shop, id).is_some() {
                return None;
            }
            left.refunds.cancelled.insert((*shop, id));
            let url = format!("{}/_twin/orders/{id}/status", url(stage, *shop));
            stage.rig.post(&url, &json!({ "status": "cancelled" })).await;
            Some("cancel")
        }
        Step::Drift { shop, sku, what, value } => {
            let id = product(stage, *shop, sku).await?;
            let value = match *what {
                "stock_quantity" => json!(value.parse::<u32>().unwrap()),
                _ => json!(value),
            };
            edit(stage, *shop, id, &json!({ *what: value })).await?;
            Some("drift")
        }
        Step::Own { shop, sku, order, visibility } => {
            let id = product(stage, *shop, sku).await?;
            if sku.starts_with("TEE") {
                return None;
            }
            let body = json!({ "menu_order": order, "catalog_visibility": visibility });
            edit(stage, *shop, id, &body).await?;
            left.own.insert((*shop, sku.clone()), (*order, visibility));
            Some("own")
        }
        Step::Tell { sku, text } => {
            let id = product(stage, Shop::De, sku).await?;
            if sku.starts_with("TEE") {
                return None;
            }
            edit(stage, Shop::De, id, &json!({ "description": text })).await?;
            left.told.insert(sku.clone(), text.clone());
            Some("tell")
        }
        Step::Delete { shop, sku } => delete(stage, *shop, sku, left).await,
        Step::Bin { shop, sku } => bin(stage, *shop, sku, left).await,
        Step::Restore { shop, nth } => restore(stage, *shop, *nth, left).await,
        Step::Refund { shop, nth, what } => {
            let orders = left.orders.get(shop)?;
            let id = *orders.get(nth % orders.len().max(1))?;
            left.refunds.make(stage, *shop, id, *what).await
        }
        _ => unreachable!("a clerk's step: {step:?}"),
    }
}

pub fn url(stage: &Stage, shop: Shop) -> String {
    match shop {
        Shop::De => stage.rig.de.url(),
        Shop::Us => stage.rig.us.url(),
    }
}

/// A customer buys what the shop says it has; otherwise he leaves.
async fn order(
    stage: &Stage,
    shop: Shop,
    lines: &[(String, u32)],
    buyer: u32,
    left: &mut Left,
) -> Option<&'static str> {
    let lines: Vec<Value> =
        lines.iter().map(|(sku, n)| json!({ "sku": sku, "quantity": n })).collect();
    let country = if shop == Shop::De { "DE" } else { "US" };
    let body = json!({
        "lines": lines, "check_stock": true, "shipping_total": "4.90",
        "billing": { "first_name": "Ada", "last_name": format!("Nr {buyer}"),
            "email": format!("ada{buyer}@example.com"), "address_1": format!("Weg {buyer}"),
            "city": "Berlin", "postcode": "10115", "country": country },
    });
    let placed = stage.rig.try_post(&format!("{}/_twin/orders", url(stage, shop)), &body).await;
    left.orders.entry(shop).or_default().push(placed.ok()?["id"].as_u64()?);
    Some("order")
}

/// What is taken off sale is a draft in the shops.
async fn sell(stage: &Stage, sku: &str, on: bool, left: &mut Left) -> Option<&'static str> {
    if sku.starts_with("TEE") {
        return None;
    }
    let (_, template) = variant(stage, sku).await?;
    let body = json!({ "ids": [template], "vals": { "sale_ok": on } });
    clerk(stage, "product.template/write", &body).await;
    match on {
        true => left.off.remove(sku),
        false => left.off.insert(sku.to_owned()),
    };
    Some("sell")
}

async fn clerk(stage: &Stage, call: &str, body: &Value) {
    let request = stage.rig.http.post(format!("{}/json/2/{call}", stage.rig.erp.url()));
    let request = request.bearer_auth("test-key").header("content-type", "application/json");
    let answer = request.body(body.to_string()).send().await.unwrap();
    assert!(answer.status().is_success(), "{call}: {}", answer.text().await.unwrap());
}

/// A variant's id and its template's.
async fn variant(stage: &Stage, sku: &str) -> Option<(i64, i64)> {
    let url = format!("{}/_twin/state?part=variants", stage.rig.erp.url());
    let state = stage.rig.get(&url).await;
    let found = state["variants"].as_array()?.iter().find(|v| v["default_code"] == sku)?;
    let template = found["template_id"].as_i64().or_else(|| found["template_id"][0].as_i64());
    Some((found["id"].as_i64()?, template?))
}

async fn product(stage: &Stage, shop: Shop, sku: &str) -> Option<u64> {
    let brief = stage.rig.get(&format!("{}/_twin/brief", url(stage, shop))).await;
    let found = brief.as_array()?.iter().find(|p| p["sku"] == sku)?;
    found["id"].as_u64()
}

async fn edit(stage: &Stage, shop: Shop, id: u64, body: &Value) -> Option<Value> {
    stage.rig.try_post(&format!("{}/_twin/products/{id}", url(stage, shop)), body).await.ok()
}

/// As many were taken out of a shop as may be.
fn enough(shop: Shop, left: &Left) -> bool {
    let of = |(other, _): &&(Shop, String)| *other == shop;
    left.deleted.iter().chain(left.binned.keys()).filter(of).count() >= DELETES_MAX
}

/// Nobody is told: a product that is deleted for good sends no webhook.
async fn delete(stage: &Stage, shop: Shop, sku: &str, left: &mut Left) -> Option<&'static str> {
    if sku.starts_with("TEE") || enough(shop, left) {
        return None;
    }
    let id = product(stage, shop, sku).await?;
    let base = url(stage, shop);
    let request = stage.rig.http.delete(format!("{base}/wp-json/wc/v3/products/{id}?force=true"));
    let request = request.basic_auth("ck_test", Some("cs_test"));
    assert!(request.send().await.unwrap().status().is_success(), "delete {sku}");
    left.deleted.insert((shop, sku.to_owned()));
    // What is made again is another product: what was the shop's own is lost with the first.
    left.own.remove(&(shop, sku.to_owned()));
    if shop == Shop::De {
        left.told.remove(sku);
    }
    Some("delete")
}

async fn bin(stage: &Stage, shop: Shop, sku: &str, left: &mut Left) -> Option<&'static str> {
    if sku.starts_with("TEE") || enough(shop, left) {
        return None;
    }
    let id = product(stage, shop, sku).await?;
    edit(stage, shop, id, &json!({ "status": "trash" })).await?;
    left.binned.insert((shop, sku.to_owned()), id);
    Some("bin")
}

/// A shop that is to make again what was deleted cannot, as long as the SKU lies in its bin.
pub async fn clear_bin(stage: &Stage, shop: Shop, left: &mut Left) {
    while restore(stage, shop, 0, left).await.is_some() {}
}

async fn restore(stage: &Stage, shop: Shop, nth: usize, left: &mut Left) -> Option<&'static str> {
    let mine: Vec<_> = left.binned.keys().filter(|(other, _)| *other == shop).cloned().collect();
    let key = mine.get(nth % mine.len().max(1))?;
    let id = left.binned.remove(key)?;
    let to = format!("{}/_twin/products/{id}", url(stage, shop));
    let there = stage.rig.try_post(&to, &json!({ "status": "publish" })).await;
    assert!(there.is_ok(), "{key:?} was taken out of the bin by somebody else: {there:?}");
    Some("restore")
}
