//! The database a fresh installation has: company, currencies, countries, locations, one list.
//!
//! Reads   the settings.
//! Writes  the first records, through the store.
//! Never   adds a product, a tax or an order: that is for whoever seeds.

use serde_json::Value;

use super::load;
use super::store::{Db, Row};
use super::value::{self, num};

const COUNTRIES: &str = "AT Austria;AU Australia;BE Belgium;BG Bulgaria;BR Brazil;CA Canada;\
    CH Switzerland;CN China;CY Cyprus;CZ Czech Republic;DE Germany;DK Denmark;EE Estonia;ES Spain;\
    FI Finland;FR France;GB United Kingdom;GR Greece;HR Croatia;HU Hungary;IE Ireland;IN India;\
    IS Iceland;IT Italy;JP Japan;KR South Korea;LI Liechtenstein;LT Lithuania;LU Luxembourg;\
    LV Latvia;MT Malta;MX Mexico;NL Netherlands;NO Norway;NZ New Zealand;PL Poland;PT Portugal;\
    RO Romania;SE Sweden;SG Singapore;SI Slovenia;SK Slovakia;TR Turkey;UA Ukraine;\
    US United States;ZA South Africa";

/// Id, code, symbol. Ids are far apart, as they are in a real database.
const CURRENCIES: [(i64, &str, &str); 4] =
    [(1, "USD", "$"), (6, "CHF", "CHF"), (126, "EUR", "€"), (143, "GBP", "£")];

const MODULES: [&str; 14] = [
    "account",
    "base",
    "delivery",
    "mail",
    "product",
    "rpc",
    "sale",
    "sale_management",
    "sale_stock",
    "stock",
    "stock_account",
    "stock_delivery",
    "web",
    "website_sale",
];

/// The platform calls the United Kingdom "uk", and every other country by its code.
fn country_id(code: &str) -> String {
    if code == "GB" { "uk".to_owned() } else { code.to_lowercase() }
}

fn named(db: &mut Db, model: &'static str, name: &str) -> i64 {
    db.insert(model, Row::from([("name", name.into()), ("active", true.into())]))
}

pub fn found(db: &mut Db, currency: &str, database_uuid: &str) {
    for (id, code, symbol) in CURRENCIES {
        db.start_ids_at("res.currency", id);
        let row = Row::from([
            ("name", code.into()),
            ("symbol", symbol.into()),
            ("rate", num(1.into())),
            ("rounding", num(rust_decimal::Decimal::new(1, 2))),
            ("decimal_places", 2.into()),
            ("active", true.into()),
        ]);
        let id = db.insert("res.currency", row);
        load::register(db, &format!("base.{code}"), "res.currency", id);
    }
    for country in COUNTRIES.split(';') {
        let (code, name) = country.trim().split_once(' ').unwrap_or((country, country));
        let row = Row::from([("code", code.into()), ("name", name.into())]);
        let id = db.insert("res.country", row);
        load::register(db, &format!("base.{}", country_id(code)), "res.country", id);
    }
    let row = Row::from([("code", "en_US".into()), ("name", "English (US)".into())]);
    db.insert("res.lang", row);
    people(db, currency);
    places(db);
    let unit = named(db, "uom.uom", "Units");
    load::register(db, "uom.product_uom_unit", "uom.uom", unit);
    named(db, "product.category", "Goods");
    let list = named(db, "product.pricelist", "Default");
    let company = super::pricing::company_currency(db);
    db.set("product.pricelist", list, "currency_id", company.into());
    for module in MODULES {
        let row = Row::from([
            ("name", module.into()),
            ("state", "installed".into()),
            ("installed_version", "19.0.1.0".into()),
        ]);
        db.insert("ir.module.module", row);
    }
    let row = Row::from([("key", "database.uuid".into()), ("value", database_uuid.into())]);
    db.insert("ir.config_parameter", row);
}

