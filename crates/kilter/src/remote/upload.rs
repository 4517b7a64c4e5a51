//! A file that is put where an answer said: a form with the file as its last part (RFC 7578).
//!
//! Reads   nothing.   Writes  one file.
//! Never   sends credentials there, beyond what the form itself was given; nor says that it is
//!         there before the other side did.

use std::time::Duration;

use kilter_core::model::{Fault, FaultKind};

/// Longest that a file may take to go.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);

impl super::Remote {
    /// Nothing depends on a file alone: what fails here may be tried again.
    pub async fn upload(
        &self,
        address: &str,
        parts: &[(String, String)],
        file: &[u8],
    ) -> Result<(), Fault> {
        let url = self.elsewhere(address)?;
        let boundary = format!("kilter-{}", uuid::Uuid::now_v7().simple());
        let kind = format!("multipart/form-data; boundary={boundary}");
        let form = form(&boundary, parts, file)?;
        let mut told =
            self.scribe.open_as("", "POST", &format!("a file to {}", super::lines::place(&url)));
        let request = self.http.post(url).timeout(UPLOAD_TIMEOUT).header("content-type", kind);
        crate::crash::point("before an upload", "");
        told.leaves(form.len(), None);
        let sent = request.body(form).send().await;
        crate::crash::point("after an upload", "");
        let unavailable = |text: String| Fault::new(FaultKind::Unavailable, "", text);
        let answer = sent.map_err(|e| unavailable(super::chain(&e.without_url())));
        let answer = answer.inspect_err(|fault| told.failed(fault, String::new()))?;
        let status = answer.status();
        told.status(status.as_u16());
        if status.is_success() {
            told.went_well();
            return Ok(());
        }
        let fault = unavailable(format!("the file was not taken: HTTP {}", status.as_u16()));
        told.failed(&fault, String::new());
        Err(fault)
    }
}

fn form(boundary: &str, parts: &[(String, String)], file: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::with_capacity(file.len() + 2048);
    for (name, value) in parts {
        // They come from an answer: one that breaks out of its part is none of ours.
        if name.contains(['"', '\r', '\n']) || value.contains(boundary) {
            return Err(Fault::new(FaultKind::Rejected, "", "a part of the form has an odd name"));
        }
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(head.as_bytes());
    }
    let head = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"lines.jsonl\"\r\n\
         content-type: text/jsonl\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::form;

    #[test]
    fn a_form_is_its_parts_and_the_file_last() {
        let parts = [("key".to_owned(), "tmp/1".to_owned())];
        let body = String::from_utf8(form("b", &parts, b"{}\n").unwrap()).unwrap();
        let expected = "--b\r\ncontent-disposition: form-data; name=\"key\"\r\n\r\ntmp/1\r\n--b\r\n\
            content-disposition: form-data; name=\"file\"; filename=\"lines.jsonl\"\r\n\
            content-type: text/jsonl\r\n\r\n{}\n\r\n--b--\r\n";
        assert_eq!(body, expected);
        for name in ["a\"b", "a\r\nb"] {
            assert!(form("b", &[(name.to_owned(), String::new())], b"").is_err());
        }
    }
}
