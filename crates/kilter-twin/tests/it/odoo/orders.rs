//! Orders: what is filled in, the price and discount traps, taxes, rounding, totals, the states.
//! Expected values: odoo-commerce.md sections 3 and 4 and the recorded answers.

use crate::odoo::support::{Odoo, answer_of, next_second, shop, text};
use serde_json::{Value, json};

async fn totals(odoo: &Odoo, order: i64) -> Vec<String> {
    let fields = ["amount_untaxed", "amount_tax", "amount_total"];
    let found = odoo.read("sale.order", order, &fields).await;
    fields.iter().map(|field| text(&found[*field])).collect()
}

async fn line(odoo: &Odoo, order: i64, fields: &[&str]) -> Value {
    let body = json!({"domain": [["order_id", "=", order]], "fields": fields, "order": "id"});
    odoo.call("sale.order.line/search_read", body).await[0].clone()
}

async fn small_lines(odoo: &Odoo, tax: &str) -> i64 {
    let one = odoo.sku("SKU-001").await;
    let tax = odoo.id("account.tax", json!([["name", "=", tax]])).await;
    let line = json!([0, 0, {"product_id": one, "product_uom_qty": 1, "price_unit": 0.33,
                             "discount": 0, "tax_ids": [[6, 0, [tax]]]}]);
    odoo.order(json!([line, line, line])).await
}

#[tokio::test]
async fn three_times_33_cents_is_rounded_as_the_company_says() {
    let odoo = Odoo::start().await;
    let global = small_lines(&odoo, "19% excl").await;
    assert_eq!(totals(&odoo, global).await, ["0.99", "0.19", "1.18"]);
    let global = small_lines(&odoo, "19% incl").await;
    assert_eq!(totals(&odoo, global).await, ["0.83", "0.16", "0.99"]);
    let first = line(&odoo, global, &["price_subtotal", "price_tax", "price_total"]).await;
    assert_eq!(text(&first["price_subtotal"]), "0.28");
    assert_eq!(text(&first["price_tax"]), "0.04999999999999999");

    let vals = json!({"tax_calculation_rounding_method": "round_per_line"});
    odoo.call("res.company/write", json!({"ids": [1], "vals": vals})).await;
    let per_line = small_lines(&odoo, "19% excl").await;
    assert_eq!(totals(&odoo, per_line).await, ["0.99", "0.18", "1.17"]);
    let per_line = small_lines(&odoo, "19% incl").await;
    assert_eq!(totals(&odoo, per_line).await, ["0.84", "0.15", "0.99"]);
}

/// The recorded order S00017: discounts from the list, shipping, a rounding line without tax.
#[tokio::test]
async fn a_whole_order_has_the_totals_of_the_recorded_one() {
    let odoo = Odoo::start().await;
    let list = odoo.id("product.pricelist", json!([["name", "=", "Retail EUR"]])).await;
    let partner = odoo.id("res.partner", json!([["name", "=", "Jane"]])).await;
    let (one, two) = (odoo.sku("SKU-001").await, odoo.sku("SKU-002").await);
    let ship = odoo.sku("SHIP-DHL").await;
    let vals = json!({"partner_id": partner, "pricelist_id": list, "order_line": [
        [0, 0, {"product_id": one, "product_uom_qty": 3, "price_unit": 9.99}],
        [0, 0, {"product_id": two}],
        [0, 0, {"product_id": ship, "price_unit": 4.9, "discount": 0, "name": "DHL"}],
        [0, 0, {"product_id": ship, "price_unit": -0.02, "discount": 0, "tax_ids": [[6, 0, []]]}]]});
    let order = odoo.call("sale.order/create", json!({"vals_list": [vals]})).await;
    let order = order[0].as_i64().expect("an id");
    assert_eq!(totals(&odoo, order).await, ["42.63", "8.11", "50.74"]);

    let Some(recorded) = answer_of("t3", "lines") else { return };
    let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
    let fields = [
        "price_unit",
        "discount",
        "price_subtotal",
        "price_tax",
        "price_total",
        "technical_price_unit",
    ];
    let body = json!({"domain": [["order_id", "=", order]], "fields": fields, "order": "id"});
    let found = odoo.call("sale.order.line/search_read", body).await;
    for (found, recorded) in
        found.as_array().expect("lines").iter().zip(recorded.as_array().expect("lines"))
    {
        for field in fields {
            assert_eq!(found[field], recorded[field], "{field} of {}", recorded["name"]);
        }
    }
}

