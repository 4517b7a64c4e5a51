//! The house that the laws are proved in: an ERP "ledger" that is right about goods, prices and
//! stock, and two shops of the kind "stall". No such platforms exist.
//!
//! Reads   the texts below and the repository's entities.   Writes  nothing.

use std::collections::BTreeMap;
use std::path::Path;

use kilter_core::config::read_config;
use kilter_core::doc::Problem;
use kilter_core::entity::Entities;
use kilter_core::manifest::read_connector;
use kilter_core::sync::house::House;

use super::kiosk::KIOSK;
use super::market::MARKET;

pub const CONFIG: &str = r#"
locations = ["main", "depot"]

[price_list.retail]
currency = "EUR"
tax      = "included"

[connection.erp]
connector  = "ledger"
url        = "https://erp.example"
prices     = "gross"
locale     = "de_DE"
currency   = "EUR"
price_list = "retail"
locations  = ["main", "depot"]

[connection.north]
connector  = "stall"
url        = "https://north.example"
token      = "north-secret"
locale     = "de_DE"
currency   = "EUR"
price_list = "retail"
locations  = ["main"]
buffer     = 1
orders     = { prefix = "N" }

[connection.south]
connector  = "stall"
url        = "https://south.example"
token      = "south-secret"
locale     = "en_US"
currency   = "EUR"
price_list = "retail"
locations  = ["main", "depot"]
orders     = { prefix = "S" }

[own.product]
"*"           = "erp"
"title@en_US" = "south"

[own.variant]
"*"       = "erp"
weight    = "origin"
barcode   = "nobody"
tax_class = { owner = "erp", seed = "north" }

[own.price]
"*" = "erp"

[own.stock]
"*" = "erp"

[own.order]
"*"        = "origin"
fulfilment = "erp"

[own.refund]
"*" = "origin"
"#;

