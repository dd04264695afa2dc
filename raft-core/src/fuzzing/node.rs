//! One member in memory: `Node` is a core, its disk, and the driver between them, which writes,
//! stores, sends and applies what the core asks for, when it is told to. Knows nothing of the other
//! members: what holds between them is for whoever has several.

use super::disk::{Disk, Snapshot};
use crate::mutation::{self, Mutation};
use crate::{
    Body, Boot, Chunk, Config, Entry, EntryKind, Event, Index, LogStart, MemberId, Message,
    Outbound, Persist, Raft, Ready, SnapshotId, Switch, Term, WriteNumber,
};
use std::collections::VecDeque;
use std::vec::Vec;

pub(super) struct Node {
    pub(super) me: MemberId,
    pub(super) raft: Raft,
    pub(super) durable: Disk,
    pub(super) written: Disk,
    pub(super) applied: Index,
    pub(super) boots: u64,
    seed: u64,
    pending: VecDeque<Persist>,
    /// Pieces of snapshots on their way to the disk.
    storing: VecDeque<Chunk>,
    turns: u64,
    pub(super) room: Room,
    /// How many writes were refused, for the disk was full.
    pub(super) refused: u64,
}

/// Whether a member's disk is ever full.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    FillsUp,
}

/// What came of one turn, beside what was written.
pub(super) struct Turn {
    /// What leaves at once.
    pub(super) sent: Vec<Message>,
    /// What was applied, in order.
    pub(super) applied: Vec<Entry>,
    /// The snapshot that was installed.
    pub(super) installed: Option<Snapshot>,
    /// How many configurations were appended, and how many suffixes dropped.
    pub(super) changed: u64,
    pub(super) truncated: u64,
    /// What the core said to its callers; the rest of it was done.
    pub(super) ready: Ready,
}

impl Node {
    /// A member with an empty disk.
    pub(super) fn new(me: MemberId, seed: u64) -> Self {
        let (durable, written) = (Disk::default(), Disk::default());
        let raft = start(me, 1, seed, &durable);
        let (pending, storing) = (VecDeque::new(), VecDeque::new());
        Self {
            me,
            raft,
            durable,
            written,
            applied: Index(0),
            boots: 1,
            seed,
            pending,
            storing,
            turns: 0,
            room: Room::Enough,
            refused: 0,
        }
    }

    /// Does what the core asks for.
    pub(super) fn turn(&mut self) -> Turn {
        let mut ready = self.ready();
        let (mut changed, mut truncated, mut installed) = (0, 0, None);
        if let Some(persist) = ready.persist.take() {
            let changes = |entry: &&Entry| entry.kind == EntryKind::Configuration;
            changed = persist.entries.iter().filter(changes).count() as u64;
            truncated = u64::from(persist.truncate.is_some());
            self.written.write(&persist);
            if let Some(meta) = &persist.snapshot {
                installed = Some(self.durable.install(meta));
                self.applied = meta.last.index;
            }
            self.pending.push_back(persist);
        }
        self.storing.extend(ready.chunks.drain(..));
        let sent = ready.send.drain(..).filter_map(|outbound| self.fill(outbound)).collect();
        let mut applied = Vec::new();
        for index in ready.committed.iter().flat_map(|range| range.start().0..=range.end().0) {
            let entry = self.durable.entry(Index(index));
            applied.push(entry.expect("applied entries are durable here").clone());
            assert_eq!(Index(index), self.applied.next(), "applied in order, each once");
            self.applied = Index(index);
        }
        self.raft.check();
        Turn { sent, applied, installed, changed, truncated, ready }
    }

    /// What to do; where the disk is full, without what does not fit.
    fn ready(&mut self) -> Ready {
        self.turns += 1;
        let mut ready = self.raft.ready();
        while let Some(persist) = ready.persist.take_if(|persist| self.refuses(persist)) {
            self.refused += 1;
            self.raft.handle(Event::Full(persist));
            let again = self.raft.ready();
            let nothing = again.committed.is_none() && again.reads.is_empty();
            assert!(nothing && again.proposals.is_empty() && again.changes.is_empty());
            ready.persist = again.persist;
            ready.send.extend(again.send);
            ready.chunks.extend(again.chunks);
        }
        ready
    }

    /// A disk that fills up is full for some turns of each many; sometimes for anything, and always
    /// for entries.
    fn refuses(&self, persist: &Persist) -> bool {
        let phase = self.turns / 32 + self.me.node.0;
        let full = self.room == Room::FillsUp && phase.is_multiple_of(4);
        let tight = phase.is_multiple_of(8);
        full && persist.snapshot.is_none() && (tight || !persist.entries.is_empty())
    }

    /// The entry of the log, written or not.
    pub(super) fn entry(&self, index: Index) -> Option<&Entry> {
        self.raft.unwritten(index).or_else(|| self.written.entry(index))
    }

