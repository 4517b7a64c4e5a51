//! A product with more variants than its shop takes: all that fit are there, and of the rest it is said why.

use crate::support::{self, PLUS, Rig};
use kilter_twin::Options;
use serde_json::{Value, json};

/// What the shop takes, and one more.
const VARIANTS: usize = 2_048 + 1;

fn wide() -> Value {
    let mut seed = support::seed(4, 7);
    let variant = |n: usize| {
        json!({ "default_code": format!("WIDE-{n:04}"), "weight": 0.2,
            "attributes": { "Size": format!("s{}", n % 50), "Color": format!("c{}", n / 50) },
            "prices": { "EUR": "19.90", "USD": "21.50" }, "stock": { "WH": 5, "WST": 3 } })
    };
    let variants: Vec<Value> = (0..VARIANTS).map(variant).collect();
    let wide = json!({ "name": { "en_US": "Tee", "de_DE": "Hemd" }, "list_price": 19.9, "type": "consu",
        "taxes": ["19% incl"], "variants": variants });
    seed["templates"].as_array_mut().unwrap().push(wide);
    seed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_variant_too_many_is_told_and_keeps_no_other_waiting() {
    let rig = Rig::start("wide").await;
    let settings = [("plan", "enterprise"), ("currency", "EUR"), ("locations", "main")];
    let settings = settings.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let options = Options { port: None, seed: 7, settings };
    let shop = kilter_twin::start("shopify", options).await.unwrap();
    let state = rig.get(&format!("{}/_twin/state", shop.url())).await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let main = state["locations"][0]["gid"].as_str().unwrap();
    let table = PLUS.replace("{url}", &shop.url()).replace("{main}", main);
    let (before, after) = (text.find("[connection.de]").unwrap(), text.find("[own.").unwrap());
    std::fs::write(rig.toml(), format!("{}{}{table}", &text[..before], &text[after..])).unwrap();
    let seed = wide();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed).await;

    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let state = rig.get(&format!("{}/_twin/state", shop.url())).await;
    let mut skus: Vec<&str> =
        state["variants"].as_array().unwrap().iter().map(|v| v["sku"].as_str().unwrap()).collect();
    let there = skus.len();
    skus.sort_unstable();
    skus.dedup();
    assert_eq!(
        (skus.len(), there),
        (support::skus(&seed).len() - 1, there),
        "each once, but one: {told}"
    );
    let status = rig.status().await.to_string();
    assert!(status.contains("2048"), "the shop's own limit is named: {status}");
    let (_, told) = rig.run(&["sync"]).await;
    assert!(
        told.contains("plus") && told.contains("0 of them writes"),
        "it is not tried again: {told}"
    );
}
