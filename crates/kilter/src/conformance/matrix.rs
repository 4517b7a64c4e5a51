//! Matrix: a table of all connectors and what they can, for README.md.
//!
//! Reads   connectors and what their folders say of them.   Writes  Markdown.
//! Never   states what a connector's data does not hold.

use std::fmt::Write as _;
use std::path::Path;

use kilter_core::doc::Problem;
use kilter_core::manifest::{Connector, Kind, Signature};

use super::able::{has, listed_for_each, reads, writes};
use super::data::{self, Tale, Verified};

/// Entity, and how its column is called.
const COLUMNS: &[(&str, &str)] = &[
    ("product", "products"),
    ("variant", "variants"),
    ("price", "prices"),
    ("stock", "stock"),
    ("customer", "customers"),
    ("order", "orders"),
    ("shipment", "shipments"),
    ("refund", "refunds"),
    ("category", "categories"),
];

/// The tables: what each connector can; and how far it is verified.
pub fn markdown(own: &Path) -> anyhow::Result<String> {
    let mut problems = Vec::new();
    let mut rows = Vec::new();
    for name in crate::catalog::names(own) {
        let connector = crate::catalog::connector(&name, own, &mut problems);
        let tale = data::read(&name, own, &mut problems);
        if let (Some(connector), Some(tale)) = (connector, tale) {
            rows.push((name, connector, tale));
        }
    }
    let planned = data::planned(&mut problems);
    let text: Vec<String> = problems.iter().map(Problem::to_string).collect();
    anyhow::ensure!(problems.is_empty(), "read the connectors:\n{}", text.join("\n"));
    let mut out = String::new();
    line(&mut out, &["platform", "written for", "state", "what that rests on"]);
    line(&mut out, &["---"; 4]);
    for (name, connector, tale) in &rows {
        let (state, rests_on) = (tale.verified.name(), tale.rests_on.as_str());
        line(&mut out, &[&linked(name, connector), &connector.written_for, state, rests_on]);
    }
    for (title, rests_on) in &planned {
        line(&mut out, &[title, "–", Verified::Planned.name(), rests_on]);
    }
    out.push('\n');
    out.push_str(&able(&rows));
    Ok(out)
}

/// `r` read, `c` created, `u` changed or moved on afterwards.
fn able(rows: &[(String, Connector, Tale)]) -> String {
    let mut out = String::new();
    let names: Vec<&str> = COLUMNS.iter().map(|(_, title)| *title).collect();
    let more = ["price lists", "locations", "webhooks", "deletes"];
    let head: Vec<&str> = ["platform"].into_iter().chain(names).chain(more).collect();
    line(&mut out, &head);
    line(&mut out, &vec!["---"; head.len()]);
    for (name, connector, _) in rows {
        let mut cells = vec![linked(name, connector)];
        cells.extend(COLUMNS.iter().map(|(entity, _)| cell(connector, entity)));
        let each = |root| if listed_for_each(connector, root) { "several" } else { "one" };
        cells.push(each("price").to_owned());
        cells.push(each("stock").to_owned());
        let webhook = connector.webhook.as_ref();
        cells.push(match webhook.map(|w| &w.signature) {
            None => "–".to_owned(),
            Some(Signature::UrlSecret { .. }) => "hints".to_owned(),
            Some(_) => "signed".to_owned(),
        });
        let archives = connector.resources.iter().any(|r| has(r, Kind::Archive));
        cells.push(if archives { "archived" } else { "–" }.to_owned());
        line(&mut out, &cells);
    }
    out
}

fn cell(connector: &Connector, entity: &str) -> String {
    let (creates, updates) = writes(connector, entity);
    let marks = [(reads(connector, entity), 'r'), (creates, 'c'), (updates, 'u')];
    let text: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| mark).collect();
    if text.is_empty() { "–".to_owned() } else { text }
}

fn linked(name: &str, connector: &Connector) -> String {
    format!("[{}](connectors/{name}/README.md)", connector.title)
}

fn line<T: AsRef<str>>(out: &mut String, cells: &[T]) {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    // Writing into a text cannot fail.
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}
