//! [`restore`]: a new cluster of a backup. Each of its members gets a storage that holds the
//! backup's state, a new incarnation, and a configuration of these members alone; no member of the
//! old cluster is one of the new, whatever it is called.

use crate::backup::Backup;
use crate::config::Config;
use crate::digest::digest;
use crate::driver::run_job;
use crate::edges::Edges;
use crate::member_info::{MemberInfo, epoch_of, next_epoch};
use crate::topology::Member;
use holm_raft_core::{
    Configuration, HardState, Incarnation, LogStart, MemberId, NodeId, SnapshotMeta,
};
use holm_wal::{Batch, Identity, Options, Snapshot, Snapshots, Wal};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// Why a cluster was not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The backup is of another cluster than was said. Nothing was changed.
    #[error(
        "the backup is of cluster {found:?}, not of {expected:?}; name another file, or say \
             that {found:?} is meant"
    )]
    Cluster {
        /// Of which it is.
        found: String,
        /// Of which it was to be.
        expected: String,
    },
    /// The members can't be those of one cluster. Nothing was changed.
    #[error("{0}")]
    Members(String),
    /// A member's storage holds something. Nothing was changed.
    #[error("the storage of member {node} is not empty; a cluster is restored on empty ones alone")]
    NotEmpty {
        /// Whose.
        node: u64,
    },
    /// A storage can't be written. Those of the members before this one are complete, but nothing
    /// of them may be started: empty all, and try again.
    #[error("restoring member {node} failed ({error}); empty the storages of all, and try again")]
    Storage {
        /// Whose.
        node: u64,
        /// What the disk or the log said.
        error: holm_wal::Error,
    },
}

/// What was made of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The new cluster's name.
    pub cluster: String,
    /// The members that it has, all of them voters.
    pub members: Vec<u64>,
    /// Those of the topology for which no storage was given: they can be added once it runs.
    pub left_out: Vec<u64>,
}

/// Makes a new cluster of a backup of the cluster called `of`: on the storage of each of these
/// members, which must all be empty, and be opened with [`Start::Join`](crate::Start::Join)
/// afterwards. The members' addresses, islands and keys come from the topology of their configs.
///
/// All is checked before anything is written; what is written is durable on return. Dropping the
/// future leaves storages that are complete or not, to be emptied.
///
/// # Errors
/// As [`RestoreError`] says.
pub async fn restore(
    backup: &Backup,
    of: &str,
    members: &[(Config, Edges)],
) -> Result<Restored, RestoreError> {
    if backup.cluster() != of {
        let (found, expected) = (backup.cluster().to_owned(), of.to_owned());
        return Err(RestoreError::Cluster { found, expected });
    }
    let first = check(members)?;
    for (config, edges) in members {
        let failed = |error| RestoreError::Storage { node: config.node, error };
        if !is_empty(edges).map_err(failed)? {
            return Err(RestoreError::NotEmpty { node: config.node });
        }
    }
    let drawn = members.first().map_or(0, |(_, edges)| edges.entropy.draw());
    let epoch = next_epoch(epoch_of(&backup.meta().configuration), drawn);
    let named = |(config, edges): &(Config, Edges)| {
        let id = MemberId::new(NodeId(config.node), Incarnation(edges.entropy.draw()));
        let member = config.topology.member(config.node).expect("checked above");
        let info = MemberInfo { epoch: epoch.0, ..MemberInfo::from(member) };
        holm_raft_core::Member { id, info: info.encode() }
    };
    let configuration = Configuration::new(members.iter().map(named));
    let last = backup.meta().last;
    let meta = SnapshotMeta {
        last,
        time: backup.meta().time,
        configuration: configuration.clone(),
        configuration_index: last.index,
    };
    for (config, edges) in members {
        let failed = |error| RestoreError::Storage { node: config.node, error };
        let own = configuration.member(NodeId(config.node)).expect("it was put there").id;
        write(backup, &meta, own, (config, edges)).await.map_err(failed)?;
    }
    let ids: Vec<u64> = members.iter().map(|(config, _)| config.node).collect();
    let others = first.topology.members.iter().map(|member: &Member| member.id);
    let left_out = others.filter(|id| !ids.contains(id)).collect();
    Ok(Restored { cluster: first.cluster.clone(), members: ids, left_out })
}

/// Whether these can be the members of one cluster; the first of them.
fn check(members: &[(Config, Edges)]) -> Result<&Config, RestoreError> {
    let wrong = |what: String| Err(RestoreError::Members(what));
    let Some((first, _)) = members.first() else {
        return wrong("a cluster has at least one member; name the configuration of each".into());
    };
    let mut ids = BTreeSet::new();
    for (config, _) in members {
        config.check().map_err(RestoreError::Members)?;
        let node = config.node;
        if !ids.insert(node) {
            return wrong(format!("member {node} is named twice; name each once"));
        }
        if config.cluster != first.cluster {
            return wrong(format!(
                "member {node} is of cluster {:?}, member {} of {:?}; give both the same",
                config.cluster, first.node, first.cluster
            ));
        }
        if config.topology != first.topology {
            return wrong(format!(
                "members {} and {node} have other topologies; give both the same",
                first.node
            ));
        }
    }
    Ok(first)
}

fn is_empty(edges: &Edges) -> Result<bool, holm_wal::Error> {
    let (_, snapshot, receiving) = Snapshots::open(Arc::clone(&edges.disk))?;
    Ok(!Wal::exists(&*edges.disk)? && snapshot.is_none() && receiving.is_none())
}

/// The snapshot first: a log that begins behind it, and can't be without it, makes it a member's.
async fn write(
    backup: &Backup,
    meta: &SnapshotMeta,
    member: MemberId,
    (config, edges): (&Config, &Edges),
) -> Result<(), holm_wal::Error> {
    let disk = Arc::clone(&edges.disk);
    let (snapshots, _, _) = Snapshots::open(Arc::clone(&disk))?;
    let snapshot = Snapshot::new(meta.clone(), backup.data().clone());
    let failed = |doing: &'static str| {
        move |source: io::Error| holm_wal::Error::Io { doing, name: "the storage".into(), source }
    };
    let saved = run_job(&disk, snapshots.save_job(&snapshot)).await;
    saved.map_err(failed("saving the snapshot into"))?;
    let identity = Identity { cluster: digest(config.cluster.as_bytes()), member };
    let options = Options { segment_bytes: config.segment_bytes };
    let mut wal = Wal::create(Arc::clone(&disk), options, identity)?;
    wal.append(&Batch {
        hard_state: Some(HardState { term: meta.last.term, vote: None }),
        compact: Some(LogStart { id: meta.last, time: meta.time }),
        truncate: None,
        entries: &[],
    })?;
    while let Some(job) = wal.begin_sync() {
        let synced = run_job(&disk, job.into_job()).await;
        wal.finish_sync(synced)?;
    }
    Ok(())
}