#[tokio::test]
async fn a_line_without_discount_takes_the_lists() {
    let odoo = Odoo::start().await;
    let list = odoo.id("product.pricelist", json!([["name", "=", "Retail EUR"]])).await;
    let partner = odoo.id("res.partner", json!([["name", "=", "Jane"]])).await;
    let one = odoo.sku("SKU-001").await;
    for (sent, found) in [(json!(null), "10.0"), (json!(0), "0.0")] {
        let mut vals = json!({"product_id": one, "price_unit": 9.99});
        if !sent.is_null() {
            vals["discount"] = sent;
        }
        let vals =
            json!({"partner_id": partner, "pricelist_id": list, "order_line": [[0, 0, vals]]});
        let order = odoo.call("sale.order/create", json!({"vals_list": [vals]})).await;
        let line =
            line(&odoo, order[0].as_i64().expect("an id"), &["discount", "price_unit"]).await;
        assert_eq!(text(&line["discount"]), found);
        assert_eq!(text(&line["price_unit"]), "9.99");
    }
}

#[tokio::test]
async fn a_written_quantity_takes_the_price_from_the_list_again() {
    let odoo = Odoo::start().await;
    let one = odoo.sku("SKU-001").await;
    for (extra, price) in [(json!({}), "10.99"), (json!({"technical_price_unit": 0.0}), "9.99")] {
        let mut vals =
            json!({"product_id": one, "product_uom_qty": 2, "price_unit": 9.99, "discount": 0});
        vals.as_object_mut().expect("a map").extend(extra.as_object().expect("a map").clone());
        let order = odoo.order(json!([[0, 0, vals]])).await;
        let id = line(&odoo, order, &["id"]).await["id"].clone();
        odoo.call("sale.order.line/write", json!({"ids": [id], "vals": {"product_uom_qty": 3}}))
            .await;
        assert_eq!(text(&line(&odoo, order, &["price_unit"]).await["price_unit"]), price);
        let vals = json!({"product_uom_qty": 4, "price_unit": 9.99, "discount": 0});
        odoo.call("sale.order.line/write", json!({"ids": [id], "vals": vals})).await;
        assert_eq!(text(&line(&odoo, order, &["price_unit"]).await["price_unit"]), "9.99");
    }
}

#[tokio::test]
async fn an_export_adapts_the_computed_price_but_not_the_sent_one() {
    let odoo = Odoo::start().await;
    let vals = json!({"list_price": 11.99});
    let template = odoo.id("product.template", json!([["name", "=", "Widget 1"]])).await;
    odoo.call("product.template/write", json!({"ids": [template], "vals": vals})).await;
    let partner = odoo.id("res.partner", json!([["name", "=", "Bob US"]])).await;
    let one = odoo.sku("SKU-001").await;
    let vals = json!({"partner_id": partner, "order_line": [
        [0, 0, {"product_id": one, "product_uom_qty": 3}],
        [0, 0, {"product_id": one, "product_uom_qty": 3, "price_unit": 11.99}]]});
    let order = odoo.call("sale.order/create", json!({"vals_list": [vals]})).await;
    let order = order[0].as_i64().expect("an id");
    assert_eq!(totals(&odoo, order).await, ["66.2", "0.0", "66.2"]);
    let body = json!({"domain": [["order_id", "=", order]], "order": "id",
                      "fields": ["price_unit", "tax_ids", "price_subtotal"]});
    let lines = odoo.call("sale.order.line/search_read", body).await;
    assert_eq!(text(&lines[0]["price_unit"]), "10.07563025210084");
    assert_eq!(text(&lines[0]["price_subtotal"]), "30.23");
    assert_eq!(text(&lines[1]["price_unit"]), "11.99");
    assert_eq!(lines[1]["tax_ids"], json!([]));
}

#[tokio::test]
async fn a_written_total_sticks_until_a_line_changes() {
    let odoo = Odoo::start().await;
    let order = small_lines(&odoo, "19% excl").await;
    odoo.call("sale.order/write", json!({"ids": [order], "vals": {"amount_total": 99.0}})).await;
    assert_eq!(totals(&odoo, order).await[2], "99.0");
    let line = line(&odoo, order, &["id"]).await["id"].clone();
    odoo.call(
        "sale.order.line/write",
        json!({"ids": [line], "vals": {"price_unit": 0.33, "discount": 50}}),
    )
    .await;
    assert_ne!(totals(&odoo, order).await[2], "99.0");
}

