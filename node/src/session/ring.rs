//! Keys in clear, in memory alone: `Wrapping` makes them and puts them into the care of the
//! cluster's secret, `Ring` unwraps the ones that are known and keeps them at hand.
//!
//! The wrapping key is derived from the secret for this purpose, as the transport's is for its own:
//! neither tells anything of the other.
//!
//! A key is wrapped for the cluster by its id. One that was restored from a backup, or recovered,
//! can't unwrap those of before, and its leader makes new ones: what was sealed before is void,
//! for its revocation may be among what was lost.

use crate::cluster_id::ClusterId;
use crate::edges::Entropy;
use crate::own::Shared;
use crate::own::keys::{Command, Keys, Wrapped};
use holm_raft_core::LogTime;
use holm_transport::{KEY_BYTES, KeyRing, Secret};
use orion::hazardous::aead::xchacha20poly1305::{Nonce, SecretKey, XChaCha20Poly1305};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use zeroize::Zeroizing;

/// What a tag adds to what it is for, in bytes.
pub(crate) const TAG_BYTES: usize = 16;
/// The bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 24;

/// How the keys of this cluster are wrapped.
pub(crate) struct Wrapping<'a> {
    pub(crate) cluster: ClusterId,
    pub(crate) ring: &'a KeyRing,
}

pub(crate) fn draw(entropy: &dyn Entropy, out: &mut [u8]) {
    for part in out.chunks_mut(size_of::<u64>()) {
        part.copy_from_slice(&entropy.draw().to_le_bytes()[..part.len()]);
    }
}

impl Wrapping<'_> {
    /// What is to be done about the keys by now: one more, or the same under the first secret.
    pub(crate) fn wanted(
        &self,
        keys: &Keys,
        now: LogTime,
        entropy: &dyn Entropy,
    ) -> Option<Command> {
        if let Some(key) = keys.wanted(now).or_else(|| self.instead_of_a_lost_one(keys)) {
            let mut bytes = Zeroizing::new([0; KEY_BYTES]);
            draw(entropy, &mut bytes[..]);
            return Some(Command::Add { key, wrapped: self.wrap(key, &bytes, entropy) });
        }
        let first = self.ring.first().id().0;
        let under_others = keys.all().filter_map(|(key, known)| {
            let wrapped = known.wrapped.as_ref().filter(|wrapped| wrapped.secret != first)?;
            Some((key, self.wrap(key, &*self.unwrap(key, wrapped)?, entropy)))
        });
        let keys: Vec<_> = under_others.collect();
        (!keys.is_empty()).then_some(Command::Rewrap { keys })
    }

    /// The number of a key in place of the active one, if that can't be unwrapped here: it is of
    /// another cluster, of which this one was restored, or its secret was taken away.
    fn instead_of_a_lost_one(&self, keys: &Keys) -> Option<u32> {
        let (key, known) = keys.active()?;
        let wrapped = known.wrapped.as_ref()?;
        if self.unwrap(key, wrapped).is_some() { None } else { keys.next() }
    }

    fn wrap(&self, key: u32, bytes: &[u8; KEY_BYTES], entropy: &dyn Entropy) -> Wrapped {
        let secret = self.ring.first();
        let mut nonce = [0; NONCE_BYTES];
        draw(entropy, &mut nonce);
        let mut sealed = vec![0; KEY_BYTES + TAG_BYTES];
        let named = Nonce::from(nonce);
        let about = self.about(key);
        XChaCha20Poly1305::seal(&wrapping_key(secret), &named, bytes, Some(&about), &mut sealed)
            .expect("it fits");
        Wrapped { secret: secret.id().0, nonce, sealed }
    }

    /// The key in clear; nothing if its secret is not known here, or it is not what was wrapped.
    fn unwrap(&self, key: u32, wrapped: &Wrapped) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
        let secret = self.ring.find(holm_transport::SecretId(wrapped.secret))?;
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let (nonce, about) = (Nonce::from(wrapped.nonce), self.about(key));
        let sealed = Some(&wrapped.sealed).filter(|it| it.len() == KEY_BYTES + TAG_BYTES)?;
        let key = wrapping_key(secret);
        XChaCha20Poly1305::open(&key, &nonce, sealed, Some(&about), &mut bytes[..]).ok()?;
        Some(bytes)
    }

    /// A key that was wrapped for another cluster, or under another number, is none here.
    fn about(&self, key: u32) -> Vec<u8> {
        [&b"holm session key"[..], &key.to_le_bytes(), &self.cluster.0].concat()
    }
}

fn wrapping_key(secret: &Secret) -> SecretKey {
    SecretKey::try_from(&secret.derive("session keys")[..]).expect("a length that ChaCha20 has")
}

/// The keys that are known here, unwrapped when they are first asked for.
pub(crate) struct Ring {
    own: Arc<Shared>,
    unwrapped: RwLock<BTreeMap<u32, Unwrapped>>,
}

struct Unwrapped {
    /// What it was unwrapped from.
    wrapped: Wrapped,
    key: Arc<SecretKey>,
}

/// What is known of a key.
pub(crate) enum Known {
    /// It opens, and seals if it is active.
    Key(Arc<SecretKey>, Use),
    /// It was revoked, or its grace has ended, or this member does not have its secret.
    Gone,
    /// Nothing was heard of it yet.
    Ahead,
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Seals,
    Opens,
}

impl Ring {
    pub(crate) fn new(own: Arc<Shared>) -> Self {
        Self { own, unwrapped: RwLock::default() }
    }

