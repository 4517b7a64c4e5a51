//! Partners: normalised addresses, find_or_create, which address an order gets, merging.
//!
//! Reads   and writes `res.partner`.
//! Writes  other models only when partners are merged.
//! Never   enforces uniqueness: email, ref and vat repeat.

use serde_json::{Value, json};

use super::error::{Answer, Fault};
use super::read::{self, Ctx};
use super::schema::{Kind, MODELS};
use super::store::Db;
use super::value::{self, Map};
use super::write;

const PARTNER: &str = "res.partner";
const DATA: &str = "ir.model.data";
/// The platform's own bound.
const MERGED_MAX: usize = 3;

/// Name and address of `Name <address>`.
fn split(email: &str) -> (String, String) {
    match email.split_once('<') {
        Some((name, address)) => {
            let address = address.trim_end().trim_end_matches('>').trim();
            (name.trim().trim_matches('"').to_owned(), address.to_owned())
        }
        None => (String::new(), email.trim().to_owned()),
    }
}

pub fn normalized(email: &str) -> Value {
    let (_, address) = split(email);
    let plain = address.contains('@') && !address.contains([' ', ',']);
    if plain { address.to_lowercase().into() } else { Value::Bool(false) }
}

pub fn defaults(vals: &mut Map) {
    vals.entry("type").or_insert("contact".into());
    vals.entry("active").or_insert(true.into());
    vals.entry("is_company").or_insert(false.into());
    vals.entry("lang").or_insert("en_US".into());
    normalize(vals);
}

pub fn normalize(vals: &mut Map) {
    if let Some(email) = vals.get("email") {
        let email = normalized(&value::text(email));
        vals.insert("email_normalized".into(), email);
    }
}

/// The name may be missing on an address of another partner, not on a contact.
pub fn check_name(db: &Db, id: i64) -> Answer<()> {
    let needs_name = db.text(PARTNER, id, "type") == "contact";
    if needs_name && db.text(PARTNER, id, "name").is_empty() {
        return Err(Fault::validation(
            "The operation cannot be completed: Contacts require a name",
        ));
    }
    Ok(())
}

/// Two at once both find nothing, and both create.
pub fn find_or_create(db: &mut Db, ctx: &Ctx, email: &str) -> Answer<Value> {
    let (name, address) = split(email);
    let found = match normalized(email) {
        Value::String(key) => db.find_text(PARTNER, "email_normalized", &key),
        _ => Vec::new(),
    };
    let active =
        found.into_iter().find(|id| db.is(PARTNER, *id, "active") && db.sees(PARTNER, *id));
    if let Some(id) = active {
        return Ok(json!([id]));
    }
    let name = if name.is_empty() { address.clone() } else { name };
    let vals =
        Map::from_iter([("name".to_owned(), name.into()), ("email".to_owned(), address.into())]);
    Ok(json!([write::create(db, ctx, PARTNER, vals)?]))
}

/// The address of a kind: a child of that type, else the partner.
pub fn address(db: &Db, partner: i64, kind: &str) -> i64 {
    let children = db.find_id(PARTNER, "parent_id", partner);
    let fits = |id: &i64| db.text(PARTNER, *id, "type") == kind && db.is(PARTNER, *id, "active");
    if db.text(PARTNER, partner, "type") == kind {
        return partner;
    }
    children.into_iter().find(fits).unwrap_or(partner)
}

/// The losers are deleted; everything that names one names the winner afterwards.
pub fn merge(db: &mut Db, ctx: &Ctx, wizard: i64) -> Answer<Value> {
    let model = "base.partner.merge.automatic.wizard";
    let winner = db.link(model, wizard, "dst_partner_id");
    let losers: Vec<i64> =
        db.links(model, wizard, "partner_ids").into_iter().filter(|id| *id != winner).collect();
    if losers.len() + 1 > MERGED_MAX {
        let reason = "For safety reasons, you cannot merge more than 3 contacts together. \
                      You can re-open the wizard several times if needed.";
        return Err(Fault::user(reason));
    }
    for loser in &losers {
        for model in MODELS.values() {
            let links = model.fields.values().filter(|field| {
                field.kind == Kind::Many2one && field.target == PARTNER && !field.computed
            });
            for field in links {
                for id in db.find_id(model.name, field.name, *loser) {
                    // The platform does this by SQL: no write_date moves.
                    db.set(model.name, id, field.name, winner.into());
                }
            }
        }
    }
    // External ids go along: what named a loser names the winner.
    for loser in &losers {
        for row in db.find_id(DATA, "res_id", *loser) {
            if db.text(DATA, row, "model") == PARTNER {
                db.set(DATA, row, "res_id", winner.into());
            }
        }
    }
    write::unlink(db, ctx, PARTNER, &losers)?;
    Ok(json!({"type": "ir.actions.act_window", "res_model": model, "res_id": wizard,
              "view_mode": "form", "target": "new"}))
}

/// `name_search`: by name, and by code where a model has one.
pub fn name_search(
    db: &Db,
    ctx: &Ctx,
    model: &str,
    name: &str,
    domain: &Value,
    limit: usize,
) -> Answer<Value> {
    let wanted = name.to_lowercase();
    let mut found = Vec::new();
    for id in read::matching(db, ctx, model, domain)? {
        let shown = read::display_name(db, ctx, model, id);
        if shown.to_lowercase().contains(&wanted) {
            found.push(json!([id, shown]));
        }
        if found.len() == limit {
            break;
        }
    }
    Ok(Value::Array(found))
}
