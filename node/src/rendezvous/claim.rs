//! A claim in its holder's hands: [`Claim`], which ends by the holder's own clock before the log
//! lets anybody else have the key, and what is done in its name ([`Fence`]).

use super::ClaimError;
#[cfg(doc)]
use super::Placement;
use super::claims::{CLAIM_MS_MAX, CLAIMS_MAX, Command, Reply, check_key};
use crate::StateMachine;
use crate::edges::Clock;
use crate::envelope::{Body, Once};
use crate::error::Error;
use crate::measures::Presented;
use crate::mutation::{Mutation, on};
use crate::node::{Applied, Node, ProposeOptions};
use crate::own;
use crate::wait::Wait;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// The shortest time a key is claimed for.
pub const CLAIM_TIME_MIN: Duration = Duration::from_millis(100);
/// The longest time a key is claimed for at once: a day.
pub const CLAIM_TIME_MAX: Duration = Duration::from_millis(CLAIM_MS_MAX);

/// Of so many milliseconds that the log grants, the holder uses [`USED`]: 9 of 11, as long as his
/// clock loses no more than a tenth and those of the leaders gain no more than a tenth.
const GRANTED: u64 = 11;
const USED: u64 = 9;
/// What the readings of two clocks in whole milliseconds may hide, in milliseconds.
const ROUNDED_MS: u64 = 2;

/// A key that is this member's alone for a time.
///
/// It ends by this member's own clock, counted from before it was asked for, less what clocks may
/// differ; a clock that also counts the time in which the process or the machine was suspended. The
/// log grants the key to nobody else before that. So whoever looks at
/// [`still_mine`](Self::still_mine) *before each answer* is the only one to answer. What it had
/// handed to its kernel before it was stopped can't be recalled: whoever receives something in a
/// claim's name and must not take it late compares [`token`](Self::token)s, as Holm itself does in
/// [`propose_fenced`](Node::propose_fenced).
///
/// Clones are the same claim. Dropping all of them does not end it: [`release`](Self::release)
/// does, or its time.
pub struct Claim<S: StateMachine> {
    node: Node<S>,
    fence: Fence,
    millis: u64,
    lease: Arc<Lease>,
}

/// A claim by its key and its token, as it stands on what is done in its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The key.
    pub key: Bytes,
    /// The claim's token: the index of the entry that granted it, so that a later claim on the same
    /// key has a higher one.
    pub token: u64,
}

/// Who holds a key, as far as it is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The member.
    pub member: u64,
    /// The claim's token.
    pub token: u64,
}

/// Until when a claim is its holder's.
struct Lease {
    clock: Arc<dyn Clock>,
    /// By the clock, in milliseconds; or [`OVER`].
    until: AtomicU64,
}

/// It is over for good, even if an answer comes that it was renewed before.
const OVER: u64 = u64::MAX;

impl Lease {
    fn still_mine(&self) -> bool {
        let until = self.until.load(Ordering::Acquire);
        until != OVER && (self.clock.now() < until || on(Mutation::ClaimHeldForEver))
    }

    /// It was asked for at `asked` and granted for so many milliseconds.
    fn granted(&self, mut asked: u64, millis: u64) {
        if on(Mutation::ClaimCountedFromItsAnswer) {
            asked = self.clock.now();
        }
        let granted = asked.saturating_add(used(millis)).min(OVER - 1);
        let longer = |until| (until != OVER).then_some(granted.max(until));
        // Refused only if it is over, and then it stays so.
        let _ = self.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, longer);
    }

    fn over(&self) {
        self.until.store(OVER, Ordering::Release);
    }

    fn left(&self) -> Duration {
        let until = self.until.load(Ordering::Acquire);
        let left = if until == OVER { 0 } else { until.saturating_sub(self.clock.now()) };
        Duration::from_millis(left)
    }
}

/// How much of what the log grants is used, in milliseconds.
const fn used(millis: u64) -> u64 {
    (millis * USED / GRANTED).saturating_sub(ROUNDED_MS)
}

/// A claim's time in milliseconds, if it can be one.
fn checked(time: Duration) -> Result<u64, ClaimError> {
    if !(CLAIM_TIME_MIN..=CLAIM_TIME_MAX).contains(&time) {
        return Err(ClaimError::Time { time });
    }
    Ok(u64::try_from(time.as_millis()).expect("a day at most"))
}

