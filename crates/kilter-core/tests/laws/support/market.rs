//! A connector "market", for the laws of carried creates. No such platform exists.
//!
//! Reads   nothing.   Writes  nothing.   Never  stands in a house that does not ask for it.

/// A shop that takes a product with all that hangs on it, and keeps a figure for each location.
pub const MARKET: &[(&str, &str)] = &[
    (
        "market/connector.toml",
        "connector = \"market\"\ntitle = \"Market\"\nbase = \"$url\"\n[settings]\nurl = { help = \"address\" }\n",
    ),
    (
        "market/products.toml",
        r#"
resource = "products"
root     = "product"
id       = "id | id"
select   = { status = ["active", "draft"] }
[list]
call = { path = "products" }
[[write]]
name   = "set"
kinds  = ["create"]
call   = { method = "POST", path = "products", body = { item = "$item", count = "$carried" } }
answer = { is = "object", create = "." }
[[write.carries]]
resource = "variants"
at       = "variants"
answer   = "variants"
least    = 1
cap      = 2
[[write.carries.carries]]
resource = "levels"
at       = "stock"
item     = { where = "$each", quantity = "$item.quantity" }
[facet.product.rows]
code   = "code | text"
title  = "title | text"
status = "status | enum(active=on, draft=off, archived=gone)"
"#,
    ),
    (
        "market/variants.toml",
        r#"
resource = "variants"
root     = "variant"
id       = "id | id"
parent   = { facet = "product", resource = "products" }
select   = { "product.status" = ["active", "draft"] }
requires = ["price.amount"]
[list]
call = { path = "variants" }
[[write]]
name   = "variants"
kinds  = ["create", "update"]
call   = { method = "POST", path = "variants", body = "$items" }
cap    = 100
answer = { is = "object", create = ".", update = "." }
[facet.variant.rows]
sku     = "sku | text"
product = { read = "product | id | ref(products)", observe = true }
item    = { read = "item | id", observe = true }
[facet.product]
of = "product"
[facet.price]
key = { variant = "root", list = "$price_list" }
[facet.price.rows]
amount = "price | money($currency, 2)"
"#,
    ),
    (
        "market/levels.toml",
        r#"
resource = "levels"
root     = "stock"
id       = "id | id"
parent   = { facet = "variant", resource = "variants", row = "variant.item", same_id = true }
requires = ["available"]
[list]
each = "$locations"
call = { path = "levels" }
[[write]]
name   = "start"
kinds  = ["create"]
call   = { method = "POST", path = "levels/$id", body = "$item" }
[[write]]
name       = "set"
kinds      = ["update"]
call       = { method = "PUT", path = "levels", body = "$items" }
cap        = 100
id_in_item = "item | id"
[facet.stock]
key = { variant = "variant", location = "$each" }
[facet.stock.rows]
variant   = { read = "variant | id | ref(variants)", observe = true }
available = { read = "quantity | decimal", observe = true, write = "quantity | decimal(number, 0)", was = "before | decimal(number, 0)" }
[facet.variant]
of = "variant"
"#,
    ),
];
