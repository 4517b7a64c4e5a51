//! Able: what a connector can, derived from its data alone.
//!
//! Reads   a connector.   Writes  nothing.   Never  knows a connector by its name.

use kilter_core::manifest::{Connector, Facet, Kind, Resource, Row};

/// A field that the story changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Title,
    Barcode,
}

impl Change {
    pub fn field(self) -> (&'static str, &'static str) {
        match self {
            Self::Title => ("product", "title"),
            Self::Barcode => ("variant", "barcode"),
        }
    }
}

/// What the story may ask of a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Able {
    /// New things to sell.
    pub goods: bool,
    /// New orders: it is where orders go.
    pub orders: bool,
    pub change: Option<Change>,
    pub archive: bool,
    pub webhooks: bool,
}

impl Able {
    pub fn of(connector: &Connector) -> Self {
        let new =
            |root: &str| connector.resources.iter().any(|r| r.root == root && has(r, Kind::Create));
        let goods = new("variant");
        let known = [Change::Title, Change::Barcode];
        Self {
            goods,
            orders: new("order"),
            change: known.into_iter().find(|c| {
                let (entity, field) = c.field();
                connector.resources.iter().any(|r| updates(r, entity, field))
            }),
            archive: goods
                && connector.resources.iter().any(|r| of_goods(r) && has(r, Kind::Archive)),
            webhooks: connector.webhook.is_some(),
        }
    }
}

pub fn of_goods(resource: &Resource) -> bool {
    ["product", "variant"].contains(&resource.root.as_str())
}

pub fn has(resource: &Resource, kind: Kind) -> bool {
    resource.writes.iter().any(|w| w.kinds.contains(&kind))
}

fn rows<'r>(resource: &'r Resource, entity: &'r str) -> impl Iterator<Item = &'r Row> {
    let own = move |f: &&Facet| f.entity == entity;
    resource.facets.iter().filter(own).flat_map(|f| &f.rows)
}

fn updates(resource: &Resource, entity: &str, field: &str) -> bool {
    let written = |r: &Row| r.field == field && r.is_written() && !r.fixed;
    has(resource, Kind::Update) && rows(resource, entity).any(written)
}

/// What is read of an entity enters a record.
pub fn reads(connector: &Connector, entity: &str) -> bool {
    let taken = |r: &Row| !r.observe && (r.read.is_some() || r.list.is_some());
    let listed = connector.resources.iter().filter(|r| r.list.is_some());
    let mut resources = listed.filter(|r| rows(r, entity).any(taken));
    resources.next().is_some()
}

/// A derived field that shows something of another entity: what is written of it is written there.
const SHOWN: &[(&str, &str, &str)] =
    &[("stock", "variant", "sellable"), ("shipment", "order", "tracking")];

/// What is created of an entity, and whether it is changed or moved on afterwards.
pub fn writes(connector: &Connector, entity: &str) -> (bool, bool) {
    let ways = |kind: Kind, entity: &str, wanted: &dyn Fn(&Row) -> bool| {
        let mut able = connector.resources.iter().filter(|r| has(r, kind));
        able.any(|r| rows(r, entity).any(|row| row.is_written() && wanted(row)))
    };
    let own = |row: &Row| !SHOWN.iter().any(|(_, _, field)| row.field == *field);
    let shown = SHOWN.iter().filter(|(of, _, _)| *of == entity).any(|(_, shows, field)| {
        ways(Kind::Update, shows, &|row| row.field == *field && !row.fixed)
    });
    let steps = |r: &Resource| r.lifecycle.as_ref().is_some_and(|c| !c.steps.is_empty());
    let moved = connector.resources.iter().any(|r| r.root == entity && steps(r));
    let updates = ways(Kind::Update, entity, &|row| own(row) && !row.fixed);
    (ways(Kind::Create, entity, &own), updates || shown || moved)
}

/// A listing that runs for each of our names of something: price lists, locations.
pub fn listed_for_each(connector: &Connector, root: &str) -> bool {
    let each = |r: &Resource| r.list.as_ref().is_some_and(|l| l.each.is_some());
    connector.resources.iter().any(|r| r.root == root && each(r))
}
