//! How the storage of a member is looked at that is not started: what it `Held`, and who of the
//! others can be reached from here.

use super::{Found, OpenError, core, find, peers, transport_config};
use crate::config::Config;
use crate::edges::Edges;
use crate::member_info::epoch_of;
use holm_raft_core::{Boot, Configuration, HardState, LogTime, MemberId};
use holm_transport::{Inbound, Transport};
use holm_wal::Wal;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What a member's storage holds, of what it needs to go on.
pub(crate) struct Held {
    pub(crate) wal: Wal,
    pub(crate) hard_state: HardState,
    pub(crate) last_time: LogTime,
    /// The newest of its log, committed or not.
    pub(crate) configuration: Configuration,
}

/// Opens the log as a start does; nothing if there is none.
pub(crate) fn held(config: &Config, edges: &Edges) -> Result<Option<Held>, OpenError> {
    config.check().map_err(OpenError::Config)?;
    if !Wal::exists(&*edges.disk)? {
        return Ok(None);
    }
    let found: Found = find(config, edges)?;
    let member = found.wal.identity().member;
    let raft = core(config, member, Boot(0), 0, &found)?;
    let configuration = raft.configuration().clone();
    let Found { wal, recovered, .. } = found;
    let held = recovered.map(|recovered| Held {
        wal,
        hard_state: recovered.hard_state,
        last_time: recovered.last_time,
        configuration,
    });
    Ok(held)
}

/// Connects to the others as this member does, and says nothing: who is reached until they are
/// enough, or time is up.
pub(crate) async fn look_for(
    config: &mut Config,
    edges: &Edges,
    me: MemberId,
    configuration: &Configuration,
    patience: Duration,
    enough: impl Fn(&BTreeSet<MemberId>) -> bool,
) -> Result<BTreeSet<MemberId>, OpenError> {
    let peers = peers(config, configuration)?;
    let started = transport_config(config, edges, (me, epoch_of(configuration)), peers).await?;
    let (transport, mut inbound) = Transport::start(started)?;
    let (mut reached, end) = (BTreeSet::new(), Instant::now() + patience);
    while !enough(&reached) {
        let next = tokio::select! {
            biased;
            next = inbound.recv() => next,
            () = sleep_until(end) => None,
        };
        match next {
            Some(Inbound::Up { peer }) => {
                reached.insert(peer);
            }
            Some(Inbound::Down { peer }) => {
                reached.remove(&peer);
            }
            Some(_) => {}
            None => break,
        }
    }
    transport.shutdown().await;
    Ok(reached)
}
