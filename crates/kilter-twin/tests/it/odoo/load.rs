//! `load`: idempotent creation, as odoo-commerce.md section 3 and the recorded answers have it.

use crate::odoo::support::{Odoo, answer_of};
use serde_json::{Value, json};

async fn loaded(odoo: &Odoo, order: &str, line_ids: bool, quantity: u32) -> Value {
    let partner = odoo.id("res.partner", json!([["email", "=", "jane@example.com"]])).await;
    let (one, two) = (odoo.sku("SKU-001").await, odoo.sku("SKU-002").await);
    let mut fields = vec!["id", "partner_id/.id", "client_order_ref"];
    let mut first = vec![json!(order), json!(partner), json!(order)];
    let mut second = vec![json!(""), json!(""), json!("")];
    if line_ids {
        fields.push("order_line/id");
        first.push(json!(format!("{order}_l1")));
        second.push(json!(format!("{order}_l2")));
    }
    fields.extend([
        "order_line/product_id/.id",
        "order_line/product_uom_qty",
        "order_line/price_unit",
    ]);
    first.extend([json!(one), json!(quantity), json!(9.99)]);
    second.extend([json!(two), json!(1), json!(19.5)]);
    odoo.call("sale.order/load", json!({"fields": fields, "data": [first, second]})).await
}

async fn lines(odoo: &Odoo, order: i64) -> Value {
    let body = json!({"domain": [["order_id", "=", order]], "order": "id",
                      "fields": ["product_uom_qty", "price_unit"]});
    odoo.call("sale.order.line/search_read", body).await
}

