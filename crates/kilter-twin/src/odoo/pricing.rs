//! Prices per price list: the rules in their order, currencies by rate, nothing rounded.
//!
//! Reads   `product.pricelist.item`, list and cost prices, rates.
//! Writes  nothing.
//! Never   knows of taxes; a list says nothing about them.

use std::cmp::Reverse;
use std::fmt::Write as _;

use rust_decimal::Decimal;
use serde_json::Value;

use super::read::{self, Ctx};
use super::store::Db;
use super::value::{self, round_to_step};

const ITEM: &str = "product.pricelist.item";
/// Lists may rest on lists; a circle ends here.
const DEPTH_MAX: u32 = 8;

#[derive(Debug, Clone, Copy)]
pub struct Found {
    pub item: Option<i64>,
    /// The price is `amount + surcharge`; apart, because Odoo adds them as doubles.
    pub amount: Decimal,
    pub surcharge: Decimal,
}

impl Found {
    pub fn price(&self) -> Decimal {
        self.amount + self.surcharge
    }
}

/// What is asked for: a variant, how many, at which time ("YYYY-MM-DD HH:MM:SS").
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub variant: i64,
    pub quantity: Decimal,
    pub at: &'a str,
}

/// The rule of a list that holds: the first that passes, the nearest to the variant first.
pub fn rule(db: &Db, list: i64, ask: Ask) -> Option<i64> {
    let template = db.link("product.product", ask.variant, "product_tmpl_id");
    let mut items = db.find_id(ITEM, "product_id", ask.variant);
    items.extend(db.find_id(ITEM, "product_tmpl_id", template));
    items.extend(db.find_text(ITEM, "applied_on", "2_product_category"));
    items.extend(db.find_text(ITEM, "applied_on", "3_global"));
    let mut items = read::distinct(&items);
    items.retain(|item| {
        db.link(ITEM, *item, "pricelist_id") == list && applies(db, *item, template, ask)
    });
    items.sort_by_key(|item| {
        let quantity = db.dec(ITEM, *item, "min_quantity");
        let category = db.link(ITEM, *item, "categ_id");
        (db.text(ITEM, *item, "applied_on"), Reverse(quantity), Reverse(category), Reverse(*item))
    });
    items.first().copied()
}

fn applies(db: &Db, item: i64, template: i64, ask: Ask) -> bool {
    let (start, end) = (db.text(ITEM, item, "date_start"), db.text(ITEM, item, "date_end"));
    let dated = (start.is_empty() || start.as_str() <= ask.at)
        && (end.is_empty() || end.as_str() >= ask.at);
    let minimum = db.dec(ITEM, item, "min_quantity");
    let on = match db.text(ITEM, item, "applied_on").as_str() {
        "0_product_variant" => db.link(ITEM, item, "product_id") == ask.variant,
        "1_product" => db.link(ITEM, item, "product_tmpl_id") == template,
        "2_product_category" => {
            let wanted = db.link(ITEM, item, "categ_id");
            let mut category = db.link("product.template", template, "categ_id");
            while category != 0 && category != wanted {
                category = db.link("product.category", category, "parent_id");
            }
            wanted != 0 && category == wanted
        }
        _ => true,
    };
    dated && on && (minimum.is_zero() || ask.quantity >= minimum)
}

pub fn price(db: &Db, list: i64, ask: Ask) -> Found {
    price_at(db, list, ask, 0)
}

fn price_at(db: &Db, list: i64, ask: Ask, depth: u32) -> Found {
    let list_currency = list_currency(db, list);
    let plain = |amount| Found { item: None, amount, surcharge: Decimal::ZERO };
    let Some(item) = rule(db, list, ask).filter(|_| depth < DEPTH_MAX) else {
        return plain(convert(
            db,
            sales_price(db, ask.variant),
            company_currency(db),
            list_currency,
        ));
    };
    let base = base_price(db, item, list_currency, ask, depth);
    let hundred = Decimal::ONE_HUNDRED;
    let field = |name: &str| db.dec(ITEM, item, name);
    let found = |amount, surcharge| Found { item: Some(item), amount, surcharge };
    match db.text(ITEM, item, "compute_price").as_str() {
        "percentage" => found(base * (hundred - field("percent_price")) / hundred, Decimal::ZERO),
        "formula" => {
            let discount = match db.text(ITEM, item, "base").as_str() {
                "standard_price" => -field("price_markup"),
                _ => field("price_discount"),
            };
            let amount = base * (hundred - discount) / hundred;
            let amount = round_to_step(amount, field("price_round"));
            let (low, high) = (field("price_min_margin"), field("price_max_margin"));
            let price = amount + field("price_surcharge");
            if !low.is_zero() && price < base + low {
                found(base + low, Decimal::ZERO)
            } else if !high.is_zero() && price > base + high {
                found(base + high, Decimal::ZERO)
            } else {
                found(amount, field("price_surcharge"))
            }
        }
        _ => found(field("fixed_price"), Decimal::ZERO),
    }
}

