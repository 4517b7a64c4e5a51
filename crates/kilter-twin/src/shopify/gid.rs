//! Global ids: `gid://shopify/Product/123`.
//!
//! Reads   nothing.
//! Writes  nothing.
//! Never   takes a bare number for an id: the platform does not either.

/// `gid://shopify/{kind}/{id}`.
pub fn gid(kind: &str, id: u64) -> String {
    format!("gid://shopify/{kind}/{id}")
}

/// Kind and number of a global id; what follows a `?` is left out.
pub fn parse(gid: &str) -> Option<(&str, u64)> {
    let (kind, id) = gid.strip_prefix("gid://shopify/")?.split_once('/')?;
    let id = id.split('?').next()?;
    Some((kind, id.parse().ok()?))
}

/// The number of a global id of that kind; 0 where it is of another.
pub fn number(gid: &str, kind: &str) -> u64 {
    parse(gid).filter(|(of, _)| *of == kind).map_or(0, |(_, id)| id)
}

/// The number at the end, whatever the kind.
pub fn tail(gid: &str) -> u64 {
    parse(gid).map_or(0, |(_, id)| id)
}
