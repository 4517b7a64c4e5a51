//! Words: what an object waits for, in sentences that a merchant understands.
//!
//! Reads   the house, a record.   Writes  nothing.   Never  names a row or a facet where a word will do.

use crate::config::Owner;
use crate::manifest::Facet;
use crate::model::Record;
use crate::sync::house::View;

/// `waits for a price from erp`, `waits for its title in de_DE from erp`.
pub fn lacks(
    view: &View<'_>,
    facet: &Facet,
    field: &str,
    scope: &str,
    root: Option<&Record>,
) -> String {
    let own = view.house.config.ownership.of(&facet.entity, field, scope);
    let from = match own.map(|own| &own.owner) {
        Some(Owner::Connection(name)) => format!(" from {name}"),
        Some(Owner::Origin) => {
            root.map(|record| format!(" from {}", record.origin)).unwrap_or_default()
        }
        Some(Owner::Nobody) | None => ", which nobody owns".to_owned(),
    };
    let derived =
        view.house.entities.field(&facet.entity, field).is_some_and(|f| f.derive.is_some());
    let from = if derived { String::new() } else { from };
    // A thing of its own, as a price, is missed as a whole; of the root, a field.
    if facet.entity != view.resource.root && facet.of.is_none() {
        return format!("waits for {}{from}", one(&facet.entity));
    }
    let place = if facet.entity == view.resource.root {
        String::new()
    } else {
        format!(" of its {}", plain(&facet.entity))
    };
    let its = if place.is_empty() { "its" } else { "the" };
    let scope = if scope.is_empty() { String::new() } else { format!(" in {scope}") };
    format!("waits for {its} {}{place}{scope}{from}", plain(field))
}

/// How people call a record: its key, else its title. None: it has neither.
pub fn named(record: &Record) -> Option<&str> {
    let key = record.key.as_deref().filter(|key| !key.is_empty());
    let titles = || record.fields.get("title")?.values().find_map(|cell| cell.value.as_str());
    key.or_else(titles)
}

fn plain(word: &str) -> String {
    word.replace('_', " ")
}

fn one(word: &str) -> String {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {}", plain(word))
}
