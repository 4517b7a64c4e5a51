//! Where the named faults strike calls: between the network and a twin's own server.
//!
//! Reads   the schedule; requests and answers of the platform's API.
//! Writes  what a client sees instead of the answer; some requests, as a system that normalises.
//! Never   touches the back office, and holds no lock while it waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::faults::{Schedule, Strike};

/// On a request of which the client will never see the answer.
pub const UNSEEN: &str = "x-twin-unseen";
/// On a request that the twin itself shall refuse for haste.
pub const THROTTLE: &str = "x-twin-throttle";

const BODY_MAX: usize = 256 * 1024 * 1024;
/// How old an answer may be that is given once more, and how many are kept.
const STALE: Duration = Duration::from_secs(5);
const STALE_MAX: usize = 256;

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head><body>\
                    <h1>Checking your browser</h1></body></html>\n";

/// What a system that normalises does to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    Trim,
    Lower,
    Round,
    StripHtml,
}

/// The platform's own words.
#[derive(Debug, Clone, Copy)]
pub struct Face {
    /// The body of an error of that status.
    pub error: fn(u16) -> Value,
    /// The body of an error that comes with a 200.
    pub in_200: fn() -> Value,
    /// Whether the twin refuses for haste itself, every third time.
    pub throttles: bool,
    /// Key of a request's body → what is done to its value.
    pub habits: &'static [(&'static str, Habit)],
}

#[derive(Debug)]
pub struct Edge {
    face: Face,
    schedule: Mutex<Schedule>,
    answers: Mutex<HashMap<String, (Instant, StatusCode, Bytes)>>,
}

impl Edge {
    pub fn new(face: Face, schedule: Schedule) -> Arc<Self> {
        let (schedule, answers) = (Mutex::new(schedule), Mutex::new(HashMap::new()));
        Arc::new(Self { face, schedule, answers })
    }

    pub fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, status: u16) -> Response {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        json_answer(status, (self.face.error)(status.as_u16()).to_string().into())
    }

    /// A recent answer to the same question.
    fn earlier(&self, question: &str) -> Option<Response> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, status, body) = answers.get(question)?;
        (at.elapsed() < STALE).then(|| json_answer(*status, body.clone()))
    }

    fn keep(&self, question: String, status: StatusCode, body: Bytes) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= STALE_MAX {
            answers.clear();
        }
        answers.insert(question, (Instant::now(), status, body));
    }
}

fn json_answer(status: StatusCode, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}

/// Ends the connection without an answer: unwinding drops it, and says nothing on stderr.
fn hang_up() -> ! {
    std::panic::resume_unwind(Box::new("the twin closed the connection"))
}

/// The layer of a twin's router.
pub async fn pass(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/_twin/") {
        return next.run(request).await;
    }
    let (strike, normalising, keeps) = {
        let mut schedule = edge.schedule();
        (schedule.call(), schedule.has("normalising"), schedule.has("stale"))
    };
    if matches!(strike, Strike::None) && !normalising && !keeps {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let Ok(mut bytes) = to_bytes(body, BODY_MAX).await else { hang_up() };
    if normalising && let Some(changed) = normal(edge.face.habits, &bytes) {
        bytes = changed;
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    let question = keeps.then(|| question(&parts, &bytes));
    let mut request = Request::from_parts(parts, Body::from(bytes));
    match strike {
        Strike::Stale => {
            if let Some(answer) = question.as_ref().and_then(|question| edge.earlier(question)) {
                return answer;
            }
        }
        Strike::Throttled { number, .. } if edge.face.throttles && number.is_multiple_of(3) => {
            request.headers_mut().insert(THROTTLE, HeaderValue::from_static("1"));
        }
        Strike::None => {}
        strike => return struck(&edge, strike, request, next).await,
    }
    let answer = next.run(request).await;
    match question {
        Some(question) => remember(&edge, question, answer).await,
        None => answer,
    }
}

async fn struck(edge: &Edge, strike: Strike, mut request: Request, next: Next) -> Response {
    let mut unseen = || {
        request.headers_mut().insert(UNSEEN, HeaderValue::from_static("1"));
    };
    match strike {
        Strike::Gone | Strike::Reset { done: false } => hang_up(),
        Strike::Reset { done: true } => {
            unseen();
            next.run(request).await;
            hang_up()
        }
        Strike::Status { status, done } => {
            if done {
                unseen();
                next.run(request).await;
            }
            edge.answer(status)
        }
        Strike::Throttled { after, .. } => {
            let mut answer = edge.answer(429);
            if let Some(after) = after.and_then(|after| HeaderValue::try_from(after).ok()) {
                answer.headers_mut().insert(header::RETRY_AFTER, after);
            }
            answer
        }
        Strike::Late(wait) => {
            unseen();
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                next.run(request).await;
            });
            edge.answer(504)
        }
        Strike::Slow(wait) => {
            tokio::time::sleep(wait).await;
            next.run(request).await
        }
        Strike::Truncated => {
            unseen();
            halved(next.run(request).await).await
        }
        Strike::Html => {
            unseen();
            next.run(request).await;
            (StatusCode::OK, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], HTML)
                .into_response()
        }
        Strike::ErrorIn200 => json_answer(StatusCode::OK, (edge.face.in_200)().to_string().into()),
        Strike::Expired => edge.answer(401),
        Strike::None | Strike::Stale => next.run(request).await,
    }
}

