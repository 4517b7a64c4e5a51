//! What is wrong in a shop and an ERP, told by the twins' own state.
//!
//! Reads   `/_twin/state` of each.   Writes  sentences.   Never   asks Kilter.

use std::collections::BTreeMap;

use serde_json::Value;

pub fn list<'a>(state: &'a Value, part: &str) -> &'a [Value] {
    state[part].as_array().map_or(&[], Vec::as_slice)
}

fn cents(value: &Value) -> i64 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let amount: rust_decimal::Decimal = text.parse().unwrap_or_default();
    i64::try_from((amount * rust_decimal::Decimal::from(100)).round()).unwrap()
}

pub fn orders(prefix: &str, shop: &Value, erp: &Value, wrong: &mut Vec<String>) {
    for order in list(shop, "orders") {
        let start = format!("{prefix}-{}-", order["number"].as_str().unwrap());
        let found: Vec<&Value> = list(erp, "orders")
            .iter()
            .filter(|o| o["client_order_ref"].as_str().is_some_and(|r| r.starts_with(&start)))
            .collect();
        match found.as_slice() {
            [one] if one["state"] != "sale" => {
                wrong.push(format!("{start}: is {} in the ERP", one["state"]));
            }
            [one] if cents(&one["amount_total"]) != cents(&order["total"]) => wrong.push(format!(
                "{start}: {} in the ERP, {} in the shop",
                one["amount_total"], order["total"]
            )),
            [_] => {}
            many => wrong.push(format!("{start}: {} times in the ERP", many.len())),
        }
    }
}

pub fn refunds(prefix: &str, shop: &Value, erp: &Value, wrong: &mut Vec<String>) {
    for refund in list(shop, "refunds") {
        let start = format!("{prefix}-R{}-", refund["id"]);
        let mine = |n: &&Value| n["ref"].as_str().is_some_and(|r| r.starts_with(&start));
        let found: Vec<&Value> = list(erp, "invoices").iter().filter(mine).collect();
        match found.as_slice() {
            [one] if cents(&one["amount_total"]) == cents(&refund["amount"]) => {}
            [one] => wrong.push(format!(
                "{start}: {} in the ERP, {} in the shop",
                one["amount_total"], refund["amount"]
            )),
            many => wrong.push(format!("{start}: {} times in the ERP", many.len())),
        }
    }
}

pub fn figures(
    name: &str,
    shop: &Value,
    erp: &Value,
    prices: &str,
    places: &[&str],
    wrong: &mut Vec<String>,
) {
    let mut sold = BTreeMap::new();
    for product in list(shop, "products").iter().chain(list(shop, "variations")) {
        let sku = product["sku"].as_str().unwrap_or_default().to_owned();
        if product["type"] != "variable" && sold.insert(sku.clone(), product).is_some() {
            wrong.push(format!("{name}: {sku} stands twice"));
        }
    }
    for variant in list(erp, "variants") {
        let Some(sku) = variant["default_code"].as_str() else { continue };
        let Some(product) = sold.get(sku) else {
            wrong.push(format!("{name}: {sku} is not there"));
            continue;
        };
        let forecast = |place: &&str| cents(&variant["stock"][*place]["forecast"]);
        let stock = places.iter().map(forecast).sum::<i64>().max(0);
        if cents(&product["stock_quantity"]) != stock {
            wrong.push(format!(
                "{name}: {sku} shows {}, the ERP has {}",
                product["stock_quantity"],
                stock / 100
            ));
        }
        if cents(&product["regular_price"]) != cents(&variant["prices"][prices]) {
            wrong.push(format!(
                "{name}: {sku} costs {}, the ERP says {}",
                product["regular_price"], variant["prices"][prices]
            ));
        }
    }
}

/// Each customer stands in the ERP once.
pub fn customers(erp: &Value, wrong: &mut Vec<String>) {
    let mut emails: BTreeMap<&str, usize> = BTreeMap::new();
    for partner in list(erp, "partners").iter().filter(|p| p["type"] == "contact") {
        if let Some(email) = partner["email"].as_str().filter(|e| e.contains("@example")) {
            *emails.entry(email).or_default() += 1;
        }
    }
    for (email, n) in emails.iter().filter(|(_, n)| **n != 1) {
        wrong.push(format!("{n} customers {email} in the ERP"));
    }
}
