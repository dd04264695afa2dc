//! A sealed session as its text: `seal` and `open`, which know nothing of clusters.
//!
//! ```text
//!  0         1            n        n + 24
//! ┌─────────┬────────────┬────────┬───────────────────────────────────────┬──────────┐
//! │ version │ key        │ nonce  │ sealed with XChaCha20-Poly1305:       │ tag      │
//! │ u8 = 2  │ u32,varint │ 24     │  issued u64, life in s u32, subject   │ 16 bytes │
//! │         │            │        │  and epoch or nothing, the state;     │          │
//! │         │            │        │  each with postcard                   │          │
//! └─────────┴────────────┴────────┴───────────────────────────────────────┴──────────┘
//! ```
//!
//! All of it in base64url without padding. What is not sealed is proved together with purpose, name
//! and the cluster's id, none of which is in it. Version 1, which was never released, had the
//! cluster's name instead; it is refused.

use super::ring::{NONCE_BYTES, TAG_BYTES};
use crate::cluster_id::ClusterId;
use base64ct::{Base64UrlUnpadded, Encoding};
use orion::hazardous::aead::xchacha20poly1305::{Nonce, SecretKey, XChaCha20Poly1305};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const VERSION: u8 = 2;
/// A `u32` with postcard.
const KEY_BYTES_MAX: usize = 5;
/// The longest text of a token, in bytes: what browsers take as a cookie, with its attributes.
pub(crate) const TOKEN_BYTES_MAX: usize = 4096;

/// What a token is for. One that was sealed for anything else does not open.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Each part with its length before it.
    about: Vec<u8>,
}

impl Context {
    pub(crate) fn new(purpose: &str, name: &str, cluster: ClusterId) -> Self {
        let mut about = b"holm session ".to_vec();
        for part in [purpose.as_bytes(), name.as_bytes(), &cluster.0] {
            about.extend(u64::try_from(part.len()).expect("it is in memory").to_le_bytes());
            about.extend(part);
        }
        Self { about }
    }

    fn with(&self, head: &[u8]) -> Vec<u8> {
        [head, &self.about].concat()
    }
}

/// What is sealed besides the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inside {
    /// In log time.
    pub(crate) issued: u64,
    pub(crate) life_s: u32,
    pub(crate) subject: Option<Sealed>,
}

/// For whom it was sealed, and under which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sealed {
    pub(crate) subject: [u8; 8],
    pub(crate) epoch: u64,
}

impl Inside {
    /// From when on it is void, in log time.
    pub(crate) const fn expires(&self) -> u64 {
        self.issued.saturating_add(self.life_s as u64 * 1000)
    }
}

/// A key with its number.
pub(crate) type Numbered<'a> = (u32, &'a SecretKey);

/// The text of a token; an error if the state can't be encoded.
pub(crate) fn seal<T: Serialize>(
    (number, key): Numbered<'_>,
    context: &Context,
    inside: Inside,
    state: &T,
    nonce: [u8; NONCE_BYTES],
) -> Result<String, postcard::Error> {
    let mut bytes = Zeroizing::new(vec![VERSION]);
    bytes.extend(postcard::to_stdvec(&number)?);
    let head = bytes.len();
    bytes.extend(nonce);
    let body = bytes.len();
    // Made in its full length at once: a buffer that grows leaves copies behind.
    let plain = Zeroizing::new(postcard::to_stdvec(&(inside, state))?);
    bytes.reserve_exact(plain.len() + TAG_BYTES);
    bytes.extend(&plain[..]);
    let about = context.with(&bytes[..head]);
    let nonce = Nonce::from(nonce);
    let tag = XChaCha20Poly1305::seal_inplace(key, &nonce, Some(&about), &mut bytes[body..])
        .expect("it is shorter than the cipher can seal");
    bytes.extend(tag.unprotected_as_ref());
    Ok(text_of(&bytes))
}

fn text_of(bytes: &[u8]) -> String {
    let mut text = vec![0; Base64UrlUnpadded::encoded_len(bytes)];
    let length = Base64UrlUnpadded::encode(bytes, &mut text).expect("it fits").len();
    text.truncate(length);
    String::from_utf8(text).expect("letters, digits, hyphens and underscores")
}

/// A token that was taken apart, and not opened yet.
pub(crate) struct Envelope {
    bytes: Vec<u8>,
    head: usize,
    /// The number of the key, which is to be proved.
    pub(crate) key: u32,
}

impl Envelope {
    /// Takes a text apart; nothing if it can't be a token.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let mut bytes = vec![0; text.len()];
        let length = Base64UrlUnpadded::decode(text, &mut bytes).ok()?.len();
        bytes.truncate(length);
        let (version, rest) = bytes.split_first()?;
        let (key, rest) = postcard::take_from_bytes::<u32>(rest).ok()?;
        let head = bytes.len() - rest.len();
        // There is one way to write a number, and it is the shortest.
        let shortest = postcard::to_stdvec(&key).ok()?.len() + 1 == head;
        let whole = rest.len() >= NONCE_BYTES + TAG_BYTES && head <= KEY_BYTES_MAX + 1;
        (*version == VERSION && shortest && whole).then_some(Self { bytes, head, key })
    }

    /// What is in it; nothing if anything of it is not as it was sealed.
    pub(crate) fn open<T: DeserializeOwned>(
        mut self,
        key: &SecretKey,
        context: &Context,
    ) -> Option<(Inside, T)> {
        let about = context.with(&self.bytes[..self.head]);
        let (nonce, rest) = self.bytes[self.head..].split_at_mut(NONCE_BYTES);
        let nonce: [u8; NONCE_BYTES] = (*nonce).try_into().expect("it was split there");
        let sealed = rest.len() - TAG_BYTES;
        let mut plain = Zeroizing::new(vec![0; sealed]);
        let nonce = Nonce::from(nonce);
        #[cfg(test)]
        tests::worked(rest.len());
        XChaCha20Poly1305::open(key, &nonce, rest, Some(&about), &mut plain).ok()?;
        let (opened, rest) = postcard::take_from_bytes(&plain).ok()?;
        rest.is_empty().then_some(opened)
    }
}

/// Whatever text comes, it is taken apart (then this says so) or refused; what was taken apart was
/// the only text of its bytes, and nobody sealed it.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_token(text: &str) -> bool {
    let Some(envelope) = Envelope::read(text) else { return false };
    assert_eq!(text_of(&envelope.bytes), text);
    let key = SecretKey::try_from(&[7; 32][..]).expect("a length that ChaCha20 has");
    let opened = envelope
        .open::<Vec<u8>>(&key, &Context::new("fuzz", "fuzz", ClusterId([7; ClusterId::BYTES])));
    assert_eq!(opened, None);
    true
}

#[cfg(test)]
pub(crate) use tests::{sealed_bytes, under_key, work_of};

#[cfg(test)]
mod tests;
