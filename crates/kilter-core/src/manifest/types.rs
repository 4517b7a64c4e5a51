//! What a connector says, as types. Read from TOML by `read`, checked there, compiled once.

use std::collections::BTreeMap;

use super::error::Errors;
use super::template::Call;
use crate::Json;
use crate::mapping::{Lens, Path};

/// The description of a kind of remote system.
#[derive(Debug, Clone)]
pub struct Connector {
    pub name: String,
    pub title: String,
    /// The vendor's schema and version that it was written for.
    pub written_for: String,
    pub settings: Vec<Setting>,
    pub base: Vec<String>,
    pub headers: Json,
    pub auth: Auth,
    pub identity: Option<Identity>,
    pub limit: Limit,
    pub errors: Errors,
    pub webhook: Option<Webhook>,
    pub resources: Vec<Resource>,
}

impl Connector {
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.name == name)
    }

    /// The resource an item of a collection belongs to.
    pub fn resources_of<'a>(&'a self, collection: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |r| r.collection == collection)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    pub help: String,
    pub secret: bool,
    pub required: bool,
    pub default: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    None,
    Basic {
        username: String,
        password: String,
    },
    /// `scheme token`; some remotes compare the scheme's case.
    Bearer {
        scheme: String,
        token: String,
    },
    Header {
        name: String,
        value: String,
    },
}

/// How a remote tells which account it is.
#[derive(Debug, Clone)]
pub struct Identity {
    pub call: Call,
    pub path: Path,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    pub concurrency: usize,
    /// Calls a second; 0 = not known.
    pub per_second: u32,
    pub timeout_seconds: u64,
}

#[derive(Debug, Clone)]
pub struct Webhook {
    pub signature: Signature,
    /// A content type that is answered 200 and not appended (a ping).
    pub ping_content_type: Option<String>,
    pub topic_header: Option<String>,
    pub routes: Vec<Route>,
    pub subscriptions: Option<Subscriptions>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// base64(HMAC-SHA256(secret, raw body)) in a header.
    HmacSha256Base64 { header: String, secret: String },
    /// The secret is a part of the URL: for remotes that cannot sign.
    UrlSecret { secret: String },
}

#[derive(Debug, Clone)]
pub struct Route {
    /// Topic; `*` at either end stands for anything. None = any.
    pub topic: Option<String>,
    pub keep: Vec<(Path, Vec<Json>)>,
    pub collection: String,
    pub id: Lens,
    pub body: Body,
    pub each: String,
}

/// What a webhook's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    State,
    Hint,
    Gone,
}

#[derive(Debug, Clone)]
pub struct Subscriptions {
    pub list: Call,
    pub items: Path,
    pub url: Path,
    pub topic: Path,
    pub status: Option<(Path, String)>,
    pub id: Path,
    pub create: Call,
    pub enable: Option<Call>,
    pub topics: Vec<String>,
}

/// A collection of the remote, and which records its objects show.
#[derive(Debug, Clone)]
pub struct Resource {
    pub name: String,
    pub collection: String,
    pub keep: Vec<(Path, Vec<Json>)>,
    pub id: Lens,
    pub version: Option<Lens>,
    /// The root record's entity.
    pub root: String,
    pub select: Vec<Select>,
    pub requires: Vec<String>,
    /// Match keys compare without case and outer blanks.
    pub fold: bool,
    /// The facet whose object (in `parent_resource`) gives `$parent`.
    pub parent: Option<(String, String)>,
    pub facets: Vec<Facet>,
    pub list: Option<List>,
    pub get: Option<Get>,
    pub writes: Vec<Write>,
    pub set: Json,
    pub lifecycle: Option<Lifecycle>,
    pub lane: u8,
    /// Read just before a derived figure is written: there is no compare-and-set.
    pub read_first: bool,
    /// Objects of another resource that must be read again when one of this is seen.
    pub hints: Vec<Hint>,
    /// Every create goes through an intent and a permit.
    pub permit: Option<Permit>,
    /// States of the root in which the target's figure contains the document's lines.
    pub contains: Vec<String>,
    pub document: Option<Document>,
    /// The resource stands only where these settings have these values.
    pub only_if: Vec<(String, Vec<Json>)>,
    /// States (canonical, of the root) in which a document takes its stock down here.
    pub holds_stock: Vec<String>,
    /// Between polls, where the entity's own is not right.
    pub every_seconds: Option<i64>,
    pub sweep_only: bool,
}

/// How a document's prices are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// `net`, `gross`, or the `$setting` that says which.
    pub prices: String,
    pub places: u32,
}

#[derive(Debug, Clone)]
pub struct Hint {
    pub collection: String,
    pub id: Lens,
    /// Path to a list whose items each give an id.
    pub at: Option<Path>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// `status`, `product.kind`, `price.amount`.
    pub field: String,
    pub test: Test,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    OneOf(Vec<Json>),
    Contains(Json),
    Exists,
    Not(Vec<Json>),
}

