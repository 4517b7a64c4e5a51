//! Tidy: the house rules, held by a test instead of by argument.
//!
//! Reads   every Rust file and manifest of the workspace.   Writes  nothing.
//! Never   stops at the first breach: all of them are told, each with `file:line`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// What the pure core may stand on: it computes, and reads nothing but what it is given.
const CORE_DEPENDENCIES: &[&str] = &[
    "base64",
    "blake3",
    "compact_str",
    "foldhash",
    "hmac",
    "jiff",
    "litemap",
    "percent-encoding",
    "rust_decimal",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "toml",
    "uuid",
];

/// Ways out of the core, and clocks.
const CORE_BANNED: &[&str] =
    &["std::fs", "std::net", "std::process", "std::env", "SystemTime", "Instant::now"];

const SQL: &[&str] =
    &["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "PRAGMA "];

const BANNED: &[&str] = &["todo!", "unimplemented!", ".unwrap()", "dbg!", "#[allow(", "#![allow("];

#[test]
fn the_house_rules_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let names = folders(&root.join("connectors"));
    assert!(names.len() >= 3, "connectors/ holds {names:?}");
    let mut files = Vec::new();
    for krate in ["kilter-core", "kilter", "kilter-twin"] {
        rust_files(&root.join("crates").join(krate), &mut files);
    }
    assert!(files.len() > 100, "only {} files found", files.len());
    let mut found = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path).unwrap();
        let shown = path.strip_prefix(&root).unwrap().display().to_string();
        let shown = shown.trim_start_matches("crates/");
        file(shown, &text, &names, &mut found);
    }
    let manifest = |krate: &str| {
        std::fs::read_to_string(root.join("crates").join(krate).join("Cargo.toml")).unwrap()
    };
    dependencies(&manifest("kilter-core"), &manifest("kilter-twin"), &mut found);
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

fn folders(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    let folders = entries.filter(|e| e.path().is_dir());
    folders.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

fn rust_files(path: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(path).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    out.sort();
}

/// `path`: from the crate's name on, as `kilter/src/main.rs`.
fn file(path: &str, text: &str, names: &[String], found: &mut Vec<String>) {
    let (krate, place) = path.split_once('/').unwrap();
    let is_source = place.starts_with("src/");
    let words_blank = blank_words(text);
    let code = blank_tests(&words_blank);
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        found.push(format!("{path}:1: {lines} lines, more than {FILE_LINES_MAX}"));
    }
    for (line, name, lines) in functions(&words_blank) {
        if lines > FUNCTION_LINES_MAX {
            let max = FUNCTION_LINES_MAX;
            found.push(format!("{path}:{line}: {name} has {lines} lines, more than {max}"));
        }
    }
    if krate != "kilter-twin" {
        platforms(path, text, !is_source, names, found);
    }
    if !is_source {
        return;
    }
    if !text.starts_with("//! ") {
        found.push(format!("{path}:1: does not open with `//! ` and what it is"));
    }
    // A module's tests, where they stand in a file of their own.
    if place.ends_with("/tests.rs") {
        return;
    }
    let mut ban = |pattern: &str, in_text: bool, why: &str| {
        let looked = if in_text { text } else { &code };
        for line in lines_with(looked, pattern) {
            found.push(format!("{path}:{line}: `{}`: {why}", pattern.trim()));
        }
    };
    BANNED.iter().for_each(|p| ban(p, false, "not outside tests"));
    let own = |place_of: &str| krate == "kilter" && place.starts_with(place_of);
    if !own("src/store/") {
        SQL.iter().for_each(|p| ban(p, true, "SQL stands in store/ only"));
        ban("rusqlite", false, "SQL stands in store/ only");
    }
    let twin = krate == "kilter-twin";
    if !twin && !own("src/remote/") {
        ban("reqwest", false, "remotes are called in remote/ only");
    }
    if !twin && !own("src/api/") {
        ban("axum", false, "HTTP is served in api/ only");
    }
    if twin {
        ban("kilter_core", false, "a twin imports nothing of what it tests");
        ban("kilter::", false, "a twin imports nothing of what it tests");
    }
    if krate == "kilter-core" {
        CORE_BANNED.iter().for_each(|p| ban(p, false, "the core does no I/O and has no clock"));
    }
}

/// A vendor's name in Rust is a defect. A test may name a connector where it starts its twin, or
/// writes a config.
fn platforms(path: &str, text: &str, test: bool, names: &[String], found: &mut Vec<String>) {
    for (n, line) in text.lines().enumerate() {
        let may = ["connector = \"", "connector=\"", "twin(\"", "twin::start(\"", "tidy: names"];
        if test && may.iter().any(|p| line.contains(p)) {
            continue;
        }
        for name in names.iter().filter(|name| names_it(line, name)) {
            found.push(format!("{path}:{}: names a platform: {name}", n + 1));
        }
    }
}

