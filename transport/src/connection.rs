//! One connection after its hello: `run` reads and writes it until it ends. It delivers what is
//! rightly addressed, answers pings, and finds out when the other end has gone silent.

use crate::frame::{Decoder, Frame, HEAD_BYTES, Head, Kind, put};
use crate::hello;
use crate::message;
use crate::peer::{PeerLine, Shared};
use crate::queue::Item;
use crate::status::Lost;
use crate::transport::Inbound;
use bytes::{BufMut, BytesMut};
use holm_raft_core::MemberId;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A write buffer that a long frame has stretched beyond so many batches is given back.
const BUFFER_BATCHES_MAX: usize = 4;
/// The reason in a close frame: another connection between the two stands.
pub(crate) const CLOSE_DUPLICATE: u8 = 1;

/// A connection whose other end has said who it is.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// Holds what was read beyond the hello.
    pub(crate) decoder: Decoder,
    /// The member at the other end.
    pub(crate) member: MemberId,
    /// The number of its start.
    pub(crate) start: u64,
    /// Who dialled. Where the peer did, this end's hello is still to be sent.
    pub(crate) by: By,
}

/// Who dialled a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Me,
    Peer,
}

/// What a connection is for.
#[derive(Debug)]
pub(crate) enum Mode {
    /// To be used, until it is superseded.
    Live(oneshot::Receiver<()>),
    /// To be closed once the other end has read why.
    Draining,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer closed it, since another one stands.
    Duplicate,
    /// It was superseded, and has been drained.
    Drained,
    /// It broke, or the peer has gone.
    Failed(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate => write!(f, "the peer closed it as a duplicate"),
            Self::Drained => write!(f, "another connection took its place"),
            Self::Failed(why) => write!(f, "{why}"),
        }
    }
}

/// Reads and writes a connection until it ends.
pub(crate) async fn run(
    connection: Connection,
    shared: Arc<Shared>,
    line: Arc<PeerLine>,
    mode: Mode,
) -> End {
    let Connection { stream, mut decoder, member, by, .. } = connection;
    decoder.allow(shared.limits.frame_bytes_max);
    let (reader, writer) = tokio::io::split(stream);
    let ends = Ends { shared: &shared, line: &line, member };
    tokio::select! { biased;
        end = ends.read(reader, decoder) => end,
        end = ends.write(writer, by, mode) => end,
    }
}

/// What both directions of a connection know.
#[derive(Clone, Copy)]
struct Ends<'a> {
    shared: &'a Shared,
    line: &'a PeerLine,
    member: MemberId,
}

