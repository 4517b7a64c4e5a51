//! Price lists: fixed prices by variant, one currency a list.
//!
//! Reads   the inputs of the `priceListFixedPrices…` mutations.
//! Writes  the list's fixed prices.
//! Never   tells when a price was changed: the platform has neither a date nor a webhook for it.

use serde_json::{Value, json};

use super::coerce::{items, map, text, texts};
use super::execute::Out;
use super::fail::{Answer, UserError, refused};
use super::gid::{gid, number};
use super::money;
use super::paging::Listing;
use super::shop::Shop;
use super::store::Object;

impl Shop {
    fn price_list(&self, args: &Object) -> Result<u64, UserError> {
        let id = number(text(args, "priceListId").unwrap_or(""), "PriceList");
        if self.store.get("PriceList", id).is_none() {
            let message = "Price list does not exist.";
            return Err(UserError::new(&["priceListId"], "PRICE_LIST_NOT_FOUND", message));
        }
        Ok(id)
    }

    fn check_prices(&self, list: u64, field: &str, prices: &[Value]) -> Vec<UserError> {
        let currency = self.stored("PriceList", list, "currency");
        let mut errors = Vec::new();
        for (at, price) in prices.iter().filter_map(Value::as_object).enumerate() {
            let variant = number(text(price, "variantId").unwrap_or(""), "ProductVariant");
            if self.store.get("ProductVariant", variant).is_none() {
                let (code, message) = ("VARIANT_NOT_FOUND", "Variant not found");
                errors.push(UserError::at(&[field], at, &["variantId"], code, message));
            }
            if map(price, "price").is_none_or(|p| p.get("currencyCode") != Some(&currency)) {
                let code = "PRICE_LIST_CURRENCY_MISMATCH";
                let message = "The currency of the price does not match the price list's.";
                let tail = ["price", "currencyCode"];
                errors.push(UserError::at(&[field], at, &tail, code, message));
            }
        }
        errors
    }

    fn put_prices(&mut self, list: u64, prices: &[Value]) -> Vec<Value> {
        let mut shown = Vec::new();
        for price in prices.iter().filter_map(Value::as_object) {
            let variant = number(text(price, "variantId").unwrap_or(""), "ProductVariant");
            let money = |name: &str| {
                let given = map(price, name)?;
                let currency = text(given, "currencyCode")?;
                Some(money::v2(money::given(given.get("amount"))?, currency))
            };
            let row = json!({ "price": money("price"), "compareAtPrice": money("compareAtPrice") });
            if let Some(fields) = self.edit("PriceList", list) {
                fields["fixed"][variant.to_string()] = row.clone();
            }
            shown.push(show(variant, &row, "FIXED"));
        }
        shown
    }

    pub fn drop_price(&mut self, list: u64, variant: u64) -> bool {
        let key = variant.to_string();
        let there = self
            .store
            .get("PriceList", list)
            .is_some_and(|l| l.fields["fixed"].get(&key).is_some());
        if there
            && let Some(fields) = self.edit("PriceList", list)
            && let Some(fixed) = fields.get_mut("fixed").and_then(Value::as_object_mut)
        {
            fixed.remove(&key);
        }
        there
    }

    pub fn prices_add(&mut self, args: &Object) -> Answer<Value> {
        let list = match self.price_list(args) {
            Ok(list) => list,
            Err(error) => return Ok(refused(&[error])),
        };
        let prices = items(args, "prices").to_vec();
        let errors = self.check_prices(list, "prices", &prices);
        if !errors.is_empty() {
            return Ok(refused(&errors));
        }
        Ok(json!({ "prices": self.put_prices(list, &prices), "userErrors": [] }))
    }

    pub fn prices_update(&mut self, args: &Object) -> Answer<Value> {
        let list = match self.price_list(args) {
            Ok(list) => list,
            Err(error) => return Ok(refused(&[error])),
        };
        let prices = items(args, "pricesToAdd").to_vec();
        let errors = self.check_prices(list, "pricesToAdd", &prices);
        if !errors.is_empty() {
            return Ok(refused(&errors));
        }
        let deleted = self.delete_prices(list, &texts(args, "variantIdsToDelete"));
        let added = self.put_prices(list, &prices);
        Ok(json!({
            "pricesAdded": added, "deletedFixedPriceVariantIds": deleted,
            "priceList": gid("PriceList", list), "userErrors": [],
        }))
    }

    pub fn prices_delete(&mut self, args: &Object) -> Answer<Value> {
        let list = match self.price_list(args) {
            Ok(list) => list,
            Err(error) => return Ok(refused(&[error])),
        };
        let ids = texts(args, "variantIds");
        for (at, id) in ids.iter().enumerate() {
            let key = number(id, "ProductVariant").to_string();
            let fixed = self.stored("PriceList", list, "fixed");
            if fixed.get(&key).is_none() {
                let code = "PRICE_NOT_FIXED";
                let message = "Only fixed prices can be deleted.";
                return Ok(refused(&[UserError::at(&["variantIds"], at, &[], code, message)]));
            }
        }
        let deleted = self.delete_prices(list, &ids);
        Ok(json!({ "deletedFixedPriceVariantIds": deleted, "userErrors": [] }))
    }

    fn delete_prices(&mut self, list: u64, ids: &[String]) -> Vec<String> {
        let gone = |id: &&String| self.drop_price(list, number(id, "ProductVariant"));
        ids.iter().filter(gone).cloned().collect()
    }

    /// `prices(originType:)`: the fixed ones, and those that follow the variant's own price.
    pub fn of_price_list(&mut self, id: u64, name: &str, args: &Object) -> Option<Out> {
        let row = self.store.get("PriceList", id)?;
        let fixed = row.fields.get("fixed").and_then(Value::as_object).cloned().unwrap_or_default();
        if name == "fixedPricesCount" {
            return Some(json!(fixed.len()).into());
        }
        if name != "prices" {
            return None;
        }
        let currency = row.text("currency").to_owned();
        let origin = text(args, "originType");
        let mut list = Vec::new();
        for variant in self.store.all("ProductVariant") {
            match fixed.get(&variant.id.to_string()) {
                Some(own) if origin != Some("RELATIVE") => {
                    list.push(show(variant.id, own, "FIXED"))
                }
                None if origin != Some("FIXED") => {
                    let amount = |name: &str| money::given(variant.fields.get(name));
                    let of = |a| money::v2(a, &currency);
                    let row = json!({
                        "price": of(amount("price").unwrap_or_default()),
                        "compareAtPrice": amount("compareAtPrice").map(of),
                    });
                    list.push(show(variant.id, &row, "RELATIVE"));
                }
                _ => {}
            }
        }
        Some(Out::List(Listing::of(&list)))
    }
}

fn show(variant: u64, row: &Value, origin: &str) -> Value {
    json!({
        "price": row["price"], "compareAtPrice": row["compareAtPrice"], "originType": origin,
        "variant": gid("ProductVariant", variant),
    })
}
