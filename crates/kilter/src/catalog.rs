//! The catalogue: entities and connectors, built in, and the merchant's own beside his config.
//!
//! Reads   the built-in files; `connectors/` beside `kilter.toml`.   Writes  nothing.
//! Never   talks to a remote.

use std::collections::BTreeMap;
use std::path::Path;

use kilter_core::config::{Config, Connection, Secret, read_config};
use kilter_core::doc::Problem;
use kilter_core::entity::Entities;
use kilter_core::manifest::graphql::is_document;
use kilter_core::manifest::{Auth, Connector, read_connector};
use kilter_core::sync::house::House;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../connectors"]
struct Connectors;

#[derive(RustEmbed)]
#[folder = "../../entities"]
struct EntityFiles;

/// Reads everything; problems are collected, not thrown.
pub fn load(path: &Path, problems: &mut Vec<Problem>) -> std::io::Result<House> {
    let text = std::fs::read_to_string(path)?;
    let file = path.display().to_string();
    let env = |name: &str| std::env::var(name).ok();
    let mut config = read_config(&file, &text, &env, problems);
    let own = path.parent().unwrap_or(Path::new(".")).join("connectors");
    let mut connectors = BTreeMap::new();
    for name in names(&own) {
        if let Some(connector) = connector(&name, &own, problems) {
            connectors.insert(name, connector);
        }
    }
    seal(&mut config, &connectors, problems);
    let house = House::new(entities(problems), connectors, config);
    kilter_core::check::check(&house, problems);
    problems.sort();
    problems.dedup();
    Ok(house)
}

pub fn entities(problems: &mut Vec<Problem>) -> Entities {
    let files: Vec<(String, String)> = EntityFiles::iter()
        .filter_map(|name| {
            let file = EntityFiles::get(&name)?;
            let text = String::from_utf8_lossy(&file.data).into_owned();
            Some((format!("entities/{name}"), text))
        })
        .collect();
    Entities::read(files.iter().map(|(f, t)| (f.as_str(), t.as_str())), problems)
}

/// The names of every connector there is: built in, and the merchant's own.
pub fn names(own: &Path) -> Vec<String> {
    let mut names: Vec<String> = Connectors::iter()
        .filter_map(|path| path.strip_suffix("/connector.toml").map(str::to_owned))
        .collect();
    for entry in std::fs::read_dir(own).into_iter().flatten().flatten() {
        if entry.path().join("connector.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    names.dedup();
    names
}

/// The files of a connector's folder, by path: its own `.toml` and `.graphql`, not its cases.
pub fn files(name: &str, own: &Path) -> Vec<(String, String)> {
    let folder = own.join(name);
    if folder.join("connector.toml").is_file() {
        return read_files(&folder);
    }
    built_in(&format!("{name}/"))
}

/// The files of a connector's cases.
pub fn cases(name: &str, own: &Path) -> Vec<(String, String)> {
    let folder = own.join(name);
    if folder.join("connector.toml").is_file() {
        return only_toml(read_files(&folder.join("cases")));
    }
    only_toml(built_in(&format!("{name}/cases/")))
}

/// What a connector's folder says to the conformance story.
pub fn conformance(name: &str, own: &Path) -> Vec<(String, String)> {
    let folder = own.join(name);
    if folder.join("connector.toml").is_file() {
        return only_toml(read_files(&folder.join("conformance")));
    }
    only_toml(built_in(&format!("{name}/conformance/")))
}

fn only_toml(mut files: Vec<(String, String)>) -> Vec<(String, String)> {
    files.retain(|(file, _)| !is_document(file));
    files
}

fn read_files(folder: &Path) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.to_str().is_some_and(belongs)
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            out.push((path.display().to_string(), text));
        }
    }
    out.sort();
    out
}

/// A connector is data: what else lies in its folder is for people.
fn belongs(file: &str) -> bool {
    file.ends_with(".toml") || is_document(file)
}

/// Built-in files directly below a folder.
pub fn built_in(prefix: &str) -> Vec<(String, String)> {
    Connectors::iter()
        .filter(|path| {
            let rest = path.strip_prefix(prefix);
            rest.is_some_and(|r| !r.contains('/') && belongs(r))
        })
        .filter_map(|path| {
            let file = Connectors::get(&path)?;
            let text = String::from_utf8_lossy(&file.data).into_owned();
            Some((format!("connectors/{path}"), text))
        })
        .collect()
}

pub fn connector(name: &str, own: &Path, problems: &mut Vec<Problem>) -> Option<Connector> {
    read_connector(&files(name, own), problems)
}

/// Settings that the connector calls secret leave the plain ones; defaults are filled in.
pub fn seal(
    config: &mut Config,
    connectors: &BTreeMap<String, Connector>,
    problems: &mut Vec<Problem>,
) {
    for connection in config.connections.values_mut() {
        let Some(connector) = connectors.get(&connection.connector) else { continue };
        for setting in &connector.settings {
            let given = connection.settings.remove(&setting.name).or(setting.default.clone());
            match given {
                Some(text) if setting.secret => {
                    connection.secrets.insert(setting.name.clone(), Secret::new(text));
                }
                Some(text) => {
                    connection.settings.insert(setting.name.clone(), text);
                }
                None if setting.required => problems.push(Problem {
                    file: config.file.clone(),
                    line: connection.line,
                    text: format!("connection.{} lacks \"{}\"", connection.name, setting.name),
                    hint: setting.help.clone(),
                }),
                None => {}
            }
        }
        known_way(config.file.as_str(), connection, connector, problems);
    }
}

/// Where a connector knows several ways to log in, what is given must be enough for one.
fn known_way(
    file: &str,
    connection: &Connection,
    connector: &Connector,
    problems: &mut Vec<Problem>,
) {
    let mut vars = connection.vars("");
    for (name, secret) in &connection.secrets {
        vars.insert(name.clone(), secret.expose().into());
    }
    if connector.auth.len() < 2 || Auth::choose(&connector.auth, &vars).is_some() {
        return;
    }
    let way = |auth: &Auth| auth.needs().into_iter().collect::<Vec<_>>().join(", ");
    problems.push(Problem {
        file: file.to_owned(),
        line: connection.line,
        text: format!("connection.{}: nothing to log in with", connection.name),
        hint: connector.auth.iter().map(way).collect::<Vec<_>>().join("; or "),
    });
}