    fn fill(&self, outbound: Outbound) -> Option<Message> {
        match outbound {
            Outbound::Message(message) => Some(message),
            Outbound::Entries { to, term, prev, last, commit } => {
                let indexes = prev.index.0 + 1..=last.index.0;
                let entry = |index| self.entry(Index(index)).cloned().expect("in the log");
                let entries: Vec<Entry> = indexes.map(entry).collect();
                assert_eq!(entries.last().map_or(prev, |entry| entry.id), last, "as named");
                Some(self.message(to, term, Body::Append { prev, entries, commit }))
            }
            Outbound::Snapshot { to, term, snapshot, offset, bytes_max } => {
                let piece = self.durable.piece(snapshot, offset, bytes_max);
                Some(self.message(to, term, Body::Snapshot(piece.into())))
            }
        }
    }

    fn message(&self, to: MemberId, term: Term, body: Body) -> Message {
        Message { from: self.me, to, term, body }
    }

    /// So many of the writes under way become durable, the oldest first: what may be said now, and
    /// which was the last of them.
    pub(super) fn persist(&mut self, count: usize) -> (Vec<Message>, Option<WriteNumber>) {
        let (mut said, mut last) = (Vec::new(), None);
        for persist in self.pending.drain(..count.min(self.pending.len())) {
            self.durable.write(&persist);
            said.extend(persist.then);
            last = Some(persist.number);
        }
        (said, last)
    }

    /// So many of the pieces of a snapshot that wait become durable.
    pub(super) fn store(&mut self, count: usize) -> Option<(SnapshotId, Option<u64>)> {
        let mut last = None;
        for _ in 0..count {
            let Some(chunk) = self.storing.pop_front() else { break };
            let (snapshot, stored) = self.durable.store(&chunk);
            last = Some((snapshot, stored));
            if stored.is_none() {
                // With other bytes than it should have, the rest of it is void as well.
                self.storing.retain(|chunk| chunk.id() != snapshot);
                break;
            }
        }
        last
    }

    /// Power is cut: some of the unacknowledged writes made it, in order, but nothing was said.
    pub(super) fn crash(&mut self, luck: usize) {
        let survive = luck % (self.pending.len() + 1);
        for persist in core::mem::take(&mut self.pending).into_iter().take(survive) {
            self.durable.write(&persist);
        }
        self.restart();
    }

    /// The disk is lost: whoever comes back is another incarnation, and a stranger.
    pub(super) fn wipe(&mut self) {
        if !mutation::on(Mutation::WipedDiskVotesAgain) {
            self.me.incarnation.0 += 1;
        }
        self.durable = Disk::default();
        self.pending.clear();
        self.restart();
    }

    fn restart(&mut self) {
        self.storing.clear();
        self.boots += 1;
        self.written = self.durable.clone();
        self.raft = start(self.me, self.boots, self.seed, &self.durable);
        self.applied = self.durable.snapshot.as_ref().map_or(Index(0), |s| s.meta.last.index);
    }

    /// A snapshot of the state after `entry`, which was the last to be applied. Returns where the
    /// log may begin.
    pub(super) fn freeze(&mut self, entry: &Entry, padding: usize) -> LogStart {
        let meta = self.raft.snapshot_meta(entry);
        let start = LogStart { id: meta.last, time: meta.time };
        let mut data = std::vec![u8::try_from(padding).expect("a few bytes"); padding];
        data.extend(meta.last.index.0.to_le_bytes());
        self.durable.save(Snapshot { data: data.into(), meta });
        start
    }
}

/// How long a tick is at the least: a step in which one member ticks takes that long.
pub(super) const TICK_MILLIS: u64 = 3;

fn start(me: MemberId, boot: u64, seed: u64, disk: &Disk) -> Raft {
    let config = Config {
        // Members that ask nobody before they campaign, and appends of one entry each, make for
        // short leaderships and partial replication.
        pre_vote: if seed & 1 == 0 { Switch::On } else { Switch::Off },
        check_quorum: if seed & 3 == 3 { Switch::Off } else { Switch::On },
        append_entries_max: if seed & 4 == 0 { 3 } else { 1 },
        inflight_appends_max: 3,
        snapshot_chunk_bytes: if seed & 8 == 0 { 4 } else { 64 },
        snapshot_inflight_bytes_max: 8,
        install_log_bytes_max: if seed & 16 == 0 { 200 } else { 1 << 30 },
        tick_millis: TICK_MILLIS,
        // There is one clock, so leases may be as long as they can be.
        clock_drift_permille: 0,
        ..Config::new(me, Boot(boot), seed ^ (boot << 32) ^ (me.node.0 << 8))
    };
    assert!(disk.start.id.index <= disk.last().index || disk.entries.is_empty());
    Raft::new(config, disk.restored()).expect("a good configuration")
}
