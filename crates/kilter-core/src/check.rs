//! Check: everything that can be known to be wrong before anything runs, all at once.
//!
//! Reads   the whole house.   Writes  problems, each with file and line.
//! Never   calls a remote; never stops at the first problem.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Connection, OWN_KEYS, Own, Owner};
use crate::doc::{Problem, near};
use crate::entity::Type;
use crate::manifest::{Connector, Facet, Kind, Resource, Row};
use crate::mapping::Lens;
use crate::schedule::ALL;
use crate::sync::derive;
use crate::sync::house::{House, SELF, View};

pub fn check(house: &House, problems: &mut Vec<Problem>) {
    entities(house, problems);
    for connector in house.connectors.values() {
        settings_fit(connector, problems);
        for resource in &connector.resources {
            resource_fits(house, connector, resource, problems);
        }
    }
    for connection in house.config.connections.values() {
        connection_fits(house, connection, problems);
    }
    ownership(house, problems);
}

fn say(file: &str, line: usize, text: String, hint: String, problems: &mut Vec<Problem>) {
    problems.push(Problem { file: file.to_owned(), line, text, hint });
}

fn did_you_mean<'k>(word: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    match near(word, known.clone()) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
    }
}

fn entities(house: &House, problems: &mut Vec<Problem>) {
    for entity in house.entities.0.values() {
        for (name, field) in &entity.fields {
            let file = format!("entities/{}.toml", entity.name);
            let rule = field.derive.as_deref();
            if let Some(rule) = rule.filter(|r| !derive::RULES.contains(r)) {
                let hint = did_you_mean(rule, derive::RULES.iter().copied());
                say(&file, 1, format!("{name}: there is no rule \"{rule}\""), hint, problems);
            }
            let to = field.to.as_deref().filter(|t| house.entities.get(t).is_none());
            if let (Type::Ref, Some(to)) = (field.kind, to) {
                say(
                    &file,
                    1,
                    format!("{name} refers to \"{to}\", which is none"),
                    String::new(),
                    problems,
                );
            }
        }
    }
}

// ---- connectors -----------------------------------------------------------------------------

/// A setting of that name could never be given: the connection has a section of its own there.
fn settings_fit(connector: &Connector, problems: &mut Vec<Problem>) {
    for setting in connector.settings.iter().filter(|s| OWN_KEYS.contains(&s.name.as_str())) {
        let file = format!("connectors/{}/connector.toml", connector.name);
        let text = format!("settings: \"{}\" is a section of every connection", setting.name);
        let hint = format!("call it another name; taken: {}", OWN_KEYS.join(", "));
        say(&file, 1, text, hint, problems);
    }
}

fn resource_fits(
    house: &House,
    connector: &Connector,
    resource: &Resource,
    problems: &mut Vec<Problem>,
) {
    let file = format!("connectors/{}/{}.toml", connector.name, resource.name);
    if house.entities.get(&resource.root).is_none() {
        let hint = did_you_mean(&resource.root, house.entities.0.keys().map(String::as_str));
        say(&file, 1, format!("root: there is no entity \"{}\"", resource.root), hint, problems);
    }
    let hints_only = resource.facets.is_empty() && !resource.hints.is_empty();
    if !hints_only && resource.facets.first().is_none_or(|f| f.entity != resource.root) {
        let text = format!("no facet shows the root \"{}\"", resource.root);
        say(&file, 1, text, format!("add [facet.{}.rows]", resource.root), problems);
    }
    let mut written: BTreeMap<String, String> = BTreeMap::new();
    for facet in &resource.facets {
        facet_fits(house, &file, resource, facet, problems);
        for row in &facet.rows {
            row_fits(house, connector, &file, facet, row, problems);
            let place = row.write.as_ref().map(|l| l.path().text().to_owned());
            let name = format!("{}.{}", facet.name, row.field);
            // Two rows may share a path where their codecs say which values they leave alone.
            let shares = row.write.as_ref().is_some_and(|l| l.text().contains("*=keep"));
            if let Some(place) = place.filter(|_| !shares)
                && let Some(other) = written.insert(place.clone(), name.clone())
            {
                let text = format!("{other} and {name} both write \"{place}\"");
                say(&file, row.line, text, "one remote fact has one writing row".into(), problems);
            }
        }
    }
    let document = house.entities.get(&resource.root).is_some_and(|e| e.document);
    let creates = resource.writes.iter().any(|w| w.kinds.contains(&Kind::Create));
    if document && creates && resource.permit.is_none() {
        let text = format!("{} is born once: its create needs [permit]", resource.root);
        say(&file, 1, text, "see the rules for orders in ARCHITECTURE.md".into(), problems);
    }
    let whole = house.entities.get(&resource.root).and_then(|e| house.entities.whole_of(e));
    if let (Some(whole), true, None) = (whole, creates, &resource.parent) {
        let text = format!("{} follows its {whole}: its create needs `parent`", resource.root);
        let hint = format!("parent = {{ facet = \"{whole}\", resource = \"…\" }}");
        say(&file, 1, text, hint, problems);
    }
}

