//! How a connection says who it is: fixed credentials, or a token that a grant gives.
//!
//! Reads   `auth` of `connector.toml`, one table or several.   Writes  problems.
//! Never   holds a secret: only the names of settings.

use std::collections::BTreeSet;

use crate::Json;
use crate::doc::{Node, Reader, Val};
use crate::manifest::parts::{Problems, call, complain, path_at};
use crate::manifest::template::{Call, Vars, plain};
use crate::mapping::Path;

#[derive(Debug, Clone, PartialEq)]
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
    Token(Box<Grant>),
}

/// A token that is asked for and renewed (RFC 6749).
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    pub kind: GrantKind,
    /// Another address than the connector's; none: the same.
    pub base: Option<Vec<String>>,
    pub call: Call,
    /// The body is a form; else JSON.
    pub form: bool,
    pub access: Path,
    /// Where the answer says how many seconds the token lives; none: until it is refused.
    pub expires: Option<Path>,
    /// Where the answer holds the next refresh token, where it changes.
    pub refresh: Option<Path>,
    pub header: String,
    pub scheme: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantKind {
    ClientCredentials,
    /// `$refresh_token` is the setting at first, then what the last answer gave.
    RefreshToken,
}

impl Auth {
    /// The first of several whose settings are all there.
    pub fn choose<'a>(ways: &'a [Auth], vars: &Vars) -> Option<&'a Auth> {
        let given = |name: &str| vars.get(name).is_some_and(|v| !plain(v).is_empty());
        ways.iter().find(|way| way.needs().iter().all(|name| given(name)))
    }

    /// The settings without which it says nothing.
    pub fn needs(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut texts = |items: &[&String]| {
            items.iter().for_each(|text| placeholders(&Json::String((*text).clone()), &mut names));
        };
        match self {
            Self::None => {}
            Self::Basic { username, password } => texts(&[username, password]),
            Self::Bearer { token, .. } => texts(&[token]),
            Self::Header { value, .. } => texts(&[value]),
            Self::Token(grant) => {
                texts(&grant.call.path.iter().collect::<Vec<_>>());
                texts(&grant.base.iter().flatten().collect::<Vec<_>>());
                for part in [&grant.call.query, &grant.call.headers] {
                    placeholders(part, &mut names);
                }
                grant.call.body.iter().for_each(|body| placeholders(body, &mut names));
            }
        }
        names
    }
}

fn placeholders(template: &Json, names: &mut BTreeSet<String>) {
    match template {
        Json::String(text) => {
            let name = text.strip_prefix('$').filter(|name| !name.starts_with('$'));
            names.extend(name.map(str::to_owned));
        }
        Json::Array(items) => items.iter().for_each(|i| placeholders(i, names)),
        Json::Object(table) => table.values().for_each(|v| placeholders(v, names)),
        _ => {}
    }
}

pub(super) fn auth(reader: &mut Reader<'_>, problems: &mut Problems) -> Vec<Auth> {
    match reader.take("auth") {
        None => Vec::new(),
        Some(Node { val: Val::List(ways), .. }) => {
            ways.iter().map(|node| way(reader.file, node, problems)).collect()
        }
        Some(node) => vec![way(reader.file, node, problems)],
    }
}

fn way(file: &str, node: &Node, problems: &mut Problems) -> Auth {
    let mut inner = Reader::new(file, "auth", node, problems);
    let kind = inner.need_text("kind", problems);
    let auth = match kind.as_str() {
        "basic" => Auth::Basic {
            username: inner.need_text("username", problems),
            password: inner.need_text("password", problems),
        },
        "bearer" => Auth::Bearer {
            scheme: inner.text("scheme", problems).unwrap_or_else(|| "Bearer".to_owned()),
            token: inner.need_text("token", problems),
        },
        "header" => Auth::Header {
            name: inner.need_text("name", problems),
            value: inner.need_text("value", problems),
        },
        "token" => grant(&mut inner, problems).map_or(Auth::None, |g| Auth::Token(Box::new(g))),
        "none" => Auth::None,
        other => {
            let text = format!("there is no auth kind \"{other}\"");
            let hint = "known: basic, bearer, header, token, none";
            inner.problem(node.line, text, hint, problems);
            Auth::None
        }
    };
    inner.finish(problems);
    auth
}