const LEDGER: &[(&str, &str)] = &[
    (
        "ledger/connector.toml",
        "connector = \"ledger\"\ntitle = \"Ledger\"\nbase = \"$url\"\n[settings]\nurl = { help = \"address\" }\nprices = { help = \"net or gross\", default = \"gross\" }\n",
    ),
    (
        "ledger/products.toml",
        r#"
resource = "products"
root     = "product"
id       = "id | id"
version  = "ver | text"
[list]
call = { path = "products" }
[facet.product.rows]
code        = "code | text"
title       = "name | text"
description = "text | text"
kind        = "kind | enum(simple=simple, variable=variable)"
status      = "status | enum(active=active, draft=draft, archived=archived)"
"#,
    ),
    (
        "ledger/variants.toml",
        r#"
resource = "variants"
root     = "variant"
id       = "id | id"
version  = "ver | text"
[list]
call = { path = "variants" }
[facet.variant.rows]
sku       = "sku | text"
product   = "product | id | ref(products)"
weight    = "weight | decimal"
barcode   = "barcode | text"
tax_class = "tax | text"
sellable  = "sellable | decimal"
unit            = { read = "sold_by.name | text" }
unit_id         = { read = "sold_by.id | id(text)" }
unit_size       = { read = "sold_by.size | decimal" }
stock_unit      = { read = "kept_by.name | text" }
stock_unit_size = { read = "kept_by.size | decimal" }
"#,
    ),
    (
        "ledger/prices.toml",
        r#"
resource = "prices"
root     = "price"
id       = "id | id"
[list]
call = { path = "prices" }
[facet.price]
key = { variant = "variant", list = "$price_list" }
[facet.price.rows]
variant = { read = "variant | id | ref(variants)" }
amount  = "amount | money($currency, 4)"
per     = { read = "per | enum(stock_unit=kept, ?=unit)" }
"#,
    ),
    (
        "ledger/stock.toml",
        r#"
resource = "stock"
root     = "stock"
id       = "id | id"
[list]
each = "$locations"
call = { path = "stock" }
[facet.stock]
key = { variant = "variant", location = "$each" }
[facet.stock.rows]
variant = { read = "id | id | ref(variants)" }
figure  = { read = "figure | decimal" }
"#,
    ),
    (
        "ledger/orders.toml",
        r#"
resource = "orders"
root     = "order"
id       = "id | id"
requires = ["reference"]
contains = ["confirmed", "done"]
[list]
call = { path = "orders" }
[[write]]
name   = "orders"
kinds  = ["create"]
call   = { method = "POST", path = "orders", body = "$item" }
answer = { is = "object", create = "." }
[permit]
class     = "C"
lookup    = { path = "orders", query = { reference = "$refs" } }
id        = "id | id"
reference = "reference | text"
[document]
prices = "$prices"
places = 2
[facet.order.rows]
reference = { read = "reference | text", write = "reference | text", fixed = true }
fulfilment = { read = "sent | text" }
[facet.order.rows.document]
fixed = true
[[facet.order.rows.document.list]]
at = "lines"
[facet.order.rows.document.list.rows]
key        = { write = "key | text" }
variant    = { write = "variant | id | ref(variants)" }
quantity   = { write = "quantity | decimal" }
unit_price = { write = "unit_price | decimal" }
unit       = { write = "unit | text" }
[lifecycle]
state      = "state | text"
total      = "total | decimal"
rounding   = { method = "POST", path = "orders/$id/rounding", body = { amount = "$difference" } }
goal_field = "status"
goals      = { paid = ["confirmed", "done"], completed = ["confirmed", "done"], cancelled = ["cancelled"], refunded = ["cancelled"] }
steps = [
  { name = "quote",   from = "draft",  to = "quoted",    call = { method = "POST", path = "orders/$id/quote" } },
  { name = "confirm", from = "quoted", to = "confirmed", call = { method = "POST", path = "orders/$id/confirm" } },
  { name = "back",    from = "quoted", to = "draft",     call = { method = "POST", path = "orders/$id/back" } },
  { name = "cancel",  from = "draft",  to = "cancelled", call = { method = "POST", path = "orders/$id/cancel" } },
]
"#,
    ),
    (
        "ledger/shipments.toml",
        r#"
resource = "shipments"
root     = "shipment"
id       = "id | id"
[list]
call = { path = "shipments" }
[facet.shipment.rows]
reference = { read = "number | text" }
order     = { read = "order | id | ref(orders)" }
status    = { read = "state | enum(shipped=done, ?=open)" }
tracking  = { read = "tracking | text" }
[[facet.shipment.rows.lines.list]]
at = "lines"
[facet.shipment.rows.lines.list.rows]
variant  = { read = "product | id | ref(variants)" }
quantity = { read = "quantity | decimal" }
"#,
    ),
    (
        "ledger/refunds.toml",
        r#"
resource = "refunds"
root     = "refund"
id       = "id | id"
requires = ["reference", "order"]
contains = ["posted"]
parent   = { facet = "order", resource = "orders" }
[list]
call = { path = "refunds" }
[[write]]
name   = "refunds"
kinds  = ["create"]
call   = { method = "POST", path = "refunds", body = "$item" }
answer = { is = "object", create = "." }
[permit]
class     = "C"
lookup    = { path = "refunds", query = { reference = "$refs" } }
id        = "id | id"
reference = "reference | text"
[document]
prices = "$prices"
places = 2
[facet.refund.rows]
reference = { read = "reference | text", write = "reference | text", fixed = true }
[facet.refund.rows.document]
fixed = true
[[facet.refund.rows.document.list]]
at = "lines"
[facet.refund.rows.document.list.rows]
kind       = { write = "kind | text" }
variant    = { write = "variant | id | ref(variants)" }
quantity   = { write = "quantity | decimal" }
unit_price = { write = "unit_price | decimal" }
[facet.order]
of = "order"
[facet.order.rows]
self = { write = "of | ref(orders)", fixed = true }
[lifecycle]
state      = "state | text"
total      = "total | decimal"
rounding   = { method = "POST", path = "refunds/$id/rounding", body = { amount = "$difference" } }
goal_field = "status"
goals      = { given = ["draft", "posted"] }
steps = [
  { name = "post", from = "draft", to = "posted", call = { method = "POST", path = "refunds/$id/post" } },
]
"#,
    ),
];

