//! `POST /_twin/seed`: fills the database at once, ten thousand variants in about a second.
//!
//! Reads   the seed document; its shape stands at `Seed`.
//! Writes  records, straight into the store.
//! Never   runs the checks that a call would run: a seed is the past, not a call.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Value, json};

use super::stock;
use super::store::{Db, Row};
use super::value::{self, id_list, num};
use super::{product, world};

/// Every part is optional. A text is a string (the source language) or `{"en_US": …, "de_DE": …}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seed {
    pub languages: Vec<String>,
    /// Code to rate: units of it for one of the company's currency.
    pub currencies: BTreeMap<String, Value>,
    /// `round_globally` or `round_per_line`.
    pub tax_rounding: Option<String>,
    pub taxes: Vec<Tax>,
    pub fiscal_positions: Vec<Position>,
    pub warehouses: Vec<Warehouse>,
    pub pricelists: Vec<Pricelist>,
    pub carriers: Vec<Carrier>,
    pub partners: Vec<Partner>,
    pub templates: Vec<Template>,
}

#[derive(Debug, Deserialize)]
pub struct Tax {
    pub name: String,
    pub amount: Value,
    #[serde(default)]
    pub included: bool,
    /// The tax of products that name none, from now on.
    #[serde(default)]
    pub default: bool,
}

