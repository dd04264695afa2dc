//! One connection whose two ends know each other: `run` reads and writes it until it ends. It
//! answers pings, hands on what arrives, and finds out when the other end has gone silent.

use crate::deliver::{Heard, hear};
use crate::feed::Feed;
use crate::frame::{Flags, Head, Kind, LENGTH_BYTES};
use crate::hello::Hello;
use crate::incoming::Incoming;
use crate::line::Line;
use crate::outgoing::Outgoing;
use crate::pieces::Assembly;
use crate::shared::Shared;
use crate::status::Lost;
use bytes::BufMut;
use holm_raft_core::MemberId;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A write buffer that long frames have stretched beyond so many batches is given back.
const BUFFER_BATCHES_MAX: usize = 4;
/// After so many bytes that it has handed on, the reading half lets other tasks run: else those
/// that they are for would wait, and what waits for them grow, as long as there is more to read.
const TURN_BYTES: usize = 256 << 10;
/// How many bytes a second of a frame have to arrive at least, once it has begun. A length on the
/// way may be altered; whoever waits for that many bytes would take for them whatever follows,
/// however slowly that comes.
const FRAME_BYTES_PER_SECOND_MIN: u32 = 16 << 10;
/// The reason in a close frame: another connection between the two stands.
pub(crate) const CLOSE_DUPLICATE: u8 = 1;

/// A connection whose other end has said who it is.
pub(crate) struct Connection {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Holds what was read beyond the first words.
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
    /// The member at the other end.
    pub(crate) member: MemberId,
    /// The number of its start.
    pub(crate) start: u64,
    /// Who dialled. Where the peer did, it is still to be welcomed.
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
    /// Its key has sealed nearly as much as it may: a fresh one is needed.
    Worn,
    /// It broke, or the peer has gone.
    Failed(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate => write!(f, "the peer closed it as a duplicate"),
            Self::Drained => write!(f, "another connection took its place"),
            Self::Worn => write!(f, "its key has sealed nearly as much as it may"),
            Self::Failed(why) => write!(f, "{why}"),
        }
    }
}

/// Reads and writes a connection until it ends.
pub(crate) async fn run(
    connection: Connection,
    shared: Arc<Shared>,
    line: Arc<Line>,
    mode: Mode,
) -> End {
    let Connection { mut reader, mut writer, mut incoming, mut outgoing, member, by, .. } =
        connection;
    incoming.allow(shared.limits.frame_bytes_max);
    let ends = Ends { shared: &shared, line: &line, member };
    tokio::select! { biased;
        end = ends.read(&mut reader, &mut incoming) => end,
        end = ends.write(&mut writer, &mut outgoing, by, mode) => end,
    }
}

/// What both directions of a connection know.
#[derive(Clone, Copy)]
struct Ends<'a> {
    shared: &'a Shared,
    line: &'a Arc<Line>,
    member: MemberId,
}