const STALL: &[(&str, &str)] = &[
    (
        "stall/connector.toml",
        "connector = \"stall\"\ntitle = \"Stall\"\nbase = \"$url\"\n[settings]\nurl = { help = \"address\" }\ntoken = { help = \"its key\", secret = true }\n",
    ),
    (
        "stall/products.toml",
        r#"
resource = "products"
root     = "product"
id       = "id | id"
version  = "ver | text"
fold     = true
select   = { status = ["active", "draft"] }
requires = ["title"]
[list]
call = { path = "products" }
[[write]]
name       = "products"
kinds      = ["create", "update"]
call       = { method = "POST", path = "products/batch", body = { create = "$create", update = "$update" } }
cap        = 3
id_in_item = "id | id"
answer     = { is = "object", create = "create", update = "update" }
[[write]]
name   = "archive"
kinds  = ["archive"]
call   = { method = "PUT", path = "products/$id", body = { state = "private" } }
answer = { is = "object", archive = "." }
[facet.product.rows]
code        = "sku | text"
title       = "name | html_text | trim"
description = "body | null_as(\"\") | trim"
status      = "state | enum(active=publish, draft=draft, archived=private)"
"#,
    ),
    (
        "stall/variants.toml",
        r#"
resource = "variants"
root     = "variant"
id       = "id | id"
version  = "ver | text"
fold     = true
parent   = { facet = "product", resource = "products" }
select   = { "product.status" = ["active", "draft"] }
requires = ["price.amount"]
[list]
call = { path = "variants" }
[get]
call = { path = "variants", query = { include = { as = "csv", value = "$ids" } } }
[[write]]
name       = "variants"
kinds      = ["create", "update"]
call       = { method = "POST", path = "products/$parent/variants/batch", body = { create = "$create", update = "$update" } }
cap        = 3
by_parent  = true
id_in_item = "id | id"
answer     = { is = "object", create = "create", update = "update" }
[facet.variant.rows]
sku       = "sku | text"
weight    = "weight | decimal(1)"
barcode   = "barcode | text"
tax_class = "tax | text"
product   = { read = "parent | id | ref(products)", observe = true }
sellable  = { write = "qty | decimal(number)", read = "observe" }
[facet.product]
of = "product"
[facet.price]
key = { variant = "root", list = "$price_list" }
[facet.price.rows]
amount = "price | money($currency, 2)"
"#,
    ),
    (
        "stall/orders.toml",
        r#"
resource    = "orders"
root        = "order"
id          = "id | id"
version     = "ver | text"
holds_stock = ["held", "paid", "completed"]
[list]
call = { path = "orders" }
[[write]]
name   = "orders"
kinds  = ["update"]
call   = { method = "PUT", path = "orders/$id", body = "$item" }
answer = { is = "object", update = "." }
[facet.order.rows]
number = { read = "number | text" }
completion = { write = "state | enum(shipped=done, *=keep)" }
status = { read = "status | text" }
total  = { read = "total | money($currency)" }
tax_included = { read = "included | bool" }
[[facet.order.rows.lines.list]]
at = "lines"
[facet.order.rows.lines.list.rows]
id       = { read = "id | id(text)" }
sku      = { read = "sku | text" }
name     = { read = "name | text" }
variant  = { read = "variant | id | ref(variants)" }
quantity = { read = "quantity | decimal" }
total    = { read = "total | money($currency)" }
subtotal = { read = "subtotal | money($currency)" }
tax      = { read = "tax | money($currency)" }
tax_rate = { read = "rate | text" }
[[facet.order.rows.refunds.list]]
at = "refunds"
[facet.order.rows.refunds.list.rows]
id = { read = "id | id(text)" }
[[facet.order.rows.restocked.list]]
at = "restocked"
[facet.order.rows.restocked.list.rows]
line     = { read = "line | id(text)" }
quantity = { read = "quantity | decimal" }
"#,
    ),
    (
        "stall/refunds.toml",
        r#"
resource = "refunds"
root     = "refund"
id       = "id | id"
[list]
call = { path = "refunds" }
[facet.refund.rows]
number   = { read = "id | id(text)" }
order    = { read = "order | id | ref(orders)" }
status   = { read = "id | id(text) | enum(given=given, ?=given)" }
given_at = { read = "at | text" }
amount   = { read = "amount | money($currency)" }
reason   = { read = "reason | text" }
[[facet.refund.rows.lines.list]]
at = "lines"
[facet.refund.rows.lines.list.rows]
id       = { read = "id | id(text)" }
line     = { read = "line | id(text)" }
variant  = { read = "variant | id | ref(variants)" }
quantity = { read = "quantity | decimal | negate" }
total    = { read = "total | money($currency) | negate" }
tax      = { read = "tax | money($currency) | negate" }
subtotal = { read = "subtotal | money($currency)" }
back     = { read = "back | bool" }
[[facet.refund.rows.charges.list]]
at  = "postage"
set = { kind = "shipping" }
[facet.refund.rows.charges.list.rows]
id       = { read = "id | id(text)" }
total    = { read = "total | money($currency) | negate" }
tax      = { read = "tax | money($currency) | negate" }
"#,
    ),
];

