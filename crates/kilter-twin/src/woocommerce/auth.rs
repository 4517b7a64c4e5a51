//! Who is calling: HTTP Basic, credentials in the query, OAuth 1.0a.
//!
//! Reads   the headers and the query of a call.
//! Writes  the nonces it has seen.
//! Never   answers 403 for a bad key: an unknown key is nobody.

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha1::Sha1;
use sha2::Sha256;

use super::api::{Answer, Fail, Req};
use super::shop::Shop;

const RFC3986: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn refused(message: &str) -> Fail {
    Fail::new(401, "woocommerce_rest_authentication_error", message)
}

impl Shop {
    /// `Ok(true)`: a user of the shop; `Ok(false)`: nobody.
    pub fn authenticate(&mut self, req: &Req, authorization: Option<&str>) -> Answer<bool> {
        let known = if req.query("oauth_consumer_key").is_some() {
            self.oauth(req)?
        } else if self.settings.tls_only {
            None
        } else {
            self.plain(req, authorization)?
        };
        let Some(key) = known else { return Ok(false) };
        let reads = matches!(req.method.as_str(), "GET" | "HEAD" | "OPTIONS");
        if key == self.settings.readonly_key && !reads {
            return Err(refused("The API key provided does not have write permissions."));
        }
        Ok(true)
    }

    fn secret(&self, key: &str) -> Option<String> {
        let s = &self.settings;
        let pairs = [(&s.consumer_key, &s.consumer_secret), (&s.readonly_key, &s.readonly_secret)];
        pairs.into_iter().find(|(known, _)| *known == key).map(|(_, secret)| secret.clone())
    }

    fn plain(&self, req: &Req, authorization: Option<&str>) -> Answer<Option<String>> {
        let by_query = req.query("consumer_key").zip(req.query("consumer_secret"));
        let pair = by_query.map(|(key, secret)| (key.to_owned(), secret.to_owned()));
        let Some((key, secret)) = pair.or_else(|| basic(authorization)) else { return Ok(None) };
        match self.secret(&key) {
            None => Ok(None),
            Some(known) if known == secret => Ok(Some(key)),
            Some(_) => Err(refused("Consumer secret is invalid.")),
        }
    }

    fn oauth(&mut self, req: &Req) -> Answer<Option<String>> {
        let need = |name: &str| req.query(name).unwrap_or("").to_owned();
        let names = ["oauth_timestamp", "oauth_nonce", "oauth_signature", "oauth_signature_method"];
        if let Some(missing) = names.iter().find(|name| need(name).is_empty()) {
            let message = format!("Missing OAuth parameter {missing}");
            let code = "woocommerce_rest_authentication_missing_parameter";
            return Err(Fail::new(401, code, &message));
        }
        let key = need("oauth_consumer_key");
        let Some(secret) = self.secret(&key) else {
            return Err(refused("Consumer key is invalid."));
        };
        let base = self.signature_base(req);
        if sign(&need("oauth_signature_method"), &secret, &base).as_deref()
            != Some(need("oauth_signature").as_str())
        {
            return Err(refused("Invalid signature - provided signature does not match."));
        }
        let now = self.now();
        let at: i64 = need("oauth_timestamp").parse().unwrap_or(0);
        if (now - at).abs() > 900 {
            return Err(refused("Invalid timestamp."));
        }
        self.nonces.retain(|_, seen| *seen >= now - 900);
        if self.nonces.insert(format!("{key} {}", need("oauth_nonce")), at).is_some() {
            return Err(refused("Invalid nonce - nonce has already been used."));
        }
        Ok(Some(key))
    }

    /// `METHOD&enc(url)&enc(sorted params)`.
    fn signature_base(&self, req: &Req) -> String {
        let enc = |text: &str| utf8_percent_encode(text, RFC3986).to_string();
        let mut pairs: Vec<String> = req
            .query
            .iter()
            .filter(|(name, _)| name != "oauth_signature")
            .map(|(name, value)| format!("{}={}", enc(name), enc(value)))
            .collect();
        pairs.sort();
        let url = format!("{}/wp-json{}", self.base, req.path);
        format!("{}&{}&{}", req.method, enc(&url), enc(&pairs.join("&")))
    }
}

pub fn sign(method: &str, secret: &str, base: &str) -> Option<String> {
    let key = format!("{secret}&");
    let bytes = match method {
        "HMAC-SHA1" => {
            let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).ok()?;
            mac.update(base.as_bytes());
            mac.finalize().into_bytes().to_vec()
        }
        "HMAC-SHA256" => {
            let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
            mac.update(base.as_bytes());
            mac.finalize().into_bytes().to_vec()
        }
        _ => return None,
    };
    Some(base64::engine::general_purpose::STANDARD.encode(bytes))
}

fn basic(authorization: Option<&str>) -> Option<(String, String)> {
    let encoded = authorization?.strip_prefix("Basic ")?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (key, secret) = text.split_once(':')?;
    Some((key.to_owned(), secret.to_owned()))
}

/// `a=1&b=%20` as pairs.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name), decode(value))
        })
        .collect()
}