impl Ends<'_> {
    async fn read(self, reader: &mut (impl AsyncRead + Unpin), incoming: &mut Incoming) -> End {
        let silence = self.shared.timing.keepalive_timeout;
        let mut patience = Patience { silence, begun: None };
        let limits = &self.shared.limits;
        let mut assembly = Assembly::new(limits.message_bytes_max.max(limits.note_bytes_max));
        let mut turn = Turn { frames: 0, frames_max: limits.inbound_frames_max / 2, bytes: 0 };
        loop {
            match incoming.next() {
                Ok(Some(frame)) => {
                    patience.begun = None;
                    let bytes = LENGTH_BYTES + Head::BYTES + frame.body.len();
                    self.line.received(1, bytes);
                    match hear(self.shared, self.line, self.member, &mut assembly, frame) {
                        Heard::More => (),
                        Heard::Duplicate => return End::Duplicate,
                        Heard::Last(why) => return End::Failed(why.into()),
                    }
                    turn.took(bytes).await;
                    continue;
                }
                Ok(None) => (),
                Err(error) => {
                    self.line.lost(Lost::of(&error), 1);
                    return End::Failed(format!("the peer sent {error}"));
                }
            }
            let (wait, missing) = patience.lasts(incoming.begun(), Instant::now());
            match timeout(wait, reader.read_buf(incoming.buffer())).await {
                Ok(Ok(0)) => return End::Failed("the peer closed the connection".into()),
                Ok(Ok(_)) => (),
                Ok(Err(error)) => return End::Failed(format!("reading failed: {error}")),
                Err(_) => return End::Failed(patience.is_over(missing)),
            }
        }
    }

    async fn write(
        self,
        writer: &mut (impl AsyncWrite + Unpin),
        out: &mut Outgoing,
        by: By,
        mode: Mode,
    ) -> End {
        let Mode::Live(mut superseded) = mode else { return self.close(writer, out).await };
        let Shared { limits, timing, .. } = self.shared;
        let mut feed = Feed::new(self.shared, self.line);
        let mut ping_at = Instant::now();
        if by == By::Peer {
            self.put_welcome(out);
        }
        loop {
            tokio::select! { biased;
                _ = &mut superseded => {
                    if let Err(error) = self.finish(writer, out, &mut feed).await {
                        return End::Failed(format!("writing failed: {error}"));
                    }
                    return self.close(writer, out).await;
                }
                () = feed.waits() => (),
                () = sleep_until(ping_at) => (),
            }
            if Instant::now() >= ping_at {
                feed.put_word(out, None, Kind::Ping, self.line.stamp());
                ping_at = Instant::now() + timing.keepalive_interval;
            }
            feed.fill(out);
            if let Err(error) = write_out(writer, out).await {
                return End::Failed(format!("writing failed: {error}"));
            }
            self.line.sent(feed.written(), out.bytes());
            out.clear(limits.write_batch_bytes.saturating_mul(BUFFER_BATCHES_MAX));
            if out.is_worn() {
                return End::Worn;
            }
        }
    }

    /// Writes what is left of an item of which some pieces are gone already. What still waits is
    /// for the connection that takes this one's place.
    async fn finish(
        self,
        writer: &mut (impl AsyncWrite + Unpin),
        out: &mut Outgoing,
        feed: &mut Feed<'_>,
    ) -> std::io::Result<()> {
        while feed.put_rest(out) {
            write_out(writer, out).await?;
            self.line.sent(feed.written(), out.bytes());
            out.clear(0);
        }
        Ok(())
    }

    fn put_welcome(self, out: &mut Outgoing) {
        let head = Head::new(Kind::Welcome, self.shared.me.node, self.member.node);
        if out.is_sealed() {
            return out.put(head, |_| ());
        }
        let hello = Hello::of(self.shared);
        out.put(head, |sink| hello.put(sink.fields()));
    }

    /// Says why the connection is closed, and leaves the other end time to say its last.
    async fn close(self, writer: &mut (impl AsyncWrite + Unpin), out: &mut Outgoing) -> End {
        let head = Head::new(Kind::Close, self.shared.me.node, self.member.node);
        out.clear(0);
        out.put(head.with(Flags::NONE), |sink| sink.fields().put_u8(CLOSE_DUPLICATE));
        if write_out(writer, out).await.is_ok() {
            self.line.sent(1, out.bytes());
            sleep(self.shared.timing.hello_timeout).await;
        }
        End::Drained
    }
}

/// For how long more is waited for.
struct Patience {
    /// For anything at all.
    silence: Duration,
    /// Since when a part of a frame has been there.
    begun: Option<Instant>,
}

/// What has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Anything,
    /// The rest of a frame of so many bytes.
    Rest(usize),
}