fn facet_fits(
    house: &House,
    file: &str,
    resource: &Resource,
    facet: &Facet,
    problems: &mut Vec<Problem>,
) {
    let Some(entity) = house.entities.get(&facet.entity) else {
        let hint = did_you_mean(&facet.entity, house.entities.0.keys().map(String::as_str));
        let text = format!("facet.{}: there is no entity \"{}\"", facet.name, facet.entity);
        say(file, 1, text, hint, problems);
        return;
    };
    if let Some(of) = &facet.of {
        let field = house.entities.field(&resource.root, of);
        if field.is_none_or(|f| f.kind != Type::Ref) {
            let text =
                format!("facet.{}: \"{of}\" is no reference of {}", facet.name, resource.root);
            say(file, 1, text, String::new(), problems);
        }
    }
    for field in facet.key.keys().filter(|f| !entity.fields.contains_key(*f)) {
        let hint = did_you_mean(field, entity.fields.keys().map(String::as_str));
        say(
            file,
            1,
            format!("facet.{}: {} has no \"{field}\"", facet.name, entity.name),
            hint,
            problems,
        );
    }
}

fn row_fits(
    house: &House,
    connector: &Connector,
    file: &str,
    facet: &Facet,
    row: &Row,
    problems: &mut Vec<Problem>,
) {
    let Some(entity) = house.entities.get(&facet.entity) else { return };
    // What is only observed may be the remote's own: an id that a call needs.
    let own = row.observe && row.write.is_none() && !entity.fields.contains_key(&row.field);
    if row.field == SELF || own {
        return;
    }
    let Some(field) = entity.fields.get(&row.field) else {
        let hint = did_you_mean(&row.field, entity.fields.keys().map(String::as_str));
        let text = format!("{} has no field \"{}\"", facet.entity, row.field);
        say(file, row.line, text, hint, problems);
        return;
    };
    if row.scope.is_some() && field.scope.is_none() {
        let text = format!("{}.{} has no scope", facet.entity, row.field);
        say(file, row.line, text, "leave out what follows the @".into(), problems);
    }
    for lens in row.read.iter().chain(&row.write) {
        if field.kind == Type::Money && row.list.is_none() && !money(lens) {
            let text = format!("{}.{} is money and needs a currency", facet.entity, row.field);
            say(file, row.line, text, "add \"| money($currency)\"".into(), problems);
        }
        for name in lens.refs().iter().flat_map(|r| r.split('|')) {
            if connector.resource(name).is_none() {
                let known = connector.resources.iter().map(|r| r.name.as_str());
                let hint = did_you_mean(name, known);
                say(file, row.line, format!("there is no resource \"{name}\""), hint, problems);
            }
        }
    }
}

fn money(lens: &Lens) -> bool {
    use crate::mapping::Codec;
    let says = |c: &Codec| {
        matches!(c, Codec::Money { .. } | Codec::MinorUnits { .. } | Codec::MoneyObject { .. })
    };
    lens.codecs().iter().any(says)
}

// ---- connections ----------------------------------------------------------------------------

