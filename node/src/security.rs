//! How links between members are secured: `Security`.

use crate::topology::Topology;
use holm_transport::{KeyPair, KeyRing};

/// How links between members are secured.
#[derive(Clone, Debug)]
pub enum Security {
    /// Not at all: whoever reaches a member's port is believed, and whoever reads the wire reads
    /// and changes everything. Logged at each start.
    Insecure,
    /// Encrypted and authenticated: a peer must know a secret of the ring, and hold the key that
    /// the topology gives it, or the replicated configuration once there is one.
    Sealed {
        /// This member's own.
        pair: KeyPair,
        /// The secrets that all members share.
        ring: KeyRing,
    },
}

impl Security {
    /// Whether member `node` could prove itself to the others, and they to it.
    ///
    /// # Errors
    /// What is wrong with which member's key, and the mend.
    pub fn check(&self, topology: &Topology, node: u64) -> Result<(), WrongKey> {
        let Self::Sealed { pair, .. } = self else { return Ok(()) };
        if let Some(member) = topology.members.iter().find(|member| member.key.is_none()) {
            return Err(WrongKey::Missing { member: member.id });
        }
        let named = topology.member(node).and_then(|own| own.key);
        match named {
            Some(named) if named != pair.public() => {
                Err(WrongKey::Other { member: node, own: pair.public(), named })
            }
            _ => Ok(()),
        }
    }
}

/// Why the keys of a topology don't do for sealed links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongKey {
    /// A member has none.
    #[error(
        "member {member} has no key, but links are sealed; give each member its key in the \
         topology before the cluster is formed"
    )]
    Missing {
        /// The member.
        member: u64,
    },
    /// This member's own is not the one that the others expect.
    #[error(
        "the configured private key belongs to {own}, but member {member} is to have {named}; \
         configure the private key that belongs to {named}"
    )]
    Other {
        /// This member.
        member: u64,
        /// What it has.
        own: holm_transport::PublicKey,
        /// What the others expect.
        named: holm_transport::PublicKey,
    },
}
