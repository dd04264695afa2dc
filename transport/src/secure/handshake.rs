//! The handshake: `Initiator` and `Responder` exchange three messages, and each ends with
//! `Established`, or with `Refused` and why. It is Noise's XXpsk0 (`docs/wire-format.md` has the
//! bytes), driven by whoever has the socket: messages go in and come out, nothing waits.
//!
//! ```text
//! initiator                            responder
//! begin  ── first: clear part, psk, e ──→ accept   no exchange of keys before the secret is shown
//! finish ←─ second: e, ee, s, es ──────── accept
//! finish ── third: s, se ───────────────→ finish
//! ```
//! On a direct connection the responder sends a [`Challenge`] before all that, so that a first
//! message is good for that connection alone. Through relays, where it would cost a round trip,
//! there is none: there a recorded first message costs an exchange of keys, and establishes
//! nothing.
//!
//! The initiator is done before it knows that the responder is: what arrives and opens under the
//! keys is the proof. Whether a static key is that of the member who shows it is for the caller to
//! judge, by [`Established::key`], before anything else is believed.

#[cfg(test)]
mod tests;
mod wire;

pub(crate) use wire::{Challenge, Introduction, Via};

use crate::keys::{KeyPair, KeyRing, PublicKey};
use crate::secure::random::Random;
use crate::secure::seal::{Open, Seal};
use crate::secure::suite::{self, Suite};
use crate::stranger::ANYBODY;
use bytes::Bytes;
use holm_raft_core::NodeId;
use snow::params::NoiseParams;
use snow::{Builder, HandshakeState};
use std::fmt;
use wire::Head;
use zeroize::Zeroizing;

/// The longest message of a handshake, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256;

/// What this member brings to each of its handshakes.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// What it can do, a bit each. What both can do holds.
    pub(crate) features: u64,
    /// The secrets that are valid.
    pub(crate) ring: KeyRing,
    /// Its own key.
    pub(crate) pair: KeyPair,
}

/// What a handshake ends with.
pub(crate) struct Established {
    /// What the peer says of itself.
    pub(crate) introduction: Introduction,
    /// The key that it has shown to hold.
    pub(crate) key: PublicKey,
    /// What both sides can do.
    pub(crate) features: u64,
    /// Seals what is sent to it.
    pub(crate) seal: Seal,
    /// Opens what it sends.
    pub(crate) open: Open,
}

/// Redacted: it holds the keys.
impl fmt::Debug for Established {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { introduction, key, features, .. } = self;
        write!(f, "Established({introduction:?}, {key}, {features:#x}, ..)")
    }
}

/// Why a message of a handshake is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Refused {
    /// The reason.
    pub(crate) why: Why,
    /// What is wrong, and how it is mended.
    pub(crate) detail: String,
}

/// The reasons, in the order in which they are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// It is no message of a handshake, or was altered.
    Garbage,
    /// It is of another version of the handshake.
    Version,
    /// It comes from another cluster.
    Cluster,
    /// Its secret is not valid here, or it does not prove it.
    Secret,
    /// It is meant for another member.
    Destination,
    /// Who it comes from contradicts itself.
    Introduction,
}

impl Refused {
    fn new(why: Why, detail: impl Into<String>) -> Self {
        Self { why, detail: detail.into() }
    }
}

/// The side that begins; it waits for the second message.
pub(crate) struct Initiator {
    noise: HandshakeState,
    own: Introduction,
    features: u64,
    to: NodeId,
}

impl Initiator {
    /// Begins a handshake of `own` with `to`, and gives the first message.
    pub(crate) fn begin(
        party: &Party,
        via: Via,
        own: Introduction,
        to: NodeId,
        random: &mut Random,
    ) -> (Self, Bytes) {
        let secret = party.ring.first();
        let head = Head {
            via: via.into(),
            features: party.features,
            cluster: wire::cluster_tag(&party.cluster),
            secret: secret.id(),
            from: own.node,
            to,
        };
        let clear = head.bytes();
        let psk = secret.derive(wire::PSK_PURPOSE);
        let prologue = wire::prologue(&clear, via, &party.cluster);
        let mut noise = builder(party, &psk, &prologue, random)
            .build_initiator()
            .expect("all it takes has been given");
        let mut first = clear.to_vec();
        first.extend_from_slice(&written(&mut noise, &[]));
        (Self { noise, own, features: party.features, to }, first.into())
    }

    /// Takes the second message, and gives the third.
    pub(crate) fn finish(mut self, second: &[u8]) -> Result<(Bytes, Established), Refused> {
        let payload = read(&mut self.noise, second, "second")?;
        let (introduction, features) = Introduction::take(&payload)?;
        if introduction.node != self.to && self.to != ANYBODY {
            let detail = format!(
                "member {} answered where member {} was called; check the addresses",
                introduction.node, self.to
            );
            return Err(Refused::new(Why::Introduction, detail));
        }
        let third = written(&mut self.noise, &self.own.payload(self.features));
        let common = self.features & features;
        Ok((third.into(), established(self.noise, introduction, common)))
    }
}