fn connection_fits(house: &House, connection: &Connection, problems: &mut Vec<Problem>) {
    let file = house.config.file.as_str();
    let place = format!("connection.{}", connection.name);
    let line = |key: &str| connection.line_of(key);
    let Some(connector) = house.connectors.get(&connection.connector) else {
        let hint = did_you_mean(&connection.connector, house.connectors.keys().map(String::as_str));
        let text = format!("{place}: there is no connector \"{}\"", connection.connector);
        say(file, line("connector"), text, hint, problems);
        return;
    };
    for name in connection.settings.keys() {
        if !connector.settings.iter().any(|s| &s.name == name) {
            let hint = did_you_mean(name, connector.settings.iter().map(|s| s.name.as_str()));
            let text = format!("{place}: {} has no setting \"{name}\"", connector.name);
            say(file, line(name), text, hint, problems);
        }
    }
    if let Some(url) = connection.settings.get("url")
        && !url.starts_with("https://")
        && !url.starts_with("http://")
    {
        let text = format!("{place}: \"{url}\" is no address");
        say(file, line("url"), text, "as https://shop.example.com".into(), problems);
    }
    lists_fit(house, connection, problems);
    let observed = connection.observe.iter().map(|r| (r, "observe"));
    let swept = connection.sweep.keys().filter(|key| *key != ALL).map(|r| (r, "sweep"));
    let timed = connection.every.keys().map(|r| (r, "every")).chain(swept);
    // How often and when may be said of all resources that show an entity.
    let timed = timed.filter(|(r, _)| !connector.resources.iter().any(|known| known.root == **r));
    let named = observed.chain(timed);
    for (resource, key) in named.filter(|(r, _)| connector.resource(r).is_none()) {
        let hint = did_you_mean(resource, connector.resources.iter().map(|r| r.name.as_str()));
        let text = format!("{place}.{key}: {} has no resource \"{resource}\"", connector.name);
        say(file, line(&format!("{key}.{resource}")), text, hint, problems);
    }
    for entity in connection.gone.keys().filter(|e| *e != "*" && house.entities.get(e).is_none()) {
        let hint = did_you_mean(entity, house.entities.0.keys().map(String::as_str));
        let text = format!("{place}.gone: there is no entity \"{entity}\"");
        say(file, line(&format!("gone.{entity}")), text, hint, problems);
    }
    let states: BTreeSet<String> = house
        .entities
        .field("order", "status")
        .map(|f| f.values.iter().cloned().collect())
        .unwrap_or_default();
    for state in connection.orders.import.iter().filter(|s| !states.contains(*s)) {
        let hint = did_you_mean(state, states.iter().map(String::as_str));
        let line = line(&format!("orders.import.{state}"));
        say(file, line, format!("{place}.orders: there is no state \"{state}\""), hint, problems);
    }
}

fn lists_fit(house: &House, connection: &Connection, problems: &mut Vec<Problem>) {
    let config = &house.config;
    let file = config.file.as_str();
    let place = format!("connection.{}", connection.name);
    let known = config.price_lists.keys().map(String::as_str);
    let own = connection.price_list.iter().map(|list| (list, "price_list".to_owned()));
    let all = connection.price_lists.keys().map(|list| (list, format!("price_lists.{list}")));
    for (list, key) in all.chain(own) {
        if !config.price_lists.contains_key(list) {
            let hint = did_you_mean(list, known.clone());
            let line = connection.line_of(&key);
            say(file, line, format!("{place}: there is no price list \"{list}\""), hint, problems);
        }
    }
    for (location, _) in &connection.locations {
        if !config.locations.contains(location) {
            let hint = did_you_mean(location, config.locations.iter().map(String::as_str));
            let line = connection.line_of(&format!("locations.{location}"));
            say(
                file,
                line,
                format!("{place}: there is no location \"{location}\""),
                hint,
                problems,
            );
        }
    }
    let list = connection.price_list.as_ref().and_then(|l| config.price_lists.get(l));
    if let (Some(list), Some(currency)) = (list, &connection.currency)
        && &list.currency != currency
    {
        let text = format!(
            "{place}: its prices are in {}, and its price list in {}",
            currency, list.currency
        );
        let line = connection.line_of("currency");
        say(file, line, text, "a price list has one currency; name another list".into(), problems);
    }
}

// ---- ownership ------------------------------------------------------------------------------

