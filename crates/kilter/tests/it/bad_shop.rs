//! Bad input from a shop with locations, whose products hold their variants: each ends aligned, or
//! waits with a sentence that a merchant understands; none holds up the others.
//!
//! ERP and shop are twins in this process; Kilter runs as a merchant runs it, by `kilter sync`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::support;
use kilter_twin::{Options, Running};
use serde_json::{Value, json};

type Waits = Vec<(String, String, String)>;

struct House {
    folder: PathBuf,
    erp: Running,
    shop: Running,
    http: reqwest::Client,
}

async fn twin(name: &str, settings: &[(&str, &str)]) -> Running {
    let settings: BTreeMap<String, String> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    kilter_twin::start(name, Options { port: None, seed: 7, settings }).await.unwrap()
}

impl House {
    /// An ERP with a catalogue, and an empty shop that sells from two places.
    async fn start(name: &str, catalogue: &Value) -> Self {
        let folder = std::env::temp_dir().join(format!("kilter-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder).unwrap();
        let shop = [
            ("plan", "enterprise"),
            ("currency", "EUR"),
            ("taxes_included", "true"),
            ("tax_rate", "19"),
            ("locations", "main,west"),
            ("search_lag_seconds", "0"),
        ];
        let house = Self {
            folder,
            erp: twin("odoo", &[]).await,
            shop: twin("shopify", &shop).await,
            http: reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap(),
        };
        house.act(&house.erp, "seed", catalogue).await;
        let places = house.look("state").await["locations"].clone();
        let gid = |name: &str| {
            let all = places.as_array().unwrap();
            all.iter().find(|l| l["name"] == name).unwrap()["gid"].as_str().unwrap().to_owned()
        };
        let text = CONFIG
            .replace("{erp}", &house.erp.url())
            .replace("{shop}", &house.shop.url())
            .replace("{main}", &gid("main"))
            .replace("{west}", &gid("west"));
        std::fs::write(house.folder.join("kilter.toml"), text).unwrap();
        house
    }

    async fn act(&self, at: &Running, page: &str, body: &Value) -> Value {
        let url = format!("{}/_twin/{page}", at.url());
        let answer = self.http.post(&url).body(body.to_string()).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{url}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A page of the shop's back office.
    async fn look(&self, page: &str) -> Value {
        let url = format!("{}/_twin/{page}", self.shop.url());
        let text = self.http.get(&url).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Runs a command to its end; its JSON.
    async fn kilter(&self, args: &[&str]) -> (i32, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kilter"));
        command
            .args(["--config", "kilter.toml"])
            .args(args)
            .arg("--json")
            .current_dir(&self.folder);
        let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let told = text.lines().last().and_then(|line| serde_json::from_str(line).ok());
        let told = told.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&out.stderr)));
        (out.status.code().unwrap(), told)
    }

    /// Aligns. What waits: resource, how, why.
    async fn sync(&self) -> Waits {
        let (_, told) = self.kilter(&["sync"]).await;
        let word = |w: &Value, key: &str| w[key].as_str().unwrap_or_default().to_owned();
        let waits = told["waits"].as_array().unwrap().iter();
        waits.map(|w| (word(w, "resource"), word(w, "wait"), word(w, "reason"))).collect()
    }

    /// The shop's row of a SKU; None: there is none, or there are several.
    async fn row(&self, sku: &str) -> Option<Value> {
        let all = self.look("brief").await;
        let mut found = all.as_array().unwrap().iter().filter(|v| v["sku"] == sku);
        found.next().filter(|_| found.next().is_none()).cloned()
    }

    /// The ERP changes the price and the stock of one that is good; the shop follows.
    async fn others_go_on(&self, sku: &str, price: &str) {
        self.act(&self.erp, "prices", &json!([{ "sku": sku, "list": "EUR", "price": price }]))
            .await;
        let count = json!([{ "sku": sku, "warehouse": "WH", "quantity": 31 }]);
        self.act(&self.erp, "stock", &count).await;
        let waits = self.sync().await;
        let row = self.row(sku).await.unwrap();
        assert_eq!(row["price"], price, "{waits:#?}");
        assert_eq!(row["levels"]["main"]["available"], 31, "{row} {waits:#?}");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // A test that failed keeps its folder, to be looked at.
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.folder).ok();
        }
    }
}

const CONFIG: &str = r#"
locations = ["main", "west"]

