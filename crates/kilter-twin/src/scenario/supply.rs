//! The catalogue as the ERP's seed document, and the ids that the seed was given.
//!
//! Reads   the catalogue.
//! Writes  one seed; asks the ERP for the ids that the config names.
//! Never   is read by the referee: what the ERP holds is asked of the ERP.

use serde_json::{Value, json};

use super::catalogue::{Catalogue, Template};
use super::office::Office;
use super::script::{B2B_USD, LISTS, MAIN, RETAIL_EUR, RETAIL_USD, WEST};
use super::{ERP_KEY, Error};

/// Database ids that a merchant would look up once, for his config.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    pub retail_eur: i64,
    pub retail_usd: i64,
    pub b2b_usd: i64,
    pub main: i64,
    pub west: i64,
    pub tax_de: i64,
    pub tax_us: i64,
    pub tax_none: i64,
    pub shipping: i64,
    pub fee: i64,
    pub rounding: i64,
}

const TAX_DE: &str = "19 % incl.";
const TAX_US: &str = "8 % incl.";
/// Shopify takes no tax on shipping here, and nobody on a tip.
const TAX_NONE: &str = "0 %";

pub fn seed(catalogue: &Catalogue) -> Value {
    let service = |name: &str, sku: &str| {
        json!({ "name": name, "type": "service", "list_price": 0,
                "variants": [{ "default_code": sku }] })
    };
    let mut templates = vec![
        service("Shipping", "SHIPPING"),
        service("Fee", "FEE"),
        service("Rounding", "ROUNDING"),
    ];
    templates.extend(catalogue.templates.iter().map(template));
    let tracking = |host: &str| format!("https://{host}/<shipmenttrackingnumber>");
    json!({
        "languages": ["de_DE"],
        "currencies": { "USD": "1.10" },
        "taxes": [
            { "name": TAX_DE, "amount": 19, "included": true, "default": true },
            { "name": TAX_US, "amount": 8, "included": true },
            { "name": TAX_NONE, "amount": 0, "included": true },
        ],
        "warehouses": [{ "code": MAIN, "name": "Main" }, { "code": WEST, "name": "West" }],
        "pricelists": [
            { "name": RETAIL_EUR, "currency": "EUR" }, { "name": RETAIL_USD, "currency": "USD" },
            { "name": B2B_USD, "currency": "USD" },
        ],
        "carriers": [
            { "name": "DHL", "tracking_url": tracking("dhl.example") },
            { "name": "UPS", "tracking_url": tracking("ups.example") },
        ],
        "templates": templates,
    })
}

fn template(template: &Template) -> Value {
    let number = |amount: rust_decimal::Decimal| amount.to_string();
    let variants: Vec<Value> = template
        .variants
        .iter()
        .map(|variant| {
            let options: serde_json::Map<String, Value> =
                variant.options.iter().map(|(n, v)| ((*n).to_owned(), json!(v))).collect();
            let prices: serde_json::Map<String, Value> = LISTS
                .iter()
                .map(|list| ((*list).to_owned(), json!(number(variant.price(list)))))
                .collect();
            json!({
                "default_code": variant.sku, "barcode": variant.barcode,
                "weight": number(variant.weight), "attributes": options,
                "prices": prices,
                "stock": { MAIN: variant.main, WEST: variant.west },
            })
        })
        .collect();
    let price = template.variants.first().map(|variant| number(variant.eur));
    json!({
        "name": { "en_US": template.english, "de_DE": template.german },
        "list_price": price, "variants": variants,
    })
}

pub async fn ids(erp: &Office) -> Result<Ids, Error> {
    let id = async |model: &str, field: &str, name: &str| erp.id(ERP_KEY, model, field, name).await;
    let service = async |sku: &str| id("product.product", "default_code", sku).await;
    Ok(Ids {
        retail_eur: id("product.pricelist", "name", RETAIL_EUR).await?,
        retail_usd: id("product.pricelist", "name", RETAIL_USD).await?,
        b2b_usd: id("product.pricelist", "name", B2B_USD).await?,
        main: id("stock.warehouse", "code", MAIN).await?,
        west: id("stock.warehouse", "code", WEST).await?,
        tax_de: id("account.tax", "name", TAX_DE).await?,
        tax_us: id("account.tax", "name", TAX_US).await?,
        tax_none: id("account.tax", "name", TAX_NONE).await?,
        shipping: service("SHIPPING").await?,
        fee: service("FEE").await?,
        rounding: service("ROUNDING").await?,
    })
}
