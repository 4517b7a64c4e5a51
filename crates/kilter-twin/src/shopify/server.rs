//! The HTTP side: from bytes to a call, from an answer to bytes.
//!
//! Reads   requests.
//! Writes  answers; counts calls.
//! Never   holds the shop's lock while it waits.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::calls::Call;
use super::faults::Strike;
use super::store::Object;
use super::{Shared, auth};

/// Most bytes of a request: a bulk mutation's file may have 100 MB.
const BODY_MAX: usize = 100 * 1024 * 1024;
/// The versions that are answered, oldest first; anything older falls forward to the first.
pub const VERSIONS: &[&str] = &["2026-01", "2026-04", "2026-07", "2026-10"];
pub const CANDIDATE: &str = "2027-01";

pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    pub kind: &'static str,
    pub headers: Vec<(&'static str, String)>,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        let kind = "application/json; charset=utf-8";
        Self { status, body: body.to_string().into_bytes(), kind, headers: vec![] }
    }

    fn not_found() -> Self {
        Self::json(404, &json!({ "errors": "Not Found" }))
    }
}

pub async fn serve(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    let app = axum::Router::new()
        .fallback(handle)
        .layer(axum::extract::DefaultBodyLimit::max(BODY_MAX))
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
        let (status, value) = shared.shop().office(method.as_str(), path, &body);
        return respond(Reply::json(status, &value));
    }
    let kind = text(&headers, header::CONTENT_TYPE.as_str());
    let path = uri.path();
    let reply = if path.starts_with("/_uploads") || path.starts_with("/_results") {
        shared.shop().file_call(method.as_str(), path, &kind, &bytes)
    } else if path.starts_with("/admin/oauth/") {
        oauth(&shared, method.as_str(), path, &headers, &bytes)
    } else if let Some(version) = version(path) {
        if method == Method::POST {
            admin(&shared, version, &headers, &bytes).await
        } else {
            Reply::not_found()
        }
    } else {
        Reply::not_found()
    };
    respond(reply)
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned()
}

/// The version of `/admin/api/{version}/graphql.json`, where it has the form of one.
fn version(path: &str) -> Option<&str> {
    let (version, rest) = path.strip_prefix("/admin/api/")?.split_once('/')?;
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let formed = version.split_once('-').is_some_and(|(year, month)| {
        year.len() == 4 && digits(year) && matches!(month, "01" | "04" | "07" | "10")
    });
    (rest == "graphql.json" && (formed || version == "unstable")).then_some(version)
}

/// The version that really answers: an expired one falls forward, one to come is not there.
fn answering(asked: &str) -> Option<&str> {
    if VERSIONS.contains(&asked) || asked == CANDIDATE || asked == "unstable" {
        return Some(asked);
    }
    VERSIONS.first().copied().filter(|oldest| asked < *oldest)
}

fn oauth(shared: &Shared, method: &str, path: &str, headers: &HeaderMap, bytes: &[u8]) -> Reply {
    let mut shop = shared.shop();
    let (status, body) = match (method, path) {
        ("POST", "/admin/oauth/access_token") => {
            shop.grant(&auth::read_body(&text(headers, "content-type"), bytes))
        }
        ("GET", "/admin/oauth/access_scopes.json") => {
            if !shop.known_token(&text(headers, "x-shopify-access-token")) {
                return Reply::json(401, &json!({ "errors": auth::REFUSED }));
            }
            let scopes = shop.scopes().into_iter().map(|handle| json!({ "handle": handle }));
            (200, json!({ "access_scopes": scopes.collect::<Vec<_>>() }))
        }
        _ => return Reply::not_found(),
    };
    let route = format!("{method} {path}");
    shop.calls.note(&Call { route, items: 1, status, ..Call::default() });
    Reply::json(status, &body)
}

