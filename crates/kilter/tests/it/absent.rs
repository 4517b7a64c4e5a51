//! What people delete in a shop, without a word: found by a whole listing, asked, not made again
//! unasked. Many at once may be another account: nothing is believed until a person says so.

use crate::support::{Rig, seed};
use serde_json::{Value, json};

/// Mugs (simple) and tees (variable, three variations each).
const MUGS: usize = 12;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

async fn shop(rig: &Rig, url: &str, method: reqwest::Method, path: &str) -> (u16, Value) {
    let url = format!("{url}/wp-json/wc/v3/{path}");
    let request = rig.http.request(method, url).basic_auth("ck_test", Some("cs_test"));
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

async fn ids(rig: &Rig, url: &str, sku: &str) -> Vec<(u64, u64)> {
    let (_, found) = shop(rig, url, reqwest::Method::GET, &format!("products?sku={sku}")).await;
    let id = |row: &Value, name: &str| row[name].as_u64().unwrap_or(0);
    found.as_array().unwrap().iter().map(|row| (id(row, "id"), id(row, "parent_id"))).collect()
}

async fn delete(rig: &Rig, url: &str, id: u64) {
    let path = format!("products/{id}?force=true");
    let (status, told) = shop(rig, url, reqwest::Method::DELETE, &path).await;
    assert_eq!(status, 200, "{told}");
}

async fn waits(rig: &Rig, args: &[&str]) -> (Vec<Value>, Value) {
    let (_, told) = rig.run(args).await;
    let line = told.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{told}"));
    let told: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {told}"));
    let deleted = |w: &&Value| w["reason"].as_str().unwrap().starts_with("someone deleted it");
    (told["waits"].as_array().unwrap().iter().filter(deleted).cloned().collect(), told)
}

async fn aligned(name: &str) -> Rig {
    let rig = Rig::start(name).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(MUGS, 10)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_asked_about_and_made_again_with_all_below_it() {
    let rig = aligned("absent").await;
    let de = rig.de.url();
    let (_, tee) = ids(&rig, &de, "TEE-000-M").await[0];
    let (mug, _) = ids(&rig, &de, "MUG-003").await[0];
    delete(&rig, &de, tee).await;
    delete(&rig, &de, mug).await;

    let (asked, told) = waits(&rig, &["backfill", "--json"]).await;
    let mut of: Vec<String> = asked.iter().map(|w| w["id"].as_str().unwrap().to_owned()).collect();
    of.sort();
    let mut wanted = vec![mug.to_string(), tee.to_string()];
    wanted.sort();
    assert_eq!(of, wanted, "each is asked once, its variations with it: {told}");
    assert_eq!(ids(&rig, &de, "MUG-003").await, [], "nothing is made again unasked");

    for wait in &asked {
        let object = wait["object"].to_string();
        let (code, told) =
            rig.run(&["decide", &object, "recreate", "--reason", "it was a mistake"]).await;
        assert_eq!(code, 0, "{told}");
    }
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    for sku in ["MUG-003", "TEE-000-S", "TEE-000-M", "TEE-000-L"] {
        assert_eq!(ids(&rig, &de, sku).await.len(), 1, "{sku} is there once: {told}");
    }
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_answers_instead_of_a_person() {
    let rig = aligned("absent-policy").await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let text = text
        .replace("[connection.de]\n", "[connection.de]\ngone = \"recreate\"\n")
        .replace("[connection.us]\n", "[connection.us]\ngone = { product = \"leave\" }\n");
    std::fs::write(rig.toml(), text).unwrap();
    let (de, us) = (rig.de.url(), rig.us.url());
    for url in [&de, &us] {
        let (_, tee) = ids(&rig, url, "TEE-001-M").await[0];
        delete(&rig, url, tee).await;
    }
    let (asked, told) = waits(&rig, &["backfill", "--json"]).await;
    assert_eq!(asked, Vec::<Value>::new(), "nobody is asked: {told}");
    assert_eq!(ids(&rig, &de, "TEE-001-M").await.len(), 1, "made again: {told}");
    assert_eq!(ids(&rig, &us, "TEE-001-M").await, [], "left away: {told}");
}

/// Who deletes it a fourth time means it: then a person is asked, whatever the policy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_again_and_again_is_not_made_again_for_ever() {
    let rig = aligned("absent-again").await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let text = text.replace("[connection.de]\n", "[connection.de]\ngone = \"recreate\"\n");
    std::fs::write(rig.toml(), text).unwrap();
    let de = rig.de.url();
    for time in 1..=4 {
        let [(mug, _)] = ids(&rig, &de, "MUG-003").await[..] else { panic!("time {time}") };
        delete(&rig, &de, mug).await;
        let (_, told) = waits(&rig, &["backfill", "--json"]).await;
        let there = ids(&rig, &de, "MUG-003").await.len();
        assert_eq!(there, usize::from(time <= 3), "time {time}: {told}");
        let asked =
            told["waits"].to_string().contains("deleted in de again, after 3 times created");
        assert_eq!(asked, time == 4, "time {time}: {told}");
    }
}

/// Nobody tells of a delete, and nobody is awake: the sweep that is due finds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweep_of_the_night_finds_what_nobody_told() {
    let rig = aligned("absent-night").await;
    let de = rig.de.url();
    // What was written just now is looked at once more.
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    let (mug, _) = ids(&rig, &de, "MUG-003").await[0];
    delete(&rig, &de, mug).await;
    let id = mug.to_string();
    let found = async || {
        let status = rig.status().await;
        let all = status["waits"].as_array().unwrap();
        all.iter().any(|w| w["id"] == id && w["reason"].to_string().contains("deleted"))
    };
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    assert!(
        !found().await,
        "what is polled since a date shows no delete: {told} {:#}",
        rig.status().await["waits"]
    );

    // The machine was off for two nights.
    let database = rusqlite::Connection::open(rig.database()).unwrap();
    let then = format!("{:.3}", jiff::Timestamp::now() - jiff::SignedDuration::from_hours(49));
    let late = "UPDATE meta SET value = ?1 WHERE key LIKE 'swept.de.%'";
    assert!(database.execute(late, [then]).unwrap() > 0);
    let _serving = rig.served().await;
    let started = std::time::Instant::now();
    while !found().await {
        assert!(started.elapsed() < PATIENCE, "{:#}", rig.status().await["waits"]);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(ids(&rig, &de, "MUG-003").await, [], "nothing is made again unasked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_lists_almost_nothing_any_more_is_not_believed() {
    let rig = aligned("absent-mass").await;
    let de = rig.de.url();
    for n in 0..8 {
        let (mug, _) = ids(&rig, &de, &format!("MUG-{n:03}")).await[0];
        delete(&rig, &de, mug).await;
    }
    let (asked, told) = waits(&rig, &["backfill", "--json"]).await;
    assert_eq!(asked, Vec::<Value>::new(), "none is taken for deleted: {told}");
    let reason = told["asked"][0].as_str().unwrap();
    assert!(reason.starts_with("8 of 12 simple are not listed any more in de"), "{reason}");

    let (asked, told) = waits(&rig, &["sync", "--approve", "--json"]).await;
    assert_eq!(asked.len(), 8, "now each is asked about: {told}");
    assert_eq!(told["asked"], json!([]));
}

/// Without the cap eight deletes are believed at once, and nobody was asked whether it is the right
/// account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_cap_a_shop_that_lists_almost_nothing_is_believed() {
    let rig = aligned("absent-control").await;
    let de = rig.de.url();
    for n in 0..8 {
        let (mug, _) = ids(&rig, &de, &format!("MUG-{n:03}")).await[0];
        delete(&rig, &de, mug).await;
    }
    let mut command = rig.command(&["backfill", "--json"]);
    command.env("KILTER_UNSAFE_WITHOUT", "absence_cap");
    let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&out.stdout).into_owned();
    let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(told["asked"], json!([]), "nobody is asked: {told}");
    let waits = told["waits"].as_array().unwrap().iter();
    let deleted = waits.filter(|w| w["reason"].as_str().unwrap().starts_with("someone deleted it"));
    assert_eq!(deleted.count(), 8, "all are taken for deleted: {told}");
}

/// Without the rule that a delete is asked about, what a person deleted stands there again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_asking_what_was_deleted_is_made_again() {
    let rig = aligned("absent-unasked").await;
    let de = rig.de.url();
    let (mug, _) = ids(&rig, &de, "MUG-003").await[0];
    delete(&rig, &de, mug).await;
    let mut command = rig.command(&["backfill", "--json"]);
    command.env("KILTER_UNSAFE_WITHOUT", "ask");
    let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&out.stdout);
    assert_eq!(ids(&rig, &de, "MUG-003").await.len(), 1, "made again unasked: {told}");
}
