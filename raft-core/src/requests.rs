//! What callers ask for: proposals and reads, made here or passed on by a follower to its leader.
//! A follower never passes the same one on twice; whoever does not hear of it asks again under a
//! new number, or lets the outcome be unknown.

use crate::entry::EntryKind;
use crate::message::Body;
use crate::raft::{Core, Raft};
use crate::reads::{ReadQueue, Reader};
use crate::ready::Fate;
use crate::role::Role;
use crate::types::{Boot, EntryId, Index, MemberId, RequestNumber};
use bytes::Bytes;

impl Raft {
    pub(crate) fn propose(&mut self, number: RequestNumber, data: Bytes) {
        let core = &mut self.core;
        match &self.role {
            Role::Leader(_) => {
                let fate = self.accept(data).map_or(Fate::Refused, Fate::Appended);
                self.core.out.proposals.push((number, fate));
            }
            Role::Follower(follower) => match follower.leader {
                Some(leader)
                    if core.forwarded.proposals.len() < core.config.forwarded_requests_max =>
                {
                    core.forwarded.proposals.insert(number);
                    let boot = core.config.boot;
                    core.answer(leader, Body::Propose { boot, number, data });
                }
                _ => core.out.proposals.push((number, Fate::Refused)),
            },
            _ => core.out.proposals.push((number, Fate::Refused)),
        }
    }

    pub(crate) fn read(&mut self, number: RequestNumber) {
        let core = &mut self.core;
        match &mut self.role {
            Role::Leader(leader) => leader.reads.push(Reader::Own(number)),
            Role::Follower(follower) => match follower.leader {
                Some(leader) if core.forwarded.reads.len() < core.config.forwarded_requests_max => {
                    core.forwarded.reads.insert(number);
                    let boot = core.config.boot;
                    core.answer(leader, Body::Read { boot, number });
                }
                _ => core.out.reads.push((number, None)),
            },
            _ => core.out.reads.push((number, None)),
        }
    }

    /// A read that the lease answers, or one that asks for a round.
    pub(crate) fn read_by_lease(&mut self, number: RequestNumber, now: u64) {
        self.confirm_reads();
        match self.leased_index(now) {
            Some(index) => self.core.out.reads.push((number, Some(index))),
            None => self.read(number),
        }
    }

    /// A follower passes a proposal on. A repeated message is not a second proposal.
    pub(crate) fn on_propose(
        &mut self,
        from: MemberId,
        boot: Boot,
        number: RequestNumber,
        data: Bytes,
    ) {
        let Role::Leader(leader) = &mut self.role else { return };
        if !leader.seen.entry(from).or_default().is_new(boot, number) {
            self.core.dropped.outdated += 1;
            return;
        }
        let appended = self.accept(data);
        self.core.answer(from, Body::Proposed { boot, number, appended });
    }

    /// Appends a command, unless leadership is being handed over, the disk is full, or too much is
    /// not committed.
    fn accept(&mut self, data: Bytes) -> Option<EntryId> {
        let Role::Leader(leader) = &self.role else { return None };
        let core = &self.core;
        let waiting = core.weights.between(core.log.committed(), core.log.last().index);
        let fits = waiting.saturating_add(data.len() as u64) <= core.config.uncommitted_bytes_max;
        // A single command may be larger than the limit, alone.
        let alone = core.log.committed() == core.log.last().index;
        let accepts = leader.transfer.is_none() && !core.writes.is_full() && (fits || alone);
        accepts.then(|| self.append(EntryKind::Command, data))
    }

    /// A follower asks for a read. A repeated message costs nothing but a second answer.
    pub(crate) fn on_read(&mut self, member: MemberId, boot: Boot, number: RequestNumber) {
        let Role::Leader(leader) = &mut self.role else { return };
        leader.reads.push(Reader::Member { member, boot, number });
    }
}

impl Core {
    pub(crate) fn on_proposed(
        &mut self,
        boot: Boot,
        number: RequestNumber,
        appended: Option<EntryId>,
    ) {
        if boot == self.config.boot && self.forwarded.proposals.remove(&number) {
            let fate = appended.map_or(Fate::Refused, Fate::Appended);
            self.out.proposals.push((number, fate));
        } else {
            self.dropped.outdated += 1;
        }
    }

    pub(crate) fn on_read_at(&mut self, boot: Boot, number: RequestNumber, index: Option<Index>) {
        if boot == self.config.boot && self.forwarded.reads.remove(&number) {
            self.out.reads.push((number, index));
        } else {
            self.dropped.outdated += 1;
        }
    }

    pub(crate) fn unsent(&mut self, number: RequestNumber) {
        if self.forwarded.proposals.remove(&number) {
            self.out.proposals.push((number, Fate::Refused));
        }
        if self.forwarded.reads.remove(&number) {
            self.out.reads.push((number, None));
        }
    }

    pub(crate) fn forget(&mut self, number: RequestNumber) {
        self.forwarded.proposals.remove(&number);
        self.forwarded.reads.remove(&number);
    }

    /// The leader is another from now on, or none: what was passed on to the old one and not
    /// answered may or may not take effect; reads can simply be asked for again.
    pub(crate) fn settle_forwarded(&mut self) {
        let forwarded = core::mem::take(&mut self.forwarded);
        self.out.proposals.extend(forwarded.proposals.into_iter().map(|n| (n, Fate::Unknown)));
        self.out.reads.extend(forwarded.reads.into_iter().map(|n| (n, None)));
    }

    /// Leadership ended: whoever still waits to read has to ask the next leader.
    pub(crate) fn refuse_reads(&mut self, reads: ReadQueue) {
        for reader in reads.into_readers() {
            self.serve_read(reader, None);
        }
    }
}
