//! Pictures of a shop that replaces whole lists: each is sent once, whatever becomes of the answer;
//! what an editor put there stays where it stands.

use crate::support::{Rig, seed};
use serde_json::{Value, json};

const MUG: &str = "MUG-001";

/// The product that a shop sells under this SKU, or whose variant it is.
async fn product(rig: &Rig, shop: &str, sku: &str) -> Value {
    let get = reqwest::Method::GET;
    let found = rig.call_shop(shop, get.clone(), &format!("products?sku={sku}"), &json!({})).await;
    let parent = found[0]["parent_id"].as_u64().unwrap();
    match parent {
        0 => found[0].clone(),
        parent => rig.call_shop(shop, get, &format!("products/{parent}"), &json!({})).await,
    }
}

/// As an editor there would: those that are there by their id, others by their address.
async fn put(rig: &Rig, shop: &str, sku: &str, images: &[Value]) {
    let path = format!("products/{}", product(rig, shop, sku).await["id"]);
    rig.call_shop(shop, reqwest::Method::PUT, &path, &json!({ "images": images })).await;
}

fn new(name: &str) -> Value {
    json!({ "src": format!("https://pictures.example.com/{name}.png"), "alt": name })
}

fn there(place: &Place) -> Value {
    json!({ "id": place.0 })
}

/// A picture's id there, and what it is called: a shop keeps each under a name that ends with the
/// name it had where it came from.
type Place = (u64, String);

async fn shown(rig: &Rig, shop: &str, sku: &str) -> Vec<Place> {
    let product = product(rig, shop, sku).await;
    let named = |image: &Value| {
        let name = image["src"].as_str().unwrap().rsplit('-').next().unwrap();
        (image["id"].as_u64().unwrap(), name.trim_end_matches(".png").to_owned())
    };
    product["images"].as_array().unwrap().iter().map(named).collect()
}

async fn names(rig: &Rig, shop: &str, sku: &str) -> Vec<String> {
    shown(rig, shop, sku).await.into_iter().map(|(_, name)| name).collect()
}

/// How often one product alone was written, by whomever.
async fn puts(rig: &Rig) -> u64 {
    let calls = rig.get(&format!("{}/_twin/calls", rig.us.url())).await;
    calls["routes"]["PUT /products/{id}"]["calls"].as_u64().unwrap_or(0)
}