impl Patience {
    /// For how long, where a frame of so many bytes has begun (0: none has), and for what.
    fn lasts(&mut self, length: usize, now: Instant) -> (Duration, Missing) {
        let anything = (self.silence, Missing::Anything);
        if length == 0 {
            self.begun = None;
            return anything;
        }
        let bytes = u32::try_from(length).unwrap_or(u32::MAX);
        let flows = Duration::from_secs(bytes.into()) / FRAME_BYTES_PER_SECOND_MIN;
        let whole = *self.begun.get_or_insert(now) + self.silence + flows;
        let rest = whole.saturating_duration_since(now);
        if rest < self.silence { (rest, Missing::Rest(length)) } else { anything }
    }

    /// Why the connection ends once that time is over.
    fn is_over(&self, missing: Missing) -> String {
        let silence = self.silence;
        match missing {
            Missing::Anything => format!("nothing arrived for {silence:?}"),
            Missing::Rest(length) => format!(
                "a frame of {length} bytes took longer than {silence:?} and a second for each \
                 {FRAME_BYTES_PER_SECOND_MIN} of them; give a slow link a smaller frame_bytes_max"
            ),
        }
    }
}

/// What the reading half has handed on since other tasks could last run.
struct Turn {
    frames: usize,
    /// So many that those who receive them, if they run then, lose none for want of room.
    frames_max: usize,
    bytes: usize,
}

impl Turn {
    /// One more frame has been handed on. Lets others run if it was the turn's last.
    async fn took(&mut self, bytes: usize) {
        (self.frames, self.bytes) = (self.frames + 1, self.bytes + bytes);
        if self.frames >= self.frames_max || self.bytes >= TURN_BYTES {
            (self.frames, self.bytes) = (0, 0);
            yield_now().await;
        }
    }
}

/// Writes all of it, and flushes: a simulated socket sends nothing before.
pub(crate) async fn write_out(
    writer: &mut (impl AsyncWrite + Unpin),
    out: &Outgoing,
) -> std::io::Result<()> {
    writer.write_all_buf(&mut out.unwritten()).await?;
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// How often another task of the same thread has run after each of these frames.
    async fn ran_after(frames: &[usize]) -> Vec<usize> {
        let ran = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&ran);
        let other = tokio::task::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        let (mut turn, mut after) = (Turn { frames: 0, frames_max: 3, bytes: 0 }, Vec::new());
        for bytes in frames {
            turn.took(*bytes).await;
            after.push(ran.load(Ordering::Relaxed));
        }
        other.abort();
        after
    }

    #[tokio::test]
    async fn a_frame_that_has_begun_has_a_time_in_which_it_has_to_be_whole() {
        let (silence, second) = (Duration::from_secs(2), Duration::from_secs(1));
        let mut patience = Patience { silence, begun: None };
        let start = Instant::now();
        let length = 2 * usize::try_from(FRAME_BYTES_PER_SECOND_MIN).unwrap();
        let anything = (silence, Missing::Anything);
        // Only that it has begun is known, and then how long it is.
        assert_eq!(patience.lasts(4, start), anything);
        assert_eq!(patience.lasts(length, start + second), anything);
        assert_eq!(patience.lasts(length, start + 2 * second), anything);
        let rest = (second, Missing::Rest(length));
        assert_eq!(patience.lasts(length, start + 3 * second), rest, "though bytes come");
        patience.begun = None;
        assert_eq!(patience.lasts(length, start + 3 * second), anything, "another one");
        assert_eq!(patience.lasts(0, start + 4 * second), anything);
        assert_eq!(patience.begun, None, "none has begun");
    }

    #[tokio::test]
    async fn others_run_after_so_many_frames_and_after_so_many_bytes() {
        assert_eq!(ran_after(&[1; 7]).await, [0, 0, 1, 1, 1, 2, 2]);
        let half = TURN_BYTES / 2;
        assert_eq!(ran_after(&[half; 5]).await, [0, 1, 1, 2, 2]);
        assert_eq!(ran_after(&[half - 1, half, 1, 1]).await, [0, 0, 1, 1]);
    }
}
