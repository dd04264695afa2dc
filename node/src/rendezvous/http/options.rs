//! How requests find their member: [`Options`] of [`Points`](super::Points).

use super::key::{Hosts, KeyFrom};
use axum::http::HeaderName;
use std::time::Duration;

/// How requests find their member.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where a request carries its key; the first place that has one counts. A request without a
    /// key is served wherever it comes in. Default: the header `holm-key`.
    pub keys: Vec<KeyFrom>,
    /// The hosts of the members: a request for a member's host is that member's, whatever key it
    /// carries. Default: none.
    pub hosts: Option<Hosts>,
    /// Whether clients are sent to the owner's host (`307`) where they can reach it, instead of
    /// their request being handed over. Needs [`hosts`](Self::hosts), and a name service that leads
    /// each to its member. Default: none.
    pub redirect: Option<Redirect>,
    /// For how long a key is claimed at a time by the member that serves it, so that no two serve
    /// it at once; at least [`CLAIM_TIME_MIN`](crate::rendezvous::CLAIM_TIME_MIN). `None`: it is
    /// not claimed, and while members come and go two may. Default: 10 s.
    pub claim: Option<Duration>,
    /// For how long after its last request a claim is renewed. Default: 5 min.
    pub kept: Duration,
    /// Whether a key without a holder goes to this member's own island first. Default: no.
    pub prefer: Prefer,
    /// The longest body of a request that is handed over, and of its answer, in bytes. With its
    /// head it also has to fit a note between members, as the longest command does
    /// ([`command_bytes_max`](crate::Config::command_bytes_max)). Default: 1 MiB.
    pub body_bytes_max: usize,
    /// How long the member that it is handed to may take. Default: 10 s.
    pub timeout: Duration,
}

/// How a client is sent to a member's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `https` or `http`.
    pub scheme: String,
    /// The port there, if it is not the scheme's own.
    pub port: Option<u16>,
}

/// Whose keys are whose while nobody has claimed them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// Each key is one member's for all callers.
    #[default]
    Anybody,
    /// Members on the island of the member that was asked come first.
    OwnIsland,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keys: vec![KeyFrom::Header(HeaderName::from_static("holm-key"))],
            hosts: None,
            redirect: None,
            claim: Some(Duration::from_secs(10)),
            kept: Duration::from_secs(300),
            prefer: Prefer::Anybody,
            body_bytes_max: 1 << 20,
            timeout: Duration::from_secs(10),
        }
    }
}
