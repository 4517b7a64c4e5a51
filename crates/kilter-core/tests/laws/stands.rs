//! Where a row stands is worked out once, unless it depends on what is listed for.

use kilter_core::sync::project::project;
use serde_json::json;

use crate::support::house::house_and;

/// It lists once for each name of a setting of its own, and nothing else of ours has such names.
const PRESS: &[(&str, &str)] = &[
    (
        "press/connector.toml",
        "connector = \"press\"\ntitle = \"Press\"\nbase = \"$url\"\n[settings]\nurl = { help = \"address\" }\neditions = { help = \"names\", required = false }\n",
    ),
    (
        "press/texts.toml",
        r#"
resource = "texts"
root     = "product"
id       = "id | id"
[list]
each = "$editions"
call = { path = "texts" }
[facet.product.rows]
code          = { read = "code | text" }
"title@$each" = { read = "name | text" }
"#,
    ),
];

const CONNECTION: &str = r#"
[connection.press]
connector = "press"
url       = "https://press.example"
currency  = "EUR"
editions  = ["de", "en"]
"#;

/// Every edition's title stood in the one place of a product that no edition names.
#[test]
fn a_row_of_each_stands_where_each_says() {
    let house = house_and(PRESS, CONNECTION);
    let view = house.view("press", "texts").unwrap();
    let item = json!({ "id": 7, "code": "A", "name": "Tasse" });
    for each in ["de", "en"] {
        let rows = project(&view, &item, each).unwrap().rows;
        let keys: Vec<String> = rows.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, ["product.code".to_owned(), format!("product.title@{each}")]);
    }
}
