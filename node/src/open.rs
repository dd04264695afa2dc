//! How a node starts: it recovers what its disk holds, or makes a new log, and starts the driver.

mod recovering;
mod repair;

pub(crate) use recovering::{Held, held, look_for};

use crate::StateMachine;
use crate::config::{Config, Listen, Start, Storage, VerifyLog};
use crate::digest::digest;
use crate::driver::{
    Applying, Calls, Driver, Formation, Gathering, Health, Marks, Membership, Overview, OwnSeat,
    Request, Roster, SnapshotTraffic, Tail, Told, Waiting,
};
use crate::edges::Edges;
use crate::join::JoinError;
use crate::measures::Measures;
use crate::member_info::{MemberInfo, epoch_of};
use crate::members::IncarnationNumber;
use crate::mutation::{Mutation, on};
use crate::own;
use crate::rendezvous::Placement;
use crate::replica::Replica;
use crate::security::Security;
use crate::status::Status;
use crate::topology::{Member, Topology};
use holm_raft_core as raft;
use holm_raft_core::{
    Boot, Configuration, Incarnation, Index, MemberId, NodeId, Partial, Raft, Restored,
};
use holm_transport as transport;
use holm_transport::{Dial, Epoch, Peer, Relaying, Stranger, Transport};
use holm_wal::{Identity, Lasts, Options, Recovered, Snapshot, Snapshots, Wal};
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};

/// Why a node could not be opened. Nothing was changed, but for what the messages say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The settings can't work together.
    #[error("{0}")]
    Config(String),
    /// The log or the snapshots can't be read or made.
    #[error(transparent)]
    Log(#[from] holm_wal::Error),
    /// The storage holds something else than it is opened for.
    #[error("{0}")]
    Storage(String),
    /// The address for the other members can't be bound.
    #[error("listening on {address} failed ({source}); is another node running there?")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The transport refused its settings.
    #[error(transparent)]
    Transport(#[from] transport::Error),
}

/// How many sums tell the core what the recovered log weighs; it keeps as many of them as it needs.
const WEIGHTS_MAX: usize = 4096;

/// What a storage held.
struct Found {
    wal: Wal,
    snapshots: Snapshots,
    recovered: Option<Recovered>,
    snapshot: Option<Snapshot>,
    /// What had arrived of a leader's snapshot.
    receiving: Option<Partial>,
}

pub(crate) fn edges(storage: &Storage) -> Result<Edges, OpenError> {
    match storage {
        Storage::Disk(path) => Ok(Edges::in_directory(path)?),
        Storage::Memory => Ok(Edges::in_memory()),
    }
}

/// What a handle to a node needs of the driver that was started.
pub(crate) struct Opened<S: StateMachine> {
    pub(crate) driver: Driver<S>,
    pub(crate) requests: mpsc::Sender<Request<S>>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) placement: watch::Receiver<Placement>,
    pub(crate) led: Arc<Notify>,
    pub(crate) own: Arc<own::Shared>,
    pub(crate) strangers: mpsc::Receiver<Stranger>,
}

