//! Mentions: which keys of a body a resource may ask for, by the words that its file holds.
//!
//! Reads   the file of a resource, with the documents it names.   Writes  nothing.
//! Never   leaves out a key that is read: every key is named where it is read, so one that no word of the
//!         file is like is read by nobody. Where the whole of an item is read, all of it is.
//!
//! Bodies are mostly what nobody asks for; reading them as trees is most of what reading costs.

use std::collections::HashSet;

use foldhash::fast::FixedState;

use crate::doc::{Node, Val};

#[derive(Debug, Clone, Default)]
pub struct Mentions {
    whole: bool,
    words: HashSet<String, FixedState>,
}

impl Mentions {
    pub fn of(node: &Node) -> Self {
        let mut mentions = Self::default();
        mentions.hear(node);
        // What has no facets is known by a hash of all of it.
        mentions.whole |= node.table().is_none_or(|table| !table.contains_key("facet"));
        mentions
    }

    /// May anybody read this key of an item? What we put into a body ourselves begins with `$`; a key
    /// with odd characters is no word.
    pub fn asks_for(&self, key: &str) -> bool {
        self.whole || self.words.contains(key) || !key.chars().all(is_of_a_word)
    }

    fn hear(&mut self, node: &Node) {
        match &node.val {
            Val::Text(text) => self.words_of(text),
            Val::List(nodes) => nodes.iter().for_each(|node| self.hear(node)),
            Val::Table(table) => {
                for (key, node) in table {
                    self.words_of(key);
                    self.hear(node);
                }
            }
            Val::Number(_) | Val::Bool(_) => {}
        }
    }

    fn words_of(&mut self, text: &str) {
        self.whole |= names_the_whole(text);
        let words = text.split(|c| !is_of_a_word(c)).filter(|word| !word.is_empty());
        self.words.extend(words.map(str::to_owned));
    }
}

/// Does a path in it mean the whole item? A dot with no key before it, nor behind.
fn names_the_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    let dots = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'.');
    dots.into_iter().any(|(at, _)| {
        let before = bytes[..at].iter().rev().find(|byte| !byte.is_ascii_whitespace());
        let behind = bytes[at + 1..].first();
        before.is_none_or(|byte| b"(,@=".contains(byte))
            && behind.is_none_or(|byte| b" \t\n|,)]".contains(byte))
    })
}

/// As a path takes a key without quotes.
fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || "_-:".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(text: &str) -> Mentions {
        let mut problems = Vec::new();
        let node = crate::doc::parse("r.toml", text, &mut problems);
        assert_eq!(problems, []);
        Mentions::of(&node)
    }

    #[test]
    fn what_no_word_names_is_not_asked_for() {
        let text = "id = \"id | id\"\nkeep = { type = [\"simple\"] }\n[facet.product.rows]\n\
            sku = 'first(codes[kind=@what].no, code) | text'\nname = \"who | words(first-name, last)\"\n\
            odd = \"`of blanks` | text\"";
        let some = mentions(text);
        for key in
            ["id", "type", "codes", "what", "code", "first-name", "last", "of blanks", "$hint"]
        {
            assert!(some.asks_for(key), "{key}");
        }
        for key in ["description", "images", "no one's"] {
            assert_eq!(some.asks_for(key), key.contains(' '), "{key}");
        }
    }

    #[test]
    fn where_the_whole_is_read_all_is_asked_for() {
        assert!(
            mentions("id = \"id\"\n[facet.a.rows]\nall = \". | json\"").asks_for("description")
        );
        for path in
            [". | words(a, b)", "first(detail, .) | json", "of | default(@.)", "first(. , b)"]
        {
            let text = format!("id = \"id\"\n[facet.a.rows]\nall = '{path}'");
            assert!(mentions(&text).asks_for("description"), "{path}");
        }
        assert!(mentions("id = \"id\"\n[[hints]]\nid = \"of | id\"").asks_for("description"));
        assert!(!mentions("id = \"id\"\n[facet.a.rows]\nb = \"b\"").asks_for("description"));
    }
}
