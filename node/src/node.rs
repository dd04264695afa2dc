//! The handle to a running node: `Node`.

#[cfg(test)]
mod tests;
mod weak;

pub(crate) use weak::WeakNode;

use crate::StateMachine;
use crate::applier::Answered;
use crate::backup::Copies;
use crate::client::Client;
use crate::config::Config;
use crate::driver::{Confirm, Failed, Proposal, Request};
use crate::edges::{Clock, Edges, Entropy};
use crate::envelope::{Body, Key, Once};
use crate::error::Error;
use crate::join::door;
use crate::measures::Measures;
use crate::mutation::{Mutation, on};
use crate::open::{self, OpenError, Opened};
use crate::own;
use crate::reading::{Answer, Consistency, ReadOptions, Reading, Seen, either};
use crate::rendezvous::Placement;
use crate::replica;
use crate::room::Room;
use crate::status::Status;
use crate::stop::Stop;
use crate::tracked::Tracked;
pub(crate) use crate::wait::Wait;
use bytes::Bytes;
use holm_raft_core::Index;
use holm_transport::KeyRing;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

/// A member of a cluster, running. Clones are handles to the same member; it stops when
/// [`shutdown`](Self::shutdown) is called or the last of them is dropped.
pub struct Node<S: StateMachine> {
    pub(crate) requests: mpsc::Sender<Request<S>>,
    status: watch::Receiver<Status>,
    placement: watch::Receiver<Placement>,
    stopped: watch::Receiver<Option<Stop>>,
    /// Told whenever another leader is known. Not the status channel: that wakes its waiters in an
    /// order drawn from a count of the whole process, which no seed can repeat.
    led: Arc<Notify>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Holm's own replicated state, as it is applied here.
    pub(crate) own: Arc<own::Shared>,
    /// For the commands that wait.
    room: Arc<Room>,
    copies: Arc<Copies>,
    settings: Settings,
    pub(crate) measures: Arc<Measures>,
}

/// What calls need of the [`Config`].
#[derive(Clone, Copy)]
struct Settings {
    node: u64,
    request_timeout: Duration,
    retention: u64,
    command_bytes_max: usize,
}

/// A reply, and the index of the log at which its command was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied<R> {
    /// What the state machine answered.
    pub reply: R,
    /// Where.
    pub index: Index,
}

/// How a command is proposed.
#[derive(Clone, Debug, Default)]
pub struct ProposeOptions {
    /// Makes a retry exactly-once: the same command under the same key, within
    /// [`Config::idempotency_retention`], is applied once and gets the same reply. 1 to 128 bytes.
    pub key: Option<Bytes>,
    /// How long to wait. `None`: [`Config::request_timeout`].
    pub timeout: Option<Duration>,
}

impl<S: StateMachine> Clone for Node<S> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            status: self.status.clone(),
            placement: self.placement.clone(),
            stopped: self.stopped.clone(),
            led: Arc::clone(&self.led),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            own: Arc::clone(&self.own),
            room: Arc::clone(&self.room),
            copies: Arc::clone(&self.copies),
            settings: self.settings,
            measures: Arc::clone(&self.measures),
        }
    }
}

impl<S: StateMachine> Node<S> {
    /// Starts a member with this state, which is replaced by what its storage holds. Returns once
    /// the storage is recovered and the member listens; it need not have found the others yet.
    ///
    /// # Errors
    /// When the settings, the storage or the address can't be used.
    pub async fn open(config: Config, state: S) -> Result<Self, OpenError> {
        config.check().map_err(OpenError::Config)?;
        let edges = open::edges(&config.storage)?;
        Self::open_with(config, edges, state).await
    }