pub(crate) async fn open<S: StateMachine>(
    mut config: Config,
    edges: Edges,
    state: S,
) -> Result<Opened<S>, OpenError> {
    config.check().map_err(OpenError::Config)?;
    let (found, repaired) = recovered(&mut config, &edges).await?;
    let member = found.wal.identity().member;
    let boot = Boot(edges.entropy.draw());
    let raft = core(&config, member, boot, edges.entropy.draw(), &found)?;
    let epoch = epoch_of(raft.configuration());
    let own = own::Shared::new(Arc::clone(&edges.clock), &config.cluster, epoch);
    let own = Arc::new(own);
    if let Some(ring) = config.session_secrets() {
        own.use_secrets(ring.clone());
    }
    own.starts_on(restored(&found)?.last);
    let mut replica = Replica::new(state, Arc::clone(&own));
    let applied = restore(&mut replica, found.snapshot.as_ref())?;
    let ((transport, inbound), roster) = match repaired {
        // It knows the members of the file.
        Some(links) => (links, Roster::default()),
        None => linked(&mut config, &edges, member, raft.configuration()).await?,
    };
    say(&config, member, raft.configuration());
    let strangers = transport.hear_strangers();
    let (requests, inbox) = mpsc::channel(config.inbox_requests_max);
    let (status, watched) = watch::channel(Status::default());
    let (placement, placed) = watch::channel(Placement::default());
    let led = Arc::new(Notify::new());
    let formation = Formation::new(config.start, raft.configuration());
    let (clock, measures) = (Arc::clone(&edges.clock), Arc::<Measures>::default());
    let applying = Applying::start(replica, applied, clock, Arc::clone(&measures));
    let driver = Driver {
        config,
        edges,
        me: member,
        boot,
        raft,
        wal: found.wal,
        tail: Tail::default(),
        snapshots: SnapshotTraffic::new(found.snapshots, found.snapshot),
        applying,
        marks: Marks::new(Arc::clone(&own)),
        transport,
        inbound,
        requests: inbox,
        disk_events: mpsc::unbounded_channel(),
        held: VecDeque::new(),
        acknowledged: raft::WriteNumber(0),
        health: Health::default(),
        waiting: Waiting::default(),
        gathering: Gathering::default(),
        calls: Calls::default(),
        formation,
        membership: Membership::default(),
        overview: Overview::default(),
        roster,
        seat: OwnSeat::default(),
        placement,
        status,
        led: Arc::clone(&led),
        measures,
        ticks: 0,
        told: Told::default(),
        parting: None,
    };
    driver.publish(None);
    Ok(Opened { driver, requests, status: watched, placement: placed, led, own, strangers })
}

/// What the storage holds, after a repair where it was damaged, whose links go on then.
async fn recovered(
    config: &mut Config,
    edges: &Edges,
) -> Result<(Found, Option<repair::Links>), OpenError> {
    match find(config, edges) {
        // Nothing was changed. Only now the whole log is read for what is wrong with it.
        Err(OpenError::Log(holm_wal::Error::Damaged { .. })) => {
            let links = repair::repair(config, edges).await?;
            Ok((find(config, edges)?, links))
        }
        found => Ok((found?, None)),
    }
}

/// Who an empty storage's member is to be: its incarnation is drawn here, at the first call.
pub(crate) fn identity(config: &Config, edges: &Edges) -> Result<MemberId, JoinError> {
    let found = find(config, edges)?;
    let member = found.wal.identity().member;
    if found.snapshot.is_some() || !restored(&found)?.configurations.is_empty() {
        return Err(JoinError::Formed { node: member.node.0 });
    }
    Ok(member)
}

/// Makes the state what the snapshot holds, if there is one; says up to where that is.
fn restore<S: StateMachine>(
    replica: &mut Replica<S>,
    snapshot: Option<&Snapshot>,
) -> Result<Index, OpenError> {
    let Some(snapshot) = snapshot else { return Ok(Index(0)) };
    let last = snapshot.meta.last.index;
    let restored = replica.restore(&snapshot.data, last, snapshot.meta.time);
    restored.map_err(|error| OpenError::Storage(error.to_string()))?;
    Ok(last)
}

/// Starts the transport: with the members of the log, if this one is among them. Whoever came later
/// knows better by its file.
async fn linked(
    config: &mut Config,
    edges: &Edges,
    me: MemberId,
    configuration: &Configuration,
) -> Result<(repair::Links, Roster), OpenError> {
    let (peers, roster) = if configuration.contains(me) {
        (peers(config, configuration)?, Roster::following(configuration.clone()))
    } else {
        (peers_of_file(config), Roster::default())
    };
    let own = (me, epoch_of(configuration));
    let links = Transport::start(transport_config(config, edges, own, peers).await?)?;
    Ok((links, roster))
}

