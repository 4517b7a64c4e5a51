//! Heard: what bodies said that came before, so that the same words are read once.
//!
//! Reads   texts of the log.   Writes  nothing.
//! Never   says how a change ends: what is known may have moved since, and is compared anew.
//!
//! A shop tells of one save several times, and sends again what was not answered in time: to the letter
//! the same. What a text says depends on nothing but the text and the listing that it is about.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use kilter_core::model::{Change, Text, Via};
use kilter_core::sync::project::Projected;

/// Bytes of the texts of one generation; there are two. What a text says is seldom longer than itself.
const HEARD_MAX: usize = 16 << 20;

#[derive(Debug, Default)]
pub struct Heard {
    young: Generation,
    /// What came before those: the first to be let go of.
    old: Generation,
    /// How long the texts of the young are.
    bytes: usize,
    seed: RandomState,
}

/// By a hash of the words; which they are is compared.
type Generation = HashMap<u64, (Words, Arc<Projected>), RandomState>;

/// A text, and the listing that it is about.
#[derive(Debug)]
struct Words {
    connection: Text,
    collection: Text,
    each: Text,
    text: String,
}

impl Words {
    fn are(&self, change: &Change, text: &str) -> bool {
        self.text == text
            && self.connection == change.connection
            && self.collection == change.collection
            && self.each == change.each
    }
}

impl Heard {
    /// What a text says, if it came before.
    pub fn find(&mut self, change: &Change, text: &str) -> Option<Arc<Projected>> {
        if change.via == Via::Gone {
            return None;
        }
        let hash = self.hash(change, text);
        let heard = |known: &Generation| known.get(&hash).is_some_and(|(w, _)| w.are(change, text));
        if heard(&self.young) {
            return self.young.get(&hash).map(|(_, item)| Arc::clone(item));
        }
        let (words, item) = heard(&self.old).then(|| self.old.remove(&hash)).flatten()?;
        self.put(hash, words, Arc::clone(&item));
        Some(item)
    }

    /// From now on it came before.
    pub fn keep(&mut self, change: &Change, text: String, item: Arc<Projected>) {
        let hash = self.hash(change, &text);
        let Change { connection, collection, each, .. } = change.clone();
        self.put(hash, Words { connection, collection, each, text }, item);
    }

    fn put(&mut self, hash: u64, words: Words, item: Arc<Projected>) {
        let bytes = words.text.len();
        if self.bytes + bytes > HEARD_MAX {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.young.insert(hash, (words, item));
    }

    fn hash(&self, change: &Change, text: &str) -> u64 {
        self.seed.hash_one((&*change.connection, &*change.collection, &*change.each, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(via: Via, each: &str) -> Change {
        Change {
            seq: 1,
            connection: "shop".into(),
            collection: "items".into(),
            remote: "1".into(),
            each: each.into(),
            via,
            asked: 0,
            body: kilter_core::Json::Null,
            at: "2026-03-01T10:00:00Z".into(),
        }
    }

    fn item(text: &str) -> Arc<Projected> {
        Arc::new(Projected {
            resource: "items".into(),
            id: text.into(),
            remote: text.into(),
            each: "".into(),
            version: None,
            rows: kilter_core::model::Rows::default(),
            unreadable: Vec::new(),
            hints: Vec::new(),
            sides: Vec::new(),
        })
    }

    /// How often a text had to be read, of so many that came.
    fn read(heard: &mut Heard, told: &[(Change, &str)]) -> usize {
        let mut times = 0;
        for (change, text) in told {
            let said = heard.find(change, text).unwrap_or_else(|| {
                times += 1;
                heard.keep(change, (*text).to_owned(), item(text));
                item(text)
            });
            assert_eq!(said, item(text), "another one's words");
        }
        times
    }

    #[test]
    fn the_same_words_are_read_once_for_each_listing_that_they_are_of() {
        let mut heard = Heard::default();
        let (hook, page) = (change(Via::Hook, ""), change(Via::Page, "main"));
        let told = [(hook.clone(), "a"), (hook.clone(), "a"), (page, "a"), (hook, "b")];
        assert_eq!(read(&mut heard, &told), 3);
    }

    #[test]
    fn what_is_gone_says_nothing_by_its_words() {
        let mut heard = Heard::default();
        read(&mut heard, &[(change(Via::Hook, ""), "a")]);
        assert_eq!(heard.find(&change(Via::Gone, ""), "a"), None);
    }

    #[test]
    fn what_came_last_stays_and_what_is_too_much_goes() {
        let mut heard = Heard::default();
        let texts: Vec<String> = (0..8).map(|n| n.to_string().repeat(HEARD_MAX / 4)).collect();
        for text in &texts {
            read(&mut heard, &[(change(Via::Hook, ""), text)]);
        }
        assert!(heard.bytes <= HEARD_MAX);
        assert_eq!(read(&mut heard, &[(change(Via::Hook, ""), &texts[7])]), 0);
        assert_eq!(read(&mut heard, &[(change(Via::Hook, ""), &texts[0])]), 0, "it is of the old");
        let more: Vec<String> = texts.iter().map(|t| format!("{t}!")).collect();
        for text in &more {
            read(&mut heard, &[(change(Via::Hook, ""), text)]);
        }
        assert!(
            heard.young.len() + heard.old.len() <= 8,
            "of sixteen, as many as two generations hold"
        );
        assert_eq!(read(&mut heard, &[(change(Via::Hook, ""), &texts[1])]), 1, "it was let go of");
    }
}
