//! The state beside openraft: `Machine`, counters and keys in memory, as Holm's own. It takes no
//! snapshots.

use super::{Request, Types};
use ::openraft::entry::RaftEntry;
use ::openraft::storage::{EntryResponder, RaftStateMachine};
use ::openraft::type_config::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use ::openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, StoredMembership};
use futures_util::{Stream, StreamExt};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Clones share what they hold.
#[derive(Clone, Default)]
pub(crate) struct Machine {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    counters: BTreeMap<String, u64>,
    keys: BTreeMap<String, (Vec<u8>, u64)>,
    revision: u64,
    applied: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
}

impl Machine {
    /// What stands under this key here.
    pub(crate) fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.with(|state| state.keys.get(key).map(|(value, _)| value.clone()))
    }

    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        run(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn apply(&mut self, request: Request) -> u64 {
        match request {
            Request::Add { name, by } => {
                let counter = self.counters.entry(name).or_default();
                *counter = counter.saturating_add_signed(by);
                *counter
            }
            Request::Put { key, value } => {
                self.revision += 1;
                self.keys.insert(key, (value, self.revision));
                self.revision
            }
        }
    }
}

fn no_snapshots() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this member takes no snapshots")
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, ()>, io::Error> {
        Err(no_snapshots())
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = ();
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>), io::Error> {
        Ok(self.with(|state| (state.applied, state.membership.clone())))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            let id = entry.log_id();
            let reply = self.with(|state| {
                state.applied = Some(id);
                match entry.payload {
                    EntryPayload::Blank => 0,
                    EntryPayload::Normal(request) => state.apply(request),
                    EntryPayload::Membership(membership) => {
                        state.membership = StoredMembership::new(Some(id), membership);
                        0
                    }
                }
            });
            if let Some(responder) = responder {
                responder.send(reply);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        _: &SnapshotMetaOf<Types>,
        (): (),
    ) -> Result<(), io::Error> {
        Err(no_snapshots())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, ()>>, io::Error> {
        Ok(None)
    }
}
