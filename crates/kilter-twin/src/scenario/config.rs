//! The demo's `kilter.toml`, written for a person to read.
//!
//! Reads   the twins' addresses and the ERP's ids.
//! Writes  text.
//! Never   holds a secret of anything but these twins.

use super::shops::SHOPS;
use super::{ERP_HOOK_SECRET, ERP_KEY, Stage};

impl Stage {
    /// `hooks_listen` is where `kilter serve` will listen, as `127.0.0.1:8700`.
    pub fn config(&self, hooks_listen: &str) -> String {
        let mut text = head(hooks_listen, &self.since);
        text.push_str(&self.erp());
        for shop in &SHOPS {
            let (url, ids) = (&self.office(shop.name).url, &self.shop_ids[shop.name]);
            text.push_str(&shop.platform.section(shop, url, ids, &self.since));
        }
        text.push_str(OWN);
        text
    }

    fn erp(&self) -> String {
        let ids = &self.ids;
        let url = &self.erp.url;
        format!(
            r#"
# The ERP. Behind each name of ours stands the ERP's own id.
[connection.erp]
connector        = "odoo"
url              = "{url}"
database         = "demo"
api_key          = "{ERP_KEY}"
webhook_secret   = "{ERP_HOOK_SECRET}"
prices           = "gross"                      # order lines carry prices with the tax in them
warehouse        = "{main}"                          # ships all orders
rounding_product = "{rounding}"
price_lists      = {{ retail-eur = "{eur}", retail-usd = "{usd}", b2b-usd = "{b2b}" }}
locations        = {{ main = "{main}", west = "{west}" }}
locales          = {{ en_US = "en_US", de_DE = "de_DE" }}

# How often it is asked. Its automation rules ring in between, but for prices.
[connection.erp.every]
moves     = "3s"
quants    = "5s"
prices    = "3s"
shipments = "3s"
orders    = "5s"
customers = "30s"
variants  = "30s"
templates = "30s"
texts     = "30s"
stock     = "2m"

# Ours on the left, the ERP's on the right.
[connection.erp.lookup.taxes]
"19" = "{tax_de}"
"8"  = "{tax_us}"
"0"  = "{tax_none}"
[connection.erp.lookup.order_price_lists]
EUR = "{eur}"
USD = "{usd}"
[connection.erp.lookup.services]
shipping = "{shipping}"
fee      = "{fee}"
[connection.erp.lookup.countries]
DE = "base.de"
US = "base.us"
"#,
            main = ids.main,
            west = ids.west,
            rounding = ids.rounding,
            eur = ids.retail_eur,
            usd = ids.retail_usd,
            b2b = ids.b2b_usd,
            tax_de = ids.tax_de,
            tax_us = ids.tax_us,
            tax_none = ids.tax_none,
            shipping = ids.shipping,
            fee = ids.fee,
        )
    }
}

fn head(listen: &str, since: &str) -> String {
    format!(
        r#"# The demo: three shops and an ERP kept in agreement. Written at {since}.
# The four systems are simulators on this machine; the keys are good for nothing else.

# Names of ours. Each connection says below what stands behind them.
locations = ["main", "west"]

[kilter]
store      = "kilter.sqlite"
listen     = "{listen}"
public_url = "http://{listen}"                  # where the shops send their webhooks

[price_list.retail-eur]
currency = "EUR"
tax      = "included"

[price_list.retail-usd]
currency = "USD"
tax      = "excluded"

[price_list.b2b-usd]                            # what business customers pay
currency = "USD"
tax      = "excluded"
"#
    )
}

const OWN: &str = r#"
# Who decides. Everything about products is the ERP's, but for English titles: the ERP
# proposes them once, from then on the editors of shop us write them; shop plus shows them.
[own.product]
"*"           = "erp"
"title@en_US" = { owner = "us", seed = "erp" }

[own.variant]
"*" = "erp"

[own.price]
"*" = "erp"

[own.stock]
"*" = "erp"

# An order belongs to the shop where it was placed; how far it is shipped, to the ERP.
[own.order]
"*"        = "origin"
fulfilment = "erp"

[own.shipment]
"*" = "erp"

[own.customer]
"*" = "origin"
"#;
