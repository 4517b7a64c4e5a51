//! A sketch of a signed body: the keys that routes ask for, and whether the rest is JSON at all.
//!
//! Reads   a body's text.   Writes  nothing.
//! Never   takes what a whole reading would refuse: the body is kept as it came, and read later.

use kilter_core::Json;
use kilter_core::manifest::{Each, Webhook};
use kilter_core::mapping::Lens;

use crate::sketch;

/// What a whole reading refuses to go into deeper.
const DEPTH_MAX: usize = 127;

/// What routes ask for of a body; whole where that cannot be said beforehand. None: it is no JSON.
pub fn sketch(webhook: &Webhook, text: &str) -> Option<Json> {
    // Halves of a letter (`\ud83d` alone) are told only by a whole reading.
    let halves = text.contains("\\ud") || text.contains("\\uD");
    let Some(keys) = keys(webhook).filter(|_| !halves) else {
        return serde_json::from_str(text).ok();
    };
    if too_deep(text.as_bytes()) {
        return None;
    }
    sketch::read(text, &|key| keys.contains(&key)).ok()
}

/// The keys of the body's own table that any route reads. None: one reads what has no such key.
fn keys(webhook: &Webhook) -> Option<Vec<&str>> {
    let mut out = Vec::new();
    for route in &webhook.routes {
        let each = match &route.each {
            Some(Each::Location(lens)) => Some(lens),
            _ => None,
        };
        for lens in route.id.iter().chain(each) {
            out.push(key(lens)?);
        }
        for (path, _) in &route.keep {
            out.push(path.root_key().filter(|_| !path.text().contains('@'))?);
        }
    }
    Some(out)
}

/// A codec may look at the whole body as well (`@currency`).
fn key(lens: &Lens) -> Option<&str> {
    lens.path().root_key().filter(|_| !lens.text().contains('@'))
}

/// Lists and tables that begin, quoted ones as well. They differ by one bit; and a sum that fits a byte is
/// taken of many bytes at once.
fn opens(text: &[u8]) -> usize {
    let begins = |byte: &u8| u8::from(byte | 0x20 == b'{');
    text.chunks(255).map(|some| usize::from(some.iter().map(begins).sum::<u8>())).sum()
}

fn too_deep(text: &[u8]) -> bool {
    if opens(text) <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text {
        match (quoted, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Option<Json> {
        if too_deep(text.as_bytes()) {
            return None;
        }
        sketch::read(text, &|key| ["id", "type"].contains(&key)).ok()
    }

    #[test]
    fn only_what_is_asked_for_is_read() {
        let text = r#"{"a": {"id": 1}, "id": 7.50, "b": [1, {"type": 2}], "type": {"x": null}}"#;
        let whole: Json = serde_json::from_str(text).unwrap();
        let found = wanted(text).unwrap();
        assert_eq!(found, serde_json::json!({ "id": whole["id"], "type": whole["type"] }));
        // The last of two counts, as in a whole reading.
        assert_eq!(wanted(r#"{"id": 1, "id": 2}"#).unwrap()["id"], 2);
    }

    #[test]
    fn what_begins_is_counted_and_nothing_else_is() {
        for byte in 0..=u8::MAX {
            let begins = usize::from(byte == b'[' || byte == b'{');
            for length in [1, 254, 255, 256, 5_000] {
                assert_eq!(opens(&vec![byte; length]), begins * length, "{byte}");
            }
        }
    }

    #[test]
    fn what_a_whole_reading_refuses_is_refused() {
        let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        let deep_in = |n: usize| format!("{{\"a\": {}}}", deep(n - 1));
        let quoted = format!("{{\"a\": \"{}\"}}", "[".repeat(500));
        let texts = [
            "",
            "{",
            "{\"id\": 7}}",
            "id=7",
            "{\"id\": 07}",
            "{\"a\": 07}",
            "NaN",
            "{\"a\": NaN}",
            "[1,]",
            "{\"a\": 1,}",
            "{\"a\": \"\n\"}",
            "{\"a\": \"\\x\"}",
            "{\"a\": 1e}",
            "7",
            "[]",
            "null",
            "true",
            "\"x\"",
            "-1.5e9",
            "[1, {\"a\": []}]",
            "{\"a\": 1e400}",
            "{\"a\": -}",
        ];
        let more = [126, 127, 128, 10_000].map(deep);
        let within = [126, 127, 128, 10_000].map(deep_in);
        let all = texts.iter().map(|t| (*t).to_owned()).chain(more).chain(within).chain([quoted]);
        for text in all {
            let whole = serde_json::from_str::<Json>(&text).is_ok();
            let shown: String = text.chars().take(40).collect();
            assert_eq!(wanted(&text).is_some(), whole, "{shown}");
        }
    }
}
