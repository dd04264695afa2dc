//! The own state as it is applied on this member: `Shared` is written by the task that applies, and
//! looked at by whoever needs it at once, without a question to that task.

use super::{Command, Reply, State};
use crate::cluster_id::ClusterId;
use crate::edges::{Clock, Entropy};
use crate::mutation::{Mutation, on};
use crate::session::Wrapping;
use holm_raft_core::{Index, LogTime};
use holm_transport::{Epoch, KeyRing};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::Notify;

/// While something depends on log time and nobody writes, the leader tells it this often, in
/// milliseconds: so long at most is what a new leader may have to count again.
pub(crate) const MARK_EVERY_MS: u64 = 60_000;
/// For so many milliseconds behind the newest entry the own clock is believed to go with log time:
/// a leader that is there has told it anew by then.
const BELIEVED_MS: u64 = MARK_EVERY_MS + 30_000;

/// The own state and how far it is.
pub(crate) struct Shared {
    kept: RwLock<Kept>,
    /// Told whenever the state has changed.
    changed: Notify,
    clock: Arc<dyn Clock>,
    /// The cluster's secrets; none where links are insecure.
    secrets: RwLock<Option<KeyRing>>,
    /// Up to which index an earlier process of this member may have applied the log; 0 once this
    /// one knows as much.
    known_before: AtomicU64,
    /// The cluster's name.
    name: String,
    epoch: AtomicU64,
}

struct Kept {
    state: State,
    moment: Moment,
    /// When the moment came, by the own clock.
    since: u64,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) index: Index,
    pub(crate) time: LogTime,
}

impl Shared {
    /// Of the cluster with this name, which the member belongs to since this recovery of it.
    pub(crate) fn new(clock: Arc<dyn Clock>, name: &str, epoch: Epoch) -> Self {
        let moment = Moment { index: Index(0), time: LogTime(0) };
        let kept = Kept { state: State::default(), moment, since: clock.now() };
        let (secrets, changed, epoch) = (RwLock::new(None), Notify::new(), epoch.0.into());
        let (kept, known_before) = (RwLock::new(kept), AtomicU64::new(0));
        Self { kept, changed, clock, secrets, known_before, name: name.to_owned(), epoch }
    }

    /// This member starts on a log that goes up to here: so far it may have been before.
    pub(crate) fn starts_on(&self, last: Index) {
        self.known_before.store(last.0, Ordering::Relaxed);
    }

    /// What is applied here is all that was committed anywhere a moment ago.
    pub(crate) fn caught_up(&self) {
        self.known_before.store(0, Ordering::Relaxed);
    }

    /// Whether this member may have known more before it was started again: what is applied is not
    /// recorded, so it begins from its snapshot.
    pub(crate) fn is_behind_itself(&self) -> bool {
        let before = self.known_before.load(Ordering::Relaxed);
        before > 0 && self.read().moment.index.0 < before
    }

    /// By the configuration that this member has now it belongs to this recovery of its cluster.
    pub(crate) fn belongs_to(&self, epoch: Epoch) {
        self.epoch.store(epoch.0, Ordering::Relaxed);
    }

    /// The cluster's id. Whoever has seen one of the cluster's entries applied has the one that
    /// counts.
    pub(crate) fn cluster(&self) -> ClusterId {
        ClusterId::new(&self.name, Epoch(self.epoch.load(Ordering::Relaxed)))
    }

    /// The cluster's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The cluster's secrets as this member has them.
    pub(crate) fn secrets(&self) -> Option<KeyRing> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Others take their place.
    pub(crate) fn use_secrets(&self, ring: KeyRing) {
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = Some(ring);
        self.changed.notify_waiters();
    }

    /// What the leader is to propose by itself by now, with no caller: keys that are wanted, under
    /// the first secret, or the time.
    pub(crate) fn wanted(&self, entropy: &dyn Entropy) -> Option<Command> {
        let secrets = self.secrets();
        let key = secrets.and_then(|ring| {
            let wrapping = Wrapping { cluster: self.cluster(), ring: &ring };
            let now = self.now();
            self.look(|state, _| wrapping.wanted(&state.keys, now, entropy))
        });
        if on(Mutation::KeySealsBeforeItIsCommitted)
            && let Some(key) = &key
        {
            let time = self.now();
            let mut kept = self.write();
            let at = kept.moment.index;
            kept.state.apply(Command::Key(key.clone()), at, time);
        }
        key.map(Command::Key).or_else(|| self.wants_mark().then_some(Command::Mark))
    }

