//! Connections: a `Connection` is two pipes, one each way, whose bytes arrive in order, cut into
//! other pieces than they were written in, or never. `half` makes the two halves that one end
//! holds.

use super::{Net, State};
use crate::core_world::random::Random;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Two members' connection. The first end is that which dialled.
pub(super) struct Connection {
    ends: [u64; 2],
    /// Which life of each host holds its end.
    lives: [u64; 2],
    holds: [Hold; 2],
    /// The pipe that each end writes.
    pipes: [Pipe; 2],
}

/// What an end knows of its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Open,
    /// It was told that the connection is broken.
    Reset,
    /// It has let go of it, or is gone.
    Gone,
}

/// How connections fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Ending {
    /// Both ends are told at once.
    Reset,
    /// One end is told, and the other one never.
    HalfOpen,
    /// Nobody is told, and nothing comes through any more.
    Hang,
}

/// One direction.
struct Pipe {
    segments: VecDeque<(Instant, Vec<u8>)>,
    unread: usize,
    /// When what was written before has left.
    free_at: Instant,
    /// Nothing overtakes.
    last_at: Instant,
    /// When its end arrives.
    ended: Option<Instant>,
    carries: Carries,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Yes,
    Nothing,
}

impl Pipe {
    const fn new(now: Instant) -> Self {
        Self {
            segments: VecDeque::new(),
            unread: 0,
            free_at: now,
            last_at: now,
            ended: None,
            carries: Carries::Yes,
            reader: None,
            writer: None,
        }
    }