#[tokio::test]
async fn addresses_and_defaults_come_from_the_partner() {
    let odoo = Odoo::start().await;
    let partner = odoo.id("res.partner", json!([["name", "=", "Jane"]])).await;
    let children = json!({"vals_list": [
        {"parent_id": partner, "type": "invoice", "name": "Inv"},
        {"parent_id": partner, "type": "delivery"}]});
    let children = odoo.call("res.partner/create", children).await;
    let order = odoo.order(json!([])).await;
    let fields = [
        "name",
        "state",
        "partner_invoice_id",
        "partner_shipping_id",
        "warehouse_id",
        "pricelist_id",
        "user_id",
        "team_id",
        "payment_term_id",
        "client_order_ref",
        "delivery_status",
        "invoice_status",
        "picking_ids",
    ];
    let found = odoo.read("sale.order", order, &fields).await;
    assert_eq!(found["name"], "S00001");
    assert_eq!(found["partner_invoice_id"], json!([children[0], "Jane, Inv"]));
    assert_eq!(found["partner_shipping_id"], json!([children[1], "Jane, Delivery"]));
    assert_eq!(found["pricelist_id"][1], "Default (EUR)");
    assert_eq!(found["warehouse_id"], json!([1, "My Company"]));
    assert_eq!(found["user_id"], json!([2, "Administrator"]));
    assert_eq!(found["team_id"], json!([1, "Sales"]));
    for empty in ["payment_term_id", "client_order_ref", "delivery_status"] {
        assert_eq!(found[empty], json!(false), "{empty}");
    }
    assert_eq!(found["invoice_status"], "no");
}

#[tokio::test]
async fn the_states_and_their_refusals() {
    let odoo = Odoo::start().await;
    let one = odoo.sku("SKU-001").await;
    let order = odoo.order(json!([[0, 0, {"product_id": one, "product_uom_qty": 4}]])).await;
    let ids = json!({"ids": [order]});
    assert_eq!(odoo.call("sale.order/action_confirm", ids.clone()).await, json!(true));
    let (status, error) = odoo.try_call("sale.order/action_confirm", ids.clone()).await;
    assert_eq!(status, 422);
    assert_eq!(error["message"], "Some orders are not in a state requiring confirmation.");
    let write = json!({"ids": [order], "vals": {"pricelist_id": 1}});
    let (status, error) = odoo.try_call("sale.order/write", write).await;
    assert_eq!(status, 422);
    assert_eq!(error["message"], "You cannot change the pricelist of a confirmed order !");
    let line = line(&odoo, order, &["id"]).await["id"].clone();
    let (status, _) = odoo.try_call("sale.order.line/unlink", json!({"ids": [line]})).await;
    assert_eq!(status, 422);
    assert_eq!(odoo.try_call("sale.order/unlink", ids.clone()).await.0, 422);

    let vals = json!({"product_uom_qty": 6});
    odoo.call("sale.order.line/write", json!({"ids": [line], "vals": vals})).await;
    let body = json!({"domain": [["sale_line_id", "=", line]],
                      "fields": ["product_uom_qty", "quantity", "state", "picking_id"]});
    let moves = odoo.call("stock.move/search_read", body.clone()).await;
    assert_eq!(text(&moves[0]["product_uom_qty"]), "6.0");
    assert_eq!(
        (text(&moves[0]["quantity"]), &moves[0]["state"]),
        ("6.0".into(), &json!("assigned"))
    );
    assert_eq!(moves[0]["picking_id"][1], "WH/OUT/00001");

    assert_eq!(odoo.call("sale.order/action_cancel", ids.clone()).await, json!(true));
    assert_eq!(odoo.call("stock.move/search_read", body).await[0]["state"], "cancel");
    let context = json!({"ids": [one], "fields": ["free_qty"], "context": {"warehouse_id": 1}});
    let free = odoo.call("product.product/read", context).await;
    assert_eq!(text(&free[0]["free_qty"]), "100.0");
    assert_eq!(odoo.call("sale.order/action_draft", ids.clone()).await, json!(true));
    assert_eq!(odoo.call("sale.order/unlink", ids).await, json!(true));
}

#[tokio::test]
async fn what_moves_the_date_of_an_order() {
    let odoo = Odoo::with(&[], Some(shop())).await;
    let one = odoo.sku("SKU-001").await;
    let order = odoo.order(json!([[0, 0, {"product_id": one, "product_uom_qty": 4}]])).await;
    odoo.call("sale.order/action_confirm", json!({"ids": [order]})).await;
    let line = line(&odoo, order, &["id"]).await["id"].as_i64().expect("an id");
    let before = odoo.date("sale.order", order).await;
    next_second().await;
    odoo.call("sale.order.line/write", json!({"ids": [line], "vals": {"name": "other"}})).await;
    assert_eq!(odoo.date("sale.order", order).await, before, "a line's name");
    assert_ne!(odoo.date("sale.order.line", line).await, before);
    odoo.call("sale.order.line/write", json!({"ids": [line], "vals": {"price_unit": 7}})).await;
    let after = odoo.date("sale.order", order).await;
    assert_ne!(after, before, "a line's price");
    next_second().await;
    let picking = odoo.id("stock.picking", json!([["sale_id", "=", order]])).await;
    let vals = json!({"carrier_tracking_ref": "TRK1"});
    odoo.call("stock.picking/write", json!({"ids": [picking], "vals": vals})).await;
    assert_eq!(odoo.date("sale.order", order).await, after, "tracking");
    odoo.call("stock.picking/button_validate", json!({"ids": [picking]})).await;
    assert_ne!(odoo.date("sale.order", order).await, after, "delivery");
}
