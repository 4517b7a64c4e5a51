//! `kilter.toml` as types: connections with their scope, lists, locations, ownership.
//!
//! Reads   the text of the config and the environment it is given.   Writes  problems.
//! Never   opens a file, reads a variable or prints a secret itself.

mod connection;

pub use connection::OWN_KEYS;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::Json;
use crate::doc::{Node, Problem, Reader, Val, parse};
use crate::mapping::Table;

/// A secret is shown as three stars, wherever it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Debug, Clone)]
pub struct Config {
    pub file: String,
    pub store: String,
    pub listen: String,
    pub public_url: Option<String>,
    pub price_lists: BTreeMap<String, PriceList>,
    pub locations: BTreeSet<String>,
    pub connections: BTreeMap<String, Connection>,
    pub ownership: Ownership,
    pub limits: Limits,
    /// Minute of the day, UTC, from which everything is read again.
    pub sweep_minute: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceList {
    pub currency: String,
    pub tax_included: bool,
}

/// Every bound that is not a connector's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub hook_body_bytes: usize,
    pub merge_batch: usize,
    pub deliver_batch: usize,
    pub tries_max: u32,
    pub repairs_max: u32,
    /// Most cents that a document's total may be off by and still be rounding.
    pub rounding_cents_max: u32,
    pub pages_max: usize,
    /// Most objects that a sweep may find absent, in percent and in number, whichever is fewer;
    /// and most existing ones that a new resource changes. More wait for `sync --approve`.
    pub mass_percent: usize,
    pub mass_objects: usize,
    pub answer_bytes: usize,
    /// For so many days a change that ended, and what is told of a delivery, is kept.
    pub changes_kept_days: usize,
    pub deliveries_kept_days: usize,
    /// The same for exchanges, of which there are no more than so many.
    pub exchanges_kept_days: usize,
    pub exchanges_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hook_body_bytes: 2 * 1024 * 1024,
            merge_batch: 500,
            deliver_batch: 1000,
            tries_max: 12,
            repairs_max: 5,
            rounding_cents_max: 100,
            pages_max: 100_000,
            mass_percent: 5,
            mass_objects: 50,
            answer_bytes: 32 * 1024 * 1024,
            changes_kept_days: 30,
            deliveries_kept_days: 90,
            exchanges_kept_days: 7,
            exchanges_max: 200_000,
        }
    }
}

/// What follows when somebody deletes what another system says should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gone {
    /// A person is asked.
    #[default]
    Ask,
    /// It stays away, and nobody is asked.
    Leave,
    /// It is created again. Documents are not: a person is asked.
    Recreate,
}

/// What follows where an object must be deleted and made anew to be as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replace {
    /// A person is asked.
    #[default]
    Ask,
    /// It is done.
    Always,
}

/// One account of a connector.
#[derive(Clone)]
pub struct Connection {
    pub name: String,
    pub connector: String,
    pub line: usize,
    /// `key`, `table.key`, `list.item` → its line.
    pub lines: BTreeMap<String, usize>,
    /// Who is at the other end, as the remote itself says; learned at first contact.
    pub account: String,
    /// Plain settings, the connector's own.
    pub settings: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, Secret>,
    pub locale: Option<String>,
    pub locales: BTreeMap<String, String>,
    pub currency: Option<String>,
    pub price_list: Option<String>,
    /// Name → the remote's id. A shop that has no locations of its own names them only.
    pub price_lists: BTreeMap<String, String>,
    /// Price list → its currency, for remotes whose lists have none.
    pub list_currencies: BTreeMap<String, String>,
    pub locations: Vec<(String, String)>,
    pub channel: Option<String>,
    pub lookups: BTreeMap<String, Table>,
    pub orders: Orders,
    /// Pieces kept back of each variant,
    pub buffer: u32,
    /// … and of those that have one of their own: folded SKU → pieces.
    pub buffers: BTreeMap<String, u32>,
    pub paused: bool,
    /// Resources whose plans are shown and not sent.
    pub observe: BTreeSet<String>,
    /// Long listings and first loads may go as jobs of the remote, where it has such; else by pages and
    /// calls.
    pub bulk: bool,
    /// Resource or entity → seconds between polls.
    pub every: BTreeMap<String, i64>,
    /// Resource, entity or `at` → minute of the day, UTC, from which it is swept.
    pub sweep: BTreeMap<String, u32>,
    /// A hash of what shapes its objects: lists, locations, lookups, settings. Not how often it is
    /// read, or whether.
    pub shape: String,
    /// Entity, or `*` → what follows when it was deleted here.
    pub gone: BTreeMap<String, Gone>,
    /// Entity, or `*` → whether what must be made anew is.
    pub replace: BTreeMap<String, Replace>,
}

