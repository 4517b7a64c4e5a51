//! The least of an HTTP/1.1 client: one connection, one request at a time, kept open.
//!
//! Reads   answers with a length.   Writes  requests.
//! Never   does more than floors and storms need: what it spends is spent beside what is measured.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    out: Vec<u8>,
    back: Vec<u8>,
}

impl Wire {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, out: Vec::new(), back: Vec::new() })
    }

    /// Sends one request; its status and body. `headers` are whole lines, each with its end.
    pub async fn send(
        &mut self,
        verb_and_path: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<(u16, &[u8])> {
        self.out.clear();
        let length = body.len();
        let head = format!(
            "{verb_and_path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n{headers}\r\n"
        );
        self.out.extend_from_slice(head.as_bytes());
        self.out.extend_from_slice(body);
        self.stream.write_all(&self.out).await?;
        self.back.clear();
        let odd = || Error::new(ErrorKind::InvalidData, "an answer that cannot be read");
        let head = loop {
            if self.stream.read_buf(&mut self.back).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some(end) = find(&self.back, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(&self.back[..head]).map_err(|_| odd())?;
        let status = text.get(9..12).and_then(|s| s.parse().ok()).ok_or_else(odd)?;
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let end = head + length.unwrap_or(0);
        while self.back.len() < end {
            if self.stream.read_buf(&mut self.back).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok((status, &self.back[head..end]))
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|w| w == what)
}
