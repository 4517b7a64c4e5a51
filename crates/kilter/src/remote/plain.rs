//! Plain requests beside connections: to a twin's back office, and to a door of our own.
//!
//! Reads   an answer's status and text.   Writes  nothing.
//! Never   carries a connection's credentials: for the conformance story alone.

use std::time::Duration;

/// Longest that a twin or a door on this machine may take.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("make a client")]
    Client(#[source] reqwest::Error),
    #[error("call {0}")]
    Sent(String, #[source] reqwest::Error),
}

pub async fn get(url: &str) -> Result<(u16, String), Error> {
    told(url, client()?.get(url)).await
}

pub async fn post(
    url: &str,
    headers: &[(String, String)],
    body: String,
) -> Result<(u16, String), Error> {
    let mut request = client()?.post(url).header("content-type", "application/json").body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    told(url, request).await
}

fn client() -> Result<reqwest::Client, Error> {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    builder.no_proxy().timeout(TIMEOUT).build().map_err(Error::Client)
}

async fn told(url: &str, request: reqwest::RequestBuilder) -> Result<(u16, String), Error> {
    let failed = |e| Error::Sent(url.to_owned(), e);
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().await.map_err(failed)?))
}