impl Connection {
    pub fn gone_policy(&self, entity: &str) -> Gone {
        self.gone.get(entity).or_else(|| self.gone.get("*")).copied().unwrap_or_default()
    }

    pub fn replace_policy(&self, entity: &str) -> Replace {
        self.replace.get(entity).or_else(|| self.replace.get("*")).copied().unwrap_or_default()
    }
}

/// Which settings are secret only the connector knows: their values are never printed.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<&String> = self.settings.keys().collect();
        let mut out = f.debug_struct("Connection");
        out.field("name", &self.name).field("connector", &self.connector);
        out.field("settings", &settings).field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    pub prefix: String,
    pub import: Vec<String>,
    pub since: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Connection(String),
    /// The connection where the record was born.
    Origin,
    Nobody,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    pub owner: Owner,
    pub seed: Option<String>,
    pub line: usize,
}

/// entity → `field`, `field@scope` or `*` → who.
#[derive(Debug, Clone, Default)]
pub struct Ownership(pub BTreeMap<String, BTreeMap<String, Own>>);

impl Ownership {
    /// Who owns a field in a scope: the most particular row that names it.
    pub fn of(&self, entity: &str, field: &str, scope: &str) -> Option<&Own> {
        let rows = self.0.get(entity)?;
        if !scope.is_empty()
            && let Some(own) = rows.get(&format!("{field}@{scope}"))
        {
            return Some(own);
        }
        rows.get(field).or_else(|| rows.get("*"))
    }

    /// Who decides that a record of this entity exists.
    pub fn existence(&self, entity: &str) -> Option<&Own> {
        let rows = self.0.get(entity)?;
        rows.get("existence").or_else(|| rows.get("*"))
    }
}

