//! How a member helps another whose log is damaged: it offers the entries it has in that range, and
//! says whether it leads and they are committed.

use super::Driver;
use crate::StateMachine;
use crate::repair_note::{OFFER_HEAD_BYTES, RepairAsk, RepairOffer, Standing};
use holm_raft_core::{EntryId, Index, MemberId};

impl<S: StateMachine> Driver<S> {
    pub(super) fn offer_repair(&self, to: MemberId, note: &[u8]) {
        let Some(ask) = RepairAsk::decode(note) else {
            tracing::warn!(node = self.config.node, from = %to, "a malformed note was ignored");
            return;
        };
        let offer = self.repair_offer(&ask);
        tracing::info!(
            node = self.config.node,
            %to,
            first = ask.missing.start().0,
            entries = offer.entries.len(),
            "offering entries for the repair of a damaged log"
        );
        self.tell(to.node, offer.encode());
    }

    fn repair_offer(&self, ask: &RepairAsk) -> RepairOffer {
        let (first, status) = (*ask.missing.start(), self.raft.status());
        let last = (*ask.missing.end()).min(status.durable);
        let before = first.prev();
        let nothing =
            RepairOffer { standing: Standing::Held, before: EntryId::ZERO, entries: Vec::new() };
        let Some(term) = self.wal.term(before).filter(|_| first <= last) else { return nothing };
        let room = self.config.note_bytes_max().saturating_sub(OFFER_HEAD_BYTES);
        // An entry weighs more than it takes in the note.
        let Ok(mut entries) = self.wal.entries(first..=last, room as u64) else { return nothing };
        entries.retain(|entry| entry.weight() <= room as u64);
        let end = entries.last().map_or(Index(0), |entry| entry.id.index);
        let own = self.wal.term(status.committed) == Some(status.term);
        let committed = status.role == "leader" && own && end <= status.committed;
        let standing = if committed { Standing::Committed } else { Standing::Held };
        RepairOffer { standing, before: EntryId::new(term, before), entries }
    }
}
