//! A client of etcd: gRPC by hand over HTTP/2, one connection each, for the three calls that are
//! needed.

use crate::load::{Client, VALUE_BYTES, Work, key};
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{Method, Request};
use std::io;
use tokio::net::TcpStream;

/// One connection, which is kept.
pub(super) struct Connection {
    requests: SendRequest<Bytes>,
    work: Work,
    client: usize,
}

impl Connection {
    pub(super) async fn new(stream: TcpStream, work: Work, client: usize) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (requests, connection) =
            h2::client::handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { requests, work, client })
    }

    async fn call(&mut self, method: &str, message: &[u8]) -> Result<Bytes, h2::Error> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://127.0.0.1/etcdserverpb.{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a sound request");
        let mut requests = self.requests.clone().ready().await?;
        let (answer, mut body) = requests.send_request(request, false)?;
        let mut frame = BytesMut::with_capacity(5 + message.len());
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.len()).expect("short"));
        frame.put_slice(message);
        body.send_data(frame.freeze(), true)?;
        let mut body = answer.await?.into_body();
        let mut all = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            all.put(data);
        }
        body.trailers().await?;
        Ok(all.freeze())
    }
}

impl Client for Connection {
    async fn ask(&mut self, number: u64) -> bool {
        let key = key(self.client, number);
        let mut message = Vec::new();
        put_bytes(&mut message, 1, key.as_bytes());
        let answer = match self.work {
            Work::Put => {
                put_bytes(&mut message, 2, &[7; VALUE_BYTES]);
                self.call("KV/Put", &message).await
            }
            // Linearizable unless it is asked for something else.
            Work::Read => self.call("KV/Range", &message).await,
            // It has no counters.
            Work::Add => return false,
        };
        // An error has no message before its trailers.
        answer.is_ok_and(|answer| answer.len() > 5)
    }
}

/// A field of bytes, as protobuf has it.
fn put_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | 2);
    put_number(message, bytes.len());
    message.extend(bytes);
}

fn put_number(message: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        message.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
        number >>= 7;
    }
    message.push(u8::try_from(number).expect("seven bits"));
}

/// Whether the member at this port leads, and knows it.
pub(crate) fn leads(port: u16) -> bool {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return false;
    };
    let status = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let mut connection = Connection::new(stream, Work::Read, 0).await.ok()?;
        let answer = connection.call("Maintenance/Status", &[]).await.ok()?;
        let status = numbers(answer.get(5..)?);
        let header = status.iter().find(|(field, _, _)| *field == 1)?.2;
        let own = numbers(header).iter().find(|(field, _, _)| *field == 2)?.1;
        let leader = status.iter().find(|(field, _, _)| *field == 4)?.1;
        Some(own == leader)
    };
    let timed = async { tokio::time::timeout(std::time::Duration::from_millis(300), status).await };
    runtime.block_on(timed).ok().flatten().unwrap_or(false)
}

/// A message's fields: their numbers, and what they hold, as a number or as bytes.
fn numbers(mut message: &[u8]) -> Vec<(u64, u64, &[u8])> {
    let mut fields = Vec::new();
    while let Some((tag, rest)) = number(message) {
        let Some((value, rest)) = number(rest) else { break };
        message = rest;
        let mut bytes: &[u8] = &[];
        if tag & 7 == 2 {
            let length = usize::try_from(value).unwrap_or(usize::MAX);
            let Some((taken, rest)) = message.split_at_checked(length) else { break };
            (bytes, message) = (taken, rest);
        }
        fields.push((tag >> 3, value, bytes));
    }
    fields
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}
