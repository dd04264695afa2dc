//! The claims that this member holds for requests: `Held` claims a key at its first request, renews
//! the claim as long as requests come, and lets it go when none has come for a while.

use crate::StateMachine;
use crate::node::Node;
use crate::rendezvous::{Claim, ClaimError};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// The most keys that one member holds for requests.
pub(super) const HELD_KEYS_MAX: usize = 10_000;

/// By their keys.
pub(super) struct Held<S: StateMachine> {
    node: Node<S>,
    /// Names this start of this member to the cluster.
    holder: u64,
    time: Duration,
    kept_ms: u64,
    slots: Mutex<BTreeMap<Bytes, Arc<Slot<S>>>>,
}

struct Slot<S: StateMachine> {
    /// Held while it is claimed, so that many requests at once make one claim.
    claim: tokio::sync::Mutex<Option<Claim<S>>>,
    /// When a request used it last, by the node's clock, in milliseconds.
    used: AtomicU64,
}

impl<S: StateMachine> Held<S> {
    /// Claims are for `time`, and kept until no request has come for `kept`.
    pub(super) fn new(node: Node<S>, time: Duration, kept: Duration) -> Self {
        let kept_ms = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
        let holder = node.entropy.draw();
        Self { node, holder, time, kept_ms, slots: Mutex::default() }
    }

    /// The key, claimed for this member.
    pub(super) async fn hold(self: &Arc<Self>, key: &Bytes) -> Result<Claim<S>, ClaimError> {
        let slot = self.slot(key)?;
        let mut claim = slot.claim.lock().await;
        slot.used.store(self.node.clock.now(), Ordering::Relaxed);
        if let Some(claim) = claim.as_ref().filter(|claim| claim.still_mine()) {
            return Ok(claim.clone());
        }
        match self.node.claim_as(key.clone(), self.time, self.holder).await {
            Ok(new) => {
                *claim = Some(new.clone());
                tokio::task::spawn(keep(Arc::downgrade(self), Arc::clone(&slot), new.clone()));
                Ok(new)
            }
            Err(error) => {
                *claim = None;
                self.forget(key, &slot);
                Err(error)
            }
        }
    }

    fn slot(&self, key: &Bytes) -> Result<Arc<Slot<S>>, ClaimError> {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(key) {
            return Ok(Arc::clone(slot));
        }
        if slots.len() >= HELD_KEYS_MAX {
            return Err(ClaimError::Full { limit: HELD_KEYS_MAX });
        }
        let slot = Slot { claim: tokio::sync::Mutex::new(None), used: AtomicU64::new(0) };
        let slot = Arc::new(slot);
        slots.insert(key.clone(), Arc::clone(&slot));
        Ok(slot)
    }

    fn forget(&self, key: &Bytes, slot: &Arc<Slot<S>>) {
        let mut slots = self.slots();
        if slots.get(key).is_some_and(|known| Arc::ptr_eq(known, slot)) {
            slots.remove(key);
        }
    }

    fn is_idle(&self, slot: &Slot<S>) -> bool {
        let used = slot.used.load(Ordering::Relaxed);
        self.node.clock.now().saturating_sub(used) > self.kept_ms
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<Bytes, Arc<Slot<S>>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews a claim until it is over, no request uses it any more, or nobody serves requests here.
async fn keep<S: StateMachine>(held: Weak<Held<S>>, slot: Arc<Slot<S>>, claim: Claim<S>) {
    let Some(time) = held.upgrade().map(|held| held.time) else { return };
    loop {
        tokio::time::sleep(time / 3).await;
        let Some(held) = held.upgrade() else { return };
        if held.is_idle(&slot) {
            let mut kept = slot.claim.lock().await;
            // A request may have come while it was waited for.
            if held.is_idle(&slot) {
                *kept = None;
                held.forget(claim.key(), &slot);
                // If nobody hears of it, it ends by its time.
                let _ = claim.release().await;
                return;
            }
        }
        if claim.renew().await == Err(ClaimError::Lost) || !claim.still_mine() {
            // The next request claims it anew.
            let mut kept = slot.claim.lock().await;
            if kept.as_ref().is_some_and(|kept| kept.token() == claim.token()) {
                *kept = None;
                held.forget(claim.key(), &slot);
            }
            return;
        }
    }
}
