//! The compiled whole: entities, connectors, config; and one resource of one connection seen
//! through them, with who may say what.
//!
//! Reads   config, connectors, entities.   Writes  nothing.   Never  changes after load.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::Json;
use crate::config::{Config, Connection, Owner};
use crate::entity::{Entities, Field};
pub use crate::manifest::Mode;
use crate::manifest::{Connector, Facet, Resource, Row, Stand, Vars, plain};
use crate::mapping::Env;
use crate::model::{Record, RowKey, Text};
use crate::sync::derive::FIGURES;

#[derive(Debug, Clone)]
pub struct House {
    pub entities: Entities,
    pub connectors: BTreeMap<String, Connector>,
    pub config: Config,
    /// Connection → its connector, less the resources that its settings switch off.
    active: BTreeMap<String, Connector>,
    /// Connection → each of what it lists for, and "" → what templates may name.
    vars: BTreeMap<String, BTreeMap<String, Vars>>,
    /// Entity → fields that say where a record should be.
    say: BTreeMap<String, BTreeSet<String>>,
    /// Entity → connections that are told when a record of it changes.
    told: BTreeMap<String, Vec<Text>>,
}

/// One resource of one connection.
#[derive(Debug, Clone, Copy)]
pub struct View<'h> {
    pub house: &'h House,
    pub connection: &'h Connection,
    pub connector: &'h Connector,
    pub resource: &'h Resource,
}

impl House {
    pub fn new(
        entities: Entities,
        connectors: BTreeMap<String, Connector>,
        config: Config,
    ) -> Self {
        let (mut active, mut vars) = (BTreeMap::new(), BTreeMap::new());
        for (name, connection) in &config.connections {
            let Some(connector) = connectors.get(&connection.connector) else { continue };
            let mut connector = connector.clone();
            connector.resources.retain(|r| stands(connection, &r.only_if));
            for resource in &mut connector.resources {
                resource.writes.retain(|way| stands(connection, &way.only_if));
            }
            active.insert(name.clone(), connector);
            vars.insert(name.clone(), all_vars(connection));
        }
        let (say, told) = (BTreeMap::new(), BTreeMap::new());
        let mut house = Self { entities, connectors, config, active, vars, say, told };
        house.work_out_stands();
        (house.say, house.told) = (house.work_out_say(), house.work_out_told());
        house
    }

    /// Where each row stands in each connection.
    fn work_out_stands(&mut self) {
        let stands: Vec<Option<Stand>> = self.all_rows().map(Self::same_for_each).collect();
        let facets =
            self.active.values_mut().flat_map(|c| &mut c.resources).flat_map(|r| &mut r.facets);
        let rows = facets.flat_map(|facet| &mut facet.rows);
        rows.zip(stands).for_each(|(row, stand)| row.stand = stand.map(Arc::new));
    }

