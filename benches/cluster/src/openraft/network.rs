//! openraft's messages over TCP: one connection for each pair and purpose, one request under way on
//! it, a frame is its length and postcard.

use super::Types;
use ::openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use ::openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use ::openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use ::openraft::type_config::alias::{SnapshotOf, VoteOf};
use ::openraft::{BasicNode, OptionalSend};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// What a member asks another one.
#[derive(Serialize, Deserialize)]
pub(crate) enum Asked {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<Types>),
}

/// A connection that frames go over.
pub(crate) struct Framed {
    stream: BufReader<TcpStream>,
    buffer: Vec<u8>,
}

impl Framed {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(64 << 10, stream), buffer: Vec::new() })
    }

    pub(crate) async fn write(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.extend([0; 4]);
        let buffer = std::mem::take(&mut self.buffer);
        self.buffer = postcard::to_extend(value, buffer).map_err(io::Error::other)?;
        let length = u32::try_from(self.buffer.len() - 4).map_err(io::Error::other)?;
        self.buffer[..4].copy_from_slice(&length.to_le_bytes());
        self.stream.get_mut().write_all(&self.buffer).await
    }

    pub(crate) async fn read<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let length = self.stream.read_u32_le().await?;
        self.buffer.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        self.stream.read_exact(&mut self.buffer).await?;
        postcard::from_bytes(&self.buffer).map_err(io::Error::other)
    }
}

pub(crate) struct Network;

/// The way to one other member.
pub(crate) struct Way {
    address: String,
    framed: Option<Framed>,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Way;

    async fn new_client(&mut self, _: u64, node: &BasicNode) -> Way {
        Way { address: node.addr.clone(), framed: None }
    }
}

impl Way {
    async fn ask<T: DeserializeOwned>(&mut self, asked: &Asked) -> Result<T, RPCError<Types>> {
        let answer = self.try_ask(asked).await;
        answer.map_err(|error| {
            self.framed = None;
            RPCError::Unreachable(Unreachable::new(&error))
        })
    }

    async fn try_ask<T: DeserializeOwned>(&mut self, asked: &Asked) -> io::Result<T> {
        let framed = match &mut self.framed {
            Some(framed) => framed,
            none => none.insert(Framed::new(TcpStream::connect(&self.address).await?)?),
        };
        framed.write(asked).await?;
        framed.read().await
    }
}

impl RaftNetworkV2<Types> for Way {
    type SnapshotData = ();

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        self.ask(&Asked::Append(rpc)).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask(&Asked::Vote(rpc)).await
    }

    async fn full_snapshot(
        &mut self,
        _: VoteOf<Types>,
        _: SnapshotOf<Types, ()>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(StreamingError::Unreachable(Unreachable::from_string("there are no snapshots")))
    }
}
