//! A shop "kiosk" that divides what it has to send, and the ledger's parcels. No such platform exists.
//!
//! Reads   nothing.   Writes  nothing.   Never  stands in a house that does not ask for it.

/// Each item of `work` holds lines that are open at one place; a parcel closes some of them.
pub const KIOSK: &[(&str, &str)] = &[
    (
        "kiosk/connector.toml",
        "connector = \"kiosk\"\ntitle = \"Kiosk\"\nbase = \"$url\"\n[settings]\nurl = { help = \"address\" }\n",
    ),
    (
        "kiosk/variants.toml",
        r#"
resource = "variants"
root     = "variant"
id       = "id | id"
[list]
call = { path = "variants" }
[facet.variant.rows]
sku = "sku | text"
"#,
    ),
    (
        "kiosk/orders.toml",
        r#"
resource = "orders"
root     = "order"
id       = "id | id"
[list]
call = { path = "orders" }
[facet.order.rows]
number = { read = "number | text" }
status = { read = "status | text" }
[[facet.order.rows.lines.list]]
at = "lines"
[facet.order.rows.lines.list.rows]
id       = { read = "id | id(text)" }
sku      = { read = "sku | text" }
variant  = { read = "variant | id | ref(variants)" }
quantity = { read = "quantity | decimal" }
[facet.order.rows.work]
observe = true
[[facet.order.rows.work.list]]
at    = "work"
skip  = { state = "done" }
inner = "lines"
[facet.order.rows.work.list.outer]
group = { read = "id | text" }
place = { read = "place | text" }
held  = { read = "state | enum(no=open, on_hold=held)" }
[facet.order.rows.work.list.rows]
id      = { read = "id | text" }
open    = { read = "open | integer" }
sku     = { read = "sku | text" }
variant = { read = "variant | id | ref(variants)" }
"#,
    ),
    (
        "kiosk/parcels.toml",
        r#"
resource = "parcels"
root     = "shipment"
id       = "id | id"
select   = { status = "shipped" }
parent   = { facet = "order", resource = "orders", row = "order.work" }
[spread]
lines    = "lines"
whole_if = { "order.fulfilment" = "shipped" }
group    = { of = "$group", lines = "$items" }
item     = { id = "$id", pieces = "$quantity" }
[[write]]
name   = "send"
kinds  = ["create"]
call   = { method = "POST", path = "parcels", body = { work = "$parent", number = "$item.number" } }
answer = { is = "object" }
[[write]]
name   = "track"
kinds  = ["update"]
call   = { method = "PUT", path = "parcels/$id", body = "$item" }
[permit]
class     = "C"
lookup    = { path = "orders/$above/parcels" }
id        = "id | id"
reference = "number | text"
ours      = "number"
[facet.shipment.rows]
tracking = { read = "number | text", observe = true, write = "number | text" }
[facet.order]
of = "order"
"#,
    ),
];
