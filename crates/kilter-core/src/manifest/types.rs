//! What a connector says, as types. Read from TOML by `read`, checked there, compiled once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::auth::Auth;
use super::bulk::Bulk;
use super::entries::Entries;
use super::error::Errors;
use super::limit::Limit;
use super::mentions::Mentions;
use super::places::Places;
use super::spread::Spread;
use super::stand::Stand;
use super::template::Call;
use super::ways::{Lifecycle, Permit, Write};
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
    /// Several: the first whose settings are given.
    pub auth: Vec<Auth>,
    pub identity: Option<Identity>,
    pub expect: Option<Expect>,
    pub limit: Limit,
    pub errors: Errors,
    pub webhook: Option<Webhook>,
    /// Calls that make ready what writes need, once an account: a definition, a scheme.
    pub prepare: Vec<Prepare>,
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

/// How a remote tells which account it is.
#[derive(Debug, Clone)]
pub struct Identity {
    pub call: Call,
    pub path: Path,
}

/// A call that is made once an account, before the first write.
#[derive(Debug, Clone)]
pub struct Prepare {
    pub call: Call,
    pub problems: Option<Path>,
    /// Needed only where these settings have these values.
    pub only_if: OnlyIf,
    /// Problems with these codes are none: it was there.
    pub there: Vec<String>,
}

/// A header by which each answer tells the version that it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    pub header: String,
    pub value: String,
}

#[derive(Debug, Clone)]
pub struct Webhook {
    pub signature: Signature,
    /// A content type that is answered 200 and not appended (a ping).
    pub ping_content_type: Option<String>,
    pub topic_header: Option<String>,
    /// Names a delivery: one that comes again under the same is answered, and not taken.
    pub id_header: Option<String>,
    pub routes: Vec<Route>,
    pub subscriptions: Option<Subscriptions>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// base64(HMAC-SHA256(secret, raw body)) in a header.
    /// Any of the secrets: there are two while one is rotated.
    HmacSha256Base64 { header: String, secrets: Vec<String> },
    /// The secret is a part of the URL: for remotes that cannot sign.
    UrlSecret { secret: String },
}

impl Signature {
    /// The setting that must be there for webhooks to be taken.
    pub fn secret(&self) -> &str {
        let name = match self {
            Self::HmacSha256Base64 { secrets, .. } => secrets.first().map_or("", String::as_str),
            Self::UrlSecret { secret } => secret,
        };
        name.trim_start_matches('$')
    }
}

#[derive(Debug, Clone)]
pub struct Route {
    /// Topic; `*` at either end stands for anything. None = any.
    pub topic: Option<String>,
    pub keep: Vec<(Path, Vec<Json>)>,
    pub collection: String,
    pub id: Option<Lens>,
    pub body: Body,
    pub each: Option<Each>,
}

/// Which each of its objects a webhook is about.
#[derive(Debug, Clone)]
pub enum Each {
    Named(String),
    /// The remote's id of one of the connection's locations.
    Location(Lens),
}

/// What a webhook's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    State,
    Hint,
    Gone,
    /// Answered, and forgotten: its body is not even kept.
    Nothing,
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
    /// Takes away one of those that tell the same to the same address.
    pub drop: Option<Call>,
    /// What a create's answer complains about in a 200.
    pub problems: Option<Path>,
    pub topics: Vec<String>,
    /// More topics, each lot only where settings have these values.
    pub also: Vec<(Vec<String>, OnlyIf)>,
}

/// Settings and the values, any of which they must have.
pub type OnlyIf = Vec<(String, Vec<Json>)>;

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
    /// Whose object gives `$parent`.
    pub parent: Option<Parent>,
    /// `$parent` is the part of what its parent shows as open that this one closes.
    pub spread: Option<Spread>,
    /// Paths that are true where the remote cut a list short: such an item is never taken.
    pub cut: Vec<Path>,
    pub facets: Vec<Facet>,
    /// A hash of what shapes its objects: rows, selection, places. Calls and periods do not.
    pub shape: String,
    /// Keys of an item that it may read.
    pub mentions: Mentions,
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
    pub only_if: OnlyIf,
    /// States (canonical, of the root) in which a document takes its stock down here.
    pub holds_stock: Vec<String>,
    /// Between polls, where the entity's own is not right.
    pub every_seconds: Option<i64>,
    pub sweep_only: bool,
}

