//! What happens while the disk has no room: `Room`. A write that was refused goes back to where the
//! next one gathers. What the log keeps room for (terms and votes, truncations, compactions) still
//! goes out, entries are held back, and now and then all is tried again. Who has no room takes no
//! proposals, does not campaign, and hands over what it leads.

use crate::raft::Raft;
use crate::ready::Persist;

/// After how many ticks all is tried again: about as often as a leader is heard.
const RETRY_TICKS: u64 = 3;
/// For how many ticks a leader's disk may be full before it hands over: one try may fail.
pub(crate) const HAND_OVER_TICKS: u64 = RETRY_TICKS + 1;

/// Whether there is room for a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Room {
    /// As far as is known.
    #[default]
    Enough,
    /// The last write was refused.
    Full {
        /// When the first was, in ticks.
        since: u64,
        fits: Fits,
    },
    /// All was handed out again; it may yet be refused.
    Tried { since: u64 },
}

/// What can be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fits {
    Nothing,
    /// What the log keeps room for.
    AllButEntries,
    All,
}

impl Room {
    pub(crate) const fn now(self) -> Fits {
        match self {
            Self::Full { fits, .. } => fits,
            Self::Enough | Self::Tried { .. } => Fits::All,
        }
    }

    pub(crate) const fn is_full(self) -> bool {
        matches!(self, Self::Full { .. })
    }

    pub(crate) const fn full_since(self) -> Option<u64> {
        match self {
            Self::Full { since, .. } => Some(since),
            Self::Enough | Self::Tried { .. } => None,
        }
    }

    /// All that there was is handed out.
    pub(crate) const fn tried(&mut self) {
        *self = match *self {
            Self::Full { since, .. } => Self::Tried { since },
            Self::Enough | Self::Tried { .. } => Self::Enough,
        };
    }

    /// What was handed out last was refused.
    pub(crate) const fn refused(&mut self, now: u64, what: Refused) {
        let since = match *self {
            Self::Full { since, .. } | Self::Tried { since } => since,
            Self::Enough => now,
        };
        let fits = match what {
            Refused::Entries => Fits::AllButEntries,
            Refused::NoEntries => Fits::Nothing,
        };
        *self = Self::Full { since, fits };
    }

    pub(crate) const fn tick(&mut self, now: u64, waiting: Waiting) {
        *self = match *self {
            Self::Full { since, .. } if (now - since).is_multiple_of(RETRY_TICKS) => {
                match waiting {
                    Waiting::Something => Self::Full { since, fits: Fits::All },
                    Waiting::Nothing => Self::Enough,
                }
            }
            Self::Tried { .. } => Self::Enough,
            other => other,
        };
    }
}

/// What was in a write that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Entries, and perhaps more.
    Entries,
    /// Only what the log keeps room for.
    NoEntries,
}

/// Whether anything waits to be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    Nothing,
    Something,
}

impl Raft {
    /// The disk has no room for the write that was handed out last.
    pub(crate) fn full(&mut self, persist: Persist) {
        self.core.writes.refused(persist);
    }
}