fn people(db: &mut Db, currency: &str) {
    let currency = db.find_text("res.currency", "name", currency).first().copied().unwrap_or(126);
    for name in ["My Company", "OdooBot", "Administrator", "Public user", "Portal user"] {
        let id = named(db, "res.partner", name);
        db.set("res.partner", id, "type", "contact".into());
        if name == "OdooBot" || name == "Public user" || name == "Portal user" {
            db.set("res.partner", id, "active", false.into());
        }
    }
    let company = Row::from([
        ("name", "My Company".into()),
        ("currency_id", currency.into()),
        ("partner_id", 1.into()),
        ("tax_calculation_rounding_method", "round_globally".into()),
        ("account_price_include", "tax_excluded".into()),
    ]);
    db.insert("res.company", company);
    for (login, partner) in [("__system__", 2), ("admin", 3)] {
        let row = Row::from([
            ("name", db.get("res.partner", partner, "name").clone()),
            ("login", login.into()),
            ("partner_id", partner.into()),
            ("company_id", 1.into()),
            ("active", (login == "admin").into()),
        ]);
        db.insert("res.users", row);
    }
    named(db, "crm.team", "Sales");
    let journal = Row::from([
        ("name", "Customer Invoices".into()),
        ("code", "INV".into()),
        ("type", "sale".into()),
    ]);
    db.insert("account.journal", journal);
}

fn location(db: &mut Db, name: &str, usage: &'static str, parent: Option<i64>) -> i64 {
    let row = Row::from([
        ("name", name.into()),
        ("usage", usage.into()),
        ("location_id", parent.map_or(Value::Bool(false), Value::from)),
        ("active", true.into()),
    ]);
    db.insert("stock.location", row)
}

fn places(db: &mut Db) {
    let partners = location(db, "Partners", "view", None);
    location(db, "Vendors", "supplier", Some(partners));
    location(db, "Customers", "customer", Some(partners));
    let virtual_places = location(db, "Virtual Locations", "view", None);
    location(db, "Inventory adjustment", "inventory", Some(virtual_places));
    warehouse(db, "WH", "My Company");
}

pub fn warehouse(db: &mut Db, code: &str, name: &str) -> i64 {
    let row = Row::from([("code", code.into()), ("name", name.into()), ("company_id", 1.into())]);
    let id = db.insert("stock.warehouse", row);
    furnish_warehouse(db, id);
    id
}

/// The locations and operation types that come with a warehouse.
pub fn furnish_warehouse(db: &mut Db, id: i64) {
    let model = "stock.warehouse";
    let code = db.text(model, id, "code");
    let view = location(db, &code, "view", None);
    let stock = location(db, "Stock", "internal", Some(view));
    db.set(model, id, "view_location_id", view.into());
    db.set(model, id, "lot_stock_id", stock.into());
    let kinds = [
        ("in_type_id", "Receipts", "incoming", "IN"),
        ("out_type_id", "Delivery Orders", "outgoing", "OUT"),
    ];
    for (field, name, kind, prefix) in kinds {
        let row = Row::from([
            ("name", name.into()),
            ("code", kind.into()),
            ("warehouse_id", id.into()),
            ("sequence_code", prefix.into()),
            ("reservation_method", "at_confirm".into()),
        ]);
        let kind = db.insert("stock.picking.type", row);
        db.set(model, id, field, kind.into());
    }
}

/// The record of that name, or a new one.
pub fn find_or_insert(db: &mut Db, model: &'static str, name: &str, row: Row) -> i64 {
    let same = |id: &i64| {
        let stored = db.get(model, *id, "name");
        stored.as_str() == Some(name) || stored.get("en_US").and_then(Value::as_str) == Some(name)
    };
    if let Some(id) = db.ids(model).into_iter().find(same) {
        for (field, value) in row {
            if field != "name" && value::truthy(&value) {
                db.put(model, id, field, value);
            }
        }
        return id;
    }
    db.insert(model, row)
}
