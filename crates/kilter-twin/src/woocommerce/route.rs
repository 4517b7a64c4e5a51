//! From a path to the code that answers it.
//!
//! Reads   one parsed call.
//! Writes  through the resources.
//! Never   lets a call through that has no route, before it even asks who is calling.

use serde_json::{Value, json};

use super::api::{Answer, Fail, Reply, Req};
use super::crud::Res;
use super::lists::only_fields;
use super::shop::Shop;

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    List(Res),
    One(Res, u64),
    Batch(Res),
    /// All variations, read-only.
    Variations,
    /// All refunds, read-only.
    Refunds,
    RefundsOf(u64),
    Refund(u64, u64),
    Notes(u64),
    Note(u64, u64),
    Fulfillments(u64),
    Fulfillment(u64, u64),
    Fixed(&'static str),
}

const FIXED: &[&str] = &[
    "",
    "system_status",
    "data",
    "data/currencies",
    "data/currencies/current",
    "settings",
    "settings/general",
    "settings/tax",
    "settings/products",
    "taxes",
    "taxes/classes",
];

fn target(path: &str) -> Option<Target> {
    let rest = path.strip_prefix("/wc/v3")?.trim_matches('/');
    if let Some(name) = FIXED.iter().find(|name| **name == rest) {
        return Some(Target::Fixed(name));
    }
    let parts: Vec<&str> = rest.split('/').collect();
    let id = |text: &str| text.parse::<u64>().ok();
    let found = match parts.as_slice() {
        ["products", "categories", tail @ ..] => under(Res::Category, tail)?,
        ["products", "tags", tail @ ..] => under(Res::Tag, tail)?,
        ["products", "attributes", of, "terms", tail @ ..] => under(Res::Term(id(of)?), tail)?,
        ["products", "attributes", tail @ ..] => under(Res::Attribute, tail)?,
        ["products", of, "variations", tail @ ..] => under(Res::Variation(id(of)?), tail)?,
        ["products", tail @ ..] => under(Res::Product, tail)?,
        ["variations"] => Target::Variations,
        ["refunds"] => Target::Refunds,
        ["orders", of, "refunds"] => Target::RefundsOf(id(of)?),
        ["orders", of, "refunds", one] => Target::Refund(id(of)?, id(one)?),
        ["orders", of, "notes"] => Target::Notes(id(of)?),
        ["orders", of, "notes", one] => Target::Note(id(of)?, id(one)?),
        ["orders", of, "fulfillments"] => Target::Fulfillments(id(of)?),
        ["orders", of, "fulfillments", one] => Target::Fulfillment(id(of)?, id(one)?),
        ["orders", tail @ ..] => under(Res::Order, tail)?,
        ["customers", tail @ ..] => under(Res::Customer, tail)?,
        ["coupons", tail @ ..] => under(Res::Coupon, tail)?,
        ["webhooks", tail @ ..] => under(Res::Webhook, tail)?,
        _ => return None,
    };
    Some(found).filter(|found| !matches!(found, Target::One(_, 0)))
}

fn under(res: Res, tail: &[&str]) -> Option<Target> {
    match tail {
        [] => Some(Target::List(res)),
        ["batch"] => Some(Target::Batch(res)),
        [one] => one.parse().ok().map(|id| Target::One(res, id)),
        _ => None,
    }
}

fn allowed(target: Target) -> &'static [&'static str] {
    match target {
        Target::List(_) | Target::RefundsOf(_) | Target::Notes(_) | Target::Fulfillments(_) => {
            &["GET", "POST"]
        }
        Target::One(..) => &["GET", "POST", "PUT", "PATCH", "DELETE"],
        Target::Fulfillment(..) => &["GET", "PUT", "DELETE"],
        Target::Batch(_) => &["POST", "PUT", "PATCH"],
        Target::Refund(..) | Target::Note(..) => &["GET", "DELETE"],
        Target::Variations | Target::Refunds | Target::Fixed(_) => &["GET"],
    }
}

/// What an unknown caller is answered.
fn forbidden(target: Target, method: &str) -> Fail {
    let (what, message) = match (target, method) {
        (Target::Batch(_), _) => {
            ("batch", "Sorry, you are not allowed to batch manipulate this resource.")
        }
        (Target::One(..), "GET") => ("view", "Sorry, you cannot view this resource."),
        (_, "GET") => ("view", "Sorry, you cannot list resources."),
        (_, "DELETE") => ("delete", "Sorry, you are not allowed to delete this resource."),
        (Target::One(..), _) => ("edit", "Sorry, you are not allowed to edit this resource."),
        _ => ("create", "Sorry, you are not allowed to create resources."),
    };
    Fail::new(401, &format!("woocommerce_rest_cannot_{what}"), message)
}

impl Shop {
    /// One call to the API.
    pub fn call(&mut self, req: &Req, authorization: Option<&str>, broken_json: bool) -> Reply {
        self.next_tick();
        self.audit.by_client = true;
        let reply = self.answer(req, authorization, broken_json);
        self.audit.by_client = false;
        let reply = reply.unwrap_or_else(|fail| fail.reply());
        if reply.headers.iter().any(|(name, _)| name == "Link") {
            return reply;
        }
        reply.with("Link", format!("<{}/wp-json/>; rel=\"https://api.w.org/\"", self.base))
    }

