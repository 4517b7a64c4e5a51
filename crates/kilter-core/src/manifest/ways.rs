//! The ways in: how objects are created, changed and moved on, and what the answers mean.
//!
//! Reads   `write`, `permit` and `lifecycle` of a resource file.   Writes  problems.
//! Never   opens a file itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bulk::{Load, load};
use super::template::Call;
use crate::Json;
use crate::doc::{Node, Reader};
use crate::manifest::parts::{
    Problems, call_at, lens_at, one_or_many, only_if, path_at, path_or_whole, paths_at,
};
use crate::manifest::types::OnlyIf;
use crate::mapping::{Lens, Path};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    Create,
    Update,
    Archive,
    /// For good: of what is made anew, never of what only left.
    Delete,
}

/// A way in.
#[derive(Debug, Clone)]
pub struct Write {
    pub name: String,
    pub kinds: Vec<Kind>,
    /// The way stands only where these settings have these values.
    pub only_if: OnlyIf,
    pub call: Call,
    pub cap: usize,
    /// What must stand in one call: the parent.
    pub by_parent: bool,
    /// Each item says which place or list it is for, so those of several stand in one call.
    pub mixed: bool,
    /// Where the item's own id stands in an update (a batch's items).
    pub id_in_item: Option<Lens>,
    /// Template: what every item says beside its fields, at update too.
    pub set: Json,
    /// Creates of other resources that travel inside this one's.
    pub carries: Vec<Carry>,
    pub answer: Answer,
    /// How many of it go at once, where that is a job. Only for what may be sent twice.
    pub job: Option<Load>,
}

/// Children that are created by their parent's create.
#[derive(Debug, Clone)]
pub struct Carry {
    /// The children's resource: its `parent` names ours.
    pub resource: String,
    /// Where they stand in the parent's item.
    pub at: Path,
    /// What stands there for each: a template over `$item`. None: the child's payload itself.
    pub item: Option<Json>,
    /// Where the parent's answer shows the children, in their order. None: it does not.
    pub answer: Option<Path>,
    /// The parent waits until so many can go with it.
    pub least: usize,
    /// No more than these; the others follow by their own create.
    pub cap: usize,
    pub carries: Vec<Carry>,
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
    /// Lists of problems in an answer that says it went well.
    pub problems: Vec<Path>,
    /// Where a problem says which item it means, from 0.
    pub index: Option<Path>,
    /// One problem undoes the whole call.
    pub whole: bool,
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
    /// Where our own payload says what `reference` reads, if that is not our reference. Such a
    /// look-up is made for one create at a time.
    pub ours: Option<Path>,
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
    pub rounding: Option<Rounding>,
    /// Canonical field that says where to go, and its values → remote states that satisfy it.
    pub goal_field: String,
    pub goals: BTreeMap<String, Vec<String>>,
    pub steps: Vec<Step>,
}

/// How a rounding line is added.
#[derive(Debug, Clone)]
pub struct Rounding {
    pub call: Call,
    /// The call names its line: sent again, it makes no second one.
    pub repeats: bool,
    /// What of its answer says no, where the status does not.
    pub answer: Answer,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub name: String,
    pub from: String,
    pub to: String,
    pub call: Call,
    /// So many documents take it by one call, which names them by `$ids`: all of them or none.
    pub cap: usize,
}

fn kind(text: &str) -> Option<Kind> {
    match text {
        "create" => Some(Kind::Create),
        "update" => Some(Kind::Update),
        "archive" => Some(Kind::Archive),
        "delete" => Some(Kind::Delete),
        _ => None,
    }
}

pub(super) fn writes(reader: &mut Reader<'_>, problems: &mut Problems) -> Vec<Write> {
    let file = reader.file;
    reader
        .list("write", problems)
        .iter()
        .filter_map(|node| write(Reader::new(file, "write", node, problems), problems))
        .collect()
}

fn write(mut inner: Reader<'_>, problems: &mut Problems) -> Option<Write> {
    let name = inner.need_text("name", problems);
    let call = call_at(&mut inner, "call", problems);
    if call.is_none() {
        inner.missing("call", problems);
    }
    let mut kinds = Vec::new();
    for text in inner.texts("kinds", problems) {
        match kind(&text) {
            Some(kind) => kinds.push(kind),
            None => {
                let text = format!("there is no kind of write \"{text}\"");
                inner.problem(inner.line, text, "known: create, update, archive, delete", problems);
            }
        }
    }
    let only_if = only_if(&mut inner, problems);
    let cap = inner.integer("cap", problems).and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
    let by_parent = inner.flag("by_parent", problems).unwrap_or(false);
    let mixed = inner.flag("mixed", problems).unwrap_or(false);
    let id_in_item = lens_at(&mut inner, "id_in_item", problems);
    let set = inner.take("set").map_or_else(|| serde_json::json!({}), Node::to_json);
    let carries = carries(&mut inner, problems);
    let answer = answer(&mut inner, "answer", problems);
    let job = load(&mut inner, problems);
    inner.finish(problems);
    Some(Write {
        name,
        kinds,
        only_if,
        call: call?,
        cap: cap.max(1),
        by_parent,
        mixed,
        id_in_item,
        set,
        carries,
        answer,
        job,
    })
}