    /// Looks at the state, as it was after the entry of the moment. Whatever changes it waits
    /// meanwhile.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&State, Moment) -> R) -> R {
        let kept = self.read();
        look(&kept.state, kept.moment)
    }

    /// Log time now: that of the newest entry here, and what has passed since by the own clock. It
    /// goes on while there is no leader, and is set back by the next one's entries.
    fn now(&self) -> LogTime {
        let kept = self.read();
        LogTime(kept.moment.time.0.saturating_add(self.passed(&kept)))
    }

    /// The same for whoever depends on it: it stops if nothing comes from a leader.
    pub(crate) fn believed_now(&self) -> LogTime {
        let kept = self.read();
        LogTime(kept.moment.time.0.saturating_add(self.passed(&kept).min(BELIEVED_MS)))
    }

    /// Whether it is for the leader to say what time it is.
    fn wants_mark(&self) -> bool {
        let now = self.now();
        self.look(|state, last| {
            let long_ago = now.0.saturating_sub(last.time.0) >= MARK_EVERY_MS;
            state.due().is_some_and(|due| due <= now) || (long_ago && state.needs_time())
        })
    }

    /// Waits until `look` finds something in the state.
    pub(crate) async fn until<R>(&self, look: impl Fn(&State, Moment) -> Option<R>) -> R {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = self.look(&look) {
                return found;
            }
            changed.await;
        }
    }

    /// Applies a committed command.
    pub(crate) fn apply(&self, command: Command, index: Index, time: LogTime) -> Reply {
        let mut kept = self.write();
        let reply = kept.state.apply(command, index, time);
        self.reach(&mut kept, Moment { index, time });
        drop(kept);
        self.changed.notify_waiters();
        reply
    }

    /// All up to here is applied.
    pub(crate) fn reached(&self, index: Index, time: LogTime) {
        self.reach(&mut self.write(), Moment { index, time });
    }

    pub(crate) fn freeze(&self) -> State {
        self.read().state.clone()
    }

    /// Becomes what was frozen after this entry.
    pub(crate) fn restore(&self, state: State, index: Index, time: LogTime) {
        let mut kept = self.write();
        kept.state = state;
        self.reach(&mut kept, Moment { index, time });
        drop(kept);
        self.changed.notify_waiters();
    }

    fn reach(&self, kept: &mut Kept, moment: Moment) {
        if kept.moment != moment {
            (kept.moment, kept.since) = (moment, self.clock.now());
        }
    }

    fn passed(&self, kept: &Kept) -> u64 {
        self.clock.now().saturating_sub(kept.since)
    }

    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        // Whoever panicked while it wrote has stopped the member.
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tested {
    use super::*;

    /// A clock that a test sets.
    #[derive(Default)]
    pub(crate) struct Standing(pub(crate) AtomicU64);

    impl Clock for Standing {
        fn now(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Shared {
        pub(crate) fn in_test() -> Arc<Self> {
            Arc::new(Self::new(Arc::new(Standing::default()), "harbour", Epoch::FIRST))
        }
    }

    #[test]
    fn a_member_that_starts_again_is_behind_itself_until_it_has_applied_as_much_or_has_asked() {
        let shared = Shared::in_test();
        assert!(!shared.is_behind_itself(), "an empty log");
        shared.starts_on(Index(5));
        shared.reached(Index(4), LogTime(1));
        assert!(shared.is_behind_itself());
        shared.reached(Index(5), LogTime(1));
        assert!(!shared.is_behind_itself());
        shared.starts_on(Index(9));
        assert!(shared.is_behind_itself());
        shared.caught_up();
        assert!(!shared.is_behind_itself());
    }

    #[test]
    fn log_time_goes_on_with_the_own_clock_and_is_set_by_the_next_entry() {
        let clock = Arc::new(Standing::default());
        let shared = Shared::new(Arc::<Standing>::clone(&clock), "harbour", Epoch::FIRST);
        shared.reached(Index(3), LogTime(1_000));
        clock.0.store(250, Ordering::Relaxed);
        assert_eq!((shared.now(), shared.believed_now()), (LogTime(1_250), LogTime(1_250)));
        shared.reached(Index(3), LogTime(1_000));
        assert_eq!(shared.now(), LogTime(1_250), "the same entry says nothing new");
        clock.0.store(BELIEVED_MS * 2, Ordering::Relaxed);
        assert_eq!(shared.now(), LogTime(1_000 + BELIEVED_MS * 2));
        assert_eq!(shared.believed_now(), LogTime(1_000 + BELIEVED_MS), "nobody leads");
        shared.reached(Index(4), LogTime(1_300));
        assert_eq!((shared.now(), shared.believed_now()), (LogTime(1_300), LogTime(1_300)));
    }

    #[test]
    fn a_mark_is_wanted_when_something_is_due_and_now_and_then_but_never_for_nothing() {
        let clock = Arc::new(Standing::default());
        let shared = Shared::new(Arc::<Standing>::clone(&clock), "harbour", Epoch::FIRST);
        clock.0.store(MARK_EVERY_MS * 3, Ordering::Relaxed);
        assert!(!shared.wants_mark(), "there is nothing to forget");
        let issue = super::super::tickets::Command::Issue {
            name: super::super::tickets::Name([1; 32]),
            purpose: b"p".to_vec(),
            payload: Vec::new(),
            ttl: MARK_EVERY_MS + 10,
            remembered: 0,
            void_after: 1,
        };
        shared.apply(Command::Ticket(issue), Index(1), LogTime(0));
        assert!(!shared.wants_mark());
        clock.0.store(MARK_EVERY_MS * 4 - 1, Ordering::Relaxed);
        assert!(!shared.wants_mark());
        clock.0.store(MARK_EVERY_MS * 4, Ordering::Relaxed);
        assert!(shared.wants_mark(), "long ago");
        shared.apply(Command::Mark, Index(2), LogTime(MARK_EVERY_MS));
        assert!(!shared.wants_mark());
        clock.0.store(MARK_EVERY_MS * 4 + 10, Ordering::Relaxed);
        assert!(shared.wants_mark(), "the ticket is due");
        shared.apply(Command::Mark, Index(3), LogTime(MARK_EVERY_MS + 10));
        assert!(!shared.wants_mark());
        assert_eq!(shared.look(|state, _| state.due()), None);
    }
}