impl<S: StateMachine> Clone for Claim<S> {
    fn clone(&self) -> Self {
        let (node, lease) = (self.node.clone(), Arc::clone(&self.lease));
        Self { node, fence: self.fence.clone(), millis: self.millis, lease }
    }
}

impl<S: StateMachine> std::fmt::Debug for Claim<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("fence", &self.fence).field("left", &self.left()).finish()
    }
}

impl<S: StateMachine> Node<S> {
    /// Claims a key for this member, on any member: it is this member's alone for so long, unless
    /// it is [renewed](Claim::renew) or [released](Claim::release). Between two claims on a key by
    /// one member there is no difference to those of two: the second is refused while the first
    /// lasts.
    ///
    /// The key has 1 to [`Placement::KEY_BYTES_MAX`] bytes; `time` is [`CLAIM_TIME_MIN`] to
    /// [`CLAIM_TIME_MAX`]. The cluster holds 100,000 claims at a time. Dropping the future does not
    /// take the claim back: it may then be nobody's until its time is over.
    ///
    /// # Errors
    /// [`ClaimError::Taken`] while it is another's; otherwise what was wrong with the request or
    /// the cluster.
    pub async fn claim(
        &self,
        key: impl Into<Bytes>,
        time: Duration,
    ) -> Result<Claim<S>, ClaimError> {
        self.claim_as(key.into(), time, self.entropy.draw()).await
    }

    /// The same for a holder that was drawn before, and may have the claim already.
    pub(crate) async fn claim_as(
        &self,
        key: Bytes,
        time: Duration,
        holder: u64,
    ) -> Result<Claim<S>, ClaimError> {
        check_key(&key)?;
        let millis = checked(time)?;
        let member = self.number();
        let command = Command::Claim { key: key.to_vec(), member, holder, millis };
        let asked = self.clock.now();
        let reply = self.propose_claim(command).await?;
        match reply {
            Reply::Granted { token } => {
                let (clock, until) = (Arc::clone(&self.clock), AtomicU64::new(0));
                let lease = Arc::new(Lease { clock, until });
                lease.granted(asked, millis);
                Ok(Claim { node: self.clone(), fence: Fence { key, token }, millis, lease })
            }
            Reply::Taken { member, token, millis } => {
                self.measures.refused(Presented::Claim);
                Err(ClaimError::Taken { member, token, left: Duration::from_millis(millis) })
            }
            Reply::Full => Err(ClaimError::Full { limit: CLAIMS_MAX }),
            Reply::Gone | Reply::Malformed => unreachable!("checked above: {reply:?}"),
        }
    }

