//! The way to a twin: its back office, and the ERP's API where a clerk would use a screen.
//!
//! Reads   the twin's answers.
//! Writes  what a person there would.
//! Never   uses the shops' API: every call counted there is Kilter's.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::Error;

#[derive(Debug, Clone)]
pub struct Office {
    http: reqwest::Client,
    pub url: String,
}

impl Office {
    pub fn new(http: &reqwest::Client, url: String) -> Self {
        Self { http: http.clone(), url }
    }

    pub async fn get(&self, page: &str) -> Result<Value, Error> {
        let url = format!("{}/_twin/{page}", self.url);
        let answer = self.http.get(&url).send().await;
        done(&url, read(&url, answer).await?)
    }

    pub async fn post(&self, page: &str, body: &Value) -> Result<Value, Error> {
        let answer = self.try_post(page, body).await?;
        done(&format!("{}/_twin/{page}", self.url), answer)
    }

    /// The status is the caller's affair.
    pub async fn try_post(&self, page: &str, body: &Value) -> Result<(u16, Value), Error> {
        let url = format!("{}/_twin/{page}", self.url);
        let request = self.http.post(&url).header("content-type", "application/json");
        read(&url, request.body(body.to_string()).send().await).await
    }

    /// `model/method` of the ERP.
    pub async fn call(&self, key: &str, path: &str, body: &Value) -> Result<Value, Error> {
        let url = format!("{}/json/2/{path}", self.url);
        let request = self.http.post(&url).header("authorization", format!("bearer {key}"));
        let request = request.header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await;
        done(&url, read(&url, answer).await?)
    }

    /// The id of the one record of that name.
    pub async fn id(&self, key: &str, model: &str, field: &str, name: &str) -> Result<i64, Error> {
        let body = json!({ "domain": [[field, "=", name]], "fields": [field], "limit": 1 });
        let found = self.call(key, &format!("{model}/search_read"), &body).await?;
        let id = found[0]["id"].as_i64();
        id.ok_or_else(|| Error::Unread(format!("{model}: there is no \"{name}\"")))
    }
}

async fn read(
    url: &str,
    answer: Result<reqwest::Response, reqwest::Error>,
) -> Result<(u16, Value), Error> {
    let lost = |error| Error::Lost(url.to_owned(), error);
    let answer = answer.map_err(lost)?;
    let status = answer.status().as_u16();
    let text = answer.text().await.map_err(lost)?;
    let json = serde_json::from_str(&text);
    Ok((status, json.map_err(|error| Error::Unread(format!("{url}: {error}")))?))
}

fn done(url: &str, (status, body): (u16, Value)) -> Result<Value, Error> {
    if (200..300).contains(&status) {
        return Ok(body);
    }
    Err(Error::Refused { url: url.to_owned(), status, body: body.to_string() })
}

/// The items of a list; nothing where there is none.
pub fn items(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map_or([].iter(), |list| list.iter())
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// A number, or text that holds one.
pub fn decimal(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    text.parse().ok().or_else(|| Decimal::from_scientific(&text).ok()).map(|d| d.normalize())
}

pub fn units(value: &Value) -> i64 {
    decimal(value).and_then(|amount| i64::try_from(amount).ok()).unwrap_or(0)
}
