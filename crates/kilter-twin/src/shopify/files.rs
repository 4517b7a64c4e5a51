//! Files and staged uploads: bytes are put somewhere first, then named, then processed.
//!
//! Reads   the inputs of the `file…` mutations and `stagedUploadsCreate`; uploaded bytes.
//! Writes  files, uploads.
//! Never   fetches an address: what stands at it is not looked at.

use serde_json::{Value, json};

use super::coerce::{items, text, texts};
use super::fail::{Answer, UserError, refused};
use super::gid::gid;
use super::server::Reply;
use super::shop::Shop;
use super::store::Object;

/// Most bytes of a bulk mutation's file.
pub const UPLOAD_MAX: usize = 100 * 1024 * 1024;

impl Shop {
    fn new_file(&mut self, input: &Object) -> String {
        let source = text(input, "originalSource").unwrap_or("").to_owned();
        let last = source.rsplit('/').next().unwrap_or("file").to_owned();
        let name = text(input, "filename").map_or(last, str::to_owned);
        let name = name.split('?').next().unwrap_or("file").to_owned();
        let image = text(input, "contentType").is_none_or(|kind| kind == "IMAGE");
        let kind = if image { "MediaImage" } else { "GenericFile" };
        let due = self.now() + self.settings.job_ms;
        let id = self.add(
            kind,
            json!({
                "alt": input.get("alt"), "fileStatus": "UPLOADED", "fileErrors": [],
                "status": "UPLOADED", "mediaContentType": "IMAGE", "mimeType": "image/png",
                "filename": name, "originalSource": source, "image": null, "preview": null,
                "url": null, "_due": due,
            }),
        );
        gid(kind, id)
    }

    /// A product's files as a whole: by id, or new from where they stand.
    pub fn set_files(&mut self, list: &[Value]) -> Vec<String> {
        let mut ids = Vec::new();
        for input in list.iter().filter_map(Value::as_object) {
            let id = match text(input, "id") {
                Some(id) => id.to_owned(),
                None => self.new_file(input),
            };
            if let Some(alt) = input.get("alt") {
                self.put(&id, "alt", alt.clone());
            }
            ids.push(id);
        }
        ids
    }

    pub fn files_create(&mut self, args: &Object) -> Answer<Value> {
        let list = items(args, "files").to_vec();
        for (at, input) in list.iter().filter_map(Value::as_object).enumerate() {
            let name = text(input, "filename");
            let taken =
                name.is_some_and(|name| self.by_text("MediaImage", "filename", name).is_some());
            if taken && text(input, "duplicateResolutionMode") == Some("RAISE_ERROR") {
                let (code, message) =
                    ("FILENAME_ALREADY_EXISTS", "A file with this filename already exists.");
                return Ok(refused(&[UserError::at(&["files"], at, &["filename"], code, message)]));
            }
        }
        let files = self.set_files(&list);
        Ok(json!({ "files": files, "userErrors": [] }))
    }

    pub fn files_update(&mut self, args: &Object) -> Answer<Value> {
        let list = items(args, "files").to_vec();
        let mut done = Vec::new();
        for (at, input) in list.iter().filter_map(Value::as_object).enumerate() {
            let id = text(input, "id").unwrap_or("").to_owned();
            let ready = self.store.find(&id).map(|(_, row)| row.text("fileStatus") == "READY");
            let error = match ready {
                None => Some(("FILE_DOES_NOT_EXIST", "File id does not exist.")),
                Some(false) => Some(("NON_READY_STATE", "Non-ready files cannot be updated.")),
                Some(true) => None,
            };
            if let Some((code, message)) = error {
                return Ok(refused(&[UserError::at(&["files"], at, &["id"], code, message)]));
            }
            for name in ["alt", "filename", "originalSource"] {
                if let Some(value) = input.get(name) {
                    self.put(&id, name, value.clone());
                }
            }
            for (name, add) in [("referencesToAdd", true), ("referencesToRemove", false)] {
                for product in texts(input, name) {
                    let Some((_, row)) = self.store.find(&product) else { continue };
                    let mut media = row.list("media").to_vec();
                    media.retain(|own| *own != json!(id));
                    if add {
                        media.push(json!(id));
                    }
                    self.put(&product, "media", json!(media));
                }
            }
            done.push(id);
        }
        Ok(json!({ "files": done, "userErrors": [] }))
    }

    pub fn files_delete(&mut self, args: &Object) -> Answer<Value> {
        let ids = texts(args, "fileIds");
        if let Some(at) = ids.iter().position(|id| self.store.find(id).is_none()) {
            let (code, message) = ("FILE_DOES_NOT_EXIST", "File id does not exist.");
            return Ok(refused(&[UserError::at(&["fileIds"], at, &[], code, message)]));
        }
        for id in &ids {
            for product in self.store.ids("Product") {
                let media = self.store.get("Product", product).map(|p| p.list("media").to_vec());
                let mut media = media.unwrap_or_default();
                if media.contains(&json!(id)) {
                    media.retain(|own| own != &json!(id));
                    self.put(&gid("Product", product), "media", json!(media));
                }
            }
            for kind in ["MediaImage", "GenericFile"] {
                self.store.remove(kind, super::gid::number(id, kind));
            }
        }
        Ok(json!({ "deletedFileIds": ids, "userErrors": [] }))
    }

