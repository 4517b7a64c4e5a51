//! Calls, errors, domains, nested reads, customers, invoices: odoo-commerce.md sections 0, 6, 7.

use crate::odoo::support::{Odoo, answer_of, text};
use serde_json::{Value, json};

/// The recorded error of that label, without the trace that the record leaves out.
fn recorded(section: &str, label: &str) -> Option<(u16, Value)> {
    let mut error: Value = serde_json::from_str(&answer_of(section, label)?).expect("JSON");
    let status = error.as_object_mut()?.remove("HTTP")?.as_u64()?;
    Some((u16::try_from(status).ok()?, error))
}

fn without_trace((status, mut error): (u16, Value)) -> (u16, Value) {
    let trace = error.as_object_mut().expect("an object").remove("debug");
    assert!(trace.is_some_and(|trace| trace.is_string()));
    (status, error)
}

#[tokio::test]
async fn errors_are_those_that_were_recorded() {
    let odoo = Odoo::start().await;
    let partner = odoo.id("res.partner", json!([["name", "=", "Jane"]])).await;
    let lines = json!([[0, 0, {"product_id": 99_999}]]);
    let calls = [
        (
            "wrong field",
            "sale.order/create",
            json!({"vals_list": [{"partner_id": partner, "foo": 1}]}),
        ),
        ("no partner", "sale.order/create", json!({"vals_list": [{}]})),
        (
            "bad product",
            "sale.order/create",
            json!({"vals_list": [{"partner_id": partner, "order_line": lines}]}),
        ),
    ];
    for (label, path, body) in calls {
        let found = without_trace(odoo.try_call(path, body).await);
        if let Some(wanted) = recorded("t8", label) {
            assert_eq!(found, wanted, "{label}");
        }
    }
    let found =
        without_trace(odoo.try_call("product.pricelist/_get_products_price", json!({})).await);
    if let Some(wanted) = recorded("t1", "private") {
        assert_eq!(found, wanted);
    }
    let none = odoo.call("sale.order/search_count", json!({"domain": []})).await;
    assert_eq!(none, json!(0), "a create that failed left something behind");
}

#[tokio::test]
async fn statuses_of_the_dispatcher() {
    let odoo = Odoo::start().await;
    let (status, error) = odoo.raw("other", "res.partner/search", json!({"domain": []})).await;
    assert_eq!((status, &error["name"]), (401, &json!("werkzeug.exceptions.Unauthorized")));
    assert_eq!(error["message"], "Invalid apikey");
    let cases = [
        ("no.model/search", json!({"domain": []}), 404),
        ("res.partner/no_method", json!({}), 404),
        ("res.partner/search", json!({}), 422),
        ("res.partner/search", json!({"domain": [], "other": 1}), 422),
        ("res.partner/search", json!({"domain": [], "ids": [1]}), 422),
        ("res.partner/write", json!({"ids": [99_999], "vals": {"name": "x"}}), 404),
        ("res.partner/search", json!({"domain": [["nothing", "=", 1]]}), 500),
    ];
    for (path, body, wanted) in cases {
        let (status, error) = odoo.try_call(path, body.clone()).await;
        assert_eq!(status, wanted, "{path} {body}: {error}");
    }
    let missing = odoo.call("res.partner/read", json!({"ids": [99_999], "fields": ["name"]})).await;
    assert_eq!(missing, json!([]));
    let version =
        reqwest::get(format!("{}/web/version", odoo.twin.url())).await.expect("an answer");
    let version: Value =
        serde_json::from_str(&version.text().await.expect("a body")).expect("JSON");
    assert_eq!(version, json!({"version_info": [19, 0, 0, "final", 0, ""], "version": "19.0"}));
}

#[tokio::test]
async fn domains_order_limits_and_archived_rows() {
    let odoo = Odoo::start().await;
    let codes = async |body: Value| {
        let found = odoo.call("product.product/search_read", body).await;
        let rows = found.as_array().expect("rows").clone();
        rows.iter()
            .map(|row| row["default_code"].as_str().unwrap_or("-").to_owned())
            .collect::<Vec<_>>()
    };
    let fields = json!(["default_code"]);
    let domain = json!([
        "|",
        ["default_code", "=", "SKU-001"],
        "&",
        ["default_code", "=like", "SH-%"],
        "!",
        ["default_code", "ilike", "-m"]
    ]);
    let found =
        codes(json!({"domain": domain, "fields": fields, "order": "default_code desc"})).await;
    assert_eq!(found, ["SKU-001", "SH-R-S"]);
    let domain = json!([["product_tmpl_id.name", "in", ["Widget 1", "Widget 2"]]]);
    let page = json!({"domain": domain, "fields": fields, "order": "id", "limit": 1, "offset": 1});
    assert_eq!(codes(page).await, ["SKU-002"]);
    let shirts = json!([["product_template_attribute_value_ids.name", "=", "M"]]);
    assert_eq!(codes(json!({"domain": shirts, "fields": fields})).await, ["SH-R-M"]);

    let id = odoo.sku("SH-R-M").await;
    odoo.call("product.product/write", json!({"ids": [id], "vals": {"active": false}})).await;
    let by_id = json!([["id", "=", id]]);
    assert_eq!(codes(json!({"domain": by_id, "fields": fields})).await, Vec::<String>::new());
    let all = json!({"domain": by_id, "fields": fields, "context": {"active_test": false}});
    assert_eq!(codes(all).await, ["SH-R-M"]);
}