    /// Whether a key can be unwrapped here. It does not look at the state.
    pub(crate) fn unwraps(&self, key: u32, wrapped: &Wrapped) -> bool {
        let secrets = self.own.secrets();
        secrets.is_some_and(|ring| self.wrapping(&ring).unwrap(key, wrapped).is_some())
    }

    fn wrapping<'a>(&self, ring: &'a KeyRing) -> Wrapping<'a> {
        Wrapping { cluster: self.own.cluster(), ring }
    }

    /// The key that seals.
    pub(crate) fn active(&self) -> Option<(u32, Arc<SecretKey>)> {
        let key = self.own.look(|state, _| state.keys.active().map(|(key, _)| key))?;
        match self.find(key) {
            Known::Key(bytes, _) => Some((key, bytes)),
            Known::Gone | Known::Ahead => None,
        }
    }

    pub(crate) fn find(&self, key: u32) -> Known {
        let now = self.own.believed_now();
        let looked = self.own.look(|state, _| {
            let Some(known) = state.keys.key(key) else {
                return if state.keys.is_ahead(key) { Err(Known::Ahead) } else { Err(Known::Gone) };
            };
            if known.until.is_some_and(|until| now.0 >= until) {
                return Err(Known::Gone);
            }
            let wrapped = known.wrapped.as_ref().ok_or(Known::Gone)?;
            let good_for = if known.until.is_none() { Use::Seals } else { Use::Opens };
            let unwrapped = self.unwrapped.read().unwrap_or_else(PoisonError::into_inner);
            match unwrapped.get(&key) {
                Some(at_hand) if at_hand.wrapped == *wrapped => {
                    Err(Known::Key(Arc::clone(&at_hand.key), good_for))
                }
                _ => Ok((wrapped.clone(), good_for)),
            }
        });
        match looked {
            Err(known) => known,
            Ok((wrapped, good_for)) => self.unwrap(key, wrapped, good_for),
        }
    }

    fn unwrap(&self, key: u32, wrapped: Wrapped, good_for: Use) -> Known {
        let Some(ring) = self.own.secrets() else { return Known::Gone };
        let Some(bytes) = self.wrapping(&ring).unwrap(key, &wrapped) else { return Known::Gone };
        let secret = SecretKey::try_from(&bytes[..]).expect("a length that ChaCha20 has");
        let secret = Arc::new(secret);
        // Before the lock is taken: whoever looks at the state may wait for it.
        let known = self.own.look(|state, _| state.keys.all().map(|(key, _)| key).min());
        let mut unwrapped = self.unwrapped.write().unwrap_or_else(PoisonError::into_inner);
        unwrapped.retain(|key, _| Some(*key) >= known);
        unwrapped.insert(key, Unwrapped { wrapped, key: Arc::clone(&secret) });
        Known::Key(secret, good_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own::keys::Policy;
    use holm_raft_core::Index;
    use std::cell::Cell;

    /// Draws 1, 2, 3 …
    struct Counting(std::sync::atomic::AtomicU64);

    impl Entropy for Counting {
        fn draw(&self) -> u64 {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
        }
    }

    fn secret(byte: u8) -> Secret {
        Secret::generate(&mut |out| out.fill(byte))
    }

    /// `hashlib.blake2b(b"holm derive " + purpose, key=bytes([0x5a]) * 32, digest_size=32)`: the
    /// links' key, by which a handshake shows that it knows the secret, is another purpose's
    /// (`PSK_PURPOSE` in the transport).
    #[test]
    fn the_wrapping_key_and_that_of_the_links_are_two_outputs_of_one_derivation() {
        let hex =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let wrapping = wrapping_key(&secret(0x5a));
        assert_eq!(
            hex(wrapping.unprotected_as_ref()),
            "b99b17c2aa1be582b61467e10e22496403c6ff033b029106288e9115a406ad9e"
        );
        let links = secret(0x5a).derive("transport handshake");
        assert_eq!(
            hex(&links[..]),
            "4da324ff8b7b904d652f2dfb8d975a9fdc89a7535e21d816912c80f330b284f1"
        );
    }

    #[test]
    fn keys_of_another_cluster_or_under_a_secret_that_is_gone_are_replaced_at_once() {
        let entropy = Counting(1.into());
        let (first, ring) = (KeyRing::of(secret(1)), Cell::new(0_u64));
        let here = Wrapping { cluster: ClusterId([1; 16]), ring: &first };
        let mut keys = Keys::default();
        let apply = |keys: &mut Keys, command| {
            ring.set(ring.get() + 1);
            keys.apply(command, Index(ring.get()), LogTime(10));
        };
        apply(&mut keys, Command::Want(Policy { rotation: 1_000, grace: 500 }));
        let add = here.wanted(&keys, LogTime(10), &entropy).expect("the first one");
        apply(&mut keys, add);
        assert_eq!(here.wanted(&keys, LogTime(11), &entropy), None);
        let restored = Wrapping { cluster: ClusterId([2; 16]), ring: &first };
        let gone = KeyRing::of(secret(2));
        for elsewhere in [restored, Wrapping { cluster: ClusterId([1; 16]), ring: &gone }] {
            let mut keys = keys.clone();
            let instead = elsewhere.wanted(&keys, LogTime(11), &entropy);
            let Some(Command::Add { key: 2, .. }) = instead else { panic!("{instead:?}") };
            apply(&mut keys, instead.expect("there is one"));
            assert_eq!(elsewhere.wanted(&keys, LogTime(12), &entropy), None, "it is usable");
        }
    }
}