async fn admin(shared: &Arc<Shared>, asked: &str, headers: &HeaderMap, bytes: &[u8]) -> Reply {
    let Some(version) = answering(asked) else { return Reply::not_found() };
    if !shared.shop().known_token(&text(headers, "x-shopify-access-token")) {
        let refusal = json!({ "errors": auth::REFUSED });
        note(shared, Call { route: "refused".to_owned(), status: 401, ..Call::default() });
        return Reply::json(401, &refusal);
    }
    let body = match text(headers, "content-type").as_str() {
        kind if kind.starts_with("application/graphql") => {
            let query = String::from_utf8_lossy(bytes).into_owned();
            Object::from_iter([("query".to_owned(), json!(query))])
        }
        _ => serde_json::from_slice::<Object>(bytes).unwrap_or_default(),
    };
    let query = body.get("query").and_then(Value::as_str).unwrap_or("");
    let write = query.trim_start().starts_with("mutation");
    let mut reply = if headers.contains_key(crate::edge::UNSEEN) {
        unseen(shared, &body)
    } else {
        let throttled = headers.contains_key(crate::edge::THROTTLE);
        let strike = match throttled {
            true => Strike::Throttled,
            false => shared.shop().faults.next(write),
        };
        let strike = match strike {
            Strike::None if shared.edge.schedule().chance("internal") => Strike::Internal,
            strike => strike,
        };
        struck(shared, strike, &body, write).await
    };
    reply.headers.push(("X-Shopify-API-Version", version.to_owned()));
    let id = shared.shop().next_tick();
    reply.headers.push(("X-Request-Id", shared.shop().uuid(&format!("request {id}"))));
    reply
}

async fn struck(shared: &Arc<Shared>, strike: Strike, body: &Object, write: bool) -> Reply {
    match strike {
        Strike::None => run(shared, body, false),
        Strike::Throttled => run(shared, body, true),
        Strike::Slow => {
            let ms = shared.edge.schedule().slow_ms();
            tokio::time::sleep(Duration::from_millis(ms)).await;
            run(shared, body, false)
        }
        Strike::Status { status, body: answer, done } => {
            if done {
                unseen(shared, body);
            }
            note(shared, Call { route: "fault".to_owned(), write, status, ..Call::default() });
            match answer {
                Value::Null => Reply::json(status, &json!({ "errors": "Internal Server Error" })),
                answer => Reply::json(status, &answer),
            }
        }
        Strike::Internal => {
            let id = shared.shop().uuid("internal");
            let message = "Internal error. Looks like something went wrong on our end.\n\
                           Request ID: ";
            note(shared, Call { route: "fault".to_owned(), write, status: 200, ..Call::default() });
            Reply::json(
                200,
                &json!({ "errors": [{
                    "message": format!("{message}{id}"),
                    "extensions": { "code": "INTERNAL_SERVER_ERROR", "requestId": id },
                }] }),
            )
        }
        Strike::Reset { done } => {
            if done {
                unseen(shared, body);
            }
            note(shared, Call { route: "fault".to_owned(), write, status: 0, ..Call::default() });
            // Ends this connection without an answer; no lock is held here.
            std::panic::resume_unwind(Box::new("the connection is reset"))
        }
    }
}

fn run(shared: &Shared, body: &Object, throttle: bool) -> Reply {
    let mut shop = shared.shop();
    shop.next_tick();
    shop.audit.by_client = true;
    let done = shop.graphql(body, throttle);
    shop.audit.by_client = false;
    shop.calls.note(&done.call);
    Reply::json(200, &done.body)
}

/// A call whose answer never reaches the client: it is told nothing by it.
fn unseen(shared: &Shared, body: &Object) -> Reply {
    let mut shop = shared.shop();
    let (read, orders) = (shop.audit.read.clone(), shop.audit.orders.clone());
    shop.next_tick();
    shop.audit.by_client = true;
    let done = shop.graphql(body, false);
    shop.audit.by_client = false;
    shop.audit.read = read;
    for (id, (_, told)) in orders {
        if let Some(own) = shop.audit.orders.get_mut(&id) {
            own.1 = told;
        }
    }
    shop.calls.note(&done.call);
    Reply::json(200, &done.body)
}

fn note(shared: &Shared, call: Call) {
    shared.shop().calls.note(&call);
}

fn respond(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.kind));
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    response
}