#[tokio::test]
async fn the_same_load_without_line_ids_adds_the_lines_again() {
    let odoo = Odoo::start().await;
    let first = loaded(&odoo, "hub.so_1", false, 2).await;
    assert_eq!(first["messages"], json!([]));
    assert_eq!(first["nextrow"], json!(0));
    let order = first["ids"][0].as_i64().expect("an id");
    assert_eq!(lines(&odoo, order).await.as_array().map(Vec::len), Some(2));
    assert_eq!(loaded(&odoo, "hub.so_1", false, 2).await["ids"], json!([order]));
    assert_eq!(lines(&odoo, order).await.as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn the_same_load_with_line_ids_updates_and_reaches_a_confirmed_delivery() {
    let odoo = Odoo::start().await;
    let order = loaded(&odoo, "hub.so_2", true, 2).await["ids"][0].as_i64().expect("an id");
    assert_eq!(loaded(&odoo, "hub.so_2", true, 5).await["ids"], json!([order]));
    let found = lines(&odoo, order).await;
    assert_eq!(found.as_array().map(Vec::len), Some(2));
    assert_eq!(found[0]["product_uom_qty"].to_string(), "5.0");
    let domain = json!([["client_order_ref", "=", "hub.so_2"]]);
    assert_eq!(odoo.call("sale.order/search_count", json!({"domain": domain})).await, json!(1));

    odoo.call("sale.order/action_confirm", json!({"ids": [order]})).await;
    loaded(&odoo, "hub.so_2", true, 8).await;
    let found = lines(&odoo, order).await;
    assert_eq!(found[0]["product_uom_qty"].to_string(), "8.0");
    assert_eq!(found[0]["price_unit"].to_string(), "9.99");
    let moves = json!({"domain": [["origin", "=", "S00001"]], "order": "id",
                       "fields": ["product_uom_qty", "quantity", "state"]});
    let moves = odoo.call("stock.move/search_read", moves).await;
    assert_eq!(moves.as_array().map(Vec::len), Some(2));
    assert_eq!(moves[0]["product_uom_qty"].to_string(), "8.0");
    assert_eq!(moves[0]["quantity"].to_string(), "8.0");
    assert_eq!(moves[0]["state"], "assigned");

    loaded(&odoo, "hub.so_2", false, 2).await;
    assert_eq!(lines(&odoo, order).await.as_array().map(Vec::len), Some(4));
    let domain = json!([["origin", "=", "S00001"]]);
    assert_eq!(odoo.call("stock.move/search_count", json!({"domain": domain})).await, json!(4));
    let domain = json!([["sale_id", "=", order]]);
    assert_eq!(odoo.call("stock.picking/search_count", json!({"domain": domain})).await, json!(1));
}

#[tokio::test]
async fn the_external_id_leads_to_the_order() {
    let odoo = Odoo::start().await;
    let order = loaded(&odoo, "hub.so_2", true, 2).await["ids"][0].clone();
    let domain =
        json!([["module", "=", "hub"], ["name", "=", "so_2"], ["model", "=", "sale.order"]]);
    let body = json!({"domain": domain, "fields": ["res_id"]});
    let found = odoo.call("ir.model.data/search_read", body).await;
    assert_eq!(found[0]["res_id"], order);
    let plain = loaded(&odoo, "no_dot", true, 2).await["ids"][0].clone();
    let body = json!({"domain": [["name", "=", "no_dot"]], "fields": ["module", "res_id"]});
    let found = odoo.call("ir.model.data/search_read", body).await;
    assert_eq!((&found[0]["module"], &found[0]["res_id"]), (&json!("__import__"), &plain));
}

#[tokio::test]
async fn of_two_loads_at_once_one_gets_the_message_and_there_is_one_order() {
    let odoo = Odoo::with(&[("latency_ms", "40")], Some(crate::odoo::support::shop())).await;
    for run in 0..3 {
        let name = format!("hub.race_{run}");
        let (left, right) =
            tokio::join!(loaded(&odoo, &name, true, 1), loaded(&odoo, &name, true, 1));
        let (won, lost) = if left["ids"].is_array() { (left, right) } else { (right, left) };
        assert_eq!(won["ids"].as_array().map(Vec::len), Some(1), "{won}");
        assert_eq!(lost["ids"], json!(false), "{lost}");
        let message = &lost["messages"][0];
        let wanted = "could not serialize access due to concurrent update\n";
        assert_eq!(message["message"], wanted);
        assert_eq!((&message["type"], &message["record"]), (&json!("error"), &json!(0)));
        if let Some(recorded) = answer_of("t3b", "race hub.race_1795461800_0") {
            assert!(recorded.contains(&json!(wanted).to_string()));
        }
        let body = json!({"domain": [["client_order_ref", "=", name]], "fields": ["name"]});
        let orders = odoo.call("sale.order/search_read", body).await;
        assert_eq!(orders.as_array().map(Vec::len), Some(1));
        // The number that the loser drew is lost: S00001, S00003, S00005.
        assert_eq!(orders[0]["name"], format!("S{:05}", 2 * run + 1));
    }
}

#[tokio::test]
async fn two_plain_creates_at_once_make_two_orders() {
    let odoo = Odoo::start().await;
    let partner = odoo.id("res.partner", json!([["name", "=", "Jane"]])).await;
    let body = json!({"vals_list": [{"partner_id": partner, "client_order_ref": "WEB-9"}]});
    let create = || odoo.call("sale.order/create", body.clone());
    let (left, right) = tokio::join!(create(), create());
    assert_ne!(left, right);
}

#[tokio::test]
async fn what_a_row_says_wrongly_comes_back_as_a_message_in_a_200() {
    let odoo = Odoo::start().await;
    let body = json!({"fields": ["id", "partner_id/.id"], "data": [["hub.x", 99_999_999]]});
    let answer = odoo.call("sale.order/load", body).await;
    if let Some(recorded) = answer_of("t3b", "load bad") {
        let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
        assert_eq!(answer, recorded);
    }
    assert_eq!(answer["ids"], json!(false));

    let partner = odoo.id("res.partner", json!([["name", "=", "Jane"]])).await;
    let fields = json!(["id", "partner_id/.id", "order_line/product_id/id"]);
    let body = json!({"fields": fields, "data": [["hub.y", partner, "hub.none"]]});
    let answer = odoo.call("sale.order/load", body).await;
    if let Some(recorded) = answer_of("t3b", "load extid product") {
        let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
        assert_eq!(answer, recorded);
    }
    let none = odoo.call("sale.order/search_count", json!({"domain": []})).await;
    assert_eq!(none, json!(0), "a load that failed left something behind");
}

#[tokio::test]
async fn several_orders_travel_in_one_load() {
    let odoo = Odoo::start().await;
    let partner = odoo.id("res.partner", json!([["name", "=", "Jane"]])).await;
    let one = odoo.sku("SKU-001").await;
    let fields = json!(["id", "partner_id/.id", "order_line/id", "order_line/product_id/.id"]);
    let data = json!([
        ["hub.a", partner, "hub.a1", one],
        ["", "", "hub.a2", one],
        ["hub.b", partner, "hub.b1", one]
    ]);
    let answer = odoo.call("sale.order/load", json!({"fields": fields, "data": data})).await;
    assert_eq!(answer["ids"].as_array().map(Vec::len), Some(2), "{answer}");
    let products = json!({"fields": ["id", "name", "default_code"],
                          "data": [["__hub__.sku_1", "Shirt", "S1"]]});
    let first = odoo.call("product.product/load", products.clone()).await;
    assert_eq!(odoo.call("product.product/load", products).await, first);
    let duplicate =
        json!({"vals_list": [{"module": "hub", "name": "a", "model": "sale.order", "res_id": 1}]});
    let (status, error) = odoo.try_call("ir.model.data/create", duplicate).await;
    assert_eq!((status, &error["name"]), (422, &json!("odoo.exceptions.ValidationError")));
}

/// A credit note is a record like any other: by its external ids it is there once, whatever is sent.
#[tokio::test]
async fn a_credit_note_loaded_twice_is_one() {
    let odoo = Odoo::start().await;
    let partner = odoo.id("res.partner", json!([["email", "=", "jane@example.com"]])).await;
    let tax = odoo.id("account.tax", json!([["name", "=", "19% incl"]])).await;
    let one = odoo.sku("SKU-001").await;
    let fields = json!([
        "id",
        "move_type",
        "partner_id/.id",
        "currency_id",
        "ref",
        "invoice_line_ids/id",
        "invoice_line_ids/product_id/.id",
        "invoice_line_ids/name",
        "invoice_line_ids/quantity",
        "invoice_line_ids/price_unit",
        "invoice_line_ids/tax_ids/.id"
    ]);
    let data = json!([
        [
            "hub.r_1",
            "out_refund",
            partner,
            "EUR",
            "R-1",
            "hub.r_1_l1",
            one,
            "Widget",
            2,
            10.99,
            tax
        ],
        ["", "", "", "", "", "hub.r_1_l2", "", "Gesture", 1, 5, tax],
    ]);
    let body = json!({"fields": fields, "data": data});
    let first = odoo.call("account.move/load", body.clone()).await;
    assert_eq!(first["messages"], json!([]), "{first}");
    assert_eq!(odoo.call("account.move/load", body).await["ids"], first["ids"]);
    let found = odoo.office("state?part=invoices", Value::Null).await["invoices"].clone();
    let [note] = found.as_array().expect("a list").as_slice() else { panic!("{found}") };
    assert_eq!((&note["move_type"], &note["state"]), (&json!("out_refund"), &json!("draft")));
    assert_eq!((&note["currency"], &note["ref"]), (&json!("EUR"), &json!("R-1")));
    assert_eq!(note["lines"].as_array().map(Vec::len), Some(2));
    // 2 × 10.99 + 5.00, taxes included: 26.98 holds 4.31 of 19 %.
    assert_eq!(note["amount_total"].to_string(), "26.98");
    assert_eq!(note["amount_tax"].to_string(), "4.31");
}