    /// A call whose answer never reaches the client: it is told nothing by it.
    pub fn call_unseen(&mut self, req: &Req, authorization: Option<&str>) -> Reply {
        let read = self.audit.read.clone();
        let told: Vec<(u64, u64)> = self.orders.values().map(|o| (o.id, o.told)).collect();
        let reply = self.call(req, authorization, false);
        self.audit.read = read;
        for (id, tick) in told {
            if let Some(order) = self.orders.get_mut(&id) {
                order.told = tick;
            }
        }
        reply
    }

    fn answer(&mut self, req: &Req, auth: Option<&str>, broken_json: bool) -> Answer<Reply> {
        if matches!(req.path.as_str(), "" | "/") {
            return Ok(Reply::json(200, self.show_index()));
        }
        let known = self.authenticate(req, auth)?;
        let method = req.method.as_str();
        let target = target(&req.path)
            .filter(|target| allowed(*target).contains(&method))
            .filter(|target| self.settings.fulfillments || !is_fulfillment(*target))
            .ok_or_else(Fail::no_route)?;
        if broken_json {
            let fail = Fail::new(400, "rest_invalid_json", "Invalid JSON body passed.");
            return Err(fail
                .with("json_error_code", json!(4))
                .with("json_error_message", json!("Syntax error")));
        }
        if target == Target::Fixed("") {
            return Ok(Reply::json(200, self.show_namespace()));
        }
        if !known {
            return Err(forbidden(target, method));
        }
        self.dispatch(target, req)
    }

    fn dispatch(&mut self, target: Target, req: &Req) -> Answer<Reply> {
        let get = req.method == "GET";
        match target {
            Target::List(res) if get => self.list(res, req),
            Target::List(res) => self.post(res, req),
            Target::Batch(res) => self.batch(res, req),
            Target::One(res, id) if get => self.get_one(res, id, req),
            Target::One(res, id) if req.method == "DELETE" => {
                let shown = self.delete(res, id, req.flag("force"), self.dp(req))?;
                Ok(Reply::json(200, shown))
            }
            Target::One(res, id) => self.put(res, id, req),
            Target::Variations => self.list_products(req, Some(0)),
            Target::Refunds => self.list_refunds(req, None),
            Target::RefundsOf(order) if get => self.list_refunds(req, Some(order)),
            Target::RefundsOf(order) => {
                let id = self.create_refund(order, &req.body)?;
                let shown = self.refunds.get(&id).map(|r| self.show_refund(r, self.dp(req), false));
                let place = self.link(&format!("orders/(?P<order_id>[\\d]+)/refunds/{id}"));
                Ok(Reply::json(201, shown.unwrap_or(Value::Null)).with("Location", place))
            }
            Target::Refund(order, id) => self.one_refund(order, id, req),
            Target::Notes(order) => self.notes(order, req),
            Target::Note(order, id) => self.one_note(order, id, req),
            Target::Fulfillments(order) => self.fulfillments(order, req),
            Target::Fulfillment(order, id) => self.one_fulfillment(order, id, req),
            Target::Fixed(name) => self.fixed(name, req),
        }
    }

    fn post(&mut self, res: Res, req: &Req) -> Answer<Reply> {
        if id_given(req) {
            let (code, message) = match res {
                Res::Product | Res::Variation(_) => {
                    ("woocommerce_rest_product_exists", "Cannot create existing product.")
                }
                Res::Order => {
                    ("woocommerce_rest_shop_order_exists", "Cannot create existing shop_order.")
                }
                _ => ("woocommerce_rest_exists", "Cannot create existing resource."),
            };
            return Err(Fail::new(400, code, message));
        }
        let id = self.create(res, &req.body, false)?;
        self.after_write(res, id);
        let shown = self.show(res, id, true, self.dp(req))?;
        let place = match res {
            Res::Variation(_) => "products/(?P<product_id>[\\d]+)/variations".to_owned(),
            Res::Term(_) => "products/attributes/(?P<attribute_id>[\\d]+)/terms".to_owned(),
            _ => res.collection(),
        };
        let place = self.link(&format!("{place}/{id}"));
        let mut reply = Reply::json(201, only_fields(req, shown, true)).with("Location", place);
        if res == Res::Webhook {
            self.webhook_created(id);
            reply.pings.push(id);
        }
        Ok(reply)
    }

    fn put(&mut self, res: Res, id: u64, req: &Req) -> Answer<Reply> {
        let activates = res == Res::Webhook && req.body.get("status") == Some(&json!("active"));
        self.update(res, id, &req.body, false)?;
        self.after_write(res, id);
        let shown = self.show(res, id, true, self.dp(req))?;
        let mut reply = Reply::json(200, only_fields(req, shown, true));
        if activates {
            reply.pings.push(id);
        }
        Ok(reply)
    }

    fn get_one(&mut self, res: Res, id: u64, req: &Req) -> Answer<Reply> {
        let raw = req.query("context") == Some("edit");
        let shown = self.show(res, id, raw, self.dp(req))?;
        let shown = only_fields(req, shown, true);
        let has = |name: &str| shown.get(name).is_some();
        match res {
            Res::Product | Res::Variation(_) if has("stock_quantity") => self.note_stock_read(id),
            Res::Order if has("line_items") => {
                let tick = self.tick;
                self.note_told(id, tick);
            }
            _ => {}
        }
        Ok(Reply::json(200, shown))
    }
}

fn is_fulfillment(target: Target) -> bool {
    matches!(target, Target::Fulfillments(_) | Target::Fulfillment(..))
}

fn id_given(req: &Req) -> bool {
    super::api::id_of(req.body.get("id")) > 0
}
