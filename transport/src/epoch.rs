//! Which recovery of its cluster a member belongs to: [`Epoch`]. Both ends of each handshake say
//! theirs, and nobody talks to a member that was left behind by a recovery.

use std::fmt;

/// A number that is drawn anew whenever a cluster is recovered after the loss of a majority, or
/// restored from a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Of a cluster that was never recovered.
    pub const FIRST: Self = Self(0);
    /// Of a member whose storage is empty. It belongs to none yet, and may meet each.
    pub const NONE_YET: Self = Self(u64::MAX);

    /// Whether members of the two may talk to each other.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self == other || self == Self::NONE_YET || other == Self::NONE_YET
    }

    /// What stands in a hello, where there is no room for more: 0 and [`u16::MAX`] for the two
    /// above and for nothing else.
    pub(crate) fn short(self) -> u16 {
        match self {
            Self::FIRST => 0,
            Self::NONE_YET => u16::MAX,
            Self(number) => {
                let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
                let folded = u16::from_le_bytes([a ^ c ^ e ^ g, b ^ d ^ f ^ h]);
                folded.clamp(1, u16::MAX - 1)
            }
        }
    }

    /// Whether this may be whoever has said so in a hello.
    pub(crate) fn meets_short(self, other: u16) -> bool {
        let own = self.short();
        own == other || own == u16::MAX || other == u16::MAX
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::FIRST => f.write_str("the first epoch"),
            Self::NONE_YET => f.write_str("no epoch yet"),
            Self(number) => write!(f, "epoch {number:016x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_epochs_meet_and_whoever_has_none_yet() {
        let (one, other) = (Epoch(0x1234_5678_9abc), Epoch(0x4321_5678_9abc));
        for (left, right, meet) in [
            (one, one, true),
            (one, other, false),
            (one, Epoch::FIRST, false),
            (Epoch::FIRST, Epoch::FIRST, true),
            (one, Epoch::NONE_YET, true),
            (Epoch::FIRST, Epoch::NONE_YET, true),
        ] {
            assert_eq!(left.meets(right), meet, "{left}, {right}");
            assert_eq!(right.meets(left), meet, "{right}, {left}");
            assert_eq!(left.meets_short(right.short()), meet, "{left}, {right}");
            assert_eq!(right.meets_short(left.short()), meet, "{right}, {left}");
        }
    }

    #[test]
    fn no_drawn_epoch_is_short_for_one_of_the_two_that_are_not() {
        for number in (1..1 << 20).chain([u64::MAX - 1, 0xffff, 0x0001_0001]) {
            assert!((1..u16::MAX).contains(&Epoch(number).short()), "{number}");
        }
    }
}
