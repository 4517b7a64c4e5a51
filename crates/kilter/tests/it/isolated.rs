//! A mistake of ours stays where it is: a panic in one connection's loop, bodies that are far too large,
//! a disk that is full. Others go on, it is told, and nothing that was acknowledged is lost.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Rig, Serving, Urls, seed, until};
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(60);
const MUGS: usize = 4;

async fn aligned(name: &str) -> Rig {
    let rig = Rig::start(name).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(MUGS, 10)).await;
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
    rig
}

async fn served(rig: &Rig, env: &[(&str, &str)]) -> Serving {
    let mut log = std::fs::File::options();
    let log = log.create(true).append(true).open(rig.folder.join("serve.log")).unwrap();
    let mut command = rig.command(&["serve"]);
    command.envs(env.iter().copied());
    let mut serving =
        Serving(command.stdout(std::process::Stdio::null()).stderr(log).spawn().unwrap());
    rig.healthy(&mut serving).await;
    serving
}

/// The price that a shop shows.
async fn price(rig: &Rig, url: &str, sku: &str) -> String {
    let state = rig.get(&format!("{url}/_twin/state")).await;
    let all = state["products"].as_array().unwrap();
    let one = all.iter().find(|p| p["sku"] == sku).unwrap();
    one["regular_price"].as_str().unwrap().to_owned()
}

async fn reprice(rig: &Rig, sku: &str, list: &str, price: &str) {
    let edit = json!([{ "sku": sku, "list": list, "price": price }]);
    rig.post(&format!("{}/_twin/prices", rig.erp.url()), &edit).await;
}

async fn shows(rig: &Rig, url: &str, sku: &str, wanted: &str) {
    until(&format!("{sku} costs {wanted}"), PATIENCE, async || {
        let shown = price(rig, url, sku).await;
        if shown == wanted { Ok(()) } else { Err(Value::from(shown)) }
    })
    .await;
}

