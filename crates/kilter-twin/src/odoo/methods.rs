//! The methods that can be called: their signatures, their dispatch, who may call what.
//!
//! Reads   the named arguments of a call.
//! Writes  through `write`, `load` and the models' own files.
//! Never   lets a private method or an unknown argument through.

use serde_json::{Value, json};

use super::error::{Answer, Fault};
use super::group::{self, Grouping};
use super::hooks;
use super::read::{self, Ctx, Query};
use super::schema;
use super::store::Db;
use super::value::{self, Map};
use super::write;
use super::{invoice, load, partner, picking, pricing, product, sale, stock};

/// A call as it came.
#[derive(Debug)]
pub struct Call<'a> {
    pub model: &'a str,
    pub method: &'a str,
    pub ids: Vec<i64>,
    pub ctx: Ctx,
    pub args: Map,
}

struct Signature {
    /// Decorated `@api.model`: takes no ids.
    on_model: bool,
    /// Works on exactly one record.
    single: bool,
    required: &'static [&'static str],
    optional: &'static [&'static str],
}

const fn of_model(
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Signature {
    Signature { on_model: true, single: false, required, optional }
}

const fn of_records(
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Signature {
    Signature { on_model: false, single: false, required, optional }
}

const ACTION: Signature = of_records(&[], &[]);
const SINGLE: Signature = Signature { single: true, ..ACTION };

fn signature(model: &str, method: &str) -> Option<Signature> {
    if let Some(known) = generic(method) {
        return Some(known);
    }
    Some(match (model, method) {
        ("res.partner", "find_or_create") => of_model(&["email"], &["assert_valid_email"]),
        ("res.users", "context_get") => of_model(&[], &[]),
        ("ir.config_parameter", "get_param") => of_model(&["key"], &["default"]),
        ("report.product.report_pricelist", "get_html") => of_model(&["data"], &[]),
        ("product.product", "get_contextual_price")
        | ("base.partner.merge.automatic.wizard", "action_merge")
        | ("stock.return.picking", "action_create_returns")
        | ("choose.delivery.carrier", "button_confirm")
        | ("sale.advance.payment.inv", "create_invoices")
        | ("account.move.reversal", "refund_moves") => SINGLE,
        (
            "sale.order",
            "action_cancel"
            | "action_confirm"
            | "action_draft"
            | "action_quotation_sent"
            | "action_lock"
            | "action_unlock",
        )
        | (
            "stock.picking",
            "action_assign" | "action_cancel" | "action_confirm" | "button_validate",
        )
        | ("stock.quant", "action_apply_inventory")
        | ("account.move", "action_post") => ACTION,
        _ => return None,
    })
}

fn generic(method: &str) -> Option<Signature> {
    Some(match method {
        "search" => of_model(&["domain"], &["offset", "limit", "order"]),
        "search_read" => of_model(&[], &["domain", "fields", "offset", "limit", "order", "load"]),
        "search_count" => of_model(&["domain"], &["limit"]),
        "web_search_read" => {
            of_model(&["domain", "specification"], &["offset", "limit", "order", "count_limit"])
        }
        "formatted_read_group" => {
            of_model(&["domain"], &["groupby", "aggregates", "having", "offset", "limit", "order"])
        }
        "fields_get" => of_model(&[], &["allfields", "attributes"]),
        "name_search" => of_model(&[], &["name", "domain", "operator", "limit"]),
        "create" => of_model(&["vals_list"], &[]),
        "load" => of_model(&["fields", "data"], &[]),
        "read" => of_records(&[], &["fields", "load"]),
        "web_read" => of_records(&["specification"], &[]),
        "web_save" => of_records(&["vals", "specification"], &["next_id"]),
        "web_save_multi" => of_records(&["vals_list", "specification"], &[]),
        "write" => of_records(&["vals"], &[]),
        "unlink" | "action_archive" | "action_unarchive" | "exists" => of_records(&[], &[]),
        _ => return None,
    })
}

/// Whether the method only reads: for the counts.
pub fn is_read(method: &str) -> bool {
    matches!(
        method,
        "search"
            | "search_read"
            | "search_count"
            | "web_search_read"
            | "formatted_read_group"
            | "fields_get"
            | "name_search"
            | "read"
            | "web_read"
            | "exists"
            | "get_contextual_price"
            | "get_html"
            | "get_param"
            | "context_get"
    )
}

fn check(call: &Call) -> Answer<()> {
    let (model, method) = (call.model, call.method);
    read::model(model)?;
    if method.starts_with('_') || matches!(method, "init" | "browse" | "env") {
        return Err(Fault::access(format!(
            "Private methods (such as '{model}.{method}') cannot be called remotely."
        )));
    }
    let signature = signature(model, method)
        .ok_or_else(|| Fault::not_found(format!("the method '{model}.{method}' does not exist")))?;
    if signature.on_model && !call.ids.is_empty() {
        return Err(Fault::unprocessable(format!("cannot call {model}.{method} with ids")));
    }
    if let Some(absent) = signature.required.iter().find(|name| !call.args.contains_key(**name)) {
        return Err(Fault::unprocessable(format!("missing a required argument: '{absent}'")));
    }
    let known =
        |name: &str| signature.required.contains(&name) || signature.optional.contains(&name);
    if let Some(name) = call.args.keys().find(|name| !known(name)) {
        return Err(Fault::unprocessable(format!("got an unexpected keyword argument '{name}'")));
    }
    if signature.single && call.ids.len() != 1 {
        return Err(Fault::singleton(model, &call.ids));
    }
    Ok(())
}

/// Runs a call in one transaction: what fails leaves nothing behind.
pub fn run(db: &mut Db, call: &Call) -> Answer<Value> {
    check(call)?;
    if let Some(lang) = call.ctx.get("lang").and_then(Value::as_str) {
        write::check_lang(db, lang)?;
    }
    let savepoint = db.savepoint();
    let answer = dispatch(db, call).and_then(|answer| hooks::settle(db).map(|()| answer));
    if answer.is_err() {
        db.depth = 0;
        db.roll_back(savepoint);
    }
    answer
}

fn dispatch(db: &mut Db, call: &Call) -> Answer<Value> {
    if generic(call.method).is_none() {
        return action(db, call);
    }
    let (model, ctx, ids) = (call.model, &call.ctx, &call.ids);
    match call.method {
        "create" => {
            let many = call.args.get("vals_list").cloned().unwrap_or_default();
            let list = if many.is_object() {
                vec![many]
            } else {
                many.as_array().cloned().unwrap_or_default()
            };
            let mut created = Vec::new();
            for vals in list {
                created.push(create(db, ctx, model, object(Some(&vals)))?);
            }
            Ok(value::id_list(&created))
        }
        "write" => {
            write::write(db, ctx, model, ids, &object(call.args.get("vals")))?;
            Ok(true.into())
        }
        "unlink" => {
            write::unlink(db, ctx, model, ids)?;
            Ok(true.into())
        }
        "action_archive" | "action_unarchive" => {
            let active = Value::from(call.method == "action_unarchive");
            write::write(db, ctx, model, ids, &Map::from_iter([("active".to_owned(), active)]))?;
            Ok(true.into())
        }
        "load" => {
            let null = Value::Null;
            let arg = |name: &str| call.args.get(name).unwrap_or(&null);
            load::load(db, ctx, model, arg("fields"), arg("data"))
        }
        "web_save" | "web_save_multi" => web_save(db, call),
        _ => reading(db, call),
    }
}

fn create(db: &mut Db, ctx: &Ctx, model: &str, mut vals: Map) -> Answer<i64> {
    hooks::context_defaults(ctx, model, &mut vals);
    if let Some(quant) = stock::counted_quant(db, model, &vals) {
        write::write(db, ctx, model, &[quant], &vals)?;
        return Ok(quant);
    }
    write::create(db, ctx, model, vals)
}

fn object(value: Option<&Value>) -> Map {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn web_save(db: &mut Db, call: &Call) -> Answer<Value> {
    let (model, ctx) = (call.model, &call.ctx);
    let mut ids = call.ids.clone();
    if call.method == "web_save_multi" {
        let list =
            call.args.get("vals_list").and_then(Value::as_array).cloned().unwrap_or_default();
        if list.len() != ids.len() {
            return Err(Fault::value(
                "Each record must have corresponding vals entry in vals_list.",
            ));
        }
        for (id, vals) in ids.iter().zip(&list) {
            write::write(db, ctx, model, &[*id], &object(Some(vals)))?;
        }
    } else {
        let vals = object(call.args.get("vals"));
        if ids.is_empty() {
            ids = vec![create(db, ctx, model, vals)?];
        } else {
            write::write(db, ctx, model, &ids, &vals)?;
        }
    }
    hooks::settle(db)?;
    read::nested(db, ctx, model, &ids, &object(call.args.get("specification")))
}

fn names(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array);
    items.map_or(Vec::new(), |items| items.iter().map(value::text).collect())
}

fn reading(db: &mut Db, call: &Call) -> Answer<Value> {
    let (model, ctx, ids) = (call.model, &call.ctx, &call.ids);
    let null = Value::Null;
    let arg = |name: &str| call.args.get(name).unwrap_or(&null);
    let count = |name: &str| arg(name).as_u64().and_then(|n| usize::try_from(n).ok());
    let query = Query {
        domain: arg("domain").clone(),
        order: value::text(arg("order")),
        limit: count("limit").filter(|limit| *limit > 0),
        offset: count("offset").unwrap_or(0),
    };
    let classic = call.args.get("load").is_none_or(|load| load == "_classic_read");
    match call.method {
        "read" => read::read(db, ctx, model, ids, &names(call.args.get("fields")), classic),
        "web_read" => read::nested(db, ctx, model, ids, &object(call.args.get("specification"))),
        "exists" => {
            let alive = ids.iter().copied().filter(|id| db.exists(model, *id));
            Ok(value::id_list(&alive.collect::<Vec<_>>()))
        }
        "search" => Ok(value::id_list(&read::search(db, ctx, model, &query)?)),
        "search_read" => {
            let found = read::search(db, ctx, model, &query)?;
            read::read(db, ctx, model, &found, &names(call.args.get("fields")), classic)
        }
        "search_count" => {
            let found = read::matching(db, ctx, model, &query.domain)?.len();
            Ok(query.limit.map_or(found, |limit| found.min(limit)).into())
        }
        "web_search_read" => {
            let found = read::search(db, ctx, model, &query)?;
            let length = read::matching(db, ctx, model, &query.domain)?.len();
            let spec = object(call.args.get("specification"));
            let records = read::nested(db, ctx, model, &found, &spec)?;
            Ok(json!({"length": length, "records": records}))
        }
        "formatted_read_group" => {
            let grouping = Grouping {
                domain: arg("domain"),
                groupby: names(call.args.get("groupby")),
                aggregates: names(call.args.get("aggregates")),
                limit: query.limit,
                offset: query.offset,
            };
            group::grouped(db, ctx, model, &grouping)
        }
        "name_search" => {
            let limit = query.limit.unwrap_or(100);
            partner::name_search(db, ctx, model, &value::text(arg("name")), arg("domain"), limit)
        }
        _ => fields_get(call),
    }
}

fn fields_get(call: &Call) -> Answer<Value> {
    let model = read::model(call.model)?;
    let wanted = names(call.args.get("allfields"));
    let attributes = names(call.args.get("attributes"));
    let mut answer = Map::new();
    for name in read::all_fields(model) {
        let Some(field) = schema::field_of(call.model, &name) else { continue };
        if wanted.is_empty() || wanted.contains(&name) {
            let mut described = field.describe();
            if !attributes.is_empty() {
                described.retain(|key, _| attributes.contains(key));
            }
            answer.insert(name, Value::Object(described));
        }
    }
    Ok(Value::Object(answer))
}

fn action(db: &mut Db, call: &Call) -> Answer<Value> {
    let (model, ctx, ids) = (call.model, &call.ctx, &call.ids);
    if let Some(id) = ids.iter().find(|id| !db.exists(model, **id)) {
        return Err(Fault::missing(model, *id));
    }
    let first = ids.first().copied().unwrap_or(0);
    let text = |name: &str| call.args.get(name).map(value::text).unwrap_or_default();
    match (model, call.method) {
        ("sale.order", "action_confirm") => sale::confirm(db, ids),
        ("sale.order", "action_cancel") => sale::cancel(db, ids),
        ("sale.order", "action_draft") => Ok(sale::to_draft(db, ids)),
        ("sale.order", "action_quotation_sent") => sale::quotation_sent(db, ids),
        ("sale.order", "action_lock" | "action_unlock") => {
            let locked = Value::from(call.method == "action_lock");
            write::write(db, ctx, model, ids, &Map::from_iter([("locked".to_owned(), locked)]))?;
            Ok(Value::Null)
        }
        ("stock.picking", "button_validate") => picking::validate(db, ctx, ids),
        ("stock.picking", "action_assign" | "action_confirm") => Ok(picking::assign(db, ids)),
        ("stock.picking", _) => {
            ids.iter().for_each(|id| picking::cancel(db, *id));
            Ok(true.into())
        }
        ("stock.return.picking", _) => picking::create_return(db, first),
        ("stock.quant", _) => Ok(stock::apply_inventory(db, ids)),
        ("product.product", _) => Ok(product::contextual_price(db, ctx, first)),
        ("report.product.report_pricelist", _) => {
            Ok(pricing::report(db, ctx, call.args.get("data").unwrap_or(&Value::Null)).into())
        }
        ("res.partner", _) => partner::find_or_create(db, ctx, &text("email")),
        ("base.partner.merge.automatic.wizard", _) => partner::merge(db, ctx, first),
        ("choose.delivery.carrier", _) => invoice::add_delivery_line(db, ctx, first),
        ("sale.advance.payment.inv", _) => invoice::create_invoices(db, first),
        ("account.move", _) => invoice::post(db, ids),
        ("account.move.reversal", _) => Ok(invoice::refund(db, first)),
        ("ir.config_parameter", _) => {
            let found = db.find_text(model, "key", &text("key"));
            let value = found.first().map(|id| db.get(model, *id, "value").clone());
            Ok(value.or_else(|| call.args.get("default").cloned()).unwrap_or(false.into()))
        }
        _ => Ok(json!({"lang": "en_US", "tz": false, "uid": 2})),
    }
}
