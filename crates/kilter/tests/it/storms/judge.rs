//! The referee of a storm: what each shop shows, held against the ERP, by the twins' own state.
//!
//! Reads   the twins.   Writes  sentences of what is wrong.   Never  looks into Kilter's store.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::Value;

use crate::storms::people::Left;
use crate::storms::script::Shop;
use crate::storms::stage::Stage;

/// What a shop is to show: prefix of its orders, price list, warehouses, language.
pub struct Face {
    pub shop: Shop,
    pub name: &'static str,
    pub list: &'static str,
    pub places: &'static [&'static str],
    pub language: &'static str,
}

pub const FACES: [Face; 2] = [
    Face { shop: Shop::De, name: "de", list: "EUR", places: &["WH"], language: "de_DE" },
    Face { shop: Shop::Us, name: "us", list: "USD", places: &["WH", "WST"], language: "en_US" },
];

pub fn list<'a>(state: &'a Value, part: &str) -> &'a [Value] {
    state[part].as_array().map_or(&[], Vec::as_slice)
}

pub fn decimal(value: &Value) -> Decimal {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse::<Decimal>().unwrap_or_default().normalize()
}

/// Units that a shop was to show, of what the ERP has by its forecast.
pub fn forecast(variant: &Value, places: &[&str]) -> Decimal {
    let of = |place: &&str| decimal(&variant["stock"][*place]["forecast"]);
    places.iter().map(of).sum()
}

/// Everything that is not as it should be once the storm is over.
pub async fn wrong(stage: &Stage, left: &Left) -> Vec<String> {
    let erp = stage.state(&stage.rig.erp.url()).await;
    let mut wrong = Vec::new();
    for face in &FACES {
        let shop = stage.state(&crate::storms::people::url(stage, face.shop)).await;
        goods(face, &shop, &erp, left, &mut wrong);
        orders(face, &shop, &erp, &mut wrong);
        let prefix = face.name.to_uppercase();
        wrong.extend(left.refunds.wrong(face.shop, &prefix, &shop, &erp));
    }
    wrong
}

/// While Kilter serves, each shop has its six webhooks, and they are on.
pub async fn unheard(stage: &Stage) -> Vec<String> {
    let mut wrong = Vec::new();
    for face in &FACES {
        let shop = stage.state(&crate::storms::people::url(stage, face.shop)).await;
        let hooks = list(&shop, "webhooks").iter().filter(|w| w["status"] == "active").count();
        wrong.extend((hooks != 6).then(|| format!("{}: {hooks} webhooks, not 6", face.name)));
    }
    wrong
}

/// SKU → what stands there under it, variable parents left out.
fn offers(shop: &Value) -> BTreeMap<String, Vec<&Value>> {
    let mut offers: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    let all = list(shop, "products").iter().chain(list(shop, "variations"));
    for one in all.filter(|p| p["type"] != "variable" && p["status"] != "trash") {
        let sku = one["sku"].as_str().unwrap_or_default().to_owned();
        offers.entry(sku).or_default().push(one);
    }
    offers
}

fn goods(face: &Face, shop: &Value, erp: &Value, left: &Left, wrong: &mut Vec<String>) {
    let (name, offers) = (face.name, offers(shop));
    let mut known = 0;
    for variant in list(erp, "variants") {
        let Some(sku) = variant["default_code"].as_str() else { continue };
        let found = offers.get(sku).map_or(&[][..], Vec::as_slice);
        known += found.len();
        let deleted = left.deleted.contains(&(face.shop, sku.to_owned()));
        // One shop asks what becomes of it, and nobody answers; the other has it made again, but
        // what lies in its bin holds the SKU.
        let binned = left.binned.contains_key(&(face.shop, sku.to_owned()));
        if binned || (deleted && face.shop == Shop::De) {
            if !found.is_empty() {
                wrong.push(format!("{name}: {sku} was deleted, and made again unasked"));
            }
            continue;
        }
        let [offer] = found else {
            wrong.push(format!("{name}: {sku} stands there {} times", found.len()));
            continue;
        };
        let mut compare = |what: &str, there: Value, here: Value| {
            if there != here {
                wrong.push(format!("{name}: {sku} shows {what} {there}, it was to be {here}"));
            }
        };
        at_variant(face, offer, variant, &mut compare);
        at_product(face, (shop, offer), (erp, variant), left, &mut compare);
        if let Some((order, visibility)) = left.own.get(&(face.shop, sku.to_owned())) {
            compare("its own place", offer["menu_order"].clone(), Value::from(*order));
            compare("its own way", offer["catalog_visibility"].clone(), Value::from(*visibility));
        }
    }
    let there: usize = offers.values().map(Vec::len).sum();
    if there != known {
        wrong.push(format!("{name}: {there} offers, {known} of them the ERP's"));
    }
}

/// What is shown, and what it was to be.
type Compare<'c> = &'c mut dyn FnMut(&str, Value, Value);

