//! Reads `connector.toml`: settings, auth, limits, error rules, webhooks.
//!
//! Reads   the files of one connector.   Writes  problems, each with file and line.
//! Never   opens a file itself.

use crate::doc::{Node, Problem, Reader, parse};
use crate::manifest::auth::auth;
use crate::manifest::error::{Errors, Rule};
use crate::manifest::graphql::{Documents, is_document};
use crate::manifest::limit::limit;
use crate::manifest::parts::{
    Problems, call_at, keep, lens_at, only_if, path_at, path_or_whole, paths_at,
};
use crate::manifest::resource::read_resource;
use crate::manifest::types::*;
use crate::mapping::{Lens, Path};
use crate::model::FaultKind;

/// Reads a connector from its files: `connector.toml`, one file for each resource, and the
/// documents that their calls name.
pub fn read_connector(
    files: &[(String, String)],
    problems: &mut Vec<Problem>,
) -> Option<Connector> {
    let (file, text) = files.iter().find(|(name, _)| name.ends_with("connector.toml"))?;
    let mut documents = Documents::among(files, problems);
    let mut node = parse(file, text, problems);
    documents.path = node.table().and_then(|t| t.get("graphql")?.as_text()).map(str::to_owned);
    documents.fill_in(file, &mut node, problems);
    let mut reader = Reader::new(file, "the connector", &node, problems);
    // Taken above, and checked to be a text here.
    reader.text("graphql", problems);
    let mut connector = Connector {
        name: reader.need_text("connector", problems),
        title: reader.need_text("title", problems),
        written_for: reader.text("written_for", problems).unwrap_or_default(),
        base: segments(&reader.need_text("base", problems)),
        headers: reader.take("headers").map_or_else(|| serde_json::json!({}), Node::to_json),
        settings: settings(&mut reader, problems),
        auth: auth(&mut reader, problems),
        identity: identity(&mut reader, problems),
        expect: expect(&mut reader, problems),
        limit: limit(&mut reader, problems),
        errors: errors(&mut reader, problems),
        webhook: webhook(&mut reader, problems),
        prepare: prepare(&mut reader, problems),
        resources: Vec::new(),
    };
    reader.finish(problems);
    let own = |file: &str| file.ends_with("connector.toml") || is_document(file);
    for (file, text) in files.iter().filter(|(file, _)| !own(file)) {
        let mut node = parse(file, text, problems);
        documents.fill_in(file, &mut node, problems);
        connector.resources.push(read_resource(file, &node, problems));
    }
    Some(connector)
}

