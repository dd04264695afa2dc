//! What openraft's member answers: the other members, and clients, who have one request under way
//! on each connection.

use super::machine::Machine;
use super::network::{Asked, Framed};
use super::{Raft, Request, confirm};
use serde::{Deserialize, Serialize};
use std::io;
use tokio::net::TcpListener;

/// What a client asks.
#[derive(Serialize, Deserialize)]
pub(crate) enum Wanted {
    Write(Request),
    Read { key: String },
}

/// What a client is answered.
#[derive(Serialize, Deserialize)]
pub(crate) enum Given {
    Written(u64),
    Value(Option<Vec<u8>>),
    Failed,
}

pub(crate) async fn members(raft: Raft, address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let raft = raft.clone();
            tokio::spawn(async move { answer_member(&raft, &mut Framed::new(stream)?).await });
        }
    });
    Ok(())
}

/// Until the connection ends, which is how it returns.
async fn answer_member(raft: &Raft, framed: &mut Framed) -> io::Result<()> {
    loop {
        match framed.read().await? {
            Asked::Append(rpc) => {
                let answer = raft.append_entries(rpc).await.map_err(io::Error::other)?;
                framed.write(&answer).await?;
            }
            Asked::Vote(rpc) => {
                let answer = raft.vote(rpc).await.map_err(io::Error::other)?;
                framed.write(&answer).await?;
            }
        }
    }
}

pub(crate) async fn clients(raft: Raft, machine: Machine, address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (raft, machine) = (raft.clone(), machine.clone());
            tokio::spawn(
                async move { answer_client(&raft, &machine, &mut Framed::new(stream)?).await },
            );
        }
    });
    Ok(())
}

async fn answer_client(raft: &Raft, machine: &Machine, framed: &mut Framed) -> io::Result<()> {
    loop {
        let given = match framed.read().await? {
            Wanted::Write(request) => match raft.client_write(request).await {
                Ok(written) => Given::Written(*written.response()),
                Err(_) => Given::Failed,
            },
            Wanted::Read { key } => {
                if confirm(raft).await {
                    Given::Value(machine.value(&key))
                } else {
                    Given::Failed
                }
            }
        };
        framed.write(&given).await?;
    }
}