#[derive(Debug, Deserialize)]
pub struct Position {
    pub name: String,
    pub countries: Vec<String>,
    /// Tax name to the names that replace it; none for no tax.
    #[serde(default)]
    pub taxes: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub struct Warehouse {
    pub code: String,
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub struct Pricelist {
    pub name: String,
    #[serde(default)]
    pub currency: Option<String>,
    /// Rules in the fields of `product.pricelist.item`.
    #[serde(default)]
    pub items: Vec<serde_json::Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
pub struct Carrier {
    pub name: String,
    #[serde(default)]
    pub tracking_url: Option<String>,
    #[serde(default)]
    pub price: Value,
}

#[derive(Debug, Deserialize)]
pub struct Partner {
    pub name: String,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default, rename = "ref")]
    pub reference: Option<String>,
    #[serde(default)]
    pub country: Option<String>,
    #[serde(default)]
    pub street: Option<String>,
    #[serde(default)]
    pub city: Option<String>,
    #[serde(default)]
    pub zip: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Template {
    pub name: Value,
    #[serde(default)]
    pub description_sale: Value,
    #[serde(default)]
    pub description_ecommerce: Value,
    #[serde(default)]
    pub list_price: Value,
    /// `consu` (default) or `service`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Names of taxes; the default tax when absent.
    #[serde(default)]
    pub taxes: Option<Vec<String>>,
    #[serde(default)]
    pub category: Option<String>,
    /// Name of the unit of measure; Units when absent.
    #[serde(default)]
    pub unit: Option<String>,
    pub variants: Vec<Variant>,
}

#[derive(Debug, Deserialize)]
pub struct Variant {
    #[serde(default, alias = "sku")]
    pub default_code: Option<String>,
    #[serde(default)]
    pub barcode: Option<String>,
    #[serde(default)]
    pub weight: Value,
    #[serde(default)]
    pub standard_price: Value,
    /// Attribute name to value; `{"Colour": "Red"}` or `{"Colour": {"en_US": "Red", …}}`.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
    /// List name to fixed price.
    #[serde(default)]
    pub prices: BTreeMap<String, Value>,
    /// Warehouse code to quantity on hand.
    #[serde(default)]
    pub stock: BTreeMap<String, Value>,
}

/// Ids by name, so that a large seed looks nothing up twice.
#[derive(Default)]
struct Known {
    lists: HashMap<String, i64>,
    places: HashMap<String, i64>,
    attributes: HashMap<String, i64>,
    values: HashMap<(i64, String), i64>,
    counts: BTreeMap<&'static str, u64>,
}

fn source(text: &Value) -> String {
    match text {
        Value::Object(texts) => texts.get("en_US").map(value::text).unwrap_or_default(),
        other => value::text(other),
    }
}

/// A translated text as it is stored.
fn texts(text: &Value) -> Value {
    match text {
        Value::String(text) if !text.is_empty() => json!({"en_US": text}),
        Value::Object(_) => text.clone(),
        _ => Value::Bool(false),
    }
}

fn number(amount: &Value) -> Value {
    num(value::dec(amount))
}

fn optional(text: Option<&String>) -> Value {
    text.filter(|text| !text.is_empty()).map_or(Value::Bool(false), |text| text.clone().into())
}

pub fn sow(db: &mut Db, seed: &Seed) -> Result<Value, String> {
    let mut known = Known::default();
    for code in &seed.languages {
        if db.find_text("res.lang", "code", code).is_empty() {
            let row = Row::from([("code", code.clone().into()), ("name", code.clone().into())]);
            db.insert("res.lang", row);
        }
    }
    for (code, rate) in &seed.currencies {
        let id = currency(db, code)?;
        db.put("res.currency", id, "rate", number(rate));
    }
    if let Some(method) = &seed.tax_rounding {
        db.put("res.company", 1, "tax_calculation_rounding_method", method.clone().into());
    }
    sow_taxes(db, seed)?;
    for warehouse in &seed.warehouses {
        match db.find_text("stock.warehouse", "code", &warehouse.code).first().copied() {
            Some(id) => {
                db.put("stock.warehouse", id, "name", warehouse.name.clone().into());
            }
            None => {
                world::warehouse(db, &warehouse.code, &warehouse.name);
            }
        }
    }
    for carrier in &seed.carriers {
        sow_carrier(db, carrier);
    }
    for partner in &seed.partners {
        sow_partner(db, partner);
        *known.counts.entry("partners").or_default() += 1;
    }
    for list in &seed.pricelists {
        let id = sow_list(db, list)?;
        known.lists.insert(list.name.clone(), id);
    }
    for template in &seed.templates {
        sow_template(db, &mut known, template)?;
    }
    Ok(json!(known.counts))
}

fn currency(db: &Db, code: &str) -> Result<i64, String> {
    let found = db.find_text("res.currency", "name", code).first().copied();
    found.ok_or_else(|| format!("seed: there is no currency \"{code}\""))
}

pub fn tax_named(db: &Db, name: &str) -> Result<i64, String> {
    let mut ids = db.ids("account.tax").into_iter();
    ids.find(|id| source(db.get("account.tax", *id, "name")) == name)
        .ok_or_else(|| format!("seed: there is no tax \"{name}\""))
}

fn sow_taxes(db: &mut Db, seed: &Seed) -> Result<(), String> {
    for tax in &seed.taxes {
        let include = if tax.included { "tax_included" } else { "tax_excluded" };
        let row = Row::from([
            ("name", texts(&tax.name.clone().into())),
            ("amount", number(&tax.amount)),
            ("amount_type", "percent".into()),
            ("type_tax_use", "sale".into()),
            ("price_include_override", include.into()),
            ("company_id", 1.into()),
            ("active", true.into()),
        ]);
        let id = world::find_or_insert(db, "account.tax", &tax.name, row);
        if tax.default {
            db.put("res.company", 1, "account_sale_tax_id", id.into());
        }
    }
    for position in &seed.fiscal_positions {
        let mut map = serde_json::Map::new();
        for (from, to) in &position.taxes {
            let to: Result<Vec<i64>, String> = to.iter().map(|name| tax_named(db, name)).collect();
            map.insert(tax_named(db, from)?.to_string(), id_list(&to?));
        }
        let row = Row::from([
            ("name", texts(&position.name.clone().into())),
            ("country_codes", json!(position.countries)),
            ("tax_map", Value::Object(map)),
            ("auto_apply", true.into()),
            ("active", true.into()),
        ]);
        world::find_or_insert(db, "account.fiscal.position", &position.name, row);
    }
    Ok(())
}

pub fn sow_carrier(db: &mut Db, carrier: &Carrier) -> i64 {
    let row = Row::from([
        ("name", texts(&format!("Shipping {}", carrier.name).into())),
        ("type", "service".into()),
        ("list_price", number(&carrier.price)),
        ("sale_ok", false.into()),
        ("active", true.into()),
        ("categ_id", 1.into()),
        ("uom_id", 1.into()),
        ("invoice_policy", "order".into()),
        ("taxes_id", default_taxes(db)),
    ]);
    let template = db.insert("product.template", row);
    let code = format!("SHIP-{}", carrier.name.to_uppercase());
    let row = Row::from([
        ("product_tmpl_id", template.into()),
        ("default_code", code.into()),
        ("active", true.into()),
    ]);
    let variant = db.insert("product.product", row);
    let row = Row::from([
        ("name", texts(&carrier.name.clone().into())),
        ("delivery_type", "fixed".into()),
        ("fixed_price", number(&carrier.price)),
        ("tracking_url", optional(carrier.tracking_url.as_ref())),
        ("product_id", variant.into()),
        ("active", true.into()),
    ]);
    world::find_or_insert(db, "delivery.carrier", &carrier.name, row)
}

fn default_taxes(db: &Db) -> Value {
    let tax = db.link("res.company", 1, "account_sale_tax_id");
    id_list(&if tax == 0 { Vec::new() } else { vec![tax] })
}

fn sow_partner(db: &mut Db, partner: &Partner) {
    let code = partner.country.clone().unwrap_or_default();
    let country = db.find_text("res.country", "code", &code).first().copied();
    let email = partner.email.clone().unwrap_or_default();
    let row = Row::from([
        ("name", partner.name.clone().into()),
        ("email", optional(partner.email.as_ref())),
        ("email_normalized", super::partner::normalized(&email)),
        ("ref", optional(partner.reference.as_ref())),
        ("country_id", country.map_or(Value::Bool(false), Value::from)),
        ("street", optional(partner.street.as_ref())),
        ("city", optional(partner.city.as_ref())),
        ("zip", optional(partner.zip.as_ref())),
        ("type", "contact".into()),
        ("lang", "en_US".into()),
        ("active", true.into()),
    ]);
    db.insert("res.partner", row);
}

fn sow_list(db: &mut Db, list: &Pricelist) -> Result<i64, String> {
    let currency = match &list.currency {
        Some(code) => currency(db, code)?,
        None => super::pricing::company_currency(db),
    };
    let row = Row::from([
        ("name", texts(&list.name.clone().into())),
        ("currency_id", currency.into()),
        ("active", true.into()),
    ]);
    let id = world::find_or_insert(db, "product.pricelist", &list.name, row);
    for item in &list.items {
        let mut vals = item.clone();
        vals.insert("pricelist_id".into(), id.into());
        let created =
            super::write::create(db, &super::read::Ctx::default(), "product.pricelist.item", vals);
        created.map_err(|fault| format!("seed: list \"{}\": {}", list.name, fault.message))?;
    }
    Ok(id)
}

fn sow_template(db: &mut Db, known: &mut Known, template: &Template) -> Result<(), String> {
    let kind = template.kind.clone().unwrap_or_else(|| "consu".into());
    let taxes = match &template.taxes {
        Some(names) => {
            let ids: Result<Vec<i64>, String> =
                names.iter().map(|name| tax_named(db, name)).collect();
            id_list(&ids?)
        }
        None => default_taxes(db),
    };
    let category = match &template.category {
        Some(name) => {
            let row = Row::from([("name", name.clone().into())]);
            world::find_or_insert(db, "product.category", name, row)
        }
        None => 1,
    };
    let unit = template.unit.as_ref().map_or(1, |name| {
        let row = Row::from([("name", texts(&name.clone().into())), ("active", true.into())]);
        world::find_or_insert(db, "uom.uom", name, row)
    });
    let row = Row::from([
        ("name", texts(&template.name)),
        ("description_sale", texts(&template.description_sale)),
        ("description_ecommerce", texts(&template.description_ecommerce)),
        ("list_price", number(&template.list_price)),
        ("is_storable", (kind == "consu").into()),
        ("type", kind.into()),
        ("sale_ok", true.into()),
        ("purchase_ok", true.into()),
        ("active", true.into()),
        ("categ_id", category.into()),
        ("uom_id", unit.into()),
        ("invoice_policy", "order".into()),
        ("taxes_id", taxes),
    ]);
    let id = db.insert("product.template", row);
    *known.counts.entry("templates").or_default() += 1;
    let lines = sow_attributes(db, known, id, &template.variants);
    for variant in &template.variants {
        sow_variant(db, known, id, &lines, variant)?;
    }
    Ok(())
}

/// Attribute name to its line on the template.
fn sow_attributes(
    db: &mut Db,
    known: &mut Known,
    template: i64,
    variants: &[Variant],
) -> BTreeMap<String, i64> {
    let mut used: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (name, text) in variants.iter().flat_map(|variant| &variant.attributes) {
        let attribute = *known.attributes.entry(name.clone()).or_insert_with(|| {
            let row = Row::from([
                ("name", texts(&name.clone().into())),
                ("create_variant", "always".into()),
            ]);
            world::find_or_insert(db, "product.attribute", name, row)
        });
        let value = *known.values.entry((attribute, source(text))).or_insert_with(|| {
            let row = Row::from([("name", texts(text)), ("attribute_id", attribute.into())]);
            db.insert("product.attribute.value", row)
        });
        let values = used.entry(name.clone()).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }
    let mut lines = BTreeMap::new();
    for (name, values) in used {
        let row = Row::from([
            ("product_tmpl_id", template.into()),
            ("attribute_id", known.attributes[&name].into()),
            ("value_ids", id_list(&values)),
        ]);
        lines.insert(name, db.insert("product.template.attribute.line", row));
    }
    lines
}

fn sow_variant(
    db: &mut Db,
    known: &mut Known,
    template: i64,
    lines: &BTreeMap<String, i64>,
    variant: &Variant,
) -> Result<(), String> {
    let mut values = Vec::new();
    for (name, text) in &variant.attributes {
        let attribute = known.attributes[name];
        let value = known.values[&(attribute, source(text))];
        values.push(product::template_value(db, template, lines[name], attribute, value));
    }
    let row = Row::from([
        ("product_tmpl_id", template.into()),
        ("default_code", optional(variant.default_code.as_ref())),
        ("barcode", optional(variant.barcode.as_ref())),
        ("weight", number(&variant.weight)),
        ("standard_price", number(&variant.standard_price)),
        ("active", true.into()),
        ("product_template_attribute_value_ids", id_list(&values)),
    ]);
    let id = db.insert("product.product", row);
    *known.counts.entry("variants").or_default() += 1;
    for (list, price) in &variant.prices {
        let list_id = list_named(db, known, list)?;
        let row = Row::from([
            ("pricelist_id", list_id.into()),
            ("applied_on", "0_product_variant".into()),
            ("product_id", id.into()),
            ("product_tmpl_id", template.into()),
            ("compute_price", "fixed".into()),
            ("base", "list_price".into()),
            ("fixed_price", number(price)),
        ]);
        db.insert("product.pricelist.item", row);
        *known.counts.entry("items").or_default() += 1;
    }
    for (code, quantity) in &variant.stock {
        let place = place_of(db, known, code)?;
        stock::insert_quant(db, id, place, value::dec(quantity));
        *known.counts.entry("quants").or_default() += 1;
    }
    Ok(())
}

fn list_named(db: &Db, known: &mut Known, name: &str) -> Result<i64, String> {
    if let Some(id) = known.lists.get(name) {
        return Ok(*id);
    }
    let mut ids = db.ids("product.pricelist").into_iter();
    let found = ids.find(|id| source(db.get("product.pricelist", *id, "name")) == name);
    let id = found.ok_or_else(|| format!("seed: there is no price list \"{name}\""))?;
    known.lists.insert(name.to_owned(), id);
    Ok(id)
}

fn place_of(db: &Db, known: &mut Known, code: &str) -> Result<i64, String> {
    if let Some(id) = known.places.get(code) {
        return Ok(*id);
    }
    let found = db.find_text("stock.warehouse", "code", code).first().copied();
    let warehouse = found.ok_or_else(|| format!("seed: there is no warehouse \"{code}\""))?;
    let id = db.link("stock.warehouse", warehouse, "lot_stock_id");
    known.places.insert(code.to_owned(), id);
    Ok(id)
}