/// Until the next plan is empty; `without`: the guard that is off.
async fn settled(rig: &Rig, without: &str) {
    for _ in 0..20 {
        let mut command = rig.command(&["sync"]);
        command.env("KILTER_UNSAFE_WITHOUT", without);
        let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        if rig.run(&["plan"]).await.0 == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    panic!("the plan is not empty:\n{}", rig.run(&["plan"]).await.1);
}

/// Two shops and an ERP; the pictures of the second are those of the first.
async fn rigged(name: &str, products: usize) -> Rig {
    let rig = Rig::start(name).await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let owners = "[own.product]\n\"*\" = \"erp\"";
    assert!(text.contains(owners));
    let text = text.replace(owners, &format!("{owners}\nimages = \"de\""));
    std::fs::write(rig.toml(), text).unwrap();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(products, 50)).await;
    settled(&rig, "").await;
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_sent_once_in_its_order_and_an_editors_stays() {
    let rig = rigged("pictures", 3).await;
    let (de, us) = (rig.de.url(), rig.us.url());
    put(&rig, &de, MUG, &[new("one"), new("two")]).await;
    put(&rig, &de, "TEE-000-M", &[new("shirt")]).await;
    settled(&rig, "").await;
    assert_eq!(names(&rig, &us, MUG).await, ["one", "two"]);
    assert_eq!(names(&rig, &us, "TEE-000-M").await, ["shirt"], "of a product with variations");
    assert_eq!(puts(&rig).await, 3, "one write a picture");
    let alt = product(&rig, &us, MUG).await["images"][0]["alt"].clone();
    assert_eq!(alt, "one");

    // An editor puts one of theirs first. The second is another at the source, and the answer lost.
    let ours = shown(&rig, &us, MUG).await;
    put(&rig, &us, MUG, &[new("theirs"), there(&ours[0]), there(&ours[1])]).await;
    let source = shown(&rig, &de, MUG).await;
    put(&rig, &de, MUG, &[there(&source[0]), new("three")]).await;
    let lost = json!({ "fail_next": 1, "status": 502, "writes_only": true, "apply": "before" });
    rig.post(&format!("{us}/_twin/faults"), &lost).await;
    settled(&rig, "").await;
    assert_eq!(names(&rig, &us, MUG).await, ["theirs", "one", "three"]);
    assert_eq!(puts(&rig).await, 5, "the editor's, and one of ours");
    let before = shown(&rig, &us, MUG).await;
    assert_eq!(before[1], ours[0], "it is the one that was sent first");

    // Another order at the source; theirs was moved between.
    put(&rig, &us, MUG, &[there(&before[1]), there(&before[0]), there(&before[2])]).await;
    let source = shown(&rig, &de, MUG).await;
    put(&rig, &de, MUG, &[there(&source[1]), there(&source[0])]).await;
    settled(&rig, "").await;
    let turned = [&before[2], &before[0], &before[1]].map(Clone::clone);
    assert_eq!(shown(&rig, &us, MUG).await, turned, "moved, not sent again");

    // None is wanted any more: theirs stays.
    put(&rig, &de, MUG, &[]).await;
    settled(&rig, "").await;
    assert_eq!(shown(&rig, &us, MUG).await, [before[0].clone()]);
}

/// Without the notes and the look just before, a lost answer sends it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_notes_a_picture_is_sent_again_and_an_editors_is_dropped() {
    let rig = rigged("pictures-control", 3).await;
    let (de, us) = (rig.de.url(), rig.us.url());
    put(&rig, &de, MUG, &[new("one")]).await;
    let lost = json!({ "fail_next": 1, "status": 502, "writes_only": true, "apply": "before" });
    rig.post(&format!("{us}/_twin/faults"), &lost).await;
    settled(&rig, "places").await;
    assert_eq!(puts(&rig).await, 2, "sent twice");

    let ours = shown(&rig, &us, MUG).await;
    put(&rig, &us, MUG, &[there(&ours[0]), new("theirs")]).await;
    put(&rig, &de, MUG, &[]).await;
    settled(&rig, "places").await;
    assert_eq!(names(&rig, &us, MUG).await, [""; 0], "theirs is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_the_shop_cannot_fetch_is_told_and_undoes_none_of_the_others() {
    let rig = rigged("pictures-broken", 3).await;
    let (de, us) = (rig.de.url(), rig.us.url());
    put(&rig, &de, MUG, &[new("good")]).await;
    settled(&rig, "").await;
    let good = shown(&rig, &us, MUG).await;
    let refused = json!({ "code": "woocommerce_product_image_upload_error", // tidy: names
        "message": "Error getting remote image. Error: cURL error 7",
        "data": { "status": 400 } });
    let faults = json!({ "fail_next": 1, "status": 400, "writes_only": true, "body": refused });
    rig.post(&format!("{us}/_twin/faults"), &faults).await;
    let source = shown(&rig, &de, MUG).await;
    put(&rig, &de, MUG, &[there(&source[0]), new("bad")]).await;
    rig.run(&["sync"]).await;
    let (_, told) = rig.run(&["status"]).await;
    assert!(told.contains("Error getting remote image"), "{told}");
    assert_eq!(shown(&rig, &us, MUG).await, good);

    put(&rig, &de, MUG, &[there(&source[0]), new("better")]).await;
    settled(&rig, "").await;
    assert_eq!(names(&rig, &us, MUG).await, ["good", "better"]);
    assert_eq!(shown(&rig, &us, MUG).await[0], good[0], "it was not sent again");
}

const MANY: usize = 11;

/// The most writes of pictures between two reads of them, of many products that get one each.
async fn between_reads(name: &str, without: &str) -> usize {
    let rig = rigged(name, MANY).await;
    for n in 0..MANY {
        put(&rig, &rig.de.url(), &format!("MUG-{n:03}"), &[new("one")]).await;
    }
    settled(&rig, without).await;
    let database = rusqlite::Connection::open(rig.database()).unwrap();
    let told = "SELECT method FROM exchanges WHERE connection = 'us' AND resource = 'simple_images' \
                ORDER BY id";
    let mut query = database.prepare(told).unwrap();
    let methods = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let methods: Vec<String> = methods.map(Result::unwrap).collect();
    assert_eq!(methods.iter().filter(|m| *m == "PUT").count(), MANY, "each once");
    methods.split(|method| method == "GET").map(<[String]>::len).max().unwrap()
}

/// What is written rests on a read of that moment, however many wait: an editor's is not dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_lists_a_few_are_read_and_written_at_a_time() {
    const AT_ONCE: usize = 4;
    assert!(between_reads("pictures-many", "").await <= AT_ONCE);
    assert_eq!(between_reads("pictures-many-control", "places").await, MANY, "all after one read");
}

