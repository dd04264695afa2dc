//! Where a transport touches the network: [`Network`] opens connections and listens for them.
//! [`Tcp`] is the machine's own; a simulator passes one that has faults.

use crate::frame::{Head, Kind};
use bytes::Bytes;
use holm_raft_core::NodeId;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A future that a network answers with.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// Opens connections and listens for them. Reading, writing and dropping are all that is done with
/// a connection: dropping both halves ends it.
pub trait Network: fmt::Debug + Send + Sync {
    /// Connects to `host:port`. The name is resolved anew each time. Dropping the future gives up.
    fn dial(&self, address: &str) -> Answer<'_, Stream>;

    /// Listens on `host:port`.
    fn listen(&self, address: &str) -> Answer<'_, Listener>;

    /// This member is about to pass on a frame of others: it goes on as often, and in the order, in
    /// which frames are given to `on`. Once and at once, unless a simulator makes the member one
    /// that loses, repeats, holds back or alters what it passes on: connections can't do that to
    /// sealed frames without being found out.
    fn pass_on(&self, frame: Transit, on: &mut dyn FnMut(Transit)) {
        on(frame);
    }
}

/// A frame on its way from one member to another, at a third that passes it on.
#[derive(Clone, Debug)]
pub struct Transit {
    /// The neighbour that it has come from.
    pub(crate) from: NodeId,
    pub(crate) head: Head,
    /// What it carries, as it was sealed by its source.
    pub body: Bytes,
}

impl Transit {
    /// The neighbour that it has come from.
    #[must_use]
    pub const fn from(&self) -> NodeId {
        self.from
    }

    /// The member that has sent it.
    #[must_use]
    pub const fn source(&self) -> NodeId {
        self.head.source
    }

    /// The member that it is for.
    #[must_use]
    pub const fn destination(&self) -> NodeId {
        self.head.destination
    }

    /// Whether it belongs to the handshake of the two, whose messages may be said again.
    #[must_use]
    pub fn is_greeting(&self) -> bool {
        self.head.kind == Kind::Greeting
    }
}

/// Takes what others have dialled.
pub trait Accept: fmt::Debug + Send {
    /// The next connection. Dropping the future loses none.
    fn accept(&mut self) -> Answer<'_, Stream>;
}

/// A bound address.
pub type Listener = Box<dyn Accept>;

/// One connection: a stream of bytes each way.
pub struct Stream {
    /// What the other end writes.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// To the other end.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// The other end's address, for limits and the log: without its port.
    pub from: String,
}

/// The machine's own network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Tcp {
    /// How much of what was written may wait unsent in the machine, in bytes: more would let
    /// urgent frames wait behind it, out of this transport's sight.
    pub const UNSENT_BYTES_MAX: u32 = 128 << 10;

    /// The machine's own network, to be passed on.
    #[must_use]
    pub fn shared() -> Arc<dyn Network> {
        Arc::new(Self)
    }

    fn stream(stream: TcpStream, from: String) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        bound_unsent(&stream)?;
        let (reader, writer) = tokio::io::split(stream);
        Ok(Stream { reader: Box::new(reader), writer: Box::new(writer), from })
    }
}

#[cfg(not(madsim))]
fn bound_unsent(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(Tcp::UNSENT_BYTES_MAX)
}

/// The simulated machine keeps nothing that was flushed.
#[cfg(madsim)]
fn bound_unsent(_stream: &TcpStream) -> io::Result<()> {
    Ok(())
}

impl Network for Tcp {
    fn dial(&self, address: &str) -> Answer<'_, Stream> {
        let address = address.to_owned();
        Box::pin(async move {
            let stream = TcpStream::connect(address.as_str()).await?;
            let from = stream.peer_addr()?.ip().to_string();
            Self::stream(stream, from)
        })
    }

    fn listen(&self, address: &str) -> Answer<'_, Listener> {
        let address = address.to_owned();
        Box::pin(async move {
            let listener: Listener = Box::new(TcpListener::bind(address.as_str()).await?);
            Ok(listener)
        })
    }
}

impl Accept for TcpListener {
    fn accept(&mut self) -> Answer<'_, Stream> {
        Box::pin(async move {
            let (stream, address) = TcpListener::accept(self).await?;
            Tcp::stream(stream, address.ip().to_string())
        })
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("from", &self.from).finish_non_exhaustive()
    }
}