    fn wake(&mut self) {
        let both = [self.reader.take(), self.writer.take()];
        both.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Connection {
    pub(super) const fn new(ends: [u64; 2], lives: [u64; 2], now: Instant) -> Self {
        let pipes = [Pipe::new(now), Pipe::new(now)];
        Self { ends, lives, holds: [Hold::Open; 2], pipes }
    }

    pub(super) fn delay(&mut self, from: u64, to: u64, at: Instant) {
        for side in [0, 1] {
            if (self.ends[side], self.ends[1 - side]) != (from, to) {
                continue;
            }
            let pipe = &mut self.pipes[side];
            pipe.segments.iter_mut().for_each(|(arrives, _)| *arrives = (*arrives).max(at));
            pipe.last_at = pipe.last_at.max(at);
            pipe.ended = pipe.ended.map(|ended| ended.max(at));
            pipe.wake();
        }
    }

    fn joins(&self, one: u64, other: u64) -> bool {
        self.ends == [one, other] || self.ends == [other, one]
    }

    fn works(&self) -> bool {
        self.holds == [Hold::Open; 2] && self.pipes.iter().all(|p| p.carries == Carries::Yes)
    }

    fn reset(&mut self, side: usize) {
        if self.holds[side] == Hold::Open {
            self.holds[side] = Hold::Reset;
        }
        self.pipes.iter_mut().for_each(Pipe::wake);
    }

    fn silence(&mut self) {
        self.pipes.iter_mut().for_each(|pipe| pipe.carries = Carries::Nothing);
    }

    /// An end lets go of it, and the other one is told when that arrives.
    fn close(&mut self, side: usize, at: Instant) {
        if self.holds[side] != Hold::Gone {
            self.holds[side] = Hold::Gone;
            self.pipes[side].ended = Some(at.max(self.pipes[side].last_at));
            self.pipes.iter_mut().for_each(Pipe::wake);
        }
    }
}

impl State {
    pub(super) fn fail(&mut self, one: u64, other: u64, ending: Ending) -> u64 {
        let mut failed = 0;
        for connection in self.connections.values_mut() {
            if !connection.joins(one, other) || !connection.works() {
                continue;
            }
            failed += 1;
            match ending {
                Ending::Reset => (0..2).for_each(|side| connection.reset(side)),
                Ending::Hang => connection.silence(),
                Ending::HalfOpen => {
                    connection.silence();
                    connection.reset(usize::from(self.random.one_in(2)));
                }
            }
        }
        failed
    }

    pub(super) fn close_all(&mut self, host: u64, now: Instant) {
        let Self { connections, links, random, .. } = self;
        for connection in connections.values_mut() {
            for side in [0, 1] {
                let (from, to) = (connection.ends[side], connection.ends[1 - side]);
                if from == host {
                    connection.close(side, now + links[&(from, to)].latency(random));
                }
            }
        }
        self.forget_ended();
    }

    pub(super) fn abandon_all(&mut self, host: u64) {
        for connection in self.connections.values_mut() {
            for side in [0, 1] {
                if connection.ends[side] == host {
                    connection.holds[side] = Hold::Gone;
                }
            }
        }
        self.forget_ended();
    }

    fn forget_ended(&mut self) {
        self.connections.retain(|_, connection| connection.holds != [Hold::Gone; 2]);
    }

    fn read(
        &mut self,
        (name, side): (u64, usize),
        context: &Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Read {
        let Some(connection) = self.connections.get_mut(&name) else { return Read::Reset };
        if connection.holds[side] != Hold::Open {
            return Read::Reset;
        }
        let (from, to) = (connection.ends[1 - side], connection.ends[side]);
        let cut = self.links[&(from, to)].is_cut();
        let pipe = &mut connection.pipes[1 - side];
        pipe.reader = Some(context.waker().clone());
        if pipe.carries == Carries::Nothing || cut {
            return Read::Nothing;
        }
        let now = Instant::now();
        let Some((at, segment)) = pipe.segments.front_mut() else {
            return match pipe.ended {
                None => Read::Nothing,
                Some(at) if at > now => Read::Later(at),
                Some(_) => Read::Done,
            };
        };
        if *at > now {
            return Read::Later(*at);
        }
        let count = some_of(segment.len().min(buffer.remaining()), &mut self.random);
        buffer.put_slice(&segment[..count]);
        segment.drain(..count);
        if segment.is_empty() {
            pipe.segments.pop_front();
        }
        pipe.unread -= count;
        pipe.writer.take().into_iter().for_each(Waker::wake);
        Read::Done
    }

    fn write(
        &mut self,
        (name, side): (u64, usize),
        context: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { connections, links, random, hosts, .. } = self;
        let Some(connection) = connections.get_mut(&name) else { return broken() };
        if connection.holds[side] != Hold::Open {
            return broken();
        }
        let (from, to) = (connection.ends[side], connection.ends[1 - side]);
        let host = &hosts[&to];
        let carries = connection.pipes[side].carries == Carries::Yes;
        if carries && host.is_on() && host.life != connection.lives[1 - side] {
            // Its machine has forgotten the connection, and says so.
            super::happened("writes to a machine that was started anew");
            connection.reset(side);
            return broken();
        }
        let pipe = &mut connection.pipes[side];
        let link = &links[&(from, to)];
        let room = link.window().saturating_sub(pipe.unread);
        if room == 0 {
            super::happened("writes that had to wait");
            pipe.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = some_of(bytes.len().min(room), random);
        let now = Instant::now();
        pipe.free_at = pipe.free_at.max(now) + link.occupied(count);
        pipe.last_at = pipe.last_at.max(pipe.free_at + link.latency(random));
        let mut written = bytes[..count].to_vec();
        if count > 0 && link.garbles(random) {
            super::happened("bits that flipped on a link");
            let at = random.below(u64::try_from(count).expect("64 bits or fewer"));
            written[usize::try_from(at).expect("below a length")] ^= 1 << random.below(8);
        }
        pipe.segments.push_back((pipe.last_at, written));
        pipe.unread += count;
        pipe.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(count))
    }
}

impl Net {
    /// Whether a working connection that the one has dialled joins it to the other.
    pub(in super::super) fn has_dialled(&self, one: u64, other: u64) -> bool {
        let state = self.state();
        state.connections.values().any(|found| found.ends == [one, other] && found.works())
    }
}

/// What reading comes to.
enum Read {
    /// Bytes, or the end.
    Done,
    /// Nothing before this.
    Later(Instant),
    /// Nothing until somebody wakes the reader.
    Nothing,
    Reset,
}

/// Mostly all, at times less.
fn some_of(count: usize, random: &mut Random) -> usize {
    if count == 0 || !random.one_in(6) {
        return count;
    }
    let most = u64::try_from(count).expect("64 bits or fewer");
    usize::try_from(random.between(1, most)).expect("at most a usize")
}

fn broken() -> Poll<io::Result<usize>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

/// One end. Once both its halves are gone, it lets go of the connection.
struct End {
    net: Net,
    name: u64,
    side: usize,
}

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.net.state();
        let State { connections, links, random, .. } = &mut *state;
        if let Some(connection) = connections.get_mut(&self.name) {
            let (from, to) = (connection.ends[self.side], connection.ends[1 - self.side]);
            connection.close(self.side, Instant::now() + links[&(from, to)].latency(random));
        }
        state.forget_ended();
    }
}

/// What reads at one end.
pub(super) struct Reader {
    end: Arc<End>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What writes there.
pub(super) struct Writer {
    end: Arc<End>,
}

pub(super) fn half(net: Net, name: u64, side: usize) -> (Reader, Writer) {
    let end = Arc::new(End { net, name, side });
    (Reader { end: Arc::clone(&end), timer: None }, Writer { end })
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { end, timer } = self.get_mut();
        loop {
            let read = end.net.state().read((end.name, end.side), context, buffer);
            match read {
                Read::Done => return Poll::Ready(Ok(())),
                Read::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Read::Nothing => return Poll::Pending,
                Read::Later(at) => {
                    let timer = timer.insert(Box::pin(sleep_until(at)));
                    if timer.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { end } = self.get_mut();
        end.net.state().write((end.name, end.side), context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