#[tokio::test]
async fn one_call_creates_and_reads_nested() {
    let odoo = Odoo::start().await;
    let partner = odoo.id("res.partner", json!([["name", "=", "Jane"]])).await;
    let one = odoo.sku("SKU-001").await;
    let spec = json!({"name": {}, "amount_total": {}, "partner_id": {"fields": {"email": {}}},
                      "order_line": {"fields": {"product_id": {"fields": {"default_code": {}}}, "price_unit": {}}},
                      "picking_ids": {"fields": {"state": {}}}});
    let line =
        json!([0, 0, {"product_id": one, "product_uom_qty": 2, "price_unit": 9.99, "discount": 0}]);
    let vals = json!({"partner_id": partner, "order_line": [line]});
    let saved = odoo
        .call("sale.order/web_save", json!({"ids": [], "vals": vals, "specification": spec}))
        .await;
    assert_eq!(saved[0]["partner_id"], json!({"id": partner, "email": "jane@example.com"}));
    assert_eq!(text(&saved[0]["amount_total"]), "19.98");
    assert_eq!(
        saved[0]["order_line"][0]["product_id"],
        json!({"id": one, "default_code": "SKU-001"})
    );
    assert_eq!(saved[0]["picking_ids"], json!([]));
    let search = json!({"domain": [["name", "=", "S00001"]], "specification": spec, "limit": 1});
    let found = odoo.call("sale.order/web_search_read", search).await;
    assert_eq!(found["length"], json!(1));
    assert_eq!(found["records"], saved);

    let two = odoo.sku("SKU-002").await;
    let vals = json!([{"barcode": "B3"}, {"lst_price": 44}]);
    let body = json!({"ids": [one, two], "vals_list": vals, "specification": {"barcode": {}, "list_price": {}}});
    let saved = odoo.call("product.product/web_save_multi", body).await;
    assert_eq!(
        (&saved[0]["barcode"], text(&saved[0]["list_price"])),
        (&json!("B3"), "10.99".into())
    );
    assert_eq!(
        (&saved[1]["barcode"], text(&saved[1]["list_price"])),
        (&json!(false), "44.0".into())
    );
    let twice = json!({"ids": [two], "vals": {"barcode": "B3"}});
    assert_eq!(odoo.try_call("product.product/write", twice).await.0, 422);
}