    /// Proposes a command in the name of a claim: it is applied if, where it stands in the log, the
    /// claim still lasts.
    ///
    /// # Errors
    /// [`ClaimError::Lost`] if it does not: nothing was changed. [`ClaimError::Node`] otherwise, as
    /// for [`propose_with`](Self::propose_with).
    pub async fn propose_fenced(
        &self,
        fence: Fence,
        command: S::Command,
        options: ProposeOptions,
    ) -> Result<Applied<S::Reply>, ClaimError> {
        check_key(&fence.key)?;
        let command = self.encode(&command)?;
        let key = options.key.map(|bytes| self.key(bytes, &command)).transpose()?;
        let once = key.map_or(Once::Anyway, Once::Keyed);
        let wait = Wait::new(options.timeout.unwrap_or(self.request_timeout()));
        let body = Body::Fenced(fence, command);
        match self.propose_once(body, once, &wait).await {
            Ok(answered) => Ok(answered.applied()),
            Err(Error::ClaimOver) => {
                self.measures.refused(Presented::Claim);
                Err(ClaimError::Lost)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Who holds a key, as far as this member has applied the log: a claim may be over without an
    /// entry that says so, and a new one may not have come here. For finding the holder, not for
    /// deciding who it is.
    #[must_use]
    pub fn holder(&self, key: &[u8]) -> Option<Holder> {
        self.own.look(|state, _| {
            let held = state.claims.holding(key)?;
            Some(Holder { member: held.member, token: held.token })
        })
    }

    async fn propose_claim(&self, command: Command) -> Result<Reply, ClaimError> {
        match self.propose_own(&own::Command::Claim(command)).await?.reply {
            own::Reply::Claim(reply) => Ok(reply),
            other => unreachable!("{other:?} is another command's"),
        }
    }
}

impl<S: StateMachine> Claim<S> {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &Bytes {
        &self.fence.key
    }

    /// Grows from each claim on a key to the next, so that what comes late can be told.
    #[must_use]
    pub const fn token(&self) -> u64 {
        self.fence.token
    }

    /// Whose it is: the member that claimed it.
    #[must_use]
    pub const fn member(&self) -> u64 {
        self.node.number()
    }

    /// For how long it was claimed at once.
    #[must_use]
    pub const fn time(&self) -> Duration {
        Duration::from_millis(self.millis)
    }

    /// The claim as it stands on what is done in its name.
    #[must_use]
    pub const fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Whether the key is this member's now. To be asked right before each answer: an answer that
    /// is made a long time after it may be another's to give.
    #[must_use]
    pub fn still_mine(&self) -> bool {
        self.lease.still_mine()
    }

    /// The same for `?`.
    ///
    /// # Errors
    /// [`ClaimError::Lost`].
    pub fn guard(&self) -> Result<(), ClaimError> {
        if self.still_mine() { Ok(()) } else { Err(ClaimError::Lost) }
    }

    /// How long it is this member's unless it is renewed.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.lease.left()
    }

    /// From now on it lasts for its whole time again. Dropping the future may or may not have that
    /// effect.
    ///
    /// # Errors
    /// [`ClaimError::Lost`] if it is over. With another error it lasts as long as before.
    pub async fn renew(&self) -> Result<(), ClaimError> {
        self.renew_by(self.millis).await
    }

    /// The same for another time than it was claimed for, [`CLAIM_TIME_MIN`] to [`CLAIM_TIME_MAX`].
    /// A claim that would last longer without it is not shortened.
    ///
    /// # Errors
    /// As for [`renew`](Self::renew), or [`ClaimError::Time`].
    pub async fn renew_for(&self, time: Duration) -> Result<(), ClaimError> {
        self.renew_by(checked(time)?).await
    }

    async fn renew_by(&self, millis: u64) -> Result<(), ClaimError> {
        let Fence { key, token } = &self.fence;
        let token = *token;
        let asked = self.lease.clock.now();
        let command = Command::Renew { key: key.to_vec(), token, millis };
        match self.node.propose_claim(command).await? {
            Reply::Granted { .. } => {
                self.lease.granted(asked, millis);
                Ok(())
            }
            _ => {
                self.lease.over();
                self.node.measures.refused(Presented::Claim);
                Err(ClaimError::Lost)
            }
        }
    }

    /// Renews it each third of its time, and returns once it is over. Dropping the future stops
    /// that: the claim then ends by its time.
    pub async fn keep(&self) {
        while self.still_mine() {
            sleep(Duration::from_millis(self.millis / 3)).await;
            // Until it is over it is tried again.
            if let Err(ClaimError::Lost) = self.renew().await {
                return;
            }
        }
    }

    /// Ends it: from now on nobody has it, and as soon as that is committed anybody may.
    ///
    /// # Errors
    /// If that can't be said to the cluster: it then ends by its time.
    pub async fn release(self) -> Result<(), ClaimError> {
        self.lease.over();
        let Fence { key, token } = &self.fence;
        let command = Command::Release { key: key.to_vec(), token: *token };
        self.node.propose_claim(command).await.map(|_| ())
    }

    /// Proposes a command in its name, if it still lasts by this member's clock and, where the
    /// command stands in the log, by log time.
    ///
    /// # Errors
    /// As for [`Node::propose_fenced`].
    pub async fn propose(&self, command: S::Command) -> Result<Applied<S::Reply>, ClaimError> {
        self.guard()?;
        let options = ProposeOptions::default();
        self.node.propose_fenced(self.fence.clone(), command, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_stops_before_the_log_lets_another_have_it() {
        // His clock loses a tenth, the leader's gains a tenth: in real time, in hundredths.
        for millis in (100..20_000).chain([CLAIM_MS_MAX]) {
            let held = (used(millis) + 1) * 100 * 100 / 90;
            let granted = (millis - 1) * 100 * 100 / 110;
            assert!(held < granted, "{millis} ms: {held} and {granted}");
        }
        assert!(used(10_000) > 8_000, "and not much before it");
    }
}
