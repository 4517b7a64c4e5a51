//! `kilter why product SKU-1 price@us`: who says so, since when, and where it went.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use kilter_core::model::Record;
use kilter_core::sync::house::House;
use serde_json::json;

use crate::store::Tx;

#[derive(Debug, Args)]
pub struct WhyArgs {
    /// product, variant, price, stock, customer, order, shipment …
    entity: String,
    /// Its key: a SKU, an e-mail, an order's reference.
    key: String,
    /// A field, with its scope if it has one: title@de_DE; price@us is the price that us shows.
    field: Option<String>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

const DELIVERIES_MAX: i64 = 20;

pub fn run(config: &Path, args: &WhyArgs) -> anyhow::Result<ExitCode> {
    let (house, store) = super::reader(config)?;
    let story = store.read(|tx| {
        let Some(record) = find(tx, &args.entity, &args.key)? else { return Ok(None) };
        let mut records = vec![record];
        records.extend(parts(tx, &house, &records[0])?);
        let mut cells = Vec::new();
        for record in &records {
            cells.extend(cells_of(tx, &house, record, args.field.as_deref())?);
        }
        let mut places = Vec::new();
        for record in &records {
            for id in tx.objects_of_record(record.id)? {
                if !places.contains(&id) {
                    places.push(id);
                }
            }
        }
        let mut objects = Vec::new();
        for id in places {
            let Some(object) = tx.object(id)? else { continue };
            let deliveries = tx.deliveries_of(id, DELIVERIES_MAX)?;
            objects.push((object, deliveries));
        }
        Ok(Some((cells, objects)))
    })?;
    let Some((cells, objects)) = story else {
        anyhow::bail!("find {} \"{}\": nobody has told of it", args.entity, args.key);
    };
    if args.json {
        let places: Vec<_> = objects
            .iter()
            .map(|(o, d)| {
                json!({ "object": o.id, "connection": o.connection, "resource": o.resource, "id": o.remote,
                    "state": o.state.name(), "wait": o.wait, "shows": o.shadow, "deliveries": d })
            })
            .collect();
        println!("{}", json!({ "fields": cells, "places": places }));
        return Ok(ExitCode::SUCCESS);
    }
    for cell in &cells {
        println!(
            "{} = {}\n    owner {}; set by {} at {} (change {}, {})",
            super::cell(&cell["field"]),
            cell["value"],
            super::cell(&cell["owner"]),
            super::cell(&cell["by"]),
            super::cell(&cell["at"]),
            cell["change"],
            super::cell(&cell["via"])
        );
    }
    for (object, deliveries) in &objects {
        let id = object.remote.clone().unwrap_or_else(|| "not there yet".into());
        println!("\n{} {} {id} ({})", object.connection, object.resource, object.state.name());
        if let Some(wait) = &object.wait {
            println!("    {}: {}", wait.kind.name(), wait.reason);
        }
        for [at, kind, outcome, fields, fault, call] in deliveries {
            println!("    {at} {kind} by {call}: {outcome} {fault}\n        {fields}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn find(tx: &Tx<'_>, entity: &str, key: &str) -> crate::store::Result<Option<Record>> {
    let folded = kilter_core::model::record::fold(key);
    let mut found = None;
    for id in tx.record_ids_by_key(entity, &folded)? {
        let record = tx.record(id)?;
        let exact = record.as_ref().is_some_and(|r| r.key.as_deref() == Some(key));
        if exact || found.is_none() {
            found = record;
        }
    }
    if found.is_some() || entity != "product" {
        return Ok(found);
    }
    // People say "product" and a SKU: the product of the variant is meant, or the variant itself.
    find(tx, "variant", key)
}

/// Prices and stock levels of a variant, shipments of an order: what is part of it.
fn parts(tx: &Tx<'_>, house: &House, record: &Record) -> crate::store::Result<Vec<Record>> {
    let mut out = Vec::new();
    for entity in house.entities.0.values() {
        for (field, spec) in &entity.fields {
            if spec.part_of && spec.to.as_deref() == Some(record.entity.as_str()) {
                for id in tx.referrers(&entity.name, field, record.id)? {
                    out.extend(tx.record(id)?);
                }
            }
        }
    }
    if let Some(product) = record.reference("product") {
        out.extend(tx.record(product)?);
    }
    Ok(out)
}

fn cells_of(
    tx: &Tx<'_>,
    house: &House,
    record: &Record,
    wanted: Option<&str>,
) -> crate::store::Result<Vec<kilter_core::Json>> {
    let mut out = Vec::new();
    for (field, scopes) in &record.fields {
        for (scope, cell) in scopes {
            if !named(house, record, field, scope, wanted) {
                continue;
            }
            let owner = house.config.ownership.of(&record.entity, field, scope);
            let owner = owner.map_or_else(
                || "nobody".to_owned(),
                |o| match &o.owner {
                    kilter_core::config::Owner::Connection(name) => name.clone(),
                    kilter_core::config::Owner::Origin => record.origin.to_string(),
                    kilter_core::config::Owner::Nobody => "nobody".to_owned(),
                },
            );
            let via = tx.change_story(cell.change)?;
            let via = via.map_or_else(String::new, |[c, v, r, _]| format!("{v} of {c}, {r}"));
            let at = if scope.is_empty() { String::new() } else { format!("@{scope}") };
            out.push(json!({
                "field": format!("{}.{field}{at}", label(record)), "value": cell.value,
                "owner": owner, "by": cell.by, "at": cell.at, "change": cell.change, "via": via,
                "seeded": cell.seed,
            }));
        }
    }
    Ok(out)
}

fn label(record: &Record) -> String {
    match record.text("list").or(record.text("location")) {
        Some(place) => format!("{}[{place}]", record.entity),
        None => record.entity.to_string(),
    }
}

/// `price@us`: the amount in the list that the connection us shows; `title@de_DE`: a scope.
fn named(house: &House, record: &Record, field: &str, scope: &str, wanted: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    let (name, at) = wanted.split_once('@').unwrap_or((wanted, ""));
    let connection = house.config.connections.get(at);
    if record.entity == name {
        let list = connection.and_then(|c| c.price_list.as_deref()).unwrap_or(at);
        let place = record.text("list").or(record.text("location"));
        let sells = connection.is_some_and(|c| {
            c.locations.iter().any(|(l, _)| Some(l.as_str()) == record.text("location"))
        });
        return at.is_empty() || place == Some(list) || sells;
    }
    let locale = connection.and_then(|c| c.locale.as_deref()).unwrap_or(at);
    field == name && (at.is_empty() || scope == locale || scope.is_empty())
}
