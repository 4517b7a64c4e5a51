//! The parts of a product that name other things: categories, tags, attributes, images.
//!
//! Reads   categories, attributes and terms of the shop.
//! Writes  the product at hand; new terms and new media ids.
//! Never   downloads from another machine: only a loopback address is even tried.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Answer, Fail, Object, id_of, loose_text, truthy, whole};
use super::model::{Plain, Product};
use super::shop::{Shop, object};
use super::text;

impl Shop {
    pub fn set_relations(&mut self, product: &mut Product, body: &Object) {
        for (name, known) in [("categories", &self.categories), ("tags", &self.tags)] {
            if let Some(Value::Array(list)) = body.get(name) {
                let ids: Vec<u64> = list
                    .iter()
                    .map(|one| id_of(one.get("id")))
                    .filter(|id| known.contains_key(id))
                    .collect();
                product.fields.insert(name.to_owned(), json!(ids));
            }
        }
        let empty = product.fields.get("categories").is_none_or(|c| c == &json!([]));
        if empty && !product.is_variation() {
            product.fields.insert("categories".to_owned(), json!([15]));
        }
        if let Some(Value::Array(list)) = body.get("attributes") {
            let attributes = if product.is_variation() {
                self.chosen(product.parent, list)
            } else {
                self.offered(list)
            };
            product.fields.insert("attributes".to_owned(), attributes);
        }
        if let Some(Value::Array(list)) = body.get("default_attributes") {
            let out: Value = list
                .iter()
                .map(|one| {
                    let (id, name, _) = self.attribute(one);
                    json!({ "id": id, "name": name, "option": one.get("option") })
                })
                .collect();
            product.fields.insert("default_attributes".to_owned(), out);
        }
    }

    /// The id (0 = of this product only), name and slug an attribute of a body means.
    fn attribute(&self, given: &Value) -> (u64, String, String) {
        let id = id_of(given.get("id"));
        if let Some(known) = self.attributes.get(&id) {
            return (id, known.field("name").to_owned(), known.field("slug").to_owned());
        }
        let name = given.get("name").map(loose_text).unwrap_or_default();
        (0, text::rich(&name), text::rich(&name))
    }

    /// Attributes of a product. Options of a shop-wide attribute become terms, sorted by name.
    fn offered(&mut self, list: &[Value]) -> Value {
        let mut out = Vec::new();
        for given in list {
            let (id, name, slug) = self.attribute(given);
            let mut options: Vec<String> = match given.get("options") {
                Some(Value::Array(options)) => options.iter().map(loose_text).collect(),
                Some(Value::String(text)) => {
                    text.split('|').map(|part| part.trim().to_owned()).collect()
                }
                _ => Vec::new(),
            };
            if id > 0 {
                options.sort();
                for option in &options {
                    self.term_of(id, option);
                }
            }
            out.push(json!({
                "id": id, "name": name, "slug": slug,
                "position": given.get("position").and_then(whole).unwrap_or(0),
                "visible": given.get("visible").is_some_and(truthy),
                "variation": given.get("variation").is_some_and(truthy),
                "options": options,
            }));
        }
        Value::Array(out)
    }

    fn term_of(&mut self, attribute: u64, name: &str) {
        let known = |t: &Plain| t.owner == attribute && t.field("name") == name;
        if self.terms.values().any(known) {
            return;
        }
        self.ids.term += 1;
        let fields = object(json!({
            "name": name, "slug": text::slug(name), "description": "", "menu_order": 0,
        }));
        let (id, now) = (self.ids.term, self.now());
        let term =
            Plain { id, owner: attribute, fields, meta: vec![], created: now, modified: now };
        self.terms.insert(id, term);
    }

    /// Attributes of a variation: only those its product varies by; the rest is dropped.
    fn chosen(&self, parent: u64, list: &[Value]) -> Value {
        let none = Vec::new();
        let offered = self.products.get(&parent).and_then(|p| p.fields.get("attributes"));
        let offered = offered.and_then(Value::as_array).unwrap_or(&none);
        let mut out = Vec::new();
        for attribute in offered {
            let id = id_of(attribute.get("id"));
            let name = attribute.get("name").map(loose_text).unwrap_or_default();
            let slug = attribute.get("slug").map(loose_text).unwrap_or_default();
            let hit = list.iter().find(|given| {
                let by_name = given.get("name").map(loose_text).unwrap_or_default();
                (id > 0 && id_of(given.get("id")) == id)
                    || (!by_name.is_empty() && text::slug(&by_name) == text::slug(&name))
            });
            let Some(hit) = hit.filter(|_| attribute.get("variation") == Some(&json!(true))) else {
                continue;
            };
            let slug = if id > 0 { slug } else { text::slug(&slug) };
            let option = hit.get("option").map(loose_text).unwrap_or_default();
            out.push(json!({ "id": id, "name": name, "slug": slug, "option": option }));
        }
        Value::Array(out)
    }

    /// `images` (or `image` of a variation): an `id` is kept, a `src` is downloaded each time.
    pub fn set_images(&mut self, product: &mut Product, body: &Object) -> Answer<()> {
        let name = if product.is_variation() { "image" } else { "images" };
        let list: Vec<Value> = match body.get(name) {
            Some(Value::Array(list)) => list.clone(),
            Some(one @ Value::Object(_)) => vec![one.clone()],
            Some(_) => Vec::new(),
            None => return Ok(()),
        };
        let old = product.fields.get("images").and_then(Value::as_array).cloned();
        let old = old.unwrap_or_default();
        let mut out = Vec::new();
        for given in &list {
            let id = id_of(given.get("id"));
            let src = given.get("src").and_then(Value::as_str).unwrap_or("");
            if id > 0 {
                let known = old.iter().find(|image| id_of(image.get("id")) == id).cloned();
                out.push(known.unwrap_or_else(|| self.image(id, src, given)));
            } else if !src.is_empty() {
                reachable(src)?;
                let id = self.next_post();
                out.push(self.image(id, src, given));
            }
        }
        product.fields.insert("images".to_owned(), Value::Array(out));
        Ok(())
    }

    fn image(&self, id: u64, src: &str, given: &Value) -> Value {
        let file = src.rsplit('/').next().unwrap_or("image.png");
        let (local, gmt) = (self.local(self.now()), self.gmt(self.now()));
        let name = given.get("name").and_then(Value::as_str).unwrap_or(file);
        json!({
            "id": id, "date_created": local, "date_created_gmt": gmt, "date_modified": local,
            "date_modified_gmt": gmt, "src": format!("{}/wp-content/uploads/{id}-{file}", self.base),
            "name": name, "alt": given.get("alt").and_then(Value::as_str).unwrap_or(""),
            "srcset": "", "sizes": "", "thumbnail": "",
        })
    }
}

/// Another machine's address is believed; a loopback address must be listening.
fn reachable(src: &str) -> Answer<()> {
    let problem = |why: String| {
        let message = format!("Error getting remote image {src}. Error: {why}");
        Err(Fail::new(400, "woocommerce_product_image_upload_error", &message))
    };
    let Ok(url) = url::Url::parse(src) else {
        return problem("A valid URL was not provided.".to_owned());
    };
    let Some(url::Host::Ipv4(host)) = url.host() else { return Ok(()) };
    let port = url.port_or_known_default().unwrap_or(80);
    if !host.is_loopback() {
        return Ok(());
    }
    let address = SocketAddr::from((host, port));
    if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
        return problem(format!(
            "cURL error 7: Failed to connect to {host} port {port} after 0 ms: Couldn't connect \
             to server"
        ));
    }
    Ok(())
}