#[tokio::test]
async fn customers_are_found_by_address_whatever_its_case() {
    let odoo = Odoo::start().await;
    let find =
        async |email: &str| odoo.call("res.partner/find_or_create", json!({"email": email})).await;
    let first = find("New <new@example.com>").await;
    assert_eq!(find("NEW@Example.com").await, first);
    let found = odoo
        .read("res.partner", first[0].as_i64().expect("an id"), &["name", "email", "ref"])
        .await;
    assert_eq!((&found["name"], &found["email"]), (&json!("New"), &json!("new@example.com")));
    assert_eq!(found["ref"], json!(false));
    let same = json!({"vals_list": [{"name": "A", "email": "a@x.org"}, {"name": "B", "email": "a@x.org"}]});
    assert_eq!(odoo.call("res.partner/create", same).await.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn find_or_create_is_not_safe_against_itself() {
    let odoo = Odoo::with(&[("latency_ms", "30")], None).await;
    let find = || odoo.call("res.partner/find_or_create", json!({"email": "twice@example.com"}));
    let (left, right) = tokio::join!(find(), find());
    assert_ne!(left, right);
}

#[tokio::test]
async fn merging_deletes_the_loser_and_points_its_orders_at_the_winner() {
    let odoo = Odoo::start().await;
    let order = odoo.order(json!([])).await;
    let loser = odoo.id("res.partner", json!([["name", "=", "Jane"]])).await;
    let winner = odoo.id("res.partner", json!([["name", "=", "Bob US"]])).await;
    let vals = json!({"partner_ids": [[6, 0, [loser, winner]]], "dst_partner_id": winner});
    let model = "base.partner.merge.automatic.wizard";
    let wizard = odoo.call(&format!("{model}/create"), json!({"vals_list": [vals]})).await;
    odoo.call(&format!("{model}/action_merge"), json!({"ids": wizard})).await;
    assert_eq!(odoo.read("sale.order", order, &["partner_id"]).await["partner_id"][0], winner);
    assert_eq!(odoo.call("res.partner/read", json!({"ids": [loser]})).await, json!([]));
}

#[tokio::test]
async fn an_invoice_and_a_refund_of_half_of_it() {
    let odoo = Odoo::start().await;
    let one = odoo.sku("SKU-001").await;
    let tax = odoo.id("account.tax", json!([["name", "=", "19% excl"]])).await;
    let line = json!([0, 0, {"product_id": one, "product_uom_qty": 2, "price_unit": 10, "discount": 0,
                             "tax_ids": [[6, 0, [tax]]]}]);
    let order = odoo.order(json!([line])).await;
    odoo.call("sale.order/action_confirm", json!({"ids": [order]})).await;
    let wizard = json!({"vals_list": [{"advance_payment_method": "delivered", "sale_order_ids": [[6, 0, [order]]]}]});
    let wizard = odoo.call("sale.advance.payment.inv/create", wizard).await;
    let invoice =
        odoo.call("sale.advance.payment.inv/create_invoices", json!({"ids": wizard})).await;
    let invoice = invoice["res_id"].as_i64().expect("an id");
    let status = odoo.read("sale.order", order, &["invoice_status", "invoice_ids"]).await;
    assert_eq!(
        (&status["invoice_status"], &status["invoice_ids"]),
        (&json!("invoiced"), &json!([invoice]))
    );
    assert_eq!(
        odoo.call("account.move/action_post", json!({"ids": [invoice]})).await,
        json!(false)
    );
    let found =
        odoo.read("account.move", invoice, &["state", "payment_state", "amount_total"]).await;
    assert_eq!((&found["state"], text(&found["amount_total"])), (&json!("posted"), "23.8".into()));

    let vals = json!({"move_ids": [[6, 0, [invoice]]], "reason": "refund", "journal_id": 1, "company_id": 1});
    let wizard = odoo.call("account.move.reversal/create", json!({"vals_list": [vals]})).await;
    let refund = odoo.call("account.move.reversal/refund_moves", json!({"ids": wizard})).await;
    let refund = refund["res_id"].as_i64().expect("an id");
    let line = odoo.read("account.move", refund, &["invoice_line_ids"]).await["invoice_line_ids"]
        [0]
    .clone();
    let vals = json!({"invoice_line_ids": [[1, line, {"quantity": 1}]]});
    odoo.call("account.move/write", json!({"ids": [refund], "vals": vals})).await;
    odoo.call("account.move/action_post", json!({"ids": [refund]})).await;
    let fields = ["payment_state", "amount_total", "amount_residual"];
    let found = odoo.read("account.move", refund, &fields).await;
    assert_eq!(
        (&found["payment_state"], text(&found["amount_total"])),
        (&json!("paid"), "11.9".into())
    );
    let found = odoo.read("account.move", invoice, &fields).await;
    assert_eq!(
        (&found["payment_state"], text(&found["amount_residual"])),
        (&json!("partial"), "11.9".into())
    );
    let status = odoo.read("sale.order", order, &["invoice_status"]).await;
    assert_eq!(status["invoice_status"], "to invoice");
}

#[tokio::test]
async fn the_delivery_wizard_adds_a_line() {
    let odoo = Odoo::start().await;
    let order = odoo.order(json!([])).await;
    let carrier = odoo.id("delivery.carrier", json!([["name", "=", "DHL"]])).await;
    let vals = json!({"order_id": order, "carrier_id": carrier, "delivery_price": 4.9});
    let wizard = odoo.call("choose.delivery.carrier/create", json!({"vals_list": [vals]})).await;
    let answer = odoo.call("choose.delivery.carrier/button_confirm", json!({"ids": wizard})).await;
    assert_eq!(answer, Value::Null);
    let body = json!({"domain": [["order_id", "=", order]], "fields": ["name", "price_unit", "is_delivery"]});
    let lines = odoo.call("sale.order.line/search_read", body).await;
    assert_eq!((&lines[0]["name"], text(&lines[0]["price_unit"])), (&json!("DHL"), "4.9".into()));
    assert_eq!(lines[0]["is_delivery"], true);
}
