//! The bytes of the handshake that are Holm's own: the clear part of the first message (`Head`),
//! the prologue that binds it, and the `Introduction` that the second and the third carry sealed.

use super::{MESSAGE_BYTES_MAX, Party, Refused, Why};
use crate::epoch::Epoch;
use crate::keys::{Secret, SecretId};
use crate::secure::hash;
use crate::secure::random::Random;
use crate::stranger::ANYBODY;
use bytes::{Buf, BufMut};
use holm_raft_core::{Incarnation, NodeId};

/// What the handshake's key is derived from the secret for.
pub(super) const PSK_PURPOSE: &str = "transport handshake";

/// How the messages of a handshake travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// On a connection of the two, whose responder has sent this challenge.
    Direct(Challenge),
    /// In frames, through other members.
    Relayed,
}

/// What a responder sends first on a direct connection, drawn anew for each: it makes the first
/// message of one connection useless on any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Challenge(pub(crate) [u8; Self::BYTES]);

impl Challenge {
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn draw(random: &mut Random) -> Self {
        let mut bytes = [0; Self::BYTES];
        random.fill(&mut bytes);
        Self(bytes)
    }
}

/// The clear part of the first message.
///
/// ```text
///  0            8             10       11    12           20            28       36      44     52
/// ┌────────────┬─────────────┬────────┬─────┬────────────┬─────────────┬────────┬───────┬──────┐
/// │ "holmseal" │ version     │ via u8 │ 0   │ features   │ cluster tag │ secret │ from  │ to   │
/// │            │ u16 = 1     │ 1 or 2 │ u8  │ u64        │ 8           │ id 8   │ u64   │ u64  │
/// └────────────┴─────────────┴────────┴─────┴────────────┴─────────────┴────────┴───────┴──────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) via: Way,
    pub(super) features: u64,
    pub(super) cluster: [u8; 8],
    pub(super) secret: SecretId,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
}

const MAGIC: &[u8; 8] = b"holmseal";
const VERSION: u16 = 1;
pub(super) const HEAD_BYTES: usize = 52;
/// What follows the clear part: an ephemeral key, and the tag that proves the secret.
const SEALED_BYTES: usize = 32 + 16;

/// How a message travels, without what is particular to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Direct = 1,
    Relayed = 2,
}

impl From<Via> for Way {
    fn from(via: Via) -> Self {
        match via {
            Via::Direct(_) => Self::Direct,
            Via::Relayed => Self::Relayed,
        }
    }
}

impl Head {
    pub(super) fn bytes(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        let mut out = &mut bytes[..];
        out.put_slice(MAGIC);
        out.put_u16_le(VERSION);
        out.put_u8(self.via as u8);
        out.put_u8(0);
        out.put_u64_le(self.features);
        out.put_slice(&self.cluster);
        out.put_slice(&self.secret.0);
        out.put_u64_le(self.from.0);
        out.put_u64_le(self.to.0);
        assert!(out.is_empty(), "the clear part has {HEAD_BYTES} bytes");
        bytes
    }

    /// The clear part, its bytes, and those that follow it.
    pub(super) fn take(first: &[u8]) -> Result<(Self, &[u8; HEAD_BYTES], &[u8]), Refused> {
        let garbage = |detail: &str| Refused::new(Why::Garbage, detail);
        let mut rest = first;
        if first.len() < MAGIC.len() + 2 || rest.copy_to_bytes(MAGIC.len()) != MAGIC[..] {
            return Err(garbage("its first message is none of Holm's; check the address and port"));
        }
        let version = rest.get_u16_le();
        if version != VERSION {
            let detail = format!(
                "its handshake has version {version}, this build's {VERSION}; run builds of one \
                 version, or two neighbouring ones"
            );
            return Err(Refused::new(Why::Version, detail));
        }
        if first.len() != HEAD_BYTES + SEALED_BYTES {
            return Err(garbage("its first message is too short or too long for its version"));
        }
        let via = match (rest.get_u8(), rest.get_u8()) {
            (1, 0) => Way::Direct,
            (2, 0) => Way::Relayed,
            _ => return Err(garbage("its first message has a flag that this version has not")),
        };
        let features = rest.get_u64_le();
        let mut eight = [[0; 8]; 2];
        eight.iter_mut().for_each(|bytes| rest.copy_to_slice(bytes));
        let [cluster, secret] = eight;
        let (from, to) = (NodeId(rest.get_u64_le()), NodeId(rest.get_u64_le()));
        let (clear, sealed) = first.split_first_chunk().expect("its length was checked");
        let secret = SecretId(secret);
        Ok((Self { via, features, cluster, secret, from, to }, clear, sealed))
    }