fn carries(reader: &mut Reader<'_>, problems: &mut Problems) -> Vec<Carry> {
    let file = reader.file;
    let mut out = Vec::new();
    for node in reader.list("carries", problems) {
        let mut inner = Reader::new(file, "write.carries", node, problems);
        let mut number = |inner: &mut Reader<'_>, key| {
            inner.integer(key, problems).and_then(|n| usize::try_from(n).ok())
        };
        let (least, cap) = (number(&mut inner, "least"), number(&mut inner, "cap"));
        let carry = Carry {
            resource: inner.need_text("resource", problems),
            at: path_or_whole(&mut inner, "at", problems),
            item: inner.take("item").map(Node::to_json),
            answer: path_at(&mut inner, "answer", problems),
            least: least.unwrap_or(0),
            cap: cap.unwrap_or(CARRIED_MAX),
            carries: carries(&mut inner, problems),
        };
        inner.finish(problems);
        out.push(carry);
    }
    out
}

/// Children in one parent's create, where the connector names no cap.
const CARRIED_MAX: usize = 100;

fn answer(reader: &mut Reader<'_>, key: &'static str, problems: &mut Problems) -> Answer {
    let mut answer = Answer {
        items: BTreeMap::new(),
        what: AnswerKind::None,
        item_error: None,
        failed: None,
        failure: None,
        problems: Vec::new(),
        index: None,
        whole: false,
    };
    let Some(node) = reader.take(key) else { return answer };
    let mut inner = Reader::new(reader.file, key, node, problems);
    for key in ["create", "update", "archive"] {
        if let (Some(kind), Some(path)) = (kind(key), path_at(&mut inner, key, problems)) {
            answer.items.insert(kind, path);
        }
    }
    answer.what = match inner.text("is", problems).as_deref() {
        Some("object") => AnswerKind::Object,
        Some("id") => AnswerKind::Id,
        _ => AnswerKind::None,
    };
    answer.item_error = path_at(&mut inner, "item_error", problems);
    answer.failure = path_at(&mut inner, "failure", problems);
    answer.problems = paths_at(&mut inner, "problems", problems);
    answer.index = path_at(&mut inner, "index", problems);
    answer.whole = inner.flag("whole", problems).unwrap_or(false);
    let failed: Option<Path> = path_at(&mut inner, "failed", problems);
    let value = inner.take("failed_is").map_or(Json::Bool(false), Node::to_json);
    answer.failed = failed.map(|path| (path, value));
    inner.finish(problems);
    answer
}

pub(super) fn permit(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Permit> {
    let node = reader.take("permit")?;
    let mut inner = Reader::new(reader.file, "permit", node, problems);
    let class = match inner.need_text("class", problems).as_str() {
        "A" => Class::A,
        "C" => Class::C,
        other => {
            let text = format!("there is no class \"{other}\"");
            let hint = "A: the remote enforces our reference; C: it can only be searched";
            inner.problem(node.line, text, hint, problems);
            Class::C
        }
    };
    let lookup = call_at(&mut inner, "lookup", problems);
    let items = path_or_whole(&mut inner, "items", problems);
    let id = lens_at(&mut inner, "id", problems);
    let reference = lens_at(&mut inner, "reference", problems);
    let ours = path_at(&mut inner, "ours", problems);
    let exists = inner.texts("exists", problems);
    let quiescence_seconds = inner.seconds("quiescence", problems).unwrap_or(120);
    if lookup.is_none() || id.is_none() || reference.is_none() {
        let hint = "a create that must not happen twice is looked up by our reference";
        inner.problem(node.line, "permit lacks lookup, id or reference".into(), hint, problems);
    }
    inner.finish(problems);
    Some(Permit {
        class,
        lookup: lookup?,
        items,
        id: id?,
        reference: reference?,
        ours,
        exists,
        quiescence_seconds,
    })
}

fn rounding(inner: &mut Reader<'_>, problems: &mut Problems) -> Option<Rounding> {
    let call = call_at(inner, "rounding", problems);
    let repeats = inner.flag("rounding_repeats", problems).unwrap_or(false);
    let answer = answer(inner, "rounding_answer", problems);
    call.map(|call| Rounding { call, repeats, answer })
}

pub(super) fn lifecycle(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Lifecycle> {
    let node = reader.take("lifecycle")?;
    let file = reader.file;
    let mut inner = Reader::new(file, "lifecycle", node, problems);
    let state = lens_at(&mut inner, "state", problems);
    let total = lens_at(&mut inner, "total", problems);
    let rounding = rounding(&mut inner, problems);
    let goal_field = inner.need_text("goal_field", problems);
    let mut goals = BTreeMap::new();
    for (value, node) in inner.table("goals", problems) {
        let states = one_or_many(node).iter().map(crate::manifest::plain).collect();
        goals.insert(value.to_owned(), states);
    }
    let mut steps = Vec::new();
    for node in inner.list("steps", problems) {
        let mut step = Reader::new(file, "lifecycle.steps", node, problems);
        let name = step.need_text("name", problems);
        let from = step.need_text("from", problems);
        let to = step.need_text("to", problems);
        let call = call_at(&mut step, "call", problems);
        let cap = step.integer("cap", problems).and_then(|n| usize::try_from(n).ok());
        step.finish(problems);
        let cap = cap.unwrap_or(1).max(1);
        steps.extend(call.map(|call| Step { name, from, to, call, cap }));
    }
    inner.finish(problems);
    Some(Lifecycle { state: state?, total, rounding, goal_field, goals, steps })
}
