//! Read first: what must be read just before it is written goes by parts, and by no more calls than whole.

use std::collections::BTreeMap;

use crate::support::{Rig, seed};
use serde_json::{Value, json};

/// Products whose figure is raised: more than a part, no whole number of parts, nor of calls.
const RAISED: u64 = 420;

/// Objects that one call of the shop takes.
const CAP: u64 = 100;

/// Calls to the shop so far that wrote products, and that read them by their ids.
async fn calls(rig: &Rig) -> (u64, u64) {
    let calls = rig.get(&format!("{}/_twin/calls", rig.de.url())).await;
    let routes = calls["routes"].as_object().unwrap().iter();
    let writes = |route: &str| route.starts_with("POST") && route.ends_with("/products/batch");
    let these = routes.filter(|(route, _)| writes(route));
    let wrote = these.map(|(_, count)| count["calls"].as_u64().unwrap()).sum();
    let database = rusqlite::Connection::open(rig.database()).unwrap();
    let query = "SELECT count(*) FROM exchanges WHERE connection = 'de' AND method = 'GET'
                 AND path LIKE '/products?%include=%'";
    let read: i64 = database.query_row(query, [], |row| row.get(0)).unwrap();
    (wrote, u64::try_from(read).unwrap())
}

/// SKU → what the shop sells.
async fn figures(rig: &Rig) -> BTreeMap<String, i64> {
    let all: Vec<Value> =
        rig.get(&format!("{}/_twin/brief", rig.de.url())).await.as_array().unwrap().clone();
    let figure = |row: &Value| Some((row["sku"].as_str()?.to_owned(), row["stock"].as_i64()?));
    all.iter().filter_map(figure).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_first_goes_by_parts_and_by_no_more_calls() {
    let rig = Rig::start("read-first").await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(usize::try_from(RAISED).unwrap(), 10))
        .await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let before = figures(&rig).await;
    let (wrote_before, read_before) = calls(&rig).await;

    let edit = |sku: String| json!({ "sku": sku, "warehouse": "WH", "quantity": 25 });
    let mugs = (0..RAISED).map(|n| format!("MUG-{n:03}"));
    let tees = (0..20).map(|n| format!("TEE-{n:03}-M"));
    let raised: Vec<String> = mugs.chain(tees).collect();
    let edits: Vec<Value> = raised.iter().cloned().map(edit).collect();
    rig.post(&format!("{}/_twin/stock", rig.erp.url()), &json!(edits)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");

    let mut wanted = before.clone();
    for sku in &raised {
        *wanted.get_mut(sku).unwrap() += 15;
    }
    assert_eq!(figures(&rig).await, wanted);
    let (wrote, read) = calls(&rig).await;
    let least = RAISED.div_ceil(CAP);
    assert_eq!(
        (wrote - wrote_before, read - read_before),
        (least, least),
        "calls that write, and read"
    );
}
