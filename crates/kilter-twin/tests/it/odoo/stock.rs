//! Stock, deliveries, back orders, tracking, returns: odoo-commerce.md sections 2, 4 and 5.

use crate::odoo::support::{Odoo, next_second, text};
use serde_json::{Value, json};

async fn level(odoo: &Odoo, sku: &str, context: Value) -> [String; 3] {
    let variant = odoo.sku(sku).await;
    let fields = ["qty_available", "free_qty", "virtual_available"];
    let body = json!({"ids": [variant], "fields": fields, "context": context});
    let found = odoo.call("product.product/read", body).await[0].clone();
    fields.map(|field| text(&found[field]))
}

async fn confirmed(odoo: &Odoo) -> (i64, i64) {
    let (one, two) = (odoo.sku("SKU-001").await, odoo.sku("SKU-002").await);
    let order = odoo
        .order(json!([[0, 0, {"product_id": one, "product_uom_qty": 4}],
                      [0, 0, {"product_id": two, "product_uom_qty": 2}]]))
        .await;
    odoo.call("sale.order/action_confirm", json!({"ids": [order]})).await;
    (order, odoo.id("stock.picking", json!([["sale_id", "=", order]])).await)
}

async fn first_move(odoo: &Odoo, picking: i64) -> Value {
    let fields = ["product_uom_qty", "quantity", "picked", "state"];
    let body = json!({"domain": [["picking_id", "=", picking]], "order": "id", "fields": fields});
    odoo.call("stock.move/search_read", body).await[0].clone()
}

async fn status(odoo: &Odoo, order: i64) -> Value {
    odoo.read("sale.order", order, &["delivery_status"]).await["delivery_status"].clone()
}

#[tokio::test]
async fn confirming_reserves_and_validating_ships() {
    let odoo = Odoo::start().await;
    let wh = json!({"warehouse_id": 1});
    let one = odoo.sku("SKU-001").await;
    let product_date = odoo.date("product.product", one).await;
    let quant = odoo
        .id(
            "stock.quant",
            json!([["product_id", "=", one], ["location_id.usage", "=", "internal"]]),
        )
        .await;
    let quant_date = odoo.date("stock.quant", quant).await;
    next_second().await;
    let (order, picking) = confirmed(&odoo).await;
    assert_eq!(level(&odoo, "SKU-001", wh.clone()).await, ["100.0", "96.0", "96.0"]);
    assert_eq!(level(&odoo, "SKU-001", json!({})).await, ["107.0", "103.0", "103.0"]);
    assert_ne!(odoo.date("stock.quant", quant).await, quant_date);
    assert_eq!(status(&odoo, order).await, "pending");

    let line = first_move(&odoo, picking).await["id"].clone();
    odoo.call("stock.move/write", json!({"ids": [line], "vals": {"quantity": 1}})).await;
    assert_eq!(first_move(&odoo, picking).await["state"], "partially_available");
    let question = odoo.call("stock.picking/button_validate", json!({"ids": [picking]})).await;
    assert_eq!(question["res_model"], "stock.backorder.confirmation");
    assert_eq!(odoo.read("stock.picking", picking, &["state"]).await["state"], "assigned");
    assert_eq!(first_move(&odoo, picking).await["picked"], true);

    let body = json!({"ids": [picking], "context": {"skip_backorder": true}});
    assert_eq!(odoo.call("stock.picking/button_validate", body).await, json!(true));
    assert_eq!(odoo.read("stock.picking", picking, &["state"]).await["state"], "done");
    assert_eq!(text(&first_move(&odoo, picking).await["product_uom_qty"]), "1.0");
    assert_eq!(level(&odoo, "SKU-001", wh.clone()).await, ["99.0", "96.0", "96.0"]);
    assert_eq!(status(&odoo, order).await, "partial");
    let rest = odoo.id("stock.picking", json!([["backorder_id", "=", picking]])).await;
    assert_eq!(odoo.read("stock.picking", rest, &["sale_id"]).await["sale_id"][0], order);
    assert_eq!(text(&first_move(&odoo, rest).await["quantity"]), "3.0");

    let line = first_move(&odoo, rest).await["id"].clone();
    odoo.call("stock.move/write", json!({"ids": [line], "vals": {"quantity": 1}})).await;
    let context = json!({"skip_backorder": true, "picking_ids_not_to_backorder": [rest]});
    odoo.call("stock.picking/button_validate", json!({"ids": [rest], "context": context})).await;
    let done = first_move(&odoo, rest).await;
    assert_eq!(
        (text(&done["product_uom_qty"]), text(&done["quantity"])),
        ("3.0".into(), "1.0".into())
    );
    assert_eq!(status(&odoo, order).await, "full", "full even though the rest was dropped");
    let lines =
        json!({"domain": [["order_id", "=", order]], "fields": ["qty_delivered"], "order": "id"});
    let lines = odoo.call("sale.order.line/search_read", lines).await;
    assert_eq!(text(&lines[0]["qty_delivered"]), "2.0");
    assert_eq!(level(&odoo, "SKU-001", wh).await, ["98.0", "98.0", "98.0"]);
    assert_eq!(
        odoo.date("product.product", one).await,
        product_date,
        "stock moved a product's date"
    );

    assert_eq!(odoo.call("sale.order/action_cancel", json!({"ids": [order]})).await, json!(true));
    assert_eq!(status(&odoo, order).await, "full");
    assert_eq!(odoo.read("stock.picking", picking, &["state"]).await["state"], "done");
}

