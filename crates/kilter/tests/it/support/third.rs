//! A third shop beside the rig's two: one that speaks GraphQL, with one place and prices that hold 19 % tax.
//!
//! Reads   nothing.   Writes  the rig's `kilter.toml`.   Never   leaves it running: what is dropped ends.

use kilter_twin::{Options, Running};

use super::{Rig, seed};

const TABLE: &str = r#"
[connection.plus]
connector = "shopify"
url = "{url}"
token = "shpat_twin"
client_secret = "hush"
locale = "de_DE"
currency = "EUR"
price_list = "retail-eur"
locations = { main = "{main}" }
"#;

/// The rig with that shop, three products aligned in all.
pub async fn joined(name: &str) -> (Rig, Running) {
    let rig = Rig::start(name).await;
    let settings = [("plan", "plus"), ("currency", "EUR"), ("tax_rate", "19")];
    let settings = settings.into_iter().chain([("taxes_included", "true"), ("locations", "main")]);
    // A test that kills Kilter polls within the second that a listing's index may lag.
    let settings = settings.chain([("search_lag_seconds", "0")]);
    let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let options = Options { port: None, seed: 7, settings };
    let plus = kilter_twin::start("shopify", options).await.unwrap();
    let state = rig.get(&format!("{}/_twin/state", plus.url())).await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let main = state["locations"][0]["gid"].as_str().unwrap();
    let table = TABLE.replace("{url}", &plus.url()).replace("{main}", main);
    std::fs::write(rig.toml(), text + &table).unwrap();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(3, 50)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    (rig, plus)
}
