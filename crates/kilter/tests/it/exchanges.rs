//! Every exchange is told: what left, what came back; nothing of it is a secret, and it is bounded.

use crate::support::{Rig, seed};
use serde_json::{Value, json};

async fn told(rig: &Rig, args: &[&str]) -> Vec<Value> {
    let mut all = vec!["exchanges", "--json", "--limit", "100000"];
    all.extend(args);
    let (code, text) = rig.run(&all).await;
    assert_eq!(code, 0, "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many requests a twin says that it was sent.
async fn answered(url: &str, rig: &Rig) -> usize {
    let calls = rig.get(&format!("{url}/_twin/calls")).await;
    let total = calls["total"].as_u64().unwrap_or_else(|| panic!("{calls:#}"));
    usize::try_from(total).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_is_told_once_and_no_secret_is() {
    let rig = Rig::start("exchanges").await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(3, 5)).await;
    let (code, text) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{text}");
    // One call fails.
    let fault = json!({ "fail_next": 1, "status": 502, "apply": "before" });
    rig.post(&format!("{}/_twin/faults", rig.de.url()), &fault).await;
    let (code, text) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{text}");

    for (name, url) in [("de", rig.de.url()), ("us", rig.us.url()), ("erp", rig.erp.url())] {
        let of = told(&rig, &["--connection", name]).await;
        assert_eq!(of.len(), answered(&url, &rig).await, "{name}: one row a call");
        assert!(of.iter().all(|e| e["connection"] == name));
        assert!(of.iter().all(|e| e["bytes_in"].as_u64().is_some() && e["path"] != ""));
        assert!(of.iter().any(|e| e["resource"] != ""), "{name} names resources");
    }
    let failed = told(&rig, &["--failed"]).await;
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!((&failed[0]["status"], &failed[0]["connection"]), (&json!(502), &json!("de")));
    assert_ne!(failed[0]["failure"], "");

    let database = rusqlite::Connection::open(rig.database()).unwrap();
    let mut all = database.prepare("SELECT * FROM exchanges").unwrap();
    let width = all.column_count();
    let mut rows = all.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let text: String = (0..width).map(|n| format!("{:?}|", row.get_ref(n).unwrap())).collect();
        let text = text.to_lowercase();
        for secret in ["cs_test", "ck_test", "test-key", "hush", "authorization", "basic "] {
            assert!(!text.contains(secret), "{secret} stands in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_kept_for_some_days_and_no_more_than_so_many() {
    let rig = Rig::start("exchanges-kept").await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(2, 5)).await;
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    std::fs::write(rig.toml(), format!("{text}\n[limits]\nexchanges_max = 1500\n")).unwrap();
    let (code, text) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{text}");
    // Two batches of old ones, and two beyond what is kept.
    let fill = "INSERT INTO exchanges (at, connection, resource, method, path, status, ms, bytes_out,
            bytes_in, request, failure)
        SELECT AT, 'de', '', 'GET', '/x', 200, 1, 0, 0, '', '' FROM
        (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT i FROM n)";
    let database = rusqlite::Connection::open(rig.database()).unwrap();
    database.execute_batch("DELETE FROM exchanges").unwrap();
    for at in ["'2020-01-01T00:00:00.000Z'", "'2999-01-01T00:00:00.000Z'"] {
        database.execute_batch(&fill.replace("AT,", &format!("{at},"))).unwrap();
    }
    let (code, text) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{text}");
    let count = |sql: &str| database.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM exchanges WHERE at < '2021'"), 0, "old ones went");
    let written = count("SELECT count(*) FROM exchanges WHERE at > '2021' AND at < '2998'");
    let kept = count("SELECT count(*) FROM exchanges WHERE at > '2998'");
    assert!(written > 0, "what this sync did is told");
    // What was written after the last look at how many there are comes on top.
    assert!((1500 - written..=1500).contains(&kept), "{kept} kept, {written} written");
}