#[tokio::test]
async fn what_is_returned_is_no_longer_delivered() {
    let odoo = Odoo::start().await;
    let (order, picking) = confirmed(&odoo).await;
    odoo.call("stock.picking/button_validate", json!({"ids": [picking]})).await;
    let wizard = json!({"vals_list": [{"picking_id": picking}]});
    let wizard = odoo.call("stock.return.picking/create", wizard).await[0].clone();
    let rows = json!({"domain": [["wizard_id", "=", wizard]], "fields": ["move_id", "quantity"]});
    let rows = odoo.call("stock.return.picking.line/search_read", rows).await;
    assert_eq!(rows[0]["move_id"][1], "S00001/SKU-001: Stock>Customers");
    assert_eq!(text(&rows[0]["quantity"]), "0.0");
    let write = json!({"ids": [rows[0]["id"]], "vals": {"quantity": 1}});
    odoo.call("stock.return.picking.line/write", write).await;
    let back =
        odoo.call("stock.return.picking/action_create_returns", json!({"ids": [wizard]})).await;
    assert_eq!(back["res_model"], "stock.picking");
    let back = back["res_id"].as_i64().expect("an id");
    odoo.call("stock.picking/button_validate", json!({"ids": [back]})).await;
    let found = odoo.read("stock.picking", back, &["name", "state", "origin"]).await;
    assert_eq!(found["name"], "WH/IN/00001");
    assert_eq!(found["origin"], "Return of WH/OUT/00001");
    let lines =
        json!({"domain": [["order_id", "=", order]], "fields": ["qty_delivered"], "order": "id"});
    let lines = odoo.call("sale.order.line/search_read", lines).await;
    assert_eq!(text(&lines[0]["qty_delivered"]), "3.0");
}

#[tokio::test]
async fn tracking_is_written_on_a_done_delivery() {
    let odoo = Odoo::start().await;
    let (order, picking) = confirmed(&odoo).await;
    odoo.call("stock.picking/button_validate", json!({"ids": [picking]})).await;
    let carrier = odoo.id("delivery.carrier", json!([["name", "=", "DHL"]])).await;
    let vals = json!({"carrier_id": carrier, "carrier_tracking_ref": "TRK1"});
    let before = odoo.date("stock.picking", picking).await;
    next_second().await;
    odoo.call("stock.picking/write", json!({"ids": [picking], "vals": vals})).await;
    let found = odoo.read("stock.picking", picking, &["carrier_id", "carrier_tracking_url"]).await;
    assert_eq!(found["carrier_tracking_url"], "https://track.example/TRK1");
    assert_eq!(found["carrier_id"], json!([carrier, "DHL"]));
    assert_ne!(odoo.date("stock.picking", picking).await, before);
    assert_eq!(odoo.date("sale.order", order).await, before);
}