[price_list.retail]
currency = "EUR"
tax = "included"

[connection.erp]
connector = "odoo"
url = "{erp}"
database = "erp"
api_key = "test-key"
rounding_product = "1"
locales = { en_US = "en_US" }
price_lists = { retail = "2" }
locations = { main = "1", west = "2" }
[connection.erp.lookup.taxes]
"19" = "1"
"0" = "3"
[connection.erp.lookup.order_price_lists]
EUR = "2"
[connection.erp.lookup.services]
shipping = "1"
fee = "2"
[connection.erp.lookup.countries]
DE = "base.de"

[connection.shop]
connector = "shopify"
url = "{shop}"
client_id = "twin_client"
client_secret = "hush"
locale = "en_US"
currency = "EUR"
price_list = "retail"
locations = { main = "{main}", west = "{west}" }
[connection.shop.orders]
prefix = "S"
since = "2020-01-01T00:00:00Z"

[own.product]
"*" = "erp"
[own.variant]
"*" = "erp"
[own.price]
"*" = "erp"
[own.stock]
"*" = "erp"
[own.customer]
"*" = "origin"
[own.order]
"*" = "origin"
fulfilment = "erp"
[own.refund]
"*" = "origin"
[own.shipment]
"*" = "erp"
"#;

/// The ERP's catalogue: a service first, which carries shipping and rounding.
fn catalogue() -> Value {
    let mut all = support::seed(6, 20);
    let service = json!({ "name": { "en_US": "Service" }, "list_price": 0, "type": "service",
        "taxes": ["19% incl"], "variants": [{ "default_code": "SERVICE" }] });
    all["templates"].as_array_mut().unwrap().insert(0, service);
    all
}