#[derive(Debug, Clone)]
pub struct Facet {
    pub name: String,
    pub entity: String,
    /// None: the root itself. Some: follow this reference of the root.
    pub of: Option<String>,
    /// The root's facet only: the row whose reference names the root (another object shows it).
    pub by: Option<String>,
    /// With `of`: where the reference names nobody yet, a record with this row as its key is born.
    /// Its fields are taken at birth only: an order's buyer never writes to a known person.
    pub born: Option<String>,
    /// Key field → `root`, or `$variable`, or a row of this facet that reads it.
    pub key: BTreeMap<String, String>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone)]
pub struct Row {
    pub field: String,
    /// A name, or `$variable`.
    pub scope: Option<String>,
    pub read: Option<Lens>,
    pub write: Option<Lens>,
    /// Seen and shown as drift, never taken into a record.
    pub observe: bool,
    /// Set at create only.
    pub fixed: bool,
    pub list: Option<ListRow>,
    pub line: usize,
}

impl Row {
    /// Is there a way to say it? A list or map whose members are only read has none.
    pub fn is_written(&self) -> bool {
        let mut parts = self.list.iter().flat_map(|list| &list.parts);
        let member = parts.any(|part| part.rows.iter().any(|(_, _, write)| write.is_some()));
        self.write.is_some() || member
    }
}

/// A list of maps: where it stands, and how each field of an item is read and written.
#[derive(Debug, Clone)]
pub struct ListRow {
    /// Parts of one canonical list may come from several remote lists (shipping, fees).
    pub parts: Vec<ListPart>,
}

#[derive(Debug, Clone)]
pub struct ListPart {
    pub at: Path,
    pub set: Json,
    /// Only canonical items with these values are written here.
    pub only: Vec<(String, Vec<Json>)>,
    pub style: ListStyle,
    pub rows: Vec<(String, Option<Lens>, Option<Lens>)>,
    /// Constants of each written item.
    pub item_set: Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListStyle {
    /// The list itself.
    Plain,
    /// `[["create", [items]]]`.
    Commands,
    /// `[[0, 0, item], …]`.
    Tuples,
    /// Not a list at all: one map, whose members have rows.
    Map,
}

#[derive(Debug, Clone)]
pub struct List {
    pub call: Call,
    /// Without a cursor: stable under change (ordered by id).
    pub full: Option<Call>,
    /// Lists the newest item alone: where there is no cursor yet, the listing starts after it. For
    /// what only hints: what it would hint at is read whole at first anyway.
    pub newest: Option<Call>,
    pub items: Path,
    pub page: Page,
    pub cursor: Option<Cursor>,
    /// `$locations`, `$price_lists`, `$locales`, or a `$setting` that holds names: a listing for
    /// each, with a cursor each.
    pub each: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// `$page`, from 1.
    Number { size: usize },
    /// `$offset`, from 0.
    Offset { size: usize },
    /// One answer holds all.
    Whole,
}

#[derive(Debug, Clone)]
pub struct Cursor {
    /// Reads a canonical time from an item, and writes it into `$since`.
    pub lens: Lens,
    pub overlap_seconds: i64,
}

#[derive(Debug, Clone)]
pub struct Get {
    pub call: Call,
    pub items: Path,
    pub cap: usize,
    /// Objects of one call share their parent.
    pub by_parent: bool,
    /// One object a call, and the answer is the object.
    pub single: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Create,
    Update,
    Archive,
}

/// A way in.
#[derive(Debug, Clone)]
pub struct Write {
    pub name: String,
    pub kinds: Vec<Kind>,
    pub call: Call,
    pub cap: usize,
    /// What must stand in one call: the parent.
    pub by_parent: bool,
    /// Where the item's own id stands in an update (a batch's items).
    pub id_in_item: Option<Lens>,
    pub answer: Answer,
}

#[derive(Debug, Clone)]
pub struct Answer {
    /// Kind → the list that answers the items of that kind, in their order. `.` = the whole.
    pub items: BTreeMap<Kind, Path>,
    pub what: AnswerKind,
    /// An item that holds this is an error.
    pub item_error: Option<Path>,
    /// The whole call failed though the status says otherwise: path and value.
    pub failed: Option<(Path, Json)>,
    /// Where the failure's text stands then.
    pub failure: Option<Path>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// Each item is the object.
    Object,
    /// Each item is an id.
    Id,
    /// Nothing to read: the shadow is assumed until the next read.
    None,
}

/// Creates that must not happen twice (R0–R6).
#[derive(Debug, Clone)]
pub struct Permit {
    pub class: Class,
    pub lookup: Call,
    pub items: Path,
    pub id: Lens,
    /// Where the found item shows our reference, to match several at once.
    pub reference: Lens,
    /// "Already exists", naming our reference: a fact (class A).
    pub exists: Vec<String>,
    /// How long the remote may still be working on a request we gave up on, in seconds.
    pub quiescence_seconds: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Unique reference enforced.
    A,
    /// Searchable reference only.
    C,
}

impl Class {
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::C => "C",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Lifecycle {
    /// The remote's state of the object.
    pub state: Lens,
    /// The remote's total, compared before the first step.
    pub total: Option<Lens>,
    /// How a rounding line is added.
    pub rounding: Option<Call>,
    /// Canonical field that says where to go, and its values → remote states that satisfy it.
    pub goal_field: String,
    pub goals: BTreeMap<String, Vec<String>>,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub name: String,
    pub from: String,
    pub to: String,
    pub call: Call,
}