impl Ends<'_> {
    async fn read(self, mut reader: ReadHalf<TcpStream>, mut decoder: Decoder) -> End {
        let silence = self.shared.timing.keepalive_timeout;
        loop {
            match decoder.next() {
                Ok(Some(frame)) => {
                    self.line.received(1, HEAD_BYTES + frame.body.len());
                    if let Some(end) = self.receive(frame) {
                        return end;
                    }
                    continue;
                }
                Ok(None) => (),
                Err(error) => {
                    self.line.lost(Lost::Malformed, 1);
                    return End::Failed(format!("the peer sent {error}"));
                }
            }
            match timeout(silence, reader.read_buf(decoder.buffer())).await {
                Ok(Ok(0)) => return End::Failed("the peer closed the connection".into()),
                Ok(Ok(_)) => (),
                Ok(Err(error)) => return End::Failed(format!("reading failed: {error}")),
                Err(_) => return End::Failed(format!("nothing arrived for {silence:?}")),
            }
        }
    }

    /// Takes one frame; says so if it is the connection's last.
    fn receive(self, frame: Frame) -> Option<End> {
        let Frame { head: Head { kind, group, source, destination, .. }, body } = frame;
        let me = self.shared.me;
        if group != 0 || source != self.member.node || destination != me.node {
            self.line.lost(Lost::Misaddressed, 1);
            return None;
        }
        let malformed = || {
            self.line.lost(Lost::Malformed, 1);
            None
        };
        match kind {
            Kind::Message => match message::take(source, destination, body) {
                Ok(message) if message.from == self.member && message.to == me => {
                    self.line.deliver(Inbound::Message(message));
                }
                Ok(_) => self.line.lost(Lost::Misaddressed, 1),
                Err(error) => {
                    tracing::debug!(peer = %self.member, "{error}");
                    return malformed();
                }
            },
            Kind::Note if body.len() > self.shared.limits.note_bytes_max => {
                self.line.lost(Lost::TooLong, 1);
            }
            Kind::Note => self.line.deliver(Inbound::Note { from: self.member, note: body }),
            Kind::Ping | Kind::Pong => {
                let Ok(number) = body[..].try_into().map(u64::from_le_bytes) else {
                    return malformed();
                };
                if kind == Kind::Ping {
                    self.line.queue.answer(number);
                } else {
                    self.line.pong(Duration::from_micros(number));
                }
            }
            Kind::Close if body == [CLOSE_DUPLICATE][..] => return Some(End::Duplicate),
            Kind::Close => return Some(End::Failed("the peer took its leave".into())),
            Kind::Hello => {
                self.line.lost(Lost::Malformed, 1);
                return Some(End::Failed("the peer said hello a second time".into()));
            }
        }
        None
    }

    async fn write(self, mut writer: WriteHalf<TcpStream>, by: By, mode: Mode) -> End {
        let Mode::Live(mut superseded) = mode else { return self.close(writer).await };
        let Shared { limits, timing, me, .. } = self.shared;
        let mut buffer = BytesMut::new();
        let mut batch: Vec<Item> = Vec::new();
        let mut ping_at = Instant::now();
        let mut hello = (by == By::Peer).then(|| hello::frame(self.shared, self.member.node));
        loop {
            tokio::select! { biased;
                _ = &mut superseded => return self.close(writer).await,
                () = self.line.queue.waits() => (),
                () = sleep_until(ping_at) => (),
            }
            let mut frames = usize::from(hello.is_some());
            buffer.extend(hello.take());
            if Instant::now() >= ping_at {
                self.put_ping(&mut buffer);
                frames += 1;
                ping_at = Instant::now() + timing.keepalive_interval;
            }
            self.line.queue.drain(&mut batch, limits.write_batch_bytes);
            frames += batch.len();
            let mut unwritten = Unwritten { line: self.line, frames: batch.len() };
            for item in batch.drain(..) {
                item.put(me.node, self.member.node, &mut buffer);
            }
            if let Err(error) = write_out(&mut writer, &buffer).await {
                return End::Failed(format!("writing failed: {error}"));
            }
            unwritten.frames = 0;
            self.line.sent(frames, buffer.len());
            buffer.clear();
            if buffer.capacity() > limits.write_batch_bytes.saturating_mul(BUFFER_BATCHES_MAX) {
                buffer = BytesMut::new();
            }
        }
    }

    fn put_ping(self, buffer: &mut BytesMut) {
        let stamp = u64::try_from(self.line.age().as_micros()).unwrap_or(u64::MAX);
        let head = Head::new(Kind::Ping, self.shared.me.node, self.member.node);
        put(buffer, head, |out| out.put_u64_le(stamp));
    }

    /// Says why the connection is closed, and leaves the other end time to say its last.
    async fn close(self, mut writer: WriteHalf<TcpStream>) -> End {
        let mut buffer = BytesMut::new();
        let head = Head::new(Kind::Close, self.shared.me.node, self.member.node);
        put(&mut buffer, head, |out| out.put_u8(CLOSE_DUPLICATE));
        if write_out(&mut writer, &buffer).await.is_ok() {
            self.line.sent(1, buffer.len());
            sleep(self.shared.timing.hello_timeout).await;
        }
        End::Drained
    }
}

/// Writes all of it, and flushes: a simulated socket sends nothing before.
pub(crate) async fn write_out(
    writer: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
) -> std::io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

/// Whether a frame is the close of a duplicate.
pub(crate) fn is_duplicate(frame: &Frame) -> bool {
    frame.head.kind == Kind::Close && frame.body == [CLOSE_DUPLICATE][..]
}

/// Frames taken from the queue that are not written yet; counted as lost if that never happens.
struct Unwritten<'a> {
    line: &'a PeerLine,
    frames: usize,
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        self.line.lost(Lost::LinkEnded, self.frames);
    }
}
