//! What the shop holds: products and variations, orders, refunds, webhooks, and simple things.
//!
//! Reads   nothing.
//! Writes  nothing.
//! Never   computes: these are the rows, the rules are in the modules named after them.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::api::Object;
use super::clock::Second;
use super::text;

#[derive(Debug, Clone)]
pub struct Meta {
    pub id: u64,
    pub key: String,
    pub value: Value,
}

/// A product or a variation (`kind` "variation", `parent` its product).
#[derive(Debug, Clone)]
pub struct Product {
    pub id: u64,
    pub parent: u64,
    pub kind: String,
    pub sku: String,
    pub gtin: String,
    pub manage: bool,
    /// `None` while stock is not managed.
    pub stock: Option<i64>,
    /// The rest of the writable properties, as stored.
    pub fields: Object,
    pub meta: Vec<Meta>,
    pub sales: i64,
    pub children: Vec<u64>,
    pub created: Second,
    pub modified: Second,
}

impl Product {
    pub fn is_variation(&self) -> bool {
        self.kind == "variation"
    }
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or("")
    }
    pub fn is(&self, name: &str) -> bool {
        self.fields.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
    pub fn trashed(&self) -> bool {
        self.field("status") == "trash"
    }
}

#[derive(Debug, Clone, Default)]
pub struct Line {
    pub id: u64,
    pub name: String,
    pub product_id: u64,
    pub variation_id: u64,
    pub quantity: i64,
    pub tax_class: String,
    pub taxable: bool,
    pub subtotal: Decimal,
    pub total: Decimal,
    pub subtotal_tax: Decimal,
    pub total_tax: Decimal,
    pub meta: Vec<Meta>,
    /// Units this line has taken out of stock and not given back.
    pub reduced: i64,
    /// Units a refund has put back.
    pub restocked: i64,
    /// The line names no product of the shop.
    pub empty: bool,
}

impl Line {
    /// The row whose stock the line moves, before `manage_stock` "parent" is looked at.
    pub fn item(&self) -> u64 {
        if self.variation_id == 0 { self.product_id } else { self.variation_id }
    }
}

/// A shipping line or a fee.
#[derive(Debug, Clone, Default)]
pub struct Charge {
    pub id: u64,
    pub title: String,
    pub method: String,
    pub tax_class: String,
    pub taxable: bool,
    pub total: Decimal,
    pub total_tax: Decimal,
    pub meta: Vec<Meta>,
}

#[derive(Debug, Clone, Default)]
pub struct CouponLine {
    pub id: u64,
    pub code: String,
    pub kind: String,
    pub amount: Decimal,
    pub discount: Decimal,
    pub discount_tax: Decimal,
}

#[derive(Debug, Clone, Default)]
pub struct Totals {
    pub discount: Decimal,
    pub discount_tax: Decimal,
    pub shipping: Decimal,
    pub shipping_tax: Decimal,
    pub cart_tax: Decimal,
    pub total: Decimal,
}

#[derive(Debug, Clone, Default)]
pub struct Order {
    pub id: u64,
    pub status: String,
    pub customer_id: u64,
    pub billing: Object,
    pub shipping: Object,
    pub fields: Object,
    pub meta: Vec<Meta>,
    pub lines: Vec<Line>,
    pub shipping_lines: Vec<Charge>,
    pub fees: Vec<Charge>,
    pub coupons: Vec<CouponLine>,
    pub totals: Totals,
    pub refunds: Vec<u64>,
    pub created: Second,
    pub modified: Second,
    pub paid: Option<Second>,
    pub completed: Option<Second>,
    /// Its lines have left stock.
    pub stock_reduced: bool,
    /// Ticks: when it last took stock, and what the client was last told.
    pub taken: u64,
    pub told: u64,
}

impl Order {
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or("")
    }
}

#[derive(Debug, Clone)]
pub struct Refund {
    pub id: u64,
    pub order: u64,
    pub amount: Decimal,
    pub reason: String,
    pub paid: bool,
    pub lines: Vec<Line>,
    pub shipping_lines: Vec<Charge>,
    pub fees: Vec<Charge>,
    pub meta: Vec<Meta>,
    pub created: Second,
}

#[derive(Debug, Clone)]
pub struct Note {
    pub id: u64,
    pub order: u64,
    pub text: String,
    pub customer: bool,
    pub created: Second,
}

#[derive(Debug, Clone)]
pub struct Webhook {
    pub id: u64,
    pub name: String,
    pub status: String,
    pub topic: String,
    pub url: String,
    pub secret: String,
    pub failures: u32,
    pub created: Second,
    pub modified: Option<Second>,
}

/// A category, tag, attribute, term, customer, coupon: stored as its own JSON plus its dates.
#[derive(Debug, Clone)]
pub struct Plain {
    pub id: u64,
    /// The attribute of a term; otherwise 0.
    pub owner: u64,
    pub fields: Object,
    pub meta: Vec<Meta>,
    pub created: Second,
    pub modified: Second,
}

impl Plain {
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or("")
    }
}

/// `meta_data` of a body: by `id`, by `key` (first of that key), `value: null` deletes.
pub fn merge_meta(meta: &mut Vec<Meta>, given: Option<&Value>, next: &mut u64) {
    let Some(Value::Array(items)) = given else { return };
    for item in items {
        let id = super::api::id_of(item.get("id"));
        let key = item.get("key").and_then(Value::as_str).unwrap_or("").to_owned();
        let value = item.get("value").cloned().unwrap_or(Value::Null);
        let at = meta.iter().position(|m| if id > 0 { m.id == id } else { m.key == key });
        match (at, value.is_null()) {
            (Some(at), true) => {
                meta.remove(at);
            }
            (Some(at), false) => meta[at].value = text::meta_value(&value),
            (None, false) if !key.is_empty() => {
                *next += 1;
                meta.push(Meta { id: *next, key, value: text::meta_value(&value) });
            }
            _ => {}
        }
    }
}

pub fn show_meta(meta: &[Meta]) -> Value {
    meta.iter().map(|m| json!({ "id": m.id, "key": m.key, "value": m.value })).collect()
}