#[tokio::test]
async fn quantities_per_warehouse_by_context_and_by_group() {
    let odoo = Odoo::start().await;
    assert_eq!(level(&odoo, "SKU-001", json!({"warehouse_id": "West"})).await[1], "7.0");
    assert_eq!(level(&odoo, "SKU-001", json!({"warehouse_id": [1, 2]})).await[1], "107.0");
    confirmed(&odoo).await;
    let body = json!({"domain": [["location_id.usage", "=", "internal"]],
                      "groupby": ["product_id", "location_id.warehouse_id"],
                      "aggregates": ["quantity:sum", "reserved_quantity:sum", "available_quantity:sum"]});
    let groups = odoo.call("stock.quant/formatted_read_group", body).await;
    let one = odoo.sku("SKU-001").await;
    assert_eq!(groups[0]["product_id"], json!([one, "[SKU-001] Widget 1"]));
    assert_eq!(groups[0]["location_id.warehouse_id"], json!([1, "My Company"]));
    assert_eq!(text(&groups[0]["quantity:sum"]), "100.0");
    assert_eq!(text(&groups[0]["reserved_quantity:sum"]), "4.0");
    assert_eq!(text(&groups[0]["available_quantity:sum"]), "96.0");
    let extra =
        json!(["&", ["product_id", "=", one], ["location_id", "any", [["warehouse_id", "=", 1]]]]);
    assert_eq!(groups[0]["__extra_domain"], extra);
    assert_eq!(groups.as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn qty_available_is_writable() {
    let odoo = Odoo::start().await;
    let two = odoo.sku("SKU-002").await;
    odoo.call("product.product/write", json!({"ids": [two], "vals": {"qty_available": 42}})).await;
    assert_eq!(level(&odoo, "SKU-002", json!({"warehouse_id": 1})).await[0], "42.0");
    assert_eq!(level(&odoo, "SKU-002", json!({})).await, ["49.0", "49.0", "49.0"]);
    let domain =
        json!([["product_id", "=", two], ["is_inventory", "=", true], ["state", "=", "done"]]);
    assert_eq!(odoo.call("stock.move/search_count", json!({"domain": domain})).await, json!(1));
}

#[tokio::test]
async fn a_counted_quant_is_applied() {
    let odoo = Odoo::start().await;
    let one = odoo.sku("SKU-001").await;
    let stock = odoo.read("stock.warehouse", 1, &["lot_stock_id"]).await["lot_stock_id"].clone();
    assert_eq!(stock[1], "WH/Stock");
    let quant = odoo
        .id("stock.quant", json!([["product_id", "=", one], ["location_id", "=", stock[0]]]))
        .await;
    let context = json!({"inventory_mode": true});
    let vals = json!({"inventory_quantity": 12});
    odoo.call("stock.quant/write", json!({"ids": [quant], "vals": vals, "context": context})).await;
    assert_eq!(level(&odoo, "SKU-001", json!({"warehouse_id": 1})).await[0], "100.0");
    let applied = odoo.call("stock.quant/action_apply_inventory", json!({"ids": [quant]})).await;
    assert_eq!(applied, Value::Null);
    assert_eq!(level(&odoo, "SKU-001", json!({"warehouse_id": 1})).await[0], "12.0");
}

#[tokio::test]
async fn what_is_not_there_is_only_forecast() {
    let odoo = Odoo::start().await;
    let one = odoo.sku("SKU-001").await;
    let order = odoo.order(json!([[0, 0, {"product_id": one, "product_uom_qty": 120}]])).await;
    odoo.call("sale.order/action_confirm", json!({"ids": [order]})).await;
    assert_eq!(
        level(&odoo, "SKU-001", json!({"warehouse_id": 1})).await,
        ["100.0", "0.0", "-20.0"]
    );
    let picking = odoo.id("stock.picking", json!([["sale_id", "=", order]])).await;
    let line = first_move(&odoo, picking).await;
    assert_eq!(
        (text(&line["quantity"]), &line["state"]),
        ("100.0".into(), &json!("partially_available"))
    );
}

#[tokio::test]
async fn a_count_that_is_outdated_is_not_applied() {
    let odoo = Odoo::start().await;
    let one = odoo.sku("SKU-001").await;
    let stock = odoo.read("stock.warehouse", 1, &["lot_stock_id"]).await["lot_stock_id"][0].clone();
    let vals = json!({"product_id": one, "location_id": stock, "inventory_quantity": 12});
    let body = json!({"vals_list": [vals], "context": {"inventory_mode": true}});
    let quant = odoo.call("stock.quant/create", body).await;
    let (_, picking) = confirmed(&odoo).await;
    odoo.call("stock.picking/button_validate", json!({"ids": [picking]})).await;
    let answer = odoo.call("stock.quant/action_apply_inventory", json!({"ids": quant})).await;
    assert_eq!(answer["res_model"], "stock.inventory.conflict");
    assert_eq!(level(&odoo, "SKU-001", json!({"warehouse_id": 1})).await[0], "96.0");
}

#[tokio::test]
async fn a_quant_of_nothing_disappears() {
    let odoo = Odoo::start().await;
    let one = odoo.sku("SKU-001").await;
    odoo.office("stock", json!([{"sku": "SKU-001", "warehouse": "WST", "quantity": 0}])).await;
    let places = json!([["product_id", "=", one], ["location_id.usage", "=", "internal"]]);
    let count = async || odoo.call("stock.quant/search_count", json!({"domain": places})).await;
    assert_eq!(count().await, json!(2));
    odoo.office("quant_tasks", json!({})).await;
    assert_eq!(count().await, json!(1));
    assert_eq!(level(&odoo, "SKU-001", json!({"warehouse_id": "West"})).await[0], "0.0");
}
