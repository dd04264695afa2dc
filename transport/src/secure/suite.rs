//! The primitives that the handshake by Noise (crate `snow`) is made of: `Suite` hands them out,
//! and `NAME` names them. All of them come from here, so none brings a source of entropy of its
//! own.

use crate::keys::{KeyPair, PrivateKey};
use crate::secure::random::Random;
use crate::secure::seal::{Cipher, Key, TAG_BYTES};
use crate::secure::{curve, hash};
use orion::hazardous::hash::blake2::blake2b::Blake2b;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::{Error, types};
use zeroize::Zeroizing;

/// What Noise calls this choice (§8).
pub(super) const NAME: &str = "Noise_XXpsk0_25519_AESGCM_BLAKE2b";

/// For one handshake of the member that has this key.
pub(super) struct Suite {
    pair: KeyPair,
    seed: Zeroizing<[u8; 32]>,
}

impl Suite {
    pub(super) fn new(pair: &KeyPair, random: &mut Random) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(&mut seed[..]);
        Self { pair: pair.clone(), seed }
    }
}

impl CryptoResolver for Suite {
    fn resolve_rng(&self) -> Option<Box<dyn types::Random>> {
        // Asked once a handshake; asked again, it would give the same bytes again.
        Some(Box::new(Random::new(self.seed.clone())))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn types::Dh>> {
        let chosen = *choice == DHChoice::Curve25519;
        chosen.then(|| Box::new(X25519 { pair: self.pair.clone() }) as Box<dyn types::Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn types::Hash>> {
        let chosen = *choice == HashChoice::Blake2b;
        chosen.then(|| Box::new(Hash(fresh())) as Box<dyn types::Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn types::Cipher>> {
        let chosen = *choice == CipherChoice::AESGCM;
        chosen.then(|| Box::new(AesGcm(Cipher::new(&[0; 32]))) as Box<dyn types::Cipher>)
    }
}

impl types::Random for Random {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        self.fill(out);
        Ok(())
    }
}

/// Begins as the member's own key, whose public part is known: `set` with that key, which is all
/// that a responder does before it has seen the secret, costs nothing.
struct X25519 {
    pair: KeyPair,
}

impl types::Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, private: &[u8]) {
        if private != &self.pair.private().bytes()[..] {
            let private: Key = private.try_into().expect("32 bytes");
            self.pair = KeyPair::of(PrivateKey::from(private));
        }
    }

    fn generate(&mut self, random: &mut dyn types::Random) -> Result<(), Error> {
        let mut private = Zeroizing::new([0; 32]);
        random.try_fill_bytes(&mut private[..])?;
        self.pair = KeyPair::of(PrivateKey::from(*private));
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.pair.public_bytes()
    }

    fn privkey(&self) -> &[u8] {
        &self.pair.private().bytes()[..]
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let public = public.first_chunk().ok_or(Error::Dh)?;
        let common = curve::agree(self.pair.private().bytes(), public).ok_or(Error::Dh)?;
        out[..32].copy_from_slice(&common[..]);
        Ok(())
    }
}

struct Hash(Blake2b);

fn fresh() -> Blake2b {
    Blake2b::new(hash::HASH_BYTES).expect("a length that BLAKE2b has")
}

impl types::Hash for Hash {
    fn name(&self) -> &'static str {
        "BLAKE2b"
    }

    fn block_len(&self) -> usize {
        128
    }

    fn hash_len(&self) -> usize {
        hash::HASH_BYTES
    }

    fn reset(&mut self) {
        self.0 = fresh();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data).expect("not finished yet");
    }

    fn result(&mut self, out: &mut [u8]) {
        let hash = self.0.finalize().expect("not finished yet");
        out[..hash::HASH_BYTES].copy_from_slice(hash.as_ref());
    }
}

struct AesGcm(Cipher);

impl types::Cipher for AesGcm {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &Key) {
        self.0 = Cipher::new(key);
    }

    fn encrypt(&self, number: u64, clear: &[u8], text: &[u8], out: &mut [u8]) -> usize {
        let length = text.len();
        out[..length].copy_from_slice(text);
        let tag = self.0.seal(number, clear, &mut out[..length]);
        out[length..length + TAG_BYTES].copy_from_slice(&tag);
        length + TAG_BYTES
    }

    fn decrypt(
        &self,
        number: u64,
        clear: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let (text, tag) = sealed.split_last_chunk().ok_or(Error::Decrypt)?;
        let out = out.get_mut(..text.len()).ok_or(Error::Decrypt)?;
        out.copy_from_slice(text);
        self.0.open(number, clear, out, tag).map_err(|_| Error::Decrypt)?;
        Ok(text.len())
    }
}
