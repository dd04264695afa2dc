//! What is on its way to the disk: `Writes` gathers the next `Persist` and remembers what each
//! unacknowledged write may claim to have made durable.

use crate::entry::Entry;
use crate::message::{Ballot, Body, Message};
use crate::mutation::{self, Mutation};
use crate::ready::{LogStart, Persist};
use crate::room::{Fits, Refused, Room, Waiting};
use crate::snapshot::SnapshotMeta;
use crate::types::{HardState, Index, MemberId, Term, WriteNumber};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// How many messages wait at most for a disk that is full.
const WAITING_MESSAGES_MAX: usize = 64;

/// Invariants: the numbers in flight ascend without a gap, and so do their ends; a truncation
/// clips every end, since an index that was overwritten proves nothing (the append ABA race).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Writes {
    next: Persist,
    /// Whether `next` has anything in it. An answer alone is enough: it waits for those before.
    dirty: Dirty,
    /// The end of the log in the writes handed out so far.
    written: Index,
    inflight: VecDeque<Inflight>,
    last_number: WriteNumber,
    /// The latest acknowledgement that waits for the disk, and the write it waits for.
    promised: Option<(MemberId, Term, Index)>,
    promised_by: WriteNumber,
    ticks: u64,
    room: Room,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Dirty {
    #[default]
    No,
    Yes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Inflight {
    number: WriteNumber,
    /// The end of the log that this write makes durable.
    end: Index,
    /// When it was handed out, in ticks.
    since: u64,
    /// The end of the log in the writes handed out before it.
    before: Index,
}

impl Writes {
    pub(crate) fn restore(written: Index) -> Self {
        Self { written, ..Self::default() }
    }

    /// The number that the next write will have.
    pub(crate) const fn upcoming(&self) -> WriteNumber {
        WriteNumber(self.last_number.0 + 1)
    }

    pub(crate) fn hard_state(&mut self, hard_state: HardState) {
        self.next.hard_state = Some(hard_state);
        self.dirty = Dirty::Yes;
    }

    pub(crate) fn entry(&mut self, entry: Entry) {
        self.next.entries.push(entry);
        self.dirty = Dirty::Yes;
    }

    pub(crate) fn entries(&mut self, mut entries: Vec<Entry>) {
        if self.next.entries.is_empty() {
            self.next.entries = entries;
        } else {
            self.next.entries.append(&mut entries);
        }
        self.dirty = Dirty::Yes;
    }

    /// Sends `message` once all before it is durable; once, however often it is asked for until
    /// then: a disk that hangs must not pile up what its leader keeps asking.
    pub(crate) fn then(&mut self, message: Message) {
        let says = match message.body {
            Body::Appended { matched } => Some((message.to, message.term, matched)),
            _ => None,
        };
        if says.is_some() {
            if self.promised == says && self.waits_for(self.promised_by) {
                return;
            }
            (self.promised, self.promised_by) = (says, self.upcoming());
        }
        // While nothing can be written, nothing can be said: the oldest is lost for it.
        if self.is_full() && self.next.then.len() >= WAITING_MESSAGES_MAX {
            self.next.then.remove(0);
        }
        self.next.then.push(message);
        self.dirty = Dirty::Yes;
    }

    /// The entries from `from` on are dropped: those not handed out yet silently, the others by a
    /// record; and no write in flight may claim them.
    pub(crate) fn truncate(&mut self, from: Index) {
        self.next.entries.retain(|entry| entry.id.index < from);
        if from <= self.written {
            let earlier = self.next.truncate.unwrap_or(from);
            self.next.truncate = Some(earlier.min(from));
            self.dirty = Dirty::Yes;
        }
        for write in &mut self.inflight {
            if !mutation::on(Mutation::AckByIndex) {
                write.end = write.end.min(from.prev());
            }
        }
    }

    /// The log begins after `start`; all of it is there.
    pub(crate) fn compact(&mut self, start: LogStart) {
        self.next.compact = Some(start);
        self.dirty = Dirty::Yes;
    }

    /// The log is replaced by `snapshot`, which was received, or found on the disk already.
    pub(crate) fn install(&mut self, start: LogStart, snapshot: Option<SnapshotMeta>) {
        self.next.compact = Some(start);
        self.next.snapshot = snapshot;
        self.next.truncate = None;
        self.next.entries.clear();
        self.written = start.id.index;
        for write in &mut self.inflight {
            write.end = Index(0);
        }
        self.dirty = Dirty::Yes;
    }

    /// The next write, if there is anything to write or to say, and room for it.
    pub(crate) fn take(&mut self, log_end: Index) -> Option<Persist> {
        if self.dirty == Dirty::No {
            return None;
        }
        match self.room.now() {
            Fits::Nothing => None,
            Fits::AllButEntries if !self.next.entries.is_empty() => self.take_all_but_entries(),
            Fits::AllButEntries | Fits::All => {
                self.room.tried();
                self.dirty = Dirty::No;
                let mut persist = core::mem::take(&mut self.next);
                self.tear_hard_state(&mut persist);
                Some(self.hand_out(persist, log_end))
            }
        }
    }

    /// The beginning of the next write, as a crash might keep it, with what that may say.
    fn take_all_but_entries(&mut self) -> Option<Persist> {
        let next = &mut self.next;
        let written = next.entries.first().expect("looked at before").id.index.prev();
        let (then, waiting) =
            core::mem::take(&mut next.then).into_iter().partition(|message| match message.body {
                Body::Voted(_) => true,
                Body::Appended { matched } => matched <= written,
                _ => false,
            });
        next.then = waiting;
        let persist = Persist {
            hard_state: next.hard_state.take(),
            snapshot: next.snapshot.take(),
            compact: next.compact.take(),
            truncate: next.truncate.take(),
            then,
            ..Persist::default()
        };
        if persist == Persist::default() {
            return None;
        }
        // What was promised may wait for the write after this one.
        if self.promised_by == self.upcoming()
            && self.promised.is_some_and(|(_, _, matched)| matched > written)
        {
            self.promised_by.0 += 1;
        }
        Some(self.hand_out(persist, written))
    }

    fn hand_out(&mut self, mut persist: Persist, end: Index) -> Persist {
        self.last_number.0 += 1;
        persist.number = self.last_number;
        let (number, since) = (persist.number, self.ticks);
        self.inflight.push_back(Inflight { number, end, since, before: self.written });
        self.written = end;
        persist
    }

    /// The last write was refused, for the disk is full: it is as if it had not been handed out.
    /// Its beginning is tried next, and all of it after a while.
    ///
    /// # Panics
    /// When it was not the last one, or something was added to the next one since.
    pub(crate) fn refused(&mut self, persist: Persist) {
        let write = self.inflight.pop_back().expect("a write that was handed out");
        assert!(
            write.number == persist.number && persist.number == self.last_number,
            "only the last write can be refused"
        );
        let next = &mut self.next;
        let nothing_since = next.hard_state.is_none()
            && next.compact.is_none()
            && next.truncate.is_none()
            && (next.entries.is_empty() || persist.entries.is_empty());
        assert!(nothing_since, "a refusal is told before anything else");
        let entries = !persist.entries.is_empty();
        let what = if entries { Refused::Entries } else { Refused::NoEntries };
        self.room.refused(self.ticks, what);
        self.last_number.0 -= 1;
        self.promised_by = self.promised_by.min(persist.number);
        self.written = write.before;
        let mut persist = persist;
        persist.entries.append(&mut next.entries);
        persist.then.append(&mut next.then);
        *next = persist;
        self.dirty = Dirty::Yes;
    }

    /// Whether the disk was full when it was last asked to write.
    pub(crate) const fn is_full(&self) -> bool {
        self.room.is_full()
    }

    /// For how many ticks it has been full.
    pub(crate) fn full_for(&self) -> Option<u64> {
        self.room.full_since().map(|since| self.ticks - since)
    }

    /// The end of the log in the writes handed out so far.
    pub(crate) const fn written(&self) -> Index {
        self.written
    }

    /// An entry that waits to be handed out.
    pub(crate) fn waiting(&self, index: Index) -> Option<&Entry> {
        let first = self.next.entries.first()?.id.index;
        self.next.entries.get(usize::try_from(index.0.checked_sub(first.0)?).ok()?)
    }

    /// Does nothing but for a known bug: what speaks for a vote leaves with a write of the term
    /// alone, and the vote is in the write after that.
    fn tear_hard_state(&mut self, persist: &mut Persist) {
        let speaks = |message: &Message| {
            matches!(message.body, Body::Vote { .. } | Body::Voted(Ballot::Granted))
        };
        if let Some(hard_state) = &mut persist.hard_state
            && persist.then.iter().any(speaks)
            && mutation::on(Mutation::TermAndVoteApart)
        {
            self.hard_state(*hard_state);
            hard_state.vote = None;
        }
    }

    pub(crate) fn tick(&mut self) {
        self.ticks += 1;
        let waiting = match self.dirty {
            Dirty::Yes => Waiting::Something,
            Dirty::No => Waiting::Nothing,
        };
        self.room.tick(self.ticks, waiting);
    }

    /// Whether this write is not acknowledged yet.
    pub(crate) fn waits_for(&self, number: WriteNumber) -> bool {
        number > self.last_number
            || self.inflight.front().is_some_and(|write| write.number <= number)
    }

    /// For how many ticks the oldest write has not been acknowledged.
    pub(crate) fn oldest(&self) -> u64 {
        self.inflight.front().map_or(0, |write| self.ticks - write.since)
    }

    /// All writes up to `number` are durable. Returns up to which index that covers the log, or
    /// nothing if the acknowledgement is an old one.
    ///
    /// # Panics
    /// When `number` was never handed out: a driver that acknowledges what it was not asked to
    /// write would lose data.
    pub(crate) fn persisted(&mut self, number: WriteNumber) -> Option<Index> {
        assert!(number <= self.last_number, "write {number} was never asked for");
        let mut end = None;
        while let Some(write) = self.inflight.front().copied() {
            if write.number > number {
                break;
            }
            end = Some(write.end);
            self.inflight.pop_front();
        }
        end
    }
}