fn names_it(line: &str, name: &str) -> bool {
    let folded = line.to_ascii_lowercase();
    folded.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let first = line[at..].chars().next();
        let after = line[at + name.len()..].chars().next();
        let starts =
            before.is_none_or(|c| !c.is_alphanumeric()) || first.is_some_and(char::is_uppercase);
        starts && after.is_none_or(|c| !c.is_alphanumeric() || c.is_uppercase())
    })
}

/// The lines (from 1) that hold a pattern; a pattern that starts with a letter starts a word.
fn lines_with(text: &str, pattern: &str) -> Vec<usize> {
    let word = pattern.starts_with(|c: char| c.is_alphabetic());
    let holds = |line: &str| {
        line.match_indices(pattern).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !word || before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
        })
    };
    text.lines().enumerate().filter(|(_, l)| holds(l)).map(|(n, _)| n + 1).collect()
}

fn dependencies(core: &str, twin: &str, found: &mut Vec<String>) {
    let listed = |text: &str| -> BTreeSet<String> {
        let table: toml::Table = text.parse().unwrap();
        let table = table["dependencies"].as_table().unwrap();
        table.keys().cloned().collect()
    };
    let wanted: BTreeSet<String> = CORE_DEPENDENCIES.iter().map(|d| (*d).to_owned()).collect();
    for odd in listed(core).symmetric_difference(&wanted) {
        found.push(format!("kilter-core/Cargo.toml:1: {odd} is not as in the short list"));
    }
    for name in listed(twin).iter().filter(|name| name.starts_with("kilter")) {
        found.push(format!("kilter-twin/Cargo.toml:1: a twin does not depend on {name}"));
    }
}

/// Marks a line that belongs to tests.
const CUT: &str = "\u{1}";

/// The same text, lines kept, with comments and the insides of literals blank.
fn blank_words(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at).unwrap_or(at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// Where the comment, text or character that starts here ends; None: none does.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let next = |n: usize| chars.get(at + n).copied().unwrap_or('\0');
    let until = |from: usize, ends: &dyn Fn(usize) -> bool| {
        (from..chars.len()).find(|i| ends(*i)).unwrap_or(chars.len())
    };
    match (chars[at], next(1)) {
        ('/', '/') => Some(until(at, &|i| chars[i] == '\n')),
        ('/', '*') => {
            let end = until(at + 2, &|i| chars[i] == '*' && chars.get(i + 1) == Some(&'/'));
            Some((end + 2).min(chars.len()))
        }
        ('r', '"' | '#') if !in_word(chars, at) => {
            let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
            if next(1 + hashes) != '"' {
                return None;
            }
            let closes =
                |i: usize| chars[i] == '"' && (1..=hashes).all(|h| chars.get(i + h) == Some(&'#'));
            Some((until(at + hashes + 2, &closes) + hashes + 1).min(chars.len()))
        }
        ('"', _) => {
            let mut end = at + 1;
            while end < chars.len() && chars[end] != '"' {
                end += if chars[end] == '\\' { 2 } else { 1 };
            }
            Some((end + 1).min(chars.len()))
        }
        // A character, and not a lifetime.
        ('\'', '\\') => Some((until(at + 3, &|i| chars[i] == '\'') + 1).min(chars.len())),
        ('\'', _) if next(2) == '\'' => Some(at + 3),
        _ => None,
    }
}

fn in_word(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|i| chars[i]);
    before.is_some_and(|c| (c.is_alphanumeric() || c == '_') && c != 'b')
}

/// The same code with what stands under `#[cfg(test)]` marked and empty.
fn blank_tests(code: &str) -> String {
    let lines: Vec<&str> = code.lines().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim_start().starts_with("#[cfg(test)]") {
            let end = item_end(&lines, at);
            out.extend(std::iter::repeat_n(CUT, end - at + 1));
            at = end + 1;
        } else {
            out.push(lines[at]);
            at += 1;
        }
    }
    out.join("\n")
}

/// The last line of the item that starts at a line: where its braces close, or its `;` stands.
fn item_end(lines: &[&str], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut round = 0_usize;
    for (n, line) in lines.iter().enumerate().skip(start) {
        for c in line.chars() {
            match c {
                '(' | '[' => round += 1,
                ')' | ']' => round = round.saturating_sub(1),
                '{' => depth += 1,
                '}' if depth <= 1 => return n,
                '}' => depth -= 1,
                ';' if depth == 0 && round == 0 => return n,
                _ => {}
            }
        }
    }
    lines.len().saturating_sub(1)
}