    /// Judges what can be judged without the secret, and finds it.
    pub(super) fn check<'a>(
        &self,
        party: &'a Party,
        via: Via,
        own: NodeId,
    ) -> Result<&'a Secret, Refused> {
        if self.via != Way::from(via) {
            let detail = "its first message was made for another way: one for a direct \
                          connection came through a relay, or the reverse";
            return Err(Refused::new(Why::Garbage, detail));
        }
        if self.cluster != cluster_tag(&party.cluster) {
            let detail = format!(
                "member {} belongs to another cluster than {:?}; check the cluster's name and \
                 the addresses on both sides",
                self.from, party.cluster
            );
            return Err(Refused::new(Why::Cluster, detail));
        }
        let Some(secret) = party.ring.find(self.secret) else {
            let ids: Vec<String> = party.ring.ids().map(|id| id.to_string()).collect();
            let detail = format!(
                "member {} uses secret {}, this member has {}; add it to this member's ring, or \
                 one of these to the other's",
                self.from,
                self.secret,
                ids.join(", ")
            );
            return Err(Refused::new(Why::Secret, detail));
        };
        // Whoever is no member yet may not know who it has reached.
        let stranger = self.to == ANYBODY && self.via == Way::Direct;
        if self.to != own && !stranger {
            let detail = format!(
                "member {} wanted member {} and found {own}; check the addresses",
                self.from, self.to
            );
            return Err(Refused::new(Why::Destination, detail));
        }
        if self.from == own {
            let detail =
                format!("it calls itself member {own}, which is this one; number them differently");
            return Err(Refused::new(Why::Introduction, detail));
        }
        Ok(secret)
    }
}

/// What both sides must have seen alike: the clear part, the challenge and the cluster's name.
pub(super) fn prologue(clear: &[u8; HEAD_BYTES], via: Via, cluster: &str) -> Vec<u8> {
    let challenge = match via {
        Via::Direct(challenge) => challenge.0,
        Via::Relayed => [0; Challenge::BYTES],
    };
    // Only the last part has no fixed length, so nothing can be shifted from one to another.
    [&clear[..], &challenge, cluster.as_bytes()].concat()
}

/// Tells clusters apart before anything is decrypted.
pub(super) fn cluster_tag(cluster: &str) -> [u8; 8] {
    let hash = hash::of(&[b"holm cluster", cluster.as_bytes()]);
    hash[..8].try_into().expect("eight of 64")
}

/// What a side says of itself, sealed.
///
/// ```text
///  0        1           8        16            24      32         40              48
/// ┌────────┬───────────┬────────┬─────────────┬───────┬──────────┬───────────────┬─────────────┐
/// │ form   │ 0         │ node   │ incarnation │ start │ features │ epoch of      │ passed over │
/// │ u8 = 1 │ 7         │ u64    │ u64         │ u64   │ u64      │ recovery u64  │ 0 to 104    │
/// └────────┴───────────┴────────┴─────────────┴───────┴──────────┴───────────────┴─────────────┘
/// ```
/// The zeros and all from 48 on are not judged: a later version may say more there, and is
/// understood by this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// Its id.
    pub(crate) node: NodeId,
    /// Which of this id's data directories speaks.
    pub(crate) incarnation: Incarnation,
    /// Names the start of its transport.
    pub(crate) start: u64,
    /// Which recovery of the cluster it belongs to.
    pub(crate) epoch: Epoch,
}

const FORM: u8 = 1;
pub(super) const INTRODUCTION_BYTES: usize = 48;

impl Introduction {
    pub(super) fn payload(&self, features: u64) -> [u8; INTRODUCTION_BYTES] {
        let mut bytes = [0; INTRODUCTION_BYTES];
        let mut out = &mut bytes[..];
        out.put_u8(FORM);
        out.put_bytes(0, 7);
        out.put_u64_le(self.node.0);
        out.put_u64_le(self.incarnation.0);
        out.put_u64_le(self.start);
        out.put_u64_le(features);
        out.put_u64_le(self.epoch.0);
        bytes
    }

    /// The introduction, and the features that stand with it.
    pub(super) fn take(mut payload: &[u8]) -> Result<(Self, u64), Refused> {
        if payload.len() < INTRODUCTION_BYTES {
            let detail = format!(
                "its introduction has {} bytes, at least {INTRODUCTION_BYTES} are needed; it does \
                 not follow the protocol",
                payload.len()
            );
            return Err(Refused::new(Why::Introduction, detail));
        }
        let form = payload.get_u8();
        if form != FORM {
            let detail = format!(
                "its introduction has form {form}, this build knows {FORM}; run builds of one \
                 version, or two neighbouring ones"
            );
            return Err(Refused::new(Why::Introduction, detail));
        }
        payload.advance(7);
        let node = NodeId(payload.get_u64_le());
        let incarnation = Incarnation(payload.get_u64_le());
        let start = payload.get_u64_le();
        let features = payload.get_u64_le();
        let epoch = Epoch(payload.get_u64_le());
        Ok((Self { node, incarnation, start, epoch }, features))
    }
}

// The second message is the longest: an ephemeral key, a static one and its tag, a payload and its.
const _: () = assert!(32 + 32 + 16 + INTRODUCTION_BYTES + 16 <= MESSAGE_BYTES_MAX);
const _: () = assert!(HEAD_BYTES + SEALED_BYTES <= MESSAGE_BYTES_MAX);
