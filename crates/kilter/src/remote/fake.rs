//! A remote of a few lines, for the tests of this folder: one answer for each request.
//!
//! Reads   requests, whole.   Writes  what the test says.   Never  keeps a connection open.

use std::sync::Arc;

use kilter_core::config::{Config, Secret, read_config};
use kilter_core::manifest::{Connector, read_connector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Status, further headers (each with its line's end), body.
pub type Reply = (u16, String, String);

/// Serves until the test ends. The address it returns is a base.
pub async fn serve(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("the test's remote");
    let address = listener.local_addr().expect("the test's remote");
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("the test's remote");
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let request = whole(&mut stream).await;
                let (status, headers, body) = answer(&request);
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
                );
                // A client that has gone is its own matter.
                let _ = stream.write_all(text.as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

async fn whole(stream: &mut tokio::net::TcpStream) -> String {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    loop {
        let n = stream.read(&mut bytes).await.unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&bytes[..n]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length = length.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
        if n == 0 || body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}

/// A connector and a connection `x` to it. All settings are secrets.
pub fn house(connector: &str, settings: &[(&str, &str)]) -> (Config, Connector) {
    let mut problems = Vec::new();
    let head = "connector = \"x\"\ntitle = \"X\"\nbase = \"$url\"\n";
    let files = [("connector.toml".to_owned(), format!("{head}{connector}"))];
    let connector = read_connector(&files, &mut problems).expect("the test's remote");
    let text = "[connection.x]\nconnector = \"x\"\n";
    let mut config = read_config("kilter.toml", text, &|_| None, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    let connection = config.connections.get_mut("x").expect("the test's remote");
    for (name, value) in settings {
        connection.secrets.insert((*name).to_owned(), Secret::new((*value).to_owned()));
    }
    (config, connector)
}