/// Whose object gives `$parent`. Until it is there, a create waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    pub facet: String,
    pub resource: String,
    /// A row of that object that says it (`variant.item`); else its id.
    pub row: Option<String>,
    /// A row of ours that shows under whom we stand, where that cannot be changed: an object that is
    /// shown under another is replaced.
    pub shown: Option<String>,
    /// `$parent` is also our own id: what has no id of its own, but one for each parent.
    pub same_id: bool,
    /// It is there as soon as its parent is: read and changed, never created by a call of its own.
    pub there: bool,
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
    /// The same thing seen from another side: looked at whenever this is read by id, changed or
    /// not, if we have an object of it.
    pub known: bool,
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
    /// A key of what `read` names by its id: for the first match, and where nobody shows that id.
    pub key: Option<Lens>,
    /// Read where neither says anything.
    pub or: Option<Lens>,
    /// Seen and shown as drift, never taken into a record.
    pub observe: bool,
    /// Set at create only.
    pub fixed: bool,
    /// Compare-and-set: where an update says what we last read; null where nothing was read.
    pub was: Option<Lens>,
    /// What stands beside the value, or the value means something else: said with each write, and
    /// where another thing stands there the row reads as null. Names of the item → constants.
    pub with: Json,
    pub list: Option<ListRow>,
    /// Items that the remote keeps under ids of its own, beside some that are not ours.
    pub places: Option<Places>,
    /// Named values, each of which is written alone.
    pub entries: Option<Entries>,
    /// Worked out by the house, of a connection's own rows.
    pub stand: Option<Arc<Stand>>,
    pub line: usize,
}

impl Row {
    /// Is there a way to say it? A list or map whose members are only read has none.
    pub fn is_written(&self) -> bool {
        let mut parts = self.list.iter().flat_map(|list| &list.parts);
        let member = parts.any(|part| part.rows.iter().any(|(_, _, write)| write.is_some()));
        let entries = self.entries.as_ref().is_some_and(|e| e.write.is_some());
        self.write.is_some() || member || entries || self.places.is_some()
    }

    /// Does an item show the value beside another constant than ours? A name that the item leaves
    /// out says nothing.
    pub fn means_otherwise(&self, item: &Json) -> bool {
        let mut with = self.with.as_object().into_iter().flatten();
        with.any(|(name, value)| item.get(name).is_some_and(|shown| shown != value))
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
    /// Remote items with these values are not read: they are told elsewhere.
    pub skip: Vec<(Path, Vec<Json>)>,
    /// Only canonical items with these values are written here.
    pub only: Vec<(String, Vec<Json>)>,
    pub style: ListStyle,
    /// Where in each item the list stands whose items are ours; `outer` is read from around it.
    pub inner: Option<Path>,
    pub outer: Vec<(String, Option<Lens>, Option<Lens>)>,
    pub rows: Vec<(String, Option<Lens>, Option<Lens>)>,
    /// Constants of each written item.
    pub item_set: Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListStyle {
    /// The list itself.
    Plain,
    /// The list itself, in place of what a constant said there.
    Replace,
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
    /// Where the remote says how many rows there are.
    pub count: Option<Count>,
    /// Where the answer says what `$after` is for the next page, and whether there is one.
    pub next: Option<Next>,
    pub cursor: Option<Cursor>,
    /// A search whose index follows what is written, so late at most: what it does not show may be
    /// there all the same.
    pub lag_seconds: i64,
    /// `$locations`, `$price_lists`, `$locales`, or a `$setting` that holds names: a listing for
    /// each, with a cursor each.
    pub each: Option<String>,
    /// How it is read where it is long, and from its beginning.
    pub bulk: Option<Bulk>,
}

/// How many rows a listing has, as the remote says: for people who wait for its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Count {
    /// A header of each page.
    Header(String),
    /// In each page; with a call, in the answer of that.
    Body { call: Option<Box<Call>>, at: Path },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    pub token: Path,
    /// True while there are more pages; without it, a token says so.
    pub more: Option<Path>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// `$page`, from 1.
    Number { size: usize },
    /// `$offset`, from 0.
    Offset { size: usize },
    /// `$after`, from the page before; `$limit` a page.
    Token { size: usize },
    /// One answer holds all.
    Whole,
}

impl Page {
    /// Items of a full page; None where one answer holds all.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::Number { size } | Self::Offset { size } | Self::Token { size } => Some(size),
            Self::Whole => None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Cursor {
    /// Reads a canonical time from an item, and writes it into `$since`.
    pub lens: Lens,
    /// How late a row may be written down, by the date that it bears.
    pub overlap_seconds: i64,
    /// How far most polls step back.
    pub near_seconds: Option<i64>,
}

#[derive(Debug, Clone)]
pub struct Get {
    pub call: Call,
    pub items: Path,
    pub cap: usize,
    /// Objects of one call share their parent.
    pub by_parent: bool,
    /// Where in each item the object stands.
    pub inner: Option<Path>,
    /// One object a call, and the answer is the object.
    pub single: bool,
}
