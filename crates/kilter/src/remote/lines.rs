//! A file of lines that a remote made, read as it comes.
//!
//! Reads   one address that an answer named.   Writes  nothing.
//! Never   sends credentials there: the file may lie with somebody else. Never holds it whole, nor
//!         takes a half line for one.

use std::time::Duration;

use kilter_core::Json;
use kilter_core::model::{Fault, FaultKind};

/// Longest that a file may take to come: whoever reads it may be slow, too.
const FILE_TIMEOUT: Duration = Duration::from_secs(4 * 3600);

/// A file that is being read.
#[derive(Debug)]
pub struct Lines {
    response: reqwest::Response,
    /// What came, and was not given out.
    held: Vec<u8>,
    line_bytes: usize,
    ended: bool,
}

impl super::Remote {
    /// Opens a file.
    pub async fn lines(&self, address: &str) -> Result<Lines, Fault> {
        let url = self.elsewhere(address)?;
        // Its address lets in whoever knows it: where it lies is told, and no more.
        let mut told = self.scribe.open_as("", "GET", &format!("a file at {}", place(&url)));
        let asked = self.http.get(url).timeout(FILE_TIMEOUT).send().await;
        let asked = asked.map_err(|e| broken(&super::chain(&e.without_url())));
        let response = asked.inspect_err(|fault| told.failed(fault, String::new()))?;
        let status = response.status().as_u16();
        told.status(status);
        let opened = match status {
            200 => Ok(Lines::new(response, self.answer_bytes)),
            429 | 500.. => Err(Fault::new(FaultKind::Unavailable, "", format!("HTTP {status}"))),
            _ => Err(refused(&format!("the file is not there: HTTP {status}"))),
        };
        match &opened {
            Ok(_) => told.went_well(),
            Err(fault) => told.failed(fault, String::new()),
        }
        opened
    }
}

impl super::Remote {
    /// An address that an answer named: without credentials, and not where they could read along.
    pub(super) fn elsewhere(&self, address: &str) -> Result<url::Url, Fault> {
        let url = url::Url::parse(address).map_err(|e| refused(&format!("no address: {e}")))?;
        let own = url::Url::parse(&self.base).is_ok_and(|base| base.origin() == url.origin());
        if url.scheme() != "https" && !own {
            return Err(refused("the file lies where it could be read and changed on its way"));
        }
        Ok(url)
    }
}

/// The machine that an address names.
pub(super) fn place(url: &url::Url) -> &str {
    url.host_str().unwrap_or("nowhere")
}

impl Lines {
    fn new(response: reqwest::Response, line_bytes: usize) -> Self {
        Self { response, held: Vec::new(), line_bytes, ended: false }
    }

    /// The next lines, as many as came together and never more than `most`. None: it ended.
    pub async fn next(&mut self, most: usize) -> Result<Option<Vec<Json>>, Fault> {
        loop {
            let lines = take(&mut self.held, most, self.ended);
            if !lines.is_empty() {
                let read = lines.iter().filter(|l| !l.trim_ascii().is_empty());
                let read = read.map(|line| {
                    serde_json::from_slice(line)
                        .map_err(|e| refused(&format!("a line of the file is not JSON: {e}")))
                });
                return read.collect::<Result<_, _>>().map(Some);
            }
            if self.ended {
                return Ok(None);
            }
            if self.held.len() > self.line_bytes {
                let text = format!("a line of the file is longer than {} bytes", self.line_bytes);
                return Err(refused(&text));
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.held.extend_from_slice(&chunk),
                Ok(None) => self.ended = true,
                Err(error) => return Err(broken(&super::chain(&error))),
            }
        }
    }
}

/// Takes whole lines off the beginning; the last one has no end of its own where the file has ended.
fn take(held: &mut Vec<u8>, most: usize, ended: bool) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut from = 0;
    while lines.len() < most {
        match held[from..].iter().position(|byte| *byte == b'\n') {
            Some(length) => {
                lines.push(held[from..from + length].to_vec());
                from += length + 1;
            }
            None => {
                if ended && from < held.len() {
                    lines.push(held[from..].to_vec());
                    from = held.len();
                }
                break;
            }
        }
    }
    held.drain(..from);
    lines
}

fn refused(text: &str) -> Fault {
    Fault::new(FaultKind::Rejected, "", text)
}

/// A read may be tried again, whatever broke it.
fn broken(text: &str) -> Fault {
    Fault::new(FaultKind::Unavailable, "", format!("the file broke off: {text}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the file was cut on its way, and however many lines are asked for, they are the file's.
        #[test]
        fn lines_are_those_of_the_file(
            lines in prop::collection::vec("[a-z{}\u{e9}]{0,12}", 0..20),
            ends in any::<bool>(), cuts in prop::collection::vec(1..9_usize, 1..40), most in 1..5_usize,
        ) {
            let mut file = lines.join("\n");
            let closed = ends && !lines.is_empty();
            if closed {
                file.push('\n');
            }
            let bytes = file.as_bytes();
            let (mut held, mut found, mut at) = (Vec::new(), Vec::new(), 0);
            for cut in cuts.iter().cycle() {
                let to = (at + cut).min(bytes.len());
                held.extend_from_slice(&bytes[at..to]);
                at = to;
                let ended = at == bytes.len();
                loop {
                    let some = take(&mut held, most, ended);
                    prop_assert!(some.len() <= most);
                    if some.is_empty() {
                        break;
                    }
                    found.extend(some.into_iter().map(|l| String::from_utf8(l).unwrap()));
                }
                if ended {
                    break;
                }
            }
            let mut expected = lines;
            // A last line without an end and without a letter is none.
            if !closed && expected.last().is_some_and(String::is_empty) {
                expected.pop();
            }
            prop_assert!(held.is_empty());
            prop_assert_eq!(found, expected);
        }
    }
}
