//! Clients outside the members' processes, one connection each: HTTP for Holm, frames for
//! openraft, gRPC for etcd, RESP for Redis. They share one thread.

mod etcd;
mod http;
mod redis;

use crate::load::{Client, Load, Loaded, VALUE_BYTES, Work, drive, key};
use crate::openraft::{Framed, Given, Request, Wanted};
use std::io;
use tokio::net::TcpStream;

pub(crate) use etcd::leads as etcd_leads;
pub(crate) use http::leader as http_leader;

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Http,
    Frames,
    Grpc,
    Resp,
}

/// Has clients load the member that serves at this port.
pub(crate) fn load(speech: Speech, port: u16, load: Load) -> Result<Loaded, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let loaded = runtime.block_on(async {
        let connect = || TcpStream::connect(("127.0.0.1", port));
        match speech {
            Speech::Http => {
                let mut clients = Vec::new();
                for client in 0..load.clients {
                    clients.push(http::Connection::new(connect().await?, load.work, client)?);
                }
                Ok(drive(clients, load).await)
            }
            Speech::Frames => {
                let mut clients = Vec::new();
                for client in 0..load.clients {
                    let framed = Framed::new(connect().await?)?;
                    clients.push(Frames { framed, work: load.work, client });
                }
                Ok(drive(clients, load).await)
            }
            Speech::Grpc => {
                let mut clients = Vec::new();
                for client in 0..load.clients {
                    clients.push(etcd::Connection::new(connect().await?, load.work, client).await?);
                }
                Ok(drive(clients, load).await)
            }
            Speech::Resp => {
                let mut clients = Vec::new();
                for client in 0..load.clients {
                    clients.push(redis::Connection::new(connect().await?, load.work, client)?);
                }
                Ok(drive(clients, load).await)
            }
        }
    });
    loaded.map_err(|error: io::Error| format!("clients can't connect: {error}"))
}

/// A client of openraft.
struct Frames {
    framed: Framed,
    work: Work,
    client: usize,
}

impl Client for Frames {
    async fn ask(&mut self, number: u64) -> bool {
        let key = key(self.client, number);
        let wanted = match self.work {
            Work::Add => Wanted::Write(Request::Add { name: "bench".into(), by: 1 }),
            Work::Put => Wanted::Write(Request::Put { key, value: vec![7; VALUE_BYTES] }),
            Work::Read => Wanted::Read { key },
        };
        if self.framed.write(&wanted).await.is_err() {
            return false;
        }
        matches!(self.framed.read().await, Ok(Given::Written(_) | Given::Value(_)))
    }
}
