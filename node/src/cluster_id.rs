//! Which cluster something belongs to that its clients keep: `ClusterId`.

use crate::digest;
use holm_transport::Epoch;

/// Names a cluster by its name and by which recovery of it this is. So a cluster that was restored
/// from a backup, or that goes on after the loss of a majority, has another id than the one before,
/// whose revocations it may not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClusterId(pub(crate) [u8; ClusterId::BYTES]);

impl ClusterId {
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn new(name: &str, epoch: Epoch) -> Self {
        let hash = digest::of(&[b"holm cluster", name.as_bytes(), &epoch.0.to_le_bytes()]);
        let mut short = [0; Self::BYTES];
        short.copy_from_slice(&hash[..Self::BYTES]);
        Self(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `hashlib.blake2b(parts, digest_size=32)`, each part with its length before it as a u64.
    #[test]
    fn an_id_stays_as_it_is_and_each_recovery_has_another() {
        let first = ClusterId::new("harbour", Epoch::FIRST);
        let hex: String = first.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "4cd0eb82754da83f04e5ad84ede445bf");
        for (name, epoch) in [("harbour", 1), ("harbour", 1 << 48), ("harbor", 0)] {
            assert_ne!(ClusterId::new(name, Epoch(epoch)), first, "{name} {epoch}");
        }
    }
}
