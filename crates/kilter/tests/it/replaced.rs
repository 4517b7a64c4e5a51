//! What a platform cannot change: a product that gets variants, or has none any more, and a variant
//! that moves to another product. Each ends aligned, or waits with a sentence, and goes on meanwhile.
//!
//! ERP and shops are twins in this process; Kilter runs as a merchant runs it, by `kilter sync`.

use crate::support::{Rig, seed};
use serde_json::{Value, json};

const MUGS: usize = 6;

async fn found(rig: &Rig, model: &str, field: &str, value: &str) -> Value {
    let body = json!({ "domain": [[field, "=", value]], "fields": ["id"] });
    let all = rig.call_erp(&format!("{model}/search_read"), &body).await;
    assert_eq!(all.as_array().unwrap().len(), 1, "{model} {value}: {all}");
    all[0].clone()
}

async fn template_of(rig: &Rig, sku: &str) -> i64 {
    let id = found(rig, "product.product", "default_code", sku).await["id"].clone();
    let body = json!({ "ids": [id], "fields": ["product_tmpl_id"] });
    let read = rig.call_erp("product.product/read", &body).await;
    read[0]["product_tmpl_id"][0].as_i64().unwrap()
}

/// A product gets variants by `Size`, as a clerk makes them; each gets its SKU, a price and stock.
async fn give_variants(rig: &Rig, template: i64, skus: &[(&str, &str)]) {
    let attribute = found(rig, "product.attribute", "name", "Size").await["id"].clone();
    let mut values = Vec::new();
    for (size, _) in skus {
        let known = json!({ "domain": [["name", "=", size], ["attribute_id", "=", attribute]] });
        let known = rig.call_erp("product.attribute.value/search", &known).await;
        values.push(known[0].clone());
    }
    let line = json!([[0, 0, { "attribute_id": attribute, "value_ids": [[6, 0, values]] }]]);
    let body = json!({ "ids": [template], "vals": { "attribute_line_ids": line } });
    rig.call_erp("product.template/write", &body).await;
    let body = json!({ "domain": [["product_tmpl_id", "=", template]], "order": "id" });
    let made = rig.call_erp("product.product/search", &body).await;
    let made = made.as_array().unwrap();
    assert_eq!(made.len(), skus.len());
    for (id, (_, sku)) in made.iter().zip(skus) {
        let body = json!({ "ids": [id], "vals": { "default_code": sku } });
        rig.call_erp("product.product/write", &body).await;
        priced(rig, sku).await;
    }
}

async fn priced(rig: &Rig, sku: &str) {
    let price = |list: &str, price: &str| json!({ "sku": sku, "list": list, "price": price });
    let prices = json!([price("EUR", "15.50"), price("USD", "16.50")]);
    rig.post(&format!("{}/_twin/prices", rig.erp.url()), &prices).await;
    let stock = json!([{ "sku": sku, "warehouse": "WH", "quantity": 7 }]);
    rig.post(&format!("{}/_twin/stock", rig.erp.url()), &stock).await;
}

/// The shop's rows of a SKU.
async fn shown(rig: &Rig, sku: &str) -> Vec<Value> {
    let all = rig.get(&format!("{}/_twin/brief", rig.de.url())).await;
    all.as_array().unwrap().iter().filter(|row| row["sku"] == sku).cloned().collect()
}

async fn row(rig: &Rig, id: &Value) -> Value {
    let all = rig.get(&format!("{}/_twin/brief", rig.de.url())).await;
    all.as_array().unwrap().iter().find(|row| row["id"] == *id).cloned().unwrap_or(Value::Null)
}

/// Aligns; what waits in the German shop: its object and why.
async fn sync(rig: &Rig) -> Vec<(i64, String)> {
    let (code, told) = rig.run(&["sync", "--json"]).await;
    assert_eq!(code, 0, "{told}");
    let line = told.lines().find(|line| line.starts_with('{')).unwrap();
    let told: Value = serde_json::from_str(line).unwrap();
    assert_eq!(told["asked"], json!([]), "{told}");
    let here = |w: &&Value| w["connection"] == "de";
    let waits = told["waits"].as_array().unwrap().iter().filter(here);
    waits
        .map(|w| (w["object"].as_i64().unwrap(), w["reason"].as_str().unwrap().to_owned()))
        .collect()
}