    /// Starts a member in these surroundings instead of the machine's own, whatever
    /// [`Config::storage`] says.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn open_with(config: Config, edges: Edges, state: S) -> Result<Self, OpenError> {
        let settings = Settings {
            node: config.node,
            request_timeout: config.request_timeout,
            retention: millis(config.idempotency_retention),
            command_bytes_max: config.command_bytes_max,
        };
        let (clock, entropy) = (Arc::clone(&edges.clock), Arc::clone(&edges.entropy));
        let room = Room::new(config.waiting_bytes_max);
        let cluster = config.cluster.clone();
        let links = config.topology.links.clone().into();
        let disk = Arc::new(Tracked::new(edges.disk));
        let opened = open::open(config, Edges { disk: disk.clone(), ..edges }, state).await;
        let Opened { driver, requests, status, placement, led, own, strangers } = match opened {
            Ok(opened) => opened,
            Err(error) => {
                disk.idle().await;
                return Err(error);
            }
        };
        let copies = Arc::new(Copies { cluster, member: driver.me, room: Room::new(1) });
        let measures = Arc::clone(&driver.measures);
        let (stopping, stopped) = watch::channel(None);
        tokio::task::spawn(async move {
            let stop = driver.run().await;
            disk.idle().await;
            // Nothing else has it any more, so that this closes it.
            drop(disk);
            stopping.send_replace(Some(stop));
        });
        let node = Self {
            requests,
            status,
            placement,
            stopped,
            led,
            clock,
            entropy,
            own,
            room,
            copies,
            settings,
            measures,
        };
        tokio::task::spawn(door::keep(strangers, WeakNode::of(&node), links));
        Ok(node)
    }

    /// Proposes a command, on any member, and waits until it is applied here.
    ///
    /// Dropping the future does not take the command back.
    ///
    /// # Errors
    /// [`Error::Unknown`] if it may or may not take effect; with any other error it never will.
    pub async fn propose(&self, command: S::Command) -> Result<Applied<S::Reply>, Error> {
        self.propose_with(command, ProposeOptions::default()).await
    }

    /// Proposes a command with a key or a time-out of its own.
    ///
    /// # Errors
    /// As for [`propose`](Self::propose).
    pub async fn propose_with(
        &self,
        command: S::Command,
        options: ProposeOptions,
    ) -> Result<Applied<S::Reply>, Error> {
        let encoded = self.encode(&command)?;
        // It may be long, and so may be the wait.
        drop(command);
        let command = encoded;
        let key = options.key.map(|bytes| self.key(bytes, &command)).transpose()?;
        let once = key.map_or(Once::Anyway, Once::Keyed);
        let wait = Wait::new(options.timeout.unwrap_or(self.settings.request_timeout));
        Ok(self.propose_once(Body::Command(command), once, &wait).await?.applied())
    }

    /// A client of this member, whose retries are safe by construction.
    #[must_use]
    pub fn client(&self) -> Client<S> {
        Client::new(self.clone())
    }

    /// Proposes until it is answered.
    pub(crate) async fn propose_once(
        &self,
        body: Body,
        once: Once,
        wait: &Wait,
    ) -> Result<Answered<S::Reply>, Error> {
        let pending = self.measures.proposal();
        let place = self.room.take(body.bytes().len());
        let place = Arc::new(place.ok_or(Error::Busy { limit: "waiting_bytes_max" })?);
        // Whether an attempt may have taken effect that was not heard of.
        let mut uncertain = false;
        let mut attempts = 0;
        loop {
            let (reply, answer) = oneshot::channel();
            let (body, mut once) = (body.clone(), once.clone());
            let again = once.is_repeatable();
            attempts += 1;
            if attempts > 1 && again && on(Mutation::RetryWithoutItsKey) {
                once = Once::Anyway;
            }
            let until = self.until(wait);
            let place = Arc::clone(&place);
            self.ask(Request::Propose(Proposal { body, once, until, reply, place }))?;
            let failed = match wait.within(answer).await {
                Some(Ok(Ok(answered))) => return Ok(pending.answered(answered)),
                Some(Ok(Err(failed))) => failed,
                Some(Err(_)) => return Err(self.stopped_error()),
                None => return Err(wait.unknown()),
            };
            match failed {
                Failed::Refused => {}
                // It takes effect once, which makes asking again safe.
                Failed::Unknown if again => uncertain = true,
                _ if uncertain => return Err(wait.error(Failed::Unknown)),
                other => return Err(wait.error(other)),
            }
            if !self.pause(wait).await {
                return Err(wait.error(if uncertain { Failed::Unknown } else { failed }));
            }
        }
    }

    pub(crate) fn encode(&self, command: &S::Command) -> Result<Bytes, Error> {
        // With room for what most commands are: a buffer that grows is copied each time.
        let buffer = Vec::with_capacity(COMMAND_BYTES_USUAL);
        let command = postcard::to_extend(command, buffer);
        let command = command.map_err(|error| Error::Encode(error.to_string()))?;
        check_size("a command", command.len(), self.settings.command_bytes_max)?;
        Ok(command.into())
    }

    pub(crate) const fn copies(&self) -> &Arc<Copies> {
        &self.copies
    }

    /// This member's number.
    pub(crate) const fn number(&self) -> u64 {
        self.settings.node
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        self.settings.request_timeout
    }

    pub(crate) const fn retention(&self) -> u64 {
        self.settings.retention
    }

    /// Reads the state linearizably, on any member: what was committed before the call is seen.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no leader with a quorum confirmed the read in time.
    pub async fn read<R: Send + 'static>(
        &self,
        read: impl FnOnce(&S) -> R + Send + 'static,
    ) -> Result<R, Error> {
        let options = ReadOptions::default();
        self.read_with(options, read).await.map(|seen| seen.value)
    }

    /// Reads the state linearizably, with a time-out of its own.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub async fn read_within<R: Send + 'static>(
        &self,
        timeout: Duration,
        read: impl FnOnce(&S) -> R + Send + 'static,
    ) -> Result<R, Error> {
        let options = ReadOptions { timeout: Some(timeout), ..ReadOptions::default() };
        self.read_with(options, read).await.map(|seen| seen.value)
    }

    /// Reads the state linearizably by the leader's lease, without asking anybody, where this
    /// member leads and has one (thesis §6.4.1); elsewhere as [`read`](Self::read). Linearizable as
    /// long as no clock of the cluster gains or loses more than a tenth.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub async fn read_lease<R: Send + 'static>(
        &self,
        read: impl FnOnce(&S) -> R + Send + 'static,
    ) -> Result<R, Error> {
        let options = ReadOptions { consistency: Consistency::Lease, timeout: None };
        self.read_with(options, read).await.map(|seen| seen.value)
    }

    /// Reads what is applied on this member, however old that is, and says up to where that is.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::Stopped`].
    pub async fn read_local<R: Send + 'static>(
        &self,
        read: impl FnOnce(&S) -> R + Send + 'static,
    ) -> Result<Seen<R>, Error> {
        let options = ReadOptions { consistency: Consistency::Local, timeout: None };
        self.read_with(options, read).await
    }

    /// Reads what is applied on this member once it is at least as new as `index`, such as that of
    /// an [`Applied`] that another member returned: read your own writes, anywhere, without a
    /// round.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if this member has not come so far in time.
    pub async fn read_from<R: Send + 'static>(
        &self,
        index: Index,
        read: impl FnOnce(&S) -> R + Send + 'static,
    ) -> Result<Seen<R>, Error> {
        let options = ReadOptions { consistency: Consistency::From(index), timeout: None };
        self.read_with(options, read).await
    }

    /// Reads the state in any of these ways, with a time-out of its own.
    ///
    /// # Errors
    /// As for the others.
    pub async fn read_with<R: Send + 'static>(
        &self,
        options: ReadOptions,
        read: impl FnOnce(&S) -> R + Send + 'static,
    ) -> Result<Seen<R>, Error> {
        let wait = Wait::new(options.timeout.unwrap_or(self.settings.request_timeout));
        let (mut answer, read) = Reading::new(read);
        let confirm = match options.consistency {
            Consistency::Linearizable => Confirm::ByRound,
            Consistency::Lease => Confirm::ByLease,
            Consistency::Local => return self.read_here(Index(0), &wait, (answer, read)).await,
            Consistency::From(index) => return self.read_here(index, &wait, (answer, read)).await,
        };
        loop {
            // A confirmation that gets lost is asked for again, well before the caller gives up.
            let attempt = wait.attempt();
            let (serve, refused) = read.serve();
            let until = self.until(&attempt);
            self.ask(Request::Read { confirm, until, serve })?;
            let failed = match attempt.within(either(&mut answer, refused)).await {
                Some(Ok(seen)) => return Ok(seen),
                Some(Err(Some(failed))) => failed,
                Some(Err(None)) => return Err(self.stopped_error()),
                None => Failed::Refused,
            };
            if failed != Failed::Refused || !self.pause(&wait).await {
                return Err(wait.error(failed));
            }
        }
    }

    async fn read_here<R: Send + 'static>(
        &self,
        from: Index,
        wait: &Wait,
        (mut answer, read): (Answer<R>, Reading<S, R>),
    ) -> Result<Seen<R>, Error> {
        let (serve, refused) = read.serve();
        self.ask(Request::ReadLocal { from, until: self.until(wait), serve })?;
        match wait.within(either(&mut answer, refused)).await {
            Some(Ok(seen)) => Ok(seen),
            Some(Err(Some(failed))) => Err(wait.error(failed)),
            Some(Err(None)) => Err(self.stopped_error()),
            None => Err(wait.error(Failed::Refused)),
        }
    }

    /// A handle to the same member that waits so long unless it is told otherwise.
    #[cfg(feature = "server")]
    pub(crate) fn waiting(&self, request_timeout: Duration) -> Self {
        let settings = Settings { request_timeout, ..self.settings };
        Self { settings, ..self.clone() }
    }

    /// The member's status, as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Whom keys belong to, by the newest configuration that this member knows to be committed; a
    /// member learns of it within a tick.
    #[must_use]
    pub fn placement(&self) -> Placement {
        self.placement.borrow().clone()
    }

    /// From now on this member begins connections with the first of these secrets, and accepts
    /// each. Links that stand go on, whichever secret they began with. [`Status::secrets`] names
    /// them once this has returned.
    ///
    /// A cluster exchanges a secret without a stop in three steps, each done on all members before
    /// the next: append the new one, make it the first, remove the old one.
    ///
    /// The ring of [`Config::security`] counts at the next start: whoever calls this also sees to
    /// it that the member is opened with these secrets then. Dropping the future does not take them
    /// back.
    ///
    /// # Errors
    /// [`Error::Insecure`] or [`Error::Stopped`].
    pub async fn change_secrets(&self, ring: KeyRing) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        let request = Request::ChangeSecrets { ring, reply };
        self.requests.send(request).await.map_err(|_| self.stopped_error())?;
        answer.await.map_err(|_| self.stopped_error())?
    }

    /// Waits until the member has stopped, and says why.
    pub async fn stopped(&self) -> Stop {
        let mut stopped = self.stopped.clone();
        loop {
            if let Some(stop) = stopped.borrow_and_update().clone() {
                return stop;
            }
            if stopped.changed().await.is_err() {
                return Stop::Fault("the driver panicked; see its message".into());
            }
        }
    }

    /// Stops the member: a leader hands over first, and those who wait for a proposal are answered,
    /// for two election time-outs at most; then connections are closed, and callers get
    /// [`Error::Stopped`]. What was acknowledged is durable already. Returns once nothing of it
    /// runs any more.
    pub async fn shutdown(&self) -> Stop {
        // A full inbox or one that is gone already: either way it is waited for.
        let _ = self.requests.send(Request::Shutdown).await;
        self.stopped().await
    }

    pub(crate) fn ask(&self, request: Request<S>) -> Result<(), Error> {
        self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy { limit: "inbox_requests_max" },
            mpsc::error::TrySendError::Closed(_) => self.stopped_error(),
        })
    }

    pub(crate) fn key(&self, bytes: Bytes, command: &[u8]) -> Result<Key, Error> {
        check_size("a key", bytes.len(), Key::BYTES_MAX)?;
        if bytes.is_empty() {
            return Err(Error::KeyEmpty);
        }
        Ok(replica::key(bytes, command, self.settings.retention))
    }

    pub(crate) fn until(&self, wait: &Wait) -> u64 {
        self.clock.now().saturating_add(millis(wait.left()))
    }

    /// Waits for another leader, but not for long, before a refused request is made again. False:
    /// time is up.
    pub(crate) async fn pause(&self, wait: &Wait) -> bool {
        wait.at_most(PAUSE).within(self.led.notified()).await;
        Instant::now() < wait.until
    }

    pub(crate) fn stopped_error(&self) -> Error {
        let why = self.status.borrow().stopped.clone();
        Error::Stopped { why: why.unwrap_or_else(|| "its driver has ended".into()) }
    }
}

/// The longest command that is encoded without its buffer growing, in bytes.
const COMMAND_BYTES_USUAL: usize = 256;
/// The longest pause before a refused request is made again.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn check_size(what: &'static str, bytes: usize, limit: usize) -> Result<(), Error> {
    if bytes > limit { Err(Error::TooLarge { what, bytes, limit }) } else { Ok(()) }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
