//! A client of Redis.

use crate::load::{Client, VALUE_BYTES, Work, key};
use std::io;
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

    async fn exchange(&mut self) -> io::Result<bool> {
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // Each answer here is one line.
            if self.answer.ends_with(b"\r\n") {
                return Ok(matches!(self.answer.first(), Some(b'+' | b':')));
            }
        }
    }
}

impl Client for Connection {
    async fn ask(&mut self, number: u64) -> bool {
        self.request.clear();
        match self.work {
            Work::Add => self.request.extend(b"*2\r\n$4\r\nINCR\r\n$5\r\nbench\r\n"),
            Work::Put => {
                self.request.extend(b"*3\r\n$3\r\nSET\r\n$7\r\n");
                self.request.extend(key(self.client, number).as_bytes());
                self.request.extend(b"\r\n$128\r\n");
                self.request.extend([7; VALUE_BYTES]);
                self.request.extend(b"\r\n");
            }
            // One process alone: a read is no question of consistency.
            Work::Read => return false,
        }
        self.exchange().await.unwrap_or(false)
    }
}