fn grant(inner: &mut Reader<'_>, problems: &mut Problems) -> Option<Grant> {
    let kind = match inner.need_text("grant", problems).as_str() {
        "refresh_token" => GrantKind::RefreshToken,
        "client_credentials" => GrantKind::ClientCredentials,
        other => {
            let hint = "known: client_credentials, refresh_token";
            inner.problem(inner.line, format!("there is no grant \"{other}\""), hint, problems);
            GrantKind::ClientCredentials
        }
    };
    let access = path_at(inner, "access", problems);
    let expires = path_at(inner, "expires", problems);
    let refresh = path_at(inner, "refresh", problems);
    let (mut header, mut scheme) = ("authorization".to_owned(), "Bearer".to_owned());
    if let Some(node) = inner.take("send") {
        let mut send = Reader::new(inner.file, "auth.send", node, problems);
        header = send.text("header", problems).unwrap_or(header);
        scheme = send.text("scheme", problems).unwrap_or(scheme);
        send.finish(problems);
    }
    let Some(node) = inner.take("call") else {
        inner.missing("call", problems);
        return None;
    };
    let (base, form, call) = token_call(inner.file, node, problems);
    if access.is_none() {
        inner.missing("access", problems);
    }
    Some(Grant { kind, base, call, form, access: access?, expires, refresh, header, scheme })
}

/// A call that may go to an address of its own, with a form for a body. Only here: no other call
/// may carry credentials elsewhere.
fn token_call(
    file: &str,
    node: &Node,
    problems: &mut Problems,
) -> (Option<Vec<String>>, bool, Call) {
    let mut rest = node.clone();
    let mut own = |key: &str| match &mut rest.val {
        Val::Table(table) => table.remove(key),
        _ => None,
    };
    let base = own("base").and_then(|n| n.as_text().map(super::connector::segments));
    let body_as = own("body_as");
    let form = match body_as.as_ref().and_then(Node::as_text) {
        Some("form") => true,
        None | Some("json") => false,
        Some(other) => {
            let text = format!("a token's call has no body as \"{other}\"");
            complain(file, node.line, text, "known: form, json", problems);
            false
        }
    };
    (base, form, call(file, "auth.call", &rest, problems))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc::parse;

    fn read(text: &str) -> (Vec<Auth>, Vec<String>) {
        let mut problems = Vec::new();
        let node = parse("c.toml", text, &mut problems);
        let mut reader = Reader::new("c.toml", "the connector", &node, &mut problems);
        let ways = auth(&mut reader, &mut problems);
        (ways, problems.iter().map(ToString::to_string).collect())
    }

    const THREE: &str = r#"
[[auth]]
kind  = "header"
name  = "x-token"
value = "$access_token"
[[auth]]
kind    = "token"
grant   = "refresh_token"
call    = { base = "$url", method = "POST", path = "oauth/token", body_as = "form", body = { client_id = "$client_id", refresh_token = "$refresh_token" } }
access  = "access_token"
refresh = "refresh_token"
[[auth]]
kind    = "token"
grant   = "client_credentials"
call    = { base = "$url", method = "POST", path = "oauth/token", body = { client_id = "$client_id" } }
access  = "access_token"
expires = "expires_in"
send    = { header = "x-token", scheme = "" }
"#;

    #[test]
    fn what_the_merchant_gives_decides() {
        let (ways, problems) = read(THREE);
        assert_eq!(problems, Vec::<String>::new());
        let chosen = |names: &[&str]| {
            let vars = names.iter().map(|n| ((*n).to_owned(), Json::from("x"))).collect();
            ways.iter().position(|w| Some(w) == Auth::choose(&ways, &vars))
        };
        assert_eq!(chosen(&["url", "client_id", "access_token"]), Some(0));
        assert_eq!(chosen(&["url", "client_id", "refresh_token"]), Some(1));
        assert_eq!(chosen(&["url", "client_id"]), Some(2));
        assert_eq!(chosen(&["url"]), None);
        let Auth::Token(grant) = &ways[1] else { panic!() };
        assert!(grant.form && grant.kind == GrantKind::RefreshToken);
        assert_eq!((grant.header.as_str(), grant.scheme.as_str()), ("authorization", "Bearer"));
    }

    #[test]
    fn misuse_is_refused() {
        let (_, problems) =
            read("[auth]\nkind = \"token\"\ngrant = \"password\"\naccess = \"a\"\n");
        assert!(problems[0].contains("there is no grant \"password\""), "{problems:?}");
        assert!(problems[1].contains("lacks \"call\""), "{problems:?}");
    }
}