    /// What the selections of every resource ask for, and what keys are made of.
    fn work_out_say(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut say: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, entity) in &self.entities.0 {
            say.entry(name.clone()).or_default().extend(entity.key.iter().cloned());
        }
        for view in self.views() {
            for select in &view.resource.select {
                let (entity, field) = match select.field.split_once('.') {
                    None => (Some(&view.resource.root), select.field.as_str()),
                    Some((name, field)) => {
                        let facet = view.resource.facets.iter().find(|f| f.name == name);
                        (facet.map(|f| &f.entity), field)
                    }
                };
                let fields = entity.map(|entity| say.entry(entity.clone()).or_default());
                fields.into_iter().for_each(|fields| fields.extend([field.to_owned()]));
            }
        }
        say
    }

    /// Where a record of the entity is the root of what is written, or has a state there.
    fn work_out_told(&self) -> BTreeMap<String, Vec<Text>> {
        let mut told: BTreeMap<String, Vec<Text>> = BTreeMap::new();
        for view in self.views().filter(View::hears) {
            let names = told.entry(view.resource.root.clone()).or_default();
            names.push(view.connection.name.as_str().into());
            names.dedup();
        }
        told
    }

    /// Connections whose objects of a root of this entity look again when it changes.
    pub fn told_of(&self, entity: &str) -> &[Text] {
        self.told.get(entity).map_or(&[], Vec::as_slice)
    }

    /// May a field of an entity say where its record, or what that is part of, should be? All of a
    /// document may: its state, when it was placed.
    pub fn has_say(&self, entity: &str, field: &str) -> bool {
        self.entities.get(entity).is_none_or(|entity| entity.document)
            || self.say.get(entity).is_none_or(|fields| fields.contains(field))
    }

    /// In the order in which they stand.
    fn all_rows(&self) -> impl Iterator<Item = (View<'_>, &Facet, &Row)> {
        let resources = self.active.iter().flat_map(move |(name, connector)| {
            let connection = self.config.connections.get(name);
            let resources = connector.resources.iter();
            resources.filter_map(move |resource| {
                Some(View { house: self, connection: connection?, connector, resource })
            })
        });
        resources.flat_map(|view| {
            let facets = view.resource.facets.iter();
            facets.flat_map(move |facet| facet.rows.iter().map(move |row| (view, facet, row)))
        })
    }

    /// None: it depends on what is listed for, as `$each` and the variables that go with it do alone.
    fn same_for_each((view, facet, row): (View<'_>, &Facet, &Row)) -> Option<Stand> {
        let differs = row.scope.as_deref().is_some_and(|scope| scope.starts_with("$each"));
        (!differs).then(|| view.work_out(facet, row, &view.vars("")))
    }

    pub fn connector(&self, connection: &str) -> Option<(&Connection, &Connector)> {
        Some((self.config.connections.get(connection)?, self.active.get(connection)?))
    }

    /// What a template of a connection may name; worked out once.
    pub fn vars<'h>(&'h self, connection: &'h Connection, each: &str) -> Cow<'h, Vars> {
        match self.vars.get(&connection.name).and_then(|all| all.get(each)) {
            Some(vars) => Cow::Borrowed(vars),
            None => Cow::Owned(connection.vars(each)),
        }
    }

    pub fn view(&self, connection: &str, resource: &str) -> Option<View<'_>> {
        let (connection, connector) = self.connector(connection)?;
        let resource = connector.resource(resource)?;
        let view = View { house: self, connection, connector, resource };
        view.stands().then_some(view)
    }

    /// Every resource of every connection, in the order of their names.
    pub fn views(&self) -> impl Iterator<Item = View<'_>> {
        self.config.connections.values().flat_map(move |connection| {
            let connector = self.active.get(&connection.name);
            connector.into_iter().flat_map(move |connector| {
                connector
                    .resources
                    .iter()
                    .map(move |resource| View { house: self, connection, connector, resource })
                    .filter(View::stands)
            })
        })
    }
}

fn all_vars(connection: &Connection) -> BTreeMap<String, Vars> {
    let mut each = vec![String::new()];
    for what in ["$locations", "$price_lists", "$locales"] {
        each.extend(connection.each(what));
    }
    each.into_iter().map(|each| (each.clone(), connection.vars(&each))).collect()
}

/// What names settings stands only where they have the values it names.
pub fn stands(connection: &Connection, only_if: &[(String, Vec<Json>)]) -> bool {
    let vars = connection.vars("");
    only_if.iter().all(|(setting, values)| {
        vars.get(setting).is_some_and(|v| values.iter().any(|w| plain(w) == plain(v)))
    })
}