/// Is there a fault of this connection that says so?
async fn told(rig: &Rig, connection: &str, what: &str) -> Value {
    until(&format!("{what} is told"), PATIENCE, async || {
        let status = rig.status().await;
        let faults = status["faults"].as_array().unwrap();
        let found = faults.iter().find(|f| f[0] == connection && f.to_string().contains(what));
        found.cloned().ok_or_else(|| status["faults"].clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_one_loop_is_told_and_ends_nothing() {
    let rig = aligned("isolated-panic").await;
    // First while the ERP is polled, then while a price is delivered to a shop.
    for (n, at) in ["1 before a call /product.template", "1 before a call /products/batch"]
        .into_iter()
        .enumerate()
    {
        let mut serving = served(&rig, &[("KILTER_PANIC_AT", at)]).await;
        let (eur, usd) = (format!("4{n}.00"), format!("5{n}.00"));
        reprice(&rig, "MUG-000", "EUR", &eur).await;
        reprice(&rig, "MUG-001", "USD", &usd).await;
        shows(&rig, &rig.de.url(), "MUG-000", &eur).await;
        shows(&rig, &rig.us.url(), "MUG-001", &usd).await;
        assert!(serving.0.try_wait().unwrap().is_none(), "it serves still: {at}");
        let log = std::fs::read_to_string(rig.folder.join("serve.log")).unwrap();
        assert!(log.contains("panic"), "nobody panicked at {at}:\n{log}");
        serving.kill();
    }
    let fault = told(&rig, "erp", "a mistake of ours: a panic: as the test asked").await;
    assert_eq!(fault[1], "reading", "{fault}");
    let (code, text) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "{text}");
}

const HUGE: usize = 40 << 20;
const PIECE: usize = 1 << 20;
/// What two answers that are cut at their bound take, with what is needed anyway.
const MEMORY_KB_MAX: u64 = 200 << 10;

/// The most memory that it ever had, in KB.
fn peak_kb(serving: &Serving) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serving.0.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A shop whose every answer is 40 MiB long: every second one says so, the others just go on.
async fn huge_shop() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for says in [false, true].into_iter().cycle() {
            let (mut stream, _) = listener.accept().await.unwrap();
            let length = if says { format!("content-length: {HUGE}\r\n") } else { String::new() };
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{length}\r\n[");
                let begun = stream.read(&mut asked).await.is_ok()
                    && stream.write_all(head.as_bytes()).await.is_ok();
                let piece = vec![b' '; PIECE];
                // Who had enough closes the connection.
                while begun && stream.write_all(&piece).await.is_ok() {}
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_far_too_long_is_told_and_takes_no_memory() {
    let rig = aligned("isolated-answer").await;
    let urls = |us: String| Urls { erp: rig.erp.url(), de: rig.de.url(), us };
    rig.config(&urls(huge_shop().await));
    let mut serving = served(&rig, &[]).await;
    reprice(&rig, "MUG-000", "EUR", "41.00").await;
    reprice(&rig, "MUG-001", "USD", "51.00").await;
    shows(&rig, &rig.de.url(), "MUG-000", "41.00").await;
    told(&rig, "us", "the answer is longer than 33554432 bytes").await;
    let peak = peak_kb(&serving);
    println!("40 MiB answers: at most {} MiB of memory", peak >> 10);
    assert!(peak < MEMORY_KB_MAX, "{peak} KB");
    serving.kill();
    rig.config(&urls(rig.us.url()));
    let mut serving = served(&rig, &[]).await;
    shows(&rig, &rig.us.url(), "MUG-001", "51.00").await;
    serving.kill();
}

/// Sends a webhook of 40 MiB in pieces; its answer's first line.
async fn huge_webhook(rig: &Rig, length: &str) -> String {
    let stream = TcpStream::connect(("127.0.0.1", rig.port)).await.unwrap();
    let (mut answer, mut body) = stream.into_split();
    let head = format!(
        "POST /hooks/de HTTP/1.1\r\nhost: kilter\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
    );
    body.write_all(head.as_bytes()).await.unwrap();
    let chunked = length.contains("chunked");
    let writing = tokio::spawn(async move {
        let piece = vec![b' '; PIECE];
        for _ in 0..HUGE / PIECE {
            let around = if chunked { format!("{PIECE:x}\r\n") } else { String::new() };
            let sent = body.write_all(around.as_bytes()).await.is_ok()
                && body.write_all(&piece).await.is_ok()
                && (!chunked || body.write_all(b"\r\n").await.is_ok());
            if !sent {
                break;
            }
        }
        body
    });
    let mut first = [0; 64];
    let read = tokio::time::timeout(PATIENCE, answer.read(&mut first)).await.unwrap().unwrap();
    writing.abort();
    String::from_utf8_lossy(&first[..read]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_is_far_too_long_is_refused_and_takes_no_memory() {
    let rig = aligned("isolated-hook").await;
    let mut serving = served(&rig, &[]).await;
    let before = peak_kb(&serving);
    for length in [format!("content-length: {HUGE}"), "transfer-encoding: chunked".to_owned()] {
        let answer = huge_webhook(&rig, &length).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{length}: {answer}");
    }
    let peak = peak_kb(&serving);
    println!("40 MiB webhooks: from {} to {} MiB of memory", before >> 10, peak >> 10);
    assert!(peak < before + (16 << 10), "from {before} to {peak} KB");
    let (status, _) = webhook(&rig, 900_000).await;
    assert_eq!(status, 202, "what comes next is taken");
    serving.kill();
}

/// A webhook of de that tells of a product nobody knows: status, and its id as a text.
async fn webhook(rig: &Rig, id: u64) -> (u16, String) {
    let body = json!({ "id": id, "type": "simple", "status": "publish", "sku": format!("X-{id}"),
        "name": "x".repeat(FILLED), "date_modified_gmt": "2026-01-01T00:00:00" })
    .to_string();
    let mac = Hmac::<sha2::Sha256>::new_from_slice(b"hush-de").unwrap();
    let signature = mac.chain_update(body.as_bytes()).finalize().into_bytes();
    let signature = base64::engine::general_purpose::STANDARD.encode(signature);
    let request = rig.http.post(format!("http://127.0.0.1:{}/hooks/de", rig.port));
    let request = request.header("x-wc-webhook-signature", signature);
    let request = request.header("x-wc-webhook-topic", "product.updated");
    let answer = request.header("content-type", "application/json").body(body).send().await;
    (answer.unwrap().status().as_u16(), id.to_string())
}

/// A webhook is as long, and a file may grow by as much: both fill a disk soon.
const FILLED: usize = 100_000;
const ROOM_KB: u64 = 600;
const WEBHOOKS_MAX: u64 = 200;
const REFUSED: usize = 10;

/// A disk, and what is left of it beside what fills it. Of a webhook there are up to three copies for a
/// while (beside the log, in its newest pages, in the database), and all of them find room afterwards.
const DISK: &str = "size=40m";
const LEFT: u64 = 3 << 20;

/// May grow no file over so many KB, until it is told otherwise: to a program that is a full disk.
fn confined(rig: &Rig, kb: u64) -> Serving {
    let mut log = std::fs::File::options();
    let log = log.create(true).append(true).open(rig.folder.join("serve.log")).unwrap();
    let kilter = rig.command(&["serve"]);
    let mut command = Command::new("bash");
    command.args(["-c", "trap '' XFSZ; ulimit -S -f \"$1\"; shift; exec \"$@\"", "confined"]);
    command.arg(kb.to_string()).arg(kilter.get_program()).args(kilter.get_args());
    command.current_dir(&rig.folder).stdout(std::process::Stdio::null()).stderr(log);
    Serving(command.spawn().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_acknowledges_nothing_and_loses_nothing() {
    if !Command::new("prlimit").arg("--version").output().is_ok_and(|out| out.status.success()) {
        println!("SKIPPED: there is no prlimit here (util-linux), so no disk can be filled");
        return;
    }
    let rig = aligned("isolated-disk").await;
    let long = |name: &str| std::fs::metadata(rig.folder.join(name)).map_or(0, |m| m.len() >> 10);
    let longest = long("kilter.sqlite").max(long("kilter.sqlite-wal"));
    let mut serving = confined(&rig, longest + ROOM_KB);
    rig.healthy(&mut serving).await;
    let mut kept = filled(&rig).await;
    reprice(&rig, "MUG-000", "EUR", "41.00").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(serving.0.try_wait().unwrap().is_none(), "it serves still");
    let pid = serving.0.id().to_string();
    let more = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
    assert!(more.success());
    kept.push(taken_again(&rig, kept.len()).await);
    shows(&rig, &rig.de.url(), "MUG-000", "41.00").await;
    serving.kill();
    nothing_lost(&rig, &rig.database(), &kept).await;
}

/// Sends webhooks until ten were refused. Returns those that were acknowledged.
async fn filled(rig: &Rig) -> Vec<String> {
    let (mut kept, mut refused) = (Vec::new(), 0);
    for id in 900_000..900_000 + WEBHOOKS_MAX {
        match webhook(rig, id).await {
            (202, id) => kept.push(id),
            (503, _) => refused += 1,
            other => panic!("{other:?}"),
        }
        if refused == REFUSED {
            break;
        }
    }
    assert_eq!(refused, REFUSED, "the disk was not full after {} webhooks", kept.len());
    kept
}

/// There is room again: the next webhook is taken.
async fn taken_again(rig: &Rig, kept: usize) -> String {
    let began = Instant::now();
    let again = until("webhooks are taken again", PATIENCE, async || {
        let (status, id) = webhook(rig, 999_999).await;
        if status == 202 { Ok(id) } else { Err(json!(status)) }
    })
    .await;
    println!("{kept} kept before; taken again after {:?}", began.elapsed());
    again
}

/// All that was acknowledged is in the log, once `serve` is dead.
async fn nothing_lost(rig: &Rig, database: &Path, kept: &[String]) {
    // Who opens it next takes over what waits beside the log.
    let (code, told) = rig.run(&["sync"]).await;
    assert_ne!(code, 101, "{told}");
    let database = rusqlite::Connection::open(database).unwrap();
    for id in kept {
        let sql = "SELECT count(*) FROM changes WHERE via = 'hook' AND remote = ?1";
        let times: i64 = database.query_row(sql, [id], |row| row.get(0)).unwrap();
        assert!(times > 0, "the webhook of {id} was acknowledged, and is not there");
    }
    let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    drop(database);
    assert_eq!(rig.status().await["conserved"], true);
}

/// A file system of its own, in memory; it goes with it.
struct Disk(PathBuf);

impl Disk {
    /// None: it may not be mounted here.
    fn mount(at: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(&at);
        mount.output().is_ok_and(|out| out.status.success()).then(|| Self(at))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while a dying child holds a file of it.
        if !Command::new("umount").arg("-l").arg(&self.0).status().is_ok_and(|s| s.success()) {
            println!("{} is still mounted", self.0.display());
        }
    }
}

/// Until a little is left.
fn fill(ballast: &Path) {
    let mut file = std::fs::File::create(ballast).unwrap();
    while std::io::Write::write_all(&mut file, &[7; 1 << 16]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.checked_sub(LEFT).unwrap()).unwrap();
}

/// All files share what is left: the database, its log, the webhooks beside it, what others wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_system_without_room_acknowledges_nothing_loses_nothing_and_says_so() {
    let rig = Rig::start("isolated-full").await;
    let Some(disk) = Disk::mount(rig.folder.join("disk")) else {
        println!(
            "SKIPPED: no file system may be mounted here (it takes root), so none can be full"
        );
        return;
    };
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    let text = text.replace("store = \"kilter.sqlite\"", "store = \"disk/kilter.sqlite\"");
    std::fs::write(rig.toml(), text).unwrap();
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(MUGS, 10)).await;
    let (code, told_then) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told_then}");
    assert_eq!(rig.status().await["disk"], Value::Null, "there is room");
    let mut serving = served(&rig, &[]).await;
    let ballast = disk.0.join("ballast");
    fill(&ballast);
    let mut kept = filled(&rig).await;
    reprice(&rig, "MUG-000", "EUR", "41.00").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(serving.0.try_wait().unwrap().is_none(), "it serves still");
    let said = rig.status().await["disk"].clone();
    assert!(said.as_str().is_some_and(|s| s.contains("is full")), "{said}");

    std::fs::remove_file(&ballast).unwrap();
    kept.push(taken_again(&rig, kept.len()).await);
    shows(&rig, &rig.de.url(), "MUG-000", "41.00").await;
    let fault = told(&rig, "de", "webhooks were refused").await;
    assert_eq!(fault[1], "webhooks", "{fault}");
    assert_eq!(rig.status().await["disk"], Value::Null, "there is room again");
    serving.kill();
    nothing_lost(&rig, &disk.0.join("kilter.sqlite"), &kept).await;
}

async fn shown(rig: &Rig, url: &str) -> usize {
    let state = rig.get(&format!("{url}/_twin/state")).await;
    state["products"].as_array().map_or(0, Vec::len)
}

/// `sync` waited ten minutes for what was due at a shop that it had paused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_ends_though_a_shop_was_not_reached_at_first_contact() {
    let rig = Rig::start("unreached").await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &seed(MUGS, 10)).await;
    let fault = json!({ "fail_next": 1, "status": 502, "apply": "before" });
    rig.post(&format!("{}/_twin/faults", rig.de.url()), &fault).await;
    let sync = tokio::time::timeout(Duration::from_secs(60), rig.run(&["sync"])).await;
    let (_, text) = sync.expect("sync ends by itself");
    assert!(shown(&rig, &rig.us.url()).await >= MUGS, "the other shop has them: {text}");
    // The next one reaches it, and everything goes there.
    let (code, text) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(shown(&rig, &rig.de.url()).await >= MUGS, "{text}");
}
