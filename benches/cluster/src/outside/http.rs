//! A client of Holm's HTTP interface that does no more than it must: it writes a request in one
//! piece, and reads the answer's status and length.

use crate::load::{Client, VALUE_BYTES, Work, key};
use std::io::{self, Read, Write as _};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection, which is kept.
pub(super) struct Connection {
    stream: TcpStream,
    work: Work,
    client: usize,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, work: Work, client: usize) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, work, client, request: Vec::new(), answer: Vec::new() })
    }

    fn write_request(&mut self, number: u64) {
        let request = &mut self.request;
        request.clear();
        match self.work {
            Work::Add => request.extend(
                b"POST /v1/counters/bench?add=1 HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
            ),
            Work::Put => {
                request.extend(b"PUT /v1/kv/");
                request.extend(key(self.client, number).as_bytes());
                request.extend(b" HTTP/1.1\r\nHost: b\r\nContent-Length: 128\r\n\r\n");
                request.extend([7; VALUE_BYTES]);
            }
            Work::Read => {
                request.extend(b"GET /v1/kv/");
                request.extend(key(self.client, number).as_bytes());
                request.extend(b" HTTP/1.1\r\nHost: b\r\n\r\n");
            }
        }
    }

    async fn exchange(&mut self) -> io::Result<u16> {
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(status) = whole(&self.answer) {
                return Ok(status);
            }
        }
    }
}

impl Client for Connection {
    async fn ask(&mut self, number: u64) -> bool {
        self.write_request(number);
        // A key that nobody has written yet is an answer, too.
        matches!(self.exchange().await, Ok(200 | 404))
    }
}

/// The status of an answer, once it is there with its whole body.
fn whole(answer: &[u8]) -> Option<u16> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let body = answer.len() - end - 4;
    (body >= length.unwrap_or(0_usize)).then(|| head.get(9..12)?.parse().ok())?
}

/// Asks once, over a connection of its own, and returns the answer's body.
fn ask_once(port: u16, path: &str) -> io::Result<String> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Whom the member at this port takes for the leader.
pub(crate) fn leader(port: u16) -> Option<u64> {
    let answer = ask_once(port, "/v1/status").ok()?;
    let (_, rest) = answer.split_once("\"leader\":")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