    /// Files move on: uploaded, processing, ready.
    pub fn run_files(&mut self) {
        let now = self.now();
        let wait = self.settings.job_ms;
        for kind in ["MediaImage", "GenericFile"] {
            for id in self.store.ids(kind) {
                let Some(row) = self.store.get(kind, id) else { continue };
                let status = row.text("fileStatus");
                if !matches!(status, "UPLOADED" | "PROCESSING") {
                    continue;
                }
                let due = row.number("_due");
                let source = row.text("originalSource");
                let sound = source.starts_with("http://") || source.starts_with("https://");
                let next = match now {
                    now if now < due - wait / 2 => continue,
                    now if now < due => "PROCESSING",
                    _ if sound => "READY",
                    _ => "FAILED",
                };
                if next == status {
                    continue;
                }
                let url = format!("{}/_cdn/{id}/{}", self.base, row.text("filename"));
                let own = gid(kind, id);
                self.put(&own, "fileStatus", json!(next));
                self.put(&own, "status", json!(next));
                if next == "READY" {
                    let image = json!({
                        "id": gid("ImageSource", id), "url": url, "altText": null, "width": 100,
                        "height": 100,
                    });
                    self.put(&own, "image", image.clone());
                    self.put(&own, "preview", json!({ "image": image, "status": "READY" }));
                    self.put(&own, "url", json!(url));
                }
                if next == "FAILED" {
                    let error = json!({
                        "code": "INVALID_IMAGE_SOURCE_URL", "details": null,
                        "message": "The image source URL is invalid.",
                    });
                    self.put(&own, "fileErrors", json!([error]));
                }
            }
        }
    }

    pub fn staged_uploads(&mut self, args: &Object) -> Answer<Value> {
        let mut targets = Vec::new();
        for input in items(args, "input").to_vec().iter().filter_map(Value::as_object) {
            let id = self.next_id();
            let name = text(input, "filename").unwrap_or("file");
            let key = format!(
                "tmp/{}/{}/{name}",
                super::shop::SHOP_ID,
                self.token(&format!("upload {id}"), 16)
            );
            let put = text(input, "httpMethod").unwrap_or("PUT") == "PUT";
            let url = if put {
                format!("{}/_uploads/{key}", self.base)
            } else {
                format!("{}/_uploads", self.base)
            };
            let parameters = if put {
                json!([{ "name": "content_type", "value": input.get("mimeType") }])
            } else {
                json!([
                    { "name": "key", "value": key },
                    { "name": "Content-Type", "value": input.get("mimeType") },
                    { "name": "success_action_status", "value": "201" },
                    { "name": "acl", "value": "private" },
                ])
            };
            targets.push(json!({
                "url": url, "resourceUrl": format!("{}/_uploads/{key}", self.base),
                "parameters": parameters,
            }));
        }
        Ok(json!({ "stagedTargets": targets, "userErrors": [] }))
    }

    /// Uploads, and the results of bulk jobs.
    pub fn file_call(&mut self, method: &str, path: &str, kind: &str, bytes: &[u8]) -> Reply {
        let none = || Reply::json(404, &json!({ "errors": "Not Found" }));
        match method {
            "PUT" => {
                let Some(key) = path.strip_prefix("/_uploads/") else { return none() };
                self.uploads.insert(key.to_owned(), bytes.to_vec());
                Reply::json(200, &json!({}))
            }
            "POST" => {
                let Some((key, file)) = multipart(kind, bytes) else {
                    return Reply::json(400, &json!({ "errors": "MalformedPOSTRequest" }));
                };
                self.uploads.insert(key.clone(), file);
                let xml =
                    format!("<?xml version='1.0'?><PostResponse><Key>{key}</Key></PostResponse>");
                Reply {
                    status: 201,
                    body: xml.into_bytes(),
                    kind: "application/xml",
                    headers: vec![],
                }
            }
            "GET" => {
                let key = path.trim_start_matches("/_uploads/");
                let found = self.bulk.results.get(path).or_else(|| self.uploads.get(key));
                let Some(found) = found else { return none() };
                let kind = "application/jsonl";
                Reply { status: 200, body: found.clone(), kind, headers: vec![] }
            }
            _ => none(),
        }
    }
}

/// The field `key` and the file of a multipart form.
fn multipart(kind: &str, bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let boundary = kind.split("boundary=").nth(1)?.trim_matches('"');
    let mark = format!("--{boundary}").into_bytes();
    let (mut key, mut file) = (None, None);
    let mut rest = bytes;
    while let Some(at) = find(rest, &mark) {
        rest = &rest[at + mark.len()..];
        let end = find(rest, &mark).unwrap_or(rest.len());
        let part = &rest[..end];
        let Some(head) = find(part, b"\r\n\r\n") else { continue };
        let names = String::from_utf8_lossy(&part[..head]).into_owned();
        let body = &part[head + 4..];
        let body = body.strip_suffix(b"\r\n").unwrap_or(body);
        let name = names.split("name=\"").nth(1).and_then(|n| n.split('"').next()).unwrap_or("");
        match name {
            "key" => key = Some(String::from_utf8_lossy(body).into_owned()),
            "file" => file = Some(body.to_vec()),
            _ => {}
        }
    }
    Some((key?, file?))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
