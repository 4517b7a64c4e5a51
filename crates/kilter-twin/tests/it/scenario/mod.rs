//! The referee can be satisfied, and everything it claims can fail: a middleman written by hand
//! does the work, well and badly.
//!
//! Reads   the stage's verdicts.
//! Writes  faults, one at a time, each taken back.
//! Never   starts Kilter.

mod middleman;
mod plus;
mod third;

use std::time::Duration;

use self::middleman::{Middleman, list};
use kilter_twin::scenario::catalogue::CASE_PAIR;
use kilter_twin::scenario::{Pace, Stage, Step, Verdict};
use serde_json::{Value, json};

async fn stage() -> (Stage, Middleman) {
    let mut stage = Stage::start(7, 1).await.expect("the stage");
    stage.pace = Pace {
        between_orders: Duration::ZERO,
        tell_within: Duration::from_secs(8),
        follow_within: Duration::from_secs(8),
        bad_hour: false,
    };
    let middleman = Middleman::new(stage.urls());
    (stage, middleman)
}

/// Orders are placed while the middleman works.
async fn sell(stage: &mut Stage, middleman: &Middleman) {
    let work = async {
        loop {
            middleman.carry_orders().await;
            middleman.align().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        done = stage.place_orders() => assert_eq!(done.expect("orders").count, 200),
        () = work => {}
    }
    middleman.carry_orders().await;
    middleman.align().await;
}

pub fn wrong(verdict: &Verdict, connection: &str, entity: &str) -> usize {
    verdict.row(connection, entity).expect("a row").wrong
}

/// The only wrong thing of the whole table.
pub fn only(verdict: &Verdict, connection: &str, entity: &str) {
    assert!(!verdict.ok);
    let sum: usize = verdict.rows.iter().map(|row| row.wrong).sum();
    assert_eq!((sum, wrong(verdict, connection, entity)), (1, 1), "{:#?}", verdict.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn good_work_is_called_good_and_each_fault_is_found() {
    let (mut stage, middleman) = stage().await;
    let before = stage.progress().await.expect("progress");
    assert!(before["de"].done == 0 && before["us"].total > 1200);
    middleman.load().await;
    let (there, expected) = stage.arrived(Step::Load).await.expect("a count");
    assert_eq!(there, expected);
    let verdict = stage.referee().await.expect("a verdict");
    assert!(verdict.ok, "{:#?}", verdict.problems);
    assert_eq!((verdict.row("de", "products").expect("a row").held, verdict.held.len()), (2, 4));
    assert_eq!(verdict.row("plus", "products").expect("a row").held, 0, "case counts there");

    assert_eq!(stage.change_prices().await.expect("prices").count, 100);
    // Each list's third; the dollar list is shown by two shops.
    assert_eq!(stage.arrived(Step::Prices).await.expect("a count"), (0, 133));
    assert_eq!(stage.change_stock().await.expect("stock").count, 300);
    let (arrived, expected) = stage.arrived(Step::Stock).await.expect("a count");
    assert!(arrived < expected && expected > 300);
    assert!(!stage.referee().await.expect("a verdict").ok);
    middleman.align().await;
    assert_eq!(stage.arrived(Step::Prices).await.expect("a count"), (133, 133));
    assert_eq!(stage.arrived(Step::Stock).await.expect("a count"), (expected, expected));

    sell(&mut stage, &middleman).await;
    assert_eq!(stage.arrived(Step::Orders).await.expect("a count"), (200, 200));
    assert_eq!(stage.ship_orders().await.expect("parcels").count, 50);
    assert_eq!(stage.arrived(Step::Ship).await.expect("a count"), (0, 50));
    middleman.carry_parcels().await;
    assert_eq!(stage.arrived(Step::Ship).await.expect("a count"), (50, 50));
    assert_eq!(stage.edit_titles().await.expect("titles").count, 20);
    middleman.align().await;
    // The third shop shows the same titles, and nobody has told it.
    assert_eq!(stage.arrived(Step::Titles).await.expect("a count"), (20, 40));
    middleman.carry_titles(&stage).await;
    assert_eq!(stage.arrived(Step::Titles).await.expect("a count"), (40, 40));

    let verdict = stage.referee().await.expect("a verdict");
    assert!(verdict.ok, "{:#?}", verdict.problems);
    let orders = &verdict.orders;
    assert_eq!((orders.placed, orders.in_erp, orders.refused), (200, 200, 9));
    assert_eq!(verdict.oversold_units, 3, "one unit of each contended SKU: {:?}", verdict.oversold);
    assert!(verdict.oversold.iter().all(|one| one.explained));
    let ships = verdict.writes.iter().filter(|w| w.step == Step::Ship && w.connection != "erp");
    assert_eq!(ships.map(|writes| writes.calls).sum::<u64>(), 50);
    let json = serde_json::to_value(&verdict).expect("JSON");
    assert_eq!(json["ok"], json!(true));

    rough_day(&mut stage, &middleman).await;
    goods_faults(&stage, &middleman).await;
    paper_faults(&stage, &middleman).await;
    third::goods_faults(&stage, &middleman).await;
    third::paper_faults(&stage, &middleman).await;
    raise_over_a_sale(&stage, &middleman).await;
    third::raise_over_a_sale(&stage, &middleman).await;
}

pub async fn row_of(middleman: &Middleman, shop: &str, sku: &str) -> Value {
    let brief = middleman.get(shop, "brief").await;
    list(&brief).iter().find(|row| row["sku"] == sku).expect("it is there").clone()
}

/// What people write into a shop is wrong until it is repaired; what they delete is right until it is
/// made again.
async fn rough_day(stage: &mut Stage, middleman: &Middleman) {
    assert_eq!(stage.write_into_a_shop().await.expect("drift").count, 50);
    assert_eq!(stage.arrived(Step::Drift).await.expect("a count"), (0, 50));
    let found = stage.referee().await.expect("a verdict");
    assert_eq!((wrong(&found, "de", "prices"), wrong(&found, "de", "stock")), (30, 20));
    middleman.align().await;
    assert_eq!(stage.arrived(Step::Drift).await.expect("a count"), (50, 50));

    assert_eq!(stage.delete_in_a_shop().await.expect("deleted").count, 2);
    let found = stage.referee().await.expect("a verdict");
    assert!(found.ok, "{:#?}", found.problems);
    assert_eq!(found.row("de", "products").expect("a row").held, 4, "two for their case");
    let (_, place) = stage.script.deleted[0];
    let sku = &stage.catalogue.templates[place].variants[0].sku;
    let state = middleman.get("de", "state").await;
    let product = list(&state["products"]).iter().find(|row| row["sku"] == **sku);
    let page = format!("products/{}", product.expect("it is in the bin")["id"]);
    middleman.act("de", &page, json!({ "status": "publish" })).await;
    let found = stage.referee().await.expect("a verdict");
    assert_eq!((found.ok, wrong(&found, "de", "products")), (false, 1), "{:#?}", found.problems);
    middleman.act("de", &page, json!({ "status": "trash" })).await;
    assert!(stage.referee().await.expect("a verdict").ok);
}

async fn goods_faults(stage: &Stage, middleman: &Middleman) {
    let verdict = async || stage.referee().await.expect("a verdict");
    let sku = &stage.catalogue.templates[3].variants[1].sku;
    let row = row_of(middleman, "de", sku).await;
    let page = format!("products/{}", row["id"]);
    let stock = row["stock"].as_i64().expect("units");
    for (entity, name, bad, good) in [
        ("stock", "stock_quantity", json!(stock + 1), json!(stock)),
        ("prices", "regular_price", json!("0.02"), row["price"].clone()),
        ("variants", "weight", json!("9.999"), row["weight"].clone()),
    ] {
        middleman.act("de", &page, json!({ name: bad })).await;
        only(&verdict().await, "de", entity);
        middleman.act("de", &page, json!({ name: good })).await;
        assert!(verdict().await.ok, "{entity} is right again");
    }
    // The title that its editor gave goes back to the ERP's.
    let edit = &stage.script.titles[0];
    let template = &stage.catalogue.templates[edit.template];
    let row = row_of(middleman, "us", &template.variants[0].sku).await;
    let id = if row["parent"] == json!(0) { &row["id"] } else { &row["parent"] };
    let page = format!("products/{id}");
    middleman.act("us", &page, json!({ "name": template.english })).await;
    only(&verdict().await, "us", "titles");
    middleman.act("us", &page, json!({ "name": edit.title })).await;
    // A title flows to the ERP.
    let sku = &template.variants[0].sku;
    let body = json!({ "domain": [["default_code", "=", sku]], "fields": ["product_tmpl_id"] });
    let found = middleman.call("product.product/search_read", body).await;
    let name = async |name: &str| {
        let ids = json!([found[0]["product_tmpl_id"][0]]);
        let body = json!({ "ids": ids, "vals": { "name": name }, "context": { "lang": "en_US" } });
        middleman.call("product.template/write", body).await;
    };
    name(&edit.title).await;
    only(&verdict().await, "erp", "titles");
    name(edit.renamed.as_ref().expect("the first few are renamed")).await;
    // One of the pair is created after all.
    let pair = json!({ "products": [{ "name": "X", "sku": CASE_PAIR[0], "regular_price": "1" }] });
    let seeded = middleman.act("de", "seed", pair).await;
    let found = verdict().await;
    assert_eq!((found.ok, wrong(&found, "de", "products")), (false, 2), "{:#?}", found.problems);
    let page = format!("products/{}", seeded["products"][0]["id"]);
    middleman.act("de", &page, json!({ "status": "trash" })).await;
    // A product that the ERP does not have.
    let stranger = json!({ "products": [{ "name": "X", "regular_price": "1" }] });
    let seeded = middleman.act("us", "seed", stranger).await;
    only(&verdict().await, "us", "products");
    let page = format!("products/{}", seeded["products"][0]["id"]);
    middleman.act("us", &page, json!({ "status": "trash" })).await;
    assert!(verdict().await.ok);
}

async fn paper_faults(stage: &Stage, middleman: &Middleman) {
    let verdict = async || stage.referee().await.expect("a verdict");
    let cancel = async |id: &Value| {
        middleman.call("sale.order/action_cancel", json!({ "ids": [id] })).await;
        middleman.align().await;
        let found = stage.referee().await.expect("a verdict");
        assert!(found.ok, "{:#?}", found.problems);
    };
    let open = |sale: &&kilter_twin::scenario::script::Sale| {
        sale.shop == "us"
            && !stage.script.parcels.iter().any(|p| p.shop == "us" && p.order == sale.id)
    };
    let sale = stage.script.sales.iter().rev().find(open).expect("an open order");
    let orders = middleman.get("us", "orders").await;
    let order = list(&orders).iter().find(|order| order["id"] == json!(sale.id)).expect("it");
    // The same order once more, and nothing in its reference says so.
    let twice = middleman.carry("us", order, "PHONE-1").await;
    middleman.align().await;
    let found = verdict().await;
    assert_eq!((found.orders.duplicated, found.orders.in_erp, found.ok), (1, 200, false));
    only(&found, "erp", "orders");
    cancel(&twice).await;
    // Another buyer's order that nobody placed.
    let mut other = order.clone();
    other["billing"]["email"] = json!("nobody@example.net");
    let stray = middleman.carry("us", &other, "PHONE-2").await;
    middleman.align().await;
    assert_eq!(verdict().await.orders.stray, 1);
    cancel(&stray).await;
    // A cent too much.
    let reference = format!("US-{}", sale.id);
    let body = json!({ "domain": [["client_order_ref", "=", reference]] });
    let id = middleman.call("sale.order/search", body).await[0].clone();
    let body = json!({ "domain": [["default_code", "=", "FEE"]] });
    let fee = middleman.call("product.product/search", body).await[0].clone();
    let cent = json!([0, 0, { "product_id": fee, "product_uom_qty": 1, "price_unit": 0.01,
                              "tax_ids": [[6, 0, []]] }]);
    let body = json!({ "ids": [id], "vals": { "order_line": [cent] } });
    middleman.call("sale.order/write", body).await;
    let found = verdict().await;
    assert_eq!((found.orders.wrong_totals, found.ok), (1, false));
    only(&found, "erp", "orders");
    // The order is gone: it is missing, and its units count as sold all the same.
    middleman.call("sale.order/action_cancel", json!({ "ids": [id] })).await;
    let found = verdict().await;
    assert_eq!((found.orders.missing, found.orders.in_erp), (1, 199));
    assert_eq!(wrong(&found, "us", "stock"), 0, "{:#?}", found.problems);
    middleman.carry("us", order, "US-again").await;
    assert!(verdict().await.ok);
    // A parcel's number vanishes; a status goes back.
    let woo = |parcel: &&kilter_twin::scenario::script::Parcel| parcel.shop != "plus";
    let parcel = stage.script.parcels.iter().find(woo).expect("a parcel");
    let path = format!("orders/{}", parcel.order);
    let meta = json!([{ "key": "_kilter_tracking", "value": [] }]);
    middleman.put(parcel.shop, &path, json!({ "meta_data": meta })).await;
    only(&verdict().await, parcel.shop, "shipments");
    middleman.carry_parcels().await;
    let page = format!("orders/{}/status", parcel.order);
    middleman.act(parcel.shop, &page, json!({ "status": "processing" })).await;
    only(&verdict().await, parcel.shop, "orders");
    middleman.carry_parcels().await;
    assert!(verdict().await.ok);
}

/// A client that read the figure after a sale it was not told of writes a higher one.
async fn raise_over_a_sale(stage: &Stage, middleman: &Middleman) {
    let sku = &stage.catalogue.templates[5].variants[0].sku;
    let row = row_of(middleman, "us", sku).await;
    let lines = json!([{ "sku": sku, "quantity": 1 }]);
    middleman.act("us", "orders", json!({ "lines": lines })).await;
    let path = format!("products/{}/variations/{}", row["parent"], row["id"]);
    middleman.put("us", &path, json!({ "weight": row["weight"] })).await;
    middleman.put("us", &path, json!({ "stock_quantity": row["stock"] })).await;
    let found = stage.referee().await.expect("a verdict");
    assert_eq!((found.stock_raises, found.ok), (1, false), "{:#?}", found.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_middleman_nothing_is_well() {
    let (mut stage, _) = stage().await;
    let verdict = stage.referee().await.expect("a verdict");
    assert!(!verdict.ok);
    let row = verdict.row("us", "variants").expect("a row");
    assert_eq!((row.aligned, row.held, row.wrong), (0, 2, row.expected - 2));
    stage.change_prices().await.expect("prices");
    stage.change_stock().await.expect("stock");
    stage.pace.tell_within = Duration::ZERO;
    assert_eq!(stage.place_orders().await.expect("orders").count, 0);
    assert_eq!(stage.ship_orders().await.expect("parcels").count, 0);
    assert_eq!(stage.edit_titles().await.expect("titles").count, 0);
    let verdict = stage.referee().await.expect("a verdict");
    let said = verdict.problems.join("\n");
    for part in ["0 of 200 orders", "0 of 50 orders", "0 of 20 titles", "us prices", "plus stock"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_told_oversells_and_nothing_excuses_it() {
    let (mut stage, middleman) = stage().await;
    middleman.load().await;
    stage.change_stock().await.expect("stock");
    middleman.align().await;
    stage.pace.tell_within = Duration::from_millis(500);
    stage.place_orders().await.expect("orders");
    let verdict = stage.referee().await.expect("a verdict");
    assert_eq!((verdict.orders.placed, verdict.orders.in_erp), (209, 0));
    assert_eq!(verdict.orders.missing, 209);
    assert_eq!(verdict.oversold_units, 12);
    let unexplained = verdict.oversold.iter().filter(|one| !one.explained);
    assert_eq!(unexplained.map(|one| one.units).sum::<i64>(), 9, "{:#?}", verdict.oversold);
    assert!(!verdict.ok);
}

/// A client that writes what stands there already: nothing is wrong, and it is found all the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_writes_what_stands_there_is_found_by_his_calls() {
    let (mut stage, middleman) = stage().await;
    middleman.load().await;
    stage.change_prices().await.expect("prices");
    middleman.align().await;
    let sku = &stage.catalogue.templates[3].variants[1].sku;
    let row = row_of(&middleman, "de", sku).await;
    let path = format!("products/{}/variations/{}", row["parent"], row["id"]);
    let least = stage.referee().await.expect("a verdict");
    let least = least.writes.iter().find(|w| w.step == Step::Prices && w.connection == "de");
    let least = least.expect("a row").least;
    let write = async |calls: u64| {
        for _ in 0..calls {
            let same = json!({ "regular_price": row["price"].to_string() });
            middleman.put("de", &path, same).await;
        }
        stage.referee().await.expect("a verdict")
    };
    let verdict = write(least * 3 / 2).await;
    assert!(verdict.ok, "half as much again is no fault: {:#?}", verdict.problems);
    let verdict = write(1).await;
    assert!(!verdict.ok && verdict.rows.iter().all(|row| row.wrong == 0));
    assert!(verdict.problems.join("\n").contains("prices: de took"), "{:#?}", verdict.problems);
}

/// While the ERP takes no orders, somebody must take what was sold off its figures; and the
/// answers that it was to lose afterwards must have been asked for.
async fn bad_hour(subtracts: bool) -> Verdict {
    let (mut stage, middleman) = stage().await;
    stage.pace.bad_hour = true;
    stage.pace.tell_within = Duration::from_millis(500);
    stage.pace.follow_within = Duration::from_secs(if subtracts { 60 } else { 0 });
    middleman.load().await;
    let work = async {
        if !subtracts {
            std::future::pending::<()>().await;
        }
        loop {
            middleman.align_less_sold().await;
        }
    };
    tokio::select! {
        done = stage.place_orders() => assert_eq!(done.expect("orders").count, 200),
        () = work => {}
    }
    stage.referee().await.expect("a verdict")
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_bad_hour_figures_follow_the_sales_or_are_called_wrong() {
    let (good, bad) = tokio::join!(bad_hour(true), bad_hour(false));
    let (good_hour, bad_hour) = (good.outage.expect("an hour"), bad.outage.expect("an hour"));
    assert_eq!((good_hour.wrong, good_hour.figures), (0, 5208), "{:#?}", good_hour.examples);
    assert!(bad_hour.wrong > 100, "{}", bad_hour.wrong);
    let said = bad.problems.join("\n");
    assert!(said.contains("did not follow the sales") && said.contains("0 of 3 answers"), "{said}");
    assert!(!good.problems.join("\n").contains("did not follow the sales"));
}

#[tokio::test]
async fn a_seed_repeats_the_script_and_the_config_names_what_there_is() {
    let (mut one, _) = stage().await;
    let (mut two, _) = stage().await;
    let first = one.change_prices().await.expect("prices");
    assert_eq!(first.examples, two.change_prices().await.expect("prices").examples);
    let config = one.config("127.0.0.1:8700");
    for (name, url) in one.urls() {
        assert!(config.contains(&format!("[connection.{name}]")) && config.contains(&url));
    }
    assert!(!config.contains("= \"0\""), "every id is known:\n{config}");
}