/// Each function: its line, its name, its lines from `fn` to the closing brace.
fn functions(code: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut out = Vec::new();
    for line in lines_with(code, "fn ") {
        let rest = lines[line - 1].split_once("fn ").map_or("", |(_, rest)| rest);
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !name.is_empty() {
            out.push((line, name, item_end(&lines, line - 1) + 2 - line));
        }
    }
    out
}

// ---- the tidy test is itself tested ---------------------------------------------------------

fn breaches(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    file(path, text, &["acme".to_owned()], &mut found);
    found
}

#[track_caller]
fn check(path: &str, text: &str, expected: &[&str]) {
    let found = breaches(path, &format!("//! Something.\n{text}"));
    let fits =
        found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.contains(e));
    assert!(fits, "expected {expected:?}, found {found:#?}");
}

#[test]
fn a_long_function_is_found_and_a_brace_in_a_text_is_none() {
    let body = |n: usize| "    let a = '{'; let b = \"}}\\\"}\"; // }\n".repeat(n);
    let text = |n: usize| format!("fn long<'a>(x: [u8; 2]) -> u8 {{\n{}}}\n", body(n));
    check("kilter/src/a.rs", &text(68), &[]);
    check("kilter/src/a.rs", &text(69), &["a.rs:2: long has 71 lines"]);
    check("kilter/src/a.rs", &format!("const A: &str = r#\"}} \" {{\"#;\n{}", text(68)), &[]);
    check("kilter/src/a.rs", &format!("trait T {{ fn none(&self);\n}}\n{}", text(68)), &[]);
}

#[test]
fn a_long_file_is_found_and_its_tests_count() {
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    const A: u8 = 1;\n".repeat(90));
    let text = |n: usize| format!("{}{tests}", "const A: u8 = 1;\n".repeat(n));
    check("kilter/src/a.rs", &text(406), &[]);
    check("kilter/src/a.rs", &text(407), &["501 lines"]);
    check("kilter/src/a/tests.rs", "fn a() { b().unwrap() }\n", &[]);
    check("kilter/src/a/tests.rs", &text(407), &["501 lines"]);
}

#[test]
fn a_platform_is_found_however_it_is_written() {
    check("kilter/src/a.rs", "// as Acme does\n", &["a.rs:2: names a platform"]);
    check("kilter/src/a.rs", "struct AcmeClient;\n", &["names a platform"]);
    check("kilter/src/a.rs", "const A: &str = \"acme_orders\";\n", &["names a platform"]);
    check("kilter/src/a.rs", "// pacmen, acmeist\n", &[]);
    check("kilter-twin/src/acme.rs", "struct AcmeClient;\n", &[]);
    check("kilter/tests/a.rs", "connector = \"acme\"\nlet a = \"acme\";\n", &["a.rs:3"]);
}

#[test]
fn what_stands_in_the_wrong_place_is_found() {
    check("kilter/src/cli/a.rs", "const A: &str = \"SELECT 1\";\n", &["SQL stands in store/"]);
    check("kilter/src/store/a.rs", "const A: &str = \"SELECT 1\";\n", &[]);
    check("kilter/src/cli/a.rs", "use reqwest::Client;\n", &["remote/ only"]);
    check("kilter/src/cli/a.rs", "use axum::Router;\n", &["api/ only"]);
    check("kilter/src/api/a.rs", "use axum::Router;\n", &[]);
    check("kilter-twin/src/a.rs", "use kilter_core::Json;\n", &["imports nothing"]);
    check("kilter-core/src/a.rs", "use std::fs::File;\n", &["no I/O"]);
    check("kilter/src/a.rs", "fn a() {\n    b().unwrap();\n}\n", &["a.rs:3: `.unwrap()`"]);
    check("kilter/src/a.rs", "#[cfg(test)]\nmod t {\n    fn a() { b().unwrap(); }\n}\n", &[]);
    check("kilter/src/a.rs", "#[cfg(test)]\nuse a::b;\nfn a() { todo!() }\n", &["a.rs:4: `todo!`"]);
    assert_eq!(breaches("kilter/src/a.rs", "// Something.\n").len(), 1);
}

#[test]
fn a_dependency_more_or_less_is_found() {
    let mut found = Vec::new();
    let core: String = CORE_DEPENDENCIES.iter().map(|d| format!("{d} = \"1\"\n")).collect();
    let core = format!("[dependencies]\n{core}");
    dependencies(&core, "[dependencies]\nserde = \"1\"\n", &mut found);
    assert_eq!(found, Vec::<String>::new());
    let twin = "[dependencies]\nkilter-core = \"1\"\n";
    dependencies(&format!("{core}tokio = \"1\"\n"), twin, &mut found);
    assert_eq!(found.len(), 2, "{found:?}");
}