/// The side that answers; it waits for the third message.
pub(crate) struct Responder {
    noise: HandshakeState,
    features: u64,
    from: NodeId,
    to: NodeId,
}

impl Responder {
    /// Takes the first message as `own`, and gives the second. Costs an exchange of keys only
    /// after the first one has proved that its sender holds a valid secret.
    pub(crate) fn accept(
        party: &Party,
        via: Via,
        own: Introduction,
        first: &[u8],
        random: &mut Random,
    ) -> Result<(Self, Bytes), Refused> {
        let (head, clear, sealed) = Head::take(first)?;
        let secret = head.check(party, via, own.node)?;
        let psk = secret.derive(wire::PSK_PURPOSE);
        let prologue = wire::prologue(clear, via, &party.cluster);
        let mut noise = builder(party, &psk, &prologue, random)
            .build_responder()
            .expect("all it takes has been given");
        let mut nothing = [0; MESSAGE_BYTES_MAX];
        noise.read_message(sealed, &mut nothing).map_err(|_| {
            let detail = format!(
                "it does not prove to hold secret {} on this connection: its first message is \
                 forged, altered or recorded; give both members the same secret",
                head.secret
            );
            Refused::new(Why::Secret, detail)
        })?;
        let second = answered(&mut noise, &own.payload(party.features))?;
        let (features, from, to) = (party.features, head.from, head.to);
        Ok((Self { noise, features, from, to }, second.into()))
    }

    /// Whom the initiator has called: this member, or anybody.
    pub(crate) const fn called(&self) -> NodeId {
        self.to
    }

    /// Takes the third message.
    pub(crate) fn finish(mut self, third: &[u8]) -> Result<Established, Refused> {
        let payload = read(&mut self.noise, third, "third")?;
        let (introduction, features) = Introduction::take(&payload)?;
        if introduction.node != self.from {
            let detail = format!(
                "it called as member {} and introduces itself as member {}; it does not follow \
                 the protocol",
                self.from, introduction.node
            );
            return Err(Refused::new(Why::Introduction, detail));
        }
        let common = self.features & features;
        Ok(established(self.noise, introduction, common))
    }
}

fn builder<'a>(
    party: &'a Party,
    psk: &'a [u8; 32],
    prologue: &'a [u8],
    random: &mut Random,
) -> Builder<'a> {
    let params: NoiseParams = suite::NAME.parse().expect("a name that Noise has");
    Builder::with_resolver(params, Box::new(Suite::new(&party.pair, random)))
        .local_private_key(&party.pair.private().bytes()[..])
        .and_then(|builder| builder.psk(0, psk))
        .and_then(|builder| builder.prologue(prologue))
        .expect("each is given once")
}

/// A message that this side writes where nothing of the peer's can make it fail.
fn written(noise: &mut HandshakeState, payload: &[u8]) -> Vec<u8> {
    answered(noise, payload).expect("it fits, and the peer's keys have been used before")
}

/// A message that may fail, by a key of the peer's that is none.
fn answered(noise: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut room = [0; MESSAGE_BYTES_MAX];
    match noise.write_message(payload, &mut room) {
        Ok(length) => Ok(room[..length].to_vec()),
        Err(_) => {
            let detail = "a key in its first message is none; it does not follow Noise";
            Err(Refused::new(Why::Garbage, detail))
        }
    }
}

fn read(noise: &mut HandshakeState, message: &[u8], which: &str) -> Result<Vec<u8>, Refused> {
    if message.len() > MESSAGE_BYTES_MAX {
        let detail = format!(
            "its {which} message has {} bytes, at most {MESSAGE_BYTES_MAX} are taken",
            message.len()
        );
        return Err(Refused::new(Why::Garbage, detail));
    }
    let mut room = [0; MESSAGE_BYTES_MAX];
    match noise.read_message(message, &mut room) {
        Ok(length) => Ok(room[..length].to_vec()),
        Err(error) => {
            let detail = if error == snow::Error::Dh {
                format!("a key in its {which} message is none; it does not follow Noise")
            } else {
                format!("its {which} message is no answer to this handshake, or was altered")
            };
            Err(Refused::new(Why::Garbage, detail))
        }
    }
}

fn established(
    mut noise: HandshakeState,
    introduction: Introduction,
    features: u64,
) -> Established {
    let key = noise.get_remote_static().and_then(|key| key.try_into().ok());
    let key = PublicKey(key.expect("the pattern has shown it"));
    let (forth, back) = noise.dangerously_get_raw_split();
    let (forth, back) = (Zeroizing::new(forth), Zeroizing::new(back));
    let (seal, open) = if noise.is_initiator() { (&forth, &back) } else { (&back, &forth) };
    Established { introduction, key, features, seal: Seal::new(seal), open: Open::new(open) }
}
