//! Tokens: who may call, and until when.
//!
//! Reads   the client's id and secret, the token of a call.
//! Writes  the tokens it gave.
//! Never   says why a token is refused: the platform has one sentence for it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::clock::Moment;
use super::fail::{Answer, Fail};
use super::shop::Shop;
use super::store::Object;

/// The one sentence.
pub const REFUSED: &str =
    "[API] Invalid API key or access token (unrecognized login or wrong password)";

/// The scopes there are, for `scopes=all`.
pub const SCOPES: &[&str] = &[
    "read_products",
    "write_products",
    "read_inventory",
    "write_inventory",
    "read_locations",
    "read_orders",
    "write_orders",
    "read_all_orders",
    "read_customers",
    "write_customers",
    "read_files",
    "write_files",
    "read_publications",
    "write_publications",
    "read_merchant_managed_fulfillment_orders",
    "write_merchant_managed_fulfillment_orders",
    "read_assigned_fulfillment_orders",
    "write_assigned_fulfillment_orders",
    "read_third_party_fulfillment_orders",
    "write_third_party_fulfillment_orders",
];

#[derive(Debug, Clone)]
struct Refresh {
    until: Moment,
    /// The refresh token that this one was given for; it dies when this one is used.
    previous: Option<String>,
}

#[derive(Debug, Default)]
pub struct Tokens {
    given: BTreeMap<String, Moment>,
    refresh: BTreeMap<String, Refresh>,
    count: u64,
    static_revoked: bool,
}

impl Shop {
    pub fn scopes(&self) -> Vec<String> {
        if self.settings.scopes.iter().any(|scope| scope == "all") {
            return SCOPES.iter().map(|scope| (*scope).to_owned()).collect();
        }
        self.settings.scopes.clone()
    }

    /// A field of the root that needs a scope the app was not given.
    pub fn in_scope(&self, ty: &str, field: &str) -> Answer<()> {
        let needed = match (ty, scope_of(field)) {
            ("QueryRoot", Some(of)) => format!("read_{of}"),
            ("Mutation", Some(of)) => format!("write_{of}"),
            _ => return Ok(()),
        };
        let own = self.scopes();
        let writes = needed.replacen("read_", "write_", 1);
        if own.contains(&needed) || own.contains(&writes) {
            return Ok(());
        }
        let message =
            format!("Access denied for {field} field. Required access: `{needed}` access scope.");
        let access = format!("`{needed}` access scope.");
        Err(Fail::new("ACCESS_DENIED", message).with("requiredAccess", json!(access)))
    }

    pub fn known_token(&self, token: &str) -> bool {
        if token == self.settings.token {
            return !self.tokens.static_revoked;
        }
        self.tokens.given.get(token).is_some_and(|until| self.now() < *until)
    }

    fn new_access_token(&mut self, seconds: i64) -> String {
        self.tokens.count += 1;
        let token = format!("shpat_{}", self.token(&format!("access {}", self.tokens.count), 32));
        self.tokens.given.insert(token.clone(), self.now() + seconds * 1000);
        token
    }

    fn new_offline_pair(&mut self, previous: Option<String>) -> Value {
        let seconds = self.settings.token_seconds.min(3600);
        let access = self.new_access_token(seconds);
        let refresh =
            format!("shprt_{}", self.token(&format!("refresh {}", self.tokens.count), 32));
        let until = self.now() + self.settings.refresh_seconds * 1000;
        self.tokens.refresh.insert(refresh.clone(), Refresh { until, previous });
        json!({
            "access_token": access, "expires_in": seconds, "refresh_token": refresh,
            "refresh_token_expires_in": self.settings.refresh_seconds,
            "scope": self.scopes().join(","),
        })
    }

    /// `POST /admin/oauth/access_token`.
    pub fn grant(&mut self, body: &Object) -> (u16, Value) {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("");
        let known = text("client_id") == self.settings.client_id
            && text("client_secret") == self.settings.client_secret;
        if !known {
            return (401, json!({ "error": "invalid_client" }));
        }
        match text("grant_type") {
            "client_credentials" => {
                let seconds = self.settings.token_seconds;
                let token = self.new_access_token(seconds);
                let scope = self.scopes().join(",");
                (200, json!({ "access_token": token, "scope": scope, "expires_in": seconds }))
            }
            "refresh_token" => self.refresh(text("refresh_token")),
            _ => (400, json!({ "error": "unsupported_grant_type" })),
        }
    }

    fn refresh(&mut self, token: &str) -> (u16, Value) {
        let now = self.now();
        let Some(known) = self.tokens.refresh.get(token).filter(|r| now < r.until).cloned() else {
            return (400, json!({ "error": "invalid_grant" }));
        };
        if let Some(previous) = &known.previous {
            self.tokens.refresh.remove(previous);
        }
        if let Some(own) = self.tokens.refresh.get_mut(token) {
            own.previous = None;
        }
        (200, self.new_offline_pair(Some(token.to_owned())))
    }

    /// The back office: an expiring offline token, as an installation would have got.
    pub fn office_token(&mut self) -> Value {
        self.new_offline_pair(None)
    }

    /// Everything given so far is worth nothing; `static` takes the configured token too.
    pub fn revoke(&mut self, body: &Object) -> Value {
        let count = self.tokens.given.len();
        self.tokens.given.clear();
        if let Some(on) = body.get("static").and_then(Value::as_bool) {
            self.tokens.static_revoked = on;
        }
        if body.get("refresh") == Some(&json!(true)) {
            self.tokens.refresh.clear();
        }
        json!({ "revoked": count, "static_revoked": self.tokens.static_revoked })
    }
}

/// What a field of the root is about, as scopes are named.
fn scope_of(field: &str) -> Option<&'static str> {
    let lower = field.to_lowercase();
    let about = [
        ("fulfillment", None),
        ("product", Some("products")),
        ("collection", Some("products")),
        ("pricelist", Some("products")),
        ("inventory", Some("inventory")),
        ("order", Some("orders")),
        ("refund", Some("orders")),
        ("customer", Some("customers")),
        ("file", Some("files")),
    ];
    about.iter().find(|(word, _)| lower.starts_with(word)).and_then(|(_, scope)| *scope)
}

/// `form=encoded&pairs` or JSON.
pub fn read_body(kind: &str, bytes: &[u8]) -> Object {
    if kind.starts_with("application/json") {
        return serde_json::from_slice(bytes).unwrap_or_default();
    }
    url::form_urlencoded::parse(bytes)
        .map(|(name, value)| (name.into_owned(), json!(value)))
        .collect()
}
