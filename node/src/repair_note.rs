//! What members say to each other to repair a damaged log: a `RepairAsk` for a range of entries,
//! and a `RepairOffer` of those that a member has, both as notes. Little-endian:
//!
//! ```text
//! ask    5 u8 │ first u64 │ last u64
//! offer  6 u8 │ standing u8 │ before: term u64, index u64 │ entries
//! entry  term u64 │ index u64 │ time u64 │ kind u8 │ length u32 │ data
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::{Entry, EntryId, EntryKind, Index, LogTime, Term};
use std::ops::RangeInclusive;

pub(crate) const ASK: u8 = 5;
pub(crate) const OFFER: u8 = 6;
/// The bytes of an offer without entries.
pub(crate) const OFFER_HEAD_BYTES: usize = 18;

/// "My log is damaged: what stood there?"
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RepairAsk {
    pub(crate) missing: RangeInclusive<Index>,
}

/// "This stands there in mine": from the first that was asked for on, as many as fit; none, if the
/// first is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RepairOffer {
    pub(crate) standing: Standing,
    /// The entry before the first, in that log.
    pub(crate) before: EntryId,
    pub(crate) entries: Vec<Entry>,
}

/// What the offering member knows of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has them.
    Held,
    /// It leads, and they are committed.
    Committed,
}

impl RepairAsk {
    pub(crate) fn encode(&self) -> Bytes {
        let mut note = BytesMut::with_capacity(17);
        note.put_u8(ASK);
        note.put_u64_le(self.missing.start().0);
        note.put_u64_le(self.missing.end().0);
        note.freeze()
    }

    pub(crate) fn decode(mut note: &[u8]) -> Option<Self> {
        let tag = note.try_get_u8().ok()?;
        let first = Index(note.try_get_u64_le().ok()?);
        let last = Index(note.try_get_u64_le().ok()?);
        let possible = tag == ASK && note.is_empty() && Index(0) < first && first <= last;
        possible.then_some(Self { missing: first..=last })
    }
}

impl RepairOffer {
    pub(crate) fn encode(&self) -> Bytes {
        let data: usize = self.entries.iter().map(|entry| 29 + entry.data.len()).sum();
        let mut note = BytesMut::with_capacity(OFFER_HEAD_BYTES + data);
        note.put_u8(OFFER);
        note.put_u8(match self.standing {
            Standing::Held => 0,
            Standing::Committed => 1,
        });
        put_id(self.before, &mut note);
        for entry in &self.entries {
            put_id(entry.id, &mut note);
            note.put_u64_le(entry.time.0);
            note.put_u8(entry.kind.code());
            let length = u32::try_from(entry.data.len()).expect("an entry fits a segment");
            note.put_u32_le(length);
            note.put_slice(&entry.data);
        }
        note.freeze()
    }

    pub(crate) fn decode(mut note: Bytes) -> Option<Self> {
        let tag = note.try_get_u8().ok()?;
        let standing = match note.try_get_u8().ok()? {
            0 => Standing::Held,
            1 => Standing::Committed,
            _ => return None,
        };
        let before = take_id(&mut note)?;
        let mut entries = Vec::new();
        while note.has_remaining() {
            let id = take_id(&mut note)?;
            let time = LogTime(note.try_get_u64_le().ok()?);
            let kind = EntryKind::from_code(note.try_get_u8().ok()?)?;
            let length = usize::try_from(note.try_get_u32_le().ok()?).ok()?;
            if length > note.remaining() {
                return None;
            }
            entries.push(Entry { id, time, kind, data: note.split_to(length) });
        }
        (tag == OFFER).then_some(Self { standing, before, entries })
    }
}

fn put_id(id: EntryId, note: &mut BytesMut) {
    note.put_u64_le(id.term.0);
    note.put_u64_le(id.index.0);
}

fn take_id(note: &mut Bytes) -> Option<EntryId> {
    let term = Term(note.try_get_u64_le().ok()?);
    Some(EntryId::new(term, Index(note.try_get_u64_le().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_and_offered_comes_through_and_nothing_cut_off_does() {
        let ask = RepairAsk { missing: Index(3)..=Index(9) };
        assert_eq!(RepairAsk::decode(&ask.encode()), Some(ask.clone()));
        let id = |index| EntryId::new(Term(2), Index(index));
        let entry = |index, data: &'static [u8]| Entry {
            id: id(index),
            time: LogTime(7),
            kind: EntryKind::Command,
            data: Bytes::from_static(data),
        };
        let entries = vec![entry(3, b"three"), entry(4, b"")];
        let offer = RepairOffer { standing: Standing::Committed, before: id(2), entries };
        let bytes = offer.encode();
        assert_eq!(RepairOffer::decode(bytes.clone()), Some(offer.clone()));
        for cut in 0..bytes.len() {
            let whole = RepairOffer::decode(bytes.slice(..cut));
            // Without its last entries it is an offer of fewer.
            assert!(whole.is_none_or(|whole| whole.entries.len() < offer.entries.len()), "{cut}");
            assert_eq!(RepairAsk::decode(&ask.encode()[..cut.min(16)]), None);
        }
        let mut backwards = RepairAsk { missing: Index(9)..=Index(3) }.encode().to_vec();
        assert_eq!(RepairAsk::decode(&backwards), None);
        backwards.push(0);
        assert_eq!(RepairAsk::decode(&backwards), None);
    }
}
