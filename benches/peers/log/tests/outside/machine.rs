//! The state machine that the suite wants beside the log: `Machine`, in memory, which keeps what
//! was applied last and the last configuration, and nothing else.

use crate::store::Types;
use futures_util::{Stream, StreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::type_config::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::{OptionalSend, RaftSnapshotBuilder, Snapshot, StoredMembership};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Clones share what they hold: one of them builds snapshots.
#[derive(Clone, Default)]
pub(crate) struct Machine {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    applied: SnapshotMetaOf<Types>,
    snapshot: Option<SnapshotMetaOf<Types>>,
}

impl Machine {
    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        run(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, ()>, io::Error> {
        let meta = self.with(|state| state.snapshot.insert(state.applied.clone()).clone());
        Ok(Snapshot { meta, snapshot: () })
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = ();
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>), io::Error> {
        let applied = self.with(|state| state.applied.clone());
        Ok((applied.last_log_id, applied.last_membership))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            self.with(|state| {
                let id = Some(entry.log_id());
                state.applied.last_log_id = id;
                if let Some(membership) = entry.get_membership() {
                    state.applied.last_membership = StoredMembership::new(id, membership);
                }
            });
            if let Some(responder) = responder {
                responder.send(String::new());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        (): (),
    ) -> Result<(), io::Error> {
        self.with(|state| {
            state.applied = meta.clone();
            state.snapshot = Some(meta.clone());
        });
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, ()>>, io::Error> {
        let meta = self.with(|state| state.snapshot.clone());
        Ok(meta.map(|meta| Snapshot { meta, snapshot: () }))
    }
}