fn ownership(house: &House, problems: &mut Vec<Problem>) {
    let config = &house.config;
    let file = config.file.as_str();
    for (entity_name, rows) in &config.ownership.0 {
        let Some(entity) = house.entities.get(entity_name) else {
            let line = rows.values().map(|o| o.line).min().unwrap_or(1);
            let hint = did_you_mean(entity_name, house.entities.0.keys().map(String::as_str));
            say(file, line, format!("own: there is no entity \"{entity_name}\""), hint, problems);
            continue;
        };
        for (field, own) in rows {
            let name = field.split('@').next().unwrap_or(field);
            let special = name == "*" || name == "existence";
            if !special && !entity.fields.contains_key(name) {
                let hint = did_you_mean(name, entity.fields.keys().map(String::as_str));
                let text = format!("own.{entity_name}: there is no field \"{name}\"");
                say(file, own.line, text, hint, problems);
            }
            if entity.fields.get(name).is_some_and(|f| f.derive.is_some()) {
                let text = format!("own.{entity_name}.{name}: it is derived, nobody owns it");
                say(file, own.line, text, "leave the line out".into(), problems);
            }
            owner_fits(house, entity_name, field, own, problems);
        }
    }
    if config.ownership.0.is_empty() && !config.connections.is_empty() {
        let hint =
            "[own.product]\n          \"*\" = \"<the connection that is right about products>\"";
        say(
            file,
            1,
            "nobody owns anything: nothing would be aligned".into(),
            hint.into(),
            problems,
        );
    }
}

fn owner_fits(house: &House, entity: &str, field: &str, own: &Own, problems: &mut Vec<Problem>) {
    let config = &house.config;
    let names = config.connections.keys().map(String::as_str);
    let mut who: Vec<&String> = own.seed.iter().collect();
    if let Owner::Connection(name) = &own.owner {
        who.push(name);
    }
    for name in who {
        if !config.connections.contains_key(name) {
            let hint = did_you_mean(name, names.clone());
            let text = format!("own.{entity}.{field}: there is no connection \"{name}\"");
            say(&config.file, own.line, text, hint, problems);
        }
    }
}

/// Who owns what, for the table of `kilter check`: (entity, field@scope, owner, who reads, who writes).
pub fn owners(house: &House) -> Vec<[String; 5]> {
    let mut rows = OwnerRows::new();
    for view in house.views() {
        let each = view.resource.list.as_ref().and_then(|l| l.each.as_deref());
        let each = each.map_or_else(|| vec![String::new()], |w| view.connection.each(w));
        for each in each {
            owners_of(&view, &each, &mut rows);
        }
    }
    let join = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(" ");
    rows.into_iter()
        .map(|((entity, field), (owner, reads, writes))| {
            [entity, field, owner, join(reads), join(writes)]
        })
        .collect()
}

type OwnerRows = BTreeMap<(String, String), (String, BTreeSet<String>, BTreeSet<String>)>;

fn owners_of(view: &View<'_>, each: &str, rows: &mut OwnerRows) {
    let vars = view.connection.vars(each);
    for facet in &view.resource.facets {
        for row in &facet.rows {
            let stand = view.stand(facet, row, &vars);
            let (scope, mode) = (&stand.scope, view.mode(&stand, None));
            let derived = view.field(facet, row).and_then(|f| f.derive.as_deref());
            if row.field == SELF {
                continue;
            }
            let own = view.house.config.ownership.of(&facet.entity, &row.field, scope);
            let owner = match (derived, own.map(|o| (&o.owner, &o.seed))) {
                (Some(rule), _) => format!("derived ({rule})"),
                (_, Some((Owner::Connection(name), Some(seed)))) => {
                    format!("{name}, seeded by {seed}")
                }
                (_, Some((Owner::Connection(name), None))) => name.clone(),
                (_, Some((Owner::Origin, _))) => "where it was born".to_owned(),
                _ => continue,
            };
            let name =
                if scope.is_empty() { row.field.clone() } else { format!("{}@{scope}", row.field) };
            let entry = rows.entry((facet.entity.clone(), name)).or_default();
            entry.0 = owner;
            if mode.takes || mode.seeds {
                entry.1.insert(view.connection.name.clone());
            }
            if (mode.writes || mode.creates) && !view.resource.writes.is_empty() {
                entry.2.insert(view.connection.name.clone());
            }
        }
    }
}