pub(super) fn segments(text: &str) -> Vec<String> {
    text.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

fn settings(reader: &mut Reader<'_>, problems: &mut Problems) -> Vec<Setting> {
    let file = reader.file;
    reader
        .table("settings", problems)
        .into_iter()
        .map(|(name, node)| {
            let mut inner = Reader::new(file, &format!("settings.{name}"), node, problems);
            let default = inner.take("default").map(|n| crate::manifest::plain(&n.to_json()));
            let setting = Setting {
                name: name.to_owned(),
                help: inner.text("help", problems).unwrap_or_default(),
                secret: inner.flag("secret", problems).unwrap_or(false),
                required: inner.flag("required", problems).unwrap_or(default.is_none()),
                default,
            };
            inner.finish(problems);
            setting
        })
        .collect()
}

fn identity(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Identity> {
    let node = reader.take("identity")?;
    let mut inner = Reader::new(reader.file, "identity", node, problems);
    let call = call_at(&mut inner, "call", problems);
    let path = path_or_whole(&mut inner, "path", problems);
    if call.is_none() {
        inner.missing("call", problems);
    }
    inner.finish(problems);
    Some(Identity { call: call?, path })
}

fn prepare(reader: &mut Reader<'_>, problems: &mut Problems) -> Vec<Prepare> {
    let file = reader.file;
    let mut out = Vec::new();
    for node in reader.list("prepare", problems) {
        let mut inner = Reader::new(file, "prepare", node, problems);
        let call = call_at(&mut inner, "call", problems);
        if call.is_none() {
            inner.missing("call", problems);
        }
        let wrong = path_at(&mut inner, "problems", problems);
        let there = inner.texts("there", problems);
        let only_if = only_if(&mut inner, problems);
        inner.finish(problems);
        out.extend(call.map(|call| Prepare { call, problems: wrong, only_if, there }));
    }
    out
}

fn expect(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Expect> {
    let node = reader.take("expect")?;
    let mut inner = Reader::new(reader.file, "expect", node, problems);
    let header = inner.need_text("header", problems);
    let value = inner.need_text("value", problems);
    inner.finish(problems);
    Some(Expect { header, value })
}

fn errors(reader: &mut Reader<'_>, problems: &mut Problems) -> Errors {
    let Some(node) = reader.take("errors") else { return Errors::default() };
    let mut inner = Reader::new(reader.file, "errors", node, problems);
    let mut errors = Errors {
        code: path_at(&mut inner, "code", problems),
        text: path_at(&mut inner, "text", problems),
        status: path_at(&mut inner, "status", problems),
        failed: paths_at(&mut inner, "failed", problems),
        partial: path_at(&mut inner, "partial", problems),
        rules: Vec::new(),
    };
    for node in inner.list("rules", problems) {
        let mut rule = Reader::new(reader.file, "errors.rules", node, problems);
        let fault = rule.need_text("fault", problems);
        let kind = FaultKind::parse(&fault).unwrap_or_else(|| {
            let text = format!("there is no fault \"{fault}\"");
            let hint = "known: auth, throttled, unavailable, rejected, conflict, missing, \
                        not_kept, unknown";
            rule.problem(node.line, text, hint, problems);
            FaultKind::Unknown
        });
        errors.rules.push(Rule {
            status: rule.text("status", problems),
            code: rule.text("code", problems),
            text: rule.text("text", problems),
            fault: kind,
            holder: path_at(&mut rule, "holder", problems),
            smaller: rule.flag("smaller", problems).unwrap_or(false),
        });
        rule.finish(problems);
    }
    inner.finish(problems);
    errors
}

fn webhook(reader: &mut Reader<'_>, problems: &mut Problems) -> Option<Webhook> {
    let node = reader.take("webhook")?;
    let file = reader.file;
    let mut inner = Reader::new(file, "webhook", node, problems);
    let signature = signature(&mut inner, problems);
    let ping_content_type = inner.text("ping_content_type", problems);
    let topic_header = inner.text("topic_header", problems);
    let id_header = inner.text("id_header", problems);
    let routes = inner
        .list("routes", problems)
        .iter()
        .filter_map(|node| route(Reader::new(file, "webhook.routes", node, problems), problems))
        .collect();
    let subscriptions = inner.take("subscriptions").and_then(|node| {
        subscriptions(Reader::new(file, "webhook.subscriptions", node, problems), problems)
    });
    inner.finish(problems);
    Some(Webhook { signature, ping_content_type, topic_header, id_header, routes, subscriptions })
}

fn signature(inner: &mut Reader<'_>, problems: &mut Problems) -> Signature {
    let none = Signature::UrlSecret { secret: "$webhook_secret".to_owned() };
    let Some(node) = inner.take("signature") else {
        inner.missing("signature", problems);
        return none;
    };
    let mut reader = Reader::new(inner.file, "webhook.signature", node, problems);
    let kind = reader.need_text("kind", problems);
    let mut secrets = reader.texts("secrets", problems);
    if secrets.is_empty() {
        secrets.push(reader.need_text("secret", problems));
    }
    let secret = secrets[0].clone();
    let signature = match kind.as_str() {
        "hmac_sha256_base64" => {
            Signature::HmacSha256Base64 { header: reader.need_text("header", problems), secrets }
        }
        "url_secret" => Signature::UrlSecret { secret },
        other => {
            let text = format!("there is no signature kind \"{other}\"");
            reader.problem(node.line, text, "known: hmac_sha256_base64, url_secret", problems);
            none
        }
    };
    reader.finish(problems);
    signature
}

fn route(mut reader: Reader<'_>, problems: &mut Problems) -> Option<Route> {
    let topic = reader.text("topic", problems);
    let keep = keep(&mut reader, "keep", problems);
    let id: Option<Lens> = lens_at(&mut reader, "id", problems);
    let each = match reader.text("each", problems) {
        Some(name) => Some(Each::Named(name)),
        None => lens_at(&mut reader, "location", problems).map(Each::Location),
    };
    let body = match reader.text("body", problems).as_deref() {
        None | Some("state") => Body::State,
        Some("hint") => Body::Hint,
        Some("gone") => Body::Gone,
        Some("nothing") => Body::Nothing,
        Some(other) => {
            let text = format!("a webhook's body is not \"{other}\"");
            reader.problem(reader.line, text, "known: state, hint, gone, nothing", problems);
            Body::Hint
        }
    };
    let collection = match body {
        Body::Nothing => reader.text("collection", problems).unwrap_or_default(),
        _ => reader.need_text("collection", problems),
    };
    if id.is_none() && body != Body::Nothing {
        reader.missing("id", problems);
    }
    reader.finish(problems);
    Some(Route { topic, keep, collection, id, body, each })
}

fn subscriptions(mut reader: Reader<'_>, problems: &mut Problems) -> Option<Subscriptions> {
    let list = call_at(&mut reader, "list", problems);
    let create = call_at(&mut reader, "create", problems);
    let enable = call_at(&mut reader, "enable", problems);
    let drop = call_at(&mut reader, "drop", problems);
    let items = path_or_whole(&mut reader, "items", problems);
    let mut part = |key| -> Path { path_or_whole(&mut reader, key, problems) };
    let (url, topic, id) = (part("url"), part("topic"), part("id"));
    let status = path_at(&mut reader, "status", problems);
    let active = reader.text("active", problems).unwrap_or_default();
    let topics = reader.texts("topics", problems);
    let complaints = path_at(&mut reader, "problems", problems);
    let file = reader.file;
    let mut also = Vec::new();
    for node in reader.list("also", problems) {
        let mut inner = Reader::new(file, "webhook.subscriptions.also", node, problems);
        also.push((inner.texts("topics", problems), only_if(&mut inner, problems)));
        inner.finish(problems);
    }
    reader.finish(problems);
    let status = status.map(|path| (path, active));
    Some(Subscriptions {
        list: list?,
        items,
        url,
        topic,
        status,
        id,
        create: create?,
        enable,
        drop,
        problems: complaints,
        topics,
        also,
    })
}
