//! What is kept, and for how long: a log that only grows fills the disk of whoever runs this.

use crate::support::{self, Rig};
use serde_json::json;

/// More than two batches of the log.
const OLD: usize = 2_500;

fn number(rig: &Rig, sql: &str) -> i64 {
    let database = rusqlite::Connection::open(rig.database()).unwrap();
    database.query_row(sql, [], |r| r.get(0)).unwrap()
}

fn change(rig: &Rig, sql: &str) {
    rusqlite::Connection::open(rig.database()).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_goes_and_what_is_needed_stays() {
    let rig = Rig::start("retain").await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &support::seed(3, 5)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    // A year ago there were deliveries and changes, one of which nobody could read.
    change(
        &rig,
        "UPDATE deliveries SET at = '2020-01-01T00:00:00.000Z' WHERE id <= (SELECT max(id) / 2 FROM deliveries);",
    );
    let long_ago = "INSERT INTO changes (connection, collection, remote, each, via, asked, at, end)
        SELECT 'de', 'orders', 'x', '', 'page', 0, '2020-01-01T00:00:00.000Z', 'merged' FROM
        (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT i FROM n);
        INSERT INTO bodies SELECT seq, '{}' FROM changes WHERE remote = 'x';
        UPDATE changes SET end = 'dead', reason = 'unreadable' WHERE seq = (SELECT max(seq) FROM changes);
        UPDATE changes SET at = '2020-01-01T00:00:00.000Z'";
    let young = number(&rig, "SELECT count(*) FROM deliveries WHERE at > '2021'");
    let old = number(&rig, "SELECT count(*) FROM deliveries WHERE at < '2021'");
    assert!(old > 0, "something was delivered");
    change(&rig, long_ago);
    assert!(number(&rig, "SELECT count(*) FROM changes WHERE at < '2021'") > OLD as i64);
    let sums = "SELECT sum(n) FROM sums WHERE kind = 'merged'";
    let (merged, last) =
        (number(&rig, sums), "SELECT seq FROM sqlite_sequence WHERE name = 'changes'");
    let place = number(&rig, last);

    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(number(&rig, "SELECT count(*) FROM deliveries"), young);
    let left = "SELECT count(*) FROM changes WHERE at < '2021'";
    assert_eq!(number(&rig, left), 1, "the dead one waits for a person");
    assert_eq!(number(&rig, &format!("{left} AND end = 'dead'")), 1);
    let bodies = "SELECT count(*) FROM bodies JOIN changes USING (seq)";
    assert_eq!(number(&rig, bodies), number(&rig, "SELECT count(*) FROM changes"));
    assert_eq!(number(&rig, bodies), number(&rig, "SELECT count(*) FROM bodies"));
    assert!(number(&rig, sums) >= merged, "what was received stays counted");
    assert!(number(&rig, last) >= place, "no place of the log is given twice");
    // Nothing that is true hung on it.
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "the plan is not empty:\n{told}");
    assert_eq!(rig.status().await["conserved"], json!(true));
}
