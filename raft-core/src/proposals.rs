//! Proposals that travel from a follower to its leader: `Seen` (a leader appends each at most
//! once) and `Forwarded` (what a follower still waits to hear of).

use crate::types::{Boot, RequestNumber};
use alloc::collections::{BTreeSet, VecDeque};

/// Which proposals of one member a leader has seen in this term. A window of the latest 128
/// numbers of each of the latest 16 boots; what falls behind it is refused, never appended twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    boots: VecDeque<(Boot, Window)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Window {
    newest: u64,
    /// Bit n: `newest - n` was seen.
    bits: u128,
}

impl Seen {
    const BOOTS_MAX: usize = 16;

    /// Whether this proposal was not seen before; it is from now on.
    pub(crate) fn is_new(&mut self, boot: Boot, number: RequestNumber) -> bool {
        if !self.boots.iter().any(|(known, _)| *known == boot) {
            if self.boots.len() == Self::BOOTS_MAX {
                self.boots.pop_front();
            }
            self.boots.push_back((boot, Window::default()));
        }
        let (_, window) =
            self.boots.iter_mut().find(|(known, _)| *known == boot).expect("added above");
        window.is_new(number.0)
    }
}

impl Window {
    fn is_new(&mut self, number: u64) -> bool {
        if number > self.newest {
            let shift = number - self.newest;
            self.bits =
                u32::try_from(shift).ok().and_then(|by| self.bits.checked_shl(by)).unwrap_or(0);
            self.bits |= 1;
            self.newest = number;
            return true;
        }
        let back = self.newest - number;
        if back >= 128 {
            return false;
        }
        let bit = 1u128 << back;
        let new = self.bits & bit == 0;
        self.bits |= bit;
        new
    }
}

/// What this core passed on to its leader and has not heard of since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Forwarded {
    pub(crate) proposals: BTreeSet<RequestNumber>,
    pub(crate) reads: BTreeSet<RequestNumber>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_repeated_proposal_is_seen_whatever_the_order() {
        let mut seen = Seen::default();
        let new: Vec<_> = [3, 1, 3, 2, 1, 200, 199, 200, 70, 72, 73, 73]
            .map(|number| seen.is_new(Boot(1), RequestNumber(number)))
            .into_iter()
            .collect();
        let expected =
            [true, true, false, true, false, true, true, false, false, false, true, false];
        assert_eq!(new, expected);
        assert!(seen.is_new(Boot(2), RequestNumber(1)), "another boot counts anew");
    }
}