impl<'h> View<'h> {
    /// What a template may name.
    pub fn vars(&self, each: &str) -> Cow<'h, Vars> {
        self.house.vars(self.connection, each)
    }

    pub fn env<'e>(&'e self, vars: &'e BTreeMap<String, Json>, root: Option<&'e Json>) -> Env<'e> {
        Env { vars, tables: &self.connection.lookups, root }
    }

    /// Do the connection's settings ask for this resource?
    pub fn stands(&self) -> bool {
        self.resource.only_if.iter().all(|(name, values)| {
            let set = self.connection.settings.get(name);
            let default =
                || self.connector.settings.iter().find(|s| &s.name == name)?.default.as_ref();
            let value = set.or_else(default);
            value.is_some_and(|value| values.iter().any(|v| &crate::manifest::plain(v) == value))
        })
    }

    pub fn root_facet(&self) -> Option<&'h Facet> {
        self.resource.facets.first()
    }

    pub fn field(&self, facet: &Facet, row: &Row) -> Option<&'h Field> {
        self.house.entities.field(&facet.entity, &row.field)
    }

    /// Where a row stands here; worked out before, unless it depends on what is listed for.
    pub fn stand<'s>(&self, facet: &Facet, row: &'s Row, vars: &Vars) -> Cow<'s, Stand> {
        match &row.stand {
            Some(stand) => Cow::Borrowed(stand),
            None => Cow::Owned(self.work_out(facet, row, vars)),
        }
    }

    /// What may be done with a row of a record. None: it is not born yet.
    pub fn mode(&self, stand: &Stand, record: Option<&Record>) -> Mode {
        let here = record.is_none_or(|r| r.origin == self.connection.name);
        if here { stand.here } else { stand.elsewhere }
    }

    fn work_out(&self, facet: &Facet, row: &Row, vars: &Vars) -> Stand {
        let scope = self.scope(facet, row, vars);
        let derived = self.field(facet, row).and_then(|field| field.derive.as_deref());
        Stand {
            key: row_key(facet, row, &scope),
            here: self.may(facet, row, &scope, true),
            elsewhere: self.may(facet, row, &scope, false),
            figure: derived.is_some_and(|rule| FIGURES.contains(&rule)),
            scope: scope.into(),
        }
    }

    /// The scope of a row: its own, else what the field's kind of scope is here, else none.
    fn scope(&self, facet: &Facet, row: &Row, vars: &Vars) -> String {
        let name = match &row.scope {
            Some(scope) => scope.as_str(),
            None => match self.field(facet, row).and_then(|f| f.scope.as_deref()) {
                Some("locale") => "$locale",
                Some("channel") => "$channel",
                Some(_) => "$connection",
                None => return String::new(),
            },
        };
        match name.strip_prefix('$') {
            Some(var) => vars.get(var).and_then(Json::as_str).unwrap_or_default().to_owned(),
            None => name.to_owned(),
        }
    }

    /// Of a record that is born here, or of another's.
    fn may(&self, facet: &Facet, row: &Row, scope: &str, here: bool) -> Mode {
        if row.field == SELF {
            let creates = row.write.is_some();
            return Mode { writes: creates && !row.fixed, creates, ..Mode::default() };
        }
        let Some(field) = self.field(facet, row) else { return Mode::default() };
        if field.derive.is_some() {
            let writes = row.is_written();
            return Mode { writes: writes && !row.fixed, creates: writes, ..Mode::default() };
        }
        let ownership = &self.house.config.ownership;
        let Some(own) = ownership.of(&facet.entity, &row.field, scope) else {
            return Mode::default();
        };
        let me = &self.connection.name;
        let mine = match &own.owner {
            Owner::Connection(name) => name == me,
            Owner::Origin => here,
            Owner::Nobody => return Mode::default(),
        };
        let writable = row.is_written();
        let seeded_by_other = own.seed.as_ref().is_some_and(|s| s != me);
        Mode {
            takes: mine && !row.observe,
            seeds: !mine && own.seed.as_ref() == Some(me) && !row.observe,
            writes: !mine && writable && !row.fixed,
            creates: writable && (!mine || seeded_by_other),
        }
    }

    /// A hash of what shapes the objects of this resource: its rows, the connection's settings, the
    /// entities it shows, and who owns their fields. Where it changes, all is looked at again.
    pub fn shape(&self) -> String {
        let mut hash = blake3::Hasher::new();
        hash.update(self.resource.shape.as_bytes()).update(self.connection.shape.as_bytes());
        let config = &self.house.config;
        hash.update(format!("{:?}{:?}", config.price_lists, config.locations).as_bytes());
        for facet in &self.resource.facets {
            let entity = self.house.entities.get(&facet.entity);
            hash.update(entity.map_or("", |e| e.shape.as_str()).as_bytes());
            for (field, own) in config.ownership.0.get(&facet.entity).into_iter().flatten() {
                hash.update(format!("{field}={:?}/{:?};", own.owner, own.seed).as_bytes());
            }
        }
        hash.finalize().to_hex().to_string()
    }

    /// May this connection bring a record of this entity into being?
    pub fn bears(&self, entity: &str) -> bool {
        match self.house.config.ownership.existence(entity).map(|own| &own.owner) {
            Some(Owner::Connection(name)) => name == &self.connection.name,
            Some(Owner::Origin) => true,
            _ => false,
        }
    }

    /// Do its objects look again when what they show changes?
    pub fn hears(&self) -> bool {
        !self.resource.writes.is_empty() || self.resource.lifecycle.is_some()
    }

    /// Is anything ever created here?
    pub fn creates(&self) -> bool {
        let create = crate::manifest::Kind::Create;
        self.resource.writes.iter().any(|w| w.kinds.contains(&create))
    }
}

fn row_key(facet: &Facet, row: &Row, scope: &str) -> RowKey {
    if scope.is_empty() {
        compact_str::format_compact!("{}.{}", facet.name, row.field)
    } else {
        compact_str::format_compact!("{}.{}@{scope}", facet.name, row.field)
    }
}

/// The row that names the facet's own record: in a listing that is about another object (`by`), or
/// written, where one object of a record names another of the same (an order, its address).
pub const SELF: &str = "self";

/// The remote's state and total of a document, kept in the shadow beside the rows.
pub const STATE_ROW: &str = "~state";
pub const TOTAL_ROW: &str = "~total";
/// What a document was at birth: lines, totals, addresses.
pub const BIRTH_ROW: &str = "~birth";
/// The rounding line that a document was given, so that it is given one.
pub const ROUNDED_ROW: &str = "~rounded";
/// Which items of lists are ours, by what they were sent as.
pub const PLACES_ROW: &str = "~places";
/// What the shop wanted when a person said to leave a document as it is.
pub const DECIDED_ROW: &str = "~decided";