/// Opens the storage; where it is empty, draws an incarnation and makes a log for it.
fn find(config: &Config, edges: &Edges) -> Result<Found, OpenError> {
    let options = Options { segment_bytes: config.segment_bytes };
    // The name as it stands in the files of the log.
    let cluster = digest(config.cluster.as_bytes());
    if !Wal::exists(&*edges.disk)? {
        let mut incarnation = Incarnation(edges.entropy.draw());
        let in_memory = edges.disk.lasts() == Lasts::AsLongAsTheProcess;
        if in_memory && on(Mutation::MemoryComesBackAsBefore) {
            incarnation = Incarnation(config.node);
        }
        let member = MemberId::new(NodeId(config.node), incarnation);
        let identity = Identity { cluster, member };
        let mut wal = Wal::create(Arc::clone(&edges.disk), options, identity)?;
        if config.verify_log == VerifyLog::Tail {
            wal.keep_footers();
        }
        let (snapshots, snapshot, receiving) = Snapshots::open(Arc::clone(&edges.disk))?;
        if snapshot.is_some() {
            let what = "this storage holds a snapshot but no log; restore the log, or empty it";
            return Err(OpenError::Storage(what.into()));
        }
        return Ok(Found { wal, snapshots, recovered: None, snapshot, receiving });
    }
    let disk = Arc::clone(&edges.disk);
    let (wal, recovered) = match config.verify_log {
        VerifyLog::All => Wal::open(disk, options)?,
        VerifyLog::Tail => Wal::open_fast(disk, options)?,
    };
    let (snapshots, snapshot, receiving) = Snapshots::open(Arc::clone(&edges.disk))?;
    recovered.check_snapshot(snapshot.as_ref().map(|snapshot| &snapshot.meta))?;
    if recovered.identity.cluster != cluster {
        let what = format!(
            "this storage belongs to another cluster than {}; correct cluster, or choose another \
             data_dir",
            config.cluster
        );
        return Err(OpenError::Storage(what));
    }
    let node = recovered.identity.member.node.0;
    if node != config.node {
        let what = format!(
            "this storage belongs to member {node}, not to member {}; correct node, or choose \
             another data_dir",
            config.node
        );
        return Err(OpenError::Storage(what));
    }
    if let Some(torn) = &recovered.torn {
        tracing::warn!(
            node,
            segment = torn.segment,
            offset = torn.offset,
            "cut off what a crash left behind the last whole record; it was never acknowledged"
        );
    }
    let found = Found { wal, snapshots, recovered: Some(recovered), snapshot, receiving };
    let formed = !restored(&found)?.configurations.is_empty() || found.snapshot.is_some();
    if config.start == Start::Bootstrap && formed {
        let what = format!(
            "this storage holds member {node} of cluster {} already; start without --bootstrap",
            config.cluster
        );
        return Err(OpenError::Storage(what));
    }
    Ok(found)
}

fn core(
    config: &Config,
    member: MemberId,
    boot: Boot,
    seed: u64,
    found: &Found,
) -> Result<Raft, OpenError> {
    let settings = raft::Config {
        election_ticks: config.election_ticks,
        heartbeat_ticks: config.heartbeat_ticks,
        stalled_write_ticks: config.election_ticks.saturating_mul(4),
        snapshot_chunk_bytes: config.snapshot_chunk_bytes,
        // A window of four pieces.
        snapshot_inflight_bytes_max: config.snapshot_chunk_bytes.saturating_mul(4),
        tick_millis: u64::try_from(config.tick.as_millis()).unwrap_or(u64::MAX),
        ..raft::Config::new(member, boot, seed)
    };
    Raft::new(settings, restored(found)?).map_err(|error| OpenError::Config(error.to_string()))
}

fn restored(found: &Found) -> Result<Restored, OpenError> {
    let Some(recovered) = &found.recovered else { return Ok(Restored::default()) };
    let mut configurations = Vec::new();
    for entry in &recovered.configurations {
        let configuration = Configuration::decode(entry.data.clone()).map_err(|error| {
            OpenError::Storage(format!("the configuration at {} is unreadable: {error}", entry.id))
        })?;
        configurations.push((entry.id.index, configuration));
    }
    Ok(Restored {
        hard_state: recovered.hard_state,
        start: recovered.start.id,
        terms: recovered.terms.clone(),
        last: recovered.last.index,
        last_time: recovered.last_time,
        configurations,
        weights: found.wal.weights(WEIGHTS_MAX),
        snapshot: found.snapshot.as_ref().map(|snapshot| snapshot.meta.clone()),
        receiving: found.receiving.clone(),
    })
}

