//! Reads `<resource>.toml`: what a collection shows, how it is listed, read and written.
//!
//! Reads   one resource file.   Writes  problems, each with file and line.
//! Never   opens a file itself.

use std::collections::BTreeMap;

use crate::Json;
use crate::doc::{Node, Problem, Reader, Val};
use crate::manifest::bulk::bulk;
use crate::manifest::entries::entries;
use crate::manifest::mentions::Mentions;
use crate::manifest::parts::*;
use crate::manifest::places::places;
use crate::manifest::spread::spread;
use crate::manifest::types::*;
use crate::manifest::ways::{lifecycle, permit, writes};
use crate::mapping::{Lens, Path};

/// Keys of a resource that say what its objects look like and which there are.
const SHAPING: &[&str] = &[
    "collection",
    "keep",
    "root",
    "id",
    "select",
    "requires",
    "fold",
    "parent",
    "spread",
    "cut",
    "facet",
    "set",
    "lifecycle",
    "contains",
    "holds_stock",
    "document",
    "only_if",
];

pub fn read_resource(file: &str, node: &Node, problems: &mut Vec<Problem>) -> Resource {
    let mut reader = Reader::new(file, "the resource", node, problems);
    let name = reader.need_text("resource", problems);
    let root = reader.need_text("root", problems);
    let id = lens_at(&mut reader, "id", problems);
    if id.is_none() {
        reader.missing("id", problems);
    }
    let resource = Resource {
        collection: reader.text("collection", problems).unwrap_or_else(|| name.clone()),
        keep: keep(&mut reader, "keep", problems),
        id: id.or_else(|| Lens::parse("id | id").ok()).unwrap_or_default(),
        version: lens_at(&mut reader, "version", problems),
        select: select(&mut reader, "select", problems),
        requires: reader.texts("requires", problems),
        fold: reader.flag("fold", problems).unwrap_or(false),
        parent: parent(&mut reader, problems),
        spread: spread(&mut reader, problems),
        cut: paths(&mut reader, "cut", problems),
        facets: facets(&mut reader, &root, problems),
        shape: crate::doc::shape(node, |key| SHAPING.contains(&key)),
        mentions: Mentions::of(node),
        list: list(&mut reader, problems),
        get: get(&mut reader, problems),
        writes: writes(&mut reader, problems),
        set: json_table(reader.take("set")),
        lifecycle: lifecycle(&mut reader, problems),
        lane: reader.integer("lane", problems).and_then(|n| u8::try_from(n).ok()).unwrap_or(3),
        read_first: reader.flag("read_first", problems).unwrap_or(false),
        hints: hints(&mut reader, problems),
        permit: permit(&mut reader, problems),
        contains: reader.texts("contains", problems),
        document: document(&mut reader, problems),
        only_if: only_if(&mut reader, problems),
        holds_stock: reader.texts("holds_stock", problems),
        every_seconds: reader.seconds("every", problems),
        sweep_only: reader.flag("sweep_only", problems).unwrap_or(false),
        name,
        root,
    };
    if resource.permit.is_some() && resource.writes.iter().any(|w| w.job.is_some()) {
        let hint = "a job may be sent twice: leave out write.job, or the permit";
        reader.problem(1, "what must not happen twice goes by no job".into(), hint, problems);
    }
    let by_row = resource.parent.as_ref().is_some_and(|p| p.row.is_some());
    if resource.spread.is_some() && !(by_row && resource.permit.is_some()) {
        let hint = "parent = { facet, resource, row = \"…\" } and [permit]";
        reader.problem(1, "what is spread over a row goes by permit".into(), hint, problems);
    }
    reader.finish(problems);
    resource
}

fn json_table(node: Option<&Node>) -> Json {
    node.map_or_else(|| serde_json::json!({}), Node::to_json)
}

