//! From a response to an answer or a fault. The one place that turns statuses into faults.
//!
//! Reads   status, headers, body – bounded.   Writes  nothing.
//! Never   takes a body that it cannot read for success.

use kilter_core::Json;
use kilter_core::manifest::Connector;
use kilter_core::mapping::Env;
use kilter_core::model::{Fault, FaultKind};

use super::Answer;

/// What came, whole, before anybody judged it.
#[derive(Debug)]
pub struct Received {
    status: u16,
    retry_after: Option<u32>,
    headers: reqwest::header::HeaderMap,
    /// Null where nothing came, and where it cannot be read.
    body: Json,
    unreadable: Option<String>,
    bytes: usize,
    /// How it begins, where it cannot be read.
    began: String,
}

/// Names under which remotes tell what they call a request.
const REQUEST_NAMES: [&str; 3] = ["x-request-id", "request-id", "x-correlation-id"];

/// Most of an answer that cannot be read that is kept to be shown.
const BEGAN_BYTES: usize = 2048;

impl Received {
    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn bytes(&self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(u64::MAX)
    }

    /// What the remote calls this exchange.
    pub fn request(&self) -> Option<&str> {
        REQUEST_NAMES.into_iter().find_map(|name| self.headers.get(name)?.to_str().ok())
    }

    pub fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }

    /// The version that answered, where it is another than the connector was written for.
    pub fn other_version(&self, connector: &Connector) -> Option<String> {
        let expect = connector.expect.as_ref()?;
        let told = self.headers.get(&expect.header)?.to_str().unwrap_or("?");
        (told != expect.value).then(|| {
            let told: String = told.chars().filter(|c| !c.is_control()).take(40).collect();
            format!("answered by version {told}, written for {}", expect.value)
        })
    }

    pub fn body(&self) -> &Json {
        &self.body
    }

    pub fn into_body(self) -> Json {
        self.body
    }
}

pub async fn receive(mut response: reqwest::Response, bytes_max: usize) -> Result<Received, Fault> {
    let status = response.status().as_u16();
    let retry_after =
        response.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(retry_seconds);
    let headers = response.headers().clone();
    let too_long = || cut(status, &format!("the answer is longer than {bytes_max} bytes"));
    let told = response.content_length().map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
    if told > bytes_max {
        return Err(too_long());
    }
    let mut bytes = Vec::with_capacity(told);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > bytes_max => return Err(too_long()),
            Ok(Some(chunk)) => add(&mut bytes, &chunk, bytes_max),
            Ok(None) => break,
            Err(error) => return Err(cut(status, &format!("the answer broke off: {error}"))),
        }
    }
    let (body, unreadable) = match serde_json::from_slice::<Json>(&bytes) {
        Ok(body) => (body, None),
        Err(_) if bytes.is_empty() => (Json::Null, None),
        Err(error) => (Json::Null, Some(format!("the answer is not JSON: {error}"))),
    };
    let shown = bytes.get(..BEGAN_BYTES).unwrap_or(&bytes);
    let began = unreadable.as_ref().map(|_| String::from_utf8_lossy(shown).into_owned());
    let (bytes, began) = (bytes.len(), began.unwrap_or_default());
    Ok(Received { status, retry_after, headers, body, unreadable, bytes, began })
}

/// So many times as much room, where it does not suffice.
const GROWS: usize = 4;

/// In few moves, since each leaves what it took before to be given back; room that nothing is written to
/// takes no memory. For no more than may come.
fn add(bytes: &mut Vec<u8>, chunk: &[u8], bytes_max: usize) {
    let needed = bytes.len() + chunk.len();
    if needed > bytes.capacity() {
        let room = needed.saturating_mul(GROWS).min(bytes_max);
        bytes.reserve_exact(room.saturating_sub(bytes.len()));
    }
    bytes.extend_from_slice(chunk);
}

/// Err: the fault, and how the answer that holds it begins.
pub fn judge(
    received: Received,
    connector: &Connector,
    env: &Env<'_>,
) -> Result<Answer, (Fault, String)> {
    let Received { status, retry_after, headers, body, unreadable, began, .. } = received;
    if let (200..300, Some(text)) = (status, &unreadable) {
        return Err((cut(status, text), began));
    }
    // A page of HTML, from a proxy or a machine in maintenance: only the status speaks.
    let fault = match status {
        200..300 => connector.errors.hidden(status, &body, env),
        _ => Some(connector.errors.classify(status, &body, env)),
    };
    match fault {
        None => Ok(Answer { body, headers }),
        Some(fault) if body.is_null() => Err((Fault { retry_after, ..fault }, began)),
        Some(fault) => Err((Fault { retry_after, ..fault }, body.to_string())),
    }
}

/// After a 2xx nobody knows what was done if the answer cannot be read; after an error status
/// the status still speaks.
fn cut(status: u16, text: &str) -> Fault {
    let kind = match status {
        429 => FaultKind::Throttled,
        400..=499 => FaultKind::Rejected,
        _ => FaultKind::Unknown,
    };
    Fault::new(kind, "", text)
}

/// Seconds, whole or not, or an HTTP date; never more than an hour.
fn retry_seconds(text: &str) -> Option<u32> {
    let text = text.trim();
    let seconds = match text.split('.').next()?.parse::<u64>() {
        Ok(whole) => whole + u64::from(text.contains('.')),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            u64::try_from(at.as_second() - jiff::Timestamp::now().as_second()).unwrap_or(0)
        }
    };
    u32::try_from(seconds.min(RETRY_AFTER_SECONDS_MAX)).ok()
}

/// A remote that asks for more is asked again after this.
const RETRY_AFTER_SECONDS_MAX: u64 = 3600;

#[cfg(test)]
mod tests {
    use super::retry_seconds;

    #[test]
    fn retry_after_is_read_in_every_form() {
        assert_eq!(retry_seconds("120"), Some(120));
        assert_eq!(retry_seconds("4.0"), Some(5));
        assert_eq!(retry_seconds("999999999"), Some(3600));
        assert_eq!(retry_seconds("Wed, 21 Oct 2015 07:28:00 GMT"), Some(0));
        assert_eq!(retry_seconds("soon"), None);
    }
}