fn base_price(db: &Db, item: i64, currency: i64, ask: Ask, depth: u32) -> Decimal {
    match db.text(ITEM, item, "base").as_str() {
        "pricelist" => {
            let other = db.link(ITEM, item, "base_pricelist_id");
            let found = price_at(db, other, ask, depth + 1);
            convert(db, found.price(), list_currency(db, other), currency)
        }
        "standard_price" => {
            let cost = db.dec("product.product", ask.variant, "standard_price");
            convert(db, cost, company_currency(db), currency)
        }
        _ => convert(db, sales_price(db, ask.variant), company_currency(db), currency),
    }
}

/// The price before a percentage is taken off: what a line shows next to its discount.
pub fn before_discount(db: &Db, list: i64, ask: Ask) -> (Decimal, Decimal, Option<i64>) {
    let found = price(db, list, ask);
    if let Some(item) = found.item
        && db.text(ITEM, item, "compute_price") == "percentage"
    {
        let base = base_price(db, item, list_currency(db, list), ask, 0);
        return (base, db.dec(ITEM, item, "percent_price"), found.item);
    }
    (found.price(), Decimal::ZERO, found.item)
}

/// `list_price` of the template plus the extras of the variant's attribute values.
pub fn sales_price(db: &Db, variant: i64) -> Decimal {
    let template = db.link("product.product", variant, "product_tmpl_id");
    db.dec("product.template", template, "list_price") + price_extra(db, variant)
}

pub fn price_extra(db: &Db, variant: i64) -> Decimal {
    let values = db.links("product.product", variant, "product_template_attribute_value_ids");
    let extra = |id: &i64| db.dec("product.template.attribute.value", *id, "price_extra");
    values.iter().map(extra).sum()
}

pub fn company_currency(db: &Db) -> i64 {
    db.link("res.company", 1, "currency_id")
}

pub fn list_currency(db: &Db, list: i64) -> i64 {
    match db.link("product.pricelist", list, "currency_id") {
        0 => company_currency(db),
        currency => currency,
    }
}

fn convert(db: &Db, amount: Decimal, from: i64, to: i64) -> Decimal {
    let rate = |currency| match db.dec("res.currency", currency, "rate") {
        rate if rate.is_zero() => Decimal::ONE,
        rate => rate,
    };
    if from == to { amount } else { amount * rate(to) / rate(from) }
}

/// `report.product.report_pricelist/get_html`: a table with a price per product and quantity.
pub fn report(db: &Db, ctx: &Ctx, data: &Value) -> String {
    let list = data.get("pricelist_id").and_then(value::id_of).unwrap_or(0);
    let ids = data.get("active_ids").map_or(Vec::new(), value::ids_of);
    let ones = vec![Value::from(1)];
    let quantities = data.get("quantities").and_then(Value::as_array).unwrap_or(&ones);
    let model = data.get("active_model").and_then(Value::as_str).unwrap_or("product.template");
    let currency = list_currency(db, list);
    let symbol = db.text("res.currency", currency, "symbol");
    let mut html = String::from("<tbody>\n");
    for id in ids.into_iter().filter(|id| db.exists(model, *id)) {
        let name =
            read::display_name(db, ctx, model, id).replace('&', "&amp;").replace('<', "&lt;");
        let variant = match model {
            "product.product" => id,
            _ => db.find_id("product.product", "product_tmpl_id", id).first().copied().unwrap_or(0),
        };
        let _ = writeln!(
            html,
            "<tr><td><a href=\"#\" class=\"o_action\" data-model=\"{model}\" \
             data-res-id=\"{id}\">\n<span>{name}</span>\n</a></td>"
        );
        for quantity in quantities {
            let ask = Ask { variant, quantity: value::dec(quantity), at: &db.now };
            let price = localised(price(db, list, ask).price(), ctx.lang());
            let _ = writeln!(
                html,
                "<td class=\"text-end px-1\"><span data-oe-type=\"monetary\" \
                 data-oe-expression=\"product[&#39;price&#39;][qty]\">{symbol} \
                 <span class=\"oe_currency_value\">{price}</span></span></td>"
            );
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>");
    html
}

/// Two decimals, with the separators of the language.
fn localised(amount: Decimal, lang: &str) -> String {
    let plain = format!("{:.2}", value::round(amount, 2));
    let (whole, cents) = plain.split_once('.').unwrap_or((&plain, "00"));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let (thousands, point) = match lang.split('_').next().unwrap_or("en") {
        "de" | "es" | "it" | "nl" | "pt" | "da" => ('.', ','),
        "fr" | "sv" | "nb" | "pl" | "cs" | "fi" => ('\u{a0}', ','),
        _ => (',', '.'),
    };
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            grouped.push(thousands);
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{point}{cents}")
}
