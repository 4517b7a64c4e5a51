//! An item that the ERP keeps by the kilogram: the shop counts whole pieces, the order goes back in
//! the ERP's own unit.

use crate::support::{Rig, seed};
use serde_json::{Value, json};

async fn sync(rig: &Rig) {
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
}

async fn shown(rig: &Rig) -> Value {
    let url = format!("{}/wp-json/wc/v3/products?sku=NUT-1", rig.de.url());
    let answer = rig.http.get(url).basic_auth("ck_test", Some("cs_test")).send().await.unwrap();
    let rows: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    rows[0]["stock_quantity"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_and_a_half_kilograms_are_two_pieces() {
    let rig = Rig::start("units").await;
    let mut goods = seed(1, 50);
    goods["templates"].as_array_mut().unwrap().push(json!({
        "name": { "en_US": "Nuts", "de_DE": "Nüsse" }, "list_price": 9.9, "type": "consu",
        "taxes": ["19% incl"], "unit": "kg",
        "variants": [{ "default_code": "NUT-1", "prices": { "EUR": "9.90", "USD": "11.00" },
            "stock": { "WH": 3.5, "WST": 0 } }],
    }));
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &goods).await;
    sync(&rig).await;
    assert_eq!(shown(&rig).await, json!(3), "three and a half");
    let order = json!({
        "lines": [{ "sku": "NUT-1", "quantity": 1 }], "payment_method": "stripe",
        "status": "processing",
        "billing": { "first_name": "Ada", "last_name": "L", "email": "ada@example.com",
            "address_1": "Weg 1", "city": "Berlin", "postcode": "10115", "country": "DE" },
    });
    rig.post(&format!("{}/_twin/orders", rig.de.url()), &order).await;
    sync(&rig).await;
    assert_eq!(shown(&rig).await, json!(2), "two and a half");
    let fields = json!({ "domain": [["product_id.default_code", "=", "NUT-1"]],
        "fields": ["product_uom_qty", "product_uom_id", "price_unit"] });
    let lines = rig.call_erp("sale.order.line/search_read", &fields).await;
    let line = &lines[0];
    assert_eq!(line["product_uom_qty"], json!(1.0), "{lines}");
    assert_eq!(line["product_uom_id"][1], "kg", "{lines}");
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "a figure that is shown in whole pieces is aligned:\n{told}");
}