/// The house with a config of one's own. A problem anywhere is a broken test.
pub fn house(config: &str) -> House {
    let mut problems = Vec::new();
    let house = read_house(config, &mut problems);
    let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert!(problems.is_empty(), "{}", texts.join("\n"));
    house
}

/// The same, where `this` stands for `that` in every connector.
pub fn house_with(that: &str, this: &str, config: &str) -> House {
    let mut problems = Vec::new();
    let house = read_house_with(that, this, config, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    house
}

/// `CONFIG`, with one more connector and its connection.
pub fn house_and(files: &[(&str, &str)], connection: &str) -> House {
    let mut problems = Vec::new();
    let files: Vec<_> = files.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect();
    let connector = read_connector(&files, &mut problems).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let House { entities, mut connectors, config, .. } = house(&format!("{CONFIG}{connection}"));
    connectors.insert(connector.name.clone(), connector);
    House::new(entities, connectors, config)
}

pub fn read_house(config: &str, problems: &mut Vec<Problem>) -> House {
    read_house_with("", "", config, problems)
}

fn read_house_with(that: &str, this: &str, config: &str, problems: &mut Vec<Problem>) -> House {
    let changed =
        |text: &str| if that.is_empty() { text.to_owned() } else { text.replace(that, this) };
    let mut connectors = BTreeMap::new();
    for files in [LEDGER, STALL, MARKET, KIOSK] {
        let files: Vec<(String, String)> =
            files.iter().map(|(f, t)| ((*f).to_owned(), changed(t))).collect();
        let connector = read_connector(&files, problems).unwrap();
        connectors.insert(connector.name.clone(), connector);
    }
    let mut config = read_config("kilter.toml", config, &|_| None, problems);
    for connection in config.connections.values_mut() {
        connection.account = format!("account of {}", connection.name);
    }
    House::new(entities(problems), connectors, config)
}

fn entities(problems: &mut Vec<Problem>) -> Entities {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../entities");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        files.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
    }
    files.sort();
    Entities::read(files.iter().map(|(f, t)| (f.as_str(), t.as_str())), problems)
}
