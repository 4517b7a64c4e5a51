//! Prices per list, products in languages, what moves which date: odoo-commerce.md section 1.

use crate::odoo::support::{Odoo, answer_of, next_second, text};
use serde_json::{Value, json};

async fn price(odoo: &Odoo, sku: &str, list: &str, quantity: u32) -> String {
    let list = odoo.id("product.pricelist", json!([["name", "=", list]])).await;
    let variant = odoo.sku(sku).await;
    let context = json!({"pricelist": list, "quantity": quantity, "uom": 1, "date": "2026-11-23"});
    let body = json!({"ids": [variant], "context": context});
    text(&odoo.call("product.product/get_contextual_price", body).await)
}

#[tokio::test]
async fn the_price_of_a_list_by_its_rule() {
    let odoo = Odoo::start().await;
    let percentage = price(&odoo, "SKU-001", "Retail EUR", 1).await;
    let fixed = price(&odoo, "SKU-001", "US USD", 1).await;
    if let (Some(first), Some(second)) =
        (answer_of("t1", "ctx price eur"), answer_of("t1", "ctx price usd"))
    {
        assert_eq!((percentage, fixed), (first, second));
    }
    // 20.99 in dollars at 1.25 is 26.2375; less 5 % is 24.925625; to 0.05 is 24.95; less 0.01.
    let formula = price(&odoo, "SKU-002", "US USD", 1).await;
    if let Some(recorded) = answer_of("t1", "ctx price usd formula") {
        assert_eq!(formula, recorded, "the double that 24.95 - 0.01 is");
    }
    let ids = json!({"ids": [odoo.sku("SKU-001").await, odoo.sku("SKU-002").await]});
    let (status, error) = odoo.try_call("product.product/get_contextual_price", ids).await;
    assert_eq!((status, &error["name"]), (500, &json!("builtins.ValueError")));
    assert!(
        error["message"]
            .as_str()
            .expect("a message")
            .starts_with("Expected singleton: product.product(")
    );
}

#[tokio::test]
async fn a_list_in_the_context_of_read_changes_nothing() {
    let odoo = Odoo::start().await;
    let list = odoo.id("product.pricelist", json!([["name", "=", "US USD"]])).await;
    let body = json!({"ids": [odoo.sku("SKU-001").await], "fields": ["lst_price"], "context": {"pricelist": list}});
    assert_eq!(text(&odoo.call("product.product/read", body).await[0]["lst_price"]), "10.99");
}

#[tokio::test]
async fn the_nearest_rule_holds_then_the_larger_quantity() {
    let odoo = Odoo::start().await;
    let list = odoo.id("product.pricelist", json!([["name", "=", "US USD"]])).await;
    let one = odoo.sku("SKU-001").await;
    let rule = |extra: Value| {
        let mut vals = json!({"pricelist_id": list, "applied_on": "0_product_variant",
                              "product_id": one, "compute_price": "fixed"});
        vals.as_object_mut().expect("a map").extend(extra.as_object().expect("a map").clone());
        vals
    };
    let rules = json!({"vals_list": [
        rule(json!({"fixed_price": 11, "min_quantity": 10})),
        rule(json!({"fixed_price": 1, "min_quantity": 20, "date_end": "2026-01-01 00:00:00"}))]});
    odoo.call("product.pricelist.item/create", rules).await;
    assert_eq!(price(&odoo, "SKU-001", "US USD", 1).await, "12.34");
    assert_eq!(price(&odoo, "SKU-001", "US USD", 10).await, "11.0");
    assert_eq!(price(&odoo, "SKU-001", "US USD", 30).await, "11.0", "the dated rule is over");
}

#[tokio::test]
async fn the_report_lists_rounded_prices_in_the_contexts_language() {
    let odoo = Odoo::start().await;
    let list = odoo.id("product.pricelist", json!([["name", "=", "US USD"]])).await;
    let ids = json!([odoo.sku("SKU-001").await, odoo.sku("SKU-002").await]);
    let data = json!({"pricelist_id": list, "active_model": "product.product",
                      "active_ids": ids, "quantities": [1, 10]});
    let call = |lang: &str| json!({"data": data, "context": {"lang": lang}});
    let path = "report.product.report_pricelist/get_html";
    let html = odoo.call(path, call("en_US")).await;
    let html = html.as_str().expect("a string");
    assert!(html.contains(&format!("data-res-id=\"{}\"", ids[0])));
    assert_eq!(html.matches("<span class=\"oe_currency_value\">12.34</span>").count(), 2);
    assert_eq!(html.matches("<span class=\"oe_currency_value\">24.94</span>").count(), 2);
    let german = odoo.call(path, call("de_DE")).await;
    assert!(german.as_str().expect("a string").contains(">12,34</span>"));
}

