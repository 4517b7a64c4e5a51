//! Payload: what a create would say of given values, without records or a store. For cases.
//!
//! Reads   a resource's rows, values by facet and field, remote ids.   Writes  nothing.
//! Never   looks anything up: a reference's id is given, or the row is left out.

use std::collections::BTreeMap;

use serde_json::json;

use crate::Json;
use crate::manifest::{Facet, Row, render};
use crate::model::Wait;
use crate::sync::draft::write_row;
use crate::sync::house::View;

/// `record`: facet or entity → field → value. `remotes`: resource → the id a reference has there.
pub fn create(
    view: &View<'_>,
    each: &str,
    record: &Json,
    remotes: &BTreeMap<String, String>,
) -> Result<Json, Wait> {
    let vars = view.vars(each);
    let mut payload = render(&view.resource.set, &vars).unwrap_or_else(|| json!({}));
    for facet in &view.resource.facets {
        for row in facet.rows.iter().filter(|r| r.is_written()) {
            let Some(value) = value(facet, row, record, remotes) else { continue };
            let key = view.stand(facet, row, &vars).key.clone();
            write_row(view, each, row, &mut payload, &value, &key).map_err(|(wait, _)| wait)?;
        }
    }
    Ok(payload)
}

fn value(
    facet: &Facet,
    row: &Row,
    record: &Json,
    remotes: &BTreeMap<String, String>,
) -> Option<Json> {
    let refers = row.write.as_ref().and_then(|lens| remote(&lens.refs(), remotes));
    if refers.is_some() {
        return refers;
    }
    let said = record.get(&facet.name).or_else(|| record.get(&facet.entity))?;
    let mut value = said.get(&row.field)?.clone();
    for part in row.list.iter().flat_map(|list| &list.parts) {
        for (field, _, write) in &part.rows {
            let refers = write.as_ref().and_then(|lens| remote(&lens.refs(), remotes));
            let Some(refers) = refers else { continue };
            for item in value.as_array_mut().into_iter().flatten() {
                item[field.as_str()] = refers.clone();
            }
        }
    }
    Some(value)
}

fn remote(resources: &[&str], remotes: &BTreeMap<String, String>) -> Option<Json> {
    let mut names = resources.iter().flat_map(|r| r.split('|'));
    names.find_map(|name| Some(json!({ "$remote": [name, remotes.get(name)?] })))
}
