//! Heard: what bodies said that came before, so that the same words are read once.
//!
//! Reads   texts of the log.   Writes  nothing.
//! Never   says how a change ends: what is known may have moved since, and is compared anew.
//!
//! A shop tells of one save several times, and sends again what was not answered in time: to the letter
//! the same. What a text says depends on nothing but the text and the listing that it is about.

use std::collections::HashMap;
use std::sync::Arc;

use kilter_core::model::{Change, Via};
use kilter_core::sync::project::Projected;

use crate::pipeline::receive::Understood;

/// Bytes of the texts of one generation; there are two. What a text says is seldom longer than itself.
const HEARD_MAX: usize = 16 << 20;

#[derive(Debug, Default)]
pub struct Heard {
    young: HashMap<blake3::Hash, Arc<Projected>>,
    /// What came before those: the first to be let go of.
    old: HashMap<blake3::Hash, Arc<Projected>>,
    /// How long the texts of the young were.
    bytes: usize,
}

impl Heard {
    /// What a text says: as it did before, or as it is understood now.
    pub fn or(
        &mut self,
        change: &Change,
        text: &str,
        understand: impl FnOnce() -> Understood,
    ) -> Understood {
        if change.via == Via::Gone {
            return understand();
        }
        let digest = digest(change, text);
        if let Some(item) = self.young.get(&digest) {
            return Understood::Item(Arc::clone(item));
        }
        let understood = match self.old.remove(&digest) {
            Some(item) => Understood::Item(item),
            None => understand(),
        };
        if let Understood::Item(item) = &understood {
            self.keep(digest, Arc::clone(item), text.len());
        }
        understood
    }

    fn keep(&mut self, digest: blake3::Hash, item: Arc<Projected>, bytes: usize) {
        if self.bytes + bytes > HEARD_MAX {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.young.insert(digest, item);
    }
}

fn digest(change: &Change, text: &str) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for part in [&*change.connection, &*change.collection, &*change.each] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.update(text.as_bytes()).finalize()
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

    fn item(text: &str) -> Understood {
        Understood::Item(Arc::new(Projected {
            resource: "items".into(),
            id: text.into(),
            remote: text.into(),
            each: "".into(),
            version: None,
            rows: kilter_core::model::Rows::default(),
            unreadable: Vec::new(),
            hints: Vec::new(),
            sides: Vec::new(),
        }))
    }

    /// How often a text had to be read, of so many that came.
    fn read(heard: &mut Heard, told: &[(Change, &str)]) -> usize {
        let mut times = 0;
        for (change, text) in told {
            let said = heard.or(change, text, || {
                times += 1;
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
        let gone = heard.or(&change(Via::Gone, ""), "a", || Understood::Gone);
        assert_eq!(gone, Understood::Gone);
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