/// The first half of the body, as if it were all.
async fn halved(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, BODY_MAX).await else { hang_up() };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.status = StatusCode::OK;
    Response::from_parts(parts, Body::from(bytes.slice(..bytes.len() / 2)))
}

async fn remember(edge: &Edge, question: String, answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, BODY_MAX).await else { hang_up() };
    if parts.status == StatusCode::OK && !question.is_empty() {
        edge.keep(question, parts.status, bytes.clone());
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// What is asked, without what signs it; "" for what is no search.
fn question(parts: &axum::http::request::Parts, body: &[u8]) -> String {
    let path = parts.uri.path();
    let get = parts.method == axum::http::Method::GET;
    if !get && !path.contains("search") {
        return String::new();
    }
    let query = parts.uri.query().unwrap_or("").split('&');
    let asked: Vec<&str> = query.filter(|pair| !pair.starts_with("oauth_")).collect();
    format!("{path}?{} {}", asked.join("&"), String::from_utf8_lossy(body))
}

/// The body with its texts as a system keeps them that normalises; `None`: nothing changes.
fn normal(habits: &[(&str, Habit)], bytes: &[u8]) -> Option<Bytes> {
    let mut body: Value = serde_json::from_slice(bytes).ok()?;
    let mut changed = false;
    rewrite(habits, None, &mut body, &mut changed);
    changed.then(|| body.to_string().into())
}

fn rewrite(habits: &[(&str, Habit)], habit: Option<Habit>, value: &mut Value, changed: &mut bool) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                let own = habits.iter().find(|(key, _)| key == name).map(|(_, habit)| *habit);
                rewrite(habits, own, inner, changed);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|v| rewrite(habits, habit, v, changed)),
        Value::String(text) => {
            if let Some(kept) = habit.map(|habit| kept(habit, text))
                && kept != *text
            {
                (*text, *changed) = (kept, true);
            }
        }
        Value::Number(number) if habit == Some(Habit::Round) => {
            let rounded = kept(Habit::Round, &number.to_string());
            if let Ok(new) = serde_json::from_str::<serde_json::Number>(&rounded)
                && new != *number
            {
                (*value, *changed) = (json!(new), true);
            }
        }
        _ => {}
    }
}

fn kept(habit: Habit, text: &str) -> String {
    match habit {
        Habit::Trim => text.trim().to_owned(),
        Habit::Lower => text.trim().to_lowercase(),
        Habit::Round => match text.trim().parse::<Decimal>() {
            Ok(number) if number.scale() > 2 => number.round_dp(2).to_string(),
            _ => text.to_owned(),
        },
        Habit::StripHtml => {
            let mut inside = false;
            let outside = |c: &char| {
                inside = if *c == '<' { true } else { inside };
                let keep = !inside;
                inside = if *c == '>' { false } else { inside };
                keep
            };
            text.chars().filter(outside).collect()
        }
    }
}
