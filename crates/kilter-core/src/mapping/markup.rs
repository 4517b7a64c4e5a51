//! Text that has been through HTML: entities, and tags that a remote throws away.
//!
//! Reads   text.   Writes  text.
//! Never   parses HTML: shops damage text by simple rules, and simple rules undo it.

/// How far behind `&` a `;` may stand: `&#1114111;` is the longest.
const ENTITY_BYTES_MAX: usize = 10;

/// `&amp; &lt; &gt; &quot; &apos;` and numeric entities as their characters, once.
pub(super) fn decoded(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        match entity(rest) {
            Some((meant, length)) => {
                plain.push(meant);
                rest = &rest[length..];
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// Without tags: a `<`, the next `>`, and all between them unless another `<` stands there.
pub(super) fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        plain.push_str(&rest[..at]);
        let inside = &rest[at + 1..];
        match inside.find(['<', '>']) {
            Some(end) if inside[end..].starts_with('>') => rest = &inside[end + 1..],
            _ => {
                plain.push('<');
                rest = inside;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// The character and the length of the entity that `text` starts with.
fn entity(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(ENTITY_BYTES_MAX).position(|byte| byte == b';')?;
    let name = &text[1..end];
    let meant = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => numeric(name.strip_prefix('#')?)?,
    };
    Some((meant, end + 1))
}

fn numeric(digits: &str) -> Option<char> {
    let (digits, radix) = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => (hex, 16),
        None => (digits, 10),
    };
    let plain = digits.chars().all(|digit| digit.is_digit(radix));
    let code = u32::from_str_radix(digits, radix).ok().filter(|code| plain && *code != 0)?;
    char::from_u32(code)
}
