//! Pages: one page of a listing, by number, by offset, or by the token that the page before gave.
//!
//! Reads   a remote's listing.   Writes  nothing.
//! Never   goes on by a guess: a token that stands still ends the listing with a fault.

use std::sync::Arc;

use kilter_core::Json;
use kilter_core::manifest::{Call, Count, List, Page, Vars, plain};
use kilter_core::model::{Fault, FaultKind};
use kilter_core::sync::house::View;

use crate::engine::Engine;
use crate::remote::Answer;

/// Where a page lies: its number from 1, its first row from 0.
#[derive(Debug, Clone, Copy)]
pub struct At {
    pub page: usize,
    pub offset: usize,
}

/// A page that was read.
pub struct Got {
    pub items: Vec<Json>,
    pub more: bool,
    /// How many rows the listing has, where its pages say so.
    pub count: Option<usize>,
}

/// The items of a page, and whether there are more. A page that is too much for the remote at once
/// is asked for again at half its size, where the next page does not depend on the size.
pub async fn read(
    engine: &Arc<Engine>,
    view: &View<'_>,
    list: &List,
    call: &Call,
    vars: &mut Vars,
    at: At,
    size: &mut usize,
) -> Result<Got, Fault> {
    loop {
        match one(engine, view, list, call, vars, at, *size).await {
            Err(fault) if fault.smaller && *size > 1 && matches!(list.page, Page::Token { .. }) => {
                *size /= 2;
                let (connection, resource) = (&view.connection.name, &view.resource.name);
                tracing::info!(
                    connection.id = connection,
                    resource,
                    size,
                    "a smaller page is asked for"
                );
            }
            other => return other,
        }
    }
}

/// One page. `vars` keeps the token for the next one.
async fn one(
    engine: &Arc<Engine>,
    view: &View<'_>,
    list: &List,
    call: &Call,
    vars: &mut Vars,
    at: At,
    size: usize,
) -> Result<Got, Fault> {
    let count = if list.page == Page::Whole { 0 } else { size };
    vars.insert("page".to_owned(), Json::from(at.page));
    vars.insert("offset".to_owned(), Json::from(at.offset));
    vars.insert("limit".to_owned(), Json::from(count));
    let request = call
        .render(vars)
        .ok_or_else(|| Fault::new(FaultKind::Rejected, "", "the listing lacks a value"))?;
    let Answer { mut body, headers } = engine.send(view, &request).await?;
    let env = view.env(vars, None);
    let count = match &list.count {
        Some(Count::Header(name)) => headers.get(name).and_then(|n| n.to_str().ok()?.parse().ok()),
        Some(Count::Body { call: None, at }) => at.read(&body, &env).as_ref().and_then(number),
        _ => None,
    };
    let next = list.next.as_ref().map(|next| {
        let token = next.token.read(&body, &env).filter(|t| !t.is_null());
        let more = match &next.more {
            Some(path) => path.read(&body, &env) == Some(Json::Bool(true)),
            None => token.is_some(),
        };
        (token, more)
    });
    let items = match list.items.take(&mut body, &env) {
        Some(Json::Array(items)) => items,
        _ => return Err(Fault::new(FaultKind::Unknown, "", no_list(vars))),
    };
    let Some((token, more)) = next else {
        let more = items.len() >= size;
        return Ok(Got { items, more, count });
    };
    if more && (token.is_none() || token.as_ref() == vars.get("after")) {
        let shown = token.as_ref().map(plain).unwrap_or_default();
        let text = format!("the listing says that there is more, and not where: \"{shown}\"");
        return Err(Fault::new(FaultKind::Unknown, "", text));
    }
    if let Some(token) = token {
        vars.insert("after".to_owned(), token);
    }
    Ok(Got { items, more, count })
}

/// How many rows a listing has, where a call of its own says so. Nothing hangs on it but an estimate:
/// a remote that does not tell is read all the same, and the exchange is logged with the others.
pub async fn counted(
    engine: &Arc<Engine>,
    view: &View<'_>,
    list: &List,
    vars: &Vars,
) -> Option<usize> {
    let Some(Count::Body { call: Some(call), at }) = &list.count else { return None };
    let answer = engine.send(view, &call.render(vars)?).await.ok()?;
    at.read(&answer.body, &view.env(vars, None)).as_ref().and_then(number)
}

fn number(told: &Json) -> Option<usize> {
    plain(told).parse().ok()
}

/// Why there may be no list: what it was asked for may be gone.
fn no_list(vars: &Vars) -> String {
    match vars.get("each").map(plain) {
        Some(each) => format!(
            "nothing is listed for \"{each}\": was it closed or removed there? If so, take it out of \
             the connection"
        ),
        None => "the listing's answer holds no list".to_owned(),
    }
}
