//! Why a node stopped: `Stop`.

use std::fmt;

/// Why a node stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was asked to, or every handle to it was dropped.
    Shutdown,
    /// Its disk failed: what is on it can't be trusted to hold more.
    Disk(String),
    /// It was told to form a cluster that exists already.
    Refused(String),
    /// It is no member any more: it was removed, or another incarnation has its place.
    Removed(String),
    /// It can't go on without becoming another state than its peers.
    Fault(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shutdown => write!(f, "it was shut down"),
            Self::Disk(why) | Self::Refused(why) | Self::Removed(why) | Self::Fault(why) => {
                write!(f, "{why}")
            }
        }
    }
}