pub(super) fn select(
    reader: &mut Reader<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Vec<Select> {
    let mut out = Vec::new();
    for (field, node) in reader.table(key, problems) {
        let test = match &node.val {
            Val::Table(table) => match table.iter().next() {
                Some((key, value)) if table.len() == 1 && key == "contains" => {
                    Test::Contains(value.to_json())
                }
                Some((key, _)) if table.len() == 1 && key == "exists" => Test::Exists,
                Some((key, value)) if table.len() == 1 && key == "not" => {
                    Test::Not(one_or_many(value))
                }
                _ => {
                    let hint = "a value, a list of values, or one of { contains = … }, \
                                { exists = true }, { not = … }";
                    reader.problem(node.line, format!("{key}.{field} is odd"), hint, problems);
                    continue;
                }
            },
            _ => Test::OneOf(one_or_many(node)),
        };
        out.push(Select { field: field.to_owned(), test });
    }
    out
}

fn parent(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Parent> {
    let node = reader.take("parent")?;
    let mut inner = Reader::new(reader.file, "parent", node, problems);
    let parent = Parent {
        facet: inner.need_text("facet", problems),
        resource: inner.need_text("resource", problems),
        row: inner.text("row", problems),
        shown: inner.text("shown", problems),
        same_id: inner.flag("same_id", problems).unwrap_or(false),
        there: inner.flag("there", problems).unwrap_or(false),
    };
    inner.finish(problems);
    Some(parent)
}

fn facets(reader: &mut Reader<'_>, root: &str, problems: &mut Problems) -> Vec<Facet> {
    let file = reader.file;
    let mut out = Vec::new();
    for (name, node) in reader.table("facet", problems) {
        let mut inner = Reader::new(file, &format!("facet.{name}"), node, problems);
        let mut facet = Facet {
            name: name.to_owned(),
            entity: inner.text("entity", problems).unwrap_or_else(|| name.to_owned()),
            of: inner.text("of", problems),
            by: inner.text("by", problems),
            born: inner.text("born", problems),
            key: BTreeMap::new(),
            rows: Vec::new(),
        };
        for (field, value) in inner.table("key", problems) {
            facet.key.insert(field.to_owned(), value.as_text().unwrap_or_default().to_owned());
        }
        for (field, value) in inner.table("rows", problems) {
            if let Some(row) = row(file, name, field, value, problems) {
                facet.rows.push(row);
            }
        }
        inner.finish(problems);
        out.push(facet);
    }
    // The root's facet first: everything else hangs on it.
    out.sort_by_key(|f| (f.name != root, f.of.is_none() && f.key.is_empty(), f.name.clone()));
    out
}

fn row(file: &str, facet: &str, field: &str, node: &Node, problems: &mut Problems) -> Option<Row> {
    let (name, scope) = match field.split_once('@') {
        Some((name, scope)) => (name, Some(scope.to_owned())),
        None => (field, None),
    };
    let mut row = Row {
        field: name.to_owned(),
        scope,
        read: None,
        write: None,
        key: None,
        or: None,
        observe: false,
        fixed: false,
        was: None,
        with: serde_json::json!({}),
        list: None,
        places: None,
        entries: None,
        stand: None,
        line: node.line,
    };
    if node.as_text().is_some() {
        let lens = lens(file, node, problems)?;
        if !lens.is_invertible() {
            let text = format!("{facet}.{field}: \"{}\" cannot be written back", lens.text());
            complain(file, node.line, text, "say { read = \"…\" } or { write = \"…\" }", problems);
        }
        (row.read, row.write) = (Some(lens.clone()), Some(lens));
        return Some(row);
    }
    let mut inner = Reader::new(file, &format!("{facet}.{field}"), node, problems);
    let observed = matches!(&node.val, Val::Table(t)
        if t.get("read").and_then(Node::as_text) == Some("observe"));
    row.write = lens_at(&mut inner, "write", problems);
    if observed {
        inner.take("read");
        row.read = row.write.clone();
    } else {
        row.read = lens_at(&mut inner, "read", problems);
    }
    row.key = lens_at(&mut inner, "key", problems);
    row.or = lens_at(&mut inner, "or", problems);
    row.observe = observed || inner.flag("observe", problems).unwrap_or(false);
    row.places = places(&mut inner, problems);
    row.entries = entries(&mut inner, problems);
    row.observe |= row.places.is_some();
    row.fixed = inner.flag("fixed", problems).unwrap_or(false);
    row.was = lens_at(&mut inner, "was", problems);
    row.with = json_table(inner.take("with"));
    let parts: Vec<ListPart> = inner
        .list("list", problems)
        .iter()
        .filter_map(|node| list_part(file, &format!("{facet}.{field}"), node, problems))
        .collect();
    row.list = (!parts.is_empty()).then_some(ListRow { parts });
    if let Some(node) = inner.take("map") {
        let nodes = match &node.val {
            Val::List(nodes) => nodes.iter().collect(),
            _ => vec![node],
        };
        let place = format!("{facet}.{field}");
        let parts = nodes.into_iter().map(|node| map_part(file, &place, node, problems)).collect();
        row.list = Some(ListRow { parts });
    }
    inner.finish(problems);
    Some(row)
}

fn list_part(file: &str, place: &str, node: &Node, problems: &mut Problems) -> Option<ListPart> {
    let mut inner = Reader::new(file, place, node, problems);
    let at = path_at(&mut inner, "at", problems);
    let style = match inner.text("style", problems).as_deref() {
        None | Some("plain") => ListStyle::Plain,
        Some("replace") => ListStyle::Replace,
        Some("commands") => ListStyle::Commands,
        Some("tuples") => ListStyle::Tuples,
        Some(other) => {
            let text = format!("{place}: a list is not written \"{other}\"");
            inner.problem(node.line, text, "known: plain, replace, commands, tuples", problems);
            ListStyle::Plain
        }
    };
    let only = inner
        .table("only", problems)
        .into_iter()
        .map(|(k, v)| (k.to_owned(), one_or_many(v)))
        .collect();
    let within = path_at(&mut inner, "inner", problems);
    let outer = item_rows(place, "outer", &mut inner, problems);
    let rows = item_rows(place, "rows", &mut inner, problems);
    if within.is_some() && rows.iter().chain(&outer).any(|(_, _, write)| write.is_some()) {
        let text = format!("{place}: a list inside a list is only read");
        inner.problem(node.line, text, "say { read = \"…\" } of its rows", problems);
    }
    let part = ListPart {
        at: at?,
        set: json_table(inner.take("set")),
        skip: keep(&mut inner, "skip", problems),
        only,
        style,
        inner: within,
        outer,
        rows,
        item_set: json_table(inner.take("item_set")),
    };
    inner.finish(problems);
    Some(part)
}

/// A map whose members have rows of their own: an address.
fn map_part(file: &str, place: &str, node: &Node, problems: &mut Problems) -> ListPart {
    let mut inner = Reader::new(file, place, node, problems);
    let at = path_or_whole(&mut inner, "at", problems);
    let rows = item_rows(place, "rows", &mut inner, problems);
    let (set, item_set) = (json_table(inner.take("set")), json_table(inner.take("item_set")));
    inner.finish(problems);
    ListPart {
        at,
        set,
        skip: Vec::new(),
        only: Vec::new(),
        style: ListStyle::Map,
        inner: None,
        outer: Vec::new(),
        rows,
        item_set,
    }
}

type ItemRows = Vec<(String, Option<Lens>, Option<Lens>)>;

fn item_rows(
    place: &str,
    key: &'static str,
    inner: &mut Reader<'_>,
    problems: &mut Problems,
) -> ItemRows {
    let file = inner.file;
    let mut rows = Vec::new();
    for (field, value) in inner.table(key, problems) {
        match &value.val {
            Val::Table(_) => {
                let mut one = Reader::new(file, &format!("{place}.{field}"), value, problems);
                let read = lens_at(&mut one, "read", problems);
                let write = lens_at(&mut one, "write", problems);
                one.finish(problems);
                rows.push((field.to_owned(), read, write));
            }
            _ => {
                let lens = lens(file, value, problems);
                rows.push((field.to_owned(), lens.clone(), lens));
            }
        }
    }
    rows
}

fn list(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<List> {
    let node = reader.take("list")?;
    let mut inner = Reader::new(reader.file, "list", node, problems);
    let call = call_at(&mut inner, "call", problems);
    if call.is_none() {
        inner.missing("call", problems);
    }
    let full = call_at(&mut inner, "full", problems);
    let newest = call_at(&mut inner, "newest", problems);
    let items = path_or_whole(&mut inner, "items", problems);
    let size = inner.integer("size", problems).and_then(|n| usize::try_from(n).ok()).unwrap_or(100);
    let page = match inner.text("page", problems).as_deref() {
        Some("number") => Page::Number { size },
        Some("offset") => Page::Offset { size },
        Some("token" | "relay") => Page::Token { size },
        None | Some("whole") => Page::Whole,
        Some(other) => {
            let text = format!("there is no paging \"{other}\"");
            inner.problem(node.line, text, "known: number, offset, token, relay, whole", problems);
            Page::Whole
        }
    };
    let count = count(&mut inner, problems);
    let next = next(&mut inner, page, problems);
    let cursor = lens_at(&mut inner, "cursor", problems);
    let overlap_seconds = inner.seconds("overlap", problems).unwrap_or(300);
    let near_seconds = inner.seconds("near", problems);
    let lag_seconds = inner.seconds("lag", problems).unwrap_or(0);
    let each = inner.text("each", problems);
    let bulk = bulk(&mut inner, problems);
    inner.finish(problems);
    let cursor = cursor.map(|lens| Cursor { lens, overlap_seconds, near_seconds });
    #[rustfmt::skip]
    let list = List { call: call?, full, newest, items, page, count, next, cursor, lag_seconds, each, bulk };
    Some(list)
}

/// `{ header = "…" }`, or `{ at = "…" }` of each page or of a `call`.
fn count(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Count> {
    let node = reader.take("count")?;
    let mut inner = Reader::new(reader.file, "list.count", node, problems);
    let header = inner.text("header", problems);
    let (call, at) = (call_at(&mut inner, "call", problems), path_at(&mut inner, "at", problems));
    inner.finish(problems);
    match (header, at) {
        (Some(header), None) if call.is_none() => Some(Count::Header(header)),
        (None, Some(at)) => Some(Count::Body { call: call.map(Box::new), at }),
        _ => {
            let text = "list.count says where the number of rows stands".to_owned();
            let hint = "one of header = \"…\", at = \"…\", or a call with at = \"…\"";
            complain(reader.file, node.line, text, hint, problems);
            None
        }
    }
}

/// `page = "relay"` with `info`, the path of a `pageInfo`; `page = "token"` with `next`, `more`.
fn next(inner: &mut Reader<'_>, page: Page, problems: &mut Problems) -> Option<Next> {
    let info = inner.text("info", problems);
    let (token, more) = (path_at(inner, "next", problems), path_at(inner, "more", problems));
    if !matches!(page, Page::Token { .. }) {
        return None;
    }
    let member = |name: &str| Path::parse(&format!("{}.{name}", info.as_deref()?)).ok();
    let token = token.or_else(|| member("endCursor"));
    if token.is_none() {
        inner.missing("info (relay) or next (token)", problems);
    }
    Some(Next { token: token?, more: more.or_else(|| member("hasNextPage")) })
}

fn paths(reader: &mut Reader<'_>, key: &'static str, problems: &mut Problems) -> Vec<Path> {
    let (file, Some(node)) = (reader.file, reader.take(key)) else { return Vec::new() };
    match &node.val {
        Val::List(items) => items.iter().filter_map(|node| path(file, node, problems)).collect(),
        _ => path(file, node, problems).into_iter().collect(),
    }
}

fn get(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Get> {
    let node = reader.take("get")?;
    let mut inner = Reader::new(reader.file, "get", node, problems);
    let call = call_at(&mut inner, "call", problems);
    let get_items = path_or_whole(&mut inner, "items", problems);
    let within = path_at(&mut inner, "inner", problems);
    let single = inner.flag("single", problems).unwrap_or(false);
    let cap = inner.integer("cap", problems).and_then(|n| usize::try_from(n).ok());
    let by_parent = inner.flag("by_parent", problems).unwrap_or(false);
    if call.is_none() {
        inner.missing("call", problems);
    }
    inner.finish(problems);
    let cap = if single { 1 } else { cap.unwrap_or(100).max(1) };
    Some(Get { call: call?, items: get_items, inner: within, cap, by_parent, single })
}

fn hints(reader: &mut Reader<'_>, problems: &mut Problems) -> Vec<Hint> {
    let file = reader.file;
    let mut out = Vec::new();
    for node in reader.list("hints", problems) {
        let mut inner = Reader::new(file, "hints", node, problems);
        let collection = inner.need_text("collection", problems);
        let id = lens_at(&mut inner, "id", problems);
        let at = path_at(&mut inner, "at", problems);
        let known = inner.flag("known", problems).unwrap_or(false);
        inner.finish(problems);
        out.extend(id.map(|id| Hint { collection, id, at, known }));
    }
    out
}

fn document(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Document> {
    let node = reader.take("document")?;
    let mut inner = Reader::new(reader.file, "document", node, problems);
    let prices = inner.need_text("prices", problems);
    if !matches!(prices.as_str(), "net" | "gross" | "") && !prices.starts_with('$') {
        let text = format!("prices are not \"{prices}\"");
        inner.problem(node.line, text, "known: net, gross, or $setting", problems);
    }
    let places = inner.integer("places", problems).and_then(|n| u32::try_from(n).ok());
    inner.finish(problems);
    Some(Document { prices, places: places.unwrap_or(2) })
}