#[track_caller]
fn waits_for(waits: &Waits, resource: &str, how: &str, says: &[&str]) {
    let found = waits
        .iter()
        .any(|(r, h, why)| r == resource && h == how && says.iter().all(|s| why.contains(s)));
    assert!(found, "{resource} is not {how} with {says:?}: {waits:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sku_that_stands_there_twice_waits_for_a_person_and_alone() {
    let house = House::start("twice", &catalogue()).await;
    let place = house.look("state").await["locations"][0]["gid"].clone();
    let variant = |option: &str| {
        json!({ "optionValues": [{ "optionName": "Size", "name": option }], "sku": "MUG-001",
            "price": "5.00", "inventoryItem": { "tracked": true },
            "inventoryQuantities": [{ "locationId": place, "name": "available", "quantity": 1 }] })
    };
    let twice = json!({ "products": [{ "title": "Sold twice",
        "productOptions": [{ "name": "Size", "values": [{ "name": "A" }, { "name": "B" }] }],
        "variants": [variant("A"), variant("B")] }] });
    house.act(&house.shop, "seed", &twice).await;
    let waits = house.sync().await;
    waits_for(&waits, "variants", "held", &["\"MUG-001\" stands in shop already", " and "]);
    // Neither of the two was touched, and no third was made.
    let all = house.look("brief").await;
    let own: Vec<&Value> =
        all.as_array().unwrap().iter().filter(|v| v["sku"] == "MUG-001").collect();
    assert_eq!(own.len(), 2, "{own:#?}");
    assert!(own.iter().all(|v| v["price"] == "5.00"), "{own:#?}");
    // Everything else of the catalogue is there: 6 mugs but one, and 2 tees of 3 sizes.
    assert_eq!(all.as_array().unwrap().len(), 2 + 5 + 6);
    house.others_go_on("MUG-000", "77.70").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_moved_to_another_product_is_missed_and_not_made_again() {
    let house = House::start("moved", &catalogue()).await;
    assert_eq!(house.sync().await, []);
    let (tee, mug) = (house.row("TEE-000-M").await.unwrap(), house.row("MUG-002").await.unwrap());
    let page = format!("variants/{}/move", tee["id"]);
    house.act(&house.shop, &page, &json!({ "product": mug["product"] })).await;
    house.sync().await;
    let price = json!([{ "sku": "TEE-000-M", "list": "EUR", "price": "79.70" }]);
    house.act(&house.erp, "prices", &price).await;
    let waits = house.sync().await;
    waits_for(&waits, "variants", "held", &["deleted it in shop", "recreate it, or leave it?"]);
    let moved = house.row("TEE-000-M").await.expect("it stands there once");
    assert_eq!(moved["product"], mug["product"], "{moved}");
    house.others_go_on("MUG-000", "78.70").await;
    house.others_go_on("TEE-000-S", "19.50").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_that_is_deleted_keeps_no_other_waiting() {
    let house = House::start("location", &catalogue()).await;
    assert_eq!(house.sync().await, []);
    let places = house.look("state").await["locations"].clone();
    let west = places.as_array().unwrap().iter().find(|l| l["name"] == "west").unwrap();
    house.act(&house.shop, &format!("locations/{}/delete", west["id"]), &json!({})).await;
    let count = json!([{ "sku": "MUG-003", "warehouse": "WST", "quantity": 8 }]);
    house.act(&house.erp, "stock", &count).await;
    let (code, told) = house.kilter(&["sync"]).await;
    // A listing of what the config names could not be read: that is told, and which.
    assert_eq!(code, 1, "{told:#}");
    let fault = told["faults"]["shop levels"].as_str().unwrap_or_default();
    assert!(fault.contains("\"west\"") && fault.contains("closed or removed"), "{told:#}");
    waits_for(&house.sync().await, "levels", "dead", &["shop said no", "location", "not be found"]);
    house.others_go_on("MUG-000", "81.70").await;
    house.others_go_on("MUG-003", "82.70").await;
}

impl House {
    /// A customer buys one of each.
    async fn order(&self, email: &str, skus: &[&str]) -> String {
        let address = json!({ "firstName": "Ada", "lastName": "L", "address1": "1 Road",
            "city": "Bonn", "zip": "53111", "countryCode": "DE", "country": "DE" });
        let lines: Vec<Value> = skus.iter().map(|s| json!({ "sku": s, "quantity": 1 })).collect();
        let body = json!({ "lines": lines, "email": email, "billing": address, "shipping": address,
            "customer": { "email": email, "firstName": "Ada", "lastName": "L",
                "addresses": [address] } });
        let order = self.act(&self.shop, "orders", &body).await;
        let gid = order["admin_graphql_api_id"].as_str().unwrap();
        gid.rsplit('/').next().unwrap().to_owned()
    }

    /// A part of the ERP's state.
    async fn part(&self, part: &str) -> Vec<Value> {
        let url = format!("{}/_twin/state?part={part}", self.erp.url());
        let text = self.http.get(&url).send().await.unwrap().text().await.unwrap();
        let state: Value = serde_json::from_str(&text).unwrap();
        state[part].as_array().unwrap().clone()
    }

    /// What the ERP's credit notes give back.
    async fn credits(&self) -> Vec<String> {
        let all = self.part("invoices").await;
        let notes = all.iter().filter(|m| m["move_type"] == "out_refund");
        notes.map(|m| kilter_core::manifest::plain(&m["amount_total"])).collect()
    }

    /// The ERP's orders: reference, state, total.
    async fn sold(&self) -> Vec<(String, String, String)> {
        let orders = self.part("orders").await;
        let word = |o: &Value, key: &str| kilter_core::manifest::plain(&o[key]);
        orders
            .iter()
            .map(|o| (word(o, "client_order_ref"), word(o, "state"), word(o, "amount_total")))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_order_is_held_and_a_merged_customer_buys_on() {
    let house = House::start("edited", &catalogue()).await;
    assert_eq!(house.sync().await, []);
    let first = house.order("ada@example.com", &["MUG-000", "MUG-001"]).await;
    let second = house.order("bob@example.com", &["MUG-002"]).await;
    assert_eq!(house.sync().await, []);
    let before = house.sold().await;
    // 10.90 and 11.90; 12.90.
    let totals: Vec<&str> = before.iter().map(|(_, _, total)| total.as_str()).collect();
    assert_eq!(totals, ["22.8", "12.9"], "{before:?}");

    // One piece more of another: it is told with both totals, and the ERP's order is left alone.
    let edit = json!({ "lines": [{ "sku": "MUG-003", "quantity": 1 }] });
    house.act(&house.shop, &format!("orders/{first}/edit"), &edit).await;
    let waits = house.sync().await;
    let says = ["lines and total changed in the shop", "then 22.8", "now 36.7"];
    waits_for(&waits, "orders", "held", &says);
    assert_eq!(house.sold().await, before, "an order that was sent is never changed");

    // Money back for nothing in particular.
    let refund = json!({ "lines": [], "amount": "3.33", "note": "for the wait" });
    house.act(&house.shop, &format!("orders/{second}/refund"), &refund).await;
    let waits = house.sync().await;
    assert!(waits.iter().all(|(_, how, _)| how != "dead"), "{waits:#?}");
    assert_eq!(house.sold().await, before, "a refund is no other order");
    assert_eq!(house.credits().await, ["3.33"], "{waits:#?}");

    // Two customers become one; both addresses buy on.
    let customers = house.look("state").await["customers"].clone();
    let of = |n: usize| customers[n]["id"].clone();
    let merge = json!({ "from": of(1), "into": of(0) });
    house.act(&house.shop, "customers/merge", &merge).await;
    house.order("ada@example.com", &["MUG-004"]).await;
    house.order("bob@example.com", &["MUG-005"]).await;
    let waits = house.sync().await;
    let others = waits.iter().filter(|(_, _, why)| !why.contains("changed in the shop after"));
    assert_eq!(others.count(), 0, "{waits:#?}");
    let sold = house.sold().await;
    assert_eq!(sold.len(), 4, "{sold:?}");
    // Two orders each, and one buyer for each address: none was made for who was merged.
    let mut buyers: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for order in house.part("orders").await {
        let buyer = &order["partner"];
        let email = buyer["email"].as_str().unwrap_or_default().to_owned();
        buyers.entry(email).or_default().push(buyer["id"].clone());
    }
    assert_eq!(buyers.len(), 2, "{buyers:?}");
    assert!(buyers.values().all(|ids| ids.len() == 2 && ids[0] == ids[1]), "{buyers:?}");
    assert!(sold.iter().all(|(_, state, _)| state == "sale"), "{sold:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_too_large_for_the_shop_is_refused_whole_and_alone() {
    let mut all = catalogue();
    // No list that is sent may be longer than 250, so says the platform; this option has 260 values.
    let sizes = (0..260).map(|n| {
        json!({ "default_code": format!("BIG-{n:04}"), "attributes": { "Size": format!("S{n:04}") },
            "prices": { "EUR": "5.00" }, "stock": { "WH": 2 } })
    });
    let large = json!({ "name": { "en_US": "Too large" }, "list_price": 5, "type": "consu",
        "taxes": ["19% incl"], "variants": sizes.collect::<Vec<Value>>() });
    all["templates"].as_array_mut().unwrap().push(large);
    let house = House::start("large", &all).await;
    let waits = house.sync().await;
    waits_for(&waits, "products", "dead", &["shop said no", "260", "maximum"]);
    let says = "waits for its product in shop: Too large is not there yet";
    waits_for(&waits, "variants", "parked", &[says]);
    let there = house.look("brief").await;
    let half = there.as_array().unwrap().iter().filter(|v| v["title"] == "Too large");
    assert_eq!(half.count(), 0, "a half of it stands there");
    house.others_go_on("MUG-000", "77.70").await;
}

/// An order takes its stock at once, and a listing shows it when the search index has followed. A figure
/// that fell meanwhile is not raised over it.
///
/// In a demo whose webhook for the order was dropped, the figure was taken for a person's edit.
#[tokio::test(flavor = "multi_thread")]
async fn a_figure_that_fell_is_not_raised_before_its_order_can_be_listed() {
    let house = House::start("lag", &catalogue()).await;
    assert_eq!(house.sync().await, []);
    let available =
        async || house.row("MUG-001").await.unwrap()["levels"]["main"]["available"].clone();
    let before = available().await.as_i64().unwrap();
    // The index follows after five seconds.
    house.act(&house.shop, "faults", &json!({ "names": ["stale"] })).await;
    house.order("ada@example.com", &["MUG-001"]).await;
    assert_eq!(available().await, before - 1);
    let count = json!([{ "sku": "MUG-001", "warehouse": "WH", "quantity": before + 5 }]);
    house.act(&house.erp, "stock", &count).await;
    let waits = house.sync().await;
    waits_for(&waits, "levels", "later", &["waits for the orders of shop: its stock fell"]);
    assert_eq!(available().await, before - 1, "raised over an order that nobody can list yet");
    let started = std::time::Instant::now();
    while available().await != before + 4 {
        assert!(started.elapsed().as_secs() < 60, "{:#?}", house.sync().await);
        house.sync().await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let raises = house.look("stock_raises").await;
    assert_eq!(raises["violations"], json!([]), "{raises:#}");
    assert_ne!(raises["checked"], 0, "{raises:#}");
}