#[tokio::test]
async fn which_date_moves_with_which_price() {
    let odoo = Odoo::start().await;
    let variant = odoo.sku("SKU-001").await;
    let template = odoo.id("product.template", json!([["name", "=", "Widget 1"]])).await;
    let list = odoo.id("product.pricelist", json!([["name", "=", "US USD"]])).await;
    let item = odoo.id("product.pricelist.item", json!([["product_id", "=", variant]])).await;
    let records = [
        ("product.product", variant),
        ("product.template", template),
        ("product.pricelist", list),
        ("product.pricelist.item", item),
    ];
    let dates = async || {
        let mut dates = Vec::new();
        for (model, id) in records {
            dates.push(odoo.date(model, id).await);
        }
        dates
    };
    let writes = [
        (
            "product.pricelist.item/write",
            item,
            json!({"fixed_price": 12.5}),
            [false, false, false, true],
        ),
        (
            "product.template/write",
            template,
            json!({"list_price": 11.99}),
            [true, true, false, false],
        ),
        (
            "product.product/write",
            variant,
            json!({"standard_price": 5}),
            [true, false, false, false],
        ),
        (
            "product.pricelist/write",
            list,
            json!({"item_ids": [[1, item, {"fixed_price": 13}]]}),
            [false, false, true, true],
        ),
    ];
    for (path, id, vals, moved) in writes {
        let before = dates().await;
        next_second().await;
        odoo.call(path, json!({"ids": [id], "vals": vals})).await;
        let after = dates().await;
        let seen: Vec<bool> = before.iter().zip(&after).map(|(b, a)| a != b).collect();
        assert_eq!(seen, moved, "{path} {vals}");
    }
    let before = odoo.date("product.pricelist", list).await;
    next_second().await;
    odoo.call("product.pricelist.item/unlink", json!({"ids": [item]})).await;
    assert_eq!(odoo.date("product.pricelist", list).await, before, "an item's end moves nothing");
}

#[tokio::test]
async fn a_text_has_a_value_per_language() {
    let odoo = Odoo::start().await;
    let template = odoo.id("product.template", json!([["name", "=", "Widget 1"]])).await;
    let name = async |lang: &str| {
        let body = json!({"ids": [template], "fields": ["name"], "context": {"lang": lang}});
        odoo.call("product.template/read", body).await[0]["name"].clone()
    };
    assert_eq!((name("en_US").await, name("de_DE").await), (json!("Widget 1"), json!("Ding 1")));
    let write = |lang: &str, name: &str| json!({"ids": [template], "vals": {"name": name}, "context": {"lang": lang}});
    odoo.call("product.template/write", write("de_DE", "Dings")).await;
    assert_eq!((name("en_US").await, name("de_DE").await), (json!("Widget 1"), json!("Dings")));
    let plain = json!({"ids": [template], "vals": {"name": "Gadget"}});
    odoo.call("product.template/write", plain).await;
    assert_eq!((name("en_US").await, name("de_DE").await), (json!("Gadget"), json!("Dings")));
}

#[tokio::test]
async fn a_template_shows_a_code_only_while_it_has_one_variant() {
    let odoo = Odoo::start().await;
    let fields = ["default_code", "product_variant_count", "product_variant_ids"];
    let widget = odoo.id("product.template", json!([["name", "=", "Widget 1"]])).await;
    assert_eq!(odoo.read("product.template", widget, &fields).await["default_code"], "SKU-001");
    let shirt = odoo.id("product.template", json!([["name", "=", "Shirt"]])).await;
    let found = odoo.read("product.template", shirt, &fields).await;
    assert_eq!(found["default_code"], json!(false));
    assert_eq!(found["product_variant_count"], json!(2));
    let variant = odoo.sku("SH-R-M").await;
    let field = "product_template_attribute_value_ids";
    let found = odoo.read("product.product", variant, &[field, "display_name"]).await;
    assert_eq!(found["display_name"], "[SH-R-M] Shirt (Red, M)");
    let body = json!({"ids": found[field], "fields": ["name", "attribute_id"]});
    let values = odoo.call("product.template.attribute.value/read", body).await;
    assert_eq!(
        (&values[0]["name"], &values[0]["attribute_id"][1]),
        (&json!("Red"), &json!("Colour"))
    );
}

#[tokio::test]
async fn attribute_lines_make_variants() {
    let odoo = Odoo::start().await;
    let colour = odoo.id("product.attribute", json!([["name", "=", "Colour"]])).await;
    let values = json!({"vals_list": [{"attribute_id": colour, "name": "Blue"}, {"attribute_id": colour, "name": "Green"}]});
    let values = odoo.call("product.attribute.value/create", values).await;
    let line = json!([0, 0, {"attribute_id": colour, "value_ids": [[6, 0, values]]}]);
    let vals = json!({"vals_list": [{"name": "Cap", "attribute_line_ids": [line]}]});
    let cap = odoo.call("product.template/create", vals).await[0].as_i64().expect("an id");
    let found = odoo.read("product.template", cap, &["product_variant_count"]).await;
    assert_eq!(found["product_variant_count"], json!(2));
}
