//! The story's house: the connection that is told of, and a source of truth beside it.
//!
//! Reads   a config: the connector's own for its twin, or a merchant's.   Writes  nothing.
//! Never   keeps another connection, nor who owns what there: the story decides that.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use kilter_core::config::{Config, Connection, Own, Owner, Ownership, read_config};
use kilter_core::doc::Problem;
use kilter_core::manifest::{Call, Connector, List, Page, read_connector};
use kilter_core::sync::house::House;

use super::able::Able;

/// The connection that is right about what the story sells.
pub const SOURCE: &str = "story";

const FILES: &[(&str, &str)] = &[
    ("story/connector.toml", include_str!("source/connector.toml")),
    ("story/products.toml", include_str!("source/products.toml")),
    ("story/variants.toml", include_str!("source/variants.toml")),
    ("story/prices.toml", include_str!("source/prices.toml")),
    ("story/stock.toml", include_str!("source/stock.toml")),
    ("story/orders.toml", include_str!("source/orders.toml")),
];

/// Items of a page, where a listing says to the remote how many it wants.
pub const PAGE: usize = 4;

/// What a house is made of, to make it again with something changed.
#[derive(Debug, Clone)]
pub struct Plot {
    pub config: Config,
    pub connectors: BTreeMap<String, Connector>,
    /// The connection that is told of.
    pub told: String,
}

impl Plot {
    pub fn house(&self) -> anyhow::Result<House> {
        let mut problems = Vec::new();
        let entities = crate::catalog::entities(&mut problems);
        told(&problems)?;
        Ok(House::new(entities, self.connectors.clone(), self.config.clone()))
    }

    /// A text of the config is already filled in.
    pub fn read(
        text: &str,
        file: &Path,
        connection: Option<&str>,
        connector: Connector,
        door: &str,
    ) -> anyhow::Result<Self> {
        let mut problems = Vec::new();
        let env = |name: &str| std::env::var(name).ok();
        let shown = file.display().to_string();
        let mut config = read_config(&shown, text, &env, &mut problems);
        let named = |c: &&Connection| c.connector == connector.name;
        let told_of = match connection {
            Some(name) => name.to_owned(),
            None => {
                config.connections.values().find(named).map(|c| c.name.clone()).with_context(
                    || format!("find a connection of {} in {shown}", connector.name),
                )?
            }
        };
        config.connections.retain(|name, c| *name == told_of && c.connector == connector.name);
        let x = config.connections.get(&told_of).cloned().with_context(|| {
            format!("find the connection \"{told_of}\" of {} in {shown}", connector.name)
        })?;
        let source = source(&mut problems)?;
        config.connections.insert(SOURCE.to_owned(), beside(&x, &config)?);
        config.ownership = ownership(&Able::of(&connector), &told_of);
        config.public_url = Some(door.to_owned());
        let mut connectors = BTreeMap::from([(source.name.clone(), source)]);
        connectors.insert(connector.name.clone(), connector);
        crate::catalog::seal(&mut config, &connectors, &mut problems);
        let plot = Self { config, connectors, told: told_of };
        kilter_core::check::check(&plot.house()?, &mut problems);
        told(&problems)?;
        Ok(plot)
    }
}

fn told(problems: &[Problem]) -> anyhow::Result<()> {
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    anyhow::ensure!(problems.is_empty(), "read the story's config:\n{}", text.join("\n"));
    Ok(())
}

fn source(problems: &mut Vec<Problem>) -> anyhow::Result<Connector> {
    let files: Vec<(String, String)> =
        FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let mut connector = read_connector(&files, problems).context("read the story's own files")?;
    // Nobody is asked: the listing stands there for its names alone.
    for resource in &mut connector.resources {
        resource.list = None;
    }
    Ok(connector)
}

/// The source speaks of the same locale, prices and places.
fn beside(x: &Connection, config: &Config) -> anyhow::Result<Connection> {
    let text = format!(
        "[connection.{SOURCE}]\nconnector = \"{SOURCE}\"\nurl = \"http://{SOURCE}.invalid\"\n"
    );
    let mut problems = Vec::new();
    let mut own = read_config(SOURCE, &text, &|_| None, &mut problems);
    told(&problems)?;
    let mut source = own.connections.remove(SOURCE).context("make the story's source")?;
    let first = || x.locales.keys().next().cloned();
    source.locale = x.locale.clone().or_else(first);
    let first = || x.price_lists.keys().next().cloned();
    source.price_list = x.price_list.clone().or_else(first);
    let list = source.price_list.as_ref().and_then(|list| config.price_lists.get(list));
    source.currency = x.currency.clone().or_else(|| list.map(|l| l.currency.clone()));
    source.locations = x.locations.iter().map(|(n, _)| (n.clone(), n.clone())).collect();
    source.orders.prefix = "STORY".to_owned();
    Ok(source)
}

/// Who is right: about goods the source, where the connector can create them; else the connection
/// itself, but for the one field that the story changes there. About orders, where they were born.
fn ownership(able: &Able, x: &str) -> Ownership {
    let own = |owner| Own { owner, seed: None, line: 0 };
    let by = |name: &str| own(Owner::Connection(name.to_owned()));
    let all = |owner: Own| BTreeMap::from([("*".to_owned(), owner)]);
    let goods = if able.goods { SOURCE } else { x };
    let mut entities: BTreeMap<String, BTreeMap<String, Own>> =
        ["product", "variant", "price", "stock"]
            .map(|entity| (entity.to_owned(), all(by(goods))))
            .into();
    if let Some(change) = able.change.filter(|_| !able.goods) {
        let (entity, field) = change.field();
        entities.entry(entity.to_owned()).or_default().insert(field.to_owned(), by(SOURCE));
    }
    for entity in ["order", "customer", "refund"] {
        entities.insert(entity.to_owned(), all(own(Owner::Origin)));
    }
    entities.entry("order".to_owned()).or_default().insert("fulfilment".to_owned(), by(x));
    entities.insert("shipment".to_owned(), all(by(x)));
    Ownership(entities)
}

/// Small pages, where a listing asks for a number of items: a few are many pages then. And what
/// waits until a remote has surely given up waits a second: the twin does nothing behind our back.
pub fn hurried(connector: &mut Connector) {
    for resource in &mut connector.resources {
        if let Some(list) = &mut resource.list
            && asks_for_a_number(list)
        {
            list.page = match list.page {
                Page::Number { .. } => Page::Number { size: PAGE },
                Page::Offset { .. } => Page::Offset { size: PAGE },
                Page::Token { .. } => Page::Token { size: PAGE },
                Page::Whole => Page::Whole,
            };
        }
        if let Some(permit) = &mut resource.permit {
            permit.quiescence_seconds = 1;
        }
    }
}

fn asks_for_a_number(list: &List) -> bool {
    let named = |call: &Call| {
        let body = call.body.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{}{body}", call.query).contains("\"$limit\"")
    };
    named(&list.call) && list.full.as_ref().is_none_or(named)
}
