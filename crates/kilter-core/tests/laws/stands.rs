//! Where a row stands is worked out once, unless it depends on what is listed for.

use kilter_core::manifest::read_connector;
use kilter_core::sync::house::House;
use kilter_core::sync::project::project;
use serde_json::json;

use crate::support::house::{CONFIG, house};

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
    let mut problems = Vec::new();
    let files: Vec<_> = PRESS.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect();
    let press = read_connector(&files, &mut problems).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let house = house(CONFIG);
    let mut connectors = house.connectors.clone();
    connectors.insert("press".into(), press);
    let text = format!("{CONFIG}{CONNECTION}");
    let config = kilter_core::config::read_config("kilter.toml", &text, &|_| None, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    let house = House::new(house.entities, connectors, config);
    let view = house.view("press", "texts").unwrap();
    let item = json!({ "id": 7, "code": "A", "name": "Tasse" });
    for each in ["de", "en"] {
        let rows = project(&view, &item, each).unwrap().rows;
        let keys: Vec<String> = rows.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, ["product.code".to_owned(), format!("product.title@{each}")]);
    }
}
