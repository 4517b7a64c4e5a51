//! What comes in by HTTP, and a config, when it is bad: each is told clearly, nothing is lost.
//!
//! The program runs as a child, as a merchant runs it; shops and ERP are twins in this process.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::relay::relay;
use crate::support::{self, Rig, Serving, Urls, until};
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

fn signature(body: &str) -> String {
    signature_of(body.as_bytes())
}

fn signature_of(body: &[u8]) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"hush-de").unwrap();
    mac.update(body);
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

/// Posts to a connection's address; 0: no answer.
async fn hook(rig: &Rig, connection: &str, topic: &str, body: &str, signed: &str) -> u16 {
    let url = format!("http://127.0.0.1:{}/hooks/{connection}", rig.port);
    let request = rig
        .http
        .post(url)
        .header("content-type", "application/json")
        .header("x-wc-webhook-topic", topic)
        .header("x-wc-webhook-signature", signed);
    let answer = request.body(body.to_owned()).send().await;
    answer.map_or(0, |a| a.status().as_u16())
}

pub async fn signed(rig: &Rig, topic: &str, body: &str) -> u16 {
    hook(rig, "de", topic, body, &signature(body)).await
}

/// The webhooks that were kept: body, how it ended, why.
fn kept(rig: &Rig) -> Vec<(String, String, String)> {
    let database = rusqlite::Connection::open(rig.database()).unwrap();
    let sql = "SELECT body, coalesce(end, ''), coalesce(reason, '') FROM changes \
               JOIN bodies USING (seq) WHERE via = 'hook' ORDER BY seq";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The log takes over what was kept beside it a moment later.
async fn kept_soon(rig: &Rig, n: usize) -> Vec<(String, String, String)> {
    let started = Instant::now();
    while kept(rig).len() < n && started.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    kept(rig)
}

/// The end of the webhook whose body holds a text, once it has one.
async fn end_of(rig: &Rig, text: &str) -> (String, String) {
    let started = Instant::now();
    loop {
        let found = kept(rig).into_iter().find(|(body, _, _)| body.contains(text));
        match found {
            Some((_, end, reason)) if !end.is_empty() => return (end, reason),
            other => assert!(started.elapsed() < Duration::from_secs(20), "{text}: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A rig whose catalogue is aligned already.
async fn aligned(name: &str) -> (Rig, Serving) {
    let rig = Rig::start(name).await;
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &support::seed(3, 50)).await;
    let (code, text) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{text}");
    let serving = rig.served().await;
    (rig, serving)
}

async fn shop(rig: &Rig) -> Value {
    rig.get(&format!("{}/_twin/state", rig.de.url())).await
}

fn product<'a>(shop: &'a Value, sku: &str) -> &'a Value {
    let products = shop["products"].as_array().unwrap().iter();
    products.chain(shop["variations"].as_array().unwrap()).find(|p| p["sku"] == sku).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_trusted_or_read_is_refused_and_not_kept() {
    let rig = Rig::start("refused").await;
    let mut serving = rig.served().await;
    let good = json!({ "id": 7, "type": "simple" }).to_string();
    let wrong = signature("something else");
    assert_eq!(hook(&rig, "de", "product.updated", &good, &wrong).await, 401);
    assert_eq!(hook(&rig, "de", "product.updated", &good, "").await, 401);
    assert_eq!(hook(&rig, "de", "product.updated", &good, "not base64 ¤").await, 401);
    // The secret of one connection does not open another.
    assert_eq!(hook(&rig, "us", "product.updated", &good, &signature(&good)).await, 401);
    assert_eq!(hook(&rig, "fr", "product.updated", &good, &signature(&good)).await, 404);
    assert_eq!(hook(&rig, "erp", "product.updated", &good, &signature(&good)).await, 401);
    let large = json!({ "id": 7, "name": "x".repeat(3 * 1024 * 1024) }).to_string();
    // The answer comes while the body is still being sent: a client may not hear it at once.
    let mut told = 0;
    for _ in 0..5 {
        told = if told == 0 { signed(&rig, "product.updated", &large).await } else { told };
    }
    assert_eq!(told, 413);
    for text in ["", "{", "{\"id\": 7}}", "\u{0}", "id=7", "{\"id\": 07}", "NaN"] {
        assert_eq!(signed(&rig, "product.updated", text).await, 400, "{text}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(signed(&rig, "product.updated", &deep).await, 400);
    let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert_eq!(signed(&rig, "product.updated", &deep).await, 400);
    let url = format!("http://127.0.0.1:{}/hooks/de", rig.port);
    // Signed, and no text at all.
    let bytes: &[u8] = b"{\"id\": 7, \"name\": \"\xff\xfe\"}";
    let request = rig.http.post(&url).header("content-type", "application/json");
    let request = request.header("x-wc-webhook-topic", "product.updated");
    let request = request.header("x-wc-webhook-signature", signature_of(bytes));
    assert_eq!(request.body(bytes.to_vec()).send().await.unwrap().status().as_u16(), 400);
    let form = rig.http.post(url).header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(form.body("webhook_id=1").send().await.unwrap().status().as_u16(), 200);
    assert_eq!(kept(&rig), []);
    assert!(serving.0.try_wait().unwrap().is_none(), "it still serves");
    assert_eq!(signed(&rig, "product.updated", &good).await, 202);
    assert_eq!(kept_soon(&rig, 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_values_in_a_signed_body_harm_nobody_else() {
    let (rig, _serving) = aligned("odd").await;
    let huge = r#"{"id": 9223372036854775808, "type": "simple", "name": "far", "sku": "FAR-1"}"#;
    assert_eq!(signed(&rig, "product.updated", huge).await, 202);
    let (end, reason) = end_of(&rig, "9223372036854775808").await;
    assert!(["merged", "filtered"].contains(&end.as_str()), "{end}: {reason}");
    for id in ["-1", "1.5", "1e400", "\"x\"", "null", "{}", "[]"] {
        let body = format!("{{\"id\": {id}, \"type\": \"simple\", \"sku\": \"ODD\"}}");
        assert_eq!(signed(&rig, "product.updated", &body).await, 202, "{body}");
    }
    let mut mug = product(&shop(&rig).await, "MUG-000").clone();
    mug["regular_price"] = json!("12,50 €");
    mug["date_modified_gmt"] = json!("2099-01-01T00:00:00");
    assert_eq!(signed(&rig, "product.updated", &mug.to_string()).await, 202);
    // The ERP owns prices: whatever the shop says, it is put right.
    let (end, reason) = end_of(&rig, "12,50 €").await;
    assert_eq!(end, "merged", "{reason}");
    // An order is the shop's own: what cannot be read of it is a dead letter.
    let order = json!({ "id": 4711, "number": "4711", "status": "processing", "currency": "EUR",
        "date_created_gmt": "2026-01-01T00:00:00", "date_modified_gmt": "2026-01-01T00:00:00",
        "billing": { "email": "ada@example.com" }, "total": "1.250,00 €", "line_items": [] });
    assert_eq!(signed(&rig, "order.created", &order.to_string()).await, 202);
    let (end, reason) = end_of(&rig, "1.250,00 €").await;
    assert_eq!(end, "dead", "{reason}");
    assert!(reason.contains("1.250,00 €") && reason.contains("order.total"), "{reason}");
    // The others, and the same product, go on.
    let prices = json!([{ "sku": "MUG-000", "list": "EUR", "price": "44.44" },
                        { "sku": "MUG-001", "list": "EUR", "price": "55.55" }]);
    rig.post(&format!("{}/_twin/prices", rig.erp.url()), &prices).await;
    let started = Instant::now();
    loop {
        let shop = shop(&rig).await;
        let shown = ["MUG-000", "MUG-001"].map(|sku| product(&shop, sku)["regular_price"].clone());
        if shown == ["44.44", "55.55"] {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{shown:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let status = rig.status().await;
    assert_eq!(status["conserved"], true, "{}", status["sums"]);
    assert_eq!(status["dead"].as_array().map(Vec::len), Some(1), "{}", status["dead"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_an_unknown_sku_is_held_by_its_lines_name() {
    let (rig, _serving) = aligned("unknown").await;
    let own = json!({ "products": [{ "name": "Gift wrapping", "type": "simple", "sku": "WRAP-1",
        "regular_price": "3.00", "stock_quantity": 5 }] });
    rig.post(&format!("{}/_twin/seed", rig.de.url()), &own).await;
    let buyer = json!({ "first_name": "Ada", "last_name": "L", "email": "ada@example.com",
        "address_1": "Weg 1", "city": "Berlin", "postcode": "10115", "country": "DE" });
    let order = |sku: &str| json!({ "lines": [{ "sku": sku, "quantity": 1 }], "billing": buyer });
    let url = format!("{}/_twin/orders", rig.de.url());
    rig.post(&url, &order("WRAP-1")).await;
    rig.post(&url, &order("MUG-001")).await;
    let started = Instant::now();
    loop {
        let erp = rig.get(&format!("{}/_twin/state?part=orders", rig.erp.url())).await;
        let status = rig.status().await;
        let waits = status["waits"].as_array().unwrap().clone();
        let held = waits.iter().find(|w| {
            let reason = w["reason"].as_str().unwrap_or_default();
            w["wait"] == "held" && reason.contains("Gift wrapping") && reason.contains("WRAP-1")
        });
        let there = erp["orders"].as_array().unwrap().len();
        if held.is_some() && there == 1 {
            break;
        }
        let late = started.elapsed() > Duration::from_secs(30);
        assert!(!late, "{there} orders in the ERP; {}", status["waits"]);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The file system says no beyond a size, also to root: SQLite's log cannot grow.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_written_is_a_503() {
    let rig = Rig::start("full").await;
    drop(rig.served().await);
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg("trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\"");
    command.arg(env!("CARGO_BIN_EXE_kilter")).arg("--config").arg(rig.toml()).arg("serve");
    let log = std::fs::File::create(rig.folder.join("serve.log")).unwrap();
    command.current_dir(&rig.folder).stdout(Stdio::null()).stderr(log);
    let mut serving = Serving(command.spawn().unwrap());
    rig.healthy(&mut serving).await;
    let mut taken = 0;
    let mut refused = 0;
    for n in 0..12 {
        let body = json!({ "id": n, "type": "odd", "name": "x".repeat(1_500_000) }).to_string();
        match signed(&rig, "product.updated", &body).await {
            202 => taken += 1,
            503 => refused += 1,
            other => panic!("{other} for the webhook {n}"),
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    assert!(serving.0.try_wait().unwrap().is_none(), "it still serves");
    serving.kill();
    let _serving = rig.served().await;
    assert_eq!(kept(&rig).len(), taken, "what was acknowledged is there, nothing else is");
    let body = json!({ "id": 99, "type": "odd" }).to_string();
    assert_eq!(signed(&rig, "product.updated", &body).await, 202, "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_durable() {
    let rig = Rig::start("durable").await;
    let mut acknowledged = BTreeSet::new();
    for round in 0..5 {
        let mut serving = rig.served().await;
        let mut posts = tokio::task::JoinSet::new();
        for n in 0..40 {
            let url = format!("http://127.0.0.1:{}/hooks/de", rig.port);
            let name = format!("round {round} number {n}.");
            let body = json!({ "id": n, "type": "odd", "name": name }).to_string();
            let request = rig.http.post(url).header("x-wc-webhook-topic", "product.updated");
            let request = request.header("x-wc-webhook-signature", signature(&body)).body(body);
            posts.spawn(
                async move { (name, request.send().await.map_or(0, |a| a.status().as_u16())) },
            );
        }
        // Killed right after the seventh yes, while others are on their way.
        let mut yes = 0;
        while let Some(done) = posts.join_next().await {
            let (name, status) = done.unwrap();
            assert!([0, 202].contains(&status), "{name} {status}");
            if status == 202 {
                acknowledged.insert(name);
                yes += 1;
            }
            if yes == 7 {
                serving.kill();
                yes += 1;
            }
        }
    }
    // What the last one left beside the database is taken over by whoever opens it next.
    drop(rig.served().await);
    let kept = kept(&rig);
    let lost: Vec<&String> =
        acknowledged.iter().filter(|name| !kept.iter().any(|k| k.0.contains(*name))).collect();
    println!("{} acknowledged, {} kept", acknowledged.len(), kept.len());
    assert!(acknowledged.len() >= 35, "{}", acknowledged.len());
    assert!(lost.is_empty(), "lost: {lost:?}");
}

const TEN_MISTAKES: &str = r#"
locations = ["main"]
[kilter]
store = 7
listn = "127.0.0.1:1"
[price_list.eur]
currency = "EUR"
taxx = "included"
[connection.shop]
connector = "no-such-connector"
[connection.erp]
connector = "odoo"
url = "http://127.0.0.1:1"
api_key = "${KILTER_TEST_NOT_SET}"
database = "erp"
lookup.taxes = { "19" = "1", "20" = "1" }
every.orders = "soon"
[own.product]
"*" = "nobody-known"
titel = "erp"
[own.prise]
"*" = "erp"
[own.stock]
"*" = 7
"#;

#[tokio::test(flavor = "multi_thread")]
async fn ten_mistakes_in_a_config_are_ten_lines() {
    let rig = Rig::start("mistakes").await;
    std::fs::write(rig.toml(), TEN_MISTAKES).unwrap();
    let (code, text) = rig.run(&["check"]).await;
    assert_eq!(code, 1, "{text}");
    let file = rig.toml().display().to_string();
    let line = |l: &str| l.strip_prefix(&file)?.strip_prefix(':')?.split_once(':')?.0.parse().ok();
    let lines: Vec<usize> = text.lines().filter_map(line).collect();
    let mistaken: BTreeSet<usize> = lines.iter().copied().collect();
    for (n, written) in TEN_MISTAKES.lines().enumerate() {
        let wrong = [
            "= 7",
            "listn",
            "taxx",
            "[connection.shop]",
            "NOT_SET",
            "lookup",
            "soon",
            "nobody-known",
            "titel",
            "own.prise",
        ];
        if wrong.iter().any(|w| written.contains(w)) {
            // A table's mistake may be told at its first line.
            let told = mistaken.contains(&(n + 1)) || mistaken.contains(&(n + 2));
            assert!(told, "line {} is not told: {written}\n{text}", n + 1);
        }
    }
    assert!(lines.len() >= 10, "{text}");
    for command in ["plan", "sync", "serve", "status"] {
        let (code, text) = rig.run(&[command]).await;
        assert_eq!(code, 1, "{command}: {text}");
        assert!(text.contains(&file), "{command}: {text}");
    }
}

/// By name: the priority of each thread of a process, as Linux tells it.
#[cfg(target_os = "linux")]
fn niceness(process: u32) -> std::collections::BTreeMap<String, BTreeSet<i64>> {
    let mut out = std::collections::BTreeMap::<String, BTreeSet<i64>>::new();
    for thread in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        // A thread may be gone by now.
        let Ok(stat) = std::fs::read_to_string(thread.unwrap().path().join("stat")) else {
            continue;
        };
        let (start, rest) = stat.rsplit_once(')').unwrap();
        let name = start.split_once('(').unwrap().1.to_owned();
        // The 19th field; `rest` begins with the third.
        let nice = rest.split_whitespace().nth(16).unwrap().parse().unwrap();
        out.entry(name).or_default().insert(nice);
    }
    out
}

/// Behind merges and plans a shop's burst of webhooks came in as slowly as those let it.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn who_answers_goes_before_who_works() {
    use rustix::process::{getpriority_process, setpriority_process};
    // What it has already changes nothing; where the system forbids the call, it forbids it to all.
    let may = getpriority_process(None).and_then(|own| setpriority_process(None, own));
    if let Err(error) = may {
        eprintln!("SKIPPED: this system lets nobody set a priority: {error}");
        return;
    }
    let (rig, serving) = aligned("priority").await;
    let product = json!({ "id": 7, "type": "simple" }).to_string();
    assert_eq!(signed(&rig, "product.updated", &product).await, 202);
    end_of(&rig, &product).await;
    let found = niceness(serving.0.id());
    let given = *found["kilter"].first().unwrap();
    for (name, behind) in [("answers", 0), ("webhooks", 0), ("tokio-rt-worker", 5)] {
        assert_eq!(found[name], BTreeSet::from([(given + behind).min(19)]), "{name}: {found:?}");
    }
}

/// A deploy in the middle of a burst: whoever was in the middle of saying something got a reset, had to say it
/// again, and by then we may have been late for the last unit.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_being_heard_when_it_stops_is_answered() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rig = Rig::start("goodbye").await;
    let mut serving = rig.served().await;
    let body = json!({ "id": 7, "type": "simple" }).to_string();
    let head = format!(
        "POST /hooks/de HTTP/1.1\r\nhost: kilter\r\ncontent-type: application/json\r\n\
         x-wc-webhook-topic: product.updated\r\nx-wc-webhook-signature: {}\r\n\
         content-length: {}\r\n\r\n",
        signature(&body),
        body.len()
    );
    let address = format!("127.0.0.1:{}", rig.port);
    let idle = tokio::net::TcpStream::connect(&address).await.unwrap();
    let mut half = tokio::net::TcpStream::connect(&address).await.unwrap();
    half.write_all(format!("{head}{}", &body[..5]).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stopping = tokio::task::spawn_blocking(move || serving.stop());
    let started = Instant::now();
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        assert!(started.elapsed() < Duration::from_secs(2), "it takes nobody new once it stops");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    half.write_all(&body.as_bytes()[5..]).await.unwrap();
    let mut answer = String::new();
    half.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer:?}");
    stopping.await.unwrap();
    drop(idle);
    // What was kept beside the log is there for who begins next.
    let _serving = rig.served().await;
    assert_eq!(kept_soon(&rig, 1).await.first().map(|(kept, _, _)| kept), Some(&body));
}

/// A shop's plugin answered a read with rows that do not say of what they are. Each product that had been
/// asked for was missing in the answer, and was taken for deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_does_not_say_of_what_is_no_absence() {
    let rig = Rig::start("nameless").await;
    let (between, url) = relay(rig.de.url()).await;
    rig.config(&Urls { erp: rig.erp.url(), de: url, us: rig.us.url() });
    rig.post(&format!("{}/_twin/seed", rig.erp.url()), &support::seed(2, 10)).await;
    let (code, text) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{text}");
    let _serving = rig.served().await;
    let id = product(&shop(&rig).await, "MUG-000")["id"].clone();
    let asked = format!("include={id}");
    let looks = || between.seen.lock().unwrap().iter().filter(|path| path.contains(&asked)).count();
    let deleted = |status: &Value| {
        let waits = status["waits"].as_array().unwrap().clone();
        waits.iter().any(|w| w["reason"].as_str().unwrap_or("").starts_with("someone deleted it"))
    };
    // It says of a product that is there that it was deleted: nobody believes that unseen.
    *between.reworded.lock().unwrap() = Some(("\"id\":".into(), "\"number\":".into()));
    let body = json!({ "id": id }).to_string();
    assert_eq!(signed(&rig, "product.deleted", &body).await, 202);
    until("it is looked at again", Duration::from_secs(30), async || {
        let status = rig.status().await;
        assert!(!deleted(&status), "{}", status["waits"]);
        if looks() > 1 { Ok(()) } else { Err(json!(looks())) }
    })
    .await;
    *between.reworded.lock().unwrap() = None;
    let before = looks();
    until("it is read", Duration::from_secs(30), async || {
        if looks() > before { Ok(()) } else { Err(json!(looks())) }
    })
    .await;
    let prices = json!([{ "sku": "MUG-000", "list": "EUR", "price": "44.44" }]);
    rig.post(&format!("{}/_twin/prices", rig.erp.url()), &prices).await;
    until("it goes on", Duration::from_secs(30), async || {
        let shown = product(&shop(&rig).await, "MUG-000")["regular_price"].clone();
        if shown == "44.44" { Ok(()) } else { Err(shown) }
    })
    .await;
    assert!(!deleted(&rig.status().await));
}