async fn transport_config(
    config: &mut Config,
    edges: &Edges,
    (me, epoch): (MemberId, Epoch),
    peers: Vec<Peer>,
) -> Result<transport::Config, OpenError> {
    let limits = transport::Limits::default();
    let own = config.topology.member(config.node);
    let relaying = if own.is_none_or(|own| own.relay) { Relaying::On } else { Relaying::Off };
    let mut seed = [0; 32];
    for part in seed.chunks_mut(size_of::<u64>()) {
        part.copy_from_slice(&edges.entropy.draw().to_le_bytes());
    }
    Ok(transport::Config {
        cluster: config.cluster.clone(),
        epoch,
        me,
        listener: listener(config, edges).await?,
        network: Arc::clone(&edges.network),
        peers,
        limits: transport::Limits {
            frame_bytes_max: config.frame_bytes_max,
            note_bytes_max: config.note_bytes_max(),
            relay_bytes_per_second: NonZeroU64::new(config.relay_bytes_per_second)
                .unwrap_or(limits.relay_bytes_per_second),
            relay_queue_bytes_max: config.relay_queue_bytes_max,
            snapshot_bytes_per_second: config.snapshot_bytes_per_second.and_then(NonZeroU64::new),
            ..limits
        },
        timing: transport::Timing::default(),
        relaying,
        seed,
        security: security(config),
    })
}

/// How the transport secures links.
pub(crate) fn security(config: &Config) -> transport::Security {
    match config.security.clone() {
        Security::Insecure => transport::Security::Insecure,
        Security::Sealed { pair, ring } => transport::Security::Sealed { pair, ring },
    }
}

async fn listener(
    config: &mut Config,
    edges: &Edges,
) -> Result<Option<transport::Listener>, OpenError> {
    match config.listen.take() {
        None => Ok(None),
        Some(Listen::Bound(listener)) => Ok(Some(listener)),
        Some(Listen::Address(address)) => match edges.network.listen(&address).await {
            Ok(listener) => Ok(Some(listener)),
            Err(source) => Err(OpenError::Listen { address, source }),
        },
    }
}

/// The other members and how to reach them: from the replicated configuration once there is one
/// (the file's links still say who may dial whom), from the file before.
pub(crate) fn peers(
    config: &Config,
    configuration: &Configuration,
) -> Result<Vec<Peer>, OpenError> {
    let mut topology = config.topology.clone();
    if !configuration.is_empty() {
        topology.members = members_of(configuration)?;
        // One that is to leave goes on dialling whom it may until that is committed: it may be all
        // that links it to those who know whether it ever is.
        if topology.member(config.node).is_none() {
            topology.members.extend(config.topology.member(config.node).cloned());
        }
        let wrong = |key| OpenError::Config(format!("by the replicated configuration, {key}"));
        config.security.check(&topology, config.node).map_err(wrong)?;
    }
    Ok(peers_of(config, &topology))
}

/// The other members as the file has them: all that is known before the log can be read.
fn peers_of_file(config: &Config) -> Vec<Peer> {
    peers_of(config, &config.topology)
}

fn peers_of(config: &Config, topology: &Topology) -> Vec<Peer> {
    let others = topology.members.iter().filter(|member| member.id != config.node);
    let peer = |member: &crate::topology::Member| Peer {
        node: NodeId(member.id),
        address: member.address.clone(),
        dial: if topology.may_dial(config.node, member.id) { Dial::Dial } else { Dial::Wait },
        key: member.key,
    };
    others.map(peer).collect()
}

/// The members of the replicated configuration, as a topology has them.
pub(crate) fn members_of(configuration: &Configuration) -> Result<Vec<Member>, OpenError> {
    let member = |(member, _): &(raft::Member, raft::Standing)| {
        let info = MemberInfo::decode(&member.info);
        info.map(|info| info.placed(member.id.node.0))
    };
    let replicated: Result<Vec<_>, _> = configuration.members().map(member).collect();
    replicated.map_err(|unknown| OpenError::Storage(unknown.to_string()))
}

/// Says what a start can't know by its file alone.
fn say(config: &Config, me: MemberId, configuration: &Configuration) {
    let node = config.node;
    if configuration.is_empty() && config.start == Start::Join {
        let incarnation = IncarnationNumber(me.incarnation.0);
        tracing::info!(node, %incarnation, "waiting to be added to the cluster");
    }
    let differ = |members: Vec<Member>| members != config.topology.members;
    if !configuration.is_empty() && members_of(configuration).is_ok_and(differ) {
        tracing::info!(
            node,
            "the members in the file differ from the replicated ones, which count"
        );
    }
}
