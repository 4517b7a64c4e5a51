//! The conformance story: every connector that has a twin passes it, and it can fail.
//!
//! The program runs as a merchant runs it: `kilter connector test NAME --json`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn names() -> Vec<String> {
    let out = Command::new(env!("CARGO_BIN_EXE_kilter")).args(["connector", "list"]).output();
    let out = out.unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Exit code, and each step's name, end and reason.
fn story(name: &str, folder: &Path) -> (i32, Vec<(String, String, String)>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kilter"));
    command.args(["connector", "test", name, "--json", "--folder"]).arg(folder);
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let told: Value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{name}: {text}{}", String::from_utf8_lossy(&out.stderr)));
    let word = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    let steps = told["steps"].as_array().unwrap().iter();
    let steps = steps.map(|s| (word(s, "name"), word(s, "end"), word(s, "why"))).collect();
    (out.status.code().unwrap(), steps)
}

fn end<'s>(steps: &'s [(String, String, String)], name: &str) -> (&'s str, &'s str) {
    let step = steps.iter().find(|(n, _, _)| n == name).unwrap();
    (&step.1, &step.2)
}

/// What no connector with a twin may leave out.
const NEVER_SKIPPED: [&str; 6] = [
    "reads page by page",
    "creates",
    "changes one field",
    "sent twice, it stands there once",
    "throttled, it waits",
    "loses its token",
];

#[test]
fn every_connector_with_a_twin_passes_the_story() {
    let mut twins = 0;
    for name in names() {
        let said = root().join("connectors").join(&name).join("conformance/story.toml");
        let said = std::fs::read_to_string(&said).unwrap_or_default();
        let (code, steps) = story(&name, &root().join("connectors"));
        assert_eq!(code, 0, "{name}: {steps:#?}");
        if said.contains("\n[twin]") {
            twins += 1;
            for step in NEVER_SKIPPED {
                assert_eq!(end(&steps, step).0, "ok", "{name}: {steps:#?}");
            }
        } else {
            assert!(steps.iter().all(|(_, end, _)| end == "skipped"), "{name}: {steps:#?}");
            assert!(steps[0].2.contains("no twin"), "{name}: {steps:#?}");
        }
        let connector = root().join("connectors").join(&name).join("connector.toml");
        let hooks = std::fs::read_to_string(connector).unwrap().contains("\n[webhook]");
        let taken = end(&steps, "webhooks").0 == "ok";
        assert_eq!(taken, hooks && said.contains("\n[twin]"), "{name}: {steps:#?}");
    }
    assert!(twins >= 3, "only {twins} connectors have a twin");
}

// ---- the story is itself tested: a connector that is broken fails where it is broken ------------

/// Which connector is broken on purpose: one that signs, throttles and writes in batches.
const BROKEN: &str = r#"connector = "woocommerce""#;

/// Changes one text of one file of a copy, and tells the copy's story.
fn broken(file: &str, from: &str, to: &str) -> Vec<(String, String, String)> {
    let name = BROKEN.split('"').nth(1).unwrap();
    let mark = blake(file, from);
    let folder = std::env::temp_dir().join(format!("kilter-story-{}-{mark}", std::process::id()));
    let own = folder.join(name);
    copy(&root().join("connectors").join(name), &own);
    let path = own.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} does not say {from}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    let (code, steps) = story(name, &folder);
    assert_eq!(code, 1, "{steps:#?}");
    std::fs::remove_dir_all(&folder).unwrap();
    steps
}

fn blake(file: &str, from: &str) -> usize {
    file.bytes().chain(from.bytes()).fold(7, |n, b| n * 31 % 1_000_003 + usize::from(b))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let own = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &own);
        } else {
            std::fs::copy(entry.path(), own).unwrap();
        }
    }
}

#[test]
fn a_connector_that_looks_for_its_signature_elsewhere_fails_at_the_door() {
    let steps = broken("connector.toml", "x-wc-webhook-signature", "x-wc-webhook-source");
    let (how, why) = end(&steps, "webhooks");
    assert_eq!(how, "failed", "{steps:#?}");
    assert!(why.contains("accept a webhook that the twin signed"), "{why}");
    assert_eq!(end(&steps, "changes one field").0, "ok", "{steps:#?}");
}

#[test]
fn a_connector_that_does_not_send_a_change_fails_where_it_changes() {
    let steps = broken("simple.toml", ", update = \"$update\" }", " }");
    assert_eq!(end(&steps, "changes one field").0, "failed", "{steps:#?}");
    assert_eq!(end(&steps, "creates").0, "ok", "{steps:#?}");
}

#[test]
fn a_connector_that_takes_too_many_for_a_no_fails_where_it_is_throttled() {
    let (from, to) =
        (r#"status = "429", fault = "throttled""#, r#"status = "429", fault = "rejected""#);
    let steps = broken("connector.toml", from, to);
    assert_eq!(end(&steps, "throttled, it waits").0, "failed", "{steps:#?}");
    assert_eq!(end(&steps, "changes one field").0, "ok", "{steps:#?}");
}

#[test]
fn a_connector_that_reads_one_page_only_fails_where_it_reads() {
    // A size of 1000 that the shop does not keep to: the first page looks like the last.
    let from = "page    = \"offset\"\nsize    = 100";
    let steps = broken("simple.toml", from, "page    = \"offset\"\nsize    = 1000");
    assert_eq!(end(&steps, "reads page by page").0, "failed", "{steps:#?}");
}

#[test]
fn a_connector_that_writes_figures_elsewhere_fails_where_it_changes_them() {
    let (from, to) = (r#"write = "stock_quantity | "#, r#"write = "stock_amount | "#);
    let steps = broken("simple.toml", from, to);
    assert_eq!(end(&steps, "changes a price and a figure").0, "failed", "{steps:#?}");
    assert_eq!(end(&steps, "reads page by page").0, "ok", "{steps:#?}");
}
