//! Signatures of webhooks, against vectors that other hands made (vectors/hmac.toml): the right one
//! is taken, and nothing that is nearly right.
//!
//! `kilter serve` runs as a child, with a connector of the test's own and a connection a vector.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{self, Serving};
use base64::Engine as _;

struct Vector {
    secret: String,
    body: String,
    signature: String,
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("vectors/hmac.toml");
    let table: toml::Table = text.parse().unwrap();
    let word = |v: &toml::Value, key: &str| v[key].as_str().unwrap().to_owned();
    let all = table["vector"].as_array().unwrap().iter();
    all.map(|v| Vector {
        secret: word(v, "secret"),
        body: word(v, "body"),
        signature: word(v, "signature"),
    })
    .collect()
}

const CONNECTOR: &str = r#"
connector = "signed"
title     = "Signed"
base      = "$url"
[settings]
url    = { help = "address" }
secret = { help = "signs webhooks", secret = true }
[webhook]
signature = { kind = "hmac_sha256_base64", header = "x-signature", secret = "$secret" }
routes    = [ { collection = "things", id = "id | id", body = "hint" } ]
"#;

const THINGS: &str = r#"
resource = "things"
root     = "product"
id       = "id | id"
[facet.product.rows]
code = { read = "id | id(text)" }
"#;

/// A folder with the connector and a config; the secrets come from the environment.
fn folder(port: u16, vectors: &[Vector]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("kilter-signatures-{}", std::process::id()));
    let own = folder.join("connectors/signed");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("connector.toml"), CONNECTOR).unwrap();
    std::fs::write(own.join("things.toml"), THINGS).unwrap();
    let mut config = format!("[kilter]\nlisten = \"127.0.0.1:{port}\"\n");
    for n in 0..vectors.len() {
        config += &format!(
            "[connection.v{n}]\nconnector = \"signed\"\nurl = \"http://127.0.0.1:9\"\n\
             secret = \"${{VECTOR_{n}}}\"\n"
        );
    }
    config += "[own.product]\n\"*\" = \"v0\"\n";
    std::fs::write(folder.join("kilter.toml"), config).unwrap();
    folder
}

fn serve(folder: &Path, vectors: &[Vector]) -> Serving {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kilter"));
    command.args(["--config", "kilter.toml", "serve"]).current_dir(folder);
    for (n, vector) in vectors.iter().enumerate() {
        command.env(format!("VECTOR_{n}"), &vector.secret);
    }
    Serving(command.stdout(Stdio::null()).spawn().unwrap())
}

/// Signatures that are nearly the right one.
fn near(vector: &Vector) -> Vec<String> {
    let right = &vector.signature;
    let bytes = base64::engine::general_purpose::STANDARD.decode(right).unwrap();
    let mut flipped = bytes.clone();
    flipped[31] ^= 1;
    let coded = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    vec![
        coded(&flipped),
        coded(&bytes[..31]),
        hex,
        format!("sha256={right}"),
        right.trim_end_matches('=').to_owned(),
        String::new(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vectors_are_taken_and_what_is_near_them_is_not() {
    let (vectors, port) = (vectors(), support::free_port());
    assert!(vectors.len() >= 3);
    let folder = folder(port, &vectors);
    let mut serving = serve(&folder, &vectors);
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let started = Instant::now();
    while http.get(format!("http://127.0.0.1:{port}/health")).send().await.is_err() {
        assert!(serving.0.try_wait().unwrap().is_none(), "serve ended");
        assert!(started.elapsed() < Duration::from_secs(30), "serve does not answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let post = async |connection: usize, body: &str, signature: &str| {
        let url = format!("http://127.0.0.1:{port}/hooks/v{connection}");
        let request = http.post(url).header("x-signature", signature).body(body.to_owned());
        request.send().await.unwrap().status().as_u16()
    };
    for (n, vector) in vectors.iter().enumerate() {
        let (body, right) = (&vector.body, &vector.signature);
        assert_eq!(post(n, body, right).await, 202, "{body}");
        for wrong in near(vector) {
            assert_eq!(post(n, body, &wrong).await, 401, "{wrong} for {right}");
        }
        let other = (n + 1) % vectors.len();
        assert_eq!(post(other, body, right).await, 401, "another's secret");
        assert_eq!(post(n, &format!("{body}\n"), right).await, 401, "a byte more");
        assert_eq!(post(n, &body.replacen(':', ": ", 1), right).await, 401, "written anew");
    }
    serving.kill();
    std::fs::remove_dir_all(&folder).unwrap();
}