fn at_variant(face: &Face, offer: &Value, variant: &Value, compare: Compare<'_>) {
    let number = |v: Decimal| Value::String(v.normalize().to_string());
    let price = number(decimal(&variant["prices"][face.list]));
    compare("the price", number(decimal(&offer["regular_price"])), price);
    let weight = number(decimal(&variant["weight"]));
    compare("the weight", number(decimal(&offer["weight"])), weight);
    let stock = number(forecast(variant, face.places).max(Decimal::ZERO));
    compare("the stock", number(decimal(&offer["stock_quantity"])), stock);
    let code = variant["barcode"].as_str().unwrap_or_default();
    compare("the barcode", offer["global_unique_id"].clone(), code.into());
    compare("the choice", choice(offer), variant["attributes"].clone());
}

/// Title, status and description stand at the product.
fn at_product(
    face: &Face,
    (shop, offer): (&Value, &Value),
    (erp, variant): (&Value, &Value),
    left: &Left,
    compare: Compare<'_>,
) {
    let id = variant["template_id"].as_i64().or_else(|| variant["template_id"][0].as_i64());
    let template = list(erp, "templates").iter().find(|t| t["id"].as_i64() == id).unwrap();
    let parent = offer["parent_id"].as_u64().filter(|id| *id > 0);
    let at = list(shop, "products").iter().find(|p| p["id"].as_u64() == parent);
    let product = parent.map_or(offer, |_| at.unwrap_or(&Value::Null));
    let sku = variant["default_code"].as_str().unwrap();
    compare("the title", plain(&product["name"]), in_language(&template["name"], face));
    let off = if left.off.contains(sku) { "draft" } else { "publish" };
    compare("whether it is on sale", product["status"].clone(), off.into());
    let said = in_language(&template["description_sale"], face);
    let shown = product["description"].as_str().unwrap_or_default().trim();
    let shown = shown.strip_prefix("<p>").unwrap_or(shown);
    let shown = shown.strip_suffix("</p>").unwrap_or(shown);
    match (face.shop, left.told.get(sku)) {
        (Shop::Us, _) => compare("the description", shown.into(), said),
        // Proposed by the ERP once, and the editors' own from then on.
        (Shop::De, Some(told)) => compare("its own text", shown.into(), told.clone().into()),
        (Shop::De, None) => {
            let proposed =
                id.and_then(|id| left.proposed.get(&id)).is_some_and(|all| all.contains(shown));
            if !shown.is_empty() && !proposed {
                compare("a text of nobody's", shown.into(), Value::Null);
            }
        }
    }
}

/// What is shown is text as HTML.
fn plain(shown: &Value) -> Value {
    let text = shown.as_str().unwrap_or_default();
    let plain = [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#039;", "'")];
    Value::String(plain.iter().rev().fold(text.to_owned(), |t, (from, to)| t.replace(from, to)))
}

/// A text of the ERP's in a shop's language: the one of all, where it is not translated.
fn in_language(text: &Value, face: &Face) -> Value {
    let own = if text.is_object() { &text[face.language] } else { text };
    let own = if own.is_string() { own } else { &text["en_US"] };
    own.as_str().unwrap_or_default().into()
}

/// A variation's attributes: name → option.
fn choice(offer: &Value) -> Value {
    let all = offer["attributes"].as_array().into_iter().flatten();
    let one = |a: &Value| Some((a["name"].as_str()?.to_owned(), a.get("option")?.clone()));
    Value::Object(all.filter_map(one).collect())
}

fn orders(face: &Face, shop: &Value, erp: &Value, wrong: &mut Vec<String>) {
    let prefix = face.name.to_uppercase();
    let mut known = 0;
    for order in list(shop, "orders") {
        let start = format!("{prefix}-{}-", order["number"].as_str().unwrap());
        let mine =
            |o: &&Value| o["client_order_ref"].as_str().is_some_and(|r| r.starts_with(&start));
        let found: Vec<&Value> = list(erp, "orders").iter().filter(mine).collect();
        known += found.len();
        let cancelled = ["cancelled", "refunded"].map(Value::from).contains(&order["status"]);
        match found.as_slice() {
            [] if cancelled => {}
            [one] if cancelled && one["state"] == "cancel" => {}
            [one] if !cancelled && one["state"] == "sale" => {
                let (there, here) = (decimal(&one["amount_total"]), decimal(&order["total"]));
                if there != here {
                    wrong.push(format!("{start}: {there} in the ERP, {here} in the shop"));
                }
            }
            [one] => wrong.push(format!(
                "{start}: {} in the ERP, {} in the shop",
                one["state"], order["status"]
            )),
            many => wrong.push(format!("{start}: {} times in the ERP", many.len())),
        }
    }
    let start = format!("{prefix}-");
    let mine = |o: &&Value| o["client_order_ref"].as_str().is_some_and(|r| r.starts_with(&start));
    let there = list(erp, "orders").iter().filter(mine).count();
    if there != known {
        wrong.push(format!("{prefix}: {there} orders in the ERP, {known} of them the shop's"));
    }
}
