//! Before a member with a damaged log starts: it asks the others for exactly the damaged entries,
//! and takes only what is proved to be what stood there, or what the current leader says is
//! committed. Until then it neither votes nor acknowledges anything. Damage that may cover a hard
//! state is not repaired: whoever may have forgotten its vote counts as one that lost its disk.

use super::{OpenError, peers_of_file, transport_config};
use crate::config::Config;
use crate::digest::digest;
use crate::edges::Edges;
use crate::repair_note::{RepairAsk, RepairOffer, Standing};
use holm_raft_core::{Entry, EntryId, Index, LogStart, MemberId, NodeId};
use holm_transport::{Epoch, Inbound, Transport};
use holm_wal::{Disk, Error, Identity, Options, Proof, Repair, Snapshots, Wal};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// Between two questions to the same member.
const ASK_INTERVAL: Duration = Duration::from_millis(500);
/// The most bytes of entries that are kept of one member's offers.
const OFFERED_BYTES_MAX: u64 = 256 << 20;

/// A transport that is up already, and what arrives on it.
pub(super) type Links = (Transport, mpsc::Receiver<Inbound>);

/// Repairs a damaged log, if others may have what is missing. Waits for as long as that takes: the
/// member is of no use without it.
pub(super) async fn repair(config: &mut Config, edges: &Edges) -> Result<Option<Links>, OpenError> {
    let cluster = digest(config.cluster.as_bytes());
    let is_mine = |found: Identity| found.cluster == cluster && found.member.node.0 == config.node;
    let mut damage = Wal::damage(&*edges.disk);
    if give_up(config, edges, is_mine)? {
        tracing::warn!(
            node = config.node,
            "the log was damaged where the newest snapshot has all that stood there; the log \
             begins behind the snapshot now"
        );
        damage = Wal::damage(&*edges.disk);
    }
    // Whatever else is wrong is named by opening it.
    let Ok(Some(damage)) = damage else { return Ok(None) };
    let identity = damage.identity();
    let others = peers_of_file(config);
    if !is_mine(identity) || others.is_empty() {
        return Ok(None);
    }
    let nodes: Vec<NodeId> = others.iter().map(|peer| peer.node).collect();
    // What is damaged can't say of which epoch it is; what is offered is proved by itself.
    let own = (identity.member, Epoch::NONE_YET);
    let transport = transport_config(config, edges, own, others).await?;
    let mut links = Transport::start(transport)?;
    while let Some(damage) = Wal::damage(&*edges.disk)? {
        let missing = damage.missing();
        tracing::warn!(
            node = config.node,
            first = missing.start().0,
            last = missing.end().0,
            after = %damage.before(),
            "the log is damaged; asking the others for these entries"
        );
        drop(damage);
        fill(config.node, &nodes, missing, &mut links, &*edges.disk).await?;
        tracing::warn!(node = config.node, "the damaged entries were replaced");
    }
    Ok(Some(links))
}

/// Gives up what is damaged where the own newest snapshot covers it: then nobody has to be asked,
/// who may have compacted it away.
fn give_up(
    config: &Config,
    edges: &Edges,
    is_mine: impl FnOnce(Identity) -> bool,
) -> Result<bool, OpenError> {
    let (_, snapshot, _) = Snapshots::open(Arc::clone(&edges.disk))?;
    let Some(snapshot) = snapshot else { return Ok(false) };
    let options = Options { segment_bytes: config.segment_bytes };
    let start = LogStart { id: snapshot.meta.last, time: snapshot.meta.time };
    match Wal::give_up_damage(&edges.disk, options, start, is_mine) {
        // What else is wrong is named by opening it.
        Err(Error::Foreign { .. } | Error::Version { .. } | Error::Missing { .. }) => Ok(false),
        result => Ok(result?),
    }
}

/// What one member has offered so far.
struct Offered {
    standing: Standing,
    before: EntryId,
    entries: Vec<Entry>,
    bytes: u64,
}

/// Asks until somebody has offered all that is missing, and it is taken.
async fn fill(
    node: u64,
    nodes: &[NodeId],
    missing: RangeInclusive<Index>,
    (transport, inbound): &mut Links,
    disk: &dyn Disk,
) -> Result<(), OpenError> {
    let mut ticker = tokio::time::interval(ASK_INTERVAL);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut offers: BTreeMap<MemberId, Offered> = BTreeMap::new();
    let mut empty_handed = BTreeSet::new();
    loop {
        let arrived = tokio::select! {
            biased;
            arrived = inbound.recv() => arrived,
            _ = ticker.tick() => {
                for to in nodes {
                    let known = offers.iter().find(|(member, _)| member.node == *to);
                    let next = known.and_then(|(_, offered)| offered.entries.last());
                    let next = next.map_or(*missing.start(), |entry| entry.id.index.next());
                    // One that is not reached is asked again.
                    let ask = RepairAsk { missing: next..=*missing.end() };
                    let _ = transport.tell(*to, ask.encode());
                }
                continue;
            }
        };
        let Some(Inbound::Note { from, note }) = arrived else { continue };
        // Whatever else members say is for a member that works.
        let Some(offer) = RepairOffer::decode(note) else { continue };
        if offer.entries.is_empty() && empty_handed.insert(from) {
            tracing::warn!(
                node,
                %from,
                "that member has not got the damaged entries, or has compacted them away"
            );
        }
        if !gather(&mut offers, from, offer, &missing) {
            continue;
        }
        let offered = offers.remove(&from).expect("just gathered");
        if take(&offered, disk)? {
            tracing::info!(node, %from, entries = offered.entries.len(), "took what was offered");
            return Ok(());
        }
        tracing::warn!(node, %from, "what was offered is not proved to be what stood there");
    }
}

/// Adds an offer to what that member has offered. Returns whether that is all now.
fn gather(
    offers: &mut BTreeMap<MemberId, Offered>,
    from: MemberId,
    offer: RepairOffer,
    missing: &RangeInclusive<Index>,
) -> bool {
    let Some(first) = offer.entries.first().map(|entry| entry.id.index) else { return false };
    let bytes: u64 = offer.entries.iter().map(Entry::weight).sum();
    if first == *missing.start() {
        let RepairOffer { standing, before, entries } = offer;
        offers.insert(from, Offered { standing, before, entries, bytes });
    } else if let Some(offered) = offers.get_mut(&from) {
        let follows = offered.entries.last().map(|entry| entry.id) == Some(offer.before);
        if !follows || offered.bytes + bytes > OFFERED_BYTES_MAX {
            offers.remove(&from);
            return false;
        }
        if offer.standing == Standing::Held {
            offered.standing = Standing::Held;
        }
        offered.bytes += bytes;
        offered.entries.extend(offer.entries);
    }
    let last = offers.get(&from).and_then(|offered| offered.entries.last());
    last.is_some_and(|entry| entry.id.index == *missing.end())
}

/// Puts what was offered in its place, if that is allowed. Returns whether it was.
fn take(offered: &Offered, disk: &dyn Disk) -> Result<bool, Error> {
    let mut proofs = vec![Proof::Same];
    if offered.standing == Standing::Committed {
        proofs.push(Proof::Committed { before: offered.before });
    }
    for proof in proofs {
        let Some(damage): Option<Repair> = Wal::damage(disk)? else { return Ok(true) };
        match damage.fill(&offered.entries, proof) {
            Ok(()) => return Ok(true),
            Err(Error::Unproven { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
