//! The HTTP side: from bytes to a call, from an answer to bytes.
//!
//! Reads   requests.
//! Writes  answers; counts calls; pings webhooks before it answers their creation.
//! Never   holds the shop's lock while it waits.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::api::{Body, Object, Reply, Req};
use super::faults::Apply;
use super::{Shared, auth, calls, deliver, text};

pub async fn serve(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    let app = axum::Router::new()
        .fallback(handle)
        .layer(axum::extract::DefaultBodyLimit::max(64 * 1024 * 1024))
        .layer(axum::middleware::from_fn_with_state(shared.edge.clone(), crate::edge::pass))
        .with_state(shared);
    // The guard goes when the twin is dropped; then open connections are closed too.
    let (guard, gone) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
        let _ = gone.await;
    });
    let _ = serving.await;
    drop(guard);
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    if let Some(path) = uri.path().strip_prefix("/_twin/") {
        let body = serde_json::from_slice::<Object>(&bytes).unwrap_or_default();
        let reply = shared.shop().office(method.as_str(), path, &body);
        return respond(reply, true);
    }
    let (req, broken) = parse(&method, &uri, &headers, &bytes);
    let authorization = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let reply = match headers.contains_key(crate::edge::UNSEEN) {
        true => shared.shop().call_unseen(&req, authorization),
        false => api(&shared, &req, authorization.map(str::to_owned), broken).await,
    };
    for id in &reply.pings {
        let url =
            shared.shop().webhooks.get(id).filter(|w| w.status == "active").map(|w| w.url.clone());
        if let Some(url) = url {
            deliver::ping(&shared, *id, &url).await;
        }
    }
    note(&shared, &req, &reply);
    respond(reply, false)
}

/// One API call, with the faults that are switched on.
async fn api(shared: &Arc<Shared>, req: &Req, auth: Option<String>, broken: bool) -> Reply {
    let fault = {
        let mut shop = shared.shop();
        if let Some(reply) = shop.faults.maintenance() {
            return reply;
        }
        shop.faults.next(&req.method)
    };
    let Some((reply, apply)) = fault else {
        return shared.shop().call(req, auth.as_deref(), broken);
    };
    match apply {
        Apply::None => {}
        Apply::Before => drop(shared.shop().call_unseen(req, auth.as_deref())),
        Apply::After => {
            let (shared, req) = (shared.clone(), req.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                drop(shared.shop().call_unseen(&req, auth.as_deref()));
            });
        }
    }
    reply
}

fn note(shared: &Shared, req: &Req, reply: &Reply) {
    let batch = ["create", "update", "delete"];
    let sent: usize = if req.path.ends_with("/batch") {
        batch
            .iter()
            .filter_map(|n| req.body.get(*n))
            .filter_map(Value::as_array)
            .map(Vec::len)
            .sum()
    } else {
        match &reply.body {
            Body::Json(Value::Array(items)) => items.len(),
            _ => 1,
        }
    };
    let template = calls::template(&req.path);
    let items = u64::try_from(sent).unwrap_or(0);
    shared.shop().calls.note(&req.method, &template, items, reply.status);
}

/// The call, and whether its body claimed to be JSON and was not.
fn parse(method: &Method, uri: &Uri, headers: &HeaderMap, bytes: &[u8]) -> (Req, bool) {
    let mut query = auth::pairs(uri.query().unwrap_or(""));
    let mut path = uri.path().strip_prefix("/wp-json").unwrap_or("/-").to_owned();
    if uri.path() == "/"
        && let Some(at) = query.iter().position(|(name, _)| name == "rest_route")
    {
        path = query.remove(at).1;
    }
    let path = path.trim_end_matches('/').to_owned();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let mut body = Object::new();
    let mut broken = false;
    if kind.starts_with("application/json") && !bytes.is_empty() {
        match serde_json::from_slice::<Value>(bytes) {
            Ok(Value::Object(map)) => body = map,
            Ok(_) => {}
            Err(_) => broken = true,
        }
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        let pairs = auth::pairs(&String::from_utf8_lossy(bytes));
        body = pairs.into_iter().map(|(name, value)| (name, json!(value))).collect();
    }
    (Req { method: method.as_str().to_owned(), path, query, body }, broken)
}

fn respond(reply: Reply, office: bool) -> Response {
    let (kind, text) = match reply.body {
        Body::Html(html) => ("text/html; charset=UTF-8", html),
        Body::Json(value) if office => ("application/json; charset=UTF-8", value.to_string()),
        Body::Json(value) => ("application/json; charset=UTF-8", text::php_json(&value)),
    };
    let mut response = Response::new(axum::body::Body::from(text));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert("X-Powered-By", HeaderValue::from_static("twin"));
    headers.insert("X-Robots-Tag", HeaderValue::from_static("noindex"));
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    response
}