/// Reads the config. `env` gives the value of `${NAME}`.
pub fn read_config(
    file: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Config {
    let node = parse(file, text, problems);
    let mut reader = Reader::new(file, "the config", &node, problems);
    let mut config = Config {
        file: file.to_owned(),
        store: "kilter.sqlite".to_owned(),
        listen: "127.0.0.1:8700".to_owned(),
        public_url: None,
        price_lists: BTreeMap::new(),
        locations: BTreeSet::new(),
        connections: BTreeMap::new(),
        ownership: Ownership::default(),
        limits: Limits::default(),
        sweep_minute: crate::schedule::SWEEP_MINUTE,
    };
    if let Some(node) = reader.take("kilter") {
        let mut inner = Reader::new(file, "kilter", node, problems);
        config.store = inner.text("store", problems).unwrap_or(config.store);
        config.listen = inner.text("listen", problems).unwrap_or(config.listen);
        config.public_url = inner.text("public_url", problems);
        if let Some(minute) = inner
            .take("sweep")
            .and_then(|node| connection::minute(file, "kilter.sweep", node, problems))
        {
            config.sweep_minute = minute;
        }
        inner.finish(problems);
    }
    if let Some(node) = reader.take("limits") {
        limits(Reader::new(file, "limits", node, problems), &mut config.limits, problems);
    }
    for (name, node) in reader.table("price_list", problems) {
        let mut inner = Reader::new(file, &format!("price_list.{name}"), node, problems);
        let list = PriceList {
            currency: inner.need_text("currency", problems),
            tax_included: inner.text("tax", problems).as_deref() == Some("included"),
        };
        inner.finish(problems);
        config.price_lists.insert(name.to_owned(), list);
    }
    config.locations = reader.texts("locations", problems).into_iter().collect();
    for (name, node) in reader.table("connection", problems) {
        let mut connection = connection::read_connection(file, name, node, env, problems);
        for (list, spec) in &config.price_lists {
            connection.list_currencies.insert(list.clone(), spec.currency.clone());
        }
        config.connections.insert(name.to_owned(), connection);
    }
    for (entity, node) in reader.table("own", problems) {
        let rows = own_rows(file, entity, node, problems);
        config.ownership.0.insert(entity.to_owned(), rows);
    }
    reader.finish(problems);
    config
}

fn limits(mut inner: Reader<'_>, limits: &mut Limits, problems: &mut Vec<Problem>) {
    let mut size = |key, field: &mut usize| {
        if let Some(n) = inner.integer(key, problems).and_then(|n| usize::try_from(n).ok()) {
            *field = n;
        }
    };
    size("hook_body_bytes", &mut limits.hook_body_bytes);
    size("merge_batch", &mut limits.merge_batch);
    size("deliver_batch", &mut limits.deliver_batch);
    size("pages_max", &mut limits.pages_max);
    size("mass_percent", &mut limits.mass_percent);
    size("changes_kept_days", &mut limits.changes_kept_days);
    size("deliveries_kept_days", &mut limits.deliveries_kept_days);
    size("exchanges_kept_days", &mut limits.exchanges_kept_days);
    size("exchanges_max", &mut limits.exchanges_max);
    size("mass_objects", &mut limits.mass_objects);
    size("answer_bytes", &mut limits.answer_bytes);
    let mut count = |key, field: &mut u32| {
        if let Some(n) = inner.integer(key, problems).and_then(|n| u32::try_from(n).ok()) {
            *field = n;
        }
    };
    count("tries_max", &mut limits.tries_max);
    count("repairs_max", &mut limits.repairs_max);
    count("rounding_cents_max", &mut limits.rounding_cents_max);
    inner.finish(problems);
}

fn own_rows(
    file: &str,
    entity: &str,
    node: &Node,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Own> {
    let mut rows = BTreeMap::new();
    for (field, value) in node.table().into_iter().flatten() {
        let (owner, seed) = match &value.val {
            Val::Text(text) => (Some(text.clone()), None),
            Val::Table(_) => {
                let mut inner =
                    Reader::new(file, &format!("own.{entity}.{field}"), value, problems);
                let owner = inner.need_text("owner", problems);
                let seed = inner.text("seed", problems);
                inner.finish(problems);
                (Some(owner), seed)
            }
            _ => (None, None),
        };
        let Some(owner) = owner else {
            problems.push(Problem {
                file: file.to_owned(),
                line: value.line,
                text: format!("own.{entity}.{field} names no owner"),
                hint: "a connection, \"origin\", or { owner = …, seed = … }".to_owned(),
            });
            continue;
        };
        let owner = match owner.as_str() {
            "origin" => Owner::Origin,
            "nobody" => Owner::Nobody,
            _ => Owner::Connection(owner),
        };
        rows.insert(field.clone(), Own { owner, seed, line: value.line });
    }
    rows
}

impl Connection {
    /// The line of a key, as `every.orders`; of the table it would stand in where there is none.
    pub fn line_of(&self, key: &str) -> usize {
        let shorter = key.rsplit_once('.').map(|(table, _)| table);
        match (self.lines.get(key), shorter) {
            (Some(line), _) => *line,
            (None, Some(table)) => self.line_of(table),
            (None, None) => self.line,
        }
    }

    /// The values that templates and lenses may name, for one `each`.
    pub fn vars(&self, each: &str) -> BTreeMap<String, Json> {
        let text = |t: &str| Json::String(t.to_owned());
        let mut vars: BTreeMap<String, Json> =
            self.settings.iter().map(|(k, v)| (k.clone(), text(v))).collect();
        let mut put = |key: &str, value: &Option<String>| {
            if let Some(value) = value {
                vars.insert(key.to_owned(), text(value));
            }
        };
        put("locale", &self.locale);
        put("currency", &self.currency);
        put("price_list", &self.price_list);
        put("channel", &self.channel);
        vars.insert("connection".to_owned(), text(&self.name));
        if !each.is_empty() {
            vars.insert("each".to_owned(), text(each));
            if let Some(currency) = self.list_currencies.get(each) {
                vars.insert("each_currency".to_owned(), text(currency));
            }
            if let Some(id) = self.each_id(each) {
                let number = id.parse::<i64>().map(Json::from);
                vars.insert("each_id".to_owned(), number.unwrap_or_else(|_| text(&id)));
            }
        }
        vars
    }

    fn each_id(&self, each: &str) -> Option<String> {
        let location = self.locations.iter().find(|(name, _)| name == each).map(|(_, id)| id);
        location.or_else(|| self.price_lists.get(each)).or_else(|| self.locales.get(each)).cloned()
    }

    /// The names that a `for each` listing runs over.
    pub fn each(&self, what: &str) -> Vec<String> {
        match what {
            "$locations" => self.locations.iter().map(|(name, _)| name.clone()).collect(),
            "$price_lists" => self.price_lists.keys().cloned().collect(),
            "$locales" => self.locales.keys().cloned().collect(),
            other => {
                let setting = other.strip_prefix('$').and_then(|name| self.settings.get(name));
                let names = setting.into_iter().flat_map(|names| names.split(','));
                names.map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).collect()
            }
        }
    }
}