/// How often a picture is sent where Kilter dies after the shop took it, before that is written down.
async fn sent_around_a_kill(name: &str, without: &str) -> u64 {
    let rig = rigged(name, 3).await;
    put(&rig, &rig.de.url(), MUG, &[new("one")]).await;
    let id = product(&rig, &rig.us.url(), MUG).await["id"].clone();
    let mut command = rig.command(&["sync"]);
    command.env("KILTER_CRASH_AT", format!("1 after a call /products/{id}"));
    command.env("KILTER_UNSAFE_WITHOUT", without);
    let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(!out.status.success(), "it died");
    assert_eq!(names(&rig, &rig.us.url(), MUG).await, ["one"], "the shop took it");
    settled(&rig, without).await;
    assert_eq!(names(&rig, &rig.us.url(), MUG).await, ["one"]);
    puts(&rig).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_it_was_written_down_it_is_sent_once() {
    assert_eq!(sent_around_a_kill("pictures-killed", "").await, 1);
    assert_eq!(sent_around_a_kill("pictures-killed-control", "places").await, 2, "without notes");
}

/// A merchant's own copy of the shop's connector, in which no picture is waited for.
fn impatient(rig: &Rig) {
    let name = "woocommerce"; // tidy: names
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../connectors").join(name);
    let to = rig.folder.join("connectors").join(name);
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap().flatten().filter(|f| f.path().is_file()) {
        let text = std::fs::read_to_string(file.path()).unwrap();
        let text = text.replace("quiescence = \"2m\"", "quiescence = \"0s\"");
        std::fs::write(to.join(file.file_name()), text).unwrap();
    }
}

/// A shop may go on fetching after it gave up answering.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_nobody_answered_for_may_still_arrive_and_is_waited_for() {
    let nobody = json!({ "fail_next": 1, "status": 502, "writes_only": true });
    let rig = rigged("pictures-slow", 3).await;
    put(&rig, &rig.de.url(), MUG, &[new("one")]).await;
    rig.post(&format!("{}/_twin/faults", rig.us.url()), &nobody).await;
    for _ in 0..2 {
        rig.run(&["sync"]).await;
    }
    assert_eq!(puts(&rig).await, 1, "not yet again");
    let (_, told) = rig.run(&["status"]).await;
    assert!(told.contains("asks what came of what was sent"), "{told}");

    let rig = rigged("pictures-impatient", 3).await;
    impatient(&rig);
    put(&rig, &rig.de.url(), MUG, &[new("one")]).await;
    rig.post(&format!("{}/_twin/faults", rig.us.url()), &nobody).await;
    settled(&rig, "").await;
    assert_eq!(puts(&rig).await, 2, "without patience it is sent again at once");
    assert_eq!(names(&rig, &rig.us.url(), MUG).await, ["one"]);
}