async fn decide(rig: &Rig, object: i64, word: &str) {
    let (code, told) = rig.run(&["decide", &object.to_string(), word, "--reason", "seen"]).await;
    assert_eq!(code, 0, "{told}");
}

async fn nothing_to_do(rig: &Rig) {
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "the next plan is empty: {told}");
}

async fn aligned(name: &str, config: &[(&str, &str)]) -> Rig {
    let rig = Rig::start(name).await;
    let mut text = std::fs::read_to_string(rig.toml()).unwrap();
    for (from, to) in config {
        assert!(text.contains(from), "{text}");
        text = text.replace(from, to);
    }
    std::fs::write(rig.toml(), text).unwrap();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(MUGS, 10)).await;
    assert_eq!(sync(&rig).await, []);
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_that_gets_variants_under_new_skus_is_aligned_by_itself() {
    let rig = aligned("grown", &[]).await;
    let old = shown(&rig, "MUG-001").await[0].clone();
    let template = template_of(&rig, "MUG-001").await;
    give_variants(&rig, template, &[("S", "MUG-001-S"), ("M", "MUG-001-M")]).await;
    assert_eq!(sync(&rig).await, []);

    let parents: Vec<Value> = [shown(&rig, "MUG-001-S").await, shown(&rig, "MUG-001-M").await]
        .iter()
        .map(|rows| {
            let [row] = rows.as_slice() else { panic!("it is there once: {rows:?}") };
            assert_eq!((&row["type"], &row["price"]), (&json!("variation"), &json!("15.50")));
            assert_eq!(row["stock"], 7);
            row["parent"].clone()
        })
        .collect();
    assert_eq!(parents[0], parents[1], "both stand under one product");
    assert_eq!(row(&rig, &parents[0]).await["status"], "publish");
    assert_eq!(row(&rig, &old["id"]).await["status"], "private", "nobody buys the old one");
    nothing_to_do(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variant_that_needs_the_sku_of_the_old_page_asks_a_person() {
    let rig = aligned("grown-same", &[]).await;
    let old = shown(&rig, "MUG-001").await[0].clone();
    let template = template_of(&rig, "MUG-001").await;
    give_variants(&rig, template, &[("S", "MUG-001"), ("M", "MUG-001-M")]).await;
    // The ERP tells of no delete: the new one with the SKU makes Kilter look at the old one.
    let mut waits = sync(&rig).await;
    if !waits.iter().any(|(_, why)| why.contains("old page")) {
        waits = sync(&rig).await;
    }
    let asked: Vec<&(i64, String)> =
        waits.iter().filter(|(_, why)| why.contains("still holds the SKU")).collect();
    let [(object, why)] = asked.as_slice() else { panic!("{waits:?}") };
    assert!(why.contains("MUG-001 is no longer sold as it was"), "{why}");
    assert!(why.contains(&format!("\"kilter decide {object} replace\"")), "{why}");
    assert_eq!(row(&rig, &old["id"]).await["sku"], "MUG-001", "nothing is deleted unasked");
    assert_eq!(shown(&rig, "MUG-001-M").await.len(), 1, "the other one is there: {waits:?}");

    decide(&rig, *object, "replace").await;
    assert_eq!(sync(&rig).await, []);
    assert_eq!(row(&rig, &old["id"]).await, Value::Null, "the old page is gone");
    let made = shown(&rig, "MUG-001").await;
    let [made] = made.as_slice() else { panic!("it is there once: {made:?}") };
    let other = shown(&rig, "MUG-001-M").await[0].clone();
    assert_eq!((&made["type"], &made["parent"]), (&json!("variation"), &other["parent"]));
    nothing_to_do(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_that_loses_its_variants_is_one_of_its_own_again() {
    let rig = aligned("shrunk", &[]).await;
    let template = template_of(&rig, "TEE-000-M").await;
    let old = shown(&rig, "TEE-000-M").await[0].clone();
    let mut gone = Vec::new();
    for sku in ["TEE-000-S", "TEE-000-L"] {
        gone.push(found(&rig, "product.product", "default_code", sku).await["id"].clone());
    }
    // A clerk archives two of three, and touches the product.
    rig.call_erp("product.product/write", &json!({ "ids": gone, "vals": { "active": false } }))
        .await;
    let name = json!({ "ids": [template], "vals": { "name": "Tee, one size" } });
    rig.call_erp("product.template/write", &name).await;
    let waits = sync(&rig).await;
    let asked: Vec<&(i64, String)> =
        waits.iter().filter(|(_, why)| why.contains("still holds the SKU")).collect();
    let [(object, _)] = asked.as_slice() else { panic!("{waits:?}") };
    decide(&rig, *object, "replace").await;
    assert_eq!(sync(&rig).await, []);
    let made = shown(&rig, "TEE-000-M").await;
    let [made] = made.as_slice() else { panic!("it is there once: {made:?}") };
    assert_eq!((&made["type"], &made["stock"]), (&json!("simple"), &json!(10)));
    assert_eq!(row(&rig, &old["parent"]).await["status"], "private");
    nothing_to_do(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variant_that_moved_goes_on_where_it_stands_until_somebody_says_so() {
    let rig = aligned("moved-variant", &[]).await;
    let old = shown(&rig, "TEE-000-M").await[0].clone();
    let wanted = shown(&rig, "TEE-001-M").await[0]["parent"].clone();
    let template = template_of(&rig, "TEE-001-M").await;
    let id = found(&rig, "product.product", "default_code", "TEE-000-M").await["id"].clone();
    let body = json!({ "ids": [id], "vals": { "product_tmpl_id": template } });
    rig.call_erp("product.product/write", &body).await;
    let waits = sync(&rig).await;
    let [(object, why)] = waits.as_slice() else { panic!("{waits:?}") };
    assert!(why.starts_with("TEE-000-M belongs to Hemd 1 now"), "{why}");
    assert!(why.contains("in de it stands under Hemd 0"), "{why}");
    assert!(why.contains(&format!("\"kilter decide {object} replace\"")), "{why}");

    // A price and a figure do not wait for the answer.
    priced(&rig, "TEE-000-M").await;
    assert_eq!(sync(&rig).await, waits);
    let now = row(&rig, &old["id"]).await;
    assert_eq!((&now["price"], &now["stock"]), (&json!("15.50"), &json!(7)));
    assert_eq!(now["parent"], old["parent"], "it was not moved, nor doubled");
    assert_eq!(shown(&rig, "TEE-000-M").await.len(), 1);

    decide(&rig, *object, "replace").await;
    assert_eq!(sync(&rig).await, []);
    let made = shown(&rig, "TEE-000-M").await;
    let [made] = made.as_slice() else { panic!("it is there once: {made:?}") };
    assert_eq!(made["parent"], wanted);
    assert_ne!(made["id"], old["id"]);
    assert_eq!((&made["price"], &made["stock"]), (&json!("15.50"), &json!(7)));
    nothing_to_do(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_allows_it_is_not_asked_and_one_that_says_leave_is_left() {
    let rig = aligned(
        "moved-allowed",
        &[("[connection.de]\n", "[connection.de]\nreplace = { variant = \"always\" }\n")],
    )
    .await;
    let wanted = shown(&rig, "TEE-001-M").await[0]["parent"].clone();
    let template = template_of(&rig, "TEE-001-M").await;
    let id = found(&rig, "product.product", "default_code", "TEE-000-L").await["id"].clone();
    let body = json!({ "ids": [id], "vals": { "product_tmpl_id": template } });
    rig.call_erp("product.product/write", &body).await;
    assert_eq!(sync(&rig).await, [], "nobody is asked");
    let made = shown(&rig, "TEE-000-L").await;
    let [made] = made.as_slice() else { panic!("it is there once: {made:?}") };
    assert_eq!(made["parent"], wanted);

    // The other shop asks; "leave" is an answer that holds.
    let (_, told) = rig.run(&["status", "--json"]).await;
    let status: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    let text = status.to_string();
    assert!(text.contains("TEE-000-L belongs to Tee 1 now"), "{text}");
    let waits = status["waits"].as_array().unwrap();
    let object = waits[0]["object"].as_i64().unwrap();
    decide(&rig, object, "leave").await;
    priced(&rig, "TEE-000-L").await;
    sync(&rig).await;
    let all = rig.get(&format!("{}/_twin/brief", rig.us.url())).await;
    let of = |sku: &str| all.as_array().unwrap().iter().find(|r| r["sku"] == sku).cloned().unwrap();
    assert_eq!(of("TEE-000-L")["price"], "16.50", "it is sold on where it stands");
    assert_eq!(of("TEE-000-L")["parent"], of("TEE-000-S")["parent"]);
    nothing_to_do(&rig).await;
    let (_, told) = rig.run(&["status", "--json"]).await;
    assert!(!told.contains("belongs to"), "nobody is asked again: {told}");
}

/// So many points at which it dies, spread evenly.
const DEATHS: usize = 16;
const ALWAYS: &str = "replace = { variant = \"always\" }";

/// A variant moved to another product in the ERP, and the shops may replace it unasked. Where it is to
/// stand in the German one.
async fn about_to_move(name: &str) -> (Rig, Value) {
    let policy = |shop: &str| (format!("[connection.{shop}]\n"), format!("{ALWAYS}\n"));
    let of = [policy("de"), policy("us")].map(|(head, line)| (head.clone(), head + &line));
    let config = of.each_ref().map(|(from, to)| (from.as_str(), to.as_str()));
    let rig = aligned(name, &config).await;
    let wanted = shown(&rig, "TEE-001-M").await[0]["parent"].clone();
    let template = template_of(&rig, "TEE-001-M").await;
    let id = found(&rig, "product.product", "default_code", "TEE-000-L").await["id"].clone();
    let body = json!({ "ids": [id], "vals": { "product_tmpl_id": template } });
    rig.call_erp("product.product/write", &body).await;
    (rig, wanted)
}

/// One goes and another comes: it may die between any two of the steps, and in the end one is there.
async fn dies_at(n: usize) -> bool {
    let (rig, wanted) = about_to_move(&format!("moved-dies-{n}")).await;
    let mut command = rig.command(&["sync"]);
    command.env("KILTER_CRASH_AT", n.to_string());
    let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let died = out.status.code().is_none();
    // What a call that nobody answered did is found out first.
    let mut told = (2, String::new());
    for _ in 0..5 {
        sync(&rig).await;
        told = rig.run(&["plan"]).await;
        if told.0 == 0 {
            break;
        }
    }
    assert_eq!(told.0, 0, "{n}: {}", told.1);
    for (sku, there) in [("TEE-000-L", Some(&wanted)), ("TEE-000-M", None), ("TEE-001-L", None)] {
        let rows = shown(&rig, sku).await;
        let [one] = rows.as_slice() else { panic!("{n}: {sku} is there once: {rows:?}") };
        assert!(there.is_none_or(|there| one["parent"] == *there), "{n}: {one}");
    }
    died
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_may_die_while_one_takes_the_place_of_another() {
    let (rig, _) = about_to_move("moved-count").await;
    let file = rig.folder.join("points");
    let mut command = rig.command(&["sync"]);
    command.env("KILTER_CRASH_COUNT", &file);
    let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(out.status.success(), "{out:?}");
    let points = std::fs::read_to_string(&file).unwrap().lines().count();
    assert!(points >= DEATHS, "only {points} points");
    let mut deaths = tokio::task::JoinSet::new();
    let mut died = 0;
    for n in (1..=points).rev().step_by(points / DEATHS) {
        if deaths.len() >= 4 {
            died += usize::from(deaths.join_next().await.unwrap().unwrap());
        }
        deaths.spawn(dies_at(n));
    }
    while let Some(one) = deaths.join_next().await {
        died += usize::from(one.unwrap());
    }
    println!("died at {died} of about {DEATHS}, of {points} points");
    assert!(died * 10 >= DEATHS * 9, "it died only {died} times");
}
